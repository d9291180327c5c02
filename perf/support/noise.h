/* What else the machine did while something was measured, and what it used: load, time taken by other machines, switches,
 * throttling, energy. */
#ifndef TERCET_PERF_NOISE_H
#define TERCET_PERF_NOISE_H

#include <jansson.h>
#include <stdbool.h>

enum { PERF_MOST_PACKAGES = 8 };

typedef struct perf_watch {
  double seconds, load, cpu_seconds, switches, throttled; /* throttled NaN: the system does not tell */
  double steal, jiffies;                                  /* of all processors */
  double micro_joules[PERF_MOST_PACKAGES], range[PERF_MOST_PACKAGES];
  int n_packages;                                         /* whose energy can be read */
  char why[200];                                          /* no energy: why */
} perf_watch;

void perf_watch_begin(perf_watch *watch);
/* The object `noise` of a run (docs/comparison.md). */
json_t *perf_watch_noise(const perf_watch *begin);
/* Joules of all processor packages since; NaN, with begin->why: cannot be read. Counters that wrapped once are understood. */
double perf_watch_joules(const perf_watch *begin);
/* What noise makes of a measurement: {cv, load, steal, flags: sentences, unfit}. `cv` is the variation between its runs, `load` and the like
 * as perf_watch_noise tells them, `cpus` how many processors it may use; NaN: not known. */
json_t *perf_judge_noise(double cv, double load, double steal, double throttled, double cpus);
double perf_peak_memory(void); /* bytes: the most that the process has held in memory */

#endif
