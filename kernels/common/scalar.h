/* The macros in which elementwise.def writes its expressions, given a type. Define TCT_SCALAR as double, float, int32_t
 * or int64_t and include this file; including it again under another TCT_SCALAR changes the type, so it has no guard as
 * a whole.
 *
 *   double            libm: the reference
 *   float             the polynomials of fastmath.h, which both compilers vectorise
 *   int32_t, int64_t  arithmetic only: R ABS MAXIMUM MINIMUM SELECT, enough for the rows whose dtypes are NUMBERS
 *
 * SELECT, MAXIMUM and MINIMUM are functions, not operators: their arguments are evaluated before the choice, which
 * leaves the compiler a blend where `?:` around a polynomial would be a branch. MAXIMUM and MINIMUM keep a NaN of
 * either side. */
#ifndef TCT_SCALAR
#error "define TCT_SCALAR as double, float, int32_t or int64_t before including kernels/common/scalar.h"
#endif

#ifndef TCT_KERNELS_SCALAR_H
#define TCT_KERNELS_SCALAR_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#include "kernels/common/bits.h"

/* TCT_SCALAR_KIND is a number that #if can compare; 0 for a type that is not in the list. */
#define TCT_SCALAR_KIND_double  1
#define TCT_SCALAR_KIND_float   2
#define TCT_SCALAR_KIND_int32_t 3
#define TCT_SCALAR_KIND_int64_t 4
#define TCT_SCALAR_PASTE_(a, b) a##b
#define TCT_SCALAR_PASTE(a, b)  TCT_SCALAR_PASTE_(a, b)
#define TCT_SCALAR_KIND         TCT_SCALAR_PASTE(TCT_SCALAR_KIND_, TCT_SCALAR)

TCT_DEVICE_FN double tct_maximum_double(double a, double b) {
  return ((a > b) | (a != a)) ? a : b;
}
TCT_DEVICE_FN double tct_minimum_double(double a, double b) {
  return ((a < b) | (a != a)) ? a : b;
}
TCT_DEVICE_FN double tct_select_double(bool condition, double a, double b) {
  return condition ? a : b;
}

TCT_DEVICE_FN float tct_maximum_float(float a, float b) {
  return ((a > b) | (a != a)) ? a : b;
}
TCT_DEVICE_FN float tct_minimum_float(float a, float b) {
  return ((a < b) | (a != a)) ? a : b;
}
TCT_DEVICE_FN float tct_select_float(bool condition, float a, float b) {
  return condition ? a : b;
}

TCT_DEVICE_FN int32_t tct_maximum_int32_t(int32_t a, int32_t b) {
  return a > b ? a : b;
}
TCT_DEVICE_FN int32_t tct_minimum_int32_t(int32_t a, int32_t b) {
  return a < b ? a : b;
}
TCT_DEVICE_FN int32_t tct_select_int32_t(bool condition, int32_t a, int32_t b) {
  return condition ? a : b;
}

TCT_DEVICE_FN int64_t tct_maximum_int64_t(int64_t a, int64_t b) {
  return a > b ? a : b;
}
TCT_DEVICE_FN int64_t tct_minimum_int64_t(int64_t a, int64_t b) {
  return a < b ? a : b;
}
TCT_DEVICE_FN int64_t tct_select_int64_t(bool condition, int64_t a, int64_t b) {
  return condition ? a : b;
}

#endif

#undef R
#undef EXP
#undef LOG
#undef LOG1P
#undef EXPM1
#undef SQRT
#undef SIN
#undef COS
#undef TANH
#undef ERF
#undef POW
#undef FLOOR
#undef CEIL
#undef ABS
#undef MAXIMUM
#undef MINIMUM
#undef SELECT

#define R(c)                               ((TCT_SCALAR)(c))
#define MAXIMUM(a, b)                      TCT_SCALAR_PASTE(tct_maximum_, TCT_SCALAR)((a), (b))
#define MINIMUM(a, b)                      TCT_SCALAR_PASTE(tct_minimum_, TCT_SCALAR)((a), (b))
#define SELECT(condition, then, otherwise) TCT_SCALAR_PASTE(tct_select_, TCT_SCALAR)((condition), (then), (otherwise))

#if TCT_SCALAR_KIND == 1
#define EXP(x)    exp(x)
#define LOG(x)    log(x)
#define LOG1P(x)  log1p(x)
#define EXPM1(x)  expm1(x)
#define SQRT(x)   sqrt(x)
#define SIN(x)    sin(x)
#define COS(x)    cos(x)
#define TANH(x)   tanh(x)
#define ERF(x)    erf(x)
#define POW(x, p) pow((x), (p))
#define FLOOR(x)  floor(x)
#define CEIL(x)   ceil(x)
#define ABS(x)    fabs(x)
#elif TCT_SCALAR_KIND == 2
#include "kernels/common/fastmath.h"
#define EXP(x)    tct_expf(x)
#define LOG(x)    tct_logf(x)
#define LOG1P(x)  tct_log1pf(x)
#define EXPM1(x)  tct_expm1f(x)
#define SQRT(x)   sqrtf(x)
#define SIN(x)    tct_sinf(x)
#define COS(x)    tct_cosf(x)
#define TANH(x)   tct_tanhf(x)
#define ERF(x)    tct_erff(x)
#define POW(x, p) tct_powf((x), (p))
#define FLOOR(x)  floorf(x)
#define CEIL(x)   ceilf(x)
#define ABS(x)    fabsf(x)
#elif TCT_SCALAR_KIND == 3 || TCT_SCALAR_KIND == 4
#define ABS(x) SELECT((x) < 0, -(x), (x))
#else
#error "TCT_SCALAR must be double, float, int32_t or int64_t"
#endif
