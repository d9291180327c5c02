/* The reference's batch and layer normalisation: what normalised means, and gradients against differences. */
#include "ref_fixture.h"

TEST(ref_norm, batch_norm) {
  const tct_norm_attrs attrs = {.epsilon = 1e-3};
  const tct_ref_operand in[3] = {NOISE(1, 4, 3, 2, 5), NOISE(2, 5), NOISE(3, 5)};
  const tct_ref_operand out[3] = {T(4, 3, 2, 5), T(5), T(5)}, dy = NOISE(4, 4, 3, 2, 5);
  run(TCT_OP_batch_norm, &attrs, 3, in, 3, out);
  for (int64_t c = 0; c < 5; c++) {
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < 24; i++) {
      const double normal = (out[0].data[i * 5 + c] - in[2].data[c]) / in[1].data[c];
      sum += normal;
      squares += normal * normal;
    }
    const double variance = out[2].data[c];
    CHECK(near(sum, 0, 1e-12) && near(squares / 24, variance / (variance + 1e-3), 1e-12),
          "channel %d: sum %g, mean square %g", (int)c, sum, squares / 24);
  }

  const tct_ref_operand fixed[5] = {in[0], in[1], in[2], out[1], out[2]};
  const tct_ref_operand same = result(TCT_OP_batch_norm_inference, &attrs, 5, fixed, in[0].shape);
  check_near("inference with the batch's statistics", same.data, out[0].data, 120, 1e-12);

  const tct_ref_operand back[5] = {in[0], in[1], out[1], out[2], dy}, grads[3] = {T(4, 3, 2, 5), T(5), T(5)};
  const tct_ref_operand scratch[3] = {T(4, 3, 2, 5), T(5), T(5)};
  run(TCT_OP_batch_norm_grad, &attrs, 5, back, 3, grads);
  for (int32_t i = 0; i < 3; i++)
    check_gradient("batch_norm", TCT_OP_batch_norm, &attrs, 3, in, 3, scratch, i, &dy, &grads[i]);
}

/* Channel (1, 3): mean 2, biased variance 1. */
TEST(ref_norm, batch_norm_known) {
  const tct_ref_operand in[3] = {values(TCT_SHAPE(2, 1), LIST(1, 3)), values(TCT_SHAPE(1), LIST(10)),
                                 values(TCT_SHAPE(1), LIST(0.5))};
  const tct_ref_operand out[3] = {T(2, 1), T(1), T(1)};
  run(TCT_OP_batch_norm, &(tct_norm_attrs){3.0}, 3, in, 3, out);
  CHECK_VALUES("y", out[0], -4.5, 5.5);
  CHECK_VALUES("mean", out[1], 2);
  CHECK_VALUES("variance", out[2], 1);
}

TEST(ref_norm, layer_norm) {
  const tct_norm_attrs attrs = {.epsilon = 1e-3};
  const tct_ref_operand in[3] = {NOISE(1, 3, 2, 6), NOISE(2, 6), NOISE(3, 6)};
  const tct_ref_operand out[3] = {T(3, 2, 6), T(3, 2), T(3, 2)}, dy = NOISE(4, 3, 2, 6);
  run(TCT_OP_layer_norm, &attrs, 3, in, 3, out);
  for (int64_t i = 0; i < 6; i++) {
    double mean = 0, squares = 0;
    for (int64_t c = 0; c < 6; c++) mean += in[0].data[i * 6 + c] / 6;
    for (int64_t c = 0; c < 6; c++) squares += (in[0].data[i * 6 + c] - mean) * (in[0].data[i * 6 + c] - mean) / 6;
    const double inverse = 1 / sqrt(squares + 1e-3);
    CHECK(near(out[1].data[i], mean, 1e-14) && near(out[2].data[i], inverse, 1e-14), "row %d: statistics", (int)i);
    for (int64_t c = 0; c < 6; c++) {
      const double want = in[1].data[c] * inverse * (in[0].data[i * 6 + c] - mean) + in[2].data[c];
      CHECK(near(out[0].data[i * 6 + c], want, 1e-13), "row %d, channel %d", (int)i, (int)c);
    }
  }
  const tct_ref_operand back[5] = {in[0], in[1], out[1], out[2], dy}, grads[3] = {T(3, 2, 6), T(6), T(6)};
  const tct_ref_operand scratch[3] = {T(3, 2, 6), T(3, 2), T(3, 2)};
  run(TCT_OP_layer_norm_grad, &attrs, 5, back, 3, grads);
  for (int32_t i = 0; i < 3; i++)
    check_gradient("layer_norm", TCT_OP_layer_norm, &attrs, 3, in, 3, scratch, i, &dy, &grads[i]);
}
