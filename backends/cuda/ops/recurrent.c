/* LSTM and GRU over all steps. The products with x are one product over all steps. Then each step is a product with u and one launch that
 * goes on to the new state. In f32 a large product is cuBLASLt's; another is that of the tiles of matmul.c, whose sums may be in parts,
 * which the second launch joins. The two are not one kernel: a tile with all of a unit's sums cannot share a long sum among blocks,
 * and the states of a small batch make few tiles. Weight gradients are products of the graph, over all steps. A recorded step has
 * all of these launches. */
#include "backends/cuda/libraries/products.h"
#include "backends/cuda/ops/tiling.h"

enum { GATES = 4 }; /* blocks of units in `gates`, of both */

typedef struct product {
  tct_cu_gemm_args tiles; /* of ours */
  tct_cu_extent extent;
  size_t parts_bytes; /* of sums in parts, which no cell joins */
  tct_cu_product library;
  bool by_library;
} product;

typedef struct recurrent_state {
  tct_cu_cell_args args;
  product projection, product;
  tct_cu_extent cell_extent;
  int64_t batch, steps, units, width; /* width: of u's rows */
  bool reverse, is_gru;
  /* Offsets of the workspace's parts in bytes. scratch: the projection's parts, before there is a product */
  size_t library, projected, product_at, scratch, dense, cell;
} recurrent_state;

/* The next part of the workspace. Returns where it begins. */
static size_t take(tct_prepared *prepared, size_t bytes) {
  const size_t at = prepared->workspace_bytes;
  prepared->workspace_bytes += tct_cu_aligned(bytes);
  return at;
}

static size_t take_floats(tct_prepared *prepared, int64_t n) { return take(prepared, (size_t)n * sizeof(float)); }

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

/* ---- products ---- */

/* y [m,n] = a·b of k terms, dense, in f32; `turned`: b lies [n,k]. TCT_UNSUPPORTED: the library was to have it, and refuses. */
static tct_status plan_product(tct_device_impl *device, const tct_node_view *node, bool libraries, product *p, int64_t m, int64_t n, int64_t k,
                               bool turned, bool bias) {
  p->tiles = (tct_cu_gemm_args){.end = tct_cu_epilogue_of(TCT_OP_NONE, &(tct_unary_attrs){.p0 = 0}),
                                .m = m,
                                .n = n,
                                .k = k,
                                .a_row = k,
                                .a_column = 1,
                                .b_row = turned ? 1 : n,
                                .b_column = turned ? k : 1,
                                .batch = 1};
  p->extent = tct_cu_tiles(device, &p->tiles.tiling, m, n, k, 1, m * n, &p->parts_bytes);
  p->by_library = libraries && tct_cu_product_is_large(m, n, k, 1);
  if (!p->by_library) return TCT_OK;
  const tct_cu_product_problem problem = {.m = m,
                                          .n = n,
                                          .k = k,
                                          .batch = 1,
                                          .in_type = tct_cu_product_type(TCT_F32),
                                          .out_type = tct_cu_product_type(TCT_F32),
                                          .epilogue = bias ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_DEFAULT,
                                          .transpose_b = turned};
  p->parts_bytes = 0;
  return tct_cu_product_plan(device, node, &problem, &p->library);
}

static int64_t parts_of(const product *p) { return p->by_library ? 1 : p->tiles.tiling.parts.d; }

/* a·b, with the bias if there is one: in y, or where our tiles make parts of the sums, in `parts`. */
static tct_status multiply(tct_device_impl *device, const tct_launch *launch, const product *p, tct_cu_tensor a, tct_cu_tensor b,
                           tct_cu_tensor bias, float *y, float *parts) {
  const recurrent_state *const s = launch->state;
  if (p->by_library) {
    const tct_cu_product_operands operands = {.a = a.data, .b = b.data, .bias = bias.data, .y = y, .workspace = at(launch, s->library)};
    return tct_cu_product_run(device, launch->node, &p->library, &operands);
  }
  tct_cu_gemm_args g = p->tiles;
  g.a = a;
  g.b = b;
  g.y = dense(y);
  g.end.bias = bias;
  g.tiling.partial = parts;
  return tct_cu_launch(device, launch->node, TCT_CU_KERNEL_gemm, &p->extent, &g);
}

/* The sums of state·u, of all parts, where the cells read them. */
static tct_status multiply_state(tct_device_impl *device, const tct_launch *launch, tct_cu_tensor state, tct_cu_tensor u, tct_cu_cell_args *a) {
  const recurrent_state *const s = launch->state;
  float *const sums = at(launch, s->product_at);
  a->product = sums;
  a->parts = parts_of(&s->product);
  a->product_width = s->product.tiles.n;
  return multiply(device, launch, &s->product, state, u, (tct_cu_tensor){.data = NULL}, sums, sums);
}

static size_t take_sums(tct_prepared *prepared, const product *p) { return take_floats(prepared, parts_of(p) * p->tiles.m * p->tiles.n); }

/* The products run one after another. */
static size_t take_librarys(tct_prepared *prepared, const recurrent_state *s) {
  const size_t first = s->projection.library.workspace_bytes, second = s->product.library.workspace_bytes;
  return take(prepared, first > second ? first : second);
}

static void drop_products(tct_device_impl *device, recurrent_state *s) {
  if (s->projection.by_library) tct_cu_product_drop(device, &s->projection.library);
  if (s->product.by_library) tct_cu_product_drop(device, &s->product.library);
}

/* ---- forward ---- */

/* x [B,T,H] at step k of its tensor, in the cells' terms. */
static void set_before(const recurrent_state *s, tct_cu_cell_args *a, tct_cu_tensor x, int64_t k) {
  a->before = x;
  a->before.data = (char *)x.data + (size_t)(time_of(s, k) * s->units) * tct_cu_bytes((tct_dtype)x.dtype);
  a->before_pitch = s->steps * s->units;
}

