/* What the product and the convolutions share: how a result is cut into tiles, and its sums into parts. */
#ifndef TCT_BACKENDS_CUDA_TILING_H
#define TCT_BACKENDS_CUDA_TILING_H

#include "backends/cuda/ops/shape.h"

/* No bias yet. */
tct_cu_epilogue tct_cu_epilogue_of(tct_op activation, const tct_unary_attrs *parameters);
/* A product's extents, the batch's strides and the epilogue without its bias; matrices that share b and lie row under row are one
 * product. The data are to come. */
void tct_cu_gemm_of(const tct_node_view *node, tct_cu_gemm_args *out);
/* batch results [m,n] of k terms each, `size` elements in all; the workspace holds the parts. */
tct_cu_extent tct_cu_tiles(const tct_device_impl *device, tct_cu_tiling *out, int64_t m, int64_t n, int64_t k, int64_t batch, int64_t size,
                           size_t *out_workspace_bytes);
/* y [size] from the parts, where there are several; bias by i % n. */
tct_status tct_cu_join_tiles(tct_device_impl *device, const tct_node_view *node, const tct_cu_tiling *tiling, const tct_cu_epilogue *end,
                             const tct_cu_tensor *y, int64_t size, int64_t n) TCT_CHECKED;

#endif
