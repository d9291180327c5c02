/* Constants and simplification: what goes, what stays, and that the values are the same. */
#include "graphs.h"
#include "test.h"

TEST(simplify, dead_code_goes_inputs_and_updates_stay) {
  tct_device *ref = device_make("ref");
  tct_graph *graph = graph_make();
  const tct_tensor x = INPUT(graph, "x", 3), w = VARIABLE(graph, "w", 3);
  (void)INPUT(graph, "unused", 2);
  (void)tct_exp(tct_sin(x));
  tct_output(graph, "y", tct_neg(x));
  tct_assign(w, tct_tanh(x));
  tct_graph *out = passed(graph, ref, tct_pass_simplify);
  CHECK(count_op(out, TCT_OP_exp) == 0 && count_op(out, TCT_OP_sin) == 0);
  CHECK(count_op(out, TCT_OP_neg) == 1 && count_op(out, TCT_OP_tanh) == 1 && count_op(out, TCT_OP_assign) == 1);
  CHECK(count_op(out, TCT_OP_input) == 2 && node_named(out, "unused") != NULL);
  check_same_output(graph, out, ref, "y");
  tct_graph_free(out);
  tct_graph_free(graph);
  tct_device_close(ref);
}

TEST(simplify, equal_nodes_become_one) {
  tct_device *ref = device_make("ref");
  tct_graph *graph = graph_make();
  const tct_tensor x = INPUT(graph, "x", 3, 4), w = INPUT(graph, "w", 4, 5);
  const tct_tensor a = tct_leaky_relu(tct_matmul(x, w), 0.1), b = tct_leaky_relu(tct_matmul(x, w), 0.1);
  const tct_tensor other = tct_leaky_relu(tct_matmul(x, w), 0.2); /* another attribute: not equal */
  tct_output(graph, "y", tct_add(tct_mul(a, b), other));
  tct_graph *out = passed(graph, ref, tct_pass_simplify);
  CHECK(count_op(out, TCT_OP_matmul) == 1);
  CHECK(count_op(out, TCT_OP_leaky_relu) == 2);
  check_same_output(graph, out, ref, "y");
  tct_graph_free(out);
  tct_graph_free(graph);
  tct_device_close(ref);
}

/* Leaves `fill` where the next call has its locals. */
__attribute__((noinline)) static void poison_stack(int fill) {
  volatile unsigned char room[16384];
  for (size_t i = 0; i < sizeof room; i++) room[i] = (unsigned char)fill;
}

/* Each op whose attributes have members of less than a word; shapes hold `fill` behind their rank. */
static tct_tensor small_members(int32_t which, tct_tensor x, tct_tensor index, tct_tensor image, tct_tensor filter, int fill) {
  static const int64_t zero[] = {0, 0}, two[] = {2, 2};
  static const int32_t last[] = {1};
  tct_shape row;
  memset(&row, fill, sizeof row);
  row.rank = 2;
  row.reserved = 0;
  row.dim[0] = 1;
  row.dim[1] = 16;
  poison_stack(fill);
  switch (which) {
    case 0: return tct_reduce_sum(x, last, 1, true);
    case 1: return tct_cumsum(x, 1, false, true);
    case 2: return tct_argmax(x, 1, false);
    case 3: return tct_one_hot(index, 4, 1, 0, TCT_F64);
    case 4: return tct_gather(x, index, 0);
    case 5: return tct_matmul_transposed(x, x, true, false);
    case 6: return tct_slice(x, zero, two, NULL);
    case 7: return tct_broadcast_to(tct_reshape(x, row), row);
    case 8: return tct_conv2d(image, filter, NULL);
    case 9: return tct_attention(image, image, image, (tct_tensor){NULL, -1}, NULL);
    default: return (tct_tensor){NULL, -1};
  }
}

TEST(simplify, equal_nodes_become_one_whatever_the_stack_held) {
  tct_device *ref = device_make("ref");
  for (int32_t which = 0; which < 10; which++) {
    int32_t n_nodes[2];
    for (int twice = 0; twice < 2; twice++) {
      tct_graph *graph = graph_make();
      const tct_tensor x = INPUT(graph, "x", 4, 4), index = tct_input(graph, "i", TCT_I32, TCT_SHAPE(3)),
                       image = INPUT(graph, "m", 1, 4, 4, 1), filter = INPUT(graph, "w", 2, 2, 1, 1);
      const tct_tensor a = small_members(which, x, index, image, filter, 0x00);
      tct_output(graph, "a", a);
      tct_output(graph, "b", twice ? small_members(which, x, index, image, filter, 0xA5) : a);
      tct_graph *out = passed(graph, ref, tct_pass_simplify);
      n_nodes[twice] = out->n_nodes;
      tct_graph_free(out);
      tct_graph_free(graph);
    }
    CHECK(n_nodes[0] == n_nodes[1], "op %d: %d nodes built once, %d built twice", which, n_nodes[0], n_nodes[1]);
  }
  tct_device_close(ref);
}

