/* Every CPU kernel against the reference: the graphs of ops/shape_cases.def, of the elementwise table and of
 * cpu_cases.def are run node by node, forward and backward; each node's inputs are the reference's values, its outputs
 * begin as NaN on both devices. Every instruction-set level that this processor has takes part, and one thread gives
 * the same bits as three. */
#include <stdint.h>
#include <stdio.h>

#include <tercet/tercet.h>

#include "backends/cpu/entry.h"
#include "backends/ref/entry.h"
#include "device/device.h"
#include "graph/graph.h"
#include "kernels/attention_terms.h"
#include "ops/leaves.h"
#include "test.h"

/* Inputs read densely, by a row, as a column, as one number and as truth; steps of every kind; more results alive at
 * once than a chain of one op after another needs. */
static inline tct_tensor chain_of_all(tct_tensor x, tct_tensor row, tct_tensor column, tct_tensor one,
                                      tct_tensor condition) {
  const tct_chain_attrs attrs = {.n_steps = 9,
                                 .step = {
                                     {TCT_OP_add, {0, 1}, 0, 0},         /* 5: x + row */
                                     {TCT_OP_leaky_relu, {5}, 0.2, 0},   /* 6 */
                                     {TCT_OP_mul, {6, 2}, 0, 0},         /* 7: · column */
                                     {TCT_OP_greater, {7, 3}, 0, 0},     /* 8: > one */
                                     {TCT_OP_logical_and, {8, 4}, 0, 0}, /* 9 */
                                     {TCT_OP_select, {9, 7, 5}, 0, 0},   /* 10 */
                                     {TCT_OP_tanh_grad, {6, 10}, 0, 0},  /* 11 */
                                     {TCT_OP_logical_not, {9}, 0, 0},    /* 12 */
                                     {TCT_OP_sub, {11, 12}, 0, 0},       /* 13 */
                                 }};
  const tct_tensor in[] = {x, row, column, one, condition};
  return tct_emit(x.graph, TCT_OP_chain, &attrs, in, 5, NULL);
}

#define GIVES(name, desc, expression)                                                                                  \
  static tct_tensor build_##name(tct_graph *g) {                                                                       \
    return expression;                                                                                                 \
  }
#define MAKES(name, desc, expression) GIVES(name, desc, expression)
#include "ops/shape_cases.def"
#define CASE(name, expression)                                                                                         \
  static tct_tensor own_##name(tct_graph *g) {                                                                         \
    return expression;                                                                                                 \
  }
#include "kernels/cpu_cases.def"
#undef CASE
#define UNARY(name, ...)                                                                                               \
  static tct_tensor row_##name(tct_graph *g) {                                                                         \
    return tct_##name(P(7, 150));                                                                                      \
  }
#define UNARY1(name, ...)                                                                                              \
  static tct_tensor row_##name(tct_graph *g) {                                                                         \
    return tct_##name(P(7, 150), 0.7);                                                                                 \
  }
#define UNARY2(name, ...)                                                                                              \
  static tct_tensor row_##name(tct_graph *g) {                                                                         \
    return tct_##name(P(7, 150), 0.7, 1.3);                                                                            \
  }
#include <tercet/elementwise.def>

typedef struct node_case {
  const char *name;
  tct_tensor (*build)(tct_graph *g);
} node_case;

static const node_case shape_cases[] = {
#define GIVES(name, desc, expression) {#name, build_##name},
#define MAKES(name, desc, expression) {#name, build_##name},
#include "ops/shape_cases.def"
};
static const node_case own_cases[] = {
#define CASE(name, expression) {#name, own_##name},
#include "kernels/cpu_cases.def"
#undef CASE
};
static const node_case row_cases[] = {
#define UNARY(name, ...) {#name, row_##name},
#include <tercet/elementwise.def>
};
#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* ---- devices ---- */

static const char *wanted_isa = "";
static const char *test_env(const char *name) {
  return strcmp(name, "TERCET_ISA") == 0 ? wanted_isa : "";
}

typedef struct opened {
  const tct_backend *backend;
  tct_device_impl *impl;
} opened;

static tct_host host;

/* impl is NULL when the device cannot be opened. */
static opened open_device(tct_backend_entry_fn enter, const char *isa, int32_t n_threads) {
  host = *tct_host_table();
  host.env = test_env;
  wanted_isa = isa;
  opened device = {.backend = enter(&host)};
  CHECK(device.backend != NULL, "%s", tct_error_message());
  const tct_open_options options = {.n_threads = n_threads, .options = ""};
  if (device.backend->open(&options, &device.impl) != TCT_OK) device.impl = NULL;
  return device;
}

