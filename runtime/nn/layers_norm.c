/* Normalisation layers. */
#include "graph/graph.h"
#include "nn/model.h"

/* gamma and beta; constants where the layer has none. */
static tct_tensor vector_or(tct_layer_build *b, bool has, const char *name, int64_t channels, const char *initializer,
                            double constant) {
  if (!has) return tct_full(b->graph, b->model->dtype, TCT_SHAPE(channels), constant);
  return tct_layer_parameter(b, &(tct_parameter_spec){name, TCT_SHAPE(channels), NULL, initializer, {0, 0}, false});
}

static tct_tensor moving(tct_layer_build *b, const char *name, int64_t channels, const char *initializer) {
  return tct_layer_parameter(b, &(tct_parameter_spec){name, TCT_SHAPE(channels), NULL, initializer, {0, 0}, true});
}

/* moving ← momentum·moving + (1 − momentum)·batch */
static void track(tct_layer_build *b, tct_tensor variable, tct_tensor batch, double momentum) {
  if (!tct_tensor_ok(variable) || !tct_tensor_ok(batch)) return;
  const tct_phase phase = b->graph->phase;
  b->graph->phase = TCT_PHASE_UPDATE;
  const tct_tensor kept = tct_scale(variable, momentum, 0);
  tct_assign(variable, tct_add(kept, tct_scale(tct_stop_gradient(batch), 1 - momentum, 0)));
  b->graph->phase = phase;
}

tct_tensor tct_build_batch_normalization(tct_layer_build *b, const tct_batch_normalization_layer *o) {
  const tct_shape in = tct_tensor_shape(b->in[0]);
  const double epsilon = o->epsilon != 0 ? o->epsilon : 1e-3, momentum = o->momentum != 0 ? o->momentum : 0.99;
  if (in.rank < 2) return tct_layer_refuse_as(b, TCT_E_RANK, "needs an input [batch, .., channels]");
  if (!tct_layer_floats(b)) return tct_poison(b->graph);
  if (!(epsilon > 0)) return tct_layer_refuse(b, "epsilon is %g, needs to be positive", epsilon);
  if (!(momentum >= 0 && momentum < 1)) return tct_layer_refuse(b, "momentum is %g, needs 0 <= momentum < 1", momentum);
  const int64_t channels = in.dim[in.rank - 1];
  const tct_tensor gamma = vector_or(b, tct_toggle_of(o->scale, true), "gamma", channels, "ones", 1);
  const tct_tensor beta = vector_or(b, tct_toggle_of(o->center, true), "beta", channels, "zeros", 0);
  const tct_tensor mean = moving(b, "moving_mean", channels, "zeros");
  const tct_tensor variance = moving(b, "moving_variance", channels, "ones");
  if (!b->training || o->frozen) return tct_batch_norm_inference(b->in[0], gamma, beta, mean, variance, epsilon);
  tct_tensor batch_mean, batch_variance;
  const tct_tensor y = tct_batch_norm(b->in[0], gamma, beta, epsilon, &batch_mean, &batch_variance);
  track(b, mean, batch_mean, momentum);
  track(b, variance, batch_variance, momentum);
  return y;
}

tct_tensor tct_build_layer_normalization(tct_layer_build *b, const tct_layer_normalization_layer *o) {
  const tct_shape in = tct_tensor_shape(b->in[0]);
  const double epsilon = o->epsilon != 0 ? o->epsilon : 1e-3;
  if (in.rank < 2) return tct_layer_refuse_as(b, TCT_E_RANK, "needs an input [batch, .., features]");
  if (!tct_layer_floats(b)) return tct_poison(b->graph);
  if (!(epsilon > 0)) return tct_layer_refuse(b, "epsilon is %g, needs to be positive", epsilon);
  const int64_t features = in.dim[in.rank - 1];
  const tct_tensor gamma = vector_or(b, tct_toggle_of(o->scale, true), "gamma", features, "ones", 1);
  const tct_tensor beta = vector_or(b, tct_toggle_of(o->center, true), "beta", features, "zeros", 0);
  return tct_layer_norm(b->in[0], gamma, beta, epsilon);
}

tct_tensor tct_build_rms_normalization(tct_layer_build *b, const tct_rms_normalization_layer *o) {
  const tct_shape in = tct_tensor_shape(b->in[0]);
  const double epsilon = o->epsilon != 0 ? o->epsilon : 1e-6;
  if (in.rank < 2) return tct_layer_refuse_as(b, TCT_E_RANK, "needs an input [batch, .., features]");
  if (!tct_layer_floats(b)) return tct_poison(b->graph);
  if (!(epsilon > 0)) return tct_layer_refuse(b, "epsilon is %g, needs to be positive", epsilon);
  return tct_rms_norm(b->in[0], vector_or(b, true, "scale", in.dim[in.rank - 1], "ones", 1), epsilon);
}

tct_tensor tct_build_group_normalization(tct_layer_build *b, const tct_group_normalization_layer *o) {
  const tct_shape in = tct_tensor_shape(b->in[0]);
  const double epsilon = o->epsilon != 0 ? o->epsilon : 1e-3;
  if (in.rank < 2) return tct_layer_refuse_as(b, TCT_E_RANK, "needs an input [batch, .., channels]");
  if (!tct_layer_floats(b)) return tct_poison(b->graph);
  if (!(epsilon > 0)) return tct_layer_refuse(b, "epsilon is %g, needs to be positive", epsilon);
  const int64_t channels = in.dim[in.rank - 1];
  const int64_t groups = o->groups == 0 ? 32 : o->groups == -1 ? channels : o->groups;
  if (groups < 1 || channels % groups != 0) {
    return tct_layer_refuse(b, "groups is %lld, needs to divide the %lld channels; -1 is one group per channel",
                            (long long)groups, (long long)channels);
  }
  const tct_tensor gamma = vector_or(b, tct_toggle_of(o->scale, true), "gamma", channels, "ones", 1);
  const tct_tensor beta = vector_or(b, tct_toggle_of(o->center, true), "beta", channels, "zeros", 0);
  return tct_group_norm(b->in[0], gamma, beta, groups, epsilon);
}
