/* What measuring costs: a job's training with the watching of tercet compare over the same training without, in turn, as a ratio with
 * its interval.
 *
 *   overhead [ROUNDS]    default 15; prints JSON: for a step of a few tens of microseconds and for one of a millisecond */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "perf/compare/run.h"
#include "perf/compare/statistics.h"
#include "perf/support/json.h"
#include "perf/support/machine.h"

enum { MOST = 999, EPOCH = 64 };

static const struct {
  const char *name, *layers;
  int64_t batch, steps;
} rows[] = {{"softmax regression, batch 1", "[Flatten, {Dense: {units: 10, activation: softmax}}]", 1, 3000},
            {"MLP 784-256-10, batch 32", "[Flatten, {Dense: {units: 256, activation: relu}}, {Dense: {units: 10, activation: softmax}}]", 32, 250}};

static tct_status begin(void *user, tct_model *model, const tct_progress *progress) {
  (void)model, (void)progress;
  *(double *)user = perf_now();
  return TCT_OK;
}

/* Seconds from the first step's begin to the last one's end, as a run's train_seconds. */
static double bare(const perf_request *r, int64_t batch) {
  double began = 0;
  tct_job *job = NULL;
  tct_model *model = NULL;
  const tct_callback callback = {.name = "begin", .user = &began, .train_begin = begin};
  perf_request same = *r;
  tct_status status = perf_open_job(&same, &job);
  tct_program *program = NULL; /* made before the clock starts, as a run makes it */
  if (status == TCT_OK) status = tct_job_model(job, &model);
  if (status == TCT_OK) status = tct_model_program(model, batch, true, &program);
  if (status == TCT_OK) status = tct_job_train(job, &(tct_fit_options){.callbacks = &callback, .n_callbacks = 1});
  const double seconds = perf_now() - began;
  tct_job_free(job);
  if (status == TCT_OK) return seconds;
  fprintf(stderr, "overhead: %s\n", tct_error_message());
  exit(1);
}

static double watched(const perf_request *r) {
  json_t *const record = perf_run(r);
  const double seconds = perf_get_number(record, "train_seconds");
  json_decref(record);
  return seconds;
}

static void print_head(int rounds) {
  tct_device *device = NULL;
  tct_device_info info = {.name = "unknown"};
  if (tct_device_open("cpu", NULL, &device) == TCT_OK) tct_device_describe(device, &info);
  tct_device_close(device);
  printf("{\"what\": \"a job's training with the watching of tercet compare over the same training without, in turn\",\n \"command\": \"build/overhead %d\", \"machine\": \"%s\", \"version\": \"%s\",\n \"rows\": [",
         rounds, info.name, tct_version());
}

int main(int argc, char **argv) {
  const int rounds = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 15;
  char path[] = "/tmp/overhead-XXXXXX.yaml", batch[40];
  const int file = mkstemps(path, 5);
  if (rounds < 1 || rounds > MOST || file < 0) {
    fprintf(stderr, "overhead: needs 1 to %d rounds and a folder /tmp\n", MOST);
    return 2;
  }
  (void)close(file);
  print_head(rounds);
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    static double with[MOST], without[MOST];
    FILE *const job = fopen(path, "w");
    if (job == NULL) return 1;
    fprintf(job, "data: {type: glyphs, samples: %lld}\nmodel: {layers: %s}\nloss: sparse_categorical_crossentropy\ntrain: {epochs: 100000}\n", (long long)(EPOCH * rows[i].batch), rows[i].layers);
    (void)fclose(job);
    (void)snprintf(batch, sizeof batch, "train.batch_size=%lld", (long long)rows[i].batch);
    const perf_request r = {.job = path, .set = {batch}, .n_set = 1, .device = "cpu", .point = "", .mode = PERF_STEPS, .seed = 1, .steps = rows[i].steps, .warmup = 10};
    for (int k = 0; k < rounds; k++) {
      if (k % 2 == 0) without[k] = bare(&r, rows[i].batch);
      with[k] = watched(&r);
      if (k % 2 == 1) without[k] = bare(&r, rows[i].batch);
    }
    const double step = without[0] / (double)(rows[i].steps + 10);
    const perf_estimate e = perf_ratio_of(with, without, rounds);
    printf("%s\n {\"job\": \"%s\", \"step_us\": %.1f, \"ratio\": %.4f, \"low\": %.4f, \"high\": %.4f, \"rounds\": %d}", i > 0 ? "," : "", rows[i].name, 1e6 * step, e.median, e.low, e.high, e.n);
    fflush(stdout);
  }
  printf("\n]}\n");
  (void)unlink(path);
  return 0;
}
