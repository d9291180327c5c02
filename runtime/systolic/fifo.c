/* A product on a chip whose weights come, tile after tile, from a memory of their own (TPU v1). A FIFO of f tiles stands between
 * that memory and the array. With l the cycle in which a tile's weights begin to shift in, s the one in which its first row
 * of activations enters, p the cycles of a tile's bytes and T the rows that meet it,
 *   readyᵢ = max(readyᵢ₋₁, lᵢ₋f + R) + p;  lᵢ₊₁ = max(sᵢ, readyᵢ₊₁);  sᵢ₊₁ = max(sᵢ + Tᵢ, lᵢ₊₁ + R)
 * (fast.c has the same clock for weights of any arrival). Rows are cut into blocks of half the accumulators; each block takes all
 * weights again. Activations come from and stay in the unified buffer: they move in the time of the rows. */
#include "systolic/fifo.h"

#include <math.h>
#include "base/status.h"
#include "systolic/whole.h"

#define STEPPED ((int64_t)1 << 16) /* tiles taken one by one; what is behind them goes at their steady rate */
#define MOST_FIFO 4096

typedef struct feed {
  double period; /* p */
  double deep;   /* R: cycles in which a tile's weights shift in */
  int64_t tiles; /* f */
  double ready, start; /* of the last tile */
  double left[MOST_FIFO]; /* lᵢ + R of the last f tiles, by i modulo f */
  int64_t n;     /* tiles so far */
  double active, shift, stall, end; /* end: of the last tile's work */
} feed;

/* Between the end of one tile's work and the start of the next: what is not waiting for weights is shifting them. */
static void wait(feed *f, double gap) {
  const double shift = fmin(gap, f->deep);
  f->shift += shift;
  f->stall += gap - shift;
}

static void take(feed *f, double rows) {
  const double room = f->n < f->tiles ? 0 : f->left[f->n % f->tiles];
  f->ready = fmax(f->ready, room) + f->period;
  const double shifts = f->n > 0 ? fmax(f->start, f->ready) : f->ready;
  f->left[f->n++ % f->tiles] = shifts + f->deep;
  f->start = fmax(f->end, shifts + f->deep);
  wait(f, f->start - f->end);
  f->active += rows;
  f->end = f->start + rows;
}

/* Cycles between tiles when nothing changes any more: of f tiles that wait, each makes room when it has shifted in. */
static double steady(const feed *f, double rows) {
  return fmax(fmax(rows, f->deep), fmax(f->period, (f->period + f->deep) / (double)f->tiles));
}

/* `n` tiles that `rows` rows meet each. */
static void take_all(feed *f, int64_t n, double rows) {
  const int64_t step = tct_smaller(n, tct_larger(0, STEPPED - f->n));
  for (int64_t i = 0; i < step; i++) take(f, rows);
  const double rest = (double)(n - step), each = steady(f, rows), gap = each - rows;
  f->active += rest * rows;
  f->shift += rest * fmin(gap, f->deep);
  f->stall += rest * (gap - fmin(gap, f->deep));
  f->end += rest * each;
}

static tct_status check_room(const tct_chip *chip, const tct_product *p) {
  if (p->x_bytes + p->y_bytes <= chip->vmem) return TCT_OK;
  return tct_fail(TCT_OUT_OF_MEMORY, "a product on chip %s: its activations, %.3g MB and %.3g MB, are more than the %.3g MB of its "
                  "buffer; needs a smaller batch", chip->name, p->x_bytes * 1e-6, p->y_bytes * 1e-6, chip->vmem * 1e-6);
}

tct_status tct_chip_fifo_product(const tct_chip *chip, const tct_product *p, tct_chip_time *out) {
  TCT_TRY(check_room(chip, p));
  const int64_t deep = chip->array_rows * (p->int8 ? chip->int8 : 1), passes = p->int8 ? 1 : p->passes > 0 ? p->passes : chip->passes;
  const int64_t taps = tct_larger(p->taps, 1) * passes, batch = tct_larger(p->batch, 1);
  const int64_t column = taps * tct_divide_up(p->k, deep), tiles = batch * column * tct_divide_up(p->n, chip->array_cols);
  const int64_t block = tct_smaller(chip->accumulators / 2, p->m), blocks = tct_divide_up(p->m, block);
  const double tile = (double)(deep * chip->array_cols) * (p->int8 ? 1 : 2), size = p->int8 ? 1 : 2;
  feed f = {.period = tile * chip->clock / chip->hbm, .deep = (double)chip->array_rows, .tiles = chip->weight_fifo};
  take_all(&f, (blocks - 1) * tiles, (double)block);
  take_all(&f, tiles, (double)(p->m - (blocks - 1) * block));

  const double elements = (double)(deep * chip->array_cols);
  const double all = (double)p->m * (double)p->k * (double)p->n * (double)taps * (double)batch;
  out->useful = (p->useful > 0 ? fmin(all, p->useful * (double)taps / (double)tct_larger(p->taps, 1)) : all) / elements;
  out->padding = f.active - out->useful;
  out->shift = f.shift;
  out->memory = f.stall;
  out->vector = p->operations / (double)(chip->cores * chip->alus);
  out->skew = (double)(chip->array_rows + chip->array_cols - 2) + chip->overhead * chip->clock;
  out->total = out->useful + out->padding + out->shift + out->memory + out->vector + out->skew;
  out->macs = f.active * elements;
  out->macs_int8 = p->int8 ? out->macs : 0;
  out->hbm_bytes = (double)blocks * (double)tiles * tile;
  out->vmem_bytes = f.active * size * (double)deep + 8 * f.active * (double)chip->array_cols + p->y_bytes;
  out->block_m = block;
  out->block_k = tct_round_up(p->k, deep);
  out->block_n = chip->array_cols;
  out->block_batch = 1;
  out->split = 1;
  out->w_load = (double)column * tile;
  return TCT_OK;
}
