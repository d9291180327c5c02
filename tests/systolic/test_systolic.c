/* The array's clocks: the closed form equals the registers, in cycles and in values; published tables are met to the last
 * digit; wrong input is named. */
#include <time.h>

#include <tercet/systolic.h>
#include "base/alloc.h"
#include "base/file.h"
#include "draws.h"
#include "faults.h"
#include "test.h"

#define MOST_TILES 5
#define MOST_STEPS 20
#define MOST_SIDE 16
#define MOST_NUMBERS (MOST_SIDE * MOST_STEPS)

typedef struct experiment {
  tct_array_mode mode;
  int64_t rows, cols, n;
  tct_array_tile tiles[MOST_TILES];
  float x[MOST_TILES][MOST_NUMBERS], w[MOST_TILES][MOST_NUMBERS], y[MOST_TILES][MOST_NUMBERS];
  tct_array_operands operands[MOST_TILES];
} experiment;

static bool outputs_stay(const experiment *e) { return e->mode == TCT_OS_OVERLAP || e->mode == TCT_OS_SERIAL; }

/* Numbers are small and whole, so that sums are exact in any order; results begin as NaN. */
static void draw(experiment *e, uint64_t *state) {
  const int64_t side = between(state, 0, 9) == 0 ? MOST_SIDE : 7;
  e->mode = (tct_array_mode)between(state, 0, TCT_N_ARRAY_MODES - 1);
  e->rows = between(state, 1, side);
  e->cols = between(state, 1, side);
  e->n = between(state, 1, MOST_TILES);
  for (int64_t i = 0; i < e->n; i++) {
    const bool on_time = between(state, 0, 1) == 0;
    e->tiles[i].steps = between(state, 1, MOST_STEPS);
    e->tiles[i].ready = on_time ? 0 : between(state, 0, 80);
    for (int64_t j = 0; j < MOST_NUMBERS; j++) {
      e->x[i][j] = (float)between(state, -9, 9);
      e->w[i][j] = (float)between(state, -9, 9);
      e->y[i][j] = NAN;
    }
    e->operands[i] = (tct_array_operands){e->x[i], e->w[i], e->y[i]};
  }
}

/* The product of tile i at (row, col), straight from the definition in the header. */
static double product(const experiment *e, int64_t i, int64_t row, int64_t col) {
  const int64_t inner = outputs_stay(e) ? e->tiles[i].steps : e->rows;
  double sum = 0;
  for (int64_t k = 0; k < inner; k++) sum += (double)e->x[i][row * inner + k] * (double)e->w[i][k * e->cols + col];
  return sum;
}

static bool products_right(const experiment *e) {
  for (int64_t i = 0; i < e->n; i++) {
    const int64_t height = outputs_stay(e) ? e->rows : e->tiles[i].steps;
    for (int64_t j = 0; j < height * e->cols; j++) {
      if ((double)e->y[i][j] != product(e, i, j / e->cols, j % e->cols)) return false;
    }
  }
  return true;
}

TEST(systolic, closed_form_equals_the_registers) {
  static experiment e;
  uint64_t state = 0x9e3779b97f4a7c15u;
  int64_t seen[TCT_N_ARRAY_MODES] = {0};
  for (int64_t i = 0; i < 20000; i++) {
    draw(&e, &state);
    tct_array_clock clock;
    int64_t cycles = 0;
    OK(tct_array_fast(e.mode, e.rows, e.cols, e.tiles, e.n, &clock));
    OK(tct_array_registers(e.mode, e.rows, e.cols, e.tiles, e.operands, e.n, &cycles));
    CHECK(clock.cycles == cycles, "case %lld, %s %lld×%lld, %lld tiles: closed form %lld, registers %lld", (long long)i,
          tct_array_mode_name(e.mode), (long long)e.rows, (long long)e.cols, (long long)e.n, (long long)clock.cycles,
          (long long)cycles);
    CHECK(products_right(&e), "case %lld, %s: a product is wrong", (long long)i, tct_array_mode_name(e.mode));
    CHECK(clock.active + clock.shift + clock.stall + clock.skew == clock.cycles && clock.active >= 0 &&
              clock.shift >= 0 && clock.stall >= 0 && clock.skew >= 0, "case %lld: the classes do not sum", (long long)i);
    seen[e.mode]++;
  }
  for (int32_t m = 0; m < TCT_N_ARRAY_MODES; m++) CHECK(seen[m] > 2000, "%s", tct_array_mode_name((tct_array_mode)m));
}

