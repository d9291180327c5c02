/* A TPU against a GPU. What this machine has of a TPU is a model, and a model's time is never held against a measured one. */
#include "perf/claims/train.h"

#include <stdio.h>

static const char model[] = "model:\n  layers:\n    - Conv2D: {filters: 32, kernel_size: 3, activation: relu}\n"
                            "    - Conv2D: {filters: 64, kernel_size: 3, activation: relu}\n    - MaxPooling2D\n    - Flatten\n"
                            "    - Dense: {units: 128, activation: relu}\n    - Dense: {units: 10, activation: softmax}\n";

static tct_status experiment(claim_numbers *out) {
  double seconds = 0;
  tct_device *device = NULL;
  tct_device_info info;
  tct_status status = tct_device_open("tpu:v3", NULL, &device);
  if (status != TCT_OK) return status;
  tct_device_describe(device, &info);
  tct_device_close(device);
  claim_set(out, "the TPU's time is measured", "", !info.time_is_modelled);
  if (info.time_is_modelled) {
    char text[1024];
    (void)snprintf(text, sizeof text, "data: {type: glyphs, samples: 1}\nloss: sparse_categorical_crossentropy\n%s", model);
    status = claim_model(text, "tpu:v3", 128, NULL, NULL, &seconds);
    claim_set(out, "step on tpu:v3, modelled", "s", seconds);
    claim_cannot_tell(out, "the TPU here is a model, whose time is not compared with a measured one");
  } else {
    status = claim_step_seconds(model, "tpu:v3", 128, 50, &seconds);
    claim_set(out, "step on tpu", "s", seconds);
  }
  if (status != TCT_OK) return status;
  if (!claim_has_device("gpu", out)) {
    if (info.time_is_modelled) claim_cannot_tell(out, "there is no GPU here, and the TPU is a model, whose time is not compared with a measured one");
    return TCT_OK;
  }
  status = claim_step_seconds(model, "gpu", 128, 50, &seconds);
  claim_set(out, "step on gpu", "s", seconds);
  return status;
}

static bool rule(const claim_numbers *n, char *text, size_t bytes) {
  const double tpu = claim_get(n, "step on tpu"), gpu = claim_get(n, "step on gpu");
  (void)snprintf(text, bytes, "a step of the CNN takes %.3g s on the TPU and %.3g s on the GPU", tpu, gpu);
  return tpu < gpu;
}

const claim claim_tpu_faster = {
    .name = "tpu-faster",
    .about = CLAIM_ABOUT_DEVICES,
    .says = "TPUs are faster than GPUs.",
    .did = "Trains a CNN at batch 128 on a GPU and a TPU, where both can be measured; a modelled TPU's time is shown beside, not compared.",
    .expected = "The TPU's step takes less measured time.",
    .explains = "It depends on which ones, and on the job. Their peaks of the same year are close; a TPU is ahead where large "
                "matrix products dominate in bf16, batches are large and shapes fixed, and behind where ops are small, of odd "
                "sizes or not its own. Only both, measured on the same job, tell. With a data file of another machine, "
                "'tercet compare --with FILE' shows its numbers as quoted ones.",
    .modelled = true,
    .experiment = experiment,
    .rule = rule,
    .holds = {.n = 2, .at = {{"step on tpu", 0.001, "s"}, {"step on gpu", 0.002, "s"}}},
    .fails = {.n = 2, .at = {{"step on tpu", 0.003, "s"}, {"step on gpu", 0.002, "s"}}}};
