/* A figure of the page: the script of a chart, run at both widths, its title, its legend and how to read it. */
#include "perf/report/chart.h"
#include "perf/report/plot.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { WIDE = 470, NARROW = 346, FONT = 13 };

bool chart_script_open(chart_script *s, page *p) {
  *s = (chart_script){.page = p};
  s->to = open_memstream(&s->text, &s->size);
  if (s->to == NULL) p->out_of_memory = true;
  return s->to != NULL;
}

void chart_put(chart_script *s, const char *format, ...) {
  va_list args;
  va_start(args, format);
  (void)vfprintf(s->to, format, args);
  va_end(args);
}

static size_t characters(const char *text) {
  size_t n = 0;
  for (; *text != '\0'; text++) n += (*text & 0xc0) != 0x80;
  return n;
}

const char *chart_token(chart_script *s, const char *text) {
  static const char padding[] = "qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq";
  if (s->n_labels == sizeof s->labels / sizeof *s->labels) return "''";
  const char *const shown = page_shorten(s->page, text, 36);
  const size_t n = characters(shown);
  s->labels[s->n_labels] = page_escape(s->page, shown);
  return page_format(s->page, PLOT_TOKEN, s->n_labels++, n > 5 ? (int)n - 5 : 0, padding);
}

double chart_width(const char *text) { return 0.82 * (double)characters(text); }

/* The script's head: everything of gnuplot's own set-up that the page wants otherwise. */
static void put_head(FILE *to, bool narrow, int height) {
  (void)fprintf(to,
                "reset\nnarrow = %d\nset encoding utf8\nset terminal svg size %d,%d dynamic noenhanced font 'inherit,%d'\n"
                "set border 1 lc rgb 0x%02x\nset tics scale 0.4\nset xtics nomirror textcolor rgb 0x%02x\n"
                "set ytics nomirror textcolor rgb 0x%02x\nset tmargin 0.6\nunset key\n",
                narrow, narrow ? NARROW : WIDE, height, FONT, PLOT_MUTED, PLOT_MUTED, PLOT_MUTED);
}

/* What gnuplot made of the script at both widths; NULL with a reason. */
static char *draw(const chart_script *s, int height, char *why, size_t size) {
  char *script = NULL, *drawn = NULL;
  size_t n = 0;
  FILE *const to = open_memstream(&script, &n);
  if (to == NULL) return NULL;
  for (int narrow = 0; narrow < 2; narrow++) {
    put_head(to, narrow, height);
    (void)fwrite(s->text, 1, s->size, to);
  }
  (void)fputs("unset output\n", to);
  if (fclose(to) == 0) (void)plot_run(script, n, &drawn, why, size);
  free(script);
  return drawn;
}

static bool put_both(chart_script *s, const char *drawn, const char *title, int height) {
  page *const p = s->page;
  for (int narrow = 0; narrow < 2 && drawn != NULL; narrow++) {
    char open[512], prefix[32];
    const int width = narrow ? NARROW : WIDE;
    (void)snprintf(prefix, sizeof prefix, "c%zu%c", p->n_charts, narrow ? 'n' : 'w');
    (void)snprintf(open, sizeof open,
                   "<svg class=%s role=img aria-label=\"%.300s\" width=%d height=%d viewBox=\"0 0 %d %d\" "
                   "xmlns:xlink=\"http://www.w3.org/1999/xlink\">",
                   narrow ? "narrow" : "wide", title, width, height, width, height);
    const plot_names names = {prefix, s->labels, s->n_labels};
    drawn = strstr(drawn, "<svg");
    if (drawn != NULL) drawn = plot_inline(p->to, drawn, open, &names);
  }
  return drawn != NULL;
}

void chart_script_close(chart_script *s, const chart_text *text, int height, const char *legend) {
  page *const p = s->page;
  char why[256] = "memory is out";
  if (fclose(s->to) != 0) p->out_of_memory = true;
  char *const drawn = p->why_no_plot == NULL && !p->out_of_memory ? draw(s, height, why, sizeof why) : NULL;
  free(s->text);
  if (drawn == NULL && p->why_no_plot == NULL) p->why_no_plot = page_format(p, "%s", why);
  p->n_charts++;
  page_put(p, "<figure id=\"chart-%s\" data-marks=%zu><h3>%s</h3>%s\n", text->id, drawn != NULL ? s->n_marks : 0, text->title, legend);
  if (drawn == NULL)
    page_none(p, "Not drawn: %s. The tables have the numbers.", page_escape(p, p->why_no_plot));
  else if (!put_both(s, drawn, text->title, height))
    page_none(p, "Not drawn: gnuplot's output ends early. The tables have the numbers.");
  free(drawn);
  page_put(p, "<figcaption>%s</figcaption></figure>\n", text->caption);
}

void chart_group_open(page *p) { page_put(p, "<div class=charts>\n"); }

void chart_group_close(page *p) { page_put(p, "</div>\n"); }
