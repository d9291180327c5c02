/* The elementwise table in double: each row is one function of up to three scalars, applied to operands that are
 * broadcast to the output's shape. A fused chain calls the same functions, register by register. */
#include "kernels/ref/elementwise.h"
#include "kernels/ref/layout.h"
#include "kernels/ref/ref.h"

#define TCT_SCALAR double
#include "kernels/common/scalar.h"

/* The value at one element. arg: the operands in the op's order; a gradient's are what it needs of x and y, then dy. */
typedef double (*scalar_fn)(const double *arg, double p0, double p1);

#define READ_NONE const double dy = arg[0];
#define READ_X    const double x = arg[0], dy = arg[1];
#define READ_Y    const double y = arg[0], dy = arg[1];
#define READ_XY   const double x = arg[0], y = arg[1], dy = arg[2];
#define SCALAR(name, read, value)                                                                                      \
  static double scalar_##name(const double *arg, double p0, double p1) {                                               \
    read(void) p0, (void)p1;                                                                                           \
    return value;                                                                                                      \
  }
#define READ_FLOATS    const double x = arg[0];
#define READ_NUMBERS   READ_FLOATS
#define READ_BOOLS     const bool x = arg[0] != 0.0;
#define READ_PAIR      const double a = arg[0], b = arg[1];
#define READ_BOOL_PAIR const bool a = arg[0] != 0.0, b = arg[1] != 0.0;
#define UNARY(name, dtypes, text, forward, gradient, needs, flops)                                                     \
  SCALAR(name, READ_##dtypes, forward)                                                                                 \
  SCALAR(name##_grad, READ_##needs, gradient)
#define BINARY(name, dtypes, text, forward, flops) SCALAR(name, READ_PAIR, forward)
#define COMPARE(name, text, condition)             SCALAR(name, READ_PAIR, (condition) ? 1.0 : 0.0)
#define LOGICAL(name, text, condition)             SCALAR(name, READ_BOOL_PAIR, (condition) ? 1.0 : 0.0)
#define PREDICATE(name, dtypes, text, condition)   SCALAR(name, READ_##dtypes, (condition) ? 1.0 : 0.0)
#include <tercet/elementwise.def>
/* condition ? a : b */
static double scalar_select(const double *arg, double p0, double p1) {
  (void)p0, (void)p1;
  return arg[0] != 0.0 ? arg[1] : arg[2];
}

static const scalar_fn scalar_of[TCT_N_OPS] = {
    [TCT_OP_select] = scalar_select,
#define UNARY(name, dtypes, text, forward, gradient, needs, flops)                                                     \
  [TCT_OP_##name] = scalar_##name, [TCT_OP_##name##_grad] = scalar_##name##_grad,
#define BINARY(name, dtypes, text, forward, flops) [TCT_OP_##name] = scalar_##name,
#define COMPARE(name, text, condition)             [TCT_OP_##name] = scalar_##name,
#define LOGICAL(name, text, condition)             [TCT_OP_##name] = scalar_##name,
#define PREDICATE(name, dtypes, text, condition)   [TCT_OP_##name] = scalar_##name,
#include <tercet/elementwise.def>
};

/* A walk over the output's shape with one operand per input. */
static tct_walk walk_inputs(const tct_ref_args *args) {
  tct_walk walk = tct_walk_over(&args->out[0].shape);
  for (int32_t i = 0; i < args->n_in; i++) {
    int64_t stride[TCT_MAX_RANK];
    tct_ref_broadcast(&args->in[i].shape, &args->out[0].shape, stride);
    tct_walk_add(&walk, stride);
  }
  return walk;
}

/* y = fn(x₀, x₁, …), every xᵢ broadcast to y's shape. */
static void map(const tct_ref_args *args, scalar_fn fn, const tct_unary_attrs *parameters) {
  const double p0 = parameters != NULL ? parameters->p0 : 0.0;
  const double p1 = parameters != NULL ? parameters->p1 : 0.0;
  const int64_t size = tct_ref_size(&args->out[0].shape);
  tct_walk walk = walk_inputs(args);
  for (int64_t e = 0; e < size; e++) {
    double arg[3] = {0, 0, 0};
    for (int32_t i = 0; i < args->n_in; i++) arg[i] = args->in[i].data[walk.offset[i]];
    args->out[0].data[e] = fn(arg, p0, p1);
    tct_walk_next(&walk);
  }
}

#define UNARY(name, dtypes, text, forward, gradient, needs, flops)                                                     \
  void tct_ref_##name(const tct_ref_args *args) {                                                                      \
    map(args, scalar_##name, args->attrs);                                                                             \
  }                                                                                                                    \
  void tct_ref_##name##_grad(const tct_ref_args *args) {                                                               \
    map(args, scalar_##name##_grad, args->attrs);                                                                      \
  }
#define BINARY(name, dtypes, text, forward, flops)                                                                     \
  void tct_ref_##name(const tct_ref_args *args) {                                                                      \
    map(args, scalar_##name, NULL);                                                                                    \
  }
#define COMPARE(name, text, condition)                                                                                 \
  void tct_ref_##name(const tct_ref_args *args) {                                                                      \
    map(args, scalar_##name, NULL);                                                                                    \
  }
#define LOGICAL(name, text, condition)                                                                                 \
  void tct_ref_##name(const tct_ref_args *args) {                                                                      \
    map(args, scalar_##name, NULL);                                                                                    \
  }
#define PREDICATE(name, dtypes, text, condition)                                                                       \
  void tct_ref_##name(const tct_ref_args *args) {                                                                      \
    map(args, scalar_##name, NULL);                                                                                    \
  }
#include <tercet/elementwise.def>

void tct_ref_select(const tct_ref_args *args) {
  map(args, scalar_select, NULL);
}

static bool is_integer(tct_dtype dtype) {
  return dtype == TCT_I32 || dtype == TCT_I64 || dtype == TCT_U8;
}

/* y = x in attrs.dtype: towards zero for integers, x ≠ 0 for bool. What lies outside an integer's range, and NaN, is
 * settled where the double becomes that integer: the nearest end of the range, and 0. */
void tct_ref_cast(const tct_ref_args *args) {
  const tct_cast_attrs *attrs = args->attrs;
  const int64_t size = tct_ref_size(&args->out[0].shape);
  for (int64_t e = 0; e < size; e++) {
    const double x = args->in[0].data[e];
    args->out[0].data[e] = attrs->dtype == TCT_BOOL ? (x != 0.0 ? 1.0 : 0.0) : is_integer(attrs->dtype) ? trunc(x) : x;
  }
}

/* A chain: at each element the registers are filled with the inputs, then step by step; the last is the output. */
void tct_ref_chain(const tct_ref_args *args) {
  const tct_chain_attrs *attrs = args->attrs;
  const int64_t size = tct_ref_size(&args->out[0].shape);
  tct_walk walk = walk_inputs(args);
  for (int64_t e = 0; e < size; e++) {
    double r[TCT_CHAIN_INPUTS + TCT_CHAIN_STEPS];
    for (int32_t i = 0; i < args->n_in; i++) r[i] = args->in[i].data[walk.offset[i]];
    for (int32_t k = 0; k < attrs->n_steps; k++) {
      const tct_chain_step *step = &attrs->step[k];
      const double arg[3] = {r[step->arg[0]], r[step->arg[1]], r[step->arg[2]]};
      r[args->n_in + k] = scalar_of[step->op](arg, step->p0, step->p1);
    }
    args->out[0].data[e] = r[args->n_in + attrs->n_steps - 1];
    tct_walk_next(&walk);
  }
}

void tct_ref_activate(tct_op activation, const tct_unary_attrs *attrs, int64_t n, double *y) {
  if (activation == TCT_OP_NONE) return;
  for (int64_t i = 0; i < n; i++) y[i] = scalar_of[activation](&y[i], attrs->p0, attrs->p1);
}
