/* The functions of the backend's table that entry.c puts into it, and the ops that the device runs. */
#ifndef TCT_BACKENDS_CUDA_TABLE_H
#define TCT_BACKENDS_CUDA_TABLE_H

#include "backends/cuda/device.h"

/* ---- device.c ---- */
tct_status tct_cu_open(const tct_host *host, const tct_cu_driver *cu, const tct_open_options *options, tct_device_impl **out) TCT_CHECKED;
void tct_cu_close(tct_device_impl *device);
void tct_cu_info(tct_device_impl *device, tct_device_info *out);
tct_status tct_cu_alloc(tct_device_impl *device, size_t bytes, void **out) TCT_CHECKED;
void tct_cu_free(tct_device_impl *device, void *memory);
tct_status tct_cu_mark(tct_device_impl *device, tct_queue queue, tct_ticket *out) TCT_CHECKED;
bool tct_cu_reached(tct_device_impl *device, tct_ticket ticket);
double tct_cu_elapsed(tct_device_impl *device, tct_ticket begin, tct_ticket end);
tct_status tct_cu_wait(tct_device_impl *device, tct_queue queue, tct_ticket ticket) TCT_CHECKED;

/* ---- kernels.c ---- */
extern const tct_kernel tct_cu_kernel_table[];
extern const size_t tct_cu_kernel_count;

#endif
