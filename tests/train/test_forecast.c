/* Forecasts: ops, layers and phases sum to the step; what is said to be compiled is what a run compiles; the timeline, the
 * findings, what is refused, and every allocation failing in turn. */
#include "test.h"

#include <jansson.h>
#include <tercet/forecast.h>
#include <tercet/tercet.h>

#include "base/alloc.h"
#include "faults.h"

#define MODEL_TEXT                                                                                                                    \
  "model:\n  layers: [{Conv2D: {filters: 4, kernel_size: 3, activation: relu}}, Flatten, {Dense: {units: 10, activation: softmax}}]\n" \
  "loss: sparse_categorical_crossentropy\n"

static tct_job *job_of(const char *text, const char *const *set, int32_t n_set) {
  tct_job *job = NULL;
  OK(tct_job_parse(text, strlen(text), "job.yaml", &(tct_job_options){.set = set, .n_set = n_set}, &job));
  return job;
}

static const char *const on_v3[] = {"device=tpu:v3"};
static const char glyphs[] = "data: {type: glyphs, samples: 100, test: {samples: 40}, validation_split: 0.1}\n" MODEL_TEXT
                             "train: {epochs: 2, batch_size: 32}\n";

static void add(tct_forecast_cost *sum, const tct_forecast_cost *cost) {
  sum->seconds += cost->seconds;
  sum->cycles += cost->cycles;
  sum->joules += cost->joules;
  sum->flops += cost->flops;
  for (int c = 0; c < TCT_FORECAST_CLASSES; c++) sum->by_class[c] += cost->by_class[c];
}

TEST(forecast, rows_sum_to_the_step) {
  static const char *const devices[] = {"device=tpu:v3", "device=tpu:v5e,chips=8,ici=1MB/s", "device=tpu:small,dataflow=os", "device=check:tpu:v3"};
  for (size_t d = 0; d < sizeof devices / sizeof *devices; d++) {
    tct_job *const job = job_of(glyphs, &devices[d], 1);
    tct_forecast *forecast = NULL;
    tct_forecast_info info;
    OK(tct_forecast_open(job, true, &forecast));
    tct_forecast_describe(forecast, &info);
    CHECK(info.training && info.batch == 32 && strcmp(info.device, devices[d] + 7) == 0 && info.dollars >= 0);
    const double waited = info.total.by_class[TCT_FORECAST_CLASSES - 1];
    CHECK((waited > 0) == (d == 1), "%s waits %g cycles for other chips", devices[d], waited);
    for (int by = TCT_FORECAST_OPS; by <= TCT_FORECAST_PHASES; by++) {
      tct_forecast_cost sum = {.seconds = waited / info.chip.clock, .cycles = waited,
                               .joules = (double)info.chip.chips * info.chip.idle * waited / info.chip.clock};
      double classes = waited;
      int32_t n = 0;
      for (const tct_forecast_row *row; (row = tct_forecast_row_at(forecast, (tct_forecast_by)by, n)) != NULL; n++) {
        CHECK((row->op[0] != '\0') == (by == TCT_FORECAST_OPS) && !row->on_host && row->name[0] != '\0');
        add(&sum, &row->cost);
      }
      for (int c = 0; c < TCT_FORECAST_CLASSES; c++) classes += sum.by_class[c];
      CHECK(by == TCT_FORECAST_OPS ? n == info.n_ops : by == TCT_FORECAST_LAYERS ? n > 3 && n < info.n_ops : n == 3, "by %d: %d rows", by, (int)n);
      CHECK(fabs(sum.cycles / info.total.cycles - 1) < 1e-9 && fabs(classes / info.total.cycles - 1) < 1e-9, "by %d: %g of %g cycles", by, sum.cycles,
            info.total.cycles);
      CHECK(fabs(sum.seconds / info.total.seconds - 1) < 1e-9 && fabs(sum.joules / info.total.joules - 1) < 1e-9);
      CHECK(fabs(sum.flops / info.total.flops - 1) < 1e-9 && info.total.flops > 1e6);
    }
    CHECK(tct_forecast_row_at(forecast, TCT_FORECAST_OPS, -1) == NULL);
    tct_forecast_free(forecast);
    tct_job_free(job);
  }
  CHECK(tct_forecast_class(-1) == NULL && tct_forecast_class(TCT_FORECAST_CLASSES) == NULL && strcmp(tct_forecast_class(0), "arrays, useful") == 0);
  CHECK(strcmp(tct_forecast_phase_name(TCT_FORECAST_N_PHASES), "") == 0);
}

