/* The registry of backends: finding one by name, opening a device, choosing kernels. */
#include <stdio.h>
#include <string.h>
#include "base/alloc.h"
#include "base/env.h"
#include "base/status.h"
#include "base/text.h"
#include <tercet/op.h>
#include "device/device.h"
#include "device/modules.h"

static bool answers_to(const tct_backend *backend, const char *name, size_t length) {
  if (strlen(backend->name) == length && memcmp(backend->name, name, length) == 0) return true;
  for (const char *const *alias = backend->aliases; alias != NULL && *alias != NULL; alias++) {
    if (strlen(*alias) == length && memcmp(*alias, name, length) == 0) return true;
  }
  return false;
}

static tct_status unknown_device(const char *name, const tct_backend_row *rows, int32_t n_rows) {
  const char *known[16];
  char list[256] = "";
  size_t n_known = 0;
  for (int32_t i = 0; i < n_rows && n_known < TCT_COUNT_OF(known); i++) {
    if (rows[i].backend == NULL) continue;
    const size_t used = strlen(list);
    snprintf(list + used, sizeof list - used, "%s%s", used > 0 ? ", " : "", rows[i].name);
    known[n_known++] = rows[i].name;
  }
  /* A GPU is known, and no misspelt CPU: its module is what lacks. */
  const bool module = strcmp(name, "gpu") == 0 || strcmp(name, "cuda") == 0;
  const char *near = module ? NULL : tct_nearest(name, known, n_known);
  return tct_fail(TCT_E_UNKNOWN_DEVICE, "device '%s' is not known; this build has %s%s%s%s; others are modules: no libtercet-*.so in "
                  "TERCET_BACKEND_PATH or in tercet/ beside the library offers it", name, list, TCT_DID_YOU_MEAN(near));
}

static const tct_backend *backend_among(const tct_backend_row *rows, int32_t n_rows, const char *spec, size_t length) {
  for (int32_t i = 0; i < n_rows; i++) {
    if (rows[i].backend != NULL && answers_to(rows[i].backend, spec, length)) return rows[i].backend;
  }
  return NULL;
}

/* No module can take a linked backend's name, so that one of theirs needs no look at the modules. */
tct_status tct_find_backend(const char *spec, const tct_backend **out) {
  const size_t length = strcspn(spec, ":");
  int32_t n_rows = 0;
  const tct_backend_row *rows = tct_backend_linked_rows(&n_rows);
  *out = backend_among(rows, n_rows, spec, length);
  if (*out != NULL) return TCT_OK;
  rows = tct_backend_rows(&n_rows);
  *out = backend_among(rows, n_rows, spec, length);
  if (*out != NULL) return TCT_OK;
  char name[64];
  snprintf(name, sizeof name, "%.*s", (int)(length < 60 ? length : 60), spec);
  for (int32_t i = 0; i < n_rows; i++) {
    if (rows[i].backend == NULL && strcmp(rows[i].name, name) == 0)
      return tct_fail(TCT_E_MODULE, "device '%s' is not available: %s: %s", name, rows[i].origin, rows[i].why);
  }
  return unknown_device(name, rows, n_rows);
}

/* Kernels by op, keeping the table's order within an op. Rows of ops that this version does not know are ignored. */
static tct_status index_kernels(tct_device *device) {
  device->next = tct_alloc((device->n_kernels + 1) * sizeof *device->next);
  if (device->next == NULL) return TCT_OUT_OF_MEMORY;
  for (int32_t op = 0; op < TCT_N_OPS; op++) device->first[op] = -1;
  for (size_t k = device->n_kernels; k-- > 0;) {
    const tct_op op = tct_op_find(device->kernels[k].op);
    if ((int)op >= TCT_N_OPS) continue; /* a program's: found by its name */
    device->next[k] = device->first[op];
    if (op != TCT_OP_NONE) device->first[op] = (int32_t)k;
  }
  return TCT_OK;
}

