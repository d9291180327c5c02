/* Custom ops as device code on the gpu: the real NVRTC compiles them, the stand-in driver reads entries and parameters of what it made,
 * and the emulator runs the same text. Nothing here ran on a GPU. */
#include "base/alloc.h"
#include "base/file.h"
#include "device/device.h"
#include "faults.h"
#include "graphs.h"
#include "shell.h"
#include "standin_gpu.h"
#include "test.h"
#include <tercet/op.h>
#include <unistd.h>

#ifndef TCT_NO_NVRTC
#define TCT_NO_NVRTC ""
#endif
#define NEEDS_NVRTC(settings)                                                                                          \
  NEEDS_GPU(settings);                                                                                                 \
  if (TCT_NO_NVRTC[0] != '\0') SKIP("%s", TCT_NO_NVRTC)

enum { ROWS = 6, COLUMNS = 40, N = ROWS * COLUMNS, RUNS = 4 };

/* ---- the ops ---- */

typedef struct custom_attrs {
  double a;
  int64_t columns;
} custom_attrs;

static tct_op scale_op, scale_grad_op, columns_op, fill_op;

static bool infer_same(tct_infer *infer) {
  infer->out[0] = infer->in[0];
  return true;
}

static bool infer_columns(tct_infer *infer) {
  custom_attrs *const attrs = infer->attrs;
  attrs->columns = infer->in[0].shape.dim[1];
  infer->out[0] = (tct_desc){infer->in[0].dtype, TCT_SHAPE(attrs->columns)};
  return true;
}

static void gradient_scale(tct_grad *grad) {
  const tct_tensor in[] = {grad->in[0], grad->dout[0]};
  grad->din[0] = tct_emit(grad->graph, scale_grad_op, grad->attrs, in, 2, NULL);
}

static void extent_columns(const tct_node_view *node, tct_op_extent *out) {
  const int64_t columns = node->in[0].shape.dim[1];
  *out = (tct_op_extent){{(uint32_t)(columns + 31) / 32, 1, 1}, {32, 4, 1}, 128 * sizeof(float)};
}

static bool is_f32(const tct_node_view *node, char *why, size_t why_bytes) {
  if (node->in[0].dtype != TCT_F32) snprintf(why, why_bytes, "its code is for f32");
  return node->in[0].dtype == TCT_F32;
}

static char *text_of(const char *path) {
  void *data = NULL;
  size_t bytes = 0;
  OK(tct_file_read(path, 1 << 20, &data, &bytes));
  return data;
}

static void register_ops(void) {
  static const tct_op_def defs[] = {
      {.abi = TCT_OP_ABI, .name = "gpu_scale", .attrs_bytes = sizeof(custom_attrs), .min_in = 1, .max_in = 1, .n_out = 1, .infer = infer_same,
       .gradient = gradient_scale},
      {.abi = TCT_OP_ABI, .name = "gpu_scale_grad", .attrs_bytes = sizeof(custom_attrs), .min_in = 2, .max_in = 2, .n_out = 1, .infer = infer_same},
      {.abi = TCT_OP_ABI, .name = "gpu_columns", .attrs_bytes = sizeof(custom_attrs), .min_in = 1, .max_in = 1, .n_out = 1, .infer = infer_columns},
      {.abi = TCT_OP_ABI, .name = "gpu_fill", .min_in = 1, .max_in = 1, .n_out = 1, .infer = infer_same}};
  char *const cuda = text_of(TCT_SOURCE_DIR "/tests/backends/custom_ops.cu"), *const ptx = text_of(TCT_SOURCE_DIR "/tests/backends/custom_fill.ptx");
  const tct_op_code codes[] = {{.source = cuda, .entry = "custom_scale", .options = " -lineinfo  --use_fast_math "},
                               {.source = cuda, .entry = "custom_scale_grad"},
                               {.source = cuda, .entry = "custom_columns", .extent = extent_columns},
                               {.language = TCT_OP_PTX, .source = ptx, .entry = "custom_fill"}};
  tct_op *const ops[] = {&scale_op, &scale_grad_op, &columns_op, &fill_op};
  for (int i = 0; i < 4; i++)
    OK(tct_op_register(&defs[i], &(tct_op_kernel){.device = "gpu", .kernel = {.supports = is_f32}, .code = &codes[i]}, 1, ops[i]));
  tct_release(cuda);
  tct_release(ptx);
}

/* ---- a program of all of them ---- */

