/* What the families of ops share: the declarations of all definitions, made from the two tables, and the macro that
 * writes one without repeating the table's columns. A row whose definition is missing does not link. */
#ifndef TCT_OPS_DEFS_H
#define TCT_OPS_DEFS_H

#include <tercet/op.h>
#include <tercet/ops.h>

#define UNARY(row, dtypes, text, forward, derivative, needs, row_flops)                                                \
  extern const tct_op_def tct_def_##row, tct_def_##row##_grad;
#define BINARY(row, dtypes, text, forward, row_flops) extern const tct_op_def tct_def_##row;
#define COMPARE(row, text, condition)                 extern const tct_op_def tct_def_##row;
#define LOGICAL(row, text, condition)                 extern const tct_op_def tct_def_##row;
#define PREDICATE(row, dtypes, text, condition)       extern const tct_op_def tct_def_##row;
#include <tercet/elementwise.def>
#define OP(row, attr, least, most, results, flags) extern const tct_op_def tct_def_##row;
#include <tercet/ops.def>
#undef OP

/* Of registered ops (custom.c). NULL, TCT_OP_NONE: not there. */
const tct_op_def *tct_custom_definition(tct_op op);
tct_op tct_custom_find(const char *name);

/* Stands for "no attributes" in ops.def: the one attribute struct of one byte. */
typedef struct tct_none_attrs {
  char unused;
} tct_none_attrs;

enum {
#define OP(row, attr, least, most, results, flags)                                                                     \
  TCT_LEAST_OF_##row = (least), TCT_MOST_OF_##row = (most), TCT_RESULTS_OF_##row = (results),                          \
  TCT_ATTRS_OF_##row = sizeof(tct_##attr##_attrs) > 1 ? (int)sizeof(tct_##attr##_attrs) : 0,
#include <tercet/ops.def>
#undef OP
};

/* The definition of a row of ops.def: TCT_DEFINE(softmax, .infer = …, .gradient = …, .cost = …); */
#define TCT_DEFINE(row, ...)                                                                                           \
  const tct_op_def tct_def_##row = {.name = #row,                                                                      \
                                    .version = 1,                                                                      \
                                    .attrs_bytes = TCT_ATTRS_OF_##row,                                                 \
                                    .min_in = TCT_LEAST_OF_##row,                                                      \
                                    .max_in = TCT_MOST_OF_##row,                                                       \
                                    .n_out = TCT_RESULTS_OF_##row,                                                     \
                                    __VA_ARGS__}

#define TCT_NO_SECOND_ORDER "second-order gradients are not available"

/* ---- costs ---- */

/* What the op's rule says, or the default: one flop per output element. */
void tct_op_cost(const tct_node_view *node, tct_cost *out);
/* Elements of the first output × flops each; all inputs and outputs once. */
void tct_cost_per_output(const tct_node_view *node, double flops_each, tct_cost *out);
/* The same, counted over the first input. */
void tct_cost_per_input(const tct_node_view *node, double flops_each, tct_cost *out);
/* No flops: data is moved. */
void tct_cost_of_copy(const tct_node_view *node, tct_cost *out);
/* Nothing at all: views. */
void tct_cost_of_nothing(const tct_node_view *node, tct_cost *out);
double tct_desc_elements(const tct_desc *desc);
double tct_desc_size_bytes(const tct_desc *desc);
double tct_node_bytes(const tct_node_view *node);

/* Flops per element of an elementwise row or its gradient; 1 for other ops. */
double tct_row_flops(tct_op op);

/* ---- building ---- */

/* tct_emit in the graph of the first operand that has one. */
tct_tensor tct_build(tct_op op, const void *attrs, const tct_tensor *in, int32_t n_in, tct_tensor *out);
static inline tct_tensor tct_build1(tct_op op, const void *attrs, tct_tensor a) {
  return tct_build(op, attrs, &a, 1, NULL);
}
static inline tct_tensor tct_build2(tct_op op, const void *attrs, tct_tensor a, tct_tensor b) {
  const tct_tensor in[] = {a, b};
  return tct_build(op, attrs, in, 2, NULL);
}
static inline tct_tensor tct_build3(tct_op op, const void *attrs, tct_tensor a, tct_tensor b, tct_tensor c) {
  const tct_tensor in[] = {a, b, c};
  return tct_build(op, attrs, in, 3, NULL);
}
/* x itself where it has the shape already; otherwise tct_reshape, or tct_broadcast_to. */
tct_tensor tct_reshaped(tct_tensor x, tct_shape shape);
tct_tensor tct_broadcasted(tct_tensor x, tct_shape shape);

#endif
