/* The passes precision and predicate: what is stored narrow, where casts stand, what is not written. */
#include "exec/exec.h"
#include "graphs.h"
#include "test.h"

static tct_graph *made_narrow(const tct_graph *graph, tct_dtype precision) {
  tct_device *device = device_make("cpu");
  tct_graph *out = NULL;
  OK(tct_pass_precision(graph, &(tct_pass_context){.device = device, .precision = precision}, &out));
  OK(tct_graph_verify(out));
  tct_device_close(device);
  return out;
}

static tct_dtype dtype_of(const tct_graph *graph, const char *node) {
  return graph->values[node_named(graph, node)->out].desc.dtype;
}

TEST(precision, follows_the_policies) {
  tct_graph *graph = graph_make();
  const tct_init normal = {TCT_INIT_NORMAL, 1, 0, 0};
  const tct_tensor x = tct_input(graph, "x", TCT_F32, TCT_SHAPE(4, 6));
  const tct_tensor w = tct_variable(graph, "w", TCT_F32, TCT_SHAPE(6, 6), normal);
  const tct_tensor b = tct_variable(graph, "b", TCT_F32, TCT_SHAPE(6), normal);
  const tct_tensor h = tct_relu(tct_add(tct_matmul(x, w), b));
  const tct_tensor y = tct_matmul(h, w); /* the second use of w */
  tct_output(graph, "y", y);
  tct_output(graph, "p", tct_softmax(y, -1));
  tct_output(graph, "on_input", tct_tanh(x));
  tct_output(graph, "best", tct_argmax(y, -1, false));
  tct_graph *narrow = made_narrow(graph, TCT_BF16);
  static const struct {
    const char *node;
    tct_dtype dtype;
  } rows[] = {{"matmul", TCT_BF16}, {"add", TCT_BF16},   {"relu", TCT_BF16}, {"matmul_1", TCT_BF16}, {"softmax", TCT_F32},
              {"tanh", TCT_F32},    {"argmax", TCT_I32}, {"w", TCT_F32},     {"b", TCT_F32},         {"x", TCT_F32}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    const tct_dtype got = dtype_of(narrow, rows[i].node);
    CHECK(got == rows[i].dtype, "%s is %s, not %s", rows[i].node, tct_dtype_name(got), tct_dtype_name(rows[i].dtype));
  }
  for (int32_t i = 0; i < narrow->n_outputs; i++) {
    const tct_dtype got = narrow->values[narrow->outputs[i].value].desc.dtype;
    CHECK(got == (strcmp(narrow->outputs[i].name, "best") == 0 ? TCT_I32 : TCT_F32), "output %s changed its type",
          narrow->outputs[i].name);
  }
  CHECK(count_op(narrow, TCT_OP_cast) == 4, "%d casts; x, w, b to bf16 and y back are 4",
        (int)count_op(narrow, TCT_OP_cast));
  const tct_node *cast = node_named(narrow, "w/bf16");
  CHECK(cast == node_named(narrow, "w") + 1, "a weight's copy stands at the head of the step");
  tct_graph_free(narrow);
  tct_graph_free(graph);
}

/* Operands and results narrow, forward and backward; what the gradient makes the weights from stays as it is. */
TEST(precision, attention_keeps_its_sums_wide) {
  tct_graph *graph = graph_make();
  const tct_tensor x = tct_input(graph, "x", TCT_F32, TCT_SHAPE(2, 5, 2, 8)), none = {NULL, -1};
  tct_tensor dx;
  tct_gradients(sum_of(tct_square(tct_attention(x, x, x, none, NULL))), &x, 1, &dx);
  tct_output(graph, "dx", dx);
  tct_graph *narrow = made_narrow(graph, TCT_BF16);
  const tct_node *const forward = node_of(narrow, TCT_OP_attention), *const backward = node_of(narrow, TCT_OP_attention_grad);
  for (int32_t i = 0; i < 3; i++) {
    CHECK(narrow->values[forward->in[i]].desc.dtype == TCT_BF16 && narrow->values[backward->out + i].desc.dtype == TCT_BF16, "%d", (int)i);
    CHECK(narrow->values[backward->in[i]].desc.dtype == TCT_BF16, "%d", (int)i);
  }
  CHECK(narrow->values[forward->out].desc.dtype == TCT_BF16 && narrow->values[forward->out + 1].desc.dtype == TCT_F32);
  CHECK(narrow->values[backward->in[3]].desc.dtype == TCT_BF16 && narrow->values[backward->in[5]].desc.dtype == TCT_BF16);
  CHECK(backward->in[4] == forward->out + 1);
  tct_graph_free(narrow);
  tct_graph_free(graph);
}

TEST(precision, leaves_other_types_alone) {
  tct_graph *graph = training_step(TCT_F64, 4);
  tct_graph *narrow = made_narrow(graph, TCT_F16);
  CHECK(narrow->n_nodes == graph->n_nodes, "%d nodes were %d", narrow->n_nodes, graph->n_nodes);
  tct_graph_free(narrow);
  tct_graph_free(graph);
}

TEST(precision, refuses_what_is_no_precision) {
  tct_graph *graph = training_step(TCT_F32, 4);
  tct_device *device = device_make("cpu");
  tct_program *program = NULL;
  FAILS(tct_compile(graph, device, &(tct_compile_options){.precision = TCT_I32}, &program), TCT_INVALID,
        "precision is i32, needs f32, bf16 or f16");
  tct_device_close(device);
  tct_graph_free(graph);
}

