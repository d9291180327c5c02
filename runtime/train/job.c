/* Jobs from outside: load, compile, train, evaluate, predict, save. */
#include "train/job.h"

#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/checked.h"
#include "base/file.h"
#include "base/status.h"
#include "io/checkpoint.h"
#include "io/safetensors.h"
#include "train/session.h"

tct_status tct_job_context(const tct_job *job, const tct_yaml *node) {
  tct_text path = {0};
  tct_yaml_path(node, &path);
  const char *const text = path.data && *path.data ? path.data : "the job";
  const tct_status status =
      node->source > 0 ? tct_context("--set '%s': %s", job->set[node->source - 1], text)
                       : tct_context("%s:%" PRId32 ":%" PRId32 ": %s", job->origin, node->line, node->column, text);
  tct_text_free(&path);
  return status;
}

_Static_assert(TCT_CHECKPOINT_MOST_KEPT == 64, "job_keys.def tells the range of checkpoint.keep");

/* ---- reading ------------------------------------------------------------------------------------------ */

static void read_metric(tct_problems *problems, const tct_yaml *node, tct_text *out) {
  static const char *const known[] = {"accuracy", "top_k", "mse", "mae", "r2", "precision", "recall", "f1",
                                      "roc_auc", "pr_auc", "confusion_matrix"};
  const bool pair = node->kind == TCT_YAML_MAP && node->n == 1 && node->first->kind == TCT_YAML_SCALAR;
  if (node->kind != TCT_YAML_SCALAR && !pair) {
    tct_problem(problems, node, false, "needs the name of a metric, such as accuracy or top_k=5");
    return;
  }
  const char *const text = pair ? node->first->key : node->text;
  const size_t length = strcspn(text, "=");
  for (size_t i = 0; i < TCT_COUNT_OF(known); i++) {
    if (strlen(known[i]) != length || memcmp(known[i], text, length) != 0) continue;
    tct_text_printf(out, "%s%s", out->length ? "," : "", text);
    if (pair) tct_text_printf(out, "=%s", node->first->text);
    return;
  }
  const char *const nearest = tct_nearest(text, known, TCT_COUNT_OF(known));
  tct_problem_as(problems, node, false, TCT_E_UNKNOWN_METRIC, "unknown metric '%s'; %s%s%s", text,
                 nearest ? "did you mean '" : "known: accuracy, top_k=5, mse, mae, r2, precision, recall, f1, roc_auc, pr_auc, confusion_matrix",
                 nearest ? nearest : "", nearest ? "'?" : "");
}

static tct_status read_metrics(tct_job *job, tct_problems *problems) {
  const tct_yaml *const node = job->spec.metrics;
  if (!node) return TCT_OK;
  tct_text list = {0};
  if (node->kind == TCT_YAML_LIST)
    for (const tct_yaml *at = node->first; at; at = at->next) read_metric(problems, at, &list);
  else
    read_metric(problems, node, &list);
  tct_status status = TCT_OK;
  if (list.failed || (list.data && !(job->metrics = tct_arena_strdup(&job->arena, list.data))))
    status = tct_fail(TCT_OUT_OF_MEMORY, "no memory for the metrics");
  tct_text_free(&list);
  return status;
}

