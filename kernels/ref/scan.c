/* Along one axis: running sums, and the greatest of each row. */
#include <math.h>
#include <stdbool.h>

#include "kernels/ref/layout.h"
#include "kernels/ref/ref.h"

/* y[o,i,c] = Σ x[o,j,c] over j <= i;  exclusive: j < i; reverse: from the end;  x, y [outer, length, inner] */
void tct_ref_cumsum(const tct_ref_args *args) {
  const tct_cumsum_attrs *attrs = args->attrs;
  const tct_shape *shape = &args->in[0].shape;
  const int64_t outer = tct_ref_extent(shape, 0, attrs->axis), length = shape->dim[attrs->axis];
  const int64_t inner = tct_ref_extent(shape, attrs->axis + 1, shape->rank);
  for (int64_t o = 0; o < outer; o++)
    for (int64_t c = 0; c < inner; c++) {
      double sum = 0.0;
      for (int64_t step = 0; step < length; step++) {
        const int64_t i = attrs->reverse ? length - 1 - step : step, at = (o * length + i) * inner + c;
        const double before = sum;
        sum += args->in[0].data[at];
        args->out[0].data[at] = attrs->exclusive ? before : sum;
      }
    }
}

/* A NaN counts as greater than every number. */
static bool greater(double a, double b) {
  return a > b || (isnan(a) && !isnan(b));
}

/* k rounds over a row, each taking the first greatest of those that no earlier round took;  x [rows,n] → values [rows,k],
 * positions [rows,k] */
void tct_ref_top_k(const tct_ref_args *args) {
  const tct_top_k_attrs *attrs = args->attrs;
  const int64_t n = attrs->n, k = attrs->k, rows = tct_ref_size(&args->out[0].shape) / k;
  for (int64_t r = 0; r < rows; r++) {
    const double *x = args->in[0].data + r * n;
    double *value = args->out[0].data + r * k, *position = args->out[1].data + r * k;
    for (int64_t j = 0; j < k; j++) {
      int64_t best = -1;
      for (int64_t i = 0; i < n; i++) {
        bool taken = false;
        for (int64_t t = 0; t < j; t++) taken = taken || position[t] == (double)i;
        if (!taken && (best < 0 || greater(x[i], x[best]))) best = i;
      }
      value[j] = x[best];
      position[j] = (double)best;
    }
  }
}

/* dx[r,position[r,j]] += dvalues[r,j];  a row's positions differ */
void tct_ref_top_k_grad(const tct_ref_args *args) {
  const tct_top_k_attrs *attrs = args->attrs;
  const int64_t n = attrs->n, k = attrs->k, size = tct_ref_size(&args->out[0].shape), picked = size / n * k;
  for (int64_t e = 0; e < size; e++) args->out[0].data[e] = 0.0;
  for (int64_t e = 0; e < picked; e++) {
    const double position = args->in[0].data[e];
    if (position >= 0.0 && position < (double)n) args->out[0].data[e / k * n + (int64_t)position] += args->in[1].data[e];
  }
}
