/* Callbacks: which hooks run when and on what, how they end a fit, what they may not do, and their states as one text. */
#include <tercet/tercet.h>
#include "base/text.h"
#include "faults.h"
#include "test.h"
#include "train/callbacks.h"

enum { N = 24 };

static tct_dataset *line(void) {
  static float x[N][2], y[N][1];
  for (int i = 0; i < N; i++) {
    x[i][0] = sinf((float)i);
    x[i][1] = cosf((float)(3 * i));
    y[i][0] = 3 * x[i][0] - 2 * x[i][1] + 1;
  }
  tct_dataset *data = NULL;
  OK(tct_dataset_arrays(N, 2, (const tct_field[]){{"x", TCT_F32, TCT_SHAPE(2)}, {"y", TCT_F32, TCT_SHAPE(1)}},
                        (const void *[]){x, y}, true, &data));
  return data;
}

static tct_model *linear(void) {
  tct_model *m = tct_model_create("line", TCT_F32);
  tct_layer_dense(tct_layer_input(m, "x", TCT_F32, TCT_SHAPE(2)), &(tct_dense_layer){.units = 1});
  OK(tct_model_compile(m, &(tct_training){.loss = "mse", .metrics = "mae", .optimizer = {.type = "sgd", .learning_rate = 0.1}}));
  return m;
}

/* Writes down what happens, and does one thing at one moment. */
typedef struct witness {
  char letter;
  char *seen; /* shared: "aBs…" in order; [512] */
  const char *at; /* hook in which `act` happens */
  int64_t step;   /* and the total step, or any when < 0 */
  tct_status (*act)(tct_model *model);
  tct_status outcome;
  double loss_sum;
  int64_t last_epoch;
} witness;

static tct_status saw(witness *w, const char *hook, tct_model *model, const tct_progress *p) {
  snprintf(w->seen + strlen(w->seen), 512 - strlen(w->seen), "%c%c ", w->letter, hook[0]);
  return w->act != NULL && strcmp(hook, w->at) == 0 && (w->step < 0 || w->step == p->total_step) ? w->act(model) : TCT_OK;
}
static tct_status on_begin(void *user, tct_model *model, const tct_progress *p) {
  CHECK(p->total_step == 0 && p->steps == 3 && !p->resumed && p->n_values == 4 && p->learning_rate == 0.1);
  return saw(user, "begin", model, p);
}
static tct_status on_step(void *user, tct_model *model, const tct_progress *p) {
  witness *w = user;
  CHECK(!p->epoch_end && p->n_values == 2 && strcmp(p->names[0], "loss") == 0 && strcmp(p->names[1], "mae") == 0);
  CHECK(p->step == (p->total_step - 1) % 3 + 1 && p->epoch == (p->total_step - 1) / 3, "step %lld of epoch %lld",
        (long long)p->step, (long long)p->epoch);
  w->loss_sum = p->step == 1 ? p->step_loss : w->loss_sum + p->step_loss;
  CHECK(fabs(p->values[0] - w->loss_sum / (double)p->step) < 1e-6, "mean %g, of losses that sum to %g", p->values[0], w->loss_sum);
  return saw(w, "step", model, p);
}
static tct_status on_epoch(void *user, tct_model *model, const tct_progress *p) {
  witness *w = user;
  CHECK(p->epoch_end && p->n_values == 4 && strcmp(p->names[2], "val_loss") == 0);
  w->last_epoch = p->epoch;
  return saw(w, "epoch", model, p);
}
static tct_status on_end(void *user, tct_model *model, const tct_progress *p, tct_status outcome) {
  witness *w = user;
  w->outcome = outcome;
  return saw(w, "finish", model, p);
}
static tct_callback callback_of(witness *w, const char *name) {
  return (tct_callback){.name = name, .user = w, .train_begin = on_begin, .step_end = on_step, .epoch_end = on_epoch,
                        .train_end = on_end};
}

static tct_status cancel(tct_model *model) { return (void)model, TCT_CANCELLED; }
static tct_status stop(tct_model *model) { return tct_fit_stop(model), TCT_OK; }
static tct_status fail_plainly(tct_model *model) { return (void)model, TCT_IO; }
static tct_status fit_again(tct_model *model) {
  tct_dataset *data = line();
  const tct_status status = tct_fit(model, data, NULL);
  tct_dataset_free(data);
  return status;
}
static tct_status compile_again(tct_model *model) { return tct_model_compile(model, &(tct_training){.loss = "mse"}); }
static tct_status free_it(tct_model *model) { return tct_model_free(model), TCT_OK; }
static tct_status evaluate_it(tct_model *model) {
  tct_evaluation e;
  tct_dataset *data = line();
  const tct_status status = tct_evaluate(model, data, 5, &e);
  tct_dataset_free(data);
  return status;
}

