/* From a fit to a checkpoint and back. Numbers that must come back as the same bits (sums, history) are tensors; the JSON
 * holds counters and text. A model is only written to after everything of a checkpoint has been checked. */
#include "train/saver.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "base/alloc.h"
#include "base/clock.h"
#include "base/desc.h"
#include "base/file.h"
#include "base/log.h"
#include "base/status.h"
#include "io/checkpoint.h"
#include "train/callbacks.h"

/* Names of tensors that are no variables: those all have a '/'. */
#define TOTALS  "totals"
#define HISTORY "history"
#define RATE    "learning_rate" /* the optimizer's, which callbacks may have changed since the settings were collected */
#define KEPT_BY_CALLBACKS "callbacks/"

static bool is_variable_name(const char *name) {
  return strcmp(name, TOTALS) != 0 && strcmp(name, HISTORY) != 0 && strcmp(name, RATE) != 0;
}

static bool begins_with(const char *text, const char *begin) { return strncmp(text, begin, strlen(begin)) == 0; }

/* What decides the last bits beside the settings; a difference is no error, but is said. */
typedef struct device_text {
  char text[TCT_DEVICE_SPEC + 256];
} device_text;

static void note_fact(void *user, const char *name, const char *text) {
  device_text *const d = user;
  if (strcmp(name, "isa") != 0 && strcmp(name, "blas.core") != 0) return;
  const size_t used = strlen(d->text);
  (void)snprintf(d->text + used, sizeof d->text - used, ", %s %s", name, text);
}

static const char *describe_device(const tct_session *session, device_text *d) {
  (void)snprintf(d->text, sizeof d->text, "%s", session->device_spec);
  tct_device_facts(session->device, note_fact, d);
  return d->text;
}

/* ---- saving ------------------------------------------------------------------------------------------ */

static tct_status run_text(const tct_saver *s, const tct_position *at, tct_text *out) {
  const tct_session *const session = s->model->session;
  device_text device;
  tct_text callbacks = {0};
  tct_status status = tct_callbacks_save(s->options->callbacks, s->options->n_callbacks, &callbacks);
  tct_text_printf(out, "{\"epoch\":%" PRId64 ",\"epoch_step\":%" PRId64 ",\"step\":%" PRId64 ",\"stopped\":%s,\"history\":[",
                  at->epoch, at->epoch_step, at->step, at->stopped ? "true" : "false");
  for (int32_t i = 0; i < session->history.n_values; i++) {
    tct_text_append(out, i > 0 ? "," : "");
    tct_text_json_string(out, session->history.names[i]);
  }
  tct_text_append(out, "],\"model\":");
  tct_text_json_string(out, s->model->name);
  tct_text_append(out, ",\"device\":");
  tct_text_json_string(out, describe_device(session, &device));
  tct_text_append(out, ",\"settings\":");
  tct_settings_json(&s->settings, out);
  tct_text_append(out, ",\"callbacks\":");
  tct_text_json_string(out, callbacks.data != NULL ? callbacks.data : "");
  tct_text_append(out, "}");
  tct_text_free(&callbacks);
  return status == TCT_OK && out->failed ? TCT_OUT_OF_MEMORY : status;
}

/* Every variable, then the sums and the history; data in the arena or the session. */
static tct_status collect_tensors(const tct_session *session, const tct_position *at, tct_arena *arena,
                                  tct_named_array **out, size_t *out_n) {
  tct_variables *const variables = session->variables;
  const int32_t n = tct_variables_count(variables);
  tct_named_array *const arrays = tct_arena_alloc(arena, ((size_t)n + 3) * sizeof *arrays);
  double *const totals = tct_arena_alloc(arena, ((size_t)session->n_sums + 2) * sizeof *totals);
  if (arrays == NULL || totals == NULL) return TCT_OUT_OF_MEMORY;
  for (int32_t i = 0; i < n; i++) {
    tct_desc desc;
    const char *const name = tct_variables_name(variables, i);
    TCT_TRY(tct_variables_desc(variables, name, &desc));
    void *const data = tct_arena_alloc(arena, tct_desc_bytes(&desc) + 16);
    if (data == NULL) return TCT_OUT_OF_MEMORY;
    TCT_TRY(tct_variables_read(variables, name, data, tct_desc_bytes(&desc)));
    arrays[i] = (tct_named_array){name, desc, data};
  }
  memcpy(totals, at->totals.sums, (size_t)session->n_sums * sizeof *totals);
  totals[session->n_sums] = at->totals.samples;
  totals[session->n_sums + 1] = at->step_loss;
  const tct_history *const history = &session->history;
  arrays[n] = (tct_named_array){TOTALS, {TCT_F64, TCT_SHAPE(session->n_sums + 2)}, totals};
  arrays[n + 1] = (tct_named_array){HISTORY, {TCT_F64, TCT_SHAPE(history->n_epochs, history->n_values)}, history->values};
  arrays[n + 2] = (tct_named_array){RATE, {TCT_F64, {0}}, &session->optimizer.learning_rate};
  *out = arrays;
  *out_n = (size_t)n + 3;
  return TCT_OK;
}

