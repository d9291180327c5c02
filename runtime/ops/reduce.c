/* Reductions over attrs.axes; keepdims leaves extents of 1. With d(y) broadcast back over the reduced axes:
 *   reduce_sum   Σ x           dx = dy                                   of nothing: 0
 *   reduce_mean  Σ x / n       dx = dy/n
 *   reduce_max, reduce_min     dx = dy·[x = y]/(number of x = y)
 *   reduce_prod  Π x           dx = dy·Π of the others (reduce_prod_grad) of nothing: 1
 *   logsumexp    ln Σ e^x      dx = dy·e^(x - y)
 *   argmax, argmin  the first index of the extremum along attrs.axis, i32
 *   global_norm  (g₀, g₁, …) → [] √Σ‖gᵢ‖²;  dgᵢ = dy·gᵢ/norm, 0 where the norm is 0 */
#include <inttypes.h>
#include <string.h>
#include "graph/graph.h"
#include "ops/defs.h"
#include "ops/shape.h"

/* ---- shape rules ---- */

static bool check_axes(tct_infer *infer, uint32_t axes, bool needs_elements) {
  const tct_shape *x = &infer->in[0].shape;
  if (axes >> x->rank != 0) {
    return tct_refuse_as(infer, TCT_E_AXIS,
                         "the set of axes 0x%" PRIx32 " names an axis that %s (rank %" PRId32 ") does not have", axes,
                         tct_show(x).text, x->rank);
  }
  for (int32_t i = 0; i < x->rank; i++) {
    if (needs_elements && (axes >> i & 1u) != 0 && x->dim[i] == 0) {
      return tct_refuse(infer, "axis %" PRId32 " of %s has no elements; this reduction of nothing has no value", i,
                        tct_show(x).text);
    }
  }
  return true;
}

static bool infer_reduction(tct_infer *infer, unsigned dtypes, bool needs_elements) {
  const tct_reduce_attrs *attrs = infer->attrs;
  if (!tct_check_dtype(infer, 0, "x", dtypes) || !check_axes(infer, attrs->axes, needs_elements)) return false;
  return tct_give(infer, 0, infer->in[0].dtype, tct_reduced(&infer->in[0].shape, attrs->axes, attrs->keepdims));
}

static bool infer_fold(tct_infer *infer) {
  return infer_reduction(infer, TCT_NUMBERS, false);
}
static bool infer_extremum(tct_infer *infer) {
  return infer_reduction(infer, TCT_NUMBERS, true);
}
static bool infer_mean(tct_infer *infer) {
  return infer_reduction(infer, TCT_FLOATS, true);
}

static bool infer_prod_grad(tct_infer *infer) {
  const tct_reduce_attrs *attrs = infer->attrs;
  const tct_shape *x = &infer->in[0].shape;
  if (!tct_check_dtype(infer, 0, "x", TCT_FLOATS) || !tct_check_same_dtype(infer, 0, "x", 1, "dy")) return false;
  if (!check_axes(infer, attrs->axes, false)) return false;
  const tct_shape kept = tct_reduced(x, attrs->axes, true);
  if (!tct_check_shape(infer, 1, "dy", &kept, "x with its reduced axes of extent 1")) return false;
  return tct_give(infer, 0, infer->in[0].dtype, *x);
}

static bool infer_arg(tct_infer *infer) {
  tct_arg_attrs *attrs = infer->attrs;
  const tct_shape *x = &infer->in[0].shape;
  if (!tct_check_dtype(infer, 0, "x", TCT_NUMBERS) || !tct_check_axis(infer, x, &attrs->axis)) return false;
  const int64_t extent = x->dim[attrs->axis];
  if (extent == 0 || extent > INT32_MAX) {
    return tct_refuse(infer, "axis %" PRId32 " of %s has %" PRId64 " elements; an i32 index needs 1 to %" PRId32,
                      attrs->axis, tct_show(x).text, extent, INT32_MAX);
  }
  return tct_give(infer, 0, TCT_I32, tct_reduced(x, 1u << attrs->axis, attrs->keepdims));
}

static bool infer_global_norm(tct_infer *infer) {
  for (int32_t i = 0; i < infer->n_in; i++) {
    if (!tct_check_same_dtype(infer, 0, "the first tensor", i, "another")) return false;
    if (!tct_check_dtype(infer, i, "a tensor", TCT_FLOATS)) return false;
  }
  return tct_give(infer, 0, infer->in[0].dtype, (tct_shape){0});
}

/* ---- gradients ---- */

/* dy or y with the reduced axes of extent 1: broadcasts against x. */
static tct_tensor kept(const tct_grad *grad, tct_tensor reduced) {
  const tct_shape x = tct_tensor_shape(grad->in[0]);
  return tct_reshaped(reduced, tct_reduced(&x, ((const tct_reduce_attrs *)grad->attrs)->axes, true));
}

