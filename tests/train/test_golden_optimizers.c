/* Optimizers step by step in f64 on the reference: PyTorch's 1 001 steps of a small network
 * (pytorch-optimizers-1001-steps.json) and Keras' own five-step and one-step checks (keras-optimizers.json). Not here, for
 * want of the method: AMSGrad, Adadelta, Adamax, Nadam, Lion, Ftrl, Lamb, Adafactor. */
#include <tercet/tercet.h>
#include "goldens.h"
#include "graphs.h"
#include "nn/optimizers.h"
#include "test.h"

enum { MOST_VALUES = 16 };

static size_t numbers(const json_t *list, double *out) {
  const size_t n = json_array_size(list);
  CHECK(n > 0 && n <= MOST_VALUES, "%d numbers", (int)n);
  for (size_t i = 0; i < n; i++) out[i] = json_number_value(json_array_get(list, i));
  return n;
}

static double number_or(const json_t *object, const char *key, double fallback) {
  const json_t *value = json_object_get(object, key);
  return value != NULL ? json_number_value(value) : fallback;
}

static void check_close(const char *what, int step, const double *got, const json_t *golden, double relative,
                        double absolute) {
  double want[MOST_VALUES];
  const size_t n = numbers(golden, want);
  for (size_t i = 0; i < n; i++) {
    CHECK(fabs(got[i] - want[i]) <= absolute + relative * fabs(want[i]), "%s, step %d: %d is %.10g, not %.10g", what, step,
          (int)i, got[i], want[i]);
  }
}

/* ---- PyTorch ---- */

/* Linear(2,3), sigmoid, Linear(3,1), sigmoid over three rows; the loss is the sum of the outputs. */
static const char *const names[] = {"w0", "b0", "w1", "b1"};
static tct_graph *network(const tct_optimizer_plan *plan, const double rows[6]) {
  tct_graph *graph = graph_make();
  const tct_tensor v[] = {VARIABLE(graph, "w0", 3, 2), VARIABLE(graph, "b0", 3), VARIABLE(graph, "w1", 1, 3),
                          VARIABLE(graph, "b1", 1)};
  const tct_tensor x = tct_constant(graph, TCT_F64, TCT_SHAPE(3, 2), rows);
  const tct_tensor hidden = tct_sigmoid(tct_add(tct_matmul_transposed(x, v[0], false, true), v[1]));
  const tct_tensor y = tct_sigmoid(tct_add(tct_matmul_transposed(hidden, v[2], false, true), v[3]));
  tct_tensor d[4];
  tct_gradients(sum_of(y), v, 4, d);
  tct_optimizer_apply(plan, v, names, d, 4, tct_input(graph, "lr", TCT_F64, (tct_shape){0}),
                      tct_input(graph, "step", TCT_I64, (tct_shape){0}), (tct_tensor){NULL, -1});
  return graph;
}

/* PyTorch adds ε to the root where ours (Keras') stands in it: squared there. Its Adam's ε is beside the corrected root,
 * which is not the same but at the first steps. */
static tct_optimizer of_pytorch(const char *type, const json_t *config) {
  const bool in_root = strcmp(type, "rmsprop") == 0 || strcmp(type, "adagrad") == 0;
  const double epsilon = number_or(config, "eps", strcmp(type, "adagrad") == 0 ? 1e-10 : 1e-8);
  return (tct_optimizer){.type = type,
                         .learning_rate = json_number_value(member(config, "lr")),
                         .momentum = number_or(config, "momentum", 0),
                         .nesterov = json_is_true(json_object_get(config, "nesterov")),
                         .rho = number_or(config, "alpha", 0.99),
                         .centered = json_is_true(json_object_get(config, "centered")),
                         .initial_accumulator_value = -1,
                         .l2 = number_or(config, "weight_decay", 0),
                         .epsilon = in_root ? epsilon * epsilon : epsilon};
}

