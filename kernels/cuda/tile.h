/* A product in tiles, whatever its operands are: 64x64 of the result by 256 threads, 16 of the sum's terms at a time through two
 * shared buffers, 4x4 sums a thread. A Problem says where the elements are:
 *
 *   row, column            what is known of row i of the left operand, of column j of the right one
 *   row_of(i), column_of(j)
 *   left(row, k), right(column, k)   the element; k < the sum's length
 *   left_by_k, right_by_k  true: neighbouring k lie together, so neighbouring threads load them; else neighbouring rows
 *
 * Each sum runs over k in order, so the bits depend on the shapes alone. An element is a float, or four i8 of one row in a word, whose
 * products are summed in i32. */
#ifndef TCT_KERNELS_CUDA_TILE_H
#define TCT_KERNELS_CUDA_TILE_H

#include "kernels/cuda/activate.h"

enum {
  TCT_CU_TILE_BLOCK = 256,
  TCT_CU_TILE_OWN = 4,                                                                 /* sums of a thread along each side */
  TCT_CU_TILE_LOADS = TCT_CU_TILE *TCT_CU_TILE_DEPTH / TCT_CU_TILE_BLOCK,              /* elements that a thread loads */
  TCT_CU_TILE_PITCH = TCT_CU_TILE + 4,
};

/* What is loaded at once, and a term of a sum. */
template <class E> struct tct_cu_element;
template <> struct tct_cu_element<float> {
  typedef float4 four;
  static __device__ __forceinline__ float add(float x, float y, float sum) {
    return TCT_FMAF(x, y, sum);
  }
};
template <> struct tct_cu_element<int32_t> {
  typedef int4 four;
  static __device__ __forceinline__ int32_t add(int32_t x, int32_t y, int32_t sum) {
    return __dp4a(x, y, sum);
  }
};

/* A kernel's shared memory. */
template <class E> struct tct_cu_tile_buffers_of {
  __align__(16) E left[2][TCT_CU_TILE_DEPTH][TCT_CU_TILE_PITCH];
  __align__(16) E right[2][TCT_CU_TILE_DEPTH][TCT_CU_TILE_PITCH];
};
typedef tct_cu_tile_buffers_of<float> tct_cu_tile_buffers;

/* Which elements of a 64x16 piece thread t loads: number e has index `row` and term `k`. */
template <bool BY_K> struct tct_cu_share {
  static __device__ __forceinline__ int row(int t, int e) {
    return BY_K ? t / TCT_CU_TILE_DEPTH + e * (TCT_CU_TILE_BLOCK / TCT_CU_TILE_DEPTH) : t % TCT_CU_TILE;
  }
  static __device__ __forceinline__ int k(int t, int e) {
    return BY_K ? t % TCT_CU_TILE_DEPTH : t / TCT_CU_TILE + e * (TCT_CU_TILE_BLOCK / TCT_CU_TILE);
  }
};

/* sums [4][4] of rows i0 + 4·(t / 16) + r and columns j0 + 4·(t % 16) + c, over k in [begin, end). */
template <class Problem, class E>
TCT_CU_FN void tct_cu_multiply(const Problem &p, tct_cu_tile_buffers_of<E> &shared, int64_t i0, int64_t j0, int64_t begin,
                               int64_t end, E sums[TCT_CU_TILE_OWN][TCT_CU_TILE_OWN]) {
  typedef typename tct_cu_element<E>::four four;
  typedef tct_cu_share<Problem::left_by_k> left_share;
  typedef tct_cu_share<Problem::right_by_k> right_share;
  const int t = (int)threadIdx.x;
  typename Problem::row row[TCT_CU_TILE_LOADS];
  typename Problem::column column[TCT_CU_TILE_LOADS];
  E next_left[TCT_CU_TILE_LOADS], next_right[TCT_CU_TILE_LOADS];
#pragma unroll
  for (int e = 0; e < TCT_CU_TILE_LOADS; e++) {
    row[e] = p.row_of(i0 + left_share::row(t, e));
    column[e] = p.column_of(j0 + right_share::row(t, e));
  }
#pragma unroll
  for (int r = 0; r < TCT_CU_TILE_OWN; r++)
#pragma unroll
    for (int c = 0; c < TCT_CU_TILE_OWN; c++) sums[r][c] = 0;

  int buffer = 0;
  for (int64_t k0 = begin - TCT_CU_TILE_DEPTH; k0 < end; k0 += TCT_CU_TILE_DEPTH) {
    const int64_t next = k0 + TCT_CU_TILE_DEPTH;
    if (next < end) {
#pragma unroll
      for (int e = 0; e < TCT_CU_TILE_LOADS; e++) {
        const int64_t kl = next + left_share::k(t, e), kr = next + right_share::k(t, e);
        next_left[e] = kl < end ? p.left(row[e], kl) : 0;
        next_right[e] = kr < end ? p.right(column[e], kr) : 0;
      }
    }
    if (k0 >= begin) {
      const E *const a = &shared.left[buffer][0][t / 16 * TCT_CU_TILE_OWN], *const b = &shared.right[buffer][0][t % 16 * TCT_CU_TILE_OWN];
#pragma unroll
      for (int k = 0; k < TCT_CU_TILE_DEPTH; k++) {
        const four u = *(const four *)(a + k * TCT_CU_TILE_PITCH), v = *(const four *)(b + k * TCT_CU_TILE_PITCH);
        const E x[TCT_CU_TILE_OWN] = {u.x, u.y, u.z, u.w}, y[TCT_CU_TILE_OWN] = {v.x, v.y, v.z, v.w};
#pragma unroll
        for (int r = 0; r < TCT_CU_TILE_OWN; r++)
#pragma unroll
          for (int c = 0; c < TCT_CU_TILE_OWN; c++) sums[r][c] = tct_cu_element<E>::add(x[r], y[c], sums[r][c]);
      }
    }
    if (next < end) {
      buffer ^= 1;
#pragma unroll
      for (int e = 0; e < TCT_CU_TILE_LOADS; e++) {
        shared.left[buffer][left_share::k(t, e)][left_share::row(t, e)] = next_left[e];
        shared.right[buffer][right_share::k(t, e)][right_share::row(t, e)] = next_right[e];
      }
      __syncthreads();
    }
  }
}

/* Where a block works: its tile, its part of the sum, its batch. */
struct tct_cu_tile_place {
  int64_t i0, j0, part, batch, begin, end;
};

TCT_CU_FN tct_cu_tile_place tct_cu_tile_of(const tct_cu_tiling &tiling, int64_t terms) {
  tct_cu_tile_place at;
  at.j0 = blockIdx.x;
  at.i0 = tct_cu_divide(&at.j0, tiling.tiles_n);
  at.part = tct_cu_divide(&at.i0, tiling.tiles_m);
  at.batch = tct_cu_divide(&at.part, tiling.parts);
  at.i0 *= TCT_CU_TILE;
  at.j0 *= TCT_CU_TILE;
  at.begin = at.part * tiling.part_length;
  at.end = at.begin + tiling.part_length < terms ? at.begin + tiling.part_length : terms;
  return at;
}

/* One element of the result, at `offset` of y [size]: a part of its sum, or the sum through the epilogue with bias[j]. */
TCT_CU_FN void tct_cu_tile_store(const tct_cu_tiling &tiling, const tct_cu_epilogue &end, int64_t part, int64_t size, int64_t j,
                                 const tct_cu_tensor &y, int64_t offset, float sum) {
  if (tiling.parts.d > 1)
    tiling.partial[part * size + offset] = sum;
  else
    tct_cu_put(y, offset, tct_cu_end(end, j, sum));
}

#endif
