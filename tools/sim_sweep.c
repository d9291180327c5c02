/* tercet sim sweep JOB array=64x64,128x128 hbm=400GB/s,900GB/s: every combination of the chip's values, modelled; which of them
 * are worth having; and the accuracy that their numbers reach on the job. */
#include "modelled.h"
#include "sim.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_KEYS = 8, MOST_VALUES = 32, MOST_POINTS = 1024 };

typedef struct axis {
  const char *key, *value[MOST_VALUES]; /* in the text that was cut */
  int n;
} axis;

typedef struct point {
  char values[256]; /* "array=64x64,hbm=400GB/s" */
  double seconds, cycles, joules, dollars, accuracy; /* of a step, of all chips; accuracy NaN: not asked for */
  double samples;                            /* of a step, of all chips */
  int64_t passes, array_order, quantized;
  char refused[320]; /* why the job cannot run there; "": it can, and the numbers are known */
  bool best; /* no other point is as good in time, energy and dollars of a sample and in accuracy, and better in one */
} point;

typedef struct sweep {
  char job[64], device[TCT_DEVICE_SPEC];
  axis axes[MOST_KEYS];
  int n_axes;
  point *points;
  int n;
} sweep;

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

/* The error's first line, cut between words where it is long. */
static void refuse(point *p) {
  const char *const text = tct_error_message();
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

static int train_point(const tool_options *options, const sweep *s, point *p) {
  char text[TCT_DEVICE_SPEC + 16];
  tool_options there;
  tct_job *job = NULL;
  tct_job_info info;
  tct_evaluation result;
  if (!with_device(options, s, p, text, &there)) return too_long();
  if (tool_open_job(&there, &job) != TCT_OK) return tool_fail();
  tct_job_describe(job, &info);
  tct_status status = tct_job_train(job, NULL);
  if (status == TCT_OK) status = tct_job_evaluate(job, info.has_test ? TCT_JOB_TEST : TCT_JOB_TRAIN, &result);
  for (int32_t i = 0; status == TCT_OK && i < result.n_values; i++) {
    if (strstr(result.names[i], "accuracy") != NULL) p->accuracy = result.values[i];
  }
  const int code = status == TCT_OK ? TOOL_OK : tool_fail();
  tct_job_free(job);
  return code;
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
    if (isnan(p->accuracy)) return tool_usage("sim: --accuracy: the job has no accuracy among its metrics");
  }
  return TOOL_OK;
}

/* ---- reports ---- */

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

static void print_text(const sweep *s, bool training, bool accuracy) {
  printf("%s on %s, %s (modelled, not measured)\n* no other is better in time, energy and dollars of a sample%s\n\n", s->job, s->device,
         training ? "training step" : "forward pass", accuracy ? " and in accuracy" : "");
  printf("  %10s %10s %12s %12s %14s %s %s\n", "step", "cycles", "samples/s", "mJ/sample", "USD/1e6 samples", accuracy ? "accuracy" : "", "chip");
  for (int i = 0; i < s->n; i++) {
    const point *const p = &s->points[i];
    char text[16] = "";
    if (p->refused[0] != '\0') {
      printf("  refused on %s: %s\n", p->values, p->refused);
      continue;
    }
    if (accuracy) (void)snprintf(text, sizeof text, "%8.4f", p->accuracy);
    printf("%c %7.4g ms %10.4g %12.5g %12.4g %15.4g %s %s\n", p->best ? '*' : ' ', p->seconds * 1e3, p->cycles, p->samples / p->seconds,
           1e3 * p->joules / p->samples, 1e6 * p->dollars / p->samples, text, p->values);
  }
}

