/* How a pass makes a new graph from an old one: walk the old nodes in order, copy each or map its values to what replaces
 * them. Names, phases and outputs carry over. */
#ifndef TCT_PASSES_REWRITE_H
#define TCT_PASSES_REWRITE_H

#include "graph/graph.h"

typedef struct tct_rewrite {
  const tct_graph *from;
  tct_graph *to;
  int32_t *map; /* old value id → new value id, -1: not made */
} tct_rewrite;

tct_status tct_rewrite_begin(const tct_graph *from, tct_rewrite *out) TCT_CHECKED;
/* Copies the node with its operands mapped. */
tct_status tct_rewrite_copy(tct_rewrite *rewrite, const tct_node *node) TCT_CHECKED;
/* Appends a node shaped like `like` (op, attrs, phase, init, placement) over *new* value ids and maps the old node's
 * outputs to it. */
tct_status tct_rewrite_replace(tct_rewrite *rewrite, const tct_node *old, const tct_node *like, const int32_t *new_in)
    TCT_CHECKED;
/* Copies what is missing of the value's copies in other types and its views, down to what is there or a source, and marks it in
 * `done` [nodes]: so a node can be made before some of its operands' nodes come. */
tct_status tct_rewrite_make(tct_rewrite *rewrite, int32_t old, bool *done) TCT_CHECKED;
static inline bool tct_is_copy(const tct_node *node) { return node->op == TCT_OP_cast || tct_op_is_view(node->op); }
static inline int32_t tct_rewrite_value(const tct_rewrite *rewrite, int32_t old) { return rewrite->map[old]; }
static inline void tct_rewrite_map(tct_rewrite *rewrite, int32_t old, int32_t now) { rewrite->map[old] = now; }
/* Maps the outputs and hands over the new graph; with a status other than TCT_OK frees it and passes the status on. */
tct_status tct_rewrite_end(tct_rewrite *rewrite, tct_status status, tct_graph **out) TCT_CHECKED;

/* Number of readers of each value (graph outputs count); from `arena`. NULL after recording the error. */
int32_t *tct_count_readers(const tct_graph *graph, tct_arena *arena);

#endif
