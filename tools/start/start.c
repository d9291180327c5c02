/* In `tercet`, the commands that compare are another program's: tercet-perf, which lies beside it in a build folder and in
 * libexec/tercet of an installation, and is given the whole command line. */
#include "tool.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#ifndef TOOL_LIBEXEC
#define TOOL_LIBEXEC "../libexec/tercet" /* the build says where an installation has it */
#endif

enum { PATH_BYTES = 4096 };

/* The folder of this program; false when the system does not tell. */
static bool own_folder(char *path, size_t size) {
  const ssize_t n = readlink("/proc/self/exe", path, size - 1);
  if (n <= 0) return false;
  path[n] = '\0';
  char *const slash = strrchr(path, '/');
  if (slash == NULL) return false;
  *slash = '\0';
  return true;
}

/* Returns only when the program cannot be started. */
static int start(void) {
  static const char *const folders[] = {".", TOOL_LIBEXEC};
  char own[PATH_BYTES], path[PATH_BYTES + 256], looked[2 * PATH_BYTES + 1024] = "";
  if (!own_folder(own, sizeof own)) (void)snprintf(own, sizeof own, ".");
  for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
    (void)snprintf(path, sizeof path, "%.4000s/%.200s/tercet-perf", own, folders[i]);
    if (access(path, X_OK) == 0) (void)execv(path, tool_arguments);
    const size_t at = strlen(looked);
    (void)snprintf(looked + at, sizeof looked - at, "%s%.4200s: %s", at > 0 ? "; " : "", path, strerror(errno));
  }
  fprintf(stderr, "tercet: '%s' is done by tercet-perf, which cannot be started (%s); it is part of the installation: install it again [E310]\n",
          tool_arguments[1], looked);
  return TOOL_UNAVAILABLE;
}

#define COMMAND(name)
#define PERF(name)                                                                                                     \
  int perf_##name(const tool_options *options) {                                                                       \
    (void)options;                                                                                                     \
    return start();                                                                                                    \
  }
#include "commands.def"
#undef COMMAND
#undef PERF
