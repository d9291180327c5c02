/* The numbers of recurrent layers, step by step: with r the rounding of what meets in the arrays, the products are r(x)·r(w), all steps
 * at once, and r(h)·r(u) in each step; backward r(da)·r(u)ᵀ in each step. Gates, cells and states are f32. The formulas are those of
 * kernels/ref/recurrent.c. B samples, T steps, H units, G blocks of units in u's columns: 4 of an LSTM, 3 of a GRU. */
#include <assert.h>
#include <string.h>

#include "backends/tpu/inside.h"

enum { U, STATE, OPERAND, PRODUCT, ZEROS, X, W, XW, MOST_ROOMS }; /* STATE: what is multiplied in a step; W, X, XW: forward only */
static_assert((int)MOST_ROOMS <= (int)TPU_MOST_ROOMS, "a room for each buffer");
enum { STEP, INPUTS };                                    /* products */

typedef struct problem {
  int64_t b, t, h, g;
  bool reverse;
} problem;

static problem problem_of(const tct_node_view *node, bool backward) {
  const tct_recurrent_attrs *attrs = node->attrs;
  const tct_shape *u = &node->in[backward ? 0 : 2].shape, *by_step = &node->in[backward ? 1 : 0].shape;
  return (problem){by_step->dim[0], by_step->dim[1], u->dim[0], u->dim[0] > 0 ? u->dim[1] / u->dim[0] : 0, attrs->reverse};
}

/* The row of sample b at the k-th step of a tensor [B,T,..]. */
static int64_t row_of(const problem *p, int64_t b, int64_t k) { return b * p->t + (p->reverse ? p->t - 1 - k : k); }

/* Sample b before step k: of the results x [B,T,H], or of first [B,H], NULL for zeros. */
static const float *before(const tpu_running *run, const problem *p, const float *x, const float *first, int64_t b, int64_t k) {
  if (k > 0) return x + row_of(p, b, k - 1) * p->h;
  return first != NULL ? first + b * p->h : tpu_room(run, ZEROS);
}

static tct_status step_product(const tpu_running *run, const problem *p, int64_t width) {
  tct_tpu_operand(&run->device->chip, tpu_room(run, STATE), tpu_room(run, OPERAND), (size_t)(p->b * width));
  return tpu_product(run, STEP, tpu_room(run, OPERAND), tpu_room(run, U), tpu_room(run, PRODUCT));
}

static void begin(const tpu_running *run, const problem *p, int32_t u) {
  tct_tpu_operand(&run->device->chip, run->in[u], tpu_room(run, U), (size_t)(p->h * p->g * p->h));
  memset(tpu_room(run, ZEROS), 0, (size_t)p->h * sizeof(float));
}

/* ---- forward ---- */

/* One sample's step. gates holds x·w and becomes i f g o; hu: h·u. All are of n units, or 4n. */
static void lstm_cell(int64_t n, const float *restrict hu, const float *restrict bias, const float *restrict c_before,
                      float *restrict gates, float *restrict c, float *restrict y) {
  const float *const i = gates, *const f = i + n, *const g = f + n, *const o = g + n;
  for (int64_t j = 0; j < 4 * n; j++) gates[j] = gates[j] + hu[j] + bias[j];
  memcpy(c, g, (size_t)n * sizeof *c);
  tct_tpu_sigmoid(gates, (size_t)(2 * n));
  tct_tpu_tanh(c, gates + 2 * n, (size_t)n);
  tct_tpu_sigmoid(gates + 3 * n, (size_t)n);
  for (int64_t j = 0; j < n; j++) c[j] = f[j] * c_before[j] + i[j] * g[j];
  tct_tpu_tanh(c, y, (size_t)n);
  for (int64_t j = 0; j < n; j++) y[j] *= o[j];
}

/* xw: x·w; gates becomes z r g q_h. */
static void gru_cell(int64_t n, const float *restrict xw, const float *restrict hu, const float *restrict bias, const float *restrict h,
                     float *restrict gates, float *restrict y) {
  const float *const of_u = bias + 3 * n, *const z = gates, *const r = z + n, *const g = r + n;
  float *const q = gates + 3 * n;
  for (int64_t j = 0; j < 2 * n; j++) gates[j] = xw[j] + bias[j] + (hu[j] + of_u[j]);
  tct_tpu_sigmoid(gates, (size_t)(2 * n));
  for (int64_t j = 0; j < n; j++) {
    q[j] = hu[2 * n + j] + of_u[2 * n + j];
    y[j] = xw[2 * n + j] + bias[2 * n + j] + r[j] * q[j];
  }
  tct_tpu_tanh(y, gates + 2 * n, (size_t)n);
  for (int64_t j = 0; j < n; j++) y[j] = z[j] * h[j] + (1 - z[j]) * g[j];
}

