/* safetensors (github.com/huggingface/safetensors): what is written here is read by every other tool, and what is read
 * here comes from strangers: nothing in the header is believed before it is checked against the file's size. */
#include "io/safetensors.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/arena.h"
#include "base/checked.h"
#include "base/file.h"
#include "base/status.h"
#include "io/web_page.h"
#include "base/text.h"
#include "io/json.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "files are little-endian and copied as they are");

#define MOST_BYTES   ((size_t)1 << 40)
#define MOST_HEADER  ((size_t)100 * 1000 * 1000)
#define LENGTH_BYTES 8

static const char *const dtype_words[TCT_N_DTYPES] = {
    [TCT_F32] = "F32", [TCT_F64] = "F64",   [TCT_I32] = "I32",   [TCT_I64] = "I64",
    [TCT_U8] = "U8",   [TCT_BOOL] = "BOOL", [TCT_BF16] = "BF16", [TCT_F16] = "F16",
    [TCT_I8] = "I8",
};

struct tct_safetensors {
  void *file; /* owned: the whole file; arrays point into it */
  size_t file_bytes;
  tct_arena arena;
  size_t n_arrays, n_metadata;
  tct_named_array *arrays; /* [n_arrays] in the order of their data */
  const tct_named_array **by_name;
  tct_named_text *metadata;
  void **aligned; /* [n_arrays]; copies of arrays that lie unaligned in the file, else NULL; owned */
};

/* One entry of the header while it is checked. */
typedef struct entry {
  tct_named_array array;
  size_t begin, end, order;
} entry;

/* ---- reading ---------------------------------------------------------------------------------------- */

static tct_status parse_dtype(const char *path, const char *name, const json_t *value, tct_dtype *out) {
  const char *const word = json_string_value(value);
  for (int d = 0; word && d < TCT_N_DTYPES; d++) {
    if (!dtype_words[d] || strcmp(word, dtype_words[d]) != 0) continue;
    *out = (tct_dtype)d;
    return TCT_OK;
  }
  return tct_fail(TCT_E_SAFETENSORS,
                  "%s: tensor '%s' has dtype '%s', needs one of F32 F64 I32 I64 I8 U8 BOOL BF16 F16; convert it", path,
                  name, word ? word : "(not a string)");
}

static tct_status parse_shape(const char *path, const char *name, const json_t *value, tct_shape *out) {
  if (json_typeof(value) != JSON_ARRAY || json_array_size(value) > TCT_MAX_RANK)
    return tct_fail(TCT_E_SAFETENSORS, "%s: tensor '%s': its shape is not a list of at most %d extents", path, name,
                    TCT_MAX_RANK);
  *out = (tct_shape){.rank = (int32_t)json_array_size(value), .dim = {0}};
  for (int32_t i = 0; i < out->rank; i++) {
    const json_t *const extent = json_array_get(value, (size_t)i);
    if (json_typeof(extent) != JSON_INTEGER || json_integer_value(extent) < 0)
      return tct_fail(TCT_E_SAFETENSORS, "%s: tensor '%s': extent %" PRId32 " of its shape is not a whole number >= 0",
                      path, name, i);
    out->dim[i] = json_integer_value(extent);
  }
  return TCT_OK;
}

static tct_status parse_offsets(const char *path, const char *name, const json_t *value, size_t data_bytes,
                                entry *out) {
  const json_t *const begin = json_array_get(value, 0), *const end = json_array_get(value, 1);
  if (json_array_size(value) != 2 || json_typeof(begin) != JSON_INTEGER || json_typeof(end) != JSON_INTEGER ||
      json_integer_value(begin) < 0 || json_integer_value(end) < json_integer_value(begin) ||
      (uint64_t)json_integer_value(end) > data_bytes)
    return tct_fail(TCT_E_SAFETENSORS,
                    "%s: tensor '%s': its data_offsets are not [begin, end] within the %zu bytes of data; the "
                    "file is cut short or damaged",
                    path, name, data_bytes);
  out->begin = (size_t)json_integer_value(begin);
  out->end = (size_t)json_integer_value(end);
  return TCT_OK;
}

