/* A fit that was interrupted, at every step and in every way, and resumed ends with the bits of one that was not; and what
 * is no continuation of the checkpoint is refused, with all that differs. */
#include <tercet/tercet.h>

#include <errno.h>

#include "base/alloc.h"
#include "base/status.h"
#include "faults.h"
#include "io/checkpoint.h"
#include "test.h"

enum { N = 50, BATCH = 8, EPOCHS = 3, PER_EPOCH = 5, STEPS = EPOCHS * PER_EPOCH }; /* 40 samples train, 10 validate */

static char folder[SCRATCH_BYTES];
static char lines[8192]; /* the log */

static void keep_line(void *user, tct_log_level level, const char *line) {
  (void)user, (void)level;
  (void)snprintf(lines + strlen(lines), sizeof lines - strlen(lines), "%s\n", line);
}

static void begin(void) {
  spare_disk();
  scratch_make(folder);
  lines[0] = '\0';
  tct_set_log(keep_line, NULL, TCT_LOG_WARNING);
}

/* `changed` ≥ 0: a sample that differs. */
static tct_dataset *make_data_but(float bend, int changed) {
  static float x[N][3];
  static int32_t y[N];
  for (int i = 0; i < N; i++) {
    for (int j = 0; j < 3; j++) x[i][j] = sinf((float)(3 * i + j) * 12.9898f) * bend + (i == changed ? 1 : 0);
    y[i] = x[i][0] + x[i][1] * x[i][2] > 0;
  }
  tct_dataset *data = NULL;
  OK(tct_dataset_arrays(N, 2, (const tct_field[]){{"x", TCT_F32, TCT_SHAPE(3)}, {"y", TCT_I32, {0}}},
                        (const void *[]){x, y}, true, &data));
  return data;
}

static tct_dataset *make_data(float bend) { return make_data_but(bend, -1); }

/* Everything that has a state: batch norm's moving statistics, dropout, shuffling, Adam's moments, a schedule. */
typedef struct recipe {
  const char *device, *loss_metrics, *precision;
  double rate, dropout, penalty;
  int64_t units, epochs, steps;
  int32_t prefetch;
  bool constant;
} recipe;

static tct_model *make_model(const recipe *r) {
  tct_model *m = tct_model_create("whole", TCT_F32);
  tct_layer x = tct_layer_input(m, "x", TCT_F32, TCT_SHAPE(3));
  x = tct_layer_dense(x, &(tct_dense_layer){.units = r->units != 0 ? r->units : 8, .activation = "relu",
                                            .kernel_regularizer = {.l2 = r->penalty != 0 ? r->penalty : 1e-4}});
  x = tct_layer_batch_normalization(x, &(tct_batch_normalization_layer){.momentum = 0.9});
  x = tct_layer_dropout(x, &(tct_dropout_layer){.rate = r->dropout != 0 ? r->dropout : 0.3});
  tct_layer_dense(x, &(tct_dense_layer){.units = 2, .activation = "softmax"});
  OK(tct_model_compile(m, &(tct_training){.loss = "sparse_categorical_crossentropy",
                                          .metrics = r->loss_metrics != NULL ? r->loss_metrics : "accuracy",
                                          .optimizer = {.type = "adam", .learning_rate = r->rate != 0 ? r->rate : 0.02},
                                          .schedule = {.type = r->constant ? "constant" : "cosine", .warmup_steps = 3},
                                          .device = r->device, .precision = r->precision, .seed = 5}));
  return m;
}

static tct_fit_options options_of(const recipe *r) {
  return (tct_fit_options){.epochs = r->epochs != 0 ? r->epochs : EPOCHS, .batch_size = BATCH, .validation_split = 0.2,
                           .steps = r->steps, .prefetch = r->prefetch, .checkpoint = {.folder = folder}};
}

/* Weights, moving statistics, and the whole history. */
static uint64_t hash_of(tct_model *m) {
  uint64_t hash = 1469598103934665603u;
  static unsigned char bytes[4096];
  for (int32_t i = 0; i <= tct_model_n_parameters(m); i++) {
    const tct_parameter *p = tct_model_parameter(m, i);
    size_t n = 0;
    if (p != NULL) {
      n = (size_t)tct_shape_size(&p->desc.shape) * tct_dtype_bytes(p->desc.dtype);
      CHECK(n <= sizeof bytes);
      OK(tct_model_read(m, p->name, bytes, n));
    } else {
      for (int32_t e = 0; e < tct_history_n_epochs(m); e++) {
        for (int32_t v = 0; v < tct_history_n_values(m); v++, n += sizeof(double)) {
          const double value = tct_history_value(m, e, v);
          memcpy(bytes + n, &value, sizeof value);
        }
      }
    }
    for (size_t b = 0; b < n; b++) hash = (hash ^ bytes[b]) * 1099511628211u;
  }
  return hash;
}

