/* What the products need of the elementwise table: a unary row applied to their result. */
#ifndef TCT_KERNELS_REF_ELEMENTWISE_H
#define TCT_KERNELS_REF_ELEMENTWISE_H

#include <tercet/attrs.h>

/* y ← activation(y);  y [n]. TCT_OP_NONE leaves it. */
void tct_ref_activate(tct_op activation, const tct_unary_attrs *attrs, int64_t n, double *y);

#endif
