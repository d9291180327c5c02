/* What a worker is asked: reading it, and opening the job as it says. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "perf/advise/advise.h"
#include "perf/compare/run.h"
#include "perf/support/json.h"

static const char *const mode_names[] = {"steps", "epochs", "target"};

int perf_mode_of(const char *text) {
  for (int i = 0; i < 3; i++) {
    if (strcmp(text, mode_names[i]) == 0) return i;
  }
  return -1;
}

const char *perf_mode_name(perf_mode mode) { return mode_names[mode]; }

bool perf_target_of(const char *text, perf_target *out) {
  const size_t n = strcspn(text, "<>=");
  char *end = NULL;
  *out = (perf_target){.value = (double)NAN};
  if (n == 0 || n >= sizeof out->metric || (text[n] != '<' && text[n] != '>') || text[n + 1] != '=') return false;
  const double value = strtod(text + n + 2, &end);
  if (end == text + n + 2 || *end != '\0' || !isfinite(value)) return false;
  out->at_least = text[n] == '>';
  out->value = value;
  size_t length = n;
  while (length > 0 && text[length - 1] == ' ') length--;
  memcpy(out->metric, text, length);
  out->metric[length] = '\0';
  return length > 0;
}

static int64_t whole(const json_t *request, const char *key) {
  return (int64_t)json_integer_value(json_object_get(request, key));
}

perf_request perf_read_request(const json_t *request) {
  perf_request r = {.job = perf_get_text(request, "job"),
                    .directory = json_string_value(json_object_get(request, "directory")),
                    .device = perf_get_text(request, "device"),
                    .point = perf_get_text(request, "point"),
                    .run = whole(request, "run"),
                    .seed = whole(request, "seed"),
                    .steps = whole(request, "steps"),
                    .warmup = whole(request, "warmup")};
  const int mode = perf_mode_of(perf_get_text(request, "mode"));
  const json_t *const set = json_object_get(request, "set");
  const double limit = perf_get_number(request, "time_limit");
  r.mode = mode < 0 ? PERF_STEPS : (perf_mode)mode;
  r.time_limit = isfinite(limit) ? limit : 0;
  (void)perf_target_of(perf_get_text(request, "target"), &r.target);
  for (size_t i = 0; i < json_array_size(set) && r.n_set < PERF_MOST_SETS - 4; i++) {
    const char *const text = json_string_value(json_array_get(set, i));
    if (text != NULL) r.set[r.n_set++] = text;
  }
  return r;
}

tct_status perf_open_job(const perf_request *r, tct_job **out) {
  char device[TCT_DEVICE_SPEC + 16], seed[40], steps[48];
  const char *set[PERF_MOST_SETS];
  int32_t n = r->n_set;
  memcpy(set, r->set, (size_t)n * sizeof *set);
  (void)snprintf(device, sizeof device, "device=%s", r->device);
  (void)snprintf(seed, sizeof seed, "seed=%lld", (long long)r->seed);
  (void)snprintf(steps, sizeof steps, "train.steps=%lld", (long long)(r->warmup + r->steps));
  set[n++] = device;
  set[n++] = seed;
  if (r->steps > 0) set[n++] = steps;
  set[n++] = "checkpoint=null";
  return tct_job_load(r->job, &(tct_job_options){.directory = r->directory, .set = set, .n_set = n}, out);
}

/* What stands behind the key of the job's own text; NULL: nothing. */
static const char *value_of(const char *text, const char *key) {
  const size_t n = strlen(key);
  for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
    line += *line == '\n';
    if (strncmp(line, key, n) == 0 && line[n] == ':') return line + n + 1 + strspn(line + n + 1, " ");
  }
  return NULL;
}

tct_device_options perf_options_of(const perf_request *r) {
  tct_job *job = NULL;
  const char *text = NULL;
  tct_device_options options = {.n_threads = 0};
  if (perf_open_job(r, &job) == TCT_OK && tct_job_text(job, &text) == TCT_OK) {
    const char *const threads = value_of(text, "threads"), *const deterministic = value_of(text, "deterministic");
    if (threads != NULL) options.n_threads = (int32_t)strtol(threads, NULL, 10);
    options.nondeterministic = deterministic != NULL && strncmp(deterministic, "false", 5) == 0;
  }
  tct_job_free(job);
  return options;
}

void perf_put_error(json_t *record, tct_status status) {
  const bool refused = status == TCT_UNSUPPORTED || status == TCT_UNAVAILABLE || status == TCT_OUT_OF_MEMORY;
  json_object_set_new(record, "status", json_string(refused ? "refused" : "failed"));
  json_object_set_new(record, "why", perf_text("%s", tct_error_message()));
}

bool perf_is_modelled(tct_device *device) {
  tct_device_info info;
  tct_device_describe(device, &info);
  return info.time_is_modelled;
}

json_t *perf_answer(const json_t *request) {
  const perf_request r = perf_read_request(request);
  if (perf_is(request, "do", "advise")) return perf_candidate(request);
  if (perf_is(request, "do", "device")) return perf_device(&r);
  return perf_is(request, "do", "profile") ? perf_profile(&r) : perf_run(&r);
}
