/* Convolutions of the device gpu on cuDNN, over the stand-ins for the driver and the library: forward with what comes behind, and both
 * gradients, against the reference; engines that are not taken; every way in which the library takes none. Nothing here ran on a GPU. */
#include "test.h"

#include "graphs.h"
#include "standin_gpu.h"
#include <tercet/tercet.h>

typedef enum activation { NONE, RELU, TANH } activation;

typedef struct row {
  const char *name;
  int64_t x[4], w[4];
  tct_conv2d_options options;
  tct_dtype dtype;
  bool bias;
  activation activation;
  const char *kernel; /* behind "conv2d.", "conv2d_grad_input.", "conv2d_grad_filter." */
} row;

#define SAME {.padding = TCT_PADDING_SAME}
static const row rows[] = {
    {"plain", {2, 16, 16, 16}, {3, 3, 16, 64}, SAME, TCT_F32, false, NONE, "cudnn"},
    {"bias", {2, 16, 16, 16}, {3, 3, 16, 64}, SAME, TCT_F32, true, NONE, "cudnn"},
    {"bias, relu", {2, 16, 16, 16}, {3, 3, 16, 64}, SAME, TCT_F32, true, RELU, "cudnn"},
    {"relu alone, behind the library", {2, 16, 16, 16}, {3, 3, 16, 64}, SAME, TCT_F32, false, RELU, "cudnn"},
    {"an activation of our own", {2, 16, 16, 16}, {3, 3, 16, 64}, SAME, TCT_F32, true, TANH, "cudnn"},
    {"bf16", {2, 16, 16, 16}, {3, 3, 16, 64}, SAME, TCT_BF16, true, RELU, "cudnn"},
    {"f16, an activation of our own", {2, 16, 16, 16}, {3, 3, 16, 64}, SAME, TCT_F16, true, TANH, "cudnn"},
    {"strides", {2, 33, 31, 16}, {3, 3, 16, 64}, {.stride = {2, 2}}, TCT_F32, true, RELU, "cudnn"},
    {"dilation, one row of taps, padding", {2, 16, 20, 24}, {1, 5, 24, 72}, {.dilation = {1, 2}, .padding = TCT_PADDING_EXPLICIT, .pad = {0, 0, 2, 2}},
     TCT_F32, false, NONE, "cudnn"},
    {"groups", {4, 16, 16, 32}, {3, 3, 8, 64}, {.padding = TCT_PADDING_SAME, .groups = 4}, TCT_F32, true, RELU, "cudnn"},
    {"more padding after than before", {2, 32, 32, 16}, {3, 3, 16, 64}, {.stride = {2, 2}, .padding = TCT_PADDING_SAME}, TCT_F32, true, RELU, "tiles"},
    {"small", {2, 8, 8, 16}, {3, 3, 16, 32}, SAME, TCT_F32, true, RELU, "tiles"},
};
#undef SAME
static const char *const outputs[] = {"y", "dx", "dw"};
enum { ROWS = sizeof rows / sizeof *rows, OUTPUTS = 3, MOST = 1 << 17 };

/* Outputs y, and if asked for dx and dw of a sum in which every element counts differently. */
static tct_graph *graph_of(const row *r, bool backward) {
  tct_graph *const g = graph_make();
  const tct_init normal = {TCT_INIT_NORMAL, 1, 0, 0};
  const tct_tensor wrt[2] = {tct_variable(g, "x", TCT_F32, tct_shape_of(4, r->x), normal), tct_variable(g, "w", TCT_F32, tct_shape_of(4, r->w), normal)};
  const bool narrow = r->dtype != TCT_F32;
  tct_tensor y = tct_conv2d(narrow ? tct_cast(wrt[0], r->dtype) : wrt[0], narrow ? tct_cast(wrt[1], r->dtype) : wrt[1], &r->options), gradients[2];
  if (r->bias) {
    const tct_tensor bias = tct_variable(g, "b", TCT_F32, TCT_SHAPE(r->w[3]), normal);
    y = tct_add(y, narrow ? tct_cast(bias, r->dtype) : bias);
  }
  if (r->activation == RELU) y = tct_relu(y);
  if (r->activation == TANH) y = tct_tanh(y);
  if (narrow) y = tct_cast(y, TCT_F32);
  tct_output(g, "y", y);
  if (!backward) return g;
  tct_gradients(tct_reduce_sum(tct_mul(y, tct_input(g, "weights", TCT_F32, tct_tensor_shape(y))), NULL, 0, false), wrt, 2, gradients);
  tct_output(g, "dx", gradients[0]);
  tct_output(g, "dw", gradients[1]);
  OK(tct_graph_status(g));
  return g;
}

