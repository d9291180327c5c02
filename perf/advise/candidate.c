/* One device's prediction: from a few measured steps, from flops, bytes and peaks alone, or from the simulator's forecast. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <tercet/forecast.h>
#include <tercet/system.h>
#include "perf/advise/advise.h"
#include "perf/advise/model.h"
#include "perf/compare/prices.h"
#include "perf/compare/run.h"
#include "perf/compare/statistics.h"
#include "perf/support/json.h"
#include "perf/support/machine.h"
#include "perf/support/noise.h"

enum { LATENCY_RUNS = 30, LOADED_BATCHES = 20, COLD_BATCHES = 6, WARMUP = 5, PEAK_ROUNDS = 3 };
/* Assumed: no real chip was measured. */
static const double ASSUMED = 0.25, PEAK_SECONDS = 0.1;
/* Assumed of a device that only its datasheet tells of: how many times its roofline a step takes at most, and seconds to launch an op. */
static const double SLOWER = 5, LAUNCH = 10e-6;

static json_t *estimate(double median, double low, double high, const char *how) {
  if (!isfinite(median)) return json_null();
  return json_pack("{s:f, s:f, s:f, s:s}", "median", median, "low", low, "high", high, "how", how);
}

typedef struct size {
  int64_t steps, batch, epochs, validation; /* steps in all; batches of validation in all */
} size;

static tct_status size_of(tct_job *job, const tct_job_info *info, size *out) {
  tct_dataset *train = NULL, *validation = NULL;
  tct_status status = tct_job_dataset(job, TCT_JOB_TRAIN, &train);
  if (status == TCT_OK && info->has_validation) status = tct_job_dataset(job, TCT_JOB_VALIDATION, &validation);
  if (status != TCT_OK) return status;
  const int64_t b = info->batch_size, per_epoch = (tct_dataset_samples(train) + b - 1) / b;
  out->batch = b;
  out->steps = info->steps > 0 ? info->steps : per_epoch * info->epochs;
  out->epochs = per_epoch > 0 ? (out->steps + per_epoch - 1) / per_epoch : 0;
  out->validation = validation != NULL ? out->epochs * ((tct_dataset_samples(validation) + b - 1) / b) : 0;
  return TCT_OK;
}

/* Seconds that the loader takes for a batch when nobody waits for it. NaN: it cannot be told. */
static double loader_seconds(tct_job *job, int64_t batch) {
  tct_dataset *data = NULL;
  tct_loader *loader = NULL;
  double seconds = (double)NAN;
  int64_t n = 0;
  if (tct_job_dataset(job, TCT_JOB_TRAIN, &data) != TCT_OK || tct_loader_create(data, &(tct_loader_options){.batch_size = batch}, &loader) != TCT_OK) return seconds;
  if (tct_loader_start(loader, 0, 0) == TCT_OK) {
    tct_batch b;
    double each[LOADED_BATCHES], began = perf_now();
    /* The first ones wait for the loader's thread to begin. */
    for (int i = -COLD_BATCHES; i < LOADED_BATCHES && tct_loader_next(loader, &b) == TCT_OK && b.n > 0; i++) {
      const double now = perf_now();
      if (i >= 0) each[n++] = now - began;
      began = now;
    }
    perf_sort(each, (int)n);
    seconds = n > 0 ? perf_quantile(each, (int)n, 0.5) : (double)NAN;
  }
  tct_loader_free(loader);
  return seconds;
}

/* Medians of runs of a program whose inputs are zeros; the first runs are not counted. */
static double program_seconds(tct_program *program, int runs) {
  double values[LATENCY_RUNS];
  int n = 0;
  for (int i = 0; i < runs + 3 && i < LATENCY_RUNS; i++) {
    const double began = perf_now();
    if (tct_program_run(program) != TCT_OK) return (double)NAN;
    if (i >= 3) values[n++] = perf_now() - began;
  }
  perf_sort(values, n);
  return perf_quantile(values, n, 0.5);
}

