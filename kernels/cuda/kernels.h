/* What the host passes to the CUDA kernels: one struct by value for each row of kernels.def, read by C17 on the host and by
 * device code alike, and the contract of each launch: what it computes, its grid, its shared memory. Pointers are device
 * memory; tensors are dense and row-major unless strides are given. No kernel uses atomics on floats: the same arguments
 * give the same bits. Blocks have a multiple of 32 threads.
 *
 * "grid-stride": any grid of one dimension is right; TCT_CU_BLOCK threads a block. */
#ifndef TCT_KERNELS_CUDA_KERNELS_H
#define TCT_KERNELS_CUDA_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tercet/attrs.h>

enum { TCT_CU_BLOCK = 256, TCT_CU_WARP = 32 };

/* ---- indices and operands ---- */

/* Division by d without a division: exact for 0 <= n < 2^31 (Granlund & Montgomery 1994); greater n are divided. */
typedef struct tct_cu_divisor {
  int64_t d;
  uint32_t magic;
  int32_t shift;
} tct_cu_divisor;

static inline tct_cu_divisor tct_cu_divisor_of(int64_t d) {
  tct_cu_divisor by;
  by.d = d < 1 ? 1 : d;
  by.shift = 0;
  while (by.shift < 31 && ((int64_t)1 << by.shift) < by.d) by.shift++;
  by.magic = by.d >> 31 != 0 ? 0 : (uint32_t)((((uint64_t)1 << 32) * (((uint64_t)1 << by.shift) - (uint64_t)by.d)) / (uint64_t)by.d + 1);
  return by;
}

/* Extents, outermost first, and the elements between neighbours along each: where element number i of a walk lies. */
enum { TCT_CU_AXES = 2 * TCT_MAX_RANK }; /* a tiled tensor's extents beside its repeats */
typedef struct tct_cu_view {
  int32_t rank;
  int32_t reserved;
  tct_cu_divisor by[TCT_CU_AXES];
  int64_t stride[TCT_CU_AXES];
} tct_cu_view;

/* An axis behind the others; joined with the one before where the walk takes both as one. Axes of extent 1 are left out. */
static inline void tct_cu_add_axis(tct_cu_view *view, int64_t extent, int64_t stride) {
  const int32_t last = view->rank - 1;
  if (extent == 1) return;
  if (last >= 0 && view->stride[last] == stride * extent) {
    view->by[last] = tct_cu_divisor_of(view->by[last].d * extent);
    view->stride[last] = stride;
    return;
  }
  view->by[view->rank] = tct_cu_divisor_of(extent);
  view->stride[view->rank++] = stride;
}

/* A dense tensor of floats: f32, bf16 or f16; what is computed is f32. */
typedef struct tct_cu_tensor {
  void *data;
  int32_t dtype; /* a tct_dtype */
  int32_t reserved;
} tct_cu_tensor;

/* How an operand is read over the output's elements. */
typedef enum tct_cu_access {
  TCT_CU_DENSE,  /* element i */
  TCT_CU_SCALAR, /* element 0 */
  TCT_CU_GENERAL /* by the view */
} tct_cu_access;

typedef struct tct_cu_operand {
  const void *data;
  int32_t dtype; /* a tct_dtype */
  int32_t access;
  tct_cu_view view;
} tct_cu_operand;

/* The view of an operand over `out`, broadcast by NumPy's rule, with axes joined that it walks as one; and how to read it. */
static inline tct_cu_operand tct_cu_operand_of(const void *data, const tct_desc *desc, const tct_shape *out) {
  tct_cu_operand in = {data, (int32_t)desc->dtype, TCT_CU_GENERAL, {0, 0, {{0, 0, 0}}, {0}}};
  int64_t stride[TCT_MAX_RANK], pitch = 1, size = 1;
  const int32_t shift = out->rank - desc->shape.rank;
  for (int32_t i = out->rank - 1; i >= 0; i--) {
    const int64_t extent = i >= shift ? desc->shape.dim[i - shift] : 1;
    stride[i] = extent == 1 ? 0 : pitch;
    pitch *= extent;
    size *= out->dim[i];
  }
  for (int32_t i = 0; i < out->rank; i++) tct_cu_add_axis(&in.view, out->dim[i], stride[i]);
  if (pitch == 1)
    in.access = TCT_CU_SCALAR;
  else if (pitch == size)
    in.access = TCT_CU_DENSE;
  return in;
}