static tct_status read_job(tct_job *job, tct_problems *problems) {
  tct_spec_read(problems, &tct_section_job, job->root, NULL, &job->spec);
  if (job->root->kind != TCT_YAML_MAP) return TCT_OK;
  const tct_spec_job *const spec = &job->spec;
  job->dtype = spec->dtype && strcmp(spec->dtype, "f64") == 0 ? TCT_F64 : TCT_F32;
  if (spec->name) job->name = spec->name;
  if (spec->threads > 4096) tct_problem(problems, tct_yaml_get(job->root, "threads"), false, "at most 4096");
  if (spec->loss) tct_spec_read(problems, &tct_section_loss, spec->loss, NULL, &job->loss);
  if (spec->optimizer) tct_spec_read(problems, &tct_section_optimizer, spec->optimizer, NULL, &job->optimizer);
  if (spec->schedule) tct_spec_read(problems, &tct_section_schedule, spec->schedule, NULL, &job->schedule);
  if (spec->train) tct_spec_read(problems, &tct_section_train, spec->train, NULL, &job->train);
  tct_job_read_class_weight(job, problems);
  if (spec->checkpoint) tct_spec_read(problems, &tct_section_checkpoint, spec->checkpoint, NULL, &job->checkpoint);
  if (job->checkpoint.keep == 1 || job->checkpoint.keep > TCT_CHECKPOINT_MOST_KEPT)
    tct_problem(problems, tct_yaml_get(spec->checkpoint, "keep"), false, "needs 2 to %d: one more in case the newest is damaged",
                TCT_CHECKPOINT_MOST_KEPT);
  if (job->schedule.type && strcmp(job->schedule.type, "step") == 0 && job->schedule.decay_steps == 0)
    tct_problem_as(problems, spec->schedule, false, TCT_E_KEY_MISSING,
                   "'decay_steps' is missing: steps from one drop to the next");
  TCT_TRY(read_metrics(job, problems));
  TCT_TRY(tct_job_read_data(job, problems));
  TCT_TRY(tct_job_read_model(job, problems));
  TCT_TRY(tct_job_read_callbacks(job, problems));
  if (problems->n > 0) return TCT_OK;
  job->loss_type = tct_loss_find(job->loss.type);
  return job->loss_type ? TCT_OK : tct_error_status();
}

/* "examples/mnist.yaml" → "mnist" */
static const char *stem_of(tct_job *job, const char *origin) {
  const char *const slash = strrchr(origin, '/');
  const char *const base = slash ? slash + 1 : origin;
  const char *const dot = strrchr(base, '.');
  return tct_arena_printf(&job->arena, "%.*s", (int)(dot && dot > base ? (size_t)(dot - base) : strlen(base)), base);
}

static tct_status fill(tct_job *job, const char *text, size_t length, const tct_job_options *options) {
  job->name = stem_of(job, job->origin);
  if (!job->name) return TCT_OUT_OF_MEMORY;
  TCT_TRY(tct_yaml_parse(&job->arena, text, length, job->origin, 0, &job->root));
  job->n_set = options->n_set;
  job->set = tct_arena_alloc(&job->arena, (size_t)(options->n_set + 1) * sizeof *job->set);
  if (!job->set) return TCT_OUT_OF_MEMORY;
  for (int32_t i = 0; i < options->n_set; i++) {
    job->set[i] = tct_arena_strdup(&job->arena, options->set[i]);
    if (!job->set[i]) return TCT_OUT_OF_MEMORY;
    TCT_TRY(tct_yaml_override(&job->arena, job->root, job->set[i], i + 1));
  }
  tct_problems problems = {.origin = job->origin, .set = job->set};
  tct_status status = read_job(job, &problems);
  if (status == TCT_OK) status = tct_problems_status(&problems);
  tct_text_free(&problems.text);
  return status;
}

static tct_status create(const char *text, size_t length, const char *origin, const char *directory,
                         const tct_job_options *options, tct_job **out) {
  static const tct_job_options defaults = {0};
  if (!options) options = &defaults;
  tct_job *const job = tct_alloc_zero(1, sizeof *job);
  if (!job) return TCT_OUT_OF_MEMORY;
  job->origin = tct_arena_strdup(&job->arena, origin);
  job->directory = tct_arena_strdup(&job->arena, options->directory ? options->directory : directory);
  const tct_status status = job->origin && job->directory ? fill(job, text, length, options) : TCT_OUT_OF_MEMORY;
  if (status != TCT_OK) {
    tct_job_free(job);
    return status;
  }
  *out = job;
  return TCT_OK;
}

