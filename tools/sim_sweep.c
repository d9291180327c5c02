/* tercet sim sweep JOB array=64x64,128x128 hbm=400GB/s,900GB/s: every combination of the chip's values, modelled; which of them
 * are worth having; and the accuracy that their numbers reach on the job. */
#include "sim_sweep.h"
#include "modelled.h"
#include "sim.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Cuts "key=v1,v2;key=v1" in place: the arguments behind the job, joined. false after a usage error. */
static bool read_axes(char *text, sweep *s) {
  for (char *next = text; next != NULL;) {
    char *const item = next, *const equals = strchr(item, '=');
    next = strchr(item, ';');
    if (next != NULL) *next++ = '\0';
    if (equals == NULL || equals == item || equals[1] == '\0' || (next != NULL && equals >= next)) {
      (void)tool_usage("sim sweep: '%s' is no list; needs KEY=VALUE,VALUE, such as array=64x64,128x128", item);
      return false;
    }
    if (s->n_axes == MOST_KEYS) {
      (void)tool_usage("sim sweep: at most %d keys", MOST_KEYS);
      return false;
    }
    axis *const a = &s->axes[s->n_axes++];
    *equals = '\0';
    a->key = item;
    for (int before = 0; before < s->n_axes - 1; before++) {
      if (strcmp(s->axes[before].key, item) != 0) continue;
      (void)tool_usage("sim sweep: '%s' is there twice; needs its values in one list, behind commas", item);
      return false;
    }
    for (char *value = equals + 1; value != NULL;) {
      char *const comma = strchr(value, ',');
      if (comma != NULL) *comma = '\0';
      if (a->n == MOST_VALUES) {
        (void)tool_usage("sim sweep: %s has more than %d values", a->key, MOST_VALUES);
        return false;
      }
      a->value[a->n++] = value;
      value = comma != NULL ? comma + 1 : NULL;
    }
  }
  return true;
}

/* Behind the job's own device. */
static const char *chip_of(const sweep *s) {
  const char *const colon = strchr(s->device, ':');
  return colon != NULL && colon[1] != '\0' ? colon + 1 : "v3";
}

static int too_long(void) { return tool_usage("sim sweep: a combination's text is longer than a device's name may be"); }

/* A value that no chip may have is an error at once; a combination that this job cannot run on is a row of the report. */
static int check_values(const sweep *s) {
  for (int a = 0; a < s->n_axes; a++) {
    for (int v = 0; v < s->axes[a].n; v++) {
      char spec[TCT_DEVICE_SPEC];
      tct_chip chip;
      const int n = snprintf(spec, sizeof spec, "%s,%s=%s", chip_of(s), s->axes[a].key, s->axes[a].value[v]);
      if (n < 0 || (size_t)n >= sizeof spec) return too_long();
      if (tct_chip_open(spec, &chip) != TCT_OK) return tool_fail();
    }
  }
  return TOOL_OK;
}

/* The number-th combination as the chip's overrides. */
static bool name_point(const sweep *s, int number, char *text, size_t size) {
  size_t used = 0;
  for (int a = 0; a < s->n_axes; a++) {
    const int n = snprintf(text + used, size - used, "%s%s=%s", a > 0 ? "," : "", s->axes[a].key, s->axes[a].value[number % s->axes[a].n]);
    if (n < 0 || (size_t)n >= size - used) return false;
    used += (size_t)n;
    number /= s->axes[a].n;
  }
  return true;
}

/* The options with the point's device. */
static bool with_device(const tool_options *options, const sweep *s, const point *p, char text[TCT_DEVICE_SPEC + 16], tool_options *out) {
  *out = *options;
  const int n = snprintf(text, TCT_DEVICE_SPEC + 16, "device=tpu:%s,%s", chip_of(s), p->values);
  if (n < 0 || n >= TCT_DEVICE_SPEC + 16 || out->n_set == TOOL_MOST_SETS) return false;
  out->set[out->n_set++] = text;
  return true;
}

/* The error's first line, or of ops that are refused, a line each behind it, the first one's reason, which stands behind its operands; cut
 * between words where it is long. */
