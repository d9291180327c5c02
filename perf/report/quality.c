/* How well the model learns on each device: the metric with its band over the runs, the loss by step, and how far devices differ. */
#include "perf/report/chart.h"

#include <math.h>
#include <string.h>

/* The target's metric, else the one that the devices' curves are of. Escaped. */
static const char *metric(page *p) {
  const char *name = p->target_metric;
  for (size_t i = 0; i < p->n_devices && name == NULL; i++) name = page_string(p->devices[i].point, "metric");
  return page_escape(p, name != NULL ? name : "loss");
}

/* Member `path` of each element; NULL for an empty array. */
static double *column(page *p, const json_t *array, const char *path) {
  const size_t n = json_array_size(array);
  double *const out = n > 0 ? page_alloc(p, n, sizeof *out) : NULL;
  for (size_t i = 0; out != NULL && i < n; i++) out[i] = page_number(json_array_get(array, i), path);
  return out;
}

static bool draw_curves(page *p, const char *x, const chart_axis *axis, const chart_text *text) {
  chart_line lines[PAGE_DRAWN];
  size_t n = 0;
  for (size_t i = 0; i < page_drawn(p); i++) {
    const page_device *const d = &p->devices[i];
    const json_t *const curve = page_at(d->point, "curve");
    chart_line *const l = &lines[n];
    *l = (chart_line){.label = d->label, .colour = d->colour, .source = d->source, .stroke = true, .n = json_array_size(curve)};
    l->x = column(p, curve, x);
    l->y = column(p, curve, "metric.median");
    l->low = column(p, curve, "metric.low");
    l->high = column(p, curve, "metric.high");
    l->dots = l->n <= 30;
    if (l->x != NULL && l->y != NULL && l->low != NULL && l->high != NULL) n++;
  }
  const double target = p->target_value;
  char number[NUMBER_CHARS];
  number_tick(NUMBER_PLAIN, target, number);
  const chart_rule rule = {.at = target, .label = page_format(p, "target %s", number)};
  return chart_draw_lines(p, &(chart_lines){.text = *text, .x = *axis, .y = {metric(p), NUMBER_PLAIN, false}, .lines = lines, .n_lines = n,
                                            .rules = &rule, .n_rules = n > 0 && isfinite(target)});
}

static bool draw_losses(page *p) {
  chart_line lines[PAGE_DRAWN];
  size_t n = 0;
  double least = INFINITY, most = -INFINITY;
  for (size_t i = 0; i < page_drawn(p); i++) {
    const page_device *const d = &p->devices[i];
    const json_t *const curve = page_at(d->point, "loss_curve");
    chart_line *const l = &lines[n];
    *l = (chart_line){.label = d->label, .colour = d->colour, .source = d->source, .stroke = true, .n = json_array_size(curve)};
    l->x = column(p, curve, "step");
    l->y = column(p, curve, "loss");
    if (l->x == NULL || l->y == NULL) continue;
    for (size_t k = 0; k < l->n; k++) {
      if (isnan(l->y[k])) continue;
      least = fmin(least, l->y[k]);
      most = fmax(most, l->y[k]);
    }
    n++;
  }
  const bool logarithmic = least > 0 && most > 20 * least;
  return chart_draw_lines(p, &(chart_lines){.text = {"loss", "Training loss by step",
                                                     "Of the first run; all devices start from the same weights and see the same samples in the same order."},
                                            .x = {"step", NUMBER_COUNT, false}, .y = {"loss", NUMBER_PLAIN, logarithmic}, .lines = lines, .n_lines = n});
}

/* Whether others are compared with this one. */
static bool is_reference(const page *p, const page_device *d) {
  const char *const id = page_string(d->json, "id");
  for (size_t i = 0; i < p->n_devices && id != NULL && !page_quoted(d->source); i++) {
    const char *const from = page_string(p->devices[i].point, "loss_difference.from");
    if (from != NULL && strcmp(from, id) == 0) return true;
  }
  return false;
}

void section_quality(page *p) {
  const char *const name = metric(p), *const mode = page_string(p->summary, "mode");
  chart_group_open(p);
  const bool steps = mode != NULL && strcmp(mode, "steps") == 0;
  const bool drawn = !steps && draw_curves(p, "epoch", &(chart_axis){"epoch", NUMBER_COUNT, false},
                                 &(chart_text){"quality-epochs", page_format(p, "%s by epoch", name),
                                               page_format(p, "Line: median of the runs; band: their interval.%s", page_more(p))});
  if (drawn)
    (void)draw_curves(p, "seconds", &(chart_axis){"time since training began", NUMBER_SECONDS, true},
                      &(chart_text){"quality-seconds", page_format(p, "%s by time", name),
                                    "The same curves over each device’s own clock, validation included: dashed is a modelled clock."});
  const bool losses = draw_losses(p);
  chart_group_close(p);
  if (!drawn)
    page_none(p, "No curve of %s: %s.", name, steps ? "steps were timed, and no epoch was finished" : "no run finished an epoch with it");
  if (!losses) page_none(p, "No curve of the training loss: no run recorded it.");
  if (p->n_devices == 0) return;
  table_open(p, "Quality reached, and whether the devices compute the same",
             page_format(p, "Device|Final %s*|Largest relative difference of the loss#|At step#", name));
  for (size_t i = 0; i < p->n_devices; i++) {
    const page_device *const d = &p->devices[i];
    const double difference = page_number(d->point, "loss_difference.value");
    if (!page_ran(d)) {
      table_row_absent(p, d, 4);
      continue;
    }
    table_row(p, d);
    table_estimate(p, d, "final", NUMBER_PLAIN);
    if (is_reference(p, d)) {
      page_put(p, "<td class=n>the reference</td>");
      table_note(p, NULL);
    } else if (isfinite(difference)) {
      page_put(p, "<td class=n>%.2g</td>", difference);
      table_number(p, SOURCE_MEASURED, NUMBER_COUNT, page_number(d->point, "loss_difference.step"));
    } else {
      table_note(p, "there are no losses of the same steps to compare");
      table_note(p, NULL);
    }
    table_row_end(p);
  }
  table_close(p);
}
