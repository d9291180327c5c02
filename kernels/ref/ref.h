/* The reference kernels: one naive function per op, in double. They are the executable specification that every other
 * device is compared with; formulas and shapes stand above each function.
 *
 * All operands are dense row-major arrays of doubles, whatever the dtype of the tensor that they stand for: f32, i32,
 * u8 and bool are exact in a double, i64 up to 2^53. `dtype` is that of the tensor; the few kernels whose meaning
 * depends on it (cast, gather) read it. Rounding to the dtype is the caller's. */
#ifndef TCT_KERNELS_REF_H
#define TCT_KERNELS_REF_H

#include <tercet/attrs.h>

typedef struct tct_ref_operand {
  double *data; /* borrowed; may be NULL only when the shape has no elements */
  tct_shape shape;
  tct_dtype dtype;
} tct_ref_operand;

/* One call. Inputs are only read, but for the leading attrs->n_state inputs of an update, which are read and written.
 * Every element of every output is written; outputs need no initial value. */
typedef struct tct_ref_args {
  const void *attrs; /* the op's struct of <tercet/attrs.h>; NULL for rows without parameters */
  int32_t n_in, n_out;
  const tct_ref_operand *in, *out;
} tct_ref_args;

typedef void (*tct_ref_fn)(const tct_ref_args *args);

/* Rows of the elementwise table, select, cast, chain and dropout read each element before they write it: their output
 * may be an input of the same size. All others need outputs of their own. */
typedef struct tct_ref_kernel {
  tct_ref_fn run; /* NULL: a source or a view, which no kernel computes */
  bool update;    /* writes its first tct_update_attrs.n_state inputs */
} tct_ref_kernel;

/* By op. */
extern const tct_ref_kernel tct_ref_table[TCT_N_OPS];

#define UNARY(name, dtypes, text, forward, gradient, needs, flops)                                                     \
  void tct_ref_##name(const tct_ref_args *args);                                                                       \
  void tct_ref_##name##_grad(const tct_ref_args *args); /* (x?, y?, dy): what `needs` says */
#define BINARY(name, dtypes, text, forward, flops) void tct_ref_##name(const tct_ref_args *args);
#define COMPARE(name, text, condition)             void tct_ref_##name(const tct_ref_args *args);
#define LOGICAL(name, text, condition)             void tct_ref_##name(const tct_ref_args *args);
#define PREDICATE(name, dtypes, text, condition)   void tct_ref_##name(const tct_ref_args *args);
#include <tercet/elementwise.def>

#define TCT_REF_SOURCE(name)
#define TCT_REF_VIEW(name)
#define TCT_REF_CHAIN(name)                           void tct_ref_##name(const tct_ref_args *args);
#define TCT_REF_PLAIN(name)                           void tct_ref_##name(const tct_ref_args *args);
#define TCT_REF_UPDATE(name)                          void tct_ref_##name(const tct_ref_args *args);
#define OP(name, attrs, min_in, max_in, n_out, flags) TCT_REF_##flags(name)
#include <tercet/ops.def>
#undef OP
#undef TCT_REF_SOURCE
#undef TCT_REF_VIEW
#undef TCT_REF_CHAIN
#undef TCT_REF_PLAIN
#undef TCT_REF_UPDATE

#endif