#define EPOCH "as bs as bs as bs ae be "

TEST(callbacks, run_in_order_and_end_a_fit) {
  static const struct {
    const char *at;
    int64_t step;
    tct_status (*act)(tct_model *model);
    tct_status status;
    const char *message, *seen;
  } rows[] = {
      {"", -1, NULL, TCT_OK, "", "ab bb " EPOCH EPOCH "af bf "},
      {"step", 2, evaluate_it, TCT_OK, "", "ab bb " EPOCH EPOCH "af bf "},
      {"step", 4, stop, TCT_OK, "", "ab bb " EPOCH "as bs ae be af bf "},
      {"epoch", -1, stop, TCT_OK, "", "ab bb " EPOCH "af bf "},
      {"begin", -1, stop, TCT_OK, "", "ab bb af bf "},
      {"step", 2, cancel, TCT_CANCELLED, "cancelled by callback 'first' (step_end)", "ab bb as bs as bs af bf "},
      {"epoch", -1, cancel, TCT_CANCELLED, "cancelled by callback 'first' (epoch_end)", "ab bb " EPOCH "af bf "},
      {"begin", -1, cancel, TCT_CANCELLED, "cancelled by callback 'first' (train_begin)", "ab af "},
      {"epoch", -1, fail_plainly, TCT_IO, "callback 'first' failed (epoch_end)", "ab bb as bs as bs as bs ae af bf "},
      {"finish", -1, fail_plainly, TCT_IO, "callback 'first' failed (train_end)", "ab bb " EPOCH EPOCH "af bf "},
      {"step", 1, fit_again, TCT_INVALID, "model 'line' is in tct_fit already", "ab bb as af bf "},
      {"step", 1, compile_again, TCT_INVALID, "compile it after the fit has returned", "ab bb as af bf "},
      {"step", 1, free_it, TCT_INVALID, "model 'line' was freed while tct_fit trains it", "ab bb as af bf "},
      {"finish", -1, free_it, TCT_INVALID, "free it after tct_fit has returned", "ab bb " EPOCH EPOCH "af bf "},
  };
  tct_dataset *data = line();
  for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
    char seen[512] = "";
    tct_model *m = linear();
    witness a = {.letter = 'a', .seen = seen, .at = rows[r].at, .step = rows[r].step, .act = rows[r].act, .outcome = TCT_N_STATUS};
    witness b = {.letter = 'b', .seen = seen, .outcome = TCT_N_STATUS};
    const tct_callback callbacks[] = {callback_of(&a, "first"), callback_of(&b, "second")};
    const tct_status status = tct_fit(m, data, &(tct_fit_options){.epochs = 2, .batch_size = 8, .validation = data,
                                                                  .callbacks = callbacks, .n_callbacks = 2});
    CHECK(status == rows[r].status, "row %zu: status %d: %s", r, (int)status, tct_error_message());
    CHECK(status == TCT_OK || strstr(tct_error_message(), rows[r].message), "row %zu: %s", r, tct_error_message());
    CHECK(strcmp(seen, rows[r].seen) == 0, "row %zu:\n%s, wanted\n%s", r, seen, rows[r].seen);
    const tct_status heard = strcmp(rows[r].at, "finish") == 0 ? TCT_OK : rows[r].status;
    CHECK(a.outcome == heard, "row %zu: the first callback heard %d", r, (int)a.outcome);
    OK(tct_fit(m, data, &(tct_fit_options){.batch_size = 8})); /* the model is whole after any of them */
    CHECK(tct_history_n_epochs(m) == 1);
    tct_model_free(m);
  }
  tct_dataset_free(data);
}

TEST(callbacks, names_are_checked_and_stops_outside_a_fit_ignored) {
  tct_dataset *data = line();
  tct_model *m = linear();
  const tct_callback twins[] = {{.name = "log"}, {.name = "log"}}, nameless = {0};
  FAILS(tct_fit(m, data, &(tct_fit_options){.callbacks = twins, .n_callbacks = 2}), TCT_INVALID,
        "callbacks 0 and 1 are both named 'log'");
  FAILS(tct_fit(m, data, &(tct_fit_options){.callbacks = &nameless, .n_callbacks = 1}), TCT_INVALID, "callback 0 has no name");
  FAILS(tct_fit(m, data, &(tct_fit_options){.n_callbacks = 1}), TCT_INVALID, "callbacks NULL");
  tct_fit_stop(NULL);
  tct_fit_stop(m);
  OK(tct_fit(m, data, &(tct_fit_options){.epochs = 2, .callbacks = twins, .n_callbacks = 1, .batch_size = 8}));
  CHECK(tct_history_n_epochs(m) == 2);
  tct_model_free(m);
  tct_dataset_free(data);
}

