/* `tercet sim TOPOLOGY.csv`: the options become one configuration of the array or several, and every layer is run on each. */
#include "sim.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_CHOICES = 64 };

/* ---- options ------------------------------------------------------------------------------------------ */

/* Reads a whole number; returns what stands behind it, NULL when there is none. */
static const char *read_whole(const char *text, int64_t *out) {
  char *end = NULL;
  errno = 0;
  const long long value = strtoll(text, &end, 10);
  *out = value;
  return end == text || errno ? NULL : end;
}

typedef struct array_size {
  int64_t rows, cols;
} array_size;

/* "8x8,16x16": how many; 0 after a usage error. */
static int32_t read_arrays(const char *text, array_size *out) {
  int32_t n = 0;
  for (const char *at = text; n < MOST_CHOICES; at++) {
    at = read_whole(at, &out[n].rows);
    at = at && *at == 'x' ? read_whole(at + 1, &out[n].cols) : NULL;
    if (!at) break;
    n++;
    if (*at == '\0') return n;
    if (*at != ',') break;
  }
  (void)tool_usage("sim: --array is '%s', needs rows and columns such as 128x128, at most %d of them with commas between", text,
                   MOST_CHOICES);
  return 0;
}

static int32_t read_dataflows(const char *text, tct_dataflow out[TCT_N_DATAFLOWS]) {
  int32_t n = 0;
  for (const char *at = text; n < TCT_N_DATAFLOWS; at++) {
    char name[4] = "";
    const size_t length = strcspn(at, ",");
    if (length < sizeof name) memcpy(name, at, length);
    if (!tct_dataflow_find(name, &out[n])) break;
    n++;
    at += length;
    if (*at == '\0') return n;
  }
  (void)tool_usage("sim: --dataflow is '%s', needs ws, os or is, or two or three of them with commas between", text);
  return 0;
}

static bool read_sram(const char *text, tct_scale_config *out) {
  const char *at = read_whole(text, &out->ifmap_kb);
  at = at && *at == '/' ? read_whole(at + 1, &out->filter_kb) : NULL;
  at = at && *at == '/' ? read_whole(at + 1, &out->ofmap_kb) : NULL;
  if (at && *at == '\0') return true;
  (void)tool_usage("sim: --sram is '%s', needs KiB of ifmap, filter and ofmap, such as 64/64/64", text);
  return false;
}

