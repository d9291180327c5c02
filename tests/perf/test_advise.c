/* Advice: who is named for which limits, on predictions made by hand; the analytic model on recorded steps; the command. */
#include <math.h>
#include "perf/advise/advise.h"
#include "perf/advise/model.h"
#include "perf/compare/statistics.h"
#include "perf/support/json.h"
#include "perf/support/noise.h"
#include "tools/command.h"

/* steps 1000 of `step` seconds; dollars per hour; joules of the job (NaN: unknown); latency */
static json_t *candidate(const char *id, const char *kind, double step, double price, double joules, double latency) {
  json_t *const device = json_object();
  json_object_set_new(device, "id", json_string(id));
  json_object_set_new(device, "kind", json_string(kind));
  json_object_set_new(device, "status", json_string("done"));
  json_object_set_new(device, "step", json_pack("{s:f, s:f, s:f, s:s}", "median", step, "low", 0.9 * step, "high", 1.2 * step, "how", "measured"));
  json_object_set_new(device, "steps", json_integer(1000));
  json_object_set_new(device, "price", json_pack("{s:f}", "dollars_per_hour", price));
  json_object_set_new(device, "joules", perf_number(joules));
  json_object_set_new(device, "latency", perf_number(latency));
  return device;
}

static json_t *three(void) {
  json_t *const advice = json_object(), *const devices = json_array();
  json_array_append_new(devices, candidate("cpu", "cpu", 0.6, 0.1, (double)NAN, 5e-4)); /* 600 s, 0.0167 $ */
  json_array_append_new(devices, candidate("gpu", "gpu", 0.1, 0.64, 20e3, 4e-4));       /* 100 s, 0.0178 $ */
  json_array_append_new(devices, candidate("tpu:v3", "tpu", 0.05, 8.0, 5e3, 1e-4));     /* 50 s, 0.111 $ */
  json_object_set_new(advice, "devices", devices);
  return advice;
}

static const perf_limits no_limits = {.cost = NAN, .deadline = NAN, .latency = NAN, .joules = NAN};

static void check_use(const perf_limits *limits, const char *use, const char *decided, const char *runner_up) {
  json_t *const advice = three(), *const verdict = (perf_weigh(advice, limits), json_object_get(advice, "verdict"));
  char *const text = json_dumps(verdict, 0);
  CHECK(strcmp(perf_get_text(verdict, "use"), use) == 0, "wanted %s: %s", use, text);
  CHECK(perf_is(verdict, "decided_by", decided), "wanted %s: %s", decided, text);
  CHECK(strcmp(perf_get_text(verdict, "runner_up"), runner_up) == 0, "wanted %s: %s", runner_up, text);
  free(text);
  json_decref(advice);
}

TEST(advise, limits_decide) {
  perf_limits l = no_limits;
  check_use(&l, "tpu:v3", "time", "gpu");
  l.cost = 0.05;
  check_use(&l, "gpu", "cost limit", "cpu");
  l.deadline = 90;
  check_use(&l, "", "cost limit", "");
  l = no_limits;
  l.custom_op = true;
  check_use(&l, "cpu", "custom-op", "gpu"); /* the TPU has none, nor has this version's gpu */
  l = no_limits;
  l.joules = 10e3;
  check_use(&l, "tpu:v3", "time", "cpu"); /* the cpu's energy cannot be told: it is not taken, but it is the cheapest of the others */
  l = no_limits;
  l.goal = PERF_COST;
  check_use(&l, "cpu", "cost", "gpu");
  l.deadline = 150;
  check_use(&l, "gpu", "deadline", "tpu:v3");
}

/* The guides' own question: reduce latency, but cost may rise by at most ten percent. */
TEST(advise, latency_for_ten_percent) {
  perf_limits l = no_limits;
  l.goal = PERF_LATENCY;
  l.now = "cpu";
  CHECK(perf_read_cost("+10%", &l) && l.cost_is_share);
  check_use(&l, "gpu", "cost limit", "cpu");
  CHECK(perf_read_cost("+700%", &l));
  check_use(&l, "tpu:v3", "latency", "gpu");
  CHECK(perf_read_cost("+5%", &l));
  check_use(&l, "cpu", "cost limit", "gpu");
}

