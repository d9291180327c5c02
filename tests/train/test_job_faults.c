/* Whole jobs in which something fails in turn: an allocation (each piece of an arena one of its own), a file call, a call
 * of the device. What comes out is that error, nothing leaks, and the same job without the fault runs as before. */
#include <tercet/tercet.h>

#include <errno.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/status.h"
#include "device/device.h"
#include "faults.h"
#include "test.h"

static char folder[SCRATCH_BYTES];

/* ---- jobs: %s is the scratch folder -------------------------------------------------------------------- */

#define GLYPHS "seed: 3\ndevice: ref\ndata: {type: glyphs, samples: 12, validation_split: 0.25, test: {samples: 4}}\n"
#define IMAGES                                                                                                         \
  "device: ref\ndata: {type: glyphs, samples: 4}\nloss: {type: categorical_crossentropy, label_smoothing: 0.1}\n"

static const char *const layer_jobs[] = {
    /* images */
    IMAGES "optimizer: {type: sgd, momentum: 0.9, nesterov: true, clipnorm: 1, l2: 0.01}\n"
           "schedule: {type: step, decay_steps: 3, warmup_steps: 1}\nmetrics: [accuracy, top_k: 3, confusion_matrix]\n"
           "model:\n  width: 3\n  layers:\n"
           "    - ZeroPadding2D: {padding: [1, 2]}\n"
           "    - Conv2D: {filters: $width, kernel_size: [3, 5], strides: 2, padding: same, activation: relu, kernel_regularizer: 0.1,"
           " bias_regularizer: {l1: 0.1}}\n"
           "    - DepthwiseConv2D: {kernel_size: 3, depth_multiplier: 2, depthwise_regularizer: {l2: 0.1}, activation: tanh}\n"
           "    - BatchNormalization: {name: bn}\n    - MaxPooling2D\n"
           "    - Conv2DTranspose: {filters: 4, kernel_size: 2, strides: 2, activation: sigmoid, kernel_regularizer: 0.1}\n"
           "    - GroupNormalization: {groups: 2}\n    - AveragePooling2D: {pool_size: 2, padding: same}\n"
           "    - LeakyReLU: {negative_slope: 0.2}\n    - Dropout: {rate: 0.2}\n    - GlobalAveragePooling2D\n"
           "    - LayerNormalization\n    - Dense: {units: 10, activation: softmax}\n",
    /* sequences */
    IMAGES "optimizer: {type: rmsprop, rho: 0.9, momentum: 0.5, centered: true}\n"
           "model:\n  layers:\n    - Reshape: {target_shape: [49, 16]}\n    - Rescaling: {scale: 2, offset: 1}\n"
           "    - Conv1D: {filters: 6, kernel_size: 3, padding: causal, activation: gelu, kernel_regularizer: 0.1}\n"
           "    - MaxPooling1D\n    - RMSNormalization\n    - LSTM: {units: 5, return_sequences: true, kernel_regularizer: 0.1}\n"
           "    - GRU: {units: 6, return_sequences: true, go_backwards: true, recurrent_regularizer: 0.1}\n    - AveragePooling1D\n"
           "    - MultiHeadAttention: {num_heads: 2, key_dim: 3, causal: true, kernel_regularizer: 0.1}\n    - Permute: {dims: [2, 1]}\n"
           "    - GlobalMaxPooling1D\n    - Activation: {activation: elu}\n    - Dense: {units: 10, kernel_regularizer: {l1: 0.1, l2: 0.1}}\n",
    /* named layers with several inputs; precision */
    IMAGES "train: {precision: bfloat16}\noptimizer: {type: adamw, weight_decay: 0.01}\n"
           "model:\n  inputs: {x: {shape: [28, 28, 1]}}\n  layers:\n"
           "    - Flatten: {name: flat}\n    - Dense: {name: a, units: 4, inputs: flat, use_bias: false}\n"
           "    - Dense: {name: b, units: 4, inputs: flat}\n    - Add: {name: s, inputs: [a, b]}\n    - Subtract: {name: d, inputs: [a, b]}\n"
           "    - Multiply: {name: m, inputs: [s, d]}\n    - Average: {name: v, inputs: [m, a]}\n    - Maximum: {name: x2, inputs: [v, b]}\n"
           "    - Concatenate: {name: c, inputs: [x2, s]}\n    - Dense: {name: out, units: 10, activation: softmax, inputs: c}\n",
    /* integers, and a head of ranks */
    "device: ref\ndtype: f64\ndata: {type: text, file: %s/text.txt, window: 4, validation_split: 0.25}\nloss: sparse_categorical_crossentropy\n"
    "optimizer: {type: adagrad}\nmodel:\n  layers:\n    - Embedding: {input_dim: $classes, output_dim: 3, embeddings_regularizer: 0.1}\n"
    "    - PositionEmbedding: {sequence_length: 4}\n    - Flatten\n    - Dense: {units: $classes}\n  classes: 8\n",
};

