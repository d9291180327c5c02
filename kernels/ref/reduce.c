/* Reductions: over any set of axes, over one axis with the position as the answer, and over whole lists of tensors. */
#include <math.h>

#include "kernels/ref/layout.h"
#include "kernels/ref/ref.h"

#define TCT_SCALAR double
#include "kernels/common/scalar.h"

/* Two walks over x: `kept` over the axes that remain, in the order of the output's elements, and `reduced` over the
 * others. The sum of their offsets is an element of x. */
typedef struct split {
  tct_walk kept, reduced;
  int64_t n_kept, n_reduced;
} split;

static split split_axes(const tct_shape *x, uint32_t axes) {
  tct_shape kept = *x, reduced = *x;
  for (int32_t i = 0; i < x->rank; i++) *(axes >> i & 1u ? &kept.dim[i] : &reduced.dim[i]) = 1;
  split s = {.kept = tct_walk_over(&kept),
             .reduced = tct_walk_over(&reduced),
             .n_kept = tct_ref_size(&kept),
             .n_reduced = tct_ref_size(&reduced)};
  int64_t stride[TCT_MAX_RANK];
  tct_ref_strides(x, stride);
  tct_walk_add(&s.kept, stride);
  tct_walk_add(&s.reduced, stride);
  return s;
}

/* The value of one output: x points at its first element, the n others are at the offsets of `at`, which a whole round
 * of n steps leaves as it was. */
typedef double (*fold_fn)(const double *x, int64_t n, tct_walk *at);

static double fold_sum(const double *x, int64_t n, tct_walk *at) {
  double sum = 0.0;
  for (int64_t i = 0; i < n; i++, tct_walk_next(at)) sum += x[at->offset[0]];
  return sum;
}

static double fold_mean(const double *x, int64_t n, tct_walk *at) {
  return fold_sum(x, n, at) / (double)n;
}

static double fold_max(const double *x, int64_t n, tct_walk *at) {
  double most = -INFINITY;
  for (int64_t i = 0; i < n; i++, tct_walk_next(at)) most = MAXIMUM(most, x[at->offset[0]]);
  return most;
}

static double fold_min(const double *x, int64_t n, tct_walk *at) {
  double least = INFINITY;
  for (int64_t i = 0; i < n; i++, tct_walk_next(at)) least = MINIMUM(least, x[at->offset[0]]);
  return least;
}

static double fold_prod(const double *x, int64_t n, tct_walk *at) {
  double product = 1.0;
  for (int64_t i = 0; i < n; i++, tct_walk_next(at)) product *= x[at->offset[0]];
  return product;
}

/* m + ln Σ e^(x-m) with m = max x; m itself where it is infinite, for ∞ - ∞ is not a number. */
static double fold_logsumexp(const double *x, int64_t n, tct_walk *at) {
  const double most = fold_max(x, n, at);
  if (isinf(most)) return most;
  double sum = 0.0;
  for (int64_t i = 0; i < n; i++, tct_walk_next(at)) sum += exp(x[at->offset[0]] - most);
  /* cppcheck-suppress invalidFunctionArg ; of nothing: fold_max gave -∞ above */
  return most + log(sum);
}

/* x [..] → y: x without the axes of attrs.axes, or with extent 1 there (keepdims) */
static void reduce(const tct_ref_args *args, fold_fn fold) {
  const tct_reduce_attrs *attrs = args->attrs;
  split s = split_axes(&args->in[0].shape, attrs->axes);
  for (int64_t e = 0; e < s.n_kept; e++, tct_walk_next(&s.kept))
    args->out[0].data[e] = fold(args->in[0].data + s.kept.offset[0], s.n_reduced, &s.reduced);
}

void tct_ref_reduce_sum(const tct_ref_args *args) {
  reduce(args, fold_sum);
}
void tct_ref_reduce_mean(const tct_ref_args *args) {
  reduce(args, fold_mean);
}
void tct_ref_reduce_max(const tct_ref_args *args) {
  reduce(args, fold_max);
}
void tct_ref_reduce_min(const tct_ref_args *args) {
  reduce(args, fold_min);
}
void tct_ref_reduce_prod(const tct_ref_args *args) {
  reduce(args, fold_prod);
}
void tct_ref_logsumexp(const tct_ref_args *args) {
  reduce(args, fold_logsumexp);
}

/* dxᵢ = dy·Π_{j≠i} xⱼ: a pass forwards leaves the product of those before, one backwards multiplies those behind. No
 * division, so zeros need no case of their own.
 * (x [..], dy with extent 1 at the reduced axes) → dx [..] */
void tct_ref_reduce_prod_grad(const tct_ref_args *args) {
  const tct_reduce_attrs *attrs = args->attrs;
  split s = split_axes(&args->in[0].shape, attrs->axes);
  tct_walk back = s.reduced;
  for (int32_t i = 0; i < back.rank; i++) {
    back.offset[0] += back.stride[0][i] * (back.dim[i] - 1);
    back.stride[0][i] = -back.stride[0][i];
  }
  for (int64_t e = 0; e < s.n_kept; e++, tct_walk_next(&s.kept)) {
    const double *x = args->in[0].data + s.kept.offset[0];
    double *dx = args->out[0].data + s.kept.offset[0];
    double before = 1.0, behind = args->in[1].data[e];
    for (int64_t i = 0; i < s.n_reduced; i++, tct_walk_next(&s.reduced)) {
      dx[s.reduced.offset[0]] = before;
      before *= x[s.reduced.offset[0]];
    }
    for (int64_t i = 0; i < s.n_reduced; i++, tct_walk_next(&back)) {
      dx[back.offset[0]] *= behind;
      behind *= x[back.offset[0]];
    }
  }
}

/* The position along attrs.axis of the first x with sign·x greatest;  x [outer, n, inner] → i32 [outer, inner] */
static void arg_extreme(const tct_ref_args *args, double sign) {
  const tct_arg_attrs *attrs = args->attrs;
  const tct_shape *shape = &args->in[0].shape;
  const int64_t outer = tct_ref_extent(shape, 0, attrs->axis), n = shape->dim[attrs->axis];
  const int64_t inner = tct_ref_extent(shape, attrs->axis + 1, shape->rank);
  for (int64_t o = 0; o < outer; o++)
    for (int64_t i = 0; i < inner; i++) {
      const double *x = args->in[0].data + o * n * inner + i;
      int64_t best = 0;
      for (int64_t j = 1; j < n; j++)
        if (sign * x[j * inner] > sign * x[best * inner]) best = j;
      args->out[0].data[o * inner + i] = (double)best;
    }
}

void tct_ref_argmax(const tct_ref_args *args) {
  arg_extreme(args, 1.0);
}
void tct_ref_argmin(const tct_ref_args *args) {
  arg_extreme(args, -1.0);
}

/* (g₀, g₁, …) → [] √Σᵢ‖gᵢ‖² */
void tct_ref_global_norm(const tct_ref_args *args) {
  double sum = 0.0;
  for (int32_t i = 0; i < args->n_in; i++) {
    const int64_t size = tct_ref_size(&args->in[i].shape);
    for (int64_t e = 0; e < size; e++) sum += args->in[i].data[e] * args->in[i].data[e];
  }
  args->out[0].data[0] = sqrt(sum);
}
