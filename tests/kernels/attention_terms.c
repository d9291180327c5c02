/* The formula of kernels/ref/attention.c with every term's magnitude in place of the term; a score's rounding errors are
 * absolute ones of an exponent, and so relative ones of its weight, each as large as the score's own terms. */
#include "kernels/attention_terms.h"

#include <math.h>
#include <string.h>
#include <tercet/attrs.h>

static double dot(const float *a, const float *b, int64_t n, bool magnitudes) {
  double sum = 0;
  for (int64_t i = 0; i < n; i++) sum += magnitudes ? fabs((double)a[i] * (double)b[i]) : (double)a[i] * (double)b[i];
  return sum;
}

static void add(double *sum, double factor, const float *x, int64_t n) {
  for (int64_t i = 0; i < n; i++) sum[i] += factor * fabs((double)x[i]);
}

static bool sees(const tct_node_view *node, void *const *in, const int64_t pair[4]) {
  const tct_attention_attrs *attrs = node->attrs;
  if (attrs->causal && pair[3] > pair[2]) return false;
  if (node->n_in < 7) return true;
  const tct_shape *mask = &node->in[6].shape;
  int64_t at = 0;
  for (int axis = 0; axis < 4; axis++) at = at * mask->dim[axis] + (mask->dim[axis] == 1 ? 0 : pair[axis]);
  return ((const uint8_t *)in[6])[at] != 0;
}

double attention_grad_terms(const tct_node_view *node, void *const *in, int32_t output, double *sum) {
  const tct_shape *qs = &node->in[0].shape, *vs = &node->in[2].shape;
  const int64_t n_b = qs->dim[0], t = qs->dim[1], n_h = qs->dim[2], d = qs->dim[3], s = vs->dim[1], v = vs->dim[3];
  const double scale = ((const tct_attention_attrs *)node->attrs)->scale;
  const float *l = in[4];
  double most_score = 0;
  memset(sum, 0, (size_t)tct_shape_size(&node->out[output].shape) * sizeof *sum);
  for (int64_t b = 0; b < n_b; b++)
    for (int64_t h = 0; h < n_h; h++)
      for (int64_t pair = 0; pair < t * s; pair++) {
        const int64_t i = pair / s, j = pair % s, query = (b * t + i) * n_h + h, key = (b * s + j) * n_h + h;
        if (!sees(node, in, (const int64_t[]){b, h, i, j})) continue;
        const float *q = (const float *)in[0] + query * d, *k = (const float *)in[1] + key * d;
        const float *value = (const float *)in[2] + key * v, *y = (const float *)in[3] + query * v;
        const float *dy = (const float *)in[5] + query * v;
        const double weight = exp(scale * dot(q, k, d, false) - (double)l[(b * n_h + h) * t + i]);
        const double ds = fabs(scale) * weight * (dot(dy, value, v, true) + dot(dy, y, v, true));
        if (output == 0) add(sum + query * d, ds, k, d);
        if (output == 1) add(sum + key * d, ds, q, d);
        if (output == 2) add(sum + key * v, weight, dy, v);
        most_score = fmax(most_score, fabs(scale) * dot(q, k, d, true) + fabs((double)l[(b * n_h + h) * t + i]));
      }
  /* The products' lengths, those of the exponent as often as the score is large; eight for the rest. */
  return (double)(v + (t > s ? t : s) + 8) + (double)(d + 2) * most_score;
}
