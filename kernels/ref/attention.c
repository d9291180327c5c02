/* Scaled dot-product attention and its gradient, query by query; every score is computed as often as it is needed. */
#include <math.h>

#include "kernels/ref/layout.h"
#include "kernels/ref/ref.h"
#include "kernels/ref/vector.h"

/* q [B,T,H,D], k [B,S,H,D], v [B,S,H,V], mask [B|1,H|1,T|1,S|1] or NULL */
typedef struct problem {
  int64_t b, t, s, h, d, v;
  double scale;
  bool causal;
  const double *q, *k, *value, *mask;
  int64_t mask_stride[4];
} problem;

static problem problem_of(const tct_ref_args *args, int32_t mask) {
  const tct_attention_attrs *attrs = args->attrs;
  const tct_shape *q = &args->in[0].shape;
  problem p = {.b = q->dim[0],
               .t = q->dim[1],
               .h = q->dim[2],
               .d = q->dim[3],
               .s = args->in[1].shape.dim[1],
               .v = args->in[2].shape.dim[3],
               .scale = attrs->scale,
               .causal = attrs->causal,
               .q = args->in[0].data,
               .k = args->in[1].data,
               .value = args->in[2].data};
  if (mask < args->n_in) {
    const tct_shape scores = {.rank = 4, .dim = {p.b, p.h, p.t, p.s}};
    p.mask = args->in[mask].data;
    tct_ref_broadcast(&args->in[mask].shape, &scores, p.mask_stride);
  }
  return p;
}

/* The element (b, position, h, 0) of a tensor [B, positions, H, width]. */
static int64_t at(const problem *p, int64_t positions, int64_t width, int64_t b, int64_t position, int64_t h) {
  return ((b * positions + position) * p->h + h) * width;
}

static bool sees(const problem *p, int64_t b, int64_t h, int64_t i, int64_t j) {
  if (p->causal && j > i) return false;
  const int64_t *stride = p->mask_stride;
  return p->mask == NULL || p->mask[b * stride[0] + h * stride[1] + i * stride[2] + j * stride[3]] != 0.0;
}

/* s = scale·q·k */
static double score(const problem *p, int64_t b, int64_t h, int64_t i, int64_t j) {
  return p->scale * tct_ref_dot(p->d, p->q + at(p, p->t, p->d, b, i, h), 1, p->k + at(p, p->s, p->d, b, j, h));
}

/* ln Σ e^s over the keys that query i sees; +∞ where it sees none. */
static double log_sum_exp(const problem *p, int64_t b, int64_t h, int64_t i) {
  double most = -INFINITY, sum = 0.0;
  for (int64_t j = 0; j < p->s; j++)
    if (sees(p, b, h, i, j)) most = fmax(most, score(p, b, h, i, j));
  if (most == -INFINITY) return INFINITY;
  for (int64_t j = 0; j < p->s; j++)
    if (sees(p, b, h, i, j)) sum += exp(score(p, b, h, i, j) - most);
  return most + log(sum);
}

/* y = Σ_j e^(s_j - l)·v_j;  → y [B,T,H,V], l [B,H,T] */
void tct_ref_attention(const tct_ref_args *args) {
  const problem p = problem_of(args, 3);
  for (int64_t b = 0; b < p.b; b++)
    for (int64_t h = 0; h < p.h; h++)
      for (int64_t i = 0; i < p.t; i++) {
        double *y = args->out[0].data + at(&p, p.t, p.v, b, i, h);
        const double l = log_sum_exp(&p, b, h, i);
        args->out[1].data[(b * p.h + h) * p.t + i] = l;
        for (int64_t c = 0; c < p.v; c++) y[c] = 0.0;
        for (int64_t j = 0; j < p.s; j++)
          if (sees(&p, b, h, i, j))
            tct_ref_axpy(p.v, exp(score(&p, b, h, i, j) - l), p.value + at(&p, p.s, p.v, b, j, h), y);
      }
}

static void clear(const tct_ref_operand *x) {
  for (int64_t i = 0; i < tct_ref_size(&x->shape); i++) x->data[i] = 0.0;
}

/* p = e^(s - l), ds = scale·p·(dy·v - dy·y): dq += ds·k, dk += ds·q, dv += p·dy
 * (q, k, v, y [B,T,H,V], l [B,H,T], dy [B,T,H,V], mask?) → dq, dk, dv */
void tct_ref_attention_grad(const tct_ref_args *args) {
  const problem p = problem_of(args, 6);
  for (int32_t o = 0; o < 3; o++) clear(&args->out[o]);
  for (int64_t b = 0; b < p.b; b++)
    for (int64_t h = 0; h < p.h; h++)
      for (int64_t i = 0; i < p.t; i++) {
        const int64_t query = at(&p, p.t, p.d, b, i, h), result = at(&p, p.t, p.v, b, i, h);
        const double *dy = args->in[5].data + result, l = args->in[4].data[(b * p.h + h) * p.t + i];
        const double delta = tct_ref_dot(p.v, dy, 1, args->in[3].data + result);
        for (int64_t j = 0; j < p.s; j++) {
          if (!sees(&p, b, h, i, j)) continue;
          const int64_t key = at(&p, p.s, p.d, b, j, h), value = at(&p, p.s, p.v, b, j, h);
          const double weight = exp(score(&p, b, h, i, j) - l);
          const double ds = p.scale * weight * (tct_ref_dot(p.v, dy, 1, p.value + value) - delta);
          tct_ref_axpy(p.d, ds, p.k + key, args->out[0].data + query);
          tct_ref_axpy(p.d, ds, p.q + query, args->out[1].data + key);
          tct_ref_axpy(p.v, weight, dy, args->out[2].data + value);
        }
      }
}
