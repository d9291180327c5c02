/* Optimizer updates: which states a rule has, and what its kernel reads from the device in every step. */
#include <math.h>
#include "backends/cuda/shape.h"

typedef struct update_state {
  tct_cu_update_args args;
  tct_cu_extent extent;
  tct_cu_kernel kernel;
} update_state;

bool tct_cu_update_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  const tct_update_attrs *const attrs = node->attrs;
  if (!tct_cu_stores(node, why, why_bytes)) return false;
  for (int32_t i = 0; i < attrs->n_state; i++)
    if (node->in[i].dtype != TCT_F32)
      return tct_cu_refuse(why, why_bytes, "device gpu updates f32 variables only; keep the weights in f32");
  return true;
}

static tct_cu_kernel kernel_of(tct_op op) {
  switch (op) {
  case TCT_OP_adam_update:
    return TCT_CU_KERNEL_adam;
  case TCT_OP_rmsprop_update:
    return TCT_CU_KERNEL_rmsprop;
  case TCT_OP_adagrad_update:
    return TCT_CU_KERNEL_adagrad;
  default:
    return TCT_CU_KERNEL_sgd;
  }
}

tct_status tct_cu_update_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  const tct_update_attrs *const attrs = node->attrs;
  update_state *const state = tct_cu_state(device, sizeof *state);
  if (state == NULL) return TCT_OUT_OF_MEMORY;
  tct_cu_update_args *const a = &state->args;
  *a = (tct_cu_update_args){.beta1 = attrs->beta1,
                            .beta2 = attrs->beta2,
                            .epsilon = (float)attrs->epsilon,
                            .momentum = (float)attrs->momentum,
                            .l1 = (float)attrs->l1,
                            .l2 = (float)attrs->l2,
                            .weight_decay = (float)attrs->weight_decay,
                            .clip = attrs->clip_value > 0.0 ? (float)attrs->clip_value : INFINITY,
                            .nesterov = attrs->nesterov,
                            .n_tensors = 1};
  a->tensor[0].n = tct_cu_size(&node->in[0].shape);
  a->from[1] = (int32_t)((a->tensor[0].n + TCT_CU_UPDATE_CHUNK - 1) / TCT_CU_UPDATE_CHUNK);
  state->extent = tct_cu_extent_1d(a->from[1], 1, TCT_CU_BLOCK, 0);
  state->kernel = kernel_of(node->op);
  *out = (tct_prepared){.state = state};
  return TCT_OK;
}

/* rmsprop's mean gradient is its last state; its kernel has it third. */
static void set_states(tct_cu_update_tensor *tensor, const tct_launch *launch, const tct_update_attrs *attrs) {
  tensor->w = launch->in[0];
  const bool centered = launch->node->op == TCT_OP_rmsprop_update && attrs->centered;
  const int32_t plain = attrs->n_state - (centered ? 1 : 0);
  for (int32_t i = 1; i < plain; i++) tensor->state[i - 1] = launch->in[i];
  if (centered) tensor->state[2] = launch->in[attrs->n_state - 1];
}

tct_status tct_cu_update_launch(tct_device_impl *device, const tct_launch *launch) {
  const update_state *const state = launch->state;
  const tct_node_view *const node = launch->node;
  const tct_update_attrs *const attrs = node->attrs;
  tct_cu_update_args a = state->args;
  if (a.tensor[0].n == 0) return TCT_OK;
  set_states(&a.tensor[0], launch, attrs);
  a.tensor[0].g = tct_cu_tensor_of(&node->in[attrs->n_state], launch->in[attrs->n_state]);
  a.lr = launch->in[attrs->n_state + 1];
  if (node->op == TCT_OP_adam_update) a.step = launch->in[attrs->n_state + 2];
  const int32_t behind = node->n_in - (attrs->conditional ? 1 : 0);
  if (attrs->conditional) a.finite = launch->in[behind];
  if (attrs->has_scale) a.scale = launch->in[behind - 1];
  return tct_cu_launch(device, node, state->kernel, &state->extent, &a);
}
