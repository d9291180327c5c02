/* gnuplot as a child process, and its SVG made a part of the page. */
#ifndef TERCET_PERF_REPORT_PLOT_H
#define TERCET_PERF_REPORT_PLOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* In a script a text is a token, so that no name of a job or device is ever read by gnuplot: Q, the label's number in three digits,
 * a q for each further character, Q. */
#define PLOT_TOKEN "Q%03zu%.*sQ"

/* Colours of a script are numbers of roles, as rgb 0xNN; the page's style gives them their colour in light and dark. */
enum {
  PLOT_INK = 0,
  PLOT_MUTED = 1,
  PLOT_GRID = 2,
  PLOT_PAPER = 3,
  PLOT_DEVICE = 16, /* + the device's colour */
  PLOT_PART = 32,   /* + the part's number */
};

/* Runs gnuplot on the script. `out` (of malloc) is what it printed. false with a sentence in `why`. */
bool plot_run(const char *script, size_t n, char **out, char *why, size_t size);

typedef struct plot_names {
  const char *prefix;        /* of all ids */
  const char *const *labels; /* escaped */
  size_t n_labels;
} plot_names;

/* Writes the SVG that begins at `svg` (behind its XML declaration) with `open` as its first tag: unique ids, colours as variables of the
 * style, labels for tokens, no empty groups. Returns where it ends; NULL when it does not. */
const char *plot_inline(FILE *to, const char *svg, const char *open, const plot_names *names);

#endif
