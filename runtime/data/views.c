/* Views: datasets that read another one and change what comes out, holding no samples of their own. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/checked.h"
#include "base/status.h"
#include "data/dataset.h"

/* ---- slice ------------------------------------------------------------------------------------------ */

#define SLICE_CHUNK 1024 /* indices shifted at a time, on the stack */

typedef struct slice {
  tct_dataset base;
  int64_t begin;
} slice;

static tct_status slice_read(const tct_dataset *base, const int64_t *index, int64_t n, void *const *out) {
  const int64_t begin = ((const slice *)base)->begin;
  if (begin == 0) return tct_dataset_read(base->parent, index, n, out);
  int64_t shifted[SLICE_CHUNK];
  void *at[TCT_DATASET_MAX_FIELDS];
  for (int64_t done = 0; done < n; done += SLICE_CHUNK) {
    const int64_t m = n - done < SLICE_CHUNK ? n - done : SLICE_CHUNK;
    for (int64_t i = 0; i < m; i++) shifted[i] = begin + index[done + i];
    for (int32_t f = 0; f < base->n_fields; f++) at[f] = (char *)out[f] + (size_t)done * base->sample_bytes[f];
    TCT_TRY(tct_dataset_read(base->parent, shifted, m, at));
  }
  return TCT_OK;
}

static const tct_dataset_kind slice_kind = {.read = slice_read};

tct_status tct_dataset_slice(tct_dataset *data, int64_t begin, int64_t end, tct_dataset **out) {
  *out = NULL;
  if (begin < 0 || begin > end || end > data->n_samples)
    return tct_fail(TCT_E_DATASET,
                    "dataset slice: [%" PRId64 ", %" PRId64 ") of %" PRId64 " samples; needs 0 <= begin <= end "
                    "<= %" PRId64,
                    begin, end, data->n_samples, data->n_samples);
  TCT_TRY(tct_dataset_new(&slice_kind, sizeof(slice), end - begin, data->n_fields, data->fields, data, out));
  ((slice *)*out)->begin = begin;
  return TCT_OK;
}

/* ---- moments and standardize ------------------------------------------------------------------------ */

static double get_float(tct_dtype dtype, const void *values, int64_t i) {
  return dtype == TCT_F64 ? ((const double *)values)[i] : (double)((const float *)values)[i];
}

static tct_status need_float(const tct_dataset *data, int32_t field, const char *what) {
  if (field < 0 || field >= data->n_fields)
    return tct_fail(TCT_E_DATASET, "%s: there is no field number %" PRId32 ", the dataset has %" PRId32, what, field,
                    data->n_fields);
  const tct_field *const f = &data->fields[field];
  if (f->dtype != TCT_F32 && f->dtype != TCT_F64)
    return tct_fail(TCT_E_DATASET, "%s: field '%s' is %s, needs f32 or f64; convert it with tct_dataset_select", what,
                    f->name, tct_dtype_name(f->dtype));
  return TCT_OK;
}

static tct_status not_finite(const tct_field *field, int64_t sample, int64_t feature, double value) {
  return tct_fail(TCT_E_NAN_DATA,
                  "field '%s': feature %" PRId64 " of sample %" PRId64 " is %g, needs a finite number; mend or "
                  "drop that sample",
                  field->name, feature, sample, value);
}

/* Welford's update of one feature; `n` counts this value too. */
static void add_value(double value, int64_t n, double *mean, double *squares) {
  const double delta = value - *mean;
  *mean += delta / (double)n;
  *squares += delta * (value - *mean);
}

/* Buffers for `rows` samples of every field: out[f] points into the one block *out_block. */
static tct_status make_buffers(const tct_dataset *data, int64_t rows, void **out_block, void **out) {
  size_t offset[TCT_DATASET_MAX_FIELDS], total = 0;
  for (int32_t f = 0; f < data->n_fields; f++) {
    size_t bytes = 0;
    offset[f] = total;
    if (!tct_mul_size(data->sample_bytes[f], (size_t)rows, &bytes) || !tct_align_size(bytes, 64, &bytes) ||
        !tct_add_size(total, bytes, &total))
      return tct_fail(TCT_OUT_OF_MEMORY, "dataset: %" PRId64 " samples are more than memory can address", rows);
  }
  *out_block = tct_alloc_aligned(total + 1, 64);
  if (!*out_block) return TCT_OUT_OF_MEMORY;
  for (int32_t f = 0; f < data->n_fields; f++) out[f] = (char *)*out_block + offset[f];
  return TCT_OK;
}

#define MOMENTS_ROWS 64

typedef struct moments {
  double *mean, *squares; /* [size] */
  bool *varies;           /* [size] */
  double *first;          /* [size]: sample 0 */
} moments;

