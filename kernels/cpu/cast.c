/* Cast between all types that the device stores. To a whole number: truncated; what does not fit becomes the nearest bound,
 * NaN 0. To bool: x ≠ 0. To bf16 and f16: one rounding, so whole numbers go by way of f64, which holds them (an i64 up to
 * 2^53). Here between floats, which training does at each step; cast_whole.c has the rest, built for size. */
#include "kernels/cpu/cast.h"

#define CASTS_OF_FLOAT(from, type, read)                                                                               \
  CAST(from, f32, type, float, read, x)                                                                                \
  CAST(from, bf16, type, uint16_t, read, tct_bf16_from_f32(x))                                                         \
  CAST(from, f16, type, uint16_t, read, tct_f16_from_f32(x))
CASTS_OF_FLOAT(f32, float, const float x = in[i])
CASTS_OF_FLOAT(bf16, uint16_t, const float x = tct_bf16_to_f32(in[i]))
CASTS_OF_FLOAT(f16, uint16_t, const float x = tct_f16_to_f32(in[i]))

#define CASTS(from) {[TCT_F32] = cast_##from##_f32, [TCT_BF16] = cast_##from##_bf16, [TCT_F16] = cast_##from##_f16}
static const tct_cpu_row casts[TCT_N_DTYPES][TCT_N_DTYPES] = {
    [TCT_F32] = CASTS(f32), [TCT_BF16] = CASTS(bf16), [TCT_F16] = CASTS(f16)};

tct_cpu_row TCT_CPU(cast_row)(tct_dtype from, tct_dtype to) {
  return casts[from][to] != NULL ? casts[from][to] : TCT_CPU(cast_whole_row)(from, to);
}