static double compiled(const tct_model *model) {
  tct_counter c[32];
  const int32_t n = tct_device_counters(tct_model_device(model), c, 32);
  for (int32_t i = 0; i < n; i++) {
    if (strcmp(c[i].name, "compiled") == 0) return c[i].value;
  }
  CHECK(false, "no counter");
  return 0;
}

/* Trained and evaluated as the job says, the device counts the programs that the forecast names. */
TEST(forecast, programs_are_those_of_a_run) {
  static const struct {
    const char *set[2];
    const char *wanted;
  } rows[] = {
      {{"train.batch_size=32", "seed=1"}, "training 32, last batch of training 26, evaluation 10, evaluation 32, last batch of evaluation 8, "},
      {{"train.batch_size=10", "seed=1"}, "training 10, evaluation 10, "},
      {{"train.batch_size=30", "train.drop_remainder=true"}, "training 30, evaluation 10, evaluation 30, "},
      {{"train.batch_size=32", "train.steps=2"}, "training 32, evaluation 10, evaluation 32, last batch of evaluation 8, "},
  };
  for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
    const char *const set[] = {"device=tpu:v3", rows[r].set[0], rows[r].set[1]};
    tct_job *const job = job_of(glyphs, set, 3);
    tct_forecast *forecast = NULL;
    const tct_forecast_program *programs = NULL;
    tct_model *model = NULL;
    tct_evaluation result;
    int32_t n = 0;
    char text[400] = "";
    OK(tct_forecast_open(job, true, &forecast));
    for (int twice = 0; twice < 2; twice++) OK(tct_forecast_programs(forecast, &programs, &n));
    for (int32_t i = 0; i < n; i++) {
      const size_t used = strlen(text);
      (void)snprintf(text + used, sizeof text - used, "%s %lld, ", programs[i].what, (long long)programs[i].batch);
    }
    CHECK(strcmp(text, rows[r].wanted) == 0, "row %zu: %s", r, text);
    tct_forecast_free(forecast);
    OK(tct_job_model(job, &model));
    CHECK(compiled(model) == 0, "nothing ran yet");
    OK(tct_job_train(job, NULL));
    OK(tct_job_evaluate(job, TCT_JOB_TEST, &result));
    CHECK(compiled(model) == n, "row %zu: %g compiled, forecast %d", r, compiled(model), (int)n);
    tct_job_free(job);
  }
}

static void read_log(const char *folder, const char *name, char *text, size_t bytes) {
  char path[SCRATCH_BYTES + 64];
  (void)snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *const file = fopen(path, "r");
  CHECK(file != NULL, "%s", path);
  text[fread(text, 1, bytes - 1, file)] = '\0';
  CHECK(fclose(file) == 0);
}

