/* From the lines of data files to the one object that tables and reports are made from (docs/comparison.md). */
#ifndef TERCET_PERF_SUMMARY_H
#define TERCET_PERF_SUMMARY_H

#include "perf/compare/file.h"

/* records: of the first data file; quoted[i] with the file's path in quoted_from[i]: of others, which must be of the same job. The
 * result is the caller's; NULL with a problem. user_prices (NULL: none) go before the prices in the file. */
json_t *perf_summary(const json_t *records, const json_t *const *quoted, const char *const *quoted_from, int n_quoted, const json_t *user_prices,
                     perf_problem *problem);

/* Whether a file's first record is of the same job, data, mode, target and points as this one, so that it may be quoted. */
bool perf_check_quoted(const json_t *first, const json_t *other, const char *path, perf_problem *problem);

/* ---- its parts ---- */

/* An estimate as JSON; null without numbers. */
json_t *perf_estimate_json(double *values, int n);
json_t *perf_point_named(const json_t *device, const char *name); /* NULL: none */
double perf_median(const json_t *point, const char *name); /* of a point's estimate; NaN: none */
/* A device's point from its records; `first`: the comparison. */
json_t *perf_point(const json_t *records, const json_t *first, const json_t *device, const char *point);
/* Adds ratios, crossovers, winners and the verdict. */
void perf_compare_points(const json_t *records, json_t *summary);
/* " (modelled)", " (quoted)" behind a name; "" of what was measured here. */
const char *perf_aside(const json_t *device);
enum { PERF_VERDICT_LINES = 5 }; /* at most */
void perf_verdict(json_t *summary);
/* What one device's point is better in than another's, by the comparison's mode: seconds to the target, of an epoch, or of a sample. NaN:
 * it has none. */
double perf_score(const json_t *summary, const json_t *point);

#endif
