/* The `tercet` command from outside: what it prints where, its exit codes, its formats, signals, and that a run repeats to
 * the last bit. Jobs are a few dozen glyphs on the reference device. */
#include "test.h"

#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <tercet/tercet.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/status.h"
#include "io/npy.h"
#include "io/safetensors.h"
#include "tools/command.h"

static const char small_job[] = "name: small\n"
                                "seed: 3\n"
                                "device: ref\n"
                                "data: {type: glyphs, samples: 40, test: {samples: 20}}\n"
                                "model:\n"
                                "  width: 4\n"
                                "  layers:\n"
                                "    - Conv2D: {filters: $width, kernel_size: 5, strides: 3, activation: relu}\n"
                                "    - Flatten\n"
                                "    - Dropout: {rate: 0.1}\n"
                                "    - Dense: {units: 10, activation: softmax, name: out}\n"
                                "loss: sparse_categorical_crossentropy\n"
                                "metrics: [accuracy, confusion_matrix]\n"
                                "train: {epochs: 2, batch_size: 16}\n";

static void begin(void) {
  default_signals();
  scratch_make(folder);
  write_text("job.yaml", small_job);
}

static json_t *parse_json(const char *text) {
  json_error_t error;
  json_t *const value = json_loads(text, 0, &error);
  CHECK(value != NULL, "%s: %s", error.text, text);
  return value;
}

/* ---- usage -------------------------------------------------------------------------------------------- */

TEST(cli, help_and_version) {
  begin();
  RUN("--help");
  EXITS(0);
  SHOWS(out, "train     JOB.yaml");
  RUN("--version");
  EXITS(0);
  SHOWS(out, "tercet 0.");
  static const char *const commands[] = {"train", "evaluate", "predict", "summary", "devices", "data", "sim", "lint", "doctor"};
  for (size_t i = 0; i < TCT_COUNT_OF(commands); i++) {
    RUN(commands[i], "--help");
    EXITS(0);
    SHOWS(out, "Example");
    SHOWS(out, "Exit codes: 0 done");
    RUN("help", commands[i]);
    EXITS(0);
    SHOWS(out, "Options:");
  }
  scratch_remove(folder);
}

TEST(cli, at_most_128_overrides) {
  begin();
  for (int n = 127; n <= 129; n++) {
    const char *arguments[MOST_ARGUMENTS] = {"summary", in_folder("job.yaml")};
    for (int i = 0; i < n; i++) arguments[2 + i] = "--set=seed=1";
    finish(start(arguments));
    EXITS(n <= 128 ? 0 : 2);
    if (n > 128) SHOWS(err, "more than 128 overrides");
  }
  scratch_remove(folder);
}

TEST(cli, usage_errors_suggest_and_exit_2) {
  static const struct {
    const char *arguments[5], *part;
  } rows[] = {
      {{"trian", NULL}, "unknown command 'trian'; did you mean 'train'?"},
      {{"frobnicate", NULL}, "unknown command 'frobnicate'; 'tercet --help' lists them"},
      {{"train", NULL}, "train: which JOB.yaml?"},
      {{"train", "a", "b", NULL}, "'b' is one argument too many"},
      {{"train", "--epcohs", "3", "a", NULL}, "unknown option '--epcohs'; did you mean '--epochs'?"},
      {{"train", "--epcohs=3", "a", NULL}, "unknown option '--epcohs'; did you mean '--epochs'?"},
      {{"train", "a", "-Z", NULL}, "unknown option '-Z'"},
      {{"train", "a", "--epochs", NULL}, "'--epochs' needs an argument"},
      {{"evaluate", "a", "--steps=3", NULL}, "unknown option '--steps'"},
      {{"data", "glifs", NULL}, "unknown data 'glifs'"},
      {{"data", "glyphs", NULL}, "give a folder with -o DIR"},
      {{"data", "glyphs", "-o", "x", "--train=-3"}, "--train is '-3', needs a whole number"},
      {{"predict", "a", "-o", "x.txt", NULL}, "'x.txt' says no format"},
      {{"predict", "a", "--format", "jsonll", NULL}, "did you mean 'jsonl'?"},
  };
  begin();
  for (size_t i = 0; i < TCT_COUNT_OF(rows); i++) {
    const char *arguments[6] = {NULL};
    memcpy(arguments, rows[i].arguments, sizeof rows[i].arguments);
    finish(start(arguments));
    EXITS(2);
    SHOWS(err, rows[i].part);
    CHECK(result.out[0] == '\0', "row %zu prints to stdout: %s", i, result.out);
  }
  scratch_remove(folder);
}

