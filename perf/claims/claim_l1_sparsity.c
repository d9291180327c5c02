/* The share of weights that a penalty brings to nothing: L1, L2, none. */
#include "perf/claims/train.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Small beside Glorot's first weights of this layer, which are up to 0.085. */
static const double NOTHING = 1e-3;

static tct_status train(const char *penalty, double *share, double *accuracy) {
  char text[1024];
  tct_job *job = NULL;
  claim_fit fit = {.test_accuracy = 0};
  float *w = NULL;
  int64_t n = 0, near = 0;
  (void)snprintf(text, sizeof text, "model: {layers: [Flatten, {Dense: {name: hidden, units: 32, activation: relu%s}}, {Dense: {units: 10, activation: softmax}}]}\n"
                 "optimizer: {type: sgd, learning_rate: 0.1, momentum: 0.5}\ntrain: {batch_size: 32, epochs: 16}\n", penalty);
  tct_status status = claim_open(text, 2000, &job);
  if (status == TCT_OK) status = claim_train(job, &fit);
  if (status == TCT_OK) status = claim_read(job, "hidden/kernel", &w, &n);
  for (int64_t i = 0; status == TCT_OK && i < n; i++) near += fabs((double)w[i]) < NOTHING;
  *share = n > 0 ? (double)near / (double)n : 0;
  *accuracy = fit.test_accuracy;
  free(w);
  tct_job_free(job);
  return status;
}

static tct_status experiment(claim_numbers *out) {
  double share = 0, accuracy = 0;
  tct_status status = train("", &share, &accuracy);
  claim_set(out, "share of weights under 0.001, no penalty", "", share);
  claim_set(out, "test accuracy, no penalty", "", accuracy);
  if (status == TCT_OK) status = train(", kernel_regularizer: {l1: 0.001}", &share, &accuracy);
  claim_set(out, "share of weights under 0.001, L1", "", share);
  claim_set(out, "test accuracy, L1", "", accuracy);
  if (status == TCT_OK) status = train(", kernel_regularizer: {l2: 0.001}", &share, &accuracy);
  claim_set(out, "share of weights under 0.001, L2", "", share);
  claim_set(out, "test accuracy, L2", "", accuracy);
  return status;
}

static bool rule(const claim_numbers *n, char *text, size_t bytes) {
  const double none = claim_get(n, "share of weights under 0.001, no penalty"), l1 = claim_get(n, "share of weights under 0.001, L1");
  const double l2 = claim_get(n, "share of weights under 0.001, L2");
  (void)snprintf(text, bytes, "%.0f %% of the weights are under 0.001 without a penalty, %.0f %% with L1, %.0f %% with L2", 100 * none, 100 * l1, 100 * l2);
  return l1 > 0.25 && l1 > 5 * none && l1 > 5 * l2;
}

const claim claim_l1_sparsity = {
    .name = "l1-sparsity",
    .about = CLAIM_ABOUT_TRAINING,
    .says = "L1 gives sparsity.",
    .did = "Trains an MLP with SGD for 16 epochs without a penalty, with L1 and with L2 of the same factor on the hidden kernel, and counts the weights under 0.001.",
    .expected = "With L1 more than a quarter of the weights are there, and more than five times as many as without a penalty and as with L2.",
    .explains = "L1 pulls every weight towards zero with the same force, however small it is, so that those that the loss does not need end there. "
                "L2's pull shrinks with the weight and never quite arrives. Gradient steps jump about zero by the learning rate and so leave "
                "weights small rather than exactly zero; who needs zeros cuts off below a threshold after training.",
    .experiment = experiment,
    .rule = rule,
    .holds = {.n = 3, .at = {{"share of weights under 0.001, no penalty", 0.02, ""}, {"share of weights under 0.001, L1", 0.8, ""}, {"share of weights under 0.001, L2", 0.02, ""}}},
    .fails = {.n = 3, .at = {{"share of weights under 0.001, no penalty", 0.02, ""}, {"share of weights under 0.001, L1", 0.03, ""}, {"share of weights under 0.001, L2", 0.02, ""}}}};
