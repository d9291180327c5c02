/* Which op runs where, who refused and why; and inside a modelled device which layers use its arrays, and what the rest waits for. */
#include "perf/report/chart.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_KINDS = 200, MOST_LAYERS = 300, DRAWN_LAYERS = 12, LISTED_LAYERS = 24 };

static size_t collect_kinds(const page *p, const char **kinds) {
  size_t n = 0;
  for (size_t d = 0; d < p->n_devices; d++) {
    size_t i;
    json_t *op;
    json_array_foreach(page_at(p->devices[d].point, "ops"), i, op) {
      const char *const kind = page_string(op, "op");
      bool known = kind == NULL || n == MOST_KINDS;
      for (size_t k = 0; k < n && !known; k++) known = strcmp(kinds[k], kind) == 0;
      if (!known) kinds[n++] = kind;
    }
  }
  return n;
}

/* Whether a line of the refusal begins with the op: "adam_update 'optimizer/dense/kernel' on f32[64]: …". */
static bool is_named(const char *why, const char *kind) {
  const size_t n = strlen(kind);
  for (const char *line = why; line != NULL; line = strchr(line, '\n')) {
    line += *line == '\n';
    if (strncmp(line, kind, n) == 0 && strncmp(line + n, " '", 2) == 0) return true;
  }
  return false;
}

/* How often the device runs the op itself, and how often the host does. */
static void put_placement(page *p, const page_device *d, const char *kind) {
  size_t i, own = 0, host = 0;
  json_t *op;
  json_array_foreach(page_at(d->point, "ops"), i, op) {
    const char *const name = page_string(op, "op"), *const where = page_string(op, "where");
    if (name == NULL || strcmp(name, kind) != 0) continue;
    if (page_true(op, "fallback") || (where != NULL && strcmp(where, "host") == 0))
      host++;
    else
      own++;
  }
  const char *why;
  const char *const status = page_status(d, &why);
  if (host > 0)
    page_put(p, "<td class=no>host, %zu%s</td>", host, own > 0 ? page_format(p, " of %zu", own + host) : "");
  else if (own > 0)
    page_put(p, "<td class=yes>✓ %zu</td>", own);
  else if (strcmp(status, "refused") == 0 && why != NULL && is_named(why, kind))
    page_put(p, "<td class=no>✗ refused</td>");
  else
    page_put(p, "<td class=na>%s</td>", page_ran(d) ? "none" : strcmp(status, "refused") == 0 ? "not named" : page_escape(p, status));
}

void section_support(page *p) {
  const char *kinds[MOST_KINDS];
  const size_t n = collect_kinds(p, kinds);
  if (n == 0) {
    page_none(p, "No list of ops: %s.", p->n_devices == 0 ? "no device was asked for" : "no device was profiled");
  } else {
    table_open(p, "Ops of a training step, and where each runs", page_columns(p, "Op"));
    for (size_t k = 0; k < n; k++) {
      table_row_text(p, kinds[k]);
      for (size_t d = 0; d < p->n_devices; d++) put_placement(p, &p->devices[d], kinds[k]);
      table_row_end(p);
    }
    table_close(p);
    page_none(p, "✓ with how many ops of that kind the device runs itself; none: its program has none (fused, or not needed); not named: the device refused the job for other ops.");
  }
  for (size_t d = 0; d < p->n_devices; d++) {
    const char *why;
    const char *const status = page_status(&p->devices[d], &why);
    if (page_ran(&p->devices[d])) continue;
    page_put(p, "<p class=refusal>%s <strong>%s</strong>%s%s</p>\n", page_device_name(p, &p->devices[d]), page_escape(p, status), why != NULL ? ": " : "",
             page_escape(p, why));
  }
}

/* ---- systolic detail ---- */

typedef struct layer {
  const char *name;
  double cycles[CHART_PARTS], total;
} layer;

typedef struct layers {
  layer *all;
  const char *classes[CHART_PARTS];
  size_t n, n_classes;
} layers;

static size_t class_of(layers *l, const char *name) {
  for (size_t i = 0; i < l->n_classes; i++)
    if (strcmp(l->classes[i], name) == 0) return i;
  if (l->n_classes == CHART_PARTS) return CHART_PARTS - 1;
  l->classes[l->n_classes] = name;
  return l->n_classes++;
}

static layer *layer_of(layers *l, const char *name) {
  for (size_t i = 0; i < l->n; i++)
    if (strcmp(l->all[i].name, name) == 0) return &l->all[i];
  if (l->n == MOST_LAYERS) return NULL;
  l->all[l->n] = (layer){.name = name};
  return &l->all[l->n++];
}

static int by_total(const void *a, const void *b) {
  const double x = ((const layer *)a)->total, y = ((const layer *)b)->total;
  return (x < y) - (x > y);
}

