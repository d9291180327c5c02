/* LSTM and GRU of the device gpu with products on cuBLASLt, over the stand-ins for the driver and the library: forward and gradients against
 * the reference, with the library and without, which products it takes, every way in which it takes none, and training. Nothing here ran
 * on a GPU. */
#include "test.h"

#include "base/alloc.h"
#include "faults.h"
#include "graphs.h"
#include "standin_gpu.h"
#include <tercet/tercet.h>

enum { MOST_OUTPUTS = 8, RUNS = 3 };

typedef enum cell { LSTM, GRU } cell;

typedef struct row {
  const char *name;
  cell cell;
  int64_t batch, steps, features, units;
  bool state, reverse;
  tct_dtype dtype;
  const char *kernel, *kernel_grad; /* behind "lstm." and "lstm_grad." */
  int n_products;                   /* of a run, by the library */
} row;

static const row rows[] = {
    {"a product as small as the library takes", LSTM, 64, 3, 5, 64, false, false, TCT_F32, "cublaslt", "cublaslt", 5},
    {"one sample fewer", LSTM, 63, 2, 5, 64, false, false, TCT_F32, "steps", "steps", 0},
    {"all products, primes, from a state, reverse", LSTM, 71, 2, 67, 61, true, true, TCT_F32, "cublaslt", "cublaslt", 5},
    {"gru, all products, from a state, reverse", GRU, 73, 3, 71, 71, true, true, TCT_F32, "cublaslt", "cublaslt", 7},
    {"gru, beside a tile", GRU, 63, 2, 3, 79, false, false, TCT_F32, "cublaslt", "cublaslt", 3},
    {"one sample", LSTM, 1, 2, 3, 512, true, false, TCT_F32, "cublaslt", "cublaslt", 4},
    {"gru, one sample, one step, x's product in parts of ours", GRU, 1, 1, 580, 593, true, false, TCT_F32, "cublaslt", "cublaslt", 2},
    {"gru, x's product alone, the state's in parts of ours", GRU, 1, 2, 342, 512, false, false, TCT_F32, "cublaslt", "steps", 1},
    {"x's product alone", LSTM, 8, 4, 300, 28, false, true, TCT_F32, "cublaslt", "steps", 1},
    {"small", LSTM, 3, 4, 5, 7, true, false, TCT_F32, "steps", "steps", 0},
    {"no samples", GRU, 0, 3, 5, 593, false, false, TCT_F32, "steps", "steps", 0},
    {"bf16", LSTM, 64, 2, 5, 64, false, false, TCT_BF16, "steps", "steps", 0},
};
enum { ROWS = sizeof rows / sizeof *rows, ALL_PRODUCTS = 2 };
static const char without[] = "lstm.cublaslt,lstm_grad.cublaslt,gru.cublaslt,gru_grad.cublaslt";

/* Variables x, w, u, b and the states; y. */
static tct_tensor layer(tct_graph *g, const row *r, tct_tensor *wrt, int32_t *out_n) {
  const int64_t gates = r->cell == LSTM ? 4 : 3, width = gates * r->units;
  const tct_shape shapes[] = {TCT_SHAPE(r->batch, r->steps, r->features), TCT_SHAPE(r->features, width), TCT_SHAPE(r->units, width),
                              r->cell == LSTM ? TCT_SHAPE(width) : TCT_SHAPE(2, width), TCT_SHAPE(r->batch, r->units), TCT_SHAPE(r->batch, r->units)};
  static const char *const names[] = {"x", "w", "u", "b", "h0", "c0"};
  tct_tensor in[6], c = {NULL, -1};
  const int32_t n = r->state ? (r->cell == LSTM ? 6 : 5) : 4;
  for (int32_t i = 0; i < 6; i++) {
    if (i >= n) {
      in[i] = (tct_tensor){NULL, -1};
      continue;
    }
    wrt[i] = tct_variable(g, names[i], TCT_F32, shapes[i], (tct_init){TCT_INIT_NORMAL, i == 1 || i == 2 ? 0.1 : 1, 0, 0});
    in[i] = r->dtype != TCT_F32 ? tct_cast(wrt[i], r->dtype) : wrt[i];
  }
  *out_n = n;
  if (r->cell == GRU) return tct_gru(in[0], in[1], in[2], in[3], in[4], r->reverse);
  const tct_tensor y = tct_lstm(in[0], in[1], in[2], in[3], in[4], in[5], r->reverse, &c);
  return r->state ? tct_add(y, c) : y; /* and a gradient into the cells */
}

