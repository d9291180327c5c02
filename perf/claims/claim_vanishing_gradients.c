/* The first layer's gradient beside the last one's in a deep stack of sigmoids, and three cures. */
#include "perf/claims/train.h"

#include <stdio.h>
#include <string.h>

enum { DEPTH = 10, UNITS = 32 };

typedef struct variant {
  const char *name, *activation, *initializer;
  bool normalised;
  double scale; /* of the hidden kernels */
} variant;

/* Sigmoids hand on a quarter of a small change at most; weights four times as large make up for that. */
static const variant variants[] = {{"sigmoid", "sigmoid", "glorot_uniform", false, 1},
                                   {"relu", "relu", "he_uniform", false, 1},
                                   {"larger first weights", "sigmoid", "glorot_uniform", false, 4},
                                   {"batch normalisation", "sigmoid", "glorot_uniform", true, 1}};
enum { N_VARIANTS = sizeof variants / sizeof variants[0] };

static void write_job(const variant *v, const char *train, char *text, size_t bytes) {
  size_t at = (size_t)snprintf(text, bytes, "model:\n  layers:\n    - Flatten\n");
  for (int i = 0; i < DEPTH; i++) {
    at += (size_t)snprintf(text + at, bytes - at, "    - Dense: {name: d%d, units: %d, kernel_initializer: %s}\n", i, UNITS, v->initializer);
    if (v->normalised) at += (size_t)snprintf(text + at, bytes - at, "    - BatchNormalization\n");
    at += (size_t)snprintf(text + at, bytes - at, "    - Activation: {activation: %s}\n", v->activation);
  }
  (void)snprintf(text + at, bytes - at, "    - Dense: {name: out, units: 10, activation: softmax}\n"
                                        "%s", train);
}

static tct_status open(const variant *v, const char *train, tct_job **out) {
  char text[4096];
  write_job(v, train, text, sizeof text);
  tct_status status = claim_open(text, 2000, out);
  for (int i = 0; i < DEPTH && status == TCT_OK && v->scale != 1; i++) {
    char name[32];
    (void)snprintf(name, sizeof name, "d%d/kernel", i);
    status = claim_scale(*out, name, v->scale);
  }
  return status;
}

/* The norm of the first hidden layer's gradient over the last one's; the second, for the first has 784 inputs. */
static tct_status ratio(const variant *v, double *out) {
  tct_job *job = NULL;
  claim_fit fit;
  double first = 0, last = 1;
  char name[32];
  (void)snprintf(name, sizeof name, "d%d/kernel", DEPTH - 1);
  tct_status status = open(v, "optimizer: {type: sgd, learning_rate: 0.05, momentum: 0.9}\ntrain: {batch_size: 64, steps: 1}\n", &job);
  if (status == TCT_OK) status = claim_train(job, &fit);
  if (status == TCT_OK) status = claim_gradient(job, "d1/kernel", 0.05, &first);
  if (status == TCT_OK) status = claim_gradient(job, name, 0.05, &last);
  tct_job_free(job);
  *out = first / last;
  return status;
}

static tct_status accuracy(const variant *v, double *out) {
  tct_job *job = NULL;
  claim_fit fit = {.accuracy = 0};
  tct_status status = open(v, "optimizer: {type: adam, learning_rate: 0.002}\ntrain: {batch_size: 32, epochs: 12}\n", &job);
  if (status == TCT_OK) status = claim_train(job, &fit);
  tct_job_free(job);
  *out = fit.diverged ? 0 : fit.accuracy;
  return status;
}

static tct_status experiment(claim_numbers *out) {
  static const char *const names[N_VARIANTS][2] = {{"first gradient over last, sigmoid", "accuracy, sigmoid"},
                                                   {"first gradient over last, relu", "accuracy, relu"},
                                                   {"first gradient over last, larger first weights", "accuracy, larger first weights"},
                                                   {"first gradient over last, batch normalisation", "accuracy, batch normalisation"}};
  tct_status status = TCT_OK;
  for (int i = 0; i < N_VARIANTS && status == TCT_OK; i++) {
    double gradient = 0, reached = 0;
    status = ratio(&variants[i], &gradient);
    if (status == TCT_OK) status = accuracy(&variants[i], &reached);
    claim_set(out, names[i][0], "", gradient);
    claim_set(out, names[i][1], "", reached);
  }
  return status;
}

static bool rule(const claim_numbers *n, char *text, size_t bytes) {
  const double bad = claim_get(n, "first gradient over last, sigmoid"), learnt = claim_get(n, "accuracy, sigmoid");
  static const char *const cures[][2] = {{"first gradient over last, relu", "accuracy, relu"},
                                         {"first gradient over last, larger first weights", "accuracy, larger first weights"},
                                         {"first gradient over last, batch normalisation", "accuracy, batch normalisation"}};
  int cured = 0;
  for (int i = 0; i < 3; i++) cured += claim_get(n, cures[i][0]) > 10 * bad && claim_get(n, cures[i][1]) > learnt;
  (void)snprintf(text, bytes, "with sigmoids the first hidden layer gets %.2g of the last one's gradient, with ReLU %.2g, with larger first weights %.2g, "
                 "with batch normalisation %.2g; accuracies %.3g, %.3g, %.3g, %.3g", bad, claim_get(n, cures[0][0]), claim_get(n, cures[1][0]),
                 claim_get(n, cures[2][0]), learnt, claim_get(n, cures[0][1]), claim_get(n, cures[1][1]), claim_get(n, cures[2][1]));
  return bad < 0.01 && cured == 3;
}

const claim claim_vanishing_gradients = {
    .name = "vanishing-gradients",
    .about = CLAIM_ABOUT_TRAINING,
    .says = "Gradients vanish in deep networks of sigmoids; ReLU, initialisation and normalisation cure it.",
    .did = "Trains ten layers of sigmoids with Adam for 12 epochs, and the same with ReLU and He's first weights, with weights four times as large, and with "
           "batch normalisation; before that, compares the first step's gradients of the second and the last hidden layer.",
    .expected = "The second layer has less than a hundredth of the last one's gradient; each cure makes it more than ten times as large, and learns better.",
    .explains = "A sigmoid's slope is at most a quarter, so each layer hands back at most a quarter of the gradient times its weights; "
                "over ten layers nothing arrives, and the first layers stay as they were drawn. ReLU's slope is one where it is active. Weights "
                "four times as large make up for the quarter (Glorot & Bengio, 2010, explain why scale matters). Batch normalisation keeps "
                "what enters a sigmoid where it is steep, and its spread large.",
    .experiment = experiment,
    .rule = rule,
    .holds = {.n = 8, .at = {{"first gradient over last, sigmoid", 1e-5, ""}, {"accuracy, sigmoid", 0.1, ""}, {"first gradient over last, relu", 0.9, ""},
                             {"accuracy, relu", 0.8, ""}, {"first gradient over last, larger first weights", 0.4, ""}, {"accuracy, larger first weights", 0.6, ""},
                             {"first gradient over last, batch normalisation", 0.5, ""}, {"accuracy, batch normalisation", 0.9, ""}}},
    .fails = {.n = 8, .at = {{"first gradient over last, sigmoid", 1e-5, ""}, {"accuracy, sigmoid", 0.1, ""}, {"first gradient over last, relu", 0.9, ""},
                             {"accuracy, relu", 0.8, ""}, {"first gradient over last, larger first weights", 0.4, ""}, {"accuracy, larger first weights", 0.1, ""},
                             {"first gradient over last, batch normalisation", 0.5, ""}, {"accuracy, batch normalisation", 0.9, ""}}}};