/* 128×128: 1024³ takes 65 918 cycles overlapped; SCALE-Sim reports 89 983, one fewer than the serial cycles. */
TEST(systolic, known_products) {
  static tct_array_tile tiles[64];
  const struct { int64_t steps; tct_array_mode mode; int64_t cycles; } rows[] = {
      {1024, TCT_WS_OVERLAP, 65918}, {1024, TCT_WS_SERIAL, 89984}, {128, TCT_WS_OVERLAP, 8574}, {128, TCT_WS_SERIAL, 32640}};
  for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
    for (int32_t i = 0; i < 64; i++) tiles[i] = (tct_array_tile){rows[r].steps, 0};
    tct_array_clock clock;
    OK(tct_array_fast(rows[r].mode, 128, 128, tiles, 64, &clock));
    CHECK(clock.cycles == rows[r].cycles, "row %zu: %lld", r, (long long)clock.cycles);
  }
}

static const tct_scale_config small_array = {.rows = 8, .cols = 8, .dataflow = TCT_WEIGHT_STATIONARY, .ifmap_kb = 1,
                                             .filter_kb = 1, .ofmap_kb = 1, .bandwidth = 1, .version = 2};

/* An SRAM too small for the order of the demand: figures of a real run of version 2. */
TEST(systolic, scale_sim_thrashes_with_a_small_sram) {
  const tct_scale_layer layer = {32, 128, 1, 128, 1, 64, 1, 1};
  tct_scale_report report;
  OK(tct_scale_run(&small_array, &layer, &report));
  CHECK(report.stall_cycles == 708260 && report.total_cycles == 708260 + 6911, "%lld stalls of %lld",
        (long long)report.stall_cycles, (long long)report.total_cycles);
}

/* SCALE-Sim 3.0.0 itself: the published tables have neither its stalls nor its writes. */
TEST(systolic, scale_sim_version_3) {
#define UNWRAP(...) __VA_ARGS__
#define ROW(dataflow, rows, cols, layer, sram, bandwidth, numbers)                                                     \
  {dataflow, rows, cols, {UNWRAP layer}, {UNWRAP sram}, bandwidth, {UNWRAP numbers}},
  static const struct {
    const char *dataflow;
    int64_t rows, cols;
    tct_scale_layer layer;
    int64_t sram[3], bandwidth, numbers[8];
  } table[] = {
#include "systolic/scalesim_rows.def"
  };
#undef ROW
#undef UNWRAP
  int64_t stalls = 0;
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    tct_scale_config config = {.rows = table[i].rows, .cols = table[i].cols, .ifmap_kb = table[i].sram[0],
                               .filter_kb = table[i].sram[1], .ofmap_kb = table[i].sram[2], .bandwidth = table[i].bandwidth,
                               .version = 3};
    tct_scale_report r;
    CHECK(tct_dataflow_find(table[i].dataflow, &config.dataflow));
    OK(tct_scale_run(&config, &table[i].layer, &r));
    const int64_t got[8] = {r.total_cycles,      r.stall_cycles,     r.sram_ifmap_reads,  r.sram_filter_reads,
                            r.sram_ofmap_writes, r.dram_ifmap_reads, r.dram_filter_reads, r.dram_ofmap_writes};
    for (int32_t n = 0; n < 8; n++) {
      CHECK(got[n] == table[i].numbers[n], "row %zu, number %d: %lld, wanted %lld", i, (int)n, (long long)got[n],
            (long long)table[i].numbers[n]);
    }
    stalls += r.stall_cycles > 0;
  }
  CHECK(stalls >= 40, "only %lld rows stall", (long long)stalls);
}

/* ---- published tables ---- */

static bool same_number(const char *wanted, const char *got) {
  char *end = NULL;
  const double w = strtod(wanted, &end);
  if (end == wanted || *end != '\0') return strcmp(wanted, got) == 0;
  const double g = strtod(got, &end);
  return end != got && *end == '\0' && fabs(g - w) <= 1e-9 * fabs(w);
}

/* Copies the cell at *at and moves behind it and its comma; these tables have no quotes. */
static void take(const char **at, char *cell, size_t bytes) {
  const size_t n = strcspn(*at, ",\n");
  CHECK(n < bytes, "a cell of %zu bytes", n);
  memcpy(cell, *at, n);
  cell[n] = '\0';
  *at += n + ((*at)[n] == ',');
}

