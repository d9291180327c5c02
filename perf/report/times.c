/* Time and cost: what a step, an epoch and the whole take, what a cold start adds, and what it costs. */
#include "perf/report/chart.h"

#include <math.h>
#include <string.h>

static void put_steps(page *p) {
  table_open(p, "Steady state: warm steps, cold start apart",
             "Device|Batch#|Step, median*|Step, 95th percentile*|Samples each second*|Epoch*|To the target*");
  for (size_t i = 0; i < p->n_devices; i++) {
    const page_device *const d = &p->devices[i];
    if (!page_ran(d)) {
      table_row_absent(p, d, 11);
      continue;
    }
    table_row(p, d);
    table_number(p, SOURCE_MEASURED, NUMBER_COUNT, page_number(d->point, "batch"));
    table_estimate(p, d, "step_p50", NUMBER_SECONDS);
    table_estimate(p, d, "step_p95", NUMBER_SECONDS);
    table_estimate(p, d, "samples_per_second", NUMBER_RATE);
    table_estimate(p, d, "epoch_seconds", NUMBER_SECONDS);
    table_estimate(p, d, "time_to_target", NUMBER_SECONDS);
    table_row_end(p);
  }
  table_close(p);
}

static const char *const cold_names[] = {"cold_load", "cold_compile", "cold_first_step"};
static const char *const cold_parts[] = {"load the data", "open and compile", "first step"};
enum { N_COLD = 3 };

static double cold_sum(const page_device *d) {
  double sum = 0;
  for (int i = 0; i < N_COLD; i++) {
    page_estimate e;
    if (!page_read_estimate(d->point, cold_names[i], &e)) return NAN;
    sum += e.median;
  }
  return sum;
}

static bool draw_cold(page *p) {
  chart_bar rows[PAGE_DRAWN];
  size_t n = 0;
  for (size_t i = 0; i < page_drawn(p); i++) {
    const page_device *const d = &p->devices[i];
    chart_bar *const row = &rows[n];
    bool any = false;
    if (!page_ran(d)) continue;
    *row = (chart_bar){.label = d->label, .source = d->source, .low = NAN, .high = NAN};
    for (int k = 0; k < N_COLD; k++) {
      page_estimate e;
      const bool of_host = k == 0 && (d->source == SOURCE_MODELLED || d->source == SOURCE_QUOTED_MODEL); /* measured: no part of a modelled sum */
      row->parts[k] = !of_host && page_read_estimate(d->point, cold_names[k], &e) ? e.median : NAN;
      any = any || row->parts[k] > 0;
    }
    n += any;
  }
  return chart_draw_bars(p, &(chart_bars){.text = {"cold-start", "Cold start",
                                                   "Of a process that had done nothing before. A modelled device’s compiler and first step are its model’s."},
                                          .kind = NUMBER_SECONDS, .parts = cold_parts, .n_parts = N_COLD, .rows = rows, .n_rows = n});
}

/* Pairs of measured devices of which one starts sooner and the other steps faster. */
static void put_break_even(page *p) {
  size_t n = 0;
  for (size_t a = 0; a < p->n_devices; a++)
    for (size_t b = 0; b < p->n_devices; b++) {
      const page_device *const slow = &p->devices[a], *const fast = &p->devices[b];
      page_estimate slow_step, fast_step;
      if (a == b || slow->source != SOURCE_MEASURED || fast->source != SOURCE_MEASURED) continue;
      if (!page_read_estimate(slow->point, "step_p50", &slow_step) || !page_read_estimate(fast->point, "step_p50", &fast_step)) continue;
      const double saved = slow_step.median - fast_step.median, later = cold_sum(fast) - cold_sum(slow);
      if (!(saved > 0) || !(later > 0) || n++ >= 6) continue;
      char steps[NUMBER_CHARS];
      number_digits(NUMBER_COUNT, (number_scale){1, "", ""}, ceil(later / saved), steps);
      page_put(p, "<p>%s starts later than %s and steps faster: it pays from <strong>%s steps</strong> on.</p>\n", page_device_name(p, fast),
               page_device_name(p, slow), steps);
    }
}

static bool modelled(const page *p, const char *id) {
  for (size_t i = 0; i < p->n_devices; i++) {
    const char *const own = page_string(p->devices[i].json, "id");
    if (own != NULL && strcmp(own, id) == 0) return *page_tilde(p->devices[i].source) != '\0';
  }
  return false;
}

static void put_ratios(page *p) {
  size_t i, n = 0;
  json_t *ratio;
  json_array_foreach(page_at(p->summary, "ratios"), i, ratio) {
    const char *const point = page_string(ratio, "point"), *const a = page_string(ratio, "a"), *const b = page_string(ratio, "b");
    page_estimate e;
    if (strcmp(point != NULL ? point : "", p->shown) != 0 || a == NULL || b == NULL || !page_read_estimate(ratio, "estimate", &e)) continue;
    if (n++ == 0) table_open(p, "Ratios of step times, paired by run", "Ratio|Estimate*|Reading");
    char text[NUMBER_CHARS], low[NUMBER_CHARS], high[NUMBER_CHARS];
    const number_scale scale = number_scale_of(NUMBER_FACTOR, e.median);
    number_text(NUMBER_FACTOR, e.median, text);
    number_digits(NUMBER_FACTOR, scale, e.low, low);
    number_digits(NUMBER_FACTOR, scale, e.high, high);
    table_row_text(p, page_format(p, "%s / %s", a, b));
    page_put(p, "<td class=n>%s%s</td><td class=i>%s%s–%s%s</td>", modelled(p, a) || modelled(p, b) ? "~" : "", text, e.range ? "(" : "[", low, high, e.range ? ")" : "]");
    table_text(p, e.low > 1   ? page_format(p, "%s steps faster", b)
                  : e.high < 1 ? page_format(p, "%s steps faster", a)
                               : "no difference that these runs show");
    table_row_end(p);
  }
  if (n > 0) table_close(p);
}

