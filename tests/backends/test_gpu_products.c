/* Products of the device gpu on cuBLASLt, over the stand-ins for the driver and the library: which run there, that operands, epilogues
 * and workspace are what the library needs, and every way in which it does not take one. Nothing here ran on a GPU. */
#include "test.h"

#include "base/alloc.h"
#include "faults.h"
#include "graphs.h"
#include "standin_gpu.h"
#include <tercet/tercet.h>

typedef enum activation { NONE, RELU, GELU_TANH, TANH } activation;

typedef struct row {
  const char *name;
  int64_t a[4], b[4];
  int32_t rank;
  bool transpose_a, transpose_b, bias;
  tct_dtype dtype;
  activation activation;
  const char *kernel;
} row;

static const row rows[] = {
    {"plain", {128, 96}, {96, 112}, 2, false, false, false, TCT_F32, NONE, "matmul.cublaslt"},
    {"both turned", {96, 128}, {112, 96}, 2, true, true, false, TCT_F32, NONE, "matmul.cublaslt"},
    {"first turned", {96, 128}, {96, 112}, 2, true, false, true, TCT_F32, NONE, "matmul.cublaslt"},
    {"bias", {128, 96}, {96, 112}, 2, false, false, true, TCT_F32, NONE, "matmul.cublaslt"},
    {"relu", {128, 96}, {112, 96}, 2, false, true, false, TCT_F32, RELU, "matmul.cublaslt"},
    {"bias, relu", {128, 96}, {96, 112}, 2, false, false, true, TCT_F32, RELU, "matmul.cublaslt"},
    {"bias, gelu", {128, 96}, {96, 112}, 2, false, false, true, TCT_F32, GELU_TANH, "matmul.cublaslt"},
    {"an activation of our own", {128, 96}, {96, 112}, 2, false, false, true, TCT_F32, TANH, "matmul.cublaslt"},
    {"bf16", {128, 96}, {96, 112}, 2, false, false, true, TCT_BF16, RELU, "matmul.cublaslt"},
    {"f16, an activation of our own", {128, 96}, {96, 112}, 2, false, false, true, TCT_F16, TANH, "matmul.cublaslt"},
    {"batches", {3, 64, 96}, {3, 96, 80}, 3, false, false, true, TCT_F32, RELU, "matmul.cublaslt"},
    {"batches, both turned", {3, 96, 64}, {3, 80, 96}, 3, true, true, false, TCT_F32, NONE, "matmul.cublaslt"},
    {"one b for every a", {3, 64, 96}, {1, 96, 80}, 3, false, false, true, TCT_F32, RELU, "matmul.cublaslt"},
    {"one b for every a turned", {3, 96, 64}, {1, 96, 80}, 3, true, false, false, TCT_F32, NONE, "matmul.cublaslt"},
    {"one a for every b", {1, 64, 96}, {3, 96, 80}, 3, false, false, false, TCT_F32, NONE, "matmul.cublaslt"},
    {"two strides", {2, 1, 48, 96}, {1, 3, 96, 80}, 4, false, false, false, TCT_F32, NONE, "matmul.tiles"},
    {"small", {16, 96}, {96, 112}, 2, false, false, true, TCT_F32, RELU, "matmul.tiles"},
};

static tct_graph *graph_of(const row *r) {
  tct_graph *const g = graph_make();
  tct_tensor a = tct_input(g, "a", TCT_F32, tct_shape_of(r->rank, r->a)), b = tct_input(g, "b", TCT_F32, tct_shape_of(r->rank, r->b));
  if (r->dtype != TCT_F32) a = tct_cast(a, r->dtype), b = tct_cast(b, r->dtype);
  tct_tensor y = tct_matmul_transposed(a, b, r->transpose_a, r->transpose_b);
  const tct_shape shape = tct_tensor_shape(y);
  if (r->bias) {
    const tct_tensor bias = tct_input(g, "bias", TCT_F32, TCT_SHAPE(shape.dim[shape.rank - 1]));
    y = tct_add(y, r->dtype != TCT_F32 ? tct_cast(bias, r->dtype) : bias);
  }
  if (r->activation == RELU) y = tct_relu(y);
  if (r->activation == GELU_TANH) y = tct_gelu_tanh(y);
  if (r->activation == TANH) y = tct_tanh(y);
  tct_output(g, "y", r->dtype != TCT_F32 ? tct_cast(y, TCT_F32) : y);
  OK(tct_graph_status(g));
  return g;
}

