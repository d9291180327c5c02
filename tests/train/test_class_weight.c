/* Class weights: the loss that one counts by hand, and the bits of the same weights given sample by sample. */
#include <tercet/tercet.h>

#include "base/status.h"
#include "test.h"

enum { N = 24, CLASSES = 3 };

typedef enum target { SPARSE, ONE_HOT, BINARY } target;
static const char *const losses[] = {"sparse_categorical_crossentropy", "categorical_crossentropy", "binary_crossentropy"};
static const double weight[CLASSES] = {0.5, 3, 1.0 / 3};

static float x[N][CLASSES], own[N];
static int32_t label[N];

static void make_samples(target t) {
  for (int i = 0; i < N; i++) {
    for (int j = 0; j < CLASSES; j++) x[i][j] = 2 * sinf((float)(CLASSES * i + j) * 12.9898f);
    label[i] = (i * 7 + i / 5) % (t == BINARY ? 2 : CLASSES);
    own[i] = 0.1f * (float)(i % 4);
  }
}

/* Fields x and y, and "weight" unless NULL. */
static tct_dataset *make_data(target t, const float *weights) {
  float rows[N][CLASSES] = {0}, ones[N];
  for (int i = 0; i < N; i++) {
    rows[i][label[i]] = 1;
    ones[i] = (float)label[i];
  }
  const tct_field fields[] = {{"x", TCT_F32, TCT_SHAPE(CLASSES)},
                              t == SPARSE    ? (tct_field){"y", TCT_I32, {0}}
                              : t == ONE_HOT ? (tct_field){"y", TCT_F32, TCT_SHAPE(CLASSES)}
                                             : (tct_field){"y", TCT_F32, TCT_SHAPE(1)},
                              {"weight", TCT_F32, {0}}};
  const void *const y = t == SPARSE ? (const void *)label : t == ONE_HOT ? (const void *)rows : ones;
  tct_dataset *data = NULL;
  OK(tct_dataset_arrays(N, weights != NULL ? 3 : 2, fields, (const void *[]){x, y, weights}, false, &data));
  return data;
}

/* Logits: the input itself, or its first number. */
static tct_model *make_model(target t) {
  float kernel[CLASSES][CLASSES] = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}, column[CLASSES] = {1, 0, 0};
  tct_model *m = tct_model_create("m", TCT_F32);
  tct_layer_dense(tct_layer_input(m, "x", TCT_F32, TCT_SHAPE(CLASSES)),
                  &(tct_dense_layer){.units = t == BINARY ? 1 : CLASSES, .activation = t == BINARY ? "sigmoid" : "softmax"});
  OK(tct_model_compile(m, &(tct_training){.loss = losses[t], .optimizer = {.learning_rate = 0.1}, .seed = 3}));
  OK(tct_model_write(m, "dense/kernel", t == BINARY ? (void *)column : kernel, t == BINARY ? sizeof column : sizeof kernel));
  return m;
}

static double loss_of(target t, int i) {
  if (t == BINARY) return log1p(exp(label[i] == 1 ? -(double)x[i][0] : (double)x[i][0]));
  double sum = 0;
  for (int j = 0; j < CLASSES; j++) sum += exp((double)x[i][j]);
  return log(sum) - (double)x[i][label[i]];
}

static tct_status keep_first(void *user, int64_t step, double loss) {
  if (step == 0) *(double *)user = loss;
  return TCT_OK;
}

TEST(class_weight, the_loss_is_what_one_counts_by_hand) {
  for (target t = SPARSE; t <= BINARY; t++) {
    for (int32_t n = 1; n <= (t == BINARY ? 2 : CLASSES); n++) { /* the classes behind have 1 */
      for (int weighted = 0; weighted < 2; weighted++) {
        make_samples(t);
        double wanted = 0, got = 0;
        for (int i = 0; i < N; i++) {
          wanted += (label[i] < n ? weight[label[i]] : 1) * (weighted ? (double)own[i] : 1) * loss_of(t, i) / N;
        }
        tct_dataset *data = make_data(t, weighted ? own : NULL);
        tct_model *m = make_model(t);
        OK(tct_fit(m, data, &(tct_fit_options){.batch_size = N, .on_step = keep_first, .user = &got, .class_weight = weight,
                                               .n_class_weights = n}));
        CHECK(fabs(got - wanted) < 1e-6 * wanted, "%s, %d weights: %.9g, wanted %.9g", losses[t], n, got, wanted);
        tct_model_free(m);
        tct_dataset_free(data);
      }
    }
  }
}

