/* The matrix product, batched, with either operand transposed, bias and activation. */
#include "kernels/ref/elementwise.h"
#include "kernels/ref/layout.h"
#include "kernels/ref/ref.h"
#include "kernels/ref/vector.h"

/* One product y = a·b. */
typedef struct product {
  int64_t m, n, k;
  int64_t a_row, a_column; /* elements from a[i][l] to a[i+1][l] and to a[i][l+1] */
  bool transpose_b;
} product;

/* Rows of y that share a pass over b, so that a row of b comes from L1 (128×256×256: 7.7 GFLOP/s against 4.6). */
#define ROWS 8

/* y += a·b;  a [m,k] by strides, b [k,n] or transposed [n,k], y [m,n] */
static void multiply(const product *p, const double *a, const double *b, double *y) {
  for (int64_t i0 = 0; i0 < p->m; i0 += ROWS) {
    const int64_t i1 = i0 + ROWS < p->m ? i0 + ROWS : p->m;
    if (p->transpose_b) {
      for (int64_t j = 0; j < p->n; j++)
        for (int64_t i = i0; i < i1; i++)
          y[i * p->n + j] += tct_ref_dot(p->k, a + i * p->a_row, p->a_column, b + j * p->k);
    } else {
      for (int64_t l = 0; l < p->k; l++)
        for (int64_t i = i0; i < i1; i++)
          tct_ref_axpy(p->n, a[i * p->a_row + l * p->a_column], b + l * p->n, y + i * p->n);
    }
  }
}

/* Strides, in matrices, with which an operand's leading axes are read over the output's. */
static void batch_strides(const tct_shape *operand, const tct_shape *batch, int64_t *stride) {
  tct_shape own = *operand;
  own.rank -= 2;
  tct_ref_broadcast(&own, batch, stride);
}

/* y = activation(a·b + bias);  a [..,m,k] ([..,k,m] when transposed), b [..,k,n] ([..,n,k]), bias [n]?, y [..,m,n];
 * the leading axes of a and b broadcast */
void tct_ref_matmul(const tct_ref_args *args) {
  const tct_matmul_attrs *attrs = args->attrs;
  const tct_shape *as = &args->in[0].shape;
  tct_shape batch = args->out[0].shape;
  batch.rank -= 2;
  const int64_t m = batch.dim[batch.rank], n = batch.dim[batch.rank + 1];
  const int64_t k = as->dim[as->rank - (attrs->transpose_a ? 2 : 1)];
  const product p = {.m = m,
                     .n = n,
                     .k = k,
                     .a_row = attrs->transpose_a ? 1 : k,
                     .a_column = attrs->transpose_a ? m : 1,
                     .transpose_b = attrs->transpose_b};
  const double *bias = args->n_in > 2 ? args->in[2].data : NULL;

  tct_walk walk = tct_walk_over(&batch);
  for (int32_t i = 0; i < 2; i++) {
    int64_t stride[TCT_MAX_RANK];
    batch_strides(&args->in[i].shape, &batch, stride);
    tct_walk_add(&walk, stride);
  }
  const int64_t n_products = tct_ref_size(&batch);
  for (int64_t e = 0; e < n_products; e++) {
    double *y = args->out[0].data + e * m * n;
    for (int64_t i = 0; i < m; i++)
      for (int64_t j = 0; j < n; j++) y[i * n + j] = bias != NULL ? bias[j] : 0.0;
    multiply(&p, args->in[0].data + walk.offset[0] * m * k, args->in[1].data + walk.offset[1] * k * n, y);
    tct_ref_activate(attrs->activation, &attrs->activation_attrs, m * n, y);
    tct_walk_next(&walk);
  }
}
