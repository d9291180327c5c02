/* The closed form of the array's clock: one pass over the tiles. registers.c is what it must equal.
 *
 * Weight stationary, overlapped: with l the cycle in which a tile's first weight row enters and s the one in which its
 * first activation enters,
 *   l₁ = ready₁;  lᵢ₊₁ = max(sᵢ, readyᵢ₊₁);  sᵢ₊₁ = max(sᵢ + Tᵢ, lᵢ₊₁ + R);  cycles = sₙ + Tₙ + R + C − 2
 * Output stationary, overlapped: a fold's results leave through R shifts, behind the next fold's work,
 *   sᵢ₊₁ = max(sᵢ + Tᵢ + max(0, R − Tᵢ₊₁), readyᵢ₊₁);  cycles = sₙ + Tₙ + 2R + C − 2
 * Serial: each tile takes T + 2R + C − 2 alone. */
#include "systolic/tiles.h"

#include "base/status.h"
#include "systolic/whole.h"

/* Between the end of one tile's work and the start of the next one's: what is not waiting for `ready` is shifting. */
static void add_gap(tct_array_clock *clock, int64_t gap, int64_t on_time_gap) {
  const int64_t shift = gap < on_time_gap ? gap : on_time_gap;
  clock->shift += shift;
  clock->stall += gap - shift;
}

static void run_serial(int64_t rows, int64_t cols, const tct_array_tile *tiles, int64_t n, tct_array_clock *clock) {
  int64_t now = 0;
  for (int64_t i = 0; i < n; i++) {
    const int64_t begin = tct_larger(now, tiles[i].ready);
    clock->stall += begin - now;
    clock->active += tiles[i].steps;
    clock->shift += rows;
    clock->skew += rows + cols - 2;
    now = begin + tiles[i].steps + 2 * rows + cols - 2;
  }
  clock->cycles = now;
}

static void run_weights(int64_t rows, int64_t cols, const tct_array_tile *tiles, int64_t n, tct_array_clock *clock) {
  int64_t start = tiles[0].ready + rows;
  add_gap(clock, start, rows);
  for (int64_t i = 0; i + 1 < n; i++) {
    const int64_t done = start + tiles[i].steps;
    const int64_t next = tct_larger(done, tct_larger(start, tiles[i + 1].ready) + rows);
    clock->active += tiles[i].steps;
    /* Weights that arrive late are shifted in where all can see it: the shift counts before the stall. */
    add_gap(clock, next - done, rows);
    start = next;
  }
  clock->active += tiles[n - 1].steps;
  clock->skew = rows + cols - 2;
  clock->cycles = start + tiles[n - 1].steps + clock->skew;
}

static void run_outputs(int64_t rows, int64_t cols, const tct_array_tile *tiles, int64_t n, tct_array_clock *clock) {
  int64_t start = tiles[0].ready;
  clock->stall = start;
  for (int64_t i = 0; i + 1 < n; i++) {
    const int64_t done = start + tiles[i].steps;
    const int64_t on_time = tct_larger(0, rows - tiles[i + 1].steps);
    const int64_t next = tct_larger(done + on_time, tiles[i + 1].ready);
    clock->active += tiles[i].steps;
    add_gap(clock, next - done, on_time);
    start = next;
  }
  clock->active += tiles[n - 1].steps;
  clock->shift += rows; /* the last results' way out */
  clock->skew = rows + cols - 2;
  clock->cycles = start + tiles[n - 1].steps + 2 * rows + cols - 2;
}

tct_status tct_array_fast(tct_array_mode mode, int64_t rows, int64_t cols, const tct_array_tile *tiles, int64_t n,
                          tct_array_clock *out) {
  *out = (tct_array_clock){0};
  TCT_TRY(tct_array_check(mode, rows, cols, tiles, n));
  if (tct_array_serial(mode)) {
    run_serial(rows, cols, tiles, n, out);
  } else if (tct_array_output_stationary(mode)) {
    run_outputs(rows, cols, tiles, n, out);
  } else {
    run_weights(rows, cols, tiles, n, out);
  }
  return TCT_OK;
}
