/* Programs: nothing is allocated in the step loop, every failed allocation is an error and no leak, what programs
 * share, and what their ports refuse. */
#include "base/alloc.h"
#include "exec/exec.h"
#include "faults.h"
#include "graphs.h"
#include "test.h"

static tct_program *compiled(const tct_graph *graph, tct_device *device, const tct_compile_options *options) {
  tct_program *program = NULL;
  OK(tct_compile(graph, device, options, &program));
  return program;
}

/* Calls `check` with the name of every device that is here, and with one that is watched. */
static void on_each_device(void (*check)(const char *spec)) {
  tct_device_kind kind;
  for (int32_t i = 0; tct_device_list(i, &kind); i++) {
    if (kind.n_devices > 0) check(spec_of(&kind));
  }
  check("check:cpu");
}

/* ---- allocations ---- */

static void no_allocation(const char *spec) {
  tct_device *device = device_make(spec);
  tct_graph *graph = training_step(TCT_F32, 4);
  tct_program *program = compiled(graph, device, NULL);
  float loss = 0, first = 0;
  feed(program);
  OK(tct_program_run(program));
  OK(tct_program_get(program, "loss", &first, sizeof first));
  const int64_t before = tct_alloc_count();
  for (int run = 0; run < 3; run++) {
    OK(tct_program_run(program));
    OK(tct_program_get(program, "loss", &loss, sizeof loss));
  }
  CHECK(tct_alloc_count() == before, "%s: %d allocations in three steps", spec, (int)(tct_alloc_count() - before));
  CHECK(isfinite(loss) && loss != first, "%s: the weights move: %g, %g", spec, (double)first, (double)loss);
  tct_program_free(program);
  tct_graph_free(graph);
  tct_device_close(device);
}
TEST(program, steps_allocate_nothing) {
  on_each_device(no_allocation);
}

/* Builds, compiles, runs and reads; whatever fails first is the result. */
static tct_status attempt(tct_device *device) {
  tct_graph *graph = NULL;
  tct_program *program = NULL;
  tct_status status = tct_graph_create(&graph);
  if (status != TCT_OK) return status;
  const tct_tensor x = tct_input(graph, "x", TCT_F32, TCT_SHAPE(3, 4));
  const tct_tensor w = tct_variable(graph, "w", TCT_F32, TCT_SHAPE(4, 5), (tct_init){TCT_INIT_GLOROT_UNIFORM, 0, 0, 0});
  const tct_tensor b = tct_variable(graph, "b", TCT_F32, TCT_SHAPE(5), (tct_init){0});
  const tct_tensor lr = tct_scalar(graph, TCT_F32, 0.1), wrt[] = {w, b}, none = {NULL, -1};
  const tct_tensor y = tct_relu(tct_add(tct_matmul(x, w), b));
  const tct_tensor loss = tct_reduce_mean(tct_square(tct_tanh(y)), NULL, 0, false);
  tct_tensor d[2];
  tct_gradients(loss, wrt, 2, d);
  for (int i = 0; i < 2; i++) tct_update(TCT_OP_sgd_update, wrt[i], NULL, 0, d[i], lr, none, none, NULL);
  tct_output(graph, "loss", loss);
  float in[12] = {0}, out = 0;
  status = tct_compile(graph, device, NULL, &program);
  if (status == TCT_OK) status = tct_program_set(program, "x", in, sizeof in);
  if (status == TCT_OK) status = tct_program_run(program);
  if (status == TCT_OK) status = tct_program_get(program, "loss", &out, sizeof out);
  tct_program_free(program);
  tct_graph_free(graph);
  return status;
}

static void fail_each(const char *spec) {
  int64_t n_failed = 0;
  tct_device *device = device_make(spec);
  OK(attempt(device)); /* what a device opens once, as the reference behind it */
  const int64_t live = tct_alloc_live();
  for (int64_t n = 1; n < 5000; n++) {
    tct_error_clear();
    (void)fault_alloc(n);
    const tct_status status = attempt(device);
    if (!fault_alloc(0)) {
      OK(status);
      break;
    }
    n_failed++;
    CHECK(status == TCT_OUT_OF_MEMORY, "%s: allocation %d failed, but the result is %s: %s", spec, (int)n,
          tct_status_name(status), tct_error_message());
    CHECK(strstr(tct_error_message(), "allocate") != NULL, "%s: allocation %d: %s", spec, (int)n, tct_error_message());
    CHECK(tct_alloc_live() == live, "%s: allocation %d failed and %d blocks leaked", spec, (int)n,
          (int)(tct_alloc_live() - live));
  }
  CHECK(n_failed > 20, "%s: %d allocations", spec, (int)n_failed);
  CHECK(tct_alloc_live() == live);
  tct_device_close(device);
}
TEST(program, every_failed_allocation_is_an_error_and_no_leak) {
  on_each_device(fail_each);
}

