/* For people: seconds, dollars, joules in few characters (each writes into `text` and returns it), and lines that fit a terminal. */
#ifndef TERCET_PERF_SHOW_H
#define TERCET_PERF_SHOW_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum { PERF_SHORT = 48 };
const char *perf_show_seconds(double seconds, char text[PERF_SHORT]); /* "41.2 s", "6 m 12 s", "850 us"; "-": NaN */
const char *perf_show_dollars(double dollars, char text[PERF_SHORT]); /* "$0.046", "$4.6e-6" */
const char *perf_show_joules(double joules, char text[PERF_SHORT]);   /* "11.9 kJ" */
const char *perf_show_count(double count, char text[PERF_SHORT]);     /* "12.3k" */

enum { PERF_COLUMNS = 80 };
/* Text behind `lead` (ASCII, may be "") in lines of at most PERF_COLUMNS, cut between words; every line but the first behind `indent`. */
void perf_put_wrapped(FILE *to, const char *lead, const char *text, int indent);

/* The summary as a table of 80 columns with its verdict, to `to`. */
void perf_table(const json_t *summary, FILE *to);
/* A row for each device, point and epoch-less figure; a header first. */
void perf_csv(const json_t *summary, FILE *to);
/* DAWNBench's two files: what it was, and a line `epoch hours top1Accuracy` for each epoch, the median of the runs, of each device with a
 * curve; into FOLDER/NAME_DEVICE.json and .tsv. false: errno says why; *out: how many pairs. */
bool perf_dawnbench(const json_t *summary, const char *folder, int *out);

#endif
