/* One device at one point: its runs together. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "perf/compare/run.h"
#include "perf/compare/statistics.h"
#include "perf/compare/summary.h"
#include "perf/support/json.h"
#include "perf/support/noise.h"

enum { MOST_RUNS = 1000, CURVE_POINTS = 400 };

typedef struct runs {
  const json_t *run[MOST_RUNS];
  int n;
} runs;

static void collect(const json_t *records, const char *device, const char *point, runs *out) {
  size_t i;
  json_t *record;
  out->n = 0;
  json_array_foreach(records, i, record) {
    if (!perf_is(record, "record", "run") || !perf_is(record, "device", device) || !perf_is(record, "point", point)) continue;
    int at = 0; /* a run that was made again counts once, as it was made last */
    while (at < out->n && !json_equal(json_object_get(out->run[at], "run"), json_object_get(record, "run"))) at++;
    if (at == MOST_RUNS) continue;
    out->run[at] = record;
    if (at == out->n) out->n++;
  }
}

static const json_t *profile_of(const json_t *records, const char *device, const char *point) {
  size_t i;
  json_t *record;
  json_array_foreach(records, i, record) {
    if (perf_is(record, "record", "profile") && perf_is(record, "device", device) && perf_is(record, "point", point)) return record;
  }
  return NULL;
}

json_t *perf_estimate_json(double *values, int n) {
  const perf_estimate e = perf_estimate_of(values, n);
  if (n < 1) return json_null();
  return json_pack("{s:o, s:o, s:o, s:i, s:s}", "median", perf_number(e.median), "low", perf_number(e.low), "high", perf_number(e.high), "n", e.n, "how",
                   e.interval ? "95%" : "range");
}

double perf_median(const json_t *point, const char *name) { return perf_get_number(json_object_get(point, name), "median"); }

/* An estimate over the runs of what `of` tells of each; NaN is left out. */
static json_t *over_runs(const runs *r, double (*of)(const json_t *run)) {
  double values[MOST_RUNS];
  int n = 0;
  for (int i = 0; i < r->n; i++) {
    values[n] = of(r->run[i]);
    n += isfinite(values[n]) ? 1 : 0;
  }
  return perf_estimate_json(values, n);
}

/* The same where a run that never got there took longer than any that did: the median is null when half or more did not. */
static json_t *over_runs_with_missing(const runs *r, double (*of)(const json_t *run)) {
  double values[MOST_RUNS];
  for (int i = 0; i < r->n; i++) {
    const double value = of(r->run[i]);
    values[i] = isfinite(value) ? value : INFINITY;
  }
  const perf_estimate e = perf_estimate_of(values, r->n);
  return isfinite(e.median) ? perf_estimate_json(values, r->n) : json_null();
}

static double p50_of(const json_t *run) { return perf_get_number(run, "step_p50"); }
static double p95_of(const json_t *run) { return perf_get_number(run, "step_p95"); }
static double rate_of(const json_t *run) { return perf_get_number(run, "batch") / p50_of(run); }
static double load_of(const json_t *run) { return perf_get_number(json_object_get(run, "cold"), "load"); }
static double compile_of(const json_t *run) {
  const json_t *const cold = json_object_get(run, "cold");
  const double measured = perf_get_number(cold, "compile");
  return isfinite(measured) ? measured : perf_get_number(cold, "compile_modelled");
}
static double first_step_of(const json_t *run) { return perf_get_number(json_object_get(run, "cold"), "first_step"); }
static double reached_of(const json_t *run) { return perf_get_number(json_object_get(run, "reached"), "seconds"); }

/* Seconds of the whole training over its epochs. */
static double epoch_of(const json_t *run) {
  const json_t *const epochs = json_object_get(run, "epochs"), *const last = json_array_get(epochs, json_array_size(epochs) - 1);
  return perf_get_number(last, "seconds") / perf_get_number(last, "epoch");
}

static double joules_of(const json_t *run) { return perf_get_number(run, "joules"); }
static double joules_step(const json_t *run) { return joules_of(run) / perf_get_number(run, "n_steps"); }
static double joules_epoch(const json_t *run) {
  return joules_of(run) / perf_get_number(json_array_get(json_object_get(run, "epochs"), json_array_size(json_object_get(run, "epochs")) - 1), "epoch");
}
static double joules_reached(const json_t *run) { return isfinite(reached_of(run)) ? joules_of(run) : (double)NAN; }

