/* Softmax, log-softmax, their gradients, and the cross-entropies: rows are independent. */
#include "backends/cpu/device.h"

enum { COLUMNS = 256 };

typedef struct plan {
  int64_t outer, length, inner, group; /* group: rows of a task, when inner is 1 */
  float smoothing;
} plan;

static plan *plan_rows(tct_device_impl *device, const tct_shape *x, int32_t axis) {
  plan *p = tct_cpu_state(device, sizeof *p);
  if (p == NULL) return NULL;
  p->outer = tct_cpu_extent(x, 0, axis);
  p->length = x->dim[axis];
  p->inner = tct_cpu_extent(x, axis + 1, x->rank);
  p->group = tct_cpu_most(TCT_CPU_TASK / 4 / tct_cpu_most(p->length, 1), 1);
  return p;
}

typedef struct job {
  tct_device_impl *device;
  const tct_launch *launch;
  const plan *plan;
} job;

static int64_t tasks_of(const plan *p) {
  return p->inner == 1 ? tct_cpu_divide_up(p->outer, p->group) : p->outer * tct_cpu_divide_up(p->inner, COLUMNS);
}

bool tct_cpu_softmax_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  return tct_cpu_is_f32(node, why, why_bytes);
}

tct_status tct_cpu_softmax_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  const tct_axis_attrs *attrs = node->attrs;
  plan *p = plan_rows(device, &node->in[0].shape, attrs->axis);
  if (p == NULL) return TCT_OUT_OF_MEMORY;
  *out = (tct_prepared){.state = p};
  return TCT_OK;
}

static void softmax_task(void *user, int64_t task, int32_t worker) {
  (void)worker;
  const job *j = user;
  const plan *p = j->plan;
  const tct_cpu_kernels *k = j->device->k;
  const tct_op op = j->launch->node->op;
  const bool log = op == TCT_OP_log_softmax || op == TCT_OP_log_softmax_grad;
  const bool is_gradient = op == TCT_OP_softmax_grad || op == TCT_OP_log_softmax_grad;
  const float *in = j->launch->in[0], *dy = is_gradient ? j->launch->in[1] : NULL;
  float *out = j->launch->out[0];
  if (p->inner == 1) {
    const int64_t first = task * p->group, rows = tct_cpu_least(p->group, p->outer - first), at = first * p->length;
    if (is_gradient)
      k->softmax_grad_rows(in + at, dy + at, out + at, rows, p->length, log);
    else
      k->softmax_rows(in + at, out + at, rows, p->length, log);
    return;
  }
  const int64_t chunks = tct_cpu_divide_up(p->inner, COLUMNS), column = task % chunks * COLUMNS;
  const int64_t at = task / chunks * p->length * p->inner + column;
  const int64_t columns = tct_cpu_least(COLUMNS, p->inner - column);
  if (is_gradient)
    k->softmax_grad_columns(in + at, dy + at, out + at, p->length, p->inner, columns, log);
  else
    k->softmax_columns(in + at, out + at, p->length, p->inner, columns, log);
}

tct_status tct_cpu_softmax_launch(tct_device_impl *device, const tct_launch *launch) {
  job j = {device, launch, launch->state};
  const plan *p = j.plan;
  tct_cpu_run(device, tasks_of(p), 1.2 * (double)(p->outer * p->length * p->inner), softmax_task, &j);
  return TCT_OK;
}

/* ---- cross-entropies ---- */

bool tct_cpu_cross_entropy_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  return tct_cpu_is_f32(node, why, why_bytes);
}

tct_status tct_cpu_cross_entropy_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  const tct_cross_entropy_attrs *attrs = node->attrs;
  plan *p = plan_rows(device, &node->in[0].shape, node->in[0].shape.rank - 1);
  if (p == NULL) return TCT_OUT_OF_MEMORY;
  p->smoothing = attrs != NULL ? (float)attrs->label_smoothing : 0.0f;
  *out = (tct_prepared){.state = p};
  return TCT_OK;
}

static void cross_entropy_task(void *user, int64_t task, int32_t worker) {
  (void)worker;
  const job *j = user;
  const plan *p = j->plan;
  const tct_cpu_kernels *k = j->device->k;
  void *const *in = j->launch->in;
  const int64_t first = task * p->group, rows = tct_cpu_least(p->group, p->outer - first), n = p->length;
  const float *x = (const float *)in[0] + first * n, *targets = (const float *)in[1] + first * n;
  const int32_t *labels = (const int32_t *)in[1] + first;
  float *out = j->launch->out[0];
  switch (j->launch->node->op) {
  case TCT_OP_sparse_softmax_cross_entropy:
    k->sparse_cross_entropy(x, labels, out + first, rows, n, p->smoothing);
    break;
  case TCT_OP_sparse_softmax_cross_entropy_grad:
    k->sparse_cross_entropy_grad(x, labels, (const float *)in[2] + first, out + first * n, rows, n, p->smoothing);
    break;
  case TCT_OP_softmax_cross_entropy:
    k->cross_entropy(x, targets, out + first, rows, n, p->smoothing);
    break;
  default:
    k->cross_entropy_grad(x, targets, (const float *)in[2] + first, out + first * n, rows, n, p->smoothing);
  }
}

tct_status tct_cpu_cross_entropy_launch(tct_device_impl *device, const tct_launch *launch) {
  job j = {device, launch, launch->state};
  tct_cpu_run(device, tasks_of(j.plan), 2.0 * (double)(j.plan->outer * j.plan->length), cross_entropy_task, &j);
  return TCT_OK;
}
