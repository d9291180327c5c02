/* Opens a composite where the device has no kernel for it but the op knows how to be built from simpler ones. */
#include <stdio.h>
#include "base/status.h"
#include "passes/passes.h"
#include "passes/rewrite.h"

static tct_status decompose(tct_rewrite *rewrite, const tct_node *node) {
  tct_graph *graph = rewrite->to;
  tct_tensor in[16], out[8];
  TCT_ASSERT(node->n_in <= 16 && node->n_out <= 8);
  for (int32_t i = 0; i < node->n_in; i++) in[i] = (tct_tensor){graph, rewrite->map[node->in[i]]};
  graph->phase = node->phase;
  snprintf(graph->scope, sizeof graph->scope, "%.500s", node->name);
  tct_op_definition(node->op)->decompose(graph, node->attrs, in, node->n_in, out);
  graph->scope[0] = '\0';
  TCT_TRY(tct_graph_status(graph));
  for (int32_t o = 0; o < node->n_out; o++) tct_rewrite_map(rewrite, node->out + o, out[o].id);
  return TCT_OK;
}

static tct_status expand_all(tct_rewrite *rewrite, const tct_pass_context *context) {
  const tct_graph *from = rewrite->from;
  for (int32_t n = 0; n < from->n_nodes; n++) {
    const tct_node *node = &from->nodes[n];
    bool open = false;
    if (tct_op_definition(node->op)->decompose != NULL) {
      tct_arena scratch = {0};
      char why[512];
      const tct_node_view *view = tct_node_view_of(from, node, &scratch);
      open = view != NULL && tct_find_kernel(context->device, view, why, sizeof why) == NULL;
      tct_arena_free(&scratch);
      if (view == NULL) return TCT_OUT_OF_MEMORY;
    }
    TCT_TRY(open ? decompose(rewrite, node) : tct_rewrite_copy(rewrite, node));
  }
  return TCT_OK;
}

tct_status tct_pass_expand(const tct_graph *in, const tct_pass_context *context, tct_graph **out) {
  *out = NULL;
  tct_rewrite rewrite;
  TCT_TRY(tct_rewrite_begin(in, &rewrite));
  return tct_rewrite_end(&rewrite, expand_all(&rewrite, context), out);
}
