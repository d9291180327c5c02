/* The reference's pooling, reductions, softmax and cross-entropy. */
#include "ref_fixture.h"

TEST(ref_reduce, pooling_known) {
  const tct_pool2d_attrs attrs = {.window = {2, 2}, .stride = {2, 2}, .pad = {0, 1, 1, 0}};
  /* Rows are [pad 1 2 3], so the windows are {·,1,·,4}, {2,3,5,6}, {·,7}, {8,9}. All negative: a zero of the padding
   * would win. */
  const tct_ref_operand x = values(TCT_SHAPE(1, 3, 3, 1), LIST(-1, -2, -3, -4, -5, -6, -7, -8, -9));
  const tct_ref_operand most = result(TCT_OP_max_pool2d, &attrs, 1, &x, TCT_SHAPE(1, 2, 2, 1));
  CHECK_VALUES("max", most, -1, -2, -7, -8);
  const tct_ref_operand mean = result(TCT_OP_avg_pool2d, &attrs, 1, &x, TCT_SHAPE(1, 2, 2, 1));
  CHECK_VALUES("avg", mean, -2.5, -4, -7, -8.5);
}

TEST(ref_reduce, max_pool_ties_go_to_the_first) {
  const tct_pool2d_attrs attrs = {.window = {2, 2}, .stride = {1, 1}};
  const tct_ref_operand x = values(TCT_SHAPE(1, 2, 3, 1), LIST(0, 5, 5, 5, 5, 0)),
                        y = values(TCT_SHAPE(1, 1, 2, 1), LIST(5, 5));
  const tct_ref_operand dy = values(TCT_SHAPE(1, 1, 2, 1), LIST(1, 10));
  const tct_ref_operand dx = result(TCT_OP_max_pool2d_grad, &attrs, 3, (tct_ref_operand[]){x, y, dy}, x.shape);
  CHECK_VALUES("ties", dx, 0, 11, 0, 0, 0, 0);
}

TEST(ref_reduce, pooling_gradients) {
  static const struct {
    const char *label;
    int64_t p, q;
    tct_pool2d_attrs attrs;
  } rows[] = {
      {"2x2", 3, 2, {.window = {2, 2}, .stride = {2, 2}}},
      {"overlapping 3x3, padded", 3, 3, {.window = {3, 3}, .stride = {2, 2}, .pad = {1, 1, 1, 1}}},
      {"global", 1, 1, {.window = {6, 5}, .stride = {1, 1}}},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    const tct_ref_operand x = NOISE(i, 2, 6, 5, 3), dy = NOISE(i + 9, 2, rows[i].p, rows[i].q, 3),
                          scratch = tensor(dy.shape);
    const tct_ref_operand y = result(TCT_OP_max_pool2d, &rows[i].attrs, 1, &x, dy.shape);
    const tct_ref_operand in[3] = {x, y, dy};
    const tct_ref_operand of_max = result(TCT_OP_max_pool2d_grad, &rows[i].attrs, 3, in, x.shape);
    const tct_ref_operand of_avg = result(TCT_OP_avg_pool2d_grad, &rows[i].attrs, 1, &dy, x.shape);
    check_gradient(rows[i].label, TCT_OP_max_pool2d, &rows[i].attrs, 1, &x, 1, &scratch, 0, &dy, &of_max);
    check_gradient(rows[i].label, TCT_OP_avg_pool2d, &rows[i].attrs, 1, &x, 1, &scratch, 0, &dy, &of_avg);
  }
}

TEST(ref_reduce, reductions_known) {
  /* x[i,j,k] = 6i + 3j + k + 1, reduced over its outer and inner axes: two outputs, {1,2,3,7,8,9} and {4,5,6,10,11,12}.
   */
  const tct_ref_operand x = values(TCT_SHAPE(2, 2, 3), LIST(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12));
  const tct_reduce_attrs attrs = {.axes = 1u << 0 | 1u << 2};
  static const struct {
    const char *label;
    tct_op op;
    double want[2];
  } rows[] = {
      {"sum", TCT_OP_reduce_sum, {30, 48}},
      {"mean", TCT_OP_reduce_mean, {5, 8}},
      {"max", TCT_OP_reduce_max, {9, 12}},
      {"min", TCT_OP_reduce_min, {1, 4}},
      {"prod", TCT_OP_reduce_prod, {3024, 158400}},
      {"logsumexp", TCT_OP_logsumexp, {9.41008164958211, 12.41008164958211}},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    const tct_ref_operand y = result(rows[i].op, &attrs, 1, &x, TCT_SHAPE(1, 2, 1));
    check_near(rows[i].label, y.data, rows[i].want, 2, 1e-14);
  }
  const tct_ref_operand same = result(TCT_OP_reduce_sum, &(tct_reduce_attrs){0}, 1, &x, x.shape);
  check_near("no axes", same.data, x.data, 12, 0);
}

