/* Movement: transpose, slice, pad, tile, broadcast_to, concat and a slice's gradient are all one strided copy between
 * two dense buffers. Axes that both sides walk as one are merged; the two innermost (or, for a transposition, the axis
 * that is dense in the source) go to the kernel, the others are walked here. */
#include <string.h>
#include "backends/cpu/device.h"

enum { MOST_AXES = 2 * TCT_MAX_RANK };

typedef struct copy {
  int32_t rank;                                          /* the last two are rows and columns */
  int64_t dim[MOST_AXES], in[MOST_AXES], out[MOST_AXES]; /* strides in elements */
  int64_t in_start, out_start;
  int64_t outer;       /* product of the extents before rows and columns */
  int64_t band, bands; /* rows of one unit, units of one slab */
  int64_t group;       /* units of a task */
  size_t bytes;
  bool fills; /* the output is first filled with `value` */
  int64_t value;
  int64_t out_size;
} copy;

static void add_axis(copy *c, int64_t dim, int64_t in, int64_t out) {
  const int32_t last = c->rank - 1;
  if (dim == 1) return;
  if (last >= 0 && c->in[last] == in * dim && c->out[last] == out * dim) {
    c->dim[last] *= dim;
    c->in[last] = in;
    c->out[last] = out;
    return;
  }
  c->dim[c->rank] = dim;
  c->in[c->rank] = in;
  c->out[c->rank++] = out;
}

static void swap_axes(copy *c, int32_t i, int32_t j) {
  const int64_t dim = c->dim[i], in = c->in[i], out = c->out[i];
  c->dim[i] = c->dim[j], c->in[i] = c->in[j], c->out[i] = c->out[j];
  c->dim[j] = dim, c->in[j] = in, c->out[j] = out;
}

/* Gives the copy its rows, columns and units once all axes are there. */
static void finish(copy *c) {
  while (c->rank < 2) {
    for (int32_t i = c->rank; i > 0; i--) c->dim[i] = c->dim[i - 1], c->in[i] = c->in[i - 1], c->out[i] = c->out[i - 1];
    c->dim[0] = 1, c->in[0] = c->rank == 0, c->out[0] = c->rank == 0;
    c->rank++;
  }
  const int32_t columns = c->rank - 1, rows = c->rank - 2;
  if (c->in[columns] != 1) {
    for (int32_t i = 0; i < rows; i++)
      if (c->in[i] == 1) swap_axes(c, i, rows);
  }
  c->outer = 1;
  for (int32_t i = 0; i < rows; i++) c->outer *= c->dim[i];
  c->band = tct_cpu_most(TCT_CPU_TASK / tct_cpu_most(c->dim[columns], 1), 16);
  c->bands = tct_cpu_divide_up(c->dim[rows], c->band);
  c->group = tct_cpu_most(TCT_CPU_TASK / tct_cpu_most(tct_cpu_least(c->band, c->dim[rows]) * c->dim[columns], 1), 1);
}

typedef struct job {
  tct_device_impl *device;
  const copy *copy;
  const char *in;
  char *out;
} job;

static void copy_group(void *user, int64_t task, int32_t worker) {
  (void)worker;
  const job *j = user;
  const copy *c = j->copy;
  const int32_t columns = c->rank - 1, rows = c->rank - 2;
  const int64_t end = tct_cpu_least((task + 1) * c->group, c->outer * c->bands);
  for (int64_t unit = task * c->group; unit < end; unit++) {
    const int64_t first = unit % c->bands * c->band;
    int64_t rest = unit / c->bands;
    int64_t in = c->in_start + first * c->in[rows], out = c->out_start + first * c->out[rows];
    for (int32_t i = rows - 1; i >= 0; i--) {
      in += rest % c->dim[i] * c->in[i];
      out += rest % c->dim[i] * c->out[i];
      rest /= c->dim[i];
    }
    j->device->k->copy2d(j->in + in * (int64_t)c->bytes, c->in[rows], c->in[columns], j->out + out * (int64_t)c->bytes,
                         c->out[rows], c->out[columns], tct_cpu_least(c->band, c->dim[rows] - first), c->dim[columns],
                         c->bytes);
  }
}

static void run_copy(tct_device_impl *device, const copy *c, const void *in, void *out) {
  job j = {device, c, in, out};
  int64_t size = c->outer;
  for (int32_t i = c->rank - 2; i < c->rank; i++) size *= c->dim[i];
  if (c->fills) device->k->fill(out, &c->value, c->out_size, c->bytes);
  if (size == 0) return;
  tct_cpu_run(device, tct_cpu_divide_up(c->outer * c->bands, c->group), 0.5 * (double)size, copy_group, &j);
}

/* Those behind the shape's rank are 0. */
static void dense_strides(const tct_shape *shape, int64_t *stride) {
  int64_t step = 1;
  memset(stride, 0, TCT_MAX_RANK * sizeof *stride);
  for (int32_t i = shape->rank - 1; i >= 0; i--) {
    stride[i] = step;
    step *= shape->dim[i];
  }
}

/* ---- each op as axes ---- */

static void plan_transpose(copy *c, const tct_node_view *node) {
  const tct_transpose_attrs *attrs = node->attrs;
  int64_t in[TCT_MAX_RANK], out[TCT_MAX_RANK];
  dense_strides(&node->in[0].shape, in);
  dense_strides(&node->out[0].shape, out);
  for (int32_t i = 0; i < node->out[0].shape.rank; i++)
    add_axis(c, node->out[0].shape.dim[i], in[attrs->perm[i]], out[i]);
}

