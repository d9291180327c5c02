/* A table of experiments in, the same table with results out: the two kinds of rows (tile lists, SCALE-Sim layers) are
 * told apart by the header. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <tercet/systolic.h>
#include "base/alloc.h"
#include "base/arena.h"
#include "base/file.h"
#include "base/status.h"
#include "base/text.h"
#include "data/csv_scan.h"
#include "io/gzip.h"
#include "systolic/scale.h"
#include "systolic/tiles.h"

#define MOST_BYTES   ((size_t)1 << 30)
#define MOST_COLUMNS 128
#define MOST_TILES   ((int64_t)1 << 20)

/* What a kind of table is made of. COLUMN(symbol, name, required) in the order of the enum. */
#define TILE_COLUMNS                                                                                                   \
  COLUMN(MODE, "mode", true)                                                                                           \
  COLUMN(ROWS, "R", true)                                                                                              \
  COLUMN(COLS, "C", true)                                                                                              \
  COLUMN(FOLDS, "n_folds", false)                                                                                      \
  COLUMN(STEPS, "T_per_fold", true)                                                                                    \
  COLUMN(READY, "weight_ready_cycle_per_fold", false)
#define LAYER_COLUMNS                                                                                                  \
  COLUMN(SIMULATOR, "simulator", true)                                                                                 \
  COLUMN(SCALE_MODE, "mode", true)                                                                                     \
  COLUMN(BANDWIDTH, "bandwidth_words_per_cycle", false)                                                                \
  COLUMN(SRAM, "sram_kb_ifmap/filter/ofmap", true)                                                                     \
  COLUMN(IFMAP_H, "ifmap_h", true)                                                                                     \
  COLUMN(IFMAP_W, "ifmap_w", true)                                                                                     \
  COLUMN(FILTER_H, "filter_h", true)                                                                                   \
  COLUMN(FILTER_W, "filter_w", true)                                                                                   \
  COLUMN(CHANNELS, "channels", true)                                                                                   \
  COLUMN(FILTERS, "num_filters", true)                                                                                 \
  COLUMN(STRIDE_H, "stride_h", true)                                                                                   \
  COLUMN(STRIDE_W, "stride_w", false)                                                                                  \
  COLUMN(M, "M", false)                                                                                                \
  COLUMN(K, "K", false)                                                                                                \
  COLUMN(N, "N", false)                                                                                                \
  COLUMN(DATAFLOW, "dataflow", true)                                                                                   \
  COLUMN(ARRAY_ROWS, "array_rows", true)                                                                               \
  COLUMN(ARRAY_COLS, "array_cols", true)

#define COLUMN(symbol, name, required) symbol,
enum tile_column { TILE_COLUMNS N_TILE_COLUMNS };
enum layer_column { LAYER_COLUMNS N_LAYER_COLUMNS };
#undef COLUMN

typedef struct column {
  const char *name;
  bool required;
} column;
#define COLUMN(symbol, name, required) {name, required},
static const column tile_columns[] = {TILE_COLUMNS};
static const column layer_columns[] = {LAYER_COLUMNS};
#undef COLUMN
#define MOST_NAMED N_LAYER_COLUMNS /* the longer table */

static const char *const tile_results[] = {"cycles", NULL};
static const char *const layer_results[] = {
    "total_cycles",     "stall_cycles",       "overall_util_pct",  "mapping_eff_pct", "compute_util_pct",
    "sram_ifmap_reads", "sram_filter_reads",  "sram_ofmap_writes", "dram_ifmap_reads", "dram_filter_reads", NULL};

typedef struct cell {
  const char *text; /* in the arena, NUL-terminated */
  int64_t column;   /* in its line */
} cell;

struct batch;
typedef struct kind {
  const column *columns;
  int32_t n_columns;
  const char *const *results;
  tct_status (*run)(struct batch *b);
} kind;

