/* Errors of a graph stick and are reported together; the verifier finds what a broken pass would leave. */
#include "base/status.h"
#include "graphs.h"
#include "test.h"

/* ---- sticky errors ---- */

TEST(graph_errors, twenty_are_kept_the_first_one_first) {
  tct_graph *graph = graph_make();
  const tct_tensor x = INPUT(graph, "x", 2);
  for (int i = 0; i < 25; i++) {
    char name[16];
    snprintf(name, sizeof name, "e%d", i);
    CHECK(!tct_tensor_ok(tct_input(graph, name, TCT_F64, TCT_SHAPE(-1))));
  }
  CHECK(graph->n_errors == 20 && graph->n_more_errors == 5);
  CHECK(tct_graph_status(graph) == TCT_INVALID);
  const char *message = tct_error_message();
  CHECK(strncmp(message, "25 errors in the graph\n1. input 'e0': shape [-1]", 48) == 0, "%s", message);
  CHECK(strstr(message, "\n20. input 'e19'") != NULL && strstr(message, "e20") == NULL, "%s", message);
  CHECK(tct_tensor_ok(tct_neg(x)), "healthy ops still work");
  tct_graph_free(graph);
}

TEST(graph_errors, one_is_reported_alone) {
  tct_graph *graph = graph_make();
  (void)tct_matmul(INPUT(graph, "a", 2, 3), INPUT(graph, "b", 4, 5));
  CHECK(tct_graph_status(graph) == TCT_INVALID);
  CHECK(strncmp(tct_error_message(), "matmul 'matmul': [2,3] × [4,5]: inner extents 3 and 4 differ", 60) == 0, "%s",
        tct_error_message());
  tct_graph_free(graph);
}

TEST(graph_errors, poisoned_operands_are_skipped_healthy_ones_checked) {
  tct_graph *graph = graph_make();
  const tct_tensor a = INPUT(graph, "a", 2, 3);
  const tct_tensor wrong = tct_matmul(a, a);
  const tct_tensor more = tct_relu(tct_add(wrong, a));
  CHECK(!tct_tensor_ok(wrong) && !tct_tensor_ok(more));
  CHECK(tct_tensor_dtype(more) == TCT_DTYPE_NONE && tct_tensor_shape(more).rank == 0);
  CHECK(graph->n_errors == 1);
  (void)tct_reshape(a, TCT_SHAPE(5));
  CHECK(graph->n_errors == 2);
  tct_output(graph, "y", more);
  tct_gradients(more, &a, 1, &(tct_tensor){0});
  CHECK(graph->n_errors == 2, "a poisoned output or loss adds no error");
  tct_graph_free(graph);
}

TEST(graph_errors, compile_reports_them) {
  tct_device *ref = device_make("ref");
  tct_graph *graph = graph_make();
  (void)tct_reshape(INPUT(graph, "a", 2, 3), TCT_SHAPE(5));
  tct_program *program = (tct_program *)&program;
  FAILS(tct_compile(graph, ref, NULL, &program), TCT_INVALID, "[2,3] has 6 elements, [5] has 5");
  CHECK(program == NULL);
  tct_graph_free(graph);
  tct_device_close(ref);
}

TEST(graph_errors, names_of_sources_and_outputs_are_unique) {
  tct_graph *graph = graph_make();
  const tct_tensor x = INPUT(graph, "x", 2);
  CHECK(!tct_tensor_ok(VARIABLE(graph, "x", 2)));
  FAILS(tct_graph_status(graph), TCT_INVALID, "variable 'x': the name is taken");
  tct_output(graph, "y", x);
  tct_output(graph, "y", x);
  FAILS(tct_graph_status(graph), TCT_INVALID, "output 'y': the name is taken");
  tct_scope_push(graph, "scope");
  CHECK(tct_tensor_ok(INPUT(graph, "x", 2)), "another name in a scope");
  tct_scope_pop(graph);
  tct_graph_free(graph);
}

TEST(graph_errors, tensors_of_two_graphs_do_not_mix) {
  tct_graph *a = graph_make(), *b = graph_make();
  (void)tct_add(INPUT(a, "x", 2), INPUT(b, "x", 2));
  FAILS(tct_graph_status(a), TCT_INVALID, "operand 1 belongs to another graph");
  OK(tct_graph_status(b));
  tct_graph_free(a);
  tct_graph_free(b);
}

/* ---- the verifier ---- */

static tct_graph *small_graph(void) {
  tct_graph *graph = graph_make();
  const tct_tensor x = INPUT(graph, "x", 3), w = VARIABLE(graph, "w", 3), v = VARIABLE(graph, "v", 3);
  const tct_tensor sum = tct_add(x, w);
  tct_assign(w, tct_exp(sum));
  tct_assign(v, sum);
  OK(tct_graph_verify(graph));
  return graph;
}

static tct_node *broken(tct_graph *graph, const char *name) {
  return (tct_node *)(uintptr_t)node_named(graph, name);
}