/* An estimate of seconds at a price per hour. */
static json_t *dollars(const json_t *seconds, const json_t *price, double threads) {
  const double each = perf_get_number(price, "dollars_per_cpu") * threads;
  const double rate = (isfinite(each) ? each : perf_get_number(price, "dollars_per_hour")) / 3600;
  json_t *const copy = json_deep_copy(seconds);
  static const char *const members[] = {"median", "low", "high"};
  if (!json_is_object(seconds) || !isfinite(rate)) {
    json_decref(copy);
    return json_null();
  }
  for (int i = 0; i < 3; i++) json_object_set_new(copy, members[i], perf_number(rate * perf_get_number(seconds, members[i])));
  return copy;
}

static void put_costs(json_t *p, const runs *r, perf_mode mode, const json_t *device) {
  static const char *const names[] = {"per_step", "per_epoch", "to_target"};
  double (*const joules[])(const json_t *run) = {joules_step, joules_epoch, joules_reached};
  const char *const seconds[] = {"step_p50", "epoch_seconds", "time_to_target"};
  const json_t *const price = json_object_get(device, "price");
  for (int i = 0; i < 3; i++) {
    char key[48];
    if ((i == 1 && mode == PERF_STEPS) || (i == 2 && mode != PERF_TARGET)) continue;
    (void)snprintf(key, sizeof key, "joules_%s", names[i]);
    json_object_set_new(p, key, i == 2 ? over_runs_with_missing(r, joules[i]) : over_runs(r, joules[i]));
    (void)snprintf(key, sizeof key, "dollars_%s", names[i]);
    json_object_set_new(p, key, dollars(json_object_get(p, seconds[i]), price, r->n > 0 ? perf_get_number(r->run[0], "threads") : (double)NAN));
  }
  if (json_is_null(json_object_get(p, "joules_per_step"))) json_object_set_new(p, "joules_why", perf_text("%s", r->n > 0 ? perf_get_text(r->run[0], "joules_why") : ""));
  if (!json_is_object(price)) json_object_set_new(p, "dollars_why", json_string("no price is known; --prices FILE gives one"));
  if (r->n > 0) json_object_set(p, "joules_source", json_object_get(r->run[0], "joules_source"));
}

/* ---- quality ---- */

static double value_at(const json_t *run, size_t epoch, const char *name) {
  return perf_get_number(json_object_get(json_array_get(json_object_get(run, "epochs"), epoch), "values"), name);
}

/* By epoch the metric's estimate over the runs that got there, and when. */
static json_t *curve_of(const runs *r, const char *metric) {
  json_t *const curve = json_array();
  for (size_t e = 0; e < 10000; e++) {
    double values[MOST_RUNS], seconds[MOST_RUNS];
    int n = 0;
    for (int i = 0; i < r->n; i++) {
      values[n] = value_at(r->run[i], e, metric);
      seconds[n] = perf_get_number(json_array_get(json_object_get(r->run[i], "epochs"), e), "seconds");
      n += isfinite(values[n]) && isfinite(seconds[n]) ? 1 : 0;
    }
    if (n == 0) break;
    json_t *const row = json_object();
    json_object_set_new(row, "epoch", json_integer((json_int_t)e + 1));
    perf_sort(seconds, n);
    json_object_set_new(row, "seconds", perf_number(perf_quantile(seconds, n, 0.5)));
    json_object_set_new(row, "metric", perf_estimate_json(values, n));
    json_array_append_new(curve, row);
  }
  return curve;
}

static json_t *loss_curve(const json_t *run) {
  const json_t *const losses = json_object_get(run, "step_loss");
  const size_t n = json_array_size(losses), by = n / CURVE_POINTS + 1;
  const double stride = fmax(1, perf_get_number(run, "step_stride"));
  json_t *const curve = json_array();
  for (size_t i = 0; i < n; i += by) json_array_append_new(curve, json_pack("{s:f, s:O}", "step", stride * (double)i, "loss", json_array_get(losses, i)));
  return curve;
}

/* The metric that is drawn: the target's, else the first of these that the fit has. */
static const char *drawn_metric(const json_t *first, const runs *r, perf_target *target) {
  static const char *const liked[] = {"val_accuracy", "accuracy", "val_loss", "loss"};
  if (perf_target_of(perf_get_text(first, "target"), target)) return target->metric;
  for (int i = 0; i < 4; i++) {
    if (r->n > 0 && isfinite(value_at(r->run[0], 0, liked[i]))) return liked[i];
  }
  return "loss";
}

