/* A view with fields of other names, dtypes or shapes of the same size. A parent's field is read straight into the
 * output that wants it and converted there in place, from the end of the buffer forwards; only fields that nobody
 * wants, and those that shrink, pass through a scratch block, which is kept from one read to the next. */
#include <inttypes.h>
#include <pthread.h>
#include <string.h>

#include "base/alloc.h"
#include "base/checked.h"
#include "base/number.h"
#include "base/status.h"
#include "data/dataset.h"

typedef struct selection {
  tct_dataset base;
  int32_t from[TCT_DATASET_MAX_FIELDS];   /* per field: the parent's field */
  int32_t holder[TCT_DATASET_MAX_FIELDS]; /* per parent's field: whose output it is read into; -1: scratch */
  pthread_mutex_t lock;                   /* over the scratch */
  void *scratch;
  size_t scratch_bytes, scratch_row; /* row: bytes per sample that scratch fields take, each rounded up to 8 */
} selection;

/* What a select may do to numbers. FLOATS and WHOLES name the source's kinds. */
static bool is_whole(tct_dtype d) {
  return d == TCT_I32 || d == TCT_I64 || d == TCT_I8 || d == TCT_U8 || d == TCT_BOOL;
}
static bool convertible(tct_dtype from, tct_dtype to) {
  const bool to_float = to == TCT_F32 || to == TCT_F64;
  return from == to || (to_float && (tct_dtype_is_float(from) || is_whole(from))) || (to == TCT_I32 && is_whole(from));
}

/* Converts n numbers. `from` may lie in the end of `to`: each is read before anything over it is written. Neither needs to
 * be aligned. */
static tct_status convert(const tct_field *field, tct_dtype from_dtype, const char *from, char *to, int64_t n) {
  const size_t from_bytes = tct_dtype_bytes(from_dtype), to_bytes = tct_dtype_bytes(field->dtype);
  for (int64_t i = 0; i < n; i++) {
    int64_t number = 0;
    memcpy(&number, from + (size_t)i * from_bytes, from_bytes);
    const double value = tct_load_number(from_dtype, &number, 0);
    if (!tct_number_fits(field->dtype, value))
      return tct_fail(TCT_BAD_DATA, "field '%s': the value %.0f does not fit %s", field->name, value,
                      tct_dtype_name(field->dtype));
    tct_store_number(field->dtype, &number, 0, value);
    memcpy(to + (size_t)i * to_bytes, &number, to_bytes);
  }
  return TCT_OK;
}

static tct_status make_field(const selection *self, int32_t f, int64_t n, char *from, void *const *out) {
  const tct_field *const field = &self->base.fields[f];
  const tct_dtype from_dtype = self->base.parent->fields[self->from[f]].dtype;
  const size_t bytes = (size_t)n * self->base.sample_bytes[f];
  if (from_dtype != field->dtype) return convert(field, from_dtype, from, out[f], n * tct_shape_size(&field->shape));
  if (from != (char *)out[f] && bytes > 0) memcpy(out[f], from, bytes);
  return TCT_OK;
}

/* Reads the parent's fields to where holder[] says and makes the outputs from them. */
static tct_status read_and_make(const selection *self, const int64_t *index, int64_t n, char *scratch,
                                void *const *out) {
  const tct_dataset *const parent = self->base.parent;
  void *at[TCT_DATASET_MAX_FIELDS];
  for (int32_t p = 0; p < parent->n_fields; p++) {
    const int32_t f = self->holder[p];
    const size_t bytes = (size_t)n * parent->sample_bytes[p];
    if (f >= 0) {
      at[p] = (char *)out[f] + ((size_t)n * self->base.sample_bytes[f] - bytes);
    } else {
      at[p] = scratch;
      scratch += (bytes + 7) & ~(size_t)7;
    }
  }
  TCT_TRY(tct_dataset_read(parent, index, n, at));
  /* Converting in place destroys the source, so the holder's own output comes after the others made from it. */
  for (int pass = 0; pass < 2; pass++)
    for (int32_t f = 0; f < self->base.n_fields; f++)
      if ((self->holder[self->from[f]] == f) == (pass == 1)) TCT_TRY(make_field(self, f, n, at[self->from[f]], out));
  return TCT_OK;
}

