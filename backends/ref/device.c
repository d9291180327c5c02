/* Device control of the reference: host memory and synchronous work. All that was enqueued is done when the call
 * returns, so a ticket is reached from the start and carries the wall time of its mark. */
#include <string.h>

#include "backends/ref/entry.h"
#include "backends/ref/kernels.h"

#define ALIGNMENT ((size_t)64)
#define N_MARKS   4096u

/* The process's seams, from the entry on. */
static const tct_host *host;

struct tct_device_impl {
  uint64_t n_marks[TCT_N_QUEUES];
  int64_t mark_ns[TCT_N_QUEUES][N_MARKS]; /* of mark number c, at c mod N_MARKS */
};

static int32_t probe(char *why, size_t why_bytes) {
  if (why_bytes > 0) why[0] = '\0';
  return 1;
}

static tct_status open_device(const tct_open_options *options, tct_device_impl **out) {
  *out = NULL;
  if (options->ordinal != 0)
    return host->fail(TCT_INVALID, "device 'ref': there is one, number 0; got number %d", (int)options->ordinal);
  if (options->options != NULL && options->options[0] != '\0')
    return host->fail(TCT_INVALID, "device 'ref': takes no options; got '%s'", options->options);
  tct_device_impl *device = host->alloc(sizeof *device, ALIGNMENT);
  if (device == NULL) return TCT_OUT_OF_MEMORY;
  memset(device, 0, sizeof *device);
  *out = device;
  return TCT_OK;
}

static void close_device(tct_device_impl *device) {
  if (device != NULL) host->release(device);
}

static void info(tct_device_impl *device, tct_device_info *out) {
  (void)device;
  *out = (tct_device_info){.name = "reference: naive loops in double, 1 thread",
                           .host_memory = true,
                           .n_threads = 1,
                           .alignment = ALIGNMENT};
}

static tct_status alloc_memory(tct_device_impl *device, size_t bytes, void **out) {
  (void)device;
  *out = host->alloc(bytes > 0 ? bytes : 1, ALIGNMENT);
  return *out != NULL ? TCT_OK : TCT_OUT_OF_MEMORY;
}

static void free_memory(tct_device_impl *device, void *memory) {
  (void)device;
  if (memory != NULL) host->release(memory);
}

static tct_status transfer(tct_device_impl *device, void *to, const void *from, size_t bytes) {
  (void)device;
  if (bytes > 0) memcpy(to, from, bytes);
  return TCT_OK;
}

static tct_status mark(tct_device_impl *device, tct_queue queue, tct_ticket *out) {
  const uint64_t count = device->n_marks[queue]++;
  device->mark_ns[queue][count % N_MARKS] = host->clock_ns();
  *out = (tct_ticket){.queue = queue, .count = count};
  return TCT_OK;
}

static bool reached(tct_device_impl *device, tct_ticket ticket) {
  (void)device, (void)ticket;
  return true;
}

/* Wall seconds. The times of the last N_MARKS marks of a queue are kept; 0 for a span that begins before them. */
static double elapsed(tct_device_impl *device, tct_ticket begin, tct_ticket end) {
  if (device->n_marks[begin.queue] - begin.count > N_MARKS) return 0.0;
  const int64_t *mark_ns = device->mark_ns[begin.queue];
  return (double)(mark_ns[end.count % N_MARKS] - mark_ns[begin.count % N_MARKS]) * 1e-9;
}

static tct_status sync_device(tct_device_impl *device) {
  (void)device;
  return TCT_OK;
}

/* All work is done before the call that enqueues it returns: no queue ever waits for another. */
static tct_status wait_for(tct_device_impl *device, tct_queue queue, tct_ticket ticket) {
  (void)device, (void)queue, (void)ticket;
  return TCT_OK;
}

static const char *const aliases[] = {"reference", NULL};

const tct_backend *tct_backend_entry_ref(const tct_host *given) {
  static tct_backend backend = {
      .abi = TCT_BACKEND_ABI,
      .name = "ref",
      .aliases = aliases,
      .kernels = tct_ref_kernels,
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
      .copy = transfer,
      .wait = wait_for,
  };
  if (given->abi != TCT_BACKEND_ABI) {
    (void)given->fail(TCT_UNSUPPORTED, "backend 'ref': host speaks ABI %u, needs %u; rebuild both from one version",
                      (unsigned)given->abi, TCT_BACKEND_ABI);
    return NULL;
  }
  host = given;
  backend.n_kernels = tct_ref_n_kernels;
  return &backend;
}
