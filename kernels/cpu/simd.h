/* The little that the hand-tiled kernels need of a vector unit: load, store, splat, fused multiply-add, for 4, 8 and 16
 * lanes as the instruction set has them. GCC's vector types do the rest, so nothing here is x86's alone. Also the words
 * that every CPU kernel shares: the level's name in symbols, and the promise that a loop's iterations are independent.
 */
#ifndef TCT_KERNELS_CPU_SIMD_H
#define TCT_KERNELS_CPU_SIMD_H

#include <stdint.h>
#include <string.h>
#if defined(__FMA__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

/* tct_cpu_pool → tct_cpu_pool_avx2 */
#define TCT_LEVEL_PASTE_(name, isa) name##_##isa
#define TCT_LEVEL_PASTE(name, isa)  TCT_LEVEL_PASTE_(name, isa)
#define TCT_LEVEL(name)             TCT_LEVEL_PASTE(name, TCT_ISA)

/* for (i = 0 … n - 1), where no iteration touches an element of another. An output may be an input (in place): the
 * compiler's own overlap test would then choose the scalar loop. */
#if defined(__clang__)
#define TCT_EACH(i, n) _Pragma("clang loop vectorize(assume_safety)") for (int64_t i = 0; i < (n); i++)
#else
#define TCT_EACH(i, n) _Pragma("GCC ivdep") for (int64_t i = 0; i < (n); i++)
#endif
/* for (i = 0 … n - 1), written out: n is a constant once its function is inlined. */
#if defined(__clang__)
#define TCT_UNROLLED(i, n) _Pragma("clang loop unroll(full)") for (int i = 0; i < (n); i++)
#else
#define TCT_UNROLLED(i, n) _Pragma("GCC unroll 32") for (int i = 0; i < (n); i++)
#endif
#define TCT_INLINE static inline __attribute__((always_inline))
/* Hides how a variable was made, so that the compiler keeps it in a register and derives nothing from it. */
#define TCT_OPAQUE(variable) __asm__("" : "+r"(variable))

typedef float tct_v4 __attribute__((vector_size(16)));
TCT_INLINE tct_v4 tct_v4_load(const float *p) {
  tct_v4 v;
  memcpy(&v, p, sizeof v);
  return v;
}
TCT_INLINE void tct_v4_store(float *p, tct_v4 v) {
  memcpy(p, &v, sizeof v);
}
TCT_INLINE tct_v4 tct_v4_splat(float x) {
  return (tct_v4){x, x, x, x};
}
TCT_INLINE tct_v4 tct_v4_fma(tct_v4 a, tct_v4 b, tct_v4 c) {
#if defined(__FMA__)
  return (tct_v4)_mm_fmadd_ps((__m128)a, (__m128)b, (__m128)c);
#elif defined(__ARM_NEON) && defined(__ARM_FEATURE_FMA)
  return (tct_v4)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
  return a * b + c;
#endif
}
/* max(x, 0), NaN for NaN: what the row `relu` gives. The instruction gives its second operand where one is NaN. */
TCT_INLINE tct_v4 tct_v4_relu(tct_v4 v) {
  typedef int32_t mask __attribute__((vector_size(16)));
  return (tct_v4)((mask)v & ~(v < (tct_v4){0}));
}

/* Eight floats and their truths at any level: the compiler splits them where its vectors are shorter. */
typedef float tct_f8 __attribute__((vector_size(32)));
typedef int32_t tct_i8 __attribute__((vector_size(32)));
#define tct_f8_load(p)     (*(const tct_f8_unaligned *)(p))
#define tct_f8_store(p, v) (*(tct_f8_unaligned *)(p) = (v))
typedef float tct_f8_unaligned __attribute__((vector_size(32), aligned(4), may_alias));
/* A macro: passing vectors wider than the level's registers has no fixed convention. */
#define tct_f8_select(truth, then, otherwise) ((tct_f8)(((truth) & (tct_i8)(then)) | (~(truth) & (tct_i8)(otherwise))))

#if defined(__AVX2__)
typedef float tct_v8 __attribute__((vector_size(32)));
TCT_INLINE tct_v8 tct_v8_load(const float *p) {
  return (tct_v8)_mm256_loadu_ps(p);
}
TCT_INLINE void tct_v8_store(float *p, tct_v8 v) {
  _mm256_storeu_ps(p, (__m256)v);
}
TCT_INLINE tct_v8 tct_v8_splat(float x) {
  return (tct_v8)_mm256_set1_ps(x);
}
TCT_INLINE tct_v8 tct_v8_fma(tct_v8 a, tct_v8 b, tct_v8 c) {
  return (tct_v8)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
}
TCT_INLINE tct_v8 tct_v8_relu(tct_v8 v) {
  return (tct_v8)_mm256_max_ps(_mm256_setzero_ps(), (__m256)v);
}
#endif

#if defined(__AVX512F__)
typedef float tct_v16 __attribute__((vector_size(64)));
TCT_INLINE tct_v16 tct_v16_load(const float *p) {
  return (tct_v16)_mm512_loadu_ps(p);
}
TCT_INLINE void tct_v16_store(float *p, tct_v16 v) {
  _mm512_storeu_ps(p, (__m512)v);
}
TCT_INLINE tct_v16 tct_v16_splat(float x) {
  return (tct_v16)_mm512_set1_ps(x);
}
TCT_INLINE tct_v16 tct_v16_fma(tct_v16 a, tct_v16 b, tct_v16 c) {
  return (tct_v16)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
}
TCT_INLINE tct_v16 tct_v16_relu(tct_v16 v) {
  return (tct_v16)_mm512_max_ps(_mm512_setzero_ps(), (__m512)v);
}
#endif

#endif
