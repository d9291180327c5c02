/* libyaml's events → the tree, with every bound checked as the events come in, before anything grows. */
#include "io/yaml.h"

#include <inttypes.h>
#include <string.h>
#include <yaml.h>

#include "base/status.h"

typedef struct builder {
  tct_arena *arena;
  const char *origin;
  const char *text; /* [length] */
  size_t length;
  int32_t source;
  int32_t n_nodes, depth;
  tct_yaml *stack[TCT_YAML_MOST_DEPTH];
  tct_yaml *root;
  const char *key; /* read, its value not yet */
  yaml_mark_t key_mark;
} builder;

tct_yaml *tct_yaml_new(tct_arena *arena, tct_yaml_kind kind, const char *text) {
  tct_yaml *const node = tct_arena_alloc(arena, sizeof *node);
  if (!node) return NULL;
  node->kind = kind;
  if (text) {
    node->text = tct_arena_strdup(arena, text);
    if (!node->text) return NULL;
  }
  return node;
}

static void attach(tct_yaml *parent, tct_yaml *child) {
  child->parent = parent;
  if (parent->last)
    parent->last->next = child;
  else
    parent->first = child;
  parent->last = child;
  parent->n++;
}

tct_status tct_yaml_add(tct_arena *arena, tct_yaml *parent, const char *key, tct_yaml *child) {
  if (key) {
    child->key = tct_arena_strdup(arena, key);
    if (!child->key) return TCT_OUT_OF_MEMORY;
  }
  attach(parent, child);
  return TCT_OK;
}

void tct_yaml_replace(tct_yaml *old, tct_yaml *value) {
  tct_yaml *const parent = old->parent;
  value->parent = parent;
  value->key = old->key;
  value->key_line = old->key_line;
  value->key_column = old->key_column;
  value->next = old->next;
  tct_yaml **at = &parent->first;
  while (*at != old) at = &(*at)->next;
  *at = value;
  if (parent->last == old) parent->last = value;
}

void tct_yaml_remove(tct_yaml *map, const char *key) {
  tct_yaml *before = NULL;
  for (tct_yaml *at = map->first; at; before = at, at = at->next) {
    if (strcmp(at->key, key) != 0) continue;
    *(before ? &before->next : &map->first) = at->next;
    if (map->last == at) map->last = before;
    map->n--;
    return;
  }
}

tct_yaml *tct_yaml_get(const tct_yaml *map, const char *key) {
  if (!map || map->kind != TCT_YAML_MAP) return NULL;
  for (tct_yaml *child = map->first; child; child = child->next)
    if (strcmp(child->key, key) == 0) return child;
  return NULL;
}

bool tct_yaml_is_null(const tct_yaml *node) {
  if (!node) return true;
  return node->kind == TCT_YAML_SCALAR && !node->quoted &&
         (node->text[0] == '\0' || strcmp(node->text, "~") == 0 || strcmp(node->text, "null") == 0);
}

/* ---- events → nodes ----------------------------------------------------------------------------------- */

/* A document is at most 64 MiB. */
static int32_t from_one(size_t i) { return (int32_t)i + 1; }

static tct_status refuse(const builder *b, yaml_mark_t mark, const char *what) {
  return tct_fail(TCT_E_YAML, "%s:%" PRId32 ":%" PRId32 ": %s", b->origin, from_one(mark.line), from_one(mark.column),
                  what);
}

bool tct_yaml_fits_key(const char *key) {
  enum { MOST_CHARACTERS = 1000, QUOTES = 2 };
  return tct_json_string_bytes(key) <= MOST_CHARACTERS + QUOTES;
}

/* A mapping's key: a scalar not yet in it. */
static tct_status take_key(builder *b, const yaml_event_t *event) {
  const tct_yaml *const map = b->stack[b->depth - 1];
  if (event->type != YAML_SCALAR_EVENT) return refuse(b, event->start_mark, "a key must be plain text");
  const char *const text = (const char *)event->data.scalar.value;
  if (strlen(text) != event->data.scalar.length) return refuse(b, event->start_mark, "a key with a zero byte");
  if (!tct_yaml_fits_key(text)) return refuse(b, event->start_mark, "a key of more than 1000 characters, as YAML writes them");
  const tct_yaml *const twin = tct_yaml_get(map, text);
  if (twin)
    return tct_fail(TCT_E_YAML, "%s:%" PRId32 ":%" PRId32 ": key '%s' stands twice; it is also in line %" PRId32,
                    b->origin, from_one(event->start_mark.line), from_one(event->start_mark.column), text,
                    twin->key_line);
  if (map->n >= TCT_YAML_MOST_KEYS) return refuse(b, event->start_mark, "more than 1000 keys in one mapping");
  b->key = tct_arena_strdup(b->arena, text);
  b->key_mark = event->start_mark;
  return b->key ? TCT_OK : TCT_OUT_OF_MEMORY;
}

static tct_status refuse_features(const builder *b, const yaml_event_t *event) {
  if (event->type == YAML_ALIAS_EVENT)
    return refuse(b, event->start_mark, "aliases (*name) are not part of job files; a size used twice can be a key of "
                                        "'model', used as $key");
  const yaml_char_t *anchor = NULL, *tag = NULL;
  if (event->type == YAML_SCALAR_EVENT) {
    anchor = event->data.scalar.anchor;
    tag = event->data.scalar.tag;
  } else if (event->type == YAML_SEQUENCE_START_EVENT) {
    anchor = event->data.sequence_start.anchor;
    tag = event->data.sequence_start.tag;
  } else {
    anchor = event->data.mapping_start.anchor;
    tag = event->data.mapping_start.tag;
  }
  if (anchor) return refuse(b, event->start_mark, "anchors (&name) are not part of job files");
  if (tag) return refuse(b, event->start_mark, "tags (!type) are not part of job files");
  return TCT_OK;
}

