/* Products on a chip with a weight FIFO: their clock is the array's for weights that arrive when the FIFO lets them, and the classes
 * are its classes. */
#include <tercet/chip.h>
#include <tercet/systolic.h>
#include "draws.h"
#include "test.h"

enum { MOST_TILES = 20000 };

/* When each tile's weights are there, from the array's own clock: the FIFO holds `depth`, and one leaves it when it has shifted
 * in. Starts are found tile by tile by running the closed form on the tiles so far. */
static int64_t arrivals(const tct_chip *c, int64_t period, tct_array_tile *tiles, int64_t n) {
  static int64_t shifted[MOST_TILES]; /* when tile i has left the FIFO */
  int64_t ready = 0, start = 0, end = 0;
  for (int64_t i = 0; i < n; i++) {
    const int64_t room = i < c->weight_fifo ? 0 : shifted[i - c->weight_fifo];
    ready = (ready > room ? ready : room) + period;
    tiles[i].ready = ready;
    const int64_t shifts = i > 0 && start > ready ? start : ready;
    shifted[i] = shifts + c->array_rows;
    start = shifted[i] > end ? shifted[i] : end;
    end = start + tiles[i].steps;
  }
  return end;
}

TEST(fifo, cycles_are_the_arrays) {
  static tct_array_tile tiles[MOST_TILES];
  uint64_t state = 362436069;
  int bound_by_memory = 0;
  for (int i = 0; i < 400; i++) {
    tct_chip c;
    char spec[160];
    const int64_t rows = between(&state, 2, 16), cols = between(&state, 2, 16), depth = between(&state, 1, 6), period = between(&state, 1, 40);
    snprintf(spec, sizeof spec, "v1,array=%dx%d,weight_fifo=%d,accumulators=%d,clock=%d,hbm=%d,overhead=0", (int)rows, (int)cols, (int)depth,
             (int)between(&state, 8, 60), 1000000 * (int)period, 1000000 * (int)(rows * cols));
    OK(tct_chip_open(spec, &c));
    const tct_product p = {.m = between(&state, 1, 30), .k = between(&state, 1, 40), .n = between(&state, 1, 40), .taps = between(&state, 0, 3),
                           .batch = between(&state, 0, 2), .int8 = true};
    tct_chip_time t;
    OK(tct_chip_product(&c, &p, &t));
    const int64_t block = c.accumulators / 2 < p.m ? c.accumulators / 2 : p.m, blocks = (p.m + block - 1) / block;
    const int64_t each = (p.taps > 0 ? p.taps : 1) * (p.batch > 0 ? p.batch : 1) * ((p.k + rows - 1) / rows) * ((p.n + cols - 1) / cols);
    const int64_t n = blocks * each;
    CHECK(n <= MOST_TILES);
    for (int64_t j = 0; j < n; j++) tiles[j] = (tct_array_tile){.steps = j < (blocks - 1) * each ? block : p.m - (blocks - 1) * block};
    (void)arrivals(&c, period, tiles, n);
    tct_array_clock clock;
    OK(tct_array_fast(TCT_WS_OVERLAP, rows, cols, tiles, n, &clock));
    CHECK(fabs(t.total - (double)clock.cycles) < 1e-6, "case %d, %s: %g cycles, the array's are %lld", i, spec, t.total, (long long)clock.cycles);
    CHECK(fabs(t.useful + t.padding - (double)clock.active) < 1e-6 && fabs(t.shift - (double)clock.shift) < 1e-6 &&
          fabs(t.memory - (double)clock.stall) < 1e-6, "case %d: %g %g %g", i, t.useful + t.padding, t.shift, t.memory);
    CHECK(t.hbm_bytes == (double)(n * rows * cols) && t.macs >= (double)(p.m * p.k * p.n));
    bound_by_memory += t.memory > 0.5 * t.total;
  }
  CHECK(bound_by_memory > 50 && bound_by_memory < 350, "%d", bound_by_memory);
}

/* More tiles than are stepped go on at the same rate. */
TEST(fifo, long_products_go_on_at_their_rate) {
  tct_chip c;
  tct_chip_time half, whole;
  OK(tct_chip_open("v1,array=8x8", &c));
  tct_product p = {.m = 30, .k = 8 * 1000, .n = 8 * 100, .int8 = true};
  OK(tct_chip_product(&c, &p, &half));
  p.n *= 2;
  OK(tct_chip_product(&c, &p, &whole));
  CHECK(fabs((whole.total - half.total) / (half.total - half.skew) - 1) < 1e-4, "%g and %g", half.total, whole.total);
  OK(tct_chip_open("v1,weight_fifo=1", &c)); /* the next tile's bytes come when the one before has shifted in: R + p each */
  const double each = 256 + 65536 * c.clock / c.hbm;
  p = (tct_product){.m = 1, .k = 256 * 400, .n = 256 * 400, .int8 = true};
  OK(tct_chip_product(&c, &p, &half));
  CHECK(fabs(half.total / (160000 * each) - 1) < 1e-4, "%g, wanted %g", half.total, 160000 * each);
  const double sum = whole.useful + whole.padding + whole.shift + whole.memory + whole.vector + whole.skew;
  CHECK(fabs(sum / whole.total - 1) < 1e-9);
}

TEST(fifo, impossible_chips) {
  tct_chip c;
  FAILS(tct_chip_open("v1,arrays=2", &c), TCT_INVALID, "weight_fifo is 4, with 2 arrays and 4096 accumulators; needs one array, 2");
  FAILS(tct_chip_open("v1,accumulators=1", &c), TCT_INVALID, "needs one array, 2 accumulators or more, and dataflow ws");
  FAILS(tct_chip_open("v1,dataflow=os", &c), TCT_INVALID, "and dataflow ws");
  FAILS(tct_chip_open("v1,int8=0", &c), TCT_INVALID, "quantized is 1, and it multiplies no int8");
  FAILS(tct_chip_open("v3,quantized=1", &c), TCT_INVALID, "quantized is 1, and it multiplies no int8");
  FAILS(tct_chip_open("v1,weight_fifo=5000", &c), TCT_INVALID, "needs a whole number from 0 to 4096");
  tct_product p = {.m = 3, .k = 3, .n = 3, .int8 = true};
  tct_chip_time t;
  OK(tct_chip_open("v2", &c));
  FAILS(tct_chip_product(&c, &p, &t), TCT_UNSUPPORTED, "chip v2 multiplies no int8");
}
