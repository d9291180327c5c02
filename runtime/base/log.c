/* Log lines: formatted here, written by the user's callback. */
#include "base/log.h"
#include "base/text.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>

enum { LINE_BYTES = 4096 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* keeps sink_fn and sink_user together */
static tct_log_fn sink_fn;
static void *sink_user;
static atomic_int wanted = -1; /* the chattiest level that is written; -1 without a callback */

void tct_set_log(tct_log_fn fn, void *user, tct_log_level most) {
  pthread_mutex_lock(&lock);
  sink_fn = fn;
  sink_user = user;
  atomic_store(&wanted, fn ? (int)most : -1);
  pthread_mutex_unlock(&lock);
}

bool tct_log_wants(tct_log_level level) {
  return (int)level <= atomic_load_explicit(&wanted, memory_order_relaxed);
}

void tct_log_line(tct_log_level level, const char *format, ...) {
  if (!tct_log_wants(level)) return;
  char text[LINE_BYTES];
  va_list args;
  va_start(args, format);
  tct_format_clipped_v(text, sizeof text, format, args);
  va_end(args);
  pthread_mutex_lock(&lock);
  const tct_log_fn fn = sink_fn;
  void *user = sink_user;
  pthread_mutex_unlock(&lock);
  if (!fn) return;
  /* Outside the lock: the callback may log or replace itself. */
  for (char *line = text; line;) {
    char *end = strchr(line, '\n');
    if (end) *end = '\0';
    fn(user, level, line);
    line = end && end[1] != '\0' ? end + 1 : NULL;
  }
}