/* The position of `word` in a list of n; -1 after a usage error. */
static int read_word(const char *option, const char *word, const char *const *words, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (strcmp(word, words[i]) == 0) return (int)i;
  const char *const nearest = tool_nearest(word, words, n);
  (void)tool_usage("sim: --%s is '%s', needs %s … %s%s%s%s", option, word, words[0], words[n - 1],
                   nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
  return -1;
}

/* What all configurations share. */
static bool read_shared(const tool_options *options, bool several, tct_scale_config *out) {
  static const char *const versions[] = {"v2", "v3"}, *const walks[] = {"all", "reads", "none"};
  *out = (tct_scale_config){.ifmap_kb = 64, .filter_kb = 64, .ofmap_kb = 64, .bandwidth = options->bandwidth, .version = 2,
                            .walks = several ? TCT_SCALE_WALK_NONE : TCT_SCALE_WALK_ALL};
  if (options->sram && !read_sram(options->sram, out)) return false;
  if (options->simulator) {
    const int version = read_word("simulator", options->simulator, versions, 2);
    if (version < 0) return false;
    out->version = 2 + version;
  }
  if (!options->walks) return true;
  const int walk = read_word("walks", options->walks, walks, 3);
  if (walk < 0) return false;
  out->walks = (tct_scale_walks)walk;
  if (options->bandwidth == 0 || walk == TCT_SCALE_WALK_ALL) return true;
  (void)tool_usage("sim: --walks %s does not go with --bandwidth: stalls take all walks", options->walks);
  return false;
}

/* ---- running ------------------------------------------------------------------------------------------ */

/* -1: the count was left out. */
static double words_of(int64_t a, int64_t b, int64_t c) {
  return a < 0 || b < 0 || c < 0 ? (double)NAN : (double)a + (double)b + (double)c;
}

static void add_layer(const tct_scale_report *r, double copies, sim_total *total) {
  total->cycles += copies * (double)r->total_cycles;
  total->stalls += copies * (double)r->stall_cycles;
  total->macs += copies * (double)r->m * (double)r->k * (double)r->n;
  total->sram_words += copies * words_of(r->sram_ifmap_reads, r->sram_filter_reads, r->sram_ofmap_writes);
  total->dram_words += copies * words_of(r->dram_ifmap_reads, r->dram_filter_reads, r->dram_ofmap_writes);
}

static tct_status run_layers(const char *path, sim_result *result, tct_scale_report *reports) {
  result->total = (sim_total){0};
  result->reports = reports;
  for (int64_t i = 0; i < tct_topology_n_layers(result->topology); i++) {
    const tct_topology_layer *const l = tct_topology_layer_at(result->topology, i);
    const tct_status status = tct_scale_run(&result->config, &l->layer, &reports[i]);
    if (status != TCT_OK) {
      fprintf(stderr, "tercet: %s:%lld: layer '%.60s' was not run\n", path, (long long)l->line, l->name);
      return status;
    }
    add_layer(&reports[i], (double)l->copies, &result->total);
  }
  return TCT_OK;
}

/* ---- showing ------------------------------------------------------------------------------------------ */

/* What goes to stdout takes the table's place. */
int sim_show(const tool_options *options, const sim_view *view, const void *what) {
  if (options->trace) {
    const int code = view->trace != NULL ? view->trace(what, options->trace) : tool_usage("sim: --trace is of one array and dataflow");
    if (code != TOOL_OK || strcmp(options->trace, "-") == 0) return code;
  }
  if (options->csv) {
    const int code = tool_write_file(options->csv, view->write_csv, what);
    if (code != TOOL_OK || strcmp(options->csv, "-") == 0) return code;
  }
  if (options->json)
    tool_print_json(view->json(what));
  else
    view->print(what);
  return tool_finish();
}

static int run_all(const tool_options *options, const tct_topology *topology, sim_result *results, int32_t n) {
  const size_t n_layers = (size_t)tct_topology_n_layers(topology);
  tct_scale_report *const reports = calloc(n_layers, sizeof *reports);
  if (!reports) {
    fprintf(stderr, "tercet: sim: no memory for the numbers of %zu layers\n", n_layers);
    return TOOL_OUT_OF_MEMORY;
  }
  int code = TOOL_OK;
  for (int32_t i = 0; i < n && code == TOOL_OK; i++) {
    results[i].topology = topology;
    if (run_layers(options->positional, &results[i], reports) != TCT_OK) code = tool_fail();
  }
  const sim_sweep sweep = {results, n};
  if (code == TOOL_OK) code = n == 1 ? sim_show(options, &sim_layers, &results[0]) : sim_show(options, &sim_totals, &sweep);
  free(reports);
  return code;
}

int sim_topology(const tool_options *options) {
  static sim_result results[MOST_CHOICES * TCT_N_DATAFLOWS];
  array_size arrays[MOST_CHOICES];
  tct_dataflow dataflows[TCT_N_DATAFLOWS];
  tct_scale_config shared;
  tct_topology *topology = NULL;
  const int32_t n_arrays = read_arrays(options->array ? options->array : "128x128", arrays);
  const int32_t n_dataflows = n_arrays > 0 ? read_dataflows(options->dataflow ? options->dataflow : "ws", dataflows) : 0;
  const int32_t n = n_arrays * n_dataflows;
  if (n == 0 || !read_shared(options, n > 1, &shared)) return TOOL_USAGE;
  for (int32_t i = 0; i < n; i++) {
    results[i].config = shared;
    results[i].config.rows = arrays[i / n_dataflows].rows;
    results[i].config.cols = arrays[i / n_dataflows].cols;
    results[i].config.dataflow = dataflows[i % n_dataflows];
  }
  if (tct_topology_read(options->positional, &topology) != TCT_OK) return tool_fail();
  const int code = run_all(options, topology, results, n);
  tct_topology_free(topology);
  return code;
}