TEST(cli, exit_codes_tell_what_failed) {
  begin();
  write_text("bad.safetensors", "not one");
  write_text("idx.yaml", "data: {type: idx, images: missing.gz}\nmodel: {layers: [Flatten]}\nloss: mse\n");
  write_text("idx-bad.yaml", "data: {type: idx, images: job.yaml}\nmodel: {layers: [Flatten]}\nloss: mse\n");
  const struct {
    const char *job, *set;
    int code;
    const char *part;
  } rows[] = {
      {"missing.yaml", "seed=1", 4, "cannot open"},
      {"job.yaml", "modle.width=3", 3, "--set 'modle.width=3': unknown key 'modle'; did you mean 'model'?"},
      {"job.yaml", "device=gpuu", 4, "gpuu"},
      {"job.yaml", "optimizer={type: sgd, learning_rate: 1e30}", 8, "the loss is"},
      {"job.yaml", "save=/nonexistent-folder/x.safetensors", 4, "/nonexistent-folder/"},
      {"idx.yaml", "seed=1", 4, "missing.gz"},
      {"idx-bad.yaml", "seed=1", 5, "job.yaml"},
      {"bad.safetensors", "seed=1", 5, "bad.safetensors"},
  };
  for (size_t i = 0; i < TCT_COUNT_OF(rows); i++) {
    RUN("train", in_folder(rows[i].job), "--set", rows[i].set, "-q");
    EXITS(rows[i].code);
    SHOWS(err, rows[i].part);
    CHECK(result.out[0] == '\0', "%s", result.out);
  }
  scratch_remove(folder);
}

/* ---- the way from a job to predictions ------------------------------------------------------------------ */

TEST(cli, train_evaluate_predict) {
  begin();
  RUN("train", in_folder("job.yaml"), "--save", in_folder("m.safetensors"));
  EXITS(0);
  SHOWS(out, "test:  loss ");
  SHOWS(out, "  accuracy ");
  SHOWS(out, "confusion matrix");
  SHOWS(out, "model saved to ");
  SHOWS(err, "epoch 2/2  loss ");
  CHECK(!strchr(result.err, '\033') && !strchr(result.err, '\r'), "a pipe gets plain lines: %s", result.err);

  RUN("evaluate", in_folder("m.safetensors"), "--json");
  EXITS(0);
  CHECK(result.err[0] == '\0', "%s", result.err);
  json_t *const evaluation = parse_json(result.out);
  CHECK(json_integer_value(json_object_get(evaluation, "samples")) == 20);
  CHECK(json_is_real(json_object_get(evaluation, "loss")) && json_is_number(json_object_get(evaluation, "accuracy")));
  json_int_t sum = 0;
  for (size_t t = 0; t < 10; t++)
    for (size_t p = 0; p < 10; p++)
      sum += json_integer_value(json_array_get(json_array_get(json_object_get(evaluation, "confusion_matrix"), t), p));
  CHECK(sum == 20, "the confusion matrix counts %lld", (long long)sum);
  json_decref(evaluation);

  RUN("evaluate", in_folder("m.safetensors"), "--part", "train", "--set", "data.limit=7");
  EXITS(0);
  SHOWS(out, "train:  loss ");
  SHOWS(out, "(7 samples)");
  RUN("evaluate", in_folder("m.safetensors"), "--part", "tset");
  EXITS(2);
  SHOWS(err, "did you mean 'test'?");
  RUN("evaluate", in_folder("m.safetensors"), "--part", "validation");
  EXITS(4);
  SHOWS(err, "the job has no validation data");
  scratch_remove(folder);
}

static int count_lines(const char *text) {
  int n = 0;
  for (; *text; text++) n += *text == '\n';
  return n;
}

