/* Put in front of each .cu file (-include): the part of CUDA's language that the kernels use, on fibers (engine.cpp). */
#ifndef TCT_TESTS_SIMT_DEVICE_H
#define TCT_TESTS_SIMT_DEVICE_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#define TCT_SIMT            1
#define __device__
#define __global__
#define __launch_bounds__(...)
#define __host__
#define __forceinline__     inline __attribute__((always_inline))
#define __noinline__        __attribute__((noinline))
#define __restrict__        __restrict
#define __align__(n)        __attribute__((aligned(n)))
/* All of it in one section, which the engine fills with NaN before each block. */
#define __shared__          static __attribute__((section("tct_simt_shared"), aligned(16)))

struct uint3 {
  unsigned x, y, z;
};
struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(16) int4 {
  int x, y, z, w;
};
struct alignas(8) ushort4 {
  unsigned short x, y, z, w;
};
static inline float2 make_float2(float x, float y) {
  return {x, y};
}
static inline float4 make_float4(float x, float y, float z, float w) {
  return {x, y, z, w};
}
static inline ushort4 make_ushort4(unsigned short x, unsigned short y, unsigned short z, unsigned short w) {
  return {x, y, z, w};
}

extern "C" {
extern uint3 threadIdx, blockIdx, blockDim, gridDim;
void *tct_simt_dynamic(void);
/* Waits for all threads of the block. */
void tct_simt_barrier(int line);
/* Waits for all lanes of the warp; returns what each lane gave, valid until the lane's next call. */
const uint64_t *tct_simt_exchange(unsigned mask, uint64_t bits, int line);
}

static inline void __syncthreads(int line = __builtin_LINE()) {
  tct_simt_barrier(line);
}
static inline void __syncwarp(unsigned mask = ~0u, int line = __builtin_LINE()) {
  tct_simt_exchange(mask, 0, line);
}

static inline unsigned tct_simt_lane() {
  return (threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z)) & 31u;
}
template <class T> static inline T tct_simt_shuffle(unsigned mask, T x, unsigned from, int line) {
  uint64_t bits = 0;
  static_assert(sizeof x <= sizeof bits, "a shuffle moves at most 8 bytes");
  memcpy(&bits, &x, sizeof x);
  const uint64_t *const all = tct_simt_exchange(mask, bits, line);
  memcpy(&x, &all[from & 31u], sizeof x);
  return x;
}
template <class T> static inline T __shfl_sync(unsigned mask, T x, int lane, int = 32, int line = __builtin_LINE()) {
  return tct_simt_shuffle(mask, x, (unsigned)lane, line);
}
template <class T> static inline T __shfl_xor_sync(unsigned mask, T x, int bits, int = 32, int line = __builtin_LINE()) {
  return tct_simt_shuffle(mask, x, tct_simt_lane() ^ (unsigned)bits, line);
}
template <class T> static inline T __shfl_down_sync(unsigned mask, T x, unsigned by, int = 32, int line = __builtin_LINE()) {
  const unsigned lane = tct_simt_lane();
  return tct_simt_shuffle(mask, x, lane + by < 32 ? lane + by : lane, line);
}
template <class T> static inline T __shfl_up_sync(unsigned mask, T x, unsigned by, int = 32, int line = __builtin_LINE()) {
  const unsigned lane = tct_simt_lane();
  return tct_simt_shuffle(mask, x, lane >= by ? lane - by : lane, line);
}
static inline unsigned __ballot_sync(unsigned mask, int condition, int line = __builtin_LINE()) {
  const uint64_t *const all = tct_simt_exchange(mask, condition != 0, line);
  unsigned votes = 0;
  for (unsigned i = 0; i < 32; i++) votes |= (unsigned)all[i] << i;
  return votes;
}

/* Integers only: sums of floats would depend on the order. */
static inline int atomicAdd(int *to, int x) {
  const int before = *to;
  *to += x;
  return before;
}

static inline unsigned __umulhi(unsigned a, unsigned b) {
  return (unsigned)(((uint64_t)a * b) >> 32);
}
static inline int __dp4a(int a, int b, int sum) {
  for (int i = 0; i < 32; i += 8) sum += (int8_t)((unsigned)a >> i) * (int8_t)((unsigned)b >> i);
  return sum;
}
static inline int __popc(unsigned x) {
  return __builtin_popcount(x);
}
static inline int __ffs(int x) {
  return __builtin_ffs(x);
}
template <class T> static inline T __ldg(const T *at) {
  return *at;
}

#endif
