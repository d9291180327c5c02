/* Chips from YAML: the built-in ones (chips/NAME.yaml, compiled in), the user's own files, and overrides by key. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <tercet/chip.h>
#include "base/arena.h"
#include "base/alloc.h"
#include "base/file.h"
#include "base/status.h"
#include "base/text.h"
#include "io/yaml.h"
#include "systolic/chips.h"

#define MOST_FILE_BYTES ((size_t)1 << 20)
#define MOST_SPEC 1024
#define MOST_CHIPS 64 /* that a message names */

typedef enum kind { COUNT, REAL, PAIR, DATAFLOW } kind;
typedef struct key {
  const char *name, *unit;
  kind kind;
  size_t offset; /* in tct_chip; PAIR: of array_rows, before array_cols */
  double least, most;
} key;

#define OFFSET_COUNT(name) offsetof(tct_chip, name)
#define OFFSET_REAL(name) offsetof(tct_chip, name)
#define OFFSET_PAIR(name) offsetof(tct_chip, array_rows)
#define OFFSET_DATAFLOW(name) offsetof(tct_chip, name)
static const key keys[] = {
#define KEY(name, kind, least, most, unit) {#name, unit, kind, OFFSET_##kind(name), least, most},
#include "systolic/chip_keys.def"
#undef KEY
};
enum { N_KEYS = sizeof keys / sizeof keys[0] };

const char *tct_chip_name(int32_t i) { return i >= 0 && i < tct_n_chip_files ? tct_chip_files[i].name : NULL; }

/* ---- values ---- */

/* "940 MHz" → 9.4e8: a number, blanks, a prefix and the unit. Without a unit the number is in the base unit. */
static bool parse_real(const char *text, const char *unit, double *out) {
  static const struct { const char *text; double factor; } prefixes[] = {
      {"Ki", 1024.}, {"Mi", 1048576.}, {"Gi", 1073741824.}, {"Ti", 1099511627776.}, {"k", 1e3}, {"M", 1e6}, {"G", 1e9},
      {"T", 1e12},   {"m", 1e-3},      {"u", 1e-6},         {"n", 1e-9},            {"p", 1e-12}, {"", 1}};
  const size_t digits = strspn(text, "+-.0123456789eE");
  if (!tct_parse_double(text, digits, out)) return false;
  text += digits;
  text += strspn(text, " ");
  if (*text == '\0') return true;
  for (size_t i = 0; i < TCT_COUNT_OF(prefixes); i++) {
    const size_t n = strlen(prefixes[i].text);
    if (strncmp(text, prefixes[i].text, n) == 0 && strcmp(text + n, unit) == 0) {
      *out *= prefixes[i].factor;
      return true;
    }
  }
  return false;
}

/* "128x128" → 128 and 128. */
static bool parse_pair(const char *text, int64_t out[2]) {
  const char *x = strchr(text, 'x');
  return x != NULL && tct_parse_i64(text, (size_t)(x - text), &out[0]) && tct_parse_i64(x + 1, strlen(x + 1), &out[1]);
}

static tct_status set_dataflow(int64_t *out, const char *where, const key *k, const char *text) {
  tct_dataflow found;
  const bool known = tct_dataflow_find(text, &found);
  *out = known ? (int64_t)found : TCT_DATAFLOW_AUTO;
  if (known || strcmp(text, "auto") == 0) return TCT_OK;
  return tct_fail(TCT_INVALID, "%s: %s is '%.60s', needs ws (weights stay in the array), os (results), is (inputs), or auto: ws or is, "
                  "whichever is faster for a product", where, k->name, text);
}

static const key *find_key(const char *name) {
  for (int32_t k = 0; k < N_KEYS; k++) {
    if (strcmp(keys[k].name, name) == 0) return &keys[k];
  }
  return NULL;
}

static tct_status unknown_key(const char *where, const char *name) {
  const char *names[N_KEYS];
  for (int32_t k = 0; k < N_KEYS; k++) names[k] = keys[k].name;
  const char *near = tct_nearest(name, names, N_KEYS);
  return tct_fail(TCT_INVALID, "%s: unknown key '%.40s' of a chip%s%s%s", where, name, TCT_DID_YOU_MEAN(near));
}

