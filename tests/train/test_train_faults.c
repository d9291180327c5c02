/* Memory that runs out, and files that fail, at every point of a training program's life: an error comes out, nothing leaks,
 * what was there before is whole, and what failed can be tried again. TERCET_FAULTS=all tries every point of the long
 * scenarios, which .ci/faults.sh does; else they are sampled. */
#include <tercet/tercet.h>

#include <errno.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/status.h"
#include "faults.h"
#include "test.h"

enum { N = 8, SIDE = 8 };

static char folder[SCRATCH_BYTES];

static const char *in_folder(const char *name) {
  static char paths[4][SCRATCH_BYTES + 64];
  static int turn;
  char *const path = paths[turn++ % 4];
  (void)snprintf(path, sizeof paths[0], "%s/%s", folder, name);
  return path;
}

/* ---- a small CNN ------------------------------------------------------------------------------------- */

typedef struct rig {
  tct_dataset *data;
  tct_model *model;
  tct_fit_options fit;
} rig;

static tct_status make_data(tct_dataset **out) {
  static float x[N][SIDE][SIDE][1];
  static int32_t y[N];
  for (int i = 0; i < N; i++) {
    for (int p = 0; p < SIDE * SIDE; p++) x[i][p / SIDE][p % SIDE][0] = sinf((float)(i * 64 + p));
    y[i] = i % 3;
  }
  return tct_dataset_arrays(N, 2, (const tct_field[]){{"x", TCT_F32, TCT_SHAPE(SIDE, SIDE, 1)}, {"y", TCT_I32, {0}}},
                            (const void *[]){x, y}, false, out);
}

static tct_status build(rig *r) {
  TCT_TRY(make_data(&r->data));
  r->model = tct_model_create("cnn", TCT_F32);
  tct_layer x = tct_layer_input(r->model, "x", TCT_F32, TCT_SHAPE(SIDE, SIDE, 1));
  x = tct_layer_conv2d(x, &(tct_conv2d_layer){.filters = 4, .kernel_size = {{3, 3}}, .activation = "relu"});
  x = tct_layer_batch_normalization(x, &(tct_batch_normalization_layer){.momentum = 0.9});
  x = tct_layer_max_pooling2d(x, &(tct_max_pooling2d_layer){.pool_size = {{2, 2}}});
  x = tct_layer_flatten(x, NULL);
  x = tct_layer_dropout(x, &(tct_dropout_layer){.rate = 0.1});
  (void)tct_layer_dense(x, &(tct_dense_layer){.units = 3, .activation = "softmax"});
  return tct_model_status(r->model);
}

static tct_status compile(rig *r) {
  return tct_model_compile(r->model, &(tct_training){.loss = "sparse_categorical_crossentropy", .metrics = "accuracy",
                                                     .n_threads = 2, .seed = 3});
}

static tct_status fit(rig *r) { return tct_fit(r->model, r->data, &r->fit); }
static tct_status save(rig *r) { return tct_model_save(r->model, in_folder("model.safetensors"), "job"); }
static tct_status load(rig *r) { return tct_model_load(r->model, in_folder("model.safetensors")); }

static tct_status evaluate(rig *r) {
  tct_evaluation e;
  return tct_evaluate(r->model, r->data, 3, &e);
}

static void end(rig *r) {
  tct_model_free(r->model);
  tct_dataset_free(r->data);
  *r = (rig){0};
}

static uint64_t hash_of(tct_model *model) {
  uint64_t hash = 1469598103934665603u;
  static unsigned char bytes[1 << 16];
  for (int32_t i = 0; i < tct_model_n_parameters(model); i++) {
    const tct_parameter *const p = tct_model_parameter(model, i);
    const size_t n = (size_t)tct_shape_size(&p->desc.shape) * tct_dtype_bytes(p->desc.dtype);
    CHECK(n <= sizeof bytes);
    OK(tct_model_read(model, p->name, bytes, n));
    for (size_t b = 0; b < n; b++) hash = (hash ^ bytes[b]) * 1099511628211u;
  }
  return hash;
}

