/* Scaled dot-product attention (Vaswani et al., 2017), heads beside each other as a dense layer leaves them, floats of
 * one dtype. B batch, T queries, S keys, H heads. attention       (q [B,T,H,D], k [B,S,H,D], v [B,S,H,V], mask bool
 * [B|1,H|1,T|1,S|1]?) → y [B,T,H,V], l [B,H,T] s = scale·q·kᵀ,  l = ln Σ e^s over the keys that the query sees,  p =
 * e^(s - l),  y = p·v attention_grad  (q, k, v, y, l, dy, mask?) → dq, dk, dv dv = pᵀ·dy,  ds = p∘(dy·vᵀ - Σ_v dy∘y),
 * dq = scale·ds·k,  dk = scale·dsᵀ·q A query sees key j where the mask is true and, with attrs.causal, j is at most its
 * own number. One that sees no key gives zeros and l = +∞, from which p = 0 follows. l is all that the backward needs
 * to make p again tile by tile, so that no device stores s (Dao et al., 2022); for operands of bf16 and f16 it is f32, for
 * its rounding is a factor of all of a query's weights. */
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include "graph/graph.h"
#include "ops/defs.h"
#include "ops/shape.h"

/* Far below every score, and a finite number of the dtype: sums of these are told from sums of scores. */
static double hidden(tct_dtype dtype) {
  return dtype == TCT_F16 ? -6e4 : -1e30;
}

/* ---- shape rules ---- */

static bool check_rank_4(tct_infer *infer, int32_t i, const char *what, const char *form) {
  const tct_shape *s = &infer->in[i].shape;
  if (!tct_check_same_dtype(infer, 0, "q", i, what)) return false;
  if (s->rank == 4) return true;
  return tct_refuse(infer,
                    "%s is %s, needs %s: batch, positions, heads, width; reshape one head to [batch,positions,1,width]",
                    what, tct_show(s).text, form);
}

/* Axis `axis` of operand i has the extent of operand j's. */
static bool check_extent(tct_infer *infer, int32_t i, const char *what_i, int32_t j, const char *what_j, int32_t axis,
                         const char *of) {
  const int64_t has = infer->in[i].shape.dim[axis], needs = infer->in[j].shape.dim[axis];
  if (has == needs) return true;
  return tct_refuse(infer, "%s is %s and %s is %s: the %s (axis %d) must be equal, they are %" PRId64 " and %" PRId64,
                    what_j, tct_show(&infer->in[j].shape).text, what_i, tct_show(&infer->in[i].shape).text, of,
                    (int)axis, needs, has);
}

static bool check_mask(tct_infer *infer, int32_t i) {
  const tct_shape *q = &infer->in[0].shape, *mask = &infer->in[i].shape;
  const tct_shape scores = TCT_SHAPE(q->dim[0], q->dim[2], q->dim[1], infer->in[1].shape.dim[1]);
  if (!tct_check_dtype(infer, i, "mask", TCT_BOOLS)) return false;
  bool fits = mask->rank == 4;
  for (int32_t axis = 0; axis < 4 && fits; axis++) fits = mask->dim[axis] == 1 || mask->dim[axis] == scores.dim[axis];
  return fits ||
         tct_refuse(infer,
                    "mask is %s, needs %s (batch, heads, queries, keys), where every extent may be 1; reshape a "
                    "key padding mask [batch,keys] to [batch,1,1,keys]",
                    tct_show(mask).text, tct_show(&scores).text);
}

/* q, k and v; completes the scale. */
static bool check_operands(tct_infer *infer) {
  tct_attention_attrs *attrs = infer->attrs;
  if (!tct_check_dtype(infer, 0, "q", TCT_FLOATS)) return false;
  if (!check_rank_4(infer, 0, "q", "[B,T,H,D]") || !check_rank_4(infer, 1, "k", "[B,S,H,D]") ||
      !check_rank_4(infer, 2, "v", "[B,S,H,V]")) {
    return false;
  }
  if (!check_extent(infer, 1, "k", 0, "q", 0, "batches") || !check_extent(infer, 2, "v", 0, "q", 0, "batches") ||
      !check_extent(infer, 1, "k", 0, "q", 2, "heads") || !check_extent(infer, 2, "v", 0, "q", 2, "heads") ||
      !check_extent(infer, 1, "k", 0, "q", 3, "widths") || !check_extent(infer, 2, "v", 1, "k", 1, "positions")) {
    return false;
  }
  const tct_shape *k = &infer->in[1].shape;
  if (k->dim[1] == 0) return tct_refuse(infer, "k is %s: there is no key to see", tct_show(k).text);
  if (k->dim[3] == 0) return tct_refuse(infer, "k is %s: keys without elements have no scores", tct_show(k).text);
  if (!isfinite(attrs->scale)) return tct_refuse(infer, "scale is %g, needs to be finite", attrs->scale);
  if (attrs->scale == 0) attrs->scale = 1 / sqrt((double)k->dim[3]);
  return true;
}

