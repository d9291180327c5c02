/* Dropout: the mask is drawn anew from (seed, stream, step, element) in both directions; nothing is kept. */
#include <math.h>
#include "backends/cpu/device.h"

bool tct_cpu_dropout_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  return tct_cpu_is_f32(node, why, why_bytes);
}

tct_status tct_cpu_dropout_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  (void)device;
  (void)node;
  *out = (tct_prepared){0};
  return TCT_OK;
}

typedef struct job {
  tct_device_impl *device;
  const tct_launch *launch;
  int64_t size;
  uint32_t threshold; /* of a draw's 24 bits: unit >= rate exactly when bits >= ⌈rate·2^24⌉ */
  float factor;
  uint32_t step;
} job;

static void run_task(void *user, int64_t task, int32_t worker) {
  (void)worker;
  const job *j = user;
  const tct_dropout_attrs *attrs = j->launch->node->attrs;
  const int64_t first = task * TCT_CPU_TASK;
  j->device->k->dropout((const float *)j->launch->in[0] + first, (float *)j->launch->out[0] + first, (uint64_t)first,
                        tct_cpu_least(TCT_CPU_TASK, j->size - first), j->threshold, j->factor, attrs->seed,
                        attrs->stream, j->step);
}

tct_status tct_cpu_dropout_launch(tct_device_impl *device, const tct_launch *launch) {
  const tct_dropout_attrs *attrs = launch->node->attrs;
  job j = {.device = device,
           .launch = launch,
           .size = tct_cpu_size(&launch->node->in[0].shape),
           .threshold = (uint32_t)ceil(attrs->rate * 0x1p24),
           .factor = 1.0f / (1.0f - (float)attrs->rate),
           .step = (uint32_t) * (const int64_t *)launch->in[1]};
  tct_cpu_run(device, tct_cpu_tasks(j.size), 1.0 * (double)j.size, run_task, &j);
  return TCT_OK;
}
