/* A kernel under watch. Before it runs, its outputs and its workspace are filled with NaN and every buffer of the device is
 * copied; after it, nothing but its outputs, its workspace and an update's states may differ, and no float of an output may
 * still hold the fill. What is found is an error with the kernel, the operand and the byte. */
#include <stdio.h>
#include <string.h>

#include "backends/check/device.h"

/* What a watched step keeps: the state of the kernel inside, and where its workspace ends. */
typedef struct watched {
  const tct_kernel *kernel; /* the one inside; process lifetime */
  void *state;              /* its own */
  size_t workspace_bytes;   /* its own, without canaries; 0: none */
} watched;

/* Bytes that a launch may write. */
typedef struct range {
  uintptr_t begin, end;
} range;
enum { MOST_RANGES = 40 };

typedef struct permit {
  range at[MOST_RANGES];
  int32_t n;
} permit;

static size_t dtype_bytes(tct_dtype dtype) {
  switch (dtype) {
  case TCT_F64:
  case TCT_I64: return 8;
  case TCT_F32:
  case TCT_I32: return 4;
  case TCT_BF16:
  case TCT_F16: return 2;
  default: return 1;
  }
}

static bool is_float(tct_dtype dtype) {
  return dtype == TCT_F32 || dtype == TCT_F64 || dtype == TCT_BF16 || dtype == TCT_F16;
}

static size_t desc_bytes(const tct_desc *desc) {
  size_t n = dtype_bytes(desc->dtype);
  for (int32_t i = 0; i < desc->shape.rank; i++) n *= (size_t)desc->shape.dim[i];
  return n;
}

/* Leading inputs that the node writes: an update's states. */
static int32_t states_of(const tct_node_view *node) {
#define KIND_SOURCE false
#define KIND_VIEW   false
#define KIND_CHAIN  false
#define KIND_PLAIN  false
#define KIND_UPDATE true
  static const struct {
    const char *name;
    bool update;
  } ops[] = {
#define OP(op_name, attrs, min_in, max_in, n_out, flags) {#op_name, KIND_##flags},
#include <tercet/ops.def>
#undef OP
  };
#undef KIND_SOURCE
#undef KIND_VIEW
#undef KIND_CHAIN
#undef KIND_PLAIN
#undef KIND_UPDATE
  for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
    if (ops[i].update && strcmp(ops[i].name, node->op_name) == 0) return ((const tct_update_attrs *)node->attrs)->n_state;
  }
  return 0;
}

static tct_status found(const tct_device_impl *device, const tct_kernel *kernel, const tct_node_view *node, const char *what) {
  return device->host->fail(TCT_INTERNAL, "check: kernel %s of step '%s' %s", kernel->name, node->name, what);
}

/* ---- floats that hold the fill ---- */

/* The first element of the float tensor whose bytes are all CHECK_FILL; -1: none. `status` is the transfer's. */
static int64_t first_filled(tct_device_impl *device, const tct_desc *desc, const void *data, tct_status *status) {
  const size_t size = dtype_bytes(desc->dtype), bytes = desc_bytes(desc);
  for (size_t at = 0; at < bytes; at += CHECK_CHUNK) {
    const size_t n = bytes - at < CHECK_CHUNK ? bytes - at : CHECK_CHUNK;
    *status = tct_check_read(device, device->chunk, (const char *)data + at, n);
    if (*status != TCT_OK) return -1;
    for (size_t i = 0; i < n; i += size) {
      static const unsigned char fill[8] = {CHECK_FILL, CHECK_FILL, CHECK_FILL, CHECK_FILL,
                                            CHECK_FILL, CHECK_FILL, CHECK_FILL, CHECK_FILL};
      if (memcmp(device->chunk + i, fill, size) == 0) return (int64_t)((at + i) / size);
    }
  }
  return -1;
}

/* Inputs (or outputs) that hold the fill are an error: nobody wrote them, or they were computed from what nobody wrote. */
static tct_status refuse_filled(tct_device_impl *device, const tct_kernel *kernel, const tct_launch *launch, bool outputs) {
  const tct_node_view *node = launch->node;
  for (int32_t i = 0; i < (outputs ? node->n_out : node->n_in); i++) {
    const tct_desc *desc = outputs ? &node->out[i] : &node->in[i];
    tct_status status = TCT_OK;
    if (!is_float(desc->dtype)) continue;
    const int64_t element = first_filled(device, desc, outputs ? launch->out[i] : launch->in[i], &status);
    if (status != TCT_OK) return status;
    if (element < 0) continue;
    char what[200];
    snprintf(what, sizeof what,
             outputs ? "left output %d unwritten at element %lld (byte %lld), or computed it from memory never written"
                     : "reads input %d, never written at element %lld (byte %lld)",
             (int)i, (long long)element, (long long)element * (long long)dtype_bytes(desc->dtype));
    return found(device, kernel, node, what);
  }
  return TCT_OK;
}

