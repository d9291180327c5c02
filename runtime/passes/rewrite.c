/* Graph → graph rewriting, shared by the passes. */
#include "passes/rewrite.h"

#include "base/alloc.h"
#include "base/status.h"
#include "graph/append.h"

tct_status tct_rewrite_begin(const tct_graph *from, tct_rewrite *out) {
  *out = (tct_rewrite){.from = from};
  TCT_TRY(tct_graph_create(&out->to));
  out->map = tct_alloc(((size_t)from->n_values + 1) * sizeof *out->map);
  if (out->map == NULL) {
    tct_graph_free(out->to);
    out->to = NULL;
    return TCT_OUT_OF_MEMORY;
  }
  for (int32_t v = 0; v < from->n_values; v++) out->map[v] = -1;
  return TCT_OK;
}

tct_status tct_rewrite_replace(tct_rewrite *rewrite, const tct_node *old, const tct_node *like, const int32_t *new_in) {
  tct_desc descs[8];
  TCT_ASSERT(old->n_out <= 8);
  for (int32_t o = 0; o < old->n_out; o++) descs[o] = rewrite->from->values[old->out + o].desc;
  const int32_t first = tct_graph_append(rewrite->to, like, old->name, new_in, descs);
  if (first < 0) return TCT_OUT_OF_MEMORY;
  for (int32_t o = 0; o < old->n_out; o++) rewrite->map[old->out + o] = first + o;
  return TCT_OK;
}

tct_status tct_rewrite_copy(tct_rewrite *rewrite, const tct_node *node) {
  int32_t few[16] = {0}, *in = few; /* gcc cannot see that n_in >= 0 */
  if (node->n_in > 16) {
    in = tct_alloc((size_t)node->n_in * sizeof *in);
    if (in == NULL) return TCT_OUT_OF_MEMORY;
  }
  for (int32_t i = 0; i < node->n_in; i++) in[i] = rewrite->map[node->in[i]];
  const tct_status status = tct_rewrite_replace(rewrite, node, node, in);
  if (in != few) tct_release(in);
  return status;
}

tct_status tct_rewrite_make(tct_rewrite *rewrite, int32_t old, bool *done) {
  if (rewrite->map[old] >= 0) return TCT_OK;
  const tct_node *maker = tct_maker(rewrite->from, old);
  TCT_ASSERT(tct_is_copy(maker) || tct_op_is_source(maker->op));
  if (tct_is_copy(maker)) TCT_TRY(tct_rewrite_make(rewrite, maker->in[0], done));
  done[maker - rewrite->from->nodes] = true;
  return tct_rewrite_copy(rewrite, maker);
}

static tct_status map_outputs(tct_rewrite *rewrite) {
  const tct_graph *from = rewrite->from;
  for (int32_t i = 0; i < from->n_outputs; i++) {
    tct_output(rewrite->to, from->outputs[i].name, (tct_tensor){rewrite->to, rewrite->map[from->outputs[i].value]});
  }
  return tct_graph_status(rewrite->to);
}

tct_status tct_rewrite_end(tct_rewrite *rewrite, tct_status status, tct_graph **out) {
  *out = NULL;
  if (status == TCT_OK) status = map_outputs(rewrite);
  tct_release(rewrite->map);
  rewrite->map = NULL;
  if (status == TCT_OK) {
    *out = rewrite->to;
  } else {
    tct_graph_free(rewrite->to);
  }
  rewrite->to = NULL;
  return status;
}

int32_t *tct_count_readers(const tct_graph *graph, tct_arena *arena) {
  int32_t *readers = tct_arena_alloc(arena, ((size_t)graph->n_values + 1) * sizeof *readers);
  if (readers == NULL) return NULL;
  for (int32_t n = 0; n < graph->n_nodes; n++) {
    for (int32_t i = 0; i < graph->nodes[n].n_in; i++) readers[graph->nodes[n].in[i]]++;
  }
  for (int32_t i = 0; i < graph->n_outputs; i++) readers[graph->outputs[i].value]++;
  return readers;
}
