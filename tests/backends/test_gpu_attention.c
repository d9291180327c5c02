/* Attention of the device gpu on cuDNN, over the stand-ins for the driver and the library: forward and gradients against the reference,
 * what is our own kernels', whole samples at a time, every way in which the library takes none. Nothing here ran on a GPU. */
#include "test.h"

#include "graphs.h"
#include "standin_gpu.h"
#include <tercet/tercet.h>

typedef struct row {
  const char *name;
  int64_t batch, queries, keys, heads, d, width;
  bool causal, mask;
  double scale;
  tct_dtype dtype;
  const char *kernel; /* behind "attention.", "attention_grad." */
} row;

static const row rows[] = {
    {"plain", 2, 128, 128, 2, 32, 32, false, false, 0, TCT_BF16, "cudnn"},
    {"causal", 2, 128, 128, 2, 32, 32, true, false, 0, TCT_BF16, "cudnn"},
    {"f16, causal, scaled", 2, 128, 128, 2, 32, 32, true, false, 0.3, TCT_F16, "cudnn"},
    {"more keys than queries", 3, 72, 200, 2, 32, 32, false, false, 0, TCT_BF16, "cudnn"},
    {"more queries than keys, causal, two widths", 1, 200, 72, 5, 16, 48, true, false, 0, TCT_F16, "cudnn"},
    {"f32", 2, 128, 128, 2, 32, 32, true, false, 0, TCT_F32, "tiles"},
    {"a mask", 2, 128, 128, 2, 32, 32, true, true, 0, TCT_BF16, "tiles"},
    {"a width that is no multiple of 8", 2, 128, 128, 2, 36, 32, false, false, 0, TCT_BF16, "tiles"},
    {"small", 2, 24, 24, 2, 32, 32, false, false, 0, TCT_BF16, "tiles"},
    {"wider than the library's engines", 1, 96, 96, 2, 136, 136, false, false, 0, TCT_BF16, "tiles"},
};
enum { ROWS = sizeof rows / sizeof *rows, OUTPUTS = 4, MOST = 1 << 17, PLAIN = 0, CAUSAL_ROW = 1, TOO_WIDE = ROWS - 1 };
static const char *const outputs[OUTPUTS] = {"y", "dq", "dk", "dv"};

/* Outputs y, and if asked for the gradients of a sum in which every element counts differently. */
static tct_graph *graph_of(const row *r, bool backward) {
  static const char *const names[] = {"q", "k", "v"};
  tct_graph *const g = graph_make();
  const tct_init normal = {TCT_INIT_NORMAL, 1, 0, 0};
  tct_tensor wrt[3], in[3], gradients[3], mask = {NULL, -1};
  for (int i = 0; i < 3; i++) {
    wrt[i] = tct_variable(g, names[i], TCT_F32, TCT_SHAPE(r->batch, i == 0 ? r->queries : r->keys, r->heads, i == 2 ? r->width : r->d), normal);
    in[i] = r->dtype != TCT_F32 ? tct_cast(wrt[i], r->dtype) : wrt[i];
  }
  if (r->mask) mask = tct_greater(tct_variable(g, "m", TCT_F32, TCT_SHAPE(r->batch, 1, 1, r->keys), normal), tct_scalar(g, TCT_F32, -1));
  const tct_tensor y = tct_attention(in[0], in[1], in[2], mask, &(tct_attention_options){.scale = r->scale, .causal = r->causal});
  const tct_tensor wide = r->dtype != TCT_F32 ? tct_cast(y, TCT_F32) : y;
  tct_output(g, outputs[0], wide);
  if (!backward) return g;
  tct_gradients(tct_reduce_sum(tct_mul(wide, tct_input(g, "weights", TCT_F32, tct_tensor_shape(y))), NULL, 0, false), wrt, 3, gradients);
  for (int i = 0; i < 3; i++) tct_output(g, outputs[1 + i], gradients[i]);
  OK(tct_graph_status(g));
  return g;
}

static tct_status run_on(const char *spec, const tct_graph *g, float (*out)[MOST], int *out_library, int *out_own) {
  return gpu_run_graph(spec, false, g, "attention", MOST, out[0], out_library, out_own);
}

static float want[OUTPUTS][MOST], got[OUTPUTS][MOST];

static double tolerance_of(const row *r) { return r->dtype == TCT_F32 ? 1e-5 : r->dtype == TCT_F16 ? 3e-3 : 2e-2; }

