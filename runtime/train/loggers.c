/* CSVLogger and JSONLogger: lines of text. The state is where the file ends, and what a modelled device had taken by then; a fit
 * that resumes cuts off what stands behind the checkpoint, writes it again, and counts on from there. */
#include <tercet/callbacks.h>
#include <tercet/forecast.h>

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include "base/alloc.h"
#include "base/file.h"
#include "base/status.h"
#include "train/callbacks.h"

/* What a modelled device took; of all that the log tells of, or since the device was opened. */
typedef struct taken {
  double seconds, useful, joules, dollars; /* useful: seconds of it */
} taken;

typedef struct logger {
  char name[TCT_CALLBACK_NAME_BYTES];
  char *path;        /* owned */
  char separator[8]; /* CSV */
  bool append, per_step;
  bool loaded;
  int64_t bytes;      /* of a loaded state */
  taken before;       /* the device: of a loaded state; from train_begin on what is to be added to the device's own count */
  const tct_model *model; /* borrowed during a fit */
  tct_file_out *file; /* owned; open during a fit */
} logger;

/* false: the device's time is measured. */
static bool taken_by_device(const tct_model *model, taken *out) {
  tct_forecast_run run;
  const bool modelled = model != NULL && tct_forecast_so_far(tct_model_device(model), &run);
  *out = modelled ? (taken){run.seconds, run.useful * run.seconds, run.joules, run.dollars} : (taken){.seconds = 0};
  return modelled;
}

static bool taken_in_all(const logger *l, taken *out) {
  const bool modelled = taken_by_device(l->model, out);
  *out = (taken){out->seconds + l->before.seconds, out->useful + l->before.useful, out->joules + l->before.joules,
                 out->dollars + l->before.dollars};
  return modelled;
}

static void release_logger(void *user) {
  logger *l = user;
  if (tct_file_close(l->file) != TCT_OK) tct_error_clear(); /* train_end reports; this one was never reached */
  tct_release(l->path);
  tct_release(l);
}

static tct_status open_log(logger *l, const tct_model *model) {
  taken now;
  l->model = model;
  if (!l->loaded) l->before = (taken){.seconds = 0};
  else if (taken_by_device(model, &now))
    l->before = (taken){l->before.seconds - now.seconds, l->before.useful - now.useful, l->before.joules - now.joules, l->before.dollars - now.dollars};
  const bool goes_on = (l->loaded || l->append) && strcmp(l->path, "-") != 0;
  const int64_t bytes = l->loaded ? l->bytes : INT64_MAX;
  l->loaded = false;
  TCT_TRY(tct_file_close(l->file)); /* of a fit that never reached its train_end */
  l->file = NULL;
  TCT_TRY(tct_make_folder_of(l->path));
  return goes_on ? tct_file_continue(l->path, bytes, &l->file) : tct_file_create(l->path, &l->file);
}

static tct_status close_log(void *user, tct_model *model, const tct_progress *progress, tct_status outcome) {
  (void)model, (void)progress, (void)outcome;
  logger *l = user;
  tct_file_out *file = l->file;
  l->file = NULL;
  l->model = NULL;
  return tct_file_close(file);
}

static tct_status save_log(void *user, char *text, size_t bytes) {
  const logger *l = user;
  tct_text state = {0};
  if (l->file != NULL) TCT_TRY(tct_file_flush(l->file));
  tct_text_printf(&state, "{\"bytes\": %" PRId64, l->file != NULL ? tct_file_position(l->file) : 0);
  taken all;
  if (taken_in_all(l, &all))
    tct_text_printf(&state, ", \"seconds\": %.17g, \"useful\": %.17g, \"joules\": %.17g, \"dollars\": %.17g", all.seconds, all.useful, all.joules, all.dollars);
  tct_text_append(&state, "}");
  return tct_state_give(&state, text, bytes);
}

static tct_status load_log(void *user, const char *text) {
  json_int_t bytes = 0;
  taken before = {.seconds = 0}; /* of a measured device there is nothing */
  TCT_TRY(tct_state_take(text, "{s:I, s?F, s?F, s?F, s?F}", "bytes", &bytes, "seconds", &before.seconds, "useful", &before.useful, "joules",
                         &before.joules, "dollars", &before.dollars));
  logger *l = user;
  l->before = before;
  l->bytes = bytes;
  l->loaded = true;
  return TCT_OK;
}

/* The rest of both create functions: `hooks` and what they share become *out, which is {0} before and on failure. */
static tct_status finish(const char *type, logger *made, const char *path, const tct_callback *hooks, tct_callback *out) {
  if (path == NULL || path[0] == '\0') return tct_fail(TCT_INVALID, "%s: filename is missing", type);
  made->path = tct_strdup(path);
  if (made->path == NULL) return TCT_OUT_OF_MEMORY;
  *out = *hooks;
  out->train_end = close_log;
  out->save_state = save_log;
  out->load_state = load_log;
  out->release = release_logger;
  const tct_status status = tct_callback_finish(made, sizeof *made, out);
  if (status != TCT_OK) tct_release(made->path);
  return status;
}

/* ---- what a modelled device took ---- */

enum { N_MODELLED = 4 };
static const char *const modelled_names[N_MODELLED] = {"modelled_seconds", "modelled_useful", "modelled_joules", "modelled_dollars"};

