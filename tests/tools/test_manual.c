/* What the command says about itself in other forms: man pages that the formatter accepts, and completion that bash runs. */
#include "shell.h"
#include "test.h"

#include <ctype.h>
#include <tercet/tercet.h>

#include "lint/tree.h"

static char out[65536];

/* Runs it in bash; what it prints, both streams, is in `out`. */
static int bash(const char *format, const char *argument) {
  char script[4096];
  (void)snprintf(script, sizeof script, format, argument);
  CHECK(strchr(script, '\'') == NULL, "%s", script);
  return shell(out, sizeof out, "PATH='%s':\"$PATH\" TERCET='%s' bash -c '%s' 2>&1", TCT_BINARY_DIR, TCT_SOURCE_DIR, script);
}

/* The words that bash offers for the words typed so far, one a line. */
TEST(manual, bash_completes) {
  static const struct {
    const char *typed, *wanted; /* what is typed, cut at spaces; offered words, each between spaces */
    const char *not_wanted;
  } rows[] = {
      {"tercet tr", " train ", "evaluate"},
      {"tercet ''", " train evaluate predict ", NULL},
      {"tercet --v", " --version ", "--help"},
      {"tercet help sum", " summary ", "train"},
      {"tercet train --dev", " --device ", "--dtype"},
      {"tercet predict --sa", "", "--save"},
      {"tercet train --dtype f", " f32 f64 ", NULL},
      {"tercet train --dtype = f6", " f64 ", "f32"},
      {"tercet train --fallback =", " host none ", NULL},
      {"tercet evaluate --part t", " train test ", "validation"},
      {"tercet predict -f j", " jsonl ", "csv"},
      {"tercet train --device c", " cpu check ", "ref"},
      {"tercet train --epochs ''", "", "--"},
      {"tercet train $TERCET/examples/g", "/examples/glyphs.yaml ", "graph.c"},
      {"tercet train --init $TERCET/examples/g", "/examples/graph.c ", NULL},
      {"tercet data -o $TERCET/exa", "/examples ", NULL},
      {"tercet data g", " glyphs ", NULL},
      {"tercet sim --dataflow ''", " ws os is ", NULL},
      {"tercet sim sw", " sweep ", NULL},
      {"tercet shadow --d", " --devices --dtype ", "--device "},
      {"tercet claims --", " --list --html --json ", "--set"},
      {"tercet compare --mode ''", " steps epochs target ", NULL},
      {"tercet compare $TERCET/examples/g", "/examples/glyphs.yaml ", "graph.c"},
      {"tercet report $TERCET/perf/results/", "", ".json "},
      {"tercet sim $TERCET/examples/g", "/examples/glyphs.yaml ", "graph.c"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char typed[256];
    (void)snprintf(typed, sizeof typed, "%s", rows[i].typed);
    for (char *quote = strstr(typed, "''"); quote != NULL; quote = strstr(quote, "''")) quote[0] = quote[1] = '"';
    const int code = bash("source $TERCET/tools/completion.bash; COMP_WORDS=(%s); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); "
                           "_tercet tercet; echo \" ${COMPREPLY[*]} \"",
                           typed);
    CHECK(code == 0, "%s: %s", typed, out);
    char wanted[128];
    (void)snprintf(wanted, sizeof wanted, "%s", rows[i].wanted);
    for (char *word = strtok(wanted, " "); word != NULL; word = strtok(NULL, " "))
      CHECK(strstr(out, word) != NULL, "%s offers%s, lacks %s", typed, out, word);
    CHECK(rows[i].not_wanted == NULL || strstr(out, rows[i].not_wanted) == NULL, "%s offers%s", typed, out);
  }
}

TEST(manual, completion_is_clean_bash) {
  CHECK(bash("set -e; tercet help --bash > /dev/null; tercet help --bash | bash -n; %s", "true") == 0, "%s", out);
  CHECK(bash("tercet help --bash %s", "x") == 2 && strstr(out, "'x' is one argument too many") != NULL, "%s", out);
}

TEST(manual, man_pages) {
  CHECK(bash("tercet --help | sed -n %s", "\"s/^  \\([a-z]*\\)  .*[a-z]$/\\1/p\"") == 0, "%s", out);
  char commands[1024];
  (void)snprintf(commands, sizeof commands, "%.1000s", out);
  int n = 0;
  char *rest = NULL;
  for (char *name = strtok_r(commands, "\n", &rest); name != NULL; name = strtok_r(NULL, "\n", &rest), n++) {
    CHECK(bash("tercet help %s --man", name) == 0, "%s", out);
    char title[64], line[128];
    (void)snprintf(title, sizeof title, ".TH TERCET\\-%s 1", name);
    for (char *c = title + 12; *c != '\0'; c++) *c = (char)toupper((unsigned char)*c);
    (void)snprintf(line, sizeof line, "tercet\\-%s \\- ", name);
    CHECK(strncmp(out, title, strlen(title)) == 0 && strstr(out, line) != NULL, "%s", out);
    CHECK(strstr(out, ".SH EXAMPLES\n.nf\ntercet ") != NULL && strstr(out, "\\fB\\-\\-help\\fR\n") != NULL, "%s", out);
  }
  CHECK(n >= 6, "the overview lists %d commands", n);
}

/* The overview is written by hand: it names every command and every variable. */
TEST(manual, overview_is_whole) {
  char *const page = tree_read("docs/tercet.1");
  char *const commands = tree_read("tools/commands.def");
  tct_environment_row row;
  int n = 0;
  for (int32_t i = 0; tct_environment(i, &row); i++) CHECK(strstr(page, row.name) != NULL, "docs/tercet.1 lacks %s", row.name);
  char *rest = NULL;
  for (const char *line = strtok_r(commands, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
    if (strncmp(line, "COMMAND(", 8) != 0 && strncmp(line, "PERF(", 5) != 0) continue;
    char wanted[2][64];
    const char *const at = strchr(line, '(') + 1;
    const int length = (int)strcspn(at, ")");
    n++;
    (void)snprintf(wanted[0], sizeof wanted[0], ".B %.*s\n", length, at);
    (void)snprintf(wanted[1], sizeof wanted[1], "\\-%.*s", length, at);
    CHECK(strstr(page, wanted[1]) != NULL, "docs/tercet.1 does not refer to tercet%s", wanted[1]);
    (void)snprintf(wanted[1], sizeof wanted[1], ".BI %.*s", length, at);
    CHECK(strstr(page, wanted[0]) != NULL || strstr(page, wanted[1]) != NULL ||
              strstr(page, strcat(strcpy(wanted[0], ".BI \""), wanted[1] + 4)) != NULL,
          "docs/tercet.1 lacks the command %.*s", length, at);
  }
  CHECK(n >= 7);
  free(page);
  free(commands);
}

/* The version stands in types.h; what repeats it in prose goes along. */
TEST(manual, version_in_prose) {
  static const char *const files[] = {"docs/tercet.1", "docs/libtercet.3"};
  char wanted[64];
  (void)snprintf(wanted, sizeof wanted, " \"tercet %s\" ", tct_version());
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    char *const text = tree_read(files[i]);
    CHECK(strstr(text, wanted) != NULL && strstr(text, wanted) < strchr(text, '\n'), "%s is not headed%s", files[i], wanted);
    free(text);
  }
  char *const changes = tree_read("CHANGELOG.md");
  (void)snprintf(wanted, sizeof wanted, "\n## %s, ", tct_version());
  const char *const first = strstr(changes, "\n## ");
  CHECK(first != NULL && strncmp(first, wanted, strlen(wanted)) == 0, "CHANGELOG.md does not begin with version %s", tct_version());
  free(changes);
}
