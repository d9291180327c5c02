/* Records training steps for the analytic predictions of `tercet advise`, and fits them.
 *
 *   calibrate [--steps N] [--rounds N] > cells.json   every job of perf/support/calibration.def at batch 1, 8, 64, 512 on 1 and 2 threads,
 *                                                     each in a process of its own, N rounds in turn (the median counts), with the peaks measured
 *                                                     anew in each
 *   calibrate --jobs unseen > unseen.json             the same of jobs that no fit has seen
 *   calibrate --again cells.json                      the same steps with their features anew, when the model looks at other things
 *   calibrate --fit cells.json                        the weights, for perf/advise/weights.def, and how well each job is predicted by
 *                                                     the fit of the others, on stderr
 *   calibrate --check unseen.json                     how well the library's own weights predict, on stderr */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "perf/advise/model.h"
#include "perf/compare/statistics.h"
#include "perf/compare/worker.h"
#include "perf/support/json.h"

static const struct {
  const char *name, *layers;
} jobs[] = {
#define CELL_JOB(name, layers)   {name, layers},
#define UNSEEN_JOB(name, layers)
#include "perf/support/calibration.def"
#undef CELL_JOB
#undef UNSEEN_JOB
#define CELL_JOB(name, layers)
#define UNSEEN_JOB(name, layers) {name, layers},
#include "perf/support/calibration.def"
#undef CELL_JOB
#undef UNSEEN_JOB
};
enum {
#define CELL_JOB(name, layers)   +1
#define UNSEEN_JOB(name, layers)
  N_FITTED = 0
#include "perf/support/calibration.def"
#undef CELL_JOB
#undef UNSEEN_JOB
};
enum { N_JOBS = sizeof jobs / sizeof jobs[0], MOST_ROUNDS = 15, N_BATCHES = 4, N_THREADS = 2, SAMPLES = 2048 };
static const int64_t batches[N_BATCHES] = {1, 8, 64, 512};

typedef struct range {
  int first, end;
} range;

static range jobs_of(bool unseen) { return unseen ? (range){N_FITTED, N_JOBS} : (range){0, N_FITTED}; }

static char folder[] = "/tmp/calibrate-XXXXXX"; /* of the jobs and their data: what is in memory takes no time to draw */

static int fail(const char *what) {
  fprintf(stderr, "calibrate: %s: %s\n", what, tct_error_message());
  return 1;
}

static void job_text(int j, char *text, size_t size) {
  (void)snprintf(text, size,
                 "seed: 1\ndata: {type: npy, x: %s/x.npy, y: %s/y.npy}\nmodel: {layers: %s}\nloss: sparse_categorical_crossentropy\n"
                 "optimizer: adam\nmetrics: [accuracy]\ntrain: {epochs: 100, batch_size: 8}\n",
                 folder, folder, jobs[j].layers);
}

/* ---- fit ---- */

static void print_cell(void *user, const perf_cell *cell, double seconds, double factor) {
  (void)user;
  fprintf(stderr, "%-20s batch %4lld threads %d: %9.3f ms, predicted %9.3f, %+.0f %%, x%.2f%s\n", cell->job, (long long)cell->batch, (int)cell->threads, 1e3 * cell->seconds, 1e3 * seconds,
          100 * (seconds / cell->seconds - 1), factor, fabs(log(seconds / cell->seconds)) <= log(factor) ? "" : " outside");
}

static void print_weights(const perf_weights *w) {
  printf("/* Written by build/calibrate --fit perf/results/advise-cells.json. */\n");
  for (int j = 0; j < PERF_N_FEATURES; j++) printf("%s%.4g /* %s */", j > 0 ? ", " : "{", w->w[j], perf_feature_name(j));
  for (int p = 0; p < PERF_N_PARTS; p++) printf("%s%.4g /* %s */", p > 0 ? ", " : "},\n{", w->spread[p], perf_part_name(p));
  printf("}, %.4g\n", w->quantile);
}

static int fit(const char *path, bool only_check) {
  perf_cell *cells = NULL;
  int n = 0;
  perf_weights weights;
  perf_judged judged;
  if (!perf_cells_read(path, &cells, &n)) {
    fprintf(stderr, "calibrate: '%s' holds no cells\n", path);
    return 1;
  }
  const bool ok = perf_model_judge(cells, n, only_check ? &perf_own_weights : NULL, print_cell, NULL, &judged);
  if (ok) {
    fprintf(stderr, "%d cells; inside their intervals: %.1f %%; median half-width %.1f %% (%.1f to %.1f); median error %.1f %%\n", n, 100.0 * judged.inside / n, 100 * judged.half_width,
            100 * judged.narrowest, 100 * judged.widest, 100 * judged.error);
  }
  if (ok && !only_check) {
    perf_model_calibrate(cells, n, &weights);
    print_weights(&weights);
  }
  free(cells);
  return ok ? 0 : fail("no memory");
}

