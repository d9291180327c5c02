/* Devices, their points, and those of other machines, which are quoted. */
#include "perf/compare/summary.h"

#include <math.h>
#include <string.h>
#include <tercet/tercet.h>
#include "perf/compare/prices.h"
#include "perf/compare/run.h"
#include "perf/support/json.h"

/* Whether the device is modelled; a device that is not here has no clock. */
static const char *source_of(const json_t *device) { return perf_is(device, "clock", "modelled") ? "modelled" : "measured"; }

static json_t *device_of(const json_t *records, const json_t *first, const json_t *record, const json_t *user_prices) {
  static const char *const kept[] = {"id", "kind", "description", "facts", "peaks", "peaks_why", "datasheet", "available", "died", "why", "memory_bytes", "threads"};
  json_t *const device = json_object(), *const points = json_array();
  for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
    json_t *const value = json_object_get(record, kept[i]);
    json_object_set_new(device, kept[i], value != NULL ? json_incref(value) : json_null());
  }
  json_object_set(device, "label", json_object_get(record, "id"));
  json_object_set_new(device, "source", json_string(source_of(record)));
  json_object_set_new(device, "quoted_from", json_null());
  json_t *const price = user_prices != NULL ? perf_price_of(record, user_prices) : json_incref(json_object_get(record, "price"));
  json_object_set_new(device, "price", price != NULL ? price : json_null());
  size_t i;
  json_t *point;
  json_array_foreach(json_object_get(first, "points"), i, point) {
    json_array_append_new(points, perf_point(records, first, device, json_string_value(point) != NULL ? json_string_value(point) : ""));
  }
  json_object_set_new(device, "points", points);
  return device;
}

/* The device records of a file, in the order asked for. */
static void add_devices(json_t *devices, const json_t *records, const json_t *user_prices, const char *quoted_from) {
  const json_t *const first = json_array_get(records, 0);
  size_t i, j;
  json_t *name, *record;
  json_array_foreach(json_object_get(first, "devices"), i, name) {
    const size_t before = json_array_size(devices);
    json_array_foreach(records, j, record) {
      if (!perf_is(record, "record", "device") || !perf_is(record, "id", json_string_value(name) != NULL ? json_string_value(name) : "")) continue;
      json_t *const device = device_of(records, first, record, user_prices);
      if (quoted_from != NULL) {
        const json_t *const machine = json_object_get(first, "machine");
        json_object_set_new(device, "quoted_from", json_pack("{s:s, s:s, s:s, s:s}", "file", quoted_from, "date", perf_get_text(first, "created"), "machine",
                                                             perf_get_text(machine, "processor"), "of", perf_get_text(device, "source")));
        json_object_set_new(device, "source", json_string("quoted"));
        json_object_set_new(device, "label", perf_text("%s (%.10s)", perf_get_text(record, "id"), perf_get_text(first, "created")));
      }
      if (json_array_size(devices) > before) json_array_set_new(devices, before, device); /* asked again: as it was last */
      else json_array_append_new(devices, device);
    }
    if (json_array_size(devices) > before || !json_is_string(name)) continue;
    json_t *const unasked = json_pack("{s:O, s:s, s:b, s:s}", "id", name, "kind", "", "available", 0, "why", "the comparison was interrupted before it was asked");
    json_array_append_new(devices, device_of(records, first, unasked, NULL));
    json_decref(unasked);
  }
}

/* Quoted figures are of the same job, data, mode and target, or they say nothing here. */
bool perf_check_quoted(const json_t *first, const json_t *other, const char *path, perf_problem *problem) {
  static const char *const same[] = {"mode", "target", "steps", "warmup", "points"};
  const char *const a = perf_get_text(json_object_get(first, "job"), "hash"), *const b = perf_get_text(json_object_get(other, "job"), "hash");
  if (strcmp(a, b) != 0)
    return perf_fails(problem, TCT_INVALID, "--with '%s' is of another job: '%s' (%s), this is '%s' (%s)", path, perf_get_text(json_object_get(other, "job"), "name"), b,
                      perf_get_text(json_object_get(first, "job"), "name"), a);
  if (!json_equal(json_object_get(first, "data"), json_object_get(other, "data")))
    return perf_fails(problem, TCT_INVALID, "--with '%s' was measured on other data (%s, here %s)", path, perf_get_text(json_object_get(other, "data"), "hash"),
                      perf_get_text(json_object_get(first, "data"), "hash"));
  for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
    if (json_equal(json_object_get(first, same[i]), json_object_get(other, same[i]))) continue;
    return perf_fails(problem, TCT_INVALID, "--with '%s' was measured with another %s", path, same[i]);
  }
  return true;
}

json_t *perf_summary(const json_t *records, const json_t *const *quoted, const char *const *quoted_from, int n_quoted, const json_t *user_prices,
                     perf_problem *problem) {
  static const char *const kept[] = {"schema", "tercet", "created", "command", "job", "data", "mode", "target", "runs", "warmup", "steps", "seed", "machine", "points"};
  const json_t *const first = json_array_get(records, 0);
  json_t *const summary = json_object(), *const devices = json_array();
  for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
    json_t *const value = json_object_get(first, kept[i]);
    json_object_set_new(summary, kept[i], value != NULL ? json_incref(value) : json_null());
  }
  if (perf_mode_of(perf_get_text(first, "mode")) < 0) {
    json_decref(summary);
    json_decref(devices);
    (void)perf_fails(problem, TCT_BAD_DATA, "the comparison's mode is '%.40s', needs steps, epochs or target", perf_get_text(first, "mode"));
    return NULL;
  }
  const json_t *const last = json_array_get(records, json_array_size(records) - 1);
  const bool whole = perf_is(last, "record", "end") && json_is_true(json_object_get(last, "completed"));
  json_object_set_new(summary, "completed", json_boolean(whole));
  json_object_set_new(summary, "devices", devices);
  add_devices(devices, records, user_prices, NULL);
  for (int i = 0; i < n_quoted; i++) {
    if (!perf_check_quoted(first, json_array_get(quoted[i], 0), quoted_from[i], problem)) {
      json_decref(summary);
      return NULL;
    }
    add_devices(devices, quoted[i], user_prices, quoted_from[i]);
  }
  perf_compare_points(records, summary);
  perf_verdict(summary);
  return summary;
}
