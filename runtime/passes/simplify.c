/* Simplification in one walk: dead code goes, equal nodes become one, views and transposes of views and transposes
 * collapse, transposes go into matmul, a broadcast that an elementwise op would do itself goes away. */
#include <tercet/types.h>
#pragma GCC diagnostic push
#pragma GCC diagnostic error "-Wpadded" /* equal nodes are found by the bytes of their attributes */
#include <tercet/attrs.h>
#pragma GCC diagnostic pop
#include <string.h>
#include "base/status.h"
#include "base/text.h"
#include "passes/passes.h"
#include "passes/rewrite.h"

_Static_assert(sizeof(tct_shape) == 2 * sizeof(int32_t) + TCT_MAX_RANK * sizeof(int64_t), "a shape has no padding");

typedef struct simplifier {
  tct_rewrite rewrite;
  bool *live;        /* [old nodes] */
  int32_t *buckets;  /* new node ids by hash, -1: empty */
  size_t n_buckets;  /* a power of two */
  tct_arena scratch;
} simplifier;

static const tct_node *new_maker(const simplifier *s, int32_t value) { return tct_maker(s->rewrite.to, value); }
static const tct_shape *new_shape(const simplifier *s, int32_t value) { return &s->rewrite.to->values[value].desc.shape; }

static void mark_live(simplifier *s) {
  const tct_graph *from = s->rewrite.from;
  for (int32_t i = 0; i < from->n_outputs; i++) s->live[from->values[from->outputs[i].value].node] = true;
  for (int32_t n = from->n_nodes - 1; n >= 0; n--) {
    const tct_node *node = &from->nodes[n];
    if (tct_op_is_update(node->op) || node->op == TCT_OP_input) s->live[n] = true;
    for (int32_t i = 0; s->live[n] && i < node->n_in; i++) s->live[from->values[node->in[i]].node] = true;
  }
}

/* ---- equal nodes ---- */

static size_t attrs_bytes(const tct_node *node) { return tct_op_definition(node->op)->attrs_bytes; }

static uint64_t hash_node(const tct_node *node, const int32_t *in) {
  uint64_t hash = tct_hash(&node->op, sizeof node->op) * 31 + tct_hash(in, (size_t)node->n_in * sizeof *in);
  return hash * 31 + tct_hash(node->attrs, attrs_bytes(node));
}

static bool same_node(const tct_node *a, const tct_node *b, const int32_t *b_in) {
  return a->op == b->op && a->n_in == b->n_in && memcmp(a->in, b_in, (size_t)b->n_in * sizeof *b_in) == 0 &&
         (attrs_bytes(a) == 0 || memcmp(a->attrs, b->attrs, attrs_bytes(a)) == 0);
}

/* Emits the node over new operands, or reuses an equal one. */
static tct_status emit_once(simplifier *s, const tct_node *old, const tct_node *like, const int32_t *in) {
  const bool mergeable = !tct_op_is_source(like->op) && !tct_op_is_update(like->op);
  size_t at = 0;
  if (mergeable) {
    for (at = (size_t)hash_node(like, in) & (s->n_buckets - 1); s->buckets[at] >= 0; at = (at + 1) & (s->n_buckets - 1)) {
      const tct_node *there = &s->rewrite.to->nodes[s->buckets[at]];
      if (!same_node(there, like, in)) continue;
      for (int32_t o = 0; o < old->n_out; o++) tct_rewrite_map(&s->rewrite, old->out + o, there->out + o);
      return TCT_OK;
    }
  }
  TCT_TRY(tct_rewrite_replace(&s->rewrite, old, like, in));
  if (mergeable) s->buckets[at] = s->rewrite.to->n_nodes - 1;
  return TCT_OK;
}

/* ---- rules: each may change `like` and `in`, or answer with an existing value ---- */

static bool identity_perm(const int32_t *perm, int32_t rank) {
  for (int32_t i = 0; i < rank; i++) {
    if (perm[i] != i) return false;
  }
  return true;
}

/* The value that the node equals, or -1. */
static int32_t same_value(simplifier *s, const tct_node *node, const int32_t *in) {
  const tct_desc *out = node->n_out == 1 ? &s->rewrite.from->values[node->out].desc : NULL;
  if (out == NULL || node->n_in == 0) return -1;
  const tct_desc *x = &s->rewrite.to->values[in[0]].desc;
  const bool same_desc = x->dtype == out->dtype && tct_shape_equal(&x->shape, &out->shape);
  switch (node->op) {
  case TCT_OP_stop_gradient: return in[0];
  case TCT_OP_reshape:
  case TCT_OP_cast:
  case TCT_OP_broadcast_to: return same_desc ? in[0] : -1;
  case TCT_OP_transpose:
    return identity_perm(((const tct_transpose_attrs *)node->attrs)->perm, x->shape.rank) ? in[0] : -1;
  default: return -1;
  }
}

/* Elementwise ops that broadcast their operands; the gradients of unary rows do not. */
static bool broadcasts(tct_op op) {
  static const bool table[TCT_N_OPS] = {
#define BINARY(name, dtypes, text, forward, flops) [TCT_OP_##name] = true,
#define COMPARE(name, text, condition) [TCT_OP_##name] = true,
#define LOGICAL(name, text, condition) [TCT_OP_##name] = true,
#include <tercet/elementwise.def>
      [TCT_OP_select] = true,
      [TCT_OP_chain] = true,
  };
  return tct_op_is_own(op) && table[op];
}

