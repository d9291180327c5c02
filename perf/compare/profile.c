/* Where a step's time goes, op by op: of a measured device from steps of their own in which every op is waited for, of a
 * modelled one from its forecast. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <tercet/forecast.h>
#include "perf/compare/run.h"
#include "perf/compare/statistics.h"
#include "perf/support/json.h"
#include "perf/support/machine.h"

enum { PROFILED = 12, COLD = 3 };
static const char *const INFEED = "waiting for input"; /* among the counters of a TPU */

typedef struct profile {
  tct_model *model;
  int64_t batch, n;
  double last, wall, wait, upload; /* wait, upload: of the epoch, as last told */
  double waited, uploaded;
} profile;

static tct_status on_step(void *user, tct_model *model, const tct_progress *p) {
  profile *const u = user;
  tct_program *program = NULL;
  const double now = perf_now();
  u->n++;
  if (u->n > COLD) {
    u->wall += now - u->last;
    u->waited += p->input_wait_seconds - (p->step > 1 ? u->wait : 0);
    u->uploaded += p->upload_seconds - (p->step > 1 ? u->upload : 0);
  }
  u->wait = p->input_wait_seconds;
  u->upload = p->upload_seconds;
  if (u->n == COLD && tct_model_program(model, u->batch, true, &program) == TCT_OK) tct_program_profile(program, true);
  u->last = perf_now();
  return TCT_OK;
}

static void put_op(json_t *op, const char *name, const char *kind) {
  const char *layer = NULL;
  int32_t length = 0;
  const tct_forecast_phase phase = tct_forecast_place(name, kind, &layer, &length);
  json_object_set_new(op, "name", perf_text("%s", name));
  json_object_set_new(op, "op", perf_text("%s", kind));
  json_object_set_new(op, "layer", perf_text("%.*s", (int)length, layer));
  json_object_set_new(op, "phase", json_string(tct_forecast_phase_name(phase)));
}

/* Sums of the ops' seconds by phase; those on the host by a fallback apart. */
static void put_split(json_t *record, double wait, double upload, double communication, double total) {
  json_t *const split = json_object();
  double sums[TCT_FORECAST_N_PHASES] = {0}, fallback = 0, all = 0;
  size_t i;
  json_t *op;
  json_array_foreach(json_object_get(record, "ops"), i, op) {
    const double seconds = perf_get_number(op, "seconds");
    all += seconds;
    if (json_is_true(json_object_get(op, "fallback"))) {
      fallback += seconds;
      continue;
    }
    for (int p = 0; p < TCT_FORECAST_N_PHASES; p++) {
      if (perf_is(op, "phase", tct_forecast_phase_name((tct_forecast_phase)p))) sums[p] += seconds;
    }
  }
  json_object_set_new(split, "input_wait", perf_number(wait));
  json_object_set_new(split, "upload", perf_number(upload));
  for (int p = 0; p < TCT_FORECAST_N_PHASES; p++) json_object_set_new(split, tct_forecast_phase_name((tct_forecast_phase)p), perf_number(sums[p]));
  json_object_set_new(split, "communication", perf_number(communication));
  json_object_set_new(split, "fallback", perf_number(fallback));
  json_object_set_new(split, "host_gap", perf_number(fmax(0, total - all - wait - upload - communication)));
  json_object_set_new(split, "total", perf_number(fmax(total, all + wait + upload + communication)));
  json_object_set_new(record, "split", split);
}

static tct_status profile_measured(const perf_request *r, tct_job *job, tct_model *model, int64_t batch, json_t *record) {
  profile u = {.model = model, .batch = batch};
  const tct_callback watch = {.name = "profile", .user = &u, .step_end = on_step};
  tct_program *program = NULL;
  tct_step_info step;
  json_t *const ops = json_array();
  json_object_set_new(record, "ops", ops);
  tct_status status = tct_job_train(job, &(tct_fit_options){.callbacks = &watch, .n_callbacks = 1});
  if (status == TCT_OK) status = tct_model_program(model, batch, true, &program);
  if (status != TCT_OK) return status;
  for (int32_t i = 0; tct_program_step(program, i, &step); i++) {
    json_t *const op = json_object();
    put_op(op, step.name, step.op);
    json_object_set_new(op, "kernel", perf_text("%s", step.kernel));
    json_object_set_new(op, "where", perf_text("%s", step.device));
    json_object_set_new(op, "fallback", json_boolean(strcmp(step.device, r->device) != 0 && strcmp(step.device, "ref") == 0));
    json_object_set_new(op, "seconds", perf_number(step.seconds));
    json_object_set_new(op, "flops", perf_number(step.flops));
    json_object_set_new(op, "bytes", perf_number(step.bytes));
    json_array_append_new(ops, op);
  }
  const double n = (double)(u.n > COLD ? u.n - COLD : 1);
  json_object_set_new(record, "steps", json_integer((json_int_t)n));
  put_split(record, u.waited / n, u.uploaded / n, 0, u.wall / n);
  return TCT_OK;
}