/* How many figures there are: none of a device whose time is measured. */
static int32_t modelled(const logger *l, double out[N_MODELLED]) {
  taken all;
  if (!taken_in_all(l, &all)) return 0;
  memcpy(out, (const double[]){all.seconds, all.seconds > 0 ? all.useful / all.seconds : 0, all.joules, all.dollars}, N_MODELLED * sizeof *out);
  return N_MODELLED;
}

/* ---- CSVLogger ---- */

static tct_status csv_begin(void *user, tct_model *model, const tct_progress *progress) {
  double figures[N_MODELLED];
  logger *l = user;
  TCT_TRY(open_log(l, model));
  if (tct_file_position(l->file) > 0) return TCT_OK;
  TCT_TRY(tct_file_printf(l->file, "epoch"));
  for (int32_t i = 0; i < progress->n_values; i++) {
    TCT_TRY(tct_file_printf(l->file, "%s%s", l->separator, progress->names[i]));
  }
  const int32_t more = modelled(l, figures);
  for (int32_t i = 0; i < more; i++) TCT_TRY(tct_file_printf(l->file, "%s%s", l->separator, modelled_names[i]));
  return tct_file_printf(l->file, "\n");
}

static tct_status csv_epoch(void *user, tct_model *model, const tct_progress *progress) {
  (void)model;
  double figures[N_MODELLED];
  logger *l = user;
  const int32_t more = modelled(l, figures);
  TCT_TRY(tct_file_printf(l->file, "%" PRId64, progress->epoch));
  for (int32_t i = 0; i < progress->n_values; i++) {
    TCT_TRY(tct_file_printf(l->file, "%s%.10g", l->separator, progress->values[i]));
  }
  for (int32_t i = 0; i < more; i++) TCT_TRY(tct_file_printf(l->file, "%s%.10g", l->separator, figures[i]));
  TCT_TRY(tct_file_printf(l->file, "\n"));
  return tct_file_flush(l->file);
}

tct_status tct_csv_logger_create(const tct_csv_logger_options *options, tct_callback *out) {
  static const tct_csv_logger_options defaults = {0};
  *out = (tct_callback){0};
  if (options == NULL) options = &defaults;
  logger made = {.append = options->append};
  const char *separator = options->separator != NULL ? options->separator : ",";
  if (strlen(separator) >= sizeof made.separator || separator[0] == '\0') {
    return tct_fail(TCT_INVALID, "CSVLogger: separator '%.20s' needs 1 to 7 bytes", separator);
  }
  memcpy(made.separator, separator, strlen(separator) + 1);
  TCT_TRY(tct_callback_name("CSVLogger", options->name, "csv_logger", made.name));
  return finish("CSVLogger", &made, options->filename, &(tct_callback){.train_begin = csv_begin, .epoch_end = csv_epoch}, out);
}

/* ---- JSONLogger ---- */

static tct_status put_number(tct_file_out *file, const char *key, double value) {
  tct_text text = {0};
  tct_text_json_string(&text, key);
  tct_text_append(&text, ": ");
  tct_text_json_number(&text, value);
  const tct_status status = text.failed ? TCT_OUT_OF_MEMORY : tct_file_printf(file, ", %s", text.data);
  tct_text_free(&text);
  return status;
}

static tct_status put_modelled(const logger *l) {
  double figures[N_MODELLED];
  const int32_t n = modelled(l, figures);
  for (int32_t i = 0; i < n; i++) TCT_TRY(put_number(l->file, modelled_names[i], figures[i]));
  return tct_file_printf(l->file, "}\n");
}

static tct_status json_begin(void *user, tct_model *model, const tct_progress *progress) {
  (void)progress;
  return open_log(user, model);
}

static tct_status json_step(void *user, tct_model *model, const tct_progress *progress) {
  (void)model;
  const logger *l = user;
  if (!l->per_step) return TCT_OK;
  TCT_TRY(tct_file_printf(l->file, "{\"step\": %" PRId64, progress->total_step - 1));
  TCT_TRY(put_number(l->file, "step_loss", progress->step_loss));
  return put_modelled(l);
}

static tct_status json_epoch(void *user, tct_model *model, const tct_progress *progress) {
  (void)model;
  const logger *l = user;
  TCT_TRY(tct_file_printf(l->file, "{\"epoch\": %" PRId64 ", \"step\": %" PRId64, progress->epoch, progress->total_step - 1));
  TCT_TRY(put_number(l->file, "learning_rate", progress->learning_rate));
  TCT_TRY(put_number(l->file, "seconds", progress->seconds));
  for (int32_t i = 0; i < progress->n_values; i++) TCT_TRY(put_number(l->file, progress->names[i], progress->values[i]));
  TCT_TRY(put_modelled(l));
  return tct_file_flush(l->file);
}

tct_status tct_json_logger_create(const tct_json_logger_options *options, tct_callback *out) {
  static const tct_json_logger_options defaults = {0};
  *out = (tct_callback){0};
  if (options == NULL) options = &defaults;
  logger made = {.append = options->append, .per_step = options->per_step};
  TCT_TRY(tct_callback_name("JSONLogger", options->name, "json_logger", made.name));
  return finish("JSONLogger", &made, options->filename,
                &(tct_callback){.train_begin = json_begin, .step_end = json_step, .epoch_end = json_epoch}, out);
}
