/* Bytes between host and device, through pinned buffers so that the copies are asynchronous. An upload goes to the device beside the
 * computation, to a buffer, and is put where it belongs in the compute queue, so that it is in order with the launches. A small one's
 * buffer belongs to its pinned one; a large one has a buffer of its own, the twin of its place, once it comes again and again, as a
 * step's inputs do. What is uploaded once or twice, as large weights are, waits for the computation and goes there directly. */
#include <string.h>
#include "backends/cuda/device.h"

/* Uploads to a place before it gets a twin: a variable's initial value, and one from a checkpoint. */
enum { UPLOADS_BEFORE = 2, REFUSED = -1 };

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

static void free_twin(tct_device_impl *device, tct_cu_twin *twin) {
  const tct_cu_driver *const cu = device->cu;
  if (twin->drained != NULL) {
    (void)cu->event_sync(twin->drained);
    (void)cu->event_destroy(twin->drained);
  }
  if (twin->moved != NULL) (void)cu->event_destroy(twin->moved);
  if (twin->near != 0) (void)cu->memory_free(twin->near);
  *twin = (tct_cu_twin){.to = twin->to, .bytes = twin->bytes, .n_uploads = REFUSED};
}

void tct_cu_free_slots(tct_device_impl *device) {
  for (int32_t i = 0; i < TCT_CU_SLOTS; i++) free_slot(device, &device->slot[i]);
  for (int32_t i = 0; i < TCT_CU_TWINS; i++) free_twin(device, &device->twin[i]);
}

bool tct_cu_give_back(tct_device_impl *device) {
  bool any = false;
  for (int32_t i = 0; i < TCT_CU_TWINS; i++) {
    if (device->twin[i].near == 0) continue;
    free_twin(device, &device->twin[i]);
    any = true;
  }
  return any;
}

void tct_cu_staging(const tct_device_impl *device, double *out_near, double *out_pinned) {
  *out_near = *out_pinned = 0;
  for (int32_t i = 0; i < TCT_CU_SLOTS; i++) {
    if (device->slot[i].pinned == NULL) continue;
    *out_near += TCT_CU_SLOT_BYTES;
    *out_pinned += TCT_CU_SLOT_BYTES;
  }
  for (int32_t i = 0; i < TCT_CU_TWINS; i++) *out_near += device->twin[i].near != 0 ? (double)device->twin[i].bytes : 0;
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

/* In the transfer queue, piece by piece as pinned buffers get free. */
static tct_status send(tct_device_impl *device, CUdeviceptr to, const char *from, size_t bytes) {
  const tct_cu_driver *const cu = device->cu;
  CUstream transfer = device->stream[TCT_QUEUE_TRANSFER];
  for (size_t at = 0; at < bytes; at += TCT_CU_SLOT_BYTES) {
    const size_t n = bytes - at < TCT_CU_SLOT_BYTES ? bytes - at : TCT_CU_SLOT_BYTES;
    tct_cu_slot *slot;
    const tct_status status = next_slot(device, &slot);
    if (status != TCT_OK) return status;
    memcpy(slot->pinned, from + at, n);
    TCT_CU_TRY(device, cu->copy_up(to + at, slot->pinned, n, transfer), "uploading");
    TCT_CU_TRY(device, cu->event_record(slot->moved, transfer), "uploading");
  }
  return TCT_OK;
}

static tct_status upload_directly(tct_device_impl *device, CUdeviceptr to, const char *from, size_t bytes) {
  tct_status status = wait_for_other(device, TCT_QUEUE_TRANSFER);
  if (status == TCT_OK) status = send(device, to, from, bytes);
  return status == TCT_OK ? wait_for_other(device, TCT_QUEUE_COMPUTE) : status;
}

static tct_status upload_by_twin(tct_device_impl *device, const tct_cu_twin *twin, const char *from) {
  const tct_cu_driver *const cu = device->cu;
  CUstream transfer = device->stream[TCT_QUEUE_TRANSFER], compute = device->stream[TCT_QUEUE_COMPUTE];
  TCT_CU_TRY(device, cu->stream_wait(transfer, twin->drained, 0), "uploading");
  const tct_status status = send(device, twin->near, from, twin->bytes);
  if (status != TCT_OK) return status;
  TCT_CU_TRY(device, cu->event_record(twin->moved, transfer), "uploading");
  TCT_CU_TRY(device, cu->stream_wait(compute, twin->moved, 0), "uploading");
  TCT_CU_TRY(device, cu->copy_within(twin->to, twin->near, twin->bytes, compute), "uploading");
  TCT_CU_TRY(device, cu->event_record(twin->drained, compute), "uploading");
  return TCT_OK;
}

/* Where the device has no memory to spare it does without. */
static tct_status make_twin(tct_device_impl *device, tct_cu_twin *twin) {
  const tct_cu_driver *const cu = device->cu;
  CUdeviceptr near = 0;
  const CUresult result = cu->memory_alloc(&near, twin->bytes);
  if (result == CUDA_ERROR_OUT_OF_MEMORY) {
    twin->n_uploads = REFUSED;
    return TCT_OK;
  }
  if (result != CUDA_SUCCESS) return tct_cu_failed(device, result, "allocating a buffer for uploads");
  twin->near = near;
  TCT_CU_TRY(device, cu->event_create(&twin->moved, CU_EVENT_DISABLE_TIMING), "making an event for uploads");
  TCT_CU_TRY(device, cu->event_create(&twin->drained, CU_EVENT_DISABLE_TIMING), "making an event for uploads");
  return TCT_OK;
}

/* The place as it is known from earlier uploads; a new one takes the place of the one that was met first. */
static tct_cu_twin *find_twin(tct_device_impl *device, CUdeviceptr to, size_t bytes) {
  for (int32_t i = 0; i < TCT_CU_TWINS; i++)
    if (device->twin[i].to == to && device->twin[i].bytes == bytes) return &device->twin[i];
  tct_cu_twin *const twin = &device->twin[device->next_twin];
  device->next_twin = (device->next_twin + 1) % TCT_CU_TWINS;
  free_twin(device, twin);
  *twin = (tct_cu_twin){.to = to, .bytes = bytes};
  return twin;
}

static tct_status upload_large(tct_device_impl *device, CUdeviceptr to, const char *from, size_t bytes) {
  tct_cu_twin *const twin = find_twin(device, to, bytes);
  if (twin->near == 0 && twin->n_uploads >= 0 && twin->n_uploads++ == UPLOADS_BEFORE) {
    const tct_status status = make_twin(device, twin);
    if (status != TCT_OK) {
      free_twin(device, twin);
      return status;
    }
  }
  return twin->near != 0 ? upload_by_twin(device, twin, from) : upload_directly(device, to, from, bytes);
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
