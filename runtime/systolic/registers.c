/* The array, register by register: in each cycle every processing element reads what its neighbours held before, then all
 * latch. A controller starts the next tile as soon as the registers permit it, and the count ends when the last result has
 * been latched: the clock's formula is not used. Values go through the registers, so that a schedule that starts too early
 * gives wrong products or two values in one register.
 *
 * Weight stationary, PE(r,c): active weight, shadow weight, activation, partial sum. An activation enters row r with a
 * delay of r cycles and moves east; a tile's first one carries `swap`, at which the PE takes its shadow weight before it
 * multiplies. Weights enter column c with a delay of c, row R−1's first, and carry the row that they are for. Sums move south.
 *
 * Output stationary, PE(r,c): accumulator, and a register in which results leave southwards. Operands enter skewed from west
 * and north; the last pair of a fold carries `last`, at which the sum moves to the leaving register with its fold's number.
 * A column shifts the values of the fold that its bottom register holds. */
#include "systolic/tiles.h"

#include "base/alloc.h"
#include "base/status.h"

typedef struct activation {
  float value;
  bool valid, swap, last;
  int64_t tile, step; /* where the product belongs */
} activation;

typedef struct weight {
  float value;
  bool valid;
  int64_t row; /* that it is for */
} weight;

typedef struct psum {
  float value;
  bool valid;
  int64_t tile, step;
} psum;

/* One PE of either kind; a mode leaves the other's registers alone. */
typedef struct element {
  activation east;
  weight passing;      /* ws: on its way south */
  float active, shadow; /* ws */
  psum south;          /* ws: partial sum; os: the leaving result, `tile` its fold */
  activation down;     /* os: the operand from the north, on its way */
  float accumulator;   /* os */
} element;

typedef struct array {
  bool outputs_stay, serial;
  int64_t rows, cols, n;
  const tct_array_tile *tiles;
  const tct_array_operands *operands;
  element *before, *after; /* [rows, cols] */
  int64_t *load_began, *work_began; /* [n]: cycles */
  int64_t n_loading, n_working;     /* tiles that began */
  int64_t left;                     /* results not yet out, of the tiles that began their work */
  bool collided;
} array;

static element *at(element *grid, const array *a, int64_t r, int64_t c) { return &grid[r * a->cols + c]; }

/* Which step of which tile enters row or column `lane` in cycle t; valid false: none. */
static activation entering(const array *a, int64_t t, int64_t lane) {
  for (int64_t i = a->n_working - 1; i >= 0; i--) {
    const int64_t step = t - lane - a->work_began[i];
    if (step >= a->tiles[i].steps) break; /* earlier tiles are through as well */
    if (step < 0) continue;
    return (activation){.valid = true, .swap = step == 0, .last = step == a->tiles[i].steps - 1, .tile = i, .step = step};
  }
  return (activation){0};
}

static weight weight_entering(const array *a, int64_t t, int64_t col) {
  for (int64_t i = a->n_loading - 1; i >= 0; i--) {
    const int64_t row = a->rows - 1 - (t - col - a->load_began[i]);
    if (row < 0) break;
    if (row >= a->rows) continue;
    return (weight){.value = a->operands[i].w[row * a->cols + col], .valid = true, .row = row};
  }
  return (weight){0};
}

/* Whether the next tile's work can start in cycle t. */
static bool can_work(const array *a, int64_t t) {
  const int64_t i = a->n_working;
  if (i == a->n_loading) return false;
  const int64_t before = i > 0 ? a->work_began[i - 1] + a->tiles[i - 1].steps : 0;
  if (t < before) return false;
  if (!a->outputs_stay) return t >= a->load_began[i] + a->rows;
  if (a->serial && a->left > 0) return false;
  /* The fold's first sum may reach PE(0,0)'s leaving register when the last fold's has been shifted on. */
  const int64_t free_at = i > 0 ? before + a->rows - a->tiles[i].steps : 0;
  return t >= a->tiles[i].ready && t >= free_at;
}

/* Whether the next tile's weights can begin to enter: its shadow registers are free when the last tile has begun. */
static bool can_load(const array *a, int64_t t) {
  const bool free = a->n_loading == a->n_working && !(a->serial && a->left > 0);
  return a->n_loading < a->n && free && t >= a->tiles[a->n_loading].ready;
}

/* Starts what can start in cycle t: the work of one tile, and behind it the loading of the next. */
static void control(array *a, int64_t t) {
  if (a->outputs_stay) a->n_loading = a->n; /* nothing is loaded ahead */
  if (can_work(a, t)) {
    const int64_t i = a->n_working++;
    a->work_began[i] = t;
    a->left += (a->outputs_stay ? a->rows : a->tiles[i].steps) * a->cols;
  }
  if (can_load(a, t)) a->load_began[a->n_loading++] = t;
}

