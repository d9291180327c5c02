/* Ops that only move elements: a copy between two strided views, a transposition by tiles, a fill, rows of a table by number. */
#include "kernels/cuda/cuda.h"

/* to[j] = from[i], of elements of `bytes`. */
TCT_CU_FN void move_one(int32_t bytes, const void *from, int64_t i, void *to, int64_t j) {
  switch (bytes) {
  case 4:
    ((uint32_t *)to)[j] = ((const uint32_t *)from)[i];
    break;
  case 2:
    ((uint16_t *)to)[j] = ((const uint16_t *)from)[i];
    break;
  case 8:
    ((uint64_t *)to)[j] = ((const uint64_t *)from)[i];
    break;
  default:
    ((uint8_t *)to)[j] = ((const uint8_t *)from)[i];
  }
}

/* to[j] = the element whose bits are the low ones of `value`. */
TCT_CU_FN void put_bits(int32_t bytes, uint64_t value, void *to, int64_t j) {
  switch (bytes) {
  case 4:
    ((uint32_t *)to)[j] = (uint32_t)value;
    break;
  case 2:
    ((uint16_t *)to)[j] = (uint16_t)value;
    break;
  case 8:
    ((uint64_t *)to)[j] = value;
    break;
  default:
    ((uint8_t *)to)[j] = (uint8_t)value;
  }
}

TCT_CUDA_KERNEL(move, TCT_CU_BLOCK) {
  for (int64_t i = tct_cu_first(); i < a.n; i += tct_cu_pitch())
    move_one(a.bytes, a.from, tct_cu_offset(a.from_view, i), a.to, tct_cu_offset(a.to_view, i));
}

enum { SIDE = 32, SIDE_ROWS = 8 };

template <class T> TCT_CU_FN void transpose(const tct_cu_transpose_args &a) {
  __shared__ T tile[SIDE][SIDE + 1]; /* a column's elements in different banks */
  int64_t j0 = blockIdx.x, i0 = tct_cu_divide(&j0, a.tiles_n);
  const int64_t batch = tct_cu_divide(&i0, a.tiles_m) * a.m * a.n;
  const T *const from = (const T *)a.from + batch;
  T *const to = (T *)a.to + batch;
  i0 *= SIDE;
  j0 *= SIDE;
  for (int r = (int)threadIdx.y; r < SIDE; r += SIDE_ROWS)
    if (i0 + r < a.m && j0 + threadIdx.x < a.n) tile[r][threadIdx.x] = from[(i0 + r) * a.n + j0 + threadIdx.x];
  __syncthreads();
  for (int r = (int)threadIdx.y; r < SIDE; r += SIDE_ROWS)
    if (j0 + r < a.n && i0 + threadIdx.x < a.m) to[(j0 + r) * a.m + i0 + threadIdx.x] = tile[threadIdx.x][r];
}

TCT_CUDA_KERNEL(transpose, SIDE *SIDE_ROWS) {
  if (a.bytes == 4)
    transpose<uint32_t>(a);
  else if (a.bytes == 2)
    transpose<uint16_t>(a);
  else if (a.bytes == 8)
    transpose<uint64_t>(a);
  else
    transpose<uint8_t>(a);
}

TCT_CUDA_KERNEL(fill, TCT_CU_BLOCK) {
  for (int64_t i = tct_cu_first(); i < a.n; i += tct_cu_pitch()) put_bits(a.bytes, a.value, a.to, i);
}

TCT_CUDA_KERNEL(gather, TCT_CU_BLOCK) {
  for (int64_t i = tct_cu_first(); i < a.size; i += tct_cu_pitch()) {
    int64_t column = i, j = tct_cu_divide(&column, a.inner);
    const int64_t outer = tct_cu_divide(&j, a.n), index = a.indices[j];
    if (index >= 0 && index < a.depth)
      move_one(a.bytes, a.table, (outer * a.depth + index) * a.inner.d + column, a.y, i);
    else
      put_bits(a.bytes, a.missing, a.y, i);
  }
}

TCT_CUDA_KERNEL(one_hot, TCT_CU_BLOCK) {
  for (int64_t i = tct_cu_first(); i < a.size; i += tct_cu_pitch()) {
    int64_t d = i;
    const int64_t j = tct_cu_divide(&d, a.depth);
    put_bits(a.bytes, a.indices[j] == d ? a.on : a.off, a.y, i);
  }
}
