/* Products by our own register tiles. Measured on an AVX-512 core at batch 32 to 512 against OpenBLAS 0.3.21: 1.0–1.25 ×
 * where few rows or a short k leave OpenBLAS' packing exposed, 0.95–1.0 × at 512, 0.94 × at 1024³, which stays with
 * OpenBLAS. A transposed a, of which a tile would read a line per step of k, again for every panel, is packed too
 * (1.2–1.8 × at 256–1024 each way). b is packed once for all threads, or read in place where too few rows would pay for packing it. Every element
 * of c is summed over k in order, so neither the cut nor the number of threads changes a bit. */
#include "backends/cpu/device.h"

enum {
  LARGE = 768,           /* m, n and k from here: OpenBLAS */
  PAYS_FOR_PACKING = 192, /* rows of c from which packing a contiguous b pays */
  PAYS_FOR_TURNING = 128, /* columns of c from which packing a transposed a pays */
  ROW_TILES = 16,         /* of a packing task: enough that it reads runs of lines */
  TASK_FLOPS = 4 * 1000000,
  BLOCK_ROWS = 8,        /* register tiles of a task, at most, so that its rows of a stay in the second cache */
  MANY = 8               /* products from here: each is one task that packs for itself */
};

static int64_t panels_of(const tct_cpu_gemm *gemm, int64_t panel) { return tct_cpu_divide_up(gemm->n, panel); }

/* Floats of packed panels for one product. */
static int64_t packed_floats(const tct_cpu_gemm *gemm, int64_t panel) {
  if (gemm->packed) return panels_of(gemm, panel) * panel * gemm->k;
  return gemm->n % panel != 0 ? panel * gemm->k : 0;
}

/* Floats of a packed a. */
static int64_t turned_floats(const tct_cpu_gemm *gemm, int64_t rows) {
  return gemm->packed_a ? tct_cpu_divide_up(gemm->m, rows) * rows * gemm->k : 0;
}

bool tct_cpu_gemm_tiled_plan(const tct_device_impl *device, tct_cpu_gemm *gemm, int64_t batch, size_t *out_workspace) {
  const int64_t panel = device->k->gemm_panel(), rows = device->k->gemm_rows();
  const bool large = gemm->m >= LARGE && gemm->n >= LARGE && gemm->k >= LARGE;
  const bool slender = gemm->m == 1 || gemm->m * gemm->n * gemm->k <= 4096;
  const bool long_k = gemm->k >= 4096 && gemm->m * gemm->n < 256 * 256;
  if (panel < 16 || large || slender || long_k || gemm->k == 0) return false;
  gemm->tiled = true;
  gemm->packed = gemm->transpose_b || gemm->m > PAYS_FOR_PACKING || gemm->n < panel;
  gemm->packed_a = gemm->transpose_a && gemm->n >= PAYS_FOR_TURNING && gemm->m > rows;
  gemm->parts = 1;
  gemm->tile_m = tct_cpu_least(BLOCK_ROWS * rows, tct_cpu_divide_up(gemm->m, rows) * rows);
  const double each = 2.0 * (double)gemm->tile_m * (double)gemm->k * (double)panel;
  const int64_t panels = tct_cpu_most((int64_t)(TASK_FLOPS / tct_cpu_most((int64_t)each, 1)), 1);
  gemm->tile_n = tct_cpu_least(panels, panels_of(gemm, panel)) * panel;
  const int64_t copies = batch >= MANY ? device->n_threads : 1;
  *out_workspace = (size_t)((packed_floats(gemm, panel) + turned_floats(gemm, rows)) * copies) * sizeof(float);
  return true;
}

typedef struct job {
  tct_device_impl *device;
  const tct_cpu_gemm *gemm;
  const float *a, *b, *bias;
  const int64_t *a_at, *b_at;
  float *c, *packed;
  float *turned; /* a, packed */
  int64_t panel, rows, tiles_n, copy_floats;
} job;

/* Register tiles [first, first + n_tiles) of a, row by row of what lies in memory. */
static void turn(const job *j, int64_t first, int64_t n_tiles, const float *a, float *turned) {
  const tct_cpu_gemm *at = j->gemm;
  const int64_t i0 = first * j->rows;
  j->device->k->gemm_pack_rows(tct_cpu_least(n_tiles * j->rows, at->m - i0), at->k, a + i0, at->lda, turned + i0 * at->k);
}

static void turn_tiles(void *user, int64_t task, int32_t worker) {
  (void)worker;
  const job *j = user;
  turn(j, task * ROW_TILES, ROW_TILES, j->a, j->turned);
}

static void pack(const job *j, int64_t first, int64_t n_panels, const float *b, float *packed) {
  const tct_cpu_gemm *at = j->gemm;
  const int64_t row = at->transpose_b ? 1 : at->ldb, column = at->transpose_b ? at->ldb : 1;
  for (int64_t p = first; p < first + n_panels; p++) {
    const int64_t j0 = p * j->panel;
    float *to = at->packed ? packed + j0 * at->k : packed;
    j->device->k->gemm_pack(at->k, tct_cpu_least(j->panel, at->n - j0), b + j0 * column, row, column, to);
  }
}

