/* cuDNN, opened at run time when a program first has an op that is worth it, and what a device holds of it: a handle, and a plan for
 * each problem that was asked for. */
#ifndef TCT_BACKENDS_CUDA_CUDNN_H
#define TCT_BACKENDS_CUDA_CUDNN_H

#include <cudnn.h>

#include "backends/cuda/libraries/libraries.h"

typedef struct tct_cu_cudnn {
#define CUDNN(member, symbol) __typeof__(symbol) *member;
#include "backends/cuda/libraries/cudnn.def"
#undef CUDNN
  tct_cu_library library;
  char name[32]; /* "cuDNN 9.19.0" */
} tct_cu_cudnn;

/* As tct_cu_cublaslt_open. */
const tct_cu_cudnn *tct_cu_cudnn_open(const tct_host *host, char *why, size_t why_bytes);
void tct_cu_tell_cudnn(const tct_host *host, tct_fact_fn fn, void *user);
/* What the device holds of it (plans.c); its context is current. */
void tct_cu_close_plans(tct_device_impl *device);

#endif
