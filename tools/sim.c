/* tercet sim: the systolic array by itself, for computer architects. */
#include "tool.h"

#include <string.h>
#include <tercet/systolic.h>

static int run_sim(const tool_options *options) {
  if (!options->batch) return tool_usage("sim: --batch FILE is missing: a CSV table of experiments");
  if (!options->output) return tool_usage("sim: --output FILE is missing; - is stdout");
  if (tct_systolic_batch(options->batch, options->output) != TCT_OK) return tool_fail();
  return strcmp(options->output, "-") == 0 ? TOOL_OK : tool_finish();
}

const tool_command tool_sim = {
    .name = "sim",
    .letter = 'm',
    .argument = "",
    .summary = "cycles of a systolic array for a table of experiments",
    .about = "Reads a CSV table and writes the same rows with the results behind them. Two kinds, told apart by\n"
             "the header:\n"
             "  tile lists  mode, R, C, n_folds, T_per_fold, weight_ready_cycle_per_fold: the cycles of an array of\n"
             "              R rows and C columns for its folds, weight, output or input stationary (ws_overlap,\n"
             "              ws_serial, os_overlap, os_serial_drain, is_overlap, is_serial)\n"
             "  layers      simulator, mode, ifmap_h … array_cols: SCALE-Sim's cycles, stalls, utilisations, SRAM\n"
             "              and DRAM counts, those of its versions v2 and v3, calc and user mode, to the digit\n\n"
             "Example:\n"
             "  tercet sim --batch experiments.csv -o results.csv\n",
    .run = run_sim};
