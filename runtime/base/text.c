/* Text: the growing buffer, formatting and number parsing that ignore the process's locale, "did you mean". */
#define _GNU_SOURCE /* strtod_l */
#include "base/text.h"
#include "base/alloc.h"
#include "base/checked.h"
#include "base/status.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static locale_t c_locale; /* 0 if it cannot be had: then the process's own is used */
static pthread_once_t c_locale_once = PTHREAD_ONCE_INIT;

static void make_c_locale(void) {
  c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

/* ---- formatting ---------------------------------------------------------------------------------- */

int tct_vsnprintf(char *text, size_t bytes, const char *format, va_list args) {
  pthread_once(&c_locale_once, make_c_locale);
  const locale_t before = uselocale(c_locale);
  const int length = vsnprintf(text, bytes, format, args);
  uselocale(before);
  return length;
}

void tct_format_clipped_v(char *text, size_t bytes, const char *format, va_list args) {
  static const char ellipsis[] = "\xE2\x80\xA6";
  const int length = tct_vsnprintf(text, bytes, format, args);
  if (length < 0) {
    (void)snprintf(text, bytes, "%s", format);
    return;
  }
  if ((size_t)length < bytes || bytes < sizeof ellipsis) return;
  size_t end = bytes - sizeof ellipsis;
  while (end > 0 && ((unsigned char)text[end] & 0xC0) == 0x80) end--; /* not inside a UTF-8 character */
  memcpy(text + end, ellipsis, sizeof ellipsis);
}

bool tct_ends_with(const char *text, const char *ending) {
  const size_t n = strlen(text), tail = strlen(ending);
  return n >= tail && strcmp(text + n - tail, ending) == 0;
}

/* ---- the growing buffer -------------------------------------------------------------------------- */

/* Room for `more` bytes and the NUL. */
static bool reserve(tct_text *text, size_t more) {
  size_t needed = 0;
  if (text->failed) return false;
  if (!tct_add_size(text->length, more, &needed) || !tct_add_size(needed, 1, &needed)) {
    (void)tct_fail(TCT_OUT_OF_MEMORY, "cannot grow a text by %zu bytes: more than the address space", more);
    text->failed = true;
    return false;
  }
  if (needed <= text->capacity) return true;
  size_t capacity = text->capacity < 64 ? 64 : text->capacity;
  while (capacity < needed && capacity <= SIZE_MAX / 2) capacity *= 2;
  if (capacity < needed) capacity = needed;
  char *data = tct_realloc(text->data, text->data ? text->length + 1 : 0, capacity);
  text->failed = !data;
  if (!data) return false;
  text->data = data;
  text->capacity = capacity;
  text->data[text->length] = '\0';
  return true;
}

void tct_text_append_bytes(tct_text *text, const void *data, size_t bytes) {
  if (!reserve(text, bytes)) return;
  if (bytes > 0) memcpy(text->data + text->length, data, bytes);
  text->length += bytes;
  text->data[text->length] = '\0';
}

void tct_text_append(tct_text *text, const char *more) {
  tct_text_append_bytes(text, more, strlen(more));
}

void tct_text_vprintf(tct_text *text, const char *format, va_list args) {
  va_list again;
  va_copy(again, args);
  const int length = tct_vsnprintf(NULL, 0, format, args);
  if (length < 0) {
    (void)tct_fail(TCT_INTERNAL, "cannot format '%s'", format);
    text->failed = true;
  } else if (reserve(text, (size_t)length)) {
    (void)tct_vsnprintf(text->data + text->length, (size_t)length + 1, format, again);
    text->length += (size_t)length;
  }
  va_end(again);
}

void tct_text_printf(tct_text *text, const char *format, ...) {
  va_list args;
  va_start(args, format);
  tct_text_vprintf(text, format, args);
  va_end(args);
}

void tct_text_free(tct_text *text) {
  tct_release(text->data);
  *text = (tct_text){0};
}

/* ---- JSON ---------------------------------------------------------------------------------------- */

/* Bytes of the UTF-8 character at `s`, 0 when it is not one (overlong, surrogate, beyond U+10FFFF, cut short). */
static size_t utf8_length(const unsigned char *s) {
  if (s[0] < 0x80) return 1;
  const size_t length = s[0] >= 0xC2 && s[0] <= 0xDF   ? 2
                        : s[0] >= 0xE0 && s[0] <= 0xEF ? 3
                        : s[0] >= 0xF0 && s[0] <= 0xF4 ? 4
                                                       : 0;
  for (size_t i = 1; i < length; i++)
    if ((s[i] & 0xC0) != 0x80) return 0;
  if ((s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] > 0x9F)) return 0;
  if ((s[0] == 0xF0 && s[1] < 0x90) || (s[0] == 0xF4 && s[1] > 0x8F)) return 0;
  return length;
}

