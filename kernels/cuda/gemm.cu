/* The matrix product in f32, and of i8 in i32, for any strides and batches: the kernels for shapes and types that no library takes. */
#include "kernels/cuda/tile.h"

/* LEFT_BY_K: a's rows are contiguous; RIGHT_BY_K: b's columns are. Wrong guesses cost time, not results. */
template <bool LEFT_BY_K, bool RIGHT_BY_K> struct product {
  static constexpr bool left_by_k = LEFT_BY_K, right_by_k = RIGHT_BY_K;
  typedef int64_t row;    /* the row's first element; -1 behind the last row */
  typedef int64_t column;
  const tct_cu_gemm_args &a;
  int64_t a_first, b_first;
  __device__ __forceinline__ row row_of(int64_t i) const {
    return i < a.m ? a_first + i * a.a_row : -1;
  }
  __device__ __forceinline__ column column_of(int64_t j) const {
    return j < a.n ? b_first + j * a.b_column : -1;
  }
  __device__ __forceinline__ float left(row at, int64_t k) const {
    return at >= 0 ? tct_cu_get(a.a, at + k * a.a_column) : 0.0f;
  }
  __device__ __forceinline__ float right(column at, int64_t k) const {
    return at >= 0 ? tct_cu_get(a.b, at + k * a.b_row) : 0.0f;
  }
};

template <bool LEFT_BY_K, bool RIGHT_BY_K> TCT_CU_FN void multiply(const tct_cu_gemm_args &a, tct_cu_tile_buffers &shared) {
  const tct_cu_tile_place at = tct_cu_tile_of(a.tiling, a.k);
  const product<LEFT_BY_K, RIGHT_BY_K> p = {a, tct_cu_offset(a.a_batch, at.batch), tct_cu_offset(a.b_batch, at.batch)};
  float sums[TCT_CU_TILE_OWN][TCT_CU_TILE_OWN];
  tct_cu_multiply(p, shared, at.i0, at.j0, at.begin, at.end, sums);
  const int64_t i0 = at.i0 + threadIdx.x / 16 * TCT_CU_TILE_OWN, j0 = at.j0 + threadIdx.x % 16 * TCT_CU_TILE_OWN;
#pragma unroll
  for (int r = 0; r < TCT_CU_TILE_OWN; r++)
#pragma unroll
    for (int c = 0; c < TCT_CU_TILE_OWN; c++) {
      if (i0 + r >= a.m || j0 + c >= a.n) continue;
      const int64_t offset = (at.batch * a.m + i0 + r) * a.n + j0 + c;
      tct_cu_tile_store(a.tiling, a.end, at.part, a.batch * a.m * a.n, j0 + c, a.y, offset, sums[r][c]);
    }
}

TCT_CUDA_KERNEL(gemm, TCT_CU_TILE_BLOCK, 2) {
  __shared__ tct_cu_tile_buffers shared;
  if (a.a_column == 1 && a.b_column == 1)
    multiply<true, false>(a, shared);
  else if (a.a_column == 1)
    multiply<true, true>(a, shared);
  else if (a.b_column == 1)
    multiply<false, false>(a, shared);
  else
    multiply<false, true>(a, shared);
}

TCT_CUDA_KERNEL(sum_parts, TCT_CU_BLOCK) {
  for (int64_t i = tct_cu_first(); i < a.size; i += tct_cu_pitch()) {
    int64_t j = i;
    (void)tct_cu_divide(&j, a.n);
    float sum = 0.0f;
    for (int64_t part = 0; part < a.parts; part++) sum += a.partial[part * a.size + i];
    tct_cu_put(a.y, i, tct_cu_end(a.end, j, sum));
  }
}

/* ---- i8 ---- */

/* Elements k … k + 3 of a row of i8 whose neighbours are `step` apart, in one word; 0 behind the last of n. */
TCT_CU_FN int32_t word_at(const int8_t *row, int64_t step, int64_t k, int64_t n) {
  if (step == 1 && k + 4 <= n && (uintptr_t)(row + k) % 4 == 0) return *(const int32_t *)(row + k);
  uint32_t word = 0;
#pragma unroll
  for (int64_t i = 0; i < 4; i++)
    if (k + i < n) word |= (uint32_t)(uint8_t)row[(k + i) * step] << (8 * i);
  return (int32_t)word;
}

/* k counts words. */
struct product_i8 {
  static constexpr bool left_by_k = true, right_by_k = false;
  typedef const int8_t *row; /* NULL behind the last */
  typedef const int8_t *column;
  const tct_cu_gemm_args &a;
  const int8_t *left_first, *right_first;
  __device__ __forceinline__ row row_of(int64_t i) const {
    return i < a.m ? left_first + i * a.a_row : NULL;
  }
  __device__ __forceinline__ column column_of(int64_t j) const {
    return j < a.n ? right_first + j * a.b_column : NULL;
  }
  __device__ __forceinline__ int32_t left(row at, int64_t k) const {
    return at != NULL ? word_at(at, a.a_column, 4 * k, a.k) : 0;
  }
  __device__ __forceinline__ int32_t right(column at, int64_t k) const {
    return at != NULL ? word_at(at, a.b_row, 4 * k, a.k) : 0;
  }
};

TCT_CUDA_KERNEL(gemm_i8, TCT_CU_TILE_BLOCK, 2) {
  __shared__ tct_cu_tile_buffers_of<int32_t> shared;
  const tct_cu_tile_place at = tct_cu_tile_of(a.tiling, (a.k + 3) / 4);
  const product_i8 p = {a, (const int8_t *)a.a.data + tct_cu_offset(a.a_batch, at.batch),
                        (const int8_t *)a.b.data + tct_cu_offset(a.b_batch, at.batch)};
  int32_t sums[TCT_CU_TILE_OWN][TCT_CU_TILE_OWN];
  tct_cu_multiply(p, shared, at.i0, at.j0, at.begin, at.end, sums);
  const int64_t i0 = at.i0 + threadIdx.x / 16 * TCT_CU_TILE_OWN, j0 = at.j0 + threadIdx.x % 16 * TCT_CU_TILE_OWN;
#pragma unroll
  for (int r = 0; r < TCT_CU_TILE_OWN; r++)
#pragma unroll
    for (int c = 0; c < TCT_CU_TILE_OWN; c++)
      if (i0 + r < a.m && j0 + c < a.n) ((int32_t *)a.y.data)[(at.batch * a.m + i0 + r) * a.n + j0 + c] = sums[r][c];
}
