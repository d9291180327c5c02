/* tercet-measure: reads a request (JSON, one object) from its standard input, runs it in this fresh process and answers with one
 * record of docs/comparison.md on its standard output. tercet-perf starts it for each run, so that every cold start is cold,
 * memory is one run's, and a device that takes the process with it costs one run. */
#include <signal.h>
#include <stdio.h>
#if defined(__linux__)
#include <sys/prctl.h>
#endif
#include "perf/compare/run.h"

int main(void) {
  json_error_t error;
#if defined(__linux__)
  (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* who asked and is gone hears no answer */
#endif
  json_t *const request = json_loadf(stdin, 0, &error);
  if (request == NULL || !json_is_object(request)) {
    fprintf(stderr, "tercet-measure: the request is no JSON object (%s); tercet compare writes it\n", request == NULL ? error.text : "another value");
    json_decref(request);
    return 2;
  }
  json_t *const record = perf_answer(request);
  const bool ok = record != NULL && json_dumpf(record, stdout, JSON_COMPACT) == 0 && fputc('\n', stdout) != EOF && fflush(stdout) == 0;
  json_decref(record);
  json_decref(request);
  if (!ok) fputs("tercet-measure: the answer could not be written\n", stderr);
  return ok ? 0 : 1;
}
