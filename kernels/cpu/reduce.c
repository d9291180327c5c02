/* Folds of contiguous runs and of columns, squares, and positions of extremes. A run is summed in blocks of 4096
 * elements over 64 interleaved f32 sums, joined as a tree; blocks add up in double: the order depends on the length
 * only. */
#include "kernels/cpu/kernels.h"

#define TCT_SCALAR float
#include "kernels/common/scalar.h"

enum { LANES = 64, NARROW = 16, BLOCK = 4096 };

#define FOLD_SUM(acc, x)     ((acc) + (x))
#define FOLD_PROD(acc, x)    ((acc) * (x))
#define FOLD_SQUARES(acc, x) ((acc) + (x) * (x))
#define FOLD_SUM_EXP(acc, x) ((acc) + EXP((x)-m))

/* A block folded into 64 results, then into 16, then pairwise. The tail is padded with what folds to nothing, so that
 * it is one vector step too. */
#define BLOCK_FOLD(name, identity, neutral, step, join)                                                                \
  static float name(const float *x, int64_t n, float m) {                                                              \
    float acc[NARROW], tail[NARROW];                                                                                   \
    for (int j = 0; j < NARROW; j++) acc[j] = (identity), tail[j] = (neutral);                                         \
    int64_t i = 0;                                                                                                     \
    if (n >= 2 * LANES) {                                                                                              \
      float wide[LANES];                                                                                               \
      for (int j = 0; j < LANES; j++) wide[j] = (identity);                                                            \
      for (; i + LANES <= n; i += LANES)                                                                               \
        for (int j = 0; j < LANES; j++) wide[j] = step(wide[j], x[i + j]);                                             \
      for (int j = 0; j < NARROW; j++) {                                                                               \
        acc[j] = join(join(wide[j], wide[j + NARROW]), join(wide[j + 2 * NARROW], wide[j + 3 * NARROW]));              \
      }                                                                                                                \
    }                                                                                                                  \
    for (; i + NARROW <= n; i += NARROW)                                                                               \
      for (int j = 0; j < NARROW; j++) acc[j] = step(acc[j], x[i + j]);                                                \
    if (i < n) {                                                                                                       \
      memcpy(tail, x + i, (size_t)(n - i) * sizeof *x);                                                                \
      for (int j = 0; j < NARROW; j++) acc[j] = step(acc[j], tail[j]);                                                 \
    }                                                                                                                  \
    for (int half = NARROW / 2; half > 0; half /= 2)                                                                   \
      for (int j = 0; j < half; j++) acc[j] = join(acc[j], acc[j + half]);                                             \
    (void)m;                                                                                                           \
    return acc[0];                                                                                                     \
  }
BLOCK_FOLD(block_sum, 0.0f, 0.0f, FOLD_SUM, FOLD_SUM)
BLOCK_FOLD(block_squares, 0.0f, 0.0f, FOLD_SQUARES, FOLD_SUM)
BLOCK_FOLD(block_sum_exp, 0.0f, -INFINITY, FOLD_SUM_EXP, FOLD_SUM)
BLOCK_FOLD(block_prod, 1.0f, 1.0f, FOLD_PROD, FOLD_PROD)
BLOCK_FOLD(block_max, -INFINITY, -INFINITY, MAXIMUM, MAXIMUM)
BLOCK_FOLD(block_min, INFINITY, INFINITY, MINIMUM, MINIMUM)

static double sum_blocks(float (*block)(const float *, int64_t, float), const float *x, int64_t n, float m) {
  double sum = 0.0;
  for (int64_t i = 0; i < n; i += BLOCK) sum += (double)block(x + i, n - i < BLOCK ? n - i : BLOCK, m);
  return sum;
}

double TCT_CPU(fold_run)(tct_cpu_fold fold, const float *x, int64_t n, float m) {
  switch (fold) {
  case TCT_FOLD_SUM:
    return sum_blocks(block_sum, x, n, m);
  case TCT_FOLD_SUM_EXP:
    return sum_blocks(block_sum_exp, x, n, m);
  case TCT_FOLD_MAX:
    return (double)block_max(x, n, m);
  case TCT_FOLD_MIN:
    return (double)block_min(x, n, m);
  case TCT_FOLD_PROD:
    break;
  }
  double product = 1.0;
  for (int64_t i = 0; i < n; i += LANES) product *= (double)block_prod(x + i, n - i < LANES ? n - i : LANES, m);
  return product;
}

double TCT_CPU(sum_squares)(const float *x, int64_t n) {
  return sum_blocks(block_squares, x, n, 0.0f);
}

