/* fit, evaluate, predict, save and load on small problems, and what they refuse. */
#include <tercet/tercet.h>
#include "io/safetensors.h"
#include "base/alloc.h"
#include "faults.h"
#include <unistd.h>
#include "test.h"

#define N 96

/* Two features; class 1 when their sum is positive. */
static tct_dataset *two_classes(int n) {
  static float x[N][2];
  static int32_t y[N];
  for (int i = 0; i < n; i++) {
    x[i][0] = sinf((float)i * 12.9898f);
    x[i][1] = cosf((float)i * 78.233f);
    y[i] = x[i][0] + x[i][1] > 0;
  }
  const tct_field fields[] = {{"x", TCT_F32, TCT_SHAPE(2)}, {"y", TCT_I32, {0}}};
  tct_dataset *data = NULL;
  OK(tct_dataset_arrays(n, 2, fields, (const void *[]){x, y}, false, &data));
  return data;
}

static tct_model *classifier(const char *device, tct_dtype dtype) {
  tct_model *m = tct_model_create("small", dtype);
  tct_layer x = tct_layer_input(m, "x", dtype, TCT_SHAPE(2));
  x = tct_layer_dense(x, &(tct_dense_layer){.units = 16, .activation = "tanh"});
  tct_layer_dense(x, &(tct_dense_layer){.units = 2, .activation = "softmax"});
  OK(tct_model_compile(m, &(tct_training){.loss = "sparse_categorical_crossentropy", .metrics = "accuracy,top_k=2",
                                          .optimizer = {.type = "adam", .learning_rate = 0.02}, .device = device,
                                          .seed = 7}));
  return m;
}

TEST(fit, learns_and_keeps_a_history) {
  tct_dataset *data = two_classes(N);
  tct_model *m = classifier("cpu", TCT_F32);
  OK(tct_fit(m, data, &(tct_fit_options){.epochs = 30, .batch_size = 20, .validation_split = 0.25}));
  CHECK(tct_history_n_epochs(m) == 30 && tct_history_n_values(m) == 6, "%d epochs of %d values", tct_history_n_epochs(m),
        tct_history_n_values(m));
  CHECK(strcmp(tct_history_name(m, 0), "loss") == 0 && strcmp(tct_history_name(m, 4), "val_accuracy") == 0, "%s, %s",
        tct_history_name(m, 0), tct_history_name(m, 4));
  CHECK(tct_history_value(m, 29, 0) < 0.5 * tct_history_value(m, 0, 0), "loss %g to %g", tct_history_value(m, 0, 0),
        tct_history_value(m, 29, 0));
  CHECK(tct_history_value(m, 29, 2) == 1, "top-2 of two classes is %g", tct_history_value(m, 29, 2));
  tct_evaluation e;
  OK(tct_evaluate(m, data, 7, &e));
  CHECK(e.n_samples == N && e.values[1] > 0.9, "%lld samples, accuracy %g", (long long)e.n_samples, e.values[1]);
  float p[N][2];
  OK(tct_predict(m, data, 32, p, sizeof p));
  for (int i = 0; i < N; i++) CHECK(fabsf(p[i][0] + p[i][1] - 1) < 1e-5f, "row %d sums to %g", i, (double)(p[i][0] + p[i][1]));
  tct_model_free(m);
  tct_dataset_free(data);
}

static uint64_t weights_hash(tct_model *m) {
  uint64_t hash = 1469598103934665603u;
  for (int32_t i = 0; i < tct_model_n_parameters(m); i++) {
    unsigned char bytes[1024];
    const tct_parameter *p = tct_model_parameter(m, i);
    const size_t n = (size_t)tct_shape_size(&p->desc.shape) * tct_dtype_bytes(p->desc.dtype);
    OK(tct_model_read(m, p->name, bytes, n));
    for (size_t b = 0; b < n; b++) hash = (hash ^ bytes[b]) * 1099511628211u;
  }
  return hash;
}

