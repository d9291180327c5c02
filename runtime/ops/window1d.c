/* Convolution and pooling of sequences [N,L,C]: those of images [N,1,L,C] of height 1. The reshapes around them are
 * views. */
#include <inttypes.h>
#include "graph/graph.h"
#include "ops/defs.h"
#include "ops/shape.h"

/* [N,L,C] → [N,1,L,C]; poisoned after recording the error. */
static tct_tensor as_image(const char *op, tct_tensor x) {
  if (!tct_tensor_ok(x)) return tct_poison(x.graph);
  const tct_shape s = tct_tensor_shape(x);
  if (s.rank != 3) {
    return tct_graph_fail(x.graph, TCT_E_RANK, "%s: x is %s (rank %" PRId32 "), needs rank 3 [N,L,C]", op,
                          tct_show(&s).text, s.rank);
  }
  return tct_reshape(x, TCT_SHAPE(s.dim[0], 1, s.dim[1], s.dim[2]));
}

static tct_tensor as_sequence(tct_tensor image) {
  if (!tct_tensor_ok(image)) return image;
  const tct_shape s = tct_tensor_shape(image);
  return tct_reshape(image, TCT_SHAPE(s.dim[0], s.dim[2], s.dim[3]));
}

tct_tensor tct_conv1d(tct_tensor x, tct_tensor w, const tct_conv1d_options *options) {
  const tct_conv1d_options defaults = {0}, *o = options != NULL ? options : &defaults;
  const tct_tensor image = as_image("conv1d", x);
  if (!tct_tensor_ok(image) || !tct_tensor_ok(w)) return tct_poison(x.graph != NULL ? x.graph : w.graph);
  const tct_shape s = tct_tensor_shape(w);
  if (s.rank != 3) {
    return tct_graph_fail(x.graph, TCT_E_RANK,
                          "conv1d: the filter is %s (rank %" PRId32 "), needs rank 3 [S,C/groups,K]", tct_show(&s).text,
                          s.rank);
  }
  const tct_tensor filter = tct_reshape(w, TCT_SHAPE(1, s.dim[0], s.dim[1], s.dim[2]));
  return as_sequence(tct_conv2d(image, filter,
                                &(tct_conv2d_options){.stride = {1, o->stride},
                                                      .dilation = {1, o->dilation},
                                                      .padding = o->padding,
                                                      .pad = {0, 0, o->pad[0], o->pad[1]},
                                                      .groups = o->groups}));
}

static tct_pool2d_options flat(const tct_pool1d_options *options) {
  const tct_pool1d_options defaults = {0}, *o = options != NULL ? options : &defaults;
  return (tct_pool2d_options){.window = {1, o->window},
                              .stride = {1, o->stride},
                              .padding = o->padding,
                              .pad = {0, 0, o->pad[0], o->pad[1]}};
}

tct_tensor tct_max_pool1d(tct_tensor x, const tct_pool1d_options *options) {
  const tct_pool2d_options pool = flat(options);
  return as_sequence(tct_max_pool2d(as_image("max_pool1d", x), &pool));
}

tct_tensor tct_avg_pool1d(tct_tensor x, const tct_pool1d_options *options) {
  const tct_pool2d_options pool = flat(options);
  return as_sequence(tct_avg_pool2d(as_image("avg_pool1d", x), &pool));
}
