/* The thread-local error record. A failing function calls tct_fail once, where it knows the values; its callers add a
 * frame each with tct_context when they know a name that the user would recognise. Nothing here allocates. */
#ifndef TCT_BASE_STATUS_H
#define TCT_BASE_STATUS_H

#include <stdarg.h>
#include <tercet/errors.h>
#include <tercet/types.h>

/* Records the kind of error and its message (replacing any earlier record); returns the kind's status. `code` is a row
 * of errors.def (TCT_E_RANK), or a status alone (TCT_INVALID) where no row says more. The message says where, what was
 * there, what is needed and the fix; its code is added behind its first line, unless the text carries it already: a
 * list of problems has one behind each. */
tct_status tct_fail(uint32_t code, const char *format, ...) TCT_PRINTF(2, 3);
tct_status tct_fail_v(uint32_t code, const char *format, va_list args);
/* The row of errors.def; of a number that has none, the row of internal errors. */
const tct_error_kind *tct_error_kind_of(uint32_t code);
/* Appends " [E102]" to the text in a buffer of `bytes`, if it is not in it and fits; returns the bytes added. */
size_t tct_append_code(char *text, size_t bytes, uint32_t code);
/* Adds a frame, shown as a line of its own below the message: "in layer 'fc1'", "reading 'a.csv'". Returns the record's
 * status, so `return tct_context(…)` works. */
tct_status tct_context(const char *format, ...) TCT_PRINTF(1, 2);

/* Analyzers do not see into these, and would follow a failure as a success. */
#ifdef TCT_STATIC_ANALYSIS
#define tct_fail(...)    ((void)(tct_fail)(__VA_ARGS__), TCT_INVALID)
#define tct_context(...) ((void)(tct_context)(__VA_ARGS__), TCT_INVALID)
#endif

#define TCT_TRY(call)                                                                              \
  do {                                                                                             \
    const tct_status try_status_ = (call);                                                         \
    if (try_status_ != TCT_OK) return try_status_;                                                 \
  } while (0)

/* The record put aside while something else runs that may fail, and put back. */
enum { TCT_ERROR_MESSAGE_BYTES = 4096, TCT_ERROR_FRAME_BYTES = 256, TCT_ERROR_FRAMES = 8 };
typedef struct tct_error_record {
  tct_status status;
  int32_t code;
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
