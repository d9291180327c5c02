/* See tests/standin_gpu.h. */
#include "standin_gpu.h"

#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tercet/device.h>
#include "device/device.h"
#include "graphs.h"
#include "shell.h"
#include "test.h"

char gpu_out[65536];

/* Of a library that is open or can be opened. */
static void *symbol_of(const char *file, const char *name) {
  void *const library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
  CHECK(library != NULL, "%s", dlerror());
  void *const symbol = dlsym(library, name);
  CHECK(symbol != NULL, "%s", name);
  return symbol;
}

void gpu_set(const char *settings) {
  void *const symbol = symbol_of(GPU_STANDIN "/libcuda.so.1", "standin_set");
  void (*set)(const char *);
  memcpy(&set, &symbol, sizeof set);
  set(settings);
}

int64_t gpu_calls(const char *function) {
  void *const symbol = symbol_of(GPU_STANDIN "/libcuda.so.1", "standin_calls");
  int64_t (*calls)(const char *);
  memcpy(&calls, &symbol, sizeof calls);
  return calls(function);
}

static int64_t count_of(const char *file, const char *name) {
  void *const symbol = symbol_of(file, name);
  int64_t (*count)(void);
  memcpy(&count, &symbol, sizeof count);
  return count();
}

int64_t gpu_allocations(void) { return count_of(GPU_STANDIN "/libcuda.so.1", "standin_allocations"); }

int64_t gpu_nvrtc_programs(void) { return count_of(GPU_STANDIN "/libnvrtc.so.13", "standin_nvrtc_live"); }

int64_t gpu_library_objects(void) {
  return count_of(GPU_STANDIN "/libcublasLt.so.13", "standin_cublaslt_live") + count_of(GPU_STANDIN "/libcudnn.so.9", "standin_cudnn_live");
}

bool gpu_find(const char *settings) {
  /* What a test before in this process asked for is not this one's. */
  static const char *const asked[] = {"TERCET_CACHE", "TERCET_CUDA_GRAPHS", "TERCET_CUDA_TUNE", "TERCET_DISABLE"};
  for (size_t k = 0; k < sizeof asked / sizeof asked[0]; k++) (void)unsetenv(asked[k]);
  const tct_backend *backend = NULL;
  CHECK(setenv("TERCET_CACHE", "0", 1) == 0 && setenv("TERCET_BACKEND_PATH", GPU_MODULES, 1) == 0 &&
        setenv("TERCET_CUDA_LIBRARY_PATH", GPU_STANDIN, 1) == 0);
  gpu_set(settings);
  return tct_find_backend("gpu", &backend) == TCT_OK;
}

static const char *const cublaslt[] = {
#define CUBLASLT(member, symbol) #symbol,
#include "backends/cuda/libraries/cublaslt.def"
#undef CUBLASLT
};
static const char *const cudnn[] = {
#define CUDNN(member, symbol) #symbol,
#include "backends/cuda/libraries/cudnn.def"
#undef CUDNN
};
static const struct {
  const char *const *functions;
  size_t n_functions;
  int code;
  const char *said;
} libraries[] = {
    [GPU_CUBLASLT] = {cublaslt, sizeof cublaslt / sizeof *cublaslt, 13, "device 'gpu:0': cublasLtMatmul fails: CUBLAS_STATUS_EXECUTION_FAILED (13)"},
    [GPU_CUDNN] = {cudnn, sizeof cudnn / sizeof *cudnn, 5000, "device 'gpu:0': cudnnBackendExecute fails: CUDNN_STATUS_STANDIN (5000)"},
};

void gpu_fail_calls(gpu_library library, const int *numbers, size_t n_numbers, gpu_run_fn run, void *user, int *out_failures, int *out_refusals) {
  *out_failures = *out_refusals = 0;
  for (size_t f = 0; f < libraries[library].n_functions; f++) {
    const char *const function = libraries[library].functions[f];
    for (size_t k = 0; k < n_numbers; k++) {
      char settings[96];
      bool refused = false;
      snprintf(settings, sizeof settings, "fail=%s:%d:%d", function, numbers[k], libraries[library].code);
      gpu_set(settings);
      tct_error_clear();
      const tct_status status = run(user, settings, &refused);
      *out_failures += status != TCT_OK;
      *out_refusals += refused;
      CHECK(status == TCT_OK || strstr(tct_error_message(), libraries[library].said) != NULL, "%s: %s", settings, tct_error_message());
      CHECK(gpu_allocations() == 0 && gpu_library_objects() == 0, "%s: %d objects are left", settings, (int)gpu_library_objects());
      if (gpu_calls(function) < numbers[k]) break;
    }
  }
}

int gpu_run(const char *environment, const char *arguments) {
  return shell(gpu_out, sizeof gpu_out, "cd '%s' && TERCET_CACHE=0 TERCET_BACKEND_PATH=" GPU_MODULES " TERCET_CUDA_LIBRARY_PATH=" GPU_STANDIN
               " %s " TCT_BINARY_DIR "/tercet %s 2>&1", TCT_SOURCE_DIR, environment, arguments);
}

static void keep_refusal(void *user, const char *name, const char *text) {
  const size_t used = strlen(user);
  if (strncmp(name, "refused.", 8) == 0) snprintf((char *)user + used, GPU_REFUSALS - used, "%s\n", text);
}

void gpu_refusals(tct_device *device, char *text) { tct_device_facts(device, keep_refusal, text); }

int64_t gpu_output_size(const tct_graph *graph, int o) { return tct_shape_size(&graph->values[graph->outputs[o].value].desc.shape); }

tct_status gpu_run_graph(const char *spec, bool nondeterministic, const tct_graph *graph, const char *op, int64_t most, float *out, int *out_library, int *out_own) {
  tct_device *device = NULL;
  tct_program *program = NULL;
  tct_step_info step;
  tct_status status = tct_device_open(spec, &(tct_device_options){.nondeterministic = nondeterministic}, &device);
  if (status == TCT_OK) status = tct_compile(graph, device, NULL, &program);
  *out_library = *out_own = 0;
  for (int32_t i = 0; status == TCT_OK && tct_program_step(program, i, &step); i++) {
    if (strncmp(step.kernel, op, strlen(op)) != 0) continue;
    *out_library += strstr(step.kernel, ".cudnn") != NULL;
    *out_own += strstr(step.kernel, ".tiles") != NULL;
  }
  if (status == TCT_OK) feed(program);
  for (int run = 0; run < 2 && status == TCT_OK; run++) status = tct_program_run(program);
  for (int o = 0; o < graph->n_outputs && status == TCT_OK; o++)
    status = tct_program_get(program, graph->outputs[o].name, out + o * most, (size_t)gpu_output_size(graph, o) * sizeof *out);
  tct_program_free(program);
  tct_device_close(device);
  return status;
}

bool gpu_near(const float *a, const float *b, int64_t n, double tolerance) {
  double most = 1;
  for (int64_t i = 0; i < n; i++) { /* no fmax: gcc 12 for aarch64 fails on this loop with it */
    const double size = fabs((double)b[i]);
    most = size > most ? size : most;
  }
  for (int64_t i = 0; i < n; i++)
    if (!(fabs((double)a[i] - (double)b[i]) <= tolerance * most)) return false;
  return true;
}
