/* Rows of a table by number, and numbers as unit vectors. */
#include <math.h>
#include "backends/cuda/shape.h"

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
