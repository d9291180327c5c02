/* The reference's matrix product and convolutions: known products, a convolution written from the input's side, and
 * gradients against differences. */
#include "ref_fixture.h"

TEST(ref_products, matmul_known) {
  const double a[] = {1, 2, 3, 4, 5, 6}, a_t[] = {1, 4, 2, 5, 3, 6}, b[] = {7, 8, 9, 10, 11, 12},
               b_t[] = {7, 9, 11, 8, 10, 12};
  for (int transposes = 0; transposes < 4; transposes++) {
    const tct_matmul_attrs attrs = {.transpose_a = transposes & 1, .transpose_b = transposes >> 1};
    const tct_ref_operand in[2] = {
        attrs.transpose_a ? values(TCT_SHAPE(3, 2), a_t) : values(TCT_SHAPE(2, 3), a),
        attrs.transpose_b ? values(TCT_SHAPE(2, 3), b_t) : values(TCT_SHAPE(3, 2), b),
    };
    const tct_ref_operand y = result(TCT_OP_matmul, &attrs, 2, in, TCT_SHAPE(2, 2));
    CHECK_VALUES("[2,3]·[3,2]", y, 58, 64, 139, 154);
  }
}

/* Σ_l a[i,l]·b[l,j], element by element, for sizes around the blocking, batches broadcast both ways, bias, activation.
 */
TEST(ref_products, matmul_batched) {
  const int64_t m = 11, k = 9, n = 5;
  for (int transposes = 0; transposes < 4; transposes++) {
    const bool ta = transposes & 1, tb = transposes >> 1;
    const tct_matmul_attrs attrs = {
        .transpose_a = ta, .transpose_b = tb, .activation = TCT_OP_leaky_relu, .activation_attrs = {0.5, 0}};
    const tct_ref_operand a = NOISE(1, 2, 1, ta ? k : m, ta ? m : k), b = NOISE(2, 3, tb ? n : k, tb ? k : n),
                          bias = NOISE(3, n);
    const tct_ref_operand y = result(TCT_OP_matmul, &attrs, 3, (tct_ref_operand[]){a, b, bias}, TCT_SHAPE(2, 3, m, n));
    for (int64_t e = 0; e < size_of(&y); e++) {
      const int64_t j = e % n, i = e / n % m, inner = e / n / m % 3, outer = e / n / m / 3;
      double sum = bias.data[j];
      for (int64_t l = 0; l < k; l++)
        sum +=
            a.data[outer * m * k + (ta ? l * m + i : i * k + l)] * b.data[inner * k * n + (tb ? j * k + l : l * n + j)];
      const double want = sum > 0 ? sum : 0.5 * sum;
      CHECK(near(y.data[e], want, 1e-14), "transposes %d, element %d: %.17g, wanted %.17g", transposes, (int)e,
            y.data[e], want);
    }
  }
}

typedef struct conv_case {
  const char *label;
  int64_t h, w, c, r, s, k;
  tct_conv2d_attrs attrs;
} conv_case;

static const conv_case conv_cases[] = {
    {"1x1", 4, 3, 3, 1, 1, 4, {.stride = {1, 1}, .dilation = {1, 1}, .groups = 1}},
    {"3x3 same", 5, 4, 2, 3, 3, 3, {.stride = {1, 1}, .dilation = {1, 1}, .pad = {1, 1, 1, 1}, .groups = 1}},
    {"stride 2x3, uneven padding",
     7,
     8,
     2,
     3,
     2,
     3,
     {.stride = {2, 3}, .dilation = {1, 1}, .pad = {0, 1, 2, 0}, .groups = 1}},
    {"dilation 2x3", 8, 9, 1, 3, 2, 2, {.stride = {1, 2}, .dilation = {2, 3}, .pad = {2, 1, 0, 3}, .groups = 1}},
    {"2 groups", 4, 4, 4, 2, 3, 6, {.stride = {1, 1}, .dilation = {1, 1}, .pad = {1, 0, 1, 1}, .groups = 2}},
    {"depthwise, 2 each", 5, 5, 3, 3, 3, 6, {.stride = {2, 2}, .dilation = {1, 1}, .pad = {1, 1, 1, 1}, .groups = 3}},
    {"window wholly outside",
     2,
     2,
     1,
     1,
     1,
     1,
     {.stride = {1, 1}, .dilation = {1, 1}, .pad = {2, 2, 2, 2}, .groups = 1}},
};

static tct_shape conv_output(const conv_case *row, int64_t n) {
  const tct_conv2d_attrs *a = &row->attrs;
  const int64_t p = (row->h + a->pad[0] + a->pad[1] - a->dilation[0] * (row->r - 1) - 1) / a->stride[0] + 1;
  const int64_t q = (row->w + a->pad[2] + a->pad[3] - a->dilation[1] * (row->s - 1) - 1) / a->stride[1] + 1;
  return TCT_SHAPE(n, p, q, row->k);
}