TEST(ref_reduce, extremes) {
  const tct_reduce_attrs all = {.axes = 1u};
  const tct_shape scalar = tct_shape_of(0, NULL);
  const tct_ref_operand nan = values(TCT_SHAPE(3), LIST(1, NAN, 2)), big = values(TCT_SHAPE(2), LIST(1000, 1000));
  const tct_ref_operand low = values(TCT_SHAPE(2), LIST(-INFINITY, -INFINITY)), none = T(0);
  CHECK_VALUES("max keeps a NaN", result(TCT_OP_reduce_max, &all, 1, &nan, scalar), NAN);
  CHECK_VALUES("large terms", result(TCT_OP_logsumexp, &all, 1, &big, scalar), 1000.6931471805599);
  CHECK_VALUES("no terms", result(TCT_OP_logsumexp, &all, 1, &low, scalar), -INFINITY);
  CHECK_VALUES("empty sum", result(TCT_OP_reduce_sum, &all, 1, &none, scalar), 0);
  CHECK_VALUES("empty max", result(TCT_OP_reduce_max, &all, 1, &none, scalar), -INFINITY);
}

TEST(ref_reduce, prod_gradient) {
  const tct_reduce_attrs attrs = {.axes = 1u << 0 | 1u << 2, .keepdims = true};
  const tct_ref_operand x = NOISE(1, 2, 3, 2), dy = NOISE(2, 1, 3, 1), scratch = tensor(dy.shape);
  x.data[0] = 0.0;             /* one zero in group 0 */
  x.data[2] = x.data[3] = 0.0; /* two in group 1 */
  const tct_ref_operand dx = result(TCT_OP_reduce_prod_grad, &attrs, 2, (tct_ref_operand[]){x, dy}, x.shape);
  check_gradient("prod", TCT_OP_reduce_prod, &attrs, 1, &x, 1, &scratch, 0, &dy, &dx);
}

TEST(ref_reduce, arg_extremes) {
  const tct_ref_operand x = values(TCT_SHAPE(2, 3, 2), LIST(1, 9, 4, 9, 4, 0, -1, -1, -1, -2, -3, -2));
  const tct_arg_attrs attrs = {.axis = 1};
  CHECK_VALUES("argmax", result(TCT_OP_argmax, &attrs, 1, &x, TCT_SHAPE(2, 2)), 1, 0, 0, 0);
  CHECK_VALUES("argmin", result(TCT_OP_argmin, &attrs, 1, &x, TCT_SHAPE(2, 2)), 0, 2, 2, 1);
}

TEST(ref_reduce, global_norm) {
  const tct_ref_operand in[3] = {values(TCT_SHAPE(2), LIST(1, 2)), values(TCT_SHAPE(1, 1), LIST(4)), SCALAR_OF(10)};
  CHECK_VALUES("norm", result(TCT_OP_global_norm, NULL, 3, in, tct_shape_of(0, NULL)), 11);
}

TEST(ref_reduce, softmax) {
  for (int32_t axis = 0; axis < 3; axis++) {
    const tct_axis_attrs attrs = {axis};
    const tct_ref_operand x = NOISE(1, 3, 4, 2), dy = NOISE(2, 3, 4, 2), scratch = T(3, 4, 2);
    const tct_ref_operand y = result(TCT_OP_softmax, &attrs, 1, &x, x.shape);
    const tct_ref_operand log_y = result(TCT_OP_log_softmax, &attrs, 1, &x, x.shape);
    const tct_shape kept = TCT_SHAPE(axis == 0 ? 1 : 3, axis == 1 ? 1 : 4, axis == 2 ? 1 : 2);
    const tct_reduce_attrs over = {.axes = 1u << axis, .keepdims = true};
    const tct_ref_operand sum = result(TCT_OP_reduce_sum, &over, 1, &y, kept);
    for (int64_t e = 0; e < size_of(&sum); e++)
      CHECK(near(sum.data[e], 1.0, 1e-15), "axis %d: a row sums to %.17g", (int)axis, sum.data[e]);
    for (int64_t e = 0; e < size_of(&y); e++)
      CHECK(near(exp(log_y.data[e]), y.data[e], 1e-15), "axis %d, element %d", (int)axis, (int)e);
    const tct_ref_operand dx = result(TCT_OP_softmax_grad, &attrs, 2, (tct_ref_operand[]){y, dy}, x.shape);
    const tct_ref_operand dlog = result(TCT_OP_log_softmax_grad, &attrs, 2, (tct_ref_operand[]){log_y, dy}, x.shape);
    check_gradient("softmax", TCT_OP_softmax, &attrs, 1, &x, 1, &scratch, 0, &dy, &dx);
    check_gradient("log_softmax", TCT_OP_log_softmax, &attrs, 1, &x, 1, &scratch, 0, &dy, &dlog);
  }
  const tct_ref_operand far = values(TCT_SHAPE(2), LIST(-2000, 1000));
  CHECK_VALUES("far apart", result(TCT_OP_softmax, &(tct_axis_attrs){0}, 1, &far, far.shape), 0, 1);
  CHECK_VALUES("far apart", result(TCT_OP_log_softmax, &(tct_axis_attrs){0}, 1, &far, far.shape), -3000, 0);
}

