/* The elementwise table's rows as ops: shape rule, gradients, cost, builders.
 *   unary      x → y of x's desc;  y = forward(x), and <name>_grad: (x if needed, y if needed, dy) → dx = gradient
 *   binary     a, b → the broadcast shape, one dtype;  comparisons, logical rows and predicates → bool
 * Broadcasting is NumPy's: aligned at the last axis, extents equal or 1. Its undoing is the autodiff pass's. */
#include "ops/defs.h"
#include "ops/shape.h"

/* The tables' own words. */
enum { FLOATS = TCT_FLOATS, NUMBERS = TCT_NUMBERS, BOOLS = TCT_BOOLS };
enum { NONE = 0, X = 1, Y = 2, XY = 3 };

typedef struct row {
  unsigned dtypes;
  unsigned needs;  /* of a unary row: what its gradient reads besides dy */
  tct_op gradient; /* of a unary row */
  bool truth;      /* the result is bool */
  double flops;
} row;

static const row rows[TCT_N_OPS] = {
#define UNARY(op, dtypes, text, forward, derivative, needs, flops)                                                     \
  [TCT_OP_##op] = {dtypes, needs, TCT_OP_##op##_grad, false, flops},                                                   \
  [TCT_OP_##op##_grad] = {FLOATS, needs, TCT_OP_NONE, false, flops},
#define BINARY(op, dtypes, text, forward, flops) [TCT_OP_##op] = {dtypes, NONE, TCT_OP_NONE, false, flops},
#define COMPARE(op, text, condition)             [TCT_OP_##op] = {NUMBERS, NONE, TCT_OP_NONE, true, 1},
#define LOGICAL(op, text, condition)             [TCT_OP_##op] = {BOOLS, NONE, TCT_OP_NONE, true, 1},
#define PREDICATE(op, dtypes, text, condition)   [TCT_OP_##op] = {dtypes, NONE, TCT_OP_NONE, true, 1},
#include <tercet/elementwise.def>
};

double tct_row_flops(tct_op op) {
  const double flops = (int)op > 0 && (int)op < TCT_N_OPS ? rows[op].flops : 0;
  return flops > 0 ? flops : 1;
}

/* ---- shape rules ---- */

static bool infer_unary(tct_infer *infer) {
  if (!tct_check_dtype(infer, 0, "x", rows[infer->op].dtypes)) return false;
  if (infer->op == TCT_OP_clip) {
    const tct_unary_attrs *attrs = infer->attrs;
    if (!(attrs->p0 <= attrs->p1)) {
      return tct_refuse_as(infer, TCT_E_ATTRIBUTE, "the lower bound %g is not below the upper bound %g", attrs->p0,
                           attrs->p1);
    }
  }
  return tct_give(infer, 0, rows[infer->op].truth ? TCT_BOOL : infer->in[0].dtype, infer->in[0].shape);
}

static bool infer_unary_grad(tct_infer *infer) {
  const int32_t dy = infer->n_in - 1;
  if (!tct_check_dtype(infer, dy, "dy", FLOATS)) return false;
  for (int32_t i = 0; i < dy; i++) {
    if (!tct_check_same_dtype(infer, dy, "dy", i, "what the gradient reads")) return false;
    if (!tct_check_shape(infer, i, "what the gradient reads", &infer->in[dy].shape, "the shape of dy")) return false;
  }
  return tct_give(infer, 0, infer->in[0].dtype, infer->in[0].shape);
}

static bool infer_binary(tct_infer *infer) {
  const bool equality = infer->op == TCT_OP_equal || infer->op == TCT_OP_not_equal;
  const unsigned dtypes = equality ? TCT_ANY : rows[infer->op].dtypes;
  if (!tct_check_same_dtype(infer, 0, "a", 1, "b") || !tct_check_dtype(infer, 0, "a", dtypes)) return false;
  tct_shape shape;
  const tct_shape *a = &infer->in[0].shape, *b = &infer->in[1].shape;
  if (!tct_broadcast(a, b, &shape)) {
    return tct_refuse_as(infer, TCT_E_BROADCAST,
                         "%s and %s do not broadcast: aligned at the last axis, extents must be equal or 1; "
                         "insert axes of extent 1 with tct_reshape",
                         tct_show(a).text, tct_show(b).text);
  }
  return tct_give(infer, 0, rows[infer->op].truth ? TCT_BOOL : infer->in[0].dtype, shape);
}

static void cost_row(const tct_node_view *node, tct_cost *out) {
  tct_cost_per_output(node, tct_row_flops(node->op), out);
}

/* ---- gradients ---- */

static void gradient_unary(tct_grad *grad) {
  const row *own = &rows[grad->op];
  tct_tensor in[3];
  int32_t n_in = 0;
  if ((own->needs & X) != 0) in[n_in++] = grad->in[0];
  if ((own->needs & Y) != 0) in[n_in++] = grad->out[0];
  in[n_in++] = grad->dout[0];
  grad->din[0] = tct_build(own->gradient, grad->attrs, in, n_in, NULL);
}

static tct_tensor zero_like(tct_tensor x) {
  return tct_scalar(x.graph, tct_tensor_dtype(x), 0);
}

static void gradient_add(tct_grad *grad) {
  grad->din[0] = grad->dout[0];
  grad->din[1] = grad->dout[0];
}

static void gradient_sub(tct_grad *grad) {
  grad->din[0] = grad->dout[0];
  if (grad->wanted[1]) grad->din[1] = tct_neg(grad->dout[0]);
}

static void gradient_mul(tct_grad *grad) {
  if (grad->wanted[0]) grad->din[0] = tct_mul(grad->dout[0], grad->in[1]);
  if (grad->wanted[1]) grad->din[1] = tct_mul(grad->dout[0], grad->in[0]);
}

/* da = dy/b, db = -dy·(a/b)/b */
static void gradient_div(tct_grad *grad) {
  const tct_tensor b = grad->in[1], over_b = tct_div(grad->dout[0], b);
  grad->din[0] = over_b;
  if (grad->wanted[1]) grad->din[1] = tct_neg(tct_mul(over_b, grad->out[0]));
}

/* Equal operands: the whole gradient goes to a. */
static void gradient_extremum(tct_grad *grad, tct_tensor from_a) {
  const tct_tensor dy = grad->dout[0], zero = zero_like(dy);
  if (grad->wanted[0]) grad->din[0] = tct_select(from_a, dy, zero);
  if (grad->wanted[1]) grad->din[1] = tct_select(from_a, zero, dy);
}
static void gradient_maximum(tct_grad *grad) {
  gradient_extremum(grad, tct_greater_equal(grad->in[0], grad->in[1]));
}
static void gradient_minimum(tct_grad *grad) {
  gradient_extremum(grad, tct_less_equal(grad->in[0], grad->in[1]));
}

/* da = dy·b·a^(b-1), 0 where b = 0 (0·0^-1 is no number); db = dy·y·ln a where a > 0, else 0 */
static void gradient_pow(tct_grad *grad) {
  const tct_tensor a = grad->in[0], b = grad->in[1], dy = grad->dout[0], zero = zero_like(dy);
  if (grad->wanted[0]) {
    const tct_tensor slope = tct_mul(b, tct_pow(a, tct_scale(b, 1, -1)));
    grad->din[0] = tct_select(tct_equal(b, zero), zero, tct_mul(dy, slope));
  }
  if (grad->wanted[1]) {
    const tct_tensor slope = tct_mul(grad->out[0], tct_log(a));
    grad->din[1] = tct_select(tct_greater(a, zero), tct_mul(dy, slope), zero);
  }
}

/* ---- definitions ---- */

#define PIECEWISE "it is piecewise constant"

#define COUNT_NONE 1
#define COUNT_X    2
#define COUNT_Y    2
#define COUNT_XY   3
#define UNARY(op, dtypes, text, forward, derivative, needs, row_flops)                                                 \
  const tct_op_def tct_def_##op = {.name = #op,                                                                        \
                                   .version = 1,                                                                       \
                                   .attrs_bytes = sizeof(tct_unary_attrs),                                             \
                                   .min_in = 1,                                                                        \
                                   .max_in = 1,                                                                        \
                                   .n_out = 1,                                                                         \
                                   .infer = infer_unary,                                                               \
                                   .gradient = gradient_unary,                                                         \
                                   .cost = cost_row};                                                                  \
  const tct_op_def tct_def_##op##_grad = {.name = #op "_grad",                                                         \
                                          .version = 1,                                                                \
                                          .attrs_bytes = sizeof(tct_unary_attrs),                                      \
                                          .min_in = COUNT_##needs,                                                     \
                                          .max_in = COUNT_##needs,                                                     \
                                          .n_out = 1,                                                                  \
                                          .infer = infer_unary_grad,                                                   \
                                          .gradient_why = TCT_NO_SECOND_ORDER,                                         \
                                          .cost = cost_row};
