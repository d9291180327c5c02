/* A program whose malloc is its own, for all libraries in the process: jansson and libyaml, OpenBLAS and the C library, which
 * know nothing of the library's allocator. `probe steps` counts what warm training steps allocate, which is nothing;
 * `probe faults FOLDER` lets every allocation of parsing a job (libyaml) and saving a model fail in turn. Not of reading
 * JSON: jansson 2.14 ends the process by an assertion where its lexer's buffer cannot grow. Exits with 0 when all is as it
 * should be. */
#include <errno.h>
#include <math.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tercet/tercet.h>

/* ---- the process's malloc ---------------------------------------------------------------------------- */

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t n, size_t bytes);
void *__libc_realloc(void *memory, size_t bytes);
void *__libc_memalign(size_t align, size_t bytes);
void __libc_free(void *memory);
void *memalign(size_t align, size_t bytes);

static atomic_int_fast64_t n_calls, fail_in; /* fail_in: 1 is the next call; 0 or less: none */
static atomic_bool fails_from_then_on, has_failed;

static bool refused(void) {
  atomic_fetch_add(&n_calls, 1);
  if (atomic_load(&fail_in) <= 0) return false;
  const bool now = atomic_fetch_sub(&fail_in, 1) == 1;
  if (!now) return false;
  if (fails_from_then_on) atomic_store(&fail_in, 1);
  atomic_store(&has_failed, true);
  errno = ENOMEM;
  return true;
}

void *malloc(size_t bytes) { return refused() ? NULL : __libc_malloc(bytes); }
void *calloc(size_t n, size_t bytes) { return refused() ? NULL : __libc_calloc(n, bytes); }
void *realloc(void *memory, size_t bytes) { return refused() ? NULL : __libc_realloc(memory, bytes); }
void *memalign(size_t align, size_t bytes) { return refused() ? NULL : __libc_memalign(align, bytes); }
void *aligned_alloc(size_t align, size_t bytes) { return refused() ? NULL : __libc_memalign(align, bytes); }
void free(void *memory) { __libc_free(memory); }
int posix_memalign(void **out, size_t align, size_t bytes) {
  void *const memory = refused() ? NULL : __libc_memalign(align, bytes);
  if (memory != NULL) *out = memory;
  return memory != NULL ? 0 : ENOMEM;
}

static int complain(const char *what) {
  printf("%s: %s\n", what, tct_error_message());
  return EXIT_FAILURE;
}

/* ---- steps ------------------------------------------------------------------------------------------- */

enum { BATCH = 32, PER_EPOCH = 6, EPOCHS = 3, STEPS = EPOCHS * PER_EPOCH, WARM = 2 };

static int64_t calls_after[STEPS];

static tct_status on_step(void *user, int64_t step, double loss) {
  (void)user, (void)loss;
  calls_after[step] = atomic_load(&n_calls);
  return TCT_OK;
}

static tct_model *make_mlp(void) {
  tct_model *const m = tct_model_create("mlp", TCT_F32);
  tct_layer x = tct_layer_flatten(tct_layer_input(m, "x", TCT_F32, TCT_SHAPE(28, 28, 1)), NULL);
  x = tct_layer_dense(x, &(tct_dense_layer){.units = 256, .activation = "relu"});
  (void)tct_layer_dense(x, &(tct_dense_layer){.units = 10, .activation = "softmax"});
  return m;
}

static tct_model *make_cnn(void) {
  tct_model *const m = tct_model_create("cnn", TCT_F32);
  tct_layer x = tct_layer_input(m, "x", TCT_F32, TCT_SHAPE(28, 28, 1));
  x = tct_layer_conv2d(x, &(tct_conv2d_layer){.filters = 8, .kernel_size = {{5, 5}}, .activation = "relu"});
  x = tct_layer_max_pooling2d(x, NULL);
  x = tct_layer_conv2d(x, &(tct_conv2d_layer){.filters = 16, .kernel_size = {{3, 3}}, .use_bias = TCT_OFF});
  x = tct_layer_batch_normalization(x, NULL);
  x = tct_layer_dropout(tct_layer_flatten(x, NULL), &(tct_dropout_layer){.rate = 0.2});
  (void)tct_layer_dense(x, &(tct_dense_layer){.units = 10, .activation = "softmax"});
  return m;
}

