/* The `callbacks` section: a list of `Type`, `Type: {key: value}` or `{type: Type, key: value}`, as layers are written; and the
 * callbacks made from it when the job trains. */
#include <tercet/callbacks.h>

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/status.h"
#include "train/job.h"

/* "EarlyStopping" → "early_stopping": its name where the job gives none. The n-th of a type is numbered, as layers are. */
static const struct {
  const char *type, *name;
} names[] = {{"EarlyStopping", "early_stopping"},   {"ModelCheckpoint", "model_checkpoint"},
             {"CSVLogger", "csv_logger"},           {"JSONLogger", "json_logger"},
             {"TensorBoard", "tensorboard"},        {"TerminateOnNaN", "terminate_on_nan"},
             {"ReduceLROnPlateau", "reduce_lr_on_plateau"}};

static size_t row_of(const char *type) {
  size_t i = 0;
  while (strcmp(names[i].type, type) != 0) i++;
  return i;
}

static tct_status default_name(tct_job *job, tct_job_callback *callback) {
  const char *name = names[row_of(callback->spec.type)].name;
  int32_t before = 0;
  for (const tct_job_callback *other = job->callbacks; other < callback; other++) {
    before += other->spec.type != NULL && strcmp(other->spec.type, callback->spec.type) == 0;
  }
  callback->spec.name = before == 0 ? name : tct_arena_printf(&job->arena, "%s_%d", name, before);
  return callback->spec.name != NULL ? TCT_OK : TCT_OUT_OF_MEMORY;
}

static void read_baseline(tct_problems *problems, tct_job_callback *callback) {
  const tct_yaml *node = callback->spec.baseline;
  if (node == NULL) return;
  callback->has_baseline = node->kind == TCT_YAML_SCALAR && tct_parse_double(node->text, strlen(node->text), &callback->baseline);
  if (!callback->has_baseline) tct_problem(problems, node, false, "needs a number");
}

/* `- EarlyStopping: {patience: 3}` has its options one level down. */
static void read_callback(tct_problems *problems, const tct_yaml *node, tct_job_callback *out) {
  const bool keyed = node->kind == TCT_YAML_MAP && node->n == 1 && strcmp(node->first->key, "type") != 0;
  out->node = node;
  if (!keyed) {
    tct_spec_read(problems, &tct_section_callback, node, NULL, &out->spec);
  } else {
    char type[64];
    if (!tct_spec_choose(problems, &tct_section_callback, "type", node->first, type, sizeof type)) return;
    out->spec.type = names[row_of(type)].type;
    if (tct_yaml_is_null(node->first)) node->first->kind = TCT_YAML_MAP; /* `- CSVLogger:` */
    if (node->first->kind != TCT_YAML_MAP) {
      const bool word = node->first->kind == TCT_YAML_SCALAR;
      tct_problem(problems, node->first, false, "is %s%s%s, needs a mapping of its options, or nothing", word ? "'" : "a list",
                  word ? node->first->text : "", word ? "'" : "");
      return;
    }
    tct_spec_read(problems, &tct_section_callback, node->first, type, &out->spec);
  }
  read_baseline(problems, out);
}

tct_status tct_job_read_callbacks(tct_job *job, tct_problems *problems) {
  const tct_yaml *node = job->spec.callbacks;
  if (node == NULL) return TCT_OK;
  if (node->kind != TCT_YAML_LIST) {
    tct_problem(problems, node, false, "needs a list, such as `- EarlyStopping: {patience: 3}`");
    return TCT_OK;
  }
  job->callbacks = tct_arena_alloc(&job->arena, ((size_t)node->n + 1) * sizeof *job->callbacks);
  if (job->callbacks == NULL) return TCT_OUT_OF_MEMORY;
  for (const tct_yaml *at = node->first; at != NULL; at = at->next) {
    tct_job_callback *callback = &job->callbacks[job->n_callbacks++];
    read_callback(problems, at, callback);
    if (problems->n == 0 && callback->spec.name == NULL) TCT_TRY(default_name(job, callback));
  }
  return TCT_OK;
}

/* ---- making --------------------------------------------------------------------------------------------- */

/* A path of the section, ${VAR} expanded, from the current folder: results do not land among the sources. NULL stays. */
static tct_status path_of(tct_job *job, const tct_job_callback *callback, const char *text, const char **out) {
  *out = NULL;
  return text != NULL ? tct_job_path(job, callback->node, "", text, out) : TCT_OK;
}