/* ---- what may be written ---- */

static void allow(permit *p, const void *data, size_t bytes) {
  if (p->n < MOST_RANGES) p->at[p->n++] = (range){(uintptr_t)data, (uintptr_t)data + bytes};
}

/* The end of the permitted range that holds the address; 0: it is in none. */
static uintptr_t allowed_until(const permit *p, uintptr_t address) {
  for (int32_t i = 0; i < p->n; i++) {
    if (address >= p->at[i].begin && address < p->at[i].end) return p->at[i].end;
  }
  return 0;
}

static bool shares_an_input(const tct_launch *launch, int32_t output) {
  const char *const begin = launch->out[output], *const end = begin + desc_bytes(&launch->node->out[output]);
  for (int32_t i = 0; i < launch->node->n_in; i++) {
    const char *const in = launch->in[i];
    if (in < end && in + desc_bytes(&launch->node->in[i]) > begin) return true;
  }
  return false;
}

/* Names the operand in or beside which the byte lies. */
static tct_status report_write(tct_device_impl *device, const watched *w, const tct_launch *launch, const char *workspace,
                               const check_buffer *buffer, size_t at) {
  const tct_node_view *node = launch->node;
  const char *const address = buffer->base + at;
  const long long offset = (long long)at - (long long)device->pad;
  char what[240];
  for (int32_t i = 0; i < node->n_in; i++) {
    const char *const in = launch->in[i];
    if (address < in || address >= in + desc_bytes(&node->in[i])) continue;
    snprintf(what, sizeof what, "writes its input %d, at byte %lld", (int)i, (long long)(address - in));
    return found(device, w->kernel, node, what);
  }
  for (int32_t o = 0; o < node->n_out; o++) {
    const char *const out = launch->out[o];
    const long long to = (long long)(address - out), bytes = (long long)desc_bytes(&node->out[o]);
    if (to < -(long long)CHECK_CANARY_BYTES || to >= bytes + (long long)CHECK_CANARY_BYTES) continue;
    snprintf(what, sizeof what, "writes outside its output %d of %lld bytes, at byte %lld", (int)o, bytes, to);
    return found(device, w->kernel, node, what);
  }
  const long long to = (long long)(address - workspace);
  if (w->workspace_bytes > 0 && to >= -(long long)CHECK_CANARY_BYTES &&
      to < (long long)w->workspace_bytes + (long long)CHECK_CANARY_BYTES) {
    snprintf(what, sizeof what, "writes outside its workspace of %zu bytes, at byte %lld", w->workspace_bytes, to);
    return found(device, w->kernel, node, what);
  }
  snprintf(what, sizeof what, "writes memory that is not its own, at byte %lld of a buffer of %zu bytes", offset,
           buffer->bytes);
  return found(device, w->kernel, node, what);
}

static tct_status compare(tct_device_impl *device, const watched *w, const tct_launch *launch, const char *workspace,
                          const permit *permitted) {
  for (const check_buffer *b = device->buffers; b != NULL; b = b->next) {
    bool changed = true;
    for (size_t at = 0; changed;) {
      const tct_status status = tct_check_changed(device, b, &at, &changed);
      if (status != TCT_OK) return status;
      if (!changed) break;
      const uintptr_t until = allowed_until(permitted, (uintptr_t)b->base + at);
      if (until == 0) return report_write(device, w, launch, workspace, b, at);
      at = (size_t)(until - (uintptr_t)b->base);
    }
  }
  return TCT_OK;
}

/* ---- the four functions of a wrapped kernel ---- */

static tct_status prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  const tct_kernel *inner = &device->inner_kernels[out->kernel - device->kernels];
  watched *w = device->host->alloc(sizeof *w, 64);
  if (w == NULL) return TCT_OUT_OF_MEMORY;
  tct_prepared prepared = {.kernel = inner};
  if (inner->prepare != NULL) {
    const tct_status status = inner->prepare(device->impl, node, &prepared);
    if (status != TCT_OK) {
      device->host->release(w);
      return status;
    }
  }
  *w = (watched){.kernel = inner, .state = prepared.state, .workspace_bytes = prepared.workspace_bytes};
  out->state = w;
  out->workspace_bytes = w->workspace_bytes > 0 ? w->workspace_bytes + 2 * device->pad : 0;
  return TCT_OK;
}

