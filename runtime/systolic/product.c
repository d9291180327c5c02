/* A matrix product on a modelled chip: the search for a tiling, and the pipeline of its blocks.
 *
 * The grid is (batch, m, n, k) with k innermost, so that a block of results stays in VMEM while it is summed. A block of X is loaded
 * again when its (m, k) changes, one of W when its (k, n) does; results are stored after the last k. A block's compute is
 * ⌈bb·taps·⌈bk/R⌉·⌈bn/C⌉ / arrays⌉ weight tiles of max(rows, R) cycles each, or a
 * tile's rows are split over s arrays: ⌈bb·taps·⌈bk/R⌉·⌈bn/C⌉·s / arrays⌉ tiles of max(rows/s, R) cycles. Weights shift in behind the work of the tile before,
 * if that has at least R rows (fast.c is the same clock for one array's list).
 *
 * Output stationary: the array holds R×C results, and taps·bk steps of the inner axis stream past: ⌈bb·⌈bm/R⌉·⌈bn/C⌉ / arrays⌉ tiles of
 * max(taps·bk, R) cycles. A tile's results shift out behind the work of the next one, if that has at least R steps. So
 * either way one axis streams and the others lie along the array's rows and columns; what follows is written of these. */
#include <math.h>
#include <string.h>

#include <tercet/chip.h>
#include "base/status.h"
#include "systolic/fifo.h"
#include "systolic/whole.h"

#define MOST_BLOCKS ((int64_t)1 << 16) /* stepped one by one; more are estimated */
#define MOST_EXTENT ((int64_t)1 << 40)
#define MOST_PRODUCTS 0x1p62

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

/* One of the two that meet: bytes of one matrix, how many matrices the batch has of it, rows (or columns) and how many differ. */
typedef struct operand {
  double bytes;
  int64_t copies, extent, differ;
} operand;

typedef struct tiling {
  const tct_chip *chip;
  operand x, w; /* what streams, what stays */
  int64_t m, k, n, taps, batch;     /* swapped already */
  bool int8;
  int64_t rate; /* products that an element makes in a cycle: a tile of weights has so many times R rows */
  double y_bytes;                   /* of the whole batch */
  double vector;                    /* cycles of the vector unit, all of Y */
  int64_t bm, bk, bn, bb;
  int64_t gm, gk, gn, gb;
  int64_t split; /* arrays that share a tile's rows */
  bool outputs;  /* the results stay in the array: k streams and m lies along its rows; else the other way round */
  double bytes_per_cycle;
} tiling;

/* The part of an axis that a block has, at most all of it. */
static double part(int64_t block, int64_t extent) { return fmin(1, (double)block / (double)extent); }

/* Matrices of an operand that a block of the batch needs: those that differ. */
static double copies_in_block(const tiling *t, const operand *o) {
  return fmax(1, (double)t->bb * (double)o->copies / (double)t->batch);
}

/* An operand that is one block and serves the whole batch is loaded once. */
static bool is_held(const tiling *t, const operand *o, int64_t grid) { return o->copies == 1 && grid == 1 && t->gk == 1; }

/* Bytes that one sweep over an operand's blocks loads: all of it; where rows repeat, each block's own again. `grid` blocks of
 * `block` rows. */
static double sweep(const operand *o, int64_t block, int64_t grid) {
  return o->differ < o->extent ? o->bytes * fmax(1, (double)grid * part(block, o->differ)) : o->bytes;
}

/* How often the matrices of an operand are swept for the whole batch. */
static double sweeps(const tiling *t, const operand *o, int64_t grid) {
  return is_held(t, o, grid) ? 1 : fmin((double)t->gb * copies_in_block(t, o), (double)t->batch);
}

/* Bytes of a load of a block, on average. */
static double block_bytes(const tiling *t, const operand *o, int64_t block, int64_t grid) {
  const double batches = is_held(t, o, grid) ? 1 : (double)t->gb;
  return sweep(o, block, grid) * sweeps(t, o, grid) / (batches * (double)grid * (double)t->gk);
}
static double x_block(const tiling *t) { return block_bytes(t, &t->x, t->bm, t->gm); }
static double w_block(const tiling *t) { return block_bytes(t, &t->w, t->bn, t->gn); }
static double y_block(const tiling *t) { return t->y_bytes / ((double)t->gb * (double)t->gm * (double)t->gn); }

