/* The in-process runner for tests/test.h: every test in one process, one after the other, for sanitizers and valgrind.
 * Arguments are parts of "suite/name"; without one, all tests run. `--list` prints the names. */
#include "test.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>

typedef struct test_row {
  const char *suite, *name;
  void (*fn)(void);
} test_row;

static test_row *rows; /* owned; grows while the constructors register */
static size_t n_rows;
static _Thread_local jmp_buf *escape; /* of the running test; NULL on every other thread */
static bool skipped;

void test_register(const char *suite, const char *name, void (*fn)(void)) {
  test_row *larger = realloc(rows, (n_rows + 1) * sizeof *rows);
  if (!larger) abort();
  rows = larger;
  rows[n_rows++] = (test_row){suite, name, fn};
}

void test_fail(const char *file, int line, const char *format, ...) {
  va_list args;
  va_start(args, format);
  (void)fprintf(stderr, "  %s:%d: ", file, line);
  (void)vfprintf(stderr, format, args);
  (void)fputc('\n', stderr);
  va_end(args);
  if (!escape) { /* another thread's stack cannot be left by a jump */
    (void)fputs("  failed on a thread of its own: the run ends here\n", stderr);
    exit(EXIT_FAILURE);
  }
  longjmp(*escape, 1);
}

void test_skip(const char *format, ...) {
  va_list args;
  va_start(args, format);
  (void)fputs("  skipped: ", stdout);
  (void)vprintf(format, args);
  (void)putchar('\n');
  va_end(args);
  skipped = true;
}

static int by_name(const void *a, const void *b) {
  const test_row *const x = a, *const y = b;
  const int suite = strcmp(x->suite, y->suite);
  return suite != 0 ? suite : strcmp(x->name, y->name);
}

static bool wanted(const char *label, int n_filters, char **filters) {
  for (int i = 0; i < n_filters; i++)
    if (strstr(label, filters[i])) return true;
  return n_filters == 0;
}

static bool passes(void (*fn)(void)) {
  jmp_buf here;
  escape = &here;
  const bool failed = setjmp(here) != 0;
  if (!failed) fn();
  escape = NULL;
  return !failed;
}

int main(int argc, char **argv) {
  const bool list = argc == 2 && strcmp(argv[1], "--list") == 0;
  size_t n_passed = 0, n_failed = 0, n_skipped = 0;
  qsort(rows, n_rows, sizeof *rows, by_name);
  for (size_t i = 0; i < n_rows; i++) {
    char label[256];
    (void)snprintf(label, sizeof label, "%s/%s", rows[i].suite, rows[i].name);
    if (!list && !wanted(label, argc - 1, argv + 1)) continue;
    (void)puts(label);
    (void)fflush(stdout);
    if (list) continue;
    skipped = false;
    if (!passes(rows[i].fn)) {
      (void)fprintf(stderr, "FAILED %s\n", label);
      n_failed++;
    } else if (skipped) {
      n_skipped++;
    } else {
      n_passed++;
    }
  }
  if (!list) (void)printf("%zu passed, %zu failed, %zu skipped\n", n_passed, n_failed, n_skipped);
  free(rows);
  return n_failed > 0 || (!list && n_passed + n_skipped == 0) ? EXIT_FAILURE : EXIT_SUCCESS;
}
