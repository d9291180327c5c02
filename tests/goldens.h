/* The golden files, which stand beside the real data: opening one and looking into it. */
#ifndef TCT_TESTS_GOLDENS_H
#define TCT_TESTS_GOLDENS_H

#include <jansson.h>

/* Leaves the test where there is no real data; else defines `folder`, which holds them. */
#define DATA_OR_SKIP()                                                                                                 \
  const char *folder = getenv("TERCET_DATA");                                                                          \
  if (folder == NULL || folder[0] == '\0') SKIP("not run: TERCET_DATA is not set")

/* ../reference/goldens/FILE, seen from the folder; the caller's, to be freed by json_decref. Fails the test without it. */
json_t *open_goldens(const char *folder, const char *file);

/* The member of that name; fails the test without it. */
const json_t *member(const json_t *object, const char *key);

#endif
