/* Bytes between host and device, through pinned buffers so that the copies are asynchronous. An upload goes to the device beside the
 * computation and is put where it belongs in the compute queue, so that it is in order with the launches; what is larger than a
 * buffer waits for the compute queue and goes there directly. */
#include <string.h>
#include "backends/cuda/device.h"

static tct_status make_slot(tct_device_impl *device, tct_cu_slot *slot) {
  const tct_cu_driver *const cu = device->cu;
  TCT_CU_TRY(device, cu->event_create(&slot->moved, CU_EVENT_DISABLE_TIMING), "making an event for transfers");
  TCT_CU_TRY(device, cu->event_create(&slot->drained, CU_EVENT_DISABLE_TIMING), "making an event for transfers");
  TCT_CU_TRY(device, cu->memory_alloc(&slot->near, TCT_CU_SLOT_BYTES), "allocating a buffer for transfers");
  TCT_CU_TRY(device, cu->pinned_alloc(&slot->pinned, TCT_CU_SLOT_BYTES, CU_MEMHOSTALLOC_PORTABLE),
             "allocating pinned host memory for transfers");
  return TCT_OK;
}

static void free_slot(tct_device_impl *device, tct_cu_slot *slot) {
  const tct_cu_driver *const cu = device->cu;
  if (slot->pinned != NULL) (void)cu->pinned_free(slot->pinned);
  if (slot->near != 0) (void)cu->memory_free(slot->near);
  if (slot->drained != NULL) (void)cu->event_destroy(slot->drained);
  if (slot->moved != NULL) (void)cu->event_destroy(slot->moved);
  *slot = (tct_cu_slot){.pinned = NULL};
}

/* The slot's last transfer is done: a download's bytes go to the caller. */
static tct_status settle(tct_device_impl *device, tct_cu_slot *slot) {
  TCT_CU_TRY(device, device->cu->event_sync(slot->moved), "waiting for a transfer");
  if (slot->to_host != NULL) memcpy(slot->to_host, slot->pinned, slot->bytes);
  slot->to_host = NULL;
  return TCT_OK;
}

static tct_status next_slot(tct_device_impl *device, tct_cu_slot **out) {
  tct_cu_slot *const slot = &device->slot[device->next_slot];
  if (slot->pinned == NULL) {
    const tct_status status = make_slot(device, slot);
    if (status != TCT_OK) {
      free_slot(device, slot);
      return status;
    }
  }
  const tct_status status = settle(device, slot);
  if (status != TCT_OK) return status;
  device->next_slot = (device->next_slot + 1) % TCT_CU_SLOTS;
  *out = slot;
  return TCT_OK;
}

void tct_cu_free_slots(tct_device_impl *device) {
  for (int32_t i = 0; i < TCT_CU_SLOTS; i++) free_slot(device, &device->slot[i]);
}

/* `queue` goes on when all that is enqueued in the other is done. */
static tct_status wait_for_other(tct_device_impl *device, tct_queue queue) {
  const tct_cu_driver *const cu = device->cu;
  CUstream other = device->stream[queue == TCT_QUEUE_COMPUTE ? TCT_QUEUE_TRANSFER : TCT_QUEUE_COMPUTE];
  TCT_CU_TRY(device, cu->event_record(device->order, other), "ordering the queues");
  TCT_CU_TRY(device, cu->stream_wait(device->stream[queue], device->order, 0), "ordering the queues");
  return TCT_OK;
}

static tct_status upload_beside(tct_device_impl *device, CUdeviceptr to, const void *from, size_t bytes) {
  const tct_cu_driver *const cu = device->cu;
  CUstream transfer = device->stream[TCT_QUEUE_TRANSFER], compute = device->stream[TCT_QUEUE_COMPUTE];
  tct_cu_slot *slot;
  const tct_status status = next_slot(device, &slot);
  if (status != TCT_OK) return status;
  memcpy(slot->pinned, from, bytes);
  TCT_CU_TRY(device, cu->stream_wait(transfer, slot->drained, 0), "uploading");
  TCT_CU_TRY(device, cu->copy_up(slot->near, slot->pinned, bytes, transfer), "uploading");
  TCT_CU_TRY(device, cu->event_record(slot->moved, transfer), "uploading");
  TCT_CU_TRY(device, cu->stream_wait(compute, slot->moved, 0), "uploading");
  TCT_CU_TRY(device, cu->copy_within(to, slot->near, bytes, compute), "uploading");
  TCT_CU_TRY(device, cu->event_record(slot->drained, compute), "uploading");
  return TCT_OK;
}

