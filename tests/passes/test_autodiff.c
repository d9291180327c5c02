/* Differentiation of graphs: several uses, broadcasts, where gradients stop, and what is refused. That each op's rule
 * is right is tested with its cases (tests/ops/). */
#include "graphs.h"
#include "test.h"

static double one(const tct_graph *graph, const char *output) {
  tct_device *ref = device_make("ref");
  double value = 0;
  evaluate(graph, ref, "", output, &value, 1);
  tct_device_close(ref);
  return value;
}

TEST(autodiff, uses_add_up) {
  tct_graph *graph = graph_make();
  const tct_tensor x = tct_input(graph, "x", TCT_F64, tct_shape_of(0, NULL));
  tct_tensor dx;
  tct_gradients(tct_add(tct_mul(x, x), tct_scale(x, 3, 1)), &x, 1, &dx); /* 2x + 3 */
  tct_output(graph, "x", x);
  tct_output(graph, "dx", dx);
  OK(tct_graph_status(graph));
  const double value = one(graph, "x"), slope = one(graph, "dx");
  CHECK(fabs(slope - (2 * value + 3)) < 1e-14, "at %g: %g", value, slope);
  tct_graph_free(graph);
}

TEST(autodiff, broadcasts_are_summed) {
  tct_graph *graph = graph_make();
  const tct_tensor in[] = {INPUT(graph, "a", 3, 1), INPUT(graph, "b", 2, 1, 4),
                           tct_input(graph, "c", TCT_F64, (tct_shape){0})};
  tct_tensor out[3];
  tct_gradients(sum_of(tct_mul(tct_mul(in[0], in[1]), in[2])), in, 3, out);
  const char *const names[] = {"da", "db", "dc"};
  for (int i = 0; i < 3; i++) {
    const tct_shape has = tct_tensor_shape(out[i]), wants = tct_tensor_shape(in[i]);
    CHECK(tct_shape_equal(&has, &wants), "%s", names[i]);
    tct_output(graph, names[i], out[i]);
  }
  tct_output(graph, "a", in[0]);
  tct_output(graph, "b", in[1]);
  tct_output(graph, "c", in[2]);
  OK(tct_graph_status(graph));

  double a[3], b[8], c[1], da[3], db[8], dc[1], sum_a = 0, sum_b = 0;
  tct_device *ref = device_make("ref");
  evaluate(graph, ref, "", "a", a, 3);
  evaluate(graph, ref, "", "b", b, 8);
  evaluate(graph, ref, "", "c", c, 1);
  evaluate(graph, ref, "", "da", da, 3);
  evaluate(graph, ref, "", "db", db, 8);
  evaluate(graph, ref, "", "dc", dc, 1);
  for (int i = 0; i < 3; i++) sum_a += a[i];
  for (int i = 0; i < 8; i++) sum_b += b[i];
  for (int i = 0; i < 3; i++) CHECK(fabs(da[i] - c[0] * sum_b) < 1e-13);
  for (int i = 0; i < 8; i++) CHECK(fabs(db[i] - c[0] * sum_a) < 1e-13);
  CHECK(fabs(dc[0] - sum_a * sum_b) < 1e-13);
  tct_device_close(ref);
  tct_graph_free(graph);
}

TEST(autodiff, stops_where_told) {
  tct_graph *graph = graph_make();
  const tct_tensor x = tct_input(graph, "x", TCT_F64, tct_shape_of(0, NULL));
  tct_tensor dx;
  tct_gradients(tct_mul(x, tct_stop_gradient(tct_square(x))), &x, 1, &dx);
  tct_output(graph, "x", x);
  tct_output(graph, "dx", dx);
  const double value = one(graph, "x");
  CHECK(fabs(one(graph, "dx") - value * value) < 1e-15);
  tct_graph_free(graph);
}

TEST(autodiff, unrelated_tensors_get_zeros) {
  tct_graph *graph = graph_make();
  const tct_tensor in[] = {INPUT(graph, "x", 3), INPUT(graph, "unrelated", 2, 2)};
  tct_tensor out[2];
  tct_gradients(sum_of(in[0]), in, 2, out);
  tct_output(graph, "zeros", out[1]);
  OK(tct_graph_status(graph));
  double zeros[4] = {1, 1, 1, 1};
  tct_device *ref = device_make("ref");
  evaluate(graph, ref, "", "zeros", zeros, 4);
  for (int i = 0; i < 4; i++) CHECK(zeros[i] == 0);
  tct_device_close(ref);
  tct_graph_free(graph);
}

