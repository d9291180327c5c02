/* Between devices: ratios of paired runs, how far their losses part, where one overtakes another. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "perf/compare/run.h"
#include "perf/compare/statistics.h"
#include "perf/compare/summary.h"
#include "perf/support/json.h"

enum { MOST_RUNS = 1000 };

double perf_score(const json_t *summary, const json_t *point) {
  const int mode = perf_mode_of(perf_get_text(summary, "mode"));
  if (mode == PERF_TARGET) return perf_median(point, "time_to_target");
  if (mode == PERF_EPOCHS) return perf_median(point, "epoch_seconds");
  return perf_median(point, "step_p50") / perf_get_number(point, "batch");
}

static const json_t *run_of(const json_t *records, const json_t *device, const char *point, int64_t run) {
  size_t i;
  json_t *record;
  json_array_foreach(records, i, record) {
    if (perf_is(record, "record", "run") && perf_is(record, "device", perf_get_text(device, "id")) && perf_is(record, "point", point) &&
        json_integer_value(json_object_get(record, "run")) == run) {
      return record;
    }
  }
  return NULL;
}

/* Step times of a over those of b, run by run: they were measured next to each other. */
static void add_ratio(const json_t *records, json_t *ratios, const json_t *a, const json_t *b, const char *point) {
  double of_a[MOST_RUNS], of_b[MOST_RUNS];
  int n = 0;
  for (int64_t run = 0; run < MOST_RUNS; run++) {
    const json_t *const x = run_of(records, a, point, run), *const y = run_of(records, b, point, run);
    if (x == NULL || y == NULL) break;
    of_a[n] = perf_get_number(x, "step_p50");
    of_b[n++] = perf_get_number(y, "step_p50");
  }
  const perf_estimate e = perf_ratio_of(of_a, of_b, n);
  if (e.n < 1) return;
  json_array_append_new(ratios, json_pack("{s:s, s:s, s:s, s:{s:f, s:f, s:f, s:i, s:s}}", "a", perf_get_text(a, "id"), "b", perf_get_text(b, "id"), "point", point,
                                          "estimate", "median", e.median, "low", e.low, "high", e.high, "n", e.n, "how", e.interval ? "95%" : "range"));
}

/* Between runs of the same seed the largest |a − b| / max(|a|, 1e-12) of a step's loss, and the step. */
static void put_loss_difference(const json_t *records, const json_t *base, json_t *device, json_t *point) {
  const json_t *const x = run_of(records, base, perf_get_text(point, "point"), 0), *const y = run_of(records, device, perf_get_text(point, "point"), 0);
  const json_t *const a = json_object_get(x, "step_loss"), *const b = json_object_get(y, "step_loss");
  const double stride = fmax(1, perf_get_number(x, "step_stride"));
  double most = -1;
  size_t at = 0;
  for (size_t i = 0; json_equal(json_object_get(x, "step_stride"), json_object_get(y, "step_stride")) && i < json_array_size(a) && i < json_array_size(b); i++) {
    const json_t *const x_i = json_array_get(a, i), *const y_i = json_array_get(b, i);
    if (!json_is_number(x_i) || !json_is_number(y_i)) break; /* a loss that is not finite: what follows says nothing */
    const double u = json_number_value(x_i), v = json_number_value(y_i), d = fabs(u - v) / fmax(fabs(u), 1e-12);
    if (!(d > most)) continue;
    most = d;
    at = i;
  }
  if (most < 0) return;
  json_object_set_new(point, "loss_difference", json_pack("{s:f, s:f, s:s}", "value", most, "step", stride * (double)at, "from", perf_get_text(base, "id")));
}

json_t *perf_point_named(const json_t *device, const char *name) {
  size_t i;
  json_t *point;
  json_array_foreach(json_object_get(device, "points"), i, point) {
    if (perf_is(point, "point", name)) return point;
  }
  return NULL;
}

/* The value of a point's only axis; NaN: several axes, or no number. */
static double axis_value(const char *point, char *axis, size_t size) {
  const char *const equals = strchr(point, '=');
  char *end = NULL;
  if (equals == NULL || strchr(point, ',') != NULL) return (double)NAN;
  (void)snprintf(axis, size, "%.*s", (int)(equals - point), point);
  const double value = strtod(equals + 1, &end);
  return *end == '\0' ? value : (double)NAN;
}