/* The first kernel that takes the node, from entry `skip` of the op on; NULL when none does. */
static const tct_kernel *kernel_for(const opened *device, const tct_node_view *node, char *why, size_t why_bytes) {
  for (size_t i = 0; i < device->backend->n_kernels; i++) {
    const tct_kernel *kernel = &device->backend->kernels[i];
    if (strcmp(kernel->op, node->op_name) != 0) continue;
    if (kernel->supports == NULL || kernel->supports(node, why, why_bytes)) return kernel;
  }
  return NULL;
}

static void *new_buffer(size_t bytes) {
  void *memory = aligned_alloc(64, (bytes + 127) / 64 * 64);
  CHECK(memory != NULL, "no memory for a test's buffer");
  memset(memory, 0xFF, (bytes + 127) / 64 * 64);
  return memory;
}

static void launch(const opened *device, const tct_kernel *kernel, const tct_node_view *node, void *const *in,
                   void *const *out) {
  tct_prepared prepared = {0};
  if (kernel->prepare != NULL) OK(kernel->prepare(device->impl, node, &prepared));
  void *workspace = new_buffer(prepared.workspace_bytes);
  const tct_launch now = {node, in, out, workspace, prepared.state};
  OK(kernel->launch(device->impl, &now));
  if (kernel->release != NULL) kernel->release(device->impl, prepared.state);
  free(workspace);
}

/* ---- one node on two devices ---- */

static size_t bytes_of(const tct_desc *desc) {
  return (size_t)tct_shape_size(&desc->shape) * tct_dtype_bytes(desc->dtype);
}

static double greatest(const tct_desc *desc, const void *data) {
  const float *x = data;
  double most = 0.0;
  if (desc->dtype != TCT_F32) return 0.0;
  for (int64_t i = 0; i < tct_shape_size(&desc->shape); i++)
    if (isfinite(x[i]) && fabs((double)x[i]) > most) most = fabs((double)x[i]);
  return most;
}

/* An element of attention's gradient may be near zero beside its terms: γ_n·Σ|terms| bounds its error. */
static void compare_attention_grad(const char *label, const tct_node_view *node, void *const *in, int32_t output,
                                   const float *got, const float *want) {
  const int64_t size = tct_shape_size(&node->out[output].shape);
  double *terms = malloc((size_t)(size + 1) * sizeof *terms);
  CHECK(terms != NULL, "no memory");
  const double n = attention_grad_terms(node, in, output, terms), gamma = n * 0x1p-24 / (1 - n * 0x1p-24);
  for (int64_t i = 0; i < size; i++) {
    const double error = fabs((double)got[i] - (double)want[i]);
    CHECK(error <= gamma * terms[i], "%s: %s, output %d, element %lld is %.9g, the reference has %.9g: %.2g γ_%.0f", label,
          node->name, output, (long long)i, (double)got[i], (double)want[i], error / (gamma * terms[i]), n);
  }
  free(terms);
}

/* Relative to the greatest magnitude of the tensor, for a sum also of what is summed: sums cancel, and then no element's own
 * size counts. */
static void compare(const char *label, const tct_node_view *node, void *const *in, const tct_desc *desc,
                    const void *got, const void *want) {
  if (desc->dtype != TCT_F32) {
    const size_t bytes = tct_dtype_bytes(desc->dtype);
    for (size_t i = 0; i < bytes_of(desc); i++) {
      CHECK(((const uint8_t *)got)[i] == ((const uint8_t *)want)[i], "%s: %s (%s): element %zu differs", label,
            node->name, node->op_name, i / bytes);
    }
    return;
  }
  const float *a = got, *b = want;
  const int64_t n = tct_shape_size(&desc->shape);
  double most = greatest(desc, b);
  if (node->op == TCT_OP_reduce_sum || node->op == TCT_OP_reduce_mean) most = fmax(most, greatest(&node->in[0], in[0]));
  for (int64_t i = 0; i < n; i++) {
    const bool same = (isnan(a[i]) && isnan(b[i])) || a[i] == b[i] ||
                      fabs((double)a[i] - (double)b[i]) <= 1e-5 * most + 1e-6 * fabs((double)b[i]);
    CHECK(same, "%s: %s (%s): element %lld is %.9g, the reference has %.9g", label, node->name, node->op_name,
          (long long)i, (double)a[i], (double)b[i]);
  }
}

typedef struct walk {
  const char *label;
  const tct_graph *graph;
  const opened *ref, *cpu, *many; /* many: more threads than cpu */
  void **value;                   /* [n_values] the reference's */
  int32_t n_compared;
} walk;

