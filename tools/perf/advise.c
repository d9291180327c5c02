/* tercet advise: limits read, devices asked, the prediction kept, and held against runs that came later. */
#include "perf/advise/advise.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "outputs.h"
#include "perf/compare/job.h"
#include "perf/compare/plan.h"
#include "perf/compare/prices.h"
#include "perf/compare/show.h"
#include "perf/support/json.h"

static int read_limits(const tool_options *o, perf_limits *out) {
  const int code = outputs_limits(o, out);
  if (code != TOOL_OK) return code;
  const char *const sheet = o->now != NULL ? perf_datasheet_called(o->now) : NULL;
  out->now = sheet != NULL ? sheet : o->now;
  const int goal = o->goal != NULL ? perf_goal_of(o->goal) : PERF_TIME;
  if (goal < 0) return tool_usage("advise: --goal is '%s', needs time, cost, energy or latency", o->goal);
  out->goal = (perf_goal)goal;
  if (o->max_latency != NULL && !perf_read_seconds(o->max_latency, &out->latency)) return tool_usage("advise: --max-latency is '%s', needs a time such as 5ms", o->max_latency);
  if (o->needs != NULL && strcmp(o->needs, "custom-op") != 0) return tool_usage("advise: --needs is '%s', needs custom-op", o->needs);
  out->custom_op = o->needs != NULL;
  return TOOL_OK;
}

/* --now must be one of the devices, or a share of its cost means nothing. */
static int check_now(const char *devices, const char *now) {
  static perf_plan plan; /* large */
  perf_problem problem;
  if (now == NULL) return TOOL_OK;
  const char *const sheet = perf_datasheet_called(now), *const wanted = sheet != NULL ? sheet : now;
  if (!perf_plan_devices(devices, &plan, &problem)) return outputs_fail(&problem);
  for (int i = 0; i < plan.n_devices; i++) {
    if (strcmp(plan.device[i], wanted) == 0) return TOOL_OK;
  }
  return tool_usage("advise: --now '%s' is none of --devices", now);
}

/* What can be here, and what datasheets tell of. */
static const char *known_devices(char *text, size_t size) {
  size_t n = (size_t)snprintf(text, size, "cpu,gpu,tpu:v3,tpu:v5e");
  for (int i = 0; perf_datasheet_name(i) != NULL && n < size; i++) n += (size_t)snprintf(text + n, size - n, ",%s", perf_datasheet_name(i));
  return text;
}

static const char *file_of(const tool_options *o, char *text, size_t size) {
  if (o->output != NULL) return o->output;
  return outputs_name(o->positional, "advise.jsonl", text, size);
}

static int keep(const char *path, json_t *record) {
  perf_problem problem;
  FILE *const file = fopen(path, "a");
  if (file == NULL) {
    json_decref(record);
    return tool_file_fail("write", path);
  }
  const bool ok = perf_file_append(file, path, record, &problem);
  if (fclose(file) != 0 && ok) return tool_file_fail("write", path);
  return ok ? TOOL_OK : outputs_fail(&problem);
}

/* What is not a file of advice stays as it is. */
static int check_kept(const char *path) {
  if (strcmp(path, "-") == 0) return tool_usage("advise: --output '-': predictions are kept in a file; --json prints them");
  const int code = outputs_check_file(path);
  if (code != TOOL_OK) return code;
  FILE *const file = fopen(path, "r");
  char *line = NULL;
  size_t room = 0;
  if (file == NULL) return errno == ENOENT ? TOOL_OK : tool_file_fail("read", path);
  const bool empty = getline(&line, &room, file) <= 0;
  json_t *const record = empty ? NULL : json_loads(line, 0, NULL);
  const bool ours = empty || perf_is(record, "record", "advice");
  json_decref(record);
  free(line);
  (void)fclose(file);
  return ours ? TOOL_OK : tool_usage("advise: '%s' is no file of advice; give another --output", path);
}

/* Adds the rows that are not there: the same runs held against the same prediction again say nothing new. */
static void add_new(json_t *errors, const json_t *rows) {
  size_t i, j;
  json_t *row, *known;
  json_array_foreach(rows, i, row) {
    bool is_new = true;
    json_array_foreach(errors, j, known) is_new = is_new && !json_equal(row, known);
    if (is_new) json_array_append(errors, row);
  }
}

/* The last advice of the file, and the errors of every verification in it; lines that are something else are left alone. */
static json_t *last_advice(const char *path, json_t *errors) {
  FILE *const file = fopen(path, "r");
  json_t *last = NULL;
  char *line = NULL;
  size_t room = 0;
  while (file != NULL && getline(&line, &room, file) > 0) {
    json_t *const record = json_loads(line, 0, NULL);
    if (perf_is(record, "record", "advice")) {
      json_decref(last);
      last = json_incref(record);
    }
    if (errors != NULL && perf_is(record, "record", "verification")) add_new(errors, json_object_get(record, "rows"));
    json_decref(record);
  }
  free(line);
  if (file != NULL) (void)fclose(file);
  return last;
}

static void print_rows(const json_t *rows) {
  char predicted[PERF_SHORT], measured[PERF_SHORT];
  size_t i;
  json_t *row;
  printf("%-24s %12s %12s %8s  in its interval\n", "device", "predicted", "later", "error");
  json_array_foreach(rows, i, row) {
    printf("%-24s %12s %12s %+7.1f%%  %s\n", perf_get_text(row, "device"), perf_show_seconds(perf_get_number(row, "predicted"), predicted),
           perf_show_seconds(perf_get_number(row, "measured"), measured), 100 * perf_get_number(row, "error"), json_is_true(json_object_get(row, "inside")) ? "yes" : "no");
  }
}

