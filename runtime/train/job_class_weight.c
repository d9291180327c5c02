/* `train.class_weight`: keys are class names where the data has them, else numbers; which is which is known once the data
 * is open, so that the values are checked when the job is read, the keys when it trains. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/status.h"
#include "train/job.h"
#include "train/session.h"

static bool read_weight(const tct_yaml *node, double *out) {
  return node->kind == TCT_YAML_SCALAR && tct_parse_double(node->text, strlen(node->text), out) && *out >= 0 &&
         isfinite(*out);
}

void tct_job_read_class_weight(const tct_job *job, tct_problems *problems) {
  const tct_yaml *const node = job->train.class_weight;
  double weight = 0;
  if (!node) return;
  if (node->kind != TCT_YAML_MAP || node->n == 0) {
    tct_problem(problems, node, false, "needs classes and their weights, such as {0: 1, 3: 2.5}");
    return;
  }
  for (const tct_yaml *at = node->first; at; at = at->next) {
    if (read_weight(at, &weight)) continue;
    tct_problem(problems, at, false, "is %s, needs a finite number, 0 or more",
                at->kind == TCT_YAML_SCALAR ? at->text : "no number");
  }
}

/* -1: no class. A name comes before a number, which a name may look like. */
static int64_t class_of(const tct_job *job, const char *key, int64_t classes) {
  int64_t number = -1;
  for (int32_t c = 0; c < job->n_classes && c < classes; c++)
    if (strcmp(job->class_names[c], key) == 0) return c;
  return tct_parse_i64(key, strlen(key), &number) && number >= 0 && number < classes ? number : -1;
}

/* weight[classes], all below 0 where nothing was said; returns how many the last one said makes. */
static int32_t resolve(const tct_job *job, tct_problems *problems, int64_t classes, double *weight) {
  int64_t n = 0;
  for (int64_t c = 0; c < classes; c++) weight[c] = -1;
  for (const tct_yaml *at = job->train.class_weight->first; at; at = at->next) {
    const int64_t c = class_of(job, at->key, classes);
    if (c < 0) {
      tct_problem(problems, at, true, "class '%s' is not among the %" PRId64 " classes; needs a number from 0 to %" PRId64
                  "%s", at->key, classes, classes - 1, job->n_classes > 0 ? ", or the name of one" : "");
    } else if (weight[c] >= 0) {
      tct_problem(problems, at, true, "class '%s' has a weight already, under its %s", at->key,
                  job->n_classes > 0 ? "name or number" : "number");
    } else {
      (void)read_weight(at, &weight[c]); /* checked when the job was read */
      if (c >= n) n = c + 1;
    }
  }
  for (int64_t c = 0; c < n; c++)
    if (weight[c] < 0) weight[c] = 1;
  return (int32_t)n;
}

tct_status tct_job_class_weight(tct_job *job, const tct_model *model, const double **out, int32_t *out_n) {
  const tct_yaml *const node = job->train.class_weight;
  tct_problems problems = {.origin = job->origin, .set = job->set};
  *out = NULL;
  *out_n = 0;
  if (!node) return TCT_OK;
  const int64_t classes = tct_class_count(model);
  if (classes == 0) {
    tct_problem_as(&problems, node, true, TCT_E_TRAINING_OPTION,
                   "'class_weight' needs a loss with one class a sample, the loss is %s; remove it", job->loss_type->name);
  } else {
    double *const weight = tct_arena_alloc(&job->arena, (size_t)classes * sizeof *weight);
    if (!weight) return TCT_OUT_OF_MEMORY;
    *out_n = resolve(job, &problems, classes, weight);
    *out = weight;
  }
  const tct_status status = tct_problems_status(&problems);
  tct_text_free(&problems.text);
  return status;
}
