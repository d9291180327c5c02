/* Normalisation, channels last, floats of one dtype; where x is bf16 or f16, what is not of x's shape may be f32: parameters,
 * statistics and their gradients. C is x's last extent, n the number of rows of C.
 *   batch_norm            (x [..,C], gamma [C], beta [C]) → y [..,C], mean [C], biased variance [C]
 *     mean = Σ x/n, variance = Σ (x - mean)²/n over all axes but the last;  y = gamma·(x - mean)/√(variance + ε) + beta
 *   batch_norm_grad       (x, gamma, mean, variance, dy) → dx, dgamma [C], dbeta [C], for dy alone
 *   batch_norm_inference  (x, gamma, beta, mean, variance) → y, with given statistics
 *   layer_norm            (x [..,C], gamma, beta) → y, mean [..], r = 1/√(variance + ε) [..], over the last axis
 *   layer_norm_grad       (x, gamma, mean, r, dy) → dx, dgamma, dbeta
 * Ioffe & Szegedy 2015; Ba, Kiros & Hinton 2016. A gradient into the statistics themselves adds
 *   dmean/n and dvariance·2(x - mean)/n  (batch),  dmean/C and -dr·r³(x - mean)/C  (layer)  to dx. */
#include <inttypes.h>
#include "ops/defs.h"
#include "ops/shape.h"

/* ---- shape rules ---- */

static bool check_epsilon(tct_infer *infer) {
  const tct_norm_attrs *attrs = infer->attrs;
  if (attrs->epsilon >= 0) return true;
  return tct_refuse_as(infer, TCT_E_ATTRIBUTE, "epsilon is %g, needs at least 0", attrs->epsilon);
}

static bool check_x(tct_infer *infer) {
  const tct_shape *x = &infer->in[0].shape;
  if (!tct_check_dtype(infer, 0, "x", TCT_FLOATS) || !check_epsilon(infer)) return false;
  return x->rank > 0 || tct_refuse_as(infer, TCT_E_RANK, "x is a scalar, needs [..,C]");
}

/* Operand i has x's dtype; beside a narrow x, f32 or gamma's. */
static bool check_beside_x(tct_infer *infer, int32_t i, const char *what) {
  const tct_dtype x = infer->in[0].dtype;
  const bool narrow = x == TCT_BF16 || x == TCT_F16;
  if (narrow && i > 1) return tct_check_same_dtype(infer, 1, "gamma", i, what);
  return (narrow && infer->in[i].dtype == TCT_F32) || tct_check_same_dtype(infer, 0, "x", i, what);
}

/* Operand i is a float [C]. */
static bool check_per_channel(tct_infer *infer, int32_t i, const char *what) {
  const tct_shape *x = &infer->in[0].shape;
  const tct_shape channels = tct_shape_part(x, x->rank - 1, x->rank);
  if (!check_beside_x(infer, i, what)) return false;
  if (tct_shape_equal(&infer->in[i].shape, &channels)) return true;
  return tct_refuse(infer, "%s is %s, needs %s: one per channel of x %s", what, tct_show(&infer->in[i].shape).text,
                    tct_show(&channels).text, tct_show(x).text);
}

static bool check_like_x(tct_infer *infer, int32_t i, const char *what) {
  return tct_check_same_dtype(infer, 0, "x", i, what) &&
         tct_check_shape(infer, i, what, &infer->in[0].shape, "the shape of x");
}

/* Operand i is one value per row of x. */
static bool check_per_row(tct_infer *infer, int32_t i, const char *what) {
  const tct_shape *x = &infer->in[0].shape;
  const tct_shape leading = tct_shape_part(x, 0, x->rank - 1);
  return check_beside_x(infer, i, what) && tct_check_shape(infer, i, what, &leading, "one per row of x");
}

static bool give_all(tct_infer *infer, const tct_shape *first, const tct_shape *second, const tct_shape *third) {
  const tct_dtype x = infer->in[0].dtype, beside = infer->in[1].dtype;
  return tct_give(infer, 0, x, *first) && tct_give(infer, 1, beside, *second) && tct_give(infer, 2, beside, *third);
}

static bool infer_batch_norm(tct_infer *infer) {
  if (!check_x(infer) || !check_per_channel(infer, 1, "gamma") || !check_per_channel(infer, 2, "beta")) return false;
  const tct_shape *x = &infer->in[0].shape, channels = tct_shape_part(x, x->rank - 1, x->rank);
  if (tct_shape_extent(x, 0, x->rank - 1) == 0) {
    return tct_refuse(infer, "x is %s: the mean and variance over no rows have no value", tct_show(x).text);
  }
  return give_all(infer, x, &channels, &channels);
}

static bool infer_batch_norm_grad(tct_infer *infer) {
  if (!check_x(infer) || !check_per_channel(infer, 1, "gamma") || !check_per_channel(infer, 2, "mean") ||
      !check_per_channel(infer, 3, "variance") || !check_like_x(infer, 4, "dy")) {
    return false;
  }
  return give_all(infer, &infer->in[0].shape, &infer->in[1].shape, &infer->in[1].shape);
}

