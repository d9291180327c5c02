/* IDX, the format of the MNIST family: a big-endian header (two zero bytes, element type, rank, extents) and the data.
 * The bytes stay as they are in memory and become floats when a sample is read. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/checked.h"
#include "base/status.h"
#include "data/dataset.h"
#include "io/gzip.h"
#include "io/web_page.h"

#define MOST_BYTES ((size_t)4 << 30)
#define TYPE_U8    0x08

typedef struct idx_file {
  unsigned char *bytes; /* owned: header and data */
  const unsigned char *data;
  int32_t rank;
  int64_t dim[TCT_MAX_RANK];
} idx_file;

typedef struct idx {
  tct_dataset base;
  idx_file images, labels;
  double level[256]; /* what each pixel byte reads as */
  float narrow[256]; /* the same in f32 */
} idx;

static tct_status check_magic(const char *path, const unsigned char *bytes, size_t n, const char *what) {
  char needs[64];
  (void)snprintf(needs, sizeof needs, "an IDX file of %s", what);
  TCT_TRY(tct_refuse_web_page(path, bytes, n, needs));
  if (n < 4)
    return tct_fail(TCT_E_IDX, "%s: has %zu bytes, an IDX file begins with 4 of magic; download it again", path, n);
  if (bytes[0] != 0 || bytes[1] != 0)
    return tct_fail(TCT_E_IDX,
                    "%s: begins with bytes %02x %02x %02x %02x, an IDX file of %s begins with 00 00 08; "
                    "is it another format?",
                    path, bytes[0], bytes[1], bytes[2], bytes[3], what);
  if (bytes[2] != TYPE_U8)
    return tct_fail(TCT_E_IDX,
                    "%s: element type is 0x%02x, only 0x08 (unsigned byte) is read; convert the file to "
                    "bytes, or to .npy",
                    path, bytes[2]);
  return TCT_OK;
}

/* Reads `path` and checks its header, rank and size against each other. */
static tct_status read_idx(const char *path, int32_t rank, const char *what, idx_file *out) {
  void *bytes = NULL;
  size_t n = 0;
  TCT_TRY(tct_gzip_read(path, MOST_BYTES, &bytes, &n));
  out->bytes = bytes;
  TCT_TRY(check_magic(path, out->bytes, n, what));
  out->rank = out->bytes[3];
  if (out->rank != rank)
    return tct_fail(TCT_E_IDX,
                    "%s: has %" PRId32 " dimension%s%s, %s need %" PRId32 "; are the image and label paths "
                    "swapped?",
                    path, out->rank, out->rank == 1 ? "" : "s",
                    out->rank == 1   ? " (a labels file)"
                    : out->rank == 3 ? " (an images file)"
                                     : "",
                    what, rank);
  const size_t header = 4 + 4 * (size_t)rank;
  if (n < header)
    return tct_fail(TCT_E_IDX, "%s: ends inside its header (%zu of %zu bytes); download it again", path, n, header);
  tct_shape shape = {.rank = rank, .dim = {0}};
  size_t size = 1;
  bool fits = true;
  for (int32_t i = 0; i < rank; i++) {
    const unsigned char *const b = out->bytes + 4 + 4 * i;
    out->dim[i] = shape.dim[i] = ((int64_t)b[0] << 24) | ((int64_t)b[1] << 16) | ((int64_t)b[2] << 8) | (int64_t)b[3];
    fits = tct_mul_size(size, (size_t)shape.dim[i], &size); /* two extents of 32 bits do; so only the last one can fail */
  }
  char text[160];
  if (!fits || size != n - header)
    return tct_fail(TCT_E_IDX, "%s: its header promises %s bytes of %s, the file has %zu; %s", path,
                    tct_shape_print(&shape, text, sizeof text), what, n - header,
                    !fits || size > n - header ? "it is cut short: download it again"
                                               : "it is damaged, or two files in one");
  out->data = out->bytes + header;
  return TCT_OK;
}

static void read_narrow(const idx *self, const int64_t *index, int64_t n, int64_t pixels, float *x) {
  for (int64_t i = 0; i < n; i++) {
    const unsigned char *const from = self->images.data + index[i] * pixels;
    for (int64_t p = 0; p < pixels; p++) *x++ = self->narrow[from[p]];
  }
}

static void read_wide(const idx *self, const int64_t *index, int64_t n, int64_t pixels, double *x) {
  for (int64_t i = 0; i < n; i++) {
    const unsigned char *const from = self->images.data + index[i] * pixels;
    for (int64_t p = 0; p < pixels; p++) *x++ = self->level[from[p]];
  }
}

static tct_status idx_read(const tct_dataset *base, const int64_t *index, int64_t n, void *const *out) {
  const idx *const self = (const idx *)base;
  const int64_t pixels = self->images.dim[1] * self->images.dim[2];
  if (base->fields[0].dtype == TCT_F64) {
    read_wide(self, index, n, pixels, out[0]);
  } else {
    read_narrow(self, index, n, pixels, out[0]);
  }
  if (base->n_fields == 1) return TCT_OK;
  int32_t *const y = out[1];
  for (int64_t i = 0; i < n; i++) y[i] = self->labels.data[index[i]];
  return TCT_OK;
}

static void idx_release(tct_dataset *base) {
  idx *const self = (idx *)base;
  tct_release(self->images.bytes);
  tct_release(self->labels.bytes);
}

static const tct_dataset_kind idx_kind = {.read = idx_read, .release = idx_release};

static tct_status open_idx(const char *images_path, const char *labels_path, const tct_idx_options *options, idx_file *images,
                           idx_file *labels, tct_dataset **out) {
  TCT_TRY(read_idx(images_path, 3, "images", images));
  if (labels_path) {
    TCT_TRY(read_idx(labels_path, 1, "labels", labels));
    if (labels->dim[0] != images->dim[0])
      return tct_fail(TCT_E_IDX,
                      "%s: has %" PRId64 " labels, %s has %" PRId64 " images; take both files from the same "
                      "split",
                      labels_path, labels->dim[0], images_path, images->dim[0]);
  }
  const tct_field fields[2] = {{"x", options->dtype == TCT_F64 ? TCT_F64 : TCT_F32, TCT_SHAPE(images->dim[1], images->dim[2], 1)},
                               {"y", TCT_I32, tct_shape_of(0, NULL)}};
  TCT_TRY(tct_dataset_new(&idx_kind, sizeof(idx), images->dim[0], labels_path ? 2 : 1, fields, NULL, out));
  idx *const self = (idx *)*out;
  self->images = *images;
  self->labels = *labels;
  for (int v = 0; v < 256; v++) {
    self->level[v] = options->raw ? v : v / 255.0;
    self->narrow[v] = options->raw ? (float)v : (float)v / 255.0f;
  }
  return TCT_OK;
}

tct_status tct_dataset_idx(const char *images_path, const char *labels_path, const tct_idx_options *options,
                           tct_dataset **out) {
  *out = NULL;
  static const tct_idx_options defaults = {0};
  if (!options) options = &defaults;
  if (options->dtype != TCT_DTYPE_NONE && options->dtype != TCT_F32 && options->dtype != TCT_F64)
    return tct_fail(TCT_INVALID, "idx: dtype is %s; needs f32 or f64", tct_dtype_name(options->dtype));
  if (!images_path) return tct_fail(TCT_INVALID, "idx: images_path is NULL; needs the path of an images file");
  idx_file images = {0}, labels = {0};
  const tct_status status = open_idx(images_path, labels_path, options, &images, &labels, out);
  if (status != TCT_OK) {
    tct_release(images.bytes);
    tct_release(labels.bytes);
  }
  return status;
}
