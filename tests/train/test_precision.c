/* Training in bf16 and f16: the loss of f32 within a band, f32 weights, loss scaling on the device, nothing written by a step
 * that is not finite. */
#include <tercet/tercet.h>
#include <unistd.h>
#include "exec/exec.h"
#include "io/safetensors.h"
#include "nn/model.h"
#include "test.h"
#include "train/session.h"

enum { SAMPLES = 256, SIDE = 8, CLASSES = 4, MOST = 2048 };

/* Images of 4 classes: a bright quadrant each, and noise. */
static tct_dataset *quadrants(void) {
  static float x[SAMPLES][SIDE][SIDE][1];
  static int32_t y[SAMPLES];
  uint64_t state = 1;
  for (int n = 0; n < SAMPLES; n++) {
    y[n] = n % CLASSES;
    for (int i = 0; i < SIDE; i++) {
      for (int j = 0; j < SIDE; j++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        const bool bright = (i >= SIDE / 2) * 2 + (j >= SIDE / 2) == y[n];
        x[n][i][j][0] = (float)(state >> 40) * 0x1p-24f + (bright ? 0.35f : 0.0f);
      }
    }
  }
  const tct_field fields[] = {{"x", TCT_F32, TCT_SHAPE(SIDE, SIDE, 1)}, {"y", TCT_I32, {0}}};
  tct_dataset *data = NULL;
  OK(tct_dataset_arrays(SAMPLES, 2, fields, (const void *[]){x, y}, false, &data));
  return data;
}

static tct_model *model_of(bool convolves, const char *device, const char *precision, double loss_scale) {
  tct_model *m = tct_model_create("narrow", TCT_F32);
  tct_layer x = tct_layer_input(m, "x", TCT_F32, TCT_SHAPE(SIDE, SIDE, 1));
  if (convolves) {
    x = tct_layer_conv2d(x, &(tct_conv2d_layer){.filters = 8, .kernel_size = {{3, 3}}, .padding = "same"});
    x = tct_layer_batch_normalization(x, NULL);
    x = tct_layer_activation(x, &(tct_activation_layer){.activation = "relu"});
    x = tct_layer_max_pooling2d(x, NULL);
  }
  x = tct_layer_flatten(x, NULL);
  x = tct_layer_dense(x, &(tct_dense_layer){.units = 24, .activation = "relu"});
  tct_layer_dense(x, &(tct_dense_layer){.units = CLASSES, .activation = "softmax"});
  OK(tct_model_compile(m, &(tct_training){.loss = "sparse_categorical_crossentropy", .metrics = "accuracy",
                                          .optimizer = {.type = "adam", .learning_rate = 0.004}, .device = device,
                                          .seed = 5, .precision = precision, .loss_scale = loss_scale}));
  return m;
}

static double trained_loss(bool convolves, const char *device, const char *precision, double *out_first) {
  tct_dataset *data = quadrants();
  tct_model *m = model_of(convolves, device, precision, 0);
  OK(tct_fit(m, data, &(tct_fit_options){.epochs = 6, .batch_size = 32}));
  *out_first = tct_history_value(m, 0, 0);
  const double loss = tct_history_value(m, 5, 0);
  tct_model_free(m);
  tct_dataset_free(data);
  return loss;
}

/* The band: a run differs from one in f32 by its roundings, which act like noise on the gradients; a tenth of what was
 * learnt is far above what they do here and far below what a wrong gradient leaves. */
TEST(mixed_precision, reaches_the_loss_of_f32) {
  static const char *const precisions[] = {"mixed_bfloat16", "mixed_float16", "bfloat16", "float16"};
  for (int convolves = 0; convolves < 2; convolves++) {
    double first, ignored;
    const double want = trained_loss(convolves, "cpu", NULL, &first);
    CHECK(want < 0.5 * first, "f32 learns: %g to %g", first, want);
    for (int i = 0; i < 4; i++) {
      const char *device = i < 2 ? "cpu" : "ref";
      const double got = trained_loss(convolves, device, precisions[i], &ignored);
      CHECK(got != want && fabs(got - want) < 0.1 * (first - want), "%s in %s on %s: %g to %g, in f32 %g",
            convolves ? "CNN" : "MLP", precisions[i], device, first, got, want);
    }
  }
}

