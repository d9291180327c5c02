/* `tercet sim JOB` and `tercet lint --tpu`: their numbers agree with each other and with the device's, the listing, timeline and
 * findings are there, and wrong inputs are refused with a way out. The published figures of docs/tpu.md are what the model says. */
#include "shell.h"
#include "test.h"

#include <jansson.h>
#include <sys/stat.h>
#include <tercet/chip.h>
#include <tercet/tercet.h>

static char out[1 << 20];

static int run(const char *arguments) { return shell(out, sizeof out, "'%s'/%s 2>&1", TCT_BINARY_DIR, arguments); }

#define GLYPHS "'" TCT_SOURCE_DIR "/examples/glyphs.yaml'"
#define SHOWN(text) CHECK(strstr(out, text) != NULL, "no '%s' in\n%s", text, out)

static json_t *json_of(const char *arguments) {
  json_error_t error;
  const int code = run(arguments);
  CHECK(code == 0, "exit code %d: %s", code, out);
  json_t *const object = json_loads(out, 0, &error);
  CHECK(object != NULL, "%s: %s", error.text, out);
  return object;
}

static double number(const json_t *object, const char *name) {
  const json_t *const member = json_object_get(object, name);
  CHECK(json_is_number(member), "no number '%s'", name);
  return json_number_value(member);
}

/* Classes sum to the step, steps to the total. */
static void check_sums(json_t *report) {
  double cycles = 0, seconds = 0;
  const json_t *const steps = json_object_get(report, "steps"), *const total = json_object_get(report, "total");
  CHECK(json_array_size(steps) > 5);
  for (size_t i = 0; i < json_array_size(steps); i++) {
    const json_t *const step = json_array_get(steps, i);
    double sum = 0;
    const char *name;
    json_t *value;
    json_object_foreach(json_object_get(step, "by_class"), name, value) sum += json_number_value(value);
    CHECK(fabs(sum / number(step, "cycles") - 1) < 1e-9, "%s: classes sum to %g", json_string_value(json_object_get(step, "step")), sum);
    cycles += number(step, "cycles");
    seconds += number(step, "seconds");
  }
  static const char *const sums[] = {"layers", "phases"};
  for (int by = 0; by < 2; by++) {
    const json_t *const rows = json_object_get(report, sums[by]);
    double sum = 0;
    for (size_t i = 0; i < json_array_size(rows); i++) sum += number(json_array_get(rows, i), "cycles");
    CHECK(json_array_size(rows) < json_array_size(steps) && fabs(sum / cycles - 1) < 1e-9, "%s: %g", sums[by], sum);
  }
  CHECK(fabs(cycles / number(total, "cycles") - 1) < 1e-9 && fabs(seconds / number(total, "seconds") - 1) < 1e-9);
  CHECK(fabs(cycles / number(report, "clock") / seconds - 1) < 1e-9);
}

TEST(modelled, sim_of_a_job) {
  json_t *const step = json_of("tercet sim " GLYPHS " --json");
  check_sums(step);
  CHECK(json_is_true(json_object_get(step, "modelled")) && strcmp(json_string_value(json_object_get(step, "device")), "tpu:v3") == 0);
  json_t *const forward = json_of("tercet sim " GLYPHS " --json --forward");
  check_sums(forward);
  const double whole = number(json_object_get(step, "total"), "seconds"), part = number(json_object_get(forward, "total"), "seconds");
  CHECK(part < 0.9 * whole && part > 0.1 * whole, "%g s forward of %g", part, whole);
  json_t *const fast = json_of("tercet sim " GLYPHS " --json --device tpu:v5p --set train.batch_size=256");
  CHECK(number(fast, "batch") == 256 && number(json_object_get(fast, "total"), "seconds") / 256 < whole / 64);
  json_decref(step);
  json_decref(forward);
  json_decref(fast);
}