/* Two whose times may be the other way round are said to be so. */
TEST(advise, overlaps_are_said) {
  for (int near = 0; near < 2; near++) {
    json_t *const advice = json_object(), *const devices = json_array();
    json_array_append_new(devices, candidate("a", "cpu", 0.5, 0.1, (double)NAN, 5e-4));
    json_array_append_new(devices, candidate("b", "gpu", near ? 0.55 : 1.5, 0.1, (double)NAN, 5e-4));
    json_object_set_new(advice, "devices", devices);
    perf_weigh(advice, &no_limits);
    char *const text = json_dumps(json_object_get(advice, "verdict"), 0);
    CHECK((strstr(text, "overlap") != NULL) == (near == 1), "%s", text);
    free(text);
    json_decref(advice);
  }
}

/* What disturbed a measurement stands below the table. */
TEST(advise, noise_is_said) {
  static const struct {
    double load, steal, throttled;
    const char *said;
    bool unfit;
  } rows[] = {{1.9, 0.01, 0, NULL, false},
              {NAN, NAN, NAN, NULL, false},
              {2.1, 0, 0, "?  a: noise: load average 2.1 before a run: more than the processors", false},
              {0, 0.03, 0, "?  a: noise: other machines took 3.0 % of the processors' time", false},
              {4.1, 0, 0, "?  a: noise: unfit to be compared, for what follows", true},
              {0, 0.05, 0, "other machines took 5.0 %", true},
              {0, 0, 3, "the processor throttled 3 times", true}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    json_t *const advice = json_object(), *const devices = json_array(), *const device = candidate("a", "cpu", 0.5, 0.1, (double)NAN, 5e-4);
    json_object_set_new(device, "noise", perf_judge_noise((double)NAN, rows[i].load, rows[i].steal, rows[i].throttled, 2));
    CHECK(json_is_true(json_object_get(json_object_get(device, "noise"), "unfit")) == rows[i].unfit, "row %zu", i);
    json_array_append_new(devices, device);
    json_object_set_new(advice, "devices", devices);
    perf_weigh(advice, &no_limits);
    char *text = NULL;
    size_t bytes = 0;
    FILE *const to = open_memstream(&text, &bytes);
    perf_advice_table(advice, to);
    CHECK(fclose(to) == 0 && (rows[i].said != NULL ? strstr(text, rows[i].said) != NULL : strstr(text, "noise") == NULL), "row %zu: %s", i, text);
    free(text);
    json_decref(advice);
  }
}

TEST(advise, pareto) {
  json_t *const advice = three();
  json_array_append_new(json_object_get(advice, "devices"), candidate("slow", "tpu", 0.7, 0.2, 30e3, 1));
  perf_weigh(advice, &no_limits);
  static const bool wanted[] = {true, true, true, false};
  for (size_t i = 0; i < 4; i++) CHECK(json_is_true(json_object_get(json_array_get(json_object_get(advice, "devices"), i), "pareto")) == wanted[i], "%zu", i);
  json_decref(advice);
}

TEST(advise, limits_are_read) {
  perf_limits l;
  double v;
  CHECK(perf_read_cost("$1", &l) && l.cost == 1 && !l.cost_is_share && perf_read_cost("0.25", &l) && l.cost == 0.25);
  CHECK(perf_read_seconds("10m", &v) && v == 600 && perf_read_seconds("5ms", &v) && v == 5e-3 && perf_read_seconds("1.5h", &v) && v == 5400);
  CHECK(perf_read_joules("50kJ", &v) && v == 50e3 && perf_read_joules("1kWh", &v) && v == 3.6e6);
  static const char *const bad[] = {"", "x", "5", "-1s", "5 s", "nan", "infs", "5sec"};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) CHECK(!perf_read_seconds(bad[i], &v), "%s", bad[i]);
  static const char *const costs[] = {"", "$", "+10", "10%", "-1", "+x%", "1USD"};
  for (size_t i = 0; i < sizeof costs / sizeof costs[0]; i++) CHECK(!perf_read_cost(costs[i], &l), "%s", costs[i]);
}

