/* Prices and makers' figures by kind and name. */
#include "perf/compare/prices.h"

#include <ctype.h>
#include <math.h>
#include <string.h>
#include <strings.h>
#include <tercet/tercet.h>
#include "perf/support/json.h"

static const struct {
  const char *kind, *name, *per;
  double dollars;
  const char *source, *date;
} prices[] = {
#define PRICE(kind, name, per, dollars, source, date) {kind, name, per, dollars, source, date},
#include "perf/compare/prices.def"
#undef PRICE
};

static const struct {
  const char *kind, *name;
  double flops, bytes, memory;
  const char *source;
} datasheets[] = {
#define DATASHEET(kind, name, flops, bytes, memory, source) {kind, name, flops, bytes, memory, source},
#include "perf/compare/datasheets.def"
#undef DATASHEET
};

/* Whether it holds the part as a word, capitals or not: a T4 is no "T400". */
static bool contains(const char *text, const char *part) {
  const size_t n = strlen(part);
  for (const char *at = text; strlen(at) >= n; at++) {
    const bool begins = at == text || !isalnum((unsigned char)at[-1]), ends = !isalnum((unsigned char)at[n]);
    if (n == 0 || (begins && ends && strncasecmp(at, part, n) == 0)) return true;
  }
  return false;
}

static bool check_row(const json_t *row, size_t i, const char *path, perf_problem *problem) {
  static const char *const texts[] = {"kind", "source", "date"};
  if (!json_is_object(row)) return perf_fails(problem, TCT_BAD_DATA, "'%s': prices[%zu] is no object", path, i);
  for (size_t t = 0; t < 3; t++) {
    if (perf_get_text(row, texts[t])[0] != '\0') continue;
    return perf_fails(problem, TCT_BAD_DATA, "'%s': prices[%zu] has no text '%s'; a price needs kind, dollars_per_hour, source and date", path, i, texts[t]);
  }
  const double dollars = perf_get_number(row, "dollars_per_hour");
  if (!(dollars >= 0)) return perf_fails(problem, TCT_BAD_DATA, "'%s': prices[%zu].dollars_per_hour is no number of at least 0", path, i);
  const json_t *const of = json_object_get(row, "per");
  const char *const per = of != NULL && !json_is_string(of) ? "another value" : perf_get_text(row, "per");
  if (per[0] == '\0' || strcmp(per, "device") == 0 || strcmp(per, "cpu") == 0) return true;
  return perf_fails(problem, TCT_BAD_DATA, "'%s': prices[%zu].per is '%.40s', needs device or cpu", path, i, per);
}

bool perf_prices_read(const char *path, json_t **out, perf_problem *problem) {
  json_error_t error;
  json_t *const object = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
  const json_t *const rows = json_object_get(object, "prices");
  *out = NULL;
  if (object == NULL) return perf_fails(problem, error.line > 0 ? TCT_BAD_DATA : TCT_NOT_FOUND, "price file '%s'%s%.0d: %s", path, error.line > 0 ? ", line " : "", error.line > 0 ? error.line : 0, error.text);
  bool ok = json_is_array(rows) || perf_fails(problem, TCT_BAD_DATA, "'%s': needs {\"prices\": [{\"kind\": \"gpu\", \"dollars_per_hour\": 4.6, \"source\": …, \"date\": …}]}", path);
  for (size_t i = 0; ok && i < json_array_size(rows); i++) ok = check_row(json_array_get(rows, i), i, path, problem);
  if (ok) *out = json_deep_copy(rows);
  json_decref(object);
  return ok;
}

static json_t *price(double dollars, const char *per, double cpus, const char *source, const char *date) {
  const bool each = strcmp(per, "cpu") == 0;
  json_t *const object = json_object();
  json_object_set_new(object, "dollars_per_hour", perf_number(each ? dollars * cpus : dollars));
  if (each) json_object_set_new(object, "dollars_per_cpu", perf_number(dollars));
  json_object_set_new(object, "source", each ? perf_text("%s; of %g CPUs", source, cpus) : json_string(source));
  json_object_set_new(object, "date", json_string(date));
  return object;
}

json_t *perf_price_of(const json_t *device, const json_t *user_prices) {
  const char *const kind = perf_get_text(device, "kind"), *const what = perf_get_text(device, "description"), *const id = perf_get_text(device, "id");
  const double cpus = fmax(1, perf_get_number(device, "threads")), own = perf_get_number(device, "chip_dollars_per_hour");
  for (size_t i = 0; i < json_array_size(user_prices); i++) {
    const json_t *const row = json_array_get(user_prices, i);
    const char *const name = perf_get_text(row, "name");
    if (!perf_is(row, "kind", kind) || !(contains(what, name) || contains(id, name))) continue;
    return price(perf_get_number(row, "dollars_per_hour"), perf_get_text(row, "per"), cpus, perf_get_text(row, "source"), perf_get_text(row, "date"));
  }
  if (isfinite(own)) return own > 0 ? price(own, "device", 1, "the chip's file (runtime/systolic/chips)", "2025") : json_null();
  for (size_t i = 0; i < sizeof prices / sizeof prices[0]; i++) {
    if (strcmp(prices[i].kind, kind) == 0 && contains(what, prices[i].name)) return price(prices[i].dollars, prices[i].per, cpus, prices[i].source, prices[i].date);
  }
  return json_null();
}

const char *perf_datasheet_name(int i) { return i >= 0 && (size_t)i < sizeof datasheets / sizeof datasheets[0] ? datasheets[i].name : NULL; }

const char *perf_datasheet_called(const char *name) {
  for (int i = 0; perf_datasheet_name(i) != NULL; i++) {
    if (strcasecmp(perf_datasheet_name(i), name) == 0) return perf_datasheet_name(i);
  }
  return NULL;
}

json_t *perf_datasheet_of(const json_t *device) {
  for (size_t i = 0; i < sizeof datasheets / sizeof datasheets[0]; i++) {
    if (!perf_is(device, "kind", datasheets[i].kind) || !contains(perf_get_text(device, "description"), datasheets[i].name)) continue;
    return json_pack("{s:f, s:f, s:f, s:s}", "flops", datasheets[i].flops, "bytes_per_second", datasheets[i].bytes, "memory", datasheets[i].memory, "source", datasheets[i].source);
  }
  return json_null();
}
