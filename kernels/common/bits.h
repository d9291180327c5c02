/* What every shared kernel header needs: how an inline function is declared so that gcc, clang and nvcc (for host and device)
 * all take it, and the bits of floats. */
#ifndef TCT_KERNELS_BITS_H
#define TCT_KERNELS_BITS_H

#include <stdint.h>

#ifdef __CUDACC__
#define TCT_DEVICE_FN static __host__ __device__ inline
#else
#define TCT_DEVICE_FN static inline
#endif

TCT_DEVICE_FN uint32_t tct_bits_of_f32(float x) {
  const union {
    float f;
    uint32_t u;
  } both = {x};
  return both.u;
}
TCT_DEVICE_FN float tct_f32_of_bits(uint32_t u) {
  const union {
    uint32_t u;
    float f;
  } both = {u};
  return both.f;
}

#endif