/* The character's code where JSON asks for \u, or where another reader would not take it as it stands: YAML takes U+0085, U+2028 and
 * U+2029 for ends of lines and refuses the others; a terminal obeys the controls. 0: it can stand. */
static unsigned escaped_code(const unsigned char *s, size_t length) {
  if (length == 1) return s[0] < 0x20 || s[0] == 0x7F ? s[0] : 0;
  if (length > 3) return 0;
  const unsigned code = length == 2 ? (s[0] & 0x1Fu) << 6 | (s[1] & 0x3Fu) : (s[0] & 0xFu) << 12 | (s[1] & 0x3Fu) << 6 | (s[2] & 0x3Fu);
  return code < 0xA0 || code == 0x2028 || code == 0x2029 || code == 0xFEFF || code >= 0xFFFE ? code : 0;
}

/* The next character of a JSON string, as it is written there. */
typedef struct json_character {
  char text[8];
  size_t bytes; /* of `text` */
} json_character;

static json_character next_json_character(const unsigned char **at) {
  static const char short_escape[] = {
      ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r', ['"'] = '"', ['\\'] = '\\'};
  static const char digits[] = "0123456789abcdef";
  const unsigned char *const s = *at;
  const size_t length = utf8_length(s);
  *at += length > 0 ? length : 1;
  if (length == 0) return (json_character){"\xEF\xBF\xBD", 3};
  if (s[0] < sizeof short_escape && short_escape[s[0]] != 0) return (json_character){{'\\', short_escape[s[0]]}, 2};
  const unsigned code = escaped_code(s, length);
  if (code != 0) return (json_character){{'\\', 'u', digits[code >> 12], digits[code >> 8 & 15], digits[code >> 4 & 15], digits[code & 15]}, 6};
  json_character c = {.bytes = length};
  memcpy(c.text, s, length);
  return c;
}

bool tct_utf8_valid(const char *text) {
  const unsigned char *s = (const unsigned char *)text;
  for (size_t length = 1; *s != '\0'; s += length) {
    length = utf8_length(s);
    if (length == 0) return false;
  }
  return true;
}

void tct_text_json_string(tct_text *text, const char *value) {
  tct_text_append(text, "\"");
  for (const unsigned char *at = (const unsigned char *)value; *at != '\0';) {
    const json_character c = next_json_character(&at);
    tct_text_append_bytes(text, c.text, c.bytes);
  }
  tct_text_append(text, "\"");
}

size_t tct_json_string_bytes(const char *value) {
  size_t n = 2;
  for (const unsigned char *at = (const unsigned char *)value; *at != '\0';) n += next_json_character(&at).bytes;
  return n;
}

void tct_text_json_number(tct_text *text, double value) {
  if (isfinite(value))
    tct_text_printf(text, "%.17g", value);
  else
    tct_text_append(text, "null");
}

/* ---- parsing ------------------------------------------------------------------------------------- */

/* A decimal number taken apart: value = ±digits × 10^exponent, exact while `digits` did not overflow. */
typedef struct decimal {
  uint64_t digits;
  int64_t exponent;
  bool negative, exact;
} decimal;

static bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

static void add_digit(decimal *d, char c) {
  if (d->digits > (UINT64_MAX - 9) / 10)
    d->exact = false;
  else
    d->digits = d->digits * 10 + (uint64_t)(c - '0');
}

/* [+-] digits [. digits] [e [+-] digits], with a digit before or after the point. */
static bool scan_decimal(const char *s, const char *end, decimal *out) {
  decimal d = {.exact = true};
  if (s < end && (*s == '+' || *s == '-')) d.negative = *s++ == '-';
  const char *const first = s;
  while (s < end && is_digit(*s)) add_digit(&d, *s++);
  int64_t n_digits = s - first;
  if (s < end && *s == '.') {
    const char *const point = s++;
    while (s < end && is_digit(*s)) add_digit(&d, *s++);
    d.exponent = -(s - point - 1);
    n_digits -= d.exponent;
  }
  if (n_digits == 0) return false;
  if (s < end && (*s == 'e' || *s == 'E')) {
    s++;
    const bool negative = s < end && *s == '-';
    if (s < end && (*s == '+' || *s == '-')) s++;
    if (s == end) return false;
    int64_t power = 0;
    for (; s < end && is_digit(*s); s++)
      if (power < 100000) power = power * 10 + (*s - '0');
    d.exponent += negative ? -power : power;
  }
  *out = d;
  return s == end;
}

/* Most numbers of a table have few digits: then digits and power of ten are exact doubles, and one multiplication or
 * division rounds correctly (Clinger 1990). The rest is left to strtod. */
bool tct_parse_double(const char *text, size_t length, double *out) {
  static const double power_of_ten[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                        1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
  const int64_t largest_power = (int64_t)TCT_COUNT_OF(power_of_ten) - 1;
  decimal d = {0};
  char copy[1001];
  if (length >= sizeof copy || !scan_decimal(text, text + length, &d)) return false;
  if (d.exact && d.digits <= (uint64_t)1 << 53 && d.exponent >= -largest_power && d.exponent <= largest_power) {
    const double digits = (double)d.digits;
    const double value = d.exponent < 0 ? digits / power_of_ten[-d.exponent] : digits * power_of_ten[d.exponent];
    *out = d.negative ? -value : value;
    return true;
  }
  memcpy(copy, text, length);
  copy[length] = '\0';
  pthread_once(&c_locale_once, make_c_locale);
  const int saved_errno = errno;
  const double value = c_locale ? strtod_l(copy, NULL, c_locale) : strtod(copy, NULL);
  errno = saved_errno;
  if (!isfinite(value)) return false;
  *out = value;
  return true;
}

bool tct_parse_i64(const char *text, size_t length, int64_t *out) {
  const char *const end = text + length;
  const bool negative = text < end && *text == '-';
  if (text < end && (*text == '+' || *text == '-')) text++;
  if (text == end) return false;
  int64_t value = 0;
  for (; text < end; text++) {
    if (!is_digit(*text)) return false;
    const int64_t digit = negative ? '0' - *text : *text - '0';
    if (!tct_mul_i64(value, 10, &value) || !tct_add_i64(value, digit, &value)) return false;
  }
  *out = value;
  return true;
}

/* ---- names --------------------------------------------------------------------------------------- */

enum { LONGEST_NAME = 63 };

static char lower(char c) {
  return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* The optimal string alignment distance (Levenshtein's, with two neighbours swapped as one edit), upper and lower case
 * alike. Both names are at most LONGEST_NAME long. */
static size_t edit_distance(const char *a, size_t a_length, const char *b, size_t b_length) {
  size_t rows[3][LONGEST_NAME + 1];
  size_t *before = rows[0], *last = rows[1], *row = rows[2];
  for (size_t j = 0; j <= b_length; j++) last[j] = before[j] = j;
  for (size_t i = 1; i <= a_length; i++) {
    row[0] = i;
    for (size_t j = 1; j <= b_length; j++) {
      size_t best = last[j - 1] + (lower(a[i - 1]) != lower(b[j - 1]));
      if (last[j] + 1 < best) best = last[j] + 1;
      if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
      const bool swapped = i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) && lower(a[i - 2]) == lower(b[j - 1]);
      if (swapped && before[j - 2] + 1 < best) best = before[j - 2] + 1;
      row[j] = best;
    }
    size_t *const oldest = before;
    before = last;
    last = row;
    row = oldest;
  }
  return last[b_length];
}

const char *tct_nearest(const char *word, const char *const *candidates, size_t n_candidates) {
  const size_t length = strlen(word);
  if (length > LONGEST_NAME) return NULL;
  const char *nearest = NULL;
  size_t best = (length + 1) / 3 + 1;
  for (size_t i = 0; i < n_candidates; i++) {
    const size_t candidate_length = strlen(candidates[i]);
    if (candidate_length > LONGEST_NAME) continue;
    const size_t distance = edit_distance(word, length, candidates[i], candidate_length);
    if (distance >= best) continue;
    best = distance;
    nearest = candidates[i];
  }
  return nearest;
}

uint64_t tct_hash(const void *data, size_t bytes) {
  const unsigned char *const byte = data;
  uint64_t hash = 0xCBF29CE484222325u;
  for (size_t i = 0; i < bytes; i++) hash = (hash ^ byte[i]) * 0x100000001B3u;
  return hash;
}
