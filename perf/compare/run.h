/* One run of one job on one device, in this process: what tercet-measure does with what it is asked. */
#ifndef TERCET_PERF_RUN_H
#define TERCET_PERF_RUN_H

#include <jansson.h>
#include <tercet/tercet.h>

enum { PERF_MOST_SETS = 160, PERF_MOST_STEPS_KEPT = 2000 };

typedef struct perf_target {
  char metric[64]; /* "": none */
  bool at_least;   /* >=, else <= */
  double value;
} perf_target;

typedef enum perf_mode { PERF_STEPS, PERF_EPOCHS, PERF_TARGET } perf_mode;

/* Points into the JSON object that it was read from. */
typedef struct perf_request {
  const char *job, *directory; /* directory NULL: as tct_job_options */
  const char *set[PERF_MOST_SETS];
  int32_t n_set;
  const char *device, *point;
  perf_mode mode;
  perf_target target;
  int64_t run, seed, steps, warmup;
  double time_limit; /* seconds of wall time; 0: none */
} perf_request;

/* "steps" …; -1: no such mode. */
int perf_mode_of(const char *text);
const char *perf_mode_name(perf_mode mode);
/* "val_accuracy>=0.90". false: not of that form. */
bool perf_target_of(const char *text, perf_target *out);
bool perf_target_met(const perf_target *target, double value);

/* Answers a request {"do": "run" | "profile" | "device" | "advise", …} with the record of docs/comparison.md; NULL only without memory. What
 * goes wrong is in the record. */
json_t *perf_answer(const json_t *request);

/* ---- for the three kinds of answers ---- */

perf_request perf_read_request(const json_t *request);
/* What the job, with its overrides, asks of its device: `threads`, `deterministic`; the defaults where it asks for none, or cannot be read. */
tct_device_options perf_options_of(const perf_request *r);
/* The request's job with its overrides, device and seed. */
tct_status perf_open_job(const perf_request *r, tct_job **out);
/* Sets status and why from the error record: refused for what the device or this machine cannot do, else failed. */
void perf_put_error(json_t *record, tct_status status);
bool perf_is_modelled(tct_device *device);
json_t *perf_run(const perf_request *r);
json_t *perf_profile(const perf_request *r);
json_t *perf_device(const perf_request *r);

#endif
