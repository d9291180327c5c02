/* The kernel table: which ops this device runs, and by which family. Entries of one op are tried in this order. */
#include "backends/cuda/family.h"
#include "backends/cuda/table.h"

#define IN_PLACE true
#define APART    false
/* An op by a family's kernel; the entry's name is OP.KERNEL. */
#define BY(op_name, kernel_name, place, family)                                                                        \
  {.op = #op_name,                                                                                                     \
   .name = #op_name "." #kernel_name,                                                                                  \
   .in_place = place,                                                                                                  \
   .supports = tct_cu_##family##_supports,                                                                             \
   .prepare = tct_cu_##family##_prepare,                                                                               \
   .launch = tct_cu_##family##_launch,                                                                                 \
   .release = tct_cu_release_state},
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
    /* clang-format on */
};
const size_t tct_cu_kernel_count = sizeof tct_cu_kernel_table / sizeof tct_cu_kernel_table[0];