/* What else the machine did while the record's figures were measured. */
static void put_noise(json_t *record, const json_t *noise) {
  tct_cpu_limits cpus;
  tct_cpu_limits_of_process(&cpus);
  json_object_set_new(record, "noise", perf_judge_noise((double)NAN, perf_get_number(noise, "load"), perf_get_number(noise, "steal"),
                                                        perf_get_number(noise, "throttled"), cpus.usable));
}

/* ---- three ways to a step's time ---- */

static tct_status measured_step(const perf_request *r, tct_model *model, const size *n, json_t *record) {
  perf_request few = *r;
  double *values = NULL;
  tct_program *program = NULL;
  few.mode = PERF_STEPS;
  few.warmup = WARMUP;
  json_t *const run = perf_run(&few);
  const int all = perf_numbers(json_object_get(run, "step_seconds"), &values), kept = all > WARMUP ? all - WARMUP : 0;
  if (!perf_is(run, "status", "done") || kept == 0) {
    json_object_set_new(record, "status", json_string("failed"));
    json_object_set_new(record, "why", perf_text("%s", perf_get_text(run, "why")));
  } else {
    const perf_estimate e = perf_estimate_of(values + WARMUP, kept);
    json_object_set_new(record, "step", estimate(e.median, e.low, e.high, "measured"));
    json_object_set(record, "cold", json_object_get(run, "cold"));
    put_noise(record, json_object_get(run, "noise"));
  }
  free(values);
  json_decref(run);
  tct_status status = tct_model_program(model, 1, false, &program);
  if (status == TCT_OK) json_object_set_new(record, "latency", perf_number(program_seconds(program, LATENCY_RUNS - 3)));
  if (status == TCT_OK) status = tct_model_program(model, n->batch, false, &program);
  if (status == TCT_OK) json_object_set_new(record, "forward", perf_number(program_seconds(program, 5)));
  return status;
}

static tct_status peaks_with(int32_t threads, perf_peaks *out) {
  tct_device *device = NULL;
  tct_status status = tct_device_open("cpu", &(tct_device_options){.n_threads = threads}, &device);
  if (status == TCT_OK) status = perf_peaks_of(device, PEAK_SECONDS, out);
  tct_device_close(device);
  return status;
}

/* The CPU's with a single thread, at which small ops run, and with all; in turn, as they were when the weights' steps were recorded. */
static tct_status peaks_of_both(int32_t threads, perf_peaks *out_one, perf_peaks *out_all) {
  perf_peaks one[PEAK_ROUNDS], all[PEAK_ROUNDS];
  for (int r = 0; r < PEAK_ROUNDS; r++) {
    tct_status status = peaks_with(1, &one[r]);
    if (status == TCT_OK && threads > 1) status = peaks_with(threads, &all[r]);
    if (status != TCT_OK) return status;
  }
  perf_peaks_usual(one, PEAK_ROUNDS, out_one);
  perf_peaks_usual(threads > 1 ? all : one, PEAK_ROUNDS, out_all);
  return TCT_OK;
}

static tct_status analytic_step(tct_job *job, tct_model *model, const size *n, json_t *record) {
  tct_device *const device = tct_model_device(model);
  tct_device_info info;
  perf_peaks one, all;
  perf_features features;
  perf_watch watch;
  tct_program *program = NULL;
  const perf_weights *const w = &perf_own_weights;
  tct_device_describe(device, &info);
  if (strncmp(tct_device_spec(device), "cpu", 3) != 0) {
    json_object_set_new(record, "status", json_string("unknown"));
    json_object_set_new(record, "why", perf_text("no steps of a device like %s are recorded, so nothing is predicted without running any; leave --analytic out", tct_device_spec(device)));
    return TCT_OK;
  }
  perf_watch_begin(&watch);
  tct_status status = peaks_of_both(info.n_threads, &one, &all);
  json_t *const noise = perf_watch_noise(&watch);
  put_noise(record, noise);
  json_decref(noise);
  const perf_peaks *const several = info.n_threads > 1 ? &all : &one;
  if (status == TCT_OK) status = tct_model_program(model, n->batch, true, &program);
  if (status != TCT_OK) return status;
  perf_features_of(program, &one, several, perf_input_bytes(job, n->batch), &features);
  const double loader = loader_seconds(job, n->batch), compute = perf_model_seconds(w, &features), step = fmax(compute, isfinite(loader) ? loader : 0), factor = perf_model_factor(w, &features);
  json_object_set_new(record, "step", estimate(step, step / factor, step * factor, step > compute ? "analytic, by the loader" : "analytic, 90%"));
  json_object_set_new(record, "input_bound", json_boolean(step > compute));
  json_object_set_new(record, "omits", json_string("its start is not counted"));
  status = tct_model_program(model, n->batch, false, &program);
  if (status != TCT_OK) return status;
  perf_features_of(program, &one, several, perf_input_bytes(job, n->batch), &features);
  json_object_set_new(record, "forward", perf_number(perf_model_seconds(w, &features)));
  status = tct_model_program(model, 1, false, &program);
  if (status != TCT_OK) return status;
  perf_features_of(program, &one, several, perf_input_bytes(job, 1), &features);
  json_object_set_new(record, "latency", perf_number(perf_model_seconds(w, &features)));
  return TCT_OK;
}

