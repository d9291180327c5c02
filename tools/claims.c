/* tercet claims: what it says of itself; tools/perf/claims.c does it. */
#include "tool.h"

const tool_command tool_claims = {
    .name = "claims",
    .letter = 'k',
    .argument = "[NAME]",
    .many = true,
    .summary = "what the guides teach, tried on this machine",
    .about = "Runs experiments: what is claimed (\"GPU training is faster than CPU training\", \"dropout reduces overfitting\" …),\n"
             "what was done, expected and found, and whether the claim holds, fails, or cannot be tested here, and why. NAME …\n"
             "runs these alone; --list names them. Each takes less than a minute on two cores; docs/claims.md has them all.\n"
             "Verdicts are made of the numbers that were found, on this machine. A TPU's times are modelled, never measured, and\n"
             "are not compared with measured ones.\n\n"
             "Examples:\n"
             "  tercet claims\n"
             "  tercet claims vanishing-gradients dead-relus\n"
             "  tercet claims --html claims.html\n",
    .run = perf_claims};
