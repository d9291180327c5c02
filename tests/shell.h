/* What a test runs through the shell. */
#ifndef TCT_TESTS_SHELL_H
#define TCT_TESTS_SHELL_H

#include <stddef.h>
#include <tercet/types.h>

/* Runs the command line; what it prints to stdout, as far as it fits, ends in `out`. Its exit code; the test fails where the line is longer
 * than 8 KiB, or a signal ended it. */
int shell(char *out, size_t bytes, const char *format, ...) TCT_PRINTF(3, 4);

#endif
