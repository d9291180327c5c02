/* The device gpu over the stand-in driver (tests/support/standin_cuda): every way in which there is none, every call that may fail,
 * faults of kernels, the order of transfers and launches, and recordings. Nothing here ran on a GPU. */
#include "shell.h"
#include "test.h"

#include "device/device.h"
#include "graphs.h"
#include "standin_gpu.h"
#include <tercet/tercet.h>

/* ---- a program of elementwise ops, with a variable that moves ---- */

enum { N = 5000, RUNS = 5 };

static tct_graph *small_step(void) {
  tct_graph *const graph = graph_make();
  const tct_tensor x = tct_input(graph, "x", TCT_F32, TCT_SHAPE(N));
  const tct_tensor w = tct_variable(graph, "w", TCT_F32, TCT_SHAPE(N), (tct_init){TCT_INIT_ONES, 0, 0, 0});
  const tct_tensor y = tct_mul(tct_tanh(x), w);
  tct_output(graph, "y", y);
  tct_assign(w, tct_sub(w, tct_mul(y, tct_scalar(graph, TCT_F32, 0.125))));
  return graph;
}

static void fill(float *x, int run) {
  for (int i = 0; i < N; i++) x[i] = (float)((i * 7 + run * 31) % 101) / 50.0f - 1.0f;
}

/* Opens, compiles, runs RUNS times with an input of its own each, reads once at the end; what fails first is the result. */
static tct_status attempt(const char *spec, float *y, double *replays) {
  tct_device *device = NULL;
  tct_program *program = NULL;
  tct_graph *const graph = small_step();
  float x[N];
  tct_status status = tct_device_open(spec, NULL, &device);
  if (status == TCT_OK) status = tct_compile(graph, device, NULL, &program);
  for (int run = 0; run < RUNS && status == TCT_OK; run++) {
    fill(x, run);
    status = tct_program_set(program, "x", x, sizeof x);
    memset(x, 0xff, sizeof x); /* the caller's again */
    if (status == TCT_OK) status = tct_program_run(program);
  }
  if (status == TCT_OK) status = tct_program_get(program, "y", y, N * sizeof *y);
  tct_counter counters[8];
  const int32_t n = status == TCT_OK && replays != NULL ? tct_device_counters(device, counters, 8) : 0;
  for (int32_t i = 0; i < n; i++)
    if (strcmp(counters[i].name, "replays") == 0) *replays = counters[i].value;
  tct_program_free(program);
  tct_graph_free(graph);
  tct_device_close(device);
  return status;
}

static void expect(float *y) {
  OK(attempt("cpu", y, NULL));
}

static bool same(const float *a, const float *b, float tolerance) {
  for (int i = 0; i < N; i++)
    if (!(fabsf(a[i] - b[i]) <= tolerance)) return false;
  return true;
}

TEST(gpu, order_of_uploads_launches_and_downloads) {
  NEEDS_GPU("");
  static const char *const paces[] = {"queues=lazy", "queues=now", "queues=ahead", "queues=behind", "guard=1"};
  static float want[N], got[N];
  expect(want);
  for (size_t i = 0; i < sizeof paces / sizeof *paces; i++) {
    double replays = 0;
    gpu_set(paces[i]);
    OK(attempt("gpu", got, &replays));
    CHECK(same(want, got, 1e-5f), "%s: wrong numbers", paces[i]);
    CHECK(replays == RUNS - 1, "%s: %g replays", paces[i], replays);
    CHECK(gpu_allocations() == 0, "%s: %d allocations are left", paces[i], (int)gpu_allocations());
  }
}

/* ---- recordings ---- */

TEST(gpu, a_recording_gives_the_bits_of_launches) {
  NEEDS_GPU("");
  static float recorded[N], launched[N];
  double replays = 0, none = 0;
  OK(attempt("gpu", recorded, &replays));
  CHECK(gpu_calls("cuGraphLaunch") == RUNS - 1 && gpu_calls("cuGraphInstantiateWithFlags") == 1 && gpu_calls("cuGraphExecDestroy") == 1);
  CHECK(setenv("TERCET_CUDA_GRAPHS", "0", 1) == 0);
  gpu_set("");
  OK(attempt("gpu", launched, &none));
  CHECK(unsetenv("TERCET_CUDA_GRAPHS") == 0);
  CHECK(replays == RUNS - 1 && none == 0 && gpu_calls("cuGraphLaunch") == 0);
  CHECK(memcmp(recorded, launched, sizeof recorded) == 0);
}

