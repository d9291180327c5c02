/* Asking every device for its prediction, and holding predictions against what was measured later. */
#include "perf/advise/advise.h"
#include "perf/advise/target.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "perf/compare/job.h"
#include "perf/compare/plan.h"
#include "perf/compare/prices.h"
#include "perf/compare/statistics.h"
#include "perf/compare/summary.h"
#include "perf/compare/worker.h"
#include "perf/support/json.h"

enum { PATH_BYTES = 4096, QUOTED_RUNS = 1000 };

/* ---- asking ---- */

static json_t *request_of(const perf_comparison *c, const char *device, bool analytic) {
  json_t *const request = json_object(), *const set = json_array();
  for (int32_t i = 0; i < c->n_set; i++) json_array_append_new(set, json_string(c->set[i]));
  json_object_set_new(request, "do", json_string("advise"));
  json_object_set_new(request, "job", json_string(c->job));
  if (c->directory != NULL) json_object_set_new(request, "directory", json_string(c->directory));
  json_object_set_new(request, "set", set);
  const char *const absent = perf_datasheet_called(device); /* its ops are the CPU's */
  json_object_set_new(request, "device", perf_text("%s", absent != NULL ? "cpu" : device));
  if (absent != NULL) json_object_set_new(request, "datasheet", json_string(absent));
  json_object_set_new(request, "mode", json_string("steps"));
  json_object_set_new(request, "steps", json_integer((json_int_t)c->steps));
  json_object_set_new(request, "seed", json_integer(1));
  json_object_set_new(request, "analytic", json_boolean(analytic));
  return request;
}

static bool ask_all(const perf_comparison *c, const perf_plan *plan, const char *worker, bool analytic, json_t *candidates, perf_problem *problem) {
  for (int i = 0; i < plan->n_devices; i++) {
    json_t *const request = request_of(c, plan->device[i], analytic);
    json_t *record = perf_worker_ask(worker, request, c->time_limit, c->cancel, problem);
    json_decref(request);
    if (record == NULL && problem->status != TCT_INTERNAL) return false;
    if (record == NULL) record = json_pack("{s:s, s:b, s:s, s:s}", "id", plan->device[i], "available", 0, "status", "failed", "why", problem->text);
    if (json_is_true(json_object_get(record, "mistake"))) {
      (void)perf_fails(problem, TCT_NOT_FOUND, "--devices: %s", perf_get_text(record, "why"));
      json_decref(record);
      return false;
    }
    json_object_set_new(record, "price", perf_price_of(record, c->user_prices));
    json_array_append_new(candidates, record);
    if (c->told != NULL) c->told(c->user, record, i + 1, plan->n_devices);
  }
  return true;
}

/* ---- other machines ---- */

/* The steps of a device of another file, over its runs of the plain job. */
static json_t *quoted_step(const json_t *records, const char *id) {
  double values[QUOTED_RUNS];
  int n = 0;
  size_t i;
  json_t *run;
  json_array_foreach(records, i, run) {
    if (n == QUOTED_RUNS || !perf_is(run, "record", "run") || !perf_is(run, "device", id) || perf_get_text(run, "point")[0] != '\0') continue;
    values[n] = perf_get_number(run, "step_p50");
    n += isfinite(values[n]) ? 1 : 0;
  }
  json_t *const step = perf_estimate_json(values, n);
  if (json_is_object(step)) json_object_set_new(step, "how", json_string(perf_is(step, "how", "range") ? "quoted, least to most of its runs" : "quoted, 95%"));
  return step;
}

/* Seconds of a run's epochs beyond their steps, over `batches` of validation in `epochs`; NaN: it has no whole epoch, or its steps tell as much. The
 * first step is apart, for it is cold, and where not every step is kept it would stand for many. */
static double validation_of(const json_t *run, double batches, double epochs) {
  const json_t *const all = json_object_get(run, "epochs"), *const last = json_array_get(all, json_array_size(all) - 1);
  const double steps = perf_get_number(last, "step");
  double sum = 0, *values = NULL;
  if (!(batches > 0) || json_array_size(all) == 0) return (double)NAN;
  const int n = perf_numbers(json_object_get(run, "step_seconds"), &values);
  for (int i = 1; i < n; i++) sum += values[i];
  const double all_steps = n > 1 ? values[0] + sum / (n - 1) * (steps - 1) : (double)NAN, rest = perf_get_number(last, "seconds") - all_steps;
  free(values);
  return rest > 0 ? rest / (double)json_array_size(all) * epochs / batches : (double)NAN;
}

