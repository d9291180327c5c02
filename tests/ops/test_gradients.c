/* In f64 on the reference device: every gradient rule against the slope of its function along a direction, and every
 * decomposition against its composite. The functions are those of shape_cases.def and the rows of the elementwise
 * table. */
#include <math.h>
#include <string.h>
#include <tercet/tercet.h>
#include "graph/graph.h"
#include "ops/leaves.h"
#include "test.h"

#define GIVES(name, desc, expression)                                                                                  \
  static tct_tensor build_##name(tct_graph *g) {                                                                       \
    return expression;                                                                                                 \
  }
#include "ops/shape_cases.def"
#define UNARY(name, ...)                                                                                               \
  static tct_tensor signed_##name(tct_graph *g) {                                                                      \
    return tct_##name(F(4, 5));                                                                                        \
  }                                                                                                                    \
  static tct_tensor positive_##name(tct_graph *g) {                                                                    \
    return tct_##name(P(4, 5));                                                                                        \
  }
#define UNARY1(name, ...)                                                                                              \
  static tct_tensor signed_##name(tct_graph *g) {                                                                      \
    return tct_##name(F(4, 5), 0.7);                                                                                   \
  }                                                                                                                    \
  static tct_tensor positive_##name(tct_graph *g) {                                                                    \
    return tct_##name(P(4, 5), 0.7);                                                                                   \
  }
#define UNARY2(name, ...)                                                                                              \
  static tct_tensor signed_##name(tct_graph *g) {                                                                      \
    return tct_##name(F(4, 5), 0.7, 1.3);                                                                              \
  }                                                                                                                    \
  static tct_tensor positive_##name(tct_graph *g) {                                                                    \
    return tct_##name(P(4, 5), 0.7, 1.3);                                                                              \
  }
#include <tercet/elementwise.def>

typedef struct gradient_case {
  const char *name;
  tct_tensor (*build)(tct_graph *g);
  bool maybe_nan; /* the function is not defined everywhere */
} gradient_case;

static const gradient_case cases[] = {
#define GIVES(name, desc, expression) {#name, build_##name, false},
#include "ops/shape_cases.def"
#define UNARY(name, ...) {#name " of any x", signed_##name, true}, {#name " of x > 0", positive_##name, false},
#include <tercet/elementwise.def>
};

#define MOST_WRT      8
#define MOST_ELEMENTS 2048

/* Weights that differ, so that no part of the result can be lost in a sum. */
static tct_tensor weights_like(tct_graph *g, tct_tensor y) {
  static double data[MOST_ELEMENTS];
  const tct_shape shape = tct_tensor_shape(y);
  const int64_t n = tct_shape_size(&shape);
  CHECK(n <= MOST_ELEMENTS, "a case of %d elements", (int)n);
  for (int64_t i = 0; i < n; i++) data[i] = cos(1.7 * (double)i + 0.3);
  return tct_constant(g, TCT_F64, shape, data);
}

static void feed(tct_program *program, const tct_graph *g) {
  for (int32_t n = 0; n < g->n_nodes; n++) {
    const tct_node *node = &g->nodes[n];
    if (node->op != TCT_OP_input) continue;
    static union {
      int32_t i32[MOST_ELEMENTS];
      int64_t i64[MOST_ELEMENTS];
      uint8_t u8[MOST_ELEMENTS];
    } data;
    const tct_desc *desc = &g->values[node->out].desc;
    const int64_t size = tct_shape_size(&desc->shape);
    for (int64_t i = 0; i < size; i++) {
      if (desc->dtype == TCT_I32) data.i32[i] = (int32_t)(i % 3);
      if (desc->dtype == TCT_I64) data.i64[i] = i % 3;
      if (desc->dtype == TCT_BOOL) data.u8[i] = i % 2 == 0;
    }
    OK(tct_program_set(program, node->name, &data, (size_t)size * tct_dtype_bytes(desc->dtype)));
  }
}

static double loss_of(tct_program *program) {
  double loss = NAN;
  OK(tct_program_run(program));
  OK(tct_program_get(program, "loss", &loss, sizeof loss));
  return loss;
}

/* The slope of the loss along a direction in variable `name`, measured, and what the gradient says it is. */
static void check_slope(const char *what, tct_program *program, const char *name, int32_t i, int64_t n) {
  static double x[MOST_ELEMENTS], moved[MOST_ELEMENTS], direction[MOST_ELEMENTS], gradient[MOST_ELEMENTS];
  char output[16];
  snprintf(output, sizeof output, "d%d", i);
  const size_t bytes = (size_t)n * sizeof(double);
  tct_variables *variables = tct_program_variables(program);
  OK(tct_variables_read(variables, name, x, bytes));
  OK(tct_program_get(program, output, gradient, bytes));
  double expected = 0, scale = 1, side[2];
  for (int64_t k = 0; k < n; k++) {
    direction[k] = sin(2.3 * (double)k + 1);
    expected += gradient[k] * direction[k];
    scale += fabs(gradient[k] * direction[k]);
  }
  const double h = 1e-5;
  for (int s = 0; s < 2; s++) {
    for (int64_t k = 0; k < n; k++) moved[k] = x[k] + (s == 0 ? h : -h) * direction[k];
    OK(tct_variables_write(variables, name, moved, bytes));
    side[s] = loss_of(program);
  }
  OK(tct_variables_write(variables, name, x, bytes));
  loss_of(program);
  const double slope = (side[0] - side[1]) / (2 * h);
  CHECK(fabs(slope - expected) <= 1e-6 * scale, "%s: along %s the slope is %.12g, the gradient says %.12g", what, name,
        slope, expected);
}

