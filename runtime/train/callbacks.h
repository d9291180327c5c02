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

#endif
