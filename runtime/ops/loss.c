/* Losses on logits x [..,C], one value per row; p = softmax(x), s = attrs.label_smoothing.
 *   softmax_cross_entropy              (x, t [..,C]) → [..]  -Σ t'·ln p,  t' = (1 - s)·t + s/C
 *   softmax_cross_entropy_grad         (x, t, dloss [..]) → dx = dloss·(p·Σt' - t')
 *   sparse_softmax_cross_entropy       (x, labels i32 [..]): the same with t one-hot; a label out of range gives NaN
 *   sparse_softmax_cross_entropy_grad  (x, labels, dloss) → dx
 * With respect to t: -(1 - s)·ln p·dloss. Label smoothing: Szegedy et al., 2016.
 * The sigmoid's, from elementwise ops: z·softplus(-x) + (1 - z)·softplus(x) = max(x, 0) - x·z + ln(1 + e^-|x|), in the
 * form whose gradient is exact at x = 0 and does not cancel for large |x|. */
#include <inttypes.h>
#include "graph/graph.h"
#include "ops/defs.h"
#include "ops/shape.h"

/* ---- shape rules ---- */

static bool check_logits(tct_infer *infer) {
  const tct_cross_entropy_attrs *attrs = infer->attrs;
  const tct_shape *x = &infer->in[0].shape;
  if (!tct_check_dtype(infer, 0, "the tensor of logits", TCT_FLOATS)) return false;
  if (x->rank == 0 || x->dim[x->rank - 1] == 0) {
    return tct_refuse(infer, "the logits are %s, need [..,C] with at least one class", tct_show(x).text);
  }
  if (!(attrs->label_smoothing >= 0 && attrs->label_smoothing <= 1)) {
    return tct_refuse_as(infer, TCT_E_ATTRIBUTE, "label_smoothing is %g, needs 0 to 1", attrs->label_smoothing);
  }
  return true;
}

/* One i32 per row. [rows, 1] is the common mistake. */
static bool check_labels(tct_infer *infer, const tct_shape *rows) {
  const tct_shape *labels = &infer->in[1].shape;
  if (!tct_check_dtype(infer, 1, "the tensor of labels", 1u << TCT_I32)) return false;
  if (tct_shape_equal(labels, rows)) return true;
  return tct_refuse(infer, "logits %s need labels %s, one class number per row; they are %s%s",
                    tct_show(&infer->in[0].shape).text, tct_show(rows).text, tct_show(labels).text,
                    tct_shape_size(labels) == tct_shape_size(rows) ? " (reshape them)"
                    : tct_shape_equal(labels, &infer->in[0].shape) ? " (of one-hot rows: use the dense loss)"
                                                                   : "");
}

static bool check_targets(tct_infer *infer) {
  return tct_check_same_dtype(infer, 0, "the tensor of logits", 1, "the tensor of targets") &&
         tct_check_shape(infer, 1, "the tensor of targets", &infer->in[0].shape, "the shape of the logits");
}

static bool infer_loss(tct_infer *infer, bool sparse) {
  if (!check_logits(infer)) return false;
  const tct_shape *x = &infer->in[0].shape, rows = tct_shape_part(x, 0, x->rank - 1);
  if (!(sparse ? check_labels(infer, &rows) : check_targets(infer))) return false;
  if (infer->n_in == 2) return tct_give(infer, 0, infer->in[0].dtype, rows);
  if (!tct_check_same_dtype(infer, 0, "the tensor of logits", 2, "dloss")) return false;
  if (!tct_check_shape(infer, 2, "dloss", &rows, "one per row")) return false;
  return tct_give(infer, 0, infer->in[0].dtype, *x);
}

static bool infer_sparse(tct_infer *infer) {
  return infer_loss(infer, true);
}
static bool infer_dense(tct_infer *infer) {
  return infer_loss(infer, false);
}

/* ---- gradients ---- */

static void gradient_sparse(tct_grad *grad) {
  if (!grad->wanted[0]) return;
  grad->din[0] =
      tct_build3(TCT_OP_sparse_softmax_cross_entropy_grad, grad->attrs, grad->in[0], grad->in[1], grad->dout[0]);
}

