/* The table of cases from op_cases.def, the few builders that are no single expression, and the proof that no op lacks
 * a row. */
#include "ops/cases.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* ---- builders of rows with more than one result, or none ---- */

static const tct_tensor nothing = {NULL, -1};

/* d Σ y·dy / d of: the gradient op of y's op, fed with dy. */
static tct_tensor gradient_of(tct_tensor y, tct_tensor of, tct_tensor dy) {
  tct_tensor gradient;
  tct_gradients(tct_reduce_sum(tct_mul(y, dy), NULL, 0, false), &of, 1, &gradient);
  return gradient;
}

/* A fused chain as the pass makes it: ((x0 + x1)·x2 where that is less than x0, else its tanh) with every kind of step.
 */
static tct_tensor chained(const tct_tensor *x) {
  const tct_chain_attrs attrs = {.n_steps = 5,
                                 .step = {{TCT_OP_add, {0, 1, 0}, 0, 0},
                                          {TCT_OP_mul, {3, 2, 0}, 0, 0},
                                          {TCT_OP_tanh, {4, 0, 0}, 0, 0},
                                          {TCT_OP_less, {4, 0, 0}, 0, 0},
                                          {TCT_OP_select, {6, 4, 5}, 0, 0}}};
  return tct_emit(x[0].graph, TCT_OP_chain, &attrs, x, 3, NULL);
}

/* The product with its third operand and activation, as the epilogue pass makes it. */
static tct_tensor with_bias(const tct_tensor *x, tct_op op, tct_op activation) {
  tct_matmul_attrs matmul;
  memset(&matmul, 0, sizeof matmul);
  matmul.activation = activation;
  tct_conv2d_attrs conv;
  memset(&conv, 0, sizeof conv);
  conv.stride[0] = conv.stride[1] = conv.dilation[0] = conv.dilation[1] = conv.groups = 1;
  conv.activation = activation;
  return tct_emit(x[0].graph, op, op == TCT_OP_matmul ? (const void *)&matmul : &conv, x, 3, NULL);
}

/* What the fuse passes make of a product: its further results are outputs too. */
static tct_tensor fused_product(const tct_tensor *x, int32_t n_in, tct_op op, bool transpose_a, bool transpose_b) {
  const tct_matmul_attrs attrs = {.transpose_a = transpose_a, .transpose_b = transpose_b};
  tct_tensor out[2];
  (void)tct_emit(x[0].graph, op, &attrs, x, n_in, out);
  if (op != TCT_OP_matmul_dgelu) tct_output(x[0].graph, "second", out[1]);
  return out[0];
}

static tct_tensor batch_normed(const tct_tensor *x) {
  tct_tensor mean, variance;
  const tct_tensor y = tct_batch_norm(x[0], x[1], x[2], 1e-3, &mean, &variance);
  tct_output(x[0].graph, "mean", mean);
  tct_output(x[0].graph, "variance", variance);
  return y;
}

static tct_tensor layer_normed(const tct_tensor *x) {
  const tct_norm_attrs attrs = {1e-3};
  tct_tensor out[3];
  tct_emit(x[0].graph, TCT_OP_layer_norm, &attrs, x, 3, out);
  tct_output(x[0].graph, "mean", out[1]);
  tct_output(x[0].graph, "deviation", out[2]);
  return out[0];
}

/* With its second result, ln Σ e^s. */
static tct_tensor attended(const tct_tensor *x, int32_t n, bool causal) {
  const tct_attention_attrs attrs = {.causal = causal};
  tct_tensor out[2];
  tct_emit(x[0].graph, TCT_OP_attention, &attrs, x, n, out);
  tct_output(x[0].graph, "lengths", out[1]);
  return out[0];
}

