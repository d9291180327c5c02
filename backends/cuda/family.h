/* What the families of kernels share: refusals, the state of a step, sizes. A family is one file: it says which nodes its kernels
 * take, fills their structs when a step is prepared, and launches them with the step's pointers. */
#ifndef TCT_BACKENDS_CUDA_FAMILY_H
#define TCT_BACKENDS_CUDA_FAMILY_H

#include "backends/cuda/launch.h"
#include "kernels/cuda/kernels.h"

/* Writes the reason; returns false. */
bool tct_cu_refuse(char *why, size_t why_bytes, const char *format, ...) TCT_PRINTF(3, 4);
/* Every operand and result is of a dtype that kernels store: all but f64. */
bool tct_cu_stores(const tct_node_view *node, char *why, size_t why_bytes);

/* Zeroed, for tct_prepared.state; NULL after recording TCT_OUT_OF_MEMORY. */
void *tct_cu_state(tct_device_impl *device, size_t bytes);
void tct_cu_release_state(tct_device_impl *device, void *state);

size_t tct_cu_bytes(tct_dtype dtype);         /* of an element */
int64_t tct_cu_size(const tct_shape *shape);  /* elements */
bool tct_cu_is_float(tct_dtype dtype);        /* f32, bf16, f16 */
size_t tct_cu_aligned(size_t bytes);          /* whole multiples of what every buffer lies on */
bool tct_cu_is_aligned(const void *pointer);  /* on 16 bytes: what a kernel loads at once */
/* Grid-stride over n items: enough blocks to fill the device, of `threads`, each thread of `width` items. */
tct_cu_extent tct_cu_extent_over(const tct_device_impl *device, int64_t n, uint32_t threads, int32_t width);

#define TCT_CU_FAMILY(family)                                                                                          \
  bool tct_cu_##family##_supports(const tct_node_view *node, char *why, size_t why_bytes);                             \
  tct_status tct_cu_##family##_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out);         \
  tct_status tct_cu_##family##_launch(tct_device_impl *device, const tct_launch *launch);
/* FAMILY rows of families.def: their functions. */
#define FAMILY(family) TCT_CU_FAMILY(family)
#include "backends/cuda/families.def"
#undef FAMILY
#undef TCT_CU_FAMILY

tct_status tct_cu_update_launch_many(tct_device_impl *device, const tct_launch *const *launches, int32_t n);
void tct_cu_matmul_cublaslt_release(tct_device_impl *device, void *state);
void tct_cu_recurrent_cublaslt_release(tct_device_impl *device, void *state);
void tct_cu_matmul_apart_release(tct_device_impl *device, void *state);
void tct_cu_matmul_apart_tiles_release(tct_device_impl *device, void *state);

#endif