typedef struct results {
  float sums[COLUMNS], gradient[N], fill[N];
} results;

static tct_graph *step_of_all(void) {
  const custom_attrs two = {2, 0}, three = {3, 0};
  tct_graph *const graph = graph_make();
  const tct_tensor x = tct_input(graph, "x", TCT_F32, TCT_SHAPE(ROWS, COLUMNS));
  const tct_tensor scaled = tct_emit(graph, scale_op, &two, &x, 1, NULL), again = tct_emit(graph, scale_op, &three, &scaled, 1, NULL);
  tct_tensor gradient;
  tct_gradients(tct_reduce_sum(tct_mul(again, x), NULL, 0, false), &x, 1, &gradient);
  tct_output(graph, "sums", tct_emit(graph, columns_op, &three, &again, 1, NULL));
  tct_output(graph, "gradient", gradient);
  tct_output(graph, "fill", tct_emit(graph, fill_op, NULL, &x, 1, NULL));
  return graph;
}

static tct_status run(const tct_graph *graph, results *out) {
  tct_device *device = NULL;
  tct_program *program = NULL;
  tct_status status = tct_device_open("gpu", NULL, &device);
  if (status == TCT_OK) status = tct_compile(graph, device, NULL, &program);
  for (int turn = 0; turn < RUNS && status == TCT_OK; turn++) {
    float given[N];
    for (int i = 0; i < N; i++) given[i] = (float)(i % 7 + turn);
    status = tct_program_set(program, "x", given, sizeof given);
    if (status == TCT_OK) status = tct_program_run(program);
  }
  if (status == TCT_OK) status = tct_program_get(program, "sums", out->sums, sizeof out->sums);
  if (status == TCT_OK) status = tct_program_get(program, "gradient", out->gradient, sizeof out->gradient);
  if (status == TCT_OK) status = tct_program_get(program, "fill", out->fill, sizeof out->fill);
  tct_program_free(program);
  tct_device_close(device);
  return status;
}

static tct_status attempt(results *out) {
  tct_graph *const graph = step_of_all();
  const tct_status status = run(graph, out);
  tct_graph_free(graph);
  return status;
}

/* y = 6x, the sums of its columns times 3; d(Σ 6x·x)/dx = 12x. */
static void check_results(const results *r, const char *what) {
  for (int c = 0; c < COLUMNS; c++) {
    float want = 0;
    for (int row = 0; row < ROWS; row++) want += 18 * (float)((row * COLUMNS + c) % 7 + RUNS - 1);
    CHECK(r->sums[c] == want, "%s: column %d is %g, not %g", what, c, (double)r->sums[c], (double)want);
  }
  for (int i = 0; i < N; i++) {
    const float want = 12 * (float)(i % 7 + RUNS - 1);
    CHECK(r->gradient[i] == want && r->fill[i] == N, "%s: gradient %g, not %g; %g", what, (double)r->gradient[i], (double)want, (double)r->fill[i]);
  }
}

TEST(gpu_custom, cuda_and_ptx_run) {
  NEEDS_NVRTC("");
  static const char *const settings[] = {"queues=lazy", "queues=now", "queues=ahead", "queues=behind", "guard=1"};
  static results got;
  register_ops();
  for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
    gpu_set(settings[i]);
    memset(&got, 0, sizeof got);
    OK(attempt(&got));
    check_results(&got, settings[i]);
    CHECK(gpu_calls("cuModuleLoadDataEx") == 4 && gpu_calls("nvrtcGetCUBIN") == 3, "each op is loaded once");
    CHECK(gpu_calls("cuGraphLaunch") == RUNS - 1, "%d replays", (int)gpu_calls("cuGraphLaunch"));
    CHECK(gpu_allocations() == 0 && gpu_nvrtc_programs() == 0);
  }
  /* A device that is newer than NVRTC: PTX of the newest that it knows. */
  gpu_set("capability=125");
  OK(attempt(&got));
  check_results(&got, "PTX");
  CHECK(gpu_calls("nvrtcGetPTX") == 3 && gpu_calls("nvrtcGetCUBIN") == 0);
}

