/* See shell.h. */
#include "shell.h"

#include <stdarg.h>
#include <sys/wait.h>
#include "test.h"

int shell(char *out, size_t bytes, const char *format, ...) {
  char command[8192];
  va_list args;
  va_start(args, format);
  const int n = vsnprintf(command, sizeof command, format, args);
  va_end(args);
  CHECK(n > 0 && (size_t)n < sizeof command, "%.200s", format);
  FILE *const pipe = popen(command, "r");
  CHECK(pipe != NULL, "%s", command);
  out[fread(out, 1, bytes - 1, pipe)] = '\0';
  const int status = pclose(pipe);
  CHECK(WIFEXITED(status), "%s was killed: %d\n%s", command, status, out);
  return WEXITSTATUS(status);
}