/* ---- record ---- */

static bool features_of(int j, int64_t batch, int32_t threads, const perf_peaks peaks[N_THREADS], perf_features *out) {
  char text[2048], of_batch[40], of_threads[40];
  tct_job *job = NULL;
  tct_model *model = NULL;
  tct_program *program = NULL;
  job_text(j, text, sizeof text);
  (void)snprintf(of_batch, sizeof of_batch, "train.batch_size=%lld", (long long)batch);
  (void)snprintf(of_threads, sizeof of_threads, "threads=%d", (int)threads);
  const char *const set[] = {of_batch, of_threads};
  const bool ok = tct_job_parse(text, strlen(text), jobs[j].name, &(tct_job_options){.set = set, .n_set = 2}, &job) == TCT_OK && tct_job_model(job, &model) == TCT_OK &&
                  tct_model_program(model, batch, true, &program) == TCT_OK;
  if (ok) perf_features_of(program, &peaks[0], &peaks[threads - 1], perf_input_bytes(job, batch), out);
  tct_job_free(job);
  return ok;
}

static double measure(const char *worker, const char *path, int64_t batch, int32_t threads, int64_t steps) {
  perf_problem problem;
  json_t *const request = json_pack("{s:s, s:s, s:[s], s:s, s:s, s:i, s:I, s:I}", "do", "run", "job", path, "set", "seed=1", "device", "cpu", "mode", "steps", "seed", 1, "steps",
                                    (json_int_t)steps, "warmup", (json_int_t)(4 + steps / 4));
  json_t *const set = json_object_get(request, "set");
  json_array_append_new(set, perf_text("train.batch_size=%lld", (long long)batch));
  json_array_append_new(set, perf_text("threads=%d", (int)threads));
  json_t *const record = perf_worker_ask(worker, request, 120, NULL, &problem);
  const double seconds = perf_get_number(record, "step_p50");
  if (!isfinite(seconds)) fprintf(stderr, "calibrate: %s: %s\n", path, record != NULL ? perf_get_text(record, "why") : problem.text);
  json_decref(record);
  json_decref(request);
  return seconds;
}

static json_t *cell_json(int j, int64_t batch, int32_t threads, const perf_features *features, double *seconds, int rounds) {
  json_t *const of = json_object(), *const each = json_array();
  for (int r = 0; r < rounds; r++) json_array_append_new(each, json_real(seconds[r])); /* before they are sorted */
  const perf_estimate e = perf_estimate_of(seconds, rounds);
  for (int f = 0; f < PERF_N_FEATURES; f++) json_object_set_new(of, perf_feature_name(f), json_real(features->f[f]));
  return json_pack("{s:s, s:I, s:i, s:f, s:f, s:f, s:o, s:o}", "job", jobs[j].name, "batch", (json_int_t)batch, "threads", (int)threads, "seconds", e.median, "low", e.low, "high", e.high,
                   "rounds", each, "features", of);
}

static bool write_job(int j, char path[64]) {
  char text[2048];
  (void)snprintf(path, 64, "%s/%s.yaml", folder, jobs[j].name);
  job_text(j, text, sizeof text);
  FILE *const file = fopen(path, "w");
  const bool ok = file != NULL && fputs(text, file) >= 0;
  return file != NULL && fclose(file) == 0 && ok;
}

/* Format 1.0 of numpy: magic, length of the header, the header, the numbers. */
static bool write_npy(const char *name, const char *descr, const char *shape, const void *data, size_t bytes) {
  char path[64], header[128];
  (void)snprintf(path, sizeof path, "%s/%s", folder, name);
  const int n = snprintf(header, sizeof header, "{'descr': '%s', 'fortran_order': False, 'shape': %s, }", descr, shape);
  FILE *const file = n > 0 ? fopen(path, "wb") : NULL;
  if (file == NULL) return false;
  const int padded = (10 + n + 1 + 63) / 64 * 64 - 10;
  bool ok = fwrite("\x93NUMPY\x01\x00", 1, 8, file) == 8 && fputc(padded & 255, file) != EOF && fputc(padded >> 8, file) != EOF;
  ok = ok && fprintf(file, "%-*s\n", padded - 1, header) == padded && fwrite(data, 1, bytes, file) == bytes;
  return fclose(file) == 0 && ok;
}