typedef struct batch {
  const char *path;
  const kind *kind;
  tct_csv_scan scan;
  tct_arena row;   /* one row's cells */
  int32_t n_cells;
  cell cells[MOST_COLUMNS];
  int64_t line;
  int32_t n_columns;              /* of the header */
  bool result[MOST_COLUMNS];      /* a column that is replaced */
  int32_t at[MOST_NAMED];         /* column of each name; -1: not there */
  tct_text out;
} batch;

/* ---- cells ---- */

static tct_status bad(const batch *b, int32_t name, const char *needs) {
  const cell *c = &b->cells[b->at[name]];
  return tct_fail(TCT_BAD_DATA, "%s:%lld:%lld: column '%s' is '%.60s', needs %s", b->path, (long long)b->line,
                  (long long)c->column, b->kind->columns[name].name, c->text, needs);
}

/* What the model refuses, at the cell that it came from. */
static tct_status refused(const batch *b, int32_t name, const tct_refusal *refusal) {
  return tct_fail(TCT_BAD_DATA, "%s:%lld:%lld: column '%s': %s", b->path, (long long)b->line,
                  (long long)b->cells[b->at[name]].column, b->kind->columns[name].name, refusal->text);
}

/* "" where the column is not there. */
static const char *text_of(const batch *b, int32_t name) { return b->at[name] < 0 ? "" : b->cells[b->at[name]].text; }

static tct_status number_of(const batch *b, int32_t name, int64_t *out) {
  const char *text = text_of(b, name);
  return tct_parse_i64(text, strlen(text), out) ? TCT_OK : bad(b, name, "a whole number");
}

/* A list of whole numbers separated by `separator`; *out_n is how many. */
static tct_status numbers_of(const batch *b, int32_t name, char separator, int64_t *out, int64_t most, int64_t *out_n) {
  int64_t n = 0;
  for (const char *p = text_of(b, name); *p != '\0';) {
    const char *end = strchr(p, separator);
    const size_t length = end != NULL ? (size_t)(end - p) : strlen(p);
    if (n == most || !tct_parse_i64(p, length, &out[n])) return bad(b, name, "whole numbers, as in the other rows");
    n++;
    p += length;
    if (*p == separator && *++p == '\0') return bad(b, name, "a number behind the last separator");
  }
  *out_n = n;
  return TCT_OK;
}

static tct_status read_row(batch *b) {
  tct_arena_free(&b->row);
  b->n_cells = 0;
  b->line = b->scan.line;
  tct_csv_cell found = {.last = false};
  while (!found.last) {
    TCT_TRY(tct_csv_next_cell(&b->scan, &found));
    if (b->n_cells == MOST_COLUMNS) {
      return tct_fail(TCT_BAD_DATA, "%s:%lld: more than %d columns", b->path, (long long)b->line, MOST_COLUMNS);
    }
    char *copy = tct_arena_alloc(&b->row, found.length + 1);
    if (copy == NULL) return TCT_OUT_OF_MEMORY;
    memcpy(copy, found.text, found.length);
    copy[found.length] = '\0';
    b->cells[b->n_cells++] = (cell){copy, found.column};
  }
  return TCT_OK;
}

/* ---- the two kinds ---- */

