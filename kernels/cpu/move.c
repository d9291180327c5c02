/* Moving elements of 1, 4 or 8 bytes: fills and two-dimensional strided copies. A transposition goes through blocks of
 * 16 × 16, which keeps both sides' cache lines in L1 while they are used up. */
#include "kernels/cpu/kernels.h"

#define FILL(type)                                                                                                     \
  static void fill_##type(type *out, const type *value, int64_t n) {                                                   \
    const type one = *value;                                                                                           \
    for (int64_t i = 0; i < n; i++) out[i] = one;                                                                      \
  }
#define COPY(type)                                                                                                     \
  static void copy_##type(const type *in, int64_t in_row, int64_t in_col, type *out, int64_t out_row, int64_t out_col, \
                          int64_t rows, int64_t columns) {                                                             \
    for (int64_t i = 0; i < rows; i++)                                                                                 \
      TCT_INDEPENDENT for (int64_t j = 0; j < columns; j++) out[i * out_row + j * out_col] = in[i * in_row + j * in_col]; \
  }
FILL(uint8_t)
FILL(uint32_t)
FILL(uint64_t)
COPY(uint8_t)
COPY(uint32_t)
COPY(uint64_t)

void TCT_CPU(fill)(void *out, const void *value, int64_t n, size_t element_bytes) {
  if (element_bytes == 1) fill_uint8_t(out, value, n);
  if (element_bytes == 4) fill_uint32_t(out, value, n);
  if (element_bytes == 8) fill_uint64_t(out, value, n);
}

static void copy(const char *in, int64_t in_row, int64_t in_col, char *out, int64_t out_row, int64_t out_col,
                 int64_t rows, int64_t columns, size_t bytes) {
  if (in_col == 1 && out_col == 1) {
    for (int64_t i = 0; i < rows; i++)
      memcpy(out + i * out_row * (int64_t)bytes, in + i * in_row * (int64_t)bytes, (size_t)columns * bytes);
    return;
  }
  if (bytes == 1) copy_uint8_t((const void *)in, in_row, in_col, (void *)out, out_row, out_col, rows, columns);
  if (bytes == 4) copy_uint32_t((const void *)in, in_row, in_col, (void *)out, out_row, out_col, rows, columns);
  if (bytes == 8) copy_uint64_t((const void *)in, in_row, in_col, (void *)out, out_row, out_col, rows, columns);
}

void TCT_CPU(copy2d)(const void *in, int64_t in_row, int64_t in_col, void *out, int64_t out_row, int64_t out_col,
                     int64_t rows, int64_t columns, size_t element_bytes) {
  const int64_t bytes = (int64_t)element_bytes, block = 16;
  const bool turns = out_col == 1 && in_col > 1 && in_row < in_col;
  if (!turns) {
    copy(in, in_row, in_col, out, out_row, out_col, rows, columns, element_bytes);
    return;
  }
  const char *from = in;
  char *to = out;
  for (int64_t i = 0; i < rows; i += block)
    for (int64_t j = 0; j < columns; j += block)
      copy(from + (i * in_row + j * in_col) * bytes, in_row, in_col, to + (i * out_row + j) * bytes, out_row, 1,
           rows - i < block ? rows - i : block, columns - j < block ? columns - j : block, element_bytes);
}
