/* The TPU's machine: lists of instructions executed on real numbers, their clock block by block, and the array's order of sums. */
#include <tercet/chip.h>
#include <tercet/systolic.h>
#include <tercet/tercet.h>
#include "backends/tpu/list.h"
#include "graphs.h"
#include "test.h"

enum { MOST = 20000 };

static uint64_t state = 88172645463325252u;
static int64_t between(int64_t least, int64_t most) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return least + (int64_t)(state % (uint64_t)(most - least + 1));
}

/* ---- the same numbers as the CPU ---- */

typedef struct outputs {
  float value[3][MOST];
  int64_t n[3];
} outputs;

/* Whole numbers of at most 4 bits: every product and sum is exact in f32, in any order. */
static void set_whole(tct_program *program, const char *name, int64_t n, uint64_t seed) {
  static float data[MOST];
  CHECK(n <= MOST, "%lld", (long long)n);
  for (int64_t i = 0; i < n; i++) data[i] = (float)((int64_t)((seed + (uint64_t)i) * 2654435761u % 4093 % 15) - 7);
  OK(tct_program_set(program, name, data, (size_t)n * sizeof *data));
}

static const tct_shape *shape_of(tct_tensor t) {
  OK(tct_graph_status(t.graph));
  return &t.graph->values[t.id].desc.shape;
}

/* y, dx and dw of a product whose result is weighed by dy. */
static void run(const char *spec, const tct_shape *x_shape, const tct_shape *w_shape, const tct_conv2d_options *conv,
                const bool transposed[2], outputs *out) {
  tct_device *device = device_make(spec);
  tct_graph *graph = graph_make();
  tct_tensor x = tct_input(graph, "x", TCT_F32, *x_shape), w = tct_input(graph, "w", TCT_F32, *w_shape), gradient[2];
  tct_tensor y = conv != NULL ? tct_conv2d(x, w, conv) : tct_matmul_transposed(x, w, transposed[0], transposed[1]);
  const tct_shape y_shape = *shape_of(y);
  tct_gradients(sum_of(tct_mul(y, tct_input(graph, "dy", TCT_F32, y_shape))), (tct_tensor[]){x, w}, 2, gradient);
  const tct_tensor all[] = {y, gradient[0], gradient[1]};
  const char *const names[] = {"y", "dx", "dw"};
  for (int i = 0; i < 3; i++) {
    tct_output(graph, names[i], all[i]);
    out->n[i] = tct_shape_size(shape_of(all[i]));
    CHECK(out->n[i] <= MOST);
  }
  tct_program *program = NULL;
  OK(tct_compile(graph, device, NULL, &program));
  set_whole(program, "x", tct_shape_size(x_shape), 3);
  set_whole(program, "w", tct_shape_size(w_shape), 1000);
  set_whole(program, "dy", out->n[0], 5000);
  OK(tct_program_run(program));
  for (int i = 0; i < 3; i++) OK(tct_program_get(program, names[i], out->value[i], (size_t)out->n[i] * sizeof(float)));
  tct_program_free(program);
  tct_graph_free(graph);
  tct_device_close(device);
}

static void check_equal(const tct_shape *x, const tct_shape *w, const tct_conv2d_options *conv, const bool transposed[2], int number) {
  static const char *const specs[] = {"tpu:small,array=4x3,array_order=1", "tpu:v3,array_order=1", "tpu:small,array=2x8,passes=3,vmem=64KiB"};
  static outputs wanted, got;
  run("ref", x, w, conv, transposed, &wanted);
  run(specs[number % 3], x, w, conv, transposed, &got);
  for (int i = 0; i < 3; i++) {
    CHECK(got.n[i] == wanted.n[i]);
    for (int64_t e = 0; e < wanted.n[i]; e++) {
      CHECK(got.value[i][e] == wanted.value[i][e], "case %d on %s, output %d, element %lld: %g, wanted %g", number, specs[number % 3], i,
            (long long)e, (double)got.value[i][e], (double)wanted.value[i][e]);
    }
  }
}

