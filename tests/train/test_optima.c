/* Convex problems have one optimum, which exact-optima.json gives: training in double must find it. Full batches and
 * Nesterov's momentum, whose rates follow from the condition of each problem; for the bigram, whose optimum lies at
 * infinity, Adam. */
#include <tercet/tercet.h>
#include "goldens.h"
#include "test.h"

/* ---- the golden file ---- */

static double number(const json_t *root, const char *problem, const char *key) {
  const json_t *value = json_object_get(json_object_get(root, problem), key);
  CHECK(json_is_number(value), "no %s.%s", problem, key);
  return json_number_value(value);
}

static void check_close(const char *what, double got, double want, double relative) {
  CHECK(fabs(got - want) <= relative * fabs(want), "%s is %.15g, not %.15g: off by %.2g of it", what, got, want,
        fabs(got / want - 1));
}

/* ---- training ---- */

static tct_status keep_last(void *user, int64_t step, double loss) {
  (void)step;
  *(double *)user = loss;
  return TCT_OK;
}

/* The data loss before the last step. */
static double train(tct_model *model, tct_dataset *data, int64_t epochs) {
  double loss = NAN;
  const int64_t all = tct_dataset_samples(data);
  OK(tct_fit(model, data,
             &(tct_fit_options){.epochs = epochs,
                                .batch_size = all,
                                .no_shuffle = true,
                                .on_step = keep_last,
                                .user = &loss,
                                .prefetch = -1}));
  return loss;
}

/* A CSV file with its features standardized by their population deviation; mean and std may be NULL. */
static tct_dataset *standardized(const char *folder, const char *name, tct_toggle classes, double *mean, double *std) {
  char path[1024];
  double means[16], deviations[16];
  tct_dataset *raw = NULL, *data = NULL;
  snprintf(path, sizeof path, "%s/tabular/%s.csv", folder, name);
  OK(tct_dataset_csv(path, &(tct_csv_options){.header = TCT_OFF, .classes = classes, .dtype = TCT_F64}, &raw));
  const int32_t x = tct_dataset_find(raw, "x");
  CHECK(tct_shape_size(&tct_dataset_field(raw, x)->shape) <= 16);
  OK(tct_dataset_moments(raw, x, means, deviations));
  OK(tct_dataset_standardize(raw, x, means, deviations, &data));
  if (mean != NULL) memcpy(mean, means, sizeof means);
  if (std != NULL) memcpy(std, deviations, sizeof deviations);
  tct_dataset_free(raw);
  return data;
}

/* ---- least squares ---- */

TEST(optima, housing) {
  DATA_OR_SKIP();
  json_t *root = open_goldens(folder, "exact-optima.json");
  double mean[16], std[16], w[13], b = 0;
  tct_dataset *data = standardized(folder, "housing", TCT_OFF, mean, std);
  tct_model *model = tct_model_create("housing", TCT_F64);
  tct_layer_dense(tct_layer_input(model, "x", TCT_F64, TCT_SHAPE(13)), &(tct_dense_layer){.name = "fc", .units = 1});
  /* Twice the correlations' eigenvalues lie in [0.12, 12.3]: a rate below 1/12.3, √(12.3/0.12) ≈ 10. */
  const tct_optimizer optimizer = {.type = "sgd", .learning_rate = 0.07, .momentum = 0.82, .nesterov = true};
  OK(tct_model_compile(model,
                       &(tct_training){.loss = "mse", .metrics = "r2", .optimizer = optimizer, .device = "ref"}));
  const double loss = train(model, data, 1500);
  check_close("mean squared error", loss, number(root, "ols_boston_housing", "train_mse"), 1e-9);
  tct_evaluation evaluation;
  OK(tct_evaluate(model, data, 506, &evaluation));
  check_close("R²", evaluation.values[1], number(root, "ols_boston_housing", "train_r2"), 1e-9);

  OK(tct_model_read(model, "fc/kernel", w, sizeof w));
  OK(tct_model_read(model, "fc/bias", &b, sizeof b));
  const json_t *want = json_object_get(json_object_get(root, "ols_boston_housing"), "weights");
  for (int i = 0; i < 13; i++) { /* back to the raw features */
    check_close("a weight", w[i] / std[i], json_real_value(json_array_get(want, (size_t)i)), 1e-9);
    b -= w[i] / std[i] * mean[i];
  }
  check_close("the intercept", b, json_real_value(json_array_get(want, 13)), 1e-9);
  tct_model_free(model);
  tct_dataset_free(data);
  json_decref(root);
}

/* ---- softmax regression ---- */