static tct_status set_value(tct_chip *chip, const char *where, const key *k, const char *text) {
  void *const member = (char *)chip + k->offset;
  if (k->kind == DATAFLOW) return set_dataflow(member, where, k, text);
  double real = 0;
  int64_t whole[2] = {0, 0};
  bool good = k->kind == PAIR    ? parse_pair(text, whole)
              : k->kind == COUNT ? tct_parse_i64(text, strlen(text), &whole[0])
                                 : parse_real(text, k->unit, &real);
  if (k->kind == COUNT) whole[1] = whole[0];
  if (k->kind == REAL) {
    good = good && real >= k->least && real <= k->most;
  } else {
    for (int i = 0; i < 2; i++) good = good && (double)whole[i] >= k->least && (double)whole[i] <= k->most;
  }
  if (!good) {
    return tct_fail(TCT_INVALID, "%s: %s is '%.60s', needs %s%s%s from %g to %g", where, k->name, text,
                    k->kind == PAIR ? "ROWSxCOLUMNS" : k->kind == COUNT ? "a whole number" : "a number of ",
                    k->kind == REAL ? k->unit : "", k->kind == PAIR ? ", each" : "", k->least, k->most);
  }
  if (k->kind == REAL) {
    *(double *)member = real;
  } else {
    memcpy(member, whole, (k->kind == PAIR ? 2 : 1) * sizeof *whole);
  }
  return TCT_OK;
}

/* ---- files ---- */

/* It stands in tables and messages. */
static tct_status set_name(tct_chip *chip, const char *place, const char *text) {
  const size_t n = strlen(text);
  bool plain = n > 0 && n < sizeof chip->name;
  for (size_t i = 0; i < n; i++) plain = plain && text[i] > ' ' && text[i] <= '~';
  if (!plain) return tct_fail(TCT_INVALID, "%s: the chip's name needs 1 to %zu letters, digits and signs of ASCII, without blanks", place,
                              sizeof chip->name - 1);
  snprintf(chip->name, sizeof chip->name, "%s", text);
  return TCT_OK;
}

/* One entry: `key: value`, or `key: {value: …, source: …}`. */
static tct_status read_entry(tct_chip *chip, const char *where, const tct_yaml *node, bool *seen) {
  char place[300];
  snprintf(place, sizeof place, "%s:%d:%d", where, (int)node->line, (int)node->column);
  const tct_yaml *value = node->kind == TCT_YAML_MAP ? tct_yaml_get(node, "value") : node;
  if (value == NULL || value->kind != TCT_YAML_SCALAR) {
    return tct_fail(TCT_INVALID, "%s: '%s' has no value; needs '%s: {value: …, source: \"…\"}'", place, node->key, node->key);
  }
  if (strcmp(node->key, "name") == 0) {
    return set_name(chip, place, value->text);
  }
  const key *k = find_key(node->key);
  if (k == NULL) return unknown_key(place, node->key);
  seen[k - keys] = true;
  return set_value(chip, place, k, value->text);
}

static tct_status read_text(tct_chip *chip, const char *where, const char *text, size_t bytes, tct_arena *arena) {
  tct_yaml *root = NULL;
  bool seen[N_KEYS] = {false};
  TCT_TRY(tct_yaml_parse(arena, text, bytes, where, 0, &root));
  if (root->kind != TCT_YAML_MAP) return tct_fail(TCT_INVALID, "%s: a chip is a mapping of keys", where);
  for (const tct_yaml *node = root->first; node != NULL; node = node->next) TCT_TRY(read_entry(chip, where, node, seen));
  tct_text missing = {0};
  for (int32_t k = 0; k < N_KEYS; k++) {
    if (!seen[k]) tct_text_printf(&missing, "%s%s", missing.length > 0 ? ", " : "", keys[k].name);
  }
  const bool lacks = missing.length > 0;
  if (lacks) (void)tct_fail(TCT_INVALID, "%s: a chip needs also: %s", where, missing.data);
  tct_text_free(&missing);
  return lacks ? TCT_INVALID : TCT_OK;
}

static tct_status read_builtin(tct_chip *chip, const char *name, tct_arena *arena) {
  for (int32_t i = 0; i < tct_n_chip_files; i++) {
    const tct_chip_file *file = &tct_chip_files[i];
    if (strcmp(file->name, name) == 0) return read_text(chip, name, file->text, strlen(file->text), arena);
  }
  const char *names[MOST_CHIPS];
  char list[256] = "";
  const int32_t n = tct_n_chip_files < MOST_CHIPS ? tct_n_chip_files : MOST_CHIPS;
  for (int32_t i = 0; i < n; i++) {
    const size_t at = strlen(list);
    names[i] = tct_chip_files[i].name;
    snprintf(list + at, sizeof list - at, "%s%s", i > 0 ? ", " : "", names[i]);
  }
  const char *near = tct_nearest(name, names, (size_t)n);
  return tct_fail(TCT_NOT_FOUND, "no TPU chip '%.60s'; there are %s, or give a file: tpu:my-chip.yaml%s%s%s", name, list, TCT_DID_YOU_MEAN(near));
}

