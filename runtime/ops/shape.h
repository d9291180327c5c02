/* Shape and dtype checks that the shape rules of several families share. Checks write the refusal and return false. */
#ifndef TCT_OPS_SHAPE_H
#define TCT_OPS_SHAPE_H

#include <tercet/errors.h>
#include <tercet/op.h>

/* tct_refuse, with the kind of error (errors.def). */
bool tct_refuse_as(tct_infer *infer, uint32_t code, const char *format, ...) TCT_PRINTF(3, 4);

/* Sets of dtypes, a bit each. bf16 and f16 are storage: every op computes in f32 or wider and rounds its results. */
enum {
  TCT_WIDE_FLOATS = 1 << TCT_F32 | 1 << TCT_F64,
  TCT_FLOATS = TCT_WIDE_FLOATS | 1 << TCT_BF16 | 1 << TCT_F16,
  TCT_NUMBERS = TCT_FLOATS | 1 << TCT_I32 | 1 << TCT_I64,
  TCT_BOOLS = 1 << TCT_BOOL,
  TCT_ANY = TCT_NUMBERS | 1 << TCT_U8 | 1 << TCT_I8 | TCT_BOOLS,
};

/* A shape as text inside a message: tct_show(&shape).text lives to the end of the full expression. */
typedef struct tct_shape_text {
  char text[160];
} tct_shape_text;
tct_shape_text tct_show(const tct_shape *shape);

/* NumPy's broadcast of two shapes; false when an axis has two extents, neither 1. */
bool tct_broadcast(const tct_shape *a, const tct_shape *b, tct_shape *out);
/* The input's shape with the axes of the bit set reduced. */
tct_shape tct_reduced(const tct_shape *x, uint32_t axes, bool keepdims);
/* Extents [from, to) of a shape, as a shape. */
tct_shape tct_shape_part(const tct_shape *shape, int32_t from, int32_t to);
/* Product of the extents [from, to). The shape is known to be valid. */
int64_t tct_shape_extent(const tct_shape *shape, int32_t from, int32_t to);

/* Operand i is one of `classes`. `what` is the operand's name in the message. */
bool tct_check_dtype(tct_infer *infer, int32_t i, const char *what, unsigned classes);
/* Operands i and j have one dtype. */
bool tct_check_same_dtype(tct_infer *infer, int32_t i, const char *what_i, int32_t j, const char *what_j);
/* Operand i has exactly this shape; `why` says where it comes from ("one per channel of x"). */
bool tct_check_shape(tct_infer *infer, int32_t i, const char *what, const tct_shape *needs, const char *why);
/* Counts a negative axis from the end; in [0, rank) afterwards. */
bool tct_check_axis(tct_infer *infer, const tct_shape *x, int32_t *axis);
/* Sets output o; refuses a rank or a size that no tensor can have. */
bool tct_give(tct_infer *infer, int32_t o, tct_dtype dtype, tct_shape shape);

#endif