static void refuse(point *p) {
  const char *text = tct_error_message();
  const char *const next = strchr(text, '\n'), *const reason = next != NULL ? strstr(next, "]: ") : NULL;
  if (reason != NULL) text = reason + 3;
  const size_t n = strcspn(text, "\n");
  (void)snprintf(p->refused, sizeof p->refused, "%.*s", (int)n, text);
  char *const space = n >= sizeof p->refused ? strrchr(p->refused, ' ') : NULL;
  if (space != NULL) *space = '\0';
}

static int model_point(const tool_options *options, const sweep *s, point *p) {
  char text[TCT_DEVICE_SPEC + 16];
  tool_options there;
  modelled m = {.job = NULL};
  if (!with_device(options, s, p, text, &there)) return too_long();
  tct_status status = tool_open_job(&there, &m.job);
  if (status == TCT_OK) status = tct_forecast_open(m.job, !options->forward, &m.forecast);
  if (status == TCT_OK) {
    tct_forecast_describe(m.forecast, &m.info);
    p->seconds = m.info.total.seconds;
    p->cycles = m.info.total.cycles;
    p->joules = m.info.total.joules;
    p->dollars = m.info.dollars;
    p->passes = m.info.chip.passes;
    p->array_order = m.info.chip.array_order;
    p->quantized = m.info.chip.quantized;
    p->samples = (double)(m.info.chip.chips * m.info.batch);
  }
  if (status != TCT_OK) refuse(p);
  modelled_free(&m);
  return TOOL_OK;
}

/* ---- accuracy ---- */

static tct_status copy_weights(tct_model *from, tct_model *to) {
  tct_status status = TCT_OK;
  const tct_parameter *p;
  for (int32_t i = 0; status == TCT_OK && (p = tct_model_parameter(from, i)) != NULL; i++) {
    size_t bytes = tct_dtype_bytes(p->desc.dtype);
    for (int32_t d = 0; d < p->desc.shape.rank; d++) bytes *= (size_t)p->desc.shape.dim[d];
    void *const data = malloc(bytes + 1);
    if (data == NULL) return TCT_OUT_OF_MEMORY;
    status = tct_model_read(from, p->name, data, bytes);
    if (status == TCT_OK) status = tct_model_write(to, p->name, data, bytes);
    free(data);
  }
  return status;
}

/* A chip that trains nothing gets weights that the CPU has trained. */
static tct_status take_weights(const tool_options *options, const point *p, tct_job *job) {
  tool_options on_cpu = *options;
  tct_job *teacher = NULL;
  tct_model *from = NULL, *to = NULL;
  if (p->quantized == 0) return tct_job_train(job, NULL);
  on_cpu.set[on_cpu.n_set - 1] = "device=cpu";
  tct_status status = tool_open_job(&on_cpu, &teacher);
  if (status == TCT_OK) status = tct_job_train(teacher, NULL);
  if (status == TCT_OK) status = tct_job_model(teacher, &from);
  if (status == TCT_OK) status = tct_job_model(job, &to);
  if (status == TCT_OK) status = copy_weights(from, to);
  tct_job_free(teacher);
  return status;
}

/* A point where that fails is refused. */
static int train_point(const tool_options *options, const sweep *s, point *p) {
  char text[TCT_DEVICE_SPEC + 16];
  tool_options there;
  tct_job *job = NULL;
  tct_job_info info;
  tct_evaluation result = {.n_values = 0};
  if (!with_device(options, s, p, text, &there)) return too_long();
  tct_status status = tool_open_job(&there, &job);
  if (status == TCT_OK) status = take_weights(&there, p, job);
  if (status == TCT_OK) {
    tct_job_describe(job, &info);
    status = tct_job_evaluate(job, info.has_test ? TCT_JOB_TEST : TCT_JOB_TRAIN, &result);
  }
  if (status != TCT_OK) refuse(p);
  for (int32_t i = 0; status == TCT_OK && i < result.n_values; i++) {
    if (strstr(result.names[i], "accuracy") != NULL) p->accuracy = result.values[i];
  }
  tct_job_free(job);
  return status == TCT_OK && isnan(p->accuracy) ? tool_usage("sim: --accuracy: the job has no accuracy among its metrics") : TOOL_OK;
}

/* Only these change numbers: one training for all points of one kind. Where the array's own order of sums counts (on the machine), its
 * blocks do, and they follow from all of the chip. */
