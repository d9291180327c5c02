/* The data file of a comparison: JSON Lines, only appended to (docs/comparison.md). */
#ifndef TERCET_PERF_FILE_H
#define TERCET_PERF_FILE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum { PERF_SCHEMA = 1 };

/* What went wrong, as a sentence, and the kind of it, which is the command's exit code. */
typedef struct perf_problem {
  int status; /* tct_status */
  char text[1200];
} perf_problem;
bool perf_fails(perf_problem *problem, int status, const char *format, ...) __attribute__((format(printf, 3, 4))); /* false */

/* One line, flushed; takes the reference. */
bool perf_file_append(FILE *to, const char *path, json_t *record, perf_problem *problem);
/* The records, the first of which is a `comparison` of this schema; the caller's (json_decref). *out_torn: the last line has no
 * end and was left out; *out_whole: bytes of the whole lines. */
bool perf_file_read(const char *path, json_t **out, bool *out_torn, long *out_whole, perf_problem *problem);

#endif
