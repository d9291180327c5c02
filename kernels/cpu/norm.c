/* Batch norm and layer norm. Statistics take two passes (mean, then squared deviations from it), which is stable where
 * E[x²] - E[x]² is not. Rows m, channels c last. */
#include "kernels/cpu/kernels.h"

#define TCT_SCALAR float
#include "kernels/common/scalar.h"

/* Rows are passed in strips of LANES columns, whose sums and factors stay in registers; rows of fewer columns that divide
 * LANES are joined to strips of whole rows. Measured at 16 columns: 4 times the speed of row after row. */
typedef float vector __attribute__((vector_size(64)));
typedef float vector_unaligned __attribute__((vector_size(64), aligned(4), may_alias));
enum { LANES = 32, HALF = LANES / 2 };
#define LOAD(p)     (*(const vector_unaligned *)(p))
#define STORE(p, v) (*(vector_unaligned *)(p) = (v))

/* Whether rows of c columns are joined to strips. */
static bool joins(int64_t c) {
  return c > 0 && c < LANES && LANES % c == 0;
}

static void repeat(const float *from, int64_t c, float *to) {
  for (int64_t j = 0; j < LANES; j++) to[j] = from[j % c];
}

static void fold(const float *from, int64_t c, float *acc) {
  for (int64_t j = 0; j < LANES; j++) acc[j % c] += from[j];
}

static void deviations_strip(const float *x, int64_t stride, int64_t m, const float *mean, float *acc) {
  const vector m0 = LOAD(mean), m1 = LOAD(mean + HALF);
  vector a0 = LOAD(acc), a1 = LOAD(acc + HALF);
  for (int64_t i = 0; i < m; i++, x += stride) {
    const vector d0 = LOAD(x) - m0, d1 = LOAD(x + HALF) - m1;
    a0 += d0 * d0;
    a1 += d1 * d1;
  }
  STORE(acc, a0);
  STORE(acc + HALF, a1);
}

void TCT_CPU(square_deviations)(const float *x, const float *mean, int64_t m, int64_t c, float *acc) {
  int64_t i = 0, j0 = 0;
  if (joins(c)) {
    float means[LANES], sums[LANES] = {0};
    const int64_t strips = m * c / LANES;
    repeat(mean, c, means);
    deviations_strip(x, LANES, strips, means, sums);
    fold(sums, c, acc);
    i = strips * LANES / c;
  } else {
    for (; j0 + LANES <= c; j0 += LANES) deviations_strip(x + j0, c, m, mean + j0, acc + j0);
  }
  for (; j0 < c && i < m; i++)
    for (int64_t j = j0; j < c; j++) {
      const float d = x[i * c + j] - mean[j];
      acc[j] += d * d;
    }
}

static void normalize_strip(const float *x, int64_t stride, int64_t m, const float *mean, const float *factor,
                            const float *offset, float *y) {
  const vector m0 = LOAD(mean), m1 = LOAD(mean + HALF), f0 = LOAD(factor), f1 = LOAD(factor + HALF);
  const vector b0 = LOAD(offset), b1 = LOAD(offset + HALF);
  for (int64_t i = 0; i < m; i++, x += stride, y += stride) {
    STORE(y, (LOAD(x) - m0) * f0 + b0);
    STORE(y + HALF, (LOAD(x + HALF) - m1) * f1 + b1);
  }
}

void TCT_CPU(normalize)(const float *x, const float *mean, const float *factor, const float *offset, float *y,
                        int64_t m, int64_t c) {
  int64_t i = 0, j0 = 0;
  if (joins(c)) {
    float means[LANES], factors[LANES], offsets[LANES];
    const int64_t strips = m * c / LANES;
    repeat(mean, c, means);
    repeat(factor, c, factors);
    repeat(offset, c, offsets);
    normalize_strip(x, LANES, strips, means, factors, offsets, y);
    i = strips * LANES / c;
  } else {
    for (; j0 + LANES <= c; j0 += LANES) normalize_strip(x + j0, c, m, mean + j0, factor + j0, offset + j0, y + j0);
  }
  for (; j0 < c && i < m; i++)
    for (int64_t j = j0; j < c; j++) y[i * c + j] = (x[i * c + j] - mean[j]) * factor[j] + offset[j];
}

