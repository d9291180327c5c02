/* The vocabulary of <tercet/types.h>: names and sizes of element types, shapes, the version. */
#include "base/checked.h"
#include "base/status.h"

#include <inttypes.h>
#include <stdio.h>

static const struct {
  const char *name;
  size_t bytes;
} dtype_table[TCT_N_DTYPES] = {
    [TCT_DTYPE_NONE] = {"none", 0}, [TCT_F32] = {"f32", 4},   [TCT_F64] = {"f64", 8},
    [TCT_I32] = {"i32", 4},         [TCT_I64] = {"i64", 8},   [TCT_U8] = {"u8", 1},
    [TCT_BOOL] = {"bool", 1},       [TCT_BF16] = {"bf16", 2}, [TCT_F16] = {"f16", 2},
    [TCT_I8] = {"i8", 1},
};

#define TEXT_OF(x)                        #x
#define VERSION_TEXT(major, minor, patch) TEXT_OF(major) "." TEXT_OF(minor) "." TEXT_OF(patch)

const char *tct_version(void) {
  return VERSION_TEXT(TCT_VERSION_MAJOR, TCT_VERSION_MINOR, TCT_VERSION_PATCH);
}

#undef VERSION_TEXT
#undef TEXT_OF

static bool dtype_known(tct_dtype dtype) {
  return (int)dtype >= 0 && (int)dtype < TCT_N_DTYPES;
}

const char *tct_dtype_name(tct_dtype dtype) {
  return dtype_known(dtype) ? dtype_table[dtype].name : "?";
}

size_t tct_dtype_bytes(tct_dtype dtype) {
  return dtype_known(dtype) ? dtype_table[dtype].bytes : 0;
}

static int32_t stored_rank(int32_t rank) {
  return rank < 0 ? 0 : rank > TCT_MAX_RANK ? TCT_MAX_RANK : rank;
}

/* A rank that no shape can have is kept, so that whoever checks the shape can name it. */
tct_shape tct_shape_of(int32_t rank, const int64_t *dim) {
  tct_shape shape = {.rank = rank};
  for (int32_t i = 0; i < stored_rank(rank); i++) shape.dim[i] = dim[i];
  return shape;
}

bool tct_shape_equal(const tct_shape *a, const tct_shape *b) {
  if (a->rank != b->rank) return false;
  for (int32_t i = 0; i < stored_rank(a->rank); i++)
    if (a->dim[i] != b->dim[i]) return false;
  return true;
}

int64_t tct_shape_size(const tct_shape *shape) {
  if (shape->rank < 0 || shape->rank > TCT_MAX_RANK) return -1;
  bool empty = false;
  for (int32_t i = 0; i < shape->rank; i++) {
    if (shape->dim[i] < 0) return -1;
    empty = empty || shape->dim[i] == 0;
  }
  if (empty) return 0; /* whatever the other extents: the answer must not depend on their order */
  int64_t size = 1;
  for (int32_t i = 0; i < shape->rank; i++)
    if (!tct_mul_i64(size, shape->dim[i], &size)) return -1;
  return size;
}

const char *tct_shape_print(const tct_shape *shape, char *text, size_t text_bytes) {
  if (text_bytes == 0) return text;
  if (shape->rank < 0 || shape->rank > TCT_MAX_RANK) {
    (void)snprintf(text, text_bytes, "[rank %" PRId32 "]", shape->rank);
    return text;
  }
  size_t used = (size_t)snprintf(text, text_bytes, "[");
  for (int32_t i = 0; i < shape->rank && used < text_bytes; i++)
    used += (size_t)snprintf(text + used, text_bytes - used, "%s%" PRId64, i > 0 ? "," : "", shape->dim[i]);
  if (used < text_bytes) (void)snprintf(text + used, text_bytes - used, "]");
  return text;
}
