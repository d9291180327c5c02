/* Which function computes which op: the two tables of ops, with sources and views left out. */
#include "kernels/ref/ref.h"

const tct_ref_kernel tct_ref_table[TCT_N_OPS] = {
#define UNARY(name, dtypes, text, forward, gradient, needs, flops)                                                     \
  [TCT_OP_##name] = {.run = tct_ref_##name}, [TCT_OP_##name##_grad] = {.run = tct_ref_##name##_grad},
#define BINARY(name, dtypes, text, forward, flops) [TCT_OP_##name] = {.run = tct_ref_##name},
#define COMPARE(name, text, condition)             [TCT_OP_##name] = {.run = tct_ref_##name},
#define LOGICAL(name, text, condition)             [TCT_OP_##name] = {.run = tct_ref_##name},
#define PREDICATE(name, dtypes, text, condition)   [TCT_OP_##name] = {.run = tct_ref_##name},
#include <tercet/elementwise.def>

#define ROW_SOURCE(name)
#define ROW_VIEW(name)
#define ROW_CHAIN(name)                               [TCT_OP_##name] = {.run = tct_ref_##name},
#define ROW_PLAIN(name)                               [TCT_OP_##name] = {.run = tct_ref_##name},
#define ROW_UPDATE(name)                              [TCT_OP_##name] = {.run = tct_ref_##name, .update = true},
#define OP(name, attrs, min_in, max_in, n_out, flags) ROW_##flags(name)
#include <tercet/ops.def>
#undef OP
#undef ROW_SOURCE
#undef ROW_VIEW
#undef ROW_CHAIN
#undef ROW_PLAIN
#undef ROW_UPDATE
};
