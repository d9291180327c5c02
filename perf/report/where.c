/* Where a step's time goes: its parts as shares, the ops that take most of it side by side, and each device's ops under its roofline. */
#include "perf/report/chart.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct {
  const char *member, *name;
} split[] = {
    {"forward", "forward"},           {"backward", "backward"}, {"update", "update"},     {"input_wait", "input wait"},
    {"upload", "upload"},             {"communication", "communication"}, {"host_gap", "host gap"}, {"fallback", "on the host"},
};
enum { N_SPLIT = sizeof split / sizeof *split };
static_assert((int)N_SPLIT == (int)CHART_PARTS, "a part of a bar for each");

static bool read_split(const page_device *d, double *out, double *total) {
  *total = 0;
  for (size_t i = 0; i < N_SPLIT; i++) {
    out[i] = page_number(page_at(d->point, "split"), split[i].member);
    if (out[i] > 0) *total += out[i];
  }
  return *total > 0;
}

static bool draw_split(page *p) {
  chart_bar rows[PAGE_DRAWN];
  const char *names[N_SPLIT];
  size_t n = 0;
  for (size_t i = 0; i < N_SPLIT; i++) names[i] = split[i].name;
  for (size_t i = 0; i < page_drawn(p); i++) {
    const page_device *const d = &p->devices[i];
    double total;
    char text[NUMBER_CHARS];
    chart_bar *const row = &rows[n];
    *row = (chart_bar){.label = d->label, .source = d->source, .low = NAN, .high = NAN};
    if (!read_split(d, row->parts, &total)) continue;
    for (size_t k = 0; k < N_SPLIT; k++) row->parts[k] /= total;
    number_text(NUMBER_SECONDS, total, text);
    row->value = page_format(p, "%s%s", page_tilde(d->source), text);
    n++;
  }
  return chart_draw_bars(p, &(chart_bars){.text = {"split", "Parts of a step",
                                                   page_format(p, "Shares of one step of separate, profiled steps; behind the bar their sum.%s", page_more(p))},
                                          .kind = NUMBER_SHARE, .parts = names, .n_parts = N_SPLIT, .rows = rows, .n_rows = n});
}

static void put_split(page *p) {
  const char *columns = "Device|Sum#";
  for (size_t i = 0; i < N_SPLIT; i++) columns = page_format(p, "%s|%s#", columns, split[i].name);
  table_open(p, "Parts of a step, of profiled steps", columns);
  for (size_t i = 0; i < p->n_devices; i++) {
    const page_device *const d = &p->devices[i];
    double parts[N_SPLIT], total;
    if (!read_split(d, parts, &total)) {
      const char *const why = page_string(d->point, "ops_why");
      if (!page_ran(d)) {
        table_row_absent(p, d, N_SPLIT + 1);
      } else {
        table_row(p, d);
        page_put(p, "<td class=why colspan=%d>not profiled%s%s</td></tr>\n", N_SPLIT + 1, why != NULL ? ": " : "", page_escape(p, why));
      }
      continue;
    }
    table_row(p, d);
    table_number(p, d->source, NUMBER_SECONDS, total);
    for (size_t k = 0; k < N_SPLIT; k++) table_number(p, d->source, NUMBER_SECONDS, parts[k]);
    table_row_end(p);
  }
  table_close(p);
}

/* ---- the ops that take most, of all devices: an op is its layer and phase, since devices fuse differently ---- */

enum { MOST_GROUPS = 400, SHOWN_GROUPS = 10 };

typedef struct group {
  const char *layer, *phase;
  double *seconds; /* of each device */
  double share;    /* the greatest of any device's step */
} group;

static const char *first_of(const json_t *op, const char *a, const char *b, const char *neither) {
  const char *const x = page_string(op, a), *const y = page_string(op, b);
  return x != NULL ? x : y != NULL ? y : neither;
}

static group *find_group(page *p, group *groups, size_t *n, const json_t *op) {
  const char *const layer = first_of(op, "layer", "name", "?"), *const phase = first_of(op, "phase", "op", "");
  for (size_t i = 0; i < *n; i++)
    if (strcmp(groups[i].layer, layer) == 0 && strcmp(groups[i].phase, phase) == 0) return &groups[i];
  if (*n == MOST_GROUPS) return NULL;
  groups[*n] = (group){layer, phase, page_alloc(p, p->n_devices, sizeof(double)), 0};
  return groups[*n].seconds != NULL ? &groups[(*n)++] : NULL;
}

static int by_share(const void *a, const void *b) {
  const double x = ((const group *)a)->share, y = ((const group *)b)->share;
  return (x < y) - (x > y);
}

