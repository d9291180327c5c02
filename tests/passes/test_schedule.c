/* The order of execution: operands first, updates behind every other reader of what they write. */
#include "graphs.h"
#include "test.h"

static int32_t position_of(const tct_schedule *schedule, const tct_graph *graph, const char *name) {
  for (int32_t s = 0; s < schedule->n_steps; s++) {
    if (strcmp(graph->nodes[schedule->node[s]].name, name) == 0) return s;
  }
  CHECK(false, "no step '%s'", name);
  return -1;
}

/* Brute force: every operand of every step is a source, or made by an earlier step, through views; no step reads a
 * variable behind an update that writes it. */
static void check_order(const tct_graph *graph, const tct_schedule *schedule) {
  bool *made = calloc((size_t)graph->n_values + 1, 1), *written = calloc((size_t)graph->n_values + 1, 1);
  int32_t n_steps = 0;
  for (int32_t n = 0; n < graph->n_nodes; n++) {
    const tct_node *node = &graph->nodes[n];
    if (tct_op_is_source(node->op)) made[node->out] = true;
    n_steps += !tct_op_is_source(node->op) && !tct_op_is_view(node->op);
  }
  CHECK(n_steps == schedule->n_steps, "%d steps of %d", (int)schedule->n_steps, (int)n_steps);
  for (int32_t s = 0; s < schedule->n_steps; s++) {
    const tct_node *node = &graph->nodes[schedule->node[s]];
    for (int32_t i = 0; i < node->n_in; i++) {
      int32_t value = node->in[i];
      while (tct_op_is_view(tct_maker(graph, value)->op)) value = tct_maker(graph, value)->in[0];
      CHECK(made[value], "step %d '%s' reads '%s' too early", (int)s, node->name, tct_maker(graph, value)->name);
      CHECK(!written[value], "step %d '%s' reads '%s' after its update", (int)s, node->name,
            tct_maker(graph, value)->name);
    }
    for (int32_t o = 0; o < node->n_out; o++) made[node->out + o] = true;
    for (int32_t i = 0; i < tct_node_writes(node); i++) written[node->in[i]] = true;
  }
  free(made);
  free(written);
}

static void plan(const tct_graph *graph, tct_arena *arena, tct_schedule *out) {
  OK(tct_plan_schedule(graph, NULL, arena, out));
}

TEST(schedule, updates_wait_for_other_readers) {
  tct_graph *graph = graph_make();
  const tct_tensor w = VARIABLE(graph, "w", 3), x = INPUT(graph, "x", 3);
  tct_assign(w, tct_add(w, x));                                                       /* built first */
  tct_output(graph, "late", tct_mul(tct_reshape(w, TCT_SHAPE(3, 1)), tct_square(x))); /* reads w through a view */
  tct_arena arena = {0};
  tct_schedule schedule;
  plan(graph, &arena, &schedule);
  check_order(graph, &schedule);
  CHECK(position_of(&schedule, graph, "assign") > position_of(&schedule, graph, "mul"));
  tct_arena_free(&arena);
  tct_graph_free(graph);
}

TEST(schedule, updates_come_as_early_as_they_can) {
  tct_graph *graph = graph_make();
  const tct_tensor w = VARIABLE(graph, "w", 3), x = INPUT(graph, "x", 3);
  const tct_tensor value = tct_add(w, x);
  tct_output(graph, "late", tct_exp(tct_sin(x)));
  tct_assign(w, value);
  tct_arena arena = {0};
  tct_schedule schedule;
  plan(graph, &arena, &schedule);
  check_order(graph, &schedule);
  CHECK(position_of(&schedule, graph, "assign") == position_of(&schedule, graph, "add") + 1);
  tct_arena_free(&arena);
  tct_graph_free(graph);
}

static tct_status launch_many(tct_device_impl *device, const tct_launch *const *launches, int32_t n) {
  (void)device, (void)launches, (void)n;
  return TCT_INTERNAL; /* a schedule launches nothing */
}

