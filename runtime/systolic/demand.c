/* The order in which SCALE-Sim's array asks for its operands and gives its results, line by line (a line is a cycle without
 * stalls), computed instead of stored: SCALE-Sim builds these matrices whole. */
#include "systolic/scale.h"

#include "base/alloc.h"
#include "base/status.h"
#include "systolic/whole.h"

/* How many of the array's lanes a fold uses. */
static int64_t used(int64_t extent, int64_t fold, int64_t lanes) { return tct_smaller(lanes, extent - fold * lanes); }

/* An im2col address is a sum of a part of the pixel (m) and a part of the place in the window (k). A window that begins
 * behind the image is nowhere, however far. */
static tct_status tabulate_ifmap(tct_scale_operand *o) {
  const tct_scale_map *map = o->map;
  const tct_scale_layer *l = &map->layer;
  o->m_part = tct_alloc_zero((size_t)map->m, sizeof *o->m_part);
  o->m_at = tct_alloc_zero((size_t)map->m, sizeof *o->m_at);
  o->k_part = tct_alloc_zero((size_t)map->k, sizeof *o->k_part);
  o->k_at = tct_alloc_zero((size_t)map->k, sizeof *o->k_at);
  if (o->m_part == NULL || o->m_at == NULL || o->k_part == NULL || o->k_at == NULL) return TCT_OUT_OF_MEMORY;
  for (int64_t m = 0; m < map->m; m++) {
    const int64_t y = tct_smaller(m / map->out_w * l->stride_h, l->ifmap_h);
    const int64_t x = tct_smaller(m % map->out_w * l->stride_w, l->ifmap_w);
    o->m_at[m][0] = (int32_t)y;
    o->m_at[m][1] = (int32_t)x;
    o->m_part[m] = (y * l->ifmap_w + x) * l->channels;
  }
  for (int64_t k = 0; k < map->k; k++) {
    const int64_t y = k / (l->filter_w * l->channels), x = k / l->channels % l->filter_w;
    o->k_at[k][0] = (int32_t)y;
    o->k_at[k][1] = (int32_t)x;
    o->k_part[k] = (y * l->ifmap_w + x) * l->channels + k % l->channels;
  }
  return TCT_OK;
}

tct_status tct_scale_operand_begin(const tct_scale_map *map, bool filter, tct_scale_operand *out) {
  const tct_dataflow flow = map->config->dataflow;
  *out = (tct_scale_operand){.map = map, .filter = filter};
  out->stationary = flow == (filter ? TCT_WEIGHT_STATIONARY : TCT_INPUT_STATIONARY);
  out->by_cols = flow == TCT_OUTPUT_STATIONARY && filter;
  out->k_is_a = flow != TCT_OUTPUT_STATIONARY;
  out->first_line = flow == TCT_OUTPUT_STATIONARY ? 0 : map->config->rows; /* behind the load of the other operand */
  out->words = filter ? map->n * map->k : map->layer.ifmap_h * map->layer.ifmap_w * map->layer.channels;
  return filter ? TCT_OK : tabulate_ifmap(out);
}

void tct_scale_operand_end(tct_scale_operand *operand) {
  tct_release(operand->m_part);
  tct_release(operand->m_at);
  tct_release(operand->k_part);
  tct_release(operand->k_at);
}

tct_scale_line tct_scale_demand(const tct_scale_operand *o, int64_t row_fold, int64_t col_fold, int64_t line) {
  const tct_scale_map *map = o->map;
  const int64_t rows = map->config->rows, cols = map->config->cols;
  if (o->stationary) {
    const int64_t row = rows - 1 - line;
    const bool loads = line < rows && row < used(map->spatial_rows, row_fold, rows);
    return (tct_scale_line){.n = loads ? used(map->spatial_cols, col_fold, cols) : 0, .a = row_fold * rows + row,
                            .b = col_fold * cols, .da = 0, .db = 1};
  }
  const int64_t lanes = o->by_cols ? cols : rows;
  const int64_t fold = o->by_cols ? col_fold : row_fold;
  const int64_t extent = o->by_cols ? map->spatial_cols : map->spatial_rows;
  const int64_t diagonal = line - o->first_line; /* lane + step */
  const int64_t first = tct_larger(0, diagonal - map->steps + 1);
  const int64_t last = tct_smaller(used(extent, fold, lanes) - 1, diagonal);
  return (tct_scale_line){.n = tct_larger(0, last - first + 1), .a = fold * lanes + first, .b = diagonal - first, .da = 1,
                          .db = -1};
}

int64_t tct_scale_results(const tct_scale_map *map, int64_t row_fold, int64_t col_fold, int64_t line) {
  const int64_t rows = map->config->rows, cols = map->config->cols;
  const int64_t n_cols = used(map->spatial_cols, col_fold, cols);
  int64_t first = 0, last = 0; /* columns */
  if (map->config->dataflow == TCT_OUTPUT_STATIONARY) {
    /* Row R − 1 − p leaves column c in line T − 1 + p + c. */
    const int64_t diagonal = line - (map->steps - 1);
    first = tct_larger(0, diagonal - (rows - 1));
    last = tct_smaller(n_cols - 1, diagonal - (rows - used(map->spatial_rows, row_fold, rows)));
  } else {
    const int64_t diagonal = line - (2 * rows - 1); /* step + column */
    first = tct_larger(0, diagonal - map->steps + 1);
    last = tct_smaller(n_cols - 1, diagonal);
  }
  return tct_larger(0, last - first + 1);
}
