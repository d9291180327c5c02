/* See custom.h. An op's code is loaded once for each device, when a program with the op is first compiled there; a step of the op is
 * one launch. What a driver would let pass, a kernel of other parameters than it is given, is checked here. */
#include "backends/cuda/ops/custom.h"

#include <stdio.h>
#include <string.h>
#include <tercet/op.h>
#include "backends/cuda/family.h"
#include "backends/cuda/libraries/nvrtc.h"

enum { THREADS = 256, MOST_THREADS = 1024, MOST_THREADS_Z = 64, MOST_BLOCKS_YZ = 65535, JIT_LOG_BYTES = 2000 };

/* The loaded code of one op. */
struct tct_cu_custom {
  struct tct_cu_custom *next;
  tct_op op;
  CUmodule module;
  CUfunction function;
};

typedef struct custom_state {
  CUfunction function;
  const char *entry; /* process lifetime */
  tct_cu_extent extent;
  int64_t *sizes;    /* of the operands, in elements; behind this struct, as are: */
  void **parameters; /* where each lies; those of the operands and the attributes are set by a launch */
} custom_state;

static tct_status invalid(tct_device_impl *device, const tct_node_view *node, const char *what) {
  return device->host->fail(TCT_INVALID, "op '%s' on device 'gpu:%d': %s", node->op_name, (int)device->ordinal, what);
}

/* ---- loading ---- */

static tct_status load_image(tct_device_impl *device, const tct_node_view *node, const void *image, CUmodule *out) {
  char log[JIT_LOG_BYTES] = "", doing[JIT_LOG_BYTES + 200];
  CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
  void *values[] = {log, (void *)(uintptr_t)(sizeof log - 1)};
  const CUresult result = device->cu->module_load_with(out, image, 2, options, values);
  if (result == CUDA_SUCCESS) return TCT_OK;
  for (size_t n = strlen(log); n > 0 && (log[n - 1] == '\n' || log[n - 1] == ' '); n--) log[n - 1] = '\0';
  snprintf(doing, sizeof doing, "loading the code of op '%s'%s%s", node->op_name, log[0] != '\0' ? ": " : "", log);
  return tct_cu_failed(device, result, doing);
}

static tct_status find_entry(tct_device_impl *device, const tct_node_view *node, const tct_op_code *code, struct tct_cu_custom *kept) {
  char text[300];
  const CUresult result = device->cu->module_function(&kept->function, kept->module, code->entry);
  if (result == CUDA_SUCCESS) return TCT_OK;
  if (result != CUDA_ERROR_NOT_FOUND) return tct_cu_failed(device, result, "finding the kernel of a custom op");
  snprintf(text, sizeof text, "its code has no kernel '%.100s'; in CUDA C++ that is an extern \"C\" __global__ function, in PTX an .entry",
           code->entry);
  return invalid(device, node, text);
}

static tct_status load(tct_device_impl *device, const tct_node_view *node, const tct_op_code *code, struct tct_cu_custom *kept) {
  void *compiled = NULL;
  tct_status status = TCT_OK;
  if (code->language == TCT_OP_CUDA) status = tct_cu_compile(device, node->op_name, code->source, code->options, &compiled);
  if (status == TCT_OK) status = load_image(device, node, compiled != NULL ? compiled : code->source, &kept->module);
  device->host->release(compiled);
  return status == TCT_OK ? find_entry(device, node, code, kept) : status;
}

static void unload(tct_device_impl *device, struct tct_cu_custom *kept) {
  if (kept->module != NULL) (void)device->cu->module_unload(kept->module);
  device->host->release(kept);
}

static tct_status function_of(tct_device_impl *device, const tct_node_view *node, const tct_op_code *code, CUfunction *out) {
  for (const struct tct_cu_custom *at = device->custom; at != NULL; at = at->next) {
    if (at->op != node->op) continue;
    *out = at->function;
    return TCT_OK;
  }
  struct tct_cu_custom *const kept = tct_cu_state(device, sizeof *kept);
  if (kept == NULL) return TCT_OUT_OF_MEMORY;
  kept->op = node->op;
  const tct_status status = load(device, node, code, kept);
  if (status != TCT_OK) {
    unload(device, kept);
    return status;
  }
  kept->next = device->custom;
  device->custom = kept;
  *out = kept->function;
  return TCT_OK;
}

void tct_cu_close_custom(tct_device_impl *device) {
  while (device->custom != NULL) {
    struct tct_cu_custom *const first = device->custom;
    device->custom = first->next;
    unload(device, first);
  }
}

/* ---- parameters ---- */

static int32_t count_operands(const tct_node_view *node) {
  return node->n_in + node->n_out;
}

