/* Matrix product: (a [..,m,k], b [..,k,n], bias [n]?) → [..,m,n], leading axes broadcast, floats of one dtype; or i8 into i32,
 * without bias.
 *   y = op(a)·op(b) + bias, where op swaps the last two axes when attrs.transpose_a or _b says so
 *   da = dy·op(b)ᵀ  (or op(b)·dyᵀ when a is transposed),  db = op(a)ᵀ·dy  (or dyᵀ·op(a)),  dbias = dy
 * Broadcast batch axes are summed by the autodiff pass. 2·m·n·k flops per product. */
#include <inttypes.h>
#include <string.h>
#include "graph/graph.h"
#include "ops/defs.h"
#include "ops/shape.h"

enum { MOST_WHOLE_TERMS = 131071 }; /* of −128·−128 stay within i32 */

/* Rows and columns of operand i after its transposition; a sentence when it is no matrix. */
static bool matrix_of(tct_infer *infer, int32_t i, const char *what, bool transpose, int64_t *rows, int64_t *columns) {
  const tct_shape *s = &infer->in[i].shape;
  if (s->rank < 2) {
    return tct_refuse_as(infer, TCT_E_RANK, "%s is %s, needs at least rank 2; reshape a vector to [1,k] or [k,1]", what,
                         tct_show(s).text);
  }
  *rows = s->dim[s->rank - (transpose ? 1 : 2)];
  *columns = s->dim[s->rank - (transpose ? 2 : 1)];
  return true;
}

/* The product's shape, of operands whose dtypes fit. */
static bool infer_product(tct_infer *infer, unsigned dtypes, tct_shape *out) {
  const tct_matmul_attrs *attrs = infer->attrs;
  const tct_shape *a = &infer->in[0].shape, *b = &infer->in[1].shape;
  int64_t m = 0, k = 0, k_of_b = 0, n = 0;
  if (!tct_check_same_dtype(infer, 0, "a", 1, "b") || !tct_check_dtype(infer, 0, "a", dtypes)) return false;
  if (!matrix_of(infer, 0, "a", attrs->transpose_a, &m, &k)) return false;
  if (!matrix_of(infer, 1, "b", attrs->transpose_b, &k_of_b, &n)) return false;
  const char *ta = attrs->transpose_a ? "ᵀ" : "", *tb = attrs->transpose_b ? "ᵀ" : "";
  if (k != k_of_b) {
    return tct_refuse_as(infer, TCT_E_INNER,
                         "%s%s × %s%s: inner extents %" PRId64 " and %" PRId64
                         " differ; transpose one, or make the weight [%" PRId64 ",%" PRId64 "]",
                         tct_show(a).text, ta, tct_show(b).text, tb, k, k_of_b, k, n);
  }
  const tct_shape batch_a = tct_shape_part(a, 0, a->rank - 2), batch_b = tct_shape_part(b, 0, b->rank - 2);
  if (!tct_broadcast(&batch_a, &batch_b, out)) {
    return tct_refuse_as(infer, TCT_E_BROADCAST,
                         "%s%s × %s%s: the leading axes %s and %s do not broadcast; extents must be equal or 1",
                         tct_show(a).text, ta, tct_show(b).text, tb, tct_show(&batch_a).text, tct_show(&batch_b).text);
  }
  if (infer->in[0].dtype == TCT_I8 && k > MOST_WHOLE_TERMS) {
    return tct_refuse_as(infer, TCT_E_SIZE, "%s%s × %s%s of i8: a sum of %" PRId64 " products may leave i32; needs an inner extent of at "
                         "most %d: cut it and add the parts", tct_show(a).text, ta, tct_show(b).text, tb, k, MOST_WHOLE_TERMS);
  }
  out->dim[out->rank++] = m;
  out->dim[out->rank++] = n;
  return true;
}

static bool check_bias(tct_infer *infer, const tct_shape *product) {
  const tct_shape per_column = TCT_SHAPE(product->dim[product->rank - 1]);
  return tct_check_same_dtype(infer, 0, "a", 2, "bias") &&
         tct_check_shape(infer, 2, "bias", &per_column, "one per column of the result");
}