TEST(gpu_custom, ptx_needs_no_nvrtc) {
  NEEDS_GPU("");
  register_ops();
  tct_graph *const graph = graph_make();
  tct_device *const device = device_make("gpu");
  tct_program *program = NULL;
  float x[5] = {0}, y[5];
  const tct_tensor in = tct_input(graph, "x", TCT_F32, TCT_SHAPE(5));
  tct_output(graph, "y", tct_emit(graph, fill_op, NULL, &in, 1, NULL));
  OK(tct_compile(graph, device, NULL, &program));
  OK(tct_program_set(program, "x", x, sizeof x));
  OK(tct_program_run(program));
  OK(tct_program_get(program, "y", y, sizeof y));
  CHECK(y[0] == 5 && y[4] == 5 && gpu_calls("nvrtcVersion") == 0);
  tct_program_free(program);
  tct_graph_free(graph);
  tct_device_close(device);
}

/* ---- what is wrong with code ---- */

static tct_status compile_op(tct_op op, const void *attrs, tct_dtype dtype) {
  tct_graph *const graph = graph_make();
  tct_device *const device = device_make("gpu");
  tct_program *program = NULL;
  const tct_tensor x = tct_input(graph, "x", dtype, TCT_SHAPE(3, 4));
  tct_output(graph, "y", tct_emit(graph, op, attrs, &x, 1, NULL));
  const tct_status status = tct_compile(graph, device, NULL, &program);
  tct_program_free(program);
  tct_graph_free(graph);
  tct_device_close(device);
  return status;
}

static void no_threads(const tct_node_view *node, tct_op_extent *out) {
  out->block[1] = (uint32_t)node->n_in - 1;
}
static void many_threads(const tct_node_view *node, tct_op_extent *out) {
  out->block[1] = (uint32_t)node->in[0].shape.dim[1] + 1;
}
static void many_blocks(const tct_node_view *node, tct_op_extent *out) {
  out->grid[2] = (uint32_t)node->n_in << 16;
}
static void much_memory(const tct_node_view *node, tct_op_extent *out) {
  out->shared_bytes = 300000 * (uint32_t)node->n_in;
}
static void too_much_memory(const tct_node_view *node, tct_op_extent *out) {
  out->shared_bytes = 3000000000u * (uint32_t)node->n_in;
}

#define KERNEL(parameters, body) "extern \"C\" __global__ void k(" parameters ") {\n" body "\n}\n"
#define GOOD "const float *x, float *y, long long n_x, long long n"
#define TEN "-DA -DA -DA -DA -DA -DA -DA -DA -DA -DA "

