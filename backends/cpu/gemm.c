/* Products: by our register tiles where those were measured to win (gemm_tiled.c), else on OpenBLAS, one thread per call,
 * cut into output tiles that the pool shares. The cut follows from the shape alone, since OpenBLAS may round differently
 * for another block shape. Bias and activation are applied to a tile while it is in cache. */
#include <string.h>
#include "backends/cpu/device.h"

enum {
  SMALL = 16 * 16 * 16,      /* below: own loops, OpenBLAS' call costs more */
  TILE_FLOPS = 16 * 1000000, /* a tile's work: some 200 µs */
  MOST_TILES = 16,           /* each repacks its operands */
  LEAST_EDGE = 64,
  LONG_K = 4096,
};

/* Its own loops, gemv or gemm. */
void tct_cpu_gemm_block(tct_device_impl *device, bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k,
                        const float *a, int64_t lda, const float *b, int64_t ldb, float beta, float *c, int64_t ldc) {
  if (m == 0 || n == 0) return;
  if (k == 0 || (m * n * k <= SMALL && beta == 0.0f)) {
    device->k->small_gemm(m, n, k, a, transpose_a ? 1 : lda, transpose_a ? lda : 1, b, transpose_b ? 1 : ldb,
                          transpose_b ? ldb : 1, c, ldc);
    return;
  }
  const enum CBLAS_TRANSPOSE turn_a = transpose_a ? CblasTrans : CblasNoTrans;
  const enum CBLAS_TRANSPOSE turn_b = transpose_b ? CblasTrans : CblasNoTrans;
  if (m == 1) {
    /* c = bᵀ·a; gemv reads c, so that it must not hold NaN. */
    if (beta == 0.0f) memset(c, 0, (size_t)n * sizeof *c);
    const int64_t rows = transpose_b ? n : k, columns = transpose_b ? k : n;
    device->blas.sgemv(CblasRowMajor, transpose_b ? CblasNoTrans : CblasTrans, (blasint)rows, (blasint)columns, 1.0f, b,
                (blasint)ldb, a, transpose_a ? (blasint)lda : 1, 1.0f, c, 1);
    return;
  }
  device->blas.sgemm(CblasRowMajor, turn_a, turn_b, (blasint)m, (blasint)n, (blasint)k, 1.0f, a, (blasint)lda, b, (blasint)ldb,
              beta, c, (blasint)ldc);
}

static int64_t round_up(int64_t n, int64_t to) { return tct_cpu_divide_up(n, to) * to; }

size_t tct_cpu_gemm_plan(const tct_device_impl *device, tct_cpu_gemm *gemm, int64_t batch) {
  size_t workspace = 0;
  if (tct_cpu_gemm_tiled_plan(device, gemm, batch, &workspace)) return workspace;
  const int64_t m = gemm->m, n = gemm->n, k = gemm->k;
  gemm->tile_m = tct_cpu_most(m, 1);
  gemm->tile_n = tct_cpu_most(n, 1);
  gemm->parts = 1;
  gemm->part_k = k;
  const double flops = 2.0 * (double)batch * (double)m * (double)n * (double)k;
  const double wanted = flops / TILE_FLOPS < MOST_TILES ? flops / TILE_FLOPS : MOST_TILES;
  int64_t tiles = batch;
  /* A sum over many rows into a small result (a filter's or a weight's gradient) is cut along k instead. */
  const bool is_long = batch == 1 && k >= LONG_K && k >= 8 * tct_cpu_most(m, n);
  while (!is_long && (double)tiles < wanted) {
    const bool by_rows = gemm->tile_m >= gemm->tile_n;
    int64_t *edge = by_rows ? &gemm->tile_m : &gemm->tile_n;
    if (*edge < 2 * LEAST_EDGE) break;
    *edge = round_up(*edge / 2, 16);
    tiles = batch * tct_cpu_divide_up(m, gemm->tile_m) * tct_cpu_divide_up(n, gemm->tile_n);
  }
  if (is_long && wanted > 1.0) {
    const int64_t parts = tct_cpu_least((int64_t)wanted, k / (LONG_K / 4));
    gemm->part_k = round_up(tct_cpu_divide_up(k, parts), 16);
    gemm->parts = tct_cpu_divide_up(k, gemm->part_k);
  }
  return gemm->parts > 1 ? (size_t)(gemm->parts * m * n) * sizeof(float) : 0;
}

typedef struct job {
  tct_device_impl *device;
  const tct_cpu_gemm *gemm;
  const float *a, *b, *bias;
  const int64_t *a_at, *b_at;
  float *c, *partial;
  int64_t tiles_m, tiles_n;
} job;