static tct_shape shape_of_y(const tct_infer *infer) {
  const tct_shape *q = &infer->in[0].shape;
  return TCT_SHAPE(q->dim[0], q->dim[1], q->dim[2], infer->in[2].shape.dim[3]);
}
static tct_dtype dtype_of_l(tct_dtype dtype) { return dtype == TCT_BF16 || dtype == TCT_F16 ? TCT_F32 : dtype; }
static tct_shape shape_of_l(const tct_infer *infer) {
  const tct_shape *q = &infer->in[0].shape;
  return TCT_SHAPE(q->dim[0], q->dim[2], q->dim[1]);
}

static bool infer_attention(tct_infer *infer) {
  if (!check_operands(infer) || (infer->n_in == 4 && !check_mask(infer, 3))) return false;
  const tct_dtype dtype = infer->in[0].dtype;
  return tct_give(infer, 0, dtype, shape_of_y(infer)) && tct_give(infer, 1, dtype_of_l(dtype), shape_of_l(infer));
}

static bool infer_attention_grad(tct_infer *infer) {
  if (!check_operands(infer) || (infer->n_in == 7 && !check_mask(infer, 6))) return false;
  const tct_shape y = shape_of_y(infer), l = shape_of_l(infer);
  if (!tct_check_dtype(infer, 4, "ln Σ e^s", 1u << dtype_of_l(infer->in[0].dtype)) ||
      !tct_check_shape(infer, 3, "y", &y, "the forward's result") ||
      !tct_check_shape(infer, 4, "ln Σ e^s", &l, "one per query") ||
      !tct_check_shape(infer, 5, "dy", &y, "the shape of y")) {
    return false;
  }
  for (int32_t i = 0; i < 3; i++) {
    if (!tct_give(infer, i, infer->in[0].dtype, infer->in[i].shape)) return false;
  }
  return true;
}

/* ---- gradients ---- */

static void gradient_attention(tct_grad *grad) {
  if (tct_is_set(grad->dout[1])) {
    tct_graph_fail(grad->graph, TCT_UNSUPPORTED,
                   "attention: its second output is kept for the backward and has no gradient of its own");
    return;
  }
  const tct_tensor in[] = {grad->in[0],
                           grad->in[1],
                           grad->in[2],
                           grad->out[0],
                           grad->out[1],
                           grad->dout[0],
                           grad->n_in == 4 ? grad->in[3] : tct_poison(grad->graph)};
  tct_build(TCT_OP_attention_grad, grad->attrs, in, grad->n_in + 3, grad->din);
}

/* ---- simpler ops ---- */

/* [B,T,H,D] ↔ [B,H,T,D] */
static tct_tensor heads_first(tct_tensor x) {
  static const int32_t swap[] = {0, 2, 1, 3};
  return tct_transpose(x, swap);
}

/* 1, 2, 3 … along one axis of a shape whose other extents are 1; i32, for bf16 has no 257. */
static tct_tensor numbers(tct_graph *graph, tct_shape shape, int32_t axis) {
  return tct_cumsum(tct_full(graph, TCT_I32, shape, 1), axis, false, false);
}

typedef struct scores {
  tct_tensor q, k, v; /* heads first */
  tct_tensor s;       /* [B,H,T,S] */
  tct_tensor sees;    /* bool, broadcast to s; not set: everything */
} scores;

static scores scores_of(tct_graph *graph, const tct_attention_attrs *attrs, const tct_tensor *in, tct_tensor mask) {
  scores out = {.q = heads_first(in[0]), .k = heads_first(in[1]), .v = heads_first(in[2]), .sees = mask};
  const int64_t t = tct_tensor_shape(in[0]).dim[1], s = tct_tensor_shape(in[1]).dim[1];
  out.s = tct_scale(tct_matmul_transposed(out.q, out.k, false, true), attrs->scale, 0);
  if (attrs->causal) {
    const tct_tensor past = tct_greater_equal(numbers(graph, TCT_SHAPE(t, 1), 0), numbers(graph, TCT_SHAPE(1, s), 1));
    out.sees = tct_is_set(mask) ? tct_logical_and(mask, past) : past;
  }
  return out;
}

static tct_tensor as_dtype(tct_tensor x, tct_dtype dtype) { return tct_tensor_dtype(x) == dtype ? x : tct_cast(x, dtype); }

/* x where the query sees the key, else `otherwise`. */
static tct_tensor where_seen(const scores *of, tct_tensor x, double otherwise) {
  return tct_is_set(of->sees) ? tct_select(of->sees, x, tct_scalar(x.graph, tct_tensor_dtype(x), otherwise)) : x;
}