TEST(autodiff, the_loss_itself_has_gradient_one) {
  tct_graph *graph = graph_make();
  const tct_tensor loss = sum_of(INPUT(graph, "x", 3));
  tct_tensor dloss;
  tct_gradients(loss, &loss, 1, &dloss);
  tct_output(graph, "dloss", dloss);
  CHECK(one(graph, "dloss") == 1);
  tct_graph_free(graph);
}

/* A condition is piecewise constant in x, but the branches are not. */
TEST(autodiff, conditions_carry_nothing) {
  tct_graph *graph = graph_make();
  const tct_tensor x = tct_input(graph, "x", TCT_F64, tct_shape_of(0, NULL)), zero = tct_scalar(graph, TCT_F64, 0);
  tct_tensor dx;
  tct_gradients(tct_select(tct_less(x, zero), tct_scale(x, -2, 0), tct_scale(x, 5, 0)), &x, 1, &dx);
  tct_output(graph, "x", x);
  tct_output(graph, "dx", dx);
  OK(tct_graph_status(graph));
  CHECK(one(graph, "dx") == (one(graph, "x") < 0 ? -2 : 5));
  tct_graph_free(graph);
}

TEST(autodiff, nodes_know_that_they_are_backward) {
  tct_graph *graph = graph_make();
  const tct_tensor w = VARIABLE(graph, "w", 4, 3);
  tct_tensor dw;
  tct_scope_push(graph, "dense");
  const tct_tensor loss = sum_of(tct_square(tct_matmul(INPUT(graph, "x", 2, 4), w)));
  tct_scope_pop(graph);
  const int32_t n_forward = graph->n_nodes;
  tct_gradients(loss, &w, 1, &dw);
  for (int32_t n = 0; n < graph->n_nodes; n++) {
    CHECK(graph->nodes[n].phase == (n < n_forward ? TCT_PHASE_FORWARD : TCT_PHASE_BACKWARD), "%s",
          graph->nodes[n].name);
  }
  CHECK(strncmp(tct_maker(graph, dw.id)->name, "grad/dense/matmul", 17) == 0, "%s", tct_maker(graph, dw.id)->name);
  CHECK(graph->phase == TCT_PHASE_FORWARD && graph->scope[0] == '\0');
  tct_graph_free(graph);
}

/* ---- refusals ---- */

TEST(autodiff, a_missing_gradient_names_the_path) {
  tct_graph *graph = graph_make();
  const tct_tensor w = VARIABLE(graph, "dense1/kernel", 4, 3);
  tct_tensor dw;
  tct_scope_push(graph, "dense1");
  const tct_tensor y = tct_matmul(INPUT(graph, "x", 2, 4), w);
  tct_scope_pop(graph);
  tct_gradients(sum_of(tct_cast(tct_argmax(y, -1, false), TCT_F64)), &w, 1, &dw);
  CHECK(!tct_tensor_ok(dw));
  FAILS(tct_graph_status(graph), TCT_INVALID, "'dense1/kernel' → matmul 'dense1/matmul' → argmax 'argmax'");
  FAILS(tct_graph_status(graph), TCT_INVALID, "tct_stop_gradient");
  tct_graph_free(graph);
}

TEST(autodiff, second_order_is_refused) {
  tct_graph *graph = graph_make();
  const tct_tensor x = INPUT(graph, "x", 3);
  tct_tensor dx, ddx;
  tct_gradients(sum_of(tct_exp(x)), &x, 1, &dx);
  OK(tct_graph_status(graph));
  tct_gradients(sum_of(dx), &x, 1, &ddx);
  CHECK(!tct_tensor_ok(ddx));
  FAILS(tct_graph_status(graph), TCT_INVALID, "second-order gradients are not available");
  tct_graph_free(graph);
}

TEST(autodiff, the_loss_is_a_float_scalar) {
  tct_graph *graph = graph_make();
  const tct_tensor x = INPUT(graph, "x", 3);
  tct_tensor dx;
  tct_gradients(x, &x, 1, &dx);
  FAILS(tct_graph_status(graph), TCT_INVALID, "the loss is f64[3], needs a 0-d float");
  tct_graph_free(graph);
}

TEST(autodiff, integers_have_no_gradient) {
  tct_graph *graph = graph_make();
  const tct_tensor x = INPUT(graph, "x", 3), i = tct_input(graph, "labels", TCT_I32, TCT_SHAPE(3));
  tct_tensor di;
  tct_gradients(sum_of(x), &i, 1, &di);
  FAILS(tct_graph_status(graph), TCT_INVALID, "'labels' is i32; only floats have gradients");
  tct_graph_free(graph);
}