void section_time(page *p) {
  const char *what;
  const char *const whole = page_common(p, "time", &what);
  chart_group_open(p);
  const bool drawn = chart_draw_estimates(p, "step_p50", NUMBER_SECONDS,
                                          &(chart_text){"step-time", "Time of a step",
                                                        page_format(p, "Median of the warm steps; whiskers: interval over the runs.%s", page_more(p))});
  if (whole != NULL && strcmp(whole, "step_p50") != 0)
    (void)chart_draw_estimates(p, whole, NUMBER_SECONDS,
                               &(chart_text){"whole-time", page_format(p, "Time %s", what), "From the first step on, validation included; the cold start is apart."});
  const bool cold = draw_cold(p);
  chart_group_close(p);
  if (!drawn) page_none(p, "No time of a step: no device finished a run.");
  if (!cold) page_none(p, "No cold start: no run recorded one.");
  if (p->n_devices == 0) return;
  put_steps(p);
  table_open(p, "Cold start: once, apart from the rest", "Device|Load the data*|Open and compile*|First step*");
  for (size_t i = 0; i < p->n_devices; i++) {
    const page_device *const d = &p->devices[i];
    if (!page_ran(d)) {
      table_row_absent(p, d, 6);
      continue;
    }
    table_row(p, d);
    for (int k = 0; k < N_COLD; k++) table_estimate(p, d, cold_names[k], NUMBER_SECONDS);
    table_row_end(p);
  }
  table_close(p);
  put_ratios(p);
  put_break_even(p);
}

/* ---- cost ---- */

/* Up to where the cheapest may become dearer. */
static void put_cheapest(page *p, const char *name) {
  const page_device *best = NULL, *next = NULL;
  page_estimate least = {0}, second = {0}, e;
  for (size_t i = 0; i < p->n_devices; i++) {
    const page_device *const d = &p->devices[i];
    if (!page_read_estimate(d->point, name, &e)) continue;
    if (best == NULL || e.median < least.median) {
      next = best;
      second = least;
      best = d;
      least = e;
    } else if (next == NULL || e.median < second.median) {
      next = d;
      second = e;
    }
  }
  if (next == NULL || !(least.median > 0) || best->source != next->source) return;
  page_put(p, "<p>%s stays the cheapest until its price rises by <strong>%.0f&nbsp;%%</strong>, or that of %s falls by %.0f&nbsp;%%.</p>\n",
           page_device_name(p, best), 100 * (second.median / least.median - 1), page_device_name(p, next), 100 * (1 - least.median / second.median));
}

static bool draw_trade(page *p, const char *time, const char *dollars) {
  chart_line lines[PAGE_DRAWN];
  size_t n = 0;
  for (size_t i = 0; i < page_drawn(p); i++) {
    const page_device *const d = &p->devices[i];
    page_estimate t, c;
    double *const at = page_alloc(p, 2, sizeof *at);
    if (at == NULL || !page_read_estimate(d->point, time, &t) || !page_read_estimate(d->point, dollars, &c)) continue;
    at[0] = t.median;
    at[1] = c.median;
    lines[n++] = (chart_line){.label = d->label, .colour = d->colour, .source = d->source, .dots = true, .beside = 1, .n = 1, .x = at, .y = at + 1, .size = 1};
  }
  return n > 1 && chart_draw_lines(p, &(chart_lines){.text = {"trade", "Cost against time", "Nearer to the lower left is better; both axes are logarithmic."},
                                                     .x = {"time", NUMBER_SECONDS, true}, .y = {"cost", NUMBER_DOLLARS, true}, .lines = lines, .n_lines = n});
}

void section_cost(page *p) {
  const char *what, *of_time;
  const char *const name = page_common(p, "dollars", &what), *const time = page_common(p, "time", &of_time);
  if (name == NULL) {
    page_none(p, "No cost: %s.", p->n_devices == 0 ? "no device was asked for" : "no device has both a price and a time");
  } else {
    chart_group_open(p);
    (void)chart_draw_estimates(p, name, NUMBER_DOLLARS, &(chart_text){"cost", page_format(p, "Cost %s", what), page_format(p, "Time × price of an hour.%s", page_more(p))});
    if (time != NULL) (void)draw_trade(p, time, name);
    chart_group_close(p);
    put_cheapest(p, name);
  }
  if (p->n_devices == 0) return;
  table_open(p, "Cost and where the prices come from", page_format(p, "Device|Cost %s*|Price of an hour#|Source|Date", what));
  for (size_t i = 0; i < p->n_devices; i++) {
    const page_device *const d = &p->devices[i];
    table_row(p, d);
    table_estimate(p, d, name != NULL ? name : "dollars_to_target", NUMBER_DOLLARS);
    table_number(p, SOURCE_MEASURED, NUMBER_DOLLARS, page_number(d->json, "price.dollars_per_hour"));
    table_text(p, page_string(d->json, "price.source"));
    table_text(p, page_string(d->json, "price.date"));
    table_row_end(p);
  }
  table_close(p);
}