TEST(fit, same_seed_same_bits_for_any_prefetch_and_thread_count) {
  uint64_t first = 0;
  static const struct {
    int32_t prefetch, threads;
  } rows[] = {{0, 1}, {0, 1}, {-1, 1}, {5, 2}, {0, 3}};
  for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
    tct_dataset *data = two_classes(N);
    tct_model *m = tct_model_create("bits", TCT_F32);
    tct_layer x = tct_layer_input(m, "x", TCT_F32, TCT_SHAPE(2));
    x = tct_layer_dense(x, &(tct_dense_layer){.units = 32, .activation = "relu"});
    x = tct_layer_dropout(x, &(tct_dropout_layer){.rate = 0.3});
    tct_layer_dense(x, &(tct_dense_layer){.units = 2});
    OK(tct_model_compile(m, &(tct_training){.loss = "sparse_categorical_crossentropy", .seed = 11,
                                            .n_threads = rows[r].threads}));
    OK(tct_fit(m, data, &(tct_fit_options){.epochs = 3, .batch_size = 10, .prefetch = rows[r].prefetch}));
    const uint64_t hash = weights_hash(m);
    if (r == 0) first = hash;
    CHECK(hash == first, "row %zu: %016llx, the first was %016llx", r, (unsigned long long)hash, (unsigned long long)first);
    tct_model_free(m);
    tct_dataset_free(data);
  }
}

TEST(fit, save_and_load_give_the_same_model) {
  char path[512];
  tct_dataset *data = two_classes(N);
  tct_model *a = classifier("cpu", TCT_F32), *b = classifier("ref", TCT_F64);
  snprintf(path, sizeof path, "%s/fit_test_%d.safetensors", TCT_BINARY_DIR, (int)getpid());
  OK(tct_fit(a, data, &(tct_fit_options){.epochs = 2, .batch_size = 16}));
  OK(tct_model_save(a, path, "job text"));
  OK(tct_model_load(b, path));
  tct_evaluation on_cpu, on_ref;
  OK(tct_evaluate(a, data, 96, &on_cpu));
  OK(tct_evaluate(b, data, 96, &on_ref));
  CHECK(fabs(on_cpu.values[0] - on_ref.values[0]) < 1e-6, "loss %.9g and %.9g", on_cpu.values[0], on_ref.values[0]);
  tct_model *other = tct_model_create("other", TCT_F32);
  tct_layer_dense(tct_layer_input(other, "x", TCT_F32, TCT_SHAPE(2)), &(tct_dense_layer){.units = 3});
  OK(tct_model_compile(other, &(tct_training){.loss = "mse"}));
  FAILS(tct_model_load(other, path), TCT_INVALID, "'dense/kernel' is f32[2,16] in the file, the model's is f32[2,3]");
  CHECK(strstr(tct_error_message(), "'dense_1/bias' of the file is not in the model") != NULL, "%s", tct_error_message());
  /* Of many differences the first twenty; the same shape of whole numbers is one as well. */
  tct_named_array many[30];
  char names[30][8];
  static const float numbers[64];
  for (int i = 0; i < 30; i++) {
    snprintf(names[i], sizeof names[i], "w%d", i);
    many[i] = (tct_named_array){names[i], {TCT_F32, TCT_SHAPE(1)}, numbers};
  }
  OK(tct_safetensors_write(path, many, 30, NULL, 0));
  FAILS(tct_model_load(other, path), TCT_INVALID, "of another model than 'other': 32 differences");
  CHECK(strstr(tct_error_message(), "\nand 12 more") != NULL, "%s", tct_error_message());
  const tct_named_array whole[] = {{"dense/kernel", {TCT_F32, TCT_SHAPE(2, 3)}, numbers}, {"dense/bias", {TCT_I32, TCT_SHAPE(3)}, numbers}};
  OK(tct_safetensors_write(path, whole, 2, NULL, 0));
  FAILS(tct_model_load(other, path), TCT_INVALID, "1 difference [E");
  CHECK(strstr(tct_error_message(), "'dense/bias' is i32[3] in the file, the model's is f32[3]") != NULL, "%s", tct_error_message());
  for (int wrong = 0; wrong <= 1; wrong++) { /* each allocation fails in turn; the second file is another model's */
    if (wrong == 0) OK(tct_model_save(other, path, NULL));
    else OK(tct_safetensors_write(path, many, 30, NULL, 0));
    bool struck = true;
    for (int64_t nth = 1; struck; nth++) {
      (void)fault_alloc(nth);
      const tct_status status = tct_model_load(other, path);
      struck = fault_alloc(0);
      CHECK(status == (wrong ? TCT_INVALID : TCT_OK) || (struck && status == TCT_OUT_OF_MEMORY), "allocation %d: %s", (int)nth, tct_error_message());
      CHECK(nth < 1000);
    }
  }
  tct_model *unready = tct_model_create("unready", TCT_F32);
  tct_layer_dense(tct_layer_input(unready, "x", TCT_F32, TCT_SHAPE(2)), &(tct_dense_layer){.units = 3});
  float room[6];
  FAILS(tct_model_load(unready, path), TCT_INVALID, "'unready'");
  FAILS(tct_model_save(unready, path, NULL), TCT_INVALID, "'unready'");
  FAILS(tct_model_read(unready, "dense/kernel", room, sizeof room), TCT_INVALID, "'unready'");
  FAILS(tct_model_write(unready, "dense/kernel", room, sizeof room), TCT_INVALID, "'unready'");
  FAILS(tct_model_read(other, "dense/kernels", room, sizeof room), TCT_NOT_FOUND, "did you mean 'dense/kernel'?");
  FAILS(tct_model_write(other, "zzzzzz", room, sizeof room), TCT_NOT_FOUND, "variable 'zzzzzz' is not there");
  FAILS(tct_model_read(other, "dense/kernel", room, 4), TCT_INVALID, "'dense/kernel'");
  FAILS(tct_model_write(other, "dense/kernel", room, 4), TCT_INVALID, "'dense/kernel'");
  tct_model_free(unready);
  remove(path);
  tct_model_free(other);
  tct_model_free(a);
  tct_model_free(b);
  tct_dataset_free(data);
}

