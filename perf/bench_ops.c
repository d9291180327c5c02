/* Every op against the machine: its time in one run beside what the machine's measured peaks allow.
 *
 *   bench_ops [--threads N] [--seconds S] [--only TEXT] [--deepbench FOLDER] [--limit GFLOP] [--json FILE] [--peaks]
 *
 * Peaks of this run: flops by a loop of fused multiply-adds and by a 1024³ product (the better counts), bytes by STREAM's
 * triad over 384 MiB of memory and, for ops of up to 32 MiB of traffic, over 12 MiB of cache. An op's roofline is
 * max(flops / peak, bytes / peak) with its analytic cost; the share is the roofline's time over the op's best time within S
 * seconds (0.1) and at least 3 runs.
 * --deepbench: the training shapes of gemm_training.csv and conv_training.csv in the folder; of these only products of at
 * most --limit GFLOP (4) and 64 Mi elements per operand, so that the table takes a minute; the others are counted.
 * --peaks: only the peaks, as JSON. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "perf/support/cases.h"
#include "perf/support/machine.h"
#include "perf/support/peaks.h"

enum { FITS_CACHE = 32 << 20 };

typedef struct bench {
  tct_device *device;
  double flops_peak, memory_peak, cache_peak, seconds, limit;
  const char *only; /* NULL: all */
  FILE *json;       /* NULL: none */
  int32_t n_rows, n_low, n_left_out;
  char low[8192]; /* the rows under half of their roofline */
} bench;

static int fail(const char *what) {
  fprintf(stderr, "bench_ops: %s: %s\n", what, tct_error_message());
  return 1;
}

/* The program's step of the op: of several the one of the most work. */
static bool find_step(const tct_program *program, const char *op, tct_step_info *out) {
  bool found = false;
  tct_step_info step;
  for (int32_t i = 0; tct_program_step(program, i, &step); i++) {
    if (strcmp(step.op, op) != 0 || (found && step.bytes <= out->bytes)) continue;
    *out = step;
    found = true;
  }
  return found;
}

static bool best_time(const bench *b, tct_program *program, const char *op, tct_step_info *out) {
  double best = 0;
  const double end = perf_now() + b->seconds;
  for (int run = 0; run < 3 || perf_now() < end; run++) {
    tct_program_profile(program, true);
    if (tct_program_run(program) != TCT_OK || !find_step(program, op, out)) return false;
    if (best == 0 || out->seconds < best) best = out->seconds;
  }
  out->seconds = best;
  return true;
}

static void report(bench *b, const char *label, const tct_step_info *step) {
  const double by_flops = step->flops / b->flops_peak, by_bytes = step->bytes / (step->bytes <= FITS_CACHE ? b->cache_peak : b->memory_peak);
  const double share = (by_flops > by_bytes ? by_flops : by_bytes) / step->seconds;
  printf("%-32s %-42s %-26s %10.3f %8.1f %8.1f %6.0f %%  %s\n", step->op, label, step->kernel, step->seconds * 1e3,
         step->flops / step->seconds * 1e-9, step->bytes / step->seconds * 1e-9, share * 100,
         by_flops > by_bytes ? "flops" : "bytes");
  if (share < 0.5 && step->bytes > 1 << 20) {
    const size_t at = strlen(b->low);
    snprintf(b->low + at, sizeof b->low - at, "  %s %s: %.0f %%\n", step->op, label, share * 100);
    b->n_low++;
  }
  if (b->json != NULL) {
    fprintf(b->json, "%s\n  {\"op\": \"%s\", \"label\": \"%s\", \"kernel\": \"%s\", \"ms\": %.6g, \"gflops\": %.4g, "
            "\"gbs\": %.4g, \"share\": %.4g, \"bound\": \"%s\"}", b->n_rows > 0 ? "," : "", step->op, label, step->kernel,
            step->seconds * 1e3, step->flops / step->seconds * 1e-9, step->bytes / step->seconds * 1e-9, share,
            by_flops > by_bytes ? "flops" : "bytes");
  }
  b->n_rows++;
}

