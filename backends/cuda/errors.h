/* The one place that turns what NVIDIA's libraries answer into the library's statuses and sentences. */
#ifndef TCT_BACKENDS_CUDA_ERRORS_H
#define TCT_BACKENDS_CUDA_ERRORS_H

#include "backends/cuda/driver.h"

/* "out of memory (CUDA_ERROR_OUT_OF_MEMORY)"; returns `text`. */
const char *tct_cu_text(const tct_cu_driver *driver, CUresult result, char *text, size_t text_bytes);
/* Records what failed: "device 'gpu': DOING: …". An error that the device does not recover from also names the step that did not
 * end, and every later call of the device fails with the same sentence. */
tct_status tct_cu_failed(tct_device_impl *device, CUresult result, const char *doing) TCT_CHECKED;
/* The same for a library's call ("cublasLtMatmul"), whose answer has a name and a number of its own. */
tct_status tct_cu_library_failed(tct_device_impl *device, tct_status status, const char *call, const char *name, int number) TCT_CHECKED;
/* The device can be used, and its context is the calling thread's; else the failure that ended it. First in every function of the
 * backend that talks to the driver. */
tct_status tct_cu_enter(tct_device_impl *device) TCT_CHECKED;

/* Returns from the function when the driver's call fails. */
#define TCT_CU_TRY(device, call, doing)                                                                                \
  do {                                                                                                                 \
    const CUresult cu_result_ = (call);                                                                                \
    if (cu_result_ != CUDA_SUCCESS) return tct_cu_failed(device, cu_result_, doing);                                    \
  } while (0)

#endif
