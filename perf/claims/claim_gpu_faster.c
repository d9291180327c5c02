/* A GPU against this machine's processor, both measured. */
#include "perf/claims/train.h"

#include <stdio.h>

static const char job[] = "model:\n  layers:\n    - Conv2D: {filters: 32, kernel_size: 3, activation: relu}\n"
                          "    - Conv2D: {filters: 64, kernel_size: 3, activation: relu}\n    - MaxPooling2D\n    - Flatten\n"
                          "    - Dense: {units: 128, activation: relu}\n    - Dense: {units: 10, activation: softmax}\n";

static tct_status experiment(claim_numbers *out) {
  double seconds = 0;
  if (!claim_has_device("gpu", out)) return TCT_OK;
  tct_status status = claim_step_seconds(job, "cpu", 128, 20, &seconds);
  claim_set(out, "step on cpu", "s", seconds);
  if (status == TCT_OK) status = claim_step_seconds(job, "gpu", 128, 50, &seconds);
  claim_set(out, "step on gpu", "s", seconds);
  return status;
}

static bool rule(const claim_numbers *n, char *text, size_t bytes) {
  const double cpu = claim_get(n, "step on cpu"), gpu = claim_get(n, "step on gpu");
  (void)snprintf(text, bytes, "a step of the CNN takes %.3g s on the CPU and %.3g s on the GPU: %.3g times", cpu, gpu, cpu / gpu);
  return gpu < cpu;
}

const claim claim_gpu_faster = {
    .name = "gpu-faster",
    .about = CLAIM_ABOUT_DEVICES,
    .says = "Training on a GPU is faster than on a CPU.",
    .did = "Trains a CNN of two convolutions at batch 128 on both and takes the median time of a step.",
    .expected = "The GPU's step takes less time.",
    .explains = "A GPU has hundreds of times a processor's arithmetic, for work that is wide enough to fill it: large matrix "
                "products and convolutions over a batch. What is small or sequential does not fill it, and then starting each "
                "kernel costs more than its arithmetic; see the claim small-on-cpu.",
    .experiment = experiment,
    .rule = rule,
    .holds = {.n = 2, .at = {{"step on cpu", 0.2, "s"}, {"step on gpu", 0.002, "s"}}},
    .fails = {.n = 2, .at = {{"step on cpu", 0.2, "s"}, {"step on gpu", 0.3, "s"}}}};