/* Blocks of the axis that streams, and of the one along the array's rows. */
static int64_t stream_blocks(const tiling *t) { return t->outputs ? t->gk : t->gm; }
static int64_t deep_blocks(const tiling *t) { return t->outputs ? t->gm : t->gk; }

/* What streams past a tile in the i-th block: rows of X in whole sublanes, or steps of the inner axis. */
static int64_t rows_of(const tiling *t, int64_t i) {
  if (t->outputs) return tct_divide_up(t->taps * tct_smaller(t->bk, t->k - i * t->bk), t->rate);
  const int64_t rows = tct_divide_up(tct_smaller(t->bm, t->m - i * t->bm), t->split);
  return tct_round_up(rows, tct_smaller(t->chip->sublanes, t->bm));
}

/* Tiles of a block of `batch` products: of weights, or of results. */
static int64_t tiles_of(const tiling *t, int64_t batch, int64_t j, int64_t l) {
  const int64_t deep = t->outputs ? tct_smaller(t->bm, t->m - l * t->bm) : tct_smaller(t->bk, t->k - l * t->bk);
  const int64_t n = tct_smaller(t->bn, t->n - j * t->bn), rows = t->chip->array_rows * (t->outputs ? 1 : t->rate);
  return batch * (t->outputs ? 1 : t->taps) * tct_divide_up(deep, rows) * tct_divide_up(n, t->chip->array_cols);
}

/* Tiles that one array takes in turn. */
static int64_t turns_of(const tiling *t, int64_t batch, int64_t j, int64_t l) {
  return tct_divide_up(tiles_of(t, batch, j, l) * t->split, t->chip->cores * t->chip->arrays);
}

typedef int64_t block_count(const tiling *t, int64_t batch, int64_t j, int64_t l);

/* Σ over the grid's columns and rows of tiles of a count that only differs in the last block of each. */
static double sum_of_batch(const tiling *t, int64_t batch, block_count *of) {
  const int64_t last = deep_blocks(t) - 1;
  const double inner_n = (double)(t->gn - 1), inner_deep = (double)last;
  return inner_n * inner_deep * (double)of(t, batch, 0, 0) + inner_n * (double)of(t, batch, 0, last) +
         inner_deep * (double)of(t, batch, t->gn - 1, 0) + (double)of(t, batch, t->gn - 1, last);
}

/* The products of the batch in the b-th block. */
static int64_t batch_of(const tiling *t, int64_t b) { return tct_smaller(t->bb, t->batch - b * t->bb); }

/* Σ over the batch as well. */
static double sum_blocks(const tiling *t, block_count *of) {
  return (double)(t->gb - 1) * sum_of_batch(t, t->bb, of) + sum_of_batch(t, batch_of(t, t->gb - 1), of);
}

static double x_traffic(const tiling *t) {
  return sweep(&t->x, t->bm, t->gm) * sweeps(t, &t->x, t->gm) * (t->gk > 1 ? (double)t->gn : 1);
}
static double w_traffic(const tiling *t) {
  return sweep(&t->w, t->bn, t->gn) * sweeps(t, &t->w, t->gn) * (t->gk > 1 || t->gn > 1 ? (double)t->gm : 1);
}

/* Cycles by which the last tile is shorter than the next one's weights would take to shift in: none follow. Where results stay it
 * is the first tile: none are there yet that would have to shift out. */
static int64_t end_gap(const tiling *t) { return tct_larger(0, t->chip->array_rows - rows_of(t, t->outputs ? 0 : t->gm - 1)); }

/* What the arrays do, summed over the grid. */
static void count_work(const tiling *t, double *out_active, double *out_shift, double *out_macs) {
  const int64_t streams = stream_blocks(t), rows = rows_of(t, 0), last = rows_of(t, streams - 1), r = t->chip->array_rows;
  const double turns = sum_blocks(t, turns_of), before = (double)(streams - 1);
  const double all_rows = before * (double)rows + (double)last;
  *out_active = turns * all_rows;
  *out_shift = turns * (before * (double)tct_larger(0, r - rows) + (double)tct_larger(0, r - last)) - (double)end_gap(t);
  *out_macs = sum_blocks(t, tiles_of) * (double)t->split * all_rows * (double)(r * t->rate * t->chip->array_cols);
}

