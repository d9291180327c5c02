/* The modelled chip: its files and overrides, the pipeline's recurrence, the accounts of products, and figures that Google
 * published of the TPU v1. */
#include <stdlib.h>
#include <unistd.h>
#include <tercet/chip.h>
#include <tercet/systolic.h>
#include "draws.h"
#include "test.h"

TEST(chip, every_built_in_file_is_whole) {
  int32_t n = 0;
  for (const char *name; (name = tct_chip_name(n)) != NULL; n++) {
    tct_chip chip;
    OK(tct_chip_open(name, &chip));
    CHECK(strcmp(chip.name, name) == 0, "%s calls itself %s", name, chip.name);
  }
  CHECK(n >= 12, "%d", (int)n);
}

/* Energies and prices say when they were looked up, and whether what is named holds them or they are assumed. */
TEST(chip, energies_and_prices_are_marked) {
  static const char *const keys[] = {"idle", "mac", "mac_int8", "vmem_energy", "hbm_energy", "ici_energy", "price"};
  int marked = 0;
  for (int32_t n = 0; tct_chip_name(n) != NULL; n++) {
    char path[1024], line[512];
    (void)snprintf(path, sizeof path, TCT_SOURCE_DIR "/runtime/systolic/chips/%s.yaml", tct_chip_name(n));
    FILE *const file = fopen(path, "r");
    CHECK(file != NULL, "%s", path);
    while (fgets(line, sizeof line, file) != NULL) {
      for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
        const size_t length = strlen(keys[k]);
        if (strncmp(line, keys[k], length) != 0 || strncmp(line + length, ": {value: ", 10) != 0 || strncmp(line + length + 10, "0 ", 2) == 0) continue;
        const char *const source = strstr(line, "source: \"");
        CHECK(source != NULL && (strncmp(source + 9, "verified 20", 11) == 0 || strncmp(source + 9, "assumed 20", 10) == 0), "%s: %s", path, line);
        marked++;
      }
    }
    CHECK(fclose(file) == 0);
  }
  CHECK(marked > 50, "%d", marked);
}

/* Peak of bf16, published: 46, 123, 275, 197, 459, 918 teraflop/s. */
TEST(chip, peaks_are_the_published_ones) {
  const struct { const char *name; double tflops; } rows[] = {{"v2", 46}, {"v3", 123}, {"v4", 275},
                                                              {"v5e", 197}, {"v5p", 459}, {"v6e", 918}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    tct_chip c;
    OK(tct_chip_open(rows[i].name, &c));
    const double peak = 2e-12 * (double)(c.cores * c.arrays * c.array_rows * c.array_cols) * c.clock;
    CHECK(fabs(peak / rows[i].tflops - 1) < 0.005, "%s: %g", rows[i].name, peak);
  }
}

