/* One number of any dtype in memory, as a double. */
#ifndef TCT_BASE_NUMBER_H
#define TCT_BASE_NUMBER_H

#include <tercet/types.h>

bool tct_dtype_is_float(tct_dtype dtype); /* f32 f64 bf16 f16 */
/* Whether the whole-number type can hold the value; floats round, or become infinite. */
bool tct_number_fits(tct_dtype dtype, double value);
/* data[i] = value, which fits. Floats round to nearest, once; whole numbers lose their fraction; bool is value ≠ 0. */
void tct_store_number(tct_dtype dtype, void *data, int64_t i, double value);
/* Exact but for an i64 beyond ±2^53. */
double tct_load_number(tct_dtype dtype, const void *data, int64_t i);

#endif
