/* Loops over numbers, built for speed where the rest of this folder is built for size: the rounding of what meets in the arrays (to
 * bf16, to nearest and ties to even, or to int8), and the vector unit's functions. */
#include "backends/tpu/device.h"

#define TCT_SCALAR float
#include "kernels/common/scalar.h"

/* f32 → bf16 → f32. A NaN stays one: its quiet bit is set, for the rounding could carry it to infinity. */
void tct_tpu_round_bf16(const uint32_t *restrict from, uint32_t *restrict to, size_t n) {
  for (size_t i = 0; i < n; i++) {
    const uint32_t bits = from[i];
    const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) & 0xffff0000u;
    const uint32_t nan = (bits | 0x00400000u) & 0xffff0000u;
    to[i] = (bits & 0x7fffffffu) > 0x7f800000u ? nan : rounded;
  }
}

/* The same to the nearest of 255 steps of one scale: what an int8 stands for. NaN for all where one is not finite. */
void tct_tpu_round_int8(const float *restrict from, float *restrict to, size_t n) {
  const float scale = tct_tpu_scale(from, n);
  for (size_t i = 0; i < n; i++) to[i] = tpu_steps(from[i], scale) * scale;
}

void tct_tpu_exp(float *x, float shift, size_t n) {
  const float least = -87.33f; /* e^least is the least normal number: what is smaller is 0, and the processor would be slow at it */
  for (size_t i = 0; i < n; i++) {
    const float d = x[i] - shift;
    x[i] = SELECT(d < least, 0.0f, EXP(MAXIMUM(d, least)));
  }
}

void tct_tpu_sigmoid(float *x, size_t n) {
  for (size_t i = 0; i < n; i++) x[i] = 1 / (1 + EXP(-x[i]));
}

void tct_tpu_tanh(const float *restrict from, float *restrict to, size_t n) {
  for (size_t i = 0; i < n; i++) to[i] = TANH(from[i]);
}