static bool same_numbers(const point *a, const point *b) {
  const bool on_machine = a->array_order != 0 || a->passes == 3;
  return !on_machine && a->passes == b->passes && a->array_order == b->array_order && a->quantized == b->quantized;
}

static int train_points(const tool_options *options, sweep *s) {
  for (int i = 0; i < s->n; i++) {
    point *const p = &s->points[i];
    if (p->refused[0] != '\0') continue;
    for (int j = 0; j < i && isnan(p->accuracy); j++) {
      if (s->points[j].refused[0] == '\0' && same_numbers(&s->points[j], p)) p->accuracy = s->points[j].accuracy;
    }
    if (!isnan(p->accuracy)) continue;
    const int code = train_point(options, s, p);
    if (code != TOOL_OK) return code;
  }
  return TOOL_OK;
}

/* Of a sample: with several chips a step has more of them. */
static bool as_good(const point *a, const point *b) {
  return a->seconds * b->samples <= b->seconds * a->samples && a->joules * b->samples <= b->joules * a->samples &&
         a->dollars * b->samples <= b->dollars * a->samples && (isnan(a->accuracy) || a->accuracy >= b->accuracy);
}

static void find_best(sweep *s) {
  for (int i = 0; i < s->n; i++) {
    s->points[i].best = s->points[i].refused[0] == '\0';
    for (int j = 0; j < s->n; j++) {
      if (s->points[j].refused[0] == '\0' && as_good(&s->points[j], &s->points[i]) && !as_good(&s->points[i], &s->points[j])) s->points[i].best = false;
    }
  }
}

static int run_points(const tool_options *options, sweep *s) {
  int64_t n = 1;
  for (int a = 0; a < s->n_axes && n <= MOST_POINTS; a++) n *= s->axes[a].n;
  if (n > MOST_POINTS) return tool_usage("sim sweep: %lld combinations, at most %d", (long long)n, MOST_POINTS);
  const int valid = check_values(s);
  if (valid != TOOL_OK) return valid;
  s->points = calloc((size_t)n, sizeof *s->points);
  if (s->points == NULL) return tool_out_of_memory();
  for (int i = 0; i < (int)n; i++) {
    s->points[i].accuracy = NAN;
    if (!name_point(s, i, s->points[i].values, sizeof s->points[i].values)) return too_long();
    const int code = model_point(options, s, &s->points[i]);
    if (code != TOOL_OK) return code;
    s->n++;
  }
  const int code = options->accuracy ? train_points(options, s) : TOOL_OK;
  int n_refused = 0;
  for (int i = 0; i < s->n; i++) n_refused += s->points[i].refused[0] != '\0';
  if (code == TOOL_OK && n_refused == s->n) {
    fprintf(stderr, "tercet: sim sweep: the job runs on none of these chips; on %s: %s\n", s->points[0].values, s->points[0].refused);
    return TOOL_UNSUPPORTED;
  }
  find_best(s);
  return code == TOOL_OK ? sim_show_sweep(options, s) : code;
}

static int sweep_job(const tool_options *options, char *text) {
  sweep s = {.n = 0};
  modelled base;
  if (!read_axes(text, &s)) return TOOL_USAGE;
  int code = modelled_open_job(options, &base); /* what the chip without the values can do does not matter */
  (void)snprintf(s.job, sizeof s.job, "%s", code == TOOL_OK ? base.job_info.name : "");
  (void)snprintf(s.device, sizeof s.device, "%.*s", TCT_DEVICE_SPEC - 1, code == TOOL_OK ? base.job_info.device : "");
  modelled_free(&base);
  if (code == TOOL_OK) code = run_points(options, &s);
  free(s.points);
  return code;
}

int sim_sweep_job(const tool_options *options) {
  size_t bytes = 1;
  for (int32_t i = 1; i < options->n_more; i++) bytes += strlen(options->more[i]) + 1;
  char *const text = calloc(1, bytes);
  if (text == NULL) return tool_out_of_memory();
  for (int32_t i = 1; i < options->n_more; i++) {
    if (i > 1) strcat(text, ";");
    strcat(text, options->more[i]);
  }
  const int code = sweep_job(options, text);
  free(text);
  return code;
}
