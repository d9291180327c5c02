/* Softmax, its logarithm and their gradients: along contiguous rows, or down the columns of a middle axis. A row is read from
 * cache the second time. */
#include "kernels/cuda/rows.h"

TCT_CUDA_KERNEL(softmax, TCT_CU_ROW_THREADS) {
  TCT_CU_EACH_ROW(row, a.rows) {
    const int64_t base = (row < a.rows ? row : a.rows - 1) * a.n;
    float most = -INFINITY, sum = 0.0f;
    for (int64_t j = threadIdx.x; j < a.n; j += blockDim.x) most = MAXIMUM(most, tct_cu_get(a.x, base + j));
    most = tct_cu_row_most(most);
    for (int64_t j = threadIdx.x; j < a.n; j += blockDim.x) sum += EXP(tct_cu_get(a.x, base + j) - most);
    sum = tct_cu_row_sum(sum);
    const float lost = LOG(sum), factor = 1.0f / sum;
    if (row < a.rows)
      for (int64_t j = threadIdx.x; j < a.n; j += blockDim.x) {
        const float x = tct_cu_get(a.x, base + j) - most;
        tct_cu_put(a.y, base + j, a.log != 0 ? x - lost : EXP(x) * factor);
      }
  }
}

/* dx = y·(dy - Σ y·dy), or dy - e^y·Σ dy */
TCT_CUDA_KERNEL(softmax_grad, TCT_CU_ROW_THREADS) {
  TCT_CU_EACH_ROW(row, a.rows) {
    const int64_t base = (row < a.rows ? row : a.rows - 1) * a.n;
    float sum = 0.0f;
    for (int64_t j = threadIdx.x; j < a.n; j += blockDim.x) {
      const float dy = tct_cu_get(a.dy, base + j);
      sum += a.log != 0 ? dy : tct_cu_get(a.y, base + j) * dy;
    }
    sum = tct_cu_row_sum(sum);
    if (row < a.rows)
      for (int64_t j = threadIdx.x; j < a.n; j += blockDim.x) {
        const float y = tct_cu_get(a.y, base + j), dy = tct_cu_get(a.dy, base + j);
        tct_cu_put(a.dx, base + j, a.log != 0 ? dy - EXP(y) * sum : y * (dy - sum));
      }
  }
}

TCT_CUDA_KERNEL(softmax_columns, TCT_CU_BLOCK) {
  for (int64_t i = tct_cu_first(); i < a.outer * a.inner.d; i += tct_cu_pitch()) {
    int64_t c = i;
    const int64_t step = a.inner.d, first = tct_cu_divide(&c, a.inner) * a.n * step + c;
    float most = -INFINITY, sum = 0.0f;
    for (int64_t j = 0; j < a.n; j++) most = MAXIMUM(most, tct_cu_get(a.x, first + j * step));
    for (int64_t j = 0; j < a.n; j++) sum += EXP(tct_cu_get(a.x, first + j * step) - most);
    const float lost = LOG(sum), factor = 1.0f / sum;
    for (int64_t j = 0; j < a.n; j++) {
      const float x = tct_cu_get(a.x, first + j * step) - most;
      tct_cu_put(a.y, first + j * step, a.log != 0 ? x - lost : EXP(x) * factor);
    }
  }
}

TCT_CUDA_KERNEL(softmax_grad_columns, TCT_CU_BLOCK) {
  for (int64_t i = tct_cu_first(); i < a.outer * a.inner.d; i += tct_cu_pitch()) {
    int64_t c = i;
    const int64_t step = a.inner.d, first = tct_cu_divide(&c, a.inner) * a.n * step + c;
    float sum = 0.0f;
    for (int64_t j = 0; j < a.n; j++) {
      const float dy = tct_cu_get(a.dy, first + j * step);
      sum += a.log != 0 ? dy : tct_cu_get(a.y, first + j * step) * dy;
    }
    for (int64_t j = 0; j < a.n; j++) {
      const float y = tct_cu_get(a.y, first + j * step), dy = tct_cu_get(a.dy, first + j * step);
      tct_cu_put(a.dx, first + j * step, a.log != 0 ? dy - EXP(y) * sum : y * (dy - sum));
    }
  }
}
