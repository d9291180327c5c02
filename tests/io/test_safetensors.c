/* safetensors: known bytes, round trips, and headers that lie in every way. */
#include "data/data_helpers.h"
#include "io/safetensors.h"

TEST(safetensors, known_bytes) {
  const float w[2] = {1, -2};
  const uint8_t b[3] = {7, 8, 9};
  const tct_named_array arrays[2] = {{"w", {TCT_F32, TCT_SHAPE(1, 2)}, w}, {"b\"", {TCT_U8, TCT_SHAPE(3)}, b}};
  const tct_named_text metadata[1] = {{"format", "tercet"}};
  char path[512];
  OK(tct_safetensors_write(temp_path(path, "a.safetensors"), arrays, 2, metadata, 1));
  static const char header[] = "{\"__metadata__\":{\"format\":\"tercet\"},"
                               "\"w\":{\"dtype\":\"F32\",\"shape\":[1,2],\"data_offsets\":[0,8]},"
                               "\"b\\\"\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[8,11]}}";
  const size_t length = sizeof header - 1, padded = (length + 7) / 8 * 8;
  void *file = NULL;
  size_t n = 0;
  OK(tct_file_read(path, 4096, &file, &n));
  const unsigned char *const bytes = file;
  CHECK(n == 8 + padded + 11, "%zu bytes", n);
  CHECK(bytes[0] == padded % 256 && bytes[1] == padded / 256 && bytes[2] == 0 && bytes[7] == 0);
  CHECK(memcmp(bytes + 8, header, length) == 0, "%.*s", (int)length, (const char *)bytes + 8);
  for (size_t i = length; i < padded; i++) CHECK(bytes[8 + i] == ' ');
  CHECK(memcmp(bytes + 8 + padded, w, 8) == 0 && memcmp(bytes + 16 + padded, b, 3) == 0);
  tct_release(file);
  unlink(path);
}

TEST(safetensors, round_trip_of_every_dtype) {
  const int64_t before = tct_alloc_live();
  const double d[2] = {1.5, -0.0};
  const int64_t l[1] = {INT64_MIN};
  const uint8_t u[3] = {1, 0, 1};
  /* "u" leaves what follows it unaligned: the reader still hands out aligned data. */
  const tct_named_array arrays[] = {
      {"u", {TCT_BOOL, TCT_SHAPE(3)}, u},         {"d", {TCT_F64, TCT_SHAPE(2)}, d},
      {"l", {TCT_I64, tct_shape_of(0, NULL)}, l}, {"empty", {TCT_F32, TCT_SHAPE(4, 0)}, NULL},
      {"i", {TCT_I32, TCT_SHAPE(2)}, l},          {"h", {TCT_BF16, TCT_SHAPE(1, 4)}, d},
      {"g", {TCT_F16, TCT_SHAPE(1)}, d},          {"ünïcode/0", {TCT_U8, TCT_SHAPE(1)}, u},
      {"f", {TCT_F32, TCT_SHAPE(2, 2)}, d}};
  const size_t n = sizeof arrays / sizeof *arrays;
  char path[512];
  OK(tct_safetensors_write(temp_path(path, "b.safetensors"), arrays, n, NULL, 0));
  tct_safetensors *file = NULL;
  OK(tct_safetensors_read(path, &file));
  CHECK(tct_safetensors_count(file) == n && tct_safetensors_at(file, n) == NULL);
  for (size_t i = 0; i < n; i++) {
    const tct_named_array *const got = tct_safetensors_find(file, arrays[i].name);
    CHECK(got && got == tct_safetensors_at(file, i), "'%s' is not in its place", arrays[i].name);
    CHECK(got->desc.dtype == arrays[i].desc.dtype && tct_shape_equal(&got->desc.shape, &arrays[i].desc.shape), "%s",
          got->name);
    const size_t bytes = (size_t)tct_shape_size(&got->desc.shape) * tct_dtype_bytes(got->desc.dtype);
    CHECK(bytes == 0 || memcmp(got->data, arrays[i].data, bytes) == 0, "%s", got->name);
    CHECK((uintptr_t)got->data % tct_dtype_bytes(got->desc.dtype) == 0, "%s is unaligned", got->name);
  }
  CHECK(tct_safetensors_find(file, "nope") == NULL && tct_safetensors_metadata(file, "format") == NULL);
  tct_safetensors_free(file);
  OK(tct_safetensors_write(path, NULL, 0, NULL, 0));
  OK(tct_safetensors_read(path, &file));
  CHECK(tct_safetensors_count(file) == 0);
  tct_safetensors_free(file);
  tct_safetensors_free(NULL);
  unlink(path);
  CHECK(tct_alloc_live() == before);
}