/* Shuffling and the thread that reads ahead are part of a step, and so is the turn of an epoch. */
static int count_steps(const char *name, tct_model *model, tct_dataset *data) {
  const tct_training training = {.loss = "sparse_categorical_crossentropy", .metrics = "accuracy", .n_threads = 2};
  const tct_fit_options options = {.epochs = EPOCHS, .batch_size = BATCH, .on_step = on_step};
  if (tct_model_compile(model, &training) != TCT_OK || tct_fit(model, data, &options) != TCT_OK) return complain(name);
  const int64_t n = calls_after[STEPS - 1] - calls_after[WARM - 1];
  printf("%s: %lld allocations in the process in %d warm steps\n", name, (long long)n, STEPS - WARM);
  return n == 0 && calls_after[0] > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int check_steps(void) {
  tct_dataset *data = NULL;
  if (tct_dataset_glyphs(&(tct_glyphs_options){.n_samples = BATCH * PER_EPOCH}, &data) != TCT_OK) return complain("data");
  tct_model *const mlp = make_mlp(), *const cnn = make_cnn();
  const int failed = count_steps("mlp", mlp, data) + count_steps("cnn", cnn, data);
  tct_model_free(mlp);
  tct_model_free(cnn);
  tct_dataset_free(data);
  return failed != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* ---- faults ------------------------------------------------------------------------------------------ */

static char path[4096];
static tct_job *trained;
static tct_model *model;

static const char text[] = "data: {type: glyphs, samples: 20, test: {samples: 5}}\n"
                           "model: {layers: [Flatten, {Dense: {units: 10, activation: softmax}}]}\n"
                           "loss: sparse_categorical_crossentropy\nmetrics: [accuracy]\n"
                           "callbacks: [TerminateOnNaN]\n";

static tct_status parse(void) {
  tct_job *job = NULL;
  const char *const sets[] = {"train.epochs=2"};
  const tct_status status = tct_job_parse(text, sizeof text - 1, NULL, &(tct_job_options){.set = sets, .n_set = 1}, &job);
  tct_job_free(job);
  return status;
}

static tct_status save(void) { return tct_job_save(trained, path); }

/* Returns how many allocations were there to fail; -1 after a complaint. */
static int64_t check_row(const char *name, tct_status (*run)(void), bool from_then_on) {
  int64_t nth = 1;
  for (bool struck = true; struck; nth++) {
    tct_error_clear();
    atomic_store(&has_failed, false);
    fails_from_then_on = from_then_on;
    atomic_store(&fail_in, nth);
    const tct_status status = run();
    atomic_store(&fail_in, 0);
    struck = has_failed;
    if (status == TCT_OK || (struck && status == TCT_OUT_OF_MEMORY && tct_error_message()[0] != '\0')) continue;
    printf("%s, allocation %lld%s: %s: ", name, (long long)nth, from_then_on ? " and all after" : "", tct_status_name(status));
    (void)complain("not an error of memory");
    return -1;
  }
  if (run() != TCT_OK) return complain(name), -1;
  return nth - 2;
}

static int check_faults(const char *folder) {
  static const struct {
    const char *name;
    tct_status (*run)(void);
  } rows[] = {{"parse a job", parse}, {"save a model", save}};
  (void)snprintf(path, sizeof path, "%s/model.safetensors", folder);
  if (tct_job_parse(text, sizeof text - 1, NULL, NULL, &trained) != TCT_OK || tct_job_model(trained, &model) != TCT_OK ||
      save() != TCT_OK)
    return complain("the model");
  int failed = 0;
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    const int64_t once = check_row(rows[i].name, rows[i].run, false), all = check_row(rows[i].name, rows[i].run, true);
    printf("%s: %lld allocations, each failed once, and from then on\n", rows[i].name, (long long)once);
    failed += once < 10 || all < 10;
  }
  tct_job_free(trained);
  return failed != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv) {
  if (argc == 2 && strcmp(argv[1], "steps") == 0) return check_steps();
  if (argc == 3 && strcmp(argv[1], "faults") == 0) return check_faults(argv[2]);
  fputs("probe steps | probe faults FOLDER\n", stderr);
  return 2;
}