TEST(gpu_custom, errors_say_what_is_wrong) {
  NEEDS_NVRTC("");
  static const struct {
    tct_op_code code;
    size_t attrs_bytes;
    tct_status status;
    const char *part;
  } rows[] = {
      {{.source = KERNEL(GOOD, "  y[0] = undeclared;"), .entry = "k"}, 0, TCT_INVALID,
       "says NVRTC_ERROR_COMPILATION:\n"
       "gpu_wrong_0.cu(2): error: identifier \"undeclared\" is undefined"},
      {{.source = KERNEL(GOOD, ""), .entry = "k", .options = "--no-such-option"}, 0, TCT_INVALID, "says NVRTC_ERROR_INVALID_OPTION:\nnvrtc: error: "},
      {{.source = KERNEL(GOOD, ""), .entry = "k", .options = TEN TEN TEN TEN}, 0, TCT_INVALID, "has more than 31 compiler options"},
      {{.source = KERNEL(GOOD, ""), .entry = "other"}, 0, TCT_INVALID, "on device 'gpu:0': its code has no kernel 'other'; in CUDA C++ that is"},
      {{.source = "__global__ void k(" GOOD ") {}", .entry = "k"}, 0, TCT_INVALID, "its code has no kernel 'k'"},
      {{.source = KERNEL("const float *x, float *y, long long n", ""), .entry = "k"}, 0, TCT_INVALID,
       "kernel 'k' takes 3 parameters, needs 4: the addresses of 1 inputs and 1 results, the numbers of their elements (int64_t)"},
      {{.source = KERNEL(GOOD ", int more", ""), .entry = "k"}, 0, TCT_INVALID, "kernel 'k' takes more than 4 parameters, needs 4: "},
      {{.source = KERNEL(GOOD, ""), .entry = "k"}, 16, TCT_INVALID, "takes 4 parameters, needs 5: the addresses of 1 inputs and 1 results, the numbers "
       "of their elements (int64_t), and the attributes"},
      {{.source = KERNEL("const float *x, float *y, long long n_x, int n", ""), .entry = "k"}, 0, TCT_INVALID,
       "parameter 3 of kernel 'k' has 4 bytes, needs 8, a number of elements, int64_t"},
      {{.source = KERNEL("float x, float *y, long long n_x, long long n", ""), .entry = "k"}, 0, TCT_INVALID,
       "parameter 0 of kernel 'k' has 4 bytes, needs 8, an address"},
      {{.source = KERNEL(GOOD ", double a", ""), .entry = "k"}, 16, TCT_INVALID, "parameter 4 of kernel 'k' has 8 bytes, needs 16, the attributes"},
      {{.source = KERNEL(GOOD, ""), .entry = "k", .extent = no_threads}, 0, TCT_INVALID, "launch rule gives (1,1,1) blocks of (256,0,1) threads, needs 1 to"},
      {{.source = KERNEL(GOOD, ""), .entry = "k", .extent = many_threads}, 0, TCT_INVALID, "blocks of (256,5,1) threads, needs "},
      {{.source = KERNEL(GOOD, ""), .entry = "k", .extent = many_blocks}, 0, TCT_INVALID, "gives (1,1,65536) blocks"},
      {{.source = KERNEL(GOOD, ""), .entry = "k", .extent = much_memory}, 0, TCT_INTERNAL, "giving its blocks the 300000 bytes of shared memory"},
      {{.source = KERNEL(GOOD, ""), .entry = "k", .extent = too_much_memory}, 0, TCT_INTERNAL, "the 3000000000 bytes of shared memory of its launch rule"},
      {{.language = TCT_OP_PTX, .source = "// PTX\nadd.s32", .entry = "k"}, 0, TCT_UNSUPPORTED,
       "loading the code of op 'gpu_wrong_16': ptxas application ptx input, line 2; fatal   : Missing .version directive at start of file: the driver "
       "cannot compile this PTX"},
      {{.language = TCT_OP_PTX, .source = ".version 9.0\n.target sm_100\n", .entry = "k"}, 0, TCT_UNSUPPORTED, "there is no code for this device in it"},
      {{.language = TCT_OP_PTX, .source = ".version 8.0\n.target sm_75\n", .entry = "k"}, 0, TCT_INVALID, "has no kernel 'k'"},
  };
  enum { N_ROWS = sizeof rows / sizeof *rows };
  static tct_op_def defs[N_ROWS];
  static char names[N_ROWS][32];
  const char attrs[16] = "";
  for (size_t i = 0; i < N_ROWS; i++) {
    tct_op op;
    snprintf(names[i], sizeof names[i], "gpu_wrong_%d", (int)i);
    defs[i] = (tct_op_def){.abi = TCT_OP_ABI, .name = names[i], .attrs_bytes = rows[i].attrs_bytes, .min_in = 1, .max_in = 1, .n_out = 1,
                           .infer = infer_same};
    OK(tct_op_register(&defs[i], &(tct_op_kernel){.device = "gpu", .code = &rows[i].code}, 1, &op));
    FAILS(compile_op(op, attrs, TCT_F32), rows[i].status, rows[i].part);
    CHECK(strstr(tct_error_message(), names[i]) != NULL, "%s", tct_error_message());
    CHECK(gpu_allocations() == 0 && gpu_nvrtc_programs() == 0, "row %d", (int)i);
  }
  register_ops();
  FAILS(compile_op(fill_op, NULL, TCT_F64), TCT_UNSUPPORTED, "gpu_fill.gpu: its code is for f32");
}

/* ---- without NVRTC, or with one that fails ---- */

/* What the example prints over the stand-in; its exit code. */
static int run_example(const char *environment) {
  return shell(gpu_out, sizeof gpu_out, "cd '%s' && TERCET_CACHE=0 TERCET_BACKEND_PATH=" GPU_MODULES " TERCET_CUDA_LIBRARY_PATH=" GPU_STANDIN
               " %s " TCT_BINARY_DIR "/example_custom_op_gpu 2>&1", TCT_SOURCE_DIR, environment);
}