TEST(simplify, equal_variables_and_dropouts_stay_apart) {
  tct_device *ref = device_make("ref");
  tct_graph *graph = graph_make();
  const tct_tensor x = INPUT(graph, "x", 64),
                   step = tct_variable(graph, "step", TCT_I64, (tct_shape){0}, (tct_init){0});
  tct_output(graph, "y", tct_sub(tct_dropout(x, step, 0.5, 1, "first"), tct_dropout(x, step, 0.5, 1, "second")));
  tct_output(graph, "v", tct_sub(VARIABLE(graph, "a", 3), VARIABLE(graph, "b", 3)));
  tct_graph *out = passed(graph, ref, tct_pass_simplify);
  CHECK(count_op(out, TCT_OP_dropout) == 2 && count_op(out, TCT_OP_variable) == 3);
  tct_graph_free(out);
  tct_graph_free(graph);
  tct_device_close(ref);
}

TEST(simplify, transposes_go_into_products) {
  static const int32_t batch[] = {0, 2, 1}, outer[] = {1, 0, 2};
  tct_device *ref = device_make("ref");
  tct_graph *graph = graph_make();
  const tct_tensor a = INPUT(graph, "a", 4, 3), b = INPUT(graph, "b", 5, 4), c = INPUT(graph, "c", 2, 4, 3);
  tct_output(graph, "both", tct_matmul(tct_transpose(a, NULL), tct_transpose(b, NULL)));
  tct_output(graph, "back", tct_matmul_transposed(tct_transpose(a, NULL), INPUT(graph, "e", 6, 3), true, true));
  tct_output(graph, "batch", tct_matmul(tct_transpose(c, batch), a));
  tct_output(graph, "kept", tct_matmul(tct_transpose(c, outer), INPUT(graph, "d", 3, 2)));
  tct_graph *out = passed(graph, ref, tct_pass_simplify);
  CHECK(count_op(out, TCT_OP_transpose) == 1, "only the batch transposition stays: %d",
        (int)count_op(out, TCT_OP_transpose));
  check_same_output(graph, out, ref, "both");
  check_same_output(graph, out, ref, "back");
  check_same_output(graph, out, ref, "batch");
  check_same_output(graph, out, ref, "kept");
  tct_graph_free(out);
  tct_graph_free(graph);
  tct_device_close(ref);
}

TEST(simplify, views_and_transposes_collapse) {
  static const int32_t perm[] = {1, 2, 0}, back[] = {2, 0, 1};
  tct_device *ref = device_make("ref");
  tct_graph *graph = graph_make();
  const tct_tensor x = INPUT(graph, "x", 2, 3, 4);
  tct_output(graph, "same", tct_neg(tct_transpose(tct_transpose(x, perm), back)));
  tct_output(graph, "twice", tct_exp(tct_transpose(tct_transpose(x, perm), perm)));
  tct_output(graph, "view", tct_sin(tct_reshape(tct_reshape(x, TCT_SHAPE(6, 4)), TCT_SHAPE(24))));
  tct_output(graph, "round", tct_cos(tct_reshape(tct_reshape(x, TCT_SHAPE(6, 4)), TCT_SHAPE(2, 3, 4))));
  tct_output(graph, "cast", tct_tanh(tct_stop_gradient(tct_cast(tct_broadcast_to(x, TCT_SHAPE(2, 3, 4)), TCT_F64))));
  tct_graph *out = passed(graph, ref, tct_pass_simplify);
  CHECK(count_op(out, TCT_OP_transpose) == 1);
  CHECK(count_op(out, TCT_OP_reshape) == 1);
  CHECK(count_op(out, TCT_OP_cast) == 0 && count_op(out, TCT_OP_broadcast_to) == 0 &&
        count_op(out, TCT_OP_stop_gradient) == 0);
  for (int32_t i = 0; i < graph->n_outputs; i++) check_same_output(graph, out, ref, graph->outputs[i].name);
  tct_graph_free(out);
  tct_graph_free(graph);
  tct_device_close(ref);
}

TEST(simplify, broadcasts_that_an_op_does_itself_go) {
  tct_device *ref = device_make("ref");
  tct_graph *graph = graph_make();
  const tct_tensor x = INPUT(graph, "x", 3, 4), row = INPUT(graph, "row", 4);
  tct_output(graph, "y", tct_mul(x, tct_broadcast_to(row, TCT_SHAPE(3, 4))));
  const tct_tensor wide = tct_broadcast_to(row, TCT_SHAPE(2, 4));
  tct_output(graph, "z", tct_mul(wide, wide)); /* nothing else gives the shape: one of the two must stay */
  tct_graph *out = passed(graph, ref, tct_pass_simplify);
  CHECK(count_op(out, TCT_OP_broadcast_to) == 1);
  check_same_output(graph, out, ref, "y");
  check_same_output(graph, out, ref, "z");
  tct_graph_free(out);
  tct_graph_free(graph);
  tct_device_close(ref);
}

