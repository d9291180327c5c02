/* A modelled time carries a ~ before it, and so does a ratio that holds one: nothing else in the table tells it from a measured one. */
#include "perf/bench/table.h"

#include <math.h>
#include <string.h>
#include "perf/support/json.h"

enum { FITS_CACHE = 32 << 20 };

static const char *clock_of(bool modelled) { return modelled ? "modelled" : "measured"; }

static void put_json(bench_table *t, json_t *object) {
  if (t->json != NULL) {
    (void)fprintf(t->json, "%s\n  ", t->n_told > 0 ? "," : "");
    (void)json_dumpf(object, t->json, JSON_REAL_PRECISION(6));
  }
  t->n_told++;
  json_decref(object);
}

void bench_table_begin(bench_table *t, int32_t n_threads) {
  const perf_peaks *const p = &t->peaks;
  if (t->modelled) {
    (void)fprintf(t->out, "%s, times are modelled (~); the chip's own peaks: %.1f GFLOP/s in its arrays, %.1f GB/s of memory\n", t->device,
                  p->flops * 1e-9, p->bytes * 1e-9);
  } else if (p->fma_flops > 0) {
    (void)fprintf(t->out, "threads %d; FMA loop %.1f GFLOP/s, 1024^3 product %.1f GFLOP/s, triad %.1f GB/s in memory, %.1f in cache\n", n_threads,
                  p->fma_flops * 1e-9, p->product_flops * 1e-9, p->bytes * 1e-9, p->cache_bytes * 1e-9);
  } else {
    (void)fprintf(t->out, "%s; large product %.1f GFLOP/s, sum of large vectors %.1f GB/s\n", t->device, p->flops * 1e-9, p->bytes * 1e-9);
  }
  if (t->other != NULL) {
    (void)fprintf(t->out, "against %s%s, in turn; ratio: its time over this one's, median of pairs and where it lies with 95 %%\n", t->other,
                  t->other_modelled ? ", times modelled (~)" : "");
  }
  (void)fprintf(t->out, "\n%-32s %-42s %-26s %10s %8s %8s %8s  bound", "op", "of", "kernel", "ms", "GFLOP/s", "GB/s", "share");
  (void)fprintf(t->out, t->other != NULL ? " %11s  %s\n" : "\n", "other ms", "ratio");
  if (t->json == NULL) return;
  json_t *const head = json_object();
  json_object_set_new(head, "threads", json_integer(n_threads));
  json_object_set_new(head, "device", json_string(t->device));
  json_object_set_new(head, "clock", json_string(clock_of(t->modelled)));
  json_object_set_new(head, "gflops", perf_number(p->flops * 1e-9));
  json_object_set_new(head, "gbs", perf_number(p->bytes * 1e-9));
  if (p->fma_flops > 0) {
    json_object_set_new(head, "fma_gflops", perf_number(p->fma_flops * 1e-9));
    json_object_set_new(head, "product_gflops", perf_number(p->product_flops * 1e-9));
    json_object_set_new(head, "cache_gbs", perf_number(p->cache_bytes * 1e-9));
  }
  if (t->other != NULL) {
    json_object_set_new(head, "other", json_string(t->other));
    json_object_set_new(head, "other_clock", json_string(clock_of(t->other_modelled)));
  }
  (void)fputc('{', t->json);
  (void)json_dumpf(head, t->json, JSON_REAL_PRECISION(4) | JSON_EMBED);
  (void)fprintf(t->json, ", \"rows\": [");
  json_decref(head);
}

static void put_ms(FILE *out, int width, double seconds, bool modelled) {
  char text[32];
  (void)snprintf(text, sizeof text, "%s%.3f", modelled ? "~" : "", seconds * 1e3);
  (void)fprintf(out, " %*s", width, text);
}

static const char *mark_of_ratio(const bench_table *t) { return t->modelled || t->other_modelled ? "~" : ""; }

static void count_ratio(bench_table *t, const perf_estimate *ratio) {
  if (ratio->n == 0) return;
  t->n_ratios++;
  t->log_ratios += log(ratio->median);
  t->n_slower += ratio->interval && ratio->low > 1;
  t->n_faster += ratio->interval && ratio->high < 1;
}

