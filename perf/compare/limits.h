/* What somebody can spend or wait: read from words, asked of predictions (tercet advise) and of what was measured. */
#ifndef TERCET_PERF_LIMITS_H
#define TERCET_PERF_LIMITS_H

#include <jansson.h>
#include <stdbool.h>

typedef enum perf_goal { PERF_TIME, PERF_COST, PERF_ENERGY, PERF_LATENCY, PERF_N_GOALS } perf_goal;
const char *perf_goal_name(perf_goal goal);
int perf_goal_of(const char *text); /* "time" …; -1: none */

/* NaN: no such limit. */
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

/* A value beside its limit: name, limit, value, ok (null: the value is NaN, it cannot be told), text. */
json_t *perf_limit_row(const char *name, perf_goal of, double limit, double value);
/* Adds `constraints` to a summary: of every limit, whether each device keeps it where the verdict looks, by its medians, with
 * loading and compiling in time and cost. The job's length is told by the modes epochs and target alone, of runs that were not cut off. */
void perf_constrain(json_t *summary, const perf_limits *limits);

#endif
