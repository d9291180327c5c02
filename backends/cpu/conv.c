/* conv2d and its gradients: geometry, and the two kernels that are not convolutions at heart: 1 × 1 windows are plain
 * products over all pixels, depthwise filters are elementwise over channels. */
#include <string.h>
#include "backends/cpu/conv.h"

/* Partial filters are cleared, written, read and added: beyond the second cache that cost as much as the products (64
 * channels at 8 × 8, 32 images: 2.1 ms in 32 groups). */
enum { MOST_PARTIALS = 1 << 17, MOST_PARTIALS_AT_ALL = 1 << 22, ENOUGH_GROUPS = 4 /* floats, floats, groups */ };

tct_cpu_conv tct_cpu_conv_of(const tct_device_impl *device, const tct_node_view *node) {
  const tct_conv2d_attrs *attrs = node->attrs;
  const tct_shape *y = node->op == TCT_OP_conv2d               ? &node->out[0].shape
                       : node->op == TCT_OP_conv2d_grad_filter ? &node->in[1].shape
                                                               : &node->in[0].shape;
  const int64_t *x = attrs->x_shape, *w = attrs->w_shape;
  tct_cpu_conv conv = {.at = {.h = x[1],
                              .w = x[2],
                              .c = w[2],
                              .p = y->dim[1],
                              .q = y->dim[2],
                              .k = w[3] / attrs->groups,
                              .r = w[0],
                              .s = w[1],
                              .stride = {attrs->stride[0], attrs->stride[1]},
                              .dilation = {attrs->dilation[0], attrs->dilation[1]},
                              .pad = {attrs->pad[0], attrs->pad[2]}},
                       .n = x[0],
                       .groups = attrs->groups,
                       .channels = x[3],
                       .filters = w[3],
                       .filter_size = w[0] * w[1] * w[2] * w[3],
                       .p = {attrs->activation_attrs.p0, attrs->activation_attrs.p1}};
  if (node->op == TCT_OP_conv2d && attrs->activation != TCT_OP_NONE) {
    conv.activation = device->k->float_row(attrs->activation);
    conv.relu = attrs->activation == TCT_OP_relu;
  }
  return conv;
}

bool tct_cpu_conv_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  if (!tct_cpu_is_f32(node, why, why_bytes)) return false;
  const tct_conv2d_attrs *attrs = node->attrs;
  if (attrs->activation != TCT_OP_NONE && tct_cpu_kernels_generic.float_row(attrs->activation) == NULL) {
    return tct_cpu_refuse(why, why_bytes, "the activation is op %d, which is not an elementwise row",
                          (int)attrs->activation);
  }
  const int64_t pixels = attrs->x_shape[0] * attrs->x_shape[1] * attrs->x_shape[2];
  if (pixels > INT32_MAX / 2) {
    return tct_cpu_refuse(why, why_bytes, "the batch has %lld pixels, OpenBLAS counts up to %d", (long long)pixels,
                          INT32_MAX / 2);
  }
  return true;
}

void tct_cpu_conv_activate(const tct_cpu_conv *conv, float *y, int64_t n) {
  if (conv->activation == NULL) return;
  const void *const arg[3] = {y, y, y};
  conv->activation(arg, y, n, conv->p);
}

tct_cpu_parts tct_cpu_conv_parts(const tct_cpu_conv *conv, int64_t partial_floats) {
  const int64_t each = tct_cpu_most(partial_floats, 1);
  const int64_t fitting = tct_cpu_most(MOST_PARTIALS / each, tct_cpu_least(MOST_PARTIALS_AT_ALL / each, ENOUGH_GROUPS));
  const int64_t wanted = tct_cpu_most(tct_cpu_least(tct_cpu_least(conv->n, 32), fitting), 1);
  const int64_t images = tct_cpu_most(tct_cpu_divide_up(conv->n, wanted), 1);
  return (tct_cpu_parts){tct_cpu_most(tct_cpu_divide_up(conv->n, images), 1), images};
}

/* ---- 1 × 1, stride 1: products over all pixels ---- */