static tct_status check_parameters(tct_device_impl *device, const tct_node_view *node, const tct_op_code *code, CUfunction function,
                                   size_t attrs_bytes) {
  const int32_t n = count_operands(node), wanted = 2 * n + (attrs_bytes > 0);
  char text[400];
  for (int32_t i = 0; i <= wanted; i++) {
    size_t offset = 0, bytes = 0;
    const CUresult result = device->cu->parameter_info(function, (size_t)i, &offset, &bytes);
    if (result == CUDA_ERROR_INVALID_VALUE && i == wanted) return TCT_OK;
    if (result != CUDA_SUCCESS && result != CUDA_ERROR_INVALID_VALUE)
      return tct_cu_failed(device, result, "asking for a kernel's parameters");
    const size_t needs = i == 2 * n ? attrs_bytes : sizeof(int64_t);
    if (result == CUDA_SUCCESS && i < wanted && bytes == needs) continue;
    if (result == CUDA_SUCCESS && i < wanted) {
      snprintf(text, sizeof text, "parameter %d of kernel '%.100s' has %zu bytes, needs %zu, %s", (int)i, code->entry, bytes, needs,
               i < n ? "an address" : i < 2 * n ? "a number of elements, int64_t" : "the attributes");
    } else {
      snprintf(text, sizeof text, "kernel '%.100s' takes %s%d parameters, needs %d: the addresses of %d inputs and %d results, the numbers of "
               "their elements (int64_t)%s", code->entry, i == wanted ? "more than " : "", (int)i, (int)wanted, (int)node->n_in,
               (int)node->n_out, attrs_bytes > 0 ? ", and the attributes" : "");
    }
    return invalid(device, node, text);
  }
  return TCT_OK;
}

/* ---- the launch rule ---- */

static tct_status check_extent(tct_device_impl *device, const tct_node_view *node, const tct_op_extent *e) {
  const uint32_t *const g = e->grid, *const b = e->block;
  const uint64_t threads = (uint64_t)b[0] * b[1] * b[2]; /* of up to 1024 along x and y, which is checked first */
  const bool fits = g[0] > 0 && g[1] > 0 && g[2] > 0 && g[0] <= INT32_MAX && g[1] <= MOST_BLOCKS_YZ && g[2] <= MOST_BLOCKS_YZ &&
                    b[0] <= MOST_THREADS && b[1] <= MOST_THREADS && b[2] <= MOST_THREADS_Z && threads > 0 && threads <= MOST_THREADS;
  if (fits) return TCT_OK;
  char text[300];
  snprintf(text, sizeof text, "its launch rule gives (%u,%u,%u) blocks of (%u,%u,%u) threads, needs 1 to 2^31-1 blocks along x and to %d "
           "along y and z, and 1 to %d threads, to %d along z", g[0], g[1], g[2], b[0], b[1], b[2], MOST_BLOCKS_YZ, MOST_THREADS, MOST_THREADS_Z);
  return invalid(device, node, text);
}

static tct_status choose_extent(tct_device_impl *device, const tct_node_view *node, const tct_op_code *code, CUfunction function,
                                tct_cu_extent *out) {
  const tct_cu_extent plain = tct_cu_extent_1d(tct_cu_size(&node->out[0].shape), THREADS, THREADS, 0);
  tct_op_extent e = {.grid = {plain.grid[0], 1, 1}, .block = {THREADS, 1, 1}};
  if (code->extent != NULL) code->extent(node, &e);
  const tct_status status = check_extent(device, node, &e);
  if (status != TCT_OK) return status;
  *out = (tct_cu_extent){{e.grid[0], e.grid[1], e.grid[2]}, {e.block[0], e.block[1], e.block[2]}, e.shared_bytes};
  const CUresult result = tct_cu_allow_shared(device, function, e.shared_bytes);
  if (result == CUDA_SUCCESS) return TCT_OK;
  char doing[200];
  snprintf(doing, sizeof doing, "op '%s': giving its blocks the %u bytes of shared memory of its launch rule", node->op_name,
           (unsigned)e.shared_bytes);
  return tct_cu_failed(device, result, doing);
}

/* ---- a step ---- */

static tct_status prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  const int32_t n = count_operands(node);
  size_t attrs_bytes = 0;
  CUfunction function = NULL;
  tct_cu_extent extent;
  const tct_op_code *const code = device->host->custom_code(node->op, "gpu", &attrs_bytes);
  tct_status status = tct_cu_enter(device);
  if (status == TCT_OK) status = function_of(device, node, code, &function);
  if (status == TCT_OK) status = check_parameters(device, node, code, function, attrs_bytes);
  if (status == TCT_OK) status = choose_extent(device, node, code, function, &extent);
  if (status != TCT_OK) return status;
  custom_state *const s = tct_cu_state(device, sizeof *s + (size_t)n * sizeof *s->sizes + (2 * (size_t)n + 1) * sizeof *s->parameters);
  if (s == NULL) return TCT_OUT_OF_MEMORY;
  *s = (custom_state){.function = function, .entry = code->entry, .extent = extent, .sizes = (int64_t *)(s + 1)};
  s->parameters = (void **)(s->sizes + n);
  for (int32_t i = 0; i < n; i++) {
    s->sizes[i] = tct_cu_size(i < node->n_in ? &node->in[i].shape : &node->out[i - node->n_in].shape);
    s->parameters[n + i] = &s->sizes[i];
  }
  out->state = s;
  return TCT_OK;
}

/* The driver copies parameters during the call and takes them as mutable. */
static tct_status launch(tct_device_impl *device, const tct_launch *l) {
  const custom_state *const s = l->state;
  const int32_t n_in = l->node->n_in, n = count_operands(l->node);
  for (int32_t i = 0; i < n; i++) s->parameters[i] = (void *)(uintptr_t)(i < n_in ? &l->in[i] : &l->out[i - n_in]);
  s->parameters[2 * n] = (void *)(uintptr_t)l->node->attrs;
  return tct_cu_launch_function(device, l->node, s->function, s->entry, &s->extent, s->parameters);
}

const tct_kernel tct_cu_custom_kernel = {.prepare = prepare, .launch = launch, .release = tct_cu_release_state};
