/* The `data` section: its keys for the training data, and on top of them those of validation and test; paths. */
#include <inttypes.h>
#include <string.h>

#include "base/env.h"
#include "base/status.h"
#include "train/job.h"

/* Drawings of a seed are numbered; the parts take theirs from far apart. */
static const int64_t first_glyph[TCT_JOB_N_PARTS] = {
    [TCT_JOB_TRAIN] = 0, [TCT_JOB_VALIDATION] = 2000000, [TCT_JOB_TEST] = 1000000};

const char *tct_job_part_name(tct_job_part part) {
  static const char *const names[TCT_JOB_N_PARTS] = {
      [TCT_JOB_TRAIN] = "train", [TCT_JOB_VALIDATION] = "validation", [TCT_JOB_TEST] = "test"};
  return names[part];
}

/* ---- reading the section ------------------------------------------------------------------------------- */

static bool read_numbers(tct_job *job, tct_problems *problems, const tct_yaml *list, double **out, int64_t *out_n) {
  *out_n = list && list->kind == TCT_YAML_LIST ? list->n : 0;
  if (*out_n == 0) return false;
  *out = tct_arena_alloc(&job->arena, (size_t)*out_n * sizeof **out);
  if (!*out) return false;
  double *at = *out;
  for (const tct_yaml *item = list->first; item; item = item->next, at++)
    if (item->kind != TCT_YAML_SCALAR || !tct_parse_double(item->text, strlen(item->text), at))
      tct_problem(problems, item, false, "needs a number");
  return true;
}

static void read_standardize(tct_job *job, tct_problems *problems, const tct_yaml *node) {
  static const char *const known[] = {"mean", "std"};
  if (!node || tct_spec_bool(node, &job->standardize)) return;
  job->standardize = true;
  for (const tct_yaml *at = node->kind == TCT_YAML_MAP ? node->first : NULL; at; at = at->next)
    if (strcmp(at->key, "mean") != 0 && strcmp(at->key, "std") != 0)
      tct_problem_unknown(problems, at, known, TCT_COUNT_OF(known));
  int64_t n_std = 0;
  const bool good = read_numbers(job, problems, tct_yaml_get(node, "mean"), &job->mean, &job->n_moments) &&
                    read_numbers(job, problems, tct_yaml_get(node, "std"), &job->std, &n_std) &&
                    n_std == job->n_moments;
  if (!good)
    tct_problem(problems, node, false, "needs true, false, or {mean: […], std: […]} of equal length");
  for (int64_t i = 0; good && i < n_std; i++)
    if (!(job->std[i] > 0)) {
      tct_problem(problems, tct_yaml_get(node, "std"), false, "deviation %" PRId64 " is %g, needs more than 0", i,
                  job->std[i]);
      return;
    }
}

static tct_status read_class_names(tct_job *job, tct_problems *problems, const tct_yaml *node) {
  if (!node) return TCT_OK;
  if (node->kind != TCT_YAML_LIST || node->n == 0) {
    tct_problem(problems, node, false, "needs a list of names");
    return TCT_OK;
  }
  job->class_names = tct_arena_alloc(&job->arena, (size_t)node->n * sizeof *job->class_names);
  if (!job->class_names) return TCT_OUT_OF_MEMORY;
  for (const tct_yaml *at = node->first; at; at = at->next) {
    if (at->kind != TCT_YAML_SCALAR) tct_problem(problems, at, false, "needs a name");
    job->class_names[job->n_classes++] = at->text ? at->text : "";
  }
  return TCT_OK;
}

static void check_values(tct_problems *problems, const tct_yaml *node, const tct_spec_data *data) {
  if (data->delimiter && data->delimiter[0] && data->delimiter[1])
    tct_problem(problems, node, false, "delimiter is '%s', needs one character", data->delimiter);
  if (data->end > 0 && data->begin >= data->end)
    tct_problem(problems, node, false, "begin %g is not before end %g", data->begin, data->end);
}

