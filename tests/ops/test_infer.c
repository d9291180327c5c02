/* The shape rule of every op, through its builder: what it gives, what it refuses and in which words; that its gradient
 * builds a graph which the verifier accepts; and that no op is without a case. */
#include <string.h>
#include <tercet/tercet.h>
#include "graph/graph.h"
#include "ops/defs.h"
#include "ops/leaves.h"
#include "test.h"

#define GIVES(name, desc, expression)                                                                                  \
  static tct_tensor build_##name(tct_graph *g) {                                                                       \
    return expression;                                                                                                 \
  }
#define MAKES(name, desc, expression)                                                                                  \
  static tct_tensor build_##name(tct_graph *g) {                                                                       \
    return expression;                                                                                                 \
  }
#define REFUSES(name, part, expression)                                                                                \
  static tct_tensor refused_##name(tct_graph *g) {                                                                     \
    return expression;                                                                                                 \
  }
#include "ops/shape_cases.def"

typedef struct shape_case {
  const char *name, *text;
  tct_tensor (*build)(tct_graph *g);
  bool differentiable;
} shape_case;

static const shape_case given[] = {
#define GIVES(name, desc, expression) {#name, desc, build_##name, true},
#define MAKES(name, desc, expression) {#name, desc, build_##name, false},
#include "ops/shape_cases.def"
};

static const shape_case refused[] = {
#define REFUSES(name, part, expression) {#name, part, refused_##name, false},
#include "ops/shape_cases.def"
};

/* Elementwise rows have one case each, by themselves. */
#define UNARY(name, ...)                                                                                               \
  static tct_tensor row_##name(tct_graph *g) {                                                                         \
    return tct_##name(F(2, 3));                                                                                        \
  }
#define UNARY1(name, ...)                                                                                              \
  static tct_tensor row_##name(tct_graph *g) {                                                                         \
    return tct_##name(F(2, 3), 0.5);                                                                                   \
  }
#define UNARY2(name, ...)                                                                                              \
  static tct_tensor row_##name(tct_graph *g) {                                                                         \
    return tct_##name(F(2, 3), 0.5, 1.5);                                                                              \
  }
#include <tercet/elementwise.def>

