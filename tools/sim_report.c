/* The numbers of `tercet sim` as a table, as CSV with SCALE-Sim's column names, as JSON. */
#include "sim.h"

#include <math.h>
#include <string.h>

static double utilisation(const sim_result *r) {
  return 100 * r->total.macs / (r->total.cycles * (double)r->config.rows * (double)r->config.cols);
}

/* ---- tables ------------------------------------------------------------------------------------------- */

void sim_print_name(const char *name, int64_t copies, int width) {
  char more[32] = "";
  if (copies > 1) width -= snprintf(more, sizeof more, " x%lld", (long long)copies);
  for (; *name && (width > 0 || ((unsigned char)*name & 0xc0) == 0x80); name++) {
    const unsigned char c = (unsigned char)*name;
    putchar(c < ' ' || c == 0x7f ? '?' : c);
    width -= (c & 0xc0) != 0x80;
  }
  printf("%s%*s", more, width, "");
}

/* In seven columns: 123, 45.6k, 7.89M. */
static void print_words(double words) {
  static const char units[] = " kMGTPEZ";
  int unit = 0;
  if (isnan(words)) {
    printf(" %7s", "-");
    return;
  }
  for (; words >= 999.5 && units[unit + 1]; unit++) words /= 1000;
  if (unit == 0)
    printf(" %7.0f", words);
  else
    printf(" %6.3g%c", words, units[unit]);
}

static void print_percent(double percent) {
  if (isfinite(percent))
    printf(" %6.2f", percent);
  else
    printf(" %6s", "-");
}

static void print_config(const sim_result *r, bool one) {
  const tct_scale_config *const c = &r->config;
  if (one) printf("%lldx%lld %s, ", (long long)c->rows, (long long)c->cols, tct_dataflow_name(c->dataflow));
  printf("SRAM %lld/%lld/%lld KiB, ", (long long)c->ifmap_kb, (long long)c->filter_kb, (long long)c->ofmap_kb);
  if (c->bandwidth > 0)
    printf("%lld words per cycle, stalls as SCALE-Sim v%d\n", (long long)c->bandwidth, (int)c->version);
  else
    puts("memory never stalls (SCALE-Sim's calc mode)");
}

static void print_layers(const void *what) {
  const sim_result *const r = what;
  print_config(r, true);
  printf("%-20s %8s %8s %8s %14s %11s %6s %6s %7s\n", "layer", "M", "K", "N", "cycles", "stalls", "util %", "map %", "DRAM");
  for (int64_t i = 0; i < tct_topology_n_layers(r->topology); i++) {
    const tct_topology_layer *const l = tct_topology_layer_at(r->topology, i);
    const tct_scale_report *const n = &r->reports[i];
    sim_print_name(l->name, l->copies, 20);
    printf(" %8lld %8lld %8lld %14lld %11lld", (long long)n->m, (long long)n->k, (long long)n->n, (long long)n->total_cycles,
           (long long)n->stall_cycles);
    print_percent(n->overall_util);
    print_percent(n->mapping_efficiency);
    const bool known = n->dram_ifmap_reads >= 0 && n->dram_ofmap_writes >= 0;
    print_words(known ? (double)n->dram_ifmap_reads + (double)n->dram_filter_reads + (double)n->dram_ofmap_writes : (double)NAN);
    putchar('\n');
  }
  printf("%-20s %8s %8s %8s %14.0f %11.0f", "total", "", "", "", r->total.cycles, r->total.stalls);
  print_percent(utilisation(r));
  printf(" %6s", "");
  print_words(r->total.dram_words);
  putchar('\n');
}

static void print_totals(const void *what) {
  const sim_sweep *const sweep = what;
  print_config(&sweep->results[0], false);
  printf("%-15s %-8s %18s %18s %6s %7s %7s\n", "array", "dataflow", "cycles", "stalls", "util %", "SRAM", "DRAM");
  for (int32_t i = 0; i < sweep->n; i++) {
    const sim_result *const r = &sweep->results[i];
    char array[48];
    snprintf(array, sizeof array, "%lldx%lld", (long long)r->config.rows, (long long)r->config.cols);
    printf("%-15s %-8s %18.0f %18.0f", array, tct_dataflow_name(r->config.dataflow), r->total.cycles, r->total.stalls);
    print_percent(utilisation(r));
    print_words(r->total.sram_words);
    print_words(r->total.dram_words);
    putchar('\n');
  }
}