/* Every operand lies in a buffer; outputs, workspace and states are what may be written. */
static tct_status look_at_operands(tct_device_impl *device, const watched *w, const tct_launch *launch, char *workspace,
                                   permit *permitted) {
  const tct_node_view *node = launch->node;
  for (int32_t i = 0; i < node->n_in + node->n_out; i++) {
    const bool in = i < node->n_in;
    const int32_t k = in ? i : i - node->n_in;
    const size_t bytes = desc_bytes(in ? &node->in[k] : &node->out[k]);
    if (tct_check_find(device, in ? launch->in[k] : launch->out[k], bytes) != NULL) continue;
    char what[100];
    snprintf(what, sizeof what, "is given %s %d outside every buffer of the device", in ? "input" : "output", (int)k);
    return found(device, w->kernel, node, what);
  }
  for (int32_t i = 0; i < states_of(node); i++) allow(permitted, launch->in[i], desc_bytes(&node->in[i]));
  for (int32_t o = 0; o < node->n_out; o++) allow(permitted, launch->out[o], desc_bytes(&node->out[o]));
  if (w->workspace_bytes > 0) allow(permitted, workspace, w->workspace_bytes);
  return TCT_OK;
}

static tct_status fill_results(tct_device_impl *device, const watched *w, const tct_launch *launch, char *workspace) {
  tct_status status = TCT_OK;
  for (int32_t o = 0; status == TCT_OK && o < launch->node->n_out; o++) {
    if (!shares_an_input(launch, o)) status = tct_check_fill(device, launch->out[o], CHECK_FILL, desc_bytes(&launch->node->out[o]));
  }
  if (status != TCT_OK || w->workspace_bytes == 0) return status;
  status = tct_check_fill(device, workspace - device->pad, CHECK_CANARY, w->workspace_bytes + 2 * device->pad);
  return status != TCT_OK ? status : tct_check_fill(device, workspace, CHECK_FILL, w->workspace_bytes);
}

static tct_status launch_watched(tct_device_impl *device, const tct_launch *launch) {
  const watched *w = launch->state;
  char *workspace = w->workspace_bytes > 0 ? (char *)launch->workspace + device->pad : launch->workspace;
  const tct_launch inside = {launch->node, launch->in, launch->out, workspace, w->state};
  permit permitted = {.n = 0};
  tct_status status = look_at_operands(device, w, launch, workspace, &permitted);
  if (status == TCT_OK) status = refuse_filled(device, w->kernel, launch, false);
  if (status == TCT_OK) status = fill_results(device, w, launch, workspace);
  if (status == TCT_OK) status = tct_check_snapshot(device);
  if (status == TCT_OK) status = w->kernel->launch(device->impl, &inside);
  if (status == TCT_OK) status = device->inner->sync(device->impl);
  if (status == TCT_OK) status = compare(device, w, launch, workspace, &permitted);
  return status != TCT_OK ? status : refuse_filled(device, w->kernel, launch, true);
}

int32_t tct_check_step_counters(tct_device_impl *device, const void *state, tct_counter *out, int32_t most) {
  const watched *w = state;
  return device->inner->step_counters != NULL ? device->inner->step_counters(device->impl, w->state, out, most) : 0;
}

void tct_check_step_listing(tct_device_impl *device, const void *state, tct_line_fn line, void *user) {
  const watched *w = state;
  if (device->inner->step_listing != NULL) device->inner->step_listing(device->impl, w->state, line, user);
}

static void release(tct_device_impl *device, void *state) {
  const watched *w = state;
  if (w == NULL) return;
  if (w->kernel->release != NULL) w->kernel->release(device->impl, w->state);
  device->host->release(state);
}

tct_status tct_check_wrap_kernels(tct_device_impl *device) {
  device->inner_kernels = device->inner->kernels;
  device->n_kernels = device->inner->n_kernels;
  if (device->inner->own_kernels != NULL)
    device->inner->own_kernels(device->impl, &device->inner_kernels, &device->n_kernels);
  const tct_kernel *const own = device->inner_kernels;
  const size_t n_own = device->n_kernels;
  while (device->host->custom_kernel(device->inner->name, (int32_t)(device->n_kernels - n_own)) != NULL) device->n_kernels++;
  device->kernels = device->host->alloc((2 * device->n_kernels + 1) * sizeof *device->kernels, 64);
  if (device->kernels == NULL) return TCT_OUT_OF_MEMORY;
  tct_kernel *const copies = device->kernels + device->n_kernels;
  device->inner_kernels = copies;
  for (size_t k = 0; k < device->n_kernels; k++) {
    copies[k] = k < n_own ? own[k] : *device->host->custom_kernel(device->inner->name, (int32_t)(k - n_own));
    const tct_kernel *inner = &copies[k];
    device->kernels[k] = (tct_kernel){.op = inner->op,
                                      .name = inner->name,
                                      .in_place = inner->in_place,
                                      .supports = inner->supports,
                                      .prepare = prepare,
                                      .launch = launch_watched,
                                      .release = release};
  }
  return TCT_OK;
}
