/* `tercet sim sweep`'s points, between what computes them (sim_sweep.c) and what shows them (sim_sweep_report.c). */
#ifndef TERCET_TOOL_SIM_SWEEP_H
#define TERCET_TOOL_SIM_SWEEP_H

#include "tool.h"

enum { MOST_KEYS = 8, MOST_VALUES = 32, MOST_POINTS = 1024 };

typedef struct axis {
  const char *key, *value[MOST_VALUES]; /* in the text that was cut */
  int n;
} axis;

typedef struct point {
  char values[256]; /* "array=64x64,hbm=400GB/s" */
  double seconds, cycles, joules, dollars, accuracy; /* of a step, of all chips; accuracy NaN: not asked for */
  double samples;                            /* of a step, of all chips */
  int64_t passes, array_order, quantized;
  char refused[320]; /* why the job cannot run there; "": it can, and the numbers are known */
  bool best; /* no other point is as good in time, energy and dollars of a sample and in accuracy, and better in one */
} point;

typedef struct sweep {
  char job[64], device[TCT_DEVICE_SPEC];
  axis axes[MOST_KEYS];
  int n_axes;
  point *points;
  int n;
} sweep;

/* As the options say: text, JSON or CSV, then the plot. Returns the exit code. */
int sim_show_sweep(const tool_options *options, const sweep *s);

#endif