TEST(modelled, sim_of_a_job_as_text) {
  CHECK(run("tercet sim " GLYPHS " --device tpu:v3,chips=8") == 0, "%s", out);
  SHOWN("glyphs on tpu:v3,chips=8, training step, batch 64 (modelled, not measured)");
  SHOWN("conv2d_grad_filter");
  SHOWN("\n  update  ");
  SHOWN("gradients' sums over 8 chips: ");
  CHECK(run("tercet sim " GLYPHS " --list") == 0, "%s", out);
  SHOWN("\n    ; p0: [43264,1]·[1,16], 9 taps in blocks of ");
  SHOWN("\n      preload     ");
  SHOWN("optimizer/dense/kernel/adam_update  adam_update  ");
  CHECK(run("tercet sim " GLYPHS " --csv -") == 0, "%s", out);
  CHECK(strncmp(out, "step,op,layer,phase,seconds,cycles,\"arrays, useful\",", 52) == 0, "%.200s", out);
  SHOWN("\nconv2d/conv2d,conv2d,conv2d,forward,0.000");
  CHECK(run("tercet sim " GLYPHS " --csv - --by phase") == 0, "%s", out);
  CHECK(strncmp(out, "phase,seconds,cycles,\"arrays, useful\",", 37) == 0 && strstr(out, "\nbackward,") != NULL, "%.200s", out);
  CHECK(run("tercet sim " GLYPHS " --by layer") == 0, "%s", out);
  SHOWN("\nconv2d_1   ");
  SHOWN("\nto compile: 4 programs, 80 s, apart from the step (20 s each)\n  training                  batch 64\n  last batch of training    batch 32\n");
}

/* The timeline has each op once, one after the other, and its classes and layers beneath it. */
TEST(modelled, timeline) {
  json_t *const trace = json_of("tercet sim " GLYPHS " --trace - --csv /dev/null"), *const step = json_of("tercet sim " GLYPHS " --json");
  const json_t *const events = json_object_get(trace, "traceEvents");
  double end = 0, classes = 0, layers = 0;
  size_t n = 0;
  for (size_t i = 0; i < json_array_size(events); i++) {
    const json_t *const e = json_array_get(events, i);
    if (strcmp(json_string_value(json_object_get(e, "ph")), "X") != 0) continue;
    const double row = number(e, "tid");
    if (row == 2) classes += number(e, "dur");
    if (row == 3) layers += number(e, "dur");
    if (row != 1) continue;
    CHECK(fabs(number(e, "ts") - end) < 1e-6, "event %zu begins at %g, the one before ends at %g", i, number(e, "ts"), end);
    end = number(e, "ts") + number(e, "dur");
    n++;
  }
  CHECK(n == json_array_size(json_object_get(step, "steps")), "%zu ops", n);
  CHECK(fabs(end / (1e6 * number(json_object_get(step, "total"), "seconds")) - 1) < 1e-9 && fabs(classes / end - 1) < 1e-6 && fabs(layers / end - 1) < 1e-6,
        "%g, %g and %g", end, classes, layers);
  json_decref(trace);
  json_decref(step);
}

/* Findings come and go with what they are about; what they promise is what the rewritten job takes. */
TEST(modelled, lint) {
  json_t *const small = json_of("tercet lint --tpu " GLYPHS " --json");
  const json_t *const findings = json_object_get(small, "findings");
  double promised = 0;
  bool channels = false, rest = false;
  for (size_t i = 0; i < json_array_size(findings); i++) {
    const json_t *const f = json_array_get(findings, i);
    const char *const where = json_string_value(json_object_get(f, "where")), *const what = json_string_value(json_object_get(f, "what"));
    CHECK(strlen(what) > 20 && strlen(json_string_value(json_object_get(f, "instead"))) > 10, "%s", where);
    channels |= strcmp(where, "conv2d/conv2d") == 0 && strstr(what, "1 channel of 128 rows") != NULL;
    rest |= strcmp(where, "data") == 0 && strstr(what, "the last batch of training has 32 samples") != NULL && number(f, "saves_compiling") == 40;
    if (strcmp(where, "batch") == 0) promised = number(f, "saves");
  }
  CHECK(channels && rest && promised > 0.05, "%d %d %g", channels, rest, promised);
  const double now = number(small, "seconds") / 64;
  CHECK(run("tercet lint --tpu " GLYPHS) == 0, "%s", out);
  long wider = 0;
  char *end = out; /* "a batch of 50 divides" is that of the data's last batch */
  for (const char *at = out; wider == 0 || *end != ':'; at = end) {
    at = strstr(at, "instead: a batch of ");
    CHECK(at != NULL, "%s", out);
    wider = strtol(at + strlen("instead: a batch of "), &end, 10);
  }
  char command[200];
  (void)snprintf(command, sizeof command, "tercet lint --tpu " GLYPHS " --json --batch %ld", wider);
  json_t *const rewritten = json_of(command);
  const double then = number(rewritten, "seconds") / (double)wider;
  CHECK(fabs(1 - then / now - promised) < 1e-6, "promised %g, came to %g at batch %ld", promised, 1 - then / now, wider);
  json_decref(rewritten);
  json_decref(small);
  json_t *const slow = json_of("tercet lint --tpu " GLYPHS " --json --device tpu:v3,pcie=1MB/s --batch 50");
  const json_t *const found = json_object_get(slow, "findings");
  bool input = false;
  rest = false;
  for (size_t i = 0; i < json_array_size(found); i++) {
    const char *const where = json_string_value(json_object_get(json_array_get(found, i), "where"));
    input |= strcmp(where, "input") == 0;
    rest |= strcmp(where, "data") == 0;
  }
  CHECK(input && !rest, "input-bound %d, last batch %d", input, rest);
  json_decref(slow);
}

