/* Tolerant reading of the summary: what is missing, null or of another type is not there. */
#include "perf/report/page.h"

#include <math.h>
#include <string.h>

const json_t *page_at(const json_t *from, const char *path) {
  while (from != NULL && *path != '\0') {
    const size_t n = strcspn(path, ".");
    from = json_is_object(from) ? json_object_getn(from, path, n) : NULL;
    path += n + (path[n] == '.');
  }
  return from == NULL || json_is_null(from) ? NULL : from;
}

double page_number(const json_t *from, const char *path) {
  const json_t *const value = page_at(from, path);
  return json_is_number(value) && isfinite(json_number_value(value)) ? json_number_value(value) : NAN;
}

const char *page_string(const json_t *from, const char *path) {
  const char *const text = json_string_value(page_at(from, path));
  return text == NULL || *text == '\0' ? NULL : text;
}

bool page_true(const json_t *from, const char *path) { return json_is_true(page_at(from, path)); }

bool page_read_estimate(const json_t *from, const char *path, page_estimate *out) {
  const json_t *const e = page_at(from, path);
  const char *const how = page_string(e, "how");
  *out = (page_estimate){.median = page_number(e, "median"), .low = page_number(e, "low"), .high = page_number(e, "high")};
  out->range = how != NULL && strcmp(how, "range") == 0;
  if (!(out->low <= out->median && out->median <= out->high)) out->low = out->high = NAN;
  return isfinite(out->median);
}

const char *page_common(const page *p, const char *stem, const char **what) {
  static const struct {
    const char *stem, *name, *what;
  } names[] = {
      {"time", "time_to_target", "to the target"},       {"time", "epoch_seconds", "for an epoch"},
      {"time", "step_p50", "for a step"},                {"dollars", "dollars_to_target", "to the target"},
      {"dollars", "dollars_per_epoch", "for an epoch"},  {"dollars", "dollars_per_step", "for a step"},
      {"joules", "joules_to_target", "to the target"},   {"joules", "joules_per_epoch", "for an epoch"},
      {"joules", "joules_per_step", "for a step"},
  };
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    page_estimate e;
    if (strcmp(names[i].stem, stem) != 0) continue;
    for (size_t d = 0; d < p->n_devices; d++) {
      if (!page_read_estimate(p->devices[d].point, names[i].name, &e)) continue;
      *what = names[i].what;
      return names[i].name;
    }
  }
  *what = "";
  return NULL;
}

const json_t *page_point(const json_t *device, const char *text) {
  size_t i;
  json_t *point;
  json_array_foreach(page_at(device, "points"), i, point) {
    const char *const name = json_string_value(json_object_get(point, "point"));
    if (strcmp(name != NULL ? name : "", text) == 0) return point;
  }
  return NULL;
}
