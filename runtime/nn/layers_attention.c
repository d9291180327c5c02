/* Multi-head attention (Vaswani et al., 2017) with Keras' parameters, and learned positions to add to a sequence. */
#include <stdio.h>
#include "base/checked.h"
#include "base/status.h"
#include "graph/graph.h"
#include "nn/model.h"

/* A dense layer over the last axes: `kernel` as Keras shapes it, [in, heads, width] or [heads, width, out]. */
typedef struct projection {
  const char *name; /* "query": parameters query/kernel and query/bias */
  tct_shape kernel, bias;
  int64_t in, out;
  bool use_bias;
  const tct_multi_head_attention_layer *options;
} projection;

/* x [B,T,in] → [B,T,out] */
static tct_tensor project(tct_layer_build *b, tct_tensor x, const projection *p) {
  char name[64];
  const tct_multi_head_attention_layer *o = p->options;
  snprintf(name, sizeof name, "%s/kernel", p->name);
  const tct_tensor kernel = tct_layer_parameter(
      b, &(tct_parameter_spec){name, p->kernel, o->kernel_initializer, "glorot_uniform", o->kernel_regularizer, false});
  const tct_tensor y = tct_matmul(x, tct_reshape(kernel, TCT_SHAPE(p->in, p->out)));
  if (!p->use_bias) return y;
  snprintf(name, sizeof name, "%s/bias", p->name);
  const tct_tensor bias = tct_layer_parameter(
      b, &(tct_parameter_spec){name, p->bias, o->bias_initializer, "zeros", o->bias_regularizer, false});
  return tct_add(y, tct_reshape(bias, TCT_SHAPE(p->out)));
}

/* x [B,T,in] → [B,T,heads,width] */
static tct_tensor heads_of(tct_layer_build *b, const char *name, tct_tensor x, int64_t heads, int64_t width,
                           const tct_multi_head_attention_layer *o) {
  const tct_shape s = tct_tensor_shape(x);
  const projection p = {.name = name,
                        .kernel = TCT_SHAPE(s.dim[2], heads, width),
                        .bias = TCT_SHAPE(heads, width),
                        .in = s.dim[2],
                        .out = heads * width,
                        .use_bias = tct_toggle_of(o->use_bias, true),
                        .options = o};
  return tct_reshape(project(b, x, &p), TCT_SHAPE(s.dim[0], s.dim[1], heads, width));
}

/* All heads' numbers side by side are an extent too. */
static bool check_heads(tct_layer_build *b, int64_t heads, int64_t key_dim, int64_t value_dim) {
  int64_t width = 0;
  if (heads < 1 || key_dim < 1 || value_dim < 1) {
    tct_layer_refuse(b, "num_heads %lld, key_dim %lld and value_dim %lld, need at least 1", (long long)heads,
                     (long long)key_dim, (long long)value_dim);
    return false;
  }
  if (tct_mul_i64(heads, key_dim, &width) && tct_mul_i64(heads, value_dim, &width)) return true;
  tct_layer_refuse(b, "num_heads %lld, key_dim %lld and value_dim %lld; num_heads times either needs at most %lld",
                   (long long)heads, (long long)key_dim, (long long)value_dim, (long long)INT64_MAX);
  return false;
}

static bool check_inputs(tct_layer_build *b) {
  static const char *const names[] = {"query", "value", "key"};
  char text[160];
  TCT_ASSERT(b->n_in <= (int32_t)TCT_COUNT_OF(names));
  for (int32_t i = 0; i < b->n_in; i++) {
    const tct_shape in = tct_tensor_shape(b->in[i]), sample = tct_shape_of(in.rank - 1, in.dim + 1);
    if (in.rank == 3) continue;
    tct_layer_refuse(b, "a sample of the %s is %s, needs [positions, features]", names[i],
                     tct_shape_print(&sample, text, sizeof text));
    return false;
  }
  return true;
}

tct_tensor tct_build_multi_head_attention(tct_layer_build *b, const tct_multi_head_attention_layer *o) {
  const tct_tensor none = {NULL, -1}, query = b->in[0], value = b->in[b->n_in > 1 ? 1 : 0];
  const tct_tensor key = b->n_in > 2 ? b->in[2] : value;
  const int64_t value_dim = o->value_dim != 0 ? o->value_dim : o->key_dim;
  if (!check_inputs(b) || !check_heads(b, o->num_heads, o->key_dim, value_dim)) return tct_poison(b->graph);
  const tct_attention_options options = {.causal = tct_toggle_of(o->causal, false)};
  const tct_tensor q = heads_of(b, "query", query, o->num_heads, o->key_dim, o);
  const tct_tensor k = heads_of(b, "key", key, o->num_heads, o->key_dim, o);
  const tct_tensor v = heads_of(b, "value", value, o->num_heads, value_dim, o);
  const tct_tensor y = tct_attention(q, k, v, none, &options);
  if (!tct_tensor_ok(y)) return y;
  const tct_shape s = tct_tensor_shape(query);
  const projection out = {.name = "attention_output",
                          .kernel = TCT_SHAPE(o->num_heads, value_dim, s.dim[2]),
                          .bias = TCT_SHAPE(s.dim[2]),
                          .in = o->num_heads * value_dim,
                          .out = s.dim[2],
                          .use_bias = tct_toggle_of(o->use_bias, true),
                          .options = o};
  return project(b, tct_reshape(y, TCT_SHAPE(s.dim[0], s.dim[1], out.in)), &out);
}

tct_tensor tct_build_position_embedding(tct_layer_build *b, const tct_position_embedding_layer *o) {
  char text[160];
  const tct_shape in = tct_tensor_shape(b->in[0]), sample = tct_shape_of(in.rank - 1, in.dim + 1);
  if (in.rank != 3) {
    return tct_layer_refuse(b, "a sample is %s, needs [positions, features]",
                            tct_shape_print(&sample, text, sizeof text));
  }
  if (o->sequence_length < in.dim[1]) {
    return tct_layer_refuse(b, "sequence_length is %lld, the input has %lld positions", (long long)o->sequence_length,
                            (long long)in.dim[1]);
  }
  const tct_tensor table = tct_layer_parameter(b, &(tct_parameter_spec){"embeddings",
                                                                        TCT_SHAPE(o->sequence_length, in.dim[2]),
                                                                        o->embeddings_initializer,
                                                                        "glorot_uniform",
                                                                        {0, 0},
                                                                        false});
  const int64_t start[] = {0, 0}, size[] = {in.dim[1], -1};
  const bool whole = o->sequence_length == in.dim[1];
  return tct_broadcast_to(whole ? table : tct_slice(table, start, size, NULL), in);
}
