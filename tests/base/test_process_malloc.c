/* What the process allocates, not only the library through its seam: tests/support/malloc/probe.c has a malloc of its own,
 * and runs here. */
#include "faults.h"
#include "test.h"

#include <sys/wait.h>

/* Runs the program, prints what it says when it fails. */
static void run_probe(const char *arguments) {
  char command[SCRATCH_BYTES + 256], text[8192];
  (void)snprintf(command, sizeof command, "%s %s 2>&1", TCT_MALLOC_PROBE, arguments);
  FILE *const pipe = popen(command, "r");
  CHECK(pipe != NULL, "%s", command);
  text[fread(text, 1, sizeof text - 1, pipe)] = '\0';
  const int status = pclose(pipe);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s: status %d\n%s", command, status, text);
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
