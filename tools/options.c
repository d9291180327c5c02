/* Options from one table: getopt_long's arrays, the help texts, and "did you mean" for what nobody knows. */
#include "tool.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

typedef enum effect { SET, SET_TO, TEXT, NUMBER, FLAG, ITEM, ADD_SET } effect;

typedef struct option_row {
  tool_option shown;
  effect effect;
  const char *target; /* SET, SET_TO: path or override */
  size_t offset;      /* TEXT, NUMBER, FLAG, ITEM: the member */
  const char *commands;
} option_row;

#define ROW_SET(path) .target = path
#define ROW_SET_TO(path) .target = path
#define ROW_ADD_SET(unused) .target = unused
#define ROW_TEXT(member) .offset = offsetof(tool_options, member)
#define ROW_NUMBER(member) .offset = offsetof(tool_options, member)
#define ROW_FLAG(member) .offset = offsetof(tool_options, member)
#define ROW_ITEM(member) .offset = offsetof(tool_options, member)
static const option_row rows[] = {
#define OPTION(long_name, short_letter, argument_name, does, goes, who, text)                                          \
  {.shown = {.name = long_name, .letter = short_letter, .argument = argument_name, .help = text},                      \
   .effect = does, .commands = who, ROW_##does(goes)},
#include "options.def"
#undef OPTION
};
enum { N_ROWS = sizeof rows / sizeof rows[0], FIRST_ID = 1000 };

static bool belongs(const option_row *row, const tool_command *command) {
  return strchr(row->commands, command->letter) != NULL;
}

const tool_option *tool_option_next(const tool_command *command, const tool_option *after) {
  size_t i = 0;
  if (after)
    while (&rows[i++].shown != after) continue;
  while (i < N_ROWS && !belongs(&rows[i], command)) i++;
  return i < N_ROWS ? &rows[i].shown : NULL;
}

int tool_usage(const char *format, ...) {
  va_list args;
  va_start(args, format);
  fputs("tercet: ", stderr);
  vfprintf(stderr, format, args);
  va_end(args);
  fprintf(stderr, " [E%d]\n", (int)TCT_E_USAGE);
  return TOOL_USAGE;
}

/* ---- did you mean ------------------------------------------------------------------------------------- */

enum { LONGEST_WORD = 48 };

static size_t distance(const char *a, const char *b) {
  size_t row[LONGEST_WORD + 1] = {0};
  const size_t n = strlen(b);
  for (size_t j = 0; j <= n; j++) row[j] = j;
  for (size_t i = 0; a[i]; i++) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < n; j++) {
      const size_t change = diagonal + (tolower((unsigned char)a[i]) != tolower((unsigned char)b[j]));
      diagonal = row[j + 1];
      const size_t grow = (row[j] < row[j + 1] ? row[j] : row[j + 1]) + 1;
      row[j + 1] = change < grow ? change : grow;
    }
  }
  return row[n];
}

const char *tool_nearest(const char *word, const char *const *candidates, size_t n) {
  const char *best = NULL;
  size_t least = strlen(word) / 3 + 1;
  if (strlen(word) > LONGEST_WORD) return NULL;
  for (size_t i = 0; i < n; i++) {
    const size_t d = strlen(candidates[i]) > LONGEST_WORD ? LONGEST_WORD : distance(word, candidates[i]);
    if (d > least || (best && d == least)) continue;
    least = d;
    best = candidates[i];
  }
  return best;
}

static int unknown_option(const tool_command *command, const char *given) {
  char word[LONGEST_WORD + 1];
  const char *known[N_ROWS];
  size_t n = 0;
  snprintf(word, sizeof word, "%.*s", (int)strcspn(given, "="), given);
  for (size_t i = 0; i < N_ROWS; i++)
    if (belongs(&rows[i], command)) known[n++] = rows[i].shown.name;
  const char *const nearest = strncmp(word, "--", 2) == 0 ? tool_nearest(word + 2, known, n) : NULL;
  if (nearest) return tool_usage("%s: unknown option '%s'; did you mean '--%s'?", command->name, word, nearest);
  return tool_usage("%s: unknown option '%s'; 'tercet %s --help' lists them", command->name, word, command->name);
}

/* ---- applying ----------------------------------------------------------------------------------------- */

static bool add_set(tool_options *out, const char *path, const char *value) {
  if (out->n_set == TOOL_MOST_SETS) {
    (void)tool_usage("more than %d overrides", TOOL_MOST_SETS);
    return false;
  }
  const size_t bytes = strlen(path) + strlen(value) + 2;
  char *const text = malloc(bytes);
  if (!text) {
    (void)tool_usage("out of memory");
    return false;
  }
  snprintf(text, bytes, "%s%s%s", path, *path && *value ? "=" : "", value);
  out->set[out->n_set++] = text;
  return true;
}

static bool read_number(const option_row *row, const char *text, int64_t *out) {
  char *end = NULL;
  errno = 0;
  const long long value = strtoll(text, &end, 10);
  if (errno || end == text || *end || value < 0) {
    (void)tool_usage("--%s is '%s', needs a whole number, 0 or more", row->shown.name, text);
    return false;
  }
  *out = value;
  return true;
}

