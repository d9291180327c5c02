/* Claims as `tercet claims --json` printed them, for a report. */
#ifndef TERCET_PERF_CLAIMS_FILE_H
#define TERCET_PERF_CLAIMS_FILE_H

#include "perf/compare/file.h"

/* The member `claims` of a summary (docs/comparison.md): the caller's. false with a problem. */
bool perf_claims_read(const char *path, json_t **out, perf_problem *problem);

#endif