TEST(chip, overrides_and_units) {
  tct_chip c;
  OK(tct_chip_open("v3,array=256x64, hbm=1.2TB/s,vmem=32MiB,clock=1e9,latency=250 ns", &c));
  CHECK(c.array_rows == 256 && c.array_cols == 64 && c.hbm == 1.2e12 && c.vmem == 32 * 1048576. && c.clock == 1e9);
  CHECK(fabs(c.latency - 250e-9) < 1e-18);
  const struct { const char *spec, *part; tct_status status; } rows[] = {
      {"v9", "there are eyeriss, gemmini, scalesim, small, tiny, v", TCT_NOT_FOUND},
      {"v33", "did you mean 'v3'?", TCT_NOT_FOUND},
      {"v3,hbm=fast", "hbm is 'fast', needs a number of B/s from", TCT_INVALID},
      {"v3,hbm=3GHz", "hbm is '3GHz'", TCT_INVALID},
      {"v3,array=0x128", "needs ROWSxCOLUMNS, each from 1 to 4096", TCT_INVALID},
      {"v3,arrays=2.5", "needs a whole number from 1 to 64", TCT_INVALID},
      {"v3,clok=1GHz", "did you mean 'clock'?", TCT_INVALID},
      {"v3,hbm", "needs KEY=VALUE", TCT_INVALID},
      {"v3,dataflow=rs", "dataflow is 'rs', needs ws (weights stay in the array), os (results), is (inputs), or auto", TCT_INVALID},
      {"v3,dataflow=os,array_order=1", "dataflow is os, and array_order=1 runs products on the machine", TCT_INVALID},
      {"v3,passes=3,dataflow=os", "and passes=3 runs products on the machine", TCT_INVALID},
      {"v3,compile=-1s", "compile is '-1s', needs a number of s from 0", TCT_INVALID},
      {"v3,passes=2", "passes is 2, needs 1 (bf16 products), 3 or 6 (f32)", TCT_INVALID},
      {"v4i,chips=2", "has no links", TCT_INVALID},
      {"v3,chips=5000", "needs a whole number from 1 to 4096", TCT_INVALID},
      {"v3,clock=nan", "clock is 'nan'", TCT_INVALID},
      {"not-there.yaml", "not-there.yaml", TCT_NOT_FOUND}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) FAILS(tct_chip_open(rows[i].spec, &c), rows[i].status, rows[i].part);
}

/* A name stands in tables and messages: it cannot bring what a terminal would obey, nor half a character. */
TEST(chip, names) {
  static const char *const names[] = {"\"a\\u0001\\e[31mb\"", "0123456789012345678901234567890123456789", "gr\xc3\xbcn", "\"\""};
  char path[64] = "/tmp/tercet-chip-XXXXXX.yaml";
  const int fd = mkstemps(path, 5);
  CHECK(fd >= 0 && close(fd) == 0);
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    FILE *const file = fopen(path, "w");
    CHECK(file != NULL && fprintf(file, "name: %s\n", names[i]) > 0 && fclose(file) == 0);
    tct_chip c;
    FAILS(tct_chip_open(path, &c), TCT_INVALID, "the chip's name needs 1 to 31 letters");
  }
  CHECK(remove(path) == 0);
}

/* Equal blocks on channels of their own: T = d + c + o + (n − 1)·max(d, c, o). One channel: c, or d + o, whichever is more,
 * decides. */
TEST(chip, the_pipeline_of_equal_blocks) {
  static tct_block blocks[40];
  uint64_t state = 88172645463325252u;
  for (int i = 0; i < 20000; i++) {
    const int64_t n = between(&state, 1, 40);
    const tct_block b = {(double)between(&state, 0, 50), (double)between(&state, 0, 50), (double)between(&state, 0, 50)};
    for (int64_t j = 0; j < n; j++) blocks[j] = b;
    const double slowest = fmax(b.load, fmax(b.compute, b.store));
    const double wanted = b.load + b.compute + b.store + (double)(n - 1) * slowest;
    const double own = tct_chip_pipeline(blocks, n, false), shared = tct_chip_pipeline(blocks, n, true);
    CHECK(own == wanted, "case %d: %g, wanted %g", i, own, wanted);
    CHECK(shared >= own && shared >= (double)n * (b.load + b.store), "case %d: %g", i, shared);
    CHECK(shared <= b.load + b.compute + b.store + (double)(n - 1) * (b.load + b.store + b.compute), "case %d", i);
  }
}

/* A time is the sum of its classes, no class is negative, nothing is faster than the roofline, and no operand moves less
 * than once. */