static void put_quality(json_t *p, const json_t *first, const runs *r) {
  perf_target target;
  const char *const metric = drawn_metric(first, r, &target);
  double finals[MOST_RUNS];
  int n = 0;
  for (int i = 0; i < r->n; i++) {
    const size_t epochs = json_array_size(json_object_get(r->run[i], "epochs"));
    finals[n] = epochs > 0 ? value_at(r->run[i], epochs - 1, metric) : (double)NAN;
    n += isfinite(finals[n]) ? 1 : 0;
  }
  json_object_set_new(p, "metric", json_string(metric));
  json_object_set_new(p, "final", perf_estimate_json(finals, n));
  json_object_set_new(p, "curve", curve_of(r, metric));
  json_object_set_new(p, "loss_curve", r->n > 0 ? loss_curve(r->run[0]) : json_array());
}

/* ---- trust ---- */

static double greatest(const runs *r, const char *name) {
  double most = (double)NAN;
  for (int i = 0; i < r->n; i++) most = fmax(most, perf_get_number(json_object_get(r->run[i], "noise"), name)); /* fmax leaves NaN out */
  return most;
}

/* A model's clock hears no noise. */
static json_t *noise_of(const runs *r, const json_t *first, bool modelled) {
  double p50[MOST_RUNS];
  const double cpus = perf_get_number(json_object_get(json_object_get(first, "machine"), "cpus"), "usable");
  const double load = greatest(r, "load"), steal = greatest(r, "steal"), throttled = greatest(r, "throttled");
  int n = 0;
  for (int i = 0; i < r->n; i++) {
    p50[n] = p50_of(r->run[i]);
    n += isfinite(p50[n]) ? 1 : 0;
  }
  json_t *const noise = perf_judge_noise(perf_variation(p50, n), load, steal, throttled, cpus);
  if (modelled) {
    json_object_set_new(noise, "flags", json_array());
    json_object_set_new(noise, "unfit", json_false());
  }
  return noise;
}

/* ---- ops ---- */

/* What holds an op back, by its cost and the device's peaks; "start" where both say it should take less than a tenth of its time. */
static void put_bound(json_t *op, const json_t *peaks) {
  const double by_flops = perf_get_number(op, "flops") / perf_get_number(peaks, "flops"), by_bytes = perf_get_number(op, "bytes") / perf_get_number(peaks, "bytes_per_second");
  const double seconds = perf_get_number(op, "seconds");
  json_object_set_new(op, "intensity", perf_number(perf_get_number(op, "flops") / perf_get_number(op, "bytes")));
  if (!isfinite(by_flops) || !isfinite(by_bytes)) return;
  const double least = fmax(by_flops, by_bytes);
  json_object_set_new(op, "bound", json_string(least < 0.1 * seconds ? "start" : by_flops > by_bytes ? "flops" : "bytes"));
}

static void put_profile(json_t *p, const json_t *profile, const json_t *peaks) {
  json_t *const ops = json_deep_copy(json_object_get(profile, "ops"));
  size_t i;
  json_t *op;
  json_array_foreach(ops, i, op) put_bound(op, peaks);
  json_object_set_new(p, "ops", ops != NULL ? ops : json_array());
  json_object_set(p, "split", json_is_object(json_object_get(profile, "split")) ? json_object_get(profile, "split") : json_null());
  if (json_is_object(json_object_get(profile, "classes"))) json_object_set(p, "classes", json_object_get(profile, "classes"));
  if (profile != NULL && !perf_is(profile, "status", "done")) json_object_set_new(p, "ops_why", perf_text("%s", perf_get_text(profile, "why")));
}

static void put_utilization(json_t *p, const json_t *device) {
  const double threads = perf_get_number(p, "threads"), of_peaks = perf_get_number(device, "threads");
  /* Peaks are of the job's own threads; a point that sweeps them has none. */
  const double rate = isfinite(threads) && isfinite(of_peaks) && threads != of_peaks ? (double)NAN : perf_get_number(p, "flops") / perf_median(p, "step_p50");
  json_object_set_new(p, "utilization", perf_number(rate / perf_get_number(json_object_get(device, "peaks"), "flops")));
  json_object_set_new(p, "utilization_datasheet", perf_number(rate / perf_get_number(json_object_get(device, "datasheet"), "flops")));
}

/* ---- the whole ---- */

