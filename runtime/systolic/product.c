/* A matrix product on a modelled chip: the search for a tiling, and the pipeline of its blocks.
 *
 * The grid is (m, n, k) with k innermost, so that a block of results stays in VMEM while it is summed. A block of X is loaded
 * again when its (m, k) changes, one of W when its (k, n) does; results are stored after the last k. A block's compute is
 * ⌈taps·⌈bk/R⌉·⌈bn/C⌉ / arrays⌉ weight tiles of max(rows, R) cycles each: weights shift in behind the work of the tile before,
 * if that has at least R rows (fast.c is the same clock for one array's list). */
#include <math.h>

#include <tercet/chip.h>
#include "base/status.h"

#define VMEM_SHARE 0.8
#define MOST_BLOCKS ((int64_t)1 << 20) /* stepped one by one; more are summed */
#define MOST_EXTENT ((int64_t)1 << 40)

static int64_t divide_up(int64_t n, int64_t by) { return (n + by - 1) / by; }
static int64_t round_up(int64_t n, int64_t to) { return divide_up(n, to) * to; }
static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

/* ---- the pipeline ---- */

typedef struct pipeline {
  bool shared;
  double channel;      /* shared: when it is free */
  double loaded;       /* Lᵢ */
  double computed[2];  /* Cᵢ₋₁, Cᵢ₋₂ */
  double stored[2];    /* Oᵢ₋₁, Oᵢ₋₂ */
  double waiting_store; /* shared: of the block before, asked for behind this block's load */
  bool has_store;
} pipeline;

static void store_before(pipeline *p) {
  if (!p->has_store) return;
  p->channel = fmax(p->channel, p->computed[0]) + p->waiting_store;
  p->stored[1] = p->stored[0];
  p->stored[0] = p->channel;
  p->has_store = false;
}

/* Lᵢ = max(Lᵢ₋₁, Cᵢ₋₂) + dᵢ;  Cᵢ = max(Cᵢ₋₁, Lᵢ, Oᵢ₋₂) + cᵢ;  Oᵢ = max(Oᵢ₋₁, Cᵢ) + oᵢ. With one channel a load and a store
 * also wait for what was asked for before: load 1, load 2, store 1, load 3, store 2 … */
static void add_block(pipeline *p, const tct_block *b) {
  const double busy = p->shared ? p->channel : p->loaded;
  p->loaded = fmax(busy, p->computed[1]) + b->load;
  double free_result = p->stored[1];
  if (p->shared) {
    p->channel = p->loaded;
    store_before(p); /* of block i − 1: behind this load in the queue; block i − 2's is stored[1] after it */
    free_result = p->stored[1];
  }
  const double computed = fmax(fmax(p->computed[0], p->loaded), free_result) + b->compute;
  p->computed[1] = p->computed[0];
  p->computed[0] = computed;
  if (p->shared) {
    p->waiting_store = b->store;
    p->has_store = true;
    return;
  }
  const double stored = fmax(p->stored[0], computed) + b->store;
  p->stored[1] = p->stored[0];
  p->stored[0] = stored;
}

static double end_pipeline(pipeline *p) {
  if (p->shared) store_before(p);
  return p->stored[0];
}

double tct_chip_pipeline(const tct_block *blocks, int64_t n, bool shared) {
  pipeline p = {.shared = shared};
  for (int64_t i = 0; i < n; i++) add_block(&p, &blocks[i]);
  return end_pipeline(&p);
}

/* ---- tilings ---- */

typedef struct tiling {
  const tct_chip *chip;
  int64_t m, k, n, taps;            /* swapped already */
  double x_bytes, w_bytes, y_bytes;
  int64_t bm, bk, bn;
  int64_t gm, gk, gn;
  double bytes_per_cycle;
} tiling;

/* Rows that a block of X streams: whole sublanes. */
static int64_t rows_of(const tiling *t, int64_t i) {
  return round_up(smaller(t->bm, t->m - i * t->bm), smaller(t->chip->sublanes, t->bm));
}

static int64_t tiles_of(const tiling *t, int64_t j, int64_t l) {
  const int64_t k = smaller(t->bk, t->k - l * t->bk), n = smaller(t->bn, t->n - j * t->bn);
  return t->taps * divide_up(k, t->chip->array_rows) * divide_up(n, t->chip->array_cols);
}

/* Weight tiles that one array takes in turn. */
static int64_t turns_of(const tiling *t, int64_t j, int64_t l) {
  return divide_up(tiles_of(t, j, l), t->chip->cores * t->chip->arrays);
}

/* Σ over the grid of a function of (n, k) that only differs in the last block of each. */
static double sum_blocks(const tiling *t, int64_t (*of)(const tiling *, int64_t, int64_t)) {
  const double inner_n = (double)(t->gn - 1), inner_k = (double)(t->gk - 1);
  return inner_n * inner_k * (double)of(t, 0, 0) + inner_n * (double)of(t, 0, t->gk - 1) +
         inner_k * (double)of(t, t->gn - 1, 0) + (double)of(t, t->gn - 1, t->gk - 1);
}