/* Bytes that wait from the forward pass for the backward pass: results of forward steps, weights' copies aside. */
static size_t saved_bytes(tct_dtype precision) {
  tct_graph *graph = training_step(TCT_F32, 64);
  tct_device *device = device_make("cpu");
  tct_program *program = NULL;
  OK(tct_compile(graph, device, &(tct_compile_options){.precision = precision}, &program));
  const tct_graph *final = program->graph;
  size_t bytes = 0;
  for (int32_t v = 0; v < final->n_values; v++) {
    const tct_node *maker = tct_maker(final, v);
    bool waits = false;
    if (tct_op_is_source(maker->op) || tct_op_is_view(maker->op) || maker->phase != TCT_PHASE_FORWARD) continue;
    if (maker->op == TCT_OP_cast && tct_maker(final, maker->in[0])->op == TCT_OP_variable) continue;
    for (int32_t n = 0; n < final->n_nodes; n++) {
      const tct_node *node = &final->nodes[n];
      for (int32_t i = 0; node->phase == TCT_PHASE_BACKWARD && i < node->n_in; i++)
        waits = waits || program->plan.root[node->in[i]] == program->plan.root[v];
    }
    const tct_desc *desc = &final->values[v].desc;
    if (waits && program->plan.root[v] == v) bytes += (size_t)tct_shape_size(&desc->shape) * tct_dtype_bytes(desc->dtype);
  }
  tct_program_free(program);
  tct_device_close(device);
  tct_graph_free(graph);
  return bytes;
}

TEST(precision, saved_activations_take_half_the_memory) {
  const size_t wide = saved_bytes(TCT_F32), bf16 = saved_bytes(TCT_BF16), f16 = saved_bytes(TCT_F16);
  CHECK(bf16 == f16 && (double)bf16 < 0.6 * (double)wide, "f32 %zu bytes, bf16 %zu, f16 %zu", wide, bf16, f16);
}

/* ---- predicate ---- */

TEST(predicate, a_false_condition_writes_nothing) {
  static const char *const devices[] = {"ref", "cpu", "check:cpu"};
  static const tct_op ops[] = {TCT_OP_sgd_update, TCT_OP_adam_update, TCT_OP_rmsprop_update, TCT_OP_adagrad_update};
  const tct_shape scalar = {0};
  for (size_t d = 0; d < sizeof devices / sizeof *devices; d++) {
    for (size_t o = 0; o < sizeof ops / sizeof *ops; o++) {
      tct_graph *graph = graph_make();
      tct_device *device = device_make(devices[d]);
      const tct_init half = {TCT_INIT_CONSTANT, 0.5, 0, 0};
      const tct_tensor go = tct_input(graph, "go", TCT_BOOL, scalar), lr = tct_scalar(graph, TCT_F32, 0.1);
      const tct_tensor w = tct_variable(graph, "w", TCT_F32, TCT_SHAPE(3), half), slots[] = {
                           tct_variable(graph, "s0", TCT_F32, TCT_SHAPE(3), half),
                           tct_variable(graph, "s1", TCT_F32, TCT_SHAPE(3), half)};
      const tct_tensor n = tct_variable(graph, "n", TCT_F32, scalar, half);
      const tct_tensor seen = tct_variable(graph, "seen", TCT_BOOL, scalar, (tct_init){0});
      const int32_t n_slots = ops[o] == TCT_OP_sgd_update ? 0 : ops[o] == TCT_OP_adam_update ? 2 : 1;
      tct_update(ops[o], w, slots, n_slots, tct_full(graph, TCT_F32, TCT_SHAPE(3), 1), lr, tct_scalar(graph, TCT_I64, 0),
                 (tct_tensor){NULL, -1}, NULL);
      tct_assign(n, tct_add(n, n));
      tct_assign(seen, tct_logical_not(go)); /* computed from the condition: writes in every run */
      tct_update_when(go);
      tct_program *program = NULL;
      OK(tct_compile(graph, device, NULL, &program));
      tct_variables *variables = tct_program_variables(program);
      for (int run = 0; run < 2; run++) {
        const uint8_t on = run == 1;
        float values[3], doubled;
        uint8_t told;
        OK(tct_program_set(program, "go", &on, 1));
        OK(tct_program_run(program));
        OK(tct_variables_read(variables, "w", values, sizeof values));
        OK(tct_variables_read(variables, "n", &doubled, sizeof doubled));
        OK(tct_variables_read(variables, "seen", &told, sizeof told));
        CHECK((values[2] != 0.5f) == (on == 1) && (doubled == 1.0f) == (on == 1), "%s on %s, %s: w %g, n %g",
              tct_op_name(ops[o]), devices[d], on ? "on" : "off", (double)values[2], (double)doubled);
        CHECK(told == !on, "an update that reads the condition runs always");
        for (int32_t i = 0; i < n_slots; i++) {
          OK(tct_variables_read(variables, i == 0 ? "s0" : "s1", values, sizeof values));
          CHECK((values[0] != 0.5f) == (on == 1), "slot %d of %s", (int)i, tct_op_name(ops[o]));
        }
      }
      tct_program_free(program);
      tct_device_close(device);
      tct_graph_free(graph);
    }
  }
}

TEST(predicate, the_condition_is_one_truth) {
  tct_graph *graph = graph_make();
  tct_update_when(tct_input(graph, "go", TCT_BOOL, TCT_SHAPE(2)));
  FAILS(tct_graph_status(graph), TCT_INVALID, "the condition is bool[2], needs bool[]");
  tct_graph_free(graph);
}
