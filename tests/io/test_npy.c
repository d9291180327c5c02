/* .npy: round trips, known bytes, hostile headers. */
#include "data/data_helpers.h"
#include "io/npy.h"

TEST(npy, round_trips_and_known_bytes) {
  const int64_t before = tct_alloc_live();
  const float values[6] = {1, 2, 3, 4, 5, 6};
  const tct_desc descs[] = {{TCT_F32, TCT_SHAPE(2, 3)},    {TCT_F32, TCT_SHAPE(6)},          {TCT_F64, TCT_SHAPE(3, 1)},
                            {TCT_I32, TCT_SHAPE(1, 2, 3)}, {TCT_I64, tct_shape_of(0, NULL)}, {TCT_U8, TCT_SHAPE(24)},
                            {TCT_F32, TCT_SHAPE(3, 0)}};
  char path[512];
  temp_path(path, "a.npy");
  for (size_t i = 0; i < sizeof descs / sizeof *descs; i++) {
    OK(tct_npy_write(path, &descs[i], values));
    tct_desc got;
    void *data = NULL;
    OK(tct_npy_read(path, &got, &data));
    CHECK(got.dtype == descs[i].dtype && tct_shape_equal(&got.shape, &descs[i].shape), "row %zu", i);
    CHECK(memcmp(data, values, (size_t)tct_shape_size(&got.shape) * tct_dtype_bytes(got.dtype)) == 0, "row %zu", i);
    tct_release(data);
  }
  OK(tct_npy_write(path, &descs[0], values));
  void *file = NULL;
  size_t n = 0;
  OK(tct_file_read(path, 1000, &file, &n));
  /* What numpy.save writes for numpy.float32([[1, 2, 3], [4, 5, 6]]). */
  static const char header[] = "\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";
  CHECK(n == 128 + 24 && memcmp(file, header, sizeof header - 1) == 0 && ((char *)file)[127] == '\n');
  tct_release(file);
  unlink(path);
  CHECK(tct_alloc_live() == before);
}

/* A version-1 file with this dictionary and `n` zero bytes of data. */
static size_t make_npy(unsigned char *to, const char *dictionary, size_t n) {
  const size_t length = strlen(dictionary);
  memcpy(to, "\x93NUMPY\x01\x00", 8);
  to[8] = (unsigned char)length;
  to[9] = (unsigned char)(length >> 8);
  memcpy(to + 10, dictionary, length);
  memset(to + 10 + length, 2, n);
  return 10 + length + n;
}

TEST(npy, other_spellings_are_read) {
  static const struct {
    const char *dictionary;
    size_t n;
    tct_dtype dtype;
    int32_t rank;
  } rows[] = {
      {"{'shape': (2,), 'descr': '<f8', 'fortran_order': False}\n", 16, TCT_F64, 1},
      {"{\"descr\":\"|u1\",\"fortran_order\":False,\"shape\":(1,2,3,)}", 6, TCT_U8, 3},
      {"{'descr': '|i1', 'fortran_order': False, 'shape': (6,), }", 6, TCT_I8, 1},
      {"{'descr': '<f2', 'fortran_order': False, 'shape': (3,), }", 6, TCT_F16, 1},
      {"{'descr': '<i8', 'fortran_order': False, 'shape': (), }      \n", 8, TCT_I64, 0},
      {"{'descr': '|b1', 'fortran_order': False, 'shape': (0, 7), }", 0, TCT_BOOL, 2},
  };
  char path[512];
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    unsigned char file[256];
    temp_file(path, "b.npy", file, make_npy(file, rows[i].dictionary, rows[i].n));
    tct_desc got;
    void *data = NULL;
    OK(tct_npy_read(path, &got, &data));
    CHECK(got.dtype == rows[i].dtype && got.shape.rank == rows[i].rank, "row %zu", i);
    tct_release(data);
  }
  unlink(path);
}

