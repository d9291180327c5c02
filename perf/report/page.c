/* The page that is being written: its memory, its escaped output, and the view of the summary's devices that all sections share. */
#include "perf/report/page.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

struct page_block {
  page_block *next;
  double bytes[]; /* aligned for all that is kept */
};

void *page_alloc(page *p, size_t n, size_t size) {
  const size_t most = SIZE_MAX / 2;
  page_block *const block = size == 0 || n <= (most - sizeof *block) / size ? calloc(1, sizeof *block + n * size) : NULL;
  if (block == NULL) {
    p->out_of_memory = true;
    return NULL;
  }
  block->next = p->memory;
  p->memory = block;
  return block->bytes;
}

void page_put(page *p, const char *format, ...) {
  va_list args;
  va_start(args, format);
  (void)vfprintf(p->to, format, args); /* ferror tells at the end */
  va_end(args);
}

const char *page_format(page *p, const char *format, ...) {
  va_list args, again;
  va_start(args, format);
  va_copy(again, args);
  const int n = vsnprintf(NULL, 0, format, args);
  char *const out = n < 0 ? NULL : page_alloc(p, (size_t)n + 1, 1);
  if (out != NULL) (void)vsnprintf(out, (size_t)n + 1, format, again);
  va_end(again);
  va_end(args);
  return out != NULL ? out : "";
}

/* Bytes of a character that could turn the text around it (U+202A–202E, U+2066–2069); 0: it is none. */
static size_t turning(const unsigned char *c) {
  if (c[0] != 0xe2) return 0;
  const bool embedding = c[1] == 0x80 && c[2] >= 0xaa && c[2] <= 0xae;
  const bool isolate = c[1] == 0x81 && c[2] >= 0xa6 && c[2] <= 0xa9;
  return embedding || isolate ? 3 : 0;
}

const char *page_escape(page *p, const char *text) {
  enum { LONGEST = 6 }; /* of what stands for a byte */
  if (text == NULL) return "";
  char *const out = page_alloc(p, strlen(text) + 1, LONGEST);
  if (out == NULL) return "";
  char *to = out;
  for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++) {
    const size_t skipped = turning(c);
    const bool control = (*c < ' ' && *c != '\n' && *c != '\t') || *c == 0x7f;
    const char *const as = *c == '&'                 ? "&amp;"
                           : *c == '<'               ? "&lt;"
                           : *c == '>'               ? "&gt;"
                           : *c == '"'               ? "&quot;"
                           : *c == '\''              ? "&#39;"
                           : *c == '|'               ? "&#124;" /* and what table_open's columns mean by themselves */
                           : *c == '*'               ? "&#42;"
                           : *c == '#'               ? "&#35;"
                           : control || skipped != 0 ? "\xef\xbf\xbd"
                                                     : NULL;
    if (as == NULL)
      *to++ = (char)*c;
    else
      to = stpcpy(to, as);
    if (skipped != 0) c += skipped - 1;
  }
  return out;
}

const char *page_shorten(page *p, const char *text, size_t n) {
  const char *end = text;
  for (size_t i = 0; i < n && *end != '\0'; i++)
    do end++;
    while ((*end & 0xc0) == 0x80);
  return *end == '\0' ? text : page_format(p, "%.*s…", (int)(end - text), text);
}

bool page_ran(const page_device *d) {
  const char *const status = page_string(d->point, "status");
  page_estimate step; /* of a device that timed out, what it did until then */
  return d->point != NULL && (status == NULL || strcmp(status, "done") == 0 || strcmp(status, "never reached") == 0 || page_read_estimate(d->point, "step_p50", &step));
}

const char *page_status(const page_device *d, const char **why) {
  const char *const of_point = page_string(d->point, "why");
  const char *const status = page_string(d->point, "status");
  *why = of_point != NULL ? of_point : page_string(d->json, "why");
  if (json_is_false(json_object_get(d->json, "available"))) return "absent";
  return status != NULL ? status : d->point == NULL ? "not run" : "done";
}

const char *page_brief(page *p, const char *why) {
  enum { LONGEST = 150 };
  if (why == NULL) return NULL;
  const size_t n = strcspn(why, "\n");
  const char *const line = page_shorten(p, page_format(p, "%.*s", (int)n, why), LONGEST);
  return why[n] != '\0' && strlen(line) <= n ? page_format(p, "%s…", line) : line;
}

bool page_quoted(page_source source) { return source == SOURCE_QUOTED || source == SOURCE_QUOTED_MODEL; }

const char *page_tilde(page_source source) { return source == SOURCE_MODELLED || source == SOURCE_QUOTED_MODEL ? "~" : ""; }