static tct_status open_backend(const tct_backend *backend, const char *spec, const tct_device_options *options,
                               tct_device *device) {
  const char *text = spec[strcspn(spec, ":")] == ':' ? strchr(spec, ':') + 1 : "";
  int64_t ordinal = 0;
  if (tct_parse_i64(text, strlen(text), &ordinal)) text = "";
  char why[256] = "";
  const int32_t n_devices = backend->probe(why, sizeof why);
  if (n_devices <= 0) return tct_fail(TCT_E_NO_DEVICE, "device '%s' is not available: %s", spec, why);
  if (ordinal < 0 || ordinal >= n_devices) {
    return tct_fail(TCT_E_NO_DEVICE, "device '%s' is not here: there %s %d of the kind, numbered from 0", spec,
                    n_devices == 1 ? "is" : "are", n_devices);
  }
  const tct_open_options open_options = {.ordinal = (int32_t)ordinal,
                                         .n_threads = options != NULL ? options->n_threads : 0,
                                         .options = text,
                                         .nondeterministic = options != NULL && options->nondeterministic};
  if (open_options.n_threads < 0 || open_options.n_threads > 1024) {
    return tct_fail(TCT_E_DEVICE_OPTION, "device '%s': %d threads, needs 1 to 1024 (0: default)", spec,
                    open_options.n_threads);
  }
  device->backend = backend;
  snprintf(device->spec, sizeof device->spec, "%s", spec);
  TCT_TRY(backend->open(&open_options, &device->impl));
  backend->info(device->impl, &device->info);
  device->kernels = backend->kernels;
  device->n_kernels = backend->n_kernels;
  if (backend->own_kernels != NULL) backend->own_kernels(device->impl, &device->kernels, &device->n_kernels);
  return index_kernels(device);
}

tct_status tct_device_open(const char *spec, const tct_device_options *options, tct_device **out) {
  *out = NULL;
  if (spec == NULL || strlen(spec) >= sizeof(((tct_device *)0)->spec)) {
    return tct_fail(TCT_E_DEVICE_OPTION, "device: the name is missing or longer than %d characters", TCT_DEVICE_SPEC - 1);
  }
  const tct_backend *backend = NULL;
  TCT_TRY(tct_find_backend(spec, &backend));
  tct_device *device = tct_alloc_zero(1, sizeof *device);
  if (device == NULL) return TCT_OUT_OF_MEMORY;
  const tct_status status = open_backend(backend, spec, options, device);
  if (status != TCT_OK) {
    tct_device_close(device);
    return status;
  }
  *out = device;
  return TCT_OK;
}

void tct_device_close(tct_device *device) {
  if (device == NULL) return;
  tct_device_close(device->reference);
  if (device->impl != NULL) device->backend->close(device->impl);
  tct_release(device->next);
  tct_release(device);
}

const char *tct_device_spec(const tct_device *device) { return device->spec; }

void tct_device_describe(tct_device *device, tct_device_info *out) { *out = device->info; }

void tct_device_facts(tct_device *device, tct_fact_fn fn, void *user) {
  if (device->backend->facts != NULL) device->backend->facts(device->impl, fn, user);
}

int32_t tct_device_counters(tct_device *device, tct_counter *out, int32_t most) {
  return device->backend->counters != NULL ? device->backend->counters(device->impl, out, most) : 0;
}

tct_status tct_device_reference(tct_device *device, tct_device **out) {
  *out = device;
  if (strcmp(device->backend->name, "ref") == 0) return TCT_OK;
  if (device->reference == NULL) TCT_TRY(tct_device_open("ref", NULL, &device->reference));
  *out = device->reference;
  return TCT_OK;
}

