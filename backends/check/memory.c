/* Buffers between canaries, filled with NaN, and what they held before a launch. All access goes through the inner device's
 * own transfers, so that memory the host cannot address is watched too. */
#include <string.h>

#include "backends/check/device.h"

/* ---- transfers, done at return ---- */

tct_status tct_check_read(tct_device_impl *device, void *to_host, const void *from, size_t bytes) {
  if (bytes == 0) return TCT_OK;
  if (device->info.host_memory) { /* a device inside with a modelled clock would count what only this one asks for */
    const tct_status done = device->inner->sync(device->impl);
    if (done == TCT_OK) memcpy(to_host, from, bytes);
    return done;
  }
  const tct_status status = device->inner->download(device->impl, to_host, from, bytes);
  return status != TCT_OK ? status : device->inner->sync(device->impl);
}

tct_status tct_check_fill(tct_device_impl *device, void *to, int value, size_t bytes) {
  if (device->info.host_memory) {
    const tct_status done = device->inner->sync(device->impl);
    if (done == TCT_OK && bytes > 0) memset(to, value, bytes);
    return done;
  }
  memset(device->chunk, value, bytes < CHECK_CHUNK ? bytes : CHECK_CHUNK);
  for (size_t at = 0; at < bytes; at += CHECK_CHUNK) {
    const size_t n = bytes - at < CHECK_CHUNK ? bytes - at : CHECK_CHUNK;
    const tct_status status = device->inner->upload(device->impl, (char *)to + at, device->chunk, n);
    if (status != TCT_OK) return status;
  }
  return device->inner->sync(device->impl);
}

/* ---- buffers ---- */

check_buffer *tct_check_find(const tct_device_impl *device, const void *memory, size_t bytes) {
  const uintptr_t at = (uintptr_t)memory;
  for (check_buffer *b = device->buffers; b != NULL; b = b->next) {
    const uintptr_t begin = (uintptr_t)b->base + device->pad;
    if (at >= begin && at - begin <= b->bytes && bytes <= b->bytes - (at - begin)) return b;
  }
  return NULL;
}

static void drop(tct_device_impl *device, check_buffer *buffer) {
  if (buffer->base != NULL) device->inner->free(device->impl, buffer->base);
  if (buffer->shadow != NULL) device->host->release(buffer->shadow);
  device->host->release(buffer);
}

static tct_status fill_new(tct_device_impl *device, check_buffer *b) {
  const size_t total = b->bytes + 2 * device->pad;
  void *base = NULL;
  tct_status status = device->inner->alloc(device->impl, total, &base);
  if (status != TCT_OK) return status;
  b->base = base;
  b->shadow = device->host->alloc(total, 64);
  if (b->shadow == NULL) return TCT_OUT_OF_MEMORY;
  status = tct_check_fill(device, b->base, CHECK_CANARY, total);
  return status != TCT_OK ? status : tct_check_fill(device, b->base + device->pad, CHECK_FILL, b->bytes);
}

tct_status tct_check_alloc(tct_device_impl *device, size_t bytes, void **out) {
  *out = NULL;
  if (bytes > SIZE_MAX - 2 * device->pad)
    return device->host->fail(TCT_OUT_OF_MEMORY, "device 'check': %zu bytes leave no room for canaries", bytes);
  check_buffer *b = device->host->alloc(sizeof *b, 64);
  if (b == NULL) return TCT_OUT_OF_MEMORY;
  *b = (check_buffer){.bytes = bytes};
  const tct_status status = fill_new(device, b);
  if (status != TCT_OK) {
    drop(device, b);
    return status;
  }
  b->next = device->buffers;
  device->buffers = b;
  *out = b->base + device->pad;
  return TCT_OK;
}

/* Where a canary of the buffer is not what it was, as a byte of the buffer; false: both are whole. */
static bool canary_broken(tct_device_impl *device, const check_buffer *b, int64_t *out_at) {
  for (int side = 0; side < 2; side++) {
    const size_t begin = side == 0 ? 0 : device->pad + b->bytes;
    for (size_t at = 0; at < device->pad; at += CHECK_CANARY_BYTES) {
      if (tct_check_read(device, device->chunk, b->base + begin + at, CHECK_CANARY_BYTES) != TCT_OK) return false;
      for (size_t i = 0; i < CHECK_CANARY_BYTES; i++) {
        *out_at = (int64_t)(begin + at + i) - (int64_t)device->pad;
        if (device->chunk[i] != CHECK_CANARY) return true;
      }
    }
  }
  return false;
}

void tct_check_free(tct_device_impl *device, void *memory) {
  if (memory == NULL) return;
  for (check_buffer **link = &device->buffers; *link != NULL; link = &(*link)->next) {
    check_buffer *b = *link;
    if (b->base + device->pad != (char *)memory) continue;
    int64_t at = 0;
    if (canary_broken(device, b, &at))
      device->host->log(TCT_LOG_ERROR, "check: freeing a buffer of %zu bytes: byte %lld, outside it, was written", b->bytes,
                        (long long)at);
    *link = b->next;
    drop(device, b);
    return;
  }
  device->host->log(TCT_LOG_ERROR, "check: freeing memory that is no buffer of the device");
}

/* ---- shadows ---- */

tct_status tct_check_snapshot(tct_device_impl *device) {
  for (check_buffer *b = device->buffers; b != NULL; b = b->next) {
    const tct_status status = tct_check_read(device, b->shadow, b->base, b->bytes + 2 * device->pad);
    if (status != TCT_OK) return status;
  }
  return TCT_OK;
}

tct_status tct_check_changed(tct_device_impl *device, const check_buffer *buffer, size_t *at, bool *out_changed) {
  const size_t total = buffer->bytes + 2 * device->pad;
  *out_changed = false;
  while (*at < total) {
    const size_t n = total - *at < CHECK_CHUNK ? total - *at : CHECK_CHUNK;
    const tct_status status = tct_check_read(device, device->chunk, buffer->base + *at, n);
    if (status != TCT_OK) return status;
    const unsigned char *const old = buffer->shadow + *at;
    if (memcmp(device->chunk, old, n) != 0) {
      size_t i = 0;
      while (device->chunk[i] == old[i]) i++;
      *at += i;
      *out_changed = true;
      return TCT_OK;
    }
    *at += n;
  }
  return TCT_OK;
}