/* Weights and the history's losses after some epochs of shuffled batches, the last one smaller. */
static void train(target t, const float *weights, bool by_class, float *parameters, size_t bytes, double *history) {
  tct_dataset *data = make_data(t, weights), *plain = make_data(t, NULL);
  tct_model *m = make_model(t);
  tct_fit_options o = {.epochs = 3, .batch_size = 7, .validation = plain};
  tct_evaluation e;
  if (by_class) {
    o.class_weight = weight;
    o.n_class_weights = t == BINARY ? 2 : CLASSES;
  }
  OK(tct_fit(m, data, &o));
  OK(tct_model_read(m, "dense/kernel", parameters, bytes));
  for (int32_t epoch = 0; epoch < 3; epoch++) {
    for (int32_t v = 0; v < 2; v++) history[2 * epoch + v] = tct_history_value(m, epoch, v);
  }
  OK(tct_evaluate(m, plain, 7, &e));
  CHECK(e.values[0] == history[5], "val_loss is %.17g, evaluated %.17g", history[5], e.values[0]);
  tct_model_free(m);
  tct_dataset_free(data);
  tct_dataset_free(plain);
}

TEST(class_weight, the_bits_are_those_of_the_same_weights_by_sample) {
  for (target t = SPARSE; t <= BINARY; t++) {
    for (int weighted = 0; weighted < 2; weighted++) {
      make_samples(t);
      float each[N], a[CLASSES * CLASSES] = {0}, b[CLASSES * CLASSES] = {0}, without[CLASSES * CLASSES] = {0};
      double ha[6], hb[6], hw[6];
      const size_t bytes = (t == BINARY ? CLASSES : CLASSES * CLASSES) * sizeof(float);
      for (int i = 0; i < N; i++) each[i] = (float)((weighted ? (double)own[i] : 1) * weight[label[i]]);
      train(t, weighted ? own : NULL, true, a, bytes, ha);
      train(t, each, false, b, bytes, hb);
      train(t, weighted ? own : NULL, false, without, bytes, hw);
      CHECK(memcmp(a, b, bytes) == 0 && memcmp(ha, hb, sizeof ha) == 0, "%s, weighted %d", losses[t], weighted);
      CHECK(memcmp(a, without, bytes) != 0, "%s: the weights change nothing", losses[t]);
    }
  }
}

TEST(class_weight, validation_is_without) {
  static const double none[CLASSES] = {0};
  make_samples(SPARSE);
  double wanted = 0;
  for (int i = 0; i < N; i++) wanted += loss_of(SPARSE, i) / N;
  tct_dataset *data = make_data(SPARSE, NULL);
  tct_model *m = make_model(SPARSE);
  OK(tct_fit(m, data, &(tct_fit_options){.batch_size = N, .validation = data, .class_weight = none, .n_class_weights = CLASSES}));
  CHECK(tct_history_value(m, 0, 0) == 0, "loss %g", tct_history_value(m, 0, 0));
  CHECK(fabs(tct_history_value(m, 0, 1) - wanted) < 1e-6, "val_loss %g, wanted %g", tct_history_value(m, 0, 1), wanted);
  tct_model_free(m);
  tct_dataset_free(data);
}

