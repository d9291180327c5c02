/* Softmax, its logarithm, their gradients, and the cross-entropies: kernels over rows; a softmax of another axis than the last goes
 * down columns. */
#include "backends/cuda/ops/shape.h"

/* ---- softmax ---- */

typedef struct softmax_state {
  tct_cu_extent extent;
  int64_t outer, n, inner;
  bool log, grad;
} softmax_state;

bool tct_cu_softmax_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  return tct_cu_floats(node, ~0u, why, why_bytes);
}

tct_status tct_cu_softmax_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  const tct_axis_attrs *const attrs = node->attrs;
  const tct_shape *const x = &node->in[0].shape;
  softmax_state *const state = tct_cu_state(device, sizeof *state);
  if (state == NULL) return TCT_OUT_OF_MEMORY;
  *state = (softmax_state){.outer = tct_cu_extents(x, 0, attrs->axis),
                           .n = x->dim[attrs->axis],
                           .inner = tct_cu_extents(x, attrs->axis + 1, x->rank),
                           .log = node->op == TCT_OP_log_softmax || node->op == TCT_OP_log_softmax_grad,
                           .grad = node->n_in == 2};
  state->extent = state->inner == 1 ? tct_cu_extent_rows(device, state->outer, state->n)
                                    : tct_cu_extent_over(device, state->outer * state->inner, TCT_CU_BLOCK, 1);
  *out = (tct_prepared){.state = state};
  return TCT_OK;
}

static tct_status launch_grad(tct_device_impl *device, const tct_launch *launch) {
  const softmax_state *const s = launch->state;
  const tct_node_view *const node = launch->node;
  const tct_cu_tensor y = tct_cu_tensor_of(&node->in[0], launch->in[0]), dy = tct_cu_tensor_of(&node->in[1], launch->in[1]);
  const tct_cu_tensor dx = tct_cu_tensor_of(&node->out[0], launch->out[0]);
  if (s->inner == 1) {
    const tct_cu_softmax_grad_args a = {.y = y, .dy = dy, .dx = dx, .rows = s->outer, .n = s->n, .log = s->log};
    return tct_cu_launch(device, node, TCT_CU_KERNEL_softmax_grad, &s->extent, &a);
  }
  const tct_cu_softmax_grad_columns_args a = {
      .y = y, .dy = dy, .dx = dx, .outer = s->outer, .n = s->n, .inner = tct_cu_divisor_of(s->inner), .log = s->log};
  return tct_cu_launch(device, node, TCT_CU_KERNEL_softmax_grad_columns, &s->extent, &a);
}

tct_status tct_cu_softmax_launch(tct_device_impl *device, const tct_launch *launch) {
  const softmax_state *const s = launch->state;
  const tct_node_view *const node = launch->node;
  if (s->outer * s->n * s->inner == 0) return TCT_OK;
  if (s->grad) return launch_grad(device, launch);
  const tct_cu_tensor x = tct_cu_tensor_of(&node->in[0], launch->in[0]), y = tct_cu_tensor_of(&node->out[0], launch->out[0]);
  if (s->inner == 1) {
    const tct_cu_softmax_args a = {.x = x, .y = y, .rows = s->outer, .n = s->n, .log = s->log};
    return tct_cu_launch(device, node, TCT_CU_KERNEL_softmax, &s->extent, &a);
  }
  const tct_cu_softmax_columns_args a = {
      .x = x, .y = y, .outer = s->outer, .n = s->n, .inner = tct_cu_divisor_of(s->inner), .log = s->log};
  return tct_cu_launch(device, node, TCT_CU_KERNEL_softmax_columns, &s->extent, &a);
}

/* ---- cross-entropy ---- */

typedef struct loss_state {
  tct_cu_extent extent;
  int64_t rows, n;
  bool sparse;
} loss_state;

static bool is_sparse(const tct_node_view *node) {
  return node->op == TCT_OP_sparse_softmax_cross_entropy || node->op == TCT_OP_sparse_softmax_cross_entropy_grad;
}

bool tct_cu_cross_entropy_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  return tct_cu_floats(node, is_sparse(node) ? ~2u : ~0u, why, why_bytes);
}

tct_status tct_cu_cross_entropy_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  const tct_shape *const x = &node->in[0].shape;
  loss_state *const state = tct_cu_state(device, sizeof *state);
  if (state == NULL) return TCT_OUT_OF_MEMORY;
  *state = (loss_state){
      .rows = tct_cu_extents(x, 0, x->rank - 1), .n = x->dim[x->rank - 1], .sparse = is_sparse(node)};
  state->extent = tct_cu_extent_rows(device, state->rows, state->n);
  *out = (tct_prepared){.state = state};
  return TCT_OK;
}

tct_status tct_cu_cross_entropy_launch(tct_device_impl *device, const tct_launch *launch) {
  const loss_state *const s = launch->state;
  const tct_node_view *const node = launch->node;
  const tct_cross_entropy_attrs *const attrs = node->attrs;
  if (s->rows == 0) return TCT_OK;
  const tct_cu_tensor x = tct_cu_tensor_of(&node->in[0], launch->in[0]), y = tct_cu_tensor_of(&node->out[0], launch->out[0]);
  const tct_cu_tensor targets = tct_cu_tensor_of(&node->in[1], launch->in[1]);
  const int32_t *const labels = s->sparse ? launch->in[1] : NULL;
  const float smoothing = (float)attrs->label_smoothing;
  if (node->n_in == 2) {
    const tct_cu_cross_entropy_args a = {
        .x = x, .targets = targets, .loss = y, .labels = labels, .rows = s->rows, .n = s->n, .smoothing = smoothing};
    return tct_cu_launch(device, node, TCT_CU_KERNEL_cross_entropy, &s->extent, &a);
  }
  const tct_cu_cross_entropy_grad_args a = {.x = x,
                                            .targets = targets,
                                            .dloss = tct_cu_tensor_of(&node->in[2], launch->in[2]),
                                            .dx = y,
                                            .labels = labels,
                                            .rows = s->rows,
                                            .n = s->n,
                                            .smoothing = smoothing};
  return tct_cu_launch(device, node, TCT_CU_KERNEL_cross_entropy_grad, &s->extent, &a);
}
