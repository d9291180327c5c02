/* A backend that does nothing, to copy: every function that a device needs, on host memory, with "Yours:" where another
 * device's code goes. It lists no kernels, so it refuses every op, or, with fallback=host, lends its memory to the
 * reference kernels. Built as the module libtercet-template.so; docs/adding-a-backend.md walks through it. */
#include <string.h>
#include <tercet/backend.h>

#include "backends/template/kernels.h"

#define ALIGNMENT ((size_t)64)

/* The process's seams: allocator, error record, log, clock, threads. Set by the entry, before any other call. */
static const tct_host *host;

/* Yours: context, streams, handles, what was enqueued. */
struct tct_device_impl {
  uint64_t n_marks[TCT_N_QUEUES];
};

/* Yours: ask the driver. 0 with a sentence in `why` (no driver, library not found, too old) when there is no device:
 * that is an answer, not an error. */
static int32_t probe(char *why, size_t why_bytes) {
  if (why_bytes > 0) why[0] = '\0';
  return 1;
}

/* Yours: open device number options->ordinal, and parse options->options, the text after ':'. Refuse what you don't know. */
static tct_status open_device(const tct_open_options *options, tct_device_impl **out) {
  *out = NULL;
  if (options->options[0] != '\0')
    return host->fail(TCT_INVALID, "device 'template': takes no options; got '%s'", options->options);
  tct_device_impl *device = host->alloc(sizeof *device, ALIGNMENT);
  if (device == NULL) return TCT_OUT_OF_MEMORY;
  *device = (tct_device_impl){0};
  *out = device;
  return TCT_OK;
}

/* Yours: finish what is enqueued, then give everything back. The runtime has freed its buffers. */
static void close_device(tct_device_impl *device) {
  if (device != NULL) host->release(device);
}

/* Yours: name, memory, alignment of buffers. host_memory only where the host can read and write device pointers: it is what
 * fallback=host needs. time_is_modelled where elapsed() is a simulator's clock. */
static void info(tct_device_impl *device, tct_device_info *out) {
  (void)device;
  *out = (tct_device_info){
      .name = "template: host memory, no kernels", .host_memory = true, .n_threads = 1, .alignment = ALIGNMENT};
}

/* Yours: device memory. Few and large: a program asks for an arena, its inputs and its variables. */
static tct_status alloc_memory(tct_device_impl *device, size_t bytes, void **out) {
  (void)device;
  *out = host->alloc(bytes > 0 ? bytes : 1, ALIGNMENT);
  return *out != NULL ? TCT_OK : TCT_OUT_OF_MEMORY;
}

static void free_memory(tct_device_impl *device, void *memory) {
  (void)device;
  if (memory != NULL) host->release(memory);
}

/* Yours: enqueue on the transfer queue, in order with the launches: kernels launched before see the old bytes, later ones the new.
 * Pointers may lie inside a buffer. The host's memory is the caller's again after an upload; a download is there after a sync. */
static tct_status transfer(tct_device_impl *device, void *to, const void *from, size_t bytes) {
  (void)device;
  if (bytes > 0) memcpy(to, from, bytes);
  return TCT_OK;
}

/* Yours: record an event on the queue. Here the count is the time itself, since all work is done when a call returns. */
static tct_status mark(tct_device_impl *device, tct_queue queue, tct_ticket *out) {
  device->n_marks[queue]++;
  *out = (tct_ticket){.queue = queue, .count = (uint64_t)host->clock_ns()};
  return TCT_OK;
}

/* Yours: whether all that was enqueued before the ticket is done; never waits. */
static bool reached(tct_device_impl *device, tct_ticket ticket) {
  (void)device, (void)ticket;
  return true;
}

/* Yours: seconds between two events by the device's own clock. */
static double elapsed(tct_device_impl *device, tct_ticket begin, tct_ticket end) {
  (void)device;
  return (double)(int64_t)(end.count - begin.count) * 1e-9;
}

/* Yours: wait for both queues. An error of earlier work comes out here, with what failed: host->fail(TCT_…, "device …"). */
static tct_status sync_device(tct_device_impl *device) {
  (void)device;
  return TCT_OK;
}

/* Yours, and optional from here: copy within the device without the host, */
static tct_status copy(tct_device_impl *device, void *to, const void *from, size_t bytes) {
  return transfer(device, to, from, bytes);
}

/* and one queue waiting for a point of the other, without the host. */
static tct_status wait_for(tct_device_impl *device, tct_queue queue, tct_ticket ticket) {
  (void)device, (void)queue, (void)ticket;
  return TCT_OK;
}

/* What the device counted since it was opened; the runtime shows it beside the times. */
static int32_t counters(tct_device_impl *device, tct_counter *out, int32_t most) {
  if (most < 1) return 0;
  out[0] = (tct_counter){.name = "marks", .unit = "", .value = (double)(device->n_marks[TCT_QUEUE_COMPUTE] +
                                                                        device->n_marks[TCT_QUEUE_TRANSFER])};
  return 1;
}

/* Not offered: record, replay, drop (the step as one recorded graph; the runtime launches step by step) and own_kernels (a
 * table that depends on the opened device). */

/* Yours: other names, NULL-terminated. A name or alias that another backend has is refused. */
static const char *const aliases[] = {"skeleton", NULL};

/* The one symbol that a module exports. Look at given->abi before anything else of the host's table. */
__attribute__((visibility("default"))) const tct_backend *tct_backend_entry(const tct_host *given);
const tct_backend *tct_backend_entry(const tct_host *given) {
  static tct_backend backend = {
      .abi = TCT_BACKEND_ABI,
      .name = "template",
      .aliases = aliases,
      .probe = probe,
      .open = open_device,
      .close = close_device,
      .info = info,
      .alloc = alloc_memory,
      .free = free_memory,
      .upload = transfer,
      .download = transfer,
      .mark = mark,
      .reached = reached,
      .elapsed = elapsed,
      .sync = sync_device,
      .copy = copy,
      .wait = wait_for,
      .counters = counters,
  };
  if (given->abi != TCT_BACKEND_ABI) {
    (void)given->fail(TCT_UNSUPPORTED, "backend 'template': the host speaks version %u of the interface, this module %u",
                      (unsigned)given->abi, TCT_BACKEND_ABI);
    return NULL;
  }
  host = given;
  backend.kernels = tct_template_kernels;
  backend.n_kernels = tct_template_n_kernels;
  return &backend;
}
