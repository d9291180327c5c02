/* The gradient of gather, the same bits every time: positions are put into a bucket for each row of the table, and each row adds its
 * bucket's, least first. */
#include "kernels/cuda/cuda.h"

TCT_CU_FN bool names_row(const tct_cu_gather_grad_args &a, int32_t index) {
  return index >= 0 && index < a.depth;
}

TCT_CUDA_KERNEL(gather_count, TCT_CU_BLOCK) {
  for (int64_t j = tct_cu_first(); j < a.n; j += tct_cu_pitch())
    if (names_row(a, a.indices[j])) (void)atomicAdd(&a.count[a.indices[j]], 1);
}

/* Each thread adds a stretch of counts, one of them the stretches, each spreads its own again. */
TCT_CUDA_KERNEL(gather_begin, TCT_CU_BLOCK) {
  __shared__ int32_t stretch[TCT_CU_BLOCK];
  const int64_t length = (a.depth + TCT_CU_BLOCK - 1) / TCT_CU_BLOCK, first = threadIdx.x * length;
  const int64_t end = first + length < a.depth ? first + length : a.depth;
  int32_t sum = 0;
  for (int64_t d = first; d < end; d++) sum += a.count[d];
  stretch[threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.x == 0) {
    int32_t before = 0;
    for (int t = 0; t < TCT_CU_BLOCK; t++) {
      const int32_t own = stretch[t];
      stretch[t] = before;
      before += own;
    }
  }
  __syncthreads();
  int32_t before = stretch[threadIdx.x];
  for (int64_t d = first; d < end; d++) {
    a.begin[d] = before;
    before += a.count[d];
    a.count[d] = 0;
  }
}

TCT_CUDA_KERNEL(gather_place, TCT_CU_BLOCK) {
  for (int64_t j = tct_cu_first(); j < a.n; j += tct_cu_pitch()) {
    const int32_t d = a.indices[j];
    if (names_row(a, d)) a.place[a.begin[d] + atomicAdd(&a.count[d], 1)] = (int32_t)j;
  }
}

/* The least of `count` places that is greater than `last`; the same in every thread of the block. */
TCT_CU_FN int32_t next_place(const int32_t *places, int32_t count, int32_t last, int32_t *shared) {
  int32_t least = INT32_MAX;
  for (int32_t i = (int32_t)threadIdx.x; i < count; i += TCT_CU_BLOCK)
    if (places[i] > last && places[i] < least) least = places[i];
  for (int bits = TCT_CU_WARP / 2; bits > 0; bits >>= 1) {
    const int32_t other = __shfl_xor_sync(~0u, least, bits);
    least = other < least ? other : least;
  }
  __syncthreads(); /* the call before may still be read */
  if (threadIdx.x % TCT_CU_WARP == 0) shared[threadIdx.x / TCT_CU_WARP] = least;
  __syncthreads();
  for (int w = 0; w < TCT_CU_BLOCK / TCT_CU_WARP; w++) least = shared[w] < least ? shared[w] : least;
  return least;
}

TCT_CUDA_KERNEL(gather_sum, TCT_CU_BLOCK) {
  __shared__ int32_t shared[TCT_CU_BLOCK / TCT_CU_WARP];
  for (int64_t row = blockIdx.x; row < a.outer * a.depth; row += gridDim.x) {
    const int64_t outer = row / a.depth, d = row - outer * a.depth;
    const int32_t count = a.count[d], *const places = a.place + a.begin[d];
    for (int64_t c0 = 0; c0 < a.inner; c0 += TCT_CU_BLOCK) {
      const int64_t c = c0 + threadIdx.x;
      float sum = 0.0f;
      for (int32_t i = 0, j = -1; i < count; i++) {
        j = next_place(places, count, j, shared);
        if (c < a.inner) sum += tct_cu_get(a.dy, (outer * a.n + j) * a.inner + c);
      }
      if (c < a.inner) tct_cu_put(a.dtable, row * a.inner + c, sum);
    }
  }
}