/* ---- scenarios --------------------------------------------------------------------------------------- */

static bool has_struck; /* the fault, before it was taken away for another try */

/* What failed for want of memory succeeds, with the same objects, when there is some. */
static tct_status retried(rig *r, tct_status (*call)(rig *)) {
  const tct_status status = call(r);
  if (status == TCT_OK) return TCT_OK;
  has_struck = fault_alloc(0);
  OK(call(r));
  return status;
}

static tct_status whole_life(uint64_t *out_hash) {
  rig r = {.fit = {.batch_size = 4, .epochs = 1}};
  tct_status status = build(&r);
  if (status == TCT_OK) status = retried(&r, compile);
  if (status == TCT_OK) status = retried(&r, fit);
  if (status == TCT_OK) status = retried(&r, evaluate);
  if (status == TCT_OK) *out_hash = hash_of(r.model);
  end(&r);
  return status;
}

static tct_status save_and_load(uint64_t *out_hash) {
  rig r = {0};
  tct_status status = build(&r);
  if (status == TCT_OK) status = compile(&r);
  if (status == TCT_OK) status = retried(&r, save);
  if (status == TCT_OK) status = retried(&r, load);
  if (status == TCT_OK) *out_hash = hash_of(r.model);
  end(&r);
  return status;
}

/* Two steps, then two more in another model: the same as four. */
static tct_status checkpoint_and_resume(uint64_t *out_hash) {
  tct_status status = TCT_OK;
  scratch_remove(in_folder("run"));
  for (int part = 0; part < 2 && status == TCT_OK; part++) {
    rig r = {.fit = {.batch_size = 4, .epochs = 2, .steps = part == 0 ? 2 : 4, .resume = part == 1,
                     .checkpoint = {.folder = in_folder("run"), .every_steps = 1}}};
    status = build(&r);
    if (status == TCT_OK) status = compile(&r);
    if (status == TCT_OK) status = fit(&r);
    if (status == TCT_OK && part == 1) *out_hash = hash_of(r.model);
    end(&r);
  }
  return status;
}

static tct_status read_job(uint64_t *out_hash) {
  static const char text[] = "data: {type: glyphs, samples: 12, standardize: true, test: {samples: 5}}\n"
                             "model: {layers: [Flatten, {Dense: {units: $width, activation: softmax}}], width: 10}\n"
                             "loss: {type: sparse_categorical_crossentropy, label_smoothing: 0.1}\n"
                             "optimizer: {type: sgd, momentum: 0.9}\nmetrics: [accuracy, top_k: 2]\n"
                             "callbacks: [TerminateOnNaN]\ncheckpoint: {folder: nowhere}\n";
  static const char *const sets[] = {"train.epochs=2", "model.layers[0]=Flatten"};
  tct_job *job = NULL;
  tct_model *model = NULL;
  const char *again = NULL;
  TCT_TRY(tct_job_parse(text, sizeof text - 1, "job.yaml", &(tct_job_options){.set = sets, .n_set = 2}, &job));
  tct_status status = tct_job_model(job, &model);
  if (status == TCT_OK) status = tct_job_text(job, &again);
  if (status == TCT_OK) *out_hash = hash_of(model);
  tct_job_free(job);
  return status;
}

static const struct {
  const char *name;
  tct_status (*run)(uint64_t *out_hash);
  int64_t least; /* allocations that the scenario makes, so that it is known to be one */
} rows[] = {{"build, compile, train, evaluate", whole_life, 300},
            {"save and load", save_and_load, 150},
            {"checkpoint and resume", checkpoint_and_resume, 500},
            {"read a job", read_job, 100}};

