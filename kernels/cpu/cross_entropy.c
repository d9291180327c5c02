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

/* Rows of at most NARROW columns, as most classifiers have: BLOCK of them side by side, column by column, so that vectors
 * run over rows. */
enum { NARROW = 16, BLOCK = 32 };
typedef struct block {
  float e[NARROW][BLOCK]; /* e^(x - most) */
  float most[BLOCK], sum[BLOCK];
} block;

/* In the order of fold_run: a row has the same bits on either path. */
static void sum_pairwise(block *at, int64_t n) {
  float sum[NARROW][BLOCK] = {{0}};
  memcpy(sum, at->e, (size_t)n * sizeof sum[0]);
  for (int width = NARROW / 2; width > 0; width /= 2)
    for (int j = 0; j < width; j++) TCT_EACH (i, BLOCK) sum[j][i] += sum[j + width][i];
  memcpy(at->sum, sum[0], sizeof at->sum);
}

static void fill_block(block *at, const float *x, int64_t rows, int64_t n) {
  for (int64_t j = 0; j < n; j++) {
    for (int64_t i = 0; i < rows; i++) at->e[j][i] = x[i * n + j];
    for (int64_t i = rows; i < BLOCK; i++) at->e[j][i] = 0.0f;
  }
  memcpy(at->most, at->e[0], sizeof at->most);
  for (int64_t j = 1; j < n; j++) TCT_EACH (i, BLOCK) at->most[i] = MAXIMUM(at->most[i], at->e[j][i]);
  for (int64_t j = 0; j < n; j++) TCT_EACH (i, BLOCK) at->e[j][i] = EXP(at->e[j][i] - at->most[i]);
  sum_pairwise(at, n);
}

static inline bool in_range(int32_t label, int64_t n) {
  return label >= 0 && label < n;
}

/* The loss of one row; `sum` is its Σ e^(x - most). */
static float sparse_loss(const float *x, int32_t label, int64_t n, float smooth, float most, float log_sum) {
  if (!in_range(label, n)) return NAN;
  float loss = (1.0f - smooth) * (log_sum - (x[label] - most));
  if (smooth > 0.0f) {
    const double mean = TCT_CPU(fold_run)(TCT_FOLD_SUM, x, n, 0.0f) / (double)n;
    loss += smooth * (log_sum - (float)(mean - (double)most));
  }
  return loss;
}

void TCT_CPU(sparse_cross_entropy)(const float *x, const int32_t *labels, float *loss, int64_t m, int64_t n,
                                   float smooth) {
  if (n > NARROW || n == 0) {
    for (int64_t i = 0; i < m; i++, x += n) {
      const row_sums row = sums_of(x, n);
      loss[i] = sparse_loss(x, labels[i], n, smooth, row.most, LOG(row.sum));
    }
    return;
  }
  for (int64_t i0 = 0; i0 < m; i0 += BLOCK) {
    const int64_t rows = m - i0 < BLOCK ? m - i0 : BLOCK;
    block at;
    fill_block(&at, x + i0 * n, rows, n);
    TCT_EACH (i, BLOCK) at.sum[i] = LOG(at.sum[i]);
    for (int64_t i = 0; i < rows; i++) {
      loss[i0 + i] = sparse_loss(x + (i0 + i) * n, labels[i0 + i], n, smooth, at.most[i], at.sum[i]);
    }
  }
}

/* dx = dloss·(softmax x - t) */
void TCT_CPU(sparse_cross_entropy_grad)(const float *x, const int32_t *labels, const float *dloss, float *dx, int64_t m,
                                        int64_t n, float smooth) {
  const float rest = smooth / (float)n;
  if (n > NARROW || n == 0) {
    for (int64_t i = 0; i < m; i++, x += n, dx += n) {
      const row_sums row = sums_of(x, n);
      const bool valid = in_range(labels[i], n);
      const float scale = valid ? dloss[i] : NAN, inverse = 1.0f / row.sum;
      TCT_EACH (j, n) dx[j] = scale * (EXP(x[j] - row.most) * inverse - rest);
      if (valid) dx[labels[i]] -= scale * (1.0f - smooth);
    }
    return;
  }
  for (int64_t i0 = 0; i0 < m; i0 += BLOCK, x += BLOCK * n, dx += BLOCK * n) {
    const int64_t rows = m - i0 < BLOCK ? m - i0 : BLOCK;
    float scale[BLOCK] = {0};
    block at;
    fill_block(&at, x, rows, n);
    for (int64_t i = 0; i < rows; i++) scale[i] = in_range(labels[i0 + i], n) ? dloss[i0 + i] : NAN;
    TCT_EACH (i, BLOCK) at.sum[i] = 1.0f / at.sum[i];
    for (int64_t j = 0; j < n; j++) {
      TCT_EACH (i, BLOCK) at.e[j][i] = scale[i] * (at.e[j][i] * at.sum[i] - rest);
      for (int64_t i = 0; i < rows; i++) dx[i * n + j] = at.e[j][i];
    }
    for (int64_t i = 0; i < rows; i++) {
      if (in_range(labels[i0 + i], n)) dx[i * n + labels[i0 + i]] -= scale[i] * (1.0f - smooth);
    }
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
