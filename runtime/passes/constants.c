/* Evaluates, at compile time and on the reference kernels, what depends on constants only. Large results stay ops: a
 * broadcast zero costs less to make than to keep. */
#include "base/alloc.h"
#include "base/desc.h"
#include "base/status.h"
#include "passes/passes.h"
#include "passes/rewrite.h"

#define MOST_FOLDED_ELEMENTS 4096

static const void *data_of(const tct_graph *graph, int32_t value) {
  return ((const tct_constant_attrs *)tct_maker(graph, value)->attrs)->data;
}

/* Runs one node of the new graph's operands on the reference device into `data`. */
static tct_status evaluate(tct_device *reference, const tct_node_view *view, void *const *in, void *data) {
  char why[256];
  const tct_kernel *kernel = tct_find_kernel(reference, view, why, sizeof why);
  if (kernel == NULL) return tct_fail(TCT_UNSUPPORTED, "%s", why);
  tct_prepared prepared = {.kernel = kernel};
  if (kernel->prepare != NULL) TCT_TRY(kernel->prepare(reference->impl, view, &prepared));
  void *workspace = tct_alloc_aligned(prepared.workspace_bytes + 64, 64);
  void *out[1] = {data};
  tct_status status = TCT_OUT_OF_MEMORY;
  if (workspace != NULL) {
    const tct_launch launch = {view, in, out, workspace, prepared.state};
    status = kernel->launch(reference->impl, &launch);
    if (status == TCT_OK) status = reference->backend->sync(reference->impl);
  }
  tct_release(workspace);
  if (kernel->release != NULL) kernel->release(reference->impl, prepared.state);
  return status;
}

/* Replaces `node`, whose operands are constants of the new graph, by a constant; *out_done tells whether it did. */
static tct_status fold(tct_rewrite *rewrite, tct_device *reference, const tct_node *node, tct_arena *scratch, bool *out_done) {
  *out_done = false;
  tct_node mapped = *node;
  int32_t *ids = tct_arena_alloc(scratch, (size_t)(node->n_in + 1) * sizeof *ids);
  void **in = tct_arena_alloc(scratch, (size_t)(node->n_in + 1) * sizeof *in);
  if (ids == NULL || in == NULL) return TCT_OUT_OF_MEMORY;
  for (int32_t i = 0; i < node->n_in; i++) {
    ids[i] = rewrite->map[node->in[i]];
    if (tct_maker(rewrite->to, ids[i])->op != TCT_OP_constant) return TCT_OK;
    in[i] = (void *)(uintptr_t)data_of(rewrite->to, ids[i]); /* operands are only read */
  }
  const tct_node_view *view = tct_node_view_of(rewrite->from, node, scratch);
  const tct_desc *desc = &rewrite->from->values[node->out].desc;
  const size_t bytes = tct_desc_bytes(desc);
  void *data = tct_arena_alloc(scratch, bytes + 64);
  if (view == NULL || data == NULL) return TCT_OUT_OF_MEMORY;
  if (tct_op_is_view(node->op)) {
    data = in[0];
  } else {
    const tct_status status = evaluate(reference, view, in, data);
    if (status == TCT_OUT_OF_MEMORY) return status;
    if (status != TCT_OK) {
      tct_error_clear(); /* left to the device, which will say what is wrong */
      return TCT_OK;
    }
  }
  tct_constant_attrs constant = {data};
  mapped.op = TCT_OP_constant;
  mapped.attrs = &constant;
  mapped.n_in = 0;
  *out_done = true;
  return tct_rewrite_replace(rewrite, node, &mapped, ids);
}

static tct_status fold_all(tct_rewrite *rewrite, tct_device *reference) {
  const tct_graph *from = rewrite->from;
  for (int32_t n = 0; n < from->n_nodes; n++) {
    const tct_node *node = &from->nodes[n];
    bool done = false;
    const bool small = node->n_out == 1 && tct_shape_size(&from->values[node->out].desc.shape) <= MOST_FOLDED_ELEMENTS;
    if (small && node->n_in > 0 && !tct_op_is_update(node->op)) {
      tct_arena scratch = {0};
      const tct_status status = fold(rewrite, reference, node, &scratch, &done);
      tct_arena_free(&scratch);
      TCT_TRY(status);
    }
    if (!done) TCT_TRY(tct_rewrite_copy(rewrite, node));
  }
  return TCT_OK;
}

tct_status tct_pass_constants(const tct_graph *in, const tct_pass_context *context, tct_graph **out) {
  *out = NULL;
  tct_device *reference = NULL;
  TCT_TRY(tct_device_reference(context->device, &reference));
  tct_rewrite rewrite;
  TCT_TRY(tct_rewrite_begin(in, &rewrite));
  return tct_rewrite_end(&rewrite, fold_all(&rewrite, reference), out);
}
