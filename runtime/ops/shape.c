/* Shape and dtype checks that the shape rules of several families share. */
#include "ops/shape.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool tct_refuse(tct_infer *infer, const char *format, ...) {
  va_list args;
  va_start(args, format);
  vsnprintf(infer->why, sizeof infer->why, format, args);
  va_end(args);
  return false;
}

bool tct_refuse_as(tct_infer *infer, uint32_t code, const char *format, ...) {
  va_list args;
  va_start(args, format);
  vsnprintf(infer->why, sizeof infer->why, format, args);
  va_end(args);
  infer->code = code;
  return false;
}

tct_shape_text tct_show(const tct_shape *shape) {
  tct_shape_text show = {.text = ""};
  tct_shape_print(shape, show.text, sizeof show.text);
  return show;
}

/* The extent of axis i when shapes are aligned at their ends. */
static int64_t aligned(const tct_shape *shape, int32_t rank, int32_t i) {
  const int32_t own = i - (rank - shape->rank);
  return own < 0 ? 1 : shape->dim[own];
}

bool tct_broadcast(const tct_shape *a, const tct_shape *b, tct_shape *out) {
  tct_shape both = {.rank = a->rank > b->rank ? a->rank : b->rank};
  for (int32_t i = 0; i < both.rank; i++) {
    const int64_t da = aligned(a, both.rank, i), db = aligned(b, both.rank, i);
    if (da != db && da != 1 && db != 1) return false;
    both.dim[i] = da == 1 ? db : da;
  }
  *out = both;
  return true;
}

tct_shape tct_reduced(const tct_shape *x, uint32_t axes, bool keepdims) {
  tct_shape out = {0};
  for (int32_t i = 0; i < x->rank; i++) {
    const bool gone = (axes >> i & 1u) != 0;
    if (!gone) out.dim[out.rank++] = x->dim[i];
    if (gone && keepdims) out.dim[out.rank++] = 1;
  }
  return out;
}

tct_shape tct_shape_part(const tct_shape *shape, int32_t from, int32_t to) {
  return tct_shape_of(to - from, shape->dim + from);
}

int64_t tct_shape_extent(const tct_shape *shape, int32_t from, int32_t to) {
  const tct_shape part = tct_shape_part(shape, from, to);
  return tct_shape_size(&part);
}

/* "f32, f64 or i32". Storage types are left out: the words are advice, and nobody should convert to them to get on. */
static const char *class_names(unsigned classes, char *text, size_t bytes) {
  size_t used = 0;
  classes &= ~(1u << TCT_BF16 | 1u << TCT_F16 | 1u << TCT_I8);
  int left = __builtin_popcount(classes);
  text[0] = '\0';
  for (int dtype = 1; dtype < TCT_N_DTYPES && used < bytes; dtype++) {
    if ((classes >> dtype & 1u) == 0) continue;
    left--;
    const char *then = left > 1 ? ", " : left == 1 ? " or " : "";
    used += (size_t)snprintf(text + used, bytes - used, "%s%s", tct_dtype_name((tct_dtype)dtype), then);
  }
  return text;
}

bool tct_check_dtype(tct_infer *infer, int32_t i, const char *what, unsigned classes) {
  const tct_dtype dtype = infer->in[i].dtype;
  if ((classes >> dtype & 1u) != 0) return true;
  char names[64];
  return tct_refuse_as(infer, TCT_E_DTYPE, "%s is %s, needs %s; convert it with tct_cast", what, tct_dtype_name(dtype),
                       class_names(classes, names, sizeof names));
}

bool tct_check_same_dtype(tct_infer *infer, int32_t i, const char *what_i, int32_t j, const char *what_j) {
  const tct_dtype a = infer->in[i].dtype, b = infer->in[j].dtype;
  if (a == b) return true;
  return tct_refuse_as(infer, TCT_E_DTYPE, "%s is %s and %s is %s; both need one dtype: convert one with tct_cast",
                       what_i, tct_dtype_name(a), what_j, tct_dtype_name(b));
}

bool tct_check_shape(tct_infer *infer, int32_t i, const char *what, const tct_shape *needs, const char *why) {
  const tct_shape *has = &infer->in[i].shape;
  if (tct_shape_equal(has, needs)) return true;
  return tct_refuse(infer, "%s is %s, needs %s: %s", what, tct_show(has).text, tct_show(needs).text, why);
}

bool tct_check_axis(tct_infer *infer, const tct_shape *x, int32_t *axis) {
  if (x->rank == 0) return tct_refuse_as(infer, TCT_E_AXIS, "axis %" PRId32 " of a scalar: it has no axes", *axis);
  if (*axis < -x->rank || *axis >= x->rank) {
    return tct_refuse_as(infer, TCT_E_AXIS,
                         "axis %" PRId32 " is out of range for %s (rank %" PRId32 "); use %" PRId32 " to %" PRId32,
                         *axis, tct_show(x).text, x->rank, -x->rank, x->rank - 1);
  }
  if (*axis < 0) *axis += x->rank;
  return true;
}

bool tct_give(tct_infer *infer, int32_t o, tct_dtype dtype, tct_shape shape) {
  if (shape.rank < 0 || shape.rank > TCT_MAX_RANK) {
    return tct_refuse_as(infer, TCT_E_RANK, "the result has rank %" PRId32 "; tensors have at most %d axes", shape.rank,
                         TCT_MAX_RANK);
  }
  const int64_t size = tct_shape_size(&shape);
  if (size < 0 || size > INT64_MAX / 16) {
    return tct_refuse_as(infer, TCT_E_SIZE,
                         "the result %s has a negative extent or more elements than can be addressed",
                         tct_show(&shape).text);
  }
  infer->out[o] = (tct_desc){dtype, tct_shape_of(shape.rank, shape.dim)};
  return true;
}
