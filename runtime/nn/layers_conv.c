/* Convolution, pooling and padding layers. */
#include <string.h>
#include "graph/graph.h"
#include "nn/model.h"

static bool image_ok(tct_layer_build *b, const char *needs) {
  char text[160];
  const tct_shape in = tct_tensor_shape(b->in[0]);
  if (in.rank == 4) return tct_layer_floats(b);
  const tct_shape sample = tct_shape_of(in.rank - 1, in.dim + 1);
  const bool grey = in.rank == 3;
  tct_layer_refuse_as(b, TCT_E_RANK, "a sample is %s, needs %s%s", tct_shape_print(&sample, text, sizeof text),
                      needs, grey ? "; insert a Reshape that adds the channel axis" : "");
  return false;
}

static bool padding_of(tct_layer_build *b, const char *text, tct_padding *out) {
  *out = TCT_PADDING_VALID;
  if (text == NULL || strcmp(text, "valid") == 0) return true;
  *out = TCT_PADDING_SAME;
  if (strcmp(text, "same") == 0) return true;
  tct_layer_refuse(b, "padding is '%s', needs valid or same", text);
  return false;
}

static bool positive(tct_layer_build *b, const char *key, tct_pair pair) {
  if (pair.v[0] > 0 && pair.v[1] > 0) return true;
  tct_layer_refuse(b, "%s is %lld×%lld, needs at least 1", key, (long long)pair.v[0], (long long)pair.v[1]);
  return false;
}

static tct_tensor add_bias(tct_layer_build *b, tct_tensor y, tct_toggle use_bias, const char *initializer,
                           tct_penalty penalty) {
  if (!tct_toggle_of(use_bias, true) || !tct_tensor_ok(y)) return y;
  const tct_shape shape = tct_tensor_shape(y);
  return tct_add(y, tct_layer_parameter(b, &(tct_parameter_spec){"bias", TCT_SHAPE(shape.dim[shape.rank - 1]), initializer, "zeros",
                                                                 penalty, false}));
}

tct_tensor tct_build_conv2d(tct_layer_build *b, const tct_conv2d_layer *o) {
  const tct_pair size = tct_pair_of(o->kernel_size, 0), stride = tct_pair_of(o->strides, 1);
  const tct_pair dilation = tct_pair_of(o->dilation_rate, 1);
  const int64_t groups = o->groups == 0 ? 1 : o->groups;
  tct_conv2d_options conv = {.stride = {stride.v[0], stride.v[1]}, .dilation = {dilation.v[0], dilation.v[1]},
                             .groups = groups};
  if (!image_ok(b, "[height, width, channels]") || !padding_of(b, o->padding, &conv.padding) ||
      !positive(b, "kernel_size", size) || !positive(b, "strides", stride) || !positive(b, "dilation_rate", dilation)) {
    return tct_poison(b->graph);
  }
  const int64_t channels = tct_tensor_shape(b->in[0]).dim[3];
  if (o->filters < 1) return tct_layer_refuse(b, "filters is %lld, needs at least 1", (long long)o->filters);
  if (groups < 1 || channels % groups != 0 || o->filters % groups != 0) {
    return tct_layer_refuse(b, "groups is %lld, needs to divide the %lld input channels and the %lld filters",
                            (long long)groups, (long long)channels, (long long)o->filters);
  }
  const tct_tensor kernel = tct_layer_parameter(
      b, &(tct_parameter_spec){"kernel", TCT_SHAPE(size.v[0], size.v[1], channels / groups, o->filters),
                               o->kernel_initializer, "glorot_uniform", o->kernel_regularizer, false});
  const tct_tensor y = tct_conv2d(b->in[0], kernel, &conv);
  return tct_layer_activate(b, add_bias(b, y, o->use_bias, o->bias_initializer, o->bias_regularizer), o->activation);
}

tct_tensor tct_build_conv2d_transpose(tct_layer_build *b, const tct_conv2d_transpose_layer *o) {
  const tct_pair size = tct_pair_of(o->kernel_size, 0), stride = tct_pair_of(o->strides, 1);
  const tct_pair dilation = tct_pair_of(o->dilation_rate, 1);
  tct_conv2d_options conv = {.stride = {stride.v[0], stride.v[1]}, .dilation = {dilation.v[0], dilation.v[1]}};
  if (!image_ok(b, "[height, width, channels]") || !padding_of(b, o->padding, &conv.padding) ||
      !positive(b, "kernel_size", size) || !positive(b, "strides", stride) || !positive(b, "dilation_rate", dilation)) {
    return tct_poison(b->graph);
  }
  if (o->filters < 1) return tct_layer_refuse(b, "filters is %lld, needs at least 1", (long long)o->filters);
  const int64_t channels = tct_tensor_shape(b->in[0]).dim[3];
  const tct_tensor kernel = tct_layer_parameter(
      b, &(tct_parameter_spec){"kernel", TCT_SHAPE(size.v[0], size.v[1], o->filters, channels), o->kernel_initializer,
                               "glorot_uniform", o->kernel_regularizer, false});
  const tct_tensor y = tct_conv2d_transpose(b->in[0], kernel, &conv);
  return tct_layer_activate(b, add_bias(b, y, o->use_bias, o->bias_initializer, o->bias_regularizer), o->activation);
}