bool tct_cpu_conv_matmul_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  if (!tct_cpu_conv_supports(node, why, why_bytes)) return false;
  const tct_conv2d_attrs *attrs = node->attrs;
  const bool plain = attrs->w_shape[0] == 1 && attrs->w_shape[1] == 1 && attrs->stride[0] == 1 &&
                     attrs->stride[1] == 1 && attrs->groups == 1 && attrs->pad[0] == 0 && attrs->pad[1] == 0 &&
                     attrs->pad[2] == 0 && attrs->pad[3] == 0;
  if (!plain) {
    return tct_cpu_refuse(why, why_bytes, "only 1 × 1 windows of stride 1 without padding or groups are a product");
  }
  /* The direct tiles took 0.55 of the product's time at 25088 pixels of 64 × 64 channels. */
  const int64_t pixels = attrs->x_shape[0] * attrs->x_shape[1] * attrs->x_shape[2];
  const bool is_long = pixels >= 4096 && attrs->w_shape[2] * attrs->w_shape[3] < 256 * 256;
  return node->op != TCT_OP_conv2d_grad_filter || !is_long ||
         tct_cpu_refuse(why, why_bytes, "a sum over many pixels into a small filter is direct");
}

tct_status tct_cpu_conv_matmul_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  tct_cpu_gemm *gemm = tct_cpu_state(device, sizeof *gemm);
  if (gemm == NULL) return TCT_OUT_OF_MEMORY;
  const tct_cpu_conv conv = tct_cpu_conv_of(device, node);
  const int64_t pixels = conv.n * conv.at.h * conv.at.w, c = conv.channels, k = conv.filters;
  /* y = x·w;  dx = dy·wᵀ;  dw = xᵀ·dy */
  if (node->op == TCT_OP_conv2d) {
    *gemm = (tct_cpu_gemm){.m = pixels,
                           .n = k,
                           .k = c,
                           .lda = c,
                           .ldb = k,
                           .ldc = k,
                           .activation = conv.activation,
                           .p = {conv.p[0], conv.p[1]}};
  } else if (node->op == TCT_OP_conv2d_grad_input) {
    *gemm = (tct_cpu_gemm){.m = pixels, .n = c, .k = k, .lda = k, .ldb = k, .ldc = c, .transpose_b = true};
  } else {
    *gemm = (tct_cpu_gemm){.m = c, .n = k, .k = pixels, .lda = c, .ldb = k, .ldc = k, .transpose_a = true};
  }
  *out = (tct_prepared){.state = gemm};
  out->workspace_bytes = tct_cpu_gemm_plan(device, gemm, 1);
  return TCT_OK;
}

tct_status tct_cpu_conv_matmul_launch(tct_device_impl *device, const tct_launch *launch) {
  const bool has_bias = launch->node->op == TCT_OP_conv2d && launch->node->n_in > 2;
  tct_cpu_gemm_run(device, launch->state, 1, launch->in[0], NULL, launch->in[1], NULL, has_bias ? launch->in[2] : NULL,
                   launch->out[0], launch->workspace);
  return TCT_OK;
}

/* ---- depthwise: one filter per channel ---- */

typedef struct depthwise_plan {
  tct_cpu_conv conv;
  tct_cpu_parts parts; /* of the filter gradient */
  int64_t rows;        /* output rows of a task of the forward */
} depthwise_plan;

bool tct_cpu_conv_depthwise_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  if (!tct_cpu_conv_supports(node, why, why_bytes)) return false;
  const tct_conv2d_attrs *attrs = node->attrs;
  const bool depthwise =
      attrs->groups == attrs->x_shape[3] && attrs->w_shape[2] == 1 && attrs->w_shape[3] == attrs->groups;
  return depthwise || tct_cpu_refuse(why, why_bytes, "the filters are not one per channel");
}

