/* Activations by Keras' names. */
#include <string.h>
#include "base/status.h"
#include "base/text.h"
#include "graph/graph.h"
#include "nn/model.h"

static tct_tensor linear(tct_tensor x) { return x; }
static tct_tensor softmax(tct_tensor x) { return tct_softmax(x, -1); }
static tct_tensor log_softmax(tct_tensor x) { return tct_log_softmax(x, -1); }
static tct_tensor leaky_relu(tct_tensor x) { return tct_leaky_relu(x, 0.2); }
static tct_tensor elu(tct_tensor x) { return tct_elu(x, 1); }
static tct_tensor relu6(tct_tensor x) { return tct_clip(x, 0, 6); }

static const struct {
  const char *name;
  tct_tensor (*apply)(tct_tensor x);
  bool has_logits; /* losses are computed from what comes before it */
} rows[] = {
    {"linear", linear, false},
    {"relu", tct_relu, false},
    {"relu6", relu6, false},
    {"leaky_relu", leaky_relu, false},
    {"elu", elu, false},
    {"selu", tct_selu, false},
    {"gelu", tct_gelu, false},
    {"gelu_tanh", tct_gelu_tanh, false},
    {"silu", tct_silu, false},
    {"swish", tct_silu, false},
    {"sigmoid", tct_sigmoid, true},
    {"hard_sigmoid", tct_hard_sigmoid, false},
    {"tanh", tct_tanh, false},
    {"softplus", tct_softplus, false},
    {"softsign", tct_softsign, false},
    {"exponential", tct_exp, false},
    {"softmax", softmax, true},
    {"log_softmax", log_softmax, true},
};

tct_tensor tct_layer_activate(tct_layer_build *b, tct_tensor x, const char *activation) {
  const char *names[TCT_COUNT_OF(rows)];
  if (activation == NULL) return x;
  for (size_t i = 0; i < TCT_COUNT_OF(rows); i++) {
    names[i] = rows[i].name;
    if (strcmp(rows[i].name, activation) != 0) continue;
    if (rows[i].has_logits) {
      b->logits = x;
      b->squash = rows[i].name;
    }
    return rows[i].apply(x);
  }
  const char *near = tct_nearest(activation, names, TCT_COUNT_OF(rows));
  return tct_layer_refuse_as(b, TCT_E_UNKNOWN_WORD, "unknown activation '%s'%s%s%s", activation,
                             TCT_DID_YOU_MEAN(near));
}
