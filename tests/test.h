/* One test source, two runners: Criterion (a process per test; the suite) and, with TCT_PLAIN_RUNNER, an in-process runner
 * for sanitizers and valgrind (tests/plain_main.c). */
#ifndef TCT_TESTS_TEST_H
#define TCT_TESTS_TEST_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef TCT_PLAIN_RUNNER

void test_register(const char *suite, const char *name, void (*fn)(void));
void test_fail(const char *file, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));
void test_skip(const char *format, ...) __attribute__((format(printf, 1, 2)));
#define TEST(suite, name)                                                                          \
  static void suite##_##name(void);                                                                \
  __attribute__((constructor)) static void suite##_##name##_register(void) {                       \
    test_register(#suite, #name, suite##_##name);                                                  \
  }                                                                                                \
  static void suite##_##name(void)
#define CHECK(condition, ...)                                                                      \
  do {                                                                                             \
    if (!(condition)) test_fail(__FILE__, __LINE__, "" __VA_ARGS__);                               \
  } while (0)
#define SKIP(...)                                                                                  \
  do {                                                                                             \
    test_skip(__VA_ARGS__);                                                                        \
    return;                                                                                        \
  } while (0)

#else

#include <criterion/criterion.h>
#include <criterion/internal/assert.h>
#define TEST(suite, name) Test(suite, name)
#define CHECK(condition, ...) cr_assert(condition, "" __VA_ARGS__)
#define SKIP(...) cr_skip_test(__VA_ARGS__)

#endif

/* The call succeeds; prints the error record otherwise. */
#define OK(call)                                                                                   \
  do {                                                                                             \
    const tct_status ok_status_ = (call);                                                          \
    CHECK(ok_status_ == TCT_OK, "%s: %s: %s", #call, tct_status_name(ok_status_), tct_error_message()); \
  } while (0)

/* The call fails with `status` and its message contains `part`. */
#define FAILS(call, status, part)                                                                  \
  do {                                                                                             \
    const tct_status fails_status_ = (call);                                                       \
    CHECK(fails_status_ == (status), "%s: got %s, wanted %s: %s", #call, tct_status_name(fails_status_), \
          tct_status_name(status), tct_error_message());                                           \
    CHECK(strstr(tct_error_message(), (part)) != NULL, "%s: message lacks '%s': %s", #call, (part), \
          tct_error_message());                                                                    \
  } while (0)

#endif