/* The run says what its device would have taken, marked as modelled, on its lines and at its end. */
TEST(modelled, lines_of_a_run) {
  CHECK(run("tercet train " GLYPHS " --device tpu:v3 --set data.samples=640 --set data.test.samples=100 --epochs 2 --save '" TCT_BINARY_DIR
            "/modelled-run.safetensors'") == 0, "%s", out);
  SHOWN("epoch 2/2  ");
  const char *const first = strstr(out, "  modelled "), *const second = first != NULL ? strstr(first + 1, "  modelled ") : NULL;
  CHECK(second != NULL && strtod(second + 11, NULL) > 1.5 * strtod(first + 11, NULL), "%s", out);
  SHOWN("% useful  ");
  SHOWN("modelled on tpu:v3, training and evaluation (not measured):");
  CHECK(run("tercet evaluate '" TCT_BINARY_DIR "/modelled-run.safetensors' --device tpu:v5e") == 0, "%s", out);
  SHOWN("modelled on tpu:v5e, evaluation (not measured):");
  CHECK(run("tercet evaluate '" TCT_BINARY_DIR "/modelled-run.safetensors' --device tpu:v1") == 0, "%s", out);
  SHOWN("modelled on tpu:v1, evaluation (not measured):");
  CHECK(run("tercet evaluate '" TCT_BINARY_DIR "/modelled-run.safetensors' --device cpu") == 0, "%s", out);
  CHECK(strstr(out, "modelled") == NULL, "%s", out);
  CHECK(remove(TCT_BINARY_DIR "/modelled-run.safetensors") == 0);
}

/* Every combination once; the starred are those that no other beats, sample for sample; numbers of a kind are trained once. */
TEST(modelled, sweep) {
  json_t *const report = json_of("tercet sim sweep " GLYPHS " --json --accuracy --set data.samples=640 --set data.test.samples=100 --set train.epochs=1 "
                                 "hbm=100GB/s,900GB/s 'passes=1,6;chips=1,4'");
  const json_t *const points = json_object_get(report, "points");
  CHECK(json_array_size(points) == 8);
  for (size_t i = 0; i < 8; i++) {
    const json_t *const p = json_array_get(points, i);
    bool beaten = false;
    for (size_t j = 0; j < 8; j++) {
      const json_t *const q = json_array_get(points, j);
      const double n = number(q, "samples"), m = number(p, "samples"), better = number(q, "accuracy") - number(p, "accuracy");
      const double time = number(q, "seconds") * m - number(p, "seconds") * n, energy = number(q, "joules") * m - number(p, "joules") * n;
      const double dollars = number(q, "dollars") * m - number(p, "dollars") * n;
      beaten |= time <= 0 && energy <= 0 && dollars <= 0 && better >= 0 && (time < 0 || energy < 0 || dollars < 0 || better > 0);
    }
    CHECK(json_is_true(json_object_get(p, "best")) == !beaten, "%s", json_string_value(json_object_get(p, "chip")));
    CHECK(number(p, "accuracy") >= 0 && number(p, "accuracy") <= 1);
  }
  CHECK(strcmp(json_string_value(json_object_get(json_array_get(points, 5), "chip")), "hbm=900GB/s,passes=1,chips=4") == 0);
  CHECK(number(json_array_get(points, 0), "accuracy") == number(json_array_get(points, 5), "accuracy"));
  CHECK(number(json_array_get(points, 1), "seconds") < number(json_array_get(points, 0), "seconds"));
  json_decref(report);
  CHECK(run("tercet sim sweep " GLYPHS " array=64x64,128x128 dataflow=ws,os,is vmem=8MiB,16MiB clock=1GHz") == 0, "%s", out);
  SHOWN("* no other is better in time, energy and dollars of a sample");
  SHOWN(" array=128x128,dataflow=is,vmem=16MiB,clock=1GHz\n");
  if (system("gnuplot --version >/dev/null 2>&1") == 0) {
    CHECK(run("tercet sim sweep " GLYPHS " array=64x64,128x128 chips=1,4 --plot '" TCT_BINARY_DIR "/sweep.svg'") == 0, "%s", out);
    CHECK(run("tercet sim sweep " GLYPHS " array=64x64 --plot '" TCT_BINARY_DIR "/nowhere/sweep.svg'") == 7, "%s", out);
    SHOWN("--plot needs gnuplot (Debian: gnuplot-nox), which failed to draw '");
    FILE *const file = fopen(TCT_BINARY_DIR "/sweep.svg", "r");
    CHECK(file != NULL);
    out[fread(out, 1, sizeof out - 1, file)] = '\0';
    CHECK(fclose(file) == 0 && remove(TCT_BINARY_DIR "/sweep.svg") == 0);
    SHOWN("modelled energy of a sample, mJ");
    SHOWN("array=64x64,chips=4"); /* one that no other beats; the chip's own array is beaten */
    CHECK(strstr(out, "array=128x128") == NULL);
  }
  CHECK(run("tercet sim sweep " GLYPHS " array=64x64,128x128 --csv -") == 0, "%s", out);
  CHECK(strstr(out, "chip,samples,seconds,cycles,joules,dollars,accuracy,best,refused\narray=64x64,64,0.000") == out, "%s", out);
}