TEST(gpu_attention, is_the_references) {
  NEEDS_GPU("");
  static const char *const paces[] = {"queues=behind", "guard=1"};
  for (int i = 0; i < ROWS; i++) {
    tct_graph *const g = graph_of(&rows[i], true);
    const bool library = strcmp(rows[i].kernel, "cudnn") == 0;
    int n_library, n_own;
    OK(run_on("ref", g, want, &n_library, &n_own));
    gpu_set(paces[i % 2]);
    OK(run_on("gpu", g, got, &n_library, &n_own));
    CHECK(n_library == (library ? 2 : 0) && n_own == (library ? 0 : 2), "%s: %d by the library, %d by our own", rows[i].name, n_library, n_own);
    /* Two launches before a recording is replayed: the first run and the recording. */
    CHECK(gpu_calls("cudnnBackendExecute") == (library ? 4 : 0), "%s: %d calls", rows[i].name, (int)gpu_calls("cudnnBackendExecute"));
    CHECK(library || i == TOO_WIDE || gpu_calls("cudnnCreate") == 0, "%s: the library is asked", rows[i].name);
    for (int o = 0; o < OUTPUTS; o++) CHECK(gpu_near(got[o], want[o], gpu_output_size(g, o), tolerance_of(&rows[i])), "%s: %s is wrong", rows[i].name, outputs[o]);
    CHECK(gpu_allocations() == 0 && gpu_library_objects() == 0, "%s: %d objects are left", rows[i].name, (int)gpu_library_objects());
    tct_graph_free(g);
  }
}

/* ds of all samples would need more than a share of the device's memory: two at a time, in a workspace that is half as large. Where the
 * share holds not even one, our own kernel runs. */
TEST(gpu_attention, the_gradient_takes_samples_that_fit) {
  NEEDS_GPU("");
  static const row whole = {"samples", 4, 160, 160, 2, 16, 16, true, false, 0, TCT_BF16, NULL};
  static const struct {
    const char *settings;
    int n_library, n_own, n_calls;
  } cases[] = {{"", 2, 0, 4}, {"memory=10485760", 2, 0, 6}, {"memory=4194304", 2, 0, 10}, {"memory=1048576", 1, 1, 2}};
  tct_graph *const g = graph_of(&whole, true);
  int n_library, n_own;
  OK(run_on("ref", g, want, &n_library, &n_own));
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    tct_device *device = NULL;
    tct_program *program = NULL;
    tct_step_info step;
    gpu_set(cases[i].settings);
    OK(tct_device_open("gpu", NULL, &device));
    gpu_set(""); /* the device believes what it was told when it was opened */
    OK(tct_compile(g, device, NULL, &program));
    n_library = n_own = 0;
    for (int32_t s = 0; tct_program_step(program, s, &step); s++) {
      n_library += strncmp(step.kernel, "attention", 9) == 0 && strstr(step.kernel, ".cudnn") != NULL;
      n_own += strncmp(step.kernel, "attention", 9) == 0 && strstr(step.kernel, ".tiles") != NULL;
    }
    CHECK(n_library == cases[i].n_library && n_own == cases[i].n_own, "%s: %d by the library, %d by our own", cases[i].settings, n_library, n_own);
    feed(program);
    for (int run = 0; run < 2; run++) OK(tct_program_run(program));
    CHECK(gpu_calls("cudnnBackendExecute") == cases[i].n_calls, "%s: %d calls", cases[i].settings, (int)gpu_calls("cudnnBackendExecute"));
    for (int o = 0; o < OUTPUTS; o++) {
      OK(tct_program_get(program, outputs[o], got[o], (size_t)gpu_output_size(g, o) * sizeof(float)));
      CHECK(gpu_near(got[o], want[o], gpu_output_size(g, o), 2e-2), "%s: %s is wrong", cases[i].settings, outputs[o]);
    }
    tct_program_free(program);
    tct_device_close(device);
  }
  tct_graph_free(g);
}

/* A gradient that may add in any order stores no ds, and takes all samples at once however little memory there is. */
TEST(gpu_attention, any_order_needs_no_room_for_ds) {
  NEEDS_GPU("memory=1048576");
  static const row r = {"samples", 4, 160, 160, 2, 16, 16, true, false, 0, TCT_BF16, NULL};
  tct_graph *const g = graph_of(&r, true);
  tct_device *device = NULL;
  tct_program *program = NULL;
  tct_step_info step;
  int n_library, n_own, n = 0;
  OK(run_on("ref", g, want, &n_library, &n_own));
  OK(tct_device_open("gpu", &(tct_device_options){.nondeterministic = true}, &device));
  gpu_set("");
  CHECK(setenv("TERCET_DISABLE", "attention.cudnn", 1) == 0); /* forward, the stand-in's engine for any order gives wrong numbers */
  OK(tct_compile(g, device, NULL, &program));
  for (int32_t s = 0; tct_program_step(program, s, &step); s++) n += strcmp(step.kernel, "attention_grad.cudnn") == 0;
  feed(program);
  for (int run = 0; run < 2; run++) OK(tct_program_run(program));
  CHECK(n == 1 && gpu_calls("cudnnBackendExecute") == 2, "%d, %d calls", n, (int)gpu_calls("cudnnBackendExecute"));
  for (int o = 0; o < OUTPUTS; o++) {
    OK(tct_program_get(program, outputs[o], got[o], (size_t)gpu_output_size(g, o) * sizeof(float)));
    CHECK(gpu_near(got[o], want[o], gpu_output_size(g, o), 2e-2), "%s is wrong", outputs[o]);
  }
  tct_program_free(program);
  tct_device_close(device);
  CHECK(gpu_allocations() == 0 && gpu_library_objects() == 0, "%d objects are left", (int)gpu_library_objects());
  tct_graph_free(g);
}

