/* Movement that keeps every element: other extents, other order, repetition. Any dtype.
 *   reshape       x → the same elements in row-major order under attrs.shape (one extent may be -1);  dx = reshape(dy)
 *   transpose     output axis i is input axis attrs.perm[i];  dx = transpose(dy, perm⁻¹)
 *   tile          y[i] = x[i mod extent], attrs.shape repeats per axis;  dx = Σ over the repeats
 *   broadcast_to  NumPy's broadcast of x to attrs.shape;  dx = dy, summed by the autodiff pass */
#include <inttypes.h>
#include <string.h>
#include "base/checked.h"
#include "graph/graph.h"
#include "ops/defs.h"
#include "ops/shape.h"

static bool check_rank(tct_infer *infer, int32_t rank) {
  if (rank >= 0 && rank <= TCT_MAX_RANK) return true;
  return tct_refuse_as(infer, TCT_E_RANK, "the target has rank %" PRId32 "; tensors have at most %d axes", rank,
                       TCT_MAX_RANK);
}

/* ---- reshape ---- */

/* Replaces the one -1 by what remains of `size` elements. */
static bool fill_in_rest(tct_infer *infer, const tct_shape *x, int64_t size, tct_shape *shape) {
  int32_t rest = -1;
  int64_t others = 1;
  for (int32_t i = 0; i < shape->rank; i++) {
    if (shape->dim[i] < -1 || (shape->dim[i] == -1 && rest >= 0)) {
      return tct_refuse_as(infer, TCT_E_SIZE, "the target %s has %s", tct_show(shape).text,
                           shape->dim[i] < -1 ? "a negative extent"
                                              : "two extents of -1; only one can be what remains");
    }
    if (shape->dim[i] == -1) {
      rest = i;
    } else if (!tct_mul_i64(others, shape->dim[i], &others)) {
      return tct_refuse_as(infer, TCT_E_SIZE, "the target %s has too many elements", tct_show(shape).text);
    }
  }
  if (rest < 0) return true;
  if (others == 0 || size % others != 0) {
    return tct_refuse_as(infer, TCT_E_RESHAPE,
                         "%s has %" PRId64 " elements, which %s cannot hold: the other extents make %" PRId64,
                         tct_show(x).text, size, tct_show(shape).text, others);
  }
  shape->dim[rest] = size / others;
  return true;
}

static bool infer_reshape(tct_infer *infer) {
  tct_shape_attrs *attrs = infer->attrs;
  const tct_shape *x = &infer->in[0].shape;
  const int64_t size = tct_shape_size(x);
  if (!check_rank(infer, attrs->shape.rank) || !fill_in_rest(infer, x, size, &attrs->shape)) return false;
  if (tct_shape_size(&attrs->shape) != size) {
    return tct_refuse_as(infer, TCT_E_RESHAPE,
                         "%s has %" PRId64 " elements, %s has %" PRId64 "; a reshape keeps their number",
                         tct_show(x).text, size, tct_show(&attrs->shape).text, tct_shape_size(&attrs->shape));
  }
  return tct_give(infer, 0, infer->in[0].dtype, attrs->shape);
}

static void gradient_reshape(tct_grad *grad) {
  grad->din[0] = tct_reshaped(grad->dout[0], tct_tensor_shape(grad->in[0]));
}

TCT_DEFINE(reshape, .infer = infer_reshape, .gradient = gradient_reshape, .cost = tct_cost_of_nothing);

/* The attributes with unused extents zero. A rank that no shape has is kept for the rule to name. */
static tct_tensor build_to_shape(tct_op op, tct_tensor x, const tct_shape *shape) {
  const tct_shape_attrs attrs = {tct_shape_of(shape->rank, shape->dim)};
  return tct_build1(op, &attrs, x);
}

tct_tensor tct_reshape(tct_tensor x, tct_shape shape) {
  return build_to_shape(TCT_OP_reshape, x, &shape);
}

/* ---- transpose ---- */

static bool infer_transpose(tct_infer *infer) {
  const tct_transpose_attrs *attrs = infer->attrs;
  const tct_shape *x = &infer->in[0].shape;
  tct_shape out = {.rank = x->rank};
  uint32_t seen = 0;
  for (int32_t i = 0; i < x->rank; i++) {
    const int32_t axis = attrs->perm[i];
    if (axis < 0 || axis >= x->rank || (seen >> axis & 1u) != 0) {
      return tct_refuse_as(infer, TCT_E_AXIS,
                           "perm[%" PRId32 "] is %" PRId32 "; perm needs each axis of %s (0 to %" PRId32 ") once", i,
                           axis, tct_show(x).text, x->rank - 1);
    }
    seen |= 1u << axis;
    out.dim[i] = x->dim[axis];
  }
  return tct_give(infer, 0, infer->in[0].dtype, out);
}

