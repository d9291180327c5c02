/* The run: options, sides, rows in turn. Two sides of a row run as A B, B A, A B …, so that what slows the machine slows both. */
#include "perf/bench/bench.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include "perf/bench/table.h"
#include "perf/support/machine.h"

enum { LEAST_RUNS = 3, LEAST_PAIRS = 7, MOST_PAIRS = 999, MOST_THREADS = 64 };

typedef struct options {
  const char *device, *against, *pair, *only, *deepbench, *json, *threads_text, *seconds_text, *limit_text, *dtype;
  double threads, seconds, limit;
  bool peaks, serve;
} options;

static bool number(FILE *err, const char *name, const char *text, double least, double most, double *out) {
  char *end = NULL;
  if (text == NULL) return true;
  *out = strtod(text, &end);
  if (end != text && *end == '\0' && *out >= least && *out <= most) return true;
  (void)fprintf(err, "bench_ops: %s: is '%s', needs a number from %g to %g\n", name, text, least, most);
  return false;
}

static bool read_options(int argc, const char *const *argv, FILE *err, options *o) {
  const struct {
    const char *name, **text;
  } texts[] = {{"--device", &o->device}, {"--against", &o->against}, {"--pair", &o->pair}, {"--only", &o->only}, {"--deepbench", &o->deepbench},
               {"--json", &o->json}, {"--threads", &o->threads_text}, {"--seconds", &o->seconds_text}, {"--limit", &o->limit_text}, {"--dtype", &o->dtype}};
  for (int i = 1; i < argc; i++) {
    size_t t = 0;
    while (t < sizeof texts / sizeof texts[0] && strcmp(argv[i], texts[t].name) != 0) t++;
    if (strcmp(argv[i], "--peaks") == 0) o->peaks = true;
    else if (strcmp(argv[i], "--serve") == 0) o->serve = true;
    else if (t < sizeof texts / sizeof texts[0] && i + 1 < argc) *texts[t].text = argv[++i];
    else {
      (void)fprintf(err, "bench_ops: '%s' is no option, or lacks its value; they stand at the head of perf/bench_ops.c\n", argv[i]);
      return false;
    }
  }
  if (o->against != NULL && o->pair != NULL) {
    (void)fprintf(err, "bench_ops: --against compares two devices and --pair two builds; give one of them\n");
    return false;
  }
  if (o->dtype != NULL && (!o->peaks || strcmp(o->dtype, "bf16") != 0)) {
    (void)fprintf(err, "bench_ops: --dtype: is '%s'%s; needs bf16, and --peaks\n", o->dtype, o->peaks ? "" : " without --peaks");
    return false;
  }
  return number(err, "--threads", o->threads_text, 1, MOST_THREADS, &o->threads) && number(err, "--seconds", o->seconds_text, 0, 3600, &o->seconds) &&
         number(err, "--limit", o->limit_text, 0, 1e9, &o->limit);
}

/* Best of the runs within the time; a modelled time is the same each time. */
static bool time_alone(bench_side *a, double seconds, double *out_best) {
  const double end = perf_now() + seconds;
  double now = 0;
  *out_best = 0;
  for (int run = 0; run < (a->modelled ? 1 : LEAST_RUNS) || (!a->modelled && perf_now() < end); run++) {
    if (!bench_side_run(a, &now)) return false;
    if (*out_best == 0 || now < *out_best) *out_best = now;
  }
  return true;
}

static double least_of(const double *values, int n) {
  double least = values[0];
  for (int i = 1; i < n; i++) least = values[i] < least ? values[i] : least;
  return least;
}

/* *out_failed: the side that stopped the row. */
static bool time_pairs(bench_side *a, bench_side *b, double seconds, double out_best[2], perf_estimate *out, bench_side **out_failed) {
  static double times[2][MOST_PAIRS];
  bench_side *const sides[2] = {a, b};
  double warm = 0;
  int n = 0;
  for (int s = 0; s < 2; s++) {
    *out_failed = sides[s];
    if (!bench_side_run(sides[s], &warm)) return false;
  }
  const double end = perf_now() + 2 * seconds;
  for (; n < MOST_PAIRS && (n < LEAST_PAIRS || perf_now() < end); n++) {
    for (int turn = 0; turn < 2; turn++) {
      const int s = (n + turn) % 2;
      *out_failed = sides[s];
      if (!bench_side_run(sides[s], &times[s][n])) return false;
    }
  }
  for (int s = 0; s < 2; s++) out_best[s] = least_of(times[s], n);
  *out = perf_ratio_of(times[1], times[0], n);
  return true;
}

/* b NULL: alone. */
static void time_row(bench_table *t, bench_side *a, bench_side *b, const bench_row *row, double seconds) {
  bench_side *const sides[] = {a, b};
  bench_side *failed = a;
  perf_estimate ratio;
  double best[2] = {0, 0};
  for (int s = 0; s < 2 && sides[s] != NULL; s++) {
    if (bench_side_take(sides[s], row)) continue;
    bench_table_refused(t, row, sides[s]->name, sides[s]->why);
    return;
  }
  const bool ok = b != NULL ? time_pairs(a, b, seconds, best, &ratio, &failed) : time_alone(a, seconds, best);
  if (ok) bench_table_row(t, row, &a->step, best[0], best[1], b != NULL ? &ratio : NULL);
  else bench_table_refused(t, row, failed->name, failed->why);
}

