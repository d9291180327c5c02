/* The check device: right kernels pass under it with the same bits, each planted bug is named with step, kernel and byte, and
 * it is opened only around another device. */
#include <stdlib.h>
#include <unistd.h>

#include "backends/check/entry.h"
#include "base/alloc.h"
#include "exec/exec.h"
#include "graphs.h"
#include "test.h"

/* ---- right kernels ---- */

/* Losses of four runs of the graph. */
static void losses_on(const char *spec, const tct_graph *graph, float *loss) {
  tct_device *device = device_make(spec);
  tct_program *program = NULL;
  OK(tct_compile(graph, device, NULL, &program));
  feed(program);
  for (int run = 0; run < 4; run++) {
    OK(tct_program_run(program));
    OK(tct_program_get(program, "loss", &loss[run], sizeof *loss));
  }
  tct_program_free(program);
  tct_device_close(device);
}

/* Two dense layers and plain gradient descent. */
static tct_graph *mlp_step(void) {
  tct_graph *graph = graph_make();
  const tct_init glorot = {TCT_INIT_GLOROT_UNIFORM, 0, 0, 0};
  const tct_tensor x = tct_input(graph, "x", TCT_F32, TCT_SHAPE(5, 7));
  const tct_tensor y = tct_input(graph, "y", TCT_I32, TCT_SHAPE(5));
  const tct_tensor w[2] = {tct_variable(graph, "w0", TCT_F32, TCT_SHAPE(7, 9), glorot),
                           tct_variable(graph, "w1", TCT_F32, TCT_SHAPE(9, 3), glorot)};
  const tct_tensor logits = tct_matmul(tct_relu(tct_matmul(x, w[0])), w[1]);
  const tct_tensor loss = tct_reduce_mean(tct_sparse_softmax_cross_entropy(logits, y, 0), NULL, 0, false);
  const tct_tensor lr = tct_scalar(graph, TCT_F32, 0.1);
  tct_tensor d[2];
  tct_gradients(loss, w, 2, d);
  for (int i = 0; i < 2; i++) tct_assign(w[i], tct_sub(w[i], tct_mul(lr, d[i])));
  tct_output(graph, "loss", loss);
  OK(tct_graph_status(graph));
  return graph;
}

TEST(check_device, training_is_clean_and_the_same) {
  static const char *const inner[] = {"cpu", "ref"};
  for (int net = 0; net < 2; net++) {
    tct_graph *graph = net == 0 ? training_step(TCT_F32, 4) : mlp_step();
    for (size_t i = 0; i < 2; i++) {
      float plain[4], watched[4];
      char spec[32];
      snprintf(spec, sizeof spec, "check:%s", inner[i]);
      losses_on(inner[i], graph, plain);
      losses_on(spec, graph, watched);
      CHECK(memcmp(plain, watched, sizeof plain) == 0, "%s, net %d: %g, watched %g", inner[i], net, (double)plain[3],
            (double)watched[3]);
      CHECK(isfinite(plain[3]) && plain[3] != plain[0]);
    }
    tct_graph_free(graph);
  }
}

TEST(check_device, gives_all_memory_back) {
  tct_graph *graph = mlp_step();
  float loss[4];
  losses_on("check:cpu", graph, loss);
  const int64_t before = tct_alloc_live();
  losses_on("check:cpu", graph, loss);
  CHECK(tct_alloc_live() == before, "%d blocks are left", (int)(tct_alloc_live() - before));
  tct_graph_free(graph);
}

/* ---- opening ---- */

TEST(check_device, opens_around_a_device) {
  tct_device *device = NULL;
  FAILS(tct_device_open("check", NULL, &device), TCT_UNAVAILABLE, "check:cpu");
  FAILS(tct_device_open("check:gpv", NULL, &device), TCT_NOT_FOUND, "device 'gpv' is not known");
  FAILS(tct_device_open("check:ref:3", NULL, &device), TCT_UNAVAILABLE, "there are 1 of the kind");
  FAILS(tct_device_open("check:ref:fast", NULL, &device), TCT_INVALID, "takes no options; got 'fast'");
  OK(tct_device_open("check:check:ref:0", NULL, &device));
  tct_device_info info;
  tct_device_describe(device, &info);
  CHECK(strncmp(info.name, "check: check: reference", 23) == 0, "%s", info.name);
  tct_device_close(device);
}

/* ---- memory ---- */

