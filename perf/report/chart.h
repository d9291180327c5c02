/* Two kinds of charts, each drawn for a wide and for a narrow window: bars (in parts, with whiskers) and lines (with bands, dots, direct
 * labels; without a stroke it is a scatter plot). Measured is solid, modelled hatched or dashed, quoted outlined or dotted. */
#ifndef TERCET_PERF_REPORT_CHART_H
#define TERCET_PERF_REPORT_CHART_H

#include "perf/report/page.h"

enum { CHART_PARTS = 8, CHART_LINES = 40, CHART_LABEL = 19 };

typedef struct chart_text {
  const char *id;      /* unique in the page */
  const char *title;   /* what the chart shows; our text or escaped */
  const char *caption; /* how to read it; our text or escaped */
} chart_text;

typedef struct chart_bar {
  const char *label; /* not escaped */
  int colour;
  page_source source;
  double parts[CHART_PARTS]; /* NAN or 0: none */
  double low, high;          /* of their sum; NAN: no whisker */
  const char *value;         /* what stands behind the bar; NULL: its length */
} chart_bar;

typedef struct chart_bars {
  chart_text text;
  number_kind kind;
  const char *const *parts; /* the parts' names, for the legend, each with a colour of its own; NULL: one part in the device's colour */
  size_t n_parts;
  const chart_bar *rows;
  size_t n_rows;
} chart_bars;

/* Nothing is drawn, and false returned, when no row has a length. */
bool chart_draw_bars(page *p, const chart_bars *bars);

typedef struct chart_line {
  const char *label; /* not escaped; NULL: none */
  int colour;        /* -1: ink */
  page_source source;
  bool dots, stroke;
  int beside;        /* 0: the label stands in the margin; else beside the last dot: 1 above right, 2 below right, 3 left */
  size_t n;
  const double *x, *y;
  const double *low, *high; /* a band; NULL: none */
  double size;       /* of the dots; 0: usual */
} chart_line;

typedef struct chart_axis {
  const char *title;
  number_kind kind;
  bool log;
} chart_axis;

typedef struct chart_rule {
  bool vertical;
  double at;
  const char *label; /* not escaped */
} chart_rule;

typedef struct chart_lines {
  chart_text text;
  chart_axis x, y;
  const chart_line *lines;
  size_t n_lines;
  const chart_rule *rules; /* straight lines over all of the chart; one outside of the data is left out, unless it is horizontal */
  size_t n_rules;
} chart_lines;

/* Nothing is drawn, and false returned, when no line has a point that its axes can show. */
bool chart_draw_lines(page *p, const chart_lines *lines);

/* The same estimate of all devices as bars. */
bool chart_draw_estimates(page *p, const char *name, number_kind kind, const chart_text *text);

/* Charts beside each other. */
void chart_group_open(page *p);
void chart_group_close(page *p);

/* ---- figure.c: what both kinds share ---- */

typedef struct chart_script {
  page *page;
  FILE *to;
  char *text;
  size_t size;
  const char *labels[256];
  size_t n_labels, n_marks;
} chart_script;

bool chart_script_open(chart_script *s, page *p);
void chart_put(chart_script *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The token that stands for the text; names are to be shortened to CHART_LABEL characters before. Of the page's memory. */
const char *chart_token(chart_script *s, const char *text);
/* The text's width in gnuplot's characters, which are wider than the page's. */
double chart_width(const char *text);
/* Runs the script at both widths (it may ask for `narrow`, 0 or 1) and writes the figure. */
void chart_script_close(chart_script *s, const chart_text *text, int height, const char *legend);

#endif
