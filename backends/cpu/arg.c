/* Positions of extremes along one axis, and the norm of a list of tensors. */
#include <math.h>
#include "backends/cpu/device.h"

enum { COLUMNS = 256 };

typedef struct arg_plan {
  int64_t outer, length, inner;
  bool least;
} arg_plan;

bool tct_cpu_arg_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  if (!tct_cpu_stores(node, why, why_bytes)) return false;
  const tct_dtype dtype = node->in[0].dtype;
  return dtype == TCT_F32 || dtype == TCT_I32 || dtype == TCT_I64 ||
         tct_cpu_refuse(why, why_bytes, "device cpu orders f32, i32 and i64 only; cast the operand");
}

tct_status tct_cpu_arg_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  arg_plan *p = tct_cpu_state(device, sizeof *p);
  if (p == NULL) return TCT_OUT_OF_MEMORY;
  const tct_arg_attrs *attrs = node->attrs;
  const tct_shape *x = &node->in[0].shape;
  *p = (arg_plan){.outer = tct_cpu_extent(x, 0, attrs->axis),
                  .length = x->dim[attrs->axis],
                  .inner = tct_cpu_extent(x, attrs->axis + 1, x->rank),
                  .least = node->op == TCT_OP_argmin};
  *out = (tct_prepared){.state = p};
  return TCT_OK;
}

typedef struct arg_job {
  tct_device_impl *device;
  const tct_launch *launch;
  const arg_plan *plan;
} arg_job;

/* A whole number's position; the comparison is exact, as a conversion to f32 would not be. */
static int32_t arg_whole(tct_dtype dtype, const void *x, int64_t base, int64_t n, int64_t stride, bool least) {
  int64_t at = 0, best = 0;
  for (int64_t i = 0; i < n; i++) {
    const int64_t e = base + i * stride;
    const int64_t value = dtype == TCT_I32 ? ((const int32_t *)x)[e] : ((const int64_t *)x)[e];
    if (i == 0 || (least ? value < best : value > best)) best = value, at = i;
  }
  return (int32_t)at;
}

static void arg_slab(void *user, int64_t task, int32_t worker) {
  (void)worker;
  const arg_job *j = user;
  const arg_plan *p = j->plan;
  const tct_dtype dtype = j->launch->node->in[0].dtype;
  const int64_t chunks = tct_cpu_divide_up(p->inner, COLUMNS), column = task % chunks * COLUMNS, outer = task / chunks;
  const int64_t columns = tct_cpu_least(COLUMNS, p->inner - column), base = outer * p->length * p->inner + column;
  int32_t *out = (int32_t *)j->launch->out[0] + outer * p->inner + column;
  const float *x = j->launch->in[0];
  if (dtype != TCT_F32) {
    for (int64_t i = 0; i < columns; i++) out[i] = arg_whole(dtype, x, base + i, p->length, p->inner, p->least);
  } else if (p->inner == 1) {
    out[0] = j->device->k->arg_run(x + base, p->length, p->least);
  } else {
    j->device->k->arg_columns(x + base, p->length, p->inner, columns, p->least, out);
  }
}

tct_status tct_cpu_arg_launch(tct_device_impl *device, const tct_launch *launch) {
  arg_job j = {device, launch, launch->state};
  const arg_plan *p = j.plan;
  tct_cpu_run(device, p->outer * tct_cpu_divide_up(p->inner, COLUMNS), 0.5 * (double)(p->outer * p->length * p->inner),
              arg_slab, &j);
  return TCT_OK;
}

/* ---- global_norm: √Σ‖x‖² ---- */

typedef struct norm_plan {
  int64_t blocks;  /* over all tensors */
  int64_t first[]; /* of each tensor; one more at the end */
} norm_plan;

bool tct_cpu_global_norm_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  return tct_cpu_is_f32(node, why, why_bytes);
}

tct_status tct_cpu_global_norm_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  norm_plan *p = tct_cpu_state(device, sizeof *p + ((size_t)node->n_in + 1) * sizeof(int64_t));
  if (p == NULL) return TCT_OUT_OF_MEMORY;
  for (int32_t i = 0; i < node->n_in; i++) {
    p->first[i] = p->blocks;
    p->blocks += tct_cpu_tasks(tct_cpu_size(&node->in[i].shape));
  }
  p->first[node->n_in] = p->blocks;
  *out = (tct_prepared){.workspace_bytes = (size_t)p->blocks * sizeof(double), .state = p};
  return TCT_OK;
}

typedef struct norm_job {
  tct_device_impl *device;
  const tct_launch *launch;
  const norm_plan *plan;
} norm_job;

static void norm_block(void *user, int64_t task, int32_t worker) {
  (void)worker;
  const norm_job *j = user;
  int32_t tensor = 0;
  while (task >= j->plan->first[tensor + 1]) tensor++;
  const int64_t size = tct_cpu_size(&j->launch->node->in[tensor].shape);
  const int64_t begin = (task - j->plan->first[tensor]) * TCT_CPU_TASK;
  ((double *)j->launch->workspace)[task] = j->device->k->sum_squares((const float *)j->launch->in[tensor] + begin,
                                                                     tct_cpu_least(TCT_CPU_TASK, size - begin));
}

tct_status tct_cpu_global_norm_launch(tct_device_impl *device, const tct_launch *launch) {
  norm_job j = {device, launch, launch->state};
  tct_cpu_run(device, j.plan->blocks, 0.1 * TCT_CPU_TASK * (double)j.plan->blocks, norm_block, &j);
  double sum = 0.0;
  for (int64_t i = 0; i < j.plan->blocks; i++) sum += ((const double *)launch->workspace)[i];
  *(float *)launch->out[0] = (float)sqrt(sum);
  return TCT_OK;
}
