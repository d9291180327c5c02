/* The inside of a forecast. */
#ifndef TCT_TRAIN_FORECAST_H
#define TCT_TRAIN_FORECAST_H

#include <tercet/forecast.h>

#include "base/arena.h"

struct tct_forecast {
  tct_arena arena; /* rows, programs, findings, and their text */
  tct_job *job;    /* borrowed */
  tct_model *model; /* the job's */
  tct_program *program; /* owned */
  tct_forecast_info info;
  tct_forecast_row *ops, *layers, phases[TCT_FORECAST_N_PHASES]; /* [info.n_ops], [n_layers] */
  int32_t n_layers, n_phases;
  tct_forecast_program *programs; /* NULL: not asked for yet */
  int32_t n_programs;
  tct_forecast_finding *findings; /* NULL: not asked for yet */
  int32_t n_findings;
};

/* The same step at another batch size. */
tct_status tct_forecast_at_batch(const tct_forecast *forecast, int64_t batch, tct_forecast_cost *out) TCT_CHECKED;

#endif
