/* Products of i8 summed in i32: exact, in any order. */
#include "kernels/cpu/kernels.h"

enum { DEEP = 4 }; /* rows of b for each pass over a row of c */

/* c[j] += Σ a[l·a_col]·b[l·b_row + j] over `n_deep` ≤ DEEP rows of b */
static void add_rows(int64_t n_deep, int64_t n, const int8_t *a, int64_t a_col, const int8_t *b, int64_t b_row, int32_t *c) {
  int32_t factor[DEEP] = {0};
  const int8_t *row[DEEP];
  for (int64_t l = 0; l < DEEP; l++) {
    row[l] = b + (l < n_deep ? l : 0) * b_row;
    factor[l] = l < n_deep ? a[l * a_col] : 0;
  }
  const int8_t *restrict b0 = row[0], *restrict b1 = row[1], *restrict b2 = row[2], *restrict b3 = row[3];
  TCT_EACH (j, n) c[j] += factor[0] * b0[j] + factor[1] * b1[j] + factor[2] * b2[j] + factor[3] * b3[j];
}

static int32_t dot(int64_t k, const int8_t *a, int64_t a_col, const int8_t *b) {
  int32_t sum = 0;
  if (a_col == 1) {
    for (int64_t l = 0; l < k; l++) sum += a[l] * b[l];
  } else {
    for (int64_t l = 0; l < k; l++) sum += a[l * a_col] * b[l];
  }
  return sum;
}

void TCT_CPU(gemm_i8)(int64_t m, int64_t n, int64_t k, const int8_t *a, int64_t a_row, int64_t a_col, const int8_t *b,
                      int64_t b_row, int64_t b_col, int32_t *c) {
  for (int64_t i = 0; i < m; i++) {
    const int8_t *const line = a + i * a_row;
    int32_t *const out = c + i * n;
    if (b_col != 1) { /* transposed: a column of b is contiguous */
      for (int64_t j = 0; j < n; j++) out[j] = dot(k, line, a_col, b + j * b_col);
      continue;
    }
    TCT_EACH (j, n) out[j] = 0;
    for (int64_t l = 0; l < k; l += DEEP) add_rows(k - l < DEEP ? k - l : DEEP, n, line + l * a_col, a_col, b + l * b_row, b_row, out);
  }
}