static tct_status run_with(const char *spec, bool nondeterministic, const tct_graph *g, float (*out)[MOST], int *out_library, int *out_own) {
  return gpu_run_graph(spec, nondeterministic, g, "conv2d", MOST, out[0], out_library, out_own);
}

static tct_status run_on(const char *spec, const tct_graph *g, float (*out)[MOST], int *out_library, int *out_own) {
  return run_with(spec, false, g, out, out_library, out_own);
}

static float want[OUTPUTS][MOST], got[OUTPUTS][MOST];

TEST(gpu_convolutions, are_the_references) {
  NEEDS_GPU("");
  static const char *const paces[] = {"queues=behind", "guard=1"};
  for (int i = 0; i < ROWS; i++) {
    tct_graph *const g = graph_of(&rows[i], true);
    const double tolerance = rows[i].dtype == TCT_F32 ? 1e-5 : rows[i].dtype == TCT_F16 ? 4e-3 : 3e-2;
    const bool library = strcmp(rows[i].kernel, "cudnn") == 0;
    int n_library, n_own;
    OK(run_on("ref", g, want, &n_library, &n_own));
    gpu_set(paces[i % 2]);
    OK(run_on("gpu", g, got, &n_library, &n_own));
    CHECK(n_library == (library ? 3 : 0) && n_own == (library ? 0 : 3), "%s: %d by the library, %d by our own", rows[i].name, n_library, n_own);
    /* Two launches before a recording is replayed: the first run and the recording. */
    CHECK(gpu_calls("cudnnBackendExecute") == (library ? 6 : 0), "%s: %d calls", rows[i].name, (int)gpu_calls("cudnnBackendExecute"));
    for (int o = 0; o < OUTPUTS; o++) CHECK(gpu_near(got[o], want[o], gpu_output_size(g, o), tolerance), "%s: %s is wrong", rows[i].name, outputs[o]);
    CHECK(gpu_allocations() == 0 && gpu_library_objects() == 0, "%s: %d objects are left", rows[i].name, (int)gpu_library_objects());
    tct_graph_free(g);
  }
}

TEST(gpu_convolutions, small_ones_never_open_the_library) {
  NEEDS_GPU("");
  tct_graph *const g = graph_of(&rows[ROWS - 1], false);
  int n_library, n_own;
  OK(run_on("gpu", g, got, &n_library, &n_own));
  CHECK(gpu_calls("cudnnCreate") == 0);
  tct_graph_free(g);
}

TEST(gpu_convolutions, rounding_engines_only_when_asked) {
  NEEDS_GPU("");
  tct_graph *const g = graph_of(&rows[0], true);
  int n_library, n_own;
  OK(run_on("ref", g, want, &n_library, &n_own));
  OK(run_on("gpu:tf32", g, got, &n_library, &n_own));
  for (int o = 0; o < OUTPUTS; o++)
    CHECK(!gpu_near(got[o], want[o], gpu_output_size(g, o), 1e-5) && gpu_near(got[o], want[o], gpu_output_size(g, o), 3e-3), "%s", outputs[o]);
  tct_graph_free(g);
}

/* The stand-in's engine without a fixed order comes first, and gives wrong numbers. */
TEST(gpu_convolutions, any_order_only_when_asked) {
  NEEDS_GPU("");
  tct_graph *const g = graph_of(&rows[0], true);
  int n_library, n_own;
  OK(run_with("gpu", true, g, got, &n_library, &n_own));
  CHECK(n_library == 3 && got[0][0] > 1e29f, "%d by the library, %g", n_library, (double)got[0][0]);
  tct_graph_free(g);
}