/* Too large to be computed as a constant: the gradient that enters a unary row's gradient op stays of its operand's shape. */
TEST(simplify, broadcasts_that_an_op_does_not_do_stay) {
  tct_device *ref = device_make("ref");
  tct_graph *graph = graph_make();
  const tct_tensor x = INPUT(graph, "x", 64, 65);
  tct_tensor dx;
  tct_gradients(tct_reduce_mean(tct_square(x), NULL, 0, false), &x, 1, &dx);
  tct_output(graph, "dx", tct_reduce_sum(dx, NULL, 0, false));
  tct_graph *out = passed(graph, ref, tct_pass_simplify);
  check_same_output(graph, out, ref, "dx");
  tct_graph_free(out);
  tct_graph_free(graph);
  tct_device_close(ref);
}

TEST(simplify, a_second_time_changes_nothing) {
  tct_device *ref = device_make("ref");
  tct_graph *graph = training_step(TCT_F64, 4);
  tct_graph *once = passed(graph, ref, tct_pass_simplify);
  tct_graph *twice = passed(once, ref, tct_pass_simplify);
  CHECK(once->n_nodes < graph->n_nodes);
  CHECK(once->n_nodes == twice->n_nodes, "%d and %d nodes", (int)once->n_nodes, (int)twice->n_nodes);
  check_same_output(graph, twice, ref, "loss");
  tct_graph_free(twice);
  tct_graph_free(once);
  tct_graph_free(graph);
  tct_device_close(ref);
}

/* ---- constants ---- */

TEST(constants, small_expressions_are_computed_once) {
  tct_device *ref = device_make("ref");
  tct_graph *graph = graph_make();
  const tct_tensor two = tct_scalar(graph, TCT_F64, 2);
  const tct_tensor four = tct_reshape(tct_mul(two, tct_add(two, tct_scalar(graph, TCT_F64, 0))), TCT_SHAPE(1));
  tct_output(graph, "y", tct_mul(INPUT(graph, "x", 3), four));
  tct_output(graph, "four", four);
  tct_graph *out = passed(graph, ref, tct_pass_constants);
  tct_graph *clean = passed(out, ref, tct_pass_simplify);
  CHECK(count_op(clean, TCT_OP_mul) == 1 && count_op(clean, TCT_OP_add) == 0 && count_op(clean, TCT_OP_reshape) == 0);
  check_same_output(graph, clean, ref, "y");
  double value = 0;
  evaluate(clean, ref, "", "four", &value, 1);
  CHECK(value == 4);
  tct_graph_free(clean);
  tct_graph_free(out);
  tct_graph_free(graph);
  tct_device_close(ref);
}

TEST(constants, large_results_stay_ops) {
  tct_device *ref = device_make("ref");
  tct_graph *graph = graph_make();
  tct_output(graph, "y", tct_full(graph, TCT_F64, TCT_SHAPE(4097), 1));
  tct_output(graph, "z", tct_full(graph, TCT_F64, TCT_SHAPE(16), 1));
  tct_graph *out = passed(graph, ref, tct_pass_constants);
  CHECK(count_op(out, TCT_OP_broadcast_to) == 1);
  check_same_output(graph, out, ref, "z");
  tct_graph_free(out);
  tct_graph_free(graph);
  tct_device_close(ref);
}

/* ---- the manager ---- */

TEST(passes, optional_ones_can_be_skipped) {
  tct_device *ref = device_make("ref");
  tct_graph *graph = training_step(TCT_F64, 4);
  tct_graph *all = passed(graph, ref, NULL);
  setenv("TERCET_SKIP", "constants,simplify,fuse_bias_gradient,fuse_epilogue,fuse_chain", 1);
  tct_graph *none = passed(graph, ref, NULL);
  unsetenv("TERCET_SKIP");
  CHECK(all->n_nodes < none->n_nodes && none->n_nodes == graph->n_nodes, "%d, %d, %d nodes", (int)all->n_nodes,
        (int)none->n_nodes, (int)graph->n_nodes);
  check_same_output(all, none, ref, "loss");
  tct_graph_free(all);
  tct_graph_free(none);
  tct_graph_free(graph);
  tct_device_close(ref);
}

static void count_lines(void *user, tct_log_level level, const char *line) {
  (void)level;
  *(int *)user += strstr(line, "graph after simplify") != NULL;
}

TEST(passes, a_dump_is_logged) {
  tct_device *ref = device_make("ref");
  tct_graph *graph = training_step(TCT_F64, 2);
  int n_lines = 0;
  tct_set_log(count_lines, &n_lines, TCT_LOG_DEBUG);
  setenv("TERCET_DUMP", "simplify", 1);
  tct_graph *out = passed(graph, ref, NULL);
  unsetenv("TERCET_DUMP");
  tct_set_log(NULL, NULL, TCT_LOG_ERROR);
  CHECK(n_lines == 1, "%d", n_lines);
  tct_graph_free(out);
  tct_graph_free(graph);
  tct_device_close(ref);
}
