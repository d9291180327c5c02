/* The module's device code as kernels that can be launched. Each launch and each call of a library outside of a recording leaves its
 * step's name and has the device write its number when it is done, so that a fault, which the driver reports later and without a
 * place, has one. */
#include "backends/cuda/launch.h"

#include <stdio.h>
#include <string.h>
#include "backends/cuda/image.h"
#include "backends/cuda/ranges.h"

static const char *const names[TCT_CU_N_KERNELS] = {
#define KERNEL(name) [TCT_CU_KERNEL_##name] = "tct_cu_" #name,
#include "kernels/cuda/kernels.def"
#undef KERNEL
};

enum { STATIC_SHARED_BYTES = 48 << 10 }; /* what a block gets without asking */

static tct_status find_function(tct_device_impl *device, int32_t kernel) {
  const tct_cu_driver *const cu = device->cu;
  CUresult result = CUDA_ERROR_NOT_FOUND;
  for (int32_t i = 0; i < tct_cuda_n_images && result == CUDA_ERROR_NOT_FOUND; i++)
    result = cu->module_function(&device->functions[kernel], device->modules[i], names[kernel]);
  if (result == CUDA_SUCCESS) return TCT_OK;
  char doing[96];
  snprintf(doing, sizeof doing, "finding the kernel %s", names[kernel]);
  return tct_cu_failed(device, result, doing);
}

static tct_status allocate(tct_device_impl *device) {
  const size_t n_modules = (size_t)tct_cuda_n_images + 1, n_functions = TCT_CU_N_KERNELS + 1;
  device->modules = device->host->alloc(n_modules * sizeof *device->modules, 64);
  device->functions = device->host->alloc(n_functions * sizeof *device->functions, 64);
  device->trail = device->host->alloc(TCT_CU_TRAIL * sizeof *device->trail, 64);
  if (device->modules != NULL) memset(device->modules, 0, n_modules * sizeof *device->modules);
  return device->modules != NULL && device->functions != NULL && device->trail != NULL ? TCT_OK : TCT_OUT_OF_MEMORY;
}

tct_status tct_cu_load_code(tct_device_impl *device) {
  tct_status status = allocate(device);
  for (int32_t i = 0; i < tct_cuda_n_images && status == TCT_OK; i++) {
    const CUresult result = device->cu->module_load(&device->modules[i], tct_cuda_images[i].code);
    char doing[96];
    snprintf(doing, sizeof doing, "loading the device code '%s'", tct_cuda_images[i].name);
    if (result != CUDA_SUCCESS) status = tct_cu_failed(device, result, doing);
  }
  for (int32_t k = 0; k < TCT_CU_N_KERNELS && status == TCT_OK; k++) status = find_function(device, k);
  if (status != TCT_OK) return status;
  /* A device that cannot write the number only leaves the step of a fault unnamed. */
  void *done = NULL;
  if (device->cu->pinned_alloc(&done, sizeof *device->done, CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP) == CUDA_SUCCESS) {
    device->done = done;
    *device->done = 0;
  }
  return TCT_OK;
}

void tct_cu_unload_code(tct_device_impl *device) {
  if (device->done != NULL) (void)device->cu->pinned_free((void *)(uintptr_t)device->done);
  for (int32_t i = 0; device->modules != NULL && i < tct_cuda_n_images; i++)
    if (device->modules[i] != NULL) (void)device->cu->module_unload(device->modules[i]);
  device->host->release(device->modules);
  device->host->release(device->functions);
  device->host->release(device->trail);
}

tct_cu_extent tct_cu_extent_1d(int64_t n, int64_t per_block, uint32_t threads, int64_t most) {
  int64_t blocks = n <= 0 ? 1 : (n - 1) / per_block + 1;
  if (most > 0 && blocks > most) blocks = most;
  return (tct_cu_extent){.grid = {(uint32_t)blocks, 1, 1}, .block = {threads, 1, 1}};
}

tct_status tct_cu_begin_work(tct_device_impl *device, const tct_node_view *node, const char *what) {
  const tct_status status = tct_cu_enter(device);
  if (status != TCT_OK) return status;
  device->counts.launches++;
  if (device->ranges) tct_cu_range_push(node->name);
  if (device->capturing) return TCT_OK;
  tct_cu_trail_entry *const entry = &device->trail[++device->n_launched % TCT_CU_TRAIL];
  snprintf(entry->step, sizeof entry->step, "%s", node->name);
  snprintf(entry->kernel, sizeof entry->kernel, "%s", what);
  device->replayed = false;
  return TCT_OK;
}

tct_status tct_cu_end_work(tct_device_impl *device, const char *what) {
  const tct_cu_driver *const cu = device->cu;
  if (device->ranges) tct_cu_range_pop();
  if (device->capturing || device->done == NULL) return TCT_OK;
  /* Under unified addressing, which every 64-bit system has, the pinned number has one address for host and device. */
  TCT_CU_TRY(device, cu->stream_write(device->stream[TCT_QUEUE_COMPUTE], TCT_CU_ADDRESS((uintptr_t)device->done), device->n_launched,
                                      CU_STREAM_WRITE_VALUE_DEFAULT), what);
  return TCT_OK;
}

CUresult tct_cu_allow_shared(const tct_device_impl *device, CUfunction function, uint32_t bytes) {
  if (bytes <= STATIC_SHARED_BYTES) return CUDA_SUCCESS;
  if (bytes > INT32_MAX) return CUDA_ERROR_INVALID_VALUE;
  return device->cu->function_set(function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, (int)bytes);
}

tct_status tct_cu_launch_function(tct_device_impl *device, const tct_node_view *node, CUfunction function, const char *name,
                                  const tct_cu_extent *extent, void **parameters) {
  CUstream compute = device->stream[TCT_QUEUE_COMPUTE];
  const uint32_t *const g = extent->grid, *const b = extent->block;
  tct_status status = tct_cu_begin_work(device, node, name);
  if (status != TCT_OK) return status;
  CUresult result = tct_cu_allow_shared(device, function, extent->shared_bytes);
  if (result == CUDA_SUCCESS)
    result = device->cu->launch(function, g[0], g[1], g[2], b[0], b[1], b[2], extent->shared_bytes, compute, parameters, NULL);
  status = tct_cu_end_work(device, name);
  return result != CUDA_SUCCESS ? tct_cu_failed(device, result, name) : status;
}

tct_status tct_cu_launch(tct_device_impl *device, const tct_node_view *node, tct_cu_kernel kernel, const tct_cu_extent *extent,
                         const void *args) {
  /* The driver copies the struct during the call and takes it as mutable. */
  void *parameters[] = {(void *)(uintptr_t)args};
  return tct_cu_launch_function(device, node, device->functions[kernel], names[kernel], extent, parameters);
}