static void decompose_attention(tct_graph *graph, const void *attrs, const tct_tensor *in, int32_t n_in,
                                tct_tensor *out) {
  static const int32_t last = -1;
  const scores of = scores_of(graph, attrs, in, n_in == 4 ? in[3] : tct_poison(graph));
  const double lowest = hidden(tct_tensor_dtype(in[0]));
  const tct_tensor seen = where_seen(&of, of.s, lowest), l = tct_logsumexp(seen, &last, 1, true);
  const tct_tensor p = where_seen(&of, tct_exp(tct_sub(seen, l)), 0),
                   none = tct_scalar(graph, tct_tensor_dtype(l), lowest / 2);
  const tct_tensor infinity = tct_scalar(graph, tct_tensor_dtype(l), INFINITY);
  out[0] = heads_first(tct_matmul(p, of.v));
  const tct_shape lengths = tct_tensor_shape(l);
  const tct_tensor kept = tct_reshaped(tct_select(tct_less(l, none), infinity, l), tct_shape_part(&lengths, 0, 3));
  out[1] = as_dtype(kept, dtype_of_l(tct_tensor_dtype(kept)));
}

static void decompose_attention_grad(tct_graph *graph, const void *attrs, const tct_tensor *in, int32_t n_in,
                                     tct_tensor *out) {
  static const int32_t last = -1;
  const double scale = ((const tct_attention_attrs *)attrs)->scale;
  const scores of = scores_of(graph, attrs, in, n_in == 7 ? in[6] : tct_poison(graph));
  const tct_shape per_query = tct_tensor_shape(in[4]);
  const tct_tensor kept = tct_reshape(in[4], TCT_SHAPE(per_query.dim[0], per_query.dim[1], per_query.dim[2], 1));
  const tct_tensor l = as_dtype(kept, tct_tensor_dtype(in[0]));
  const tct_tensor p = where_seen(&of, tct_exp(tct_sub(of.s, l)), 0), dy = heads_first(in[5]);
  const tct_tensor delta = tct_reduce_sum(tct_mul(dy, heads_first(in[3])), &last, 1, true);
  const tct_tensor ds = tct_mul(p, tct_sub(tct_matmul_transposed(dy, of.v, false, true), delta));
  out[0] = heads_first(tct_scale(tct_matmul(ds, of.k), scale, 0));
  out[1] = heads_first(tct_scale(tct_matmul_transposed(ds, of.q, true, false), scale, 0));
  out[2] = heads_first(tct_matmul_transposed(p, dy, true, false));
}

/* ---- cost ---- */

/* Pairs of a query and a key that it may see, for all batches and heads; masks are not known here. */
static double pairs(const tct_node_view *node) {
  const tct_attention_attrs *attrs = node->attrs;
  const tct_shape *q = &node->in[0].shape;
  const double t = (double)q->dim[1], s = (double)node->in[1].shape.dim[1], beyond = fmax(0, t - s);
  const double each = attrs->causal ? (t - beyond) * (t - beyond + 1) / 2 + beyond * s : t * s;
  return (double)(q->dim[0] * q->dim[2]) * each;
}

/* Two products and the softmax, as `softmax` counts it. */
static void cost_attention(const tct_node_view *node, tct_cost *out) {
  const double d = (double)node->in[0].shape.dim[3], v = (double)node->in[2].shape.dim[3];
  *out = (tct_cost){pairs(node) * (2 * (d + v) + 12), tct_node_bytes(node)};
}

/* s again, dy·vᵀ, and the three products. */
static void cost_attention_grad(const tct_node_view *node, tct_cost *out) {
  const double d = (double)node->in[0].shape.dim[3], v = (double)node->in[2].shape.dim[3];
  *out = (tct_cost){pairs(node) * (6 * d + 4 * v + 12), tct_node_bytes(node)};
}

TCT_DEFINE(attention, .infer = infer_attention, .gradient = gradient_attention, .cost = cost_attention,
           .decompose = decompose_attention);
TCT_DEFINE(attention_grad, .infer = infer_attention_grad, .gradient_why = TCT_NO_SECOND_ORDER,
           .cost = cost_attention_grad, .decompose = decompose_attention_grad);

tct_tensor tct_attention(tct_tensor q, tct_tensor k, tct_tensor v, tct_tensor mask,
                         const tct_attention_options *options) {
  const tct_attention_options own = options != NULL ? *options : (tct_attention_options){0};
  tct_attention_attrs attrs;
  memset(&attrs, 0, sizeof attrs); /* equal nodes are found by their bytes */
  attrs.scale = own.scale;
  attrs.causal = own.causal;
  const tct_tensor in[] = {q, k, v, mask};
  tct_tensor out[2];
  return tct_build(TCT_OP_attention, &attrs, in, mask.graph != NULL ? 4 : 3, out);
}