static tct_status cancel_at_5(void *user, int64_t step, double loss) {
  (void)loss;
  *(int64_t *)user = step;
  return step == 5 ? TCT_CANCELLED : TCT_OK;
}

TEST(fit, stops_where_it_is_told) {
  tct_dataset *data = two_classes(N);
  tct_model *m = classifier("cpu", TCT_F32);
  int64_t last = -1;
  tct_status status = tct_fit(m, data, &(tct_fit_options){.epochs = 9, .batch_size = 8, .on_step = cancel_at_5, .user = &last});
  CHECK(status == TCT_CANCELLED && last == 5, "status %d after step %lld", (int)status, (long long)last);
  OK(tct_fit(m, data, &(tct_fit_options){.epochs = 9, .batch_size = 8, .steps = 3, .on_step = cancel_at_5, .user = &last}));
  CHECK(last == 2, "three steps end with step %lld", (long long)last);
  tct_model_free(m);
  tct_dataset_free(data);
}

TEST(fit, refusals) {
  tct_dataset *data = two_classes(N);
  tct_model *m = classifier("cpu", TCT_F32);
  FAILS(tct_fit(m, data, &(tct_fit_options){.batch_size = 1000}), TCT_INVALID, "1000");
  FAILS(tct_fit(m, data, &(tct_fit_options){.validation_split = 1.5}), TCT_INVALID, "validation_split is 1.5");
  FAILS(tct_fit(m, NULL, NULL), TCT_INVALID, "dataset is NULL");
  const int32_t labels[2] = {0, 7};
  const float x[2][2] = {{0, 1}, {1, 0}};
  tct_dataset *bad = NULL;
  OK(tct_dataset_arrays(2, 2, (const tct_field[]){{"x", TCT_F32, TCT_SHAPE(2)}, {"y", TCT_I32, {0}}},
                        (const void *[]){x, labels}, false, &bad));
  FAILS(tct_fit(m, bad, &(tct_fit_options){.batch_size = 2, .no_shuffle = true}), TCT_BAD_DATA,
        "sample 1 has 7; the output has 2 classes");
  tct_dataset_free(bad);
  OK(tct_dataset_arrays(2, 2, (const tct_field[]){{"x", TCT_F32, TCT_SHAPE(2)}, {"y", TCT_F32, TCT_SHAPE(2)}},
                        (const void *[]){x, x}, false, &bad));
  FAILS(tct_fit(m, bad, &(tct_fit_options){.batch_size = 2}), TCT_INVALID, "categorical_crossentropy");
  tct_dataset_free(bad);
  FAILS(tct_model_compile(m, &(tct_training){.loss = "sparse_categorical_crossentrop"}), TCT_INVALID,
        "did you mean 'sparse_categorical_crossentropy'?");
  FAILS(tct_model_compile(m, &(tct_training){.loss = "mse", .optimizer = {.type = "adan"}}), TCT_INVALID, "adam");
  FAILS(tct_model_compile(m, &(tct_training){.loss = "mse", .metrics = "accuracy"}), TCT_INVALID, "cross-entropy");
  FAILS(tct_model_compile(m, &(tct_training){.loss = "mse", .device = "gpu"}), TCT_NOT_FOUND, "this build has cpu, ref");
  OK(tct_fit(m, data, &(tct_fit_options){.batch_size = 8})); /* the refused settings left the old ones in place */
  tct_model_free(m);
  tct_dataset_free(data);
}

