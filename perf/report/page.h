/* What the files of the report share: the page that is being written, tolerant reading of the summary, and escaped output. */
#ifndef TERCET_PERF_REPORT_PAGE_H
#define TERCET_PERF_REPORT_PAGE_H

#include "perf/report/number.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum {
  PAGE_COLOURS = 8,
  PAGE_DRAWN = 10, /* devices in one chart; the tables have all */
  PAGE_NOTES = 40,
};

/* The three kinds of numbers, which are never mixed: solid, hatched with '~', outlined. What is quoted of a model is outlined with '~'. */
typedef enum page_source { SOURCE_MEASURED, SOURCE_MODELLED, SOURCE_QUOTED, SOURCE_QUOTED_MODEL } page_source;

typedef struct page_device {
  const char *label;   /* not escaped; of the page's memory */
  const json_t *json;  /* borrowed; NULL never */
  const json_t *point; /* the shown point's; NULL: none */
  page_source source;
  int colour;
} page_device;

typedef struct page_block page_block;

typedef struct page {
  FILE *to;
  const json_t *summary; /* borrowed */
  page_device *devices;  /* of the page's memory, as the texts are */
  size_t n_devices;
  const char *target;    /* "val_accuracy >= 0.9"; NULL: none. Not escaped, as the metric */
  const char *target_metric;
  double target_value;   /* NAN: none */
  const char *shown;     /* the point that the sections show; "" for a comparison without a sweep */
  size_t n_points;
  size_t n_charts;
  const char *notes[PAGE_NOTES]; /* of the table that is open; escaped */
  size_t n_notes;
  const char *why_no_plot; /* NULL: gnuplot draws */
  page_block *memory;
  bool out_of_memory;
} page;

/* ---- page.c ---- */

bool page_quoted(page_source source);
const char *page_tilde(page_source source); /* "~" for a model's number, else "" */

/* The devices and the point that is shown: the first of those that most devices finished. */
void page_open(page *p, const json_t *summary, FILE *to);
void page_close(page *p);
/* Zeroed memory that lives as long as the page; NULL after out_of_memory was set. */
void *page_alloc(page *p, size_t n, size_t size);
void page_put(page *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The text as it may stand in HTML, attributes included; of the page's memory. NULL is "". */
const char *page_escape(page *p, const char *text);
const char *page_format(page *p, const char *format, ...) __attribute__((format(printf, 2, 3))); /* of the page's memory */
/* The first `n` characters, and an ellipsis where there are more. Of the page's memory, not escaped. */
const char *page_shorten(page *p, const char *text, size_t n);
/* The device's name with its mark: a swatch of its colour and kind. Escaped. */
const char *page_device_name(page *p, const page_device *d);
/* `first` and all devices' names, as columns of a table. */
const char *page_columns(page *p, const char *first);
size_t page_drawn(const page *p);   /* how many devices a chart shows */
const char *page_more(page *p);     /* a sentence, when those are not all; else "" */
/* A paragraph that says why there is nothing. */
void page_none(page *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Devices that are worth a row of numbers: their point is done or never reached its target. */
bool page_ran(const page_device *d);
/* Of a device that did not run: its status or absence in a word, and the reason or NULL. */
const char *page_status(const page_device *d, const char **why);
/* The reason's first line, not too long for a table; section_support has all of it. NULL for NULL. */
const char *page_brief(page *p, const char *why);

/* ---- read.c: a path is "member.member" ---- */

typedef struct page_estimate {
  double median, low, high; /* NAN: not told */
  bool range;               /* low and high are the least and the greatest */
} page_estimate;

const json_t *page_at(const json_t *from, const char *path);        /* NULL for none and for null */
double page_number(const json_t *from, const char *path);           /* NAN for none; numbers are finite */
const char *page_string(const json_t *from, const char *path);      /* NULL for none and for "" */
bool page_true(const json_t *from, const char *path);
bool page_read_estimate(const json_t *from, const char *path, page_estimate *out); /* its median is finite */
/* The estimate of "time", "dollars" or "joules" that a device has: to the target, else for an epoch, else for a step; of all devices
 * together, so that they can be compared. NULL when no device has one. `what`: " to the target"… */
const char *page_common(const page *p, const char *stem, const char **what);
/* The device's point of this text; NULL for none. */
const json_t *page_point(const json_t *device, const char *text);

/* ---- table.c ---- */

/* "Device|step*|n": columns apart by '|'; '*' marks one of estimates, '#' one of numbers. Caption and columns are ours, not escaped. */
void table_open(page *p, const char *caption, const char *columns);
void table_row(page *p, const page_device *d); /* begins a row with the device's name */
void table_row_text(page *p, const char *text);
void table_row_end(page *p);
void table_text(page *p, const char *text); /* NULL: a dash */
void table_note(page *p, const char *reason); /* a dash, and the reason below the table; NULL: the dash alone */
void table_number(page *p, page_source source, number_kind kind, double value);
/* The same with a note below the table on how it came about; NULL: none. */
void table_number_noted(page *p, page_source source, number_kind kind, double value, const char *how);
/* Estimate `name` of the point in two cells, or a dash with NAME_why as a note. */
void table_estimate(page *p, const page_device *d, const char *name, number_kind kind);
void table_close(page *p);
/* A row over all `n` columns of a device that did not run, with its reason. */
void table_row_absent(page *p, const page_device *d, int n);

#define SECTION(name, title) void section_##name(page *p);
#include "perf/report/sections.def"
#undef SECTION

#endif
