/* Layers of several inputs. */
#include "graph/graph.h"
#include "nn/model.h"

static tct_tensor merge(const tct_layer_build *b, tct_tensor (*op)(tct_tensor, tct_tensor)) {
  tct_tensor y = b->in[0];
  for (int32_t i = 1; i < b->n_in; i++) y = op(y, b->in[i]);
  return y;
}

tct_tensor tct_build_add(tct_layer_build *b, const tct_add_layer *o) {
  (void)o;
  return merge(b, tct_add);
}

tct_tensor tct_build_subtract(tct_layer_build *b, const tct_subtract_layer *o) {
  (void)o;
  return merge(b, tct_sub);
}

tct_tensor tct_build_multiply(tct_layer_build *b, const tct_multiply_layer *o) {
  (void)o;
  return merge(b, tct_mul);
}

tct_tensor tct_build_average(tct_layer_build *b, const tct_average_layer *o) {
  (void)o;
  return tct_scale(merge(b, tct_add), 1.0 / b->n_in, 0);
}

tct_tensor tct_build_maximum(tct_layer_build *b, const tct_maximum_layer *o) {
  (void)o;
  return merge(b, tct_maximum);
}

tct_tensor tct_build_concatenate(tct_layer_build *b, const tct_concatenate_layer *o) {
  const int32_t rank = tct_tensor_shape(b->in[0]).rank;
  const int64_t axis = o->axis == 0 ? -1 : o->axis;
  if (axis < -rank || axis >= rank) {
    return tct_layer_refuse(b, "axis is %lld, the inputs have rank %d with the batch", (long long)axis, rank);
  }
  return tct_concat(b->in, b->n_in, (int32_t)axis);
}
