/* The CUDA kernels against the reference, as the device gpu runs them over the stand-in driver: graphs of cuda_cases.def forward and
 * backward, and training steps, whose losses are the CPU's. The same bits come in every order of blocks and threads. Nothing here
 * ran on a GPU. */
#include <dlfcn.h>
#include <tercet/tercet.h>

#include "device/device.h"
#include "graph/graph.h"
#include "graphs.h"
#include "ops/leaves.h"
#include "test.h"

static void (*set_order)(uint64_t); /* of the emulator */
static void (*set_standin)(const char *);

#ifdef TCT_NO_GPU_TESTS
#define NEEDS_GPU() SKIP(TCT_NO_GPU_TESTS)
#else
#define NEEDS_GPU()                                                                                                    \
  do {                                                                                                                 \
    if (!find_gpu()) SKIP("this process looked for modules before");                                                    \
  } while (0)

static bool find_gpu(void) {
  const tct_backend *backend = NULL;
  CHECK(setenv("TERCET_BACKEND_PATH", TCT_BINARY_DIR "/modules/cuda", 1) == 0 &&
        setenv("TERCET_CUDA_LIBRARY_PATH", TCT_BINARY_DIR "/standin", 1) == 0);
  void *const library = dlopen(TCT_BINARY_DIR "/standin/libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  CHECK(library != NULL, "%s", dlerror());
  void *const order = dlsym(library, "tct_simt_order"), *const set = dlsym(library, "standin_set");
  CHECK(order != NULL && set != NULL, "%s", dlerror());
  memcpy(&set_order, &order, sizeof set_order);
  memcpy(&set_standin, &set, sizeof set_standin);
  return tct_find_backend("gpu", &backend) == TCT_OK;
}
#endif

#define CASE(name, expression)                                                                                         \
  static tct_tensor build_##name(tct_graph *g) {                                                                       \
    return expression;                                                                                                 \
  }
#include "kernels/cuda_cases.def"
#undef CASE

static const struct {
  const char *name;
  tct_tensor (*build)(tct_graph *g);
} cases[] = {
#define CASE(name, expression) {#name, build_##name},
#include "kernels/cuda_cases.def"
#undef CASE
};
enum { CASES = sizeof cases / sizeof *cases, MOST_OUTPUTS = 8 };

/* The case's result as output "y", and for floats the gradients of a sum in which every element counts differently. */
static tct_graph *graph_of(int i) {
  tct_graph *const g = graph_make();
  const tct_tensor y = cases[i].build(g);
  tct_output(g, "y", y);
  if (tct_tensor_dtype(y) != TCT_F32) return g;
  tct_tensor wrt[MOST_OUTPUTS], gradients[MOST_OUTPUTS];
  int32_t n = 0;
  for (int32_t k = 0; k < g->n_nodes && n < MOST_OUTPUTS - 1; k++)
    if (g->nodes[k].op == TCT_OP_variable) wrt[n++] = (tct_tensor){g, g->nodes[k].out};
  const tct_tensor weights = tct_input(g, "weights", TCT_F32, tct_tensor_shape(y));
  tct_gradients(tct_reduce_sum(tct_mul(y, weights), NULL, 0, false), wrt, n, gradients);
  for (int32_t k = 0; k < n; k++) {
    char name[32];
    snprintf(name, sizeof name, "d%d", (int)k);
    tct_output(g, name, gradients[k]);
  }
  return g;
}

typedef struct results {
  int32_t n;
  size_t bytes[MOST_OUTPUTS];
  tct_dtype dtype[MOST_OUTPUTS];
  void *data[MOST_OUTPUTS];
} results;

