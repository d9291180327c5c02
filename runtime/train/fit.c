/* The training loop: data in, steps, metrics, history, callbacks. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/alloc.h"
#include "base/clock.h"
#include "base/status.h"
#include "train/callbacks.h"
#include "train/saver.h"
#include "train/session.h"

#define PROGRESS_NS 100000000

typedef struct fit {
  tct_model *model;
  tct_session *session;
  const tct_fit_options *options;
  int64_t epochs, batch_size, steps_per_epoch, total_steps;
  tct_feed feed;
  tct_dataset *train, *validation; /* references; validation may be NULL */
  tct_loader *loader;
  tct_position at;
  tct_fit_facts facts;
  tct_saver saver;
  double samples_before; /* of this epoch, in the fit that was resumed */
  int64_t epoch_began_ns, last_report_ns, upload_ns; /* upload: of this epoch */
  const char *names[2 * TCT_MAX_METRICS];
  double values[2 * TCT_MAX_METRICS];
  int32_t n_train_values, n_values;
  double step_total;    /* the last step's loss with penalties */
  tct_history history;  /* the new one until begin has succeeded, then the one before; owned */
  tct_progress last;    /* what callbacks saw last */
  bool cancelled;       /* a hook asked for it; the others of its step or epoch are still to hear */
  tct_error_record why; /* what it said */
  int32_t n_begun; /* callbacks whose train_begin was called */
  bool resumed;
} fit;

static tct_status split_data(fit *f, tct_dataset *data) {
  const double part = f->options->validation_split;
  const int64_t n = tct_dataset_samples(data);
  if (!(part >= 0 && part < 1)) {
    return tct_fail(TCT_E_TRAINING_OPTION, "validation_split is %g, needs 0 <= validation_split < 1", part);
  }
  const int64_t held = part > 0 ? n - (int64_t)((double)n * (1 - part)) : 0; /* as Keras rounds */
  TCT_TRY(tct_dataset_slice(data, 0, n - held, &f->train));
  tct_dataset *validation = f->options->validation;
  if (validation != NULL) return tct_dataset_slice(validation, 0, tct_dataset_samples(validation), &f->validation);
  return held > 0 ? tct_dataset_slice(data, n - held, n, &f->validation) : TCT_OK;
}

/* "loss", "accuracy" …, then "val_loss" … with validation, and there those that only a whole pass gives; and room for all
 * epochs. */
static tct_status name_values(fit *f) {
  tct_history *history = &f->history;
  const tct_metric_list *metrics = &f->session->metrics;
  f->n_train_values = 1 + metrics->n_running;
  f->n_values = f->n_train_values + (f->validation != NULL ? 1 + metrics->n : 0);
  *history = (tct_history){.n_values = f->n_values, .cap_epochs = (int32_t)f->epochs};
  history->names = tct_alloc_zero((size_t)f->n_values, sizeof *history->names);
  history->values = tct_alloc_zero((size_t)f->epochs * (size_t)f->n_values, sizeof *history->values);
  if (history->names == NULL || history->values == NULL) return TCT_OUT_OF_MEMORY;
  for (int32_t i = 0; i < f->n_values; i++) {
    const int32_t m = i < f->n_train_values ? i : i - f->n_train_values;
    snprintf(history->names[i], sizeof history->names[i], "%s%s", i >= f->n_train_values ? "val_" : "",
             m == 0 ? "loss" : metrics->metric[m - 1].name);
    f->names[i] = history->names[i];
  }
  return TCT_OK;
}

