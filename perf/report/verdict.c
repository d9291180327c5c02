/* The verdict with what would flip it, the devices at a glance, and which device keeps which constraint. */
#include "perf/report/page.h"

#include <math.h>
#include <string.h>

/* All texts of the array as elements of our `tag`; how many. */
static size_t put_texts(page *p, const json_t *texts, const char *open, const char *close) {
  size_t i, n = 0;
  json_t *text;
  json_array_foreach(texts, i, text) {
    if (!json_is_string(text)) continue;
    page_put(p, "%s%s%s\n", open, page_escape(p, json_string_value(text)), close);
    n++;
  }
  return n;
}

/* What a reader must know beside a device's numbers. */
static const char *remark(page *p, const page_device *d) {
  const char *text = "";
  const char *const status = page_string(d->point, "status"), *const machine = page_string(d->json, "quoted_from.machine");
  const char *const date = page_string(d->json, "quoted_from.date");
  if (d->source == SOURCE_MODELLED) text = "modelled";
  if (page_quoted(d->source))
    text = page_format(p, "quoted%s: %s%s%.10s", d->source == SOURCE_QUOTED_MODEL ? ", of a model" : "", machine != NULL ? machine : "another machine",
                       date != NULL ? ", " : "", date != NULL ? date : "");
  if (status != NULL && strcmp(status, "done") != 0) text = page_format(p, "%s%s%s", text, *text != '\0' ? "; " : "", status);
  if (page_true(d->point, "noise.unfit")) text = page_format(p, "%s%sunfit to be compared", text, *text != '\0' ? "; " : "");
  return text;
}

static void put_glance(page *p) {
  const char *of_time, *of_dollars, *of_joules;
  const char *const time = page_common(p, "time", &of_time), *const dollars = page_common(p, "dollars", &of_dollars);
  const char *const joules = page_common(p, "joules", &of_joules);
  table_open(p, "The devices at a glance",
             page_format(p, "Device|Reached#|Time %s*|Cost %s*|Energy %s*|Remark", of_time, of_dollars, of_joules));
  for (size_t i = 0; i < p->n_devices; i++) {
    const page_device *const d = &p->devices[i];
    if (!page_ran(d)) {
      table_row_absent(p, d, 8);
      continue;
    }
    const double n = page_number(d->point, "n_runs"), reached = page_number(d->point, "n_reached");
    table_row(p, d);
    if (isfinite(n) && isfinite(reached) && p->target != NULL)
      page_put(p, "<td class=n>%.0f of %.0f</td>", reached, n);
    else
      table_note(p, NULL);
    table_estimate(p, d, time != NULL ? time : "time_to_target", NUMBER_SECONDS);
    table_estimate(p, d, dollars != NULL ? dollars : "dollars_to_target", NUMBER_DOLLARS);
    table_estimate(p, d, joules != NULL ? joules : "joules_to_target", NUMBER_JOULES);
    table_text(p, remark(p, d));
    table_row_end(p);
  }
  table_close(p);
}

void section_verdict(page *p) {
  const json_t *const verdict = page_at(p->summary, "verdict");
  const char *const use = page_string(verdict, "use");
  int colour = 0;
  for (size_t i = p->n_devices; i-- > 0 && use != NULL;) { /* the first of that name: quoted ones have those of this machine's */
    const char *const id = page_string(p->devices[i].json, "id");
    if (strcmp(use, p->devices[i].label) == 0 || (id != NULL && strcmp(use, id) == 0)) colour = p->devices[i].colour;
  }
  page_put(p, "<div class=\"verdict c%d\">\n", colour);
  if (put_texts(p, page_at(verdict, "lines"), "<p>", "</p>") == 0)
    page_none(p, "No verdict: %s.", p->n_devices == 0 ? "no device was asked for" : "no device finished what was asked for");
  const char *const decided = page_string(verdict, "decided_by");
  if (decided != NULL) page_put(p, "<p class=decided>Decided by: %s</p>\n", page_escape(p, decided));
  if (json_array_size(page_at(verdict, "flips")) > 0) {
    page_put(p, "<h3>What would flip it</h3>\n<ul>\n");
    (void)put_texts(p, page_at(verdict, "flips"), "<li>", "</li>");
    page_put(p, "</ul>\n");
  } else {
    page_none(p, "What would flip it: nothing that was measured here says so.");
  }
  page_put(p, "</div>\n");
  if (p->n_devices > 0) put_glance(p);
  page_put(p, "<ul class=\"legend kinds\"><li><i class=\"mark measured\"></i>measured on this machine</li><li><i class=\"mark modelled\"></i>"
              "modelled by a simulator, marked&nbsp;~</li><li><i class=\"mark quoted\"></i>quoted from another machine</li>"
              "<li>[…] 95&nbsp;%% interval of the median</li><li>(…) least to greatest</li></ul>\n");
}

/* ---- constraints ---- */

typedef enum answer { UNKNOWN, YES, NO } answer;

static void put_answer(page *p, answer a, const char *text) {
  static const char *const classes[] = {"na", "yes", "no"}, *const words[] = {"–", "✓", "✗"};
  page_put(p, "<td class=%s>%s%s%s</td>", classes[a], words[a], *text != '\0' ? " " : "", page_escape(p, text));
}

static answer is_there(page *p, const page_device *d, const char **text) {
  (void)p;
  const bool absent = json_is_false(json_object_get(d->json, "available"));
  *text = absent ? "" : page_quoted(d->source) ? "on another machine" : d->source == SOURCE_MODELLED ? "simulated" : "";
  return absent ? NO : YES;
}

