/* The elementwise reference: known values of every row, gradients against differences, broadcasting, chains. */
#include "ref_fixture.h"

typedef struct known {
  const char *name;
  tct_op op;
  double arg[3];
  double p0, p1;
  double want;
} known;

#define K(name, ...)                                                                                                   \
  { #name, TCT_OP_##name, __VA_ARGS__ }
static const known unary_known[] = {
    K(neg, {1.5}, 0, 0, -1.5),
    K(abs, {-2.5}, 0, 0, 2.5),
    K(sign, {-3}, 0, 0, -1),
    K(sign, {0}, 0, 0, 0),
    K(square, {-3}, 0, 0, 9),
    K(exp, {1}, 0, 0, 2.718281828459045),
    K(expm1, {1e-10}, 0, 0, 1.00000000005e-10),
    K(log, {10}, 0, 0, 2.302585092994046),
    K(log1p, {1e-10}, 0, 0, 9.9999999995e-11),
    K(sqrt, {2}, 0, 0, 1.4142135623730951),
    K(rsqrt, {4}, 0, 0, 0.5),
    K(reciprocal, {-4}, 0, 0, -0.25),
    K(sin, {1}, 0, 0, 0.8414709848078965),
    K(cos, {1}, 0, 0, 0.5403023058681398),
    K(tanh, {0.5}, 0, 0, 0.46211715726000975),
    K(erf, {0.5}, 0, 0, 0.5204998778130465),
    K(floor, {-1.5}, 0, 0, -2),
    K(ceil, {-1.5}, 0, 0, -1),
    K(sigmoid, {2}, 0, 0, 0.8807970779778823),
    K(sigmoid, {-800}, 0, 0, 0),
    K(relu, {-1}, 0, 0, 0),
    K(relu, {3}, 0, 0, 3),
    K(leaky_relu, {-2}, 0.1, 0, -0.2),
    K(leaky_relu, {2}, 0.1, 0, 2),
    K(elu, {-1}, 2, 0, -1.2642411176571153),
    K(selu, {-1}, 0, 0, -1.1113307378125625),
    K(selu, {1}, 0, 0, 1.0507009873554805),
    K(gelu, {1}, 0, 0, 0.8413447460685429),
    K(gelu_tanh, {1}, 0, 0, 0.8411919906082768),
    K(silu, {1}, 0, 0, 0.7310585786300049),
    K(softplus, {0}, 0, 0, 0.6931471805599453),
    K(softplus, {1000}, 0, 0, 1000),
    K(softsign, {-3}, 0, 0, -0.75),
    K(hard_sigmoid, {1}, 0, 0, 0.6666666666666666),
    K(hard_sigmoid, {4}, 0, 0, 1),
    K(clip, {5}, -1, 2, 2),
    K(clip, {-5}, -1, 2, -1),
    K(clip, {NAN}, -1, 2, NAN),
    K(power, {2}, 0.5, 0, 1.4142135623730951),
    K(scale, {3}, 2, -1, 5),
    K(logical_not, {1}, 0, 0, 0),
    K(logical_not, {0}, 0, 0, 1),
    K(is_finite, {INFINITY}, 0, 0, 0),
    K(is_finite, {NAN}, 0, 0, 0),
    K(is_finite, {1}, 0, 0, 1),
};
static const known binary_known[] = {
    K(add, {1, 2}, 0, 0, 3),         K(sub, {1, 2}, 0, 0, -1),          K(mul, {3, -2}, 0, 0, -6),
    K(div, {3, -2}, 0, 0, -1.5),     K(maximum, {3, -2}, 0, 0, 3),      K(maximum, {NAN, 1}, 0, 0, NAN),
    K(maximum, {1, NAN}, 0, 0, NAN), K(minimum, {3, -2}, 0, 0, -2),     K(minimum, {NAN, 1}, 0, 0, NAN),
    K(minimum, {1, NAN}, 0, 0, NAN), K(pow, {2, 10}, 0, 0, 1024),       K(equal, {2, 2}, 0, 0, 1),
    K(not_equal, {2, 2}, 0, 0, 0),   K(not_equal, {NAN, NAN}, 0, 0, 1), K(less, {1, 2}, 0, 0, 1),
    K(less_equal, {2, 2}, 0, 0, 1),  K(greater, {1, 2}, 0, 0, 0),       K(greater_equal, {1, 2}, 0, 0, 0),
    K(logical_and, {1, 0}, 0, 0, 0), K(logical_and, {1, 1}, 0, 0, 1),   K(logical_or, {1, 0}, 0, 0, 1),
    K(logical_or, {0, 0}, 0, 0, 0),
};
#undef K

static void check_known(const known *rows, size_t n_rows, int32_t n_in) {
  for (size_t i = 0; i < n_rows; i++) {
    const tct_unary_attrs attrs = {rows[i].p0, rows[i].p1};
    tct_ref_operand in[2];
    for (int32_t k = 0; k < n_in; k++) in[k] = SCALAR_OF(rows[i].arg[k]);
    const tct_ref_operand y = result(rows[i].op, &attrs, n_in, in, tct_shape_of(0, NULL));
    CHECK(near(y.data[0], rows[i].want, 1e-15), "%s(%g, %g): %.17g, wanted %.17g", rows[i].name, rows[i].arg[0],
          rows[i].arg[1], y.data[0], rows[i].want);
  }
}

TEST(ref_elementwise, known_values) {
  check_known(unary_known, sizeof unary_known / sizeof unary_known[0], 1);
  check_known(binary_known, sizeof binary_known / sizeof binary_known[0], 2);
}

/* Every row has a known value above. */
TEST(ref_elementwise, known_values_are_complete) {
  bool seen[TCT_N_OPS] = {false};
  for (size_t i = 0; i < sizeof unary_known / sizeof unary_known[0]; i++) seen[unary_known[i].op] = true;
  for (size_t i = 0; i < sizeof binary_known / sizeof binary_known[0]; i++) seen[binary_known[i].op] = true;
#define UNARY(name, dtypes, text, forward, gradient, needs, flops) CHECK(seen[TCT_OP_##name], "%s has no row", #name);
#define BINARY(name, dtypes, text, forward, flops)                 CHECK(seen[TCT_OP_##name], "%s has no row", #name);
#define COMPARE(name, text, condition)                             CHECK(seen[TCT_OP_##name], "%s has no row", #name);
#define LOGICAL(name, text, condition)                             CHECK(seen[TCT_OP_##name], "%s has no row", #name);
#define PREDICATE(name, dtypes, text, condition)                   CHECK(seen[TCT_OP_##name], "%s has no row", #name);
#include <tercet/elementwise.def>
}

/* What the gradient reads before dy. */
enum { NONE, X, Y, XY };

static void check_unary_gradient(const char *name, tct_op op, tct_op grad_op, int needs) {
  /* Off the kinks of abs, relu, clip, hard_sigmoid, floor; x > 0 alone where log and roots end. */
  const double anywhere[] = {-3.3, -1.7, -0.6, -0.2, 0.3, 0.8, 1.4, 3.6},
               positive[] = {0.2, 0.3, 0.7, 1.1, 1.5, 2.2, 3.4, 5.1};
  const bool is_half =
      op == TCT_OP_log || op == TCT_OP_log1p || op == TCT_OP_sqrt || op == TCT_OP_rsqrt || op == TCT_OP_power;
  const tct_unary_attrs attrs = op == TCT_OP_clip ? (tct_unary_attrs){-1, 2} : (tct_unary_attrs){1.7, 0.4};
  const tct_shape shape = TCT_SHAPE(8);
  const tct_ref_operand x = values(shape, is_half ? positive : anywhere), dy = noise(3, shape);
  const tct_ref_operand y = result(op, &attrs, 1, &x, shape);
  tct_ref_operand in[3];
  int32_t n_in = 0;
  if (needs == X || needs == XY) in[n_in++] = x;
  if (needs == Y || needs == XY) in[n_in++] = y;
  in[n_in++] = dy;
  const tct_ref_operand dx = result(grad_op, &attrs, n_in, in, shape);
  const tct_ref_operand scratch = tensor(shape);
  check_gradient(name, op, &attrs, 1, &x, 1, &scratch, 0, &dy, &dx);
}

TEST(ref_elementwise, gradients) {
#define UNARY(name, dtypes, text, forward, gradient, needs, flops)                                                     \
  check_unary_gradient(#name, TCT_OP_##name, TCT_OP_##name##_grad, needs);
#include <tercet/elementwise.def>
}

TEST(ref_elementwise, broadcast) {
  const tct_ref_operand column = values(TCT_SHAPE(2, 1), LIST(10, 20)), row = values(TCT_SHAPE(3), LIST(1, 2, 3));
  const tct_ref_operand sum = result(TCT_OP_add, NULL, 2, (tct_ref_operand[]){column, row}, TCT_SHAPE(2, 3));
  CHECK_VALUES("[2,1] + [3]", sum, 11, 12, 13, 21, 22, 23);

  const tct_ref_operand condition = values(TCT_SHAPE(1, 3), LIST(1, 0, 1));
  const tct_ref_operand in[3] = {condition, column, SCALAR_OF(-1)};
  const tct_ref_operand chosen = result(TCT_OP_select, NULL, 3, in, TCT_SHAPE(2, 3));
  CHECK_VALUES("select", chosen, 10, -1, 10, 20, -1, 20);

  const tct_ref_operand none = result(TCT_OP_neg, NULL, 1, (tct_ref_operand[]){T(2, 0)}, TCT_SHAPE(2, 0));
  CHECK(size_of(&none) == 0, "no elements, nothing to do");
}

TEST(ref_elementwise, cast) {
  static const struct {
    tct_dtype dtype;
    double want[4];
  } rows[] = {
      {TCT_F64, {-1.7, 0.0, 0.4, 300.9}},
      {TCT_I32, {-1.0, 0.0, 0.0, 300.0}},
      {TCT_BOOL, {1, 0, 1, 1}},
  };
  const tct_ref_operand x = values(TCT_SHAPE(4), LIST(-1.7, 0.0, 0.4, 300.9));
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    const tct_ref_operand y = result(TCT_OP_cast, &(tct_cast_attrs){rows[i].dtype}, 1, &x, TCT_SHAPE(4));
    check_near(tct_dtype_name(rows[i].dtype), y.data, rows[i].want, 4, 0);
  }
}

/* tanh(a·b + 2c) where it is positive, else the gradient of square: registers 0…2 inputs, then the steps. */
TEST(ref_elementwise, chain) {
  const tct_chain_attrs attrs = {.n_steps = 7,
                                 .step = {{.op = TCT_OP_mul, .arg = {0, 1}},
                                          {.op = TCT_OP_scale, .arg = {2}, .p0 = 2.0},
                                          {.op = TCT_OP_add, .arg = {3, 4}},
                                          {.op = TCT_OP_tanh, .arg = {5}},
                                          {.op = TCT_OP_square_grad, .arg = {5, 1}},
                                          {.op = TCT_OP_relu, .arg = {6}},
                                          {.op = TCT_OP_select, .arg = {8, 6, 7}}}};
  const tct_ref_operand in[3] = {NOISE(1, 4, 5), NOISE(2, 5), NOISE(3, 4, 1)};
  const tct_ref_operand y = result(TCT_OP_chain, &attrs, 3, in, TCT_SHAPE(4, 5));
  for (int64_t i = 0; i < 4; i++)
    for (int64_t j = 0; j < 5; j++) {
      const double b = in[1].data[j], sum = in[0].data[i * 5 + j] * b + 2 * in[2].data[i];
      const double want = tanh(sum) > 0 ? tanh(sum) : b * 2 * sum;
      CHECK(near(y.data[i * 5 + j], want, 1e-15), "[%d,%d]: %.17g, wanted %.17g", (int)i, (int)j, y.data[i * 5 + j],
            want);
    }
}

TEST(ref_elementwise, dropout) {
  const tct_dropout_attrs attrs = {.rate = 0.25, .seed = 7, .stream = 99};
  const int64_t n = 40001;
  const tct_ref_operand x = tensor(TCT_SHAPE(n));
  for (int64_t i = 0; i < n; i++) x.data[i] = 3.0;
  const tct_ref_operand first[2] = {x, SCALAR_OF(0)}, second[2] = {x, SCALAR_OF(1)};
  const tct_ref_operand a = result(TCT_OP_dropout, &attrs, 2, first, x.shape);
  const tct_ref_operand b = result(TCT_OP_dropout, &attrs, 2, second, x.shape);
  int64_t kept = 0, differ = 0;
  for (int64_t i = 0; i < n; i++) {
    CHECK(a.data[i] == 0.0 || near(a.data[i], 4.0, 1e-7), "element %d is %g", (int)i, a.data[i]);
    kept += a.data[i] != 0.0;
    differ += (a.data[i] != 0.0) != (b.data[i] != 0.0);
  }
  /* Five standard deviations of the binomial count. */
  CHECK(fabs((double)kept - 0.75 * (double)n) < 5 * sqrt(0.25 * 0.75 * (double)n), "kept %d", (int)kept);
  CHECK(fabs((double)differ - 0.375 * (double)n) < 5 * sqrt(0.375 * 0.625 * (double)n), "differ %d", (int)differ);
  const tct_ref_operand again = result(TCT_OP_dropout, &attrs, 2, first, x.shape);
  CHECK(memcmp(again.data, a.data, (size_t)n * sizeof(double)) == 0, "the same step draws the same mask");
}
