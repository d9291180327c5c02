/* Executes a list on real numbers, with the array's arithmetic and in its order.
 *
 * A weight tile of R rows and C columns is preloaded; each row of activations meets it, products are added row after row of the
 * tile, from 0, in f32; the tile's sum is then added to the block of y. Operands are bf16 pieces of the f32 number: the
 * first holds its leading 8 bits of significand, the second the next 8 of what is left, the third the rest; 3 passes
 * multiply the pairs 11, 12 and 21, 6 passes also 22, 13 and 31. Products of two bf16 numbers are exact in f32.
 * An int8 product takes operands in steps of their tensors' scales and sums in i32. */
#include <math.h>
#include <string.h>

#include "backends/tpu/list.h"
#include "kernels/common/half.h"

typedef struct axis {
  int64_t at, count; /* of the loop */
} axis;

typedef struct machine {
  const tct_chip *chip;
  const tpu_list_product *product;
  const tpu_map *map;
  tpu_tensor x, w, y;
  int64_t m, k, n, batch, taps; /* as the list's loops count them: swapped already */
  axis b, i, j, l;              /* loops over batch, rows, columns, k */
  int64_t deep; /* rows of a weight tile */
  bool int8;
  float *falling, *tile, *rows, *sums; /* sums on their way down [C]; a weight tile [R,C]; activations [block m, R]; the block of y
                                          [block batch, block m, block n] */
  /* the clock of the block */
  tct_block *blocks;
  int64_t n_blocks, most;
  double load;
} machine;

static float number(tpu_tensor t, int64_t i) {
  switch (t.dtype) {
  case TCT_BF16: return tct_bf16_to_f32(((const uint16_t *)t.data)[i]);
  case TCT_F16: return tpu_within_f16(tct_f16_to_f32(((const uint16_t *)t.data)[i]));
  default: return ((const float *)t.data)[i];
  }
}

static void put(tpu_tensor t, int64_t i, float value) {
  switch (t.dtype) {
  case TCT_BF16: ((uint16_t *)t.data)[i] = tct_bf16_from_f32(value); return;
  case TCT_F16: ((uint16_t *)t.data)[i] = tct_f16_from_f32(value); return;
  default: ((float *)t.data)[i] = value;
  }
}

/* The piece-th bf16 piece of a number. One that rounds past bf16's greatest keeps finite pieces where there are several; an
 * infinity is its own first piece, and the others' zeros make a NaN of it in the products. */
static float piece_of(const machine *m, float value, int piece) {
  const bool several = tpu_passes(m->chip, &m->product->extents) > 1;
  for (int p = 0;; p++) {
    float part = tct_bf16_to_f32(tct_bf16_from_f32(value));
    if (several && isinf(part) && isfinite(value)) part = copysignf(0x1.fep127f, value);
    if (p == piece || !isfinite(part)) return p == piece ? part : 0;
    value -= part;
  }
}

float tct_tpu_scale(const float *data, size_t n) {
  uint32_t most = 0;
  for (size_t i = 0; i < n; i++) {
    uint32_t bits;
    memcpy(&bits, &data[i], sizeof bits);
    bits &= 0x7fffffffu;
    most = bits > most ? bits : most;
  }
  float largest;
  memcpy(&largest, &most, sizeof largest);
  const float scale = largest / 127;
  if (most >= 0x7f800000u) return NAN;
  return largest < 1e-30f ? 0 : isinf(scale * 127) ? nextafterf(scale, 0) : scale; /* the largest stays finite */
}

/* ---- a block ---- */

/* What meets in the array: a piece of a number, or its int8 steps. */
static float element(const machine *m, tpu_tensor t, int64_t at, int piece) {
  if (at < 0) return 0;
  if (m->int8) return isnan(t.scale) ? 0 : tpu_steps(number(t, at), t.scale);
  return piece_of(m, number(t, at), piece);
}

/* Element of the operand that streams, and of the one that stays: where the list is swapped, w streams. */
static float streamed(const machine *m, int64_t batch, int64_t tap, int64_t row, int64_t k, int piece) {
  const bool swapped = m->product->tiling.swapped;
  const int64_t at = swapped ? m->map->w(m->map, batch, tap, k, row) : m->map->x(m->map, batch, tap, row, k);
  return element(m, swapped ? m->w : m->x, at, piece);
}

static float staying(const machine *m, int64_t batch, int64_t tap, int64_t k, int64_t col, int piece) {
  const bool swapped = m->product->tiling.swapped;
  const int64_t at = swapped ? m->map->x(m->map, batch, tap, col, k) : m->map->w(m->map, batch, tap, k, col);
  return element(m, swapped ? m->x : m->w, at, piece);
}

typedef struct range {
  int64_t from, n;
} range;

static range block_of(int64_t extent, int64_t block, int64_t at) {
  return (range){at * block, tpu_smaller(block, extent - at * block)};
}