enum { MOST = 3 * 128 * 112, RUNS = 3 };

/* y after RUNS runs, and the kernel of the product. */
static tct_status run_with(const char *spec, bool nondeterministic, const tct_graph *graph, float *y, int64_t n, char *kernel) {
  tct_device *device = NULL;
  tct_program *program = NULL;
  tct_step_info step;
  tct_status status = tct_device_open(spec, &(tct_device_options){.nondeterministic = nondeterministic}, &device);
  if (status == TCT_OK) status = tct_compile(graph, device, NULL, &program);
  for (int32_t i = 0; status == TCT_OK && tct_program_step(program, i, &step); i++)
    if (strcmp(step.op, "matmul") == 0 && kernel != NULL) snprintf(kernel, 64, "%s", step.kernel);
  if (status == TCT_OK) feed(program);
  for (int i = 0; i < RUNS && status == TCT_OK; i++) status = tct_program_run(program);
  if (status == TCT_OK) status = tct_program_get(program, "y", y, (size_t)n * sizeof *y);
  tct_program_free(program);
  tct_device_close(device);
  return status;
}

static tct_status run_on(const char *spec, const tct_graph *graph, float *y, int64_t n, char *kernel) { return run_with(spec, false, graph, y, n, kernel); }

static int64_t size_of(const tct_graph *graph) {
  const tct_desc *const desc = &graph->values[graph->outputs[0].value].desc;
  return tct_shape_size(&desc->shape);
}

TEST(gpu_products, are_the_references) {
  NEEDS_GPU("");
  static const char *const paces[] = {"queues=lazy", "queues=behind", "guard=1"};
  static float want[MOST], got[MOST], first[MOST];
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    tct_graph *const graph = graph_of(&rows[i]);
    const int64_t n = size_of(graph);
    const bool library = strcmp(rows[i].kernel, "matmul.cublaslt") == 0;
    CHECK(n <= MOST);
    OK(run_on("ref", graph, want, n, NULL));
    for (size_t p = 0; p < sizeof paces / sizeof *paces; p++) {
      char kernel[64] = "";
      gpu_set(paces[p]);
      OK(run_on("gpu", graph, got, n, kernel));
      CHECK(strcmp(kernel, rows[i].kernel) == 0, "%s: %s", rows[i].name, kernel);
      /* Two launches before a recording is replayed: the first run and the recording. */
      CHECK(gpu_calls("cublasLtMatmul") == (library ? 2 : 0), "%s: %d calls", rows[i].name, (int)gpu_calls("cublasLtMatmul"));
      CHECK(gpu_near(got, want, n, rows[i].dtype == TCT_F32 ? 1e-5 : rows[i].dtype == TCT_F16 ? 2e-3 : 1.6e-2), "%s, %s: wrong numbers",
            rows[i].name, paces[p]);
      CHECK(p == 0 || memcmp(got, first, (size_t)n * sizeof *got) == 0, "%s, %s: other bits", rows[i].name, paces[p]);
      memcpy(first, got, (size_t)n * sizeof *got);
      CHECK(gpu_allocations() == 0 && gpu_library_objects() == 0, "%s: %d objects are left", rows[i].name, (int)gpu_library_objects());
    }
    tct_graph_free(graph);
  }
}

/* ---- a training step of two dense layers ---- */

enum { STEP_ROWS = 128, STEP_IN = 96, STEP_HIDDEN = 128, STEP_OUTPUTS = 5 };
static const char *const step_outputs[STEP_OUTPUTS] = {"dw0", "db0", "dw1", "db1", "dx"};
static const char *const fused_ops[] = {"matmul_gelu", "matmul_dgelu", "matmul_bgrad"};
static float step_want[STEP_OUTPUTS][STEP_ROWS * STEP_HIDDEN], step_got[STEP_OUTPUTS][STEP_ROWS * STEP_HIDDEN];