/* Outputs y, and if asked for the gradients of a sum in which every element counts differently. */
static tct_graph *graph_of(const row *r, bool backward) {
  tct_graph *const g = graph_make();
  tct_tensor wrt[6], gradients[6];
  int32_t n = 0;
  tct_tensor y = layer(g, r, wrt, &n);
  if (r->dtype != TCT_F32) y = tct_cast(y, TCT_F32);
  tct_output(g, "y", y);
  if (!backward) return g;
  tct_gradients(tct_reduce_sum(tct_mul(y, tct_input(g, "weights", TCT_F32, tct_tensor_shape(y))), NULL, 0, false), wrt, n, gradients);
  for (int32_t i = 0; i < n; i++) {
    char name[8];
    snprintf(name, sizeof name, "d%d", (int)i);
    tct_output(g, name, gradients[i]);
  }
  OK(tct_graph_status(g));
  return g;
}

typedef struct results {
  int32_t n;
  int64_t size[MOST_OUTPUTS];
  float *data[MOST_OUTPUTS]; /* owned */
  char kernel[32], kernel_grad[32];
  char refused[GPU_REFUSALS]; /* a line each */
} results;

static void release(results *r) {
  for (int32_t o = 0; o < r->n; o++) free(r->data[o]);
  r->n = 0;
}

static void look(tct_program *program, tct_device *device, results *r) {
  tct_step_info step;
  for (int32_t i = 0; tct_program_step(program, i, &step); i++) {
    if (strncmp(step.op, "lstm", 4) != 0 && strncmp(step.op, "gru", 3) != 0) continue;
    char *const kernel = strstr(step.op, "_grad") != NULL ? r->kernel_grad : r->kernel;
    snprintf(kernel, sizeof r->kernel, "%s", strchr(step.kernel, '.') + 1);
  }
  gpu_refusals(device, r->refused);
}

/* The outputs of `n_runs` runs over a poisoned arena. */
static tct_status run_with(const char *spec, bool nondeterministic, const tct_graph *g, int n_runs, results *r) {
  tct_device *device = NULL;
  tct_program *program = NULL;
  *r = (results){.n = 0};
  tct_status status = tct_device_open(spec, &(tct_device_options){.nondeterministic = nondeterministic}, &device);
  if (status == TCT_OK) status = tct_compile(g, device, NULL, &program);
  if (status == TCT_OK) {
    look(program, device, r);
    poison_arena(program);
    feed(program);
  }
  for (int run = 0; run < n_runs && status == TCT_OK; run++) status = tct_program_run(program);
  for (int o = 0; o < g->n_outputs && status == TCT_OK; o++) {
    r->size[o] = tct_shape_size(&g->values[g->outputs[o].value].desc.shape);
    r->data[o] = malloc((size_t)r->size[o] * sizeof(float) + 1);
    r->n = o + 1;
    status = tct_program_get(program, g->outputs[o].name, r->data[o], (size_t)r->size[o] * sizeof(float));
  }
  tct_program_free(program);
  tct_device_close(device);
  return status;
}

static tct_status run_on(const char *spec, const tct_graph *g, results *r) {
  return run_with(spec, false, g, strcmp(spec, "ref") == 0 ? 1 : RUNS, r);
}

/* Relative to the greatest magnitude of each output. */
static bool near(const results *got, const results *want, double tolerance) {
  for (int32_t o = 0; o < want->n; o++) {
    double most = 1e-3;
    for (int64_t i = 0; i < want->size[o]; i++) most = fmax(most, fabs((double)want->data[o][i]));
    for (int64_t i = 0; i < want->size[o]; i++)
      if (!(fabs((double)got->data[o][i] - (double)want->data[o][i]) <= tolerance * most)) return false;
  }
  return got->n == want->n;
}

static bool same_bits(const results *a, const results *b) {
  for (int32_t o = 0; o < a->n; o++)
    if (memcmp(a->data[o], b->data[o], (size_t)a->size[o] * sizeof(float)) != 0) return false;
  return a->n == b->n;
}

