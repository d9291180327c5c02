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

/* Bytes of a character that a terminal would obey, 0: none begins here. */
static size_t commands(const unsigned char *c) {
  if ((c[0] < 0x20 && c[0] != '\t' && c[0] != '\n') || c[0] == 0x7f) return 1;
  if (c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0) return 2;                                                                      /* C1 */
  if (c[0] == 0xe2 && c[1] == 0x80 && (c[2] == 0x8e || c[2] == 0x8f || (c[2] >= 0xaa && c[2] <= 0xae))) return 3;                 /* U+200E, 200F, 202A to 202E */
  return c[0] == 0xe2 && c[1] == 0x81 && c[2] >= 0xa6 && c[2] <= 0xa9 ? 3 : 0;                                                    /* U+2066 to 2069 */
}

static bool clean_text(json_t *value, bool lines) {
  const char *const from = json_string_value(value);
  char *const text = malloc(strlen(from) + 1);
  size_t n = 0, skip;
  if (text == NULL) return false;
  for (const char *c = from; *c != '\0'; c += skip > 0 ? skip : 1) {
    skip = commands((const unsigned char *)c);
    text[n++] = skip > 0 ? '?' : *c == '\n' && !lines ? ' ' : *c;
  }
  text[n] = '\0';
  const bool ok = strcmp(text, from) == 0 || json_string_set(value, text) == 0;
  free(text);
  return ok;
}

static bool clean(json_t *value, bool lines) {
  const char *key;
  json_t *member;
  size_t i;
  bool ok = true;
  if (json_is_string(value)) return clean_text(value, lines);
  if (json_is_object(value)) json_object_foreach(value, key, member) ok = clean(member, strcmp(key, "text") == 0 || strcmp(key, "why") == 0) && ok;
  if (json_is_array(value)) json_array_foreach(value, i, member) ok = clean(member, lines) && ok;
  return ok;
}

bool perf_json_clean(json_t *value) { return clean(value, false); }