/* gelu_tanh between them; rows as one axis, or as two. */
static tct_graph *training_step_graph(bool deep, bool bias, int64_t hidden) {
  tct_graph *const g = graph_make();
  const tct_init init = {TCT_INIT_NORMAL, 0.1, 0, 0};
  const tct_tensor x = tct_input(g, "x", TCT_F32, deep ? TCT_SHAPE(2, STEP_ROWS / 2, STEP_IN) : TCT_SHAPE(STEP_ROWS, STEP_IN));
  const tct_tensor w0 = tct_variable(g, "w0", TCT_F32, TCT_SHAPE(STEP_IN, hidden), init), b0 = tct_variable(g, "b0", TCT_F32, TCT_SHAPE(hidden), init);
  const tct_tensor w1 = tct_variable(g, "w1", TCT_F32, TCT_SHAPE(hidden, STEP_IN), init), b1 = tct_variable(g, "b1", TCT_F32, TCT_SHAPE(STEP_IN), init);
  const tct_tensor product = tct_matmul(x, w0), without = tct_matmul(tct_gelu_tanh(bias ? tct_add(product, b0) : product), w1);
  const tct_tensor y = bias ? tct_add(without, b1) : without, wrt[] = {w0, b0, w1, b1, x};
  tct_tensor d[STEP_OUTPUTS];
  tct_gradients(sum_of(tct_mul(y, y)), wrt, STEP_OUTPUTS, d);
  for (int i = 0; i < STEP_OUTPUTS; i++) tct_output(g, step_outputs[i], d[i]);
  OK(tct_graph_status(g));
  return g;
}

/* All outputs after RUNS runs; the kernels of the fused products, in order, each behind a space. */
static tct_status run_step(const char *spec, const tct_graph *graph, tct_dtype precision, float (*out)[STEP_ROWS * STEP_HIDDEN], char *kernels,
                           size_t kernels_bytes) {
  tct_device *device = NULL;
  tct_program *program = NULL;
  tct_step_info step;
  tct_status status = tct_device_open(spec, NULL, &device);
  if (status == TCT_OK) status = tct_compile(graph, device, &(tct_compile_options){.precision = precision}, &program);
  kernels[0] = '\0';
  for (int32_t i = 0; status == TCT_OK && tct_program_step(program, i, &step); i++) {
    const size_t used = strlen(kernels);
    if (strncmp(step.op, "matmul_", 7) == 0) snprintf(kernels + used, kernels_bytes - used, " %s", step.kernel);
  }
  if (status == TCT_OK) feed(program);
  for (int i = 0; i < RUNS && status == TCT_OK; i++) status = tct_program_run(program);
  for (int i = 0; i < STEP_OUTPUTS && status == TCT_OK; i++)
    status = tct_program_get(program, step_outputs[i], out[i],
                             (size_t)tct_shape_size(&graph->values[graph->outputs[i].value].desc.shape) * sizeof(float));
  tct_program_free(program);
  tct_device_close(device);
  return status;
}

static void check_step(const tct_graph *graph, tct_dtype precision, const char *what) {
  for (int i = 0; i < STEP_OUTPUTS; i++) {
    const int64_t n = tct_shape_size(&graph->values[graph->outputs[i].value].desc.shape);
    CHECK(gpu_near(step_got[i], step_want[i], n, precision == TCT_F32 ? 2e-5 : precision == TCT_F16 ? 4e-3 : 3e-2), "%s: %s: wrong numbers", what,
          step_outputs[i]);
  }
}

