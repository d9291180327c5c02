/* tercet train: runs a job, shows progress, saves the model, evaluates it on the test data. */
#include "tool.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

/* Which signal asked to end; 0: none. A second one kills: the first resets its handling. */
static volatile sig_atomic_t stop_signal;

static void on_signal(int number) { stop_signal = number; }

static void catch_signals(void) {
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
}

typedef struct run {
  const tool_options *options;
  tct_job *job;
  tct_model *model;
  tct_job_info info;
  const char *save; /* NULL: nowhere */
  FILE *steps;      /* --log-steps */
  bool steps_failed;
  tool_progress progress;
  int64_t n_steps;
  double seconds;
} run;

static tct_status on_progress(void *user, const tct_progress *p) {
  run *const r = user;
  tool_progress_show(&r->progress, p);
  r->n_steps = p->total_step;
  if (p->epoch_end) r->seconds += p->seconds;
  return stop_signal ? TCT_CANCELLED : TCT_OK;
}

static tct_status on_step(void *user, int64_t step, double loss) {
  run *const r = user;
  const int n = isfinite(loss) ? fprintf(r->steps, "{\"step\":%lld,\"loss\":%.17g}\n", (long long)step, loss)
                               : fprintf(r->steps, "{\"step\":%lld,\"loss\":null}\n", (long long)step);
  r->steps_failed = r->steps_failed || n < 0;
  return TCT_OK;
}

/* A folder that cannot be written to is better known before an hour of training. */
static int check_save(const char *path) {
  char folder[4096];
  const char *const slash = strrchr(path, '/');
  snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
  if (access(folder, W_OK | X_OK) == 0) return TOOL_OK;
  fprintf(stderr, "tercet: cannot save to '%s': folder '%s': %s\n", path, folder, strerror(errno));
  return errno == ENOENT || errno == ENOTDIR ? TOOL_NOT_FOUND : TOOL_IO;
}

static int open_steps(run *r) {
  const char *const path = r->options->log_steps;
  if (!path) return TOOL_OK;
  r->steps = strcmp(path, "-") == 0 ? stdout : fopen(path, "w");
  if (r->steps) return TOOL_OK;
  fprintf(stderr, "tercet: cannot open '%s': %s\n", path, strerror(errno));
  return errno == ENOENT || errno == ENOTDIR ? TOOL_NOT_FOUND : TOOL_IO;
}

static int close_steps(run *r) {
  if (!r->steps) return TOOL_OK;
  bool failed = r->steps_failed || ferror(r->steps);
  failed = (r->steps == stdout ? fflush(stdout) : fclose(r->steps)) != 0 || failed;
  r->steps = NULL;
  if (!failed) return TOOL_OK;
  fprintf(stderr, "tercet: cannot write '%s'\n", r->options->log_steps);
  return TOOL_IO;
}

static tct_status announce(const run *r) {
  if (r->options->quiet) return TCT_OK;
  tct_dataset *data = NULL;
  const tct_status status = tct_job_dataset(r->job, TCT_JOB_TRAIN, &data);
  if (status != TCT_OK) return status;
  int64_t parameters = 0;
  for (int32_t i = 0; i < tct_model_n_parameters(r->model); i++)
    parameters += tct_shape_size(&tct_model_parameter(r->model, i)->desc.shape);
  fprintf(stderr, "%s: %lld parameters, %lld training samples, device %s, %s, seed %llu\n", r->info.name,
          (long long)parameters, (long long)tct_dataset_samples(data), r->info.device, tct_dtype_name(r->info.dtype),
          (unsigned long long)r->info.seed);
  return TCT_OK;
}

static json_t *history_json(const tct_model *model) {
  json_t *const epochs = json_array();
  for (int32_t e = 0; e < tct_history_n_epochs(model); e++) {
    json_t *const row = json_object();
    for (int32_t i = 0; i < tct_history_n_values(model); i++)
      json_object_set_new(row, tct_history_name(model, i), tool_number(tct_history_value(model, e, i)));
    json_array_append_new(epochs, row);
  }
  return epochs;
}

