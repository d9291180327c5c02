/* The variables of one model on one device. */
#include <stdio.h>
#include <string.h>
#include "base/alloc.h"
#include "base/checked.h"
#include "base/desc.h"
#include "base/status.h"
#include "base/text.h"
#include "exec/exec.h"

enum { WORTH_THREADS = 4 << 20 }; /* bytes to be drawn */

tct_status tct_variables_create(tct_device *device, uint64_t seed, tct_variables **out) {
  *out = tct_alloc_zero(1, sizeof **out);
  if (*out == NULL) return TCT_OUT_OF_MEMORY;
  (*out)->device = device;
  (*out)->seed = seed;
  return TCT_OK;
}

void tct_variables_free(tct_variables *variables) {
  if (variables == NULL) return;
  for (int32_t s = 0; s < variables->n_slabs; s++) {
    variables->device->backend->free(variables->device->impl, variables->slabs[s]);
  }
  for (int32_t i = 0; i < variables->n; i++) tct_release(variables->entries[i].name);
  tct_release(variables->entries);
  tct_release(variables->slabs);
  tct_release(variables);
}

int32_t tct_variables_count(const tct_variables *variables) { return variables->n; }

const char *tct_variables_name(const tct_variables *variables, int32_t i) {
  return i >= 0 && i < variables->n ? variables->entries[i].name : NULL;
}

size_t tct_variables_bytes(const tct_variables *variables) { return variables->bytes; }

const tct_variable_entry *tct_variables_find(const tct_variables *variables, const char *name) {
  for (int32_t i = 0; i < variables->n; i++) {
    if (strcmp(variables->entries[i].name, name) == 0) return &variables->entries[i];
  }
  return NULL;
}

static tct_status find_or_fail(const tct_variables *variables, const char *name, const tct_variable_entry **out) {
  *out = tct_variables_find(variables, name);
  if (*out != NULL) return TCT_OK;
  const char **names = tct_alloc(((size_t)variables->n + 1) * sizeof *names);
  if (names == NULL) return TCT_OUT_OF_MEMORY;
  for (int32_t i = 0; i < variables->n; i++) names[i] = variables->entries[i].name;
  const char *near = tct_nearest(name, names, (size_t)variables->n);
  tct_release(names);
  return tct_fail(TCT_NOT_FOUND, "variable '%s' is not there%s%s%s", name, TCT_DID_YOU_MEAN(near));
}

tct_status tct_variables_desc(const tct_variables *variables, const char *name, tct_desc *out) {
  const tct_variable_entry *entry = NULL;
  TCT_TRY(find_or_fail(variables, name, &entry));
  *out = entry->desc;
  return TCT_OK;
}

static tct_status check_bytes(const tct_variable_entry *entry, size_t bytes) {
  char shape[160];
  if (bytes == entry->bytes) return TCT_OK;
  return tct_fail(TCT_E_VARIABLE, "variable '%s' is %s%s, %zu bytes; got %zu", entry->name,
                  tct_dtype_name(entry->desc.dtype), tct_shape_print(&entry->desc.shape, shape, sizeof shape),
                  entry->bytes, bytes);
}

tct_status tct_variables_read(tct_variables *variables, const char *name, void *data, size_t bytes) {
  const tct_variable_entry *entry = NULL;
  TCT_TRY(find_or_fail(variables, name, &entry));
  TCT_TRY(check_bytes(entry, bytes));
  tct_device *device = variables->device;
  TCT_TRY(device->backend->download(device->impl, data, entry->data, bytes));
  return device->backend->sync(device->impl);
}

tct_status tct_variables_write(tct_variables *variables, const char *name, const void *data, size_t bytes) {
  const tct_variable_entry *entry = NULL;
  TCT_TRY(find_or_fail(variables, name, &entry));
  TCT_TRY(check_bytes(entry, bytes));
  tct_device *device = variables->device;
  TCT_TRY(device->backend->upload(device->impl, entry->data, data, bytes));
  return device->backend->sync(device->impl);
}

static tct_status reserve(tct_variables *variables) {
  if (variables->n == variables->capacity) {
    const int32_t wider = variables->capacity == 0 ? 16 : variables->capacity * 2;
    tct_variable_entry *grown = tct_realloc(variables->entries, (size_t)variables->capacity * sizeof *grown,
                                            (size_t)wider * sizeof *grown);
    if (grown == NULL) return TCT_OUT_OF_MEMORY;
    variables->entries = grown;
    variables->capacity = wider;
  }
  if (variables->n_slabs == variables->cap_slabs) {
    const int32_t wider = variables->cap_slabs == 0 ? 8 : variables->cap_slabs * 2;
    void **grown = tct_realloc(variables->slabs, (size_t)variables->cap_slabs * sizeof *grown,
                               (size_t)wider * sizeof *grown);
    if (grown == NULL) return TCT_OUT_OF_MEMORY;
    variables->slabs = grown;
    variables->cap_slabs = wider;
  }
  return TCT_OK;
}

static tct_status add_entry(tct_variables *variables, const char *name, const tct_desc *desc) {
  TCT_TRY(reserve(variables));
  char *copy = tct_strdup(name);
  if (copy == NULL) return TCT_OUT_OF_MEMORY;
  const size_t bytes = tct_desc_bytes(desc);
  variables->entries[variables->n++] = (tct_variable_entry){copy, *desc, bytes, NULL};
  return TCT_OK;
}

