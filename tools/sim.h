/* What the files of `tercet sim` share: the results of a topology's layers, and the ways to show them. */
#ifndef TERCET_TOOL_SIM_H
#define TERCET_TOOL_SIM_H

#include "tool.h"

#include <tercet/systolic.h>

/* Over a topology's layers, their copies included. As double: a sum may pass 2^63. */
typedef struct sim_total {
  double cycles, stalls, macs;
  double sram_words, dram_words; /* NaN: a count took a walk that was left out */
} sim_total;

typedef struct sim_result {
  tct_scale_config config;
  const tct_topology *topology;
  const tct_scale_report *reports; /* one per row of the topology */
  sim_total total;
} sim_result;

/* ---- sim_topology.c ---- */

/* Runs options->positional, a topology, on the arrays that the options name. */
int sim_topology(const tool_options *options);

typedef struct sim_view sim_view;
/* As the options say: a table, CSV (on stdout it takes the table's place), JSON. Returns the exit code. */
int sim_show(const tool_options *options, const sim_view *view, const void *what);

/* ---- sim_chip.c ---- */

/* Runs options->positional, a topology, on a whole chip, "tpu:v1". */
int sim_chip(const tool_options *options, const char *device);

/* ---- sim_job.c ---- */

/* Models options->positional, a job or a model file, on the TPU that the options name. */
int sim_job(const tool_options *options);

/* ---- sim_sweep.c ---- */

/* The same for every combination of the values of options->more, behind the job. */
int sim_sweep_job(const tool_options *options);

/* ---- sim_trace.c ---- */

typedef struct sim_timeline {
  json_t *events; /* {0} at first; owned until sim_write_timeline */
  double now;
} sim_timeline;
/* Appends a layer with its copies, whose time is the sum of n parts of these classes. */
void sim_add_span(sim_timeline *to, const tct_topology_layer *layer, const char *const *classes, const double *parts, int n);
/* To the file, - is stdout; `microsecond`: what one of the timeline's stands for. Returns the exit code. */
int sim_write_timeline(const char *path, sim_timeline *timeline, const char *on, const char *microsecond);

/* ---- sim_report.c ---- */

/* Ways to show the same numbers. */
struct sim_view {
  void (*print)(const void *what); /* a table of at most 100 columns, to stdout */
  void (*write_csv)(const void *what, FILE *to);
  json_t *(*json)(const void *what);
  int (*trace)(const void *what, const char *path); /* NULL: there is no timeline of several */
};
/* A layer's name and copies in `width` columns: cut between characters, without what a terminal would obey. */
void sim_print_name(const char *name, int64_t copies, int width);
extern const sim_view sim_layers; /* of a sim_result: its layers and their total */

typedef struct sim_sweep {
  const sim_result *results;
  int32_t n;
} sim_sweep;
extern const sim_view sim_totals; /* of a sim_sweep: a row for each result */

#endif
