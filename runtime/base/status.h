/* The thread-local error record. A failing function calls tct_fail once, where it knows the values; its callers add a
 * frame each with tct_context when they know a name that the user would recognise. Nothing here allocates. */
#ifndef TCT_BASE_STATUS_H
#define TCT_BASE_STATUS_H

#include <stdarg.h>
#include <tercet/types.h>

/* Records `status` and the message (replacing any earlier record); returns `status`. */
tct_status tct_fail(tct_status status, const char *format, ...) TCT_PRINTF(2, 3);
tct_status tct_fail_v(tct_status status, const char *format, va_list args);
/* Adds a frame, shown as a line of its own below the message: "in layer 'fc1'", "reading 'a.csv'". Returns the record's
 * status, so `return tct_context(…)` works. */
tct_status tct_context(const char *format, ...) TCT_PRINTF(1, 2);

#define TCT_TRY(call)                                                                              \
  do {                                                                                             \
    const tct_status try_status_ = (call);                                                         \
    if (try_status_ != TCT_OK) return try_status_;                                                 \
  } while (0)

/* The record put aside while something else runs that may fail, and put back. */
enum { TCT_ERROR_MESSAGE_BYTES = 2048, TCT_ERROR_FRAME_BYTES = 256, TCT_ERROR_FRAMES = 8 };
typedef struct tct_error_record {
  tct_status status;
  int n_frames;
  char message[TCT_ERROR_MESSAGE_BYTES];
  char frame[TCT_ERROR_FRAMES][TCT_ERROR_FRAME_BYTES];
} tct_error_record;
void tct_error_save(tct_error_record *out);
void tct_error_restore(const tct_error_record *saved);

/* For our own bugs only, never for input. Compiled out with NDEBUG. */
#include <assert.h>
#define TCT_ASSERT(condition) assert(condition)

#define TCT_COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

#endif
