/* Updates that write only when a condition holds: every update of the graph gets the graph's condition (tct_update_when) as
 * its last operand, and its kernel writes nothing where that is false. The host decides nothing and waits for nothing.
 *
 * An update that is computed from the condition, such as that of a loss scale, knows both cases itself and is left alone. The
 * others move behind the condition, which is computed from what they do not write yet: where they stand says nothing about
 * when they run. */
#include "base/status.h"
#include "passes/passes.h"
#include "passes/rewrite.h"

static bool *depends_on(const tct_graph *graph, int32_t value, tct_arena *scratch) {
  bool *depends = tct_arena_alloc(scratch, (size_t)graph->n_values + 1);
  if (depends == NULL) return NULL;
  depends[value] = true;
  for (int32_t n = 0; n < graph->n_nodes; n++) {
    const tct_node *node = &graph->nodes[n];
    bool any = false;
    for (int32_t i = 0; i < node->n_in; i++) any = any || depends[node->in[i]];
    for (int32_t o = 0; any && o < node->n_out; o++) depends[node->out + o] = true;
  }
  return depends;
}

static tct_status emit_update(tct_rewrite *rewrite, const tct_node *node, const bool *depends, tct_arena *scratch) {
  const tct_update_attrs *given = node->attrs;
  bool knows = given->conditional;
  for (int32_t i = 0; i < node->n_in; i++) knows = knows || depends[node->in[i]];
  if (knows) return tct_rewrite_copy(rewrite, node);
  tct_update_attrs attrs = *given;
  attrs.conditional = true;
  tct_node like = *node;
  like.attrs = &attrs;
  int32_t *in = tct_arena_alloc(scratch, ((size_t)node->n_in + 1) * sizeof *in);
  if (in == NULL) return TCT_OUT_OF_MEMORY;
  for (int32_t i = 0; i < node->n_in; i++) in[i] = tct_rewrite_value(rewrite, node->in[i]);
  in[like.n_in++] = tct_rewrite_value(rewrite, rewrite->from->condition);
  return tct_rewrite_replace(rewrite, node, &like, in);
}

static tct_status run(tct_rewrite *rewrite, tct_arena *scratch) {
  const tct_graph *from = rewrite->from;
  const bool *depends = depends_on(from, from->condition, scratch);
  if (depends == NULL) return TCT_OUT_OF_MEMORY;
  for (int32_t n = 0; n < from->n_nodes; n++)
    if (!tct_op_is_update(from->nodes[n].op)) TCT_TRY(tct_rewrite_copy(rewrite, &from->nodes[n]));
  for (int32_t n = 0; n < from->n_nodes; n++)
    if (tct_op_is_update(from->nodes[n].op)) TCT_TRY(emit_update(rewrite, &from->nodes[n], depends, scratch));
  return TCT_OK;
}

tct_status tct_pass_predicate(const tct_graph *in, const tct_pass_context *context, tct_graph **out) {
  (void)context;
  *out = NULL;
  if (in->condition < 0) return tct_graph_copy(in, out);
  tct_rewrite rewrite;
  tct_arena scratch = {0};
  TCT_TRY(tct_rewrite_begin(in, &rewrite));
  const tct_status status = run(&rewrite, &scratch);
  tct_arena_free(&scratch);
  return tct_rewrite_end(&rewrite, status, out);
}
