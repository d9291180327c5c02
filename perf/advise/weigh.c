/* Constraints, who meets them, who is not beaten in everything, and what to say of it. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "perf/advise/advise.h"
#include "perf/compare/show.h"
#include "perf/support/json.h"

typedef struct totals {
  double value[PERF_N_GOALS]; /* seconds of the job, dollars, joules, seconds of a prediction; NaN: cannot be told */
  double low, high;           /* of the seconds */
} totals;

/* Of the whole job: its steps, the forward passes of its validation, and the start. */
static totals totals_of(const json_t *device) {
  const json_t *const step = json_object_get(device, "step"), *const cold = json_object_get(device, "cold");
  const double steps = perf_get_number(device, "steps"), validation = perf_get_number(device, "validation_batches"), forward = perf_get_number(device, "forward");
  const double compiling = perf_get_number(device, "compiling"), load = perf_get_number(cold, "load"), compile = perf_get_number(cold, "compile");
  double rest = validation > 0 && isfinite(forward) ? validation * forward : 0;
  if (isfinite(compiling)) rest += compiling;
  if (isfinite(load)) rest += load;
  if (isfinite(compile)) rest += compile;
  totals t;
  t.value[PERF_TIME] = steps * perf_get_number(step, "median") + rest;
  const json_t *const around = json_object_get(device, "forward_estimate");
  const double less = validation * (forward - perf_get_number(around, "low")), more = validation * (perf_get_number(around, "high") - forward);
  const bool cut = json_object_get(device, "steps_low") != NULL; /* at a target, whose steps have an interval themselves */
  t.low = (cut ? perf_get_number(device, "steps_low") : steps) * perf_get_number(step, "low") + rest - (isfinite(less) ? less : 0);
  t.high = (cut ? perf_get_number(device, "steps_high") : steps) * perf_get_number(step, "high") + rest + (isfinite(more) ? more : 0);
  t.value[PERF_COST] = t.value[PERF_TIME] * perf_get_number(json_object_get(device, "price"), "dollars_per_hour") / 3600;
  t.value[PERF_ENERGY] = perf_get_number(device, "joules");
  t.value[PERF_LATENCY] = perf_get_number(device, "latency");
  return t;
}

static void add_constraint(json_t *list, const char *name, perf_goal goal, double limit, double value) {
  if (!isnan(limit)) json_array_append_new(list, perf_limit_row(name, goal, limit, value));
}

static void add_custom(json_t *list, const json_t *device) {
  const bool cpu = perf_is(device, "kind", "cpu") || perf_is(device, "kind", "ref");
  json_array_append_new(list, json_pack("{s:s, s:b, s:s}", "name", "custom-op", "ok", cpu, "text",
                                        cpu                              ? "runs custom ops"
                                        : perf_is(device, "kind", "tpu") ? "a TPU has no kernel for a custom op"
                                                                         : "this version registers no custom ops there"));
}

static const json_t *device_named(const json_t *advice, const char *id) {
  size_t i;
  json_t *device;
  json_array_foreach(json_object_get(advice, "devices"), i, device) {
    if (id == NULL || perf_is(device, "id", id)) return device;
  }
  return NULL;
}

static void put_constraints(json_t *advice, json_t *device, const perf_limits *limits) {
  const totals t = totals_of(device);
  json_t *const list = json_array();
  double cost = limits->cost;
  if (limits->cost_is_share && !isnan(cost)) cost = (1 + cost) * totals_of(device_named(advice, limits->now)).value[PERF_COST];
  json_object_set_new(device, "total", json_pack("{s:o, s:o, s:o}", "median", perf_number(t.value[PERF_TIME]), "low", perf_number(t.low), "high", perf_number(t.high)));
  json_object_set_new(device, "dollars", perf_number(t.value[PERF_COST]));
  if (json_object_get(device, "joules") == NULL) json_object_set_new(device, "joules", json_null());
  if (limits->cost_is_share && !isnan(limits->cost) && isnan(cost))
    json_array_append_new(list, json_pack("{s:s, s:n, s:o, s:n, s:s}", "name", "cost limit", "limit", "value", perf_number(t.value[PERF_COST]), "ok", "text",
                                          "what the present device costs cannot be told, so neither can the limit; --prices FILE gives a price"));
  else add_constraint(list, "cost limit", PERF_COST, cost, t.value[PERF_COST]);
  add_constraint(list, "deadline", PERF_TIME, limits->deadline, t.value[PERF_TIME]);
  add_constraint(list, "latency limit", PERF_LATENCY, limits->latency, t.value[PERF_LATENCY]);
  add_constraint(list, "energy limit", PERF_ENERGY, limits->joules, t.value[PERF_ENERGY]);
  if (limits->custom_op) add_custom(list, device);
  const double memory = perf_get_number(device, "memory"), capacity = perf_get_number(device, "capacity");
  const bool fits = !(memory > capacity);
  json_object_set_new(device, "fits", isfinite(memory) && isfinite(capacity) ? json_boolean(fits) : json_null());
  bool eligible = perf_is(device, "status", "done") && fits;
  size_t i;
  json_t *row;
  json_array_foreach(list, i, row) eligible = eligible && json_is_true(json_object_get(row, "ok"));
  json_object_set_new(device, "constraints", list);
  json_object_set_new(device, "eligible", json_boolean(eligible));
}

