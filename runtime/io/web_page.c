/* Telling a web page from data by how it begins. */
#include "io/web_page.h"

#include <string.h>
#include <strings.h>

#include "base/status.h"

tct_status tct_refuse_web_page(const char *path, const void *data, size_t bytes, const char *needs) {
  static const char *const beginnings[] = {"<!doctype", "<html", "<head", "<?xml"};
  const char *at = data, *const end = at + bytes;
  while (at < end && (*at == ' ' || *at == '\t' || *at == '\r' || *at == '\n')) at++;
  for (size_t i = 0; i < TCT_COUNT_OF(beginnings); i++) {
    const size_t n = strlen(beginnings[i]);
    if ((size_t)(end - at) < n || strncasecmp(at, beginnings[i], n) != 0) continue;
    return tct_fail(TCT_E_WEB_PAGE, "%s: begins with '%.*s', which is a web page, needs %s; download the file itself",
                    path, (int)n, at, needs);
  }
  return TCT_OK;
}