/* slice: `whole` is the source; slice_grad: the destination. */
static void plan_slice(copy *c, const tct_node_view *node) {
  const tct_slice_attrs *attrs = node->attrs;
  const bool is_gradient = node->op == TCT_OP_slice_grad;
  const tct_shape *part = is_gradient ? &node->in[0].shape : &node->out[0].shape;
  int64_t of_whole[TCT_MAX_RANK], of_part[TCT_MAX_RANK], start = 0;
  dense_strides(&attrs->x_shape, of_whole);
  dense_strides(part, of_part);
  for (int32_t i = 0; i < part->rank; i++) {
    const int64_t step = of_whole[i] * attrs->step[i];
    start += attrs->start[i] * of_whole[i];
    add_axis(c, part->dim[i], is_gradient ? of_part[i] : step, is_gradient ? step : of_part[i]);
  }
  c->in_start = is_gradient ? 0 : start;
  c->out_start = is_gradient ? start : 0;
  c->fills = is_gradient;
}

static void plan_pad(copy *c, const tct_node_view *node) {
  const tct_pad_attrs *attrs = node->attrs;
  int64_t in[TCT_MAX_RANK], out[TCT_MAX_RANK];
  dense_strides(&node->in[0].shape, in);
  dense_strides(&node->out[0].shape, out);
  for (int32_t i = 0; i < node->in[0].shape.rank; i++) {
    c->out_start += attrs->before[i] * out[i];
    add_axis(c, node->in[0].shape.dim[i], in[i], out[i]);
  }
  c->fills = true;
  (void)tct_cpu_encode(node->out[0].dtype, attrs->value, &c->value);
}

/* Each output axis is repeats × the input's extent; the repeats do not move in the source. */
static void plan_tile(copy *c, const tct_node_view *node) {
  const tct_shape *x = &node->in[0].shape;
  int64_t in[TCT_MAX_RANK], out[TCT_MAX_RANK];
  dense_strides(x, in);
  dense_strides(&node->out[0].shape, out);
  for (int32_t i = 0; i < x->rank; i++) {
    const int64_t repeats = x->dim[i] > 0 ? node->out[0].shape.dim[i] / x->dim[i] : 0;
    add_axis(c, repeats, 0, out[i] * x->dim[i]);
    add_axis(c, x->dim[i], in[i], out[i]);
  }
}

static void plan_broadcast(copy *c, const tct_node_view *node) {
  const tct_shape *x = &node->in[0].shape, *y = &node->out[0].shape;
  int64_t in[TCT_MAX_RANK], out[TCT_MAX_RANK];
  dense_strides(x, in);
  dense_strides(y, out);
  for (int32_t i = 0; i < y->rank; i++) {
    const int32_t from = i - (y->rank - x->rank);
    add_axis(c, y->dim[i], from < 0 || x->dim[from] == 1 ? 0 : in[from], out[i]);
  }
}

bool tct_cpu_move_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  return tct_cpu_stores(node, why, why_bytes);
}

tct_status tct_cpu_move_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  copy *c = tct_cpu_state(device, sizeof *c);
  if (c == NULL) return TCT_OUT_OF_MEMORY;
  c->bytes = tct_cpu_bytes(node->out[0].dtype);
  c->out_size = tct_cpu_size(&node->out[0].shape);
  switch (node->op) {
  case TCT_OP_transpose:
    plan_transpose(c, node);
    break;
  case TCT_OP_slice:
  case TCT_OP_slice_grad:
    plan_slice(c, node);
    break;
  case TCT_OP_pad:
    plan_pad(c, node);
    break;
  case TCT_OP_tile:
    plan_tile(c, node);
    break;
  default:
    plan_broadcast(c, node);
    break;
  }
  finish(c);
  *out = (tct_prepared){.state = c};
  return TCT_OK;
}

tct_status tct_cpu_move_launch(tct_device_impl *device, const tct_launch *launch) {
  run_copy(device, launch->state, launch->in[0], launch->out[0]);
  return TCT_OK;
}

/* ---- concat: one copy per operand ---- */

bool tct_cpu_concat_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  return tct_cpu_stores(node, why, why_bytes);
}

tct_status tct_cpu_concat_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  copy *c = tct_cpu_state(device, (size_t)node->n_in * sizeof *c);
  if (c == NULL) return TCT_OUT_OF_MEMORY;
  const tct_axis_attrs *attrs = node->attrs;
  const tct_shape *y = &node->out[0].shape;
  const int64_t outer = tct_cpu_extent(y, 0, attrs->axis), row = tct_cpu_extent(y, attrs->axis, y->rank);
  int64_t start = 0;
  for (int32_t i = 0; i < node->n_in; i++) {
    const int64_t run = tct_cpu_extent(&node->in[i].shape, attrs->axis, y->rank);
    c[i].bytes = tct_cpu_bytes(node->out[0].dtype);
    c[i].out_start = start;
    add_axis(&c[i], outer, run, row);
    add_axis(&c[i], run, 1, 1);
    finish(&c[i]);
    start += run;
  }
  *out = (tct_prepared){.state = c};
  return TCT_OK;
}

tct_status tct_cpu_concat_launch(tct_device_impl *device, const tct_launch *launch) {
  const copy *c = launch->state;
  for (int32_t i = 0; i < launch->node->n_in; i++) run_copy(device, &c[i], launch->in[i], launch->out[0]);
  return TCT_OK;
}
