/* Updates: ops without outputs that write their first attrs.n_state inputs, which are variables. Formulas:
 * tct_update_attrs in <tercet/attrs.h>. Inputs after the state: gradient, learning rate [], (adam) step i64 [], (has_scale)
 * factor [], (conditional) a bool []: false writes nothing.
 *   assign          (variable, value)
 *   sgd_update      (w, velocity?, …)
 *   adam_update     (w, m, v, …)
 *   rmsprop_update  (w, mean square, momentum?, mean gradient?, …)
 *   adagrad_update  (w, accumulator, …) */
#include <inttypes.h>
#include <string.h>
#include "graph/graph.h"
#include "ops/defs.h"
#include "ops/shape.h"

#define MOST_SLOTS 3

/* How many slots the attributes ask for; false with the reason in the refusal. */
static bool check_slots(tct_infer *infer) {
  const tct_update_attrs *a = infer->attrs;
  const int32_t slots = a->n_state - 1;
  const int32_t rmsprop = 1 + (a->momentum != 0) + (a->centered ? 1 : 0);
  switch (infer->op) {
  case TCT_OP_sgd_update:
    if (slots == 1 || (slots == 0 && a->momentum == 0)) return true;
    return tct_refuse(infer, "%" PRId32 " slots with momentum %g; needs {velocity}, or {} without momentum", slots,
                      a->momentum);
  case TCT_OP_adam_update:
    return slots == 2 || tct_refuse(infer, "%" PRId32 " slots, needs 2: {m, v}", slots);
  case TCT_OP_rmsprop_update:
    return slots == rmsprop ||
           tct_refuse(infer, "%" PRId32 " slots, needs %" PRId32 ": {mean square%s%s}", slots, rmsprop,
                      a->momentum != 0 ? ", momentum" : "", a->centered ? ", mean gradient" : "");
  default:
    return slots == 1 || tct_refuse(infer, "%" PRId32 " slots, needs 1: {accumulator}", slots);
  }
}

/* Rates that would make a step meaningless. */
static bool check_numbers(tct_infer *infer) {
  const tct_update_attrs *a = infer->attrs;
  if (a->clip_value < 0 || a->epsilon < 0 || a->momentum < 0) {
    return tct_refuse_as(infer, TCT_E_ATTRIBUTE, "clip_value is %g, epsilon %g, momentum %g; each needs at least 0",
                         a->clip_value, a->epsilon, a->momentum);
  }
  if (infer->op == TCT_OP_adam_update && !(a->beta1 >= 0 && a->beta1 < 1 && a->beta2 >= 0 && a->beta2 < 1)) {
    return tct_refuse_as(infer, TCT_E_ATTRIBUTE, "beta1 is %g and beta2 %g; both need 0 <= beta < 1", a->beta1,
                         a->beta2);
  }
  if (infer->op == TCT_OP_rmsprop_update && !(a->beta2 >= 0 && a->beta2 < 1)) {
    return tct_refuse_as(infer, TCT_E_ATTRIBUTE, "beta2 (rho) is %g; needs 0 <= rho < 1", a->beta2);
  }
  return true;
}

static bool check_scalar(tct_infer *infer, int32_t i, const char *what, tct_dtype dtype) {
  const tct_shape scalar = {0};
  return tct_check_dtype(infer, i, what, 1u << dtype) && tct_check_shape(infer, i, what, &scalar, "a 0-d tensor");
}

/* The last operand of a conditional update. */
static bool check_condition(tct_infer *infer) {
  const tct_update_attrs *attrs = infer->attrs;
  return !attrs->conditional || check_scalar(infer, infer->n_in - 1, "the condition", TCT_BOOL);
}

static bool infer_update(tct_infer *infer) {
  const tct_update_attrs *attrs = infer->attrs;
  const tct_desc *w = &infer->in[0];
  const bool counts = infer->op == TCT_OP_adam_update;
  if (!check_slots(infer) || !check_numbers(infer)) return false;
  const int32_t n_in =
      attrs->n_state + 2 + (counts ? 1 : 0) + (attrs->has_scale ? 1 : 0) + (attrs->conditional ? 1 : 0);
  if (infer->n_in != n_in) return tct_refuse(infer, "%" PRId32 " operands, needs %" PRId32, infer->n_in, n_in);
  if (!tct_check_dtype(infer, 0, "the variable", TCT_WIDE_FLOATS)) return false;
  for (int32_t i = 1; i <= attrs->n_state; i++) {
    const char *what = i < attrs->n_state ? "a slot" : "the gradient";
    if (!tct_check_same_dtype(infer, 0, "the variable", i, what)) return false;
    if (!tct_check_shape(infer, i, what, &w->shape, "the variable's shape")) return false;
  }
  int32_t i = attrs->n_state + 1;
  if (!check_scalar(infer, i++, "the learning rate", w->dtype)) return false;
  if (counts && !check_scalar(infer, i++, "the step", TCT_I64)) return false;
  if (attrs->has_scale && !check_scalar(infer, i, "the gradient's factor", w->dtype)) return false;
  return check_condition(infer);
}

static bool infer_assign(tct_infer *infer) {
  const tct_update_attrs *attrs = infer->attrs;
  if (attrs->n_state != 1) return tct_refuse(infer, "n_state is %" PRId32 ", needs 1", attrs->n_state);
  const int32_t n_in = attrs->conditional ? 3 : 2;
  if (infer->n_in != n_in) return tct_refuse(infer, "%" PRId32 " operands, needs %" PRId32, infer->n_in, n_in);
  return check_condition(infer) && tct_check_same_dtype(infer, 0, "the variable", 1, "the value") &&
         tct_check_shape(infer, 1, "the value", &infer->in[0].shape, "the variable's shape");
}

