/* Files in memory, texts, and the promises that every target checks. */
#define _GNU_SOURCE /* memfd_create */
#include "fuzz/targets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void fuzz_expect(bool holds, const char *what) {
  if (holds) return;
  (void)fprintf(stderr, "broken promise: %s (last error: %s)\n", what, tct_error_message());
  abort();
}

const char *fuzz_file(int slot, const uint8_t *data, size_t bytes) {
  static int fd[2] = {-1, -1};
  static char path[2][64];
  if (fd[slot] < 0) {
    fd[slot] = memfd_create("fuzz", MFD_CLOEXEC);
    (void)snprintf(path[slot], sizeof path[slot], "/proc/self/fd/%d", fd[slot]);
  }
  const bool written = fd[slot] >= 0 && ftruncate(fd[slot], 0) == 0 &&
                       (bytes == 0 || pwrite(fd[slot], data, bytes, 0) == (ssize_t)bytes);
  fuzz_expect(written, "a file in memory");
  return path[slot];
}

char *fuzz_text(const uint8_t *data, size_t bytes) {
  char *const text = malloc(bytes + 1);
  fuzz_expect(text != NULL, "memory for a text");
  if (bytes > 0) memcpy(text, data, bytes);
  text[bytes] = '\0';
  return text;
}

bool fuzz_passed(tct_status status) {
  if (status == TCT_OK) return true;
  const char *const message = tct_error_message();
  const tct_error_kind *kind = NULL;
  for (int32_t i = 0; (kind = tct_error_kind_at(i)) != NULL && kind->number != tct_error_code();) i++;
  fuzz_expect(status != TCT_INTERNAL, "an error of the library's own");
  fuzz_expect(tct_error_status() == status, "the record has the status that was returned");
  fuzz_expect(kind != NULL && kind->status == status, "the code is of that status");
  fuzz_expect(strstr(message, kind->code) != NULL, "the message has the code");
  tct_error_clear();
  return false;
}
