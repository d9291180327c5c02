/* Softmax, its logarithm and their gradients along one axis: x [outer, n, inner], each (outer, inner) is one row of n.
 */
#include <math.h>

#include "kernels/ref/layout.h"
#include "kernels/ref/ref.h"

/* One row: n elements, `step` apart. a and b are the row of the inputs (b NULL with one), y that of the output. */
typedef void (*row_fn)(int64_t n, int64_t step, const double *a, const double *b, double *y);

static void rows(const tct_ref_args *args, row_fn fn) {
  const tct_axis_attrs *attrs = args->attrs;
  const tct_shape *shape = &args->in[0].shape;
  const int64_t outer = tct_ref_extent(shape, 0, attrs->axis), n = shape->dim[attrs->axis];
  const int64_t inner = tct_ref_extent(shape, attrs->axis + 1, shape->rank);
  for (int64_t o = 0; o < outer; o++)
    for (int64_t i = 0; i < inner; i++) {
      const int64_t at = o * n * inner + i;
      fn(n, inner, args->in[0].data + at, args->n_in > 1 ? args->in[1].data + at : NULL, args->out[0].data + at);
    }
}

static double row_maximum(int64_t n, int64_t step, const double *x) {
  double most = -INFINITY;
  for (int64_t j = 0; j < n; j++) most = x[j * step] > most ? x[j * step] : most;
  return most;
}

/* Σ e^(x - most) */
static double row_exp_sum(int64_t n, int64_t step, const double *x, double most) {
  double sum = 0.0;
  for (int64_t j = 0; j < n; j++) sum += exp(x[j * step] - most);
  return sum;
}

/* y = e^x / Σ e^x */
static void softmax(int64_t n, int64_t step, const double *x, const double *unused, double *y) {
  (void)unused;
  const double most = row_maximum(n, step, x), sum = row_exp_sum(n, step, x, most);
  for (int64_t j = 0; j < n; j++) y[j * step] = exp(x[j * step] - most) / sum;
}

/* dx = y·(dy - Σ y·dy) */
static void softmax_grad(int64_t n, int64_t step, const double *y, const double *dy, double *dx) {
  double sum = 0.0;
  for (int64_t j = 0; j < n; j++) sum += y[j * step] * dy[j * step];
  for (int64_t j = 0; j < n; j++) dx[j * step] = y[j * step] * (dy[j * step] - sum);
}

/* y = x - ln Σ e^x */
static void log_softmax(int64_t n, int64_t step, const double *x, const double *unused, double *y) {
  (void)unused;
  const double most = row_maximum(n, step, x), log_sum = log(row_exp_sum(n, step, x, most));
  for (int64_t j = 0; j < n; j++) y[j * step] = x[j * step] - most - log_sum;
}

/* dx = dy - e^y·Σ dy */
static void log_softmax_grad(int64_t n, int64_t step, const double *y, const double *dy, double *dx) {
  double sum = 0.0;
  for (int64_t j = 0; j < n; j++) sum += dy[j * step];
  for (int64_t j = 0; j < n; j++) dx[j * step] = dy[j * step] - exp(y[j * step]) * sum;
}

void tct_ref_softmax(const tct_ref_args *args) {
  rows(args, softmax);
}
void tct_ref_softmax_grad(const tct_ref_args *args) {
  rows(args, softmax_grad);
}
void tct_ref_log_softmax(const tct_ref_args *args) {
  rows(args, log_softmax);
}
void tct_ref_log_softmax_grad(const tct_ref_args *args) {
  rows(args, log_softmax_grad);
}