TEST(chip, accounts_of_random_products) {
  uint64_t state = 362436069;
  const char *specs[] = {"v3", "v5e", "small", "v3,arrays=1,cores=1", "v6e,hbm=10GB/s", "v4,vmem=256KiB", "v3,dataflow=os", "small,dataflow=os,vmem=64KiB",
                         "scalesim", "v3,dataflow=is", "gemmini"};
  for (int i = 0; i < 1100; i++) {
    tct_chip c;
    OK(tct_chip_open(specs[i % 11], &c));
    const int64_t most = i % 5 == 0 ? 5000 : 300;
    tct_product p = {.m = between(&state, 1, most), .k = between(&state, 1, most), .n = between(&state, 1, most),
                     .taps = between(&state, 0, 9), .batch = between(&state, 0, 20)};
    const int64_t batch = p.batch > 0 ? p.batch : 1;
    p.x_bytes = tct_chip_bytes(&c, &(tct_desc){TCT_F32, TCT_SHAPE(batch, p.m, p.k)});
    p.w_bytes = tct_chip_bytes(&c, &(tct_desc){TCT_F32, TCT_SHAPE(batch, p.k, p.n)});
    p.y_bytes = tct_chip_bytes(&c, &(tct_desc){TCT_F32, TCT_SHAPE(batch, p.m, p.n)});
    p.operations = i % 3 == 0 ? p.y_bytes / 4096 : 0;
    tct_chip_time t;
    OK(tct_chip_product(&c, &p, &t));
    const double sum = t.useful + t.padding + t.shift + t.vector + t.memory + t.skew;
    CHECK(fabs(sum - t.total) <= 1e-9 * t.total, "case %d: classes sum to %g of %g", i, sum, t.total);
    CHECK(t.useful > 0 && t.padding >= -1e-6 && t.shift >= 0 && t.memory >= -1e-6 && t.skew > 0, "case %d: %g %g %g %g %g", i,
          t.useful, t.padding, t.shift, t.memory, t.skew);
    const double bytes = p.x_bytes + p.w_bytes + p.y_bytes;
    CHECK(t.hbm_bytes >= bytes * (1 - 1e-12) && t.total >= bytes * c.clock / c.hbm * (1 - 1e-9), "case %d: memory", i);
    CHECK(fabs(t.vector * (double)(c.cores * c.alus) - p.operations) <= 1e-9 * p.operations, "case %d: vector", i);
    const double macs = (double)batch * (double)p.m * (double)p.k * (double)p.n * (double)(p.taps > 0 ? p.taps : 1);
    CHECK(t.macs >= macs * (1 - 1e-12), "case %d: %g products issued of %g", i, t.macs, macs);
    CHECK(tct_chip_energy(&c, &t) > t.macs * c.mac, "case %d: energy", i);
  }
}

/* `auto` is the faster of ws and is, each of which is the other's with the operands' roles exchanged; os streams the inner axis, and
 * so wins where that fills its last tile badly, and loses where rows and columns both do. */
TEST(chip, dataflows) {
  static const char *const specs[] = {"small,hbm=1TB/s,dataflow=ws", "small,hbm=1TB/s,dataflow=is", "small,hbm=1TB/s,dataflow=auto",
                                      "small,hbm=1TB/s,dataflow=os"};
  uint64_t state = 2463534242;
  for (int i = 0; i < 60; i++) {
    tct_product p = {.m = between(&state, 1, 300), .k = between(&state, 1, 300), .n = between(&state, 1, 300)};
    if (i == 0) p = (tct_product){.m = 160, .k = 17, .n = 160};
    if (i == 1) p = (tct_product){.m = 24, .k = 5000, .n = 24};
    p.x_bytes = 4. * (double)(p.m * p.k);
    p.w_bytes = 4. * (double)(p.k * p.n);
    p.y_bytes = 4. * (double)(p.m * p.n);
    const tct_product turned = {.m = p.n, .k = p.k, .n = p.m, .x_bytes = p.w_bytes, .w_bytes = p.x_bytes, .y_bytes = p.y_bytes};
    tct_chip_time t[4], other;
    for (int s = 0; s < 4; s++) {
      tct_chip c;
      OK(tct_chip_open(specs[s], &c));
      OK(tct_chip_product(&c, &p, &t[s]));
      CHECK(t[s].outputs_stay == (s == 3) && (s == 2 || t[s].swapped == (s == 1)), "case %d, %s", i, specs[s]);
      if (s == 0) OK(tct_chip_product(&c, &turned, &other));
    }
    CHECK(other.total == t[1].total, "case %d: is %g, ws of the transposed product %g", i, other.total, t[1].total);
    CHECK(t[2].total <= fmin(t[0].total, t[1].total), "case %d: auto %g, ws %g, is %g", i, t[2].total, t[0].total, t[1].total);
    if (i == 0) CHECK(t[3].total < t[2].total, "an inner axis of little more than a tile: os %g, auto %g", t[3].total, t[2].total);
    if (i == 1) CHECK(t[3].total > t[2].total, "results of one tile and a half each way: os %g, auto %g", t[3].total, t[2].total);
  }
}

