/* The polynomials of fastmath.h against the C library in double: error in units of the last place of the exact result
 * over ranges and over samples of all bit patterns, and the special values. */
#include <stdint.h>

#include "kernels/common/fastmath.h"
#include "test.h"

/* |got - want| in ulps of the f32 nearest to want; a large number where one is NaN or infinite and the other is not. */
static double ulps(float got, double want) {
  const float nearest = (float)want;
  if (isnan(want)) return isnan(got) ? 0.0 : 1e9;
  if (isinf(nearest) || isinf(got)) return got == nearest ? 0.0 : 1e9;
  if (isnan(got)) return 1e9;
  int exponent;
  (void)frexp(want, &exponent);
  return fabs((double)got - want) / ldexp(1.0, exponent - 24 < -149 ? -149 : exponent - 24);
}

static float of_bits(uint64_t bits) {
  return tct_f32_of_bits((uint32_t)bits);
}

typedef struct function_row {
  const char *name;
  float (*fast)(float);
  double (*exact)(double);
  double low, high; /* a range to sample evenly */
  double most_ulps;
  float most_x; /* bit patterns beyond it are left out */
} function_row;

static float fast_exp(float x) {
  return tct_expf(x);
}
static float fast_expm1(float x) {
  return tct_expm1f(x);
}
static float fast_log(float x) {
  return tct_logf(x);
}
static float fast_log1p(float x) {
  return tct_log1pf(x);
}
static float fast_tanh(float x) {
  return tct_tanhf(x);
}
static float fast_erf(float x) {
  return tct_erff(x);
}
static float fast_sin(float x) {
  return tct_sinf(x);
}
static float fast_cos(float x) {
  return tct_cosf(x);
}

static const function_row rows[] = {
    {"exp", fast_exp, exp, -104, 89, 1.5, INFINITY}, {"expm1", fast_expm1, expm1, -3, 3, 2, INFINITY},
    {"log", fast_log, log, 0.4, 2.5, 1, INFINITY},   {"log1p", fast_log1p, log1p, -0.9, 2, 2, INFINITY},
    {"tanh", fast_tanh, tanh, -4, 4, 3, INFINITY},   {"erf", fast_erf, erf, -4, 4, 1.5, INFINITY},
    {"sin", fast_sin, sin, -1e5, 1e5, 2, 1e6f},      {"cos", fast_cos, cos, -1e5, 1e5, 2, 1e6f},
};
#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static void check_at(const function_row *row, float x) {
  const double error = ulps(row->fast(x), row->exact((double)x));
  CHECK(error <= row->most_ulps, "%s(%a) = %.9g is %.2f ulp from %.17g", row->name, (double)x, (double)row->fast(x),
        error, row->exact((double)x));
}

TEST(fastmath, unary_within_ulps) {
  for (size_t i = 0; i < COUNT(rows); i++) {
    const function_row *row = &rows[i];
    for (int j = 0; j <= 200000; j++) check_at(row, (float)(row->low + (row->high - row->low) * j / 200000));
    for (uint64_t bits = 0; bits < (1ull << 32); bits += 30011) {
      const float x = of_bits(bits);
      if (!(fabsf(x) > row->most_x) || isnan(x)) check_at(row, x);
    }
  }
}

TEST(fastmath, special_values) {
  CHECK(tct_expf(INFINITY) == INFINITY && tct_expf(-INFINITY) == 0.0f && tct_expf(0.0f) == 1.0f);
  CHECK(tct_expf(88.8f) == INFINITY && tct_expf(88.7f) < INFINITY && tct_expf(-103.0f) > 0.0f);
  CHECK(tct_expm1f(-INFINITY) == -1.0f && tct_expm1f(INFINITY) == INFINITY);
  CHECK(tct_logf(0.0f) == -INFINITY && tct_logf(-0.0f) == -INFINITY && isnan(tct_logf(-1.0f)));
  CHECK(tct_logf(INFINITY) == INFINITY && isnan(tct_logf(-INFINITY)) && tct_logf(1.0f) == 0.0f);
  CHECK(tct_log1pf(-1.0f) == -INFINITY && isnan(tct_log1pf(-1.5f)) && tct_log1pf(INFINITY) == INFINITY);
  CHECK(tct_tanhf(INFINITY) == 1.0f && tct_tanhf(-INFINITY) == -1.0f && signbit(tct_tanhf(-0.0f)));
  CHECK(tct_erff(INFINITY) == 1.0f && tct_erff(-INFINITY) == -1.0f && signbit(tct_erff(-0.0f)));
  CHECK(isnan(tct_sinf(INFINITY)) && isnan(tct_cosf(-INFINITY)) && tct_cosf(0.0f) == 1.0f);
  for (size_t i = 0; i < COUNT(rows); i++) CHECK(isnan(rows[i].fast(NAN)), "%s of NaN", rows[i].name);
  for (int i = 20; i < 38; i++) {
    const float huge = powf(10.0f, (float)i);
    CHECK(fabsf(tct_sinf(huge)) <= 1.0f && fabsf(tct_cosf(huge)) <= 1.0f, "beyond the reduction, 1e%d", i);
  }
}

TEST(fastmath, pow_of_special_values) {
  static const float x[] = {0.0f,     -0.0f,     1,   -1,     2,       -2,    3,        -3,       0.5f,     -0.5f,
                            INFINITY, -INFINITY, NAN, 1e-40f, -1e-40f, 1e30f, 16777216, 16777215, -16777215};
  for (size_t i = 0; i < COUNT(x); i++) {
    for (size_t j = 0; j < COUNT(x); j++) {
      const float got = tct_powf(x[i], x[j]), want = powf(x[i], x[j]);
      CHECK(ulps(got, pow((double)x[i], (double)x[j])) <= 1.0 && (isnan(want) || signbit(got) == signbit(want)),
            "pow(%g, %g) = %g, libm has %g", (double)x[i], (double)x[j], (double)got, (double)want);
    }
  }
}

TEST(fastmath, pow_within_ulps) {
  uint64_t state = 1;
  for (int i = 0; i < 400000; i++) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    const float any = of_bits(state >> 32), unit = (float)(state >> 40) * 0x1p-24f;
    state = state * 6364136223846793005u + 1442695040888963407u;
    const float other = of_bits(state >> 32), exponent = (float)(state >> 40) * 0x1p-24f * 40.0f - 20.0f;
    const float x[] = {any, unit * 10.0f, -unit * 10.0f}, y[] = {other, exponent, rintf(exponent)};
    for (int j = 0; j < 3; j++) {
      const double error = ulps(tct_powf(x[j], y[j]), pow((double)x[j], (double)y[j]));
      CHECK(error <= 1.0, "pow(%a, %a) is %.2f ulp off", (double)x[j], (double)y[j], error);
    }
  }
}