static tct_status save(tct_saver *s, const tct_position *at) {
  tct_arena arena = {0};
  tct_text run = {0};
  tct_named_array *arrays = NULL;
  size_t n = 0;
  int64_t number = 0;
  tct_status status = run_text(s, at, &run);
  if (status == TCT_OK) status = collect_tensors(s->model->session, at, &arena, &arrays, &n);
  if (status == TCT_OK) status = tct_checkpoint_write(s->when.folder, arrays, n, run.data, &number);
  tct_text_free(&run);
  tct_arena_free(&arena);
  if (status != TCT_OK) return tct_context("saving a checkpoint after step %" PRId64, at->step);
  tct_checkpoint_name(number, s->last);
  tct_checkpoint_prune(s->when.folder, s->when.keep, s->damaged_after, s->damaged_until);
  return TCT_OK;
}

static bool is_saved(const tct_saver *s, const tct_position *at) {
  return s->saved_epoch == at->epoch && s->saved_step == at->step && s->saved_stopped == at->stopped;
}

tct_status tct_saver_save(tct_saver *saver, const tct_position *position) {
  if (saver->when.folder == NULL || is_saved(saver, position)) return TCT_OK;
  const tct_status status = save(saver, position);
  saver->saved_ns = tct_clock_ns(); /* after a failure too: the next try comes when the next one is due */
  if (status != TCT_OK) return status;
  saver->saved_epoch = position->epoch;
  saver->saved_step = position->step;
  saver->saved_stopped = position->stopped;
  return TCT_OK;
}

static bool is_due(const tct_saver *s, const tct_position *at, bool epoch_end) {
  const tct_checkpoint_options *const when = &s->when;
  if (when->folder == NULL) return false;
  if (when->every_steps == 0 && !(when->every_seconds > 0)) return epoch_end;
  if (when->every_steps > 0 && !epoch_end && at->step % when->every_steps == 0) return true;
  return when->every_seconds > 0 && (double)(tct_clock_ns() - s->saved_ns) * 1e-9 >= when->every_seconds;
}

void tct_saver_tick(tct_saver *saver, const tct_position *position, bool epoch_end) {
  if (!is_due(saver, position, epoch_end) || tct_saver_save(saver, position) == TCT_OK) return;
  tct_log_line(TCT_LOG_ERROR, "%s", tct_error_message());
  tct_log_line(TCT_LOG_ERROR, "the training goes on without this checkpoint%s%s", saver->last[0] != '\0' ? "; the last is " : "",
               saver->last);
}

/* ---- going on ---------------------------------------------------------------------------------------- */

static bool read_count(const json_t *run, const char *key, int64_t *out) {
  const json_t *const value = json_object_get(run, key);
  if (!json_is_integer(value) || json_integer_value(value) < 0) return false;
  *out = json_integer_value(value);
  return true;
}

static bool is_array(const tct_named_array *array, const tct_desc *desc) {
  return array != NULL && array->desc.dtype == desc->dtype && tct_shape_equal(&array->desc.shape, &desc->shape);
}

/* A checkpoint of these settings is of the same shapes, or it is none of ours. */
static tct_status read_position(const tct_saver *s, const tct_checkpoint *c, const tct_history *into,
                                tct_position *out) {
  const tct_session *const session = s->model->session;
  const int64_t per_epoch = s->facts->steps_per_epoch;
  const json_t *const stopped = json_object_get(c->run, "stopped");
  const bool counted = read_count(c->run, "epoch", &out->epoch) && read_count(c->run, "epoch_step", &out->epoch_step) &&
                       read_count(c->run, "step", &out->step) && json_is_boolean(stopped);
  const tct_desc totals = {TCT_F64, TCT_SHAPE(session->n_sums + 2)};
  const tct_desc history = {TCT_F64, TCT_SHAPE(counted ? out->epoch : 0, into->n_values)};
  const tct_desc rate = {TCT_F64, {0}};
  const tct_named_array *const sums = tct_safetensors_find(c->tensors, TOTALS);
  if (!counted || out->epoch > s->facts->total_steps / per_epoch || out->epoch_step > per_epoch ||
      !is_array(tct_safetensors_find(c->tensors, RATE), &rate) || out->step != out->epoch * per_epoch + out->epoch_step || !is_array(sums, &totals) ||
      !is_array(tct_safetensors_find(c->tensors, HISTORY), &history) ||
      json_string_value(json_object_get(c->run, "callbacks")) == NULL) {
    return tct_fail(TCT_E_CHECKPOINT, "its counters, sums or history are not those of any run");
  }
  out->stopped = json_typeof(stopped) == JSON_TRUE;
  memcpy(out->totals.sums, sums->data, (size_t)session->n_sums * sizeof(double));
  out->totals.samples = ((const double *)sums->data)[session->n_sums];
  out->step_loss = ((const double *)sums->data)[session->n_sums + 1];
  return TCT_OK;
}