bool tct_cu_recurrent_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  return tct_cu_floats(node, ~0u, why, why_bytes);
}

/* Whether x's product may lie where the gates will: f32, and as many blocks of units. */
static bool in_gates(const recurrent_state *s, const tct_node_view *node) {
  return !s->is_gru && node->in[0].dtype == TCT_F32;
}

static tct_status plan_forward(tct_device_impl *device, const tct_node_view *node, bool libraries, recurrent_state *s, tct_prepared *prepared) {
  const int64_t rows = s->batch * s->steps, features = node->in[0].shape.dim[2];
  tct_status status = plan_product(device, node, libraries, &s->projection, rows, s->width, features, false, true);
  if (status == TCT_OK) status = plan_product(device, node, libraries, &s->product, s->batch, s->width, s->units, false, false);
  if (status != TCT_OK) return status;
  s->library = take_librarys(prepared, s);
  if (!in_gates(s, node)) s->projected = take_floats(prepared, rows * s->width);
  s->scratch = prepared->workspace_bytes;
  s->product_at = take_sums(prepared, &s->product);
  s->dense = take_floats(prepared, s->args.size);
  s->cell = take_floats(prepared, s->args.size);
  if (s->scratch + s->projection.parts_bytes > prepared->workspace_bytes) prepared->workspace_bytes = s->scratch + s->projection.parts_bytes;
  return TCT_OK;
}

static tct_status plan_backward(tct_device_impl *device, const tct_node_view *node, bool libraries, recurrent_state *s, tct_prepared *prepared) {
  const tct_status status = plan_product(device, node, libraries, &s->product, s->batch, s->units, s->width, true, false);
  if (status != TCT_OK) return status;
  s->library = take_librarys(prepared, s);
  s->product_at = take_sums(prepared, &s->product);
  s->dense = take_floats(prepared, s->batch * s->width);
  s->cell = take_floats(prepared, s->args.size);
  return TCT_OK;
}

static bool is_backward(const tct_node_view *node) { return node->op == TCT_OP_lstm_grad || node->op == TCT_OP_gru_grad; }

static tct_status prepare(tct_device_impl *device, const tct_node_view *node, bool libraries, tct_prepared *prepared) {
  const bool backward = is_backward(node);
  recurrent_state *const s = state_of(device, node, &node->in[backward ? 1 : 0].shape, &node->in[backward ? 0 : 2].shape);
  if (s == NULL) return TCT_OUT_OF_MEMORY;
  const tct_status status = (backward ? plan_backward : plan_forward)(device, node, libraries, s, prepared);
  if (status == TCT_OK) {
    prepared->state = s;
  } else {
    drop_products(device, s);
    tct_cu_release_state(device, s);
  }
  return status;
}

tct_status tct_cu_recurrent_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  return prepare(device, node, false, out);
}

/* x·w + b for all steps; of gru's biases the first row. */
static tct_status project(tct_device_impl *device, const tct_launch *launch, float *projected) {
  const recurrent_state *const s = launch->state;
  const product *const p = &s->projection;
  const tct_cu_tensor bias = in(launch, 3), y = dense(projected);
  float *const parts = at(launch, s->scratch);
  const tct_status status = multiply(device, launch, p, in(launch, 0), in(launch, 1), bias, projected, parts);
  if (status != TCT_OK || p->by_library) return status;
  tct_cu_tiling tiling = p->tiles.tiling;
  tct_cu_epilogue end = p->tiles.end;
  tiling.partial = parts;
  end.bias = bias;
  return tct_cu_join_tiles(device, launch->node, &tiling, &end, &y, p->tiles.m * p->tiles.n, p->tiles.n);
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
      status = multiply_state(device, launch, is_first ? in(launch, 4) : dense(a.state), in(launch, 2), &a);
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

tct_status tct_cu_recurrent_grad_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  return prepare(device, node, false, out);
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
    if (status == TCT_OK) status = multiply_state(device, launch, dense(a.state), in(launch, 0), &a);
  }
  if (status != TCT_OK) return status;
  a.dh = out(launch, s->is_gru ? 2 : 1);
  a.dc = (tct_cu_tensor){.data = NULL};
  if (!s->is_gru) a.dc = out(launch, 2);
  return tct_cu_launch(device, node, TCT_CU_KERNEL_cell_grad_end, &s->cell_extent, &a);
}

/* ---- with a library's products ---- */

bool tct_cu_recurrent_cublaslt_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  (void)why, (void)why_bytes;
  const bool backward = is_backward(node);
  const int64_t *const x = node->in[backward ? 1 : 0].shape.dim, *const u = node->in[backward ? 0 : 2].shape.dim;
  /* The states are f32, and the library has no product of two dtypes. */
  if (node->in[0].dtype != TCT_F32) return false;
  return tct_cu_product_is_large(x[0], u[1], u[0], 1) || (!backward && tct_cu_product_is_large(x[0] * x[1], u[1], x[2], 1));
}

tct_status tct_cu_recurrent_cublaslt_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  const tct_status status = tct_cu_products_start(device);
  return status == TCT_OK ? prepare(device, node, true, out) : status;
}

tct_status tct_cu_recurrent_cublaslt_launch(tct_device_impl *device, const tct_launch *launch) {
  return is_backward(launch->node) ? tct_cu_recurrent_grad_launch(device, launch) : tct_cu_recurrent_launch(device, launch);
}

void tct_cu_recurrent_cublaslt_release(tct_device_impl *device, void *made) {
  recurrent_state *const s = made;
  if (s != NULL) drop_products(device, s);
  tct_cu_release_state(device, s);
}
