/* Properties of every op in the graphs of op_cases.def, forward and backward: its shape rule answers any operand with a
 * result or a refusal in the op's own words, a gradient may be asked for one operand alone, and graphs that differ in an
 * attribute print differently. */
#include "base/status.h"
#include "base/text.h"
#include "graph/graph.h"
#include "graphs.h"
#include "ops/cases.h"
#include "ops/defs.h"
#include "test.h"

static tct_dtype dtype_of(const op_case *c) {
  tct_dtype dtype = TCT_F32;
  while ((c->dtypes >> dtype & 1u) == 0) dtype++;
  return dtype;
}

static tct_graph *whole_graph(const op_case *c) {
  return case_graph(c, dtype_of(c), c->gradient ? CASE_GRADIENT : CASE_FORWARD);
}

/* ---- operands ------------------------------------------------------------------------------------------ */

enum { MOST_PER_OP = 6, MOST_IN = 16 };

static int32_t n_refused[TCT_N_OPS], n_nodes[TCT_N_OPS];

/* The node with these operands, which are variables so that an update may write them. */
static void try_operands(const tct_graph *from, const tct_node *node, const tct_desc *in, int32_t n_in, const char *label) {
  tct_graph *graph = graph_make();
  tct_tensor x[MOST_IN + 1], out[16];
  for (int32_t i = 0; i < n_in; i++) {
    char name[16];
    (void)snprintf(name, sizeof name, "x%d", (int)i);
    const bool real = in[i].dtype == TCT_F32 || in[i].dtype == TCT_F64;
    x[i] = real ? tct_variable(graph, name, in[i].dtype, in[i].shape, (tct_init){0}) : tct_input(graph, name, in[i].dtype, in[i].shape);
  }
  OK(tct_graph_status(graph));
  (void)tct_emit(graph, node->op, node->attrs, x, n_in, out);
  const tct_status status = tct_graph_status(graph);
  if (status == TCT_OK) {
    OK(tct_graph_verify(graph));
  } else {
    n_refused[node->op]++;
    const char *const name = tct_op_name(node->op);
    CHECK(status == TCT_INVALID && strncmp(tct_error_message(), name, strlen(name)) == 0 && strlen(tct_error_message()) > strlen(name) + 10,
          "%s, %s: %s: %s", label, tct_maker(from, node->out)->name, tct_status_name(status), tct_error_message());
  }
  tct_graph_free(graph);
}

static void change_operands(const tct_graph *graph, const tct_node *node, const char *label) {
  static const tct_dtype dtypes[] = {TCT_F32, TCT_F64, TCT_I32, TCT_I64, TCT_U8, TCT_BOOL, TCT_BF16};
  tct_desc in[MOST_IN + 1];
  for (int32_t i = 0; i < node->n_in; i++) in[i] = graph->values[node->in[i]].desc;
  in[node->n_in] = in[0];
  try_operands(graph, node, in, node->n_in - 1, label);
  try_operands(graph, node, in, node->n_in + 1, label);
  for (int32_t i = 0; i < node->n_in; i++) {
    const tct_desc was = in[i];
    for (size_t d = 0; d < TCT_COUNT_OF(dtypes); d++) {
      in[i] = (tct_desc){dtypes[d], was.shape};
      try_operands(graph, node, in, node->n_in, label);
    }
    in[i] = was;
    if (was.shape.rank > 0) {
      in[i].shape.rank--;
      try_operands(graph, node, in, node->n_in, label);
    }
    in[i] = was;
    if (was.shape.rank < TCT_MAX_RANK) {
      in[i].shape.dim[in[i].shape.rank++] = 2;
      try_operands(graph, node, in, node->n_in, label);
    }
    for (int32_t axis = 0; axis < was.shape.rank; axis++) {
      const int64_t extent = was.shape.dim[axis], others[] = {0, 1, extent + 1, 2 * extent + 1};
      for (size_t e = 0; e < TCT_COUNT_OF(others); e++) {
        in[i] = was;
        in[i].shape.dim[axis] = others[e];
        try_operands(graph, node, in, node->n_in, label);
      }
    }
    in[i] = was;
  }
}

TEST(op_rules, any_operand_is_taken_or_refused_in_the_ops_words) {
  for (int32_t i = 0; i < n_op_cases; i++) {
    tct_graph *graph = whole_graph(&op_cases[i]);
    for (int32_t n = 0; n < graph->n_nodes; n++) {
      const tct_node *const node = &graph->nodes[n];
      if (tct_op_is_source(node->op) || node->op >= TCT_N_OPS || node->n_in < 1 || node->n_in >= MOST_IN) continue;
      if (n_nodes[node->op]++ < MOST_PER_OP) change_operands(graph, node, op_cases[i].label);
    }
    tct_graph_free(graph);
  }
  int32_t n_ops = 0;
  for (int op = 0; op < TCT_N_OPS; op++) {
    if (n_nodes[op] == 0) continue;
    n_ops++;
    CHECK(n_refused[op] > 0, "%s takes anything", tct_op_name((tct_op)op));
  }
  CHECK(n_ops > 100, "only %d ops", (int)n_ops);
}

