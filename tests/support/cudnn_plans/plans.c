/* Whether the real cuDNN has plans for the graphs that the module builds: it plans for an H200 that is described to it, without a device
 * and without a driver. What is built is the module's own code; the one difference is that a description stands where a handle would.
 * Prints a line for each graph; 1: one that must have a plan has none; 77: no cuDNN here. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "backends/cuda/libraries/cudnn_graph.h"

static const char h200[] =
    "{\"deviceName\": \"NVIDIA H200\", \"deviceVer\": 900, \"driverVer\": 13000, \"cudaDeviceId\": 0, \"pciDeviceId\": 9013, \"isTccDriver\": 0, "
    "\"supportCoopLaunch\": 1, \"multiProcessorCount\": 132, \"warpSize\": 32, \"regsPerBlock\": 65536, \"maxRegistersPerSM\": 65536, "
    "\"maxSharedMemoryPerBlock\": 49152, \"maxSharedMemoryPerBlockOptin\": 232448, \"reservedSharedMemoryPerBlock\": 1024, "
    "\"maxCtasPerSM\": 32, \"maxThreadsPerBlock\": 1024, \"maxThreadsPerSM\": 2048, \"maxBlockSize\": [1024, 1024, 64], "
    "\"maxGridSize\": [2147483647, 65535, 65535], \"totalGlobalMem\": 150754820096, \"l2CacheSize\": 62914560, "
    "\"smClockRateKHz\": 1980000, \"memClockRateKHz\": 3201000}";

static const tct_cu_cudnn *real;
static cudnnBackendDescriptor_t device; /* the description */

static const char *env(const char *name) {
  const char *const value = getenv(name);
  return value != NULL ? value : "";
}

/* What asks for a handle gets the description. */
static cudnnStatus_t set(cudnnBackendDescriptor_t of, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t n,
                         const void *values) {
  if (name == CUDNN_ATTR_OPERATIONGRAPH_HANDLE) return CUDNN_STATUS_SUCCESS;
  if (name == CUDNN_ATTR_EXECUTION_PLAN_HANDLE)
    return real->set(of, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, (const void *)&device);
  const cudnnStatus_t status = real->set(of, name, type, n, values);
  if (status != CUDNN_STATUS_SUCCESS || name != CUDNN_ATTR_ENGINEHEUR_MODE) return status;
  return real->set(of, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, (const void *)&device);
}

static cudnnStatus_t describe(void) {
  cudnnStatus_t status = real->make(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, &device);
  if (status == CUDNN_STATUS_SUCCESS)
    status = real->set(device, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, (int64_t)strlen(h200), h200);
  return status == CUDNN_STATUS_SUCCESS ? real->finish(device) : status;
}

static int n_refused;

static void plan(const char *shape, const char *type, const char *what, const tct_cu_graph_kind *kind, const void *problem, bool exact) {
  tct_cu_cudnn api = *real;
  tct_cu_plan made;
  api.set = set;
  const cudnnStatus_t status = tct_cu_plan_make(&api, NULL, kind, problem, &(tct_cu_plan_terms){.exact = exact, .most_workspace = (size_t)256 << 20}, &made);
  printf("%-20s %-12s %-33s %s", shape, type, what, real->status_text(status));
  if (status == CUDNN_STATUS_SUCCESS) printf(", workspace %.1f MiB\n", (double)made.workspace_bytes / (1 << 20));
  else n_refused += printf("\n") > 0;
  tct_cu_plan_drop(&api, &made);
}

static const struct {
  const char *name;
  cudnnDataType_t type;
  bool tf32;
} types[] = {{"f32", CUDNN_DATA_FLOAT, false}, {"f32 as TF32", CUDNN_DATA_FLOAT, true}, {"bf16", CUDNN_DATA_BFLOAT16, false}, {"f16", CUDNN_DATA_HALF, false}};

