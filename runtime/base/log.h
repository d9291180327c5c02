/* Log lines to the user's callback (tct_set_log); nowhere without one. The callback runs on the thread that logs, maybe on
 * several at once; a text with newlines arrives as several lines, each without its newline. */
#ifndef TCT_BASE_LOG_H
#define TCT_BASE_LOG_H

#include <tercet/types.h>

/* Not tct_log: that is the natural logarithm of <tercet/ops.h>. */
void tct_log_line(tct_log_level level, const char *format, ...) TCT_PRINTF(2, 3);
bool tct_log_wants(tct_log_level level);

#endif