/* "; the best val_accuracy was 0.87, in epoch 22"; "" where no epoch ended. */
static void say_nearest(const json_t *first, const runs *r, char *text, size_t size) {
  perf_target target;
  double best = (double)NAN;
  size_t best_epoch = 0;
  text[0] = '\0';
  if (!perf_target_of(perf_get_text(first, "target"), &target)) return;
  for (int i = 0; i < r->n; i++) {
    const size_t n = json_array_size(json_object_get(r->run[i], "epochs"));
    for (size_t e = 0; e < n; e++) {
      const double value = value_at(r->run[i], e, target.metric);
      if (!isfinite(value) || (isfinite(best) && (target.at_least ? value <= best : value >= best))) continue;
      best = value;
      best_epoch = e + 1;
    }
  }
  if (isfinite(best)) (void)snprintf(text, size, "; the best %s was %.4g, in epoch %zu", target.metric, best, best_epoch);
}

/* The worst that a run met; its reason. "never reached": all ran, and none got there. */
static void put_status(json_t *p, const json_t *first, const runs *r, perf_mode mode, const json_t *device) {
  const char *status = "done", *why = "";
  char nearest[200] = "";
  int n_reached = 0;
  for (int i = 0; i < r->n; i++) {
    n_reached += isfinite(reached_of(r->run[i])) ? 1 : 0;
    if (perf_is(r->run[i], "status", "done")) continue;
    status = perf_get_text(r->run[i], "status");
    why = perf_get_text(r->run[i], "why");
  }
  if (!json_is_true(json_object_get(device, "available"))) {
    status = json_is_true(json_object_get(device, "died")) ? "failed" : "absent";
    why = perf_get_text(device, "why");
  } else if (r->n == 0) {
    status = "failed";
    why = "it did not run: the comparison was interrupted";
  } else if (mode == PERF_TARGET && n_reached == 0 && strcmp(status, "done") == 0) {
    status = "never reached";
    why = "the job's epochs ended before the target";
  }
  json_object_set_new(p, "status", perf_text("%s", status));
  if (mode == PERF_TARGET && n_reached == 0) say_nearest(first, r, nearest, sizeof nearest);
  json_object_set_new(p, "why", perf_text("%s%s", why, nearest));
  json_object_set_new(p, "n_runs", json_integer(r->n));
  json_object_set_new(p, "n_reached", json_integer(n_reached));
}

json_t *perf_point(const json_t *records, const json_t *first, const json_t *device, const char *point) {
  static runs r; /* large */
  const int mode = perf_mode_of(perf_get_text(first, "mode"));
  json_t *const p = json_object();
  collect(records, perf_get_text(device, "id"), point, &r);
  json_object_set_new(p, "point", perf_text("%s", point));
  put_status(p, first, &r, (perf_mode)mode, device);
  json_object_set_new(p, "batch", r.n > 0 ? perf_number(perf_get_number(r.run[0], "batch")) : json_null());
  json_object_set_new(p, "threads", r.n > 0 ? perf_number(perf_get_number(r.run[0], "threads")) : json_null());
  json_object_set_new(p, "flops", r.n > 0 ? perf_number(perf_get_number(r.run[0], "flops")) : json_null());
  json_object_set_new(p, "step_p50", over_runs(&r, p50_of));
  json_object_set_new(p, "step_p95", over_runs(&r, p95_of));
  json_object_set_new(p, "samples_per_second", over_runs(&r, rate_of));
  json_object_set_new(p, "epoch_seconds", mode == PERF_STEPS ? json_null() : over_runs(&r, epoch_of));
  json_object_set_new(p, "time_to_target", mode == PERF_TARGET ? over_runs_with_missing(&r, reached_of) : json_null());
  json_object_set_new(p, "cold_load", over_runs(&r, load_of));
  json_object_set_new(p, "cold_compile", over_runs(&r, compile_of));
  json_object_set_new(p, "cold_first_step", over_runs(&r, first_step_of));
  put_costs(p, &r, (perf_mode)mode, device);
  put_quality(p, first, &r);
  put_utilization(p, device);
  json_object_set(p, "memory", r.n > 0 && json_is_object(json_object_get(r.run[0], "memory")) ? json_object_get(r.run[0], "memory") : json_null());
  json_object_set_new(p, "noise", noise_of(&r, first, perf_is(device, "source", "modelled")));
  put_profile(p, profile_of(records, perf_get_text(device, "id"), point), json_object_get(device, "peaks"));
  return p;
}
