/* See family.h. */
#include "backends/cuda/family.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool tct_cu_refuse(char *why, size_t why_bytes, const char *format, ...) {
  va_list args;
  va_start(args, format);
  vsnprintf(why, why_bytes, format, args);
  va_end(args);
  return false;
}

size_t tct_cu_bytes(tct_dtype dtype) {
  static const size_t bytes[TCT_N_DTYPES] = {[TCT_F32] = 4, [TCT_I32] = 4, [TCT_I64] = 8,  [TCT_I8] = 1,
                                             [TCT_U8] = 1,  [TCT_BOOL] = 1, [TCT_BF16] = 2, [TCT_F16] = 2};
  return bytes[dtype];
}

bool tct_cu_stores(const tct_node_view *node, char *why, size_t why_bytes) {
  for (int32_t i = 0; i < node->n_in + node->n_out; i++) {
    const tct_desc *const desc = i < node->n_in ? &node->in[i] : &node->out[i - node->n_in];
    if (tct_cu_bytes(desc->dtype) == 0)
      return tct_cu_refuse(why, why_bytes, "its kernels have no f64; it runs on device ref");
  }
  return true;
}

void *tct_cu_state(tct_device_impl *device, size_t bytes) {
  void *const state = device->host->alloc(bytes, 64);
  if (state != NULL) memset(state, 0, bytes);
  return state;
}

void tct_cu_release_state(tct_device_impl *device, void *state) {
  if (state != NULL) device->host->release(state);
}

int64_t tct_cu_size(const tct_shape *shape) {
  int64_t n = 1;
  for (int32_t i = 0; i < shape->rank; i++) n *= shape->dim[i];
  return n;
}

bool tct_cu_is_float(tct_dtype dtype) {
  return dtype == TCT_F32 || dtype == TCT_BF16 || dtype == TCT_F16;
}

size_t tct_cu_aligned(size_t bytes) {
  return (bytes + TCT_CU_ALIGNMENT - 1) / TCT_CU_ALIGNMENT * TCT_CU_ALIGNMENT;
}

bool tct_cu_is_aligned(const void *pointer) {
  return (uintptr_t)pointer % 16 == 0;
}

tct_cu_extent tct_cu_extent_over(const tct_device_impl *device, int64_t n, uint32_t threads, int32_t width) {
  const int64_t resident = 2048 / threads; /* blocks that a unit holds at once */
  return tct_cu_extent_1d(n, (int64_t)threads * width, threads, 4 * resident * device->chip.n_units);
}
