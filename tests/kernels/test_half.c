/* kernels/common/half.h against arithmetic in double: all 65536 values of both types, f32 values on and beside every
 * boundary, random ones, and doubles that two roundings in a row would get wrong. */
#include "base/number.h"
#include "kernels/common/half.h"
#include "test.h"

typedef struct half_type {
  const char *name;
  tct_dtype dtype;
  int precision;      /* bits of the significand */
  int least_exponent; /* of a normal number */
  double most;        /* the greatest finite number */
  float (*to_f32)(uint16_t);
  uint16_t (*from_f32)(float), (*from_f64)(double);
} half_type;

static const half_type types[] = {
    {"bf16", TCT_BF16, 8, -126, 0x1.fep127, tct_bf16_to_f32, tct_bf16_from_f32, tct_bf16_from_f64},
    {"f16", TCT_F16, 11, -14, 65504, tct_f16_to_f32, tct_f16_from_f32, tct_f16_from_f64},
};
enum { N_TYPES = sizeof types / sizeof *types };

/* The value of a pattern by the definition of the format. */
static double meaning(const half_type *t, uint16_t x) {
  const int fraction_bits = t->precision - 1, bias = -t->least_exponent + 1;
  const int exponent = (x & 0x7fff) >> fraction_bits, most = (0x7fff >> fraction_bits);
  const int fraction = x & ((1 << fraction_bits) - 1);
  double value = ldexp(fraction, t->least_exponent - fraction_bits);
  if (exponent > 0) value = ldexp((1 << fraction_bits) + fraction, exponent - bias - fraction_bits);
  if (exponent == most) value = fraction == 0 ? (double)INFINITY : (double)NAN;
  return (x & 0x8000) != 0 ? -value : value;
}

/* x rounded to nearest, ties to even, in a format without an upper end; then the end. Every step but rint is exact. */
static double rounded(const half_type *t, double x) {
  if (x == 0 || !isfinite(x)) return x;
  const int exponent = ilogb(x) < t->least_exponent ? t->least_exponent : ilogb(x);
  const double unit = ldexp(1, exponent - (t->precision - 1));
  const double value = rint(x / unit) * unit;
  return fabs(value) > t->most ? copysign((double)INFINITY, x) : value;
}

static bool same(double a, double b) {
  return isnan(a) ? isnan(b) : a == b && !signbit(a) == !signbit(b);
}

static void check_f32(const half_type *t, float x) {
  const double want = rounded(t, (double)x), got = meaning(t, t->from_f32(x));
  CHECK(same(want, got), "%s of f32 %a: got %a, want %a", t->name, (double)x, got, want);
}

static void check_f64(const half_type *t, double x) {
  const double want = rounded(t, x), got = meaning(t, t->from_f64(x));
  CHECK(same(want, got), "%s of f64 %a: got %a, want %a", t->name, x, got, want);
}

TEST(half, every_value_and_back) {
  for (int i = 0; i < N_TYPES; i++) {
    const half_type *t = &types[i];
    for (uint32_t x = 0; x < 65536; x++) {
      const double want = meaning(t, (uint16_t)x), wide = (double)t->to_f32((uint16_t)x);
      CHECK(same(want, wide), "%s %04x is %a, got %a", t->name, x, want, wide);
      const uint16_t back = t->from_f32(t->to_f32((uint16_t)x)), from_wide = t->from_f64(wide);
      if (!isnan(want)) {
        CHECK(back == x && from_wide == x, "%s %04x comes back as %04x and %04x", t->name, x, back, from_wide);
        continue;
      }
      const uint16_t quiet = (uint16_t)(1 << (t->precision - 2));
      CHECK(back == (x | quiet), "%s NaN %04x comes back as %04x: not quiet, or another", t->name, x, back);
      CHECK(isnan(meaning(t, from_wide)) && (from_wide & quiet) != 0, "%s NaN %04x from f64", t->name, x);
    }
  }
}

TEST(half, on_and_beside_every_boundary) {
  for (int i = 0; i < N_TYPES; i++) {
    const half_type *t = &types[i];
    for (uint32_t x = 0; x < 0x7fff; x++) { /* a magnitude and the next one; the end of the range has no next */
      const double a = meaning(t, (uint16_t)x), next = meaning(t, (uint16_t)(x + 1));
      if (isnan(a) || isnan(next)) continue;
      const double middle = isinf(next) ? t->most + ldexp(t->most - meaning(t, (uint16_t)(x - 1)), -1) : (a + next) / 2;
      const float at = (float)middle, around[] = {at, nextafterf(at, 0), nextafterf(at, INFINITY), (float)a};
      CHECK((double)at == middle, "the boundary is an f32");
      for (size_t k = 0; k < sizeof around / sizeof *around; k++) {
        check_f32(t, around[k]);
        check_f32(t, -around[k]);
      }
      const double off[] = {middle * (1 + 0x1p-40), middle * (1 - 0x1p-40), middle}; /* an f32 would be the tie itself */
      for (size_t k = 0; k < sizeof off / sizeof *off; k++) {
        check_f64(t, off[k]);
        check_f64(t, -off[k]);
      }
    }
  }
}

TEST(half, random_and_special_values) {
  static const double special[] = {0.0, -0.0, (double)INFINITY, -(double)INFINITY, 1e300, -1e300, 1e-300, 5e-324,
                                   0x1p128, 0x1.ffffffp127, 0x1p-149, 0x1p-150, 0x1.8p-150};
  uint64_t state = 1;
  for (int i = 0; i < N_TYPES; i++) {
    for (size_t k = 0; k < sizeof special / sizeof *special; k++) {
      check_f64(&types[i], special[k]);
      check_f32(&types[i], (float)special[k]);
    }
    for (int n = 0; n < 1000000; n++) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      const float x = tct_f32_of_bits((uint32_t)(state >> 32));
      check_f32(&types[i], x);
      check_f64(&types[i], (double)x * (1 + 0x1p-30)); /* a double that is no f32 */
    }
  }
}

TEST(half, numbers_in_memory) {
  uint16_t memory[2] = {0, 0};
  tct_store_number(TCT_BF16, memory, 1, 3.14159);
  CHECK(memory[0] == 0 && memory[1] == 0x4049 && tct_load_number(TCT_BF16, memory, 1) == 3.140625);
  tct_store_number(TCT_F16, memory, 0, -65520);
  CHECK(memory[0] == 0xfc00 && isinf(tct_load_number(TCT_F16, memory, 0)));
}