/* A line for each variable that is not as the checkpoint has it. */
static int compare_tensors(const tct_session *session, const tct_safetensors *file, tct_text *out) {
  int n = 0;
  char has[160], wants[160];
  for (int32_t i = 0; i < tct_variables_count(session->variables); i++) {
    const char *const name = tct_variables_name(session->variables, i);
    const tct_named_array *const array = tct_safetensors_find(file, name);
    tct_desc desc;
    if (tct_variables_desc(session->variables, name, &desc) != TCT_OK) continue; /* never: the name is the variables' own */
    if (is_array(array, &desc) || (array == NULL && begins_with(name, KEPT_BY_CALLBACKS))) continue;
    n++;
    if (array == NULL) {
      tct_text_printf(out, "\n'%s' is not in the checkpoint", name);
    } else {
      tct_text_printf(out, "\n'%s' is %s%s in the checkpoint, %s%s here", name, tct_dtype_name(array->desc.dtype),
                      tct_shape_print(&array->desc.shape, has, sizeof has), tct_dtype_name(desc.dtype),
                      tct_shape_print(&desc.shape, wants, sizeof wants));
    }
  }
  for (size_t i = 0; i < tct_safetensors_count(file); i++) {
    const char *const name = tct_safetensors_at(file, i)->name;
    if (!is_variable_name(name) || begins_with(name, KEPT_BY_CALLBACKS) || tct_has_variable(session->variables, name)) continue;
    n++;
    tct_text_printf(out, "\n'%s' of the checkpoint is not here", name);
  }
  return n;
}

/* All differences together. A run that is shorter than the checkpoint is one too. */
static tct_status compare(const tct_saver *s, const tct_checkpoint *c) {
  tct_text text = {0};
  int64_t step = 0;
  int n = tct_settings_compare(&s->settings, json_object_get(c->run, "settings"), &text);
  n += compare_tensors(s->model->session, c->tensors, &text);
  if (read_count(c->run, "step", &step) && step > s->facts->total_steps) {
    n++;
    tct_text_printf(&text, "\nthe checkpoint is after step %" PRId64 ", the run ends after step %" PRId64, step,
                    s->facts->total_steps);
  }
  tct_status status = TCT_OK;
  if (n > 0) {
    status = tct_fail(TCT_E_OTHER_RUN, "it is of another run: %d difference%s%s", n, n == 1 ? "" : "s",
                      text.data != NULL ? text.data : "");
  }
  tct_text_free(&text);
  return status;
}

static tct_status restore(tct_session *session, const tct_safetensors *file, const tct_position *at,
                          tct_history *history) {
  for (size_t i = 0; i < tct_safetensors_count(file); i++) {
    const tct_named_array *const array = tct_safetensors_at(file, i);
    if (!is_variable_name(array->name)) continue;
    /* What callbacks keep with the weights is not there before they have run. */
    if (begins_with(array->name, KEPT_BY_CALLBACKS)) TCT_TRY(tct_session_keep(session, array->name, &array->desc));
    TCT_TRY(tct_variables_write(session->variables, array->name, array->data, tct_desc_bytes(&array->desc)));
  }
  const size_t bytes = (size_t)at->epoch * (size_t)history->n_values * sizeof(double);
  if (bytes > 0) memcpy(history->values, tct_safetensors_find(file, HISTORY)->data, bytes);
  history->n_epochs = (int32_t)at->epoch;
  session->optimizer.learning_rate = *(const double *)tct_safetensors_find(file, RATE)->data;
  session->learning_rate = -1; /* not the one that the session last wrote */
  return TCT_OK;
}

