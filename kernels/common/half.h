/* bf16 and f16: how the two storage types of 16 bits become f32 and back. Arithmetic is never done in them.
 *
 *   bf16  sign, 8 bits of exponent, 7 of fraction: the upper half of an f32
 *   f16   sign, 5 bits of exponent, 10 of fraction (IEEE 754 binary16): 2^-24 … 65504
 *
 * To f32: exact. From f32 and f64: one rounding, to nearest with ties to even. A magnitude that rounds past the greatest
 * finite number is an infinity; below the least normal number the spacing is that of the subnormals; a NaN stays a NaN,
 * becomes quiet and keeps its sign and what fits of its payload. Only f32 → f16 below 2^-14 adds floats, normal ones of
 * f32, so a processor mode that flushes denormals changes nothing. */
#ifndef TCT_KERNELS_HALF_H
#define TCT_KERNELS_HALF_H

#include <stdint.h>

#include "kernels/common/bits.h"

TCT_DEVICE_FN float tct_bf16_to_f32(uint16_t x) {
  return tct_f32_of_bits((uint32_t)x << 16);
}

TCT_DEVICE_FN uint16_t tct_bf16_from_f32(float x) {
  const uint32_t bits = tct_bits_of_f32(x);
  const uint32_t rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
  return (uint16_t)((bits & 0x7fffffffu) > 0x7f800000u ? bits >> 16 | 0x40u : rounded);
}

TCT_DEVICE_FN float tct_f16_to_f32(uint16_t x) {
  const uint32_t magnitude = x & 0x7fffu, sign = (uint32_t)(x & 0x8000u) << 16;
  const uint32_t normal = (magnitude << 13) + (112u << 23);      /* exponent bias 15 → 127 */
  const uint32_t special = magnitude << 13 | 0xffu << 23;        /* infinity, NaN */
  const uint32_t tiny = tct_bits_of_f32((float)magnitude * 0x1p-24f); /* subnormals and zero */
  return tct_f32_of_bits(sign | (magnitude >= 0x7c00u ? special : magnitude >= 0x400u ? normal : tiny));
}

TCT_DEVICE_FN uint16_t tct_f16_from_f32(float x) {
  const uint32_t bits = tct_bits_of_f32(x), magnitude = bits & 0x7fffffffu, sign = bits >> 16 & 0x8000u;
  const uint32_t normal = (magnitude - (112u << 23) + 0xfffu + (magnitude >> 13 & 1u)) >> 13;
  /* 0.5 + x has a last place of 2^-24, f16's least subnormal: the addition rounds to it */
  const uint32_t tiny = tct_bits_of_f32(tct_f32_of_bits(magnitude < 0x38800000u ? magnitude : 0u) + 0.5f) - 0x3f000000u;
  const uint32_t nan = 0x7e00u | (magnitude >> 13 & 0x3ffu);
  const uint32_t finite = magnitude < 0x38800000u ? tiny : magnitude < 0x477ff000u ? normal : 0x7c00u;
  return (uint16_t)(sign | (magnitude > 0x7f800000u ? nan : finite));
}

/* The f32 next to x towards zero, its last bit set where anything was lost ("round to odd"). f32 has more than two bits
 * more than either type, so rounding that again is as good as rounding x once (Boldo & Melquiond, 2008). */
TCT_DEVICE_FN float tct_f32_to_odd(double x) {
  const float near = (float)x;
  const double wide = (double)near;
  uint32_t bits = tct_bits_of_f32(near);
  if (wide == x || x != x) return near;
  if ((wide < 0 ? -wide : wide) > (x < 0 ? -x : x)) bits--;
  return tct_f32_of_bits(bits | 1u);
}
TCT_DEVICE_FN uint16_t tct_bf16_from_f64(double x) {
  return tct_bf16_from_f32(tct_f32_to_odd(x));
}
TCT_DEVICE_FN uint16_t tct_f16_from_f64(double x) {
  return tct_f16_from_f32(tct_f32_to_odd(x));
}

#endif