TEST(cli, predictions_agree_in_every_format) {
  begin();
  RUN("train", in_folder("job.yaml"), "-q", "-o", in_folder("m.safetensors"), "--epochs", "1");
  EXITS(0);
  RUN("predict", in_folder("m.safetensors"));
  EXITS(0);
  CHECK(count_lines(result.out) == 21 && strncmp(result.out, "class,score_0,", 14) == 0, "%s", result.out);
  int csv_class = -1;
  float csv_scores[3];
  CHECK(sscanf(strchr(result.out, '\n') + 1, "%d,%f,%f,%f", &csv_class, &csv_scores[0], &csv_scores[1],
               &csv_scores[2]) == 4);

  RUN("predict", in_folder("m.safetensors"), "-o", in_folder("p.jsonl"));
  EXITS(0);
  SHOWS(err, "20 predictions written to ");
  static char lines[65536];
  read_text("p.jsonl", lines, sizeof lines);
  CHECK(count_lines(lines) == 20);
  *strchr(lines, '\n') = '\0';
  json_t *const first = parse_json(lines);
  CHECK(json_integer_value(json_object_get(first, "class")) == csv_class);
  json_t *const output = json_object_get(first, "output");
  CHECK(json_array_size(output) == 10);

  RUN("predict", in_folder("m.safetensors"), "-q", "-o", in_folder("p.npy"));
  EXITS(0);
  tct_desc desc;
  void *data = NULL;
  OK(tct_npy_read(in_folder("p.npy"), &desc, &data));
  const tct_shape shape = TCT_SHAPE(20, 10);
  CHECK(desc.dtype == TCT_F32 && tct_shape_equal(&desc.shape, &shape));
  for (size_t k = 0; k < 3; k++) {
    const float exact = ((const float *)data)[k];
    CHECK((float)json_real_value(json_array_get(output, k)) == exact && csv_scores[k] == exact, "score %zu", k);
  }
  tct_release(data);
  json_decref(first);
  scratch_remove(folder);
}

TEST(cli, predicts_files_without_targets) {
  begin();
  RUN("data", "glyphs", "-o", folder, "--train", "5", "--test", "3", "--json");
  EXITS(0);
  SHOWS(out, "\"train\":5");
  RUN("train", in_folder("job.yaml"), "-q", "-o", in_folder("m.safetensors"), "--epochs", "1");
  EXITS(0);
  RUN("predict", in_folder("m.safetensors"), "--input", in_folder("t10k-images-idx3-ubyte"), "--format", "jsonl");
  EXITS(0);
  CHECK(count_lines(result.out) == 3, "%s", result.out);
  scratch_remove(folder);
}

TEST(cli, results_as_json) {
  begin();
  RUN("train", in_folder("job.yaml"), "--json", "-q", "--set", "data.validation_split=0.25");
  EXITS(0);
  CHECK(result.err[0] == '\0', "%s", result.err);
  json_t *const trained = parse_json(result.out);
  CHECK(strcmp(json_string_value(json_object_get(trained, "name")), "small") == 0);
  CHECK(json_array_size(json_object_get(trained, "history")) == 2);
  CHECK(json_is_number(json_object_get(json_array_get(json_object_get(trained, "history"), 1), "val_accuracy")));
  CHECK(json_integer_value(json_object_get(trained, "steps")) == 4); /* 30 samples in batches of 16, twice */
  CHECK(json_is_null(json_object_get(trained, "saved")) && json_is_false(json_object_get(trained, "interrupted")));
  json_decref(trained);

  RUN("summary", in_folder("job.yaml"), "--json", "--set", "model.width=7");
  EXITS(0);
  json_t *const summary = parse_json(result.out);
  json_t *const kernel = json_array_get(json_object_get(summary, "parameters"), 0);
  CHECK(strcmp(json_string_value(json_object_get(kernel, "name")), "conv2d/kernel") == 0);
  CHECK(strcmp(json_string_value(json_object_get(kernel, "dtype")), "f32") == 0);
  CHECK(json_integer_value(json_array_get(json_object_get(kernel, "shape"), 3)) == 7);
  json_decref(summary);

  RUN("devices", "--json");
  EXITS(0);
  json_t *const devices = parse_json(result.out);
  CHECK(json_array_size(devices) >= 1);
  json_decref(devices);
  scratch_remove(folder);
}

/* ---- the same again ------------------------------------------------------------------------------------- */

