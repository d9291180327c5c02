/* tercet explain: what an error's code means, with an example and the remedy. `explain all` is docs/errors.md. */
#include "tool.h"

#include <string.h>

enum { MOST_KINDS = 256, WIDTH = 100 };

/* Words of `text`, broken into lines of at most WIDTH characters. */
static void print_wrapped(const char *text) {
  size_t used = 0;
  while (*text) {
    const size_t word = strcspn(text, " ");
    if (used > 0 && used + 1 + word > WIDTH) {
      putchar('\n');
      used = 0;
    }
    printf("%s%.*s", used > 0 ? " " : "", (int)word, text);
    used += (used > 0 ? 1 : 0) + word;
    text += word + strspn(text + word, " ");
  }
  putchar('\n');
}

static void print_indented(const char *text) {
  while (*text) {
    const size_t line = strcspn(text, "\n");
    printf("    %.*s\n", (int)line, text);
    text += line + (text[line] == '\n');
  }
}

static void print_kind(const tct_error_kind *kind) {
  printf("## %s: %s\n\n", kind->code, kind->title);
  print_wrapped(kind->means);
  printf("\nFor example:\n\n");
  print_indented(kind->example);
  putchar('\n');
  print_wrapped(kind->fix);
}

static void print_all(void) {
  printf("# Error codes\n\n");
  print_wrapped("Every message of an error ends in the code of its kind. A code keeps its meaning in all later versions; the "
                "sentence before it, with the names and values of the case, may become better. In C, tct_error_code() gives the "
                "number. This page is what 'tercet explain all' prints; 'tercet explain E102' prints one of its sections.");
  for (int32_t i = 0; tct_error_kind_at(i); i++) {
    putchar('\n');
    print_kind(tct_error_kind_at(i));
  }
}

static void print_list(void) {
  for (int32_t i = 0; tct_error_kind_at(i); i++)
    printf("%s  %s\n", tct_error_kind_at(i)->code, tct_error_kind_at(i)->title);
}

static json_t *kind_json(const tct_error_kind *kind) {
  return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:i}", "code", kind->code, "title", kind->title, "means", kind->means,
                   "example", kind->example, "fix", kind->fix, "status", tct_status_name(kind->status), "exit_code",
                   kind->number == TCT_E_USAGE ? (int)TOOL_USAGE : tool_exit_code(kind->status));
}

static json_t *list_json(void) {
  json_t *const list = json_array();
  for (int32_t i = 0; tct_error_kind_at(i); i++) json_array_append_new(list, kind_json(tct_error_kind_at(i)));
  return list;
}

static int unknown(const char *code) {
  const char *codes[MOST_KINDS];
  size_t n = 0;
  for (; n < MOST_KINDS && tct_error_kind_at((int32_t)n); n++) codes[n] = tct_error_kind_at((int32_t)n)->code;
  const char *const nearest = tool_nearest(code, codes, n);
  if (nearest) return tool_usage("explain: no error has the code '%s'; did you mean '%s'?", code, nearest);
  return tool_usage("explain: no error has the code '%s'; 'tercet explain' lists them", code);
}

static int run_explain(const tool_options *options) {
  const char *const code = options->positional;
  const bool all = code && strcmp(code, "all") == 0;
  const tct_error_kind *const kind = code && !all ? tct_error_kind_find(code) : NULL;
  if (code && !all && !kind) return unknown(code);
  if (options->json)
    tool_print_json(kind ? kind_json(kind) : list_json());
  else if (kind)
    print_kind(kind);
  else if (all)
    print_all();
  else
    print_list();
  return tool_finish();
}

const tool_command tool_explain = {
    .name = "explain",
    .letter = 'x',
    .argument = "[CODE]",
    .summary = "say what an error's code means, and what to do",
    .about = "CODE is what a message ends in, such as E102 (e102 and 102 do as well). Prints what it means, an example and\n"
             "the remedy. Without CODE: a list of all codes; 'all': every explanation.\n\n"
             "Examples:\n"
             "  tercet explain E102\n"
             "  tercet explain --json\n",
    .run = run_explain};
