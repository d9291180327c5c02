/* What bench_ops times: one op each, as a function that builds it into a graph. */
#ifndef TERCET_PERF_CASES_H
#define TERCET_PERF_CASES_H

#include <tercet/tercet.h>

typedef struct perf_case {
  const char *op, *label;
  void (*build)(tct_graph *graph);
} perf_case;
extern const perf_case perf_cases[];
extern const int32_t perf_n_cases;

/* [m,k]·[k,n], either stored transposed. */
void perf_build_gemm(tct_graph *graph, int64_t m, int64_t n, int64_t k, bool transpose_a, bool transpose_b);
/* `op`: "conv2d" or one of its gradients; x [n,h,w,c], filter [r,s,c,k]. */
void perf_build_conv(tct_graph *graph, const char *op, tct_shape x, tct_shape filter, const tct_conv2d_options *how);
/* `op`: "lstm", "gru" or the gradient of one; x [batch,steps,hidden] into as many units. */
void perf_build_recurrent(tct_graph *graph, const char *op, int64_t batch, int64_t steps, int64_t hidden);

#endif