TEST(tpu_machine, matmuls_of_whole_numbers_are_exact) {
  for (int i = 0; i < 60; i++) {
    const bool transposed[] = {i % 2 == 1, i / 2 % 2 == 1};
    const int64_t m = between(1, 20), k = between(1, 20), n = between(1, 20), b = between(1, 3), c = between(1, 3);
    const tct_shape a2 = transposed[0] ? TCT_SHAPE(k, m) : TCT_SHAPE(m, k), w2 = transposed[1] ? TCT_SHAPE(n, k) : TCT_SHAPE(k, n);
    tct_shape x = a2, w = w2;
    const int kind = i % 5; /* none, both, only x, only w, broadcast both ways */
    if (kind == 1 || kind == 2 || kind == 4)
      x = (tct_shape){.rank = 4, .dim = {b, kind == 4 ? 1 : c, a2.dim[0], a2.dim[1]}};
    if (kind == 1 || kind == 3 || kind == 4)
      w = (tct_shape){.rank = 4, .dim = {kind == 4 ? 1 : b, c, w2.dim[0], w2.dim[1]}};
    check_equal(&x, &w, NULL, transposed, i);
  }
}

TEST(tpu_machine, convolutions_of_whole_numbers_are_exact) {
  for (int i = 0; i < 60; i++) {
    tct_conv2d_options o = {.stride = {between(1, 3), between(1, 3)}, .dilation = {between(1, 2), between(1, 2)},
                            .padding = (tct_padding)(i % 3), .groups = i % 4 == 0 ? between(1, 3) : 1};
    const int64_t r = between(1, 4), s = between(1, 3), c = between(1, 4), f = between(1, 5);
    if (o.padding == TCT_PADDING_EXPLICIT) {
      for (int p = 0; p < 4; p++) o.pad[p] = between(0, 2);
    }
    const tct_shape x = TCT_SHAPE(between(1, 2), between(8, 11), between(8, 11), c * o.groups), w = TCT_SHAPE(r, s, c, f * o.groups);
    check_equal(&x, &w, &o, NULL, i);
  }
}

/* A first convolution of few channels and an even stride is folded: 7×7 places of 3 channels become 4×4 of 12. */
TEST(tpu_machine, a_stem_is_folded) {
  tct_chip chip;
  OK(tct_chip_open("v3", &chip));
  const tct_desc in[] = {{TCT_F32, TCT_SHAPE(32, 224, 224, 3)}, {TCT_F32, TCT_SHAPE(7, 7, 3, 64)}}, out = {TCT_F32, TCT_SHAPE(32, 112, 112, 64)};
  tct_conv2d_attrs attrs = {.stride = {2, 2}, .dilation = {1, 1}, .pad = {2, 3, 2, 3}, .groups = 1, .x_shape = {32, 224, 224, 3},
                            .w_shape = {7, 7, 3, 64}};
  const tct_node_view node = {.op = TCT_OP_conv2d, .op_name = "conv2d", .name = "y", .attrs = &attrs, .n_in = 2, .n_out = 1, .in = in, .out = &out};
  tpu_list list;
  OK(tct_tpu_lower(&chip, &node, &list));
  const tct_product *const p = &list.product[0].extents;
  CHECK(list.folded && p->taps == 16 && p->k == 12, "%lld taps of %lld", (long long)p->taps, (long long)p->k);
  const double macs = 32. * 112 * 112 * 49 * 3 * 64, units = (double)(chip.cores * chip.arrays * chip.array_rows * chip.array_cols);
  CHECK(fabs(list.time.useful * units / macs - 1) < 1e-12, "%g products", list.time.useful * units);
  attrs.stride[0] = 3;
  CHECK(!tct_tpu_folds(&node));
}

/* ---- the clock, block by block ---- */

