/* tercet sim: the systolic array by itself, for computer architects. */
#include "sim.h"

#include <string.h>

static int run_table(const tool_options *options) {
  if (options->positional) return tool_usage("sim: give '%s' or --batch, not both", options->positional);
  if (!options->output) return tool_usage("sim: --output FILE is missing; - is stdout");
  if (tct_systolic_batch(options->batch, options->output) != TCT_OK) return tool_fail();
  return strcmp(options->output, "-") == 0 ? TOOL_OK : tool_finish();
}

static bool ends_in(const char *text, const char *end) {
  const size_t n = strlen(text), m = strlen(end);
  return n > m && strcmp(text + n - m, end) == 0;
}

static bool is_job(const char *path) {
  return ends_in(path, ".yaml") || ends_in(path, ".yml") || ends_in(path, ".safetensors");
}

/* The option that describes a bare array; NULL: none is given. */
static const char *array_option(const tool_options *o) {
  return o->array ? "--array" : o->dataflow ? "--dataflow" : o->sram ? "--sram" : o->simulator ? "--simulator"
         : o->walks ? "--walks" : o->bandwidth != 0 ? "--bandwidth" : NULL;
}

/* An option of the other kind is no detail: it would say something about numbers that are not there. */
static int run_job(const tool_options *o) {
  const char *const given = array_option(o);
  if (given != NULL)
    return tool_usage("sim: %s is for topologies; of a job's device say --device tpu:CHIP,KEY=VALUE, such as tpu:v3,array=256x256", given);
  if (o->n_more > 0) return sim_sweep_job(o);
  if (o->accuracy || o->plot) return tool_usage("sim: --accuracy and --plot are for a sweep: tercet sim sweep JOB KEY=VALUE,VALUE …");
  return sim_job(o);
}

/* tercet sim sweep JOB KEY=VALUE,VALUE … */
static int run_sweep(const tool_options *options) {
  tool_options o = *options;
  if (o.n_more == 0) return tool_usage("sim sweep: which job? tercet sim sweep JOB array=64x64,128x128 hbm=300GB/s,900GB/s");
  if (o.n_more == 1) return tool_usage("sim sweep: over what? Behind '%s' give keys of the chip: array=64x64,128x128", o.more[0]);
  if (o.list || o.trace || o.by) return tool_usage("sim sweep: --list, --trace and --by are of one chip: tercet sim JOB");
  if (!is_job(o.more[0])) return tool_usage("sim sweep: '%s' is no job (.yaml, .safetensors); topologies take --array 8x8,16x16 --dataflow ws,os", o.more[0]);
  o.positional = o.more[0];
  return run_job(&o);
}

static int run_sim(const tool_options *options) {
  if (options->batch) return run_table(options);
  if (!options->positional) return tool_usage("sim: which topology? Give its CSV file, or --batch FILE for a table");
  if (options->output) return tool_usage("sim: --output is for --batch; --csv FILE writes a topology's numbers");
  if (strcmp(options->positional, "sweep") == 0) return run_sweep(options);
  if (is_job(options->positional)) return run_job(options);
  const char *const device = options->n_set == 1 && strncmp(options->set[0], "device=", 7) == 0 ? options->set[0] + 7 : NULL;
  if (options->forward || options->list || options->by || options->accuracy || options->plot || (options->n_set > 0 && !device))
    return tool_usage("sim: --forward, --list, --by, --accuracy, --plot and --set are for jobs; '%s' is taken for a topology", options->positional);
  if (device == NULL) return sim_topology(options);
  const char *const given = array_option(options);
  if (given != NULL) return tool_usage("sim: %s describes a bare array; with --device say tpu:CHIP,KEY=VALUE, such as tpu:v3,array=256x256", given);
  return sim_chip(options, device);
}

const tool_command tool_sim = {
    .name = "sim",
    .letter = 'm',
    .argument = "[FILE]",
    .word = "sweep",
    .summary = "what a systolic array takes for a network's layers or a job",
    .about = "FILE is a job (.yaml): its training step on a simulated TPU, op by op: time, useful work, what most cycles\n"
             "went to, energy and cost; --list shows the instructions. Nothing is run; times are modelled, not measured.\n"
             "The chip is --device tpu:CHIP, tpu:v3 where the job names none. What is compiled for it is listed beside.\n\n"
             "sweep JOB KEY=VALUE,VALUE … models every combination of these values of the chip (array, dataflow, vmem, hbm,\n"
             "clock, chips …) and stars those that no other beats in time, energy and cost of a sample, and with --accuracy\n"
             "in what the job reaches with the chip's numbers.\n\n"
             "Or FILE is a topology in SCALE-Sim's format: convolutions (Layer name, IFMAP Height, ... Strides) or products\n"
             "(Layer, M, N, K), told apart by the header. Prints cycles, stalls, utilisation and memory words of each\n"
             "layer on an array of R rows and C columns, SCALE-Sim's to the digit. Without --bandwidth memory never\n"
             "stalls the array. Several arrays or dataflows give a row each. With --device tpu:CHIP the layers run on that\n"
             "chip with its memory instead: int8 on v1, bf16 on the others.\n\n"
             "--batch reads a table of experiments and writes the same rows with the results behind them. Two kinds,\n"
             "told apart by the header:\n"
             "  tile lists  mode, R, C, n_folds, T_per_fold, weight_ready_cycle_per_fold: the cycles of an array of\n"
             "              R rows and C columns for its folds, weight, output or input stationary (ws_overlap,\n"
             "              ws_serial, os_overlap, os_serial_drain, is_overlap, is_serial)\n"
             "  layers      simulator, mode, ifmap_h … array_cols: SCALE-Sim's cycles, stalls, utilisations, SRAM\n"
             "              and DRAM counts, those of its versions v2 and v3, calc and user mode\n\n"
             "Examples:\n"
             "  tercet sim examples/glyphs.yaml --device tpu:v5e\n"
             "  tercet sim examples/glyphs.yaml --by layer\n"
             "  tercet sim sweep examples/glyphs.yaml array=64x64,128x128 dataflow=ws,os,is hbm=300GB/s,900GB/s\n"
             "  tercet sim examples/glyphs.yaml --list --set train.batch_size=512\n"
             "  tercet sim resnet18.csv --array 32x32 --dataflow os\n"
             "  tercet sim resnet18.csv --bandwidth 10 --sram 256/256/128 --csv report.csv\n"
             "  tercet sim gemm.csv --device tpu:v1\n"
             "  tercet sim gemm.csv --array 8x8,16x16,32x32 --dataflow ws,os,is\n"
             "  tercet sim --batch experiments.csv -o results.csv\n",
    .run = run_sim};
