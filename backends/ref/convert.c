/* See convert.h. One row per dtype; a loop each way. */
#include "backends/ref/convert.h"

#include <math.h>

#include "kernels/common/half.h"

/* An integer conversion whose value is out of range is undefined in C, so the range is settled in double first. 2^63 is
 * the least double above every int64_t. */
static int64_t whole(double x, double least, double past_most, int64_t most) {
  if (isnan(x)) return 0;
  if (x >= past_most) return most;
  return (int64_t)(x < least ? least : x);
}
static int64_t whole_i64(double x) {
  return whole(x, -0x1p63, 0x1p63, INT64_MAX);
}
static int32_t whole_i32(double x) {
  return (int32_t)whole(x, -0x1p31, 0x1p31, INT32_MAX);
}
static int8_t whole_i8(double x) {
  return (int8_t)whole(x, -0x1p7, 0x1p7, INT8_MAX);
}
static uint8_t whole_u8(double x) {
  return (uint8_t)whole(x, 0.0, 0x1p8, UINT8_MAX);
}

/* DTYPE(dtype, C type, the element e as a number, the number x as an element) */
#define DTYPES                                                                                                         \
  DTYPE(F32, float, e, (float)x)                                                                                       \
  DTYPE(F64, double, e, x)                                                                                             \
  DTYPE(I32, int32_t, e, whole_i32(x))                                                                                 \
  DTYPE(I64, int64_t, e, whole_i64(x))                                                                                 \
  DTYPE(U8, uint8_t, e, whole_u8(x))                                                                                   \
  DTYPE(I8, int8_t, e, whole_i8(x))                                                                                    \
  DTYPE(BOOL, uint8_t, e, x != 0.0)                                                                                    \
  DTYPE(BF16, uint16_t, tct_bf16_to_f32(e), tct_bf16_from_f64(x))                                                      \
  DTYPE(F16, uint16_t, tct_f16_to_f32(e), tct_f16_from_f64(x))

typedef struct conversion {
  void (*load)(int64_t n, const void *from, double *to);
  void (*store)(int64_t n, const double *from, void *to);
} conversion;

#define DTYPE(name, type, number, element)                                                                             \
  static void load_##name(int64_t n, const void *from, double *to) {                                                   \
    for (int64_t i = 0; i < n; i++) {                                                                                  \
      const type e = ((const type *)from)[i];                                                                          \
      to[i] = (double)(number);                                                                                        \
    }                                                                                                                  \
  }                                                                                                                    \
  static void store_##name(int64_t n, const double *from, void *to) {                                                  \
    for (int64_t i = 0; i < n; i++) {                                                                                  \
      const double x = from[i];                                                                                        \
      ((type *)to)[i] = element;                                                                                       \
    }                                                                                                                  \
  }
DTYPES
#undef DTYPE

static const conversion conversions[TCT_N_DTYPES] = {
#define DTYPE(name, type, number, element) [TCT_##name] = {load_##name, store_##name},
    DTYPES
#undef DTYPE
};
#undef DTYPES

void tct_ref_to_double(tct_dtype dtype, int64_t n, const void *from, double *to) {
  conversions[dtype].load(n, from, to);
}

void tct_ref_from_double(tct_dtype dtype, int64_t n, const double *from, void *to) {
  conversions[dtype].store(n, from, to);
}
