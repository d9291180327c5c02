/* The order of things: what the job and the machine are, each device, the runs (A B A B, every second round backwards, so that what
 * drifts falls on all), then the steps that are taken apart. */
#include "perf/compare/compare.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>
#include "perf/compare/job.h"
#include "perf/compare/plan.h"
#include "perf/compare/prices.h"
#include "perf/compare/summary.h"
#include "perf/compare/worker.h"
#include "perf/support/json.h"

enum { PATH_BYTES = 4096 };
static const double GRACE = 60; /* seconds behind a run's own time limit until it is killed */

typedef struct state {
  const perf_comparison *c;
  perf_plan plan;
  char worker[PATH_BYTES];
  FILE *file;
  json_t *records; /* of the file, with what was added */
  bool made;       /* the file is this call's */
  size_t n_before; /* records of earlier calls: what died there is tried again */
  bool modelled[PERF_MOST_DEVICES], absent[PERF_MOST_DEVICES];
  int done, all;
} state;

/* ---- what the comparison is ---- */

static json_t *utc_now(void) {
  char text[32] = "";
  struct tm utc;
  const time_t now = time(NULL);
  if (gmtime_r(&now, &utc) != NULL) (void)strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return json_string(text);
}

static int32_t own_threads(const perf_comparison *c) {
  perf_request r = {.job = c->job, .directory = c->directory, .device = "cpu", .n_set = c->n_set};
  for (int32_t i = 0; i < c->n_set; i++) r.set[i] = c->set[i];
  return perf_options_of(&r).n_threads;
}

static bool own_seed(const perf_comparison *c, json_t *first, perf_problem *problem) {
  tct_job *job = NULL;
  tct_job_info info;
  if (tct_job_load(c->job, &(tct_job_options){.directory = c->directory, .set = c->set, .n_set = c->n_set}, &job) != TCT_OK)
    return perf_fails(problem, (int)tct_error_status(), "%s", tct_error_message());
  tct_job_describe(job, &info);
  json_object_set_new(first, "seed", json_integer((json_int_t)info.seed));
  json_object_set_new(first, "threads", json_integer(own_threads(c)));
  tct_job_free(job);
  return true;
}

static json_t *first_record(const state *s, perf_problem *problem) {
  const perf_comparison *const c = s->c;
  json_t *const first = json_object(), *const devices = json_array(), *const points = json_array();
  json_object_set_new(first, "record", json_string("comparison"));
  json_object_set_new(first, "schema", json_integer(PERF_SCHEMA));
  json_object_set_new(first, "tercet", json_string(tct_version()));
  json_object_set_new(first, "created", utc_now());
  json_object_set_new(first, "command", perf_text("%s", c->command != NULL ? c->command : ""));
  json_object_set_new(first, "mode", json_string(perf_mode_name(c->mode)));
  json_object_set_new(first, "target", c->target != NULL ? json_string(c->target) : json_null());
  json_object_set_new(first, "runs", json_integer((json_int_t)c->runs));
  json_object_set_new(first, "warmup", json_integer((json_int_t)c->warmup));
  json_object_set_new(first, "steps", json_integer((json_int_t)c->steps));
  json_object_set_new(first, "time_limit", perf_number(c->time_limit));
  json_object_set_new(first, "devices", devices);
  json_object_set_new(first, "points", points);
  for (int i = 0; i < s->plan.n_devices; i++) json_array_append_new(devices, perf_text("%s", s->plan.device[i]));
  for (int i = 0; i < s->plan.n_points; i++) json_array_append_new(points, perf_text("%s", s->plan.point[i]));
  json_object_set_new(first, "machine", c->machine != NULL ? json_incref(c->machine) : json_null());
  if (perf_put_job(c->job, c->directory, c->set, c->n_set, first, problem) && own_seed(c, first, problem)) return first;
  json_decref(first);
  return NULL;
}

/* ---- the file ---- */