TEST(fit, a_loss_that_is_not_finite_stops_the_run) {
  static float x[8][2], y[8][1];
  for (int i = 0; i < 8; i++) x[i][0] = x[i][1] = y[i][0] = (float)i;
  tct_dataset *data = NULL;
  OK(tct_dataset_arrays(8, 2, (const tct_field[]){{"x", TCT_F32, TCT_SHAPE(2)}, {"y", TCT_F32, TCT_SHAPE(1)}},
                        (const void *[]){x, y}, true, &data));
  tct_model *m = tct_model_create("diverges", TCT_F32);
  tct_layer_dense(tct_layer_input(m, "x", TCT_F32, TCT_SHAPE(2)), &(tct_dense_layer){.units = 1});
  OK(tct_model_compile(m, &(tct_training){.loss = "mse", .optimizer = {.type = "sgd", .learning_rate = 1e6}}));
  FAILS(tct_fit(m, data, &(tct_fit_options){.epochs = 50, .batch_size = 8}), TCT_NUMERIC, "at step");
  tct_model_free(m);
  tct_dataset_free(data);
}

/* y = 3a − 2b + 1: the optimizers, with and without their slots, reach it; weights of zero leave samples out. */
TEST(fit, every_optimizer_fits_a_line) {
  static float x[64][2], y[64][1], w[64];
  for (int i = 0; i < 64; i++) {
    x[i][0] = sinf((float)i);
    x[i][1] = cosf((float)(3 * i));
    w[i] = i % 4 == 3 ? 0 : 4.0f / 3;
    y[i][0] = i % 4 == 3 ? 100 : 3 * x[i][0] - 2 * x[i][1] + 1;
  }
  const tct_field fields[] = {{"x", TCT_F32, TCT_SHAPE(2)}, {"y", TCT_F32, TCT_SHAPE(1)}, {"weight", TCT_F32, {0}}};
  tct_dataset *data = NULL;
  OK(tct_dataset_arrays(64, 3, fields, (const void *[]){x, y, w}, true, &data));
  static const tct_optimizer rows[] = {{.type = "sgd", .learning_rate = 0.1},
                                       {.type = "sgd", .learning_rate = 0.02, .momentum = 0.9},
                                       {.type = "sgd", .learning_rate = 0.02, .momentum = 0.9, .nesterov = true},
                                       {.type = "adam", .learning_rate = 0.05},
                                       {.type = "adamw", .learning_rate = 0.05, .weight_decay = 1e-5},
                                       {.type = "rmsprop", .learning_rate = 0.01},
                                       {.type = "rmsprop", .learning_rate = 0.003, .momentum = 0.8, .centered = true},
                                       {.type = "adagrad", .learning_rate = 0.5},
                                       {.type = "sgd", .learning_rate = 0.1, .global_clipnorm = 1, .clipvalue = 0.9},
                                       {.type = "sgd", .learning_rate = 0.1, .clipnorm = 0.5}};
  for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
    tct_model *m = tct_model_create("line", TCT_F32);
    tct_layer_dense(tct_layer_input(m, "x", TCT_F32, TCT_SHAPE(2)), &(tct_dense_layer){.units = 1});
    OK(tct_model_compile(m, &(tct_training){.loss = "mse", .optimizer = rows[r], .schedule = {.type = "cosine"}}));
    OK(tct_fit(m, data, &(tct_fit_options){.epochs = 150, .batch_size = 16}));
    float kernel[2], bias[1];
    OK(tct_model_read(m, "dense/kernel", kernel, sizeof kernel));
    OK(tct_model_read(m, "dense/bias", bias, sizeof bias));
    CHECK(fabsf(kernel[0] - 3) < 0.02f && fabsf(kernel[1] + 2) < 0.02f && fabsf(bias[0] - 1) < 0.02f,
          "row %zu (%s): %g %g %g", r, rows[r].type, (double)kernel[0], (double)kernel[1], (double)bias[0]);
    tct_model_free(m);
  }
  tct_dataset_free(data);
}