/* The logs of a run say what its device would have taken so far, under names that say modelled; those of a measured device do not. */
TEST(forecast, logs_of_a_run) {
  char folder[SCRATCH_BYTES], callbacks[2 * SCRATCH_BYTES + 200];
  static char text[1 << 16];
  scratch_make(folder);
  (void)snprintf(callbacks, sizeof callbacks, "callbacks=[{CSVLogger: {filename: \"%s/log.csv\"}}, {JSONLogger: {filename: \"%s/log.jsonl\", per_step: true}}]",
                 folder, folder);
  for (int on_tpu = 0; on_tpu < 2; on_tpu++) {
    const char *const set[] = {on_tpu ? "device=tpu:v3" : "device=cpu", callbacks};
    tct_job *const job = job_of(glyphs, set, 2);
    tct_model *model = NULL;
    tct_forecast_run run;
    double epoch[2] = {0, 0};
    OK(tct_job_train(job, NULL));
    OK(tct_job_model(job, &model));
    CHECK(tct_forecast_so_far(tct_model_device(model), &run) == on_tpu);
    CHECK(on_tpu ? run.seconds > 0 && run.useful > 0 && run.useful < 1 && run.joules > 0 && run.dollars > 0 && run.programs == 3 && run.compiling == 60
                 : run.seconds == 0, "%g s, %g, %g J, %g USD, %lld programs", run.seconds, run.useful, run.joules, run.dollars, (long long)run.programs);
    read_log(folder, "log.csv", text, sizeof text);
    CHECK((strstr(text, ",modelled_seconds,modelled_useful,modelled_joules,modelled_dollars\n0,") != NULL) == on_tpu, "%s", text);
    for (int row = 0; row < 2 && on_tpu; row++) {
      char *line = strchr(text, '\n') + 1; /* the fourth number from the end is the seconds */
      if (row == 1) line = strchr(line, '\n') + 1;
      char *end = strchr(line, '\n');
      for (int comma = 0; comma < 4; end -= comma < 4) comma += *end == ',';
      epoch[row] = strtod(end + 2, NULL);
    }
    if (on_tpu) CHECK(epoch[0] > 0 && fabs(epoch[1] / run.seconds - 1) < 1e-6 && epoch[1] > 1.5 * epoch[0], "%g s, %g s of %g", epoch[0], epoch[1], run.seconds);
    read_log(folder, "log.jsonl", text, sizeof text);
    CHECK((strstr(text, "\"modelled_dollars\": ") != NULL) == on_tpu, "%s", text);
    const char *const step = strstr(text, "\"step\": 1, ");
    CHECK(step != NULL && (strncmp(strchr(step, ',') + 2, "\"step_loss\"", 11) == 0), "%s", text);
    tct_job_free(job);
  }
  scratch_remove(folder);
}

/* A row of log.csv: its number from the end, counted from 1. */
static double logged(const char *text, int row, int from_end) {
  const char *line = text;
  for (int i = 0; i <= row; i++) {
    line = strchr(line, '\n');
    CHECK(line != NULL, "%s", text);
    line++;
  }
  const char *end = strchr(line, '\n');
  while (from_end > 0) from_end -= *--end == ',';
  return strtod(end + 1, NULL);
}

/* A run that resumes counts on where its checkpoint ended. */
TEST(forecast, logs_go_on_counting) {
  enum { SECONDS = 4, USEFUL = 3, JOULES = 2, DOLLARS = 1 };
  char folder[SCRATCH_BYTES], callbacks[SCRATCH_BYTES + 100], checkpoints[SCRATCH_BYTES + 100];
  static char text[1 << 16];
  double whole[5] = {0};
  scratch_make(folder);
  (void)snprintf(callbacks, sizeof callbacks, "callbacks=[{CSVLogger: {filename: \"%s/log.csv\"}}]", folder);
  (void)snprintf(checkpoints, sizeof checkpoints, "checkpoint={folder: \"%s/run\"}", folder);
  const char *set[] = {"device=tpu:v3", callbacks, "train.epochs=3", checkpoints};
  tct_job *job = job_of(glyphs, set, 3);
  OK(tct_job_train(job, NULL));
  read_log(folder, "log.csv", text, sizeof text);
  for (int f = DOLLARS; f <= SECONDS; f++) whole[f] = logged(text, 2, f);
  tct_job_free(job);
  for (int epochs = 1; epochs <= 3; epochs++) {
    char wanted[32];
    (void)snprintf(wanted, sizeof wanted, "train.epochs=%d", epochs);
    set[2] = wanted;
    job = job_of(glyphs, set, 4);
    OK(tct_job_train(job, &(tct_fit_options){.resume = epochs > 1}));
    tct_job_free(job);
  }
  read_log(folder, "log.csv", text, sizeof text);
  for (int row = 1; row < 3; row++) {
    for (int f = DOLLARS; f <= SECONDS; f++)
      CHECK(f == USEFUL || logged(text, row, f) > logged(text, row - 1, f), "row %d, figure %d:\n%s", row, f, text);
  }
  /* Weights that were sent again and logs that were read are all that differs. */
  for (int f = DOLLARS; f <= SECONDS; f++) CHECK(fabs(logged(text, 2, f) / whole[f] - 1) < 0.1, "figure %d: %g, in one run %g", f, logged(text, 2, f), whole[f]);
  scratch_remove(folder);
}