TEST(gpu_recurrent, are_the_references) {
  NEEDS_GPU("");
  /* As many units as an H200, for which our tiles cut sums into parts. */
  static const char *const paces[] = {"units=132", "units=132 queues=behind", "units=132 guard=1"};
  for (int i = 0; i < ROWS; i++) {
    const row *const r = &rows[i];
    const double tolerance = r->dtype == TCT_F32 ? 2e-5 : 3e-2;
    tct_graph *const g = graph_of(r, true);
    results want, got, launched, own;
    OK(run_on("ref", g, &want));
    gpu_set(paces[i % 3]);
    OK(run_on("gpu", g, &got));
    const int64_t n_calls = gpu_calls("cublasLtMatmul");
    CHECK(strcmp(got.kernel, r->kernel) == 0 && strcmp(got.kernel_grad, r->kernel_grad) == 0, "%s: %s, %s", r->name, got.kernel, got.kernel_grad);
    CHECK(near(&got, &want, tolerance) && got.refused[0] == '\0', "%s: wrong numbers, or refused: %s", r->name, got.refused);
    CHECK(setenv("TERCET_CUDA_GRAPHS", "0", 1) == 0);
    OK(run_with("gpu", false, g, 1, &launched));
    CHECK(unsetenv("TERCET_CUDA_GRAPHS") == 0 && same_bits(&got, &launched), "%s: a recording has other bits", r->name);
    CHECK(setenv("TERCET_DISABLE", without, 1) == 0);
    gpu_set(paces[i % 3]);
    OK(run_with("gpu", false, g, 2, &own));
    CHECK(unsetenv("TERCET_DISABLE") == 0 && strcmp(own.kernel, "steps") == 0 && strcmp(own.kernel_grad, "steps") == 0, "%s", r->name);
    CHECK(near(&own, &want, tolerance), "%s, without the library: wrong numbers", r->name);
    /* Two launches before a recording is replayed: the first run and the recording. What is left are products of the graph. */
    const int64_t n_librarys = n_calls - gpu_calls("cublasLtMatmul");
    CHECK(n_librarys == 2 * r->n_products, "%s: %d calls", r->name, (int)n_librarys);
    CHECK(gpu_allocations() == 0 && gpu_library_objects() == 0, "%s: %d objects are left", r->name, (int)gpu_library_objects());
    results *const all[] = {&want, &got, &launched, &own};
    for (int k = 0; k < 4; k++) release(all[k]);
    tct_graph_free(g);
  }
}

TEST(gpu_recurrent, small_ones_never_open_the_library) {
  NEEDS_GPU("");
  for (int i = 0; i < ROWS; i++) {
    if (strcmp(rows[i].kernel, "steps") != 0) continue;
    tct_graph *const g = graph_of(&rows[i], false);
    results got;
    gpu_set("");
    OK(run_on("gpu", g, &got));
    CHECK(gpu_calls("cublasLtCreate") == 0, "%s", rows[i].name);
    release(&got);
    tct_graph_free(g);
  }
}

TEST(gpu_recurrent, tf32_is_asked_for) {
  NEEDS_GPU("");
  tct_graph *const g = graph_of(&rows[ALL_PRODUCTS], true);
  results want, exact, rounded;
  OK(run_on("ref", g, &want));
  OK(run_on("gpu", g, &exact));
  OK(run_on("gpu:tf32", g, &rounded));
  CHECK(near(&exact, &want, 2e-5) && !near(&rounded, &want, 2e-5) && near(&rounded, &want, 5e-3));
  results *const all[] = {&want, &exact, &rounded};
  for (int k = 0; k < 3; k++) release(all[k]);
  tct_graph_free(g);
}

/* The stand-in's sums in no fixed order are 1e30. */
TEST(gpu_recurrent, any_order_only_when_asked) {
  NEEDS_GPU("");
  tct_graph *const g = graph_of(&rows[ALL_PRODUCTS], false);
  results want, got;
  OK(run_on("ref", g, &want));
  OK(run_with("gpu", true, g, RUNS, &got));
  CHECK(strcmp(got.kernel, "cublaslt") == 0 && !near(&got, &want, 0.5), "%s", got.kernel);
  release(&want);
  release(&got);
  tct_graph_free(g);
}