/* A part's keys on top of the training data's. */
static void read_part(tct_job *job, tct_problems *problems, tct_job_part part, const tct_yaml *node) {
  static const char *const whole_data[] = {"type", "standardize", "validation_split", "validation", "test",
                                           "class_names"};
  tct_spec_data *const spec = &job->data[part];
  *spec = job->data[TCT_JOB_TRAIN];
  job->has_data[part] = true;
  if (node->kind == TCT_YAML_MAP)
    for (size_t i = 0; i < TCT_COUNT_OF(whole_data); i++) {
      const tct_yaml *const at = tct_yaml_get(node, whole_data[i]);
      if (at) tct_problem(problems, at, true, "'%s' belongs to data itself, for all parts", at->key);
    }
  tct_spec_read(problems, &tct_section_data, node, spec->type, spec);
  if (!tct_yaml_get(node, "first")) spec->first = first_glyph[part];
  check_values(problems, node, spec);
}

tct_status tct_job_read_data(tct_job *job, tct_problems *problems) {
  const tct_yaml *const node = job->spec.data;
  if (!node) return TCT_OK; /* reported as missing */
  tct_spec_data *const data = &job->data[TCT_JOB_TRAIN];
  job->has_data[TCT_JOB_TRAIN] = true;
  tct_spec_read(problems, &tct_section_data, node, NULL, data);
  if (node->kind != TCT_YAML_MAP) return TCT_OK;
  check_values(problems, node, data);
  read_standardize(job, problems, data->standardize);
  TCT_TRY(read_class_names(job, problems, data->class_names));
  if (data->validation && data->validation_split > 0)
    tct_problem(problems, data->validation, true, "validation data and a validation_split; needs one of them");
  if (data->validation_split >= 1)
    tct_problem(problems, tct_yaml_get(node, "validation_split"), false, "leaves nothing to train on");
  if (data->validation) read_part(job, problems, TCT_JOB_VALIDATION, data->validation);
  if (data->test) read_part(job, problems, TCT_JOB_TEST, data->test);
  if (data->validation_split > 0) job->has_data[TCT_JOB_VALIDATION] = true;
  return TCT_OK;
}

/* ---- paths -------------------------------------------------------------------------------------------- */

/* ${VAR} → its value. */
static tct_status expand(tct_job *job, const tct_yaml *node, const char *text, tct_text *out) {
  while (*text) {
    const char *const begin = strstr(text, "${");
    const char *const end = begin ? strchr(begin, '}') : NULL;
    if (!end) break;
    tct_text_append_bytes(out, text, (size_t)(begin - text));
    char *const name = tct_arena_printf(&job->arena, "%.*s", (int)(end - begin - 2), begin + 2);
    if (!name) return TCT_OUT_OF_MEMORY;
    const char *const value = tct_env_named(name);
    if (!value || !*value) {
      (void)tct_fail(TCT_E_UNSET_VARIABLE, "path '%s' needs the environment variable %s, which is not set", text, name);
      return tct_job_context(job, node);
    }
    tct_text_append(out, value);
    text = end + 1;
  }
  tct_text_append(out, text);
  return TCT_OK;
}

tct_status tct_job_path(tct_job *job, const tct_yaml *node, const char *directory, const char *text,
                        const char **out) {
  *out = NULL;
  if (!text) return TCT_OK;
  tct_text path = {0};
  tct_status status = expand(job, node, text, &path);
  if (status == TCT_OK && path.data && path.data[0] != '/' && directory[0]) {
    tct_text joined = {0};
    tct_text_printf(&joined, "%s/%s", directory, path.data);
    tct_text_free(&path);
    path = joined;
  }
  if (status == TCT_OK && (path.failed || !path.data)) status = tct_fail(TCT_OUT_OF_MEMORY, "no memory for a path");
  if (status == TCT_OK && !(*out = tct_arena_strdup(&job->arena, path.data))) status = TCT_OUT_OF_MEMORY;
  tct_text_free(&path);
  return status;
}
