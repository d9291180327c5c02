/* Branch-free elementary functions in f32, written once so that gcc -O3 and clang vectorise the loops around them at
 * any width; libm's scalar calls cost 6 ns an element where these cost 0.3-0.8 ns. Errors are at most about 3 ulp (1
 * ulp for most); infinities, zeros, NaN and overflow behave as C's functions do. Polynomials: S. Moshier's Cephes (exp,
 * log, sin, cos), N. Juffa's erff; pow, and the reduction of sin and cos, work in double.
 *
 * Bits of floats move through unions of unsigned integers, never through float → integer conversions, so that NaN and
 * infinity are defined behaviour on every path. */
#ifndef TCT_KERNELS_FASTMATH_H
#define TCT_KERNELS_FASTMATH_H

#include <stdint.h>

#include "kernels/common/bits.h"

/* a·b + c, rounded once where the instruction set has it. */
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA) || defined(__CUDACC__)
#define TCT_FMAF(a, b, c) __builtin_fmaf(a, b, c)
#define TCT_FMA(a, b, c)  __builtin_fma(a, b, c)
#else
#define TCT_FMAF(a, b, c) ((a) * (b) + (c))
#define TCT_FMA(a, b, c)  ((a) * (b) + (c))
#endif

TCT_DEVICE_FN uint64_t tct_bits_of_f64(double x) {
  const union {
    double f;
    uint64_t u;
  } both = {x};
  return both.u;
}
TCT_DEVICE_FN double tct_f64_of_bits(uint64_t u) {
  const union {
    uint64_t u;
    double f;
  } both = {u};
  return both.f;
}

/* Adding 1.5·2^23 rounds to the nearest whole number and leaves it in the low bits. */
#define TCT_ROUND_F32 12582912.0f
#define TCT_ROUND_F64 6755399441055744.0

/* x = n·ln 2 + r with |r| <= ln 2 / 2; returns r, and n as the wrapped difference of bit patterns. */
TCT_DEVICE_FN float tct_reduce_exp(float x, uint32_t *n) {
  const float t = TCT_FMAF(x, 1.44269504088896341f, TCT_ROUND_F32);
  const float whole = t - TCT_ROUND_F32;
  *n = tct_bits_of_f32(t) - tct_bits_of_f32(TCT_ROUND_F32);
  return TCT_FMAF(whole, 2.12194440e-4f, TCT_FMAF(whole, -0.693359375f, x));
}

/* e^r - 1 for |r| <= ln 2 / 2. */
TCT_DEVICE_FN float tct_expm1_small(float r) {
  float p = 1.9875691500e-4f;
  p = TCT_FMAF(p, r, 1.3981999507e-3f);
  p = TCT_FMAF(p, r, 8.3334519073e-3f);
  p = TCT_FMAF(p, r, 4.1665795894e-2f);
  p = TCT_FMAF(p, r, 1.6666665459e-1f);
  p = TCT_FMAF(p, r, 5.0000001201e-1f);
  return TCT_FMAF(p, r * r, r);
}

/* e^x; overflows to infinity above 88.72, reaches 0 through the denormals. */
TCT_DEVICE_FN float tct_expf(float x) {
  const float low = x < -104.0f ? -104.0f : x;
  const float clamped = low > 89.0f ? 89.0f : low;
  uint32_t n;
  const float r = tct_reduce_exp(clamped, &n);
  /* 2^n in two factors: n runs from -150 to 128, beyond what one normal float holds. n is negative in two's complement.
   */
  const uint32_t biased = n + 254u;
  const uint32_t half = biased >> 1;
  const float scale0 = tct_f32_of_bits(half << 23);
  const float scale1 = tct_f32_of_bits((biased - half) << 23);
  return (tct_expm1_small(r) + 1.0f) * scale0 * scale1;
}

/* e^x - 1, accurate near 0. */
TCT_DEVICE_FN float tct_expm1f(float x) {
  const float low = x < -30.0f ? -30.0f : x;
  const float clamped = low > 89.0f ? 89.0f : low;
  uint32_t n;
  const float r = tct_reduce_exp(clamped, &n);
  /* 2^(n-1): n = 128 must not overflow before the last doubling. */
  const float scale = tct_f32_of_bits((n + 126u) << 23);
  const float result = 2.0f * TCT_FMAF(scale, tct_expm1_small(r), scale - 0.5f);
  return n == 0 ? tct_expm1_small(r) : result;
}