/* The output row that input row h reaches through window row r; -1 when none. */
static int64_t reached(int64_t h, int64_t r, int64_t pad, int64_t stride, int64_t dilation, int64_t extent) {
  const int64_t at = h + pad - r * dilation;
  return at >= 0 && at % stride == 0 && at / stride < extent ? at / stride : -1;
}

/* The same sum from the other side: each input element is scattered to the outputs that read it. */
static void scatter(const conv_case *row, const tct_ref_operand *x, const tct_ref_operand *w,
                    const tct_ref_operand *y) {
  const tct_conv2d_attrs *a = &row->attrs;
  const int64_t p_extent = y->shape.dim[1], q_extent = y->shape.dim[2], cg = row->c / a->groups,
                kg = row->k / a->groups;
  for (int64_t e = 0; e < size_of(x); e++) {
    const int64_t c = e % row->c, column = e / row->c % row->w, line = e / row->c / row->w % row->h,
                  n = e / row->c / row->w / row->h;
    for (int64_t r = 0; r < row->r; r++)
      for (int64_t s = 0; s < row->s; s++) {
        const int64_t p = reached(line, r, a->pad[0], a->stride[0], a->dilation[0], p_extent);
        const int64_t q = reached(column, s, a->pad[2], a->stride[1], a->dilation[1], q_extent);
        if (p < 0 || q < 0) continue;
        for (int64_t k = c / cg * kg; k < (c / cg + 1) * kg; k++)
          y->data[((n * p_extent + p) * q_extent + q) * row->k + k] +=
              x->data[e] * w->data[((r * row->s + s) * cg + c % cg) * row->k + k];
      }
  }
}

TEST(ref_products, conv2d_from_the_inputs_side) {
  for (size_t i = 0; i < sizeof conv_cases / sizeof conv_cases[0]; i++) {
    const conv_case *row = &conv_cases[i];
    const tct_ref_operand x = NOISE(i, 2, row->h, row->w, row->c),
                          w = NOISE(i + 50, row->r, row->s, row->c / row->attrs.groups, row->k);
    const tct_ref_operand bias = NOISE(i + 90, row->k), want = tensor(conv_output(row, 2));
    for (int64_t e = 0; e < size_of(&want); e++) want.data[e] = bias.data[e % row->k];
    scatter(row, &x, &w, &want);
    const tct_ref_operand in[3] = {x, w, bias};
    const tct_ref_operand y = result(TCT_OP_conv2d, &row->attrs, 3, in, want.shape);
    check_near(row->label, y.data, want.data, size_of(&want), 1e-13);

    tct_conv2d_attrs fused = row->attrs;
    fused.activation = TCT_OP_relu;
    for (int64_t e = 0; e < size_of(&want); e++) want.data[e] = want.data[e] > 0 ? want.data[e] : 0;
    const tct_ref_operand active = result(TCT_OP_conv2d, &fused, 3, in, want.shape);
    check_near(row->label, active.data, want.data, size_of(&want), 1e-13);
  }
}

/* A 3×3 window of ones counts its pixels: known without any convolution. */
TEST(ref_products, conv2d_known) {
  const tct_conv2d_attrs attrs = {.stride = {1, 1}, .dilation = {1, 1}, .pad = {1, 1, 1, 1}, .groups = 1};
  tct_ref_operand x = T(1, 3, 3, 1), w = T(3, 3, 1, 1);
  for (int i = 0; i < 9; i++) x.data[i] = w.data[i] = 1.0;
  const tct_ref_operand y = result(TCT_OP_conv2d, &attrs, 2, (tct_ref_operand[]){x, w}, TCT_SHAPE(1, 3, 3, 1));
  CHECK_VALUES("ones", y, 4, 6, 4, 6, 9, 6, 4, 6, 4);
}

TEST(ref_products, conv2d_gradients) {
  for (size_t i = 0; i < sizeof conv_cases / sizeof conv_cases[0]; i++) {
    const conv_case *row = &conv_cases[i];
    pool_used = 0;
    const tct_ref_operand x = NOISE(i, 2, row->h, row->w, row->c),
                          w = NOISE(i + 50, row->r, row->s, row->c / row->attrs.groups, row->k);
    const tct_ref_operand in[2] = {x, w}, dy = noise(i + 90, conv_output(row, 2)), y = tensor(dy.shape);
    const tct_ref_operand dx = result(TCT_OP_conv2d_grad_input, &row->attrs, 2, (tct_ref_operand[]){dy, w}, x.shape);
    const tct_ref_operand dw = result(TCT_OP_conv2d_grad_filter, &row->attrs, 2, (tct_ref_operand[]){x, dy}, w.shape);
    check_gradient(row->label, TCT_OP_conv2d, &row->attrs, 2, in, 1, &y, 0, &dy, &dx);
    check_gradient(row->label, TCT_OP_conv2d, &row->attrs, 2, in, 1, &y, 1, &dy, &dw);
  }
}