bool tct_device_list(int32_t i, tct_device_kind *out) {
  *out = (tct_device_kind){0};
  int32_t n_rows = 0;
  const tct_backend_row *rows = tct_backend_rows(&n_rows);
  if (i < 0 || i >= n_rows) return false;
  const tct_backend *backend = rows[i].backend;
  out->name = rows[i].name;
  out->module = rows[i].origin;
  if (backend == NULL) {
    snprintf(out->why, sizeof out->why, "%s", rows[i].why);
    return true;
  }
  out->n_devices = backend->probe(out->why, sizeof out->why);
  if (out->n_devices <= 0) return true;
  tct_device *device = NULL;
  if (tct_device_open(backend->name, NULL, &device) == TCT_OK) {
    snprintf(out->description, sizeof out->description, "%s", device->info.name);
    tct_device_close(device);
  } else {
    out->n_devices = 0;
    snprintf(out->why, sizeof out->why, "%s", tct_error_message());
    tct_error_clear();
  }
  return true;
}

typedef struct kernel_search {
  const tct_node_view *node;
  const char *disabled;
  char *why;
  size_t why_bytes, used;
} kernel_search;

/* Whether the kernel takes the node; else its reason is added. */
static bool takes(kernel_search *search, const tct_kernel *kernel) {
  char reason[256] = "";
  if (tct_list_has(search->disabled, kernel->name)) {
    snprintf(reason, sizeof reason, "disabled by TERCET_DISABLE");
  } else if (kernel->supports == NULL || kernel->supports(search->node, reason, sizeof reason)) {
    return true;
  }
  if (reason[0] == '\0' || search->used >= search->why_bytes) return false;
  const int more = snprintf(search->why + search->used, search->why_bytes - search->used, "%s%s: %s",
                            search->used > 0 ? "; " : "", kernel->name, reason);
  search->used += more > 0 ? (size_t)more : 0;
  return false;
}

/* Of a registered op: the device's own (a decorator's, a module's), then what was registered for the backend. */
static const tct_kernel *find_custom(const tct_device *device, kernel_search *search) {
  for (size_t k = 0; k < device->n_kernels; k++) {
    const tct_kernel *kernel = &device->kernels[k];
    if (strcmp(kernel->op, search->node->op_name) == 0 && takes(search, kernel)) return kernel;
  }
  const tct_kernel *kernel = tct_op_kernel_of(search->node->op, device->backend->name);
  return kernel != NULL && takes(search, kernel) ? kernel : NULL;
}

const tct_kernel *tct_find_kernel(const tct_device *device, const tct_node_view *node, char *why, size_t why_bytes) {
  kernel_search search = {node, tct_env(TCT_ENV_DISABLE), why, why_bytes, 0};
  const tct_kernel *found = NULL;
  if (why_bytes > 0) why[0] = '\0';
  if ((int)node->op >= TCT_N_OPS) found = find_custom(device, &search);
  for (int32_t k = (int)node->op < TCT_N_OPS ? device->first[node->op] : -1; k >= 0 && found == NULL; k = device->next[k])
    if (takes(&search, &device->kernels[k])) found = &device->kernels[k];
  if (found == NULL && search.used == 0)
    snprintf(why, why_bytes, "%s has no kernel for %s%s", device->backend->name, node->op_name,
             tct_op_code_of(node->op, device->backend->name, NULL) != NULL ? ": it runs no device code, give it a launch function" : "");
  return found;
}

const tct_kernel *tct_find_next_kernel(const tct_device *device, const tct_node_view *node, const tct_kernel *after) {
  char why[256];
  kernel_search search = {node, tct_env(TCT_ENV_DISABLE), why, sizeof why, 0};
  if ((int)node->op >= TCT_N_OPS) return NULL;
  for (int32_t k = device->next[after - device->kernels]; k >= 0; k = device->next[k])
    if (takes(&search, &device->kernels[k])) return &device->kernels[k];
  return NULL;
}

bool tct_device_supports(tct_device *device, const tct_node_view *node, char *why, size_t why_bytes) {
  return tct_find_kernel(device, node, why, why_bytes) != NULL;
}