static void pack_panel(void *user, int64_t task, int32_t worker) {
  (void)worker;
  const job *j = user;
  pack(j, j->gemm->packed ? task : panels_of(j->gemm, j->panel) - 1, 1, j->b, j->packed);
}

/* Rows × columns of c from (i0, j0), whole panels but for the last. */
static void multiply(const job *j, int64_t i0, int64_t rows, int64_t j0, int64_t columns, const float *a, const float *b,
                     const float *packed, const float *turned, float *c) {
  const tct_cpu_gemm *at = j->gemm;
  const tct_cpu_kernels *k = j->device->k;
  const int64_t a_row = at->transpose_a ? 1 : at->lda, tile = at->packed_a ? at->k : a_row;
  const int64_t a_col = at->packed_a ? j->rows : at->transpose_a ? at->lda : 1;
  const float *from = (at->packed_a ? turned : a) + i0 * tile;
  float *to = c + i0 * at->ldc + j0;
  if (at->packed) {
    k->gemm(rows, columns, at->k, from, tile, a_row, a_col, packed + j0 * at->k, j->panel * at->k, j->panel, to, at->ldc, false);
  } else {
    const int64_t whole = columns / j->panel * j->panel;
    k->gemm(rows, whole, at->k, from, tile, a_row, a_col, b + j0, j->panel, at->ldb, to, at->ldc, false);
    if (whole < columns) {
      k->gemm(rows, columns - whole, at->k, from, tile, a_row, a_col, packed, 0, j->panel, to + whole, at->ldc, false);
    }
  }
  tct_cpu_gemm_finish(j->device, at, j->bias, to, j0, rows, columns);
}

static void run_tile(void *user, int64_t task, int32_t worker) {
  (void)worker;
  const job *j = user;
  const tct_cpu_gemm *at = j->gemm;
  const int64_t i0 = task / j->tiles_n * at->tile_m, j0 = task % j->tiles_n * at->tile_n;
  multiply(j, i0, tct_cpu_least(at->tile_m, at->m - i0), j0, tct_cpu_least(at->tile_n, at->n - j0), j->a, j->b, j->packed,
           j->turned, j->c);
}

static void run_product(void *user, int64_t task, int32_t worker) {
  const job *j = user;
  const tct_cpu_gemm *at = j->gemm;
  const float *a = j->a + j->a_at[task], *b = j->b + j->b_at[task];
  float *packed = j->packed + worker * j->copy_floats, *c = j->c + task * at->m * at->ldc;
  float *turned = packed + packed_floats(at, j->panel);
  const int64_t panels = panels_of(at, j->panel);
  if (at->packed_a) turn(j, 0, tct_cpu_divide_up(at->m, j->rows), a, turned);
  if (packed_floats(at, j->panel) > 0) pack(j, at->packed ? 0 : panels - 1, at->packed ? panels : 1, b, packed);
  for (int64_t i0 = 0; i0 < at->m; i0 += at->tile_m) {
    multiply(j, i0, tct_cpu_least(at->tile_m, at->m - i0), 0, at->n, a, b, packed, turned, c);
  }
}

void tct_cpu_gemm_tiled_run(tct_device_impl *device, const tct_cpu_gemm *gemm, int64_t batch, const float *a,
                            const int64_t *a_at, const float *b, const int64_t *b_at, const float *bias, float *c,
                            void *workspace) {
  const int64_t panel = device->k->gemm_panel(), rows = device->k->gemm_rows(), packed = packed_floats(gemm, panel);
  job j = {.device = device, .gemm = gemm, .a = a, .b = b, .bias = bias, .a_at = a_at, .b_at = b_at, .c = c,
           .packed = workspace, .turned = (float *)workspace + packed, .panel = panel, .rows = rows,
           .tiles_n = tct_cpu_divide_up(gemm->n, gemm->tile_n), .copy_floats = packed + turned_floats(gemm, rows)};
  const double ns = 2.0 * (double)gemm->m * (double)gemm->n * (double)gemm->k / 50.0;
  if (batch >= MANY) {
    tct_cpu_run(device, batch, ns * (double)batch, run_product, &j);
    return;
  }
  for (int64_t p = 0; p < batch; p++) {
    j.a = a + (a_at != NULL ? a_at[p] : 0);
    j.b = b + (b_at != NULL ? b_at[p] : 0);
    j.c = c + p * gemm->m * gemm->ldc;
    const int64_t packs = packed == 0 ? 0 : gemm->packed ? panels_of(gemm, panel) : 1;
    const int64_t turns = gemm->packed_a ? tct_cpu_divide_up(gemm->m, ROW_TILES * rows) : 0;
    tct_cpu_run(device, turns, 0.3 * (double)(gemm->m * gemm->k), turn_tiles, &j);
    tct_cpu_run(device, packs, 0.3 * (double)(packs * panel * gemm->k), pack_panel, &j);
    tct_cpu_run(device, tct_cpu_divide_up(gemm->m, gemm->tile_m) * j.tiles_n, ns, run_tile, &j);
  }
}