static answer runs_job(page *p, const page_device *d, const char **text) {
  const char *why;
  (void)p;
  *text = "";
  if (page_ran(d)) return YES;
  *text = page_status(d, &why);
  return strcmp(*text, "refused") == 0 || strcmp(*text, "failed") == 0 ? NO : UNKNOWN;
}

static answer without_host(page *p, const page_device *d, const char **text) {
  double n = 0;
  size_t i;
  json_t *op;
  *text = "";
  if (json_array_size(page_at(d->point, "ops")) == 0) return UNKNOWN;
  json_array_foreach(page_at(d->point, "ops"), i, op) n += page_true(op, "fallback");
  if (n > 0) *text = page_format(p, "%.0f ops on the host", n);
  return n > 0 ? NO : YES;
}

static answer reaches(page *p, const page_device *d, const char **text) {
  const double n = page_number(d->point, "n_runs"), reached = page_number(d->point, "n_reached");
  *text = "";
  if (p->target == NULL || !page_ran(d) || !isfinite(reached) || !(n > 0)) return UNKNOWN;
  *text = page_format(p, "%.0f of %.0f", reached, n);
  return reached >= n ? YES : NO;
}

static answer fit(page *p, const page_device *d, const char **text) {
  const json_t *const unfit = json_object_get(page_at(d->point, "noise"), "unfit");
  (void)p;
  *text = "";
  return json_is_true(unfit) ? NO : json_is_false(unfit) && page_ran(d) ? YES : UNKNOWN;
}

/* Whether b is nowhere worse than a and somewhere better, in what both are known for. */
static bool better(const double *a, const double *b) {
  bool somewhere = false;
  for (int i = 0; i < 3; i++) {
    if (isnan(a[i])) continue;
    if (!(b[i] <= a[i])) return false;
    somewhere = somewhere || b[i] < a[i];
  }
  return somewhere;
}

static void read_costs(const page *p, const page_device *d, double *out) {
  static const char *const stems[] = {"time", "dollars", "joules"};
  for (int i = 0; i < 3; i++) {
    const char *what;
    page_estimate e;
    const char *const name = page_common(p, stems[i], &what);
    out[i] = name != NULL && page_read_estimate(d->point, name, &e) ? e.median : NAN;
  }
}

static answer best_trade(page *p, const page_device *d, const char **text) {
  double own[3], other[3];
  read_costs(p, d, own);
  *text = "";
  if (!page_ran(d) || (isnan(own[0]) && isnan(own[1]) && isnan(own[2]))) return UNKNOWN;
  for (size_t i = 0; i < p->n_devices; i++) {
    read_costs(p, &p->devices[i], other);
    if (!page_ran(&p->devices[i]) || !better(own, other)) continue;
    static const char *const kinds[] = {"", " (modelled)", " (quoted)", " (quoted, of a model)"};
    *text = page_format(p, "%s%s is better in all", p->devices[i].label, p->devices[i].source == d->source ? "" : kinds[p->devices[i].source]);
    return NO;
  }
  return YES;
}

static const struct {
  const char *text;
  answer (*ask)(page *p, const page_device *d, const char **text);
} questions[] = {
    {"Is there", is_there},
    {"Runs the job", runs_job},
    {"All of it on the device", without_host},
    {"Reaches the target in every run", reaches},
    {"Its runs are fit to be compared", fit},
    {"Pareto: no other is better in time, cost and energy", best_trade},
};

/* The user's own, from the summary: each with an answer for devices by their id. */
static void put_given(page *p, const json_t *constraint) {
  const char *const name = page_string(constraint, "name"), *const limit = page_string(constraint, "limit");
  table_row_text(p, page_format(p, "%s%s%s", name != NULL ? name : "constraint", limit != NULL ? " " : "", limit != NULL ? limit : ""));
  for (size_t i = 0; i < p->n_devices; i++) {
    const char *const id = page_string(p->devices[i].json, "id");
    const json_t *found = NULL;
    size_t k;
    json_t *cell;
    json_array_foreach(page_at(constraint, "cells"), k, cell) {
      const char *const of = page_string(cell, "device");
      if (id != NULL && of != NULL && strcmp(of, id) == 0) found = cell;
    }
    const json_t *const ok = page_at(found, "ok");
    const char *const text = page_string(found, "text");
    put_answer(p, json_is_true(ok) ? YES : json_is_false(ok) ? NO : UNKNOWN, text != NULL ? text : "");
  }
  table_row_end(p);
}

void section_constraints(page *p) {
  if (p->n_devices == 0) {
    page_none(p, "No device was asked for, so there is none that could keep a constraint.");
    return;
  }
  table_open(p, "Constraints and devices", page_columns(p, "Constraint"));
  for (size_t q = 0; q < sizeof questions / sizeof *questions; q++) {
    table_row_text(p, questions[q].text);
    for (size_t i = 0; i < p->n_devices; i++) {
      const char *text;
      const answer a = questions[q].ask(p, &p->devices[i], &text);
      put_answer(p, a, text);
    }
    table_row_end(p);
  }
  size_t i;
  json_t *constraint;
  json_array_foreach(page_at(p->summary, "constraints"), i, constraint) put_given(p, constraint);
  table_close(p);
  if (json_array_size(page_at(p->summary, "constraints")) == 0)
    page_none(p, "No deadline, budget or limit of energy was given; <code>--deadline</code>, <code>--max-cost</code> and <code>--max-energy</code> add a row each.");
}
