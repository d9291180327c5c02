/* What reads bytes that nobody promised: a function per reader, called by libFuzzer (tests/fuzz/libfuzzer) and by the
 * suite with the seeds of tests/fuzz/seeds/NAME, where what a fuzzer has ever found stays. A target aborts when the
 * reader breaks a promise: an error without a message and a code, a result that cannot be used. */
#ifndef TCT_TESTS_FUZZ_TARGETS_H
#define TCT_TESTS_FUZZ_TARGETS_H

#include <stddef.h>
#include <stdint.h>
#include <tercet/tercet.h>

#define TARGET(name) void fuzz_##name(const uint8_t *data, size_t bytes);
#include "fuzz/targets.def"
#undef TARGET

/* The path of a file in memory that holds these bytes; slot 0 or 1. */
const char *fuzz_file(int slot, const uint8_t *data, size_t bytes);
/* The bytes as text, to be freed. */
char *fuzz_text(const uint8_t *data, size_t bytes);
/* After a call that reports errors: true when it succeeded; aborts on an error without message and code. */
bool fuzz_passed(tct_status status);
/* Aborts unless the condition holds. */
void fuzz_expect(bool holds, const char *what);

#endif
