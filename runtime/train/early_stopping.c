/* The callbacks that act on the fit: EarlyStopping and TerminateOnNaN end it, ReduceLROnPlateau slows it down. The rules are
 * those of Keras 3 (keras/src/callbacks/early_stopping.py, reduce_lr_on_plateau.py). */
#include <tercet/callbacks.h>

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/status.h"
#include "train/callbacks.h"
#include "train/monitor.h"
#include "train/session.h"

/* ---- EarlyStopping ---- */

typedef struct early_stopping {
  char name[TCT_CALLBACK_NAME_BYTES];
  tct_monitor monitor;
  tct_early_stopping_options options;
  bool loaded; /* the next train_begin goes on */
  int64_t wait;
  bool has_best, kept; /* kept: the best weights are in variables of the session */
  double best;
} early_stopping;

/* The best weights so far, into variables of the session or back. */
static tct_status copy_weights(const early_stopping *e, tct_model *model, bool restore) {
  for (int32_t i = 0; i < model->n_parameters; i++) {
    const tct_parameter *p = &model->parameters[i];
    char kept[256];
    if ((size_t)snprintf(kept, sizeof kept, "callbacks/%s/%s", e->name, p->name) >= sizeof kept) {
      return tct_fail(TCT_INVALID, "restore_best_weights: the name '%s' is too long", p->name);
    }
    TCT_TRY(tct_session_keep(model->session, kept, &p->desc));
    tct_variables *const variables = model->session->variables;
    TCT_TRY(tct_copy_variable(variables, restore ? kept : p->name, variables, restore ? p->name : kept));
  }
  return TCT_OK;
}

static tct_status early_begin(void *user, tct_model *model, const tct_progress *progress) {
  early_stopping *e = user;
  if (!tct_monitor_begin(&e->monitor, model, progress)) return tct_monitor_missing(&e->monitor, progress);
  if (!e->loaded) {
    e->wait = 0;
    e->has_best = e->kept = false;
  }
  e->loaded = false;
  return TCT_OK;
}

static tct_status early_epoch(void *user, tct_model *model, const tct_progress *progress) {
  early_stopping *e = user;
  const tct_early_stopping_options *o = &e->options;
  const double value = tct_monitor_value(&e->monitor, progress);
  if (progress->epoch < o->start_from_epoch) return TCT_OK;
  const bool better = isfinite(value) && (!e->has_best || tct_monitor_better(&e->monitor, value, e->best));
  if (o->restore_best_weights && (better || !e->kept)) {
    TCT_TRY(copy_weights(e, model, false));
    e->kept = true;
  }
  e->wait++;
  if (better) {
    e->has_best = true;
    e->best = value;
    if (!o->has_baseline || tct_monitor_better(&e->monitor, value, o->baseline)) e->wait = 0;
  } else if (e->wait >= o->patience && progress->epoch > 0) {
    tct_fit_stop(model);
  }
  return TCT_OK;
}

static tct_status early_end(void *user, tct_model *model, const tct_progress *progress, tct_status outcome) {
  early_stopping *e = user;
  (void)progress;
  return outcome == TCT_OK && e->kept ? copy_weights(e, model, true) : TCT_OK;
}

static tct_status early_save(void *user, char *text, size_t bytes) {
  const early_stopping *e = user;
  tct_text state = {0};
  tct_text_printf(&state, "{\"wait\": %lld, \"has_best\": %s, \"best\": ", (long long)e->wait, e->has_best ? "true" : "false");
  tct_text_json_number(&state, e->best);
  tct_text_printf(&state, ", \"kept\": %s}", e->kept ? "true" : "false");
  return tct_state_give(&state, text, bytes);
}

static tct_status early_load(void *user, const char *text) {
  early_stopping *e = user;
  json_int_t wait = 0;
  int has_best = 0, kept = 0;
  double best = 0;
  TCT_TRY(tct_state_take(text, "{s:I, s:b, s:F, s:b}", "wait", &wait, "has_best", &has_best, "best", &best, "kept", &kept));
  e->wait = wait;
  e->has_best = has_best;
  e->best = best;
  e->kept = kept;
  e->loaded = true;
  return TCT_OK;
}

tct_status tct_early_stopping_create(const tct_early_stopping_options *options, tct_callback *out) {
  static const tct_early_stopping_options defaults = {0};
  *out = (tct_callback){0};
  if (options == NULL) options = &defaults;
  if (options->patience < 0 || options->start_from_epoch < 0) {
    return tct_fail(TCT_INVALID, "EarlyStopping: patience %lld, start_from_epoch %lld; both need to be at least 0",
                    (long long)options->patience, (long long)options->start_from_epoch);
  }
  early_stopping made = {.options = *options};
  TCT_TRY(tct_callback_name("EarlyStopping", options->name, "early_stopping", made.name));
  const double delta = options->min_delta < 0 ? 0 : options->min_delta;
  if (tct_monitor_create(options->monitor, options->mode, delta, &made.monitor) != TCT_OK) return tct_context("EarlyStopping");
  *out = (tct_callback){.train_begin = early_begin, .epoch_end = early_epoch, .train_end = early_end,
                        .save_state = early_save, .load_state = early_load};
  return tct_callback_finish(&made, sizeof made, out);
}

