/* Types of floats by their bits. */
#include "perf/shadow/values.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

bool values_are_float(tct_dtype dtype) {
  return dtype == TCT_F32 || dtype == TCT_F64 || dtype == TCT_BF16 || dtype == TCT_F16;
}

static uint64_t bits_of(tct_dtype dtype, const void *data, int64_t i) {
  const size_t bytes = tct_dtype_bytes(dtype);
  uint64_t bits = 0;
  uint32_t word = 0;
  uint16_t half = 0;
  const char *const at = (const char *)data + (size_t)i * bytes;
  if (bytes == 8) memcpy(&bits, at, 8);
  else if (bytes == 4) memcpy(&word, at, 4);
  else if (bytes == 2) memcpy(&half, at, 2);
  else word = (uint8_t)*at;
  return bits | word | half;
}

static double of_f32(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return (double)x;
}

/* IEEE binary16: 5 bits of exponent, 10 of fraction. */
static double of_f16(uint32_t bits) {
  const int exponent = (int)(bits >> 10 & 31u);
  const double fraction = (double)(bits & 1023u), sign = (bits & 0x8000u) != 0 ? -1 : 1;
  if (exponent == 31) return fraction != 0 ? (double)NAN : sign * (double)INFINITY;
  return sign * (exponent == 0 ? ldexp(fraction, -24) : ldexp(1024 + fraction, exponent - 25));
}

double values_get(tct_dtype dtype, const void *data, int64_t i) {
  const uint64_t bits = bits_of(dtype, data, i);
  double wide;
  switch (dtype) {
  case TCT_F32: return of_f32((uint32_t)bits);
  case TCT_BF16: return of_f32((uint32_t)bits << 16);
  case TCT_F16: return of_f16((uint32_t)bits);
  case TCT_F64: memcpy(&wide, &bits, sizeof wide); return wide;
  case TCT_I32: return (double)(int32_t)(uint32_t)bits;
  case TCT_I64: return (double)(int64_t)bits;
  case TCT_I8: return (double)(int8_t)(uint8_t)bits;
  default: return (double)bits;
  }
}

/* To nearest; what does not fit is an infinity. Ties do not matter to who perturbs. */
static uint16_t to_f16(double x) {
  const uint16_t sign = signbit(x) ? 0x8000u : 0;
  int exponent = 0;
  const double m = fabs(x);
  if (isnan(x)) return 0x7e00u;
  if (m >= 65520) return sign | 0x7c00u;
  (void)frexp(m, &exponent); /* m = f·2^exponent, f in [1/2, 1) */
  if (m < 0x1p-14) return (uint16_t)(sign | (uint16_t)lrint(ldexp(m, 24)));
  const long fraction = lrint(ldexp(m, 11 - exponent)); /* 1024 … 2048: its leading bit carries into the exponent */
  return (uint16_t)(sign | (uint16_t)(((exponent + 13) << 10) + fraction));
}

void values_set(tct_dtype dtype, void *data, int64_t i, double value) {
  char *const at = (char *)data + (size_t)i * tct_dtype_bytes(dtype);
  const float narrow = (float)value;
  uint32_t bits;
  uint16_t half;
  memcpy(&bits, &narrow, sizeof bits);
  half = dtype == TCT_F16 ? to_f16(value) : (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
  if (dtype == TCT_F64) memcpy(at, &value, 8);
  else if (dtype == TCT_F32) memcpy(at, &narrow, 4);
  else memcpy(at, &half, 2);
}

/* Numbers in their order as whole numbers: neighbours differ by one, both zeros are 0. */
static int64_t order_of(tct_dtype dtype, uint64_t bits) {
  const int width = (int)(8 * tct_dtype_bytes(dtype));
  const uint64_t top = UINT64_C(1) << (width - 1), magnitude = bits & (top - 1);
  return (bits & top) != 0 ? -(int64_t)magnitude : (int64_t)magnitude;
}

double values_ulps(tct_dtype dtype, const void *a, const void *b, int64_t i) {
  const double x = values_get(dtype, a, i), y = values_get(dtype, b, i);
  if (!values_are_float(dtype)) return fabs(x - y);
  if (isnan(x) || isnan(y)) return isnan(x) && isnan(y) ? 0 : (double)INFINITY;
  return fabs((double)order_of(dtype, bits_of(dtype, a, i)) - (double)order_of(dtype, bits_of(dtype, b, i)));
}

const char *values_place(const tct_shape *shape, int64_t i, char *text, size_t text_bytes) {
  int64_t at[TCT_MAX_RANK] = {0};
  size_t used = 0;
  for (int32_t d = shape->rank - 1; d >= 0; d--) {
    at[d] = shape->dim[d] > 0 ? i % shape->dim[d] : 0;
    i = shape->dim[d] > 0 ? i / shape->dim[d] : 0;
  }
  (void)snprintf(text, text_bytes, "[");
  for (int32_t d = 0; d < shape->rank; d++) {
    used = strlen(text);
    (void)snprintf(text + used, text_bytes - used, "%s%lld", d > 0 ? "," : "", (long long)at[d]);
  }
  used = strlen(text);
  (void)snprintf(text + used, text_bytes - used, "]");
  return text;
}
