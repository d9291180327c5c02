/* Along one axis: running sums, the greatest of each row, and the products of all elements but one. */
#include "kernels/cuda/order.h"

/* ---- running sums ---- */

TCT_CU_FN int64_t whole_at(const void *x, int32_t dtype, int64_t i) {
  return dtype == TCT_I32 ? ((const int32_t *)x)[i] : dtype == TCT_I64 ? ((const int64_t *)x)[i] : ((const uint8_t *)x)[i];
}
TCT_CU_FN void put_whole(void *y, int32_t dtype, int64_t i, int64_t value) {
  if (dtype == TCT_I32)
    ((int32_t *)y)[i] = (int32_t)value;
  else if (dtype == TCT_I64)
    ((int64_t *)y)[i] = value;
  else
    ((uint8_t *)y)[i] = (uint8_t)value;
}

TCT_CUDA_KERNEL(cumsum, TCT_CU_BLOCK) {
  const bool is_whole = a.dtype == TCT_I32 || a.dtype == TCT_I64 || a.dtype == TCT_U8;
  for (int64_t line = tct_cu_first(); line < a.outer * a.inner.d; line += tct_cu_pitch()) {
    int64_t c = line;
    const int64_t first = tct_cu_divide(&c, a.inner) * a.n * a.inner.d + c;
    float sum = 0.0f;
    int64_t whole = 0;
    for (int64_t step = 0; step < a.n; step++) {
      const int64_t at = first + (a.reverse != 0 ? a.n - 1 - step : step) * a.inner.d;
      if (is_whole) {
        const int64_t before = whole;
        whole += whole_at(a.x, a.dtype, at);
        put_whole(a.y, a.dtype, at, a.exclusive != 0 ? before : whole);
      } else {
        const float before = sum;
        sum += tct_cu_load(a.x, a.dtype, at);
        tct_cu_store(a.y, a.dtype, at, a.exclusive != 0 ? before : sum);
      }
    }
  }
}

/* ---- the greatest ---- */

/* Round by round: the first of those that go behind the round before's. */
TCT_CUDA_KERNEL(top_k, TCT_CU_BLOCK) {
  const bool is_whole = a.dtype == TCT_I32 || a.dtype == TCT_I64 || a.dtype == TCT_U8;
  const int64_t lane = threadIdx.x % TCT_CU_WARP;
  for (int64_t row = tct_cu_first() / TCT_CU_WARP; row < a.rows; row += tct_cu_pitch() / TCT_CU_WARP) {
    place last = {0.0f, 0, -1};
    for (int64_t j = 0; j < a.k; j++) {
      place best = {0.0f, 0, -1}; /* none */
      for (int64_t i = lane; i < a.n; i += TCT_CU_WARP) {
        const place next = place_at(a.x, a.dtype, row * a.n + i, i);
        const bool is_left = last.at < 0 || (last.at != i && goes_before(last, next, is_whole, false));
        if (is_left && (best.at < 0 || goes_before(next, best, is_whole, false))) best = next;
      }
      for (int bits = TCT_CU_WARP / 2; bits > 0; bits >>= 1) {
        const place next = {__shfl_xor_sync(~0u, best.x, bits), __shfl_xor_sync(~0u, best.whole, bits),
                            __shfl_xor_sync(~0u, best.at, bits)};
        if (next.at >= 0 && (best.at < 0 || goes_before(next, best, is_whole, false))) best = next;
      }
      last = best;
      if (lane != 0) continue;
      a.positions[row * a.k + j] = (int32_t)best.at;
      if (is_whole)
        put_whole(a.y, a.dtype, row * a.k + j, best.whole);
      else
        tct_cu_store(a.y, a.dtype, row * a.k + j, best.x);
    }
  }
}

TCT_CUDA_KERNEL(top_k_grad, TCT_CU_BLOCK) {
  for (int64_t i = tct_cu_first(); i < a.size; i += tct_cu_pitch()) {
    int64_t j = i;
    const int64_t row = tct_cu_divide(&j, a.k), position = a.positions[i];
    if (position >= 0 && position < a.n) tct_cu_put(a.dx, row * a.n + position, tct_cu_get(a.dy, i));
  }
}

/* ---- the product of the others ---- */

/* A pass backwards leaves the product of those behind, one forwards multiplies those before: no division, so zeros are no case. */
TCT_CUDA_KERNEL(prod_grad, TCT_CU_BLOCK) {
  for (int64_t o = tct_cu_first(); o < a.n_out; o += tct_cu_pitch()) {
    const int64_t first = tct_cu_offset(a.kept, o);
    float behind = tct_cu_get(a.dy, o);
    for (int64_t r = a.n_reduced - 1; r >= 0; r--) {
      const int64_t at = first + tct_cu_offset(a.reduced, r);
      if (a.dx.dtype == TCT_F32) {
        ((float *)a.dx.data)[at] = behind;
      } else { /* a narrow result cannot hold a product on its way */
        float before = 1.0f;
        for (int64_t s = 0; s < r; s++) before *= tct_cu_get(a.x, first + tct_cu_offset(a.reduced, s));
        tct_cu_put(a.dx, at, before * behind);
      }
      behind *= tct_cu_get(a.x, at);
    }
    float before = 1.0f;
    for (int64_t r = 0; r < a.n_reduced && a.dx.dtype == TCT_F32; r++) {
      const int64_t at = first + tct_cu_offset(a.reduced, r);
      ((float *)a.dx.data)[at] *= before;
      before *= tct_cu_get(a.x, at);
    }
  }
}
