/* Collecting scores, and the areas under the two curves by one sweep over each sorted column. */
#include "train/ranking.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/alloc.h"
#include "base/checked.h"
#include "base/number.h"
#include "base/status.h"
#include "graph/graph.h"

static size_t truths_of(const tct_ranking *ranking) { return ranking->per_column ? (size_t)ranking->n_columns : 1; }

tct_status tct_ranking_begin(const tct_model *model, int64_t n_samples, tct_ranking *out) {
  const tct_shape output = tct_output_shape(model);
  size_t scores = 0, truths = 0;
  *out = (tct_ranking){.n_columns = output.rank > 0 ? output.dim[output.rank - 1] : 1,
                       .per_column = tct_metrics_binary(model->session->loss), .dtype = model->dtype};
  out->rows_each = out->n_columns > 0 ? tct_shape_size(&output) / out->n_columns : 0;
  if (!tct_mul_size((size_t)n_samples, (size_t)tct_shape_size(&output), &scores) ||
      !tct_mul_size(scores, tct_dtype_bytes(out->dtype), &scores) ||
      !tct_mul_size((size_t)n_samples * (size_t)out->rows_each, truths_of(out) * sizeof *out->truth, &truths)) {
    return tct_fail(TCT_OUT_OF_MEMORY, "the scores of %lld samples are larger than memory", (long long)n_samples);
  }
  out->most_rows = n_samples * out->rows_each;
  out->scores = tct_alloc(scores);
  out->truth = tct_alloc(truths);
  return out->scores != NULL && out->truth != NULL ? TCT_OK : TCT_OUT_OF_MEMORY;
}

void tct_ranking_free(tct_ranking *ranking) {
  tct_release(ranking->scores);
  tct_release(ranking->truth);
  *ranking = (tct_ranking){0};
}

tct_status tct_ranking_add(tct_ranking *ranking, tct_program *program, int64_t n_samples) {
  const int64_t rows = n_samples * ranking->rows_each;
  const size_t row_bytes = (size_t)ranking->n_columns * tct_dtype_bytes(ranking->dtype);
  TCT_ASSERT(rows <= ranking->most_rows - ranking->n_rows);
  TCT_TRY(tct_program_get(program, "scores", (char *)ranking->scores + (size_t)ranking->n_rows * row_bytes,
                          (size_t)rows * row_bytes));
  TCT_TRY(tct_program_get(program, "truth", ranking->truth + (size_t)ranking->n_rows * truths_of(ranking),
                          (size_t)rows * truths_of(ranking) * sizeof *ranking->truth));
  ranking->n_rows += rows;
  return TCT_OK;
}

typedef struct scored {
  double score;
  bool positive;
} scored;

static int by_falling_score(const void *a, const void *b) {
  const double x = ((const scored *)a)->score, y = ((const scored *)b)->score;
  return (x < y) - (x > y);
}

/* False: a score is NaN. */
static bool fill(const tct_ranking *ranking, int64_t column, scored *row, int64_t *out_positives) {
  *out_positives = 0;
  for (int64_t i = 0; i < ranking->n_rows; i++) {
    const int64_t at = i * ranking->n_columns + column;
    row[i].score = tct_load_number(ranking->dtype, ranking->scores, at);
    row[i].positive = ranking->per_column ? ranking->truth[at] != 0 : ranking->truth[i] == column;
    *out_positives += row[i].positive;
    if (isnan(row[i].score)) return false;
  }
  return true;
}

/* Adds a column's areas. Rows of one score are one step of the curves. */
static void sweep(const scored *row, int64_t n, int64_t positives, tct_ranks *out) {
  double pairs = 0, precision = 0, seen = 0; /* seen: positives so far */
  for (int64_t i = 0; i < n;) {
    const int64_t first = i;
    double here = 0;
    for (; i < n && row[i].score == row[first].score; i++) here += row[i].positive;
    pairs += ((double)(i - first) - here) * (seen + here / 2);
    seen += here;
    precision += here * seen / (double)i;
  }
  out->roc_auc += pairs / ((double)positives * (double)(n - positives)); /* 0/0: NaN */
  out->pr_auc += precision / (double)positives;
}

static void rank_column(const tct_ranking *ranking, int64_t column, scored *row, tct_ranks *out) {
  int64_t positives = 0;
  if (!fill(ranking, column, row, &positives)) {
    out->roc_auc = out->pr_auc = NAN;
    snprintf(out->why, sizeof out->why, "a score of class %lld is NaN", (long long)column);
    return;
  }
  if (positives == 0 || positives == ranking->n_rows) {
    snprintf(out->why, sizeof out->why, "%s of the %lld rows is of class %lld", positives == 0 ? "none" : "every one",
             (long long)ranking->n_rows, (long long)(ranking->per_column && ranking->n_columns == 1 ? 1 : column));
  }
  qsort(row, (size_t)ranking->n_rows, sizeof *row, by_falling_score);
  sweep(row, ranking->n_rows, positives, out);
}

tct_status tct_ranking_finish(const tct_ranking *ranking, tct_ranks *out) {
  *out = (tct_ranks){0};
  scored *row = tct_alloc_zero((size_t)ranking->n_rows, sizeof *row);
  if (row == NULL) return TCT_OUT_OF_MEMORY;
  const bool two_classes = !ranking->per_column && ranking->n_columns == 2;
  const int64_t first = two_classes ? 1 : 0;
  for (int64_t c = first; c < ranking->n_columns; c++) rank_column(ranking, c, row, out);
  tct_release(row);
  out->roc_auc /= (double)(ranking->n_columns - first);
  out->pr_auc /= (double)(ranking->n_columns - first);
  return TCT_OK;
}
