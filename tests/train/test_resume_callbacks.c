/* Callbacks of a resumed fit have their state, hear all that an uninterrupted one's do, and end the fit where those would. */
#include <tercet/tercet.h>

#include "base/status.h"
#include "faults.h"
#include "io/checkpoint.h"
#include "test.h"
#include "train/resume.h"

typedef struct counter {
  int n, stop_at, stop_epoch;
  bool was_resumed;
  double rate_after;
} counter;

static tct_status count_begin(void *user, tct_model *model, const tct_progress *p) {
  counter *const c = user;
  (void)model;
  c->was_resumed = p->resumed;
  if (!p->resumed) c->n = 0;
  return TCT_OK;
}
static tct_status count_step(void *user, tct_model *model, const tct_progress *p) {
  counter *const c = user;
  (void)p;
  if (++c->n == c->stop_at) tct_fit_stop(model);
  return TCT_OK;
}
static tct_status count_epoch(void *user, tct_model *model, const tct_progress *p) {
  const counter *const c = user;
  if (c->stop_epoch > 0 && p->epoch + 1 == c->stop_epoch) tct_fit_stop(model);
  return TCT_OK;
}
static tct_status count_save(void *user, char *text, size_t bytes) {
  (void)snprintf(text, bytes, "{\"n\":%d}", ((const counter *)user)->n);
  return TCT_OK;
}
static tct_status count_load(void *user, const char *text) {
  return sscanf(text, "{\"n\":%d}", &((counter *)user)->n) == 1 ? TCT_OK : tct_fail(TCT_BAD_DATA, "%s", text);
}

static tct_callback counting(counter *c) {
  return (tct_callback){.name = "count", .user = c, .train_begin = count_begin, .step_end = count_step,
                        .epoch_end = count_epoch, .save_state = count_save, .load_state = count_load};
}

TEST(resume, callbacks_have_their_state_and_a_stopped_fit_stays_stopped) {
  static const recipe r = {.device = "ref"};
  static const counter rows[] = {{.stop_at = 0}, {.stop_at = 7}, {.stop_at = 10}, {.stop_epoch = 2}};
  for (size_t i = 0; i < TCT_COUNT_OF(rows); i++) {
    counter c = rows[i];
    tct_callback callback = counting(&c);
    tct_fit_options o = options_of(&r);
    o.callbacks = &callback;
    o.n_callbacks = 1;
    o.checkpoint.folder = NULL;
    const uint64_t whole = run_fit(&r, &o, TCT_OK);
    const int n = c.n;
    begin();
    interruption end = {.after = 4, .by_flag = true};
    o.checkpoint.folder = resume_folder();
    o.on_step = interrupt;
    o.user = &end;
    o.cancel = &end.flag;
    c = rows[i];
    (void)run_fit(&r, &o, TCT_CANCELLED);
    o.on_step = NULL;
    o.cancel = NULL;
    o.resume = true;
    for (int again = 0; again < 2; again++) {
      c = rows[i];
      CHECK(run_fit(&r, &o, TCT_OK) == whole && c.n == n && c.was_resumed, "row %zu: %d steps were counted, %d uninterrupted",
            i, c.n, n);
    }
    scratch_remove(resume_folder());
  }
}

/* What hooks hear; the buffer goes on through an interruption. */
typedef struct ear {
  char *heard; /* [8192] */
} ear;

static tct_status hear(void *user, tct_model *model, const tct_progress *p) {
  const ear *const e = user;
  const size_t n = strlen(e->heard);
  (void)model;
  CHECK(p->learning_rate > 0 && n < 8000);
  (void)snprintf(e->heard + n, 8192 - n, "%c%lld %.17g %.17g %.17g\n", p->epoch_end ? 'e' : 's', (long long)p->total_step,
                 p->step_loss, p->learning_rate, p->values[p->n_values - 1]);
  return TCT_OK;
}
static tct_status hear_begin(void *user, tct_model *model, const tct_progress *p) {
  (void)user, (void)model;
  CHECK(p->learning_rate > 0 && (p->total_step > 0) == (p->step_loss > 0), "rate %g, loss %g", p->learning_rate, p->step_loss);
  return TCT_OK;
}

typedef struct canceller {
  int64_t after;
  bool at_epoch;
  tct_progress last;
} canceller;

static tct_status cancel_step(void *user, tct_model *model, const tct_progress *p) {
  const canceller *const c = user;
  (void)model;
  return !c->at_epoch && p->total_step == c->after + 1 ? TCT_CANCELLED : TCT_OK;
}
static tct_status cancel_epoch(void *user, tct_model *model, const tct_progress *p) {
  const canceller *const c = user;
  (void)model;
  return c->at_epoch && p->total_step == c->after + 1 ? TCT_CANCELLED : TCT_OK;
}
static tct_status cancel_end(void *user, tct_model *model, const tct_progress *p, tct_status outcome) {
  (void)model, (void)outcome;
  ((canceller *)user)->last = *p;
  return TCT_OK;
}