/* Steps of known weights are found again. */
TEST(advise, model_finds_weights) {
  enum { N = 600 };
  static perf_cell cells[N];
  perf_weights truth;
  unsigned state = 5;
  for (int j = 0; j < PERF_N_FEATURES; j++) truth.w[j] = 1 + 0.05 * j;
  truth.w[PERF_OPS] = 1e-6; /* seconds of one; the others are times their seconds */
  truth.w[PERF_FORKS] = 2e-5;
  truth.w[PERF_ATTENTION_ROWS] = 3e-7;
  truth.w[PERF_FUNCTION_ELEMENTS] = 2e-9;
  truth.w[PERF_RECURRENT_STEPS] = 2e-6;
  for (int i = 0; i < N; i++) {
    (void)snprintf(cells[i].job, sizeof cells[i].job, "job%d", i / 60);
    for (int j = 0; j < PERF_N_FEATURES; j++) {
      state = state * 1664525u + 1013904223u;
      cells[i].features.f[j] = (double)(state >> 8) * 0x1p-24 * 1e-3 / (truth.w[j] < 0.1 ? truth.w[j] : 1);
    }
    cells[i].seconds = perf_model_seconds(&truth, &cells[i].features);
  }
  perf_weights found;
  perf_model_calibrate(cells, N, &found);
  for (int i = 0; i < N; i++) CHECK(perf_model_factor(&found, &cells[i].features) < 1.02, "cell %d: %g", i, perf_model_factor(&found, &cells[i].features));
  for (int i = 0; i < N; i++) CHECK(fabs(perf_model_seconds(&found, &cells[i].features) / cells[i].seconds - 1) < 0.02, "cell %d", i);
}

/* A millisecond that varies by 2 %, or every other one by 30 %. */
static double fresh(int i, unsigned *state) {
  double sum = 0; /* of twelve: nearly normal */
  for (int k = 0; k < 12; k++) {
    *state = *state * 1664525u + 1013904223u;
    sum += (double)(*state >> 8) * 0x1p-24 - 0.5;
  }
  return 1e-3 * exp((i % 2 == 0 ? 0.02 : 0.3) * sum);
}

/* Where one part of a step varies and another does not, the interval is wider for what consists of the first alone, never narrower than the
 * mean's, and holds 90 % of both. */
TEST(advise, model_tells_what_varies) {
  enum { N = 800 };
  static perf_cell cells[N];
  perf_weights found;
  unsigned state = 11;
  for (int i = 0; i < N; i++) {
    (void)snprintf(cells[i].job, sizeof cells[i].job, "job%d", i / 20);
    cells[i].features = (perf_features){{0}};
    cells[i].features.f[i % 2 == 0 ? 2 * PERF_MATMUL : 2 * PERF_CONV] = 1e-3;
    cells[i].seconds = fresh(i, &state);
  }
  perf_model_calibrate(cells, N, &found);
  const double narrow = log(perf_model_factor(&found, &cells[0].features)), wide = log(perf_model_factor(&found, &cells[1].features));
  CHECK(narrow > 0.2 && narrow < 0.3 && wide > 0.33 && wide < 0.42, "%g and %g; deviations of 0.3 and of their mean, 0.213, times 1.28, which holds 80 %% of the half that varies", narrow, wide);
  int inside[2] = {0};
  for (int i = 0; i < N; i++) {
    const double seconds = fresh(i, &state);
    inside[i % 2] += fabs(log(perf_model_seconds(&found, &cells[i].features) / seconds)) <= (i % 2 == 0 ? narrow : wide);
  }
  CHECK(inside[0] == N / 2 && inside[1] > 0.74 * N / 2 && inside[1] < 0.86 * N / 2, "%d and %d of %d fresh ones", inside[0], inside[1], N / 2);
}

/* Recorded steps, each job predicted as a stranger's would be: the jobs of the fit, with weights and interval of the other jobs; and jobs that
 * were written and recorded when the model stood. */
TEST(advise, model_predicts_unseen_jobs) {
  static const char *const files[] = {"advise-cells.json", "advise-unseen.json"};
  for (int own = 0; own < 2; own++) {
    perf_cell *cells = NULL;
    int n = 0, jobs = 0;
    char path[4096];
    (void)snprintf(path, sizeof path, TCT_SOURCE_DIR "/perf/results/%s", files[own]);
    CHECK(perf_cells_read(path, &cells, &n) && n >= 40 && n <= 1024, "%s: %d", files[own], n);
    for (int i = 0; i < n; i++) jobs += i == 0 || strcmp(cells[i].job, cells[i - 1].job) != 0;
    perf_judged j;
    CHECK(perf_model_judge(cells, n, own != 0 ? &perf_own_weights : NULL, NULL, NULL, &j) && j.n == n);
    CHECK(jobs >= 10, "%s: %d jobs", files[own], jobs);
    CHECK(j.inside >= 0.85 * n, "%s: %d of %d within their intervals", files[own], j.inside, n);
    CHECK(j.error <= 0.2, "%s: median error %g", files[own], j.error);
    CHECK(j.half_width <= 0.3, "%s: median half-width %g", files[own], j.half_width);
    free(cells);
  }
}