/* What a job takes beside its steps, medians over the file's runs of the device: its start, and a batch of its validation. */
static void put_quoted_rest(const json_t *records, const json_t *here, const char *id, json_t *candidate) {
  double load[QUOTED_RUNS], compile[QUOTED_RUNS], forward[QUOTED_RUNS];
  int n = 0, n_forward = 0;
  size_t i;
  json_t *run;
  const double batches = perf_get_number(here, "validation_batches");
  const bool tests = strncmp(perf_get_text(json_array_get(records, 0), "target"), "test_", 5) == 0; /* each epoch looked at the test data too */
  json_array_foreach(records, i, run) {
    if (n == QUOTED_RUNS || n_forward == QUOTED_RUNS || !perf_is(run, "record", "run") || !perf_is(run, "device", id) || perf_get_text(run, "point")[0] != '\0') continue;
    const json_t *const cold = json_object_get(run, "cold");
    load[n] = perf_get_number(cold, "load");
    compile[n] = perf_get_number(cold, "compile");
    n += isfinite(load[n]) && isfinite(compile[n]) ? 1 : 0;
    forward[n_forward] = tests ? (double)NAN : validation_of(run, batches, perf_get_number(here, "epochs"));
    n_forward += isfinite(forward[n_forward]) ? 1 : 0;
  }
  json_object_set_new(candidate, "cold", json_pack("{s:o, s:o}", "load", perf_number(perf_estimate_of(load, n).median), "compile", perf_number(perf_estimate_of(compile, n).median)));
  json_object_set_new(candidate, "validation_batches", perf_number(batches));
  json_object_set_new(candidate, "forward", perf_number(perf_estimate_of(forward, n_forward).median));
  if (batches > 0 && n_forward == 0) json_object_set_new(candidate, "omits", json_string("its file does not tell what validation takes, so the job's is not counted"));
}

/* Devices that another machine measured on the same job become candidates, with its date; how long the job is, those that are here
 * say. */
static bool add_quoted(json_t *advice, const json_t *records, const char *path, const json_t *user_prices, perf_problem *problem) {
  const json_t *const first = json_array_get(records, 0), *here = NULL;
  json_t *const candidates = json_object_get(advice, "devices");
  const char *const a = perf_get_text(json_object_get(advice, "job"), "hash"), *const b = perf_get_text(json_object_get(first, "job"), "hash");
  if (strcmp(a, b) != 0) return perf_fails(problem, TCT_INVALID, "--with '%s' is of another job: '%s' (%s)", path, perf_get_text(json_object_get(first, "job"), "name"), b);
  size_t i;
  json_t *device;
  json_array_foreach(candidates, i, device) {
    if (here == NULL && json_is_integer(json_object_get(device, "steps"))) here = device;
  }
  json_array_foreach(records, i, device) {
    if (!perf_is(device, "record", "device") || !perf_is(device, "clock", "measured")) continue;
    json_t *const step = quoted_step(records, perf_get_text(device, "id"));
    json_t *const candidate = json_deep_copy(device);
    json_object_set_new(candidate, "price", perf_price_of(device, user_prices));
    json_object_set_new(candidate, "id", perf_text("%s (%.10s)", perf_get_text(device, "id"), perf_get_text(first, "created")));
    json_object_set_new(candidate, "record", json_string("candidate"));
    json_object_set_new(candidate, "status", json_string("done"));
    json_object_set_new(candidate, "quoted_from", perf_text("%s", path));
    if (!json_is_object(step) || here == NULL) {
      json_object_set_new(candidate, "status", json_string("unknown"));
      json_object_set_new(candidate, "why", json_is_object(step) ? json_string("no device here tells how many steps the job has; add cpu to --devices") : perf_text("'%s' has no run of it without a sweep", path));
      json_decref(step);
      json_array_append_new(candidates, candidate);
      continue;
    }
    json_object_set_new(candidate, "step", step);
    json_object_set(candidate, "steps", json_object_get(here, "steps"));
    json_object_set(candidate, "batch", json_object_get(here, "batch"));
    put_quoted_rest(records, here, perf_get_text(device, "id"), candidate);
    json_array_append_new(candidates, candidate);
  }
  return true;
}