static tct_status forecast_all(tct_job *job) {
  tct_forecast *forecast = NULL;
  const tct_forecast_program *programs = NULL;
  const tct_forecast_finding *findings = NULL;
  int32_t n = 0;
  tct_status status = tct_forecast_open(job, true, &forecast);
  if (status == TCT_OK) status = tct_forecast_programs(forecast, &programs, &n);
  if (status == TCT_OK) status = tct_forecast_lint(forecast, &findings, &n);
  tct_forecast_free(forecast);
  return status;
}

/* Every allocation fails in turn, ever fewer of them: the error is that, or a larger batch was not looked at. */
TEST(forecast, allocations_fail) {
  tct_job *const job = job_of(glyphs, on_v3, 1);
  OK(forecast_all(job));
  int failed = 0;
  fault_pieces(true);
  for (int64_t nth = 1;; nth += 1 + nth / 40) {
    (void)fault_alloc(nth);
    const tct_status status = forecast_all(job);
    const bool struck = fault_alloc(0);
    CHECK(status == TCT_OK || (struck && status == TCT_OUT_OF_MEMORY), "allocation %lld: %s", (long long)nth, tct_error_message());
    failed += status != TCT_OK;
    if (!struck) break;
  }
  fault_pieces(false);
  CHECK(failed > 50, "%d", failed);
  tct_job_free(job);
}

static void append(void *user, const char *text, size_t length) {
  char *const to = user;
  const size_t used = strlen(to);
  CHECK(used + length < 1 << 17);
  memcpy(to + used, text, length);
  to[used + length] = '\0';
}

static void append_line(void *user, const char *text) { append(user, text, strlen(text)); }

TEST(forecast, timeline_and_listing) {
  static char text[1 << 17];
  tct_job *const job = job_of(glyphs, on_v3, 1);
  tct_forecast *forecast = NULL;
  tct_forecast_info info;
  OK(tct_forecast_open(job, false, &forecast));
  tct_forecast_describe(forecast, &info);
  text[0] = '\0';
  OK(tct_forecast_trace(forecast, append, text));
  json_t *const trace = json_loads(text, 0, NULL);
  CHECK(trace != NULL && (int32_t)json_array_size(json_object_get(trace, "traceEvents")) > info.n_ops, "%s", text);
  json_decref(trace);
  text[0] = '\0';
  tct_forecast_listing(forecast, 0, append_line, text);
  CHECK(strstr(text, "taps in blocks of") != NULL && strstr(text, "fence") != NULL, "%s", text);
  tct_forecast_free(forecast);
  tct_job_free(job);
}

static const tct_forecast_finding *finding_of(const tct_forecast_finding *findings, int32_t n, const char *where, const char *what) {
  for (int32_t i = 0; i < n; i++) {
    if (strcmp(findings[i].where, where) == 0 && strstr(findings[i].what, what) != NULL) return &findings[i];
  }
  return NULL;
}