static json_t *classes_of(const tct_forecast_cost *cost) {
  json_t *const classes = json_object();
  for (int32_t c = 0; c < TCT_FORECAST_CLASSES; c++) json_object_set_new(classes, tct_forecast_class(c), perf_number(cost->by_class[c]));
  return classes;
}

/* The device's counter by its name; 0: it has none. */
static double counter_of(tct_device *device, const char *name) {
  tct_counter all[40];
  const int32_t n = tct_device_counters(device, all, sizeof all / sizeof all[0]);
  for (int32_t i = 0; i < n; i++) {
    if (strcmp(all[i].name, name) == 0) return all[i].value;
  }
  return 0;
}

typedef struct infeed {
  double before, waited[COLD + PROFILED];
  int n;
} infeed;

static tct_status on_infeed(void *user, tct_model *model, const tct_progress *p) {
  infeed *const u = user;
  const double now = counter_of(tct_model_device(model), INFEED);
  if (p->total_step > 1 && u->n < COLD + PROFILED) u->waited[u->n++] = now - u->before; /* the run's first has none before it */
  u->before = now;
  return TCT_OK;
}

/* What validation waited for is not the next step's. */
static tct_status on_infeed_epoch(void *user, tct_model *model, const tct_progress *p) {
  (void)p;
  ((infeed *)user)->before = counter_of(tct_model_device(model), INFEED);
  return TCT_OK;
}

/* Cycles in which a step waits for its own input, by the device's clock: the median of a few, behind other steps. */
static tct_status infeed_of(tct_job *job, double *out) {
  infeed u = {.n = 0};
  const tct_callback watch = {.name = "infeed", .user = &u, .step_end = on_infeed, .epoch_end = on_infeed_epoch};
  const tct_status status = tct_job_train(job, &(tct_fit_options){.callbacks = &watch, .n_callbacks = 1});
  perf_sort(u.waited, u.n);
  *out = u.n > 0 ? perf_quantile(u.waited, u.n, 0.5) : 0;
  return status;
}

static tct_status profile_modelled(tct_job *job, tct_model *model, int64_t batch, json_t *record) {
  tct_forecast *forecast = NULL;
  tct_forecast_info info;
  tct_program *program = NULL;
  json_t *const ops = json_array();
  json_object_set_new(record, "ops", ops);
  double waited = 0;
  tct_status status = infeed_of(job, &waited);
  if (status == TCT_OK) status = tct_forecast_open(job, true, &forecast);
  if (status == TCT_OK) status = tct_model_program(model, batch, true, &program);
  if (status != TCT_OK) {
    tct_forecast_free(forecast);
    return status;
  }
  tct_forecast_describe(forecast, &info);
  for (int32_t i = 0; i < info.n_ops; i++) {
    const tct_forecast_row *const row = tct_forecast_row_at(forecast, TCT_FORECAST_OPS, i);
    json_t *const op = json_object();
    put_op(op, row->name, row->op);
    json_object_set_new(op, "kernel", json_string(""));
    json_object_set_new(op, "where", json_string(row->on_host ? "host" : info.device));
    json_object_set_new(op, "fallback", json_boolean(row->on_host));
    json_object_set_new(op, "seconds", perf_number(row->cost.seconds));
    json_object_set_new(op, "flops", perf_number(row->cost.flops));
    json_object_set_new(op, "bytes", perf_number(row->cost.hbm_bytes));
    json_object_set_new(op, "macs", perf_number(row->cost.macs));
    json_object_set_new(op, "joules", perf_number(row->cost.joules));
    json_object_set_new(op, "classes", classes_of(&row->cost));
    json_array_append_new(ops, op);
  }
  json_object_set_new(record, "steps", json_integer(1));
  json_object_set_new(record, "classes", classes_of(&info.total));
  const double waiting = info.total.by_class[TCT_FORECAST_CLASSES - 1] / info.chip.clock; /* for other chips */
  const double upload = waited / info.chip.clock;
  put_split(record, 0, upload, waiting, info.total.seconds + upload);
  tct_forecast_free(forecast);
  return TCT_OK;
}

json_t *perf_profile(const perf_request *r) {
  perf_request few = *r;
  tct_job *job = NULL;
  tct_job_info info;
  tct_model *model = NULL;
  json_t *const record = json_object();
  few.warmup = COLD;
  few.steps = PROFILED;
  json_object_set_new(record, "record", json_string("profile"));
  json_object_set_new(record, "device", json_string(r->device));
  json_object_set_new(record, "point", json_string(r->point));
  tct_status status = perf_open_job(&few, &job);
  if (status == TCT_OK) status = tct_job_model(job, &model);
  if (status == TCT_OK) {
    tct_job_describe(job, &info);
    status = perf_is_modelled(tct_model_device(model)) ? profile_modelled(job, model, info.batch_size, record)
                                                       : profile_measured(r, job, model, info.batch_size, record);
  }
  if (status == TCT_OK) json_object_set_new(record, "status", json_string("done"));
  else perf_put_error(record, status);
  tct_job_free(job);
  return record;
}