static void gradient_transpose(tct_grad *grad) {
  const tct_transpose_attrs *attrs = grad->attrs;
  int32_t inverse[TCT_MAX_RANK] = {0};
  for (int32_t i = 0; i < tct_tensor_shape(grad->in[0]).rank; i++) inverse[attrs->perm[i]] = i;
  grad->din[0] = tct_transpose(grad->dout[0], inverse);
}

TCT_DEFINE(transpose, .infer = infer_transpose, .gradient = gradient_transpose, .cost = tct_cost_of_copy);

tct_tensor tct_transpose(tct_tensor x, const int32_t *perm) {
  const int32_t rank = tct_tensor_shape(x).rank;
  tct_transpose_attrs attrs = {{0}};
  for (int32_t i = 0; i < rank; i++) attrs.perm[i] = perm != NULL ? perm[i] : rank - 1 - i;
  return tct_build1(TCT_OP_transpose, &attrs, x);
}

/* ---- tile ---- */

static bool infer_tile(tct_infer *infer) {
  const tct_shape *repeats = &((const tct_shape_attrs *)infer->attrs)->shape, *x = &infer->in[0].shape;
  if (repeats->rank != x->rank) {
    return tct_refuse(infer, "%" PRId32 " repeats for %s; needs one per axis", repeats->rank, tct_show(x).text);
  }
  tct_shape out = {.rank = x->rank};
  for (int32_t i = 0; i < x->rank; i++) {
    if (repeats->dim[i] < 0 || !tct_mul_i64(x->dim[i], repeats->dim[i], &out.dim[i])) {
      return tct_refuse_as(infer, TCT_E_SIZE, "axis %" PRId32 " of %s cannot be repeated %" PRId64 " times", i,
                           tct_show(x).text, repeats->dim[i]);
    }
  }
  return tct_give(infer, 0, infer->in[0].dtype, out);
}

/* One axis at a time: dy seen as [before, repeats, extent·after], summed over the repeats. */
static void gradient_tile(tct_grad *grad) {
  const tct_shape *repeats = &((const tct_shape_attrs *)grad->attrs)->shape, x = tct_tensor_shape(grad->in[0]);
  const int32_t middle = 1;
  tct_tensor dx = grad->dout[0];
  tct_shape shape = tct_tensor_shape(dx);
  for (int32_t i = 0; i < x.rank; i++) {
    if (repeats->dim[i] == 1) continue;
    shape.dim[i] = x.dim[i];
    const int64_t before = tct_shape_extent(&shape, 0, i), rest = tct_shape_extent(&shape, i, shape.rank);
    dx = tct_reduce_sum(tct_reshape(dx, TCT_SHAPE(before, repeats->dim[i], rest)), &middle, 1, false);
  }
  grad->din[0] = tct_reshaped(dx, x);
}

TCT_DEFINE(tile, .infer = infer_tile, .gradient = gradient_tile, .cost = tct_cost_of_copy);

tct_tensor tct_tile(tct_tensor x, const int64_t *repeats) {
  const tct_shape counts = tct_shape_of(tct_tensor_shape(x).rank, repeats);
  return build_to_shape(TCT_OP_tile, x, &counts);
}

/* ---- broadcast_to ---- */

static bool infer_broadcast_to(tct_infer *infer) {
  const tct_shape *target = &((const tct_shape_attrs *)infer->attrs)->shape, *x = &infer->in[0].shape;
  tct_shape out;
  if (!check_rank(infer, target->rank)) return false;
  if (!tct_broadcast(x, target, &out) || !tct_shape_equal(&out, target)) {
    return tct_refuse_as(infer, TCT_E_BROADCAST,
                         "%s does not broadcast to %s: aligned at the last axis, its extents must be equal or 1",
                         tct_show(x).text, tct_show(target).text);
  }
  return tct_give(infer, 0, infer->in[0].dtype, *target);
}

static void gradient_broadcast_to(tct_grad *grad) {
  grad->din[0] = grad->dout[0];
}

TCT_DEFINE(broadcast_to, .infer = infer_broadcast_to, .gradient = gradient_broadcast_to, .cost = tct_cost_of_copy);

tct_tensor tct_broadcast_to(tct_tensor x, tct_shape shape) {
  return build_to_shape(TCT_OP_broadcast_to, x, &shape);
}