static void output(tct_graph *g, char kind, int32_t i, tct_tensor t) {
  char name[16];
  snprintf(name, sizeof name, "%c%d", kind, i);
  tct_output(g, name, t);
}

/* Builds each composite's decomposition beside it; returns how many pairs (a, b) of outputs that makes. */
static int32_t decompose_all(tct_graph *g) {
  int32_t n_pairs = 0;
  const int32_t n_nodes = g->n_nodes;
  for (int32_t n = 0; n < n_nodes; n++) {
    const tct_node node = g->nodes[n]; /* a copy: building moves the array */
    const tct_op_def *def = tct_op_definition(node.op);
    if (def->decompose == NULL) continue;
    tct_tensor in[16], simple[8] = {{NULL, -1}};
    for (int32_t i = 0; i < node.n_in; i++) in[i] = (tct_tensor){g, node.in[i]};
    def->decompose(g, node.attrs, in, node.n_in, simple);
    for (int32_t o = 0; o < node.n_out; o++, n_pairs++) {
      output(g, 'a', n_pairs, (tct_tensor){g, node.out + o});
      output(g, 'b', n_pairs, simple[o]);
    }
  }
  return n_pairs;
}

static void check_pair(const char *what, tct_program *program, const tct_graph *g, int32_t pair) {
  static double one[MOST_ELEMENTS], other[MOST_ELEMENTS];
  char a[16], b[16];
  snprintf(a, sizeof a, "a%d", pair);
  snprintf(b, sizeof b, "b%d", pair);
  int64_t size = -1;
  for (int32_t i = 0; i < g->n_outputs; i++) {
    if (strcmp(g->outputs[i].name, b) == 0) size = tct_shape_size(&g->values[g->outputs[i].value].desc.shape);
  }
  OK(tct_program_get(program, a, one, (size_t)size * sizeof(double)));
  OK(tct_program_get(program, b, other, (size_t)size * sizeof(double)));
  for (int64_t i = 0; i < size; i++) {
    CHECK(one[i] == other[i] || fabs(one[i] - other[i]) <= 1e-11 * (1 + fabs(one[i])), "%s: composite %d is %.15g at %d, decomposed %.15g",
          what, pair, one[i], (int)i, other[i]);
  }
}

static void check_case(const gradient_case *c, tct_device *device) {
  tct_graph *g = NULL;
  OK(tct_graph_create(&g));
  tct_tensor wrt[MOST_WRT], out[MOST_WRT];
  tct_tensor y = c->build(g);
  y = tct_reduce_sum(tct_mul(y, weights_like(g, y)), NULL, 0, false);
  int32_t n = 0;
  for (int32_t v = 0; v < y.id && n < MOST_WRT; v++) {
    if (tct_maker(g, v)->op == TCT_OP_variable) wrt[n++] = (tct_tensor){g, v};
  }
  tct_gradients(y, wrt, n, out);
  tct_output(g, "loss", y);
  for (int32_t i = 0; i < n; i++) output(g, 'd', i, out[i]);
  const int32_t n_pairs = decompose_all(g);
  tct_program *program = NULL;
  const tct_compile_options options = {.seed = 11};
  const tct_status status = tct_compile(g, device, &options, &program);
  CHECK(status == TCT_OK, "%s: %s", c->name, tct_error_message());
  feed(program, g);
  const double loss = loss_of(program);
  CHECK(isfinite(loss) || c->maybe_nan, "%s: the loss is %g", c->name, loss);
  for (int32_t i = 0; i < n_pairs; i++) check_pair(c->name, program, g, i);
  for (int32_t i = 0; isfinite(loss) && i < n; i++) {
    const tct_shape shape = tct_tensor_shape(wrt[i]);
    check_slope(c->name, program, tct_maker(g, wrt[i].id)->name, i, tct_shape_size(&shape));
  }
  tct_program_free(program);
  tct_graph_free(g);
}

TEST(gradients, slopes) {
  float_dtype = TCT_F64;
  tct_device *device = NULL;
  OK(tct_device_open("ref", NULL, &device));
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) check_case(&cases[i], device);
  tct_device_close(device);
}