TEST(fit, confusion_matrix_and_regression_metrics) {
  tct_dataset *data = two_classes(N);
  tct_model *m = tct_model_create("counts", TCT_F32);
  tct_layer_dense(tct_layer_input(m, "x", TCT_F32, TCT_SHAPE(2)),
                  &(tct_dense_layer){.units = 2, .kernel_initializer = "zeros"});
  OK(tct_model_compile(m, &(tct_training){.loss = "sparse_categorical_crossentropy", .metrics = "accuracy,confusion_matrix"}));
  const float kernel[4] = {-1, 1, -1, 1};
  OK(tct_model_write(m, "dense/kernel", kernel, sizeof kernel)); /* exactly the rule that labelled the data */
  tct_evaluation e;
  OK(tct_evaluate(m, data, 13, &e));
  CHECK(e.values[1] == 1 && e.n_classes == 2 && e.confusion[1] == 0 && e.confusion[2] == 0 &&
            e.confusion[0] + e.confusion[3] == N, "accuracy %g, confusion %lld %lld %lld %lld", e.values[1],
        (long long)e.confusion[0], (long long)e.confusion[1], (long long)e.confusion[2], (long long)e.confusion[3]);
  tct_model_free(m);
  tct_dataset_free(data);

  const float x[4] = {1, 2, 3, 4}, y[4] = {2, 4, 6, 9};
  OK(tct_dataset_arrays(4, 2, (const tct_field[]){{"x", TCT_F32, TCT_SHAPE(1)}, {"y", TCT_F32, TCT_SHAPE(1)}},
                        (const void *[]){x, y}, false, &data));
  m = tct_model_create("numbers", TCT_F32);
  tct_layer_dense(tct_layer_input(m, "x", TCT_F32, TCT_SHAPE(1)), &(tct_dense_layer){.units = 1});
  OK(tct_model_compile(m, &(tct_training){.loss = "mse", .metrics = "mse,mae,r2"}));
  const float two = 2, zero = 0;
  OK(tct_model_write(m, "dense/kernel", &two, sizeof two));
  OK(tct_model_write(m, "dense/bias", &zero, sizeof zero));
  OK(tct_evaluate(m, data, 3, &e)); /* predictions 2 4 6 8: one error of 1; Σ(y − ȳ)² = 26.75 */
  CHECK(fabs(e.values[1] - 0.25) < 1e-6 && fabs(e.values[2] - 0.25) < 1e-6 && fabs(e.values[3] - (1 - 1 / 26.75)) < 1e-6,
        "mse %g, mae %g, r2 %.9g", e.values[1], e.values[2], e.values[3]);
  tct_model_free(m);
  tct_dataset_free(data);
}