/* The largest block of each operand twice, and the sums. */
static bool fits(const tiling *t) {
  const double x = t->x.bytes * copies_in_block(t, &t->x) * part(t->bm, t->x.differ) * part(t->bk, t->k);
  const double w = t->w.bytes * copies_in_block(t, &t->w) * part(t->bn, t->w.differ) * part(t->bk, t->k);
  const double y = t->y_bytes * part(t->bb, t->batch) * part(t->bm, t->m) * part(t->bn, t->n);
  const double sums = 4 * (double)t->bb * (double)t->bm * (double)t->bn;
  return 2 * (x + w + y) + sums <= TCT_CHIP_VMEM_SHARE * t->chip->vmem * (double)t->chip->cores;
}

static double count_blocks(const tiling *t) { return (double)t->gb * (double)t->gm * (double)t->gk * (double)t->gn; }

/* What ranks tilings: the pipeline of equal blocks. Of what moves, all but one block's work can hide, and where each way has its own
 * channel, also the other way's end; of the work, all but the first load and the last store. */
static double estimate(const tiling *t) {
  double active = 0, shift = 0, macs = 0;
  count_work(t, &active, &shift, &macs);
  const double loaded = (x_traffic(t) + w_traffic(t)) / t->bytes_per_cycle, stored = t->y_bytes / t->bytes_per_cycle;
  const double work = active + shift + t->vector, one = work / count_blocks(t);
  const double first = (x_block(t) + w_block(t)) / t->bytes_per_cycle, last = y_block(t) / t->bytes_per_cycle;
  const double moved = t->chip->channels == 1 ? loaded + stored : fmax(loaded + last, first + stored);
  return fmax(moved + one, first + work + last);
}

/* 8, 16, 32 … and the whole extent, in units of `step`. */
static int64_t next_block(int64_t block, int64_t whole, int64_t step) {
  if (block == 0) return tct_smaller(step, whole);
  return block >= whole ? 0 : tct_smaller(2 * block, whole);
}

static void set_blocks(tiling *t, int64_t bb, int64_t bm, int64_t bk, int64_t bn) {
  t->bb = bb;
  t->gb = tct_divide_up(t->batch, bb);
  t->bm = bm;
  t->bk = bk;
  t->bn = bn;
  t->gm = tct_divide_up(t->m, bm);
  t->gk = tct_divide_up(t->k, bk);
  t->gn = tct_divide_up(t->n, bn);
}

typedef struct choice {
  tiling tiling;
  bool swapped;
  double cycles, bytes;
} choice;

/* The best by estimate, in order; their blocks are stepped to choose among them. */
enum { FINALISTS = 8 };
typedef struct finalists {
  choice of[FINALISTS];
  int n;
} finalists;

/* Fewer cycles; then fewer bytes; then the larger block of k. */
static bool is_better(const choice *a, const choice *b) {
  if (a->cycles != b->cycles) return a->cycles < b->cycles;
  if (a->bytes != b->bytes) return a->bytes < b->bytes;
  return a->tiling.bk > b->tiling.bk;
}

static void consider(const tiling *t, bool swapped, finalists *best) {
  if (!fits(t)) return;
  const choice new = {*t, swapped, estimate(t), x_traffic(t) + w_traffic(t) + t->y_bytes};
  int at = best->n;
  while (at > 0 && is_better(&new, &best->of[at - 1])) at--;
  if (at == FINALISTS) return;
  if (best->n < FINALISTS) best->n++;
  memmove(&best->of[at + 1], &best->of[at], (size_t)(best->n - 1 - at) * sizeof new);
  best->of[at] = new;
}

static operand operand_of(double bytes, int64_t copies, int64_t batch, int64_t extent, int64_t differ) {
  const int64_t n = copies > 0 ? copies : batch;
  return (operand){.bytes = bytes / (double)n, .copies = n, .extent = extent, .differ = differ > 0 ? differ : extent};
}

/* Arrays share a tile's rows, but not a result's sum. */
static void consider_splits(tiling *t, int64_t arrays, bool swapped, finalists *best) {
  for (t->split = 1; t->split <= (t->outputs ? 1 : arrays); t->split *= 2) consider(t, swapped, best);
}

