/* Numbers as people read them. The unit of a value is the greatest of its kind that leaves one before the point. */
#include "perf/report/number.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

typedef struct unit {
  double factor;
  const char *name;
} unit;

static const unit times[] = {{3600, "h"}, {60, "min"}, {1, "s"}, {1e-3, "ms"}, {1e-6, "µs"}, {1e-9, "ns"}};
static const unit joules[] = {{1e6, "MJ"}, {1e3, "kJ"}, {1, "J"}, {1e-3, "mJ"}, {1e-6, "µJ"}, {1e-9, "nJ"}};
static const unit dollars[] = {{1, "$"}, {1e-3, "m$"}, {1e-6, "µ$"}, {1e-9, "n$"}};
static const unit bytes[] = {{1099511627776.0, "TiB"}, {1073741824, "GiB"}, {1048576, "MiB"}, {1024, "KiB"}, {1, "B"}};
static const unit rates[] = {{1e9, "G/s"}, {1e6, "M/s"}, {1e3, "k/s"}, {1, "/s"}};
static const unit flops[] = {{1e15, "PFLOP"}, {1e12, "TFLOP"}, {1e9, "GFLOP"}, {1e6, "MFLOP"}, {1e3, "kFLOP"}, {1, "FLOP"}};
static const unit flop_rates[] = {{1e15, "PFLOP/s"}, {1e12, "TFLOP/s"}, {1e9, "GFLOP/s"}, {1e6, "MFLOP/s"}, {1e3, "kFLOP/s"}, {1, "FLOP/s"}};
static const unit byte_rates[] = {{1e12, "TB/s"}, {1e9, "GB/s"}, {1e6, "MB/s"}, {1e3, "kB/s"}, {1, "B/s"}};

static const struct {
  const unit *units;
  size_t n;
} scales[] = {
#define UNITS(array) {array, sizeof array / sizeof *array}
    [NUMBER_SECONDS] = UNITS(times), [NUMBER_DOLLARS] = UNITS(dollars), [NUMBER_JOULES] = UNITS(joules),         [NUMBER_BYTES] = UNITS(bytes),
    [NUMBER_RATE] = UNITS(rates),    [NUMBER_FLOPS] = UNITS(flops),           [NUMBER_FLOPS_RATE] = UNITS(flop_rates),
    [NUMBER_BYTES_RATE] = UNITS(byte_rates), [NUMBER_INTENSITY] = {NULL, 0},
#undef UNITS
};

/* The least that is shown in the unit: a minute is 60 s, two of them are minutes; so with hours. A cent is a part of a dollar. */
static double least(number_kind kind, const unit *u) {
  const double one = 0.9995 * u->factor; /* 0.9996 is shown as 1.00 */
  if (kind == NUMBER_SECONDS && u->factor > 1) return 2 * u->factor;
  return kind == NUMBER_DOLLARS && u->factor == 1 ? 0.01 * one : one;
}

number_scale number_scale_of(number_kind kind, double value) {
  number_scale scale = {1, "", ""};
  if (kind == NUMBER_SHARE) scale = (number_scale){0.01, "", "%"};
  if (kind == NUMBER_FACTOR) scale.unit = "×";
  if (kind == NUMBER_INTENSITY) scale.unit = "FLOP/B";
  const double size = fabs(value);
  for (size_t i = 0; i < scales[kind].n; i++) {
    const unit *const u = &scales[kind].units[i];
    scale = (number_scale){u->factor, u->factor == 1 && kind == NUMBER_DOLLARS ? "$" : "", u->factor == 1 && kind == NUMBER_DOLLARS ? "" : u->name};
    if (size >= least(kind, u)) return scale;
    if (u->factor == 1 && size == 0) return scale; /* nothing is 0 of the plain unit */
  }
  return scale;
}

static void thousands(double value, char *out) {
  char digits[NUMBER_CHARS];
  (void)snprintf(digits, sizeof digits, "%.0f", value);
  const size_t n = strlen(digits), sign = digits[0] == '-';
  size_t at = 0;
  for (size_t i = 0; i < n && at + 4 < NUMBER_CHARS; i++) {
    if (i > sign && (n - i) % 3 == 0 && n - sign > 4) {
      (void)memcpy(out + at, "\xe2\x80\xaf", 3); /* a narrow space that does not break */
      at += 3;
    }
    out[at++] = digits[i];
  }
  out[at] = '\0';
}

void number_digits(number_kind kind, number_scale scale, double value, char *out) {
  const double v = value / scale.factor, size = fabs(v);
  if (!isfinite(value)) {
    (void)snprintf(out, NUMBER_CHARS, "–");
  } else if (kind == NUMBER_COUNT && size >= 0.5 && size < 1e15) {
    thousands(v, out);
  } else if (size == 0) {
    (void)snprintf(out, NUMBER_CHARS, "0");
  } else if (kind == NUMBER_SHARE && size < 1e6) {
    (void)snprintf(out, NUMBER_CHARS, "%.*f", size < 9.995 ? 2 : size < 99.95 ? 1 : 0, v);
  } else if (size >= 1e6 || size < 1e-7) {
    (void)snprintf(out, NUMBER_CHARS, "%.2e", v);
  } else if (kind == NUMBER_PLAIN && size < 1 && size >= 0.1) {
    (void)snprintf(out, NUMBER_CHARS, "%.4f", v); /* accuracies differ in the fourth */
  } else {
    const int whole = (int)floor(log10(size) + 0.0002171) + 1; /* 9.996 is shown as 10.0 */
    (void)snprintf(out, NUMBER_CHARS, "%.*f", whole >= 3 ? 0 : 3 - whole, v);
  }
}

static void with_unit(number_scale scale, const char *digits, char *out) {
  const bool apart = scale.unit[0] != '\0' && strcmp(scale.unit, "×") != 0 && strcmp(scale.unit, "/s") != 0;
  (void)snprintf(out, NUMBER_CHARS, "%s%.26s%s%s", scale.before, digits, apart ? "\xc2\xa0" : "", scale.unit);
}

void number_text(number_kind kind, double value, char *out) {
  char digits[NUMBER_CHARS];
  const number_scale scale = number_scale_of(kind, value);
  number_digits(kind, scale, value, digits);
  if (isfinite(value) && value != 0)
    with_unit(scale, digits, out);
  else
    (void)snprintf(out, NUMBER_CHARS, "%s", digits); /* nothing is nothing in every unit */
}

void number_tick(number_kind kind, double value, char *out) {
  char digits[NUMBER_CHARS];
  const number_scale scale = number_scale_of(kind, value);
  number_digits(kind, scale, value, digits);
  char *const point = strchr(digits, '.');
  if (point != NULL && strchr(digits, 'e') == NULL) {
    size_t n = strlen(digits);
    while (digits[n - 1] == '0') digits[--n] = '\0';
    if (digits[n - 1] == '.') digits[n - 1] = '\0';
  }
  if (value == 0)
    (void)snprintf(out, NUMBER_CHARS, "0");
  else
    with_unit(scale, digits, out);
}

double number_step(number_kind kind, double most, int n) {
  const double factor = number_scale_of(kind, most).factor, rough = most / factor / n;
  if (!(rough > 0) || !isfinite(rough)) return 1;
  const double power = pow(10, floor(log10(rough))), lead = rough / power;
  return (lead > 6 ? 10 : lead > 2.6 ? 5 : lead > 1.3 ? 2 : 1) * power * factor;
}
