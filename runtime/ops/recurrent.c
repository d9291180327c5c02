/* Recurrent layers over all time steps, one node each. x [B,T,I] with B samples and T steps of I features, H units,
 * floats of one dtype. Steps run t = 0 … T-1, or with attrs.reverse T-1 … 0; results stand at the step that they belong
 * to. lstm       (x, w [I,4H], u [H,4H], b [4H], h₀ and c₀ [B,H]?) → y [B,T,H], c [B,T,H], gates [B,T,4H] (i f g o) =
 * (σ σ tanh σ)(x_t·w + h·u + b);  c_t = f∘c + i∘g;  y_t = h = o∘tanh c_t      gates: i f g o lstm_grad  (u, c, gates,
 * dy, dc?, c₀?) → da [B,T,4H], dh₀, dc₀; da: the gradient of what σ and tanh were taken of gru        (x, w [I,3H], u
 * [H,3H], b [2,3H], h₀ [B,H]?) → y [B,T,H], gates [B,T,4H] (p_z p_r p_h) = x_t·w + b₀, (q_z q_r q_h) = h·u + b₁;  z =
 * σ(p_z + q_z), r = σ(p_r + q_r) g = tanh(p_h + r∘q_h);  y_t = h = z∘h + (1 - z)∘g gates: z r g q_h gru_grad   (u, y,
 * gates, dy, h₀?) → dp [B,T,3H], dq [B,T,3H], dh₀ Hochreiter & Schmidhuber 1997, with Gers' forget gate; Cho et al.
 * 2014 in the form that cuDNN computes; gates in Keras' order. The gradient ops hold what goes from step to step; dx,
 * dw, du and db are one product each over all steps, built beside them. */
#include <inttypes.h>
#include <stdio.h>
#include "graph/graph.h"
#include "ops/defs.h"
#include "ops/recurrent.h"
#include "ops/shape.h"

/* ---- shape rules ---- */

/* x, w and u; sets the units. `gates` blocks of units stand beside each other. */
static bool check_products(tct_infer *infer, int64_t gates, int64_t *units) {
  const tct_shape *x = &infer->in[0].shape, *w = &infer->in[1].shape, *u = &infer->in[2].shape;
  if (!tct_check_dtype(infer, 0, "x", TCT_FLOATS)) return false;
  static const char *const names[] = {"x", "w", "u", "b", "h0", "c0"};
  for (int32_t i = 1; i < infer->n_in; i++) {
    if (!tct_check_same_dtype(infer, 0, "x", i, names[i])) return false;
  }
  if (x->rank != 3) {
    return tct_refuse(infer, "x is %s (rank %" PRId32 "), needs [batch,steps,features]", tct_show(x).text, x->rank);
  }
  if (x->dim[1] == 0) return tct_refuse(infer, "x is %s: a sequence of no steps", tct_show(x).text);
  if (w->rank != 2 || w->dim[0] != x->dim[2] || w->dim[1] < gates || w->dim[1] % gates != 0) {
    return tct_refuse(infer, "w is %s, needs [%" PRId64 ",%" PRId64 "·units]: the features of x %s", tct_show(w).text,
                      x->dim[2], gates, tct_show(x).text);
  }
  *units = w->dim[1] / gates;
  const tct_shape recurrent = TCT_SHAPE(*units, w->dim[1]);
  if (tct_shape_equal(u, &recurrent)) return true;
  return tct_refuse(infer, "u is %s, needs %s: the units of w %s", tct_show(u).text, tct_show(&recurrent).text,
                    tct_show(w).text);
}

static bool check_state(tct_infer *infer, int32_t i, const char *what, int64_t units) {
  const tct_shape state = TCT_SHAPE(infer->in[0].shape.dim[0], units);
  return tct_check_shape(infer, i, what, &state, "batch and units");
}

static tct_shape per_step(const tct_infer *infer, int64_t width) {
  return TCT_SHAPE(infer->in[0].shape.dim[0], infer->in[0].shape.dim[1], width);
}

static bool infer_lstm(tct_infer *infer) {
  int64_t units = 0;
  if (!check_products(infer, 4, &units)) return false;
  const tct_shape bias = TCT_SHAPE(4 * units);
  if (!tct_check_shape(infer, 3, "b", &bias, "one per column of w")) return false;
  if (infer->n_in == 5) return tct_refuse(infer, "h0 is given without c0: an LSTM's state is the pair of them");
  if (infer->n_in == 6 && (!check_state(infer, 4, "h0", units) || !check_state(infer, 5, "c0", units))) return false;
  const tct_dtype dtype = infer->in[0].dtype;
  return tct_give(infer, 0, dtype, per_step(infer, units)) && tct_give(infer, 1, dtype, per_step(infer, units)) &&
         tct_give(infer, 2, dtype, per_step(infer, 4 * units));
}

