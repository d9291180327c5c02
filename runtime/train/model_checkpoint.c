/* ModelCheckpoint: model files whose names say epoch and values; the newest few and the best one stay. */
#include <tercet/callbacks.h>

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/alloc.h"
#include "base/file.h"
#include "base/status.h"
#include "train/callbacks.h"
#include "train/monitor.h"

enum { MOST_KEPT = 100 };

typedef struct checkpoint {
  char name[TCT_CALLBACK_NAME_BYTES];
  tct_monitor monitor;
  char *filepath, *job; /* owned; job may be NULL */
  bool best_only, monitored, wants_monitor;
  int64_t save_freq, keep;
  bool loaded;
  bool has_best;
  double best;
  char *best_path;         /* owned; NULL: none */
  char *saved[MOST_KEPT + 1]; /* owned; oldest first; only with keep */
  int32_t n_saved;
} checkpoint;

static void forget(checkpoint *c) {
  for (int32_t i = 0; i < c->n_saved; i++) tct_release(c->saved[i]);
  tct_release(c->best_path);
  c->best_path = NULL;
  c->n_saved = 0;
  c->has_best = false;
}

static void release_checkpoint(void *user) {
  checkpoint *c = user;
  forget(c);
  tct_release(c->filepath);
  tct_release(c->job);
  tct_release(c);
}

/* ---- names ---- */

/* What stands in braces: "epoch:03d" → name "epoch", zeros, width 3, digits -1, letter 'd'. */
typedef struct place {
  char name[40];
  bool zeros;
  int width, digits;
  char letter; /* d, f, e, g; 0: none given */
} place;

static bool parse_place(const char *text, size_t length, place *out) {
  const char *colon = memchr(text, ':', length);
  const size_t n = colon != NULL ? (size_t)(colon - text) : length;
  *out = (place){.digits = -1};
  if (n == 0 || n >= sizeof out->name) return false;
  memcpy(out->name, text, n);
  if (colon == NULL) return true;
  const char *at = colon + 1, *const end = text + length;
  out->zeros = at < end && *at == '0';
  for (; at < end && *at >= '0' && *at <= '9' && out->width < 100; at++) out->width = 10 * out->width + (*at - '0');
  if (at < end && *at == '.') {
    out->digits = 0;
    for (at++; at < end && *at >= '0' && *at <= '9' && out->digits < 100; at++) out->digits = 10 * out->digits + (*at - '0');
  }
  if (at < end && strchr("dfeg", *at) != NULL) out->letter = *at++;
  const bool whole = strcmp(out->name, "epoch") == 0 || strcmp(out->name, "step") == 0;
  return at == end && out->width <= 20 && out->digits <= 17 && (whole ? out->digits < 0 && strchr("d", out->letter) : out->letter != 'd');
}

static void print_whole(tct_text *out, const place *p, int64_t value) {
  tct_text_printf(out, p->zeros ? "%0*" PRId64 : "%*" PRId64, p->width, value);
}

static void print_value(tct_text *out, const place *p, double value) {
  const int digits = p->digits >= 0 ? p->digits : 6;
  char number[400];
  tct_text text = {0};
  if (p->letter == 'f') {
    tct_text_printf(&text, "%.*f", digits, value);
  } else if (p->letter == 'e') {
    tct_text_printf(&text, "%.*e", digits, value);
  } else {
    tct_text_printf(&text, "%.*g", digits, value);
  }
  snprintf(number, sizeof number, "%s", text.data != NULL ? text.data : "");
  out->failed = out->failed || text.failed;
  tct_text_free(&text);
  for (int i = (int)strlen(number); i < p->width; i++) tct_text_append(out, p->zeros ? "0" : " ");
  tct_text_append(out, number);
}

static tct_status print_place(const checkpoint *c, const place *p, const tct_progress *progress, tct_text *out) {
  if (strcmp(p->name, "epoch") == 0) return print_whole(out, p, progress->epoch + 1), TCT_OK;
  if (strcmp(p->name, "step") == 0) return print_whole(out, p, progress->total_step), TCT_OK;
  for (int32_t i = 0; i < progress->n_values; i++) {
    if (strcmp(progress->names[i], p->name) == 0) return print_value(out, p, progress->values[i]), TCT_OK;
  }
  const char *near = tct_nearest(p->name, progress->names, (size_t)progress->n_values);
  return tct_fail(TCT_INVALID, "filepath '%s': the fit has no value '%s'%s%s%s", c->filepath, p->name, TCT_DID_YOU_MEAN(near));
}

