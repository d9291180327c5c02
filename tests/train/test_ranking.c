/* roc_auc, pr_auc and the averages over classes: values of scikit-learn 1.9.1 (roc_auc_score, average_precision_score,
 * precision_score, recall_score, f1_score), pairs counted one by one, and what an evaluation and a fit report. */
#include <tercet/tercet.h>

#include "base/status.h"
#include "test.h"
#include "train/ranking.h"

static tct_ranks ranks_of(double *scores, int32_t *truth, int64_t rows, int64_t columns, bool per_column) {
  const tct_ranking ranking = {.n_columns = columns, .rows_each = 1, .n_rows = rows, .most_rows = rows,
                               .per_column = per_column, .dtype = TCT_F64, .scores = scores, .truth = truth};
  tct_ranks ranks;
  OK(tct_ranking_finish(&ranking, &ranks));
  return ranks;
}

static bool near(double a, double b) { return fabs(a - b) < 1e-14; }

/* ---- scikit-learn ------------------------------------------------------------------------------------ */

enum { TWELVE = 12 };
static const double twelve_scores[TWELVE] = {0.5, -0.25, 0.25, 0.25, 0.5, -0.25, -0.5, -0.25, 0, 0, -0.5, 0.5};
static const int32_t twelve_labels[TWELVE] = {0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 0, 0};
static const double twelve_roc = 0.27142857142857146, twelve_pr = 0.34047619047619049;

TEST(ranking, values_of_scikit_learn) {
  double twenty[] = {0.75, -0.5, -0.5, 0.75, -0.5, 0.25, 0.75, -0.5, 0, -0.5,
                     -0.25, 0.5, -0.25, 0.25, 0.25, -0.5, 0.25, -0.5, -0.25, -0.5};
  int32_t labels[] = {0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 1, 1, 0, 1, 1, 1, 0, 1, 0, 1};
  double three[] = {0.375, 0.125, 0.5,   0.125, 0.25,  0.625, 0.125, 0.25,  0.625, 0.375, 0.125, 0.5,   0.125, 0.5,
                    0.375, 0.125, 0.125, 0.75,  0.25,  0.125, 0.625, 0.25,  0.375, 0.375, 0.375, 0.5,   0.125, 0,
                    0.375, 0.625, 0.5,   0.125, 0.375, 0,     0.375, 0.625, 0.5,   0.5,   0,     0.75,  0.125, 0.125};
  int32_t classes[] = {0, 0, 1, 1, 1, 2, 2, 0, 0, 2, 0, 1, 2, 1};
  double scores[TWELVE];
  int32_t truth[TWELVE];
  memcpy(scores, twelve_scores, sizeof scores);
  memcpy(truth, twelve_labels, sizeof truth);
  tct_ranks r = ranks_of(scores, truth, TWELVE, 1, true);
  CHECK(near(r.roc_auc, twelve_roc) && near(r.pr_auc, twelve_pr), "%.17g %.17g", r.roc_auc, r.pr_auc);
  r = ranks_of(twenty, labels, 20, 1, true);
  CHECK(near(r.roc_auc, 0.43939393939393945) && near(r.pr_auc, 0.51262626262626276), "%.17g %.17g", r.roc_auc, r.pr_auc);
  r = ranks_of(three, classes, 14, 3, false); /* multi_class="ovr", average="macro" */
  CHECK(near(r.roc_auc, 0.61018518518518516) && near(r.pr_auc, 0.45753968253968252), "%.17g %.17g", r.roc_auc, r.pr_auc);
}