#define CALLBACKS                                                                                                      \
  "callbacks:\n  - EarlyStopping: {patience: 3, restore_best_weights: true}\n  - ReduceLROnPlateau: {patience: 1, factor: 0.5}\n"  \
  "  - TerminateOnNaN\n  - CSVLogger: {filename: %1$s/log.csv}\n  - JSONLogger: {filename: %1$s/log.jsonl}\n"             \
  "  - TensorBoard: {log_dir: %1$s/tb, update_freq: 1}\n"                                                                \
  "  - ModelCheckpoint: {filepath: \"%1$s/m-{epoch:02d}-{loss:.2f}.safetensors\", keep: 1}\n"

static const char trained_job[] =
    GLYPHS "model: {layers: [Flatten, {Dense: {units: 4, activation: relu}}, {Dense: {units: 10, activation: softmax}}]}\n"
           "loss: sparse_categorical_crossentropy\nmetrics: [accuracy]\ntrain: {epochs: 2, batch_size: 6, class_weight: {0: 2, 3: 0.5}}\n"
           "checkpoint: {folder: %1$s/run, every_steps: 1}\nsave: %1$s/model.safetensors\n"
           CALLBACKS;

static const char *in_folder(const char *name) {
  static char path[SCRATCH_BYTES + 64];
  (void)snprintf(path, sizeof path, "%s/%s", folder, name);
  return path;
}

