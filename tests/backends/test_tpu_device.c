/* The simulated TPU as a device: products of bf16 numbers, a clock that is the model's, and what it refuses. */
#include <tercet/chip.h>
#include <tercet/tercet.h>
#include "bf16.h"
#include "graphs.h"
#include "test.h"

enum { M = 5, K = 37, N = 9 };

static void multiply(const char *spec, const float *a, const float *b, float *y) {
  tct_device *device = device_make(spec);
  tct_graph *graph = graph_make();
  tct_output(graph, "y", tct_matmul(tct_input(graph, "a", TCT_F32, TCT_SHAPE(M, K)), tct_input(graph, "b", TCT_F32, TCT_SHAPE(K, N))));
  tct_program *program = NULL;
  OK(tct_compile(graph, device, NULL, &program));
  OK(tct_program_set(program, "a", a, M * K * sizeof *a));
  OK(tct_program_set(program, "b", b, K * N * sizeof *b));
  OK(tct_program_run(program));
  OK(tct_program_get(program, "y", y, M * N * sizeof *y));
  tct_program_free(program);
  tct_graph_free(graph);
  tct_device_close(device);
}

TEST(tpu_device, operands_of_products_are_rounded_to_bf16) {
  float a[M * K], b[K * N], y[M * N], wide[M * N];
  for (int i = 0; i < M * K; i++) a[i] = (float)sin(1.7 * i) * (float)(i + 1);
  for (int i = 0; i < K * N; i++) b[i] = (float)cos(0.9 * i);
  a[0] = 1.00390625f; /* halfway between two bf16: to the even one below */
  a[1] = 1.01171875f; /* halfway: to the even one above */
  multiply("tpu:v3", a, b, y);
  multiply("tpu:v3,passes=6", a, b, wide);
  double differs = 0;
  for (int i = 0; i < M; i++) {
    for (int j = 0; j < N; j++) {
      double sum = 0, exact = 0, size = 0;
      for (int k = 0; k < K; k++) {
        const double x = (double)a[i * K + k], w = (double)b[k * N + j];
        sum += nearest_bf16(x) * nearest_bf16(w);
        exact += x * w;
        size += fabs(x * w);
      }
      CHECK(fabs((double)y[i * N + j] - sum) <= K * 0x1p-24 * size, "%d %d: %g, wanted %g", i, j, (double)y[i * N + j], sum);
      CHECK(fabs((double)wide[i * N + j] - exact) <= K * 0x1p-24 * size, "%d %d: %g, wanted %g", i, j, (double)wide[i * N + j], exact);
      differs = fmax(differs, fabs(sum - exact) / size);
    }
  }
  CHECK(differs > 0x1p-14, "rounding was not seen: %g", differs);
}

TEST(tpu_device, rounding_keeps_infinities_and_nans) {
  float a[M * K] = {0}, b[K * N], y[M * N];
  for (int i = 0; i < K * N; i++) b[i] = 1;
  const uint32_t small_nan = 0x7f800001u; /* rounding its bits alone would make infinity of it */
  memcpy(&a[0], &small_nan, 4);
  a[K] = INFINITY;
  a[2 * K] = -INFINITY;
  a[3 * K] = 3.4e38f; /* over the greatest bf16's last half: infinity */
  multiply("tpu:v3", a, b, y);
  CHECK(isnan(y[0]) && y[N] == INFINITY && y[2 * N] == -INFINITY && y[3 * N] == INFINITY && y[4 * N] == 0);
}

static void fill(tct_program *program, const char *name, int64_t n) {
  float *data = malloc((size_t)n * sizeof *data);
  for (int64_t i = 0; i < n; i++) data[i] = (float)sin(0.37 * (double)i);
  OK(tct_program_set(program, name, data, (size_t)n * sizeof *data));
  free(data);
}

/* Profiled seconds are the chip's, whatever this machine does. */
TEST(tpu_device, the_clock_is_the_models) {
  tct_device *device = device_make("tpu:v3");
  tct_device_info info;
  tct_device_describe(device, &info);
  CHECK(info.time_is_modelled && info.memory_bytes == 32000000000u);
  tct_graph *graph = graph_make();
  tct_output(graph, "y", tct_matmul(tct_input(graph, "a", TCT_F32, TCT_SHAPE(256, 512)), tct_input(graph, "b", TCT_F32, TCT_SHAPE(512, 384))));
  tct_program *program = NULL;
  OK(tct_compile(graph, device, NULL, &program));
  fill(program, "a", 256 * 512);
  fill(program, "b", 512 * 384);
  tct_program_profile(program, true);
  for (int i = 0; i < 3; i++) OK(tct_program_run(program));
  tct_step_info step;
  CHECK(tct_program_step(program, 0, &step));
  tct_chip chip;
  tct_chip_time time;
  OK(tct_chip_open("v3", &chip));
  const tct_product product = {.m = 256, .k = 512, .n = 384, .x_bytes = 4. * 256 * 512, .w_bytes = 4. * 512 * 384, .y_bytes = 4. * 256 * 384};
  OK(tct_chip_product(&chip, &product, &time));
  CHECK(fabs(step.seconds * chip.clock / time.total - 1) < 1e-9, "%g s, wanted %g", step.seconds, time.total / chip.clock);
  tct_counter counters[32];
  const int32_t n = tct_device_counters(device, counters, 32);
  double sum = 0, total = 0, input = 0;
  for (int32_t i = 0; i < n; i++) {
    if (strcmp(counters[i].name, "waiting for input") == 0) input = counters[i].value;
    if (strcmp(counters[i].name, "total") == 0) total = counters[i].value;
    else if (strcmp(counters[i].unit, "cycles") == 0) sum += counters[i].value;
  }
  CHECK(total > 0 && fabs(sum / total - 1) < 1e-9 && fabs((total - input) / (3 * time.total) - 1) < 1e-9, "%g of %g cycles", sum, total);
  const double sent = 4. * (256 * 512 + 512 * 384) / chip.pcie * chip.clock;
  CHECK(fabs(input / sent - 1) < 1e-9, "%g cycles of waiting for input, wanted %g", input, sent);
  tct_program_free(program);
  tct_graph_free(graph);
  tct_device_close(device);
}

