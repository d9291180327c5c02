/* At most five lines: what to use, by what was measured here; who keeps the limits; what a model or another machine says; how far to trust
 * it; where that turns; what could not run. Where there is more to say, what matters least is left out. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "perf/compare/run.h"
#include "perf/compare/show.h"
#include "perf/compare/summary.h"
#include "perf/support/json.h"

/* A device where the verdict looks: at the same point of all, the first that most of them have a score of. */
typedef struct contender {
  const json_t *device, *point;
  double score, setup, dollars;
} contender;

static const char *chosen_point(const json_t *summary) {
  const json_t *const points = json_object_get(summary, "points");
  const char *chosen = "";
  int most = -1;
  for (size_t p = 0; p < json_array_size(points); p++) {
    const char *const name = json_string_value(json_array_get(points, p));
    int n = 0;
    size_t i;
    json_t *device;
    json_array_foreach(json_object_get(summary, "devices"), i, device) n += name != NULL && isfinite(perf_score(summary, perf_point_named(device, name)));
    if (name == NULL || n <= most) continue;
    most = n;
    chosen = name;
  }
  return chosen;
}

/* NULL: a quoted device that has not been there. */
static const json_t *point_of(const json_t *summary, const json_t *device) { return perf_point_named(device, chosen_point(summary)); }

static const char *unit_of(const json_t *summary) {
  static const char *const units[] = {"a sample", "an epoch", "to the target"};
  return units[perf_mode_of(perf_get_text(summary, "mode"))];
}

static double dollars_of(const json_t *summary, const json_t *point) {
  const int mode = perf_mode_of(perf_get_text(summary, "mode"));
  if (mode == PERF_TARGET) return perf_median(point, "dollars_to_target");
  if (mode == PERF_EPOCHS) return perf_median(point, "dollars_per_epoch");
  return perf_median(point, "dollars_per_step") / perf_get_number(point, "batch");
}

static contender contender_of(const json_t *summary, const json_t *device) {
  const json_t *const point = point_of(summary, device);
  const double load = perf_median(point, "cold_load"), compile = perf_median(point, "cold_compile");
  return (contender){device, point, perf_score(summary, point), load + compile, dollars_of(summary, point)};
}

/* The fastest of a source; device NULL: none. `apart`: not this one. */
static contender best_of(const json_t *summary, const char *source, const json_t *apart) {
  contender best = {NULL, NULL, (double)NAN, (double)NAN, (double)NAN};
  size_t i;
  json_t *device;
  json_array_foreach(json_object_get(summary, "devices"), i, device) {
    const contender c = contender_of(summary, device);
    if (device == apart || !perf_is(device, "source", source) || perf_is(json_object_get(device, "quoted_from"), "of", "modelled") || !isfinite(c.score) || c.score >= best.score) continue;
    best = c;
  }
  return best;
}

/* What is left out first has the greatest number. */
typedef enum rank { ANSWER, CAUTION, OTHER, TURN, SECOND } rank;

typedef struct said {
  json_t *lines;
  rank of[PERF_VERDICT_LINES + 1];
} said;

static void add(said *u, rank of, const char *text) {
  const int n = (int)json_array_size(u->lines);
  json_array_append_new(u->lines, perf_text("%s", text));
  u->of[n] = of;
  if (n < PERF_VERDICT_LINES) return;
  int worst = 0;
  for (int i = 0; i <= n; i++) worst = u->of[i] >= u->of[worst] ? i : worst;
  (void)json_array_remove(u->lines, (size_t)worst);
  for (int i = worst; i < n; i++) u->of[i] = u->of[i + 1];
}

static void interval_of(const json_t *summary, const json_t *point, char *text, size_t size) {
  static const char *const names[] = {"step_p50", "epoch_seconds", "time_to_target"};
  const int mode = perf_mode_of(perf_get_text(summary, "mode"));
  const json_t *const e = json_object_get(point, names[mode]);
  const double per = mode == PERF_STEPS ? perf_get_number(point, "batch") : 1;
  char low[PERF_SHORT], high[PERF_SHORT];
  text[0] = '\0';
  if (perf_get_number(e, "n") > 1)
    (void)snprintf(text, size, " [%s to %s]", perf_show_seconds(perf_get_number(e, "low") / per, low),
                   isfinite(perf_get_number(e, "high")) ? perf_show_seconds(perf_get_number(e, "high") / per, high) : "never");
}

/* " in 5 of 7 runs" where some did not get there. */
static void reach_of(const json_t *summary, const json_t *point, char *text, size_t size) {
  const double reached = perf_get_number(point, "n_reached"), runs = perf_get_number(point, "n_runs");
  text[0] = '\0';
  if (perf_is(summary, "mode", "target") && reached < runs) (void)snprintf(text, size, " in %.0f of %.0f runs", reached, runs);
}