static void begin(void) {
  scratch_make(folder);
  FILE *const file = fopen(in_folder("text.txt"), "w");
  CHECK(file != NULL && fputs("abcdefgh hgfedcba abcd efgh", file) >= 0 && fclose(file) == 0);
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static tct_status parse(const char *job_text, tct_job **out) {
  static char text[8192];
  const int n = snprintf(text, sizeof text, job_text, folder);
  return tct_job_parse(text, (size_t)n, "job.yaml", NULL, out);
}
#pragma GCC diagnostic pop

/* ---- scenarios ----------------------------------------------------------------------------------------- */

/* Reads the job, makes its model, writes it down again, and describes it. */
static void ignore_text(void *user, const char *text, size_t bytes) { (void)user, (void)text, (void)bytes; }

static tct_status make_model(const char *job_text) {
  tct_job *job = NULL;
  tct_model *model = NULL;
  const char *again = NULL;
  TCT_TRY(parse(job_text, &job));
  tct_status status = tct_job_model(job, &model);
  if (status == TCT_OK) status = tct_job_text(job, &again);
  if (status == TCT_OK) status = tct_model_summary(model, 2, true, ignore_text, NULL);
  tct_job_free(job);
  return status;
}

static bool device_fails; /* from here on its calls are counted */
static void swap_device(tct_device *device);

static tct_status train(const char *job_text) {
  tct_job *job = NULL;
  tct_model *model = NULL;
  tct_dataset *test = NULL;
  tct_evaluation result;
  tct_desc desc;
  void *values = NULL;
  scratch_remove(in_folder("run"));
  TCT_TRY(parse(job_text, &job));
  tct_status status = tct_job_model(job, &model);
  if (status == TCT_OK && device_fails) swap_device(tct_model_device(model));
  if (status == TCT_OK) status = tct_job_train(job, NULL);
  if (status == TCT_OK) status = tct_job_evaluate(job, TCT_JOB_TEST, &result);
  if (status == TCT_OK) status = tct_job_dataset(job, TCT_JOB_TEST, &test);
  if (status == TCT_OK) status = tct_job_predict(job, test, &desc, &values);
  if (status == TCT_OK) status = tct_job_save(job, NULL);
  tct_job_release(values);
  tct_job_free(job);
  if (status != TCT_OK) return status;
  TCT_TRY(tct_job_from_model(in_folder("model.safetensors"), NULL, &job));
  status = tct_job_model(job, &model);
  tct_job_free(job);
  return status;
}

/* ---- allocations --------------------------------------------------------------------------------------- */

/* All of the first ones, then ever fewer: `density` to a doubling, about. */
static int64_t after(int64_t nth, int64_t density) { return nth + 1 + nth / density; }

static void fail_allocations(tct_status (*run)(const char *), const char *job_text, int64_t density, int64_t least) {
  OK(run(job_text)); /* also makes what lives as long as the process */
  bool struck = true;
  int64_t nth = 1;
  fault_pieces(true);
  for (; struck; nth = after(nth, density)) {
    const int64_t live = tct_alloc_live();
    tct_error_clear();
    (void)fault_alloc(nth);
    const tct_status status = run(job_text);
    struck = fault_alloc(0);
    /* A log line, a checkpoint on the way or a thread may be done without. */
    CHECK(status == TCT_OK || (struck && status == TCT_OUT_OF_MEMORY && strlen(tct_error_message()) > 10),
          "%.60s: allocation %d: %s: %s", job_text, (int)nth, tct_status_name(status), tct_error_message());
    CHECK(tct_alloc_live() == live, "%.60s: allocation %d: %d blocks leak", job_text, (int)nth, (int)(tct_alloc_live() - live));
  }
  fault_pieces(false);
  CHECK(nth > least, "%.60s: only %d allocations", job_text, (int)nth);
  OK(run(job_text));
}

TEST(job_faults, every_allocation_of_reading_and_building_fails_in_turn) {
  spare_disk();
  begin();
  for (size_t i = 0; i < TCT_COUNT_OF(layer_jobs); i++) fail_allocations(make_model, layer_jobs[i], 48, 1000);
  tct_set_file_calls(NULL);
  scratch_remove(folder);
}

TEST(job_faults, allocations_of_a_whole_run_fail_in_turn) {
  spare_disk();
  begin();
  fail_allocations(train, trained_job, 60, 2000);
  tct_set_file_calls(NULL);
  scratch_remove(folder);
}

/* ---- files --------------------------------------------------------------------------------------------- */

TEST(job_faults, file_calls_of_a_whole_run_fail_in_turn) {
  begin();
  OK(train(trained_job));
  bool struck = true;
  int64_t nth = 1, n_failed = 0;
  tct_set_log(NULL, NULL, TCT_LOG_ERROR);
  for (; struck; nth = after(nth, 50)) {
    const int64_t live = tct_alloc_live();
    const int descriptors = count_entries("/proc/self/fd");
    tct_error_clear();
    (void)fault_file(nth, EIO);
    const tct_status status = train(trained_job);
    struck = fault_file(0, 0);
    n_failed += status != TCT_OK;
    CHECK(status == TCT_OK || (struck && status == TCT_IO && strstr(tct_error_message(), strerror(EIO)) != NULL), "call %d (%s): %s: %s",
          (int)nth, fault_file_call(), tct_status_name(status), tct_error_message());
    CHECK(tct_alloc_live() == live && count_entries("/proc/self/fd") == descriptors, "call %d (%s) leaks", (int)nth, fault_file_call());
  }
  CHECK(nth > 100 && n_failed > 50, "%d calls, %d failed", (int)nth, (int)n_failed);
  scratch_remove(folder);
}

/* ---- the device ---------------------------------------------------------------------------------------- */

static const tct_backend *real;
static tct_backend faulty;
static int64_t device_countdown;
static bool device_struck;

static tct_status device_call(void) {
  if (--device_countdown != 0) return TCT_OK;
  device_struck = true;
  return tct_fail(TCT_UNAVAILABLE, "as if the device were gone");
}

static tct_status faulty_upload(tct_device_impl *device, void *to, const void *from, size_t bytes) {
  TCT_TRY(device_call());
  return real->upload(device, to, from, bytes);
}
static tct_status faulty_download(tct_device_impl *device, void *to, const void *from, size_t bytes) {
  TCT_TRY(device_call());
  return real->download(device, to, from, bytes);
}
static tct_status faulty_sync(tct_device_impl *device) {
  TCT_TRY(device_call());
  return real->sync(device);
}
static tct_status faulty_alloc(tct_device_impl *device, size_t bytes, void **out) {
  *out = NULL;
  TCT_TRY(device_call());
  return real->alloc(device, bytes, out);
}
static tct_status faulty_mark(tct_device_impl *device, tct_queue queue, tct_ticket *out) {
  TCT_TRY(device_call());
  return real->mark(device, queue, out);
}

static void swap_device(tct_device *device) {
  real = device->backend;
  faulty = *real;
  faulty.upload = faulty_upload;
  faulty.download = faulty_download;
  faulty.sync = faulty_sync;
  faulty.alloc = faulty_alloc;
  faulty.mark = faulty_mark;
  device->backend = &faulty;
  device->info.host_memory = false; /* so that nothing is done past it */
}

/* A model that reads its weights, and a run that goes on, with each call of the device failing in turn. */
TEST(job_faults, calls_of_the_device_fail_while_weights_return) {
  spare_disk();
  begin();
  OK(train(trained_job));
  tct_set_log(NULL, NULL, TCT_LOG_ERROR);
  for (int resumes = 0; resumes <= 1; resumes++) {
    int64_t nth = 1, n_failed = 0;
    for (device_struck = true; device_struck; nth++) {
      tct_job *job = NULL;
      tct_model *model = NULL;
      OK(parse(trained_job, &job));
      OK(tct_job_model(job, &model));
      swap_device(tct_model_device(model));
      device_struck = false;
      device_countdown = nth;
      const tct_status status = resumes ? tct_job_train(job, &(tct_fit_options){.resume = true}) : tct_model_load(model, in_folder("model.safetensors"));
      /* A constant that the device could not fold beforehand is computed in the program. */
      const bool as_ever = status == TCT_OK && (!device_struck || resumes);
      n_failed += !as_ever;
      CHECK(as_ever || (device_struck && status == TCT_UNAVAILABLE), "%s, call %d: %s: %s", resumes ? "resume" : "load", (int)nth,
            tct_status_name(status), tct_error_message());
      device_countdown = 0;
      tct_job_free(job);
      CHECK(nth < 1000);
    }
    CHECK(nth > 8 && n_failed > 6, "%d of %d calls", (int)n_failed, (int)nth);
  }
  tct_set_file_calls(NULL);
  scratch_remove(folder);
}

TEST(job_faults, calls_of_the_device_fail_in_turn) {
  spare_disk();
  begin();
  int64_t nth = 1;
  device_fails = true;
  device_struck = true;
  tct_set_log(NULL, NULL, TCT_LOG_ERROR);
  for (; device_struck; nth = after(nth, 40)) {
    const int64_t live = nth > 1 ? tct_alloc_live() : -1;
    device_struck = false;
    device_countdown = nth;
    tct_error_clear();
    const tct_status status = train(trained_job);
    CHECK(status == TCT_OK || (device_struck && status == TCT_UNAVAILABLE && strstr(tct_error_message(), "as if the device") != NULL),
          "call %d: %s: %s", (int)nth, tct_status_name(status), tct_error_message());
    CHECK(live < 0 || tct_alloc_live() == live, "call %d leaks", (int)nth);
  }
  device_fails = false;
  CHECK(nth > 100, "only %d calls", (int)nth);
  tct_set_file_calls(NULL);
  scratch_remove(folder);
}