/* Cycles by cause of each layer, forward and backward together. */
static void read_layers(const page_device *d, layers *l) {
  size_t i;
  json_t *op;
  json_array_foreach(page_at(d->point, "ops"), i, op) {
    json_t *const classes = json_object_get(op, "classes"), *cycles;
    const char *const own = page_string(op, "layer"), *const name = page_string(op, "name"), *class;
    layer *const at = json_object_size(classes) > 0 ? layer_of(l, own != NULL ? own : name != NULL ? name : "?") : NULL;
    if (at == NULL) continue;
    json_object_foreach(classes, class, cycles) {
      const double n = json_number_value(cycles);
      if (!(n > 0) || !isfinite(n)) continue;
      at->cycles[class_of(l, class)] += n;
      at->total += n;
    }
  }
  qsort(l->all, l->n, sizeof *l->all, by_total);
  while (l->n > 0 && !(l->all[l->n - 1].total > 0)) l->n--;
}

/* The share of the cycles whose cause has this word; `other`: the greatest of the other causes, NULL for none. */
static double share_of(const layers *l, const layer *at, const char *word, const char **other) {
  double sum = 0, most = 0;
  *other = NULL;
  for (size_t i = 0; i < l->n_classes; i++) {
    if (strstr(l->classes[i], word) != NULL) {
      sum += at->cycles[i];
    } else if (at->cycles[i] > most) {
      most = at->cycles[i];
      *other = l->classes[i];
    }
  }
  return sum / at->total;
}

static void draw_layers(page *p, const page_device *d, const layers *l, size_t index) {
  chart_bar rows[DRAWN_LAYERS];
  const char *names[CHART_PARTS], *stall;
  size_t n = 0;
  for (size_t i = 0; i < l->n_classes; i++) names[i] = page_escape(p, l->classes[i]);
  for (size_t i = 0; i < l->n && i < DRAWN_LAYERS; i++) {
    chart_bar *const row = &rows[n++];
    *row = (chart_bar){.label = l->all[i].name, .source = d->source, .low = NAN, .high = NAN};
    for (size_t k = 0; k < l->n_classes; k++) row->parts[k] = l->all[i].cycles[k] / l->all[i].total;
    char text[NUMBER_CHARS];
    number_text(NUMBER_SHARE, share_of(l, &l->all[i], "useful", &stall), text);
    row->value = page_format(p, "~%s", text);
  }
  (void)chart_draw_bars(p, &(chart_bars){.text = {page_format(p, "systolic-%zu", index), page_format(p, "Cycles by cause on %s", page_escape(p, d->label)),
                                                  page_format(p, "Shares of each layer’s cycles, forward and backward; behind the bar the useful share. Layers by cycles%s.",
                                                              l->n > DRAWN_LAYERS ? ", the first twelve" : "")},
                                         .kind = NUMBER_SHARE, .parts = names, .n_parts = l->n_classes, .rows = rows, .n_rows = n});
}

static void put_layers(page *p, const page_device *d, const layers *l) {
  const size_t n = l->n < LISTED_LAYERS ? l->n : LISTED_LAYERS;
  const char *const some = n < l->n ? page_format(p, ", the first %zu of %zu", n, l->n) : "";
  table_open(p, page_format(p, "Layers on %s: what the arrays do%s", page_escape(p, d->label), some), "Layer|Cycles#|Useful#|Padding#|Mostly");
  for (size_t i = 0; i < n; i++) {
    const layer *const at = &l->all[i];
    const char *stall, *ignored;
    const double useful = share_of(l, at, "useful", &stall), padding = share_of(l, at, "padding", &ignored);
    table_row_text(p, at->name);
    table_number(p, SOURCE_MODELLED, NUMBER_COUNT, at->total);
    table_number(p, SOURCE_MODELLED, NUMBER_SHARE, useful);
    table_number(p, SOURCE_MODELLED, NUMBER_SHARE, padding);
    table_text(p, useful > 0.5 ? "useful" : stall);
    table_row_end(p);
  }
  table_close(p);
}

void section_systolic(page *p) {
  size_t n = 0;
  for (size_t i = 0; i < p->n_devices; i++) {
    layers l = {.all = page_alloc(p, MOST_LAYERS, sizeof *l.all)};
    if (l.all == NULL) return;
    read_layers(&p->devices[i], &l);
    if (l.n == 0) continue;
    chart_group_open(p);
    draw_layers(p, &p->devices[i], &l, i);
    put_layers(p, &p->devices[i], &l);
    chart_group_close(p);
    n++;
  }
  if (n == 0) page_none(p, "No systolic array: no modelled device was profiled here; <code>--devices tpu:v3</code> adds one, without the hardware.");
}
