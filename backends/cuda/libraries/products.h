/* Matrix products by cuBLASLt: a problem is planned when a step is prepared, its algorithm chosen once for each device, and the plan is
 * enqueued with pointers. */
#ifndef TCT_BACKENDS_CUDA_PRODUCTS_H
#define TCT_BACKENDS_CUDA_PRODUCTS_H

#include "backends/cuda/libraries/cublaslt.h"
#include "backends/cuda/family.h"

/* y [m,n] = op(a)·op(b) of k terms, row-major, `batch` times. Compared as memory: no gaps. */
typedef struct tct_cu_product_problem {
  int64_t m, n, k, batch, a_stride, b_stride; /* strides in elements between matrices, 0: the same for all */
  int32_t in_type, out_type;                  /* cudaDataType */
  int32_t compute, epilogue;                  /* compute: the plan says by which; epilogue: CUBLASLT_EPILOGUE_… */
  int32_t transpose_a, transpose_b;
} tct_cu_product_problem;

typedef struct tct_cu_product {
  cublasLtMatmulDesc_t product; /* owned, as are the next */
  cublasLtMatrixLayout_t a, b, y;
  cublasLtMatmulAlgo_t algo;
  size_t workspace_bytes;
} tct_cu_product;

/* Of an epilogue: it has a second matrix, GELU's argument; it has a vector. */
enum {
  TCT_CU_EPILOGUE_AUX = CUBLASLT_EPILOGUE_GELU_AUX & ~CUBLASLT_EPILOGUE_GELU,
  TCT_CU_EPILOGUE_VECTOR = CUBLASLT_EPILOGUE_BIAS | CUBLASLT_EPILOGUE_BGRADA,
};

/* Device pointers, on TCT_CU_ALIGNMENT. Of y's dtype, where the epilogue has them: `bias`, a bias [n] or (BGRADA) the sums that it writes;
 * `aux` [m,n] of each product, whose n is a multiple of 8, written by GELU_AUX, read by DGELU. */
typedef struct tct_cu_product_operands {
  const void *a, *b, *bias;
  void *y, *workspace;
  const void *aux;
} tct_cu_product_operands;

/* Opens the library for the device at the first call. TCT_UNSUPPORTED: refused, products are our own kernels'. */
tct_status tct_cu_products_start(tct_device_impl *device) TCT_CHECKED;
const char *tct_cu_products_name(const tct_device_impl *device); /* "cuBLASLt 13.1.0"; once it has started */
int32_t tct_cu_product_type(tct_dtype dtype);
/* Whether the library is worth its launch. */
bool tct_cu_product_is_large(int64_t m, int64_t n, int64_t k, int64_t batch);
/* Once the device has started. TCT_UNSUPPORTED: the library has no algorithm, and the node is refused; nothing is left to drop. */
tct_status tct_cu_product_plan(tct_device_impl *device, const tct_node_view *node, const tct_cu_product_problem *problem,
                               tct_cu_product *out) TCT_CHECKED;
/* Enqueues it for the node. */
tct_status tct_cu_product_run(tct_device_impl *device, const tct_node_view *node, const tct_cu_product *of,
                              const tct_cu_product_operands *operands) TCT_CHECKED;
/* Also of one that was never planned: zeroes. */
void tct_cu_product_drop(tct_device_impl *device, tct_cu_product *product);

#endif