static bool infer_batch_norm_inference(tct_infer *infer) {
  static const char *const names[] = {"x", "gamma", "beta", "mean", "variance"};
  if (!check_x(infer)) return false;
  for (int32_t i = 1; i < infer->n_in; i++) {
    if (!check_per_channel(infer, i, names[i])) return false;
  }
  return tct_give(infer, 0, infer->in[0].dtype, infer->in[0].shape);
}

static bool infer_layer_norm(tct_infer *infer) {
  if (!check_x(infer) || !check_per_channel(infer, 1, "gamma") || !check_per_channel(infer, 2, "beta")) return false;
  const tct_shape *x = &infer->in[0].shape, rows = tct_shape_part(x, 0, x->rank - 1);
  if (x->dim[x->rank - 1] == 0) {
    return tct_refuse(infer, "x is %s: the mean and variance of rows without elements have no value", tct_show(x).text);
  }
  return give_all(infer, x, &rows, &rows);
}

static bool infer_layer_norm_grad(tct_infer *infer) {
  if (!check_x(infer) || !check_per_channel(infer, 1, "gamma") || !check_per_row(infer, 2, "mean") ||
      !check_per_row(infer, 3, "1/σ") || !check_like_x(infer, 4, "dy")) {
    return false;
  }
  return give_all(infer, &infer->in[0].shape, &infer->in[1].shape, &infer->in[1].shape);
}

/* ---- gradients ---- */

static bool is_set(tct_tensor t) {
  return t.graph != NULL && t.id >= 0;
}

static void add_to(tct_tensor *sum, tct_tensor more) {
  *sum = is_set(*sum) ? tct_add(*sum, more) : more;
}

/* The part that flows through y, as the op `gradient` of (x, gamma, statistics, dy). */
static void gradient_through_y(tct_grad *grad, tct_op gradient) {
  if (!is_set(grad->dout[0])) return;
  const tct_tensor in[] = {grad->in[0], grad->in[1], grad->out[1], grad->out[2], grad->dout[0]};
  tct_build(gradient, grad->attrs, in, 5, grad->din);
}

static void gradient_batch_norm(tct_grad *grad) {
  gradient_through_y(grad, TCT_OP_batch_norm_grad);
  const tct_tensor x = grad->in[0], mean = grad->out[1], dmean = grad->dout[1], dvariance = grad->dout[2];
  const tct_shape shape = tct_tensor_shape(x);
  const double n = (double)tct_shape_extent(&shape, 0, shape.rank - 1);
  if (!grad->wanted[0]) return;
  if (is_set(dmean)) add_to(&grad->din[0], tct_broadcasted(tct_scale(dmean, 1 / n, 0), shape));
  if (is_set(dvariance)) add_to(&grad->din[0], tct_mul(tct_sub(x, mean), tct_scale(dvariance, 2 / n, 0)));
}

static void gradient_batch_norm_inference(tct_grad *grad) {
  const tct_norm_attrs *attrs = grad->attrs;
  const tct_tensor gamma = grad->in[1], dy = grad->dout[0];
  const tct_tensor r = tct_rsqrt(tct_scale(grad->in[4], 1, attrs->epsilon));
  const tct_tensor centred = tct_sub(grad->in[0], grad->in[3]);
  const tct_tensor dx = tct_mul(dy, tct_mul(gamma, r));
  grad->din[0] = dx;
  if (grad->wanted[1]) grad->din[1] = tct_mul(dy, tct_mul(centred, r));
  grad->din[2] = dy;
  if (grad->wanted[3]) grad->din[3] = tct_neg(dx);
  if (grad->wanted[4]) grad->din[4] = tct_mul(tct_mul(dx, centred), tct_scale(tct_square(r), -0.5, 0));
}

static void gradient_layer_norm(tct_grad *grad) {
  gradient_through_y(grad, TCT_OP_layer_norm_grad);
  const tct_tensor x = grad->in[0], dmean = grad->dout[1], dr = grad->dout[2];
  const tct_shape shape = tct_tensor_shape(x);
  const double c = (double)shape.dim[shape.rank - 1];
  const tct_shape per_row = tct_reduced(&shape, 1u << (shape.rank - 1), true);
  if (!grad->wanted[0]) return;
  if (is_set(dmean)) {
    add_to(&grad->din[0], tct_broadcasted(tct_scale(tct_reshaped(dmean, per_row), 1 / c, 0), shape));
  }
  if (is_set(dr)) {
    const tct_tensor r = tct_reshaped(grad->out[2], per_row), mean = tct_reshaped(grad->out[1], per_row);
    const tct_tensor factor = tct_mul(tct_mul(r, tct_square(r)), tct_reshaped(dr, per_row));
    add_to(&grad->din[0], tct_mul(tct_sub(x, mean), tct_scale(factor, -1 / c, 0)));
  }
}