TEST(advise, weights_are_of_the_recorded_cells) {
  perf_cell *cells = NULL;
  int n = 0;
  perf_weights all;
  CHECK(perf_cells_read(TCT_SOURCE_DIR "/perf/results/advise-cells.json", &cells, &n));
  perf_model_calibrate(cells, n, &all);
  for (int j = 0; j < PERF_N_FEATURES; j++) CHECK(fabs(perf_own_weights.w[j] / all.w[j] - 1) < 0.01, "weights.def is not of these cells: %s", perf_feature_name(j));
  for (int i = 0; i < n; i++) {
    const double own = perf_model_factor(&perf_own_weights, &cells[i].features), factor = perf_model_factor(&all, &cells[i].features);
    CHECK(fabs(own / factor - 1) < 1e-3, "weights.def has the factor %g, these cells %g", own, factor);
  }
  free(cells);
}

/* The file's last line that holds `text`. */
static const char *last_line_of(const char *path, const char *text) {
  static char line[100000], found[100000];
  FILE *const file = fopen(path, "r");
  found[0] = '\0';
  while (file != NULL && fgets(line, sizeof line, file) != NULL) {
    if (strstr(line, text) != NULL) memcpy(found, line, sizeof line);
  }
  if (file != NULL) (void)fclose(file);
  return found;
}

/* The file's runs as if they had been cut off before an epoch's end, or, `hostile`, thousands of them with no start. */
static void rewrite_runs(const char *name, bool hostile) {
  char text[100000], path[4096];
  (void)snprintf(path, sizeof path, "%s", in_folder(name));
  FILE *const file = fopen(path, "r+");
  json_t *lines[64], *record;
  int n = 0;
  CHECK(file != NULL);
  for (; n < 64 && fgets(text, sizeof text, file) != NULL; n++) {
    lines[n] = record = json_loads(text, 0, NULL);
    if (perf_is(record, "record", "run") && !hostile) json_object_set_new(record, "epochs", json_array());
    if (perf_is(record, "record", "run") && hostile) json_object_set_new(record, "cold", json_object());
  }
  CHECK(fseek(file, 0, SEEK_SET) == 0 && ftruncate(fileno(file), 0) == 0);
  for (int i = 0; i < n; i++) {
    for (int k = 0; k < (hostile && perf_is(lines[i], "record", "run") ? 3000 : 1); k++) CHECK(json_dumpf(lines[i], file, JSON_COMPACT) == 0 && fputc('\n', file) == '\n');
    json_decref(lines[i]);
  }
  CHECK(fclose(file) == 0);
}

