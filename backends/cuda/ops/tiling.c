/* See tiling.h. */
#include "backends/cuda/ops/tiling.h"

enum { LEAST_TERMS = 256 }; /* of a part: joining the parts costs a pass over each */

tct_cu_epilogue tct_cu_epilogue_of(tct_op activation, const tct_unary_attrs *parameters) {
  return (tct_cu_epilogue){.op = (int32_t)activation, .p0 = (float)parameters->p0, .p1 = (float)parameters->p1};
}

tct_cu_extent tct_cu_tiles(const tct_device_impl *device, tct_cu_tiling *out, int64_t m, int64_t n, int64_t k, int64_t batch, int64_t size,
                           size_t *out_workspace_bytes) {
  const int64_t down = (m + TCT_CU_TILE - 1) / TCT_CU_TILE, across = (n + TCT_CU_TILE - 1) / TCT_CU_TILE;
  int64_t parts = tct_cu_parts(device, down * across * batch, k, LEAST_TERMS);
  const int64_t steps = ((k + parts - 1) / parts + TCT_CU_TILE_DEPTH - 1) / TCT_CU_TILE_DEPTH;
  const int64_t length = (steps < 1 ? 1 : steps) * TCT_CU_TILE_DEPTH;
  parts = k > length ? (k + length - 1) / length : 1;
  *out = (tct_cu_tiling){.tiles_m = tct_cu_divisor_of(down),
                         .tiles_n = tct_cu_divisor_of(across),
                         .parts = tct_cu_divisor_of(parts),
                         .part_length = length};
  *out_workspace_bytes = parts > 1 ? (size_t)(parts * size) * sizeof(float) : 0;
  return tct_cu_extent_1d(batch * parts * down * across, 1, TCT_CU_BLOCK, 0);
}

tct_status tct_cu_join_tiles(tct_device_impl *device, const tct_node_view *node, const tct_cu_tiling *tiling, const tct_cu_epilogue *end,
                             const tct_cu_tensor *y, int64_t size, int64_t n) {
  if (tiling->parts.d == 1) return TCT_OK;
  const tct_cu_sum_parts_args a = {.partial = tiling->partial,
                                   .y = *y,
                                   .end = *end,
                                   .size = size,
                                   .parts = tiling->parts.d,
                                   .n = tct_cu_divisor_of(n)};
  const tct_cu_extent extent = tct_cu_extent_over(device, size, TCT_CU_BLOCK, 1);
  return tct_cu_launch(device, node, TCT_CU_KERNEL_sum_parts, &extent, &a);
}