/* n operands of tct_lstm: with 6, the last two are its first state. */
static tct_tensor long_short(const tct_tensor *x, int32_t n, bool reverse) {
  tct_tensor c;
  const tct_tensor y = tct_lstm(x[0], x[1], x[2], x[3], n == 6 ? x[4] : nothing, n == 6 ? x[5] : nothing, reverse, &c);
  tct_output(x[0].graph, "cells", c);
  return y;
}

/* With what the op keeps for the backward. */
static tct_tensor recurrent(const tct_tensor *x, tct_op op, int32_t n) {
  const tct_recurrent_attrs attrs = {.reverse = false};
  tct_tensor out[3];
  tct_emit(x[0].graph, op, &attrs, x, n, out);
  tct_output(x[0].graph, "gates", out[op == TCT_OP_lstm ? 2 : 1]);
  return out[0];
}

static tct_tensor split_in_3(const tct_tensor *x) {
  tct_tensor part[3];
  tct_split(x[0], 3, 1, part);
  tct_output(x[0].graph, "second", part[1]);
  tct_output(x[0].graph, "third", part[2]);
  return part[0];
}

static tct_tensor top_of(tct_tensor x, int64_t k) {
  tct_tensor positions;
  const tct_tensor values = tct_top_k(x, k, &positions);
  tct_output(x.graph, "positions", positions);
  return values;
}

static tct_tensor assigned(const tct_tensor *x) {
  tct_assign(x[1], x[0]);
  return nothing;
}

/* x: gradient, learning rate, factor, step, variable, slots. */
static tct_tensor updated(const tct_tensor *x, tct_op op, size_t n_slots, tct_update_attrs attrs) {
  tct_update(op, x[4], x + 5, (int32_t)n_slots, x[0], x[1], x[3], attrs.has_scale ? x[2] : nothing, &attrs);
  return nothing;
}

/* ---- the words of the table ---- */

enum { YES = true, NO = false };
enum { FLOATS = TCT_FLOATS, NUMBERS = TCT_NUMBERS, BOOLS = TCT_BOOLS };
enum {
#define UNARY(name, dtypes, text, forward, gradient, needs, flops) CASE_DTYPES_##name = dtypes,
#define BINARY(name, dtypes, text, forward, flops)                 CASE_DTYPES_##name = dtypes,
#include <tercet/elementwise.def>
};

#define RANK_OF(...) ((int32_t)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)))
#define TENSOR(kind, low, high, ...)                                                                                   \
  {                                                                                                                    \
    kind, low, high, {                                                                                                 \
      .rank = RANK_OF(__VA_ARGS__), .dim = {                                                                           \
        __VA_ARGS__                                                                                                    \
      }                                                                                                                \
    }                                                                                                                  \
  }
#define REAL(low, high, ...) TENSOR(KIND_REAL, low, high, __VA_ARGS__)
#define NUMBER(low, high)                                                                                              \
  {                                                                                                                    \
    KIND_REAL, low, high, {                                                                                            \
      0                                                                                                                \
    }                                                                                                                  \
  }
#define WHOLE(low, high, ...) TENSOR(KIND_WHOLE, low, high, __VA_ARGS__)
#define INDEX(low, high, ...) TENSOR(KIND_INDEX, low, high, __VA_ARGS__)
#define TRUTH(...)            TENSOR(KIND_TRUTH, 0, 1, __VA_ARGS__)
#define STATE(low, high, ...) TENSOR(KIND_STATE, low, high, __VA_ARGS__)
#define STEP(value)                                                                                                    \
  {                                                                                                                    \
    KIND_STEP, value, value, {                                                                                         \
      0                                                                                                                \
    }                                                                                                                  \
  }
#define AXES(...)                                                                                                      \
  (const int32_t[]) {                                                                                                  \
    __VA_ARGS__                                                                                                        \
  }
#define EXTENTS(...)                                                                                                   \
  (const int64_t[]) {                                                                                                  \
    __VA_ARGS__                                                                                                        \
  }
#define LIST(...)                                                                                                      \
  { __VA_ARGS__ }

