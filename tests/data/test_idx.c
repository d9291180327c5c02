/* IDX files: known bytes, gzip, every way in which a file can lie, and the real Fashion-MNIST. */
#include <zlib.h>

#include "data/data_helpers.h"

static const unsigned char images[4 + 12 + 12] = {0, 0, 8, 3, 0, 0, 0, 2, 0,   0,   0,   2,   0,   0,
                                                  0, 3, 0, 1, 2, 3, 4, 5, 250, 251, 252, 253, 254, 255};
static const unsigned char labels[4 + 4 + 2] = {0, 0, 8, 1, 0, 0, 0, 2, 7, 9};

/* Appends one gzip member to `to`; returns the new length. */
static size_t gzip(const void *data, size_t n, unsigned char *to, size_t used, size_t capacity) {
  z_stream z = {0};
  deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  z.next_in = (z_const Bytef *)data;
  z.avail_in = (uInt)n;
  z.next_out = to + used;
  z.avail_out = (uInt)(capacity - used);
  CHECK(deflate(&z, Z_FINISH) == Z_STREAM_END);
  deflateEnd(&z);
  return capacity - z.avail_out;
}

static void check_two_images(const char *images_path, const char *labels_path, bool raw) {
  const tct_idx_options options = {.raw = raw};
  tct_dataset *data = NULL;
  OK(tct_dataset_idx(images_path, labels_path, &options, &data));
  CHECK(tct_dataset_samples(data) == 2 && tct_dataset_n_fields(data) == 2);
  const tct_shape want = TCT_SHAPE(2, 3, 1);
  CHECK(tct_shape_equal(&tct_dataset_field(data, 0)->shape, &want) && tct_dataset_field(data, 0)->dtype == TCT_F32);
  float x[12];
  int32_t y[2];
  void *const out[2] = {x, y};
  const int64_t index[2] = {1, 0};
  OK(tct_dataset_read(data, index, 2, out));
  CHECK(y[0] == 9 && y[1] == 7);
  for (int i = 0; i < 12; i++) {
    const float byte = (float)images[16 + (i + 6) % 12];
    CHECK(x[i] == (raw ? byte : byte / 255.0f), "%d: %g", i, (double)x[i]);
  }
  tct_dataset_free(data);
}

TEST(idx, known_bytes_plain_and_gzip) {
  const int64_t before = tct_alloc_live();
  char a[512], b[512], c[512], d[512];
  unsigned char packed[256];
  temp_file(a, "images", images, sizeof images);
  temp_file(b, "labels", labels, sizeof labels);
  temp_file(c, "images.gz", packed, gzip(images, sizeof images, packed, 0, sizeof packed));
  size_t n = gzip(images, 5, packed, 0, sizeof packed); /* two members, cut inside the header */
  n = gzip(images + 5, sizeof images - 5, packed, n, sizeof packed);
  temp_file(d, "members", packed, n);
  check_two_images(a, b, false);
  check_two_images(a, b, true);
  check_two_images(c, b, false);
  check_two_images(d, b, false);
  tct_dataset *data = NULL;
  OK(tct_dataset_idx(a, NULL, NULL, &data));
  CHECK(tct_dataset_n_fields(data) == 1);
  tct_dataset_free(data);
  unlink(a), unlink(b), unlink(c), unlink(d);
  CHECK(tct_alloc_live() == before);
}

TEST(idx, hostile_files_are_refused_with_the_fix) {
  unsigned char packed[256];
  const size_t n_packed = gzip(images, sizeof images, packed, 0, sizeof packed);
  unsigned char damaged[256], trailing[256];
  memcpy(damaged, packed, n_packed);
  damaged[n_packed - 6] ^= 1; /* the checksum */
  memcpy(trailing, packed, n_packed);
  memcpy(trailing + n_packed, "rubbish", 7);
  const struct {
    const void *bytes;
    size_t n;
    const char *message;
  } rows[] = {
      {"<!DOCTYPE html>", 15, "which is a web page, needs an IDX file of images"},
      {" \r\n\t<HTML>", 10, "which is a web page"},
      {"  ", 2, "has 2 bytes"},
      {"", 0, "has 0 bytes"},
      {"\0\0\b", 3, "has 3 bytes"},
      {"PK\3\4", 4, "begins with bytes 50 4b 03 04"},
      {"\0\0\r\3", 4, "element type is 0x0d"},
      {labels, sizeof labels, "1 dimension (a labels file), images need 3"},
      {images, 10, "ends inside its header (10 of 16 bytes)"},
      {images, sizeof images - 1, "promises [2,2,3] bytes of images, the file has 11; it is cut short"},
      {"\0\0\b\3\377\377\377\377\377\377\377\377\377\377\377\377", 16, "cut short"},
      {"\0\0\b\3\200\0\0\0\200\0\0\0\0\0\0\4", 16, "cut short"}, /* 2^31 · 2^31 · 4 = 2^64 */
      {"\0\0\b\3\0\0\0\1\0\0\0\1\0\0\0\1ab", 18, "damaged, or two files in one"},
      {packed, n_packed - 3, "the gzip data is cut short"},
      {packed, 12, "the gzip data is cut short"},
      {damaged, n_packed, "damaged gzip data"},
      {trailing, n_packed + 7, "7 bytes follow the end of the gzip data"},
  };
  const int64_t before = tct_alloc_live();
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char path[512];
    temp_file(path, "hostile", rows[i].bytes, rows[i].n);
    tct_dataset *data = NULL;
    FAILS(tct_dataset_idx(path, NULL, NULL, &data), TCT_BAD_DATA, rows[i].message);
    CHECK(data == NULL && strstr(tct_error_message(), path), "row %zu: %s", i, tct_error_message());
    unlink(path);
  }
  CHECK(tct_alloc_live() == before);
}

