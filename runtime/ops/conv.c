/* Convolution (cross-correlation), NHWC, floats of one dtype:
 *   y[n,p,q,k] = bias[k] + Σ_{r,s,c} x[n, p·stride₀ + r·dilation₀ - top, q·stride₁ + s·dilation₁ - left, g·C/G +
 * c]·w[r,s,c,k] where g = k/(K/G) is the group of output channel k, and x is 0 outside. conv2d              x
 * [N,H,W,C], w [R,S,C/G,K], bias [K]? → y [N,P,Q,K] conv2d_grad_input   dy [N,P,Q,K], w → dx of attrs.x_shape
 *   conv2d_grad_filter  x, dy → dw of attrs.w_shape
 * conv2d_grad_input is also the transposed convolution: linear in dy and in w, with gradients conv2d(d, w) and
 * conv2d_grad_filter(d, dy).
 * P and Q: ops/window.h. A depthwise convolution is G = C: its filter [R,S,C,M] has the bytes of [R,S,1,C·M].
 * 2·N·P·Q·K·R·S·C/G flops each. */
#include <inttypes.h>
#include <string.h>
#include "base/checked.h"
#include "graph/graph.h"
#include "ops/defs.h"
#include "ops/shape.h"
#include "ops/window.h"

/* P and Q of the attributes, whose shapes are filled in. */
static bool outputs_of(tct_infer *infer, const tct_conv2d_attrs *a, int64_t pq[2]) {
  tct_window window[2];
  tct_windows(a->x_shape + 1, a->w_shape, a->stride, a->dilation, a->pad, window);
  return tct_window_outputs(infer, window, pq);
}

static bool check_rank4(tct_infer *infer, int32_t i, const char *what, const char *axes) {
  const tct_shape *s = &infer->in[i].shape;
  if (s->rank == 4) return true;
  return tct_refuse_as(infer, TCT_E_RANK, "%s is %s (rank %" PRId32 "), needs rank 4 %s", what, tct_show(s).text,
                       s->rank, axes);
}

static bool check_channels(tct_infer *infer, const tct_conv2d_attrs *a) {
  const int64_t c = a->x_shape[3], k = a->w_shape[3];
  if (a->groups < 1) return tct_refuse_as(infer, TCT_E_CHANNELS, "%" PRId64 " groups, needs at least 1", a->groups);
  if (c % a->groups != 0 || k % a->groups != 0) {
    return tct_refuse_as(infer, TCT_E_CHANNELS,
                         "%" PRId64 " input and %" PRId64 " output channels do not divide into %" PRId64 " groups", c,
                         k, a->groups);
  }
  if (a->w_shape[2] != c / a->groups) {
    const tct_shape x = tct_shape_of(4, a->x_shape), w = tct_shape_of(4, a->w_shape);
    return tct_refuse_as(infer, TCT_E_CHANNELS,
                         "x %s has %" PRId64 " channels in %" PRId64 " group%s, but the filter %s reads %" PRId64
                         " per group; make the filter [%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 "]",
                         tct_show(&x).text, c, a->groups, a->groups == 1 ? "" : "s", tct_show(&w).text, a->w_shape[2],
                         a->w_shape[0], a->w_shape[1], c / a->groups, k);
  }
  return true;
}

static bool infer_conv2d(tct_infer *infer) {
  tct_conv2d_attrs *attrs = infer->attrs;
  int64_t pq[2];
  if (!check_rank4(infer, 0, "x", "[N,H,W,C]") || !check_rank4(infer, 1, "the filter", "[R,S,C/groups,K]"))
    return false;
  if (!tct_check_same_dtype(infer, 0, "x", 1, "the filter") || !tct_check_dtype(infer, 0, "x", TCT_FLOATS))
    return false;
  memcpy(attrs->x_shape, infer->in[0].shape.dim, sizeof attrs->x_shape);
  memcpy(attrs->w_shape, infer->in[1].shape.dim, sizeof attrs->w_shape);
  if (!check_channels(infer, attrs) || !outputs_of(infer, attrs, pq)) return false;
  if (infer->n_in == 3) {
    const tct_shape per_channel = TCT_SHAPE(attrs->w_shape[3]);
    if (!tct_check_same_dtype(infer, 0, "x", 2, "bias")) return false;
    if (!tct_check_shape(infer, 2, "bias", &per_channel, "one per output channel")) return false;
  }
  return tct_give(infer, 0, infer->in[0].dtype, TCT_SHAPE(attrs->x_shape[0], pq[0], pq[1], attrs->w_shape[3]));
}

/* Operand i is dy of the forward that the attributes describe. */
static bool check_dy(tct_infer *infer, int32_t i) {
  const tct_conv2d_attrs *attrs = infer->attrs;
  int64_t pq[2];
  if (!tct_check_same_dtype(infer, 0, "the first operand", 1, "the second")) return false;
  if (!tct_check_dtype(infer, 0, "the first operand", TCT_FLOATS)) return false;
  if (!check_channels(infer, attrs) || !outputs_of(infer, attrs, pq)) return false;
  const tct_shape dy = TCT_SHAPE(attrs->x_shape[0], pq[0], pq[1], attrs->w_shape[3]);
  return tct_check_shape(infer, i, "dy", &dy, "the forward's result");
}

