/* Maximum and average over windows. Pixels outside the image take no part: they never win a maximum and an average does
 * not count them. */
#include <math.h>

#include "kernels/ref/layout.h"
#include "kernels/ref/ref.h"

/* x [n,h,w,c], y [n,p,q,c] */
typedef struct geometry {
  int64_t n, h, w, c, p, q;
  const tct_pool2d_attrs *attrs;
} geometry;

/* The part of an output pixel's window that lies inside the image: rows h0 … h1-1, columns w0 … w1-1 of image n. */
typedef struct window {
  int64_t n, h0, h1, w0, w1;
} window;

static geometry geometry_of(const tct_pool2d_attrs *attrs, const tct_shape *x, const tct_shape *y) {
  return (geometry){x->dim[0], x->dim[1], x->dim[2], x->dim[3], y->dim[1], y->dim[2], attrs};
}

static int64_t at_least(int64_t x, int64_t low) {
  return x > low ? x : low;
}
static int64_t at_most(int64_t x, int64_t high) {
  return x < high ? x : high;
}

/* The window of output pixel number i, in [0, n·p·q). */
static window window_of(const geometry *at, int64_t i) {
  const tct_pool2d_attrs *attrs = at->attrs;
  const int64_t top = i / at->q % at->p * attrs->stride[0] - attrs->pad[0];
  const int64_t left = i % at->q * attrs->stride[1] - attrs->pad[2];
  return (window){i / at->q / at->p, at_least(top, 0), at_most(top + attrs->window[0], at->h), at_least(left, 0),
                  at_most(left + attrs->window[1], at->w)};
}

/* Where pixel (h, w) of the window's image has channel c. */
static int64_t x_offset(const geometry *at, const window *in, int64_t h, int64_t w, int64_t c) {
  return ((in->n * at->h + h) * at->w + w) * at->c + c;
}

/* The offset in x of the first greatest element of the window; -1 when the window has none. */
static int64_t first_maximum(const geometry *at, const window *in, const double *x, int64_t c) {
  int64_t best = -1;
  for (int64_t h = in->h0; h < in->h1; h++)
    for (int64_t w = in->w0; w < in->w1; w++) {
      const int64_t here = x_offset(at, in, h, w, c);
      if (best < 0 || x[here] > x[best]) best = here;
    }
  return best;
}

static int64_t inside(const window *in) {
  return at_least(in->h1 - in->h0, 0) * at_least(in->w1 - in->w0, 0);
}

static void clear(const tct_ref_operand *out) {
  const int64_t size = tct_ref_size(&out->shape);
  for (int64_t e = 0; e < size; e++) out->data[e] = 0.0;
}

/* y = max over the window;  x [N,H,W,C] → y [N,P,Q,C]; -∞ for a window wholly outside */
void tct_ref_max_pool2d(const tct_ref_args *args) {
  const geometry at = geometry_of(args->attrs, &args->in[0].shape, &args->out[0].shape);
  const double *x = args->in[0].data;
  for (int64_t i = 0; i < at.n * at.p * at.q; i++) {
    const window in = window_of(&at, i);
    for (int64_t c = 0; c < at.c; c++) {
      const int64_t best = first_maximum(&at, &in, x, c);
      args->out[0].data[i * at.c + c] = best >= 0 ? x[best] : -INFINITY;
    }
  }
}

/* (x [N,H,W,C], y [N,P,Q,C], dy [N,P,Q,C]) → dx [N,H,W,C]: dy goes to the first maximum of its window */
void tct_ref_max_pool2d_grad(const tct_ref_args *args) {
  const geometry at = geometry_of(args->attrs, &args->in[0].shape, &args->in[2].shape);
  clear(&args->out[0]);
  for (int64_t i = 0; i < at.n * at.p * at.q; i++) {
    const window in = window_of(&at, i);
    for (int64_t c = 0; c < at.c; c++) {
      const int64_t best = first_maximum(&at, &in, args->in[0].data, c);
      if (best >= 0) args->out[0].data[best] += args->in[2].data[i * at.c + c];
    }
  }
}

/* y = mean over the pixels of the window that lie inside;  x [N,H,W,C] → y [N,P,Q,C]; 0 for a window wholly outside */
void tct_ref_avg_pool2d(const tct_ref_args *args) {
  const geometry at = geometry_of(args->attrs, &args->in[0].shape, &args->out[0].shape);
  const double *x = args->in[0].data;
  for (int64_t i = 0; i < at.n * at.p * at.q; i++) {
    const window in = window_of(&at, i);
    const int64_t n_inside = inside(&in);
    for (int64_t c = 0; c < at.c; c++) {
      double sum = 0.0;
      for (int64_t h = in.h0; h < in.h1; h++)
        for (int64_t w = in.w0; w < in.w1; w++) sum += x[x_offset(&at, &in, h, w, c)];
      args->out[0].data[i * at.c + c] = n_inside > 0 ? sum / (double)n_inside : 0.0;
    }
  }
}

/* dy [N,P,Q,C] → dx [N,H,W,C]: every pixel of the window gets its share of dy */
void tct_ref_avg_pool2d_grad(const tct_ref_args *args) {
  const geometry at = geometry_of(args->attrs, &args->out[0].shape, &args->in[0].shape);
  clear(&args->out[0]);
  for (int64_t i = 0; i < at.n * at.p * at.q; i++) {
    const window in = window_of(&at, i);
    const double n_inside = (double)inside(&in);
    for (int64_t c = 0; c < at.c; c++) {
      const double share = args->in[0].data[i * at.c + c] / n_inside;
      for (int64_t h = in.h0; h < in.h1; h++)
        for (int64_t w = in.w0; w < in.w1; w++) args->out[0].data[x_offset(&at, &in, h, w, c)] += share;
    }
  }
}