static bool infer_gru(tct_infer *infer) {
  int64_t units = 0;
  if (!check_products(infer, 3, &units)) return false;
  const tct_shape bias = TCT_SHAPE(2, 3 * units);
  if (!tct_check_shape(infer, 3, "b", &bias, "for the products with w and with u, one per column")) return false;
  if (infer->n_in == 5 && !check_state(infer, 4, "h0", units)) return false;
  const tct_dtype dtype = infer->in[0].dtype;
  return tct_give(infer, 0, dtype, per_step(infer, units)) && tct_give(infer, 1, dtype, per_step(infer, 4 * units));
}

/* Operands 1 … of a gradient op: [B,T,H], but [B,T,4H] at `gates` and [B,H] at `state`. u gives H. */
static bool check_steps(tct_infer *infer, int32_t gates, int32_t state) {
  const tct_shape *u = &infer->in[0].shape, *first = &infer->in[1].shape;
  if (!tct_check_dtype(infer, 0, "u", TCT_FLOATS)) return false;
  if (u->rank != 2 || first->rank != 3 || first->dim[1] == 0) {
    return tct_refuse(infer, "u is %s and the forward's result %s, need [units,..] and [batch,steps,units]",
                      tct_show(u).text, tct_show(first).text);
  }
  const int64_t b = first->dim[0], t = first->dim[1], h = u->dim[0];
  for (int32_t i = 1; i < infer->n_in; i++) {
    const tct_shape needs = i == state ? TCT_SHAPE(b, h) : TCT_SHAPE(b, t, i == gates ? 4 * h : h);
    char what[32];
    snprintf(what, sizeof what, "operand %d", (int)i);
    if (!tct_check_same_dtype(infer, 0, "u", i, what)) return false;
    if (!tct_check_shape(infer, i, what, &needs, "by the forward's shapes")) return false;
  }
  return true;
}

static bool infer_lstm_grad(tct_infer *infer) {
  if (!check_steps(infer, 2, 5)) return false;
  const tct_dtype dtype = infer->in[0].dtype;
  const tct_shape *c = &infer->in[1].shape, state = TCT_SHAPE(c->dim[0], c->dim[2]);
  return tct_give(infer, 0, dtype, infer->in[2].shape) && tct_give(infer, 1, dtype, state) &&
         tct_give(infer, 2, dtype, state);
}

static bool infer_gru_grad(tct_infer *infer) {
  if (!check_steps(infer, 2, 4)) return false;
  const tct_dtype dtype = infer->in[0].dtype;
  const tct_shape *y = &infer->in[1].shape, state = TCT_SHAPE(y->dim[0], y->dim[2]);
  const tct_shape wide = TCT_SHAPE(y->dim[0], y->dim[1], 3 * y->dim[2]);
  return tct_give(infer, 0, dtype, wide) && tct_give(infer, 1, dtype, wide) && tct_give(infer, 2, dtype, state);
}

/* ---- gradients ---- */

static tct_tensor zeros(tct_graph *graph, tct_tensor like, tct_shape shape) {
  return tct_full(graph, tct_tensor_dtype(like), shape, 0);
}

/* dout[i], or zeros where nothing flows into output i. */
static tct_tensor flow(const tct_grad *grad, int32_t i) {
  return tct_is_set(grad->dout[i]) ? grad->dout[i] : zeros(grad->graph, grad->in[0], tct_tensor_shape(grad->out[i]));
}

static bool gates_are_opaque(const tct_grad *grad, int32_t gates) {
  if (!tct_is_set(grad->dout[gates])) return true;
  tct_graph_fail(grad->graph, TCT_UNSUPPORTED,
                 "%s: its last output is kept for the backward and has no gradient of its own", tct_op_name(grad->op));
  return false;
}

/* The state that each step began with: y moved by one step, h₀ or zeros at the first. */
static tct_tensor states_before(const tct_grad *grad, tct_tensor h0, bool reverse) {
  const tct_tensor y = grad->out[0];
  const tct_shape s = tct_tensor_shape(y), one = TCT_SHAPE(s.dim[0], 1, s.dim[2]);
  const tct_tensor first = tct_is_set(h0) ? tct_reshape(h0, one) : zeros(grad->graph, y, one);
  const int64_t start[] = {0, reverse ? 1 : 0, 0}, size[] = {-1, s.dim[1] - 1, -1};
  if (s.dim[1] == 1) return first;
  const tct_tensor others = tct_slice(y, start, size, NULL);
  const tct_tensor forward[] = {first, others}, backward[] = {others, first};
  return tct_concat(reverse ? backward : forward, 2, 1);
}

static tct_tensor rows(tct_tensor x) {
  const tct_shape s = tct_tensor_shape(x);
  return tct_reshape(x, TCT_SHAPE(s.dim[0] * s.dim[1], s.dim[2]));
}

/* dx, dw and du, from the gradients of the products x·w and h·u. */
static void gradients_of_products(tct_grad *grad, tct_tensor of_xw, tct_tensor of_hu, tct_tensor before) {
  if (grad->wanted[0]) grad->din[0] = tct_matmul_transposed(of_xw, grad->in[1], false, true);
  if (grad->wanted[1]) grad->din[1] = tct_matmul_transposed(rows(grad->in[0]), rows(of_xw), true, false);
  if (grad->wanted[2]) grad->din[2] = tct_matmul_transposed(rows(before), rows(of_hu), true, false);
}