/* ---- TerminateOnNaN ---- */

typedef struct terminate {
  char name[TCT_CALLBACK_NAME_BYTES];
} terminate;

static tct_status terminate_step(void *user, tct_model *model, const tct_progress *progress) {
  (void)user;
  if (!isfinite(progress->step_loss)) tct_fit_stop(model);
  return TCT_OK;
}

tct_status tct_terminate_on_nan_create(const char *name, tct_callback *out) {
  terminate made = {""};
  *out = (tct_callback){0};
  TCT_TRY(tct_callback_name("TerminateOnNaN", name, "terminate_on_nan", made.name));
  out->step_end = terminate_step;
  return tct_callback_finish(&made, sizeof made, out);
}

/* ---- ReduceLROnPlateau ---- */

typedef struct reduce_lr {
  char name[TCT_CALLBACK_NAME_BYTES];
  tct_monitor monitor;
  tct_reduce_lr_options options; /* defaults filled in */
  bool loaded;
  int64_t wait, cooldown;
  bool has_best;
  double best;
} reduce_lr;

static tct_status reduce_begin(void *user, tct_model *model, const tct_progress *progress) {
  reduce_lr *r = user;
  if (!tct_monitor_begin(&r->monitor, model, progress)) return tct_monitor_missing(&r->monitor, progress);
  if (!r->loaded) {
    r->wait = r->cooldown = 0;
    r->has_best = false;
  }
  r->loaded = false; /* the rate itself comes back with the checkpoint: others may have changed it since */
  return TCT_OK;
}

static tct_status reduce_epoch(void *user, tct_model *model, const tct_progress *progress) {
  reduce_lr *r = user;
  const tct_reduce_lr_options *o = &r->options;
  const double value = tct_monitor_value(&r->monitor, progress);
  if (r->cooldown > 0) {
    r->cooldown--;
    r->wait = 0;
  }
  if (isfinite(value) && (!r->has_best || tct_monitor_better(&r->monitor, value, r->best))) {
    r->has_best = true;
    r->best = value;
    r->wait = 0;
    return TCT_OK;
  }
  if (r->cooldown > 0 || ++r->wait < o->patience) return TCT_OK;
  const double rate = tct_learning_rate(model);
  if (!(rate > o->min_lr)) return TCT_OK;
  r->cooldown = o->cooldown;
  r->wait = 0;
  return tct_learning_rate_set(model, fmax(rate * o->factor, o->min_lr));
}

static tct_status reduce_save(void *user, char *text, size_t bytes) {
  const reduce_lr *r = user;
  tct_text state = {0};
  tct_text_printf(&state, "{\"wait\": %lld, \"cooldown\": %lld, \"has_best\": %s, \"best\": ", (long long)r->wait,
                  (long long)r->cooldown, r->has_best ? "true" : "false");
  tct_text_json_number(&state, r->best);
  tct_text_append(&state, "}");
  return tct_state_give(&state, text, bytes);
}

static tct_status reduce_load(void *user, const char *text) {
  reduce_lr *r = user;
  json_int_t wait = 0, cooldown = 0;
  int has_best = 0;
  double best = 0;
  TCT_TRY(tct_state_take(text, "{s:I, s:I, s:b, s:F}", "wait", &wait, "cooldown", &cooldown, "has_best", &has_best,
                         "best", &best));
  r->wait = wait;
  r->cooldown = cooldown;
  r->has_best = has_best;
  r->best = best;
  r->loaded = true;
  return TCT_OK;
}

tct_status tct_reduce_lr_create(const tct_reduce_lr_options *options, tct_callback *out) {
  static const tct_reduce_lr_options defaults = {0};
  *out = (tct_callback){0};
  reduce_lr made = {.options = options != NULL ? *options : defaults};
  tct_reduce_lr_options *o = &made.options;
  if (o->factor == 0) o->factor = 0.1;
  if (o->patience == 0) o->patience = 10;
  o->min_delta = o->min_delta == 0 ? 1e-4 : fmax(o->min_delta, 0);
  if (!(o->factor > 0 && o->factor < 1) || o->patience < 1 || o->cooldown < 0 || !(o->min_lr >= 0)) {
    return tct_fail(TCT_INVALID, "ReduceLROnPlateau: factor %g, patience %lld, cooldown %lld, min_lr %g; need 0 < factor < 1, "
                    "at least 1, at least 0, at least 0", o->factor, (long long)o->patience, (long long)o->cooldown, o->min_lr);
  }
  TCT_TRY(tct_callback_name("ReduceLROnPlateau", o->name, "reduce_lr_on_plateau", made.name));
  if (tct_monitor_create(o->monitor, o->mode, o->min_delta, &made.monitor) != TCT_OK) return tct_context("ReduceLROnPlateau");
  *out = (tct_callback){.train_begin = reduce_begin, .epoch_end = reduce_epoch, .save_state = reduce_save,
                        .load_state = reduce_load};
  return tct_callback_finish(&made, sizeof made, out);
}