static void print_json(const sweep *s, bool training) {
  json_t *const object = json_object(), *const rows = json_array();
  json_object_set_new(object, "modelled", json_true());
  json_object_set_new(object, "device", json_string(s->device));
  json_object_set_new(object, "training", json_boolean(training));
  for (int i = 0; i < s->n; i++) {
    const point *const p = &s->points[i];
    json_t *const row = json_object();
    json_object_set_new(row, "chip", json_string(p->values));
    json_array_append_new(rows, row);
    if (p->refused[0] != '\0') {
      json_object_set_new(row, "refused", json_string(p->refused));
      continue;
    }
    json_object_set_new(row, "samples", tool_number(p->samples));
    json_object_set_new(row, "seconds", tool_number(p->seconds));
    json_object_set_new(row, "cycles", tool_number(p->cycles));
    json_object_set_new(row, "joules", tool_number(p->joules));
    json_object_set_new(row, "dollars", tool_number(p->dollars));
    json_object_set_new(row, "accuracy", tool_number(p->accuracy));
    json_object_set_new(row, "best", json_boolean(p->best));
  }
  json_object_set_new(object, "points", rows);
  tool_print_json(object);
}

static void write_csv(const void *what, FILE *to) {
  const sweep *const s = what;
  fputs("chip,samples,seconds,cycles,joules,dollars,accuracy,best,refused\n", to);
  for (int i = 0; i < s->n; i++) {
    const point *const p = &s->points[i];
    tool_print_csv_text(to, p->values);
    if (p->refused[0] != '\0') {
      fputs(",,,,,,,0,", to);
      tool_print_csv_text(to, p->refused);
      fputc('\n', to);
      continue;
    }
    fprintf(to, ",%.9g,%.9g,%.9g,%.9g,%.9g,", p->samples, p->seconds, p->cycles, p->joules, p->dollars);
    if (!isnan(p->accuracy)) fprintf(to, "%.6g", p->accuracy);
    fprintf(to, ",%d,\n", p->best);
  }
}

static double us_of(const point *p) { return 1e6 * p->seconds / p->samples; }
static double mj_of(const point *p) { return 1e3 * p->joules / p->samples; }

/* The axis from its least to its greatest value with a margin; logarithmic where they are more than ten times apart. */
static void put_axis(FILE *to, const sweep *s, char name, double (*of)(const point *p)) {
  double least = INFINITY, most = 0;
  for (int i = 0; i < s->n; i++) {
    if (s->points[i].refused[0] != '\0') continue;
    least = fmin(least, of(&s->points[i]));
    most = fmax(most, of(&s->points[i]));
  }
  if (most > 10 * least && least > 0)
    fprintf(to, "set logscale %c\nset %crange [%.9g:%.9g]\n", name, name, least / 1.5, 1.5 * most);
  else
    fprintf(to, "set %crange [%.9g:%.9g]\n", name, least - 0.1 * (most - least) - 0.02 * most, most + 0.1 * (most - least) + 0.02 * most);
}

/* The numbers of the best points: those at the same place have one. */
static void number_best(const sweep *s, int *number) {
  int n = 0;
  for (int i = 0; i < s->n; i++) {
    number[i] = s->points[i].best ? ++n : 0;
    for (int j = 0; j < i && number[i] > 0; j++) {
      const point *const p = &s->points[i], *const q = &s->points[j];
      if (!q->best || fabs(us_of(p) / us_of(q) - 1) > 0.005 || fabs(mj_of(p) / mj_of(q) - 1) > 0.005) continue;
      number[i] = number[j];
      n--;
      break;
    }
  }
}

