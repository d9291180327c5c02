/* A job's step on a device with a modelled clock: compiled, never run, read op by op and summed by layer and phase. */
#include "train/forecast.h"

#include <string.h>
#include "base/alloc.h"
#include "base/status.h"
#include "train/graphs.h"
#include "train/job.h"
#include "train/session.h"

static const char *const classes[TCT_FORECAST_CLASSES] = {"arrays, useful",  "arrays, padding",       "weight shift", "vector unit",
                                                          "waiting for HBM", "fill, drain and start", "on the host",  "waiting for other chips"};
enum { OTHER_CHIPS = TCT_FORECAST_CLASSES - 1 };
static const char *const phase_names[TCT_FORECAST_N_PHASES] = {"forward", "backward", "update"};

const char *tct_forecast_class(int32_t i) { return i >= 0 && i < TCT_FORECAST_CLASSES ? classes[i] : NULL; }

const char *tct_forecast_phase_name(tct_forecast_phase phase) {
  return (uint32_t)phase < TCT_FORECAST_N_PHASES ? phase_names[phase] : "";
}

/* ---- an op ---- */

/* "grad/conv2d/conv2d/conv2d_grad_filter" is of layer "conv2d"; so is "conv2d/conv2d". */
tct_forecast_phase tct_forecast_place(const char *name, const char *op, const char **out_layer, int32_t *out_length) {
  const size_t n_op = strlen(op);
  const bool backward = strncmp(name, "grad/", 5) == 0;
  const bool update = n_op > 7 && strcmp(op + n_op - 7, "_update") == 0;
  *out_layer = backward ? name + 5 : name;
  *out_length = (int32_t)strcspn(*out_layer, "/");
  return update ? TCT_FORECAST_UPDATE : backward ? TCT_FORECAST_BACKWARD : TCT_FORECAST_FORWARD;
}

static tct_status place(tct_arena *arena, const char *name, const char *op, tct_forecast_row *row) {
  const char *layer = NULL;
  int32_t length = 0;
  row->phase = tct_forecast_place(name, op, &layer, &length);
  row->name = tct_arena_strdup(arena, name);
  row->op = tct_arena_strdup(arena, op);
  row->layer = tct_arena_printf(arena, "%.*s", (int)length, layer);
  return row->name != NULL && row->op != NULL && row->layer != NULL ? TCT_OK : TCT_OUT_OF_MEMORY;
}

static void read_counters(const tct_program *program, int32_t i, tct_forecast_cost *cost) {
  const struct {
    const char *name;
    double *to;
  } wanted[] = {{"time", &cost->seconds},          {"total", &cost->cycles},         {"all-reduce", &cost->all_reduce},
                {"HBM traffic", &cost->hbm_bytes}, {"products issued", &cost->macs}, {"energy", &cost->joules}};
  tct_counter c[32];
  const int32_t n = tct_program_step_counters(program, i, c, 32);
  *cost = (tct_forecast_cost){.seconds = 0};
  for (int32_t k = 0; k < n; k++) {
    for (size_t w = 0; w < TCT_COUNT_OF(wanted); w++) {
      if (strcmp(c[k].name, wanted[w].name) == 0) *wanted[w].to = c[k].value;
    }
    for (int class = 0; class < TCT_FORECAST_CLASSES; class++) {
      if (strcmp(c[k].name, classes[class]) == 0) cost->by_class[class] = c[k].value;
    }
  }
}

static void add(tct_forecast_cost *sum, const tct_forecast_cost *cost) {
  sum->seconds += cost->seconds;
  sum->cycles += cost->cycles;
  sum->all_reduce += cost->all_reduce;
  sum->hbm_bytes += cost->hbm_bytes;
  sum->macs += cost->macs;
  sum->joules += cost->joules;
  sum->flops += cost->flops;
  for (int class = 0; class < TCT_FORECAST_CLASSES; class++) sum->by_class[class] += cost->by_class[class];
}

/* Sums of gradients go over the links one after the other, each from when its update asks for it: the device's own clock, with every
 * gradient made just before. */
static double enter_links(double links_free, double now, const tct_forecast_cost *cost) {
  return cost->all_reduce > 0 ? (links_free > now ? links_free : now) + cost->all_reduce : links_free;
}

/* The step is over when the last sum is there. */
static void wait_for_links(const tct_chip *chip, double links_free, tct_forecast_cost *sum) {
  const double wait = links_free > sum->cycles ? links_free - sum->cycles : 0;
  sum->by_class[OTHER_CHIPS] = wait;
  sum->cycles += wait;
  sum->seconds += wait / chip->clock;
  sum->joules += (double)chip->chips * chip->idle * wait / chip->clock;
}

/* ---- the step ---- */

