/* SCALE-Sim's counts. A layer is an im2col product, cut into folds of the array's size, columns outside, rows inside;
 * every fold is charged the whole array, and the cycles reported are one fewer than the lines of demand. With
 * S_R, S_C, T = K, N, M (ws) · M, N, K (os) · K, M, N (is):
 *   lines of a fold = 2R + C + T − 2 (ws, is), R + C + T − 2 (os: without the results' way out)
 *   total = folds·lines − 1 + stalls
 * Source: the demand matrices of SCALE-Sim v2 and v3, run and compared row by row (tests/systolic). */
#include "systolic/scale.h"

#include <math.h>
#include "base/status.h"
#include "systolic/whole.h"

#define MOST_SIDE   ((int64_t)1 << 20) /* of the array, KiB of an SRAM, words a cycle */
#define MOST_EXTENT ((int64_t)1 << 30) /* positions in an image fit 32 bits */
#define MOST_COUNT  0x1p52             /* what a double holds exactly */
#define MOST_STEPS  0x1p36             /* of a walk: minutes */

typedef struct range_row {
  tct_scale_field field;
  const char *name;
  int64_t value, least, most;
} range_row;

static bool find_refused(const range_row *rows, size_t n, tct_refusal *out) {
  for (size_t i = 0; i < n; i++) {
    if (rows[i].value >= rows[i].least && rows[i].value <= rows[i].most) continue;
    return tct_refuse_value(out, (int32_t)rows[i].field, "%s is %lld, needs %lld to %lld", rows[i].name,
                      (long long)rows[i].value, (long long)rows[i].least, (long long)rows[i].most);
  }
  return false;
}

static bool config_refused(const tct_scale_config *c, tct_refusal *out) {
  const range_row rows[] = {
      {TCT_SCALE_FIELD_ROWS, "array rows", c->rows, 1, MOST_SIDE},
      {TCT_SCALE_FIELD_COLS, "array columns", c->cols, 1, MOST_SIDE},
      {TCT_SCALE_FIELD_IFMAP_KB, "ifmap SRAM (KiB)", c->ifmap_kb, 1, MOST_SIDE},
      {TCT_SCALE_FIELD_FILTER_KB, "filter SRAM (KiB)", c->filter_kb, 1, MOST_SIDE},
      {TCT_SCALE_FIELD_OFMAP_KB, "ofmap SRAM (KiB)", c->ofmap_kb, 1, MOST_SIDE},
      {TCT_SCALE_FIELD_BANDWIDTH, "bandwidth", c->bandwidth, 0, MOST_SIDE},
      {TCT_SCALE_FIELD_VERSION, "version", c->version, 2, 3}};
  if (find_refused(rows, TCT_COUNT_OF(rows), out)) return true;
  return (unsigned)c->dataflow >= TCT_N_DATAFLOWS &&
         tct_refuse_value(out, TCT_SCALE_FIELD_DATAFLOW, "dataflow is %d, needs one of tct_dataflow", (int)c->dataflow);
}

bool tct_scale_layer_refused(const tct_scale_layer *l, tct_refusal *out) {
  const range_row rows[] = {
      {TCT_SCALE_FIELD_IFMAP_H, "ifmap height", l->ifmap_h, 1, MOST_EXTENT},
      {TCT_SCALE_FIELD_IFMAP_W, "ifmap width", l->ifmap_w, 1, MOST_EXTENT},
      {TCT_SCALE_FIELD_FILTER_H, "filter height", l->filter_h, 1, l->ifmap_h},
      {TCT_SCALE_FIELD_FILTER_W, "filter width", l->filter_w, 1, l->ifmap_w},
      {TCT_SCALE_FIELD_CHANNELS, "channels", l->channels, 1, MOST_EXTENT},
      {TCT_SCALE_FIELD_FILTERS, "filters", l->n_filters, 1, MOST_EXTENT},
      {TCT_SCALE_FIELD_STRIDE_H, "stride_h", l->stride_h, 1, MOST_EXTENT},
      {TCT_SCALE_FIELD_STRIDE_W, "stride_w", l->stride_w, 1, MOST_EXTENT}};
  return find_refused(rows, TCT_COUNT_OF(rows), out);
}

