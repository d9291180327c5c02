/* What the tests of job files share: parts to put a job together from, and reading it. */
#ifndef TCT_TESTS_TRAIN_JOBS_H
#define TCT_TESTS_TRAIN_JOBS_H

#include <string.h>

#include <tercet/job.h>

#define DATA "data: {type: glyphs, samples: 20}\n"
#define LOSS "loss: sparse_categorical_crossentropy\n"
#define MODEL "model: {layers: [Flatten, {Dense: {units: 10, activation: softmax}}]}\n"
#define REF "device: ref\n"

static inline tct_status parse(const char *text, const char *const *set, int32_t n_set, tct_job **out) {
  return tct_job_parse(text, strlen(text), "job.yaml", &(tct_job_options){.set = set, .n_set = n_set}, out);
}

#endif