/* ln x; ln 0 = -inf, NaN below. Denormals are scaled first. */
TCT_DEVICE_FN float tct_logf(float x) {
  const int tiny = x < 1.17549435e-38f;
  const uint32_t bits = tct_bits_of_f32(tiny ? x * 8388608.0f : x);
  /* m in [√½, √2): the exponent is counted from √½'s bits. */
  const uint32_t shifted = bits - 0x3f3504f3u;
  const float exponent = (float)((int32_t)shifted >> 23) - (tiny ? 23.0f : 0.0f);
  const float m = tct_f32_of_bits((shifted & 0x007fffffu) + 0x3f3504f3u);
  const float f = m - 1.0f;
  const float z = f * f;
  float p = 7.0376836292e-2f;
  p = TCT_FMAF(p, f, -1.1514610310e-1f);
  p = TCT_FMAF(p, f, 1.1676998740e-1f);
  p = TCT_FMAF(p, f, -1.2420140846e-1f);
  p = TCT_FMAF(p, f, 1.4249322787e-1f);
  p = TCT_FMAF(p, f, -1.6668057665e-1f);
  p = TCT_FMAF(p, f, 2.0000714765e-1f);
  p = TCT_FMAF(p, f, -2.4999993993e-1f);
  p = TCT_FMAF(p, f, 3.3333331174e-1f);
  p = p * f * z;
  p = TCT_FMAF(exponent, -2.12194440e-4f, p);
  p = TCT_FMAF(-0.5f, z, p);
  const float result = TCT_FMAF(exponent, 0.693359375f, f + p);
  const float finite = x == 0.0f ? -__builtin_inff() : result;
  const float positive = x < 0.0f ? __builtin_nanf("") : finite;
  return x < __builtin_inff() ? positive : x; /* infinity and NaN pass through */
}

/* ln(1 + x), accurate near 0: ln u plus the first-order term of what rounding 1 + x lost. */
TCT_DEVICE_FN float tct_log1pf(float x) {
  const float u = 1.0f + x;
  const float lost = x - (u - 1.0f);
  const float result = tct_logf(u) + lost / u;
  const float plain = u == 0.0f ? -__builtin_inff() : result;
  return x < __builtin_inff() ? plain : x;
}

/* tanh x = -t/(t + 2) with t = e^(-2|x|) - 1: no overflow, accurate near 0. */
TCT_DEVICE_FN float tct_tanhf(float x) {
  const float t = tct_expm1f(-2.0f * __builtin_fabsf(x));
  return __builtin_copysignf(-t / (t + 2.0f), x);
}

/* erf x: x·P(x²) near 0, 1 - e^Q(|x|) beyond. */
TCT_DEVICE_FN float tct_erff(float x) {
  const float t = __builtin_fabsf(x);
  const float s = x * x;
  float far = TCT_FMAF(-1.72853470e-5f, t, 3.83197126e-4f);
  const float far1 = TCT_FMAF(-3.88396438e-3f, t, 2.42546219e-2f);
  far = TCT_FMAF(far, s, far1);
  far = TCT_FMAF(far, t, -1.06777877e-1f);
  far = TCT_FMAF(far, t, -6.34846687e-1f);
  far = TCT_FMAF(far, t, -1.28717512e-1f);
  far = TCT_FMAF(far, t, -t);
  far = __builtin_copysignf(1.0f - tct_expf(far), x);
  float near = -5.96761703e-4f;
  near = TCT_FMAF(near, s, 4.99119423e-3f);
  near = TCT_FMAF(near, s, -2.67681349e-2f);
  near = TCT_FMAF(near, s, 1.12819925e-1f);
  near = TCT_FMAF(near, s, -3.76125336e-1f);
  near = TCT_FMAF(near, s, 1.28379166e-1f);
  near = TCT_FMAF(near, x, x);
  return t > 0.927734375f ? far : near;
}

/* x - n·π/2 in double (π/2 in 33 + 53 bits), n's low bits in *quadrant. Sound to a few ulp for |x| up to 1e6; beyond
 * 1e9 the quadrant itself is lost, and the clamp only keeps the results within [-1, 1]. */
TCT_DEVICE_FN float tct_reduce_trig(float x, uint32_t *quadrant) {
  const double wide = (double)x;
  const double t = wide * 0.63661977236758134308 + TCT_ROUND_F64;
  const double n = t - TCT_ROUND_F64;
  *quadrant = (uint32_t)tct_bits_of_f64(t);
  const float r = (float)((wide - n * 1.57079632673412561417) - n * 6.07710050650619224932e-11);
  const float low = r < -0.8f ? -0.8f : r;
  return low > 0.8f ? 0.8f : low;
}

TCT_DEVICE_FN float tct_sin_small(float r) {
  const float z = r * r;
  float p = TCT_FMAF(-1.9515295891e-4f, z, 8.3321608736e-3f);
  p = TCT_FMAF(p, z, -1.6666654611e-1f);
  return TCT_FMAF(p * z, r, r);
}

TCT_DEVICE_FN float tct_cos_small(float r) {
  const float z = r * r;
  float p = TCT_FMAF(2.443315711809948e-5f, z, -1.388731625493765e-3f);
  p = TCT_FMAF(p, z, 4.166664568298827e-2f);
  return TCT_FMAF(p, z * z, TCT_FMAF(-0.5f, z, 1.0f));
}

