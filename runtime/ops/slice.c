/* Movement that joins and cuts. Any dtype.
 *   concat      n tensors, equal but for the axis attrs.axis → their extents there added;  dxᵢ = its slice of dy
 *   slice       y[i] = x[start + i·step], attrs.size elements of each axis;  dx = slice_grad(dy)
 *   slice_grad  (dy) → zeros of attrs.x_shape with dy in the slice
 *   pad         attrs.value around x: before and after elements per axis;  dx = the slice of dy without them
 * tct_split is n slices. */
#include <inttypes.h>
#include <string.h>
#include "base/checked.h"
#include "graph/graph.h"
#include "ops/defs.h"
#include "ops/shape.h"

/* ---- concat ---- */

static bool infer_concat(tct_infer *infer) {
  tct_axis_attrs *attrs = infer->attrs;
  const tct_shape *first = &infer->in[0].shape;
  if (!tct_check_dtype(infer, 0, "operand 0", TCT_ANY) || !tct_check_axis(infer, first, &attrs->axis)) return false;
  tct_shape out = *first;
  for (int32_t i = 1; i < infer->n_in; i++) {
    const tct_shape *next = &infer->in[i].shape;
    if (!tct_check_same_dtype(infer, 0, "operand 0", i, "another")) return false;
    tct_shape like = *first;
    if (next->rank == like.rank) like.dim[attrs->axis] = next->dim[attrs->axis];
    if (!tct_shape_equal(next, &like)) {
      return tct_refuse(infer,
                        "operand %" PRId32 " is %s and operand 0 is %s; they may differ along axis %" PRId32 " only", i,
                        tct_show(next).text, tct_show(first).text, attrs->axis);
    }
    if (!tct_add_i64(out.dim[attrs->axis], next->dim[attrs->axis], &out.dim[attrs->axis])) {
      return tct_refuse_as(infer, TCT_E_SIZE, "the extents along axis %" PRId32 " overflow", attrs->axis);
    }
  }
  return tct_give(infer, 0, infer->in[0].dtype, out);
}

static void gradient_concat(tct_grad *grad) {
  const int32_t axis = ((const tct_axis_attrs *)grad->attrs)->axis;
  int64_t start[TCT_MAX_RANK] = {0};
  for (int32_t i = 0; i < grad->n_in; i++) {
    const tct_shape x = tct_tensor_shape(grad->in[i]);
    if (grad->wanted[i]) grad->din[i] = tct_slice(grad->dout[0], start, x.dim, NULL);
    start[axis] += x.dim[axis];
  }
}

TCT_DEFINE(concat, .infer = infer_concat, .gradient = gradient_concat, .cost = tct_cost_of_copy);

tct_tensor tct_concat(const tct_tensor *x, int32_t n, int32_t axis) {
  const tct_axis_attrs attrs = {axis};
  return tct_build(TCT_OP_concat, &attrs, x, n, NULL);
}

/* ---- slice ---- */

/* Resolves a size of -1 and checks that the slice lies in x. */
static bool check_slice(tct_infer *infer, const tct_shape *x, tct_slice_attrs *attrs) {
  for (int32_t i = 0; i < x->rank; i++) {
    const int64_t start = attrs->start[i], step = attrs->step[i], extent = x->dim[i];
    if (start < 0 || start > extent || step < 1 || attrs->size[i] < -1) {
      return tct_refuse(infer,
                        "axis %" PRId32 " of %s: start %" PRId64 ", size %" PRId64 ", step %" PRId64
                        "; needs start from 0 to %" PRId64 ", size at least 0 (or -1: to the end), step at least 1",
                        i, tct_show(x).text, start, attrs->size[i], step, extent);
    }
    const int64_t left = extent - start, most = left / step + (left % step != 0);
    if (attrs->size[i] == -1) attrs->size[i] = most;
    if (attrs->size[i] > most) {
      return tct_refuse(infer,
                        "axis %" PRId32 " of %s: %" PRId64 " elements from %" PRId64 " by %" PRId64
                        " pass its end; at most %" PRId64,
                        i, tct_show(x).text, attrs->size[i], start, step, most);
    }
  }
  return true;
}

static bool infer_slice(tct_infer *infer) {
  tct_slice_attrs *attrs = infer->attrs;
  const tct_shape *x = &infer->in[0].shape;
  if (!check_slice(infer, x, attrs)) return false;
  attrs->x_shape = *x;
  return tct_give(infer, 0, infer->in[0].dtype, tct_shape_of(x->rank, attrs->size));
}

