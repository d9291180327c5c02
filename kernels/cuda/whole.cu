/* The elementwise rows in whole numbers and bools, select by the size of an element, and casts between all dtypes: one element
 * a thread. */
#include "kernels/cuda/cuda.h"

#define NUMBERS_FLOATS(...)
#define NUMBERS_NUMBERS(...) __VA_ARGS__
#define NUMBERS_BOOLS(...)
#define BOOLS_FLOATS(...)
#define BOOLS_BOOLS(...) __VA_ARGS__
#define ROW(name, value)                                                                                               \
  case TCT_OP_##name:                                                                                                  \
    return value;
#define UNARY(name, dtypes, text, forward, gradient, needs, flops) NUMBERS_##dtypes(ROW(name, forward))
#define BINARY(name, dtypes, text, forward, flops)                 NUMBERS_##dtypes(ROW(name, forward))
#define COMPARE(name, text, condition)                             ROW(name, (condition) ? 1 : 0)

/* x and a are the first operand, b the second. */
#define TCT_SCALAR int32_t
#include "kernels/common/scalar.h"
TCT_CU_FN int32_t row_i32(int32_t op, int32_t a, int32_t b, int32_t p0, int32_t p1) {
  const int32_t x = a;
  switch (op) {
#include <tercet/elementwise.def>
  }
  return 0;
}
#undef TCT_SCALAR

#define UNARY(name, dtypes, text, forward, gradient, needs, flops) NUMBERS_##dtypes(ROW(name, forward))
#define BINARY(name, dtypes, text, forward, flops)                 NUMBERS_##dtypes(ROW(name, forward))
#define COMPARE(name, text, condition)                             ROW(name, (condition) ? 1 : 0)
#define TCT_SCALAR int64_t
#include "kernels/common/scalar.h"
TCT_CU_FN int64_t row_i64(int32_t op, int64_t a, int64_t b, int64_t p0, int64_t p1) {
  const int64_t x = a;
  switch (op) {
#include <tercet/elementwise.def>
  }
  return 0;
}

#define COMPARE(name, text, condition)           ROW(name, (condition) ? 1 : 0)
#define LOGICAL(name, text, condition)           ROW(name, (condition) ? 1 : 0)
#define PREDICATE(name, dtypes, text, condition) BOOLS_##dtypes(ROW(name, (condition) ? 1 : 0))
TCT_CU_FN uint8_t row_u8(int32_t op, uint8_t a, uint8_t b) {
  const uint8_t x = a;
  switch (op) {
#include <tercet/elementwise.def>
  }
  return 0;
}

TCT_CU_FN bool gives_truth(int32_t op) {
  switch (op) {
#define COMPARE(name, text, condition) case TCT_OP_##name:
#include <tercet/elementwise.def>
    return true;
  default:
    return false;
  }
}

TCT_CUDA_KERNEL(whole, TCT_CU_BLOCK) {
  const bool truth = gives_truth(a.op);
  const int32_t second = a.n_in - 1; /* the first again where there is no second */
  const void *const x = a.in[0].data, *const y = a.in[second].data;
  for (int64_t i = tct_cu_first(); i < a.n; i += tct_cu_pitch()) {
    const int64_t i0 = tct_cu_at(a.in[0], i), i1 = tct_cu_at(a.in[second], i);
    if (a.in[0].dtype == TCT_I32) {
      const int32_t r = row_i32(a.op, ((const int32_t *)x)[i0], ((const int32_t *)y)[i1], (int32_t)a.p0, (int32_t)a.p1);
      if (truth)
        ((uint8_t *)a.y)[i] = (uint8_t)r;
      else
        ((int32_t *)a.y)[i] = r;
    } else if (a.in[0].dtype == TCT_I64) {
      const int64_t r = row_i64(a.op, ((const int64_t *)x)[i0], ((const int64_t *)y)[i1], a.p0, a.p1);
      if (truth)
        ((uint8_t *)a.y)[i] = (uint8_t)r;
      else
        ((int64_t *)a.y)[i] = r;
    } else {
      ((uint8_t *)a.y)[i] = row_u8(a.op, ((const uint8_t *)x)[i0], ((const uint8_t *)y)[i1]);
    }
  }
}