static uint64_t uninterrupted(const recipe *r) {
  tct_dataset *data = make_data(1);
  tct_model *m = make_model(r);
  tct_fit_options o = options_of(r);
  o.checkpoint.folder = NULL;
  OK(tct_fit(m, data, &o));
  const uint64_t hash = hash_of(m);
  tct_model_free(m);
  tct_dataset_free(data);
  return hash;
}

/* One fit with a fresh model; the hash after it. */
static uint64_t run_fit(const recipe *r, const tct_fit_options *options, tct_status wanted) {
  tct_dataset *data = make_data(1);
  tct_model *m = make_model(r);
  const tct_status status = tct_fit(m, data, options);
  CHECK(status == wanted, "got %s, wanted %s: %s", tct_status_name(status), tct_status_name(wanted), tct_error_message());
  const uint64_t hash = hash_of(m);
  tct_model_free(m);
  tct_dataset_free(data);
  return hash;
}

/* ---- interruptions ----------------------------------------------------------------------------------- */

typedef struct interruption {
  int64_t after; /* this step, from 0 */
  tct_status answer;
  int flag;
  bool by_flag;
} interruption;

static tct_status interrupt(void *user, int64_t step, double loss) {
  interruption *const i = user;
  (void)loss;
  if (step != i->after) return TCT_OK;
  i->flag = 1;
  if (i->by_flag) return TCT_OK;
  return i->answer == TCT_IO ? tct_fail(TCT_IO, "as if killed") : i->answer;
}

TEST(resume, after_every_step_the_bits_are_those_of_an_uninterrupted_fit) {
  static const recipe rows[] = {{.device = "cpu"}, {.device = "cpu", .prefetch = -1}, {.device = "ref"},
                                {.device = "cpu", .precision = "float16"}}; /* with its loss scale */
  for (size_t r = 0; r < TCT_COUNT_OF(rows); r++) {
    const uint64_t whole = uninterrupted(&rows[r]);
    for (int64_t after = 0; after < STEPS; after++) {
      begin();
      interruption i = {.after = after, .answer = TCT_CANCELLED, .by_flag = after % 2 == 0};
      tct_fit_options o = options_of(&rows[r]);
      o.on_step = interrupt;
      o.user = &i;
      o.cancel = &i.flag;
      /* The flag is looked at before a step: behind the last one, the validation sees it. */
      (void)run_fit(&rows[r], &o, TCT_CANCELLED);
      CHECK(strstr(tct_error_message(), "can be resumed") != NULL, "%s", tct_error_message());
      o = options_of(&rows[r]);
      o.resume = true;
      const uint64_t hash = run_fit(&rows[r], &o, TCT_OK);
      CHECK(hash == whole, "row %zu, after step %d: %016llx, uninterrupted %016llx", r, (int)after,
            (unsigned long long)hash, (unsigned long long)whole);
      CHECK(run_fit(&rows[r], &o, TCT_OK) == whole, "a finished fit, resumed, is another");
      CHECK(lines[0] == '\0', "%s", lines);
      scratch_remove(folder);
    }
  }
}