/* Nobody is as good in time, cost and energy (where both tell it) and better in one. */
static bool is_beaten(const json_t *a, const json_t *by) {
  const totals x = totals_of(a), y = totals_of(by);
  bool better = false;
  if (!perf_is(by, "status", "done")) return false;
  for (int g = PERF_TIME; g <= PERF_ENERGY; g++) {
    if (isnan(x.value[g]) || isnan(y.value[g])) continue;
    if (y.value[g] > x.value[g]) return false;
    better = better || y.value[g] < x.value[g];
  }
  return better;
}

static void mark_pareto(json_t *advice) {
  const json_t *const devices = json_object_get(advice, "devices");
  size_t i, j;
  json_t *a, *b;
  json_array_foreach(devices, i, a) {
    bool beaten = !perf_is(a, "status", "done");
    json_array_foreach(devices, j, b) beaten = beaten || (i != j && is_beaten(a, b));
    json_object_set_new(a, "pareto", json_boolean(!beaten));
  }
}

/* The best by the goal; `only_eligible` or any that ran; not `apart`. */
static json_t *best(const json_t *advice, perf_goal goal, bool only_eligible, const json_t *apart) {
  json_t *found = NULL, *device;
  double least = (double)NAN;
  size_t i;
  json_array_foreach(json_object_get(advice, "devices"), i, device) {
    const double value = totals_of(device).value[goal];
    if (device == apart || isnan(value) || !perf_is(device, "status", "done") || (only_eligible && !json_is_true(json_object_get(device, "eligible")))) continue;
    if (value >= least) continue;
    least = value;
    found = device;
  }
  return found;
}

/* The first constraint that this device does not meet; NULL: it meets all. */
static const json_t *missed(const json_t *device) {
  size_t i;
  json_t *row;
  json_array_foreach(json_object_get(device, "constraints"), i, row) {
    if (!json_is_true(json_object_get(row, "ok"))) return row;
  }
  return NULL;
}

static void say(json_t *lines, const char *text) { json_array_append_new(lines, perf_text("%s", text)); }

static void say_winner(const json_t *use, perf_goal goal, json_t *lines) {
  char text[400], time[PERF_SHORT], low[PERF_SHORT], high[PERF_SHORT], cost[PERF_SHORT], latency[PERF_SHORT];
  const totals t = totals_of(use);
  (void)snprintf(text, sizeof text, "Use %s: %s [%s to %s], %s, %s a prediction (%s); the least %s of those that meet every constraint.", perf_get_text(use, "id"),
                 perf_show_seconds(t.value[PERF_TIME], time), perf_show_seconds(t.low, low), perf_show_seconds(t.high, high), perf_show_dollars(t.value[PERF_COST], cost),
                 perf_show_seconds(t.value[PERF_LATENCY], latency), perf_get_text(json_object_get(use, "step"), "how"), perf_goal_name(goal));
  say(lines, text);
  if (json_object_get(use, "datasheet") != NULL && json_object_get(use, "quoted_from") != NULL)
    say(lines, "Only a datasheet tells of it: enough to rule a device out, not to choose one; measure it, or quote a machine that did (--with).");
}