/* One tile: [rows, R]·[R, C] added to the sums [rows, block n]. */
static void multiply(const machine *m, int64_t n_rows, int64_t height, int64_t width, float *sums, int64_t stride) {
  const int64_t cols = m->chip->array_cols, deep = m->deep;
  for (int64_t i = 0; i < n_rows; i++) {
    float *restrict const falling = m->falling;
    memset(falling, 0, (size_t)width * sizeof *falling);
    for (int64_t r = 0; r < height; r++) {
      const float a = m->rows[i * deep + r];
      const float *restrict weights = m->tile + r * cols;
      for (int64_t c = 0; c < width; c++) falling[c] += a * weights[c];
    }
    for (int64_t c = 0; c < width; c++) sums[i * stride + c] += falling[c];
  }
}

/* The same in whole numbers; sums that leave i32 would wrap. */
static void multiply_int8(const machine *m, int64_t n_rows, int64_t height, int64_t width, float *sums, int64_t stride) {
  const int64_t cols = m->chip->array_cols, deep = m->deep;
  int32_t *restrict const falling = (int32_t *)(void *)m->falling;
  for (int64_t i = 0; i < n_rows; i++) {
    int32_t *restrict const row = (int32_t *)(void *)(sums + i * stride);
    memset(falling, 0, (size_t)width * sizeof *falling);
    for (int64_t r = 0; r < height; r++) {
      const int32_t a = (int32_t)m->rows[i * deep + r];
      const float *restrict weights = m->tile + r * cols;
      for (int64_t c = 0; c < width; c++) falling[c] += a * (int32_t)weights[c];
    }
    for (int64_t c = 0; c < width; c++) row[c] = (int32_t)((uint32_t)row[c] + (uint32_t)falling[c]);
  }
}

/* All tiles of the block, each preloaded and met by all rows. */
static void matmul(machine *m) {
  static const int pairs[6][2] = {{0, 0}, {0, 1}, {1, 0}, {1, 1}, {0, 2}, {2, 0}};
  const tct_chip_time *t = &m->product->tiling;
  const range rows = block_of(m->m, t->block_m, m->i.at), cols = block_of(m->n, t->block_n, m->j.at);
  const range deep = block_of(m->k, t->block_k, m->l.at), batch = block_of(m->batch, t->block_batch, m->b.at);
  const int64_t height = m->deep, width = m->chip->array_cols;
  for (int64_t b = 0; b < batch.n; b++) {
    for (int64_t tap = 0; tap < m->taps; tap++) {
      for (int64_t k = 0; k < deep.n; k += height) {
        for (int pass = 0; pass < (int)tpu_passes(m->chip, &m->product->extents); pass++) {
          const int64_t high = tpu_smaller(height, deep.n - k);
          for (int64_t i = 0; i < rows.n; i++) {
            for (int64_t r = 0; r < high; r++)
              m->rows[i * height + r] = streamed(m, batch.from + b, tap, rows.from + i, deep.from + k + r, pairs[pass][0]);
          }
          for (int64_t c = 0; c < cols.n; c += width) {
            const int64_t wide = tpu_smaller(width, cols.n - c);
            for (int64_t r = 0; r < high; r++) {
              for (int64_t j = 0; j < wide; j++)
                m->tile[r * width + j] = staying(m, batch.from + b, tap, deep.from + k + r, cols.from + c + j, pairs[pass][1]);
            }
            float *const sums = m->sums + b * t->block_m * t->block_n + c;
            if (m->int8) multiply_int8(m, rows.n, high, wide, sums, t->block_n);
            else multiply(m, rows.n, high, wide, sums, t->block_n);
          }
        }
      }
    }
  }
}

/* A sum of int8 products counts steps of both scales. */
static float result(const machine *m, const float *sum) {
  if (!m->int8) return *sum;
  int32_t steps;
  memcpy(&steps, sum, sizeof steps);
  return (float)((double)steps * (double)m->x.scale * (double)m->w.scale);
}

static void store(machine *m) {
  const tct_chip_time *t = &m->product->tiling;
  const range rows = block_of(m->m, t->block_m, m->i.at), cols = block_of(m->n, t->block_n, m->j.at);
  const range batch = block_of(m->batch, t->block_batch, m->b.at);
  for (int64_t b = 0; b < batch.n; b++) {
    for (int64_t i = 0; i < rows.n; i++) {
      for (int64_t j = 0; j < cols.n; j++) {
        const int64_t row = rows.from + i, col = cols.from + j;
        const int64_t at = t->swapped ? m->map->y(m->map, batch.from + b, col, row) : m->map->y(m->map, batch.from + b, row, col);
        if (at >= 0) put(m->y, at, result(m, &m->sums[(b * t->block_m + i) * t->block_n + j]));
      }
    }
  }
}

/* ---- the list ---- */

static double cycles_of(const machine *m, double bytes) { return bytes * m->chip->clock / m->chip->hbm; }