static void gradient_dense(tct_grad *grad) {
  const tct_cross_entropy_attrs *attrs = grad->attrs;
  const tct_tensor x = grad->in[0], dloss = grad->dout[0];
  if (grad->wanted[0]) {
    grad->din[0] = tct_build3(TCT_OP_softmax_cross_entropy_grad, attrs, x, grad->in[1], dloss);
  }
  if (grad->wanted[1]) {
    const tct_shape shape = tct_tensor_shape(x);
    const tct_tensor column = tct_reshape(dloss, tct_reduced(&shape, 1u << (shape.rank - 1), true));
    grad->din[1] = tct_mul(tct_log_softmax(x, -1), tct_scale(column, attrs->label_smoothing - 1, 0));
  }
}

/* ---- simpler ops ---- */

static tct_tensor smoothed(tct_tensor targets, double s) {
  const tct_shape shape = tct_tensor_shape(targets);
  return s > 0 ? tct_scale(targets, 1 - s, s / (double)shape.dim[shape.rank - 1]) : targets;
}

static void decompose_dense(tct_graph *graph, const void *attrs, const tct_tensor *in, int32_t n_in, tct_tensor *out) {
  (void)graph, (void)n_in;
  const int32_t last = -1;
  const tct_tensor t = smoothed(in[1], ((const tct_cross_entropy_attrs *)attrs)->label_smoothing);
  out[0] = tct_neg(tct_reduce_sum(tct_mul(t, tct_log_softmax(in[0], last)), &last, 1, false));
}

static void decompose_dense_grad(tct_graph *graph, const void *attrs, const tct_tensor *in, int32_t n_in,
                                 tct_tensor *out) {
  (void)graph, (void)n_in;
  const int32_t last = -1;
  const tct_tensor t = smoothed(in[1], ((const tct_cross_entropy_attrs *)attrs)->label_smoothing);
  const tct_shape shape = tct_tensor_shape(in[0]);
  const tct_tensor column = tct_reshape(in[2], tct_reduced(&shape, 1u << (shape.rank - 1), true));
  const tct_tensor p = tct_mul(tct_softmax(in[0], last), tct_reduce_sum(t, &last, 1, true));
  out[0] = tct_mul(tct_sub(p, t), column);
}

static void cost_loss(const tct_node_view *node, tct_cost *out) {
  tct_cost_per_input(node, 14, out);
}

TCT_DEFINE(sparse_softmax_cross_entropy, .infer = infer_sparse, .gradient = gradient_sparse, .cost = cost_loss);
TCT_DEFINE(sparse_softmax_cross_entropy_grad, .infer = infer_sparse, .gradient_why = TCT_NO_SECOND_ORDER,
           .cost = cost_loss);
TCT_DEFINE(softmax_cross_entropy, .infer = infer_dense, .gradient = gradient_dense, .cost = cost_loss,
           .decompose = decompose_dense);
TCT_DEFINE(softmax_cross_entropy_grad, .infer = infer_dense, .gradient_why = TCT_NO_SECOND_ORDER, .cost = cost_loss,
           .decompose = decompose_dense_grad);

/* ---- builders ---- */

tct_tensor tct_sparse_softmax_cross_entropy(tct_tensor logits, tct_tensor labels, double label_smoothing) {
  const tct_cross_entropy_attrs attrs = {label_smoothing};
  return tct_build2(TCT_OP_sparse_softmax_cross_entropy, &attrs, logits, labels);
}

tct_tensor tct_softmax_cross_entropy(tct_tensor logits, tct_tensor targets, double label_smoothing) {
  const tct_cross_entropy_attrs attrs = {label_smoothing};
  return tct_build2(TCT_OP_softmax_cross_entropy, &attrs, logits, targets);
}

tct_tensor tct_sigmoid_cross_entropy(tct_tensor logits, tct_tensor targets) {
  if (!tct_tensor_ok(logits) || !tct_tensor_ok(targets)) {
    return tct_poison(logits.graph != NULL ? logits.graph : targets.graph);
  }
  const tct_shape x = tct_tensor_shape(logits), z = tct_tensor_shape(targets);
  if (!tct_shape_equal(&x, &z)) { /* [N,1] and [N] would broadcast to [N,N] */
    return tct_graph_fail(logits.graph, TCT_E_OPERANDS,
                          "sigmoid_cross_entropy: logits are %s and targets %s; they need one shape (reshape one)",
                          tct_show(&x).text, tct_show(&z).text);
  }
  const tct_tensor if_one = tct_mul(targets, tct_softplus(tct_neg(logits)));
  return tct_add(if_one, tct_mul(tct_scale(targets, -1, 1), tct_softplus(logits)));
}
