/* Elementwise ops that feed only each other become one chain: one pass over memory instead of one per op. A group is a
 * tree: each member but the root has one reader, inside, and the root's shape. */
#include "base/number.h"
#include "base/status.h"
#include "passes/passes.h"
#include "passes/rewrite.h"

typedef struct group {
  int32_t n_members, n_inputs;
  int32_t member[TCT_CHAIN_STEPS];  /* node ids, in order; the last is the root */
  int32_t input[TCT_CHAIN_INPUTS];  /* old value ids */
} group;

typedef struct fuser {
  tct_rewrite rewrite;
  const tct_device *device;
  tct_arena scratch;
  int32_t *readers;
  group **groups;    /* [nodes] of which it is the root; NULL: not elementwise, or absorbed */
  bool *absorbed;    /* [nodes] */
} fuser;

/* A step that the chain interpreter has: rows of the table, their gradients, select. Makes a float, or a bool of floats. */
static bool chainable(const tct_graph *graph, const tct_node *node) {
  if (!tct_op_is_chain(node->op) || node->op == TCT_OP_cast || node->op == TCT_OP_chain || node->on_host) return false;
  const tct_dtype out = graph->values[node->out].desc.dtype;
  if (!tct_dtype_is_float(out) && out != TCT_BOOL) return false;
  for (int32_t i = 0; i < node->n_in; i++) {
    const tct_dtype in = graph->values[node->in[i]].desc.dtype;
    if (!tct_dtype_is_float(in) && !(in == TCT_BOOL && node->op == TCT_OP_select && i == 0)) return false;
  }
  return true;
}

static bool add_input(group *g, int32_t value) {
  for (int32_t i = 0; i < g->n_inputs; i++) {
    if (g->input[i] == value) return true;
  }
  if (g->n_inputs == TCT_CHAIN_INPUTS) return false;
  g->input[g->n_inputs++] = value;
  return true;
}

/* `g` with everything of `other` added; false when it would be too large. */
static bool merge(group *g, const group *other) {
  if (g->n_members + other->n_members >= TCT_CHAIN_STEPS) return false;
  for (int32_t m = 0; m < other->n_members; m++) g->member[g->n_members++] = other->member[m];
  for (int32_t i = 0; i < other->n_inputs; i++) {
    if (!add_input(g, other->input[i])) return false;
  }
  return true;
}

static bool absorbable(const fuser *f, const tct_node *node, int32_t operand) {
  const tct_graph *from = f->rewrite.from;
  const int32_t maker = from->values[operand].node;
  return f->groups[maker] != NULL && f->readers[operand] == 1 && from->nodes[maker].phase == node->phase &&
         tct_shape_equal(&from->values[operand].desc.shape, &from->values[node->out].desc.shape);
}

static tct_status grow_group(fuser *f, int32_t n) {
  const tct_graph *from = f->rewrite.from;
  const tct_node *node = &from->nodes[n];
  group *g = tct_arena_alloc(&f->scratch, sizeof *g);
  if (g == NULL) return TCT_OUT_OF_MEMORY;
  const bool makes_bool = from->values[node->out].desc.dtype == TCT_BOOL;
  int32_t taken[3], n_taken = 0;
  for (int32_t i = 0; i < node->n_in; i++) {
    const int32_t operand = node->in[i];
    group wider = *g;
    bool repeated = false;
    for (int32_t j = 0; j < i; j++) repeated = repeated || node->in[j] == operand;
    if (!makes_bool && !repeated && absorbable(f, node, operand) && merge(&wider, f->groups[from->values[operand].node])) {
      *g = wider;
      taken[n_taken++] = from->values[operand].node;
    } else if (!add_input(g, operand)) {
      return TCT_OK; /* too many operands for one chain: the node stays alone */
    }
  }
  const tct_dtype dtype = from->values[g->input[0]].desc.dtype;
  for (int32_t i = 0; i < g->n_inputs; i++) { /* a bool from outside, or a condition of the other float type */
    const tct_dtype other = from->values[g->input[i]].desc.dtype;
    if (!tct_dtype_is_float(other) || other != dtype) return TCT_OK;
  }
  for (int32_t i = 0; i < n_taken; i++) {
    f->groups[taken[i]] = NULL;
    f->absorbed[taken[i]] = true;
  }
  g->member[g->n_members++] = n;
  f->groups[n] = g;
  return TCT_OK;
}

