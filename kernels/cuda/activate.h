/* The end of a product: bias and a unary row of the elementwise table. */
#ifndef TCT_KERNELS_CUDA_ACTIVATE_H
#define TCT_KERNELS_CUDA_ACTIVATE_H

#include "kernels/cuda/cuda.h"

#define TCT_SCALAR float
#include "kernels/common/scalar.h"

/* A call, not a copy at each of a thread's sums. */
static __device__ __noinline__ float tct_cu_activate(int32_t op, float x, float p0, float p1) {
  switch (op) {
#define UNARY(name, dtypes, text, forward, gradient, needs, flops)                                                     \
  case TCT_OP_##name:                                                                                                  \
    return forward;
#include <tercet/elementwise.def>
  default:
    return x;
  }
}

TCT_CU_FN float tct_cu_end(const tct_cu_epilogue &end, int64_t j, float sum) {
  if (end.bias.data != NULL) sum += tct_cu_get(end.bias, j);
  if (end.op == TCT_OP_relu) return sum < 0.0f ? 0.0f : sum;
  return end.op == TCT_OP_NONE ? sum : tct_cu_activate(end.op, sum, end.p0, end.p1);
}

#endif
