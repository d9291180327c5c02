/* The general convolution: windows as rows of a matrix, in blocks that stay in L2, times the filters on OpenBLAS. It
 * takes every stride, dilation, padding and number of groups; the direct kernels are tried first where they apply. */
#include <string.h>
#include "backends/cpu/conv.h"

enum { BLOCK_FLOATS = 1 << 18 };

typedef struct plan {
  tct_cpu_conv conv;
  int64_t window;      /* r·s·c/groups: a row of the matrix */
  int64_t rows;        /* output rows of a block */
  size_t scratch;      /* bytes per worker */
  tct_cpu_parts parts; /* of the filter gradient */
} plan;

bool tct_cpu_conv_im2col_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  return tct_cpu_conv_supports(node, why, why_bytes);
}

tct_status tct_cpu_conv_im2col_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  plan *p = tct_cpu_state(device, sizeof *p);
  if (p == NULL) return TCT_OUT_OF_MEMORY;
  p->conv = tct_cpu_conv_of(device, node);
  const tct_cpu_image *at = &p->conv.at;
  p->window = at->r * at->s * at->c;
  const int64_t row = tct_cpu_most(at->q * p->window, 1);
  p->rows = tct_cpu_most(tct_cpu_least(at->p, BLOCK_FLOATS / row), 1);
  p->scratch = tct_cpu_lines(p->rows * row * (int64_t)sizeof(float));
  p->parts = tct_cpu_conv_parts(&p->conv, p->conv.filter_size);
  *out = (tct_prepared){.workspace_bytes = p->scratch * (size_t)device->n_threads, .state = p};
  if (node->op == TCT_OP_conv2d_grad_filter) {
    out->workspace_bytes += (size_t)(p->parts.count * p->conv.filter_size) * sizeof(float);
  }
  return TCT_OK;
}

typedef struct job {
  tct_device_impl *device;
  const tct_launch *launch;
  const plan *plan;
  float *partial;
} job;

static float *scratch_of(const job *j, int32_t worker) {
  return (float *)((char *)j->launch->workspace + (size_t)worker * j->plan->scratch);
}

static void forward(void *user, int64_t task, int32_t worker) {
  const job *j = user;
  const plan *p = j->plan;
  const tct_cpu_image *at = &p->conv.at;
  const int64_t channels = p->conv.channels, filters = p->conv.filters;
  const int64_t blocks = tct_cpu_divide_up(at->p, p->rows), image = task / blocks, p0 = task % blocks * p->rows;
  const int64_t rows = tct_cpu_least(p->rows, at->p - p0), pixels = rows * at->q;
  const float *x = (const float *)j->launch->in[0] + image * at->h * at->w * channels;
  float *y = (float *)j->launch->out[0] + (image * at->p + p0) * at->q * filters, *col = scratch_of(j, worker);
  for (int64_t g = 0; g < p->conv.groups; g++) {
    j->device->k->im2col(at, x + g * at->c, channels, p0, rows, col);
    tct_cpu_gemm_block(j->device, false, false, pixels, at->k, p->window, col, p->window,
                       (const float *)j->launch->in[1] + g * at->k, filters, 0.0f, y + g * at->k, filters);
  }
  if (j->launch->node->n_in > 2) j->device->k->add_bias(y, filters, j->launch->in[2], pixels, filters);
  tct_cpu_conv_activate(&p->conv, y, pixels * filters);
}

static void grad_input(void *user, int64_t image, int32_t worker) {
  const job *j = user;
  const plan *p = j->plan;
  const tct_cpu_image *at = &p->conv.at;
  const int64_t channels = p->conv.channels, filters = p->conv.filters, size = at->h * at->w * channels;
  const float *dy = (const float *)j->launch->in[0] + image * at->p * at->q * filters;
  float *dx = (float *)j->launch->out[0] + image * size, *col = scratch_of(j, worker);
  memset(dx, 0, (size_t)size * sizeof *dx);
  for (int64_t p0 = 0; p0 < at->p; p0 += p->rows) {
    const int64_t rows = tct_cpu_least(p->rows, at->p - p0);
    for (int64_t g = 0; g < p->conv.groups; g++) {
      tct_cpu_gemm_block(j->device, false, true, rows * at->q, p->window, at->k, dy + p0 * at->q * filters + g * at->k,
                         filters, (const float *)j->launch->in[1] + g * at->k, filters, 0.0f, col, p->window);
      j->device->k->col2im(at, col, p0, rows, channels, dx + g * at->c);
    }
  }
}

static void grad_filter(void *user, int64_t part, int32_t worker) {
  const job *j = user;
  const plan *p = j->plan;
  const tct_cpu_image *at = &p->conv.at;
  const int64_t channels = p->conv.channels, filters = p->conv.filters;
  float *dw = j->partial + part * p->conv.filter_size, *col = scratch_of(j, worker);
  memset(dw, 0, (size_t)p->conv.filter_size * sizeof *dw);
  const int64_t first = part * p->parts.rows, end = tct_cpu_least(first + p->parts.rows, p->conv.n);
  for (int64_t image = first; image < end; image++) {
    const float *x = (const float *)j->launch->in[0] + image * at->h * at->w * channels;
    const float *dy = (const float *)j->launch->in[1] + image * at->p * at->q * filters;
    for (int64_t p0 = 0; p0 < at->p; p0 += p->rows) {
      const int64_t rows = tct_cpu_least(p->rows, at->p - p0);
      for (int64_t g = 0; g < p->conv.groups; g++) {
        j->device->k->im2col(at, x + g * at->c, channels, p0, rows, col);
        tct_cpu_gemm_block(j->device, true, false, p->window, at->k, rows * at->q, col, p->window,
                           dy + p0 * at->q * filters + g * at->k, filters, 1.0f, dw + g * at->k, filters);
      }
    }
  }
}

tct_status tct_cpu_conv_im2col_launch(tct_device_impl *device, const tct_launch *launch) {
  job j = {.device = device, .launch = launch, .plan = launch->state};
  const plan *p = j.plan;
  const tct_cpu_conv *conv = &p->conv;
  const double ns = (double)(conv->n * conv->at.p * conv->at.q * conv->filters) * ((double)p->window / 15.0 + 1.0);
  if (launch->node->op == TCT_OP_conv2d) {
    tct_cpu_run(device, conv->n * tct_cpu_divide_up(conv->at.p, p->rows), ns, forward, &j);
  } else if (launch->node->op == TCT_OP_conv2d_grad_input) {
    tct_cpu_run(device, conv->n, ns, grad_input, &j);
  } else {
    j.partial = (float *)((char *)launch->workspace + p->scratch * (size_t)device->n_threads);
    tct_cpu_run(device, p->parts.count, ns, grad_filter, &j);
    device->k->sum_parts(j.partial, p->parts.count, conv->filter_size, launch->out[0], conv->filter_size);
  }
  return TCT_OK;
}