static results run_on(const tct_graph *g, tct_device *device) {
  results r = {.n = g->n_outputs};
  tct_program *program = NULL;
  OK(tct_compile(g, device, NULL, &program));
  poison_arena(program);
  feed(program);
  OK(tct_program_run(program));
  for (int32_t i = 0; i < r.n; i++) {
    const tct_desc *const desc = &g->values[g->outputs[i].value].desc;
    r.dtype[i] = desc->dtype;
    r.bytes[i] = (size_t)tct_shape_size(&desc->shape) * tct_dtype_bytes(desc->dtype);
    r.data[i] = malloc(r.bytes[i] + 1);
    CHECK(r.data[i] != NULL);
    OK(tct_program_get(program, g->outputs[i].name, r.data[i], r.bytes[i]));
  }
  tct_program_free(program);
  return r;
}

static void release(results *r) {
  for (int32_t i = 0; i < r->n; i++) free(r->data[i]);
}

/* Relative to the greatest magnitude of the tensor: sums cancel. */
static void check_near(const char *name, const results *got, const results *want) {
  for (int32_t o = 0; o < want->n; o++) {
    if (want->dtype[o] != TCT_F32) {
      CHECK(memcmp(got->data[o], want->data[o], want->bytes[o]) == 0, "%s, output %d", name, (int)o);
      continue;
    }
    const float *const a = got->data[o], *const b = want->data[o];
    const size_t n = want->bytes[o] / sizeof(float);
    double most = 1e-3;
    for (size_t i = 0; i < n; i++) most = fmax(most, fabs((double)b[i]));
    for (size_t i = 0; i < n; i++)
      CHECK(fabs((double)a[i] - (double)b[i]) <= 2e-5 * most, "%s, output %d: element %zu is %.9g, the reference has %.9g", name, (int)o,
            i, (double)a[i], (double)b[i]);
  }
}

TEST(cuda, equals_ref_in_every_order) {
  NEEDS_GPU();
  tct_device *const gpu = device_make("gpu"), *const ref = device_make("ref");
  for (int i = 0; i < CASES; i++) {
    tct_graph *const g = graph_of(i);
    results want = run_on(g, ref);
    set_order(0);
    results got = run_on(g, gpu);
    check_near(cases[i].name, &got, &want);
    set_order((uint64_t)i + 1);
    results again = run_on(g, gpu);
    for (int32_t o = 0; o < want.n; o++)
      CHECK(memcmp(got.data[o], again.data[o], got.bytes[o]) == 0, "%s, output %d: another order gives other bits", cases[i].name, (int)o);
    release(&want);
    release(&got);
    release(&again);
    tct_graph_free(g);
  }
  tct_device_close(gpu);
  tct_device_close(ref);
}

/* On a device of as many units as an H200: with fewer a result of many tiles has no sums in parts. */
TEST(cuda, sums_in_parts_equal_ref) {
  NEEDS_GPU();
  set_standin("units=132");
  tct_device *const gpu = device_make("gpu"), *const ref = device_make("ref");
  set_standin("");
  int n = 0;
  for (int i = 0; i < CASES; i++) {
    if (strstr(cases[i].name, "parts") == NULL) continue;
    n++;
    tct_graph *const g = graph_of(i);
    results want = run_on(g, ref), got = run_on(g, gpu);
    check_near(cases[i].name, &got, &want);
    release(&want);
    release(&got);
    tct_graph_free(g);
  }
  CHECK(n >= 2, "%d cases have sums in parts", n);
  tct_device_close(gpu);
  tct_device_close(ref);
}

/* ---- training ---- */

enum { STEPS = 20 };

static void losses_on(const char *spec, const tct_graph *graph, float *loss) {
  tct_device *const device = device_make(spec);
  tct_program *program = NULL;
  OK(tct_compile(graph, device, NULL, &program));
  feed(program);
  for (int step = 0; step < STEPS; step++) {
    OK(tct_program_run(program));
    OK(tct_program_get(program, "loss", &loss[step], sizeof *loss));
  }
  tct_program_free(program);
  tct_device_close(device);
}