TEST(cli, a_modelled_device_says_so) {
  begin();
  RUN("train", in_folder("job.yaml"), "--device", "tpu:small", "--json", "-q");
  EXITS(0);
  json_t *const trained = parse_json(result.out);
  json_t *const modelled = json_object_get(trained, "modelled");
  CHECK(modelled && json_number_value(json_object_get(modelled, "time [s]")) > 0, "%s", result.out);
  json_decref(trained);
  RUN("train", in_folder("job.yaml"), "--device", "tpu:small");
  EXITS(0);
  SHOWS(out, "modelled on tpu:small, training and evaluation (not measured):");
  RUN("train", in_folder("job.yaml"), "--device", "tpu:v77");
  EXITS(4);
  SHOWS(err, "no TPU chip 'v77'");
  scratch_remove(folder);
}

TEST(cli, a_table_of_systolic_arrays) {
  begin();
  write_text("tiles.csv", "note,mode,R,C,n_folds,T_per_fold,weight_ready_cycle_per_fold,cycles\n"
                          "\"a, b\",ws_overlap,1,2,5,7 18 15 17 8,0 44 54 11 0,\n,os_serial_drain,9,9,3,20 19 8,0 0 0,wrong\n");
  RUN("sim", "--batch", in_folder("tiles.csv"), "-o", "-");
  EXITS(0);
  CHECK(strcmp(result.out, "note,mode,R,C,n_folds,T_per_fold,weight_ready_cycle_per_fold,cycles\n"
                           "\"a, b\",ws_overlap,1,2,5,7 18 15 17 8,0 44 54 11 0,104\n"
                           ",os_serial_drain,9,9,3,20 19 8,0 0 0,122\n") == 0, "%s", result.out);
  RUN("sim", "-o", "-");
  EXITS(2);
  SHOWS(err, "sim: which topology?");
  RUN("sim", "--batch", in_folder("tiles.csv"));
  EXITS(2);
  SHOWS(err, "--output FILE is missing");
  RUN("sim", "--batch", in_folder("not-there.csv"), "-o", "-");
  EXITS(4);
  scratch_remove(folder);
}

/* AlexNet's first layer, and one row for two layers. */
TEST(cli, a_topology) {
  begin();
  write_text("net.csv", "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,,e\n"
                        ",,,,,,,,,\nConv1,227,227,11,11,3,96,4,,\n\"DP, \x1b[31m\",8,8,3,3,2,4,1");
  RUN("sim", in_folder("net.csv"));
  EXITS(0);
  SHOWS(out, "128x128 ws, SRAM 64/64/64 KiB, memory never stalls");
  SHOWS(out, "Conv1                    3025      363       96          10220           0  62.96  70.90   1.35M\n");
  SHOWS(out, "DP, ?[31m x2               36        9        4            417");
  SHOWS(out, "total                                                    11054           0  58.21          1.35M\n");
  for (const char *line = result.out; *line; line += strcspn(line, "\n") + 1)
    CHECK(strcspn(line, "\n") <= 100, "%zu columns: %s", strcspn(line, "\n"), line);
  RUN("sim", in_folder("net.csv"), "--csv", "-", "--walks", "none");
  EXITS(0);
  SHOWS(out, "LayerID,Layer name,Total Cycles,Stall Cycles,Overall Util %,Mapping Efficiency %,Compute Util %,Avg IFMAP SRAM BW,");
  SHOWS(out, "\n0,Conv1,10220,0,62.9");
  SHOWS(out, ",1098075,34848,871200,,34848,\n1,\"DP, ");
  SHOWS(out, "Channel_1,417,0,");
  RUN("sim", in_folder("net.csv"), "--array", "16x8", "--dataflow", "os", "--bandwidth", "3", "--sram", "1/2/4", "--simulator", "v3",
      "--json", "--csv", in_folder("net-out.csv"));
  EXITS(0);
  json_t *const one = json_loads(result.out, 0, NULL);
  const json_t *const layers = json_object_get(one, "layers");
  CHECK(json_integer_value(json_object_get(one, "array_rows")) == 16);
  CHECK(json_integer_value(json_object_get(json_array_get(layers, 0), "stall_cycles")) > 0);
  CHECK(json_integer_value(json_object_get(json_array_get(layers, 1), "copies")) == 2);
  json_decref(one);
  RUN("sim", in_folder("net.csv"), "-a", "8x8,16x16", "--dataflow", "ws,is");
  EXITS(0);
  SHOWS(out, "\n16x16           is");
  RUN("sim", in_folder("net.csv"), "-a", "8x8,16x16", "--json");
  EXITS(0);
  json_t *const two = json_loads(result.out, 0, NULL);
  CHECK(json_array_size(two) == 2 && json_is_null(json_object_get(json_object_get(json_array_get(two, 0), "total"), "dram_words")));
  json_decref(two);
  RUN("sim", in_folder("net.csv"), "-a", "8x8,16x16", "--csv", "-");
  EXITS(0);
  SHOWS(out, "Array Height,Array Width,Dataflow,Total Cycles,");
  scratch_remove(folder);
}

