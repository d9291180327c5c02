/* Pooling over windows, NHWC, floats:
 *   max_pool2d       x [N,H,W,C] → y [N,P,Q,C], the greatest of each window
 *   max_pool2d_grad  (x, y, dy) → dx: each dy to the first maximum (in row-major order) of its window
 *   avg_pool2d       x [N,H,W,C] → y [N,P,Q,C], the mean of each window's elements that are not padding
 *   avg_pool2d_grad  (dy) → dx of attrs.x_shape
 * P and Q: ops/window.h. Padding is smaller than the window, so that every window holds an element of x. */
#include <inttypes.h>
#include <string.h>
#include "graph/graph.h"
#include "ops/defs.h"
#include "ops/shape.h"
#include "ops/window.h"

/* The result's shape from the attributes, whose x_shape is filled in. */
static bool pooled(tct_infer *infer, tct_shape *out) {
  const tct_pool2d_attrs *a = infer->attrs;
  tct_window window[2];
  int64_t pq[2];
  tct_windows(a->x_shape + 1, a->window, a->stride, NULL, a->pad, window);
  for (int i = 0; i < 2; i++) {
    const tct_window *w = &window[i];
    if (w->in == 0) {
      const tct_shape x = tct_shape_of(4, a->x_shape);
      return tct_refuse_as(infer, TCT_E_WINDOW, "x is %s: an image without pixels has no maximum and no mean",
                           tct_show(&x).text);
    }
    if (w->window > 0 && (w->before >= w->window || w->after >= w->window)) {
      return tct_refuse_as(infer, TCT_E_WINDOW,
                           "padding %" PRId64 " and %" PRId64 " is not smaller than the window %" PRId64
                           ": some windows would hold only padding",
                           w->before, w->after, w->window);
    }
  }
  if (!tct_window_outputs(infer, window, pq)) return false;
  *out = TCT_SHAPE(a->x_shape[0], pq[0], pq[1], a->x_shape[3]);
  return true;
}

static bool infer_pool(tct_infer *infer) {
  tct_pool2d_attrs *attrs = infer->attrs;
  const tct_shape *x = &infer->in[0].shape;
  tct_shape out = {0};
  if (!tct_check_dtype(infer, 0, "x", TCT_FLOATS)) return false;
  if (x->rank != 4) {
    return tct_refuse_as(infer, TCT_E_RANK, "x is %s (rank %" PRId32 "), needs rank 4 [N,H,W,C]", tct_show(x).text,
                         x->rank);
  }
  memcpy(attrs->x_shape, x->dim, sizeof attrs->x_shape);
  return pooled(infer, &out) && tct_give(infer, 0, infer->in[0].dtype, out);
}

static bool infer_max_pool2d_grad(tct_infer *infer) {
  const tct_pool2d_attrs *attrs = infer->attrs;
  const tct_shape x = tct_shape_of(4, attrs->x_shape);
  tct_shape y = {0};
  if (!tct_check_dtype(infer, 0, "x", TCT_FLOATS) || !tct_check_same_dtype(infer, 0, "x", 1, "y") ||
      !tct_check_same_dtype(infer, 0, "x", 2, "dy")) {
    return false;
  }
  if (!pooled(infer, &y) || !tct_check_shape(infer, 0, "x", &x, "the forward's input") ||
      !tct_check_shape(infer, 1, "y", &y, "the forward's result") ||
      !tct_check_shape(infer, 2, "dy", &y, "the forward's result")) {
    return false;
  }
  return tct_give(infer, 0, infer->in[0].dtype, x);
}

static bool infer_avg_pool2d_grad(tct_infer *infer) {
  const tct_pool2d_attrs *attrs = infer->attrs;
  tct_shape y = {0};
  if (!tct_check_dtype(infer, 0, "dy", TCT_FLOATS) || !pooled(infer, &y)) return false;
  if (!tct_check_shape(infer, 0, "dy", &y, "the forward's result")) return false;
  return tct_give(infer, 0, infer->in[0].dtype, tct_shape_of(4, attrs->x_shape));
}

static void gradient_max_pool2d(tct_grad *grad) {
  grad->din[0] = tct_build3(TCT_OP_max_pool2d_grad, grad->attrs, grad->in[0], grad->out[0], grad->dout[0]);
}

static void gradient_avg_pool2d(tct_grad *grad) {
  grad->din[0] = tct_build1(TCT_OP_avg_pool2d_grad, grad->attrs, grad->dout[0]);
}

/* One flop per element of each window; y and dy have the forward's result's size, dx the input's. */
static void cost_pool(const tct_node_view *node, tct_cost *out) {
  const tct_pool2d_attrs *a = node->attrs;
  const bool forward = node->op == TCT_OP_max_pool2d || node->op == TCT_OP_avg_pool2d;
  const tct_desc *y = forward ? &node->out[0] : &node->in[node->n_in - 1];
  *out = (tct_cost){tct_desc_elements(y) * (double)a->window[0] * (double)a->window[1], tct_node_bytes(node)};
}

TCT_DEFINE(max_pool2d, .infer = infer_pool, .gradient = gradient_max_pool2d, .cost = cost_pool);
TCT_DEFINE(max_pool2d_grad, .infer = infer_max_pool2d_grad, .gradient_why = TCT_NO_SECOND_ORDER, .cost = cost_pool);
TCT_DEFINE(avg_pool2d, .infer = infer_pool, .gradient = gradient_avg_pool2d, .cost = cost_pool);
TCT_DEFINE(avg_pool2d_grad, .infer = infer_avg_pool2d_grad, .gradient_why = TCT_NO_SECOND_ORDER, .cost = cost_pool);

/* ---- builders ---- */

static tct_tensor build(tct_op op, tct_tensor x, const tct_pool2d_options *options) {
  const tct_pool2d_options defaults = {0}, *o = options != NULL ? options : &defaults;
  if (!tct_tensor_ok(x)) return tct_poison(x.graph);
  tct_pool2d_attrs attrs;
  memset(&attrs, 0, sizeof attrs);
  for (int i = 0; i < 2; i++) {
    attrs.window[i] = o->window[i] == 0 ? 2 : o->window[i];
    attrs.stride[i] = o->stride[i] == 0 ? attrs.window[i] : o->stride[i];
  }
  const tct_shape xs = tct_tensor_shape(x); /* of another rank than 4, the rule refuses it */
  tct_window window[2];
  tct_windows(xs.dim + 1, attrs.window, attrs.stride, NULL, o->pad, window);
  if (!tct_resolve_padding(x.graph, tct_op_name(op), o->padding, o->pad, window, attrs.pad)) return tct_poison(x.graph);
  return tct_build1(op, &attrs, x);
}

tct_tensor tct_max_pool2d(tct_tensor x, const tct_pool2d_options *options) {
  return build(TCT_OP_max_pool2d, x, options);
}

tct_tensor tct_avg_pool2d(tct_tensor x, const tct_pool2d_options *options) {
  return build(TCT_OP_avg_pool2d, x, options);
}
