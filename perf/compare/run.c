/* A run: cold start, steps, epochs, the target, and what it took. Times of a modelled device are its model's; the load of the
 * data is the host's on every device. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <tercet/forecast.h>
#include <time.h>
#include "perf/compare/run.h"
#include "perf/compare/statistics.h"
#include "perf/support/json.h"
#include "perf/support/machine.h"
#include "perf/support/noise.h"
#include "perf/support/nvml.h"

enum { TEST_PREFIX = 5, PCI_BYTES = 32 }; /* "test_" */

typedef struct run {
  const perf_request *r;
  tct_job *job;
  tct_job_info info;
  tct_model *model;
  tct_device *device;
  json_t *record, *epochs;
  bool modelled, timed_out, failed; /* failed: no memory for a number */
  double began;             /* wall: this run */
  double fit_began;         /* in the device's own seconds */
  double last;              /* when the last step ended: on a modelled device's clock, else of the epoch */
  double wait;              /* of the epoch, as last told */
  double *seconds, *waits, *losses;
  int64_t n, room;
  char why_no_joules[200];
} run;

/* The device's own clock: seconds since some moment. */
static double now_of(const run *u) {
  tct_forecast_run so_far;
  if (!u->modelled) return perf_now();
  return tct_forecast_so_far(u->device, &so_far) ? so_far.seconds : 0;
}

static bool keep(double **values, int64_t room) {
  double *const more = realloc(*values, (size_t)room * sizeof **values);
  if (more != NULL) *values = more;
  return more != NULL;
}

static bool make_room(run *u) {
  if (u->n < u->room) return true;
  const int64_t room = u->room > 0 ? 2 * u->room : 1024;
  if (!keep(&u->seconds, room) || !keep(&u->waits, room) || !keep(&u->losses, room)) return false;
  u->room = room;
  return true;
}

static void check_time(run *u) {
  if (u->r->time_limit <= 0 || perf_now() - u->began < u->r->time_limit) return;
  u->timed_out = true;
  tct_fit_stop(u->model);
}

static bool has_name(const tct_progress *p, const char *name) {
  for (int32_t i = 0; i < p->n_values; i++) {
    if (strcmp(p->names[i], name) == 0) return true;
  }
  return false;
}

/* Whether the fit will have the target's metric; else the record says what it will have. */
static tct_status check_target(const run *u, const tct_progress *p) {
  const char *const name = u->r->target.metric;
  const bool of_test = strncmp(name, "test_", TEST_PREFIX) == 0;
  if (name[0] == '\0' || has_name(p, name) || (of_test && u->info.has_test && has_name(p, name + TEST_PREFIX))) return TCT_OK;
  char known[600] = "";
  for (int32_t i = 0; i < p->n_values; i++) {
    const bool twice = u->info.has_test && strncmp(p->names[i], "val_", 4) != 0;
    const size_t at = strlen(known);
    (void)snprintf(known + at, sizeof known - at, "%s%s%s%s", i > 0 ? ", " : "", p->names[i], twice ? ", test_" : "", twice ? p->names[i] : "");
  }
  json_object_set_new(u->record, "status", json_string("failed"));
  json_object_set_new(u->record, "why", perf_text("target: the job has no '%s'; it has %s%s", name, known,
                                                  u->info.has_validation ? "" : " (val_… with data.validation or data.validation_split)"));
  return TCT_CANCELLED;
}

static tct_status on_begin(void *user, tct_model *model, const tct_progress *p) {
  run *const u = user;
  (void)model;
  u->fit_began = u->last = now_of(u);
  return check_target(u, p);
}

/* Since the step before, or the epoch's begin. The fit has looked at the clock for p, and a step may be so short that a second look counts. */
static double step_seconds(run *u, const tct_progress *p) {
  const double now = u->modelled ? now_of(u) : p->seconds, before = u->modelled || p->step > 1 ? u->last : 0;
  u->last = now;
  return now - before;
}

