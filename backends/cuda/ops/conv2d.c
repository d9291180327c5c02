/* Convolution and its gradients by our own tiles, for what no library takes: each a product over the patches of the images, a batch
 * of one product for every group. */
#include "backends/cuda/ops/tiling.h"

typedef struct conv_state {
  tct_cu_conv_args args;
  tct_cu_extent extent;
  tct_cu_kernel kernel;
  int64_t size, channels; /* of the result */
} conv_state;

bool tct_cu_conv_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  return tct_cu_floats(node, ~0u, why, why_bytes);
}

static void set_geometry(tct_cu_conv_args *a, const tct_conv2d_attrs *attrs, const int64_t *x, const int64_t *w, const int64_t *y) {
  a->images = x[0];
  a->h = tct_cu_divisor_of(x[1]);
  a->w = tct_cu_divisor_of(x[2]);
  a->r = w[0];
  a->s = tct_cu_divisor_of(w[1]);
  a->groups = attrs->groups;
  a->cg = tct_cu_divisor_of(w[2]);
  a->kg = tct_cu_divisor_of(w[3] / attrs->groups);
  a->p = tct_cu_divisor_of(y[1]);
  a->q = tct_cu_divisor_of(y[2]);
  a->stride_h = tct_cu_divisor_of(attrs->stride[0]);
  a->stride_w = tct_cu_divisor_of(attrs->stride[1]);
  a->pad_h = attrs->pad[0];
  a->pad_w = attrs->pad[2];
  a->dilation_h = attrs->dilation[0];
  a->dilation_w = attrs->dilation[1];
}

tct_status tct_cu_conv_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  const tct_conv2d_attrs *const attrs = node->attrs;
  conv_state *const state = tct_cu_state(device, sizeof *state);
  if (state == NULL) return TCT_OUT_OF_MEMORY;
  tct_cu_conv_args *const a = &state->args;
  const int64_t *const first = node->in[0].shape.dim, *const second = node->in[1].shape.dim, *const result = node->out[0].shape.dim;
  int64_t m, n, k;
  if (node->op == TCT_OP_conv2d_grad_input) {
    set_geometry(a, attrs, result, second, first);
    state->kernel = TCT_CU_KERNEL_conv_grad_input;
    m = result[0] * result[1] * result[2], n = a->cg.d, k = a->r * a->s.d * a->kg.d;
  } else if (node->op == TCT_OP_conv2d_grad_filter) {
    set_geometry(a, attrs, first, result, second);
    state->kernel = TCT_CU_KERNEL_conv_grad_filter;
    m = a->r * a->s.d * a->cg.d, n = a->kg.d, k = second[0] * second[1] * second[2];
  } else {
    set_geometry(a, attrs, first, second, result);
    state->kernel = TCT_CU_KERNEL_conv;
    m = result[0] * result[1] * result[2], n = a->kg.d, k = a->r * a->s.d * a->cg.d;
    a->end = tct_cu_epilogue_of(attrs->activation, &attrs->activation_attrs);
  }
  state->size = tct_cu_size(&node->out[0].shape);
  state->channels = result[3];
  *out = (tct_prepared){.state = state};
  state->extent = tct_cu_tiles(device, &a->tiling, m, n, k, a->groups, state->size, &out->workspace_bytes);
  return TCT_OK;
}

tct_status tct_cu_conv_launch(tct_device_impl *device, const tct_launch *launch) {
  const conv_state *const state = launch->state;
  const tct_node_view *const node = launch->node;
  tct_cu_conv_args a = state->args;
  if (state->size == 0) return TCT_OK;
  const tct_cu_tensor first = tct_cu_tensor_of(&node->in[0], launch->in[0]), second = tct_cu_tensor_of(&node->in[1], launch->in[1]);
  const tct_cu_tensor result = tct_cu_tensor_of(&node->out[0], launch->out[0]);
  const bool by_input = state->kernel == TCT_CU_KERNEL_conv_grad_input, by_filter = state->kernel == TCT_CU_KERNEL_conv_grad_filter;
  a.x = by_input ? result : first;
  a.filter = by_filter ? result : second;
  a.y = by_input ? first : by_filter ? second : result;
  if (node->n_in > 2) a.end.bias = tct_cu_tensor_of(&node->in[2], launch->in[2]);
  a.tiling.partial = launch->workspace;
  const tct_status status = tct_cu_launch(device, node, state->kernel, &state->extent, &a);
  return status == TCT_OK ? tct_cu_join_tiles(device, node, &a.tiling, &a.end, &result, state->size, state->channels) : status;
}
