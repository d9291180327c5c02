/* The CPU backend's inside: the opened device, work split over its pool, and what every family of kernels shares. */
#ifndef TCT_BACKENDS_CPU_DEVICE_H
#define TCT_BACKENDS_CPU_DEVICE_H

#include <tercet/backend.h>
#include "backends/cpu/blas.h"
#include "kernels/cpu/kernels.h"

struct tct_device_impl {
  const tct_host *host;     /* process */
  const tct_cpu_kernels *k; /* process: the chosen level's table */
  tct_cpu_blas blas;        /* process */
  tct_pool *pool;           /* owned */
  int32_t n_threads;
  char name[96];
};

/* Runs fn for each task; on the calling thread when the whole work, estimated at `ns` for one thread, is too small to
 * pay for waking others. Which it is changes no result: tasks are cut from shapes, never from the number of threads. */
void tct_cpu_run(tct_device_impl *device, int64_t n_tasks, double ns, tct_pool_fn fn, void *user);

/* Zeroed memory for a step's state, or NULL with the error recorded; tct_cpu_release_state gives it back. */
void *tct_cpu_state(tct_device_impl *device, size_t bytes);
void tct_cpu_release_state(tct_device_impl *device, void *state);

/* Writes the reason; returns false. */
bool tct_cpu_refuse(char *why, size_t why_bytes, const char *format, ...) TCT_PRINTF(3, 4);
/* No operand is of a type that the device does not store: f64. */
bool tct_cpu_stores(const tct_node_view *node, char *why, size_t why_bytes);
/* Besides, every float is f32 and the first input is one. */
bool tct_cpu_is_f32(const tct_node_view *node, char *why, size_t why_bytes);

size_t tct_cpu_bytes(tct_dtype dtype);
/* A storage type: arithmetic widens it to f32 (wide.c). */
static inline bool tct_cpu_is_narrow(tct_dtype dtype) {
  return dtype == TCT_BF16 || dtype == TCT_F16;
}
/* The value as an element of a type that the device stores; returns the element's bytes. `out` has room for 8. */
size_t tct_cpu_encode(tct_dtype dtype, double value, void *out);
int64_t tct_cpu_size(const tct_shape *shape);
/* Product of the extents [from, to). */
int64_t tct_cpu_extent(const tct_shape *shape, int32_t from, int32_t to);

static inline int64_t tct_cpu_divide_up(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}
static inline int64_t tct_cpu_least(int64_t a, int64_t b) {
  return a < b ? a : b;
}
static inline int64_t tct_cpu_most(int64_t a, int64_t b) {
  return a > b ? a : b;
}
/* Scratch is handed out in cache lines. */
static inline size_t tct_cpu_lines(int64_t bytes) {
  return ((size_t)bytes + 63) & ~(size_t)63;
}

/* The work of one pass over n elements cut into tasks of a fixed number of elements. */
enum { TCT_CPU_TASK = 32768 };
static inline int64_t tct_cpu_tasks(int64_t n) {
  return tct_cpu_divide_up(n, TCT_CPU_TASK);
}

/* How many parts a sum over n rows of c elements is cut into, and the rows of each part: from the shape only. */
typedef struct tct_cpu_parts {
  int64_t count, rows;
} tct_cpu_parts;
tct_cpu_parts tct_cpu_parts_of(int64_t rows, int64_t columns);

/* One product c [m,n] = a·b (+ bias, activation), cut into output tiles; for a long k with few tiles also into parts of
 * k, which are added in order. lda, ldb and ldc are row strides of the matrices as stored. */
typedef struct tct_cpu_gemm {
  int64_t m, n, k, lda, ldb, ldc;
  bool transpose_a, transpose_b;
  bool tiled;  /* by our register tiles; else OpenBLAS' blocks */
  bool packed; /* tiled: all panels of b are packed first; else b is read in place but for a narrow last panel */
  bool packed_a; /* tiled: a, transposed, is packed first */
  int64_t tile_m, tile_n, parts, part_k;
  tct_cpu_row activation; /* NULL: none */
  double p[2];
} tct_cpu_gemm;
/* Sets the tiles for `batch` such products; returns the workspace's bytes. The other members are set before. */
size_t tct_cpu_gemm_plan(const tct_device_impl *device, tct_cpu_gemm *gemm, int64_t batch);
/* a_at and b_at: offsets in floats of each product's matrices, NULL when batch is 1; c's are m·ldc apart. */
void tct_cpu_gemm_run(tct_device_impl *device, const tct_cpu_gemm *gemm, int64_t batch, const float *a,
                      const int64_t *a_at, const float *b, const int64_t *b_at, const float *bias, float *c,
                      void *workspace);
/* The tiled part of the two above (gemm_tiled.c). */
bool tct_cpu_gemm_tiled_plan(const tct_device_impl *device, tct_cpu_gemm *gemm, int64_t batch, size_t *out_workspace);
void tct_cpu_gemm_tiled_run(tct_device_impl *device, const tct_cpu_gemm *gemm, int64_t batch, const float *a,
                            const int64_t *a_at, const float *b, const int64_t *b_at, const float *bias, float *c,
                            void *workspace);
/* Bias and activation for rows × columns of c that begin at column `column`. */
void tct_cpu_gemm_finish(const tct_device_impl *device, const tct_cpu_gemm *gemm, const float *bias, float *c,
                         int64_t column, int64_t rows, int64_t columns);
/* One tile's worth on the calling thread: c = a·b + beta·c. */
void tct_cpu_gemm_block(tct_device_impl *device, bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k,
                        const float *a, int64_t lda, const float *b, int64_t ldb, float beta, float *c, int64_t ldc);

/* The offset of each of a batch's matrices within an operand whose leading axes are broadcast to `out`'s. */
void tct_cpu_batch_offsets(const tct_shape *in, const tct_shape *out, int64_t *offset);

extern const tct_kernel tct_cpu_kernel_table[];
extern const size_t tct_cpu_kernel_count;

/* The families' functions, as the kernel table names them. */
#define FAMILY(name)                                                                                                   \
  bool tct_cpu_##name##_supports(const tct_node_view *, char *, size_t);                                               \
  tct_status tct_cpu_##name##_prepare(tct_device_impl *, const tct_node_view *, tct_prepared *);                       \
  tct_status tct_cpu_##name##_launch(tct_device_impl *, const tct_launch *);
FAMILY(elementwise)
FAMILY(chain)
FAMILY(dropout)
FAMILY(matmul)
FAMILY(matmul_i8)
FAMILY(conv_matmul)
FAMILY(conv_depthwise)
FAMILY(conv_direct)
FAMILY(conv_im2col)
FAMILY(pool)
FAMILY(reduce)
FAMILY(prod_grad)
FAMILY(arg)
FAMILY(global_norm)
FAMILY(cumsum)
FAMILY(top_k)
FAMILY(top_k_grad)
FAMILY(softmax)
FAMILY(batch_norm)
FAMILY(batch_norm_grad)
FAMILY(batch_norm_inference)
FAMILY(layer_norm)
FAMILY(layer_norm_grad)
FAMILY(attention)
FAMILY(attention_grad)
FAMILY(recurrent)
FAMILY(recurrent_grad)
FAMILY(gather)
FAMILY(gather_grad)
FAMILY(one_hot)
FAMILY(move)
FAMILY(concat)
FAMILY(cross_entropy)
FAMILY(assign)
FAMILY(update)
FAMILY(wide)
#undef FAMILY
void tct_cpu_wide_release(tct_device_impl *device, void *state);

#endif
