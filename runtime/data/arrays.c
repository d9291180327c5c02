/* Datasets whose samples the caller supplies: arrays in memory, copied, borrowed or taken over, and a callback. */
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/status.h"
#include "data/dataset.h"

typedef struct arrays {
  tct_dataset base;
  const void *data[TCT_DATASET_MAX_FIELDS]; /* [n_samples, shape…] each */
  void *owned[TCT_DATASET_MAX_FIELDS];      /* what to release: the same pointers, or NULL where borrowed */
} arrays;

static tct_status arrays_read(const tct_dataset *base, const int64_t *index, int64_t n, void *const *out) {
  const arrays *const self = (const arrays *)base;
  for (int32_t f = 0; f < base->n_fields; f++) {
    const size_t bytes = base->sample_bytes[f];
    if (bytes == 0) continue;
    const char *const from = self->data[f];
    char *const to = out[f];
    for (int64_t i = 0; i < n; i++) memcpy(to + (size_t)i * bytes, from + (size_t)index[i] * bytes, bytes);
  }
  return TCT_OK;
}

static void arrays_release(tct_dataset *base) {
  arrays *const self = (arrays *)base;
  for (int32_t f = 0; f < base->n_fields; f++) tct_release(self->owned[f]);
}

static const tct_dataset_kind arrays_kind = {.read = arrays_read, .release = arrays_release};

tct_status tct_dataset_arrays(int64_t n_samples, int32_t n_fields, const tct_field *fields, const void *const *data,
                              bool borrow, tct_dataset **out) {
  tct_dataset *base = NULL;
  *out = NULL;
  TCT_TRY(tct_dataset_new(&arrays_kind, sizeof(arrays), n_samples, n_fields, fields, NULL, &base));
  arrays *const self = (arrays *)base;
  for (int32_t f = 0; f < n_fields; f++) {
    const size_t bytes = (size_t)n_samples * base->sample_bytes[f];
    if (bytes > 0 && (!data || !data[f])) {
      tct_dataset_free(base);
      return tct_fail(TCT_E_DATASET, "dataset: data[%" PRId32 "] (field '%s') is NULL; needs %zu bytes", f,
                      fields[f].name, bytes);
    }
    if (borrow) {
      self->data[f] = data ? data[f] : NULL;
      continue;
    }
    self->data[f] = self->owned[f] = tct_alloc(bytes);
    if (!self->owned[f]) {
      tct_dataset_free(base);
      return TCT_OUT_OF_MEMORY;
    }
    if (bytes > 0) memcpy(self->owned[f], data[f], bytes);
  }
  *out = base;
  return TCT_OK;
}

tct_status tct_dataset_adopt(int64_t n_samples, int32_t n_fields, const tct_field *fields, void *const *data,
                             tct_dataset **out) {
  tct_dataset *base = NULL;
  *out = NULL;
  const tct_status status = tct_dataset_new(&arrays_kind, sizeof(arrays), n_samples, n_fields, fields, NULL, &base);
  if (status != TCT_OK) {
    for (int32_t f = 0; f < n_fields; f++) tct_release(data[f]);
    return status;
  }
  arrays *const self = (arrays *)base;
  for (int32_t f = 0; f < n_fields; f++) self->data[f] = self->owned[f] = data[f];
  *out = base;
  return TCT_OK;
}

typedef struct callback {
  tct_dataset base;
  tct_dataset_fn fn;
  void *user;
} callback;

static tct_status callback_read(const tct_dataset *base, const int64_t *index, int64_t n, void *const *out) {
  const callback *const self = (const callback *)base;
  tct_error_clear();
  const tct_status status = self->fn(self->user, index, n, out);
  if (status == TCT_OK) return TCT_OK;
  if ((int)status < 0 || status >= TCT_N_STATUS)
    return tct_fail(TCT_E_DATASET, "dataset callback: returned %d, which is not a tct_status", (int)status);
  if (tct_error_status() == status) {
    (void)tct_context("in the dataset callback, %" PRId64 " samples from number %" PRId64, n, index[0]);
    return status;
  }
  return tct_fail(status, "dataset callback: returned '%s' for %" PRId64 " samples from number %" PRId64,
                  tct_status_name(status), n, index[0]);
}

static const tct_dataset_kind callback_kind = {.read = callback_read};

tct_status tct_dataset_callback(int64_t n_samples, int32_t n_fields, const tct_field *fields, tct_dataset_fn fn,
                                void *user, tct_dataset **out) {
  *out = NULL;
  if (!fn) return tct_fail(TCT_E_DATASET, "dataset callback: the function is NULL");
  TCT_TRY(tct_dataset_new(&callback_kind, sizeof(callback), n_samples, n_fields, fields, NULL, out));
  ((callback *)*out)->fn = fn;
  ((callback *)*out)->user = user;
  return TCT_OK;
}