static void say_measured(const json_t *summary, const contender *best, said *lines) {
  char text[700], time[PERF_SHORT], interval[120], reach[40], at[160] = "", job[64];
  const char *const chosen = chosen_point(summary);
  if (chosen[0] != '\0') (void)snprintf(at, sizeof at, " at %.120s", chosen);
  (void)snprintf(job, sizeof job, "%.40s", perf_get_text(json_object_get(summary, "job"), "name"));
  if (best->device == NULL) {
    (void)snprintf(text, sizeof text, "No device here %s %s.", perf_is(summary, "mode", "target") ? "reached the target of" : "ran", job);
    add(lines, ANSWER, text);
    return;
  }
  interval_of(summary, best->point, interval, sizeof interval);
  reach_of(summary, best->point, reach, sizeof reach);
  (void)snprintf(text, sizeof text, "%s%s: use %s: %s %s%s%s, measured here.", job, at, perf_get_text(best->device, "id"), perf_show_seconds(best->score, time), unit_of(summary), interval, reach);
  add(lines, ANSWER, text);

}

static void say_second(const json_t *summary, const contender *best, said *lines) {
  const contender second = best_of(summary, "measured", best->device);
  char text[300], other[PERF_SHORT];
  if (best->device == NULL || second.device == NULL) return;
  (void)snprintf(text, sizeof text, "%s takes %s, %.3g times as long.", perf_get_text(second.device, "id"), perf_show_seconds(second.score, other), second.score / best->score);
  add(lines, SECOND, text);
}

/* Whether the i-th device keeps every limit: 1, 0, or -1 where one cannot be told. *out_missed: the first cell that says no. */
static int keeps_all(const json_t *constraints, size_t i, const json_t **out_missed) {
  int keeps = 1;
  size_t r;
  json_t *row;
  *out_missed = NULL;
  json_array_foreach(constraints, r, row) {
    const json_t *const cell = json_array_get(json_object_get(row, "cells"), i), *const ok = json_object_get(cell, "ok");
    if (json_is_true(ok)) continue;
    if (json_is_false(ok) && *out_missed == NULL) *out_missed = cell;
    keeps = json_is_false(ok) || keeps == 0 ? 0 : -1;
  }
  return keeps;
}

/* Whether what is named keeps the limits, and who does. */
static void say_limits(const json_t *summary, const contender *best, said *lines) {
  const json_t *const constraints = json_object_get(summary, "constraints");
  char names[240] = "", first[300] = "", text[700];
  size_t i;
  json_t *device;
  if (json_array_size(constraints) == 0) return;
  json_array_foreach(json_object_get(summary, "devices"), i, device) {
    const json_t *cell = NULL;
    const int keeps = keeps_all(constraints, i, &cell);
    const size_t at = strlen(names);
    if (keeps == 1 && at + 80 < sizeof names) (void)snprintf(names + at, sizeof names - at, "%s%.60s%s", at > 0 ? ", " : "", perf_get_text(device, "label"), perf_aside(device));
    else if (keeps == 1 && strstr(names, " …") == NULL) (void)snprintf(names + at, sizeof names - at, ", …");
    if (device != best->device || keeps == 1) continue;
    if (cell != NULL) (void)snprintf(first, sizeof first, "%.60s %.200s. ", perf_get_text(device, "id"), perf_get_text(cell, "text"));
    else (void)snprintf(first, sizeof first, "Whether %.60s keeps every limit cannot be told. ", perf_get_text(device, "id"));
  }
  if (names[0] != '\0') (void)snprintf(text, sizeof text, "%sWithin every limit: %s.", first, names);
  else (void)snprintf(text, sizeof text, "%sNo device is known to keep every limit.", first);
  add(lines, CAUTION, text);
}

/* A model's or another machine's best, with what it would change. */
static void say_other(const json_t *summary, const char *source, const contender *here, said *lines) {
  const contender c = best_of(summary, source, NULL);
  char text[500], time[PERF_SHORT], ratio[80] = "", cost[160] = "", start[80] = "", wait[PERF_SHORT], mine[PERF_SHORT], yours[PERF_SHORT];
  if (c.device == NULL) return;
  if (here->device != NULL)
    (void)snprintf(ratio, sizeof ratio, ", %.3g times as %s as %s", c.score < here->score ? here->score / c.score : c.score / here->score, c.score < here->score ? "fast" : "slow",
                   perf_get_text(here->device, "id"));
  /* What a start costs is no part of the time, and may be most of a short job. */
  if (isfinite(c.setup) && c.setup > 0.1 * c.score && !perf_is(summary, "mode", "steps"))
    (void)snprintf(start, sizeof start, " behind a start of %s", perf_show_seconds(c.setup, wait));
  if (isfinite(c.dollars) && here->device != NULL && isfinite(here->dollars))
    (void)snprintf(cost, sizeof cost, "; %s against %s", perf_show_dollars(c.dollars, mine), perf_show_dollars(here->dollars, yours));
  (void)snprintf(text, sizeof text, "%s: %s %s%s%s%s%s.", perf_get_text(c.device, "label"), perf_show_seconds(c.score, time), unit_of(summary), start, ratio, cost,
                 strcmp(source, "modelled") == 0 ? " (modelled, not measured)" : " (quoted from another machine)");
  add(lines, OTHER, text);
}