TEST(ranking, averages_of_scikit_learn) {
  enum { N = 20, CLASSES = 5 }; /* class 4 is neither said nor true, 1 is never said, 3 is never true */
  static const int32_t y[N] = {1, 0, 0, 1, 1, 1, 2, 0, 0, 2, 2, 2, 0, 2, 0, 2, 2, 2, 0, 1};
  static const int32_t said[N] = {3, 0, 0, 0, 0, 0, 2, 0, 2, 3, 0, 2, 0, 2, 0, 0, 2, 3, 3, 0};
  static const struct {
    const char *metric, *name;
    double wanted;
  } rows[] = {{"precision=micro", "precision_micro", 0.45},
              {"precision=macro", "precision_macro", 0.31363636363636366},
              {"precision=weighted", "precision_weighted", 0.47909090909090912},
              {"recall=micro", "recall_micro", 0.45},
              {"recall=macro", "recall_macro", 0.3035714285714286},
              {"recall=weighted", "recall_weighted", 0.45},
              {"f1=micro", "f1_micro", 0.45},
              {"f1=macro", "f1_macro", 0.29273504273504275},
              {"f1=weighted", "f1_weighted", 0.44059829059829064}};
  float x[N][CLASSES] = {0};
  for (int i = 0; i < N; i++) x[i][said[i]] = 1;
  tct_dataset *data = NULL;
  OK(tct_dataset_arrays(N, 2, (const tct_field[]){{"x", TCT_F32, TCT_SHAPE(CLASSES)}, {"y", TCT_I32, {0}}},
                        (const void *[]){x, y}, false, &data));
  tct_model *m = tct_model_create("m", TCT_F32);
  tct_layer_activation(tct_layer_input(m, "x", TCT_F32, TCT_SHAPE(CLASSES)), &(tct_activation_layer){.activation = "softmax"});
  for (size_t i = 0; i < TCT_COUNT_OF(rows); i++) {
    tct_evaluation e;
    OK(tct_model_compile(m, &(tct_training){.loss = "sparse_categorical_crossentropy", .metrics = rows[i].metric}));
    OK(tct_evaluate(m, data, 7, &e));
    CHECK(strcmp(e.names[1], rows[i].name) == 0 && near(e.values[1], rows[i].wanted), "%s: %s %.17g, wanted %.17g",
          rows[i].metric, e.names[1], e.values[1], rows[i].wanted);
    CHECK(e.n_values == 2 && e.n_classes == 0 && e.confusion == NULL);
  }
  tct_model_free(m);
  tct_dataset_free(data);
}

/* ---- counting ---------------------------------------------------------------------------------------- */

/* Pair by pair; and the precision at each positive's score. */
static void count(const double *score, const int32_t *positive, int n, double *out_roc, double *out_pr) {
  double pairs = 0, precision = 0, positives = 0;
  for (int i = 0; i < n; i++) {
    double above = 0, right = 0;
    if (!positive[i]) continue;
    positives++;
    for (int j = 0; j < n; j++) {
      if (!positive[j]) pairs += score[i] > score[j] ? 1 : score[i] == score[j] ? 0.5 : 0;
      if (score[j] < score[i]) continue;
      above++;
      right += positive[j];
    }
    precision += right / above;
  }
  *out_roc = pairs / (positives * (n - positives));
  *out_pr = precision / positives;
}

TEST(ranking, pairs_counted_one_by_one) {
  enum { MOST = 120 };
  uint32_t state = 1;
  for (int round = 0; round < 60; round++) {
    const int n = 2 + round * 2, values = 1 + round % 9; /* many ties, and scores that are all the same */
    double score[MOST], roc = 0, pr = 0;
    int32_t positive[MOST];
    for (int i = 0; i < n; i++) {
      state = state * 1664525 + 1013904223;
      score[i] = (double)(state >> 16) / 7 - 3000;
      score[i] = round % 10 == 9 ? score[i] : (double)((state >> 16) % (uint32_t)values);
      positive[i] = i < 2 ? i : (int32_t)(state >> 8 & 1);
    }
    count(score, positive, n, &roc, &pr);
    const tct_ranks r = ranks_of(score, positive, n, 1, true);
    CHECK(fabs(r.roc_auc - roc) < 1e-12 && fabs(r.pr_auc - pr) < 1e-12, "round %d: %.15g %.15g, counted %.15g %.15g", round,
          r.roc_auc, r.pr_auc, roc, pr);
  }
}

/* ---- reports ----------------------------------------------------------------------------------------- */

static char lines[1024];
static void keep_line(void *user, tct_log_level level, const char *line) {
  (void)user, (void)level;
  (void)snprintf(lines + strlen(lines), sizeof lines - strlen(lines), "%s\n", line);
}

