/* The thread-local error record: a message, up to eight context frames and the joined text, all in fixed buffers of the
 * thread, so that running out of memory can be reported too. */
#include "base/status.h"
#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { MESSAGE_BYTES = 2048, FRAME_BYTES = 256, N_FRAMES = 8 };
#define FRAME_LEAD "\n  "

typedef struct error_record {
  tct_status status;
  int n_frames;
  bool joined_is_fresh;
  char message[MESSAGE_BYTES];
  char frame[N_FRAMES][FRAME_BYTES];
  char joined[MESSAGE_BYTES + N_FRAMES * (FRAME_BYTES + sizeof FRAME_LEAD)];
} error_record;

static _Thread_local error_record record;

static const char *const status_names[TCT_N_STATUS] = {
    [TCT_OK] = "ok",
    [TCT_INVALID] = "invalid",
    [TCT_NOT_FOUND] = "not found",
    [TCT_BAD_DATA] = "bad data",
    [TCT_UNSUPPORTED] = "unsupported",
    [TCT_UNAVAILABLE] = "unavailable",
    [TCT_OUT_OF_MEMORY] = "out of memory",
    [TCT_IO] = "input/output error",
    [TCT_NUMERIC] = "not a finite number",
    [TCT_CANCELLED] = "cancelled",
    [TCT_INTERNAL] = "internal error",
};

const char *tct_status_name(tct_status status) {
  return (int)status >= 0 && (int)status < TCT_N_STATUS ? status_names[status] : "?";
}

/* errno survives, so that a caller can still look at what made it fail. */
tct_status tct_fail_v(tct_status status, const char *format, va_list args) {
  const int saved_errno = errno;
  TCT_ASSERT(status != TCT_OK);
  record.status = status;
  record.n_frames = 0;
  record.joined_is_fresh = false;
  tct_format_clipped_v(record.message, sizeof record.message, format, args);
  errno = saved_errno;
  return status;
}

tct_status tct_fail(tct_status status, const char *format, ...) {
  va_list args;
  va_start(args, format);
  (void)tct_fail_v(status, format, args);
  va_end(args);
  return status;
}

/* When all frames are taken the newest replaces the last one: the ends of the chain, where it failed and what the user
 * called, say more than its middle. */
tct_status tct_context(const char *format, ...) {
  va_list args;
  va_start(args, format);
  if (record.status == TCT_OK) {
    (void)tct_fail_v(TCT_INTERNAL, format, args);
  } else {
    const int saved_errno = errno;
    if (record.n_frames < N_FRAMES) record.n_frames++;
    record.joined_is_fresh = false;
    tct_format_clipped_v(record.frame[record.n_frames - 1], FRAME_BYTES, format, args);
    errno = saved_errno;
  }
  va_end(args);
  return record.status;
}

const char *tct_error_message(void) {
  if (record.joined_is_fresh) return record.joined;
  size_t used = strlen(record.message);
  memcpy(record.joined, record.message, used + 1);
  for (int i = 0; i < record.n_frames; i++)
    used += (size_t)snprintf(record.joined + used, sizeof record.joined - used, FRAME_LEAD "%s", record.frame[i]);
  record.joined_is_fresh = true;
  return record.joined;
}

tct_status tct_error_status(void) {
  return record.status;
}

void tct_error_clear(void) {
  record.status = TCT_OK;
  record.n_frames = 0;
  record.message[0] = '\0';
  record.joined_is_fresh = false;
}