TEST(gpu_custom, without_nvrtc_it_says_so) {
  NEEDS_NVRTC("");
  static const struct {
    const char *environment, *why;
  } rows[] = {
      {"STANDIN_CUDA=nvrtc=120900", GPU_STANDIN "/libnvrtc.so.13 is version 12.9.0, needs 13; install NVRTC 13."},
      {"STANDIN_CUDA=fail=nvrtcVersion:1:11", "/libnvrtc.so.13 is version 0.0.0, needs 13; install NVRTC 13."},
      {"TERCET_CUDA_LIBRARY_PATH=" TCT_BINARY_DIR "/modules/hollow-libraries:" GPU_STANDIN, "has no function nvrtcVersion: it is too old; install NVRTC 13."},
      {"LD_PRELOAD=" TCT_HIDE " HIDDEN_LIBRARY=libnvrtc", "libnvrtc.so.13 is not in " GPU_STANDIN ", the dynamic linker's folders"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    if (TCT_HIDE[0] == '\0' && strstr(rows[i].environment, "HIDDEN") != NULL) continue;
    CHECK(run_example(rows[i].environment) == 1, "%s: %s", rows[i].environment, gpu_out);
    CHECK(strstr(gpu_out, "op 'row_rms' on device 'gpu:0': its code is CUDA C++, and ") != NULL && strstr(gpu_out, rows[i].why) != NULL &&
          strstr(gpu_out, "; or give the op PTX, which the driver compiles") != NULL, "%s: %s", rows[i].environment, gpu_out);
    CHECK(gpu_run(rows[i].environment, "doctor") == 0 && strstr(gpu_out, "not used: custom ops need to be PTX: ") != NULL, "%s", gpu_out);
    CHECK(strstr(gpu_out, rows[i].why) != NULL, "%s: %s", rows[i].environment, gpu_out);
  }
  CHECK(gpu_run("STANDIN_CUDA=nvrtc=130500", "doctor") == 0 && strstr(gpu_out, "NVRTC 13.5.0; it compiles custom ops in CUDA C++") != NULL, "%s",
        gpu_out);
}

TEST(gpu_custom, every_call_fails_once) {
  NEEDS_NVRTC("");
  static const char *const functions[] = {
#define NVRTC(member, symbol) #symbol,
#include "backends/cuda/libraries/nvrtc.def"
#undef NVRTC
      "cuModuleLoadDataEx", "cuModuleUnload", "cuFuncGetParamInfo", "cuLaunchKernel"};
  static results got;
  char folder[SCRATCH_BYTES];
  int n_failures = 0;
  register_ops();
  scratch_make(folder);
  const int64_t live = tct_alloc_live();
  for (size_t f = 0; f < sizeof functions / sizeof *functions; f++) {
    const bool of_nvrtc = functions[f][0] == 'n';
    /* A driver's many calls without the compiler's time. */
    CHECK(setenv("TERCET_CACHE", of_nvrtc ? "0" : folder, 1) == 0);
    for (int n = 1; n <= (of_nvrtc ? 2 : 8); n++) {
      char settings[96];
      snprintf(settings, sizeof settings, "fail=%s:%d:%d", functions[f], n, of_nvrtc ? 11 : 101);
      gpu_set(settings);
      tct_error_clear();
      const tct_status status = attempt(&got);
      n_failures += status != TCT_OK;
      CHECK(status == TCT_OK || strstr(tct_error_message(), "device 'gpu") != NULL, "%s: %s", settings, tct_error_message());
      if (status == TCT_OK) check_results(&got, settings);
      CHECK(gpu_allocations() == 0 && gpu_nvrtc_programs() == 0, "%s: something is left", settings);
      CHECK(tct_alloc_live() == live, "%s: %d blocks leak", settings, (int)(tct_alloc_live() - live));
      if (gpu_calls(functions[f]) < n) break;
    }
  }
  CHECK(n_failures > 20, "only %d calls failed", n_failures);
  /* What a driver finds wrong in finding one kernel of a program's code. */
  gpu_set("");
  OK(attempt(&got));
  char settings[96];
  snprintf(settings, sizeof settings, "fail=cuModuleGetFunction:%d:101", (int)gpu_calls("cuModuleGetFunction"));
  gpu_set(settings);
  FAILS(attempt(&got), TCT_INTERNAL, "finding the kernel of a custom op");
  scratch_remove(folder);
}

TEST(gpu_custom, no_log_is_no_reason_to_fail_otherwise) {
  NEEDS_NVRTC("");
  static const char *const settings[] = {"fail=nvrtcGetProgramLogSize:1:11", "fail=nvrtcGetProgramLog:1:11"};
  static const tct_op_def def = {.abi = TCT_OP_ABI, .name = "gpu_logless", .min_in = 1, .max_in = 1, .n_out = 1, .infer = infer_same};
  static const tct_op_code code = {.source = "nonsense", .entry = "k"};
  tct_op op;
  OK(tct_op_register(&def, &(tct_op_kernel){.device = "gpu", .code = &code}, 1, &op));
  for (size_t i = 0; i < 2; i++) {
    gpu_set(settings[i]);
    FAILS(compile_op(op, NULL, TCT_F32), TCT_INVALID, "its CUDA C++ does not compile for sm_90: nvrtcCompileProgram of NVRTC 13.");
    CHECK(strstr(tct_error_message(), "error: ") == NULL, "%s", tct_error_message());
  }
  gpu_set("fail=nvrtcCompileProgram:1:1");
  FAILS(compile_op(op, NULL, TCT_F32), TCT_OUT_OF_MEMORY, "says NVRTC_ERROR_OUT_OF_MEMORY");
}

TEST(gpu_custom, every_allocation_fails_in_turn) {
  NEEDS_NVRTC("");
  char folder[SCRATCH_BYTES];
  static results got;
  register_ops();
  scratch_make(folder);
  CHECK(setenv("TERCET_CACHE", folder, 1) == 0); /* so that each attempt is short */
  tct_graph *const graph = step_of_all();
  OK(run(graph, &got));
  bool struck = true;
  int n = 0;
  const int64_t live = tct_alloc_live();
  for (int64_t nth = 1; struck; nth += 1 + nth / 24, n++) {
    (void)fault_alloc(nth);
    const tct_status status = run(graph, &got);
    struck = fault_alloc(0);
    CHECK(status == TCT_OK || (struck && status == TCT_OUT_OF_MEMORY), "allocation %d: %s", (int)nth, tct_error_message());
    CHECK(gpu_allocations() == 0 && gpu_nvrtc_programs() == 0 && tct_alloc_live() == live, "allocation %d: something is left", (int)nth);
  }
  CHECK(n > 30, "only %d allocations", n);
  tct_graph_free(graph);
  scratch_remove(folder);
}

/* ---- the cache ---- */

static const char *damaged_folder;
static void damage(void *user, const char *name) {
  (void)user;
  char path[SCRATCH_BYTES + 300];
  if (name[0] == '.') return;
  snprintf(path, sizeof path, "%s/%s", damaged_folder, name);
  CHECK(truncate(path, 1000) == 0, "%s", path);
}

TEST(gpu_custom, compiled_code_is_kept) {
  NEEDS_NVRTC("");
  char folder[SCRATCH_BYTES];
  static results got;
  register_ops();
  scratch_make(folder);
  CHECK(setenv("TERCET_CACHE", folder, 1) == 0);
  static const struct {
    const char *settings;
    bool damaged;
    int compiled, files;
  } rows[] = {{"", false, 3, 3},
              {"", false, 0, 3},
              {"", true, 3, 3},
              {"capability=100", false, 3, 6},
              {"", false, 0, 6},
              {"fail=nvrtcCompileProgram:1:11", false, 0, 6}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    damaged_folder = folder;
    if (rows[i].damaged) OK(tct_file_list(folder, damage, NULL));
    gpu_set(rows[i].settings);
    OK(attempt(&got));
    check_results(&got, rows[i].settings);
    CHECK(gpu_calls("nvrtcCompileProgram") == rows[i].compiled && count_entries(folder) == rows[i].files, "row %d: %d compiled, %d files", (int)i,
          (int)gpu_calls("nvrtcCompileProgram"), count_entries(folder));
  }
  /* What it includes may have changed. */
  static const tct_op_def def = {.abi = TCT_OP_ABI, .name = "gpu_including", .min_in = 1, .max_in = 1, .n_out = 1, .infer = infer_same};
  static const tct_op_code code = {.source = "#include <tests/backends/custom_ops.cu>\n", .entry = "custom_fill", .options = "-I" TCT_SOURCE_DIR};
  tct_op op;
  OK(tct_op_register(&def, &(tct_op_kernel){.device = "gpu", .code = &code}, 1, &op));
  gpu_set("");
  for (int i = 1; i <= 2; i++) {
    OK(compile_op(op, NULL, TCT_F32));
    CHECK(gpu_calls("nvrtcCompileProgram") == i && count_entries(folder) == 6);
  }
  scratch_remove(folder);
}

/* ---- the example ---- */

TEST(gpu_custom, the_example_agrees_with_its_reference) {
  NEEDS_NVRTC("");
  CHECK(run_example("") == 0, "%s", gpu_out);
  CHECK(strcmp(gpu_out, "row_rms on gpu agrees with its reference, and its gradient with differences\n") == 0, "%s", gpu_out);
}
