/* lstm, gru and their gradients in simpler ops, one step after the other: for devices without a kernel of their own,
 * and to compare the kernels with. Names and formulas are those of recurrent.c. */
#include "ops/recurrent.h"

#include <tercet/ops.h>
#include "base/alloc.h"
#include "base/status.h"
#include "graph/graph.h"
#include "ops/defs.h"

/* One result of every step, [B,1,width] each, in the order of time. */
typedef struct series {
  tct_tensor *at; /* owned; NULL: out of memory */
} series;

enum { MOST_SERIES = 3 };

/* A walk over the steps. */
typedef struct steps {
  tct_graph *graph;
  int64_t batch, n, units;
  bool reverse;
  series of[MOST_SERIES];
} steps;

/* false after recording the error; the results are poisoned then. */
static bool begin(steps *s, tct_graph *graph, const tct_recurrent_attrs *attrs, tct_tensor by_step, int64_t units,
                  int32_t n_series, tct_tensor *out, int32_t n_out) {
  const tct_shape shape = tct_tensor_shape(by_step);
  *s = (steps){.graph = graph, .batch = shape.dim[0], .n = shape.dim[1], .units = units, .reverse = attrs->reverse};
  for (int32_t o = 0; o < n_out; o++) out[o] = tct_poison(graph);
  for (int32_t i = 0; i < n_series; i++) {
    s->of[i].at = tct_alloc((size_t)s->n * sizeof(tct_tensor));
    if (s->of[i].at != NULL) continue;
    tct_graph_fail(graph, TCT_OUT_OF_MEMORY, "%s", tct_error_message());
    while (i-- > 0) tct_release(s->of[i].at);
    return false;
  }
  return true;
}

/* The time of the k-th step. */
static int64_t time_of(const steps *s, int64_t k) {
  return s->reverse ? s->n - 1 - k : k;
}

/* x [B,T,..] at time t: [B,..]. */
static tct_tensor at_time(const steps *s, tct_tensor x, int64_t t) {
  const int64_t width = tct_tensor_shape(x).dim[2], start[] = {0, t, 0}, size[] = {-1, 1, -1};
  return tct_reshape(tct_slice(x, start, size, NULL), TCT_SHAPE(s->batch, width));
}

static void keep(steps *s, int32_t which, int64_t t, tct_tensor x) {
  s->of[which].at[t] = tct_reshape(x, TCT_SHAPE(s->batch, 1, tct_tensor_shape(x).dim[1]));
}

/* The series as [B,T,..]; its memory goes. */
static tct_tensor joined(steps *s, int32_t which) {
  const tct_tensor x = tct_concat(s->of[which].at, (int32_t)s->n, 1);
  tct_release(s->of[which].at);
  return x;
}

/* Columns of gate g. */
static tct_tensor gate(const steps *s, tct_tensor x, int64_t g) {
  const int64_t start[] = {0, g * s->units}, size[] = {-1, s->units};
  return tct_slice(x, start, size, NULL);
}

static tct_tensor zeros(const steps *s, tct_tensor like) {
  return tct_full(s->graph, tct_tensor_dtype(like), TCT_SHAPE(s->batch, s->units), 0);
}

/* 1 - x */
static tct_tensor rest(tct_tensor x) {
  return tct_scale(x, -1, 1);
}
/* The slopes of σ and tanh at results y, times dy. */
static tct_tensor through_sigmoid(tct_tensor y, tct_tensor dy) {
  return tct_mul(dy, tct_mul(y, rest(y)));
}
static tct_tensor through_tanh(tct_tensor y, tct_tensor dy) {
  return tct_mul(dy, rest(tct_square(y)));
}

void tct_lstm_steps(tct_graph *graph, const void *attrs, const tct_tensor *in, int32_t n_in, tct_tensor *out) {
  steps s;
  if (!begin(&s, graph, attrs, in[0], tct_tensor_shape(in[2]).dim[0], 3, out, 3)) return;
  const tct_tensor projected = tct_add(tct_matmul(in[0], in[1]), in[3]);
  tct_tensor h = n_in == 6 ? in[4] : zeros(&s, in[0]), c = n_in == 6 ? in[5] : zeros(&s, in[0]);
  for (int64_t k = 0; k < s.n; k++) {
    const int64_t t = time_of(&s, k);
    const tct_tensor a = tct_add(at_time(&s, projected, t), tct_matmul(h, in[2]));
    const tct_tensor gates[] = {tct_sigmoid(gate(&s, a, 0)), tct_sigmoid(gate(&s, a, 1)), tct_tanh(gate(&s, a, 2)),
                                tct_sigmoid(gate(&s, a, 3))};
    c = tct_add(tct_mul(gates[1], c), tct_mul(gates[0], gates[2]));
    h = tct_mul(gates[3], tct_tanh(c));
    keep(&s, 0, t, h);
    keep(&s, 1, t, c);
    keep(&s, 2, t, tct_concat(gates, 4, 1));
  }
  for (int32_t i = 0; i < 3; i++) out[i] = joined(&s, i);
}