/* Two classes, equal logits: ln 2 whatever the target; by hand for label 1 with logits (0, ln 3): -ln(3/4). */
TEST(ref_reduce, cross_entropy_known) {
  const tct_cross_entropy_attrs plain = {0}, smooth = {.label_smoothing = 0.2};
  const double ln3 = 1.0986122886681098;
  const tct_ref_operand in[2] = {values(TCT_SHAPE(4, 2), LIST(5, 5, 0, ln3, 0, ln3, 0, ln3)),
                                 values(TCT_SHAPE(4), LIST(0, 1, 2, -1))};
  CHECK_VALUES("labels", result(TCT_OP_sparse_softmax_cross_entropy, &plain, 2, in, TCT_SHAPE(4)), 0.6931471805599453,
               0.2876820724517809, NAN, NAN);
  CHECK_VALUES("smoothed", result(TCT_OP_sparse_softmax_cross_entropy, &smooth, 2, in, TCT_SHAPE(4)),
               0.6931471805599453, 0.2876820724517809 + 0.1 * ln3, NAN, NAN);
  const tct_ref_operand dloss = values(TCT_SHAPE(4), LIST(2, 4, 1, 1));
  const tct_ref_operand grad = result(TCT_OP_sparse_softmax_cross_entropy_grad, &plain, 3,
                                      (tct_ref_operand[]){in[0], in[1], dloss}, TCT_SHAPE(4, 2));
  CHECK_VALUES("gradient", grad, -1, 1, 1, -1, NAN, NAN, NAN, NAN);
  const tct_ref_operand impossible[2] = {values(TCT_SHAPE(1, 2), LIST(-INFINITY, 0)), values(TCT_SHAPE(1), LIST(1))};
  CHECK_VALUES("a class ruled out", result(TCT_OP_sparse_softmax_cross_entropy, &plain, 2, impossible, TCT_SHAPE(1)),
               0);
}

TEST(ref_reduce, cross_entropy_gradients) {
  for (int smooth = 0; smooth < 2; smooth++) {
    const tct_cross_entropy_attrs attrs = {.label_smoothing = 0.3 * smooth};
    const tct_ref_operand x = NOISE(1, 2, 2, 5), dloss = NOISE(3, 2, 2), scratch = T(2, 2);
    const tct_ref_operand labels = values(TCT_SHAPE(2, 2), LIST(0, 4, 2, 2)), dense = NOISE(2, 2, 2, 5),
                          one_hot = T(2, 2, 5);
    for (int64_t e = 0; e < 20; e++) one_hot.data[e] = labels.data[e / 5] == (double)(e % 5) ? 1.0 : 0.0;
    const tct_ref_operand sparse_in[3] = {x, labels, dloss}, dense_in[3] = {x, dense, dloss},
                          hot_in[3] = {x, one_hot, dloss};
    const tct_ref_operand of_sparse = result(TCT_OP_sparse_softmax_cross_entropy_grad, &attrs, 3, sparse_in, x.shape);
    const tct_ref_operand of_dense = result(TCT_OP_softmax_cross_entropy_grad, &attrs, 3, dense_in, x.shape);
    const tct_ref_operand of_hot = result(TCT_OP_softmax_cross_entropy_grad, &attrs, 3, hot_in, x.shape);
    check_gradient("labels", TCT_OP_sparse_softmax_cross_entropy, &attrs, 2, sparse_in, 1, &scratch, 0, &dloss,
                   &of_sparse);
    check_gradient("targets", TCT_OP_softmax_cross_entropy, &attrs, 2, dense_in, 1, &scratch, 0, &dloss, &of_dense);
    check_near("one-hot targets are labels", of_hot.data, of_sparse.data, 20, 1e-15);
  }
}