static bool write_data(void) {
  static float x[SAMPLES][28 * 28];
  static int32_t y[SAMPLES];
  uint32_t state = 1;
  char shapes[2][64];
  for (int i = 0; i < SAMPLES; i++) {
    y[i] = i % 10;
    for (int p = 0; p < 28 * 28; p++) {
      state = state * 1664525u + 1013904223u;
      x[i][p] = (float)(state >> 8) * 0x1p-24f;
    }
  }
  (void)snprintf(shapes[0], sizeof shapes[0], "(%d, 28, 28, 1)", (int)SAMPLES);
  (void)snprintf(shapes[1], sizeof shapes[1], "(%d,)", (int)SAMPLES);
  return mkdtemp(folder) != NULL && write_npy("x.npy", "<f4", shapes[0], x, sizeof x) && write_npy("y.npy", "<i4", shapes[1], y, sizeof y);
}

static void remove_data(void) {
  for (int f = 0; f < 2; f++) {
    char data[64];
    (void)snprintf(data, sizeof data, "%s/%s", folder, f == 0 ? "x.npy" : "y.npy");
    (void)unlink(data);
  }
  (void)rmdir(folder);
}

static int print_cells(range of, const perf_peaks peaks[N_THREADS], double seconds[N_JOBS][N_BATCHES][N_THREADS][MOST_ROUNDS], int rounds) {
  json_t *const cells = json_array(), *const of_threads = json_array();
  for (int t = 0; t < N_THREADS; t++)
    json_array_append_new(of_threads, json_pack("{s:i, s:f, s:f, s:f, s:f, s:f}", "threads", t + 1, "flops", peaks[t].flops, "bytes_per_second", peaks[t].bytes, "cache_bytes_per_second",
                                                peaks[t].cache_bytes, "near_bytes_per_second", peaks[t].near_bytes, "near_bytes", peaks[t].near_size));
  for (int j = of.first; j < of.end; j++) {
    for (int b = 0; b < N_BATCHES; b++) {
      for (int t = 0; t < N_THREADS; t++) {
        perf_features features;
        if (!features_of(j, batches[b], t + 1, peaks, &features)) {
          json_decref(cells);
          json_decref(of_threads);
          return fail(jobs[j].name);
        }
        json_array_append_new(cells, cell_json(j, batches[b], t + 1, &features, seconds[j][b][t], rounds));
      }
    }
  }
  json_t *const all = json_pack("{s:s, s:i, s:o, s:o}", "what", "steps of build/calibrate: medians of rounds in turn", "rounds", rounds, "peaks", of_threads, "cells", cells);
  const bool written = json_dumpf(all, stdout, JSON_INDENT(1)) == 0 && putchar('\n') != EOF && fflush(stdout) == 0;
  json_decref(all);
  if (!written) perror("calibrate: standard output");
  return written ? 0 : 1;
}

static void remove_files(range of, char path[N_JOBS][64]) {
  for (int j = of.first; j < of.end; j++) {
    if (path[j][0] != '\0') (void)unlink(path[j]);
  }
  remove_data();
}

static int give_up(const char *what, range of, char path[N_JOBS][64]) {
  remove_files(of, path);
  return fail(what);
}

static bool measure_peaks(int round, perf_peaks peaks[N_THREADS][MOST_ROUNDS]) {
  for (int t = 0; t < N_THREADS; t++) {
    tct_device *device = NULL;
    const bool ok = tct_device_open("cpu", &(tct_device_options){.n_threads = t + 1}, &device) == TCT_OK && perf_peaks_of(device, 0.5, &peaks[t][round]) == TCT_OK;
    tct_device_close(device);
    if (!ok) return false;
  }
  return true;
}

static int record(range of, int64_t steps, int rounds) {
  static double seconds[N_JOBS][N_BATCHES][N_THREADS][MOST_ROUNDS];
  static char path[N_JOBS][64];
  static perf_peaks of_round[N_THREADS][MOST_ROUNDS];
  char worker[4096];
  perf_peaks peaks[N_THREADS];
  if (!perf_worker_path(worker, sizeof worker)) return fail("the worker");
  if (!write_data()) return give_up("the data's files", of, path);
  for (int j = of.first; j < of.end; j++) {
    if (!write_job(j, path[j])) return give_up("a job's file", of, path);
  }
  for (int r = 0; r < rounds; r++) {
    if (!measure_peaks(r, of_round)) return give_up("the peaks", of, path);
    for (int j = of.first; j < of.end; j++) {
      for (int b = 0; b < N_BATCHES; b++) {
        for (int t = 0; t < N_THREADS; t++) {
          seconds[j][b][t][r] = measure(worker, path[j], batches[b], t + 1, batches[b] > 64 ? steps / 2 : steps);
          if (!isfinite(seconds[j][b][t][r])) return give_up("a run", of, path);
        }
      }
    }
    fprintf(stderr, "round %d of %d\n", r + 1, rounds);
  }
  for (int t = 0; t < N_THREADS; t++) perf_peaks_usual(of_round[t], rounds, &peaks[t]);
  const int code = print_cells(of, peaks, seconds, rounds);
  remove_files(of, path);
  return code;
}