TEST(gpu, a_refused_recording_is_launched) {
  NEEDS_GPU("");
  static const char *const refusals[] = {"fail=cuStreamBeginCapture_v2:1:801", "fail=cuStreamEndCapture:1:901",
                                         "fail=cuGraphInstantiateWithFlags:1:801"};
  static float want[N], got[N];
  expect(want);
  for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
    double replays = -1;
    gpu_set(refusals[i]);
    OK(attempt("gpu", got, &replays));
    CHECK(same(want, got, 1e-5f) && replays == 0, "%s: %g replays", refusals[i], replays);
    CHECK(gpu_calls("cuStreamBeginCapture_v2") == 1, "%s: it is asked once", refusals[i]);
  }
}

/* ---- errors ---- */

/* Each function fails at each of its calls; the attempt is an error with the device's name, or went around it, and nothing stays
 * allocated. */
TEST(gpu, every_call_fails_once) {
  NEEDS_GPU("");
  static const char *const functions[] = {
#define DRIVER(member, symbol, prototype) #symbol,
#include "backends/cuda/driver.def"
#undef DRIVER
  };
  static float want[N], got[N];
  int n_failures = 0;
  expect(want);
  OK(attempt("gpu", got, NULL)); /* the driver is started once a process */
  for (size_t f = 0; f < sizeof functions / sizeof *functions; f++) {
    /* Many of a kind are made when the device is opened; the first ones and those of the step are enough. */
    for (int n = 1; n <= 12; n++) {
      char settings[96];
      snprintf(settings, sizeof settings, "fail=%s:%d:1", functions[f], n);
      gpu_set(settings);
      tct_error_clear();
      const tct_status status = attempt("gpu", got, NULL);
      n_failures += status != TCT_OK;
      CHECK(status == TCT_OK || strstr(tct_error_message(), "device 'gpu") != NULL, "%s: %s", settings, tct_error_message());
      CHECK(status != TCT_OK || same(want, got, 1e-5f), "%s: wrong numbers", settings);
      CHECK(gpu_allocations() == 0, "%s: %d allocations are left", settings, (int)gpu_allocations());
      if (gpu_calls(functions[f]) < n) break;
    }
  }
  CHECK(n_failures > 40, "only %d calls failed", n_failures);
  gpu_set("");
  OK(attempt("gpu", got, NULL));
}

TEST(gpu, out_of_memory_says_how_much) {
  NEEDS_GPU("memory=20000000");
  static float y[N];
  tct_device *device = NULL;
  tct_graph *const graph = graph_make();
  tct_program *program = NULL;
  OK(tct_device_open("gpu", NULL, &device));
  tct_output(graph, "y", tct_neg(tct_input(graph, "x", TCT_F32, TCT_SHAPE(5000000))));
  FAILS(tct_compile(graph, device, NULL, &program), TCT_OUT_OF_MEMORY, "19.1 MiB are asked for, 19.1 MiB of its 19.1 MiB are free");
  tct_graph_free(graph);
  /* Of a program's arena, also what is the largest in it. */
  tct_graph *const wide = graph_make();
  const tct_tensor column = tct_input(wide, "c", TCT_F32, TCT_SHAPE(3000, 1)), row = tct_input(wide, "r", TCT_F32, TCT_SHAPE(1, 3000));
  tct_output(wide, "y", tct_mul(column, row));
  FAILS(tct_compile(wide, device, NULL, &program), TCT_OUT_OF_MEMORY, "(its largest: 'mul' 34.3 MiB)");
  tct_graph_free(wide);
  tct_device_close(device);
  CHECK(gpu_allocations() == 0);
  OK(attempt("gpu", y, NULL));
}

