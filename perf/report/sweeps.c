/* Sweeps: throughput over an axis with its crossovers, every point's numbers, and who wins where. */
#include "perf/report/chart.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_POINTS = 400, MOST_AXES = 8 };

/* "train.batch_size=8,model.width=16" */
typedef struct place {
  const char *text;
  struct {
    const char *name, *value; /* of the page's memory */
  } axes[MOST_AXES];
  size_t n;
} place;

static void read_place(page *p, const char *text, place *out) {
  *out = (place){.text = text};
  while (*text != '\0' && out->n < MOST_AXES) {
    const size_t length = strcspn(text, ","), name = strcspn(text, "=");
    out->axes[out->n].name = page_format(p, "%.*s", (int)(name < length ? name : length), text);
    out->axes[out->n].value = page_format(p, "%.*s", name < length ? (int)(length - name - 1) : 0, name < length ? text + name + 1 : "");
    out->n++;
    text += length + (text[length] == ',');
  }
}

/* All points of all devices, each once, in their order. */
static size_t collect(page *p, place *out) {
  size_t n = 0;
  for (size_t d = 0; d < p->n_devices; d++) {
    size_t i;
    json_t *point;
    json_array_foreach(page_at(p->devices[d].json, "points"), i, point) {
      const char *const text = page_string(point, "point");
      bool known = text == NULL || n == MOST_POINTS;
      for (size_t k = 0; k < n && !known; k++) known = strcmp(out[k].text, text) == 0;
      if (!known) read_place(p, text, &out[n++]);
    }
  }
  return n;
}

static double number_of(const char *text) {
  char *end;
  const double value = strtod(text, &end);
  return end != text && *end == '\0' && isfinite(value) ? value : NAN;
}

/* Whether the place differs from the first in no other axis than number `axis`. */
static bool along(const place *first, const place *other, size_t axis) {
  if (other->n != first->n || isnan(number_of(other->axes[axis].value))) return false;
  for (size_t i = 0; i < first->n; i++)
    if (i != axis && strcmp(first->axes[i].value, other->axes[i].value) != 0) return false;
  return true;
}

/* By their value on the axis. */
static size_t sorted(const place *places, size_t n_places, size_t axis, const place **out) {
  size_t n = 0;
  for (size_t i = 0; i < n_places; i++) {
    if (!along(&places[0], &places[i], axis)) continue;
    size_t at = n++;
    for (; at > 0 && number_of(out[at - 1]->axes[axis].value) > number_of(places[i].axes[axis].value); at--) out[at] = out[at - 1];
    out[at] = &places[i];
  }
  return n;
}

static bool draw_axis(page *p, const place *places, size_t n_places, size_t axis) {
  chart_line lines[PAGE_DRAWN];
  chart_rule rules[8];
  const place *const first = &places[0];
  const char *const name = first->axes[axis].name;
  const place **const order = page_alloc(p, n_places, sizeof(place *));
  const size_t n_order = order != NULL ? sorted(places, n_places, axis, order) : 0;
  size_t n = 0, n_rules = 0;
  for (size_t i = 0; i < page_drawn(p); i++) {
    const page_device *const d = &p->devices[i];
    double *const at = page_alloc(p, 4 * n_places, sizeof *at);
    if (at == NULL) return false;
    chart_line *const l = &lines[n++];
    *l = (chart_line){.label = d->label, .colour = d->colour, .source = d->source, .dots = true, .stroke = true, .x = at, .y = at + n_places,
                      .low = at + 2 * n_places, .high = at + 3 * n_places};
    for (size_t k = 0; k < n_order; k++) {
      page_estimate e;
      if (!page_read_estimate(page_point(d->json, order[k]->text), "samples_per_second", &e)) continue;
      at[l->n] = number_of(order[k]->axes[axis].value);
      at[n_places + l->n] = e.median;
      at[2 * n_places + l->n] = e.low;
      at[3 * n_places + l->n++] = e.high;
    }
  }
  size_t i;
  json_t *crossover;
  json_array_foreach(page_at(p->summary, "crossovers"), i, crossover) {
    const char *const of = page_string(crossover, "axis");
    const double at = page_number(crossover, "at");
    if (of == NULL || strcmp(of, name) != 0 || !isfinite(at) || n_rules == sizeof rules / sizeof *rules) continue;
    char text[NUMBER_CHARS];
    number_tick(NUMBER_PLAIN, at, text);
    rules[n_rules++] = (chart_rule){.vertical = true, .at = at, .label = page_format(p, "%s", text)};
  }
  return chart_draw_lines(p, &(chart_lines){.text = {page_format(p, "sweep-%zu", axis), page_format(p, "Samples each second over %s", page_escape(p, name)),
                                                     page_format(p, "Both axes are logarithmic; a vertical line marks where two devices change places.%s%s",
                                                                 first->n > 1 ? " The other axes are at their first values." : "", page_more(p))},
                                            .x = {name, NUMBER_COUNT, true}, .y = {"", NUMBER_RATE, true}, .lines = lines, .n_lines = n,
                                            .rules = rules, .n_rules = n_rules});
}

