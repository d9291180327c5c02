/* Values of any float type as doubles, and how far two of them are apart. */
#ifndef TERCET_PERF_VALUES_H
#define TERCET_PERF_VALUES_H

#include <tercet/types.h>

bool values_are_float(tct_dtype dtype);
/* Element i of dense data; whole numbers and bools too. */
double values_get(tct_dtype dtype, const void *data, int64_t i);
/* Writes the nearest; floats only. */
void values_set(tct_dtype dtype, void *data, int64_t i, double value);
/* How many representable numbers the two are apart: 0 for equals and for two NaN, INFINITY for one NaN; of whole numbers the
 * difference. */
double values_ulps(tct_dtype dtype, const void *a, const void *b, int64_t i);
/* "[3,17]" of element i into `text`; returns `text`. 160 bytes suffice. */
const char *values_place(const tct_shape *shape, int64_t i, char *text, size_t text_bytes);

#endif
