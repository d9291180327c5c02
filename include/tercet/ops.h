/* The ops as builders. Each returns the symbolic result, or a poisoned handle after recording the error in the graph
 * (see <tercet/graph.h>). Broadcasting is NumPy's. Images are NHWC. A negative axis counts from the end.
 * NULL options mean all defaults. */
#ifndef TERCET_OPS_H
#define TERCET_OPS_H

#include <tercet/graph.h>

TCT_BEGIN_DECLS

/* Elementwise rows (<tercet/elementwise.def>): tct_neg(x), tct_exp(x) …, tct_leaky_relu(x, alpha), tct_elu(x, alpha),
 * tct_power(x, exponent), tct_clip(x, low, high), tct_scale(x, factor, offset), tct_add(a, b) …, tct_equal(a, b) … */
#define UNARY(name, dtypes, text, forward, gradient, needs, flops) TCT_API tct_tensor tct_##name(tct_tensor x);
#define UNARY1(name, dtypes, text, forward, gradient, needs, flops)                                \
  TCT_API tct_tensor tct_##name(tct_tensor x, double p0);
#define UNARY2(name, dtypes, text, forward, gradient, needs, flops)                                \
  TCT_API tct_tensor tct_##name(tct_tensor x, double p0, double p1);
#define BINARY(name, dtypes, text, forward, flops) TCT_API tct_tensor tct_##name(tct_tensor a, tct_tensor b);
#define COMPARE(name, text, condition) TCT_API tct_tensor tct_##name(tct_tensor a, tct_tensor b);
#define LOGICAL(name, text, condition) TCT_API tct_tensor tct_##name(tct_tensor a, tct_tensor b);
#define PREDICATE(name, dtypes, text, condition) TCT_API tct_tensor tct_##name(tct_tensor x);
#include <tercet/elementwise.def>

TCT_API tct_tensor tct_select(tct_tensor condition, tct_tensor then, tct_tensor otherwise);
TCT_API tct_tensor tct_cast(tct_tensor x, tct_dtype dtype);
TCT_API tct_tensor tct_stop_gradient(tct_tensor x);
/* step: i64 [] that counts runs; the mask of element e depends on (seed, name, step, e) only. 0 <= rate < 1. */
TCT_API tct_tensor tct_dropout(tct_tensor x, tct_tensor step, double rate, uint64_t seed, const char *name);

/* [.., m, k] × [.., k, n] → [.., m, n]; leading axes broadcast. */
TCT_API tct_tensor tct_matmul(tct_tensor a, tct_tensor b);
TCT_API tct_tensor tct_matmul_transposed(tct_tensor a, tct_tensor b, bool transpose_a, bool transpose_b);

typedef enum tct_padding { TCT_PADDING_VALID = 0, TCT_PADDING_SAME, TCT_PADDING_EXPLICIT } tct_padding;
typedef struct tct_conv2d_options {
  int64_t stride[2];   /* 0: 1 */
  int64_t dilation[2]; /* 0: 1 */
  tct_padding padding; /* SAME is TensorFlow's: output ⌈in/stride⌉, the odd pixel at the bottom right */
  int64_t pad[4];      /* EXPLICIT: top, bottom, left, right */
  int64_t groups;      /* 0: 1 */
  uint64_t reserved[4];
} tct_conv2d_options;
/* x [N,H,W,C], w [R,S,C/groups,K] → [N,P,Q,K]. Cross-correlation, as everywhere in the field. */
TCT_API tct_tensor tct_conv2d(tct_tensor x, tct_tensor w, const tct_conv2d_options *options);
/* w [R,S,C,M] → [N,P,Q,C·M], output channel c·M + m (Keras). options->groups must be 0. */
TCT_API tct_tensor tct_depthwise_conv2d(tct_tensor x, tct_tensor w, const tct_conv2d_options *options);

/* The adjoint of conv2d: x [N,P,Q,K], w [R,S,C/groups,K] → [N,H,W,C]. Keras' Conv2DTranspose: VALID gives
 * H = P·stride + max(reach - stride, 0) with reach = (R - 1)·dilation + 1, SAME gives P·stride; EXPLICIT gives
 * (P - 1)·stride + reach - top - bottom. */
TCT_API tct_tensor tct_conv2d_transpose(tct_tensor x, tct_tensor w, const tct_conv2d_options *options);

typedef struct tct_conv1d_options {
  int64_t stride, dilation; /* 0: 1 */
  tct_padding padding;
  int64_t pad[2];           /* EXPLICIT: before, after */
  int64_t groups;           /* 0: 1 */
  uint64_t reserved[4];
} tct_conv1d_options;
/* x [N,L,C], w [S,C/groups,K] → [N,Q,K]: the convolution of images of height 1. */
TCT_API tct_tensor tct_conv1d(tct_tensor x, tct_tensor w, const tct_conv1d_options *options);

