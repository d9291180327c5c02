/* Attribute structs of the ops: plain data, shared by the graph, the backends and the kernels. Two nodes are equal when
 * the bytes of their attributes are: no struct has padding, and members called `reserved` are zero. */
#ifndef TERCET_ATTRS_H
#define TERCET_ATTRS_H

#include <tercet/types.h>

/* Every op, elementwise rows first. TCT_OP_NONE is 0. The order is no promise: a row more or elsewhere comes with a new TCT_BACKEND_ABI, and a module's
 * kernels name their ops. Ops that programs register are numbered from TCT_OP_FIRST_CUSTOM on. */
#define TCT_OP_FIRST_CUSTOM 0x10000
typedef enum tct_op {
  TCT_OP_NONE = 0,
#define UNARY(name, dtypes, text, forward, gradient, needs, flops) TCT_OP_##name, TCT_OP_##name##_grad,
#define BINARY(name, dtypes, text, forward, flops) TCT_OP_##name,
#define COMPARE(name, text, condition) TCT_OP_##name,
#define LOGICAL(name, text, condition) TCT_OP_##name,
#define PREDICATE(name, dtypes, text, condition) TCT_OP_##name,
#include <tercet/elementwise.def>
#define OP(name, attrs, min_in, max_in, n_out, flags) TCT_OP_##name,
#include <tercet/ops.def>
#undef OP
  TCT_N_OPS
} tct_op;

/* Unary rows (and their gradients): the parameters p0 and p1. */
typedef struct tct_unary_attrs {
  double p0, p1;
} tct_unary_attrs;

typedef struct tct_constant_attrs {
  const void *data; /* dense, of the output's desc; lives as long as the graph or program */
} tct_constant_attrs;

typedef struct tct_cast_attrs {
  tct_dtype dtype;
} tct_cast_attrs;

/* A fused chain of elementwise ops. Registers 0…n_in-1 are the inputs (broadcast to the output), n_in + k is the result
 * of step k; the output is the last step's. All registers hold the output's float dtype; a bool is 0 or 1. */
#define TCT_CHAIN_INPUTS 8
#define TCT_CHAIN_STEPS 16
typedef struct tct_chain_step {
  tct_op op;       /* an elementwise row, its _grad, or select */
  int32_t arg[3];  /* registers */
  double p0, p1;
} tct_chain_step;
typedef struct tct_chain_attrs {
  int32_t n_steps;
  int32_t reserved;
  tct_chain_step step[TCT_CHAIN_STEPS];
} tct_chain_attrs;

/* Element e of step s is kept when unit(philox_block(seed, stream, s, e / 4).v[e % 4]) >= rate; kept ones are divided by
 * 1 - rate (multiplied by the f32 quotient 1/(1-rate)). e is the row-major element number. */
typedef struct tct_dropout_attrs {
  double rate; /* 0 <= rate < 1 */
  uint64_t seed;
  uint32_t stream; /* hash of the layer's name */
  uint32_t reserved;
} tct_dropout_attrs;

/* activation: TCT_OP_NONE or a unary row applied to the result (after the bias); set by the fuse pass. */
typedef struct tct_matmul_attrs {
  bool transpose_a, transpose_b; /* swap the last two axes */
  bool reserved[2];
  tct_op activation;
  tct_unary_attrs activation_attrs;
} tct_matmul_attrs;

typedef struct tct_conv2d_attrs {
  int64_t stride[2], dilation[2];
  int64_t pad[4]; /* top, bottom, left, right */
  int64_t groups;
  int64_t x_shape[4], w_shape[4]; /* [N,H,W,C] and [R,S,C/groups,K]: filled in by the forward's shape rule */
  tct_op activation;
  int32_t reserved;
  tct_unary_attrs activation_attrs;
} tct_conv2d_attrs;

typedef struct tct_pool2d_attrs {
  int64_t window[2], stride[2];
  int64_t pad[4];     /* top, bottom, left, right */
  int64_t x_shape[4]; /* filled in by the forward's shape rule */
} tct_pool2d_attrs;

typedef struct tct_reduce_attrs {
  uint32_t axes; /* bit i: axis i of the input is reduced; 0 reduces nothing */
  bool keepdims;
  bool reserved[3];
} tct_reduce_attrs;