/* All of the first ones, then ever fewer. */
static int64_t next_of(int64_t nth) {
  const char *const which = getenv("TERCET_FAULTS");
  return which != NULL && strcmp(which, "all") == 0 ? nth + 1 : nth + 1 + nth / 6;
}

TEST(train_faults, every_allocation_fails_in_turn_once_and_from_then_on) {
  spare_disk();
  scratch_make(folder);
  for (size_t i = 0; i < TCT_COUNT_OF(rows); i++) {
    uint64_t wanted = 0, hash = 0;
    OK(rows[i].run(&wanted)); /* also makes what lives as long as the process */
    for (int lasts = 0; lasts <= 1; lasts++) {
      bool struck = true;
      int64_t nth = 1;
      for (; struck; nth = next_of(nth)) {
        const int64_t live = tct_alloc_live();
        has_struck = false;
        tct_error_clear();
        (void)(lasts ? fault_alloc_from(nth) : fault_alloc(nth));
        const tct_status status = rows[i].run(&hash);
        struck = fault_alloc(0) || has_struck;
        /* A checkpoint on the way may fail, and a thread that cannot be had is done without: then nothing else differs. */
        const bool as_ever = status == TCT_OK && hash == wanted;
        CHECK(as_ever || (struck && status == TCT_OUT_OF_MEMORY && strlen(tct_error_message()) > 10),
              "%s, allocation %d%s: %s: %s", rows[i].name, (int)nth, lasts ? " and all after" : "", tct_status_name(status),
              tct_error_message());
        CHECK(tct_alloc_live() == live, "%s, allocation %d: %d blocks leak", rows[i].name, (int)nth,
              (int)(tct_alloc_live() - live));
        CHECK(nth < 100000);
      }
      CHECK(nth > rows[i].least, "%s: only %d allocations were seen", rows[i].name, (int)nth);
    }
  }
  tct_set_file_calls(NULL);
  scratch_remove(folder);
}

/* ---- files ------------------------------------------------------------------------------------------- */

static const int errors[] = {EIO, ENOSPC, EINTR, FAULT_SHORT};

/* Reading, writing, opening and closing go on after an interruption; a sync is never tried again. */
static bool may_fail(int error) { return error != FAULT_SHORT; }
static bool must_fail(int error) { return error == EIO || error == ENOSPC; }

TEST(train_faults, a_save_that_fails_leaves_the_model_file_as_it_was) {
  scratch_make(folder);
  rig r = {.fit = {.batch_size = 4}};
  OK(build(&r));
  OK(compile(&r));
  const uint64_t before = hash_of(r.model);
  OK(save(&r));
  for (size_t e = 0; e < TCT_COUNT_OF(errors); e++) {
    bool struck = true;
    int n_kept = 0;
    for (int64_t nth = 1; struck; nth++) {
      OK(load(&r));
      CHECK(hash_of(r.model) == before);
      OK(fit(&r));
      const uint64_t after = hash_of(r.model);
      const int64_t live = tct_alloc_live();
      const int descriptors = count_entries("/proc/self/fd");
      (void)fault_file(nth, errors[e]);
      const tct_status status = save(&r);
      struck = fault_file(0, 0);
      CHECK(status == TCT_OK || (struck && may_fail(errors[e]) && status == TCT_IO), "call %d (%s): %s", (int)nth, fault_file_call(),
            tct_error_message());
      CHECK(status == TCT_OK || (strstr(tct_error_message(), "model.safetensors': ") != NULL &&
                                 strstr(tct_error_message(), strerror(errors[e])) != NULL),
            "call %d (%s): %s", (int)nth, fault_file_call(), tct_error_message());
      CHECK(tct_alloc_live() == live && count_entries("/proc/self/fd") == descriptors, "call %d (%s) leaks", (int)nth, fault_file_call());
      OK(load(&r));
      const uint64_t found = hash_of(r.model);
      /* Whole in any case; the new one is there before the folder is brought to disk. */
      CHECK(found == after || (status != TCT_OK && found == before), "call %d (%s): another model", (int)nth, fault_file_call());
      n_kept += found == before;
      CHECK(count_entries(folder) == 1, "call %d (%s): a temporary file stays", (int)nth, fault_file_call());
      /* Back to the first model, for the next round. */
      rig first = {0};
      OK(build(&first));
      OK(compile(&first));
      OK(save(&first));
      end(&first);
      CHECK(nth < 60);
    }
    CHECK(!must_fail(errors[e]) || n_kept >= 4, "%s: the old model stayed %d times", strerror(errors[e]), n_kept);
  }
  end(&r);
  scratch_remove(folder);
}

