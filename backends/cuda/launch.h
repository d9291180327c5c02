/* Launching the kernels of kernels/cuda by name. */
#ifndef TCT_BACKENDS_CUDA_LAUNCH_H
#define TCT_BACKENDS_CUDA_LAUNCH_H

#include "backends/cuda/device.h"

typedef enum tct_cu_kernel {
#define KERNEL(name) TCT_CU_KERNEL_##name,
#include "kernels/cuda/kernels.def"
#undef KERNEL
  TCT_CU_N_KERNELS
} tct_cu_kernel;

/* How many blocks of how many threads, and the shared memory of a block beyond what the kernel declares itself. */
typedef struct tct_cu_extent {
  uint32_t grid[3], block[3];
  uint32_t shared_bytes;
} tct_cu_extent;

/* n items, `per_block` to a block of `threads`: a grid of one dimension; of at most `most` blocks for kernels that stride over the
 * items (0: no limit). At least one block. */
tct_cu_extent tct_cu_extent_1d(int64_t n, int64_t per_block, uint32_t threads, int64_t most);

/* Enqueues the kernel for the node on the compute queue. `args` is the kernel's struct, copied before the call returns. */
tct_status tct_cu_launch(tct_device_impl *device, const tct_node_view *node, tct_cu_kernel kernel, const tct_cu_extent *extent,
                         const void *args) TCT_CHECKED;

/* The same for any kernel, by its function; `name` is what reports call it, `parameters` point to each parameter. */
tct_status tct_cu_launch_function(tct_device_impl *device, const tct_node_view *node, CUfunction function, const char *name,
                                  const tct_cu_extent *extent, void **parameters) TCT_CHECKED;
/* Lets blocks of the function have that much shared memory, if it is more than they get without asking. */
CUresult tct_cu_allow_shared(const tct_device_impl *device, CUfunction function, uint32_t bytes);

/* Around what enqueues work of the node, `what` by name ("tct_cu_gemm", "cublasLtMatmul"). Where the first succeeds the second is called,
 * whatever the work's own answer. */
tct_status tct_cu_begin_work(tct_device_impl *device, const tct_node_view *node, const char *what) TCT_CHECKED;
tct_status tct_cu_end_work(tct_device_impl *device, const char *what) TCT_CHECKED;

/* Loads the device code; every kernel of the list is found, or the one that is missing is named. */
tct_status tct_cu_load_code(tct_device_impl *device) TCT_CHECKED;
void tct_cu_unload_code(tct_device_impl *device);

#endif
