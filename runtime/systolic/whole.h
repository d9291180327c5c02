/* Arithmetic of extents, shared by the models of the array and of the chip. */
#ifndef TCT_SYSTOLIC_WHOLE_H
#define TCT_SYSTOLIC_WHOLE_H

#include <stdint.h>

/* n >= 0, by >= 1. */
static inline int64_t tct_divide_up(int64_t n, int64_t by) { return n / by + (n % by != 0); }
static inline int64_t tct_round_up(int64_t n, int64_t to) { return tct_divide_up(n, to) * to; }
static inline int64_t tct_smaller(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t tct_larger(int64_t a, int64_t b) { return a > b ? a : b; }

#endif