/* The loops of the list, stepped, are those of the account: as many blocks, and the same loads, work and stores. */
TEST(tpu_machine, blocks_take_what_the_account_says) {
  static float x[600 * 60], w[60 * 600], y[600 * 600], scratch[1 << 20];
  static tct_block blocks[5000];
  int several = 0;
  for (int i = 0; i < 200; i++) {
    const char *const specs[] = {"small", "small,vmem=64KiB", "small,array=8x24,arrays=3,vmem=70kB", "small,vmem=64KiB,hbm=100GB/s"};
    tct_chip chip;
    OK(tct_chip_open(specs[i % 4], &chip));
    const int64_t b = i % 3 == 0 ? between(1, 6) : 1, m = between(1, i % 2 == 0 ? 90 : 500 / b), k = between(1, 60), n = between(1, 90);
    const tct_desc in[] = {{TCT_F32, TCT_SHAPE(b, m, k)}, {TCT_F32, TCT_SHAPE(b, k, n)}, {TCT_F32, TCT_SHAPE(n)}};
    const tct_desc out = {TCT_F32, TCT_SHAPE(b, m, n)};
    const tct_node_view node = {.op = TCT_OP_matmul, .op_name = "matmul", .name = "y", .n_in = i % 2 == 0 ? 3 : 2, .n_out = 1, .in = in, .out = &out};
    tpu_list list;
    OK(tct_tpu_lower(&chip, &node, &list));
    CHECK(tct_tpu_machine_bytes(&chip, &list) <= sizeof scratch);
    tpu_map map;
    tct_tpu_map(&node, list.folded, &map);
    const int64_t n_blocks = tct_tpu_execute(&chip, &list, &map, (tpu_tensor){.data = x, .dtype = TCT_F32}, (tpu_tensor){.data = w, .dtype = TCT_F32},
                                             (tpu_tensor){.data = y, .dtype = TCT_F32}, scratch, blocks, 5000);
    CHECK(n_blocks >= 1 && n_blocks <= 5000, "%lld", (long long)n_blocks);
    several += n_blocks > 2;
    const double skew = (double)(2 * chip.array_rows + chip.array_cols - 2) + chip.overhead * chip.clock;
    const double wanted = list.time.total - skew - chip.latency * chip.clock, got = tct_chip_pipeline(blocks, n_blocks, true);
    CHECK(fabs(got / wanted - 1) < 1e-9, "case %d: [%lld,%lld,%lld,%lld], %lld blocks: %g cycles, the account has %g", i, (long long)b,
          (long long)m, (long long)k, (long long)n, (long long)n_blocks, got, wanted);
  }
  CHECK(several > 50, "only %d cases had several blocks", several);
}

/* Tiles of 16 along an axis that is cut into blocks. */
static int64_t blocks_of_16(int64_t extent, int64_t block) {
  int64_t n = 0;
  for (int64_t at = 0; at < extent; at += block) n += ((extent - at < block ? extent - at : block) + 15) / 16;
  return n;
}

/* One array and memory that is no bound: the product's clock is the array's, fast.c's, tile for tile, whatever stays in it. */
TEST(tpu_machine, one_array_has_the_arrays_clock) {
  static const struct { const char *dataflow; tct_array_mode mode; } rows[] = {
      {"auto", TCT_WS_OVERLAP}, {"ws", TCT_WS_OVERLAP}, {"is", TCT_IS_OVERLAP}, {"os", TCT_OS_OVERLAP}};
  static tct_array_tile tiles[MOST];
  for (int i = 0; i < 400; i++) {
    char spec[160];
    tct_chip chip;
    (void)snprintf(spec, sizeof spec, "small,vmem=1TB,hbm=1000TB/s,latency=0s,overhead=0s,cores=1,arrays=1,dataflow=%s", rows[i % 4].dataflow);
    OK(tct_chip_open(spec, &chip));
    const tct_product p = {.m = between(1, 100), .k = between(1, 100), .n = between(1, 100), .taps = between(1, 3), .batch = between(1, 3),
                           .x_bytes = 1, .w_bytes = 1, .y_bytes = 1};
    tct_chip_time t;
    tct_array_clock clock;
    OK(tct_chip_product(&chip, &p, &t));
    const bool os = rows[i % 4].mode == TCT_OS_OVERLAP;
    const int64_t m = t.swapped ? p.n : p.m, cols = t.swapped ? p.m : p.n;
    const int64_t streams = os ? p.k : m, deep = os ? m : p.k, step = os ? t.block_k : t.block_m;
    const int64_t per_block = (os ? 1 : p.taps) * blocks_of_16(cols, t.block_n) * blocks_of_16(deep, os ? t.block_m : t.block_k);
    int64_t n = 0;
    for (int64_t b = 0; b < p.batch; b++) {
      for (int64_t r = 0; r < streams; r += step) {
        const int64_t streamed = streams - r < step ? streams - r : step;
        CHECK(n + per_block <= MOST);
        for (int64_t j = 0; j < per_block; j++) tiles[n++] = (tct_array_tile){.steps = os ? p.taps * streamed : (streamed + 3) / 4 * 4};
      }
    }
    OK(tct_array_fast(rows[i % 4].mode, 16, 16, tiles, n, &clock));
    CHECK(fabs(t.total - (double)clock.cycles) < 0.01, "case %d, %s: %g cycles, the array takes %lld", i, rows[i % 4].dataflow, t.total,
          (long long)clock.cycles);
  }
}