#define CASE(label, op, dtypes, gradient, operands, result)                                                            \
  static const operand operands_##label[] = LIST operands;                                                             \
  static tct_tensor build_##label(tct_graph *graph, tct_dtype dtype, const tct_tensor *x) {                            \
    (void)graph, (void)dtype, (void)x;                                                                                 \
    return result;                                                                                                     \
  }
#include "ops/op_cases.def"

const op_case op_cases[] = {
#define CASE(label, op, dtypes, gradient, operands, result)                                                            \
  {#label, TCT_OP_##op, dtypes, gradient, sizeof(operands_##label) / sizeof(operand), operands_##label, build_##label},
#include "ops/op_cases.def"
};
const int32_t n_op_cases = sizeof op_cases / sizeof *op_cases;

/* ---- no op without a row ---- */

/* A set of ops in words of 30 bits, each an integer constant expression. */
#define BIT(op, word) ((int)(op) / 30 == (word) ? 1 << (int)(op) % 30 : 0)
enum {
  WITH_ROW_0 = 0
#define CASE(label, op, dtypes, gradient, operands, result) | BIT(TCT_OP_##op, 0)
#include "ops/op_cases.def"
  ,
  WITH_ROW_1 = 0
#define CASE(label, op, dtypes, gradient, operands, result) | BIT(TCT_OP_##op, 1)
#include "ops/op_cases.def"
  ,
  WITH_ROW_2 = 0
#define CASE(label, op, dtypes, gradient, operands, result) | BIT(TCT_OP_##op, 2)
#include "ops/op_cases.def"
  ,
  WITH_ROW_3 = 0
#define CASE(label, op, dtypes, gradient, operands, result) | BIT(TCT_OP_##op, 3)
#include "ops/op_cases.def"
  ,
  WITH_ROW_4 = 0
#define CASE(label, op, dtypes, gradient, operands, result) | BIT(TCT_OP_##op, 4)
#include "ops/op_cases.def"
  ,
  WITH_ROW_5 = 0
#define CASE(label, op, dtypes, gradient, operands, result) | BIT(TCT_OP_##op, 5)
#include "ops/op_cases.def"
};
static_assert(TCT_N_OPS <= 6 * 30, "one more word of ops with a row");
#define HAS_ROW(op)                                                                                                    \
  (((WITH_ROW_0 & BIT(op, 0)) | (WITH_ROW_1 & BIT(op, 1)) | (WITH_ROW_2 & BIT(op, 2)) | (WITH_ROW_3 & BIT(op, 3)) |    \
    (WITH_ROW_4 & BIT(op, 4)) | (WITH_ROW_5 & BIT(op, 5))) != 0)
#define NEEDS_ROW(op) static_assert(HAS_ROW(TCT_OP_##op), "the op " #op " has no row in tests/ops/op_cases.def");

/* A unary row's gradient op runs in its case's gradient, which the coverage test checks. */
#define UNARY(name, dtypes, text, forward, gradient, needs, flops) NEEDS_ROW(name)
#define BINARY(name, dtypes, text, forward, flops)                 NEEDS_ROW(name)
#define COMPARE(name, text, condition)                             NEEDS_ROW(name)
#define LOGICAL(name, text, condition)                             NEEDS_ROW(name)
#define PREDICATE(name, dtypes, text, condition)                   NEEDS_ROW(name)
#include <tercet/elementwise.def>
#define ROW_OF_SOURCE(name)
#define ROW_OF_VIEW(name)                             NEEDS_ROW(name)
#define ROW_OF_UPDATE(name)                           NEEDS_ROW(name)
#define ROW_OF_CHAIN(name)                            NEEDS_ROW(name)
#define ROW_OF_PLAIN(name)                            NEEDS_ROW(name)
#define OP(name, attrs, min_in, max_in, n_out, flags) ROW_OF_##flags(name)
#include <tercet/ops.def>
#undef OP
