/* tercet compare and tercet report: what they say of themselves. What they do is in tools/perf. */
#include "tool.h"

const tool_command tool_compare = {
    .name = "compare",
    .letter = 'c',
    .argument = "JOB.yaml",
    .summary = "run a job on several devices and say which one to use",
    .about = "Runs the same graph on the same batches from the same seeds on every device in turn (A B A B), each run in a\n"
             "process of its own, and prints medians with intervals, a table and a verdict. --mode steps times steps,\n"
             "epochs trains the job to its end, target until a metric is reached. Nothing falls back: a device that is not\n"
             "here, or cannot run an op, is a row with its reason. Times of cpu and gpu are measured; those of tpu:... are\n"
             "modelled and marked with ~; those of another machine are quoted (--with) and marked with \".\n"
             "All that is seen goes into a data file, line by line (docs/comparison.md): an interrupted comparison goes on\n"
             "with --resume, and 'tercet report' makes tables and pages of it later.\n\n"
             "Examples:\n"
             "  tercet compare examples/glyphs.yaml --devices cpu,tpu:v3\n"
             "  tercet compare examples/glyphs.yaml --devices cpu,gpu,tpu:v3,tpu:v5e --target 'test_accuracy>=0.90' --runs 7\n"
             "  tercet compare examples/glyphs.yaml --sweep batch=1,8,32,128,512 --html report.html\n"
             "  tercet compare examples/glyphs.yaml --with h200.jsonl\n",
    .run = perf_compare};

const tool_command tool_report = {
    .name = "report",
    .letter = 'r',
    .argument = "FILE.jsonl",
    .summary = "tables and pages of what tercet compare wrote",
    .about = "Reads a data file of 'tercet compare' and prints its table and verdict again; --html, --csv, --dawnbench and\n"
             "--json make other forms of it. Nothing runs. --with quotes other machines' files of the same job, --prices\n"
             "counts dollars anew.\n\n"
             "Examples:\n"
             "  tercet report glyphs.compare.jsonl\n"
             "  tercet report glyphs.compare.jsonl --with h200.jsonl --html report.html --csv all.csv\n",
    .run = perf_report};