TEST(class_weight, refusals) {
  static const double good[4] = {1, 1, 1, 1}, negative[] = {1, -0.5}, nan[] = {(double)NAN}, infinite[] = {1, 2, (double)INFINITY};
  static const struct {
    const double *weight;
    int32_t n;
    const char *part;
  } rows[] = {{good, 4, "with 4 weights, needs 1 to 3, as many as the output has classes"},
              {good, -1, "with -1 weights"},
              {good, 0, "with 0 weights"},
              {NULL, 2, "class_weight is NULL with 2 weights"},
              {negative, 2, "class_weight[1] is -0.5, needs a finite number, at least 0"},
              {nan, 1, "class_weight[0] is nan"},
              {infinite, 3, "class_weight[2] is inf"}};
  make_samples(SPARSE);
  tct_dataset *data = make_data(SPARSE, NULL), *rows_data = make_data(ONE_HOT, NULL);
  tct_model *m = make_model(SPARSE);
  for (size_t i = 0; i < TCT_COUNT_OF(rows); i++) {
    FAILS(tct_fit(m, data, &(tct_fit_options){.class_weight = rows[i].weight, .n_class_weights = rows[i].n}), TCT_INVALID,
          rows[i].part);
  }
  OK(tct_model_compile(m, &(tct_training){.loss = "mse"}));
  FAILS(tct_fit(m, rows_data, &(tct_fit_options){.class_weight = good, .n_class_weights = 3}), TCT_INVALID,
        "class_weight needs one class a sample, the loss is mean_squared_error");
  tct_model_free(m);
  tct_dataset_free(data);
  tct_dataset_free(rows_data);
}

/* ---- in a job ---------------------------------------------------------------------------------------- */

#define JOB "data: {type: glyphs, samples: 20, class_names: [a, b, c, d, e, f, g, h, i, \"3\"]}\n" \
            "model: {layers: [Flatten, {Dense: {units: 10, activation: softmax}}]}\n"
#define SPARSE_LOSS "loss: sparse_categorical_crossentropy\n"

static tct_status run_job(const char *text, double *out_loss) {
  tct_job *job = NULL;
  tct_model *m = NULL;
  tct_status status = tct_job_parse(text, strlen(text), "job.yaml", NULL, &job);
  if (status == TCT_OK) status = tct_job_train(job, NULL);
  if (status == TCT_OK) status = tct_job_model(job, &m);
  *out_loss = m != NULL ? tct_history_value(m, 0, 0) : (double)NAN;
  tct_job_free(job);
  return status;
}

TEST(class_weight, of_a_job_by_name_or_number) {
  double plain = 0, named = 0, numbered = 0;
  OK(run_job(JOB SPARSE_LOSS, &plain));
  OK(run_job(JOB SPARSE_LOSS "train: {class_weight: {c: 2.5, a: 0, 3: 7}}\n", &named)); /* the name of class 9 */
  OK(run_job(JOB SPARSE_LOSS "train: {class_weight: {0: 0, 9: 7, 2: 2.5}}\n", &numbered));
  CHECK(named == numbered, "%.17g, %.17g", named, numbered);
  CHECK(named != plain, "%.17g", named);
}

TEST(class_weight, refusals_of_a_job) {
  static const struct {
    const char *text, *part;
  } rows[] = {
      {JOB SPARSE_LOSS "train: {class_weight: [1, 2]}\n", "train.class_weight: needs classes and their weights, such as"},
      {JOB SPARSE_LOSS "train: {class_weight: {}}\n", "needs classes and their weights"},
      {JOB SPARSE_LOSS "train: {class_weight: {0: -1}}\n", "is -1, needs a finite number, 0 or more"},
      {JOB SPARSE_LOSS "train: {class_weight: {0: nan}}\n", "is nan, needs a finite number"},
      {JOB SPARSE_LOSS "train: {class_weight: {0: [1]}}\n", "is no number, needs a finite number"},
      {JOB SPARSE_LOSS "train: {class_weight: {z: 1}}\n", "job.yaml:4:24: train.class_weight: class 'z' is not among the 10 "
                                                          "classes; needs a number from 0 to 9, or the name of one"},
      {JOB SPARSE_LOSS "train: {class_weight: {10: 1}}\n", "class '10' is not among the 10 classes"},
      {JOB SPARSE_LOSS "train: {class_weight: {a: 1, 0: 2}}\n", "class '0' has a weight already, under its name or number"},
      {"data: {type: glyphs, samples: 20}\nmodel: {layers: [Flatten, {Dense: {units: 10}}]}\nloss: mse\ntrain: {class_weight: {0: 1}}\n",
       "'class_weight' needs a loss with one class a sample, the loss is mean_squared_error"}};
  double loss = 0;
  for (size_t i = 0; i < TCT_COUNT_OF(rows); i++) FAILS(run_job(rows[i].text, &loss), TCT_INVALID, rows[i].part);
}