/* Loads and stores on channels of their own: hardly slower (2 % are left to the search, which steps only its best estimates), and never under what each channel moves. */
TEST(chip, channels_of_their_own) {
  uint64_t state = 521288629;
  int faster = 0;
  for (int i = 0; i < 200; i++) {
    tct_chip one, two;
    OK(tct_chip_open("v3", &one));
    OK(tct_chip_open("v3,channels=2", &two));
    tct_product p = {.m = between(&state, 1, 3000), .k = between(&state, 1, 300), .n = between(&state, 1, 3000)};
    p.x_bytes = tct_chip_bytes(&one, &(tct_desc){TCT_F32, TCT_SHAPE(p.m, p.k)});
    p.w_bytes = tct_chip_bytes(&one, &(tct_desc){TCT_F32, TCT_SHAPE(p.k, p.n)});
    p.y_bytes = tct_chip_bytes(&one, &(tct_desc){TCT_F32, TCT_SHAPE(p.m, p.n)});
    tct_chip_time shared, own;
    OK(tct_chip_product(&one, &p, &shared));
    OK(tct_chip_product(&two, &p, &own));
    const double loaded = own.hbm_bytes - p.y_bytes, busiest = fmax(loaded, p.y_bytes) * two.clock / two.hbm;
    CHECK(own.total <= 1.02 * shared.total && own.total >= busiest * (1 - 1e-9), "case %d: %g and %g, %g at least", i, own.total, shared.total, busiest);
    faster += own.total < 0.95 * shared.total;
    tct_chip_vector(&one, 0, 3e6, 2e6, &shared);
    tct_chip_vector(&two, 0, 3e6, 2e6, &own);
    CHECK(fabs((shared.memory - own.memory) - 2e6 * one.clock / one.hbm) < 1e-6 && own.hbm_bytes == 5e6);
  }
  CHECK(faster > 20, "%d", faster);
  tct_chip c;
  FAILS(tct_chip_open("v3,channels=3", &c), TCT_INVALID, "channels is '3', needs a whole number from 1 to 2");
}

TEST(chip, large_products_reach_the_peak_and_small_ones_do_not) {
  tct_chip c;
  OK(tct_chip_open("v3", &c));
  const struct { int64_t m, k, n; double least, most; } rows[] = {
      {8192, 8192, 8192, 0.9, 1}, {8, 128, 128, 0, 0.05}, {1024, 16, 1024, 0, 0.15}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    const tct_product p = {.m = rows[i].m, .k = rows[i].k, .n = rows[i].n, .x_bytes = 4. * (double)(rows[i].m * rows[i].k),
                           .w_bytes = 4. * (double)(rows[i].k * rows[i].n), .y_bytes = 4. * (double)(rows[i].m * rows[i].n)};
    tct_chip_time t;
    OK(tct_chip_product(&c, &p, &t));
    const double share = t.useful / t.total;
    CHECK(share >= rows[i].least && share <= rows[i].most, "row %zu: %g of the peak, blocks %lld %lld %lld", i, share,
          (long long)t.block_m, (long long)t.block_k, (long long)t.block_n);
  }
}

