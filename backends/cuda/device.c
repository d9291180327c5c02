/* The GPU as a device: the process' primary context, a stream per queue, tickets on events. Everything is made when the device is
 * opened, so that a step only enqueues. */
#include "backends/cuda/device.h"

#include <stdio.h>
#include <string.h>
#include "backends/cuda/libraries/cublaslt.h"
#include "backends/cuda/libraries/cudnn.h"
#include "backends/cuda/ops/custom.h"
#include "backends/cuda/launch.h"
#include "backends/cuda/ranges.h"
#include "backends/cuda/table.h"

/* ---- opening and closing ---- */

static tct_status make_queues(tct_device_impl *device) {
  const tct_cu_driver *const cu = device->cu;
  TCT_CU_TRY(device, cu->event_create(&device->order, CU_EVENT_DISABLE_TIMING), "making an event");
  for (int q = 0; q < TCT_N_QUEUES; q++) {
    TCT_CU_TRY(device, cu->stream_create(&device->stream[q], CU_STREAM_NON_BLOCKING), "making a queue");
    for (int i = 0; i < TCT_CU_EVENTS; i++)
      TCT_CU_TRY(device, cu->event_create(&device->event[q][i], CU_EVENT_DEFAULT), "making an event");
  }
  return TCT_OK;
}

static tct_status start(tct_device_impl *device) {
  const tct_cu_driver *const cu = device->cu;
  TCT_CU_TRY(device, cu->device_get(&device->device, device->ordinal), "opening it");
  TCT_CU_TRY(device, cu->context_retain(&device->context, device->device), "making its context");
  tct_status status = tct_cu_enter(device);
  if (status == TCT_OK) status = make_queues(device);
  return status == TCT_OK ? tct_cu_load_code(device) : status;
}

tct_status tct_cu_open(const tct_host *host, const tct_cu_driver *cu, const tct_open_options *options, tct_device_impl **out) {
  char why[300];
  *out = NULL;
  const bool tf32 = strcmp(options->options, "tf32") == 0;
  if (options->options[0] != '\0' && !tf32)
    return host->fail(TCT_INVALID, "gpu:%s: device gpu takes a number (gpu:1) or tf32: products of f32 with operands rounded to 10 bits of "
                      "mantissa", options->options);
  tct_device_impl *const device = host->alloc(sizeof *device, 64);
  if (device == NULL) return TCT_OUT_OF_MEMORY;
  *device = (tct_device_impl){.host = host, .cu = cu, .ordinal = options->ordinal, .tf32 = tf32, .any_order = options->nondeterministic, .ranges = tct_cu_ranges_wanted(host)};
  device->records = strcmp(host->env("TERCET_CUDA_GRAPHS"), "0") != 0;
  device->tunes = strcmp(host->env("TERCET_CUDA_TUNE"), "1") == 0;
  tct_status status = TCT_OK;
  if (!tct_cu_chip_of(cu, device->ordinal, &device->chip, why, sizeof why) || !tct_cu_chip_has_code(&device->chip, why, sizeof why))
    status = host->fail(TCT_UNAVAILABLE, "device 'gpu:%d': %s", (int)device->ordinal, why);
  if (status == TCT_OK) status = start(device);
  if (status != TCT_OK) {
    tct_cu_close(device);
    return status;
  }
  *out = device;
  return TCT_OK;
}

/* What the driver says on the way out changes nothing: after a fault it answers every call with the fault. */
void tct_cu_close(tct_device_impl *device) {
  if (device == NULL) return;
  const tct_cu_driver *const cu = device->cu;
  if (device->context != NULL) {
    (void)cu->context_set(device->context);
    for (int q = 0; q < TCT_N_QUEUES; q++)
      if (device->stream[q] != NULL) (void)cu->stream_sync(device->stream[q]);
    tct_cu_free_slots(device);
    for (int q = 0; q < TCT_N_QUEUES; q++) {
      for (int i = 0; i < TCT_CU_EVENTS; i++)
        if (device->event[q][i] != NULL) (void)cu->event_destroy(device->event[q][i]);
      if (device->stream[q] != NULL) (void)cu->stream_destroy(device->stream[q]);
    }
    if (device->order != NULL) (void)cu->event_destroy(device->order);
    tct_cu_close_products(device);
    tct_cu_close_plans(device);
    tct_cu_close_custom(device);
    tct_cu_unload_code(device);
    (void)cu->context_release(device->device);
  }
  device->host->release(device->refusals);
  device->host->release(device);
}

