/* The error record: message, frames, truncation, one record per thread; and the vocabulary of types.h. */
#include "base/status.h"
#include "test.h"

#include <errno.h>
#include <pthread.h>

static bool ends_with(const char *text, const char *end) {
  const size_t length = strlen(text), end_length = strlen(end);
  return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

TEST(status, message_and_frames) {
  tct_error_clear();
  CHECK(tct_error_status() == TCT_OK && strcmp(tct_error_message(), "") == 0);
  errno = EPIPE;
  CHECK(tct_fail(TCT_INVALID, "rank is %d, needs %d", 3, 2) == TCT_INVALID);
  CHECK(tct_context("in layer '%s'", "fc1") == TCT_INVALID);
  CHECK(tct_context("in model '%s'", "net") == TCT_INVALID);
  CHECK(errno == EPIPE, "errno did not survive");
  CHECK(tct_error_status() == TCT_INVALID);
  CHECK(strcmp(tct_error_message(), "rank is 3, needs 2 [E001]\n  in layer 'fc1'\n  in model 'net'") == 0, "%s",
        tct_error_message());
  /* A new failure replaces all of it, also one that quotes the old text. */
  CHECK(tct_fail(TCT_IO, "again: %s", tct_error_message()) == TCT_IO);
  CHECK(strcmp(tct_error_message(), "again: rank is 3, needs 2 [E001]\n  in layer 'fc1'\n  in model 'net' [E007]") == 0,
        "%s", tct_error_message());
  tct_error_clear();
  CHECK(tct_error_status() == TCT_OK && strcmp(tct_error_message(), "") == 0);
  CHECK(tct_context("layer 'x'") == TCT_INTERNAL, "a frame without a failure is a bug of ours, not a success");
  tct_error_clear();
}

TEST(status, long_texts_are_cut) {
  char text[8001];
  for (int shift = 0; shift < 3; shift++) { /* "ä" is two bytes: the cut must not fall inside one */
    memset(text, 'x', sizeof text);
    for (size_t i = (size_t)shift; i + 2 < sizeof text; i += 2) memcpy(text + i, "\xC3\xA4", 2);
    text[sizeof text - 1] = '\0';
    (void)tct_fail(TCT_INVALID, "%s", text);
    const char *const message = tct_error_message();
    const size_t kept = strlen(message) - strlen("\xE2\x80\xA6 [E001]");
    CHECK(kept > 4000 && kept < 4096 && ends_with(message, "\xE2\x80\xA6 [E001]"), "%zu bytes kept", kept);
    CHECK(memcmp(message, text, kept) == 0);
    CHECK((kept - (size_t)shift) % 2 == 0, "shift %d: half a character is kept", shift);
  }
  /* More frames than there is room for: the innermost and the outermost stay. */
  (void)tct_fail(TCT_INVALID, "inner");
  for (int i = 0; i < 20; i++) (void)tct_context("in frame %d %s", i, i == 3 ? text : "");
  const char *const message = tct_error_message();
  CHECK(strncmp(message, "inner [E001]\n  in frame 0 \n  in frame 1 ", 40) == 0, "%s", message);
  CHECK(strstr(message, "frame 6 ") && !strstr(message, "frame 7 ") && ends_with(message, "frame 19 "), "%s", message);
  tct_error_clear();
}

static void *fail_there(void *user) {
  (void)tct_fail(TCT_IO, "there");
  *(bool *)user = strcmp(tct_error_message(), "there [E007]") == 0;
  return NULL;
}

TEST(status, each_thread_has_its_own) {
  (void)tct_fail(TCT_INVALID, "here");
  bool right = false;
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, fail_there, &right) == 0);
  CHECK(pthread_join(thread, NULL) == 0);
  CHECK(right && strcmp(tct_error_message(), "here [E001]") == 0 && tct_error_status() == TCT_INVALID);
  tct_error_clear();
}

