/* Selection: the kernel of each node, prepared (algorithm, workspace, descriptors) before memory is planned. A kernel that refuses
 * while it prepares gives way to the next one of the op. */
#include "base/alloc.h"
#include "base/status.h"
#include "passes/passes.h"

static tct_status select_one(const tct_graph *graph, const tct_node *node, const tct_pass_context *context,
                             tct_arena *arena, tct_selection *out) {
  char why[512];
  const tct_node_view *view = tct_node_view_of(graph, node, arena);
  if (view == NULL) return TCT_OUT_OF_MEMORY;
  tct_device *device = context->device;
  if (node->on_host) TCT_TRY(tct_device_reference(device, &device));
  const tct_kernel *kernel = tct_find_kernel(device, view, why, sizeof why);
  if (kernel == NULL) {
    return tct_fail(TCT_E_NO_KERNEL, "%s '%s' has no kernel on device '%s': %s", view->op_name, view->name,
                    device->spec, why);
  }
  out->device = device;
  while (kernel->prepare != NULL) {
    out->prepared = (tct_prepared){.kernel = kernel};
    const tct_status status = kernel->prepare(device->impl, view, &out->prepared);
    if (status == TCT_OK) break;
    const tct_kernel *const next = status == TCT_UNSUPPORTED ? tct_find_next_kernel(device, view, kernel) : NULL;
    if (next == NULL) return tct_context("preparing kernel %s for '%s'", kernel->name, view->name);
    tct_error_clear();
    out->prepared = (tct_prepared){0};
    kernel = next;
  }
  out->kernel = kernel;
  return TCT_OK;
}

tct_status tct_select_kernels(const tct_graph *graph, const tct_pass_context *context, tct_arena *arena, tct_selection **out) {
  tct_selection *selections = tct_arena_alloc(arena, ((size_t)graph->n_nodes + 1) * sizeof *selections);
  *out = selections;
  if (selections == NULL) return TCT_OUT_OF_MEMORY;
  for (int32_t n = 0; n < graph->n_nodes; n++) {
    const tct_node *node = &graph->nodes[n];
    if (tct_op_is_source(node->op) || tct_op_is_view(node->op)) continue;
    TCT_TRY(select_one(graph, node, context, arena, &selections[n]));
  }
  return TCT_OK;
}

void tct_selections_free(tct_selection *selections, int32_t n) {
  for (int32_t i = 0; selections != NULL && i < n; i++) {
    const tct_selection *s = &selections[i];
    if (s->kernel != NULL && s->kernel->release != NULL) s->kernel->release(s->device->impl, s->prepared.state);
  }
}