static void fail_open(const char *spec) {
  const int64_t live = tct_alloc_live();
  for (int64_t n = 1; n < 1000; n++) {
    tct_device *device = NULL;
    (void)fault_alloc(n);
    const tct_status status = tct_device_open(spec, NULL, &device);
    const bool struck = fault_alloc(0);
    tct_device_close(device);
    CHECK(tct_alloc_live() == live, "%s: allocation %d leaked", spec, (int)n);
    if (!struck) break;
    CHECK(status == TCT_OUT_OF_MEMORY && device == NULL, "%s: %s", spec, tct_status_name(status));
  }
}
TEST(program, a_device_that_cannot_allocate_does_not_open) {
  on_each_device(fail_open);
}

/* ---- sharing ---- */

static void share(const char *spec) {
  tct_device *device = device_make(spec);
  tct_variables *variables = NULL;
  OK(tct_variables_create(device, 7, &variables));
  tct_graph *large = training_step(TCT_F32, 8), *small = training_step(TCT_F32, 3);
  tct_program *first = compiled(large, device, &(tct_compile_options){.variables = variables});
  tct_program *second = compiled(small, device, &(tct_compile_options){.variables = variables, .share_arena = first});
  CHECK(first->memory == second->memory, "the smaller program runs in the larger one's arena");
  feed(first);
  feed(second);
  int64_t step = -1;
  for (int i = 0; i < 4; i++) OK(tct_program_run(i % 2 == 0 ? first : second));
  OK(tct_variables_read(variables, "step", &step, sizeof step));
  CHECK(step == 4, "both count in one variable: %d", (int)step);
  tct_program_free(first); /* the arena stays for the second */
  OK(tct_program_run(second));
  tct_program_free(second);
  tct_graph_free(large);
  tct_graph_free(small);
  tct_variables_free(variables);
  tct_device_close(device);
}
TEST(program, programs_share_variables_and_an_arena) {
  on_each_device(share);
}

/* Same seed, same bits: weights, dropout, ten steps. */
static void repeat(const char *spec) {
  float loss[2][10];
  for (int round = 0; round < 2; round++) {
    tct_device *device = device_make(spec);
    tct_graph *graph = training_step(TCT_F32, 6);
    tct_program *program = compiled(graph, device, &(tct_compile_options){.seed = 5});
    feed(program);
    for (int i = 0; i < 10; i++) {
      OK(tct_program_run(program));
      OK(tct_program_get(program, "loss", &loss[round][i], sizeof(float)));
    }
    tct_program_free(program);
    tct_graph_free(graph);
    tct_device_close(device);
  }
  CHECK(memcmp(loss[0], loss[1], sizeof loss[0]) == 0, "%s", spec);
  CHECK(loss[0][9] < loss[0][0], "%s learns: %g, %g", spec, (double)loss[0][0], (double)loss[0][9]);
}
TEST(program, a_seed_repeats_a_run) {
  on_each_device(repeat);
}

TEST(program, a_variable_keeps_its_shape) {
  tct_device *ref = device_make("ref");
  tct_variables *variables = NULL;
  OK(tct_variables_create(ref, 0, &variables));
  tct_graph *graph = graph_make(), *other = graph_make();
  tct_output(graph, "y", tct_neg(VARIABLE(graph, "w", 3)));
  tct_output(other, "y", tct_neg(VARIABLE(other, "w", 4)));
  const tct_compile_options options = {.variables = variables};
  tct_program *program = compiled(graph, ref, &options), *refused = NULL;
  FAILS(tct_compile(other, ref, &options, &refused), TCT_INVALID,
        "variable 'w' is there as f64[3], the graph has it as f64[4]");
  tct_program_free(program);
  tct_variables_free(variables);
  tct_graph_free(graph);
  tct_graph_free(other);
  tct_device_close(ref);
}

/* ---- ports ---- */

