/* Small helpers around Jansson: numbers that may be missing. */
#ifndef TERCET_PERF_JSON_H
#define TERCET_PERF_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

json_t *perf_number(double value);                              /* null when not finite */
double perf_get_number(const json_t *object, const char *key);  /* NaN when it is no number */
const char *perf_get_text(const json_t *object, const char *key); /* "" when it is no text */
bool perf_is(const json_t *object, const char *key, const char *text);
json_t *perf_text(const char *format, ...) __attribute__((format(printf, 1, 2))); /* up to 8 KiB, made valid UTF-8 */
/* The numbers of an array, those that are none left out; *out is the caller's (free). How many; −1: no memory. */
int perf_numbers(const json_t *array, double **out);
/* Makes a stranger's texts fit for a terminal, in place: control characters and those that turn the direction of writing become '?', the end of
 * a line a space but under the keys "text" and "why", which have lines. Keys stay. false: no memory. */
bool perf_json_clean(json_t *value);

#endif