/* A step in mixed precision, built in f32, has the library's attention, forward and backward. */
TEST(gpu_attention, mixed_precision_comes_to_the_library) {
  NEEDS_GPU("");
  row r = rows[CAUSAL_ROW];
  r.dtype = TCT_F32;
  tct_graph *const g = graph_of(&r, true);
  tct_device *const device = device_make("gpu");
  tct_program *program = NULL;
  tct_step_info step;
  int n = 0;
  OK(tct_compile(g, device, &(tct_compile_options){.precision = TCT_BF16}, &program));
  for (int32_t i = 0; tct_program_step(program, i, &step); i++) n += strcmp(step.kernel, "attention.cudnn") == 0 || strcmp(step.kernel, "attention_grad.cudnn") == 0;
  CHECK(n == 2, "%d", n);
  tct_program_free(program);
  tct_device_close(device);
  tct_graph_free(g);
}

TEST(gpu_attention, a_refusal_is_kept_and_our_kernel_runs) {
  NEEDS_GPU("");
  static const struct {
    const char *settings;
    int row;
    const char *why;
  } cases[] = {
      {"fail=cudnnCreate:1:1001", PLAIN, "attention: cuDNN 9.19.0 does not start: cudnnCreate fails: CUDNN_STATUS_STANDIN; the module's own kernel runs it"},
      {"cudnn=90800", PLAIN, "attention: cuDNN is older than 9.10; install a later one; the module's own kernel runs it"},
      {"", TOO_WIDE, "attention bf16[1,96,2,136], bf16[1,96,2,136], bf16[1,96,2,136] -> bf16[1,96,2,136], f32[1,2,96]: cuDNN 9.19.0: it has no plan: "
                     "CUDNN_STATUS_NOT_SUPPORTED; the module's own kernel runs it"},
      {"", PLAIN, ""},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    tct_graph *const g = graph_of(&rows[cases[i].row], true);
    char refusals[GPU_REFUSALS] = "";
    tct_device *device = NULL;
    tct_program *program = NULL;
    gpu_set(cases[i].settings);
    OK(tct_device_open("gpu", NULL, &device));
    OK(tct_compile(g, device, NULL, &program));
    gpu_refusals(device, refusals);
    CHECK(cases[i].why[0] == '\0' ? refusals[0] == '\0' : strstr(refusals, cases[i].why) != NULL, "%s: %s", cases[i].settings, refusals);
    tct_program_free(program);
    tct_device_close(device);
    tct_graph_free(g);
    CHECK(gpu_library_objects() == 0, "%s: %d objects are left", cases[i].settings, (int)gpu_library_objects());
  }
}

static tct_status run_faulted(void *user, const char *settings, bool *out_refused) {
  tct_graph *const g = user;
  int n_library, n_own;
  const tct_status status = run_on("gpu", g, got, &n_library, &n_own);
  *out_refused = n_own > 0;
  CHECK(status != TCT_OK || gpu_near(got[0], want[0], gpu_output_size(g, 0), 2e-2), "%s: wrong numbers", settings);
  return status;
}

TEST(gpu_attention, every_call_of_the_library_fails_once) {
  NEEDS_GPU("");
  static const int numbers[] = {1, 2, 9, 34, 89, 150, 233, 377};
  tct_graph *const g = graph_of(&rows[CAUSAL_ROW], false);
  int n_library, n_own, n_failures = 0, n_refusals = 0;
  OK(run_on("ref", g, want, &n_library, &n_own));
  gpu_fail_calls(GPU_CUDNN, numbers, sizeof numbers / sizeof *numbers, run_faulted, g, &n_failures, &n_refusals);
  CHECK(n_failures >= 1 && n_refusals >= 5, "%d failures, %d refusals", n_failures, n_refusals);
  tct_graph_free(g);
}
