/* What all callbacks share: names, answers, and states joined in one JSON object. */
#include "train/callbacks.h"

#include <jansson.h>
#include <stdarg.h>
#include <string.h>
#include "base/alloc.h"
#include "base/file.h"
#include "base/status.h"
#include "io/json.h"

void tct_callback_release(tct_callback *callback) {
  if (callback == NULL) return;
  if (callback->release != NULL) callback->release(callback->user);
  *callback = (tct_callback){0};
}

tct_status tct_callbacks_check(const tct_callback *callbacks, int32_t n) {
  if (n < 0 || (n > 0 && callbacks == NULL)) {
    return tct_fail(TCT_INVALID, "fit: n_callbacks is %d%s; needs the length of the array", n,
                    callbacks == NULL ? " and callbacks NULL" : "");
  }
  for (int32_t i = 0; i < n; i++) {
    if (callbacks[i].name == NULL || callbacks[i].name[0] == '\0') {
      return tct_fail(TCT_INVALID, "fit: callback %d has no name (or its creation failed)", i);
    }
    for (int32_t j = 0; j < i; j++) {
      if (strcmp(callbacks[i].name, callbacks[j].name) != 0) continue;
      return tct_fail(TCT_INVALID, "fit: callbacks %d and %d are both named '%s'; give one another name", j, i,
                      callbacks[i].name);
    }
  }
  return TCT_OK;
}

tct_status tct_callback_answer(const tct_callback *callback, const char *hook, tct_status status) {
  if (status == TCT_OK) return TCT_OK;
  if (status == TCT_CANCELLED) return tct_fail(TCT_CANCELLED, "fit: cancelled by callback '%s' (%s)", callback->name, hook);
  if (tct_error_status() != status) return tct_fail(status, "fit: callback '%s' failed (%s)", callback->name, hook);
  return tct_context("in callback '%s' (%s)", callback->name, hook);
}

tct_status tct_callback_name(const char *type, const char *given, const char *fallback, char *out) {
  const char *name = given != NULL ? given : fallback;
  if (strlen(name) >= TCT_CALLBACK_NAME_BYTES || name[0] == '\0') {
    return tct_fail(TCT_INVALID, "%s: its name '%.80s' needs 1 to %d bytes", type, name, TCT_CALLBACK_NAME_BYTES - 1);
  }
  memcpy(out, name, strlen(name) + 1);
  return TCT_OK;
}

tct_status tct_callback_finish(const void *made, size_t bytes, tct_callback *out) {
  out->user = tct_alloc(bytes);
  if (out->user == NULL) {
    *out = (tct_callback){0};
    return TCT_OUT_OF_MEMORY;
  }
  memcpy(out->user, made, bytes);
  out->name = out->user;
  if (out->release == NULL) out->release = tct_release;
  return TCT_OK;
}

tct_status tct_make_folder_of(const char *path) {
  const char *slash = strrchr(path, '/');
  if (slash == NULL || slash == path) return TCT_OK;
  char *folder = tct_strdup(path);
  if (folder == NULL) return TCT_OUT_OF_MEMORY;
  folder[slash - path] = '\0';
  const tct_status status = tct_make_directories(folder);
  tct_release(folder);
  return status;
}

/* ---- states ---- */

tct_status tct_state_text(const char *text, const char *key, char *out, size_t out_bytes) {
  json_t *root = json_loads(text, 0, NULL);
  const char *value = json_string_value(json_object_get(root, key));
  const bool fits = value != NULL && strlen(value) < out_bytes;
  if (fits) memcpy(out, value, strlen(value) + 1);
  json_decref(root);
  return fits ? TCT_OK : tct_fail(TCT_BAD_DATA, "the callback's state in the checkpoint has no text '%s' that fits", key);
}

