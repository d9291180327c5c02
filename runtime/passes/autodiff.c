/* Reverse-mode differentiation, graph → graph: appends the gradient nodes behind the loss. Each op's own rule builds its
 * part; summing a broadcast back to the operand's shape, and adding up several uses, are done here, once. */
#include <stdio.h>
#include <string.h>
#include <tercet/ops.h>
#include "base/alloc.h"
#include "base/number.h"
#include "base/status.h"
#include "graph/graph.h"

typedef struct autodiff {
  tct_graph *graph;
  tct_arena scratch;
  bool *depends;     /* [values] depends on some wrt */
  tct_tensor *grads; /* [values] accumulated so far; unset: none */
  int32_t n_values;  /* when the pass began */
} autodiff;

static void mark_dependence(autodiff *ad, const tct_tensor *wrt, int32_t n_wrt) {
  for (int32_t i = 0; i < n_wrt; i++) {
    if (tct_tensor_ok(wrt[i]) && wrt[i].id < ad->n_values) ad->depends[wrt[i].id] = true;
  }
  const tct_graph *graph = ad->graph;
  const int32_t n_nodes = graph->n_nodes;
  for (int32_t n = 0; n < n_nodes; n++) {
    const tct_node *node = &graph->nodes[n];
    if (node->op == TCT_OP_stop_gradient) continue;
    bool any = false;
    for (int32_t i = 0; i < node->n_in; i++) any = any || ad->depends[node->in[i]];
    for (int32_t o = 0; any && o < node->n_out; o++) ad->depends[node->out + o] = true;
  }
}

/* Sums `grad` to `shape`, undoing the broadcast of an operand of that shape. */
static tct_tensor unbroadcast(tct_tensor grad, const tct_shape *shape) {
  const tct_shape from = tct_tensor_shape(grad);
  if (tct_shape_equal(&from, shape)) return grad;
  int32_t axes[TCT_MAX_RANK], n_axes = 0;
  const int32_t extra = from.rank - shape->rank;
  for (int32_t i = 0; i < from.rank; i++) {
    if (i < extra || (shape->dim[i - extra] == 1 && from.dim[i] != 1)) axes[n_axes++] = i;
  }
  const tct_tensor sum = n_axes > 0 ? tct_reduce_sum(grad, axes, n_axes, false) : grad;
  return tct_reshape(sum, *shape);
}

static void accumulate(autodiff *ad, int32_t value, tct_tensor grad) {
  const tct_shape shape = ad->graph->values[value].desc.shape;
  grad = unbroadcast(grad, &shape);
  ad->grads[value] = tct_is_set(ad->grads[value]) ? tct_add(ad->grads[value], grad) : grad;
}

/* "dense1/kernel → matmul 'dense1/matmul' → argmax 'argmax'" from a wrt to the node. */
static void describe_path(const autodiff *ad, const tct_node *node, char *text, size_t bytes) {
  const tct_node *path[64];
  int n = 0;
  for (const tct_node *at = node; at != NULL && n < 64;) {
    path[n++] = at;
    const tct_node *before = NULL;
    /* cppcheck-suppress nullPointer ; the loop ends at NULL */
    for (int32_t i = 0; i < at->n_in && before == NULL; i++) {
      if (ad->depends[at->in[i]]) before = tct_maker(ad->graph, at->in[i]);
    }
    at = before;
  }
  size_t used = 0;
  text[0] = '\0';
  while (n > 0 && used + 1 < bytes) {
    const tct_node *at = path[--n];
    const bool source = at->n_in == 0;
    const int more = source ? snprintf(text + used, bytes - used, "'%s'", at->name)
                            : snprintf(text + used, bytes - used, " → %s '%s'", tct_op_name(at->op), at->name);
    if (more < 0) break;
    used += (size_t)more;
  }
}

static void refuse(autodiff *ad, const tct_node *node, const char *why) {
  char path[700];
  describe_path(ad, node, path, sizeof path);
  tct_graph_fail(ad->graph, TCT_E_NO_GRADIENT,
                 "gradients: %s '%s' between the loss and a variable has no gradient (%s); path: %s; "
                 "put tct_stop_gradient around it if none is meant",
                 tct_op_name(node->op), node->name, why, path);
}