TEST(program, ports_are_checked) {
  tct_device *ref = device_make("ref");
  tct_graph *graph = graph_make();
  const tct_tensor images = INPUT(graph, "images", 2, 3);
  tct_output(graph, "double", tct_add(images, images));
  tct_output(graph, "same", images);
  tct_program *program = compiled(graph, ref, NULL);
  double x[6] = {1, 2, 3, 4, 5, 6}, y[6] = {0};
  FAILS(tct_program_set(program, "image", x, sizeof x), TCT_NOT_FOUND, "did you mean 'images'?");
  FAILS(tct_program_set(program, "images", x, 7), TCT_INVALID, "input 'images' is f64[2,3], 48 bytes; got 7");
  FAILS(tct_program_get(program, "doubel", y, sizeof y), TCT_NOT_FOUND, "did you mean 'double'?");
  FAILS(tct_program_get(program, "double", y, 8), TCT_INVALID, "48 bytes; got 8");
  OK(tct_program_set(program, "images", x, sizeof x));
  OK(tct_program_run(program));
  OK(tct_program_get(program, "double", y, sizeof y));
  for (int i = 0; i < 6; i++) CHECK(y[i] == 2 * x[i]);
  OK(tct_program_get(program, "same", y, sizeof y));
  for (int i = 0; i < 6; i++) CHECK(y[i] == x[i]);
  tct_program_free(program);
  tct_graph_free(graph);
  tct_device_close(ref);
}

TEST(program, steps_are_described) {
  tct_device *ref = device_make("ref");
  tct_graph *graph = training_step(TCT_F32, 4);
  tct_program *program = compiled(graph, ref, NULL);
  tct_program_info info;
  tct_program_describe(program, &info);
  CHECK(info.n_steps > 10 && info.n_fallback == 0 && info.flops > 0 && info.bytes > 0 && info.arena_bytes > 0);
  tct_step_info step;
  double flops = 0;
  for (int32_t i = 0; i < info.n_steps; i++) {
    CHECK(tct_program_step(program, i, &step) && step.name != NULL && step.kernel != NULL && step.seconds == 0);
    flops += step.flops;
  }
  CHECK(!tct_program_step(program, info.n_steps, &step) && flops == info.flops);
  feed(program);
  tct_program_profile(program, true);
  OK(tct_program_run(program));
  double seconds = 0;
  for (int32_t i = 0; i < info.n_steps; i++) {
    (void)tct_program_step(program, i, &step);
    seconds += step.seconds;
  }
  CHECK(seconds > 0);
  tct_program_free(program);
  tct_graph_free(graph);
  tct_device_close(ref);
}

/* An output is a reader like any other: it has the variable's value from before the update, whatever passes ran. */
TEST(program, outputs_of_a_variable_are_from_before_its_update) {
  static const char *const skips[] = {"", "simplify", "constants,simplify,fuse_bias_gradient,fuse_epilogue,fuse_chain"};
  for (size_t s = 0; s < sizeof skips / sizeof skips[0]; s++) {
    tct_graph *graph = graph_make();
    tct_device *device = device_make("ref");
    const tct_init two = {TCT_INIT_CONSTANT, 2, 0, 0};
    const tct_tensor w = tct_variable(graph, "w", TCT_F64, TCT_SHAPE(2), two);
    const tct_tensor n = tct_variable(graph, "n", TCT_I64, tct_shape_of(0, NULL), (tct_init){0});
    tct_output(graph, "plain", w);
    tct_output(graph, "view", tct_reshape(tct_stop_gradient(w), TCT_SHAPE(2, 1)));
    tct_output(graph, "cast", tct_cast(w, TCT_F64));
    tct_output(graph, "n", n);
    tct_assign(w, tct_add(w, tct_scalar(graph, TCT_F64, 1)));
    tct_assign(n, tct_add(n, tct_scalar(graph, TCT_I64, 1)));
    tct_program *program = NULL;
    setenv("TERCET_SKIP", skips[s], 1);
    OK(tct_compile(graph, device, NULL, &program));
    unsetenv("TERCET_SKIP");
    for (int run = 0; run < 2; run++) {
      static const char *const names[] = {"plain", "view", "cast"};
      OK(tct_program_run(program));
      for (int i = 0; i < 3; i++) {
        double value[2] = {0};
        OK(tct_program_get(program, names[i], value, sizeof value));
        CHECK(value[0] == 2 + run && value[1] == 2 + run, "skip '%s', run %d: %s is %g", skips[s], run, names[i], value[0]);
      }
      int64_t count = -1;
      OK(tct_program_get(program, "n", &count, sizeof count));
      CHECK(count == run, "run %d: n is %lld", run, (long long)count);
    }
    tct_program_free(program);
    tct_graph_free(graph);
    tct_device_close(device);
  }
}