static tct_status run_tiles(batch *b) {
  tct_array_mode mode;
  int64_t rows = 0, cols = 0, n = 0, n_ready = 0, folds = 0;
  if (!tct_array_mode_find(text_of(b, MODE), &mode)) return bad(b, MODE, "ws_overlap, ws_serial, os_overlap, "
                                                                "os_serial_drain, is_overlap or is_serial");
  TCT_TRY(number_of(b, ROWS, &rows));
  TCT_TRY(number_of(b, COLS, &cols));
  const size_t most = strlen(text_of(b, STEPS)) / 2 + 1;
  if (most > (size_t)MOST_TILES) return bad(b, STEPS, "at most 2^20 folds");
  int64_t *numbers = tct_arena_alloc(&b->row, 2 * most * sizeof *numbers);
  tct_array_tile *tiles = tct_arena_alloc(&b->row, most * sizeof *tiles);
  if (numbers == NULL || tiles == NULL) return TCT_OUT_OF_MEMORY;
  TCT_TRY(numbers_of(b, STEPS, ' ', numbers, (int64_t)most, &n));
  TCT_TRY(numbers_of(b, READY, ' ', numbers + most, (int64_t)most, &n_ready));
  if (n_ready != 0 && n_ready != n) return bad(b, READY, "as many numbers as T_per_fold");
  if (b->at[FOLDS] >= 0) {
    TCT_TRY(number_of(b, FOLDS, &folds));
    if (folds != n) return bad(b, FOLDS, "the number of folds in T_per_fold");
  }
  for (int64_t i = 0; i < n; i++) tiles[i] = (tct_array_tile){numbers[i], n_ready > 0 ? numbers[(int64_t)most + i] : 0};
  static const int32_t column_of[] = {[TCT_ARRAY_FIELD_MODE] = MODE,   [TCT_ARRAY_FIELD_ROWS] = ROWS,
                                      [TCT_ARRAY_FIELD_COLS] = COLS,   [TCT_ARRAY_FIELD_STEPS] = STEPS,
                                      [TCT_ARRAY_FIELD_READY] = READY};
  tct_refusal refusal;
  if (tct_array_refused(mode, rows, cols, tiles, n, &refusal)) return refused(b, column_of[refusal.field], &refusal);
  tct_array_clock clock;
  TCT_TRY(tct_array_fast(mode, rows, cols, tiles, n, &clock));
  tct_text_printf(&b->out, ",%lld", (long long)clock.cycles);
  return TCT_OK;
}

static tct_status read_config(batch *b, tct_scale_config *out) {
  int64_t sram[3], n = 0;
  *out = (tct_scale_config){.walks = TCT_SCALE_WALK_READS};
  const char *simulator = text_of(b, SIMULATOR), *mode = text_of(b, SCALE_MODE);
  if (strcmp(simulator, "v2") != 0 && strcmp(simulator, "v3") != 0) return bad(b, SIMULATOR, "v2 or v3");
  out->version = simulator[1] - '0';
  const bool user = strcmp(mode, "user") == 0;
  if (!user && strcmp(mode, "calc") != 0) return bad(b, SCALE_MODE, "calc or user");
  if (user) {
    if (b->at[BANDWIDTH] < 0) return bad(b, SCALE_MODE, "calc, or a column bandwidth_words_per_cycle");
    TCT_TRY(number_of(b, BANDWIDTH, &out->bandwidth));
    if (out->bandwidth < 1) return bad(b, BANDWIDTH, "at least 1 in user mode");
  }
  TCT_TRY(numbers_of(b, SRAM, '/', sram, 3, &n));
  if (n != 3) return bad(b, SRAM, "three sizes in KiB, ifmap/filter/ofmap, such as 64/64/64");
  out->ifmap_kb = sram[0];
  out->filter_kb = sram[1];
  out->ofmap_kb = sram[2];
  if (!tct_dataflow_find(text_of(b, DATAFLOW), &out->dataflow)) return bad(b, DATAFLOW, "ws, os or is");
  TCT_TRY(number_of(b, ARRAY_ROWS, &out->rows));
  return number_of(b, ARRAY_COLS, &out->cols);
}

static tct_status read_layer(batch *b, tct_scale_layer *out) {
  const struct { int32_t name; int64_t *to; } numbers[] = {
      {IFMAP_H, &out->ifmap_h},   {IFMAP_W, &out->ifmap_w},   {FILTER_H, &out->filter_h}, {FILTER_W, &out->filter_w},
      {CHANNELS, &out->channels}, {FILTERS, &out->n_filters}, {STRIDE_H, &out->stride_h}, {STRIDE_W, &out->stride_w}};
  for (size_t i = 0; i < TCT_COUNT_OF(numbers); i++) {
    if (numbers[i].name == STRIDE_W && text_of(b, STRIDE_W)[0] == '\0') {
      out->stride_w = out->stride_h;
      continue;
    }
    TCT_TRY(number_of(b, numbers[i].name, numbers[i].to));
  }
  return TCT_OK;
}

