/* The elementwise part of attention on one block of scores, queries × keys: the running softmax of the forward and the
 * score's gradient of the backward. The products around it are gemm's. */
#include "kernels/cpu/kernels.h"

#define TCT_SCALAR float
#include "kernels/common/scalar.h"

/* Keys of query i, from the first, that may be seen as far as order goes; those behind are 0. */
static int64_t reach(const tct_cpu_sight *sight, int64_t i, int64_t n) {
  const int64_t last = sight->ahead + i + 1;
  return last < 0 ? 0 : last < n ? last : n;
}

static const uint8_t *mask_row(const tct_cpu_sight *sight, int64_t i) {
  return sight->mask != NULL ? sight->mask + i * sight->mask_row : NULL;
}

/* s = scale·s, -∞ where the mask hides the key. */
static void scale_and_hide(const tct_cpu_sight *sight, int64_t i, float *s, int64_t n, float scale) {
  const uint8_t *mask = mask_row(sight, i);
  TCT_EACH (j, n) s[j] *= scale;
  if (mask == NULL) return;
  for (int64_t j = 0; j < n; j++)
    if (mask[j * sight->mask_column] == 0) s[j] = -INFINITY;
}

void TCT_CPU(attention_scores)(const tct_cpu_sight *sight, float *s, int64_t lds, int64_t m, int64_t n, float scale,
                               float *most, float *sum, float *y, int64_t ldy, int64_t v) {
  for (int64_t i = 0; i < m; i++, s += lds, y += ldy) {
    const int64_t seen = reach(sight, i, n);
    memset(s + seen, 0, (size_t)(n - seen) * sizeof *s);
    scale_and_hide(sight, i, s, seen, scale);
    const float greatest = (float)TCT_CPU(fold_run)(TCT_FOLD_MAX, s, seen, 0.0f);
    const float top = greatest < most[i] ? most[i] : greatest;
    if (top == -INFINITY) { /* nothing is seen yet */
      memset(s, 0, (size_t)seen * sizeof *s);
      continue;
    }
    TCT_EACH (j, seen) s[j] = EXP(s[j] - top);
    const float more = (float)TCT_CPU(fold_run)(TCT_FOLD_SUM, s, seen, 0.0f);
    const float factor = tct_expf(most[i] - top);
    if (factor != 1.0f)
      TCT_EACH (c, v) y[c] *= factor;
    sum[i] = sum[i] * factor + more;
    most[i] = top;
  }
}

void TCT_CPU(attention_end)(const float *most, const float *sum, float *y, int64_t ldy, float *lse, int64_t m,
                            int64_t v) {
  for (int64_t i = 0; i < m; i++, y += ldy) {
    const bool sees_none = most[i] == -INFINITY;
    const float factor = sees_none ? 0.0f : 1.0f / sum[i];
    TCT_EACH (c, v) y[c] *= factor;
    lse[i] = sees_none ? INFINITY : most[i] + LOG(sum[i]);
  }
}

void TCT_CPU(attention_grad)(const tct_cpu_sight *sight, float *s, float *dp, int64_t lds, int64_t m, int64_t n,
                             float scale, const float *lse, const float *delta) {
  for (int64_t i = 0; i < m; i++, s += lds, dp += lds) {
    const int64_t seen = reach(sight, i, n);
    const float l = lse[i], mean = delta[i];
    memset(s + seen, 0, (size_t)(n - seen) * sizeof *s);
    memset(dp + seen, 0, (size_t)(n - seen) * sizeof *dp);
    scale_and_hide(sight, i, s, seen, scale);
    TCT_EACH (j, seen) {
      s[j] = EXP(s[j] - l);
      dp[j] = scale * s[j] * (dp[j] - mean);
    }
  }
}

void TCT_CPU(row_dots)(const float *a, int64_t lda, const float *b, int64_t ldb, float *out, int64_t m, int64_t n) {
  for (int64_t i = 0; i < m; i++, a += lda, b += ldb) {
    float partial[16] = {0};
    int64_t j = 0;
    for (; j + 16 <= n; j += 16)
      for (int lane = 0; lane < 16; lane++) partial[lane] += a[j + lane] * b[j + lane];
    for (int lane = 0; j + lane < n; lane++) partial[lane] += a[j + lane] * b[j + lane];
    out[i] = (float)TCT_CPU(fold_run)(TCT_FOLD_SUM, partial, 16, 0.0f);
  }
}