static bool infer_grad_input(tct_infer *infer) {
  const tct_conv2d_attrs *attrs = infer->attrs;
  const tct_shape w = tct_shape_of(4, attrs->w_shape);
  if (!check_dy(infer, 0) || !tct_check_shape(infer, 1, "the filter", &w, "the forward's filter")) return false;
  return tct_give(infer, 0, infer->in[0].dtype, tct_shape_of(4, attrs->x_shape));
}

static bool infer_grad_filter(tct_infer *infer) {
  const tct_conv2d_attrs *attrs = infer->attrs;
  const tct_shape x = tct_shape_of(4, attrs->x_shape);
  if (!check_dy(infer, 1) || !tct_check_shape(infer, 0, "x", &x, "the forward's input")) return false;
  return tct_give(infer, 0, infer->in[0].dtype, tct_shape_of(4, attrs->w_shape));
}

static void gradient_conv2d(tct_grad *grad) {
  const tct_conv2d_attrs *attrs = grad->attrs;
  const tct_tensor x = grad->in[0], w = grad->in[1], dy = grad->dout[0];
  if (attrs->activation != TCT_OP_NONE) {
    tct_graph_fail(grad->graph, TCT_E_NO_GRADIENT, "conv2d with a fused activation: differentiate before fusing");
    return;
  }
  if (grad->wanted[0]) grad->din[0] = tct_build2(TCT_OP_conv2d_grad_input, attrs, dy, w);
  if (grad->wanted[1]) grad->din[1] = tct_build2(TCT_OP_conv2d_grad_filter, attrs, x, dy);
  if (grad->n_in == 3 && grad->wanted[2]) grad->din[2] = dy;
}

static void gradient_grad_input(tct_grad *grad) {
  const tct_tensor dy = grad->in[0], w = grad->in[1], d = grad->dout[0];
  if (grad->wanted[0]) grad->din[0] = tct_build2(TCT_OP_conv2d, grad->attrs, d, w);
  if (grad->wanted[1]) grad->din[1] = tct_build2(TCT_OP_conv2d_grad_filter, grad->attrs, d, dy);
}

/* All three do the same multiplications: one per (result of the forward, filter element that it reads). */
static void cost_conv2d(const tct_node_view *node, tct_cost *out) {
  const tct_conv2d_attrs *a = node->attrs;
  const tct_desc *y = node->op == TCT_OP_conv2d              ? &node->out[0]
                      : node->op == TCT_OP_conv2d_grad_input ? &node->in[0]
                                                             : &node->in[1];
  const double reads = (double)a->w_shape[0] * (double)a->w_shape[1] * (double)a->w_shape[2];
  *out = (tct_cost){2 * tct_desc_elements(y) * reads, tct_node_bytes(node)};
}

TCT_DEFINE(conv2d, .infer = infer_conv2d, .gradient = gradient_conv2d, .cost = cost_conv2d);
TCT_DEFINE(conv2d_grad_input, .infer = infer_grad_input, .gradient = gradient_grad_input, .cost = cost_conv2d);
TCT_DEFINE(conv2d_grad_filter, .infer = infer_grad_filter, .gradient_why = TCT_NO_SECOND_ORDER, .cost = cost_conv2d);

/* ---- builders ---- */

static tct_conv2d_attrs attrs_of(const tct_conv2d_options *o, int64_t groups) {
  tct_conv2d_attrs attrs;
  memset(&attrs, 0, sizeof attrs);
  for (int i = 0; i < 2; i++) {
    attrs.stride[i] = o->stride[i] == 0 ? 1 : o->stride[i];
    attrs.dilation[i] = o->dilation[i] == 0 ? 1 : o->dilation[i];
  }
  attrs.groups = groups == 0 ? 1 : groups;
  return attrs;
}

static tct_tensor build(tct_tensor x, tct_tensor w, const tct_conv2d_options *options, int64_t groups) {
  const tct_conv2d_options defaults = {0}, *o = options != NULL ? options : &defaults;
  tct_conv2d_attrs attrs = attrs_of(o, groups);
  if (tct_tensor_ok(x) &&
      tct_tensor_ok(w)) { /* of another rank than 4, the extents are unused: the rule refuses them */
    const tct_shape xs = tct_tensor_shape(x), ws = tct_tensor_shape(w);
    tct_window window[2];
    tct_windows(xs.dim + 1, ws.dim, attrs.stride, attrs.dilation, o->pad, window);
    if (!tct_resolve_padding(x.graph, "conv2d", o->padding, o->pad, window, attrs.pad)) return tct_poison(x.graph);
  }
  return tct_build2(TCT_OP_conv2d, &attrs, x, w);
}