/* Ends at once, as a crash does: only what was saved on the way is there. */
TEST(resume, from_checkpoints_on_the_way) {
  static const recipe r = {.device = "ref"};
  static const struct {
    int64_t every, after, resumed_at;
    double seconds;
  } rows[] = {{1, 7, 7, 0}, {3, 7, 6, 0}, {0, 7, 5, 0}, {0, 3, 0, 0}, {0, 11, 11, 1e-9}, {100, 9, 0, 0}};
  const uint64_t whole = uninterrupted(&r);
  for (size_t i = 0; i < TCT_COUNT_OF(rows); i++) {
    begin();
    interruption crash = {.after = rows[i].after, .answer = TCT_IO};
    tct_fit_options o = options_of(&r);
    o.checkpoint.every_steps = rows[i].every;
    o.checkpoint.every_seconds = rows[i].seconds;
    o.on_step = interrupt;
    o.user = &crash;
    (void)run_fit(&r, &o, TCT_IO);
    tct_checkpoint c = {0};
    if (rows[i].resumed_at > 0) {
      OK(tct_checkpoint_read(folder, &c));
    } else {
      FAILS(tct_checkpoint_read(folder, &c), TCT_NOT_FOUND, "holds no checkpoint");
    }
    CHECK(json_integer_value(json_object_get(c.run, "step")) == rows[i].resumed_at, "row %zu: a checkpoint after step %d", i,
          (int)json_integer_value(json_object_get(c.run, "step")));
    tct_checkpoint_close(&c);
    o.on_step = NULL;
    o.resume = true;
    CHECK(run_fit(&r, &o, TCT_OK) == whole, "row %zu: other bits", i);
    CHECK(count_entries(folder) <= 4, "%d files stay", count_entries(folder));
    scratch_remove(folder);
  }
}

TEST(resume, a_damaged_checkpoint_costs_the_steps_since_the_one_before) {
  static const recipe r = {.device = "ref"};
  const uint64_t whole = uninterrupted(&r);
  char path[SCRATCH_BYTES + 64];
  begin();
  interruption crash = {.after = 9, .answer = TCT_IO};
  tct_fit_options o = options_of(&r);
  o.checkpoint.every_steps = 2;
  o.on_step = interrupt;
  o.user = &crash;
  (void)run_fit(&r, &o, TCT_IO); /* checkpoints 3 and 4, after steps 6 and 8 */
  (void)snprintf(path, sizeof path, "%s/checkpoint-00000004.safetensors", folder);
  FILE *const file = fopen(path, "r+b");
  CHECK(file != NULL && fseek(file, 700, SEEK_SET) == 0 && fputs("?", file) >= 0 && fclose(file) == 0);
  o.on_step = NULL;
  o.resume = true;
  CHECK(run_fit(&r, &o, TCT_OK) == whole, "other bits");
  CHECK(strstr(lines, "'checkpoint-00000004' cannot be used") != NULL && strstr(lines, "checkpoint-00000003' is used") != NULL,
        "%s", lines);
  scratch_remove(folder);
}

/* Steps that end in the middle of an epoch, and then more of them. */
TEST(resume, a_longer_run_goes_on_where_a_shorter_one_ended) {
  for (int64_t first = 1; first < STEPS; first += 2) {
    recipe r = {.device = "ref", .constant = true};
    const uint64_t whole = uninterrupted(&r);
    begin();
    r.steps = first;
    tct_fit_options o = options_of(&r);
    (void)run_fit(&r, &o, TCT_OK);
    r.steps = 0;
    o = options_of(&r);
    o.resume = true;
    CHECK(run_fit(&r, &o, TCT_OK) == whole, "%d steps and the rest", (int)first);
    scratch_remove(folder);
  }
}

/* ---- callbacks --------------------------------------------------------------------------------------- */

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
    o.checkpoint.folder = folder;
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
    scratch_remove(folder);
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
  o.checkpoint.folder = folder;
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
      scratch_remove(folder);
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
    scratch_remove(folder);
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
    OK(tct_checkpoint_read(folder, &c));
    CHECK(json_integer_value(json_object_get(c.run, "step")) == last_good + 1 && json_is_true(json_object_get(c.run, "stopped")));
    tct_checkpoint_close(&c);
    o.resume = true;
    CHECK(run_fit(&r, &o, TCT_OK) == hash, "after step %d it goes on", (int)last_good);
    tct_callback_release(&callbacks[1]);
    scratch_remove(folder);
  }
}

/* ---- refusals ---------------------------------------------------------------------------------------- */

