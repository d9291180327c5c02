/* What sim and lint share: the forecast of the job that the command line names. */
#ifndef TERCET_TOOL_MODELLED_H
#define TERCET_TOOL_MODELLED_H

#include "tool.h"
#include <tercet/forecast.h>

/* Free with modelled_free in any case. */
typedef struct modelled {
  tct_job *job;
  tct_job_info job_info;
  tct_forecast *forecast;
  tct_forecast_info info;
} modelled;

/* What follows "tpu:" in a device's name, "v3" of plain "tpu"; NULL: its clock is no model's. */
const char *modelled_chip(const char *device);
/* The job alone, on tpu:v3 where its own device is no TPU. Prints what is wrong and returns the exit code, or TOOL_OK. */
int modelled_open_job(const tool_options *options, modelled *out);
/* The step of the job (training, or the forward pass alone) with the options' batch and device, tpu:v3 where the job's is no
 * TPU. Prints what is wrong and returns the exit code, or TOOL_OK. */
int modelled_open(const tool_options *options, bool training, modelled *out);
void modelled_free(modelled *m);

#endif