/* Reads its inputs and writes the state. */
static void cost_of(const tct_node_view *node, double flops_each, tct_cost *out) {
  const tct_update_attrs *attrs = node->attrs;
  tct_cost_per_input(node, flops_each, out);
  for (int32_t i = 0; i < attrs->n_state; i++) out->bytes += tct_desc_size_bytes(&node->in[i]);
}
static void cost_assign(const tct_node_view *node, tct_cost *out) {
  *out = (tct_cost){0, 2 * tct_desc_size_bytes(&node->in[0])};
}
static void cost_sgd(const tct_node_view *node, tct_cost *out) {
  cost_of(node, ((const tct_update_attrs *)node->attrs)->n_state > 1 ? 6 : 4, out);
}
static void cost_adam(const tct_node_view *node, tct_cost *out) {
  cost_of(node, 14, out);
}
static void cost_rmsprop(const tct_node_view *node, tct_cost *out) {
  cost_of(node, 12, out);
}
static void cost_adagrad(const tct_node_view *node, tct_cost *out) {
  cost_of(node, 8, out);
}

#define WHY "an update has no result"
TCT_DEFINE(assign, .infer = infer_assign, .gradient_why = WHY, .cost = cost_assign);
TCT_DEFINE(sgd_update, .infer = infer_update, .gradient_why = WHY, .cost = cost_sgd);
TCT_DEFINE(adam_update, .infer = infer_update, .gradient_why = WHY, .cost = cost_adam);
TCT_DEFINE(rmsprop_update, .infer = infer_update, .gradient_why = WHY, .cost = cost_rmsprop);
TCT_DEFINE(adagrad_update, .infer = infer_update, .gradient_why = WHY, .cost = cost_adagrad);

/* ---- builders ---- */

/* Each of the n written handles is a variable, named once. Poisoned ones have their error already. */
static bool check_written(tct_op op, const tct_tensor *written, int32_t n) {
  for (int32_t i = 0; i < n; i++) {
    if (!tct_tensor_ok(written[i])) continue;
    tct_graph *graph = written[i].graph;
    const tct_node *maker = tct_maker(graph, written[i].id);
    if (maker->op != TCT_OP_variable) {
      tct_graph_fail(graph, TCT_E_UPDATE,
                     "%s: would write '%s', which is the result of %s; only a tct_variable can be written",
                     tct_op_name(op), maker->name, tct_op_name(maker->op));
      return false;
    }
    for (int32_t j = 0; j < i; j++) {
      if (written[j].graph == graph && written[j].id == written[i].id) {
        tct_graph_fail(graph, TCT_E_UPDATE, "%s: variable '%s' is given twice; each slot needs its own",
                       tct_op_name(op), maker->name);
        return false;
      }
    }
  }
  return true;
}

/* Emits in the update phase. */
static void emit(tct_op op, const tct_update_attrs *attrs, const tct_tensor *in, int32_t n_in) {
  tct_graph *graph = in[0].graph;
  if (graph == NULL) {
    tct_build(op, attrs, in, n_in, NULL);
    return;
  }
  const tct_phase phase = graph->phase;
  graph->phase = TCT_PHASE_UPDATE;
  tct_build(op, attrs, in, n_in, NULL);
  graph->phase = phase;
}

void tct_assign(tct_tensor variable, tct_tensor value) {
  tct_update_attrs attrs;
  memset(&attrs, 0, sizeof attrs);
  attrs.n_state = 1;
  const tct_tensor in[] = {variable, value};
  if (check_written(TCT_OP_assign, &variable, 1)) emit(TCT_OP_assign, &attrs, in, 2);
}

/* Keras' defaults. */
static tct_update_attrs defaults_of(tct_op op) {
  tct_update_attrs attrs;
  memset(&attrs, 0, sizeof attrs);
  attrs.beta1 = 0.9;
  attrs.beta2 = op == TCT_OP_rmsprop_update ? 0.9 : 0.999;
  attrs.epsilon = 1e-7;
  return attrs;
}

void tct_update(tct_op op, tct_tensor variable, const tct_tensor *slots, int32_t n_slots, tct_tensor grad,
                tct_tensor lr, tct_tensor step, tct_tensor grad_scale, const tct_update_attrs *options) {
  if (!tct_tensor_ok(variable)) return;
  if (!tct_op_is_update(op) || op == TCT_OP_assign || n_slots < 0 || n_slots > MOST_SLOTS) {
    tct_graph_fail(variable.graph, TCT_E_UPDATE, "update: %s with %" PRId32 " slots is not an optimizer's update",
                   tct_op_name(op), n_slots);
    return;
  }
  tct_update_attrs attrs = options != NULL ? *options : defaults_of(op);
  attrs.n_state = n_slots + 1;
  attrs.has_scale = tct_is_set(grad_scale);
  attrs.conditional = false;
  tct_tensor in[MOST_SLOTS + 5] = {variable};
  int32_t n_in = 1;
  for (int32_t i = 0; i < n_slots; i++) in[n_in++] = slots[i];
  in[n_in++] = grad;
  in[n_in++] = lr;
  if (op == TCT_OP_adam_update) in[n_in++] = step;
  if (attrs.has_scale) in[n_in++] = grad_scale;
  if (check_written(op, in, attrs.n_state)) emit(op, &attrs, in, n_in);
}
