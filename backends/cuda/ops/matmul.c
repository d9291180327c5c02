/* The matrix product by our own tiles: every dtype, transposition and batch, i8 into i32, for what no library takes. A long sum of
 * floats with few tiles is cut into parts, which a second launch joins. */
#include "backends/cuda/ops/tiling.h"

typedef struct matmul_state {
  tct_cu_gemm_args args;
  tct_cu_extent extent;
  bool is_whole;
} matmul_state;

bool tct_cu_matmul_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  const tct_matmul_attrs *const attrs = node->attrs;
  if (node->in[0].dtype == TCT_I8)
    return (node->n_in == 2 && attrs->activation == TCT_OP_NONE) || tct_cu_refuse(why, why_bytes, "device gpu adds nothing to products of i8");
  return tct_cu_floats(node, ~0u, why, why_bytes);
}

/* Where operand i has the matrices of each of the result's. */
static void batch_view(tct_cu_view *view, const tct_shape *operand, const tct_shape *y) {
  int64_t pitch = operand->dim[operand->rank - 2] * operand->dim[operand->rank - 1], stride[TCT_MAX_RANK] = {0};
  const int32_t shift = y->rank - operand->rank;
  for (int32_t i = y->rank - 3; i >= shift; i--) {
    const int64_t extent = operand->dim[i - shift];
    stride[i] = extent == 1 ? 0 : pitch;
    pitch *= extent;
  }
  for (int32_t i = 0; i < y->rank - 2; i++) tct_cu_add_axis(view, y->dim[i], stride[i]);
}

void tct_cu_gemm_of(const tct_node_view *node, tct_cu_gemm_args *a) {
  const tct_matmul_attrs *const attrs = node->attrs;
  const tct_shape *const as = &node->in[0].shape, *const bs = &node->in[1].shape, *const y = &node->out[0].shape;
  *a = (tct_cu_gemm_args){.batch = tct_cu_extents(y, 0, y->rank - 2)};
  a->m = y->dim[y->rank - 2];
  a->n = y->dim[y->rank - 1];
  a->k = as->dim[as->rank - (attrs->transpose_a ? 2 : 1)];
  a->a_row = attrs->transpose_a ? 1 : a->k;
  a->a_column = attrs->transpose_a ? a->m : 1;
  a->b_row = attrs->transpose_b ? 1 : a->n;
  a->b_column = attrs->transpose_b ? a->k : 1;
  batch_view(&a->a_batch, as, y);
  batch_view(&a->b_batch, bs, y);
  /* One b for dense rows of a: a single product of all rows. */
  const bool same_b = a->b_batch.rank == 0 || (a->b_batch.rank == 1 && a->b_batch.stride[0] == 0);
  const bool dense_a = a->a_batch.rank == 0 || (a->a_batch.rank == 1 && a->a_batch.stride[0] == a->m * a->k);
  if (same_b && dense_a && !attrs->transpose_a) {
    a->m *= a->batch;
    a->batch = 1;
    a->a_batch.rank = a->b_batch.rank = 0;
  }
  a->end = tct_cu_epilogue_of(attrs->activation, &attrs->activation_attrs);
}

tct_status tct_cu_matmul_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  matmul_state *const state = tct_cu_state(device, sizeof *state);
  if (state == NULL) return TCT_OUT_OF_MEMORY;
  tct_cu_gemm_args *const a = &state->args;
  tct_cu_gemm_of(node, a);
  *out = (tct_prepared){.state = state};
  state->is_whole = node->in[0].dtype == TCT_I8;
  const int64_t size = a->batch * a->m * a->n;
  if (!state->is_whole) {
    state->extent = tct_cu_tiles(device, &a->tiling, a->m, a->n, a->k, a->batch, size, &out->workspace_bytes);
    return TCT_OK;
  }
  /* no parts: as if the sums were short */
  state->extent = tct_cu_tiles(device, &a->tiling, a->m, a->n, 1, a->batch, size, &out->workspace_bytes);
  a->tiling.part_length = a->k;
  return TCT_OK;
}

tct_status tct_cu_matmul_launch(tct_device_impl *device, const tct_launch *launch) {
  const matmul_state *const state = launch->state;
  const tct_node_view *const node = launch->node;
  tct_cu_gemm_args a = state->args;
  if (a.batch * a.m * a.n == 0) return TCT_OK;
  a.a = tct_cu_tensor_of(&node->in[0], launch->in[0]);
  a.b = tct_cu_tensor_of(&node->in[1], launch->in[1]);
  a.y = tct_cu_tensor_of(&node->out[0], launch->out[0]);
  if (node->n_in > 2) a.end.bias = tct_cu_tensor_of(&node->in[2], launch->in[2]);
  if (state->is_whole) return tct_cu_launch(device, node, TCT_CU_KERNEL_gemm_i8, &state->extent, &a);
  a.tiling.partial = launch->workspace;
  const tct_status status = tct_cu_launch(device, node, TCT_CU_KERNEL_gemm, &state->extent, &a);
  return status == TCT_OK ? tct_cu_join_tiles(device, node, &a.tiling, &a.end, &a.y, a.batch * a.m * a.n, a.n) : status;
}
