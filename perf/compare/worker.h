/* Asking tercet-measure, a fresh process for each question. */
#ifndef TERCET_PERF_WORKER_H
#define TERCET_PERF_WORKER_H

#include "perf/compare/file.h"

/* tercet-measure beside the program that runs; false: the system does not tell where that is. */
bool perf_worker_path(char *path, size_t size);
/* The answer, a new reference. A worker that dies, is killed after `limit` seconds (0: never) or answers no JSON gives NULL and a
 * problem of TCT_INTERNAL; one that *cancel (not 0) ended gives TCT_CANCELLED. */
json_t *perf_worker_ask(const char *worker, const json_t *request, double limit, const volatile int *cancel, perf_problem *problem);

#endif
