/* Every node gets a device: the program's, or, when the user permits it, the host's reference kernels. Refusals are
 * reported together. */
#include <stdio.h>
#include "base/error_list.h"
#include "base/log.h"
#include "base/status.h"
#include "base/text.h"
#include "passes/passes.h"
#include "passes/rewrite.h"

static void note_refusal(tct_text *text, int32_t *n_refused, const tct_node_view *view, const char *why) {
  ++*n_refused;
  if (*n_refused > TCT_MOST_LISTED_ERRORS) return;
  tct_text_printf(text, "%s%s '%s'", *n_refused > 1 ? "\n" : "", view->op_name, view->name);
  for (int32_t i = 0; i < view->n_in; i++) {
    char shape[160];
    tct_text_printf(text, "%s%s%s", i == 0 ? " on " : ", ", tct_dtype_name(view->in[i].dtype),
                    tct_shape_print(&view->in[i].shape, shape, sizeof shape));
  }
  tct_text_printf(text, ": %s", why);
}

static tct_status place_all(tct_rewrite *rewrite, const tct_pass_context *context, tct_text *refusals, int32_t *n_refused) {
  const tct_graph *from = rewrite->from;
  for (int32_t n = 0; n < from->n_nodes; n++) {
    tct_node node = from->nodes[n];
    if (!tct_op_is_source(node.op) && !tct_op_is_view(node.op)) {
      tct_arena scratch = {0};
      char why[512];
      const tct_node_view *view = tct_node_view_of(from, &node, &scratch);
      if (view == NULL) {
        tct_arena_free(&scratch);
        return TCT_OUT_OF_MEMORY;
      }
      if (tct_find_kernel(context->device, view, why, sizeof why) == NULL) {
        node.on_host = context->fallback_host;
        if (node.on_host) {
          tct_log_line(TCT_LOG_WARNING, "%s '%s' runs on the host's reference kernels: %s", view->op_name, view->name, why);
        } else {
          note_refusal(refusals, n_refused, view, why);
        }
      }
      tct_arena_free(&scratch);
    }
    TCT_TRY(tct_rewrite_copy(rewrite, &node));
  }
  return TCT_OK;
}

tct_status tct_pass_place(const tct_graph *in, const tct_pass_context *context, tct_graph **out) {
  *out = NULL;
  tct_rewrite rewrite;
  TCT_TRY(tct_rewrite_begin(in, &rewrite));
  tct_text refusals = {0};
  int32_t n_refused = 0;
  tct_status status = place_all(&rewrite, context, &refusals, &n_refused);
  if (status == TCT_OK && n_refused > 0) {
    status = tct_fail(TCT_E_NO_KERNEL,
                      "device '%s' refuses %d op%s; nothing runs elsewhere unless fallback=host permits it [%s]\n%s",
                      context->device->spec, n_refused, n_refused == 1 ? "" : "s",
                      tct_error_kind_of(TCT_E_NO_KERNEL)->code, refusals.data != NULL ? refusals.data : "");
  }
  tct_text_free(&refusals);
  return tct_rewrite_end(&rewrite, status, out);
}
