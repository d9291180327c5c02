/* The elementwise table in f32: each row is one loop over contiguous operands, which the compiler vectorises.
 * Broadcasting is the caller's: it hands over tiles. A row's results do not depend on how a tensor is cut into tiles.
 */
#include "kernels/cpu/kernels.h"

#define TCT_SCALAR float
#include "kernels/common/scalar.h"

#define READ_NONE const float dy = a0[i];
#define READ_X    const float x = a0[i], dy = a1[i];
#define READ_Y    const float y = a0[i], dy = a1[i];
#define READ_XY   const float x = a0[i], y = a1[i], dy = a2[i];
#define READ_A    const float x = a0[i];
#define READ_AB   const float a = a0[i], b = a1[i];
#define ROW(name, out_type, read, value)                                                                               \
  static void name(const void *const *arg, void *out, int64_t n, const double *p) {                                    \
    const float *a0 = arg[0], *a1 = arg[1], *a2 = arg[2];                                                              \
    const float p0 = (float)p[0], p1 = (float)p[1];                                                                    \
    out_type *result = out;                                                                                            \
    TCT_EACH (i, n) {                                                                                                  \
      read result[i] = (out_type)(value);                                                                              \
    }                                                                                                                  \
    (void)a1, (void)a2, (void)p0, (void)p1;                                                                            \
  }
#define UNARY(name, dtypes, text, forward, gradient, needs, flops)                                                     \
  ROW(row_##name, float, READ_A, forward)                                                                              \
  ROW(row_##name##_grad, float, READ_##needs, gradient)
#define BINARY(name, dtypes, text, forward, flops) ROW(row_##name, float, READ_AB, forward)
#define COMPARE(name, text, condition)                                                                                 \
  ROW(row_##name, uint8_t, READ_AB, condition)                                                                         \
  ROW(chain_##name, float, READ_AB, SELECT(condition, R(1), R(0)))
#define READ_TRUTHS                    const bool a = a0[i] != 0.0f, b = a1[i] != 0.0f;
#define LOGICAL(name, text, condition) ROW(chain_##name, float, READ_TRUTHS, SELECT(condition, R(1), R(0)))
/* In a chain every predicate reads floats; alone, one of bools stands with the integers. */
#define FLOATS_ONLY_FLOATS(...) __VA_ARGS__
#define FLOATS_ONLY_BOOLS(...)
#define READ_ONE_FLOATS READ_A
#define READ_ONE_BOOLS  const bool x = a0[i] != 0.0f;
#define PREDICATE(name, dtypes, text, condition)                                                                       \
  FLOATS_ONLY_##dtypes(ROW(row_##name, uint8_t, READ_A, condition))                                                    \
      ROW(chain_##name, float, READ_ONE_##dtypes, SELECT(condition, R(1), R(0)))
#include <tercet/elementwise.def>

static void chain_select(const void *const *arg, void *out, int64_t n, const double *p) {
  const float *condition = arg[0], *then = arg[1], *otherwise = arg[2];
  float *result = out;
  (void)p;
  TCT_EACH (i, n) {
    result[i] = SELECT(condition[i] != 0.0f, then[i], otherwise[i]);
  }
}

static const tct_cpu_row rows[TCT_N_OPS] = {
#define UNARY(name, dtypes, text, forward, gradient, needs, flops)                                                     \
  [TCT_OP_##name] = row_##name, [TCT_OP_##name##_grad] = row_##name##_grad,
#define BINARY(name, dtypes, text, forward, flops) [TCT_OP_##name] = row_##name,
#define COMPARE(name, text, condition)             [TCT_OP_##name] = row_##name,
#define PREDICATE(name, dtypes, text, condition)   FLOATS_ONLY_##dtypes([TCT_OP_##name] = row_##name, )
#include <tercet/elementwise.def>
};

static const tct_cpu_row chain_rows[TCT_N_OPS] = {
    [TCT_OP_select] = chain_select,
#define UNARY(name, dtypes, text, forward, gradient, needs, flops)                                                     \
  [TCT_OP_##name] = row_##name, [TCT_OP_##name##_grad] = row_##name##_grad,
#define BINARY(name, dtypes, text, forward, flops) [TCT_OP_##name] = row_##name,
#define COMPARE(name, text, condition)             [TCT_OP_##name] = chain_##name,
#define LOGICAL(name, text, condition)             [TCT_OP_##name] = chain_##name,
#define PREDICATE(name, dtypes, text, condition)   [TCT_OP_##name] = chain_##name,
#include <tercet/elementwise.def>
};

tct_cpu_row TCT_CPU(float_row)(tct_op op) {
  return rows[op];
}
tct_cpu_row TCT_CPU(chain_row)(tct_op op) {
  return chain_rows[op];
}
