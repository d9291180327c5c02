/* Reductions, positions of extremes and the global norm. Where outputs are too few to fill the device, what each folds is cut into
 * parts, which a second launch joins in order. */
#include <math.h>
#include "backends/cuda/ops/shape.h"

/* ---- reductions over any axes ---- */

typedef struct reduce_state {
  tct_cu_reduce_args args; /* of the first launch but for its fold */
  tct_cu_extent extent, join_extent;
  tct_cu_kernel kernel, join_kernel;
  tct_cu_fold fold;
  double scale;
  bool log;
  size_t partial_bytes;
} reduce_state;

static bool is_whole(tct_dtype dtype) {
  return dtype == TCT_I32 || dtype == TCT_I64 || dtype == TCT_U8;
}

bool tct_cu_reduce_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  if (!tct_cu_stores(node, why, why_bytes)) return false;
  return tct_cu_is_float(node->in[0].dtype) || is_whole(node->in[0].dtype) ||
         tct_cu_refuse(why, why_bytes, "device gpu reduces numbers only; cast the operand");
}

static tct_cu_fold fold_of(tct_op op) {
  switch (op) {
  case TCT_OP_reduce_prod:
    return TCT_CU_PROD;
  case TCT_OP_reduce_max:
    return TCT_CU_MAX;
  case TCT_OP_reduce_min:
    return TCT_CU_MIN;
  case TCT_OP_logsumexp:
    return TCT_CU_SUM_EXP;
  default:
    return TCT_CU_SUM;
  }
}

/* Blocks, and the divisor that finds a block's outputs. */
static tct_cu_extent extent_of(const tct_device_impl *device, tct_cu_reduce_args *a, bool rows) {
  if (rows) {
    a->per_part = tct_cu_divisor_of(a->n_out);
    return tct_cu_extent_rows(device, a->n_out * a->parts, a->n_reduced / a->parts);
  }
  const int64_t tiles = (a->n_out + TCT_CU_WARP - 1) / TCT_CU_WARP;
  a->per_part = tct_cu_divisor_of(tiles);
  tct_cu_extent extent = tct_cu_extent_1d(tiles * a->parts, 1, TCT_CU_WARP, 16 * (int64_t)device->chip.n_units);
  extent.block[1] = TCT_CU_BLOCK / TCT_CU_WARP;
  return extent;
}

/* The launch that joins the parts: they are the reduced axis of [parts, n_out]. */
static tct_cu_reduce_args join_args(const reduce_state *state, const void *partial) {
  tct_cu_reduce_args a = {.x = partial,
                          .n_out = state->args.n_out,
                          .n_reduced = state->args.parts,
                          .parts = 1,
                          .x_dtype = is_whole((tct_dtype)state->args.x_dtype) ? TCT_F64 : TCT_F32};
  a.per_part = tct_cu_divisor_of((a.n_out + TCT_CU_WARP - 1) / TCT_CU_WARP);
  tct_cu_add_axis(&a.kept, a.n_out, 1);
  tct_cu_add_axis(&a.reduced, a.n_reduced, a.n_out);
  return a;
}

