/* The elementwise table and fused chains of its rows, by one interpreter: a thread carries four elements through all steps;
 * results live in its column of shared memory, and the last one in registers, where most steps read it. What bounds it is the
 * memory that the operands and the result take, so a single row is a chain of one step. */
#include "kernels/cuda/cuda.h"

#define TCT_SCALAR float
#include "kernels/common/scalar.h"

enum { WIDTH = TCT_CU_CHAIN_WIDTH };

/* Elements first … first + count of an operand. */
TCT_CU_FN float4 load4(const tct_cu_operand &in, int64_t first, int count, bool aligned) {
  if (in.access == TCT_CU_DENSE && count == WIDTH && aligned) {
    if (in.dtype == TCT_F32) return *(const float4 *)((const float *)in.data + first);
    if (in.dtype == TCT_BF16) {
      const ushort4 bits = *(const ushort4 *)((const uint16_t *)in.data + first);
      return make_float4(tct_bf16_to_f32(bits.x), tct_bf16_to_f32(bits.y), tct_bf16_to_f32(bits.z), tct_bf16_to_f32(bits.w));
    }
  }
  if (in.access == TCT_CU_SCALAR) {
    const float x = tct_cu_load(in.data, in.dtype, 0);
    return make_float4(x, x, x, x);
  }
  float x[WIDTH];
#pragma unroll
  for (int j = 0; j < WIDTH; j++) x[j] = j < count ? tct_cu_load(in.data, in.dtype, tct_cu_at(in, first + j)) : 0.0f;
  return make_float4(x[0], x[1], x[2], x[3]);
}

TCT_CU_FN void store4(const tct_cu_chain_args &a, int64_t first, int count, float4 value) {
  if (count == WIDTH && a.aligned != 0) {
    if (a.y_dtype == TCT_F32) {
      *(float4 *)((float *)a.y + first) = value;
      return;
    }
    if (a.y_dtype == TCT_BF16) {
      *(ushort4 *)((uint16_t *)a.y + first) = make_ushort4(tct_bf16_from_f32(value.x), tct_bf16_from_f32(value.y),
                                                           tct_bf16_from_f32(value.z), tct_bf16_from_f32(value.w));
      return;
    }
  }
  const float x[WIDTH] = {value.x, value.y, value.z, value.w};
#pragma unroll
  for (int j = 0; j < WIDTH; j++)
    if (j < count) tct_cu_store(a.y, a.y_dtype, first + j, x[j]);
}

/* One row over four elements. */
#define EACH(read, value)                                                                                              \
  _Pragma("unroll") for (int j = 0; j < WIDTH; j++) {                                                                  \
    read;                                                                                                              \
    out[j] = value;                                                                                                    \
  }                                                                                                                    \
  break
#define READ_NONE const float dy = r0[j]
#define READ_X    const float x = r0[j], dy = r1[j]
#define READ_Y    const float y = r0[j], dy = r1[j]
#define READ_XY   const float x = r0[j], y = r1[j], dy = r2[j]
#define READ_ONE  const float x = r0[j]
#define READ_TWO  const float a = r0[j], b = r1[j]
#define UNARY(name, dtypes, text, forward, gradient, needs, flops)                                                     \
  case TCT_OP_##name:                                                                                                  \
    EACH(READ_ONE, forward);                                                                                           \
  case TCT_OP_##name##_grad:                                                                                           \
    EACH(READ_##needs, gradient);
#define BINARY(name, dtypes, text, forward, flops)                                                                     \
  case TCT_OP_##name:                                                                                                  \
    EACH(READ_TWO, forward);
#define COMPARE(name, text, condition)                                                                                 \
  case TCT_OP_##name:                                                                                                  \
    EACH(READ_TWO, (condition) ? 1.0f : 0.0f);
#define LOGICAL(name, text, condition) COMPARE(name, text, condition)
#define PREDICATE(name, dtypes, text, condition)                                                                       \
  case TCT_OP_##name:                                                                                                  \
    EACH(READ_ONE, (condition) ? 1.0f : 0.0f);

TCT_CU_FN float4 apply(const tct_cu_step &step, float4 first, float4 second, float4 third) {
  const float r0[WIDTH] = {first.x, first.y, first.z, first.w}, r1[WIDTH] = {second.x, second.y, second.z, second.w},
              r2[WIDTH] = {third.x, third.y, third.z, third.w};
  const float p0 = step.p0, p1 = step.p1;
  float out[WIDTH] = {0.0f, 0.0f, 0.0f, 0.0f};
  switch (step.op) {
#include <tercet/elementwise.def>
  case TCT_OP_select:
    EACH(const float x = r0[j], x != 0.0f ? r1[j] : r2[j]);
  }
  return make_float4(out[0], out[1], out[2], out[3]);
}
#undef EACH
#undef READ_TWO

TCT_CUDA_KERNEL(chain, TCT_CU_CHAIN_BLOCK) {
  TCT_CU_DYNAMIC(float4, file);
  float4 *const slot = file + threadIdx.x; /* slot k: slot[k · block] */
  const int64_t pitch = tct_cu_pitch() * WIDTH;
  for (int64_t first = tct_cu_first() * WIDTH; first < a.n; first += pitch) {
    const int count = a.n - first < WIDTH ? (int)(a.n - first) : WIDTH;
    float4 last = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    for (int32_t i = 0; i < a.n_in; i++) {
      last = load4(a.in[i], first, count, a.aligned != 0);
      slot[i * TCT_CU_CHAIN_BLOCK] = last;
    }
    for (int32_t s = 0; s < a.n_steps; s++) {
      const tct_cu_step &step = a.step[s];
      const float4 r0 = step.arg[0] == TCT_CU_LAST ? last : slot[step.arg[0] * TCT_CU_CHAIN_BLOCK];
      const float4 r1 = step.arg[1] == TCT_CU_LAST ? last : slot[step.arg[1] * TCT_CU_CHAIN_BLOCK];
      const float4 r2 = step.arg[2] == TCT_CU_LAST ? last : slot[step.arg[2] * TCT_CU_CHAIN_BLOCK];
      last = apply(step, r0, r1, r2);
      if (step.to != TCT_CU_LAST) slot[step.to * TCT_CU_CHAIN_BLOCK] = last;
    }
    store4(a, first, count, last);
  }
}
