/* Three kinds of numbers, three seeds each: whether the accuracy differs by more than the seeds do. */
#include "perf/claims/train.h"

#include <math.h>
#include <stdio.h>

static const char job[] = "model:\n  layers:\n    - Conv2D: {filters: 8, kernel_size: 3, strides: 2, activation: relu}\n"
                          "    - Conv2D: {filters: 16, kernel_size: 3, strides: 2, activation: relu}\n    - Flatten\n"
                          "    - Dense: {units: 32, activation: relu}\n    - Dense: {units: 10, activation: softmax}\n"
                          "optimizer: {type: adam, learning_rate: 0.003}\n";
enum { SEEDS = 3 };

static tct_status accuracy(const char *how, double *mean, double *deviation) {
  double at[SEEDS], sum = 0, squares = 0;
  for (int seed = 0; seed < SEEDS; seed++) {
    char text[1024];
    claim_fit fit;
    (void)snprintf(text, sizeof text, "%sseed: %d\n%s", job, seed + 1, how);
    const tct_status status = claim_train_text(text, 3000, &fit);
    if (status != TCT_OK) return status;
    at[seed] = fit.test_accuracy;
    sum += at[seed];
  }
  *mean = sum / SEEDS;
  for (int seed = 0; seed < SEEDS; seed++) squares += (at[seed] - *mean) * (at[seed] - *mean);
  *deviation = sqrt(squares / (SEEDS - 1));
  return TCT_OK;
}

static tct_status experiment(claim_numbers *out) {
  double mean = 0, deviation = 0;
  tct_status status = accuracy("train: {epochs: 4, batch_size: 32}\n", &mean, &deviation);
  claim_set(out, "accuracy in f32", "", mean);
  claim_set(out, "its deviation from seed to seed", "", deviation);
  if (status == TCT_OK) status = accuracy("train: {epochs: 4, batch_size: 32}\ndevice: tpu:v3\n", &mean, &deviation);
  claim_set(out, "accuracy with a TPU's bf16 products", "", mean);
  if (status == TCT_OK) status = accuracy("train: {epochs: 4, batch_size: 32, precision: bfloat16}\n", &mean, &deviation);
  claim_set(out, "accuracy in mixed bf16", "", mean);
  return status;
}

/* Means of three differ by chance by √(2/3) of the seeds' deviation; 2 of these, and never less than a point. */
static bool rule(const claim_numbers *n, char *text, size_t bytes) {
  const double f32 = claim_get(n, "accuracy in f32"), tpu = claim_get(n, "accuracy with a TPU's bf16 products"), mixed = claim_get(n, "accuracy in mixed bf16");
  const double chance = fmax(0.01, 2 * sqrt(2.0 / SEEDS) * claim_get(n, "its deviation from seed to seed"));
  (void)snprintf(text, bytes, "%.4g in f32, %.4g with a TPU's products, %.4g in mixed bf16; seeds explain differences of %.2g", f32, tpu, mixed, chance);
  return f32 - tpu <= chance && f32 - mixed <= chance;
}

const claim claim_tpu_bf16 = {
    .name = "tpu-bf16",
    .about = CLAIM_ABOUT_TPU,
    .says = "bf16 reaches the same accuracy as f32.",
    .did = "Trains a CNN on 3000 drawings for 4 epochs with three seeds each in f32, with a TPU's rounding of products (tpu:v3), and in mixed bf16.",
    .expected = "No mean of the accuracies in bf16 is lower than f32's by more than a point, or than seeds explain.",
    .explains = "bf16 has f32's exponents and 8 bits of significand. Rounding the operands of products to it adds noise that is small "
                "beside that of the random batches, as long as sums and weights stay in f32: a small update would vanish beside a weight in "
                "bf16. No loss scaling is needed, for nothing underflows that f32 would keep. The step by step differences are "
                "what 'tercet shadow' shows.",
    .experiment = experiment,
    .rule = rule,
    .holds = {.n = 4, .at = {{"accuracy in f32", 0.95, ""}, {"its deviation from seed to seed", 0.004, ""}, {"accuracy with a TPU's bf16 products", 0.948, ""}, {"accuracy in mixed bf16", 0.951, ""}}},
    .fails = {.n = 4, .at = {{"accuracy in f32", 0.95, ""}, {"its deviation from seed to seed", 0.004, ""}, {"accuracy with a TPU's bf16 products", 0.948, ""}, {"accuracy in mixed bf16", 0.90, ""}}}};
