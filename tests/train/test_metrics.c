/* Metrics against values of scikit-learn 1.9.1 (rows that say so) and plain counting, whatever the batch size. */
#include <tercet/tercet.h>
#include "test.h"

enum { N = 11 };

/* A model that hands its input on: dense [1] with weight 1. */
static tct_model *identity(const char *loss, const char *metrics) {
  tct_model *m = tct_model_create("identity", TCT_F32);
  tct_layer_dense(tct_layer_input(m, "x", TCT_F32, TCT_SHAPE(1)),
                  &(tct_dense_layer){.units = 1, .kernel_initializer = "ones",
                                     .activation = strcmp(loss, "mse") == 0 ? NULL : "sigmoid"});
  OK(tct_model_compile(m, &(tct_training){.loss = loss, .metrics = metrics}));
  return m;
}

static tct_dataset *pairs(const float *x, const float *y, int n) {
  tct_dataset *data = NULL;
  OK(tct_dataset_arrays(n, 2, (const tct_field[]){{"x", TCT_F32, TCT_SHAPE(1)}, {"y", TCT_F32, TCT_SHAPE(1)}},
                        (const void *[]){x, y}, false, &data));
  return data;
}

TEST(metrics, precision_recall_f1) {
  static const float rows[][N] = {
      {0, 1, 1, 0, 1, 0, 0, 1, 1, 0, 1}, /* six are */
      {0}, {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}};
  static const float logits[N] = {-1, 2, -0.5f, 3, 0.1f, 0, -2, 5, 1, 0.2f, -3}; /* 0 says no: six are said */
  /* sklearn.metrics.precision_score, recall_score, f1_score, zero_division=0; scikit-learn 1.9.1 */
  static const double wanted[][3] = {{4.0 / 6, 4.0 / 6, 2.0 / 3}, {0, 0, 0}, {1, 6.0 / 11, 12.0 / 17}};
  for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
    tct_dataset *data = pairs(logits, rows[r], N);
    tct_model *m = identity("binary_crossentropy", "precision,recall,f1");
    for (int64_t batch = 1; batch <= N; batch++) {
      tct_evaluation e;
      OK(tct_evaluate(m, data, batch, &e));
      for (int i = 0; i < 3; i++) {
        CHECK(fabs(e.values[1 + i] - wanted[r][i]) < 1e-12, "row %zu, batch %lld: %s is %.15g, wanted %.15g", r,
              (long long)batch, e.names[1 + i], e.values[1 + i], wanted[r][i]);
      }
    }
    tct_model_free(m);
    tct_dataset_free(data);
  }
  tct_model *m = identity("mse", NULL);
  FAILS(tct_model_compile(m, &(tct_training){.loss = "sparse_categorical_crossentropy", .metrics = "f1"}), TCT_INVALID,
        "metric f1 needs binary_crossentropy");
  FAILS(tct_model_compile(m, &(tct_training){.loss = "sparse_categorical_crossentropy", .metrics = "r2"}), TCT_INVALID,
        "metric r2 needs a target of numbers");
  tct_model_free(m);
}

/* Σy² of these cancels in f32: only a sum about the mean keeps what varies. */
TEST(metrics, r2_of_a_target_far_from_zero) {
  float x[64], y[64];
  double mean = 0, spread = 0, error = 0;
  for (int i = 0; i < 64; i++) {
    y[i] = 10000 + (float)(i % 8) / 4;
    x[i] = y[i] + (i % 2 ? 0.25f : -0.25f);
    mean += (double)y[i] / 64;
  }
  for (int i = 0; i < 64; i++) {
    spread += ((double)y[i] - mean) * ((double)y[i] - mean);
    error += ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]);
  }
  static const int64_t batches[] = {1, 3, 16, 64};
  for (size_t b = 0; b < sizeof batches / sizeof *batches; b++) {
    tct_evaluation e;
    tct_dataset *data = pairs(x, y, 64);
    tct_model *m = identity("mse", "r2");
    OK(tct_evaluate(m, data, batches[b], &e));
    CHECK(fabs(e.values[1] - (1 - error / spread)) < 1e-4, "batch %lld: %.9g, wanted %.9g", (long long)batches[b], e.values[1],
          1 - error / spread);
    tct_model_free(m);
    tct_dataset_free(data);
  }
  for (int i = 0; i < 64; i++) y[i] = 0.1f;
  tct_evaluation e;
  tct_dataset *data = pairs(x, y, 64);
  tct_model *m = identity("mse", "r2");
  OK(tct_evaluate(m, data, 7, &e));
  CHECK(e.values[1] == 0, "of a target that never varies: %g", e.values[1]);
  tct_model_free(m);
  tct_dataset_free(data);
}
