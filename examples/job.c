/* Level 3, a job file: trains what a YAML file describes, evaluates it, saves the model, and uses the saved file to classify
 * a few samples. job JOB.yaml MODEL.safetensors [KEY=VALUE]…, for instance
 *   job examples/glyphs.yaml glyphs.safetensors train.epochs=1 */
#include <stdio.h>
#include <tercet/tercet.h>

enum { SHOWN = 5 };

static tct_status train(const char *path, const tct_job_options *options, const char *model_path) {
  tct_job *job = NULL;
  tct_evaluation result = {0};
  tct_status status = tct_job_load(path, options, &job);
  if (status == TCT_OK) status = tct_job_train(job, NULL);
  if (status == TCT_OK) status = tct_job_evaluate(job, TCT_JOB_TEST, &result);
  for (int32_t i = 0; status == TCT_OK && i < result.n_values; i++)
    printf("test %s %.4f\n", result.names[i], result.values[i]);
  if (status == TCT_OK) status = tct_job_save(job, model_path);
  tct_job_free(job);
  return status;
}

static int64_t largest(const float *score, int64_t n) {
  int64_t best = 0;
  for (int64_t c = 1; c < n; c++) best = score[c] > score[best] ? c : best;
  return best;
}

/* The model file carries its job, so that it stands alone. */
static tct_status classify(const char *model_path) {
  tct_job *job = NULL;
  tct_dataset *test = NULL, *few = NULL;
  tct_desc desc = {0};
  void *scores = NULL;
  tct_status status = tct_job_from_model(model_path, NULL, &job);
  if (status == TCT_OK) status = tct_job_dataset(job, TCT_JOB_TEST, &test);
  if (status == TCT_OK) status = tct_dataset_slice(test, 0, SHOWN, &few);
  if (status == TCT_OK) status = tct_job_predict(job, few, &desc, &scores);
  for (int64_t i = 0; status == TCT_OK && i < SHOWN; i++) {
    const int64_t n_classes = desc.shape.dim[1];
    printf("sample %d is a %d\n", (int)i, (int)largest((const float *)scores + i * n_classes, n_classes));
  }
  tct_job_release(scores);
  tct_dataset_free(few);
  tct_job_free(job);
  return status;
}

int main(int argc, char **argv) {
  if (argc < 3) {
    fprintf(stderr, "usage: job JOB.yaml MODEL.safetensors [KEY=VALUE]...\n");
    return 2;
  }
  const tct_job_options options = {.set = (const char *const *)argv + 3, .n_set = argc - 3};
  tct_status status = train(argv[1], &options, argv[2]);
  if (status == TCT_OK) status = classify(argv[2]);
  if (status != TCT_OK) fprintf(stderr, "job: %s\n", tct_error_message());
  return status == TCT_OK ? 0 : 1;
}
