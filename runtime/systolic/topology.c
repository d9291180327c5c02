/* SCALE-Sim's topology files, those that its own parser stumbles over too: it takes columns by position, needs a comma at
 * the end of every row and no blank ones, and stops at a cell that is no number, wherever that is. Here a column is found by
 * its name, and only the cells that are needed are read. */
#include <ctype.h>
#include <string.h>

#include <tercet/systolic.h>
#include "base/alloc.h"
#include "base/arena.h"
#include "base/log.h"
#include "base/status.h"
#include "base/text.h"
#include "data/csv_scan.h"
#include "io/gzip.h"
#include "systolic/scale.h"

#define MOST_BYTES  ((size_t)1 << 26)
#define MOST_LAYERS ((int64_t)1 << 20)

typedef enum column {
  NAME, IFMAP_H, IFMAP_W, FILTER_H, FILTER_W, CHANNELS, FILTERS, STRIDE_H, STRIDE_W, M, N, K, BATCH, SPARSITY, N_COLUMNS
} column;

static const struct {
  const char *title;    /* SCALE-Sim's */
  const char *names[5]; /* in small letters and digits alone */
} columns[N_COLUMNS] = {
    [NAME] = {"Layer name", {"layername", "layer", "name"}},
    [IFMAP_H] = {"IFMAP Height", {"ifmapheight", "ifmaph"}},
    [IFMAP_W] = {"IFMAP Width", {"ifmapwidth", "ifmapw"}},
    [FILTER_H] = {"Filter Height", {"filterheight", "filterh"}},
    [FILTER_W] = {"Filter Width", {"filterwidth", "filterw"}},
    [CHANNELS] = {"Channels", {"channels", "channel", "numchannels"}},
    [FILTERS] = {"Num Filter", {"numfilter", "numfilters", "filters"}},
    [STRIDE_H] = {"Strides", {"strides", "stride", "strideheight", "strideh"}},
    [STRIDE_W] = {"Stride Width", {"stridewidth", "stridew", "stridesw", "strideswidth"}},
    [M] = {"M", {"m"}},
    [N] = {"N", {"n"}},
    [K] = {"K", {"k"}},
    [BATCH] = {"Batch", {"batch", "batchsize"}},
    [SPARSITY] = {"Sparsity", {"sparsity", "sparsityratio"}}};

/* What a file of each kind must have, in SCALE-Sim's order. */
static const column conv_columns[] = {IFMAP_H, IFMAP_W, FILTER_H, FILTER_W, CHANNELS, FILTERS, STRIDE_H};
static const column product_columns[] = {M, N, K};

typedef struct cell {
  const char *text; /* in the row's arena, with a NUL behind it; NULL: not in this row */
  size_t length;
  int64_t line, column;
} cell;

struct tct_topology {
  tct_arena names;
  tct_topology_layer *layers; /* owned */
  int64_t n, capacity, copies;
};

typedef struct reader {
  const char *path;
  tct_csv_scan scan;
  tct_arena row; /* the cells of one row */
  bool products; /* else convolutions */
  bool sparse;   /* a layer said so */
  int32_t at[N_COLUMNS]; /* in a row; -1: not there */
  cell cells[N_COLUMNS]; /* of the current row */
  int64_t line;
  tct_topology *out;
} reader;

/* ---- cells ---- */

static const char *title_of(const reader *r, column c) { return c == NAME && r->products ? "Layer" : columns[c].title; }

static tct_status bad(const reader *r, column c, const char *needs) {
  const cell *const found = &r->cells[c];
  if (found->text == NULL) {
    return tct_fail(TCT_BAD_DATA, "%s:%lld:1: the row ends before column '%s', needs %s", r->path, (long long)r->line,
                    title_of(r, c), needs);
  }
  return tct_fail(TCT_BAD_DATA, "%s:%lld:%lld: column '%s' is '%.60s', needs %s", r->path, (long long)found->line,
                  (long long)found->column, title_of(r, c), found->text, needs);
}

static bool is_empty(const reader *r, column c) { return r->cells[c].text == NULL || r->cells[c].text[0] == '\0'; }

static tct_status number_of(const reader *r, column c, int64_t *out) {
  const cell *const found = &r->cells[c];
  return found->text != NULL && tct_parse_i64(found->text, found->length, out) ? TCT_OK : bad(r, c, "a whole number");
}

static tct_status keep(tct_arena *arena, const tct_csv_cell *found, cell *out) {
  char *const copy = tct_arena_alloc(arena, found->length + 1); /* zeroed: ends in NUL */
  if (copy == NULL) return TCT_OUT_OF_MEMORY;
  memcpy(copy, found->text, found->length);
  *out = (cell){copy, found->length, found->line, found->column};
  return TCT_OK;
}