/* ---- CSV ---------------------------------------------------------------------------------------------- */

/* Empty where there is no number. */
static void csv_real(FILE *to, double value) {
  if (isfinite(value))
    fprintf(to, ",%.17g", value);
  else
    fputc(',', to);
}

static void csv_count(FILE *to, int64_t value) {
  if (value >= 0)
    fprintf(to, ",%lld", (long long)value);
  else
    fputc(',', to);
}

static void csv_numbers(const tct_scale_report *r, FILE *to) {
  const double cycles = (double)r->total_cycles;
  csv_count(to, r->total_cycles);
  csv_count(to, r->stall_cycles);
  csv_real(to, r->overall_util);
  csv_real(to, r->mapping_efficiency);
  csv_real(to, r->compute_util);
  csv_real(to, (double)r->sram_ifmap_reads / cycles);
  csv_real(to, (double)r->sram_filter_reads / cycles);
  csv_real(to, (double)r->sram_ofmap_writes / cycles);
  csv_count(to, r->sram_ifmap_reads);
  csv_count(to, r->sram_filter_reads);
  csv_count(to, r->sram_ofmap_writes);
  csv_count(to, r->dram_ifmap_reads);
  csv_count(to, r->dram_filter_reads);
  csv_count(to, r->dram_ofmap_writes);
  fputc('\n', to);
}

/* A depthwise row is a layer for every channel, numbered and named as SCALE-Sim does it. */
static void write_layers_csv(const void *what, FILE *to) {
  const sim_result *const r = what;
  fputs("LayerID,Layer name,Total Cycles,Stall Cycles,Overall Util %,Mapping Efficiency %,Compute Util %,Avg IFMAP SRAM BW,"
        "Avg FILTER SRAM BW,Avg OFMAP SRAM BW,SRAM IFMAP Reads,SRAM Filter Reads,SRAM OFMAP Writes,DRAM IFMAP Reads,"
        "DRAM Filter Reads,DRAM OFMAP Writes\n", to);
  int64_t id = 0;
  for (int64_t i = 0; i < tct_topology_n_layers(r->topology); i++) {
    const tct_topology_layer *const l = tct_topology_layer_at(r->topology, i);
    for (int64_t copy = 0; copy < l->copies; copy++) {
      fprintf(to, "%lld,", (long long)id++);
      tool_print_csv_text(to, l->name);
      if (l->copies > 1) fprintf(to, "Channel_%lld", (long long)copy);
      csv_numbers(&r->reports[i], to);
    }
  }
}

static void write_totals_csv(const void *what, FILE *to) {
  const sim_sweep *const sweep = what;
  fputs("Array Height,Array Width,Dataflow,Total Cycles,Stall Cycles,Overall Util %,SRAM Words,DRAM Words\n", to);
  for (int32_t i = 0; i < sweep->n; i++) {
    const sim_result *const r = &sweep->results[i];
    fprintf(to, "%lld,%lld,%s,%.0f,%.0f", (long long)r->config.rows, (long long)r->config.cols,
            tct_dataflow_name(r->config.dataflow), r->total.cycles, r->total.stalls);
    csv_real(to, utilisation(r));
    csv_real(to, r->total.sram_words);
    csv_real(to, r->total.dram_words);
    fputc('\n', to);
  }
}

/* ---- JSON --------------------------------------------------------------------------------------------- */

static void set_count(json_t *object, const char *key, int64_t value) {
  json_object_set_new(object, key, value < 0 ? json_null() : json_integer(value));
}

/* A sum: whole while a double holds it exactly. */
static void set_sum(json_t *object, const char *key, double value) {
  json_object_set_new(object, key, fabs(value) < 0x1p53 ? json_integer((json_int_t)value) : tool_number(value));
}

