/* The reference's indexing and movement: known layouts, and gradients as transposes (⟨dy, f(x)⟩ = ⟨fᵀ(dy), x⟩). */
#include "ref_fixture.h"

TEST(ref_movement, gather) {
  const tct_gather_attrs attrs = {.axis = 1};
  const tct_ref_operand table = values(TCT_SHAPE(2, 3, 2), LIST(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11));
  const tct_ref_operand in[2] = {table, values(TCT_SHAPE(4), LIST(2, 0, 3, -1))};
  CHECK_VALUES("floats", result(TCT_OP_gather, &attrs, 2, in, TCT_SHAPE(2, 4, 2)), 4, 5, 0, 1, NAN, NAN, NAN, NAN, 10,
               11, 6, 7, NAN, NAN, NAN, NAN);
  tct_ref_operand integers[2] = {table, in[1]};
  integers[0].dtype = TCT_I32;
  CHECK_VALUES("integers", result(TCT_OP_gather, &attrs, 2, integers, TCT_SHAPE(2, 4, 2)), 4, 5, 0, 1, 0, 0, 0, 0, 10,
               11, 6, 7, 0, 0, 0, 0);
}

TEST(ref_movement, gather_grad_is_the_transpose) {
  for (int32_t axis = 0; axis < 3; axis++) {
    const tct_ref_operand table = NOISE(1, 4, 4, 4), indices = values(TCT_SHAPE(2, 3), LIST(3, 0, 3, 1, 3, 0));
    const int64_t n[4] = {axis == 0 ? 2 : 4,
                          axis == 0   ? 3
                          : axis == 1 ? 2
                                      : 4,
                          axis == 2   ? 2
                          : axis == 1 ? 3
                                      : 4,
                          axis == 2 ? 3 : 4};
    const tct_gather_attrs attrs = {.axis = axis, .table_shape = table.shape};
    const tct_ref_operand dy = NOISE(2, n[0], n[1], n[2], n[3]);
    const tct_ref_operand y = result(TCT_OP_gather, &attrs, 2, (tct_ref_operand[]){table, indices}, dy.shape);
    const tct_ref_operand dtable = result(TCT_OP_gather_grad, &attrs, 2, (tct_ref_operand[]){indices, dy}, table.shape);
    CHECK(near(dot(&dy, &y), dot(&dtable, &table), 1e-13), "axis %d: %.17g and %.17g", (int)axis, dot(&dy, &y),
          dot(&dtable, &table));
  }
  const tct_gather_attrs attrs = {.axis = 0};
  const tct_ref_operand in[2] = {values(TCT_SHAPE(4), LIST(1, 5, -1, 1)), values(TCT_SHAPE(4), LIST(1, 2, 4, 8))};
  CHECK_VALUES("out of range adds nothing", result(TCT_OP_gather_grad, &attrs, 2, in, TCT_SHAPE(3)), 0, 9, 0);
}

TEST(ref_movement, one_hot) {
  const tct_one_hot_attrs attrs = {.depth = 3, .on = 5, .off = -1, .dtype = TCT_F32};
  const tct_ref_operand indices = values(TCT_SHAPE(3), LIST(2, 3, 0));
  CHECK_VALUES("one_hot", result(TCT_OP_one_hot, &attrs, 1, &indices, TCT_SHAPE(3, 3)), -1, -1, 5, -1, -1, -1, 5, -1,
               -1);
}

TEST(ref_movement, transpose) {
  const tct_ref_operand x = NOISE(1, 2, 3, 4, 5);
  const tct_transpose_attrs there = {.perm = {2, 0, 3, 1}}, back = {.perm = {1, 3, 0, 2}};
  const tct_ref_operand y = result(TCT_OP_transpose, &there, 1, &x, TCT_SHAPE(4, 2, 5, 3));
  CHECK(y.data[((1 * 2 + 1) * 5 + 3) * 3 + 2] == x.data[((1 * 3 + 2) * 4 + 1) * 5 + 3], "y[1,1,3,2] is x[1,2,1,3]");
  const tct_ref_operand again = result(TCT_OP_transpose, &back, 1, &y, x.shape);
  check_near("there and back", again.data, x.data, size_of(&x), 0);
}

TEST(ref_movement, concat) {
  const tct_ref_operand in[3] = {values(TCT_SHAPE(2, 1), LIST(1, 2)), values(TCT_SHAPE(2, 2), LIST(3, 4, 5, 6)),
                                 T(2, 0)};
  CHECK_VALUES("axis 1", result(TCT_OP_concat, &(tct_axis_attrs){1}, 3, in, TCT_SHAPE(2, 3)), 1, 3, 4, 2, 5, 6);
  const tct_ref_operand stacked[2] = {in[1], in[1]};
  CHECK_VALUES("axis 0", result(TCT_OP_concat, &(tct_axis_attrs){0}, 2, stacked, TCT_SHAPE(4, 2)), 3, 4, 5, 6, 3, 4, 5,
               6);
}

TEST(ref_movement, slice) {
  const tct_ref_operand x = values(TCT_SHAPE(3, 4), LIST(0, 1, 2, 3, 10, 11, 12, 13, 20, 21, 22, 23));
  const tct_slice_attrs attrs = {.start = {0, 1}, .size = {2, 2}, .step = {2, 2}, .x_shape = x.shape};
  const tct_ref_operand y = result(TCT_OP_slice, &attrs, 1, &x, TCT_SHAPE(2, 2));
  CHECK_VALUES("slice", y, 1, 3, 21, 23);
  CHECK_VALUES("slice_grad", result(TCT_OP_slice_grad, &attrs, 1, &y, x.shape), 0, 1, 0, 3, 0, 0, 0, 0, 0, 21, 0, 23);
}

TEST(ref_movement, pad_tile_broadcast) {
  const tct_ref_operand x = values(TCT_SHAPE(1, 2), LIST(1, 2));
  const tct_pad_attrs pad = {.before = {1, 0}, .after = {0, 1}, .value = 7};
  CHECK_VALUES("pad", result(TCT_OP_pad, &pad, 1, &x, TCT_SHAPE(2, 3)), 7, 7, 7, 1, 2, 7);
  const tct_ref_operand square = values(TCT_SHAPE(2, 2), LIST(1, 2, 3, 4));
  CHECK_VALUES("tile", result(TCT_OP_tile, &(tct_shape_attrs){TCT_SHAPE(2, 2)}, 1, &square, TCT_SHAPE(4, 4)), 1, 2, 1,
               2, 3, 4, 3, 4, 1, 2, 1, 2, 3, 4, 3, 4);
  CHECK_VALUES("broadcast_to",
               result(TCT_OP_broadcast_to, &(tct_shape_attrs){TCT_SHAPE(2, 3, 2)}, 1, &x, TCT_SHAPE(2, 3, 2)), 1, 2, 1,
               2, 1, 2, 1, 2, 1, 2, 1, 2);
}