TEST(npy, hostile_headers_are_refused_with_the_fix) {
  static const struct {
    const char *dictionary;
    size_t n;
    const char *message;
  } rows[] = {
      {"{'descr': '<f4', 'fortran_order': True, 'shape': (2, 1), }", 8, "numpy.ascontiguousarray"},
      {"{'descr': '>f4', 'fortran_order': False, 'shape': (2,), }", 8, "x.astype('<f4')"},
      {"{'descr': '<c8', 'fortran_order': False, 'shape': (1,), }", 8, "dtype '<c8' is not read"},
      {"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", 8, "dtype '|O' is not read"},
      {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", 4, "structured array"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }", 8, "promises [3] of f32, the file has 8 bytes"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", 8, "promises [1] of f32"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807, 9), }", 8, "promises"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4), }", 0, "promises"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775808,), }", 8, "extents below 2^63"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", 8, "non-negative extent"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1), }", 4, "more than 8 dimensions"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (2), }", 8, "malformed"},
      {"{'descr': '<f4', 'fortran_order': False}", 8, "once each"},
      {"{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", 8, "once each"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'x': 1}", 8, "once each"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), } __import__('os')", 8, "nothing after '}'"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,)", 8, "malformed"},
      {"{'descr': '<f4", 8, "malformed"},
      {"{", 0, "malformed"},
      {"", 0, "malformed"},
      {"{'descr': '|b1', 'fortran_order': False, 'shape': (2,), }", 2, "element 0 of a bool array is byte 2"},
      {"{'descr': '<\\f4', 'fortran_order': False, 'shape': (2,), }", 8, "a dtype such as '<f4'"},
      {"{'descr': '<f4-and-then-some-more', 'fortran_order': False, 'shape': (2,), }", 8, "a dtype such as '<f4'"},
      {"{'descr': ", 0, "a dtype such as '<f4'"},
      {"{'descr': '<f4', 'fortran_order': Fal", 0, "True or False"},
      {"{'descr': '<f4', 'fortran_order': Maybe, 'shape': (2,), }", 8, "True or False"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': [2], }", 8, "a shape such as (3, 4)"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }", 8, "extents below 2^63"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (12", 8, "',' or ')'"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2x), }", 8, "',' or ')'"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,) x}", 8, "',' or '}'"},
      {"{'descr' '<f4'}", 8, "'key':"},
      {"{'fortran_order': False, 'shape': (2,), }", 8, "once each"},
      {"{'descr': '<f4', 'shape': (2,), }", 8, "once each"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904,), }", 0, "promises [4611686018427387904] of f32"},
  };
  const int64_t before = tct_alloc_live();
  char path[512];
  tct_desc got;
  void *data = NULL;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    unsigned char file[256];
    temp_file(path, "c.npy", file, make_npy(file, rows[i].dictionary, rows[i].n));
    FAILS(tct_npy_read(path, &got, &data), TCT_BAD_DATA, rows[i].message);
    CHECK(data == NULL, "row %zu", i);
  }
  static const char *const no_npy[] = {"", "\x93NUMPY", "\x93NUMPY\x01\x01\x10\x10{}", "PK\3\4 an .npz is a zip",
                                       "\x93NUMPY\x02\x01\xff\xff\xff\xff{}"};
  for (size_t i = 0; i < sizeof no_npy / sizeof *no_npy; i++) {
    temp_file(path, "c.npy", no_npy[i], strlen(no_npy[i]));
    FAILS(tct_npy_read(path, &got, &data), TCT_BAD_DATA, "is not a .npy file");
  }
  static const struct {
    const char *bytes;
    size_t n;
    const char *message;
  } raw[] = {{"\x93NUMPY\0\0\2\0{}", 12, "is not a .npy file"},
             {"\x93NUMPY\4\0\2\0{}", 12, "is not a .npy file"},
             {"\x93NUMPY\2\0\1\0\0", 11, "is not a .npy file"},
             {"\x93NUMPY\1\0\3\0{}", 12, "is not a .npy file"},
             {" \t\r\n<html>", 10, "which is a web page"},
             {" \t\r\n", 4, "is not a .npy file"}};
  for (size_t i = 0; i < sizeof raw / sizeof *raw; i++) {
    temp_file(path, "c.npy", raw[i].bytes, raw[i].n);
    FAILS(tct_npy_read(path, &got, &data), TCT_BAD_DATA, raw[i].message);
  }
  unlink(path);
  const tct_desc negative = {TCT_F64, {.rank = 1, .dim = {-1}}}, vast = {TCT_F64, TCT_SHAPE(INT64_C(1) << 62)};
  FAILS(tct_npy_write(path, &negative, NULL), TCT_INVALID, "a negative extent");
  FAILS(tct_npy_write(path, &vast, NULL), TCT_INVALID, "more bytes than memory can address");
  const tct_desc half = {TCT_BF16, TCT_SHAPE(1)};
  FAILS(tct_npy_write(path, &half, "ab"), TCT_INVALID, "convert it to f32");
  CHECK(tct_alloc_live() == before);
}

TEST(npy, datasets) {
  const int64_t before = tct_alloc_live();
  const double x[3][2] = {{1, 2}, {3, 4}, {5, 6}};
  const int64_t y[3] = {1, 0, 2};
  const tct_desc x_desc = {TCT_F64, TCT_SHAPE(3, 2)}, y_desc = {TCT_I64, TCT_SHAPE(3)},
                 short_desc = {TCT_I64, TCT_SHAPE(2)};
  const tct_desc scalar = {TCT_F64, tct_shape_of(0, NULL)};
  char a[512], b[512];
  OK(tct_npy_write(temp_path(a, "x.npy"), &x_desc, x));
  OK(tct_npy_write(temp_path(b, "y.npy"), &y_desc, y));
  tct_dataset *data = NULL;
  OK(tct_dataset_npy(a, b, &data));
  CHECK(tct_dataset_samples(data) == 3 && tct_dataset_field(data, 1)->dtype == TCT_I64);
  CHECK(tct_dataset_field(data, 0)->shape.rank == 1 && tct_dataset_field(data, 1)->shape.rank == 0);
  double row[2];
  int64_t label = 0;
  void *const out[2] = {row, &label};
  const int64_t index = 2;
  OK(tct_dataset_read(data, &index, 1, out));
  CHECK(row[0] == 5 && row[1] == 6 && label == 2);
  tct_dataset_free(data);
  OK(tct_npy_write(b, &short_desc, y));
  FAILS(tct_dataset_npy(a, b, &data), TCT_BAD_DATA, "has 2 samples");
  OK(tct_npy_write(a, &scalar, x));
  FAILS(tct_dataset_npy(a, NULL, &data), TCT_BAD_DATA, "reshape it with x[None]");
  FAILS(tct_dataset_npy(NULL, b, &data), TCT_INVALID, "x_path is NULL");
  unlink(a), unlink(b);
  CHECK(tct_alloc_live() == before);
}
