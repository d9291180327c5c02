/* tercet evaluate: loss and metrics of a trained model on a part of the data. */
#include "tool.h"

#include <string.h>

/* A job file's own weights: what it saved, unless --init gave others. */
static tct_status load_weights(const tool_options *options, tct_job *job) {
  const char *const dot = strrchr(options->positional, '.');
  if (options->init || (dot && strcmp(dot, ".safetensors") == 0)) return TCT_OK;
  tct_job_info info;
  tct_model *model = NULL;
  tct_job_describe(job, &info);
  const tct_status status = tct_job_model(job, &model);
  if (status != TCT_OK || !info.save) return status;
  return tct_model_load(model, info.save);
}

static int evaluate(const tool_options *options, tct_job *job) {
  tct_job_part part;
  tct_evaluation result;
  if (!tool_part(options, job, &part)) return TOOL_USAGE;
  tct_model *model = NULL;
  if (load_weights(options, job) != TCT_OK || tct_job_evaluate(job, part, &result) != TCT_OK || tct_job_model(job, &model) != TCT_OK)
    return tool_fail();
  if (options->json) {
    json_t *const object = tool_evaluation_json(&result);
    json_object_set_new(object, "part", json_string(tool_part_name(part)));
    tool_add_device_json(object, tct_model_device(model));
    tool_print_json(object);
  } else {
    tool_print_evaluation(tool_part_name(part), job, &result);
    tool_print_modelled(tct_model_device(model), "evaluation");
  }
  return tool_finish();
}

static int run_evaluate(const tool_options *options) {
  tct_job *job = NULL;
  if (tool_open_job(options, &job) != TCT_OK) return tool_fail();
  const int code = evaluate(options, job);
  tct_job_free(job);
  return code;
}

const tool_command tool_evaluate = {
    .name = "evaluate",
    .letter = 'e',
    .argument = "MODEL",
    .summary = "print a trained model's loss and metrics",
    .about = "MODEL is a model file (.safetensors), which carries the job that made it, or a job file, whose `save`\n"
             "names the model file. Relative data paths of a model file start from the current folder, or --job-dir.\n\n"
             "Examples:\n"
             "  tercet evaluate glyphs.safetensors\n"
             "  tercet evaluate glyphs.safetensors --part train --json\n"
             "  tercet evaluate mnist.safetensors --set data.test.images=new-images.gz --set data.test.labels=new.gz\n",
    .run = run_evaluate};