tct_tensor tct_build_depthwise_conv2d(tct_layer_build *b, const tct_depthwise_conv2d_layer *o) {
  const tct_pair size = tct_pair_of(o->kernel_size, 0), stride = tct_pair_of(o->strides, 1);
  const tct_pair dilation = tct_pair_of(o->dilation_rate, 1);
  const int64_t multiplier = o->depth_multiplier == 0 ? 1 : o->depth_multiplier;
  tct_conv2d_options conv = {.stride = {stride.v[0], stride.v[1]}, .dilation = {dilation.v[0], dilation.v[1]}};
  if (!image_ok(b, "[height, width, channels]") || !padding_of(b, o->padding, &conv.padding) ||
      !positive(b, "kernel_size", size) || !positive(b, "strides", stride) || !positive(b, "dilation_rate", dilation)) {
    return tct_poison(b->graph);
  }
  if (multiplier < 1) return tct_layer_refuse(b, "depth_multiplier is %lld, needs at least 1", (long long)multiplier);
  const int64_t channels = tct_tensor_shape(b->in[0]).dim[3];
  const tct_tensor kernel = tct_layer_parameter(
      b, &(tct_parameter_spec){"kernel", TCT_SHAPE(size.v[0], size.v[1], channels, multiplier),
                               o->depthwise_initializer, "glorot_uniform", o->depthwise_regularizer, false});
  const tct_tensor y = tct_depthwise_conv2d(b->in[0], kernel, &conv);
  return tct_layer_activate(b, add_bias(b, y, o->use_bias, o->bias_initializer, (tct_penalty){0}), o->activation);
}

static bool pool_options(tct_layer_build *b, tct_pair pool_size, tct_pair strides, const char *padding,
                         tct_pool2d_options *out) {
  const tct_pair size = tct_pair_of(pool_size, 2), stride = strides.v[0] == 0 ? size : tct_pair_of(strides, 1);
  *out = (tct_pool2d_options){.window = {size.v[0], size.v[1]}, .stride = {stride.v[0], stride.v[1]}};
  return image_ok(b, "[height, width, channels]") && padding_of(b, padding, &out->padding) &&
         positive(b, "pool_size", size) && positive(b, "strides", stride);
}

tct_tensor tct_build_max_pooling2d(tct_layer_build *b, const tct_max_pooling2d_layer *o) {
  tct_pool2d_options pool;
  if (!pool_options(b, o->pool_size, o->strides, o->padding, &pool)) return tct_poison(b->graph);
  return tct_max_pool2d(b->in[0], &pool);
}

tct_tensor tct_build_average_pooling2d(tct_layer_build *b, const tct_average_pooling2d_layer *o) {
  tct_pool2d_options pool;
  if (!pool_options(b, o->pool_size, o->strides, o->padding, &pool)) return tct_poison(b->graph);
  return tct_avg_pool2d(b->in[0], &pool);
}

tct_tensor tct_build_global_average_pooling2d(tct_layer_build *b, const tct_global_average_pooling2d_layer *o) {
  (void)o;
  if (!image_ok(b, "[height, width, channels]")) return tct_poison(b->graph);
  return tct_reduce_mean(b->in[0], (int32_t[]){1, 2}, 2, false);
}

tct_tensor tct_build_global_max_pooling2d(tct_layer_build *b, const tct_global_max_pooling2d_layer *o) {
  (void)o;
  if (!image_ok(b, "[height, width, channels]")) return tct_poison(b->graph);
  return tct_reduce_max(b->in[0], (int32_t[]){1, 2}, 2, false);
}

tct_tensor tct_build_zero_padding2d(tct_layer_build *b, const tct_zero_padding2d_layer *o) {
  const tct_pair size = tct_pair_of(o->padding, 1);
  if (!image_ok(b, "[height, width, channels]")) return tct_poison(b->graph);
  const int64_t around[4] = {0, size.v[0], size.v[1], 0};
  return tct_pad(b->in[0], around, around, 0);
}
