/* Starting a program with posix_spawn. */
#include "perf/support/child.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* Close-on-exec, so that no child holds another's pipe. */
static bool open_pipes(int in[2], int out[2]) {
  if (pipe(in) != 0) return false;
  if (pipe(out) != 0) {
    (void)close(in[0]), (void)close(in[1]);
    return false;
  }
  for (int i = 0; i < 2; i++) (void)fcntl(in[i], F_SETFD, FD_CLOEXEC), (void)fcntl(out[i], F_SETFD, FD_CLOEXEC);
  return true;
}

bool perf_child_start(const char *const argv[], perf_child *out) {
  int in[2], from[2];
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  *out = (perf_child){.to = -1, .from = -1};
  if (!open_pipes(in, from)) return false;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  (void)posix_spawn_file_actions_adddup2(&actions, in[0], 0);
  (void)posix_spawn_file_actions_adddup2(&actions, from[1], 1);
  /* The signals that end the parent end its child through it: Ctrl-C would reach both. */
  (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  (void)posix_spawnattr_setpgroup(&attributes, 0);
  const int error = posix_spawn(&out->pid, argv[0], &actions, &attributes, (char *const *)(uintptr_t)argv, environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  (void)close(in[0]), (void)close(from[1]);
  if (error != 0) {
    (void)close(in[1]), (void)close(from[0]);
    errno = error;
    return false;
  }
  out->to = in[1];
  out->from = from[0];
  return true;
}