typedef struct tct_arg_attrs {
  int32_t axis; /* resolved: 0 … rank-1 */
  bool keepdims;
  bool reserved[3];
} tct_arg_attrs;

typedef struct tct_axis_attrs {
  int32_t axis; /* resolved: 0 … rank-1 */
} tct_axis_attrs;

/* y[i] = Σ x[j] over j <= i; exclusive: j < i; reverse: from the end. */
typedef struct tct_cumsum_attrs {
  int32_t axis; /* resolved: 0 … rank-1 */
  bool exclusive, reverse;
  bool reserved[2];
} tct_cumsum_attrs;

typedef struct tct_top_k_attrs {
  int64_t k; /* 1 … n */
  int64_t n; /* extent of the last axis: filled in by the forward's shape rule */
} tct_top_k_attrs;

typedef struct tct_norm_attrs {
  double epsilon;
} tct_norm_attrs;

typedef struct tct_attention_attrs {
  double scale; /* of the scores; 0: 1/√D, filled in by the forward's shape rule */
  bool causal;  /* query i sees keys 0 … i only */
  bool reserved[7];
} tct_attention_attrs;

/* Both recurrent ops and their gradients. */
typedef struct tct_recurrent_attrs {
  bool reverse; /* from the last step to the first */
  bool reserved; /* a struct of one byte stands for no attributes */
} tct_recurrent_attrs;

typedef struct tct_gather_attrs {
  int32_t axis; /* resolved */
  int32_t reserved;
  tct_shape table_shape;
} tct_gather_attrs;

typedef struct tct_one_hot_attrs {
  int64_t depth;
  double on, off;
  tct_dtype dtype;
  int32_t reserved;
} tct_one_hot_attrs;

typedef struct tct_shape_attrs {
  tct_shape shape;
} tct_shape_attrs;

typedef struct tct_transpose_attrs {
  int32_t perm[TCT_MAX_RANK]; /* output axis i is input axis perm[i] */
} tct_transpose_attrs;

typedef struct tct_slice_attrs {
  int64_t start[TCT_MAX_RANK], size[TCT_MAX_RANK], step[TCT_MAX_RANK]; /* step >= 1 */
  tct_shape x_shape;
} tct_slice_attrs;

typedef struct tct_pad_attrs {
  int64_t before[TCT_MAX_RANK], after[TCT_MAX_RANK];
  double value;
} tct_pad_attrs;

/* Targets become (1 - s)·target + s/C with s = label_smoothing (Szegedy et al., 2016). A label out of range gives NaN. */
typedef struct tct_cross_entropy_attrs {
  double label_smoothing;
} tct_cross_entropy_attrs;

/* g' = clip(scale·g, ±clip_value) + l2·w + l1·sign(w);  w' = w − lr·weight_decay·w; then, on w' with g':
 *   sgd       v ← momentum·v − lr·g';  w' + v, or (nesterov) w' + momentum·v − lr·g';  without velocity w' − lr·g'
 *   adam      m ← β₁m + (1−β₁)g', v ← β₂v + (1−β₂)g'²;  w' − lr·√(1−β₂^t)/(1−β₁^t)·m/(√v + ε), t = step + 1
 *             (Kingma & Ba 2015, section 2's efficient form: Keras' ε)
 *   rmsprop   s ← ρs + (1−ρ)g'² (β₂ is ρ);  centered: a ← ρa + (1−ρ)g', d = s − a², else d = s;
 *             u = lr·g'/√(d + ε);  with momentum b ← momentum·b + u, w' − b, else w' − u
 *   adagrad   s ← s + g'²;  w' − lr·g'/√(s + ε) */
typedef struct tct_update_attrs {
  int32_t n_state; /* leading inputs that are written */
  int32_t reserved;
  double beta1, beta2, epsilon, momentum;
  bool nesterov, centered, has_scale;
  bool conditional; /* the last operand is a bool []: where it is false, nothing is written; set by the pass predicate */
  bool reserved_too[4];
  double l1, l2, weight_decay;
  double clip_value; /* 0: none */
} tct_update_attrs;

#endif