static bool infer_slice_grad(tct_infer *infer) {
  tct_slice_attrs *attrs = infer->attrs;
  if (!tct_check_dtype(infer, 0, "dy", TCT_FLOATS) || !check_slice(infer, &attrs->x_shape, attrs)) return false;
  const tct_shape dy = tct_shape_of(attrs->x_shape.rank, attrs->size);
  if (!tct_check_shape(infer, 0, "dy", &dy, "the forward's result")) return false;
  return tct_give(infer, 0, infer->in[0].dtype, attrs->x_shape);
}

static void gradient_slice(tct_grad *grad) {
  grad->din[0] = tct_build1(TCT_OP_slice_grad, grad->attrs, grad->dout[0]);
}

/* Reads what it takes. */
static void cost_slice(const tct_node_view *node, tct_cost *out) {
  *out = (tct_cost){0, 2 * tct_desc_size_bytes(&node->out[0])};
}

TCT_DEFINE(slice, .infer = infer_slice, .gradient = gradient_slice, .cost = cost_slice);
TCT_DEFINE(slice_grad, .infer = infer_slice_grad, .gradient_why = TCT_NO_SECOND_ORDER, .cost = tct_cost_of_copy);

tct_tensor tct_slice(tct_tensor x, const int64_t *start, const int64_t *size, const int64_t *step) {
  tct_slice_attrs attrs;
  memset(&attrs, 0, sizeof attrs);
  for (int32_t i = 0; i < tct_tensor_shape(x).rank; i++) {
    attrs.start[i] = start[i];
    attrs.size[i] = size[i];
    attrs.step[i] = step != NULL ? step[i] : 1;
  }
  return tct_build1(TCT_OP_slice, &attrs, x);
}

void tct_split(tct_tensor x, int32_t n, int32_t axis, tct_tensor *out) {
  for (int32_t i = 0; i < n; i++) out[i] = tct_poison(x.graph);
  if (!tct_tensor_ok(x)) return;
  const tct_shape shape = tct_tensor_shape(x);
  const int32_t own = axis < 0 ? axis + shape.rank : axis;
  if (own < 0 || own >= shape.rank) {
    tct_graph_fail(x.graph, TCT_E_AXIS, "split: axis %" PRId32 " is out of range for %s (rank %" PRId32 ")", axis,
                   tct_show(&shape).text, shape.rank);
    return;
  }
  if (n < 1 || shape.dim[own] % n != 0) {
    tct_graph_fail(x.graph, TCT_E_OPERANDS,
                   "split: axis %" PRId32 " of %s does not divide into %" PRId32 " equal parts; cut unequal ones with "
                   "tct_slice",
                   own, tct_show(&shape).text, n);
    return;
  }
  tct_shape part = shape;
  part.dim[own] /= n;
  int64_t start[TCT_MAX_RANK] = {0};
  for (int32_t i = 0; i < n; i++, start[own] += part.dim[own]) out[i] = tct_slice(x, start, part.dim, NULL);
}

/* ---- pad ---- */

static bool infer_pad(tct_infer *infer) {
  const tct_pad_attrs *attrs = infer->attrs;
  const tct_shape *x = &infer->in[0].shape;
  tct_shape out = *x;
  if (!tct_check_dtype(infer, 0, "x", TCT_ANY)) return false;
  for (int32_t i = 0; i < x->rank; i++) {
    const int64_t before = attrs->before[i], after = attrs->after[i];
    if (before < 0 || after < 0) {
      return tct_refuse(infer,
                        "axis %" PRId32 " of %s: %" PRId64 " before and %" PRId64
                        " after; both need at least 0 (cut with tct_slice)",
                        i, tct_show(x).text, before, after);
    }
    if (!tct_add_i64(out.dim[i], before, &out.dim[i]) || !tct_add_i64(out.dim[i], after, &out.dim[i])) {
      return tct_refuse_as(infer, TCT_E_SIZE,
                           "axis %" PRId32 " of %s: %" PRId64 " before and %" PRId64 " after overflow", i,
                           tct_show(x).text, before, after);
    }
  }
  return tct_give(infer, 0, infer->in[0].dtype, out);
}

static void gradient_pad(tct_grad *grad) {
  const tct_pad_attrs *attrs = grad->attrs;
  const tct_shape x = tct_tensor_shape(grad->in[0]);
  grad->din[0] = tct_slice(grad->dout[0], attrs->before, x.dim, NULL);
}

TCT_DEFINE(pad, .infer = infer_pad, .gradient = gradient_pad, .cost = tct_cost_of_copy);

tct_tensor tct_pad(tct_tensor x, const int64_t *before, const int64_t *after, double value) {
  tct_pad_attrs attrs;
  memset(&attrs, 0, sizeof attrs);
  attrs.value = value;
  for (int32_t i = 0; i < tct_tensor_shape(x).rank; i++) {
    attrs.before[i] = before[i];
    attrs.after[i] = after[i];
  }
  return tct_build1(TCT_OP_pad, &attrs, x);
}
