/* The base of every dataset: its fields, its reference count, and the one place where reads are checked. */
#include "data/dataset.h"

#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/checked.h"
#include "base/status.h"

static tct_status check_field(const tct_field *fields, int32_t i, size_t *out_bytes) {
  const tct_field *const field = &fields[i];
  if (!field->name || !*field->name)
    return tct_fail(TCT_E_DATASET, "dataset: field %" PRId32 " has no name; give each field one, such as \"x\"", i);
  for (int32_t j = 0; j < i; j++)
    if (strcmp(fields[j].name, field->name) == 0)
      return tct_fail(TCT_E_DATASET, "dataset: fields %" PRId32 " and %" PRId32 " are both named '%s'", j, i,
                      field->name);
  const size_t element = tct_dtype_bytes(field->dtype);
  if (element == 0)
    return tct_fail(TCT_E_DATASET, "dataset field '%s': dtype %d is not one of tct_dtype", field->name,
                    (int)field->dtype);
  const bool rank_ok = field->shape.rank >= 0 && field->shape.rank <= TCT_MAX_RANK;
  const int64_t size = rank_ok ? tct_shape_size(&field->shape) : -1;
  if (size < 0 || !tct_mul_size((size_t)size, element, out_bytes))
    return tct_fail(TCT_E_SIZE,
                    "dataset field '%s': its shape (rank %" PRId32 ") has a negative extent, a rank over %d or "
                    "more bytes than memory can address",
                    field->name, field->shape.rank, TCT_MAX_RANK);
  return TCT_OK;
}

static tct_status copy_fields(tct_dataset *data, const tct_field *fields) {
  const size_t n = (size_t)data->n_fields;
  data->fields = tct_arena_copy(&data->arena, fields, n * sizeof *fields);
  data->sample_bytes = tct_arena_alloc(&data->arena, n * sizeof *data->sample_bytes);
  if (!data->fields || !data->sample_bytes) return TCT_OUT_OF_MEMORY;
  for (int32_t i = 0; i < data->n_fields; i++) {
    TCT_TRY(check_field(fields, i, &data->sample_bytes[i]));
    size_t all = 0;
    if (!tct_mul_size(data->sample_bytes[i], (size_t)data->n_samples, &all) && data->sample_bytes[i] != 0)
      return tct_fail(TCT_E_DATASET,
                      "dataset field '%s': %" PRId64 " samples of %zu bytes are more than memory can address",
                      fields[i].name, data->n_samples, data->sample_bytes[i]);
    data->fields[i].name = tct_arena_strdup(&data->arena, fields[i].name);
    if (!data->fields[i].name) return TCT_OUT_OF_MEMORY;
  }
  return TCT_OK;
}

tct_status tct_dataset_new(const tct_dataset_kind *kind, size_t bytes, int64_t n_samples, int32_t n_fields,
                           const tct_field *fields, tct_dataset *parent, tct_dataset **out) {
  *out = NULL;
  if (n_samples < 0) return tct_fail(TCT_E_SIZE, "dataset: %" PRId64 " samples; a count cannot be negative", n_samples);
  if (n_fields < 1 || n_fields > TCT_DATASET_MAX_FIELDS || !fields)
    return tct_fail(TCT_E_DATASET, "dataset: %" PRId32 " fields; needs 1 to %d", n_fields, TCT_DATASET_MAX_FIELDS);
  tct_dataset *const data = tct_alloc_zero(1, bytes);
  if (!data) return TCT_OUT_OF_MEMORY;
  atomic_init(&data->references, 1);
  data->n_samples = n_samples;
  data->n_fields = n_fields;
  const tct_status status = copy_fields(data, fields);
  if (status != TCT_OK) {
    tct_arena_free(&data->arena);
    tct_release(data);
    return status;
  }
  data->kind = kind;
  if (parent) {
    tct_dataset_retain(parent);
    data->parent = parent;
    data->naming = parent->naming;
  }
  *out = data;
  return TCT_OK;
}

void tct_dataset_retain(tct_dataset *data) {
  atomic_fetch_add_explicit(&data->references, 1, memory_order_relaxed);
}

tct_status tct_dataset_set_classes(tct_dataset *data, int32_t n, const char *const *names) {
  const char **const copies = tct_arena_alloc(&data->arena, (size_t)n * sizeof *copies);
  if (!copies) return TCT_OUT_OF_MEMORY;
  for (int32_t i = 0; i < n; i++) {
    copies[i] = tct_arena_strdup(&data->arena, names[i]);
    if (!copies[i]) return TCT_OUT_OF_MEMORY;
  }
  data->class_names = copies;
  data->n_classes = n;
  data->naming = data;
  return TCT_OK;
}

void tct_dataset_free(tct_dataset *data) {
  /* A chain of views is released by a loop, not by recursion: its length is the user's. */
  while (data && atomic_fetch_sub_explicit(&data->references, 1, memory_order_acq_rel) == 1) {
    tct_dataset *const parent = data->parent;
    if (data->kind->release) data->kind->release(data);
    tct_arena_free(&data->arena);
    tct_release(data);
    data = parent;
  }
}

int64_t tct_dataset_samples(const tct_dataset *data) {
  return data->n_samples;
}

int32_t tct_dataset_n_fields(const tct_dataset *data) {
  return data->n_fields;
}

const tct_field *tct_dataset_field(const tct_dataset *data, int32_t i) {
  return i >= 0 && i < data->n_fields ? &data->fields[i] : NULL;
}

int32_t tct_dataset_find(const tct_dataset *data, const char *name) {
  for (int32_t i = 0; i < data->n_fields; i++)
    if (strcmp(data->fields[i].name, name) == 0) return i;
  return -1;
}

int32_t tct_dataset_n_classes(const tct_dataset *data) {
  return data->naming ? data->naming->n_classes : 0;
}

const char *tct_dataset_class_name(const tct_dataset *data, int32_t class_id) {
  return class_id >= 0 && class_id < tct_dataset_n_classes(data) ? data->naming->class_names[class_id] : NULL;
}

int32_t tct_dataset_alphabet(const tct_dataset *data, unsigned char out[256]) {
  if (!data->naming) return 0;
  memcpy(out, data->naming->alphabet, (size_t)data->naming->n_alphabet);
  return data->naming->n_alphabet;
}

tct_status tct_dataset_read(const tct_dataset *data, const int64_t *index, int64_t n, void *const *out) {
  if (n < 0 || (n > 0 && !index) || !out)
    return tct_fail(TCT_E_DATASET,
                    "dataset read: n is %" PRId64 ", index or out is NULL; needs n indices and %" PRId32 " buffers", n,
                    data->n_fields);
  if (n == 0) return TCT_OK;
  for (int32_t f = 0; f < data->n_fields; f++)
    if (!out[f] && data->sample_bytes[f] > 0)
      return tct_fail(TCT_E_DATASET,
                      "dataset read: out[%" PRId32 "] (field '%s') is NULL; needs a buffer of %" PRId64 " × %zu bytes",
                      f, data->fields[f].name, n, data->sample_bytes[f]);
  for (int64_t i = 0; i < n; i++)
    if (index[i] < 0 || index[i] >= data->n_samples)
      return tct_fail(TCT_E_DATASET,
                      "dataset read: index[%" PRId64 "] is %" PRId64 ", the dataset has %" PRId64 " samples", i,
                      index[i], data->n_samples);
  return data->kind->read(data, index, n, out);
}
