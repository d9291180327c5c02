/* cuBLASLt, opened at run time when a program first has a product that is worth it: half a gigabyte, which a small model never
 * loads. */
#ifndef TCT_BACKENDS_CUDA_CUBLASLT_H
#define TCT_BACKENDS_CUDA_CUBLASLT_H

#include <cublasLt.h>

#include "backends/cuda/libraries/libraries.h"

typedef struct tct_cu_cublaslt {
#define CUBLASLT(member, symbol) __typeof__(symbol) *member;
#include "backends/cuda/libraries/cublaslt.def"
#undef CUBLASLT
  tct_cu_library library;
  char name[32]; /* "cuBLASLt 13.1.0" */
} tct_cu_cublaslt;

/* Opened at the first call that finds it, then the same for the process. NULL: `why` says what is missing, where it was looked for and
 * what to do. Any thread. */
const tct_cu_cublaslt *tct_cu_cublaslt_open(const tct_host *host, char *why, size_t why_bytes);
/* The fact "cublaslt": which it is and what runs on it, or why it is not used. */
void tct_cu_tell_cublaslt(const tct_host *host, tct_fact_fn fn, void *user);
/* What the device holds of it (products.c); its context is current. */
void tct_cu_close_products(tct_device_impl *device);

#endif
