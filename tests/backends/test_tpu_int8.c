/* int8 on the simulated TPU: products of i8 tensors, f32 operands rounded to int8 on a quantized chip (v1), and what such a
 * chip refuses. */
#include <float.h>
#include <tercet/chip.h>
#include <tercet/tercet.h>
#include "draws.h"
#include "graphs.h"
#include "test.h"

enum { MOST = 40000 };

/* y = x·w or conv2d(x, w) in f32 on a device. */
static void multiply(const char *spec, tct_shape x_shape, const float *x, tct_shape w_shape, const float *w, bool conv, float *y, int64_t n) {
  tct_device *device = device_make(spec);
  tct_graph *graph = graph_make();
  const tct_tensor a = tct_input(graph, "x", TCT_F32, x_shape), b = tct_input(graph, "w", TCT_F32, w_shape);
  const tct_conv2d_options options = {.padding = TCT_PADDING_SAME};
  tct_output(graph, "y", conv ? tct_conv2d(a, b, &options) : tct_matmul(a, b));
  tct_program *program = NULL;
  OK(tct_compile(graph, device, NULL, &program));
  OK(tct_program_set(program, "x", x, (size_t)tct_shape_size(&x_shape) * sizeof *x));
  OK(tct_program_set(program, "w", w, (size_t)tct_shape_size(&w_shape) * sizeof *w));
  OK(tct_program_run(program));
  OK(tct_program_get(program, "y", y, (size_t)n * sizeof *y));
  tct_program_free(program);
  tct_graph_free(graph);
  tct_device_close(device);
}

static double step_of(const float *x, int64_t n) {
  double most = 0;
  for (int64_t i = 0; i < n; i++) most = fmax(most, fabs((double)x[i]));
  return most / 127;
}

/* The array's sums are whole: the result is theirs times both scales, in one rounding; the CPU's sums of the same rounded
 * numbers are as near as f32 sums are. */
TEST(tpu_int8, products_are_those_of_the_rounded_operands) {
  static float x[MOST], w[MOST], exact[MOST], fast[MOST];
  uint64_t state = 2463534242u;
  const struct { int64_t m, k, n; } rows[] = {{1, 1, 1}, {3, 7, 5}, {17, 256, 13}, {5, 257, 31}, {2, 5000, 7}};
  for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
    const int64_t m = rows[r].m, k = rows[r].k, n = rows[r].n;
    for (int64_t i = 0; i < m * k; i++) x[i] = (float)between(&state, -1000000, 1000000) * 3e-7f;
    for (int64_t i = 0; i < k * n; i++) w[i] = (float)between(&state, -1000000, 1000000) * 1e-9f;
    multiply("tpu:v1,array_order=1", TCT_SHAPE(m, k), x, TCT_SHAPE(k, n), w, false, exact, m * n);
    multiply("tpu:v1", TCT_SHAPE(m, k), x, TCT_SHAPE(k, n), w, false, fast, m * n);
    const double a = step_of(x, m * k), b = step_of(w, k * n);
    for (int64_t i = 0; i < m; i++) {
      for (int64_t j = 0; j < n; j++) {
        int64_t sum = 0, size = 0;
        for (int64_t l = 0; l < k; l++) {
          const int64_t p = (int64_t)nearbyint((double)x[i * k + l] / a) * (int64_t)nearbyint((double)w[l * n + j] / b);
          sum += p;
          size += p < 0 ? -p : p;
        }
        /* A quotient beside a half may round to the other side in f32: so many products may be a step off. */
        const double wanted = (double)sum * a * b, slack = a * b * 127 * (double)(k < 300 ? 0 : 1);
        CHECK(fabs((double)exact[i * n + j] - wanted) <= 1e-6 * fabs(wanted) + slack, "row %zu, %d %d: %g, wanted %g", r, (int)i, (int)j,
              (double)exact[i * n + j], wanted);
        CHECK(fabs((double)fast[i * n + j] - (double)exact[i * n + j]) <= (double)(k + 8) * 0x1p-24 * a * b * (double)size,
              "row %zu, %d %d: %g beside %g", r, (int)i, (int)j, (double)fast[i * n + j], (double)exact[i * n + j]);
      }
    }
  }
}

/* Whole numbers up to 127 with a 127 among them are their own steps. */
TEST(tpu_int8, convolutions_of_whole_numbers_are_exact) {
  static float x[MOST], w[MOST], wanted[MOST], got[MOST];
  uint64_t state = 88172645463325252u;
  const int64_t n = 2 * 9 * 8 * 6;
  for (int64_t i = 0; i < 2 * 9 * 8 * 5; i++) x[i] = (float)between(&state, -127, 127);
  for (int64_t i = 0; i < 3 * 3 * 5 * 6; i++) w[i] = (float)between(&state, -127, 127);
  x[3] = -127;
  w[4] = 127;
  const tct_shape xs = TCT_SHAPE(2, 9, 8, 5), ws = TCT_SHAPE(3, 3, 5, 6);
  multiply("ref", xs, x, ws, w, true, wanted, n);
  const char *specs[] = {"tpu:v1", "tpu:v1,array_order=1", "tpu:v5e,quantized=1,array_order=1", "tpu:small,array=4x3,int8=2,quantized=1,array_order=1"};
  for (size_t s = 0; s < sizeof specs / sizeof *specs; s++) {
    multiply(specs[s], xs, x, ws, w, true, got, n);
    for (int64_t i = 0; i < n; i++) CHECK(got[i] == wanted[i], "%s, %lld: %g, wanted %g", specs[s], (long long)i, (double)got[i], (double)wanted[i]);
  }
}