/* A program of the forecast's own: what it points to stays, whatever the model does. */
static tct_status compile(const tct_forecast *f, int64_t batch, tct_program **out) {
  const tct_session *session = f->model->session;
  tct_graph *graph = NULL;
  TCT_TRY(tct_build_step(f->model, session, f->info.training ? TCT_MODE_TRAIN : TCT_MODE_PREDICT, batch, false, &graph));
  const tct_compile_options options = {.variables = session->variables, .fallback_host = session->fallback_host,
                                       .precision = session->precision, .share_arena = f->program};
  const tct_status status = tct_compile(graph, session->device, &options, out);
  tct_graph_free(graph);
  return status == TCT_OK ? TCT_OK : tct_context("in model '%s' at batch %lld", f->model->name, (long long)batch);
}

tct_status tct_forecast_at_batch(const tct_forecast *f, int64_t batch, tct_forecast_cost *out) {
  tct_program *program = NULL;
  tct_program_info info;
  double links_free = 0;
  *out = (tct_forecast_cost){.seconds = 0};
  TCT_TRY(compile(f, batch, &program));
  tct_program_describe(program, &info);
  for (int32_t i = 0; i < info.n_steps; i++) {
    tct_forecast_cost cost;
    read_counters(program, i, &cost);
    links_free = enter_links(links_free, out->cycles, &cost);
    add(out, &cost);
  }
  tct_program_free(program);
  wait_for_links(&f->info.chip, links_free, out);
  return TCT_OK;
}

/* Into the row of this name, a new one at the end if there is none. */
static void add_to(tct_forecast_row *rows, int32_t *n, const char *name, const char *layer, tct_forecast_phase phase,
                   const tct_forecast_cost *cost) {
  int32_t i = 0;
  while (i < *n && strcmp(rows[i].name, name) != 0) i++;
  if (i == *n) rows[(*n)++] = (tct_forecast_row){.name = name, .op = "", .layer = layer, .phase = phase};
  add(&rows[i].cost, cost);
}

static tct_status read_steps(tct_forecast *f) {
  tct_program_info info;
  double links_free = 0;
  tct_program_describe(f->program, &info);
  f->ops = tct_arena_alloc(&f->arena, ((size_t)info.n_steps + 1) * sizeof *f->ops);
  f->layers = tct_arena_alloc(&f->arena, ((size_t)info.n_steps + 1) * sizeof *f->layers);
  if (f->ops == NULL || f->layers == NULL) return TCT_OUT_OF_MEMORY;
  for (int32_t i = 0; i < info.n_steps; i++) {
    tct_forecast_row *const row = &f->ops[i];
    tct_step_info step;
    (void)tct_program_step(f->program, i, &step);
    TCT_TRY(place(&f->arena, step.name, step.op, row));
    row->on_host = strcmp(step.device, f->info.device) != 0;
    read_counters(f->program, i, &row->cost);
    row->cost.flops = step.flops;
    links_free = enter_links(links_free, f->info.total.cycles, &row->cost);
    add(&f->info.total, &row->cost);
    add_to(f->layers, &f->n_layers, row->layer, row->layer, TCT_FORECAST_N_PHASES, &row->cost);
    add_to(f->phases, &f->n_phases, phase_names[row->phase], "", row->phase, &row->cost);
  }
  f->info.n_ops = info.n_steps;
  wait_for_links(&f->info.chip, links_free, &f->info.total);
  f->info.dollars = (double)f->info.chip.chips * f->info.total.seconds / 3600 * f->info.chip.price;
  return TCT_OK;
}

static tct_status open(tct_forecast *f) {
  tct_job_info job;
  tct_device_info device;
  tct_job_describe(f->job, &job);
  f->info.device = job.device;
  f->info.batch = job.batch_size;
  TCT_TRY(tct_job_model(f->job, &f->model));
  tct_device_describe(tct_model_device(f->model), &device);
  if (!device.time_is_modelled || device.chip == NULL)
    return tct_fail(TCT_UNSUPPORTED, "forecast: device '%s' has no modelled clock; needs tpu or tpu:CHIP", job.device);
  f->info.chip = *device.chip;
  TCT_TRY(compile(f, f->info.batch, &f->program));
  return read_steps(f);
}

tct_status tct_forecast_open(tct_job *job, bool training, tct_forecast **out) {
  *out = NULL;
  tct_forecast *const f = tct_alloc_zero(1, sizeof *f);
  if (f == NULL) return TCT_OUT_OF_MEMORY;
  f->job = job;
  f->info.training = training;
  const tct_status status = open(f);
  if (status != TCT_OK) {
    tct_forecast_free(f);
    return status;
  }
  *out = f;
  return TCT_OK;
}

void tct_forecast_free(tct_forecast *f) {
  if (f == NULL) return;
  tct_program_free(f->program);
  tct_arena_free(&f->arena);
  tct_release(f);
}