TEST(mixed_precision, weights_stay_f32_in_memory_and_files) {
  char path[512];
  tct_dataset *data = quadrants();
  tct_model *m = model_of(true, "cpu", "mixed_float16", 0);
  snprintf(path, sizeof path, "%s/narrow_%d.safetensors", TCT_BINARY_DIR, (int)getpid());
  OK(tct_fit(m, data, &(tct_fit_options){.epochs = 1, .batch_size = 32}));
  tct_variables *variables = m->session->variables;
  for (int32_t i = 0; i < tct_variables_count(variables); i++) {
    tct_desc desc;
    OK(tct_variables_desc(variables, tct_variables_name(variables, i), &desc));
    CHECK(desc.dtype == TCT_F32 || desc.dtype == TCT_I64, "%s is %s", tct_variables_name(variables, i),
          tct_dtype_name(desc.dtype));
  }
  OK(tct_model_save(m, path, NULL));
  tct_safetensors *file = NULL;
  OK(tct_safetensors_read(path, &file));
  for (size_t i = 0; i < tct_safetensors_count(file); i++)
    CHECK(tct_safetensors_at(file, i)->desc.dtype == TCT_F32, "%s", tct_safetensors_at(file, i)->name);
  tct_safetensors_free(file);
  tct_model *again = model_of(true, "cpu", "mixed_bfloat16", 0);
  OK(tct_model_load(again, path));
  remove(path);
  tct_model_free(again);
  tct_model_free(m);
  tct_dataset_free(data);
}

TEST(mixed_precision, narrow_weights_are_read_from_files) {
  char path[512];
  tct_model *m = model_of(false, "cpu", NULL, 0);
  snprintf(path, sizeof path, "%s/bf16_%d.safetensors", TCT_BINARY_DIR, (int)getpid());
  static uint16_t data[8][MOST]; /* 1.5 as bf16, as f16 */
  tct_named_array arrays[8];
  const int32_t n = tct_model_n_parameters(m);
  for (int32_t i = 0; i < n; i++) {
    const tct_parameter *p = tct_model_parameter(m, i);
    for (int k = 0; k < MOST; k++) data[i][k] = i % 2 == 0 ? 0x3fc0 : 0x3e00;
    arrays[i] = (tct_named_array){p->name, {i % 2 == 0 ? TCT_BF16 : TCT_F16, p->desc.shape}, data[i]};
  }
  OK(tct_safetensors_write(path, arrays, (size_t)n, NULL, 0));
  OK(tct_model_load(m, path));
  for (int32_t i = 0; i < n; i++) {
    const tct_parameter *p = tct_model_parameter(m, i);
    static float values[MOST];
    OK(tct_model_read(m, p->name, values, (size_t)tct_shape_size(&p->desc.shape) * sizeof *values));
    CHECK(values[0] == 1.5f, "%s begins with %g", p->name, (double)values[0]);
  }
  remove(path);
  tct_model_free(m);
}

/* ---- loss scaling ---- */

static double number_of(tct_model *m, const char *name) {
  float scale;
  int64_t count;
  tct_desc desc;
  OK(tct_variables_desc(m->session->variables, name, &desc));
  if (desc.dtype == TCT_F32) {
    OK(tct_variables_read(m->session->variables, name, &scale, sizeof scale));
    return (double)scale;
  }
  OK(tct_variables_read(m->session->variables, name, &count, sizeof count));
  return (double)count;
}

/* A hash of all weights, slots and statistics. */
static uint64_t state_of(tct_model *m) {
  static unsigned char bytes[1 << 16];
  uint64_t hash = 1469598103934665603u;
  tct_variables *variables = m->session->variables;
  for (int32_t i = 0; i < tct_variables_count(variables); i++) {
    const char *name = tct_variables_name(variables, i);
    tct_desc desc;
    if (strcmp(name, "optimizer/loss_scale") == 0 || strcmp(name, "optimizer/good_steps") == 0 ||
        strcmp(name, "optimizer/learning_rate") == 0)
      continue;
    OK(tct_variables_desc(variables, name, &desc));
    const size_t n = (size_t)tct_shape_size(&desc.shape) * tct_dtype_bytes(desc.dtype);
    CHECK(n <= sizeof bytes, "%s", name);
    OK(tct_variables_read(variables, name, bytes, n));
    for (size_t b = 0; b < n; b++) hash = (hash ^ bytes[b]) * 1099511628211u;
  }
  return hash;
}

