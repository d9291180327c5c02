/* The same model fed from memory, and by an input pipeline that makes each sample when it is asked for. */
#include "perf/claims/train.h"

#include <stdio.h>

static const char job[] = "model: {layers: [Flatten, {Dense: {units: 64, activation: relu}}, {Dense: {units: 10, activation: softmax}}]}\n"
                          "train: {batch_size: 64, epochs: 3}\n";

/* Drawing a glyph takes tens of times longer than training on it. */
static tct_status train_on_the_fly(claim_fit *out) {
  tct_job *job_on_the_fly = NULL;
  tct_dataset *glyphs = NULL;
  tct_status status = claim_open(job, 4096, &job_on_the_fly);
  if (status == TCT_OK) status = tct_dataset_glyphs(&(tct_glyphs_options){.n_samples = 4096, .seed = 7}, &glyphs);
  if (status == TCT_OK) {
    tct_job_use(job_on_the_fly, TCT_JOB_TRAIN, glyphs);
    status = claim_train(job_on_the_fly, out);
  }
  tct_dataset_free(glyphs);
  tct_job_free(job_on_the_fly);
  return status;
}

static tct_status experiment(claim_numbers *out) {
  claim_fit memory, drawn;
  tct_status status = claim_train_text(job, 4096, &memory);
  if (status == TCT_OK) status = train_on_the_fly(&drawn);
  if (status != TCT_OK) return status;
  claim_set(out, "share of the time that training waits, data in memory", "", memory.wait_share);
  claim_set(out, "share of the time that training waits, data made on the way", "", drawn.wait_share);
  claim_set(out, "step, data in memory", "s", memory.mean_step_seconds);
  claim_set(out, "step, data made on the way", "s", drawn.mean_step_seconds);
  return TCT_OK;
}

static bool rule(const claim_numbers *n, char *text, size_t bytes) {
  const double waits = claim_get(n, "share of the time that training waits, data made on the way");
  const double slower = claim_get(n, "step, data made on the way") / claim_get(n, "step, data in memory");
  (void)snprintf(text, bytes, "with the data made on the way, training waits for %.0f %% of the time and a step takes %.3g times as long", 100 * waits, slower);
  return waits > 0.5 && slower > 2;
}

const claim claim_input_pipeline = {
    .name = "input-pipeline",
    .about = CLAIM_ABOUT_DEVICES,
    .says = "The input pipeline can be the bottleneck.",
    .did = "Trains a small MLP on 4096 drawings, once from memory and once with each drawing made when its batch is asked for, two batches ahead.",
    .expected = "With the data made on the way, more than half of the time is waiting, and a step takes more than twice as long.",
    .explains = "Reading, decoding and augmenting happen on the processor. Where they take longer than the step, a faster device "
                "waits longer, and nothing else gets faster: the step's time is the pipeline's. Reading ahead hides it only while it is "
                "shorter than the step. Keep the data in memory, prepare it once, or use more processes. The progress line of 'tercet "
                "train' shows the share of time spent waiting when it is over 5 %.",
    .experiment = experiment,
    .rule = rule,
    .holds = {.n = 3, .at = {{"share of the time that training waits, data made on the way", 0.9, ""}, {"step, data in memory", 0.001, "s"}, {"step, data made on the way", 0.02, "s"}}},
    .fails = {.n = 3, .at = {{"share of the time that training waits, data made on the way", 0.05, ""}, {"step, data in memory", 0.001, "s"}, {"step, data made on the way", 0.0011, "s"}}}};