/* A batch costs as much as its products one after the other, less what they share: the first load, the last store, the arrays
 * that one product cannot fill. 2 % are left to the search, which steps only its best estimates. */
TEST(chip, a_batch_is_its_products) {
  uint64_t state = 521288629;
  for (int i = 0; i < 200; i++) {
    tct_chip c;
    OK(tct_chip_open(i % 2 == 0 ? "v3" : "small", &c));
    tct_product p = {.m = between(&state, 1, 400), .k = between(&state, 1, 400), .n = between(&state, 1, 400)};
    p.x_bytes = 4. * (double)(p.m * p.k);
    p.w_bytes = 4. * (double)(p.k * p.n);
    p.y_bytes = 4. * (double)(p.m * p.n);
    tct_chip_time one, all;
    OK(tct_chip_product(&c, &p, &one));
    p.batch = between(&state, 2, 50);
    const double batch = (double)p.batch;
    p.x_bytes *= batch;
    p.w_bytes *= batch;
    p.y_bytes *= batch;
    OK(tct_chip_product(&c, &p, &all));
    CHECK(all.total <= batch * one.total * 1.02, "case %d: %g, one by one %g", i, all.total, batch * one.total);
    CHECK(fabs(all.useful / (batch * one.useful) - 1) < 1e-9 && all.hbm_bytes >= (p.x_bytes + p.w_bytes + p.y_bytes) * (1 - 1e-12),
          "case %d", i);
  }
}

TEST(chip, products_out_of_range) {
  tct_chip c;
  tct_chip_time t;
  OK(tct_chip_open("v3", &c));
  const int64_t wide = INT64_C(1) << 40;
  const tct_product rows[] = {{.m = 0, .k = 1, .n = 1}, {.m = 1, .k = 1, .n = wide + 1}, {.m = wide, .k = wide, .n = 1},
                              {.m = 1, .k = 1, .n = 1, .taps = -1}, {.m = 1, .k = 1, .n = 1, .passes = 7}, {.m = 1, .k = 1, .n = 1, .passes = 2}, {.m = 1, .k = 1, .n = 1, .batch = INT64_MAX}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) FAILS(tct_chip_product(&c, &rows[i], &t), TCT_INVALID, "extents from 1 to 2^40");
  tct_chip many;
  OK(tct_chip_open("small,array=1x1,cores=64,arrays=64,vmem=1TB", &many));
  FAILS(tct_chip_product(&many, &(tct_product){.m = 1, .k = wide, .n = 1 << 20}, &t), TCT_INVALID, "with passes and arrays");
  OK(tct_chip_open("tiny,array=1x1,vmem=1TB,passes=1", &many));
  FAILS(tct_chip_product(&many, &(tct_product){.m = 1, .k = wide, .n = 1 << 22, .passes = 6}, &t), TCT_INVALID, "with passes and arrays");
  OK(tct_chip_product(&c, &(tct_product){.m = wide, .k = 1 << 20, .n = 1}, &t)); /* 2^60 products on four arrays */
  CHECK(t.total > 0x1p40 && isfinite(t.total), "%g", t.total);
}