static tct_status select_read(const tct_dataset *base, const int64_t *index, int64_t n, void *const *out) {
  selection *const self = (selection *)base; /* the scratch changes, under its lock */
  if (self->scratch_row == 0) return read_and_make(self, index, n, NULL, out);
  size_t need = 0;
  if (!tct_mul_size(self->scratch_row, (size_t)n, &need))
    return tct_fail(TCT_OUT_OF_MEMORY, "dataset select: %" PRId64 " samples are more than memory can address", n);
  pthread_mutex_lock(&self->lock);
  tct_status status = TCT_OK;
  if (need > self->scratch_bytes) {
    tct_release(self->scratch);
    self->scratch = tct_alloc(need);
    self->scratch_bytes = self->scratch ? need : 0;
    if (!self->scratch) status = TCT_OUT_OF_MEMORY;
  }
  if (status == TCT_OK) status = read_and_make(self, index, n, self->scratch, out);
  pthread_mutex_unlock(&self->lock);
  return status;
}

static void select_release(tct_dataset *base) {
  selection *const self = (selection *)base;
  tct_release(self->scratch);
  pthread_mutex_destroy(&self->lock);
}

static const tct_dataset_kind select_kind = {.read = select_read, .release = select_release};

static tct_status check_selection(const tct_dataset *data, int32_t n_fields, const int32_t *from,
                                  const tct_field *fields) {
  for (int32_t f = 0; f < n_fields; f++) {
    if (from[f] < 0 || from[f] >= data->n_fields)
      return tct_fail(TCT_E_FIELD,
                      "dataset select: from[%" PRId32 "] is %" PRId32 ", the dataset has %" PRId32 " fields", f,
                      from[f], data->n_fields);
    const tct_field *const source = &data->fields[from[f]];
    if (!convertible(source->dtype, fields[f].dtype))
      return tct_fail(TCT_E_FIELD,
                      "dataset select: field '%s' is %s and cannot become '%s' of %s; floats and integers become "
                      "floats, integers become i32",
                      source->name, tct_dtype_name(source->dtype), fields[f].name, tct_dtype_name(fields[f].dtype));
    char a[160], b[160];
    if (tct_shape_size(&source->shape) != tct_shape_size(&fields[f].shape))
      return tct_fail(TCT_E_FIELD,
                      "dataset select: field '%s' is %s and cannot become '%s' of %s; the sizes must agree",
                      source->name, tct_shape_print(&source->shape, a, sizeof a), fields[f].name,
                      tct_shape_print(&fields[f].shape, b, sizeof b));
  }
  return TCT_OK;
}

/* A parent's field is read into the first output that is large enough; without one, into scratch. */
static void choose_holders(selection *self) {
  const tct_dataset *const parent = self->base.parent;
  for (int32_t p = 0; p < parent->n_fields; p++) {
    self->holder[p] = -1;
    for (int32_t f = self->base.n_fields - 1; f >= 0; f--)
      if (self->from[f] == p && self->base.sample_bytes[f] >= parent->sample_bytes[p]) self->holder[p] = f;
    if (self->holder[p] < 0) self->scratch_row += (parent->sample_bytes[p] + 7) & ~(size_t)7;
  }
}

tct_status tct_dataset_select(tct_dataset *data, int32_t n_fields, const int32_t *from, const tct_field *fields,
                              tct_dataset **out) {
  *out = NULL;
  tct_dataset *base = NULL;
  TCT_TRY(tct_dataset_new(&select_kind, sizeof(selection), data->n_samples, n_fields, fields, data, &base));
  selection *const self = (selection *)base;
  (void)pthread_mutex_init(&self->lock, NULL);
  const tct_status status = check_selection(data, n_fields, from, fields);
  if (status != TCT_OK) {
    tct_dataset_free(base);
    return status;
  }
  memcpy(self->from, from, (size_t)n_fields * sizeof *from);
  choose_holders(self);
  *out = base;
  return TCT_OK;
}
