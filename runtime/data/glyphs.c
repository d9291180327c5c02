/* The glyphs as a dataset, and as IDX files. Each image is drawn when it is first read and kept as bytes, so that an
 * epoch after the first costs no drawing. */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/checked.h"
#include "base/file.h"
#include "base/status.h"
#include "data/dataset.h"
#include "data/glyph_draw.h"

#define DEFAULT_SAMPLES 10000
#define MOST_SAMPLES    ((int64_t)1 << 40)
#define MOST_CACHE      ((size_t)512 << 20) /* larger sets are drawn at every read */
#define FIRST_TEST      1000000             /* the test set's first number, as data.h says */

enum { EMPTY, DRAWING, READY };

typedef struct glyphs {
  tct_dataset base;
  uint64_t seed;
  int64_t first;
  uint8_t *cache;      /* owned: [n_samples, 28, 28]; NULL when too large */
  atomic_uchar *state; /* owned: [n_samples]; of each cached image */
  float level[256];
} glyphs;

/* The sample's pixels: in the cache, or drawn into `local` while another thread fills its place. */
static const uint8_t *pixels_of(const glyphs *self, int64_t i, uint8_t local[TCT_GLYPH_PIXELS]) {
  if (!self->cache) {
    tct_glyph_draw(self->seed, self->first + i, local);
    return local;
  }
  uint8_t *const place = self->cache + (size_t)i * TCT_GLYPH_PIXELS;
  unsigned char state = EMPTY;
  if (atomic_compare_exchange_strong_explicit(&self->state[i], &state, DRAWING, memory_order_acquire,
                                              memory_order_acquire)) {
    tct_glyph_draw(self->seed, self->first + i, place);
    atomic_store_explicit(&self->state[i], READY, memory_order_release);
    return place;
  }
  if (state == READY) return place;
  tct_glyph_draw(self->seed, self->first + i, local);
  return local;
}

static tct_status glyphs_read(const tct_dataset *base, const int64_t *index, int64_t n, void *const *out) {
  const glyphs *const self = (const glyphs *)base;
  float *x = out[0];
  int32_t *const y = out[1];
  for (int64_t i = 0; i < n; i++) {
    uint8_t local[TCT_GLYPH_PIXELS];
    const uint8_t *const from = pixels_of(self, index[i], local);
    for (int p = 0; p < TCT_GLYPH_PIXELS; p++) *x++ = self->level[from[p]];
    y[i] = tct_glyph_label(self->seed, self->first + index[i]);
  }
  return TCT_OK;
}

static void glyphs_release(tct_dataset *base) {
  glyphs *const self = (glyphs *)base;
  tct_release(self->cache);
  tct_release(self->state);
}

static const tct_dataset_kind glyphs_kind = {.read = glyphs_read, .release = glyphs_release};

tct_status tct_dataset_glyphs(const tct_glyphs_options *options, tct_dataset **out) {
  *out = NULL;
  const tct_glyphs_options o = options ? *options : (tct_glyphs_options){0};
  const int64_t n = o.n_samples == 0 ? DEFAULT_SAMPLES : o.n_samples;
  if (n < 0 || n > MOST_SAMPLES || o.first < 0 || o.first > INT64_MAX - n)
    return tct_fail(TCT_E_DATASET,
                    "glyphs: %" PRId64 " samples from number %" PRId64 "; needs 1 to 2^40 samples from 0 on", n,
                    o.first);
  const tct_field fields[2] = {{"x", TCT_F32, TCT_SHAPE(TCT_GLYPH_SIDE, TCT_GLYPH_SIDE, 1)},
                               {"y", TCT_I32, tct_shape_of(0, NULL)}};
  tct_dataset *base = NULL;
  TCT_TRY(tct_dataset_new(&glyphs_kind, sizeof(glyphs), n, 2, fields, NULL, &base));
  glyphs *const self = (glyphs *)base;
  self->seed = o.seed;
  self->first = o.first;
  for (int v = 0; v < 256; v++) self->level[v] = (float)v / 255.0f;
  if ((size_t)n <= MOST_CACHE / TCT_GLYPH_PIXELS) {
    self->cache = tct_alloc((size_t)n * TCT_GLYPH_PIXELS);
    self->state = tct_alloc_zero((size_t)n, sizeof *self->state);
    if (!self->cache || !self->state) {
      tct_dataset_free(base);
      return TCT_OUT_OF_MEMORY;
    }
  }
  *out = base;
  return TCT_OK;
}

/* ---- files ------------------------------------------------------------------------------------------ */

static void put_big_endian(unsigned char *to, uint32_t value) {
  for (int i = 0; i < 4; i++) to[i] = (unsigned char)(value >> (24 - 8 * i));
}

/* DIR/NAME: magic, `rank` extents (n, 28, 28) and the data. */
static tct_status write_idx(const char *directory, const char *name, int32_t rank, int64_t n, const void *data,
                            size_t bytes) {
  char path[4096];
  const int length = snprintf(path, sizeof path, "%s/%s", directory, name);
  if (length < 0 || (size_t)length >= sizeof path)
    return tct_fail(TCT_E_DATASET, "glyphs: the directory's name has more than %zu characters", sizeof path - 64);
  unsigned char header[16] = {0, 0, 0x08, (unsigned char)rank};
  put_big_endian(header + 4, (uint32_t)n);
  put_big_endian(header + 8, TCT_GLYPH_SIDE);
  put_big_endian(header + 12, TCT_GLYPH_SIDE);
  const tct_file_part parts[2] = {{header, 4 + 4 * (size_t)rank}, {data, bytes}};
  return tct_file_write_atomic(path, parts, 2);
}

static tct_status write_split(const char *directory, const char *split, uint64_t seed, int64_t first, int64_t n) {
  uint8_t *const images = tct_alloc((size_t)n * TCT_GLYPH_PIXELS), *const labels = tct_alloc((size_t)n);
  tct_status status = images && labels ? TCT_OK : TCT_OUT_OF_MEMORY;
  for (int64_t i = 0; i < n && status == TCT_OK; i++) {
    tct_glyph_draw(seed, first + i, images + (size_t)i * TCT_GLYPH_PIXELS);
    labels[i] = (uint8_t)tct_glyph_label(seed, first + i);
  }
  char name[64];
  snprintf(name, sizeof name, "%s-images-idx3-ubyte", split);
  if (status == TCT_OK) status = write_idx(directory, name, 3, n, images, (size_t)n * TCT_GLYPH_PIXELS);
  snprintf(name, sizeof name, "%s-labels-idx1-ubyte", split);
  if (status == TCT_OK) status = write_idx(directory, name, 1, n, labels, (size_t)n);
  tct_release(images);
  tct_release(labels);
  return status;
}

tct_status tct_glyphs_write(const char *directory, int64_t n_train, int64_t n_test, uint64_t seed) {
  if (!directory || !*directory) return tct_fail(TCT_E_DATASET, "glyphs: the directory has no name");
  if (n_train < 0 || n_train > FIRST_TEST || n_test < 0 || n_test > FIRST_TEST)
    return tct_fail(TCT_E_DATASET, "glyphs: %" PRId64 " training and %" PRId64 " test samples, needs 0 to %d of each",
                    n_train, n_test, FIRST_TEST);
  TCT_TRY(tct_make_directories(directory));
  TCT_TRY(write_split(directory, "train", seed, 0, n_train));
  return write_split(directory, "t10k", seed, FIRST_TEST, n_test);
}