/* The row's named cells; *out_empty: every cell of the row is. */
static tct_status read_row(reader *r, bool *out_empty) {
  tct_arena_free(&r->row);
  memset(r->cells, 0, sizeof r->cells);
  r->line = r->scan.line;
  *out_empty = true;
  tct_csv_cell found = {.last = false};
  for (int32_t i = 0; !found.last; i++) {
    TCT_TRY(tct_csv_next_cell(&r->scan, &found));
    *out_empty = *out_empty && found.length == 0;
    for (int32_t c = 0; c < N_COLUMNS; c++) {
      if (r->at[c] == i) TCT_TRY(keep(&r->row, &found, &r->cells[c]));
    }
  }
  return TCT_OK;
}

/* ---- the header ---- */

static bool names_column(const tct_csv_cell *found, column c) {
  char plain[24];
  size_t n = 0;
  for (size_t i = 0; i < found->length; i++) {
    const unsigned char letter = (unsigned char)found->text[i];
    if (letter == ' ' || letter == '\t' || letter == '_') continue;
    if (n + 1 == sizeof plain) return false;
    plain[n++] = (char)tolower(letter);
  }
  plain[n] = '\0';
  for (const char *const *name = columns[c].names; *name != NULL; name++) {
    if (strcmp(plain, *name) == 0) return true;
  }
  return false;
}

/* The header's delimiter is the file's. */
static char delimiter_of(const char *text) {
  text += strspn(text, " \r\n");
  const size_t end = strcspn(text, "\r\n");
  if (memchr(text, ',', end) != NULL) return ',';
  return memchr(text, '\t', end) != NULL ? '\t' : memchr(text, ';', end) != NULL ? ';' : ',';
}

static tct_status read_header(reader *r) {
  for (int32_t c = 0; c < N_COLUMNS; c++) r->at[c] = -1;
  if (!tct_csv_next_row(&r->scan)) return tct_fail(TCT_BAD_DATA, "%s:1:1: empty, needs a header and layers", r->path);
  r->line = r->scan.line;
  tct_csv_cell found = {.last = false};
  for (int32_t i = 0; !found.last; i++) {
    TCT_TRY(tct_csv_next_cell(&r->scan, &found));
    for (int32_t c = 0; c < N_COLUMNS; c++) {
      if (r->at[c] < 0 && names_column(&found, (column)c)) r->at[c] = i;
    }
  }
  r->products = r->at[M] >= 0;
  const column *const needed = r->products ? product_columns : conv_columns;
  const size_t n = r->products ? TCT_COUNT_OF(product_columns) : TCT_COUNT_OF(conv_columns);
  for (size_t i = 0; i < n; i++) {
    if (r->at[needed[i]] >= 0) continue;
    return tct_fail(TCT_BAD_DATA, "%s:%lld:1: no column '%s'; a topology's first line names its columns: Layer name, IFMAP "
                    "Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides, or Layer, M, N, K",
                    r->path, (long long)r->line, columns[needed[i]].title);
  }
  bool first_taken = false;
  for (int32_t c = 0; c < N_COLUMNS; c++) first_taken = first_taken || r->at[c] == 0;
  if (r->at[NAME] < 0 && !first_taken) r->at[NAME] = 0;
  return TCT_OK;
}

/* ---- layers ---- */

static tct_status read_conv(reader *r, tct_scale_layer *out) {
  int64_t *const to[] = {&out->ifmap_h, &out->ifmap_w, &out->filter_h, &out->filter_w,
                         &out->channels, &out->n_filters, &out->stride_h};
  static_assert(TCT_COUNT_OF(to) == TCT_COUNT_OF(conv_columns), "a column each");
  for (size_t i = 0; i < TCT_COUNT_OF(conv_columns); i++) TCT_TRY(number_of(r, conv_columns[i], to[i]));
  out->stride_w = out->stride_h;
  return is_empty(r, STRIDE_W) ? TCT_OK : number_of(r, STRIDE_W, &out->stride_w);
}

/* [M,K]·[K,N] is ifmap M×K, N filters 1×K. */
static tct_status read_product(reader *r, tct_scale_layer *out) {
  *out = (tct_scale_layer){.filter_h = 1, .channels = 1, .stride_h = 1, .stride_w = 1};
  TCT_TRY(number_of(r, M, &out->ifmap_h));
  TCT_TRY(number_of(r, N, &out->n_filters));
  TCT_TRY(number_of(r, K, &out->ifmap_w));
  out->filter_w = out->ifmap_w;
  return TCT_OK;
}

/* Where a layer's value was read; the ones that a product does not have cannot be refused. */
static column column_of(const reader *r, int32_t field) {
  static const column conv[] = {
      [TCT_SCALE_FIELD_IFMAP_H] = IFMAP_H,   [TCT_SCALE_FIELD_IFMAP_W] = IFMAP_W,
      [TCT_SCALE_FIELD_FILTER_H] = FILTER_H, [TCT_SCALE_FIELD_FILTER_W] = FILTER_W,
      [TCT_SCALE_FIELD_CHANNELS] = CHANNELS, [TCT_SCALE_FIELD_FILTERS] = FILTERS,
      [TCT_SCALE_FIELD_STRIDE_H] = STRIDE_H, [TCT_SCALE_FIELD_STRIDE_W] = STRIDE_W};
  if (!r->products) return conv[field];
  return field == TCT_SCALE_FIELD_IFMAP_H ? M : field == TCT_SCALE_FIELD_FILTERS ? N : K;
}

