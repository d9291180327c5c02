/* NVRTC, NVIDIA's compiler of CUDA C++ as a library, opened at run time when a program first has a custom op in that language. */
#ifndef TCT_BACKENDS_CUDA_NVRTC_H
#define TCT_BACKENDS_CUDA_NVRTC_H

#include <nvrtc.h>

#include "backends/cuda/device.h"

typedef struct tct_cu_nvrtc {
#define NVRTC(member, symbol) __typeof__(symbol) *member;
#include "backends/cuda/libraries/nvrtc.def"
#undef NVRTC
  tct_cu_library library;
  char name[32]; /* "NVRTC 13.0.0" */
} tct_cu_nvrtc;

/* The fact "nvrtc": which it is, or what is missing and where it was looked for. */
void tct_cu_tell_nvrtc(const tct_host *host, tct_fact_fn fn, void *user);

/* CUDA C++ as what the driver loads on this device, a cubin or PTX, in memory that the caller releases: from the user's cache on disk where
 * the same compiler made it of the same text before. `op` is whose it is, `options` (NULL: none) are separated by blanks. A refusal by
 * the compiler is TCT_INVALID with its log; without NVRTC it is TCT_UNAVAILABLE, with where it was looked for. */
tct_status tct_cu_compile(tct_device_impl *device, const char *op, const char *text, const char *options, void **out_image) TCT_CHECKED;

#endif
