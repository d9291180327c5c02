/* Which device, before the money is spent: predictions with intervals for each, the constraints, and who remains. */
#ifndef TERCET_PERF_ADVISE_H
#define TERCET_PERF_ADVISE_H

#include "perf/compare/compare.h"

typedef enum perf_goal { PERF_TIME, PERF_COST, PERF_ENERGY, PERF_LATENCY, PERF_N_GOALS } perf_goal;
int perf_goal_of(const char *text); /* "time" …; -1: none */

/* NaN: no such constraint. */
typedef struct perf_limits {
  double cost;            /* dollars of the job; with cost_is_share, dollars more than on `now`, as a share: 0.1 */
  bool cost_is_share;
  double deadline, latency, joules; /* seconds of the job; of a prediction of one sample; of the job */
  bool custom_op;
  const char *now;        /* the device that is used now; NULL: the first */
  perf_goal goal;         /* what to make least */
} perf_limits;
/* "$1", "0.5" or "+10%"; "10m", "36s", "2h"; "5ms"; "50kJ". false: not of that form. */
bool perf_read_cost(const char *text, perf_limits *out);
bool perf_read_seconds(const char *text, double *out);
bool perf_read_joules(const char *text, double *out);

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