/* A program counts when it first runs; an equal one is known already. */
TEST(tpu_device, programs_are_compiled_once_for_each_shape) {
  static const struct { int64_t rows; int runs; bool tanh; double programs; } rows[] = {
      {8, 0, false, 0}, {8, 1, false, 1}, {8, 3, false, 1}, {9, 1, false, 2}, {9, 1, true, 3}, {8, 2, false, 3}};
  static const float x[9 * 16];
  for (int watched = 0; watched < 2; watched++) {
    tct_device *device = device_make(watched ? "check:tpu:v3,compile=7s" : "tpu:v3,compile=7s");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
      tct_graph *graph = graph_make();
      tct_program *program = NULL;
      const tct_tensor in = tct_input(graph, "x", TCT_F32, TCT_SHAPE(rows[i].rows, 16));
      tct_output(graph, "y", rows[i].tanh ? tct_tanh(in) : tct_relu(in));
      OK(tct_compile(graph, device, NULL, &program));
      OK(tct_program_set(program, "x", x, (size_t)rows[i].rows * 64));
      for (int r = 0; r < rows[i].runs; r++) OK(tct_program_run(program));
      CHECK(counter_of(device, "compiled") == rows[i].programs && counter_of(device, "compiling") == 7 * rows[i].programs, "row %zu: %g", i,
            counter_of(device, "compiled"));
      tct_program_free(program);
      tct_graph_free(graph);
    }
    CHECK(counter_of(device, "time") < 1, "compiling is apart from the time");
    tct_device_close(device);
  }
}

TEST(tpu_device, refusals_say_why) {
  tct_device *device = NULL;
  FAILS(tct_device_open("tpu:v99", NULL, &device), TCT_NOT_FOUND, "no TPU chip 'v99'");
  FAILS(tct_device_open("tpu:v3,hbm=-1", NULL, &device), TCT_INVALID, "hbm is '-1'");
  device = device_make("tpu:v3,hbm_size=1MB");
  tct_graph *graph = graph_make();
  tct_program *program = NULL;
  tct_output(graph, "y", tct_relu(tct_input(graph, "x", TCT_F32, TCT_SHAPE(1000, 1000))));
  FAILS(tct_compile(graph, device, NULL, &program), TCT_OUT_OF_MEMORY, "has 0.001 GB of HBM");
  tct_graph_free(graph);
  graph = graph_make();
  tct_output(graph, "y", tct_relu(tct_input(graph, "x", TCT_F64, TCT_SHAPE(3))));
  FAILS(tct_compile(graph, device, NULL, &program), TCT_UNSUPPORTED, "a TPU has no f64");
  tct_graph_free(graph);
  tct_device_close(device);
}

/* The decorator watches it like any device, and a whole training step runs on it; its numbers are the same whatever stays in the
 * array. */
TEST(tpu_device, a_training_step_under_watch) {
  const char *const specs[] = {"tpu:v3", "check:tpu:v3", "cpu", "tpu:v3,dataflow=os", "tpu:v3,dataflow=is"};
  float loss[5];
  for (int i = 0; i < 5; i++) {
    tct_device *device = device_make(specs[i]);
    tct_graph *graph = training_step(TCT_F32, 4);
    tct_program *program = NULL;
    OK(tct_compile(graph, device, NULL, &program));
    fill(program, "x", 4 * 8 * 8);
    OK(tct_program_set(program, "y", (const int32_t[]){0, 2, 1, 2}, 16));
    for (int s = 0; s < 3; s++) OK(tct_program_run(program));
    OK(tct_program_get(program, "loss", &loss[i], sizeof loss[i]));
    tct_program_free(program);
    tct_graph_free(graph);
    tct_device_close(device);
  }
  for (int i = 1; i < 5; i++) CHECK(i == 2 || loss[0] == loss[i], "%g, on %s %g", (double)loss[0], specs[i], (double)loss[i]);
  CHECK(loss[0] != loss[2] && fabs((double)loss[0] / (double)loss[2] - 1) < 0.05, "%g, on the CPU %g", (double)loss[0], (double)loss[2]);
}
