/* The builders behind cases.def. Operands are variables, so that nothing is folded away. */
#include "perf/support/cases.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static tct_tensor floats(tct_graph *graph, tct_shape shape) {
  static unsigned n; /* names are unique within a graph: so they are within the process */
  char name[24];
  snprintf(name, sizeof name, "v%u", n++);
  return tct_variable(graph, name, TCT_F32, shape, (tct_init){.kind = TCT_INIT_UNIFORM, .value = 1});
}

static tct_tensor indices(tct_graph *graph, int64_t bound, tct_shape shape) {
  const int64_t n = tct_shape_size(&shape);
  int32_t *data = malloc((size_t)n * sizeof *data);
  if (data == NULL) return (tct_tensor){graph, -1};
  for (int64_t i = 0; i < n; i++) data[i] = (int32_t)((uint64_t)i * 2654435761u % (uint64_t)bound);
  const tct_tensor made = tct_constant(graph, TCT_I32, shape, data);
  free(data);
  return made;
}

static tct_tensor step_of(tct_graph *graph) {
  return tct_variable(graph, "step", TCT_I64, (tct_shape){0}, (tct_init){0});
}

/* d Σ y·v / d x for a variable v */
static tct_tensor slope(tct_tensor y, tct_tensor x) {
  const tct_tensor loss = tct_reduce_sum(tct_mul(y, floats(y.graph, tct_tensor_shape(y))), NULL, 0, false);
  tct_tensor out;
  tct_gradients(loss, &x, 1, &out);
  return out;
}

typedef tct_tensor (*conv_fn)(tct_tensor x, tct_tensor w, const tct_conv2d_options *how);
static tct_tensor slope_of_first(conv_fn fn, tct_tensor x, tct_tensor w, const tct_conv2d_options *how) {
  return slope(fn(x, w, how), x);
}
static tct_tensor slope_of_second(conv_fn fn, tct_tensor x, tct_tensor w, const tct_conv2d_options *how) {
  return slope(fn(x, w, how), w);
}
static tct_tensor slope_of(tct_tensor (*pool)(tct_tensor, const tct_pool2d_options *), tct_tensor x) {
  return slope(pool(x, NULL), x);
}
static tct_tensor batch_norm_slope(tct_tensor x, tct_tensor gamma, tct_tensor beta) {
  return slope(tct_batch_norm(x, gamma, beta, 1e-3, NULL, NULL), x);
}
static tct_tensor layer_norm_slope(tct_tensor x, tct_tensor gamma, tct_tensor beta) {
  return slope(tct_layer_norm(x, gamma, beta, 1e-5), x);
}
static tct_tensor causal_attention(tct_tensor q, tct_tensor k, tct_tensor v) {
  return tct_attention(q, k, v, (tct_tensor){0}, &(tct_attention_options){.causal = true});
}
static tct_tensor causal_attention_slope(tct_tensor q, tct_tensor k, tct_tensor v) {
  return slope(causal_attention(q, k, v), q);
}
static tct_tensor gather_slope(tct_tensor table, tct_tensor at) {
  return slope(tct_gather(table, at, 0), table);
}

void perf_build_gemm(tct_graph *graph, int64_t m, int64_t n, int64_t k, bool transpose_a, bool transpose_b) {
  const tct_tensor a = floats(graph, transpose_a ? TCT_SHAPE(k, m) : TCT_SHAPE(m, k));
  const tct_tensor b = floats(graph, transpose_b ? TCT_SHAPE(n, k) : TCT_SHAPE(k, n));
  tct_output(graph, "y", tct_matmul_transposed(a, b, transpose_a, transpose_b));
}

void perf_build_conv(tct_graph *graph, const char *op, tct_shape x, tct_shape filter, const tct_conv2d_options *how) {
  const tct_tensor in = floats(graph, x), w = floats(graph, filter), y = tct_conv2d(in, w, how);
  const bool forward = strcmp(op, "conv2d") == 0;
  tct_output(graph, "y", forward ? y : slope(y, strcmp(op, "conv2d_grad_input") == 0 ? in : w));
}