static void compare_tables(const char *wanted, const char *got, const char *name, int64_t least_cells) {
  int64_t n = 0;
  for (int64_t line = 1; *wanted != '\0'; line++, wanted++, got++) {
    while (*wanted != '\n') {
      char a[4096], b[4096];
      take(&wanted, a, sizeof a);
      take(&got, b, sizeof b);
      CHECK(a[0] == '\0' || same_number(a, b), "%s:%lld: '%s', wanted '%s'", name, (long long)line, b, a);
      n += a[0] != '\0';
      if (*wanted == '\n' && wanted[-1] == ',') break; /* the last cell is empty */
    }
    got += strcspn(got, "\n"); /* cells that the reference leaves empty */
    CHECK(*got == '\n', "%s:%lld: the last line is missing", name, (long long)line);
  }
  CHECK(*got == '\0' && n >= least_cells, "%s: %lld cells", name, (long long)n);
}

static void check_table(const char *name, int64_t least_cells) {
  char from[4096], to[2 * SCRATCH_BYTES], folder[SCRATCH_BYTES];
  scratch_make(folder);
  snprintf(from, sizeof from, "%s/../reference/systolic/%s", getenv("TERCET_DATA"), name);
  snprintf(to, sizeof to, "%s/%s", folder, name);
  void *wanted = NULL, *got = NULL;
  size_t wanted_bytes = 0, got_bytes = 0;
  OK(tct_systolic_batch(from, to));
  OK(tct_file_read(from, 1 << 24, &wanted, &wanted_bytes));
  OK(tct_file_read(to, 1 << 24, &got, &got_bytes));
  compare_tables(wanted, got, name, least_cells);
  tct_release(wanted);
  tct_release(got);
  scratch_remove(folder);
}

TEST(systolic, register_table) {
  if (getenv("TERCET_DATA") == NULL) SKIP("not run: TERCET_DATA is not set");
  check_table("rtl_public.csv", 8000);
}

TEST(systolic, scale_sim_table) {
  if (getenv("TERCET_DATA") == NULL) SKIP("not run: TERCET_DATA is not set");
  check_table("reference_public.csv", 60000);
}

/* ---- speed ---- */

/* The n-th cell of a line without quotes. */
static const char *column(const char *line, int n) {
  for (; n > 0; n--) line += strcspn(line, ",\n") + 1;
  return line;
}

/* Every layer of the public topologies on five arrays in three dataflows, closed forms only. */
TEST(systolic, closed_forms_take_a_tenth_of_a_second) {
  static tct_scale_layer layers[4096];
  char from[4096];
  void *text = NULL;
  size_t bytes = 0;
  int64_t n = 0, runs = 0;
  if (getenv("TERCET_DATA") == NULL) SKIP("not run: TERCET_DATA is not set");
  snprintf(from, sizeof from, "%s/../reference/systolic/reference_public.csv", getenv("TERCET_DATA"));
  OK(tct_file_read(from, 1 << 24, &text, &bytes));
  int first = 0;
  for (const char *at = text; strncmp(at, "ifmap_h", 7) != 0; first++) at += strcspn(at, ",") + 1;
  for (const char *line = strchr(text, '\n') + 1; *line != '\0' && n < 4096; line = strchr(line, '\n') + 1, n++) {
    int64_t *const to[] = {&layers[n].ifmap_h,  &layers[n].ifmap_w,   &layers[n].filter_h, &layers[n].filter_w,
                           &layers[n].channels, &layers[n].n_filters, &layers[n].stride_h, &layers[n].stride_w};
    for (int i = 0; i < 8; i++) *to[i] = atoll(column(line, first + i));
  }
  tct_release(text);
  const clock_t began = clock();
  for (int64_t i = 0; i < n; i++) {
    for (int32_t a = 0; a < 5; a++) {
      for (int32_t d = 0; d < TCT_N_DATAFLOWS; d++, runs++) {
        const tct_scale_config config = {.rows = 8 << a, .cols = 8 << a, .dataflow = (tct_dataflow)d, .ifmap_kb = 64,
                                         .filter_kb = 64, .ofmap_kb = 64, .version = 3, .walks = TCT_SCALE_WALK_NONE};
        tct_scale_report report;
        OK(tct_scale_run(&config, &layers[i], &report));
      }
    }
  }
  const double seconds = (double)(clock() - began) / CLOCKS_PER_SEC;
  CHECK(n > 2000 && seconds < 0.1, "%lld layers, %lld runs: %.3f s", (long long)n, (long long)runs, seconds);
}
