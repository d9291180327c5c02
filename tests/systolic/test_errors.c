/* Wrong arrays, tiles, layers and tables: what is wrong is named, and a result file is left alone. */
#include <errno.h>

#include <tercet/systolic.h>
#include "base/alloc.h"
#include "base/file.h"
#include "faults.h"
#include "systolic/scale.h"
#include "test.h"

TEST(systolic_errors, arrays_and_tiles) {
  const tct_array_tile good = {4, 0};
  const struct { int64_t rows, cols; tct_array_tile tile; int64_t n; const char *part; } rows[] = {
      {0, 8, good, 1, "it is 0×8"},
      {8, -1, good, 1, "it is 8×-1"},
      {1 << 21, 8, good, 1, "needs 1 to 1048576"},
      {8, 8, {0, 0}, 1, "tile 0 has 0 steps"},
      {8, 8, {4, -3}, 1, "ready in cycle -3"},
      {8, 8, {INT64_MAX, 0}, 1, "more than 2^62"},
      {8, 8, {4, INT64_MAX}, 1, "more than 2^62"},
      {8, 8, good, 0, "no tiles"}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    tct_array_clock clock;
    FAILS(tct_array_fast(TCT_WS_OVERLAP, rows[i].rows, rows[i].cols, &rows[i].tile, rows[i].n, &clock), TCT_INVALID,
          rows[i].part);
  }
  tct_array_clock clock;
  FAILS(tct_array_fast((tct_array_mode)17, 8, 8, &good, 1, &clock), TCT_INVALID, "mode is 17");
}

TEST(systolic_errors, layers) {
  const tct_scale_config config = {.rows = 8, .cols = 8, .ifmap_kb = 64, .filter_kb = 64, .ofmap_kb = 64, .version = 3};
  const struct { tct_scale_layer layer; const char *part; } rows[] = {
      {{0, 8, 1, 1, 1, 1, 1, 1}, "ifmap height is 0"},
      {{8, 8, 9, 1, 1, 1, 1, 1}, "filter height is 9, needs 1 to 8"},
      {{8, 8, 1, 1, 1, 1, 0, 1}, "stride_h is 0"},
      {{1 << 30, 1 << 30, 1, 1, 1 << 30, 1, 1, 1}, "more than 2^52 accesses"},
      {{8, 8, 1, 1, 1, (int64_t)1 << 40, 1, 1}, "filters is 1099511627776"},
      {{8, 8, 1, 1, 1, 1, 1, INT64_MAX}, "stride_w is 9223372036854775807"}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    tct_scale_report report;
    FAILS(tct_scale_run(&config, &rows[i].layer, &report), TCT_INVALID, rows[i].part);
  }
}

/* A walk that would take hours is refused before it begins, with the way out; that way gives the rest of the numbers. */
TEST(systolic_errors, long_walks) {
  const tct_scale_layer windows = {4096, 4096, 3, 3, 64, 1024, 1, 1}, product = {1 << 16, 1 << 14, 1, 1 << 14, 1, 1 << 14, 1, 1};
  tct_scale_config config = {.rows = 8, .cols = 8, .ifmap_kb = 64, .filter_kb = 64, .ofmap_kb = 64, .version = 2};
  const struct { const tct_scale_layer *layer; int64_t bandwidth; tct_scale_walks walks; const char *part; } rows[] = {
      {&windows, 0, TCT_SCALE_WALK_READS, "steps, more than 2^36; needs a smaller layer or no walks (--walks none)"},
      {&product, 0, TCT_SCALE_WALK_READS, NULL},
      {&product, 0, TCT_SCALE_WALK_ALL, "--walks none"},
      {&product, 10, TCT_SCALE_WALK_ALL, "needs a smaller layer, or calc mode without walks"}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    tct_scale_report report;
    config.bandwidth = rows[i].bandwidth;
    config.walks = rows[i].walks;
    if (rows[i].part) FAILS(tct_scale_run(&config, rows[i].layer, &report), TCT_INVALID, rows[i].part);
    config.bandwidth = 0;
    config.walks = rows[i].part ? TCT_SCALE_WALK_NONE : rows[i].walks;
    OK(tct_scale_run(&config, rows[i].layer, &report));
    CHECK(report.total_cycles > 0 && report.sram_ifmap_reads > 0 && report.dram_ofmap_writes == -1, "row %zu", i);
    CHECK((report.dram_ifmap_reads == -1) == (rows[i].layer == &windows), "row %zu", i);
  }
}

