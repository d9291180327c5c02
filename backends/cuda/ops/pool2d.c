/* Pooling and its gradients: one launch, over the outputs or over the pixels of x. */
#include "backends/cuda/ops/shape.h"

typedef struct pool_state {
  tct_cu_pool_args args;
  tct_cu_extent extent;
  bool grad;
} pool_state;

bool tct_cu_pool_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  return tct_cu_floats(node, ~0u, why, why_bytes);
}

tct_status tct_cu_pool_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  const tct_pool2d_attrs *const attrs = node->attrs;
  pool_state *const state = tct_cu_state(device, sizeof *state);
  if (state == NULL) return TCT_OUT_OF_MEMORY;
  tct_cu_pool_args *const a = &state->args;
  state->grad = node->op == TCT_OP_max_pool2d_grad || node->op == TCT_OP_avg_pool2d_grad;
  a->average = node->op == TCT_OP_avg_pool2d || node->op == TCT_OP_avg_pool2d_grad;
  const int64_t *const x = state->grad ? node->out[0].shape.dim : node->in[0].shape.dim;
  const int64_t *const y = state->grad ? node->in[node->n_in - 1].shape.dim : node->out[0].shape.dim;
  a->h = tct_cu_divisor_of(x[1]);
  a->w = tct_cu_divisor_of(x[2]);
  a->c = tct_cu_divisor_of(x[3]);
  a->p = tct_cu_divisor_of(y[1]);
  a->q = tct_cu_divisor_of(y[2]);
  for (int32_t i = 0; i < 2; i++) {
    a->window[i] = (int32_t)attrs->window[i];
    a->stride[i] = (int32_t)attrs->stride[i];
    a->pad[i] = (int32_t)attrs->pad[2 * i];
  }
  a->size = tct_cu_size(&node->out[0].shape);
  state->extent = tct_cu_extent_over(device, a->size, TCT_CU_BLOCK, 1);
  *out = (tct_prepared){.state = state};
  return TCT_OK;
}

tct_status tct_cu_pool_launch(tct_device_impl *device, const tct_launch *launch) {
  const pool_state *const state = launch->state;
  const tct_node_view *const node = launch->node;
  tct_cu_pool_args a = state->args;
  if (a.size == 0) return TCT_OK;
  const int32_t last = node->n_in - 1;
  const tct_cu_tensor result = tct_cu_tensor_of(&node->out[0], launch->out[0]);
  a.x = tct_cu_tensor_of(&node->in[0], launch->in[0]); /* avg's gradient has only dy, and reads no x */
  if (!state->grad) {
    a.y = result;
    return tct_cu_launch(device, node, TCT_CU_KERNEL_pool, &state->extent, &a);
  }
  a.dy = tct_cu_tensor_of(&node->in[last], launch->in[last]);
  a.dx = result;
  return tct_cu_launch(device, node, TCT_CU_KERNEL_pool_grad, &state->extent, &a);
}
