/* Batch and layer normalisation: sums down the columns in parts, joined by a second launch; then one pass over x. */
#include "backends/cuda/ops/shape.h"

typedef struct norm_state {
  tct_cu_extent rows_extent, sums_extent, end_extent, over_extent;
  int64_t rows, n, parts;
} norm_state;

static tct_cu_tensor in(const tct_launch *launch, int32_t i) {
  return tct_cu_tensor_of(&launch->node->in[i], launch->in[i]);
}
static tct_cu_tensor out(const tct_launch *launch, int32_t i) {
  return tct_cu_tensor_of(&launch->node->out[i], launch->out[i]);
}

bool tct_cu_batch_norm_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  return tct_cu_floats(node, ~0u, why, why_bytes);
}
bool tct_cu_layer_norm_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  return tct_cu_floats(node, ~0u, why, why_bytes);
}

static tct_status prepare(tct_device_impl *device, const tct_node_view *node, bool has_sums, tct_prepared *prepared) {
  const tct_shape *const x = &node->in[0].shape;
  norm_state *const s = tct_cu_state(device, sizeof *s);
  if (s == NULL) return TCT_OUT_OF_MEMORY;
  s->rows = tct_cu_extents(x, 0, x->rank - 1);
  s->n = x->dim[x->rank - 1];
  const int64_t tiles = (s->n + TCT_CU_WARP - 1) / TCT_CU_WARP;
  s->parts = tct_cu_parts(device, tiles, s->rows, 64);
  s->rows_extent = tct_cu_extent_rows(device, s->rows, s->n);
  s->sums_extent = tct_cu_extent_1d(tiles, 1, TCT_CU_WARP, 0);
  s->sums_extent.grid[1] = (uint32_t)s->parts;
  s->sums_extent.block[1] = TCT_CU_BLOCK / TCT_CU_WARP;
  s->end_extent = tct_cu_extent_over(device, s->n, TCT_CU_BLOCK, 1);
  s->over_extent = tct_cu_extent_over(device, s->rows * s->n, TCT_CU_BLOCK, 1);
  *prepared = (tct_prepared){.workspace_bytes = has_sums ? (size_t)(2 * (s->parts + 1) * s->n) * sizeof(float) : 0, .state = s};
  return TCT_OK;
}

tct_status tct_cu_batch_norm_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *prepared) {
  return prepare(device, node, node->op != TCT_OP_batch_norm_inference, prepared);
}
tct_status tct_cu_layer_norm_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *prepared) {
  return prepare(device, node, node->op == TCT_OP_layer_norm_grad, prepared);
}

/* The two sums over x's rows as they were before they were rounded: behind the parts in the workspace. */
static tct_cu_tensor exact(const tct_launch *launch, int32_t which) {
  const norm_state *const s = launch->state;
  return (tct_cu_tensor){.data = (float *)launch->workspace + (2 * s->parts + which) * s->n, .dtype = TCT_F32};
}

/* first and second [n] = the two sums over x's rows. */
static tct_status sums(tct_device_impl *device, const tct_launch *launch, tct_cu_column_sum kind, tct_cu_tensor dy, tct_cu_tensor mean,
                       tct_cu_tensor scale, tct_cu_tensor first, tct_cu_tensor second) {
  const norm_state *const s = launch->state;
  const tct_norm_attrs *const attrs = launch->node->attrs;
  const tct_cu_column_sums_args a = {.x = in(launch, 0),
                                     .dy = dy,
                                     .mean = mean,
                                     .scale = scale,
                                     .partial = launch->workspace,
                                     .rows = s->rows,
                                     .n = s->n,
                                     .kind = (int32_t)kind,
                                     .epsilon = (float)attrs->epsilon};
  const tct_status status = tct_cu_launch(device, launch->node, TCT_CU_KERNEL_column_sums, &s->sums_extent, &a);
  if (status != TCT_OK) return status;
  const tct_cu_column_sums_end_args end = {.partial = launch->workspace,
                                           .exact = exact(launch, 0).data,
                                           .x = in(launch, 0),
                                           .first = first,
                                           .second = second,
                                           .rows = s->rows,
                                           .n = s->n,
                                           .parts = s->parts,
                                           .kind = (int32_t)kind};
  return tct_cu_launch(device, launch->node, TCT_CU_KERNEL_column_sums_end, &s->end_extent, &end);
}

