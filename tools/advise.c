/* tercet advise: what it says of itself. What it does is tools/perf/advise.c. */
#include "tool.h"

const tool_command tool_advise = {
    .name = "advise",
    .letter = 'a',
    .argument = "JOB.yaml",
    .summary = "predict which device meets a budget, a deadline, a latency",
    .about = "Predicts a job's step, time, cost, energy and memory on each device, with intervals: of what is here from twenty\n"
             "measured steps, or with --analytic without any, from the ops' flops and bytes and the machine's measured peaks;\n"
             "of tpu:... from its model. Marks those that are not beaten, and names the device that meets the limits, the\n"
             "limit that decided, and the runner-up. Each prediction is kept in JOB.advise.jsonl; --verify compares the last\n"
             "one with what 'tercet compare' measured.\n\n"
             "Examples:\n"
             "  tercet advise examples/glyphs.yaml --max-cost 1 --deadline 10m\n"
             "  tercet advise examples/glyphs.yaml --goal latency --max-cost +10% --now cpu\n"
             "  tercet advise examples/glyphs.yaml --needs custom-op --analytic --json\n"
             "  tercet advise examples/glyphs.yaml --verify glyphs.compare.jsonl\n",
    .run = perf_advise};