static const char *winner(page *p, const char *point) {
  size_t i;
  json_t *w;
  json_array_foreach(page_at(p->summary, "winners"), i, w) {
    const char *const of = page_string(w, "point");
    if (of != NULL && strcmp(of, point) == 0) return page_string(w, "device");
  }
  return NULL;
}

/* The cell of a winner: its name on its colour's edge, so that it is read without the colour. */
static void put_winner(page *p, const char *name) {
  for (size_t i = 0; i < p->n_devices && name != NULL; i++) {
    const page_device *const d = &p->devices[i];
    const char *const id = page_string(d->json, "id");
    if (strcmp(d->label, name) != 0 && (id == NULL || strcmp(id, name) != 0)) continue;
    page_put(p, "<td class=\"won c%d\">%s</td>", d->colour, page_device_name(p, d));
    return;
  }
  table_text(p, name);
}

/* Distinct values of an axis in their order. */
static size_t values_of(const place *places, size_t n_places, size_t axis, const char **out) {
  size_t n = 0;
  for (size_t i = 0; i < n_places; i++) {
    bool known = places[i].n <= axis;
    for (size_t k = 0; k < n && !known; k++) known = strcmp(out[k], places[i].axes[axis].value) == 0;
    if (!known) out[n++] = places[i].axes[axis].value;
  }
  return n;
}

static void put_map(page *p, const place *places, size_t n_places) {
  const char **const rows = page_alloc(p, n_places, sizeof *rows), **const columns = page_alloc(p, n_places, sizeof *columns);
  if (rows == NULL || columns == NULL) return;
  const size_t n_rows = values_of(places, n_places, 0, rows), n_columns = values_of(places, n_places, 1, columns);
  const char *const down = page_escape(p, places[0].axes[0].name), *const across = page_escape(p, places[0].axes[1].name);
  const char *heads = page_format(p, "%s \\ %s", down, across);
  for (size_t i = 0; i < n_columns; i++) heads = page_format(p, "%s|%s", heads, page_escape(p, columns[i]));
  table_open(p, page_format(p, "Who wins: %s down, %s across", down, across), heads);
  for (size_t r = 0; r < n_rows; r++) {
    table_row_text(p, rows[r]);
    for (size_t c = 0; c < n_columns; c++) {
      const char *name = NULL;
      for (size_t i = 0; i < n_places && name == NULL; i++)
        if (places[i].n > 1 && strcmp(places[i].axes[0].value, rows[r]) == 0 && strcmp(places[i].axes[1].value, columns[c]) == 0)
          name = winner(p, places[i].text);
      put_winner(p, name);
    }
    table_row_end(p);
  }
  table_close(p);
}

static void put_points(page *p, const place *places, size_t n_places) {
  const char *columns = "Point|Wins";
  for (size_t d = 0; d < p->n_devices; d++) columns = page_format(p, "%s|%s&nbsp;*", columns, page_device_name(p, &p->devices[d]));
  if (n_places > 24) page_put(p, "<details><summary>All %zu points</summary>\n", n_places);
  table_open(p, "Samples each second at every point of the sweep", columns);
  for (size_t i = 0; i < n_places; i++) {
    table_row_text(p, places[i].text);
    put_winner(p, winner(p, places[i].text));
    for (size_t d = 0; d < p->n_devices; d++) {
      page_device there = p->devices[d];
      there.point = page_point(there.json, places[i].text);
      table_estimate(p, &there, "samples_per_second", NUMBER_RATE);
    }
    table_row_end(p);
  }
  table_close(p);
  if (n_places > 24) page_put(p, "</details>\n");
}

void section_sweeps(page *p) {
  place *const places = page_alloc(p, MOST_POINTS, sizeof *places);
  const size_t n = places != NULL ? collect(p, places) : 0;
  if (n < 2) {
    page_none(p, "No sweep was asked for; <code>--sweep train.batch_size=1,8,32,128,512</code> shows which device wins at which size.");
    return;
  }
  chart_group_open(p);
  bool drawn = false;
  for (size_t axis = 0; axis < places[0].n && axis < 2; axis++) {
    const char **const values = page_alloc(p, n, sizeof *values);
    if (values != NULL && values_of(places, n, axis, values) > 1) drawn = draw_axis(p, places, n, axis) || drawn;
  }
  chart_group_close(p);
  if (!drawn) page_none(p, "No curve: the axis has no numbers, or no device has a throughput on it.");
  size_t i;
  json_t *crossover;
  json_array_foreach(page_at(p->summary, "crossovers"), i, crossover) {
    const char *const text = page_string(crossover, "text");
    if (text != NULL) page_put(p, "<p>%s.</p>\n", page_escape(p, text));
  }
  if (places[0].n > 1) put_map(p, places, n);
  put_points(p, places, n);
}
