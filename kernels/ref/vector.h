/* The two inner loops of the reference's products. Nearly all of its time is spent here. */
#ifndef TCT_KERNELS_REF_VECTOR_H
#define TCT_KERNELS_REF_VECTOR_H

#include <stdint.h>

/* y += a·x;  x [n], y [n] */
static inline void tct_ref_axpy(int64_t n, double a, const double *restrict x, double *restrict y) {
  for (int64_t i = 0; i < n; i++) y[i] += a * x[i];
}

/* Σᵢ x[i·stride]·y[i]. Four partial sums: one chain of additions would wait for each to finish (3× slower). */
static inline double tct_ref_dot(int64_t n, const double *x, int64_t stride, const double *y) {
  double sum[4] = {0, 0, 0, 0};
  int64_t i = 0;
  for (; i + 4 <= n; i += 4)
    for (int64_t lane = 0; lane < 4; lane++) sum[lane] += x[(i + lane) * stride] * y[i + lane];
  for (; i < n; i++) sum[0] += x[i * stride] * y[i];
  return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

#endif
