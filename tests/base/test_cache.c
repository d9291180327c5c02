/* The cache on disk: what was written is read, what is not whole or of another key is not there, and nothing is ever an error. */
#include "base/alloc.h"
#include "base/cache.h"
#include "base/file.h"
#include "base/status.h"
#include "faults.h"
#include "test.h"

#include <errno.h>
#include <unistd.h>

static const char key[] = "nvrtc 13.0 sm_90 source", data[] = "some\0bytes";

static bool reads(const char *kind, const void *k, size_t k_bytes) {
  void *got = NULL;
  size_t bytes = 7;
  const bool there = tct_cache_read(kind, k, k_bytes, &got, &bytes);
  if (there) CHECK(bytes == sizeof data && memcmp(got, data, sizeof data) == 0 && ((char *)got)[bytes] == '\0', "%zu bytes", bytes);
  else CHECK(got == NULL && bytes == 0);
  tct_release(got);
  return there;
}

static void keep(void) { tct_cache_write("code", key, sizeof key, data, sizeof data); }

TEST(cache, reads_what_was_written) {
  char folder[SCRATCH_BYTES];
  scratch_make(folder);
  CHECK(setenv("TERCET_CACHE", folder, 1) == 0);
  (void)tct_fail(TCT_INVALID, "from before");
  CHECK(!reads("code", key, sizeof key));
  keep();
  keep();
  CHECK(count_entries(folder) == 1, "%d files", count_entries(folder));
  CHECK(reads("code", key, sizeof key) && !reads("choice", key, sizeof key) && !reads("code", key, sizeof key - 1));
  CHECK(strcmp(tct_error_message(), "from before") == 0 || strstr(tct_error_message(), "from before [") != NULL, "%s", tct_error_message());
  scratch_remove(folder);
}

static void find_file(void *user, const char *name) {
  char *const path = user;
  if (name[0] == '.') return;
  const size_t used = strlen(path);
  (void)snprintf(path + used, SCRATCH_BYTES + 64 - used, "/%s", name);
}

TEST(cache, what_is_not_whole_is_not_there) {
  char folder[SCRATCH_BYTES], path[SCRATCH_BYTES + 64], other[] = "nvrtc 13.0 sm_90 SOURCE";
  void *file = NULL;
  size_t bytes = 0;
  scratch_make(folder);
  CHECK(setenv("TERCET_CACHE", folder, 1) == 0);
  keep();
  (void)snprintf(path, sizeof path, "%s", folder);
  OK(tct_file_list(folder, find_file, path));
  OK(tct_file_read(path, 1000, &file, &bytes));
  for (size_t n = 0; n < bytes; n++) {
    OK(tct_file_write_atomic(path, &(tct_file_part){file, n}, 1));
    CHECK(!reads("code", key, sizeof key), "cut to %zu bytes", n);
    ((char *)file)[n] ^= 1;
    OK(tct_file_write_atomic(path, &(tct_file_part){file, bytes}, 1));
    CHECK(!reads("code", key, sizeof key), "byte %zu is another", n);
    ((char *)file)[n] ^= 1;
  }
  OK(tct_file_write_atomic(path, (tct_file_part[]){{file, bytes}, {"x", 1}}, 2));
  CHECK(!reads("code", key, sizeof key), "longer");
  /* Another key whose hash would be the same: the file is of its name, the key in it is not. */
  memcpy((char *)file + bytes - sizeof data - sizeof other, other, sizeof other);
  OK(tct_file_write_atomic(path, &(tct_file_part){file, bytes}, 1));
  CHECK(!reads("code", key, sizeof key), "another key");
  keep();
  CHECK(reads("code", key, sizeof key), "it is made anew");
  tct_release(file);
  scratch_remove(folder);
}

TEST(cache, folders) {
  char folder[SCRATCH_BYTES], inner[SCRATCH_BYTES + 64];
  scratch_make(folder);
  CHECK(unsetenv("TERCET_CACHE") == 0 && setenv("XDG_CACHE_HOME", folder, 1) == 0);
  keep();
  (void)snprintf(inner, sizeof inner, "%s/tercet", folder);
  CHECK(reads("code", key, sizeof key) && count_entries(inner) == 1);
  CHECK(setenv("TERCET_CACHE", inner, 1) == 0 && unsetenv("XDG_CACHE_HOME") == 0);
  CHECK(reads("code", key, sizeof key), "the same folder by another name");
  static const char *const none[] = {"0", "/dev/null/here"}; /* not wanted; cannot be made */
  for (size_t i = 0; i < 2; i++) {
    CHECK(setenv("TERCET_CACHE", none[i], 1) == 0);
    keep();
    CHECK(!reads("code", key, sizeof key), "%s", none[i]);
  }
  CHECK(unsetenv("TERCET_CACHE") == 0 && setenv("XDG_CACHE_HOME", "relative", 1) == 0 && setenv("HOME", folder, 1) == 0);
  keep();
  CHECK(reads("code", key, sizeof key) && access("relative", F_OK) != 0, "a relative XDG_CACHE_HOME is none");
  CHECK(setenv("HOME", "", 1) == 0);
  keep();
  CHECK(!reads("code", key, sizeof key));
  scratch_remove(inner);
  (void)snprintf(inner, sizeof inner, "%s/.cache/tercet", folder);
  CHECK(count_entries(inner) == 1);
  scratch_remove(inner);
  (void)snprintf(inner, sizeof inner, "%s/.cache", folder);
  scratch_remove(inner);
  scratch_remove(folder);
}

/* Each call and each allocation fails in turn: the entry is there whole, or not, and no other file is. */
TEST(cache, failures_are_no_errors) {
  char folder[SCRATCH_BYTES];
  scratch_make(folder);
  CHECK(setenv("TERCET_CACHE", folder, 1) == 0);
  const int64_t live = tct_alloc_live();
  int n_lost = 0;
  for (int what = 0; what < 4; what++) { /* write, read by files; by allocations */
    bool struck = true;
    for (int nth = 1; struck; nth++) {
      CHECK(nth < 60);
      if (what % 2 != 0) keep();
      (void)(what < 2 ? fault_file(nth, EIO) : fault_alloc(nth));
      if (what % 2 == 0) keep();
      else n_lost += !reads("code", key, sizeof key);
      struck = what < 2 ? fault_file(0, 0) : fault_alloc(0);
      CHECK(count_entries(folder) <= 1, "a temporary file is left");
      (void)reads("code", key, sizeof key);
      CHECK(tct_alloc_live() == live, "%d, call %d: a leak", what, nth);
    }
  }
  CHECK(n_lost > 2, "only %d entries were not read", n_lost);
  scratch_remove(folder);
}
