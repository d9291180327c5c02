/* Timed choices of algorithms on the device gpu, over the stand-ins for the driver and the libraries: when they are made, that they are
 * kept and taken again, and what happens where nothing can be timed or kept. Nothing here ran on a GPU. */
#include "test.h"

#include "base/alloc.h"
#include "base/cache.h"
#include "base/file.h"
#include "faults.h"
#include "graphs.h"
#include "standin_gpu.h"
#include <tercet/tercet.h>

enum { CANDIDATES = 3, TIMED = 6, RUNS = 2, N = 96 }; /* TIMED: runs of each; RUNS: launches before a recording is replayed */

/* A product with a bias in batches, a convolution with its gradients, attention with its gradient, or an LSTM; output y. */
static tct_graph *product(void) {
  tct_graph *const g = graph_make();
  const tct_tensor a = tct_input(g, "a", TCT_F32, TCT_SHAPE(3, 64, N)), b = tct_input(g, "b", TCT_F32, TCT_SHAPE(3, N, 80));
  tct_output(g, "y", tct_add(tct_matmul(a, b), tct_input(g, "bias", TCT_F32, TCT_SHAPE(80))));
  return g;
}

/* The same with gelu_tanh behind it, whose argument is kept. */
static tct_graph *product_kept(void) {
  tct_graph *const g = graph_make();
  const tct_tensor a = tct_input(g, "a", TCT_F32, TCT_SHAPE(3, 64, N)), b = tct_input(g, "b", TCT_F32, TCT_SHAPE(3, N, 80));
  const tct_tensor z = tct_add(tct_matmul(a, b), tct_input(g, "bias", TCT_F32, TCT_SHAPE(80)));
  tct_output(g, "y", tct_gelu_tanh(z));
  tct_output(g, "z", z);
  return g;
}

static tct_graph *convolution(void) {
  tct_graph *const g = graph_make();
  const tct_tensor x = tct_input(g, "x", TCT_F32, TCT_SHAPE(2, 16, 16, 16)), w = tct_input(g, "w", TCT_F32, TCT_SHAPE(3, 3, 16, 64));
  const tct_tensor y = tct_relu(tct_add(tct_conv2d(x, w, &(tct_conv2d_options){.padding = TCT_PADDING_SAME}), tct_input(g, "b", TCT_F32, TCT_SHAPE(64))));
  tct_tensor d[2];
  tct_gradients(sum_of(tct_square(y)), (const tct_tensor[]){x, w}, 2, d);
  tct_output(g, "y", tct_add(sum_of(d[0]), tct_add(sum_of(d[1]), sum_of(y))));
  return g;
}

static tct_graph *convolution_alone(void) {
  tct_graph *const g = graph_make();
  const tct_tensor x = tct_input(g, "x", TCT_F32, TCT_SHAPE(1, 16, 16, 16)), w = tct_input(g, "w", TCT_F32, TCT_SHAPE(5, 5, 16, 48));
  tct_output(g, "y", tct_conv2d(x, w, &(tct_conv2d_options){.padding = TCT_PADDING_SAME}));
  return g;
}

static tct_graph *attention(void) {
  tct_graph *const g = graph_make();
  const tct_tensor x = tct_input(g, "x", TCT_F32, TCT_SHAPE(2, 128, 2, 32)), q = tct_cast(x, TCT_BF16), none = {NULL, -1};
  const tct_tensor y = tct_cast(tct_attention(q, q, q, none, &(tct_attention_options){.causal = true}), TCT_F32);
  tct_tensor d;
  tct_gradients(sum_of(tct_square(y)), &x, 1, &d);
  tct_output(g, "y", tct_add(y, d));
  return g;
}

static tct_graph *recurrent(void) {
  tct_graph *const g = graph_make();
  const tct_tensor x = tct_input(g, "x", TCT_F32, TCT_SHAPE(71, 2, 67)), w = tct_input(g, "w", TCT_F32, TCT_SHAPE(67, 244)), none = {NULL, -1};
  const tct_tensor u = tct_input(g, "u", TCT_F32, TCT_SHAPE(61, 244)), b = tct_input(g, "b", TCT_F32, TCT_SHAPE(244));
  tct_output(g, "y", tct_lstm(x, w, u, b, none, none, false, NULL));
  return g;
}