/* ---- elementwise ---- */

/* One step of a chain. arg: a slot, or TCT_CU_LAST, the result of the step before. */
enum { TCT_CU_LAST = 255, TCT_CU_CHAIN_BLOCK = 128, TCT_CU_CHAIN_WIDTH = 4 };
typedef struct tct_cu_step {
  int32_t op; /* a tct_op: an elementwise row, its _grad, or select */
  uint8_t arg[3];
  uint8_t to; /* a slot; TCT_CU_LAST: nobody but the next step reads it */
  float p0, p1;
} tct_cu_step;

/* y = the last step's result. Arithmetic in f32; operands of every dtype but f64 are converted, a bool is 0 or 1; the result is
 * rounded to y's float dtype, or is ≠ 0 as a bool. Input i is loaded into slot i before the first step. Grid-stride with
 * TCT_CU_CHAIN_BLOCK threads, each of TCT_CU_CHAIN_WIDTH elements; shared: n_slots · TCT_CU_CHAIN_BLOCK ·
 * TCT_CU_CHAIN_WIDTH floats. `aligned`: every dense operand and y lie on 16 bytes. */
typedef struct tct_cu_chain_args {
  void *y;
  int64_t n;
  int32_t y_dtype, n_in, n_steps, aligned;
  tct_cu_operand in[TCT_CHAIN_INPUTS];
  tct_cu_step step[TCT_CHAIN_STEPS];
} tct_cu_chain_args;

/* One row of the table in whole numbers: operands i32, i64, u8 or bool, all of one dtype; y of that dtype, or bool where the row
 * is a comparison, a logical op or a predicate. p0 and p1 within i32. Grid-stride. */
typedef struct tct_cu_whole_args {
  void *y;
  int64_t n;
  int32_t op, n_in;
  tct_cu_operand in[2];
  int64_t p0, p1;
} tct_cu_whole_args;

/* y = condition ? a : b as bits; in: condition (bool), a, b, y of elements of `bytes` 1, 2, 4 or 8. Grid-stride. */
typedef struct tct_cu_select_args {
  void *y;
  int64_t n;
  int32_t bytes, reserved;
  tct_cu_operand in[3];
} tct_cu_select_args;

/* y = x in y_dtype, dense: truncated to a whole number within its bounds, NaN 0; x ≠ 0 as a bool; to bf16 and f16 one rounding.
 * Any two dtypes but f64. Grid-stride. */
typedef struct tct_cu_cast_args {
  const void *x;
  void *y;
  int64_t n;
  int32_t x_dtype, y_dtype;
} tct_cu_cast_args;

/* ---- reductions ---- */

typedef enum tct_cu_fold { TCT_CU_SUM, TCT_CU_PROD, TCT_CU_MAX, TCT_CU_MIN, TCT_CU_SUM_EXP } tct_cu_fold;

/* y[part, o] = fold of x over the r of that part, where x's element lies at kept(o) + reduced(r). SUM_EXP folds e^(x - most[o]).
 * With one part, y [n_out] has y_dtype and the last factor: y = fold·scale, and with `log` most + ln fold (most where that is
 * infinite). With more, y is float [parts, n_out] (double for whole), for a second launch with SUM, PROD, MAX or MIN.
 * reduce_rows: x [block.y, block.x over r], where neighbouring r lie together; block.x a multiple of 32.
 * reduce_columns: block (32, 8), 32 outputs side by side. Grid-stride over (parts · outputs/block.y) or (parts · columns/32).
 * reduce_rows and reduce_columns: x of floats. The _whole ones: i32, i64, u8, or double in the second launch, in double. */
