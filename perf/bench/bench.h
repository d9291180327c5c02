/* bench_ops, from its command line to its table. */
#ifndef TERCET_PERF_BENCH_H
#define TERCET_PERF_BENCH_H

#include <stdio.h>

/* The exit code: 0; 1 after a failure or where the device is absent, 2 for a command line that cannot be meant. Its options stand at
 * the head of perf/bench_ops.c. `in` is read with --serve alone. */
int bench_main(int argc, const char *const *argv, FILE *in, FILE *out, FILE *err);

#endif