/* Length, header and n bytes of value 2; the length is the header's unless it is given. */
static size_t make_file(unsigned char *to, const char *header, uint64_t length, size_t n) {
  const size_t real = strlen(header);
  if (length == 0) length = real;
  for (int i = 0; i < 8; i++) to[i] = (unsigned char)(length >> (8 * i));
  memcpy(to + 8, header, real);
  memset(to + 8 + real, 2, n);
  return 8 + real + n;
}

#define T(dtype, shape, begin, end) "{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" begin "," end "]}"

TEST(safetensors, foreign_spellings_are_read) {
  static const struct {
    const char *header;
    size_t n, count;
  } rows[] = {
      {"{\"b\":" T("F32", "[1]", "4", "8") ",\"a\":" T("F32", "[1]", "0", "4") "}   ", 8, 2}, /* any order; padded */
      {"{ \"__metadata__\" : {} , \"a\" : " T("BF16", "[]", "0", "2") "}", 2, 1},
      {"{\"a\":" T("F32", "[0,9223372036854775807]", "0", "0") "}", 0, 1},
      {"{}", 0, 0},
      /* without bytes: at the place where others begin, whatever stands first */
      {"{\"b\":" T("U8", "[1]", "0", "1") ",\"a\":" T("U8", "[0]", "0", "0") ",\"c\":" T("U8", "[0]", "0", "0") "}", 1, 3},
      {"{\"a\":" T("U8", "[0]", "0", "0") ",\"c\":" T("U8", "[0]", "0", "0") ",\"b\":" T("U8", "[1]", "0", "1") "}", 1, 3},
  };
  char path[512];
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    unsigned char bytes[512];
    temp_file(path, "c.safetensors", bytes, make_file(bytes, rows[i].header, 0, rows[i].n));
    tct_safetensors *file = NULL;
    OK(tct_safetensors_read(path, &file));
    CHECK(tct_safetensors_count(file) == rows[i].count, "row %zu", i);
    if (i == 0) CHECK(strcmp(tct_safetensors_at(file, 0)->name, "a") == 0);
    tct_safetensors_free(file);
  }
  unlink(path);
}

