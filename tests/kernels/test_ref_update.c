/* The reference's optimizer updates: first steps by hand, and several steps against the formulas on scalars. */
#include "ref_fixture.h"

static const double lr = 0.1;

/* Runs `op` on one-element variables state[0 … n_state-1]. */
static void step(tct_op op, const tct_update_attrs *attrs, double *state, double gradient, double t, double scale) {
  tct_ref_operand in[8];
  int32_t n_in = 0;
  pool_used = 0;
  for (; n_in < attrs->n_state; n_in++) in[n_in] = values(TCT_SHAPE(1), &state[n_in]);
  in[n_in++] = values(TCT_SHAPE(1), &gradient);
  in[n_in++] = SCALAR_OF(lr);
  if (op == TCT_OP_adam_update) in[n_in++] = SCALAR_OF(t);
  if (attrs->has_scale) in[n_in++] = SCALAR_OF(scale);
  run(op, attrs, n_in, in, 0, NULL);
  for (int32_t i = 0; i < attrs->n_state; i++) state[i] = in[i].data[0];
}

TEST(ref_update, first_steps_by_hand) {
  static const struct {
    const char *label;
    tct_op op;
    tct_update_attrs attrs;
    double state[4], gradient, scale, want[4];
  } rows[] = {
      {"sgd", TCT_OP_sgd_update, {.n_state = 1}, {1}, 0.5, 0, {0.95}},
      {"sgd, scale", TCT_OP_sgd_update, {.n_state = 1, .has_scale = true}, {1}, 0.5, 0.2, {0.99}},
      {"sgd, clipped after the scale",
       TCT_OP_sgd_update,
       {.n_state = 1, .has_scale = true, .clip_value = 0.3},
       {1},
       -5,
       0.1,
       {1.03}},
      {"sgd, l2", TCT_OP_sgd_update, {.n_state = 1, .l2 = 0.5}, {2}, 1, 0, {1.8}},
      {"sgd, l1", TCT_OP_sgd_update, {.n_state = 1, .l1 = 0.5}, {-2}, 1, 0, {-2.05}},
      {"sgd, decay", TCT_OP_sgd_update, {.n_state = 1, .weight_decay = 0.5}, {2}, 1, 0, {1.8}},
      {"sgd, clip does not touch l2", TCT_OP_sgd_update, {.n_state = 1, .l2 = 1, .clip_value = 0.5}, {2}, 9, 0, {1.75}},
      {"momentum", TCT_OP_sgd_update, {.n_state = 2, .momentum = 0.9}, {1, 2}, 0.5, 0, {2.75, 1.75}},
      {"nesterov", TCT_OP_sgd_update, {.n_state = 2, .momentum = 0.9, .nesterov = true}, {1, 2}, 0.5, 0, {2.525, 1.75}},
      {"adam",
       TCT_OP_adam_update,
       {.n_state = 3, .beta1 = 0.9, .beta2 = 0.75, .epsilon = 0.5},
       {1, 0, 0},
       2,
       0,
       {1 - 0.1 * 0.5 / 0.1 * 0.2 / 1.5, 0.2, 1}},
      {"rmsprop", TCT_OP_rmsprop_update, {.n_state = 2, .beta2 = 0.75, .epsilon = 8}, {1, 0}, 2, 0, {1 - 0.2 / 3, 1}},
      {"rmsprop, momentum",
       TCT_OP_rmsprop_update,
       {.n_state = 3, .beta2 = 0.75, .epsilon = 8, .momentum = 0.5},
       {1, 0, 0.4},
       2,
       0,
       {1 - 0.2 - 0.2 / 3, 1, 0.2 + 0.2 / 3}},
      {"rmsprop, centered",
       TCT_OP_rmsprop_update,
       {.n_state = 3, .beta2 = 0.75, .epsilon = 0.25, .centered = true},
       {1, 0, 0},
       2,
       0,
       {0.8, 1, 0.5}},
      {"rmsprop, both",
       TCT_OP_rmsprop_update,
       {.n_state = 4, .beta2 = 0.75, .epsilon = 0.25, .momentum = 0.5, .centered = true},
       {1, 0, 0.4, 0},
       2,
       0,
       {0.6, 1, 0.4, 0.5}},
      {"adagrad", TCT_OP_adagrad_update, {.n_state = 2, .epsilon = 4}, {1, 8}, 2, 0, {0.95, 12}},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    double state[4];
    memcpy(state, rows[i].state, sizeof state);
    step(rows[i].op, &rows[i].attrs, state, rows[i].gradient, 0, rows[i].scale);
    check_near(rows[i].label, state, rows[i].want, rows[i].attrs.n_state, 1e-14);
  }
}

/* Bias correction: against the textbook's m̂ and v̂ with ε = 0, where the two forms of Adam agree. */
TEST(ref_update, adam_matches_bias_corrected_moments) {
  const tct_update_attrs attrs = {.n_state = 3, .beta1 = 0.9, .beta2 = 0.999, .weight_decay = 0.01};
  double state[3] = {1, 0, 0}, w = 1, m = 0, v = 0;
  for (int t = 0; t < 20; t++) {
    const double g = cos(t) + 0.1 * w;
    step(TCT_OP_adam_update, &attrs, state, g, t, 0);
    m = 0.9 * m + (1 - 0.9) * g;
    v = 0.999 * v + (1 - 0.999) * g * g;
    w = w - lr * 0.01 * w - lr * (m / (1 - pow(0.9, t + 1))) / sqrt(v / (1 - pow(0.999, t + 1)));
    CHECK(near(state[0], w, 1e-12), "step %d: %.17g, wanted %.17g", t, state[0], w);
  }
}

TEST(ref_update, assign) {
  const tct_ref_operand in[2] = {NOISE(1, 3, 2), NOISE(2, 3, 2)};
  run(TCT_OP_assign, &(tct_update_attrs){.n_state = 1}, 2, in, 0, NULL);
  check_near("assign", in[0].data, in[1].data, 6, 0);
}
