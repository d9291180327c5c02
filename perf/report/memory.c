/* Memory and energy: what was planned and seen, what was used and where the number comes from. */
#include "perf/report/chart.h"

#include <math.h>

static bool draw_memory(page *p) {
  static const char *const members[] = {"planned", "observed"};
  chart_bar rows[2 * PAGE_DRAWN];
  size_t n = 0;
  for (size_t i = 0; i < page_drawn(p); i++) {
    const page_device *const d = &p->devices[i];
    for (int k = 0; k < 2; k++) {
      const double bytes = page_number(page_at(d->point, "memory"), members[k]);
      if (bytes > 0)
        rows[n++] = (chart_bar){.label = page_format(p, "%s %s", page_shorten(p, d->label, CHART_LABEL - 11), members[k]), .colour = d->colour,
                                .source = page_quoted(d->source) ? SOURCE_QUOTED : SOURCE_MEASURED, .parts = {bytes}, .low = NAN, .high = NAN};
    }
  }
  return chart_draw_bars(p, &(chart_bars){.text = {"memory", "Memory",
                                                   page_format(p, "Planned: the program’s arena and the variables; observed: the peak of the process.%s", page_more(p))},
                                          .kind = NUMBER_BYTES, .n_parts = 1, .rows = rows, .n_rows = n});
}

void section_memory(page *p) {
  chart_group_open(p);
  const bool drawn = draw_memory(p);
  if (!drawn) {
    chart_group_close(p);
    page_none(p, "No memory: no run told what it planned or used.");
    return;
  }
  table_open(p, "Memory planned and observed", "Device|Planned#|Observed peak#|Observed by planned#");
  for (size_t i = 0; i < p->n_devices; i++) {
    const page_device *const d = &p->devices[i];
    const double planned = page_number(d->point, "memory.planned"), observed = page_number(d->point, "memory.observed");
    table_row(p, d);
    table_number(p, SOURCE_MEASURED, NUMBER_BYTES, planned);
    table_number(p, SOURCE_MEASURED, NUMBER_BYTES, observed);
    table_number(p, SOURCE_MEASURED, NUMBER_FACTOR, planned > 0 ? observed / planned : NAN);
    table_row_end(p);
  }
  table_close(p);
  chart_group_close(p);
}

void section_energy(page *p) {
  const char *what;
  const char *const name = page_common(p, "joules", &what);
  chart_group_open(p);
  if (name != NULL)
    (void)chart_draw_estimates(p, name, NUMBER_JOULES, &(chart_text){"energy", page_format(p, "Energy %s", what), page_format(p, "Of the training.%s", page_more(p))});
  else
    page_none(p, "No energy: %s.", p->n_devices == 0 ? "no device was asked for" : "no device’s meter could be read, and none is guessed");
  if (p->n_devices == 0) {
    chart_group_close(p);
    return;
  }
  table_open(p, "Energy and where it was read", page_format(p, "Device|Energy %s*|Read from", what));
  for (size_t i = 0; i < p->n_devices; i++) {
    const page_device *const d = &p->devices[i];
    table_row(p, d);
    table_estimate(p, d, name != NULL ? name : "joules_per_step", NUMBER_JOULES);
    page_estimate e;
    table_text(p, name != NULL && page_read_estimate(d->point, name, &e) ? page_string(d->point, "joules_source") : NULL);
    table_row_end(p);
  }
  table_close(p);
  chart_group_close(p);
}