static void step_weight_stationary(array *a, int64_t t, int64_t r, int64_t c) {
  const element *old = at(a->before, a, r, c);
  element *now = at(a->after, a, r, c);
  *now = *old;
  activation in = c > 0 ? at(a->before, a, r, c - 1)->east : entering(a, t, r);
  if (c == 0 && in.valid) in.value = a->operands[in.tile].x[in.step * a->rows + r];
  now->east = in;
  if (in.valid && in.swap) now->active = old->shadow;
  const psum above = r > 0 ? at(a->before, a, r - 1, c)->south : (psum){.valid = in.valid, .tile = in.tile, .step = in.step};
  now->south = above;
  if (in.valid) {
    a->collided |= !above.valid || above.tile != in.tile || above.step != in.step;
    now->south.value = above.value + in.value * now->active;
    now->south.valid = true;
  } else {
    a->collided |= above.valid; /* a sum passed without its product */
  }
  const weight word = r > 0 ? at(a->before, a, r - 1, c)->passing : weight_entering(a, t, c);
  if (word.valid && word.row >= r) now->shadow = word.value;
  now->passing = word;
  now->passing.valid = word.valid && word.row > r;
  if (r == a->rows - 1 && now->south.valid) {
    a->operands[now->south.tile].y[now->south.step * a->cols + c] = now->south.value;
    a->left--;
  }
}

static void step_output_stationary(array *a, int64_t t, int64_t r, int64_t c) {
  const element *old = at(a->before, a, r, c);
  const psum bottom = at(a->before, a, a->rows - 1, c)->south;
  element *now = at(a->after, a, r, c);
  *now = *old;
  activation x = c > 0 ? at(a->before, a, r, c - 1)->east : entering(a, t, r);
  if (c == 0 && x.valid) x.value = a->operands[x.tile].x[r * a->tiles[x.tile].steps + x.step];
  activation w = r > 0 ? at(a->before, a, r - 1, c)->down : entering(a, t, c);
  if (r == 0 && w.valid) w.value = a->operands[w.tile].w[w.step * a->cols + c];
  now->east = x;
  now->down = w;
  a->collided |= x.valid != w.valid || (x.valid && (x.tile != w.tile || x.step != w.step));
  const bool moves = old->south.valid && bottom.valid && old->south.tile == bottom.tile;
  const psum above = r > 0 ? at(a->before, a, r - 1, c)->south : (psum){0};
  const bool arrives = above.valid && bottom.valid && above.tile == bottom.tile;
  a->collided |= arrives && old->south.valid && !moves;
  if (moves) now->south.valid = false;
  if (arrives) now->south = above;
  if (moves && r == a->rows - 1) {
    a->operands[old->south.tile].y[old->south.step * a->cols + c] = old->south.value;
    a->left--;
  }
  if (!x.valid) return;
  now->accumulator = (x.step == 0 ? 0 : old->accumulator) + x.value * w.value;
  if (!x.last) return;
  a->collided |= now->south.valid;
  now->south = (psum){.value = now->accumulator, .valid = true, .tile = x.tile, .step = r};
}

/* Cycles until the last result is out. */
static int64_t run(array *a) {
  int64_t t = 0;
  bool done = false;
  for (; !done && !a->collided; t++) {
    control(a, t);
    for (int64_t r = 0; r < a->rows; r++) {
      for (int64_t c = 0; c < a->cols; c++) {
        if (a->outputs_stay) step_output_stationary(a, t, r, c); else step_weight_stationary(a, t, r, c);
      }
    }
    element *swap = a->before;
    a->before = a->after;
    a->after = swap;
    done = a->n_working == a->n && a->left == 0;
  }
  return t;
}

tct_status tct_array_registers(tct_array_mode mode, int64_t rows, int64_t cols, const tct_array_tile *tiles,
                               const tct_array_operands *operands, int64_t n, int64_t *out_cycles) {
  *out_cycles = 0;
  TCT_TRY(tct_array_check(mode, rows, cols, tiles, n));
  array a = {.outputs_stay = tct_array_output_stationary(mode), .serial = tct_array_serial(mode), .rows = rows,
             .cols = cols, .n = n, .tiles = tiles, .operands = operands};
  element *const grids = tct_alloc_zero((size_t)(rows * cols), 2 * sizeof(element));
  int64_t *const began = tct_alloc_zero((size_t)n, 2 * sizeof *began);
  tct_status status = grids != NULL && began != NULL ? TCT_OK : TCT_OUT_OF_MEMORY;
  if (status == TCT_OK) {
    a.before = grids;
    a.after = grids + rows * cols;
    a.load_began = began;
    a.work_began = began + n;
    *out_cycles = run(&a);
    if (a.collided) {
      status = tct_fail(TCT_INTERNAL, "systolic array: in cycle %lld two values met in one register", (long long)*out_cycles);
    }
  }
  tct_release(grids);
  tct_release(began);
  return status;
}
