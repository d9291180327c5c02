/* Lines: a stroke, dots and a band for each, its name in the margin at the height where it ends, pushed apart where two would overlap. */
#include "perf/report/chart.h"
#include "perf/report/plot.h"

#include <math.h>
#include <string.h>

enum { HEIGHT = 310, PLOT_BYTES = 16384 };

typedef struct range {
  double low, high;
} range;

static bool shown(const chart_axis *axis, double v) { return isfinite(v) && (!axis->log || v > 0); }

static void widen(range *r, const chart_axis *axis, double v) {
  if (!shown(axis, v)) return;
  r->low = fmin(r->low, v);
  r->high = fmax(r->high, v);
}

static bool find_ranges(const chart_lines *c, range *x, range *y) {
  *x = *y = (range){INFINITY, -INFINITY};
  for (size_t i = 0; i < c->n_lines; i++) {
    const chart_line *const l = &c->lines[i];
    for (size_t k = 0; k < l->n; k++) {
      if (!shown(&c->x, l->x[k]) || !shown(&c->y, l->y[k])) continue;
      widen(x, &c->x, l->x[k]);
      widen(y, &c->y, l->y[k]);
      if (l->low != NULL) widen(y, &c->y, l->low[k]);
      if (l->high != NULL) widen(y, &c->y, l->high[k]);
    }
  }
  for (size_t i = 0; i < c->n_rules; i++)
    if (!c->rules[i].vertical) widen(y, &c->y, c->rules[i].at);
  return x->low <= x->high && y->low <= y->high;
}

/* Room around the data, so that no dot is cut. */
static void pad(range *r, const chart_axis *axis) {
  if (axis->log) {
    const double by = fmax(pow(r->high / r->low, 0.06), 1.15);
    *r = (range){r->low / by, r->high * by};
    return;
  }
  const bool from_zero = r->low == 0;
  const double by = r->high > r->low ? 0.06 * (r->high - r->low) : fmax(0.1 * fabs(r->high), 1e-9);
  *r = (range){from_zero ? 0 : r->low - by, r->high + by};
}

static double share(const range *r, const chart_axis *axis, double v) {
  return axis->log ? log(v / r->low) / log(r->high / r->low) : (v - r->low) / (r->high - r->low);
}

/* Returns the width of its text. */
static double put_tick(chart_script *s, const chart_axis *axis, double at, bool first) {
  char text[NUMBER_CHARS];
  number_tick(axis->kind, at, text);
  chart_put(s, "%s'%s' %.9g", first ? "" : ", ", chart_token(s, text), at);
  return chart_width(text);
}

/* The axis's ticks: of a log axis powers of ten, with 2 and 5 between where there is room, and else every second or third; of another
 * one about `most` round steps. */
static void put_ticks(chart_script *s, char name, const chart_axis *axis, const range *r, int most) {
  bool first = true;
  double widest = 0;
  chart_put(s, "set %ctics (", name);
  if (axis->log) {
    static const double between[][3] = {{1}, {1, 3}, {1, 2, 5}};
    const double decades = log10(r->high / r->low);
    const double room = most + (name == 'y' ? 2.5 : 0.5);
    const int each = (int)fmax(1, ceil(decades / most)), parts = 3 * decades <= room ? 3 : 2 * decades <= room ? 2 : 1;
    for (int k = (int)floor(log10(r->low)); k <= (int)ceil(log10(r->high)); k++) {
      for (int i = 0; i < parts; i++) {
        const double at = between[parts - 1][i] * pow(10, k);
        if (k % each != 0 || at < r->low || at > r->high) continue;
        widest = fmax(widest, put_tick(s, axis, at, first));
        first = false;
      }
    }
  } else {
    const double step = number_step(axis->kind, r->high - r->low, most);
    for (double k = ceil(r->low / step); k * step <= r->high; k++) {
      if (axis->kind == NUMBER_COUNT && fabs(k * step - round(k * step)) > 1e-6) continue;
      widest = fmax(widest, put_tick(s, axis, k * step, first));
      first = false;
    }
  }
  chart_put(s, ")\n%s\nset %crange [%.9g:%.9g]\nset grid %ctics lt 1 lw 1 lc rgb 0x%02x\n", axis->log ? name == 'x' ? "set logscale x" : "set logscale y" : "",
            name, r->low, r->high, name, PLOT_GRID);
  if (name == 'y') chart_put(s, "set lmargin %.2f\n", widest + 1.4);
}