/* A broadcast operand of an elementwise node is read unbroadcast when another operand still gives the full shape. */
static void drop_broadcasts(simplifier *s, const tct_node *node, int32_t *in) {
  if (!broadcasts(node->op)) return;
  const tct_shape *out = &s->rewrite.from->values[node->out].desc.shape;
  for (int32_t i = 0; i < node->n_in; i++) {
    const tct_node *maker = new_maker(s, in[i]);
    if (maker->op != TCT_OP_broadcast_to) continue;
    bool full = false;
    for (int32_t j = 0; j < node->n_in; j++) full = full || (j != i && tct_shape_equal(new_shape(s, in[j]), out));
    if (full) in[i] = maker->in[0];
  }
}

static void collapse_views(simplifier *s, tct_node *like, int32_t *in, tct_transpose_attrs *room) {
  const tct_node *maker = like->n_in > 0 ? new_maker(s, in[0]) : NULL;
  if (maker == NULL || maker->op != like->op) return;
  if (like->op == TCT_OP_reshape) in[0] = maker->in[0];
  if (like->op == TCT_OP_transpose) {
    const tct_transpose_attrs *outer = like->attrs, *inner = maker->attrs;
    *room = (tct_transpose_attrs){0};
    for (int32_t i = 0; i < new_shape(s, in[0])->rank; i++) room->perm[i] = inner->perm[outer->perm[i]];
    like->attrs = room;
    in[0] = maker->in[0];
  }
}

static bool swaps_last_two(const tct_node *node, int32_t rank) {
  if (node->op != TCT_OP_transpose || rank < 2) return false;
  const int32_t *perm = ((const tct_transpose_attrs *)node->attrs)->perm;
  return identity_perm(perm, rank - 2) && perm[rank - 2] == rank - 1 && perm[rank - 1] == rank - 2;
}

static void fold_transposes(simplifier *s, tct_node *like, int32_t *in, tct_matmul_attrs *room) {
  if (like->op != TCT_OP_matmul) return;
  *room = *(const tct_matmul_attrs *)like->attrs;
  for (int32_t i = 0; i < 2; i++) {
    const tct_node *maker = new_maker(s, in[i]);
    if (!swaps_last_two(maker, new_shape(s, in[i])->rank)) continue;
    bool *transpose = i == 0 ? &room->transpose_a : &room->transpose_b;
    *transpose = !*transpose;
    in[i] = maker->in[0];
  }
  like->attrs = room;
}

static tct_status simplify_node(simplifier *s, const tct_node *node) {
  tct_node like = *node;
  tct_transpose_attrs transpose;
  tct_matmul_attrs matmul;
  int32_t *in = tct_arena_alloc(&s->scratch, ((size_t)node->n_in + 1) * sizeof *in);
  if (in == NULL) return TCT_OUT_OF_MEMORY;
  for (int32_t i = 0; i < node->n_in; i++) in[i] = tct_rewrite_value(&s->rewrite, node->in[i]);
  int32_t same = same_value(s, &like, in);
  if (same < 0) {
    collapse_views(s, &like, in, &transpose);
    same = same_value(s, &like, in);
  }
  if (same >= 0) {
    tct_rewrite_map(&s->rewrite, node->out, same);
    return TCT_OK;
  }
  drop_broadcasts(s, &like, in);
  fold_transposes(s, &like, in, &matmul);
  return emit_once(s, node, &like, in);
}

static tct_status run(simplifier *s) {
  const tct_graph *from = s->rewrite.from;
  s->n_buckets = 64;
  while (s->n_buckets < (size_t)from->n_nodes * 2) s->n_buckets *= 2;
  s->live = tct_arena_alloc(&s->scratch, (size_t)from->n_nodes + 1);
  s->buckets = tct_arena_alloc(&s->scratch, s->n_buckets * sizeof *s->buckets);
  if (s->live == NULL || s->buckets == NULL) return TCT_OUT_OF_MEMORY;
  memset(s->buckets, 0xff, s->n_buckets * sizeof *s->buckets);
  mark_live(s);
  for (int32_t n = 0; n < from->n_nodes; n++) {
    if (s->live[n]) TCT_TRY(simplify_node(s, &from->nodes[n]));
  }
  return TCT_OK;
}

/* Values can lose their last reader in the walk (a folded transpose): sweep once more without rules. */
static tct_status sweep(const tct_graph *in, tct_graph **out) {
  simplifier s = {0};
  TCT_TRY(tct_rewrite_begin(in, &s.rewrite));
  tct_status status = TCT_OUT_OF_MEMORY;
  s.live = tct_arena_alloc(&s.scratch, (size_t)in->n_nodes + 1);
  if (s.live != NULL) {
    mark_live(&s);
    status = TCT_OK;
    for (int32_t n = 0; n < in->n_nodes && status == TCT_OK; n++) {
      if (s.live[n]) status = tct_rewrite_copy(&s.rewrite, &in->nodes[n]);
    }
  }
  tct_arena_free(&s.scratch);
  return tct_rewrite_end(&s.rewrite, status, out);
}

tct_status tct_pass_simplify(const tct_graph *in, const tct_pass_context *context, tct_graph **out) {
  (void)context;
  *out = NULL;
  simplifier s = {0};
  TCT_TRY(tct_rewrite_begin(in, &s.rewrite));
  const tct_status status = run(&s);
  tct_arena_free(&s.scratch);
  tct_graph *walked = NULL;
  TCT_TRY(tct_rewrite_end(&s.rewrite, status, &walked));
  const tct_status swept = sweep(walked, out);
  tct_graph_free(walked);
  return swept;
}
