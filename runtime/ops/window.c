/* The arithmetic of sliding windows, shared by convolution and pooling. */
#include "ops/window.h"
#include "ops/shape.h"

#include <inttypes.h>
#include "base/checked.h"
#include "graph/graph.h"

static const char *const axis_names[2] = {"height", "width"};

void tct_windows(const int64_t in[2], const int64_t window[2], const int64_t stride[2], const int64_t dilation[2],
                 const int64_t pad[4], tct_window out[2]) {
  for (int i = 0; i < 2; i++) {
    out[i] = (tct_window){in[i], window[i], dilation != NULL ? dilation[i] : 1, stride[i], pad[2 * i], pad[2 * i + 1]};
  }
}

/* The reach of a window with holes; false on overflow. */
static bool reach_of(const tct_window *w, int64_t *out) {
  int64_t holes = 0;
  return tct_mul_i64(w->window - 1, w->dilation, &holes) && tct_add_i64(holes, 1, out);
}

static bool outputs_of(tct_infer *infer, const tct_window *w, const char *axis, int64_t *out) {
  if (w->window < 1 || w->stride < 1 || w->dilation < 1) {
    return tct_refuse_as(infer, TCT_E_WINDOW,
                         "along the %s the window is %" PRId64 ", stride %" PRId64 ", dilation %" PRId64
                         "; each needs at least 1",
                         axis, w->window, w->stride, w->dilation);
  }
  if (w->before < 0 || w->after < 0) {
    return tct_refuse_as(infer, TCT_E_WINDOW,
                         "along the %s the padding is %" PRId64 " and %" PRId64 "; it needs at least 0 (crop with "
                         "tct_slice)",
                         axis, w->before, w->after);
  }
  int64_t reach = 0, padded = 0;
  if (!reach_of(w, &reach) || !tct_add_i64(w->in, w->before, &padded) || !tct_add_i64(padded, w->after, &padded)) {
    return tct_refuse_as(infer, TCT_E_SIZE,
                         "along the %s the sizes overflow (window %" PRId64 ", dilation %" PRId64 ", padding %" PRId64
                         " and %" PRId64 ")",
                         axis, w->window, w->dilation, w->before, w->after);
  }
  if (reach > padded) {
    return tct_refuse_as(infer, TCT_E_WINDOW,
                         "the window of %" PRId64 " (dilation %" PRId64 ": reach %" PRId64 ") is larger than the "
                         "padded input of %s %" PRId64 " (%" PRId64 " + %" PRId64 " + %" PRId64
                         "); use a smaller window or "
                         "SAME padding",
                         w->window, w->dilation, reach, axis, padded, w->before, w->in, w->after);
  }
  *out = (padded - reach) / w->stride + 1;
  return true;
}

bool tct_window_outputs(tct_infer *infer, const tct_window window[2], int64_t out[2]) {
  for (int i = 0; i < 2; i++) {
    if (!outputs_of(infer, &window[i], axis_names[i], &out[i])) return false;
  }
  return true;
}

void tct_window_same(tct_window *w) {
  int64_t reach = 0;
  w->before = w->after = 0;
  if (w->window < 1 || w->stride < 1 || w->dilation < 1 || w->in < 1 || !reach_of(w, &reach)) return;
  const int64_t last = (w->in - 1) / w->stride * w->stride; /* where the last window begins, without padding */
  const int64_t total = reach - (w->in - last);
  if (total <= 0) return;
  w->before = total / 2;
  w->after = total - w->before;
}

bool tct_resolve_padding(tct_graph *graph, const char *op_name, tct_padding padding, const int64_t asked[4],
                         tct_window window[2], int64_t pad[4]) {
  const bool some = asked[0] != 0 || asked[1] != 0 || asked[2] != 0 || asked[3] != 0;
  if ((int)padding < 0 || padding > TCT_PADDING_EXPLICIT) {
    tct_graph_fail(graph, TCT_E_WINDOW, "%s: padding %d is not VALID, SAME or EXPLICIT", op_name, (int)padding);
    return false;
  }
  if (some && padding != TCT_PADDING_EXPLICIT) {
    tct_graph_fail(graph, TCT_E_WINDOW,
                   "%s: pad [%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64
                   "] is given but padding is %s; set padding to "
                   "TCT_PADDING_EXPLICIT",
                   op_name, asked[0], asked[1], asked[2], asked[3], padding == TCT_PADDING_SAME ? "SAME" : "VALID");
    return false;
  }
  for (int i = 0; i < 4; i++) pad[i] = asked[i];
  for (int i = 0; i < 2 && padding == TCT_PADDING_SAME; i++) {
    tct_window_same(&window[i]);
    pad[2 * i] = window[i].before;
    pad[2 * i + 1] = window[i].after;
  }
  return true;
}
