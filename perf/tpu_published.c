/* What Google published of its TPUs beside what the model says, as a Markdown table (docs/tpu.md has it). Sources: Jouppi et al.,
 * "In-Datacenter Performance Analysis of a Tensor Processing Unit" (ISCA 2017) for v1; Google's and JAX's pages for the others.
 * Usage: build/tpu_published */
#include <math.h>
#include <stdio.h>
#include <tercet/chip.h>
#include <tercet/systolic.h>
#include <tercet/tercet.h>

enum { TILES = 4000 };
#define V1_CLOCK 700e6
#define V1_MEMORY 34e9

static int failed;

static void row(const char *what, const char *unit, double model, double published, const char *remark) {
  printf("| %s | %.4g%s | %.4g%s | %+.3g | %s |\n", what, model, unit, published, unit, model - published, remark);
}

static tct_status or_fail(tct_status status) {
  if (status != TCT_OK) {
    fprintf(stderr, "%s\n", tct_error_message());
    failed = 1;
  }
  return status;
}

/* Table 3: every tile of 256×256 bytes of weights comes from memory, in `period` cycles; the share of non-matrix work is the
 * paper's. */
static void table_3(void) {
  static const struct { const char *name; int64_t batch; double non_matrix, active, stall, shift; const char *remark; } rows[] = {
      {"MLP0", 200, 17.5, 12.7, 53.9, 15.9, ""},
      {"MLP1", 168, 31.9, 10.6, 44.2, 13.4, ""},
      {"LSTM0", 64, 17.9, 8.2, 58.1, 15.8, "the paper's counters see 133 rows a tile, its teraops 64"},
      {"LSTM1", 96, 10.3, 10.5, 62.1, 17.1, "the paper's useful products are 6.3 %: the rest is padding of 600 to 768"},
      {"CNN0", 8, 21.8, 78.2, 0, 0, "not modelled: its weights stay, and table 1 has too little of its layers"},
      {"CNN1", 32, 18.7, 46.2, 28.1, 7.0, "not modelled: as CNN0"}};
  static tct_array_tile tiles[TILES];
  const double period = 65536 / V1_MEMORY * V1_CLOCK;
  for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
    char what[64];
    if (rows[r].shift == 0 || rows[r].batch == 32) {
      printf("| v1, %s: arrays active | | %.4g %% | | %s |\n", rows[r].name, rows[r].active, rows[r].remark);
      continue;
    }
    for (int i = 0; i < TILES; i++) tiles[i] = (tct_array_tile){rows[r].batch, (int64_t)ceil(period * (i + 1))};
    tct_array_clock c;
    if (or_fail(tct_array_fast(TCT_WS_OVERLAP, 256, 256, tiles, TILES, &c)) != TCT_OK) return;
    const double matrix = (100 - rows[r].non_matrix) / (double)c.cycles;
    (void)snprintf(what, sizeof what, "v1, %s: arrays active", rows[r].name);
    row(what, " %", matrix * (double)c.active, rows[r].active, rows[r].remark);
    (void)snprintf(what, sizeof what, "v1, %s: weight stall", rows[r].name);
    row(what, " %", matrix * (double)c.stall, rows[r].stall, "");
    (void)snprintf(what, sizeof what, "v1, %s: weight shift", rows[r].name);
    row(what, " %", matrix * (double)c.shift, rows[r].shift, "");
  }
}

/* A 600×600 gate of LSTM1, its weights from memory: section 7. */
static void gates(void) {
  static const struct { int64_t array; double published; } rows[] = {{256, 18}, {512, 32}};
  for (int r = 0; r < 2; r++) {
    const int64_t a = rows[r].array, n = ((600 + a - 1) / a) * ((600 + a - 1) / a);
    const double period = (double)(a * a) / V1_MEMORY * V1_CLOCK;
    char what[64];
    (void)snprintf(what, sizeof what, "v1, 600x600 gate in tiles of %d", (int)a);
    row(what, " µs", (double)n * period / V1_CLOCK * 1e6, rows[r].published, "the tiles' bytes at the memory's rate, nothing else");
  }
}

/* Rows of activations at which a tile's work takes as long as its weights: products for each byte of weights. */
static void ridge(void) {
  const double period = 65536 / V1_MEMORY * V1_CLOCK;
  row("v1, ridge: products per byte of weights", "", period, 1350, "cycles of a tile's bytes");
  row("v1, peak", " Tera-ops/s", 2 * 65536 * V1_CLOCK * 1e-12, 92, "the paper rounds up");
}