typedef struct watch {
  tct_model *m;
  double scale;
  uint64_t state;
  int skipped, taken;
} watch;

/* After each step: either the scale was halved and nothing else changed, or it stayed and everything moved. */
static tct_status watch_step(void *user, int64_t step, double loss) {
  watch *w = user;
  const double scale = number_of(w->m, "optimizer/loss_scale"), steps = number_of(w->m, "optimizer/step");
  const uint64_t state = state_of(w->m);
  const bool skipped = scale == w->scale / 2;
  CHECK(isfinite(loss) && (skipped || scale == w->scale), "step %lld: the scale went from %g to %g", (long long)step,
        w->scale, scale);
  CHECK(step == 0 || skipped == (state == w->state), "step %lld %s", (long long)step,
        skipped ? "was skipped and wrote" : "was taken and wrote nothing");
  w->skipped += skipped;
  w->taken += !skipped;
  CHECK(steps == w->taken && number_of(w->m, "optimizer/good_steps") == (skipped ? 0 : w->taken),
        "step %lld: %g steps were counted, %d taken", (long long)step, steps, w->taken);
  w->scale = scale;
  w->state = state;
  return TCT_OK;
}

TEST(loss_scale, a_huge_one_recovers) {
  tct_dataset *data = quadrants();
  tct_model *m = model_of(true, "cpu", "mixed_float16", 0x1p24);
  watch w = {.m = m, .scale = 0x1p24};
  OK(tct_fit(m, data, &(tct_fit_options){.epochs = 8, .batch_size = 32, .on_step = watch_step, .user = &w}));
  CHECK(w.skipped >= 2 && w.skipped < 16 && w.taken == 64 - w.skipped, "%d steps skipped, %d taken", w.skipped, w.taken);
  CHECK(tct_history_value(m, 7, 0) < 0.5 * tct_history_value(m, 0, 0), "it learns nevertheless: %g to %g",
        tct_history_value(m, 0, 0), tct_history_value(m, 7, 0));
  tct_model_free(m);
  tct_dataset_free(data);
}

TEST(loss_scale, doubles_after_2000_good_steps) {
  tct_dataset *data = quadrants();
  tct_model *m = model_of(false, "cpu", "mixed_float16", 64);
  OK(tct_fit(m, data, &(tct_fit_options){.epochs = 1, .batch_size = 32, .steps = 1}));
  const int64_t nearly = 1998;
  OK(tct_variables_write(m->session->variables, "optimizer/good_steps", &nearly, sizeof nearly));
  OK(tct_fit(m, data, &(tct_fit_options){.epochs = 1, .batch_size = 32, .steps = 1}));
  CHECK(number_of(m, "optimizer/loss_scale") == 64 && number_of(m, "optimizer/good_steps") == 1999, "one is missing");
  OK(tct_fit(m, data, &(tct_fit_options){.epochs = 1, .batch_size = 32, .steps = 1}));
  CHECK(number_of(m, "optimizer/loss_scale") == 128 && number_of(m, "optimizer/good_steps") == 0, "scale %g after %g",
        number_of(m, "optimizer/loss_scale"), number_of(m, "optimizer/good_steps"));
  tct_model_free(m);
  tct_dataset_free(data);
}

/* The loss is finite, its gradients are not at any scale: the fit says so, once it has tried them all. */
TEST(loss_scale, a_fit_without_any_finite_step_fails) {
  static float x[32][SIDE][SIDE][1];
  static int32_t y[32];
  static float weight[32];
  for (int i = 0; i < 32; i++) {
    x[i][0][0][0] = 1;
    weight[i] = 1e30f;
  }
  const tct_field fields[] = {
      {"x", TCT_F32, TCT_SHAPE(SIDE, SIDE, 1)}, {"y", TCT_I32, {0}}, {"weight", TCT_F32, {0}}};
  tct_dataset *data = NULL;
  OK(tct_dataset_arrays(32, 3, fields, (const void *[]){x, y, weight}, false, &data));
  tct_model *m = model_of(false, "cpu", "mixed_float16", 0x1p-22);
  OK(tct_fit(m, data, &(tct_fit_options){.batch_size = 32}));
  const uint64_t before = state_of(m);
  FAILS(tct_fit(m, data, &(tct_fit_options){.epochs = 3, .batch_size = 32}), TCT_NUMERIC, "no step is finite");
  CHECK(state_of(m) == before && number_of(m, "optimizer/loss_scale") == 0x1p-24, "scale %g", number_of(m, "optimizer/loss_scale"));
  tct_model_free(m);
  tct_dataset_free(data);
}

