/* What the casts' files share. */
#ifndef TCT_KERNELS_CPU_CAST_H
#define TCT_KERNELS_CPU_CAST_H

#include "kernels/cpu/kernels.h"
#include "kernels/common/half.h"

/* `value`: of x, the element widened by `read`. */
#define CAST(from, to, in_type, out_type, read, value)                                                                 \
  static void cast_##from##_##to(const void *const *arg, void *out, int64_t n, const double *p) {                      \
    const in_type *in = arg[0];                                                                                        \
    out_type *result = out;                                                                                            \
    TCT_EACH (i, n) {                                                                                                  \
      read;                                                                                                            \
      result[i] = (out_type)(value);                                                                                   \
    }                                                                                                                  \
    (void)p;                                                                                                           \
  }

/* The whole numbers' rows; NULL where cast.c has the pair. */
tct_cpu_row TCT_CPU(cast_whole_row)(tct_dtype from, tct_dtype to);

#endif
