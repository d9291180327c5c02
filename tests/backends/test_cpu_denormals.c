/* The CPU device counts denormal numbers as zero, on the calling thread and on the pool's, and leaves the caller's own
 * arithmetic as it was. */
#include <tercet/tercet.h>
#include "test.h"

#define N 300000

static void run(int64_t n, int32_t threads) {
  tct_device *device = NULL;
  tct_graph *graph = NULL;
  tct_program *program = NULL;
  float *x = malloc((size_t)n * sizeof *x);
  OK(tct_device_open("cpu", &(tct_device_options){.n_threads = threads}, &device));
  OK(tct_graph_create(&graph));
  tct_output(graph, "y", tct_scale(tct_input(graph, "x", TCT_F32, TCT_SHAPE(n)), 1e-30, 0));
  OK(tct_compile(graph, device, NULL, &program));
  for (int64_t i = 0; i < n; i++) x[i] = i % 2 == 0 ? 1e-10f : 1.0f;
  OK(tct_program_set(program, "x", x, (size_t)n * sizeof *x));
  OK(tct_program_run(program));
  OK(tct_program_get(program, "y", x, (size_t)n * sizeof *x));
  for (int64_t i = 0; i < n; i++) {
    CHECK(x[i] == (i % 2 == 0 ? 0.0f : 1e-30f), "element %lld of %lld is %g", (long long)i, (long long)n, (double)x[i]);
  }
  tct_program_free(program);
  tct_graph_free(graph);
  tct_device_close(device);
  free(x);
}

TEST(cpu_denormals, are_zero_on_the_device_only) {
#if !defined(__x86_64__) && !defined(__aarch64__)
  SKIP("this processor has no mode for it");
#endif
  run(7, 1);
  run(N, 1);
  run(N, 3);
  volatile float small = 1e-30f, smaller = 1e-10f;
  CHECK(small * smaller != 0.0f, "the caller's denormals are flushed");
}
