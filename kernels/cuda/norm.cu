/* Batch and layer normalisation over [rows, n]: layer norm by rows; what runs down the columns is summed part by part, and the parts
 * are joined in order by a second launch. */
#include "kernels/cuda/rows.h"

TCT_CU_FN float inverse_of(float variance, float epsilon) {
  return 1.0f / SQRT(variance + epsilon);
}

TCT_CUDA_KERNEL(layer_norm, TCT_CU_ROW_THREADS) {
  TCT_CU_EACH_ROW(row, a.rows) {
    const int64_t base = (row < a.rows ? row : a.rows - 1) * a.n;
    float sum = 0.0f, squares = 0.0f;
    for (int64_t j = threadIdx.x; j < a.n; j += blockDim.x) sum += tct_cu_get(a.x, base + j);
    const float mean = tct_cu_row_sum(sum) / (float)a.n;
    for (int64_t j = threadIdx.x; j < a.n; j += blockDim.x) {
      const float d = tct_cu_get(a.x, base + j) - mean;
      squares += d * d;
    }
    const float inverse = inverse_of(tct_cu_row_sum(squares) / (float)a.n, a.epsilon);
    if (row >= a.rows) continue;
    for (int64_t j = threadIdx.x; j < a.n; j += blockDim.x)
      tct_cu_put(a.y, base + j,
                 tct_cu_get(a.gamma, j) * ((tct_cu_get(a.x, base + j) - mean) * inverse) + tct_cu_get(a.beta, j));
    if (threadIdx.x == 0) {
      tct_cu_put(a.mean, row, mean);
      tct_cu_put(a.inverse, row, inverse);
    }
  }
}

TCT_CUDA_KERNEL(layer_norm_grad, TCT_CU_ROW_THREADS) {
  TCT_CU_EACH_ROW(row, a.rows) {
    const int64_t at = row < a.rows ? row : a.rows - 1, base = at * a.n;
    const float mean = tct_cu_get(a.mean, at), inverse = tct_cu_get(a.inverse, at);
    float sum = 0.0f, product = 0.0f;
    for (int64_t j = threadIdx.x; j < a.n; j += blockDim.x) {
      const float g = tct_cu_get(a.gamma, j) * tct_cu_get(a.dy, base + j);
      sum += g;
      product += g * ((tct_cu_get(a.x, base + j) - mean) * inverse);
    }
    sum = tct_cu_row_sum(sum) / (float)a.n;
    product = tct_cu_row_sum(product) / (float)a.n;
    if (row >= a.rows) continue;
    for (int64_t j = threadIdx.x; j < a.n; j += blockDim.x) {
      const float g = tct_cu_get(a.gamma, j) * tct_cu_get(a.dy, base + j);
      tct_cu_put(a.dx, base + j, inverse * (g - sum - (tct_cu_get(a.x, base + j) - mean) * inverse * product));
    }
  }
}

enum { COLUMNS = 32, COLUMN_ROWS = 8 };

TCT_CUDA_KERNEL(column_sums, COLUMNS *COLUMN_ROWS) {
  __shared__ float shared[2][COLUMN_ROWS][COLUMNS];
  const int64_t c = (int64_t)blockIdx.x * COLUMNS + threadIdx.x, length = (a.rows + gridDim.y - 1) / gridDim.y;
  const int64_t begin = blockIdx.y * length, end = begin + length < a.rows ? begin + length : a.rows;
  float first = 0.0f, second = 0.0f;
  if (c < a.n) {
    const float shift = a.kind == TCT_CU_MOMENTS ? tct_cu_get(a.x, c) : a.kind == TCT_CU_BATCH ? tct_cu_get(a.mean, c) : 0.0f;
    const float factor = a.kind == TCT_CU_BATCH ? inverse_of(tct_cu_get(a.scale, c), a.epsilon) : 1.0f;
    for (int64_t r = begin + threadIdx.y; r < end; r += COLUMN_ROWS) {
      const float x = tct_cu_get(a.x, r * a.n + c);
      if (a.kind == TCT_CU_MOMENTS) {
        const float d = x - shift;
        first += d;
        second += d * d;
      } else {
        const float dy = tct_cu_get(a.dy, r * a.n + c);
        const float normal = a.kind == TCT_CU_BATCH ? (x - shift) * factor : (x - tct_cu_get(a.mean, r)) * tct_cu_get(a.scale, r);
        first += dy * normal;
        second += dy;
      }
    }
  }
  shared[0][threadIdx.y][threadIdx.x] = first;
  shared[1][threadIdx.y][threadIdx.x] = second;
  __syncthreads();
  if (threadIdx.y != 0 || c >= a.n) return;
  for (int row = 1; row < COLUMN_ROWS; row++) {
    first += shared[0][row][threadIdx.x];
    second += shared[1][row][threadIdx.x];
  }
  a.partial[(2 * (int64_t)blockIdx.y) * a.n + c] = first;
  a.partial[(2 * (int64_t)blockIdx.y + 1) * a.n + c] = second;
}

TCT_CUDA_KERNEL(column_sums_end, TCT_CU_BLOCK) {
  for (int64_t c = tct_cu_first(); c < a.n; c += tct_cu_pitch()) {
    double first = 0.0, second = 0.0;
    for (int64_t part = 0; part < a.parts; part++) {
      first += (double)a.partial[2 * part * a.n + c];
      second += (double)a.partial[(2 * part + 1) * a.n + c];
    }
    if (a.kind == TCT_CU_MOMENTS) {
      const double shift = (double)tct_cu_get(a.x, c), rows = (double)a.rows, mean = first / rows;
      const double variance = second / rows - mean * mean;
      first = shift + mean;
      second = variance < 0.0 ? 0.0 : variance;
    }
    a.exact[c] = (float)first;
    a.exact[a.n + c] = (float)second;
    tct_cu_put(a.first, c, (float)first);
    tct_cu_put(a.second, c, (float)second);
  }
}

TCT_CUDA_KERNEL(batch_norm, TCT_CU_BLOCK) {
  for (int64_t i = tct_cu_first(); i < a.size; i += tct_cu_pitch()) {
    int64_t c = i;
    (void)tct_cu_divide(&c, a.n);
    const float normal = (tct_cu_get(a.x, i) - tct_cu_get(a.mean, c)) * inverse_of(tct_cu_get(a.variance, c), a.epsilon);
    tct_cu_put(a.y, i, tct_cu_get(a.gamma, c) * normal + tct_cu_get(a.beta, c));
  }
}

TCT_CUDA_KERNEL(batch_norm_grad, TCT_CU_BLOCK) {
  const float rows = (float)(a.size / a.n.d);
  for (int64_t i = tct_cu_first(); i < a.size; i += tct_cu_pitch()) {
    int64_t c = i;
    (void)tct_cu_divide(&c, a.n);
    const float inverse = inverse_of(tct_cu_get(a.variance, c), a.epsilon);
    const float normal = (tct_cu_get(a.x, i) - tct_cu_get(a.mean, c)) * inverse;
    const float balance = (tct_cu_get(a.dbeta, c) + normal * tct_cu_get(a.dgamma, c)) / rows;
    tct_cu_put(a.dx, i, tct_cu_get(a.gamma, c) * inverse * (tct_cu_get(a.dy, i) - balance));
  }
}