const char *page_device_name(page *p, const page_device *d) {
  static const char *const kinds[] = {"measured", "modelled", "quoted", "quoted"};
  return page_format(p, "<i class=\"mark %s c%d\"></i>%s%s", kinds[d->source], d->colour, page_escape(p, d->label),
                     *page_tilde(d->source) != '\0' ? "&nbsp;~" : "");
}

const char *page_columns(page *p, const char *first) {
  for (size_t i = 0; i < p->n_devices; i++) first = page_format(p, "%s|%s", first, page_device_name(p, &p->devices[i]));
  return first;
}

size_t page_drawn(const page *p) { return p->n_devices < PAGE_DRAWN ? p->n_devices : PAGE_DRAWN; }

const char *page_more(page *p) {
  if (p->n_devices <= PAGE_DRAWN) return "";
  return page_format(p, " The first %d of %zu devices are drawn; the table has all.", PAGE_DRAWN, p->n_devices);
}

void page_none(page *p, const char *format, ...) {
  va_list args;
  va_start(args, format);
  page_put(p, "<p class=none>");
  (void)vfprintf(p->to, format, args);
  page_put(p, "</p>\n");
  va_end(args);
}

/* Of all points, the first of those that most devices finished. */
static void choose_point(page *p) {
  size_t best = 0;
  p->shown = "";
  for (size_t d = 0; d < p->n_devices; d++) {
    size_t i, n_here = 0;
    json_t *point;
    json_array_foreach(page_at(p->devices[d].json, "points"), i, point) {
      const char *const text = json_string_value(json_object_get(point, "point"));
      size_t n_ran = 0;
      n_here++;
      for (size_t k = 0; k < p->n_devices; k++) {
        page_device other = p->devices[k];
        other.point = page_point(other.json, text != NULL ? text : "");
        n_ran += page_ran(&other);
      }
      if (n_ran <= best) continue;
      best = n_ran;
      p->shown = text != NULL ? text : "";
    }
    if (n_here > p->n_points) p->n_points = n_here;
  }
  for (size_t d = 0; d < p->n_devices; d++) p->devices[d].point = page_point(p->devices[d].json, p->shown);
}

/* An object, or a text such as "val_accuracy>=0.9". */
static void read_target(page *p) {
  const json_t *const target = page_at(p->summary, "target");
  const char *const text = json_string_value(target);
  p->target_value = NAN;
  if (text != NULL) {
    const size_t name = strcspn(text, "<>=! "), op = strspn(text + name, "<>=! ");
    char *end;
    const double value = strtod(text + name + op, &end);
    if (name == 0 || op == 0 || end == text + name + op || !isfinite(value)) return;
    p->target_metric = page_format(p, "%.*s", (int)name, text);
    p->target_value = value;
    p->target = page_format(p, "%s %.*s %s", p->target_metric, (int)strcspn(text + name, "0123456789.- "), text + name, text + name + op);
  } else {
    const char *const op = page_string(target, "op");
    p->target_metric = page_string(target, "metric");
    p->target_value = page_number(target, "value");
    if (p->target_metric != NULL && op != NULL && isfinite(p->target_value))
      p->target = page_format(p, "%s %s %.6g", p->target_metric, op, p->target_value);
  }
}

static page_source source_of(const char *source, const char *of) {
  if (source != NULL && strcmp(source, "modelled") == 0) return SOURCE_MODELLED;
  if (source == NULL || strcmp(source, "quoted") != 0) return SOURCE_MEASURED;
  return of != NULL && strcmp(of, "modelled") == 0 ? SOURCE_QUOTED_MODEL : SOURCE_QUOTED;
}

void page_open(page *p, const json_t *summary, FILE *to) {
  *p = (page){.to = to, .summary = summary, .shown = ""};
  read_target(p);
  const json_t *const devices = page_at(summary, "devices");
  p->devices = page_alloc(p, json_array_size(devices) + 1, sizeof *p->devices);
  if (p->devices == NULL) return;
  size_t i;
  json_t *json;
  json_array_foreach(devices, i, json) {
    if (!json_is_object(json)) continue;
    page_device *const d = &p->devices[p->n_devices];
    const char *const label = page_string(json, "label"), *const id = page_string(json, "id");
    const char *const source = page_string(json, "source");
    d->json = json;
    d->label = label != NULL ? label : id != NULL ? id : page_format(p, "device %zu", i + 1);
    d->source = source_of(source, page_string(json, "quoted_from.of"));
    d->colour = (int)(p->n_devices % PAGE_COLOURS);
    p->n_devices++;
  }
  choose_point(p);
}

void page_close(page *p) {
  while (p->memory != NULL) {
    page_block *const next = p->memory->next;
    free(p->memory);
    p->memory = next;
  }
}
