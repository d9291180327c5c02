/* The table for terminals: 80 columns, modelled figures marked with ~, quoted ones with their date in the name. */
#include <math.h>
#include <string.h>
#include "perf/compare/run.h"
#include "perf/compare/show.h"
#include "perf/compare/summary.h"
#include "perf/support/json.h"

static bool is_model(const json_t *device) {
  return perf_is(device, "source", "modelled") || perf_is(json_object_get(device, "quoted_from"), "of", "modelled");
}

static const char *mark_of(const json_t *device) {
  const bool quoted = perf_is(device, "source", "quoted");
  return is_model(device) ? (quoted ? "~\"" : "~") : quoted ? "\"" : "";
}

/* Median with half of its interval: "12.3 ms ±4%". */
static void cell(const json_t *estimate, double per, const char *mark, char *text, size_t size) {
  char time[PERF_SHORT];
  const double median = perf_get_number(estimate, "median"), half = 50 * (perf_get_number(estimate, "high") - perf_get_number(estimate, "low")) / median;
  if (!isfinite(median)) (void)snprintf(text, size, "-");
  else if (perf_get_number(estimate, "n") > 1 && isfinite(half)) (void)snprintf(text, size, "%s%s \xc2\xb1%.0f%%", perf_show_seconds(median / per, time), mark, half);
  else (void)snprintf(text, size, "%s%s", perf_show_seconds(median / per, time), mark);
}

/* printf's width counts bytes; a ± has two. */
static void put_right(FILE *to, const char *text, int width) {
  int columns = 0;
  for (const char *c = text; *c != '\0'; c++) columns += ((unsigned char)*c & 0xC0) != 0x80;
  fprintf(to, "%*s%s", width > columns ? width - columns : 0, "", text);
}

static void marked(char *text, const char *mark) {
  if (strcmp(text, "-") != 0) strcat(text, mark);
}

static void put_name(FILE *to, const char *name, int width) {
  if ((int)strlen(name) > width) fprintf(to, "%.*s..", width - 2, name);
  else fprintf(to, "%-*s", width, name);
}

static void put_point(FILE *to, const json_t *summary, const json_t *device, const json_t *p, const char *name) {
  static const char *const times[] = {"step_p50", "epoch_seconds", "time_to_target"}, *const dollars[] = {"dollars_per_step", "dollars_per_epoch", "dollars_to_target"},
                    *const joules[] = {"joules_per_step", "joules_per_epoch", "joules_to_target"};
  const int mode = perf_mode_of(perf_get_text(summary, "mode"));
  const char *const mark = mark_of(device);
  char time[80], rate[PERF_SHORT + 4], cost[PERF_SHORT + 4], energy[PERF_SHORT + 4], used[PERF_SHORT], reached[24];
  put_name(to, name, 19);
  if (!perf_is(p, "status", "done") && !isfinite(perf_median(p, "step_p50"))) {
    fprintf(to, " %s\n", perf_get_text(p, "status"));
    return;
  }
  cell(json_object_get(p, times[mode]), 1, mark, time, sizeof time);
  (void)perf_show_count(perf_median(p, "samples_per_second"), rate);
  (void)perf_show_dollars(perf_median(p, dollars[mode]), cost);
  (void)perf_show_joules(perf_median(p, joules[mode]), energy);
  marked(rate, mark), marked(cost, mark), marked(energy, mark);
  (void)snprintf(used, sizeof used, isfinite(perf_get_number(p, "utilization")) ? "%.1f%%" : "-", 100 * perf_get_number(p, "utilization"));
  (void)snprintf(reached, sizeof reached, "%.0f/%.0f", perf_get_number(p, mode == PERF_TARGET ? "n_reached" : "n_runs"), perf_get_number(p, "n_runs"));
  put_right(to, reached, 5);
  put_right(to, time, 16);
  put_right(to, rate, 10);
  put_right(to, cost, 10);
  put_right(to, energy, 10);
  put_right(to, used, 9);
  fputc('\n', to);
}