static void search(const tct_chip *chip, const tct_product *p, bool swapped, finalists *best) {
  const int64_t batch = tct_larger(p->batch, 1), passes = p->int8 ? 1 : p->passes > 0 ? p->passes : chip->passes;
  const operand x = operand_of(p->x_bytes, p->x_copies, batch, p->m, p->x_rows), w = operand_of(p->w_bytes, p->w_copies, batch, p->n, 0);
  tiling t = {.chip = chip, .x = swapped ? w : x, .w = swapped ? x : w, .m = swapped ? p->n : p->m, .k = p->k,
              .n = swapped ? p->m : p->n, .taps = tct_larger(p->taps, 1) * passes, .batch = batch, .y_bytes = p->y_bytes,
              .vector = p->operations / (double)(chip->cores * chip->alus), .bytes_per_cycle = chip->hbm / chip->clock,
              .outputs = chip->dataflow == TCT_OUTPUT_STATIONARY, .rate = p->int8 ? chip->int8 : 1, .int8 = p->int8};
  const int64_t arrays = chip->cores * chip->arrays;
  const int64_t step_m = t.outputs ? chip->array_rows : chip->sublanes, step_k = t.outputs ? chip->sublanes : chip->array_rows * t.rate;
  const int64_t whole_m = tct_round_up(t.m, step_m), whole_k = tct_round_up(t.k, step_k);
  const int64_t whole_n = tct_round_up(t.n, chip->array_cols);
  for (int64_t bb = 0; (bb = next_block(bb, t.batch, 1)) > 0;) {
    /* Several products share a block only when each is whole. */
    const int64_t first_m = bb > 1 ? whole_m : 0, first_k = bb > 1 ? whole_k : 0, first_n = bb > 1 ? whole_n : 0;
    for (int64_t bm = 0; (bm = next_block(bm, whole_m, tct_larger(first_m, step_m))) > 0;) {
      for (int64_t bk = 0; (bk = next_block(bk, whole_k, tct_larger(first_k, step_k))) > 0;) {
        for (int64_t bn = 0; (bn = next_block(bn, whole_n, tct_larger(first_n, chip->array_cols))) > 0;) {
          set_blocks(&t, bb, bm, bk, bn);
          consider_splits(&t, arrays, swapped, best);
        }
      }
    }
  }
}

/* The blocks in the grid's order, through the pipeline. */
static double run_blocks(const tiling *t) {
  pipeline p = {.shared = t->chip->channels == 1};
  const double x = x_block(t) / t->bytes_per_cycle, w = w_block(t) / t->bytes_per_cycle, y = y_block(t) / t->bytes_per_cycle;
  const double vector = t->vector / ((double)t->gb * (double)t->gm * (double)t->gn);
  for (int64_t b = 0; b < t->gb; b++) {
    for (int64_t i = 0; i < t->gm; i++) {
      for (int64_t j = 0; j < t->gn; j++) {
        for (int64_t l = 0; l < t->gk; l++) {
          const bool new_x = is_held(t, &t->x, t->gm) ? b == 0 && j == 0 : t->gk > 1 || j == 0;
          const bool new_w = is_held(t, &t->w, t->gn) ? b == 0 && i == 0 : t->gk > 1 || t->gn > 1 || i == 0, last = l == t->gk - 1;
          const bool begin = b == 0 && i == 0 && j == 0 && l == 0;
          const bool end = t->outputs ? begin : last && b == t->gb - 1 && i == t->gm - 1 && j == t->gn - 1;
          const double cycles = (double)tct_larger(rows_of(t, t->outputs ? l : i), t->chip->array_rows);
          const double work = cycles * (double)turns_of(t, batch_of(t, b), j, t->outputs ? i : l) - (end ? (double)end_gap(t) : 0);
          add_block(&p, &(tct_block){.load = (new_x ? x : 0) + (new_w ? w : 0), .compute = work + (last ? vector : 0),
                                     .store = last ? y : 0});
        }
      }
    }
  }
  return end_pipeline(&p);
}

/* The estimate stands for more blocks than are stepped. */
static const choice *choose(finalists *best) {
  const choice *chosen = &best->of[0];
  for (int i = 0; i < best->n; i++) {
    choice *const c = &best->of[i];
    if (count_blocks(&c->tiling) <= (double)MOST_BLOCKS) c->cycles = run_blocks(&c->tiling);
    if (is_better(c, chosen)) chosen = c;
  }
  return chosen;
}

