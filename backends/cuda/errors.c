/* NVIDIA's answers as statuses and sentences. An error that ends the device is kept, since the driver answers every later call with
 * it, whatever that call was for. */
#include "backends/cuda/errors.h"

#include <stdio.h>
#include <string.h>
#include "backends/cuda/device.h"

typedef enum effect { MENDS, ENDS } effect;

static const struct {
  CUresult result;
  tct_status status;
  effect effect;
  const char *text;
} rows[] = {
#define CUDA_ERROR(name, status_, effect_, text_) {CUDA_ERROR_##name, status_, effect_, text_},
#include "backends/cuda/errors.def"
#undef CUDA_ERROR
};

const char *tct_cu_text(const tct_cu_driver *driver, CUresult result, char *text, size_t text_bytes) {
  const char *name = NULL, *said = NULL;
  if (driver->error_name(result, &name) != CUDA_SUCCESS || name == NULL) name = "no error of this driver";
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    if (rows[i].result == result) said = rows[i].text;
  }
  if (said == NULL && (driver->error_text(result, &said) != CUDA_SUCCESS || said == NULL)) said = "error";
  snprintf(text, text_bytes, "%s (%s, %d)", said, name, (int)result);
  return text;
}

/* ", in step 'fc1/matmul' (matmul.tiled)": the first launch that the device did not report as done. */
static void name_step(const tct_device_impl *device, char *text, size_t text_bytes) {
  text[0] = '\0';
  if (device->done == NULL || *device->done == device->n_launched) {
    if (device->replayed) snprintf(text, text_bytes, ", in a recorded step; TERCET_CUDA_GRAPHS=0 says in which part of it");
    return;
  }
  const uint32_t first = *device->done + 1;
  if (device->n_launched - first >= TCT_CU_TRAIL) return;
  const tct_cu_trail_entry *const at = &device->trail[first % TCT_CU_TRAIL];
  snprintf(text, text_bytes, ", in step '%s' (%s)", at->step, at->kernel);
}

tct_status tct_cu_failed(tct_device_impl *device, CUresult result, const char *doing) {
  char text[200], step[160];
  tct_status status = TCT_INTERNAL;
  bool ends = false;
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    if (rows[i].result != result) continue;
    status = rows[i].status;
    ends = rows[i].effect == ENDS;
  }
  tct_cu_text(device->cu, result, text, sizeof text);
  if (!ends) return device->host->fail(status, "device 'gpu:%d': %s: %s", (int)device->ordinal, doing, text);
  name_step(device, step, sizeof step);
  device->ended = true;
  device->end_status = status;
  snprintf(device->end_text, sizeof device->end_text, "%s%s", text, step);
  return device->host->fail(status, "device 'gpu:%d': %s: %s; it cannot be used any more: close it, and start the process again "
                            "if it does not open", (int)device->ordinal, doing, device->end_text);
}

tct_status tct_cu_library_failed(tct_device_impl *device, tct_status status, const char *call, const char *name, int number) {
  return device->host->fail(status, "device 'gpu:%d': %s fails: %s (%d)", (int)device->ordinal, call, name, number);
}

tct_status tct_cu_enter(tct_device_impl *device) {
  if (device->ended)
    return device->host->fail(device->end_status, "device 'gpu:%d': it failed before: %s", (int)device->ordinal, device->end_text);
  TCT_CU_TRY(device, device->cu->context_set(device->context), "making its context current");
  return TCT_OK;
}