static float y[1 << 15], first[1 << 15];

static void keep_algorithms(void *user, const char *name, const char *text) {
  if (strcmp(name, "algorithms") == 0) snprintf(user, 200, "%s", text);
}

/* One run on a new device with these settings; what the device says of its algorithms. */
static void run(tct_graph *(*build)(void), const char *settings, char said[200]) {
  tct_graph *const g = build();
  tct_device *device = NULL;
  tct_program *program = NULL;
  const int64_t n = tct_shape_size(&g->values[g->outputs[0].value].desc.shape);
  CHECK((size_t)n <= sizeof y / sizeof *y);
  gpu_set(settings);
  OK(tct_device_open("gpu", NULL, &device));
  OK(tct_compile(g, device, NULL, &program));
  tct_device_facts(device, keep_algorithms, said);
  feed(program);
  for (int i = 0; i < 3; i++) OK(tct_program_run(program));
  OK(tct_program_get(program, "y", y, (size_t)n * sizeof *y));
  tct_program_free(program);
  tct_device_close(device);
  tct_graph_free(g);
  CHECK(gpu_allocations() == 0 && gpu_library_objects() == 0, "%s: %d objects are left", settings, (int)gpu_library_objects());
}

static void tune(const char *wanted, const char *cache) {
  CHECK(setenv("TERCET_CUDA_TUNE", wanted, 1) == 0 && setenv("TERCET_CACHE", cache, 1) == 0);
}

typedef struct row {
  tct_graph *(*build)(void);
  const char *library_call, *taken_first, *quickest; /* calls, as the stand-ins count them */
  int n_problems, n_candidates;
} row;
static const row rows[] = {
    {product, "cublasLtMatmul", "algorithm.0", "algorithm.1", 1, 3},
    {recurrent, "cublasLtMatmul", "algorithm.0", "algorithm.1", 2, 3},
    {product_kept, "cublasLtMatmul", "algorithm.0", "algorithm.1", 1, 3},
    {convolution, "cudnnBackendExecute", "engine.right", "engine.quick", 3, 2},
    {attention, "cudnnBackendExecute", "engine.rounding", "engine.quick", 2, 3},
};
enum { ROWS = sizeof rows / sizeof *rows };

static void check_calls(const row *r, const char *which, const char *function, int64_t n) {
  CHECK(gpu_calls(function) == n, "%s, %s: %d calls of %s, not %d", r->library_call, which, (int)gpu_calls(function), function, (int)n);
}

TEST(gpu_tuning, times_once_and_keeps_the_quickest) {
  NEEDS_GPU("");
  char folder[SCRATCH_BYTES], said[200];
  for (int i = 0; i < ROWS; i++) {
    const row *const r = &rows[i];
    const int launches = RUNS * r->n_problems;
    scratch_make(folder);
    tune("", folder);
    run(r->build, "", said);
    check_calls(r, "not asked for", r->library_call, launches);
    check_calls(r, "not asked for", r->taken_first, launches);
    CHECK(count_entries(folder) == 0 && strstr(said, "the first that a library names; TERCET_CUDA_TUNE=1") != NULL, "%s", said);
    tune("1", folder);
    run(r->build, "queues=behind", said);
    check_calls(r, "timed", r->library_call, r->n_problems * r->n_candidates * TIMED + launches);
    check_calls(r, "timed", r->quickest, r->n_problems * TIMED + launches);
    CHECK(count_entries(folder) == r->n_problems, "%d entries", count_entries(folder));
    char counted[40];
    snprintf(counted, sizeof counted, "%d timed, 0 read", r->n_problems);
    CHECK(strstr(said, counted) != NULL, "%s", said);
    memcpy(first, y, sizeof y);
    run(r->build, "guard=1", said);
    check_calls(r, "kept", r->library_call, launches);
    check_calls(r, "kept", r->quickest, launches);
    snprintf(counted, sizeof counted, "0 timed, %d read", r->n_problems);
    CHECK(strstr(said, counted) != NULL && memcmp(first, y, sizeof y) == 0, "%s", said);
    tune("", folder); /* what is kept is not looked at */
    run(r->build, "", said);
    check_calls(r, "not asked for again", r->taken_first, launches);
    scratch_remove(folder);
  }
}