/* What must be as it was for more runs to join those that are there. */
static bool check_same(const json_t *then, const json_t *now, const char *path, perf_problem *problem) {
  static const char *const same[] = {"mode", "target", "warmup", "steps", "seed", "points", "devices", "time_limit", "runs", "threads", "tercet"};
  const json_t *const a = json_object_get(then, "job"), *const b = json_object_get(now, "job");
  if (strcmp(perf_get_text(a, "hash"), perf_get_text(b, "hash")) != 0)
    return perf_fails(problem, TCT_INVALID, "'%s' is of another job (%s, %s; this one is %s); give another --output", path, perf_get_text(a, "name"), perf_get_text(a, "hash"), perf_get_text(b, "hash"));
  if (!json_equal(json_object_get(then, "data"), json_object_get(now, "data")))
    return perf_fails(problem, TCT_INVALID, "'%s' is of other data than the job has now; give another --output", path);
  const json_t *const there = json_object_get(then, "machine"), *const here = json_object_get(now, "machine");
  if (!json_equal(json_object_get(there, "processor"), json_object_get(here, "processor")) || !json_equal(json_object_get(there, "cpus"), json_object_get(here, "cpus")))
    return perf_fails(problem, TCT_INVALID, "'%s' was begun on another machine (%.80s); what is measured here needs another --output", path, perf_get_text(there, "processor"));
  for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
    if (json_equal(json_object_get(then, same[i]), json_object_get(now, same[i]))) continue;
    return perf_fails(problem, TCT_INVALID, "'%s' was begun with other %s; --resume goes on with the same command, or give another --output", path, same[i]);
  }
  return true;
}

static bool append(state *s, json_t *record, perf_problem *problem) {
  if (record != NULL && s->c->told != NULL) s->c->told(s->c->user, record, s->done, s->all);
  if (record != NULL && json_array_append(s->records, record) != 0) {
    json_decref(record);
    record = NULL;
  }
  return perf_file_append(s->file, s->c->output, record, problem);
}

