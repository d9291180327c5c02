/* The matrix product, batched, with either operand transposed, bias and activation, and what the fuse passes join to it. */
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

/* y = a·b + bias;  a [..,m,k] ([..,k,m] when transposed), b [..,k,n] ([..,n,k]), bias [n] or NULL, y [..,m,n];
 * the leading axes of a and b broadcast */
static void multiply_all(const tct_ref_args *args, const double *bias, double *all) {
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

  tct_walk walk = tct_walk_over(&batch);
  for (int32_t i = 0; i < 2; i++) {
    int64_t stride[TCT_MAX_RANK];
    batch_strides(&args->in[i].shape, &batch, stride);
    tct_walk_add(&walk, stride);
  }
  const int64_t n_products = tct_ref_size(&batch);
  for (int64_t e = 0; e < n_products; e++) {
    double *y = all + e * m * n;
    for (int64_t i = 0; i < m; i++)
      for (int64_t j = 0; j < n; j++) y[i * n + j] = bias != NULL ? bias[j] : 0.0;
    multiply(&p, args->in[0].data + walk.offset[0] * m * k, args->in[1].data + walk.offset[1] * k * n, y);
    tct_walk_next(&walk);
  }
}

static const double *bias_of(const tct_ref_args *args) {
  return args->n_in > 2 ? args->in[2].data : NULL;
}

/* y = activation(a·b + bias) */
void tct_ref_matmul(const tct_ref_args *args) {
  const tct_matmul_attrs *attrs = args->attrs;
  multiply_all(args, bias_of(args), args->out[0].data);
  tct_ref_activate(attrs->activation, &attrs->activation_attrs, tct_ref_size(&args->out[0].shape), args->out[0].data);
}

/* z = a·b + bias, y = gelu_tanh(z);  out: y, z */
void tct_ref_matmul_gelu(const tct_ref_args *args) {
  const int64_t size = tct_ref_size(&args->out[0].shape);
  multiply_all(args, bias_of(args), args->out[1].data);
  for (int64_t i = 0; i < size; i++) args->out[0].data[i] = args->out[1].data[i];
  tct_ref_activate(TCT_OP_gelu_tanh, &(tct_unary_attrs){0, 0}, size, args->out[0].data);
}

/* dz = gelu_tanh'(z) ∘ a·b;  z, dz [..,m,n] */
void tct_ref_matmul_dgelu(const tct_ref_args *args) {
  multiply_all(args, NULL, args->out[0].data);
  const tct_ref_operand in[] = {args->in[2], args->out[0]};
  tct_ref_gelu_tanh_grad(&(tct_ref_args){.n_in = 2, .n_out = 1, .in = in, .out = args->out});
}

/* dw = a·b, db[j] = Σ_k b[k,j];  a [m,k] ([k,m] when transposed), b [k,n] ([n,k]), dw [m,n], db [n] */
void tct_ref_matmul_bgrad(const tct_ref_args *args) {
  const bool transposed = ((const tct_matmul_attrs *)args->attrs)->transpose_b;
  const int64_t rows = args->in[1].shape.dim[0], columns = args->in[1].shape.dim[1];
  const int64_t n = transposed ? rows : columns, k = transposed ? columns : rows;
  multiply_all(args, NULL, args->out[0].data);
  for (int64_t j = 0; j < n; j++) {
    args->out[1].data[j] = 0;
    for (int64_t l = 0; l < k; l++) args->out[1].data[j] += args->in[1].data[transposed ? j * k + l : l * n + j];
  }
}