/* A list of products on a whole chip: in int8 on v1, as tct_chip_product says. */
TEST(modelled, topologies_on_a_chip) {
  FILE *const file = fopen(TCT_BINARY_DIR "/gemm.csv", "w");
  CHECK(file != NULL && fputs("Layer,M,N,K\nmlp,200,2000,2000\ngate,96,600,600\n", file) >= 0 && fclose(file) == 0);
  json_t *const report = json_of("tercet sim '" TCT_BINARY_DIR "/gemm.csv' --device tpu:v1 --json");
  const json_t *const layers = json_object_get(report, "layers");
  tct_chip chip;
  double sum = 0;
  OK(tct_chip_open("v1", &chip));
  CHECK(json_array_size(layers) == 2 && json_is_true(json_object_get(report, "modelled")));
  static const struct { int64_t m, k, n; } rows[] = {{200, 2000, 2000}, {96, 600, 600}};
  for (size_t i = 0; i < 2; i++) {
    tct_chip_time t;
    const tct_product p = {.m = rows[i].m, .k = rows[i].k, .n = rows[i].n, .x_bytes = 1, .w_bytes = 1, .y_bytes = 1, .int8 = true};
    OK(tct_chip_product(&chip, &p, &t));
    const json_t *const layer = json_array_get(layers, i);
    CHECK(fabs(number(layer, "cycles") / t.total - 1) < 1e-12 && number(layer, "k") == (double)rows[i].k, "%g", number(layer, "cycles"));
    sum += t.total;
  }
  CHECK(fabs(number(json_object_get(report, "total"), "cycles") / sum - 1) < 1e-12);
  json_decref(report);
  for (int bare = 0; bare < 2; bare++) { /* the timeline's layers stand one behind the other and take what the report says */
    json_t *const trace = json_of(bare ? "tercet sim '" TCT_BINARY_DIR "/gemm.csv' --array 8x8 --bandwidth 10 --trace -"
                                       : "tercet sim '" TCT_BINARY_DIR "/gemm.csv' --device tpu:v1 --trace -");
    const json_t *const all = json_object_get(trace, "traceEvents");
    double now = 0, parts = 0;
    int n = 0;
    for (size_t e = 0; e < json_array_size(all); e++) {
      const json_t *const span = json_array_get(all, e);
      if (number(span, "tid") == 2) parts += number(span, "dur");
      if (number(span, "tid") != 1) continue;
      CHECK(fabs(number(span, "ts") - now) < 1e-9 * (1 + now) && strcmp(json_string_value(json_object_get(span, "name")), n == 0 ? "mlp" : "gate") == 0);
      now += number(span, "dur");
      n++;
    }
    CHECK(n == 2 && fabs(parts / now - 1) < 1e-9 && (bare || fabs(now / (sum / chip.clock * 1e6) - 1) < 1e-9), "%d layers, %g of %g us", n, parts, now);
    json_decref(trace);
  }
  CHECK(run("tercet sim '" TCT_BINARY_DIR "/gemm.csv' --array 8x8,16x16 --trace -") == 2, "%s", out);
  SHOWN("--trace is of one array and dataflow");
  CHECK(run("tercet sim '" TCT_BINARY_DIR "/gemm.csv' --device tpu:v5e") == 0, "%s", out);
  SHOWN("tpu:v5e, bf16 products, modelled, not measured");
  CHECK(run("tercet sim '" TCT_BINARY_DIR "/gemm.csv' --device tpu:v5e --csv -") == 0, "%s", out);
  SHOWN("LayerID,Layer name,M,K,N,Copies,Cycles,Seconds,");
  CHECK(run("tercet sim '" TCT_BINARY_DIR "/gemm.csv' --device cpu") == 2, "%s", out);
  SHOWN("--device cpu has no modelled clock; needs tpu or tpu:CHIP");
  CHECK(run("tercet sim '" TCT_BINARY_DIR "/gemm.csv' --device tpu:v1 --array 8x8") == 2, "%s", out);
  SHOWN("--array describes a bare array");
  CHECK(remove(TCT_BINARY_DIR "/gemm.csv") == 0);
}

