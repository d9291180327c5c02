/* `tercet sim TOPOLOGY.csv --device tpu:CHIP`: the layers of a topology on a whole modelled chip, with its memory, instead of on a
 * bare array. Operands and results are bf16, on a quantized chip int8. */
#include "modelled.h"
#include "sim.h"

#include <stdlib.h>
#include <string.h>

typedef struct chip_layer {
  int64_t m, k, n; /* of the im2col product, for reading; the chip takes a convolution's window place by place */
  tct_chip_time time;
} chip_layer;

typedef struct chip_result {
  tct_chip chip;
  const tct_topology *topology;
  chip_layer *layers; /* one per row of the topology */
  tct_chip_time sum;  /* copies included */
  double joules;
} chip_result;

/* ---- running ---- */

static int64_t places(int64_t extent, int64_t window, int64_t stride) { return (extent - window + stride + stride - 1) / stride; }

/* A window as wide as its image and one row high is one run of numbers: a product's row. */
static tct_status run_layer(const tct_chip *chip, const tct_scale_layer *l, chip_layer *out) {
  const int64_t high = places(l->ifmap_h, l->filter_h, l->stride_h), wide = places(l->ifmap_w, l->filter_w, l->stride_w);
  const bool row = l->filter_h == 1 && l->filter_w == l->ifmap_w;
  const int64_t taps = row ? 1 : l->filter_h * l->filter_w, k = l->channels * (row ? l->filter_w : 1);
  const tct_dtype type = chip->quantized != 0 ? TCT_I8 : TCT_BF16;
  const tct_desc x = {type, TCT_SHAPE(l->ifmap_h, l->ifmap_w * l->channels)}, w = {type, TCT_SHAPE(taps * k, l->n_filters)};
  const tct_desc y = {type, TCT_SHAPE(high * wide, l->n_filters)};
  const tct_product p = {.m = high * wide, .k = k, .n = l->n_filters, .taps = taps, .passes = 1, .int8 = chip->quantized != 0,
                         .x_bytes = tct_chip_bytes(chip, &x), .w_bytes = tct_chip_bytes(chip, &w), .y_bytes = tct_chip_bytes(chip, &y)};
  *out = (chip_layer){.m = p.m, .k = taps * k, .n = p.n};
  return tct_chip_product(chip, &p, &out->time);
}

static void add(tct_chip_time *sum, const tct_chip_time *t, double times) {
  sum->total += times * t->total;
  sum->useful += times * t->useful;
  sum->padding += times * t->padding;
  sum->shift += times * t->shift;
  sum->vector += times * t->vector;
  sum->memory += times * t->memory;
  sum->skew += times * t->skew;
  sum->hbm_bytes += times * t->hbm_bytes;
  sum->macs += times * t->macs;
}

static int run_layers(const tool_options *options, chip_result *r) {
  for (int64_t i = 0; i < tct_topology_n_layers(r->topology); i++) {
    const tct_topology_layer *const l = tct_topology_layer_at(r->topology, i);
    if (run_layer(&r->chip, &l->layer, &r->layers[i]) != TCT_OK) {
      fprintf(stderr, "tercet: %s:%lld: layer '%.60s' was not run\n", options->positional, (long long)l->line, l->name);
      return tool_fail();
    }
    add(&r->sum, &r->layers[i].time, (double)l->copies);
    r->joules += (double)l->copies * tct_chip_energy(&r->chip, &r->layers[i].time);
  }
  return TOOL_OK;
}

/* ---- showing ---- */

/* The classes that a product has, as those of a job's step are called. */
enum { CLASSES = 6 };

static void by_class(const tct_chip_time *t, double out[CLASSES]) {
  const double all[CLASSES] = {t->useful, t->padding, t->shift, t->vector, t->memory, t->skew};
  memcpy(out, all, sizeof all);
}

static const char *most_of(const tct_chip_time *t) {
  double all[CLASSES];
  int most = 0;
  by_class(t, all);
  for (int i = 1; i < CLASSES; i++) {
    if (all[i] > all[most]) most = i;
  }
  return tct_forecast_class(most);
}

static void print_layers(const void *what) {
  const chip_result *const r = what;
  printf("tpu:%s, %s products, modelled, not measured\n", r->chip.name, r->chip.quantized != 0 ? "int8" : "bf16");
  printf("%-20s %8s %8s %8s %14s %11s %8s  %s\n", "layer", "M", "K", "N", "cycles", "time us", "useful %", "most cycles");
  for (int64_t i = 0; i < tct_topology_n_layers(r->topology); i++) {
    const tct_topology_layer *const l = tct_topology_layer_at(r->topology, i);
    const chip_layer *const c = &r->layers[i];
    sim_print_name(l->name, l->copies, 20);
    printf(" %8lld %8lld %8lld %14.0f %11.4g %8.2f  %s\n", (long long)c->m, (long long)c->k, (long long)c->n, c->time.total,
           c->time.total / r->chip.clock * 1e6, 100 * c->time.useful / c->time.total, most_of(&c->time));
  }
  const double seconds = r->sum.total / r->chip.clock;
  printf("%-20s %8s %8s %8s %14.0f %11.4g %8.2f  %s\n", "total", "", "", "", r->sum.total, seconds * 1e6, 100 * r->sum.useful / r->sum.total,
         most_of(&r->sum));
  printf("%.4g J, %.4g USD, %.4g B of HBM traffic\n", r->joules, seconds / 3600 * r->chip.price, r->sum.hbm_bytes);
}