/* Whether an update keeps a second moment, or another state of its own, in the value. */
static bool is_state(const tct_graph *g, int32_t value) {
  for (int32_t i = 0; i < g->n_nodes; i++)
    for (int32_t j = 1; j < tct_node_writes(&g->nodes[i]); j++)
      if (g->nodes[i].in[j] == value) return true;
  return false;
}

static void fill_source(const walk *w, const tct_node *node) {
  const tct_value *value = tct_value_of(w->graph, node->out);
  void *to = w->value[node->out];
  const int64_t n = tct_shape_size(&value->desc.shape);
  if (node->op == TCT_OP_constant) {
    memcpy(to, ((const tct_constant_attrs *)node->attrs)->data, bytes_of(&value->desc));
    return;
  }
  const bool is_positive = is_state(w->graph, node->out);
  uint64_t state = (uint64_t)node->out * 0x9E3779B97F4A7C15u + 77;
  for (int64_t i = 0; i < n; i++) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    switch (value->desc.dtype) {
    case TCT_F32: {
      const float noise = (float)((double)(state >> 11) * 0x1p-52 - 1.0) * 1.5f;
      ((float *)to)[i] = is_positive ? fabsf(noise) : noise;
      break;
    }
    case TCT_I32:
      ((int32_t *)to)[i] = (int32_t)(i % 3);
      break;
    case TCT_I64:
      ((int64_t *)to)[i] = i % 3;
      break;
    case TCT_U8:
      ((uint8_t *)to)[i] = (uint8_t)(state >> 60);
      break;
    case TCT_BOOL:
      ((uint8_t *)to)[i] = (uint8_t)(state >> 63);
      break;
    default:
      break;
    }
  }
}

/* Outputs in buffers of NaN; what an update writes, in copies of its states. `results`: outputs, then states. */
static void run_on(const opened *device, const tct_kernel *kernel, const tct_node_view *view, void *const *in,
                   int32_t n_written, void **results) {
  void *operands[64];
  CHECK(view->n_in <= 64, "a node of %d inputs", view->n_in);
  for (int32_t i = 0; i < view->n_in; i++) operands[i] = in[i];
  for (int32_t i = 0; i < view->n_out; i++) results[i] = new_buffer(bytes_of(&view->out[i]));
  for (int32_t i = 0; i < n_written; i++) {
    operands[i] = results[view->n_out + i] = new_buffer(bytes_of(&view->in[i]));
    memcpy(operands[i], in[i], bytes_of(&view->in[i]));
  }
  launch(device, kernel, view, operands, results);
}

static void compare_node(walk *w, const tct_node *node, const tct_node_view *view) {
  void *in[64], *want[16], *got[16], *again[16];
  const int32_t n_written = tct_node_writes(node), n_results = view->n_out + n_written;
  for (int32_t i = 0; i < view->n_in; i++) in[i] = w->value[node->in[i]];
  char why[256] = "";
  const tct_kernel *ref = kernel_for(w->ref, view, why, sizeof why);
  CHECK(ref != NULL, "%s: device ref refuses %s: %s", w->label, view->op_name, why);
  run_on(w->ref, ref, view, in, n_written, want);
  for (int32_t i = 0; i < view->n_out; i++) memcpy(w->value[node->out + i], want[i], bytes_of(&view->out[i]));
  const tct_kernel *cpu = kernel_for(w->cpu, view, why, sizeof why);
  bool has_f64 = false;
  for (int32_t i = 0; i < view->n_in; i++) has_f64 |= view->in[i].dtype == TCT_F64;
  for (int32_t i = 0; i < view->n_out; i++) has_f64 |= view->out[i].dtype == TCT_F64;
  const bool of_fuse_passes = view->op == TCT_OP_matmul_gelu || view->op == TCT_OP_matmul_dgelu || view->op == TCT_OP_matmul_bgrad;
  if (of_fuse_passes) {
    CHECK(cpu == NULL, "%s: the fuse passes make %s for device cpu, which gains nothing by it", w->label, view->op_name);
  } else if (has_f64) {
    CHECK(cpu == NULL && strstr(why, "f64 runs on device ref") != NULL, "%s: device cpu took f64: %s", w->label, why);
  } else {
    CHECK(cpu != NULL, "%s: device cpu refuses %s: %s", w->label, view->op_name, why);
    run_on(w->cpu, cpu, view, in, n_written, got);
    run_on(w->many, cpu, view, in, n_written, again);
    for (int32_t i = 0; i < n_results; i++) {
      const tct_desc *desc = i < view->n_out ? &view->out[i] : &view->in[i - view->n_out];
      if (view->op == TCT_OP_attention_grad)
        compare_attention_grad(w->label, view, in, i, got[i], want[i]);
      else
        compare(w->label, view, in, desc, got[i], want[i]);
      CHECK(memcmp(got[i], again[i], bytes_of(desc)) == 0, "%s: %s (%s): three threads give other bits", w->label,
            view->name, view->op_name);
      free(got[i]);
      free(again[i]);
    }
    w->n_compared++;
  }
  for (int32_t i = 0; i < n_results; i++) free(want[i]);
}