/* Each block is loaded with all that it needs, also where blocks share it: what moves is at least that. */
TEST(tpu_machine, shared_operands_are_loaded_by_each_block) {
  tct_chip chip;
  OK(tct_chip_open("v3", &chip));
  const double mega = 1 << 20;
  const struct { tct_product p; double least, most; } rows[] = {
      /* 64 MB of x serve 256 products and do not fit: they come again for each */
      {{.m = 4096, .k = 4096, .n = 128, .batch = 256, .x_copies = 1, .x_bytes = 64 * mega, .w_bytes = 512 * mega, .y_bytes = 512 * mega}, 256 * 64 * mega, 1e12},
      /* 1 MB of x stays */
      {{.m = 512, .k = 512, .n = 128, .batch = 256, .x_copies = 1, .x_bytes = 1 * mega, .w_bytes = 64 * mega, .y_bytes = 64 * mega}, 129 * mega, 129.001 * mega},
      /* all differ */
      {{.m = 512, .k = 512, .n = 128, .batch = 256, .x_bytes = 256 * mega, .w_bytes = 64 * mega, .y_bytes = 64 * mega}, 384 * mega, 384.001 * mega},
      /* nine places of a window over an image of 256 channels, in blocks of rows: each block has its own image again */
      {{.m = 9 * 256, .k = 256 * 56 * 56, .n = 256, .x_rows = 256, .x_bytes = 784 * mega, .w_bytes = 784 * mega, .y_bytes = 2.25 * mega}, 2 * 784 * mega, 1e12}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    tct_chip_time t;
    OK(tct_chip_product(&chip, &rows[i].p, &t));
    CHECK(t.hbm_bytes >= rows[i].least && t.hbm_bytes <= rows[i].most, "row %zu: %g bytes, blocks %lld %lld %lld", i, t.hbm_bytes, (long long)t.block_m, (long long)t.block_k, (long long)t.block_n);
    if (i != 3) continue;
    const double blocks = (double)((rows[i].p.m + t.block_m - 1) / t.block_m);
    CHECK(t.swapped || t.block_m < 256 || t.hbm_bytes >= blocks * 784 * mega, "%g blocks of rows, %g bytes", blocks, t.hbm_bytes);
  }
}

/* ---- the order of sums ---- */

static float bf16(float x) {
  uint32_t bits;
  memcpy(&bits, &x, 4);
  bits = (bits + 0x7fffu + (bits >> 16 & 1u)) & 0xffff0000u;
  memcpy(&x, &bits, 4);
  return x;
}

/* Every tile through the registers of the array, tiles added in order: the same bits. */
TEST(tpu_machine, sums_are_those_of_the_registers) {
  enum { M = 7, K = 23, N = 5, R = 4, C = 5, TILES = 6 };
  static float a[M * K], b[K * N], y[M * N], wanted[M * N];
  for (int i = 0; i < M * K; i++) a[i] = bf16((float)sin(1.7 * i) * (float)(1 + i % 11));
  for (int i = 0; i < K * N; i++) b[i] = bf16((float)cos(0.9 * i));
  for (int t = 0; t < TILES; t++) {
    float x[M * R] = {0}, w[R * C] = {0}, part[M * C];
    for (int r = 0; r < R && t * R + r < K; r++) {
      for (int i = 0; i < M; i++) x[i * R + r] = a[i * K + t * R + r];
      for (int j = 0; j < N; j++) w[r * C + j] = b[(t * R + r) * N + j];
    }
    int64_t cycles = 0;
    OK(tct_array_registers(TCT_WS_OVERLAP, R, C, &(tct_array_tile){.steps = M, .ready = 0}, &(tct_array_operands){x, w, part}, 1, &cycles));
    for (int i = 0; i < M * N; i++) wanted[i] += part[i];
  }
  /* Whichever operand stays, a tile's products meet in the order of its rows. */
  static const char *const specs[] = {"tpu:small,array=4x5,array_order=1", "tpu:small,array=4x5,array_order=1,dataflow=ws",
                                      "tpu:small,array=4x5,array_order=1,dataflow=is", "tpu:small,array=4x5,array_order=1,dataflow=is,vmem=64KiB"};
  for (size_t s = 0; s < sizeof specs / sizeof *specs; s++) {
    tct_device *device = device_make(specs[s]);
    tct_graph *graph = graph_make();
    tct_output(graph, "y", tct_matmul(tct_input(graph, "a", TCT_F32, TCT_SHAPE(M, K)), tct_input(graph, "b", TCT_F32, TCT_SHAPE(K, N))));
    tct_program *program = NULL;
    OK(tct_compile(graph, device, NULL, &program));
    OK(tct_program_set(program, "a", a, sizeof a));
    OK(tct_program_set(program, "b", b, sizeof b));
    OK(tct_program_run(program));
    OK(tct_program_get(program, "y", y, sizeof y));
    for (int i = 0; i < M * N; i++) CHECK(y[i] == wanted[i], "%s, %d: %.9g, the registers have %.9g", specs[s], i, (double)y[i], (double)wanted[i]);
    tct_program_free(program);
    tct_graph_free(graph);
    tct_device_close(device);
  }
}

