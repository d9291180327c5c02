/* What a device is: whether it is here, what it says of itself, what it can do at most. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tercet/chip.h>
#include "perf/compare/run.h"
#include "perf/support/json.h"
#include "perf/support/peaks.h"

static const double PEAK_SECONDS = 0.3;

static void put_fact(void *user, const char *name, const char *value) { json_object_set_new(user, name, perf_text("%s", value)); }

/* A chip's own figures: what its arrays make in a cycle when nothing waits, and its memory's rate. */
static json_t *chip_peaks(const char *spec) {
  const char *const colon = strchr(spec, ':');
  tct_chip chip;
  if (tct_chip_open(colon != NULL && colon[1] != '\0' ? colon + 1 : "v3", &chip) != TCT_OK) return NULL;
  perf_peaks of;
  perf_peaks_of_chip(&chip, &of);
  json_t *const peaks = json_object();
  json_object_set_new(peaks, "flops", perf_number(of.flops));
  json_object_set_new(peaks, "bytes_per_second", perf_number(of.bytes));
  json_object_set_new(peaks, "how", json_string("the chip's own: its arrays at its clock, its memory"));
  return peaks;
}

static double chip_price(const char *spec) {
  const char *const colon = strchr(spec, ':');
  tct_chip chip;
  return tct_chip_open(colon != NULL && colon[1] != '\0' ? colon + 1 : "v3", &chip) == TCT_OK ? chip.price * (double)chip.chips : 0;
}

static void put_peaks(json_t *record, tct_device *device, const char *spec) {
  perf_peaks peaks;
  if (perf_is_modelled(device)) {
    json_t *const own = chip_peaks(spec);
    json_object_set_new(record, "peaks", own != NULL ? own : json_null());
    json_object_set_new(record, "chip_dollars_per_hour", perf_number(chip_price(spec)));
    return;
  }
  if (perf_peaks_of(device, PEAK_SECONDS, &peaks) != TCT_OK) {
    json_object_set_new(record, "peaks", json_null());
    json_object_set_new(record, "peaks_why", perf_text("%s", tct_error_message()));
    return;
  }
  json_object_set_new(record, "peaks", json_pack("{s:f, s:f, s:s}", "flops", peaks.flops, "bytes_per_second", peaks.bytes, "how",
                                                 "measured: the best of a large product and, on the CPU, a loop of multiply-adds; "
                                                 "of sums of large vectors and, on the CPU, STREAM's triad"));
}

json_t *perf_device(const perf_request *r) {
  json_t *const record = json_object();
  tct_device *device = NULL;
  tct_device_info info;
  char kind[32];
  const tct_device_options options = perf_options_of(r);
  (void)snprintf(kind, sizeof kind, "%.*s", (int)strcspn(r->device, ":"), r->device);
  json_object_set_new(record, "record", json_string("device"));
  json_object_set_new(record, "id", json_string(r->device));
  json_object_set_new(record, "kind", perf_text("%s", kind));
  const tct_status status = tct_device_open(r->device, &options, &device);
  json_object_set_new(record, "available", json_boolean(status == TCT_OK));
  if (status != TCT_OK) {
    /* A name that nobody knows is a mistake to mend, not a device that is absent; gpu is known, with or without its module. */
    const bool module = strcmp(kind, "gpu") == 0 || strcmp(kind, "cuda") == 0;
    json_object_set_new(record, "mistake", json_boolean((status == TCT_NOT_FOUND && !module) || status == TCT_INVALID));
    json_object_set_new(record, "why", perf_text("%s", tct_error_message()));
    return record;
  }
  tct_device_describe(device, &info);
  json_t *const facts = json_object();
  json_object_set_new(record, "clock", json_string(info.time_is_modelled ? "modelled" : "measured"));
  json_object_set_new(record, "description", perf_text("%s", info.name));
  json_object_set_new(record, "threads", json_integer(info.n_threads));
  json_object_set_new(record, "memory_bytes", perf_number((double)info.memory_bytes));
  tct_device_facts(device, put_fact, facts);
  json_object_set_new(record, "facts", facts);
  put_peaks(record, device, r->device);
  tct_device_close(device);
  return record;
}
