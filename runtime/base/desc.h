/* The size of what a tct_desc describes. */
#ifndef TCT_BASE_DESC_H
#define TCT_BASE_DESC_H

#include <tercet/types.h>

/* Of a description that has been checked: its size does not overflow. */
static inline size_t tct_desc_bytes(const tct_desc *desc) {
  return (size_t)tct_shape_size(&desc->shape) * tct_dtype_bytes(desc->dtype);
}

#endif