TEST(cli, topologies_that_cannot_be_run) {
  begin();
  write_text("net.csv", "Layer,M,N,K\nbig,1048576,65536,65536\n");
  write_text("bad.csv", "Layer,M,N,K\nA,1,2,x\n");
  static const struct {
    const char *file, *arguments[4];
    int code;
    const char *part;
  } rows[] = {
      {"net.csv", {NULL}, 3, "net.csv:2: layer 'big' was not run\ntercet: scale-sim: the walk over its addresses"},
      {"net.csv", {"--array", "8x0", NULL}, 3, "array columns is 0, needs 1 to"},
      {"net.csv", {"--array", "8x8,", NULL}, 2, "--array is '8x8,', needs rows and columns such as 128x128"},
      {"net.csv", {"--dataflow", "ws,xs", NULL}, 2, "--dataflow is 'ws,xs', needs ws, os or is"},
      {"net.csv", {"--dataflow", "ws,os,is,ws", NULL}, 2, "needs ws, os or is"},
      {"net.csv", {"--sram", "64", NULL}, 2, "--sram is '64', needs KiB"},
      {"net.csv", {"--simulator", "v4", NULL}, 2, "--simulator is 'v4', needs v2 … v3"},
      {"net.csv", {"--walks", "non", NULL}, 2, "did you mean 'none'?"},
      {"net.csv", {"--walks=none", "--bandwidth=1", NULL}, 2, "--walks none does not go with --bandwidth"},
      {"net.csv", {"-o", "x.csv", NULL}, 2, "--output is for --batch"},
      {"net.csv", {"--batch", "x.csv", NULL}, 2, "or --batch, not both"},
      {"net.csv", {"--walks=none", "--csv", "no-such-folder/x.csv", NULL}, 4, "no-such-folder/x.csv"},
      {"bad.csv", {NULL}, 5, "bad.csv:2:7: column 'K' is 'x'"},
      {"not-there.csv", {NULL}, 4, "not-there.csv"},
  };
  for (size_t i = 0; i < TCT_COUNT_OF(rows); i++) {
    const char *const *const more = rows[i].arguments;
    RUN("sim", in_folder(rows[i].file), more[0], more[0] ? more[1] : NULL, more[0] && more[1] ? more[2] : NULL);
    EXITS(rows[i].code);
    SHOWS(err, rows[i].part);
  }
  RUN("sim", in_folder("net.csv"), "--walks", "none");
  EXITS(0);
  SHOWS(out, "      -\n");
  scratch_remove(folder);
}

TEST(cli, the_same_seed_gives_the_same_bits) {
  begin();
  static const char *const logs[] = {"a.jsonl", "b.jsonl"}, *const models[] = {"a.safetensors", "b.safetensors"};
  for (int i = 0; i < 2; i++) {
    RUN("train", in_folder("job.yaml"), "-q", "--log-steps", in_folder(logs[i]), "--save", in_folder(models[i]));
    EXITS(0);
  }
  check_same_files(logs[0], logs[1]);
  check_same_files(models[0], models[1]);
  scratch_remove(folder);
}

/* The loss of step t of a run in two halves is that of one run: weights go out and come in unchanged, and without
 * shuffling the batches are consecutive rows. Plain SGD has no state but the weights. */
