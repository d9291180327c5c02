/* Reading a section by its key table: one loop over the mapping's keys, one conversion per kind, and every problem
 * collected with its place, so that a user mends a file in one go. */
#include "train/job_spec.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <strings.h>

#include "base/status.h"

/* ---- the tables --------------------------------------------------------------------------------------- */

#define SECTION(section, path) static const tct_spec_key section##_keys[] = {
#define KEY(section, key, kind_name, choice_list, only_list, fallback_text, what_text)                                 \
  {.name = #key,                                                                                                       \
   .kind = TCT_SPEC_##kind_name,                                                                                       \
   .choices = choice_list,                                                                                             \
   .only = only_list,                                                                                                  \
   .offset = offsetof(tct_spec_##section, key),                                                                        \
   .fallback = fallback_text,                                                                                          \
   .what = what_text},
#define SECTION_END(section)                                                                                           \
  }                                                                                                                    \
  ;
#include "train/job_keys.def"

#define SECTION(section, path_text)                                                                                    \
  const tct_spec_section tct_section_##section = {                                                                     \
      .path = path_text, .keys = section##_keys, .n_keys = (int32_t)TCT_COUNT_OF(section##_keys)};
#include "train/job_keys.def"

enum { MOST_WORDS = 32, WORD_BYTES = 64, LIST_BYTES = 256 };

/* ---- problems ----------------------------------------------------------------------------------------- */

static void problem_v(tct_problems *problems, const tct_yaml *node, bool at_key, uint32_t code, const char *format,
                      va_list args) {
  if (problems->n == 0) problems->code = code;
  if (problems->n++ >= TCT_JOB_MOST_PROBLEMS) return;
  tct_text *const out = &problems->text;
  if (problems->n > 1) tct_text_append(out, "\n");
  if (node->source > 0)
    tct_text_printf(out, "--set '%s': ", problems->set[node->source - 1]);
  else
    tct_text_printf(out, "%s:%" PRId32 ":%" PRId32 ": ", problems->origin, at_key ? node->key_line : node->line,
                    at_key ? node->key_column : node->column);
  const size_t before = out->length;
  tct_yaml_path(at_key && node->parent ? node->parent : node, out);
  if (out->length > before) tct_text_append(out, ": ");
  tct_text_vprintf(out, format, args);
  tct_text_printf(out, " [%s]", tct_error_kind_of(code)->code);
}

void tct_problem(tct_problems *problems, const tct_yaml *node, bool at_key, const char *format, ...) {
  va_list args;
  va_start(args, format);
  problem_v(problems, node, at_key, TCT_E_KEY_VALUE, format, args);
  va_end(args);
}

void tct_problem_as(tct_problems *problems, const tct_yaml *node, bool at_key, uint32_t code, const char *format, ...) {
  va_list args;
  va_start(args, format);
  problem_v(problems, node, at_key, code, format, args);
  va_end(args);
}

void tct_problem_unknown(tct_problems *problems, const tct_yaml *node, const char *const *known, size_t n_known) {
  const char *const nearest = tct_nearest(node->key, known, n_known);
  if (nearest) {
    tct_problem_as(problems, node, true, TCT_E_UNKNOWN_KEY, "unknown key '%s'; did you mean '%s'?", node->key, nearest);
    return;
  }
  tct_text list = {0};
  for (size_t i = 0; i < n_known; i++) tct_text_printf(&list, "%s%s", i ? ", " : "", known[i]);
  tct_problem_as(problems, node, true, TCT_E_UNKNOWN_KEY, "unknown key '%s'; known here: %s", node->key,
                 list.data ? list.data : "");
  tct_text_free(&list);
}

tct_status tct_problems_status(tct_problems *problems) {
  if (problems->n == 0) return TCT_OK;
  const int32_t more = problems->n - TCT_JOB_MOST_PROBLEMS;
  if (more > 0) tct_text_printf(&problems->text, "\nand %" PRId32 " more", more);
  if (problems->text.failed || !problems->text.data)
    return tct_fail(TCT_OUT_OF_MEMORY, "%s: %" PRId32 " problems, and no memory to list them", problems->origin,
                    problems->n);
  return tct_fail(problems->code, "%s", problems->text.data);
}

/* ---- words -------------------------------------------------------------------------------------------- */

int32_t tct_words_split(char *copy, const char **words, int32_t most) {
  int32_t n = 0;
  while (*copy && n < most) {
    words[n++] = copy;
    copy += strcspn(copy, ",");
    if (*copy == ',') *copy++ = '\0';
  }
  return n;
}

