/* What is done to a tree after reading: paths for messages, overrides by path, printing it as YAML again. */
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/status.h"
#include "io/yaml.h"

/* ---- paths -------------------------------------------------------------------------------------------- */

static int32_t index_of(const tct_yaml *item) {
  int32_t i = 0;
  for (const tct_yaml *at = item->parent->first; at != item; at = at->next) i++;
  return i;
}

/* The {…} in `- Dense: {…}`. Not of the root. */
static bool wraps_options(const tct_yaml *node) {
  const tct_yaml *const item = node->parent;
  return item->n == 1 && item->parent && item->parent->kind == TCT_YAML_LIST && node->kind == TCT_YAML_MAP;
}

void tct_yaml_path(const tct_yaml *node, tct_text *out) {
  const tct_yaml *chain[TCT_YAML_MOST_DEPTH + 1];
  int32_t n = 0;
  for (; node->parent && n <= TCT_YAML_MOST_DEPTH; node = node->parent)
    if (!wraps_options(node)) chain[n++] = node;
  const size_t begin = out->length;
  while (n-- > 0) {
    if (chain[n]->parent->kind == TCT_YAML_LIST) {
      tct_text_printf(out, "[%" PRId32 "]", index_of(chain[n]));
    } else {
      tct_text_printf(out, "%s%s", out->length > begin ? "." : "", chain[n]->key);
    }
  }
}

/* ---- overrides ---------------------------------------------------------------------------------------- */

typedef struct override {
  tct_arena *arena;
  const char *assignment;
  int32_t source;
} override;

static tct_status fail_override(const override *o, const char *what, const char *step) {
  return tct_fail(TCT_E_OVERRIDE, "--set '%s': %s '%s'", o->assignment, what, step);
}

/* A list item by number, or by its `name:`. */
static tct_yaml *find_item(const tct_yaml *list, const char *step) {
  int64_t wanted = -1;
  const bool number = tct_parse_i64(step, strlen(step), &wanted);
  int64_t i = 0;
  for (tct_yaml *item = list->first; item; item = item->next, i++) {
    if (number && i == wanted) return item;
    const tct_yaml *const options = item->n == 1 && item->first->kind == TCT_YAML_MAP ? item->first : item;
    const tct_yaml *const name = tct_yaml_get(options, "name");
    if (!number && name && name->kind == TCT_YAML_SCALAR && strcmp(name->text, step) == 0) return item;
  }
  return NULL;
}

static tct_status list_step(const override *o, const tct_yaml *list, const char *step, tct_yaml **out) {
  *out = find_item(list, step);
  if (*out) return TCT_OK;
  tct_text path = {0};
  tct_yaml_path(list, &path);
  const tct_status status = tct_fail(
      TCT_E_OVERRIDE, "--set '%s': '%s' has no item '%s'; it has %" PRId32 ", numbered from 0 (or use an item's name)",
      o->assignment, path.data ? path.data : "", step, list->n);
  tct_text_free(&path);
  return status;
}

/* `- Dense: {units: 10}`: the path may leave "Dense" out. */
static tct_yaml *options_of(tct_yaml *item, const char *step) {
  const bool is_item = item->parent && item->parent->kind == TCT_YAML_LIST;
  if (!is_item || item->kind != TCT_YAML_MAP || item->n != 1 || tct_yaml_get(item, step)) return item;
  return item->first->kind == TCT_YAML_MAP ? item->first : item;
}

/* One step down; what is missing in a mapping is made as an empty mapping. A null value becomes a mapping. */
static tct_status step_down(const override *o, tct_yaml *node, const char *step, tct_yaml **out) {
  if (node->kind == TCT_YAML_LIST) return list_step(o, node, step, out);
  node = options_of(node, step);
  if (tct_yaml_is_null(node)) node->kind = TCT_YAML_MAP;
  if (node->kind != TCT_YAML_MAP) {
    tct_text path = {0};
    tct_yaml_path(node, &path);
    const tct_status status = tct_fail(TCT_E_OVERRIDE, "--set '%s': '%s' is '%s', which has no '%s' in it",
                                       o->assignment, path.data ? path.data : "", node->text, step);
    tct_text_free(&path);
    return status;
  }
  *out = tct_yaml_get(node, step);
  if (*out) return TCT_OK;
  if (!tct_yaml_fits_key(step)) return fail_override(o, "longer than a key may be (1000 characters as YAML writes them),", step);
  if (node->n >= TCT_YAML_MOST_KEYS) return fail_override(o, "no room for one more key,", step);
  *out = tct_yaml_new(o->arena, TCT_YAML_MAP, NULL);
  if (!*out) return TCT_OUT_OF_MEMORY;
  (*out)->source = o->source;
  return tct_yaml_add(o->arena, node, step, *out);
}

/* "a.b[2].c" → "a.b.2.c", in place. */
static void drop_brackets(char *path) {
  char *to = path;
  for (const char *from = path; *from; from++)
    if (*from != ']') *to++ = *from == '[' ? '.' : *from;
  *to = '\0';
}

/* Cuts the first step off "a.b.2.c". */
static char *next_step(char **path) {
  char *const begin = *path;
  *path += strcspn(begin, ".");
  if (**path == '.') *(*path)++ = '\0';
  return begin;
}

