/* The device code inside the module: one fatbin for each file of kernels/cuda, written into the build folder by
 * cmake/cuda.cmake. */
#ifndef TCT_BACKENDS_CUDA_IMAGE_H
#define TCT_BACKENDS_CUDA_IMAGE_H

#include <stdint.h>

typedef struct tct_cuda_image {
  const char *name;          /* "fill", of kernels/cuda/fill.cu */
  const unsigned char *code; /* a fatbin; NULL in a build without device code */
} tct_cuda_image;

extern const tct_cuda_image tct_cuda_images[];
extern const int32_t tct_cuda_n_images;
/* 75 is compute capability 7.5; ascending. The code of the last is there as PTX too. */
extern const int32_t tct_cuda_architectures[];
extern const int32_t tct_cuda_n_architectures;

#endif
