/* How many steps a target takes, by comparisons of the same job that reached it. */
#ifndef TERCET_PERF_ADVISE_TARGET_H
#define TERCET_PERF_ADVISE_TARGET_H

#include "perf/compare/run.h"

/* Cuts the job of every candidate short where the target is reached: the steps, their validation and their energy, with an interval
 * over the runs of `quoted`, whatever their device: bf16 and other orders of sums move the epoch by less than seeds do, which the
 * comparison's curves show. Adds the member `target` (text, steps: an estimate or null, why) to the advice; without a run that tells, the
 * whole job stays. */
void perf_cut_at_target(json_t *advice, const char *text, const perf_target *target, const json_t *const *quoted, int n_quoted);

#endif
