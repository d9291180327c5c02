/* The matrix product by cuBLASLt: bias and ReLU or GELU in the library's epilogue, GELU with its argument kept, GELU's gradient, the sums
 * of an operand for a bias gradient; another activation by our own kernel, from a product in f32. */
#include "backends/cuda/libraries/products.h"
#include "backends/cuda/ops/tiling.h"

typedef struct product_state {
  tct_cu_product product;
  bool finish; /* the product goes to the workspace in f32, and through `end` from there */
  tct_cu_epilogue end;
  int64_t size, n;
  tct_cu_extent extent;
} product_state;

/* 0: the library has none for the activation. A bias gradient has the type of the product's result: with dw it is f32, as dz's own, by
 * DGELU_BGRAD, it would be rounded to bf16. What is summed is the library's first operand, our b, over k. */
static int32_t epilogue_of(const tct_node_view *node) {
  const tct_op activation = ((const tct_matmul_attrs *)node->attrs)->activation;
  const bool bias = node->n_in > 2;
  const int32_t with_bias = bias ? CUBLASLT_EPILOGUE_BIAS : 0;
  if (node->op == TCT_OP_matmul_gelu) return CUBLASLT_EPILOGUE_GELU_AUX | with_bias;
  if (node->op == TCT_OP_matmul_dgelu) return CUBLASLT_EPILOGUE_DGELU;
  if (node->op == TCT_OP_matmul_bgrad) return CUBLASLT_EPILOGUE_BGRADA;
  if (activation == TCT_OP_NONE) return bias ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_DEFAULT;
  if (activation == TCT_OP_relu) return CUBLASLT_EPILOGUE_RELU | with_bias;
  return activation == TCT_OP_gelu_tanh ? CUBLASLT_EPILOGUE_GELU | with_bias : 0;
}

static bool problem_of(const tct_node_view *node, tct_cu_product_problem *out, product_state *state, char *why, size_t why_bytes) {
  const tct_matmul_attrs *const attrs = node->attrs;
  const tct_dtype in = node->in[0].dtype, y = node->out[0].dtype;
  tct_cu_gemm_args a;
  tct_cu_gemm_of(node, &a);
  if (node->in[1].dtype != in || (y != in && y != TCT_F32)) return tct_cu_refuse(why, why_bytes, "no product of these dtypes");
  if (a.a_batch.rank > 1 || a.b_batch.rank > 1) return tct_cu_refuse(why, why_bytes, "its matrices do not lie one stride apart");
  *out = (tct_cu_product_problem){.m = a.m, .n = a.n, .k = a.k, .batch = a.batch};
  out->a_stride = a.a_batch.rank > 0 ? a.a_batch.stride[0] : 0;
  out->b_stride = a.b_batch.rank > 0 ? a.b_batch.stride[0] : 0;
  out->in_type = tct_cu_product_type(in);
  out->transpose_a = attrs->transpose_a;
  out->transpose_b = attrs->transpose_b;
  out->epilogue = epilogue_of(node);
  state->finish = out->epilogue == 0;
  if (state->finish) out->epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  out->out_type = state->finish ? CUDA_R_32F : tct_cu_product_type(y);
  state->end = a.end;
  state->size = a.batch * a.m * a.n;
  state->n = a.n;
  return true;
}

bool tct_cu_matmul_cublaslt_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  tct_cu_gemm_args a;
  if (!tct_cu_floats(node, ~0u, why, why_bytes)) return false;
  tct_cu_gemm_of(node, &a);
  if ((epilogue_of(node) & TCT_CU_EPILOGUE_AUX) != 0 && a.n % 8 != 0) return false;
  return tct_cu_product_is_large(a.m, a.n, a.k, a.batch);
}

static tct_status plan(tct_device_impl *device, const tct_node_view *node, product_state *state, size_t *out_workspace_bytes) {
  tct_cu_product_problem p;
  char why[160];
  if (!problem_of(node, &p, state, why, sizeof why)) return tct_cu_refused(device, node, tct_cu_products_name(device), why);
  const tct_status status = tct_cu_product_plan(device, node, &p, &state->product);
  state->extent = tct_cu_extent_over(device, state->size, TCT_CU_BLOCK, 1);
  *out_workspace_bytes = state->product.workspace_bytes + (state->finish ? (size_t)state->size * sizeof(float) : 0);
  return status;
}

tct_status tct_cu_matmul_cublaslt_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  tct_status status = tct_cu_products_start(device);
  if (status != TCT_OK) return status;
  product_state *const state = tct_cu_state(device, sizeof *state);
  if (state == NULL) return TCT_OUT_OF_MEMORY;
  status = plan(device, node, state, &out->workspace_bytes);
  if (status == TCT_OK) out->state = state;
  else tct_cu_matmul_cublaslt_release(device, state);
  return status;
}

void tct_cu_matmul_cublaslt_release(tct_device_impl *device, void *made) {
  product_state *const state = made;
  if (state == NULL) return;
  tct_cu_product_drop(device, &state->product);
  tct_cu_release_state(device, state);
}

static tct_status finish(tct_device_impl *device, const tct_launch *launch, const float *product) {
  const product_state *const state = launch->state;
  const tct_node_view *const node = launch->node;
  tct_cu_sum_parts_args a = {.partial = product,
                             .y = tct_cu_tensor_of(&node->out[0], launch->out[0]),
                             .end = state->end,
                             .size = state->size,
                             .parts = 1,
                             .n = tct_cu_divisor_of(state->n)};
  if (node->n_in > 2) a.end.bias = tct_cu_tensor_of(&node->in[2], launch->in[2]);
  return tct_cu_launch(device, node, TCT_CU_KERNEL_sum_parts, &state->extent, &a);
}

tct_status tct_cu_matmul_cublaslt_launch(tct_device_impl *device, const tct_launch *launch) {
  const product_state *const state = launch->state;
  const tct_op op = launch->node->op;
  const void *const third = !state->finish && launch->node->n_in > 2 ? launch->in[2] : NULL;
  void *const y = state->finish ? (char *)launch->workspace + state->product.workspace_bytes : launch->out[0];
  const tct_cu_product_operands operands = {.a = launch->in[0],
                                            .b = launch->in[1],
                                            .bias = op == TCT_OP_matmul_bgrad ? launch->out[1] : op == TCT_OP_matmul_dgelu ? NULL : third,
                                            .y = y,
                                            .workspace = launch->workspace,
                                            .aux = op == TCT_OP_matmul_gelu ? launch->out[1] : op == TCT_OP_matmul_dgelu ? third : NULL};
  const tct_status status = tct_cu_product_run(device, launch->node, &state->product, &operands);
  return status == TCT_OK && state->finish ? finish(device, launch, y) : status;
}