typedef struct tct_cu_reduce_args {
  const void *x;
  void *y;
  const float *most; /* [n_out] */
  tct_cu_view kept, reduced;
  int64_t n_out, n_reduced, parts;
  tct_cu_divisor per_part; /* outputs, or for columns ⌈n_out/32⌉ */
  double scale;
  int32_t x_dtype, y_dtype, fold, log;
} tct_cu_reduce_args;
typedef tct_cu_reduce_args tct_cu_reduce_rows_args, tct_cu_reduce_columns_args, tct_cu_reduce_rows_whole_args,
    tct_cu_reduce_columns_whole_args;

/* y[o,c] = the first position along n of the greatest x[o,:,c] (least), i32; x [outer,n,inner] of floats, i32 or i64; a NaN counts
 * as such. One warp a row where inner is 1, else one thread a column. Grid-stride, TCT_CU_BLOCK threads. */
typedef struct tct_cu_arg_args {
  const void *x;
  int32_t *y;
  int64_t outer, n;
  tct_cu_divisor inner;
  int32_t dtype, least;
} tct_cu_arg_args;

/* partial[first + block] = Σx² of that block's TCT_CU_NORM_CHUNK elements of its tensor, in double: tensor t has the blocks
 * from[t] … from[t+1]-1. One launch for up to TCT_CU_LIST tensors; TCT_CU_BLOCK threads, from[n_tensors] blocks. */
enum { TCT_CU_LIST = 96, TCT_CU_NORM_CHUNK = 16384 };
typedef struct tct_cu_squares_args {
  double *partial;
  int64_t first;
  int32_t n_tensors, dtype;
  const void *x[TCT_CU_LIST];
  int64_t n[TCT_CU_LIST];
  int32_t from[TCT_CU_LIST + 1];
  int32_t reserved;
} tct_cu_squares_args;

/* y [] = √Σ partial, in order. One block of TCT_CU_BLOCK threads. */
typedef struct tct_cu_squares_end_args {
  const double *partial;
  int64_t n;
  tct_cu_tensor y;
} tct_cu_squares_end_args;

/* ---- rows: softmax and cross-entropy ---- */

/* Rows are of n elements. Row kernels take blocks of (threads along a row, a multiple of 32; rows), at most TCT_CU_ROW_THREADS
 * threads in all, and stride over the rows. */
enum { TCT_CU_ROW_THREADS = 1024 };

/* x, y [rows,n]: y = e^x/Σe^x, or its logarithm. softmax_grad: dx from y and dy. */
typedef struct tct_cu_softmax_args {
  tct_cu_tensor x, y;
  int64_t rows, n;
  int32_t log, reserved;
} tct_cu_softmax_args;
typedef struct tct_cu_softmax_grad_args {
  tct_cu_tensor y, dy, dx;
  int64_t rows, n;
  int32_t log, reserved;
} tct_cu_softmax_grad_args;

/* The same along the middle axis of [outer,n,inner], a thread to a column. Grid-stride over outer·inner. */
typedef struct tct_cu_softmax_columns_args {
  tct_cu_tensor x, y;
  int64_t outer, n;
  tct_cu_divisor inner;
  int32_t log, reserved;
} tct_cu_softmax_columns_args;
typedef struct tct_cu_softmax_grad_columns_args {
  tct_cu_tensor y, dy, dx;
  int64_t outer, n;
  tct_cu_divisor inner;
  int32_t log, reserved;
} tct_cu_softmax_grad_columns_args;

/* loss [rows] of logits x [rows,n] and labels [rows], or targets [rows,n] where labels is NULL; the targets are smoothed. A row
 * kernel. */
typedef struct tct_cu_cross_entropy_args {
  tct_cu_tensor x, targets, loss;
  const int32_t *labels;
  int64_t rows, n;
  float smoothing;
  int32_t reserved;
} tct_cu_cross_entropy_args;
/* dx [rows,n] = dloss·(softmax(x)·Σt - t). */
typedef struct tct_cu_cross_entropy_grad_args {
  tct_cu_tensor x, targets, dloss, dx;
  const int32_t *labels;
  int64_t rows, n;
  float smoothing;
  int32_t reserved;
} tct_cu_cross_entropy_grad_args;

/* ---- normalisation ---- */