/* In the library's epilogues, by its products with our kernels behind, without the library, and unfused: the same numbers. */
TEST(gpu_products, a_training_step_in_the_librarys_epilogues) {
  NEEDS_GPU("");
  static const struct {
    const char *disabled, *kernel;
    int n_products; /* of the library */
  } ways[] = {{"", "cublaslt", 6},
              {"matmul_gelu.cublaslt,matmul_dgelu.cublaslt,matmul_bgrad.cublaslt", "cublaslt_apart", 6},
              {"matmul_gelu.cublaslt,matmul_dgelu.cublaslt,matmul_bgrad.cublaslt,matmul_gelu.cublaslt_apart,matmul_dgelu.cublaslt_apart,"
               "matmul_bgrad.cublaslt_apart", "tiles", 2},
              {"matmul_gelu.cublaslt,matmul_dgelu.cublaslt,matmul_bgrad.cublaslt,matmul_gelu.cublaslt_apart,matmul_dgelu.cublaslt_apart,"
               "matmul_bgrad.cublaslt_apart,matmul_gelu.tiles,matmul_dgelu.tiles,matmul_bgrad.tiles", NULL, 6}};
  static const tct_dtype dtypes[] = {TCT_F32, TCT_BF16, TCT_F16};
  for (int form = 0; form < 3; form++) {
    const bool deep = form == 1, bias = form != 2;
    tct_graph *const graph = training_step_graph(deep, bias, STEP_HIDDEN);
    char kernels[400], want[400], what[200];
    OK(run_step("ref", graph, TCT_F32, step_want, kernels, sizeof kernels));
    for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
      for (size_t d = 0; d < sizeof dtypes / sizeof *dtypes; d++) {
        gpu_set(d == 0 ? "queues=lazy" : d == 1 ? "queues=behind" : "guard=1");
        (void)snprintf(what, sizeof what, "form %d, %s, %s", form, ways[w].kernel != NULL ? ways[w].kernel : "unfused", tct_dtype_name(dtypes[d]));
        CHECK(setenv("TERCET_DISABLE", ways[w].disabled, 1) == 0);
        const tct_status status = run_step("gpu", graph, dtypes[d], step_got, kernels, sizeof kernels);
        (void)unsetenv("TERCET_DISABLE");
        OK(status);
        if (ways[w].kernel == NULL) want[0] = '\0';
        else if (bias) (void)snprintf(want, sizeof want, " matmul_gelu.%s matmul_bgrad.%s matmul_dgelu.%s matmul_bgrad.%s", ways[w].kernel, ways[w].kernel, ways[w].kernel, ways[w].kernel);
        else (void)snprintf(want, sizeof want, " matmul_gelu.%s matmul_dgelu.%s", ways[w].kernel, ways[w].kernel);
        CHECK(strcmp(kernels, want) == 0, "%s: %s, not%s", what, kernels, want);
        /* Launched, and recorded; without a bias dw is no fused product. */
        CHECK(gpu_calls("cublasLtMatmul") == 2 * (ways[w].n_products + (ways[w].n_products < 6 && !bias ? 2 : 0)), "%s: %d calls", what,
              (int)gpu_calls("cublasLtMatmul"));
        check_step(graph, dtypes[d], what);
        CHECK(gpu_allocations() == 0 && gpu_library_objects() == 0, "%s: %d objects are left", what, (int)gpu_library_objects());
      }
    }
    tct_graph_free(graph);
  }
}

/* The second matrix of an epilogue has rows of multiples of 8. */
TEST(gpu_products, rows_that_the_epilogue_cannot_have) {
  NEEDS_GPU("");
  tct_graph *const graph = training_step_graph(false, true, STEP_HIDDEN - 2);
  char kernels[400];
  OK(run_step("ref", graph, TCT_F32, step_want, kernels, sizeof kernels));
  OK(run_step("gpu", graph, TCT_F32, step_got, kernels, sizeof kernels));
  CHECK(strcmp(kernels, " matmul_gelu.cublaslt_apart matmul_bgrad.cublaslt matmul_dgelu.cublaslt_apart matmul_bgrad.cublaslt") == 0, "%s", kernels);
  check_step(graph, TCT_F32, "rows of 126");
  tct_graph_free(graph);
}

