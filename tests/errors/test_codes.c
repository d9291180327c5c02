/* The table of errors: its rows are in order and whole, each is used, `tercet explain` finds them, and docs/errors.md is
 * what it prints. */
#include <ctype.h>
#include <sys/wait.h>
#include <tercet/tercet.h>

#include "base/status.h"
#include "lint/tree.h"
#include "test.h"

#define TERCET TCT_BINARY_DIR "/tercet"

/* What the command prints, to be freed; `code` is its exit code. */
static char *run(const char *arguments, int *code) {
  char command[1024];
  size_t used = 0, room = 1 << 16;
  char *text = malloc(room);
  (void)snprintf(command, sizeof command, "%s %s 2>&1", TERCET, arguments);
  FILE *const pipe = popen(command, "r");
  CHECK(pipe != NULL && text != NULL, "%s", command);
  for (size_t got; (got = fread(text + used, 1, room - used - 1, pipe)) > 0;) {
    used += got;
    if (used + 1 < room) continue;
    room *= 2;
    text = realloc(text, room);
    CHECK(text != NULL);
  }
  text[used] = '\0';
  *code = WEXITSTATUS(pclose(pipe));
  return text;
}

TEST(error_codes, rows_are_whole_and_in_order) {
  const tct_error_kind *before = NULL;
  for (int32_t i = 0; tct_error_kind_at(i); i++) {
    const tct_error_kind *const kind = tct_error_kind_at(i);
    char code[16];
    (void)snprintf(code, sizeof code, "E%03d", (int)kind->number);
    CHECK(strcmp(kind->code, code) == 0, "%s", kind->code);
    CHECK(!before || before->number < kind->number, "%s stands behind %s", kind->code, before->code);
    CHECK(kind->status > TCT_OK && kind->status < TCT_N_STATUS, "%s", code);
    CHECK(*kind->title && strlen(kind->title) <= 70 && !strchr(kind->title, '\n'), "%s: %s", code, kind->title);
    CHECK(strlen(kind->means) > 30 && strlen(kind->fix) > 10 && strlen(kind->example) > 5, "%s", code);
    CHECK(kind->means[strlen(kind->means) - 1] == '.' && kind->fix[strlen(kind->fix) - 1] == '.', "%s", code);
    CHECK(!strchr(kind->means, '\n') && !strchr(kind->fix, '\n'), "%s: lines are broken when printed", code);
    before = kind;
  }
  CHECK(!tct_error_kind_at(-1) && !tct_error_kind_at(INT32_MAX));
  for (int32_t s = 1; s < TCT_N_STATUS; s++) {
    const tct_error_kind *const kind = tct_error_kind_of((uint32_t)s);
    CHECK(kind->number == s && (int32_t)kind->status == s, "status %d is a kind of itself", (int)s);
  }
}

TEST(error_codes, are_found_by_text) {
  static const struct {
    const char *text;
    int32_t number;
  } rows[] = {{"E102", 102}, {"e102", 102}, {"102", 102}, {"E001", 1},   {"1", 1},       {"E0102", 102}, {"", 0},
              {"E", 0},      {"E0", 0},     {"E-1", 0},   {"E4000", 0},  {"EE102", 0},   {"E102 ", 0},   {"[E102]", 0},
              {"rank", 0},   {"E199", 0},   {"E4294967398", 0}};
  for (size_t i = 0; i < TCT_COUNT_OF(rows); i++) {
    const tct_error_kind *const kind = tct_error_kind_find(rows[i].text);
    CHECK((kind ? kind->number : 0) == rows[i].number, "'%s'", rows[i].text);
  }
  CHECK(tct_error_kind_of(4000)->number == TCT_E_INTERNAL && tct_error_kind_of(0)->number == TCT_E_INTERNAL);
  CHECK(tct_error_kind_of(UINT32_MAX)->number == TCT_E_INTERNAL);
}