static tct_status check_layer(reader *r, const tct_scale_layer *layer) {
  tct_refusal refusal;
  if (tct_scale_layer_refused(layer, &refusal)) {
    const column c = column_of(r, refusal.field);
    return tct_fail(TCT_BAD_DATA, "%s:%lld:%lld: column '%s': %s", r->path, (long long)r->cells[c].line,
                    (long long)r->cells[c].column, columns[c].title, refusal.text);
  }
  if (!is_empty(r, NAME) && !tct_utf8_valid(r->cells[NAME].text)) return bad(r, NAME, "UTF-8: save the file as such");
  int64_t batch = 1;
  if (!is_empty(r, BATCH)) TCT_TRY(number_of(r, BATCH, &batch));
  if (batch != 1) return bad(r, BATCH, "1: this model has no batches; a product's M can count the samples");
  const char *const ratio = is_empty(r, SPARSITY) ? "1:1" : r->cells[SPARSITY].text;
  r->sparse = r->sparse || (strcmp(ratio, "1:1") != 0 && strcmp(ratio, "1") != 0);
  return TCT_OK;
}

static tct_status add_layer(reader *r, const tct_scale_layer *layer, int64_t copies) {
  tct_topology *const t = r->out;
  if (copies > MOST_LAYERS - t->copies) {
    return tct_fail(TCT_BAD_DATA, "%s:%lld:1: more than %lld layers, with one for every channel of a depthwise row (DP in its "
                    "name); needs fewer", r->path, (long long)r->line, (long long)MOST_LAYERS);
  }
  if (t->n == t->capacity) {
    const int64_t capacity = t->capacity > 0 ? 2 * t->capacity : 64;
    void *const grown = tct_realloc(t->layers, (size_t)t->n * sizeof *t->layers, (size_t)capacity * sizeof *t->layers);
    if (grown == NULL) return TCT_OUT_OF_MEMORY;
    t->layers = grown;
    t->capacity = capacity;
  }
  const char *const name = tct_arena_strdup(&t->names, is_empty(r, NAME) ? "" : r->cells[NAME].text);
  if (name == NULL) return TCT_OUT_OF_MEMORY;
  t->layers[t->n++] = (tct_topology_layer){.name = name, .layer = *layer, .copies = copies, .line = r->line};
  t->copies += copies;
  return TCT_OK;
}

static tct_status read_layer(reader *r) {
  tct_scale_layer layer;
  bool empty = false;
  TCT_TRY(read_row(r, &empty));
  if (empty) return TCT_OK;
  TCT_TRY(r->products ? read_product(r, &layer) : read_conv(r, &layer));
  TCT_TRY(check_layer(r, &layer));
  const bool depthwise = !r->products && !is_empty(r, NAME) && strstr(r->cells[NAME].text, "DP") != NULL;
  const int64_t copies = depthwise ? layer.channels : 1;
  if (depthwise) layer.channels = 1;
  return add_layer(r, &layer, copies);
}

static tct_status read_file(reader *r) {
  TCT_TRY(read_header(r));
  while (tct_csv_next_row(&r->scan)) TCT_TRY(read_layer(r));
  if (r->out->n == 0) {
    return tct_fail(TCT_BAD_DATA, "%s:%lld:1: no layers below the header, needs at least one", r->path, (long long)r->scan.line);
  }
  if (r->sparse) tct_log_line(TCT_LOG_WARNING, "%s: its sparsity is passed over; layers count as dense", r->path);
  return TCT_OK;
}

/* ---- the topology ---- */

tct_status tct_topology_read(const char *path, tct_topology **out) {
  *out = NULL;
  if (path == NULL) return tct_fail(TCT_INVALID, "topology: no path, needs a file to read");
  void *data = NULL;
  size_t bytes = 0;
  TCT_TRY(tct_gzip_read(path, MOST_BYTES, &data, &bytes));
  reader r = {.path = path, .out = tct_alloc_zero(1, sizeof *r.out)};
  tct_status status = r.out != NULL ? TCT_OK : TCT_OUT_OF_MEMORY;
  tct_csv_begin(&r.scan, path, data, bytes, delimiter_of(data));
  if (status == TCT_OK) status = read_file(&r);
  tct_csv_end(&r.scan);
  tct_arena_free(&r.row);
  tct_release(data);
  if (status == TCT_OK) {
    *out = r.out;
  } else {
    tct_topology_free(r.out);
  }
  return status;
}

void tct_topology_free(tct_topology *topology) {
  if (topology == NULL) return;
  tct_arena_free(&topology->names);
  tct_release(topology->layers);
  tct_release(topology);
}

int64_t tct_topology_n_layers(const tct_topology *topology) { return topology->n; }

const tct_topology_layer *tct_topology_layer_at(const tct_topology *topology, int64_t i) {
  return i >= 0 && i < topology->n ? &topology->layers[i] : NULL;
}
