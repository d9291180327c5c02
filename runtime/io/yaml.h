/* A YAML document as a tree that remembers where each part stood. The reader treats the text as hostile: size, depth and
 * counts are bounded; anchors, aliases, tags and second documents are refused, duplicate keys too. */
#ifndef TCT_IO_YAML_H
#define TCT_IO_YAML_H

#include <tercet/types.h>

#include "base/arena.h"
#include "base/text.h"

#define TCT_YAML_MOST_BYTES ((size_t)64 << 20)
#define TCT_YAML_MOST_NODES 2000000
#define TCT_YAML_MOST_DEPTH 32
#define TCT_YAML_MOST_KEYS 1000 /* of one mapping */

typedef enum tct_yaml_kind { TCT_YAML_SCALAR, TCT_YAML_LIST, TCT_YAML_MAP } tct_yaml_kind;

/* Owned by the arena it was parsed into. */
typedef struct tct_yaml {
  tct_yaml_kind kind;
  bool quoted;      /* a scalar in quotes is text, never null */
  int32_t source;   /* 0: the document; k: the k-th override */
  int32_t line, column; /* of the value, from 1 */
  int32_t key_line, key_column;
  const char *key;  /* in its mapping; NULL in a list and at the root */
  char *text;       /* a scalar's; a reader may put it in its usual spelling, of the same length */
  struct tct_yaml *parent, *first, *last, *next;
  int32_t n; /* children */
} tct_yaml;

/* `origin` names the text in messages. An empty document is an empty mapping. */
tct_status tct_yaml_parse(tct_arena *arena, const char *text, size_t length, const char *origin, int32_t source,
                          tct_yaml **out) TCT_CHECKED;

/* The value of `key`, a null one too; NULL: not there, or `map` is no mapping. */
tct_yaml *tct_yaml_get(const tct_yaml *map, const char *key);
bool tct_yaml_is_null(const tct_yaml *node); /* NULL, or the plain scalars ~, null and empty */

/* Whether a printed job can hold the key: YAML ends its search for a key's colon after 1024 characters, escapes as they are written. */
bool tct_yaml_fits_key(const char *key);
/* Appends a child; `key` NULL in lists; copied. */
tct_status tct_yaml_add(tct_arena *arena, tct_yaml *parent, const char *key, tct_yaml *child) TCT_CHECKED;
/* A new, unattached node; `text` (copied) for scalars, else NULL. NULL after recording the error. */
tct_yaml *tct_yaml_new(tct_arena *arena, tct_yaml_kind kind, const char *text) TCT_CHECKED;
/* Puts `value` in the place of `old`, under its key. */
void tct_yaml_replace(tct_yaml *old, tct_yaml *value);

/* Takes a key out of a mapping; not being there is fine. */
void tct_yaml_remove(tct_yaml *map, const char *key);

/* "model.layers[2]"; the type that wraps a layer's options is left out. The root gives "". */
void tct_yaml_path(const tct_yaml *node, tct_text *out);
/* Block style; lists of scalars in one line. Reading it again gives the same tree. */
void tct_yaml_print(const tct_yaml *root, tct_text *out);

/* Applies "a.b[2].c=value" to the tree; missing keys of mappings are made (their names are checked when the job is
 * read). `source` is its number, from 1. */
tct_status tct_yaml_override(tct_arena *arena, tct_yaml *root, const char *assignment, int32_t source) TCT_CHECKED;

#endif
