/* The micro-benchmark: the cheapest rows on a measured and a modelled device, DeepBench's shapes, two sides in turn, bad input. */
#include <math.h>
#include "perf/bench/bench.h"
#include "perf/support/json.h"
#include "tools/command.h"

#define BENCH(...) bench((const char *const[]){"bench_ops", __VA_ARGS__, NULL})

/* In this process, into `result`. */
static void bench(const char *const *argv) {
  int argc = 0;
  while (argv[argc] != NULL) argc++;
  FILE *const out = fmemopen(result.out, sizeof result.out, "w"), *const err = fmemopen(result.err, sizeof result.err, "w");
  CHECK(out != NULL && err != NULL);
  result.out[0] = result.err[0] = '\0';
  result.code = bench_main(argc, argv, stdin, out, err);
  CHECK(fclose(out) == 0 && fclose(err) == 0);
}

static json_t *rows_of(const char *path, json_t **out_root) {
  json_error_t error;
  *out_root = json_load_file(path, 0, &error);
  CHECK(*out_root != NULL, "%s:%d: %s", path, error.line, error.text);
  return json_object_get(*out_root, "rows");
}

static void begin(void) {
  scratch_make(folder);
  CHECK(chdir(folder) == 0);
}

static void end(void) {
  CHECK(chdir("/") == 0);
  scratch_remove(folder);
}

TEST(bench, a_modelled_chip) {
  begin();
  BENCH("--device", "tpu:v3", "--only", "one_hot", "--json", "v3.json");
  EXITS(0);
  SHOWS(out, "modelled (~)");
  SHOWS(out, " ~");
  json_t *root = NULL;
  const json_t *const row = json_array_get(rows_of("v3.json", &root), 0);
  CHECK(perf_is(root, "clock", "modelled") && perf_is(row, "op", "one_hot"));
  /* docs/tpu.md: two cores of two 128 × 128 arrays at 940 MHz; 900 GB/s. The file keeps four digits. */
  CHECK(fabs(perf_get_number(root, "gflops") - 2 * 4 * 128 * 128 * 0.94) < 200 && fabs(perf_get_number(root, "gbs") - 900) < 1,
        "%g GFLOP/s, %g GB/s", perf_get_number(root, "gflops"), perf_get_number(root, "gbs"));
  const double share = perf_get_number(row, "share");
  CHECK(share > 0 && share <= 1, "%g of the chip's own peak", share);
  json_decref(root);
  end();
}

/* Two modelled chips: their ratio is exact, and its interval a point. */
TEST(bench, two_devices) {
  begin();
  BENCH("--device", "tpu:v3", "--against", "tpu:v3,hbm=450GB/s", "--only", "one_hot", "--seconds", "0", "--json", "both.json");
  EXITS(0);
  SHOWS(out, "geometric mean of the ratios ~1.");
  SHOWS(out, "the interval lies above 1 in 1, below 1 in 0");
  json_t *root = NULL;
  const json_t *const row = json_array_get(rows_of("both.json", &root), 0);
  const double ratio = perf_get_number(row, "ratio");
  CHECK(ratio > 1.2 && ratio <= 2, "half the bandwidth: ratio %g", ratio);
  CHECK(perf_get_number(row, "ratio_low") == ratio && perf_get_number(row, "ratio_high") == ratio && perf_get_number(row, "pairs") >= 7);
  json_decref(root);
  end();
}

/* Another program, here of the same build, has the same modelled times. */
TEST(bench, two_builds) {
  begin();
  BENCH("--device", "tpu:v3", "--pair", TCT_BINARY_DIR "/bench_ops", "--only", "one_hot", "--seconds", "0", "--json", "pair.json");
  EXITS(0);
  json_t *root = NULL;
  const json_t *const row = json_array_get(rows_of("pair.json", &root), 0);
  CHECK(perf_get_number(row, "ratio") == 1 && perf_get_number(row, "pairs") >= 7, "%s", result.out);
  json_decref(root);
  end();
}

static void write_deepbench(const char *rnn) {
  write_text("gemm_training.csv", "m,n,k,a_trans,b_trans,flops\n32,16,8,0,1,8192\n4096,7000,4096,0,0,234881024000\n");
  write_text("conv_training.csv", "w,h,c,n,k,filter_w,filter_h,pad_w,pad_h,stride_w,stride_h,out_w,out_h,fwd_flops\n"
                                  "8,6,4,2,8,3,3,1,1,1,1,8,6,55296\n");
  write_text("rnn_training.csv", rnn);
}