tct_status tct_job_parse(const char *text, size_t length, const char *origin, const tct_job_options *options,
                         tct_job **out) {
  *out = NULL;
  return create(text, length, origin ? origin : "job", "", options, out);
}

tct_status tct_job_load(const char *path, const tct_job_options *options, tct_job **out) {
  *out = NULL;
  void *text = NULL;
  size_t length = 0;
  TCT_TRY(tct_file_read(path, TCT_YAML_MOST_BYTES, &text, &length));
  char *const directory = tct_strdup(path);
  char *const slash = directory ? strrchr(directory, '/') : NULL;
  if (slash)
    slash[slash == directory] = '\0';
  else if (directory)
    directory[0] = '\0';
  const tct_status status =
      directory ? create(text, length, path, directory, options, out) : TCT_OUT_OF_MEMORY;
  tct_release(directory);
  tct_release(text);
  return status;
}

tct_status tct_job_from_model(const char *path, const tct_job_options *options, tct_job **out) {
  *out = NULL;
  tct_safetensors *file = NULL;
  TCT_TRY(tct_safetensors_read(path, &file));
  const char *const text = tct_safetensors_metadata(file, "tercet.job");
  tct_status status = TCT_OK;
  if (!text)
    status =
        tct_fail(TCT_E_NO_JOB,
                 "'%s' carries no job (metadata \"tercet.job\"); give the job file, and these weights beside it", path);
  else
    status = create(text, strlen(text), path, "", options, out);
  tct_safetensors_free(file);
  if (status != TCT_OK) return status;
  (*out)->weights = tct_arena_strdup(&(*out)->arena, path);
  if ((*out)->weights) return TCT_OK;
  tct_job_free(*out);
  *out = NULL;
  return TCT_OUT_OF_MEMORY;
}

void tct_job_free(tct_job *job) {
  if (!job) return;
  tct_model_free(job->model);
  for (int p = 0; p < TCT_JOB_N_PARTS; p++) tct_dataset_free(job->parts[p]);
  tct_dataset_free(job->source);
  tct_dataset_free(job->opened);
  tct_text_free(&job->text);
  tct_arena_free(&job->arena);
  tct_release(job);
}

/* NULL: the job has none. */
static tct_status checkpoint_folder(tct_job *job, const char **out) {
  *out = NULL;
  if (!job->checkpoint.folder) return TCT_OK;
  const tct_yaml *const node = tct_yaml_get(job->spec.checkpoint, "folder");
  return tct_job_path(job, node, "", job->checkpoint.folder, out);
}

void tct_job_describe(const tct_job *job, tct_job_info *out) {
  const tct_spec_train *const train = &job->train;
  *out = (tct_job_info){.name = job->name,
                        .device = job->spec.device ? job->spec.device : "cpu",
                        .dtype = job->dtype,
                        .seed = (uint64_t)job->spec.seed,
                        .epochs = train->epochs ? train->epochs : 1,
                        .batch_size = train->batch_size ? train->batch_size : 32,
                        .steps = train->steps,
                        .has_validation = job->has_data[TCT_JOB_VALIDATION],
                        .has_test = job->has_data[TCT_JOB_TEST],
                        .classifies = strstr(job->loss_type->name, "categorical") != NULL};
  /* Paths that cannot be expanded are reported by tct_job_save and tct_job_train. */
  tct_job *const self = (tct_job *)(uintptr_t)job;
  if (checkpoint_folder(self, &out->checkpoint) != TCT_OK) out->checkpoint = job->checkpoint.folder;
  if (job->spec.save && tct_job_path(self, tct_yaml_get(job->root, "save"), "", job->spec.save, &out->save) != TCT_OK)
    out->save = job->spec.save;
}

/* ---- running ------------------------------------------------------------------------------------------ */