static tct_status begin(fit *f, tct_dataset *data) {
  const tct_fit_options *o = f->options;
  f->epochs = o->epochs == 0 ? 1 : o->epochs;
  f->batch_size = o->batch_size == 0 ? 32 : o->batch_size;
  if (f->epochs < 1 || f->epochs > TCT_MOST_EPOCHS || f->batch_size < 1 || o->steps < 0) {
    return tct_fail(TCT_E_TRAINING_OPTION,
                    "fit: epochs %lld, batch_size %lld, steps %lld; need 1 to 1000000, at least 1, at least 0",
                    (long long)f->epochs, (long long)f->batch_size, (long long)o->steps);
  }
  if (data == NULL) return tct_fail(TCT_INVALID, "fit: the dataset is NULL (its creation failed: %s)", tct_error_message());
  TCT_TRY(split_data(f, data));
  TCT_TRY(tct_feed_create(f->model, f->train, TCT_MODE_TRAIN, &f->feed));
  if (o->class_weight != NULL || o->n_class_weights != 0) {
    TCT_TRY(tct_feed_weigh_classes(f->model, o->class_weight, o->n_class_weights, f->batch_size, &f->feed));
  }
  const tct_loader_options loader = {.batch_size = f->batch_size, .shuffle = !o->no_shuffle, .seed = f->session->seed,
                                     .drop_remainder = o->drop_remainder, .prefetch = o->prefetch};
  TCT_TRY(tct_loader_create(f->feed.data, &loader, &f->loader));
  f->steps_per_epoch = tct_loader_batches(f->loader);
  f->total_steps = f->steps_per_epoch * f->epochs;
  if (o->steps > 0 && o->steps < f->total_steps) f->total_steps = o->steps;
  TCT_TRY(name_values(f));
  f->facts = (tct_fit_facts){.batch_size = f->batch_size, .steps_per_epoch = f->steps_per_epoch,
                             .total_steps = f->total_steps, .shuffle = loader.shuffle,
                             .drop_remainder = loader.drop_remainder, .feed = &f->feed, .validation = f->validation};
  TCT_TRY(tct_saver_begin(&f->saver, f->model, o, &f->facts, &f->history, &f->at, &f->resumed));
  const tct_history before = f->session->history; /* it stays the model's when the fit is refused */
  f->session->history = f->history;
  f->history = before;
  f->samples_before = f->at.totals.samples;
  if (f->at.stopped) f->model->stop = true;
  return TCT_OK;
}

static double rate_of(const fit *f, int64_t step) {
  return f->session->optimizer.learning_rate * tct_schedule_factor(&f->session->schedule, step, f->total_steps);
}

/* Where the fit stands. The values are those that f->values holds. */
static tct_progress progress_of(const fit *f, const tct_position *at, bool epoch_end) {
  const double samples = at->totals.samples - f->samples_before;
  const double seconds = f->epoch_began_ns > 0 ? (double)(tct_clock_ns() - f->epoch_began_ns) * 1e-9 : 0;
  return (tct_progress){
      .epoch = at->epoch, .epochs = f->epochs, .step = at->epoch_step, .steps = f->steps_per_epoch, .total_step = at->step,
      .epoch_end = epoch_end, .resumed = f->resumed, .n_values = epoch_end ? f->n_values : f->n_train_values,
      .names = f->names, .values = f->values, .samples_per_second = seconds > 0 ? samples / seconds : 0,
      .seconds = seconds, .input_wait_seconds = (double)tct_loader_wait_ns(f->loader) * 1e-9,
      .learning_rate = rate_of(f, at->step > 0 ? at->step - 1 : 0), .step_loss = at->step_loss,
      .upload_seconds = (double)f->upload_ns * 1e-9};
}

/* What one of the caller's functions answered, with a message where it asks to stop. */
static tct_status answer(const fit *f, tct_status status) {
  if (f->model->free_refused) {
    return tct_fail(TCT_INVALID, "fit: model '%s' was freed while tct_fit trains it, and is still there; free it after "
                    "tct_fit has returned", f->model->name);
  }
  if (status != TCT_CANCELLED) return status;
  return tct_fail(TCT_CANCELLED, "fit: stopped by the caller after step %lld", (long long)f->at.step);
}