/* A window that begins far behind the image: 2^30 rows of 2^34 words. Its address must not be computed. */
TEST(systolic_errors, windows_far_outside) {
  const tct_scale_config config = {.rows = 8, .cols = 8};
  const tct_scale_layer layer = {3, 1 << 20, 2, 1, 1 << 14, 1, 1 << 30, 1 << 20};
  const tct_scale_map map = {.config = &config, .layer = layer, .m = 4, .k = 2 << 14, .n = 1, .out_w = 2};
  tct_scale_operand operand;
  OK(tct_scale_operand_begin(&map, false, &operand));
  CHECK(tct_scale_address(&operand, map.k - 1, 0) == ((int64_t)1 << 34) + (1 << 14) - 1);
  for (int64_t m = 1; m < map.m; m++) {
    CHECK(tct_scale_address(&operand, 0, m) == -1 && tct_scale_address(&operand, map.k - 1, m) == -1, "%lld", (long long)m);
  }
  tct_scale_operand_end(&operand);
}

static void write_file(const char *path, const char *text) {
  OK(tct_file_write_atomic(path, &(tct_file_part){.data = text, .bytes = strlen(text)}, 1));
}

#define LAYERS                                                                                                         \
  "simulator,mode,sram_kb_ifmap/filter/ofmap,ifmap_h,ifmap_w,filter_h,filter_w,channels,num_filters,stride_h,dataflow,"   \
  "array_rows,array_cols"

TEST(systolic_errors, tables) {
  const struct { const char *text, *part; } rows[] = {
      {"", "empty"},
      {"mode,R,C\n", "no column 'T_per_fold'"},
      {"mode,R,C,T_per_fold\nws_overlap,8,8\n", ":2: 3 columns, the header has 4"},
      {"mode,R,C,T_per_fold\nws,8,8,4\n", ":2:1: column 'mode' is 'ws', needs ws_overlap"},
      {"mode,R,C,T_per_fold\nws_serial,x,8,4\n", ":2:11: column 'R' is 'x'"},
      {"mode,R,C,T_per_fold\nws_serial,8,8,4 x\n", ":2:15: column 'T_per_fold' is '4 x'"},
      {"mode,R,C,n_folds,T_per_fold\nws_serial,8,8,2,4\n", "column 'n_folds' is '2'"},
      {"mode,R,C,T_per_fold,weight_ready_cycle_per_fold\nws_serial,8,8,4 5,0\n", "as many numbers as T_per_fold"},
      {"mode,R,C,T_per_fold\nws_serial,0,8,4\n", ":2:11: column 'R': it is 0×8, needs 1 to 1048576 rows"},
      {"C,mode,R,T_per_fold\n9999999,ws_serial,8,4\n", ":2:1: column 'C': it is 8×9999999"},
      {"mode,R,C,T_per_fold\nws_serial,8,8,\n", ":2:15: column 'T_per_fold': no tiles"},
      {"mode,R,C,T_per_fold\nws_serial,8,8,4 0\n", ":2:15: column 'T_per_fold': tile 1 has 0 steps"},
      {"mode,R,C,T_per_fold,weight_ready_cycle_per_fold\nws_serial,8,8,4,-1\n", ":2:17: column 'weight_ready_cycle_per_fold'"},
      {"mode,R,C,T_per_fold,weight_ready_cycle_per_fold\nws_serial,8,8,4,9223372036854775807\n", ":2:17: column 'weight_re"},
      {"simulator,mode\nv2,calc\n", "no column 'sram_kb_ifmap/filter/ofmap'"},
      {LAYERS ",M\nv2,calc,1/1/1,4,4,1,4,1,2,1,ws,8,8,5\n", "column 'M' is '5', needs 4"},
      {LAYERS "\nv2,user,1/1/1,4,4,1,4,1,2,1,ws,8,8\n", "bandwidth_words_per_cycle"},
      {LAYERS "\nv2,calc,1/0/1,4,4,1,4,1,2,1,ws,8,8\n", ":2:9: column 'sram_kb_ifmap/filter/ofmap': filter SRAM (KiB) is 0"},
      {LAYERS "\nv2,calc,1/1/1,4,4,5,4,1,2,1,ws,8,8\n", ":2:19: column 'filter_h': filter height is 5, needs 1 to 4"},
      {LAYERS "\nv2,calc,1/1/1,4,4,1,4,1,2,0,ws,8,8\n", ":2:27: column 'stride_h': stride_h is 0"},
      {LAYERS "\nv2,calc,1/1/1,4,4,1,4,1,2,1,ws,8,0\n", ":2:34: column 'array_cols': array columns is 0"},
      {LAYERS "\nv2,calc,1/1/1,900000000,4,1,1,900000000,900000000,1,ws,8,8\n", ":2:15: column 'ifmap_h': ifmap 900000000×4×"},
      {LAYERS "\nv2,calc,1/1/1,9000,9000,3,3,64,64,1,ws,8,8\n", ":2:15: column 'ifmap_h': the walk over its addresses"},
      {LAYERS ",bandwidth_words_per_cycle\nv2,user,1/1/1,4,4,1,4,1,2,1,ws,8,8,9999999\n",
       ":2:36: column 'bandwidth_words_per_cycle': bandwidth is 9999999"}};
  char folder[SCRATCH_BYTES], from[2 * SCRATCH_BYTES], to[2 * SCRATCH_BYTES];
  scratch_make(folder);
  snprintf(from, sizeof from, "%s/wrong.csv", folder);
  snprintf(to, sizeof to, "%s/kept.csv", folder);
  write_file(to, "old\n");
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    write_file(from, rows[i].text);
    FAILS(tct_systolic_batch(from, to), TCT_BAD_DATA, rows[i].part);
  }
  void *data = NULL;
  size_t bytes = 0;
  OK(tct_file_read(to, 100, &data, &bytes));
  CHECK(bytes == 4 && memcmp(data, "old\n", 4) == 0);
  tct_release(data);
  FAILS(tct_systolic_batch("not-there.csv", to), TCT_NOT_FOUND, "not-there.csv");
  scratch_remove(folder);
}