static void write_csv(const void *what, FILE *to) {
  const chip_result *const r = what;
  fputs("LayerID,Layer name,M,K,N,Copies,Cycles,Seconds,Useful,Padding,Weight Shift,Vector,Waiting for HBM,Skew,HBM Bytes,MACs,Joules\n", to);
  for (int64_t i = 0; i < tct_topology_n_layers(r->topology); i++) {
    const tct_topology_layer *const l = tct_topology_layer_at(r->topology, i);
    const chip_layer *const c = &r->layers[i];
    double all[CLASSES];
    by_class(&c->time, all);
    fprintf(to, "%lld,", (long long)i);
    tool_print_csv_text(to, l->name);
    fprintf(to, ",%lld,%lld,%lld,%lld,%.17g,%.17g", (long long)c->m, (long long)c->k, (long long)c->n, (long long)l->copies, c->time.total,
            c->time.total / r->chip.clock);
    for (int s = 0; s < CLASSES; s++) fprintf(to, ",%.17g", all[s]);
    fprintf(to, ",%.17g,%.17g,%.17g\n", c->time.hbm_bytes, c->time.macs, tct_chip_energy(&r->chip, &c->time));
  }
}

static json_t *time_json(const chip_result *r, const tct_chip_time *t, double joules) {
  json_t *const object = json_pack("{s:o, s:o, s:o, s:o, s:o}", "cycles", tool_number(t->total), "seconds", tool_number(t->total / r->chip.clock),
                                   "hbm_bytes", tool_number(t->hbm_bytes), "macs_issued", tool_number(t->macs), "joules", tool_number(joules));
  json_t *const classes = json_object();
  double all[CLASSES];
  by_class(t, all);
  for (int s = 0; s < CLASSES; s++) json_object_set_new(classes, tct_forecast_class(s), tool_number(all[s]));
  json_object_set_new(object, "by_class", classes);
  return object;
}

static json_t *result_json(const void *what) {
  const chip_result *const r = what;
  json_t *const layers = json_array();
  for (int64_t i = 0; i < tct_topology_n_layers(r->topology); i++) {
    const tct_topology_layer *const l = tct_topology_layer_at(r->topology, i);
    const chip_layer *const c = &r->layers[i];
    json_t *const layer = time_json(r, &c->time, tct_chip_energy(&r->chip, &c->time));
    json_object_update_new(layer, json_pack("{s:s, s:I, s:I, s:I, s:I}", "name", l->name, "copies", (json_int_t)l->copies, "m", (json_int_t)c->m,
                                            "k", (json_int_t)c->k, "n", (json_int_t)c->n));
    json_array_append_new(layers, layer);
  }
  return json_pack("{s:b, s:s, s:s, s:o, s:o, s:o}", "modelled", 1, "chip", r->chip.name, "products", r->chip.quantized != 0 ? "int8" : "bf16",
                   "clock", tool_number(r->chip.clock), "layers", layers, "total", time_json(r, &r->sum, r->joules));
}

static int write_trace(const void *what, const char *path) {
  const chip_result *const r = what;
  const char *names[CLASSES];
  sim_timeline timeline = {.now = 0};
  char on[48];
  for (int s = 0; s < CLASSES; s++) names[s] = tct_forecast_class(s);
  for (int64_t i = 0; i < tct_topology_n_layers(r->topology); i++) {
    double all[CLASSES];
    by_class(&r->layers[i].time, all);
    for (int s = 0; s < CLASSES; s++) all[s] *= 1e6 / r->chip.clock;
    sim_add_span(&timeline, tct_topology_layer_at(r->topology, i), names, all, CLASSES);
  }
  (void)snprintf(on, sizeof on, "tpu:%s", r->chip.name);
  return sim_write_timeline(path, &timeline, on, "a microsecond");
}

static const sim_view chip_layers = {print_layers, write_csv, result_json, write_trace};

int sim_chip(const tool_options *options, const char *device) {
  chip_result r = {.layers = NULL};
  tct_topology *topology = NULL;
  const char *const chip = modelled_chip(device);
  if (chip == NULL) return tool_usage("sim: --device %s has no modelled clock; needs tpu or tpu:CHIP", device);
  if (tct_chip_open(chip, &r.chip) != TCT_OK) return tool_fail();
  if (r.chip.chips > 1) return tool_usage("sim: chips is %lld, and a topology's layers run on one; chips are for a job's step", (long long)r.chip.chips);
  if (tct_topology_read(options->positional, &topology) != TCT_OK) return tool_fail();
  r.topology = topology;
  r.layers = calloc((size_t)tct_topology_n_layers(topology), sizeof *r.layers);
  int code = r.layers != NULL ? run_layers(options, &r) : tool_out_of_memory();
  if (code == TOOL_OK) code = sim_show(options, &chip_layers, &r);
  free(r.layers);
  tct_topology_free(topology);
  return code;
}