/* ---- one gradient -------------------------------------------------------------------------------------- */

/* Asked for alone, a gradient has the shape it has among the others, and takes no more nodes. */
static void one_gradient(const op_case *c, int32_t which, int32_t most_nodes) {
  const tct_dtype dtype = dtype_of(c);
  tct_graph *graph = graph_make();
  case_build(c, dtype, CASE_LOSS, graph);
  tct_tensor x = {graph, -1}, gradient;
  char name[16];
  (void)snprintf(name, sizeof name, "x%d", (int)which);
  for (int32_t v = 0; v < graph->n_values && x.id < 0; v++) {
    if (strcmp(tct_maker(graph, v)->name, name) == 0) x.id = v;
  }
  CHECK(x.id >= 0, "%s has no %s", c->label, name);
  tct_gradients((tct_tensor){graph, graph->outputs[0].value}, &x, 1, &gradient);
  OK(tct_graph_status(graph));
  OK(tct_graph_verify(graph));
  const tct_shape is = tct_tensor_shape(gradient), needs = tct_tensor_shape(x);
  CHECK(tct_shape_equal(&is, &needs) && graph->n_nodes <= most_nodes, "%s, d/d%s: %d nodes, all gradients together take %d", c->label, name,
        (int)graph->n_nodes, (int)most_nodes);
  tct_graph_free(graph);
}

TEST(op_rules, a_gradient_may_be_asked_for_alone) {
  int n = 0;
  for (int32_t i = 0; i < n_op_cases; i++) {
    const op_case *const c = &op_cases[i];
    if (!c->gradient) continue;
    tct_graph *all = whole_graph(c);
    for (int32_t o = 0; o < c->n_operands; o++) {
      if (c->operands[o].kind != KIND_REAL) continue;
      one_gradient(c, o, all->n_nodes);
      n++;
    }
    tct_graph_free(all);
  }
  CHECK(n > 100, "only %d gradients", n);
}

/* ---- text ---------------------------------------------------------------------------------------------- */

static void append(void *user, const char *text, size_t length) { tct_text_append_bytes(user, text, length); }

/* Whether the nodes have the same attributes; those of optimizers' updates are settings, compared by themselves. */
static bool same_attributes(const tct_graph *a, const tct_graph *b) {
  bool same = a->n_nodes == b->n_nodes;
  for (int32_t n = 0; same && n < a->n_nodes; n++) {
    const tct_node *const x = &a->nodes[n], *const y = &b->nodes[n];
    const size_t bytes = x->attrs != NULL && !tct_op_is_source(x->op) && !tct_op_is_update(x->op) ? tct_op_definition(x->op)->attrs_bytes : 0;
    same = x->op == y->op && (bytes == 0 || memcmp(x->attrs, y->attrs, bytes) == 0);
  }
  return same;
}

/* What resuming a run compares is this text. */
TEST(op_rules, graphs_that_differ_in_an_attribute_print_differently) {
  tct_text *const texts = calloc((size_t)n_op_cases, sizeof *texts);
  tct_graph **const graphs = calloc((size_t)n_op_cases, sizeof(tct_graph *));
  for (int32_t i = 0; i < n_op_cases; i++) {
    tct_text dot = {0};
    graphs[i] = whole_graph(&op_cases[i]);
    tct_graph_print(graphs[i], append, &texts[i]);
    tct_graph_print_dot(graphs[i], append, &dot);
    CHECK(!texts[i].failed && !dot.failed && strstr(dot.data, "digraph tercet {") == dot.data);
    for (int32_t n = 0; n < graphs[i]->n_nodes; n++) {
      const char *const name = graphs[i]->nodes[n].name;
      CHECK(strstr(texts[i].data, name) != NULL && strstr(dot.data, name) != NULL, "%s: %s is not there", op_cases[i].label, name);
    }
    tct_text_free(&dot);
  }
  for (int32_t i = 0; i < n_op_cases; i++) {
    for (int32_t j = 0; j < i; j++) {
      CHECK(strcmp(texts[i].data, texts[j].data) != 0 || same_attributes(graphs[i], graphs[j]), "%s prints as %s, but is another:\n%s",
            op_cases[i].label, op_cases[j].label, texts[j].data);
    }
  }
  for (int32_t i = 0; i < n_op_cases; i++) {
    tct_text_free(&texts[i]);
    tct_graph_free(graphs[i]);
  }
  free(graphs);
  free(texts);
}