tct_status tct_cpu_conv_depthwise_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  depthwise_plan *p = tct_cpu_state(device, sizeof *p);
  if (p == NULL) return TCT_OUT_OF_MEMORY;
  p->conv = tct_cpu_conv_of(device, node);
  p->conv.at.c = p->conv.at.k = p->conv.channels;
  p->parts = tct_cpu_conv_parts(&p->conv, p->conv.filter_size);
  const int64_t work = p->conv.at.q * p->conv.channels * p->conv.at.r * p->conv.at.s;
  p->rows = tct_cpu_least(tct_cpu_most(p->conv.at.p, 1), tct_cpu_most((1 << 17) / tct_cpu_most(work, 1), 1));
  *out = (tct_prepared){.state = p};
  if (node->op == TCT_OP_conv2d_grad_filter) {
    out->workspace_bytes = (size_t)(p->parts.count * p->conv.filter_size) * sizeof(float);
  }
  return TCT_OK;
}

typedef struct depthwise_job {
  tct_device_impl *device;
  const tct_launch *launch;
  const depthwise_plan *plan;
} depthwise_job;

static void depthwise_forward(void *user, int64_t task, int32_t worker) {
  (void)worker;
  const depthwise_job *j = user;
  const tct_cpu_conv *conv = &j->plan->conv;
  const tct_cpu_image *at = &conv->at;
  const int64_t per_image = tct_cpu_divide_up(at->p, j->plan->rows), image = task / per_image;
  const int64_t p0 = task % per_image * j->plan->rows, rows = tct_cpu_least(j->plan->rows, at->p - p0);
  const float *x = (const float *)j->launch->in[0] + image * at->h * at->w * at->c;
  float *y = (float *)j->launch->out[0] + image * at->p * at->q * at->c;
  j->device->k->depthwise(at, x, j->launch->in[1], j->launch->node->n_in > 2 ? j->launch->in[2] : NULL, p0, rows, y);
  tct_cpu_conv_activate(conv, y + p0 * at->q * at->c, rows * at->q * at->c);
}

static void depthwise_input(void *user, int64_t task, int32_t worker) {
  (void)worker;
  const depthwise_job *j = user;
  const tct_cpu_image *at = &j->plan->conv.at;
  float *dx = (float *)j->launch->out[0] + task * at->h * at->w * at->c;
  memset(dx, 0, (size_t)(at->h * at->w * at->c) * sizeof *dx);
  j->device->k->depthwise_grad_input(at, (const float *)j->launch->in[0] + task * at->p * at->q * at->c,
                                     j->launch->in[1], dx);
}

static void depthwise_filter(void *user, int64_t task, int32_t worker) {
  (void)worker;
  const depthwise_job *j = user;
  const tct_cpu_conv *conv = &j->plan->conv;
  const tct_cpu_image *at = &conv->at;
  float *dw = (float *)j->launch->workspace + task * conv->filter_size;
  memset(dw, 0, (size_t)conv->filter_size * sizeof *dw);
  const int64_t first = task * j->plan->parts.rows, end = tct_cpu_least(first + j->plan->parts.rows, conv->n);
  for (int64_t image = first; image < end; image++) {
    j->device->k->depthwise_grad_filter(at, (const float *)j->launch->in[0] + image * at->h * at->w * at->c,
                                        (const float *)j->launch->in[1] + image * at->p * at->q * at->c, dw);
  }
}

tct_status tct_cpu_conv_depthwise_launch(tct_device_impl *device, const tct_launch *launch) {
  depthwise_job j = {device, launch, launch->state};
  const tct_cpu_conv *conv = &j.plan->conv;
  const double ns = 0.2 * (double)(conv->n * conv->at.p * conv->at.q * conv->channels * conv->at.r * conv->at.s);
  if (launch->node->op == TCT_OP_conv2d) {
    tct_cpu_run(device, conv->n * tct_cpu_divide_up(conv->at.p, j.plan->rows), ns, depthwise_forward, &j);
  } else if (launch->node->op == TCT_OP_conv2d_grad_input) {
    tct_cpu_run(device, conv->n, ns, depthwise_input, &j);
  } else {
    tct_cpu_run(device, j.plan->parts.count, ns, depthwise_filter, &j);
    device->k->sum_parts(launch->workspace, j.plan->parts.count, conv->filter_size, launch->out[0], conv->filter_size);
  }
  return TCT_OK;
}
