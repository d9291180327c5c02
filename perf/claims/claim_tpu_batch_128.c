/* Batches beside the multiples of 8 and 128, on the modelled clock. */
#include "perf/claims/train.h"

#include <stdio.h>

static const char job[] = "data: {type: glyphs, samples: 1}\nloss: sparse_categorical_crossentropy\n"
                          "model: {layers: [Flatten, {Dense: {units: 1024, activation: relu}}, {Dense: {units: 1024, activation: relu}}, "
                          "{Dense: {units: 10, activation: softmax}}]}\n";

static tct_status experiment(claim_numbers *out) {
  static const struct {
    const char *name;
    int64_t batch;
  } rows[] = {{"a sample at batch 8", 8}, {"a sample at batch 9", 9}, {"a sample at batch 128", 128}, {"a sample at batch 129", 129},
              {"a sample at batch 1024", 1024}, {"a sample at batch 1025", 1025}};
  tct_status status = TCT_OK;
  for (size_t i = 0; i < sizeof rows / sizeof rows[0] && status == TCT_OK; i++) {
    double seconds = 0;
    status = claim_model(job, "tpu:v3", rows[i].batch, NULL, NULL, &seconds);
    claim_set(out, rows[i].name, "s modelled", seconds / (double)rows[i].batch);
  }
  return status;
}

static bool rule(const claim_numbers *n, char *text, size_t bytes) {
  const double eight = claim_get(n, "a sample at batch 9") / claim_get(n, "a sample at batch 8");
  const double tile = claim_get(n, "a sample at batch 129") / claim_get(n, "a sample at batch 128");
  const double large = claim_get(n, "a sample at batch 1025") / claim_get(n, "a sample at batch 1024");
  (void)snprintf(text, bytes, "one sample more than 128 and 1024 changes the time of a sample by %+.2f %% and %+.2f %%, one more than 8 by %+.2f %%: multiples of 128 %s, of 8 %s",
                 100 * (tile - 1), 100 * (large - 1), 100 * (eight - 1), tile > 1 && large > 1 ? "matter" : "do not matter", eight > 1 ? "too" : "do not");
  return tile > 1 && large > 1 && eight > 1;
}

const claim claim_tpu_batch_128 = {
    .name = "tpu-batch-128",
    .about = CLAIM_ABOUT_TPU,
    .says = "A batch that is a multiple of 128 (at least of 8) runs better on a TPU.",
    .did = "Models the training step of an MLP on tpu:v3 at batches of 8, 128 and 1024, and of one sample more each.",
    .expected = "One sample over 128, over 1024 and over 8 makes each sample slower.",
    .explains = "A TPU keeps tensors in tiles of 8 by 128 and its array takes tiles of 128, so what lies over a multiple is padded "
                "to the next one: memory and cycles for zeros. Which extents are padded depends on the layout that the compiler "
                "chooses. At a batch of a few samples the step is starting ops and reading weights, which another sample gets for nothing: there "
                "the larger batch wins, whatever its multiple.",
    .modelled = true,
    .experiment = experiment,
    .rule = rule,
    .holds = {.n = 6, .at = {{"a sample at batch 8", 1e-5, "s modelled"}, {"a sample at batch 9", 1.1e-5, "s modelled"},
                             {"a sample at batch 128", 1e-6, "s modelled"}, {"a sample at batch 129", 1.2e-6, "s modelled"},
                             {"a sample at batch 1024", 5e-7, "s modelled"}, {"a sample at batch 1025", 5.2e-7, "s modelled"}}},
    .fails = {.n = 6, .at = {{"a sample at batch 8", 1e-5, "s modelled"}, {"a sample at batch 9", 0.9e-5, "s modelled"},
                             {"a sample at batch 128", 1e-6, "s modelled"}, {"a sample at batch 129", 1.2e-6, "s modelled"},
                             {"a sample at batch 1024", 5e-7, "s modelled"}, {"a sample at batch 1025", 5.2e-7, "s modelled"}}}};
