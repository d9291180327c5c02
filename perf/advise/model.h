/* What a training step takes, from the ops' flops and bytes and the machine's measured peaks alone: no step of the job runs.
 *
 *   t = Σ_c (u_c · Σ flops / F + v_c · Σ bytes / B, of the ops of class c) + w_op · ops + w_fork · ops on several threads + w_in · input bytes / B
 *
 * F and B are the machine's measured flops and bytes per second (Williams, Waterman and Patterson, "Roofline", 2009): of one thread for an
 * op too small to be shared, of all for the others; B is that of the threads' own caches for an op that fits them, of the shared cache
 * up to 32 MiB, else of memory. An update's variables come from as far as all that a step moves lies. A product's flops count with its
 * innermost extent (of attention: the keys) filled up to a vector of sixteen. The weights, how many times its
 * roofline a class of ops takes, are fitted to recorded steps of other jobs (perf/calibrate, perf/results/advise-cells.json); the
 * interval is conformal: the residuals of each recorded job, predicted by the fit of the others, give the factor that 90 % of them stay
 * within (Vovk, Gammerman and Shafer, 2005). */
#ifndef TERCET_PERF_MODEL_H
#define TERCET_PERF_MODEL_H

#include <jansson.h>
#include <tercet/tercet.h>
#include "perf/support/peaks.h"

typedef enum perf_class { PERF_MATMUL, PERF_CONV, PERF_CONV_GRADIENT, PERF_RECURRENT, PERF_ATTENTION, PERF_UPDATE, PERF_POOL, PERF_FUNCTION, PERF_REST, PERF_N_CLASSES } perf_class;

/* Seconds of the roofline: of class c by its flops at 2·c, by its bytes behind that. */
enum { PERF_OPS = 2 * PERF_N_CLASSES, /* how many */ PERF_FORKS, /* of them on several threads */ PERF_INPUT, /* seconds to move the batch once */ PERF_N_FEATURES };
const char *perf_feature_name(int i); /* "matmul_flops" …; NULL past the last */

typedef struct perf_features {
  double f[PERF_N_FEATURES];
} perf_features;

/* Of a compiled step; one, all: the peaks of one thread and of all of them. input_bytes: of the batch. */
void perf_features_of(const tct_program *program, const perf_peaks *one, const perf_peaks *all, double input_bytes, perf_features *out);

/* A recorded step: of which job, and how long it took. */
typedef struct perf_cell {
  char job[48];
  int64_t batch;
  int32_t threads;
  perf_features features;
  double seconds;
} perf_cell;

typedef struct perf_weights {
  double w[PERF_N_FEATURES];
  double factor; /* 90 % of predictions of unseen jobs lie within a factor of this; 0: not known */
} perf_weights;

double perf_model_seconds(const perf_weights *weights, const perf_features *features);
/* Least squares of log(t) over the cells whose job is not `without` (NULL: all), drawn gently to the prior. */
void perf_model_fit(const perf_cell *cells, int n, const char *without, perf_weights *out);
/* The fit of all cells, with its factor: from every job predicted without itself. */
void perf_model_calibrate(const perf_cell *cells, int n, perf_weights *out);
/* The library's own, fitted to the recorded cells. */
extern const perf_weights perf_own_weights;

/* The cells of a file that perf/calibrate wrote; the caller's (free). false: no such file, or not that. */
bool perf_cells_read(const char *path, perf_cell **out, int *out_n);

#endif