TEST(resume, another_run_is_refused_with_all_differences) {
  static const recipe first = {.device = "ref", .epochs = 2, .constant = true};
  static const struct {
    recipe r;
    const char *parts[4];
  } rows[] = {
      {{.device = "ref", .constant = true, .rate = 0.5, .loss_metrics = "accuracy,top_k=2"},
       {"'optimizer.learning_rate' is 0.02", "in the checkpoint, 0.5 here", "'metrics' is accuracy in the checkpoint, accuracy,top_2 here"}},
      {{.device = "ref", .constant = true, .precision = "bfloat16"}, {"'precision' is f32 in the checkpoint, bf16 here"}},
      {{.device = "ref"}, {"'schedule' is constant in the checkpoint, cosine here"}},
      {{.device = "ref", .constant = true, .dropout = 0.25}, {"rate=0.3", "in the checkpoint, 'dropout", "rate=0.25"}},
      {{.device = "ref", .constant = true, .dropout = 0.3000001}, {"1 difference", "rate=0.30000009999999"}},
      {{.device = "ref", .constant = true, .penalty = 1.0000004e-4}, {"1 difference", "p0=0.0001 ", "p0=0.0001000000"}},
      {{.device = "ref", .constant = true, .units = 9}, {"'dense/kernel' is f32[3,8] in the checkpoint, f32[3,9] here"}},
      {{.device = "ref", .constant = true, .epochs = 1}, {"1 difference", "the checkpoint is after step 10, the run ends after step 5"}},
  };
  begin();
  tct_fit_options o = options_of(&first);
  (void)run_fit(&first, &o, TCT_OK);
  for (size_t i = 0; i < TCT_COUNT_OF(rows); i++) {
    o = options_of(&rows[i].r);
    o.resume = true;
    (void)run_fit(&rows[i].r, &o, TCT_INVALID);
    for (size_t p = 0; p < TCT_COUNT_OF(rows[i].parts) && rows[i].parts[p] != NULL; p++) {
      CHECK(strstr(tct_error_message(), rows[i].parts[p]) != NULL, "row %zu lacks '%s': %s", i, rows[i].parts[p], tct_error_message());
    }
    CHECK(strstr(tct_error_message(), "going on from checkpoint") != NULL, "%s", tct_error_message());
  }
  /* Other data, other batches, no validation: the model would fit, the cursor would not. */
  tct_model *m = make_model(&first);
  tct_dataset *other = make_data(1.5f);
  o = options_of(&first);
  o.resume = true;
  FAILS(tct_fit(m, other, &o), TCT_INVALID, "'data' is 40 samples of x f32[3], y i32[]");
  CHECK(strstr(tct_error_message(), "2 differences") != NULL, "%s", tct_error_message());
  o.batch_size = 4;
  o.validation_split = 0;
  o.no_shuffle = true;
  FAILS(tct_fit(m, other, &o), TCT_INVALID, "'batch_size' is 8 in the checkpoint, 4 here");
  CHECK(strstr(tct_error_message(), "'shuffle' is true in the checkpoint, false here") != NULL, "%s", tct_error_message());
  CHECK(strstr(tct_error_message(), "'validation data' is 10 samples") != NULL, "%s", tct_error_message());
  tct_dataset *last = make_data_but(1, 39); /* of the samples that train */
  o = options_of(&first);
  o.resume = true;
  FAILS(tct_fit(m, last, &o), TCT_INVALID, "1 difference");
  tct_dataset_free(last);
  OK(tct_fit(m, other, &(tct_fit_options){.epochs = 4, .batch_size = BATCH}));
  const double loss = tct_history_value(m, 3, 0);
  o = options_of(&first);
  o.resume = true;
  o.class_weight = (const double[]){1, 2};
  o.n_class_weights = 2;
  FAILS(tct_fit(m, other, &o), TCT_INVALID, "'class_weight' is not in the checkpoint, 1: 2 here");
  o = options_of(&first);
  FAILS(tct_fit(m, other, &o), TCT_INVALID, "holds checkpoints of an earlier run, the newest checkpoint-00000002");
  CHECK(tct_history_n_epochs(m) == 4 && tct_history_n_values(m) == 2 && tct_history_value(m, 3, 0) == loss,
        "a refused fit leaves %d epochs of history", tct_history_n_epochs(m));
  tct_model_free(m);
  tct_dataset_free(other);
  scratch_remove(folder);
}

TEST(resume, settings_that_make_no_sense) {
  static const struct {
    tct_fit_options o;
    const char *part;
  } rows[] = {{{.resume = true}, "to resume needs a folder"},
              {{.checkpoint = {.every_steps = 5}}, "checkpoint has settings, but not a folder"},
              {{.checkpoint = {.folder = "x", .every_steps = -1}}, "every_steps is -1"},
              {{.checkpoint = {.folder = "x", .every_seconds = (double)NAN}}, "every_seconds nan"},
              {{.checkpoint = {.folder = "x", .keep = 1}}, "keep is 1, needs 2"},
              {{.checkpoint = {.folder = "/dev/null/x"}}, "cannot create the folder"}};
  tct_dataset *data = make_data(1);
  tct_model *m = make_model(&(recipe){.device = "ref"});
  for (size_t i = 0; i < TCT_COUNT_OF(rows); i++) {
    const tct_status status = tct_fit(m, data, &rows[i].o);
    CHECK(status != TCT_OK && strstr(tct_error_message(), rows[i].part) != NULL, "row %zu: %s", i, tct_error_message());
  }
  tct_model_free(m);
  tct_dataset_free(data);
}

