/* Attention and its gradient by our own tiles, for every width, mask and dtype: what no library takes. The gradient is three launches:
 * Σ dy·y of each query, then the queries' blocks, then the keys'. */
#include "backends/cuda/ops/shape.h"

typedef struct attention_state {
  tct_cu_attention_args args;
  int64_t query_tiles, key_tiles, chunks, query_chunks; /* chunks: the forward's, or those of dk and dv */
  tct_cu_extent delta_extent;
} attention_state;

static int64_t tiles_of(int64_t n) {
  return (n + TCT_CU_TILE - 1) / TCT_CU_TILE;
}

static int64_t most_of(int64_t a, int64_t b) {
  return a > b ? a : b;
}

/* Operand `mask` is of bool, the others floats whose samples kernels can address. */
static bool takes(const tct_node_view *node, int32_t mask, char *why, size_t why_bytes) {
  if (!tct_cu_floats(node, node->n_in > mask ? ~(1u << mask) : ~0u, why, why_bytes)) return false;
  const tct_shape *const q = &node->in[0].shape, *const v = &node->in[2].shape;
  const int64_t positions = most_of(q->dim[1], v->dim[1]), width = most_of(q->dim[3], v->dim[3]);
  if (positions * q->dim[2] * width > INT32_MAX)
    return tct_cu_refuse(why, why_bytes, "device gpu runs %s on less than 2^31 elements a sample; shorten the sequences", node->op_name);
  return true;
}

/* The state of q, k and v, the first three operands, and of operand `mask`, if there is one. */
static attention_state *state_of(tct_device_impl *device, const tct_node_view *node, int32_t mask) {
  const tct_attention_attrs *const attrs = node->attrs;
  const tct_shape *const q = &node->in[0].shape;
  attention_state *const state = tct_cu_state(device, sizeof *state);
  if (state == NULL) return NULL;
  tct_cu_attention_args *const a = &state->args;
  *a = (tct_cu_attention_args){.queries = q->dim[1],
                               .keys = node->in[1].shape.dim[1],
                               .d = q->dim[3],
                               .width = node->in[2].shape.dim[3],
                               .tiles = tiles_of(q->dim[1]),
                               .heads = tct_cu_divisor_of(q->dim[0] * q->dim[2]),
                               .per_sample = tct_cu_divisor_of(q->dim[2]),
                               .scale = (float)attrs->scale,
                               .causal = attrs->causal};
  a->pitch = q->dim[2] * a->d;
  a->wide_pitch = q->dim[2] * a->width;
  const bool has_heads = q->dim[0] * q->dim[2] > 0;
  state->query_tiles = has_heads ? a->tiles : 0;
  state->key_tiles = has_heads ? tiles_of(a->keys) : 0;
  if (mask >= node->n_in) return state;
  const tct_shape *const m = &node->in[mask].shape;
  int64_t pitch = 1;
  for (int32_t axis = 3; axis >= 0; axis--) {
    a->mask_stride[axis] = m->dim[axis] == 1 ? 0 : pitch;
    pitch *= m->dim[axis];
  }
  return state;
}

static tct_cu_tensor in(const tct_launch *launch, int32_t i) {
  return tct_cu_tensor_of(&launch->node->in[i], launch->in[i]);
}
static tct_cu_tensor out(const tct_launch *launch, int32_t i) {
  return tct_cu_tensor_of(&launch->node->out[i], launch->out[i]);
}

static tct_status launch_tiles(tct_device_impl *device, const tct_launch *launch, tct_cu_kernel kernel, int64_t tiles, int64_t chunks,
                               tct_cu_attention_args *a) {
  if (tiles == 0) return TCT_OK;
  a->chunks = tct_cu_divisor_of(chunks);
  const tct_cu_extent extent = tct_cu_extent_1d(tiles * a->heads.d * chunks, 1, TCT_CU_BLOCK, 0);
  return tct_cu_launch(device, launch->node, kernel, &extent, a);
}

/* ---- forward ---- */

bool tct_cu_attention_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  return takes(node, 3, why, why_bytes);
}

tct_status tct_cu_attention_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *prepared) {
  attention_state *const state = state_of(device, node, 3);
  if (state == NULL) return TCT_OUT_OF_MEMORY;
  const int64_t columns = tiles_of(state->args.width);
  state->chunks = most_of((columns + TCT_CU_ATTENTION_CHUNKS - 1) / TCT_CU_ATTENTION_CHUNKS, 1);
  *prepared = (tct_prepared){.state = state};
  return TCT_OK;
}

tct_status tct_cu_attention_launch(tct_device_impl *device, const tct_launch *launch) {
  const attention_state *const state = launch->state;
  tct_cu_attention_args a = state->args;
  a.q = in(launch, 0);
  a.k = in(launch, 1);
  a.v = in(launch, 2);
  if (launch->node->n_in > 3) a.mask = launch->in[3];
  a.y = out(launch, 0);
  a.l = out(launch, 1);
  return launch_tiles(device, launch, TCT_CU_KERNEL_attention, state->query_tiles, state->chunks, &a);
}

/* ---- backward ---- */

bool tct_cu_attention_grad_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  return takes(node, 6, why, why_bytes);
}

tct_status tct_cu_attention_grad_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *prepared) {
  attention_state *const state = state_of(device, node, 6);
  if (state == NULL) return TCT_OUT_OF_MEMORY;
  const tct_cu_attention_args *const a = &state->args;
  const int64_t rows = tct_cu_size(&node->in[4].shape);
  state->query_chunks = tiles_of(a->d);
  state->chunks = most_of(state->query_chunks, tiles_of(a->width));
  state->delta_extent = tct_cu_extent_rows(device, rows, a->width);
  *prepared = (tct_prepared){.workspace_bytes = (size_t)rows * sizeof(float), .state = state};
  return TCT_OK;
}

tct_status tct_cu_attention_grad_launch(tct_device_impl *device, const tct_launch *launch) {
  const attention_state *const state = launch->state;
  tct_cu_attention_args a = state->args;
  a.q = in(launch, 0);
  a.k = in(launch, 1);
  a.v = in(launch, 2);
  a.y = in(launch, 3);
  a.l = in(launch, 4);
  a.dy = in(launch, 5);
  if (launch->node->n_in > 6) a.mask = launch->in[6];
  a.dq = out(launch, 0);
  a.dk = out(launch, 1);
  a.dv = out(launch, 2);
  a.delta = launch->workspace;
  tct_status status = TCT_OK;
  if (state->query_tiles > 0)
    status = tct_cu_launch(device, launch->node, TCT_CU_KERNEL_attention_delta, &state->delta_extent, &a);
  if (status == TCT_OK)
    status = launch_tiles(device, launch, TCT_CU_KERNEL_attention_grad_queries, state->query_tiles, state->query_chunks, &a);
  if (status == TCT_OK)
    status = launch_tiles(device, launch, TCT_CU_KERNEL_attention_grad_keys, state->key_tiles, state->chunks, &a);
  return status;
}
