/* Evaluation and prediction: one pass over the data in order. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/alloc.h"
#include "base/checked.h"
#include "base/log.h"
#include "base/status.h"
#include "train/ranking.h"
#include "train/session.h"

typedef struct pass {
  tct_model *model;
  tct_session *session;
  tct_feed feed;
  tct_loader *loader;
  const volatile int *cancel; /* borrowed; may be NULL */
  int64_t n_classes;          /* of the session's confusion matrix; 0: it is not counted */
  tct_ranking ranking;
} pass;

static tct_status begin(pass *p, tct_dataset *data, int64_t batch_size, tct_mode mode) {
  TCT_TRY(tct_session_of(p->model, &p->session));
  TCT_TRY(tct_feed_create(p->model, data, mode, &p->feed));
  const int64_t n = tct_dataset_samples(data);
  int64_t batch = batch_size == 0 ? 32 : batch_size;
  if (batch > n && n > 0) batch = n;
  TCT_TRY(tct_loader_create(p->feed.data, &(tct_loader_options){.batch_size = batch}, &p->loader));
  return tct_loader_start(p->loader, 0, 0);
}

static void end(pass *p) {
  tct_loader_free(p->loader);
  tct_feed_free(&p->feed);
  tct_ranking_free(&p->ranking);
}

/* ---- evaluate ---- */

static tct_status add_confusion(tct_session *session, tct_program *program, tct_dtype dtype, int64_t classes) {
  const size_t n = (size_t)(classes * classes);
  const size_t bytes = n * tct_dtype_bytes(dtype);
  void *counts = tct_alloc(bytes);
  if (counts == NULL) return TCT_OUT_OF_MEMORY;
  const tct_status status = tct_program_get(program, "confusion", counts, bytes);
  for (size_t i = 0; status == TCT_OK && i < n; i++) {
    session->confusion[i] += (int64_t)(dtype == TCT_F64 ? ((double *)counts)[i] : (double)((float *)counts)[i]);
  }
  tct_release(counts);
  return status;
}

static tct_status clear_confusion(pass *p, tct_evaluation *out) {
  tct_session *const session = p->session;
  if (!session->metrics.confusion && !session->metrics.averages) return TCT_OK;
  const tct_shape shape = tct_output_shape(p->model);
  if (shape.rank < 1) {
    return tct_fail(TCT_E_METRIC_LOSS, "confusion_matrix, and averages over classes, need an output [.., classes], the model's "
                    "is one number");
  }
  const int64_t classes = shape.dim[shape.rank - 1];
  tct_release(session->confusion);
  session->confusion = tct_alloc_zero((size_t)(classes * classes), sizeof *session->confusion);
  if (session->confusion == NULL) return TCT_OUT_OF_MEMORY;
  p->n_classes = classes;
  if (!session->metrics.confusion) return TCT_OK;
  out->n_classes = (int32_t)classes;
  out->confusion = session->confusion;
  return TCT_OK;
}

/* The values of the metrics that a whole pass gives, behind the running ones. */
static tct_status finish_pass(const pass *p, double *values) {
  const tct_metric_list *metrics = &p->session->metrics;
  tct_ranks ranks = {0};
  if (metrics->ranks) TCT_TRY(tct_ranking_finish(&p->ranking, &ranks));
  for (int32_t m = metrics->n_running; m < metrics->n; m++) {
    const tct_metric *metric = &metrics->metric[m];
    if (metric->average != TCT_AVERAGE_NONE) {
      values[1 + m] = tct_metric_average(metric, p->session->confusion, p->n_classes);
      continue;
    }
    values[1 + m] = strcmp(metric->type->name, "roc_auc") == 0 ? ranks.roc_auc : ranks.pr_auc;
    if (isnan(values[1 + m])) {
      tct_log_line(TCT_LOG_WARNING, "evaluate: %s is undefined, NaN: %s", metric->name, ranks.why);
    }
  }
  return TCT_OK;
}