TEST(gpu_recurrent, a_refusal_is_kept_and_our_kernels_run) {
  NEEDS_GPU("");
  static const char forward[] = "lstm f32[71,2,67], f32[67,244], f32[61,244], f32[244], f32[71,61], f32[71,61] -> "
                                "f32[71,2,61], f32[71,2,61], f32[71,2,244]: cuBLASLt 13.1.0: it has no algorithm: "
                                "CUBLAS_STATUS_NOT_SUPPORTED; the module's own kernel runs it";
  static const struct {
    const char *settings, *kernel, *kernel_grad, *why;
  } cases[] = {
      {"fail=cublasLtCreate:1:1", "steps", "steps", "products: cuBLASLt 13.1.0 does not start: cublasLtCreate fails: CUBLAS_STATUS_STANDIN"},
      {"fail=cublasLtMatmulAlgoGetHeuristic:1:15", "steps", "cublaslt", forward}, /* of x's product */
      {"fail=cublasLtMatmulAlgoGetHeuristic:2:15", "steps", "cublaslt", forward}, /* of the state's */
      {"fail=cublasLtMatmulAlgoGetHeuristic:3:15", "cublaslt", "steps",
       "lstm_grad f32[61,244], f32[71,2,61], f32[71,2,244], f32[71,2,61], f32[71,2,61], f32[71,61] -> "},
  };
  tct_graph *const g = graph_of(&rows[ALL_PRODUCTS], true);
  results want, got;
  OK(run_on("ref", g, &want));
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    gpu_set(cases[i].settings);
    OK(run_on("gpu", g, &got));
    CHECK(strcmp(got.kernel, cases[i].kernel) == 0 && strcmp(got.kernel_grad, cases[i].kernel_grad) == 0, "%s: %s, %s", cases[i].settings, got.kernel,
          got.kernel_grad);
    CHECK(strstr(got.refused, cases[i].why) != NULL, "%s: %s", cases[i].settings, got.refused);
    CHECK(near(&got, &want, 2e-5), "%s: wrong numbers", cases[i].settings);
    CHECK(gpu_allocations() == 0 && gpu_library_objects() == 0, "%s: %d objects are left", cases[i].settings, (int)gpu_library_objects());
    release(&got);
  }
  release(&want);
  tct_graph_free(g);
}

typedef struct faulted {
  const tct_graph *graph;
  results want;
} faulted;

static tct_status run_faulted(void *user, const char *settings, bool *out_refused) {
  const faulted *const f = user;
  results got;
  const tct_status status = run_with("gpu", false, f->graph, 2, &got);
  *out_refused = strcmp(got.kernel, "steps") == 0 || strcmp(got.kernel_grad, "steps") == 0;
  CHECK(status != TCT_OK || near(&got, &f->want, 2e-5), "%s: wrong numbers", settings);
  release(&got);
  return status;
}

TEST(gpu_recurrent, every_call_of_the_library_fails_once) {
  NEEDS_GPU("");
  static const int numbers[] = {1, 2, 3, 5, 8, 13};
  faulted f = {.graph = graph_of(&rows[ALL_PRODUCTS], true)};
  int n_failures = 0, n_refusals = 0;
  OK(run_on("ref", f.graph, &f.want));
  gpu_fail_calls(GPU_CUBLASLT, numbers, sizeof numbers / sizeof *numbers, run_faulted, &f, &n_failures, &n_refusals);
  CHECK(n_failures >= 5 && n_refusals >= 15, "%d failures, %d refusals", n_failures, n_refusals);
  release(&f.want);
  tct_graph_free((tct_graph *)(uintptr_t)f.graph);
}

static tct_status attempt(const tct_graph *g) {
  tct_device *device = NULL;
  tct_program *program = NULL;
  tct_status status = tct_device_open("gpu", NULL, &device);
  if (status == TCT_OK) status = tct_compile(g, device, NULL, &program);
  if (status == TCT_OK) status = tct_program_run(program);
  tct_program_free(program);
  tct_device_close(device);
  return status;
}

TEST(gpu_recurrent, every_failed_allocation_is_an_error_and_no_leak) {
  NEEDS_GPU("");
  tct_graph *const g = graph_of(&rows[ALL_PRODUCTS], false);
  int n_failed = 0;
  OK(attempt(g)); /* what a process opens once */
  const int64_t live = tct_alloc_live();
  for (int64_t n = 1; n < 5000; n++) {
    tct_error_clear();
    (void)fault_alloc(n);
    const tct_status status = attempt(g);
    if (!fault_alloc(0)) {
      OK(status);
      break;
    }
    n_failed++;
    CHECK(status == TCT_OUT_OF_MEMORY, "allocation %d failed, but the result is %s: %s", (int)n, tct_status_name(status), tct_error_message());
    CHECK(tct_alloc_live() == live && gpu_allocations() == 0 && gpu_library_objects() == 0, "allocation %d failed: %d blocks and %d objects are left",
          (int)n, (int)(tct_alloc_live() - live), (int)gpu_library_objects());
  }
  CHECK(n_failed > 20, "%d allocations", n_failed);
  tct_graph_free(g);
}