static void check_softmax(const char *folder, const char *name, const char *problem, int64_t n_features) {
  json_t *root = open_goldens(folder, "exact-optima.json");
  const double lambda = number(root, problem, "lambda_on_W");
  tct_dataset *data = standardized(folder, name, TCT_ON, NULL, NULL);
  tct_model *model = tct_model_create(name, TCT_F64);
  tct_layer_dense(tct_layer_input(model, "x", TCT_F64, TCT_SHAPE(n_features)),
                  &(tct_dense_layer){.name = "fc", .units = 3, .kernel_regularizer = {.l2 = lambda / 2}});
  /* The loss's curvature is at most half the largest eigenvalue of the correlations (3 to 5), at least λ: √(2.5/1e-3)
   * = 50. */
  const tct_optimizer optimizer = {.type = "sgd", .learning_rate = 0.4, .momentum = 0.96, .nesterov = true};
  OK(tct_model_compile(model, &(tct_training){.loss = "sparse_categorical_crossentropy",
                                              .metrics = "accuracy",
                                              .optimizer = optimizer,
                                              .device = "ref"}));
  const double loss = train(model, data, 5000);
  double w[16 * 3], squares = 0;
  OK(tct_model_read(model, "fc/kernel", w, (size_t)(n_features * 3) * sizeof *w));
  for (int64_t i = 0; i < n_features * 3; i++) squares += w[i] * w[i];
  check_close("the objective", loss + lambda / 2 * squares, number(root, problem, "optimum_loss"), 1e-9);
  check_close("the cross-entropy", loss, number(root, problem, "train_ce"), 1e-6); /* of first order in the distance */
  tct_evaluation evaluation;
  OK(tct_evaluate(model, data, 64, &evaluation));
  check_close("the accuracy", evaluation.values[1], number(root, problem, "train_acc"), 1e-9);
  tct_model_free(model);
  tct_dataset_free(data);
  json_decref(root);
}

TEST(optima, iris) {
  DATA_OR_SKIP();
  check_softmax(folder, "iris", "softmax_iris", 4);
}

TEST(optima, wine) {
  DATA_OR_SKIP();
  check_softmax(folder, "wine", "softmax_wine", 13);
}

/* ---- the bigram ---- */

enum { LETTERS = 27, PAIRS = LETTERS * LETTERS };

/* Every pair of letters once, weighted by how often it occurs, so that the mean over pairs is the mean over bigrams. */
static tct_dataset *bigrams(const char *folder, double total) {
  static int32_t x[PAIRS], y[PAIRS];
  static double weight[PAIRS];
  char path[1024], line[64];
  snprintf(path, sizeof path, "%s/text/names.txt", folder);
  FILE *file = fopen(path, "r");
  CHECK(file != NULL, "%s", path);
  double counted = 0;
  while (fgets(line, sizeof line, file) != NULL) {
    int32_t before = 0;
    for (const char *at = line;; at++) {
      const int32_t now = *at >= 'a' && *at <= 'z' ? *at - 'a' + 1 : 0;
      weight[before * LETTERS + now] += PAIRS / total;
      counted++;
      before = now;
      if (now == 0) break;
    }
  }
  fclose(file);
  CHECK(counted == total, "%g bigrams, not %g", counted, total);
  for (int32_t i = 0; i < PAIRS; i++) {
    x[i] = i / LETTERS;
    y[i] = i % LETTERS;
  }
  const tct_field fields[] = {{"x", TCT_I32, {0}}, {"y", TCT_I32, {0}}, {"weight", TCT_F64, {0}}};
  tct_dataset *data = NULL;
  OK(tct_dataset_arrays(PAIRS, 3, fields, (const void *[]){x, y, weight}, false, &data));
  return data;
}

TEST(optima, bigram) {
  DATA_OR_SKIP();
  json_t *root = open_goldens(folder, "exact-optima.json");
  tct_dataset *data = bigrams(folder, number(root, "names_bigram", "bigrams"));
  tct_model *model = tct_model_create("bigram", TCT_F64);
  tct_layer_embedding(tct_layer_input(model, "x", TCT_I32, tct_shape_of(0, NULL)),
                      &(tct_embedding_layer){.name = "logits", .input_dim = LETTERS, .output_dim = LETTERS});
  /* Logits of pairs that never occur go to -∞, their gradients to 0. Adam divides by the root of the mean square, which
   * shrinks by √β₂ a step: they fall by -ln √0.9 = 0.053 a step, to e^-50 in a thousand. */
  const tct_optimizer optimizer = {.type = "adam", .learning_rate = 0.2, .beta_2 = 0.9, .epsilon = 1e-30};
  OK(tct_model_compile(model, &(tct_training){.loss = "sparse_categorical_crossentropy",
                                              .optimizer = optimizer,
                                              .schedule = {.type = "cosine"},
                                              .device = "ref"}));
  check_close("the loss", train(model, data, 1500), number(root, "names_bigram", "mle_nll"), 1e-7);
  tct_model_free(model);
  tct_dataset_free(data);
  json_decref(root);
}