static void account(const choice *best, const tct_product *p, tct_chip_time *out) {
  const tiling *t = &best->tiling;
  const tct_chip *chip = t->chip;
  double active = 0;
  count_work(t, &active, &out->shift, &out->macs);
  const double units = (double)(chip->cores * chip->arrays * chip->array_rows * t->rate * chip->array_cols);
  const double all = (double)p->m * (double)p->k * (double)p->n * (double)t->taps * (double)t->batch;
  out->useful = (p->useful > 0 ? fmin(all, p->useful * (double)t->taps / (double)tct_larger(p->taps, 1)) : all) / units;
  out->padding = active - out->useful;
  out->vector = t->vector;
  out->memory = best->cycles - active - out->shift - out->vector + chip->latency * chip->clock;
  out->skew = (double)(2 * chip->array_rows + chip->array_cols - 2) + chip->overhead * chip->clock;
  out->total = out->useful + out->padding + out->shift + out->vector + out->memory + out->skew;
  out->hbm_bytes = best->bytes;
  /* Through VMEM: what HBM moves; what streams past every tile, and the sums that leave it; the tiles, of which those of results are
   * added to where k is cut into blocks. */
  const double streamed = out->macs / (double)(chip->array_rows * t->rate * chip->array_cols), size = (t->int8 ? 1 : 4) * (double)t->rate;
  const double past = t->outputs ? size * (double)(chip->array_rows + chip->array_cols)
                                 : size * (double)chip->array_rows + 8 * (double)chip->array_cols;
  const double tile = (t->outputs ? t->gk > 1 ? 8 : 4 : size) * (double)(chip->array_rows * chip->array_cols);
  out->vmem_bytes = best->bytes + streamed * past + tile * sum_blocks(t, tiles_of) * (double)stream_blocks(t);
  out->macs_int8 = t->int8 ? out->macs : 0;
  out->block_m = t->bm;
  out->block_k = t->bk;
  out->block_n = t->bn;
  out->block_batch = t->bb;
  out->split = t->split;
  out->swapped = best->swapped;
  out->outputs_stay = t->outputs;
  out->x_held = is_held(t, &t->x, t->gm);
  out->w_held = is_held(t, &t->w, t->gn);
  out->x_load = x_block(t);
  out->w_load = w_block(t);
  out->y_store = y_block(t);
}

/* Extents and what is computed from them stay within int64_t, padding to whole tiles included. */
static bool in_range(const tct_chip *chip, const tct_product *p) {
  const int64_t least[] = {p->m, p->k, p->n, tct_larger(p->taps, 1), tct_larger(p->batch, 1)};
  const int64_t passes = p->int8 ? 1 : p->passes > 0 ? p->passes : chip->passes;
  double all = (double)passes * (double)chip->cores * (double)chip->arrays;
  for (int i = 0; i < 5; i++) {
    if (least[i] < 1 || least[i] > MOST_EXTENT) return false;
    all *= (double)least[i];
  }
  return p->taps >= 0 && p->batch >= 0 && (p->passes == 0 || p->passes == 1 || p->passes == 3 || p->passes == 6) &&
         all <= MOST_PRODUCTS;
}

tct_status tct_chip_product(const tct_chip *chip, const tct_product *product, tct_chip_time *out) {
  *out = (tct_chip_time){0};
  if (!in_range(chip, product)) {
    return tct_fail(TCT_INVALID, "a product on chip %s: [%lld,%lld]·[%lld,%lld], %lld taps, batch %lld; needs extents from 1 to "
                    "2^40 and at most 2^62 products, with passes and arrays", chip->name, (long long)product->m, (long long)product->k,
                    (long long)product->k, (long long)product->n, (long long)product->taps, (long long)product->batch);
  }
  if (product->int8 && chip->int8 == 0) {
    return tct_fail(TCT_UNSUPPORTED, "chip %s multiplies no int8 (its int8 is 0); needs a chip that does, such as v4 or v5e, or floats",
                    chip->name);
  }
  if (chip->weight_fifo > 0) return tct_chip_fifo_product(chip, product, out);
  finalists best = {.n = 0};
  if (chip->dataflow != TCT_INPUT_STATIONARY) search(chip, product, false, &best);
  if (chip->dataflow == TCT_INPUT_STATIONARY || chip->dataflow == TCT_DATAFLOW_AUTO) search(chip, product, true, &best);
  if (best.n == 0) {
    return tct_fail(TCT_INVALID, "a product on chip %s: not even one tile of [%lld,%lld]·[%lld,%lld] fits twice into 80 %% of "
                    "its VMEM of %.0f bytes", chip->name, (long long)product->m, (long long)product->k,
                    (long long)product->k, (long long)product->n, chip->vmem * (double)chip->cores);
  }
  account(choose(&best), product, out);
  return TCT_OK;
}
