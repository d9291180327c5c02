/* An output reads what every other reader reads: a variable's value from before the run's updates. Where an output is a
 * written variable, or a view of one, it becomes a copy, which the schedule puts before the update. */
#include "base/status.h"
#include "graph/append.h"
#include "passes/passes.h"
#include "passes/rewrite.h"

static int32_t root_of(const tct_graph *graph, int32_t value) {
  while (tct_op_is_view(tct_maker(graph, value)->op)) value = tct_maker(graph, value)->in[0];
  return value;
}

static bool is_written(const tct_graph *graph, int32_t value) {
  for (int32_t n = 0; n < graph->n_nodes; n++) {
    const tct_node *node = &graph->nodes[n];
    for (int32_t i = 0; i < tct_node_writes(node); i++) {
      if (node->in[i] == value) return true;
    }
  }
  return false;
}

/* A broadcast to the value's own shape: the copy that every device has. */
static tct_status copy_value(tct_rewrite *rewrite, int32_t old_value, const char *name) {
  const int32_t value = tct_rewrite_value(rewrite, old_value);
  const tct_desc desc = rewrite->to->values[value].desc;
  tct_shape_attrs attrs = {desc.shape};
  const tct_node like = {.op = TCT_OP_broadcast_to, .attrs = &attrs, .n_in = 1, .n_out = 1};
  const int32_t copy = tct_graph_append(rewrite->to, &like, name, &value, &desc);
  if (copy < 0) return TCT_OUT_OF_MEMORY;
  tct_rewrite_map(rewrite, old_value, copy);
  return TCT_OK;
}

static tct_status run(tct_rewrite *rewrite) {
  const tct_graph *from = rewrite->from;
  for (int32_t n = 0; n < from->n_nodes; n++) TCT_TRY(tct_rewrite_copy(rewrite, &from->nodes[n]));
  for (int32_t i = 0; i < from->n_outputs; i++) { /* behind the nodes, so that only outputs read the copies */
    const int32_t value = from->outputs[i].value, root = root_of(rewrite->to, tct_rewrite_value(rewrite, value));
    if (is_written(rewrite->to, root)) TCT_TRY(copy_value(rewrite, value, from->outputs[i].name));
  }
  return TCT_OK;
}

tct_status tct_pass_outputs(const tct_graph *in, const tct_pass_context *context, tct_graph **out) {
  (void)context;
  *out = NULL;
  tct_rewrite rewrite;
  TCT_TRY(tct_rewrite_begin(in, &rewrite));
  return tct_rewrite_end(&rewrite, run(&rewrite), out);
}