/* Ring of 4 chips: 2·V·(3/4) / (2W); a 4×4 torus moves on two axes; 5e's axes of 4 are no rings; a small sum is all latency. */
TEST(chip, all_reduce) {
  const struct { const char *spec; double bytes, seconds; } rows[] = {
      {"v3,axes=1,chips=4,ici=100GB/s,hop=0s", 4e9, 2 * 4e9 * 0.75 / 200e9},
      {"v3,chips=16,ici=100GB/s,hop=0s", 4e9, 2 * 4e9 * (15. / 16) / 400e9},
      {"v5e,chips=16,ici=100GB/s,hop=0s", 4e9, 2 * 4e9 * (15. / 16) / 200e9},
      {"v4,chips=64,ici=100GB/s,hop=0s", 4e9, 2 * 4e9 * (63. / 64) / 600e9},
      {"v3,chips=7,ici=100GB/s,hop=0s", 4e9, 2 * 4e9 * (6. / 7) / 200e9}, /* a prime is one ring */
      {"v3,chips=16,ici=100GB/s,hop=1us", 8, 2 * 4e-6}, /* 2 + 2 hops, there and back */
      {"v3", 4e9, 0}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    tct_chip c;
    OK(tct_chip_open(rows[i].spec, &c));
    const double seconds = tct_chip_all_reduce(&c, rows[i].bytes) / c.clock;
    CHECK(fabs(seconds - rows[i].seconds) <= 1e-9 * rows[i].seconds, "%s: %g s, wanted %g", rows[i].spec, seconds, rows[i].seconds);
  }
}

TEST(chip, tensors_are_padded_to_tiles) {
  tct_chip c;
  OK(tct_chip_open("v3", &c));
  const struct { tct_desc desc; double bytes; } rows[] = {
      {{TCT_F32, TCT_SHAPE(8, 128)}, 4096},       {{TCT_F32, TCT_SHAPE(9, 129)}, 4. * 16 * 256},
      {{TCT_F32, TCT_SHAPE(128, 10)}, 4. * 128 * 16}, /* the 128 become lanes */
      {{TCT_U8, TCT_SHAPE(1, 128)}, 32. * 128},   {{TCT_F32, TCT_SHAPE(1)}, 4096},
      {{TCT_F32, TCT_SHAPE(32, 28, 28, 1)}, 4. * 28 * 32 * 128}, {{TCT_F32, TCT_SHAPE(0, 5)}, 0}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    CHECK(tct_chip_bytes(&c, &rows[i].desc) == rows[i].bytes, "row %zu: %g", i, tct_chip_bytes(&c, &rows[i].desc));
  }
}

/* "In-Datacenter Performance Analysis of a Tensor Processing Unit" (ISCA 2017), table 3: a tile of 64 KiB of weights comes from
 * memory at 34 GB/s every 1349.3 cycles of 700 MHz; what is not matrix work is taken from the paper. Weight shift within 1
 * point, weight stall within 6 of the paper's. */
TEST(chip, table_3_of_the_tpu_v1) {
  const struct { const char *name; int64_t batch; double non_matrix, stall, shift; } rows[] = {
      {"MLP0", 200, 17.5, 53.9, 15.9}, {"MLP1", 168, 31.9, 44.2, 13.4}, {"LSTM0", 64, 17.9, 58.1, 15.8}, {"LSTM1", 96, 10.3, 62.1, 17.1}};
  static tct_array_tile tiles[400];
  const double period = 65536 / 34e9 * 700e6;
  for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
    for (int i = 0; i < 400; i++) tiles[i] = (tct_array_tile){rows[r].batch, (int64_t)ceil(period * (i + 1))};
    tct_array_clock clock;
    OK(tct_array_fast(TCT_WS_OVERLAP, 256, 256, tiles, 400, &clock));
    const double matrix = (100 - rows[r].non_matrix) / (double)clock.cycles;
    const double stall = matrix * (double)clock.stall, shift = matrix * (double)clock.shift;
    CHECK(fabs(shift - rows[r].shift) < 1, "%s: weight shift %g %%, paper %g", rows[r].name, shift, rows[r].shift);
    CHECK(fabs(stall - rows[r].stall) < 6, "%s: weight stall %g %%, paper %g", rows[r].name, stall, rows[r].stall);
  }
  /* A 600×600 gate is 9 tiles: 17.3 µs, in the paper 18. */
  CHECK(fabs(9 * period / 700 - 17.35) < 0.1, "%g µs", 9 * period / 700);
}
