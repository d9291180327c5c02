/* The inside of a model: layers in order of creation over a prototype graph, in which each layer is built once, at a batch
 * of TCT_PROTO_BATCH and in training, as soon as it is added: so shapes are known and refused there, by the same rules
 * that real programs obey. The prototype's sticky errors are the model's. */
#ifndef TCT_NN_MODEL_H
#define TCT_NN_MODEL_H

#include <stdatomic.h>
#include <tercet/errors.h>
#include <tercet/nn.h>
#include <tercet/ops.h>
#include "base/arena.h"
#include "nn/layer_types.h"

#define TCT_PROTO_BATCH 2

typedef struct tct_layer_node {
  const char *name;
  const tct_layer_type *type; /* NULL: an input */
  void *options;              /* model arena; begins like tct_layer_common */
  int32_t n_in;
  int32_t *in;     /* layer ids */
  tct_desc input;  /* of an input: one sample */
  tct_tensor proto;
  const char *squash; /* the softmax, log_softmax or sigmoid that the layer ends in; NULL: another activation, or none */
  int32_t first_parameter, n_parameters;
} tct_layer_node;

struct tct_model {
  tct_arena arena;
  const char *name;
  tct_dtype dtype;
  tct_graph *proto; /* owned */
  tct_tensor proto_step;
  tct_layer_node *layers;
  int32_t n_layers, cap_layers;
  tct_parameter *parameters;
  int32_t n_parameters, cap_parameters;
  int32_t output; /* layer id; -1: the last one */
  struct tct_session *session; /* owned; NULL until tct_model_compile */
  atomic_bool fitting;         /* tct_fit is under way: the session stays */
  atomic_bool stop;            /* asked for by tct_fit_stop */
  atomic_bool free_refused;    /* freed in its own fit */
};

/* One building of a layer into a graph. */
typedef struct tct_layer_build {
  tct_model *model;
  const tct_layer_node *layer;
  const void *options;
  tct_graph *graph;
  const tct_tensor *in;
  int32_t n_in;
  bool training;
  bool recording;  /* parameters are entered in the model's table (the prototype) */
  tct_tensor step; /* i64 [], in training */
  uint64_t seed;
  tct_tensor logits;  /* set by layers that end in softmax or sigmoid: what came before */
  const char *squash; /* and which of them it was */
} tct_layer_build;

/* Fails the layer: "Dense 'fc1': …". Returns a poisoned handle. */
tct_tensor tct_layer_refuse(tct_layer_build *b, const char *format, ...) TCT_PRINTF(2, 3);
/* The same with another kind of error (errors.def) than an invalid option. */
tct_tensor tct_layer_refuse_as(tct_layer_build *b, uint32_t code, const char *format, ...) TCT_PRINTF(3, 4);

/* Whether the first input is of floats; refuses integers, which are no numbers to compute with but indices. */
bool tct_layer_floats(tct_layer_build *b);

/* The layer's variable `name` (with the layer's name before it). `initializer` is Keras' name. */
typedef struct tct_parameter_spec {
  const char *name;
  tct_shape shape;
  const char *initializer, *fallback; /* fallback: when initializer is NULL */
  tct_penalty penalty;
  bool fixed; /* never trains (moving statistics) */
} tct_parameter_spec;
tct_tensor tct_layer_parameter(tct_layer_build *b, const tct_parameter_spec *spec);

/* Applies an activation by Keras' name (NULL: linear); sets b->logits and b->squash for softmax and sigmoid. */
tct_tensor tct_layer_activate(tct_layer_build *b, tct_tensor x, const char *activation);
/* false: unknown, recorded with "did you mean". */
bool tct_initializer_parse(const char *name, tct_init *out);

/* The layer that the model's output comes from, and the output's shape for one sample. */
static inline int32_t tct_output_layer(const tct_model *model) {
  return model->output >= 0 ? model->output : model->n_layers - 1;
}
static inline tct_shape tct_output_shape(const tct_model *model) {
  const tct_shape batched = tct_tensor_shape(model->layers[tct_output_layer(model)].proto);
  return tct_shape_of(batched.rank - 1, batched.dim + 1);
}

static inline tct_pair tct_pair_of(tct_pair pair, int64_t fallback) {
  tct_pair out = pair;
  if (out.v[0] == 0) out.v[0] = out.v[1] != 0 ? out.v[1] : fallback;
  if (out.v[1] == 0) out.v[1] = out.v[0];
  return out;
}
static inline bool tct_toggle_of(tct_toggle toggle, bool fallback) {
  return toggle == TCT_DEFAULT ? fallback : toggle == TCT_ON;
}

/* Builders, one per layer: runtime/nn/layers_*.c. */
#define LAYER(layer, type, min_in, max_in) tct_tensor tct_build_##layer(tct_layer_build *b, const tct_##layer##_layer *o);
#include <tercet/layers.def>

void tct_session_free(struct tct_session *session); /* runtime/train */

#endif
