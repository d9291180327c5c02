/* The sources: nodes that the graph makes itself (tct_input, tct_variable, tct_constant). They compute nothing.
 *   input     → dtype[shape], fed before each run
 *   variable  → dtype[shape], persistent
 *   constant  → dtype[shape], attrs.data */
#include "ops/defs.h"

static bool infer_source(tct_infer *infer) {
  return tct_refuse(infer, "a source is made by tct_input, tct_variable or tct_constant, not emitted");
}

#define WHY "a source has no operands"
TCT_DEFINE(input, .infer = infer_source, .gradient_why = WHY, .cost = tct_cost_of_nothing);
TCT_DEFINE(variable, .infer = infer_source, .gradient_why = WHY, .cost = tct_cost_of_nothing);
TCT_DEFINE(constant, .infer = infer_source, .gradient_why = WHY, .cost = tct_cost_of_nothing);