static void check_pytorch(const json_t *root, const char *group, const char *name, const char *type) {
  const json_t *c = member(member(root, group), name), *config = member(c, "config"), *golden = member(c, "numpy_float64");
  const tct_optimizer optimizer = of_pytorch(type, config);
  const double lr_decay = number_or(config, "lr_decay", 0);
  tct_optimizer_plan plan;
  double rows[6], value[MOST_VALUES];
  OK(tct_optimizer_resolve(&optimizer, &plan));
  for (size_t r = 0; r < 3; r++) numbers(json_array_get(member(root, "input"), r), rows + 2 * r);
  tct_device *device = device_make("ref");
  tct_graph *graph = network(&plan, rows);
  tct_program *program = NULL;
  OK(tct_compile(graph, device, NULL, &program));
  tct_variables *variables = tct_program_variables(program);
  for (size_t p = 0; p < 4; p++) {
    const size_t n = numbers(json_array_get(member(root, "init"), p), value);
    OK(tct_variables_write(variables, names[p], value, n * sizeof *value));
  }
  for (int64_t step = 0; step <= 1000; step++) {
    const double lr = plan.learning_rate / (1 + (double)step * lr_decay);
    char key[16];
    OK(tct_program_set(program, "lr", &lr, sizeof lr));
    OK(tct_program_set(program, "step", &step, sizeof step));
    OK(tct_program_run(program));
    snprintf(key, sizeof key, "%d", (int)step);
    const json_t *want = json_object_get(golden, key);
    for (size_t p = 0; want != NULL && p < 4; p++) {
      const json_t *list = json_array_get(want, p);
      OK(tct_variables_read(variables, names[p], value, json_array_size(list) * sizeof *value));
      check_close(name, (int)step, value, list, 1e-3, 5e-4);
    }
  }
  tct_program_free(program);
  tct_graph_free(graph);
  tct_device_close(device);
}

TEST(golden_optimizers, pytorch) {
  DATA_OR_SKIP();
  json_t *root = open_goldens(folder, "pytorch-optimizers-1001-steps.json");
  static const char *const rows[][3] = {{"cases", "Adam", "adam"},
                                        {"cases", "Adagrad", "adagrad"},
                                        {"cases", "RMSprop", "rmsprop"},
                                        {"cases", "SGD", "sgd"},
                                        {"extra_configs_numpy_only", "Adam_wd1e-2", "adam"},
                                        {"extra_configs_numpy_only", "Adagrad_wd1e-2", "adagrad"},
                                        {"extra_configs_numpy_only", "RMSprop_centered", "rmsprop"},
                                        {"extra_configs_numpy_only", "RMSprop_centered_momentum", "rmsprop"},
                                        {"extra_configs_numpy_only", "SGD_nesterov", "sgd"},
                                        {"extra_configs_numpy_only", "SGD_wd1e-2", "sgd"}};
  for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) check_pytorch(root, rows[r][0], rows[r][1], rows[r][2]);
  json_decref(root);
}

/* ---- Keras ---- */

/* One weight with a gradient that is an input. */
typedef struct stepper {
  tct_device *device;
  tct_graph *graph;
  tct_program *program;
  double learning_rate;
  int64_t step;
  size_t bytes;
} stepper;

static void stepper_open(stepper *s, const tct_optimizer *optimizer, const double *first, size_t n) {
  static const char *const name = "w";
  tct_optimizer_plan plan;
  OK(tct_optimizer_resolve(optimizer, &plan));
  *s = (stepper){device_make("ref"), graph_make(), NULL, plan.learning_rate, 0, n * sizeof(double)};
  const tct_tensor w = VARIABLE(s->graph, name, (int64_t)n), g = INPUT(s->graph, "g", (int64_t)n);
  tct_optimizer_apply(&plan, &w, &name, &g, 1, tct_input(s->graph, "lr", TCT_F64, (tct_shape){0}),
                      tct_input(s->graph, "step", TCT_I64, (tct_shape){0}), (tct_tensor){NULL, -1});
  OK(tct_compile(s->graph, s->device, NULL, &s->program));
  OK(tct_variables_write(tct_program_variables(s->program), name, first, s->bytes));
}

/* `out` is the weight after the step. */
static void stepper_go(stepper *s, const double *gradient, double *out) {
  OK(tct_program_set(s->program, "g", gradient, s->bytes));
  OK(tct_program_set(s->program, "lr", &s->learning_rate, sizeof s->learning_rate));
  OK(tct_program_set(s->program, "step", &s->step, sizeof s->step));
  OK(tct_program_run(s->program));
  OK(tct_variables_read(tct_program_variables(s->program), "w", out, s->bytes));
  s->step++;
}