TEST(gpu_convolutions, a_refusal_is_kept_and_our_kernel_runs) {
  NEEDS_GPU("");
  static const struct {
    const char *settings;
    int row, n_own;
    const char *why;
  } cases[] = {
      {"fail=cudnnCreate:1:1001", 2, 3, "convolutions: cuDNN 9.19.0 does not start: cudnnCreate fails: CUDNN_STATUS_STANDIN"},
      {"fail=cudnnSetStream:1:2000", 2, 3, "convolutions: cuDNN 9.19.0 does not start: cudnnSetStream fails: CUDNN_STATUS_BAD_PARAM"},
      {"", 10, 3, "conv2d f32[2,32,32,16], f32[3,3,16,64], f32[64] -> f32[2,16,16,64]: cuDNN 9.19.0: it has no plan: CUDNN_STATUS_NOT_SUPPORTED"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    tct_graph *const g = graph_of(&rows[cases[i].row], true);
    char refusals[GPU_REFUSALS] = "";
    tct_device *device = NULL;
    tct_program *program = NULL;
    tct_step_info step;
    int n_own = 0;
    gpu_set(cases[i].settings);
    OK(tct_device_open("gpu", NULL, &device));
    OK(tct_compile(g, device, NULL, &program));
    for (int32_t s = 0; tct_program_step(program, s, &step); s++) n_own += strncmp(step.kernel, "conv2d", 6) == 0 && strstr(step.kernel, ".tiles") != NULL;
    gpu_refusals(device, refusals);
    CHECK(n_own == cases[i].n_own && strstr(refusals, cases[i].why) != NULL, "%s: %d by our own kernels: %s", cases[i].settings, n_own, refusals);
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
  for (int o = 0; o < g->n_outputs && status == TCT_OK; o++) CHECK(gpu_near(got[o], want[o], gpu_output_size(g, o), 1e-5), "%s: %s is wrong", settings, outputs[o]);
  return status;
}

TEST(gpu_convolutions, every_call_of_the_library_fails_once) {
  NEEDS_GPU("");
  static const int numbers[] = {1, 2, 3, 9, 21, 55, 89};
  tct_graph *const g = graph_of(&rows[2], false);
  int n_library, n_own, n_failures = 0, n_refusals = 0;
  OK(run_on("ref", g, want, &n_library, &n_own));
  gpu_fail_calls(GPU_CUDNN, numbers, sizeof numbers / sizeof *numbers, run_faulted, g, &n_failures, &n_refusals);
  CHECK(n_failures >= 1 && n_refusals >= 2, "%d failures, %d refusals", n_failures, n_refusals);
  tct_graph_free(g);
}

/* The library is looked for once a process: other processes. */
TEST(gpu_convolutions, doctor_says_which_library) {
  NEEDS_GPU("");
  static const struct {
    const char *environment, *part;
  } cases[] = {
      {"", GPU_STANDIN "/libcudnn.so.9: cuDNN 9.19.0; it takes convolutions and attention, but small ones"},
      {"STANDIN_CUDA=cudnn=80907", "libcudnn.so.9 is version 8.9.7, needs 9; install cuDNN 9."},
      {"TERCET_CUDA_LIBRARY_PATH=" TCT_BINARY_DIR "/modules/hollow-libraries:" GPU_STANDIN, "hollow-libraries/libcudnn.so.9 has no function cudnnGetVersion"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    CHECK(gpu_run(cases[i].environment, "doctor") == 0, "%s", gpu_out);
    CHECK(strstr(gpu_out, cases[i].part) != NULL, "%s: %s", cases[i].environment, gpu_out);
  }
  if (TCT_HIDE[0] == '\0') return; /* a sanitizer comes before what is loaded first */
  CHECK(gpu_run("HIDDEN_LIBRARY=libcudnn LD_PRELOAD=" TCT_HIDE, "doctor") == 0, "%s", gpu_out);
  CHECK(strstr(gpu_out, "not used: convolutions and attention run on the module's own kernels: libcudnn.so.9 is not in ") != NULL, "%s", gpu_out);
}