/* A hook's wish to cancel waits until the other hooks of its step or epoch have run, so that all of them stand where the
 * checkpoint does that is saved then. The first one's words stay. */
static tct_status hold_cancel(fit *f, tct_status status) {
  if (status != TCT_CANCELLED) return status;
  if (!f->cancelled) tct_error_save(&f->why);
  f->cancelled = true;
  return TCT_OK;
}

static tct_status held_cancel(const fit *f) {
  if (!f->cancelled) return TCT_OK;
  tct_error_restore(&f->why);
  return TCT_CANCELLED;
}

typedef tct_status (*hook_fn)(void *user, tct_model *model, const tct_progress *progress);

static tct_status call(const fit *f, const tct_callback *callback, const char *name, hook_fn hook,
                       const tct_progress *progress) {
  if (hook == NULL) return TCT_OK;
  tct_error_clear();
  TCT_TRY(tct_callback_answer(callback, name, hook(callback->user, f->model, progress)));
  return answer(f, TCT_OK);
}

static tct_status begin_callbacks(fit *f) {
  tct_progress progress = progress_of(f, &f->at, false);
  progress.n_values = f->n_values; /* every name that there will be */
  for (int32_t i = 0; i < f->options->n_callbacks; i++) {
    const tct_callback *callback = &f->options->callbacks[i];
    f->n_begun++;
    TCT_TRY(call(f, callback, "train_begin", callback->train_begin, &progress));
  }
  return TCT_OK;
}

/* Every callback hears of the end, and the first error stays. */
static tct_status end_callbacks(fit *f, tct_status outcome) {
  const tct_progress progress = f->last;
  tct_error_record record;
  tct_error_save(&record);
  for (int32_t i = 0; i < f->n_begun; i++) {
    const tct_callback *callback = &f->options->callbacks[i];
    if (callback->train_end == NULL) continue;
    tct_error_clear();
    tct_status status = callback->train_end(callback->user, f->model, &progress, outcome);
    status = tct_callback_answer(callback, "train_end", status);
    if (status == TCT_OK) status = answer(f, TCT_OK);
    if (outcome != TCT_OK || status == TCT_OK) continue;
    outcome = status;
    tct_error_save(&record);
  }
  tct_error_restore(&record);
  return outcome;
}

/* After a step: its callbacks, and about ten times a second the progress. */
static tct_status report_step(fit *f) {
  const int64_t now = tct_clock_ns();
  const bool due = f->options->progress != NULL && now - f->last_report_ns >= PROGRESS_NS;
  if (!due && f->options->n_callbacks == 0) return TCT_OK;
  tct_totals_finish(f->session, f->model, &f->at.totals, f->values);
  f->last = progress_of(f, &f->at, false);
  for (int32_t i = 0; i < f->options->n_callbacks; i++) {
    const tct_callback *callback = &f->options->callbacks[i];
    TCT_TRY(hold_cancel(f, call(f, callback, "step_end", callback->step_end, &f->last)));
  }
  if (!due) return TCT_OK;
  f->last_report_ns = now;
  return hold_cancel(f, answer(f, f->options->progress(f->options->user, &f->last)));
}

static tct_status report_epoch(fit *f, const tct_position *ended) {
  f->last = progress_of(f, ended, true);
  for (int32_t i = 0; i < f->options->n_callbacks; i++) {
    const tct_callback *callback = &f->options->callbacks[i];
    TCT_TRY(hold_cancel(f, call(f, callback, "epoch_end", callback->epoch_end, &f->last)));
  }
  if (f->options->progress == NULL) return TCT_OK;
  f->last_report_ns = tct_clock_ns();
  return hold_cancel(f, answer(f, f->options->progress(f->options->user, &f->last)));
}

