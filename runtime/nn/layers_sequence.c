/* Convolution and pooling of sequences [length, channels]. */
#include <string.h>
#include "graph/graph.h"
#include "nn/model.h"

static bool sequence_ok(tct_layer_build *b) {
  char text[160];
  const tct_shape in = tct_tensor_shape(b->in[0]);
  if (in.rank == 3) return tct_layer_floats(b);
  const tct_shape sample = tct_shape_of(in.rank - 1, in.dim + 1);
  tct_layer_refuse_as(b, TCT_E_RANK, "a sample is %s, needs [length, channels]%s",
                      tct_shape_print(&sample, text, sizeof text),
                      in.rank == 2 ? "; insert a Reshape that adds the channel axis" : "");
  return false;
}

static bool at_least_1(tct_layer_build *b, const char *key, int64_t value) {
  if (value > 0) return true;
  tct_layer_refuse(b, "%s is %lld, needs at least 1", key, (long long)value);
  return false;
}

static int64_t or_1(int64_t value) {
  return value == 0 ? 1 : value;
}

/* causal: all the padding before, so that an output sees no later input. NULL reach_less_1: causal is refused. */
static bool padding_of(tct_layer_build *b, const char *text, const int64_t *reach_less_1, tct_padding *out,
                       int64_t pad[2]) {
  *out = TCT_PADDING_VALID;
  if (text == NULL || strcmp(text, "valid") == 0) return true;
  *out = TCT_PADDING_SAME;
  if (strcmp(text, "same") == 0) return true;
  *out = TCT_PADDING_EXPLICIT;
  if (reach_less_1 != NULL && strcmp(text, "causal") == 0) {
    pad[0] = *reach_less_1;
    return true;
  }
  tct_layer_refuse(b, "padding is '%s', needs valid%s same%s", text, reach_less_1 != NULL ? "," : " or",
                   reach_less_1 != NULL ? " or causal" : "");
  return false;
}

tct_tensor tct_build_conv1d(tct_layer_build *b, const tct_conv1d_layer *o) {
  const int64_t groups = or_1(o->groups), most = 1 << 30;
  tct_conv1d_options conv = {.stride = or_1(o->strides), .dilation = or_1(o->dilation_rate), .groups = groups};
  if (!sequence_ok(b) || !at_least_1(b, "kernel_size", o->kernel_size) || !at_least_1(b, "strides", conv.stride) ||
      !at_least_1(b, "dilation_rate", conv.dilation) || !at_least_1(b, "filters", o->filters)) {
    return tct_poison(b->graph);
  }
  if (o->kernel_size > most || conv.dilation > most) {
    return tct_layer_refuse(b, "kernel_size %lld and dilation_rate %lld, at most %lld", (long long)o->kernel_size,
                            (long long)conv.dilation, (long long)most);
  }
  const int64_t reach_less_1 = (o->kernel_size - 1) * conv.dilation;
  if (!padding_of(b, o->padding, &reach_less_1, &conv.padding, conv.pad)) return tct_poison(b->graph);
  const int64_t channels = tct_tensor_shape(b->in[0]).dim[2];
  if (groups < 1 || channels % groups != 0 || o->filters % groups != 0) {
    return tct_layer_refuse(b, "groups is %lld, needs to divide the %lld input channels and the %lld filters",
                            (long long)groups, (long long)channels, (long long)o->filters);
  }
  const tct_tensor kernel = tct_layer_parameter(
      b, &(tct_parameter_spec){"kernel", TCT_SHAPE(o->kernel_size, channels / groups, o->filters), o->kernel_initializer,
                               "glorot_uniform", o->kernel_regularizer, false});
  tct_tensor y = tct_conv1d(b->in[0], kernel, &conv);
  if (tct_toggle_of(o->use_bias, true)) {
    y = tct_add(y, tct_layer_parameter(b, &(tct_parameter_spec){"bias", TCT_SHAPE(o->filters), o->bias_initializer,
                                                                "zeros", o->bias_regularizer, false}));
  }
  return tct_layer_activate(b, y, o->activation);
}

static bool pool_options(tct_layer_build *b, int64_t pool_size, int64_t strides, const char *padding,
                         tct_pool1d_options *out) {
  const int64_t size = pool_size == 0 ? 2 : pool_size;
  *out = (tct_pool1d_options){.window = size, .stride = strides == 0 ? size : strides};
  return sequence_ok(b) && padding_of(b, padding, NULL, &out->padding, out->pad) &&
         at_least_1(b, "pool_size", out->window) && at_least_1(b, "strides", out->stride);
}

tct_tensor tct_build_max_pooling1d(tct_layer_build *b, const tct_max_pooling1d_layer *o) {
  tct_pool1d_options pool;
  if (!pool_options(b, o->pool_size, o->strides, o->padding, &pool)) return tct_poison(b->graph);
  return tct_max_pool1d(b->in[0], &pool);
}

tct_tensor tct_build_average_pooling1d(tct_layer_build *b, const tct_average_pooling1d_layer *o) {
  tct_pool1d_options pool;
  if (!pool_options(b, o->pool_size, o->strides, o->padding, &pool)) return tct_poison(b->graph);
  return tct_avg_pool1d(b->in[0], &pool);
}

tct_tensor tct_build_global_average_pooling1d(tct_layer_build *b, const tct_global_average_pooling1d_layer *o) {
  (void)o;
  return sequence_ok(b) ? tct_reduce_mean(b->in[0], (int32_t[]){1}, 1, false) : tct_poison(b->graph);
}

tct_tensor tct_build_global_max_pooling1d(tct_layer_build *b, const tct_global_max_pooling1d_layer *o) {
  (void)o;
  return sequence_ok(b) ? tct_reduce_max(b->in[0], (int32_t[]){1}, 1, false) : tct_poison(b->graph);
}
