/* LSTM and GRU step by step, and what goes from step to step in their gradients. B samples, T steps, I features, H
 * units. */
#include <math.h>

#include "kernels/ref/layout.h"
#include "kernels/ref/ref.h"
#include "kernels/ref/vector.h"

typedef struct problem {
  int64_t b, t, h;
  bool reverse;
} problem;

/* `by_step` is any tensor [B,T,..]. */
static problem problem_of(const tct_ref_args *args, int32_t by_step, int64_t units) {
  const tct_recurrent_attrs *attrs = args->attrs;
  const tct_shape *s = &args->in[by_step].shape;
  return (problem){s->dim[0], s->dim[1], units, attrs->reverse};
}

/* The time of step k. */
static int64_t time_of(const problem *p, int64_t k) {
  return p->reverse ? p->t - 1 - k : k;
}

static double sigmoid(double x) {
  return 1.0 / (1.0 + exp(-x));
}

/* Unit j of sample b before step k: from the results x [B,T,H], or from first [B,H] (NULL: 0) at step 0. */
static double before(const problem *p, const double *x, const double *first, int64_t b, int64_t k, int64_t j) {
  if (k == 0) return first != NULL ? first[b * p->h + j] : 0.0;
  return x[(b * p->t + time_of(p, k - 1)) * p->h + j];
}

/* Row `row` of x [.., I] times column `column` of w [I, n]. */
static double product(const tct_ref_operand *x, const tct_ref_operand *w, int64_t row, int64_t column) {
  const int64_t k = w->shape.dim[0], n = w->shape.dim[1];
  return tct_ref_dot(k, w->data + column, n, x->data + row * k);
}

/* Σ_m before_m·u[m, column] */
static double recurrence(const problem *p, const double *x, const double *first, const tct_ref_operand *u, int64_t b,
                         int64_t k, int64_t column) {
  double sum = 0.0;
  for (int64_t m = 0; m < p->h; m++) sum += before(p, x, first, b, k, m) * u->data[m * u->shape.dim[1] + column];
  return sum;
}

/* (i f g o) = (σ σ tanh σ)(x·w + h·u + b), c' = f·c + i·g, y = o·tanh c'
 * (x [B,T,I], w [I,4H], u [H,4H], b [4H], h0, c0 [B,H]?) → y, c [B,T,H], gates [B,T,4H] */
void tct_ref_lstm(const tct_ref_args *args) {
  const tct_ref_operand *in = args->in;
  const problem p = problem_of(args, 0, in[2].shape.dim[0]);
  const double *h0 = args->n_in == 6 ? in[4].data : NULL, *c0 = args->n_in == 6 ? in[5].data : NULL;
  double *y = args->out[0].data, *c = args->out[1].data, *all_gates = args->out[2].data;
  for (int64_t b = 0; b < p.b; b++)
    for (int64_t k = 0; k < p.t; k++) {
      const int64_t at = b * p.t + time_of(&p, k);
      double *gates = all_gates + at * 4 * p.h;
      for (int64_t column = 0; column < 4 * p.h; column++) {
        const double a =
            product(&in[0], &in[1], at, column) + recurrence(&p, y, h0, &in[2], b, k, column) + in[3].data[column];
        gates[column] = column / p.h == 2 ? tanh(a) : sigmoid(a);
      }
      for (int64_t j = 0; j < p.h; j++) {
        const double cell = gates[p.h + j] * before(&p, c, c0, b, k, j) + gates[j] * gates[2 * p.h + j];
        c[at * p.h + j] = cell;
        y[at * p.h + j] = gates[3 * p.h + j] * tanh(cell);
      }
    }
}

/* out[j] = Σ_column da[column]·u[j, column] */
static void carry_back(const tct_ref_operand *u, const double *da, double *out) {
  const int64_t n = u->shape.dim[1];
  for (int64_t j = 0; j < u->shape.dim[0]; j++) out[j] = tct_ref_dot(n, u->data + j * n, 1, da);
}

/* From the last step to the first, with dh = dy + what the step behind sent: dc += dh·o·(1 - tanh²c') + dc_t,
 * da = (dc·g·i(1 - i), dc·c·f(1 - f), dc·i·(1 - g²), dh·tanh c'·o(1 - o)); back go dh = da·uᵀ and dc·f
 * (u, c, gates, dy, dc?, c0?) → da [B,T,4H], dh0, dc0 [B,H] */
