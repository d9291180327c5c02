/* Updates: one fused pass over the variable and its states. Learning rate, step and factor are read from memory at each
 * launch; what depends on them alone is computed once, in double. */
#include <math.h>
#include <string.h>
#include "backends/cpu/device.h"

bool tct_cpu_assign_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  return tct_cpu_stores(node, why, why_bytes);
}

tct_status tct_cpu_assign_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  (void)device;
  (void)node;
  *out = (tct_prepared){0};
  return TCT_OK;
}

/* Whether the condition forbids writing. */
static bool is_held(const tct_launch *launch) {
  const tct_update_attrs *attrs = launch->node->attrs;
  return attrs->conditional && *(const uint8_t *)launch->in[launch->node->n_in - 1] == 0;
}

tct_status tct_cpu_assign_launch(tct_device_impl *device, const tct_launch *launch) {
  (void)device;
  if (is_held(launch)) return TCT_OK;
  const tct_desc *desc = &launch->node->in[0];
  const size_t bytes = (size_t)tct_cpu_size(&desc->shape) * tct_cpu_bytes(desc->dtype);
  if (bytes > 0) memmove(launch->in[0], launch->in[1], bytes);
  return TCT_OK;
}

bool tct_cpu_update_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  return tct_cpu_is_f32(node, why, why_bytes);
}

tct_status tct_cpu_update_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  (void)device;
  (void)node;
  *out = (tct_prepared){0};
  return TCT_OK;
}

typedef struct job {
  tct_device_impl *device;
  tct_op op;
  tct_cpu_update how;
  int64_t size;
  float *w, *first, *second, *third; /* states; NULL: the op has none */
  const float *g;
} job;

static float *at(float *state, int64_t first) {
  return state != NULL ? state + first : NULL;
}

static void run_task(void *user, int64_t task, int32_t worker) {
  (void)worker;
  const job *j = user;
  const tct_cpu_kernels *k = j->device->k;
  const int64_t i = task * TCT_CPU_TASK, n = tct_cpu_least(TCT_CPU_TASK, j->size - i);
  switch (j->op) {
  case TCT_OP_sgd_update:
    k->sgd(&j->how, j->w + i, at(j->first, i), j->g + i, n);
    break;
  case TCT_OP_adam_update:
    k->adam(&j->how, j->w + i, at(j->first, i), at(j->second, i), j->g + i, n);
    break;
  case TCT_OP_rmsprop_update:
    k->rmsprop(&j->how, j->w + i, at(j->first, i), at(j->second, i), at(j->third, i), j->g + i, n);
    break;
  default:
    k->adagrad(&j->how, j->w + i, at(j->first, i), j->g + i, n);
    break;
  }
}

tct_status tct_cpu_update_launch(tct_device_impl *device, const tct_launch *launch) {
  const tct_update_attrs *attrs = launch->node->attrs;
  const int32_t n_state = attrs->n_state;
  if (is_held(launch)) return TCT_OK;
  const bool is_adam = launch->node->op == TCT_OP_adam_update;
  void *const *after = launch->in + n_state; /* gradient, learning rate, (adam) step, (has_scale) factor */
  double lr = (double)*(const float *)after[1];
  const double plain_lr = lr;
  if (is_adam) {
    const double t = (double)*(const int64_t *)after[2] + 1.0;
    lr *= sqrt(1.0 - pow(attrs->beta2, t)) / (1.0 - pow(attrs->beta1, t));
  }
  job j = {.device = device,
           .op = launch->node->op,
           .how = {.lr = (float)lr,
                   .scale = attrs->has_scale ? *(const float *)after[is_adam ? 3 : 2] : 1.0f,
                   .clip = attrs->clip_value > 0.0 ? (float)attrs->clip_value : INFINITY,
                   .l2 = (float)attrs->l2,
                   .l1 = (float)attrs->l1,
                   .keep = (float)(1.0 - plain_lr * attrs->weight_decay),
                   .beta1 = (float)attrs->beta1,
                   .beta2 = (float)attrs->beta2,
                   .epsilon = (float)attrs->epsilon,
                   .momentum = (float)attrs->momentum,
                   .nesterov = attrs->nesterov},
           .size = tct_cpu_size(&launch->node->in[0].shape),
           .w = launch->in[0],
           .g = after[0]};
  if (n_state > 1) j.first = launch->in[1];
  if (launch->node->op == TCT_OP_rmsprop_update) {
    /* w, mean square, momentum?, mean gradient? */
    const bool has_momentum = n_state - 2 - (attrs->centered ? 1 : 0) > 0;
    if (has_momentum) j.second = launch->in[2];
    if (attrs->centered) j.third = launch->in[n_state - 1];
  } else if (n_state > 2) {
    j.second = launch->in[2];
  }
  tct_cpu_run(device, tct_cpu_tasks(j.size), 0.6 * (double)j.size, run_task, &j);
  return TCT_OK;
}