/* The product's extents and folds; false when they could not be counted in 52 bits. */
static bool map_layer(const tct_scale_config *config, const tct_scale_layer *l, tct_scale_map *out) {
  const int64_t out_h = tct_divide_up(l->ifmap_h - l->filter_h + l->stride_h, l->stride_h);
  const int64_t out_w = tct_divide_up(l->ifmap_w - l->filter_w + l->stride_w, l->stride_w);
  *out = (tct_scale_map){.config = config, .layer = *l, .out_w = out_w, .n = l->n_filters};
  int64_t work = 0;
  if (__builtin_mul_overflow(out_h, out_w, &out->m) ||
      __builtin_mul_overflow(l->filter_h * l->filter_w, l->channels, &out->k) || /* each factor is at most 2^30 */
      __builtin_mul_overflow(out->m, out->k, &work) || __builtin_mul_overflow(work, out->n, &work) ||
      __builtin_mul_overflow(l->ifmap_h * l->ifmap_w, l->channels, &work)) {
    return false;
  }
  const bool by_k = config->dataflow != TCT_OUTPUT_STATIONARY;
  out->spatial_rows = by_k ? out->k : out->m;
  out->spatial_cols = config->dataflow == TCT_INPUT_STATIONARY ? out->m : out->n;
  out->steps = config->dataflow == TCT_WEIGHT_STATIONARY ? out->m : by_k ? out->n : out->k;
  out->row_folds = tct_divide_up(out->spatial_rows, config->rows);
  out->col_folds = tct_divide_up(out->spatial_cols, config->cols);
  out->lines = (by_k ? 2 : 1) * config->rows + config->cols + out->steps - 2;
  out->overlaps = (l->stride_h < l->filter_h && out_h > 1) || (l->stride_w < l->filter_w && out_w > 1) ||
                  (out_h - 1) * l->stride_h + l->filter_h > l->ifmap_h ||
                  (out_w - 1) * l->stride_w + l->filter_w > l->ifmap_w;
  const double most = fmax((double)out->row_folds * (double)out->col_folds * (double)out->lines,
                           (double)out->m * (double)out->k * (double)out->col_folds +
                               (double)out->n * (double)out->k * (double)(out->row_folds + out->col_folds) +
                               (double)out->m * (double)out->n * (double)out->row_folds);
  return most < MOST_COUNT;
}

/* An operand's part in a walk: every word that is asked for, a table of its words, and in user mode its prefetch order with
 * the array's unused lanes. */
static double operand_steps(const tct_scale_map *map, bool filter) {
  const tct_scale_config *c = map->config;
  const tct_scale_layer *l = &map->layer;
  const bool stationary = c->dataflow == (filter ? TCT_WEIGHT_STATIONARY : TCT_INPUT_STATIONARY);
  const bool by_cols = stationary || (filter && c->dataflow == TCT_OUTPUT_STATIONARY);
  const double words = filter ? (double)map->k * (double)map->n
                              : (double)l->ifmap_h * (double)l->ifmap_w * (double)l->channels;
  const double elements = filter ? words : (double)map->m * (double)map->k;
  const double asked = elements * (double)(stationary ? 1 : by_cols ? map->row_folds : map->col_folds);
  const double height = (double)(stationary ? map->spatial_rows : map->steps);
  const double lanes = by_cols ? (double)map->col_folds * (double)c->cols : (double)map->row_folds * (double)c->rows;
  return words + asked + (c->bandwidth > 0 ? 2 * height * lanes : 0);
}

static bool walk_refused(const tct_scale_map *map, tct_refusal *out) {
  const tct_scale_config *c = map->config;
  const bool user = c->bandwidth > 0, ifmap = user || (map->overlaps && c->walks != TCT_SCALE_WALK_NONE);
  if (!ifmap && c->walks != TCT_SCALE_WALK_ALL) return false;
  const double steps = (double)map->row_folds * (double)map->col_folds * (double)map->lines +
                       (ifmap ? operand_steps(map, false) : 0) + (user ? operand_steps(map, true) : 0);
  if (steps >= MOST_STEPS) {
    return tct_refuse_value(out, TCT_SCALE_FIELD_LAYER, "the walk over its addresses takes %.3g steps, more than 2^36; needs a "
                      "smaller layer%s", steps, user ? ", or calc mode without walks (no bandwidth, --walks none)"
                                                     : " or no walks (--walks none)");
  }
  const struct { tct_scale_field field; double words; int64_t kb; } operands[] = {
      {TCT_SCALE_FIELD_IFMAP_KB, (double)map->m * (double)map->k, c->ifmap_kb},
      {TCT_SCALE_FIELD_FILTER_KB, (double)map->k * (double)map->n, c->filter_kb}};
  for (size_t i = 0; user && i < TCT_COUNT_OF(operands); i++) { /* sets are numbered in 32 bits */
    const int64_t set_words = tct_divide_up(operands[i].kb * 1024, 100);
    if (operands[i].words / (double)set_words < (double)INT32_MAX) continue;
    return tct_refuse_value(out, (int32_t)operands[i].field, "an operand of %.3g words in sets of %lld is more than 2^31 sets; "
                      "needs a larger SRAM", operands[i].words, (long long)set_words);
  }
  return false;
}

bool tct_scale_refused(const tct_scale_config *config, const tct_scale_layer *l, tct_scale_map *out_map, tct_refusal *out) {
  if (config_refused(config, out) || tct_scale_layer_refused(l, out)) return true;
  if (!map_layer(config, l, out_map)) {
    return tct_refuse_value(out, TCT_SCALE_FIELD_LAYER, "ifmap %lld×%lld×%lld, filters %lld×%lld×%lld: more than 2^52 accesses; "
                      "needs a smaller layer or a larger array", (long long)l->ifmap_h, (long long)l->ifmap_w,
                      (long long)l->channels, (long long)l->n_filters, (long long)l->filter_h, (long long)l->filter_w);
  }
  return walk_refused(out_map, out);
}