void tct_cu_info(tct_device_impl *device, tct_device_info *out) {
  const tct_cu_chip *const chip = &device->chip;
  *out = (tct_device_info){.n_threads = 1, .memory_bytes = chip->memory_bytes, .alignment = TCT_CU_ALIGNMENT};
  char name[160];
  snprintf(name, sizeof name, "%.40s, %d units, compute capability %d.%d%s%s", chip->name, (int)chip->n_units, (int)chip->major, (int)chip->minor,
           device->tf32 ? ", TF32" : "", device->any_order ? ", not deterministic" : "");
  snprintf(out->name, sizeof out->name, "%.*s", (int)sizeof out->name - 1, name);
}

/* ---- memory ---- */

tct_status tct_cu_alloc(tct_device_impl *device, size_t bytes, void **out) {
  const tct_cu_driver *const cu = device->cu;
  CUdeviceptr memory = 0;
  *out = NULL;
  const tct_status status = tct_cu_enter(device);
  if (status != TCT_OK) return status;
  CUresult result = cu->memory_alloc(&memory, bytes > 0 ? bytes : 1);
  if (result == CUDA_ERROR_OUT_OF_MEMORY && tct_cu_give_back(device)) result = cu->memory_alloc(&memory, bytes > 0 ? bytes : 1);
  if (result == CUDA_ERROR_OUT_OF_MEMORY) {
    size_t left = 0, total = 0;
    if (cu->memory_info(&left, &total) != CUDA_SUCCESS) total = device->chip.memory_bytes;
    return device->host->fail(TCT_OUT_OF_MEMORY, "device 'gpu:%d': %.1f MiB are asked for, %.1f MiB of its %.1f MiB are free; use a smaller "
                              "batch or model, or end what else uses the device (nvidia-smi lists it)", (int)device->ordinal,
                              (double)bytes / (1 << 20), (double)left / (1 << 20), (double)total / (1 << 20));
  }
  TCT_CU_TRY(device, result, "allocating memory");
  *out = (void *)(uintptr_t)memory;
  return TCT_OK;
}

void tct_cu_free(tct_device_impl *device, void *memory) {
  if (memory == NULL || device->cu->context_set(device->context) != CUDA_SUCCESS) return;
  (void)device->cu->memory_free(TCT_CU_ADDRESS(memory));
}

/* ---- tickets ---- */

static CUevent event_of(const tct_device_impl *device, tct_ticket ticket) {
  return device->event[ticket.queue][ticket.count % TCT_CU_EVENTS];
}

tct_status tct_cu_mark(tct_device_impl *device, tct_queue queue, tct_ticket *out) {
  const tct_status status = tct_cu_enter(device);
  if (status != TCT_OK) return status;
  *out = (tct_ticket){queue, ++device->n_marks[queue]};
  TCT_CU_TRY(device, device->cu->event_record(event_of(device, *out), device->stream[queue]), "marking a point in a queue");
  return TCT_OK;
}

/* An event that a later ticket took over is reached after this one: queues are in order. */
bool tct_cu_reached(tct_device_impl *device, tct_ticket ticket) {
  return device->cu->context_set(device->context) == CUDA_SUCCESS && device->cu->event_query(event_of(device, ticket)) == CUDA_SUCCESS;
}

double tct_cu_elapsed(tct_device_impl *device, tct_ticket begin, tct_ticket end) {
  float milliseconds = 0;
  const bool known = device->n_marks[begin.queue] - begin.count < TCT_CU_EVENTS;
  if (!known || device->cu->context_set(device->context) != CUDA_SUCCESS ||
      device->cu->event_elapsed(&milliseconds, event_of(device, begin), event_of(device, end)) != CUDA_SUCCESS)
    return 0;
  return (double)milliseconds * 1e-3;
}

tct_status tct_cu_wait(tct_device_impl *device, tct_queue queue, tct_ticket ticket) {
  const tct_status status = tct_cu_enter(device);
  if (status != TCT_OK) return status;
  TCT_CU_TRY(device, device->cu->stream_wait(device->stream[queue], event_of(device, ticket), 0), "making a queue wait");
  return TCT_OK;
}
