/* Running the `tercet` command in a scratch folder: what it prints, its exit code, its files. */
#ifndef TCT_TESTS_TOOLS_COMMAND_H
#define TCT_TESTS_TOOLS_COMMAND_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "faults.h"
#include "test.h"

extern char **environ;

#define TERCET TCT_BINARY_DIR "/tercet"

typedef struct outcome {
  int code; /* exit code; -signal */
  char out[65536], err[65536];
} outcome;

static char folder[SCRATCH_BYTES];
static outcome result; /* large; of the last run */

static inline const char *in_folder(const char *name) {
  static char paths[8][SCRATCH_BYTES + 64];
  static int turn;
  char *const path = paths[turn++ % 8];
  snprintf(path, sizeof paths[0], "%s/%s", folder, name);
  return path;
}

static inline void read_text(const char *name, char *text, size_t bytes) {
  FILE *const file = fopen(in_folder(name), "r");
  CHECK(file != NULL, "%s", name);
  text[fread(text, 1, bytes - 1, file)] = '\0';
  fclose(file);
}

/* The command leaves alone what its caller ignores, and whoever runs the tests in the background ignores SIGINT. */
static inline void default_signals(void) {
  CHECK(signal(SIGINT, SIG_DFL) != SIG_ERR && signal(SIGTERM, SIG_DFL) != SIG_ERR);
}

enum { MOST_ARGUMENTS = 140 };

static inline pid_t start(const char *const *arguments) {
  char *argv[MOST_ARGUMENTS + 2] = {(char *)(uintptr_t)TERCET};
  for (int i = 0; i < MOST_ARGUMENTS && arguments[i]; i++) argv[i + 1] = (char *)(uintptr_t)arguments[i];
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, in_folder("stdout.txt"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_addopen(&actions, 2, in_folder("stderr.txt"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  pid_t pid = 0;
  CHECK(posix_spawn(&pid, TERCET, &actions, NULL, argv, environ) == 0, "cannot start " TERCET);
  posix_spawn_file_actions_destroy(&actions);
  return pid;
}

static inline void finish(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  result.code = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  read_text("stdout.txt", result.out, sizeof result.out);
  read_text("stderr.txt", result.err, sizeof result.err);
}

/* Runs tercet with the arguments. */
#define RUN(...) finish(start((const char *const[]){__VA_ARGS__, NULL}))
#define EXITS(wanted)                                                                                                  \
  CHECK(result.code == (wanted), "exit code %d, wanted %d\nstdout: %s\nstderr: %s", result.code, (int)(wanted),        \
        result.out, result.err)
#define SHOWS(stream, part) CHECK(strstr(result.stream, (part)), #stream " lacks '%s': %s", (part), result.stream)

static inline void write_text(const char *name, const char *text) {
  FILE *const file = fopen(in_folder(name), "w");
  CHECK(file && fputs(text, file) >= 0 && fclose(file) == 0);
}

static inline void check_same_files(const char *a, const char *b) {
  static char texts[2][1 << 20];
  size_t bytes[2];
  const char *const names[] = {a, b};
  for (int i = 0; i < 2; i++) {
    FILE *const file = fopen(in_folder(names[i]), "rb");
    CHECK(file != NULL, "%s", names[i]);
    bytes[i] = fread(texts[i], 1, sizeof texts[i], file);
    fclose(file);
  }
  CHECK(bytes[0] > 0 && bytes[0] == bytes[1] && memcmp(texts[0], texts[1], bytes[0]) == 0, "%s differs from %s", a, b);
}

static inline bool wait_for(const char *name, const char *part) {
  static char text[65536];
  for (int i = 0; i < 400; i++) {
    read_text(name, text, sizeof text);
    if (strstr(text, part)) return true;
    nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
  }
  return false;
}

#endif