/* Time of a sample against its energy; the best points have numbers, and lines beneath that say which chips they are. */
static void put_plot(FILE *to, const sweep *s, const char *path, const int *number) {
  enum { LINE = 17, PLOT = 420, WIDTH = 820 };
  int lines = 0;
  for (int i = 0; i < s->n; i++) lines += s->points[i].best;
  const int height = PLOT + LINE * (lines + 1);
  fprintf(to, "set terminal svg size %d,%d font 'sans-serif,13' background rgb 'white'\nset output '%s'\nset grid\nset key above\n"
              "set bmargin at screen %.6g\nset xlabel 'modelled time of a sample, us'\nset ylabel 'modelled energy of a sample, mJ'\n",
          (int)WIDTH, height, path, (60. + LINE * (lines + 1)) / height);
  put_axis(to, s, 'x', us_of);
  put_axis(to, s, 'y', mj_of);
  for (int i = 0, line = lines; i < s->n; i++) {
    if (s->points[i].best)
      fprintf(to, "set label \"%d  %s\" at screen 0.06, screen %.6g font ',11' noenhanced\n", number[i], s->points[i].values, (double)(LINE * line--) / height);
  }
  fputs("plot '-' using 1:2 with points pointtype 7 pointsize 0.6 title 'points', '-' using 1:2 with points pointtype 6 pointsize 1.4 "
        "title 'no other is better', '-' using 1:2:3 with labels right offset -1,0 notitle\n", to);
  for (int pass = 0; pass < 3; pass++) {
    for (int i = 0; i < s->n; i++) {
      const point *const p = &s->points[i];
      if (p->best || (pass == 0 && p->refused[0] == '\0')) fprintf(to, "%.9g %.9g %d\n", us_of(p), mj_of(p), number[i]);
    }
    fputs("e\n", to);
  }
}

/* Drawn by gnuplot from its standard input. */
static int plot(const sweep *s, const char *path) {
  if (strpbrk(path, "'\n") != NULL) return tool_usage("sim sweep: --plot: a quote or a line feed in '%s'", path);
  int *const number = calloc((size_t)s->n + 1, sizeof *number);
  if (number == NULL) return tool_out_of_memory();
  (void)signal(SIGPIPE, SIG_IGN); /* no gnuplot there is an error to tell, not a death */
  FILE *const to = popen("gnuplot >/dev/null 2>&1", "w");
  if (to == NULL) {
    free(number);
    return tool_file_fail("start gnuplot for", path);
  }
  number_best(s, number);
  put_plot(to, s, path, number);
  free(number);
  if (pclose(to) == 0) return TOOL_OK;
  fprintf(stderr, "tercet: sim sweep: --plot needs gnuplot (Debian: gnuplot-nox), which failed to draw '%s', or a folder that can be written [E310]\n", path);
  return TOOL_UNAVAILABLE;
}

static int report(const tool_options *options, const sweep *s) {
  int code = TOOL_OK;
  if (options->csv) {
    code = tool_write_file(options->csv, write_csv, s);
  } else {
    if (options->json) print_json(s, !options->forward);
    else print_text(s, !options->forward, options->accuracy);
    code = tool_finish();
  }
  if (!options->plot) return code;
  const int drawn = plot(s, options->plot); /* behind the numbers: they are not lost with it */
  return code != TOOL_OK ? code : drawn;
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
  int n_refused = 0;
  for (int i = 0; i < s->n; i++) n_refused += s->points[i].refused[0] != '\0';
  if (n_refused == s->n) {
    fprintf(stderr, "tercet: sim sweep: the job runs on none of these chips; on %s: %s\n", s->points[0].values, s->points[0].refused);
    return TOOL_UNSUPPORTED;
  }
  const int code = options->accuracy ? train_points(options, s) : TOOL_OK;
  find_best(s);
  return code == TOOL_OK ? report(options, s) : code;
}

static int sweep_job(const tool_options *options, char *text) {
  sweep s = {.n = 0};
  modelled base;
  if (!read_axes(text, &s)) return TOOL_USAGE;
  int code = modelled_open(options, !options->forward, &base);
  (void)snprintf(s.job, sizeof s.job, "%s", code == TOOL_OK ? base.job_info.name : "");
  (void)snprintf(s.device, sizeof s.device, "%.*s", TCT_DEVICE_SPEC - 1, code == TOOL_OK ? base.info.device : "");
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
