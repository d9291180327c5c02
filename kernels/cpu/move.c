/* Moving elements of 1, 2, 4 or 8 bytes: fills and two-dimensional strided copies. A transposition goes through blocks of
 * 16 × 16. */
#include "kernels/cpu/kernels.h"

enum { EDGE = 16 };

#define FILL(type)                                                                                                     \
  static void fill_##type(type *out, const type *value, int64_t n) {                                                   \
    const type one = *value;                                                                                           \
    for (int64_t i = 0; i < n; i++) out[i] = one;                                                                      \
  }
#define COPY(type)                                                                                                     \
  static void copy_##type(const type *in, int64_t in_row, int64_t in_col, type *out, int64_t out_row, int64_t out_col, \
                          int64_t rows, int64_t columns) {                                                             \
    for (int64_t i = 0; i < rows; i++)                                                                                 \
      TCT_EACH (j, columns) out[i * out_row + j * out_col] = in[i * in_row + j * in_col];                              \
  }
FILL(uint8_t)
FILL(uint16_t)
FILL(uint32_t)
FILL(uint64_t)
COPY(uint8_t)
COPY(uint16_t)
COPY(uint32_t)
COPY(uint64_t)

void TCT_CPU(fill)(void *out, const void *value, int64_t n, size_t element_bytes) {
  if (element_bytes == 1) fill_uint8_t(out, value, n);
  if (element_bytes == 2) fill_uint16_t(out, value, n);
  if (element_bytes == 4) fill_uint32_t(out, value, n);
  if (element_bytes == 8) fill_uint64_t(out, value, n);
}

static void copy(const char *in, int64_t in_row, int64_t in_col, char *out, int64_t out_row, int64_t out_col,
                 int64_t rows, int64_t columns, size_t bytes) {
  const int64_t size = (int64_t)bytes;
  if (out_col == 1 && in_col <= 1) {
    for (int64_t i = 0; i < rows; i++) {
      if (in_col == 1)
        memcpy(out + i * out_row * size, in + i * in_row * size, (size_t)columns * bytes);
      else
        TCT_CPU(fill)(out + i * out_row * size, in + i * in_row * size, columns, bytes);
    }
    return;
  }
  if (bytes == 1) copy_uint8_t((const void *)in, in_row, in_col, (void *)out, out_row, out_col, rows, columns);
  if (bytes == 2) copy_uint16_t((const void *)in, in_row, in_col, (void *)out, out_row, out_col, rows, columns);
  if (bytes == 4) copy_uint32_t((const void *)in, in_row, in_col, (void *)out, out_row, out_col, rows, columns);
  if (bytes == 8) copy_uint64_t((const void *)in, in_row, in_col, (void *)out, out_row, out_col, rows, columns);
}

/* Sixteen whole lines of the source are copied to a buffer, which is turned from there: strides of a power of two would
 * throw the lines out of L1 between one element and the next. */
static void turn_block(const char *in, int64_t in_col, char *out, int64_t out_row, int64_t rows, int64_t columns,
                       size_t bytes) {
  _Alignas(64) char buffer[EDGE * EDGE * 8];
  const int64_t size = (int64_t)bytes;
  for (int64_t j = 0; j < columns; j++) {
    if (rows == EDGE && bytes == 4)
      memcpy(buffer + j * EDGE * 4, in + j * in_col * 4, EDGE * 4);
    else
      memcpy(buffer + j * EDGE * size, in + j * in_col * size, (size_t)rows * bytes);
  }
  if (columns == EDGE && bytes == 4)
    copy_uint32_t((const void *)buffer, 1, EDGE, (void *)out, out_row, 1, rows, EDGE);
  else
    copy(buffer, 1, EDGE, out, out_row, 1, rows, columns, bytes);
}

void TCT_CPU(copy2d)(const void *in, int64_t in_row, int64_t in_col, void *out, int64_t out_row, int64_t out_col,
                     int64_t rows, int64_t columns, size_t element_bytes) {
  const int64_t bytes = (int64_t)element_bytes;
  const bool turns = out_col == 1 && in_row == 1 && in_col > 1;
  if (!turns) {
    copy(in, in_row, in_col, out, out_row, out_col, rows, columns, element_bytes);
    return;
  }
  const char *from = in;
  char *to = out;
  for (int64_t i = 0; i < rows; i += EDGE)
    for (int64_t j = 0; j < columns; j += EDGE)
      turn_block(from + (i + j * in_col) * bytes, in_col, to + (i * out_row + j) * bytes, out_row,
                 rows - i < EDGE ? rows - i : EDGE, columns - j < EDGE ? columns - j : EDGE, element_bytes);
}