static void put_reason(FILE *to, const json_t *device, const json_t *p) {
  char text[1400];
  if (perf_get_text(p, "why")[0] == '\0') return;
  (void)snprintf(text, sizeof text, "%s%s%s: %s: %s", perf_get_text(device, "label"), perf_get_text(p, "point")[0] != '\0' ? ", " : "", perf_get_text(p, "point"),
                 perf_get_text(p, "status"), perf_get_text(p, "why"));
  perf_put_wrapped(to, "", text, 2);
}

static void put_flags(FILE *to, const json_t *device, const json_t *p) {
  const json_t *const flags = json_object_get(json_object_get(p, "noise"), "flags");
  for (size_t i = 0; i < json_array_size(flags) && perf_is(device, "source", "measured"); i++) {
    char text[400];
    (void)snprintf(text, sizeof text, "noise: %s%s%s: %s", perf_get_text(device, "label"), perf_get_text(p, "point")[0] != '\0' ? ", " : "", perf_get_text(p, "point"),
                   json_string_value(json_array_get(flags, i)));
    perf_put_wrapped(to, "", text, 2);
  }
}

static void for_points(const json_t *summary, FILE *to, void (*put)(FILE *to, const json_t *device, const json_t *p)) {
  size_t i, j;
  json_t *device, *p;
  json_array_foreach(json_object_get(summary, "devices"), i, device) {
    json_array_foreach(json_object_get(device, "points"), j, p) put(to, device, p);
  }
}

static void put_head(const json_t *summary, FILE *to) {
  char text[600];
  const json_t *const job = json_object_get(summary, "job");
  const char *const target = perf_get_text(summary, "target");
  (void)snprintf(text, sizeof text, "%s  %s%s%s  %.0f runs  %s", perf_get_text(job, "name"), perf_get_text(summary, "mode"), target[0] != '\0' ? "  target " : "", target,
                 perf_get_number(summary, "runs"), perf_get_text(json_object_get(summary, "machine"), "processor"));
  perf_put_wrapped(to, "", text, 2);
}

static void put_constraints(const json_t *summary, FILE *to) {
  size_t i, j;
  json_t *row, *cell;
  json_array_foreach(json_object_get(summary, "constraints"), i, row) {
    json_array_foreach(json_object_get(row, "cells"), j, cell) {
      char line[600];
      const json_t *const ok = json_object_get(cell, "ok");
      (void)snprintf(line, sizeof line, "%s %s: %s: %s", json_is_true(ok) ? "ok" : json_is_false(ok) ? "no" : "? ", perf_get_text(row, "name"), perf_get_text(cell, "label"),
                     perf_get_text(cell, "text"));
      perf_put_wrapped(to, "", line, 3);
    }
  }
}

void perf_table(const json_t *summary, FILE *to) {
  static const char *const times[] = {"step", "epoch", "time to target"}, *const counts[] = {"runs", "runs", "reach"};
  const int mode = perf_mode_of(perf_get_text(summary, "mode"));
  const json_t *const points = json_object_get(summary, "points");
  size_t i, j, k;
  json_t *device, *p;
  put_head(summary, to);
  for (k = 0; k < json_array_size(points); k++) {
    const char *const point = json_string_value(json_array_get(points, k));
    fprintf(to, "\n%-19s%5s%16s%10s%10s%10s%9s\n", point != NULL && point[0] != '\0' ? point : "device", counts[mode], times[mode], "samples/s", "cost", "energy", "of peak");
    json_array_foreach(json_object_get(summary, "devices"), i, device) {
      json_array_foreach(json_object_get(device, "points"), j, p) {
        if (point != NULL && perf_is(p, "point", point)) put_point(to, summary, device, p, perf_get_text(device, "label"));
      }
    }
  }
  fputs("\n", to);
  json_array_foreach(json_object_get(json_object_get(summary, "verdict"), "lines"), i, p) {
    char line[1100];
    (void)snprintf(line, sizeof line, "-> %s", json_string_value(p) != NULL ? json_string_value(p) : "");
    perf_put_wrapped(to, "", line, 3);
  }
  put_constraints(summary, to);
  fputs("~ modelled  \" quoted  \xc2\xb1 half the 95 % interval (5 runs or fewer: half the range)\n", to);
  for_points(summary, to, put_reason);
  for_points(summary, to, put_flags);
  if (!json_is_true(json_object_get(summary, "completed"))) perf_put_wrapped(to, "", "The comparison was not completed: --resume goes on with it.", 2);
}