void bench_table_row(bench_table *t, const bench_row *row, const tct_step_info *step, double best, double other_best, const perf_estimate *ratio) {
  const bool in_cache = step->bytes <= FITS_CACHE && t->peaks.cache_bytes > 0;
  const double by_flops = step->flops / t->peaks.flops, by_bytes = step->bytes / (in_cache ? t->peaks.cache_bytes : t->peaks.bytes);
  const char *const bound = by_flops > by_bytes ? "flops" : "bytes";
  const double share = (by_flops > by_bytes ? by_flops : by_bytes) / best;
  (void)fprintf(t->out, "%-32s %-42s %-26s", row->op, row->label, step->kernel);
  put_ms(t->out, 10, best, t->modelled);
  (void)fprintf(t->out, " %8.1f %8.1f %6.0f %%  %s", step->flops / best * 1e-9, step->bytes / best * 1e-9, share * 100, bound);
  if (ratio != NULL) {
    put_ms(t->out, 11, other_best, t->other_modelled);
    (void)fprintf(t->out, "  %s%.3f [%.3f, %.3f]", mark_of_ratio(t), ratio->median, ratio->low, ratio->high);
    count_ratio(t, ratio);
  }
  (void)fputc('\n', t->out);
  if (share < 0.5 && step->bytes > 1 << 20) {
    const size_t at = strlen(t->low);
    (void)snprintf(t->low + at, sizeof t->low - at, "  %s %s: %.0f %%\n", row->op, row->label, share * 100);
    t->n_low++;
  }
  json_t *const object = json_pack("{s:s, s:s, s:s, s:f, s:f, s:f, s:f, s:s}", "op", row->op, "label", row->label, "kernel", step->kernel, "ms",
                                   best * 1e3, "gflops", step->flops / best * 1e-9, "gbs", step->bytes / best * 1e-9, "share", share, "bound", bound);
  if (ratio != NULL) {
    json_object_set_new(object, "other_ms", perf_number(other_best * 1e3));
    json_object_set_new(object, "ratio", perf_number(ratio->median));
    json_object_set_new(object, "ratio_low", perf_number(ratio->low));
    json_object_set_new(object, "ratio_high", perf_number(ratio->high));
    json_object_set_new(object, "pairs", json_integer(ratio->n));
  }
  put_json(t, object);
  t->n_rows++;
}

void bench_table_refused(bench_table *t, const bench_row *row, const char *who, const char *why) {
  const char *const op = row != NULL ? row->op : "*", *const label = row != NULL ? row->label : "all";
  (void)fprintf(t->out, "%-32s %-42s %s: %.*s\n", op, label, who, (int)strcspn(why, "\n"), why);
  put_json(t, json_pack("{s:s, s:s, s:s, s:o}", "op", op, "label", label, "refused_by", who, "why", perf_text("%s", why)));
  t->n_refused++;
}

void bench_table_end(bench_table *t, const bench_rows *rows, double limit) {
  if (t->json != NULL) (void)fprintf(t->json, "\n]}\n");
  (void)fputc('\n', t->out);
  if (rows->n_left_out > 0) (void)fprintf(t->out, "DeepBench shapes left out, above %g GFLOP or 64 Mi elements: %d\n", limit, rows->n_left_out);
  if (rows->n_without > 0) (void)fprintf(t->out, "DeepBench recurrent shapes of a cell that no op computes (vanilla): %d\n", rows->n_without);
  if (t->n_refused > 0) (void)fprintf(t->out, "refusals: %d\n", t->n_refused);
  if (t->n_ratios > 0) {
    (void)fprintf(t->out, "%s against %s: geometric mean of the ratios %s%.3f over %d rows; the interval lies above 1 in %d, below 1 in %d\n", t->other,
                  t->device, mark_of_ratio(t), exp(t->log_ratios / t->n_ratios), t->n_ratios, t->n_slower, t->n_faster);
  }
  (void)fprintf(t->out, "under half of the roofline with more than 1 MiB of traffic: %d of %d\n%s", t->n_low, t->n_rows, t->low);
}
