/* Steps to a target, from the epochs of recorded runs. */
#include "perf/advise/target.h"

#include <math.h>
#include "perf/compare/statistics.h"
#include "perf/compare/summary.h"
#include "perf/support/json.h"

enum { MOST_RUNS = 1000 };

/* Infinite: it went on to its end without. NaN: it tells nothing of this target, as it never looked, or stopped early (at another one, at its
 * time limit). */
static double steps_of(const json_t *run, const perf_target *target) {
  const bool whole = perf_is(run, "status", "done") && !json_is_object(json_object_get(run, "reached"));
  double steps = (double)NAN;
  size_t i;
  json_t *epoch;
  json_array_foreach(json_object_get(run, "epochs"), i, epoch) {
    const double value = perf_get_number(json_object_get(epoch, "values"), target->metric);
    if (isnan(value)) continue;
    if (perf_target_met(target, value)) return perf_get_number(epoch, "step");
    steps = whole ? (double)INFINITY : (double)NAN;
  }
  return steps;
}

static void cut(json_t *candidate, const json_t *steps) {
  static const char *const scaled[] = {"validation_batches", "joules"};
  const double share = perf_get_number(steps, "median") / perf_get_number(candidate, "steps");
  for (int i = 0; i < 2; i++) {
    const double value = perf_get_number(candidate, scaled[i]);
    if (isfinite(value)) json_object_set_new(candidate, scaled[i], perf_number(share * value));
  }
  json_object_set_new(candidate, "steps", perf_number(perf_get_number(steps, "median")));
  json_object_set_new(candidate, "steps_low", perf_number(perf_get_number(steps, "low")));
  json_object_set_new(candidate, "steps_high", perf_number(perf_get_number(steps, "high")));
}

void perf_cut_at_target(json_t *advice, const char *text, const perf_target *target, const json_t *const *quoted, int n_quoted) {
  double values[MOST_RUNS];
  int n = 0;
  size_t i;
  json_t *run, *candidate;
  for (int q = 0; q < n_quoted; q++) {
    json_array_foreach(quoted[q], i, run) {
      if (n == MOST_RUNS || !perf_is(run, "record", "run") || perf_get_text(run, "point")[0] != '\0') continue;
      values[n] = steps_of(run, target);
      n += isnan(values[n]) ? 0 : 1;
    }
  }
  int reached = 0;
  for (int k = 0; k < n; k++) reached += isfinite(values[k]) ? 1 : 0;
  const bool known = 2 * reached > n;
  json_t *const steps = known ? perf_estimate_json(values, n) : json_null(), *const of = json_object();
  json_object_set_new(of, "text", perf_text("%s", text));
  json_object_set_new(of, "steps", steps);
  if (!known && n == 0)
    json_object_set_new(of, "why", perf_text("when %s is reached is not known, so the whole job is weighed; 'tercet compare JOB --devices cpu --target' tells, and --with takes its file", text));
  else if (!known) json_object_set_new(of, "why", perf_text("%s was reached by %d of %d runs, so the whole job is weighed", text, reached, n));
  json_object_set_new(advice, "target", of);
  if (!known) return;
  json_array_foreach(json_object_get(advice, "devices"), i, candidate) {
    if (perf_get_number(candidate, "steps") > 0) cut(candidate, steps);
  }
}