const char *perf_aside(const json_t *device) {
  if (perf_is(device, "source", "quoted")) return perf_is(json_object_get(device, "quoted_from"), "of", "modelled") ? " (a model's, quoted)" : " (quoted)";
  return perf_is(device, "source", "modelled") ? " (modelled)" : "";
}

static void add_crossover(const json_t *summary, json_t *crossovers, const json_t *a, const json_t *b, const char *from, const char *to) {
  char axis[128];
  const double x = perf_score(summary, perf_point_named(a, from)), y = perf_score(summary, perf_point_named(b, from)), u = perf_score(summary, perf_point_named(a, to)), v = perf_score(summary, perf_point_named(b, to));
  const double left = axis_value(from, axis, sizeof axis), right = axis_value(to, axis, sizeof axis);
  if (!(isfinite(x) && isfinite(y) && isfinite(u) && isfinite(v) && isfinite(left) && isfinite(right))) return;
  if ((x < y) == (u < v)) return;
  /* Where the logarithms of the two times meet, on a logarithmic axis; halfway where it has no logarithm. */
  const double gap = log(x / y), gap_after = log(u / v), share = gap / (gap - gap_after);
  const double at = left > 0 && right > 0 ? left * pow(right / left, share) : left + share * (right - left);
  const bool first = (x < y) == (left < right); /* a is the faster one where the axis is small */
  const json_t *const before = first ? a : b, *const after = first ? b : a;
  json_array_append_new(crossovers, json_pack("{s:s, s:s, s:s, s:f, s:o}", "axis", axis, "a", perf_get_text(before, "label"), "b", perf_get_text(after, "label"), "at", at,
                                              "text", perf_text("%s%s is faster up to %s about %.3g, %s%s beyond", perf_get_text(before, "label"), perf_aside(before), axis, at, perf_get_text(after, "label"),
                                                                perf_aside(after))));
}

static void add_winner(const json_t *summary, json_t *winners, const char *point) {
  static const char *const by[] = {"sample", "epoch", "target"};
  const json_t *best = NULL;
  double least = (double)NAN;
  size_t i;
  json_t *device;
  json_array_foreach(json_object_get(summary, "devices"), i, device) {
    const double score = perf_score(summary, perf_point_named(device, point));
    if (!isfinite(score) || score >= least) continue; /* NaN: the first */
    least = score;
    best = device;
  }
  if (best == NULL) return;
  json_array_append_new(winners, json_pack("{s:s, s:s, s:s, s:s}", "point", point, "by", by[perf_mode_of(perf_get_text(summary, "mode"))], "device", perf_get_text(best, "label"), "source",
                                           perf_get_text(best, "source")));
}

static void compare_pair(const json_t *records, json_t *summary, const json_t *a, const json_t *b, json_t *ratios, json_t *crossovers) {
  const json_t *const points = json_object_get(summary, "points");
  const bool here = !perf_is(a, "source", "quoted") && !perf_is(b, "source", "quoted");
  for (size_t i = 0; i < json_array_size(points); i++) {
    const char *const point = json_string_value(json_array_get(points, i)), *const next = json_string_value(json_array_get(points, i + 1));
    if (point == NULL) continue;
    if (here && strcmp(perf_get_text(a, "source"), perf_get_text(b, "source")) == 0) add_ratio(records, ratios, a, b, point);
    if (next != NULL) add_crossover(summary, crossovers, a, b, point, next);
  }
}

void perf_compare_points(const json_t *records, json_t *summary) {
  const json_t *const devices = json_object_get(summary, "devices");
  json_t *const ratios = json_array(), *const crossovers = json_array(), *const winners = json_array();
  const json_t *base = NULL;
  size_t i, j;
  json_t *device, *point;
  json_array_foreach(devices, i, device) {
    if (base == NULL && perf_is(device, "source", "measured") && json_is_true(json_object_get(device, "available"))) base = device;
  }
  json_array_foreach(devices, i, device) {
    json_array_foreach(json_object_get(device, "points"), j, point) {
      if (base != NULL && device != base && !perf_is(device, "source", "quoted")) put_loss_difference(records, base, device, point);
    }
    for (j = 0; j < i; j++) compare_pair(records, summary, json_array_get(devices, j), device, ratios, crossovers);
  }
  json_array_foreach(json_object_get(summary, "points"), i, point) {
    if (json_string_value(point) != NULL) add_winner(summary, winners, json_string_value(point));
  }
  json_object_set_new(summary, "ratios", ratios);
  json_object_set_new(summary, "crossovers", crossovers);
  json_object_set_new(summary, "winners", winners);
}