TEST(safetensors, hostile_files_are_refused) {
  static const struct {
    const char *header;
    uint64_t length; /* 0: the header's */
    size_t n;
    const char *message;
  } rows[] = {
      {"{}", 3, 0, "its header alone would take 3"},
      {"{}", UINT64_MAX, 0, "its header alone would take 18446744073709551615"},
      {"", 0, 0, "does not begin with '{'"},
      {" {}", 0, 0, "does not begin with '{'"},
      {"[]", 0, 0, "does not begin with '{'"},
      {"{\"a\":}", 0, 0, "no valid JSON"},
      {"{}x", 0, 0, "no valid JSON"},
      {"{\"\xff\":1}", 0, 0, "no valid JSON"},
      {"{\"a\\u0000b\":" T("U8", "[1]", "0", "1") "}", 0, 1, "no valid JSON"},
      {"{\"a\":" T("U8", "[1]", "0", "1") ",\"a\":" T("U8", "[1]", "1", "2") "}", 0, 2, "no valid JSON"},
      {"{\"a\":1}", 0, 0, "needs exactly the keys"},
      {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1]}}", 0, 1, "needs exactly the keys"},
      {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1],\"x\":0}}", 0, 1, "needs exactly the keys"},
      {"{\"a\":" T("F8_E4M3", "[1]", "0", "1") "}", 0, 1, "dtype 'F8_E4M3'"},
      {"{\"a\":{\"dtype\":4,\"shape\":[1],\"data_offsets\":[0,1]}}", 0, 1, "(not a string)"},
      {"{\"a\":" T("U8", "[-1]", "0", "1") "}", 0, 1, "extent 0"},
      {"{\"a\":" T("U8", "[1.0]", "0", "1") "}", 0, 1, "extent 0"},
      {"{\"a\":" T("U8", "1", "0", "1") "}", 0, 1, "not a list"},
      {"{\"a\":" T("U8", "[1,1,1,1,1,1,1,1,1]", "0", "1") "}", 0, 1, "at most 8"},
      {"{\"a\":" T("U8", "[99999999999999999999]", "0", "1") "}", 0, 1, "no valid JSON"},
      {"{\"a\":" T("U8", "[4294967296,4294967296]", "0", "0") "}", 0, 0, "the two must agree"},
      {"{\"a\":" T("F32", "[4611686018427387904]", "0", "0") "}", 0, 0, "the two must agree"},
      {"{\"a\":" T("F32", "[1]", "0", "5") "}", 0, 5, "span 5 bytes"},
      {"{\"a\":" T("U8", "[2]", "0", "2") "}", 0, 1, "data_offsets"},
      {"{\"a\":" T("U8", "[1]", "1", "0") "}", 0, 1, "data_offsets"},
      {"{\"a\":" T("U8", "[1]", "-1", "0") "}", 0, 1, "data_offsets"},
      {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1,2]}}", 0, 1, "data_offsets"},
      {"{\"a\":" T("U8", "[1]", "1", "2") "}", 0, 2, "no gap may be left"},
      {"{\"a\":" T("U8", "[2]", "0", "2") ",\"b\":" T("U8", "[2]", "1", "3") "}", 0, 3, "must not overlap"},
      {"{\"a\":" T("U8", "[2]", "0", "2") ",\"b\":" T("U8", "[2]", "0", "2") "}", 0, 2, "must not overlap"},
      {"{\"a\":" T("U8", "[1]", "0", "1") ",\"b\":" T("U8", "[1]", "2", "3") "}", 0, 3, "no gap may be left"},
      {"{\"a\":" T("U8", "[1]", "0", "1") "}", 0, 2, "no bytes may be left over"},
      {"{}", 0, 1, "no bytes may be left over"},
      {"{\"a\":" T("BOOL", "[1]", "0", "1") "}", 0, 1, "is byte 2, a BOOL needs 0 or 1"},
      {"{\"__metadata__\":{\"k\":1}}", 0, 0, "'k' is not a string"},
      {"{\"__metadata__\":[]}", 0, 0, "not an object"},
      {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":1}}", 0, 1, "data_offsets"},
      {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[\"0\",1]}}", 0, 1, "data_offsets"},
      {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1.5]}}", 0, 1, "data_offsets"},
      {"{\"a\":{\"type\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 0, 1, "needs exactly the keys"},
      {"{\"a\":{\"dtype\":\"U8\",\"form\":[1],\"data_offsets\":[0,1]}}", 0, 1, "needs exactly the keys"},
      {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"offsets\":[0,1]}}", 0, 1, "needs exactly the keys"},
  };
  const int64_t before = tct_alloc_live();
  char path[512];
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    unsigned char bytes[512];
    temp_file(path, "d.safetensors", bytes, make_file(bytes, rows[i].header, rows[i].length, rows[i].n));
    tct_safetensors *file = NULL;
    FAILS(tct_safetensors_read(path, &file), TCT_BAD_DATA, rows[i].message);
    CHECK(file == NULL, "row %zu", i);
  }
  unlink(path);
  CHECK(tct_alloc_live() == before);
}

TEST(safetensors, any_prefix_and_any_flipped_byte_is_survived) {
  const float w[4] = {1, 2, 3, 4};
  const tct_named_array arrays[2] = {{"w", {TCT_F32, TCT_SHAPE(2)}, w}, {"v", {TCT_F32, TCT_SHAPE(2)}, w + 2}};
  char path[512];
  OK(tct_safetensors_write(temp_path(path, "e.safetensors"), arrays, 2, NULL, 0));
  void *whole = NULL;
  size_t n = 0;
  OK(tct_file_read(path, 4096, &whole, &n));
  unsigned char *const bytes = whole;
  tct_safetensors *file = NULL;
  for (size_t cut = 0; cut < n; cut++) {
    temp_file(path, "e.safetensors", bytes, cut);
    CHECK(tct_safetensors_read(path, &file) == TCT_BAD_DATA, "a prefix of %zu bytes was taken", cut);
  }
  const int64_t before = tct_alloc_live();
  for (size_t at = 0; at < n; at++) {
    bytes[at] ^= 0x15;
    temp_file(path, "e.safetensors", bytes, n);
    if (tct_safetensors_read(path, &file) == TCT_OK) tct_safetensors_free(file);
    bytes[at] ^= 0x15;
  }
  CHECK(tct_alloc_live() == before);
  tct_release(whole);
  unlink(path);
}