static tct_training training_of(const tct_job *job) {
  const tct_spec_optimizer *const o = &job->optimizer;
  return (tct_training){
      .loss = job->loss.type,
      .label_smoothing = job->loss.label_smoothing,
      .huber_delta = job->loss.delta,
      .optimizer = {.type = o->type,
                    .learning_rate = o->learning_rate,
                    .momentum = o->momentum,
                    .nesterov = o->nesterov == TCT_ON,
                    .beta_1 = o->beta_1,
                    .beta_2 = o->beta_2,
                    .epsilon = o->epsilon,
                    .rho = o->rho,
                    .centered = o->centered == TCT_ON,
                    .initial_accumulator_value = o->initial_accumulator_value,
                    .weight_decay = o->weight_decay,
                    .l1 = o->l1,
                    .l2 = o->l2,
                    .clipvalue = o->clipvalue,
                    .global_clipnorm = o->global_clipnorm,
                    .clipnorm = o->clipnorm},
      .schedule = {.type = job->schedule.type,
                   .warmup_steps = job->schedule.warmup_steps,
                   .decay_steps = job->schedule.decay_steps,
                   .decay_rate = job->schedule.decay_rate,
                   .alpha = job->schedule.alpha},
      .metrics = job->metrics,
      .device = job->spec.device,
      .n_threads = (int32_t)job->spec.threads,
      .seed = (uint64_t)job->spec.seed,
      .precision = job->train.precision,
      .loss_scale = job->train.loss_scale,
      .fallback_host = job->spec.fallback && strcmp(job->spec.fallback, "host") == 0,
      .nondeterministic = job->spec.deterministic == TCT_OFF};
}

tct_status tct_job_model(tct_job *job, tct_model **out) {
  *out = job->model;
  if (job->model) return TCT_OK;
  tct_model *model = NULL;
  TCT_TRY(tct_job_build_model(job, &model));
  const tct_training training = training_of(job);
  tct_status status = tct_model_compile(model, &training);
  if (status == TCT_OK && job->weights) status = tct_model_load(model, job->weights);
  if (status != TCT_OK) {
    tct_model_free(model);
    return status;
  }
  *out = job->model = model;
  return TCT_OK;
}

/* A whole pass over fewer samples than a batch is one batch of them; only training insists on the size that was asked for. */
static int64_t batch_of(const tct_job *job, const tct_dataset *data) {
  const int64_t batch = job->train.batch_size ? job->train.batch_size : 32, n = tct_dataset_samples(data);
  return n > 0 && n < batch ? n : batch;
}

/* Steps bound the fit; epochs follow from them. */
static tct_status count_epochs(const tct_job *job, const tct_dataset *data, tct_fit_options *fit) {
  if (fit->steps == 0) return TCT_OK;
  const int64_t n = tct_dataset_samples(data), whole = n / fit->batch_size;
  const int64_t per_epoch = fit->drop_remainder || n % fit->batch_size == 0 ? whole : whole + 1;
  fit->epochs = per_epoch > 0 ? (fit->steps - 1) / per_epoch + 1 : 1;
  if (fit->epochs <= TCT_MOST_EPOCHS) return TCT_OK;
  (void)tct_fail(TCT_E_TRAINING_OPTION, "%lld steps are %lld epochs of %lld steps, needs at most %d epochs",
                 (long long)fit->steps, (long long)fit->epochs, (long long)per_epoch, TCT_MOST_EPOCHS);
  return tct_job_context(job, tct_yaml_get(job->spec.train, "steps"));
}