static json_t *config_json(const tct_scale_config *c) {
  json_t *const object = json_pack("{s:I, s:I, s:s, s:[I,I,I]}", "array_rows", (json_int_t)c->rows, "array_cols",
                                   (json_int_t)c->cols, "dataflow", tct_dataflow_name(c->dataflow), "sram_kib",
                                   (json_int_t)c->ifmap_kb, (json_int_t)c->filter_kb, (json_int_t)c->ofmap_kb);
  json_object_set_new(object, "bandwidth", c->bandwidth > 0 ? json_integer(c->bandwidth) : json_null());
  json_object_set_new(object, "simulator", json_string(c->version == 3 ? "v3" : "v2"));
  return object;
}

static json_t *total_json(const sim_result *r) {
  json_t *const object = json_object();
  set_sum(object, "total_cycles", r->total.cycles);
  set_sum(object, "stall_cycles", r->total.stalls);
  set_sum(object, "macs", r->total.macs);
  json_object_set_new(object, "overall_util_pct", tool_number(utilisation(r)));
  set_sum(object, "sram_words", r->total.sram_words);
  set_sum(object, "dram_words", r->total.dram_words);
  return object;
}

static json_t *layer_json(const tct_topology_layer *l, const tct_scale_report *r) {
  json_t *const object = json_pack("{s:s, s:I, s:I, s:I, s:I}", "name", l->name, "copies", (json_int_t)l->copies, "m",
                                   (json_int_t)r->m, "k", (json_int_t)r->k, "n", (json_int_t)r->n);
  set_count(object, "total_cycles", r->total_cycles);
  set_count(object, "stall_cycles", r->stall_cycles);
  json_object_set_new(object, "overall_util_pct", tool_number(r->overall_util));
  json_object_set_new(object, "mapping_eff_pct", tool_number(r->mapping_efficiency));
  json_object_set_new(object, "compute_util_pct", tool_number(r->compute_util));
  set_count(object, "sram_ifmap_reads", r->sram_ifmap_reads);
  set_count(object, "sram_filter_reads", r->sram_filter_reads);
  set_count(object, "sram_ofmap_writes", r->sram_ofmap_writes);
  set_count(object, "dram_ifmap_reads", r->dram_ifmap_reads);
  set_count(object, "dram_filter_reads", r->dram_filter_reads);
  set_count(object, "dram_ofmap_writes", r->dram_ofmap_writes);
  return object;
}

static json_t *layers_json(const void *what) {
  const sim_result *const r = what;
  json_t *const object = config_json(&r->config), *const layers = json_array();
  for (int64_t i = 0; i < tct_topology_n_layers(r->topology); i++)
    json_array_append_new(layers, layer_json(tct_topology_layer_at(r->topology, i), &r->reports[i]));
  json_object_set_new(object, "layers", layers);
  json_object_set_new(object, "total", total_json(r));
  return object;
}

static json_t *totals_json(const void *what) {
  const sim_sweep *const sweep = what;
  json_t *const list = json_array();
  for (int32_t i = 0; i < sweep->n; i++) {
    json_t *const object = config_json(&sweep->results[i].config);
    json_object_set_new(object, "total", total_json(&sweep->results[i]));
    json_array_append_new(list, object);
  }
  return list;
}

/* SCALE-Sim has no clock: a microsecond is a cycle. */
static int write_trace(const void *what, const char *path) {
  static const char *const names[] = {"array", "stalls"};
  const sim_result *const r = what;
  sim_timeline timeline = {.now = 0};
  char on[64];
  for (int64_t i = 0; i < tct_topology_n_layers(r->topology); i++) {
    const double stalls = (double)r->reports[i].stall_cycles, parts[] = {(double)r->reports[i].total_cycles - stalls, stalls};
    sim_add_span(&timeline, tct_topology_layer_at(r->topology, i), names, parts, 2);
  }
  (void)snprintf(on, sizeof on, "%lldx%lld %s", (long long)r->config.rows, (long long)r->config.cols, tct_dataflow_name(r->config.dataflow));
  return sim_write_timeline(path, &timeline, on, "a cycle");
}

const sim_view sim_layers = {print_layers, write_layers_csv, layers_json, write_trace};
const sim_view sim_totals = {print_totals, write_totals_csv, totals_json, NULL};