static tct_status train_step(fit *f, const tct_batch *batch) {
  tct_program *program = NULL;
  const int64_t step = f->at.step;
  TCT_TRY(tct_session_program(f->model, TCT_MODE_TRAIN, batch->n, f->feed.weighted, &program));
  TCT_TRY(tct_session_write_rate(f->model, rate_of(f, step)));
  const int64_t began = tct_clock_ns();
  TCT_TRY(tct_feed_batch(f->model, &f->feed, program, batch));
  f->upload_ns += tct_clock_ns() - began;
  TCT_TRY(tct_program_run(program));
  TCT_TRY(tct_totals_add(f->session, program, f->model, batch->n, &f->at.totals, &f->at.step_loss, &f->step_total));
  f->at.step++;
  f->at.epoch_step++;
  if (f->options->on_step == NULL) return TCT_OK;
  return hold_cancel(f, answer(f, f->options->on_step(f->options->user, step, f->at.step_loss)));
}

static tct_status check_cancel(const fit *f) {
  if (f->options->cancel == NULL || *f->options->cancel == 0) return TCT_OK;
  return tct_fail(TCT_CANCELLED, "fit: cancelled after step %lld", (long long)f->at.step);
}

static bool loss_is_finite(const fit *f) { return isfinite(f->at.step_loss) && isfinite(f->step_total); }

/* After the callbacks, one of which may have ended the fit for it (TerminateOnNaN). The step wrote nothing: its updates are
 * guarded by the loss that they minimise. */
static tct_status check_loss(const fit *f, const tct_batch *batch) {
  if (loss_is_finite(f) || f->model->stop) return TCT_OK;
  const double loss = isfinite(f->at.step_loss) ? f->step_total : f->at.step_loss;
  return tct_explain_loss(f->model, &f->feed, batch, f->at.step - 1, loss);
}

/* The epoch's row of the history, with validation. */
static tct_status end_epoch(fit *f) {
  if (f->at.epoch_step > 0) TCT_TRY(tct_check_loss_scale(f->session));
  tct_totals_finish(f->session, f->model, &f->at.totals, f->values);
  if (f->validation != NULL) {
    tct_evaluation evaluation;
    const tct_status status = tct_evaluate_unless(f->model, f->validation, f->batch_size, f->options->cancel, &evaluation);
    if (status != TCT_OK) return status == TCT_CANCELLED ? check_cancel(f) : status;
    memcpy(f->values + f->n_train_values, evaluation.values, (size_t)(f->n_values - f->n_train_values) * sizeof(double));
  }
  tct_history *history = &f->session->history;
  memcpy(history->values + (size_t)history->n_epochs * (size_t)f->n_values, f->values,
         (size_t)f->n_values * sizeof(double));
  history->n_epochs++;
  return TCT_OK;
}

/* A run does not go on behind a loss that is not finite, unless a callback has ended it there, with the weights of the last
 * good step. After the end of an epoch that ended early the last checkpoint is the one from before that end. */
static bool can_save(const fit *f) {
  return (loss_is_finite(f) || f->model->stop) && f->at.step == f->at.epoch * f->steps_per_epoch + f->at.epoch_step;
}

/* Where a checkpoint stands now. */
static const tct_position *here(fit *f) {
  f->at.stopped = f->model->stop;
  return &f->at;
}

static tct_status save(fit *f) { return can_save(f) ? tct_saver_save(&f->saver, here(f)) : TCT_OK; }