/* The path at this moment. */
static tct_status fill_in(const checkpoint *c, const tct_progress *progress, tct_text *out) {
  for (const char *at = c->filepath; *at != '\0';) {
    const size_t plain = strcspn(at, "{");
    tct_text_append_bytes(out, at, plain);
    at += plain;
    if (*at == '\0') break;
    const size_t length = strcspn(at + 1, "}");
    place p;
    if (at[1 + length] == '\0' || !parse_place(at + 1, length, &p)) {
      return tct_fail(TCT_INVALID, "filepath '%s': '%.*s' is no place for a value; write {epoch:03d}, {val_loss:.4f}",
                      c->filepath, (int)(length + 2), at);
    }
    TCT_TRY(print_place(c, &p, progress, out));
    at += length + 2;
  }
  if (out->failed) return tct_fail(TCT_OUT_OF_MEMORY, "no memory for the file's name");
  TCT_ASSERT(out->data != NULL); /* a filepath is not empty */
  return TCT_OK;
}

/* Whether fill_in could have written the path: the text as it stands, and numbers in its places. What a checkpoint's state
 * names is removed one day, so it must not name other files. */
static bool could_be_ours(const checkpoint *c, const char *path) {
  static const char number[] = "0123456789 +-.aefin"; /* nan and inf too */
  const char *at = c->filepath;
  const char *after = NULL, *from = NULL; /* the text behind the last place; where the path may have it */
  for (const char *here = path; *here != '\0' || *at != '\0';) {
    if (*at == '{') {
      at += strcspn(at, "}");
      after = at += *at == '}';
      from = here;
    } else if (*at != '\0' && *at == *here) {
      at++;
      here++;
    } else if (after != NULL && *from != '\0' && strchr(number, *from) != NULL) {
      at = after;
      here = ++from;
    } else {
      return false;
    }
  }
  return strstr(path + strcspn(c->filepath, "{"), "..") == NULL; /* of a folder's name that is a number */
}

/* ---- saving ---- */

/* Appends the path to the kept ones, and removes the oldest that are too many, but not the best. */
static tct_status remember(checkpoint *c, const char *path) {
  if (c->keep == 0) return TCT_OK;
  for (int32_t i = 0; i < c->n_saved; i++) {
    if (strcmp(c->saved[i], path) == 0) return TCT_OK; /* the same file again */
  }
  char *copy = tct_strdup(path);
  if (copy == NULL) return TCT_OUT_OF_MEMORY;
  c->saved[c->n_saved++] = copy;
  tct_status status = TCT_OK;
  while (c->n_saved > c->keep && status == TCT_OK) { /* more than one after a resumed fit that keeps fewer */
    char *oldest = c->saved[0];
    memmove(c->saved, c->saved + 1, (size_t)--c->n_saved * sizeof *c->saved);
    const bool is_best = c->best_path != NULL && strcmp(oldest, c->best_path) == 0;
    if (!is_best) status = tct_file_remove(oldest);
    tct_release(oldest);
  }
  return status;
}

/* The best one so far that is not among the newest goes when a better one comes. */
static tct_status replace_best(checkpoint *c, const char *path) {
  char *copy = tct_strdup(path);
  if (copy == NULL) return TCT_OUT_OF_MEMORY;
  char *old = c->best_path;
  c->best_path = copy;
  bool stays = old == NULL || c->keep == 0 || strcmp(old, path) == 0;
  for (int32_t i = 0; i < c->n_saved; i++) stays = stays || strcmp(c->saved[i], old) == 0;
  const tct_status status = stays ? TCT_OK : tct_file_remove(old);
  tct_release(old);
  return status;
}

static tct_status save_now(checkpoint *c, tct_model *model, const tct_progress *progress) {
  const double value = c->monitored ? tct_monitor_value(&c->monitor, progress) : (double)NAN;
  const bool better = isfinite(value) && (!c->has_best || tct_monitor_better(&c->monitor, value, c->best));
  if (c->best_only && !better) return TCT_OK;
  tct_text path = {0};
  tct_status status = fill_in(c, progress, &path);
  if (status == TCT_OK) status = tct_make_folder_of(path.data);
  if (status == TCT_OK) status = tct_model_save(model, path.data, c->job);
  if (status == TCT_OK && better) status = replace_best(c, path.data);
  if (status == TCT_OK) status = remember(c, path.data);
  if (status == TCT_OK && better) {
    c->has_best = true;
    c->best = value;
  }
  tct_text_free(&path);
  return status;
}

/* ---- hooks ---- */

static tct_status checkpoint_begin(void *user, tct_model *model, const tct_progress *progress) {
  checkpoint *c = user;
  tct_progress seen = *progress;
  if (c->save_freq > 0) { /* between epochs there are no val_… values */
    while (seen.n_values > 0 && strncmp(seen.names[seen.n_values - 1], "val_", 4) == 0) seen.n_values--;
  }
  if (!c->loaded) forget(c);
  c->loaded = false;
  c->monitored = tct_monitor_begin(&c->monitor, model, &seen);
  if (!c->monitored && c->wants_monitor) return tct_monitor_missing(&c->monitor, &seen);
  tct_text path = {0}; /* whether every place has a value is better known now */
  const tct_status status = fill_in(c, &seen, &path);
  tct_text_free(&path);
  return status;
}

