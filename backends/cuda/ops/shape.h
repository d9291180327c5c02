/* What families say about shapes in the kernels' terms: tensors, blocks over rows, parts of a long sum. */
#ifndef TCT_BACKENDS_CUDA_SHAPE_H
#define TCT_BACKENDS_CUDA_SHAPE_H

#include "backends/cuda/family.h"

tct_cu_tensor tct_cu_tensor_of(const tct_desc *desc, void *data);
/* The product of the extents first … last - 1. */
int64_t tct_cu_extents(const tct_shape *shape, int32_t first, int32_t last);
/* Operand i of the inputs, then the outputs, is a float of up to 32 bits for every bit i of `which`; else the reason. */
bool tct_cu_floats(const tct_node_view *node, uint32_t which, char *why, size_t why_bytes);
/* Blocks of a row kernel over rows of n. */
tct_cu_extent tct_cu_extent_rows(const tct_device_impl *device, int64_t rows, int64_t n);
/* Into how many parts `length` terms are cut, none shorter than `least`, where `blocks` do not fill the device. */
int64_t tct_cu_parts(const tct_device_impl *device, int64_t blocks, int64_t length, int64_t least);
/* An element's bits: `value` in the dtype. */
uint64_t tct_cu_bits(tct_dtype dtype, double value);
/* A reduction's axes as two views, and how many elements each walks; whether neighbours in memory are reduced. */
bool tct_cu_split_axes(const tct_shape *x, uint32_t axes, tct_cu_view *kept, tct_cu_view *reduced, int64_t *out_kept, int64_t *out_reduced);
/* Row-major strides. */
void tct_cu_strides(const tct_shape *shape, int64_t stride[TCT_MAX_RANK]);

#endif
