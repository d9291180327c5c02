/* The report of a comparison: one HTML page that needs nothing else. Its sections, charts and tables are made of the summary
 * (docs/comparison.md) alone; the charts are drawn by gnuplot, and where that is missing their places say so. */
#ifndef TERCET_PERF_REPORT_H
#define TERCET_PERF_REPORT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Writes the summary (docs/comparison.md) as one self-contained HTML page. Members that are missing, null or of another type are
 * told as missing in the page. false with a sentence in `why` (at most `size` bytes): the summary is no object, memory is out, or
 * `to` cannot be written. */
bool perf_report_html(const json_t *summary, FILE *to, char *why, size_t size);

#endif
