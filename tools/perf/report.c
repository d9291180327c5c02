/* tercet report: a data file told again. */
#include "outputs.h"

int perf_report(const tool_options *options) {
  const int code = outputs_check(options);
  return code == TOOL_OK ? outputs_write(options, options->positional, false) : code;
}