TEST(tpu_int8, what_is_not_finite_stays_so) {
  float x[4] = {1, -2, NAN, 3}, w[4] = {1, 0, 0, 1}, y[4];
  const char *specs[] = {"tpu:v1", "tpu:v1,array_order=1"};
  for (size_t s = 0; s < 2; s++) {
    for (int kind = 0; kind < 2; kind++) {
      x[2] = kind == 0 ? NAN : INFINITY;
      multiply(specs[s], TCT_SHAPE(2, 2), x, TCT_SHAPE(2, 2), w, false, y, 4);
      for (int i = 0; i < 4; i++) CHECK(isnan(y[i]), "%s: %g", specs[s], (double)y[i]);
    }
    const float large[4] = {FLT_MAX, 1, 2, -FLT_MAX};
    multiply(specs[s], TCT_SHAPE(2, 2), large, TCT_SHAPE(2, 2), w, false, y, 4);
    CHECK(fabsf(y[0] / FLT_MAX - 1) < 1e-5f && y[1] == 0 && y[2] == 0 && fabsf(y[3] / FLT_MAX + 1) < 1e-5f, "%s: %g %g %g %g", specs[s],
          (double)y[0], (double)y[1], (double)y[2], (double)y[3]);
    const float none[4] = {0};
    multiply(specs[s], TCT_SHAPE(2, 2), none, TCT_SHAPE(2, 2), w, false, y, 4);
    for (int i = 0; i < 4; i++) CHECK(y[i] == 0, "%s: %g", specs[s], (double)y[i]);
  }
}

/* i8 tensors are multiplied as they are, by chips that can; an array that makes two products in a place and cycle has tiles of
 * twice the rows. */
TEST(tpu_int8, tensors_of_i8) {
  enum { M = 5, K = 300, N = 4 };
  static int8_t x[M * K], w[K * N];
  int32_t y[M * N];
  uint64_t state = 521288629;
  for (int i = 0; i < M * K; i++) x[i] = (int8_t)between(&state, -128, 127);
  for (int i = 0; i < K * N; i++) w[i] = (int8_t)between(&state, -128, 127);
  const char *specs[] = {"tpu:v1", "tpu:v4", "tpu:v5e", "tpu:v3"};
  for (size_t s = 0; s < sizeof specs / sizeof *specs; s++) {
    tct_device *device = device_make(specs[s]);
    tct_graph *graph = graph_make();
    tct_output(graph, "y", tct_matmul(tct_input(graph, "x", TCT_I8, TCT_SHAPE(M, K)), tct_input(graph, "w", TCT_I8, TCT_SHAPE(K, N))));
    tct_program *program = NULL;
    if (s == 3) {
      FAILS(tct_compile(graph, device, NULL, &program), TCT_UNSUPPORTED, "the chip multiplies no int8 (its int8 is 0); v1, v4 and later do");
    } else {
      OK(tct_compile(graph, device, NULL, &program));
      OK(tct_program_set(program, "x", x, sizeof x));
      OK(tct_program_set(program, "w", w, sizeof w));
      OK(tct_program_run(program));
      OK(tct_program_get(program, "y", y, sizeof y));
      for (int i = 0; i < M * N; i++) {
        int32_t sum = 0;
        for (int l = 0; l < K; l++) sum += x[i / N * K + l] * w[l * N + i % N];
        CHECK(y[i] == sum, "%s, %d: %d, wanted %d", specs[s], i, y[i], sum);
      }
    }
    tct_program_free(program);
    tct_graph_free(graph);
    tct_device_close(device);
  }
  tct_chip v4, v5e;
  tct_chip_time one, two;
  OK(tct_chip_open("v5e,int8=1", &v4));
  OK(tct_chip_open("v5e", &v5e));
  const tct_product p = {.m = 4096, .k = 4096, .n = 4096, .x_bytes = 16777216, .w_bytes = 16777216, .y_bytes = 16777216, .int8 = true};
  OK(tct_chip_product(&v4, &p, &one));
  OK(tct_chip_product(&v5e, &p, &two));
  CHECK(fabs(one.useful / two.useful - 2) < 1e-12 && two.total < 0.6 * one.total, "%g and %g", one.total, two.total);
  const double joules = tct_chip_energy(&v5e, &two);
  CHECK(two.macs_int8 == two.macs);
  two.macs_int8 = 0; /* the same products in bf16 */
  CHECK(fabs((tct_chip_energy(&v5e, &two) - joules) / (two.macs * (v5e.mac - v5e.mac_int8)) - 1) < 1e-6, "energy is that of int8");
}

TEST(tpu_int8, a_quantized_chip_does_not_train) {
  tct_device *device = device_make("tpu:v1");
  tct_graph *graph = training_step(TCT_F32, 4);
  tct_program *program = NULL;
  FAILS(tct_compile(graph, device, NULL, &program), TCT_UNSUPPORTED, "it trains, and the chip's products are int8, for inference");
  tct_graph_free(graph);
  graph = graph_make();
  tct_output(graph, "y", tct_matmul(tct_input(graph, "x", TCT_BF16, TCT_SHAPE(2, 3)), tct_input(graph, "w", TCT_BF16, TCT_SHAPE(3, 4))));
  FAILS(tct_compile(graph, device, NULL, &program), TCT_UNSUPPORTED, "an operand is bf16, and a quantized chip has int8 and f32 only");
  tct_graph_free(graph);
  graph = graph_make();
  tct_output(graph, "y", tct_matmul(tct_input(graph, "x", TCT_F32, TCT_SHAPE(4000, 5000)), tct_input(graph, "w", TCT_F32, TCT_SHAPE(5000, 2000))));
  FAILS(tct_compile(graph, device, NULL, &program), TCT_OUT_OF_MEMORY, "its activations, 20.5 MB and 8.19 MB, are more than the 25.2 MB of its buffer");
  tct_graph_free(graph);
  tct_device_close(device);
}
