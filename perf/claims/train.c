/* Small jobs over glyphs, which are drawn once for all experiments of a process. */
#include "perf/claims/train.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST_DRAWN = 4096, TEST_DRAWN = 1000, MOST_STEPS = 4096 };

static double now(void) {
  struct timespec t;
  (void)clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- data ---- */

/* Samples first … first + n of the glyphs, as arrays: drawing takes longer than a step of a small model. */
static tct_status draw(int64_t first, int64_t n, tct_dataset **out) {
  tct_dataset *glyphs = NULL;
  const size_t x_bytes = (size_t)n * 28 * 28 * sizeof(float), y_bytes = (size_t)n * sizeof(int32_t);
  void *const fields[2] = {malloc(x_bytes), malloc(y_bytes)};
  int64_t *const index = malloc((size_t)n * sizeof *index);
  const tct_field described[] = {{"x", TCT_F32, TCT_SHAPE(28, 28, 1)}, {"y", TCT_I32, {0}}};
  tct_status status = fields[0] != NULL && fields[1] != NULL && index != NULL ? TCT_OK : TCT_OUT_OF_MEMORY;
  for (int64_t i = 0; status == TCT_OK && i < n; i++) index[i] = i;
  if (status == TCT_OK) status = tct_dataset_glyphs(&(tct_glyphs_options){.n_samples = n, .seed = 7, .first = first}, &glyphs);
  if (status == TCT_OK) status = tct_dataset_read(glyphs, index, n, fields);
  if (status == TCT_OK) status = tct_dataset_arrays(n, 2, described, (const void *const *)fields, false, out);
  tct_dataset_free(glyphs);
  free(fields[0]);
  free(fields[1]);
  free(index);
  return status;
}

static tct_dataset *drawn, *drawn_test; /* of the process */

static tct_status use_glyphs(tct_job *job, int64_t samples) {
  tct_dataset *part = NULL;
  tct_status status = drawn == NULL ? draw(0, MOST_DRAWN, &drawn) : TCT_OK;
  if (status == TCT_OK && drawn_test == NULL) status = draw(1000000, TEST_DRAWN, &drawn_test);
  if (status == TCT_OK) status = tct_dataset_slice(drawn, 0, samples < MOST_DRAWN ? samples : MOST_DRAWN, &part);
  if (status != TCT_OK) return status;
  tct_job_use(job, TCT_JOB_TRAIN, part);
  tct_job_use(job, TCT_JOB_TEST, drawn_test);
  tct_dataset_free(part); /* the job has its reference */
  return TCT_OK;
}

tct_status claim_open(const char *text, int64_t samples, tct_job **out) {
  static const char head[] = "data: {type: glyphs, samples: 1, test: {samples: 1}}\nloss: sparse_categorical_crossentropy\n"
                             "metrics: [accuracy]\n";
  const size_t bytes = sizeof head + strlen(text) + 1;
  char *const whole = malloc(bytes);
  *out = NULL;
  if (whole == NULL) return TCT_OUT_OF_MEMORY;
  const int n = snprintf(whole, bytes, "%s%s", head, text);
  tct_status status = tct_job_parse(whole, (size_t)n, "claim", NULL, out);
  free(whole);
  if (status == TCT_OK) status = use_glyphs(*out, samples);
  if (status == TCT_OK) return TCT_OK;
  tct_job_free(*out);
  *out = NULL;
  return status;
}

/* ---- training ---- */

typedef struct watch {
  double seconds[MOST_STEPS], first_time, last_time;
  double first_loss, last_loss, wait;
  int64_t steps;
} watch;

static tct_status on_step(void *user, int64_t step, double loss) {
  watch *const w = user;
  const double t = now();
  (void)step;
  if (w->steps == 0) w->first_loss = loss, w->first_time = t;
  else if (w->steps <= MOST_STEPS) w->seconds[w->steps - 1] = t - w->last_time;
  w->last_loss = loss;
  w->last_time = t;
  w->steps++;
  return TCT_OK;
}

static tct_status on_progress(void *user, const tct_progress *p) {
  if (p->epoch_end) ((watch *)user)->wait += p->input_wait_seconds;
  return TCT_OK;
}

static int ascending(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double median(double *values, int64_t n) {
  if (n < 1) return (double)NAN;
  qsort(values, (size_t)n, sizeof *values, ascending);
  return n % 2 == 1 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

/* The value of that name in the last row of the history. */
static double last_of(const tct_model *model, const char *name) {
  const int32_t epochs = tct_history_n_epochs(model);
  for (int32_t i = 0; i < tct_history_n_values(model) && epochs > 0; i++)
    if (strcmp(tct_history_name(model, i), name) == 0) return tct_history_value(model, epochs - 1, i);
  return (double)NAN;
}

static void take_steps(watch *w, double seconds, claim_fit *out) {
  const int64_t timed = w->steps - 1 < MOST_STEPS ? w->steps - 1 : MOST_STEPS;
  out->first_loss = w->first_loss;
  out->last_loss = w->last_loss;
  out->steps = w->steps;
  out->wait_share = seconds > 0 ? w->wait / seconds : 0;
  out->mean_step_seconds = w->steps > 1 ? (w->last_time - w->first_time) / (double)(w->steps - 1) : (double)NAN;
  out->step_seconds = median(w->seconds, timed);
}

static tct_status evaluate(tct_job *job, tct_job_part part, double *loss, double *accuracy) {
  tct_evaluation e;
  const tct_status status = tct_job_evaluate(job, part, &e);
  if (status != TCT_OK) return status;
  *loss = e.values[0];
  *accuracy = e.values[1];
  return TCT_OK;
}

tct_status claim_train(tct_job *job, claim_fit *out) {
  watch *const w = calloc(1, sizeof *w);
  const double nothing = (double)NAN;
  tct_model *model = NULL;
  *out = (claim_fit){.loss = nothing, .accuracy = nothing, .own_loss = nothing, .own_accuracy = nothing,
                     .test_loss = nothing, .test_accuracy = nothing};
  if (w == NULL) return TCT_OUT_OF_MEMORY;
  tct_status status = tct_job_model(job, &model);
  const double began = now();
  if (status == TCT_OK)
    status = tct_job_train(job, &(tct_fit_options){.progress = on_progress, .on_step = on_step, .user = w});
  out->diverged = status == TCT_NUMERIC;
  if (status == TCT_OK || out->diverged) take_steps(w, now() - began, out);
  free(w);
  if (out->diverged) {
    tct_error_clear();
    return TCT_OK;
  }
  if (status != TCT_OK) return status;
  out->loss = last_of(model, "loss");
  out->accuracy = last_of(model, "accuracy");
  status = evaluate(job, TCT_JOB_TRAIN, &out->own_loss, &out->own_accuracy);
  return status == TCT_OK ? evaluate(job, TCT_JOB_TEST, &out->test_loss, &out->test_accuracy) : status;
}

tct_status claim_train_text(const char *text, int64_t samples, claim_fit *out) {
  tct_job *job = NULL;
  tct_status status = claim_open(text, samples, &job);
  if (status == TCT_OK) status = claim_train(job, out);
  tct_job_free(job);
  return status;
}

/* ---- parameters ---- */

static double norm(const float *values, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; i++) sum += (double)values[i] * (double)values[i];
  return sqrt(sum);
}

tct_status claim_read(tct_job *job, const char *parameter, float **out, int64_t *out_n) {
  tct_model *model = NULL;
  *out = NULL;
  *out_n = 0;
  tct_status status = tct_job_model(job, &model);
  for (int32_t i = 0; status == TCT_OK && i < tct_model_n_parameters(model); i++) {
    const tct_parameter *const p = tct_model_parameter(model, i);
    if (strcmp(p->name, parameter) == 0) *out_n = tct_shape_size(&p->desc.shape);
  }
  if (status != TCT_OK) return status;
  *out = malloc((size_t)*out_n * sizeof(float) + 1);
  return *out == NULL ? TCT_OUT_OF_MEMORY : tct_model_read(model, parameter, *out, (size_t)*out_n * sizeof(float));
}

tct_status claim_scale(tct_job *job, const char *parameter, double factor) {
  tct_model *model = NULL;
  float *values = NULL;
  int64_t n = 0;
  tct_status status = claim_read(job, parameter, &values, &n);
  for (int64_t i = 0; status == TCT_OK && i < n; i++) values[i] *= (float)factor;
  if (status == TCT_OK) status = tct_job_model(job, &model);
  if (status == TCT_OK) status = tct_model_write(model, parameter, values, (size_t)n * sizeof *values);
  free(values);
  return status;
}

tct_status claim_gradient(tct_job *job, const char *parameter, double learning_rate, double *out) {
  tct_model *model = NULL;
  tct_program *program = NULL;
  tct_job_info info;
  char name[160];
  tct_desc desc;
  tct_job_describe(job, &info);
  tct_status status = tct_job_model(job, &model);
  if (status == TCT_OK) status = tct_model_program(model, info.batch_size, true, &program);
  if (status != TCT_OK) return status;
  (void)snprintf(name, sizeof name, "optimizer/%s/velocity", parameter);
  tct_variables *const variables = tct_program_variables(program);
  status = tct_variables_desc(variables, name, &desc);
  if (status != TCT_OK) return status;
  const int64_t n = tct_shape_size(&desc.shape);
  float *const velocity = malloc((size_t)n * sizeof *velocity + 1);
  if (velocity == NULL) return TCT_OUT_OF_MEMORY;
  status = tct_variables_read(variables, name, velocity, (size_t)n * sizeof *velocity);
  if (status == TCT_OK) *out = norm(velocity, n) / learning_rate;
  free(velocity);
  return status;
}

/* ---- devices ---- */

tct_status claim_model(const char *text, const char *device, int64_t batch, claim_look_fn look, void *user, double *out_seconds) {
  char on[TCT_DEVICE_SPEC + 16], of[64];
  const char *const set[] = {on, of};
  tct_job *job = NULL;
  tct_forecast *forecast = NULL;
  tct_forecast_info info;
  (void)snprintf(on, sizeof on, "device=%s", device);
  (void)snprintf(of, sizeof of, "train.batch_size=%lld", (long long)batch);
  tct_status status = tct_job_parse(text, strlen(text), "claim", &(tct_job_options){.set = set, .n_set = 2}, &job);
  if (status == TCT_OK) status = tct_forecast_open(job, true, &forecast);
  if (status == TCT_OK) {
    tct_forecast_describe(forecast, &info);
    *out_seconds = info.total.seconds;
    if (look != NULL) look(forecast, user);
  }
  tct_forecast_free(forecast);
  tct_job_free(job);
  return status;
}

bool claim_has_device(const char *device, claim_numbers *out) {
  tct_device *opened = NULL;
  const bool there = tct_device_open(device, NULL, &opened) == TCT_OK;
  if (!there) {
    claim_cannot_tell(out, "no %s here: %s", device, tct_error_message());
    tct_error_clear();
  }
  tct_device_close(opened);
  return there;
}

tct_status claim_step_seconds(const char *text, const char *device, int64_t batch, int64_t steps, double *out) {
  const size_t bytes = strlen(text) + 256;
  char *const whole = malloc(bytes);
  claim_fit fit = {.step_seconds = (double)NAN};
  if (whole == NULL) return TCT_OUT_OF_MEMORY;
  (void)snprintf(whole, bytes, "%sdevice: '%s'\ntrain: {batch_size: %lld, steps: %lld}\n", text, device, (long long)batch, (long long)steps + 5);
  const tct_status status = claim_train_text(whole, MOST_DRAWN, &fit);
  free(whole);
  *out = fit.step_seconds;
  return status;
}