TEST(cli, a_run_is_repeated_from_given_weights) {
  begin();
  const char *const common[] = {"--no-shuffle", "--dtype", "f64", "-q",    "--set",
                                "optimizer=sgd", "--set",  "model.layers[2].rate=0"};
#define COMMON common[0], common[1], common[2], common[3], common[4], common[5], common[6], common[7]
  RUN("train", in_folder("job.yaml"), COMMON, "--steps", "6", "--log-steps", in_folder("whole.jsonl"), "--save",
      in_folder("whole.safetensors"));
  EXITS(0);
  RUN("train", in_folder("job.yaml"), COMMON, "--steps", "3", "--log-steps", in_folder("half.jsonl"), "--save",
      in_folder("half.safetensors"));
  EXITS(0);
  RUN("train", in_folder("job.yaml"), COMMON, "--steps", "3", "--init", in_folder("half.safetensors"), "--log-steps",
      "-", "--save", in_folder("rest.safetensors"));
  EXITS(0);
#undef COMMON
  static char whole[8192], half[8192];
  read_text("whole.jsonl", whole, sizeof whole);
  read_text("half.jsonl", half, sizeof half);
  CHECK(count_lines(whole) == 6 && strncmp(whole, "{\"step\":0,\"loss\":", 17) == 0, "%s", whole);
  CHECK(strncmp(whole, half, strlen(half)) == 0, "whole: %s\nhalf: %s", whole, half);
  /* 40 samples make 3 batches, so the second half begins at the data's first row again. */
  const char *a = whole + strlen(half), *b = result.out;
  for (int step = 0; step < 3; step++) {
    a = strstr(a, "\"loss\":");
    b = strstr(b, "\"loss\":");
    CHECK(a && b && strncmp(a, b, strcspn(a, "\n")) == 0, "step %d: whole %s rest %s", step, a, b);
    a++;
    b++;
  }
  tct_safetensors *files[2];
  OK(tct_safetensors_read(in_folder("whole.safetensors"), &files[0]));
  OK(tct_safetensors_read(in_folder("rest.safetensors"), &files[1]));
  for (size_t i = 0; i < tct_safetensors_count(files[0]); i++) {
    const tct_named_array *const x = tct_safetensors_at(files[0], i), *const y = tct_safetensors_at(files[1], i);
    const size_t bytes = (size_t)tct_shape_size(&x->desc.shape) * sizeof(double);
    CHECK(x->desc.dtype == TCT_F64 && strcmp(x->name, y->name) == 0 && memcmp(x->data, y->data, bytes) == 0, "%s",
          x->name);
  }
  tct_safetensors_free(files[0]);
  tct_safetensors_free(files[1]);

  RUN("train", in_folder("job.yaml"), "-q", "--set", "model.width=5", "--init", in_folder("half.safetensors"));
  EXITS(3);
  SHOWS(err, "'conv2d/kernel' is f64[5,5,1,4] in the file");
  SHOWS(err, "'out/kernel'");
  scratch_remove(folder);
}

/* ---- signals ------------------------------------------------------------------------------------------ */

TEST(cli, the_first_signal_ends_cleanly) {
  static const struct {
    int number, code;
  } rows[] = {{SIGINT, 130}, {SIGTERM, 143}};
  begin();
  for (size_t i = 0; i < TCT_COUNT_OF(rows); i++) {
    const pid_t pid = start((const char *const[]){"train", in_folder("job.yaml"), "--epochs", "1000000", "--save",
                                                  in_folder("cut.safetensors"), "--json", NULL});
    CHECK(wait_for("stderr.txt", "epoch 1/1000000"), "training did not begin");
    CHECK(kill(pid, rows[i].number) == 0);
    finish(pid);
    EXITS(rows[i].code);
    json_t *const trained = parse_json(result.out);
    CHECK(json_is_true(json_object_get(trained, "interrupted")) && json_is_null(json_object_get(trained, "test")));
    json_decref(trained);
    RUN("evaluate", in_folder("cut.safetensors"), "--json"); /* the model was saved, whole */
    EXITS(0);
  }
  scratch_remove(folder);
}

TEST(cli, the_seconds_of_an_epoch_that_was_cut_short_count) {
  begin();
  write_text("steps.jsonl", "");
  const pid_t pid = start((const char *const[]){"train", in_folder("job.yaml"), "--set", "data.samples=100000", "--set",
                                                "train.batch_size=1", "--log-steps", in_folder("steps.jsonl"), "--json", NULL});
  CHECK(wait_for("steps.jsonl", "{\"step\":9,"), "training did not begin");
  CHECK(kill(pid, SIGINT) == 0);
  finish(pid);
  EXITS(130);
  json_t *const trained = parse_json(result.out);
  CHECK(json_array_size(json_object_get(trained, "history")) == 0, "a whole epoch was trained: %s", result.out);
  CHECK(json_number_value(json_object_get(trained, "seconds")) > 0, "no time was told: %s", result.out);
  json_decref(trained);
  scratch_remove(folder);
}
