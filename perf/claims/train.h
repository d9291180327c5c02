/* What the experiments share: training small jobs on drawings that are made once, gradients of a first step, steps on a modelled
 * clock, and devices that may not be here. */
#ifndef TERCET_PERF_CLAIM_TRAIN_H
#define TERCET_PERF_CLAIM_TRAIN_H

#include <tercet/forecast.h>
#include <tercet/job.h>
#include "perf/claims/claim.h"

/* A job over glyphs, from the text of its members other than data (`model: …`): read, with `samples` drawings to train with and
 * 1000 others for validation and test. The caller frees it. */
tct_status claim_open(const char *text, int64_t samples, tct_job **out) TCT_CHECKED;

typedef struct claim_fit {
  double first_loss, last_loss;   /* of single steps */
  double loss, accuracy;          /* of the training data, over the last epoch */
  double own_loss, own_accuracy;  /* of the training data after training, as it is evaluated: without dropout */
  double test_loss, test_accuracy;
  double step_seconds;            /* median of the steps' wall time, but for the first */
  double mean_step_seconds;       /* of all but the first: what a step takes with its waiting */
  double wait_share;              /* of the time: waiting for data */
  int64_t steps;
  bool diverged;                  /* a loss was not finite: what follows the steps is NaN */
} claim_fit;
/* Trains an opened job as it says and evaluates it on the test drawings. */
tct_status claim_train(tct_job *job, claim_fit *out) TCT_CHECKED;
/* Both; the job is freed. */
tct_status claim_train_text(const char *text, int64_t samples, claim_fit *out) TCT_CHECKED;

/* Euclidean norm of the first step's gradient of a parameter, of a job with `optimizer: {type: sgd, momentum: …}`, after the
 * step has run: the velocity is −learning rate · gradient. */
tct_status claim_gradient(tct_job *job, const char *parameter, double learning_rate, double *out) TCT_CHECKED;
/* Multiplies a parameter's values. */
tct_status claim_scale(tct_job *job, const char *parameter, double factor) TCT_CHECKED;
/* The parameter's values, dense, f32; the caller frees them. */
tct_status claim_read(tct_job *job, const char *parameter, float **out, int64_t *out_n) TCT_CHECKED;

/* Seconds of one training step of a job (its whole text, with data) on a modelled device; also the rows of its ops, while
 * `look` (may be NULL) runs. */
typedef void (*claim_look_fn)(const tct_forecast *forecast, void *user);
tct_status claim_model(const char *text, const char *device, int64_t batch, claim_look_fn look, void *user, double *out_seconds)
    TCT_CHECKED;

/* Whether a device can be opened; if not, the numbers cannot tell, with its reason. */
bool claim_has_device(const char *device, claim_numbers *out);
/* Median seconds of a training step, of `steps` after five, as a fit of a job over glyphs with the device's name put in. */
tct_status claim_step_seconds(const char *text, const char *device, int64_t batch, int64_t steps, double *out) TCT_CHECKED;

#endif
