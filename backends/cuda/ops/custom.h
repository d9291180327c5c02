/* Custom ops that programs gave as device code (<tercet/op.h>). */
#ifndef TCT_BACKENDS_CUDA_CUSTOM_H
#define TCT_BACKENDS_CUDA_CUSTOM_H

#include "backends/cuda/device.h"

/* prepare, launch and release of every such op. */
extern const tct_kernel tct_cu_custom_kernel;
/* Unloads what the device has loaded; its context is current. */
void tct_cu_close_custom(tct_device_impl *device);

#endif