TEST(check_device, memory_is_filled_and_bounded) {
  tct_device *device = device_make("check:cpu");
  const tct_backend *b = device->backend;
  void *memory = NULL;
  unsigned char bytes[100] = {0};
  OK(b->alloc(device->impl, 100, &memory));
  OK(b->download(device->impl, bytes, memory, 100));
  for (int i = 0; i < 100; i++) CHECK(bytes[i] == 0xff, "byte %d is %d", i, bytes[i]);
  FAILS(b->upload(device->impl, (char *)memory + 1, bytes, 100), TCT_INTERNAL, "upload of 100 bytes");
  FAILS(b->download(device->impl, bytes, (char *)memory - 1, 1), TCT_INTERNAL, "download of 1 bytes");
  FAILS(b->copy(device->impl, memory, bytes, 1), TCT_INTERNAL, "copy from 1 bytes");
  OK(b->upload(device->impl, (char *)memory + 90, bytes, 10));
  b->free(device->impl, memory);
  tct_device_close(device);
}

static char logged[512];
static void keep_line(void *user, tct_log_level level, const char *line) {
  (void)user;
  if (level == TCT_LOG_ERROR) snprintf(logged, sizeof logged, "%s", line);
}

TEST(check_device, free_looks_at_the_canaries) {
  tct_device *device = device_make("check:ref");
  void *memory = NULL;
  tct_set_log(keep_line, NULL, TCT_LOG_ERROR);
  OK(device->backend->alloc(device->impl, 24, &memory));
  ((char *)memory)[24] = 0;
  device->backend->free(device->impl, memory);
  CHECK(strstr(logged, "freeing a buffer of 24 bytes: byte 24") != NULL, "%s", logged);
  device->backend->free(device->impl, logged);
  CHECK(strstr(logged, "no buffer of the device") != NULL, "%s", logged);
  tct_set_log(NULL, NULL, TCT_LOG_ERROR);
  tct_device_close(device);
}

/* ---- planted bugs ---- */

/* A device of the module with the bugs; false where backends were looked for before this test could name its folder. */
static bool open_planted(tct_device **out) {
  setenv("TERCET_BACKEND_PATH", TCT_BINARY_DIR "/modules/planted", 1);
  const tct_status status = tct_device_open("check:planted", NULL, out);
  unsetenv("TERCET_BACKEND_PATH");
  CHECK(status == TCT_OK || status == TCT_NOT_FOUND, "%s", tct_error_message());
  return status == TCT_OK;
}

/* One op on x [10] f32. */
static tct_status run_op(tct_device *device, tct_tensor (*op)(tct_tensor), bool fed) {
  tct_graph *graph = graph_make();
  tct_program *program = NULL;
  const float x[10] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
  tct_output(graph, "y", op(tct_input(graph, "x", TCT_F32, TCT_SHAPE(10))));
  OK(tct_compile(graph, device, NULL, &program));
  if (fed) OK(tct_program_set(program, "x", x, sizeof x));
  const tct_status status = tct_program_run(program);
  float y[10] = {0};
  if (status == TCT_OK) {
    OK(tct_program_get(program, "y", y, sizeof y));
    CHECK(y[9] == 11);
  }
  tct_program_free(program);
  tct_graph_free(graph);
  return status;
}

TEST(check_device, finds_planted_bugs) {
  tct_device *device = NULL;
  if (!open_planted(&device)) SKIP("backends are found once in a process, before this test");
  OK(run_op(device, tct_relu, true));
  static const struct {
    tct_tensor (*op)(tct_tensor);
    const char *says;
  } rows[] = {
      {tct_exp, "check: kernel exp.writes_behind of step 'exp' writes outside its output 0 of 40 bytes, at byte 40"},
      {tct_tanh, "kernel tanh.writes_input of step 'tanh' writes its input 0, at byte 10"},
      {tct_square, "kernel square.accumulates of step 'square' left output 0 unwritten at element 0 (byte 0), or computed"},
      {tct_abs, "kernel abs.forgets_last of step 'abs' left output 0 unwritten at element 9 (byte 36)"},
      {tct_sin, "kernel sin.reads_workspace of step 'sin' left output 0 unwritten at element 8 (byte 32), or computed"},
      {tct_cos, "kernel cos.overruns_workspace of step 'cos' writes outside its workspace of 32 bytes, at byte 32"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) FAILS(run_op(device, rows[i].op, true), TCT_INTERNAL, rows[i].says);
  FAILS(run_op(device, tct_relu, false), TCT_INTERNAL, "reads input 0, never written at element 0 (byte 0)");
  OK(run_op(device, tct_relu, true));
  tct_device_close(device);
}