TEST(schedule, updates_of_a_kernel_for_many_come_last_in_their_order) {
  static const tct_kernel many = {.op = "assign", .name = "assign.many", .launch_many = launch_many};
  tct_graph *graph = graph_make();
  const tct_tensor a = VARIABLE(graph, "a", 3), b = VARIABLE(graph, "b", 3), x = INPUT(graph, "x", 3);
  const tct_tensor first = tct_add(a, x);
  tct_output(graph, "late", tct_exp(tct_sin(x)));
  tct_assign(a, first);
  tct_assign(b, tct_neg(x));
  tct_selection selections[32] = {{.kernel = NULL}};
  CHECK(graph->n_nodes <= 32);
  for (int32_t n = 0; n < graph->n_nodes; n++)
    if (tct_op_is_update(graph->nodes[n].op)) selections[n].kernel = &many;
  tct_arena arena = {0};
  tct_schedule schedule;
  OK(tct_plan_schedule(graph, selections, &arena, &schedule));
  check_order(graph, &schedule);
  const int32_t n = schedule.n_steps;
  CHECK(graph->nodes[schedule.node[n - 2]].in[0] == a.id && graph->nodes[schedule.node[n - 1]].in[0] == b.id);
  tct_arena_free(&arena);
  tct_graph_free(graph);
}

TEST(schedule, an_update_that_reads_another_variable_comes_before_its_update) {
  tct_graph *graph = graph_make();
  const tct_tensor a = VARIABLE(graph, "a", 3), b = VARIABLE(graph, "b", 3), c = VARIABLE(graph, "c", 3);
  tct_assign(b, c); /* must be second: a's update reads b */
  tct_assign(a, b);
  tct_assign(c, tct_neg(a));
  tct_arena arena = {0};
  tct_schedule schedule;
  plan(graph, &arena, &schedule);
  check_order(graph, &schedule);
  tct_arena_free(&arena);
  tct_graph_free(graph);
}

TEST(schedule, updates_that_await_each_other_are_refused) {
  tct_graph *graph = graph_make();
  const tct_tensor a = VARIABLE(graph, "a", 3), b = VARIABLE(graph, "b", 3);
  tct_assign(a, b);
  tct_assign(b, a);
  tct_arena arena = {0};
  tct_schedule schedule;
  FAILS(tct_plan_schedule(graph, NULL, &arena, &schedule), TCT_INVALID, "read each other's variables");
  tct_arena_free(&arena);
  tct_graph_free(graph);
}

TEST(schedule, a_training_step_is_in_order) {
  tct_device *ref = device_make("ref");
  tct_graph *graph = training_step(TCT_F32, 4), *after = passed(graph, ref, NULL);
  const tct_graph *const both[] = {graph, after};
  for (int i = 0; i < 2; i++) {
    tct_arena arena = {0};
    tct_schedule schedule;
    plan(both[i], &arena, &schedule);
    check_order(both[i], &schedule);
    tct_arena_free(&arena);
  }
  tct_graph_free(after);
  tct_graph_free(graph);
  tct_device_close(ref);
}

/* The same by values: what a run reads is the variable from before. */
TEST(schedule, readers_see_the_value_from_before) {
  tct_device *ref = device_make("ref");
  tct_graph *graph = graph_make();
  const tct_tensor step = tct_variable(graph, "step", TCT_I64, (tct_shape){0}, (tct_init){0});
  tct_assign(step, tct_add(step, tct_scalar(graph, TCT_I64, 1)));
  tct_output(graph, "double", tct_add(step, step));
  tct_program *program = NULL;
  OK(tct_compile(graph, ref, NULL, &program));
  for (int64_t run = 0; run < 3; run++) {
    int64_t twice = -1, now = -1;
    OK(tct_program_run(program));
    OK(tct_program_get(program, "double", &twice, sizeof twice));
    OK(tct_variables_read(tct_program_variables(program), "step", &now, sizeof now));
    CHECK(twice == 2 * run && now == run + 1, "run %d: %d and %d", (int)run, (int)twice, (int)now);
  }
  tct_program_free(program);
  tct_graph_free(graph);
  tct_device_close(ref);
}