static tct_status read_chip(tct_chip *chip, const char *name, tct_arena *arena) {
  const size_t n = strlen(name);
  const bool is_file = strchr(name, '/') != NULL || (n > 5 && strcmp(name + n - 5, ".yaml") == 0) || (n > 4 && strcmp(name + n - 4, ".yml") == 0);
  if (!is_file) return read_builtin(chip, name, arena);
  void *data = NULL;
  size_t bytes = 0;
  TCT_TRY(tct_file_read(name, MOST_FILE_BYTES, &data, &bytes));
  const tct_status status = read_text(chip, name, data, bytes, arena);
  tct_release(data);
  return status;
}

/* What values must be to each other. */
static tct_status check_together(const tct_chip *chip, const char *text) {
  if (chip->passes != 1 && chip->passes != 3 && chip->passes != 6) {
    return tct_fail(TCT_INVALID, "TPU chip '%s': passes is %lld, needs 1 (bf16 products), 3 or 6 (f32)", text,
                    (long long)chip->passes);
  }
  if (chip->dataflow == TCT_OUTPUT_STATIONARY && (chip->array_order != 0 || chip->passes == 3)) {
    return tct_fail(TCT_INVALID, "TPU chip '%s': dataflow is os, and %s runs products on the machine, which sums as an array of weights "
                    "does; needs array_order=0 and passes 1 or 6, or another dataflow", text,
                    chip->array_order != 0 ? "array_order=1" : "passes=3");
  }
  if (chip->quantized != 0 && chip->int8 == 0) {
    return tct_fail(TCT_INVALID, "TPU chip '%s': quantized is 1, and it multiplies no int8; needs int8=1, or quantized=0", text);
  }
  if (chip->weight_fifo > 0 && (chip->cores * chip->arrays != 1 || chip->accumulators < 2 ||
                                                   (chip->dataflow != TCT_DATAFLOW_AUTO && chip->dataflow != TCT_WEIGHT_STATIONARY))) {
    return tct_fail(TCT_INVALID, "TPU chip '%s': weight_fifo is %lld, with %lld arrays and %lld accumulators; needs one array, 2 "
                    "accumulators or more, and dataflow ws", text, (long long)chip->weight_fifo, (long long)(chip->cores * chip->arrays),
                    (long long)chip->accumulators);
  }
  if (chip->chips > 1 && (chip->axes == 0 || chip->ici <= 0)) {
    return tct_fail(TCT_INVALID, "TPU chip '%s': chips is %lld, and it has no links; needs chips=1, or axes= and ici=", text,
                    (long long)chip->chips);
  }
  return TCT_OK;
}

tct_status tct_chip_open(const char *spec, tct_chip *out) {
  *out = (tct_chip){0};
  char text[MOST_SPEC];
  if (spec == NULL || strlen(spec) >= sizeof text) {
    return tct_fail(TCT_INVALID, "TPU chip: the description is %s, needs at most %d characters",
                    spec == NULL ? "missing" : "too long", MOST_SPEC - 1);
  }
  strcpy(text, spec);
  char *rest = strchr(text, ',');
  if (rest != NULL) *rest++ = '\0';
  tct_arena arena = {0};
  tct_status status = read_chip(out, text, &arena);
  tct_arena_free(&arena);
  while (status == TCT_OK && rest != NULL) {
    char *const item = rest + strspn(rest, " "), *const equals = strchr(item, '=');
    rest = strchr(item, ',');
    if (rest != NULL) *rest++ = '\0';
    if (equals == NULL || (rest != NULL && equals > rest)) {
      return tct_fail(TCT_INVALID, "TPU chip '%s': '%.60s' is no override; needs KEY=VALUE, such as hbm=1.2TB/s", text, item);
    }
    *equals = '\0';
    const key *k = find_key(item);
    status = k == NULL ? unknown_key(text, item) : set_value(out, text, k, equals + 1);
  }
  return status == TCT_OK ? check_together(out, text) : status;
}