/* ---- what is not finite ---- */

TEST(mixed_precision, a_step_that_is_not_finite_writes_nothing) {
  static const char *const precisions[] = {"float32", "mixed_bfloat16", "mixed_float16"};
  static float x[32][SIDE][SIDE][1];
  static int32_t y[32];
  static float weight[32];
  weight[7] = NAN; /* of a sample: everything before the loss is finite, the statistics of batch norm too */
  const tct_field fields[] = {
      {"x", TCT_F32, TCT_SHAPE(SIDE, SIDE, 1)}, {"y", TCT_I32, {0}}, {"weight", TCT_F32, {0}}};
  for (int i = 0; i < 3; i++) {
    tct_dataset *data = NULL, *good = quadrants();
    OK(tct_dataset_arrays(32, 3, fields, (const void *[]){x, y, weight}, false, &data));
    tct_model *m = model_of(true, "cpu", precisions[i], 0);
    OK(tct_fit(m, good, &(tct_fit_options){.epochs = 1, .batch_size = 32, .steps = 2}));
    const uint64_t before = state_of(m);
    CHECK(tct_fit(m, data, &(tct_fit_options){.batch_size = 32}) == TCT_NUMERIC, "a NaN in the data");
    CHECK(state_of(m) == before, "%s: weights, moments, statistics or the step changed", precisions[i]);
    tct_model_free(m);
    tct_dataset_free(data);
    tct_dataset_free(good);
  }
}

/* ---- settings ---- */

TEST(mixed_precision, refusals) {
  tct_model *m = model_of(false, "cpu", NULL, 0);
  tct_training t = {.loss = "sparse_categorical_crossentropy", .precision = "mixed_bfloat"};
  FAILS(tct_model_compile(m, &t), TCT_INVALID, "unknown precision 'mixed_bfloat'");
  t.precision = "float16", t.loss_scale = -1;
  FAILS(tct_model_compile(m, &t), TCT_INVALID, "loss_scale is -1");
  t.loss_scale = 0x1p25;
  FAILS(tct_model_compile(m, &t), TCT_INVALID, "needs 0 < loss_scale <=");
  tct_model_free(m);
  tct_model *wide = tct_model_create("wide", TCT_F64);
  tct_layer_dense(tct_layer_input(wide, "x", TCT_F64, TCT_SHAPE(2)), &(tct_dense_layer){.units = 1});
  FAILS(tct_model_compile(wide, &(tct_training){.loss = "mse", .device = "ref", .precision = "bfloat16"}), TCT_INVALID,
        "precision bfloat16 is for models in f32");
  tct_model_free(wide);
}

static void append(void *user, const char *text, size_t length) { strncat(user, text, length); }

TEST(mixed_precision, the_summary_tells_which_op_is_stored_how) {
  char text[8192] = "";
  tct_model *m = model_of(true, "cpu", "mixed_bfloat16", 0);
  OK(tct_model_summary(m, 32, false, append, text));
  const char *with = strstr(text, " with bf16: "), *wide = strstr(text, " in f32 only: ");
  CHECK(with != NULL && wide != NULL && with < wide, "%s", text);
  const char *matmul = strstr(with, "matmul"), *update = strstr(with, "adam_update"), *loss = strstr(with, "cross_entropy");
  CHECK(matmul != NULL && matmul < wide, "products are narrow: %s", text);
  CHECK(update != NULL && update > wide && loss != NULL && loss > wide, "updates and losses are not: %s", text);
  text[0] = '\0';
  OK(tct_model_summary(m, 32, true, append, text));
  CHECK(strstr(text, "\"precision\":{\"bf16\":[") != NULL, "%s", text);
  tct_model_free(m);
}
