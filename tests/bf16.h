/* The nearest bf16 by arithmetic on the value instead of its bits: what tests compare the library's rounding with. */
#ifndef TCT_TESTS_BF16_H
#define TCT_TESTS_BF16_H

#include <math.h>

/* Ties to even. */
static inline double nearest_bf16(double x) {
  int exponent = 0;
  if (x == 0 || !isfinite(x)) return x;
  (void)frexp(x, &exponent);
  const double unit = ldexp(1, exponent - 8); /* eight bits of significand */
  const double scaled = x / unit, below = floor(scaled), rest = scaled - below;
  const double rounded = rest > 0.5 || (rest == 0.5 && fmod(below, 2) != 0) ? below + 1 : below;
  return rounded * unit;
}

#endif
