/* One step of a program judged by itself: the judge's device computes it from the same operands, so that what an op makes is told
 * from what it is given; and again from absolute or slightly changed operands, for the sizes that its budget depends on. */
#ifndef TERCET_PERF_JUDGE_H
#define TERCET_PERF_JUDGE_H

#include <tercet/graph.h>
#include "perf/shadow/budget.h"

/* A dense value on the host. */
typedef struct taken {
  tct_desc desc;
  int64_t n;
  void *data; /* owned by what took it */
  size_t bytes;
} taken;

/* What a step reads and makes. An update makes its states, which it also reads. */
typedef struct taken_step {
  tct_step_info info;
  taken *in, *result; /* owned */
  int32_t n_in, n_results;
} taken_step;

/* Room for the step's values, to be freed with taken_free in any case. */
tct_status taken_create(const tct_program *program, int32_t step, taken_step *out) TCT_CHECKED;
void taken_free(taken_step *t);
/* Before the step is launched, and after. */
tct_status taken_read_operands(tct_program *program, int32_t step, taken_step *t) TCT_CHECKED;
tct_status taken_read_results(tct_program *program, int32_t step, taken_step *t) TCT_CHECKED;
/* The operand's number of a result. */
int32_t taken_result_operand(const taken_step *t, int32_t result);

typedef struct judgement {
  double ulps;  /* the most, of any element */
  double share; /* of the budget, the most of any element: over 1, the result is wrong. 0: every bit is the same */
  int64_t at;   /* where that is */
  double got, want, allowed; /* there */
  budget budget;
} judgement;

/* A program of the node alone on a device, which may open it into other ops; not of updates. */
tct_status judge_compile(tct_device *device, const tct_node_view *node, tct_program **out) TCT_CHECKED;
enum { JUDGE_ALONE = -1 }; /* for `step`: `judge` is such a program */
/* Each result of `t` beside what step `step` of `judge` makes of t's operands; out[t->n_results]. operand_roundoff: of both devices. */
tct_status judge_step(tct_program *judge, int32_t step, const taken_step *t, double operand_roundoff, judgement *out) TCT_CHECKED;

#endif
