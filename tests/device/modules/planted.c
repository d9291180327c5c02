/* A module whose kernels each break one rule of <tercet/backend.h>, for the check device to find: one op, one bug. Everything
 * else is as in the template. */
#include <string.h>
#include <tercet/backend.h>

static const tct_host *host;

struct tct_device_impl {
  int unused;
};

static int32_t probe(char *why, size_t why_bytes) {
  if (why_bytes > 0) why[0] = '\0';
  return 1;
}
static tct_status open_device(const tct_open_options *options, tct_device_impl **out) {
  (void)options;
  *out = host->alloc(sizeof **out, 64);
  return *out != NULL ? TCT_OK : TCT_OUT_OF_MEMORY;
}
static void close_device(tct_device_impl *device) { host->release(device); }
static void info(tct_device_impl *device, tct_device_info *out) {
  (void)device;
  *out = (tct_device_info){.name = "planted bugs", .host_memory = true, .n_threads = 1, .alignment = 64};
}
static tct_status alloc_memory(tct_device_impl *device, size_t bytes, void **out) {
  (void)device;
  *out = host->alloc(bytes + 1, 64);
  return *out != NULL ? TCT_OK : TCT_OUT_OF_MEMORY;
}
static void free_memory(tct_device_impl *device, void *memory) {
  (void)device;
  host->release(memory);
}
static tct_status transfer(tct_device_impl *device, void *to, const void *from, size_t bytes) {
  (void)device;
  memcpy(to, from, bytes);
  return TCT_OK;
}
static tct_status mark(tct_device_impl *device, tct_queue queue, tct_ticket *out) {
  (void)device;
  *out = (tct_ticket){queue, (uint64_t)host->clock_ns()};
  return TCT_OK;
}
static bool reached(tct_device_impl *device, tct_ticket ticket) {
  (void)device, (void)ticket;
  return true;
}
static double elapsed(tct_device_impl *device, tct_ticket begin, tct_ticket end) {
  (void)device;
  return (double)(end.count - begin.count) * 1e-9;
}
static tct_status sync_device(tct_device_impl *device) {
  (void)device;
  return TCT_OK;
}

static int64_t size_of(const tct_desc *desc) {
  int64_t n = 1;
  for (int32_t i = 0; i < desc->shape.rank; i++) n *= desc->shape.dim[i];
  return n;
}

/* What all of them do right: y = x + 1, f32. Returns the number of elements. */
static int64_t add_one(const tct_launch *launch) {
  const float *x = launch->in[0];
  float *y = launch->out[0];
  const int64_t n = size_of(&launch->node->out[0]);
  for (int64_t i = 0; i < n; i++) y[i] = x[i] + 1;
  return n;
}

static tct_status right(tct_device_impl *device, const tct_launch *launch) {
  (void)device;
  (void)add_one(launch);
  return TCT_OK;
}
static tct_status writes_behind(tct_device_impl *device, const tct_launch *launch) {
  (void)device;
  const int64_t n = add_one(launch);
  ((float *)launch->out[0])[n] = 1;
  return TCT_OK;
}
static tct_status writes_input(tct_device_impl *device, const tct_launch *launch) {
  (void)device;
  (void)add_one(launch);
  ((float *)launch->in[0])[2] = 7; /* was 3: bytes 10 and 11 change */
  return TCT_OK;
}
static tct_status accumulates(tct_device_impl *device, const tct_launch *launch) {
  (void)device;
  float *y = launch->out[0];
  for (int64_t i = 0; i < size_of(&launch->node->out[0]); i++) y[i] += ((const float *)launch->in[0])[i];
  return TCT_OK;
}
static tct_status forgets_last(tct_device_impl *device, const tct_launch *launch) {
  (void)device;
  const float *x = launch->in[0];
  float *y = launch->out[0];
  for (int64_t i = 0; i + 1 < size_of(&launch->node->out[0]); i++) y[i] = x[i];
  return TCT_OK;
}
static tct_status want_workspace(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  (void)device, (void)node;
  *out = (tct_prepared){.workspace_bytes = 32};
  return TCT_OK;
}
static tct_status reads_workspace(tct_device_impl *device, const tct_launch *launch) {
  (void)device;
  const int64_t n = add_one(launch);
  ((float *)launch->out[0])[n - 2] = ((const float *)launch->workspace)[1];
  return TCT_OK;
}
static tct_status overruns_workspace(tct_device_impl *device, const tct_launch *launch) {
  (void)device;
  (void)add_one(launch);
  memset(launch->workspace, 0, 36);
  return TCT_OK;
}

__attribute__((visibility("default"))) const tct_backend *tct_backend_entry(const tct_host *given);
const tct_backend *tct_backend_entry(const tct_host *given) {
  static const tct_kernel kernels[] = {
      {.op = "relu", .name = "relu.right", .launch = right},
      {.op = "exp", .name = "exp.writes_behind", .launch = writes_behind},
      {.op = "tanh", .name = "tanh.writes_input", .launch = writes_input},
      {.op = "square", .name = "square.accumulates", .launch = accumulates},
      {.op = "abs", .name = "abs.forgets_last", .launch = forgets_last},
      {.op = "sin", .name = "sin.reads_workspace", .prepare = want_workspace, .launch = reads_workspace},
      {.op = "cos", .name = "cos.overruns_workspace", .prepare = want_workspace, .launch = overruns_workspace},
  };
  static const tct_backend backend = {.abi = TCT_BACKEND_ABI, .name = "planted", .kernels = kernels,
                                      .n_kernels = sizeof kernels / sizeof kernels[0], .probe = probe,
                                      .open = open_device, .close = close_device, .info = info, .alloc = alloc_memory,
                                      .free = free_memory, .upload = transfer, .download = transfer, .mark = mark,
                                      .reached = reached, .elapsed = elapsed, .sync = sync_device};
  host = given;
  return &backend;
}
