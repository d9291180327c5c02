/* Losses that are not finite: updates are held back, whatever brought them, and the error names where NaN or Inf began. */
#include <tercet/tercet.h>
#include "test.h"

enum { N = 8 };

/* x [2] and y [1], finite but for what `bad` puts into element 1 of sample 5. */
static tct_dataset *samples(const char *field, float bad) {
  static float x[N][2], y[N][1], weight[N];
  for (int i = 0; i < N; i++) {
    x[i][0] = (float)i / N;
    x[i][1] = 1 - x[i][0];
    y[i][0] = x[i][0];
    weight[i] = 1;
  }
  if (strcmp(field, "x") == 0) x[5][1] = bad;
  if (strcmp(field, "y") == 0) y[5][0] = bad;
  if (strcmp(field, "weight") == 0) weight[5] = bad;
  tct_dataset *data = NULL;
  const tct_field fields[] = {{"x", TCT_F32, TCT_SHAPE(2)}, {"y", TCT_F32, TCT_SHAPE(1)}, {"weight", TCT_F32, {0}}};
  OK(tct_dataset_arrays(N, 3, fields, (const void *[]){x, y, weight}, false, &data));
  return data;
}

/* BatchNormalization's assigns stand before the loss in the graph; dropout draws by the step. */
static tct_model *network(const char *device, const char *optimizer, double scale, double penalty) {
  tct_model *m = tct_model_create("m", TCT_F32);
  tct_layer x = tct_layer_input(m, "x", TCT_F32, TCT_SHAPE(2));
  x = tct_layer_rescaling(x, &(tct_rescaling_layer){.name = "stretch", .scale = scale});
  x = tct_layer_dense(x, &(tct_dense_layer){.name = "dense", .units = 8, .activation = "relu",
                                            .kernel_regularizer = {.l2 = penalty}});
  x = tct_layer_batch_normalization(x, NULL);
  x = tct_layer_dropout(x, &(tct_dropout_layer){.rate = 0.25});
  tct_layer_dense(x, &(tct_dense_layer){.name = "out", .units = 1});
  OK(tct_model_compile(m, &(tct_training){.loss = "mse", .device = device, .seed = 3,
                                          .optimizer = {.type = optimizer, .learning_rate = 0.01, .momentum = strcmp(optimizer, "sgd") == 0 ? 0.9 : 0}}));
  return m;
}

/* Every variable of the model that its training step uses, optimizer slots and step counter too. */
static uint64_t state_of(tct_model *m) {
  tct_program *program = NULL;
  OK(tct_model_program(m, N, true, &program));
  tct_variables *variables = tct_program_variables(program);
  uint64_t hash = 1469598103934665603u;
  for (int32_t i = 0; i < tct_variables_count(variables); i++) {
    unsigned char bytes[1024];
    tct_desc desc;
    const char *name = tct_variables_name(variables, i);
    OK(tct_variables_desc(variables, name, &desc));
    const size_t n = (size_t)tct_shape_size(&desc.shape) * tct_dtype_bytes(desc.dtype);
    OK(tct_variables_read(variables, name, bytes, n));
    if (strcmp(name, "optimizer/learning_rate") == 0) continue; /* written before the step */
    for (size_t b = 0; b < n; b++) hash = (hash ^ bytes[b]) * 1099511628211u;
  }
  return hash;
}

TEST(nonfinite, a_bad_step_changes_nothing_and_the_data_is_named) {
  static const struct {
    const char *device, *optimizer, *field;
    float bad;
    const char *part;
  } rows[] = {
      {"cpu", "adam", "x", NAN, "field 'x': element 1 of sample 5 is nan"},
      {"cpu", "sgd", "y", INFINITY, "field 'y': element 0 of sample 5 is inf"},
      {"cpu", "rmsprop", "weight", NAN, "field 'weight': element 0 of sample 5 is"},
      {"ref", "adagrad", "x", -INFINITY, "field 'x': element 1 of sample 5 is -inf"},
      {"ref", "adamw", "x", NAN, "field 'x': element 1 of sample 5 is"},
      {"check:cpu", "adam", "x", NAN, "field 'x': element 1 of sample 5 is"},
  };
  for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
    tct_model *m = network(rows[r].device, rows[r].optimizer, 1, 0);
    tct_dataset *good = samples("", 0), *bad = samples(rows[r].field, rows[r].bad);
    OK(tct_fit(m, good, &(tct_fit_options){.epochs = 3, .batch_size = N}));
    const uint64_t before = state_of(m);
    FAILS(tct_fit(m, bad, &(tct_fit_options){.batch_size = N}), TCT_NUMERIC, rows[r].part);
    CHECK(state_of(m) == before, "row %zu: the step changed the model", r);
    OK(tct_fit(m, good, &(tct_fit_options){.batch_size = N}));
    CHECK(state_of(m) != before, "row %zu", r);
    tct_dataset_free(good);
    tct_dataset_free(bad);
    tct_model_free(m);
  }
}