static tct_status forecast(tct_job *job, bool training, tct_forecast_info *out) {
  tct_forecast *f = NULL;
  const tct_status status = tct_forecast_open(job, training, &f);
  if (status == TCT_OK) tct_forecast_describe(f, out);
  tct_forecast_free(f);
  return status;
}

/* A prediction of one sample, of the job at batch 1. */
static tct_status forecast_latency(const perf_request *r, double *out) {
  perf_request one = *r;
  tct_job *job = NULL;
  tct_forecast_info info;
  one.set[one.n_set++] = "train.batch_size=1";
  tct_status status = perf_open_job(&one, &job);
  if (status == TCT_OK) status = forecast(job, false, &info);
  *out = status == TCT_OK ? info.total.seconds : (double)NAN;
  tct_job_free(job);
  return status;
}

static tct_status modelled_step(const perf_request *r, tct_job *job, const size *n, json_t *record) {
  tct_forecast_info step, forward;
  double latency = (double)NAN;
  tct_status status = forecast(job, true, &step);
  if (status == TCT_OK) status = forecast(job, false, &forward);
  if (status == TCT_OK) status = forecast_latency(r, &latency);
  if (status != TCT_OK) return status;
  const double t = step.total.seconds;
  json_object_set_new(record, "step", estimate(t, t * (1 - ASSUMED), t * (1 + ASSUMED), "modelled, assumed"));
  json_object_set_new(record, "forward", perf_number(forward.total.seconds));
  json_object_set_new(record, "latency", perf_number(latency));
  json_object_set_new(record, "joules", perf_number(step.total.joules * (double)n->steps + forward.total.joules * (double)n->validation));
  json_object_set_new(record, "compiling", perf_number(2 * step.chip.compile));
  json_object_set_new(record, "capacity", perf_number(step.chip.hbm_size));
  return TCT_OK;
}

/* Seconds of a step at a maker's figures, from the roofline of operands in memory up to what is assumed. */
static json_t *at_datasheet(tct_program *program, const json_t *sheet, double *out_median) {
  const double flops = perf_get_number(sheet, "flops"), bytes = perf_get_number(sheet, "bytes_per_second");
  double least = 0;
  int32_t n = 0;
  tct_step_info step;
  for (; tct_program_step(program, n, &step); n++) least += fmax(step.flops / flops, step.bytes / bytes);
  const double most = SLOWER * least + LAUNCH * n;
  *out_median = sqrt(least * most);
  return estimate(*out_median, least, most, "datasheet, assumed");
}

static tct_status datasheet_step(tct_model *model, const size *n, json_t *record) {
  const json_t *const sheet = json_object_get(record, "datasheet");
  tct_program *program = NULL;
  double seconds = 0;
  tct_status status = tct_model_program(model, n->batch, true, &program);
  if (status != TCT_OK) return status;
  json_object_set_new(record, "step", at_datasheet(program, sheet, &seconds));
  status = tct_model_program(model, n->batch, false, &program);
  if (status != TCT_OK) return status;
  json_object_set_new(record, "forward_estimate", at_datasheet(program, sheet, &seconds));
  json_object_set_new(record, "forward", perf_number(seconds));
  status = tct_model_program(model, 1, false, &program);
  if (status != TCT_OK) return status;
  json_decref(at_datasheet(program, sheet, &seconds));
  json_object_set_new(record, "latency", perf_number(seconds));
  json_object_set_new(record, "capacity", perf_number(perf_get_number(sheet, "memory")));
  json_object_set_new(record, "omits", json_string("its start is not counted"));
  return TCT_OK;
}

