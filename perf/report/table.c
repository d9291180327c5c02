/* Tables of the page: a caption, headers with their scope, numbers to the right with their intervals beside them, and below the reasons
 * of what is not there. A wide one is scrolled in a region of its own, which the keyboard reaches. */
#include "perf/report/page.h"

#include <math.h>
#include <string.h>

void table_open(page *p, const char *caption, const char *columns) {
  p->n_notes = 0;
  page_put(p, "<div class=table><div class=scroll role=region tabindex=0 aria-label=\"%s\"><table><caption><span>%s</span></caption>\n<thead><tr>", caption, caption);
  while (*columns != '\0') {
    const size_t n = strcspn(columns, "|");
    const char last = n > 0 ? columns[n - 1] : ' ';
    const bool marked = last == '*' || last == '#';
    page_put(p, "<th scope=col%s>%.*s</th>", last == '*' ? " class=n colspan=2" : last == '#' ? " class=n" : "",
             (int)(n - marked), columns);
    columns += n + (columns[n] == '|');
  }
  page_put(p, "</tr></thead>\n<tbody>\n");
}

void table_row(page *p, const page_device *d) { page_put(p, "<tr><th scope=row class=dev>%s</th>", page_device_name(p, d)); }

void table_row_text(page *p, const char *text) { page_put(p, "<tr><th scope=row>%s</th>", page_escape(p, text)); }

void table_row_end(page *p) { page_put(p, "</tr>\n"); }

void table_row_absent(page *p, const page_device *d, int n) {
  const char *why;
  const char *const status = page_status(d, &why);
  table_row(p, d);
  page_put(p, "<td class=why colspan=%d>%s%s%s</td></tr>\n", n, page_escape(p, status), why != NULL ? ": " : "", page_escape(p, page_brief(p, why)));
}

void table_text(page *p, const char *text) { page_put(p, "<td class=t>%s</td>", text != NULL ? page_escape(p, text) : "–"); }

/* The number of the note; the last one is shared by those for which there is no room. */
static size_t note_number(page *p, const char *escaped) {
  for (size_t i = 0; i < p->n_notes; i++)
    if (strcmp(p->notes[i], escaped) == 0) return i + 1;
  if (p->n_notes == PAGE_NOTES) return PAGE_NOTES;
  p->notes[p->n_notes] = p->n_notes + 1 < PAGE_NOTES ? escaped : "other reasons, which the data file has";
  return ++p->n_notes;
}

static void dash(page *p, const char *reason, int span) {
  page_put(p, "<td class=n%s>–", span == 2 ? " colspan=2" : "");
  if (reason != NULL) page_put(p, "<sup>%zu</sup>", note_number(p, page_escape(p, reason)));
  page_put(p, "</td>");
}

void table_note(page *p, const char *reason) { dash(p, reason, 1); }

void table_number(page *p, page_source source, number_kind kind, double value) { table_number_noted(p, source, kind, value, NULL); }

void table_number_noted(page *p, page_source source, number_kind kind, double value, const char *how) {
  char text[NUMBER_CHARS];
  number_text(kind, value, text);
  page_put(p, "<td class=n>%s%s", isfinite(value) ? page_tilde(source) : "", text);
  if (how != NULL) page_put(p, "<sup>%zu</sup>", note_number(p, page_escape(p, how)));
  page_put(p, "</td>");
}

void table_estimate(page *p, const page_device *d, const char *name, number_kind kind) {
  page_estimate e;
  if (!page_read_estimate(d->point, name, &e)) {
    char own[64], shared[64]; /* joules_per_step_why, joules_why */
    (void)snprintf(own, sizeof own, "%.50s_why", name);
    (void)snprintf(shared, sizeof shared, "%.*s_why", (int)strcspn(name, "_"), name);
    const char *const why = page_string(d->point, own);
    dash(p, why != NULL ? why : page_string(d->point, shared), 2);
    return;
  }
  char text[NUMBER_CHARS], low[NUMBER_CHARS], high[NUMBER_CHARS];
  const number_scale scale = number_scale_of(kind, e.median);
  number_text(kind, e.median, text);
  page_put(p, "<td class=n>%s%s</td><td class=i>", page_tilde(d->source), text);
  if (isfinite(e.low) && e.low < e.high) {
    number_digits(kind, scale, e.low, low);
    number_digits(kind, scale, e.high, high);
    page_put(p, e.range ? "(%s–%s)" : "[%s–%s]", low, high);
  }
  page_put(p, "</td>");
}

void table_close(page *p) {
  page_put(p, "</tbody></table></div>");
  if (p->n_notes > 0) {
    page_put(p, "<ol class=notes>");
    for (size_t i = 0; i < p->n_notes; i++) page_put(p, "<li>%s</li>", p->notes[i]);
    page_put(p, "</ol>");
  }
  page_put(p, "</div>\n");
  p->n_notes = 0;
}