/* x, y [rows,n], gamma, beta [n], mean, inverse = 1/√(variance + ε) [rows]. A row kernel. */
typedef struct tct_cu_layer_norm_args {
  tct_cu_tensor x, gamma, beta, y, mean, inverse;
  int64_t rows, n;
  float epsilon;
  int32_t reserved;
} tct_cu_layer_norm_args;
/* dx only. A row kernel. */
typedef struct tct_cu_layer_norm_grad_args {
  tct_cu_tensor x, gamma, mean, inverse, dy, dx;
  int64_t rows, n;
} tct_cu_layer_norm_grad_args;

/* Two sums over the rows of x [rows,n] for each column, part by part: partial [parts,2,n].
 *   MOMENTS  x - x[0,c]          (x - x[0,c])²        whose mean and variance do not cancel
 *   BATCH    dy·(x - mean[c])/√(variance[c] + ε)   dy
 *   LAYER    dy·(x - mean[r])·inverse[r]           dy
 * Block (32, 8); grid (columns/32, parts). scale: variance or inverse. */
typedef enum tct_cu_column_sum { TCT_CU_MOMENTS, TCT_CU_BATCH, TCT_CU_LAYER } tct_cu_column_sum;
typedef struct tct_cu_column_sums_args {
  tct_cu_tensor x, dy, mean, scale;
  float *partial;
  int64_t rows, n;
  int32_t kind;
  float epsilon;
} tct_cu_column_sums_args;
/* The parts joined in order: MOMENTS gives mean and biased variance [n], the others the two sums; and both [2,n] as they are before
 * they are rounded to the tensors' dtype. Grid-stride over n. */
typedef struct tct_cu_column_sums_end_args {
  const float *partial;
  float *exact;
  tct_cu_tensor x, first, second;
  int64_t rows, n, parts;
  int32_t kind, reserved;
} tct_cu_column_sums_end_args;

/* y = γ(x - mean)/√(variance + ε) + β over [size/n.d, n.d]. Grid-stride over size. */
typedef struct tct_cu_batch_norm_args {
  tct_cu_tensor x, gamma, beta, mean, variance, y;
  int64_t size;
  tct_cu_divisor n;
  float epsilon;
  int32_t reserved;
} tct_cu_batch_norm_args;
/* dx = γ/√(variance + ε)·(dy - (dβ + x̂·dγ)/rows). Grid-stride over size. */
typedef struct tct_cu_batch_norm_grad_args {
  tct_cu_tensor x, gamma, mean, variance, dy, dgamma, dbeta, dx;
  int64_t size;
  tct_cu_divisor n;
  float epsilon;
  int32_t reserved;
} tct_cu_batch_norm_grad_args;

/* ---- dropout ---- */

/* y[e] = x[e]·factor where the 24-bit draw of element e (tct_dropout_attrs) is >= threshold, else 0. Grid-stride over n/4. */
typedef struct tct_cu_dropout_args {
  tct_cu_tensor x, y;
  int64_t n;
  const int64_t *step;
  uint64_t seed;
  uint32_t stream, threshold;
  float factor;
  int32_t reserved;
} tct_cu_dropout_args;

/* ---- pooling ---- */

/* x [n,h,w,c], y [n,p,q,c]; the forward is grid-stride over y, the gradients over x: each gathers, in the order of the windows. */
typedef struct tct_cu_pool_args {
  tct_cu_tensor x, y, dy, dx; /* y: forward; dy, dx: gradients; x: not avg's gradient */
  int64_t size;               /* of y, or of x in the gradients */
  tct_cu_divisor h, w, c, p, q; /* all below 2^31 */
  int32_t window[2], stride[2], pad[2]; /* pad: top, left */
  int32_t average, reserved;
} tct_cu_pool_args;
typedef tct_cu_pool_args tct_cu_pool_grad_args;

/* ---- movement: elements of 1, 2, 4 or 8 bytes as they are ---- */

/* to[to(i)] = from[from(i)] for i in 0 … n-1. Grid-stride. */
typedef struct tct_cu_move_args {
  const void *from;
  void *to;
  int64_t n;
  int32_t bytes, reserved;
  tct_cu_view from_view, to_view;
} tct_cu_move_args;

