/* Dropout: (x, step i64 []) → y = x·mask/(1 - rate), mask drawn from (seed, stream, step, element): see
 * tct_dropout_attrs. The mask is not kept: the gradient draws the same one again, dx = dropout(dy, step).
 * Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting" (JMLR 2014). */
#include <string.h>
#include "base/text.h"
#include "graph/graph.h"
#include "ops/defs.h"
#include "ops/shape.h"

static bool infer_dropout(tct_infer *infer) {
  const tct_dropout_attrs *attrs = infer->attrs;
  if (!(attrs->rate >= 0 && attrs->rate < 1)) {
    return tct_refuse_as(infer, TCT_E_ATTRIBUTE,
                         "rate is %g, needs 0 <= rate < 1: the share of elements that are dropped", attrs->rate);
  }
  if (!tct_check_dtype(infer, 0, "x", TCT_FLOATS) || !tct_check_dtype(infer, 1, "step", 1u << TCT_I64)) return false;
  const tct_shape scalar = {0};
  if (!tct_check_shape(infer, 1, "step", &scalar, "one counter of runs")) return false;
  return tct_give(infer, 0, infer->in[0].dtype, infer->in[0].shape);
}

static void gradient_dropout(tct_grad *grad) {
  grad->din[0] = tct_build2(TCT_OP_dropout, grad->attrs, grad->dout[0], grad->in[1]);
}

/* A quarter of a Philox block of ten rounds (about 12 operations each), a comparison and a product. */
static void cost_dropout(const tct_node_view *node, tct_cost *out) {
  tct_cost_per_output(node, 32, out);
}

TCT_DEFINE(dropout, .infer = infer_dropout, .gradient = gradient_dropout, .cost = cost_dropout);

tct_tensor tct_dropout(tct_tensor x, tct_tensor step, double rate, uint64_t seed, const char *name) {
  if (name == NULL) {
    if (!tct_tensor_ok(x)) return tct_poison(x.graph);
    return tct_graph_fail(x.graph, TCT_E_NAME,
                          "dropout: the name is NULL; the mask is drawn from it, so it must be given");
  }
  const uint64_t hash = tct_hash(name, strlen(name));
  tct_dropout_attrs attrs;
  memset(&attrs, 0, sizeof attrs);
  attrs.rate = rate;
  attrs.seed = seed;
  attrs.stream = (uint32_t)(hash ^ hash >> 32);
  return tct_build2(TCT_OP_dropout, &attrs, x, step);
}