/* Runs the rule of node n; its outputs' gradients are in ad->grads. */
static tct_status differentiate(autodiff *ad, int32_t n) {
  tct_graph *graph = ad->graph;
  const tct_node node = graph->nodes[n]; /* a copy: rules append, which moves the array */
  const tct_op_def *def = tct_op_definition(node.op);
  bool flows = false, leads = false;
  for (int32_t o = 0; o < node.n_out; o++) flows = flows || tct_is_set(ad->grads[node.out + o]);
  for (int32_t i = 0; i < node.n_in; i++) leads = leads || ad->depends[node.in[i]];
  if (!flows || !leads || node.op == TCT_OP_stop_gradient) return TCT_OK;
  if (def->gradient == NULL) {
    refuse(ad, &node, def->gradient_why != NULL ? def->gradient_why : "second-order gradients are not available");
    return TCT_OK;
  }

  const size_t n_handles = 2 * ((size_t)node.n_in + (size_t)node.n_out);
  tct_tensor *handles = tct_arena_alloc(&ad->scratch, (n_handles + 1) * sizeof *handles);
  bool *wanted = tct_arena_alloc(&ad->scratch, (size_t)node.n_in + 1);
  if (handles == NULL || wanted == NULL) return TCT_OUT_OF_MEMORY;
  tct_tensor *in = handles, *din = in + node.n_in, *out = din + node.n_in, *dout = out + node.n_out;
  for (int32_t i = 0; i < node.n_in; i++) {
    in[i] = (tct_tensor){graph, node.in[i]};
    din[i] = (tct_tensor){NULL, -1};
    wanted[i] = ad->depends[node.in[i]];
  }
  for (int32_t o = 0; o < node.n_out; o++) {
    out[o] = (tct_tensor){graph, node.out + o};
    dout[o] = ad->grads[node.out + o];
  }

  char scope[512];
  memcpy(scope, graph->scope, sizeof scope);
  snprintf(graph->scope, sizeof graph->scope, "grad/%s", node.name);
  tct_grad rule = {.graph = graph, .op = node.op, .attrs = node.attrs, .n_in = node.n_in, .n_out = node.n_out,
                   .in = in, .out = out, .dout = dout, .wanted = wanted, .din = din};
  def->gradient(&rule);
  bool carried = false;
  for (int32_t i = 0; i < node.n_in; i++) {
    if (!wanted[i] || din[i].graph == NULL) continue;
    carried = true;
    if (din[i].id >= 0) accumulate(ad, node.in[i], din[i]);
  }
  memcpy(graph->scope, scope, sizeof scope);
  if (!carried) refuse(ad, &node, "it is piecewise constant in what depends on the variable");
  return TCT_OK;
}

static tct_status run(autodiff *ad, tct_tensor loss, const tct_tensor *wrt, int32_t n_wrt) {
  ad->n_values = ad->graph->n_values;
  ad->depends = tct_arena_alloc(&ad->scratch, (size_t)ad->n_values + 1);
  ad->grads = tct_arena_alloc(&ad->scratch, ((size_t)ad->n_values + 1) * sizeof *ad->grads);
  if (ad->depends == NULL || ad->grads == NULL) return TCT_OUT_OF_MEMORY;
  for (int32_t v = 0; v < ad->n_values; v++) ad->grads[v] = (tct_tensor){NULL, -1};
  mark_dependence(ad, wrt, n_wrt);
  ad->grads[loss.id] = tct_scalar(ad->graph, tct_tensor_dtype(loss), 1);
  for (int32_t n = ad->graph->values[loss.id].node; n >= 0; n--) TCT_TRY(differentiate(ad, n));
  return TCT_OK;
}

static bool arguments_ok(tct_tensor loss, const tct_tensor *wrt, int32_t n_wrt) {
  tct_graph *graph = loss.graph;
  char shape[160];
  const tct_dtype dtype = tct_tensor_dtype(loss);
  const tct_shape loss_shape = tct_tensor_shape(loss);
  if (loss_shape.rank != 0 || !tct_dtype_is_float(dtype)) {
    tct_graph_fail(graph, TCT_E_NO_GRADIENT,
                   "gradients: the loss is %s%s, needs a 0-d float; reduce it, as with tct_reduce_mean",
                   tct_dtype_name(dtype), tct_shape_print(&loss_shape, shape, sizeof shape));
    return false;
  }
  for (int32_t i = 0; i < n_wrt; i++) {
    if (!tct_tensor_ok(wrt[i]) || wrt[i].graph != graph) {
      if (graph->n_errors == 0) {
        tct_graph_fail(graph, TCT_E_FOREIGN, "gradients: wrt[%d] is not a tensor of the loss's graph", i);
      }
      return false;
    }
    const tct_dtype wrt_dtype = tct_tensor_dtype(wrt[i]);
    if (!tct_dtype_is_float(wrt_dtype)) {
      tct_graph_fail(graph, TCT_E_NO_GRADIENT, "gradients: '%s' is %s; only floats have gradients",
                     tct_maker(graph, wrt[i].id)->name, tct_dtype_name(wrt_dtype));
      return false;
    }
  }
  return true;
}

void tct_gradients(tct_tensor loss, const tct_tensor *wrt, int32_t n_wrt, tct_tensor *out) {
  tct_graph *graph = loss.graph;
  for (int32_t i = 0; i < n_wrt; i++) out[i] = tct_poison(graph);
  if (!tct_tensor_ok(loss) || !arguments_ok(loss, wrt, n_wrt)) return;
  autodiff ad = {.graph = graph};
  const int32_t errors_before = graph->n_errors;
  const tct_phase phase = graph->phase;
  graph->phase = TCT_PHASE_BACKWARD;
  const tct_status status = run(&ad, loss, wrt, n_wrt);
  if (status != TCT_OK) tct_graph_fail(graph, (uint32_t)tct_error_code(), "gradients: %s", tct_error_message());
  for (int32_t i = 0; i < n_wrt && graph->n_errors == errors_before; i++) {
    out[i] = ad.grads[wrt[i].id];
    if (!tct_is_set(out[i])) out[i] = tct_full(graph, tct_tensor_dtype(wrt[i]), tct_tensor_shape(wrt[i]), 0);
  }
  graph->phase = phase;
  tct_arena_free(&ad.scratch);
}