static tct_status upload_large(tct_device_impl *device, CUdeviceptr to, const char *from, size_t bytes) {
  const tct_cu_driver *const cu = device->cu;
  CUstream transfer = device->stream[TCT_QUEUE_TRANSFER];
  tct_status status = wait_for_other(device, TCT_QUEUE_TRANSFER);
  for (size_t at = 0; at < bytes && status == TCT_OK; at += TCT_CU_SLOT_BYTES) {
    const size_t n = bytes - at < TCT_CU_SLOT_BYTES ? bytes - at : TCT_CU_SLOT_BYTES;
    tct_cu_slot *slot;
    status = next_slot(device, &slot);
    if (status != TCT_OK) return status;
    memcpy(slot->pinned, from + at, n);
    TCT_CU_TRY(device, cu->copy_up(to + at, slot->pinned, n, transfer), "uploading");
    TCT_CU_TRY(device, cu->event_record(slot->moved, transfer), "uploading");
  }
  return status != TCT_OK ? status : wait_for_other(device, TCT_QUEUE_COMPUTE);
}

tct_status tct_cu_upload(tct_device_impl *device, void *to, const void *from_host, size_t bytes) {
  const tct_status status = tct_cu_enter(device);
  if (status != TCT_OK || bytes == 0) return status;
  device->counts.uploaded += (double)bytes;
  return bytes <= TCT_CU_SLOT_BYTES ? upload_beside(device, TCT_CU_ADDRESS(to), from_host, bytes)
                                    : upload_large(device, TCT_CU_ADDRESS(to), from_host, bytes);
}

tct_status tct_cu_download(tct_device_impl *device, void *to_host, const void *from, size_t bytes) {
  const tct_cu_driver *const cu = device->cu;
  CUstream transfer = device->stream[TCT_QUEUE_TRANSFER];
  tct_status status = tct_cu_enter(device);
  if (status == TCT_OK) status = wait_for_other(device, TCT_QUEUE_TRANSFER);
  for (size_t at = 0; at < bytes && status == TCT_OK; at += TCT_CU_SLOT_BYTES) {
    const size_t n = bytes - at < TCT_CU_SLOT_BYTES ? bytes - at : TCT_CU_SLOT_BYTES;
    tct_cu_slot *slot;
    status = next_slot(device, &slot);
    if (status != TCT_OK) return status;
    TCT_CU_TRY(device, cu->copy_down(slot->pinned, TCT_CU_ADDRESS(from) + at, n, transfer), "downloading");
    TCT_CU_TRY(device, cu->event_record(slot->moved, transfer), "downloading");
    slot->to_host = (char *)to_host + at;
    slot->bytes = n;
  }
  device->counts.downloaded += (double)bytes;
  return status != TCT_OK ? status : wait_for_other(device, TCT_QUEUE_COMPUTE);
}

tct_status tct_cu_copy(tct_device_impl *device, void *to, const void *from, size_t bytes) {
  const tct_status status = tct_cu_enter(device);
  if (status != TCT_OK || bytes == 0) return status;
  TCT_CU_TRY(device, device->cu->copy_within(TCT_CU_ADDRESS(to), TCT_CU_ADDRESS(from), bytes, device->stream[TCT_QUEUE_COMPUTE]),
             "copying");
  return TCT_OK;
}

tct_status tct_cu_sync(tct_device_impl *device) {
  tct_status status = tct_cu_enter(device);
  if (status != TCT_OK) return status;
  TCT_CU_TRY(device, device->cu->stream_sync(device->stream[TCT_QUEUE_TRANSFER]), "waiting for the transfers");
  TCT_CU_TRY(device, device->cu->stream_sync(device->stream[TCT_QUEUE_COMPUTE]), "waiting for the computation");
  for (int32_t i = 0; i < TCT_CU_SLOTS && status == TCT_OK; i++) {
    tct_cu_slot *const slot = &device->slot[(device->next_slot + i) % TCT_CU_SLOTS];
    if (slot->to_host != NULL) status = settle(device, slot);
  }
  return status;
}