static tct_status checkpoint_step(void *user, tct_model *model, const tct_progress *progress) {
  checkpoint *c = user;
  return c->save_freq > 0 && progress->total_step % c->save_freq == 0 ? save_now(c, model, progress) : TCT_OK;
}

static tct_status checkpoint_epoch(void *user, tct_model *model, const tct_progress *progress) {
  checkpoint *c = user;
  return c->save_freq == 0 ? save_now(c, model, progress) : TCT_OK;
}

static tct_status checkpoint_save(void *user, char *text, size_t bytes) {
  const checkpoint *c = user;
  tct_text state = {0};
  tct_text_printf(&state, "{\"has_best\": %s, \"best\": ", c->has_best ? "true" : "false");
  tct_text_json_number(&state, c->best);
  tct_text_append(&state, ", \"best_path\": ");
  tct_text_json_string(&state, c->best_path != NULL ? c->best_path : "");
  tct_text_append(&state, ", \"saved\": [");
  for (int32_t i = 0; i < c->n_saved; i++) {
    tct_text_append(&state, i > 0 ? ", " : "");
    tct_text_json_string(&state, c->saved[i]);
  }
  tct_text_append(&state, "]}");
  return tct_state_give(&state, text, bytes);
}

/* Files that are not of this filepath stay where they are. */
static tct_status read_saved(checkpoint *c, const json_t *root) {
  const char *best_path = json_string_value(json_object_get(root, "best_path"));
  const json_t *saved = json_object_get(root, "saved");
  const size_t n = json_array_size(saved);
  if (best_path == NULL || !json_is_array(saved) || n > MOST_KEPT) {
    return tct_fail(TCT_BAD_DATA, "ModelCheckpoint's state has no best_path, or no list of saved files");
  }
  if (could_be_ours(c, best_path) && (c->best_path = tct_strdup(best_path)) == NULL) return TCT_OUT_OF_MEMORY;
  for (size_t i = 0; i < n; i++) {
    const char *path = json_string_value(json_array_get(saved, i));
    if (path == NULL) return tct_fail(TCT_BAD_DATA, "ModelCheckpoint's state: a saved file is no text");
    if (!could_be_ours(c, path)) continue;
    if ((c->saved[c->n_saved] = tct_strdup(path)) == NULL) return TCT_OUT_OF_MEMORY;
    c->n_saved++;
  }
  return TCT_OK;
}

static tct_status checkpoint_load(void *user, const char *text) {
  checkpoint *c = user;
  int has_best = 0;
  double best = 0;
  forget(c);
  TCT_TRY(tct_state_take(text, "{s:b, s:F}", "has_best", &has_best, "best", &best));
  json_t *root = json_loads(text, 0, NULL);
  const tct_status status = read_saved(c, root);
  json_decref(root);
  if (status != TCT_OK) {
    forget(c);
    return status;
  }
  c->has_best = has_best;
  c->best = best;
  c->loaded = true;
  return TCT_OK;
}

static tct_status check(const tct_model_checkpoint_options *o) {
  if (o->filepath == NULL || o->filepath[0] == '\0') return tct_fail(TCT_INVALID, "ModelCheckpoint: filepath is missing");
  if (o->save_freq < 0 || o->keep < 0 || o->keep > MOST_KEPT) {
    return tct_fail(TCT_INVALID, "ModelCheckpoint: save_freq %" PRId64 ", keep %" PRId64 "; need at least 0, and 0 to %d",
                    o->save_freq, o->keep, MOST_KEPT);
  }
  return TCT_OK;
}

tct_status tct_model_checkpoint_create(const tct_model_checkpoint_options *options, tct_callback *out) {
  static const tct_model_checkpoint_options defaults = {0};
  *out = (tct_callback){0};
  if (options == NULL) options = &defaults;
  TCT_TRY(check(options));
  checkpoint made = {.best_only = options->save_best_only, .save_freq = options->save_freq, .keep = options->keep,
                     .wants_monitor = options->save_best_only || options->monitor != NULL};
  TCT_TRY(tct_callback_name("ModelCheckpoint", options->name, "model_checkpoint", made.name));
  if (tct_monitor_create(options->monitor, options->mode, 0, &made.monitor) != TCT_OK) return tct_context("ModelCheckpoint");
  made.filepath = tct_strdup(options->filepath);
  made.job = options->metadata_job != NULL ? tct_strdup(options->metadata_job) : NULL;
  tct_status status = TCT_OUT_OF_MEMORY;
  if (made.filepath != NULL && (made.job != NULL || options->metadata_job == NULL)) {
    *out = (tct_callback){.train_begin = checkpoint_begin, .step_end = checkpoint_step, .epoch_end = checkpoint_epoch,
                          .save_state = checkpoint_save, .load_state = checkpoint_load, .release = release_checkpoint};
    status = tct_callback_finish(&made, sizeof made, out);
  }
  if (status == TCT_OK) return TCT_OK;
  tct_release(made.filepath);
  tct_release(made.job);
  return status;
}