static void say_missing(const json_t *summary, said *lines) {
  char names[300] = "", text[400];
  size_t i;
  json_t *device;
  json_array_foreach(json_object_get(summary, "devices"), i, device) {
    const json_t *const point = point_of(summary, device);
    if (isfinite(perf_score(summary, point))) continue;
    const size_t at = strlen(names);
    (void)snprintf(names + at, sizeof names - at, "%s%s (%s)", at > 0 ? ", " : "", perf_get_text(device, "label"), point != NULL ? perf_get_text(point, "status") : "not at this point");
  }
  if (names[0] == '\0') return;
  (void)snprintf(text, sizeof text, "Without a result: %s; the reasons stand below the table.", names);
  add(lines, TURN, text);
}

static void say_trust(const json_t *summary, said *lines) {
  char names[200] = "", text[300];
  size_t i, j;
  json_t *device, *point;
  json_array_foreach(json_object_get(summary, "devices"), i, device) {
    bool unfit = false;
    json_array_foreach(json_object_get(device, "points"), j, point) unfit = unfit || json_is_true(json_object_get(json_object_get(point, "noise"), "unfit"));
    if (!perf_is(device, "source", "measured") || !unfit) continue;
    const size_t at = strlen(names);
    (void)snprintf(names + at, sizeof names - at, "%s%s", at > 0 ? ", " : "", perf_get_text(device, "id"));
  }
  if (names[0] == '\0') return;
  (void)snprintf(text, sizeof text, "Unfit: %s ran too unevenly, or beside too much else (below); measure again when the machine is quiet.", names);
  add(lines, CAUTION, text);
}

/* Dollars alone may say something else, and turn where both cost the same. */
static void put_price_flip(const contender *best, const contender *c, json_t *flips) {
  const double hour = perf_get_number(json_object_get(c->device, "price"), "dollars_per_hour"), even = hour * best->dollars / c->dollars;
  char price[PERF_SHORT], at[PERF_SHORT];
  if (!isfinite(even)) return;
  json_array_append_new(flips, perf_text("By dollars %s is the better one; both cost the same with %s at %s an hour (%s is counted)",
                                         perf_get_text(c->dollars < best->dollars ? c->device : best->device, "label"), perf_get_text(c->device, "label"),
                                         perf_show_dollars(even, at), perf_show_dollars(hour, price)));
}

/* What would turn the verdict: a point of the sweep, a short job, the price. */
static void put_flips(const json_t *summary, const contender *best, json_t *flips) {
  size_t i;
  json_t *row, *device;
  json_array_foreach(json_object_get(summary, "crossovers"), i, row) json_array_append(flips, json_object_get(row, "text"));
  if (best->device == NULL) return;
  json_array_foreach(json_object_get(summary, "devices"), i, device) {
    const contender c = contender_of(summary, device);
    const double step = perf_median(best->point, "step_p50"), other = perf_median(c.point, "step_p50"), steps = (best->setup - c.setup) / (other - step);
    if (device == best->device || !isfinite(c.score)) continue;
    if (isfinite(steps) && steps >= 1 && other > step && perf_is(device, "source", "measured"))
      json_array_append_new(flips, perf_text("A job of fewer than %.0f steps: %s starts sooner", steps, perf_get_text(device, "id")));
    put_price_flip(best, &c, flips);
  }
}

static void say_crossover(const json_t *flips, const json_t *summary, said *lines) {
  if (json_array_size(json_object_get(summary, "crossovers")) == 0) return;
  char text[300];
  (void)snprintf(text, sizeof text, "%s.", json_string_value(json_array_get(flips, 0)));
  add(lines, TURN, text);
}

void perf_verdict(json_t *summary) {
  json_t *const verdict = json_object(), *const flips = json_array();
  said all = {.lines = json_array()};
  const contender best = best_of(summary, "measured", NULL);
  put_flips(summary, &best, flips);
  say_measured(summary, &best, &all);
  say_limits(summary, &best, &all);
  say_second(summary, &best, &all);
  say_other(summary, "modelled", &best, &all);
  say_other(summary, "quoted", &best, &all);
  say_trust(summary, &all);
  say_crossover(flips, summary, &all);
  say_missing(summary, &all);
  json_object_set_new(verdict, "lines", all.lines);
  json_object_set_new(verdict, "point", perf_text("%s", chosen_point(summary)));
  json_object_set_new(verdict, "use", best.device != NULL ? perf_text("%s", perf_get_text(best.device, "id")) : json_null());
  json_object_set_new(verdict, "decided_by", perf_text("time %s", unit_of(summary)));
  json_object_set_new(verdict, "flips", flips);
  json_object_set_new(summary, "verdict", verdict);
}