/* ---- simpler ops ---- */

static void decompose_batch_norm_inference(tct_graph *graph, const void *attrs, const tct_tensor *in, int32_t n_in,
                                           tct_tensor *out) {
  (void)graph, (void)n_in;
  const tct_norm_attrs *own = attrs;
  const tct_tensor factor = tct_mul(in[1], tct_rsqrt(tct_scale(in[4], 1, own->epsilon)));
  out[0] = tct_add(tct_mul(tct_sub(in[0], in[3]), factor), in[2]);
}

static void decompose_batch_norm(tct_graph *graph, const void *attrs, const tct_tensor *in, int32_t n_in,
                                 tct_tensor *out) {
  (void)n_in;
  int32_t axes[TCT_MAX_RANK];
  const int32_t n_axes = tct_tensor_shape(in[0]).rank - 1;
  for (int32_t i = 0; i < n_axes; i++) axes[i] = i;
  out[1] = in[0]; /* a single row is its own mean */
  if (n_axes > 0) out[1] = tct_reduce_mean(in[0], axes, n_axes, false);
  const tct_tensor squares = tct_square(tct_sub(in[0], out[1]));
  out[2] = n_axes > 0 ? tct_reduce_mean(squares, axes, n_axes, false) : squares;
  const tct_tensor given[] = {in[0], in[1], in[2], out[1], out[2]};
  decompose_batch_norm_inference(graph, attrs, given, 5, out);
}

static void decompose_layer_norm(tct_graph *graph, const void *attrs, const tct_tensor *in, int32_t n_in,
                                 tct_tensor *out) {
  (void)graph, (void)n_in;
  const tct_norm_attrs *own = attrs;
  const int32_t last = -1;
  const tct_shape shape = tct_tensor_shape(in[0]), rows = tct_shape_part(&shape, 0, shape.rank - 1);
  const tct_tensor mean = tct_reduce_mean(in[0], &last, 1, true), centred = tct_sub(in[0], mean);
  const tct_tensor variance = tct_reduce_mean(tct_square(centred), &last, 1, true);
  const tct_tensor r = tct_rsqrt(tct_scale(variance, 1, own->epsilon));
  out[0] = tct_add(tct_mul(tct_mul(centred, r), in[1]), in[2]);
  out[1] = tct_reshaped(mean, rows);
  out[2] = tct_reshaped(r, rows);
}

static void cost_norm(const tct_node_view *node, tct_cost *out) {
  tct_cost_per_input(node, 8, out);
}
static void cost_inference(const tct_node_view *node, tct_cost *out) {
  tct_cost_per_input(node, 4, out);
}

TCT_DEFINE(batch_norm, .infer = infer_batch_norm, .gradient = gradient_batch_norm, .cost = cost_norm,
           .decompose = decompose_batch_norm);
TCT_DEFINE(batch_norm_grad, .infer = infer_batch_norm_grad, .gradient_why = TCT_NO_SECOND_ORDER, .cost = cost_norm);
TCT_DEFINE(batch_norm_inference, .infer = infer_batch_norm_inference, .gradient = gradient_batch_norm_inference,
           .cost = cost_inference, .decompose = decompose_batch_norm_inference);
TCT_DEFINE(layer_norm, .infer = infer_layer_norm, .gradient = gradient_layer_norm, .cost = cost_norm,
           .decompose = decompose_layer_norm);
TCT_DEFINE(layer_norm_grad, .infer = infer_layer_norm_grad, .gradient_why = TCT_NO_SECOND_ORDER, .cost = cost_norm);

/* ---- builders ---- */

tct_tensor tct_batch_norm(tct_tensor x, tct_tensor gamma, tct_tensor beta, double epsilon, tct_tensor *out_mean,
                          tct_tensor *out_variance) {
  const tct_norm_attrs attrs = {epsilon};
  const tct_tensor in[] = {x, gamma, beta};
  tct_tensor out[3];
  tct_build(TCT_OP_batch_norm, &attrs, in, 3, out);
  if (out_mean != NULL) *out_mean = out[1];
  if (out_variance != NULL) *out_variance = out[2];
  return out[0];
}

tct_tensor tct_batch_norm_inference(tct_tensor x, tct_tensor gamma, tct_tensor beta, tct_tensor mean,
                                    tct_tensor variance, double epsilon) {
  const tct_norm_attrs attrs = {epsilon};
  const tct_tensor in[] = {x, gamma, beta, mean, variance};
  return tct_build(TCT_OP_batch_norm_inference, &attrs, in, 5, NULL);
}

tct_tensor tct_layer_norm(tct_tensor x, tct_tensor gamma, tct_tensor beta, double epsilon) {
  const tct_norm_attrs attrs = {epsilon};
  return tct_build3(TCT_OP_layer_norm, &attrs, x, gamma, beta);
}