/* Of a job, also the batch that would fit: with it the job runs. */
TEST(gpu, out_of_memory_says_which_batch_fits) {
  NEEDS_GPU("");
  static const char job[] = "train examples/glyphs.yaml --device gpu --epochs 1 -q --set data.samples=1024 --set data.test.samples=8 --set "
                            "save=null --set model.width=32 --set 'model.layers=[Flatten, {Dense: {units: $width, name: first}}, {Dense: {units: "
                            "10, activation: softmax}}]' --set train.batch_size=";
  char arguments[512];
  long long fitting = 0, too_large = 0;
  snprintf(arguments, sizeof arguments, "%s1024", job);
  CHECK(gpu_run("STANDIN_CUDA=memory=19000000", arguments) == 161, "%s", gpu_out);
  CHECK(strstr(gpu_out, "MiB are asked for, ") != NULL && strstr(gpu_out, " MiB are free; use a smaller batch") != NULL, "%s", gpu_out);
  const char *const found = strstr(gpu_out, "a batch of ");
  CHECK(found != NULL && sscanf(found, "a batch of %lld fits, of %lld does not", &fitting, &too_large) == 2, "%s", gpu_out);
  CHECK(fitting > 0 && too_large <= 1024 && too_large - fitting <= 65, "%lld fits, %lld does not", fitting, too_large);
  snprintf(arguments, sizeof arguments, "%s%lld", job, fitting);
  CHECK(gpu_run("STANDIN_CUDA=memory=19000000", arguments) == 0, "%s", gpu_out);
  snprintf(arguments, sizeof arguments, "%s%lld", job, too_large);
  CHECK(gpu_run("STANDIN_CUDA=memory=19000000", arguments) != 0, "%s", gpu_out);
  snprintf(arguments, sizeof arguments, "%s2 --set model.width=400", job);
  CHECK(gpu_run("STANDIN_CUDA=memory=200000", arguments) != 0 && strstr(gpu_out, "of variables (the largest: '") != NULL, "%s", gpu_out);
}

TEST(gpu, a_fault_names_its_step) {
  NEEDS_GPU("");
  static const struct {
    const char *settings, *part;
  } rows[] = {
      {"fault=*:1:700", "outside of its memory (CUDA_ERROR_ILLEGAL_ADDRESS, 700), in step '"},
      {"fault=*:1:719", ", in step '"},
      {"fault=*:7:700", "in a recorded step; TERCET_CUDA_GRAPHS=0 says in which part of it"},
      {"fault=*:1:999", "the device is lost"},
  };
  static float y[N];
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    gpu_set(rows[i].settings);
    const tct_status status = attempt("gpu", y, NULL);
    CHECK(status != TCT_OK && strstr(tct_error_message(), rows[i].part) != NULL, "%s: %s", rows[i].settings, tct_error_message());
    CHECK(gpu_allocations() == 0, "%s", rows[i].settings);
    OK(attempt("gpu", y, NULL)); /* the process lives on, and here the device opens again */
  }
}

TEST(gpu, after_a_fault_every_call_says_so) {
  NEEDS_GPU("fault=*:1:700");
  static float y[N];
  tct_device *device = NULL;
  tct_program *program = NULL;
  tct_graph *const graph = small_step();
  OK(tct_device_open("gpu", NULL, &device));
  OK(tct_compile(graph, device, NULL, &program));
  OK(tct_program_run(program));
  FAILS(tct_program_get(program, "y", y, sizeof y), TCT_INTERNAL, "cannot be used any more");
  FAILS(tct_program_get(program, "y", y, sizeof y), TCT_INTERNAL, "it failed before: a kernel read or wrote outside of its memory");
  FAILS(tct_program_set(program, "x", y, sizeof y), TCT_INTERNAL, "it failed before");
  FAILS(tct_program_run(program), TCT_INTERNAL, "it failed before");
  tct_ticket ticket;
  void *memory;
  const tct_backend *const gpu = device->backend;
  FAILS(gpu->mark(device->impl, TCT_QUEUE_COMPUTE, &ticket), TCT_INTERNAL, "it failed before");
  FAILS(gpu->alloc(device->impl, 100, &memory), TCT_INTERNAL, "it failed before");
  tct_program_free(program);
  tct_graph_free(graph);
  tct_device_close(device);
  CHECK(gpu_allocations() == 0);
}

/* ---- the table's functions ---- */

