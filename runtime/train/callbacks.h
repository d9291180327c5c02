/* Running a fit's callbacks, and their states as one JSON text for a checkpoint. */
#ifndef TCT_TRAIN_CALLBACKS_H
#define TCT_TRAIN_CALLBACKS_H

#include <tercet/train.h>
#include "base/text.h"

/* Names are there and differ. */
tct_status tct_callbacks_check(const tct_callback *callbacks, int32_t n) TCT_CHECKED;

/* What a hook answered, with the callback's name: TCT_CANCELLED becomes a sentence, an error gets a frame. */
tct_status tct_callback_answer(const tct_callback *callback, const char *hook, tct_status status) TCT_CHECKED;

/* {"early_stopping": state, …}: one object of every callback that has a state; appended to `out`. */
tct_status tct_callbacks_save(const tct_callback *callbacks, int32_t n, tct_text *out) TCT_CHECKED;
/* Gives each callback its part of such an object. One that the object does not know begins anew; a part without a
 * callback is left alone. TCT_BAD_DATA when the text is no such object. */
tct_status tct_callbacks_load(const tct_callback *callbacks, int32_t n, const char *json, size_t length) TCT_CHECKED;

/* ---- for the ready-made ones ---- */

/* Their structs begin with this, and own no memory that another copy would free, until tct_callback_finish. */
#define TCT_CALLBACK_NAME_BYTES 64
/* `given`, or the fallback when NULL. `type` names the callback in the error. */
tct_status tct_callback_name(const char *type, const char *given, const char *fallback, char *out) TCT_CHECKED;
/* `made` on the heap becomes out->user, with its name and, unless out has one, a plain release. On failure out is {0}. */
tct_status tct_callback_finish(const void *made, size_t bytes, tct_callback *out) TCT_CHECKED;
/* Makes the folder that the file is to stand in. */
tct_status tct_make_folder_of(const char *path) TCT_CHECKED;
/* The text into save_state's room; frees it. */
tct_status tct_state_give(tct_text *state, char *text, size_t bytes) TCT_CHECKED;
/* jansson's json_unpack of a state; texts are not kept, so `format` has none. */
tct_status tct_state_take(const char *text, const char *format, ...) TCT_CHECKED;
tct_status tct_state_text(const char *text, const char *key, char *out, size_t out_bytes) TCT_CHECKED;

#endif
