/* `check:cpu`, `check:gpu:1`: a decorator around any device, which it meets only through that device's own table. Memory comes
 * filled with NaN and between canaries (memory.c), every launch is watched (kernels.c), transfers must stay within a buffer.
 * Everything is synchronous and slow; results are those of the device inside, bit for bit. */
#include <stdio.h>
#include <string.h>

#include "backends/check/device.h"
#include "backends/check/entry.h"

/* The process's seams, from the entry on. */
static const tct_host *host;

/* What cannot be said without opening (which device?) is said by open. */
static int32_t probe(char *why, size_t why_bytes) {
  if (why_bytes > 0) why[0] = '\0';
  return 1;
}

static void close_device(tct_device_impl *device) {
  if (device == NULL) return;
  while (device->buffers != NULL) tct_check_free(device, device->buffers->base + device->pad);
  if (device->impl != NULL) device->inner->close(device->impl);
  if (device->kernels != NULL) host->release(device->kernels);
  if (device->chunk != NULL) host->release(device->chunk);
  host->release(device);
}

/* "1" → 1; -1 when it is no small number. */
static int32_t ordinal_of(const char *text) {
  int32_t ordinal = text[0] == '\0' ? -1 : 0;
  for (; *text != '\0'; text++) {
    if (*text < '0' || *text > '9' || ordinal > 9999) return -1;
    ordinal = 10 * ordinal + (*text - '0');
  }
  return ordinal;
}

static tct_status open_inner(const tct_open_options *options, tct_device_impl *device) {
  const char *const spec = options->options, *const colon = strchr(spec, ':');
  const char *const rest = colon != NULL ? colon + 1 : "";
  tct_status status = host->find_backend(spec, &device->inner);
  if (status != TCT_OK) return status;
  char why[256] = "";
  const int32_t n_devices = device->inner->probe(why, sizeof why), ordinal = ordinal_of(rest);
  if (n_devices <= 0) return host->fail(TCT_UNAVAILABLE, "device 'check:%s' is not available: %s", spec, why);
  if (ordinal >= n_devices)
    return host->fail(TCT_UNAVAILABLE, "device 'check:%s': there are %d of the kind, numbered from 0", spec, (int)n_devices);
  const tct_open_options inner = {
      .ordinal = ordinal > 0 ? ordinal : 0, .n_threads = options->n_threads, .options = ordinal >= 0 ? "" : rest};
  status = device->inner->open(&inner, &device->impl);
  if (status != TCT_OK) return status;
  device->inner->info(device->impl, &device->info);
  const size_t alignment = device->info.alignment;
  device->pad = alignment > CHECK_CANARY_BYTES ? alignment : CHECK_CANARY_BYTES;
  device->chunk = host->alloc(CHECK_CHUNK, 64);
  return device->chunk != NULL ? tct_check_wrap_kernels(device) : TCT_OUT_OF_MEMORY;
}

static tct_status open_device(const tct_open_options *options, tct_device_impl **out) {
  *out = NULL;
  if (options->options[0] == '\0')
    return host->fail(TCT_UNAVAILABLE, "it watches another device, whose name it needs: check:cpu, check:ref");
  tct_device_impl *device = host->alloc(sizeof *device, 64);
  if (device == NULL) return TCT_OUT_OF_MEMORY;
  *device = (tct_device_impl){.host = host};
  const tct_status status = open_inner(options, device);
  if (status != TCT_OK) {
    close_device(device);
    return status;
  }
  *out = device;
  return TCT_OK;
}

static void info(tct_device_impl *device, tct_device_info *out) {
  *out = device->info;
  snprintf(out->name, sizeof out->name, "check: %.80s", device->info.name);
}

static tct_status refuse_transfer(const char *what, size_t bytes) {
  return host->fail(TCT_INTERNAL, "check: %s %zu bytes that do not lie within one buffer of the device", what, bytes);
}

static tct_status upload(tct_device_impl *device, void *to, const void *from_host, size_t bytes) {
  if (tct_check_find(device, to, bytes) == NULL) return refuse_transfer("upload of", bytes);
  return device->inner->upload(device->impl, to, from_host, bytes);
}

static tct_status download(tct_device_impl *device, void *to_host, const void *from, size_t bytes) {
  if (tct_check_find(device, from, bytes) == NULL) return refuse_transfer("download of", bytes);
  return device->inner->download(device->impl, to_host, from, bytes);
}