tct_tensor tct_conv2d(tct_tensor x, tct_tensor w, const tct_conv2d_options *options) {
  return build(x, w, options, options != NULL ? options->groups : 1);
}

tct_tensor tct_depthwise_conv2d(tct_tensor x, tct_tensor w, const tct_conv2d_options *options) {
  if (!tct_tensor_ok(x) || !tct_tensor_ok(w)) return tct_poison(x.graph != NULL ? x.graph : w.graph);
  const tct_shape xs = tct_tensor_shape(x), ws = tct_tensor_shape(w);
  if (xs.rank != 4 || ws.rank != 4 || xs.dim[3] != ws.dim[2]) {
    return tct_graph_fail(
        x.graph, TCT_E_CHANNELS,
        "depthwise_conv2d: x is %s and the filter %s; needs x [N,H,W,C] and a filter [R,S,C,M] with the "
        "same C",
        tct_show(&xs).text, tct_show(&ws).text);
  }
  if (options != NULL && options->groups != 0) {
    return tct_graph_fail(x.graph, TCT_E_CHANNELS,
                          "depthwise_conv2d: groups is %" PRId64 ", needs 0: it is the number of "
                          "channels",
                          options->groups);
  }
  const tct_shape flat = TCT_SHAPE(ws.dim[0], ws.dim[1], 1, tct_shape_extent(&ws, 2, 4));
  return build(x, tct_reshaped(w, flat), options, xs.dim[3]);
}

/* The extent that the forward had, of which `x` is the result's: Keras' rule, or the least one for explicit padding. */
static bool extent_before(int64_t x, int64_t window, int64_t stride, int64_t dilation, tct_padding padding,
                          const int64_t pad[2], int64_t *out) {
  int64_t reach = 0, extent = 0;
  if (x < 1 || window < 1 || stride < 1 || dilation < 1) return false;
  if (!tct_mul_i64(window - 1, dilation, &reach) || !tct_add_i64(reach, 1, &reach)) return false;
  if (!tct_mul_i64(padding == TCT_PADDING_EXPLICIT ? x - 1 : x, stride, &extent)) return false;
  int64_t more = 0;
  if (padding == TCT_PADDING_VALID) more = reach > stride ? reach - stride : 0;
  if (padding == TCT_PADDING_EXPLICIT) {
    if (pad[0] < 0 || pad[1] < 0 || pad[0] > INT64_MAX / 4 || pad[1] > INT64_MAX / 4) return false;
    more = reach - pad[0] - pad[1];
  }
  return tct_add_i64(extent, more, out) && *out > 0;
}

tct_tensor tct_conv2d_transpose(tct_tensor x, tct_tensor w, const tct_conv2d_options *options) {
  const tct_conv2d_options defaults = {0}, *o = options != NULL ? options : &defaults;
  if (!tct_tensor_ok(x) || !tct_tensor_ok(w)) return tct_poison(x.graph != NULL ? x.graph : w.graph);
  const tct_shape xs = tct_tensor_shape(x), ws = tct_tensor_shape(w);
  if (xs.rank != 4 || ws.rank != 4 || xs.dim[3] != ws.dim[3]) {
    return tct_graph_fail(
        x.graph, TCT_E_CHANNELS,
        "conv2d_transpose: x is %s and the filter %s; needs x [N,P,Q,K] and a filter [R,S,C/groups,K] "
        "with the same K",
        tct_show(&xs).text, tct_show(&ws).text);
  }
  tct_conv2d_attrs attrs = attrs_of(o, o->groups);
  attrs.x_shape[0] = xs.dim[0];
  memcpy(attrs.w_shape, ws.dim, sizeof attrs.w_shape);
  bool sizes_ok = tct_mul_i64(ws.dim[2], attrs.groups, &attrs.x_shape[3]);
  for (int i = 0; i < 2 && sizes_ok; i++) {
    sizes_ok = extent_before(xs.dim[i + 1], ws.dim[i], attrs.stride[i], attrs.dilation[i], o->padding, o->pad + 2 * i,
                             &attrs.x_shape[i + 1]);
  }
  if (!sizes_ok) {
    return tct_graph_fail(x.graph, TCT_E_CHANNELS,
                          "conv2d_transpose: x %s and the filter %s with strides %" PRId64 " and %" PRId64
                          " give no image; needs positive sizes, and padding that leaves a pixel",
                          tct_show(&xs).text, tct_show(&ws).text, attrs.stride[0], attrs.stride[1]);
  }
  tct_window window[2];
  tct_windows(attrs.x_shape + 1, attrs.w_shape, attrs.stride, attrs.dilation, o->pad, window);
  if (!tct_resolve_padding(x.graph, "conv2d_transpose", o->padding, o->pad, window, attrs.pad)) {
    return tct_poison(x.graph);
  }
  return tct_build2(TCT_OP_conv2d_grad_input, &attrs, x, w);
}
