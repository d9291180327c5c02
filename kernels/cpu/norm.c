/* Batch norm and layer norm. Statistics take two passes (mean, then squared deviations from it), which is stable where
 * E[x²] - E[x]² is not. Rows m, channels c last. */
#include "kernels/cpu/kernels.h"

#define TCT_SCALAR float
#include "kernels/common/scalar.h"

void TCT_CPU(square_deviations)(const float *x, const float *mean, int64_t m, int64_t c, float *acc) {
  for (int64_t i = 0; i < m; i++, x += c)
    TCT_EACH (j, c) {
      const float d = x[j] - mean[j];
      acc[j] += d * d;
    }
}

void TCT_CPU(normalize)(const float *x, const float *mean, const float *factor, const float *offset, float *y,
                        int64_t m, int64_t c) {
  for (int64_t i = 0; i < m; i++, x += c, y += c)
    TCT_EACH (j, c) y[j] = (x[j] - mean[j]) * factor[j] + offset[j];
}

void TCT_CPU(norm_grad_sums)(const float *x, const float *dy, const float *mean, const float *inverse, int64_t m,
                             int64_t c, float *dgamma, float *dbeta) {
  for (int64_t i = 0; i < m; i++, x += c, dy += c)
    TCT_EACH (j, c) {
      dgamma[j] += dy[j] * (x[j] - mean[j]) * inverse[j];
      dbeta[j] += dy[j];
    }
}

void TCT_CPU(norm_grad)(const float *x, const float *dy, const float *mean, const float *factor, const float *a,
                        const float *b, float *dx, int64_t m, int64_t c) {
  for (int64_t i = 0; i < m; i++, x += c, dy += c, dx += c)
    TCT_EACH (j, c) dx[j] = factor[j] * (dy[j] - a[j] - (x[j] - mean[j]) * b[j]);
}

/* Σ (x - mean)² of a row, sixteen sums side by side. */
static float deviations(const float *x, int64_t c, float mean) {
  float partial[16] = {0};
  int64_t j = 0;
  for (; j + 16 <= c; j += 16)
    for (int lane = 0; lane < 16; lane++) partial[lane] += (x[j + lane] - mean) * (x[j + lane] - mean);
  for (int lane = 0; j + lane < c; lane++) partial[lane] += (x[j + lane] - mean) * (x[j + lane] - mean);
  return (float)TCT_CPU(fold_run)(TCT_FOLD_SUM, partial, 16, 0.0f);
}

void TCT_CPU(layer_norm)(const float *x, const float *gamma, const float *beta, float *y, float *mean, float *inverse,
                         int64_t m, int64_t c, float epsilon) {
  for (int64_t i = 0; i < m; i++, x += c, y += c) {
    const float mu = (float)(TCT_CPU(fold_run)(TCT_FOLD_SUM, x, c, 0.0f) / (double)c);
    const float factor = 1.0f / sqrtf(deviations(x, c, mu) / (float)c + epsilon);
    TCT_EACH (j, c) y[j] = (x[j] - mu) * factor * gamma[j] + beta[j];
    mean[i] = mu;
    inverse[i] = factor;
  }
}

/* With g = dy·gamma and h = (x - mean)/σ: dx = (g - mean(g) - h·mean(g·h))/σ. */
void TCT_CPU(layer_norm_grad)(const float *x, const float *gamma, const float *mean, const float *inverse,
                              const float *dy, float *dx, float *dgamma, float *dbeta, int64_t m, int64_t c) {
  for (int64_t i = 0; i < m; i++, x += c, dy += c, dx += c) {
    const float mu = mean[i], factor = inverse[i];
    float sum_g[16] = {0}, sum_gh[16] = {0};
    for (int64_t j = 0; j < c; j += 16) {
      const int64_t lanes = c - j < 16 ? c - j : 16;
      for (int64_t lane = 0; lane < lanes; lane++) {
        const float g = dy[j + lane] * gamma[j + lane];
        sum_g[lane] += g;
        sum_gh[lane] += g * ((x[j + lane] - mu) * factor);
      }
    }
    const float mean_g = (float)(TCT_CPU(fold_run)(TCT_FOLD_SUM, sum_g, 16, 0.0f) / (double)c);
    const float mean_gh = (float)(TCT_CPU(fold_run)(TCT_FOLD_SUM, sum_gh, 16, 0.0f) / (double)c);
    TCT_EACH (j, c) {
      const float h = (x[j] - mu) * factor, slope = dy[j];
      dx[j] = (slope * gamma[j] - mean_g - h * mean_gh) * factor;
      dgamma[j] += slope * h;
      dbeta[j] += slope;
    }
  }
}
