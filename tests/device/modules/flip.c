/* A module that is the CPU device but for one bit: `flip:KERNEL#NODE#ELEMENT#BIT` flips that bit of that element of the first
 * result of that node where that kernel runs it. What `tercet shadow` has to find. */
#include <stdlib.h>
#include <string.h>
#include <tercet/backend.h>

static const tct_host *host;
static tct_backend flip; /* until a device is opened its functions say that there is one; then they are the CPU's */

static struct {
  char kernel[64], node[128];
  long element, bit;
  tct_status (*launch)(tct_device_impl *device, const tct_launch *launch);
} planted;
static tct_kernel kernels[1024];
static size_t n_kernels;

static tct_status launch_flipped(tct_device_impl *device, const tct_launch *launch) {
  const tct_status status = planted.launch(device, launch);
  if (status != TCT_OK || strcmp(launch->node->name, planted.node) != 0) return status;
  ((uint32_t *)launch->out[0])[planted.element] ^= UINT32_C(1) << planted.bit;
  return TCT_OK;
}

static int32_t probe(char *why, size_t why_bytes) {
  if (why_bytes > 0) why[0] = '\0';
  return 1;
}

/* Reads up to '#'; what stands behind it. */
static const char *word(const char *text, char *to, size_t size) {
  const size_t n = strcspn(text, "#"), kept = n < size ? n : size - 1;
  memcpy(to, text, kept);
  to[kept] = '\0';
  return text[n] == '#' ? text + n + 1 : text + n;
}

static void own_kernels(tct_device_impl *device, const tct_kernel **out, size_t *out_n) {
  (void)device;
  *out = kernels;
  *out_n = n_kernels;
}

static void wrap(const tct_backend *cpu) {
  planted.launch = NULL;
  for (n_kernels = 0; n_kernels < cpu->n_kernels && n_kernels < sizeof kernels / sizeof kernels[0]; n_kernels++) {
    kernels[n_kernels] = cpu->kernels[n_kernels];
    if (strcmp(kernels[n_kernels].name, planted.kernel) != 0) continue;
    planted.launch = kernels[n_kernels].launch;
    kernels[n_kernels].launch = launch_flipped;
  }
}

static tct_status open_device(const tct_open_options *options, tct_device_impl **out) {
  const tct_backend *cpu = NULL;
  char number[32];
  *out = NULL;
  const tct_status status = host->find_backend("cpu", &cpu);
  if (status != TCT_OK) return status;
  const char *rest = word(word(options->options, planted.kernel, sizeof planted.kernel), planted.node, sizeof planted.node);
  rest = word(rest, number, sizeof number);
  planted.element = strtol(number, NULL, 10);
  planted.bit = strtol(rest, NULL, 10);
  wrap(cpu);
  if (planted.launch == NULL) return host->fail(TCT_INVALID, "flip: the CPU has no kernel '%s'", planted.kernel);
  const tct_backend own = flip;
  flip = *cpu; /* its functions take the CPU's own device */
  flip.name = own.name;
  flip.aliases = NULL;
  flip.probe = own.probe;
  flip.open = own.open;
  flip.own_kernels = own_kernels;
  const tct_open_options plain = {.n_threads = options->n_threads, .options = ""};
  return cpu->open(&plain, out);
}

/* Never called before a device is opened. */
static void no_device(tct_device_impl *device) { (void)device; }
static void no_info(tct_device_impl *device, tct_device_info *out) {
  (void)device;
  *out = (tct_device_info){.name = ""};
}
static tct_status no_alloc(tct_device_impl *device, size_t bytes, void **out) {
  (void)device, (void)bytes;
  *out = NULL;
  return TCT_INTERNAL;
}
static void no_free(tct_device_impl *device, void *memory) { (void)device, (void)memory; }
static tct_status no_transfer(tct_device_impl *device, void *to, const void *from, size_t bytes) {
  (void)device, (void)to, (void)from, (void)bytes;
  return TCT_INTERNAL;
}
static tct_status no_mark(tct_device_impl *device, tct_queue queue, tct_ticket *out) {
  (void)device, (void)queue;
  *out = (tct_ticket){0};
  return TCT_INTERNAL;
}
static bool no_reached(tct_device_impl *device, tct_ticket ticket) {
  (void)device, (void)ticket;
  return false;
}
static double no_elapsed(tct_device_impl *device, tct_ticket begin, tct_ticket end) {
  (void)device, (void)begin, (void)end;
  return 0;
}
static tct_status no_sync(tct_device_impl *device) {
  (void)device;
  return TCT_INTERNAL;
}
static tct_status no_launch(tct_device_impl *device, const tct_launch *launch) {
  (void)device, (void)launch;
  return TCT_INTERNAL;
}

__attribute__((visibility("default"))) const tct_backend *tct_backend_entry(const tct_host *given);
const tct_backend *tct_backend_entry(const tct_host *given) {
  static const tct_kernel none[] = {{.op = "relu", .name = "relu.none", .launch = no_launch}};
  host = given;
  flip = (tct_backend){.abi = TCT_BACKEND_ABI, .name = "flip", .kernels = none, .n_kernels = 1, .probe = probe, .open = open_device,
                       .close = no_device, .info = no_info, .alloc = no_alloc, .free = no_free, .upload = no_transfer,
                       .download = no_transfer, .mark = no_mark, .reached = no_reached, .elapsed = no_elapsed, .sync = no_sync};
  return &flip;
}