/* One pass loses half a bf16 place of each operand, three passes all but the product of the rests, six nothing but sums; and
 * the array's order differs from the CPU's by no more than two sums of K terms can. */
TEST(tpu_machine, passes_and_orders) {
  enum { M = 9, K = 70, N = 11 };
  static float a[M * K], b[K * N], y[5][M * N];
  for (int i = 0; i < M * K; i++) a[i] = (float)sin(1.7 * i) * (float)(1 + i % 7);
  for (int i = 0; i < K * N; i++) b[i] = (float)cos(0.9 * i);
  static const struct { const char *spec; double least, most; } rows[] = {
      {"tpu:v3", 0x1p-14, 0x1p-7}, {"tpu:v3,array_order=1", 0x1p-14, 0x1p-7}, {"tpu:v3,passes=3", 0x1p-24, 0x1p-15},
      {"tpu:v3,passes=6,array_order=1", 0, K * 0x1p-24}, {"tpu:v3,passes=6", 0, K * 0x1p-24}};
  double cycles[5];
  for (int s = 0; s < 5; s++) {
    tct_device *device = device_make(rows[s].spec);
    tct_graph *graph = graph_make();
    tct_tensor bias = tct_input(graph, "bias", TCT_F32, TCT_SHAPE(N));
    tct_output(graph, "y", tct_relu(tct_add(tct_matmul(tct_input(graph, "a", TCT_F32, TCT_SHAPE(M, K)),
                                                       tct_input(graph, "b", TCT_F32, TCT_SHAPE(K, N))), bias)));
    tct_program *program = NULL;
    OK(tct_compile(graph, device, NULL, &program));
    float shift[N];
    for (int j = 0; j < N; j++) shift[j] = (float)j;
    OK(tct_program_set(program, "a", a, sizeof a));
    OK(tct_program_set(program, "b", b, sizeof b));
    OK(tct_program_set(program, "bias", shift, sizeof shift));
    tct_program_info info;
    tct_program_describe(program, &info);
    CHECK(info.n_steps == 1, "bias and activation were not fused: %d steps", (int)info.n_steps);
    OK(tct_program_run(program));
    OK(tct_program_get(program, "y", y[s], sizeof y[s]));
    tct_counter counters[16];
    CHECK(tct_program_step_counters(program, 0, counters, 16) > 7 && strcmp(counters[7].name, "total") == 0);
    cycles[s] = counters[1].value; /* useful */
    double worst = 0;
    for (int i = 0; i < M * N; i++) {
      double sum = i % N, size = i % N;
      for (int k = 0; k < K; k++) {
        const double term = (double)a[i / N * K + k] * (double)b[k * N + i % N];
        sum += term;
        size += fabs(term);
      }
      worst = fmax(worst, fabs((double)y[s][i] - (sum > 0 ? sum : 0)) / size);
    }
    CHECK(worst >= rows[s].least && worst <= rows[s].most, "%s: error %g of the terms' sizes, wanted %g to %g", rows[s].spec, worst,
          rows[s].least, rows[s].most);
    tct_program_free(program);
    tct_graph_free(graph);
    tct_device_close(device);
  }
  CHECK(fabs(cycles[2] / cycles[0] - 3) < 1e-9 && fabs(cycles[3] / cycles[0] - 6) < 1e-9, "%g %g %g", cycles[0], cycles[2], cycles[3]);
  for (int i = 0; i < M * N; i++) {
    CHECK(fabs((double)y[0][i] - (double)y[1][i]) <= 2 * K * 0x1p-24 * 7 * K, "%d: %g, in the array's order %g", i, (double)y[0][i], (double)y[1][i]);
  }
}