/* What the library does not take, our kernels run behind its product; the numbers are the same, or the error says which call it was. */
static tct_status run_faulted_step(void *user, const char *settings, bool *out_refused) {
  char kernels[400];
  const tct_status status = run_step("gpu", user, TCT_BF16, step_got, kernels, sizeof kernels);
  *out_refused = strstr(kernels, "_apart") != NULL;
  if (status == TCT_OK) check_step(user, TCT_BF16, settings);
  return status;
}

TEST(gpu_products, every_call_of_a_fused_step_fails_once) {
  NEEDS_GPU("");
  static const int numbers[] = {1, 3, 4, 5, 6, 8, 10, 14, 18, 23, 28, 33, 38};
  tct_graph *const graph = training_step_graph(true, true, STEP_HIDDEN);
  char kernels[400];
  int n_failures = 0, n_refusals = 0;
  OK(run_step("ref", graph, TCT_F32, step_want, kernels, sizeof kernels));
  gpu_fail_calls(GPU_CUBLASLT, numbers, sizeof numbers / sizeof *numbers, run_faulted_step, graph, &n_failures, &n_refusals);
  CHECK(n_failures >= 4 && n_refusals >= 12, "%d failures, %d refusals", n_failures, n_refusals);
  tct_graph_free(graph);
}

static tct_status compile_step(const tct_graph *graph) {
  tct_device *device = NULL;
  tct_program *program = NULL;
  tct_status status = tct_device_open("gpu", NULL, &device);
  if (status == TCT_OK) status = tct_compile(graph, device, &(tct_compile_options){.precision = TCT_BF16}, &program);
  tct_program_free(program);
  tct_device_close(device);
  return status;
}

TEST(gpu_products, every_failed_allocation_of_a_fused_step) {
  NEEDS_GPU("");
  static const char *const disabled[] = {"", "matmul_gelu.cublaslt,matmul_dgelu.cublaslt,matmul_bgrad.cublaslt"};
  tct_graph *const graph = training_step_graph(true, true, STEP_HIDDEN);
  for (size_t i = 0; i < sizeof disabled / sizeof *disabled; i++) {
    CHECK(setenv("TERCET_DISABLE", disabled[i], 1) == 0);
    OK(compile_step(graph)); /* what a process opens once */
    const int64_t live = tct_alloc_live();
    int n_failed = 0;
    for (int64_t n = 1; n < 5000; n++) {
      tct_error_clear();
      (void)fault_alloc(n);
      const tct_status status = compile_step(graph);
      if (!fault_alloc(0)) {
        OK(status);
        break;
      }
      n_failed++;
      CHECK(status == TCT_OUT_OF_MEMORY, "allocation %d failed, but the result is %s: %s", (int)n, tct_status_name(status), tct_error_message());
      CHECK(tct_alloc_live() == live && gpu_allocations() == 0 && gpu_library_objects() == 0, "allocation %d failed: something is left", (int)n);
    }
    (void)unsetenv("TERCET_DISABLE");
    CHECK(n_failed > 40, "%d allocations", n_failed);
  }
  tct_graph_free(graph);
}

/* A block of GPT's kind: its hidden layer, and every dense layer's gradients. */
TEST(gpu_products, a_gpt_block_shows_fused_products) {
  NEEDS_GPU("");
  static const char train[] =
      "train examples/glyphs.yaml --device gpu --epochs 1 --set data.samples=8 --set data.test=null --set save=null --set train.batch_size=4 "
      "--set train.precision=bfloat16 --set model.width=64 --set 'model.layers=[{Reshape: {target_shape: [49, 16]}}, LayerNormalization, "
      "{MultiHeadAttention: {num_heads: 2, key_dim: 16, causal: true}}, LayerNormalization, {Dense: {units: $width, activation: gelu_tanh}}, "
      "{Dense: {units: 16}}, Flatten, {Dense: {units: 10, activation: softmax}}]'";
  static const int want[] = {1, 1, 6}; /* attention has four products with biases */
  CHECK(gpu_run("TERCET_DUMP=fuse_chain", train) == 0, "%s", gpu_out);
  for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
    char part[40];
    int n = 0;
    (void)snprintf(part, sizeof part, " = %s(", fused_ops[i]);
    for (const char *at = strstr(gpu_out, part); at != NULL; at = strstr(at + 1, part)) n++;
    CHECK(n == want[i], "%d of %s", n, fused_ops[i]);
  }
}

