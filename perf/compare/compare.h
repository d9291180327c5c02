/* Comparing devices: every run of every device in turn, each written down as it ends. */
#ifndef TERCET_PERF_COMPARE_H
#define TERCET_PERF_COMPARE_H

#include "perf/compare/file.h"
#include "perf/compare/run.h"

enum { PERF_MOST_DEVICES = 16, PERF_MOST_AXES = 4, PERF_MOST_POINTS = 64 };

typedef struct perf_comparison {
  const char *job, *directory;
  const char *const *set; /* overrides of the job */
  int32_t n_set;
  const char *devices;               /* "cpu,tpu:v3,array=256x256": an item without a kind of device belongs to the one before */
  const char *sweep[PERF_MOST_AXES]; /* "batch=8,32", "model.width=16,32"; NULL: none */
  perf_mode mode;
  const char *target;                /* of PERF_TARGET; else NULL or a metric to draw */
  int64_t runs, warmup, steps;       /* steps 0: the job's own length */
  double time_limit;                 /* seconds for each run; 0: none */
  const char *output;                /* the data file */
  bool resume;
  json_t *user_prices, *machine;     /* borrowed; NULL: none */
  json_t *const *quoted;             /* [n_quoted] records of other machines' files, looked at before the first run */
  const char *const *quoted_from;
  int n_quoted;
  const char *command;
  const char *worker;                /* tercet-measure; NULL: beside this program */
  const volatile int *cancel;
  void (*told)(void *user, const json_t *record, int done, int all); /* after each record; NULL: none */
  void *user;
} perf_comparison;

/* Runs what the data file lacks. false: what ended it; all that ran before stands in the file. */
bool perf_compare_devices(const perf_comparison *c, perf_problem *problem);

#endif
