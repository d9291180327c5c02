/* Bars: a row each, from zero, in one unit; the value stands behind the bar. */
#include "perf/report/chart.h"
#include "perf/report/plot.h"

#include <math.h>
#include <string.h>

enum { ROW = 30, AROUND = 46 };

static double length_of(const chart_bars *bars, const chart_bar *row) {
  double sum = 0;
  for (size_t i = 0; i < bars->n_parts; i++)
    if (row->parts[i] > 0) sum += row->parts[i];
  return sum;
}

/* So many ticks that their texts stay apart in a chart of this width, of which the bars' names and values take their part. */
static int n_ticks(const chart_bars *bars, double most, double width) {
  char text[NUMBER_CHARS];
  number_tick(bars->kind, number_step(bars->kind, most, 4), text);
  const double fit = width / (chart_width(text) + 1.2);
  return fit < 1 ? 1 : fit > 4 ? 4 : (int)fit;
}

static void put_axis(chart_script *s, const chart_bars *bars, double most) {
  static const double characters[] = {42, 29}; /* wide and narrow, without the values */
  double longest = 0;
  for (size_t i = 0; i < bars->n_rows; i++) longest = fmax(longest, chart_width(page_shorten(s->page, bars->rows[i].label, CHART_LABEL)));
  for (int narrow = 0; narrow < 2; narrow++) {
    const double step = number_step(bars->kind, most, n_ticks(bars, most, characters[narrow] - longest));
    chart_put(s, "if (narrow == %d) set xtics (", narrow);
    for (int i = 0; i * step <= most * 1.0001 && i < 12; i++) {
      char text[NUMBER_CHARS];
      number_tick(bars->kind, i * step, text);
      chart_put(s, "%s'%s' %.9g", i > 0 ? ", " : "", chart_token(s, text), i * step);
    }
    chart_put(s, ")\n");
  }
  chart_put(s, "set grid xtics lt 1 lw 1 lc rgb 0x%02x\nset xrange [0:%.9g]\nset yrange [%.9g:0.6]\n", PLOT_GRID, most,
            0.4 - (double)bars->n_rows);
  chart_put(s, "set ytics (");
  for (size_t i = 0; i < bars->n_rows; i++) {
    chart_put(s, "%s'%s' %.9g", i > 0 ? ", " : "", chart_token(s, page_shorten(s->page, bars->rows[i].label, CHART_LABEL)), -(double)i);
  }
  chart_put(s, ") scale 0 textcolor rgb 0x%02x\nset border 0\nset lmargin %.2f\nset rmargin 9\nset bmargin 1.9\n", PLOT_INK,
            longest + 1.2);
}

/* Blocks of data and what draws them: one for each part, one for each whisker, one for the values. */
static void put_row(chart_script *s, const chart_bars *bars, size_t i, char *plot, size_t size) {
  const chart_bar *const row = &bars->rows[i];
  double from = 0;
  for (size_t k = 0; k < bars->n_parts; k++) {
    if (!(row->parts[k] > 0)) continue;
    const double to = from + row->parts[k], y = -(double)i;
    chart_put(s, "$p%zu_%zu << EOD\n%.9g %.9g %.9g %.9g %.9g %.9g\nEOD\n", i, k, (from + to) / 2, y, from, to, y - 0.3, y + 0.3);
    char fill[32];
    if (row->source == SOURCE_MODELLED)
      (void)snprintf(fill, sizeof fill, "pattern %d border", 4 + (int)(k % 4));
    else
      (void)snprintf(fill, sizeof fill, "%s", page_quoted(row->source) ? "empty border" : bars->parts != NULL ? "solid 1 border rgb 0x03" : "solid 1 noborder");
    const size_t at = strlen(plot);
    (void)snprintf(plot + at, size - at, "%s$p%zu_%zu using 1:2:3:4:5:6 with boxxyerror lw 1.4 lc rgb 0x%02x fs %s", at > 0 ? ", " : "", i, k,
                   bars->parts != NULL ? PLOT_PART + (int)k : PLOT_DEVICE + row->colour, fill);
    s->n_marks++;
    from = to;
  }
}