TEST(verifier, finds_operands_read_before_they_are_made) {
  tct_graph *graph = small_graph();
  const int32_t late = node_named(graph, "exp")->out, beyond = graph->n_values;
  tct_node *add = broken(graph, "add");
  const int32_t in[] = {late, add->in[1]}, out_of_range[] = {beyond, add->in[1]}, negative[] = {-1, add->in[1]};
  add->in = in;
  FAILS(tct_graph_verify(graph), TCT_INTERNAL, "node 'add' reads value");
  add->in = out_of_range;
  FAILS(tct_graph_verify(graph), TCT_INTERNAL, "node 'add' reads value");
  add->in = negative;
  FAILS(tct_graph_verify(graph), TCT_INTERNAL, "node 'add' reads value -1");
  tct_graph_free(graph);
}

TEST(verifier, finds_shapes_and_dtypes_that_the_rule_does_not_give) {
  tct_graph *graph = small_graph();
  tct_desc *desc = &graph->values[node_named(graph, "exp")->out].desc;
  desc->shape.dim[0] = 4;
  FAILS(tct_graph_verify(graph), TCT_INTERNAL, "output 0 is f64[4], its rule says f64[3]");
  desc->shape.dim[0] = 3;
  desc->dtype = TCT_F32;
  FAILS(tct_graph_verify(graph), TCT_INTERNAL, "output 0 is f32[3], its rule says f64[3]");
  tct_graph_free(graph);
}

TEST(verifier, finds_operands_that_the_rule_refuses) {
  tct_graph *graph = small_graph();
  graph->values[node_named(graph, "x")->out].desc.dtype = TCT_F32;
  FAILS(tct_graph_verify(graph), TCT_INTERNAL, "node 'add' (add)");
  tct_graph_free(graph);
}

TEST(verifier, finds_second_writers_and_writes_to_results) {
  tct_graph *graph = small_graph();
  tct_node *assign = broken(graph, "assign_1");
  if (assign == NULL) { /* the second update, whatever it is called */
    for (int32_t n = 0; n < graph->n_nodes; n++)
      assign = graph->nodes[n].op == TCT_OP_assign ? &graph->nodes[n] : assign;
  }
  const int32_t in[] = {node_named(graph, "w")->out, assign->in[1]},
                result[] = {node_named(graph, "exp")->out, assign->in[1]};
  assign->in = in;
  FAILS(tct_graph_verify(graph), TCT_INVALID, "writes variable 'w', which another update of this graph already writes");
  assign->in = result;
  FAILS(tct_graph_verify(graph), TCT_INVALID, "writes 'exp', which is not a variable");
  tct_graph_free(graph);
}

/* ---- text ---- */

static void collect(void *user, const char *text, size_t length) {
  char *all = user;
  const size_t used = strlen(all);
  if (used + length < 4000) memcpy(all + used, text, length), all[used + length] = '\0';
}

TEST(graph_text, one_line_per_node) {
  char text[4001] = "", dot[4001] = "";
  tct_graph *graph = small_graph();
  tct_graph_print(graph, collect, text);
  tct_graph_print_dot(graph, collect, dot);
  CHECK(strstr(text, "f64[3]") != NULL && strstr(text, "exp(") != NULL, "%s", text);
  int lines = 0;
  for (const char *at = text; *at != '\0'; at++) lines += *at == '\n';
  CHECK(lines >= graph->n_nodes, "%d lines of %d nodes:\n%s", lines, (int)graph->n_nodes, text);
  CHECK(strncmp(dot, "digraph", 7) == 0 && strstr(dot, "->") != NULL, "%s", dot);
  tct_graph_free(graph);
}

/* What C programs get wrong: no data, no name, a number that the dtype does not hold. */
TEST(graph_errors, missing_pointers_and_numbers_that_do_not_fit) {
  static const struct {
    tct_dtype dtype;
    double value;
  } rows[] = {{TCT_I32, 1e10}, {TCT_U8, -1}, {TCT_U8, 256}, {TCT_I64, 1e30}, {TCT_I32, NAN}};
  tct_graph *graph = NULL;
  OK(tct_graph_create(&graph));
  tct_constant(graph, TCT_F32, TCT_SHAPE(2), NULL);
  FAILS(tct_graph_status(graph), TCT_INVALID, "data is NULL");
  tct_graph_free(graph);
  OK(tct_graph_create(&graph));
  tct_output(graph, NULL, tct_input(graph, "x", TCT_F32, TCT_SHAPE(2)));
  FAILS(tct_graph_status(graph), TCT_INVALID, "name is empty");
  tct_graph_free(graph);
  for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
    OK(tct_graph_create(&graph));
    tct_scalar(graph, rows[r].dtype, rows[r].value);
    FAILS(tct_graph_status(graph), TCT_INVALID, "does not fit");
    tct_graph_free(graph);
  }
}
