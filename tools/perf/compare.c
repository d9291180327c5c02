/* tercet compare: the options become a comparison, which is shown as it goes and told when it has ended. */
#include "perf/compare/compare.h"

#include <math.h>
#include <signal.h>
#include <string.h>
#include "outputs.h"
#include "perf/compare/show.h"
#include "perf/support/json.h"

typedef struct shown {
  bool quiet;
} shown;

static void show(void *user, const json_t *record, int done, int all) {
  const shown *const s = user;
  char time[PERF_SHORT];
  if (s->quiet) return;
  if (perf_is(record, "record", "device")) {
    const bool here = json_is_true(json_object_get(record, "available"));
    fprintf(stderr, "%s: %s\n", perf_get_text(record, "id"), perf_get_text(record, here ? "description" : "why"));
  }
  if (!perf_is(record, "record", "run") && !perf_is(record, "record", "profile")) return;
  const char *const point = perf_get_text(record, "point"), *const status = perf_get_text(record, "status");
  fprintf(stderr, "[%d/%d] %s%s%s", done, all, perf_get_text(record, "device"), point[0] != '\0' ? ", " : "", point);
  if (perf_is(record, "record", "profile")) fprintf(stderr, ": ops one by one");
  else fprintf(stderr, ", run %.0f", perf_get_number(record, "run") + 1);
  const double step = perf_get_number(record, "step_p50"), reached = perf_get_number(json_object_get(record, "reached"), "seconds");
  if (isfinite(step)) fprintf(stderr, ": %s a step%s", perf_show_seconds(step, time), perf_is(record, "clock", "modelled") ? " (modelled)" : "");
  if (isfinite(reached)) fprintf(stderr, ", target after %s", perf_show_seconds(reached, time));
  if (strcmp(status, "done") != 0) fprintf(stderr, ": %s: %s", status, perf_get_text(record, "why"));
  fputc('\n', stderr);
}

static int mode_of(const tool_options *options, perf_mode *out) {
  const int mode = options->mode != NULL ? perf_mode_of(options->mode) : options->target != NULL ? PERF_TARGET : PERF_STEPS;
  if (mode < 0) return tool_usage("compare: --mode is '%s', needs steps, epochs or target", options->mode);
  *out = (perf_mode)mode;
  return TOOL_OK;
}

/* An option that would say nothing is a mistake. */
static int check_options(const tool_options *o, perf_mode mode, const char *output) {
  const char *const dot = strrchr(o->positional, '.');
  if (dot != NULL && strcmp(dot, ".safetensors") == 0) return tool_usage("compare: '%s' is a model; needs the job file that trains it", o->positional);
  if (mode != PERF_STEPS && o->steps >= 0) return tool_usage("compare: --steps is of --mode steps; epochs and target end as the job says (--epochs)");
  if (mode == PERF_STEPS && o->steps == 0) return tool_usage("compare: --steps is 0, needs at least 1");
  for (int32_t i = 0; i < o->n_set; i++) {
    if (mode == PERF_STEPS && strncmp(o->set[i], "train.epochs=", 13) == 0) return tool_usage("compare: --epochs is of --mode epochs or target; --mode steps takes --steps");
  }
  return outputs_check(o, output);
}

/* The files that are quoted, before the first run. */
static int read_quoted(const tool_options *options, json_t **quoted) {
  for (int32_t i = 0; i < options->with.n; i++) {
    const int code = outputs_read(options->with.item[i], &quoted[i]);
    if (code != TOOL_OK) return code;
  }
  return TOOL_OK;
}

static int run(const tool_options *options, perf_comparison *c) {
  char command[8192];
  perf_problem problem;
  c->command = outputs_command(command, sizeof command);
  c->machine = tool_machine_json();
  tool_catch_signals();
  const bool ok = perf_compare_devices(c, &problem);
  tool_release_signals();
  json_decref(c->machine);
  if (!ok) {
    const int code = outputs_fail(&problem);
    if (problem.status != TCT_CANCELLED) return code;
    fprintf(stderr, "tercet: what ran stands in '%s'; --resume goes on\n", c->output);
    return tool_stop_signal == SIGTERM ? TOOL_TERMINATED : TOOL_INTERRUPTED;
  }
  const int code = outputs_write(options, c->output, true);
  if (!options->quiet) fprintf(stderr, "data: %s\n", c->output);
  return code;
}

int perf_compare(const tool_options *options) {
  char output[1024];
  shown s = {.quiet = options->quiet};
  json_t *quoted[TOOL_MOST_ITEMS] = {NULL};
  perf_comparison c = {.job = options->positional, .directory = options->job_dir, .set = options->set, .n_set = options->n_set,
                       .output = options->output != NULL ? options->output : outputs_name(options->positional, "compare.jsonl", output, sizeof output),
                       .devices = options->devices != NULL ? options->devices : "cpu,gpu,tpu:v3", .target = options->target, .runs = options->runs,
                       .warmup = options->warmup, .time_limit = (double)options->time_limit, .resume = options->resume, .cancel = &tool_stop_signal,
                       .quoted = quoted, .quoted_from = options->with.item, .n_quoted = options->with.n, .told = show, .user = &s};
  int code = mode_of(options, &c.mode);
  if (code == TOOL_OK) code = check_options(options, c.mode, c.output);
  if (code == TOOL_OK) code = outputs_prices(options, &c.user_prices);
  if (code == TOOL_OK) code = read_quoted(options, quoted);
  for (int32_t i = 0; i < options->sweep.n; i++) c.sweep[i] = options->sweep.item[i];
  c.steps = c.mode != PERF_STEPS ? 0 : options->steps < 0 ? 50 : options->steps;
  if (code == TOOL_OK) code = run(options, &c);
  for (int i = 0; i < TOOL_MOST_ITEMS; i++) json_decref(quoted[i]);
  json_decref(c.user_prices);
  return code;
}