/* to [batch,n,m] = from [batch,m,n], by tiles through shared memory. Block (32, 8); grid of batch·⌈m/32⌉·⌈n/32⌉. */
typedef struct tct_cu_transpose_args {
  const void *from;
  void *to;
  int64_t m, n;
  tct_cu_divisor tiles_m, tiles_n;
  int32_t bytes, reserved;
} tct_cu_transpose_args;

/* The n elements of `to` become the element whose bits are the low ones of `value`. Grid-stride. */
typedef struct tct_cu_fill_args {
  void *to;
  int64_t n;
  uint64_t value;
  int32_t bytes, reserved;
} tct_cu_fill_args;

/* y [outer,n,inner] = table [outer,depth,inner] at indices [n]; out of range: the bits `missing`. Grid-stride over y. */
typedef struct tct_cu_gather_args {
  const void *table;
  const int32_t *indices;
  void *y;
  int64_t size, depth;
  tct_cu_divisor n, inner;
  uint64_t missing;
  int32_t bytes, reserved;
} tct_cu_gather_args;

/* y [n,depth]: the bits `on` at the index, else `off`. Grid-stride over y. */
typedef struct tct_cu_one_hot_args {
  const int32_t *indices;
  void *y;
  int64_t size;
  tct_cu_divisor depth;
  uint64_t on, off;
  int32_t bytes, reserved;
} tct_cu_one_hot_args;

/* The gradient of gather, in four launches: dtable [outer,depth,inner] += dy [outer,n,inner] at indices [n], in the order of n. An
 * index out of range adds nothing. count [depth] is zero before the first launch:
 *   gather_count  count[d] = how many indices are d                        grid-stride over n
 *   gather_begin  begin[d] = Σ count before d, and count becomes 0 again   one block of TCT_CU_BLOCK threads
 *   gather_place  place[begin[d] …] = the positions with index d, in any order    grid-stride over n
 *   gather_sum    each row of dtable from its positions, least first       a block of TCT_CU_BLOCK threads for each row, grid-stride
 * Integers are counted by atomics, whose order shows only in `place`. */
typedef struct tct_cu_gather_grad_args {
  const int32_t *indices;
  int32_t *count, *begin, *place;
  tct_cu_tensor dy, dtable;
  int64_t n, depth, outer, inner;
} tct_cu_gather_grad_args;
typedef tct_cu_gather_grad_args tct_cu_gather_count_args, tct_cu_gather_begin_args, tct_cu_gather_place_args, tct_cu_gather_sum_args;

/* ---- along an axis ---- */

/* y[o,i,c] = Σ x[o,j,c] over j <= i (exclusive: j < i; reverse: from the end); x, y [outer,n,inner] of floats, or i32, i64 or u8. A
 * thread to a line; grid-stride over outer·inner. */
typedef struct tct_cu_cumsum_args {
  const void *x;
  void *y;
  int64_t outer, n;
  tct_cu_divisor inner;
  int32_t dtype, exclusive, reverse, reserved;
} tct_cu_cumsum_args;

/* The k greatest of each row of x [rows,n], greatest first, of equals the first; positions i32 [rows,k]. A NaN counts as greatest. A
 * warp to a row; grid-stride over 32·rows. x and y of floats, i32, i64 or u8. */
typedef struct tct_cu_top_k_args {
  const void *x;
  void *y;
  int32_t *positions;
  int64_t rows, n, k;
  int32_t dtype, reserved;
} tct_cu_top_k_args;

/* dx[r, position[r,j]] = dy[r,j], where dx [rows,n] is zero before. Grid-stride over rows·k. */
typedef struct tct_cu_top_k_grad_args {
  const int32_t *positions;
  tct_cu_tensor dy, dx;
  int64_t size, n; /* size: rows·k */
  tct_cu_divisor k;
} tct_cu_top_k_grad_args;

/* dx = dy[o]·the product of the other x of output o, whose elements lie at kept(o) + reduced(r). A thread to an output; grid-stride
 * over n_out. */