static int32_t register_of(const tct_graph *from, const group *g, int32_t value) {
  for (int32_t m = 0; m < g->n_members; m++) {
    if (from->nodes[g->member[m]].out == value) return g->n_inputs + m;
  }
  for (int32_t i = 0; i < g->n_inputs; i++) {
    if (g->input[i] == value) return i;
  }
  return -1;
}

static bool has_unary_attrs(tct_op op) {
  static const bool table[TCT_N_OPS] = {
#define UNARY(name, dtypes, text, forward, gradient, needs, flops)                                                     \
  [TCT_OP_##name] = true, [TCT_OP_##name##_grad] = true,
#include <tercet/elementwise.def>
  };
  return tct_op_is_own(op) && table[op];
}

/* Whether the device has a kernel for the chain; `old_in` are values of the old graph. */
static tct_status takes(const fuser *f, const tct_node *like, const int32_t *old_in, bool *out_takes) {
  tct_arena scratch = {0};
  char why[512];
  tct_node node = *like;
  node.in = old_in;
  const tct_node_view *view = tct_node_view_of(f->rewrite.from, &node, &scratch);
  *out_takes = view != NULL && tct_find_kernel(f->device, view, why, sizeof why) != NULL;
  tct_arena_free(&scratch);
  return view != NULL ? TCT_OK : TCT_OUT_OF_MEMORY;
}

/* The group as one node, or, where the device has no kernel for that, as it was. */
static tct_status emit_group(fuser *f, const group *g) {
  const tct_graph *from = f->rewrite.from;
  const tct_node *root = &from->nodes[g->member[g->n_members - 1]];
  tct_chain_attrs attrs = {.n_steps = g->n_members};
  for (int32_t m = 0; m < g->n_members; m++) {
    const tct_node *node = &from->nodes[g->member[m]];
    attrs.step[m].op = node->op;
    for (int32_t i = 0; i < node->n_in; i++) attrs.step[m].arg[i] = register_of(from, g, node->in[i]);
    if (!has_unary_attrs(node->op) || node->attrs == NULL) continue;
    const tct_unary_attrs *unary = node->attrs;
    attrs.step[m].p0 = unary->p0;
    attrs.step[m].p1 = unary->p1;
  }
  tct_node like = *root;
  like.op = TCT_OP_chain;
  like.attrs = &attrs;
  like.n_in = g->n_inputs;
  bool taken = false;
  TCT_TRY(takes(f, &like, g->input, &taken));
  if (!taken) {
    for (int32_t m = 0; m < g->n_members; m++) TCT_TRY(tct_rewrite_copy(&f->rewrite, &from->nodes[g->member[m]]));
    return TCT_OK;
  }
  int32_t in[TCT_CHAIN_INPUTS];
  for (int32_t i = 0; i < g->n_inputs; i++) in[i] = tct_rewrite_value(&f->rewrite, g->input[i]);
  return tct_rewrite_replace(&f->rewrite, root, &like, in);
}

static tct_status run(fuser *f) {
  const tct_graph *from = f->rewrite.from;
  f->readers = tct_count_readers(from, &f->scratch);
  f->groups = tct_arena_alloc(&f->scratch, ((size_t)from->n_nodes + 1) * sizeof *f->groups);
  f->absorbed = tct_arena_alloc(&f->scratch, (size_t)from->n_nodes + 1);
  if (f->readers == NULL || f->groups == NULL || f->absorbed == NULL) return TCT_OUT_OF_MEMORY;
  for (int32_t n = 0; n < from->n_nodes; n++) {
    if (chainable(from, &from->nodes[n])) TCT_TRY(grow_group(f, n));
  }
  for (int32_t n = 0; n < from->n_nodes; n++) {
    const group *g = f->groups[n];
    if (f->absorbed[n]) continue;
    TCT_TRY(g != NULL && g->n_members > 1 ? emit_group(f, g) : tct_rewrite_copy(&f->rewrite, &from->nodes[n]));
  }
  return TCT_OK;
}

tct_status tct_pass_fuse_chain(const tct_graph *in, const tct_pass_context *context, tct_graph **out) {
  *out = NULL;
  if (context->device->first[TCT_OP_chain] < 0) return tct_graph_copy(in, out);
  fuser f = {.device = context->device};
  TCT_TRY(tct_rewrite_begin(in, &f.rewrite));
  const tct_status status = run(&f);
  tct_arena_free(&f.scratch);
  return tct_rewrite_end(&f.rewrite, status, out);
}