/* ---- again ---- */

static bool read_recorded(const char *path, range *out_of, perf_peaks *peaks, double seconds[N_JOBS][N_BATCHES][N_THREADS][MOST_ROUNDS], int *out_rounds) {
  json_t *const all = json_load_file(path, 0, NULL);
  size_t i;
  json_t *row;
  const json_t *const rows = json_object_get(all, "cells"), *const of_peaks = json_object_get(all, "peaks");
  const double n_rounds = perf_get_number(all, "rounds");
  const range of = jobs_of(!perf_is(json_array_get(rows, 0), "job", jobs[0].name));
  bool ok = n_rounds >= 1 && n_rounds <= MOST_ROUNDS && json_array_size(rows) == (size_t)(of.end - of.first) * N_BATCHES * N_THREADS;
  *out_of = of;
  *out_rounds = ok ? (int)n_rounds : 0;
  for (int t = 0; t < N_THREADS; t++) {
    const json_t *const p = json_array_get(of_peaks, (size_t)t);
    peaks[t] = (perf_peaks){.flops = perf_get_number(p, "flops"), .bytes = perf_get_number(p, "bytes_per_second"), .cache_bytes = perf_get_number(p, "cache_bytes_per_second"),
                            .near_bytes = perf_get_number(p, "near_bytes_per_second"), .near_size = perf_get_number(p, "near_bytes")};
    ok = ok && peaks[t].flops > 0 && peaks[t].bytes > 0 && peaks[t].cache_bytes > 0 && peaks[t].near_bytes > 0 && peaks[t].near_size > 0;
  }
  json_array_foreach(rows, i, row) {
    const size_t j = (size_t)of.first + i / (N_BATCHES * N_THREADS), b = i / N_THREADS % N_BATCHES, t = i % N_THREADS;
    ok = ok && j < N_JOBS && perf_is(row, "job", jobs[j].name) && perf_get_number(row, "batch") == (double)batches[b] && perf_get_number(row, "threads") == (double)(t + 1);
    for (int r = 0; ok && r < *out_rounds; r++) {
      seconds[j][b][t][r] = json_number_value(json_array_get(json_object_get(row, "rounds"), (size_t)r));
      ok = seconds[j][b][t][r] > 0;
    }
  }
  json_decref(all);
  return ok;
}

static int again(const char *path) {
  static double seconds[N_JOBS][N_BATCHES][N_THREADS][MOST_ROUNDS];
  perf_peaks peaks[N_THREADS];
  range of;
  int rounds = 0;
  if (!read_recorded(path, &of, peaks, seconds, &rounds)) {
    fprintf(stderr, "calibrate: '%s' cannot be read, or holds no whole cells of today's jobs (perf/support/calibration.def)\n", path);
    return 1;
  }
  if (!write_data()) {
    remove_data();
    return fail("the data's files");
  }
  const int code = print_cells(of, peaks, seconds, rounds);
  remove_data();
  return code;
}

int main(int argc, char **argv) {
  int64_t steps = 40;
  int rounds = 5;
  bool unseen = false, known = argc % 2 == 1;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (strcmp(argv[i], "--fit") == 0) return fit(argv[i + 1], false);
    if (strcmp(argv[i], "--check") == 0) return fit(argv[i + 1], true);
    if (strcmp(argv[i], "--again") == 0) return again(argv[i + 1]);
    if (strcmp(argv[i], "--steps") == 0) steps = strtol(argv[i + 1], NULL, 10);
    else if (strcmp(argv[i], "--rounds") == 0) rounds = (int)strtol(argv[i + 1], NULL, 10);
    else if (strcmp(argv[i], "--jobs") == 0 && strcmp(argv[i + 1], "unseen") == 0) unseen = true;
    else known = false;
  }
  if (!known || steps < 4 || rounds < 1 || rounds > MOST_ROUNDS) {
    fprintf(stderr, "calibrate: --fit FILE, --check FILE, --again FILE, or --steps N (at least 4) --rounds N (1 to %d) [--jobs unseen]\n", MOST_ROUNDS);
    return 2;
  }
  return record(jobs_of(unseen), steps, rounds);
}