typedef struct tct_cu_prod_grad_args {
  tct_cu_tensor x, dy, dx;
  tct_cu_view kept, reduced;
  int64_t n_out, n_reduced;
} tct_cu_prod_grad_args;

/* ---- optimizers ---- */

/* One launch for up to TCT_CU_UPDATES tensors of one rule; tensor t has the blocks from[t] … from[t+1]-1 of TCT_CU_UPDATE_CHUNK
 * elements; TCT_CU_BLOCK threads. finite false: nothing is written. NULL: scale 1, finite true, no such state. Formulas at
 * tct_update_attrs. states: sgd velocity; adam m, v; rmsprop mean square, momentum, mean gradient; adagrad accumulator. */
enum { TCT_CU_UPDATES = 64, TCT_CU_UPDATE_CHUNK = 2048 }; /* as many as a launch has room for */
typedef struct tct_cu_update_tensor {
  float *w, *state[3];
  tct_cu_tensor g;
  int64_t n;
} tct_cu_update_tensor;
typedef struct tct_cu_update_args {
  const float *lr, *scale; /* [] on the device */
  const int64_t *step;
  const uint8_t *finite;
  double beta1, beta2;
  float epsilon, momentum, l1, l2, weight_decay, clip; /* clip: infinite where there is none */
  int32_t nesterov, n_tensors;
  int32_t from[TCT_CU_UPDATES + 1];
  int32_t reserved;
  tct_cu_update_tensor tensor[TCT_CU_UPDATES];
} tct_cu_update_args;
typedef tct_cu_update_args tct_cu_sgd_args, tct_cu_adam_args, tct_cu_rmsprop_args, tct_cu_adagrad_args;

/* ---- products ---- */

/* What happens to a sum before it is stored: y = activation(sum + bias[j]). op: TCT_OP_NONE or a unary row. */
typedef struct tct_cu_epilogue {
  tct_cu_tensor bias; /* data NULL: none */
  int32_t op;
  float p0, p1;
  int32_t reserved;
} tct_cu_epilogue;

/* A product is cut into tiles of TCT_CU_TILE x TCT_CU_TILE and its sum into parts of part_length; block: 256 threads; grid:
 * ((batch·parts + part)·tiles_m + tile)·tiles_n + tile. With one part the epilogue is applied and y written; with more, the
 * parts go to partial [parts, batch·m·n] for sum_parts. */
enum { TCT_CU_TILE = 64, TCT_CU_TILE_DEPTH = 16 };
typedef struct tct_cu_tiling {
  tct_cu_divisor tiles_m, tiles_n, parts;
  int64_t part_length; /* a multiple of TCT_CU_TILE_DEPTH */
  float *partial;
} tct_cu_tiling;

/* y [batch,m,n] = epilogue(Σ_k a[i·a_row + k·a_column]·b[k·b_row + j·b_column]); batch z of a and b lies where the views say. */
typedef struct tct_cu_gemm_args {
  tct_cu_tensor a, b, y;
  tct_cu_epilogue end;
  tct_cu_tiling tiling;
  int64_t m, n, k, a_row, a_column, b_row, b_column;
  int64_t batch;
  tct_cu_view a_batch, b_batch;
} tct_cu_gemm_args;
/* a and b of i8, y of i32, one part of ⌈k/4⌉ terms, no epilogue. */
typedef tct_cu_gemm_args tct_cu_gemm_i8_args;

/* y [size] = epilogue(Σ_part partial[part, i]); bias by i % n.d. Grid-stride. */
typedef struct tct_cu_sum_parts_args {
  const float *partial;
  tct_cu_tensor y;
  tct_cu_epilogue end;
  int64_t size, parts;
  tct_cu_divisor n;
} tct_cu_sum_parts_args;

/* x [n,h,w,c], filter [r,s,cg,k], y [n,p,q,k] in groups of cg and kg channels, each a product in tiles: its batch index is the
 * group.  conv: y from x and filter (m = n·p·q, n = kg).  conv_grad_input: x from y and filter (m = n·h·w, n = cg).
 * conv_grad_filter: filter from x and y (m = r·s·cg, n = kg). No epilogue in the gradients; with several parts, partial is
 * [parts, size of the result]. */