/* Takes over the graph. */
static bool time_graph(bench *b, tct_graph *graph, const char *op, const char *label) {
  tct_program *program = NULL;
  tct_step_info step;
  const bool ok = tct_compile(graph, b->device, NULL, &program) == TCT_OK && best_time(b, program, op, &step);
  if (ok) report(b, label, &step);
  tct_program_free(program);
  tct_graph_free(graph);
  return ok;
}

static bool time_case(bench *b, const perf_case *c) {
  tct_graph *graph = NULL;
  if (b->only != NULL && strstr(c->op, b->only) == NULL) return true;
  if (tct_graph_create(&graph) != TCT_OK) return false;
  c->build(graph);
  return time_graph(b, graph, c->op, c->label);
}

/* ---- DeepBench ---- */

enum { COLUMNS = 14 };

/* The leading numbers of a line; how many. */
static int numbers_of(char *line, double *out) {
  int n = 0;
  for (char *at = line; n < COLUMNS; at++) {
    char *end;
    const double value = strtod(at, &end);
    if (end == at) break;
    out[n++] = value;
    at = end;
    if (*at != ',') break;
  }
  return n;
}

static bool fits(bench *b, double flops, double elements) {
  const bool ok = flops <= b->limit * 1e9 && elements <= 64 << 20;
  b->n_left_out += ok ? 0 : 1;
  return ok;
}

/* m,n,k,a_trans,b_trans,flops */
static bool time_gemm(bench *b, const double *v) {
  const int64_t m = (int64_t)v[0], n = (int64_t)v[1], k = (int64_t)v[2];
  tct_graph *graph = NULL;
  char label[64];
  snprintf(label, sizeof label, "DeepBench %lldx%lld%s . %lldx%lld%s", (long long)m, (long long)k, v[3] != 0 ? "'" : "",
           (long long)k, (long long)n, v[4] != 0 ? "'" : "");
  const double most = v[0] > v[1] ? v[0] : v[1];
  if (!fits(b, v[5], most * (v[2] > v[0] ? v[2] : v[0]))) return true;
  if (tct_graph_create(&graph) != TCT_OK) return false;
  perf_build_gemm(graph, m, n, k, v[3] != 0, v[4] != 0);
  return time_graph(b, graph, "matmul", label);
}

/* w,h,c,n,k,filter_w,filter_h,pad_w,pad_h,stride_w,stride_h,out_w,out_h,fwd_flops */
static bool time_conv(bench *b, const double *v) {
  static const char *const ops[] = {"conv2d", "conv2d_grad_input", "conv2d_grad_filter"};
  int64_t d[COLUMNS];
  for (int i = 0; i < COLUMNS; i++) d[i] = (int64_t)v[i];
  const tct_conv2d_options how = {.stride = {d[10], d[9]}, .padding = TCT_PADDING_EXPLICIT, .pad = {d[8], d[8], d[7], d[7]}};
  const double x_size = v[0] * v[1] * v[2] * v[3], y_size = v[11] * v[12] * v[4] * v[3];
  char label[64];
  snprintf(label, sizeof label, "DeepBench %lldx%lldx%lldx%lld, %lldx%lld, %lld, stride %lld", (long long)d[3],
           (long long)d[1], (long long)d[0], (long long)d[2], (long long)d[6], (long long)d[5], (long long)d[4],
           (long long)d[9]);
  if (!fits(b, v[13], x_size > y_size ? x_size : y_size)) return true;
  for (int i = 0; i < 3; i++) {
    tct_graph *graph = NULL;
    if (tct_graph_create(&graph) != TCT_OK) return false;
    perf_build_conv(graph, ops[i], TCT_SHAPE(d[3], d[1], d[0], d[2]), TCT_SHAPE(d[6], d[5], d[2], d[4]), &how);
    if (!time_graph(b, graph, ops[i], label)) return false;
  }
  return true;
}

static bool time_file(bench *b, const char *folder, const char *name, int columns,
                      bool (*time_row)(bench *b, const double *v)) {
  char path[1024], line[512];
  double v[COLUMNS];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *file = fopen(path, "r");
  if (file == NULL) {
    fprintf(stderr, "bench_ops: cannot open %s\n", path);
    return false;
  }
  bool ok = true;
  while (ok && fgets(line, sizeof line, file) != NULL) ok = numbers_of(line, v) < columns || time_row(b, v);
  fclose(file);
  return ok;
}