TCT_DEVICE_FN float tct_sinf(float x) {
  uint32_t q;
  const float r = tct_reduce_trig(x, &q);
  const float y = (q & 1u) != 0 ? tct_cos_small(r) : tct_sin_small(r);
  return tct_f32_of_bits(tct_bits_of_f32(y) ^ ((q & 2u) << 30));
}

TCT_DEVICE_FN float tct_cosf(float x) {
  uint32_t q;
  const float r = tct_reduce_trig(x, &q);
  const float y = (q & 1u) != 0 ? tct_sin_small(r) : tct_cos_small(r);
  return tct_f32_of_bits(tct_bits_of_f32(y) ^ (((q + 1u) & 2u) << 30));
}

/* log2 of a positive finite double that a float holds; relative error 1e-11. */
TCT_DEVICE_FN double tct_log2_wide(double x) {
  const uint64_t shifted = tct_bits_of_f64(x) - 0x3fe6a09e667f3bcdu; /* √½ */
  /* The exponent as a double without an integer conversion: it goes, plus 2048, into the low bits of 1.5·2^52. */
  const uint64_t counted = (shifted + (2048ull << 52)) >> 52;
  const double exponent = tct_f64_of_bits(0x4338000000000000u + counted) - (TCT_ROUND_F64 + 2048.0);
  const double m = tct_f64_of_bits((shifted & 0x000fffffffffffffu) + 0x3fe6a09e667f3bcdu);
  const double z = (m - 1.0) / (m + 1.0);
  const double s = z * z;
  double p = 1.0 / 15.0;
  p = TCT_FMA(p, s, 1.0 / 13.0);
  p = TCT_FMA(p, s, 1.0 / 11.0);
  p = TCT_FMA(p, s, 1.0 / 9.0);
  p = TCT_FMA(p, s, 1.0 / 7.0);
  p = TCT_FMA(p, s, 1.0 / 5.0);
  p = TCT_FMA(p, s, 1.0 / 3.0);
  p = TCT_FMA(p, s, 1.0);
  return TCT_FMA(z * 2.88539008177792681472, p, exponent);
}

/* 2^t for |t| <= 400; relative error 1e-11. */
TCT_DEVICE_FN double tct_exp2_wide(double t) {
  const double rounded = t + TCT_ROUND_F64;
  const double f = (t - (rounded - TCT_ROUND_F64)) * 0.69314718055994530942;
  const uint64_t n = tct_bits_of_f64(rounded) - tct_bits_of_f64(TCT_ROUND_F64);
  double p = 1.0 / 3628800.0;
  p = TCT_FMA(p, f, 1.0 / 362880.0);
  p = TCT_FMA(p, f, 1.0 / 40320.0);
  p = TCT_FMA(p, f, 1.0 / 5040.0);
  p = TCT_FMA(p, f, 1.0 / 720.0);
  p = TCT_FMA(p, f, 1.0 / 120.0);
  p = TCT_FMA(p, f, 1.0 / 24.0);
  p = TCT_FMA(p, f, 1.0 / 6.0);
  p = TCT_FMA(p, f, 0.5);
  p = TCT_FMA(p, f, 1.0);
  p = TCT_FMA(p, f, 1.0);
  return p * tct_f64_of_bits((n + 1023u) << 52);
}

/* x^y with C's special values. */
TCT_DEVICE_FN float tct_powf(float x, float y) {
  const float inf = __builtin_inff();
  const double wide = (double)y;
  const float ax = __builtin_fabsf(x);
  const double t = wide * tct_log2_wide((double)ax);
  const double low = t < -400.0 ? -400.0 : t;
  float r = (float)tct_exp2_wide(low > 400.0 ? 400.0 : low);
  /* Magnitudes 0 and infinity, where the logarithm above is of no use; then |x| = 1, where y may be infinite. */
  const float to_zero = y > 0.0f ? 0.0f : inf;
  const float to_inf = y > 0.0f ? inf : 0.0f;
  r = ax == 0.0f ? to_zero : r;
  r = ax == inf ? to_inf : r;
  r = ax == 1.0f ? 1.0f : r;
  const double whole = (wide + TCT_ROUND_F64) - TCT_ROUND_F64;
  const double half = 0.5 * wide;
  const double half_whole = (half + TCT_ROUND_F64) - TCT_ROUND_F64;
  /* Floats from 2^24 up are even; above 2^51 the rounding trick would not see it. */
  const int is_big = __builtin_fabsf(y) >= 16777216.0f;
  const int is_whole = is_big | (whole == wide);
  const int is_odd = is_whole & !is_big & (half_whole != half);
  r = ((x < 0.0f) & (ax < inf) & !is_whole) ? __builtin_nanf("") : r;
  r = is_odd ? __builtin_copysignf(r, x) : r;
  r = ((x != x) | (y != y)) ? x + y : r;
  r = ((y == 0.0f) | (x == 1.0f)) ? 1.0f : r;
  return r;
}

#endif
