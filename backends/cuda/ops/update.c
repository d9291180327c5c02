/* Optimizer updates: which states a rule has, and what its kernel reads from the device in every step. The updates of a program come
 * together, and those of one rule and rate are one launch for every TCT_CU_UPDATES of them. */
#include <math.h>
#include "backends/cuda/ops/shape.h"

typedef struct update_state {
  tct_cu_update_args args; /* the rule, no tensors */
  int64_t n;
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
  state->args = (tct_cu_update_args){.beta1 = attrs->beta1,
                                     .beta2 = attrs->beta2,
                                     .epsilon = (float)attrs->epsilon,
                                     .momentum = (float)attrs->momentum,
                                     .l1 = (float)attrs->l1,
                                     .l2 = (float)attrs->l2,
                                     .weight_decay = (float)attrs->weight_decay,
                                     .clip = attrs->clip_value > 0.0 ? (float)attrs->clip_value : INFINITY,
                                     .nesterov = attrs->nesterov};
  state->n = tct_cu_size(&node->in[0].shape);
  state->kernel = kernel_of(node->op);
  *out = (tct_prepared){.state = state};
  return TCT_OK;
}

/* rmsprop's mean gradient is its last state; its kernel has it third. */
static tct_cu_update_tensor tensor_of(const tct_launch *launch) {
  const update_state *const state = launch->state;
  const tct_update_attrs *const attrs = launch->node->attrs;
  const bool centered = launch->node->op == TCT_OP_rmsprop_update && attrs->centered;
  const int32_t plain = attrs->n_state - (centered ? 1 : 0);
  tct_cu_update_tensor tensor = {.w = launch->in[0],
                                 .g = tct_cu_tensor_of(&launch->node->in[attrs->n_state], launch->in[attrs->n_state]),
                                 .n = state->n};
  for (int32_t i = 1; i < plain; i++) tensor.state[i - 1] = launch->in[i];
  if (centered) tensor.state[2] = launch->in[attrs->n_state - 1];
  return tensor;
}

static bool is_same_rule(const tct_update_attrs *a, const tct_update_attrs *b) {
  return a->n_state == b->n_state && a->beta1 == b->beta1 && a->beta2 == b->beta2 && a->epsilon == b->epsilon && a->momentum == b->momentum &&
         a->nesterov == b->nesterov && a->centered == b->centered && a->has_scale == b->has_scale && a->conditional == b->conditional && a->l1 == b->l1 &&
         a->l2 == b->l2 && a->weight_decay == b->weight_decay && a->clip_value == b->clip_value;
}

/* Both are of one rule and read the same scalars: all operands behind the gradient. */
static bool are_alike(const tct_launch *a, const tct_launch *b) {
  const tct_update_attrs *const attrs = a->node->attrs;
  if (a->node->op != b->node->op || a->node->n_in != b->node->n_in || !is_same_rule(attrs, b->node->attrs)) return false;
  for (int32_t i = attrs->n_state + 1; i < a->node->n_in; i++)
    if (a->in[i] != b->in[i]) return false;
  return true;
}

static void set_scalars(tct_cu_update_args *a, const tct_launch *launch) {
  const tct_node_view *const node = launch->node;
  const tct_update_attrs *const attrs = node->attrs;
  a->lr = launch->in[attrs->n_state + 1];
  if (node->op == TCT_OP_adam_update) a->step = launch->in[attrs->n_state + 2];
  const int32_t behind = node->n_in - (attrs->conditional ? 1 : 0);
  if (attrs->conditional) a->finite = launch->in[behind];
  if (attrs->has_scale) a->scale = launch->in[behind - 1];
}

/* What is listed, if anything is; the list is empty then. */
static tct_status launch_list(tct_device_impl *device, const tct_launch *first, tct_cu_update_args *a) {
  const update_state *const state = first->state;
  if (a->n_tensors == 0) return TCT_OK;
  const tct_cu_extent extent = tct_cu_extent_1d(a->from[a->n_tensors], 1, TCT_CU_BLOCK, 0);
  const tct_status status = tct_cu_launch(device, first->node, state->kernel, &extent, a);
  a->n_tensors = 0;
  return status;
}

/* launches[first] and all that are like it, in as few launches as hold them. */
static tct_status launch_alike(tct_device_impl *device, const tct_launch *const *launches, int32_t first, int32_t n) {
  const update_state *const state = launches[first]->state;
  tct_cu_update_args a = state->args;
  tct_status status = TCT_OK;
  set_scalars(&a, launches[first]);
  for (int32_t i = first; i < n && status == TCT_OK; i++) {
    const tct_cu_update_tensor tensor = tensor_of(launches[i]);
    if (tensor.n == 0 || !are_alike(launches[first], launches[i])) continue;
    a.tensor[a.n_tensors] = tensor;
    a.from[a.n_tensors + 1] = a.from[a.n_tensors] + (int32_t)((tensor.n + TCT_CU_UPDATE_CHUNK - 1) / TCT_CU_UPDATE_CHUNK);
    if (++a.n_tensors == TCT_CU_UPDATES) status = launch_list(device, launches[first], &a);
  }
  return status == TCT_OK ? launch_list(device, launches[first], &a) : status;
}

tct_status tct_cu_update_launch_many(tct_device_impl *device, const tct_launch *const *launches, int32_t n) {
  tct_status status = TCT_OK;
  for (int32_t i = 0; i < n && status == TCT_OK; i++) {
    bool is_listed = false;
    for (int32_t j = 0; j < i && !is_listed; j++) is_listed = are_alike(launches[j], launches[i]);
    if (!is_listed) status = launch_alike(device, launches, i, n);
  }
  return status;
}

tct_status tct_cu_update_launch(tct_device_impl *device, const tct_launch *launch) {
  return tct_cu_update_launch_many(device, &launch, 1);
}
