/* Numbers as people read them: three significant digits and a unit, an interval in the unit of its middle. */
#ifndef TERCET_PERF_REPORT_NUMBER_H
#define TERCET_PERF_REPORT_NUMBER_H

#include <stddef.h>

typedef enum number_kind {
  NUMBER_PLAIN,
  NUMBER_COUNT, /* whole, thousands apart */
  NUMBER_SHARE, /* of one, as per cent */
  NUMBER_FACTOR,
  NUMBER_SECONDS,
  NUMBER_DOLLARS,
  NUMBER_JOULES,
  NUMBER_BYTES,
  NUMBER_RATE, /* per second */
  NUMBER_FLOPS,
  NUMBER_FLOPS_RATE,
  NUMBER_BYTES_RATE,
  NUMBER_INTENSITY, /* flops for a byte */
} number_kind;

enum { NUMBER_CHARS = 40 };

/* How a value is divided and what stands around it. */
typedef struct number_scale {
  double factor;
  const char *before, *unit;
} number_scale;

number_scale number_scale_of(number_kind kind, double value);
/* Digits only, without unit; "–" for a value that is not finite. */
void number_digits(number_kind kind, number_scale scale, double value, char *out);
/* With unit, in the scale of its own. */
void number_text(number_kind kind, double value, char *out);
/* The same without zeros at the end, for an axis. */
void number_tick(number_kind kind, double value, char *out);
/* About n steps from 0 to `most`: 1, 2 or 5 times a power of ten, in the unit that `most` is shown in. */
double number_step(number_kind kind, double most, int n);

#endif
