/* Pooling and its gradients: images are independent, so that tasks are groups of images. */
#include "backends/cpu/device.h"

typedef struct plan {
  tct_cpu_image at;
  int64_t n, group; /* images, and of one task */
} plan;

bool tct_cpu_pool_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  return tct_cpu_is_f32(node, why, why_bytes);
}

tct_status tct_cpu_pool_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  plan *p = tct_cpu_state(device, sizeof *p);
  if (p == NULL) return TCT_OUT_OF_MEMORY;
  const tct_pool2d_attrs *attrs = node->attrs;
  const tct_shape *y = node->op == TCT_OP_max_pool2d_grad   ? &node->in[1].shape
                       : node->op == TCT_OP_avg_pool2d_grad ? &node->in[0].shape
                                                            : &node->out[0].shape;
  p->at = (tct_cpu_image){.h = attrs->x_shape[1],
                          .w = attrs->x_shape[2],
                          .c = attrs->x_shape[3],
                          .p = y->dim[1],
                          .q = y->dim[2],
                          .k = attrs->x_shape[3],
                          .r = attrs->window[0],
                          .s = attrs->window[1],
                          .stride = {attrs->stride[0], attrs->stride[1]},
                          .dilation = {1, 1},
                          .pad = {attrs->pad[0], attrs->pad[2]}};
  p->n = attrs->x_shape[0];
  p->group = tct_cpu_most(TCT_CPU_TASK / tct_cpu_most(p->at.h * p->at.w * p->at.c, 1), 1);
  *out = (tct_prepared){.state = p};
  return TCT_OK;
}

typedef struct job {
  tct_device_impl *device;
  const tct_launch *launch;
  const plan *plan;
} job;

static void run_group(void *user, int64_t task, int32_t worker) {
  (void)worker;
  const job *j = user;
  const tct_cpu_image *at = &j->plan->at;
  const tct_cpu_kernels *k = j->device->k;
  const int64_t whole = at->h * at->w * at->c, pooled = at->p * at->q * at->c;
  const int64_t end = tct_cpu_least((task + 1) * j->plan->group, j->plan->n);
  for (int64_t image = task * j->plan->group; image < end; image++) {
    const float *in = j->launch->in[0];
    float *out = j->launch->out[0];
    switch (j->launch->node->op) {
    case TCT_OP_max_pool2d:
      k->max_pool(at, in + image * whole, out + image * pooled);
      break;
    case TCT_OP_avg_pool2d:
      k->avg_pool(at, in + image * whole, out + image * pooled);
      break;
    case TCT_OP_avg_pool2d_grad:
      k->avg_pool_grad(at, in + image * pooled, out + image * whole);
      break;
    default:
      k->max_pool_grad(at, in + image * whole, (const float *)j->launch->in[1] + image * pooled,
                       (const float *)j->launch->in[2] + image * pooled, out + image * whole);
    }
  }
}

tct_status tct_cpu_pool_launch(tct_device_impl *device, const tct_launch *launch) {
  job j = {device, launch, launch->state};
  const tct_cpu_image *at = &j.plan->at;
  const double ns = 0.3 * (double)(j.plan->n * at->h * at->w * at->c);
  tct_cpu_run(device, tct_cpu_divide_up(j.plan->n, j.plan->group), ns, run_group, &j);
  return TCT_OK;
}