static tct_status on_step(void *user, tct_model *model, const tct_progress *p) {
  run *const u = user;
  const double seconds = step_seconds(u, p), wait = p->input_wait_seconds - (p->step > 1 ? u->wait : 0);
  (void)model;
  if (!make_room(u)) {
    u->failed = true;
    return TCT_CANCELLED;
  }
  u->seconds[u->n] = seconds;
  u->waits[u->n] = u->modelled ? (double)NAN : wait;
  u->losses[u->n] = p->step_loss;
  u->n++;
  u->wait = p->input_wait_seconds;
  check_time(u);
  return TCT_OK;
}

/* The value of the fit by its name, or of the test data for "test_NAME". NaN: none; *status: what evaluating said. */
static double metric_of(run *u, const tct_progress *p, tct_status *status) {
  const char *const name = u->r->target.metric;
  for (int32_t i = 0; i < p->n_values; i++) {
    if (strcmp(p->names[i], name) == 0) return p->values[i];
  }
  if (strncmp(name, "test_", TEST_PREFIX) != 0 || !u->info.has_test) return (double)NAN;
  tct_evaluation test;
  *status = tct_job_evaluate(u->job, TCT_JOB_TEST, &test);
  for (int32_t i = 0; *status == TCT_OK && i < test.n_values; i++) {
    if (strcmp(test.names[i], name + TEST_PREFIX) == 0) return test.values[i];
  }
  return (double)NAN;
}

bool perf_target_met(const perf_target *target, double value) {
  return target->at_least ? value >= target->value : value <= target->value;
}

static tct_status on_epoch(void *user, tct_model *model, const tct_progress *p) {
  run *const u = user;
  tct_status status = TCT_OK;
  json_t *const epoch = json_object(), *const values = json_object();
  const perf_target *const target = &u->r->target;
  const double value = target->metric[0] != '\0' ? metric_of(u, p, &status) : (double)NAN;
  if (status != TCT_OK) {
    json_decref(epoch);
    json_decref(values);
    return status;
  }
  const double now = now_of(u);
  if (u->modelled) u->last = now; /* validation is the epoch's, not the next step's */
  for (int32_t i = 0; i < p->n_values; i++) json_object_set_new(values, p->names[i], perf_number(p->values[i]));
  if (strncmp(target->metric, "test_", TEST_PREFIX) == 0) json_object_set_new(values, target->metric, perf_number(value));
  json_object_set_new(epoch, "epoch", json_integer((json_int_t)p->epoch + 1));
  json_object_set_new(epoch, "step", json_integer((json_int_t)p->total_step));
  json_object_set_new(epoch, "seconds", perf_number(now - u->fit_began));
  json_object_set_new(epoch, "values", values);
  json_array_append_new(u->epochs, epoch);
  if (u->r->mode == PERF_TARGET && perf_target_met(target, value) && !json_is_object(json_object_get(u->record, "reached"))) {
    json_object_set(u->record, "reached", epoch);
    tct_fit_stop(model);
  }
  check_time(u);
  return TCT_OK;
}

/* At most PERF_MOST_STEPS_KEPT of them, every stride-th. */
static json_t *some_of(const double *values, int64_t n, int64_t stride) {
  json_t *const array = json_array();
  for (int64_t i = 0; i < n; i += stride) json_array_append_new(array, perf_number(values[i]));
  return array;
}

static void put_steps(run *u) {
  const int64_t stride = (u->n + PERF_MOST_STEPS_KEPT - 1) / PERF_MOST_STEPS_KEPT, by = stride > 0 ? stride : 1;
  json_object_set_new(u->record, "step_stride", json_integer((json_int_t)by));
  json_object_set_new(u->record, "step_seconds", some_of(u->seconds, u->n, by));
  json_object_set_new(u->record, "step_wait", some_of(u->waits, u->n, by));
  json_object_set_new(u->record, "step_loss", some_of(u->losses, u->n, by));
  /* The last batch of an epoch may be smaller; steps in their order are not needed any more. */
  const int64_t warm = u->n > 2 * u->r->warmup ? u->r->warmup : u->n / 2;
  double *const values = u->seconds + warm;
  const int n = (int)(u->n - warm);
  perf_sort(values, n);
  json_object_set_new(u->record, "step_p50", perf_number(perf_quantile(values, n, 0.5)));
  json_object_set_new(u->record, "step_p95", perf_number(perf_quantile(values, n, 0.95)));
}