static tct_status forward(const tpu_running *run) {
  const problem p = problem_of(run->node, false);
  const tct_chip *chip = &run->device->chip;
  const bool lstm = p.g == 4;
  const float *const bias = run->in[3], *const h0 = run->node->n_in > 4 ? run->in[4] : NULL, *const c0 = run->node->n_in > 5 ? run->in[5] : NULL;
  float *const y = run->out[0], *const c = run->out[1], *const gates = run->out[lstm ? 2 : 1];
  float *const xw = lstm ? gates : tpu_room(run, XW), *const state = tpu_room(run, STATE), *const hu = tpu_room(run, PRODUCT);
  begin(run, &p, 2);
  tct_tpu_operand(chip, run->in[0], tpu_room(run, X), tpu_elements(&run->node->in[0].shape));
  tct_tpu_operand(chip, run->in[1], tpu_room(run, W), tpu_elements(&run->node->in[1].shape));
  tct_status status = tpu_product(run, INPUTS, tpu_room(run, X), tpu_room(run, W), xw);
  for (int64_t k = 0; k < p.t && status == TCT_OK; k++) {
    for (int64_t b = 0; b < p.b; b++) memcpy(state + b * p.h, before(run, &p, y, h0, b, k), (size_t)p.h * sizeof *state);
    status = step_product(run, &p, p.h);
    for (int64_t b = 0; b < p.b; b++) {
      const int64_t at = row_of(&p, b, k);
      if (lstm)
        lstm_cell(p.h, hu + b * 4 * p.h, bias, before(run, &p, c, c0, b, k), gates + at * 4 * p.h, c + at * p.h, y + at * p.h);
      else
        gru_cell(p.h, xw + at * 3 * p.h, hu + b * 3 * p.h, bias, before(run, &p, y, h0, b, k), gates + at * 4 * p.h, y + at * p.h);
    }
  }
  return status;
}

static void rooms(const int64_t floats[MOST_ROOMS], tpu_inside *inside) {
  for (int32_t i = 0; i < MOST_ROOMS; i++) inside->at[i] = tct_tpu_room(inside, (size_t)floats[i]);
}

tct_status tct_tpu_recurrent(tct_device_impl *device, const tct_node_view *node, tpu_inside *inside) {
  const problem p = problem_of(node, false);
  const int64_t features = node->in[0].shape.dim[2], width = p.g * p.h, all = p.b * p.t;
  const int64_t floats[MOST_ROOMS] = {[U] = p.h * width, [STATE] = p.b * p.h, [OPERAND] = p.b * p.h, [PRODUCT] = p.b * width, [ZEROS] = p.h,
                                      [X] = all * features, [W] = features * width, [XW] = p.g == 3 ? all * width : 0};
  rooms(floats, inside);
  inside->launch = forward;
  const tct_status status = tct_tpu_inside_product(device, inside, (tpu_extents){.m = p.b, .k = p.h, .n = width});
  return status == TCT_OK ? tct_tpu_inside_product(device, inside, (tpu_extents){.m = all, .k = features, .n = width}) : status;
}

/* ---- backward ---- */

/* dh and dc: what the step behind sent; dc goes on to the step before. da: the gradients of what σ and tanh were taken of.
 * shape: tanh of the cell. */
static void lstm_cell_grad(int64_t n, const float *restrict gates, const float *restrict shape, const float *restrict c_before,
                           const float *restrict dy, const float *restrict dc_given, const float *restrict dh, float *restrict dc,
                           float *restrict da) {
  for (int64_t j = 0; j < n; j++) {
    const float i = gates[j], f = gates[n + j], g = gates[2 * n + j], o = gates[3 * n + j], flow = dh[j] + dy[j];
    const float cell = dc[j] + flow * o * (1 - shape[j] * shape[j]) + dc_given[j];
    da[j] = cell * g * i * (1 - i);
    da[n + j] = cell * c_before[j] * f * (1 - f);
    da[2 * n + j] = cell * i * (1 - g * g);
    da[3 * n + j] = flow * shape[j] * o * (1 - o);
    dc[j] = cell * f;
  }
}

