/* Softmax and log-softmax, and their gradients: along contiguous rows, or down the rows of a slab for many columns at
 * once. x - max keeps e^x in range; a row of y sums to 1 up to rounding. */
#include "kernels/cpu/kernels.h"

#define TCT_SCALAR float
#include "kernels/common/scalar.h"

enum { COLUMNS = 256 };

/* y = e^(x - m); returns Σ y. Sixteen sums side by side fix the order. */
static float exp_row(const float *x, float *y, int64_t n, float m) {
  TCT_EACH (j, n) y[j] = EXP(x[j] - m);
  return (float)TCT_CPU(fold_run)(TCT_FOLD_SUM, y, n, 0.0f);
}

void TCT_CPU(softmax_rows)(const float *x, float *y, int64_t m, int64_t n, bool log) {
  for (int64_t i = 0; i < m; i++, x += n, y += n) {
    const float most = (float)TCT_CPU(fold_run)(TCT_FOLD_MAX, x, n, 0.0f);
    if (log) {
      const float offset = LOG((float)TCT_CPU(fold_run)(TCT_FOLD_SUM_EXP, x, n, most));
      TCT_EACH (j, n) y[j] = (x[j] - most) - offset;
    } else {
      const float factor = 1.0f / exp_row(x, y, n, most);
      TCT_EACH (j, n) y[j] *= factor;
    }
  }
}

void TCT_CPU(softmax_columns)(const float *x, float *y, int64_t n, int64_t stride, int64_t columns, bool log) {
  float most[COLUMNS], sum[COLUMNS];
  for (int64_t j = 0; j < columns; j++) most[j] = -INFINITY, sum[j] = 0.0f;
  TCT_CPU(fold_columns)(TCT_FOLD_MAX, x, n, stride, columns, most, NULL);
  TCT_CPU(fold_columns)(TCT_FOLD_SUM_EXP, x, n, stride, columns, sum, most);
  TCT_EACH (j, columns) sum[j] = log ? LOG(sum[j]) : 1.0f / sum[j];
  for (int64_t i = 0; i < n; i++) {
    const float *from = x + i * stride;
    float *to = y + i * stride;
    if (log) {
      TCT_EACH (j, columns) to[j] = (from[j] - most[j]) - sum[j];
    } else {
      TCT_EACH (j, columns) to[j] = EXP(from[j] - most[j]) * sum[j];
    }
  }
}

/* softmax: dx = y·(dy - Σ dy·y);  log-softmax: dx = dy - e^y·Σ dy */
void TCT_CPU(softmax_grad_rows)(const float *y, const float *dy, float *dx, int64_t m, int64_t n, bool log) {
  for (int64_t i = 0; i < m; i++, y += n, dy += n, dx += n) {
    if (log) {
      const float sum = (float)TCT_CPU(fold_run)(TCT_FOLD_SUM, dy, n, 0.0f);
      TCT_EACH (j, n) dx[j] = dy[j] - EXP(y[j]) * sum;
    } else {
      float partial[16] = {0};
      int64_t j = 0;
      for (; j + 16 <= n; j += 16)
        for (int lane = 0; lane < 16; lane++) partial[lane] += dy[j + lane] * y[j + lane];
      for (int lane = 0; j + lane < n; lane++) partial[lane] += dy[j + lane] * y[j + lane];
      const float sum = (float)TCT_CPU(fold_run)(TCT_FOLD_SUM, partial, 16, 0.0f);
      TCT_EACH (k, n) dx[k] = y[k] * (dy[k] - sum);
    }
  }
}

void TCT_CPU(softmax_grad_columns)(const float *y, const float *dy, float *dx, int64_t n, int64_t stride,
                                   int64_t columns, bool log) {
  float sum[COLUMNS] = {0};
  for (int64_t i = 0; i < n; i++) {
    const float *at_y = y + i * stride, *at_dy = dy + i * stride;
    TCT_EACH (j, columns) sum[j] += log ? at_dy[j] : at_dy[j] * at_y[j];
  }
  for (int64_t i = 0; i < n; i++) {
    const float *at_y = y + i * stride, *at_dy = dy + i * stride;
    float *to = dx + i * stride;
    if (log) {
      TCT_EACH (j, columns) to[j] = at_dy[j] - EXP(at_y[j]) * sum[j];
    } else {
      TCT_EACH (j, columns) to[j] = at_y[j] * (at_dy[j] - sum[j]);
    }
  }
}
