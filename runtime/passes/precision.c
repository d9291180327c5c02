/* Mixed precision: chooses for each f32 value of a finished step whether it is stored in bf16 or f16, by the policy of the op
 * that makes it (precision.def), and casts where the two meet. Variables, inputs and outputs stay as they were built: master
 * weights, optimizer state and what the caller reads are f32.
 *
 * A narrow copy of a value is made once, where the value is made: that of a weight at the head of the step, after the update
 * of the step before, for forward and backward together. A wide copy is made where it is first wanted, so that what waits for
 * the backward pass waits narrow. */
#include <stdio.h>
#include "base/status.h"
#include "graph/append.h"
#include "passes/passes.h"
#include "passes/rewrite.h"

typedef enum policy { UNLISTED = 0, NARROW, FOLLOW, WIDE, KEEP } policy;

static const struct {
  policy own;
  uint32_t operands, results;
} listed[TCT_N_OPS] = {
#define POLICY(op, name, operands, results) [TCT_OP_##op] = {name, operands, results},
#include "passes/precision.def"
};

typedef struct planner {
  tct_rewrite rewrite;
  tct_dtype narrow;      /* bf16 or f16 */
  tct_arena scratch;
  bool *runs_narrow;     /* [nodes] */
  bool *stored_narrow;   /* [values] */
  bool *wanted_narrow;   /* [values] stored f32 with a reader that wants it narrow */
  int32_t *copy;         /* [values] the value's cast in the new graph, -1: none yet */
} planner;

static policy policy_of(tct_op op) {
  const bool known = tct_op_is_own(op);
  if (known && listed[op].own != UNLISTED) return listed[op].own;
  return known && (tct_op_is_chain(op) || tct_op_is_view(op)) ? FOLLOW : WIDE;
}

/* Of a mask of the table; an op that is not listed has none: all. */
static bool holds(uint32_t mask, int32_t i) { return mask == 0 || i >= 32 || (mask >> i & 1u) != 0; }

/* Whether the node's policy is about operand i, an f32 one. */
static bool concerns(const tct_graph *graph, const tct_node *node, int32_t i) {
  if (graph->values[node->in[i]].desc.dtype != TCT_F32) return false;
  return holds(tct_op_is_own(node->op) ? listed[node->op].operands : 0, i);
}

static bool gives_way(const tct_graph *graph, int32_t value) {
  const tct_node *maker = tct_maker(graph, value);
  while (tct_op_is_view(maker->op) || maker->op == TCT_OP_broadcast_to) maker = tct_maker(graph, maker->in[0]);
  return maker->op == TCT_OP_variable || maker->op == TCT_OP_constant;
}

static bool is_narrow_node(const planner *p, const tct_node *node) {
  const tct_graph *graph = p->rewrite.from;
  const policy own = policy_of(node->op);
  bool any = false, all = true;
  for (int32_t i = 0; i < node->n_in; i++) {
    if (!concerns(graph, node, i)) continue;
    if (own == NARROW) return true;
    if (gives_way(graph, node->in[i])) continue;
    any = true;
    all = all && p->stored_narrow[node->in[i]];
  }
  return own == FOLLOW && any && all;
}

static void decide(planner *p) {
  const tct_graph *graph = p->rewrite.from;
  for (int32_t n = 0; n < graph->n_nodes; n++) {
    const tct_node *node = &graph->nodes[n];
    p->runs_narrow[n] = is_narrow_node(p, node);
    if (!p->runs_narrow[n]) continue;
    for (int32_t o = 0; o < node->n_out; o++)
      p->stored_narrow[node->out + o] = graph->values[node->out + o].desc.dtype == TCT_F32 && holds(listed[node->op].results, o);
    for (int32_t i = 0; i < node->n_in; i++) {
      const int32_t value = node->in[i];
      if (concerns(graph, node, i) && !p->stored_narrow[value]) p->wanted_narrow[value] = true;
    }
  }
}

/* The value cast to the other of the two types. */
static tct_status append_copy(planner *p, int32_t value, tct_phase phase) {
  tct_graph *to = p->rewrite.to;
  const int32_t now = tct_rewrite_value(&p->rewrite, value);
  const tct_dtype dtype = p->stored_narrow[value] ? TCT_F32 : p->narrow;
  const tct_cast_attrs attrs = {dtype};
  const tct_node like = {.op = TCT_OP_cast, .phase = phase, .attrs = (void *)(uintptr_t)&attrs, .n_in = 1, .n_out = 1};
  const tct_desc desc = {dtype, to->values[now].desc.shape};
  char name[640];
  snprintf(name, sizeof name, "%s/%s", tct_maker(p->rewrite.from, value)->name, tct_dtype_name(dtype));
  p->copy[value] = tct_graph_append(to, &like, name, &now, &desc);
  return p->copy[value] >= 0 ? TCT_OK : TCT_OUT_OF_MEMORY;
}