static bool infer_matmul(tct_infer *infer) {
  const tct_matmul_attrs *attrs = infer->attrs;
  const bool is_whole = infer->in[0].dtype == TCT_I8;
  tct_shape out;
  if (!infer_product(infer, TCT_FLOATS | 1u << TCT_I8, &out)) return false;
  if (is_whole && (infer->n_in == 3 || attrs->activation != TCT_OP_NONE)) {
    return tct_refuse_as(infer, TCT_E_DTYPE, "a product of i8 is i32 and takes no bias or activation; cast the result to f32, then add");
  }
  if (infer->n_in == 3 && !check_bias(infer, &out)) return false;
  return tct_give(infer, 0, is_whole ? TCT_I32 : infer->in[0].dtype, out);
}

/* [.., m, n] as [..·m, n]: a batch of rows under one weight is one matrix. */
static tct_tensor flat_rows(tct_tensor x) {
  const tct_shape s = tct_tensor_shape(x);
  return tct_reshaped(x, TCT_SHAPE(tct_shape_extent(&s, 0, s.rank - 1), s.dim[s.rank - 1]));
}

static tct_tensor gradient_of_b(const tct_grad *grad, const tct_matmul_attrs *attrs) {
  tct_tensor a = grad->in[0], dy = grad->dout[0];
  const bool ta = attrs->transpose_a;
  if (!ta && tct_tensor_shape(a).rank > 2 && tct_tensor_shape(grad->in[1]).rank == 2) {
    a = flat_rows(a); /* one product over all rows instead of a product per batch and their sum */
    dy = flat_rows(dy);
  }
  return attrs->transpose_b ? tct_matmul_transposed(dy, a, true, ta) : tct_matmul_transposed(a, dy, !ta, false);
}

static void gradient_matmul(tct_grad *grad) {
  const tct_matmul_attrs *attrs = grad->attrs;
  const tct_tensor b = grad->in[1], dy = grad->dout[0];
  const bool ta = attrs->transpose_a, tb = attrs->transpose_b;
  if (attrs->activation != TCT_OP_NONE) {
    tct_graph_fail(grad->graph, TCT_E_NO_GRADIENT, "matmul with a fused activation: differentiate before fusing");
    return;
  }
  if (grad->wanted[0]) {
    grad->din[0] = ta ? tct_matmul_transposed(b, dy, tb, true) : tct_matmul_transposed(dy, b, false, !tb);
  }
  if (grad->wanted[1]) grad->din[1] = gradient_of_b(grad, attrs);
  if (grad->n_in == 3 && grad->wanted[2]) grad->din[2] = dy;
}

static void cost_matmul(const tct_node_view *node, tct_cost *out) {
  const tct_matmul_attrs *attrs = node->attrs;
  const tct_shape *a = &node->in[0].shape;
  const int64_t k = a->dim[a->rank - (attrs->transpose_a ? 2 : 1)];
  tct_cost_per_output(node, 2.0 * (double)k, out);
}

TCT_DEFINE(matmul, .infer = infer_matmul, .gradient = gradient_matmul, .cost = cost_matmul);

/* ---- what the fuse passes make of a dense layer with gelu_tanh, and of its gradient ----
 *   matmul_gelu   y = gelu_tanh(z), z = op(a)·op(b) + bias, which the gradient reads
 *   matmul_dgelu  dz = gelu_tanh'(z) ∘ op(a)·op(b)
 *   matmul_bgrad  dw = op(a)·op(b) of matrices, and op(b)'s sums over its rows: the bias gradient, where b is dz. Both are sums over many
 *                 terms that an update adds up: never narrower than f32 */

static bool check_no_activation(tct_infer *infer) {
  const tct_matmul_attrs *attrs = infer->attrs;
  return attrs->activation == TCT_OP_NONE || tct_refuse_as(infer, TCT_E_ATTRIBUTE, "takes no activation beside its own; leave attrs.activation NONE");
}

