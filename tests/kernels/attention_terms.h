/* How large the terms are that an element of attention's gradient sums: its softmax balances them, so that their sum may be
 * near zero, and an error is measured by them. */
#ifndef TCT_TESTS_KERNELS_ATTENTION_TERMS_H
#define TCT_TESTS_KERNELS_ATTENTION_TERMS_H

#include <tercet/backend.h>

/* Σ|terms| of each element of output 0 (dq), 1 (dk) or 2 (dv) of an attention_grad in f32, into sum. Returns n, the roundings
 * that a term goes through: γ_n·Σ|terms| bounds an element's error (Higham 2002, section 3.1). */
double attention_grad_terms(const tct_node_view *node, void *const *in, int32_t output, double *sum);

#endif