TEST(advise, command) {
  scratch_make(folder);
  CHECK(chdir(folder) == 0);
  write_text("job.yaml", "data: {type: glyphs, samples: 400}\nmodel: {layers: [Flatten, {Dense: {units: 10, activation: softmax}}]}\n"
                         "loss: sparse_categorical_crossentropy\ntrain: {epochs: 3, batch_size: 20}\n");
  for (int analytic = 0; analytic < 2; analytic++) {
    RUN("advise", "job.yaml", "--devices", "cpu,gpu,tpu:v3", "--deadline", "1h", "-q", "--json", analytic ? "--analytic" : "--deadline=1h");
    EXITS(0);
    json_t *const advice = json_load_file(in_folder("stdout.txt"), 0, NULL);
    const json_t *const devices = json_object_get(advice, "devices"), *const cpu = json_array_get(devices, 0), *const tpu = json_array_get(devices, 2);
    CHECK(perf_get_number(cpu, "steps") == 60 && strncmp(perf_get_text(json_object_get(cpu, "step"), "how"), analytic ? "analytic, " : "measured", 8) == 0);
    CHECK(perf_get_number(json_object_get(cpu, "total"), "median") > 0 && perf_get_number(cpu, "latency") > 0 && json_is_true(json_object_get(cpu, "fits")));
    CHECK(perf_is(json_array_get(devices, 1), "status", "absent") && perf_get_number(tpu, "joules") > 0);
    json_decref(advice);
  }
  RUN("compare", "job.yaml", "--devices", "cpu,tpu:v3", "--runs", "2", "--steps", "10", "-q", "-o", "runs.jsonl");
  EXITS(0);
  RUN("advise", "job.yaml", "--verify", "runs.jsonl", "--json");
  EXITS(0);
  json_t *const rows = json_load_file(in_folder("stdout.txt"), 0, NULL);
  CHECK(json_array_size(rows) == 3, "two runs on the cpu, one on the TPU");
  CHECK(fabs(perf_get_number(json_array_get(rows, 2), "error")) < 1e-6 || fabs(perf_get_number(json_array_get(rows, 1), "error")) < 1e-6, "a model predicts itself");
  json_decref(rows);
  RUN("advise", "job.yaml", "--verify", "runs.jsonl");
  EXITS(0);
  RUN("advise", "job.yaml", "--devices", "tpu:v3", "-q");
  EXITS(0);
  SHOWS(out, "Earlier predictions: ");
  SHOWS(out, " of 3 within"); /* not of six: verified twice */
  RUN("advise", "job.yaml", "--devices", "tpu:v3", "-q", "--with", "runs.jsonl", "--json");
  EXITS(0);
  json_t *const other = json_load_file(in_folder("stdout.txt"), 0, NULL);
  const json_t *const quoted = json_array_get(json_object_get(other, "devices"), 1);
  CHECK(json_array_size(json_object_get(other, "devices")) == 2 && perf_is(json_object_get(quoted, "step"), "how", "quoted, least to most of its runs") && perf_get_number(quoted, "dollars") > 0);
  /* Its start counts; of its validation a file of steps says nothing, one of epochs does. */
  const json_t *const cold = json_object_get(quoted, "cold");
  const double began = perf_get_number(cold, "load") + perf_get_number(cold, "compile"), median = perf_get_number(json_object_get(quoted, "step"), "median");
  CHECK(began > 0 && fabs(perf_get_number(json_object_get(quoted, "total"), "median") - 60 * median - began) < 1e-9);
  json_decref(other);
  static const char *const split[] = {"-s", "data.validation_split=0.5"};
  RUN("compare", "job.yaml", split[0], split[1], "--devices", "cpu", "--runs", "1", "--mode", "epochs", "-q", "-o", "epochs.jsonl");
  EXITS(0);
  json_t *const written = json_loads(last_line_of(in_folder("epochs.jsonl"), "\"record\":\"run\""), 0, NULL);
  double steps = 0;
  json_t *value;
  size_t at;
  json_array_foreach(json_object_get(written, "step_seconds"), at, value) steps += json_number_value(value);
  const double validation = perf_get_number(json_array_get(json_object_get(written, "epochs"), 2), "seconds") - steps;
  json_decref(written);
  for (int cut = 0; cut < 2; cut++) {
    if (cut) rewrite_runs("epochs.jsonl", false);
    RUN("advise", "job.yaml", split[0], split[1], "--devices", "tpu:v3", "-q", "--with", "epochs.jsonl", "--json");
    EXITS(0);
    json_t *const validated = json_load_file(in_folder("stdout.txt"), 0, NULL);
    const json_t *const there = json_array_get(json_object_get(validated, "devices"), 1);
    CHECK(perf_get_number(there, "validation_batches") == 30, "three epochs of 200 / 20 batches");
    CHECK(cut ? json_object_get(there, "omits") != NULL : json_object_get(there, "omits") == NULL && fabs(30 * perf_get_number(there, "forward") / validation - 1) < 1e-6,
          "%g s of validation, counted %g", validation, 30 * perf_get_number(there, "forward"));
    json_decref(validated);
  }
  RUN("advise", "job.yaml", split[0], split[1], "--devices", "tpu:v3", "-q", "--with", "epochs.jsonl");
  EXITS(0);
  SHOWS(out, "is not counted");
  rewrite_runs("epochs.jsonl", true);
  RUN("advise", "job.yaml", split[0], split[1], "--devices", "tpu:v3", "-q", "--with", "epochs.jsonl");
  EXITS(0);
  RUN("advise", "job.yaml", "--devices", "gpu", "-q", "--with", "runs.jsonl");
  EXITS(0);
  SHOWS(out, "no device here tells how many steps the job has");
  SHOWS(out, "No device here has a prediction");
  /* To a target: the steps are those of recorded runs, or the whole job's with a word on it. */
  RUN("advise", "job.yaml", "--devices", "tpu:v3", "-q", "--target", "loss<=1e9", "--json");
  EXITS(0);
  json_t *const whole = json_load_file(in_folder("stdout.txt"), 0, NULL);
  CHECK(json_is_null(json_object_get(json_object_get(whole, "target"), "steps")) && perf_get_number(json_array_get(json_object_get(whole, "devices"), 0), "steps") == 60);
  RUN("compare", "job.yaml", "--devices", "cpu", "--runs", "1", "--target", "loss<=1e9", "-q", "-o", "target.jsonl");
  EXITS(0);
  RUN("advise", "job.yaml", "--devices", "tpu:v3", "-q", "--target", "loss<=1e9", "--json", "--with", "target.jsonl");
  EXITS(0);
  json_t *const until = json_load_file(in_folder("stdout.txt"), 0, NULL);
  const json_t *const a = json_array_get(json_object_get(whole, "devices"), 0), *const b = json_array_get(json_object_get(until, "devices"), 0);
  CHECK(perf_get_number(b, "steps") == 20 && perf_get_number(json_object_get(json_object_get(until, "target"), "steps"), "median") == 20, "reached in the first of three epochs");
  CHECK(fabs(3 * perf_get_number(b, "joules") / perf_get_number(a, "joules") - 1) < 1e-9);
  CHECK(perf_get_number(json_object_get(b, "total"), "median") < perf_get_number(json_object_get(a, "total"), "median"));
  json_decref(whole);
  json_decref(until);
  RUN("advise", "job.yaml", "--devices", "tpu:v3", "-q", "--target", "loss=1");
  EXITS(3);
  /* What is known by its datasheet alone: between its roofline and what is assumed, quoted, with a price. */
  RUN("advise", "job.yaml", "--devices", "tpu:v3,h200", "--now", "h200", "-q", "--json", "--analytic");
  EXITS(0);
  json_t *const sheets = json_load_file(in_folder("stdout.txt"), 0, NULL);
  const json_t *const h200 = json_array_get(json_object_get(sheets, "devices"), 1), *const step = json_object_get(h200, "step");
  const double low = perf_get_number(step, "low"), middle = perf_get_number(step, "median"), high = perf_get_number(step, "high");
  CHECK(perf_is(step, "how", "datasheet, assumed") && low > 0 && low < middle && middle < high && fabs(middle * middle / (low * high) - 1) < 1e-9);
  CHECK(perf_get_number(h200, "dollars") > 0 && strstr(perf_get_text(h200, "quoted_from"), "datasheet") != NULL && perf_get_number(h200, "steps") == 60);
  json_decref(sheets);
  RUN("advise", "job.yaml", "--devices", "T4", "-q", "--analytic", "--max-cost", "1");
  EXITS(0);
  SHOWS(out, "of at most $1");
  RUN("advise", "job.yaml", "--devices", "cpu,H300", "-q");
  EXITS(4);
  static const char *const wrong[][3] = {{"--max-cost", "ten", "--max-cost is 'ten'"}, {"--deadline", "10", "--deadline is '10'"}, {"--goal", "speed", "--goal is 'speed'"},
                                         {"--needs", "luck", "--needs is 'luck'"}, {"--now", "gpu:9", "--now 'gpu:9'"}, {"--max-energy", "1cal", "--max-energy is '1cal'"}};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    RUN("advise", "job.yaml", "--devices", "cpu", "-q", wrong[i][0], wrong[i][1]);
    EXITS(2);
    SHOWS(err, wrong[i][2]);
  }
  RUN("advise", "job.yaml", "--devices", "cpu", "-q", "-o", "runs.jsonl");
  EXITS(2);
  SHOWS(err, "'runs.jsonl' is no file of advice; give another --output");
  RUN("advise", "job.yaml", "--verify", "runs.jsonl", "-o", "empty.jsonl");
  EXITS(2);
  RUN("advise", "job.yaml", "-s", "model.layers[1].units=9", "--devices", "tpu:v3", "-q", "-o", "other.jsonl");
  RUN("advise", "job.yaml", "--verify", "runs.jsonl", "-o", "other.jsonl");
  EXITS(3);
  SHOWS(err, "ends with a prediction of another job");
  RUN("advise", "job.yaml", "--devices", "tpu:v3,h200,H200", "-q");
  EXITS(3);
  SHOWS(err, "'H200' is there twice");
  CHECK(chdir("/") == 0);
  scratch_remove(folder);
}
