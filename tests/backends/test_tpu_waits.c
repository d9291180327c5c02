/* What a step of the TPU waits for outside of its ops (input, results, other chips, the host), what it has room for, and the same
 * clock under the decorator. */
#include <tercet/chip.h>
#include <tercet/tercet.h>
#include "graphs.h"
#include "test.h"

/* A slow bus is hidden behind the step before, as far as that is longer. */
TEST(tpu_waits, input_is_waited_for) {
  enum { STEPS = 10 };
  static float x[256 * 256];
  for (int slow = 0; slow < 2; slow++) {
    tct_device *device = device_make(slow ? "tpu:v3,pcie=1GB/s" : "tpu:v3,pcie=1000GB/s");
    tct_graph *graph = graph_make();
    tct_output(graph, "y", tct_relu(tct_input(graph, "x", TCT_F32, TCT_SHAPE(256, 256))));
    tct_program *program = NULL;
    OK(tct_compile(graph, device, NULL, &program));
    for (int s = 0; s < STEPS; s++) {
      OK(tct_program_set(program, "x", x, sizeof x));
      OK(tct_program_run(program));
    }
    const double seconds = counter_of(device, "time"), sent = sizeof x / (slow ? 1e9 : 1e12);
    const double waited = counter_of(device, "waiting for input") / 940e6, busy = seconds - waited;
    const double wanted = slow ? STEPS * sent - (STEPS - 1) * busy / STEPS : sent;
    CHECK(fabs(waited / wanted - 1) < 1e-6, "waited %g s, wanted %g", waited, wanted);
    tct_program_free(program);
    tct_graph_free(graph);
    tct_device_close(device);
  }
}

/* Results leave over a slow bus, one behind the other, while the next step works; the run is over when the last is there. */
TEST(tpu_waits, output_is_waited_for) {
  enum { STEPS = 10 };
  static float y[256 * 256];
  double seconds[2], busy[2];
  for (int slow = 0; slow < 2; slow++) {
    tct_device *device = device_make(slow ? "tpu:v3,pcie=1GB/s" : "tpu:v3,pcie=1000TB/s");
    tct_graph *graph = graph_make();
    const tct_tensor x = tct_input(graph, "x", TCT_F32, TCT_SHAPE(1, 256));
    tct_output(graph, "y", tct_relu(tct_broadcast_to(x, TCT_SHAPE(256, 256))));
    tct_program *program = NULL;
    OK(tct_compile(graph, device, NULL, &program));
    for (int s = 0; s < STEPS; s++) {
      OK(tct_program_set(program, "x", y, 1024));
      OK(tct_program_run(program));
      OK(tct_program_get(program, "y", y, sizeof y));
    }
    const double waited = counter_of(device, "waiting for output") / 940e6, input = counter_of(device, "waiting for input") / 940e6;
    seconds[slow] = counter_of(device, "time");
    busy[slow] = (seconds[slow] - waited - input) / STEPS;
    CHECK(counter_of(device, "output over PCIe") == STEPS * sizeof y);
    CHECK(slow == 0 ? waited < 1e-8 : waited > 0.9 * STEPS * sizeof y / 1e9, "waited %g s", waited);
    CHECK(counter_of(device, "time") == seconds[slow], "asking adds nothing");
    tct_program_free(program);
    tct_graph_free(graph);
    tct_device_close(device);
  }
  const double wanted = busy[0] + 1024 / 1e9 + STEPS * sizeof y / 1e9; /* the first input and step are before the first result */
  CHECK(fabs(busy[0] / busy[1] - 1) < 1e-9 && fabs(seconds[1] / wanted - 1) < 1e-6, "%g s, wanted %g", seconds[1], wanted);
}

/* Four chips sum their gradients while the backward pass goes on: where ops take long the sums are hidden but for the last, where
 * the links are slow they are waited for. */
TEST(tpu_waits, other_chips_are_waited_for) {
  static const struct { const char *spec; double least, most; } rows[] = {
      {"tpu:v3", 0, 0}, {"tpu:v3,chips=4", 0.001, 1}, {"tpu:v3,chips=4,ici=1MB/s", 0.9, 1}, {"tpu:v3,chips=4,overhead=100us", 0, 0.1}};
  double time[4], waited[4];
  for (int s = 0; s < 4; s++) {
    tct_device *device = device_make(rows[s].spec);
    tct_graph *graph = training_step(TCT_F32, 4);
    tct_program *program = NULL;
    OK(tct_compile(graph, device, NULL, &program));
    double links = 0;
    tct_counter c[16];
    for (int32_t i = 0; tct_program_step_counters(program, i, c, 16) > 8; i++) links += 3 * c[8].value;
    for (int i = 0; i < 3; i++) {
      feed(program);
      OK(tct_program_run(program));
    }
    time[s] = counter_of(device, "total") - counter_of(device, "waiting for input");
    waited[s] = counter_of(device, "waiting for other chips");
    CHECK((s == 0) == (links == 0) && waited[s] >= rows[s].least * links && waited[s] <= rows[s].most * links, "%s: waited %g of %g cycles",
          rows[s].spec, waited[s], links);
    CHECK((s == 0) == (counter_of(device, "gradients over links") == 0));
    CHECK(counter_of(device, "waiting for other chips") == waited[s], "asking adds nothing");
    tct_program_free(program);
    tct_graph_free(graph);
    tct_device_close(device);
  }
  CHECK(fabs(time[1] - waited[1] - time[0]) < 1e-6 * time[0] && time[2] > time[1] && time[1] > time[0], "%g %g %g", time[0], time[1], time[2]);
}

