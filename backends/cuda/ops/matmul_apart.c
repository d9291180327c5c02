/* The products that the fuse passes made, where the library has no epilogue for them: a product by the library or by our own tiles, then
 * what is joined to it by our own kernels, from the result as it is stored. What is read and written is what the unfused graph does, but
 * for a bias gradient in bf16 or f16, which reads dz as it is. */
#include "backends/cuda/family.h"

typedef struct apart_state {
  tct_prepared product, rest;
} apart_state;

/* The node as two; both views lie in its own and in here. */
typedef struct halves {
  tct_node_view product, rest;
  tct_desc dgelu_in[2];
  tct_reduce_attrs sum;
} halves;

static void split(const tct_node_view *node, halves *out) {
  const bool gelu = node->op == TCT_OP_matmul_gelu, dgelu = node->op == TCT_OP_matmul_dgelu;
  out->product = *node;
  out->product.op = TCT_OP_matmul; /* by the node's own name, which refusals tell */
  out->product.n_in = gelu ? node->n_in : 2;
  out->product.n_out = 1;
  out->product.out = gelu ? &node->out[1] : &node->out[0];
  out->rest = (tct_node_view){.op_name = node->op_name, .name = node->name, .n_in = dgelu ? 2 : 1, .n_out = 1};
  if (dgelu) out->dgelu_in[0] = node->in[2], out->dgelu_in[1] = node->out[0];
  out->rest.op = gelu ? TCT_OP_gelu_tanh : dgelu ? TCT_OP_gelu_tanh_grad : TCT_OP_reduce_sum;
  out->rest.in = gelu ? &node->out[1] : dgelu ? out->dgelu_in : &node->in[1];
  out->rest.out = gelu || dgelu ? &node->out[0] : &node->out[1];
  if (gelu || dgelu) return;
  out->sum = (tct_reduce_attrs){.axes = ((const tct_matmul_attrs *)node->attrs)->transpose_b ? 2 : 1};
  out->rest.attrs = &out->sum;
}

bool tct_cu_matmul_apart_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  halves h;
  split(node, &h);
  return tct_cu_matmul_cublaslt_supports(&h.product, why, why_bytes);
}

bool tct_cu_matmul_apart_tiles_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  halves h;
  split(node, &h);
  return tct_cu_matmul_supports(&h.product, why, why_bytes);
}

static void release(tct_device_impl *device, apart_state *state, bool library) {
  if (state == NULL) return;
  if (library) tct_cu_matmul_cublaslt_release(device, state->product.state);
  else tct_cu_release_state(device, state->product.state);
  tct_cu_release_state(device, state->rest.state);
  tct_cu_release_state(device, state);
}

static tct_status prepare(tct_device_impl *device, const tct_node_view *node, bool library, tct_prepared *out) {
  halves h;
  apart_state *const state = tct_cu_state(device, sizeof *state);
  if (state == NULL) return TCT_OUT_OF_MEMORY;
  split(node, &h);
  tct_status status = (library ? tct_cu_matmul_cublaslt_prepare : tct_cu_matmul_prepare)(device, &h.product, &state->product);
  if (status == TCT_OK)
    status = (node->op == TCT_OP_matmul_bgrad ? tct_cu_reduce_prepare : tct_cu_chain_prepare)(device, &h.rest, &state->rest);
  if (status != TCT_OK) {
    release(device, state, library);
    return status;
  }
  const size_t first = state->product.workspace_bytes, second = state->rest.workspace_bytes;
  *out = (tct_prepared){.workspace_bytes = first > second ? first : second, .state = state};
  return TCT_OK;
}

static tct_status launch_both(tct_device_impl *device, const tct_launch *launch, bool library) {
  const apart_state *const state = launch->state;
  const tct_op op = launch->node->op;
  halves h;
  split(launch->node, &h);
  const tct_launch product = {.node = &h.product,
                              .in = launch->in,
                              .out = op == TCT_OP_matmul_gelu ? &launch->out[1] : &launch->out[0],
                              .workspace = launch->workspace,
                              .state = state->product.state};
  void *const dgelu_in[2] = {op == TCT_OP_matmul_dgelu ? launch->in[2] : NULL, launch->out[0]};
  const tct_launch rest = {.node = &h.rest,
                           .in = op == TCT_OP_matmul_gelu ? &launch->out[1] : op == TCT_OP_matmul_dgelu ? dgelu_in : &launch->in[1],
                           .out = op == TCT_OP_matmul_bgrad ? &launch->out[1] : &launch->out[0],
                           .workspace = launch->workspace,
                           .state = state->rest.state};
  const tct_status status = (library ? tct_cu_matmul_cublaslt_launch : tct_cu_matmul_launch)(device, &product);
  if (status != TCT_OK) return status;
  return (op == TCT_OP_matmul_bgrad ? tct_cu_reduce_launch : tct_cu_chain_launch)(device, &rest);
}

tct_status tct_cu_matmul_apart_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  return prepare(device, node, true, out);
}
tct_status tct_cu_matmul_apart_launch(tct_device_impl *device, const tct_launch *launch) { return launch_both(device, launch, true); }
void tct_cu_matmul_apart_release(tct_device_impl *device, void *state) { release(device, state, true); }

tct_status tct_cu_matmul_apart_tiles_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  return prepare(device, node, false, out);
}
tct_status tct_cu_matmul_apart_tiles_launch(tct_device_impl *device, const tct_launch *launch) { return launch_both(device, launch, false); }
void tct_cu_matmul_apart_tiles_release(tct_device_impl *device, void *state) { release(device, state, false); }
