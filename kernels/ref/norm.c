/* Batch and layer normalisation: x [..,C] is M rows of C channels. Batch norm (Ioffe & Szegedy, 2015) takes the
 * statistics of each channel over the rows, layer norm (Ba et al., 2016) those of each row over its channels. */
#include <math.h>

#include "kernels/ref/layout.h"
#include "kernels/ref/ref.h"

typedef struct matrix {
  int64_t rows, columns;
} matrix;

static matrix matrix_of(const tct_shape *x) {
  return (matrix){tct_ref_extent(x, 0, x->rank - 1), x->dim[x->rank - 1]};
}

/* Mean and biased variance of n elements, `step` apart, in two passes. */
static void moments(int64_t n, int64_t step, const double *x, double *out_mean, double *out_variance) {
  double sum = 0.0, squares = 0.0;
  for (int64_t i = 0; i < n; i++) sum += x[i * step];
  const double mean = sum / (double)n;
  for (int64_t i = 0; i < n; i++) squares += (x[i * step] - mean) * (x[i * step] - mean);
  *out_mean = mean;
  *out_variance = squares / (double)n;
}

/* y = γ·(x - mean)/√(variance + ε) + β;  x [..,C], gamma [C], beta [C] → y [..,C], mean [C], biased variance [C] */
void tct_ref_batch_norm(const tct_ref_args *args) {
  const tct_norm_attrs *attrs = args->attrs;
  const matrix m = matrix_of(&args->in[0].shape);
  for (int64_t c = 0; c < m.columns; c++) {
    const double *x = args->in[0].data + c;
    const double gamma = args->in[1].data[c], beta = args->in[2].data[c];
    double mean, variance;
    moments(m.rows, m.columns, x, &mean, &variance);
    const double inverse = 1.0 / sqrt(variance + attrs->epsilon);
    for (int64_t i = 0; i < m.rows; i++)
      args->out[0].data[i * m.columns + c] = gamma * (x[i * m.columns] - mean) * inverse + beta;
    args->out[1].data[c] = mean;
    args->out[2].data[c] = variance;
  }
}

/* With x̂ = (x - mean)/√(variance + ε): dβ = Σ dy, dγ = Σ dy·x̂, dx = γ/√(variance + ε)·(dy - dβ/M - x̂·dγ/M)
 * (x [..,C], gamma [C], mean [C], variance [C], dy [..,C]) → dx [..,C], dgamma [C], dbeta [C] */
void tct_ref_batch_norm_grad(const tct_ref_args *args) {
  const tct_norm_attrs *attrs = args->attrs;
  const matrix m = matrix_of(&args->in[0].shape);
  for (int64_t c = 0; c < m.columns; c++) {
    const double *x = args->in[0].data + c, *dy = args->in[4].data + c;
    const double gamma = args->in[1].data[c], mean = args->in[2].data[c];
    const double inverse = 1.0 / sqrt(args->in[3].data[c] + attrs->epsilon);
    double dgamma = 0.0, dbeta = 0.0;
    for (int64_t i = 0; i < m.rows; i++) {
      dgamma += dy[i * m.columns] * (x[i * m.columns] - mean) * inverse;
      dbeta += dy[i * m.columns];
    }
    for (int64_t i = 0; i < m.rows; i++) {
      const double normal = (x[i * m.columns] - mean) * inverse;
      args->out[0].data[i * m.columns + c] =
          gamma * inverse * (dy[i * m.columns] - (dbeta + normal * dgamma) / (double)m.rows);
    }
    args->out[1].data[c] = dgamma;
    args->out[2].data[c] = dbeta;
  }
}

/* y = γ·(x - mean)/√(variance + ε) + β;  x [..,C], gamma, beta, mean, variance [C] → y [..,C] */
void tct_ref_batch_norm_inference(const tct_ref_args *args) {
  const tct_norm_attrs *attrs = args->attrs;
  const matrix m = matrix_of(&args->in[0].shape);
  const double *gamma = args->in[1].data, *beta = args->in[2].data;
  const double *mean = args->in[3].data, *variance = args->in[4].data;
  for (int64_t i = 0; i < m.rows; i++)
    for (int64_t c = 0; c < m.columns; c++) {
      const double normal = (args->in[0].data[i * m.columns + c] - mean[c]) / sqrt(variance[c] + attrs->epsilon);
      args->out[0].data[i * m.columns + c] = gamma[c] * normal + beta[c];
    }
}

/* y = γ·(x - mean)·inverse + β with the row's own mean and inverse = 1/√(variance + ε)
 * x [..,C], gamma [C], beta [C] → y [..,C], mean [..], inverse [..] */
void tct_ref_layer_norm(const tct_ref_args *args) {
  const tct_norm_attrs *attrs = args->attrs;
  const matrix m = matrix_of(&args->in[0].shape);
  for (int64_t i = 0; i < m.rows; i++) {
    const double *x = args->in[0].data + i * m.columns;
    double mean, variance;
    moments(m.columns, 1, x, &mean, &variance);
    const double inverse = 1.0 / sqrt(variance + attrs->epsilon);
    for (int64_t c = 0; c < m.columns; c++)
      args->out[0].data[i * m.columns + c] = args->in[1].data[c] * (x[c] - mean) * inverse + args->in[2].data[c];
    args->out[1].data[i] = mean;
    args->out[2].data[i] = inverse;
  }
}

/* With x̂ = (x - mean)·inverse and g = γ·dy: dx = inverse·(g - Σg/C - x̂·Σ(g·x̂)/C); over the rows dγ = Σ dy·x̂, dβ = Σ dy
 * (x [..,C], gamma [C], mean [..], inverse [..], dy [..,C]) → dx [..,C], dgamma [C], dbeta [C] */
void tct_ref_layer_norm_grad(const tct_ref_args *args) {
  const matrix m = matrix_of(&args->in[0].shape);
  const double *gamma = args->in[1].data;
  double *dgamma = args->out[1].data, *dbeta = args->out[2].data;
  for (int64_t c = 0; c < m.columns; c++) dgamma[c] = dbeta[c] = 0.0;
  for (int64_t i = 0; i < m.rows; i++) {
    const double *x = args->in[0].data + i * m.columns, *dy = args->in[4].data + i * m.columns;
    const double mean = args->in[2].data[i], inverse = args->in[3].data[i];
    double sum = 0.0, product = 0.0;
    for (int64_t c = 0; c < m.columns; c++) {
      const double normal = (x[c] - mean) * inverse;
      sum += gamma[c] * dy[c];
      product += gamma[c] * dy[c] * normal;
      dgamma[c] += dy[c] * normal;
      dbeta[c] += dy[c];
    }
    for (int64_t c = 0; c < m.columns; c++) {
      const double normal = (x[c] - mean) * inverse;
      args->out[0].data[i * m.columns + c] =
          inverse * (gamma[c] * dy[c] - (sum + normal * product) / (double)m.columns);
    }
  }
}
