/* A training step looked at step by step: the steps make what a whole run makes, their operands can be read and replaced, and
 * what there is not is refused. */
#include <math.h>
#include <tercet/tercet.h>
#include "faults.h"
#include "test.h"

enum { N = 6 };

static tct_dataset *samples(void) {
  float x[N][2], y[N][1];
  tct_dataset *data = NULL;
  const tct_field fields[] = {{"x", TCT_F32, TCT_SHAPE(2)}, {"y", TCT_F32, TCT_SHAPE(1)}};
  for (int i = 0; i < N; i++) {
    x[i][0] = (float)i / N;
    x[i][1] = 1 - x[i][0];
    y[i][0] = x[i][0] * 2;
  }
  OK(tct_dataset_arrays(N, 2, fields, (const void *[]){x, y}, false, &data));
  return data;
}

static tct_model *network(const char *device) {
  tct_model *const m = tct_model_create("m", TCT_F32);
  const tct_layer x = tct_layer_input(m, "x", TCT_F32, TCT_SHAPE(2));
  (void)tct_layer_dense(tct_layer_dense(x, &(tct_dense_layer){.name = "hidden", .units = 5, .activation = "relu"}),
                        &(tct_dense_layer){.name = "out", .units = 1});
  OK(tct_model_compile(m, &(tct_training){.loss = "mse", .device = device, .seed = 4, .optimizer = {.type = "sgd", .learning_rate = 0.1}}));
  return m;
}

static const int64_t all[N] = {0, 1, 2, 3, 4, 5};

/* The number of the step of that name. */
static int32_t step_of(const tct_program *program, const char *name, tct_step_info *out) {
  for (int32_t i = 0; tct_program_step(program, i, out); i++)
    if (strcmp(out->name, name) == 0) return i;
  CHECK(false, "no step '%s'", name);
  return -1;
}

TEST(plain, steps_one_by_one_are_the_whole_run) {
  static const char *const devices[] = {"cpu", "ref", "check:cpu", "tpu:v3"};
  for (size_t d = 0; d < sizeof devices / sizeof *devices; d++) {
    tct_model *const one = network(devices[d]), *const whole = network(devices[d]);
    tct_dataset *const data = samples();
    float a[10], b[10];
    OK(tct_fit(whole, data, &(tct_fit_options){.epochs = 3, .batch_size = N, .no_shuffle = true}));
    for (int run = 0; run < 3; run++) {
      tct_program *program = NULL;
      tct_program_info info;
      OK(tct_model_plain_program(one, data, all, N, &program));
      tct_program_describe(program, &info);
      for (int32_t i = 0; i < info.n_steps; i++) OK(tct_program_launch_step(program, i));
      tct_program_free(program);
    }
    OK(tct_model_read(one, "hidden/kernel", a, sizeof a));
    OK(tct_model_read(whole, "hidden/kernel", b, sizeof b));
    for (int i = 0; i < 10; i++) CHECK(fabsf(a[i] - b[i]) < 1e-6f, "%s: %g, fit has %g", devices[d], (double)a[i], (double)b[i]);
    tct_dataset_free(data);
    tct_model_free(one);
    tct_model_free(whole);
  }
}

TEST(plain, operands_are_read_and_replaced) {
  tct_model *const m = network("cpu");
  tct_dataset *const data = samples();
  tct_program *program = NULL;
  tct_step_info info;
  float x[2 * 2], y[2 * 5], kernel[10];
  const int64_t two[] = {4, 1};
  OK(tct_model_plain_program(m, data, two, 2, &program));
  const int32_t i = step_of(program, "hidden/matmul", &info);
  CHECK(strcmp(tct_program_operand_name(program, i, 0), "x") == 0 && strcmp(tct_program_operand_name(program, i, 1), "hidden/kernel") == 0);
  CHECK(strcmp(tct_program_operand_name(program, i, 2), "hidden/matmul") == 0 && tct_program_operand_name(program, i, 3)[0] == '\0');
  OK(tct_program_operand_read(program, i, 0, x, sizeof x));
  CHECK(x[0] == 4.0f / N && x[2] == 1.0f / N, "the samples asked for, in their order: %g %g", (double)x[0], (double)x[2]);
  for (int k = 0; k < 4; k++) x[k] = k == 0 || k == 3; /* the unit matrix */
  OK(tct_program_operand_write(program, i, 0, x, sizeof x));
  OK(tct_program_launch_step(program, i));
  OK(tct_program_operand_read(program, i, 2, y, sizeof y));
  OK(tct_model_read(m, "hidden/kernel", kernel, sizeof kernel));
  CHECK(memcmp(y, kernel, sizeof y) == 0);
  FAILS(tct_program_operand_read(program, i, 3, y, sizeof y), TCT_NOT_FOUND, "no operand 3 of step");
  FAILS(tct_program_operand_write(program, -1, 0, y, sizeof y), TCT_NOT_FOUND, "no operand 0 of step -1");
  FAILS(tct_program_operand_read(program, i, 0, x, 3), TCT_INVALID, "is 16 bytes; got 3");
  FAILS(tct_program_launch_step(program, 10000), TCT_NOT_FOUND, "no step 10000");
  tct_program_free(program);
  FAILS(tct_model_plain_program(m, data, two, 0, &program), TCT_INVALID, "batch size 0");
  FAILS(tct_model_plain_program(m, data, (const int64_t[]){N}, 1, &program), TCT_INVALID, "");
  FAILS(tct_model_plain_program(m, NULL, two, 2, &program), TCT_INVALID, "the dataset is NULL");
  CHECK(program == NULL);
  tct_dataset_free(data);
  tct_model_free(m);
}

TEST(plain, each_failed_allocation_is_an_error) {
  tct_model *const m = network("cpu");
  tct_dataset *const data = samples();
  int64_t n_failed = 0;
  bool struck = true;
  for (int64_t n = 1; struck; n++) {
    tct_program *program = NULL;
    (void)fault_alloc(n);
    const tct_status status = tct_model_plain_program(m, data, all, N, &program);
    struck = fault_alloc(0);
    CHECK((status == TCT_OK) == !struck && (program != NULL) == !struck, "allocation %d: %s", (int)n, tct_error_message());
    CHECK(!struck || status == TCT_OUT_OF_MEMORY, "allocation %d: %s", (int)n, tct_error_message());
    tct_program_free(program);
    n_failed += struck;
  }
  CHECK(n_failed > 20, "%d", (int)n_failed);
  tct_dataset_free(data);
  tct_model_free(m);
}