TEST(train_faults, a_load_that_fails_leaves_the_weights_as_they_were) {
  scratch_make(folder);
  rig r = {.fit = {.batch_size = 4}};
  OK(build(&r));
  OK(compile(&r));
  OK(save(&r));
  const uint64_t saved = hash_of(r.model);
  for (size_t e = 0; e < TCT_COUNT_OF(errors); e++) {
    bool struck = true;
    for (int64_t nth = 1; struck; nth++) {
      OK(fit(&r));
      const uint64_t trained = hash_of(r.model);
      const int64_t live = tct_alloc_live();
      (void)fault_file(nth, errors[e]);
      const tct_status status = load(&r);
      struck = fault_file(0, 0);
      const bool must = struck && must_fail(errors[e]) && strcmp(fault_file_call(), "close") != 0;
      const bool failed = status != TCT_OK;
      CHECK(failed ? struck && may_fail(errors[e]) && status == TCT_IO : !must, "call %d (%s): %s", (int)nth, fault_file_call(),
            tct_error_message());
      CHECK(hash_of(r.model) == (failed ? trained : saved), "call %d (%s): other weights", (int)nth, fault_file_call());
      CHECK(!failed || strstr(tct_error_message(), "model.safetensors': ") != NULL, "%s", tct_error_message());
      CHECK(tct_alloc_live() == live && nth < 60);
    }
  }
  end(&r);
  scratch_remove(folder);
}

/* Whatever call of a fit with checkpoints, or of its resumption, fails: trying once more ends with the same bits. */
TEST(train_faults, a_run_with_checkpoints_survives_every_failing_call) {
  scratch_make(folder);
  uint64_t wanted = 0, hash = 0;
  OK(checkpoint_and_resume(&wanted));
  for (size_t e = 0; e < TCT_COUNT_OF(errors); e++) {
    bool struck = true;
    int64_t nth = 1;
    for (; struck; nth = next_of(nth)) {
      const int64_t live = tct_alloc_live();
      (void)fault_file(nth, errors[e]);
      const tct_status status = checkpoint_and_resume(&hash);
      struck = fault_file(0, 0);
      CHECK((status == TCT_OK && hash == wanted) || (struck && may_fail(errors[e]) && status == TCT_IO), "call %d (%s): %s: %s",
            (int)nth, fault_file_call(), tct_status_name(status), tct_error_message());
      CHECK(tct_alloc_live() == live, "call %d (%s) leaks", (int)nth, fault_file_call());
      if (status != TCT_OK) {
        rig r = {.fit = {.batch_size = 4, .epochs = 2, .steps = 4, .resume = true, .checkpoint = {.folder = in_folder("run")}}};
        CHECK(strstr(tct_error_message(), "/run") != NULL && strstr(tct_error_message(), strerror(errors[e])) != NULL, "%s", tct_error_message());
        OK(build(&r));
        OK(compile(&r));
        OK(fit(&r));
        CHECK(hash_of(r.model) == wanted, "call %d (%s): other bits after trying again", (int)nth, fault_file_call());
        end(&r);
      }
      CHECK(nth < 2000);
    }
    CHECK(nth > 100, "only %d calls were seen", (int)nth);
  }
  scratch_remove(folder);
}