static const shape_case rows[] = {
#define UNARY(name, ...) {#name, "f32[2,3]", row_##name, true},
#include <tercet/elementwise.def>
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *describe(tct_tensor t, char *text, size_t bytes) {
  const tct_shape shape = tct_tensor_shape(t);
  char extents[160];
  snprintf(text, bytes, "%s%s", tct_dtype_name(tct_tensor_dtype(t)), tct_shape_print(&shape, extents, sizeof extents));
  return text;
}

/* d Σ y / d each variable, with the variable's shape. */
static void check_gradients(tct_graph *g, tct_tensor y, const char *name) {
  tct_tensor wrt[16], out[16];
  int32_t n = 0;
  for (int32_t v = 0; v < g->n_values && n < 16; v++) {
    if (tct_maker(g, v)->op == TCT_OP_variable) wrt[n++] = (tct_tensor){g, v};
  }
  tct_gradients(tct_reduce_sum(y, NULL, 0, false), wrt, n, out);
  CHECK(tct_graph_status(g) == TCT_OK, "%s: gradient: %s", name, tct_error_message());
  for (int32_t i = 0; i < n; i++) {
    char is[200], needs[200];
    CHECK(strcmp(describe(out[i], is, sizeof is), describe(wrt[i], needs, sizeof needs)) == 0,
          "%s: gradient %d is %s, not %s", name, i, is, needs);
  }
}

static void note_ops(const tct_graph *g, bool *seen) {
  for (int32_t n = 0; n < g->n_nodes; n++) seen[g->nodes[n].op] = true;
}

static void check_given(const shape_case *c, bool *seen) {
  tct_graph *g = NULL;
  OK(tct_graph_create(&g));
  const tct_tensor y = c->build(g);
  CHECK(tct_graph_status(g) == TCT_OK, "%s: %s", c->name, tct_error_message());
  char text[200];
  CHECK(strcmp(describe(y, text, sizeof text), c->text) == 0, "%s: gives %s, not %s", c->name, text, c->text);
  if (c->differentiable) check_gradients(g, y, c->name);
  const tct_status status = tct_graph_verify(g);
  CHECK(status == TCT_OK, "%s: %s", c->name, tct_error_message());
  note_ops(g, seen);
  tct_graph_free(g);
}

TEST(infer, results_and_coverage) {
  bool seen[TCT_N_OPS] = {false};
  float_dtype = TCT_F32;
  for (size_t i = 0; i < COUNT(given); i++) check_given(&given[i], seen);
  for (size_t i = 0; i < COUNT(rows); i++) check_given(&rows[i], seen);
  seen[TCT_OP_chain] = true; /* made by the fuse pass: see the test below */
  for (int op = TCT_OP_NONE + 1; op < TCT_N_OPS; op++) {
    CHECK(seen[op], "no case in shape_cases.def builds a '%s'", tct_op_name((tct_op)op));
  }
}

TEST(infer, refusals) {
  float_dtype = TCT_F32;
  for (size_t i = 0; i < COUNT(refused); i++) {
    const shape_case *c = &refused[i];
    tct_graph *g = NULL;
    OK(tct_graph_create(&g));
    c->build(g);
    const tct_status status = tct_graph_status(g);
    CHECK(status == TCT_INVALID, "%s: was not refused (%s)", c->name, tct_status_name(status));
    CHECK(strstr(tct_error_message(), c->text) != NULL, "%s: the message lacks '%s': %s", c->name, c->text,
          tct_error_message());
    CHECK(g->n_errors == 1, "%s: %d errors instead of one: %s", c->name, g->n_errors, tct_error_message());
    tct_graph_free(g);
  }
}

TEST(infer, definitions_are_whole) {
  for (int i = TCT_OP_NONE + 1; i < TCT_N_OPS; i++) {
    const tct_op op = (tct_op)i;
    const tct_op_def *def = tct_op_definition(op);
    CHECK(def != NULL && def->infer != NULL && def->cost != NULL && def->version >= 1, "op %d", i);
    CHECK(tct_op_find(def->name) == op, "'%s' is found as another op", def->name);
    CHECK((def->gradient == NULL) == (def->gradient_why != NULL), "'%s' needs a gradient or the reason for none",
          def->name);
    CHECK((def->n_out == 0) == tct_op_is_update(op), "'%s'", def->name);
  }
  CHECK(tct_op_definition(TCT_OP_NONE) == NULL, "no op");
  CHECK(tct_op_definition(TCT_N_OPS) == NULL, "past the table");
  CHECK(tct_op_find("convolve") == TCT_OP_NONE, "an unknown name");
}

TEST(infer, chains) {
  tct_graph *g = NULL;
  OK(tct_graph_create(&g));
  const tct_tensor in[] = {leaf(g, false, TCT_F32, TCT_SHAPE(4, 3)), leaf(g, false, TCT_F32, TCT_SHAPE(3))};
  tct_chain_attrs attrs = {.n_steps = 2, .step = {{.op = TCT_OP_add, .arg = {0, 1}}, {.op = TCT_OP_relu, .arg = {2}}}};
  char text[200];
  CHECK(strcmp(describe(tct_emit(g, TCT_OP_chain, &attrs, in, 2, NULL), text, sizeof text), "f32[4,3]") == 0, "%s",
        text);
  OK(tct_graph_status(g));
  attrs.step[0].arg[1] = 2;
  tct_emit(g, TCT_OP_chain, &attrs, in, 2, NULL);
  FAILS(tct_graph_status(g), TCT_INVALID, "step 0 (add) reads register 2, but only 2 are filled");
  tct_graph_free(g);
}

/* Flops of one node built from the leaves, by the op's rule. */
static tct_cost cost_of(tct_graph *g, tct_tensor y) {
  tct_arena arena = {0};
  tct_cost cost;
  tct_op_cost(tct_node_view_of(g, tct_maker(g, y.id), &arena), &cost);
  tct_arena_free(&arena);
  return cost;
}

TEST(infer, costs) {
  float_dtype = TCT_F32;
  tct_graph *g = NULL;
  OK(tct_graph_create(&g));
  const struct {
    tct_tensor y;
    double flops, bytes;
  } costs[] = {
      {tct_matmul(F(2, 3), F(3, 5)), 2 * 2 * 3 * 5, 4 * (6 + 15 + 10)},
      {tct_matmul_transposed(F(7, 3, 2), F(3, 5), true, false), 7 * 2 * 2 * 3 * 5, 4 * (42 + 15 + 70)},
      {tct_conv2d(F(2, 5, 5, 4), F(3, 3, 2, 6), CONV(.groups = 2)), 2.0 * 2 * 3 * 3 * 6 * 3 * 3 * 2,
       4 * (200 + 108 + 108)},
      {tct_tanh(F(5)), 60, 40},
      {tct_reduce_sum(F(4, 5), NULL, 0, false), 20, 84},
      {tct_reshape(F(4, 5), TCT_SHAPE(20)), 0, 0},
      {tct_gather(F(1000, 8), I(3), 0), 0, 4 * (24 + 24 + 3)},
      {tct_slice(F(100), LIST(0), LIST(10), NULL), 0, 80},
  };
  OK(tct_graph_status(g));
  for (size_t i = 0; i < COUNT(costs); i++) {
    const tct_cost cost = cost_of(g, costs[i].y);
    CHECK(cost.flops == costs[i].flops && cost.bytes == costs[i].bytes, "row %zu: %g flops, %g bytes", i, cost.flops,
          cost.bytes);
  }
  tct_graph_free(g);
}