static tct_status normalize(tct_device_impl *device, const tct_launch *launch, tct_cu_tensor mean, tct_cu_tensor variance) {
  const norm_state *const s = launch->state;
  const tct_norm_attrs *const attrs = launch->node->attrs;
  const tct_cu_batch_norm_args a = {.x = in(launch, 0),
                                    .gamma = in(launch, 1),
                                    .beta = in(launch, 2),
                                    .mean = mean,
                                    .variance = variance,
                                    .y = out(launch, 0),
                                    .size = s->rows * s->n,
                                    .n = tct_cu_divisor_of(s->n),
                                    .epsilon = (float)attrs->epsilon};
  return tct_cu_launch(device, launch->node, TCT_CU_KERNEL_batch_norm, &s->over_extent, &a);
}

static tct_status batch_norm_grad(tct_device_impl *device, const tct_launch *launch) {
  const norm_state *const s = launch->state;
  const tct_norm_attrs *const attrs = launch->node->attrs;
  const tct_status status = sums(device, launch, TCT_CU_BATCH, in(launch, 4), in(launch, 2), in(launch, 3), out(launch, 1), out(launch, 2));
  if (status != TCT_OK) return status;
  const tct_cu_batch_norm_grad_args a = {.x = in(launch, 0),
                                         .gamma = in(launch, 1),
                                         .mean = in(launch, 2),
                                         .variance = in(launch, 3),
                                         .dy = in(launch, 4),
                                         .dgamma = exact(launch, 0),
                                         .dbeta = exact(launch, 1),
                                         .dx = out(launch, 0),
                                         .size = s->rows * s->n,
                                         .n = tct_cu_divisor_of(s->n),
                                         .epsilon = (float)attrs->epsilon};
  return tct_cu_launch(device, launch->node, TCT_CU_KERNEL_batch_norm_grad, &s->over_extent, &a);
}

tct_status tct_cu_batch_norm_launch(tct_device_impl *device, const tct_launch *launch) {
  const norm_state *const s = launch->state;
  const tct_op op = launch->node->op;
  const tct_cu_tensor none = {.data = NULL};
  if (s->n == 0) return TCT_OK;
  if (op == TCT_OP_batch_norm_inference) return normalize(device, launch, in(launch, 3), in(launch, 4));
  if (op == TCT_OP_batch_norm_grad) return batch_norm_grad(device, launch);
  const tct_status status = sums(device, launch, TCT_CU_MOMENTS, none, none, none, out(launch, 1), out(launch, 2));
  return status == TCT_OK ? normalize(device, launch, exact(launch, 0), exact(launch, 1)) : status;
}

tct_status tct_cu_layer_norm_launch(tct_device_impl *device, const tct_launch *launch) {
  const norm_state *const s = launch->state;
  const tct_norm_attrs *const attrs = launch->node->attrs;
  if (s->n == 0) return TCT_OK;
  if (launch->node->op == TCT_OP_layer_norm) {
    const tct_cu_layer_norm_args a = {.x = in(launch, 0),
                                      .gamma = in(launch, 1),
                                      .beta = in(launch, 2),
                                      .y = out(launch, 0),
                                      .mean = out(launch, 1),
                                      .inverse = out(launch, 2),
                                      .rows = s->rows,
                                      .n = s->n,
                                      .epsilon = (float)attrs->epsilon};
    return tct_cu_launch(device, launch->node, TCT_CU_KERNEL_layer_norm, &s->rows_extent, &a);
  }
  const tct_cu_layer_norm_grad_args a = {.x = in(launch, 0),
                                         .gamma = in(launch, 1),
                                         .mean = in(launch, 2),
                                         .inverse = in(launch, 3),
                                         .dy = in(launch, 4),
                                         .dx = out(launch, 0),
                                         .rows = s->rows,
                                         .n = s->n};
  const tct_status status = tct_cu_launch(device, launch->node, TCT_CU_KERNEL_layer_norm_grad, &s->rows_extent, &a);
  if (status != TCT_OK) return status;
  return sums(device, launch, TCT_CU_LAYER, in(launch, 4), in(launch, 2), in(launch, 3), out(launch, 1), out(launch, 2));
}