TEST(safetensors, the_writer_refuses_what_cannot_be_read) {
  const float w[1] = {1};
  const tct_desc desc = {TCT_F32, TCT_SHAPE(1)};
  const struct {
    tct_named_array arrays[2];
    const char *message;
  } rows[] = {
      {{{"w", desc, w}, {"w", desc, w}}, "two tensors are named 'w'"},
      {{{"w", desc, w}, {"__metadata__", desc, w}}, "may not be named"},
      {{{"w", desc, w}, {NULL, desc, w}}, "(null)"},
      {{{"w", desc, w}, {"\xff", desc, w}}, "not valid UTF-8"},
      {{{"w", desc, w}, {"v", {TCT_F32, {.rank = 1, .dim = {-1}}}, w}}, "tensor 'v' has a dtype or shape"},
      {{{"w", desc, w}, {"v", {TCT_DTYPE_NONE, {0}}, w}}, "tensor 'v' has a dtype or shape"},
      {{{"w", {(tct_dtype)99, {0}}, w}, {"v", desc, w}}, "tensor 'w' has a dtype or shape"},
      {{{NULL, desc, w}, {"v", desc, w}}, "(null)"},
      {{{"w", {TCT_F64, TCT_SHAPE(INT64_C(1) << 62)}, w}, {"v", desc, w}}, "tensor 'w' has a dtype or shape"},
      {{{"w", {TCT_F32, TCT_SHAPE(INT64_C(1) << 61)}, w}, {"v", desc, w}}, "tensor 'w' has a dtype or shape"},
      {{{"w", {TCT_U8, TCT_SHAPE(INT64_MAX)}, w}, {"v", {TCT_F64, TCT_SHAPE((INT64_C(1) << 61) - 1)}, w}}, "tensor 'v' has a dtype or shape"},
  };
  char path[512];
  temp_path(path, "f.safetensors");
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    FAILS(tct_safetensors_write(path, rows[i].arrays, 2, NULL, 0), TCT_INVALID, rows[i].message);
  static const struct {
    tct_named_text texts[2];
    const char *message;
  } metadata[] = {{{{"\xff", "x"}, {"k", "v"}}, "metadata key '\xff' is not valid UTF-8"},
                  {{{"k", "\xff"}, {"l", "v"}}, "metadata value '\xff' is not valid UTF-8"},
                  {{{"k", "v"}, {"k", "v"}}, "two metadata keys are named 'k'"}};
  for (size_t i = 0; i < sizeof metadata / sizeof *metadata; i++)
    FAILS(tct_safetensors_write(path, NULL, 0, metadata[i].texts, 2), TCT_INVALID, metadata[i].message);
  CHECK(access(path, F_OK) != 0, "a refused file was written");
}

/* The format allows headers of 100 MB. */
TEST(safetensors, headers_longer_than_the_format_allows) {
  const size_t most = (size_t)100 * 1000 * 1000;
  char path[512];
  unsigned char length[8] = {0};
  for (int i = 0; i < 8; i++) length[i] = (unsigned char)((uint64_t)(most + 1) >> (8 * i));
  temp_file(path, "g.safetensors", length, sizeof length);
  CHECK(truncate(path, (off_t)(8 + most + 1)) == 0);
  tct_safetensors *file = NULL;
  FAILS(tct_safetensors_read(path, &file), TCT_BAD_DATA, "takes 100000001 bytes, the format allows 100000000");
  unlink(path);
  char *const value = malloc(most + 1);
  CHECK(value != NULL);
  memset(value, 'a', most);
  value[most] = '\0';
  const tct_named_text text = {"k", value};
  FAILS(tct_safetensors_write(path, NULL, 0, &text, 1), TCT_INVALID, "the format allows 100000000");
  CHECK(access(path, F_OK) != 0, "a refused file was written");
  free(value);
}
