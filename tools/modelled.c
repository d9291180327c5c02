/* The forecast of the job that the command line names, on tpu:v3 where neither says which chip. */
#include "modelled.h"

#include <string.h>

const char *modelled_chip(const char *device) {
  if (strcmp(device, "tpu") == 0) return "v3";
  return strncmp(device, "tpu:", 4) == 0 ? device + 4 : NULL;
}

static bool names_device(const tool_options *options) {
  for (int32_t i = 0; i < options->n_set; i++) {
    if (strncmp(options->set[i], "device=", 7) == 0) return true;
  }
  return false;
}

/* A job for another device is modelled on tpu:v3, unless the command line says where. */
int modelled_open_job(const tool_options *options, modelled *out) {
  *out = (modelled){.job = NULL};
  if (tool_open_job(options, &out->job) != TCT_OK) return tool_fail();
  tct_job_describe(out->job, &out->job_info);
  if (modelled_chip(out->job_info.device) != NULL) return TOOL_OK;
  if (names_device(options)) return tool_usage("--device %s has no modelled clock; needs tpu or tpu:CHIP", out->job_info.device);
  tool_options with_device = *options;
  if (with_device.n_set == TOOL_MOST_SETS) return tool_usage("more than %d overrides", TOOL_MOST_SETS);
  with_device.set[with_device.n_set++] = "device=tpu:v3";
  tct_job_free(out->job);
  out->job = NULL;
  if (tool_open_job(&with_device, &out->job) != TCT_OK) return tool_fail();
  tct_job_describe(out->job, &out->job_info);
  return TOOL_OK;
}

int modelled_open(const tool_options *options, bool training, modelled *out) {
  const int code = modelled_open_job(options, out);
  if (code != TOOL_OK) return code;
  if (tct_forecast_open(out->job, training, &out->forecast) != TCT_OK) return tool_fail();
  tct_forecast_describe(out->forecast, &out->info);
  return TOOL_OK;
}

void modelled_free(modelled *m) {
  tct_forecast_free(m->forecast);
  tct_job_free(m->job);
  *m = (modelled){.job = NULL};
}