TEST(nonfinite, the_first_op_is_named_with_what_it_read) {
  tct_dataset *data = samples("", 0);
  const char *const devices[] = {"cpu", "ref"};
  for (int d = 0; d < 2; d++) {
    tct_model *m = network(devices[d], "sgd", 1e38, 0);
    const float big[16] = {5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5};
    OK(tct_model_write(m, "dense/kernel", big, sizeof big));
    const uint64_t before = state_of(m);
    FAILS(tct_fit(m, data, &(tct_fit_options){.batch_size = N, .no_shuffle = true}), TCT_NUMERIC, "at step 0 (learning rate 0.01)");
    const char *said = tct_error_message();
    CHECK(strstr(said, "the first is 'dense/matmul' (matmul), which makes 64 Inf of 64 values; it reads 'stretch/") != NULL, "%s", said);
    CHECK(strstr(said, "f32[8,2] from 0 to 1e+38, 'dense/kernel' f32[2,8] from 5 to 5") != NULL, "%s", said);
    CHECK(state_of(m) == before);
    tct_model_free(m);
  }
  tct_dataset_free(data);
}

TEST(nonfinite, variables_and_penalties_are_named) {
  tct_dataset *data = samples("", 0);
  tct_model *m = network("cpu", "adam", 1, 0);
  const float bias[1] = {NAN};
  OK(tct_model_write(m, "out/bias", bias, sizeof bias));
  FAILS(tct_fit(m, data, &(tct_fit_options){.batch_size = N}), TCT_NUMERIC, "variable 'out/bias' holds 1 NaN of 1 value before the step");
  tct_model_free(m);
  m = tct_model_create("penalty", TCT_F32); /* the data's loss is finite, the sum of squares is not */
  tct_layer x = tct_layer_input(m, "x", TCT_F32, TCT_SHAPE(2));
  x = tct_layer_rescaling(x, &(tct_rescaling_layer){.scale = 1e-30});
  tct_layer_dense(x, &(tct_dense_layer){.name = "dense", .units = 1, .kernel_regularizer = {.l2 = 1}});
  OK(tct_model_compile(m, &(tct_training){.loss = "mse"}));
  const float kernel[2] = {3e19f, 0};
  OK(tct_model_write(m, "dense/kernel", kernel, sizeof kernel));
  FAILS(tct_fit(m, data, &(tct_fit_options){.batch_size = N}), TCT_NUMERIC, "the loss is inf at step 0");
  CHECK(strstr(tct_error_message(), "'dense/kernel' f32[2,1] from 0 to 3e+19") != NULL, "%s", tct_error_message());
  tct_model_free(m);
  tct_dataset_free(data);
}

/* A run by hand: the first step is searched for, and it counts as a run. */
TEST(nonfinite, a_program_can_be_searched) {
  tct_device *device = NULL;
  tct_graph *g = NULL;
  tct_program *program = NULL;
  OK(tct_device_open("cpu", NULL, &device));
  OK(tct_graph_create(&g));
  const tct_tensor x = tct_input(g, "x", TCT_F32, TCT_SHAPE(3));
  const tct_tensor n = tct_variable(g, "n", TCT_F32, TCT_SHAPE(3), (tct_init){0});
  tct_assign(n, tct_add(n, tct_full(g, TCT_F32, TCT_SHAPE(3), 1)));
  tct_output(g, "y", tct_sqrt(tct_log(x)));
  OK(tct_compile(g, device, &(tct_compile_options){.no_fusion = true}, &program));
  static const struct {
    float x[3];
    const char *text;
  } rows[] = {
      {{1, 2, 3}, ""},
      {{1, NAN, INFINITY}, "input 'x' holds 1 NaN and 1 Inf of 3 values"},
      {{1, 0.5f, 2}, "the first is 'sqrt' (sqrt), which makes 1 NaN of 3 values; it reads 'log' f32[3] from -0.693147 to 0.693147"},
      {{1, 0, 2}, "the first is 'log' (log), which makes 1 Inf of 3 values; it reads 'x' f32[3] from 0 to 2"},
  };
  for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
    char text[600], clipped[20];
    bool found = false;
    OK(tct_program_set(program, "x", rows[r].x, sizeof rows[r].x));
    OK(tct_program_find_nonfinite(program, text, sizeof text, &found));
    CHECK(found == (rows[r].text[0] != '\0') && strcmp(text, rows[r].text) == 0, "row %zu: %s", r, text);
    OK(tct_program_find_nonfinite(program, clipped, sizeof clipped, &found));
    CHECK(strncmp(clipped, text, sizeof clipped - 1) == 0, "row %zu: %s", r, clipped);
  }
  float runs[3];
  OK(tct_variables_read(tct_program_variables(program), "n", runs, sizeof runs));
  CHECK(runs[0] == 8, "%g runs", (double)runs[0]);
  tct_program_free(program);
  tct_graph_free(g);
  tct_device_close(device);
}
