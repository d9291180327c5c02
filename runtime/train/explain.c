/* Why a loss is not finite. The batch is still there, and the step changed nothing, so that it can be run again bit by bit:
 * with every node a step of its own, which names the op as the model has it, or else as the program runs it. */
#include <math.h>
#include <stdio.h>
#include "base/status.h"
#include "graph/graph.h"
#include "train/graphs.h"
#include "train/session.h"

/* The first element of a float field that is not finite; -1: none. */
static int64_t find_bad(tct_dtype dtype, const void *data, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    if (dtype == TCT_F32 ? !isfinite(((const float *)data)[i]) : !isfinite(((const double *)data)[i])) return i;
  }
  return -1;
}

static tct_status check_batch(const tct_feed *feed, const tct_batch *batch) {
  for (int32_t p = 0; p < feed->n_ports; p++) {
    const tct_field *field = tct_dataset_field(feed->data, feed->port[p].field);
    const int64_t each = tct_shape_size(&field->shape);
    if (field->dtype != TCT_F32 && field->dtype != TCT_F64) continue;
    const void *data = batch->field[feed->port[p].field];
    const int64_t bad = find_bad(field->dtype, data, batch->n * each);
    if (bad < 0) continue;
    const double value = field->dtype == TCT_F32 ? (double)((const float *)data)[bad] : ((const double *)data)[bad];
    return tct_fail(TCT_E_NAN_DATA, "fit: field '%s': element %lld of sample %lld is %g, needs a finite number; mend or "
                    "drop that sample", field->name, (long long)(bad % each), (long long)batch->index[bad / each], value);
  }
  return TCT_OK;
}

tct_status tct_compile_plain(tct_model *model, bool weighted, int64_t batch, tct_program **out) {
  const tct_session *session = model->session;
  tct_graph *graph = NULL;
  TCT_TRY(tct_build_step(model, session, TCT_MODE_TRAIN, batch, weighted, &graph));
  const tct_compile_options options = {.variables = session->variables, .fallback_host = session->fallback_host,
                                       .precision = session->precision, .no_fusion = true};
  const tct_status status = tct_compile(graph, session->device, &options, out);
  tct_graph_free(graph);
  return status;
}

static tct_status find(tct_model *model, const tct_feed *feed, const tct_batch *batch, tct_program *program, char *text,
                       size_t bytes, bool *out_found) {
  TCT_TRY(tct_feed_batch(model, feed, program, batch));
  return tct_program_find_nonfinite(program, text, bytes, out_found);
}

tct_status tct_explain_loss(tct_model *model, const tct_feed *feed, const tct_batch *batch, int64_t step, double loss) {
  char text[640] = "";
  bool found = false;
  TCT_TRY(check_batch(feed, batch));
  tct_program *plain = NULL, *program = NULL;
  tct_status status = tct_compile_plain(model, feed->weighted, batch->n, &plain);
  if (status == TCT_OK) status = find(model, feed, batch, plain, text, sizeof text, &found);
  tct_program_free(plain);
  if (status != TCT_OK || !found) { /* fused arithmetic may round otherwise, and what the device refuses unfused */
    TCT_TRY(tct_session_program(model, TCT_MODE_TRAIN, batch->n, feed->weighted, &program));
    TCT_TRY(find(model, feed, batch, program, text, sizeof text, &found));
  }
  return tct_fail(TCT_E_LOSS_NAN, "fit: the loss is %g at step %lld (learning rate %g), whose update was left out%s%s; lower the "
                  "learning rate, clip the gradients, or look for unscaled inputs", loss, (long long)step,
                  model->session->learning_rate, found ? ": " : "", text);
}
