/* Convolution (cross-correlation) and its two gradients. All three visit the same taps, an output pixel with one
 * position of the window over it, and differ only in which of x, w and y a tap reads and which it adds to. */
#include "kernels/ref/elementwise.h"
#include "kernels/ref/layout.h"
#include "kernels/ref/ref.h"
#include "kernels/ref/vector.h"

/* x [n,h,w,c], filter [r,s,cg,k], y [n,p,q,k]; group g reads channels g·cg… and makes channels g·kg… */
typedef struct geometry {
  int64_t n, h, w, c;
  int64_t r, s, cg, k;
  int64_t p, q;
  int64_t groups, kg;
  const tct_conv2d_attrs *attrs;
} geometry;

static geometry geometry_of(const tct_conv2d_attrs *attrs, const tct_shape *x, const tct_shape *filter,
                            const tct_shape *y) {
  return (geometry){.n = x->dim[0],
                    .h = x->dim[1],
                    .w = x->dim[2],
                    .c = x->dim[3],
                    .r = filter->dim[0],
                    .s = filter->dim[1],
                    .cg = filter->dim[2],
                    .k = filter->dim[3],
                    .p = y->dim[1],
                    .q = y->dim[2],
                    .groups = attrs->groups,
                    .kg = filter->dim[3] / attrs->groups,
                    .attrs = attrs};
}

/* One tap: x [c] is the pixel under the window's position, filter [cg,k] that position's weights, y [k] the output
 * pixel. */
typedef void (*tap_fn)(const geometry *at, double *x, double *filter, double *y);

/* y += x·filter, group by group */
static void tap_forward(const geometry *at, double *x, double *filter, double *y) {
  for (int64_t g = 0; g < at->groups; g++)
    for (int64_t c = 0; c < at->cg; c++)
      tct_ref_axpy(at->kg, x[g * at->cg + c], filter + c * at->k + g * at->kg, y + g * at->kg);
}

/* dx += filter·dy */
static void tap_grad_input(const geometry *at, double *dx, double *filter, double *dy) {
  for (int64_t g = 0; g < at->groups; g++)
    for (int64_t c = 0; c < at->cg; c++)
      dx[g * at->cg + c] += tct_ref_dot(at->kg, filter + c * at->k + g * at->kg, 1, dy + g * at->kg);
}

/* dfilter += x ⊗ dy */
static void tap_grad_filter(const geometry *at, double *x, double *dfilter, double *dy) {
  for (int64_t g = 0; g < at->groups; g++)
    for (int64_t c = 0; c < at->cg; c++)
      tct_ref_axpy(at->kg, x[g * at->cg + c], dy + g * at->kg, dfilter + c * at->k + g * at->kg);
}

/* Visits the taps of one output pixel (n, p, q) that lie inside the image. */
static void visit_pixel(const geometry *at, const int64_t pixel[3], double *x, double *filter, double *y, tap_fn tap) {
  const tct_conv2d_attrs *attrs = at->attrs;
  for (int64_t r = 0; r < at->r; r++) {
    const int64_t h = pixel[1] * attrs->stride[0] - attrs->pad[0] + r * attrs->dilation[0];
    if (h < 0 || h >= at->h) continue;
    for (int64_t s = 0; s < at->s; s++) {
      const int64_t w = pixel[2] * attrs->stride[1] - attrs->pad[2] + s * attrs->dilation[1];
      if (w < 0 || w >= at->w) continue;
      tap(at, x + ((pixel[0] * at->h + h) * at->w + w) * at->c, filter + (r * at->s + s) * at->cg * at->k,
          y + ((pixel[0] * at->p + pixel[1]) * at->q + pixel[2]) * at->k);
    }
  }
}

static void visit(const geometry *at, double *x, double *filter, double *y, tap_fn tap) {
  for (int64_t n = 0; n < at->n; n++)
    for (int64_t p = 0; p < at->p; p++)
      for (int64_t q = 0; q < at->q; q++) visit_pixel(at, (const int64_t[3]){n, p, q}, x, filter, y, tap);
}

static void clear(const tct_ref_operand *out) {
  const int64_t size = tct_ref_size(&out->shape);
  for (int64_t e = 0; e < size; e++) out->data[e] = 0.0;
}

/* y[n,p,q,k] = activation(bias[k] + Σ_{r,s,c} x[n, p·stride-pad+r·dilation, …, c]·w[r,s,c,k])
 * x [N,H,W,C], w [R,S,C/groups,K], bias [K]?, y [N,P,Q,K]; outside the image x is 0 */
void tct_ref_conv2d(const tct_ref_args *args) {
  const tct_conv2d_attrs *attrs = args->attrs;
  const geometry at = geometry_of(attrs, &args->in[0].shape, &args->in[1].shape, &args->out[0].shape);
  const double *bias = args->n_in > 2 ? args->in[2].data : NULL;
  double *y = args->out[0].data;
  const int64_t n_pixels = at.n * at.p * at.q;
  for (int64_t i = 0; i < n_pixels; i++)
    for (int64_t k = 0; k < at.k; k++) y[i * at.k + k] = bias != NULL ? bias[k] : 0.0;
  visit(&at, args->in[0].data, args->in[1].data, y, tap_forward);
  tct_ref_activate(attrs->activation, &attrs->activation_attrs, n_pixels * at.k, y);
}

/* dy [N,P,Q,K], w [R,S,C/groups,K] → dx [N,H,W,C] */
void tct_ref_conv2d_grad_input(const tct_ref_args *args) {
  const geometry at = geometry_of(args->attrs, &args->out[0].shape, &args->in[1].shape, &args->in[0].shape);
  clear(&args->out[0]);
  visit(&at, args->out[0].data, args->in[1].data, args->in[0].data, tap_grad_input);
}

/* x [N,H,W,C], dy [N,P,Q,K] → dw [R,S,C/groups,K] */
void tct_ref_conv2d_grad_filter(const tct_ref_args *args) {
  const geometry at = geometry_of(args->attrs, &args->in[0].shape, &args->out[0].shape, &args->in[1].shape);
  clear(&args->out[0]);
  visit(&at, args->in[0].data, args->out[0].data, args->in[1].data, tap_grad_filter);
}
