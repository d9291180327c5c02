/* Which device, before the money is spent: predictions with intervals for each, the constraints, and who remains. */
#ifndef TERCET_PERF_ADVISE_H
#define TERCET_PERF_ADVISE_H

#include "perf/compare/compare.h"
#include "perf/compare/limits.h"

/* Asks every device of the comparison (its runs, mode and output are not looked at) and weighs them; `analytic`: of measured devices
 * no step is run. The object (docs/comparison.md, Advice) is the caller's; NULL with a problem. */
json_t *perf_advise_devices(const perf_comparison *c, const perf_limits *limits, bool analytic, perf_problem *problem);
/* Adds constraints, eligibility, the Pareto set and the verdict to candidates: pure. */
void perf_weigh(json_t *advice, const perf_limits *limits);
void perf_advice_table(const json_t *advice, FILE *to);

/* How predictions compare with the step times of a comparison's records of the same job: an array of device, predicted, low, high,
 * measured, error (predicted / measured − 1), inside. */
json_t *perf_verify(const json_t *advice, const json_t *records, perf_problem *problem);

/* In the worker: the record of one device, {"do": "advise"}. */
json_t *perf_candidate(const json_t *request);

#endif