/* Two comparisons that write one file would each miss what the other adds. */
static bool lock(const state *s, perf_problem *problem) {
  if (flock(fileno(s->file), LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return true;
  return perf_fails(problem, TCT_UNAVAILABLE, "'%s' is being written by another comparison; wait for it, or give another --output", s->c->output);
}

/* Reads what is there, under the lock: what looks torn may be a line that another comparison is writing. A torn one is cut off. */
static bool reopen(state *s, const json_t *first, perf_problem *problem) {
  bool torn = false;
  long whole = 0;
  s->file = fopen(s->c->output, "a");
  if (s->file == NULL) return perf_fails(problem, TCT_IO, "cannot open '%s': %s", s->c->output, strerror(errno));
  if (!lock(s, problem)) return false;
  json_decref(s->records);
  s->records = NULL;
  if (!perf_file_read(s->c->output, &s->records, &torn, &whole, problem)) {
    json_decref(s->records);
    s->records = NULL;
    if (whole > 0 || problem->status != TCT_BAD_DATA) return false;
    return perf_fails(problem, TCT_BAD_DATA, "'%s' holds no whole line, so there is nothing to go on with; delete it, or give another --output", s->c->output);
  }
  if (!check_same(json_array_get(s->records, 0), first, s->c->output, problem)) return false;
  s->n_before = json_array_size(s->records);
  return !torn || ftruncate(fileno(s->file), whole) == 0 || perf_fails(problem, TCT_IO, "cannot cut the torn last line of '%s': %s", s->c->output, strerror(errno));
}

/* Takes over `first`. */
static bool open_file(state *s, json_t *first, perf_problem *problem) {
  const char *const path = s->c->output;
  const bool there = access(path, F_OK) == 0;
  if (!there) s->file = fopen(path, "wx");
  s->made = s->file != NULL;
  if (s->made && lock(s, problem)) return append(s, first, problem);
  bool ok = false;
  if (there && s->c->resume) ok = reopen(s, first, problem);
  else if (there || (!s->made && errno == EEXIST)) (void)perf_fails(problem, TCT_INVALID, "'%s' is there already; --resume goes on with it, or give another --output", path);
  else if (!s->made) (void)perf_fails(problem, errno == ENOENT ? TCT_NOT_FOUND : TCT_IO, "cannot make '%s': %s", path, strerror(errno));
  json_decref(first);
  return ok;
}

/* The record of this kind, device, point and run, where the file has it; NULL: not yet. A process that died, of memory or by a
 * signal, in an earlier call is asked again. */
static const json_t *find(const state *s, const char *kind, const char *device, const char *point, int64_t run) {
  for (size_t i = json_array_size(s->records); i-- > 0;) {
    const json_t *const record = json_array_get(s->records, i);
    if (!perf_is(record, "record", kind) || (i < s->n_before && json_is_true(json_object_get(record, "died")))) continue;
    if (strcmp(kind, "device") == 0) {
      if (perf_is(record, "id", device)) return record;
      continue;
    }
    if (!perf_is(record, "device", device) || !perf_is(record, "point", point)) continue;
    if (run < 0 || json_integer_value(json_object_get(record, "run")) == run) return record;
  }
  return NULL;
}

/* ---- asking ---- */

static json_t *request_of(const state *s, const char *what, int device, int point, int64_t run) {
  const perf_comparison *const c = s->c;
  const json_t *const first = json_array_get(s->records, 0);
  json_t *const request = json_object(), *const set = json_array();
  char text[512];
  const char *overrides[16];
  const int n = perf_plan_overrides(s->plan.point[point], text, sizeof text, overrides, 16);
  for (int32_t i = 0; i < c->n_set; i++) json_array_append_new(set, json_string(c->set[i]));
  for (int i = 0; i < n; i++) json_array_append_new(set, json_string(overrides[i]));
  json_object_set_new(request, "do", json_string(what));
  json_object_set_new(request, "job", json_string(c->job));
  if (c->directory != NULL) json_object_set_new(request, "directory", json_string(c->directory));
  json_object_set_new(request, "set", set);
  json_object_set_new(request, "device", json_string(s->plan.device[device]));
  json_object_set_new(request, "point", json_string(s->plan.point[point]));
  json_object_set_new(request, "mode", json_string(perf_mode_name(c->mode)));
  json_object_set_new(request, "target", json_string(c->target != NULL ? c->target : ""));
  json_object_set_new(request, "run", json_integer((json_int_t)run));
  json_object_set_new(request, "seed", json_integer(json_integer_value(json_object_get(first, "seed")) + (json_int_t)run));
  json_object_set_new(request, "steps", json_integer((json_int_t)c->steps));
  json_object_set_new(request, "warmup", json_integer((json_int_t)c->warmup));
  json_object_set_new(request, "time_limit", perf_number(c->time_limit));
  return request;
}

/* A worker that died is a failed record of its device, not the end of the comparison. */
static json_t *ask(const state *s, const char *what, int device, int point, int64_t run, perf_problem *problem) {
  json_t *const request = request_of(s, what, device, point, run);
  json_t *record = perf_worker_ask(s->worker, request, s->c->time_limit > 0 ? s->c->time_limit + GRACE : 0, s->c->cancel, problem);
  if (record == NULL && problem->status == TCT_INTERNAL) {
    record = json_object();
    json_object_set_new(record, "record", json_string(what));
    if (strcmp(what, "device") == 0) {
      json_object_set_new(record, "id", json_string(s->plan.device[device]));
      json_object_set_new(record, "available", json_false());
    } else {
      json_object_set_new(record, "device", json_string(s->plan.device[device]));
      json_object_set_new(record, "point", json_string(s->plan.point[point]));
      json_object_set_new(record, "run", json_integer((json_int_t)run));
      json_object_set_new(record, "status", json_string("failed"));
    }
    json_object_set_new(record, "why", perf_text("%s", problem->text));
    json_object_set_new(record, "died", json_true());
  }
  json_decref(request);
  return record;
}

/* Into the file; a name that nobody knows is a mistake to mend, of which no file is left. */
static bool add_device(state *s, int d, perf_problem *problem) {
  json_t *const record = ask(s, "device", d, 0, 0, problem);
  if (record == NULL) return false;
  if (json_is_true(json_object_get(record, "mistake"))) {
    (void)perf_fails(problem, TCT_NOT_FOUND, "--devices: %s", perf_get_text(record, "why"));
    json_decref(record);
    if (s->made) (void)unlink(s->c->output);
    return false;
  }
  json_object_set_new(record, "price", perf_price_of(record, s->c->user_prices));
  json_object_set_new(record, "datasheet", perf_datasheet_of(record));
  return append(s, record, problem);
}

/* Every device is asked for before the first run: a mistake must not cost an hour. */
static bool ask_devices(state *s, perf_problem *problem) {
  for (int d = 0; d < s->plan.n_devices; d++) {
    if (find(s, "device", s->plan.device[d], "", 0) == NULL && !add_device(s, d, problem)) return false;
    const json_t *const record = find(s, "device", s->plan.device[d], "", 0);
    s->absent[d] = !json_is_true(json_object_get(record, "available"));
    s->modelled[d] = perf_is(record, "clock", "modelled");
  }
  return true;
}

/* The clock of a model says the same in every run of steps; what was refused once is refused always. */
static bool is_due(const state *s, int device, int point, int64_t run) {
  const char *const name = s->plan.device[device];
  if (s->absent[device] || (run > 0 && s->modelled[device] && s->c->mode == PERF_STEPS)) return false;
  const json_t *const first = run > 0 ? find(s, "run", name, s->plan.point[point], 0) : NULL;
  const bool once = first == NULL || perf_is(first, "status", "done") || perf_is(first, "status", "timed_out") || json_is_true(json_object_get(first, "died"));
  if (!once) return false;
  return find(s, "run", name, s->plan.point[point], run) == NULL;
}

static bool do_runs(state *s, perf_problem *problem) {
  for (int64_t run = 0; run < s->c->runs; run++) {
    for (int point = 0; point < s->plan.n_points; point++) {
      for (int i = 0; i < s->plan.n_devices; i++) {
        const int device = run % 2 == 0 ? i : s->plan.n_devices - 1 - i;
        s->done++;
        if (!is_due(s, device, point, run)) continue;
        json_t *const record = ask(s, "run", device, point, run, problem);
        if (record == NULL || !append(s, record, problem)) return false;
      }
    }
  }
  return true;
}

static bool do_profiles(state *s, perf_problem *problem) {
  for (int point = 0; point < s->plan.n_points; point++) {
    for (int device = 0; device < s->plan.n_devices; device++) {
      const char *const name = s->plan.device[device], *const at = s->plan.point[point];
      const json_t *const run = find(s, "run", name, at, 0);
      s->done++;
      if (run == NULL || !(perf_is(run, "status", "done") || perf_is(run, "status", "timed_out")) || find(s, "profile", name, at, -1) != NULL) continue;
      json_t *const record = ask(s, "profile", device, point, 0, problem);
      if (record == NULL || !append(s, record, problem)) return false;
    }
  }
  return true;
}

/* The last line: whether all is there. What ended the comparison stays in `problem`. */
static void put_end(state *s, bool completed, const perf_problem *problem) {
  perf_problem unheard;
  json_t *const end = json_object();
  json_object_set_new(end, "record", json_string("end"));
  json_object_set_new(end, "completed", json_boolean(completed));
  if (!completed) json_object_set_new(end, "why", perf_text("%s", problem->text));
  (void)append(s, end, &unheard);
}

/* What goes into JSON and would be lost on the way. */
static bool is_text(const char *text) {
  json_t *const string = json_string(text);
  json_decref(string);
  return string != NULL;
}

static bool check(const perf_comparison *c, perf_problem *problem) {
  perf_target target;
  if (!is_text(c->job)) return perf_fails(problem, TCT_INVALID, "the job's path is not UTF-8; needs another name");
  for (int32_t i = 0; i < c->n_set; i++) {
    if (!is_text(c->set[i])) return perf_fails(problem, TCT_INVALID, "--set: the %d. override is not UTF-8, which job files are", (int)i + 1);
    if (strncmp(c->set[i], "device=", 7) == 0) return perf_fails(problem, TCT_INVALID, "--set device=…: the devices are --devices");
  }
  if (c->runs < 1 || c->runs > 1000) return perf_fails(problem, TCT_INVALID, "--runs is %lld, needs 1 to 1000", (long long)c->runs);
  if (c->steps > 100000000 || c->warmup > 100000000) return perf_fails(problem, TCT_INVALID, "--steps and --warmup: at most 100000000");
  if (c->mode == PERF_TARGET && c->target == NULL) return perf_fails(problem, TCT_INVALID, "--mode target needs --target, such as --target 'val_accuracy>=0.90'");
  return c->target == NULL || perf_plan_target(c->target, &target, problem);
}

/* Each point's overrides make a job, before anything runs. */
static bool check_points(const state *s, perf_problem *problem) {
  const perf_comparison *const c = s->c;
  for (int p = 0; p < s->plan.n_points; p++) {
    char text[512];
    const char *set[PERF_MOST_SETS];
    tct_job *job = NULL;
    int32_t n = 0;
    for (; n < c->n_set && n < PERF_MOST_SETS - 16; n++) set[n] = c->set[n];
    n += perf_plan_overrides(s->plan.point[p], text, sizeof text, set + n, 16);
    const tct_status status = tct_job_load(c->job, &(tct_job_options){.directory = c->directory, .set = set, .n_set = n}, &job);
    tct_job_free(job);
    if (status != TCT_OK) return perf_fails(problem, (int)status, "%s%s%s%s", s->plan.point[p][0] != '\0' ? "--sweep " : "", s->plan.point[p], s->plan.point[p][0] != '\0' ? ": " : "", tct_error_message());
  }
  return true;
}

static bool run_all(state *s, perf_problem *problem) {
  const bool ok = ask_devices(s, problem) && do_runs(s, problem) && do_profiles(s, problem);
  /* Behind a line that could not be written whole stands nothing: the reader leaves a torn last line out. */
  if (ok || problem->status != TCT_IO) put_end(s, ok, problem);
  return ok;
}

bool perf_compare_devices(const perf_comparison *c, perf_problem *problem) {
  static state s; /* large */
  s = (state){.c = c};
  if (!check(c, problem) || !perf_plan_devices(c->devices, &s.plan, problem) || !perf_plan_points(c->sweep, &s.plan, problem)) return false;
  if (c->worker != NULL) (void)snprintf(s.worker, sizeof s.worker, "%s", c->worker);
  else if (!perf_worker_path(s.worker, sizeof s.worker)) return perf_fails(problem, TCT_UNAVAILABLE, "the system does not tell where this program lies");
  s.records = json_array();
  s.all = (int)(c->runs + 1) * s.plan.n_devices * s.plan.n_points;
  json_t *const first = check_points(&s, problem) ? first_record(&s, problem) : NULL;
  bool ok = first != NULL;
  for (int i = 0; ok && i < c->n_quoted; i++) ok = perf_check_quoted(first, json_array_get(c->quoted[i], 0), c->quoted_from[i], problem);
  if (!ok) json_decref(first);
  ok = ok && open_file(&s, first, problem);
  if (ok) ok = run_all(&s, problem);
  if (s.file != NULL && fclose(s.file) != 0 && ok) ok = perf_fails(problem, TCT_IO, "cannot write '%s': %s", c->output, strerror(errno));
  json_decref(s.records);
  return ok;
}
