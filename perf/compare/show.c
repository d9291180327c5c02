/* Units chosen by size; text cut into lines. */
#include "perf/compare/show.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

static const char *scaled(double value, const char *const *units, const double *sizes, int n, char *text) {
  int u = 0;
  while (u + 1 < n && fabs(value) >= sizes[u + 1]) u++;
  const double shown = value / sizes[u];
  (void)snprintf(text, PERF_SHORT, "%.*f %s", shown >= 99.95 ? 0 : shown >= 9.995 ? 1 : 2, shown, units[u]);
  return text;
}

const char *perf_show_seconds(double seconds, char text[PERF_SHORT]) {
  static const char *const units[] = {"ns", "us", "ms", "s"};
  static const double sizes[] = {1e-9, 1e-6, 1e-3, 1};
  if (!isfinite(seconds)) (void)snprintf(text, PERF_SHORT, "-");
  else if (seconds >= 1e8) (void)snprintf(text, PERF_SHORT, "%.1e s", seconds);
  else if (seconds >= 3600) (void)snprintf(text, PERF_SHORT, "%.0f h %02.0f m", floor(seconds / 3600), floor(fmod(seconds, 3600) / 60));
  else if (seconds >= 100) (void)snprintf(text, PERF_SHORT, "%.0f m %02.0f s", floor(seconds / 60), floor(fmod(seconds, 60)));
  else return scaled(seconds, units, sizes, 4, text);
  return text;
}

const char *perf_show_dollars(double dollars, char text[PERF_SHORT]) {
  if (!isfinite(dollars)) (void)snprintf(text, PERF_SHORT, "-");
  else if (dollars >= 1e6) (void)snprintf(text, PERF_SHORT, "$%.2e", dollars);
  else if (dollars >= 0.001 || dollars == 0) (void)snprintf(text, PERF_SHORT, "$%.*f", dollars >= 1 ? 2 : dollars >= 0.1 ? 3 : 4, dollars);
  else (void)snprintf(text, PERF_SHORT, "$%.1e", dollars);
  return text;
}

const char *perf_show_joules(double joules, char text[PERF_SHORT]) {
  static const char *const units[] = {"nJ", "uJ", "mJ", "J", "kJ", "MJ"};
  static const double sizes[] = {1e-9, 1e-6, 1e-3, 1, 1e3, 1e6};
  if (isfinite(joules)) return scaled(joules, units, sizes, 6, text);
  (void)snprintf(text, PERF_SHORT, "-");
  return text;
}

const char *perf_show_count(double count, char text[PERF_SHORT]) {
  static const char *const units[] = {"", "k", "M", "G", "T", "P"};
  static const double sizes[] = {1, 1e3, 1e6, 1e9, 1e12, 1e15};
  int u = 0;
  if (!isfinite(count)) {
    (void)snprintf(text, PERF_SHORT, "-");
    return text;
  }
  while (u < 5 && fabs(count) >= sizes[u + 1]) u++;
  const double shown = count / sizes[u];
  (void)snprintf(text, PERF_SHORT, "%.*f%s", shown >= 99.95 || (u == 0 && count == floor(count)) ? 0 : shown >= 9.995 ? 1 : 2, shown, units[u]);
  return text;
}

void perf_put_wrapped(FILE *to, const char *lead, const char *text, int indent) {
  int at = fprintf(to, "%s", lead);
  bool at_start = true; /* of a line: no space before its first word */
  while (*text != '\0') {
    const int n = (int)strcspn(text, " \n");
    int columns = 0; /* a character may have several bytes */
    for (int i = 0; i < n; i++) columns += ((unsigned char)text[i] & 0xC0) != 0x80;
    if (at > 0 && at + 1 + columns > PERF_COLUMNS) {
      fprintf(to, "\n%*s", indent, "");
      at = indent;
      at_start = true;
    } else if (at > 0 && !at_start) {
      fputc(' ', to);
      at++;
    }
    fprintf(to, "%.*s", n, text);
    at += columns;
    at_start = false;
    text += n + (text[n] != '\0');
  }
  fputc('\n', to);
}
