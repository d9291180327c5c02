/* Peaks of a device by what its own programs reach, best of several runs. */
#include "perf/support/peaks.h"

#include <stddef.h>
#include <string.h>
#include <tercet/chip.h>
#include <unistd.h>
#include "perf/compare/statistics.h"
#include "perf/support/machine.h"

enum { LEAST_EXTENT = 128, CPU_EXTENT = 1024, MOST_EXTENT = 8192, LEAST_SUM = 1 << 20, IN_MEMORY = 384 << 20, IN_CACHE = 12 << 20, USUAL_CACHE = 1 << 20 };

static void build_sum(tct_graph *graph, tct_dtype dtype, int64_t n) {
  const tct_desc desc = {.dtype = dtype, .shape = TCT_SHAPE(n)};
  tct_output(graph, "y", tct_add(tct_input(graph, "a", desc.dtype, desc.shape), tct_input(graph, "b", desc.dtype, desc.shape)));
}

/* Seconds of the fastest run of the step that moves most; takes over the graph. */
static tct_status best_of(tct_device *device, tct_graph *graph, double seconds, tct_step_info *out) {
  tct_program *program = NULL;
  tct_status status = tct_compile(graph, device, NULL, &program);
  tct_step_info step;
  const double end = perf_now() + seconds;
  *out = (tct_step_info){.seconds = 0};
  for (int run = 0; status == TCT_OK && (run < 3 || perf_now() < end); run++) {
    tct_program_profile(program, true);
    status = tct_program_run(program);
    for (int32_t i = 0; status == TCT_OK && tct_program_step(program, i, &step); i++) {
      if (step.bytes < out->bytes || (step.bytes == out->bytes && out->seconds > 0 && step.seconds >= out->seconds)) continue;
      *out = step;
      out->name = out->op = out->kernel = out->device = NULL; /* the program goes */
      out->node = NULL;
    }
  }
  tct_program_free(program);
  tct_graph_free(graph);
  return status;
}

static void build_product(tct_graph *graph, tct_dtype dtype, int64_t n) {
  const tct_init uniform = {.kind = TCT_INIT_UNIFORM, .value = 1};
  tct_output(graph, "y", tct_matmul(tct_variable(graph, "a", dtype, TCT_SHAPE(n, n), uniform), tct_variable(graph, "b", dtype, TCT_SHAPE(n, n), uniform)));
}

/* Twice as large until a run takes a quarter of the time that there is, or `most` is reached: a slow device gets small work. *out: of the
 * last size. */
static tct_status largest(tct_device *device, void (*build)(tct_graph *graph, tct_dtype dtype, int64_t n), tct_dtype dtype, int64_t least, int64_t most, double seconds, tct_step_info *out) {
  tct_status status = TCT_OK;
  *out = (tct_step_info){.seconds = 0};
  for (int64_t n = least; status == TCT_OK && n <= most && out->seconds < seconds / 4; n *= 2) {
    tct_graph *graph = NULL;
    status = tct_graph_create(&graph);
    if (status != TCT_OK) return status;
    build(graph, dtype, n);
    status = best_of(device, graph, n * 2 > most ? seconds : seconds / 8, out);
  }
  return status;
}

tct_status perf_product_flops(tct_device *device, tct_dtype dtype, double seconds, double *out) {
  const bool cpu = strcmp(tct_device_spec(device), "cpu") == 0;
  tct_step_info step;
  *out = 0;
  const tct_status status = largest(device, build_product, dtype, LEAST_EXTENT, cpu ? CPU_EXTENT : MOST_EXTENT, seconds, &step);
  if (status == TCT_OK && step.seconds > 0) *out = step.flops / step.seconds;
  return status;
}

tct_status perf_peaks_of(tct_device *device, double seconds, perf_peaks *out) {
  const bool cpu = strcmp(tct_device_spec(device), "cpu") == 0;
  tct_device_info info;
  tct_step_info step;
  *out = (perf_peaks){.flops = 0};
  tct_device_describe(device, &info);
  tct_status status = perf_product_flops(device, TCT_F32, seconds, &out->product_flops);
  if (status != TCT_OK) return status;
  out->flops = out->product_flops;
  status = largest(device, build_sum, TCT_F32, LEAST_SUM, IN_MEMORY / 12, seconds, &step);
  if (status != TCT_OK) return status;
  out->bytes = step.seconds > 0 ? step.bytes / step.seconds : 0;
  if (!cpu) return TCT_OK;
  out->fma_flops = perf_fma_flops(info.n_threads);
  const double triad = perf_triad_bytes(info.n_threads, IN_MEMORY);
  out->cache_bytes = perf_triad_bytes(info.n_threads, IN_CACHE);
  /* Of one thread: several would be timed with their meeting, which takes as long as the loop. */
#ifdef _SC_LEVEL2_CACHE_SIZE
  const long own = sysconf(_SC_LEVEL2_CACHE_SIZE);
#else
  const long own = 0;
#endif
  out->near_size = (double)(own > 0 ? own : USUAL_CACHE) * info.n_threads;
  out->near_bytes = perf_triad_bytes(1, (own > 0 ? own : USUAL_CACHE) / 3) * info.n_threads;
  if (out->fma_flops > out->flops) out->flops = out->fma_flops;
  if (triad > out->bytes) out->bytes = triad;
  return TCT_OK;
}

void perf_peaks_usual(const perf_peaks *each, int n, perf_peaks *out) {
  static const size_t figures[] = {offsetof(perf_peaks, flops), offsetof(perf_peaks, bytes), offsetof(perf_peaks, cache_bytes), offsetof(perf_peaks, near_bytes), offsetof(perf_peaks, near_size)};
  *out = each[0];
  for (size_t f = 0; f < sizeof figures / sizeof figures[0]; f++) {
    double values[PERF_MOST_PEAKS];
    const int kept = n < PERF_MOST_PEAKS ? n : PERF_MOST_PEAKS;
    for (int i = 0; i < kept; i++) memcpy(&values[i], (const char *)&each[i] + figures[f], sizeof values[i]);
    const double median = perf_estimate_of(values, kept).median;
    memcpy((char *)out + figures[f], &median, sizeof median);
  }
}

void perf_peaks_of_chip(const tct_chip *chip, perf_peaks *out) {
  const double units = (double)(chip->cores * chip->arrays * chip->array_rows * chip->array_cols * (chip->quantized ? chip->int8 : 1));
  *out = (perf_peaks){.flops = 2 * units * chip->clock * (double)chip->chips / (double)(chip->passes > 0 ? chip->passes : 1),
                      .bytes = chip->hbm * (double)chip->chips};
}
