/* Elements with their positions, and which of two goes before the other. */
#ifndef TCT_KERNELS_CUDA_ORDER_H
#define TCT_KERNELS_CUDA_ORDER_H

#include "kernels/cuda/cuda.h"

struct place {
  float x;
  int64_t whole; /* the value of an integer dtype */
  int64_t at;
};

/* Whether b goes before a: greater (less), or equal and earlier; a NaN is greater (less) than any number. */
TCT_CU_FN bool goes_before(const place &b, const place &a, bool is_whole, bool least) {
  if (is_whole) {
    if (b.whole != a.whole) return least ? b.whole < a.whole : b.whole > a.whole;
  } else {
    const bool nan_a = a.x != a.x, nan_b = b.x != b.x;
    if (nan_a != nan_b) return nan_b;
    if (!nan_a && a.x != b.x) return least ? b.x < a.x : b.x > a.x;
  }
  return b.at < a.at;
}

TCT_CU_FN place place_at(const void *x, int32_t dtype, int64_t offset, int64_t at) {
  place p = {0.0f, 0, at};
  if (dtype == TCT_I32)
    p.whole = ((const int32_t *)x)[offset];
  else if (dtype == TCT_I64)
    p.whole = ((const int64_t *)x)[offset];
  else if (dtype == TCT_U8)
    p.whole = ((const uint8_t *)x)[offset];
  else
    p.x = tct_cu_load(x, dtype, offset);
  return p;
}

/* The first of a warp's places, the same in every lane. */
TCT_CU_FN place first_of_warp(place best, bool is_whole, bool least) {
  for (int bits = TCT_CU_WARP / 2; bits > 0; bits >>= 1) {
    const place next = {__shfl_xor_sync(~0u, best.x, bits), __shfl_xor_sync(~0u, best.whole, bits),
                        __shfl_xor_sync(~0u, best.at, bits)};
    if (goes_before(next, best, is_whole, least)) best = next;
  }
  return best;
}

#endif
