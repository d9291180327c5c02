/* gather, its gradient, and one_hot. table [outer, depth, inner], indices [n], rows [outer, n, inner]. The gradient is
 * cut by rows of the table, each task reading all indices, so that the rows of one index add up in the indices' order.
 */
#include <math.h>
#include <string.h>
#include "backends/cpu/device.h"

typedef struct plan {
  int64_t outer, depth, inner, n, group; /* group: indices, or rows of the table, of a task */
  size_t bytes;
} plan;

typedef struct job {
  tct_device_impl *device;
  const tct_launch *launch;
  const plan *plan;
} job;

static bool in_range(int32_t index, int64_t depth) {
  return index >= 0 && index < depth;
}

bool tct_cpu_gather_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  return tct_cpu_stores(node, why, why_bytes);
}

tct_status tct_cpu_gather_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  plan *p = tct_cpu_state(device, sizeof *p);
  if (p == NULL) return TCT_OUT_OF_MEMORY;
  const tct_gather_attrs *attrs = node->attrs;
  const tct_shape *table = &attrs->table_shape;
  const bool is_gradient = node->op == TCT_OP_gather_grad;
  *p = (plan){.outer = tct_cpu_extent(table, 0, attrs->axis),
              .depth = table->dim[attrs->axis],
              .inner = tct_cpu_extent(table, attrs->axis + 1, table->rank),
              .n = tct_cpu_size(&node->in[is_gradient ? 0 : 1].shape),
              .bytes = tct_cpu_bytes(node->out[0].dtype)};
  /* A task of the gradient scans all indices: its share of the table must be worth it. */
  p->group = tct_cpu_most(TCT_CPU_TASK / tct_cpu_most(p->inner, 1), 1);
  if (is_gradient) p->group = tct_cpu_most(p->group, tct_cpu_divide_up(p->depth, 16));
  *out = (tct_prepared){.state = p};
  return TCT_OK;
}

static void gather_task(void *user, int64_t task, int32_t worker) {
  (void)worker;
  const job *j = user;
  const plan *p = j->plan;
  const int64_t groups = tct_cpu_divide_up(p->n, p->group), outer = task / groups;
  const int64_t first = task % groups * p->group, end = tct_cpu_least(first + p->group, p->n);
  const int32_t *indices = j->launch->in[1];
  const tct_dtype dtype = j->launch->node->out[0].dtype;
  const size_t run = (size_t)p->inner * p->bytes;
  const char *table = (const char *)j->launch->in[0] + (size_t)(outer * p->depth) * run;
  char *out = (char *)j->launch->out[0] + (size_t)(outer * p->n + first) * run;
  for (int64_t i = first; i < end; i++, out += run) {
    if (in_range(indices[i], p->depth)) {
      memcpy(out, table + (size_t)indices[i] * run, run);
    } else if (dtype == TCT_F32 || tct_cpu_is_narrow(dtype)) {
      int64_t missing = 0;
      j->device->k->fill(out, &missing, p->inner, tct_cpu_encode(dtype, (double)NAN, &missing));
    } else {
      memset(out, 0, run);
    }
  }
}

tct_status tct_cpu_gather_launch(tct_device_impl *device, const tct_launch *launch) {
  job j = {device, launch, launch->state};
  const plan *p = j.plan;
  tct_cpu_run(device, p->outer * tct_cpu_divide_up(p->n, p->group), 0.2 * (double)(p->outer * p->n * (p->inner + 16)),
              gather_task, &j);
  return TCT_OK;
}

bool tct_cpu_gather_grad_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  if (!tct_cpu_stores(node, why, why_bytes)) return false;
  return node->in[1].dtype == TCT_F32 || tct_cpu_refuse(why, why_bytes, "device cpu adds rows in f32 only");
}

tct_status tct_cpu_gather_grad_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  return tct_cpu_gather_prepare(device, node, out);
}

static void gather_grad_task(void *user, int64_t task, int32_t worker) {
  (void)worker;
  const job *j = user;
  const plan *p = j->plan;
  const int64_t groups = tct_cpu_divide_up(p->depth, p->group), outer = task / groups;
  const int64_t first = task % groups * p->group, end = tct_cpu_least(first + p->group, p->depth);
  const int32_t *indices = j->launch->in[0];
  const float *dy = (const float *)j->launch->in[1] + outer * p->n * p->inner;
  float *table = (float *)j->launch->out[0] + outer * p->depth * p->inner;
  const tct_cpu_row add = j->device->k->float_row(TCT_OP_add);
  const double none[2] = {0, 0};
  memset(table + first * p->inner, 0, (size_t)((end - first) * p->inner) * sizeof *table);
  for (int64_t i = 0; i < p->n; i++) {
    if (indices[i] < first || indices[i] >= end) continue;
    float *row = table + indices[i] * p->inner;
    const float *from = dy + i * p->inner;
    const void *const arg[3] = {row, from, from};
    add(arg, row, p->inner, none);
  }
}

tct_status tct_cpu_gather_grad_launch(tct_device_impl *device, const tct_launch *launch) {
  job j = {device, launch, launch->state};
  const plan *p = j.plan;
  const double ns = 0.2 * (double)(p->outer * (p->n * (p->inner + 16) + p->depth * p->inner));
  tct_cpu_run(device, p->outer * tct_cpu_divide_up(p->depth, p->group), ns, gather_grad_task, &j);
  return TCT_OK;
}

/* ---- one_hot ---- */

bool tct_cpu_one_hot_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  return tct_cpu_stores(node, why, why_bytes);
}

tct_status tct_cpu_one_hot_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  (void)device;
  (void)node;
  *out = (tct_prepared){0};
  return TCT_OK;
}

tct_status tct_cpu_one_hot_launch(tct_device_impl *device, const tct_launch *launch) {
  const tct_one_hot_attrs *attrs = launch->node->attrs;
  const int64_t n = tct_cpu_size(&launch->node->in[0].shape), depth = attrs->depth;
  const int32_t *indices = launch->in[0];
  int64_t on = 0, off = 0;
  const size_t bytes = tct_cpu_encode(launch->node->out[0].dtype, attrs->on, &on);
  (void)tct_cpu_encode(launch->node->out[0].dtype, attrs->off, &off);
  char *out = launch->out[0];
  device->k->fill(out, &off, n * depth, bytes);
  for (int64_t i = 0; i < n; i++) {
    if (in_range(indices[i], depth)) memcpy(out + (size_t)(i * depth + indices[i]) * bytes, &on, bytes);
  }
  return TCT_OK;
}
