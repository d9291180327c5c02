/* Limits: their words, and a value beside its limit. */
#include "perf/compare/limits.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "perf/compare/run.h"
#include "perf/compare/show.h"
#include "perf/compare/summary.h"
#include "perf/support/json.h"

static const char *const goals[PERF_N_GOALS] = {"time", "cost", "energy", "latency"};

int perf_goal_of(const char *text) {
  for (int i = 0; i < PERF_N_GOALS; i++) {
    if (strcmp(text, goals[i]) == 0) return i;
  }
  return -1;
}

const char *perf_goal_name(perf_goal goal) { return goals[goal]; }

/* ---- read ---- */

bool perf_read_cost(const char *text, perf_limits *out) {
  const bool share = text[0] == '+', dollars = text[0] == '$';
  char *end = NULL;
  const double value = strtod(text + (share || dollars ? 1 : 0), &end);
  if (end == text + (share || dollars ? 1 : 0) || !isfinite(value) || value < 0 || strcmp(end, share ? "%" : "") != 0) return false;
  out->cost = share ? value / 100 : value;
  out->cost_is_share = share;
  return true;
}

typedef struct unit {
  const char *name;
  double size;
} unit;

static bool read_with_unit(const char *text, const unit *units, int n, double *out) {
  char *end = NULL;
  const double value = strtod(text, &end);
  if (end == text || !isfinite(value) || value < 0) return false;
  for (int i = 0; i < n; i++) {
    if (strcmp(end, units[i].name) != 0) continue;
    *out = value * units[i].size;
    return true;
  }
  return false;
}

bool perf_read_seconds(const char *text, double *out) {
  static const unit units[] = {{"us", 1e-6}, {"ms", 1e-3}, {"s", 1}, {"m", 60}, {"min", 60}, {"h", 3600}, {"d", 86400}};
  return read_with_unit(text, units, sizeof units / sizeof units[0], out);
}

bool perf_read_joules(const char *text, double *out) {
  static const unit units[] = {{"J", 1}, {"kJ", 1e3}, {"MJ", 1e6}, {"Wh", 3600}, {"kWh", 3.6e6}};
  return read_with_unit(text, units, sizeof units / sizeof units[0], out);
}

/* ---- judged ---- */

static const char *show(perf_goal goal, double value, char text[PERF_SHORT]) {
  if (goal == PERF_COST) return perf_show_dollars(value, text);
  return goal == PERF_ENERGY ? perf_show_joules(value, text) : perf_show_seconds(value, text);
}

json_t *perf_limit_row(const char *name, perf_goal of, double limit, double value) {
  char is[PERF_SHORT], most[PERF_SHORT], off[PERF_SHORT];
  json_t *const row = json_object();
  json_object_set_new(row, "name", json_string(name));
  json_object_set_new(row, "limit", perf_number(limit));
  json_object_set_new(row, "value", perf_number(value));
  json_object_set_new(row, "ok", isnan(value) ? json_null() : json_boolean(value <= limit));
  if (isnan(value)) json_object_set_new(row, "text", perf_text("its %s cannot be told%s", goals[of], of == PERF_COST ? "; --prices FILE gives a price" : ""));
  else if (value <= limit) json_object_set_new(row, "text", perf_text("%s of at most %s", show(of, value, is), show(of, limit, most)));
  else json_object_set_new(row, "text", perf_text("misses the %s by %s (%s, at most %s)", name, show(of, value - limit, off), show(of, value, is), show(of, limit, most)));
  return row;
}

/* Of the whole job where it ran whole: to the target, or all its epochs, with loading and compiling, which are paid for too (what they draw is
 * not known); NaN: it did not. */
static double job_of(const json_t *summary, const json_t *device, const json_t *point, perf_goal goal) {
  static const char *const of_target[] = {"time_to_target", "dollars_to_target", "joules_to_target"}, *const of_epoch[] = {"epoch_seconds", "dollars_per_epoch", "joules_per_epoch"};
  const perf_mode mode = (perf_mode)perf_mode_of(perf_get_text(summary, "mode"));
  if (mode == PERF_STEPS || !perf_is(point, "status", "done")) return (double)NAN;
  const double job = mode == PERF_TARGET ? perf_median(point, of_target[goal]) : perf_median(point, of_epoch[goal]) * (double)json_array_size(json_object_get(point, "curve"));
  const double load = perf_median(point, "cold_load"), compile = perf_median(point, "cold_compile");
  const double start = (isfinite(load) ? load : 0) + (isfinite(compile) ? compile : 0), hourly = perf_get_number(json_object_get(device, "price"), "dollars_per_hour");
  return goal == PERF_TIME ? job + start : goal == PERF_COST ? job + start * hourly / 3600 : job;
}

static json_t *cell_of(const json_t *summary, const json_t *device, const char *name, perf_goal goal, double limit) {
  const json_t *const point = perf_point_named(device, perf_get_text(json_object_get(summary, "verdict"), "point"));
  json_t *const cell = perf_limit_row(name, goal, limit, job_of(summary, device, point, goal));
  if (perf_mode_of(perf_get_text(summary, "mode")) == PERF_STEPS)
    json_object_set_new(cell, "text", json_string("steps do not tell the whole job; --mode epochs or target does, tercet advise predicts it"));
  else if (point != NULL && !perf_is(point, "status", "done")) json_object_set_new(cell, "text", perf_text("%s", perf_get_text(point, "status")));
  else if (perf_mode_of(perf_get_text(summary, "mode")) == PERF_TARGET && isnan(perf_median(point, "time_to_target")))
    json_object_set_new(cell, "text", perf_text("reached by %.0f of %.0f runs", perf_get_number(point, "n_reached"), perf_get_number(point, "n_runs")));
  json_object_set(cell, "device", json_object_get(device, "id"));
  json_object_set_new(cell, "label", perf_text("%s%s", perf_get_text(device, "label"), perf_aside(device)));
  return cell;
}

void perf_constrain(json_t *summary, const perf_limits *limits) {
  const struct {
    const char *name;
    perf_goal goal;
    double limit;
  } rows[] = {{"deadline", PERF_TIME, limits->deadline}, {"cost limit", PERF_COST, limits->cost}, {"energy limit", PERF_ENERGY, limits->joules}};
  json_t *const constraints = json_array();
  for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
    char text[PERF_SHORT];
    size_t i;
    json_t *device;
    if (isnan(rows[r].limit)) continue;
    json_t *const cells = json_array();
    json_array_foreach(json_object_get(summary, "devices"), i, device) json_array_append_new(cells, cell_of(summary, device, rows[r].name, rows[r].goal, rows[r].limit));
    json_array_append_new(constraints, json_pack("{s:s, s:s, s:o}", "name", rows[r].name, "limit", show(rows[r].goal, rows[r].limit, text), "cells", cells));
  }
  json_object_set_new(summary, "constraints", constraints);
  perf_verdict(summary); /* again, with the limits */
}
