/* A forecast as a timeline in Chrome's trace format: one row of the ops, one of their classes, one of the layers. */
#include "train/forecast.h"

#include <jansson.h>
#include <string.h>
#include "base/status.h"

typedef struct sink {
  tct_write_fn write;
  void *user;
} sink;

static int put(const char *text, size_t n, void *user) {
  const sink *const to = user;
  to->write(to->user, text, n);
  return 0;
}

static json_t *event(const char *name, const char *category, double at, double took, int row) {
  return json_pack("{s:s,s:s,s:s,s:f,s:f,s:i,s:i}", "name", name, "cat", category, "ph", "X", "ts", at, "dur", took, "pid", 1, "tid", row);
}

static json_t *row_name(int row, const char *name) {
  return json_pack("{s:s,s:s,s:i,s:i,s:{s:s}}", "name", "thread_name", "ph", "M", "pid", 1, "tid", row, "args", "name", name);
}

/* Microseconds. Returns where the op ends. */
static double put_op(json_t *events, const tct_forecast_row *op, double now) {
  const tct_forecast_cost *const cost = &op->cost;
  const double us = cost->seconds * 1e6;
  double at = now;
  json_array_append_new(events, event(op->name, tct_forecast_phase_name(op->phase), now, us, 1));
  for (int class = 0; class < TCT_FORECAST_CLASSES; class++) {
    const double took = cost->cycles > 0 ? us * cost->by_class[class] / cost->cycles : 0;
    if (took > 0) json_array_append_new(events, event(tct_forecast_class(class), "class", at, took, 2));
    at += took;
  }
  return now + us;
}

/* Ops of one layer and phase that follow each other are one span. */
static void put_layers(json_t *events, const tct_forecast *f) {
  double begin = 0, end = 0;
  for (int32_t i = 0; i < f->info.n_ops; i++) {
    const tct_forecast_row *const op = &f->ops[i], *const next = i + 1 < f->info.n_ops ? op + 1 : NULL;
    end += op->cost.seconds * 1e6;
    if (next != NULL && next->phase == op->phase && strcmp(next->layer, op->layer) == 0) continue;
    json_array_append_new(events, event(op->layer, tct_forecast_phase_name(op->phase), begin, end - begin, 3));
    begin = end;
  }
}

tct_status tct_forecast_trace(const tct_forecast *f, tct_write_fn write, void *user) {
  json_t *const events = json_array();
  json_t *const object = json_pack("{s:o,s:{s:s,s:s}}", "traceEvents", events, "otherData", "modelled on", f->info.device, "phase of a job",
                                   f->info.training ? "training step" : "prediction");
  double now = 0;
  for (int32_t i = 0; i < f->info.n_ops; i++) now = put_op(events, &f->ops[i], now);
  put_layers(events, f);
  json_array_append_new(events, row_name(1, "ops"));
  json_array_append_new(events, row_name(2, "classes of cycles"));
  json_array_append_new(events, row_name(3, "layers"));
  sink to = {write, user};
  const bool written = object != NULL && json_dump_callback(object, put, &to, JSON_COMPACT) == 0;
  json_decref(object);
  return written ? TCT_OK : tct_fail(TCT_OUT_OF_MEMORY, "forecast: no memory for the timeline of %d ops", (int)f->info.n_ops);
}
