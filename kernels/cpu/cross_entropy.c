/* Softmax cross-entropies, one pass over each row while it is in L1. With label smoothing s the targets t become
 * (1 - s)·t + s/C; the loss is Σ t·(lse - x), which does not cancel as lse·Σt - Σ t·x would. */
#include "kernels/cpu/kernels.h"

#define TCT_SCALAR float
#include "kernels/common/scalar.h"

typedef struct row_sums {
  float most, sum; /* of e^(x - most) */
} row_sums;

static row_sums sums_of(const float *x, int64_t n) {
  const float most = (float)TCT_CPU(fold_run)(TCT_FOLD_MAX, x, n, 0.0f);
  return (row_sums){most, (float)TCT_CPU(fold_run)(TCT_FOLD_SUM_EXP, x, n, most)};
}

static inline bool in_range(int32_t label, int64_t n) {
  return label >= 0 && label < n;
}

void TCT_CPU(sparse_cross_entropy)(const float *x, const int32_t *labels, float *loss, int64_t m, int64_t n,
                                   float smooth) {
  for (int64_t i = 0; i < m; i++, x += n) {
    const row_sums row = sums_of(x, n);
    if (!in_range(labels[i], n)) {
      loss[i] = NAN;
      continue;
    }
    const float lse = LOG(row.sum);
    loss[i] = (1.0f - smooth) * (lse - (x[labels[i]] - row.most));
    if (smooth > 0.0f) {
      const double mean = TCT_CPU(fold_run)(TCT_FOLD_SUM, x, n, 0.0f) / (double)n;
      loss[i] += smooth * (lse - (float)(mean - (double)row.most));
    }
  }
}

/* dx = dloss·(softmax x - t) */
void TCT_CPU(sparse_cross_entropy_grad)(const float *x, const int32_t *labels, const float *dloss, float *dx, int64_t m,
                                        int64_t n, float smooth) {
  const float rest = smooth / (float)n;
  for (int64_t i = 0; i < m; i++, x += n, dx += n) {
    const row_sums row = sums_of(x, n);
    const bool valid = in_range(labels[i], n);
    const float scale = valid ? dloss[i] : NAN, inverse = 1.0f / row.sum;
    TCT_EACH (j, n) dx[j] = scale * (EXP(x[j] - row.most) * inverse - rest);
    if (valid) dx[labels[i]] -= scale * (1.0f - smooth);
  }
}

void TCT_CPU(cross_entropy)(const float *x, const float *t, float *loss, int64_t m, int64_t n, float smooth) {
  const float rest = smooth / (float)n;
  for (int64_t i = 0; i < m; i++, x += n, t += n) {
    const row_sums row = sums_of(x, n);
    const float lse = row.most + LOG(row.sum);
    float partial[16] = {0};
    for (int64_t j = 0; j < n; j += 16)
      for (int64_t lane = 0; lane < 16 && j + lane < n; lane++)
        partial[lane] += ((1.0f - smooth) * t[j + lane] + rest) * (lse - x[j + lane]);
    loss[i] = (float)TCT_CPU(fold_run)(TCT_FOLD_SUM, partial, 16, 0.0f);
  }
}

/* dx = dloss·(softmax x·Σt - t) */
void TCT_CPU(cross_entropy_grad)(const float *x, const float *t, const float *dloss, float *dx, int64_t m, int64_t n,
                                 float smooth) {
  const float rest = smooth / (float)n;
  for (int64_t i = 0; i < m; i++, x += n, t += n, dx += n) {
    const row_sums row = sums_of(x, n);
    const float total = (1.0f - smooth) * (float)TCT_CPU(fold_run)(TCT_FOLD_SUM, t, n, 0.0f) + smooth;
    const float scale = dloss[i], factor = total / row.sum;
    TCT_EACH (j, n) {
      dx[j] = scale * (EXP(x[j] - row.most) * factor - ((1.0f - smooth) * t[j] + rest));
    }
  }
}