TEST(gpu_products, small_ones_never_open_the_library) {
  NEEDS_GPU("");
  static float y[MOST];
  tct_graph *const graph = graph_of(&rows[sizeof rows / sizeof *rows - 1]);
  OK(run_on("gpu", graph, y, size_of(graph), NULL));
  CHECK(gpu_calls("cublasLtCreate") == 0);
  tct_graph_free(graph);
}

TEST(gpu_products, the_same_problem_is_asked_about_once) {
  NEEDS_GPU("");
  tct_graph *const g = graph_make();
  tct_device *const device = device_make("gpu");
  tct_program *program = NULL;
  tct_tensor x = tct_input(g, "x", TCT_F32, TCT_SHAPE(128, 128));
  for (int i = 0; i < 40; i++) x = tct_matmul_transposed(x, x, i % 2 != 0, false);
  const tct_tensor wide = tct_input(g, "w", TCT_F32, TCT_SHAPE(128, 500));
  for (int i = 1; i < 40; i++) { /* one of which is among those above; more than there is room for at first */
    char name[16];
    snprintf(name, sizeof name, "y%d", i);
    tct_output(g, name, tct_matmul(x, tct_slice(wide, (const int64_t[]){0, 0}, (const int64_t[]){128, 100 + i}, (const int64_t[]){1, 1})));
  }
  OK(tct_compile(g, device, NULL, &program));
  CHECK(gpu_calls("cublasLtMatmulAlgoGetHeuristic") == 40, "%d", (int)gpu_calls("cublasLtMatmulAlgoGetHeuristic"));
  tct_program_free(program);
  tct_graph_free(g);
  tct_device_close(device);
}

/* Where the library does not take a product, our own kernel runs it, and the device says why. */
TEST(gpu_products, a_refused_epilogue_is_kept) {
  NEEDS_GPU("");
  tct_graph *const graph = training_step_graph(false, true, STEP_HIDDEN);
  tct_device *device = NULL;
  tct_program *program = NULL;
  char refusal[GPU_REFUSALS] = "";
  gpu_set("fail=cublasLtMatmulAlgoGetHeuristic:1:15");
  OK(tct_device_open("gpu", NULL, &device));
  OK(tct_compile(graph, device, NULL, &program));
  gpu_refusals(device, refusal);
  CHECK(strstr(refusal, "matmul_gelu f32[128,96], f32[96,128], f32[128] -> f32[128,128], f32[128,128]: cuBLASLt 13.1.0: it has no algorithm with this "
                        "epilogue: CUBLAS_STATUS_NOT_SUPPORTED; its plain product is tried, with the module's own kernel behind it") != NULL, "%s", refusal);
  tct_program_free(program);
  tct_device_close(device);
  tct_graph_free(graph);
}

