/* The same job file with another device, and nothing else done. */
#include "perf/claims/train.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char job[] = "model: {layers: [Flatten, {Dense: {units: 32, activation: relu}}, {Dense: {units: 10, activation: softmax}}]}\n";

extern char **environ;

/* Variables of the environment that someone set for GPUs: that would have been set-up. */
static int settings(void) {
  static const char *const about[] = {"TERCET_CUDA", "TERCET_BACKEND_PATH=", "CUDA_", "NVIDIA_", "LD_LIBRARY_PATH="};
  int n = 0;
  for (char **e = environ; *e != NULL; e++)
    for (size_t i = 0; i < sizeof about / sizeof about[0]; i++) n += strncmp(*e, about[i], strlen(about[i])) == 0;
  return n;
}

static tct_status experiment(claim_numbers *out) {
  double seconds = 0;
  if (!claim_has_device("gpu", out)) return TCT_OK;
  const tct_status status = claim_step_seconds(job, "gpu", 64, 10, &seconds);
  tct_error_clear(); /* that it does not run is the result */
  claim_set(out, "the job runs with only its device changed", "", status == TCT_OK);
  claim_set(out, "settings in the environment", "", settings());
  return TCT_OK;
}

static bool rule(const claim_numbers *n, char *text, size_t bytes) {
  const bool runs = claim_get(n, "the job runs with only its device changed") != 0;
  const double set = claim_get(n, "settings in the environment");
  if (!runs) (void)snprintf(text, bytes, "the job that runs on the CPU does not run on the GPU as it is");
  else if (set > 0) (void)snprintf(text, bytes, "the job runs, but %.0f variables of the environment are set for it", set);
  else (void)snprintf(text, bytes, "the job runs with device: gpu and nothing else changed");
  return runs && set == 0;
}

const claim claim_gpu_no_setup = {
    .name = "gpu-no-setup",
    .about = CLAIM_ABOUT_DEVICES,
    .says = "Training on a GPU needs no additional set-up.",
    .did = "Trains a job with its device changed to gpu and nothing else, and counts the settings in the environment that are there for it.",
    .expected = "The job runs, and no setting was needed.",
    .explains = "On a rented machine with an image for deep learning the sentence is true, because someone did the set-up: a "
                "driver that fits the card and libraries that fit the driver. On a machine of one's own these come first. "
                "Without a card there is nothing to test; what is missing is said by 'tercet doctor'.",
    .experiment = experiment,
    .rule = rule,
    .holds = {.n = 2, .at = {{"the job runs with only its device changed", 1, ""}, {"settings in the environment", 0, ""}}},
    .fails = {.n = 2, .at = {{"the job runs with only its device changed", 1, ""}, {"settings in the environment", 2, ""}}}};