/* ---- the run ---- */

static int run_all(bench *b, const char *deepbench) {
  printf("%-32s %-42s %-26s %10s %8s %8s %8s\n", "op", "of", "kernel", "ms", "GFLOP/s", "GB/s", "share");
  for (int32_t i = 0; i < perf_n_cases; i++)
    if (!time_case(b, &perf_cases[i])) return fail(perf_cases[i].op);
  if (deepbench != NULL && (!time_file(b, deepbench, "gemm_training.csv", 6, time_gemm) ||
                            !time_file(b, deepbench, "conv_training.csv", COLUMNS, time_conv))) {
    return fail("DeepBench");
  }
  if (deepbench != NULL) printf("\nDeepBench shapes left out, above %g GFLOP or 64 Mi elements: %d\n", b->limit, b->n_left_out);
  printf("\nunder half of the roofline with more than 1 MiB of traffic: %d of %d\n%s", b->n_low, b->n_rows, b->low);
  return 0;
}

int main(int argc, char **argv) {
  const char *json = NULL, *deepbench = NULL;
  int32_t n_threads = 1;
  bool only_peaks = false;
  bench b = {.seconds = 0.1, .limit = 4};
  for (int i = 1; i < argc; i++) {
    const bool has_value = i + 1 < argc;
    if (strcmp(argv[i], "--peaks") == 0) only_peaks = true;
    else if (has_value && strcmp(argv[i], "--threads") == 0) n_threads = (int32_t)strtol(argv[++i], NULL, 10);
    else if (has_value && strcmp(argv[i], "--seconds") == 0) b.seconds = strtod(argv[++i], NULL);
    else if (has_value && strcmp(argv[i], "--limit") == 0) b.limit = strtod(argv[++i], NULL);
    else if (has_value && strcmp(argv[i], "--only") == 0) b.only = argv[++i];
    else if (has_value && strcmp(argv[i], "--deepbench") == 0) deepbench = argv[++i];
    else if (has_value && strcmp(argv[i], "--json") == 0) json = argv[++i];
    else {
      fprintf(stderr, "bench_ops: '%s' is no option, or lacks its value; they stand at the head of perf/bench_ops.c\n", argv[i]);
      return 2;
    }
  }
  if (tct_device_open("cpu", &(tct_device_options){.n_threads = n_threads}, &b.device) != TCT_OK) return fail("cpu");
  perf_peaks peaks;
  if (perf_peaks_of(b.device, b.seconds, &peaks) != TCT_OK) return fail("the peaks");
  const double fma = peaks.fma_flops, product = peaks.product_flops;
  b.flops_peak = peaks.flops;
  b.memory_peak = peaks.bytes;
  b.cache_peak = peaks.cache_bytes;
  int code = 0;
  if (only_peaks) {
    printf("{\"fma_gflops\": %.4g, \"product_gflops\": %.4g, \"gflops\": %.4g, \"gbs\": %.4g, \"cache_gbs\": %.4g}\n", fma * 1e-9,
           product * 1e-9, b.flops_peak * 1e-9, b.memory_peak * 1e-9, b.cache_peak * 1e-9);
  } else {
    if (json != NULL && (b.json = fopen(json, "w")) == NULL) {
      fprintf(stderr, "bench_ops: cannot write %s\n", json);
      return 1;
    }
    printf("threads %d; FMA loop %.1f GFLOP/s, 1024^3 product %.1f GFLOP/s, triad %.1f GB/s in memory, %.1f in cache\n\n", n_threads,
           fma * 1e-9, product * 1e-9, b.memory_peak * 1e-9, b.cache_peak * 1e-9);
    if (b.json != NULL) {
      fprintf(b.json, "{\"threads\": %d, \"fma_gflops\": %.4g, \"product_gflops\": %.4g, \"gbs\": %.4g, \"cache_gbs\": %.4g, "
              "\"rows\": [", n_threads, fma * 1e-9, product * 1e-9, b.memory_peak * 1e-9, b.cache_peak * 1e-9);
    }
    code = run_all(&b, deepbench);
    if (b.json != NULL) {
      fprintf(b.json, "\n]}\n");
      fclose(b.json);
    }
  }
  tct_device_close(b.device);
  return code;
}