static tct_status check_product(const batch *b, const tct_scale_report *report) {
  const struct { int32_t name; int64_t is; } extents[] = {{M, report->m}, {K, report->k}, {N, report->n}};
  for (size_t i = 0; i < TCT_COUNT_OF(extents); i++) {
    int64_t said = 0;
    if (text_of(b, extents[i].name)[0] == '\0') continue;
    TCT_TRY(number_of(b, extents[i].name, &said));
    char needs[64];
    snprintf(needs, sizeof needs, "%lld, by the layer's columns", (long long)extents[i].is);
    if (said != extents[i].is) return bad(b, extents[i].name, needs);
  }
  return TCT_OK;
}

static void print_real(tct_text *out, double value) {
  if (isnan(value)) tct_text_append(out, ","); else tct_text_printf(out, ",%.17g", value);
}

/* Where a field's value stands; a refusal of the whole layer stands at its first column. */
static const int32_t layer_column_of[] = {
    [TCT_SCALE_FIELD_ROWS] = ARRAY_ROWS,     [TCT_SCALE_FIELD_COLS] = ARRAY_COLS,
    [TCT_SCALE_FIELD_IFMAP_KB] = SRAM,       [TCT_SCALE_FIELD_FILTER_KB] = SRAM,
    [TCT_SCALE_FIELD_OFMAP_KB] = SRAM,       [TCT_SCALE_FIELD_BANDWIDTH] = BANDWIDTH,
    [TCT_SCALE_FIELD_VERSION] = SIMULATOR,   [TCT_SCALE_FIELD_DATAFLOW] = DATAFLOW,
    [TCT_SCALE_FIELD_IFMAP_H] = IFMAP_H,     [TCT_SCALE_FIELD_IFMAP_W] = IFMAP_W,
    [TCT_SCALE_FIELD_FILTER_H] = FILTER_H,   [TCT_SCALE_FIELD_FILTER_W] = FILTER_W,
    [TCT_SCALE_FIELD_CHANNELS] = CHANNELS,   [TCT_SCALE_FIELD_FILTERS] = FILTERS,
    [TCT_SCALE_FIELD_STRIDE_H] = STRIDE_H,   [TCT_SCALE_FIELD_STRIDE_W] = STRIDE_W,
    [TCT_SCALE_FIELD_LAYER] = IFMAP_H};

static tct_status run_layer(batch *b) {
  tct_scale_config config;
  tct_scale_layer layer = {0};
  tct_scale_report r;
  TCT_TRY(read_config(b, &config));
  TCT_TRY(read_layer(b, &layer));
  tct_scale_map map;
  tct_refusal refusal;
  if (tct_scale_refused(&config, &layer, &map, &refusal)) return refused(b, layer_column_of[refusal.field], &refusal);
  TCT_TRY(tct_scale_run(&config, &layer, &r));
  TCT_TRY(check_product(b, &r));
  tct_text_printf(&b->out, ",%lld,%lld", (long long)r.total_cycles, (long long)r.stall_cycles);
  print_real(&b->out, r.overall_util);
  print_real(&b->out, r.mapping_efficiency);
  print_real(&b->out, r.compute_util);
  tct_text_printf(&b->out, ",%lld,%lld,%lld,%lld,%lld", (long long)r.sram_ifmap_reads, (long long)r.sram_filter_reads,
                  (long long)r.sram_ofmap_writes, (long long)r.dram_ifmap_reads, (long long)r.dram_filter_reads);
  return TCT_OK;
}

static const kind kinds[] = {{layer_columns, N_LAYER_COLUMNS, layer_results, run_layer},
                             {tile_columns, N_TILE_COLUMNS, tile_results, run_tiles}};

/* ---- the table ---- */