typedef struct tct_cu_conv_args {
  tct_cu_tensor x, filter, y;
  tct_cu_epilogue end;
  tct_cu_tiling tiling;
  tct_cu_divisor h, w, p, q, s, cg, kg, stride_h, stride_w;
  int64_t images, r, groups;
  int64_t pad_h, pad_w, dilation_h, dilation_w;
} tct_cu_conv_args;
typedef tct_cu_conv_args tct_cu_conv_grad_input_args, tct_cu_conv_grad_filter_args;

/* ---- attention ---- */

/* q [B,T,H,d], k [B,S,H,d], v [B,S,H,width], y and dy [B,T,H,width], l [B,H,T]; T queries, S keys; heads B·H, per_sample H. A query
 * sees what mask (strides over [B,H,T,S]; NULL: everything) and causal leave. Grid: (tile·heads + head)·chunks + chunk; 256 threads.
 *   attention               y and l       tiles of TCT_CU_TILE queries, chunks of TCT_CU_ATTENTION_CHUNKS·TCT_CU_TILE columns of y, at
 *                                         least one; each chunk makes the scores again
 *   attention_delta         delta [B,T,H] = Σ dy·y     a row kernel over B·T·H rows of width
 *   attention_grad_queries  dq            tiles of queries, chunks of TCT_CU_TILE columns of dq
 *   attention_grad_keys     dk and dv     tiles of keys (`tiles` is not read), chunks of TCT_CU_TILE columns of the wider one */
enum { TCT_CU_ATTENTION_CHUNKS = 2 };
typedef struct tct_cu_attention_args {
  tct_cu_tensor q, k, v, y, l;
  tct_cu_tensor dy, dq, dk, dv; /* gradients */
  float *delta;
  const uint8_t *mask;
  int64_t mask_stride[4];
  int64_t queries, keys, d, width, tiles;
  int64_t pitch, wide_pitch; /* H·d, H·width: from one position to the next */
  tct_cu_divisor heads, per_sample, chunks;
  float scale;
  int32_t causal;
} tct_cu_attention_args;
typedef tct_cu_attention_args tct_cu_attention_delta_args, tct_cu_attention_grad_queries_args, tct_cu_attention_grad_keys_args;

/* ---- recurrent layers ---- */

/* What follows the product with the state in one step, at `time`, of B samples and H units; formulas at runtime/ops/recurrent.c.
 * product [parts, B, product_width]: h·u forward, what the step behind sends back through uᵀ in gradients; parts 0: none.
 *   lstm_cell       y, c [B,T,H], gates [B,T,4H] (which may be `projected`), state and cell; before: c of the step before, or c₀
 *   gru_cell        y, gates, state; projected [B,T,3H]; before: h
 *   lstm_cell_grad  da [B,T,4H] and, dense, state [B,4H]; cell: dc, carried back; dc: its gradient from outside, if any
 *   gru_cell_grad   da, dq [B,T,3H], state [B,3H] = dq; cell: what goes back beside the product
 *   cell_grad_end   dh₀ and, lstm's, dc₀ in dh and dc; gru's dc is NULL
 * Grid-stride over size = B·H. */
typedef struct tct_cu_cell_args {
  const float *product, *projected; /* projected: x·w + b [B,T,..] */
  float *state, *cell;
  tct_cu_tensor before; /* [B,H], before_pitch apart; NULL: zeros */
  tct_cu_tensor bias, y, c, gates, dy, dc, da, dq, dh; /* bias: gru's [2,3H] */
  int64_t size, steps, time, parts, product_width, before_pitch;
  tct_cu_divisor units;
  int32_t is_last, reserved; /* is_last: the gradients' first step, nothing is carried yet */
} tct_cu_cell_args;
typedef tct_cu_cell_args tct_cu_lstm_cell_args, tct_cu_gru_cell_args, tct_cu_lstm_cell_grad_args, tct_cu_gru_cell_grad_args,
    tct_cu_cell_grad_end_args;

#endif
