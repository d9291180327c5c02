/* See shape.h. */
#include "backends/cuda/ops/shape.h"

#include "kernels/common/half.h"

tct_cu_tensor tct_cu_tensor_of(const tct_desc *desc, void *data) {
  return (tct_cu_tensor){.data = data, .dtype = (int32_t)desc->dtype};
}

int64_t tct_cu_extents(const tct_shape *shape, int32_t first, int32_t last) {
  int64_t n = 1;
  for (int32_t i = first; i < last; i++) n *= shape->dim[i];
  return n;
}

bool tct_cu_floats(const tct_node_view *node, uint32_t which, char *why, size_t why_bytes) {
  if (!tct_cu_stores(node, why, why_bytes)) return false;
  for (int32_t i = 0; i < node->n_in + node->n_out && i < 32; i++) {
    const tct_desc *const desc = i < node->n_in ? &node->in[i] : &node->out[i - node->n_in];
    if ((which >> i & 1u) != 0 && !tct_cu_is_float(desc->dtype))
      return tct_cu_refuse(why, why_bytes, "device gpu runs %s in f32, bf16 and f16 only; cast the operand", node->op_name);
  }
  return true;
}

tct_cu_extent tct_cu_extent_rows(const tct_device_impl *device, int64_t rows, int64_t n) {
  uint32_t along = TCT_CU_WARP;
  while (along < TCT_CU_ROW_THREADS && (int64_t)along * 8 < n) along *= 2;
  const uint32_t beside = along < TCT_CU_BLOCK ? TCT_CU_BLOCK / along : 1;
  tct_cu_extent extent = tct_cu_extent_1d(rows, beside, along, 16 * (int64_t)device->chip.n_units);
  extent.block[1] = beside;
  return extent;
}

int64_t tct_cu_parts(const tct_device_impl *device, int64_t blocks, int64_t length, int64_t least) {
  const int64_t wanted = 2 * (int64_t)device->chip.n_units / (blocks < 1 ? 1 : blocks), most = length / least;
  const int64_t parts = wanted < most ? wanted : most;
  return parts < 1 ? 1 : parts;
}

uint64_t tct_cu_bits(tct_dtype dtype, double value) {
  switch (dtype) {
  case TCT_F32:
    return tct_bits_of_f32((float)value);
  case TCT_BF16:
    return tct_bf16_from_f64(value);
  case TCT_F16:
    return tct_f16_from_f64(value);
  case TCT_BOOL:
    return value != 0.0;
  default:
    return (uint64_t)(int64_t)value;
  }
}

void tct_cu_strides(const tct_shape *shape, int64_t stride[TCT_MAX_RANK]) {
  int64_t pitch = 1;
  for (int32_t i = shape->rank - 1; i >= 0; i--) {
    stride[i] = pitch;
    pitch *= shape->dim[i];
  }
}

bool tct_cu_split_axes(const tct_shape *x, uint32_t axes, tct_cu_view *kept, tct_cu_view *reduced, int64_t *out_kept, int64_t *out_reduced) {
  int64_t stride[TCT_MAX_RANK];
  bool rows = true;
  tct_cu_strides(x, stride);
  *out_kept = *out_reduced = 1;
  for (int32_t i = 0; i < x->rank; i++) {
    const bool is_reduced = (axes >> i & 1u) != 0;
    *(is_reduced ? out_reduced : out_kept) *= x->dim[i];
    tct_cu_add_axis(is_reduced ? reduced : kept, x->dim[i], stride[i]);
    if (x->dim[i] != 1) rows = is_reduced;
  }
  return rows;
}
