/* Small helpers around Jansson. */
#include "perf/support/json.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

json_t *perf_number(double value) { return isfinite(value) ? json_real(value) : json_null(); }

double perf_get_number(const json_t *object, const char *key) {
  const json_t *const value = json_object_get(object, key);
  return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

const char *perf_get_text(const json_t *object, const char *key) {
  const char *const text = json_string_value(json_object_get(object, key));
  return text != NULL ? text : "";
}

bool perf_is(const json_t *object, const char *key, const char *text) { return strcmp(perf_get_text(object, key), text) == 0; }

json_t *perf_text(const char *format, ...) {
  char text[8192];
  va_list args;
  va_start(args, format);
  const int n = vsnprintf(text, sizeof text, format, args);
  va_end(args);
  if (n < 0) return json_string("");
  /* What was cut may end in half a character; foreign bytes may be none at all. */
  size_t length = strlen(text);
  json_t *string = json_stringn(text, length);
  while (string == NULL && length > 0 && strlen(text) - length < 4) string = json_stringn(text, --length);
  if (string != NULL) return string;
  for (char *c = text; *c != '\0'; c++) *c = (unsigned char)*c < 0x80 ? *c : '?';
  return json_string(text);
}

int perf_numbers(const json_t *array, double **out) {
  const size_t most = json_array_size(array);
  int n = 0;
  *out = malloc((most + 1) * sizeof **out);
  if (*out == NULL) return -1;
  for (size_t i = 0; i < most; i++) {
    const json_t *const item = json_array_get(array, i);
    if (json_is_number(item)) (*out)[n++] = json_number_value(item);
  }
  return n;
}