/* What the host does is charged: operands and results over PCIe, the stop, the work. */
TEST(tpu_waits, ops_on_the_host_are_charged) {
  tct_device *device = device_make("tpu:v3,pcie=1GB/s,host_sync=1ms,host_memory=1GB/s,host_flops=1Gflop/s");
  tct_graph *graph = graph_make();
  tct_output(graph, "y", tct_relu(tct_input(graph, "x", TCT_F64, TCT_SHAPE(1000))));
  tct_program *program = NULL;
  OK(tct_compile(graph, device, &(tct_compile_options){.fallback_host = true}, &program));
  double x[1000] = {0};
  OK(tct_program_set(program, "x", x, sizeof x));
  OK(tct_program_run(program));
  OK(tct_program_run(program));
  const double wanted = 2 * (16000 / 1e9 + 1e-3 + 16000 / 1e9), got = counter_of(device, "on the host") / 940e6;
  CHECK(fabs(got / wanted - 1) < 1e-9, "%g s on the host, wanted %g", got, wanted);
  tct_counter c[8];
  CHECK(tct_program_step_counters(program, 0, c, 8) == 4 && strcmp(c[0].name, "time") == 0 && fabs(2 * c[0].value / wanted - 1) < 1e-9, "%g", c[0].value);
  const double sum = counter_of(device, "on the host") + counter_of(device, "waiting for input");
  CHECK(fabs(sum / counter_of(device, "total") - 1) < 1e-9, "%g of %g", sum, counter_of(device, "total"));
  tct_program_free(program);
  tct_graph_free(graph);
  tct_device_close(device);
}

/* 3.6 MB of numbers, 9.6 in tiles: three rows of eight are used. What fits and is used twice is counted once. */
TEST(tpu_waits, memory_counts_the_padding_of_tiles) {
  tct_device *device = device_make("tpu:v3,hbm_size=8MB");
  tct_graph *graph = graph_make();
  tct_output(graph, "y", tct_relu(tct_input(graph, "x", TCT_F32, TCT_SHAPE(3, 3, 100000))));
  tct_program *program = NULL;
  FAILS(tct_compile(graph, device, NULL, &program), TCT_OUT_OF_MEMORY, "needs 0.00961 GB there at once: 0.0036 GB of numbers, in tiles of 8x128");
  tct_graph_free(graph);
  graph = graph_make();
  const tct_tensor x = tct_input(graph, "x", TCT_F32, TCT_SHAPE(8, 112500));
  tct_output(graph, "y", tct_mul(x, x));
  OK(tct_compile(graph, device, NULL, &program)); /* as many numbers, in rows of eight */
  tct_program_free(program);
  tct_graph_free(graph);
  tct_device_close(device);
}

/* What the decorator reads for itself is not the device's. */
TEST(tpu_waits, the_watching_device_has_the_clock_of_the_one_inside) {
  static const char *const specs[] = {"tpu:v3", "check:tpu:v3"};
  double total[2];
  for (size_t s = 0; s < 2; s++) {
    tct_device *device = device_make(specs[s]);
    tct_graph *graph = graph_make();
    tct_output(graph, "y", tct_relu(tct_input(graph, "x", TCT_F32, TCT_SHAPE(1000))));
    tct_program *program = NULL;
    OK(tct_compile(graph, device, NULL, &program));
    float x[1000] = {0}, y[1000];
    for (int i = 0; i < 3; i++) {
      OK(tct_program_set(program, "x", x, sizeof x));
      OK(tct_program_run(program));
      OK(tct_program_get(program, "y", y, sizeof y));
    }
    total[s] = counter_of(device, "total");
    tct_program_free(program);
    tct_graph_free(graph);
    tct_device_close(device);
  }
  CHECK(total[0] > 0 && fabs(total[1] / total[0] - 1) < 1e-9, "%g and %g cycles", total[0], total[1]);
}