TEST(gpu_products, a_refusal_is_kept_and_our_kernel_runs) {
  NEEDS_GPU("");
  static const struct {
    const char *settings, *why;
  } cases[] = {
      {"fail=cublasLtCreate:1:1", "products: cuBLASLt 13.1.0 does not start: cublasLtCreate fails: CUBLAS_STATUS_STANDIN; the module's own kernel runs it"},
      {"fail=cublasLtMatmulAlgoGetHeuristic:1:15",
       "matmul f32[128,96], f32[96,112], f32[112] -> f32[128,112]: cuBLASLt 13.1.0: it has no algorithm: CUBLAS_STATUS_NOT_SUPPORTED"},
      {"fail=cublasLtMatmulDescCreate:1:7", "it has no algorithm: CUBLAS_STATUS_INVALID_VALUE"},
      {"fail=cublasLtMatrixLayoutSetAttribute:5:7", "it has no algorithm: CUBLAS_STATUS_INVALID_VALUE"},
      {"fail=cublasLtMatmulPreferenceCreate:1:7", "it has no algorithm: CUBLAS_STATUS_INVALID_VALUE"},
      {"fail=cublasLtMatmulPreferenceSetAttribute:2:7", "it has no algorithm: CUBLAS_STATUS_INVALID_VALUE"},
  };
  static float want[MOST], got[MOST];
  tct_graph *const graph = graph_of(&rows[3]);
  OK(run_on("ref", graph, want, size_of(graph), NULL));
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char refusal[GPU_REFUSALS] = "";
    tct_device *device = NULL;
    tct_program *program = NULL, *again = NULL;
    tct_step_info step;
    gpu_set(cases[i].settings);
    OK(tct_device_open("gpu", NULL, &device));
    OK(tct_compile(graph, device, NULL, &program));
    CHECK(tct_program_step(program, 0, &step) && strcmp(step.kernel, "matmul.tiles") == 0, "%s: %s", cases[i].settings, step.kernel);
    feed(program);
    OK(tct_program_run(program));
    OK(tct_program_get(program, "y", got, (size_t)size_of(graph) * sizeof *got));
    CHECK(gpu_near(got, want, size_of(graph), 1e-5), "%s: wrong numbers", cases[i].settings);
    gpu_refusals(device, refusal);
    CHECK(strstr(refusal, cases[i].why) != NULL, "%s: %s", cases[i].settings, refusal);
    OK(tct_compile(graph, device, NULL, &again)); /* the answer is kept, and so is the sentence, once */
    tct_program_free(again);
    tct_program_free(program);
    tct_device_close(device);
    CHECK(gpu_allocations() == 0 && gpu_library_objects() == 0, "%s: %d objects are left", cases[i].settings, (int)gpu_library_objects());
  }
  tct_graph_free(graph);
}

static float reference[MOST];

static tct_status run_faulted(void *user, const char *settings, bool *out_refused) {
  static float got[MOST];
  tct_graph *const graph = user;
  const int64_t n = size_of(graph);
  char kernel[64] = "";
  const tct_status status = run_on("gpu", graph, got, n, kernel);
  *out_refused = strcmp(kernel, "matmul.tiles") == 0;
  CHECK(status != TCT_OK || gpu_near(got, reference, n, 1e-5), "%s: wrong numbers", settings);
  return status;
}

TEST(gpu_products, every_call_of_the_library_fails_once) {
  NEEDS_GPU("");
  static const int numbers[] = {1, 2, 3, 4, 5, 6, 7, 8};
  tct_graph *const graph = graph_of(&rows[5]);
  int n_failures = 0, n_refusals = 0;
  OK(run_on("ref", graph, reference, size_of(graph), NULL));
  gpu_fail_calls(GPU_CUBLASLT, numbers, sizeof numbers / sizeof *numbers, run_faulted, graph, &n_failures, &n_refusals);
  CHECK(n_failures >= 1 && n_refusals >= 15, "%d failures, %d refusals", n_failures, n_refusals);
  tct_graph_free(graph);
}

TEST(gpu_products, tf32_is_asked_for) {
  NEEDS_GPU("");
  static float want[MOST], exact[MOST], rounded[MOST];
  tct_graph *const graph = graph_of(&rows[0]);
  const int64_t n = size_of(graph);
  tct_device_info info;
  tct_device *device = NULL;
  OK(run_on("ref", graph, want, n, NULL));
  OK(run_on("gpu", graph, exact, n, NULL));
  OK(run_on("gpu:tf32", graph, rounded, n, NULL));
  CHECK(gpu_near(exact, want, n, 1e-6) && !gpu_near(rounded, want, n, 1e-5) && gpu_near(rounded, want, n, 2e-3));
  OK(tct_device_open("gpu:tf32", NULL, &device));
  tct_device_describe(device, &info);
  CHECK(strstr(info.name, ", TF32") != NULL, "%s", info.name);
  tct_device_close(device);
  FAILS(tct_device_open("gpu:fast", NULL, &device), TCT_INVALID, "gpu:fast: device gpu takes a number (gpu:1) or tf32");
  tct_graph_free(graph);
}

