/* The forms in which a comparison is told: what compare and report share. */
#ifndef TERCET_TOOL_OUTPUTS_H
#define TERCET_TOOL_OUTPUTS_H

#include "perf/compare/file.h"
#include "perf/compare/limits.h"
#include "tool.h"

int outputs_fail(const perf_problem *problem); /* prints it; its exit code */
/* The table or --json on stdout, and the files that the options name, of the data file at `path` with those of --with. ran_now: that no
 * device has a figure is an error. */
int outputs_write(const tool_options *options, const char *path, bool ran_now);
/* "glyphs.compare.jsonl" in the current folder, of any/glyphs.yaml and the ending "compare.jsonl". */
const char *outputs_name(const char *job, const char *ending, char *text, size_t size);
/* The command line as a shell reads it. */
const char *outputs_command(char *text, size_t size);
/* Before anything runs: where the outputs go, which is into no file that is read, nor into `data`, the comparison's own. */
int outputs_check(const tool_options *options, const char *data);
/* A data file as --with and report read it. Prints what is wrong. */
int outputs_read(const char *path, json_t **out);
/* That the file's folder can be written to and the file is no folder; NULL and "-" are well. */
int outputs_check_file(const char *path);
/* --max-cost, --deadline and --max-energy; NaN where one is not given. */
int outputs_limits(const tool_options *options, perf_limits *out);
/* --prices; NULL where there is none. Prints what is wrong. */
int outputs_prices(const tool_options *options, json_t **out);

#endif