/* The new id of operand i, in the type that the node wants. */
static tct_status operand(planner *p, int32_t n, int32_t i, int32_t *out) {
  const tct_node *node = &p->rewrite.from->nodes[n];
  const int32_t value = node->in[i];
  const bool is_f32 = p->rewrite.from->values[value].desc.dtype == TCT_F32;
  const bool narrow = p->runs_narrow[n] && concerns(p->rewrite.from, node, i);
  *out = tct_rewrite_value(&p->rewrite, value);
  if (!is_f32 || policy_of(node->op) == KEEP || narrow == p->stored_narrow[value]) return TCT_OK;
  if (p->copy[value] < 0) TCT_TRY(append_copy(p, value, node->phase));
  *out = p->copy[value];
  return TCT_OK;
}

static tct_status emit(planner *p, int32_t n) {
  const tct_graph *from = p->rewrite.from;
  const tct_node *node = &from->nodes[n];
  int32_t *in = tct_arena_alloc(&p->scratch, ((size_t)node->n_in + 1) * sizeof *in);
  tct_desc descs[8];
  TCT_ASSERT(node->n_out <= 8);
  if (in == NULL) return TCT_OUT_OF_MEMORY;
  for (int32_t i = 0; i < node->n_in; i++) TCT_TRY(operand(p, n, i, &in[i]));
  for (int32_t o = 0; o < node->n_out; o++) {
    descs[o] = from->values[node->out + o].desc;
    if (p->stored_narrow[node->out + o]) descs[o].dtype = p->narrow;
  }
  const int32_t first = tct_graph_append(p->rewrite.to, node, node->name, in, descs);
  if (first < 0) return TCT_OUT_OF_MEMORY;
  for (int32_t o = 0; o < node->n_out; o++) tct_rewrite_map(&p->rewrite, node->out + o, first + o);
  for (int32_t o = 0; o < node->n_out; o++)
    if (p->wanted_narrow[node->out + o]) TCT_TRY(append_copy(p, node->out + o, node->phase));
  return TCT_OK;
}

static tct_status run(planner *p) {
  const tct_graph *from = p->rewrite.from;
  const size_t n_values = (size_t)from->n_values + 1;
  p->runs_narrow = tct_arena_alloc(&p->scratch, (size_t)from->n_nodes + 1);
  p->stored_narrow = tct_arena_alloc(&p->scratch, n_values);
  p->wanted_narrow = tct_arena_alloc(&p->scratch, n_values);
  p->copy = tct_arena_alloc(&p->scratch, n_values * sizeof *p->copy);
  if (p->runs_narrow == NULL || p->stored_narrow == NULL || p->wanted_narrow == NULL || p->copy == NULL) {
    return TCT_OUT_OF_MEMORY;
  }
  for (int32_t v = 0; v < from->n_values; v++) p->copy[v] = -1;
  decide(p);
  for (int32_t n = 0; n < from->n_nodes; n++) TCT_TRY(emit(p, n));
  for (int32_t i = 0; i < from->n_outputs; i++) {
    const int32_t value = from->outputs[i].value;
    if (!p->stored_narrow[value]) continue;
    if (p->copy[value] < 0) TCT_TRY(append_copy(p, value, TCT_PHASE_FORWARD));
    tct_rewrite_map(&p->rewrite, value, p->copy[value]);
  }
  return TCT_OK;
}

tct_status tct_pass_precision(const tct_graph *in, const tct_pass_context *context, tct_graph **out) {
  *out = NULL;
  if (context->precision == TCT_DTYPE_NONE || context->precision == TCT_F32) return tct_graph_copy(in, out);
  if (context->precision != TCT_BF16 && context->precision != TCT_F16) {
    return tct_fail(TCT_E_DTYPE, "compile: precision is %s, needs f32, bf16 or f16", tct_dtype_name(context->precision));
  }
  planner p = {.narrow = context->precision};
  TCT_TRY(tct_rewrite_begin(in, &p.rewrite));
  const tct_status status = run(&p);
  tct_arena_free(&p.scratch);
  return tct_rewrite_end(&p.rewrite, status, out);
}