tct_status tct_job_train(tct_job *job, const tct_fit_options *hooks) {
  tct_dataset *data = NULL, *validation = NULL;
  tct_model *model = NULL;
  TCT_TRY(tct_job_dataset(job, TCT_JOB_TRAIN, &data));
  if (job->has_data[TCT_JOB_VALIDATION]) TCT_TRY(tct_job_dataset(job, TCT_JOB_VALIDATION, &validation));
  TCT_TRY(tct_job_model(job, &model));
  tct_fit_options fit = {.epochs = job->train.epochs,
                         .batch_size = job->train.batch_size ? job->train.batch_size : batch_of(job, data),
                         .validation = validation,
                         .no_shuffle = job->train.shuffle == TCT_OFF,
                         .drop_remainder = job->train.drop_remainder == TCT_ON,
                         .steps = job->train.steps,
                         .checkpoint = {.every_steps = job->checkpoint.every_steps,
                                        .every_seconds = job->checkpoint.every_seconds,
                                        .keep = (int32_t)job->checkpoint.keep}};
  TCT_TRY(checkpoint_folder(job, &fit.checkpoint.folder));
  TCT_TRY(tct_job_class_weight(job, model, &fit.class_weight, &fit.n_class_weights));
  TCT_TRY(count_epochs(job, data, &fit));
  if (hooks) {
    fit.progress = hooks->progress;
    fit.on_step = hooks->on_step;
    fit.user = hooks->user;
    fit.prefetch = hooks->prefetch;
    fit.resume = hooks->resume;
    fit.cancel = hooks->cancel;
  }
  tct_callback *callbacks = NULL;
  const int32_t n_more = hooks ? hooks->n_callbacks : 0;
  TCT_TRY(tct_job_callbacks_make(job, hooks ? hooks->callbacks : NULL, n_more, &callbacks));
  fit.callbacks = callbacks;
  fit.n_callbacks = job->n_callbacks + n_more;
  const tct_status status = tct_fit(model, data, &fit);
  tct_job_callbacks_free(job, callbacks);
  return status;
}

tct_status tct_job_evaluate(tct_job *job, tct_job_part part, tct_evaluation *out) {
  tct_dataset *data = NULL;
  tct_model *model = NULL;
  *out = (tct_evaluation){0};
  TCT_TRY(tct_job_dataset(job, part, &data));
  TCT_TRY(tct_job_model(job, &model));
  return tct_evaluate(model, data, batch_of(job, data), out);
}

tct_status tct_job_predict(tct_job *job, tct_dataset *data, tct_desc *out_desc, void **out) {
  tct_model *model = NULL;
  *out = NULL;
  *out_desc = (tct_desc){0};
  TCT_TRY(tct_job_model(job, &model));
  const tct_shape shape = tct_layer_shape(tct_model_last(model));
  tct_desc desc = {.dtype = job->dtype, .shape = {.rank = shape.rank + 1, .dim = {tct_dataset_samples(data)}}};
  for (int32_t i = 0; i < shape.rank; i++) desc.shape.dim[i + 1] = shape.dim[i];
  const int64_t size = tct_shape_size(&desc.shape);
  size_t bytes = 0;
  if (size < 0 || !tct_mul_size((size_t)size, tct_dtype_bytes(desc.dtype), &bytes))
    return tct_fail(TCT_INVALID, "predict: %" PRId64 " samples are more than memory can address", desc.shape.dim[0]);
  void *const values = tct_alloc(bytes);
  if (!values) return TCT_OUT_OF_MEMORY;
  const tct_status status = tct_predict(model, data, batch_of(job, data), values, bytes);
  if (status != TCT_OK) {
    tct_release(values);
    return status;
  }
  *out_desc = desc;
  *out = values;
  return TCT_OK;
}

void tct_job_release(void *memory) {
  tct_release(memory);
}

tct_status tct_job_save(tct_job *job, const char *path) {
  const char *text = NULL;
  tct_model *model = NULL;
  TCT_TRY(tct_job_model(job, &model));
  if (!path && !job->spec.save)
    return tct_fail(TCT_E_NOWHERE, "%s: nowhere to save the model: give 'save: FILE.safetensors', or a path",
                    job->origin);
  if (!path) TCT_TRY(tct_job_path(job, tct_yaml_get(job->root, "save"), "", job->spec.save, &path));
  TCT_TRY(tct_job_text(job, &text));
  return tct_model_save(model, path, text);
}