static void stepper_close(stepper *s) {
  tct_program_free(s->program);
  tct_graph_free(s->graph);
  tct_device_close(s->device);
}

static tct_optimizer of_keras(const char *type, const json_t *config) {
  const double momentum = number_or(config, "momentum", 0);
  return (tct_optimizer){.type = type,
                         .learning_rate = number_or(config, "learning_rate", 0),
                         .momentum = momentum,
                         .nesterov = momentum > 0 && json_is_true(json_object_get(config, "nesterov")),
                         .beta_1 = number_or(config, "beta_1", 0),
                         .beta_2 = number_or(config, "beta_2", 0),
                         .epsilon = number_or(config, "epsilon", 0),
                         .rho = number_or(config, "rho", 0),
                         .centered = json_is_true(json_object_get(config, "centered")),
                         .initial_accumulator_value = number_or(config, "initial_accumulator_value", 0),
                         .weight_decay = number_or(config, "weight_decay", 0)};
}

/* From ones, a step with 0.01 everywhere and four with 0.1, 0.2 … 1. */
static void check_five_steps(const char *type, const json_t *c) {
  double w[10], g[10];
  stepper s;
  const tct_optimizer optimizer = of_keras(type, member(c, "config"));
  for (int i = 0; i < 10; i++) {
    w[i] = 1;
    g[i] = 0.01;
  }
  stepper_open(&s, &optimizer, w, 10);
  for (size_t step = 0; step < 5; step++) {
    stepper_go(&s, g, w);
    check_close(type, (int)step, w, json_array_get(member(c, "golden"), step), 5e-4, 5e-4);
    for (int i = 0; i < 10; i++) g[i] = 0.1 * (i + 1);
  }
  stepper_close(&s);
}

static void check_single_step(const char *type, const json_t *c) {
  double w[MOST_VALUES], g[MOST_VALUES];
  stepper s;
  const tct_optimizer optimizer = of_keras(type, member(c, "config"));
  const size_t n = numbers(member(c, "vars_before"), w);
  numbers(member(c, "grads"), g);
  stepper_open(&s, &optimizer, w, n);
  stepper_go(&s, g, w);
  check_close(type, 0, w, member(c, "vars_after"), 0, json_number_value(member(c, "tol")));
  stepper_close(&s);
}

/* clipnorm and clipvalue: what plain SGD takes off with a rate of 1. */
static void check_clipping(const json_t *c, const char *key) {
  const double limit = json_number_value(member(c, key));
  tct_optimizer optimizer = {.type = "sgd", .learning_rate = 1};
  if (strcmp(key, "clipnorm") == 0) optimizer.clipnorm = limit;
  if (strcmp(key, "clipvalue") == 0) optimizer.clipvalue = limit;
  double g[MOST_VALUES], w[MOST_VALUES] = {0};
  const size_t n = numbers(member(c, "grad"), g);
  stepper s;
  stepper_open(&s, &optimizer, w, n);
  stepper_go(&s, g, w);
  for (size_t i = 0; i < n; i++) w[i] = -w[i];
  check_close(key, 0, w, member(c, "result"), 0, 1e-12);
  stepper_close(&s);
}

TEST(golden_optimizers, keras) {
  DATA_OR_SKIP();
  json_t *root = open_goldens(folder, "keras-optimizers.json");
  static const char *const types[] = {"sgd", "adam", "adamw", "rmsprop", "adagrad"};
  for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
    const json_t *c = member(root, types[t]);
    if (!json_is_true(json_object_get(member(c, "config"), "amsgrad"))) check_five_steps(types[t], c);
    check_single_step(types[t], member(c, "single_step"));
  }
  const json_t *clip = member(root, "_clip");
  check_clipping(member(clip, "clipnorm"), "clipnorm");
  check_clipping(member(clip, "clipvalue"), "clipvalue");
  json_decref(root);
}

TEST(golden_optimizers, two_norms_are_refused) {
  tct_optimizer_plan plan;
  const tct_optimizer both = {.type = "sgd", .clipnorm = 1, .global_clipnorm = 2};
  FAILS(tct_optimizer_resolve(&both, &plan), TCT_INVALID, "clipnorm 1 and global_clipnorm 2 exclude each other");
}
