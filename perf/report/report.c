/* The page around the sections: its head, its navigation, and what was compared. */
#include "perf/report/report.h"
#include "perf/report/page.h"
#include "perf/report/style.h"

#include <errno.h>
#include <string.h>

static const struct {
  const char *id, *title;
  void (*write)(page *p);
} sections[] = {
#define SECTION(name, title) {#name, title, section_##name},
#include "perf/report/sections.def"
#undef SECTION
};
enum { N_SECTIONS = sizeof sections / sizeof *sections };

/* Nothing may be loaded and nothing run, whatever a name holds. */
static const char head[] = "<!DOCTYPE html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n"
                           "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
                           "<meta name=viewport content=\"width=device-width, initial-scale=1\">\n<meta name=referrer content=no-referrer>\n";

/* "2026-11-22T15:20:13Z" as people write it; another text as it is. Escaped. */
static const char *date(page *p, const char *text) {
  int year, month, day, hour, minute, second;
  char zone = ' ';
  if (text != NULL && sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d%c", &year, &month, &day, &hour, &minute, &second, &zone) == 7 && zone == 'Z')
    return page_format(p, "<span class=d>%04d-%02d-%02d %02d:%02d UTC</span>", year, month, day, hour, minute);
  return page_escape(p, text);
}

static void put_header(page *p, const char *name) {
  const char *const processor = page_string(p->summary, "machine.processor"), *const created = page_string(p->summary, "created");
  const double runs = page_number(p->summary, "runs");
  page_put(p, "<header><p class=over>Tercet · comparison of devices</p>\n<h1>Which device for %s?</h1>\n<p>", name);
  if (p->target != NULL) page_put(p, "Target %s. ", page_escape(p, p->target));
  page_put(p, "%zu device%s", p->n_devices, p->n_devices == 1 ? "" : "s");
  if (runs > 0) page_put(p, ", %.0f run%s each", runs, runs == 1 ? "" : "s");
  if (p->n_points > 1) page_put(p, ", %zu points of a sweep", p->n_points);
  page_put(p, ".%s%s%s%s</p>\n", processor != NULL ? " Measured on " : "", page_escape(p, processor), created != NULL ? ", " : "", date(p, created));
  if (p->n_points > 1)
    page_put(p, "<p>All sections but the sweeps’ show the point <strong>%s</strong>: the first that most devices finished.</p>\n", page_escape(p, p->shown));
  page_put(p, "</header>\n");
}

static void put_page(page *p) {
  const char *const job = page_string(p->summary, "job.name");
  const char *const name = page_escape(p, job != NULL ? job : "this job");
  page_put(p, "%s<title>Which device for %s? Tercet</title>\n<style>\n", head, name);
  for (size_t i = 0; page_style[i] != NULL; i++) page_put(p, "%s\n", page_style[i]);
  page_put(p, "</style>\n</head>\n<body>\n<a class=skip href=\"#main\">Skip to the verdict</a>\n<div class=page>\n");
  put_header(p, name);
  page_put(p, "<nav aria-label=Sections><ol>\n");
  for (size_t i = 0; i < N_SECTIONS; i++) page_put(p, "<li><a href=\"#%s\">%s</a></li>\n", sections[i].id, sections[i].title);
  page_put(p, "</ol></nav>\n<main id=main tabindex=-1>\n");
  for (size_t i = 0; i < N_SECTIONS; i++) {
    page_put(p, "<section id=%s aria-labelledby=\"h-%s\"><h2 id=\"h-%s\">%s</h2>\n", sections[i].id, sections[i].id, sections[i].id, sections[i].title);
    sections[i].write(p);
    page_put(p, "</section>\n");
  }
  const char *const version = page_string(p->summary, "tercet");
  page_put(p, "</main>\n<footer>Made by tercet%s%s. Measured, modelled and quoted numbers are marked apart and never added.</footer>\n</div>\n</body>\n</html>\n",
           version != NULL ? " " : "", page_escape(p, version));
}

bool perf_report_html(const json_t *summary, FILE *to, char *why, size_t size) {
  page p;
  if (!json_is_object(summary)) {
    (void)snprintf(why, size, "the summary is no JSON object");
    return false;
  }
  page_open(&p, summary, to);
  if (!p.out_of_memory) put_page(&p);
  const bool short_of_memory = p.out_of_memory;
  page_close(&p);
  errno = 0;
  const bool written = fflush(to) == 0 && ferror(to) == 0;
  if (short_of_memory)
    (void)snprintf(why, size, "memory is out");
  else if (!written)
    (void)snprintf(why, size, "the page cannot be written: %s", errno != 0 ? strerror(errno) : "an earlier write failed");
  return written && !short_of_memory;
}
