/* Weights that are too large in a deep network, with and without a bound on the gradient. */
#include "perf/claims/train.h"

#include <stdio.h>

enum { DEPTH = 8 };

static tct_status train(double scale, const char *clipping, claim_fit *out, double *gradient) {
  char text[2048];
  tct_job *job = NULL;
  size_t at = (size_t)snprintf(text, sizeof text, "model:\n  layers:\n    - Flatten\n");
  for (int i = 0; i < DEPTH; i++)
    at += (size_t)snprintf(text + at, sizeof text - at, "    - Dense: {name: d%d, units: 32, activation: relu, kernel_initializer: he_uniform}\n", i);
  (void)snprintf(text + at, sizeof text - at, "    - Dense: {name: out, units: 10, activation: softmax}\n"
                                              "optimizer: {type: sgd, learning_rate: 0.05, momentum: 0.5%s}\n"
                                              "train: {batch_size: 32, steps: %d}\n", clipping, gradient != NULL ? 1 : 1000);
  tct_status status = claim_open(text, 2000, &job);
  for (int i = 0; i < DEPTH && status == TCT_OK; i++) {
    char name[32];
    (void)snprintf(name, sizeof name, "d%d/kernel", i);
    status = claim_scale(job, name, scale);
  }
  if (status == TCT_OK) status = claim_train(job, out);
  if (status == TCT_OK && gradient != NULL) status = claim_gradient(job, "d0/kernel", 0.05, gradient);
  tct_job_free(job);
  return status;
}

static tct_status experiment(claim_numbers *out) {
  claim_fit plain, clipped, one;
  double usual = 0, large = 0;
  tct_status status = train(1, "", &one, &usual);
  if (status == TCT_OK) status = train(1.7, "", &one, &large);
  if (status == TCT_OK) status = train(1.7, "", &plain, NULL);
  if (status == TCT_OK) status = train(1.7, ", global_clipnorm: 1", &clipped, NULL);
  if (status != TCT_OK) return status;
  claim_set(out, "norm of the first layer's gradient, He's weights", "", usual);
  claim_set(out, "norm of the first layer's gradient, weights 1.7 times as large", "", large);
  claim_set(out, "diverged without clipping", "", plain.diverged);
  claim_set(out, "steps until then", "", (double)plain.steps);
  claim_set(out, "diverged with clipping", "", clipped.diverged);
  claim_set(out, "accuracy without clipping", "", plain.diverged ? 0 : plain.accuracy);
  claim_set(out, "accuracy with clipping", "", clipped.diverged ? 0 : clipped.accuracy);
  return TCT_OK;
}

/* Divergence has two faces: a loss that is no number any more, or weights that were thrown where nothing is learnt. */
static bool rule(const claim_numbers *n, char *text, size_t bytes) {
  const double grows = claim_get(n, "norm of the first layer's gradient, weights 1.7 times as large") / claim_get(n, "norm of the first layer's gradient, He's weights");
  const double plain = claim_get(n, "accuracy without clipping"), clipped = claim_get(n, "accuracy with clipping");
  const bool diverged = claim_get(n, "diverged without clipping") != 0;
  (void)snprintf(text, bytes, "weights 1.7 times as large make the gradient %.3g times as large; without clipping training %s (accuracy %.3g), with it the accuracy is %.3g", grows,
                 diverged ? "ends in a loss that is no number" : "goes on", plain, clipped);
  return grows > 10 && plain < 0.2 && clipped > 0.5 && claim_get(n, "diverged with clipping") == 0;
}

const claim claim_exploding_gradients = {
    .name = "exploding-gradients",
    .about = CLAIM_ABOUT_TRAINING,
    .says = "Gradients explode in deep networks; clipping cures it.",
    .did = "Multiplies the first weights of eight layers of ReLUs by 1.7 and trains 1000 steps with SGD, without clipping and with the gradients' joint norm bounded by 1.",
    .expected = "The gradient is more than ten times as large; without clipping nothing is learnt (accuracy under 0.2), with it the accuracy passes 0.5.",
    .explains = "The gradient of a layer is a product over the layers behind it: weights 1.7 times as large give, over eight layers, a gradient "
                "seventy times as large. One such step throws the weights to where the next gradient is larger still, or where no unit "
                "is active. Clipping keeps the direction and bounds the length of the step (Pascanu, Mikolov & Bengio, 2013). It treats the "
                "symptom; a right initialisation removes the cause here, in recurrent networks nothing else does.",
    .experiment = experiment,
    .rule = rule,
    .holds = {.n = 6, .at = {{"norm of the first layer's gradient, He's weights", 0.5, ""}, {"norm of the first layer's gradient, weights 1.7 times as large", 60, ""},
                             {"diverged without clipping", 1, ""}, {"diverged with clipping", 0, ""}, {"accuracy without clipping", 0, ""}, {"accuracy with clipping", 0.8, ""}}},
    .fails = {.n = 6, .at = {{"norm of the first layer's gradient, He's weights", 0.5, ""}, {"norm of the first layer's gradient, weights 1.7 times as large", 60, ""},
                             {"diverged without clipping", 0, ""}, {"diverged with clipping", 0, ""}, {"accuracy without clipping", 0.8, ""}, {"accuracy with clipping", 0.8, ""}}}};