typedef struct name {
  size_t line;
  double at; /* of the chart's height */
} name;

/* Sorted by height, and at least `gap` apart. */
static void spread(name *names, size_t n, double gap) {
  for (size_t i = 1; i < n; i++)
    for (size_t k = i; k > 0 && names[k].at < names[k - 1].at; k--) {
      const name swapped = names[k];
      names[k] = names[k - 1];
      names[k - 1] = swapped;
    }
  for (int pass = 0; pass < 50; pass++)
    for (size_t i = 1; i < n; i++) {
      const double lack = gap - (names[i].at - names[i - 1].at);
      if (lack <= 0) continue;
      names[i].at += lack / 2;
      names[i - 1].at -= lack / 2;
    }
  for (size_t i = 0; i < n; i++) { /* and inside */
    const double least = (double)i * gap;
    if (names[i].at < least) names[i].at = least;
  }
  for (size_t i = n; i-- > 0;) {
    const double most = 1 - (double)(n - 1 - i) * gap;
    if (names[i].at > most) names[i].at = most;
  }
}

static int role(const chart_line *l) { return l->colour < 0 ? PLOT_INK : PLOT_DEVICE + l->colour; }

/* Filled for measured and modelled, open for quoted; the shape differs with the colour, so that it can be told without. */
static int shape(const chart_line *l) {
  static const int filled[] = {7, 5, 9, 13, 11, 15}, open[] = {6, 4, 8, 12, 10, 14};
  const int k = l->colour < 0 ? 0 : l->colour % 6;
  return page_quoted(l->source) ? open[k] : filled[k];
}

static void put_names(chart_script *s, const chart_lines *c, const range *x, const range *y) {
  name names[CHART_LINES];
  size_t n = 0;
  double longest = 0;
  for (size_t i = 0; i < c->n_lines && i < CHART_LINES; i++) {
    const chart_line *const l = &c->lines[i];
    size_t last = l->n;
    while (last > 0 && !(shown(&c->x, l->x[last - 1]) && shown(&c->y, l->y[last - 1]))) last--;
    if (l->label == NULL || last == 0) continue;
    const char *const label = page_shorten(s->page, l->label, CHART_LABEL);
    const double at = share(y, &c->y, l->y[last - 1]);
    if (l->beside > 0) {
      const bool left = l->beside == 3 || share(x, &c->x, l->x[last - 1]) > 0.9 - 0.04 * (double)strlen(label);
      chart_put(s, "set label '%s' at %.9g,%.9g %s offset %s,%s front tc rgb 0x%02x\n", chart_token(s, label), l->x[last - 1], l->y[last - 1],
                left ? "right" : "left", left ? "-0.9" : "0.9", l->beside == 1 ? "0.5" : l->beside == 2 ? "-0.5" : "0", PLOT_INK);
      continue;
    }
    names[n++] = (name){i, at};
    longest = fmax(longest, chart_width(label));
  }
  spread(names, n, 17.0 / (HEIGHT - 70));
  for (size_t i = 0; i < n; i++) {
    const chart_line *const l = &c->lines[names[i].line];
    const char *const token = chart_token(s, page_shorten(s->page, l->label, CHART_LABEL));
    if (l->colour < 0)
      chart_put(s, "set label '%s' at graph 1,graph %.4f left offset 0.6,0 tc rgb 0x%02x\n", token, names[i].at, PLOT_MUTED);
    else
      chart_put(s, "set label '%s' at graph 1.04,graph %.4f left offset 0.8,-0.28 tc rgb 0x%02x point pt %d ps 0.55 lc rgb 0x%02x\n", token, names[i].at,
                PLOT_INK, shape(l), role(l));
  }
  chart_put(s, "set rmargin %.2f\n", n > 0 ? 2.9 + longest : 2);
}