/* Every kind of finding in a job that deserves it. */
TEST(forecast, findings) {
  static const struct {
    const char *set[3], *where, *what, *instead;
    int programs;
  } rows[] = {
      {{"device=tpu:v3"}, "conv2d/conv2d", "1 channel of 128 rows of the array", "one product of 9 inputs", 0},
      {{"device=tpu:v3"}, "data", "the last batch of training has 26 samples", "train.drop_remainder: true leaves out", 2},
      {{"device=tpu:v3", "train.batch_size=7"}, "data", "the last batch of training has 6 samples", "a batch of 5 divides all of it", 3},
      {{"device=tpu:v3"}, "batch", "a batch of 32 leaves the arrays", "a batch of 64: ", 0}, /* there are 90 samples */
      {{"device=tpu:v3"}, "conv2d/conv2d", "results take 4.01 MB in HBM's tiles of 8x128", "channels in multiples of 128", 0},
      {{"device=tpu:eyeriss,hbm=1TB/s,latency=0s,pcie=1TB/s"}, "optimizer/dense/kernel/adam_update", "the vector unit works", "fewer or cheaper ones", 0},
      {{"device=tpu:eyeriss"}, "conv2d/conv2d", "4 outputs fill 14 columns of the array: 71 % of them idle", "14 outputs: 250 % more in the same time", 0},
      {{"device=tpu:eyeriss", "model.layers[0].filters=20"}, "conv2d/conv2d", "20 outputs fill 28 columns", "14 outputs (50 % less work) or 28", 0},
      {{"device=tpu:v3,pcie=1MB/s"}, "input", "the chip waits for its input", "send bytes", 0},
      {{"device=tpu:v3,chips=16,ici=100kB/s"}, "links", "over 16 chips outlast the backward pass", "fewer chips", 0},
      {{"device=tpu:v3,overhead=0s,hbm=10TB/s,latency=0s,array=8x8", "train.batch_size=4"}, "batch", "a batch of 4 leaves the arrays", "us a sample", 0},
      {{"device=tpu:v3", "dtype=f64", "fallback=host"}, "conv2d/conv2d", "of this op runs on the host: out over PCIe, a stop, and back", "numbers of 32 bits", 0},
      {{"device=tpu:v3", "train.batch_size=1", "model.layers[2].units=4000"}, "optimizer", "updating the weights takes", "twice the batch", 0},
  };
  for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
    int32_t n_set = 0, n = 0;
    while (n_set < 3 && rows[r].set[n_set] != NULL) n_set++;
    tct_job *const job = job_of(glyphs, rows[r].set, n_set);
    tct_forecast *forecast = NULL;
    const tct_forecast_finding *findings = NULL, *again = NULL;
    OK(tct_forecast_open(job, true, &forecast));
    OK(tct_forecast_lint(forecast, &findings, &n));
    OK(tct_forecast_lint(forecast, &again, &n));
    CHECK(findings == again, "found once");
    for (int32_t i = 1; i < n; i++) CHECK(!(findings[i].saves > findings[i - 1].saves) && (isnan(findings[i].saves) || !isnan(findings[i - 1].saves)));
    const tct_forecast_finding *const x = finding_of(findings, n, rows[r].where, rows[r].what);
    CHECK(x != NULL, "row %zu: no finding '%s' at '%s'", r, rows[r].what, rows[r].where);
    CHECK(strstr(x->instead, rows[r].instead) != NULL && x->saves_programs == rows[r].programs,
          "row %zu: %s | %s | %d", r, x->what, x->instead, (int)x->saves_programs);
    tct_forecast_free(forecast);
    tct_job_free(job);
  }
}

TEST(forecast, refusals) {
  static const struct {
    const char *set, *part;
    tct_status status;
  } rows[] = {{"device=cpu", "device 'cpu' has no modelled clock; needs tpu or tpu:CHIP", TCT_UNSUPPORTED},
              {"device=tpu:v9", "no TPU chip 'v9'", TCT_NOT_FOUND},
              {"device=tpu:v3,hbm_size=1MB", "HBM", TCT_OUT_OF_MEMORY},
              {"train.batch_size=1000000000000", "at batch 1000000000000", TCT_INVALID}};
  for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
    const char *const set[] = {"device=tpu:v3", rows[r].set};
    tct_job *const job = job_of(glyphs, set, 2);
    tct_forecast *forecast = NULL;
    const tct_status status = tct_forecast_open(job, true, &forecast);
    CHECK(status != TCT_OK && forecast == NULL && strstr(tct_error_message(), rows[r].part) != NULL && (r == 3 || status == rows[r].status),
          "row %zu: %d, %s", r, (int)status, tct_error_message());
    tct_job_free(job);
  }
  tct_forecast_free(NULL);
}