static void gradient_sum(tct_grad *grad) {
  grad->din[0] = tct_broadcasted(kept(grad, grad->dout[0]), tct_tensor_shape(grad->in[0]));
}

static void gradient_mean(tct_grad *grad) {
  const tct_shape x = tct_tensor_shape(grad->in[0]);
  const uint32_t axes = ((const tct_reduce_attrs *)grad->attrs)->axes;
  double count = 1;
  for (int32_t i = 0; i < x.rank; i++) count *= (axes >> i & 1u) != 0 ? (double)x.dim[i] : 1;
  grad->din[0] = tct_broadcasted(tct_scale(kept(grad, grad->dout[0]), 1 / count, 0), x);
}

static void gradient_extremum(tct_grad *grad) {
  const tct_reduce_attrs *attrs = grad->attrs;
  const tct_reduce_attrs keeping = {.axes = attrs->axes, .keepdims = true};
  const tct_tensor x = grad->in[0];
  const tct_tensor ties = tct_cast(tct_equal(x, kept(grad, grad->out[0])), tct_tensor_dtype(x));
  const tct_tensor count = tct_build1(TCT_OP_reduce_sum, &keeping, ties);
  grad->din[0] = tct_mul(ties, tct_div(kept(grad, grad->dout[0]), count));
}

static void gradient_prod(tct_grad *grad) {
  const tct_reduce_attrs *attrs = grad->attrs;
  const tct_reduce_attrs keeping = {.axes = attrs->axes, .keepdims = true};
  grad->din[0] = tct_build2(TCT_OP_reduce_prod_grad, &keeping, grad->in[0], kept(grad, grad->dout[0]));
}

static void gradient_logsumexp(tct_grad *grad) {
  const tct_tensor share = tct_exp(tct_sub(grad->in[0], kept(grad, grad->out[0])));
  grad->din[0] = tct_mul(share, kept(grad, grad->dout[0]));
}

static void gradient_global_norm(tct_grad *grad) {
  const tct_tensor norm = grad->out[0], zero = tct_scalar(grad->graph, tct_tensor_dtype(norm), 0);
  const tct_tensor factor = tct_select(tct_greater(norm, zero), tct_div(grad->dout[0], norm), zero);
  for (int32_t i = 0; i < grad->n_in; i++) {
    if (grad->wanted[i]) grad->din[i] = tct_mul(grad->in[i], factor);
  }
}

/* ---- simpler ops ---- */

/* m + ln Σ e^(x - m), m the maximum */
static void decompose_logsumexp(tct_graph *graph, const void *attrs, const tct_tensor *in, int32_t n_in,
                                tct_tensor *out) {
  (void)graph, (void)n_in;
  const tct_reduce_attrs *own = attrs;
  const tct_reduce_attrs keeping = {.axes = own->axes, .keepdims = true};
  const tct_tensor top = tct_build1(TCT_OP_reduce_max, &keeping, in[0]);
  const tct_tensor sum = tct_build1(TCT_OP_reduce_sum, &keeping, tct_exp(tct_sub(in[0], top)));
  const tct_shape x = tct_tensor_shape(in[0]);
  out[0] = tct_reshaped(tct_add(top, tct_log(sum)), tct_reduced(&x, own->axes, own->keepdims));
}

static void decompose_global_norm(tct_graph *graph, const void *attrs, const tct_tensor *in, int32_t n_in,
                                  tct_tensor *out) {
  (void)graph, (void)attrs;
  tct_tensor sum = tct_reduce_sum(tct_square(in[0]), NULL, 0, false);
  for (int32_t i = 1; i < n_in; i++) sum = tct_add(sum, tct_reduce_sum(tct_square(in[i]), NULL, 0, false));
  out[0] = tct_sqrt(sum);
}

/* ---- costs and definitions ---- */

static void cost_fold(const tct_node_view *node, tct_cost *out) {
  tct_cost_per_input(node, 1, out);
}
static void cost_logsumexp(const tct_node_view *node, tct_cost *out) {
  tct_cost_per_input(node, 11, out);
}
static void cost_prod_grad(const tct_node_view *node, tct_cost *out) {
  tct_cost_per_input(node, 3, out);
}
static void cost_global_norm(const tct_node_view *node, tct_cost *out) {
  *out = (tct_cost){0, tct_node_bytes(node)};
  for (int32_t i = 0; i < node->n_in; i++) out->flops += 2 * tct_desc_elements(&node->in[i]);
}