static tct_status parse_entry(const char *path, const char *name, const json_t *value, size_t data_bytes, entry *out) {
  const json_t *const dtype = json_object_get(value, "dtype"), *const shape = json_object_get(value, "shape");
  const json_t *const offsets = json_object_get(value, "data_offsets");
  if (json_object_size(value) != 3 || !dtype || !shape || !offsets) /* of what is no object the size is 0 */
    return tct_fail(TCT_E_SAFETENSORS, "%s: tensor '%s' needs exactly the keys dtype, shape and data_offsets", path,
                    name);
  tct_desc *const desc = &out->array.desc;
  TCT_TRY(parse_dtype(path, name, dtype, &desc->dtype));
  TCT_TRY(parse_shape(path, name, shape, &desc->shape));
  TCT_TRY(parse_offsets(path, name, offsets, data_bytes, out));
  const int64_t size = tct_shape_size(&desc->shape);
  size_t bytes = 0;
  char text[160];
  if (size < 0 || !tct_mul_size((size_t)size, tct_dtype_bytes(desc->dtype), &bytes) || bytes != out->end - out->begin)
    return tct_fail(
        TCT_E_SAFETENSORS, "%s: tensor '%s' is %s of %s, its data_offsets span %zu bytes; the two must agree", path,
        name, tct_shape_print(&desc->shape, text, sizeof text), tct_dtype_name(desc->dtype), out->end - out->begin);
  return TCT_OK;
}

static tct_status parse_metadata(tct_safetensors *self, const char *path, json_t *object) {
  if (json_typeof(object) != JSON_OBJECT) return tct_fail(TCT_E_SAFETENSORS, "%s: __metadata__ is not an object of strings", path);
  self->metadata = tct_arena_alloc(&self->arena, json_object_size(object) * sizeof *self->metadata);
  if (!self->metadata) return TCT_OUT_OF_MEMORY;
  const char *key = NULL;
  json_t *value = NULL;
  json_object_foreach(object, key, value) {
    if (json_typeof(value) != JSON_STRING) return tct_fail(TCT_E_SAFETENSORS, "%s: __metadata__ '%s' is not a string", path, key);
    tct_named_text *const text = &self->metadata[self->n_metadata];
    text->key = tct_arena_strdup(&self->arena, key);
    text->value = tct_arena_strdup(&self->arena, json_string_value(value));
    if (!text->key || !text->value) return TCT_OUT_OF_MEMORY;
    self->n_metadata++;
  }
  return TCT_OK;
}

static int by_begin(const void *a, const void *b) {
  const entry *const x = a, *const y = b;
  if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
  if (x->end != y->end) return x->end < y->end ? -1 : 1;
  return (x->order > y->order) - (x->order < y->order);
}

static int by_name(const void *a, const void *b) {
  return strcmp((*(const tct_named_array *const *)a)->name, (*(const tct_named_array *const *)b)->name);
}

/* The tensors must tile the data: each byte belongs to exactly one. */
static tct_status check_tiling(const char *path, const entry *entries, size_t n, size_t data_bytes) {
  size_t at = 0;
  for (size_t i = 0; i < n; i++) {
    if (entries[i].begin != at)
      return tct_fail(TCT_E_SAFETENSORS, "%s: tensor '%s' begins at byte %zu, the one before it ends at %zu; %s", path,
                      entries[i].array.name, entries[i].begin, at,
                      entries[i].begin < at ? "tensors must not overlap" : "no gap may be left");
    at = entries[i].end;
  }
  if (at != data_bytes)
    return tct_fail(TCT_E_SAFETENSORS, "%s: the tensors end at byte %zu, the data at %zu; no bytes may be left over",
                    path, at, data_bytes);
  return TCT_OK;
}

static tct_status check_bools(const char *path, const tct_named_array *array) {
  const unsigned char *const bytes = array->data;
  const int64_t n = tct_shape_size(&array->desc.shape);
  for (int64_t i = 0; i < n; i++)
    if (bytes[i] > 1)
      return tct_fail(TCT_E_SAFETENSORS, "%s: tensor '%s': element %" PRId64 " is byte %d, a BOOL needs 0 or 1", path,
                      array->name, i, bytes[i]);
  return TCT_OK;
}