static void print_result(const run *r, const tct_evaluation *test) {
  if (!r->options->json) {
    if (test) tool_print_evaluation("test", r->job, test);
    if (r->save) printf("model saved to %s\n", r->save);
    return;
  }
  json_t *const result = json_object();
  json_object_set_new(result, "name", json_string(r->info.name));
  json_object_set_new(result, "device", json_string(r->info.device));
  json_object_set_new(result, "dtype", json_string(tct_dtype_name(r->info.dtype)));
  json_object_set_new(result, "seed", json_integer((json_int_t)r->info.seed));
  json_object_set_new(result, "steps", json_integer(r->n_steps));
  json_object_set_new(result, "seconds", tool_number(r->seconds));
  json_object_set_new(result, "interrupted", json_boolean(stop_signal != 0));
  json_object_set_new(result, "history", history_json(r->model));
  json_object_set_new(result, "test", test ? tool_evaluation_json(test) : json_null());
  json_object_set_new(result, "saved", r->save ? json_string(r->save) : json_null());
  tool_print_json(result);
}

/* After the training, whole or cut short. */
static int finish(run *r) {
  tct_evaluation test;
  const bool evaluate = r->info.has_test && !stop_signal;
  if (r->save && tct_job_save(r->job, r->save) != TCT_OK) return tool_fail();
  if (evaluate && tct_job_evaluate(r->job, TCT_JOB_TEST, &test) != TCT_OK) return tool_fail();
  print_result(r, evaluate ? &test : NULL);
  const int code = tool_finish();
  if (code != TOOL_OK || !stop_signal) return code;
  if (!r->options->quiet) fprintf(stderr, "tercet: stopped by a signal after step %lld\n", (long long)r->n_steps);
  return stop_signal == SIGTERM ? TOOL_TERMINATED : TOOL_INTERRUPTED;
}

static int train(run *r) {
  if (tct_job_model(r->job, &r->model) != TCT_OK || announce(r) != TCT_OK) return tool_fail();
  const tct_fit_options hooks = {
      .progress = on_progress, .on_step = r->steps ? on_step : NULL, .user = r};
  tool_progress_begin(&r->progress, r->options->quiet);
  catch_signals();
  const tct_status status = tct_job_train(r->job, &hooks);
  tool_progress_end(&r->progress);
  const int logged = close_steps(r);
  if (status != TCT_OK && !(status == TCT_CANCELLED && stop_signal)) return tool_fail();
  const int code = finish(r);
  return code == TOOL_OK ? logged : code;
}

static int run_train(const tool_options *options) {
  run r = {.options = options};
  if (tool_open_job(options, &r.job) != TCT_OK) return tool_fail();
  tct_job_describe(r.job, &r.info);
  r.save = options->save ? options->save : r.info.save;
  int code = r.save ? check_save(r.save) : TOOL_OK;
  if (code == TOOL_OK) code = open_steps(&r);
  if (code == TOOL_OK) code = train(&r);
  (void)close_steps(&r);
  tct_job_free(r.job);
  return code;
}

const tool_command tool_train = {
    .name = "train",
    .letter = 't',
    .argument = "JOB.yaml",
    .summary = "train a job's model and save it",
    .about = "Trains the model that the job file describes, shows progress on stderr, saves the model, and prints its\n"
             "loss and metrics on the test data. A model file (.safetensors) in place of the job trains on from there.\n"
             "The first Ctrl-C ends the run after the step and saves the model as far as it is trained (exit code\n"
             "130); the second kills.\n\n"
             "Examples:\n"
             "  tercet train examples/glyphs.yaml\n"
             "  tercet train examples/glyphs.yaml --epochs 2 --set model.width=16 --save small.safetensors\n"
             "  tercet train job.yaml --init start.safetensors --no-shuffle --steps 100 \\\n"
             "      --log-steps losses.jsonl --dtype f64 --device ref        repeats a run exactly (docs/repeat.md)\n",
    .run = run_train};
