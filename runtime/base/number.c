/* See number.h. */
#include "base/number.h"

#include "kernels/common/half.h"

bool tct_dtype_is_float(tct_dtype dtype) {
  return dtype == TCT_F32 || dtype == TCT_F64 || dtype == TCT_BF16 || dtype == TCT_F16;
}

bool tct_number_fits(tct_dtype dtype, double value) {
  switch (dtype) {
  case TCT_I32: return value >= INT32_MIN && value <= INT32_MAX;
  /* cppcheck-suppress incorrectLogicOperator ; it misreads hexadecimal floats */
  case TCT_I64: return value >= -0x1p63 && value < 0x1p63;
  case TCT_U8: return value >= 0 && value <= UINT8_MAX;
  case TCT_I8: return value >= INT8_MIN && value <= INT8_MAX;
  default: return true;
  }
}

void tct_store_number(tct_dtype dtype, void *data, int64_t i, double value) {
  switch (dtype) {
  case TCT_F32: ((float *)data)[i] = (float)value; break;
  case TCT_F64: ((double *)data)[i] = value; break;
  case TCT_I32: ((int32_t *)data)[i] = (int32_t)value; break;
  case TCT_I64: ((int64_t *)data)[i] = (int64_t)value; break;
  case TCT_U8: ((uint8_t *)data)[i] = (uint8_t)value; break;
  case TCT_I8: ((int8_t *)data)[i] = (int8_t)value; break;
  case TCT_BOOL: ((uint8_t *)data)[i] = value != 0; break;
  case TCT_BF16: ((uint16_t *)data)[i] = tct_bf16_from_f64(value); break;
  case TCT_F16: ((uint16_t *)data)[i] = tct_f16_from_f64(value); break;
  default: break;
  }
}

double tct_load_number(tct_dtype dtype, const void *data, int64_t i) {
  switch (dtype) {
  case TCT_F32: return (double)((const float *)data)[i];
  case TCT_F64: return ((const double *)data)[i];
  case TCT_I32: return (double)((const int32_t *)data)[i];
  case TCT_I64: return (double)((const int64_t *)data)[i];
  case TCT_I8: return (double)((const int8_t *)data)[i];
  case TCT_U8:
  case TCT_BOOL: return (double)((const uint8_t *)data)[i];
  case TCT_BF16: return (double)tct_bf16_to_f32(((const uint16_t *)data)[i]);
  case TCT_F16: return (double)tct_f16_to_f32(((const uint16_t *)data)[i]);
  default: return 0;
  }
}