static tct_status sum_moments(const tct_dataset *data, int32_t field, void *const *buffers, moments *m) {
  const tct_field *const f = &data->fields[field];
  const int64_t size = tct_shape_size(&f->shape);
  int64_t index[MOMENTS_ROWS];
  for (int64_t done = 0; done < data->n_samples; done += MOMENTS_ROWS) {
    const int64_t rows = data->n_samples - done < MOMENTS_ROWS ? data->n_samples - done : MOMENTS_ROWS;
    for (int64_t i = 0; i < rows; i++) index[i] = done + i;
    TCT_TRY(tct_dataset_read(data, index, rows, buffers));
    for (int64_t i = 0; i < rows; i++)
      for (int64_t j = 0; j < size; j++) {
        const double value = get_float(f->dtype, buffers[field], i * size + j);
        if (!isfinite(value)) return not_finite(f, done + i, j, value);
        if (done + i == 0) m->first[j] = value;
        if (value != m->first[j]) m->varies[j] = true;
        add_value(value, done + i + 1, &m->mean[j], &m->squares[j]);
      }
  }
  return TCT_OK;
}

tct_status tct_dataset_moments(const tct_dataset *data, int32_t field, double *mean, double *std) {
  TCT_TRY(need_float(data, field, "dataset moments"));
  if (data->n_samples == 0) return tct_fail(TCT_E_NO_SAMPLES, "dataset moments: the dataset has no samples");
  const size_t size = (size_t)tct_shape_size(&data->fields[field].shape);
  memset(mean, 0, size * sizeof *mean);
  memset(std, 0, size * sizeof *std);
  moments m = {.mean = mean,
               .squares = std,
               .varies = tct_alloc_zero(size, sizeof(bool)),
               .first = tct_alloc_zero(size, sizeof(double))};
  void *block = NULL, *buffers[TCT_DATASET_MAX_FIELDS];
  tct_status status = m.varies && m.first ? make_buffers(data, MOMENTS_ROWS, &block, buffers) : TCT_OUT_OF_MEMORY;
  if (status == TCT_OK) status = sum_moments(data, field, buffers, &m);
  for (size_t j = 0; j < size && status == TCT_OK; j++) {
    if (!m.varies[j]) mean[j] = m.first[j];
    std[j] = m.varies[j] ? sqrt(std[j] / (double)data->n_samples) : 1.0;
    if (std[j] == 0.0) std[j] = 1.0; /* variation below double's resolution */
  }
  tct_release(block);
  tct_release(m.varies);
  tct_release(m.first);
  return status;
}

typedef struct standardize {
  tct_dataset base;
  int32_t field;
  int64_t size;
  const double *mean, *std; /* [size], in the arena */
} standardize;

static tct_status standardize_read(const tct_dataset *base, const int64_t *index, int64_t n, void *const *out) {
  const standardize *const self = (const standardize *)base;
  const tct_field *const field = &base->fields[self->field];
  TCT_TRY(tct_dataset_read(base->parent, index, n, out));
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < self->size; j++) {
      const double value = get_float(field->dtype, out[self->field], i * self->size + j);
      if (!isfinite(value)) return not_finite(field, index[i], j, value);
      const double scaled = (value - self->mean[j]) / self->std[j];
      if (field->dtype == TCT_F64)
        ((double *)out[self->field])[i * self->size + j] = scaled;
      else
        ((float *)out[self->field])[i * self->size + j] = (float)scaled;
    }
  return TCT_OK;
}

static const tct_dataset_kind standardize_kind = {.read = standardize_read};

tct_status tct_dataset_standardize(tct_dataset *data, int32_t field, const double *mean, const double *std,
                                   tct_dataset **out) {
  *out = NULL;
  TCT_TRY(need_float(data, field, "dataset standardize"));
  const int64_t size = tct_shape_size(&data->fields[field].shape);
  for (int64_t j = 0; j < size; j++)
    if (!isfinite(mean[j]) || !isfinite(std[j]) || std[j] <= 0.0)
      return tct_fail(TCT_E_MOMENTS,
                      "dataset standardize: feature %" PRId64 " of field '%s' has mean %g and deviation %g; "
                      "needs a finite mean and a deviation > 0",
                      j, data->fields[field].name, mean[j], std[j]);
  tct_dataset *base = NULL;
  TCT_TRY(tct_dataset_new(&standardize_kind, sizeof(standardize), data->n_samples, data->n_fields, data->fields, data,
                          &base));
  standardize *const self = (standardize *)base;
  self->field = field;
  self->size = size;
  self->mean = tct_arena_copy(&base->arena, mean, (size_t)size * sizeof *mean);
  self->std = tct_arena_copy(&base->arena, std, (size_t)size * sizeof *std);
  if (!self->mean || !self->std) {
    tct_dataset_free(base);
    return TCT_OUT_OF_MEMORY;
  }
  *out = base;
  return TCT_OK;
}