tct_status tct_cu_reduce_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  const tct_reduce_attrs *const attrs = node->attrs;
  reduce_state *const state = tct_cu_state(device, sizeof *state);
  if (state == NULL) return TCT_OUT_OF_MEMORY;
  tct_cu_reduce_args *const a = &state->args;
  const bool rows = tct_cu_split_axes(&node->in[0].shape, attrs->axes, &a->kept, &a->reduced, &a->n_out, &a->n_reduced);
  const bool whole = is_whole(node->in[0].dtype);
  a->x_dtype = (int32_t)node->in[0].dtype;
  const int64_t blocks = rows ? (a->n_out + 7) / 8 : (a->n_out + TCT_CU_WARP - 1) / TCT_CU_WARP;
  a->parts = tct_cu_parts(device, blocks, a->n_reduced, rows ? 2048 : 128);
  state->fold = fold_of(node->op);
  state->log = node->op == TCT_OP_logsumexp;
  state->scale = node->op == TCT_OP_reduce_mean ? 1.0 / (double)a->n_reduced : 1.0;
  state->extent = extent_of(device, a, rows);
  state->kernel = whole ? (rows ? TCT_CU_KERNEL_reduce_rows_whole : TCT_CU_KERNEL_reduce_columns_whole)
                        : (rows ? TCT_CU_KERNEL_reduce_rows : TCT_CU_KERNEL_reduce_columns);
  state->join_kernel = whole ? TCT_CU_KERNEL_reduce_columns_whole : TCT_CU_KERNEL_reduce_columns;
  tct_cu_reduce_args join = join_args(state, NULL);
  state->join_extent = extent_of(device, &join, false);
  if (a->parts > 1) state->partial_bytes = (size_t)(a->parts * a->n_out) * (whole ? sizeof(double) : sizeof(float));
  /* Behind the parts: the greatest of each output. */
  *out = (tct_prepared){.workspace_bytes = state->partial_bytes + (state->log ? (size_t)a->n_out * sizeof(float) : 0),
                        .state = state};
  return TCT_OK;
}

/* y = the fold over x, of y's dtype, times scale or through the logarithm. */
static tct_status fold(tct_device_impl *device, const tct_launch *launch, tct_cu_fold how, void *y, tct_dtype y_dtype, double scale,
                       const float *most, bool log) {
  const reduce_state *const state = launch->state;
  const bool parted = state->args.parts > 1;
  tct_cu_reduce_args a = state->args;
  a.x = launch->in[0];
  a.fold = (int32_t)how;
  a.most = most;
  tct_cu_reduce_args join = join_args(state, launch->workspace), *const last = parted ? &join : &a;
  join.fold = how == TCT_CU_SUM_EXP ? (int32_t)TCT_CU_SUM : (int32_t)how;
  join.most = most;
  a.y = launch->workspace;
  last->y = y;
  last->y_dtype = (int32_t)y_dtype;
  last->scale = scale;
  last->log = log;
  const tct_status status = tct_cu_launch(device, launch->node, state->kernel, &state->extent, &a);
  return status == TCT_OK && parted ? tct_cu_launch(device, launch->node, state->join_kernel, &state->join_extent, &join) : status;
}

tct_status tct_cu_reduce_launch(tct_device_impl *device, const tct_launch *launch) {
  const reduce_state *const state = launch->state;
  const tct_dtype dtype = launch->node->out[0].dtype;
  if (state->args.n_out == 0) return TCT_OK;
  if (!state->log) return fold(device, launch, state->fold, launch->out[0], dtype, state->scale, NULL, false);
  float *const most = (float *)((char *)launch->workspace + state->partial_bytes);
  const tct_status status = fold(device, launch, TCT_CU_MAX, most, TCT_F32, 1.0, NULL, false);
  return status == TCT_OK ? fold(device, launch, TCT_CU_SUM_EXP, launch->out[0], dtype, 1.0, most, true) : status;
}

/* ---- positions ---- */

typedef struct arg_state {
  tct_cu_arg_args args;
  tct_cu_extent extent;
} arg_state;

bool tct_cu_arg_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  if (!tct_cu_stores(node, why, why_bytes)) return false;
  const tct_dtype dtype = node->in[0].dtype;
  return tct_cu_is_float(dtype) || dtype == TCT_I32 || dtype == TCT_I64 ||
         tct_cu_refuse(why, why_bytes, "device gpu orders floats, i32 and i64 only; cast the operand");
}