bool tct_word_find(const char *list, const char *text, char *out, size_t out_bytes) {
  const size_t length = strlen(text);
  for (const char *at = list; length > 0 && length < out_bytes && *at;) {
    const size_t word = strcspn(at, ",");
    if (word == length && strncasecmp(at, text, word) == 0) {
      memcpy(out, at, word);
      out[word] = '\0';
      return true;
    }
    at += word;
    if (*at == ',') at++;
  }
  return false;
}

/* ---- values ------------------------------------------------------------------------------------------- */

bool tct_spec_bool(const tct_yaml *node, bool *out) {
  static const char *const words[] = {"true", "yes", "on", "false", "no", "off"};
  if (node->kind != TCT_YAML_SCALAR || node->quoted) return false;
  for (size_t i = 0; i < TCT_COUNT_OF(words); i++)
    if (strcasecmp(node->text, words[i]) == 0) {
      *out = i < TCT_COUNT_OF(words) / 2;
      return true;
    }
  return false;
}

static void problem_value(tct_problems *problems, const tct_yaml *node, const char *needs) {
  static const char *const shapes[] = {[TCT_YAML_LIST] = "a list", [TCT_YAML_MAP] = "a mapping"};
  if (node->kind == TCT_YAML_SCALAR)
    tct_problem(problems, node, false, "is '%s', needs %s", node->text, needs);
  else
    tct_problem(problems, node, false, "is %s, needs %s", shapes[node->kind], needs);
}

/* The kind of error of a word that is none of the key's choices. */
static uint32_t kind_of_unknown(const tct_spec_key *key) {
  return key == tct_section_loss.keys        ? TCT_E_UNKNOWN_LOSS
         : key == tct_section_optimizer.keys ? TCT_E_UNKNOWN_OPTIMIZER
         : key == tct_section_schedule.keys  ? TCT_E_UNKNOWN_WORD
                                             : TCT_E_KEY_VALUE;
}

static void unknown_word(tct_problems *problems, const tct_spec_key *key, const tct_yaml *node, const char *word, bool at_key) {
  char copy[LIST_BYTES];
  const char *words[MOST_WORDS];
  memcpy(copy, key->choices, strlen(key->choices) + 1);
  const int32_t n = tct_words_split(copy, words, MOST_WORDS);
  const char *const nearest = tct_nearest(word, words, (size_t)n);
  if (nearest)
    tct_problem_as(problems, node, at_key, kind_of_unknown(key), "unknown %s '%s'; did you mean '%s'?", key->name, word, nearest);
  else
    tct_problem_as(problems, node, at_key, kind_of_unknown(key), "unknown %s '%s'; known: %s", key->name, word, key->choices);
}

static void read_text(tct_problems *problems, const tct_spec_key *key, const tct_yaml *node, const char **out) {
  if (node->kind != TCT_YAML_SCALAR) {
    problem_value(problems, node, "a text");
    return;
  }
  *out = node->text;
  if (!*key->choices) return;
  char word[WORD_BYTES];
  if (tct_word_find(key->choices, node->text, word, sizeof word)) {
    /* Keras' spellings ("Adam") mean the word in the table, which is what the library knows. */
    memcpy(node->text, word, strlen(word));
    return;
  }
  unknown_word(problems, key, node, node->text, false);
}

static void read_whole(tct_problems *problems, const tct_spec_key *key, const tct_yaml *node, int64_t *out) {
  const int64_t least = key->kind == TCT_SPEC_COUNT ? 1 : 0;
  int64_t value = 0;
  if (node->kind == TCT_YAML_SCALAR && tct_parse_i64(node->text, strlen(node->text), &value) && value >= least)
    *out = value;
  else
    problem_value(problems, node, least ? "a whole number, 1 or more" : "a whole number, 0 or more");
}

static void read_real(tct_problems *problems, const tct_spec_key *key, const tct_yaml *node, double *out) {
  double value = 0;
  const bool number = node->kind == TCT_YAML_SCALAR && tct_parse_double(node->text, strlen(node->text), &value);
  if (key->kind == TCT_SPEC_POSITIVE && !(number && value > 0)) {
    problem_value(problems, node, "a number greater than 0");
  } else if (key->kind == TCT_SPEC_FRACTION && !(number && value >= 0 && value <= 1)) {
    problem_value(problems, node, "a number from 0 to 1");
  } else if (!(number && value >= 0)) {
    problem_value(problems, node, "a number, 0 or more");
  } else {
    const bool zero_is_default = key->fallback[0] == '0' && key->fallback[1] != '.';
    *out = value == 0 && !zero_is_default ? -1 : value;
  }
}