static void peaks(void) {
  static const struct { const char *name; double tflops, int8; } rows[] = {{"v2", 46, 0}, {"v3", 123, 0}, {"v4i", 138, 0}, {"v4", 275, 275},
                                                                           {"v5e", 197, 393}, {"v5p", 459, 918}, {"v6e", 918, 1836}};
  for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
    tct_chip c;
    char what[32];
    if (or_fail(tct_chip_open(rows[r].name, &c)) != TCT_OK) return;
    (void)snprintf(what, sizeof what, "%s, peak of bf16", rows[r].name);
    row(what, " Tflop/s", 2e-12 * (double)(c.cores * c.arrays * c.array_rows * c.array_cols) * c.clock, rows[r].tflops, "");
    if (rows[r].int8 == 0) continue;
    (void)snprintf(what, sizeof what, "%s, peak of int8", rows[r].name);
    row(what, " Tera-ops/s", 2e-12 * (double)(c.cores * c.arrays * c.array_rows * c.array_cols * c.int8) * c.clock, rows[r].int8, "");
  }
}

/* v5e, int8: [B,4096]·[4096,16384] with int8 results. */
static void crossover(void) {
  tct_chip c;
  if (or_fail(tct_chip_open("v5e", &c)) != TCT_OK) return;
  for (int64_t b = 1; b < 1000; b++) {
    const tct_product p = {.m = b, .k = 4096, .n = 16384, .x_bytes = 4096. * (double)b, .w_bytes = 4096. * 16384,
                           .y_bytes = 16384. * (double)b, .int8 = true};
    tct_chip_time t;
    if (or_fail(tct_chip_product(&c, &p, &t)) != TCT_OK) return;
    if (t.useful + t.padding < t.hbm_bytes * c.clock / c.hbm) continue;
    row("v5e, int8: batch from which [B,4096]·[4096,16384] is bound by its products", "", (double)b, 259,
        "rows stream in eights; without that the roofline crosses at 259");
    return;
  }
}

/* The same gates on the device: the first tile's way in, the last one's drain and the instruction are in it. */
static void device_gates(void) {
  static const struct { const char *spec; double published; } rows[] = {{"v1", 18}, {"v1,array=512x512,weight_fifo=1", 32}};
  for (int r = 0; r < 2; r++) {
    tct_chip c;
    if (or_fail(tct_chip_open(rows[r].spec, &c)) != TCT_OK) return;
    const tct_product p = {.m = 96, .k = 600, .n = 600, .x_bytes = 57600, .w_bytes = 360000, .y_bytes = 57600, .int8 = true};
    tct_chip_time t;
    char what[64];
    if (or_fail(tct_chip_product(&c, &p, &t)) != TCT_OK) return;
    (void)snprintf(what, sizeof what, "tpu:v1, the same gate of 96 rows in tiles of %d", (int)c.array_rows);
    row(what, " µs", t.total / c.clock * 1e6, rows[r].published, "with the first tile's way in and the last one's drain");
  }
}

/* Layers of MLP0 on the device: five of 2000×2000 (20M weights), 200 rows. */
static void device_mlp(void) {
  tct_chip c;
  tct_chip_time t;
  const tct_product p = {.m = 200, .k = 2000, .n = 2000, .x_bytes = 4e5, .w_bytes = 4e6, .y_bytes = 4e5, .int8 = true};
  if (or_fail(tct_chip_open("v1", &c)) != TCT_OK || or_fail(tct_chip_product(&c, &p, &t)) != TCT_OK) return;
  const double matrix = (100 - 17.5) / t.total;
  row("tpu:v1, a layer of MLP0: weight stall", " %", matrix * t.memory, 53.9, "2000x2000 weights, 200 rows");
  row("tpu:v1, a layer of MLP0: weight shift", " %", matrix * t.shift, 15.9, "");
  row("tpu:v1, a layer of MLP0: arrays active", " %", matrix * (t.useful + t.padding), 12.7, "");
}

int main(void) {
  printf("| what | model | published | difference | remark |\n|---|---|---|---|---|\n");
  table_3();
  gates();
  device_gates();
  device_mlp();
  ridge();
  peaks();
  crossover();
  return failed;
}