void tct_ref_lstm_grad(const tct_ref_args *args) {
  const tct_ref_operand *in = args->in;
  const problem p = problem_of(args, 1, in[0].shape.dim[0]);
  const double *c0 = args->n_in == 6 ? in[5].data : NULL;
  for (int64_t b = 0; b < p.b; b++) {
    double *dh = args->out[1].data + b * p.h, *dc = args->out[2].data + b * p.h; /* carried */
    for (int64_t j = 0; j < p.h; j++) dh[j] = dc[j] = 0.0;
    for (int64_t k = p.t - 1; k >= 0; k--) {
      const int64_t at = b * p.t + time_of(&p, k);
      const double *gates = in[2].data + at * 4 * p.h;
      double *da = args->out[0].data + at * 4 * p.h;
      for (int64_t j = 0; j < p.h; j++) {
        const double i = gates[j], f = gates[p.h + j], g = gates[2 * p.h + j], o = gates[3 * p.h + j];
        const double shape = tanh(in[1].data[at * p.h + j]), dy = dh[j] + in[3].data[at * p.h + j];
        const double cell = dc[j] + dy * o * (1.0 - shape * shape) + (args->n_in > 4 ? in[4].data[at * p.h + j] : 0.0);
        da[j] = cell * g * i * (1.0 - i);
        da[p.h + j] = cell * before(&p, in[1].data, c0, b, k, j) * f * (1.0 - f);
        da[2 * p.h + j] = cell * i * (1.0 - g * g);
        da[3 * p.h + j] = dy * shape * o * (1.0 - o);
        dc[j] = cell * f;
      }
      carry_back(&in[0], da, dh);
    }
  }
}

/* p = x·w + b₀, q = h·u + b₁; z = σ(p_z + q_z), r = σ(p_r + q_r), g = tanh(p_h + r·q_h), y = z·h + (1 - z)·g
 * (x [B,T,I], w [I,3H], u [H,3H], b [2,3H], h0 [B,H]?) → y [B,T,H], gates (z r g q_h) [B,T,4H] */
void tct_ref_gru(const tct_ref_args *args) {
  const tct_ref_operand *in = args->in;
  const problem p = problem_of(args, 0, in[2].shape.dim[0]);
  const double *h0 = args->n_in == 5 ? in[4].data : NULL, *bias = in[3].data;
  double *y = args->out[0].data;
  for (int64_t b = 0; b < p.b; b++)
    for (int64_t k = 0; k < p.t; k++) {
      const int64_t at = b * p.t + time_of(&p, k);
      double *gates = args->out[1].data + at * 4 * p.h;
      for (int64_t j = 0; j < p.h; j++) {
        double by_w[3], by_u[3];
        for (int64_t n = 0; n < 3; n++) {
          by_w[n] = product(&in[0], &in[1], at, n * p.h + j) + bias[n * p.h + j];
          by_u[n] = recurrence(&p, y, h0, &in[2], b, k, n * p.h + j) + bias[(3 + n) * p.h + j];
        }
        const double z = sigmoid(by_w[0] + by_u[0]), r = sigmoid(by_w[1] + by_u[1]), g = tanh(by_w[2] + r * by_u[2]);
        gates[j] = z;
        gates[p.h + j] = r;
        gates[2 * p.h + j] = g;
        gates[3 * p.h + j] = by_u[2];
      }
      for (int64_t j = 0; j < p.h; j++)
        y[at * p.h + j] = gates[j] * before(&p, y, h0, b, k, j) + (1.0 - gates[j]) * gates[2 * p.h + j];
    }
}

/* With dh = dy + what the step behind sent: dz = dh·(h - g)·z(1 - z), dg = dh·(1 - z)·(1 - g²), dr = dg·q_h·r(1 - r);
 * dp = (dz, dr, dg), dq = (dz, dr, dg·r); back goes dh·z + dq·uᵀ
 * (u, y, gates, dy, h0?) → dp, dq [B,T,3H], dh0 [B,H] */
void tct_ref_gru_grad(const tct_ref_args *args) {
  const tct_ref_operand *in = args->in;
  const problem p = problem_of(args, 1, in[0].shape.dim[0]);
  const double *h0 = args->n_in == 5 ? in[4].data : NULL;
  for (int64_t b = 0; b < p.b; b++) {
    double *dh = args->out[2].data + b * p.h; /* carried */
    for (int64_t j = 0; j < p.h; j++) dh[j] = 0.0;
    for (int64_t k = p.t - 1; k >= 0; k--) {
      const int64_t at = b * p.t + time_of(&p, k);
      const double *gates = in[2].data + at * 4 * p.h;
      double *dp = args->out[0].data + at * 3 * p.h, *dq = args->out[1].data + at * 3 * p.h;
      for (int64_t j = 0; j < p.h; j++) {
        const double z = gates[j], r = gates[p.h + j], g = gates[2 * p.h + j], dy = dh[j] + in[3].data[at * p.h + j];
        const double dz = dy * (before(&p, in[1].data, h0, b, k, j) - g) * z * (1.0 - z);
        const double dg = dy * (1.0 - z) * (1.0 - g * g), dr = dg * gates[3 * p.h + j] * r * (1.0 - r);
        dp[j] = dq[j] = dz;
        dp[p.h + j] = dq[p.h + j] = dr;
        dp[2 * p.h + j] = dg;
        dq[2 * p.h + j] = dg * r;
        dh[j] = dy * z;
      }
      for (int64_t j = 0; j < p.h; j++) dh[j] += tct_ref_dot(3 * p.h, in[0].data + j * 3 * p.h, 1, dq);
    }
  }
}
