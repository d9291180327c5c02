/* The kernel table: which ops this device runs, and by which kernels. Entries of one op are tried in this order. */
#include "backends/cpu/device.h"

#define IN_PLACE true
#define APART    false
/* An op of its own name. */
#define ONE(op_name, place, family) ENTRY(op_name, op_name, place, family) WIDE(op_name, place)
/* Behind an op's own kernels: bf16 and f16 through them. */
#define WIDE(op_name, place)                                                                                           \
  {.op = #op_name,                                                                                                     \
   .name = #op_name ".wide",                                                                                           \
   .in_place = place,                                                                                                  \
   .supports = tct_cpu_wide_supports,                                                                                  \
   .prepare = tct_cpu_wide_prepare,                                                                                    \
   .launch = tct_cpu_wide_launch,                                                                                      \
   .release = tct_cpu_wide_release},
#define ENTRY(op_name, kernel_name, place, family)                                                                     \
  {.op = #op_name,                                                                                                     \
   .name = #kernel_name,                                                                                               \
   .in_place = place,                                                                                                  \
   .supports = tct_cpu_##family##_supports,                                                                            \
   .prepare = tct_cpu_##family##_prepare,                                                                              \
   .launch = tct_cpu_##family##_launch,                                                                                \
   .release = tct_cpu_release_state},
#define CONVOLUTION(op_name)                                                                                           \
  ENTRY(op_name, op_name.matmul, APART, conv_matmul)                                                                   \
  ENTRY(op_name, op_name.depthwise, APART, conv_depthwise)                                                             \
  ENTRY(op_name, op_name.direct, APART, conv_direct)                                                                   \
  ENTRY(op_name, op_name.im2col, APART, conv_im2col)                                                                   \
  WIDE(op_name, APART)

const tct_kernel tct_cpu_kernel_table[] = {
#define UNARY(name, dtypes, text, forward, gradient, needs, flops)                                                     \
  ONE(name, IN_PLACE, elementwise) ONE(name##_grad, IN_PLACE, elementwise)
#define BINARY(name, dtypes, text, forward, flops) ONE(name, IN_PLACE, elementwise)
#define COMPARE(name, text, condition)             ONE(name, IN_PLACE, elementwise)
#define LOGICAL(name, text, condition)             ONE(name, IN_PLACE, elementwise)
#define PREDICATE(name, dtypes, text, condition)   ONE(name, IN_PLACE, elementwise)
#include <tercet/elementwise.def>
    /* clang-format off: one op a line */
    ONE(select, IN_PLACE, elementwise)
    ONE(cast, IN_PLACE, elementwise)
    ONE(chain, IN_PLACE, chain)
    ONE(dropout, IN_PLACE, dropout)
    ENTRY(matmul, matmul.gemm, APART, matmul)
    WIDE(matmul, APART)
    ENTRY(matmul, matmul.i8, APART, matmul_i8)
    CONVOLUTION(conv2d)
    CONVOLUTION(conv2d_grad_input)
    CONVOLUTION(conv2d_grad_filter)
    ONE(max_pool2d, APART, pool)
    ONE(max_pool2d_grad, APART, pool)
    ONE(avg_pool2d, APART, pool)
    ONE(avg_pool2d_grad, APART, pool)
    ONE(reduce_sum, APART, reduce)
    ONE(reduce_mean, APART, reduce)
    ONE(reduce_max, APART, reduce)
    ONE(reduce_min, APART, reduce)
    ONE(reduce_prod, APART, reduce)
    ONE(logsumexp, APART, reduce)
    ONE(reduce_prod_grad, APART, prod_grad)
    ONE(argmax, APART, arg)
    ONE(argmin, APART, arg)
    ONE(global_norm, APART, global_norm)
    ONE(cumsum, APART, cumsum)
    ONE(top_k, APART, top_k)
    ONE(top_k_grad, APART, top_k_grad)
    ONE(softmax, APART, softmax)
    ONE(softmax_grad, APART, softmax)
    ONE(log_softmax, APART, softmax)
    ONE(log_softmax_grad, APART, softmax)
    ONE(batch_norm, APART, batch_norm)
    ONE(batch_norm_grad, APART, batch_norm_grad)
    ONE(batch_norm_inference, APART, batch_norm_inference)
    ONE(layer_norm, APART, layer_norm)
    ONE(layer_norm_grad, APART, layer_norm_grad)
    ONE(attention, APART, attention)
    ONE(attention_grad, APART, attention_grad)
    ONE(lstm, APART, recurrent)
    ONE(lstm_grad, APART, recurrent_grad)
    ONE(gru, APART, recurrent)
    ONE(gru_grad, APART, recurrent_grad)
    ONE(gather, APART, gather)
    ONE(gather_grad, APART, gather_grad)
    ONE(one_hot, APART, one_hot)
    ONE(transpose, APART, move)
    ONE(slice, APART, move)
    ONE(slice_grad, APART, move)
    ONE(pad, APART, move)
    ONE(tile, APART, move)
    ONE(broadcast_to, APART, move)
    ONE(concat, APART, concat)
    ONE(sparse_softmax_cross_entropy, APART, cross_entropy)
    ONE(sparse_softmax_cross_entropy_grad, APART, cross_entropy)
    ONE(softmax_cross_entropy, APART, cross_entropy)
    ONE(softmax_cross_entropy_grad, APART, cross_entropy)
    ONE(assign, APART, assign)
    ONE(sgd_update, APART, update)
    ONE(adam_update, APART, update)
    ONE(rmsprop_update, APART, update)
    ONE(adagrad_update, APART, update)
    /* clang-format on */
};
const size_t tct_cpu_kernel_count = sizeof tct_cpu_kernel_table / sizeof tct_cpu_kernel_table[0];
