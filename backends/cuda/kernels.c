/* The kernel table: which ops this device runs, and by which family. Entries of one op are tried in this order. */
#include "backends/cuda/family.h"
#include "backends/cuda/table.h"

#define IN_PLACE true
#define APART    false
/* An op by a family's kernel; the entry's name is OP.KERNEL. */
#define BY(op_name, kernel_name, place, family) BY_WITH(op_name, kernel_name, place, family, tct_cu_release_state)
/* One whose state holds more than memory. */
#define BY_WITH(op_name, kernel_name, place, family, release_function)                                                                        \
  {.op = #op_name,                                                                                                     \
   .name = #op_name "." #kernel_name,                                                                                  \
   .in_place = place,                                                                                                  \
   .supports = tct_cu_##family##_supports,                                                                             \
   .prepare = tct_cu_##family##_prepare,                                                                               \
   .launch = tct_cu_##family##_launch,                                                                                 \
   .release = release_function},
/* The updates of a program are one launch, or few. */
#define UPDATE(op_name)                                                                                                \
  {.op = #op_name,                                                                                                     \
   .name = #op_name ".lists",                                                                                          \
   .supports = tct_cu_update_supports,                                                                                 \
   .prepare = tct_cu_update_prepare,                                                                                   \
   .launch = tct_cu_update_launch,                                                                                     \
   .launch_many = tct_cu_update_launch_many,                                                                           \
   .release = tct_cu_release_state},
/* What the fuse passes make of a product: in the library's epilogue, by its product, by our own. */
#define FUSED(op_name)                                                                                                 \
  BY_WITH(op_name, cublaslt, APART, matmul_cublaslt, tct_cu_matmul_cublaslt_release)                                   \
  BY_WITH(op_name, cublaslt_apart, APART, matmul_apart, tct_cu_matmul_apart_release)                                   \
  BY_WITH(op_name, tiles, APART, matmul_apart_tiles, tct_cu_matmul_apart_tiles_release)
#define ROW(op_name) BY(op_name, chain, IN_PLACE, chain) BY(op_name, whole, IN_PLACE, whole)

const tct_kernel tct_cu_kernel_table[] = {
#define UNARY(name, dtypes, text, forward, gradient, needs, flops) ROW(name) ROW(name##_grad)
#define BINARY(name, dtypes, text, forward, flops) ROW(name)
#define COMPARE(name, text, condition)             ROW(name)
#define LOGICAL(name, text, condition)             ROW(name)
#define PREDICATE(name, dtypes, text, condition)   ROW(name)
#include <tercet/elementwise.def>
    /* clang-format off: one op a line */
    BY(select, bits, IN_PLACE, select)
    BY(cast, elements, APART, cast)
    BY(chain, chain, IN_PLACE, chain)
    BY(assign, copy, APART, assign)
    BY(dropout, philox, APART, dropout)
    BY_WITH(matmul, cublaslt, APART, matmul_cublaslt, tct_cu_matmul_cublaslt_release)
    BY(matmul, tiles, APART, matmul)
    FUSED(matmul_gelu)
    FUSED(matmul_dgelu)
    FUSED(matmul_bgrad)
    BY(conv2d, cudnn, APART, conv_cudnn)
    BY(conv2d, tiles, APART, conv)
    BY(conv2d_grad_input, cudnn, APART, conv_cudnn)
    BY(conv2d_grad_input, tiles, APART, conv)
    BY(conv2d_grad_filter, cudnn, APART, conv_cudnn)
    BY(conv2d_grad_filter, tiles, APART, conv)
    BY(max_pool2d, gather, APART, pool)
    BY(max_pool2d_grad, gather, APART, pool)
    BY(avg_pool2d, gather, APART, pool)
    BY(avg_pool2d_grad, gather, APART, pool)
    BY(reduce_sum, parts, APART, reduce)
    BY(reduce_mean, parts, APART, reduce)
    BY(reduce_max, parts, APART, reduce)
    BY(reduce_min, parts, APART, reduce)
    BY(reduce_prod, parts, APART, reduce)
    BY(logsumexp, parts, APART, reduce)
    BY(reduce_prod_grad, lines, APART, prod_grad)
    BY(argmax, rows, APART, arg)
    BY(argmin, rows, APART, arg)
    BY(global_norm, lists, APART, global_norm)
    BY(cumsum, lines, APART, cumsum)
    BY(top_k, rows, APART, top_k)
    BY(top_k_grad, rows, APART, top_k_grad)
    BY(softmax, rows, APART, softmax)
    BY(softmax_grad, rows, APART, softmax)
    BY(log_softmax, rows, APART, softmax)
    BY(log_softmax_grad, rows, APART, softmax)
    BY(batch_norm, parts, APART, batch_norm)
    BY(batch_norm_grad, parts, APART, batch_norm)
    BY(batch_norm_inference, parts, APART, batch_norm)
    BY(layer_norm, rows, APART, layer_norm)
    BY(layer_norm_grad, rows, APART, layer_norm)
    BY(attention, cudnn, APART, attention_cudnn)
    BY(attention, tiles, APART, attention)
    BY(attention_grad, cudnn, APART, attention_cudnn)
    BY(attention_grad, tiles, APART, attention_grad)
    BY_WITH(lstm, cublaslt, APART, recurrent_cublaslt, tct_cu_recurrent_cublaslt_release)
    BY(lstm, steps, APART, recurrent)
    BY_WITH(lstm_grad, cublaslt, APART, recurrent_cublaslt, tct_cu_recurrent_cublaslt_release)
    BY(lstm_grad, steps, APART, recurrent_grad)
    BY_WITH(gru, cublaslt, APART, recurrent_cublaslt, tct_cu_recurrent_cublaslt_release)
    BY(gru, steps, APART, recurrent)
    BY_WITH(gru_grad, cublaslt, APART, recurrent_cublaslt, tct_cu_recurrent_cublaslt_release)
    BY(gru_grad, steps, APART, recurrent_grad)
    BY(gather, rows, APART, gather)
    BY(gather_grad, buckets, APART, gather_grad)
    BY(one_hot, rows, APART, one_hot)
    BY(transpose, views, APART, move)
    BY(slice, views, APART, move)
    BY(slice_grad, views, APART, move)
    BY(pad, views, APART, move)
    BY(tile, views, APART, move)
    BY(broadcast_to, views, APART, move)
    BY(concat, views, APART, concat)
    BY(sparse_softmax_cross_entropy, rows, APART, cross_entropy)
    BY(sparse_softmax_cross_entropy_grad, rows, APART, cross_entropy)
    BY(softmax_cross_entropy, rows, APART, cross_entropy)
    BY(softmax_cross_entropy_grad, rows, APART, cross_entropy)
    UPDATE(sgd_update)
    UPDATE(adam_update)
    UPDATE(rmsprop_update)
    UPDATE(adagrad_update)
    /* clang-format on */
};
const size_t tct_cu_kernel_count = sizeof tct_cu_kernel_table / sizeof tct_cu_kernel_table[0];