static void grad_sums_strip(const float *x, const float *dy, int64_t stride, int64_t m, const float *mean,
                            const float *inverse, float *dgamma, float *dbeta) {
  const vector m0 = LOAD(mean), m1 = LOAD(mean + HALF), v0 = LOAD(inverse), v1 = LOAD(inverse + HALF);
  vector g0 = LOAD(dgamma), g1 = LOAD(dgamma + HALF), b0 = LOAD(dbeta), b1 = LOAD(dbeta + HALF);
  for (int64_t i = 0; i < m; i++, x += stride, dy += stride) {
    const vector s0 = LOAD(dy), s1 = LOAD(dy + HALF);
    g0 += s0 * (LOAD(x) - m0) * v0;
    g1 += s1 * (LOAD(x + HALF) - m1) * v1;
    b0 += s0;
    b1 += s1;
  }
  STORE(dgamma, g0);
  STORE(dgamma + HALF, g1);
  STORE(dbeta, b0);
  STORE(dbeta + HALF, b1);
}

void TCT_CPU(norm_grad_sums)(const float *x, const float *dy, const float *mean, const float *inverse, int64_t m,
                             int64_t c, float *dgamma, float *dbeta) {
  int64_t i = 0, j0 = 0;
  if (joins(c)) {
    float means[LANES], inverses[LANES], gammas[LANES] = {0}, betas[LANES] = {0};
    const int64_t strips = m * c / LANES;
    repeat(mean, c, means);
    repeat(inverse, c, inverses);
    grad_sums_strip(x, dy, LANES, strips, means, inverses, gammas, betas);
    fold(gammas, c, dgamma);
    fold(betas, c, dbeta);
    i = strips * LANES / c;
  } else {
    for (; j0 + LANES <= c; j0 += LANES)
      grad_sums_strip(x + j0, dy + j0, c, m, mean + j0, inverse + j0, dgamma + j0, dbeta + j0);
  }
  for (; j0 < c && i < m; i++)
    for (int64_t j = j0; j < c; j++) {
      dgamma[j] += dy[i * c + j] * (x[i * c + j] - mean[j]) * inverse[j];
      dbeta[j] += dy[i * c + j];
    }
}

static void grad_strip(const float *x, const float *dy, int64_t stride, int64_t m, const float *mean, const float *factor,
                       const float *a, const float *b, float *dx) {
  const vector m0 = LOAD(mean), m1 = LOAD(mean + HALF), f0 = LOAD(factor), f1 = LOAD(factor + HALF);
  const vector a0 = LOAD(a), a1 = LOAD(a + HALF), b0 = LOAD(b), b1 = LOAD(b + HALF);
  for (int64_t i = 0; i < m; i++, x += stride, dy += stride, dx += stride) {
    STORE(dx, f0 * (LOAD(dy) - a0 - (LOAD(x) - m0) * b0));
    STORE(dx + HALF, f1 * (LOAD(dy + HALF) - a1 - (LOAD(x + HALF) - m1) * b1));
  }
}

void TCT_CPU(norm_grad)(const float *x, const float *dy, const float *mean, const float *factor, const float *a,
                        const float *b, float *dx, int64_t m, int64_t c) {
  int64_t i = 0, j0 = 0;
  if (joins(c)) {
    float means[LANES], factors[LANES], as[LANES], bs[LANES];
    const int64_t strips = m * c / LANES;
    repeat(mean, c, means);
    repeat(factor, c, factors);
    repeat(a, c, as);
    repeat(b, c, bs);
    grad_strip(x, dy, LANES, strips, means, factors, as, bs, dx);
    i = strips * LANES / c;
  } else {
    for (; j0 + LANES <= c; j0 += LANES)
      grad_strip(x + j0, dy + j0, c, m, mean + j0, factor + j0, a + j0, b + j0, dx + j0);
  }
  for (; j0 < c && i < m; i++)
    for (int64_t j = j0; j < c; j++)
      dx[i * c + j] = factor[j] * (dy[i * c + j] - a[j] - (x[i * c + j] - mean[j]) * b[j]);
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