TEST(resume, whoever_cancels_the_other_hooks_miss_nothing) {
  static const recipe r = {.device = "ref"};
  static char whole[8192], parts[8192];
  ear e = {whole};
  canceller c = {.after = -1};
  const tct_callback callbacks[] = {
      {.name = "canceller", .user = &c, .step_end = cancel_step, .epoch_end = cancel_epoch, .train_end = cancel_end},
      {.name = "ear", .user = &e, .train_begin = hear_begin, .step_end = hear, .epoch_end = hear}};
  tct_fit_options o = options_of(&r);
  o.callbacks = callbacks;
  o.n_callbacks = 2;
  o.checkpoint.folder = NULL;
  whole[0] = '\0';
  const uint64_t hash = run_fit(&r, &o, TCT_OK);
  o.checkpoint.folder = resume_folder();
  e.heard = parts;
  for (int64_t after = 0; after < STEPS; after++) {
    for (int way = 0; way < 4; way++) { /* on_step, the flag, step_end, epoch_end */
      if (way == 3 && (after + 1) % PER_EPOCH != 0) continue;
      begin();
      parts[0] = '\0';
      interruption i = {.after = way < 2 ? after : -1, .answer = TCT_CANCELLED, .by_flag = way == 1};
      c = (canceller){.after = way < 2 ? -1 : after, .at_epoch = way == 3};
      o.on_step = interrupt;
      o.user = &i;
      o.cancel = &i.flag;
      o.resume = false;
      (void)run_fit(&r, &o, TCT_CANCELLED);
      CHECK(strstr(tct_error_message(), way < 2 ? "after step" : "by callback 'canceller'") != NULL, "%s", tct_error_message());
      CHECK(c.last.total_step == after + 1, "way %d: the end is told of step %d", way, (int)c.last.total_step);
      c.after = i.after = -1;
      i.flag = 0;
      o.resume = true;
      CHECK(run_fit(&r, &o, TCT_OK) == hash && strcmp(whole, parts) == 0, "way %d, after %d:\n%s, uninterrupted\n%s", way,
            (int)after, parts, whole);
      scratch_remove(resume_folder());
    }
  }
}

/* Neither of the two knows the other's reductions. */
TEST(resume, the_learning_rate_is_the_last_that_any_callback_set) {
  recipe r = {.device = "ref", .constant = true, .epochs = 6};
  for (int64_t after = -1; after < 6; after++) {
    tct_callback two[2];
    double rates[2];
    begin();
    for (int resumed = 0; resumed < 2; resumed++) { /* in one process: the session has the rate of the first part */
      OK(tct_reduce_lr_create(&(tct_reduce_lr_options){.name = "b", .patience = 3, .factor = 0.5, .min_delta = 1e9}, &two[0]));
      OK(tct_reduce_lr_create(&(tct_reduce_lr_options){.name = "a", .patience = 1, .factor = 0.5, .min_delta = 1e9}, &two[1]));
      tct_dataset *data = make_data(1);
      tct_model *m = make_model(&r);
      tct_fit_options o = options_of(&r);
      o.callbacks = two;
      o.n_callbacks = 2;
      if (resumed) {
        o.epochs = after + 1;
        if (after >= 0) OK(tct_fit(m, data, &o));
        o.epochs = 6;
        o.resume = true;
      } else {
        o.checkpoint.folder = NULL;
      }
      OK(tct_fit(m, data, &o));
      rates[resumed] = tct_learning_rate(m);
      tct_model_free(m);
      tct_dataset_free(data);
      for (int i = 0; i < 2; i++) tct_callback_release(&two[i]);
    }
    CHECK(rates[0] == rates[1] && rates[0] < 0.001, "resumed after epoch %d: %g, uninterrupted %g", (int)after, rates[1], rates[0]);
    scratch_remove(resume_folder());
  }
}

static tct_status poison(void *user, tct_model *model, const tct_progress *p) {
  static const float bias[2] = {NAN, 0};
  return p->total_step == *(const int64_t *)user ? tct_model_write(model, "dense_1/bias", bias, sizeof bias) : TCT_OK;
}

TEST(resume, what_terminate_on_nan_ended_is_saved_and_stays_ended) {
  static const recipe r = {.device = "ref"};
  for (int64_t last_good = 7; last_good < 10; last_good++) { /* the next step is within an epoch, or its last */
    tct_callback callbacks[2] = {{.name = "poison", .user = (int64_t *)(uintptr_t)&last_good, .step_end = poison}};
    tct_checkpoint c;
    begin();
    OK(tct_terminate_on_nan_create(NULL, &callbacks[1]));
    tct_fit_options o = options_of(&r);
    o.callbacks = callbacks;
    o.n_callbacks = 2;
    const uint64_t hash = run_fit(&r, &o, TCT_OK);
    OK(tct_checkpoint_read(resume_folder(), &c));
    CHECK(json_integer_value(json_object_get(c.run, "step")) == last_good + 1 && json_is_true(json_object_get(c.run, "stopped")));
    tct_checkpoint_close(&c);
    o.resume = true;
    CHECK(run_fit(&r, &o, TCT_OK) == hash, "after step %d it goes on", (int)last_good);
    tct_callback_release(&callbacks[1]);
    scratch_remove(resume_folder());
  }
}
