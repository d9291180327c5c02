/* tercet train: runs a job, shows progress, saves the model, evaluates it on the test data. */
#include "tool.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

typedef struct run {
  const tool_options *options;
  tct_job *job;
  tct_model *model;
  tct_job_info info;
  const char *save; /* NULL: nowhere */
  FILE *steps;      /* --log-steps */
  bool steps_failed;
  tool_progress progress;
  bool interrupted; /* by tool_stop_signal */
  int64_t n_steps;
  double seconds;
} run;

static tct_status on_progress(void *user, const tct_progress *p) {
  run *const r = user;
  r->progress.device = tct_model_device(r->model);
  tool_progress_show(&r->progress, p);
  if (p->epoch_end) r->seconds += p->seconds;
  return TCT_OK;
}

static tct_status on_begin(void *user, tct_model *model, const tct_progress *p) {
  run *const r = user;
  (void)model;
  r->progress.first_epoch = p->epoch;
  r->progress.first_step = p->step;
  if (p->resumed && !r->options->quiet)
    fprintf(stderr, "resumed from '%s' after step %lld\n", r->info.checkpoint, (long long)p->total_step);
  return TCT_OK;
}

static tct_status on_end(void *user, tct_model *model, const tct_progress *p, tct_status outcome) {
  run *const r = user;
  (void)model, (void)outcome;
  r->n_steps = p->total_step;
  if (!p->epoch_end) r->seconds += p->seconds; /* of an epoch that was cut short */
  return TCT_OK;
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
  return tool_file_fail("save the model to the folder", folder);
}

static int open_steps(run *r) {
  const char *const path = r->options->log_steps;
  if (!path) return TOOL_OK;
  r->steps = strcmp(path, "-") == 0 ? stdout : fopen(path, r->options->resume ? "a" : "w");
  if (r->steps) return TOOL_OK;
  return tool_file_fail("open", path);
}

static int close_steps(run *r) {
  if (!r->steps) return TOOL_OK;
  bool failed = r->steps_failed || ferror(r->steps);
  if (!failed) errno = EIO;
  failed = (r->steps == stdout ? fflush(stdout) : fclose(r->steps)) != 0 || failed;
  r->steps = NULL;
  if (!failed) return TOOL_OK;
  return tool_file_fail("write", r->options->log_steps);
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
    tool_print_modelled(tct_model_device(r->model), "training and evaluation");
    return;
  }
  json_t *const result = json_object();
  json_object_set_new(result, "name", json_string(r->info.name));
  json_object_set_new(result, "device", json_string(r->info.device));
  json_object_set_new(result, "dtype", json_string(tct_dtype_name(r->info.dtype)));
  json_object_set_new(result, "seed", json_integer((json_int_t)r->info.seed));
  json_object_set_new(result, "steps", json_integer(r->n_steps));
  json_object_set_new(result, "seconds", tool_number(r->seconds));
  json_object_set_new(result, "interrupted", json_boolean(r->interrupted));
  json_object_set_new(result, "history", history_json(r->model));
  json_object_set_new(result, "test", test ? tool_evaluation_json(test) : json_null());
  tool_add_device_json(result, tct_model_device(r->model));
  json_object_set_new(result, "saved", r->save ? json_string(r->save) : json_null());
  json_object_set_new(result, "checkpoint", r->info.checkpoint ? json_string(r->info.checkpoint) : json_null());
  tool_print_json(result);
}

static void say_interrupted(const run *r) {
  if (r->options->quiet) return;
  fprintf(stderr, "tercet: stopped by %s after step %lld; ", tool_stop_signal == SIGTERM ? "SIGTERM" : "SIGINT",
          (long long)r->n_steps);
  if (r->info.checkpoint)
    fprintf(stderr, "a checkpoint is in '%s', --resume goes on from it\n", r->info.checkpoint);
  else if (r->save)
    fprintf(stderr, "the model is saved as far as it is trained\n");
  else
    fprintf(stderr, "nothing is saved: there is neither --save nor --checkpoint-dir\n");
}

/* After the training, whole or cut short. What can be resumed is no finished model, and does not overwrite one. */
static int finish(run *r) {
  tct_evaluation test;
  const bool evaluate = r->info.has_test && !r->interrupted;
  if (r->interrupted && r->info.checkpoint) r->save = NULL;
  if (r->save && tct_job_save(r->job, r->save) != TCT_OK) return tool_fail();
  if (evaluate && tct_job_evaluate(r->job, TCT_JOB_TEST, &test) != TCT_OK) return tool_fail();
  print_result(r, evaluate ? &test : NULL);
  const int code = tool_finish();
  if (code != TOOL_OK || !r->interrupted) return code;
  say_interrupted(r);
  return tool_stop_signal == SIGTERM ? TOOL_TERMINATED : TOOL_INTERRUPTED;
}

static int train(run *r) {
  if (tct_job_model(r->job, &r->model) != TCT_OK || announce(r) != TCT_OK) return tool_fail();
  const tct_callback callback = {.name = "tercet train", .user = r, .train_begin = on_begin, .train_end = on_end};
  const tct_fit_options hooks = {.progress = on_progress, .on_step = r->steps ? on_step : NULL, .user = r,
                                 .callbacks = &callback, .n_callbacks = 1, .resume = r->options->resume,
                                 .cancel = &tool_stop_signal};
  tool_progress_begin(&r->progress, r->options->quiet);
  tool_catch_signals();
  const tct_status status = tct_job_train(r->job, &hooks);
  tool_release_signals(); /* evaluating and saving end at once, as any program does */
  tool_progress_end(&r->progress);
  const int logged = close_steps(r);
  r->interrupted = tool_stop_signal != 0 && (status == TCT_CANCELLED || status == TCT_OK); /* OK: in the very last step */
  if (status != TCT_OK && !r->interrupted) return tool_fail();
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
             "The first Ctrl-C or SIGTERM ends the run after the step (exit code 130 or 143), with a checkpoint where\n"
             "there is a folder for them, else saving the model as far as it is trained; the second kills.\n\n"
             "Examples:\n"
             "  tercet train examples/glyphs.yaml\n"
             "  tercet train examples/glyphs.yaml --epochs 2 --set model.width=16 --save small.safetensors\n"
             "  tercet train job.yaml --checkpoint-dir run1 --checkpoint-every 500 --resume\n"
             "  tercet train job.yaml --init start.safetensors --no-shuffle --steps 100 \\\n"
             "      --log-steps losses.jsonl --dtype f64 --device ref        repeats a run exactly (docs/repeat.md)\n",
    .run = run_train};