/* Points each array at its bytes; those that would lie unaligned for their dtype get a copy of their own. */
static tct_status place_arrays(tct_safetensors *self, const char *path, const entry *entries, const char *data) {
  for (size_t i = 0; i < self->n_arrays; i++) {
    tct_named_array *const array = &self->arrays[i];
    *array = entries[i].array;
    array->data = data + entries[i].begin;
    const size_t bytes = entries[i].end - entries[i].begin;
    if ((uintptr_t)array->data % tct_dtype_bytes(array->desc.dtype) != 0) {
      self->aligned[i] = tct_alloc(bytes);
      if (!self->aligned[i]) return TCT_OUT_OF_MEMORY;
      memcpy(self->aligned[i], array->data, bytes);
      array->data = self->aligned[i];
    }
    if (array->desc.dtype == TCT_BOOL) TCT_TRY(check_bools(path, array));
    self->by_name[i] = array;
  }
  qsort(self->by_name, self->n_arrays, sizeof(const tct_named_array *), by_name);
  return TCT_OK;
}

static tct_status parse_entries(tct_safetensors *self, const char *path, json_t *header, entry *entries,
                                const char *data, size_t data_bytes) {
  const char *key = NULL;
  json_t *value = NULL;
  size_t n = 0;
  json_object_foreach(header, key, value) {
    if (strcmp(key, "__metadata__") == 0) {
      TCT_TRY(parse_metadata(self, path, value));
      continue;
    }
    entries[n].array.name = tct_arena_strdup(&self->arena, key);
    if (!entries[n].array.name) return TCT_OUT_OF_MEMORY;
    entries[n].order = n;
    TCT_TRY(parse_entry(path, key, value, data_bytes, &entries[n]));
    n++;
  }
  if (n > 0) qsort(entries, n, sizeof *entries, by_begin);
  TCT_TRY(check_tiling(path, entries, n, data_bytes));
  self->arrays = tct_arena_alloc(&self->arena, n * sizeof *self->arrays);
  self->by_name = tct_arena_alloc(&self->arena, n * sizeof *self->by_name);
  self->aligned = tct_arena_alloc(&self->arena, n * sizeof *self->aligned);
  if (!self->arrays || !self->by_name || !self->aligned) return TCT_OUT_OF_MEMORY;
  self->n_arrays = n;
  return place_arrays(self, path, entries, data);
}

/* Checks the length field and parses the header that it frames. */
static tct_status parse_header(const char *path, const unsigned char *file, size_t n, size_t *out_bytes, json_t **out) {
  uint64_t length = 0;
  TCT_TRY(tct_refuse_web_page(path, file, n, "a safetensors file"));
  for (size_t i = 0; i < LENGTH_BYTES && i < n; i++) length |= (uint64_t)file[i] << (8 * i);
  if (n < LENGTH_BYTES || length > n - LENGTH_BYTES)
    return tct_fail(TCT_E_SAFETENSORS,
                    "%s: has %zu bytes, its header alone would take %" PRIu64 "; it is cut short or no "
                    "safetensors file",
                    path, n, length);
  if (length > MOST_HEADER)
    return tct_fail(TCT_E_SAFETENSORS, "%s: its header takes %" PRIu64 " bytes, the format allows %zu", path, length,
                    MOST_HEADER);
  const char *const text = (const char *)file + LENGTH_BYTES;
  json_error_t error;
  bool ran_out = false;
  if (length == 0 || text[0] != '{')
    return tct_fail(TCT_E_SAFETENSORS, "%s: its header does not begin with '{'; it is no safetensors file", path);
  *out = tct_json_parse(text, (size_t)length, JSON_REJECT_DUPLICATES, &error, &ran_out);
  if (ran_out)
    return tct_fail(TCT_OUT_OF_MEMORY, "%s: no memory for its header", path);
  if (!*out)
    return tct_fail(TCT_E_SAFETENSORS, "%s: its header is no valid JSON at byte %d: %s", path,
                    error.position + LENGTH_BYTES, error.text);
  *out_bytes = (size_t)length;
  return TCT_OK;
}

static tct_status read_all(tct_safetensors *self, const char *path) {
  size_t header_bytes = 0;
  TCT_TRY(tct_file_read(path, MOST_BYTES, &self->file, &self->file_bytes));
  const size_t n = self->file_bytes;
  json_t *header = NULL;
  TCT_TRY(parse_header(path, self->file, n, &header_bytes, &header));
  const size_t data_at = LENGTH_BYTES + header_bytes;
  entry *const entries = tct_alloc_zero(json_object_size(header) + 1, sizeof *entries);
  const tct_status status =
      entries ? parse_entries(self, path, header, entries, (const char *)self->file + data_at, n - data_at)
              : TCT_OUT_OF_MEMORY;
  tct_release(entries);
  json_decref(header);
  return status;
}