/* ---- lists ---- */

static void append(void *user, const char *text) {
  char *const to = user;
  const size_t n = strlen(to);
  (void)snprintf(to + n, 4000 - n, "%s\n", text);
}

TEST(tpu_machine, lists_are_short_and_plain) {
  tct_device *device = device_make("tpu:small,vmem=64KiB,chips=4");
  tct_graph *graph = graph_make();
  tct_tensor x = tct_input(graph, "x", TCT_F32, TCT_SHAPE(64, 48));
  tct_tensor w = tct_variable(graph, "w", TCT_F32, TCT_SHAPE(48, 80), (tct_init){TCT_INIT_NORMAL, 1, 0, 0});
  tct_tensor loss = sum_of(tct_matmul(x, w)), gradient;
  tct_gradients(loss, &w, 1, &gradient);
  const tct_tensor none = {NULL, -1};
  tct_output(graph, "loss", loss);
  tct_update(TCT_OP_sgd_update, w, NULL, 0, gradient, tct_input(graph, "rate", TCT_F32, (tct_shape){0}), none, none, NULL);
  tct_program *program = NULL;
  OK(tct_compile(graph, device, NULL, &program));
  char matmul[4000] = "", update[4000] = "";
  tct_step_info step;
  for (int32_t s = 0; tct_program_step(program, s, &step); s++) {
    if (strcmp(step.op, "matmul") == 0 && matmul[0] == '\0') tct_program_step_listing(program, s, append, matmul);
    if (strcmp(step.op, "sgd_update") == 0) tct_program_step_listing(program, s, append, update);
  }
  const char *const wanted_matmul[] = {"; p0: [64,48]·[48,80] in blocks of ", "loop        ", "load        w of p0, ", "preload     ",
                                       " tiles of 16×16\n", "matmul      ", "store       y of p0, ", "end\n", "fence\n"};
  for (size_t i = 0; i < sizeof wanted_matmul / sizeof *wanted_matmul; i++)
    CHECK(strstr(matmul, wanted_matmul[i]) != NULL, "no '%s' in\n%s", wanted_matmul[i], matmul);
  CHECK(strncmp(update, "all-reduce  15.4 kB over 4 chips\nload        inputs, ", 50) == 0, "%s", update);
  tct_program_step_listing(program, -1, append, update);
  CHECK(tct_program_step_counters(program, 1000, NULL, 0) == 0);
  tct_program_free(program);
  tct_graph_free(graph);
  tct_device_close(device);
}

/* Useful products are those of the op's analytic cost, in every product of a training step; no op is faster than the roofline. */
TEST(tpu_machine, products_are_those_of_the_ops_cost) {
  tct_chip chip;
  OK(tct_chip_open("v3", &chip));
  tct_device *device = device_make("tpu:v3");
  tct_graph *graph = training_step(TCT_F32, 6);
  tct_program *program = NULL;
  OK(tct_compile(graph, device, NULL, &program));
  tct_step_info step;
  int n_products = 0;
  const double units = (double)(chip.cores * chip.arrays * chip.array_rows * chip.array_cols);
  for (int32_t i = 0; tct_program_step(program, i, &step); i++) {
    tct_counter c[16];
    CHECK(tct_program_step_counters(program, i, c, 16) >= 11 && strcmp(c[1].name, "arrays, useful") == 0 && strcmp(c[9].name, "HBM traffic") == 0);
    const bool product = strcmp(step.op, "matmul") == 0 || strncmp(step.op, "conv2d", 6) == 0;
    n_products += product;
    if (product) {
      double written = 0; /* a bias adds one operation to each */
      for (int32_t o = 0; o < step.node->n_out; o++) written += (double)tct_shape_size(&step.node->out[o].shape);
      const double flops = 2 * c[1].value * units;
      CHECK(flops <= step.flops * (1 + 1e-9) && flops >= step.flops - 3 * written - 1e-9 * flops, "%s: %g useful, the op costs %g", step.name,
            flops, step.flops);
      CHECK(c[7].value >= step.flops / 2 / units * (1 - 3 * written / step.flops), "%s: faster than the arrays", step.name);
    }
    CHECK(c[7].value >= c[9].value * chip.clock / chip.hbm * (1 - 1e-9), "%s: faster than HBM", step.name);
  }
  CHECK(n_products >= 5, "%d products", n_products);
  tct_program_free(program);
  tct_graph_free(graph);
  tct_device_close(device);
}