static tct_model *sigmoid_model(const char *metrics) {
  tct_model *m = tct_model_create("m", TCT_F32);
  tct_layer_dense(tct_layer_input(m, "x", TCT_F32, TCT_SHAPE(1)),
                  &(tct_dense_layer){.units = 1, .kernel_initializer = "ones", .activation = "sigmoid"});
  OK(tct_model_compile(m, &(tct_training){.loss = "binary_crossentropy", .metrics = metrics, .optimizer = {.learning_rate = 1e-9}}));
  return m;
}

static tct_dataset *twelve(int32_t label) { /* -1: as they are */
  float x[TWELVE], y[TWELVE];
  for (int i = 0; i < TWELVE; i++) {
    x[i] = (float)twelve_scores[i];
    y[i] = (float)(label < 0 ? twelve_labels[i] : label);
  }
  tct_dataset *data = NULL;
  OK(tct_dataset_arrays(TWELVE, 2, (const tct_field[]){{"x", TCT_F32, TCT_SHAPE(1)}, {"y", TCT_F32, TCT_SHAPE(1)}},
                        (const void *[]){x, y}, false, &data));
  return data;
}

TEST(ranking, of_an_evaluation_and_a_fit) {
  static const char *const names[] = {"loss", "accuracy", "val_loss", "val_accuracy", "val_roc_auc", "val_pr_auc"};
  tct_dataset *data = twelve(-1);
  tct_model *m = sigmoid_model("roc_auc,pr_auc,accuracy");
  for (int64_t batch = 1; batch <= TWELVE; batch++) {
    tct_evaluation e;
    OK(tct_evaluate(m, data, batch, &e));
    CHECK(e.n_values == 4 && strcmp(e.names[1], "accuracy") == 0 && strcmp(e.names[2], "roc_auc") == 0);
    CHECK(near(e.values[2], twelve_roc) && near(e.values[3], twelve_pr), "batch %lld: %.17g %.17g", (long long)batch,
          e.values[2], e.values[3]);
  }
  OK(tct_fit(m, data, &(tct_fit_options){.batch_size = 5, .validation = data}));
  CHECK(tct_history_n_values(m) == (int32_t)TCT_COUNT_OF(names));
  for (int32_t i = 0; i < (int32_t)TCT_COUNT_OF(names); i++) {
    CHECK(strcmp(tct_history_name(m, i), names[i]) == 0, "%s, wanted %s", tct_history_name(m, i), names[i]);
  }
  CHECK(near(tct_history_value(m, 0, 4), twelve_roc) && near(tct_history_value(m, 0, 5), twelve_pr));
  OK(tct_fit(m, data, &(tct_fit_options){.batch_size = 5}));
  CHECK(tct_history_n_values(m) == 2);
  tct_model_free(m);
  tct_dataset_free(data);
}

