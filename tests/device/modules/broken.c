/* Modules that a loader must refuse, one per BROKEN_…: each differs from a usable backend in one thing. */
#include <stdlib.h>
#include <string.h>
#include <tercet/backend.h>

#ifdef BROKEN_SYMBOL
#define ENTRY tct_backend_entry_under_another_name
#else
#define ENTRY tct_backend_entry
#endif
#ifdef BROKEN_NAME
#define NAME "ref"
#elif defined BROKEN_ALIAS
#define NAME "fine"
#else
#define NAME "broken"
#endif

#ifdef BROKEN_LINK
void tct_no_library_has_this(void);
#endif

static int32_t probe(char *why, size_t why_bytes) {
  if (why_bytes > 0) why[0] = '\0';
  return 1;
}
static tct_status open_device(const tct_open_options *options, tct_device_impl **out) {
  (void)options;
  *out = NULL;
  return TCT_UNAVAILABLE;
}
static void close_device(tct_device_impl *device) { (void)device; }
static void info(tct_device_impl *device, tct_device_info *out) {
  (void)device;
  memset(out, 0, sizeof *out);
}
static tct_status alloc_memory(tct_device_impl *device, size_t bytes, void **out) {
  (void)device, (void)bytes;
  *out = NULL;
  return TCT_OUT_OF_MEMORY;
}
static void free_memory(tct_device_impl *device, void *memory) { (void)device, (void)memory; }
static tct_status transfer(tct_device_impl *device, void *to, const void *from, size_t bytes) {
  (void)device, (void)to, (void)from, (void)bytes;
  return TCT_OK;
}
static tct_status mark(tct_device_impl *device, tct_queue queue, tct_ticket *out) {
  (void)device;
  *out = (tct_ticket){queue, 0};
  return TCT_OK;
}
static bool reached(tct_device_impl *device, tct_ticket ticket) {
  (void)device, (void)ticket;
  return true;
}
static double elapsed(tct_device_impl *device, tct_ticket begin, tct_ticket end) {
  (void)device, (void)begin, (void)end;
  return 0;
}
static tct_status sync_device(tct_device_impl *device) {
  (void)device;
  return TCT_OK;
}

__attribute__((visibility("default"))) const tct_backend *ENTRY(const tct_host *host);
const tct_backend *ENTRY(const tct_host *host) {
  static const char *const aliases[] = {
#ifdef BROKEN_ALIAS
      "reference",
#endif
      NULL};
  static const tct_kernel kernels[] = {{.op = "relu", .name = "relu.broken"}};
  static tct_backend backend = {.abi = TCT_BACKEND_ABI, .name = NAME, .aliases = aliases, .probe = probe,
                                .open = open_device, .close = close_device, .info = info, .alloc = alloc_memory,
                                .free = free_memory, .upload = transfer, .download = transfer, .mark = mark,
                                .reached = reached, .elapsed = elapsed, .sync = sync_device};
#ifdef BROKEN_ABI
  backend.abi = TCT_BACKEND_ABI + 6;
  backend.name = (const char *)(uintptr_t)8; /* of another version: not to be read */
#endif
#ifdef BROKEN_FUNCTION
  backend.elapsed = NULL;
#endif
#ifdef BROKEN_KERNEL
  backend.kernels = kernels;
  backend.n_kernels = 1;
#endif
  (void)kernels, (void)backend, (void)host;
#ifdef BROKEN_LINK
  tct_no_library_has_this();
#endif
#ifdef BROKEN_NULL
  return NULL;
#elif defined BROKEN_REFUSAL
  (void)host->fail(TCT_UNAVAILABLE, "the moon is in the wrong phase");
  return NULL;
#else
  return &backend;
#endif
}
