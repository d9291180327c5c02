/* Rows of a table by number, and numbers as unit vectors. */
#include <math.h>
#include "backends/cuda/ops/shape.h"

typedef struct gather_state {
  tct_cu_gather_args args;
  tct_cu_extent extent;
} gather_state;

bool tct_cu_gather_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  return tct_cu_stores(node, why, why_bytes);
}

tct_status tct_cu_gather_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  const tct_gather_attrs *const attrs = node->attrs;
  const tct_shape *const table = &node->in[0].shape;
  gather_state *const state = tct_cu_state(device, sizeof *state);
  if (state == NULL) return TCT_OUT_OF_MEMORY;
  const tct_dtype dtype = node->in[0].dtype;
  state->args = (tct_cu_gather_args){.size = tct_cu_size(&node->out[0].shape),
                                     .depth = table->dim[attrs->axis],
                                     .n = tct_cu_divisor_of(tct_cu_size(&node->in[1].shape)),
                                     .inner = tct_cu_divisor_of(tct_cu_extents(table, attrs->axis + 1, table->rank)),
                                     .missing = tct_cu_is_float(dtype) ? tct_cu_bits(dtype, (double)NAN) : 0,
                                     .bytes = (int32_t)tct_cu_bytes(dtype)};
  state->extent = tct_cu_extent_over(device, state->args.size, TCT_CU_BLOCK, 1);
  *out = (tct_prepared){.state = state};
  return TCT_OK;
}

tct_status tct_cu_gather_launch(tct_device_impl *device, const tct_launch *launch) {
  const gather_state *const state = launch->state;
  tct_cu_gather_args a = state->args;
  if (a.size == 0) return TCT_OK;
  a.table = launch->in[0];
  a.indices = launch->in[1];
  a.y = launch->out[0];
  return tct_cu_launch(device, launch->node, TCT_CU_KERNEL_gather, &state->extent, &a);
}

typedef struct one_hot_state {
  tct_cu_one_hot_args args;
  tct_cu_extent extent;
} one_hot_state;

bool tct_cu_one_hot_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  return tct_cu_stores(node, why, why_bytes);
}

tct_status tct_cu_one_hot_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  const tct_one_hot_attrs *const attrs = node->attrs;
  const tct_dtype dtype = node->out[0].dtype;
  one_hot_state *const state = tct_cu_state(device, sizeof *state);
  if (state == NULL) return TCT_OUT_OF_MEMORY;
  state->args = (tct_cu_one_hot_args){.size = tct_cu_size(&node->out[0].shape),
                                      .depth = tct_cu_divisor_of(attrs->depth),
                                      .on = tct_cu_bits(dtype, attrs->on),
                                      .off = tct_cu_bits(dtype, attrs->off),
                                      .bytes = (int32_t)tct_cu_bytes(dtype)};
  state->extent = tct_cu_extent_over(device, state->args.size, TCT_CU_BLOCK, 1);
  *out = (tct_prepared){.state = state};
  return TCT_OK;
}

tct_status tct_cu_one_hot_launch(tct_device_impl *device, const tct_launch *launch) {
  const one_hot_state *const state = launch->state;
  tct_cu_one_hot_args a = state->args;
  if (a.size == 0) return TCT_OK;
  a.indices = launch->in[0];
  a.y = launch->out[0];
  return tct_cu_launch(device, launch->node, TCT_CU_KERNEL_one_hot, &state->extent, &a);
}

/* ---- the gradient of gather: workspace count [depth], begin [depth], place [n] ---- */

typedef struct gather_grad_state {
  tct_cu_gather_grad_args args;
  tct_cu_fill_args fill;
  tct_cu_extent fill_extent, each, one, sum;
} gather_grad_state;

bool tct_cu_gather_grad_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  return tct_cu_floats(node, ~1u, why, why_bytes);
}

tct_status tct_cu_gather_grad_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  const tct_gather_attrs *const attrs = node->attrs;
  const tct_shape *const table = &node->out[0].shape;
  gather_grad_state *const state = tct_cu_state(device, sizeof *state);
  if (state == NULL) return TCT_OUT_OF_MEMORY;
  tct_cu_gather_grad_args *const a = &state->args;
  a->n = tct_cu_size(&node->in[0].shape);
  a->depth = table->dim[attrs->axis];
  a->outer = tct_cu_extents(table, 0, attrs->axis);
  a->inner = tct_cu_extents(table, attrs->axis + 1, table->rank);
  state->fill = (tct_cu_fill_args){.n = a->depth, .bytes = (int32_t)sizeof(int32_t)};
  state->fill_extent = tct_cu_extent_over(device, a->depth, TCT_CU_BLOCK, 1);
  state->each = tct_cu_extent_over(device, a->n, TCT_CU_BLOCK, 1);
  state->one = tct_cu_extent_1d(1, 1, TCT_CU_BLOCK, 0);
  state->sum = tct_cu_extent_1d(a->outer * a->depth, 1, TCT_CU_BLOCK, 64 * (int64_t)device->chip.n_units);
  *out = (tct_prepared){.workspace_bytes = (size_t)(2 * a->depth + a->n) * sizeof(int32_t), .state = state};
  return TCT_OK;
}

tct_status tct_cu_gather_grad_launch(tct_device_impl *device, const tct_launch *launch) {
  const gather_grad_state *const state = launch->state;
  const tct_node_view *const node = launch->node;
  tct_cu_gather_grad_args a = state->args;
  if (tct_cu_size(&node->out[0].shape) == 0) return TCT_OK;
  a.indices = launch->in[0];
  a.count = launch->workspace;
  a.begin = a.count + a.depth;
  a.place = a.begin + a.depth;
  a.dy = tct_cu_tensor_of(&node->in[1], launch->in[1]);
  a.dtable = tct_cu_tensor_of(&node->out[0], launch->out[0]);
  tct_cu_fill_args fill = state->fill;
  fill.to = a.count;
  tct_status status = tct_cu_launch(device, node, TCT_CU_KERNEL_fill, &state->fill_extent, &fill);
  if (status == TCT_OK) status = tct_cu_launch(device, node, TCT_CU_KERNEL_gather_count, &state->each, &a);
  if (status == TCT_OK) status = tct_cu_launch(device, node, TCT_CU_KERNEL_gather_begin, &state->one, &a);
  if (status == TCT_OK) status = tct_cu_launch(device, node, TCT_CU_KERNEL_gather_place, &state->each, &a);
  return status == TCT_OK ? tct_cu_launch(device, node, TCT_CU_KERNEL_gather_sum, &state->sum, &a) : status;
}