TEST(error_codes, the_record_has_the_code_once) {
  tct_error_clear();
  CHECK(tct_error_code() == TCT_E_NONE);
  CHECK(tct_fail(TCT_E_RANK, "x has rank %d", 3) == TCT_INVALID);
  CHECK(tct_error_code() == TCT_E_RANK && strcmp(tct_error_message(), "x has rank 3 [E102]") == 0, "%s",
        tct_error_message());
  CHECK(tct_fail(TCT_E_RANK, "1. %s\n2. other [E105]", tct_error_message()) == TCT_INVALID);
  CHECK(strcmp(tct_error_message(), "1. x has rank 3 [E102]\n2. other [E105]") == 0, "%s", tct_error_message());
  CHECK(tct_fail(TCT_OUT_OF_MEMORY, "no room") == TCT_OUT_OF_MEMORY && tct_error_code() == TCT_E_OUT_OF_MEMORY);
  char small[12] = "abcde";
  CHECK(tct_append_code(small, sizeof small, TCT_E_RANK) == 0 && strcmp(small, "abcde") == 0, "5 + 7 and the end: 13");
  small[4] = '\0';
  CHECK(tct_append_code(small, sizeof small, TCT_E_RANK) == 7 && strcmp(small, "abcd [E102]") == 0, "%s", small);
  tct_error_clear();
  CHECK(tct_error_code() == TCT_E_NONE);
}

/* ---- every row is used ---- */

typedef struct usage {
  int n[1000];
} usage;

static void count_uses(void *user, const char *path, char *text) {
  usage *const u = user;
  (void)path;
  for (const char *at = text; (at = strstr(at, "TCT_E_")) != NULL;) {
    at += strlen("TCT_E_");
    size_t length = 0;
    while (isupper((unsigned char)at[length]) || isdigit((unsigned char)at[length]) || at[length] == '_') length++;
#define ERROR(number, name, status, title, means, example, fix)                                                        \
  if (length == sizeof #name - 1 && memcmp(at, #name, length) == 0) u->n[number]++;
#include <tercet/errors.def>
#undef ERROR
  }
}

TEST(error_codes, every_kind_is_reported_somewhere) {
  static usage u;
  CHECK(tree_walk("runtime", ".c", count_uses, &u) > 100);
  CHECK(tree_walk("tools", ".c", count_uses, &u) > 5);
  for (int32_t i = 0; tct_error_kind_at(i); i++) {
    const tct_error_kind *const kind = tct_error_kind_at(i);
    CHECK(kind->number < TCT_N_STATUS || u.n[kind->number] > 0, "nothing reports %s, %s", kind->code, kind->title);
  }
}

/* ---- the command ---- */

TEST(error_codes, the_documentation_is_what_explain_prints) {
  int code = 0;
  char *const printed = run("explain all", &code);
  char *const page = tree_read("docs/errors.md");
  CHECK(code == 0 && strcmp(printed, page) == 0, "docs/errors.md is old; write it anew: tercet explain all > docs/errors.md");
  free(printed);
  free(page);
}

TEST(error_codes, explain) {
  static const struct {
    const char *arguments;
    int code;
    const char *part;
  } rows[] = {
      {"explain E102", 0, "## E102: wrong number of axes\n\n"},
      {"explain 102 --json", 0, "{\"code\":\"E102\",\"title\":\"wrong number of axes\""},
      {"explain", 0, "\nE304  the file is not YAML that a job file may hold\n"},
      {"explain --json", 0, "[{\"code\":\"E001\""},
      {"explain E1002", 2, "no error has the code 'E1002'; did you mean 'E002'? [E310]"},
      {"explain nothing", 2, "no error has the code 'nothing'; 'tercet explain' lists them [E310]"},
      {"explain E102 E103", 2, "'E103' is one argument too many"},
  };
  for (size_t i = 0; i < TCT_COUNT_OF(rows); i++) {
    int code = 0;
    char *const text = run(rows[i].arguments, &code);
    CHECK(code == rows[i].code && strstr(text, rows[i].part), "tercet %s: %d, %s", rows[i].arguments, code, text);
    free(text);
  }
}
