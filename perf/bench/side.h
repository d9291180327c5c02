/* Who times a row: a device of this process, or another build's bench_ops. The other program is started with --serve and answers one
 * line to each: "ready 1" at its start; OP<tab>LABEL takes a row, "ok" or "no" and the reason; "run" times it once, its seconds or
 * "no" and the reason. It ends when its input does. */
#ifndef TERCET_PERF_BENCH_SIDE_H
#define TERCET_PERF_BENCH_SIDE_H

#include <stdio.h>
#include <sys/types.h>
#include "perf/bench/rows.h"

typedef struct bench_side {
  const char *name; /* borrowed: the device, or the program's path */
  tct_device *device; /* NULL: another program's, or absent */
  bool modelled;      /* its seconds are a model's; the first run is all there is to know */
  tct_program *program; /* of the row that is taken */
  const char *op;
  tct_step_info step;   /* once the row has run */
  FILE *to, *from;
  pid_t pid; /* 0: no other program */
  char why[1024]; /* the last refusal or failure */
} bench_side;

/* TCT_INVALID: a name that nobody knows; TCT_UNAVAILABLE: absent. `why` tells. */
tct_status bench_side_open(bench_side *side, const char *device, int32_t n_threads) TCT_CHECKED;
/* argv[0] is the other program. false: `why` tells. */
bool bench_side_start(bench_side *side, const char *const argv[]);
void bench_side_close(bench_side *side);
/* Until the next row is taken. false: refused, `why` tells. */
bool bench_side_take(bench_side *side, const bench_row *row);
bool bench_side_run(bench_side *side, double *out_seconds);
void bench_side_drop(bench_side *side);
/* Answers for another bench_ops until the input ends. */
void bench_side_serve(bench_side *side, const bench_rows *rows, FILE *in, FILE *out);

#endif