TEST(gpu, large_transfers_and_tickets) {
  NEEDS_GPU("queues=ahead");
  enum { BYTES = 11 << 20 };
  tct_device *device = NULL;
  OK(tct_device_open("gpu", NULL, &device));
  const tct_backend *const gpu = device->backend;
  char *const sent = malloc(BYTES), *const back = calloc(BYTES, 1);
  void *a = NULL, *b = NULL;
  tct_ticket begin, end, old, late;
  for (int i = 0; i < BYTES; i++) sent[i] = (char)(i * 31 + i / 4099);
  OK(gpu->alloc(device->impl, BYTES, &a));
  OK(gpu->alloc(device->impl, BYTES, &b));
  OK(gpu->mark(device->impl, TCT_QUEUE_COMPUTE, &old));
  OK(gpu->upload(device->impl, a, sent, BYTES));
  OK(gpu->mark(device->impl, TCT_QUEUE_COMPUTE, &begin));
  OK(gpu->copy(device->impl, b, a, BYTES));
  OK(gpu->mark(device->impl, TCT_QUEUE_COMPUTE, &end));
  OK(gpu->wait(device->impl, TCT_QUEUE_TRANSFER, end));
  OK(gpu->download(device->impl, back, b, BYTES));
  OK(gpu->sync(device->impl));
  CHECK(memcmp(sent, back, BYTES) == 0);
  CHECK(gpu->reached(device->impl, begin) && gpu->reached(device->impl, end) && gpu->elapsed(device->impl, begin, end) > 0);
  for (int i = 0; i < 64; i++) OK(gpu->mark(device->impl, TCT_QUEUE_COMPUTE, &late));
  while (!gpu->reached(device->impl, old)) CHECK(gpu_calls("cuEventQuery") < 1000);
  CHECK(gpu->elapsed(device->impl, old, end) == 0, "a ticket of long ago has no time");
  OK(gpu->upload(device->impl, a, NULL, 0));
  gpu->free(device->impl, a);
  gpu->free(device->impl, b);
  gpu->free(device->impl, NULL);
  free(sent);
  free(back);
  tct_device_close(device);
  CHECK(gpu_allocations() == 0);
}

/* ---- what the command says ---- */

TEST(gpu, probe_says_why_there_is_none) {
  NEEDS_GPU("");
  static const struct {
    const char *environment, *why;
  } rows[] = {
      {"TERCET_CUDA_LIBRARY_PATH=/no/such/folder", "no NVIDIA driver: libcuda.so.1 is not in /no/such/folder, the dynamic linker's"},
      {"TERCET_CUDA_LIBRARY_PATH=" TCT_BINARY_DIR "/modules/hollow", "has no function cuInit: it is too old"},
      {"STANDIN_CUDA=devices=0", "is here, but no device is: no NVIDIA GPU in this machine or container"},
      {"STANDIN_CUDA=fail=cuDeviceGetCount:1:802", "does not start: a service of the system is not running"},
      {"STANDIN_CUDA=driver=12040", "is too old: it is for CUDA 12.4, the device code needs 13.0 or later"},
      {"STANDIN_CUDA=capability=61", "has compute capability 6.1, for which this module has no code: it has "},
      {"STANDIN_CUDA='capability=61 devices=2'", "has compute capability 6.1, for which"},
      {"STANDIN_CUDA=fail=cuDeviceGetName:1:101", "device 0 does not answer: "},
      {"STANDIN_CUDA=fail=cuModuleLoadData:1:222", "loading the device code '"},
      {"STANDIN_CUDA=fail=cuModuleGetFunction:1:1", "finding the kernel tct_cu_"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    CHECK(gpu_run(rows[i].environment, "devices") == 0, "%s", gpu_out);
    const char *const line = strstr(gpu_out, "\ngpu ");
    CHECK(line != NULL && strstr(line, "-  not here: ") != NULL && strstr(line, rows[i].why) != NULL, "%s: %s", rows[i].environment, gpu_out);
    CHECK(gpu_run(rows[i].environment, "train examples/glyphs.yaml --device cuda") != 0, "%s", gpu_out);
    CHECK(strstr(gpu_out, rows[i].why) != NULL, "%s: %s", rows[i].environment, gpu_out);
  }
}

TEST(gpu, doctor_says_what_is_here) {
  NEEDS_GPU("");
  static const char *const parts[] = {"stand-in GPU 0", GPU_STANDIN "/libcuda.so.1", "compute_capability", "code.runs_on", "cublaslt", "cudnn",
                                      "1.0 GiB, 1.0 GiB free", "a step is recorded once and replayed"};
  CHECK(gpu_run("", "doctor") == 0, "%s", gpu_out);
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) CHECK(strstr(gpu_out, parts[i]) != NULL, "no '%s' in:\n%s", parts[i], gpu_out);
  CHECK(gpu_run("STANDIN_CUDA=devices=0 TERCET_CUDA_GRAPHS=0", "doctor") == 0, "%s", gpu_out);
  CHECK(strstr(gpu_out, "device gpu: the driver ") != NULL, "%s", gpu_out);
  CHECK(gpu_run("STANDIN_CUDA=devices=2", "devices") == 0 && strstr(gpu_out, "\ngpu      2  stand-in GPU 0") != NULL, "%s", gpu_out);
}

