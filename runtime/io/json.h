/* jansson, which parses JSON here, allocates around the library's seam: its hooks (json_set_alloc_funcs) are the whole
 * process's, and may be in use by the program that loads this library. So it is left as it is. Its lexer is not safe where its
 * buffer cannot grow (2.14 asserts); texts are bounded in size before it sees them. */
#ifndef TCT_IO_JSON_H
#define TCT_IO_JSON_H

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>

/* json_loadb. On failure *out_ran_out says whether it was for want of memory: jansson takes a name that it has no room for
 * for one that is not there, so only malloc's errno tells. */
static inline json_t *tct_json_parse(const char *text, size_t bytes, size_t flags, json_error_t *error, bool *out_ran_out) {
  errno = 0;
  json_t *const value = json_loadb(text, bytes, flags, error);
  *out_ran_out = value == NULL && (errno == ENOMEM || error->text[0] == '\0');
  return value;
}

#endif
