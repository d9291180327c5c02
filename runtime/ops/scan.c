/* Along one axis, with every element's place in order:
 *   cumsum      y[i] = Σ x[j] over j <= i (exclusive: j < i; reverse: j >= i, j > i);  dx = the cumsum of dy the other way
 *   top_k       x [..,n] → the k greatest of each row, falling [..,k], and their positions i32 [..,k]. Equal ones stand in
 *               the order of their positions; a NaN counts as greater than every number. dx = top_k_grad
 *   top_k_grad  (positions, dvalues) → dx [..,n]: each dvalue where its value stood, 0 elsewhere */
#include <inttypes.h>
#include <string.h>
#include "graph/graph.h"
#include "ops/defs.h"
#include "ops/shape.h"

/* ---- cumsum ---- */

static bool infer_cumsum(tct_infer *infer) {
  tct_cumsum_attrs *attrs = infer->attrs;
  const tct_shape *x = &infer->in[0].shape;
  if (!tct_check_dtype(infer, 0, "x", TCT_NUMBERS) || !tct_check_axis(infer, x, &attrs->axis)) return false;
  return tct_give(infer, 0, infer->in[0].dtype, *x);
}

static void gradient_cumsum(tct_grad *grad) {
  const tct_cumsum_attrs *attrs = grad->attrs;
  grad->din[0] = tct_cumsum(grad->dout[0], attrs->axis, attrs->exclusive, !attrs->reverse);
}

static void cost_cumsum(const tct_node_view *node, tct_cost *out) {
  tct_cost_per_input(node, 1, out);
}

TCT_DEFINE(cumsum, .infer = infer_cumsum, .gradient = gradient_cumsum, .cost = cost_cumsum);

tct_tensor tct_cumsum(tct_tensor x, int32_t axis, bool exclusive, bool reverse) {
  tct_cumsum_attrs attrs;
  memset(&attrs, 0, sizeof attrs);
  attrs.axis = axis;
  attrs.exclusive = exclusive;
  attrs.reverse = reverse;
  return tct_build1(TCT_OP_cumsum, &attrs, x);
}

/* ---- top_k ---- */

static tct_shape with_last(tct_shape shape, int64_t extent) {
  shape.dim[shape.rank - 1] = extent;
  return shape;
}

static bool infer_top_k(tct_infer *infer) {
  tct_top_k_attrs *attrs = infer->attrs;
  const tct_shape *x = &infer->in[0].shape;
  if (!tct_check_dtype(infer, 0, "x", TCT_NUMBERS)) return false;
  if (x->rank == 0) return tct_refuse(infer, "x is a number; needs [..,n], a row to choose from");
  attrs->n = x->dim[x->rank - 1];
  if (attrs->k < 1 || attrs->k > attrs->n || attrs->n > INT32_MAX) {
    return tct_refuse(infer, "k is %" PRId64 " and the rows of x %s have %" PRId64 " elements; needs 1 <= k <= n, n an i32",
                      attrs->k, tct_show(x).text, attrs->n);
  }
  const tct_shape out = with_last(*x, attrs->k);
  return tct_give(infer, 0, infer->in[0].dtype, out) && tct_give(infer, 1, TCT_I32, out);
}

static bool infer_top_k_grad(tct_infer *infer) {
  const tct_top_k_attrs *attrs = infer->attrs;
  const tct_shape *positions = &infer->in[0].shape;
  if (!tct_check_dtype(infer, 0, "positions", 1u << TCT_I32) || !tct_check_dtype(infer, 1, "dvalues", TCT_FLOATS)) {
    return false;
  }
  if (!tct_check_shape(infer, 1, "dvalues", positions, "the positions' shape")) return false;
  if (positions->rank == 0 || positions->dim[positions->rank - 1] != attrs->k || attrs->n < attrs->k) {
    return tct_refuse(infer, "positions are %s, needs [..,%" PRId64 "]", tct_show(positions).text, attrs->k);
  }
  return tct_give(infer, 0, infer->in[1].dtype, with_last(*positions, attrs->n));
}

static void gradient_top_k(tct_grad *grad) {
  if (grad->dout[0].id < 0) return;
  grad->din[0] = tct_build2(TCT_OP_top_k_grad, grad->attrs, grad->out[1], grad->dout[0]);
}

/* Every element is compared once at least. */
static void cost_top_k(const tct_node_view *node, tct_cost *out) {
  tct_cost_per_input(node, 1, out);
}

TCT_DEFINE(top_k, .infer = infer_top_k, .gradient = gradient_top_k, .cost = cost_top_k);
TCT_DEFINE(top_k_grad, .infer = infer_top_k_grad, .gradient_why = TCT_NO_SECOND_ORDER, .cost = tct_cost_of_copy);

tct_tensor tct_top_k(tct_tensor x, int64_t k, tct_tensor *out_indices) {
  tct_top_k_attrs attrs;
  memset(&attrs, 0, sizeof attrs);
  attrs.k = k;
  tct_tensor out[2] = {tct_poison(x.graph), tct_poison(x.graph)};
  tct_build(TCT_OP_top_k, &attrs, &x, 1, out);
  if (out_indices != NULL) *out_indices = out[1];
  return out[0];
}