tct_status tct_safetensors_read(const char *path, tct_safetensors **out) {
  *out = NULL;
  tct_safetensors *const self = tct_alloc_zero(1, sizeof *self);
  if (!self) return TCT_OUT_OF_MEMORY;
  const tct_status status = read_all(self, path);
  if (status != TCT_OK) {
    tct_safetensors_free(self);
    return status;
  }
  *out = self;
  return TCT_OK;
}

void tct_safetensors_free(tct_safetensors *file) {
  if (!file) return;
  for (size_t i = 0; i < file->n_arrays; i++) tct_release(file->aligned[i]);
  tct_arena_free(&file->arena);
  tct_release(file->file);
  tct_release(file);
}

tct_checksum tct_safetensors_checksum(const tct_safetensors *file) {
  tct_checksum sum = {0};
  tct_checksum_add(&sum, file->file, file->file_bytes);
  return sum;
}

size_t tct_safetensors_count(const tct_safetensors *file) {
  return file->n_arrays;
}

const tct_named_array *tct_safetensors_at(const tct_safetensors *file, size_t i) {
  return i < file->n_arrays ? &file->arrays[i] : NULL;
}

const tct_named_array *tct_safetensors_find(const tct_safetensors *file, const char *name) {
  size_t low = 0, high = file->n_arrays;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    const int order = strcmp(file->by_name[middle]->name, name);
    if (order == 0) return file->by_name[middle];
    if (order < 0)
      low = middle + 1;
    else
      high = middle;
  }
  return NULL;
}

const char *tct_safetensors_metadata(const tct_safetensors *file, const char *key) {
  for (size_t i = 0; i < file->n_metadata; i++)
    if (strcmp(file->metadata[i].key, key) == 0) return file->metadata[i].value;
  return NULL;
}

/* ---- writing ---------------------------------------------------------------------------------------- */

static tct_status check_text(const char *path, const char *what, const char *text) {
  if (text && tct_utf8_valid(text)) return TCT_OK;
  return tct_fail(TCT_E_UNWRITABLE, "%s: %s '%s' is not valid UTF-8", path, what, text ? text : "(null)");
}