static bool path_is_well_formed(const char *path) {
  if (*path == '\0' || *path == '.' || *path == '[' || *path == ']') return false;
  bool open = false;
  for (const char *at = path; *at; at++) {
    const char next = at[1];
    if (*at == '[' && (open || next < '0' || next > '9')) return false;
    if (*at == ']' && (!open || (next != '\0' && next != '.' && next != '['))) return false;
    if (*at == '.' && (open || next == '\0' || next == '.' || next == '[' || next == ']')) return false;
    if (*at == '[') open = true;
    if (*at == ']') open = false;
  }
  return !open;
}

tct_status tct_yaml_override(tct_arena *arena, tct_yaml *root, const char *assignment, int32_t source) {
  const override o = {.arena = arena, .assignment = assignment, .source = source};
  const char *const equals = strchr(assignment, '=');
  if (!equals) return tct_fail(TCT_E_OVERRIDE, "--set '%s': needs path=value, such as model.width=64", assignment);
  char *path = tct_arena_strdup(arena, assignment);
  if (!path) return TCT_OUT_OF_MEMORY;
  path[equals - assignment] = '\0';
  if (!path_is_well_formed(path))
    return tct_fail(TCT_E_OVERRIDE,
                    "--set '%s': '%s' is not a path; needs names joined by dots, such as "
                    "model.layers[2].units",
                    assignment, path);
  /* A printed job is a file that is read again, and a file is UTF-8. */
  if (!tct_utf8_valid(path)) return tct_fail(TCT_E_OVERRIDE, "--set '%s': its path is not UTF-8, which job files are; needs another name", assignment);
  char *const origin = tct_arena_printf(arena, "--set '%s'", assignment);
  if (!origin) return TCT_OUT_OF_MEMORY;
  drop_brackets(path);
  tct_yaml *value = NULL, *at = root;
  TCT_TRY(tct_yaml_parse(arena, equals + 1, strlen(equals + 1), origin, source, &value));
  if (equals[1] == '\0' && !(value = tct_yaml_new(arena, TCT_YAML_SCALAR, ""))) return TCT_OUT_OF_MEMORY;
  value->source = source;
  for (int32_t depth = 0; *path; depth++) {
    if (depth == TCT_YAML_MOST_DEPTH / 2) return fail_override(&o, "the path is too deep at", path);
    TCT_TRY(step_down(&o, at, next_step(&path), &at));
  }
  tct_yaml_replace(at, value);
  return TCT_OK;
}

/* ---- printing ----------------------------------------------------------------------------------------- */

static bool is_plain(const char *text) {
  static const char safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./+=$-";
  const size_t length = strlen(text);
  if (length == 0 || strspn(text, safe) != length || strcmp(text, "-") == 0 || text[0] == '=') return false;
  return strncmp(text, "---", 3) != 0 && strncmp(text, "...", 3) != 0;
}

static void print_scalar(const tct_yaml *node, tct_text *out) {
  if (tct_yaml_is_null(node))
    tct_text_append(out, "null");
  else if (!node->quoted && is_plain(node->text))
    tct_text_append(out, node->text);
  else
    tct_text_json_string(out, node->text);
}

static void print_key(const char *key, tct_text *out) {
  if (is_plain(key))
    tct_text_append(out, key);
  else
    tct_text_json_string(out, key);
  tct_text_append(out, ":");
}

static void print_block(const tct_yaml *node, int indent, bool inline_first, tct_text *out);

/* After "key:" or "-". */
static void print_value(const tct_yaml *node, int indent, tct_text *out) {
  bool flat = node->kind == TCT_YAML_LIST;
  for (const tct_yaml *item = node->first; flat && item; item = item->next) flat = item->kind == TCT_YAML_SCALAR;
  if (node->kind == TCT_YAML_SCALAR) {
    tct_text_append(out, " ");
    print_scalar(node, out);
    tct_text_append(out, "\n");
  } else if (node->kind == TCT_YAML_MAP && node->n == 0) {
    tct_text_append(out, " {}\n");
  } else if (flat) {
    tct_text_append(out, " [");
    for (const tct_yaml *item = node->first; item; item = item->next) {
      if (item != node->first) tct_text_append(out, ", ");
      print_scalar(item, out);
    }
    tct_text_append(out, "]\n");
  } else {
    const bool item_of_map = node->parent->kind == TCT_YAML_LIST && node->kind == TCT_YAML_MAP;
    tct_text_append(out, item_of_map ? " " : "\n");
    print_block(node, indent, item_of_map, out);
  }
}

/* A mapping's or a list's lines; inline_first: the first line continues one that has its indent already. */
static void print_block(const tct_yaml *node, int indent, bool inline_first, tct_text *out) {
  for (const tct_yaml *child = node->first; child; child = child->next) {
    if (!(inline_first && child == node->first)) tct_text_printf(out, "%*s", indent, "");
    if (node->kind == TCT_YAML_MAP)
      print_key(child->key, out);
    else
      tct_text_append(out, "-");
    print_value(child, indent + 2, out);
  }
}

void tct_yaml_print(const tct_yaml *root, tct_text *out) {
  if (root->n == 0)
    tct_text_append(out, "{}\n");
  else
    print_block(root, 0, false, out);
}
