/* Medians with intervals that assume nothing about the distribution. */
#include "perf/compare/statistics.h"

#include <math.h>
#include <stdlib.h>

static int by_value(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

void perf_sort(double *values, int n) {
  if (n > 1) qsort(values, (size_t)n, sizeof *values, by_value);
}

double perf_quantile(const double *sorted, int n, double q) {
  if (n < 1) return (double)NAN;
  const double at = q * (n - 1);
  const int i = (int)at;
  return i + 1 < n ? sorted[i] + (at - i) * (sorted[i + 1] - sorted[i]) : sorted[n - 1];
}

double perf_variation(const double *values, int n) {
  double sum = 0, squares = 0;
  if (n < 2) return (double)NAN;
  for (int i = 0; i < n; i++) sum += values[i];
  for (int i = 0; i < n; i++) squares += (values[i] - sum / n) * (values[i] - sum / n);
  return sqrt(squares / (n - 1)) / (sum / n);
}

/* The greatest k ≥ 1 with 2·P(Binomial(n, ½) < k) ≤ 0.05; 0: there is none. Terms are kept as logarithms: 2⁻ⁿ may be 0. */
static int interval_rank(int n) {
  double below = 0, term = -n * log(2.0);
  int k = 0;
  for (int i = 0; i < n / 2; i++) {
    below += exp(term);
    if (2 * below > 0.05) break;
    k = i + 1;
    term += log((double)(n - i)) - log((double)(i + 1));
  }
  return k;
}

perf_estimate perf_estimate_of(double *values, int n) {
  if (n < 1) return (perf_estimate){.median = (double)NAN, .low = (double)NAN, .high = (double)NAN};
  perf_sort(values, n);
  const int k = interval_rank(n), at = k > 0 ? k - 1 : 0;
  return (perf_estimate){.median = perf_quantile(values, n, 0.5), .low = values[at], .high = values[n - 1 - at], .n = n, .interval = k > 0};
}

perf_estimate perf_ratio_of(const double *a, const double *b, int n) {
  double *const ratio = malloc(((size_t)n + 1) * sizeof *ratio);
  int kept = 0;
  for (int i = 0; ratio != NULL && i < n; i++) {
    if (a[i] > 0 && b[i] > 0) ratio[kept++] = a[i] / b[i];
  }
  const perf_estimate estimate = perf_estimate_of(ratio, kept);
  free(ratio);
  return estimate;
}