static size_t collect_groups(page *p, group *groups) {
  size_t n = 0;
  for (size_t d = 0; d < p->n_devices; d++) {
    size_t i;
    json_t *op;
    double sum = 0;
    json_array_foreach(page_at(p->devices[d].point, "ops"), i, op) {
      const double seconds = page_number(op, "seconds");
      group *const g = seconds > 0 ? find_group(p, groups, &n, op) : NULL;
      if (g == NULL) continue;
      g->seconds[d] += seconds;
      sum += seconds;
    }
    for (i = 0; i < n; i++)
      if (sum > 0) groups[i].share = fmax(groups[i].share, groups[i].seconds[d] / sum);
  }
  qsort(groups, n, sizeof *groups, by_share);
  return n;
}

static void put_groups(page *p) {
  group *const groups = page_alloc(p, MOST_GROUPS, sizeof *groups);
  const size_t n = groups != NULL ? collect_groups(p, groups) : 0;
  if (n == 0) {
    page_none(p, "No times of ops: no device was profiled.");
    return;
  }
  const char *columns = "Layer|Phase";
  for (size_t d = 0; d < p->n_devices; d++) columns = page_format(p, "%s|%s&nbsp;#", columns, page_device_name(p, &p->devices[d]));
  table_open(p, page_format(p, "What takes most of a step: the first %d of %zu by share", (int)(n < SHOWN_GROUPS ? n : SHOWN_GROUPS), n), columns);
  for (size_t i = 0; i < n && i < SHOWN_GROUPS; i++) {
    table_row_text(p, groups[i].layer);
    table_text(p, groups[i].phase);
    for (size_t d = 0; d < p->n_devices; d++)
      table_number(p, p->devices[d].source, NUMBER_SECONDS, groups[i].seconds[d] > 0 ? groups[i].seconds[d] : NAN);
    table_row_end(p);
  }
  table_close(p);
}

void section_where(page *p) {
  if (p->n_devices == 0) {
    page_none(p, "No device was asked for, so no step was profiled.");
    return;
  }
  if (!draw_split(p)) page_none(p, "No parts of a step: no device was profiled.");
  put_split(p);
  put_groups(p);
}

/* ---- roofline ---- */

enum { MOST_OPS = 300, NAMED_OPS = 5, MOST_ROOFLINES = 6, ROOF_POINTS = 3 };

typedef struct dot {
  double intensity, rate, seconds;
  const char *name;
} dot;

static int by_seconds(const void *a, const void *b) {
  const double x = ((const dot *)a)->seconds, y = ((const dot *)b)->seconds;
  return (x < y) - (x > y);
}

/* Ops that compute something; `left_out` counts the others. */
static size_t read_dots(const json_t *ops, dot *dots, size_t *left_out) {
  size_t n = 0, i;
  json_t *op;
  *left_out = 0;
  json_array_foreach(ops, i, op) {
    const double flops = page_number(op, "flops"), bytes = page_number(op, "bytes"), seconds = page_number(op, "seconds");
    if (flops > 0 && bytes > 0 && seconds > 0 && n < MOST_OPS)
      dots[n++] = (dot){flops / bytes, flops / seconds, seconds, first_of(op, "name", "op", "?")};
    else
      (*left_out)++;
  }
  qsort(dots, n, sizeof *dots, by_seconds);
  return n;
}

/* min(flops, bandwidth · intensity): from the left edge over the ridge to the right one. */
static bool add_roof(page *p, const json_t *peaks, double left, double right, chart_line *line) {
  const double flops = page_number(peaks, "flops"), bandwidth = page_number(peaks, "bytes_per_second"), ridge = flops / bandwidth;
  double *const x = page_alloc(p, 2 * ROOF_POINTS, sizeof *x);
  if (x == NULL || !(flops > 0) || !(bandwidth > 0)) return false;
  double *const y = x + ROOF_POINTS;
  x[0] = fmin(left, ridge / 2);
  x[1] = ridge;
  x[2] = fmax(right, ridge * 2);
  for (int i = 0; i < ROOF_POINTS; i++) y[i] = fmin(flops, bandwidth * x[i]);
  line->x = x;
  line->y = y;
  line->n = ROOF_POINTS;
  return true;
}

/* "1 conv2d/conv2d 41 %, 2 …": what the numbers at the largest dots mean. */
static const char *named_ops(page *p, const dot *dots, size_t named, size_t n) {
  const char *text = "";
  double sum = 0;
  for (size_t i = 0; i < n; i++) sum += dots[i].seconds;
  for (size_t i = 0; i < named; i++)
    text = page_format(p, "%s%s<b>%zu</b>&nbsp;%s&nbsp;%.0f&nbsp;%%", text, i > 0 ? ", " : "", i + 1, page_escape(p, page_shorten(p, dots[i].name, 48)),
                       100 * dots[i].seconds / sum);
  return text;
}