static void read_value(tct_problems *problems, const tct_spec_key *key, const tct_yaml *node, char *member) {
  const bool given = !tct_yaml_is_null(node);
  bool on = false;
  switch (key->kind) {
  case TCT_SPEC_TEXT:
  case TCT_SPEC_PATH:
    *(const char **)(void *)member = NULL;
    if (given) read_text(problems, key, node, (const char **)(void *)member);
    break;
  case TCT_SPEC_COUNT:
  case TCT_SPEC_WHOLE:
    *(int64_t *)(void *)member = 0;
    if (given) read_whole(problems, key, node, (int64_t *)(void *)member);
    break;
  case TCT_SPEC_POSITIVE:
  case TCT_SPEC_REAL:
  case TCT_SPEC_FRACTION:
    *(double *)(void *)member = 0;
    if (given) read_real(problems, key, node, (double *)(void *)member);
    break;
  case TCT_SPEC_SWITCH:
    if (given && !tct_spec_bool(node, &on)) problem_value(problems, node, "true or false");
    *(tct_toggle *)(void *)member = !given ? TCT_DEFAULT : on ? TCT_ON : TCT_OFF;
    break;
  case TCT_SPEC_NODE:
    *(const tct_yaml **)(void *)member = given ? node : NULL;
    break;
  }
}

/* ---- sections ----------------------------------------------------------------------------------------- */

static const tct_spec_key *find_key(const tct_spec_section *section, const char *name) {
  for (int32_t i = 0; i < section->n_keys; i++)
    if (strcmp(section->keys[i].name, name) == 0) return &section->keys[i];
  return NULL;
}

static bool knows(const tct_spec_key *key, const char *type) {
  char word[WORD_BYTES];
  return !*key->only || !type || tct_word_find(key->only, type, word, sizeof word);
}

static void report_unknown(tct_problems *problems, const tct_spec_section *section, const tct_yaml *node,
                           const char *type) {
  const char *known[64];
  size_t n = 0;
  for (int32_t i = 0; i < section->n_keys && n < TCT_COUNT_OF(known); i++)
    if (knows(&section->keys[i], type)) known[n++] = section->keys[i].name;
  tct_problem_unknown(problems, node, known, n);
}

static void check_required(tct_problems *problems, const tct_spec_section *section, const tct_yaml *node, const char *type,
                           const void *out) {
  for (int32_t i = 0; i < section->n_keys; i++) {
    const tct_spec_key *const key = &section->keys[i];
    if (strcmp(key->fallback, "required") != 0 || !knows(key, type) || (*key->only && !type)) continue;
    const bool set = key->kind == TCT_SPEC_COUNT ? *(const int64_t *)(const void *)((const char *)out + key->offset) != 0
                                                 : *(void *const *)(const void *)((const char *)out + key->offset) != NULL;
    if (!set && tct_yaml_is_null(tct_yaml_get(node, key->name)))
      tct_problem_as(problems, node, false, TCT_E_KEY_MISSING, "'%s' is missing: %s", key->name, key->what);
  }
}

void tct_spec_read(tct_problems *problems, const tct_spec_section *section, const tct_yaml *node, const char *type,
                   void *out) {
  const tct_spec_key *const type_key = find_key(section, "type");
  if (node->kind == TCT_YAML_SCALAR && type_key) {
    read_value(problems, type_key, node, (char *)out + type_key->offset);
    check_required(problems, section, node, node->text, out);
    return;
  }
  if (node->kind != TCT_YAML_MAP) {
    problem_value(problems, node, type_key ? "a name, or a mapping with 'type'" : "a mapping");
    return;
  }
  const tct_yaml *const own_type = tct_yaml_get(node, "type");
  if (!type && own_type && own_type->kind == TCT_YAML_SCALAR) type = own_type->text;
  if (!type && type_key && strcmp(type_key->fallback, "required") != 0) type = type_key->fallback;
  char word[WORD_BYTES];
  /* The keys of a type that nobody knows cannot be judged. */
  if (type && type_key && !tct_word_find(type_key->choices, type, word, sizeof word)) type = NULL;
  for (const tct_yaml *at = node->first; at; at = at->next) {
    const tct_spec_key *const key = find_key(section, at->key);
    if (!key)
      report_unknown(problems, section, at, type);
    else if (!knows(key, type) && !tct_yaml_is_null(at))
      tct_problem_as(problems, at, true, TCT_E_UNKNOWN_KEY, "'%s' is not an option of %s; it belongs to %s", at->key,
                     type, key->only);
    else
      read_value(problems, key, at, (char *)out + key->offset);
  }
  check_required(problems, section, node, type, out);
}

bool tct_spec_choose(tct_problems *problems, const tct_spec_section *section, const char *key_name, const tct_yaml *node,
                     char *out, size_t out_bytes) {
  const tct_spec_key *const key = find_key(section, key_name);
  TCT_ASSERT(key != NULL);
  if (tct_word_find(key->choices, node->key, out, out_bytes)) return true;
  unknown_word(problems, key, node, node->key, true);
  return false;
}