/* ---- training ---- */

enum { STEPS = 5 };

/* An LSTM, then a GRU from the end of the sequence, then a class for each step. */
static tct_graph *training(void) {
  enum { BATCH = 64, TIMES = 2, FEATURES = 70, UNITS = 64, GRU_UNITS = 75, STEPS_OF_ALL = BATCH * TIMES, WEIGHTS = 7 };
  tct_graph *const g = graph_make();
  const tct_init glorot = {TCT_INIT_GLOROT_UNIFORM, 0, 0, 0}, zeros = {TCT_INIT_ZEROS, 0, 0, 0};
  const tct_tensor x = tct_input(g, "x", TCT_F32, TCT_SHAPE(BATCH, TIMES, FEATURES)), label = tct_input(g, "label", TCT_I32, TCT_SHAPE(STEPS_OF_ALL));
  const tct_tensor none = {NULL, -1}, rate = tct_scalar(g, TCT_F32, 8);
  const tct_tensor w[WEIGHTS] = {tct_variable(g, "w0", TCT_F32, TCT_SHAPE(FEATURES, 4 * UNITS), glorot),
                                 tct_variable(g, "u0", TCT_F32, TCT_SHAPE(UNITS, 4 * UNITS), glorot),
                                 tct_variable(g, "b0", TCT_F32, TCT_SHAPE(4 * UNITS), zeros),
                                 tct_variable(g, "w1", TCT_F32, TCT_SHAPE(UNITS, 3 * GRU_UNITS), glorot),
                                 tct_variable(g, "u1", TCT_F32, TCT_SHAPE(GRU_UNITS, 3 * GRU_UNITS), glorot),
                                 tct_variable(g, "b1", TCT_F32, TCT_SHAPE(2, 3 * GRU_UNITS), zeros),
                                 tct_variable(g, "out", TCT_F32, TCT_SHAPE(GRU_UNITS, 3), glorot)};
  tct_tensor d[WEIGHTS];
  const tct_tensor first = tct_lstm(x, w[0], w[1], w[2], none, none, false, NULL), second = tct_gru(first, w[3], w[4], w[5], none, true);
  const tct_tensor logits = tct_matmul(tct_reshape(second, TCT_SHAPE(STEPS_OF_ALL, GRU_UNITS)), w[6]);
  const tct_tensor loss = tct_reduce_mean(tct_sparse_softmax_cross_entropy(logits, label, 0), NULL, 0, false);
  tct_output(g, "loss", loss);
  tct_gradients(loss, w, WEIGHTS, d);
  for (int i = 0; i < WEIGHTS; i++)
    tct_update(TCT_OP_sgd_update, w[i], NULL, 0, d[i], rate, none, none, &(tct_update_attrs){.momentum = 0});
  OK(tct_graph_status(g));
  return g;
}

/* Returns how many recurrent steps the library has. */
static int losses_on(const char *spec, const tct_graph *g, float loss[STEPS]) {
  tct_device *const device = device_make(spec);
  tct_program *program = NULL;
  tct_step_info step;
  int n = 0;
  OK(tct_compile(g, device, NULL, &program));
  for (int32_t i = 0; tct_program_step(program, i, &step); i++)
    n += strncmp(step.kernel, "matmul", 6) != 0 && strstr(step.kernel, ".cublaslt") != NULL;
  feed(program);
  for (int i = 0; i < STEPS; i++) {
    OK(tct_program_run(program));
    OK(tct_program_get(program, "loss", &loss[i], sizeof *loss));
  }
  tct_program_free(program);
  tct_device_close(device);
  return n;
}

TEST(gpu_recurrent, trains_with_the_losses_of_the_cpu) {
  NEEDS_GPU("");
  tct_graph *const g = training();
  float want[STEPS], got[STEPS], again[STEPS];
  (void)losses_on("cpu", g, want);
  CHECK(losses_on("gpu", g, got) == 4);
  CHECK(losses_on("gpu", g, again) == 4 && memcmp(got, again, sizeof got) == 0, "other bits the second time");
  for (int i = 0; i < STEPS; i++)
    CHECK(fabs((double)got[i] - (double)want[i]) <= 1e-3 * fabs((double)want[i]), "step %d: %g, the CPU has %g", i, (double)got[i], (double)want[i]);
  CHECK(got[STEPS - 1] < 0.98f * got[0], "it learns nothing: %g, then %g", (double)got[0], (double)got[STEPS - 1]);
  tct_graph_free(g);
}