typedef struct tct_pool2d_options {
  int64_t window[2]; /* 0: 2 */
  int64_t stride[2]; /* 0: the window */
  tct_padding padding;
  int64_t pad[4];
  uint64_t reserved[4];
} tct_pool2d_options;
TCT_API tct_tensor tct_max_pool2d(tct_tensor x, const tct_pool2d_options *options);
TCT_API tct_tensor tct_avg_pool2d(tct_tensor x, const tct_pool2d_options *options); /* padding is not counted */

typedef struct tct_pool1d_options {
  int64_t window; /* 0: 2 */
  int64_t stride; /* 0: the window */
  tct_padding padding;
  int64_t pad[2];
  uint64_t reserved[4];
} tct_pool1d_options;
/* x [N,L,C] → [N,Q,C]. */
TCT_API tct_tensor tct_max_pool1d(tct_tensor x, const tct_pool1d_options *options);
TCT_API tct_tensor tct_avg_pool1d(tct_tensor x, const tct_pool1d_options *options);

/* axes: n_axes of them; n_axes 0 means all. */
TCT_API tct_tensor tct_reduce_sum(tct_tensor x, const int32_t *axes, int32_t n_axes, bool keepdims);
TCT_API tct_tensor tct_reduce_mean(tct_tensor x, const int32_t *axes, int32_t n_axes, bool keepdims);
TCT_API tct_tensor tct_reduce_max(tct_tensor x, const int32_t *axes, int32_t n_axes, bool keepdims);
TCT_API tct_tensor tct_reduce_min(tct_tensor x, const int32_t *axes, int32_t n_axes, bool keepdims);
TCT_API tct_tensor tct_reduce_prod(tct_tensor x, const int32_t *axes, int32_t n_axes, bool keepdims);
/* Biased: the mean squared distance from the mean, as tf.math.reduce_variance; std is its root (its slope is infinite
 * where the variance is 0). */
TCT_API tct_tensor tct_reduce_var(tct_tensor x, const int32_t *axes, int32_t n_axes, bool keepdims);
TCT_API tct_tensor tct_reduce_std(tct_tensor x, const int32_t *axes, int32_t n_axes, bool keepdims);
TCT_API tct_tensor tct_logsumexp(tct_tensor x, const int32_t *axes, int32_t n_axes, bool keepdims);
TCT_API tct_tensor tct_argmax(tct_tensor x, int32_t axis, bool keepdims); /* i32, the first of equals */
TCT_API tct_tensor tct_argmin(tct_tensor x, int32_t axis, bool keepdims);
TCT_API tct_tensor tct_global_norm(const tct_tensor *x, int32_t n); /* √Σ‖x‖² → [] */
TCT_API tct_tensor tct_clip_by_norm(tct_tensor x, double norm); /* x·min(1, norm/‖x‖) over all of x; norm > 0 */
/* Running sums along axis: y[i] = Σ x[j] over j <= i; exclusive: j < i; reverse: from the end. */
TCT_API tct_tensor tct_cumsum(tct_tensor x, int32_t axis, bool exclusive, bool reverse);
/* The k greatest of the last axis, falling, equal ones by position; out_indices (may be NULL) are i32 [..,k]. A NaN counts
 * as greater than every number. */
TCT_API tct_tensor tct_top_k(tct_tensor x, int64_t k, tct_tensor *out_indices);

TCT_API tct_tensor tct_softmax(tct_tensor x, int32_t axis);
TCT_API tct_tensor tct_log_softmax(tct_tensor x, int32_t axis);

/* x [.., C], gamma and beta [C]; statistics over all axes but the last. out_mean and out_variance [C] (biased) may be
 * NULL. */
TCT_API tct_tensor tct_batch_norm(tct_tensor x, tct_tensor gamma, tct_tensor beta, double epsilon,
                                  tct_tensor *out_mean, tct_tensor *out_variance);
TCT_API tct_tensor tct_batch_norm_inference(tct_tensor x, tct_tensor gamma, tct_tensor beta, tct_tensor mean,
                                            tct_tensor variance, double epsilon);
/* Over the last axis. */
TCT_API tct_tensor tct_layer_norm(tct_tensor x, tct_tensor gamma, tct_tensor beta, double epsilon);
/* x/√(mean x² + ε)·gamma over the last axis (Zhang & Sennrich, 2019); gamma [C]. */
TCT_API tct_tensor tct_rms_norm(tct_tensor x, tct_tensor gamma, double epsilon);
/* x [N,..,C]: mean and biased variance of each sample over all positions and the C/groups channels of a group (Wu & He,
 * 2018); gamma and beta [C]. */
TCT_API tct_tensor tct_group_norm(tct_tensor x, tct_tensor gamma, tct_tensor beta, int64_t groups, double epsilon);

