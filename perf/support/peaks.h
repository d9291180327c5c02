/* What a measured device can do at most, measured on it: flops of a large product, bytes per second of a sum of large vectors;
 * on the CPU also of bare loops (perf/support/machine.h). The better counts. */
#ifndef TERCET_PERF_PEAKS_H
#define TERCET_PERF_PEAKS_H

#include <tercet/tercet.h>

typedef struct perf_peaks {
  double flops, bytes;              /* per second */
  double fma_flops, product_flops;  /* of which: fma is of the CPU alone, else 0 */
  double cache_bytes;               /* the CPU's triad over 12 MiB; else 0 */
  double near_bytes, near_size;     /* the triad within the caches that are the threads' own, and how much these hold; else 0 */
} perf_peaks;

/* Best times within about `seconds` for each figure. */
tct_status perf_peaks_of(tct_device *device, double seconds, perf_peaks *out);
/* Of a large product of this dtype alone. */
tct_status perf_product_flops(tct_device *device, tct_dtype dtype, double seconds, double *out);
/* Of each figure the median over n measurements, at most PERF_MOST_PEAKS, at least 1: what else the machine did is then in it as in a step. */
enum { PERF_MOST_PEAKS = 16 };
void perf_peaks_usual(const perf_peaks *each, int n, perf_peaks *out);
/* A modelled chip's own: what its arrays make in a cycle when nothing waits, and its memory's rate. */
void perf_peaks_of_chip(const struct tct_chip *chip, perf_peaks *out);

#endif