static const char *legend(page *p, const chart_bars *bars) {
  const char *text = "";
  if (bars->parts == NULL) return text;
  for (size_t k = 0; k < bars->n_parts; k++) {
    bool used = false;
    for (size_t i = 0; i < bars->n_rows; i++) used = used || bars->rows[i].parts[k] > 0;
    if (used) text = page_format(p, "%s<li><i class=\"mark k%zu\"></i>%s</li>", text, k, bars->parts[k]);
  }
  return page_format(p, "<ul class=legend>%s</ul>", text);
}

bool chart_draw_bars(page *p, const chart_bars *bars) {
  enum { PLOT_BYTES = 32768 };
  double most = 0;
  for (size_t i = 0; i < bars->n_rows; i++) {
    most = fmax(most, length_of(bars, &bars->rows[i]));
    if (isfinite(bars->rows[i].high)) most = fmax(most, bars->rows[i].high);
  }
  chart_script script;
  char *const plot = page_alloc(p, PLOT_BYTES, 1);
  if (!(most > 0) || plot == NULL || !chart_script_open(&script, p)) return false;
  put_axis(&script, bars, most);
  for (size_t i = 0; i < bars->n_rows; i++) put_row(&script, bars, i, plot, PLOT_BYTES);
  size_t n_whiskers = 0;
  chart_put(&script, "$w << EOD\n");
  for (size_t i = 0; i < bars->n_rows; i++) {
    const chart_bar *const row = &bars->rows[i];
    if (!(row->low < row->high)) continue;
    chart_put(&script, "%.9g %.9g %.9g %.9g\n", length_of(bars, row), -(double)i, row->low, row->high);
    n_whiskers++;
  }
  chart_put(&script, "EOD\n$v << EOD\n");
  for (size_t i = 0; i < bars->n_rows; i++) {
    const double length = length_of(bars, &bars->rows[i]);
    char text[NUMBER_CHARS], marked[NUMBER_CHARS + 2];
    number_text(bars->kind, length, text);
    (void)snprintf(marked, sizeof marked, "%s%s", page_tilde(bars->rows[i].source), text);
    const double high = bars->rows[i].high;
    if (length > 0)
      chart_put(&script, "%.9g %.9g %s\n", isfinite(high) ? fmax(length, high) : length, -(double)i,
                chart_token(&script, bars->rows[i].value != NULL ? bars->rows[i].value : marked));
  }
  chart_put(&script, "EOD\nplot %s", plot);
  if (n_whiskers > 0) chart_put(&script, ", $w using 1:2:3:4 with xerrorbars pt -1 lw 1.4 lc rgb 0x%02x", PLOT_INK);
  script.n_marks += n_whiskers > 0;
  chart_put(&script, ", $v using 1:2:3 with labels left offset 0.7,0 tc rgb 0x%02x\n", PLOT_INK);
  chart_script_close(&script, &bars->text, AROUND + ROW * (int)bars->n_rows, legend(p, bars));
  return true;
}

bool chart_draw_estimates(page *p, const char *name, number_kind kind, const chart_text *text) {
  chart_bar rows[PAGE_DRAWN];
  size_t n = 0;
  for (size_t i = 0; i < page_drawn(p); i++) {
    const page_device *const d = &p->devices[i];
    page_estimate e;
    if (!page_read_estimate(d->point, name, &e)) continue;
    rows[n++] = (chart_bar){.label = d->label, .colour = d->colour, .source = d->source, .parts = {e.median}, .low = e.low, .high = e.high};
  }
  return chart_draw_bars(p, &(chart_bars){.text = *text, .kind = kind, .n_parts = 1, .rows = rows, .n_rows = n});
}
