/* Rules that a file's text shows: the process is met only through runtime/base, files stay readable, nothing is left for
 * later. */
#include "lint/tree.h"
#include "test.h"

#include <ctype.h>

/* What must go through a seam or not happen in a library at all. */
static const char *const forbidden[] = {
    "malloc", "calloc", "realloc", "free", "aligned_alloc", "posix_memalign", "strdup", "strndup", "mmap", /* alloc.h */
    "open", "openat", "close", "read", "pread", "write", "pwrite", "fopen", "fread", "fwrite", "fclose",   /* file.h */
    "fsync", "fdatasync", "rename", "unlink", "mkdir", "stat", "opendir",                                  /* file.h */
    "clock_gettime", "gettimeofday", "clock", "time", "nanosleep",                                         /* clock.h */
    "getenv", "secure_getenv", "setenv", "rand", "srand", "random", "drand48",                             /* env.h, Philox */
    "abort", "exit", "_exit", "assert", "printf", "vprintf", "puts", "putchar", "fprintf", "perror",       /* never */
};

static bool in_name(char c) { return isalnum((unsigned char)c) || c == '_'; }

/* A call of the C library's `name`: not a member (x->free(…)), not part of another name. */
static const char *find_call(const char *text, const char *name) {
  const size_t n = strlen(name);
  for (const char *at = strstr(text, name); at != NULL; at = strstr(at + 1, name)) {
    const char *before = at;
    while (before > text && (before[-1] == ' ' || before[-1] == '\n')) before--;
    const bool member = before > text && (before[-1] == '.' || (before - text > 1 && strncmp(before - 2, "->", 2) == 0));
    const bool whole = (at == text || !in_name(at[-1])) && at[n + strspn(at + n, " ")] == '(';
    if (whole && !member) return at;
  }
  return NULL;
}

/* A file-local function, or a parameter, of that name is not the C library's. */
static bool is_own(const char *text, const char *name) {
  const char *const at = find_call(text, name);
  const char *line = at;
  while (line != NULL && line > text && line[-1] != '\n') line--;
  return (line != NULL && strncmp(line, "static ", 7) == 0) ||
         (strcmp(name, "write") == 0 && strstr(text, "tct_write_fn write") != NULL);
}

static void check_calls(void *user, const char *path, char *text) {
  int *const n_found = user;
  if (strncmp(path, "runtime/base/", 13) == 0) return;
  tree_blank(text);
  for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++) {
    const char *const at = find_call(text, forbidden[i]);
    if (at == NULL || is_own(text, forbidden[i])) continue;
    (*n_found)++;
    (void)fprintf(stderr, "%s:%d: calls %s(); only runtime/base may (see its headers)\n", path, tree_line(text, at),
                  forbidden[i]);
  }
}

/* Kernels cannot: the headers that declare these are closed to them (test_rooms.c). */
TEST(lint, seams) {
  int n_found = 0;
  CHECK(tree_walk("runtime", ".c .h .def", check_calls, &n_found) > 50);
  CHECK(tree_walk("backends", ".c .h .def", check_calls, &n_found) > 3);
  CHECK(n_found == 0, "%d calls around the seams (listed above)", n_found);
}

TEST(lint, seams_search) {
  static const struct {
    const char *text;
    bool found;
  } rows[] = {
      {"x = malloc(3);", true},         {"malloc (3)", true},        {"backend->free(p);", false}, {"ops.free(p)", false},
      {"tct_malloc(3)", false},         {"void (*free)(int)", false}, {"/* malloc(3) */", false},   {"\"malloc(3)\"", false},
      {"'\"'; malloc(3); '\"'", true},  {"// malloc(3)\n", false},   {"\"\\\"\"; free(p)", true},  {"freed(p)", false},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char text[64];
    (void)snprintf(text, sizeof text, "%s", rows[i].text);
    tree_blank(text);
    const bool found = find_call(text, "malloc") != NULL || find_call(text, "free") != NULL;
    CHECK(found == rows[i].found, "%s", rows[i].text);
  }
}

#define MOST_LINES 800

static void check_shape(void *user, const char *path, char *text) {
  static const char *const left_over[] = {"TO" "DO", "FIX" "ME", "XX" "X:", "#if " "0"};
  int *const n_found = user;
  const int lines = tree_line(text, text + strlen(text)) - 1;
  if (lines > MOST_LINES) {
    (*n_found)++;
    (void)fprintf(stderr, "%s: %d lines, at most %d: it holds two ideas\n", path, lines, MOST_LINES);
  }
  if (strncmp(text, "/*", 2) != 0) {
    (*n_found)++;
    (void)fprintf(stderr, "%s:1: must begin with a comment that says its idea\n", path);
  }
  for (size_t i = 0; i < sizeof left_over / sizeof *left_over; i++) {
    const char *const at = strstr(text, left_over[i]);
    if (at == NULL) continue;
    (*n_found)++;
    (void)fprintf(stderr, "%s:%d: %s\n", path, tree_line(text, at), left_over[i]);
  }
}

TEST(lint, files) {
  static const char *const folders[] = {"include", "kernels", "backends", "runtime", "tools", "perf", "examples", "tests"};
  int n_found = 0, n_files = 0;
  for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
    n_files += tree_walk(folders[i], ".c .h .def", check_shape, &n_found);
  CHECK(n_files > 100, "found only %d files", n_files);
  CHECK(n_found == 0, "%d findings (listed above)", n_found);
}
