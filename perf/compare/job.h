/* What a job is, whatever it runs on. */
#ifndef TERCET_PERF_JOB_H
#define TERCET_PERF_JOB_H

#include <stdint.h>
#include "perf/compare/file.h"

/* Puts `job` and `data` (docs/comparison.md) into the object. The data files are opened. */
bool perf_put_job(const char *path, const char *directory, const char *const *set, int32_t n_set, json_t *into, perf_problem *problem);

#endif
