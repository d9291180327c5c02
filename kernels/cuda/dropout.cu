/* Dropout: a thread draws one Philox block for four elements; the counter is the element's number, so that the mask is the same on
 * every device. */
#include "kernels/common/philox.h"
#include "kernels/cuda/cuda.h"

TCT_CUDA_KERNEL(dropout, TCT_CU_BLOCK) {
  const uint32_t step = (uint32_t)*a.step;
  for (int64_t block = tct_cu_first(); block * 4 < a.n; block += tct_cu_pitch()) {
    const tct_philox drawn = tct_philox_block(a.seed, a.stream, step, (uint64_t)block);
#pragma unroll
    for (int j = 0; j < 4; j++) {
      const int64_t i = block * 4 + j;
      if (i < a.n) tct_cu_put(a.y, i, drawn.v[j] >> 8 >= a.threshold ? tct_cu_get(a.x, i) * a.factor : 0.0f);
    }
  }
}
