/* What the machine can do at most: fused multiply-adds out of registers, and STREAM's triad over memory. */
#ifndef TERCET_PERF_MACHINE_H
#define TERCET_PERF_MACHINE_H

#include <stdint.h>

double perf_now(void); /* seconds */
/* The best of several tries, over all of n_threads (at most 64). */
double perf_fma_flops(int32_t n_threads);     /* flops per second, f32; an FMA counts as two */
/* Bytes per second of a = b + s·c, two read and one written, over three arrays of `total` bytes together. */
double perf_triad_bytes(int32_t n_threads, int64_t total);

#endif
