/* The verifier: what every pass may rely on, checked between passes. */
#include <string.h>
#include "base/status.h"
#include "graph/graph.h"

static tct_status verify_node(const tct_graph *graph, int32_t n, tct_arena *scratch) {
  const tct_node *node = &graph->nodes[n];
  const tct_op_def *def = tct_op_definition(node->op);
  if (def == NULL || node->n_out != def->n_out) return tct_fail(TCT_INTERNAL, "node '%s' has no definition", node->name);
  for (int32_t i = 0; i < node->n_in; i++) {
    if (node->in[i] < 0 || node->in[i] >= graph->n_values || graph->values[node->in[i]].node >= n) {
      return tct_fail(TCT_INTERNAL, "node '%s' reads value %d before it is made", node->name, node->in[i]);
    }
  }
  if (tct_op_is_source(node->op)) return TCT_OK;
  const tct_node_view *view = tct_node_view_of(graph, node, scratch);
  tct_desc *out = tct_arena_alloc(scratch, (size_t)(node->n_out + 1) * sizeof *out);
  void *attrs = tct_arena_copy(scratch, node->attrs, node->attrs != NULL ? def->attrs_bytes : 0);
  if (view == NULL || out == NULL || attrs == NULL) return TCT_OUT_OF_MEMORY;
  tct_infer infer = {.op = node->op, .op_name = def->name, .n_in = node->n_in, .n_out = node->n_out,
                     .in = view->in, .attrs = attrs, .out = out};
  if (!def->infer(&infer)) return tct_fail(TCT_INTERNAL, "node '%s' (%s): %s", node->name, def->name, infer.why);
  for (int32_t o = 0; o < node->n_out; o++) {
    if (out[o].dtype != view->out[o].dtype || !tct_shape_equal(&out[o].shape, &view->out[o].shape)) {
      char has[160], should[160];
      return tct_fail(TCT_INTERNAL, "node '%s' (%s): output %d is %s%s, its rule says %s%s", node->name, def->name, o,
                      tct_dtype_name(view->out[o].dtype), tct_shape_print(&view->out[o].shape, has, sizeof has),
                      tct_dtype_name(out[o].dtype), tct_shape_print(&out[o].shape, should, sizeof should));
    }
  }
  return TCT_OK;
}

static tct_status verify_writers(const tct_graph *graph, tct_arena *scratch) {
  bool *written = tct_arena_alloc(scratch, (size_t)graph->n_values + 1);
  if (written == NULL) return TCT_OUT_OF_MEMORY;
  for (int32_t n = 0; n < graph->n_nodes; n++) {
    const tct_node *node = &graph->nodes[n];
    for (int32_t i = 0; i < tct_node_writes(node); i++) {
      const int32_t value = node->in[i];
      const tct_node *variable = tct_maker(graph, value);
      if (variable->op != TCT_OP_variable) {
        return tct_fail(TCT_E_UPDATE, "%s '%s' writes '%s', which is not a variable", tct_op_name(node->op), node->name,
                        variable->name);
      }
      if (written[value]) {
        return tct_fail(TCT_E_UPDATE, "%s '%s' writes variable '%s', which another update of this graph already writes",
                        tct_op_name(node->op), node->name, variable->name);
      }
      written[value] = true;
    }
  }
  return TCT_OK;
}

tct_status tct_graph_verify(const tct_graph *graph) {
  TCT_TRY(tct_graph_status(graph));
  tct_arena scratch = {0};
  tct_status status = TCT_OK;
  for (int32_t n = 0; n < graph->n_nodes && status == TCT_OK; n++) {
    status = verify_node(graph, n, &scratch);
    tct_arena_free(&scratch);
  }
  if (status == TCT_OK) status = verify_writers(graph, &scratch);
  tct_arena_free(&scratch);
  return status;
}
