/* Text: a growing buffer with sticky failure, number parsing that ignores the locale, and "did you mean". */
#ifndef TCT_BASE_TEXT_H
#define TCT_BASE_TEXT_H

#include <stdarg.h>
#include <tercet/types.h>

/* {0} is empty. On a failed allocation `failed` sticks, the text so far stays valid, later appends do nothing. */
typedef struct tct_text {
  char *data; /* owned; NUL-terminated; may be NULL while empty */
  size_t length, capacity;
  bool failed;
} tct_text;
void tct_text_append(tct_text *text, const char *more);
void tct_text_append_bytes(tct_text *text, const void *data, size_t bytes);
void tct_text_printf(tct_text *text, const char *format, ...) TCT_PRINTF(2, 3); /* in the C locale */
void tct_text_vprintf(tct_text *text, const char *format, va_list args) TCT_PRINTF(2, 0);
/* A JSON string literal with quotes and escapes (invalid UTF-8 becomes U+FFFD), which YAML reads alike. */
void tct_text_json_string(tct_text *text, const char *value);
size_t tct_json_string_bytes(const char *value); /* how many tct_text_json_string appends */
/* A JSON number with 17 significant digits; null when not finite. */
void tct_text_json_number(tct_text *text, double value);
void tct_text_free(tct_text *text);
bool tct_utf8_valid(const char *text);
bool tct_ends_with(const char *text, const char *ending);

/* vsnprintf in the C locale, whatever setlocale says; what does not fit ends in "…". Never allocates. */
void tct_format_clipped_v(char *text, size_t bytes, const char *format, va_list args) TCT_PRINTF(3, 0);
/* vsnprintf in the C locale: a decimal point is a point. Returns as vsnprintf. */
int tct_vsnprintf(char *text, size_t bytes, const char *format, va_list args) TCT_PRINTF(3, 0);

/* Whole-string parses, C locale whatever setlocale says; false when anything is left over or out of range. A double is
 * plain decimal with an optional exponent: no inf, nan, hexadecimal or blanks, and at most 1000 characters; too small
 * for a double is 0 or the nearest subnormal. */
bool tct_parse_double(const char *text, size_t length, double *out);
bool tct_parse_i64(const char *text, size_t length, int64_t *out);

/* The candidate nearest to `word` (Levenshtein, at most about a third of its length away); NULL when none is near. */
const char *tct_nearest(const char *word, const char *const *candidates, size_t n_candidates);
/* The three arguments of "%s%s%s" that end a message: "; did you mean 'x'?", or nothing when `near` is NULL. */
#define TCT_DID_YOU_MEAN(near)                                                                                         \
  (near) != NULL ? "; did you mean '" : "", (near) != NULL ? (near) : "", (near) != NULL ? "'?" : ""


/* FNV-1a over the bytes: the stable hash of names. */
uint64_t tct_hash(const void *data, size_t bytes);

#endif