/* ---- no memory, no disk ---- */

static void fail_in_turn(const char *from, const char *to, int64_t least) {
  const int64_t live = tct_alloc_live();
  int64_t n = 1;
  for (bool struck = true; struck; n++) {
    fault_alloc(n);
    const tct_status status = tct_systolic_batch(from, to);
    struck = fault_alloc(0);
    CHECK(status == (struck ? TCT_OUT_OF_MEMORY : TCT_OK), "allocation %lld: %s", (long long)n, tct_status_name(status));
    CHECK(tct_alloc_live() == live, "allocation %lld leaks", (long long)n);
  }
  CHECK(n > least, "only %lld allocations", (long long)n);
  n = 1;
  for (bool struck = true; struck; n++) {
    fault_file(n, EIO);
    const tct_status status = tct_systolic_batch(from, to);
    struck = fault_file(0, 0);
    CHECK(struck || status == TCT_OK, "call %lld: %s", (long long)n, tct_status_name(status));
    CHECK(tct_alloc_live() == live, "call %lld leaks", (long long)n);
  }
}

/* Both kinds of tables; of layers a walk in calc mode and two in user mode, whose drains cut lines short. */
TEST(systolic_errors, every_call_fails_in_turn) {
  static const char *const texts[] = {
      "mode,R,C,T_per_fold\nws_serial,8,8,4 5\n\"os_overlap\",8,8,\"3\"\n",
      LAYERS ",bandwidth_words_per_cycle\nv2,calc,1/1/1,8,8,3,3,4,9,1,ws,4,4,\nv2,user,1/1/1,8,8,3,3,4,9,1,os,4,4,7\n"
             "v3,user,1/1/1,64,32,1,32,1,64,1,is,5,3,3\n"};
  char folder[SCRATCH_BYTES], from[2 * SCRATCH_BYTES], to[2 * SCRATCH_BYTES];
  scratch_make(folder);
  snprintf(from, sizeof from, "%s/table.csv", folder);
  snprintf(to, sizeof to, "%s/out.csv", folder);
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    write_file(from, texts[i]);
    fail_in_turn(from, to, i == 0 ? 8 : 30);
  }
  scratch_remove(folder);
}
