/* A program started with two pipes: its standard input and output. */
#ifndef TERCET_PERF_CHILD_H
#define TERCET_PERF_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

typedef struct perf_child {
  pid_t pid;
  int to, from; /* the caller's ends, close-on-exec: closes them, and waits for pid */
} perf_child;

/* argv[0] is the program's path; it gets this process's environment and a process group of its own. false: errno tells why, and
 * nothing is left open. */
bool perf_child_start(const char *const argv[], perf_child *out);

#endif
