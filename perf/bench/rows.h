/* What bench_ops times: the op cases, and of DeepBench's files the shapes that Tercet has an op for. */
#ifndef TERCET_PERF_BENCH_ROWS_H
#define TERCET_PERF_BENCH_ROWS_H

#include <stdio.h>
#include "perf/support/cases.h"

enum { BENCH_COLUMNS = 14 };

typedef struct bench_row {
  const char *op; /* the step that is timed; static */
  char label[80]; /* with op it names the row, in every build */
  const perf_case *what; /* NULL: a shape of DeepBench's, its line in v */
  double v[BENCH_COLUMNS];
} bench_row;

typedef struct bench_rows {
  bench_row *row; /* owned */
  int32_t n, room;
  int32_t n_left_out; /* shapes above the limit */
  int32_t n_without;  /* recurrent shapes of a cell that no op computes */
} bench_rows;

/* Rows whose op holds `only` (NULL: all). `deepbench`: a folder with gemm_training.csv, conv_training.csv and rnn_training.csv, or
 * NULL; of its shapes those of at most `limit` GFLOP forward and 64 Mi elements an operand. False: said on `err`. bench_rows_free is
 * due either way. */
bool bench_rows_read(const char *only, const char *deepbench, double limit, FILE *err, bench_rows *out);
void bench_rows_free(bench_rows *rows);
/* NULL: there is none. */
const bench_row *bench_rows_find(const bench_rows *rows, const char *op, const char *label);
void bench_row_build(const bench_row *row, tct_graph *graph);

#endif