/* Momentum for each of the variables, all at one rate; `scale` of their gradients may be unset. */
static void descend(tct_graph *g, const tct_tensor *w, const tct_tensor *d, int32_t n, double rate, tct_tensor scale) {
  const tct_tensor at = tct_scalar(g, TCT_F32, rate), none = {NULL, -1};
  for (int32_t i = 0; i < n; i++) {
    char name[8];
    snprintf(name, sizeof name, "v%d", (int)i);
    const tct_tensor velocity = tct_variable(g, name, TCT_F32, tct_tensor_shape(w[i]), (tct_init){TCT_INIT_ZEROS, 0, 0, 0});
    tct_update(TCT_OP_sgd_update, w[i], &velocity, 1, d[i], at, none, scale, &(tct_update_attrs){.momentum = 0.9, .nesterov = true});
  }
  OK(tct_graph_status(g));
}

static tct_tensor weights_of(tct_graph *g, const char *name, int64_t rows, int64_t columns) {
  return tct_variable(g, name, TCT_F32, TCT_SHAPE(rows, columns), (tct_init){TCT_INIT_GLOROT_UNIFORM, 0, 0, 0});
}

/* Two dense layers with biases, clipped by the gradients' global norm, and momentum. */
static tct_graph *mlp_step(void) {
  tct_graph *const g = graph_make();
  const tct_init glorot = {TCT_INIT_GLOROT_UNIFORM, 0, 0, 0}, zeros = {TCT_INIT_ZEROS, 0, 0, 0};
  const tct_tensor x = tct_input(g, "x", TCT_F32, TCT_SHAPE(33, 20)), y = tct_input(g, "y", TCT_I32, TCT_SHAPE(33));
  const tct_tensor w[4] = {tct_variable(g, "w0", TCT_F32, TCT_SHAPE(20, 70), glorot), tct_variable(g, "b0", TCT_F32, TCT_SHAPE(70), zeros),
                           tct_variable(g, "w1", TCT_F32, TCT_SHAPE(70, 3), glorot), tct_variable(g, "b1", TCT_F32, TCT_SHAPE(3), zeros)};
  const tct_tensor hidden = tct_relu(tct_add(tct_matmul(x, w[0]), w[1])), logits = tct_add(tct_matmul(hidden, w[2]), w[3]);
  const tct_tensor loss = tct_reduce_mean(tct_sparse_softmax_cross_entropy(logits, y, 0), NULL, 0, false);
  tct_output(g, "loss", loss);
  tct_tensor d[4];
  tct_gradients(loss, w, 4, d);
  const tct_tensor norm = tct_global_norm(d, 4), one = tct_scalar(g, TCT_F32, 1);
  descend(g, w, d, 4, 0.05, tct_div(one, tct_maximum(norm, one)));
  return g;
}

/* Causal attention of two heads over 7 positions; each position names its own label. */
static tct_graph *attention_step(void) {
  enum { BATCH = 5, POSITIONS = 7, HEADS = 2, WIDTH = 6, FEATURES = 9, ROWS = BATCH * POSITIONS };
  tct_graph *const g = graph_make();
  const tct_tensor x = tct_input(g, "x", TCT_F32, TCT_SHAPE(ROWS, FEATURES)), y = tct_input(g, "y", TCT_I32, TCT_SHAPE(ROWS));
  tct_tensor w[4], part[3], d[4];
  for (int i = 0; i < 3; i++) {
    w[i] = weights_of(g, (const char *[]){"q", "k", "v"}[i], FEATURES, HEADS * WIDTH);
    part[i] = tct_reshape(tct_matmul(x, w[i]), TCT_SHAPE(BATCH, POSITIONS, HEADS, WIDTH));
  }
  w[3] = weights_of(g, "out", HEADS * WIDTH, 3);
  const tct_tensor seen = tct_attention(part[0], part[1], part[2], NO_MASK, CAUSAL);
  const tct_tensor logits = tct_matmul(tct_reshape(seen, TCT_SHAPE(ROWS, HEADS * WIDTH)), w[3]);
  const tct_tensor loss = tct_reduce_mean(tct_sparse_softmax_cross_entropy(logits, y, 0), NULL, 0, false);
  tct_output(g, "loss", loss);
  tct_gradients(loss, w, 4, d);
  descend(g, w, d, 4, 0.3, NO_MASK);
  return g;
}