static json_t *result_of(const tct_evaluation *test) {
  json_t *const values = json_object();
  for (int32_t i = 0; i < test->n_values; i++) json_object_set_new(values, test->names[i], perf_number(test->values[i]));
  return values;
}

static json_t *memory_of(run *u) {
  tct_program *program = NULL;
  tct_program_info info;
  if (tct_model_program(u->model, u->info.batch_size, true, &program) != TCT_OK) return json_null();
  tct_program_describe(program, &info);
  json_object_set_new(u->record, "flops", perf_number(info.flops));
  json_object_set_new(u->record, "fallbacks", json_integer(info.n_fallback));
  json_t *const memory = json_object();
  json_object_set_new(memory, "planned", perf_number((double)(info.arena_bytes + info.variables_bytes)));
  json_object_set_new(memory, "observed", perf_number(u->modelled ? (double)NAN : perf_peak_memory()));
  return memory;
}

static void keep_pci(void *user, const char *name, const char *value) {
  if (strcmp(name, "pci") == 0) (void)snprintf(user, PCI_BYTES, "%s", value);
}

/* What the device has drawn so far, where it is a GPU; NaN with a reason. */
static double board_joules(run *u) {
  char pci[PCI_BYTES] = "";
  tct_device_facts(u->device, keep_pci, pci);
  if (pci[0] != '\0') return perf_gpu_joules(pci, u->why_no_joules, sizeof u->why_no_joules);
  (void)snprintf(u->why_no_joules, sizeof u->why_no_joules, "the device does not tell where its energy can be read; the processor's would say nothing of it");
  return (double)NAN;
}

typedef enum meter { MODEL, PACKAGES, BOARD } meter;

static meter meter_of(const run *u) {
  if (u->modelled) return MODEL;
  return strncmp(u->r->device, "cpu", 3) == 0 || strncmp(u->r->device, "ref", 3) == 0 ? PACKAGES : BOARD;
}

/* board: what it had drawn before the training. */
static void put_energy(run *u, const perf_watch *watch, double board) {
  static const char *const sources[] = {"the simulator's model", "rapl: processor packages", "nvml: the board"};
  const meter by = meter_of(u);
  tct_forecast_run model;
  const bool has_model = tct_forecast_so_far(u->device, &model);
  double joules = by == MODEL ? model.joules : by == PACKAGES ? perf_watch_joules(watch) : board_joules(u) - board;
  if (by == BOARD && joules <= 0) {
    joules = (double)NAN;
    (void)snprintf(u->why_no_joules, sizeof u->why_no_joules, "the board's counter did not move: the training was too short for it");
  }
  json_object_set_new(u->record, "joules", perf_number(joules));
  json_object_set_new(u->record, "joules_source", isfinite(joules) || by == PACKAGES ? json_string(sources[by]) : json_null());
  if (!isfinite(joules)) json_object_set_new(u->record, "joules_why", perf_text("%s", by == PACKAGES ? watch->why : u->why_no_joules));
  json_object_set_new(u->record, "dollars_modelled", perf_number(has_model ? model.dollars : (double)NAN));
  json_object_set_new(json_object_get(u->record, "cold"), "compile_modelled", perf_number(has_model ? model.compiling : (double)NAN));
}

static tct_status prepare(run *u) {
  tct_dataset *data = NULL;
  json_t *const cold = json_object();
  json_object_set_new(u->record, "cold", cold);
  tct_status status = perf_open_job(u->r, &u->job);
  if (status != TCT_OK) return status;
  tct_job_describe(u->job, &u->info);
  status = tct_job_dataset(u->job, TCT_JOB_TRAIN, &data);
  if (status == TCT_OK && u->info.has_validation) status = tct_job_dataset(u->job, TCT_JOB_VALIDATION, &data);
  const double loaded = perf_now();
  json_object_set_new(cold, "load", perf_number(loaded - u->began));
  if (status == TCT_OK) status = tct_job_model(u->job, &u->model);
  if (status != TCT_OK) return status;
  u->device = tct_model_device(u->model);
  u->modelled = perf_is_modelled(u->device);
  tct_device_info device;
  tct_device_describe(u->device, &device);
  json_object_set_new(u->record, "threads", json_integer(device.n_threads));
  tct_program *program = NULL; /* made here, so that the first step is a step */
  status = tct_model_program(u->model, u->info.batch_size, true, &program);
  json_object_set_new(cold, "compile", perf_number(u->modelled ? (double)NAN : perf_now() - loaded));
  return status;
}

