/* Ops that only move elements: each is copies between two strided views, some behind a fill; a plain transposition goes by tiles. */
#include "backends/cuda/ops/shape.h"

enum { TILE = 32, LEAST = 8 }; /* thinner matrices are copied */

typedef struct move_state {
  tct_cu_move_args args;
  tct_cu_extent extent;
  tct_cu_fill_args fill; /* n 0: none */
  tct_cu_extent fill_extent;
  int64_t from_first, to_first; /* bytes to the views' first elements */
  tct_cu_transpose_args tiles;  /* m 0: not by tiles */
  tct_cu_extent tiles_extent;
} move_state;

static void dense(tct_cu_view *view, int64_t n) {
  tct_cu_add_axis(view, n, 1);
}

/* What the state copies: n elements of the node's dtype. */
static void set_size(tct_device_impl *device, move_state *s, const tct_node_view *node, int64_t n) {
  s->args.n = n;
  s->args.bytes = (int32_t)tct_cu_bytes(node->out[0].dtype);
  s->extent = tct_cu_extent_over(device, n, TCT_CU_BLOCK, 1);
}

static void set_fill(tct_device_impl *device, move_state *s, const tct_node_view *node, double value) {
  const tct_desc *const y = &node->out[0];
  s->fill = (tct_cu_fill_args){
      .n = tct_cu_size(&y->shape), .value = tct_cu_bits(y->dtype, value), .bytes = (int32_t)tct_cu_bytes(y->dtype)};
  s->fill_extent = tct_cu_extent_over(device, s->fill.n, TCT_CU_BLOCK, 1);
}

/* A view that swaps the last two axes of [batch, m, n]: read at stride 1 along the first of them. */
static void find_tiles(move_state *s) {
  const tct_cu_view *const v = &s->args.from_view;
  const int32_t first = v->rank - 2;
  if (v->rank < 2 || v->rank > 3 || v->stride[first] != 1) return;
  const int64_t n = v->by[first].d, m = v->by[first + 1].d;
  if (v->stride[first + 1] != n || n < LEAST || m < LEAST) return;
  if (v->rank == 3 && v->stride[0] != m * n) return;
  const int64_t across = (n + TILE - 1) / TILE, down = (m + TILE - 1) / TILE, batch = v->rank == 3 ? v->by[0].d : 1;
  s->tiles = (tct_cu_transpose_args){.m = m,
                                     .n = n,
                                     .tiles_m = tct_cu_divisor_of(down),
                                     .tiles_n = tct_cu_divisor_of(across),
                                     .bytes = s->args.bytes};
  s->tiles_extent = tct_cu_extent_1d(batch * across * down, 1, TILE, 0);
  s->tiles_extent.block[1] = TCT_CU_BLOCK / TILE;
}

static void plan_transpose(move_state *s, const tct_node_view *node) {
  const tct_transpose_attrs *const attrs = node->attrs;
  int64_t own[TCT_MAX_RANK];
  tct_cu_strides(&node->in[0].shape, own);
  for (int32_t i = 0; i < node->out[0].shape.rank; i++)
    tct_cu_add_axis(&s->args.from_view, node->out[0].shape.dim[i], own[attrs->perm[i]]);
  dense(&s->args.to_view, s->args.n);
  find_tiles(s);
}

/* The part of `whole` that a slice names. */
static void plan_slice(move_state *s, const tct_node_view *node, const tct_shape *whole, const tct_shape *part, bool into) {
  const tct_slice_attrs *const attrs = node->attrs;
  tct_cu_view *const view = into ? &s->args.to_view : &s->args.from_view;
  int64_t own[TCT_MAX_RANK], first = 0;
  tct_cu_strides(whole, own);
  for (int32_t i = 0; i < whole->rank; i++) {
    first += attrs->start[i] * own[i];
    tct_cu_add_axis(view, part->dim[i], own[i] * attrs->step[i]);
  }
  *(into ? &s->to_first : &s->from_first) = first * s->args.bytes;
  dense(into ? &s->args.from_view : &s->args.to_view, s->args.n);
}

static void plan_pad(move_state *s, const tct_node_view *node) {
  const tct_pad_attrs *const attrs = node->attrs;
  int64_t own[TCT_MAX_RANK], first = 0;
  tct_cu_strides(&node->out[0].shape, own);
  for (int32_t i = 0; i < node->in[0].shape.rank; i++) {
    first += attrs->before[i] * own[i];
    tct_cu_add_axis(&s->args.to_view, node->in[0].shape.dim[i], own[i]);
  }
  s->to_first = first * s->args.bytes;
  dense(&s->args.from_view, s->args.n);
}