/* An LSTM, then a GRU from the end of the sequence, then a class for each step. */
static tct_graph *recurrent_step(void) {
  enum { BATCH = 5, STEPS_OF = 6, FEATURES = 4, UNITS = 7, ROWS = BATCH * STEPS_OF };
  tct_graph *const g = graph_make();
  const tct_tensor x = tct_input(g, "x", TCT_F32, TCT_SHAPE(BATCH, STEPS_OF, FEATURES)), y = tct_input(g, "y", TCT_I32, TCT_SHAPE(ROWS));
  const tct_tensor w[] = {weights_of(g, "w0", FEATURES, 4 * UNITS), weights_of(g, "u0", UNITS, 4 * UNITS), weights_of(g, "w1", UNITS, 3 * UNITS),
                          weights_of(g, "u1", UNITS, 3 * UNITS),    weights_of(g, "b1", 2, 3 * UNITS),     weights_of(g, "out", UNITS, 3),
                          tct_variable(g, "b0", TCT_F32, TCT_SHAPE(4 * UNITS), (tct_init){TCT_INIT_ZEROS, 0, 0, 0})};
  enum { WEIGHTS = sizeof w / sizeof *w };
  tct_tensor d[WEIGHTS];
  const tct_tensor first = tct_lstm(x, w[0], w[1], w[6], NO_MASK, NO_MASK, false, NULL);
  const tct_tensor second = tct_gru(first, w[2], w[3], w[4], NO_MASK, true);
  const tct_tensor logits = tct_matmul(tct_reshape(second, TCT_SHAPE(ROWS, UNITS)), w[5]);
  const tct_tensor loss = tct_reduce_mean(tct_sparse_softmax_cross_entropy(logits, y, 0), NULL, 0, false);
  tct_output(g, "loss", loss);
  tct_gradients(loss, w, WEIGHTS, d);
  descend(g, w, d, WEIGHTS, 0.8, NO_MASK);
  return g;
}

TEST(cuda, trains_with_the_losses_of_the_cpu) {
  NEEDS_GPU();
  tct_graph *const graphs[] = {mlp_step(), training_step(TCT_F32, 8), attention_step(), recurrent_step()};
  for (size_t net = 0; net < sizeof graphs / sizeof *graphs; net++) {
    float want[STEPS], got[STEPS], again[STEPS];
    losses_on("cpu", graphs[net], want);
    losses_on("gpu", graphs[net], got);
    losses_on("gpu", graphs[net], again);
    for (int i = 0; i < STEPS; i++)
      CHECK(fabs((double)got[i] - (double)want[i]) <= 1e-3 * fabs((double)want[i]), "net %zu, step %d: %g, the CPU has %g", net, i,
            (double)got[i], (double)want[i]);
    CHECK(got[STEPS - 1] < 0.8f * got[0], "net %zu learns nothing: %g, then %g", net, (double)got[0], (double)got[STEPS - 1]);
    CHECK(memcmp(got, again, sizeof got) == 0, "net %zu: other bits the second time", net);
    tct_graph_free(graphs[net]);
  }
}

/* ---- updates in one launch ---- */

enum { VALUES = 5 };

/* n variables, of which each is moved by the square of its own values, or (`chained`) by the next one's as they were before; two rates
 * in turn. */
