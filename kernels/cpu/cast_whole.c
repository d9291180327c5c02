/* Casts to and from whole numbers: see cast.c. */
#include "kernels/cpu/cast.h"

static inline int64_t bounded(int64_t x, int64_t least, int64_t most) {
  return x < least ? least : x > most ? most : x;
}

static inline int32_t whole_i32(float x) {
  return x >= 0x1p31f ? INT32_MAX : x > -0x1p31f ? (int32_t)x : x == x ? INT32_MIN : 0;
}
static inline int64_t whole_i64(float x) {
  return x >= 0x1p63f ? INT64_MAX : x > -0x1p63f ? (int64_t)x : x == x ? INT64_MIN : 0;
}
static inline int8_t whole_i8(float x) {
  return x >= 127.0f ? 127 : x > -128.0f ? (int8_t)x : x == x ? INT8_MIN : 0;
}
static inline uint8_t whole_u8(float x) {
  return x >= 255.0f ? 255 : x > 0.0f ? (uint8_t)x : 0;
}

#define CASTS_OF_FLOAT(from, type, read)                                                                               \
  CAST(from, i32, type, int32_t, read, whole_i32(x))                                                                   \
  CAST(from, i64, type, int64_t, read, whole_i64(x))                                                                   \
  CAST(from, i8, type, int8_t, read, whole_i8(x))                                                                      \
  CAST(from, u8, type, uint8_t, read, whole_u8(x))                                                                     \
  CAST(from, truth, type, uint8_t, read, x != 0)
#define CASTS_OF_WHOLE(from, type)                                                                                     \
  CAST(from, f32, type, float, const type x = in[i], x)                                                                \
  CAST(from, i32, type, int32_t, const type x = in[i], bounded(x, INT32_MIN, INT32_MAX))                               \
  CAST(from, i64, type, int64_t, const type x = in[i], x)                                                              \
  CAST(from, i8, type, int8_t, const type x = in[i], bounded(x, INT8_MIN, INT8_MAX))                                   \
  CAST(from, u8, type, uint8_t, const type x = in[i], bounded(x, 0, UINT8_MAX))                                        \
  CAST(from, truth, type, uint8_t, const type x = in[i], x != 0)                                                       \
  CAST(from, bf16, type, uint16_t, const type x = in[i], tct_bf16_from_f64((double)x))                                 \
  CAST(from, f16, type, uint16_t, const type x = in[i], tct_f16_from_f64((double)x))
CASTS_OF_FLOAT(f32, float, const float x = in[i])
CASTS_OF_FLOAT(bf16, uint16_t, const float x = tct_bf16_to_f32(in[i]))
CASTS_OF_FLOAT(f16, uint16_t, const float x = tct_f16_to_f32(in[i]))
CASTS_OF_WHOLE(i32, int32_t)
CASTS_OF_WHOLE(i64, int64_t)
CASTS_OF_WHOLE(i8, int8_t)
CASTS_OF_WHOLE(u8, uint8_t)

#define TO_WHOLE(from)                                                                                                 \
  [TCT_I32] = cast_##from##_i32, [TCT_I64] = cast_##from##_i64, [TCT_I8] = cast_##from##_i8,                           \
  [TCT_U8] = cast_##from##_u8, [TCT_BOOL] = cast_##from##_truth
#define TO_ALL(from)                                                                                                   \
  TO_WHOLE(from), [TCT_F32] = cast_##from##_f32, [TCT_BF16] = cast_##from##_bf16, [TCT_F16] = cast_##from##_f16
static const tct_cpu_row casts[TCT_N_DTYPES][TCT_N_DTYPES] = {
    [TCT_F32] = {TO_WHOLE(f32)}, [TCT_BF16] = {TO_WHOLE(bf16)}, [TCT_F16] = {TO_WHOLE(f16)}, [TCT_I32] = {TO_ALL(i32)},
    [TCT_I64] = {TO_ALL(i64)},   [TCT_I8] = {TO_ALL(i8)},       [TCT_U8] = {TO_ALL(u8)},     [TCT_BOOL] = {TO_ALL(u8)},
};

tct_cpu_row TCT_CPU(cast_whole_row)(tct_dtype from, tct_dtype to) {
  return casts[from][to];
}