/* dh becomes the part of the flow that goes straight to the step before. */
static void gru_cell_grad(int64_t n, const float *restrict gates, const float *restrict h, const float *restrict dy, float *restrict dh,
                          float *restrict dp, float *restrict dq) {
  for (int64_t j = 0; j < n; j++) {
    const float z = gates[j], r = gates[n + j], g = gates[2 * n + j], q = gates[3 * n + j], flow = dh[j] + dy[j];
    const float d_z = flow * (h[j] - g) * z * (1 - z), d_g = flow * (1 - z) * (1 - g * g), d_r = d_g * q * r * (1 - r);
    dp[j] = d_z;
    dp[n + j] = d_r;
    dp[2 * n + j] = d_g;
    dq[j] = d_z;
    dq[n + j] = d_r;
    dq[2 * n + j] = d_g * r;
    dh[j] = flow * z;
  }
}

/* The rows of step k of x [B,T,width], as the operand of the step's product. */
static void take_step(const tpu_running *run, const problem *p, const float *x, int64_t width, int64_t k) {
  for (int64_t b = 0; b < p->b; b++) memcpy(tpu_room(run, STATE) + b * width, x + row_of(p, b, k) * width, (size_t)width * sizeof *x);
}

static tct_status lstm_backward(const tpu_running *run) {
  const problem p = problem_of(run->node, true);
  const float *const c = run->in[1], *const gates = run->in[2], *const dy = run->in[3];
  const float *const dc_given = run->node->n_in > 4 ? run->in[4] : NULL, *const c0 = run->node->n_in > 5 ? run->in[5] : NULL;
  float *const da = run->out[0], *const dh = run->out[1], *const dc = run->out[2], *const shape = tpu_room(run, PRODUCT); /* read already */
  const size_t state = (size_t)(p.b * p.h) * sizeof(float);
  tct_status status = TCT_OK;
  begin(run, &p, 0);
  memset(dh, 0, state);
  memset(dc, 0, state);
  for (int64_t k = p.t - 1; k >= 0 && status == TCT_OK; k--) {
    for (int64_t b = 0; b < p.b; b++) {
      const int64_t at = row_of(&p, b, k) * p.h;
      tct_tpu_tanh(c + at, shape, (size_t)p.h);
      lstm_cell_grad(p.h, gates + 4 * at, shape, before(run, &p, c, c0, b, k), dy + at, dc_given != NULL ? dc_given + at : tpu_room(run, ZEROS),
                     dh + b * p.h, dc + b * p.h, da + 4 * at);
    }
    take_step(run, &p, da, 4 * p.h, k);
    status = step_product(run, &p, 4 * p.h);
    memcpy(dh, tpu_room(run, PRODUCT), state);
  }
  return status;
}

static tct_status gru_backward(const tpu_running *run) {
  const problem p = problem_of(run->node, true);
  const float *const y = run->in[1], *const gates = run->in[2], *const dy = run->in[3], *const h0 = run->node->n_in > 4 ? run->in[4] : NULL;
  float *const dp = run->out[0], *const dq = run->out[1], *const dh = run->out[2], *const back = tpu_room(run, PRODUCT);
  tct_status status = TCT_OK;
  begin(run, &p, 0);
  memset(dh, 0, (size_t)(p.b * p.h) * sizeof(float));
  for (int64_t k = p.t - 1; k >= 0 && status == TCT_OK; k--) {
    for (int64_t b = 0; b < p.b; b++) {
      const int64_t at = row_of(&p, b, k) * p.h;
      gru_cell_grad(p.h, gates + 4 * at, before(run, &p, y, h0, b, k), dy + at, dh + b * p.h, dp + 3 * at, dq + 3 * at);
    }
    take_step(run, &p, dq, 3 * p.h, k);
    status = step_product(run, &p, 3 * p.h);
    for (int64_t i = 0; i < p.b * p.h; i++) dh[i] += back[i];
  }
  return status;
}

tct_status tct_tpu_recurrent_grad(tct_device_impl *device, const tct_node_view *node, tpu_inside *inside) {
  const problem p = problem_of(node, true);
  const bool lstm = strcmp(node->op_name, "lstm_grad") == 0;
  const int64_t width = (lstm ? 4 : 3) * p.h;
  const int64_t floats[MOST_ROOMS] = {[U] = p.h * width, [STATE] = p.b * width, [OPERAND] = p.b * width, [PRODUCT] = p.b * p.h, [ZEROS] = p.h};
  rooms(floats, inside);
  inside->launch = lstm ? lstm_backward : gru_backward;
  return tct_tpu_inside_product(device, inside, (tpu_extents){.m = p.b, .k = width, .n = p.h, .transpose_b = true});
}