/* Each axis of y is x's, `repeats` times. */
static void plan_tile(move_state *s, const tct_node_view *node) {
  const tct_shape_attrs *const attrs = node->attrs;
  int64_t own[TCT_MAX_RANK];
  tct_cu_strides(&node->in[0].shape, own);
  for (int32_t i = 0; i < node->in[0].shape.rank; i++) {
    tct_cu_add_axis(&s->args.from_view, attrs->shape.dim[i], 0);
    tct_cu_add_axis(&s->args.from_view, node->in[0].shape.dim[i], own[i]);
  }
  dense(&s->args.to_view, s->args.n);
}

bool tct_cu_move_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  return tct_cu_stores(node, why, why_bytes);
}

tct_status tct_cu_move_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  move_state *const s = tct_cu_state(device, sizeof *s);
  if (s == NULL) return TCT_OUT_OF_MEMORY;
  const tct_shape *const x = &node->in[0].shape, *const y = &node->out[0].shape;
  const bool scatters = node->op == TCT_OP_pad || node->op == TCT_OP_slice_grad;
  set_size(device, s, node, tct_cu_size(scatters ? x : y));
  if (scatters) set_fill(device, s, node, node->op == TCT_OP_pad ? ((const tct_pad_attrs *)node->attrs)->value : 0.0);
  switch (node->op) {
  case TCT_OP_transpose:
    plan_transpose(s, node);
    break;
  case TCT_OP_slice:
    plan_slice(s, node, x, y, false);
    break;
  case TCT_OP_slice_grad:
    plan_slice(s, node, y, x, true);
    break;
  case TCT_OP_pad:
    plan_pad(s, node);
    break;
  case TCT_OP_tile:
    plan_tile(s, node);
    break;
  default:
    s->args.from_view = tct_cu_operand_of(NULL, &node->in[0], y).view;
    dense(&s->args.to_view, s->args.n);
  }
  *out = (tct_prepared){.state = s};
  return TCT_OK;
}

tct_status tct_cu_move_launch(tct_device_impl *device, const tct_launch *launch) {
  const move_state *const s = launch->state;
  if (s->fill.n > 0) {
    tct_cu_fill_args fill = s->fill;
    fill.to = launch->out[0];
    const tct_status status = tct_cu_launch(device, launch->node, TCT_CU_KERNEL_fill, &s->fill_extent, &fill);
    if (status != TCT_OK) return status;
  }
  if (s->args.n == 0) return TCT_OK;
  if (s->tiles.m > 0) {
    tct_cu_transpose_args tiles = s->tiles;
    tiles.from = launch->in[0];
    tiles.to = launch->out[0];
    return tct_cu_launch(device, launch->node, TCT_CU_KERNEL_transpose, &s->tiles_extent, &tiles);
  }
  tct_cu_move_args a = s->args;
  a.from = (const char *)launch->in[0] + s->from_first;
  a.to = (char *)launch->out[0] + s->to_first;
  return tct_cu_launch(device, launch->node, TCT_CU_KERNEL_move, &s->extent, &a);
}

/* ---- concat: a copy for each operand ---- */

typedef struct concat_state {
  int64_t n_parts;
  move_state part[];
} concat_state;

bool tct_cu_concat_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  return tct_cu_stores(node, why, why_bytes);
}

tct_status tct_cu_concat_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  const tct_axis_attrs *const attrs = node->attrs;
  concat_state *const state = tct_cu_state(device, sizeof *state + (size_t)node->n_in * sizeof state->part[0]);
  if (state == NULL) return TCT_OUT_OF_MEMORY;
  int64_t to[TCT_MAX_RANK], start = 0;
  state->n_parts = node->n_in;
  tct_cu_strides(&node->out[0].shape, to);
  for (int32_t k = 0; k < node->n_in; k++) {
    const tct_shape *const x = &node->in[k].shape;
    move_state *const s = &state->part[k];
    set_size(device, s, node, tct_cu_size(x));
    dense(&s->args.from_view, s->args.n);
    for (int32_t i = 0; i < x->rank; i++) tct_cu_add_axis(&s->args.to_view, x->dim[i], to[i]);
    s->to_first = start * to[attrs->axis] * s->args.bytes;
    start += x->dim[attrs->axis];
  }
  *out = (tct_prepared){.state = state};
  return TCT_OK;
}

tct_status tct_cu_concat_launch(tct_device_impl *device, const tct_launch *launch) {
  const concat_state *const state = launch->state;
  tct_status status = TCT_OK;
  for (int32_t k = 0; k < state->n_parts && status == TCT_OK; k++) {
    tct_cu_move_args a = state->part[k].args;
    if (a.n == 0) continue;
    a.from = launch->in[k];
    a.to = (char *)launch->out[0] + state->part[k].to_first;
    status = tct_cu_launch(device, launch->node, TCT_CU_KERNEL_move, &state->part[k].extent, &a);
  }
  return status;
}
