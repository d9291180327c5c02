/* What the threads of a row know together: block.x threads (a multiple of 32) share a row, block.y rows a block. All threads of
 * the block call these together; each row's threads get the same bits. */
#ifndef TCT_KERNELS_CUDA_ROWS_H
#define TCT_KERNELS_CUDA_ROWS_H

#include "kernels/cuda/cuda.h"

#define TCT_SCALAR float
#include "kernels/common/scalar.h"

struct tct_cu_add {
  template <class T> static __device__ __forceinline__ T of(T a, T b) {
    return a + b;
  }
};
struct tct_cu_greater {
  static __device__ __forceinline__ float of(float a, float b) {
    return tct_maximum_float(a, b);
  }
};

/* A butterfly: every lane adds the same pairs. */
template <class Op, class T> TCT_CU_FN T tct_cu_warp(T x) {
#pragma unroll
  for (int bits = TCT_CU_WARP / 2; bits > 0; bits >>= 1) x = Op::of(x, __shfl_xor_sync(~0u, x, bits));
  return x;
}

template <class Op, class T> TCT_CU_FN T tct_cu_row(T x) {
  x = tct_cu_warp<Op>(x);
  if (blockDim.x == TCT_CU_WARP) return x;
  __shared__ T part[TCT_CU_ROW_THREADS / TCT_CU_WARP];
  const unsigned warps = blockDim.x / TCT_CU_WARP, first = threadIdx.y * warps;
  __syncthreads(); /* the call before may still be read */
  if (threadIdx.x % TCT_CU_WARP == 0) part[first + threadIdx.x / TCT_CU_WARP] = x;
  __syncthreads();
  x = part[first];
  for (unsigned w = 1; w < warps; w++) x = Op::of(x, part[first + w]);
  return x;
}

TCT_CU_FN float tct_cu_row_sum(float x) {
  return tct_cu_row<tct_cu_add>(x);
}
TCT_CU_FN float tct_cu_row_most(float x) {
  return tct_cu_row<tct_cu_greater>(x);
}

/* The rows of a block: row = base + threadIdx.y for each base. The loop is the same for all threads, so that barriers may stand
 * in it; rows behind the last are computed as the last and not written. */
#define TCT_CU_EACH_ROW(row, rows)                                                                                     \
  for (int64_t row##_base = (int64_t)blockIdx.x * blockDim.y, row = row##_base + threadIdx.y; row##_base < (rows);     \
       row##_base += (int64_t)gridDim.x * blockDim.y, row = row##_base + threadIdx.y)

#endif