TEST(status, names) {
  for (int i = 0; i < TCT_N_STATUS; i++) {
    const char *const name = tct_status_name((tct_status)i);
    CHECK(name && name[0] != '\0' && name[0] != '?', "status %d", i);
    for (int j = 0; j < i; j++) CHECK(strcmp(name, tct_status_name((tct_status)j)) != 0, "%s twice", name);
  }
  CHECK(strcmp(tct_status_name((tct_status)99), "?") == 0);
  char version[32];
  (void)snprintf(version, sizeof version, "%d.%d.%d", TCT_VERSION_MAJOR, TCT_VERSION_MINOR, TCT_VERSION_PATCH);
  CHECK(strcmp(tct_version(), version) == 0, "%s", tct_version());
}

TEST(types, dtypes) {
  static const struct {
    tct_dtype dtype;
    const char *name;
    size_t bytes;
  } rows[] = {
      {TCT_DTYPE_NONE, "none", 0}, {TCT_F32, "f32", 4},    {TCT_F64, "f64", 8},     {TCT_I32, "i32", 4},
      {TCT_I64, "i64", 8},         {TCT_U8, "u8", 1},      {TCT_BOOL, "bool", 1},   {TCT_BF16, "bf16", 2},
      {TCT_F16, "f16", 2},         {TCT_I8, "i8", 1},      {TCT_N_DTYPES, "?", 0}, {(tct_dtype)77, "?", 0},
  };
  for (size_t i = 0; i < TCT_COUNT_OF(rows); i++) {
    CHECK(strcmp(tct_dtype_name(rows[i].dtype), rows[i].name) == 0, "%s", rows[i].name);
    CHECK(tct_dtype_bytes(rows[i].dtype) == rows[i].bytes, "%s", rows[i].name);
  }
}

TEST(types, shapes) {
  static const struct {
    tct_shape shape;
    int64_t size;
    const char *text;
  } rows[] = {
      {{.rank = 0}, 1, "[]"},
      {{.rank = 1, .dim = {7}}, 7, "[7]"},
      {{.rank = 4, .dim = {32, 28, 28, 1}}, 25088, "[32,28,28,1]"},
      {{.rank = 2, .dim = {0, 5}}, 0, "[0,5]"},
      {{.rank = 2, .dim = {3, -1}}, -1, "[3,-1]"},
      {{.rank = 2, .dim = {0, -1}}, -1, "[0,-1]"},
      {{.rank = 2, .dim = {INT64_MAX, 2}}, -1, "[9223372036854775807,2]"},
      {{.rank = 3, .dim = {INT64_MAX, 2, 0}}, 0, "[9223372036854775807,2,0]"},
      {{.rank = 9}, -1, "[rank 9]"},
      {{.rank = -1}, -1, "[rank -1]"},
  };
  for (size_t i = 0; i < TCT_COUNT_OF(rows); i++) {
    char text[160];
    CHECK(strcmp(tct_shape_print(&rows[i].shape, text, sizeof text), rows[i].text) == 0, "%s", text);
    const int64_t size = tct_shape_size(&rows[i].shape);
    CHECK(size == rows[i].size, "%s has size %lld", rows[i].text, (long long)size);
    const tct_shape copy = tct_shape_of(rows[i].shape.rank, rows[i].shape.dim);
    for (size_t j = 0; j < TCT_COUNT_OF(rows); j++)
      CHECK(tct_shape_equal(&copy, &rows[j].shape) == (i == j), "%s and %s", rows[i].text, rows[j].text);
  }
  char small[6];
  CHECK(strcmp(tct_shape_print(&rows[2].shape, small, sizeof small), "[32,2") == 0, "%s", small);
  CHECK(TCT_SHAPE(4, 5).rank == 2 && TCT_SHAPE(4, 5).dim[1] == 5);
  const tct_shape scalar = tct_shape_of(0, NULL);
  CHECK(tct_shape_size(&scalar) == 1);
}
