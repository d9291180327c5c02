/* A worker's two pipes: the request goes in and is closed, the answer comes out until its end. */
#include "perf/compare/worker.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <tercet/tercet.h>
#include <unistd.h>
#include "perf/support/child.h"
#include "perf/support/machine.h"

enum { POLL_MS = 100, MOST_ANSWER = 256 << 20 };

typedef struct answer {
  char *text;
  size_t n, room;
} answer;

bool perf_worker_path(char *path, size_t size) {
  static const char name[] = "/tercet-measure";
  const ssize_t n = readlink("/proc/self/exe", path, size - 1);
  if (n <= 0) return false;
  path[n] = '\0';
  char *const slash = strrchr(path, '/');
  if (slash == NULL || (size_t)(slash - path) + sizeof name > size) return false;
  memcpy(slash, name, sizeof name);
  return true;
}

static bool write_all(int to, const char *text, size_t n) {
  while (n > 0) {
    const ssize_t wrote = write(to, text, n);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) return false;
    text += wrote;
    n -= (size_t)wrote;
  }
  return true;
}

static bool read_some(int from, answer *a, bool *end) {
  if (a->n + 65536 > a->room) {
    const size_t room = a->room > 0 ? 2 * a->room : 1 << 18;
    char *const more = room <= MOST_ANSWER ? realloc(a->text, room) : NULL;
    if (more == NULL) return false;
    a->text = more;
    a->room = room;
  }
  const ssize_t n = read(from, a->text + a->n, a->room - a->n);
  if (n < 0) return errno == EINTR;
  *end = n == 0;
  a->n += (size_t)n;
  return true;
}

/* Reads to the end; kills the worker when it is cancelled or late. */
static bool read_answer(int from, pid_t pid, double limit, const volatile int *cancel, answer *a, perf_problem *problem) {
  const double end_at = limit > 0 ? perf_now() + limit : 0;
  bool end = false;
  while (!end) {
    struct pollfd ready = {.fd = from, .events = POLLIN};
    const int n = poll(&ready, 1, POLL_MS);
    if (cancel != NULL && *cancel != 0) {
      (void)kill(pid, SIGKILL);
      return perf_fails(problem, TCT_CANCELLED, "interrupted");
    }
    if (end_at > 0 && perf_now() > end_at) {
      (void)kill(pid, SIGKILL);
      return perf_fails(problem, TCT_INTERNAL, "the run was killed: it did not end within %g s", limit);
    }
    if (n <= 0) continue;
    if (!read_some(from, a, &end)) {
      (void)kill(pid, SIGKILL);
      return perf_fails(problem, TCT_INTERNAL, "the run's answer could not be read");
    }
  }
  return true;
}

static bool check_end(pid_t pid, perf_problem *problem, bool answered) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  if (!answered) return false;
  if (WIFSIGNALED(status)) return perf_fails(problem, TCT_INTERNAL, "the process of the run died by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
  return WEXITSTATUS(status) == 0 || perf_fails(problem, TCT_INTERNAL, "the process of the run ended with code %d", WEXITSTATUS(status));
}

static json_t *exchange(const char *worker, const char *text, double limit, const volatile int *cancel, perf_problem *problem) {
  const char *const argv[] = {worker, NULL};
  perf_child child;
  answer a = {NULL, 0, 0};
  json_error_t error;
  if (!perf_child_start(argv, &child)) {
    (void)perf_fails(problem, TCT_UNAVAILABLE, "cannot start '%s': %s; it is part of the installation", worker, strerror(errno));
    return NULL;
  }
  /* A worker that dies early closes its pipe; what it says then is its exit status. */
  (void)write_all(child.to, text, strlen(text));
  (void)close(child.to);
  const bool answered = read_answer(child.from, child.pid, limit, cancel, &a, problem);
  (void)close(child.from);
  const bool ok = check_end(child.pid, problem, answered);
  json_t *const record = ok ? json_loadb(a.text, a.n, 0, &error) : NULL;
  if (ok && !json_is_object(record)) {
    (void)perf_fails(problem, TCT_INTERNAL, "the process of the run answered no JSON object");
    json_decref(record);
  }
  free(a.text);
  return ok && json_is_object(record) ? record : NULL;
}

json_t *perf_worker_ask(const char *worker, const json_t *request, double limit, const volatile int *cancel, perf_problem *problem) {
  char *const text = json_dumps(request, JSON_COMPACT);
  struct sigaction ignore = {.sa_handler = SIG_IGN}, old;
  if (text == NULL) {
    (void)perf_fails(problem, TCT_OUT_OF_MEMORY, "no memory for a request");
    return NULL;
  }
  sigemptyset(&ignore.sa_mask);
  (void)sigaction(SIGPIPE, &ignore, &old);
  json_t *const record = exchange(worker, text, limit, cancel, problem);
  (void)sigaction(SIGPIPE, &old, NULL);
  free(text);
  return record;
}