/* The stand-in's sums in no fixed order are 1e30. */
TEST(gpu_products, any_order_only_when_asked) {
  NEEDS_GPU("");
  static float y[MOST];
  tct_device_info info;
  tct_device *device = NULL;
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    const row *const r = &rows[i];
    if (strcmp(r->kernel, "matmul.cublaslt") != 0 || r->activation == TANH) continue;
    tct_graph *const graph = graph_of(r);
    OK(run_with("gpu", true, graph, y, size_of(graph), NULL));
    double most = 0;
    for (int64_t k = 0; k < size_of(graph); k++) most = fmax(most, fabs((double)y[k]));
    if (r->dtype == TCT_F32) CHECK(most > 1e29, "%s: its order is fixed", r->name);
    else CHECK(most < 1e29, "%s: atomics would round in between", r->name);
    tct_graph_free(graph);
  }
  OK(tct_device_open("gpu", &(tct_device_options){.nondeterministic = true}, &device));
  tct_device_describe(device, &info);
  CHECK(strstr(info.name, ", not deterministic") != NULL, "%s", info.name);
  tct_device_close(device);
}

/* A small network on 64 drawings, of which only the first layer is large enough. */
TEST(gpu_products, a_result_tells_of_refusals) {
  NEEDS_GPU("");
  static const char train[] = "train examples/glyphs.yaml --device gpu --epochs 1 --json --set data.samples=64 --set data.test.samples=8 "
                              "--set save=null --set model.width=32 --set 'model.layers=[Flatten, {Dense: {units: $width}}, {Dense: {units: 10, activation: softmax}}]'";
  CHECK(gpu_run("", train) == 0 && strstr(gpu_out, "\"refused\"") == NULL && strstr(gpu_out, "not deterministic") == NULL, "%s", gpu_out);
  char any[600];
  snprintf(any, sizeof any, "%s --set deterministic=false", train);
  CHECK(gpu_run("", any) == 0 && strstr(gpu_out, ", not deterministic\"") != NULL, "%s", gpu_out);
  CHECK(gpu_run("STANDIN_CUDA=fail=cublasLtMatmulAlgoGetHeuristic:1:15", train) == 0, "%s", gpu_out);
  const char *const refused = strstr(gpu_out, "\"refused\":[");
  CHECK(refused != NULL && strstr(refused, "[\"matmul f32[64,784], f32[784,32]") != NULL, "%s", gpu_out);
  CHECK(strstr(gpu_out, "tercet: warning: device 'gpu:0': matmul f32[64,784], f32[784,32]") != NULL, "%s", gpu_out);
}

/* The library is looked for once a process: other processes. */
TEST(gpu_products, doctor_says_which_library) {
  NEEDS_GPU("");
  static const struct {
    const char *environment, *part;
  } cases[] = {
      {"", GPU_STANDIN "/libcublasLt.so.13: cuBLASLt 13.1.0; it takes products, but small ones"},
      {"STANDIN_CUDA=cublaslt=120900", "libcublasLt.so.13 is version 12.9.0, needs 13; install cuBLASLt 13."},
      {"TERCET_CUDA_LIBRARY_PATH=" TCT_BINARY_DIR "/modules/hollow-libraries:" GPU_STANDIN,
       "modules/hollow-libraries/libcublasLt.so.13 has no function cublasLtGetVersion: it is too old"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    CHECK(gpu_run(cases[i].environment, "doctor") == 0, "%s", gpu_out);
    CHECK(strstr(gpu_out, cases[i].part) != NULL, "%s: %s", cases[i].environment, gpu_out);
  }
  if (TCT_HIDE[0] == '\0') return; /* a sanitizer comes before what is loaded first */
  CHECK(gpu_run("HIDDEN_LIBRARY=libcublasLt LD_PRELOAD=" TCT_HIDE, "doctor") == 0, "%s", gpu_out);
  CHECK(strstr(gpu_out, "not used: products run on the module's own kernels: libcublasLt.so.13 is not in " GPU_STANDIN ", the dynamic") != NULL,
        "%s", gpu_out);
}
