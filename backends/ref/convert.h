/* Tensors of every dtype to the doubles that the reference kernels work on, and back.
 *
 * To double: exact, but for i64 beyond ±2^53, which rounds. Back: floats round to nearest; integers take the whole part,
 * the nearest end of their range where the value lies outside it, and 0 for NaN; bool is x ≠ 0. */
#ifndef TCT_BACKENDS_REF_CONVERT_H
#define TCT_BACKENDS_REF_CONVERT_H

#include <tercet/types.h>

void tct_ref_to_double(tct_dtype dtype, int64_t n, const void *from, double *to);
void tct_ref_from_double(tct_dtype dtype, int64_t n, const double *from, void *to);

#endif
