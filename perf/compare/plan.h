/* What a comparison is to run: devices and points as lists of texts. */
#ifndef TERCET_PERF_PLAN_H
#define TERCET_PERF_PLAN_H

#include "perf/compare/compare.h"

typedef struct perf_plan {
  char device[PERF_MOST_DEVICES][TCT_DEVICE_SPEC];
  int n_devices;
  char point[PERF_MOST_POINTS][512]; /* "train.batch_size=8,model.width=16"; one "" where nothing is swept */
  int n_points;
} perf_plan;

bool perf_plan_devices(const char *text, perf_plan *plan, perf_problem *problem);
bool perf_plan_points(const char *const *axes, perf_plan *plan, perf_problem *problem);
/* The overrides of a point, in `text`, which they point into; how many. */
int perf_plan_overrides(const char *point, char *text, size_t size, const char **out, int most);

/* "val_accuracy>=0.90" of --target. */
bool perf_plan_target(const char *text, perf_target *out, perf_problem *problem);

#endif