static tct_status check_same(const tct_variable_entry *entry, const tct_desc *desc) {
  char has[160], wants[160];
  if (entry->desc.dtype == desc->dtype && tct_shape_equal(&entry->desc.shape, &desc->shape)) return TCT_OK;
  return tct_fail(TCT_E_VARIABLE, "variable '%s' is there as %s%s, the graph has it as %s%s", entry->name,
                  tct_dtype_name(entry->desc.dtype), tct_shape_print(&entry->desc.shape, has, sizeof has),
                  tct_dtype_name(desc->dtype), tct_shape_print(&desc->shape, wants, sizeof wants));
}

static tct_status initialize_entry(tct_variables *variables, const tct_variable_entry *entry, tct_init init, tct_pool *pool) {
  tct_device *device = variables->device;
  /* In place where the host can: a copy of the largest weight would stay in the process' memory. */
  if (device->info.host_memory) {
    TCT_TRY(device->backend->sync(device->impl));
    return tct_initialize(entry->name, &entry->desc, init, variables->seed, pool, entry->data);
  }
  void *data = tct_alloc(entry->bytes + 16);
  if (data == NULL) return TCT_OUT_OF_MEMORY;
  tct_status status = tct_initialize(entry->name, &entry->desc, init, variables->seed, pool, data);
  if (status == TCT_OK) status = device->backend->upload(device->impl, entry->data, data, entry->bytes);
  if (status == TCT_OK) status = device->backend->sync(device->impl);
  tct_release(data);
  return status;
}

/* Device memory for entries [from, n), in one slab. */
static tct_status allocate(tct_variables *variables, int32_t from) {
  tct_device *device = variables->device;
  const size_t alignment = device->info.alignment > 64 ? device->info.alignment : 64;
  size_t total = 0;
  for (int32_t i = from; i < variables->n; i++) {
    size_t bytes = 0;
    if (!tct_align_size(variables->entries[i].bytes, alignment, &bytes) || !tct_add_size(total, bytes, &total)) {
      return tct_fail(TCT_OUT_OF_MEMORY, "variable '%s': the sizes overflow", variables->entries[i].name);
    }
  }
  void *slab = NULL;
  if (device->backend->alloc(device->impl, total + alignment, &slab) != TCT_OK) {
    const tct_variable_entry *largest = &variables->entries[from];
    for (int32_t i = from; i < variables->n; i++)
      if (variables->entries[i].bytes > largest->bytes) largest = &variables->entries[i];
    return tct_context("allocating %zu bytes of variables (the largest: '%.60s' %.1f MiB)", total, largest->name,
                       (double)largest->bytes / (1 << 20));
  }
  variables->slabs[variables->n_slabs++] = slab;
  char *at = slab;
  for (int32_t i = from; i < variables->n; i++) {
    size_t bytes = 0;
    variables->entries[i].data = at;
    (void)tct_align_size(variables->entries[i].bytes, alignment, &bytes);
    at += bytes;
  }
  variables->bytes += total;
  return TCT_OK;
}

/* Entries [from, n). */
static tct_status initialize_all(tct_variables *variables, int32_t from, const tct_graph *graph, tct_pool *pool) {
  for (int32_t n = 0; n < graph->n_nodes; n++) {
    const tct_node *node = &graph->nodes[n];
    if (node->op != TCT_OP_variable) continue;
    const tct_variable_entry *entry = tct_variables_find(variables, node->name);
    TCT_ASSERT(entry != NULL);
    if (entry - variables->entries >= from) TCT_TRY(initialize_entry(variables, entry, node->init, pool));
  }
  return TCT_OK;
}

static tct_status add_all(tct_variables *variables, const tct_graph *graph) {
  const int32_t from = variables->n;
  const size_t before = variables->bytes;
  for (int32_t n = 0; n < graph->n_nodes; n++) {
    const tct_node *node = &graph->nodes[n];
    if (node->op != TCT_OP_variable) continue;
    const tct_desc *desc = &graph->values[node->out].desc;
    const tct_variable_entry *entry = tct_variables_find(variables, node->name);
    TCT_TRY(entry != NULL ? check_same(entry, desc) : add_entry(variables, node->name, desc));
  }
  if (variables->n == from) return TCT_OK;
  TCT_TRY(allocate(variables, from));
  tct_pool *pool = NULL;
  const tct_device_info *const info = &variables->device->info;
  if (variables->bytes - before >= WORTH_THREADS) TCT_TRY(tct_pool_create(info->host_memory ? info->n_threads : 0, &pool));
  const tct_status status = initialize_all(variables, from, graph, pool);
  tct_pool_free(pool);
  return status;
}

tct_status tct_variables_add(tct_variables *variables, const tct_graph *graph) {
  const int32_t from = variables->n, slabs = variables->n_slabs;
  const size_t bytes = variables->bytes;
  const tct_status status = add_all(variables, graph);
  if (status == TCT_OK) return TCT_OK;
  while (variables->n > from) tct_release(variables->entries[--variables->n].name);
  if (variables->n_slabs > slabs) {
    tct_device *device = variables->device;
    device->backend->free(device->impl, variables->slabs[--variables->n_slabs]);
  }
  variables->bytes = bytes;
  return status;
}