TEST(modelled, refusals) {
  static const struct {
    const char *arguments, *says;
    int code;
  } rows[] = {
      {"tercet lint " GLYPHS, "--tpu is the only kind", 2},
      {"tercet lint --tpu", "which JOB.yaml?", 2},
      {"tercet lint --tpu " GLYPHS " --device cpu", "--device cpu has no modelled clock; needs tpu or tpu:CHIP", 2},
      {"tercet sim " GLYPHS " --device tpu:v9", "no TPU chip 'v9'", 4},
      {"tercet train " GLYPHS " --device tpu:v1", "it trains, and the chip's products are int8, for inference", 6},
      {"tercet sim " GLYPHS " --device tpu:v1", "it trains, and the chip's products are int8, for inference", 6},
      {"tercet sim " GLYPHS " --device tpu:v3,hbm_size=1MB", "HBM", 161},
      {"tercet sim " GLYPHS " --array 8x8", "--array is for topologies; of a job's device say --device tpu:CHIP", 2},
      {"tercet sim not-there.yaml", "not-there.yaml", 4},
      {"tercet sim net.csv --list", "are for jobs; 'net.csv' is taken for a topology", 2},
      {"tercet sim " GLYPHS " --plot x.svg", "are for a sweep: tercet sim sweep JOB KEY=VALUE,VALUE", 2},
      {"tercet sim " GLYPHS " --by layers", "--by is 'layers', needs op, layer or phase", 2},
      {"tercet sim " GLYPHS " array=8x8", "'array=8x8' is one argument too many", 2},
      {"tercet sim " GLYPHS " --device tpu:v3,dataflow=os,array_order=1", "runs products on the machine", 3},
      {"tercet sim sweap " GLYPHS " array=8x8", "unknown word 'sweap'; did you mean 'sweep'?", 2},
      {"tercet sim sweep", "sim sweep: which job?", 2},
      {"tercet sim sweep " GLYPHS, "sim sweep: over what? Behind '", 2},
      {"tercet sim sweep array=8x8 " GLYPHS, "'array=8x8' is no job (.yaml, .safetensors)", 2},
      {"tercet sim sweep net.csv array=8x8,16x16", "topologies take --array 8x8,16x16 --dataflow ws,os", 2},
      {"tercet sim sweep " GLYPHS " --list array=8x8", "--list, --trace and --by are of one chip", 2},
      {"tercet sim sweep " GLYPHS " array", "'array' is no list; needs KEY=VALUE,VALUE", 2},
      {"tercet sim sweep " GLYPHS " 'hbm=1GB/s;=3'", "'=3' is no list", 2},
      {"tercet sim sweep " GLYPHS " hbm=1GB/s hbm=2GB/s", "'hbm' is there twice; needs its values in one list", 2},
      {"tercet sim sweep " GLYPHS " dataflow=ws,rs", "dataflow is 'rs', needs ws", 3},
      {"tercet sim sweep " GLYPHS " arrray=8x8", "did you mean 'array'?", 3},
      {"tercet sim sweep " GLYPHS " clock=1GHz,2THz", "clock is '2THz', needs a number of Hz from", 3},
      {"tercet sim sweep " GLYPHS " 'year=2001,2002,2003,2004,2005,2006,2007,2008;cores=1,2,3,4,5,6,7,8;arrays=1,2,3,4,5,6,7,8;alus=1,2,3'",
       "1536 combinations, at most 1024", 2},
      {"tercet sim " GLYPHS " --trace /dev/full", "cannot write '/dev/full': No space left on device", 160},
      {"tercet sim " GLYPHS " --trace /nonexistent/x", "/nonexistent/x", 4},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    const int code = run(rows[i].arguments);
    CHECK(code == rows[i].code && strstr(out, rows[i].says) != NULL, "%s: exit code %d, wanted %d with '%s':\n%s", rows[i].arguments, code,
          rows[i].code, rows[i].says, out);
  }
  struct stat info; /* half a file is removed, a device never */
  CHECK(stat("/dev/full", &info) == 0 && S_ISCHR(info.st_mode), "/dev/full was removed");
}

