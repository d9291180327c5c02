/* TensorBoard: two event files, one for training and one for validation, as Keras lays them out. The state is both files'
 * names and ends; a fit that resumes cuts them there and goes on in them. */
#include <tercet/callbacks.h>

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/status.h"
#include "io/events.h"
#include "train/callbacks.h"

enum { TRAIN, VALIDATION, N_FILES };
static const char *const folders[N_FILES] = {"train", "validation"};

typedef struct board {
  char name[TCT_CALLBACK_NAME_BYTES];
  char *directory; /* owned */
  int64_t update_freq;
  bool loaded;
  char stamp[48];         /* of the files' names: when the fit began */
  int64_t bytes[N_FILES]; /* of a loaded state */
  tct_file_out *file[N_FILES]; /* owned; open during a fit; validation only where there is one */
} board;

static double now_seconds(void) { return (double)tct_realtime_ns() * 1e-9; }

static tct_status close_files(board *b) {
  tct_status status = TCT_OK;
  for (int i = 0; i < N_FILES; i++) {
    tct_file_out *file = b->file[i];
    b->file[i] = NULL;
    const tct_status closed = tct_file_close(file);
    if (status == TCT_OK) status = closed;
  }
  return status;
}

static void release_board(void *user) {
  board *b = user;
  if (close_files(b) != TCT_OK) tct_error_clear(); /* train_end reports; this one was never reached */
  tct_release(b->directory);
  tct_release(b);
}

static tct_status open_file(board *b, int i, bool goes_on) {
  tct_text path = {0};
  tct_text_printf(&path, "%s/%s", b->directory, folders[i]);
  tct_status status = path.failed ? TCT_OUT_OF_MEMORY : tct_make_directories(path.data);
  tct_text_printf(&path, "/events.out.tfevents.%s.tercet.v2", b->stamp);
  if (status == TCT_OK && path.failed) status = TCT_OUT_OF_MEMORY;
  if (status == TCT_OK) {
    status = goes_on ? tct_file_continue(path.data, b->bytes[i], &b->file[i]) : tct_file_create(path.data, &b->file[i]);
  }
  tct_text_free(&path);
  TCT_TRY(status);
  return tct_file_position(b->file[i]) > 0 ? TCT_OK : tct_events_begin(b->file[i], now_seconds());
}

static tct_status board_begin(void *user, tct_model *model, const tct_progress *progress) {
  (void)model;
  board *b = user;
  const bool goes_on = b->loaded;
  bool validates = false;
  b->loaded = false;
  TCT_TRY(close_files(b)); /* of a fit that never reached its train_end */
  for (int32_t i = 0; i < progress->n_values; i++) validates = validates || strncmp(progress->names[i], "val_", 4) == 0;
  if (!goes_on) {
    const int64_t ns = tct_realtime_ns();
    snprintf(b->stamp, sizeof b->stamp, "%010" PRId64 ".%09" PRId64, ns / 1000000000, ns % 1000000000);
  }
  TCT_TRY(open_file(b, TRAIN, goes_on));
  return validates ? open_file(b, VALIDATION, goes_on) : TCT_OK;
}

static tct_status put(board *b, int file, const char *kind, const char *value_name, int64_t step, double value) {
  char tag[80];
  snprintf(tag, sizeof tag, "%s_%s", kind, value_name);
  return tct_events_scalar(b->file[file], now_seconds(), step, tag, value);
}

static tct_status board_step(void *user, tct_model *model, const tct_progress *progress) {
  (void)model;
  board *b = user;
  if (b->update_freq == 0 || progress->total_step % b->update_freq != 0) return TCT_OK;
  for (int32_t i = 0; i < progress->n_values; i++) {
    TCT_TRY(put(b, TRAIN, "batch", progress->names[i], progress->total_step, progress->values[i]));
  }
  return TCT_OK;
}

static tct_status board_epoch(void *user, tct_model *model, const tct_progress *progress) {
  (void)model;
  board *b = user;
  for (int32_t i = 0; i < progress->n_values; i++) {
    const bool held = strncmp(progress->names[i], "val_", 4) == 0;
    TCT_TRY(put(b, held ? VALIDATION : TRAIN, "epoch", progress->names[i] + (held ? 4 : 0), progress->epoch,
                progress->values[i]));
  }
  TCT_TRY(put(b, TRAIN, "epoch", "learning_rate", progress->epoch, progress->learning_rate));
  for (int i = 0; i < N_FILES; i++) {
    if (b->file[i] != NULL) TCT_TRY(tct_file_flush(b->file[i]));
  }
  return TCT_OK;
}

static tct_status board_end(void *user, tct_model *model, const tct_progress *progress, tct_status outcome) {
  (void)model, (void)progress, (void)outcome;
  return close_files(user);
}

static tct_status board_save(void *user, char *text, size_t bytes) {
  const board *b = user;
  tct_text state = {0};
  tct_text_printf(&state, "{\"stamp\": \"%s\"", b->stamp);
  for (int i = 0; i < N_FILES; i++) {
    const tct_status flushed = b->file[i] != NULL ? tct_file_flush(b->file[i]) : TCT_OK;
    if (flushed != TCT_OK) {
      tct_text_free(&state);
      return flushed;
    }
    tct_text_printf(&state, ", \"%s\": %" PRId64, folders[i], b->file[i] != NULL ? tct_file_position(b->file[i]) : 0);
  }
  tct_text_append(&state, "}");
  return tct_state_give(&state, text, bytes);
}

static tct_status board_load(void *user, const char *text) {
  board *b = user;
  json_int_t bytes[N_FILES] = {0};
  char stamp[sizeof b->stamp] = "";
  TCT_TRY(tct_state_take(text, "{s:I, s:I}", folders[TRAIN], &bytes[TRAIN], folders[VALIDATION], &bytes[VALIDATION]));
  TCT_TRY(tct_state_text(text, "stamp", stamp, sizeof stamp));
  if (strspn(stamp, "0123456789.") != strlen(stamp)) return tct_fail(TCT_BAD_DATA, "the state's stamp is '%s'", stamp);
  memcpy(b->stamp, stamp, sizeof stamp);
  for (int i = 0; i < N_FILES; i++) b->bytes[i] = bytes[i];
  b->loaded = true;
  return TCT_OK;
}

tct_status tct_tensorboard_create(const tct_tensorboard_options *options, tct_callback *out) {
  static const tct_tensorboard_options defaults = {0};
  *out = (tct_callback){0};
  if (options == NULL) options = &defaults;
  if (options->update_freq < 0) {
    return tct_fail(TCT_INVALID, "TensorBoard: update_freq is %" PRId64 ", needs to be at least 0", options->update_freq);
  }
  board made = {.update_freq = options->update_freq};
  TCT_TRY(tct_callback_name("TensorBoard", options->name, "tensorboard", made.name));
  made.directory = tct_strdup(options->log_dir != NULL ? options->log_dir : "logs");
  if (made.directory == NULL) return TCT_OUT_OF_MEMORY;
  *out = (tct_callback){.train_begin = board_begin, .step_end = board_step, .epoch_end = board_epoch, .train_end = board_end,
                        .save_state = board_save, .load_state = board_load, .release = release_board};
  const tct_status status = tct_callback_finish(&made, sizeof made, out);
  if (status != TCT_OK) tct_release(made.directory);
  return status;
}
