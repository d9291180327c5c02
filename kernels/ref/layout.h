/* Shapes and strides as the reference kernels use them: the size of a shape, row-major and broadcast strides, and a
 * walk over all elements of a shape that keeps the offsets of several operands. */
#ifndef TCT_KERNELS_REF_LAYOUT_H
#define TCT_KERNELS_REF_LAYOUT_H

#include <tercet/attrs.h>

#define TCT_WALK_OPERANDS TCT_CHAIN_INPUTS

/* An odometer: visits a shape in row-major order; offset[k] follows operand k's strides. */
typedef struct tct_walk {
  int32_t rank, n_operands;
  int64_t dim[TCT_MAX_RANK], index[TCT_MAX_RANK];
  int64_t stride[TCT_WALK_OPERANDS][TCT_MAX_RANK];
  int64_t offset[TCT_WALK_OPERANDS];
} tct_walk;

static inline int64_t tct_ref_size(const tct_shape *shape) {
  int64_t size = 1;
  for (int32_t i = 0; i < shape->rank; i++) size *= shape->dim[i];
  return size;
}

/* The product of the extents of axes first … last-1. */
static inline int64_t tct_ref_extent(const tct_shape *shape, int32_t first, int32_t last) {
  int64_t extent = 1;
  for (int32_t i = first; i < last; i++) extent *= shape->dim[i];
  return extent;
}

/* Elements between neighbours along each axis of a dense row-major tensor. */
static inline void tct_ref_strides(const tct_shape *shape, int64_t *stride) {
  int64_t step = 1;
  for (int32_t i = shape->rank - 1; i >= 0; i--) {
    stride[i] = step;
    step *= shape->dim[i];
  }
}

/* Strides with which `from` is read as if it had the shape `to`: NumPy's rule, axes aligned at the last, 0 where an
 * extent of 1 is repeated. */
static inline void tct_ref_broadcast(const tct_shape *from, const tct_shape *to, int64_t *stride) {
  int64_t own[TCT_MAX_RANK];
  tct_ref_strides(from, own);
  const int32_t missing = to->rank - from->rank;
  for (int32_t i = 0; i < to->rank; i++) stride[i] = i < missing || from->dim[i - missing] == 1 ? 0 : own[i - missing];
}

static inline tct_walk tct_walk_over(const tct_shape *shape) {
  tct_walk walk = {.rank = shape->rank};
  for (int32_t i = 0; i < shape->rank; i++) walk.dim[i] = shape->dim[i];
  return walk;
}

static inline void tct_walk_add(tct_walk *walk, const int64_t *stride) {
  for (int32_t i = 0; i < walk->rank; i++) walk->stride[walk->n_operands][i] = stride[i];
  walk->n_operands++;
}

/* To the next element; after the last one, back to the first with the offsets of the start. */
static inline void tct_walk_next(tct_walk *walk) {
  for (int32_t i = walk->rank - 1; i >= 0; i--) {
    for (int32_t k = 0; k < walk->n_operands; k++) walk->offset[k] += walk->stride[k][i];
    if (++walk->index[i] < walk->dim[i]) return;
    for (int32_t k = 0; k < walk->n_operands; k++) walk->offset[k] -= walk->stride[k][i] * walk->dim[i];
    walk->index[i] = 0;
  }
}

#endif