/* The constraint that decided: the one for which the best of all without constraints was put aside. */
static void say_decided(const json_t *advice, const json_t *use, perf_goal goal, json_t *lines, json_t *verdict) {
  char text[500];
  const json_t *const free_best = best(advice, goal, false, NULL), *const row = free_best != NULL ? missed(free_best) : NULL;
  if (free_best != use && row == NULL) {
    json_object_set_new(verdict, "decided_by", json_string("memory"));
    (void)snprintf(text, sizeof text, "Memory decided: %s has less %s, but the step does not fit.", perf_get_text(free_best, "id"), perf_goal_name(goal));
    say(lines, text);
    return;
  }
  if (free_best == use) {
    json_object_set_new(verdict, "decided_by", json_string(perf_goal_name(goal)));
    return;
  }
  json_object_set_new(verdict, "decided_by", json_string(perf_get_text(row, "name")));
  (void)snprintf(text, sizeof text, "The %s decided: %s has less %s, but %s.", perf_get_text(row, "name"), perf_get_text(free_best, "id"), perf_goal_name(goal), perf_get_text(row, "text"));
  say(lines, text);
}

static void say_runner_up(const json_t *advice, const json_t *use, perf_goal goal, json_t *lines, json_t *verdict) {
  const json_t *second = best(advice, goal, true, use);
  const bool eligible = second != NULL;
  char text[500], than[120] = "";
  if (second == NULL) second = best(advice, PERF_COST, false, use);
  if (second == NULL) second = best(advice, goal, false, use);
  if (second == NULL) return;
  const double mine = totals_of(use).value[PERF_COST], its = totals_of(second).value[PERF_COST], slower = totals_of(second).value[goal] / totals_of(use).value[goal];
  const double more = its / mine;
  if (mine > 0 && more >= 2) (void)snprintf(than, sizeof than, "%.3g times as dear", more);
  else if (isfinite(more)) (void)snprintf(than, sizeof than, "%.0f %% %s", 100 * fabs(more - 1), more < 1 ? "cheaper" : "dearer");
  if (eligible) (void)snprintf(text, sizeof text, "Runner-up: %s, %s%s%.3g times the %s.", perf_get_text(second, "id"), than, than[0] != '\0' ? ", " : "", slower, perf_goal_name(goal));
  else (void)snprintf(text, sizeof text, "Runner-up: %s, %s%sbut %s.", perf_get_text(second, "id"), than, than[0] != '\0' ? ", " : "",
                      missed(second) != NULL ? perf_get_text(missed(second), "text") : "it does not fit into its memory");
  say(lines, text);
  json_object_set(verdict, "runner_up", json_object_get(second, "id"));
  const totals a = totals_of(use), b = totals_of(second);
  const double dear = goal == PERF_COST ? mine / a.value[PERF_TIME] : 1, its_dear = goal == PERF_COST ? its / b.value[PERF_TIME] : 1;
  if (!eligible || (goal != PERF_TIME && goal != PERF_COST) || !(its_dear * b.low <= dear * a.high)) return;
  (void)snprintf(text, sizeof text, "The intervals of %s and %s overlap: these two may be the other way round.", perf_get_text(use, "id"), perf_get_text(second, "id"));
  say(lines, text);
}

static void say_target(const json_t *target, json_t *lines) {
  char text[500];
  const json_t *const steps = json_object_get(target, "steps");
  if (target == NULL) return;
  if (!json_is_object(steps)) (void)snprintf(text, sizeof text, "Of the target: %s.", perf_get_text(target, "why"));
  else (void)snprintf(text, sizeof text, "%s after %.0f steps [%.0f to %.0f] in %.0f runs; all figures are until then.", perf_get_text(target, "text"), perf_get_number(steps, "median"),
                      perf_get_number(steps, "low"), perf_get_number(steps, "high"), perf_get_number(steps, "n"));
  say(lines, text);
}

void perf_weigh(json_t *advice, const perf_limits *limits) {
  json_t *const verdict = json_object(), *const lines = json_array();
  size_t i;
  json_t *device;
  json_array_foreach(json_object_get(advice, "devices"), i, device) put_constraints(advice, device, limits);
  mark_pareto(advice);
  const json_t *const use = best(advice, limits->goal, true, NULL);
  json_object_set_new(verdict, "use", use != NULL ? json_incref(json_object_get(use, "id")) : json_null());
  json_object_set_new(verdict, "lines", lines);
  json_object_set_new(verdict, "goal", json_string(perf_goal_name(limits->goal)));
  json_object_set_new(verdict, "runner_up", json_null());
  if (use != NULL) {
    say_winner(use, limits->goal, lines);
    say_decided(advice, use, limits->goal, lines, verdict);
    say_runner_up(advice, use, limits->goal, lines, verdict);
  } else {
    char text[600];
    const json_t *const nearest = best(advice, limits->goal, false, NULL), *const row = nearest != NULL ? missed(nearest) : NULL;
    if (nearest == NULL) (void)snprintf(text, sizeof text, "No device here has a prediction; the reasons stand in the table.");
    else (void)snprintf(text, sizeof text, "No device meets every constraint; the nearest by the goal, %s%s%s.", perf_get_text(nearest, "id"),
                   row != NULL ? ", " : "", row != NULL ? perf_get_text(row, "text") : "");
    say(lines, text);
    json_object_set_new(verdict, "decided_by", row != NULL ? json_incref(json_object_get(row, "name")) : json_null());
  }
  say_target(json_object_get(advice, "target"), lines);
  json_object_set_new(advice, "verdict", verdict);
}

