/* Wrong arrays, tiles, layers and tables: what is wrong is named, and a result file is left alone. */
#include <tercet/systolic.h>
#include "base/alloc.h"
#include "base/file.h"
#include "faults.h"
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
      {{8, 8, 1, 1, 1, (int64_t)1 << 40, 1, 1}, "filters is 1099511627776"}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    tct_scale_report report;
    FAILS(tct_scale_run(&config, &rows[i].layer, &report), TCT_INVALID, rows[i].part);
  }
}

static void write_file(const char *path, const char *text) {
  OK(tct_file_write_atomic(path, &(tct_file_part){.data = text, .bytes = strlen(text)}, 1));
}

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
      {"mode,R,C,T_per_fold\nws_serial,0,8,4\n", "it is 0×8"},
      {"simulator,mode\nv2,calc\n", "no column 'sram_kb_ifmap/filter/ofmap'"},
      {"simulator,mode,sram_kb_ifmap/filter/ofmap,ifmap_h,ifmap_w,filter_h,filter_w,channels,num_filters,stride_h,dataflow,"
       "array_rows,array_cols,M\nv2,calc,1/1/1,4,4,1,4,1,2,1,ws,8,8,5\n", "column 'M' is '5', needs 4"},
      {"simulator,mode,sram_kb_ifmap/filter/ofmap,ifmap_h,ifmap_w,filter_h,filter_w,channels,num_filters,stride_h,dataflow,"
       "array_rows,array_cols\nv2,user,1/1/1,4,4,1,4,1,2,1,ws,8,8\n", "bandwidth_words_per_cycle"}};
  char folder[SCRATCH_BYTES], from[2 * SCRATCH_BYTES], to[2 * SCRATCH_BYTES];
  scratch_make(folder);
  snprintf(from, sizeof from, "%s/wrong.csv", folder);
  snprintf(to, sizeof to, "%s/kept.csv", folder);
  write_file(to, "old\n");
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    write_file(from, rows[i].text);
    const tct_status status = tct_systolic_batch(from, to);
    CHECK(status == TCT_BAD_DATA || status == TCT_INVALID, "row %zu: %s", i, tct_status_name(status));
    CHECK(strstr(tct_error_message(), rows[i].part) != NULL, "row %zu: %s lacks '%s'", i, tct_error_message(), rows[i].part);
  }
  void *data = NULL;
  size_t bytes = 0;
  OK(tct_file_read(to, 100, &data, &bytes));
  CHECK(bytes == 4 && memcmp(data, "old\n", 4) == 0);
  tct_release(data);
  FAILS(tct_systolic_batch("not-there.csv", to), TCT_NOT_FOUND, "not-there.csv");
  scratch_remove(folder);
}