static double available_memory(void) {
  char line[256];
  double kib = (double)NAN;
  FILE *const file = fopen("/proc/meminfo", "r");
  while (file != NULL && fgets(line, sizeof line, file) != NULL) {
    if (strncmp(line, "MemAvailable:", 13) == 0) kib = strtod(line + 13, NULL);
  }
  if (file != NULL) (void)fclose(file);
  return 1024 * kib;
}

static tct_status put_memory(tct_model *model, const size *n, json_t *record) {
  tct_program *program = NULL;
  tct_program_info info;
  const tct_status status = tct_model_program(model, n->batch, true, &program);
  if (status != TCT_OK) return status;
  tct_program_describe(program, &info);
  json_object_set_new(record, "memory", perf_number((double)(info.arena_bytes + info.variables_bytes)));
  json_object_set_new(record, "flops", perf_number(info.flops));
  if (json_object_get(record, "capacity") == NULL) {
    tct_device_info device;
    tct_device_describe(tct_model_device(model), &device);
    json_object_set_new(record, "capacity", perf_number(device.host_memory ? available_memory() : (double)device.memory_bytes));
  }
  return TCT_OK;
}

static tct_status predict(const perf_request *r, const json_t *request, json_t *record) {
  tct_job *job = NULL;
  tct_job_info info;
  tct_model *model = NULL;
  size n = {0};
  perf_request whole = *r;
  whole.steps = 0; /* the job's own length */
  tct_status status = perf_open_job(&whole, &job);
  if (status == TCT_OK) {
    tct_job_describe(job, &info);
    status = size_of(job, &info, &n);
  }
  if (status == TCT_OK) status = tct_job_model(job, &model);
  if (status == TCT_OK) {
    json_object_set_new(record, "steps", json_integer((json_int_t)n.steps));
    json_object_set_new(record, "batch", json_integer((json_int_t)n.batch));
    json_object_set_new(record, "epochs", json_integer((json_int_t)n.epochs));
    json_object_set_new(record, "validation_batches", json_integer((json_int_t)n.validation));
    if (json_object_get(record, "quoted_from") != NULL) status = datasheet_step(model, &n, record);
    else if (perf_is_modelled(tct_model_device(model))) status = modelled_step(&whole, job, &n, record);
    else if (json_is_true(json_object_get(request, "analytic"))) status = analytic_step(job, model, &n, record);
    else status = measured_step(r, model, &n, record);
  }
  if (status == TCT_OK) status = put_memory(model, &n, record);
  tct_job_free(job);
  return status;
}

/* The record of a device that is not here, from its datasheet. */
static json_t *absent_device(const char *name) {
  json_t *const record = json_pack("{s:s, s:s, s:s, s:o, s:b}", "id", name, "kind", "gpu", "clock", "quoted", "description", perf_text("%s", name), "available", 1);
  json_object_set_new(record, "datasheet", perf_datasheet_of(record));
  json_object_set_new(record, "quoted_from", json_incref(json_object_get(json_object_get(record, "datasheet"), "source")));
  return record;
}

json_t *perf_candidate(const json_t *request) {
  perf_request r = perf_read_request(request);
  const char *const sheet = perf_get_text(request, "datasheet");
  json_t *const record = sheet[0] != '\0' ? absent_device(sheet) : perf_device(&r);
  json_object_set_new(record, "record", json_string("candidate"));
  if (!json_is_true(json_object_get(record, "available"))) {
    json_object_set_new(record, "status", json_string("absent"));
    return record;
  }
  const tct_status status = predict(&r, request, record);
  if (status != TCT_OK) perf_put_error(record, status);
  else if (json_object_get(record, "status") == NULL) json_object_set_new(record, "status", json_string("done"));
  return record;
}
