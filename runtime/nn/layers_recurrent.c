/* LSTM and GRU as Keras has them: parameters, names and orders of gates, with the activations that their fused kernels
 * compute (tanh, sigmoid). */
#include <string.h>
#include "base/alloc.h"
#include "base/checked.h"
#include "base/status.h"
#include "graph/graph.h"
#include "nn/model.h"

/* What both layers are told. */
typedef struct recurrent {
  int64_t units, gates;
  bool return_sequences, go_backwards, use_bias;
  const char *kernel_initializer, *recurrent_initializer;
  tct_penalty kernel_regularizer, recurrent_regularizer;
} recurrent;

static bool check_input(tct_layer_build *b, const recurrent *r) {
  char text[160];
  const tct_shape in = tct_tensor_shape(b->in[0]), sample = tct_shape_of(in.rank - 1, in.dim + 1);
  if (in.rank != 3) {
    tct_layer_refuse(b, "a sample is %s, needs [steps, features]%s", tct_shape_print(&sample, text, sizeof text),
                     in.rank == 2 ? "; insert a Reshape, or return_sequences: true in the recurrent layer before it"
                                  : "");
    return false;
  }
  int64_t width = 0;
  if (r->units >= 1 && tct_mul_i64(r->gates, r->units, &width)) return true;
  tct_layer_refuse(b, "units is %lld, needs 1 to %lld", (long long)r->units, (long long)(INT64_MAX / r->gates));
  return false;
}

static tct_tensor kernel_of(tct_layer_build *b, const recurrent *r) {
  const int64_t features = tct_tensor_shape(b->in[0]).dim[2];
  return tct_layer_parameter(b, &(tct_parameter_spec){"kernel", TCT_SHAPE(features, r->gates * r->units),
                                                      r->kernel_initializer, "glorot_uniform", r->kernel_regularizer,
                                                      false});
}

static tct_tensor recurrent_kernel_of(tct_layer_build *b, const recurrent *r) {
  return tct_layer_parameter(b, &(tct_parameter_spec){"recurrent_kernel", TCT_SHAPE(r->units, r->gates * r->units),
                                                      r->recurrent_initializer, "orthogonal", r->recurrent_regularizer,
                                                      false});
}

/* x [B,T,H] with its steps turned round. */
static tct_tensor turned(tct_layer_build *b, tct_tensor x) {
  const int64_t n = tct_tensor_shape(x).dim[1];
  if (!tct_tensor_ok(x)) return x;
  int32_t *order = tct_alloc((size_t)n * sizeof *order);
  if (order == NULL) return tct_layer_refuse(b, "%s", tct_error_message());
  for (int64_t i = 0; i < n; i++) order[i] = (int32_t)(n - 1 - i);
  const tct_tensor out = tct_gather(x, tct_constant(b->graph, TCT_I32, TCT_SHAPE(n), order), 1);
  tct_release(order);
  return out;
}

/* All results, in the order in which they were made, or the last one made. */
static tct_tensor results(tct_layer_build *b, const recurrent *r, tct_tensor y) {
  if (!tct_tensor_ok(y)) return y;
  if (r->return_sequences) return r->go_backwards ? turned(b, y) : y;
  const tct_shape s = tct_tensor_shape(y);
  const int64_t start[] = {0, r->go_backwards ? 0 : s.dim[1] - 1, 0}, size[] = {-1, 1, -1};
  return tct_reshape(tct_slice(y, start, size, NULL), TCT_SHAPE(s.dim[0], s.dim[2]));
}

tct_tensor tct_build_lstm(tct_layer_build *b, const tct_lstm_layer *o) {
  static const tct_tensor none = {NULL, -1};
  const recurrent r = {.units = o->units,
                       .gates = 4,
                       .return_sequences = tct_toggle_of(o->return_sequences, false),
                       .go_backwards = tct_toggle_of(o->go_backwards, false),
                       .use_bias = tct_toggle_of(o->use_bias, true),
                       .kernel_initializer = o->kernel_initializer,
                       .recurrent_initializer = o->recurrent_initializer,
                       .kernel_regularizer = o->kernel_regularizer,
                       .recurrent_regularizer = o->recurrent_regularizer};
  if (!check_input(b, &r)) return tct_poison(b->graph);
  const char *initializer = o->bias_initializer;
  if (tct_toggle_of(o->unit_forget_bias, true)) {
    if (initializer != NULL && strcmp(initializer, "zeros") != 0) {
      return tct_layer_refuse(b, "bias_initializer is '%s' with unit_forget_bias; set unit_forget_bias to false",
                              initializer);
    }
    initializer = "unit_forget";
  }
  const tct_tensor w = kernel_of(b, &r), u = recurrent_kernel_of(b, &r);
  const tct_shape bias = TCT_SHAPE(4 * r.units);
  const tct_tensor shift = r.use_bias ? tct_layer_parameter(b, &(tct_parameter_spec){"bias", bias, initializer, "zeros",
                                                                                     o->bias_regularizer, false})
                                      : tct_full(b->graph, b->model->dtype, bias, 0);
  return results(b, &r, tct_lstm(b->in[0], w, u, shift, none, none, r.go_backwards, NULL));
}

tct_tensor tct_build_gru(tct_layer_build *b, const tct_gru_layer *o) {
  static const tct_tensor none = {NULL, -1};
  const recurrent r = {.units = o->units,
                       .gates = 3,
                       .return_sequences = tct_toggle_of(o->return_sequences, false),
                       .go_backwards = tct_toggle_of(o->go_backwards, false),
                       .use_bias = tct_toggle_of(o->use_bias, true),
                       .kernel_initializer = o->kernel_initializer,
                       .recurrent_initializer = o->recurrent_initializer,
                       .kernel_regularizer = o->kernel_regularizer,
                       .recurrent_regularizer = o->recurrent_regularizer};
  if (!check_input(b, &r)) return tct_poison(b->graph);
  if (!tct_toggle_of(o->reset_after, true)) {
    return tct_layer_refuse(
        b, "reset_after is false: only the form that resets after the product, Keras' default, is here");
  }
  const tct_tensor w = kernel_of(b, &r), u = recurrent_kernel_of(b, &r);
  const tct_shape bias = TCT_SHAPE(2, 3 * r.units);
  const tct_tensor shift = r.use_bias
                               ? tct_layer_parameter(b, &(tct_parameter_spec){"bias", bias, o->bias_initializer,
                                                                              "zeros", o->bias_regularizer, false})
                               : tct_full(b->graph, b->model->dtype, bias, 0);
  return results(b, &r, tct_gru(b->in[0], w, u, shift, none, r.go_backwards));
}
