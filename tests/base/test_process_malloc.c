/* What the process allocates, not only the library through its seam: tests/support/malloc/probe.c has a malloc of its own,
 * and runs here. */
#include "faults.h"
#include "shell.h"
#include "test.h"


/* Runs the program, prints what it says when it fails. */
static void run_probe(const char *arguments) {
  char text[8192];
  const int code = shell(text, sizeof text, "%s %s 2>&1", TCT_MALLOC_PROBE, arguments);
  CHECK(code == 0, "%s: exit code %d\n%s", arguments, code, text);
}

TEST(process_malloc, warm_steps_allocate_nothing) {
  if (TCT_MALLOC_PROBE[0] == '\0') SKIP("the sanitizer has a malloc of its own");
  run_probe("steps");
}

TEST(process_malloc, every_allocation_of_parsing_and_saving_fails_in_turn) {
  if (TCT_MALLOC_PROBE[0] == '\0') SKIP("the sanitizer has a malloc of its own");
  char folder[SCRATCH_BYTES], arguments[SCRATCH_BYTES + 16];
  scratch_make(folder);
  (void)snprintf(arguments, sizeof arguments, "faults %s", folder);
  run_probe(arguments);
  scratch_remove(folder);
}