static tct_status evaluate(pass *p, tct_evaluation *out) {
  tct_totals totals = {0};
  double loss = 0, total = 0;
  TCT_TRY(clear_confusion(p, out));
  if (p->session->metrics.ranks) TCT_TRY(tct_ranking_begin(p->model, tct_dataset_samples(p->feed.data), &p->ranking));
  for (;;) {
    tct_batch batch;
    tct_program *program = NULL;
    if (p->cancel != NULL && *p->cancel != 0) return tct_fail(TCT_CANCELLED, "the evaluation was given up");
    TCT_TRY(tct_loader_next(p->loader, &batch));
    if (batch.n == 0) break;
    TCT_TRY(tct_session_program(p->model, TCT_MODE_EVALUATE, batch.n, p->feed.weighted, &program));
    TCT_TRY(tct_feed_batch(p->model, &p->feed, program, &batch));
    TCT_TRY(tct_program_run(program));
    TCT_TRY(tct_totals_add(p->session, program, p->model, batch.n, &totals, &loss, &total));
    if (p->n_classes > 0) TCT_TRY(add_confusion(p->session, program, p->model->dtype, p->n_classes));
    if (p->session->metrics.ranks) TCT_TRY(tct_ranking_add(&p->ranking, program, batch.n));
  }
  const tct_metric_list *metrics = &p->session->metrics;
  out->n_samples = (int64_t)totals.samples;
  out->n_values = 1 + metrics->n;
  out->names[0] = "loss";
  for (int32_t m = 0; m < metrics->n; m++) out->names[1 + m] = metrics->metric[m].name;
  tct_totals_finish(p->session, p->model, &totals, out->values);
  return finish_pass(p, out->values);
}

tct_status tct_evaluate_unless(tct_model *model, tct_dataset *data, int64_t batch_size, const volatile int *cancel,
                               tct_evaluation *out) {
  *out = (tct_evaluation){0};
  pass p = {.model = model, .cancel = cancel};
  tct_status status = begin(&p, data, batch_size, TCT_MODE_EVALUATE);
  if (status == TCT_OK) status = evaluate(&p, out);
  end(&p);
  return status;
}

tct_status tct_evaluate(tct_model *model, tct_dataset *data, int64_t batch_size, tct_evaluation *out) {
  return tct_evaluate_unless(model, data, batch_size, NULL, out);
}

/* ---- predict ---- */

static tct_status predict(pass *p, char *out, size_t bytes) {
  const tct_shape shape = tct_output_shape(p->model);
  const size_t each = (size_t)tct_shape_size(&shape) * tct_dtype_bytes(p->model->dtype);
  size_t needs = 0;
  if (!tct_mul_size(each, (size_t)tct_dataset_samples(p->feed.data), &needs) || needs != bytes) {
    return tct_fail(TCT_E_PORT, "predict: %lld samples of %zu bytes need %zu bytes, got room for %zu",
                    (long long)tct_dataset_samples(p->feed.data), each, needs, bytes);
  }
  for (;;) {
    tct_batch batch;
    tct_program *program = NULL;
    TCT_TRY(tct_loader_next(p->loader, &batch));
    if (batch.n == 0) return TCT_OK;
    TCT_TRY(tct_session_program(p->model, TCT_MODE_PREDICT, batch.n, false, &program));
    TCT_TRY(tct_feed_batch(p->model, &p->feed, program, &batch));
    TCT_TRY(tct_program_run(program));
    TCT_TRY(tct_program_get(program, "output", out, each * (size_t)batch.n));
    out += each * (size_t)batch.n;
  }
}

tct_status tct_predict(tct_model *model, tct_dataset *data, int64_t batch_size, void *out, size_t bytes) {
  pass p = {.model = model};
  tct_status status = begin(&p, data, batch_size, TCT_MODE_PREDICT);
  if (status == TCT_OK) status = predict(&p, out, bytes);
  end(&p);
  return status;
}