static tct_status make_checkpoint(tct_job *job, const tct_job_callback *callback, tct_callback *out) {
  const tct_spec_callback *s = &callback->spec;
  tct_model_checkpoint_options o = {.name = s->name, .monitor = s->monitor, .mode = s->mode, .save_freq = s->save_freq,
                                    .save_best_only = s->save_best_only == TCT_ON, .keep = s->keep};
  TCT_TRY(path_of(job, callback, s->filepath, &o.filepath));
  TCT_TRY(tct_job_text(job, &o.metadata_job));
  return tct_model_checkpoint_create(&o, out);
}

static tct_status make_log(tct_job *job, const tct_job_callback *callback, tct_callback *out) {
  const tct_spec_callback *s = &callback->spec;
  const char *path = NULL;
  TCT_TRY(path_of(job, callback, s->filename, &path));
  if (strcmp(s->type, "CSVLogger") == 0) {
    return tct_csv_logger_create(&(tct_csv_logger_options){.name = s->name, .filename = path, .separator = s->separator,
                                                           .append = s->append == TCT_ON}, out);
  }
  return tct_json_logger_create(&(tct_json_logger_options){.name = s->name, .filename = path, .append = s->append == TCT_ON,
                                                           .per_step = s->per_step == TCT_ON}, out);
}

static tct_status make(tct_job *job, const tct_job_callback *callback, tct_callback *out) {
  const tct_spec_callback *s = &callback->spec;
  if (strcmp(s->type, "EarlyStopping") == 0) {
    return tct_early_stopping_create(
        &(tct_early_stopping_options){.name = s->name, .monitor = s->monitor, .mode = s->mode, .patience = s->patience,
                                      .min_delta = s->min_delta, .has_baseline = callback->has_baseline,
                                      .baseline = callback->baseline, .start_from_epoch = s->start_from_epoch,
                                      .restore_best_weights = s->restore_best_weights == TCT_ON}, out);
  }
  if (strcmp(s->type, "ReduceLROnPlateau") == 0) {
    const bool none = s->patience == 0 && !tct_yaml_is_null(tct_yaml_get(callback->node->n == 1 ? callback->node->first
                                                                                                 : callback->node, "patience"));
    return tct_reduce_lr_create(
        &(tct_reduce_lr_options){.name = s->name, .monitor = s->monitor, .mode = s->mode, .factor = s->factor,
                                 .patience = none ? 1 : s->patience, .min_delta = s->min_delta, .cooldown = s->cooldown,
                                 .min_lr = s->min_lr}, out);
  }
  if (strcmp(s->type, "TerminateOnNaN") == 0) return tct_terminate_on_nan_create(s->name, out);
  if (strcmp(s->type, "ModelCheckpoint") == 0) return make_checkpoint(job, callback, out);
  if (strcmp(s->type, "TensorBoard") != 0) return make_log(job, callback, out);
  tct_tensorboard_options o = {.name = s->name, .update_freq = s->update_freq};
  TCT_TRY(path_of(job, callback, s->log_dir, &o.log_dir));
  return tct_tensorboard_create(&o, out);
}

void tct_job_callbacks_free(const tct_job *job, tct_callback *callbacks) {
  for (int32_t i = 0; callbacks != NULL && i < job->n_callbacks; i++) tct_callback_release(&callbacks[i]);
  tct_release(callbacks);
}

tct_status tct_job_callbacks_make(tct_job *job, const tct_callback *more, int32_t n_more, tct_callback **out) {
  *out = NULL;
  if (n_more < 0 || (n_more > 0 && more == NULL)) return tct_fail(TCT_INVALID, "train: n_callbacks is %d, callbacks NULL", n_more);
  tct_callback *made = tct_alloc_zero((size_t)job->n_callbacks + (size_t)n_more + 1, sizeof *made);
  if (made == NULL) return TCT_OUT_OF_MEMORY;
  for (int32_t i = 0; i < job->n_callbacks; i++) {
    if (make(job, &job->callbacks[i], &made[i]) == TCT_OK) continue;
    tct_job_callbacks_free(job, made);
    return tct_job_context(job, job->callbacks[i].node);
  }
  if (n_more > 0) memcpy(made + job->n_callbacks, more, (size_t)n_more * sizeof *made);
  *out = made;
  return TCT_OK;
}
