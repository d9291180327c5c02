/* Softmax along attrs.axis, floats; results have x's shape. Sums run along the axis.
 *   softmax      y = e^(x - max x)/Σ e^(x - max x);   softmax_grad (y, dy) → dx = y·(dy - Σ dy·y)
 *   log_softmax  y = x - max x - ln Σ e^(x - max x);  log_softmax_grad (y, dy) → dx = dy - e^y·Σ dy */
#include "ops/defs.h"
#include "ops/shape.h"

static bool infer_rows(tct_infer *infer) {
  tct_axis_attrs *attrs = infer->attrs;
  if (!tct_check_dtype(infer, 0, infer->n_in == 1 ? "x" : "y", TCT_FLOATS)) return false;
  if (!tct_check_axis(infer, &infer->in[0].shape, &attrs->axis)) return false;
  if (infer->n_in == 2) {
    if (!tct_check_same_dtype(infer, 0, "y", 1, "dy")) return false;
    if (!tct_check_shape(infer, 1, "dy", &infer->in[0].shape, "the shape of y")) return false;
  }
  return tct_give(infer, 0, infer->in[0].dtype, infer->in[0].shape);
}

static void gradient_softmax(tct_grad *grad) {
  grad->din[0] = tct_build2(TCT_OP_softmax_grad, grad->attrs, grad->out[0], grad->dout[0]);
}

static void gradient_log_softmax(tct_grad *grad) {
  grad->din[0] = tct_build2(TCT_OP_log_softmax_grad, grad->attrs, grad->out[0], grad->dout[0]);
}

/* ---- simpler ops ---- */

static tct_tensor sum(tct_tensor x, const tct_axis_attrs *attrs) {
  return tct_reduce_sum(x, &attrs->axis, 1, true);
}
static tct_tensor below_maximum(tct_tensor x, const tct_axis_attrs *attrs) {
  return tct_sub(x, tct_reduce_max(x, &attrs->axis, 1, true));
}

static void decompose_softmax(tct_graph *graph, const void *attrs, const tct_tensor *in, int32_t n_in,
                              tct_tensor *out) {
  (void)graph, (void)n_in;
  const tct_tensor e = tct_exp(below_maximum(in[0], attrs));
  out[0] = tct_div(e, sum(e, attrs));
}

static void decompose_log_softmax(tct_graph *graph, const void *attrs, const tct_tensor *in, int32_t n_in,
                                  tct_tensor *out) {
  (void)graph, (void)n_in;
  const tct_tensor shifted = below_maximum(in[0], attrs);
  out[0] = tct_sub(shifted, tct_log(sum(tct_exp(shifted), attrs)));
}

static void decompose_softmax_grad(tct_graph *graph, const void *attrs, const tct_tensor *in, int32_t n_in,
                                   tct_tensor *out) {
  (void)graph, (void)n_in;
  const tct_tensor y = in[0], dy = in[1];
  out[0] = tct_mul(y, tct_sub(dy, sum(tct_mul(dy, y), attrs)));
}

static void decompose_log_softmax_grad(tct_graph *graph, const void *attrs, const tct_tensor *in, int32_t n_in,
                                       tct_tensor *out) {
  (void)graph, (void)n_in;
  const tct_tensor y = in[0], dy = in[1];
  out[0] = tct_sub(dy, tct_mul(tct_exp(y), sum(dy, attrs)));
}

static void cost_forward(const tct_node_view *node, tct_cost *out) {
  tct_cost_per_output(node, 12, out);
}
static void cost_softmax_grad(const tct_node_view *node, tct_cost *out) {
  tct_cost_per_output(node, 4, out);
}

TCT_DEFINE(softmax, .infer = infer_rows, .gradient = gradient_softmax, .cost = cost_forward,
           .decompose = decompose_softmax);
TCT_DEFINE(softmax_grad, .infer = infer_rows, .gradient_why = TCT_NO_SECOND_ORDER, .cost = cost_softmax_grad,
           .decompose = decompose_softmax_grad);
TCT_DEFINE(log_softmax, .infer = infer_rows, .gradient = gradient_log_softmax, .cost = cost_forward,
           .decompose = decompose_log_softmax);
TCT_DEFINE(log_softmax_grad, .infer = infer_rows, .gradient_why = TCT_NO_SECOND_ORDER, .cost = cost_forward,
           .decompose = decompose_log_softmax_grad);

tct_tensor tct_softmax(tct_tensor x, int32_t axis) {
  const tct_axis_attrs attrs = {axis};
  return tct_build1(TCT_OP_softmax, &attrs, x);
}

tct_tensor tct_log_softmax(tct_tensor x, int32_t axis) {
  const tct_axis_attrs attrs = {axis};
  return tct_build1(TCT_OP_log_softmax, &attrs, x);
}