static tct_graph *updates_of(int32_t n, bool chained) {
  tct_graph *const g = graph_make();
  const tct_tensor rate[] = {tct_scalar(g, TCT_F32, 0.25), tct_scalar(g, TCT_F32, 0.5)}, none = {NULL, -1};
  tct_tensor w[100];
  CHECK(n <= 100);
  for (int32_t i = 0; i < n; i++) {
    char name[16];
    snprintf(name, sizeof name, "w%d", (int)i);
    w[i] = tct_variable(g, name, TCT_F32, TCT_SHAPE(VALUES), (tct_init){TCT_INIT_NORMAL, 1, 0, 0});
  }
  for (int32_t i = 0; i < n; i++)
    tct_update(TCT_OP_sgd_update, w[i], NULL, 0, chained && i + 1 < n ? w[i + 1] : tct_square(w[i]), rate[i % 2], none, none,
               &(tct_update_attrs){.momentum = 0});
  OK(tct_graph_status(g));
  return g;
}

/* The variables behind two runs; out_saved: launches fewer in a run than in one that is profiled, step by step. */
static void run_updates(const tct_graph *g, const char *spec, int32_t n, float (*w)[VALUES], double *out_saved) {
  tct_device *const device = device_make(spec);
  tct_program *program = NULL;
  double launches[3] = {0};
  OK(tct_compile(g, device, NULL, &program));
  for (int run = 0; run < 2; run++) {
    tct_program_profile(program, run == 1);
    OK(tct_program_run(program));
    if (out_saved != NULL) launches[run + 1] = counter_of(device, "launches");
  }
  if (out_saved != NULL) *out_saved = launches[2] - launches[1] - launches[1];
  for (int32_t i = 0; i < n; i++) {
    char name[16];
    snprintf(name, sizeof name, "w%d", (int)i);
    OK(tct_variables_read(tct_program_variables(program), name, w[i], sizeof w[i]));
  }
  tct_program_free(program);
  tct_device_close(device);
}

TEST(cuda, updates_of_a_program_are_few_launches) {
  NEEDS_GPU();
  static const struct {
    int32_t n, saved; /* two rates: two lists, of at most TCT_CU_UPDATES */
    bool chained;
  } rows[] = {{1, 0, false}, {2, 0, false}, {7, 5, false}, {100, 98, false}, {4, 0, true}};
  for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
    tct_graph *const g = updates_of(rows[r].n, rows[r].chained);
    float want[100][VALUES], got[100][VALUES];
    double saved = -1;
    run_updates(g, "cpu", rows[r].n, want, NULL);
    for (uint64_t order = 0; order < 3; order++) {
      set_order(order);
      run_updates(g, "gpu", rows[r].n, got, &saved);
      CHECK(saved == rows[r].saved, "row %zu: %g launches saved", r, saved);
      CHECK(memcmp(got, want, sizeof *got * (size_t)rows[r].n) == 0, "row %zu, order %d: other bits than the CPU's", r, (int)order);
    }
    tct_graph_free(g);
  }
}

/* The norm of all gradients, the factor made of it and the updates that use it, without a byte to the host between two steps. */
TEST(cuda, clipping_by_the_global_norm_stays_on_the_device) {
  NEEDS_GPU();
  tct_device *const gpu = device_make("gpu");
  tct_graph *const g = mlp_step();
  tct_program *program = NULL;
  OK(tct_compile(g, gpu, NULL, &program));
  feed(program);
  CHECK(count_op(g, TCT_OP_global_norm) == 1);
  const double before = counter_of(gpu, "downloaded");
  for (int step = 0; step < 4; step++) OK(tct_program_run(program));
  CHECK(counter_of(gpu, "downloaded") == before && counter_of(gpu, "recordings") == 1 && counter_of(gpu, "replays") == 3);
  float loss = -1;
  OK(tct_program_get(program, "loss", &loss, sizeof loss));
  CHECK(loss > 0 && counter_of(gpu, "downloaded") == before + sizeof loss);
  tct_program_free(program);
  tct_graph_free(g);
  tct_device_close(gpu);
}
