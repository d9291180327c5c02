/* Elementwise ops beside the table.
 *   select         (condition bool, a, b) → condition ? a : b, broadcast over all three;  da = condition ? dy : 0
 *   cast           x → attrs.dtype;  float → integer truncates, bool is x ≠ 0;  dx = cast(dy) between floats
 *   stop_gradient  x → x;  nothing flows back
 *   chain          up to 8 broadcast inputs → the last of up to 16 elementwise steps, see tct_chain_attrs */
#include <inttypes.h>
#include "graph/graph.h"
#include "ops/defs.h"
#include "ops/shape.h"

static void cost_one(const tct_node_view *node, tct_cost *out) {
  tct_cost_per_output(node, 1, out);
}

/* ---- select ---- */

static bool infer_select(tct_infer *infer) {
  if (!tct_check_dtype(infer, 0, "condition", TCT_BOOLS)) return false;
  if (!tct_check_same_dtype(infer, 1, "then", 2, "otherwise")) return false;
  if (!tct_check_dtype(infer, 1, "then", TCT_ANY)) return false;
  const tct_shape *c = &infer->in[0].shape, *a = &infer->in[1].shape, *b = &infer->in[2].shape;
  tct_shape shape;
  if (!tct_broadcast(a, b, &shape) || !tct_broadcast(&shape, c, &shape)) {
    return tct_refuse_as(infer, TCT_E_BROADCAST,
                         "condition %s, then %s and otherwise %s do not broadcast: extents must be equal or 1",
                         tct_show(c).text, tct_show(a).text, tct_show(b).text);
  }
  return tct_give(infer, 0, infer->in[1].dtype, shape);
}

static void gradient_select(tct_grad *grad) {
  const tct_tensor dy = grad->dout[0], zero = tct_scalar(grad->graph, tct_tensor_dtype(dy), 0);
  if (grad->wanted[1]) grad->din[1] = tct_select(grad->in[0], dy, zero);
  if (grad->wanted[2]) grad->din[2] = tct_select(grad->in[0], zero, dy);
}

TCT_DEFINE(select, .infer = infer_select, .gradient = gradient_select, .cost = cost_one);

tct_tensor tct_select(tct_tensor condition, tct_tensor then, tct_tensor otherwise) {
  return tct_build3(TCT_OP_select, NULL, condition, then, otherwise);
}

/* ---- cast ---- */

static bool infer_cast(tct_infer *infer) {
  const tct_cast_attrs *attrs = infer->attrs;
  if (!tct_check_dtype(infer, 0, "x", TCT_ANY)) return false;
  if ((int)attrs->dtype <= 0 || attrs->dtype >= TCT_N_DTYPES || (TCT_ANY >> attrs->dtype & 1) == 0) {
    return tct_refuse_as(infer, TCT_E_DTYPE, "%s is not available as a target; use f32, f64, bf16, f16, i32, i64, i8, u8 or bool",
                         tct_dtype_name(attrs->dtype));
  }
  return tct_give(infer, 0, attrs->dtype, infer->in[0].shape);
}

static bool is_float(tct_tensor x) {
  return (TCT_FLOATS >> tct_tensor_dtype(x) & 1) != 0;
}

static void gradient_cast(tct_grad *grad) {
  if (!is_float(grad->in[0]) || !is_float(grad->out[0])) return;
  grad->din[0] = tct_cast(grad->dout[0], tct_tensor_dtype(grad->in[0]));
}

TCT_DEFINE(cast, .infer = infer_cast, .gradient = gradient_cast, .cost = cost_one);

tct_tensor tct_cast(tct_tensor x, tct_dtype dtype) {
  const tct_cast_attrs attrs = {dtype};
  return tct_build1(TCT_OP_cast, &attrs, x);
}

/* ---- stop_gradient ---- */

static bool infer_stop_gradient(tct_infer *infer) {
  return tct_give(infer, 0, infer->in[0].dtype, infer->in[0].shape);
}

static void gradient_of_nothing(tct_grad *grad) {
  (void)grad;
}

TCT_DEFINE(stop_gradient, .infer = infer_stop_gradient, .gradient = gradient_of_nothing, .cost = tct_cost_of_nothing);

tct_tensor tct_stop_gradient(tct_tensor x) {
  return tct_build1(TCT_OP_stop_gradient, NULL, x);
}

/* ---- chain ---- */

/* The steps are ops of the table with registers that exist already; the last gives a float. */
static bool check_steps(tct_infer *infer) {
  const tct_chain_attrs *attrs = infer->attrs;
  if (attrs->n_steps < 1 || attrs->n_steps > TCT_CHAIN_STEPS) {
    return tct_refuse(infer, "%" PRId32 " steps, needs 1 to %d", attrs->n_steps, TCT_CHAIN_STEPS);
  }
  for (int32_t k = 0; k < attrs->n_steps; k++) {
    const tct_chain_step *step = &attrs->step[k];
    if (!tct_op_is_chain(step->op) || step->op == TCT_OP_cast || step->op == TCT_OP_chain) {
      return tct_refuse(infer, "step %" PRId32 " is %s, which is not an elementwise row", k, tct_op_name(step->op));
    }
    for (int32_t i = 0; i < tct_op_definition(step->op)->min_in; i++) {
      if (step->arg[i] < 0 || step->arg[i] >= infer->n_in + k) {
        return tct_refuse(infer, "step %" PRId32 " (%s) reads register %" PRId32 ", but only %" PRId32 " are filled", k,
                          tct_op_name(step->op), step->arg[i], infer->n_in + k);
      }
    }
  }
  return true;
}

static bool infer_chain(tct_infer *infer) {
  if (!check_steps(infer)) return false;
  tct_dtype dtype = TCT_DTYPE_NONE;
  tct_shape shape = {0};
  for (int32_t i = 0; i < infer->n_in; i++) {
    if (!tct_check_dtype(infer, i, "an operand", TCT_FLOATS | TCT_BOOLS)) return false;
    const tct_desc *in = &infer->in[i];
    if (dtype != TCT_DTYPE_NONE && in->dtype != TCT_BOOL && in->dtype != dtype) {
      return tct_refuse_as(infer, TCT_E_DTYPE, "operands are %s and %s; a chain computes in one float dtype",
                           tct_dtype_name(dtype), tct_dtype_name(in->dtype));
    }
    if (in->dtype != TCT_BOOL) dtype = in->dtype;
    if (!tct_broadcast(&shape, &in->shape, &shape)) {
      return tct_refuse_as(infer, TCT_E_BROADCAST, "operand %" PRId32 " is %s and does not broadcast with %s", i,
                           tct_show(&in->shape).text, tct_show(&shape).text);
    }
  }
  if (dtype == TCT_DTYPE_NONE) return tct_refuse_as(infer, TCT_E_DTYPE, "no operand is a float");
  return tct_give(infer, 0, dtype, shape);
}

static void cost_chain(const tct_node_view *node, tct_cost *out) {
  const tct_chain_attrs *attrs = node->attrs;
  double flops = 0;
  for (int32_t k = 0; k < attrs->n_steps; k++) flops += tct_row_flops(attrs->step[k].op);
  tct_cost_per_output(node, flops, out);
}

TCT_DEFINE(chain, .infer = infer_chain, .gradient_why = "chains are made after differentiation", .cost = cost_chain);
