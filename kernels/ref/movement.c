/* Ops that only move elements. Each is one copy between two strided views of the same shape. */
#include "kernels/ref/layout.h"
#include "kernels/ref/ref.h"

/* to[Σ iₐ·to_strideₐ] = from[Σ iₐ·from_strideₐ] for every index i of `shape`. */
static void copy(const tct_shape *shape, const double *from, const int64_t *from_stride, double *to,
                 const int64_t *to_stride) {
  tct_walk walk = tct_walk_over(shape);
  tct_walk_add(&walk, from_stride);
  tct_walk_add(&walk, to_stride);
  const int64_t size = tct_ref_size(shape);
  for (int64_t e = 0; e < size; e++, tct_walk_next(&walk)) to[walk.offset[1]] = from[walk.offset[0]];
}

static void fill(const tct_ref_operand *out, double value) {
  const int64_t size = tct_ref_size(&out->shape);
  for (int64_t e = 0; e < size; e++) out->data[e] = value;
}

/* y[i] = x[j] with j[perm[a]] = i[a] */
void tct_ref_transpose(const tct_ref_args *args) {
  const tct_transpose_attrs *attrs = args->attrs;
  const tct_ref_operand *x = &args->in[0], *y = &args->out[0];
  int64_t own[TCT_MAX_RANK], permuted[TCT_MAX_RANK], to[TCT_MAX_RANK];
  tct_ref_strides(&x->shape, own);
  tct_ref_strides(&y->shape, to);
  for (int32_t i = 0; i < x->shape.rank; i++) permuted[i] = own[attrs->perm[i]];
  copy(&y->shape, x->data, permuted, y->data, to);
}

/* (x₀, x₁, …) behind one another along attrs.axis */
void tct_ref_concat(const tct_ref_args *args) {
  const tct_axis_attrs *attrs = args->attrs;
  const tct_ref_operand *y = &args->out[0];
  int64_t to[TCT_MAX_RANK], start = 0;
  tct_ref_strides(&y->shape, to);
  for (int32_t k = 0; k < args->n_in; k++) {
    const tct_ref_operand *x = &args->in[k];
    int64_t from[TCT_MAX_RANK];
    tct_ref_strides(&x->shape, from);
    copy(&x->shape, x->data, from, y->data + start * to[attrs->axis], to);
    start += x->shape.dim[attrs->axis];
  }
}

/* How the part of a tensor that a slice names is read or written in place: its strides; returns the first element. */
static int64_t slice_view(const tct_slice_attrs *attrs, const tct_shape *whole, int64_t *stride) {
  int64_t first = 0;
  tct_ref_strides(whole, stride);
  for (int32_t i = 0; i < whole->rank; i++) {
    first += attrs->start[i] * stride[i];
    stride[i] *= attrs->step[i];
  }
  return first;
}

/* y[i] = x[start + i·step] */
void tct_ref_slice(const tct_ref_args *args) {
  const tct_ref_operand *x = &args->in[0], *y = &args->out[0];
  int64_t from[TCT_MAX_RANK], to[TCT_MAX_RANK];
  const int64_t first = slice_view(args->attrs, &x->shape, from);
  tct_ref_strides(&y->shape, to);
  copy(&y->shape, x->data + first, from, y->data, to);
}

/* dx[start + i·step] = dy[i], 0 elsewhere;  dy → dx of attrs.x_shape */
void tct_ref_slice_grad(const tct_ref_args *args) {
  const tct_ref_operand *dy = &args->in[0], *dx = &args->out[0];
  int64_t from[TCT_MAX_RANK], to[TCT_MAX_RANK];
  const int64_t first = slice_view(args->attrs, &dx->shape, to);
  tct_ref_strides(&dy->shape, from);
  fill(dx, 0.0);
  copy(&dy->shape, dy->data, from, dx->data + first, to);
}

/* y[before + i] = x[i], attrs.value elsewhere */
void tct_ref_pad(const tct_ref_args *args) {
  const tct_pad_attrs *attrs = args->attrs;
  const tct_ref_operand *x = &args->in[0], *y = &args->out[0];
  int64_t from[TCT_MAX_RANK], to[TCT_MAX_RANK] = {0}, first = 0;
  tct_ref_strides(&x->shape, from);
  tct_ref_strides(&y->shape, to);
  for (int32_t i = 0; i < x->shape.rank; i++) first += attrs->before[i] * to[i];
  fill(y, attrs->value);
  copy(&x->shape, x->data, from, y->data + first, to);
}

/* y[i] = x[i mod x's extents];  attrs.shape = repeats per axis */
void tct_ref_tile(const tct_ref_args *args) {
  const tct_shape_attrs *attrs = args->attrs;
  const tct_ref_operand *x = &args->in[0], *y = &args->out[0];
  int64_t from[TCT_MAX_RANK], to[TCT_MAX_RANK] = {0}, tile[TCT_MAX_RANK];
  tct_ref_strides(&x->shape, from);
  tct_ref_strides(&y->shape, to);
  for (int32_t i = 0; i < x->shape.rank; i++) tile[i] = to[i] * x->shape.dim[i];
  tct_walk tiles = tct_walk_over(&attrs->shape);
  tct_walk_add(&tiles, tile);
  const int64_t n_tiles = tct_ref_size(&attrs->shape);
  for (int64_t e = 0; e < n_tiles; e++, tct_walk_next(&tiles))
    copy(&x->shape, x->data, from, y->data + tiles.offset[0], to);
}

/* y[i] = x[i] with NumPy's broadcasting to attrs.shape */
void tct_ref_broadcast_to(const tct_ref_args *args) {
  const tct_ref_operand *x = &args->in[0], *y = &args->out[0];
  int64_t from[TCT_MAX_RANK], to[TCT_MAX_RANK];
  tct_ref_broadcast(&x->shape, &y->shape, from);
  tct_ref_strides(&y->shape, to);
  copy(&y->shape, x->data, from, y->data, to);
}