static void walk_graph(walk *w) {
  const tct_graph *g = w->graph;
  tct_arena arena = {0};
  w->value = calloc((size_t)g->n_values + 1, sizeof *w->value);
  CHECK(w->value != NULL, "no memory");
  for (int32_t i = 0; i < g->n_values; i++) w->value[i] = new_buffer(bytes_of(&g->values[i].desc));
  for (int32_t i = 0; i < g->n_nodes; i++) {
    const tct_node *node = &g->nodes[i];
    if (tct_op_is_source(node->op)) {
      fill_source(w, node);
    } else if (tct_op_is_view(node->op)) {
      memcpy(w->value[node->out], w->value[node->in[0]], bytes_of(&tct_value_of(g, node->out)->desc));
    } else {
      const tct_node_view *view = tct_node_view_of(g, node, &arena);
      CHECK(view != NULL, "%s", tct_error_message());
      compare_node(w, node, view);
    }
  }
  for (int32_t i = 0; i < g->n_values; i++) free(w->value[i]);
  free(w->value);
  tct_arena_free(&arena);
}

/* Appends the gradients of a sum in which every element counts differently. */
static void differentiate(tct_graph *g, tct_tensor y) {
  if (tct_tensor_dtype(y) != TCT_F32) return;
  tct_tensor wrt[16], gradients[16];
  int32_t n = 0;
  for (int32_t i = 0; i < g->n_nodes && n < 16; i++)
    if (g->nodes[i].op == TCT_OP_variable) wrt[n++] = (tct_tensor){g, g->nodes[i].out};
  const tct_shape shape = tct_tensor_shape(y);
  const tct_tensor weights = tct_input(g, "weights", TCT_F32, shape);
  tct_gradients(tct_reduce_sum(tct_mul(y, weights), NULL, 0, false), wrt, n, gradients);
}

static int32_t run_cases(const node_case *cases, size_t n, const char *isa, bool backward) {
  const opened cpu = open_device(tct_backend_entry_cpu, isa, 1);
  if (cpu.impl == NULL) return 0;
  const opened ref = open_device(tct_backend_entry_ref, "", 1), many = open_device(tct_backend_entry_cpu, isa, 3);
  CHECK(ref.impl != NULL && many.impl != NULL, "%s", tct_error_message());
  int32_t n_compared = 0;
  for (size_t i = 0; i < n; i++) {
    tct_graph *g = NULL;
    OK(tct_graph_create(&g));
    const tct_tensor y = cases[i].build(g);
    OK(tct_graph_status(g));
    if (backward) {
      const int32_t before = g->n_nodes;
      differentiate(g, y);
      /* What is not differentiable is still compared forward. */
      if (tct_graph_status(g) != TCT_OK) g->n_nodes = before;
    }
    walk w = {.label = cases[i].name, .graph = g, .ref = &ref, .cpu = &cpu, .many = &many};
    walk_graph(&w);
    n_compared += w.n_compared;
    tct_graph_free(g);
  }
  ref.backend->close(ref.impl);
  cpu.backend->close(cpu.impl);
  many.backend->close(many.impl);
  return n_compared;
}

static void run_all(const char *isa) {
  int32_t n = run_cases(own_cases, COUNT(own_cases), isa, true);
  if (n == 0) SKIP("this processor has no %s", isa);
  n = run_cases(shape_cases, COUNT(shape_cases), isa, true);
  CHECK(n > (int32_t)COUNT(shape_cases), "only %d nodes were compared", n);
  n = run_cases(row_cases, COUNT(row_cases), isa, true);
  CHECK(n > (int32_t)COUNT(row_cases), "only %d nodes were compared", n);
}

TEST(cpu, generic_equals_ref) {
  run_all("generic");
}
TEST(cpu, avx2_equals_ref) {
  run_all("avx2");
}
TEST(cpu, avx512_equals_ref) {
  run_all("avx512");
}

TEST(cpu, unknown_level_is_refused) {
  opened device = open_device(tct_backend_entry_cpu, "sse9", 1);
  CHECK(device.impl == NULL, "opened");
  const tct_open_options options = {.n_threads = 1, .options = ""};
  FAILS(device.backend->open(&options, &device.impl), TCT_INVALID, "TERCET_ISA=sse9: this processor and build have");
  wanted_isa = ""; /* the backend keeps this host's environment for the process */
}
