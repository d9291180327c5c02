/* Cross-entropy on logits and its gradient: loss = Σ t·(ln Σe^x - x) over each row, with given targets or labels, smoothed. */
#include "kernels/cuda/rows.h"

/* ln Σ e^x of a row, and x's greatest. */
TCT_CU_FN float log_sum(const tct_cu_tensor &x, int64_t base, int64_t n) {
  float most = -INFINITY, sum = 0.0f;
  for (int64_t j = threadIdx.x; j < n; j += blockDim.x) most = MAXIMUM(most, tct_cu_get(x, base + j));
  most = tct_cu_row_most(most);
  for (int64_t j = threadIdx.x; j < n; j += blockDim.x) sum += EXP(tct_cu_get(x, base + j) - most);
  return most + LOG(tct_cu_row_sum(sum));
}

/* The target of class j. */
template <class Args> TCT_CU_FN float target(const Args &a, int64_t base, int64_t label, int64_t j) {
  const float given = a.labels != NULL ? (j == label ? 1.0f : 0.0f) : tct_cu_get(a.targets, base + j);
  return (1.0f - a.smoothing) * given + a.smoothing / (float)a.n;
}

TCT_CUDA_KERNEL(cross_entropy, TCT_CU_ROW_THREADS) {
  TCT_CU_EACH_ROW(row, a.rows) {
    const int64_t at = row < a.rows ? row : a.rows - 1, base = at * a.n;
    const int64_t label = a.labels != NULL ? a.labels[at] : 0;
    const float total = log_sum(a.x, base, a.n);
    float loss = 0.0f;
    for (int64_t j = threadIdx.x; j < a.n; j += blockDim.x) {
      const float t = target(a, base, label, j);
      if (t != 0.0f) loss += t * (total - tct_cu_get(a.x, base + j)); /* a class of target 0 may have logit -∞ */
    }
    loss = tct_cu_row_sum(loss);
    if (row < a.rows && threadIdx.x == 0) tct_cu_put(a.loss, row, label >= 0 && label < a.n ? loss : NAN);
  }
}

TCT_CUDA_KERNEL(cross_entropy_grad, TCT_CU_ROW_THREADS) {
  TCT_CU_EACH_ROW(row, a.rows) {
    const int64_t at = row < a.rows ? row : a.rows - 1, base = at * a.n;
    const int64_t label = a.labels != NULL ? a.labels[at] : 0;
    const float total = log_sum(a.x, base, a.n), dloss = tct_cu_get(a.dloss, at);
    float sum = 0.0f;
    for (int64_t j = threadIdx.x; j < a.n; j += blockDim.x) sum += target(a, base, label, j);
    sum = tct_cu_row_sum(sum);
    if (row < a.rows)
      for (int64_t j = threadIdx.x; j < a.n; j += blockDim.x) {
        const float dx = dloss * (EXP(tct_cu_get(a.x, base + j) - total) * sum - target(a, base, label, j));
        tct_cu_put(a.dx, base + j, label >= 0 && label < a.n ? dx : NAN);
      }
  }
}
