/* LSTM and GRU over all steps. The products with x are one product over all steps. Then each step is a product with u, by the tiles of
 * matmul.c, whose sums may be in parts, and one launch that joins the parts and goes on to the new state. The two are not one kernel:
 * a tile with all of a unit's sums cannot share a long sum among blocks, and the states of a small batch make few tiles. Weight
 * gradients are products of the graph, over all steps. A recorded step has all of these launches. */
#include "backends/cuda/tiling.h"

enum { GATES = 4 }; /* blocks of units in `gates`, of both */

typedef struct recurrent_state {
  tct_cu_cell_args args;
  tct_cu_gemm_args projection, product;
  tct_cu_extent projection_extent, product_extent, cell_extent;
  int64_t batch, steps, units, width; /* width: of u's rows */
  bool reverse, is_gru;
  /* Offsets of the workspace's parts in bytes. scratch: the projection's parts, before there is a product */
  size_t projected, product_at, scratch, dense, cell;
} recurrent_state;

/* The next part of the workspace: `floats` of them. Returns where it begins. */
static size_t take(tct_prepared *prepared, int64_t floats) {
  const size_t at = prepared->workspace_bytes;
  prepared->workspace_bytes += ((size_t)floats * sizeof(float) + TCT_CU_ALIGNMENT - 1) / TCT_CU_ALIGNMENT * TCT_CU_ALIGNMENT;
  return at;
}

static float *at(const tct_launch *launch, size_t offset) {
  return (float *)((char *)launch->workspace + offset);
}

static tct_cu_tensor dense(float *x) {
  return (tct_cu_tensor){.data = x, .dtype = TCT_F32};
}
static tct_cu_tensor in(const tct_launch *launch, int32_t i) {
  return tct_cu_tensor_of(&launch->node->in[i], launch->in[i]);
}
static tct_cu_tensor out(const tct_launch *launch, int32_t i) {
  return tct_cu_tensor_of(&launch->node->out[i], launch->out[i]);
}

static recurrent_state *state_of(tct_device_impl *device, const tct_node_view *node, const tct_shape *by_step, const tct_shape *u) {
  const tct_recurrent_attrs *const attrs = node->attrs;
  recurrent_state *const s = tct_cu_state(device, sizeof *s);
  if (s == NULL) return NULL;
  s->batch = by_step->dim[0];
  s->steps = by_step->dim[1];
  s->units = u->dim[0];
  s->width = u->dim[1];
  s->reverse = attrs->reverse;
  s->is_gru = s->width == 3 * s->units;
  s->args = (tct_cu_cell_args){.size = s->batch * s->units, .steps = s->steps, .units = tct_cu_divisor_of(s->units)};
  s->cell_extent = tct_cu_extent_over(device, s->args.size, TCT_CU_BLOCK, 1);
  return s;
}

/* The time of step k. */
static int64_t time_of(const recurrent_state *s, int64_t k) {
  return s->reverse ? s->steps - 1 - k : k;
}

/* y [m,n] = a·b of k terms, dense; b given by its strides. Returns the bytes of its parts. */
static size_t plan_product(const tct_device_impl *device, tct_cu_gemm_args *g, tct_cu_extent *extent, int64_t m, int64_t n, int64_t k,
                           int64_t b_row, int64_t b_column) {
  size_t bytes = 0;
  *g = (tct_cu_gemm_args){.end = tct_cu_epilogue_of(TCT_OP_NONE, &(tct_unary_attrs){.p0 = 0}),
                          .m = m,
                          .n = n,
                          .k = k,
                          .a_row = k,
                          .a_column = 1,
                          .b_row = b_row,
                          .b_column = b_column,
                          .batch = 1};
  *extent = tct_cu_tiles(device, &g->tiling, m, n, k, 1, m * n, &bytes);
  return bytes;
}

/* The sums of state·u, of all parts, where the cells read them. */
static tct_status multiply(tct_device_impl *device, const tct_launch *launch, tct_cu_tensor state, tct_cu_tensor u, tct_cu_cell_args *a) {
  const recurrent_state *const s = launch->state;
  tct_cu_gemm_args g = s->product;
  float *const sums = at(launch, s->product_at);
  g.a = state;
  g.b = u;
  g.y = dense(sums);
  g.tiling.partial = sums;
  a->product = sums;
  a->parts = g.tiling.parts.d;
  a->product_width = g.n;
  return tct_cu_launch(device, launch->node, TCT_CU_KERNEL_gemm, &s->product_extent, &g);
}

static int64_t parts_of(const recurrent_state *s) {
  return s->product.tiling.parts.d * s->product.m * s->product.n;
}

/* x [B,T,H] at step k of its tensor, in the cells' terms. */
static void set_before(const recurrent_state *s, tct_cu_cell_args *a, tct_cu_tensor x, int64_t k) {
  a->before = x;
  a->before.data = (char *)x.data + (size_t)(time_of(s, k) * s->units) * tct_cu_bytes((tct_dtype)x.dtype);
  a->before_pitch = s->steps * s->units;
}

/* ---- forward ---- */

bool tct_cu_recurrent_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  return tct_cu_floats(node, ~0u, why, why_bytes);
}

/* Whether x's product may lie where the gates will: f32, and as many blocks of units. */
static bool in_gates(const recurrent_state *s, const tct_node_view *node) {
  return !s->is_gru && node->in[0].dtype == TCT_F32;
}