TEST(fit, penalties_enter_the_loss_and_only_it) {
  const float x[2] = {0, 0}, y[2] = {0, 0}, three = 3;
  tct_dataset *data = NULL;
  OK(tct_dataset_arrays(2, 2, (const tct_field[]){{"x", TCT_F32, TCT_SHAPE(1)}, {"y", TCT_F32, TCT_SHAPE(1)}},
                        (const void *[]){x, y}, false, &data));
  tct_model *m = tct_model_create("penalty", TCT_F32);
  tct_layer_dense(tct_layer_input(m, "x", TCT_F32, TCT_SHAPE(1)),
                  &(tct_dense_layer){.units = 1, .kernel_regularizer = {.l1 = 0.5, .l2 = 0.25}});
  OK(tct_model_compile(m, &(tct_training){.loss = "mse", .optimizer = {.type = "sgd", .learning_rate = 0.1}}));
  OK(tct_model_write(m, "dense/kernel", &three, sizeof three));
  OK(tct_fit(m, data, &(tct_fit_options){.batch_size = 2}));
  float after = 0;
  OK(tct_model_read(m, "dense/kernel", &after, sizeof after));
  CHECK(fabs(tct_history_value(m, 0, 0) - (0.5 * 3 + 0.25 * 9)) < 1e-6, "loss %g", tct_history_value(m, 0, 0));
  CHECK(fabsf(after - (3 - 0.1f * (0.5f + 0.5f * 3))) < 1e-6f, "kernel %g", (double)after);
  tct_model_free(m);
  tct_dataset_free(data);
}

TEST(fit, steps_after_the_first_allocate_nothing) {
  tct_dataset *data = two_classes(N);
  tct_model *m = classifier("cpu", TCT_F32);
  tct_program *program = NULL;
  float x[16][2] = {{0}}, sums[4];
  int32_t y[16] = {0};
  OK(tct_model_program(m, 16, true, &program));
  int64_t before = 0;
  for (int i = 0; i < 4; i++) {
    if (i == 1) before = tct_alloc_count();
    OK(tct_program_set(program, "x", x, sizeof x));
    OK(tct_program_set(program, "y", y, sizeof y));
    OK(tct_program_run(program));
    OK(tct_program_get(program, "sums", sums, sizeof sums));
  }
  CHECK(tct_alloc_count() == before, "%lld allocations in three steps", (long long)(tct_alloc_count() - before));
  tct_model_free(m);
  tct_dataset_free(data);
}

/* A layer that the output does not need is part of the model file all the same. */
TEST(fit, saves_layers_behind_the_output) {
  char path[512];
  snprintf(path, sizeof path, "%s/behind_%d.safetensors", TCT_BINARY_DIR, (int)getpid());
  tct_dataset *data = two_classes(N);
  tct_model *m = tct_model_create("branches", TCT_F32);
  const tct_layer x = tct_layer_input(m, "x", TCT_F32, TCT_SHAPE(2));
  tct_layer_dense(x, &(tct_dense_layer){.name = "before", .units = 3});
  tct_model_output(tct_layer_dense(x, &(tct_dense_layer){.units = 2}));
  tct_layer_dense(x, &(tct_dense_layer){.name = "behind", .units = 3});
  OK(tct_model_compile(m, &(tct_training){.loss = "sparse_categorical_crossentropy"}));
  OK(tct_fit(m, data, &(tct_fit_options){.batch_size = 32}));
  OK(tct_model_save(m, path, NULL));
  OK(tct_model_load(m, path));
  remove(path);
  tct_model_free(m);
  tct_dataset_free(data);
}