#define BINARY(op, dtypes, text, forward, row_flops)                                                                   \
  const tct_op_def tct_def_##op = {.name = #op,                                                                        \
                                   .version = 1,                                                                       \
                                   .min_in = 2,                                                                        \
                                   .max_in = 2,                                                                        \
                                   .n_out = 1,                                                                         \
                                   .infer = infer_binary,                                                              \
                                   .gradient = gradient_##op,                                                          \
                                   .cost = cost_row};
#define TRUTH(op, n_operands, rule)                                                                                    \
  const tct_op_def tct_def_##op = {.name = #op,                                                                        \
                                   .version = 1,                                                                       \
                                   .min_in = n_operands,                                                               \
                                   .max_in = n_operands,                                                               \
                                   .n_out = 1,                                                                         \
                                   .infer = rule,                                                                      \
                                   .gradient_why = PIECEWISE,                                                          \
                                   .cost = cost_row};
#define COMPARE(op, text, condition)           TRUTH(op, 2, infer_binary)
#define LOGICAL(op, text, condition)           TRUTH(op, 2, infer_binary)
#define PREDICATE(op, dtypes, text, condition) TRUTH(op, 1, infer_unary)
#include <tercet/elementwise.def>
#undef TRUTH

/* ---- builders ---- */

static tct_tensor unary(tct_op op, tct_tensor x, double p0, double p1) {
  const tct_unary_attrs attrs = {p0, p1};
  return tct_build1(op, &attrs, x);
}

#define UNARY(op, ...)                                                                                                 \
  tct_tensor tct_##op(tct_tensor x) {                                                                                  \
    return unary(TCT_OP_##op, x, 0, 0);                                                                                \
  }
#define UNARY1(op, ...)                                                                                                \
  tct_tensor tct_##op(tct_tensor x, double p0) {                                                                       \
    return unary(TCT_OP_##op, x, p0, 0);                                                                               \
  }
#define UNARY2(op, ...)                                                                                                \
  tct_tensor tct_##op(tct_tensor x, double p0, double p1) {                                                            \
    return unary(TCT_OP_##op, x, p0, p1);                                                                              \
  }
#define BINARY(op, ...)                                                                                                \
  tct_tensor tct_##op(tct_tensor a, tct_tensor b) {                                                                    \
    return tct_build2(TCT_OP_##op, NULL, a, b);                                                                        \
  }
#define COMPARE(op, ...) BINARY(op, )
#define LOGICAL(op, ...) BINARY(op, )
#define PREDICATE(op, ...)                                                                                             \
  tct_tensor tct_##op(tct_tensor x) {                                                                                  \
    return tct_build1(TCT_OP_##op, NULL, x);                                                                           \
  }
#include <tercet/elementwise.def>