/* The rest of the epoch that f->at stands in. */
static tct_status run_epoch(fit *f) {
  TCT_TRY(tct_loader_start(f->loader, f->at.epoch, f->at.epoch_step));
  f->epoch_began_ns = f->last_report_ns = tct_clock_ns();
  f->upload_ns = 0;
  while (f->at.step < f->total_steps && !f->model->stop) {
    tct_batch batch;
    TCT_TRY(check_cancel(f));
    TCT_TRY(tct_loader_next(f->loader, &batch));
    if (batch.n == 0) break;
    TCT_TRY(train_step(f, &batch));
    TCT_TRY(report_step(f));
    TCT_TRY(held_cancel(f));
    TCT_TRY(check_loss(f, &batch));
    if (can_save(f)) tct_saver_tick(&f->saver, here(f), false);
  }
  /* An epoch that ends early is saved before its end, so that a longer run can go on in its middle. */
  if (f->at.epoch_step < f->steps_per_epoch) TCT_TRY(save(f));
  TCT_TRY(end_epoch(f));
  const tct_position ended = f->at;
  f->at.totals = (tct_totals){0};
  f->at.epoch_step = 0;
  f->at.epoch++;
  TCT_TRY(report_epoch(f, &ended));
  TCT_TRY(held_cancel(f));
  f->samples_before = 0;
  if (can_save(f)) tct_saver_tick(&f->saver, here(f), true);
  return TCT_OK;
}

/* An epoch that has begun is always ended. */
static bool has_more(const fit *f) {
  return f->at.epoch_step > 0 || (f->at.epoch < f->epochs && f->at.step < f->total_steps && !f->model->stop);
}

static tct_status run_epochs(fit *f) {
  while (has_more(f)) TCT_TRY(run_epoch(f));
  return save(f);
}

/* What was cancelled can be resumed. */
static tct_status save_cancelled(fit *f) {
  tct_error_record record;
  tct_error_save(&record);
  if (save(f) != TCT_OK) return tct_context("the fit was cancelled after step %lld", (long long)f->at.step);
  tct_error_restore(&record);
  if (f->saver.last[0] == '\0') return TCT_CANCELLED;
  return tct_context("checkpoint '%s/%s' can be resumed", f->saver.when.folder, f->saver.last);
}

static tct_status run(fit *f) {
  f->last = progress_of(f, &f->at, false);
  TCT_TRY(begin_callbacks(f));
  const tct_status status = run_epochs(f);
  return status == TCT_CANCELLED ? save_cancelled(f) : status;
}

void tct_fit_stop(tct_model *model) {
  if (model != NULL && model->fitting) model->stop = true;
}

tct_status tct_fit(tct_model *model, tct_dataset *data, const tct_fit_options *options) {
  static const tct_fit_options defaults = {0};
  fit f = {.model = model, .options = options != NULL ? options : &defaults};
  TCT_TRY(tct_session_of(model, &f.session));
  TCT_TRY(tct_callbacks_check(f.options->callbacks, f.options->n_callbacks));
  if (atomic_exchange(&model->fitting, true)) {
    return tct_fail(TCT_INVALID, "model '%s' is in tct_fit already; fit it again after that has returned", model->name);
  }
  model->stop = model->free_refused = false;
  tct_status status = begin(&f, data);
  if (status == TCT_OK) status = end_callbacks(&f, run(&f));
  model->fitting = false;
  tct_saver_free(&f.saver);
  tct_release(f.history.names);
  tct_release(f.history.values);
  tct_loader_free(f.loader);
  tct_feed_free(&f.feed);
  tct_dataset_free(f.train);
  tct_dataset_free(f.validation);
  return status;
}

/* ---- history ---- */

static const tct_history *history_of(const tct_model *model) {
  static const tct_history none = {0};
  return model != NULL && model->session != NULL ? &model->session->history : &none;
}

int32_t tct_history_n_epochs(const tct_model *model) { return history_of(model)->n_epochs; }
int32_t tct_history_n_values(const tct_model *model) { return history_of(model)->n_values; }

const char *tct_history_name(const tct_model *model, int32_t i) {
  const tct_history *history = history_of(model);
  return i >= 0 && i < history->n_values ? history->names[i] : NULL;
}

double tct_history_value(const tct_model *model, int32_t epoch, int32_t i) {
  const tct_history *history = history_of(model);
  if (epoch < 0 || epoch >= history->n_epochs || i < 0 || i >= history->n_values) return NAN;
  return history->values[(size_t)epoch * (size_t)history->n_values + (size_t)i];
}