tct_status tct_cu_recurrent_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *prepared) {
  const tct_shape *const x = &node->in[0].shape;
  recurrent_state *const s = state_of(device, node, x, &node->in[2].shape);
  if (s == NULL) return TCT_OUT_OF_MEMORY;
  *prepared = (tct_prepared){.state = s};
  const int64_t rows = s->batch * s->steps;
  const size_t parts = plan_product(device, &s->projection, &s->projection_extent, rows, s->width, x->dim[2], s->width, 1);
  (void)plan_product(device, &s->product, &s->product_extent, s->batch, s->width, s->units, s->width, 1);
  if (!in_gates(s, node)) s->projected = take(prepared, rows * s->width);
  s->scratch = prepared->workspace_bytes;
  s->product_at = take(prepared, parts_of(s));
  s->dense = take(prepared, s->args.size);
  s->cell = take(prepared, s->args.size);
  if (s->scratch + parts > prepared->workspace_bytes) prepared->workspace_bytes = s->scratch + parts;
  return TCT_OK;
}

/* x·w + b for all steps; of gru's biases the first row. */
static tct_status project(tct_device_impl *device, const tct_launch *launch, float *projected) {
  const recurrent_state *const s = launch->state;
  tct_cu_gemm_args g = s->projection;
  g.a = in(launch, 0);
  g.b = in(launch, 1);
  g.y = dense(projected);
  g.end.bias = in(launch, 3);
  g.tiling.partial = at(launch, s->scratch);
  const tct_status status = tct_cu_launch(device, launch->node, TCT_CU_KERNEL_gemm, &s->projection_extent, &g);
  return status == TCT_OK ? tct_cu_join_tiles(device, launch->node, &g.tiling, &g.end, &g.y, g.m * g.n, g.n) : status;
}

tct_status tct_cu_recurrent_launch(tct_device_impl *device, const tct_launch *launch) {
  const recurrent_state *const s = launch->state;
  const tct_node_view *const node = launch->node;
  if (s->batch == 0) return TCT_OK;
  const bool has_state = node->n_in > 4;
  float *const projected = in_gates(s, node) ? launch->out[2] : at(launch, s->projected);
  tct_cu_cell_args a = s->args;
  a.projected = projected;
  a.state = at(launch, s->dense);
  a.cell = at(launch, s->cell);
  a.bias = in(launch, 3);
  a.y = out(launch, 0);
  if (!s->is_gru) a.c = out(launch, 1);
  a.gates = out(launch, s->is_gru ? 1 : 2);
  a.before_pitch = s->units;
  tct_status status = project(device, launch, projected);
  for (int64_t k = 0; k < s->steps && status == TCT_OK; k++) {
    const bool is_first = k == 0;
    a.time = time_of(s, k);
    if (has_state || !is_first) {
      a.before = !is_first ? dense(s->is_gru ? a.state : a.cell) : in(launch, s->is_gru ? 4 : 5);
      status = multiply(device, launch, is_first ? in(launch, 4) : dense(a.state), in(launch, 2), &a);
    }
    if (status == TCT_OK)
      status = tct_cu_launch(device, node, s->is_gru ? TCT_CU_KERNEL_gru_cell : TCT_CU_KERNEL_lstm_cell, &s->cell_extent, &a);
  }
  return status;
}

/* ---- backward ---- */

bool tct_cu_recurrent_grad_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  return tct_cu_floats(node, ~0u, why, why_bytes);
}

tct_status tct_cu_recurrent_grad_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *prepared) {
  recurrent_state *const s = state_of(device, node, &node->in[1].shape, &node->in[0].shape);
  if (s == NULL) return TCT_OUT_OF_MEMORY;
  *prepared = (tct_prepared){.state = s};
  (void)plan_product(device, &s->product, &s->product_extent, s->batch, s->units, s->width, 1, s->width);
  s->product_at = take(prepared, parts_of(s));
  s->dense = take(prepared, s->batch * s->width);
  s->cell = take(prepared, s->args.size);
  return TCT_OK;
}

tct_status tct_cu_recurrent_grad_launch(tct_device_impl *device, const tct_launch *launch) {
  const recurrent_state *const s = launch->state;
  const tct_node_view *const node = launch->node;
  if (s->batch == 0) return TCT_OK;
  const int32_t first = s->is_gru ? 4 : 5; /* the state before the first step */
  tct_cu_cell_args a = s->args;
  a.state = at(launch, s->dense);
  a.cell = at(launch, s->cell);
  a.gates = in(launch, 2);
  a.dy = in(launch, 3);
  a.da = out(launch, 0);
  if (s->is_gru) {
    a.dq = out(launch, 1);
  } else {
    a.c = in(launch, 1);
    if (node->n_in > 4) a.dc = in(launch, 4);
  }
  tct_status status = TCT_OK;
  for (int64_t k = s->steps - 1; k >= 0 && status == TCT_OK; k--) {
    a.time = time_of(s, k);
    a.is_last = k == s->steps - 1;
    a.before = (tct_cu_tensor){.data = NULL};
    a.before_pitch = s->units;
    if (k > 0)
      set_before(s, &a, in(launch, 1), k - 1);
    else if (node->n_in > first)
      a.before = in(launch, first);
    status = tct_cu_launch(device, node, s->is_gru ? TCT_CU_KERNEL_gru_cell_grad : TCT_CU_KERNEL_lstm_cell_grad, &s->cell_extent, &a);
    if (status == TCT_OK) status = multiply(device, launch, dense(a.state), in(launch, 0), &a);
  }
  if (status != TCT_OK) return status;
  a.dh = out(launch, s->is_gru ? 2 : 1);
  a.dc = (tct_cu_tensor){.data = NULL};
  if (!s->is_gru) a.dc = out(launch, 2);
  return tct_cu_launch(device, node, TCT_CU_KERNEL_cell_grad_end, &s->cell_extent, &a);
}
