/* tercet report: a data file told again. */
#include "outputs.h"

int perf_report(const tool_options *options) { return outputs_write(options, options->positional, false); }
