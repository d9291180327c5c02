/* Along one axis: running sums, the greatest of each row, the products of all elements but one. */
#include "backends/cuda/ops/shape.h"

static bool is_number(tct_dtype dtype) {
  return tct_cu_is_float(dtype) || dtype == TCT_I32 || dtype == TCT_I64 || dtype == TCT_U8;
}

static bool takes_numbers(const tct_node_view *node, char *why, size_t why_bytes) {
  if (!tct_cu_stores(node, why, why_bytes)) return false;
  return is_number(node->in[0].dtype) ||
         tct_cu_refuse(why, why_bytes, "device gpu runs %s on floats, i32, i64 and u8 only; cast the operand", node->op_name);
}

/* ---- running sums ---- */

typedef struct cumsum_state {
  tct_cu_cumsum_args args;
  tct_cu_extent extent;
} cumsum_state;

bool tct_cu_cumsum_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  return takes_numbers(node, why, why_bytes);
}

tct_status tct_cu_cumsum_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  const tct_cumsum_attrs *const attrs = node->attrs;
  const tct_shape *const x = &node->in[0].shape;
  cumsum_state *const state = tct_cu_state(device, sizeof *state);
  if (state == NULL) return TCT_OUT_OF_MEMORY;
  const int64_t outer = tct_cu_extents(x, 0, attrs->axis), inner = tct_cu_extents(x, attrs->axis + 1, x->rank);
  state->args = (tct_cu_cumsum_args){.outer = outer,
                                     .n = x->dim[attrs->axis],
                                     .inner = tct_cu_divisor_of(inner),
                                     .dtype = (int32_t)node->in[0].dtype,
                                     .exclusive = attrs->exclusive,
                                     .reverse = attrs->reverse};
  state->extent = tct_cu_extent_over(device, outer * inner, TCT_CU_BLOCK, 1);
  *out = (tct_prepared){.state = state};
  return TCT_OK;
}

tct_status tct_cu_cumsum_launch(tct_device_impl *device, const tct_launch *launch) {
  const cumsum_state *const state = launch->state;
  tct_cu_cumsum_args a = state->args;
  if (tct_cu_size(&launch->node->out[0].shape) == 0) return TCT_OK;
  a.x = launch->in[0];
  a.y = launch->out[0];
  return tct_cu_launch(device, launch->node, TCT_CU_KERNEL_cumsum, &state->extent, &a);
}

/* ---- the greatest of each row ---- */

typedef struct top_k_state {
  tct_cu_top_k_args args;
  tct_cu_extent extent;
} top_k_state;

bool tct_cu_top_k_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  return takes_numbers(node, why, why_bytes);
}

tct_status tct_cu_top_k_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  const tct_top_k_attrs *const attrs = node->attrs;
  top_k_state *const state = tct_cu_state(device, sizeof *state);
  if (state == NULL) return TCT_OUT_OF_MEMORY;
  const int64_t rows = tct_cu_size(&node->out[0].shape) / attrs->k;
  state->args = (tct_cu_top_k_args){.rows = rows, .n = attrs->n, .k = attrs->k, .dtype = (int32_t)node->in[0].dtype};
  state->extent = tct_cu_extent_over(device, rows * TCT_CU_WARP, TCT_CU_BLOCK, 1);
  *out = (tct_prepared){.state = state};
  return TCT_OK;
}

tct_status tct_cu_top_k_launch(tct_device_impl *device, const tct_launch *launch) {
  const top_k_state *const state = launch->state;
  tct_cu_top_k_args a = state->args;
  if (a.rows == 0) return TCT_OK;
  a.x = launch->in[0];
  a.y = launch->out[0];
  a.positions = launch->out[1];
  return tct_cu_launch(device, launch->node, TCT_CU_KERNEL_top_k, &state->extent, &a);
}

typedef struct top_k_grad_state {
  tct_cu_top_k_grad_args args;
  tct_cu_fill_args fill;
  tct_cu_extent extent, fill_extent;
} top_k_grad_state;

bool tct_cu_top_k_grad_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  return tct_cu_floats(node, ~1u, why, why_bytes);
}

tct_status tct_cu_top_k_grad_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  const tct_top_k_attrs *const attrs = node->attrs;
  top_k_grad_state *const state = tct_cu_state(device, sizeof *state);
  if (state == NULL) return TCT_OUT_OF_MEMORY;
  state->args = (tct_cu_top_k_grad_args){
      .size = tct_cu_size(&node->in[0].shape), .n = attrs->n, .k = tct_cu_divisor_of(attrs->k)};
  state->fill = (tct_cu_fill_args){.n = tct_cu_size(&node->out[0].shape), .bytes = (int32_t)tct_cu_bytes(node->out[0].dtype)};
  state->extent = tct_cu_extent_over(device, state->args.size, TCT_CU_BLOCK, 1);
  state->fill_extent = tct_cu_extent_over(device, state->fill.n, TCT_CU_BLOCK, 1);
  *out = (tct_prepared){.state = state};
  return TCT_OK;
}

tct_status tct_cu_top_k_grad_launch(tct_device_impl *device, const tct_launch *launch) {
  const top_k_grad_state *const state = launch->state;
  tct_cu_fill_args fill = state->fill;
  tct_cu_top_k_grad_args a = state->args;
  if (fill.n == 0) return TCT_OK;
  fill.to = launch->out[0];
  const tct_status status = tct_cu_launch(device, launch->node, TCT_CU_KERNEL_fill, &state->fill_extent, &fill);
  if (status != TCT_OK || a.size == 0) return status;
  a.positions = launch->in[0];
  a.dy = tct_cu_tensor_of(&launch->node->in[1], launch->in[1]);
  a.dx = tct_cu_tensor_of(&launch->node->out[0], launch->out[0]);
  return tct_cu_launch(device, launch->node, TCT_CU_KERNEL_top_k_grad, &state->extent, &a);
}

/* ---- the product of the others ---- */

typedef struct prod_grad_state {
  tct_cu_prod_grad_args args;
  tct_cu_extent extent;
} prod_grad_state;

bool tct_cu_prod_grad_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  return tct_cu_floats(node, ~0u, why, why_bytes);
}

tct_status tct_cu_prod_grad_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  const tct_reduce_attrs *const attrs = node->attrs;
  prod_grad_state *const state = tct_cu_state(device, sizeof *state);
  if (state == NULL) return TCT_OUT_OF_MEMORY;
  tct_cu_prod_grad_args *const a = &state->args;
  (void)tct_cu_split_axes(&node->in[0].shape, attrs->axes, &a->kept, &a->reduced, &a->n_out, &a->n_reduced);
  state->extent = tct_cu_extent_over(device, a->n_out, TCT_CU_BLOCK, 1);
  *out = (tct_prepared){.state = state};
  return TCT_OK;
}

tct_status tct_cu_prod_grad_launch(tct_device_impl *device, const tct_launch *launch) {
  const prod_grad_state *const state = launch->state;
  tct_cu_prod_grad_args a = state->args;
  if (a.n_out * a.n_reduced == 0) return TCT_OK;
  a.x = tct_cu_tensor_of(&launch->node->in[0], launch->in[0]);
  a.dy = tct_cu_tensor_of(&launch->node->in[1], launch->in[1]);
  a.dx = tct_cu_tensor_of(&launch->node->out[0], launch->out[0]);
  return tct_cu_launch(device, launch->node, TCT_CU_KERNEL_prod_grad, &state->extent, &a);
}