tct_status tct_state_give(tct_text *state, char *text, size_t bytes) {
  tct_status status = TCT_OK;
  if (state->failed || state->data == NULL) {
    status = tct_fail(TCT_OUT_OF_MEMORY, "no memory for the callback's state");
  } else if (state->length >= bytes) {
    status = tct_fail(TCT_INVALID, "the callback's state is %zu bytes, a checkpoint has room for %zu", state->length, bytes - 1);
  } else {
    memcpy(text, state->data, state->length + 1);
  }
  tct_text_free(state);
  return status;
}

tct_status tct_state_take(const char *text, const char *format, ...) {
  json_error_t where;
  json_t *root = json_loads(text, 0, &where);
  va_list args;
  va_start(args, format);
  const bool taken = root != NULL && json_vunpack_ex(root, &where, 0, format, args) == 0;
  va_end(args);
  json_decref(root);
  return taken ? TCT_OK : tct_fail(TCT_BAD_DATA, "the callback's state in the checkpoint: %s", where.text);
}

static tct_status save_one(const tct_callback *callback, char *state, tct_text *out, bool first) {
  state[0] = '\0';
  tct_error_clear();
  TCT_TRY(tct_callback_answer(callback, "save_state", callback->save_state(callback->user, state, TCT_CALLBACK_STATE_BYTES)));
  json_error_t where;
  bool ran_out = false;
  json_t *parsed = tct_json_parse(state, strlen(state), JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &where, &ran_out);
  if (ran_out) return tct_fail(TCT_OUT_OF_MEMORY, "no memory for a callback's state");
  if (parsed == NULL) {
    return tct_fail(TCT_INVALID, "callback '%s': its state is not JSON: %s", callback->name, where.text);
  }
  json_decref(parsed);
  tct_text_append(out, first ? "" : ", ");
  tct_text_json_string(out, callback->name);
  tct_text_append(out, ": ");
  tct_text_append(out, state);
  return TCT_OK;
}

tct_status tct_callbacks_save(const tct_callback *callbacks, int32_t n, tct_text *out) {
  char *state = tct_alloc(TCT_CALLBACK_STATE_BYTES);
  if (state == NULL) return TCT_OUT_OF_MEMORY;
  tct_status status = TCT_OK;
  bool first = true;
  tct_text_append(out, "{");
  for (int32_t i = 0; status == TCT_OK && !out->failed && i < n; i++) { /* the next one would clear the record of a failure */
    if (callbacks[i].save_state == NULL) continue;
    status = save_one(&callbacks[i], state, out, first);
    first = false;
  }
  tct_text_append(out, "}");
  tct_release(state);
  return status == TCT_OK && out->failed ? TCT_OUT_OF_MEMORY : status;
}

static tct_status load_one(const tct_callback *callback, const json_t *state) {
  const size_t bytes = json_dumpb(state, NULL, 0, JSON_ENCODE_ANY);
  char *text = tct_alloc_zero(bytes + 1, 1);
  if (text == NULL) return TCT_OUT_OF_MEMORY;
  (void)json_dumpb(state, text, bytes, JSON_ENCODE_ANY);
  tct_error_clear();
  const tct_status status = callback->load_state(callback->user, text);
  tct_release(text);
  return tct_callback_answer(callback, "load_state", status);
}

tct_status tct_callbacks_load(const tct_callback *callbacks, int32_t n, const char *json, size_t length) {
  json_error_t where;
  bool ran_out = false;
  json_t *root = tct_json_parse(json, length, JSON_REJECT_DUPLICATES, &where, &ran_out);
  if (ran_out) return tct_fail(TCT_OUT_OF_MEMORY, "no memory for the callbacks' states");
  if (root == NULL || !json_is_object(root)) {
    const tct_status status = tct_fail(TCT_BAD_DATA, "the states of the callbacks are no JSON object%s%s", root ? "" : ": ",
                                       root ? "" : where.text);
    json_decref(root);
    return status;
  }
  tct_status status = TCT_OK;
  for (int32_t i = 0; status == TCT_OK && i < n; i++) {
    const json_t *state = json_object_get(root, callbacks[i].name);
    if (state != NULL && callbacks[i].load_state != NULL) status = load_one(&callbacks[i], state);
  }
  json_decref(root);
  return status;
}
