/* A sweep as text, CSV and JSON, and as a plot of time against energy, drawn by gnuplot. */
#include "sim_sweep.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

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

int sim_show_sweep(const tool_options *options, const sweep *s) {
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