static int verify(const tool_options *o, const char *path) {
  perf_problem problem;
  json_t *records = NULL;
  bool torn = false;
  long whole = 0;
  json_t *const advice = last_advice(path, NULL);
  if (advice == NULL) return tool_usage("advise: '%s' holds no prediction; run tercet advise without --verify first", path);
  json_t *rows = NULL, *const now = json_object();
  const json_t *const then = json_object_get(advice, "job");
  bool same = perf_put_job(o->positional, o->job_dir, o->set, o->n_set, now, &problem);
  if (same && !perf_is(then, "hash", perf_get_text(json_object_get(now, "job"), "hash")))
    same = perf_fails(&problem, TCT_INVALID, "'%s' ends with a prediction of another job: '%s' (%s); predict this one first, or name that file by --output", path, perf_get_text(then, "name"), perf_get_text(then, "hash"));
  json_decref(now);
  if (same && perf_file_read(o->verify, &records, &torn, &whole, &problem)) rows = perf_verify(advice, records, &problem);
  json_decref(records);
  json_decref(advice);
  if (rows == NULL) return outputs_fail(&problem);
  if (o->json) tool_print_json(json_incref(rows));
  else print_rows(rows);
  const int code = keep(path, json_pack("{s:s, s:s, s:o}", "record", "verification", "runs", o->verify, "rows", rows));
  return code == TOOL_OK ? tool_finish() : code;
}

/* How far earlier predictions were off. */
static void print_earlier(const char *path) {
  json_t *const errors = json_array();
  double worst = 0;
  size_t i;
  json_t *row;
  int inside = 0;
  json_decref(last_advice(path, errors));
  json_array_foreach(errors, i, row) {
    worst = fmax(worst, fabs(perf_get_number(row, "error")));
    inside += json_is_true(json_object_get(row, "inside"));
  }
  if (i > 0) printf("Earlier predictions: %d of %zu within their interval, the worst off by %.0f %%.\n", inside, json_array_size(errors), 100 * worst);
  json_decref(errors);
}

static void show(void *user, const json_t *record, int done, int all) {
  (void)user;
  fprintf(stderr, "[%d/%d] %s: %s\n", done, all, perf_get_text(record, "id"), perf_get_text(record, perf_is(record, "status", "done") ? "description" : "why"));
}

static int advise(const tool_options *o, const char *devices, const perf_limits *limits, json_t *prices, json_t *const *quoted, const char *path) {
  char command[8192];
  perf_problem problem;
  const perf_comparison c = {.job = o->positional, .directory = o->job_dir, .set = o->set, .n_set = o->n_set, .devices = devices,
                             .steps = 20, .target = o->target, .quoted = quoted, .quoted_from = o->with.item, .n_quoted = o->with.n, .user_prices = prices, .machine = tool_machine_json(), .cancel = &tool_stop_signal, .told = o->quiet ? NULL : show,
                             .command = outputs_command(command, sizeof command)};
  tool_catch_signals();
  json_t *const advice = perf_advise_devices(&c, limits, o->analytic, &problem);
  tool_release_signals();
  json_decref(c.machine);
  if (advice == NULL) return outputs_fail(&problem);
  if (o->json) tool_print_json(json_incref(advice));
  else perf_advice_table(advice, stdout);
  if (!o->json) print_earlier(path);
  const int code = keep(path, json_incref(advice));
  json_decref(advice);
  return code == TOOL_OK ? tool_finish() : code;
}

int perf_advise(const tool_options *options) {
  char name[1024], known[512];
  perf_limits limits;
  const char *const devices = options->devices != NULL ? options->devices : known_devices(known, sizeof known);
  json_t *prices = NULL, *quoted[TOOL_MOST_ITEMS] = {NULL};
  const char *const path = file_of(options, name, sizeof name);
  const char *const dot = strrchr(options->positional, '.');
  if (dot != NULL && strcmp(dot, ".safetensors") == 0) return tool_usage("advise: '%s' is a model; needs the job file that trains it", options->positional);
  int code = read_limits(options, &limits);
  if (code == TOOL_OK && options->verify != NULL && (options->goal || options->max_cost || options->deadline || options->max_latency || options->max_energy || options->needs || options->now || options->devices || options->target || options->analytic || options->prices || options->with.n > 0))
    return tool_usage("advise: --verify compares the last prediction; it takes no limits, --devices, --target, --analytic, --prices or --with");
  if (code == TOOL_OK && options->verify != NULL) return verify(options, path);
  if (code == TOOL_OK) code = check_now(devices, options->now);
  if (code == TOOL_OK) code = check_kept(path);
  if (code == TOOL_OK) code = outputs_prices(options, &prices);
  for (int32_t i = 0; code == TOOL_OK && i < options->with.n; i++) code = outputs_read(options->with.item[i], &quoted[i]);
  if (code == TOOL_OK) code = advise(options, devices, &limits, prices, quoted, path);
  for (int i = 0; i < TOOL_MOST_ITEMS; i++) json_decref(quoted[i]);
  json_decref(prices);
  return code;
}