static tct_status apply(tct_saver *s, const tct_checkpoint *c, tct_history *history, tct_position *out) {
  tct_session *const session = s->model->session;
  tct_program *program = NULL;
  tct_position at = {0};
  device_text device;
  /* The optimizer's variables come with the first training step. */
  TCT_TRY(tct_session_program(s->model, TCT_MODE_TRAIN, s->facts->batch_size, s->facts->feed->weighted, &program));
  TCT_TRY(compare(s, c));
  TCT_TRY(read_position(s, c, history, &at));
  const char *const callbacks = json_string_value(json_object_get(c->run, "callbacks"));
  TCT_TRY(tct_callbacks_load(s->options->callbacks, s->options->n_callbacks, callbacks, strlen(callbacks)));
  TCT_TRY(restore(session, c->tensors, &at, history));
  const char *const before = json_string_value(json_object_get(c->run, "device"));
  if (before != NULL && strcmp(before, describe_device(session, &device)) != 0) {
    tct_log_line(TCT_LOG_WARNING, "the checkpoint was made on device '%s', the run goes on on '%s': the last bits may differ",
                 before, device.text);
  }
  *out = at;
  return TCT_OK;
}

/* The newest checkpoint, when there is one. */
static tct_status resume(tct_saver *s, tct_history *history, tct_position *position, bool *out_resumed) {
  tct_checkpoint c = {0};
  int64_t newest = 0;
  TCT_TRY(tct_checkpoint_newest(s->when.folder, &newest));
  if (newest == 0) {
    tct_log_line(TCT_LOG_INFO, "no checkpoint in '%s' yet: the run begins anew", s->when.folder);
    return TCT_OK;
  }
  TCT_TRY(tct_checkpoint_read(s->when.folder, &c));
  tct_checkpoint_name(c.number, s->last);
  s->damaged_after = c.number;
  s->damaged_until = c.newest;
  const tct_status status = apply(s, &c, history, position);
  tct_checkpoint_close(&c);
  if (status != TCT_OK) return tct_context("going on from checkpoint '%s/%s'", s->when.folder, s->last);
  s->saved_epoch = position->epoch;
  s->saved_step = position->step;
  s->saved_stopped = position->stopped;
  /* What a killed run had no time to remove; the next save would, but a run that was at its end saves no more. */
  if (s->damaged_after == s->damaged_until) tct_checkpoint_prune(s->when.folder, s->when.keep, 0, 0);
  *out_resumed = true;
  tct_log_line(TCT_LOG_INFO, "the run goes on from '%s/%s', after step %" PRId64, s->when.folder, s->last, position->step);
  return TCT_OK;
}

/* ---- beginning --------------------------------------------------------------------------------------- */

static tct_status check(const tct_fit_options *o) {
  const tct_checkpoint_options *const when = &o->checkpoint;
  if (when->folder == NULL) {
    if (!o->resume && when->every_steps == 0 && when->every_seconds == 0 && when->keep == 0) return TCT_OK;
    return tct_fail(TCT_INVALID, "fit: %s a folder for checkpoints; give checkpoint.folder",
                    o->resume ? "to resume needs" : "checkpoint has settings, but not");
  }
  if (when->every_steps < 0 || !(when->every_seconds >= 0)) {
    return tct_fail(TCT_INVALID, "fit: checkpoint.every_steps is %" PRId64 ", every_seconds %g; need 0 or more",
                    when->every_steps, when->every_seconds);
  }
  if (when->keep != 0 && (when->keep < 2 || when->keep > TCT_CHECKPOINT_MOST_KEPT)) {
    return tct_fail(TCT_INVALID, "fit: checkpoint.keep is %" PRId32 ", needs 2 (the newest, and one in case it is damaged) "
                    "to %d", when->keep, TCT_CHECKPOINT_MOST_KEPT);
  }
  return TCT_OK;
}

tct_status tct_saver_begin(tct_saver *saver, tct_model *model, const tct_fit_options *options, const tct_fit_facts *facts,
                           tct_history *history, tct_position *position, bool *out_resumed) {
  *saver = (tct_saver){.model = model, .options = options, .facts = facts, .saved_step = -1};
  *position = (tct_position){0};
  *out_resumed = false;
  TCT_TRY(check(options));
  saver->when = options->checkpoint;
  saver->saved_ns = tct_clock_ns();
  if (saver->when.folder == NULL) return TCT_OK;
  if (saver->when.keep == 0) saver->when.keep = 2;
  TCT_TRY(tct_make_directories(saver->when.folder));
  TCT_TRY(tct_settings_collect(model, model->session, facts, &saver->settings));
  if (options->resume) return resume(saver, history, position, out_resumed);
  int64_t newest = 0;
  TCT_TRY(tct_checkpoint_newest(saver->when.folder, &newest));
  if (newest == 0) return TCT_OK;
  char name[TCT_CHECKPOINT_NAME_BYTES];
  tct_checkpoint_name(newest, name);
  return tct_fail(TCT_E_CHECKPOINTS_THERE, "'%s' holds checkpoints of an earlier run, the newest %s; resume that run, or give another "
                  "folder", saver->when.folder, name);
}

void tct_saver_free(tct_saver *saver) { tct_settings_free(&saver->settings); }