void tct_forecast_describe(const tct_forecast *f, tct_forecast_info *out) { *out = f->info; }

const tct_forecast_row *tct_forecast_row_at(const tct_forecast *f, tct_forecast_by by, int32_t i) {
  const int32_t n = by == TCT_FORECAST_OPS ? f->info.n_ops : by == TCT_FORECAST_LAYERS ? f->n_layers : f->n_phases;
  const tct_forecast_row *const rows = by == TCT_FORECAST_OPS ? f->ops : by == TCT_FORECAST_LAYERS ? f->layers : f->phases;
  return i >= 0 && i < n ? &rows[i] : NULL;
}

void tct_forecast_listing(const tct_forecast *f, int32_t i, tct_line_fn line, void *user) {
  if (i == -1) tct_program_transfer_listing(f->program, line, user);
  else tct_program_step_listing(f->program, i, line, user);
}

/* ---- a run ---- */

bool tct_forecast_so_far(tct_device *device, tct_forecast_run *out) {
  double total = 0, useful = 0, programs = 0;
  const struct {
    const char *name;
    double *to;
  } wanted[] = {{"time", &out->seconds}, {"energy", &out->joules}, {"cost", &out->dollars}, {"compiling", &out->compiling},
                {"total", &total},       {classes[0], &useful},    {"compiled", &programs}};
  tct_device_info info;
  tct_counter c[32];
  *out = (tct_forecast_run){.seconds = 0};
  tct_device_describe(device, &info);
  const int32_t n = info.time_is_modelled ? tct_device_counters(device, c, 32) : 0;
  for (int32_t k = 0; k < n; k++) {
    for (size_t w = 0; w < TCT_COUNT_OF(wanted); w++) {
      if (strcmp(c[k].name, wanted[w].name) == 0) *wanted[w].to = c[k].value;
    }
  }
  out->useful = total > 0 ? useful / total : 0;
  out->programs = (int64_t)programs;
  return n > 0;
}

/* ---- programs ---- */

/* One that is there already is one. */
static void add_program(tct_forecast *f, const char *what, const char *last, int64_t batch, int64_t full) {
  for (int32_t i = 0; i < f->n_programs; i++) {
    const tct_forecast_program *const p = &f->programs[i];
    if (p->batch == batch && (strcmp(p->what, what) == 0 || strcmp(p->what, last) == 0)) return;
  }
  f->programs[f->n_programs++] = (tct_forecast_program){batch == full ? what : last, batch};
}

/* The batches of a pass over one part, each a shape. */
static tct_status add_pass(tct_forecast *f, tct_job_part part, const char *what, const char *last, bool drops) {
  tct_dataset *data = NULL;
  TCT_TRY(tct_job_dataset(f->job, part, &data));
  const bool trains = part == TCT_JOB_TRAIN && f->info.training;
  const int64_t n = tct_dataset_samples(data), given = f->info.batch, full = !trains && n < given ? n : given;
  const int64_t steps = trains ? f->job->train.steps : 0; /* few enough never meet the last batch */
  if (n == 0) return TCT_OK;
  if (n >= full) add_program(f, what, last, full, full);
  if (n % full != 0 && !drops && (steps == 0 || steps > n / full)) add_program(f, what, last, n % full, full);
  return TCT_OK;
}

static tct_status find_programs(tct_forecast *f) {
  tct_job_info job;
  tct_job_describe(f->job, &job);
  if (!f->info.training) return add_pass(f, job.has_test ? TCT_JOB_TEST : TCT_JOB_TRAIN, "prediction", "last batch of prediction", false);
  TCT_TRY(add_pass(f, TCT_JOB_TRAIN, "training", "last batch of training", f->job->train.drop_remainder == TCT_ON));
  static const char evaluation[] = "evaluation", last[] = "last batch of evaluation";
  if (job.has_validation) TCT_TRY(add_pass(f, TCT_JOB_VALIDATION, evaluation, last, false));
  return job.has_test ? add_pass(f, TCT_JOB_TEST, evaluation, last, false) : TCT_OK;
}

tct_status tct_forecast_programs(tct_forecast *f, const tct_forecast_program **out, int32_t *out_n) {
  enum { MOST = 2 * TCT_JOB_N_PARTS };
  *out = NULL;
  *out_n = 0;
  if (f->programs == NULL) {
    f->programs = tct_arena_alloc(&f->arena, MOST * sizeof *f->programs);
    if (f->programs == NULL) return TCT_OUT_OF_MEMORY;
    const tct_status status = find_programs(f);
    if (status != TCT_OK) {
      f->programs = NULL;
      f->n_programs = 0;
      return status;
    }
  }
  *out = f->programs;
  *out_n = f->n_programs;
  return TCT_OK;
}