/* What one chip cannot do is a row with its reason, and no end of the others. */
TEST(modelled, sweep_with_refusals) {
  CHECK(run("tercet sim sweep " GLYPHS " hbm_size=1MB,8GB passes=1,3 dataflow=os") == 0, "%s", out);
  SHOWN("  refused on hbm_size=1MB,passes=1,dataflow=os: tpu: chip v3 has 0.001 GB of HBM");
  SHOWN("  refused on hbm_size=8GB,passes=3,dataflow=os: TPU chip 'v3': dataflow is os, and passes=3 runs products on the machine");
  SHOWN(" hbm_size=8GB,passes=1,dataflow=os\n");
  json_t *const report = json_of("tercet sim sweep " GLYPHS " hbm_size=1MB,8GB --json");
  const json_t *const points = json_object_get(report, "points");
  CHECK(strstr(json_string_value(json_object_get(json_array_get(points, 0), "refused")), "HBM") != NULL);
  CHECK(json_is_true(json_object_get(json_array_get(points, 1), "best")) && json_object_get(json_array_get(points, 1), "refused") == NULL);
  json_decref(report);
  CHECK(run("tercet sim sweep " GLYPHS " hbm_size=1MB,8GB --csv -") == 0, "%s", out);
  SHOWN("\nhbm_size=1MB,,,,,,,0,");
  CHECK(run("tercet sim sweep " GLYPHS " --device tpu:v1 quantized=0,1") == 0, "%s", out); /* whatever the chip without the values can do */
  SHOWN("  refused on quantized=1: ");
  CHECK(run("tercet sim sweep " GLYPHS " hbm_size=1MB,2MB") == 6, "%s", out);
  SHOWN("the job runs on none of these chips; on hbm_size=1MB: tpu: chip v3");
}

/* A quantized chip trains nothing: it is told so, or, of the forward pass, evaluates what the CPU has trained. */
TEST(modelled, sweep_of_a_quantized_chip) {
#define SHORT "tercet sim sweep " GLYPHS " --json --accuracy --set data.samples=640 --set data.test.samples=100 --set train.epochs=1 --device tpu:v5e quantized=0,1"
  json_t *report = json_of(SHORT);
  const json_t *points = json_object_get(report, "points");
  CHECK(number(json_array_get(points, 0), "accuracy") > 0);
  CHECK(strstr(json_string_value(json_object_get(json_array_get(points, 1), "refused")), "for inference") != NULL);
  json_decref(report);
  report = json_of(SHORT " --forward");
  points = json_object_get(report, "points");
  const double trained = number(json_array_get(points, 0), "accuracy"), quantized = number(json_array_get(points, 1), "accuracy");
  CHECK(trained > 0.1 && fabs(quantized - trained) <= 0.1, "%g and %g", trained, quantized);
  json_decref(report);
  CHECK(run("tercet sim sweep " GLYPHS " --forward --accuracy --set metrics='[mae]' --set data.samples=64 --set data.test.samples=64 --set train.epochs=1 passes=1") == 2, "%s", out);
  SHOWN("--accuracy: the job has no accuracy among its metrics");
#undef SHORT
}

/* docs/tpu.md holds the table that build/tpu_published prints. */
TEST(modelled, published_figures) {
  CHECK(run("tpu_published") == 0, "%s", out);
  FILE *const file = fopen(TCT_SOURCE_DIR "/docs/tpu.md", "r");
  CHECK(file != NULL);
  static char text[1 << 16];
  text[fread(text, 1, sizeof text - 1, file)] = '\0';
  CHECK(fclose(file) == 0);
  CHECK(strlen(out) > 1000 && strstr(text, out) != NULL, "docs/tpu.md has another table than\n%s", out);
}