TEST(bench, deepbench) {
  static const char *const wanted[][2] = {
      {"matmul", "DeepBench 32x8 . 8x16'"},
      {"conv2d", "DeepBench 2x6x8x4, 3x3, 8, stride 1"},
      {"conv2d_grad_input", "DeepBench 2x6x8x4, 3x3, 8, stride 1"},
      {"conv2d_grad_filter", "DeepBench 2x6x8x4, 3x3, 8, stride 1"},
      {"lstm", "DeepBench hidden 16, batch 4, 3 steps"},
      {"lstm_grad", "DeepBench hidden 16, batch 4, 3 steps"},
      {"gru", "DeepBench hidden 8, batch 2, 5 steps"},
      {"gru_grad", "DeepBench hidden 8, batch 2, 5 steps"},
  };
  begin();
  write_deepbench("hidden,batch,timesteps,cell,fwd_gemm_flops\n16,4,3,vanilla,6144\n16,4,3,lstm,24576\n8,2,5,gru,3840\n2816,32,1500,gru,2283798528000\n");
  static const char *const only[] = {"matmul", "conv2d", "lstm", "gru"};
  size_t seen = 0;
  for (size_t o = 0; o < sizeof only / sizeof only[0]; o++) {
    /* Above 0.0001 GFLOP nothing of DeepBench's is left, so --only and the limit keep this to the small shapes and a few op cases. */
    BENCH("--device", "tpu:v3", "--only", only[o], "--deepbench", folder, "--limit", "0.0001", "--json", "deep.json");
    EXITS(0);
    SHOWS(out, "left out, above 0.0001 GFLOP or 64 Mi elements: 2\n");
    SHOWS(out, "a cell that no op computes (vanilla): 1\n");
    json_t *root = NULL, *row;
    size_t i;
    const json_t *const rows = rows_of("deep.json", &root); /* the macro takes its array again in every round */
    json_array_foreach(rows, i, row) {
      if (strncmp(perf_get_text(row, "label"), "DeepBench", 9) != 0) continue;
      CHECK(seen < sizeof wanted / sizeof wanted[0] && perf_is(row, "op", wanted[seen][0]) && perf_is(row, "label", wanted[seen][1]), "%s %s",
            perf_get_text(row, "op"), perf_get_text(row, "label"));
      CHECK(perf_get_number(row, "ms") > 0, "%s: %s", wanted[seen][0], perf_get_text(row, "why"));
      seen++;
    }
    json_decref(root);
  }
  CHECK(seen == sizeof wanted / sizeof wanted[0], "%zu rows", seen);
  end();
}

/* The CPU is measured; a chip too small for an op refuses it, and an absent device is one row. */
TEST(bench, refusals) {
  begin();
  BENCH("--seconds", "0", "--only", "cumsum", "--against", "gpu:99", "--json", "cpu.json");
  EXITS(0);
  SHOWS(out, "FMA loop");
  SHOWS(out, "gpu:99: ");
  SHOWS(out, "refusals: 1\n");
  json_t *root = NULL;
  const json_t *const rows = rows_of("cpu.json", &root);
  CHECK(json_array_size(rows) == 2 && perf_is(json_array_get(rows, 0), "refused_by", "gpu:99"));
  CHECK(perf_is(root, "clock", "measured") && perf_get_number(json_array_get(rows, 1), "ms") > 0);
  json_decref(root);
  BENCH("--device", "tpu:v3,hbm_size=1MB", "--only", "batch_norm_grad", "--json", "small.json");
  EXITS(0);
  SHOWS(out, "refusals: 1\n");
  const json_t *const refused = json_array_get(rows_of("small.json", &root), 0);
  CHECK(perf_is(refused, "op", "batch_norm_grad") && perf_is(refused, "refused_by", "tpu:v3,hbm_size=1MB"));
  CHECK(strstr(perf_get_text(refused, "why"), "0.001 GB of HBM") != NULL, "%s", perf_get_text(refused, "why"));
  json_decref(root);
  end();
}

TEST(bench, bad_input) {
  begin();
  static const struct {
    const char *argv[8], *says;
    int code;
  } rows[] = {
      {{"bench_ops", "--devise", "cpu"}, "'--devise' is no option", 2},
      {{"bench_ops", "--json"}, "'--json' is no option, or lacks its value", 2},
      {{"bench_ops", "--seconds", "soon"}, "--seconds: is 'soon', needs a number from 0", 2},
      {{"bench_ops", "--threads", "0"}, "--threads: is '0', needs a number from 1 to 64", 2},
      {{"bench_ops", "--against", "ref", "--pair", "b"}, "give one of them", 2},
      {{"bench_ops", "--dtype", "bf16"}, "--dtype: is 'bf16' without --peaks; needs bf16, and --peaks", 2},
      {{"bench_ops", "--peaks", "--dtype", "f8"}, "--dtype: is 'f8'; needs bf16, and --peaks", 2},
      {{"bench_ops", "--device", "abacus"}, "abacus", 2},
      {{"bench_ops", "--device", "gpu:99"}, "gpu", 1},
      {{"bench_ops", "--device", "tpu:v3", "--against", "abacus"}, "abacus", 2},
      {{"bench_ops", "--device", "tpu:v3", "--pair", "/nowhere/bench_ops"}, "cannot start '/nowhere/bench_ops': No such file", 1},
      {{"bench_ops", "--device", "tpu:v3", "--pair", "/bin/true"}, "'/bin/true' does not answer --serve", 1},
      {{"bench_ops", "--device", "tpu:v3", "--only", "-", "--json", "no/such/folder.json"}, "cannot write no/such/folder.json", 1},
      {{"bench_ops", "--deepbench", "nowhere"}, "cannot open nowhere/gemm_training.csv", 1},
  };
  for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
    bench(rows[r].argv);
    EXITS(rows[r].code);
    SHOWS(err, rows[r].says);
  }
  write_deepbench("hidden,batch,timesteps,cell,fwd_gemm_flops\n16,4\n");
  BENCH("--only", "-", "--deepbench", folder);
  EXITS(1);
  SHOWS(err, "rnn_training.csv:2: has 2 numbers, needs 3");
  end();
}
