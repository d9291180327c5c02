/* The elementwise table's rows in whole numbers and bools, and select by element size. */
#include "kernels/cpu/kernels.h"

#define ROW(name, in_type, out_type, read, value)                                                                      \
  static void name(const void *const *arg, void *out, int64_t n, const double *p) {                                    \
    const in_type *a0 = arg[0], *a1 = arg[1];                                                                          \
    const in_type p0 = (in_type)whole(p[0]), p1 = (in_type)whole(p[1]);                                                \
    out_type *result = out;                                                                                            \
    TCT_EACH (i, n) {                                                                                                  \
      read result[i] = (out_type)(value);                                                                              \
    }                                                                                                                  \
    (void)a1, (void)p0, (void)p1;                                                                                      \
  }
#define NUMBERS_FLOATS(...)
#define NUMBERS_NUMBERS(...) __VA_ARGS__
#define NUMBERS_BOOLS(...)
#define BOOLS_FLOATS(...)
#define BOOLS_BOOLS(...) __VA_ARGS__

/* A parameter as a whole number within i32, so that an infinite bound of clip stays a bound for both widths. */
static int64_t whole(double p) {
  return p >= 0x7fffffff ? 0x7fffffff : p <= -0x80000000ll ? -0x80000000ll : (int64_t)p;
}

#define TCT_SCALAR int32_t
#include "kernels/common/scalar.h"
#define UNARY(name, dtypes, text, forward, gradient, needs, flops)                                                     \
  NUMBERS_##dtypes(ROW(i32_##name, int32_t, int32_t, const int32_t x = a0[i];, forward))
#define READ_AB                                    const int32_t a = a0[i], b = a1[i];
#define BINARY(name, dtypes, text, forward, flops) NUMBERS_##dtypes(ROW(i32_##name, int32_t, int32_t, READ_AB, forward))
#define COMPARE(name, text, condition)             ROW(i32_##name, int32_t, uint8_t, READ_AB, condition)
#include <tercet/elementwise.def>
#undef TCT_SCALAR
#undef READ_AB

#define TCT_SCALAR int64_t
#include "kernels/common/scalar.h"
#define UNARY(name, dtypes, text, forward, gradient, needs, flops)                                                     \
  NUMBERS_##dtypes(ROW(i64_##name, int64_t, int64_t, const int64_t x = a0[i];, forward))
#define READ_AB                                    const int64_t a = a0[i], b = a1[i];
#define BINARY(name, dtypes, text, forward, flops) NUMBERS_##dtypes(ROW(i64_##name, int64_t, int64_t, READ_AB, forward))
#define COMPARE(name, text, condition)             ROW(i64_##name, int64_t, uint8_t, READ_AB, condition)
#include <tercet/elementwise.def>
#undef READ_AB

#define READ_AB                        const uint8_t a = a0[i], b = a1[i];
#define COMPARE(name, text, condition) ROW(u8_##name, uint8_t, uint8_t, READ_AB, condition)
#define LOGICAL(name, text, condition) ROW(u8_##name, uint8_t, uint8_t, READ_AB, condition)
#define PREDICATE(name, dtypes, text, condition)                                                                       \
  BOOLS_##dtypes(ROW(u8_##name, uint8_t, uint8_t, const uint8_t x = a0[i];, condition))
#include <tercet/elementwise.def>

#undef READ_AB

#define READ_AB                        const int8_t a = a0[i], b = a1[i];
#define COMPARE(name, text, condition) ROW(i8_##name, int8_t, uint8_t, READ_AB, condition)
#include <tercet/elementwise.def>

static const tct_cpu_row rows_i32[TCT_N_OPS] = {
#define UNARY(name, dtypes, text, forward, gradient, needs, flops) NUMBERS_##dtypes([TCT_OP_##name] = i32_##name, )
#define BINARY(name, dtypes, text, forward, flops)                 NUMBERS_##dtypes([TCT_OP_##name] = i32_##name, )
#define COMPARE(name, text, condition)                             [TCT_OP_##name] = i32_##name,
#include <tercet/elementwise.def>
};

static const tct_cpu_row rows_i64[TCT_N_OPS] = {
#define UNARY(name, dtypes, text, forward, gradient, needs, flops) NUMBERS_##dtypes([TCT_OP_##name] = i64_##name, )
#define BINARY(name, dtypes, text, forward, flops)                 NUMBERS_##dtypes([TCT_OP_##name] = i64_##name, )
#define COMPARE(name, text, condition)                             [TCT_OP_##name] = i64_##name,
#include <tercet/elementwise.def>
};

static const tct_cpu_row rows_u8[TCT_N_OPS] = {
#define COMPARE(name, text, condition)           [TCT_OP_##name] = u8_##name,
#define LOGICAL(name, text, condition)           [TCT_OP_##name] = u8_##name,
#define PREDICATE(name, dtypes, text, condition) BOOLS_##dtypes([TCT_OP_##name] = u8_##name, )
#include <tercet/elementwise.def>
};

static const tct_cpu_row rows_i8[TCT_N_OPS] = {
#define COMPARE(name, text, condition) [TCT_OP_##name] = i8_##name,
#include <tercet/elementwise.def>
};

tct_cpu_row TCT_CPU(whole_row)(tct_dtype operands, tct_op op) {
  static const tct_cpu_row *const rows[TCT_N_DTYPES] = {
      [TCT_I32] = rows_i32, [TCT_I64] = rows_i64, [TCT_U8] = rows_u8, [TCT_BOOL] = rows_u8, [TCT_I8] = rows_i8};
  return rows[operands] != NULL ? rows[operands][op] : NULL;
}

/* ---- select: bits of one size, whatever they mean ---- */

#define SELECT_ROW(name, type)                                                                                         \
  static void name(const void *const *arg, void *out, int64_t n, const double *p) {                                    \
    const uint8_t *condition = arg[0];                                                                                 \
    const type *then = arg[1], *otherwise = arg[2];                                                                    \
    type *result = out;                                                                                                \
    TCT_EACH (i, n) {                                                                                                  \
      const type a = then[i], b = otherwise[i];                                                                        \
      result[i] = condition[i] != 0 ? a : b;                                                                           \
    }                                                                                                                  \
    (void)p;                                                                                                           \
  }
SELECT_ROW(select_1, uint8_t)
SELECT_ROW(select_2, uint16_t)
SELECT_ROW(select_4, uint32_t)
SELECT_ROW(select_8, uint64_t)

tct_cpu_row TCT_CPU(select_row)(size_t element_bytes) {
  static const tct_cpu_row rows[] = {[1] = select_1, [2] = select_2, [4] = select_4, [8] = select_8};
  return element_bytes < sizeof rows / sizeof *rows ? rows[element_bytes] : NULL;
}