static void count_sram(const tct_scale_map *map, tct_scale_report *out) {
  const int64_t r = map->row_folds, c = map->col_folds;
  const int64_t x = map->m * map->k, w = map->k * map->n, y = map->m * map->n;
  switch (map->config->dataflow) {
    case TCT_WEIGHT_STATIONARY:
      out->sram_ifmap_reads = x * c, out->sram_filter_reads = w, out->sram_ofmap_writes = y * r;
      break;
    case TCT_OUTPUT_STATIONARY: /* SCALE-Sim adds R + C to the writes of every fold */
      out->sram_ifmap_reads = x * c, out->sram_filter_reads = w * r;
      out->sram_ofmap_writes = y + r * c * (map->config->rows + map->config->cols);
      break;
    default:
      out->sram_ifmap_reads = x, out->sram_filter_reads = w * c, out->sram_ofmap_writes = y * r;
  }
}

static void utilise(const tct_scale_map *map, tct_scale_report *out) {
  const double array = (double)map->config->rows * (double)map->config->cols;
  const double folds = (double)map->row_folds * (double)map->col_folds;
  const double mapped = (double)map->spatial_rows * (double)map->spatial_cols;
  const int64_t r = map->config->rows, c = map->config->cols;
  /* The duration that SCALE-Sim divides by: of the ofmap's matrix for os, of the stationary operand's, skewed once more,
   * for the others. */
  const int64_t duration = map->config->dataflow == TCT_OUTPUT_STATIONARY ? r + c + map->steps - 2
                                                                           : 2 * r + 2 * c + map->steps - 3;
  out->mapping_efficiency = 100 * mapped / (folds * array);
  out->compute_util = 100 * mapped * (double)map->steps / (folds * array * (double)duration);
  out->overall_util = out->total_cycles > 0 ? 100 * (double)map->m * (double)map->k * (double)map->n /
                                                  ((double)out->total_cycles * array)
                                            : NAN;
}

/* calc mode: each SRAM is a window of `capacity` distinct words that is emptied when it is full. */
static int64_t window_of(int64_t kb) { return 50 * (kb * 1024 / 100); }

/* `distinct` words streamed `passes` times in the same order. */
static int64_t cyclic_reads(int64_t distinct, int64_t passes, int64_t capacity) {
  return distinct < capacity ? distinct : distinct * passes;
}

/* Output stationary: each block of columns is streamed once per row fold, then the next block. */
static int64_t filter_reads_os(const tct_scale_map *map, int64_t capacity) {
  int64_t filled = 0, total = 0;
  for (int64_t c = 0; c < map->col_folds; c++) {
    const int64_t left = map->n - c * map->config->cols;
    const int64_t block = map->k * (left < map->config->cols ? left : map->config->cols);
    if (block >= capacity) {
      total += block * map->row_folds;
      filled = (filled + block * map->row_folds) % capacity;
    } else if (filled + block < capacity) {
      total += block;
      filled += block;
    } else {
      const int64_t before = capacity - filled; /* words that the emptying forgets */
      const bool again = map->row_folds > 1;
      total += block + (again ? before : 0);
      filled = again ? block : block - before;
    }
  }
  return total;
}

static tct_status run_calc(const tct_scale_map *map, tct_scale_report *out) {
  const tct_scale_config *c = map->config;
  const int64_t x = map->m * map->k, w = map->k * map->n;
  out->total_cycles = map->row_folds * map->col_folds * map->lines - 1;
  out->dram_ifmap_reads = out->dram_ofmap_writes = -1;
  if (map->overlaps) {
    if (c->walks != TCT_SCALE_WALK_NONE) TCT_TRY(tct_scale_walk_ifmap(map, window_of(c->ifmap_kb), &out->dram_ifmap_reads));
  } else {
    const int64_t passes = c->dataflow == TCT_INPUT_STATIONARY ? 1 : map->col_folds;
    out->dram_ifmap_reads = cyclic_reads(x, passes, window_of(c->ifmap_kb));
  }
  switch (c->dataflow) {
    case TCT_WEIGHT_STATIONARY: out->dram_filter_reads = w; break;
    case TCT_OUTPUT_STATIONARY: out->dram_filter_reads = filter_reads_os(map, window_of(c->filter_kb)); break;
    default: out->dram_filter_reads = cyclic_reads(w, map->col_folds, window_of(c->filter_kb));
  }
  return c->walks == TCT_SCALE_WALK_ALL ? tct_scale_walk_writes(map, &out->dram_ofmap_writes) : TCT_OK;
}

tct_status tct_scale_run(const tct_scale_config *config, const tct_scale_layer *layer, tct_scale_report *out) {
  *out = (tct_scale_report){0};
  tct_scale_map map;
  tct_refusal refusal;
  if (tct_scale_refused(config, layer, &map, &refusal)) return tct_fail(TCT_INVALID, "scale-sim: %s", refusal.text);
  out->m = map.m;
  out->k = map.k;
  out->n = map.n;
  count_sram(&map, out);
  TCT_TRY(config->bandwidth > 0 ? tct_scale_walk_user(&map, out) : run_calc(&map, out));
  utilise(&map, out);
  return TCT_OK;
}
