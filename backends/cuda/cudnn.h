/* cuDNN, opened at run time when a program first has a convolution that is worth it, and plans of it for one convolution with what
 * comes behind. */
#ifndef TCT_BACKENDS_CUDA_CUDNN_H
#define TCT_BACKENDS_CUDA_CUDNN_H

#include <cudnn.h>

#include "backends/cuda/libraries.h"

typedef struct tct_cu_cudnn {
#define CUDNN(member, symbol) __typeof__(symbol) *member;
#include "backends/cuda/cudnn.def"
#undef CUDNN
  tct_cu_library library;
  char name[32]; /* "cuDNN 9.19.0" */
} tct_cu_cudnn;

/* As tct_cu_cublaslt_open. */
const tct_cu_cudnn *tct_cu_cudnn_open(const tct_host *host, char *why, size_t why_bytes);
void tct_cu_tell_cudnn(const tct_host *host, tct_fact_fn fn, void *user);

/* What is convolved. Extents and strides in our order, channels last; the filter as [k,r,s,cg]. */
typedef enum tct_cu_conv_pass { TCT_CU_CONV, TCT_CU_CONV_GRAD_INPUT, TCT_CU_CONV_GRAD_FILTER } tct_cu_conv_pass;
typedef struct tct_cu_conv_problem {
  int64_t pass;               /* a tct_cu_conv_pass */
  int64_t x[4], w[4], y[4];   /* [n,h,w,c], [k,r,s,cg], [n,p,q,k] */
  int64_t stride[2], dilation[2], before[2], after[2]; /* before, after: padding */
  int64_t in_type, out_type;  /* cudnnDataType_t: of the operands, of the result */
  int64_t bias, relu;         /* of the forward pass; bias of out_type */
} tct_cu_conv_problem;

enum { TCT_CU_PLAN_PARTS = 24 };
typedef struct tct_cu_conv_plan {
  cudnnBackendDescriptor_t part[TCT_CU_PLAN_PARTS]; /* owned; the plan and all that it was made of */
  int32_t n_parts;
  cudnnBackendDescriptor_t plan;
  size_t workspace_bytes;
} tct_cu_conv_plan;

/* The first plan that the library's heuristics name, of those that keep f32 exact (but with `tf32`), are deterministic and need at most
 * that workspace. Anything but SUCCESS: there is none, nothing to drop. */
cudnnStatus_t tct_cu_conv_plan_make(const tct_cu_cudnn *api, cudnnHandle_t handle, const tct_cu_conv_problem *problem, bool tf32,
                                    size_t most_workspace, tct_cu_conv_plan *out);
/* Enqueues it on the handle's stream. bias NULL: none. */
cudnnStatus_t tct_cu_conv_plan_run(const tct_cu_cudnn *api, cudnnHandle_t handle, const tct_cu_conv_plan *plan, void *x, void *w, void *y,
                                   void *bias, void *workspace);
void tct_cu_conv_plan_drop(const tct_cu_cudnn *api, tct_cu_conv_plan *plan);

/* What the device holds of it (conv2d_cudnn.c); its context is current. */
void tct_cu_close_convolutions(tct_device_impl *device);

#endif