/* A value: a scalar, or the start of a list or mapping. */
static tct_status take_value(builder *b, const yaml_event_t *event) {
  if (++b->n_nodes > TCT_YAML_MOST_NODES) return refuse(b, event->start_mark, "more than 2 000 000 values");
  const bool scalar = event->type == YAML_SCALAR_EVENT;
  const char *const text = scalar ? (const char *)event->data.scalar.value : NULL;
  if (scalar && strlen(text) != event->data.scalar.length)
    return refuse(b, event->start_mark, "a text with a zero byte");
  const tct_yaml_kind kind = scalar                                     ? TCT_YAML_SCALAR
                             : event->type == YAML_SEQUENCE_START_EVENT ? TCT_YAML_LIST
                                                                        : TCT_YAML_MAP;
  tct_yaml *const node = tct_yaml_new(b->arena, kind, text);
  if (!node) return TCT_OUT_OF_MEMORY;
  node->quoted = scalar && event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
  node->source = b->source;
  node->line = from_one(event->start_mark.line);
  node->column = from_one(event->start_mark.column);
  if (b->key) {
    node->key = b->key;
    node->key_line = from_one(b->key_mark.line);
    node->key_column = from_one(b->key_mark.column);
    b->key = NULL;
  }
  if (b->depth > 0)
    attach(b->stack[b->depth - 1], node);
  else
    b->root = node;
  if (scalar) return TCT_OK;
  if (b->depth == TCT_YAML_MOST_DEPTH) return refuse(b, event->start_mark, "nested more than 32 deep");
  b->stack[b->depth++] = node;
  return TCT_OK;
}

static tct_status take_event(builder *b, const yaml_event_t *event) {
  switch (event->type) {
  case YAML_DOCUMENT_START_EVENT:
    return b->root ? refuse(b, event->start_mark, "a second document; a job file has one") : TCT_OK;
  case YAML_ALIAS_EVENT:
  case YAML_SCALAR_EVENT:
  case YAML_SEQUENCE_START_EVENT:
  case YAML_MAPPING_START_EVENT:
    TCT_TRY(refuse_features(b, event));
    if (b->depth > 0 && b->stack[b->depth - 1]->kind == TCT_YAML_MAP && !b->key) return take_key(b, event);
    return take_value(b, event);
  case YAML_SEQUENCE_END_EVENT:
  case YAML_MAPPING_END_EVENT:
    b->depth--;
    return TCT_OK;
  default:
    return TCT_OK;
  }
}

/* Whether the line, counted from 0, has a tab among the blanks that it begins with. */
static bool tab_indents(const builder *b, size_t line) {
  const char *at = b->text, *const end = b->text + b->length;
  for (; line > 0 && at != NULL; line--) {
    at = memchr(at, '\n', (size_t)(end - at));
    if (at != NULL) at++;
  }
  while (at != NULL && at < end && *at == ' ') at++;
  return at != NULL && at < end && *at == '\t';
}

static tct_status parser_error(const builder *b, const yaml_parser_t *parser) {
  if (parser->error == YAML_MEMORY_ERROR) return tct_fail(TCT_OUT_OF_MEMORY, "%s: out of memory", b->origin);
  if (parser->error == YAML_READER_ERROR)
    return tct_fail(TCT_E_YAML, "%s: byte %zu: %s; a job file is UTF-8 text", b->origin, parser->problem_offset,
                    parser->problem);
  const bool tab = tab_indents(b, parser->problem_mark.line);
  return tct_fail(TCT_E_YAML, "%s:%" PRId32 ":%" PRId32 ": %s%s%s%s", b->origin, from_one(parser->problem_mark.line),
                  from_one(parser->problem_mark.column), parser->problem, parser->context ? ", " : "",
                  parser->context ? parser->context : "", tab ? "; indent with blanks, not with tabs" : "");
}

tct_status tct_yaml_parse(tct_arena *arena, const char *text, size_t length, const char *origin, int32_t source,
                          tct_yaml **out) {
  *out = NULL;
  builder b = {.arena = arena, .origin = origin, .text = text, .length = length, .source = source};
  if (length > TCT_YAML_MOST_BYTES)
    return tct_fail(TCT_E_YAML, "%s: %zu bytes; a job file has at most 64 MiB", origin, length);
  yaml_parser_t parser;
  if (!yaml_parser_initialize(&parser)) return tct_fail(TCT_OUT_OF_MEMORY, "%s: out of memory", origin);
  yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
  yaml_parser_set_input_string(&parser, (const unsigned char *)text, length);
  tct_status status = TCT_OK;
  bool more = true;
  while (status == TCT_OK && more) {
    yaml_event_t event;
    if (!yaml_parser_parse(&parser, &event)) {
      status = parser_error(&b, &parser);
      break;
    }
    more = event.type != YAML_STREAM_END_EVENT;
    status = take_event(&b, &event);
    yaml_event_delete(&event);
  }
  yaml_parser_delete(&parser);
  TCT_TRY(status);
  if (!b.root) {
    b.root = tct_yaml_new(arena, TCT_YAML_MAP, NULL);
    if (!b.root) return TCT_OUT_OF_MEMORY;
    b.root->source = source;
    b.root->line = b.root->column = 1;
  }
  *out = b.root;
  return TCT_OK;
}