TEST(fit, a_frozen_model_has_nothing_to_train) {
  tct_dataset *data = two_classes(N);
  tct_model *m = tct_model_create("frozen", TCT_F32);
  tct_layer_dense(tct_layer_input(m, "x", TCT_F32, TCT_SHAPE(2)), &(tct_dense_layer){.frozen = true, .units = 2});
  OK(tct_model_compile(m, &(tct_training){.loss = "sparse_categorical_crossentropy"}));
  const uint64_t before = weights_hash(m);
  OK(tct_fit(m, data, &(tct_fit_options){.batch_size = 32}));
  CHECK(weights_hash(m) == before);
  tct_model_free(m);
  tct_dataset_free(data);
}

/* The model is f64, which the CPU refuses. */
TEST(fit, a_device_that_refuses_leaves_the_old_one_in_place) {
  tct_dataset *data = two_classes(N);
  tct_model *m = classifier("ref", TCT_F64);
  const uint64_t before = weights_hash(m);
  FAILS(tct_model_compile(m, &(tct_training){.loss = "sparse_categorical_crossentropy", .device = "cpu"}),
        TCT_UNSUPPORTED, "cpu");
  CHECK(weights_hash(m) == before);
  OK(tct_fit(m, data, &(tct_fit_options){.batch_size = 32, .steps = 1}));
  tct_model_free(m);
  tct_dataset_free(data);
}

/* As in Keras: the weights stay, the optimizer begins anew. */
TEST(fit, compiling_again_keeps_the_weights_and_renews_the_optimizer) {
  tct_dataset *data = two_classes(N);
  const tct_fit_options three = {.batch_size = 32, .steps = 3, .no_shuffle = true};
  const tct_training again = {.loss = "sparse_categorical_crossentropy", .seed = 7,
                              .optimizer = {.type = "adam", .learning_rate = 0.1}};
  tct_model *once = classifier("cpu", TCT_F32), *twice = classifier("cpu", TCT_F32);
  OK(tct_fit(twice, data, &(tct_fit_options){.epochs = 4, .batch_size = 16}));
  for (int32_t i = 0; i < tct_model_n_parameters(once); i++) {
    float values[64];
    const tct_parameter *p = tct_model_parameter(once, i);
    const size_t bytes = (size_t)tct_shape_size(&p->desc.shape) * sizeof(float);
    OK(tct_model_read(once, p->name, values, bytes));
    OK(tct_model_write(twice, p->name, values, bytes));
  }
  OK(tct_model_compile(once, &again));
  OK(tct_model_compile(twice, &again));
  CHECK(weights_hash(once) == weights_hash(twice));
  OK(tct_fit(once, data, &three));
  OK(tct_fit(twice, data, &three));
  CHECK(weights_hash(once) == weights_hash(twice));
  tct_model_free(once);
  tct_model_free(twice);
  tct_dataset_free(data);
}

/* A loss is computed from what comes before the activation, so the activation must be the loss's own. */
TEST(fit, refuses_a_loss_of_another_activation) {
  static const struct {
    const char *activation, *loss, *why;
  } rows[] = {{"softmax", "binary_crossentropy", "ends in softmax"},
              {"log_softmax", "binary_crossentropy", "ends in log_softmax"},
              {"sigmoid", "categorical_crossentropy", "ends in sigmoid"},
              {"sigmoid", "sparse_categorical_crossentropy", "ends in sigmoid"}};
  for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
    tct_model *m = tct_model_create("mixed", TCT_F32);
    tct_layer_dense(tct_layer_input(m, "x", TCT_F32, TCT_SHAPE(2)),
                    &(tct_dense_layer){.units = 2, .activation = rows[r].activation});
    FAILS(tct_model_compile(m, &(tct_training){.loss = rows[r].loss}), TCT_INVALID, rows[r].why);
    OK(tct_model_compile(m, &(tct_training){.loss = "mse"}));
    tct_model_free(m);
  }
}