static bool add_item(const option_row *row, const char *argument, tool_items *items) {
  if (items->n == TOOL_MOST_ITEMS) {
    (void)tool_usage("--%s is there more than %d times", row->shown.name, TOOL_MOST_ITEMS);
    return false;
  }
  items->item[items->n++] = argument;
  return true;
}

static bool apply(const option_row *row, const char *argument, tool_options *out) {
  char *const member = (char *)out + row->offset;
  switch (row->effect) {
  case SET: return add_set(out, row->target, argument);
  case SET_TO: return add_set(out, row->target, "");
  case ADD_SET: return add_set(out, "", argument);
  case NUMBER: return read_number(row, argument, (int64_t *)(void *)member);
  case TEXT: *(const char **)(void *)member = argument; return true;
  case FLAG: *(bool *)(void *)member = true; return true;
  case ITEM: return add_item(row, argument, (tool_items *)(void *)member);
  }
  return false;
}

/* ---- parsing ------------------------------------------------------------------------------------------ */

typedef struct tables {
  struct option longs[N_ROWS + 1];
  char shorts[2 * N_ROWS + 2];
} tables;

static void make_tables(const tool_command *command, tables *out) {
  size_t n = 0, at = 0;
  out->shorts[at++] = ':'; /* a missing argument is told from an unknown option */
  for (size_t i = 0; i < N_ROWS; i++) {
    if (!belongs(&rows[i], command)) continue;
    const bool takes = *rows[i].shown.argument != '\0';
    out->longs[n++] = (struct option){.name = rows[i].shown.name,
                                      .has_arg = takes ? required_argument : no_argument,
                                      .val = FIRST_ID + (int)i};
    if (!rows[i].shown.letter) continue;
    out->shorts[at++] = (char)rows[i].shown.letter;
    if (takes) out->shorts[at++] = ':';
  }
  out->longs[n] = (struct option){0};
  out->shorts[at] = '\0';
}

static const option_row *row_of(const tool_command *command, int id) {
  if (id >= FIRST_ID) return &rows[id - FIRST_ID];
  for (size_t i = 0; i < N_ROWS; i++)
    if (rows[i].shown.letter == id && belongs(&rows[i], command)) return &rows[i];
  return NULL;
}

int tool_parse(const tool_command *command, int argc, char **argv, tool_options *out) {
  tables t;
  make_tables(command, &t);
  opterr = 0;
  optind = 0; /* not 1: the letters of a cluster that was not finished are forgotten as well */
  for (;;) {
    const int at = optind;
    const int id = getopt_long(argc, argv, t.shorts, t.longs, NULL);
    if (id == -1) break;
    if (id == ':') return tool_usage("%s: '%s' needs an argument", command->name, argv[optind - 1]);
    /* getopt moves positionals behind, so the word is the one before optind unless a cluster of letters is open. */
    if (id == '?') return unknown_option(command, argv[optind > at ? optind - 1 : at]);
    const option_row *const row = row_of(command, id);
    if (!row || !apply(row, optarg, out)) return TOOL_USAGE;
  }
  if (out->help) {
    tool_print_help(command, stdout);
    return tool_finish();
  }
  const bool wants = *command->argument != '\0', optional = *command->argument == '[';
  if (wants && !optional && optind == argc)
    return tool_usage("%s: which %s? 'tercet %s --help' has an example", command->name, command->argument,
                      command->name);
  if (wants && optind < argc) out->positional = argv[optind++];
  const bool takes_more = command->many || (command->word && out->positional && strcmp(out->positional, command->word) == 0);
  while (takes_more && optind < argc && out->n_more < TOOL_MOST_MORE) out->more[out->n_more++] = argv[optind++];
  const char *const near = optind < argc && command->word && out->positional ? tool_nearest(out->positional, &command->word, 1) : NULL;
  if (near && !takes_more) return tool_usage("%s: unknown word '%s'; did you mean '%s'?", command->name, out->positional, near);
  if (optind < argc) return tool_usage("%s: '%s' is one argument too many", command->name, argv[optind]);
  return -1;
}

void tool_options_free(tool_options *options) {
  for (int32_t i = 0; i < options->n_set; i++) free((char *)(uintptr_t)options->set[i]);
  options->n_set = 0;
}

const char tool_exit_codes[] =
    "0 done; 1-127 trying again changes nothing (2 usage, 3 invalid job, 4 not found, 5 bad data, 6 unsupported\n"
    "by the device, 7 device unavailable, 8 NaN or Inf, 1 internal); 128 and more may pass when tried again\n"
    "(130 interrupted, 143 terminated, 160 input/output, 161 out of memory).\n";

void tool_print_help(const tool_command *command, FILE *to) {
  fprintf(to, "tercet %s%s%s [options]\n\n%s\n\n%s\nOptions:\n", command->name, *command->argument ? " " : "",
          command->argument, command->summary, command->about);
  for (const tool_option *o = NULL; (o = tool_option_next(command, o)) != NULL;) {
    char left[64];
    snprintf(left, sizeof left, "%c%c%c --%s%s%s", o->letter ? '-' : ' ', o->letter ? o->letter : ' ',
             o->letter ? ',' : ' ', o->name, *o->argument ? " " : "", o->argument);
    fprintf(to, "  %-32s %s\n", left, o->help);
  }
  fprintf(to, "\nExit codes: %s", tool_exit_codes);
}
