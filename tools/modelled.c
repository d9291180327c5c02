/* A job's step on a device whose clock is a model's: compiled, never run, and read op by op. */
#include "modelled.h"

#include <stdlib.h>
#include <string.h>

const char *const modelled_class[MODELLED_CLASSES] = {"arrays, useful",  "arrays, padding", "weight shift",
                                                      "vector unit",     "waiting for HBM", "fill, drain and start", "on the host",
                                                      "waiting for other chips"};
const char *const modelled_phase_name[MODELLED_PHASES] = {"forward", "backward", "update"};

/* "grad/conv2d/conv2d/conv2d_grad_filter" is of layer "conv2d"; so is "conv2d/conv2d". */
static void place(modelled_step *step) {
  const char *name = step->info.name;
  const size_t n_op = strlen(step->info.op);
  const bool backward = strncmp(name, "grad/", 5) == 0;
  const bool update = n_op > 7 && strcmp(step->info.op + n_op - 7, "_update") == 0;
  step->phase = update ? MODELLED_UPDATE : backward ? MODELLED_BACKWARD : MODELLED_FORWARD;
  if (backward) name += 5;
  (void)snprintf(step->layer, sizeof step->layer, "%.*s", (int)strcspn(name, "/"), name);
}

static void read_counters(const tct_program *program, int32_t i, modelled_step *step) {
  tct_counter c[32];
  const int32_t n = tct_program_step_counters(program, i, c, 32);
  for (int32_t k = 0; k < n; k++) {
    const char *const name = c[k].name;
    if (strcmp(name, "time") == 0) step->seconds = c[k].value;
    if (strcmp(name, "total") == 0) step->cycles = c[k].value;
    if (strcmp(name, "all-reduce") == 0) step->all_reduce = c[k].value;
    if (strcmp(name, "HBM traffic") == 0) step->bytes = c[k].value;
    if (strcmp(name, "products issued") == 0) step->macs = c[k].value;
    if (strcmp(name, "energy") == 0) step->joules = c[k].value;
    for (int class = 0; class < MODELLED_CLASSES; class++) {
      if (strcmp(name, modelled_class[class]) == 0) step->of[class] = c[k].value;
    }
  }
}

static void add(modelled_step *sum, const modelled_step *step) {
  sum->seconds += step->seconds;
  sum->cycles += step->cycles;
  sum->all_reduce += step->all_reduce;
  sum->bytes += step->bytes;
  sum->macs += step->macs;
  sum->joules += step->joules;
  for (int class = 0; class < MODELLED_CLASSES; class++) sum->of[class] += step->of[class];
}

/* Sums go over the links one after the other, each from when its update asks for it: the device's own clock, with every
 * gradient made just before. */
static double enter_links(double links_free, double now, const modelled_step *step) {
  return step->all_reduce > 0 ? (links_free > now ? links_free : now) + step->all_reduce : links_free;
}

/* The step is over when the last sum is there. */
static void wait_for_links(const tct_chip *chip, double links_free, modelled_step *sum) {
  const double wait = links_free > sum->cycles ? links_free - sum->cycles : 0;
  sum->of[MODELLED_CLASSES - 1] = wait;
  sum->cycles += wait;
  sum->seconds += wait / chip->clock;
  sum->joules += (double)chip->chips * chip->idle * wait / chip->clock;
}

static bool is_tpu(const char *device) { return strncmp(device, "tpu", 3) == 0 && (device[3] == '\0' || device[3] == ':'); }

static bool names_device(const tool_options *options) {
  for (int32_t i = 0; i < options->n_set; i++) {
    if (strncmp(options->set[i], "device=", 7) == 0) return true;
  }
  return false;
}

/* A job for another device is modelled on tpu:v3, unless the command line says where. */
static int open_job(const tool_options *options, modelled *out) {
  if (tool_open_job(options, &out->job) != TCT_OK) return tool_fail();
  tct_job_describe(out->job, &out->info);
  if (is_tpu(out->info.device)) return TOOL_OK;
  if (names_device(options)) return tool_usage("--device %s has no modelled clock; needs tpu or tpu:CHIP", out->info.device);
  tool_options with_device = *options;
  if (with_device.n_set == TOOL_MOST_SETS) return tool_usage("more than %d overrides", TOOL_MOST_SETS);
  with_device.set[with_device.n_set++] = "device=tpu:v3";
  tct_job_free(out->job);
  out->job = NULL;
  if (tool_open_job(&with_device, &out->job) != TCT_OK) return tool_fail();
  tct_job_describe(out->job, &out->info);
  return TOOL_OK;
}

int modelled_open(const tool_options *options, bool training, modelled *out) {
  *out = (modelled){.job = NULL};
  const int code = open_job(options, out);
  if (code != TOOL_OK) return code;
  out->batch = out->info.batch_size;
  (void)snprintf(out->device, sizeof out->device, "%s", out->info.device);
  const char *const chip = strchr(out->device, ':');
  tct_status status = tct_chip_open(chip != NULL && chip[1] != '\0' ? chip + 1 : "v3", &out->chip);
  if (status == TCT_OK) status = tct_job_model(out->job, &out->model);
  if (status == TCT_OK) status = tct_model_program(out->model, out->batch, training, &out->program);
  if (status != TCT_OK) return tool_fail();
  tct_program_info info;
  tct_program_describe(out->program, &info);
  out->step = calloc((size_t)info.n_steps + 1, sizeof *out->step);
  if (out->step == NULL) return tool_out_of_memory();
  double links_free = 0;
  for (; tct_program_step(out->program, out->n, &out->step[out->n].info); out->n++) {
    modelled_step *const step = &out->step[out->n];
    place(step);
    read_counters(out->program, out->n, step);
    links_free = enter_links(links_free, out->sum.cycles, step);
    add(&out->sum, step);
  }
  wait_for_links(&out->chip, links_free, &out->sum);
  return TOOL_OK;
}

tct_status modelled_at_batch(const modelled *m, int64_t batch, bool training, modelled_step *out_sum) {
  tct_program *program = NULL;
  *out_sum = (modelled_step){.seconds = 0};
  const tct_status status = tct_model_program(m->model, batch, training, &program);
  if (status != TCT_OK) return status;
  tct_step_info info;
  double links_free = 0;
  for (int32_t i = 0; tct_program_step(program, i, &info); i++) {
    modelled_step step = {.info = info};
    read_counters(program, i, &step);
    links_free = enter_links(links_free, out_sum->cycles, &step);
    add(out_sum, &step);
  }
  wait_for_links(&m->chip, links_free, out_sum);
  return TCT_OK;
}

void modelled_free(modelled *m) {
  tct_job_free(m->job);
  free(m->step);
  *m = (modelled){.job = NULL};
}

int modelled_bound(const modelled_step *step) {
  int most = 0;
  for (int class = 1; class < MODELLED_CLASSES; class++) {
    if (step->of[class] > step->of[most]) most = class;
  }
  return most;
}
