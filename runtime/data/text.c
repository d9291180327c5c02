/* Character windows over a text: the file is kept as one class id per byte, a sample is a window of it. */
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/checked.h"
#include "base/status.h"
#include "data/dataset.h"
#include "io/gzip.h"

#define MOST_BYTES ((size_t)16 << 30)

typedef struct text {
  tct_dataset base;
  unsigned char *ids; /* owned: [length of the whole text] */
  int64_t begin;      /* of the chosen part */
  int64_t window, stride;
  bool last_only;
} text;

static void widen(int32_t *to, const unsigned char *from, int64_t n) {
  for (int64_t i = 0; i < n; i++) to[i] = from[i];
}

static tct_status text_read(const tct_dataset *base, const int64_t *index, int64_t n, void *const *out) {
  const text *const self = (const text *)base;
  int32_t *const x = out[0], *const y = out[1];
  for (int64_t i = 0; i < n; i++) {
    const unsigned char *const at = self->ids + self->begin + index[i] * self->stride;
    widen(x + i * self->window, at, self->window);
    if (self->last_only)
      y[i] = at[self->window];
    else
      widen(y + i * self->window, at + 1, self->window);
  }
  return TCT_OK;
}

static void text_release(tct_dataset *base) {
  tct_release(((text *)base)->ids);
}

static const tct_dataset_kind text_kind = {.read = text_read, .release = text_release};

/* Replaces each byte by its class id; returns the size of the alphabet. */
static int32_t number_bytes(unsigned char *bytes, size_t n, unsigned char alphabet[256]) {
  bool seen[256] = {false};
  for (size_t i = 0; i < n; i++) seen[bytes[i]] = true;
  unsigned char id[256] = {0};
  int32_t n_alphabet = 0;
  for (int b = 0; b < 256; b++) {
    if (!seen[b]) continue;
    id[b] = (unsigned char)n_alphabet;
    alphabet[n_alphabet++] = (unsigned char)b;
  }
  for (size_t i = 0; i < n; i++) bytes[i] = id[bytes[i]];
  return n_alphabet;
}

static tct_status check_options(const char *path, const tct_text_options *o) {
  if (!path || !o) return tct_fail(TCT_E_DATASET, "text: path or options is NULL; options->window is required");
  if (o->window < 1)
    return tct_fail(TCT_E_DATASET, "text '%s': window is %" PRId64 ", needs at least 1 character", path, o->window);
  if (o->stride < 0)
    return tct_fail(TCT_E_DATASET, "text '%s': stride is %" PRId64 ", needs at least 1 (0 means 1)", path, o->stride);
  const bool all = o->begin == 0.0 && o->end == 0.0;
  if (!all && !(o->begin >= 0.0 && o->begin < o->end && o->end <= 1.0))
    return tct_fail(TCT_E_DATASET, "text '%s': the part %g … %g is not within the text; needs 0 <= begin < end <= 1",
                    path, o->begin, o->end);
  return TCT_OK;
}

tct_status tct_dataset_text(const char *path, const tct_text_options *options, tct_dataset **out) {
  *out = NULL;
  TCT_TRY(check_options(path, options));
  void *bytes = NULL;
  size_t n = 0;
  TCT_TRY(tct_gzip_read(path, MOST_BYTES, &bytes, &n));

  const double last = options->end == 0.0 ? 1.0 : options->end;
  const int64_t begin = (int64_t)(options->begin * (double)n), end = (int64_t)(last * (double)n);
  const int64_t window = options->window, stride = options->stride == 0 ? 1 : options->stride;
  if (end - begin <= window) {
    tct_release(bytes);
    return tct_fail(TCT_E_DATASET,
                    "text '%s': the part has %" PRId64 " characters, a window of %" PRId64 " needs one more "
                    "than its length; take a smaller window or more text",
                    path, end - begin, window);
  }
  const int64_t n_samples = (end - begin - window - 1) / stride + 1;
  const tct_field fields[2] = {{"x", TCT_I32, TCT_SHAPE(window)},
                               {"y", TCT_I32, options->last_only ? tct_shape_of(0, NULL) : TCT_SHAPE(window)}};
  const tct_status status = tct_dataset_new(&text_kind, sizeof(text), n_samples, 2, fields, NULL, out);
  if (status != TCT_OK) {
    tct_release(bytes);
    return status;
  }
  text *const self = (text *)*out;
  self->ids = bytes;
  self->begin = begin;
  self->window = window;
  self->stride = stride;
  self->last_only = options->last_only;
  self->base.n_alphabet = number_bytes(self->ids, n, self->base.alphabet);
  self->base.naming = &self->base;
  return TCT_OK;
}