TEST(idx, labels_must_match_images) {
  char a[512], b[512];
  const unsigned char three[] = {0, 0, 8, 1, 0, 0, 0, 3, 1, 2, 3};
  temp_file(a, "images", images, sizeof images);
  temp_file(b, "labels", three, sizeof three);
  tct_dataset *data = NULL;
  FAILS(tct_dataset_idx(a, b, NULL, &data), TCT_BAD_DATA, "has 3 labels");
  FAILS(tct_dataset_idx(NULL, b, NULL, &data), TCT_INVALID, "images_path is NULL");
  FAILS(tct_dataset_idx(a, b, &(tct_idx_options){.dtype = TCT_I32}, &data), TCT_INVALID, "dtype is i32; needs f32 or f64");
  OK(tct_dataset_idx(a, NULL, &(tct_idx_options){.dtype = TCT_F32}, &data));
  CHECK(tct_dataset_field(data, 0)->dtype == TCT_F32);
  tct_dataset_free(data);
  OK(tct_dataset_idx(a, NULL, &(tct_idx_options){.dtype = TCT_F64}, &data));
  double x[6];
  void *const out[1] = {x};
  OK(tct_dataset_read(data, (const int64_t[]){1}, 1, out));
  for (int i = 0; i < 6; i++) CHECK(x[i] == images[16 + 6 + i] / 255.0, "%d: %.17g", i, x[i]);
  tct_dataset_free(data);
  FAILS(tct_dataset_idx(a, a, NULL, &data), TCT_BAD_DATA, "3 dimensions (an images file), labels need 1");
  unlink(b);
  FAILS(tct_dataset_idx(a, b, NULL, &data), TCT_NOT_FOUND, b);
  unlink(a);
}

TEST(idx, fashion_mnist) {
  SKIP_WITHOUT_DATA();
  static const struct {
    const char *split;
    int64_t n;
  } rows[] = {{"train", 60000}, {"t10k", 10000}};
  for (int r = 0; r < 2; r++) {
    char a[512], b[512], name[128];
    snprintf(name, sizeof name, "fashion-mnist/%s-images-idx3-ubyte.gz", rows[r].split);
    real_path(a, name);
    snprintf(name, sizeof name, "fashion-mnist/%s-labels-idx1-ubyte.gz", rows[r].split);
    real_path(b, name);
    tct_dataset *data = NULL;
    OK(tct_dataset_idx(a, b, NULL, &data));
    CHECK(tct_dataset_samples(data) == rows[r].n);
    const tct_shape want = TCT_SHAPE(28, 28, 1);
    CHECK(tct_shape_equal(&tct_dataset_field(data, 0)->shape, &want));
    int64_t count[10] = {0};
    float x[784];
    int32_t y = -1;
    void *const out[2] = {x, &y};
    double sum = 0;
    for (int64_t i = 0; i < rows[r].n; i++) {
      OK(tct_dataset_read(data, &i, 1, out));
      CHECK(y >= 0 && y < 10);
      count[y]++;
      for (int p = 0; r == 0 && p < 784; p++) sum += (double)x[p];
    }
    for (int c = 0; c < 10; c++) CHECK(count[c] == rows[r].n / 10, "class %d: %lld", c, (long long)count[c]);
    if (r == 0) CHECK(fabs(sum / (60000.0 * 784) - 0.2860) < 1e-4, "mean %g", sum / (60000.0 * 784));
    tct_dataset_free(data);
  }
}
