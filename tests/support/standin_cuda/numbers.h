/* How the stand-ins of libraries read and write elements in storage types, and round to TF32. */
#ifndef TCT_TESTS_STANDIN_NUMBERS_H
#define TCT_TESTS_STANDIN_NUMBERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "kernels/common/half.h"

typedef enum number { NUMBER_F32, NUMBER_BF16, NUMBER_F16 } number;

static inline size_t number_bytes(number type) { return type == NUMBER_F32 ? 4 : 2; }

static inline float number_get(const char *at, number type, int64_t i) {
  float f;
  uint16_t h;
  if (type == NUMBER_F32) return memcpy(&f, at + 4 * i, 4), f;
  memcpy(&h, at + 2 * i, 2);
  return type == NUMBER_BF16 ? tct_bf16_to_f32(h) : tct_f16_to_f32(h);
}

static inline void number_put(char *at, number type, int64_t i, float f) {
  const uint16_t h = type == NUMBER_BF16 ? tct_bf16_from_f32(f) : tct_f16_from_f32(f);
  if (type == NUMBER_F32) memcpy(at + 4 * i, &f, 4);
  else memcpy(at + 2 * i, &h, 2);
}

/* To 10 bits of mantissa, where asked for. */
static inline float number_tf32(float x, bool wanted) {
  uint32_t bits;
  if (!wanted) return x;
  memcpy(&bits, &x, sizeof bits);
  bits = (bits + 0x1000u) & ~0x1fffu;
  memcpy(&x, &bits, sizeof x);
  return x;
}

#endif