/* By the device inside if it can, else through the host. */
static tct_status copy(tct_device_impl *device, void *to, const void *from, size_t bytes) {
  if (tct_check_find(device, to, bytes) == NULL) return refuse_transfer("copy to", bytes);
  if (tct_check_find(device, from, bytes) == NULL) return refuse_transfer("copy from", bytes);
  if (device->inner->copy != NULL) return device->inner->copy(device->impl, to, from, bytes);
  tct_status status = TCT_OK;
  for (size_t at = 0; status == TCT_OK && at < bytes; at += CHECK_CHUNK) {
    const size_t n = bytes - at < CHECK_CHUNK ? bytes - at : CHECK_CHUNK;
    status = tct_check_read(device, device->chunk, (const char *)from + at, n);
    if (status == TCT_OK) status = device->inner->upload(device->impl, (char *)to + at, device->chunk, n);
    if (status == TCT_OK) status = device->inner->sync(device->impl);
  }
  return status;
}

static tct_status mark(tct_device_impl *device, tct_queue queue, tct_ticket *out) {
  return device->inner->mark(device->impl, queue, out);
}

static bool reached(tct_device_impl *device, tct_ticket ticket) {
  return device->inner->reached(device->impl, ticket);
}

static double elapsed(tct_device_impl *device, tct_ticket begin, tct_ticket end) {
  return device->inner->elapsed(device->impl, begin, end);
}

static tct_status sync_device(tct_device_impl *device) {
  return device->inner->sync(device->impl);
}

static tct_status wait_for(tct_device_impl *device, tct_queue queue, tct_ticket ticket) {
  return device->inner->wait != NULL ? device->inner->wait(device->impl, queue, ticket)
                                     : device->inner->sync(device->impl);
}

static int32_t counters(tct_device_impl *device, tct_counter *out, int32_t most) {
  return device->inner->counters != NULL ? device->inner->counters(device->impl, out, most) : 0;
}

static void facts(tct_device_impl *device, tct_fact_fn fn, void *user) {
  if (device->inner->facts != NULL) device->inner->facts(device->impl, fn, user);
}

static int32_t step_aside(tct_device_impl *device, const tct_node_view *node, double flops, double bytes, bool count, tct_counter *out,
                          int32_t most) {
  if (device->inner->step_aside == NULL) return 0;
  return device->inner->step_aside(device->impl, node, flops, bytes, count, out, most);
}

static void transfer_listing(tct_device_impl *device, const char *what, double bytes, bool to_device, tct_line_fn line, void *user) {
  if (device->inner->transfer_listing != NULL) device->inner->transfer_listing(device->impl, what, bytes, to_device, line, user);
}

static void first_run(tct_device_impl *device, uint64_t fingerprint) {
  if (device->inner->first_run != NULL) device->inner->first_run(device->impl, fingerprint);
}

static void own_kernels(tct_device_impl *device, const tct_kernel **out, size_t *out_n) {
  *out = device->kernels;
  *out_n = device->n_kernels;
}

/* Not offered: record and replay. A recorded step would run unwatched. */
const tct_backend *tct_backend_entry_check(const tct_host *given) {
  static const tct_backend backend = {
      .abi = TCT_BACKEND_ABI,
      .name = "check",
      .probe = probe,
      .open = open_device,
      .close = close_device,
      .info = info,
      .alloc = tct_check_alloc,
      .free = tct_check_free,
      .upload = upload,
      .download = download,
      .mark = mark,
      .reached = reached,
      .elapsed = elapsed,
      .sync = sync_device,
      .copy = copy,
      .wait = wait_for,
      .counters = counters,
      .own_kernels = own_kernels,
      .facts = facts,
      .step_counters = tct_check_step_counters,
      .step_listing = tct_check_step_listing,
      .step_aside = step_aside,
      .first_run = first_run,
      .transfer_listing = transfer_listing,
  };
  if (given->abi != TCT_BACKEND_ABI) {
    (void)given->fail(TCT_UNSUPPORTED, "backend 'check': the host speaks version %u of the interface, this one %u",
                      (unsigned)given->abi, TCT_BACKEND_ABI);
    return NULL;
  }
  host = given;
  return &backend;
}