/* The header decides: `simulator` makes it a table of layers. */
static tct_status read_header(batch *b) {
  bool layers = false;
  for (int32_t i = 0; i < b->n_cells; i++) layers = layers || strcmp(b->cells[i].text, "simulator") == 0;
  b->kind = &kinds[layers ? 0 : 1];
  b->n_columns = b->n_cells;
  for (int32_t n = 0; n < b->kind->n_columns; n++) {
    const column *c = &b->kind->columns[n];
    b->at[n] = -1;
    for (int32_t i = 0; i < b->n_cells && b->at[n] < 0; i++) {
      if (strcmp(b->cells[i].text, c->name) == 0) b->at[n] = i;
    }
    if (b->at[n] < 0 && c->required) {
      return tct_fail(TCT_BAD_DATA, "%s:%lld: no column '%s'; a table of tile lists has mode, R, C, T_per_fold …, one of "
                      "layers simulator, mode, ifmap_h …", b->path, (long long)b->line, c->name);
    }
  }
  for (int32_t i = 0; i < b->n_cells; i++) {
    for (const char *const *r = b->kind->results; *r != NULL; r++) {
      b->result[i] = b->result[i] || strcmp(b->cells[i].text, *r) == 0;
    }
  }
  return TCT_OK;
}

/* The row's own cells, quoted where a reader needs it. */
static void copy_cells(batch *b) {
  bool first = true;
  for (int32_t i = 0; i < b->n_cells; i++) {
    if (b->result[i]) continue;
    if (!first) tct_text_append(&b->out, ",");
    first = false;
    const char *text = b->cells[i].text;
    if (text[strcspn(text, ",\"\r\n")] == '\0') {
      tct_text_append(&b->out, text);
      continue;
    }
    tct_text_append(&b->out, "\"");
    for (; *text != '\0'; text++) tct_text_append_bytes(&b->out, *text == '"' ? "\"\"" : text, *text == '"' ? 2 : 1);
    tct_text_append(&b->out, "\"");
  }
}

static tct_status run_row(batch *b) {
  TCT_TRY(read_row(b));
  if (b->n_cells != b->n_columns) {
    return tct_fail(TCT_BAD_DATA, "%s:%lld: %d columns, the header has %d", b->path, (long long)b->line, (int)b->n_cells,
                    (int)b->n_columns);
  }
  copy_cells(b);
  const tct_status status = b->kind->run(b);
  tct_text_append(&b->out, "\n");
  return status;
}

static tct_status run_table(batch *b) {
  if (!tct_csv_next_row(&b->scan)) return tct_fail(TCT_BAD_DATA, "%s: empty, needs a header and rows", b->path);
  TCT_TRY(read_row(b));
  TCT_TRY(read_header(b));
  copy_cells(b);
  for (const char *const *r = b->kind->results; *r != NULL; r++) tct_text_printf(&b->out, ",%s", *r);
  tct_text_append(&b->out, "\n");
  while (tct_csv_next_row(&b->scan)) TCT_TRY(run_row(b));
  return b->out.failed ? TCT_OUT_OF_MEMORY : TCT_OK;
}

static tct_status write_text(const char *to, const tct_text *text) {
  if (strcmp(to, "-") != 0) {
    return tct_file_write_atomic(to, &(tct_file_part){.data = text->data, .bytes = text->length}, 1);
  }
  tct_file_out *out = NULL;
  TCT_TRY(tct_file_create(to, &out));
  const tct_status status = tct_file_append(out, text->data, text->length);
  const tct_status closed = tct_file_close(out);
  return status != TCT_OK ? status : closed;
}

tct_status tct_systolic_batch(const char *from, const char *to) {
  if (from == NULL || to == NULL) return tct_fail(TCT_INVALID, "systolic batch: needs a file to read and one to write");
  void *data = NULL;
  size_t bytes = 0;
  TCT_TRY(tct_gzip_read(from, MOST_BYTES, &data, &bytes));
  batch b = {.path = from};
  tct_csv_begin(&b.scan, from, data, bytes, ',');
  tct_status status = run_table(&b);
  if (status == TCT_OK) status = write_text(to, &b.out);
  tct_csv_end(&b.scan);
  tct_arena_free(&b.row);
  tct_text_free(&b.out);
  tct_release(data);
  return status;
}
