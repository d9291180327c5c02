/* The page of a summary that is already there: `tercet report --json` of this or another machine, or one of the tests'.
 *   report_page SUMMARY.json PAGE.html */
#include "perf/report/report.h"


int main(int argc, char **argv) {
  json_error_t error;
  char why[256] = "";
  if (argc != 3) {
    (void)fprintf(stderr, "report_page: needs SUMMARY.json and PAGE.html\n");
    return 2;
  }
  json_t *const summary = json_load_file(argv[1], 0, &error);
  if (summary == NULL) {
    (void)fprintf(stderr, "report_page: '%s', line %d: %s\n", argv[1], error.line, error.text);
    return 3;
  }
  FILE *const to = fopen(argv[2], "w");
  bool written = to != NULL && perf_report_html(summary, to, why, sizeof why);
  written = to != NULL && fclose(to) == 0 && written;
  if (!written) (void)fprintf(stderr, "report_page: '%s': %s\n", argv[2], *why != '\0' ? why : "cannot be written");
  json_decref(summary);
  return written ? 0 : 1;
}
