/* Each kernel turns a block's x round: y[i] = x[last - i]; with_fault, it does so wrongly. */
#include "kernels/cuda/cuda.h"
#include "support/simt/faulty.h"

enum { MOST = 256 };

/* Half of the block waits at another line. */
TCT_CUDA_KERNEL(divergent_barrier, MOST) {
  __shared__ float kept[MOST];
  kept[threadIdx.x] = a.x[threadIdx.x];
  if (a.with_fault != 0 && threadIdx.x < 32)
    __syncthreads();
  else
    __syncthreads();
  a.y[threadIdx.x] = kept[blockDim.x - 1 - threadIdx.x];
}

TCT_CUDA_KERNEL(early_exit, MOST) {
  __shared__ float kept[MOST];
  if (a.with_fault != 0 && threadIdx.x == 7) return;
  kept[threadIdx.x] = a.x[threadIdx.x];
  __syncthreads();
  a.y[threadIdx.x] = kept[blockDim.x - 1 - threadIdx.x];
}

/* Of one warp. */
TCT_CUDA_KERNEL(partial_shuffle, MOST) {
  const float x = a.x[threadIdx.x];
  if (a.with_fault != 0 && threadIdx.x == 3) return;
  a.y[threadIdx.x] = __shfl_sync(~0u, x, 31 - (int)threadIdx.x);
}

TCT_CUDA_KERNEL(missing_barrier, MOST) {
  __shared__ float kept[MOST];
  kept[threadIdx.x] = a.x[threadIdx.x];
  if (a.with_fault == 0) __syncthreads();
  a.y[threadIdx.x] = kept[blockDim.x - 1 - threadIdx.x];
}

/* Shared memory: one float a thread. */
TCT_CUDA_KERNEL(behind_shared, MOST) {
  TCT_CU_DYNAMIC(float, kept);
  kept[threadIdx.x + (a.with_fault != 0 ? 1 : 0)] = a.x[threadIdx.x];
  __syncthreads();
  a.y[threadIdx.x] = kept[blockDim.x - 1 - threadIdx.x];
}
