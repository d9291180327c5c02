/* A comparison from its command line to its tables: rows for what cannot run, files that survive, numbers that agree. */
#include <math.h>
#include <sys/stat.h>
#include "perf/compare/file.h"
#include "perf/compare/run.h"
#include "perf/compare/summary.h"
#include "perf/support/json.h"
#include "tools/command.h"

static const char small_job[] = "seed: 3\n"
                                "data: {type: glyphs, samples: 400, test: {samples: 100}, validation_split: 0.1}\n"
                                "model: {width: 8, layers: [Flatten, {Dense: {units: $width, activation: relu}}, {Dense: {units: 10, activation: softmax}}]}\n"
                                "loss: sparse_categorical_crossentropy\noptimizer: {type: adam, learning_rate: 0.01}\nmetrics: [accuracy]\n"
                                "train: {epochs: 2, batch_size: 20}\n";

static void begin(void) {
  scratch_make(folder);
  CHECK(chdir(folder) == 0);
  write_text("job.yaml", small_job);
}

static void end(void) {
  CHECK(chdir("/") == 0);
  scratch_remove(folder);
}

/* What the last command printed with --json; it may be longer than `result.out`. */
static json_t *summary_of_last(void) {
  json_error_t error;
  json_t *const summary = json_load_file(in_folder("stdout.txt"), 0, &error);
  CHECK(summary != NULL, "%s: %.300s", error.text, result.out);
  return summary;
}

static const json_t *device_of(const json_t *summary, const char *id) {
  size_t i;
  json_t *device;
  json_array_foreach(json_object_get(summary, "devices"), i, device) {
    if (perf_is(device, "id", id)) return device;
  }
  CHECK(false, "no device %s", id);
  return NULL;
}

static const json_t *point_of(const json_t *summary, const char *id, size_t i) {
  return json_array_get(json_object_get(device_of(summary, id), "points"), i);
}

