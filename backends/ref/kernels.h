/* The reference device's table of kernels: one entry for every op that is computed. */
#ifndef TCT_BACKENDS_REF_KERNELS_H
#define TCT_BACKENDS_REF_KERNELS_H

#include <tercet/backend.h>

extern const tct_kernel tct_ref_kernels[];
extern const size_t tct_ref_n_kernels;

#endif