/* A loss that is not finite is an error, unless a callback ends the fit for it. */
TEST(callbacks, terminate_on_nan_ends_without_an_error) {
  tct_dataset *data = line();
  for (int with = 0; with < 2; with++) {
    tct_callback c;
    tct_model *m = linear();
    OK(tct_terminate_on_nan_create(NULL, &c));
    OK(tct_learning_rate_set(m, 1e6));
    const tct_fit_options options = {.epochs = 50, .batch_size = 8, .callbacks = &c, .n_callbacks = with};
    if (with) {
      OK(tct_fit(m, data, &options));
      CHECK(tct_history_n_epochs(m) < 50 && !isfinite(tct_history_value(m, tct_history_n_epochs(m) - 1, 0)));
    } else {
      FAILS(tct_fit(m, data, &options), TCT_NUMERIC, "at step");
    }
    tct_callback_release(&c);
    tct_model_free(m);
  }
  tct_dataset_free(data);
}

/* ---- states ---- */

typedef struct memory {
  char text[128];
  bool loaded;
} memory;

static tct_status keep(void *user, char *text, size_t bytes) {
  return (size_t)snprintf(text, bytes, "%s", ((memory *)user)->text) < bytes ? TCT_OK : TCT_INVALID;
}
static tct_status recall(void *user, const char *text) {
  memory *m = user;
  m->loaded = true;
  return strcmp(text, m->text) == 0 ? TCT_OK : TCT_BAD_DATA;
}

/* A state's own save clears the error record; what ran out of memory before it is not forgotten. */
TEST(callbacks, states_say_what_ran_out_of_memory) {
  memory a = {"{\"wait\": 3}", false};
  char many[400];
  memset(many, 'n', sizeof many);
  many[sizeof many - 1] = '\0';
  const tct_callback callbacks[] = {{.name = many, .user = &a, .save_state = keep}, {.name = "b", .user = &a, .save_state = keep}};
  bool struck = true;
  int64_t nth = 1;
  for (; struck; nth++) {
    tct_text text = {0};
    tct_error_clear();
    (void)fault_alloc(nth);
    const tct_status status = tct_callbacks_save(callbacks, 2, &text);
    struck = fault_alloc(0);
    CHECK(struck == (status != TCT_OK) && status == (struck ? TCT_OUT_OF_MEMORY : TCT_OK) && tct_error_status() == status, "allocation %d: %s, recorded %s", (int)nth,
          tct_status_name(status), tct_status_name(tct_error_status()));
    tct_text_free(&text);
  }
  CHECK(nth > 4, "%d", (int)nth);
}

TEST(callbacks, states_round_trip) {
  memory a = {"{\"wait\": 3, \"best\": 0.10000000000000001}", false}, b = {"[1, null, \"\\\"x\\\"\"]", false};
  tct_callback callbacks[] = {{.name = "a \"quoted\" name", .user = &a, .save_state = keep, .load_state = recall},
                              {.name = "stateless"},
                              {.name = "b", .user = &b, .save_state = keep, .load_state = recall},
                              {.name = "new", .user = &b, .load_state = recall}};
  tct_text text = {0};
  OK(tct_callbacks_save(callbacks, 3, &text));
  OK(tct_callbacks_load(callbacks, 4, text.data, text.length));
  CHECK(a.loaded && b.loaded, "%s", text.data);
  snprintf(b.text, sizeof b.text, "[2]");
  FAILS(tct_callbacks_load(callbacks, 4, text.data, text.length), TCT_BAD_DATA, "callback 'b' failed (load_state)");
  tct_text_free(&text);
  snprintf(a.text, sizeof a.text, "no JSON");
  FAILS(tct_callbacks_save(callbacks, 3, &text), TCT_INVALID, "its state is not JSON");
  snprintf(a.text, sizeof a.text, "{\"wait\": 1, \"wait\": 2}"); /* which loading would refuse */
  FAILS(tct_callbacks_save(callbacks, 3, &text), TCT_INVALID, "its state is not JSON");
  FAILS(tct_callbacks_load(callbacks, 4, "[]", 2), TCT_BAD_DATA, "no JSON object");
  FAILS(tct_callbacks_load(callbacks, 4, "{\"a\":", 5), TCT_BAD_DATA, "no JSON object");
  tct_text_free(&text);
  tct_callback_release(&callbacks[1]);
  CHECK(callbacks[1].name == NULL);
  tct_callback_release(NULL);
}
