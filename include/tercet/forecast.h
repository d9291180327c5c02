/* What a job's step takes on a device whose clock is a model's (tpu:…), op by op, without running it; why; what to write
 * instead; and what a run took so far. `tercet sim JOB` and `tercet lint --tpu` are written with it. Times are modelled, never measured.
 *
 *   const char *const set[] = {"device=tpu:v5e,arrays=2"};
 *   tct_job *job = NULL;
 *   tct_forecast *forecast = NULL;
 *   tct_forecast_info info;
 *   tct_status status = tct_job_load("mnist.yaml", &(tct_job_options){.set = set, .n_set = 1}, &job);
 *   if (status == TCT_OK) status = tct_forecast_open(job, true, &forecast);
 *   if (status == TCT_OK) {
 *     tct_forecast_describe(forecast, &info);
 *     printf("%g s, %g J, %g USD\n", info.total.seconds, info.total.joules, info.dollars);
 *   }
 *   tct_forecast_free(forecast);
 *   tct_job_free(job);
 *
 * A sweep is a loop over descriptions of the chip. One thread at a time uses a forecast and its job. */
#ifndef TERCET_FORECAST_H
#define TERCET_FORECAST_H

#include <tercet/chip.h>
#include <tercet/job.h>

TCT_BEGIN_DECLS

typedef struct tct_forecast tct_forecast;

/* Classes of cycles; they exclude each other and sum to the time. */
enum { TCT_FORECAST_CLASSES = 8 };
TCT_API const char *tct_forecast_class(int32_t i); /* "arrays, useful" …; NULL past the last */

typedef enum tct_forecast_phase { TCT_FORECAST_FORWARD, TCT_FORECAST_BACKWARD, TCT_FORECAST_UPDATE, TCT_FORECAST_N_PHASES } tct_forecast_phase;
TCT_API const char *tct_forecast_phase_name(tct_forecast_phase phase); /* "forward" …; "" out of range */
/* The phase of any training program's step (tct_program_step, on every device) and the layer that it is of, by its name and op:
 * *out_length characters from *out_layer, which points into `name`. */
TCT_API tct_forecast_phase tct_forecast_place(const char *name, const char *op, const char **out_layer, int32_t *out_length);

typedef struct tct_forecast_cost {
  double seconds, cycles;
  double by_class[TCT_FORECAST_CLASSES]; /* cycles */
  double all_reduce;                     /* cycles on the links to other chips, hidden or not */
  double hbm_bytes, macs, joules;        /* macs: products issued, padding included; 0 of an op that is not for the arrays */
  double flops;                          /* that the op needs, analytic */
  uint64_t reserved[4];
} tct_forecast_cost;

/* An op, or the sum of the ops of a layer or a phase. Text lives as long as the forecast. */
typedef struct tct_forecast_row {
  const char *name;         /* "conv2d_1/conv2d"; of a sum the layer's or the phase's */
  const char *op;           /* "" of a sum */
  const char *layer;        /* "" of a phase */
  tct_forecast_phase phase; /* N_PHASES of a layer */
  bool on_host;             /* an op that the device has not, with fallback */
  tct_forecast_cost cost;
} tct_forecast_row;
/* Layers and phases in the order of their first op. */
typedef enum tct_forecast_by { TCT_FORECAST_OPS, TCT_FORECAST_LAYERS, TCT_FORECAST_PHASES } tct_forecast_by;

typedef struct tct_forecast_info {
  const char *device;      /* as the job says */
  tct_chip chip;
  int64_t batch;
  bool training;
  int32_t n_ops;
  tct_forecast_cost total; /* the rows' sum, and waiting for other chips; energy of all chips */
  double dollars;          /* of the step, of all chips */
  uint64_t reserved[4];
} tct_forecast_info;

/* The training step, or the prediction of a batch (training false), of the job on its device, with the job's batch. The job is
 * borrowed and must outlive the forecast. Errors: TCT_UNSUPPORTED for a device whose clock is no model's; those of
 * tct_job_model and of the device. */
TCT_API tct_status tct_forecast_open(tct_job *job, bool training, tct_forecast **out) TCT_CHECKED;
TCT_API void tct_forecast_free(tct_forecast *forecast); /* NULL is fine */
TCT_API void tct_forecast_describe(const tct_forecast *forecast, tct_forecast_info *out);
TCT_API const tct_forecast_row *tct_forecast_row_at(const tct_forecast *forecast, tct_forecast_by by, int32_t i); /* NULL: none */
/* The instructions of the i-th op, a line each; of −1: the way in of what a step is given, and the way out of what can be read of it. */
TCT_API void tct_forecast_listing(const tct_forecast *forecast, int32_t i, tct_line_fn line, void *user);
/* A timeline in Chrome's trace format (chrome://tracing, ui.perfetto.dev): a row of the ops, one of their classes of
 * cycles, and one of the layers. */
TCT_API tct_status tct_forecast_trace(const tct_forecast *forecast, tct_write_fn write, void *user) TCT_CHECKED;

/* What is compiled for the job, a program for each shape: training (of a forecast of the training step; else prediction) and
 * evaluation, and their last batches where these are smaller. The data is opened for its size. */
typedef struct tct_forecast_program {
  const char *what; /* "training", "last batch of training", "evaluation" … */
  int64_t batch;
} tct_forecast_program;
TCT_API tct_status tct_forecast_programs(tct_forecast *forecast, const tct_forecast_program **out, int32_t *out_n) TCT_CHECKED;

/* What keeps the job from running well, the largest predicted gain first. The arrays live as long as the forecast. */
typedef struct tct_forecast_finding {
  const char *where, *what, *instead; /* an op, "batch", "data" …; sentences */
  double saves;                       /* share of the step's time that the rewrite saves; NaN: not predicted */
  int32_t saves_programs;             /* at most so many need not be compiled */
} tct_forecast_finding;
TCT_API tct_status tct_forecast_lint(tct_forecast *forecast, const tct_forecast_finding **out, int32_t *out_n) TCT_CHECKED;

/* What everything that ran on an opened device took so far, by its model: training, validation, evaluation. */
typedef struct tct_forecast_run {
  double seconds, joules, dollars;
  double useful;           /* share of the time in which the arrays work on products that are needed */
  int64_t programs;        /* compiled */
  double compiling;        /* seconds of it, apart from the time */
  uint64_t reserved[2];
} tct_forecast_run;
/* false, and zeros, for a device whose time is measured. */
TCT_API bool tct_forecast_so_far(tct_device *device, tct_forecast_run *out);

TCT_END_DECLS
#endif
