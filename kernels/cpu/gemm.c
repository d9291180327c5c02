/* Matrix products in register tiles: ROWS × (2 vectors) of c stay in registers while k runs. a is read where it lies,
 * with any two strides; b comes in panels of PANEL columns, packed one after the other, or is read in place where its
 * rows are contiguous. A tile's sums run over k in order whatever the cut, so bits do not depend on it. */
#include "kernels/cpu/kernels.h"

#if defined(__AVX512F__)
#define V     tct_v16
#define LANES 16
#define ROWS  14
#elif defined(__AVX2__)
#define V     tct_v8
#define LANES 8
#define ROWS  6
#else
#define V     tct_v4
#define LANES 4
#define ROWS  4
#endif
#define PASTE_(a, b) a##b
#define PASTE(a, b)  PASTE_(a, b)
#define V_(name)     PASTE(V, _##name)

enum { PANEL = 2 * LANES, DEPTH = 256 };

int64_t TCT_CPU(gemm_panel)(void) {
  return PANEL;
}
int64_t TCT_CPU(gemm_rows)(void) {
  return ROWS;
}

/* out[p][j] = b[j][p] for 8 × 8; rows of out are PANEL floats apart. Pairs of rows are interleaved by ones, twos and
 * fours. */
TCT_INLINE void transpose_8(const float *b, int64_t b_col, float *out) {
  tct_f8 x[8], y[8];
  TCT_UNROLLED (j, 8) x[j] = tct_f8_load(b + j * b_col);
  TCT_UNROLLED (j, 4) {
    y[2 * j] = __builtin_shufflevector(x[2 * j], x[2 * j + 1], 0, 8, 1, 9, 4, 12, 5, 13);
    y[2 * j + 1] = __builtin_shufflevector(x[2 * j], x[2 * j + 1], 2, 10, 3, 11, 6, 14, 7, 15);
  }
  TCT_UNROLLED (j, 4) { /* 0 1 4 5: the pairs that meet */
    const int from = j % 2 + j / 2 * 4;
    x[2 * j] = __builtin_shufflevector(y[from], y[from + 2], 0, 1, 8, 9, 4, 5, 12, 13);
    x[2 * j + 1] = __builtin_shufflevector(y[from], y[from + 2], 2, 3, 10, 11, 6, 7, 14, 15);
  }
  TCT_UNROLLED (j, 4) {
    tct_f8_store(out + j * PANEL, __builtin_shufflevector(x[j], x[j + 4], 0, 1, 2, 3, 8, 9, 10, 11));
    tct_f8_store(out + (j + 4) * PANEL, __builtin_shufflevector(x[j], x[j + 4], 4, 5, 6, 7, 12, 13, 14, 15));
  }
}

/* Columns [0, n) of b, which are contiguous, as rows of a panel. Eight columns are eight streams, which the processor
 * fetches ahead; a panel's DEPTH rows stay in the first cache. */
static void pack_columns(int64_t k, int64_t n, const float *b, int64_t b_col, float *panel) {
  for (int64_t p0 = 0; p0 < k; p0 += DEPTH) {
    const int64_t end = p0 + DEPTH < k ? p0 + DEPTH : k;
    for (int64_t j0 = 0; j0 < n; j0 += 8) {
      const int64_t columns = n - j0 < 8 ? n - j0 : 8;
      int64_t p = p0;
      for (; columns == 8 && p + 8 <= end; p += 8) transpose_8(b + j0 * b_col + p, b_col, panel + p * PANEL + j0);
      for (; p < end; p++)
        for (int64_t j = j0; j < j0 + columns; j++) panel[p * PANEL + j] = b[j * b_col + p];
    }
  }
}

/* Columns [0, n) of b, k × n with two strides, as a panel [k][PANEL]; columns past n are zero. */
void TCT_CPU(gemm_pack)(int64_t k, int64_t n, const float *b, int64_t b_row, int64_t b_col, float *panel) {
  if (n == PANEL && b_col == 1) {
    for (int64_t p = 0; p < k; p++, panel += PANEL) memcpy(panel, b + p * b_row, PANEL * sizeof *panel);
    return;
  }
  if (n < PANEL) memset(panel, 0, (size_t)(k * PANEL) * sizeof *panel);
  if (b_row == 1) {
    pack_columns(k, n, b, b_col, panel);
    return;
  }
  for (int64_t p = 0; p < k; p++)
    for (int64_t j = 0; j < n; j++) panel[p * PANEL + j] = b[p * b_row + j * b_col];
}

/* Rows [0, m) of a, k × m as it lies, by register tiles: [m/ROWS][k][ROWS]. */
void TCT_CPU(gemm_pack_rows)(int64_t m, int64_t k, const float *a, int64_t a_col, float *packed) {
  for (int64_t p = 0; p < k; p++, a += a_col)
    for (int64_t i = 0; i < m; i += ROWS)
      memcpy(packed + i * k + p * ROWS, a + i, (size_t)(m - i < ROWS ? m - i : ROWS) * sizeof *a);
}