/* Without a profiler nothing is printed; with one, ranges nest and end. */
TEST(gpu, a_profiler_is_told_names) {
  NEEDS_GPU("");
  static const char job[] = "train examples/glyphs.yaml --device gpu --epochs 1 --json -q --set data.samples=12 --set data.test.samples=4 --set "
                            "save=null --set train.batch_size=4 --set model.width=8 --set 'model.layers=[Flatten, {Dense: {units: $width, "
                            "name: first}}, {Dense: {units: 10, activation: softmax}}]'";
  static const char *const parts[] = {"tercet: upload\n", "tercet: record step\n", "tercet:   first/", "tercet: replay step\n", "tercet: wait\n",
                                      "tercet: download\n", "tercet ends at depth 0\n"};
  CHECK(gpu_run("", job) == 0 && strstr(gpu_out, "tercet: ") == NULL, "%s", gpu_out);
  CHECK(gpu_run("NVTX_INJECTION64_PATH=" GPU_STANDIN "/profiler.so", job) == 0, "%s", gpu_out);
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) CHECK(strstr(gpu_out, parts[i]) != NULL, "no '%s' in:\n%s", parts[i], gpu_out);
  CHECK(gpu_run("STANDIN_CUDA=fail=cuLaunchKernel:3:1 NVTX_INJECTION64_PATH=" GPU_STANDIN "/profiler.so", job) != 0, "%s", gpu_out);
  CHECK(strstr(gpu_out, "tercet ends at depth 0\n") != NULL, "%s", gpu_out);
}

/* ---- what the files need ---- */

static int lines_of(const char *command) {
  (void)shell(gpu_out, sizeof gpu_out, "%s", command); /* a grep that finds nothing fails */
  int n = 0;
  for (const char *at = gpu_out; *at != '\0'; at++) n += *at == '\n';
  return n;
}

TEST(gpu, only_the_module_knows_cuda) {
  NEEDS_GPU("");
#define FILES "'" TCT_BINARY_DIR "'/libtercet.so '" TCT_BINARY_DIR "'/tercet"
  CHECK(lines_of("for f in " FILES "; do readelf -d $f | grep -i -E 'NEEDED.*(cuda|cublas|cudnn|nccl|nvrtc)'; done") == 0, "%s", gpu_out);
  CHECK(lines_of("nm -D " FILES " | grep -E ' (cu[A-Z]|cudnn|cublas|tct_cu_)'") == 0, "%s", gpu_out);
#undef FILES
  CHECK(lines_of("nm -D --defined-only '" GPU_MODULES "/libtercet-cuda.so' | grep -v -w tct_backend_entry | grep ' T tct'") == 0, "%s", gpu_out);
  /* A sanitized module needs the sanitizer's libraries as well. */
  CHECK(lines_of("readelf -d '" GPU_MODULES "/libtercet-cuda.so' | grep NEEDED | grep -v -E 'libc\\.so|ld-linux|lib(a|t|ub)san|libgcov|libm\\.so|"
                 "libpthread|libgcc'") == 0, "%s", gpu_out);
}