static void find_file(void *user, const char *name) {
  char *const path = user;
  if (name[0] == '.') return;
  const size_t used = strlen(path);
  snprintf(path + used, SCRATCH_BYTES + 64 - used, "/%s", name);
}

/* The folder's entry has other data, in a whole entry or in one that is damaged. */
static void overwrite(const char *folder, const char *data, bool whole) {
  char path[SCRATCH_BYTES + 64];
  void *file = NULL;
  size_t bytes = 0;
  snprintf(path, sizeof path, "%s", folder);
  OK(tct_file_list(folder, find_file, path));
  OK(tct_file_read(path, 1 << 20, &file, &bytes));
  memcpy((char *)file + bytes - 2, data, 2);
  const char *const key = strchr(file, '\n') + 1; /* behind the head */
  const tct_file_part part = {file, bytes};
  if (whole) tct_cache_write("tune", key, bytes - 2 - (size_t)(key - (char *)file), data, 2);
  else OK(tct_file_write_atomic(path, &part, 1));
  tct_release(file);
}

TEST(gpu_tuning, what_cannot_be_timed_or_kept_is_the_first) {
  NEEDS_GPU("");
  char folder[SCRATCH_BYTES], said[200];
  const row *const r = &rows[0];
  tune("1", "0");
  run(r->build, "", said);
  check_calls(r, "without a cache", "algorithm.0", TIMED + RUNS);
  check_calls(r, "without a cache", "algorithm.1", TIMED);
  static const char *const settings[] = {"fail=cuMemAlloc_v2:1:2", "fail=cuEventCreate:130:2", "fail=cuEventCreate:131:2"};
  for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
    scratch_make(folder);
    tune("1", folder);
    run(r->build, settings[i], said);
    check_calls(r, settings[i], "algorithm.0", RUNS);
    CHECK(count_entries(folder) == 0, "%s", settings[i]);
    scratch_remove(folder);
  }
}

TEST(gpu_tuning, what_is_kept_is_checked) {
  NEEDS_GPU("");
  static const struct {
    const char *data;
    bool whole;
    const char *said, *taken;
  } cases[] = {{"3\n", false, "1 timed, 0 read", "algorithm.1"}, {"x\n", true, "1 timed, 0 read", "algorithm.1"},
               {"2\n", true, "0 timed, 1 read", "algorithm.2"},  {"7\n", true, "0 timed, 1 read", "algorithm.0"}};
  char folder[SCRATCH_BYTES], said[200];
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    scratch_make(folder);
    tune("1", folder);
    run(product, "", said);
    overwrite(folder, cases[i].data, cases[i].whole);
    run(product, "", said);
    CHECK(strstr(said, cases[i].said) != NULL && gpu_calls(cases[i].taken) >= RUNS, "%d: %s", (int)i, said);
    scratch_remove(folder);
  }
}

/* The library no longer names as many plans as when one was kept. */
TEST(gpu_tuning, a_plan_that_is_gone_gives_way_to_the_first) {
  NEEDS_GPU("");
  char folder[SCRATCH_BYTES], said[200];
  scratch_make(folder);
  tune("1", folder);
  run(convolution_alone, "", said);
  overwrite(folder, "5\n", true);
  run(convolution_alone, "", said);
  CHECK(gpu_calls("engine.right") == RUNS, "%d", (int)gpu_calls("engine.right"));
  scratch_remove(folder);
}

TEST(gpu_tuning, a_candidate_that_fails_is_not_the_quickest) {
  NEEDS_GPU("");
  static const struct {
    const char *settings, *taken;
  } cases[] = {{"fail=cublasLtMatmulDescSetAttribute:6:7", "algorithm.1"}, /* of a warm-up */
               {"fail=cublasLtMatmul:2:13", "algorithm.1"},
               {"fail=cuEventElapsedTime:8:1", "algorithm.1"},
               {"fail=cuEventSynchronize:8:1", "algorithm.1"}};
  char folder[SCRATCH_BYTES], said[200];
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    scratch_make(folder);
    tune("1", folder);
    run(product, cases[i].settings, said);
    memcpy(first, y, sizeof y);
    run(product, "", said);
    check_calls(&rows[0], cases[i].settings, cases[i].taken, RUNS);
    CHECK(memcmp(first, y, sizeof y) == 0, "%s: other bits", cases[i].settings);
    scratch_remove(folder);
  }
}