/* A dense layer on sequences is one product of all their steps, not one for each sequence. */
TEST(tpu_machine, one_weight_serves_the_whole_batch) {
  tct_chip chip;
  OK(tct_chip_open("v3", &chip));
  const tct_desc in[] = {{TCT_F32, TCT_SHAPE(512, 8, 256)}, {TCT_F32, TCT_SHAPE(256, 1024)}}, out = {TCT_F32, TCT_SHAPE(512, 8, 1024)};
  const tct_desc flat_in[] = {{TCT_F32, TCT_SHAPE(4096, 256)}, in[1]}, flat_out = {TCT_F32, TCT_SHAPE(4096, 1024)};
  tct_node_view node = {.op = TCT_OP_matmul, .op_name = "matmul", .name = "y", .n_in = 2, .n_out = 1, .in = in, .out = &out};
  tpu_list one, flat;
  OK(tct_tpu_lower(&chip, &node, &one));
  node.in = flat_in;
  node.out = &flat_out;
  OK(tct_tpu_lower(&chip, &node, &flat));
  CHECK(one.time.total == flat.time.total, "%g cycles, flattened %g", one.time.total, flat.time.total);
}

/* f16's greatest numbers have no bf16 beside them that f16 holds: they stay finite, the same on the machine and on the CPU. */
TEST(tpu_machine, the_greatest_f16_stay_finite) {
  static const char *const specs[] = {"tpu:v3", "tpu:v3,array_order=1"};
  for (size_t s = 0; s < 2; s++) {
    tct_device *device = device_make(specs[s]);
    tct_graph *graph = graph_make();
    tct_output(graph, "y", tct_matmul(tct_input(graph, "x", TCT_F16, TCT_SHAPE(1, 1)), tct_input(graph, "w", TCT_F16, TCT_SHAPE(1, 1))));
    tct_program *program = NULL;
    OK(tct_compile(graph, device, NULL, &program));
    const uint16_t x = 0x7bff, w = 0x3800; /* 65504 and 0.5 */
    uint16_t y = 0;
    OK(tct_program_set(program, "x", &x, sizeof x));
    OK(tct_program_set(program, "w", &w, sizeof w));
    OK(tct_program_run(program));
    OK(tct_program_get(program, "y", &y, sizeof y));
    CHECK(y == 0x77f8, "%s: %04x, wanted 32640", specs[s], y);
    tct_program_free(program);
    tct_graph_free(graph);
    tct_device_close(device);
  }
}

/* Weights that VMEM does not hold are loaded for each step of a sequence. */
TEST(tpu_machine, recurrent_weights_that_do_not_stay_are_loaded_again) {
  tct_chip small, large;
  OK(tct_chip_open("v3,vmem=1MiB", &small));
  OK(tct_chip_open("v3,vmem=1GiB", &large));
  enum { STEPS = 20, BATCH = 8, UNITS = 512 };
  const tct_desc in[] = {{TCT_F32, TCT_SHAPE(BATCH, STEPS, UNITS)}, {TCT_F32, TCT_SHAPE(UNITS, 4 * UNITS)}, {TCT_F32, TCT_SHAPE(UNITS, 4 * UNITS)},
                         {TCT_F32, TCT_SHAPE(4 * UNITS)}};
  const tct_desc out[] = {{TCT_F32, TCT_SHAPE(BATCH, STEPS, UNITS)}, {TCT_F32, TCT_SHAPE(BATCH, STEPS, 5 * UNITS)}};
  const tct_node_view node = {.op = TCT_OP_lstm, .op_name = "lstm", .name = "y", .n_in = 4, .n_out = 2, .in = in, .out = out};
  tpu_list a, b;
  OK(tct_tpu_lower(&small, &node, &a));
  OK(tct_tpu_lower(&large, &node, &b));
  const double again = (STEPS - 1) * 4. * UNITS * 4 * UNITS, more = a.time.hbm_bytes - b.time.hbm_bytes;
  CHECK(fabs(more / again - 1) < 1e-9, "%g bytes more, wanted %g", more, again);
  CHECK(a.time.total * small.hbm / small.clock >= a.time.hbm_bytes, "faster than HBM");
}
