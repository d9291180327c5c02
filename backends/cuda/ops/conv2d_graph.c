/* A convolution as a graph of cuDNN: then a bias and a ReLU where they are asked for, so that one plan does all of it. */
#include "backends/cuda/libraries/cudnn_graph.h"

enum { SUM = TCT_CU_CONV_BIAS + 1, BIASED }; /* stored nowhere */

/* In the library's order: batch, channels, height, width. */
static tct_cu_part tensor(tct_cu_graph *g, int64_t id, int64_t type, const int64_t *extent) {
  const int64_t pixel = extent[3], row = extent[2] * pixel;
  const int64_t extents[4] = {extent[0], extent[3], extent[1], extent[2]}, strides[4] = {extent[1] * row, 1, row, pixel};
  return tct_cu_graph_tensor(g, id, (cudnnDataType_t)type, extents, strides, id == SUM || id == BIASED ? TCT_CU_VIRTUAL : TCT_CU_STORED);
}

static tct_cu_part geometry(tct_cu_graph *g, const tct_cu_conv_problem *p) {
  const cudnnDataType_t type = CUDNN_DATA_FLOAT;
  const cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
  const int64_t axes = 2;
  const tct_cu_part made = tct_cu_part_make(g, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
  tct_cu_part_set(g, made, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, &axes);
  tct_cu_part_set(g, made, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
  tct_cu_part_set(g, made, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode);
  tct_cu_part_set(g, made, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, p->dilation);
  tct_cu_part_set(g, made, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2, p->stride);
  tct_cu_part_set(g, made, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, p->before);
  tct_cu_part_set(g, made, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2, p->after);
  tct_cu_part_finish(g, made);
  return made;
}

static const struct {
  cudnnBackendDescriptorType_t type;
  cudnnBackendAttributeName_t geometry, x, w, y, alpha, beta;
} passes[] = {
#define PASS(kind, name, dx, dw, dy)                                                                                   \
  {CUDNN_BACKEND_OPERATION_CONVOLUTION_##kind##_DESCRIPTOR,                                                            \
   CUDNN_ATTR_OPERATION_CONVOLUTION_##name##_CONV_DESC,                                                                \
   CUDNN_ATTR_OPERATION_CONVOLUTION_##name##_##dx,                                                                     \
   CUDNN_ATTR_OPERATION_CONVOLUTION_##name##_##dw,                                                                     \
   CUDNN_ATTR_OPERATION_CONVOLUTION_##name##_##dy,                                                                     \
   CUDNN_ATTR_OPERATION_CONVOLUTION_##name##_ALPHA,                                                                    \
   CUDNN_ATTR_OPERATION_CONVOLUTION_##name##_BETA}
    [TCT_CU_CONV] = PASS(FORWARD, FORWARD, X, W, Y),
    [TCT_CU_CONV_GRAD_INPUT] = PASS(BACKWARD_DATA, BWD_DATA, DX, W, DY),
    [TCT_CU_CONV_GRAD_FILTER] = PASS(BACKWARD_FILTER, BWD_FILTER, X, DW, DY),
#undef PASS
};

static void convolve(tct_cu_graph *g, const tct_cu_conv_problem *p, tct_cu_part x, tct_cu_part w, tct_cu_part y) {
  const float one = 1, zero = 0;
  const tct_cu_part how = geometry(g, p), op = tct_cu_part_make(g, passes[p->pass].type);
  tct_cu_part_set_part(g, op, passes[p->pass].geometry, how);
  tct_cu_part_set_part(g, op, passes[p->pass].x, x);
  tct_cu_part_set_part(g, op, passes[p->pass].w, w);
  tct_cu_part_set_part(g, op, passes[p->pass].y, y);
  tct_cu_part_set(g, op, passes[p->pass].alpha, CUDNN_TYPE_FLOAT, 1, &one);
  tct_cu_part_set(g, op, passes[p->pass].beta, CUDNN_TYPE_FLOAT, 1, &zero);
  tct_cu_op_finish(g, op);
}

/* Of images, filter and results: one of them is the pass' result. */
static int64_t type_of(const tct_cu_conv_problem *p, tct_cu_conv_pass made_by) { return p->pass == (int64_t)made_by ? p->out_type : p->in_type; }

static size_t bytes_of(int64_t type, const int64_t extent[4]) {
  return (size_t)(extent[0] * extent[1] * extent[2] * extent[3]) * tct_cu_graph_bytes(type);
}

static int32_t operands(const void *problem, tct_cu_graph_operand out[TCT_CU_GRAPH_OPERANDS]) {
  const tct_cu_conv_problem *const p = problem;
  out[0] = (tct_cu_graph_operand){TCT_CU_CONV_X, bytes_of(type_of(p, TCT_CU_CONV_GRAD_INPUT), p->x), NULL};
  out[1] = (tct_cu_graph_operand){TCT_CU_CONV_W, bytes_of(type_of(p, TCT_CU_CONV_GRAD_FILTER), p->w), NULL};
  out[2] = (tct_cu_graph_operand){TCT_CU_CONV_Y, bytes_of(type_of(p, TCT_CU_CONV), p->y), NULL};
  out[3] = (tct_cu_graph_operand){TCT_CU_CONV_BIAS, bytes_of(p->out_type, (const int64_t[]){1, 1, 1, p->y[3]}), NULL};
  return p->bias != 0 ? 4 : 3;
}

static void build(tct_cu_graph *g, const void *problem) {
  const tct_cu_conv_problem *const p = problem;
  const bool has_tail = p->bias != 0 || p->relu != 0;
  const tct_cu_part x = tensor(g, TCT_CU_CONV_X, type_of(p, TCT_CU_CONV_GRAD_INPUT), p->x);
  const tct_cu_part w = tensor(g, TCT_CU_CONV_W, type_of(p, TCT_CU_CONV_GRAD_FILTER), p->w);
  const tct_cu_part y = tensor(g, TCT_CU_CONV_Y, type_of(p, TCT_CU_CONV), p->y);
  tct_cu_part at = has_tail ? tensor(g, SUM, CUDNN_DATA_FLOAT, p->y) : y;
  convolve(g, p, x, w, at);
  if (p->bias != 0) {
    const tct_cu_part bias = tensor(g, TCT_CU_CONV_BIAS, p->out_type, (const int64_t[]){1, 1, 1, p->y[3]});
    const tct_cu_part biased = p->relu != 0 ? tensor(g, BIASED, CUDNN_DATA_FLOAT, p->y) : y;
    tct_cu_graph_pointwise(g, &(tct_cu_pointwise){CUDNN_POINTWISE_ADD, CUDNN_DATA_FLOAT, .x = at, .other = bias, .y = biased});
    at = biased;
  }
  if (p->relu != 0) tct_cu_graph_pointwise(g, &(tct_cu_pointwise){CUDNN_POINTWISE_RELU_FWD, CUDNN_DATA_FLOAT, .x = at, .y = y});
}

const tct_cu_graph_kind tct_cu_conv_graph = {
    .name = "convolution", .problem_bytes = sizeof(tct_cu_conv_problem), .build = build, .operands = operands};
