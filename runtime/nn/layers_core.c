/* Dense and what stands between layers: flatten, reshape, activation, dropout, embedding, rescaling. */
#include "graph/graph.h"
#include "nn/model.h"

tct_tensor tct_build_dense(tct_layer_build *b, const tct_dense_layer *o) {
  const tct_shape in = tct_tensor_shape(b->in[0]);
  if (in.rank < 2) {
    return tct_layer_refuse_as(b, TCT_E_RANK, "a sample is one number, needs [.., features]; insert a Reshape to [1]");
  }
  if (!tct_layer_floats(b)) return tct_poison(b->graph);
  if (o->units < 1) return tct_layer_refuse(b, "units is %lld, needs at least 1", (long long)o->units);
  const int64_t features = in.dim[in.rank - 1];
  const tct_tensor kernel = tct_layer_parameter(
      b, &(tct_parameter_spec){"kernel", TCT_SHAPE(features, o->units), o->kernel_initializer, "glorot_uniform",
                               o->kernel_regularizer, false});
  tct_tensor y = tct_matmul(b->in[0], kernel);
  if (tct_toggle_of(o->use_bias, true)) {
    y = tct_add(y, tct_layer_parameter(b, &(tct_parameter_spec){"bias", TCT_SHAPE(o->units), o->bias_initializer, "zeros",
                                                                o->bias_regularizer, false}));
  }
  return tct_layer_activate(b, y, o->activation);
}

tct_tensor tct_build_flatten(tct_layer_build *b, const tct_flatten_layer *o) {
  (void)o;
  const tct_shape in = tct_tensor_shape(b->in[0]);
  int64_t features = 1;
  for (int32_t i = 1; i < in.rank; i++) features *= in.dim[i];
  return tct_reshape(b->in[0], TCT_SHAPE(in.dim[0], features));
}

tct_tensor tct_build_reshape(tct_layer_build *b, const tct_reshape_layer *o) {
  const tct_shape in = tct_tensor_shape(b->in[0]);
  if (o->target_shape.rank >= TCT_MAX_RANK) {
    return tct_layer_refuse(b, "target_shape has rank %d, at most %d", o->target_shape.rank, TCT_MAX_RANK - 1);
  }
  tct_shape shape = {.rank = o->target_shape.rank + 1, .dim = {in.dim[0]}};
  for (int32_t i = 0; i < o->target_shape.rank; i++) shape.dim[i + 1] = o->target_shape.dim[i];
  return tct_reshape(b->in[0], shape);
}

tct_tensor tct_build_permute(tct_layer_build *b, const tct_permute_layer *o) {
  const tct_shape in = tct_tensor_shape(b->in[0]);
  int32_t perm[TCT_MAX_RANK] = {0};
  if (o->dims.rank != in.rank - 1) {
    return tct_layer_refuse(b, "dims has %d entries, the input has %d axes behind the batch", o->dims.rank, in.rank - 1);
  }
  for (int32_t i = 0; i < o->dims.rank; i++) {
    if (o->dims.dim[i] < 1 || o->dims.dim[i] >= in.rank) {
      return tct_layer_refuse(b, "dims[%d] is %lld, needs 1 to %d", i, (long long)o->dims.dim[i], in.rank - 1);
    }
    perm[i + 1] = (int32_t)o->dims.dim[i];
  }
  return tct_transpose(b->in[0], perm);
}

tct_tensor tct_build_activation(tct_layer_build *b, const tct_activation_layer *o) {
  return tct_layer_activate(b, b->in[0], o->activation);
}

tct_tensor tct_build_leaky_relu(tct_layer_build *b, const tct_leaky_relu_layer *o) {
  return tct_leaky_relu(b->in[0], o->negative_slope != 0 ? o->negative_slope : 0.3);
}

tct_tensor tct_build_dropout(tct_layer_build *b, const tct_dropout_layer *o) {
  if (!(o->rate >= 0 && o->rate < 1)) return tct_layer_refuse(b, "rate is %g, needs 0 <= rate < 1", o->rate);
  if (!b->training || o->rate == 0) return b->in[0];
  return tct_dropout(b->in[0], b->step, o->rate, b->seed, b->layer->name);
}

tct_tensor tct_build_embedding(tct_layer_build *b, const tct_embedding_layer *o) {
  const tct_dtype dtype = tct_tensor_dtype(b->in[0]);
  if (dtype != TCT_I32) {
    return tct_layer_refuse_as(b, TCT_E_LAYER_INPUT, "input is %s, needs i32 indices; give the input dtype i32",
                               tct_dtype_name(dtype));
  }
  if (o->input_dim < 1 || o->output_dim < 1) {
    return tct_layer_refuse(b, "input_dim %lld and output_dim %lld, need at least 1", (long long)o->input_dim,
                            (long long)o->output_dim);
  }
  const tct_tensor table = tct_layer_parameter(
      b, &(tct_parameter_spec){"embeddings", TCT_SHAPE(o->input_dim, o->output_dim), o->embeddings_initializer, "uniform",
                               o->embeddings_regularizer, false});
  return tct_gather(table, b->in[0], 0);
}

tct_tensor tct_build_rescaling(tct_layer_build *b, const tct_rescaling_layer *o) {
  return tct_scale(b->in[0], o->scale, o->offset);
}
