/* Small and large batches at the same learning rate, epoch for epoch. */
#include "perf/claims/train.h"

#include <stdio.h>

static tct_status train(int batch, double rate, double *loss, double *accuracy) {
  char text[1024];
  claim_fit fit;
  (void)snprintf(text, sizeof text, "model: {layers: [Flatten, {Dense: {units: 64, activation: relu}}, {Dense: {units: 10, activation: softmax}}]}\n"
                 "optimizer: {type: sgd, learning_rate: %g}\ntrain: {batch_size: %d, epochs: 6}\n", rate, batch);
  const tct_status status = claim_train_text(text, 4096, &fit);
  *loss = fit.test_loss;
  *accuracy = fit.test_accuracy;
  return status;
}

static tct_status experiment(claim_numbers *out) {
  double loss = 0, accuracy = 0;
  tct_status status = train(16, 0.05, &loss, &accuracy);
  claim_set(out, "test loss, batch 16", "", loss);
  claim_set(out, "test accuracy, batch 16", "", accuracy);
  if (status == TCT_OK) status = train(512, 0.05, &loss, &accuracy);
  claim_set(out, "test loss, batch 512", "", loss);
  claim_set(out, "test accuracy, batch 512", "", accuracy);
  if (status == TCT_OK) status = train(512, 0.4, &loss, &accuracy);
  claim_set(out, "test loss, batch 512, rate 8 times as high", "", loss);
  claim_set(out, "test accuracy, batch 512, rate 8 times as high", "", accuracy);
  return status;
}

static bool rule(const claim_numbers *n, char *text, size_t bytes) {
  const double small = claim_get(n, "test loss, batch 16"), large = claim_get(n, "test loss, batch 512");
  (void)snprintf(text, bytes, "after six epochs the loss is %.3g at batch 16 and %.3g at batch 512 (accuracies %.3g and %.3g); with the rate raised 8 times it is %.3g", small, large,
                 claim_get(n, "test accuracy, batch 16"), claim_get(n, "test accuracy, batch 512"), claim_get(n, "test loss, batch 512, rate 8 times as high"));
  return large > small && claim_get(n, "test accuracy, batch 512") < claim_get(n, "test accuracy, batch 16");
}

const claim claim_large_batch = {
    .name = "large-batch",
    .about = CLAIM_ABOUT_TRAINING,
    .says = "A larger batch with the same learning rate converges worse per epoch.",
    .did = "Trains an MLP with SGD for six epochs on 4096 drawings at batch 16 and at batch 512, at a rate of 0.05, and at batch 512 at 0.4.",
    .expected = "At batch 512 the loss on other data is higher, and the accuracy lower.",
    .explains = "An epoch at batch 512 has a thirty-second of the steps of one at batch 16, and each step is no longer, though its direction is "
                "better. To go as far, the rate has to grow with the batch, with a warm-up where it becomes large (Goyal et al., 2017), up to where "
                "the loss is no longer straight over a step. So a device's samples per second at a large batch is not its time to an accuracy: "
                "'tercet compare --target' measures that.",
    .experiment = experiment,
    .rule = rule,
    .holds = {.n = 5, .at = {{"test loss, batch 16", 0.5, ""}, {"test accuracy, batch 16", 0.85, ""}, {"test loss, batch 512", 1.8, ""}, {"test accuracy, batch 512", 0.5, ""},
                             {"test loss, batch 512, rate 8 times as high", 0.9, ""}}},
    .fails = {.n = 5, .at = {{"test loss, batch 16", 0.5, ""}, {"test accuracy, batch 16", 0.85, ""}, {"test loss, batch 512", 0.4, ""}, {"test accuracy, batch 512", 0.88, ""},
                             {"test loss, batch 512, rate 8 times as high", 0.9, ""}}}};