static int compare_text(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static tct_status check_unique(const char *path, const char *what, const char **names, size_t n) {
  if (n > 0) qsort(names, n, sizeof *names, compare_text);
  for (size_t i = 1; i < n; i++)
    if (strcmp(names[i - 1], names[i]) == 0)
      return tct_fail(TCT_E_UNWRITABLE, "%s: two %ss are named '%s'; give each its own name", path, what, names[i]);
  return TCT_OK;
}

static tct_status check_names(const char *path, const tct_named_array *arrays, size_t n_arrays,
                              const tct_named_text *metadata, size_t n_metadata) {
  const size_t most = (n_arrays > n_metadata ? n_arrays : n_metadata) + 1;
  const char **const names = tct_alloc_zero(most, sizeof *names);
  if (!names) return TCT_OUT_OF_MEMORY;
  tct_status status = TCT_OK;
  for (size_t i = 0; i < n_arrays && status == TCT_OK; i++) {
    names[i] = arrays[i].name;
    status = check_text(path, "tensor", names[i]);
    if (status == TCT_OK && strcmp(names[i], "__metadata__") == 0)
      status = tct_fail(TCT_E_UNWRITABLE, "%s: a tensor may not be named '__metadata__'", path);
  }
  if (status == TCT_OK) status = check_unique(path, "tensor", names, n_arrays);
  for (size_t i = 0; i < n_metadata && status == TCT_OK; i++) {
    names[i] = metadata[i].key;
    status = check_text(path, "metadata key", names[i]);
    if (status == TCT_OK) status = check_text(path, "metadata value", metadata[i].value);
  }
  if (status == TCT_OK) status = check_unique(path, "metadata key", names, n_metadata);
  tct_release(names);
  return status;
}

/* Appends the header of one array that begins at *at, and moves *at to its end. */
static tct_status append_array(tct_text *text, const char *path, const tct_named_array *array, size_t *at,
                               tct_file_part *out_part) {
  const tct_desc *const desc = &array->desc;
  const int64_t size = tct_shape_size(&desc->shape);
  const char *const word = desc->dtype < TCT_N_DTYPES ? dtype_words[desc->dtype] : NULL;
  size_t bytes = 0, end = 0;
  if (!word || size < 0 || !tct_mul_size((size_t)size, tct_dtype_bytes(desc->dtype), &bytes) ||
      !tct_add_size(*at, bytes, &end) || end > INT64_MAX)
    return tct_fail(TCT_E_UNWRITABLE, "%s: tensor '%s' has a dtype or shape that cannot be written", path, array->name);
  tct_text_json_string(text, array->name);
  tct_text_printf(text, ":{\"dtype\":\"%s\",\"shape\":[", word);
  for (int32_t i = 0; i < desc->shape.rank; i++) tct_text_printf(text, "%s%" PRId64, i ? "," : "", desc->shape.dim[i]);
  tct_text_printf(text, "],\"data_offsets\":[%zu,%zu]}", *at, end);
  *out_part = (tct_file_part){array->data, bytes};
  *at = end;
  return TCT_OK;
}

static tct_status build_header(tct_text *text, const char *path, const tct_named_array *arrays, size_t n_arrays,
                               const tct_named_text *metadata, size_t n_metadata, tct_file_part *parts) {
  tct_text_append(text, "{");
  if (n_metadata > 0) tct_text_append(text, "\"__metadata__\":{");
  for (size_t i = 0; i < n_metadata; i++) {
    tct_text_append(text, i ? "," : "");
    tct_text_json_string(text, metadata[i].key);
    tct_text_append(text, ":");
    tct_text_json_string(text, metadata[i].value);
  }
  if (n_metadata > 0) tct_text_append(text, n_arrays > 0 ? "}," : "}");
  size_t at = 0;
  for (size_t i = 0; i < n_arrays; i++) {
    tct_text_append(text, i ? "," : "");
    TCT_TRY(append_array(text, path, &arrays[i], &at, &parts[i]));
  }
  tct_text_append(text, "}");
  while (!text->failed && text->length % 8 != 0) tct_text_append(text, " ");
  if (text->failed) return TCT_OUT_OF_MEMORY;
  if (text->length > MOST_HEADER)
    return tct_fail(TCT_E_UNWRITABLE, "%s: the header of %zu tensors takes %zu bytes, the format allows %zu", path,
                    n_arrays, text->length, MOST_HEADER);
  return TCT_OK;
}

tct_status tct_safetensors_write_summed(const char *path, const tct_named_array *arrays, size_t n_arrays,
                                        const tct_named_text *metadata, size_t n_metadata, tct_checksum *out) {
  *out = (tct_checksum){0};
  TCT_TRY(check_names(path, arrays, n_arrays, metadata, n_metadata));
  tct_file_part *const parts = tct_alloc_zero(n_arrays + 2, sizeof *parts);
  if (!parts) return TCT_OUT_OF_MEMORY;
  tct_text text = {0};
  tct_status status = build_header(&text, path, arrays, n_arrays, metadata, n_metadata, parts + 2);
  if (status == TCT_OK) {
    unsigned char length[LENGTH_BYTES];
    for (size_t i = 0; i < LENGTH_BYTES; i++) length[i] = (unsigned char)((uint64_t)text.length >> (8 * i));
    parts[0] = (tct_file_part){length, LENGTH_BYTES};
    parts[1] = (tct_file_part){text.data, text.length};
    for (size_t i = 0; i < n_arrays + 2; i++) tct_checksum_add(out, parts[i].data, parts[i].bytes);
    status = tct_file_write_atomic(path, parts, n_arrays + 2);
  }
  tct_text_free(&text);
  tct_release(parts);
  return status;
}

tct_status tct_safetensors_write(const char *path, const tct_named_array *arrays, size_t n_arrays,
                                 const tct_named_text *metadata, size_t n_metadata) {
  tct_checksum ignored;
  return tct_safetensors_write_summed(path, arrays, n_arrays, metadata, n_metadata, &ignored);
}