TEST(fit, says_that_a_callback_stopped_it) {
  tct_dataset *data = two_classes(N);
  tct_model *m = classifier("cpu", TCT_F32);
  int64_t last = -1;
  tct_error_clear();
  FAILS(tct_fit(m, data, &(tct_fit_options){.epochs = 9, .batch_size = 8, .on_step = cancel_at_5, .user = &last}),
        TCT_CANCELLED, "stopped by the caller");
  tct_model_free(m);
  tct_dataset_free(data);
}

/* Labels as every IDX file has them; a list of metrics as people write it. */
TEST(fit, takes_labels_of_bytes_and_metrics_with_spaces) {
  const float x[3][2] = {{0, 1}, {1, 0}, {1, 1}};
  const uint8_t y[3] = {0, 1, 0};
  tct_dataset *data = NULL;
  OK(tct_dataset_arrays(3, 2, (const tct_field[]){{"x", TCT_F32, TCT_SHAPE(2)}, {"y", TCT_U8, {0}}},
                        (const void *[]){x, y}, false, &data));
  tct_model *m = tct_model_create("bytes", TCT_F32);
  tct_layer_dense(tct_layer_input(m, "x", TCT_F32, TCT_SHAPE(2)), &(tct_dense_layer){.units = 2});
  OK(tct_model_compile(m, &(tct_training){.loss = "sparse_categorical_crossentropy", .metrics = "accuracy, top_k=2"}));
  OK(tct_fit(m, data, &(tct_fit_options){.batch_size = 2}));
  CHECK(tct_history_value(m, 0, 2) == 1);
  tct_model_free(m);
  tct_dataset_free(data);
}

TEST(fit, refuses_optimizer_settings_that_are_no_numbers) {
  tct_model *m = classifier("cpu", TCT_F32);
  const double nan = NAN;
  const tct_optimizer rows[] = {{.weight_decay = nan}, {.l1 = nan}, {.l2 = INFINITY}, {.clipvalue = nan},
                                {.global_clipnorm = nan}, {.type = "adagrad", .initial_accumulator_value = nan}};
  static const char *const names[] = {"weight_decay", "l1", "l2", "clipvalue", "global_clipnorm",
                                      "initial_accumulator_value"};
  for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
    FAILS(tct_model_compile(m, &(tct_training){.loss = "sparse_categorical_crossentropy", .optimizer = rows[r]}),
          TCT_INVALID, names[r]);
  }
  tct_model_free(m);
}

/* A sample without axes has no classes to count. */
TEST(fit, refuses_a_confusion_matrix_of_scalars) {
  const float x[2] = {0, 1};
  const int32_t y[2] = {0, 1};
  tct_dataset *data = NULL;
  OK(tct_dataset_arrays(2, 2, (const tct_field[]){{"x", TCT_F32, {0}}, {"y", TCT_I32, {0}}}, (const void *[]){x, y}, false,
                        &data));
  tct_model *m = tct_model_create("scalars", TCT_F32);
  tct_layer_activation(tct_layer_input(m, "x", TCT_F32, (tct_shape){0}), &(tct_activation_layer){.activation = "tanh"});
  OK(tct_model_compile(m, &(tct_training){.loss = "sparse_categorical_crossentropy", .metrics = "confusion_matrix"}));
  tct_evaluation e;
  FAILS(tct_evaluate(m, data, 2, &e), TCT_INVALID, "classes");
  tct_model_free(m);
  tct_dataset_free(data);
}