typedef struct tct_attention_options {
  double scale; /* of the scores; 0: 1/√D */
  bool causal;  /* query i sees keys 0 … i only */
  uint64_t reserved[4];
} tct_attention_options;
/* softmax(scale·q·kᵀ)·v for each head: q [B,T,H,D], k [B,S,H,D], v [B,S,H,V] → [B,T,H,V]. mask ({0}: none) is bool, true
 * where the query may see the key, each extent of [B,H,T,S] or 1; a query that sees no key gives zeros. The scores are
 * never stored whole. */
TCT_API tct_tensor tct_attention(tct_tensor q, tct_tensor k, tct_tensor v, tct_tensor mask,
                                 const tct_attention_options *options);

/* Recurrent layers over all steps of x [B,T,I] → [B,T,H], from h0 and c0 [B,H] ({0}: zeros), the last step first with
 * `reverse`; results stand at their steps in any case. Gates side by side in Keras' order.
 * lstm: w [I,4H], u [H,4H], b [4H], gates i f g o; c = f∘c + i∘g, h = o∘tanh c. out_c (may be NULL): c [B,T,H].
 * gru: w [I,3H], u [H,3H], b [2,3H], gates z r h; h = z∘h + (1-z)∘tanh(x·w_h + b₀ + r∘(h·u_h + b₁)) (Keras' reset_after). */
TCT_API tct_tensor tct_lstm(tct_tensor x, tct_tensor w, tct_tensor u, tct_tensor b, tct_tensor h0, tct_tensor c0,
                            bool reverse, tct_tensor *out_c);
TCT_API tct_tensor tct_gru(tct_tensor x, tct_tensor w, tct_tensor u, tct_tensor b, tct_tensor h0, bool reverse);

/* table[.., indices, ..] along axis; indices i32 of any shape. */
TCT_API tct_tensor tct_gather(tct_tensor table, tct_tensor indices, int32_t axis);
/* base with updates[.., j, ..] added at indices[j] along axis, in the order of j: the same bits in every run. updates
 * have gather's shape, base[.., indices, ..]; an index out of range adds nothing. Floats. */
TCT_API tct_tensor tct_scatter_add(tct_tensor base, tct_tensor indices, tct_tensor updates, int32_t axis);
TCT_API tct_tensor tct_one_hot(tct_tensor indices, int64_t depth, double on, double off, tct_dtype dtype);

/* One extent may be -1: what remains. */
TCT_API tct_tensor tct_reshape(tct_tensor x, tct_shape shape);
TCT_API tct_tensor tct_transpose(tct_tensor x, const int32_t *perm); /* NULL: reverse the axes */
TCT_API tct_tensor tct_concat(const tct_tensor *x, int32_t n, int32_t axis);
/* n equal parts along axis; out[n]. */
TCT_API void tct_split(tct_tensor x, int32_t n, int32_t axis, tct_tensor *out);
/* size -1: up to the end; step NULL: 1. Arrays have rank entries. */
TCT_API tct_tensor tct_slice(tct_tensor x, const int64_t *start, const int64_t *size, const int64_t *step);
TCT_API tct_tensor tct_pad(tct_tensor x, const int64_t *before, const int64_t *after, double value);
TCT_API tct_tensor tct_tile(tct_tensor x, const int64_t *repeats);
TCT_API tct_tensor tct_broadcast_to(tct_tensor x, tct_shape shape);

/* Losses give one value per row; average them with tct_reduce_mean. Labels i32 [..], logits and targets [.., C]. */
TCT_API tct_tensor tct_sparse_softmax_cross_entropy(tct_tensor logits, tct_tensor labels, double label_smoothing);
TCT_API tct_tensor tct_softmax_cross_entropy(tct_tensor logits, tct_tensor targets, double label_smoothing);
/* Elementwise: max(x, 0) − x·z + ln(1 + e^−|x|). */
TCT_API tct_tensor tct_sigmoid_cross_entropy(tct_tensor logits, tct_tensor targets);

/* Updates write their variables when the program runs; every other reader of the variable sees the value from before.
 * lr is [] of the variable's dtype; grad_scale (poisoned or {0}: none) is a [] factor for the gradient.
 * Formulas: tct_update_attrs in <tercet/attrs.h>; options->n_state and has_scale are filled in. */
TCT_API void tct_assign(tct_tensor variable, tct_tensor value);
/* slots: adam {m, v}; sgd {} or {velocity}; rmsprop {mean square[, momentum][, mean gradient]}; adagrad {accumulator}. */
TCT_API void tct_update(tct_op op, tct_tensor variable, const tct_tensor *slots, int32_t n_slots, tct_tensor grad,
                        tct_tensor lr, tct_tensor step, tct_tensor grad_scale, const tct_update_attrs *options);

TCT_END_DECLS
#endif