/* ---- for terminals ---- */

/* Below the table: "  ok gpu: deadline: …". `what` NULL: none. */
static void put_note(FILE *to, const char *lead, const json_t *device, const char *what, const char *text) {
  char line[1600];
  (void)snprintf(line, sizeof line, "%s: %s%s%s", perf_get_text(device, "id"), what != NULL ? what : "", what != NULL ? ": " : "", text);
  perf_put_wrapped(to, lead, line, 7);
}

void perf_advice_table(const json_t *advice, FILE *to) {
  char step[PERF_SHORT], total[PERF_SHORT], cost[PERF_SHORT], energy[PERF_SHORT], latency[PERF_SHORT];
  size_t i, j;
  json_t *d, *row;
  fprintf(to, "%s: predictions\n\n  %-18s%10s%11s%6s%11s%10s%11s\n", perf_get_text(json_object_get(advice, "job"), "name"), "device", "step", "job", "", "cost", "energy", "latency");
  json_array_foreach(json_object_get(advice, "devices"), i, d) {
    const totals t = totals_of(d);
    const char *const mark = perf_is(d, "clock", "modelled") ? "~" : json_object_get(d, "quoted_from") != NULL ? "\"" : "";
    if (!perf_is(d, "status", "done")) {
      fprintf(to, "  %-18.18s %s\n", perf_get_text(d, "id"), perf_get_text(d, "status"));
      continue;
    }
    char around[24];
    const double half = 50 * (t.high - t.low) / t.value[PERF_TIME];
    if (perf_get_number(json_object_get(d, "step"), "n") == 1) (void)snprintf(around, sizeof around, "1 run");
    else if (half < 100) (void)snprintf(around, sizeof around, "±%2.0f%%", half);
    else (void)snprintf(around, sizeof around, "x%3.1f", t.high / t.value[PERF_TIME]); /* to either side */
    fprintf(to, "%c %-18.18s%10s%s%10s%s %s%9s%s%9s%s%10s%s\n", json_is_true(json_object_get(d, "pareto")) ? '*' : ' ', perf_get_text(d, "id"),
            perf_show_seconds(perf_get_number(json_object_get(d, "step"), "median"), step), mark, perf_show_seconds(t.value[PERF_TIME], total), mark,
            around, perf_show_dollars(t.value[PERF_COST], cost), mark, perf_show_joules(t.value[PERF_ENERGY], energy), mark,
            perf_show_seconds(t.value[PERF_LATENCY], latency), mark);
  }
  fputs("\n* not beaten in time, cost and energy at once   ~ modelled   \" quoted\nx2 within a factor of 2\n", to);
  json_array_foreach(json_object_get(advice, "devices"), i, d) {
    if (!perf_is(d, "status", "done")) {
      put_note(to, "  -  ", d, perf_get_text(d, "status"), perf_get_text(d, "why"));
      continue;
    }
    json_array_foreach(json_object_get(d, "constraints"), j, row) {
      const json_t *const ok = json_object_get(row, "ok");
      put_note(to, json_is_true(ok) ? "  ok " : json_is_null(ok) ? "  ?  " : "  no ", d, json_is_false(ok) ? NULL : perf_get_text(row, "name"), perf_get_text(row, "text"));
    }
    json_array_foreach(json_object_get(json_object_get(d, "noise"), "flags"), j, row) put_note(to, "  ?  ", d, j == 0 ? "noise" : NULL, json_string_value(row));
    if (json_object_get(d, "omits") != NULL) put_note(to, "  ?  ", d, NULL, perf_get_text(d, "omits"));
    if (json_is_false(json_object_get(d, "fits"))) put_note(to, "  no ", d, NULL, "the step's memory is more than the device has");
  }
  json_array_foreach(json_object_get(json_object_get(advice, "verdict"), "lines"), i, row) perf_put_wrapped(to, "-> ", json_string_value(row), 3);
}