TCT_DEFINE(reduce_sum, .infer = infer_fold, .gradient = gradient_sum, .cost = cost_fold);
TCT_DEFINE(reduce_mean, .infer = infer_mean, .gradient = gradient_mean, .cost = cost_fold);
TCT_DEFINE(reduce_max, .infer = infer_extremum, .gradient = gradient_extremum, .cost = cost_fold);
TCT_DEFINE(reduce_min, .infer = infer_extremum, .gradient = gradient_extremum, .cost = cost_fold);
TCT_DEFINE(reduce_prod, .infer = infer_fold, .gradient = gradient_prod, .cost = cost_fold);
TCT_DEFINE(reduce_prod_grad, .infer = infer_prod_grad, .gradient_why = TCT_NO_SECOND_ORDER, .cost = cost_prod_grad);
TCT_DEFINE(logsumexp, .infer = infer_mean, .gradient = gradient_logsumexp, .cost = cost_logsumexp,
           .decompose = decompose_logsumexp);
TCT_DEFINE(argmax, .infer = infer_arg, .gradient_why = "argmax is piecewise constant", .cost = cost_fold);
TCT_DEFINE(argmin, .infer = infer_arg, .gradient_why = "argmin is piecewise constant", .cost = cost_fold);
TCT_DEFINE(global_norm, .infer = infer_global_norm, .gradient = gradient_global_norm, .cost = cost_global_norm,
           .decompose = decompose_global_norm);

/* ---- builders ---- */

/* The bit set of a list of axes; false after recording the error. */
static bool axes_of(tct_op op, tct_tensor x, const int32_t *axes, int32_t n_axes, uint32_t *out) {
  const tct_shape s = tct_tensor_shape(x);
  const char *name = tct_op_name(op);
  *out = n_axes == 0 ? (1u << s.rank) - 1 : 0;
  for (int32_t i = 0; i < n_axes; i++) {
    const int32_t axis = axes[i] < 0 ? axes[i] + s.rank : axes[i];
    if (axis < 0 || axis >= s.rank) {
      tct_graph_fail(x.graph, TCT_E_AXIS,
                     "%s: axis %" PRId32 " is out of range for %s (rank %" PRId32 "); use %" PRId32 " to %" PRId32,
                     name, axes[i], tct_show(&s).text, s.rank, -s.rank, s.rank - 1);
      return false;
    }
    if ((*out >> axis & 1u) != 0) {
      tct_graph_fail(x.graph, TCT_E_AXIS, "%s: axis %" PRId32 " of %s is named twice", name, axes[i],
                     tct_show(&s).text);
      return false;
    }
    *out |= 1u << axis;
  }
  return true;
}

static tct_tensor reduce(tct_op op, tct_tensor x, const int32_t *axes, int32_t n_axes, bool keepdims) {
  tct_reduce_attrs attrs;
  memset(&attrs, 0, sizeof attrs);
  if (!tct_tensor_ok(x) || !axes_of(op, x, axes, n_axes, &attrs.axes)) return tct_poison(x.graph);
  attrs.keepdims = keepdims;
  return tct_build1(op, &attrs, x);
}

tct_tensor tct_reduce_sum(tct_tensor x, const int32_t *axes, int32_t n_axes, bool keepdims) {
  return reduce(TCT_OP_reduce_sum, x, axes, n_axes, keepdims);
}
tct_tensor tct_reduce_mean(tct_tensor x, const int32_t *axes, int32_t n_axes, bool keepdims) {
  return reduce(TCT_OP_reduce_mean, x, axes, n_axes, keepdims);
}
tct_tensor tct_reduce_max(tct_tensor x, const int32_t *axes, int32_t n_axes, bool keepdims) {
  return reduce(TCT_OP_reduce_max, x, axes, n_axes, keepdims);
}
tct_tensor tct_reduce_min(tct_tensor x, const int32_t *axes, int32_t n_axes, bool keepdims) {
  return reduce(TCT_OP_reduce_min, x, axes, n_axes, keepdims);
}
tct_tensor tct_reduce_prod(tct_tensor x, const int32_t *axes, int32_t n_axes, bool keepdims) {
  return reduce(TCT_OP_reduce_prod, x, axes, n_axes, keepdims);
}
tct_tensor tct_logsumexp(tct_tensor x, const int32_t *axes, int32_t n_axes, bool keepdims) {
  return reduce(TCT_OP_logsumexp, x, axes, n_axes, keepdims);
}

static tct_tensor arg(tct_op op, tct_tensor x, int32_t axis, bool keepdims) {
  tct_arg_attrs attrs;
  memset(&attrs, 0, sizeof attrs);
  attrs.axis = axis;
  attrs.keepdims = keepdims;
  return tct_build1(op, &attrs, x);
}

tct_tensor tct_argmax(tct_tensor x, int32_t axis, bool keepdims) {
  return arg(TCT_OP_argmax, x, axis, keepdims);
}
tct_tensor tct_argmin(tct_tensor x, int32_t axis, bool keepdims) {
  return arg(TCT_OP_argmin, x, axis, keepdims);
}

tct_tensor tct_global_norm(const tct_tensor *x, int32_t n) {
  return tct_build(TCT_OP_global_norm, NULL, x, n, NULL);
}
