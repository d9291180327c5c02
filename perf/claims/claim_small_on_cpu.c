/* Where the crossover between processor and GPU lies: the same network at the two ends of the batch sizes. */
#include "perf/claims/train.h"

#include <stdio.h>

static const char job[] = "model: {layers: [Flatten, {Dense: {units: 256, activation: relu}}, {Dense: {units: 256, activation: relu}}, "
                          "{Dense: {units: 10, activation: softmax}}]}\n";

static tct_status experiment(claim_numbers *out) {
  static const struct {
    const char *name, *device;
    int64_t batch;
  } rows[] = {{"cpu, batch 1", "cpu", 1}, {"gpu, batch 1", "gpu", 1}, {"cpu, batch 1024", "cpu", 1024}, {"gpu, batch 1024", "gpu", 1024}};
  tct_status status = TCT_OK;
  if (!claim_has_device("gpu", out)) return TCT_OK;
  for (size_t i = 0; i < sizeof rows / sizeof rows[0] && status == TCT_OK; i++) {
    double seconds = 0;
    status = claim_step_seconds(job, rows[i].device, rows[i].batch, rows[i].batch == 1 ? 300 : 30, &seconds);
    claim_set(out, rows[i].name, "s", seconds);
  }
  return status;
}

static bool rule(const claim_numbers *n, char *text, size_t bytes) {
  const double small = claim_get(n, "gpu, batch 1") / claim_get(n, "cpu, batch 1");
  const double large = claim_get(n, "gpu, batch 1024") / claim_get(n, "cpu, batch 1024");
  (void)snprintf(text, bytes, "at batch 1 the GPU takes %.3g times the CPU's time, at batch 1024 %.3g times", small, large);
  return small > 1 && large < small;
}

const claim claim_small_on_cpu = {
    .name = "small-on-cpu",
    .about = CLAIM_ABOUT_DEVICES,
    .says = "Small models and small batches are faster on the CPU.",
    .did = "Times the steps of an MLP of 270 000 parameters at batch 1 and at batch 1024 on both devices.",
    .expected = "At batch 1 the CPU is faster, and the GPU gains with the batch.",
    .explains = "Each op on a GPU costs a launch of some microseconds whatever its size, and each step a trip of the data. A "
                "small product is done in less time on the processor. With the batch the work grows and the launches stay, so "
                "there is a size from which on the GPU wins; 'tercet compare --sweep batch=…' finds it for a job.",
    .experiment = experiment,
    .rule = rule,
    .holds = {.n = 4, .at = {{"cpu, batch 1", 5e-5, "s"}, {"gpu, batch 1", 2e-4, "s"}, {"cpu, batch 1024", 0.02, "s"}, {"gpu, batch 1024", 4e-4, "s"}}},
    .fails = {.n = 4, .at = {{"cpu, batch 1", 5e-4, "s"}, {"gpu, batch 1", 2e-4, "s"}, {"cpu, batch 1024", 0.02, "s"}, {"gpu, batch 1024", 4e-4, "s"}}}};
