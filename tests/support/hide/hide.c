/* For LD_PRELOAD: a process to which files whose name contains $HIDDEN_LIBRARY are not there, so that a library which this machine has
 * can be missing. */
#define _GNU_SOURCE /* RTLD_NEXT */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

void *dlopen(const char *file, int flags) {
  const char *const hidden = getenv("HIDDEN_LIBRARY");
  void *(*next)(const char *, int);
  void *const symbol = dlsym(RTLD_NEXT, "dlopen");
  memcpy(&next, &symbol, sizeof next);
  if (file != NULL && hidden != NULL && strstr(file, hidden) != NULL) file = "/no/such/file";
  return next(file, flags);
}
