/* A network with far more weights than samples, plain, with dropout, with L2. */
#include "perf/claims/train.h"

#include <stdio.h>

static tct_status train(const char *dropout, const char *penalty, claim_fit *out) {
  char text[1024];
  (void)snprintf(text, sizeof text, "model: {layers: [Flatten, {Dense: {units: 256, activation: relu%s}}%s, {Dense: {units: 10, activation: softmax%s}}]}\n"
                 "optimizer: {type: adam, learning_rate: 0.002}\ntrain: {batch_size: 32, epochs: 60}\n", penalty, dropout, penalty);
  return claim_train_text(text, 400, out);
}

static tct_status experiment(claim_numbers *out) {
  claim_fit plain, dropout, l2;
  tct_status status = train("", "", &plain);
  if (status == TCT_OK) status = train(", {Dropout: {rate: 0.5}}", "", &dropout);
  if (status == TCT_OK) status = train("", ", kernel_regularizer: 0.003", &l2);
  if (status != TCT_OK) return status;
  claim_set(out, "accuracy on the training data, plain", "", plain.own_accuracy);
  claim_set(out, "test accuracy, plain", "", plain.test_accuracy);
  claim_set(out, "test accuracy, dropout", "", dropout.test_accuracy);
  claim_set(out, "test accuracy, L2", "", l2.test_accuracy);
  claim_set(out, "test loss over training loss, plain", "", plain.test_loss - plain.own_loss);
  claim_set(out, "test loss over training loss, dropout", "", dropout.test_loss - dropout.own_loss);
  claim_set(out, "test loss over training loss, L2", "", l2.test_loss - l2.own_loss);
  return TCT_OK;
}

/* The gap between both losses, evaluated alike: the penalty of L2 is in both. */
static bool rule(const claim_numbers *n, char *text, size_t bytes) {
  const double plain = claim_get(n, "test loss over training loss, plain"), dropout = claim_get(n, "test loss over training loss, dropout");
  const double l2 = claim_get(n, "test loss over training loss, L2");
  const double learnt = claim_get(n, "accuracy on the training data, plain"), other = claim_get(n, "test accuracy, plain");
  (void)snprintf(text, bytes, "plain, %.3g of the training data are right and %.3g of others, whose loss is %.3g higher; with dropout it is %.3g higher, with L2 %.3g",
                 learnt, other, plain, dropout, l2);
  return learnt - other > 0.1 && dropout < plain && l2 < plain;
}

const claim claim_overfitting = {
    .name = "overfitting",
    .about = CLAIM_ABOUT_TRAINING,
    .says = "Dropout and L2 reduce overfitting.",
    .did = "Trains an MLP of 200 000 weights for 60 epochs on 400 drawings, plain, with dropout of a half, and with an L2 penalty of 0.003 on the kernels.",
    .expected = "Plain, the accuracy is more than 0.1 higher on the training data than on others; both cures bring the loss on others closer to that on the training data.",
    .explains = "A network with more weights than samples can learn its samples by heart, and grows sure of itself: the loss on other data "
                "rises while that on its own falls. Dropout trains a random part of the network in each step, so that no unit can rely on another "
                "(Srivastava et al., 2014). L2 keeps the weights small, and with them how fast the output can change. More data does more than both.",
    .experiment = experiment,
    .rule = rule,
    .holds = {.n = 5, .at = {{"accuracy on the training data, plain", 1, ""}, {"test accuracy, plain", 0.7, ""}, {"test loss over training loss, plain", 1.2, ""},
                             {"test loss over training loss, dropout", 1, ""}, {"test loss over training loss, L2", 0.6, ""}}},
    .fails = {.n = 5, .at = {{"accuracy on the training data, plain", 1, ""}, {"test accuracy, plain", 0.7, ""}, {"test loss over training loss, plain", 1.2, ""},
                             {"test loss over training loss, dropout", 1.3, ""}, {"test loss over training loss, L2", 0.6, ""}}}};
