/* What several runs say together. */
#ifndef TERCET_PERF_STATISTICS_H
#define TERCET_PERF_STATISTICS_H

#include <stdbool.h>

/* The median of a few numbers, and where it lies. */
typedef struct perf_estimate {
  double median, low, high; /* NaN: no numbers */
  int n;
  bool interval; /* low and high hold the median with at least 95 %; else they are the least and the greatest number */
} perf_estimate;

/* The numbers are sorted in place. The interval is between two order statistics, x₍ₖ₎ and x₍ₙ₊₁₋ₖ₎ with the greatest k of which
 * 1 − 2·P(Binomial(n, ½) < k) ≥ 0.95 (David and Nagaraja, Order Statistics, 7.1): exact for any distribution. Five numbers or
 * fewer cannot reach that, and give their range. */
perf_estimate perf_estimate_of(double *values, int n);
/* Of a[i] / b[i], taken in the same round. Pairs with a number that is not positive are left out. */
perf_estimate perf_ratio_of(const double *a, const double *b, int n);
/* The q-th part (0 to 1) of sorted numbers, between two of them by their distance; NaN: none. */
double perf_quantile(const double *sorted, int n, double q);
void perf_sort(double *values, int n);
/* Standard deviation over mean; NaN for fewer than two. */
double perf_variation(const double *values, int n);

#endif