static bool infer_gelu(tct_infer *infer) {
  tct_shape out;
  if (!check_no_activation(infer)) return false;
  if (!infer_product(infer, TCT_FLOATS, &out) || (infer->n_in == 3 && !check_bias(infer, &out))) return false;
  return tct_give(infer, 0, infer->in[0].dtype, out) && tct_give(infer, 1, infer->in[0].dtype, out);
}

static bool infer_dgelu(tct_infer *infer) {
  tct_shape out;
  if (!check_no_activation(infer)) return false;
  if (!infer_product(infer, TCT_FLOATS, &out) || !tct_check_same_dtype(infer, 0, "a", 2, "z")) return false;
  return tct_check_shape(infer, 2, "z", &out, "the product's shape") && tct_give(infer, 0, infer->in[0].dtype, out);
}

static tct_dtype wide(tct_dtype dtype) {
  return dtype == TCT_F64 ? TCT_F64 : TCT_F32;
}

static bool infer_bgrad(tct_infer *infer) {
  tct_shape out;
  if (!check_no_activation(infer)) return false;
  if (!infer_product(infer, TCT_FLOATS, &out)) return false;
  if (infer->in[0].shape.rank > 2 || infer->in[1].shape.rank > 2)
    return tct_refuse_as(infer, TCT_E_RANK, "%s × %s: needs matrices; reshape the operands to rank 2", tct_show(&infer->in[0].shape).text,
                         tct_show(&infer->in[1].shape).text);
  const tct_dtype dtype = wide(infer->in[0].dtype);
  return tct_give(infer, 0, dtype, out) && tct_give(infer, 1, dtype, TCT_SHAPE(out.dim[1]));
}

static void decompose_gelu(tct_graph *graph, const void *attrs, const tct_tensor *in, int32_t n_in, tct_tensor *out) {
  (void)graph;
  out[1] = tct_build(TCT_OP_matmul, attrs, in, n_in, NULL);
  out[0] = tct_gelu_tanh(out[1]);
}

static void decompose_dgelu(tct_graph *graph, const void *attrs, const tct_tensor *in, int32_t n_in, tct_tensor *out) {
  (void)graph, (void)n_in;
  out[0] = tct_build2(TCT_OP_gelu_tanh_grad, &(tct_unary_attrs){0, 0}, in[2], tct_build2(TCT_OP_matmul, attrs, in[0], in[1]));
}

static void decompose_bgrad(tct_graph *graph, const void *attrs, const tct_tensor *in, int32_t n_in, tct_tensor *out) {
  (void)graph, (void)n_in;
  const tct_dtype dtype = wide(tct_tensor_dtype(in[0]));
  const tct_tensor b = tct_cast(in[1], dtype);
  out[0] = tct_build2(TCT_OP_matmul, attrs, tct_cast(in[0], dtype), b);
  out[1] = tct_reduce_sum(b, (const int32_t[]){((const tct_matmul_attrs *)attrs)->transpose_b ? 1 : 0}, 1, false);
}

#define FUSED_ONLY "made by the fuse passes: differentiate before them"
TCT_DEFINE(matmul_gelu, .infer = infer_gelu, .gradient_why = FUSED_ONLY, .cost = cost_matmul, .decompose = decompose_gelu);
TCT_DEFINE(matmul_dgelu, .infer = infer_dgelu, .gradient_why = FUSED_ONLY, .cost = cost_matmul, .decompose = decompose_dgelu);
TCT_DEFINE(matmul_bgrad, .infer = infer_bgrad, .gradient_why = FUSED_ONLY, .cost = cost_matmul, .decompose = decompose_bgrad);
#undef FUSED_ONLY

tct_tensor tct_matmul_transposed(tct_tensor a, tct_tensor b, bool transpose_a, bool transpose_b) {
  tct_matmul_attrs attrs;
  memset(&attrs, 0, sizeof attrs);
  attrs.transpose_a = transpose_a;
  attrs.transpose_b = transpose_b;
  return tct_build2(TCT_OP_matmul, &attrs, a, b);
}

tct_tensor tct_matmul(tct_tensor a, tct_tensor b) {
  return tct_matmul_transposed(a, b, false, false);
}