static tct_status find_peaks(const bench_side *side, double seconds, perf_peaks *out) {
  tct_device_info info;
  tct_device_describe(side->device, &info);
  if (info.chip == NULL) return perf_peaks_of(side->device, seconds, out);
  perf_peaks_of_chip(info.chip, out);
  return TCT_OK;
}

static void print_peaks(FILE *out, const perf_peaks *p) {
  (void)fprintf(out, "{\"fma_gflops\": %.4g, \"product_gflops\": %.4g, \"gflops\": %.4g, \"gbs\": %.4g, \"cache_gbs\": %.4g}\n", p->fma_flops * 1e-9,
                p->product_flops * 1e-9, p->flops * 1e-9, p->bytes * 1e-9, p->cache_bytes * 1e-9);
}

/* The second side, if one was asked for. `absent` is set where its device is not here: a row says so, and the first runs alone. */
static bool open_other(const options *o, bench_side *b, bool *out_absent) {
  char threads[16], limit[32];
  const char *argv[16] = {o->pair, "--serve", "--device", o->device, "--threads", threads, "--limit", limit};
  int n = 8;
  *out_absent = false;
  if (o->against != NULL) {
    const tct_status status = bench_side_open(b, o->against, (int32_t)o->threads);
    *out_absent = status == TCT_UNAVAILABLE;
    return status == TCT_OK || *out_absent;
  }
  if (o->pair == NULL) return true;
  (void)snprintf(threads, sizeof threads, "%d", (int)o->threads);
  (void)snprintf(limit, sizeof limit, "%.9g", o->limit);
  if (o->deepbench != NULL) argv[n++] = "--deepbench", argv[n++] = o->deepbench;
  return bench_side_start(b, argv);
}

static int run(const options *o, bench_side *a, bench_side *b, const bench_rows *rows, FILE *out, FILE *err) {
  bool absent = false;
  bench_table t = {.out = out, .device = o->device, .modelled = a->modelled};
  if (!open_other(o, b, &absent)) {
    (void)fprintf(err, "bench_ops: %s\n", b->why);
    return o->pair != NULL ? 1 : 2;
  }
  if (find_peaks(a, o->seconds, &t.peaks) != TCT_OK) {
    (void)fprintf(err, "bench_ops: the peaks of %s: %s\n", o->device, tct_error_message());
    return 1;
  }
  if (o->dtype != NULL && !a->modelled) {
    if (perf_product_flops(a->device, TCT_BF16, o->seconds, &t.peaks.product_flops) != TCT_OK) {
      (void)fprintf(err, "bench_ops: a product of bf16 on %s: %s\n", o->device, tct_error_message());
      return 1;
    }
    t.peaks.flops = t.peaks.product_flops;
  }
  if (o->peaks) {
    print_peaks(out, &t.peaks);
    return 0;
  }
  if (o->json != NULL && (t.json = fopen(o->json, "w")) == NULL) {
    (void)fprintf(err, "bench_ops: cannot write %s\n", o->json);
    return 1;
  }
  const bool paired = b->name != NULL && !absent;
  t.other = paired ? b->name : NULL;
  t.other_modelled = o->pair != NULL ? a->modelled : b->modelled;
  bench_table_begin(&t, (int32_t)o->threads);
  if (absent) bench_table_refused(&t, NULL, b->name, b->why);
  for (int32_t i = 0; i < rows->n; i++) {
    time_row(&t, a, paired ? b : NULL, &rows->row[i], o->seconds);
    (void)fflush(out);
  }
  bench_table_end(&t, rows, o->limit);
  if (t.json == NULL || fclose(t.json) == 0) return 0;
  (void)fprintf(err, "bench_ops: cannot write %s\n", o->json);
  return 1;
}

int bench_main(int argc, const char *const *argv, FILE *in, FILE *out, FILE *err) {
  options o = {.device = "cpu", .threads = 1, .seconds = 0.1, .limit = 4};
  bench_rows rows;
  bench_side a = {.name = NULL}, b = {.name = NULL};
  if (!read_options(argc, argv, err, &o)) return 2;
  int code = 1;
  struct sigaction ignore = {.sa_handler = SIG_IGN}, old; /* the other program may end before its input does */
  sigemptyset(&ignore.sa_mask);
  (void)sigaction(SIGPIPE, &ignore, &old);
  const tct_status status = bench_side_open(&a, o.device, (int32_t)o.threads);
  if (status != TCT_OK) {
    (void)fprintf(err, "bench_ops: %s: %s\n", o.device, a.why);
    code = status == TCT_INVALID ? 2 : 1;
  } else if (bench_rows_read(o.only, o.deepbench, o.limit, err, &rows)) {
    if (o.serve) bench_side_serve(&a, &rows, in, out);
    code = o.serve ? 0 : run(&o, &a, &b, &rows, out, err);
    bench_rows_free(&rows);
  } else {
    bench_rows_free(&rows);
  }
  bench_side_close(&a);
  bench_side_close(&b);
  (void)sigaction(SIGPIPE, &old, NULL);
  return code;
}
