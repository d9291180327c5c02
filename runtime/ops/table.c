/* The table of definitions, by op: lookups by number and by name, flags, costs, and the common way to build a node. */
#include <assert.h>
#include <string.h>
#include "graph/graph.h"
#include "ops/defs.h"

static const tct_op_def *const definitions[TCT_N_OPS] = {
#define UNARY(row, dtypes, text, forward, derivative, needs, row_flops)                                                \
  [TCT_OP_##row] = &tct_def_##row, [TCT_OP_##row##_grad] = &tct_def_##row##_grad,
#define BINARY(row, dtypes, text, forward, row_flops) [TCT_OP_##row] = &tct_def_##row,
#define COMPARE(row, text, condition)                 [TCT_OP_##row] = &tct_def_##row,
#define LOGICAL(row, text, condition)                 [TCT_OP_##row] = &tct_def_##row,
#define PREDICATE(row, dtypes, text, condition)       [TCT_OP_##row] = &tct_def_##row,
#include <tercet/elementwise.def>
#define OP(row, attr, least, most, results, flags) [TCT_OP_##row] = &tct_def_##row,
#include <tercet/ops.def>
#undef OP
};

enum { PLAIN, SOURCE, VIEW, UPDATE, CHAIN };

static const uint8_t kinds[TCT_N_OPS] = {
#define UNARY(row, dtypes, text, forward, derivative, needs, row_flops)                                                \
  [TCT_OP_##row] = CHAIN, [TCT_OP_##row##_grad] = CHAIN,
#define BINARY(row, dtypes, text, forward, row_flops) [TCT_OP_##row] = CHAIN,
#define COMPARE(row, text, condition)                 [TCT_OP_##row] = CHAIN,
#define LOGICAL(row, text, condition)                 [TCT_OP_##row] = CHAIN,
#define PREDICATE(row, dtypes, text, condition)       [TCT_OP_##row] = CHAIN,
#include <tercet/elementwise.def>
#define OP(row, attr, least, most, results, flags) [TCT_OP_##row] = flags,
#include <tercet/ops.def>
#undef OP
};

/* One table entry per op of the enum: rows + TCT_OP_NONE. */
#define UNARY(row, dtypes, text, forward, derivative, needs, row_flops) +2
#define BINARY(row, dtypes, text, forward, row_flops)                   +1
#define COMPARE(row, text, condition)                                   +1
#define LOGICAL(row, text, condition)                                   +1
#define PREDICATE(row, dtypes, text, condition)                         +1
#define OP(row, attr, least, most, results, flags)                      +1
static_assert(1
#include <tercet/elementwise.def>
#include <tercet/ops.def>
                  == TCT_N_OPS,
              "every op of the enum has a row in the table of definitions");
#undef OP

static bool known(tct_op op) {
  return (int)op > TCT_OP_NONE && (int)op < TCT_N_OPS;
}

const tct_op_def *tct_op_definition(tct_op op) {
  return known(op) ? definitions[op] : tct_custom_definition(op);
}

const char *tct_op_name(tct_op op) {
  const tct_op_def *def = tct_op_definition(op);
  return def != NULL ? def->name : "none";
}

tct_op tct_op_find(const char *name) {
  for (int op = TCT_OP_NONE + 1; op < TCT_N_OPS; op++) {
    if (strcmp(definitions[op]->name, name) == 0) return (tct_op)op;
  }
  return tct_custom_find(name);
}

bool tct_op_is_own(tct_op op) {
  return known(op);
}
bool tct_op_is_source(tct_op op) {
  return known(op) && kinds[op] == SOURCE;
}
bool tct_op_is_view(tct_op op) {
  return known(op) && kinds[op] == VIEW;
}
bool tct_op_is_update(tct_op op) {
  return known(op) && kinds[op] == UPDATE;
}
bool tct_op_is_chain(tct_op op) {
  return known(op) && kinds[op] == CHAIN;
}

int32_t tct_node_writes(const tct_node *node) {
  return tct_op_is_update(node->op) ? ((const tct_update_attrs *)node->attrs)->n_state : 0;
}

/* ---- costs ---- */

double tct_desc_elements(const tct_desc *desc) {
  const int64_t size = tct_shape_size(&desc->shape);
  return size > 0 ? (double)size : 0;
}

double tct_desc_size_bytes(const tct_desc *desc) {
  return tct_desc_elements(desc) * (double)tct_dtype_bytes(desc->dtype);
}

double tct_node_bytes(const tct_node_view *node) {
  double bytes = 0;
  for (int32_t i = 0; i < node->n_in; i++) bytes += tct_desc_size_bytes(&node->in[i]);
  for (int32_t o = 0; o < node->n_out; o++) bytes += tct_desc_size_bytes(&node->out[o]);
  return bytes;
}

void tct_cost_per_output(const tct_node_view *node, double flops_each, tct_cost *out) {
  *out = (tct_cost){node->n_out > 0 ? flops_each * tct_desc_elements(&node->out[0]) : 0, tct_node_bytes(node)};
}

void tct_cost_per_input(const tct_node_view *node, double flops_each, tct_cost *out) {
  *out = (tct_cost){flops_each * tct_desc_elements(&node->in[0]), tct_node_bytes(node)};
}

void tct_cost_of_copy(const tct_node_view *node, tct_cost *out) {
  tct_cost_per_output(node, 0, out);
}

void tct_cost_of_nothing(const tct_node_view *node, tct_cost *out) {
  (void)node;
  *out = (tct_cost){0};
}

void tct_op_cost(const tct_node_view *node, tct_cost *out) {
  const tct_op_def *def = tct_op_definition(node->op);
  if (def != NULL && def->cost != NULL) {
    def->cost(node, out);
  } else {
    tct_cost_per_output(node, 1, out);
  }
}

/* ---- building ---- */

tct_tensor tct_build(tct_op op, const void *attrs, const tct_tensor *in, int32_t n_in, tct_tensor *out) {
  tct_graph *graph = NULL;
  for (int32_t i = 0; i < n_in && graph == NULL; i++) graph = in[i].graph;
  return tct_emit(graph, op, attrs, in, n_in, out);
}

tct_tensor tct_reshaped(tct_tensor x, tct_shape shape) {
  const tct_shape has = tct_tensor_shape(x);
  return tct_shape_equal(&has, &shape) ? x : tct_reshape(x, shape);
}

tct_tensor tct_broadcasted(tct_tensor x, tct_shape shape) {
  const tct_shape has = tct_tensor_shape(x);
  return tct_shape_equal(&has, &shape) ? x : tct_broadcast_to(x, shape);
}
