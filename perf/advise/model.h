/* What a training step takes, from the ops' flops and bytes and the machine's measured peaks alone: no step of the job runs.
 *
 *   t = Σ_c (u_c · Σ flops / F + v_c · Σ bytes / B, of the ops of class c)
 *       + w_op · ops + w_fork · ops on several threads + w_in · input bytes / B
 *       + w_t · filter bytes read again / B, of convolutions and of their gradients + w_r · rows of scores + w_e · elements of functions
 *       + w_s · steps of time
 *
 * F and B are the machine's measured flops and bytes per second (Williams, Waterman and Patterson, "Roofline", 2009): of one thread for an
 * op too small to be shared, of all for the others; B is that of the threads' own caches for an op that fits them, of the shared cache
 * up to 32 MiB, else of memory. An update's variables come from as far as all that a step moves lies. A product's flops count with its
 * innermost extent (of attention: the keys) filled up to what the kernels' registers hold. The weights, how many times its roofline a class
 * of ops takes, are fitted to recorded steps of other jobs (perf/calibrate, perf/results/advise-cells.json).
 *
 * The interval is in the manner of normalised conformal prediction (Papadopoulos, Gammerman and Vovk, "Normalized nonconformity measures",
 * 2008), from the residuals of each recorded job when the fit of the others predicts it: the variance of log(t) is Σ_p s_p · share_p² + s of
 * the parts p that a step's time consists of, and the quantile is what 90 % of the residuals stay within. A job's steps are alike, so the
 * theorem's promise does not hold to the letter; what the interval held of jobs that neither saw is measured (docs/measured.md). */
#ifndef TERCET_PERF_MODEL_H
#define TERCET_PERF_MODEL_H

#include <jansson.h>
#include <tercet/tercet.h>
#include "perf/support/peaks.h"

typedef enum perf_class { PERF_MATMUL, PERF_CONV, PERF_CONV_GRADIENT, PERF_RECURRENT, PERF_ATTENTION, PERF_UPDATE, PERF_POOL, PERF_FUNCTION, PERF_REST, PERF_N_CLASSES } perf_class;

enum {
  /* seconds of the roofline: of class c by its flops at 2·c, by its bytes behind that */
  PERF_OPS = 2 * PERF_N_CLASSES, /* how many */
  PERF_FORKS,                    /* of them on several threads */
  PERF_INPUT,                    /* seconds to move the batch once */
  PERF_CONV_TILES,               /* seconds to read the filters of convolutions again, from the threads' own caches */
  PERF_CONV_GRADIENT_TILES,      /* likewise of their gradients */
  PERF_ATTENTION_ROWS,           /* of scores, over how many times as fast the threads are together */
  PERF_FUNCTION_ELEMENTS,        /* likewise over that */
  PERF_RECURRENT_STEPS,          /* one behind the other */
  PERF_N_FEATURES
};
/* What a prediction's error is made of: the classes, and these. */
enum { PERF_PART_OPS = PERF_N_CLASSES, PERF_PART_FORKS, PERF_PART_INPUT, PERF_PART_ALL, PERF_N_PARTS };
const char *perf_part_name(int i);    /* "matmul" …, "ops", "forks", "input", "all"; NULL past the last */
const char *perf_feature_name(int i); /* "matmul_flops" …; NULL past the last */

typedef struct perf_features {
  double f[PERF_N_FEATURES];
} perf_features;

/* Of a batch of the job's training data, all its fields; 0: it cannot be read. */
double perf_input_bytes(tct_job *job, int64_t batch);
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
  double spread[PERF_N_PARTS]; /* variance of log(t) where a step is of that part alone */
  double quantile;             /* how many deviations 90 % of predictions of unseen jobs stay within; 0: not known */
} perf_weights;

double perf_model_seconds(const perf_weights *weights, const perf_features *features);
/* The interval of 90 %: from seconds / factor to seconds · factor. */
double perf_model_factor(const perf_weights *weights, const perf_features *features);
/* Least squares of log(t) over the cells whose job is not `without` (NULL: all), drawn gently to the prior; from the weights `from` (NULL: the
 * prior), which only shortens the way. */
void perf_model_fit(const perf_cell *cells, int n, const char *without, const perf_weights *from, perf_weights *out);
/* The fit of all cells, with its spreads and quantile: from every job predicted without itself. */
void perf_model_calibrate(const perf_cell *cells, int n, perf_weights *out);
/* How well cells are predicted. */
typedef struct perf_judged {
  int n, inside;               /* their intervals */
  double error, half_width;    /* medians: of |predicted / measured − 1|, of half the interval over the prediction */
  double narrowest, widest;    /* half-widths */
} perf_judged;
typedef void (*perf_judged_fn)(void *user, const perf_cell *cell, double seconds, double factor);
/* By `own`, or (NULL) each job as a stranger's: by weights, spreads and quantile of the other jobs alone. `told` (NULL: nobody) hears of each
 * cell. false: no memory, or more cells than a calibration takes. */
bool perf_model_judge(const perf_cell *cells, int n, const perf_weights *own, perf_judged_fn told, void *user, perf_judged *out);
/* The library's own, fitted to the recorded cells. */
extern const perf_weights perf_own_weights;

/* The cells of a file that perf/calibrate wrote; the caller's (free). false: no such file, or not that. */
bool perf_cells_read(const char *path, perf_cell **out, int *out_n);

#endif