json_t *perf_advise_devices(const perf_comparison *c, const perf_limits *limits, bool analytic, perf_problem *problem) {
  static perf_plan plan; /* large */
  char worker[PATH_BYTES];
  json_t *const advice = json_object(), *const candidates = json_array();
  json_object_set_new(advice, "record", json_string("advice"));
  json_object_set_new(advice, "schema", json_integer(PERF_SCHEMA));
  json_object_set_new(advice, "command", perf_text("%s", c->command != NULL ? c->command : ""));
  json_object_set_new(advice, "machine", c->machine != NULL ? json_incref(c->machine) : json_null());
  json_object_set_new(advice, "devices", candidates);
  perf_target target;
  bool ok = perf_plan_devices(c->devices, &plan, problem);
  ok = ok && (c->target == NULL || perf_plan_target(c->target, &target, problem));
  if (ok && !perf_worker_path(worker, sizeof worker)) ok = perf_fails(problem, TCT_UNAVAILABLE, "the system does not tell where this program lies");
  ok = ok && perf_put_job(c->job, c->directory, c->set, c->n_set, advice, problem) && ask_all(c, &plan, worker, analytic, candidates, problem);
  for (int i = 0; ok && i < c->n_quoted; i++) ok = add_quoted(advice, c->quoted[i], c->quoted_from[i], c->user_prices, problem);
  if (ok && c->target != NULL) perf_cut_at_target(advice, c->target, &target, (const json_t *const *)c->quoted, c->n_quoted);
  if (ok) perf_weigh(advice, limits);
  if (ok) return advice;
  json_decref(advice);
  return NULL;
}

/* ---- verifying ---- */

json_t *perf_verify(const json_t *advice, const json_t *records, perf_problem *problem) {
  const json_t *const job = json_object_get(advice, "job"), *const of = json_object_get(json_array_get(records, 0), "job");
  if (strcmp(perf_get_text(job, "hash"), perf_get_text(of, "hash")) != 0) {
    (void)perf_fails(problem, TCT_INVALID, "the runs are of another job: '%s' (%s), the predictions of '%s' (%s)", perf_get_text(of, "name"), perf_get_text(of, "hash"),
                     perf_get_text(job, "name"), perf_get_text(job, "hash"));
    return NULL;
  }
  const json_t *const then = json_object_get(advice, "machine"), *const there = json_object_get(json_array_get(records, 0), "machine");
  if (!json_equal(json_object_get(then, "processor"), json_object_get(there, "processor"))) {
    (void)perf_fails(problem, TCT_INVALID, "the runs are of another machine (%.80s) than the predictions (%.80s)", perf_get_text(there, "processor"), perf_get_text(then, "processor"));
    return NULL;
  }
  json_t *const rows = json_array();
  size_t i, j;
  json_t *device, *run;
  json_array_foreach(json_object_get(advice, "devices"), i, device) {
    const json_t *const step = json_object_get(device, "step");
    const double predicted = perf_get_number(step, "median"), low = perf_get_number(step, "low"), high = perf_get_number(step, "high");
    json_array_foreach(records, j, run) {
      const double measured = perf_get_number(run, "step_p50");
      if (!perf_is(run, "record", "run") || !perf_is(run, "device", perf_get_text(device, "id")) || !isfinite(measured) || !isfinite(predicted) || perf_get_text(run, "point")[0] != '\0') continue;
      json_array_append_new(rows, json_pack("{s:s, s:s, s:f, s:f, s:f, s:f, s:f, s:b}", "device", perf_get_text(device, "id"), "clock", perf_get_text(run, "clock"), "predicted", predicted,
                                            "low", low, "high", high, "measured", measured, "error", predicted / measured - 1, "inside", measured >= low && measured <= high));
    }
  }
  if (json_array_size(rows) > 0) return rows;
  json_decref(rows);
  (void)perf_fails(problem, TCT_INVALID, "the runs and the predictions have no device in common, or only points of a sweep");
  return NULL;
}