void tct_cpu_gemm_finish(const tct_device_impl *device, const tct_cpu_gemm *gemm, const float *bias, float *c,
                         int64_t column, int64_t rows, int64_t columns) {
  if (bias != NULL) device->k->add_bias(c, gemm->ldc, bias + column, rows, columns);
  if (gemm->activation == NULL) return;
  const bool is_dense = columns == gemm->ldc;
  const int64_t n_runs = is_dense ? 1 : rows, length = is_dense ? rows * columns : columns;
  for (int64_t i = 0; i < n_runs; i++) {
    float *run = c + i * gemm->ldc;
    const void *const arg[3] = {run, run, run};
    gemm->activation(arg, run, length, gemm->p);
  }
}

static void run_tile(void *user, int64_t task, int32_t worker) {
  (void)worker;
  const job *j = user;
  const tct_cpu_gemm *at = j->gemm;
  const int64_t tile_n = task % j->tiles_n, rest = task / j->tiles_n;
  const int64_t tile_m = rest % j->tiles_m, index = rest / j->tiles_m; /* of the product, or of the part of k */
  const int64_t i0 = tile_m * at->tile_m, j0 = tile_n * at->tile_n;
  const int64_t rows = tct_cpu_least(at->tile_m, at->m - i0), columns = tct_cpu_least(at->tile_n, at->n - j0);
  const bool in_parts = at->parts > 1;
  const int64_t k0 = in_parts ? index * at->part_k : 0;
  const int64_t depth = in_parts ? tct_cpu_least(at->part_k, at->k - k0) : at->k;
  const float *a = j->a + (j->a_at != NULL ? j->a_at[index] : 0);
  const float *b = j->b + (j->b_at != NULL ? j->b_at[index] : 0);
  a += at->transpose_a ? k0 * at->lda + i0 : i0 * at->lda + k0;
  b += at->transpose_b ? j0 * at->ldb + k0 : k0 * at->ldb + j0;
  if (in_parts) {
    float *c = j->partial + index * at->m * at->n + i0 * at->n + j0;
    tct_cpu_gemm_block(j->device, at->transpose_a, at->transpose_b, rows, columns, depth, a, at->lda, b, at->ldb, 0.0f, c,
                       at->n);
    return;
  }
  float *c = j->c + index * at->m * at->ldc + i0 * at->ldc + j0;
  tct_cpu_gemm_block(j->device, at->transpose_a, at->transpose_b, rows, columns, depth, a, at->lda, b, at->ldb, 0.0f, c,
                     at->ldc);
  tct_cpu_gemm_finish(j->device, at, j->bias, c, j0, rows, columns);
}

static void add_parts(void *user, int64_t task, int32_t worker) {
  (void)worker;
  const job *j = user;
  const tct_cpu_gemm *at = j->gemm;
  float *c = j->c + task * at->ldc;
  j->device->k->sum_parts(j->partial + task * at->n, at->parts, at->m * at->n, c, at->n);
  tct_cpu_gemm_finish(j->device, at, j->bias, c, 0, 1, at->n);
}

void tct_cpu_gemm_run(tct_device_impl *device, const tct_cpu_gemm *gemm, int64_t batch, const float *a,
                      const int64_t *a_at, const float *b, const int64_t *b_at, const float *bias, float *c,
                      void *workspace) {
  if (gemm->m == 0 || gemm->n == 0 || batch == 0) return;
  if (gemm->tiled) {
    tct_cpu_gemm_tiled_run(device, gemm, batch, a, a_at, b, b_at, bias, c, workspace);
    return;
  }
  job j = {.device = device,
           .gemm = gemm,
           .a = a,
           .b = b,
           .bias = bias,
           .a_at = a_at,
           .b_at = b_at,
           .c = c,
           .partial = workspace,
           .tiles_m = tct_cpu_divide_up(gemm->m, gemm->tile_m),
           .tiles_n = tct_cpu_divide_up(gemm->n, gemm->tile_n)};
  const double ns = (double)batch * (double)gemm->m * (double)gemm->n * (2.0 * (double)gemm->k / 50.0 + 0.5);
  tct_cpu_run(device, (gemm->parts > 1 ? gemm->parts : batch) * j.tiles_m * j.tiles_n, ns, run_tile, &j);
  if (gemm->parts > 1) tct_cpu_run(device, gemm->m, 0.2 * (double)(gemm->parts * gemm->m * gemm->n), add_parts, &j);
}
