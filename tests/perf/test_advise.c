/* Advice: who is named for which limits, on predictions made by hand; the analytic model on recorded steps; the command. */
#include <math.h>
#include "perf/advise/advise.h"
#include "perf/advise/model.h"
#include "perf/compare/statistics.h"
#include "perf/support/json.h"
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
  for (int j = 0; j < PERF_N_FEATURES; j++) truth.w[j] = j == PERF_OPS ? 1e-6 : j == PERF_FORKS ? 2e-5 : 1 + 0.1 * j;
  for (int i = 0; i < N; i++) {
    (void)snprintf(cells[i].job, sizeof cells[i].job, "job%d", i / 60);
    for (int j = 0; j < PERF_N_FEATURES; j++) {
      state = state * 1664525u + 1013904223u;
      cells[i].features.f[j] = (double)(state >> 8) * 0x1p-24 * (j == PERF_OPS || j == PERF_FORKS ? 60 : 1e-3);
    }
    cells[i].seconds = perf_model_seconds(&truth, &cells[i].features);
  }
  perf_weights found;
  perf_model_calibrate(cells, N, &found);
  CHECK(found.factor < 1.02, "%g", found.factor);
  for (int i = 0; i < N; i++) CHECK(fabs(perf_model_seconds(&found, &cells[i].features) / cells[i].seconds - 1) < 0.02, "cell %d", i);
}

/* The recorded steps (perf/results/advise-cells.json), each job predicted as a stranger's would be: weights and interval are of the other
 * jobs alone. */
TEST(advise, model_predicts_unseen_jobs) {
  enum { MOST = 1024 };
  perf_cell *cells = NULL;
  static perf_cell others[MOST];
  static double error[MOST], width[MOST];
  int n = 0, inside = 0, jobs = 0;
  perf_weights all, other;
  CHECK(perf_cells_read(TCT_SOURCE_DIR "/perf/results/advise-cells.json", &cells, &n) && n >= 40 && n <= MOST, "%d", n);
  for (int i = 0; i < n; i++) {
    if (i == 0 || strcmp(cells[i].job, cells[i - 1].job) != 0) {
      int m = 0;
      for (int k = 0; k < n; k++) {
        if (strcmp(cells[k].job, cells[i].job) != 0) others[m++] = cells[k];
      }
      perf_model_calibrate(others, m, &other);
      jobs++;
    }
    const double seconds = perf_model_seconds(&other, &cells[i].features);
    error[i] = fabs(seconds / cells[i].seconds - 1);
    width[i] = (other.factor - 1 / other.factor) / 2;
    inside += fabs(log(seconds / cells[i].seconds)) <= log(other.factor);
  }
  perf_sort(error, n);
  perf_sort(width, n);
  CHECK(jobs >= 10, "%d jobs", jobs);
  CHECK(inside >= 0.85 * n, "%d of %d within their intervals", inside, n);
  CHECK(perf_quantile(error, n, 0.5) <= 0.2, "median error %g", perf_quantile(error, n, 0.5));
  CHECK(perf_quantile(width, n, 0.5) <= 0.45, "median half-width %g", perf_quantile(width, n, 0.5));
  perf_model_calibrate(cells, n, &all);
  for (int j = 0; j < PERF_N_FEATURES; j++) CHECK(fabs(perf_own_weights.w[j] / all.w[j] - 1) < 0.01, "weights.def is not of these cells: %s", perf_feature_name(j));
  CHECK(fabs(perf_own_weights.factor / all.factor - 1) < 1e-3, "weights.def has the factor %g, these cells %g", perf_own_weights.factor, all.factor);
  free(cells);
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
  RUN("advise", "job.yaml", "--devices", "tpu:v3", "-q");
  EXITS(0);
  SHOWS(out, "Earlier predictions: ");
  RUN("advise", "job.yaml", "--devices", "tpu:v3", "-q", "--with", "runs.jsonl", "--json");
  EXITS(0);
  json_t *const other = json_load_file(in_folder("stdout.txt"), 0, NULL);
  const json_t *const quoted = json_array_get(json_object_get(other, "devices"), 1);
  CHECK(json_array_size(json_object_get(other, "devices")) == 2 && perf_is(json_object_get(quoted, "step"), "how", "quoted") && perf_get_number(quoted, "dollars") > 0);
  json_decref(other);
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
  RUN("advise", "job.yaml", "--devices", "tpu:v3,H200", "--now", "H200", "-q", "--json", "--analytic");
  EXITS(0);
  json_t *const sheets = json_load_file(in_folder("stdout.txt"), 0, NULL);
  const json_t *const h200 = json_array_get(json_object_get(sheets, "devices"), 1), *const step = json_object_get(h200, "step");
  const double low = perf_get_number(step, "low"), median = perf_get_number(step, "median"), high = perf_get_number(step, "high");
  CHECK(perf_is(step, "how", "datasheet, assumed") && low > 0 && low < median && median < high && fabs(median * median / (low * high) - 1) < 1e-9);
  CHECK(perf_get_number(h200, "dollars") > 0 && strstr(perf_get_text(h200, "quoted_from"), "datasheet") != NULL && perf_get_number(h200, "steps") == 60);
  json_decref(sheets);
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
  SHOWS(err, "of another job");
  CHECK(chdir("/") == 0);
  scratch_remove(folder);
}
