/* Sums of an epoch. */
#include "base/status.h"
#include "graph/graph.h"
#include "train/session.h"

/* What one sample counts for: rows of a class target, elements of a dense one. */
static double count_per_sample(const tct_session *session, const tct_metric *metric, const tct_model *model) {
  const tct_shape shape = tct_output_shape(model);
  double count = 1;
  const int32_t axes = metric->type->classes && !tct_metrics_binary(session->loss) ? shape.rank - 1 : shape.rank;
  for (int32_t i = 0; i < axes; i++) count *= (double)shape.dim[i];
  return count;
}

tct_status tct_totals_add(const tct_session *session, tct_program *program, const tct_model *model, int64_t n,
                          tct_totals *totals, double *out_data_loss, double *out_total_loss) {
  double values[2 + TCT_MAX_METRICS * TCT_MAX_SUMS];
  float narrow[2 + TCT_MAX_METRICS * TCT_MAX_SUMS];
  const size_t n_sums = (size_t)session->n_sums;
  TCT_ASSERT(n_sums >= 2);
  if (model->dtype == TCT_F64) {
    TCT_TRY(tct_program_get(program, "sums", values, n_sums * sizeof(double)));
  } else {
    TCT_TRY(tct_program_get(program, "sums", narrow, n_sums * sizeof(float)));
    for (size_t i = 0; i < n_sums; i++) values[i] = (double)narrow[i];
  }
  double *sums = values + 2;
  for (int32_t m = 0; m < session->metrics.n_running; m++) {
    const tct_metric *metric = &session->metrics.metric[m];
    if (metric->type->fold != NULL) metric->type->fold(sums, (double)n * count_per_sample(session, metric, model));
    sums += metric->type->n_sums;
  }
  totals->sums[0] += values[0] * (double)n; /* means over the batch: weigh them */
  totals->sums[1] += values[1] * (double)n;
  for (size_t i = 2; i < n_sums; i++) totals->sums[i] += values[i];
  totals->samples += (double)n;
  *out_total_loss = values[0];
  *out_data_loss = values[1];
  return TCT_OK;
}

void tct_totals_finish(const tct_session *session, const tct_model *model, const tct_totals *totals, double *values) {
  values[0] = totals->samples > 0 ? totals->sums[0] / totals->samples : 0;
  const double *sums = totals->sums + 2;
  for (int32_t m = 0; m < session->metrics.n_running; m++) {
    const tct_metric *metric = &session->metrics.metric[m];
    values[1 + m] = metric->type->finish(sums, totals->samples * count_per_sample(session, metric, model));
    sums += metric->type->n_sums;
  }
}
