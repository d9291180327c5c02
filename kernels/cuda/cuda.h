/* What every .cu file begins with: the declaration of a kernel, and the few device functions that they share. The same files
 * are compiled by nvcc and, as C++ with the emulator's header in front (it defines TCT_SIMT), for the tests. */
#ifndef TCT_KERNELS_CUDA_CUDA_H
#define TCT_KERNELS_CUDA_CUDA_H

#include "kernels/common/half.h"
#include "kernels/cuda/kernels.h"

/* TCT_CUDA_KERNEL(name, launch bounds) { body }: the kernel of row `name`; its arguments are `a`, in constant memory. */
#if defined(__CUDACC__)
#define TCT_CUDA_KERNEL(name, ...)                                                                                     \
  extern "C" __global__ void __launch_bounds__(__VA_ARGS__) tct_cu_##name(const __grid_constant__ tct_cu_##name##_args a)
#define TCT_CU_DYNAMIC(type, name)                                                                                     \
  extern __shared__ __align__(16) unsigned char tct_cu_dynamic[];                                                      \
  type *const name = (type *)tct_cu_dynamic
#elif defined(TCT_SIMT)
#define TCT_CUDA_KERNEL(name, ...)                                                                                     \
  extern "C" {                                                                                                         \
  void tct_cu_##name(const tct_cu_##name##_args &a);                                                                   \
  extern const unsigned tct_cu_##name##_bounds[];                                                                      \
  const unsigned tct_cu_##name##_bounds[] = {__VA_ARGS__};                                                             \
  }                                                                                                                    \
  void tct_cu_##name(const tct_cu_##name##_args &a)
#define TCT_CU_DYNAMIC(type, name) type *const name = (type *)tct_simt_dynamic()
#else
#error "kernels/cuda is compiled by nvcc, or for the tests' emulator"
#endif

#define TCT_CU_FN static __device__ __forceinline__

/* The first element of this thread, and the elements that the whole grid takes at once. */
TCT_CU_FN int64_t tct_cu_first() {
  return (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
}
TCT_CU_FN int64_t tct_cu_pitch() {
  return (int64_t)gridDim.x * blockDim.x;
}

/* n / by.d, and n becomes the rest. n >= 0. */
TCT_CU_FN int64_t tct_cu_divide(int64_t *n, const tct_cu_divisor &by) {
  int64_t quotient;
  if (((*n | by.d) >> 31) == 0) {
    const uint32_t low = (uint32_t)*n;
    quotient = (int64_t)((__umulhi(low, by.magic) + low) >> by.shift);
  } else {
    quotient = *n / by.d;
  }
  *n -= quotient * by.d;
  return quotient;
}

/* Where element number i of the walk lies. */
TCT_CU_FN int64_t tct_cu_offset(const tct_cu_view &view, int64_t i) {
  int64_t offset = 0;
  for (int32_t axis = view.rank - 1; axis > 0; axis--) {
    int64_t index = i;
    i = tct_cu_divide(&index, view.by[axis]);
    offset += index * view.stride[axis];
  }
  return view.rank > 0 ? offset + i * view.stride[0] : 0;
}

TCT_CU_FN int64_t tct_cu_at(const tct_cu_operand &in, int64_t i) {
  return in.access == TCT_CU_DENSE ? i : in.access == TCT_CU_SCALAR ? 0 : tct_cu_offset(in.view, i);
}

/* Element i of any dtype but f64 as a float. */
TCT_CU_FN float tct_cu_load(const void *data, int32_t dtype, int64_t i) {
  if (dtype == TCT_F32) return ((const float *)data)[i];
  switch (dtype) {
  case TCT_BF16:
    return tct_bf16_to_f32(((const uint16_t *)data)[i]);
  case TCT_F16:
    return tct_f16_to_f32(((const uint16_t *)data)[i]);
  case TCT_I32:
    return (float)((const int32_t *)data)[i];
  case TCT_I64:
    return (float)((const int64_t *)data)[i];
  case TCT_I8:
    return (float)((const int8_t *)data)[i];
  case TCT_U8:
  case TCT_BOOL:
    return (float)((const uint8_t *)data)[i];
  default:
    return 0.0f;
  }
}

/* x into element i of a float dtype, rounded to it, or of a bool. */
TCT_CU_FN void tct_cu_store(void *data, int32_t dtype, int64_t i, float x) {
  switch (dtype) {
  case TCT_BF16:
    ((uint16_t *)data)[i] = tct_bf16_from_f32(x);
    break;
  case TCT_F16:
    ((uint16_t *)data)[i] = tct_f16_from_f32(x);
    break;
  case TCT_BOOL:
    ((uint8_t *)data)[i] = x != 0.0f;
    break;
  default:
    ((float *)data)[i] = x;
  }
}

TCT_CU_FN float tct_cu_get(const tct_cu_tensor &x, int64_t i) {
  return tct_cu_load(x.data, x.dtype, i);
}
TCT_CU_FN void tct_cu_put(const tct_cu_tensor &y, int64_t i, float value) {
  if (y.dtype == TCT_F32)
    ((float *)y.data)[i] = value;
  else
    tct_cu_store(y.data, y.dtype, i, value);
}

#endif