static void gradient_lstm(tct_grad *grad) {
  const tct_recurrent_attrs *attrs = grad->attrs;
  if (!gates_are_opaque(grad, 2)) return;
  const bool has_state = grad->n_in == 6, has_dc = tct_is_set(grad->dout[1]);
  const tct_tensor in[] = {grad->in[2],
                           grad->out[1],
                           grad->out[2],
                           flow(grad, 0),
                           has_dc || has_state ? flow(grad, 1) : tct_poison(grad->graph),
                           has_state ? grad->in[5] : tct_poison(grad->graph)};
  tct_tensor out[3];
  const tct_tensor da = tct_build(TCT_OP_lstm_grad, attrs, in, has_state ? 6 : has_dc ? 5 : 4, out);
  gradients_of_products(grad, da, da,
                        states_before(grad, has_state ? grad->in[4] : tct_poison(grad->graph), attrs->reverse));
  if (grad->wanted[3]) grad->din[3] = tct_reduce_sum(da, (const int32_t[]){0, 1}, 2, false);
  if (!has_state) return;
  grad->din[4] = out[1];
  grad->din[5] = out[2];
}

static void gradient_gru(tct_grad *grad) {
  static const int32_t over[] = {0, 1};
  const tct_recurrent_attrs *attrs = grad->attrs;
  if (!gates_are_opaque(grad, 1)) return;
  const tct_tensor h0 = grad->n_in == 5 ? grad->in[4] : tct_poison(grad->graph);
  const tct_tensor in[] = {grad->in[2], grad->out[0], grad->out[1], grad->dout[0], h0};
  tct_tensor out[3];
  tct_build(TCT_OP_gru_grad, attrs, in, grad->n_in, out);
  gradients_of_products(grad, out[0], out[1], states_before(grad, h0, attrs->reverse));
  if (grad->wanted[3]) {
    const tct_shape row = TCT_SHAPE(1, tct_tensor_shape(out[0]).dim[2]);
    const tct_tensor both[] = {tct_reshape(tct_reduce_sum(out[0], over, 2, false), row),
                               tct_reshape(tct_reduce_sum(out[1], over, 2, false), row)};
    grad->din[3] = tct_concat(both, 2, 0);
  }
  if (grad->n_in == 5) grad->din[4] = out[2];
}

/* ---- cost ---- */

/* Two products a step and some 15 flops a gate. */
static void cost_forward(const tct_node_view *node, tct_cost *out) {
  const tct_shape *x = &node->in[0].shape, *w = &node->in[1].shape;
  const double steps = (double)(x->dim[0] * x->dim[1]), width = (double)w->dim[1],
               units = (double)node->in[2].shape.dim[0];
  *out = (tct_cost){steps * width * (2 * ((double)x->dim[2] + units) + 15), tct_node_bytes(node)};
}

static void cost_backward(const tct_node_view *node, tct_cost *out) {
  const tct_shape *u = &node->in[0].shape, *y = &node->in[1].shape;
  const double steps = (double)(y->dim[0] * y->dim[1]);
  *out = (tct_cost){steps * (double)u->dim[1] * (2 * (double)u->dim[0] + 8), tct_node_bytes(node)};
}

TCT_DEFINE(lstm, .infer = infer_lstm, .gradient = gradient_lstm, .cost = cost_forward, .decompose = tct_lstm_steps);
TCT_DEFINE(lstm_grad, .infer = infer_lstm_grad, .gradient_why = TCT_NO_SECOND_ORDER, .cost = cost_backward,
           .decompose = tct_lstm_grad_steps);
TCT_DEFINE(gru, .infer = infer_gru, .gradient = gradient_gru, .cost = cost_forward, .decompose = tct_gru_steps);
TCT_DEFINE(gru_grad, .infer = infer_gru_grad, .gradient_why = TCT_NO_SECOND_ORDER, .cost = cost_backward,
           .decompose = tct_gru_grad_steps);

/* ---- builders ---- */

tct_tensor tct_lstm(tct_tensor x, tct_tensor w, tct_tensor u, tct_tensor b, tct_tensor h0, tct_tensor c0, bool reverse,
                    tct_tensor *out_c) {
  const tct_recurrent_attrs attrs = {.reverse = reverse};
  const tct_tensor in[] = {x, w, u, b, h0, c0};
  tct_tensor out[3];
  tct_build(TCT_OP_lstm, &attrs, in, c0.graph != NULL ? 6 : h0.graph != NULL ? 5 : 4, out);
  if (out_c != NULL) *out_c = out[1];
  return out[0];
}

tct_tensor tct_gru(tct_tensor x, tct_tensor w, tct_tensor u, tct_tensor b, tct_tensor h0, bool reverse) {
  const tct_recurrent_attrs attrs = {.reverse = reverse};
  const tct_tensor in[] = {x, w, u, b, h0};
  tct_tensor out[2];
  return tct_build(TCT_OP_gru, &attrs, in, h0.graph != NULL ? 5 : 4, out);
}