void perf_build_recurrent(tct_graph *graph, const char *op, int64_t batch, int64_t steps, int64_t hidden) {
  const bool lstm = strncmp(op, "lstm", 4) == 0, forward = strstr(op, "_grad") == NULL;
  const int64_t wide = (lstm ? 4 : 3) * hidden;
  const tct_tensor x = floats(graph, TCT_SHAPE(batch, steps, hidden)), w = floats(graph, TCT_SHAPE(hidden, wide)),
                   u = floats(graph, TCT_SHAPE(hidden, wide)), none = {0};
  const tct_tensor b = floats(graph, lstm ? TCT_SHAPE(wide) : TCT_SHAPE(2, wide));
  const tct_tensor y = lstm ? tct_lstm(x, w, u, b, none, none, false, NULL) : tct_gru(x, w, u, b, none, false);
  tct_output(graph, "y", forward ? y : slope(y, x));
}

static void update(tct_graph *graph, tct_op op, int32_t n_slots) {
  const tct_shape shape = TCT_SHAPE(1 << 20);
  const tct_tensor none = {0}, w = floats(graph, shape), slots[2] = {floats(graph, shape), floats(graph, shape)};
  tct_update(op, w, slots, n_slots, floats(graph, shape), tct_scalar(graph, TCT_F32, 1e-3), step_of(graph), none,
             &(tct_update_attrs){.beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-7, .momentum = op == TCT_OP_sgd_update && n_slots > 0 ? 0.9 : 0});
}

#define F(...)            floats(g, TCT_SHAPE(__VA_ARGS__))
#define I(bound, ...)     indices(g, bound, TCT_SHAPE(__VA_ARGS__))
#define AXES(axis)        (const int32_t[]){axis}, 1
#define EXTENTS(...)      (const int64_t[]){__VA_ARGS__}
#define PASTE_(a, b)      a##b
#define PASTE(a, b)       PASTE_(a, b)
#define ROW               1024, 1024

/* A function for each row, named by its line; rows that share a line are told apart by their op. */
#define NAMED(op)         PASTE(PASTE(build_##op, _), __LINE__)
#define FUNCTION(op, expression) \
  static void NAMED(op)(tct_graph *g) { tct_output(g, "y", expression); }
#define CASE(op, label, expression) FUNCTION(op, expression)
#define UPDATE(op, label, slots) \
  static void NAMED(op)(tct_graph *g) { update(g, TCT_OP_##op, slots); }
#include "perf/support/cases.def"

#define UNARY(name, dtypes, text, forward, gradient, needs, flops) \
  static void unary_##name(tct_graph *g) { tct_output(g, "y", tct_##name(F(ROW))); }
#define UNARY1(name, dtypes, text, forward, gradient, needs, flops) \
  static void unary_##name(tct_graph *g) { tct_output(g, "y", tct_##name(F(ROW), 0.5)); }
#define UNARY2(name, dtypes, text, forward, gradient, needs, flops) \
  static void unary_##name(tct_graph *g) { tct_output(g, "y", tct_##name(F(ROW), 0.25, 0.5)); }
#define BINARY(name, dtypes, text, forward, flops) \
  static void binary_##name(tct_graph *g) { tct_output(g, "y", tct_##name(F(ROW), F(ROW))); }
#include <tercet/elementwise.def>

const perf_case perf_cases[] = {
#define CASE(op, label, expression) {#op, label, NAMED(op)},
#define UPDATE(op, label, slots)    {#op, label, NAMED(op)},
#include "perf/support/cases.def"
#define UNARY(name, dtypes, text, forward, gradient, needs, flops)  {#name, "1024x1024", unary_##name},
#define BINARY(name, dtypes, text, forward, flops)                  {#name, "1024x1024", binary_##name},
#include <tercet/elementwise.def>
};
const int32_t perf_n_cases = sizeof perf_cases / sizeof perf_cases[0];