static double x_traffic(const tiling *t) { return t->x_bytes * (t->gk > 1 ? (double)t->gn : 1); }
static double w_traffic(const tiling *t) { return t->w_bytes * (t->gk > 1 || t->gn > 1 ? (double)t->gm : 1); }

/* What the arrays do, summed over the grid. */
static void count_work(const tiling *t, double *out_active, double *out_shift, double *out_macs) {
  const int64_t rows = rows_of(t, 0), last = rows_of(t, t->gm - 1), r = t->chip->array_rows;
  const double turns = sum_blocks(t, turns_of), before = (double)(t->gm - 1);
  const double all_rows = before * (double)rows + (double)last;
  *out_active = turns * all_rows;
  *out_shift = turns * (before * (double)larger(0, r - rows) + (double)larger(0, r - last));
  *out_macs = sum_blocks(t, tiles_of) * all_rows * (double)(r * t->chip->array_cols);
}

static bool fits(const tiling *t) {
  const double x = t->x_bytes / (double)(t->gm * t->gk), w = t->w_bytes / (double)(t->gk * t->gn);
  const double y = t->y_bytes / (double)(t->gm * t->gn), sums = 4 * (double)t->bm * (double)t->bn;
  return 2 * (x + w + y) + sums <= VMEM_SHARE * t->chip->vmem * (double)t->chip->cores;
}

/* A lower bound of the pipeline that ranks tilings: the busiest engine, with the first load and the last store. */
static double estimate(const tiling *t) {
  double active = 0, shift = 0, macs = 0;
  count_work(t, &active, &shift, &macs);
  const double moved = (x_traffic(t) + w_traffic(t) + t->y_bytes) / t->bytes_per_cycle;
  const double first = (t->x_bytes / (double)(t->gm * t->gk) + t->w_bytes / (double)(t->gk * t->gn)) / t->bytes_per_cycle;
  const double last = t->y_bytes / (double)(t->gm * t->gn) / t->bytes_per_cycle;
  return fmax(moved, first + active + shift + last);
}

/* 8, 16, 32 … and the whole extent, in units of `step`. */
static int64_t next_block(int64_t block, int64_t whole, int64_t step) {
  if (block == 0) return smaller(step, whole);
  return block >= whole ? 0 : smaller(2 * block, whole);
}

static void set_blocks(tiling *t, int64_t bm, int64_t bk, int64_t bn) {
  t->bm = bm;
  t->bk = bk;
  t->bn = bn;
  t->gm = divide_up(t->m, bm);
  t->gk = divide_up(t->k, bk);
  t->gn = divide_up(t->n, bn);
}

typedef struct choice {
  tiling tiling;
  bool found, swapped;
  double cycles, bytes;
} choice;

static void consider(const tiling *t, bool swapped, choice *best) {
  if (!fits(t)) return;
  const double cycles = estimate(t), bytes = x_traffic(t) + w_traffic(t) + t->y_bytes;
  const bool better = !best->found || cycles < best->cycles || (cycles == best->cycles && bytes < best->bytes) ||
                      (cycles == best->cycles && bytes == best->bytes && t->bk > best->tiling.bk);
  if (better) *best = (choice){*t, true, swapped, cycles, bytes};
}

static void search(const tct_chip *chip, const tct_product *p, bool swapped, choice *best) {
  tiling t = {.chip = chip, .m = swapped ? p->n : p->m, .k = p->k, .n = swapped ? p->m : p->n,
              .taps = (p->taps > 0 ? p->taps : 1) * chip->passes, .x_bytes = swapped ? p->w_bytes : p->x_bytes,
              .w_bytes = swapped ? p->x_bytes : p->w_bytes, .y_bytes = p->y_bytes,
              .bytes_per_cycle = chip->hbm / chip->clock};
  const int64_t whole_m = round_up(t.m, chip->sublanes), whole_k = round_up(t.k, chip->array_rows);
  const int64_t whole_n = round_up(t.n, chip->array_cols);
  for (int64_t bm = 0; (bm = next_block(bm, whole_m, chip->sublanes)) > 0;) {
    for (int64_t bk = 0; (bk = next_block(bk, whole_k, chip->array_rows)) > 0;) {
      for (int64_t bn = 0; (bn = next_block(bn, whole_n, chip->array_cols)) > 0;) {
        set_blocks(&t, bm, bk, bn);
        consider(&t, swapped, best);
      }
    }
  }
}

/* The blocks in the grid's order, through the pipeline. */
static double run_blocks(const tiling *t) {
  pipeline p = {.shared = true};
  const double x = t->x_bytes / (double)(t->gm * t->gk) / t->bytes_per_cycle;
  const double w = t->w_bytes / (double)(t->gk * t->gn) / t->bytes_per_cycle;
  const double y = t->y_bytes / (double)(t->gm * t->gn) / t->bytes_per_cycle;
  for (int64_t i = 0; i < t->gm; i++) {
    const double cycles = (double)larger(rows_of(t, i), t->chip->array_rows);
    for (int64_t j = 0; j < t->gn; j++) {
      for (int64_t l = 0; l < t->gk; l++) {
        const bool new_x = t->gk > 1 || j == 0, new_w = t->gk > 1 || t->gn > 1 || i == 0;
        add_block(&p, &(tct_block){.load = (new_x ? x : 0) + (new_w ? w : 0), .compute = cycles * (double)turns_of(t, j, l),
                                   .store = l == t->gk - 1 ? y : 0});
      }
    }
  }
  return end_pipeline(&p);
}

