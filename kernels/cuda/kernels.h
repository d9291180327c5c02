/* What the host passes to the CUDA kernels: one struct by value for each row of kernels.def, read by C17 on the host and by
 * device code alike, and the contract of each launch: what it computes, its grid, its shared memory. Pointers are device
 * memory; tensors are dense and row-major unless strides are given. No kernel uses atomics on floats: the same arguments
 * give the same bits. Blocks have a multiple of 32 threads.
 *
 * "grid-stride": any grid of one dimension is right; TCT_CU_BLOCK threads a block. */
#ifndef TCT_KERNELS_CUDA_KERNELS_H
#define TCT_KERNELS_CUDA_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tercet/attrs.h>

enum { TCT_CU_BLOCK = 256, TCT_CU_WARP = 32 };

/* ---- indices and operands ---- */

/* Division by d without a division: exact for 0 <= n < 2^31 (Granlund & Montgomery 1994); greater n are divided. */
typedef struct tct_cu_divisor {
  int64_t d;
  uint32_t magic;
  int32_t shift;
} tct_cu_divisor;

static inline tct_cu_divisor tct_cu_divisor_of(int64_t d) {
  tct_cu_divisor by;
  by.d = d < 1 ? 1 : d;
  by.shift = 0;
  while (by.shift < 31 && ((int64_t)1 << by.shift) < by.d) by.shift++;
  by.magic = by.d >> 31 != 0 ? 0 : (uint32_t)((((uint64_t)1 << 32) * (((uint64_t)1 << by.shift) - (uint64_t)by.d)) / (uint64_t)by.d + 1);
  return by;
}

/* Extents, outermost first, and the elements between neighbours along each: where element number i of a walk lies. */
typedef struct tct_cu_view {
  int32_t rank;
  int32_t reserved;
  tct_cu_divisor by[TCT_MAX_RANK];
  int64_t stride[TCT_MAX_RANK];
} tct_cu_view;

/* How an operand is read over the output's elements. */
typedef enum tct_cu_access {
  TCT_CU_DENSE,  /* element i */
  TCT_CU_SCALAR, /* element 0 */
  TCT_CU_GENERAL /* by the view */
} tct_cu_access;

typedef struct tct_cu_operand {
  const void *data;
  int32_t dtype; /* a tct_dtype */
  int32_t access;
  tct_cu_view view;
} tct_cu_operand;

/* The view of an operand over `out`, broadcast by NumPy's rule, with axes joined that it walks as one; and how to read it. */
static inline tct_cu_operand tct_cu_operand_of(const void *data, const tct_desc *desc, const tct_shape *out) {
  tct_cu_operand in = {data, (int32_t)desc->dtype, TCT_CU_GENERAL, {0, 0, {{0, 0, 0}}, {0}}};
  int64_t dim[TCT_MAX_RANK], stride[TCT_MAX_RANK], pitch = 1, size = 1;
  const int32_t shift = out->rank - desc->shape.rank;
  for (int32_t i = out->rank - 1; i >= 0; i--) {
    const int64_t extent = i >= shift ? desc->shape.dim[i - shift] : 1;
    stride[i] = extent == 1 ? 0 : pitch;
    pitch *= extent;
    size *= out->dim[i];
  }
  int32_t n = 0;
  for (int32_t i = 0; i < out->rank; i++) {
    if (out->dim[i] == 1) continue;
    if (n > 0 && in.view.stride[n - 1] == stride[i] * out->dim[i]) {
      dim[n - 1] *= out->dim[i];
      in.view.stride[n - 1] = stride[i];
    } else {
      dim[n] = out->dim[i];
      in.view.stride[n++] = stride[i];
    }
  }
  in.view.rank = n;
  for (int32_t i = 0; i < n; i++) in.view.by[i] = tct_cu_divisor_of(dim[i]);
  if (pitch == 1)
    in.access = TCT_CU_SCALAR;
  else if (pitch == size && n == 1)
    in.access = TCT_CU_DENSE;
  return in;
}

/* ---- elementwise ---- */

/* One step of a chain. arg: a slot, or TCT_CU_LAST, the result of the step before. */
enum { TCT_CU_LAST = 255, TCT_CU_CHAIN_BLOCK = 128, TCT_CU_CHAIN_WIDTH = 4 };
typedef struct tct_cu_step {
  int32_t op; /* a tct_op: an elementwise row, its _grad, or select */
  uint8_t arg[3];
  uint8_t to; /* a slot; TCT_CU_LAST: nobody but the next step reads it */
  float p0, p1;
} tct_cu_step;

/* y = the last step's result. Arithmetic in f32; operands of every dtype but f64 are converted, a bool is 0 or 1; the result is
 * rounded to y's float dtype, or is ≠ 0 as a bool. Input i is loaded into slot i before the first step. Grid-stride with
 * TCT_CU_CHAIN_BLOCK threads, each of TCT_CU_CHAIN_WIDTH elements; shared: n_slots · TCT_CU_CHAIN_BLOCK ·
 * TCT_CU_CHAIN_WIDTH floats. `aligned`: every dense operand and y lie on 16 bytes. */
typedef struct tct_cu_chain_args {
  void *y;
  int64_t n;
  int32_t y_dtype, n_in, n_steps, aligned;
  tct_cu_operand in[TCT_CHAIN_INPUTS];
  tct_cu_step step[TCT_CHAIN_STEPS];
} tct_cu_chain_args;

/* One row of the table in whole numbers: operands i32, i64, u8 or bool, all of one dtype; y of that dtype, or bool where the row
 * is a comparison, a logical op or a predicate. p0 and p1 within i32. Grid-stride. */
typedef struct tct_cu_whole_args {
  void *y;
  int64_t n;
  int32_t op, n_in;
  tct_cu_operand in[2];
  int64_t p0, p1;
} tct_cu_whole_args;

/* y = condition ? a : b as bits; in: condition (bool), a, b, y of elements of `bytes` 1, 2, 4 or 8. Grid-stride. */
typedef struct tct_cu_select_args {
  void *y;
  int64_t n;
  int32_t bytes, reserved;
  tct_cu_operand in[3];
} tct_cu_select_args;

/* y = x in y_dtype, dense: truncated to a whole number within its bounds, NaN 0; x ≠ 0 as a bool; to bf16 and f16 one rounding.
 * Any two dtypes but f64. Grid-stride. */
typedef struct tct_cu_cast_args {
  const void *x;
  void *y;
  int64_t n;
  int32_t x_dtype, y_dtype;
} tct_cu_cast_args;

#endif