static void convolutions(void) {
  static const struct {
    const char *name;
    int64_t pass, bias, relu;
  } graphs[] = {{"conv2d", TCT_CU_CONV, 0, 0},       {"conv2d, bias", TCT_CU_CONV, 1, 0}, {"conv2d, bias, relu", TCT_CU_CONV, 1, 1},
                {"conv2d_grad_input", TCT_CU_CONV_GRAD_INPUT, 0, 0}, {"conv2d_grad_filter", TCT_CU_CONV_GRAD_FILTER, 0, 0}};
  static const struct {
    const char *name;
    int64_t x[4], w[4], y[4], stride, pad;
  } shapes[] = {{"56x56x64, 3x3", {32, 56, 56, 64}, {128, 3, 3, 64}, {32, 56, 56, 128}, 1, 1},
                {"56x56x64, 1x1 by 2", {32, 56, 56, 64}, {128, 1, 1, 64}, {32, 28, 28, 128}, 2, 0},
                {"28x28x1, 5x5", {128, 28, 28, 1}, {32, 5, 5, 1}, {128, 24, 24, 32}, 1, 0}};
  for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
    for (size_t t = 0; t < sizeof types / sizeof *types; t++)
      for (size_t g = 0; g < sizeof graphs / sizeof *graphs; g++) {
        tct_cu_conv_problem p = {.pass = graphs[g].pass, .stride = {shapes[s].stride, shapes[s].stride}, .dilation = {1, 1},
                                 .before = {shapes[s].pad, shapes[s].pad}, .after = {shapes[s].pad, shapes[s].pad}, .in_type = types[t].type,
                                 .out_type = types[t].type, .bias = graphs[g].bias, .relu = graphs[g].relu};
        memcpy(p.x, shapes[s].x, sizeof p.x);
        memcpy(p.w, shapes[s].w, sizeof p.w);
        memcpy(p.y, shapes[s].y, sizeof p.y);
        plan(shapes[s].name, types[t].name, graphs[g].name, &tct_cu_conv_graph, &p, types[t].type == CUDNN_DATA_FLOAT && !types[t].tf32);
      }
}

static void attentions(void) {
  static const struct {
    const char *name;
    int64_t batch, heads, queries, keys, d, width;
  } shapes[] = {{"8x1024x12x64", 8, 12, 1024, 1024, 64, 64},   {"4x1000x16x80", 4, 16, 1000, 1000, 80, 80}, {"2x2048x8x128", 2, 8, 2048, 2048, 128, 128},
                {"16x128x4x32", 16, 4, 128, 128, 32, 32}, {"8x77x8x40, keys 200", 8, 8, 77, 200, 40, 40}, {"4x512x8x192,128", 4, 8, 512, 512, 192, 128}};
  static const char *const graphs[3][2] = {{"attention", "attention, causal"}, {"attention_grad", "attention_grad, causal"},
                                           {"attention_grad, any order", "attention_grad, causal, any order"}};
  for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
    for (size_t t = 2; t < sizeof types / sizeof *types; t++)
      for (int graph = 0; graph < 3; graph++)
        for (int causal = 0; causal < 2; causal++) {
          const tct_cu_attention_problem p = {graph > 0, graph > 1, shapes[s].batch, shapes[s].heads, shapes[s].queries, shapes[s].keys, shapes[s].d,
                                              shapes[s].width, causal, types[t].type};
          plan(shapes[s].name, types[t].name, graphs[graph][causal], &tct_cu_attention_graph, &p, false);
        }
}

int main(void) {
  char why[1200];
  const tct_host host = {.env = env};
  real = tct_cu_cudnn_open(&host, why, sizeof why);
  if (real == NULL) return printf("no cuDNN: %s\n", why), 77;
  const cudnnStatus_t described = describe();
  printf("%s, planning for an H200: %s\n", real->name, real->status_text(described));
  convolutions();
  attentions();
  (void)real->drop(device);
  return described != CUDNN_STATUS_SUCCESS || n_refused > 0;
}
