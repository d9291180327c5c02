/* The leaves and helpers that the expressions of shape_cases.def use. */
#ifndef TCT_TESTS_OPS_LEAVES_H
#define TCT_TESTS_OPS_LEAVES_H

#include <math.h>
#include <stdio.h>
#include <tercet/op.h>
#include <tercet/ops.h>

/* The dtype of F, P and S: f32 for shapes, f64 where gradients are measured. */
static tct_dtype float_dtype = TCT_F32;

static inline tct_tensor leaf(tct_graph *g, bool variable, tct_dtype dtype, tct_shape shape) {
  static int count;
  char name[32];
  snprintf(name, sizeof name, "leaf%d", count++);
  const tct_init normal = {.kind = TCT_INIT_NORMAL, .value = 1};
  return variable ? tct_variable(g, name, dtype, shape, normal) : tct_input(g, name, dtype, shape);
}

#define F(...) leaf(g, true, float_dtype, TCT_SHAPE(__VA_ARGS__))
#define P(...) tct_exp(F(__VA_ARGS__))
#define S      leaf(g, true, float_dtype, tct_shape_of(0, NULL))
#define I(...) leaf(g, false, TCT_I32, TCT_SHAPE(__VA_ARGS__))
#define L(...) leaf(g, false, TCT_I64, TCT_SHAPE(__VA_ARGS__))
#define B(...) leaf(g, false, TCT_BOOL, TCT_SHAPE(__VA_ARGS__))
#define D(...) leaf(g, false, TCT_F64, TCT_SHAPE(__VA_ARGS__))
#define U(...) leaf(g, false, TCT_U8, TCT_SHAPE(__VA_ARGS__))
#define STEP   leaf(g, false, TCT_I64, tct_shape_of(0, NULL))
#define LIST(...)                                                                                                      \
  (const int64_t[]) {                                                                                                  \
    __VA_ARGS__                                                                                                        \
  }
#define PERM(...)                                                                                                      \
  (const int32_t[]) {                                                                                                  \
    __VA_ARGS__                                                                                                        \
  }
#define AXES(...) (const int32_t[]){__VA_ARGS__}, (int32_t)(sizeof((int32_t[]){__VA_ARGS__}) / sizeof(int32_t))
#define TENSORS(...)                                                                                                   \
  (const tct_tensor[]) {                                                                                               \
    __VA_ARGS__                                                                                                        \
  }
#define CONV(...)                                                                                                      \
  &(const tct_conv2d_options) {                                                                                        \
    __VA_ARGS__                                                                                                        \
  }
#define POOL(...)                                                                                                      \
  &(const tct_pool2d_options) {                                                                                        \
    __VA_ARGS__                                                                                                        \
  }
#define NO_MASK ((tct_tensor){NULL, -1})
#define CAUSAL  (&(const tct_attention_options){.causal = true})
#define HOW(...)                                                                                                       \
  &(const tct_update_attrs) {                                                                                          \
    __VA_ARGS__                                                                                                        \
  }

/* A product as the fuse passes make it; the first result. */
static inline tct_tensor fused(tct_op op, tct_tensor a, tct_tensor b, tct_tensor third) {
  const tct_matmul_attrs attrs = {.transpose_a = false};
  const tct_tensor in[] = {a, b, third};
  tct_tensor out[2];
  (void)tct_emit(a.graph, op, &attrs, in, third.graph != NULL ? 3 : 2, out);
  return out[0];
}

static inline tct_tensor batch_statistic(tct_tensor x, tct_tensor gamma, tct_tensor beta, int which) {
  tct_tensor out[2];
  tct_batch_norm(x, gamma, beta, 1e-3, &out[0], &out[1]);
  return out[which];
}

/* A value to which all three outputs contribute. */
static inline tct_tensor batch_norm_all(tct_tensor x, tct_tensor gamma, tct_tensor beta) {
  tct_tensor mean, variance;
  const tct_tensor y = tct_batch_norm(x, gamma, beta, 1e-3, &mean, &variance);
  return tct_add(y, tct_mul(mean, variance));
}

static inline tct_tensor layer_norm_all(tct_tensor x, tct_tensor gamma, tct_tensor beta) {
  const tct_norm_attrs attrs = {1e-3};
  const tct_tensor in[] = {x, gamma, beta};
  tct_tensor out[3];
  tct_emit(x.graph, TCT_OP_layer_norm, &attrs, in, 3, out);
  return tct_add(out[0], tct_reshape(tct_mul(out[1], out[2]), TCT_SHAPE(-1, 1)));
}

/* The gradient of attention of q with itself, from these ln Σ e^s. */
static inline tct_tensor attention_back(tct_tensor q, tct_tensor l) {
  const tct_attention_attrs attrs = {.causal = true};
  const tct_tensor in[] = {q, q, q, q, l, q};
  tct_tensor out[3];
  return tct_emit(q.graph, TCT_OP_attention_grad, &attrs, in, 6, out);
}

/* A value to which an LSTM's results and cells contribute. */
static inline tct_tensor cells_of(tct_tensor x, tct_tensor w, tct_tensor u, tct_tensor b) {
  tct_tensor c;
  const tct_tensor none = {NULL, -1}, y = tct_lstm(x, w, u, b, none, none, false, &c);
  return tct_mul(tct_add(y, c), c);
}

/* n <= 8 */
static inline tct_tensor second_of_split(tct_tensor x, int32_t n, int32_t axis) {
  tct_tensor out[8] = {{NULL, -1}, {NULL, -1}};
  tct_split(x, n, axis, out);
  return out[1];
}

static inline tct_tensor assigned(tct_tensor variable, tct_tensor value) {
  tct_assign(variable, value);
  return variable;
}

/* With a step and a gradient scale where the op takes one. */
static inline tct_tensor updated(tct_op op, tct_tensor w, const tct_tensor *slots, int32_t n_slots, tct_tensor grad,
                                 tct_tensor lr, const tct_update_attrs *how) {
  tct_graph *g = w.graph;
  tct_update(op, w, slots, n_slots, grad, lr, STEP, tct_scalar(g, tct_tensor_dtype(w), 0.5), how);
  return w;
}

#endif
