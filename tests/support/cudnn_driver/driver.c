/* What cuDNN's engines that are compiled at run time ask a driver for while they plan: a libcuda.so.1 that takes everything and runs
 * nothing, for cudnn_plans. There is no device; kernels are loaded, and have no attributes. Prototypes are cut to what is written. */
#include <stddef.h>
#include <stdint.h>

#define EXPORT __attribute__((visibility("default")))
/* Asked for by name, and never called or called for nothing. */
#define NOTHING(symbol)                                                                                                \
  EXPORT int symbol(void);                                                                                             \
  int symbol(void) { return 0; }
NOTHING(cuCtxGetCurrent)
NOTHING(cuCtxGetLimit)
NOTHING(cuCtxPopCurrent)
NOTHING(cuCtxPushCurrent)
NOTHING(cuDeviceGet)
NOTHING(cuDeviceGetCount)
NOTHING(cuGetErrorName)
NOTHING(cuGetErrorString)
NOTHING(cuKernelGetAttribute)
NOTHING(cuKernelSetAttribute)
NOTHING(cuLaunchCooperativeKernel)
NOTHING(cuLaunchKernel)
NOTHING(cuLaunchKernelEx)
NOTHING(cuLibraryLoadFromFile)
NOTHING(cuLibraryUnload)
NOTHING(cuLinkAddData)
NOTHING(cuLinkComplete)
NOTHING(cuLinkCreate)
NOTHING(cuLinkDestroy)
NOTHING(cuOccupancyMaxPotentialClusterSize)
NOTHING(cuStreamGetCtx)
#undef NOTHING

enum { NO_DEVICE = 100 };

EXPORT int cuInit(unsigned flags);
int cuInit(unsigned flags) { return flags == 0 ? NO_DEVICE : 0; }

EXPORT int cuDriverGetVersion(int *version);
int cuDriverGetVersion(int *version) {
  *version = 13000;
  return 0;
}

/* Handles that nobody looks into. */
EXPORT int cuLibraryLoadData(void **library);
int cuLibraryLoadData(void **library) {
  *library = (void *)(uintptr_t)64;
  return 0;
}

EXPORT int cuLibraryGetKernel(void **kernel);
int cuLibraryGetKernel(void **kernel) {
  *kernel = (void *)(uintptr_t)64;
  return 0;
}