static bool draw_roofline(page *p, const page_device *d, size_t index) {
  chart_line lines[NAMED_OPS + 4];
  dot dots[MOST_OPS];
  size_t n = 0, left_out;
  const size_t n_dots = read_dots(page_at(d->point, "ops"), dots, &left_out);
  double left = INFINITY, right = 0;
  double *const at = page_alloc(p, 2 * MOST_OPS, sizeof *at);
  if (n_dots == 0 || at == NULL) return false;
  for (size_t i = 0; i < n_dots; i++) {
    at[i] = dots[i].intensity;
    at[MOST_OPS + i] = dots[i].rate;
    left = fmin(left, dots[i].intensity);
    right = fmax(right, dots[i].intensity);
  }
  const char *const how = page_string(d->json, "peaks.how");
  lines[n] = (chart_line){.label = how != NULL && strncmp(how, "measured", 8) == 0 ? "measured peak" : "peak", .colour = -1, .source = d->source, .stroke = true};
  n += add_roof(p, page_at(d->json, "peaks"), left, right, &lines[n]);
  lines[n] = (chart_line){.label = "datasheet", .colour = -1, .source = SOURCE_QUOTED, .stroke = true};
  n += add_roof(p, page_at(d->json, "datasheet"), left, right, &lines[n]);
  const size_t named = n_dots < NAMED_OPS ? n_dots : NAMED_OPS;
  for (size_t i = 0; i < named; i++)
    lines[n++] = (chart_line){.label = page_format(p, "%zu", i + 1), .beside = 1 + (int)(i % 3), .colour = d->colour, .source = d->source, .dots = true, .size = 1.2, .n = 1,
                              .x = at + i, .y = at + MOST_OPS + i};
  if (n_dots > named)
    lines[n++] = (chart_line){.colour = d->colour, .source = d->source, .dots = true, .size = 0.55, .n = n_dots - named, .x = at + named, .y = at + MOST_OPS + named};
  return chart_draw_lines(p, &(chart_lines){
      .text = {page_format(p, "roofline-%zu", index), page_format(p, "Roofline of %s", page_escape(p, d->label)),
               page_format(p, "Flops each second over flops for each byte. Most of these ops’ time: %s.%s", named_ops(p, dots, named, n_dots),
                           left_out > 0 ? page_format(p, " %zu ops compute nothing or are without a time, and are not drawn.", left_out) : "")},
      .x = {"flops for each byte", NUMBER_PLAIN, true}, .y = {"", NUMBER_FLOPS_RATE, true}, .lines = lines, .n_lines = n});
}

static void put_peaks(page *p) {
  table_open(p, "Peaks, and the share of them that the whole step reaches",
             "Device|Peak#|Memory#|Reached#|Datasheet peak#|Datasheet memory#|Reached#|Ops bound by");
  for (size_t i = 0; i < p->n_devices; i++) {
    const page_device *const d = &p->devices[i];
    const char *const why = page_string(d->json, "peaks_why");
    size_t k, bound[3] = {0};
    json_t *op;
    static const char *const bounds[] = {"flops", "bytes", "start"};
    json_array_foreach(page_at(d->point, "ops"), k, op) {
      const char *const by = page_string(op, "bound");
      for (size_t b = 0; b < 3 && by != NULL; b++) bound[b] += strcmp(by, bounds[b]) == 0;
    }
    table_row(p, d);
    if (page_at(d->json, "peaks") == NULL && why != NULL) {
      table_note(p, why);
      table_note(p, NULL);
    } else {
      table_number_noted(p, d->source, NUMBER_FLOPS_RATE, page_number(d->json, "peaks.flops"), page_string(d->json, "peaks.how"));
      table_number(p, d->source, NUMBER_BYTES_RATE, page_number(d->json, "peaks.bytes_per_second"));
    }
    table_number(p, d->source, NUMBER_SHARE, page_number(d->point, "utilization"));
    table_number_noted(p, SOURCE_QUOTED, NUMBER_FLOPS_RATE, page_number(d->json, "datasheet.flops"), page_string(d->json, "datasheet.source"));
    table_number(p, SOURCE_QUOTED, NUMBER_BYTES_RATE, page_number(d->json, "datasheet.bytes_per_second"));
    table_number(p, d->source, NUMBER_SHARE, page_number(d->point, "utilization_datasheet"));
    table_text(p, bound[0] + bound[1] + bound[2] == 0 ? NULL : page_format(p, "%zu flops, %zu bytes, %zu start", bound[0], bound[1], bound[2]));
    table_row_end(p);
  }
  table_close(p);
}

void section_roofline(page *p) {
  size_t n = 0;
  if (p->n_devices == 0) {
    page_none(p, "No device was asked for, so there is no roof.");
    return;
  }
  chart_group_open(p);
  for (size_t i = 0; i < p->n_devices && n < MOST_ROOFLINES; i++) n += draw_roofline(p, &p->devices[i], i);
  chart_group_close(p);
  if (n == 0) page_none(p, "No dots: no device has ops with flops, bytes and a time.");
  put_peaks(p);
}