#define COLUMN_FOLD(name, step)                                                                                        \
  static void name(const float *x, int64_t n, int64_t stride, int64_t columns, float *acc, const float *of) {          \
    for (int64_t i = 0; i < n; i++, x += stride)                                                                       \
      TCT_EACH (j, columns) {                                                                                          \
        const float m = of != NULL ? of[j] : 0.0f;                                                                     \
        acc[j] = step(acc[j], x[j]);                                                                                   \
        (void)m;                                                                                                       \
      }                                                                                                                \
  }
COLUMN_FOLD(columns_prod, FOLD_PROD)
COLUMN_FOLD(columns_max, MAXIMUM)
COLUMN_FOLD(columns_min, MINIMUM)

static void columns_sum_exp(const float *x, int64_t n, int64_t stride, int64_t columns, float *acc, const float *m) {
  for (int64_t i = 0; i < n; i++, x += stride)
    TCT_EACH (j, columns) acc[j] += EXP(x[j] - m[j]);
}

/* The least width of at least 64 elements, in steps of 16, that holds whole rows. */
static int64_t stripe_of(int64_t columns) {
  int64_t width = columns;
  while (width % NARROW != 0) width *= 2;
  while (width < LANES) width *= 2;
  return width;
}

/* Eight rows at a time: acc is read and written once for them. Few columns leave the vector unit idle: rows of up to 32
 * columns are summed through stripes of elements that hold whole rows. */
static void columns_sum(const float *x, int64_t n, int64_t stride, int64_t columns, float *acc) {
  int64_t i = 0;
  if (stride == columns && columns <= 32) {
    float stripe[16 * 32] = {0};
    const int64_t width = stripe_of(columns), step = width / columns;
    if (width == LANES) { /* a constant width keeps the sums in registers */
      for (; i + step <= n; i += step, x += LANES)
        for (int j = 0; j < LANES; j++) stripe[j] += x[j];
    } else {
      for (; i + step <= n; i += step, x += width)
        for (int64_t j = 0; j < width; j += NARROW)
          for (int lane = 0; lane < NARROW; lane++) stripe[j + lane] += x[j + lane];
    }
    for (int64_t j = 0; j < width; j++) acc[j % columns] += stripe[j];
  }
  for (; i + 8 <= n; i += 8, x += 8 * stride)
    TCT_EACH (j, columns) {
      const float *at = x + j;
      const float low = (at[0] + at[stride]) + (at[2 * stride] + at[3 * stride]);
      const float high = (at[4 * stride] + at[5 * stride]) + (at[6 * stride] + at[7 * stride]);
      acc[j] += low + high;
    }
  for (; i < n; i++, x += stride)
    TCT_EACH (j, columns) acc[j] += x[j];
}

void TCT_CPU(fold_columns)(tct_cpu_fold fold, const float *x, int64_t n, int64_t stride, int64_t columns, float *acc,
                           const float *m) {
  switch (fold) {
  case TCT_FOLD_SUM:
    columns_sum(x, n, stride, columns, acc);
    return;
  case TCT_FOLD_MAX:
    columns_max(x, n, stride, columns, acc, NULL);
    return;
  case TCT_FOLD_MIN:
    columns_min(x, n, stride, columns, acc, NULL);
    return;
  case TCT_FOLD_PROD:
    columns_prod(x, n, stride, columns, acc, NULL);
    return;
  case TCT_FOLD_SUM_EXP:
    columns_sum_exp(x, n, stride, columns, acc, m);
    return;
  }
}

int32_t TCT_CPU(arg_run)(const float *x, int64_t n, bool least) {
  const float best = least ? block_min(x, n, 0.0f) : block_max(x, n, 0.0f);
  if (best != best) {
    for (int64_t i = 0; i < n; i++)
      if (x[i] != x[i]) return (int32_t)i;
  }
  for (int64_t i = 0; i < n; i++)
    if (x[i] == best) return (int32_t)i;
  return 0;
}

void TCT_CPU(arg_columns)(const float *x, int64_t n, int64_t stride, int64_t columns, bool least, int32_t *out) {
  for (int64_t j = 0; j < columns; j++) {
    int64_t at = 0;
    float best = x[j];
    for (int64_t i = 1; i < n && best == best; i++) {
      const float value = x[i * stride + j];
      const bool better = least ? value < best : value > best;
      if (better || value != value) best = value, at = i;
    }
    out[j] = (int32_t)at;
  }
}

void TCT_CPU(sum_parts)(const float *x, int64_t parts, int64_t stride, float *y, int64_t n) {
  TCT_EACH (i, n) y[i] = x[i];
  for (int64_t part = 1; part < parts; part++) {
    const float *from = x + part * stride;
    TCT_EACH (i, n) y[i] += from[i];
  }
}