tct_status tct_cu_arg_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  const tct_arg_attrs *const attrs = node->attrs;
  const tct_shape *const x = &node->in[0].shape;
  arg_state *const state = tct_cu_state(device, sizeof *state);
  if (state == NULL) return TCT_OUT_OF_MEMORY;
  const int64_t inner = tct_cu_extents(x, attrs->axis + 1, x->rank);
  state->args = (tct_cu_arg_args){.outer = tct_cu_extents(x, 0, attrs->axis),
                                  .n = x->dim[attrs->axis],
                                  .inner = tct_cu_divisor_of(inner),
                                  .dtype = (int32_t)node->in[0].dtype,
                                  .least = node->op == TCT_OP_argmin};
  const int64_t results = tct_cu_size(&node->out[0].shape);
  state->extent = tct_cu_extent_over(device, inner == 1 ? results * TCT_CU_WARP : results, TCT_CU_BLOCK, 1);
  *out = (tct_prepared){.state = state};
  return TCT_OK;
}

tct_status tct_cu_arg_launch(tct_device_impl *device, const tct_launch *launch) {
  const arg_state *const state = launch->state;
  tct_cu_arg_args a = state->args;
  if (tct_cu_size(&launch->node->out[0].shape) == 0) return TCT_OK;
  a.x = launch->in[0];
  a.y = launch->out[0];
  return tct_cu_launch(device, launch->node, TCT_CU_KERNEL_arg, &state->extent, &a);
}

/* ---- the norm of a list of tensors ---- */

typedef struct norm_state {
  int64_t n_lists, n_blocks;
  tct_cu_squares_args list[];
} norm_state;

bool tct_cu_global_norm_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  return tct_cu_floats(node, ~0u, why, why_bytes);
}

tct_status tct_cu_global_norm_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  const int64_t n_lists = (node->n_in + TCT_CU_LIST - 1) / TCT_CU_LIST;
  norm_state *const state = tct_cu_state(device, sizeof *state + (size_t)n_lists * sizeof state->list[0]);
  if (state == NULL) return TCT_OUT_OF_MEMORY;
  state->n_lists = n_lists;
  for (int64_t l = 0; l < n_lists; l++) {
    tct_cu_squares_args *const a = &state->list[l];
    const int64_t begin = l * TCT_CU_LIST, rest = node->n_in - begin;
    a->first = state->n_blocks;
    a->n_tensors = (int32_t)(rest < TCT_CU_LIST ? rest : TCT_CU_LIST);
    a->dtype = (int32_t)node->in[0].dtype;
    for (int32_t t = 0; t < a->n_tensors; t++) {
      a->n[t] = tct_cu_size(&node->in[begin + t].shape);
      a->from[t + 1] = a->from[t] + (int32_t)((a->n[t] + TCT_CU_NORM_CHUNK - 1) / TCT_CU_NORM_CHUNK);
    }
    state->n_blocks += a->from[a->n_tensors];
  }
  *out = (tct_prepared){.workspace_bytes = (size_t)state->n_blocks * sizeof(double), .state = state};
  return TCT_OK;
}

tct_status tct_cu_global_norm_launch(tct_device_impl *device, const tct_launch *launch) {
  const norm_state *const state = launch->state;
  tct_status status = TCT_OK;
  for (int64_t l = 0; l < state->n_lists && status == TCT_OK; l++) {
    tct_cu_squares_args a = state->list[l];
    const int64_t blocks = a.from[a.n_tensors];
    if (blocks == 0) continue;
    a.partial = launch->workspace;
    for (int32_t t = 0; t < a.n_tensors; t++) a.x[t] = launch->in[l * TCT_CU_LIST + t];
    const tct_cu_extent extent = tct_cu_extent_1d(blocks, 1, TCT_CU_BLOCK, 0);
    status = tct_cu_launch(device, launch->node, TCT_CU_KERNEL_squares, &extent, &a);
  }
  if (status != TCT_OK) return status;
  const tct_cu_squares_end_args end = {launch->workspace, state->n_blocks, tct_cu_tensor_of(&launch->node->out[0], launch->out[0])};
  const tct_cu_extent one = tct_cu_extent_1d(1, 1, TCT_CU_BLOCK, 0);
  return tct_cu_launch(device, launch->node, TCT_CU_KERNEL_squares_end, &one, &end);
}
