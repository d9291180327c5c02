/* The table of kernels. */
#ifndef TCT_BACKENDS_TEMPLATE_KERNELS_H
#define TCT_BACKENDS_TEMPLATE_KERNELS_H

#include <tercet/backend.h>

extern const tct_kernel *const tct_template_kernels;
extern const size_t tct_template_n_kernels;

#endif
