/* The job as YAML again, with what it learnt from the data written in: the text that a model file carries. */
#include "base/status.h"
#include "train/job.h"

static tct_status put(tct_job *job, tct_yaml *map, const char *key, tct_yaml *value) {
  if (!value) return TCT_OUT_OF_MEMORY;
  tct_yaml *const old = tct_yaml_get(map, key);
  if (!old) return tct_yaml_add(&job->arena, map, key, value);
  tct_yaml_replace(old, value);
  return TCT_OK;
}

static tct_status put_numbers(tct_job *job, tct_yaml *map, const char *key, const double *numbers, int64_t n) {
  tct_yaml *const list = tct_yaml_new(&job->arena, TCT_YAML_LIST, NULL);
  if (!list) return TCT_OUT_OF_MEMORY;
  for (int64_t i = 0; i < n; i++) {
    tct_text text = {0};
    tct_text_json_number(&text, numbers[i]);
    tct_yaml *const item = text.failed ? NULL : tct_yaml_new(&job->arena, TCT_YAML_SCALAR, text.data);
    tct_text_free(&text);
    if (!item) return TCT_OUT_OF_MEMORY;
    TCT_TRY(tct_yaml_add(&job->arena, list, NULL, item));
  }
  return put(job, map, key, list);
}

static tct_status put_inputs(tct_job *job, tct_yaml *model) {
  tct_yaml *const inputs = tct_yaml_new(&job->arena, TCT_YAML_MAP, NULL);
  if (!inputs) return TCT_OUT_OF_MEMORY;
  for (int32_t i = 0; i < job->n_inputs; i++) {
    const tct_job_input *const input = &job->inputs[i];
    double shape[TCT_MAX_RANK] = {0};
    for (int32_t d = 0; d < input->shape.rank; d++) shape[d] = (double)input->shape.dim[d];
    tct_yaml *const options = tct_yaml_new(&job->arena, TCT_YAML_MAP, NULL);
    if (!options) return TCT_OUT_OF_MEMORY;
    TCT_TRY(put_numbers(job, options, "shape", shape, input->shape.rank));
    if (input->dtype == TCT_I32)
      TCT_TRY(put(job, options, "dtype", tct_yaml_new(&job->arena, TCT_YAML_SCALAR, tct_dtype_name(input->dtype))));
    TCT_TRY(put(job, inputs, input->name, options));
  }
  return put(job, model, "inputs", inputs);
}

static tct_status put_learnt(tct_job *job) {
  tct_yaml *const data = tct_yaml_get(job->root, "data"), *const model = tct_yaml_get(job->root, "model");
  if (job->n_inputs > 0 && job->inputs[0].has_shape) TCT_TRY(put_inputs(job, model));
  if (job->standardize && job->n_moments > 0) {
    tct_yaml *const moments = tct_yaml_new(&job->arena, TCT_YAML_MAP, NULL);
    if (!moments) return TCT_OUT_OF_MEMORY;
    TCT_TRY(put_numbers(job, moments, "mean", job->mean, job->n_moments));
    TCT_TRY(put_numbers(job, moments, "std", job->std, job->n_moments));
    TCT_TRY(put(job, data, "standardize", moments));
  }
  if (job->n_classes == 0) return TCT_OK;
  tct_yaml *const names = tct_yaml_new(&job->arena, TCT_YAML_LIST, NULL);
  if (!names) return TCT_OUT_OF_MEMORY;
  for (int32_t i = 0; i < job->n_classes; i++) {
    tct_yaml *const name = tct_yaml_new(&job->arena, TCT_YAML_SCALAR, job->class_names[i]);
    if (!name) return TCT_OUT_OF_MEMORY;
    name->quoted = true;
    TCT_TRY(tct_yaml_add(&job->arena, names, NULL, name));
  }
  return put(job, data, "class_names", names);
}

tct_status tct_job_text(tct_job *job, const char **out) {
  *out = NULL;
  TCT_TRY(put_learnt(job));
  tct_yaml_remove(job->root, "checkpoint");
  tct_text_free(&job->text);
  job->text = (tct_text){0};
  tct_yaml_print(job->root, &job->text);
  if (job->text.failed || !job->text.data) return tct_fail(TCT_OUT_OF_MEMORY, "no memory for the job's text");
  *out = job->text.data;
  return TCT_OK;
}