static tct_status fit(run *u) {
  const tct_callback watch = {.name = "measure", .user = u, .train_begin = on_begin, .step_end = on_step, .epoch_end = on_epoch};
  const tct_fit_options hooks = {.callbacks = &watch, .n_callbacks = 1};
  const tct_status status = tct_job_train(u->job, &hooks);
  json_object_set_new(u->record, "train_seconds", perf_number(now_of(u) - u->fit_began));
  json_object_set_new(json_object_get(u->record, "cold"), "first_step", perf_number(u->n > 0 ? u->seconds[0] : (double)NAN));
  return status;
}

static tct_status measure(run *u) {
  perf_watch watch;
  perf_watch_begin(&watch);
  tct_status status = prepare(u);
  if (status != TCT_OK) return status;
  const perf_watch before_fit = watch;
  perf_watch_begin(&watch);
  const double board = meter_of(u) == BOARD ? board_joules(u) : 0;
  status = fit(u);
  if (status != TCT_OK) return status;
  put_energy(u, &watch, board);
  json_object_set_new(u->record, "noise", perf_watch_noise(&before_fit));
  json_object_set_new(u->record, "memory", memory_of(u));
  put_steps(u);
  tct_evaluation test;
  if (u->r->mode == PERF_STEPS || !u->info.has_test) return TCT_OK;
  status = tct_job_evaluate(u->job, TCT_JOB_TEST, &test);
  if (status == TCT_OK) json_object_set_new(u->record, "result", result_of(&test));
  return status;
}

static void put_time(json_t *record) {
  char text[32];
  struct tm utc;
  const time_t now = time(NULL);
  if (gmtime_r(&now, &utc) == NULL || strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc) == 0) text[0] = '\0';
  json_object_set_new(record, "started", json_string(text));
}

json_t *perf_run(const perf_request *r) {
  run u = {.r = r, .record = json_object(), .epochs = json_array(), .began = perf_now()};
  json_object_set_new(u.record, "record", json_string("run"));
  json_object_set_new(u.record, "device", json_string(r->device));
  json_object_set_new(u.record, "point", json_string(r->point));
  json_object_set_new(u.record, "run", json_integer((json_int_t)r->run));
  json_object_set_new(u.record, "seed", json_integer((json_int_t)r->seed));
  put_time(u.record);
  json_object_set_new(u.record, "reached", json_null());
  json_object_set_new(u.record, "result", json_null());
  const tct_status status = measure(&u);
  json_object_set_new(u.record, "clock", json_string(u.modelled ? "modelled" : "measured"));
  json_object_set_new(u.record, "seconds", perf_number(perf_now() - u.began));
  json_object_set_new(u.record, "batch", json_integer((json_int_t)u.info.batch_size));
  json_object_set_new(u.record, "n_steps", json_integer((json_int_t)u.n));
  json_object_set_new(u.record, "epochs", u.epochs);
  if (u.failed) json_object_set_new(u.record, "why", json_string("no memory for the numbers of the steps"));
  if (u.failed || (status != TCT_OK && json_object_get(u.record, "status") == NULL)) {
    if (u.failed) json_object_set_new(u.record, "status", json_string("failed"));
    else perf_put_error(u.record, status);
  } else if (status == TCT_OK) {
    json_object_set_new(u.record, "status", json_string(u.timed_out && json_is_null(json_object_get(u.record, "reached")) ? "timed_out" : "done"));
    if (u.timed_out) json_object_set_new(u.record, "why", perf_text("stopped after the time limit of %g s", r->time_limit));
  }
  tct_job_free(u.job);
  free(u.seconds);
  free(u.waits);
  free(u.losses);
  return u.record;
}
