/* The thread-local error record: a message with the code of its kind, up to eight context frames and the joined text,
 * all in fixed buffers of the thread, so that running out of memory can be reported too. */
#include "base/status.h"
#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#undef tct_fail
#undef tct_context

enum { CODE_BYTES = 16 };
#define FRAME_LEAD "\n  "

static _Thread_local tct_error_record record;
static _Thread_local bool joined_is_fresh;
static _Thread_local char joined[TCT_ERROR_MESSAGE_BYTES + CODE_BYTES + TCT_ERROR_FRAMES * (TCT_ERROR_FRAME_BYTES + sizeof FRAME_LEAD)];

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
tct_status tct_fail_v(uint32_t code, const char *format, va_list args) {
  const int saved_errno = errno;
  const tct_error_kind *const kind = tct_error_kind_of(code);
  TCT_ASSERT((uint32_t)kind->number == code);
  record.status = kind->status;
  record.code = kind->number;
  record.n_frames = 0;
  joined_is_fresh = false;
  tct_format_clipped_v(record.message, sizeof record.message, format, args);
  errno = saved_errno;
  return kind->status;
}

tct_status tct_fail(uint32_t code, const char *format, ...) {
  va_list args;
  va_start(args, format);
  const tct_status status = tct_fail_v(code, format, args);
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
    if (record.n_frames < TCT_ERROR_FRAMES) record.n_frames++;
    joined_is_fresh = false;
    tct_format_clipped_v(record.frame[record.n_frames - 1], TCT_ERROR_FRAME_BYTES, format, args);
    errno = saved_errno;
  }
  va_end(args);
  return record.status;
}

size_t tct_append_code(char *text, size_t bytes, uint32_t code) {
  char mark[CODE_BYTES];
  const size_t used = strlen(text);
  const int length = snprintf(mark, sizeof mark, " [%s]", tct_error_kind_of(code)->code);
  if (strstr(text, mark) || used + (size_t)length >= bytes) return 0;
  memcpy(text + used, mark, (size_t)length + 1);
  return (size_t)length;
}

const char *tct_error_message(void) {
  if (joined_is_fresh) return joined;
  size_t used = strlen(record.message);
  memcpy(joined, record.message, used + 1);
  if (record.status != TCT_OK) used += tct_append_code(joined, sizeof joined, (uint32_t)record.code);
  for (int i = 0; i < record.n_frames; i++)
    used += (size_t)snprintf(joined + used, sizeof joined - used, FRAME_LEAD "%s", record.frame[i]);
  joined_is_fresh = true;
  return joined;
}

int32_t tct_error_code(void) {
  return record.status == TCT_OK ? TCT_E_NONE : record.code;
}

tct_status tct_error_status(void) {
  return record.status;
}

void tct_error_save(tct_error_record *out) {
  *out = record;
}

void tct_error_restore(const tct_error_record *saved) {
  record = *saved;
  joined_is_fresh = false;
}

void tct_error_clear(void) {
  record.status = TCT_OK;
  record.code = TCT_E_NONE;
  record.n_frames = 0;
  record.message[0] = '\0';
  joined_is_fresh = false;
}