void tct_lstm_grad_steps(tct_graph *graph, const void *attrs, const tct_tensor *in, int32_t n_in, tct_tensor *out) {
  steps s;
  if (!begin(&s, graph, attrs, in[1], tct_tensor_shape(in[0]).dim[0], 1, out, 3)) return;
  tct_tensor dh = zeros(&s, in[0]), dc = dh;
  for (int64_t k = s.n - 1; k >= 0; k--) {
    const int64_t t = time_of(&s, k);
    const tct_tensor gates = at_time(&s, in[2], t), shape = tct_tanh(at_time(&s, in[1], t));
    const tct_tensor i = gate(&s, gates, 0), f = gate(&s, gates, 1), g = gate(&s, gates, 2), o = gate(&s, gates, 3);
    const tct_tensor before = k > 0 ? at_time(&s, in[1], time_of(&s, k - 1)) : n_in == 6 ? in[5] : zeros(&s, in[0]);
    dh = tct_add(dh, at_time(&s, in[3], t));
    dc = tct_add(dc, through_tanh(shape, tct_mul(dh, o)));
    if (n_in > 4) dc = tct_add(dc, at_time(&s, in[4], t));
    const tct_tensor da[] = {through_sigmoid(i, tct_mul(dc, g)), through_sigmoid(f, tct_mul(dc, before)),
                             through_tanh(g, tct_mul(dc, i)), through_sigmoid(o, tct_mul(dh, shape))};
    const tct_tensor all = tct_concat(da, 4, 1);
    keep(&s, 0, t, all);
    dh = tct_matmul_transposed(all, in[0], false, true);
    dc = tct_mul(dc, f);
  }
  out[0] = joined(&s, 0);
  out[1] = dh;
  out[2] = dc;
}

/* Row i of a matrix, as a vector. */
static tct_tensor row(tct_tensor x, int64_t i) {
  const int64_t start[] = {i, 0}, size[] = {1, -1};
  return tct_reshape(tct_slice(x, start, size, NULL), TCT_SHAPE(tct_tensor_shape(x).dim[1]));
}

void tct_gru_steps(tct_graph *graph, const void *attrs, const tct_tensor *in, int32_t n_in, tct_tensor *out) {
  steps s;
  if (!begin(&s, graph, attrs, in[0], tct_tensor_shape(in[2]).dim[0], 2, out, 2)) return;
  const tct_tensor projected = tct_add(tct_matmul(in[0], in[1]), row(in[3], 0)), bias = row(in[3], 1);
  tct_tensor h = n_in == 5 ? in[4] : zeros(&s, in[0]);
  for (int64_t k = 0; k < s.n; k++) {
    const int64_t t = time_of(&s, k);
    const tct_tensor p = at_time(&s, projected, t), q = tct_add(tct_matmul(h, in[2]), bias), q_h = gate(&s, q, 2);
    const tct_tensor z = tct_sigmoid(tct_add(gate(&s, p, 0), gate(&s, q, 0)));
    const tct_tensor r = tct_sigmoid(tct_add(gate(&s, p, 1), gate(&s, q, 1)));
    const tct_tensor g = tct_tanh(tct_add(gate(&s, p, 2), tct_mul(r, q_h))), gates[] = {z, r, g, q_h};
    h = tct_add(tct_mul(z, h), tct_mul(rest(z), g));
    keep(&s, 0, t, h);
    keep(&s, 1, t, tct_concat(gates, 4, 1));
  }
  for (int32_t i = 0; i < 2; i++) out[i] = joined(&s, i);
}

void tct_gru_grad_steps(tct_graph *graph, const void *attrs, const tct_tensor *in, int32_t n_in, tct_tensor *out) {
  steps s;
  if (!begin(&s, graph, attrs, in[1], tct_tensor_shape(in[0]).dim[0], 2, out, 3)) return;
  tct_tensor dh = zeros(&s, in[0]);
  for (int64_t k = s.n - 1; k >= 0; k--) {
    const int64_t t = time_of(&s, k);
    const tct_tensor gates = at_time(&s, in[2], t), z = gate(&s, gates, 0), r = gate(&s, gates, 1),
                     g = gate(&s, gates, 2);
    const tct_tensor before = k > 0 ? at_time(&s, in[1], time_of(&s, k - 1)) : n_in == 5 ? in[4] : zeros(&s, in[0]);
    dh = tct_add(dh, at_time(&s, in[3], t));
    const tct_tensor dz = through_sigmoid(z, tct_mul(dh, tct_sub(before, g)));
    const tct_tensor dg = through_tanh(g, tct_mul(dh, rest(z)));
    const tct_tensor dr = through_sigmoid(r, tct_mul(dg, gate(&s, gates, 3)));
    const tct_tensor dp[] = {dz, dr, dg}, dq[] = {dz, dr, tct_mul(dg, r)}, all = tct_concat(dq, 3, 1);
    keep(&s, 0, t, tct_concat(dp, 3, 1));
    keep(&s, 1, t, all);
    dh = tct_add(tct_mul(dh, z), tct_matmul_transposed(all, in[0], false, true));
  }
  for (int32_t i = 0; i < 2; i++) out[i] = joined(&s, i);
  out[2] = dh;
}
