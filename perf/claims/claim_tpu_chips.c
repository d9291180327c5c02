/* One batch over more and more chips, on the modelled clock. */
#include "perf/claims/train.h"

#include <stdio.h>

static const char job[] = "data: {type: glyphs, samples: 1}\nloss: sparse_categorical_crossentropy\n"
                          "model:\n  layers:\n    - Conv2D: {filters: 64, kernel_size: 3, activation: relu}\n"
                          "    - Conv2D: {filters: 128, kernel_size: 3, activation: relu}\n    - MaxPooling2D\n    - Flatten\n"
                          "    - Dense: {units: 512, activation: relu}\n    - Dense: {units: 10, activation: softmax}\n";

enum { SAMPLES = 1024 };

static tct_status experiment(claim_numbers *out) {
  static const struct {
    const char *name, *device;
    int64_t chips;
  } rows[] = {{"1 chip", "tpu:v3", 1}, {"2 chips", "tpu:v3,chips=2", 2}, {"4 chips", "tpu:v3,chips=4", 4}, {"16 chips", "tpu:v3,chips=16", 16}};
  tct_status status = TCT_OK;
  for (size_t i = 0; i < sizeof rows / sizeof rows[0] && status == TCT_OK; i++) {
    double seconds = 0;
    status = claim_model(job, rows[i].device, SAMPLES / rows[i].chips, NULL, NULL, &seconds);
    claim_set(out, rows[i].name, "s modelled", seconds);
  }
  return status;
}

static bool rule(const claim_numbers *n, char *text, size_t bytes) {
  const double one = claim_get(n, "1 chip");
  const double two = one / claim_get(n, "2 chips"), four = one / claim_get(n, "4 chips"), many = one / claim_get(n, "16 chips");
  (void)snprintf(text, bytes, "the same %d samples are %.3g times as fast on 2 chips, %.3g times on 4, %.3g times on 16", SAMPLES, two, four, many);
  return two < 2 && many < 16;
}

const claim claim_tpu_chips = {
    .name = "tpu-chips",
    .about = CLAIM_ABOUT_TPU,
    .says = "Doubling the chips does not halve the time.",
    .did = "Models a training step of 1024 samples on 1, 2, 4 and 16 chips of tpu:v3, which share the batch.",
    .expected = "Two chips are less than twice as fast as one, and sixteen less than sixteen times.",
    .explains = "Each chip has half of the samples, but all of the weights: it updates them all, and the gradients are summed over the "
                "links in each step. What does not shrink with the batch (updates, starting ops, the links' latency) is what stays "
                "when chips are added, as Amdahl said in 1967. A larger batch for more chips hides it, and changes what is learnt per epoch: "
                "see the claim large-batch.",
    .modelled = true,
    .experiment = experiment,
    .rule = rule,
    .holds = {.n = 4, .at = {{"1 chip", 1, "s modelled"}, {"2 chips", 0.6, "s modelled"}, {"4 chips", 0.4, "s modelled"}, {"16 chips", 0.2, "s modelled"}}},
    .fails = {.n = 4, .at = {{"1 chip", 1, "s modelled"}, {"2 chips", 0.5, "s modelled"}, {"4 chips", 0.25, "s modelled"}, {"16 chips", 0.06, "s modelled"}}}};