TEST(compare, steps) {
  begin();
  RUN("compare", "job.yaml", "--devices", "cpu,gpu,tpu:v3,array=64x64", "--runs", "3", "--steps", "8", "--warmup", "2", "-q", "--csv", "all.csv");
  EXITS(0);
  SHOWS(out, "gpu: absent: ");
  SHOWS(out, "~ modelled");
  SHOWS(out, "-> job: use cpu: ");
  char *rest = NULL;
  for (char *line = strtok_r(result.out, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
    size_t columns = 0;
    for (const char *c = line; *c != '\0'; c++) columns += ((unsigned char)*c & 0xC0) != 0x80;
    CHECK(columns <= 80, "%zu columns: %s", columns, line);
  }
  RUN("report", "job.compare.jsonl", "--json");
  EXITS(0);
  json_t *const summary = summary_of_last();
  const json_t *const cpu = point_of(summary, "cpu", 0), *const tpu = point_of(summary, "tpu:v3,array=64x64", 0);
  const double step = perf_median(cpu, "step_p50"), modelled = perf_median(tpu, "step_p50");
  CHECK(perf_is(cpu, "status", "done") && step > 0 && step < 1, "%g", step);
  CHECK(fabs(perf_median(cpu, "samples_per_second") * step / 20 - 1) < 0.5);
  CHECK(perf_is(device_of(summary, "tpu:v3,array=64x64"), "source", "modelled") && modelled > 0 && modelled < 1e-2, "%g", modelled);
  CHECK(perf_get_number(tpu, "n_runs") == 1, "the model's clock says the same again");
  CHECK(perf_is(point_of(summary, "gpu", 0), "status", "absent"));
  CHECK(json_array_size(json_object_get(cpu, "ops")) > 5 && json_array_size(json_object_get(tpu, "ops")) > 5);
  const json_t *const split = json_object_get(cpu, "split");
  double sum = 0;
  static const char *const parts[] = {"input_wait", "upload", "forward", "backward", "update", "communication", "fallback", "host_gap"};
  for (int i = 0; i < 8; i++) sum += perf_get_number(split, parts[i]);
  CHECK(fabs(sum / perf_get_number(split, "total") - 1) < 1e-9 && perf_get_number(split, "backward") > 0 && perf_get_number(split, "upload") > 0);
  /* What a step's batch takes over PCIe is hidden behind the step before: the split is the step. */
  CHECK(perf_get_number(json_object_get(tpu, "split"), "upload") == 0 && fabs(perf_get_number(json_object_get(tpu, "split"), "total") / modelled - 1) < 1e-6, "%g of %g",
        perf_get_number(json_object_get(tpu, "split"), "total"), modelled);
  /* bf16 products part from f32's by thousandths, and no more. */
  const double parted = perf_get_number(json_object_get(tpu, "loss_difference"), "value");
  CHECK(parted > 0 && parted < 0.05, "%g", parted);
  CHECK(json_array_size(json_object_get(summary, "ratios")) == 0, "a modelled time is no measured one's divisor");
  json_decref(summary);
  end();
}

/* Where a batch is all the data, each step is the first of its epoch, and waits for its input. */
TEST(compare, a_step_an_epoch_waits_for_its_input) {
  begin();
  RUN("compare", "job.yaml", "--devices", "tpu:v3", "--runs", "1", "--steps", "4", "-q", "--json", "--set", "train.batch_size=360");
  EXITS(0);
  json_t *const summary = summary_of_last();
  const json_t *const tpu = point_of(summary, "tpu:v3", 0), *const split = json_object_get(tpu, "split");
  CHECK(perf_get_number(split, "upload") > 0 && fabs(perf_get_number(split, "total") / perf_median(tpu, "step_p50") - 1) < 1e-6, "%g of %g", perf_get_number(split, "upload"),
        perf_median(tpu, "step_p50"));
  json_decref(summary);
  end();
}

TEST(compare, epochs_and_exports) {
  begin();
  RUN("compare", "job.yaml", "--devices", "cpu,tpu:v5e", "--mode", "epochs", "--runs", "2", "-q", "--json", "-o", "e.jsonl", "--dawnbench", "dawn");
  EXITS(0);
  json_t *const summary = summary_of_last();
  const json_t *const cpu = point_of(summary, "cpu", 0);
  CHECK(json_array_size(json_object_get(cpu, "curve")) == 2 && perf_is(cpu, "metric", "val_accuracy"));
  CHECK(perf_is(json_object_get(cpu, "epoch_seconds"), "how", "range") && perf_median(cpu, "epoch_seconds") > 0);
  CHECK(perf_get_number(point_of(summary, "tpu:v5e", 0), "n_runs") == 2, "seeds differ, so do accuracies");
  json_decref(summary);
  char text[4096];
  read_text("dawn/job_cpu.tsv", text, sizeof text);
  CHECK(strncmp(text, "epoch\thours\ttop1Accuracy\n1\t", 27) == 0 && strstr(text, "\n2\t") != NULL, "%s", text);
  read_text("dawn/job_tpu_v5e.json", text, sizeof text);
  CHECK(strstr(text, "modelled, not measured") != NULL && strstr(text, "\"costPerHour\": 1.2") != NULL, "%s", text);
  end();
}

TEST(compare, targets) {
  begin();
  RUN("compare", "job.yaml", "--devices", "cpu", "--target", "val_accuracy>=0.15", "--epochs", "10", "--runs", "1", "-q", "-o", "t.jsonl", "--json");
  EXITS(0);
  json_t *summary = summary_of_last();
  CHECK(perf_get_number(point_of(summary, "cpu", 0), "n_reached") == 1 && perf_median(point_of(summary, "cpu", 0), "time_to_target") > 0);
  json_decref(summary);
  RUN("compare", "job.yaml", "--devices", "cpu", "--target", "test_accuracy>=1.5", "--runs", "1", "-q", "-o", "n.jsonl", "--json");
  EXITS(0);
  summary = summary_of_last();
  CHECK(perf_is(point_of(summary, "cpu", 0), "status", "never reached") && isnan(perf_median(point_of(summary, "cpu", 0), "time_to_target")));
  CHECK(json_array_size(json_object_get(point_of(summary, "cpu", 0), "curve")) == 2, "what was reached stays");
  CHECK(strstr(perf_get_text(point_of(summary, "cpu", 0), "why"), "; the best test_accuracy was 0.") != NULL, "%s", perf_get_text(point_of(summary, "cpu", 0), "why"));
  json_decref(summary);
  RUN("compare", "job.yaml", "--devices", "cpu", "--target", "val_acuracy>=0.5", "--runs", "1", "-q", "-o", "w.jsonl");
  EXITS(3);
  SHOWS(out, "the job has no 'val_acuracy'; it has loss, test_loss");
  end();
}

TEST(compare, time_limit) {
  begin();
  RUN("compare", "job.yaml", "--devices", "cpu", "--target", "val_accuracy>=1.5", "--epochs", "1000000", "--time-limit", "1", "--runs", "1", "-q", "-o", "l.jsonl", "--json");
  EXITS(0);
  json_t *const summary = summary_of_last();
  CHECK(perf_is(point_of(summary, "cpu", 0), "status", "timed_out") && json_array_size(json_object_get(point_of(summary, "cpu", 0), "curve")) > 0);
  json_decref(summary);
  end();
}

TEST(compare, sweeps) {
  begin();
  RUN("compare", "job.yaml", "--devices", "cpu,tpu:tiny", "--sweep", "batch=4,40", "--sweep", "model.width=4,16", "--runs", "1", "--steps", "4", "--warmup", "1", "-q", "--json");
  EXITS(0);
  json_t *const summary = summary_of_last();
  CHECK(json_array_size(json_object_get(summary, "points")) == 4 && json_array_size(json_object_get(summary, "winners")) == 4);
  CHECK(perf_is(point_of(summary, "cpu", 3), "point", "train.batch_size=40,model.width=16") && perf_get_number(point_of(summary, "cpu", 3), "batch") == 40);
  CHECK(perf_get_number(point_of(summary, "cpu", 3), "flops") > 10 * perf_get_number(point_of(summary, "cpu", 0), "flops"));
  json_decref(summary);
  end();
}

/* What ran is not lost: cut behind any line, or within one, the comparison goes on to the same set of records. */
TEST(compare, resumes) {
  begin();
#define COMPARISON "compare", "job.yaml", "--devices", "cpu,tpu:v3", "--runs", "2", "--steps", "4", "--warmup", "1", "-q", "-o", "r.jsonl"
  RUN(COMPARISON);
  EXITS(0);
  RUN(COMPARISON);
  EXITS(3);
  SHOWS(err, "is there already; --resume goes on with it");
  json_t *whole = NULL, *again = NULL;
  bool torn = true;
  long bytes = 0;
  perf_problem problem;
  CHECK(perf_file_read("r.jsonl", &whole, &torn, &bytes, &problem) && !torn);
  const size_t n = json_array_size(whole);
  static const long cuts[] = {60, 95, 30}; /* percent of the file */
  for (int i = 0; i < 3; i++) {
    CHECK(truncate("r.jsonl", bytes * cuts[i] / 100) == 0);
    RUN(COMPARISON, "--resume");
    EXITS(0);
    CHECK(perf_file_read("r.jsonl", &again, &torn, &bytes, &problem) && !torn, "%s", problem.text);
    CHECK(json_array_size(again) == n, "%zu records, wanted %zu", json_array_size(again), n);
    json_decref(again);
  }
  json_decref(whole);
  RUN("compare", "job.yaml", "--devices", "cpu,tpu:v3", "--runs", "2", "--steps", "5", "--warmup", "1", "-q", "-o", "r.jsonl", "--resume");
  EXITS(3);
  SHOWS(err, "was begun with other steps");
  RUN("compare", "job.yaml", "--devices", "cpu,tpu:v3", "--runs", "2", "--steps", "4", "--warmup", "1", "-q", "-o", "r.jsonl", "--resume", "-s", "model.width=9");
  EXITS(3);
  SHOWS(err, "is of another job");
  end();
}

TEST(compare, interrupted) {
  begin();
  default_signals();
  const pid_t pid = start((const char *const[]){"compare", "job.yaml", "--devices", "cpu", "--runs", "500", "--steps", "4", "-o", "i.jsonl", NULL});
  CHECK(wait_for("stderr.txt", "[2/"));
  CHECK(kill(pid, SIGINT) == 0);
  finish(pid);
  EXITS(130);
  SHOWS(err, "what ran stands in 'i.jsonl'; --resume goes on");
  RUN("report", "i.jsonl");
  EXITS(0);
  SHOWS(out, "was not completed");
  end();
}

TEST(compare, quotes) {
  begin();
  RUN("compare", "job.yaml", "--devices", "cpu", "--runs", "1", "--steps", "4", "-q", "-o", "a.jsonl");
  EXITS(0);
  RUN("compare", "job.yaml", "--devices", "ref", "--runs", "1", "--steps", "4", "-q", "-o", "b.jsonl");
  EXITS(0);
  RUN("report", "a.jsonl", "--with", "b.jsonl", "--json");
  EXITS(0);
  json_t *const summary = summary_of_last();
  const json_t *const quoted = device_of(summary, "ref");
  CHECK(perf_is(quoted, "source", "quoted") && perf_get_text(json_object_get(quoted, "quoted_from"), "date")[0] == '2');
  CHECK(perf_is(json_object_get(summary, "verdict"), "use", "cpu"), "what is quoted is not chosen");
  json_decref(summary);
  RUN("compare", "job.yaml", "--devices", "cpu", "--runs", "1", "--steps", "4", "-q", "-o", "c.jsonl", "-s", "model.width=5");
  EXITS(0);
  RUN("report", "a.jsonl", "--with", "c.jsonl");
  EXITS(3);
  SHOWS(err, "is of another job");
  end();
}

TEST(compare, prices) {
  begin();
  write_text("prices.json", "{\"prices\": [{\"kind\": \"cpu\", \"dollars_per_hour\": 3600, \"source\": \"mine\", \"date\": \"2026-11\"}]}");
  RUN("compare", "job.yaml", "--devices", "cpu", "--runs", "1", "--steps", "4", "-q", "--prices", "prices.json", "--json");
  EXITS(0);
  json_t *const summary = summary_of_last();
  const json_t *const cpu = point_of(summary, "cpu", 0);
  CHECK(fabs(perf_median(cpu, "dollars_per_step") / perf_median(cpu, "step_p50") - 1) < 1e-9, "3600 dollars an hour are one a second");
  json_decref(summary);
  static const char *const bad[][2] = {{"{", "line 1"}, {"[]", "needs {\"prices\""}, {"{\"prices\": [{\"kind\": \"cpu\"}]}", "prices[0] has no text 'source'"},
                                       {"{\"prices\": [{\"kind\": \"cpu\", \"source\": \"x\", \"date\": \"y\", \"dollars_per_hour\": -1}]}", "prices[0].dollars_per_hour"}};
  for (size_t k = 0; k < sizeof bad / sizeof bad[0]; k++) {
    write_text("bad.json", bad[k][0]);
    RUN("report", "job.compare.jsonl", "--prices", "bad.json");
    EXITS(5);
    SHOWS(err, bad[k][1]);
  }
  end();
}

/* Limits are judged by what ran whole; claims come from what `tercet claims --json` printed. */
TEST(compare, limits_and_claims) {
  begin();
  write_text("claims.json", "[{\"name\": \"a\", \"claim\": \"water is wet\", \"expected\": \"wet\", \"verdict\": \"not_testable\", \"text\": \"no water here\", \"numbers\": []}]");
  RUN("compare", "job.yaml", "--devices", "cpu,gpu,tpu:v3", "--mode", "epochs", "--runs", "1", "-q", "-o", "e.jsonl", "--deadline", "1h", "--max-cost", "0", "--max-energy", "1GJ");
  EXITS(2);
  SHOWS(err, "--max-energy is '1GJ'");
  RUN("compare", "job.yaml", "--devices", "cpu,gpu,tpu:v3", "--mode", "epochs", "--runs", "1", "-q", "-o", "e.jsonl", "--deadline", "1h", "--max-cost", "0", "--max-energy", "50kJ", "--claims",
      "claims.json", "--json");
  EXITS(0);
  json_t *const summary = summary_of_last();
  const json_t *const constraints = json_object_get(summary, "constraints");
  CHECK(json_array_size(constraints) == 3);
  static const char *const wanted[3][3] = {{"true", "null", "true"}, {"false", "null", "false"}, {"?", "null", "true"}};
  for (size_t c = 0; c < 3; c++) {
    for (size_t d = 0; d < 3; d++) {
      const json_t *const cell = json_array_get(json_object_get(json_array_get(constraints, c), "cells"), d), *const ok = json_object_get(cell, "ok");
      const char *const got = json_is_true(ok) ? "true" : json_is_false(ok) ? "false" : "null";
      CHECK(wanted[c][d][0] == '?' || strcmp(got, wanted[c][d]) == 0, "constraint %zu, device %zu: %s: %s", c, d, got, perf_get_text(cell, "text"));
    }
  }
  const json_t *const told = json_array_get(json_object_get(summary, "claims"), 0);
  CHECK(perf_is(told, "verdict", "not testable here") && perf_is(told, "measured", "no water here"));
  json_decref(summary);
  RUN("report", "e.jsonl", "--deadline", "1us");
  EXITS(0);
  SHOWS(out, "no deadline: cpu: misses the deadline by");
  SHOWS(out, "cpu misses the deadline by");
  SHOWS(out, "known to keep every limit.");
  /* Another machine's model is no measurement, and what is said of limits pushes no caution out. */
  RUN("compare", "job.yaml", "--devices", "cpu,ref,tpu:v3,gpu", "--mode", "epochs", "--runs", "1", "-q", "-o", "f.jsonl", "--deadline", "1h", "--with", "e.jsonl", "--json");
  EXITS(0);
  json_t *const both = summary_of_last();
  const json_t *const lines = json_object_get(json_object_get(both, "verdict"), "lines");
  bool unfit = false, said = false;
  size_t i;
  json_t *device;
  json_array_foreach(json_object_get(both, "devices"), i, device)
    unfit = unfit || (perf_is(device, "source", "measured") && json_is_true(json_object_get(json_object_get(json_array_get(json_object_get(device, "points"), 0), "noise"), "unfit")));
  json_array_foreach(lines, i, device) said = said || strncmp(json_string_value(device), "Unfit: ", 7) == 0;
  CHECK(json_array_size(lines) <= 5 && said == unfit, "unfit %d, said %d", unfit, said);
  CHECK(strncmp(json_string_value(json_array_get(lines, 1)), "Within every limit: ", 20) == 0 && strstr(json_string_value(json_array_get(lines, 1)), "(a model's, quoted)") != NULL, "%s",
        json_string_value(json_array_get(lines, 1)));
  json_decref(both);
  RUN("report", "f.jsonl", "--with", "e.jsonl");
  EXITS(0);
  SHOWS(out, "~\"");
  RUN("report", "e.jsonl", "--deadline", "1h");
  EXITS(0);
  SHOWS(out, "Within every limit: cpu, tpu:v3");
  RUN("report", "e.jsonl", "--max-cost", "+10%");
  EXITS(2);
  SHOWS(err, "a share is of tercet advise");
  RUN("compare", "job.yaml", "--devices", "cpu", "--runs", "1", "--steps", "4", "-q", "--deadline", "1h");
  EXITS(0);
  SHOWS(out, "steps do not tell the whole job");
  static const char *const bad[][2] = {{"{", "line"}, {"{}", "no array"}, {"[{\"claim\": \"x\"}]", "entry 0 is no claim"}, {"[7]", "entry 0"}};
  for (size_t k = 0; k < sizeof bad / sizeof bad[0]; k++) {
    write_text("bad.json", bad[k][0]);
    RUN("report", "e.jsonl", "--claims", "bad.json");
    EXITS(5);
    SHOWS(err, k == 0 ? "--claims 'bad.json'" : bad[k][1]);
  }
  RUN("report", "e.jsonl", "--claims", "none.json");
  EXITS(4);
  RUN("report", "e.jsonl", "--claims", "claims.json", "--csv", "claims.json");
  EXITS(2);
  end();
}

TEST(compare, wrong_words) {
  begin();
  static const struct {
    const char *words[8];
    int code;
    const char *says;
  } rows[] = {
      {{"--devices", "cqu"}, 4, "device 'cqu' is not known"},
      {{"--devices", "tpu:v99"}, 4, "v99"},
      {{"--devices", "cpu,cpu"}, 3, "'cpu' is there twice"},
      {{"--devices", ","}, 3, "an empty name"},
      {{"--runs", "0"}, 3, "--runs is 0, needs 1 to 1000"},
      {{"--steps", "0"}, 2, "--steps is 0"},
      {{"--target", "val_accuracy=0.9"}, 3, "needs METRIC>=NUMBER"},
      {{"--mode", "target"}, 3, "needs --target"},
      {{"--mode", "quick"}, 2, "--mode is 'quick'"},
      {{"--sweep", "batch"}, 3, "needs KEY=VALUE,VALUE"},
      {{"--sweep", "nope.key=1,8"}, 3, "nope"},
      {{"--sweep", "batch=0,8"}, 3, "batch_size"},
      {{"--sweep", "batch=8,8"}, 3, "is there twice"},
      {{"--sweep", "device=cpu,ref"}, 3, "sets 'device' itself"},
      {{"--set", "device=ref"}, 3, "the devices are --devices"},
      {{"--set", "model.\xff=1"}, 3, "not UTF-8"},
      {{"--steps", "5", "--mode", "epochs"}, 2, "--steps is of --mode steps"},
      {{"--epochs", "5"}, 2, "--epochs is of --mode epochs"},
      {{"--json", "--csv", "-"}, 2, "only one of"},
      {{"--html", "no/such/page.html"}, 4, "no/such"},
      {{"--csv", "./job.yaml"}, 2, "--csv './job.yaml' would overwrite 'job.yaml'"},
      {{"--html", "job.compare.jsonl"}, 2, "would overwrite 'job.compare.jsonl'"},
      {{"--runs", "1", "--devices", "cpu", "--csv", "./job.compare.jsonl"}, 2, "would overwrite 'job.compare.jsonl'"},
      {{"--csv", "x", "--html", "x"}, 2, "are both 'x'"},
      {{"--csv", "x", "--html", "./x"}, 2, "are both './x'"},
      {{"--csv", "/"}, 3, "'/': Is a directory"},
      {{"--dawnbench", "job.yaml"}, 2, "is a file; needs a folder"},
      {{"--max-cost", "abc"}, 2, "needs dollars such as 0.5 or $1 ["},
      {{"--devices", "gpu", "--runs", "1"}, 7, ""},
      {{"--with", "nowhere.jsonl"}, 4, "nowhere.jsonl"},
      {{"--prices", "nowhere.json"}, 4, "nowhere.json"},
      {{"-o", "no/such/folder.jsonl"}, 4, "cannot make"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    const char *words[12] = {"compare", "job.yaml", "-q"};
    int n = 3;
    for (int w = 0; w < 8 && rows[i].words[w] != NULL; w++) words[n++] = rows[i].words[w];
    finish(start(words));
    CHECK(result.code == rows[i].code && strstr(result.err, rows[i].says) != NULL, "%s %s: code %d: %s", rows[i].words[0], rows[i].words[1], result.code, result.err);
    (void)unlink("job.compare.jsonl");
  }
  end();
}

/* ---- summaries of records made by hand ---- */

static json_t *records_of(const char *mode, const char *points) {
  json_t *const records = json_array();
  json_error_t error;
  char text[600];
  (void)snprintf(text, sizeof text, "{\"record\": \"comparison\", \"schema\": 1, \"mode\": \"%s\", \"target\": \"accuracy>=0.9\", \"runs\": 7, \"devices\": [\"cpu\", \"ref\"], \"points\": %s, "
                 "\"job\": {\"name\": \"j\"}}", mode, points);
  json_t *const first = json_loads(text, 0, &error);
  CHECK(first != NULL, "%s: %s", error.text, text);
  json_array_append_new(records, first);
  static const char *const ids[] = {"cpu", "ref"};
  for (int d = 0; d < 2; d++)
    json_array_append_new(records, json_pack("{s:s, s:s, s:s, s:s, s:b}", "record", "device", "id", ids[d], "kind", ids[d], "clock", "measured", "available", 1));
  return records;
}

static void add_run(json_t *records, const char *device, const char *point, int run, double step, double reached, json_t *losses) {
  json_t *const record = json_pack("{s:s, s:s, s:s, s:i, s:s, s:f, s:i, s:i, s:o}", "record", "run", "device", device, "point", point, "run", run, "status", "done", "step_p50", step,
                                   "batch", 1, "step_stride", 1, "step_loss", losses);
  json_object_set_new(record, "reached", reached > 0 ? json_pack("{s:f}", "seconds", reached) : json_null());
  json_array_append_new(records, record);
}

static json_t *summed_up(json_t *records) {
  perf_problem problem;
  json_array_append_new(records, json_pack("{s:s, s:b}", "record", "end", "completed", 1));
  json_t *const summary = perf_summary(records, NULL, NULL, 0, NULL, &problem);
  CHECK(summary != NULL, "%s", problem.text);
  json_decref(records);
  return summary;
}

static const char *line_of(const json_t *summary, size_t i) {
  const char *const text = json_string_value(json_array_get(json_object_get(json_object_get(summary, "verdict"), "lines"), i));
  return text != NULL ? text : "";
}

/* A device that got there once, quickly, has no time to the target; one that mostly did has, and says how often. */
TEST(compare, who_reaches_seldom_is_not_fast) {
  json_t *const records = records_of("target", "[\"\"]");
  for (int run = 0; run < 7; run++) {
    add_run(records, "cpu", "", run, 1e-3, run == 0 ? 5 : 0, json_array());
    add_run(records, "ref", "", run, 1e-3, run == 0 ? 0 : 6 + run, json_array());
  }
  json_t *const summary = summed_up(records);
  CHECK(isnan(perf_median(point_of(summary, "cpu", 0), "time_to_target")) && perf_get_number(point_of(summary, "cpu", 0), "n_reached") == 1);
  CHECK(perf_median(point_of(summary, "ref", 0), "time_to_target") == 10, "the fourth of 7, 8, 9, 10, 11, 12, never");
  CHECK(perf_is(json_object_get(summary, "verdict"), "use", "ref") && strstr(line_of(summary, 0), "in 6 of 7 runs") != NULL && strstr(line_of(summary, 0), "to never]") != NULL, "%s",
        line_of(summary, 0));
  json_decref(summary);
}

/* The same sweep upwards and downwards has the same crossover. */
TEST(compare, crossovers_have_a_direction) {
  static const char *const points[] = {"[\"train.batch_size=1\", \"train.batch_size=100\"]", "[\"train.batch_size=100\", \"train.batch_size=1\"]"};
  for (int turn = 0; turn < 2; turn++) {
    json_t *const records = records_of("steps", points[turn]);
    add_run(records, "cpu", "train.batch_size=1", 0, 1, 0, json_array());
    add_run(records, "ref", "train.batch_size=1", 0, 10, 0, json_array());
    add_run(records, "cpu", "train.batch_size=100", 0, 10, 0, json_array());
    add_run(records, "ref", "train.batch_size=100", 0, 1, 0, json_array());
    json_t *const summary = summed_up(records);
    const json_t *const crossover = json_array_get(json_object_get(summary, "crossovers"), 0);
    CHECK(perf_is(crossover, "a", "cpu") && perf_is(crossover, "b", "ref") && fabs(perf_get_number(crossover, "at") - 10) < 1e-9, "%s", perf_get_text(crossover, "text"));
    json_decref(summary);
  }
}

TEST(compare, verdict_looks_where_most_have_been) {
  json_t *const records = records_of("steps", "[\"a.b=1\", \"a.b=2\"]");
  add_run(records, "cpu", "a.b=1", 0, 1, 0, json_array());
  add_run(records, "cpu", "a.b=2", 0, 2, 0, json_array());
  add_run(records, "ref", "a.b=2", 0, 3, 0, json_array());
  add_run(records, "ref", "a.b=2", 0, 1, 0, json_array()); /* made again: the last counts */
  json_t *const summary = summed_up(records);
  CHECK(perf_is(json_object_get(summary, "verdict"), "point", "a.b=2") && perf_is(json_object_get(summary, "verdict"), "use", "ref"), "%s", line_of(summary, 0));
  CHECK(perf_get_number(point_of(summary, "ref", 1), "n_runs") == 1);
  json_decref(summary);
}

/* A loss that is not finite is no number to compare with. */
TEST(compare, losses_that_end) {
  json_t *const records = records_of("steps", "[\"\"]");
  add_run(records, "cpu", "", 0, 1, 0, json_pack("[f, f, n, f]", 1.0, 0.5, 0.1));
  add_run(records, "ref", "", 0, 1, 0, json_pack("[f, f, f, f]", 1.0, 0.51, 7.0, 9.0));
  json_t *const summary = summed_up(records);
  const json_t *const difference = json_object_get(point_of(summary, "ref", 0), "loss_difference");
  CHECK(fabs(perf_get_number(difference, "value") - 0.02) < 1e-9 && perf_get_number(difference, "step") == 1);
  json_decref(summary);
}

/* Processors are paid for as they are used, and a file that was begun elsewhere is not gone on with. */
TEST(compare, threads_and_machines) {
  begin();
  RUN("compare", "job.yaml", "--devices", "cpu", "--sweep", "threads=1,2", "--runs", "1", "--steps", "4", "-q", "-o", "p.jsonl", "--json");
  EXITS(0);
  json_t *const summary = summary_of_last();
  const json_t *const one = point_of(summary, "cpu", 0), *const two = point_of(summary, "cpu", 1);
  CHECK(perf_get_number(one, "threads") == 1 && perf_get_number(two, "threads") == 2);
  const double of_one = perf_median(one, "dollars_per_step") / perf_median(one, "step_p50"), of_two = perf_median(two, "dollars_per_step") / perf_median(two, "step_p50");
  CHECK(fabs(of_two / of_one - 2) < 1e-9, "%g and %g dollars a second", of_one, of_two);
  json_decref(summary);
  RUN("compare", "job.yaml", "--devices", "cpu", "-j", "1", "--runs", "1", "--steps", "4", "-q", "-o", "m.jsonl");
  EXITS(0);
  RUN("compare", "job.yaml", "--devices", "cpu", "-j", "2", "--runs", "1", "--steps", "4", "-q", "-o", "m.jsonl", "--resume");
  EXITS(3);
  SHOWS(err, "was begun with other threads");
  static char text[1 << 20];
  read_text("m.jsonl", text, sizeof text);
  char *const processor = strstr(text, "\"processor\":\"");
  CHECK(processor != NULL);
  processor[14] = '#';
  write_text("m.jsonl", text);
  RUN("compare", "job.yaml", "--devices", "cpu", "-j", "1", "--runs", "1", "--steps", "4", "-q", "-o", "m.jsonl", "--resume");
  EXITS(3);
  SHOWS(err, "was begun on another machine");
  RUN("report", "m.jsonl", "--csv", "-");
  EXITS(0);
  CHECK(strncmp(result.out, "device,source,", 14) == 0 && strstr(result.out, "->") == NULL, "%s", result.out);
  end();
}

/* Every prefix of a data file, and files that are none: an answer or an error, never a crash. */
TEST(compare, hostile_files) {
  begin();
  static const char *const texts[] = {"", "\n", "{}\n", "[]\n", "null\n", "{\"record\":\"comparison\"}\n", "{\"record\":\"comparison\",\"schema\":2}\n",
                                      "{\"record\":\"comparison\",\"schema\":1}\n", "{\"record\":\"comparison\",\"schema\":1,\"mode\":\"steps\",\"devices\":[1,null,\"a\"],\"points\":[null,{}]}\n",
                                      ("{\"record\":\"comparison\",\"schema\":1,\"mode\":\"target\",\"devices\":[\"a\"],\"points\":[\"\"]}\n{\"record\":\"device\",\"id\":\"a\",\"available\":true}\n"
                                      "{\"record\":\"run\",\"device\":\"a\",\"point\":\"\",\"run\":\"x\",\"status\":7,\"step_p50\":-1,\"epochs\":[{}],\"step_loss\":[null,1e308]}\n"),
                                      "{\"record\":\"comparison\",\"schema\":1}\nnot json\n", "\xff\xfe\n"};
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
    write_text("x.jsonl", texts[i]);
    RUN("report", "x.jsonl");
    CHECK(result.code == 0 || result.code == 5, "%s: %d %s", texts[i], result.code, result.err);
    CHECK(result.code == 0 || strstr(result.err, "'x.jsonl'") != NULL || strstr(result.err, "mode") != NULL, "%s", result.err);
  }
  RUN("report", "none.jsonl");
  EXITS(4);
  /* A terminal obeys nothing of it. */
  write_text("x.jsonl", "{\"record\":\"comparison\",\"schema\":1,\"mode\":\"steps\",\"runs\":1,\"job\":{\"name\":\"a\\u001b]0;x\\u0007\"},\"devices\":[\"b\\u009b31m\\n\\u202ec\"],\"points\":[\"\"]}\n");
  RUN("report", "x.jsonl");
  EXITS(0);
  SHOWS(out, "a?]0;x?");
  SHOWS(out, "b?31m ?c");
  for (const char *c = result.out; *c != '\0'; c++) CHECK((unsigned char)*c >= 0x20 || *c == '\n', "byte %d", *c);
  end();
}
