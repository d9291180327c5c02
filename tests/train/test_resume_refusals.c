/* What is no continuation of the checkpoint is refused, with all that differs; a fit that fails leaves what was there. */
#include <tercet/tercet.h>

#include <errno.h>

#include "base/alloc.h"
#include "base/status.h"
#include "faults.h"
#include "io/checkpoint.h"
#include "test.h"
#include "train/resume.h"

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
  scratch_remove(resume_folder());
}

TEST(resume, settings_that_make_no_sense) {
  static const struct {
    tct_fit_options o;
    const char *part;
  } rows[] = {{{.resume = true}, "to resume needs a folder"},
              {{.checkpoint = {.every_steps = 5}}, "checkpoint has settings, but not a folder"},
              {{.checkpoint = {.every_seconds = 5}}, "checkpoint has settings, but not a folder"},
              {{.checkpoint = {.keep = 5}}, "checkpoint has settings, but not a folder"},
              {{.checkpoint = {.folder = "x", .keep = 65}}, "keep is 65, needs 2"},
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

/* A body with a true checksum whose counters, or tensors, are not those of any run. */
static const tct_desc f64s = {TCT_F64, {.rank = 1, .dim = {1}}}, one_f32 = {TCT_F32, {0}};
static const struct {
  const char *key;
  const char *json;     /* what the run says of the key; NULL: nothing */
  const char *tensor;   /* NULL: all stay as they are */
  const tct_desc *desc; /* in place of the tensor's own; NULL: it is not there */
  tct_status status;
  const char *message; /* or of the log, when the run goes on */
} hostile[] = {
    {"epoch", "1", NULL, NULL, TCT_BAD_DATA, "its counters, sums or history are not those of any run"},
    {"epoch", "4000000000", NULL, NULL, TCT_BAD_DATA, "its counters"},
    {"epoch", "-1", NULL, NULL, TCT_BAD_DATA, "its counters"},
    {"epoch", NULL, NULL, NULL, TCT_BAD_DATA, "its counters"},
    {"epoch_step", "1", NULL, NULL, TCT_BAD_DATA, "its counters"},
    {"epoch_step", "6", NULL, NULL, TCT_BAD_DATA, "its counters"},
    {"epoch_step", "1.5", NULL, NULL, TCT_BAD_DATA, "its counters"},
    {"step", "14", NULL, NULL, TCT_BAD_DATA, "its counters"},
    {"step", NULL, NULL, NULL, TCT_BAD_DATA, "its counters"},
    {"step", "9223372036854775807", NULL, NULL, TCT_INVALID, "the run ends after step 15"},
    {"stopped", "1", NULL, NULL, TCT_BAD_DATA, "its counters"},
    {"stopped", NULL, NULL, NULL, TCT_BAD_DATA, "its counters"},
    {"callbacks", "0", NULL, NULL, TCT_BAD_DATA, "its counters"},
    {"callbacks", "\"no JSON\"", NULL, NULL, TCT_BAD_DATA, "callbacks"},
    {"settings", NULL, NULL, NULL, TCT_INVALID, "differences"},
    {"x", NULL, "learning_rate", NULL, TCT_BAD_DATA, "its counters, sums"},
    {"x", NULL, "learning_rate", &one_f32, TCT_BAD_DATA, "its counters, sums"},
    {"x", NULL, "totals", NULL, TCT_BAD_DATA, "its counters, sums"},
    {"x", NULL, "totals", &f64s, TCT_BAD_DATA, "its counters, sums"},
    {"x", NULL, "history", NULL, TCT_BAD_DATA, "its counters, sums"},
    {"x", NULL, "history", &f64s, TCT_BAD_DATA, "its counters, sums"},
    {"x", NULL, "dense/kernel", NULL, TCT_INVALID, "1 difference\n'dense/kernel' is not in the checkpoint"},
    {"x", NULL, "dense/kernel", &one_f32, TCT_INVALID, "'dense/kernel' is f32[] in the checkpoint, f32[3,8] here"},
    {"x", NULL, "more", &one_f32, TCT_INVALID, "'more' of the checkpoint is not here"},
    {"device", "\"abacus\"", NULL, NULL, TCT_OK, "made on device 'abacus', the run goes on on 'ref"},
    {"device", NULL, NULL, NULL, TCT_OK, ""},
};

/* Writes the newest checkpoint again, as the row says. */
static void falsify(size_t row) {
  static const double numbers[16];
  tct_checkpoint c;
  int64_t number = 0;
  OK(tct_checkpoint_read(resume_folder(), &c));
  (void)json_object_del(c.run, hostile[row].key);
  if (hostile[row].json != NULL) {
    CHECK(json_object_set_new(c.run, hostile[row].key, json_loads(hostile[row].json, JSON_DECODE_ANY, NULL)) == 0);
  }
  char *const text = json_dumps(c.run, JSON_COMPACT);
  const size_t n = tct_safetensors_count(c.tensors);
  tct_named_array *const arrays = malloc((n + 1) * sizeof *arrays);
  CHECK(text != NULL && arrays != NULL);
  size_t kept = 0;
  for (size_t a = 0; a < n; a++) {
    const tct_named_array *const array = tct_safetensors_at(c.tensors, a);
    if (hostile[row].tensor == NULL || strcmp(array->name, hostile[row].tensor) != 0) arrays[kept++] = *array;
  }
  if (hostile[row].desc != NULL) arrays[kept++] = (tct_named_array){hostile[row].tensor, *hostile[row].desc, numbers};
  OK(tct_checkpoint_write(resume_folder(), arrays, kept, text, &number));
  free(arrays);
  free(text);
  tct_checkpoint_close(&c);
}

TEST(resume, hostile_checkpoints) {
  static const recipe r = {.device = "ref", .constant = true};
  for (size_t i = 0; i < TCT_COUNT_OF(hostile); i++) {
    begin();
    tct_fit_options o = options_of(&r);
    tct_callback with_state;
    OK(tct_early_stopping_create(&(tct_early_stopping_options){.patience = 9}, &with_state));
    o.callbacks = &with_state;
    o.n_callbacks = 1;
    (void)run_fit(&r, &o, TCT_OK);
    falsify(i);
    o.resume = true;
    (void)run_fit(&r, &o, hostile[i].status);
    const char *const said = hostile[i].status == TCT_OK ? resume_log() : tct_error_message();
    CHECK(strstr(said, hostile[i].message) != NULL, "row %zu: %s", i, said);
    CHECK(hostile[i].status == TCT_OK || strstr(said, "checkpoint-00000004") != NULL, "row %zu: %s", i, said);
    tct_callback_release(&with_state);
    scratch_remove(resume_folder());
  }
}

static tct_status fit_once(const recipe *r, const tct_fit_options *o, tct_dataset *data) {
  tct_model *m = make_model(r);
  const tct_status status = tct_fit(m, data, o);
  tct_model_free(m);
  return status;
}

/* How many allocations there were before the checkpoint after the last step. */
static tct_status note_allocations(void *user, int64_t step, double loss) {
  (void)loss;
  if (step == PER_EPOCH - 1) *(int64_t *)user = tct_alloc_count();
  return TCT_OK;
}

/* The next one to fail: all of those of a save and of the end, where it restores or says why not; ever fewer of the others. */
static int64_t after(int64_t nth, int64_t save, int64_t end) {
  if (nth >= end - 250 || (nth >= save && nth < save + 250)) return nth + 1;
  const int64_t next = nth + 1 + nth / 30;
  return nth < save && next > save ? save : next;
}

/* Each allocation of a fit that saves, of one that goes on, and of one that is refused. make_model is not under test. */
TEST(resume, every_allocation_of_saving_and_going_on_fails_in_turn) {
  static const recipe r = {.device = "ref", .constant = true, .epochs = 1}, other = {.device = "ref", .constant = true, .epochs = 1, .rate = 0.5};
  tct_dataset *data = make_data(1);
  for (int what = 0; what < 3; what++) {
    begin();
    tct_set_log(NULL, NULL, TCT_LOG_WARNING);
    tct_fit_options o = options_of(&r);
    tct_callback callback;
    OK(tct_early_stopping_create(&(tct_early_stopping_options){.patience = 9, .restore_best_weights = true}, &callback));
    o.callbacks = &callback;
    o.n_callbacks = 1;
    if (what > 0) OK(fit_once(&r, &o, data));
    o.resume = what > 0;
    o.checkpoint.every_steps = PER_EPOCH;
    o.on_step = note_allocations;
    int64_t mark = 0, ignored = 0, nth = 1;
    o.user = &mark;
    bool struck = true;
    fault_pieces(true);
    tct_model *whole = make_model(what == 2 ? &other : &r);
    const int64_t before = tct_alloc_count();
    CHECK(tct_fit(whole, data, &o) == (what == 2 ? TCT_INVALID : TCT_OK));
    const int64_t n = tct_alloc_count() - before;
    tct_model_free(whole);
    if (what == 0) scratch_remove(resume_folder());
    o.user = &ignored;
    for (; struck; nth = after(nth, mark - before, n)) {
      tct_model *m = make_model(what == 2 ? &other : &r);
      (void)fault_alloc(nth);
      const tct_status status = tct_fit(m, data, &o);
      struck = fault_alloc(0);
      CHECK(status == TCT_OUT_OF_MEMORY ? struck : status == (what == 2 ? TCT_INVALID : TCT_OK), "%d, allocation %d: %s: %s", what, (int)nth,
            tct_status_name(status), tct_error_message());
      tct_model_free(m);
      if (what == 0) {
        scratch_remove(resume_folder());
      }
    }
    fault_pieces(false);
    CHECK(nth > 100, "%d: only %d allocations", what, (int)nth);
    tct_callback_release(&callback);
    scratch_remove(resume_folder());
  }
  tct_dataset_free(data);
}

/* A reader that fails is no checkpoint that is damaged: the fit ends with the error, and all files stay. */
TEST(resume, every_file_call_of_going_on_fails_in_turn) {
  static const recipe r = {.device = "ref", .constant = true, .epochs = 1};
  tct_dataset *data = make_data(1);
  begin();
  tct_set_log(NULL, NULL, TCT_LOG_WARNING);
  tct_fit_options o = options_of(&r);
  OK(fit_once(&r, &o, data));
  const int entries = count_entries(resume_folder());
  o.resume = true;
  bool struck = true;
  int64_t nth = 1, n_failed = 0;
  for (; struck; nth++) {
    (void)fault_file(nth, EIO);
    const tct_status status = fit_once(&r, &o, data);
    struck = fault_file(0, 0);
    n_failed += status != TCT_OK;
    CHECK(status == TCT_OK || (struck && status == TCT_IO), "call %d (%s): %s", (int)nth, fault_file_call(), tct_error_message());
    CHECK(count_entries(resume_folder()) == entries, "call %d (%s)", (int)nth, fault_file_call());
  }
  CHECK(n_failed >= 6 && nth < 100, "%d of %d calls", (int)n_failed, (int)nth);
  tct_dataset_free(data);
  scratch_remove(resume_folder());
}

/* What a callback keeps with the weights comes and goes with it. */
TEST(resume, best_weights_travel_in_checkpoints) {
  static const recipe r = {.device = "ref", .constant = true, .epochs = 2}, longer = {.device = "ref", .constant = true, .epochs = 3};
  begin();
  tct_fit_options o = options_of(&r);
  tct_callback keeping;
  OK(tct_early_stopping_create(&(tct_early_stopping_options){.patience = 9, .restore_best_weights = true}, &keeping));
  o.callbacks = &keeping;
  o.n_callbacks = 1;
  (void)run_fit(&r, &o, TCT_OK);
  tct_checkpoint c;
  OK(tct_checkpoint_read(resume_folder(), &c));
  CHECK(tct_safetensors_find(c.tensors, "callbacks/early_stopping/dense/kernel") != NULL);
  tct_checkpoint_close(&c);
  o = options_of(&longer);
  o.resume = true;
  o.callbacks = &keeping;
  o.n_callbacks = 1;
  (void)run_fit(&longer, &o, TCT_OK);
  tct_callback_release(&keeping);
  scratch_remove(resume_folder());

  /* A model that has such weights goes on from a checkpoint without them. */
  begin();
  tct_dataset *data = make_data(1);
  o = options_of(&r);
  (void)run_fit(&r, &o, TCT_OK);
  tct_model *m = make_model(&longer);
  OK(tct_early_stopping_create(&(tct_early_stopping_options){.patience = 9, .restore_best_weights = true}, &keeping));
  tct_fit_options before = {.epochs = 1, .batch_size = BATCH, .validation_split = 0.2, .callbacks = &keeping, .n_callbacks = 1};
  OK(tct_fit(m, data, &before));
  o = options_of(&longer);
  o.resume = true;
  OK(tct_fit(m, data, &o));
  CHECK(tct_history_n_epochs(m) == 3);
  tct_callback_release(&keeping);
  tct_model_free(m);
  tct_dataset_free(data);
  scratch_remove(resume_folder());
}

/* By the clock; more than two are kept when asked for. */
TEST(resume, checkpoints_by_the_clock) {
  static const recipe r = {.device = "ref", .constant = true};
  begin();
  tct_fit_options o = options_of(&r);
  o.checkpoint.every_seconds = 1e-9;
  o.checkpoint.keep = 4;
  (void)run_fit(&r, &o, TCT_OK);
  CHECK(count_entries(resume_folder()) == 8, "%d", count_entries(resume_folder()));
  int64_t newest = 0;
  OK(tct_checkpoint_newest(resume_folder(), &newest));
  CHECK(newest >= STEPS, "%d", (int)newest);
  scratch_remove(resume_folder());
  begin();
  o.checkpoint.every_seconds = 1e9;
  (void)run_fit(&r, &o, TCT_OK);
  OK(tct_checkpoint_newest(resume_folder(), &newest));
  CHECK(newest == 1, "only at the end: %d", (int)newest);
  scratch_remove(resume_folder());
}
