/* tercet shadow JOB: what it says of itself; tools/perf/shadow.c does it. */
#include "tool.h"

const tool_command tool_shadow = {
    .name = "shadow",
    .letter = 'w',
    .argument = "JOB.yaml",
    .summary = "two devices in lock-step: which op computes something else",
    .about = "Runs the same training step on two devices, op by op, without fusion. Each op of the second device is judged by\n"
             "itself: the first device computes it from the same operands, and the difference is held against the op's error\n"
             "budget, which follows from the type of its numbers and the length of its sums (docs/shadow.md). The first op\n"
             "that leaves its budget is named, with element, values and operands; then the exit code is 8. ULP counts\n"
             "representable numbers between the two results; drift is how far the devices' own values, each from its own\n"
             "operands, have come apart: the largest difference over the largest value.\n\n"
             "After each step the second device takes the first one's weights.\n\n"
             "Examples:\n"
             "  tercet shadow examples/glyphs.yaml --devices cpu,tpu:v3\n"
             "  tercet shadow examples/glyphs.yaml --devices ref,cpu --batch 8 --steps 3 --json\n",
    .run = perf_shadow};