/* The scores are the probabilities that a prediction gives. */
TEST(ranking, of_classes_by_label_or_one_hot) {
  enum { N = 40 };
  for (int64_t classes = 2; classes <= 3; classes++) {
    float x[N * 3], hot[N * 3] = {0}, said[N * 3];
    int32_t y[N];
    double roc = 0, pr = 0;
    for (int i = 0; i < N; i++) {
      y[i] = (int32_t)((i * 5 + i / 7) % classes);
      hot[i * classes + y[i]] = 1;
      for (int64_t c = 0; c < classes; c++) x[i * classes + c] = (float)((i * 7 + c * 3 + i * c) % 5);
    }
    tct_model *m = tct_model_create("m", TCT_F32);
    tct_layer_activation(tct_layer_input(m, "x", TCT_F32, TCT_SHAPE(classes)), &(tct_activation_layer){.activation = "softmax"});
    for (int sparse = 0; sparse < 2; sparse++) {
      tct_dataset *data = NULL;
      const tct_field fields[] = {{"x", TCT_F32, TCT_SHAPE(classes)},
                                  sparse ? (tct_field){"y", TCT_I32, {0}} : (tct_field){"y", TCT_F32, TCT_SHAPE(classes)}};
      tct_evaluation e;
      OK(tct_dataset_arrays(N, 2, fields, (const void *[]){x, sparse ? (void *)y : hot}, false, &data));
      OK(tct_model_compile(m, &(tct_training){.loss = sparse ? "sparse_categorical_crossentropy" : "categorical_crossentropy",
                                              .metrics = "roc_auc,pr_auc"}));
      OK(tct_predict(m, data, N, said, (size_t)(N * classes) * sizeof *said));
      OK(tct_evaluate(m, data, 9, &e));
      roc = pr = 0;
      for (int64_t c = classes == 2; c < classes; c++) {
        double score[N], column_roc = 0, column_pr = 0;
        int32_t positive[N];
        for (int i = 0; i < N; i++) {
          score[i] = (double)said[i * classes + c];
          positive[i] = y[i] == c;
        }
        count(score, positive, N, &column_roc, &column_pr);
        roc += column_roc / (classes == 2 ? 1 : 3);
        pr += column_pr / (classes == 2 ? 1 : 3);
      }
      CHECK(fabs(e.values[1] - roc) < 1e-12 && fabs(e.values[2] - pr) < 1e-12, "%lld classes: %.15g %.15g, counted %.15g %.15g",
            (long long)classes, e.values[1], e.values[2], roc, pr);
      tct_dataset_free(data);
    }
    tct_model_free(m);
  }
}

TEST(ranking, undefined_is_nan_with_a_warning) {
  tct_set_log(keep_line, NULL, TCT_LOG_WARNING);
  for (int32_t label = 0; label < 2; label++) {
    lines[0] = '\0';
    tct_evaluation e;
    tct_dataset *data = twelve(label);
    tct_model *m = sigmoid_model("roc_auc,pr_auc");
    OK(tct_evaluate(m, data, 5, &e));
    CHECK(isnan(e.values[1]) && (label == 0 ? isnan(e.values[2]) : e.values[2] == 1), "%g %g", e.values[1], e.values[2]);
    CHECK(strstr(lines, label == 0 ? "roc_auc is undefined, NaN: none of the 12 rows is of class 1"
                                   : "roc_auc is undefined, NaN: every one of the 12 rows is of class 1"), "%s", lines);
    CHECK((strstr(lines, "pr_auc is undefined") != NULL) == (label == 0), "%s", lines);
    tct_model_free(m);
    tct_dataset_free(data);
  }
  tct_set_log(NULL, NULL, TCT_LOG_WARNING);
  double scores[] = {1, (double)NAN, 2};
  int32_t truth[] = {0, 1, 1};
  const tct_ranks r = ranks_of(scores, truth, 3, 1, true);
  CHECK(isnan(r.roc_auc) && isnan(r.pr_auc) && strstr(r.why, "a score of class 0 is NaN"), "%s", r.why);
}

TEST(ranking, refusals) {
  static const struct {
    const char *loss, *metrics, *part;
  } rows[] = {{"sparse_categorical_crossentropy", "f1=best", "metric 'f1=best': needs micro, macro or weighted"},
              {"sparse_categorical_crossentropy", "recall", "over its classes there are recall=macro, recall=micro"},
              {"binary_crossentropy", "f1=macro", "metric f1=macro averages over classes, the loss is binary_crossentropy"},
              {"binary_crossentropy", "roc_auc=3", "metric 'roc_auc=3': nothing belongs behind roc_auc"},
              {"mse", "pr_auc", "metric pr_auc needs a cross-entropy loss"},
              {"binary_crossentropy", "roc_acu", "did you mean 'roc_auc'?"}};
  tct_model *m = tct_model_create("m", TCT_F32);
  tct_layer_dense(tct_layer_input(m, "x", TCT_F32, TCT_SHAPE(1)), &(tct_dense_layer){.units = 2});
  for (size_t i = 0; i < TCT_COUNT_OF(rows); i++) {
    FAILS(tct_model_compile(m, &(tct_training){.loss = rows[i].loss, .metrics = rows[i].metrics}), TCT_INVALID, rows[i].part);
  }
  tct_model_free(m);
}