/* Cycles of the block's matmul: tiles in turn on all arrays, each as long as its rows or, if these are fewer, its weights. */
static double matmul_cycles(const machine *m) {
  const tct_chip_time *t = &m->product->tiling;
  const range rows = block_of(m->m, t->block_m, m->i.at), cols = block_of(m->n, t->block_n, m->j.at);
  const range deep = block_of(m->k, t->block_k, m->l.at), batch = block_of(m->batch, t->block_batch, m->b.at);
  const int64_t tiles = batch.n * m->taps * tpu_passes(m->chip, &m->product->extents) * tpu_divide_up(deep.n, m->deep) *
                        tpu_divide_up(cols.n, m->chip->array_cols);
  const int64_t step = tpu_smaller(m->chip->sublanes, t->block_m);
  const int64_t streamed_rows = tpu_divide_up(tpu_divide_up(rows.n, t->split), step) * step;
  const int64_t each = streamed_rows > m->chip->array_rows ? streamed_rows : m->chip->array_rows;
  /* No tile follows the last one. */
  const bool last = m->b.at == m->b.count - 1 && m->i.at == m->i.count - 1 && m->j.at == m->j.count - 1 && m->l.at == m->l.count - 1;
  const int64_t gap = last && streamed_rows < m->chip->array_rows ? m->chip->array_rows - streamed_rows : 0;
  return (double)(each * tpu_divide_up(tiles * t->split, m->chip->cores * m->chip->arrays) - gap);
}

static axis *axis_of(machine *m, char name) {
  return name == 'b' ? &m->b : name == 'm' ? &m->i : name == 'n' ? &m->j : &m->l;
}

/* One block: what its instructions load, compute and store. */
static void end_block(machine *m, double compute, double stored) {
  if (m->n_blocks < m->most) m->blocks[m->n_blocks] = (tct_block){.load = m->load, .compute = compute, .store = stored};
  m->n_blocks++;
  m->load = 0;
}

/* The block's MATMUL is followed, where k ends, by VECTOR and STORE: the block is closed by what comes last. */
static void run_matmul(machine *m, const tpu_list *list, int32_t at) {
  const tct_chip_time *t = &m->product->tiling;
  if (m->l.at == 0) memset(m->sums, 0, (size_t)(t->block_batch * t->block_m * t->block_n) * sizeof *m->sums);
  matmul(m);
  double compute = matmul_cycles(m), stored = 0;
  if (m->l.at == m->l.count - 1) {
    for (int32_t i = at + 1; i < list->n && list->at[i].code != TPU_FENCE && list->at[i].code != TPU_LOOP; i++) {
      if (list->at[i].code == TPU_VECTOR) compute += list->at[i].amount / (double)(m->chip->cores * m->chip->alus);
      if (list->at[i].code == TPU_STORE) stored += cycles_of(m, list->at[i].amount);
    }
  }
  end_block(m, compute, stored);
}

int64_t tct_tpu_execute(const tct_chip *chip, const tpu_list *list, const tpu_map *map, tpu_tensor x, tpu_tensor w,
                        tpu_tensor y, void *scratch, tct_block *blocks, int64_t most) {
  const tpu_list_product *p = &list->product[0];
  const tct_product *e = &p->extents;
  const bool swapped = p->tiling.swapped;
  machine m = {.chip = chip, .product = p, .map = map, .x = x, .w = w, .y = y, .m = swapped ? e->n : e->m, .k = e->k,
               .n = swapped ? e->m : e->n, .batch = e->batch > 0 ? e->batch : 1, .taps = e->taps > 0 ? e->taps : 1,
               .b = {0, 1}, .i = {0, 1}, .j = {0, 1}, .l = {0, 1}, .deep = tpu_deep(chip, e), .int8 = e->int8, .falling = scratch, .blocks = blocks, .most = most};
  m.tile = m.falling + chip->array_cols;
  m.rows = m.tile + m.deep * chip->array_cols;
  m.sums = m.rows + p->tiling.block_m * m.deep;
  int32_t loops[4], depth = 0;
  for (int32_t i = 0; i < list->n; i++) {
    const tpu_instruction *const at = &list->at[i];
    switch (at->code) {
    case TPU_LOOP:
      *axis_of(&m, at->operand) = (axis){0, at->count};
      loops[depth++] = i;
      break;
    case TPU_END: {
      axis *const a = axis_of(&m, list->at[loops[depth - 1]].operand);
      if (++a->at < a->count) {
        i = loops[depth - 1];
      } else {
        a->at = 0;
        depth--;
      }
      break;
    }
    case TPU_LOAD: m.load += cycles_of(&m, at->amount); break;
    case TPU_MATMUL: run_matmul(&m, list, i); break;
    case TPU_STORE: store(&m); break;
    case TPU_PRELOAD:
    case TPU_VECTOR:
    case TPU_ALL_REDUCE:
    case TPU_INFEED:
    case TPU_OUTFEED:
    case TPU_FENCE: break;
    }
  }
  return m.n_blocks;
}

size_t tct_tpu_machine_bytes(const tct_chip *chip, const tpu_list *list) {
  const tct_chip_time *t = &list->product[0].tiling;
  const int64_t deep = tpu_deep(chip, &list->product[0].extents);
  const size_t tile = (size_t)(deep * chip->array_cols), rows = (size_t)(t->block_m * deep);
  return ((size_t)chip->array_cols + tile + rows + (size_t)(t->block_batch * t->block_m * t->block_n)) * sizeof(float);
}
