/* tercet summary: layers, parameters, and the memory that a training step takes. */
#include "tool.h"

static void write_stdout(void *user, const char *text, size_t length) {
  (void)user;
  fwrite(text, 1, length, stdout);
}

static int run_summary(const tool_options *options) {
  tct_job *job = NULL;
  tct_model *model = NULL;
  tct_job_info info;
  if (tool_open_job(options, &job) != TCT_OK) return tool_fail();
  tct_job_describe(job, &info);
  tct_status status = tct_job_model(job, &model);
  if (status == TCT_OK) status = tct_model_summary(model, info.batch_size, options->json, write_stdout, NULL);
  const int code = status == TCT_OK ? tool_finish() : tool_fail();
  tct_job_free(job);
  return code;
}

const tool_command tool_summary = {
    .name = "summary",
    .letter = 's',
    .argument = "MODEL",
    .summary = "print a model's layers, parameters and memory",
    .about = "MODEL is a job file or a model file. Prints the layers with output shapes and parameter counts, and the\n"
             "exact memory of a training step. --json lists every parameter's name, shape and dtype: the names and\n"
             "layouts of model files and of --init.\n\n"
             "Examples:\n"
             "  tercet summary examples/glyphs.yaml\n"
             "  tercet summary examples/glyphs.yaml --set model.width=64 --batch 256 --json\n",
    .run = run_summary};
