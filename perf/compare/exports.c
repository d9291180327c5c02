/* CSV, and the files of DAWNBench (Stanford, 2017): what others read. */
#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include "perf/compare/run.h"
#include "perf/compare/show.h"
#include "perf/compare/summary.h"
#include "perf/support/json.h"

static const char *const estimates[] = {"step_p50", "step_p95", "samples_per_second", "epoch_seconds", "time_to_target", "cold_load", "cold_compile", "cold_first_step",
                                        "joules_per_step", "joules_per_epoch", "joules_to_target", "dollars_per_step", "dollars_per_epoch", "dollars_to_target", "final"};
enum { N_ESTIMATES = sizeof estimates / sizeof estimates[0] };

/* A field of CSV (RFC 4180). */
static void put_field(FILE *to, const char *text) {
  if (strpbrk(text, ",\"\r\n") == NULL) {
    fputs(text, to);
    return;
  }
  fputc('"', to);
  for (; *text != '\0'; text++) {
    if (*text == '"') fputc('"', to);
    fputc(*text, to);
  }
  fputc('"', to);
}

static void put_number(FILE *to, double value) {
  fputc(',', to);
  if (isfinite(value)) fprintf(to, "%.9g", value);
}

static void put_row(FILE *to, const json_t *device, const json_t *p) {
  const char *const texts[] = {perf_get_text(device, "label"), perf_get_text(device, "source"), perf_get_text(p, "point"), perf_get_text(p, "status")};
  for (int i = 0; i < 4; i++) {
    if (i > 0) fputc(',', to);
    put_field(to, texts[i]);
  }
  put_number(to, perf_get_number(p, "n_runs"));
  put_number(to, perf_get_number(p, "n_reached"));
  put_number(to, perf_get_number(p, "batch"));
  put_number(to, perf_get_number(p, "flops"));
  put_number(to, perf_get_number(p, "utilization"));
  put_number(to, perf_get_number(json_object_get(p, "memory"), "planned"));
  put_number(to, perf_get_number(json_object_get(p, "memory"), "observed"));
  for (int i = 0; i < N_ESTIMATES; i++) {
    const json_t *const e = json_object_get(p, estimates[i]);
    put_number(to, perf_get_number(e, "median"));
    put_number(to, perf_get_number(e, "low"));
    put_number(to, perf_get_number(e, "high"));
  }
  fputc(',', to);
  put_field(to, perf_get_text(p, "why"));
  fputc('\n', to);
}

void perf_csv(const json_t *summary, FILE *to) {
  size_t i, j;
  json_t *device, *p;
  fputs("device,source,point,status,runs,reached,batch,flops,utilization,memory_planned,memory_observed", to);
  for (int e = 0; e < N_ESTIMATES; e++) fprintf(to, ",%s,%s_low,%s_high", estimates[e], estimates[e], estimates[e]);
  fputs(",why\n", to);
  json_array_foreach(json_object_get(summary, "devices"), i, device) {
    json_array_foreach(json_object_get(device, "points"), j, p) put_row(to, device, p);
  }
}

/* A file's name of a device's: letters and digits stay. */
static void plain_name(const char *name, char *out, size_t size) {
  size_t n = 0;
  for (; *name != '\0' && n + 1 < size; name++) {
    const bool plain = (*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z') || (*name >= '0' && *name <= '9');
    out[n++] = plain ? *name : '_';
  }
  out[n] = '\0';
}

static bool write_tsv(const char *path, const json_t *curve) {
  FILE *const to = fopen(path, "w");
  size_t i;
  json_t *row;
  if (to == NULL) return false;
  fputs("epoch\thours\ttop1Accuracy\n", to);
  json_array_foreach(curve, i, row) {
    fprintf(to, "%.0f\t%.9g\t%.6g\n", perf_get_number(row, "epoch"), perf_get_number(row, "seconds") / 3600, 100 * perf_get_number(json_object_get(row, "metric"), "median"));
  }
  const bool failed = ferror(to) != 0;
  return fclose(to) == 0 && !failed;
}

static bool write_json(const char *path, const json_t *summary, const json_t *device) {
  const json_t *const price = json_object_get(device, "price");
  json_t *const object = json_object();
  json_object_set_new(object, "version", json_string("v1.0"));
  json_object_set_new(object, "author", json_string(""));
  json_object_set_new(object, "framework", perf_text("Tercet %s", perf_get_text(summary, "tercet")));
  json_object_set_new(object, "codeURL", json_string(""));
  json_object_set_new(object, "model", perf_text("%s", perf_get_text(json_object_get(summary, "job"), "name")));
  json_object_set_new(object, "hardware", perf_text("%s%s", perf_get_text(device, "description"), perf_is(device, "source", "modelled") ? " (modelled, not measured)" : ""));
  json_object_set_new(object, "costPerHour", perf_number(perf_get_number(price, "dollars_per_hour")));
  json_object_set_new(object, "timestamp", perf_text("%.10s", perf_get_text(summary, "created")));
  json_object_set_new(object, "misc", json_pack("{s:s, s:s}", "source", perf_get_text(device, "source"), "priceSource", perf_get_text(price, "source")));
  const bool ok = json_dump_file(object, path, JSON_INDENT(2)) == 0;
  json_decref(object);
  return ok;
}

bool perf_dawnbench(const json_t *summary, const char *folder, int *out) {
  char job[96], name[96], path[4096];
  size_t i;
  json_t *device;
  *out = 0;
  if (mkdir(folder, 0777) != 0 && errno != EEXIST) return false;
  plain_name(perf_get_text(json_object_get(summary, "job"), "name"), job, sizeof job);
  json_array_foreach(json_object_get(summary, "devices"), i, device) {
    const json_t *const p = json_array_get(json_object_get(device, "points"), 0);
    const json_t *const curve = json_object_get(p, "curve");
    if (json_array_size(curve) == 0 || strstr(perf_get_text(p, "metric"), "accuracy") == NULL) continue;
    plain_name(perf_get_text(device, "label"), name, sizeof name);
    (void)snprintf(path, sizeof path, "%.3800s/%s_%s.tsv", folder, job, name);
    if (!write_tsv(path, curve)) return false;
    (void)snprintf(path, sizeof path, "%.3800s/%s_%s.json", folder, job, name);
    if (!write_json(path, summary, device)) return false;
    ++*out;
  }
  return true;
}
