/* Units that are zero for every sample, after training with a rate that is too high. */
#include "perf/claims/train.h"

#include <stdio.h>
#include <stdlib.h>

enum { PIXELS = 28 * 28, UNITS = 64, SAMPLES = 1000 };

/* The share of the hidden units whose sum is positive for none of the samples: behind ReLU no gradient reaches them any more. */
static double share_of_dead(const float *kernel, const float *bias, const float *x) {
  int dead = 0;
  for (int u = 0; u < UNITS; u++) {
    bool alive = false;
    for (int s = 0; s < SAMPLES && !alive; s++) {
      double sum = (double)bias[u];
      for (int p = 0; p < PIXELS; p++) sum += (double)x[s * PIXELS + p] * (double)kernel[p * UNITS + u];
      alive = sum > 0;
    }
    dead += !alive;
  }
  return (double)dead / UNITS;
}

static tct_status look(tct_job *job, double *out) {
  float *kernel = NULL, *bias = NULL, *const x = malloc(sizeof(float) * SAMPLES * PIXELS);
  int32_t *const y = malloc(sizeof *y * SAMPLES);
  int64_t index[SAMPLES], n;
  tct_dataset *data = NULL;
  for (int i = 0; i < SAMPLES; i++) index[i] = i;
  tct_status status = x != NULL && y != NULL ? claim_read(job, "hidden/kernel", &kernel, &n) : TCT_OUT_OF_MEMORY;
  if (status == TCT_OK) status = claim_read(job, "hidden/bias", &bias, &n);
  if (status == TCT_OK) status = tct_job_dataset(job, TCT_JOB_TRAIN, &data);
  if (status == TCT_OK) status = tct_dataset_read(data, index, SAMPLES, (void *const[]){x, y});
  if (status == TCT_OK) *out = share_of_dead(kernel, bias, x);
  free(kernel);
  free(bias);
  free(x);
  free(y);
  return status;
}

static tct_status train(const char *activation, double rate, double *dead, double *accuracy) {
  char text[1024];
  tct_job *job = NULL;
  claim_fit fit = {.accuracy = 0};
  (void)snprintf(text, sizeof text, "model: {layers: [Flatten, {Dense: {name: hidden, units: %d}}, %s, {Dense: {units: 10, activation: softmax}}]}\n"
                 "optimizer: {type: adam, learning_rate: %g}\ntrain: {batch_size: 32, epochs: 5}\n", UNITS, activation, rate);
  tct_status status = claim_open(text, 2000, &job);
  if (status == TCT_OK) status = claim_train(job, &fit);
  if (status == TCT_OK) status = look(job, dead);
  tct_job_free(job);
  *accuracy = fit.diverged ? 0 : fit.accuracy;
  return status;
}

static tct_status experiment(claim_numbers *out) {
  double dead = 0, accuracy = 0;
  tct_status status = train("Activation: {activation: relu}", 0.3, &dead, &accuracy);
  claim_set(out, "share of dead units, rate 0.3", "", dead);
  claim_set(out, "accuracy, rate 0.3", "", accuracy);
  if (status == TCT_OK) status = train("Activation: {activation: relu}", 0.003, &dead, &accuracy);
  claim_set(out, "share of dead units, rate 0.003", "", dead);
  claim_set(out, "accuracy, rate 0.003", "", accuracy);
  if (status == TCT_OK) status = train("LeakyReLU: {negative_slope: 0.3}", 0.3, &dead, &accuracy);
  claim_set(out, "share of units never positive, leaky ReLU, rate 0.3", "", dead);
  claim_set(out, "accuracy, leaky ReLU, rate 0.3", "", accuracy);
  return status;
}

static bool rule(const claim_numbers *n, char *text, size_t bytes) {
  const double dead = claim_get(n, "share of dead units, rate 0.3"), low = claim_get(n, "share of dead units, rate 0.003");
  const double at_high = claim_get(n, "accuracy, rate 0.3"), at_low = claim_get(n, "accuracy, rate 0.003"), leaky = claim_get(n, "accuracy, leaky ReLU, rate 0.3");
  (void)snprintf(text, bytes, "at a rate of 0.3, %.0f %% of the units are dead and the accuracy is %.3g; at 0.003 %.0f %% and %.3g; with leaky ReLU at 0.3 it is %.3g",
                 100 * dead, at_high, 100 * low, at_low, leaky);
  return dead > 0.5 && low < dead / 2 && at_low > at_high && leaky > at_high;
}

const claim claim_dead_relus = {
    .name = "dead-relus",
    .about = CLAIM_ABOUT_TRAINING,
    .says = "ReLUs die; a lower learning rate or leaky ReLU cures it.",
    .did = "Trains an MLP of 64 hidden units with Adam at rates of 0.3 and 0.003, and with leaky ReLU at 0.3, and counts the units that are positive for none of 1000 samples.",
    .expected = "At the high rate more than half of the units are dead, at the low one less than half as many; the low rate and leaky ReLU reach a higher accuracy.",
    .explains = "A step that is too long can throw a unit's bias and weights to where its sum is negative for every sample. Behind ReLU "
                "its gradient is then zero, so it never returns: the network is smaller from there on. A lower rate does not throw; a "
                "leaky ReLU lets a part of the gradient through where it is negative, so that the unit can come back.",
    .experiment = experiment,
    .rule = rule,
    .holds = {.n = 5, .at = {{"share of dead units, rate 0.3", 0.9, ""}, {"accuracy, rate 0.3", 0.1, ""}, {"share of dead units, rate 0.003", 0.05, ""},
                             {"accuracy, rate 0.003", 0.9, ""}, {"accuracy, leaky ReLU, rate 0.3", 0.5, ""}}},
    .fails = {.n = 5, .at = {{"share of dead units, rate 0.3", 0.1, ""}, {"accuracy, rate 0.3", 0.9, ""}, {"share of dead units, rate 0.003", 0.05, ""},
                             {"accuracy, rate 0.003", 0.9, ""}, {"accuracy, leaky ReLU, rate 0.3", 0.9, ""}}}};
