/* What is told of a row: a line of the table, an object of the JSON file, and sums at the end. */
#ifndef TERCET_PERF_BENCH_TABLE_H
#define TERCET_PERF_BENCH_TABLE_H

#include <stdio.h>
#include "perf/bench/side.h"
#include "perf/compare/statistics.h"
#include "perf/support/peaks.h"

typedef struct bench_table {
  FILE *out, *json; /* json NULL: none */
  const char *device, *other; /* other NULL: nothing to compare with */
  bool modelled, other_modelled;
  perf_peaks peaks; /* of `device` */
  int32_t n_told, n_rows, n_low, n_refused;
  int32_t n_ratios, n_slower, n_faster; /* of the other: its interval lies above 1, below 1 */
  double log_ratios;
  char low[32768]; /* the rows under half of their roofline */
} bench_table;

void bench_table_begin(bench_table *t, int32_t n_threads);
/* `best` seconds of the step; with another side its best and the ratio other / this. */
void bench_table_row(bench_table *t, const bench_row *row, const tct_step_info *step, double best, double other_best, const perf_estimate *ratio);
/* A refusal of `who`: the row's op and label, or both NULL for all rows. */
void bench_table_refused(bench_table *t, const bench_row *row, const char *who, const char *why);
void bench_table_end(bench_table *t, const bench_rows *rows, double limit);

#endif