/* Straight lines over the chart, each with its label. */
static void put_rules(chart_script *s, const chart_lines *c, const range *x) {
  for (size_t i = 0; i < c->n_rules; i++) {
    const chart_rule *const rule = &c->rules[i];
    if (rule->vertical ? rule->at < x->low || rule->at > x->high || !shown(&c->x, rule->at) : !shown(&c->y, rule->at)) continue;
    if (rule->vertical) {
      chart_put(s, "set arrow from first %.9g,graph 0 to first %.9g,graph 1 nohead dt (4,3) lw 1.2 lc rgb 0x%02x\n", rule->at, rule->at, PLOT_MUTED);
      const bool left = share(x, &c->x, rule->at) > 0.6;
      chart_put(s, "set label '%s' at first %.9g,graph 0.96 %s offset %s,0 tc rgb 0x%02x\n", chart_token(s, rule->label), rule->at,
                left ? "right" : "left", left ? "-0.6" : "0.6", PLOT_MUTED);
    } else {
      chart_put(s, "set arrow from graph 0,first %.9g to graph 1,first %.9g nohead dt (4,3) lw 1.2 lc rgb 0x%02x\n", rule->at, rule->at, PLOT_MUTED);
      chart_put(s, "set label '%s' at graph 0.01,first %.9g left offset 0,0.6 tc rgb 0x%02x\n", chart_token(s, rule->label), rule->at, PLOT_MUTED);
    }
  }
}

static void add(char *plot, const char *what) {
  const size_t at = strlen(plot);
  (void)snprintf(plot + at, PLOT_BYTES - at, "%s%s", at > 0 ? ", " : "", what);
}

static void put_line_data(chart_script *s, const chart_lines *c, size_t i, char *plot) {
  static const char *const dashes[] = {"1", "(7,4)", "(3,3)", "(3,3)"};
  const chart_line *const l = &c->lines[i];
  char what[256];
  size_t n = 0, n_wide = 0; /* a band of no width is none */
  chart_put(s, "$l%zu << EOD\n", i);
  for (size_t k = 0; k < l->n; k++) {
    if (!shown(&c->x, l->x[k]) || !shown(&c->y, l->y[k])) continue;
    const double low = l->low != NULL && shown(&c->y, l->low[k]) ? l->low[k] : l->y[k];
    const double high = l->high != NULL && shown(&c->y, l->high[k]) ? l->high[k] : l->y[k];
    chart_put(s, "%.9g %.9g %.9g %.9g\n", l->x[k], l->y[k], low, high);
    n++;
    n_wide += low < high;
  }
  chart_put(s, "EOD\n");
  if (n == 0) return;
  if (n_wide > 0 && n > 1) {
    (void)snprintf(what, sizeof what, "$l%zu using 1:3:4 with filledcurves lc rgb 0x%02x fs transparent solid 0.18 noborder", i, role(l));
    add(plot, what);
    s->n_marks++;
  }
  const bool stroke = l->stroke && n > 1, dots = l->dots || !stroke;
  if (stroke) {
    (void)snprintf(what, sizeof what, "$l%zu using 1:2 with lines lw 2 lc rgb 0x%02x dt %s", i, role(l), dashes[l->source]);
    add(plot, what);
    s->n_marks++;
  }
  if (dots) {
    (void)snprintf(what, sizeof what, "$l%zu using 1:2 with points pt %d ps %.3g lc rgb 0x%02x", i, shape(l), l->size > 0 ? l->size : 0.6, role(l));
    add(plot, what);
    s->n_marks += n;
  }
}

bool chart_draw_lines(page *p, const chart_lines *c) {
  range x, y;
  chart_script script;
  char *const plot = page_alloc(p, PLOT_BYTES, 1);
  if (!find_ranges(c, &x, &y) || plot == NULL || !chart_script_open(&script, p)) return false;
  pad(&x, &c->x);
  pad(&y, &c->y);
  put_ticks(&script, 'x', &c->x, &x, 4);
  put_ticks(&script, 'y', &c->y, &y, 5);
  chart_put(&script, "set bmargin 3.2\nset xlabel '%s' offset 0,0.4 tc rgb 0x%02x\n", chart_token(&script, c->x.title), PLOT_MUTED);
  put_names(&script, c, &x, &y);
  put_rules(&script, c, &x);
  for (size_t i = 0; i < c->n_lines; i++) put_line_data(&script, c, i, plot);
  chart_put(&script, "plot %s\n", plot);
  chart_script_close(&script, &c->text, HEIGHT, "");
  return true;
}