TCT_CUDA_KERNEL(select, TCT_CU_BLOCK) {
  for (int64_t i = tct_cu_first(); i < a.n; i += tct_cu_pitch()) {
    const bool condition = ((const uint8_t *)a.in[0].data)[tct_cu_at(a.in[0], i)] != 0;
    const int64_t at = condition ? tct_cu_at(a.in[1], i) : tct_cu_at(a.in[2], i);
    const void *const from = condition ? a.in[1].data : a.in[2].data;
    if (a.bytes == 4)
      ((uint32_t *)a.y)[i] = ((const uint32_t *)from)[at];
    else if (a.bytes == 8)
      ((uint64_t *)a.y)[i] = ((const uint64_t *)from)[at];
    else if (a.bytes == 2)
      ((uint16_t *)a.y)[i] = ((const uint16_t *)from)[at];
    else
      ((uint8_t *)a.y)[i] = ((const uint8_t *)from)[at];
  }
}

/* ---- casts ---- */

TCT_CU_FN int64_t bounded(int64_t x, int64_t least, int64_t most) {
  return x < least ? least : x > most ? most : x;
}

TCT_CU_FN void cast_float(float x, void *y, int32_t dtype, int64_t i) {
  switch (dtype) {
  case TCT_I32:
    ((int32_t *)y)[i] = x >= 0x1p31f ? INT32_MAX : x > -0x1p31f ? (int32_t)x : x == x ? INT32_MIN : 0;
    break;
  case TCT_I64:
    ((int64_t *)y)[i] = x >= 0x1p63f ? INT64_MAX : x > -0x1p63f ? (int64_t)x : x == x ? INT64_MIN : 0;
    break;
  case TCT_U8:
    ((uint8_t *)y)[i] = x >= 255.0f ? 255 : x > 0.0f ? (uint8_t)x : 0;
    break;
  case TCT_I8:
    ((int8_t *)y)[i] = (int8_t)(x >= 127.0f ? 127 : x > -128.0f ? (int32_t)x : x == x ? -128 : 0);
    break;
  default:
    tct_cu_store(y, dtype, i, x);
  }
}

/* A whole number goes to the 16-bit floats by way of f64, so that it is rounded once. */
TCT_CU_FN void cast_whole(int64_t x, void *y, int32_t dtype, int64_t i) {
  switch (dtype) {
  case TCT_I32:
    ((int32_t *)y)[i] = (int32_t)bounded(x, INT32_MIN, INT32_MAX);
    break;
  case TCT_I64:
    ((int64_t *)y)[i] = x;
    break;
  case TCT_U8:
    ((uint8_t *)y)[i] = (uint8_t)bounded(x, 0, UINT8_MAX);
    break;
  case TCT_I8:
    ((int8_t *)y)[i] = (int8_t)bounded(x, INT8_MIN, INT8_MAX);
    break;
  case TCT_BOOL:
    ((uint8_t *)y)[i] = x != 0;
    break;
  case TCT_BF16:
    ((uint16_t *)y)[i] = tct_bf16_from_f64((double)x);
    break;
  case TCT_F16:
    ((uint16_t *)y)[i] = tct_f16_from_f64((double)x);
    break;
  default:
    ((float *)y)[i] = (float)x;
  }
}

TCT_CUDA_KERNEL(cast, TCT_CU_BLOCK) {
  for (int64_t i = tct_cu_first(); i < a.n; i += tct_cu_pitch()) {
    if (a.x_dtype == TCT_I32)
      cast_whole(((const int32_t *)a.x)[i], a.y, a.y_dtype, i);
    else if (a.x_dtype == TCT_I64)
      cast_whole(((const int64_t *)a.x)[i], a.y, a.y_dtype, i);
    else if (a.x_dtype == TCT_I8)
      cast_whole(((const int8_t *)a.x)[i], a.y, a.y_dtype, i);
    else if (a.x_dtype == TCT_U8 || a.x_dtype == TCT_BOOL)
      cast_whole(((const uint8_t *)a.x)[i], a.y, a.y_dtype, i);
    else
      cast_float(tct_cu_load(a.x, a.x_dtype, i), a.y, a.y_dtype, i);
  }
}