static void account(const choice *best, const tct_product *p, tct_chip_time *out) {
  const tiling *t = &best->tiling;
  const tct_chip *chip = t->chip;
  double active = 0;
  count_work(t, &active, &out->shift, &out->macs);
  const double units = (double)(chip->cores * chip->arrays * chip->array_rows * chip->array_cols);
  out->useful = (double)p->m * (double)p->k * (double)p->n * (double)t->taps / units;
  out->padding = active - out->useful;
  const double blocks = (double)t->gm * (double)t->gk * (double)t->gn;
  const double flow = blocks <= (double)MOST_BLOCKS ? run_blocks(t) : best->cycles;
  out->memory = flow - active - out->shift + chip->latency * chip->clock;
  out->skew = (double)(2 * chip->array_rows + chip->array_cols - 2) + chip->overhead * chip->clock;
  out->total = out->useful + out->padding + out->shift + out->memory + out->skew;
  out->hbm_bytes = best->bytes;
  /* Through VMEM: what HBM moves, the rows that stream past every weight tile, the tiles, and the sums. */
  const double tiles = out->macs / (double)(chip->array_rows * chip->array_cols);
  out->vmem_bytes = best->bytes + 4 * tiles * (double)(chip->array_rows + 2 * chip->array_cols) +
                    4 * sum_blocks(t, tiles_of) * (double)t->gm * (double)(chip->array_rows * chip->array_cols);
  out->block_m = t->bm;
  out->block_k = t->bk;
  out->block_n = t->bn;
  out->swapped = best->swapped;
}

tct_status tct_chip_product(const tct_chip *chip, const tct_product *product, tct_chip_time *out) {
  *out = (tct_chip_time){0};
  const int64_t extents[] = {product->m, product->k, product->n, product->taps + 1};
  for (int i = 0; i < 4; i++) {
    if (extents[i] < 1 || extents[i] > MOST_EXTENT) {
      return tct_fail(TCT_INVALID, "a product on chip %s: [%lld,%lld]·[%lld,%lld], %lld taps; needs extents from 1 to 2^40",
                      chip->name, (long long)product->m, (long long)product->k, (long long)product->k,
                      (long long)product->n, (long long)product->taps);
    }
  }
  choice best = {.found = false};
  search(chip, product, false, &best);
  search(chip, product, true, &best);
  if (!best.found) {
    return tct_fail(TCT_INVALID, "a product on chip %s: not even one tile of [%lld,%lld]·[%lld,%lld] fits twice into 80 %% of "
                    "its VMEM of %.0f bytes", chip->name, (long long)product->m, (long long)product->k,
                    (long long)product->k, (long long)product->n, chip->vmem * (double)chip->cores);
  }
  account(&best, product, out);
  return TCT_OK;
}

/* ---- the vector unit ---- */

void tct_chip_vector(const tct_chip *chip, double operations, double bytes, tct_chip_time *out) {
  *out = (tct_chip_time){.hbm_bytes = bytes, .vmem_bytes = 2 * bytes};
  out->vector = operations / (double)(chip->cores * chip->alus);
  out->memory = fmax(0, bytes * chip->clock / chip->hbm - out->vector) + chip->latency * chip->clock;
  out->skew = chip->overhead * chip->clock;
  out->total = out->vector + out->memory + out->skew;
}

static double padded(int64_t extent, int64_t to) { return (double)divide_up(extent, to) * (double)to; }

double tct_chip_bytes(const tct_chip *chip, const tct_desc *desc) {
  const tct_shape *s = &desc->shape;
  const int64_t size = (int64_t)tct_dtype_bytes(desc->dtype);
  const int64_t sublanes = chip->sublanes * larger(1, 4 / larger(size, 1));
  double all = 1, best = INFINITY;
  for (int32_t i = 0; i < s->rank; i++) all *= (double)s->dim[i];
  if (all == 0) return 0;
  if (s->rank < 2) return (double)size * padded((int64_t)all, chip->lanes * sublanes);
  /* A compiler lays out the two axes in the tile that waste least. */
  for (int32_t a = 0; a < s->rank; a++) {
    for (int32_t b = 0; b < s->rank; b++) {
      if (a == b) continue;
      const double rest = all / (double)s->dim[a] / (double)s->dim[b];
      best = fmin(best, rest * padded(s->dim[a], chip->lanes) * padded(s->dim[b], sublanes));
    }
  }
  return (double)size * best;
}

double tct_chip_energy(const tct_chip *chip, const tct_chip_time *time) {
  return time->macs * chip->mac + time->hbm_bytes * chip->hbm_energy + time->vmem_bytes * chip->vmem_energy +
         chip->idle * time->total / chip->clock;
}