/* c [rows, vectors·LANES] (+)= a [rows, k] · b [k, vectors·LANES]. `rows` and `vectors` are constants at every call. */
TCT_INLINE void tile(const int rows, const int vectors, int64_t k, const float *a, int64_t a_row, int64_t a_col,
                     const float *b, int64_t b_row, float *c, int64_t ldc, bool add) {
  V acc[ROWS][2];
  TCT_UNROLLED (i, rows)
    TCT_UNROLLED (v, vectors) acc[i][v] = add ? V_(load)(c + i * ldc + v * LANES) : V_(splat)(0.0f);
  /* every third row is a base, so that rows are base, base + a_row, base + 2·a_row: few registers for addresses */
  const float *base[(ROWS + 2) / 3];
  TCT_UNROLLED (i, (rows + 2) / 3) base[i] = a + 3 * i * a_row;
  for (int64_t p = 0; p < k; p++, b += b_row) {
    V right[2];
    TCT_UNROLLED (v, vectors) right[v] = V_(load)(b + v * LANES);
    TCT_UNROLLED (i, rows) {
      const V one = V_(splat)(base[i / 3][i % 3 * a_row]);
      TCT_UNROLLED (v, vectors) acc[i][v] = V_(fma)(one, right[v], acc[i][v]);
    }
    TCT_UNROLLED (i, (rows + 2) / 3) base[i] += a_col;
  }
  TCT_UNROLLED (i, rows)
    TCT_UNROLLED (v, vectors) V_(store)(c + i * ldc + v * LANES, acc[i][v]);
}

#if ROWS > 6
#define HEIGHTS(X, v) \
  X(1, v) X(2, v) X(3, v) X(4, v) X(5, v) X(6, v) X(7, v) X(8, v) X(9, v) X(10, v) X(11, v) X(12, v) X(13, v) X(14, v)
#elif ROWS > 4
#define HEIGHTS(X, v) X(1, v) X(2, v) X(3, v) X(4, v) X(5, v) X(6, v)
#else
#define HEIGHTS(X, v) X(1, v) X(2, v) X(3, v) X(4, v)
#endif
#define TILE(n, v)                                                                                                     \
  static void tile_##n##_##v(int64_t k, const float *a, int64_t a_row, int64_t a_col, const float *b, int64_t b_row,   \
                             float *c, int64_t ldc, bool add) {                                                        \
    tile(n, v, k, a, a_row, a_col, b, b_row, c, ldc, add);                                                             \
  }
#define AT(n, v) [n] = tile_##n##_##v,
HEIGHTS(TILE, 1)
HEIGHTS(TILE, 2)

typedef void (*tile_fn)(int64_t k, const float *a, int64_t a_row, int64_t a_col, const float *b, int64_t b_row,
                        float *c, int64_t ldc, bool add);
static const tile_fn tiles[ROWS + 1] = {HEIGHTS(AT, 2)}, half_tiles[ROWS + 1] = {HEIGHTS(AT, 1)};
#undef TILE
#undef AT
#undef HEIGHTS

/* A tile of fewer columns than a panel goes through a buffer; up to half of them take half the work, as classifiers' last
 * layers do (twice as fast at 512 × 784 × 10). */
static void narrow_tile(int64_t rows, int64_t columns, int64_t k, const float *a, int64_t a_row, int64_t a_col,
                        const float *b, int64_t b_row, float *c, int64_t ldc, bool add) {
  float whole[ROWS * PANEL];
  const bool half = columns <= LANES;
  const int64_t width = half ? LANES : PANEL;
  for (int64_t i = 0; add && i < rows; i++) {
    memset(whole + i * width, 0, (size_t)width * sizeof *whole);
    memcpy(whole + i * width, c + i * ldc, (size_t)columns * sizeof *c);
  }
  (half ? half_tiles : tiles)[rows](k, a, a_row, a_col, b, b_row, whole, width, add);
  for (int64_t i = 0; i < rows; i++) memcpy(c + i * ldc, whole + i * width, (size_t)columns * sizeof *c);
}

/* c [m, n] = a [m, k] · b [k, n], or with `add` c + that. The register tile that begins with row i of a lies i·a_tile floats
 * behind a, its rows a_row apart. Panels of b start `b_panel` floats apart and have rows b_row apart. Depth by depth, a
 * panel's slice stays in the first cache while all rows pass it. The last panel, when n leaves it narrow, has PANEL columns
 * in memory all the same. */
void TCT_CPU(gemm)(int64_t m, int64_t n, int64_t k, const float *a, int64_t a_tile, int64_t a_row, int64_t a_col,
                   const float *b, int64_t b_panel, int64_t b_row, float *c, int64_t ldc, bool add) {
  for (int64_t p0 = 0; p0 < k || p0 == 0; p0 += DEPTH) {
    const int64_t depth = k - p0 < DEPTH ? k - p0 : DEPTH;
    for (int64_t j = 0; j < n; j += PANEL) {
      const float *slice = b + j / PANEL * b_panel + p0 * b_row;
      for (int64_t i = 0; i < m; i += ROWS) {
        const int64_t rows = m - i < ROWS ? m - i : ROWS;
        const float *from = a + i * a_tile + p0 * a_col;
        if (n - j < PANEL) {
          narrow_tile(rows, n - j, depth, from, a_row, a_col, slice, b_row, c + i * ldc + j, ldc, add || p0 > 0);
        } else {
          tiles[rows](depth, from, a_row, a_col, slice, b_row, c + i * ldc + j, ldc, add || p0 > 0);
        }
      }
    }
  }
}
