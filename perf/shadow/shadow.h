/* Two devices in lock-step on the same training steps. Before each step both have the first device's variables and the same
 * batch. Three programs of the step, every node a step of its own, advance together: the first device's and the second's, each on
 * its own values, which drift apart; and the judge, the first device again, which computes each node from the second device's
 * operands. So every op is judged by itself, and the first one that leaves its budget is the one that is wrong. */
#ifndef TERCET_PERF_SHADOW_H
#define TERCET_PERF_SHADOW_H

#include <tercet/job.h>
#include "perf/shadow/judge.h"

typedef struct shadow_options {
  /* The same job for the first device, for it again as the judge, and for the second. Borrowed. */
  tct_job *a, *judge, *b;
  int64_t steps; /* 0: 1 */
} shadow_options;

/* One result of one op, at the step where it took the greatest share of its budget. */
typedef struct shadow_row {
  char *name, *op; /* owned */
  int32_t result;  /* of several */
  tct_desc desc;
  int64_t step;    /* from 1 */
  bool judged;     /* false: the first device cannot run it, and `judgement` is empty */
  judgement judgement;
  double drift; /* the two devices' own values: the largest difference over the largest value; NaN: not known */
} shadow_row;

typedef struct shadow_operand {
  char *name; /* owned */
  tct_desc desc;
  double least, most; /* of the finite values */
  bool has_value;     /* it has an element that belongs to the result's: the same place, or broadcast to it */
  double value;
} shadow_operand;

typedef struct shadow_report {
  shadow_row *rows; /* in the order of execution; owned */
  int32_t n_rows, n_unjudged, n_left; /* n_left: rows over their budget */
  int32_t first; /* the row that left first, by step and then order; -1: none */
  shadow_row first_row; /* as it was then; its texts are those of rows[first] */
  shadow_operand *operands; /* what it read; owned */
  int32_t n_operands;
  int64_t steps, batch;
  double operand_roundoff;
} shadow_report;

/* Frees with shadow_free in any case. Errors are the library's; TCT_OUT_OF_MEMORY may come without a message. */
tct_status shadow_run(const shadow_options *options, shadow_report *out) TCT_CHECKED;
void shadow_free(shadow_report *report);

#endif