/* Wherever memory ends, the model's history is the old one or the new one, never half of one. */
TEST(resume, a_fit_that_fails_leaves_a_whole_history) {
  tct_dataset *data = make_data(1);
  tct_model *m = make_model(&(recipe){.device = "ref"});
  const tct_fit_options o = {.epochs = 2, .batch_size = BATCH};
  OK(tct_fit(m, data, &o));
  bool struck = true;
  for (int64_t nth = 1; struck; nth++) {
    (void)fault_alloc(nth);
    const tct_status status = tct_fit(m, data, &o);
    struck = fault_alloc(0);
    CHECK(status == (struck ? TCT_OUT_OF_MEMORY : TCT_OK) && nth < 200, "allocation %d: %s", (int)nth, tct_error_message());
    CHECK(tct_history_name(m, 0) != NULL && strcmp(tct_history_name(m, 0), "loss") == 0 && tct_history_n_values(m) == 2,
          "allocation %d", (int)nth);
  }
  tct_model_free(m);
  tct_dataset_free(data);
}

/* A body with a true checksum whose counters are not those of any run. */
TEST(resume, hostile_counters) {
  static const recipe r = {.device = "ref", .constant = true};
  static const struct {
    const char *key;
    json_int_t value;
  } rows[] = {{"epoch", 1}, {"epoch", 4000000000}, {"epoch", -1}, {"epoch_step", 1}, {"epoch_step", 6}, {"step", 14},
              {"step", INT64_MAX}, {"stopped", 1}, {"callbacks", 0}};
  for (size_t i = 0; i < TCT_COUNT_OF(rows); i++) {
    begin();
    tct_fit_options o = options_of(&r);
    (void)run_fit(&r, &o, TCT_OK);
    tct_checkpoint c;
    OK(tct_checkpoint_read(folder, &c));
    CHECK(json_object_set_new(c.run, rows[i].key, json_integer(rows[i].value)) == 0);
    char *const text = json_dumps(c.run, JSON_COMPACT);
    const size_t n = tct_safetensors_count(c.tensors);
    tct_named_array *const arrays = malloc(n * sizeof *arrays);
    CHECK(text != NULL && arrays != NULL);
    for (size_t a = 0; a < n; a++) arrays[a] = *tct_safetensors_at(c.tensors, a);
    int64_t number = 0;
    OK(tct_checkpoint_write(folder, arrays, n, text, &number));
    o.resume = true;
    const uint64_t hash = run_fit(&r, &o, rows[i].value == INT64_MAX ? TCT_INVALID : TCT_BAD_DATA);
    CHECK(hash != 0 && strstr(tct_error_message(), "checkpoint-00000004") != NULL, "%s", tct_error_message());
    free(arrays);
    free(text);
    tct_checkpoint_close(&c);
    scratch_remove(folder);
  }
}

/* ---- a disk that is full ----------------------------------------------------------------------------- */

static tct_status fill_disk(void *user, int64_t step, double loss) {
  (void)user, (void)loss;
  (void)fault_file(step == 3 || step == STEPS - 1 ? 4 : 0, ENOSPC); /* a write of the next save */
  return TCT_OK;
}

TEST(resume, a_failed_save_is_said_and_tried_again_and_the_last_one_counts) {
  static const recipe r = {.device = "ref"};
  begin();
  tct_fit_options o = options_of(&r);
  o.checkpoint.every_steps = 4;
  o.on_step = fill_disk;
  (void)run_fit(&r, &o, TCT_IO);
  CHECK(strstr(tct_error_message(), "No space left") != NULL && strstr(tct_error_message(), "after step 15") != NULL, "%s",
        tct_error_message());
  (void)fault_file(0, 0);
  CHECK(strstr(lines, "No space left") != NULL && strstr(lines, "goes on without this checkpoint") != NULL, "%s", lines);
  o.on_step = NULL;
  o.resume = true;
  CHECK(run_fit(&r, &o, TCT_OK) == uninterrupted(&r), "other bits");
  scratch_remove(folder);
}
