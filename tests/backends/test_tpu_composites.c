/* Attention and recurrent layers on the simulated TPU: what meets in the arrays is rounded to bf16, also where it is made inside of the op.
 * The references here are the op's formulas in double, which round in the same places or nowhere. */
#include <tercet/tercet.h>
#include "bf16.h"
#include "draws.h"
#include "graph/graph.h"
#include "graphs.h"
#include "test.h"

enum { MOST = 6000, MOST_TENSORS = 8 };

typedef struct tensors {
  tct_shape shape[MOST_TENSORS];
  double value[MOST_TENSORS][MOST];
  int n;
} tensors;

static bool rounds; /* whether the reference does */
static double r(double x) { return rounds ? nearest_bf16(x) : x; }

/* ---- the references ---- */

typedef struct sizes {
  int64_t b, t, s, h, d, v; /* of recurrent layers: b, t, d features, h units */
  bool causal, masked, reverse, lstm;
} sizes;

/* Query i of batch b sees key j; a mask hides every third pair, and all keys of the second query. */
static bool masks(int64_t b, int64_t i, int64_t j) { return (b + i + j) % 3 != 2 && i != 1; }
static bool sees(const sizes *z, int64_t b, int64_t i, int64_t j) { return (!z->causal || j <= i) && (!z->masked || masks(b, i, j)); }

/* in: q [B,T,H,D], k [B,S,H,D], v [B,S,H,V], dy [B,T,H,V]; out: y, dq, dk, dv */
static void attention(const sizes *z, const tensors *in, tensors *out) {
  static double p[MOST], ds[MOST];
  const double scale = 1 / sqrt((double)z->d);
  memset(out->value, 0, sizeof out->value);
  for (int64_t head = 0; head < z->b * z->h; head++) {
    const int64_t b = head / z->h, h = head % z->h;
    const double *q = in->value[0] + (b * z->t * z->h + h) * z->d, *k = in->value[1] + (b * z->s * z->h + h) * z->d;
    const double *v = in->value[2] + (b * z->s * z->h + h) * z->v, *dy = in->value[3] + (b * z->t * z->h + h) * z->v;
    double *y = out->value[0] + (b * z->t * z->h + h) * z->v, *dq = out->value[1] + (b * z->t * z->h + h) * z->d;
    double *dk = out->value[2] + (b * z->s * z->h + h) * z->d, *dv = out->value[3] + (b * z->s * z->h + h) * z->v;
    const int64_t ld = z->h * z->d, lv = z->h * z->v; /* from one position to the next */
    for (int64_t i = 0; i < z->t; i++) {
      double most = -INFINITY, sum = 0, delta = 0;
      for (int64_t j = 0; j < z->s; j++) {
        double s = 0;
        for (int64_t c = 0; c < z->d; c++) s += r(q[i * ld + c]) * r(k[j * ld + c]);
        p[j] = sees(z, b, i, j) ? scale * s : -INFINITY;
        most = fmax(most, p[j]);
      }
      for (int64_t j = 0; j < z->s; j++) sum += p[j] = most == -INFINITY ? 0 : exp(p[j] - most);
      for (int64_t j = 0; j < z->s; j++) p[j] = sum == 0 ? 0 : p[j] / sum;
      for (int64_t j = 0; j < z->s; j++)
        for (int64_t c = 0; c < z->v; c++) y[i * lv + c] += r(p[j]) * r(v[j * lv + c]);
      for (int64_t c = 0; c < z->v; c++) delta += dy[i * lv + c] * y[i * lv + c];
      for (int64_t j = 0; j < z->s; j++) {
        double dp = 0;
        for (int64_t c = 0; c < z->v; c++) dp += r(dy[i * lv + c]) * r(v[j * lv + c]);
        ds[j] = scale * p[j] * (dp - delta);
        for (int64_t c = 0; c < z->v; c++) dv[j * lv + c] += r(p[j]) * r(dy[i * lv + c]);
        for (int64_t c = 0; c < z->d; c++) dq[i * ld + c] += r(ds[j]) * r(k[j * ld + c]);
        for (int64_t c = 0; c < z->d; c++) dk[j * ld + c] += r(ds[j]) * r(q[i * ld + c]);
      }
    }
  }
}

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }

typedef struct gate_rows {
  double a[4 * 64], gate[4 * 64], before[64], c_before[64]; /* GRU: gate holds z r g q_h */
} gate_rows;

/* One sample forward, step by step in `rows`; y [T,H]. */
static void recurrent_forward(const sizes *z, const tensors *in, int64_t b, gate_rows *rows, double *y) {
  const int64_t n = z->h, g = z->lstm ? 4 : 3;
  const double *w = in->value[1], *u = in->value[2], *bias = in->value[3];
  for (int64_t k = 0; k < z->t; k++) {
    const int64_t t = z->reverse ? z->t - 1 - k : k, last = z->reverse ? t + 1 : t - 1;
    gate_rows *row = &rows[t];
    for (int64_t j = 0; j < n; j++) {
      row->before[j] = k > 0 ? y[last * n + j] : in->value[4][b * n + j];
      if (!z->lstm) continue;
      const gate_rows *l = &rows[k > 0 ? last : t];
      row->c_before[j] = k > 0 ? l->gate[n + j] * l->c_before[j] + l->gate[j] * l->gate[2 * n + j] : in->value[5][b * n + j];
    }
    double xw[4 * 64], hu[4 * 64];
    for (int64_t c = 0; c < g * n; c++) {
      xw[c] = bias[c];
      hu[c] = z->lstm ? 0 : bias[g * n + c];
      for (int64_t i = 0; i < z->d; i++) xw[c] += r(in->value[0][(b * z->t + t) * z->d + i]) * r(w[i * g * n + c]);
      for (int64_t i = 0; i < n; i++) hu[c] += r(row->before[i]) * r(u[i * g * n + c]);
    }
    for (int64_t j = 0; j < n; j++) {
      double *gate = row->gate;
      if (z->lstm) {
        for (int64_t e = 0; e < 4; e++) gate[e * n + j] = e == 2 ? tanh(xw[e * n + j] + hu[e * n + j]) : sigmoid(xw[e * n + j] + hu[e * n + j]);
        y[t * n + j] = gate[3 * n + j] * tanh(gate[n + j] * row->c_before[j] + gate[j] * gate[2 * n + j]);
      } else {
        gate[j] = sigmoid(xw[j] + hu[j]);
        gate[n + j] = sigmoid(xw[n + j] + hu[n + j]);
        gate[3 * n + j] = hu[2 * n + j];
        gate[2 * n + j] = tanh(xw[2 * n + j] + gate[n + j] * gate[3 * n + j]);
        y[t * n + j] = gate[j] * row->before[j] + (1 - gate[j]) * gate[2 * n + j];
      }
    }
  }
}

/* in: x [B,T,D], w, u, bias, h0 [B,H], c0 (LSTM), then dy [B,T,H]; out: y and the gradients of all but dy, in order */
static void recurrent(const sizes *z, const tensors *in, tensors *out) {
  static gate_rows rows[16];
  const int64_t n = z->h, g = z->lstm ? 4 : 3, states = z->lstm ? 2 : 1;
  memset(out->value, 0, sizeof out->value);
  for (int64_t b = 0; b < z->b; b++) {
    double *y = out->value[0] + b * z->t * n, dh[64] = {0}, dc[64] = {0};
    recurrent_forward(z, in, b, rows, y);
    for (int64_t k = z->t - 1; k >= 0; k--) {
      const int64_t t = z->reverse ? z->t - 1 - k : k;
      const gate_rows *row = &rows[t];
      double dp[4 * 64], dq[4 * 64]; /* of x·w and of h·u; an LSTM's are the same */
      for (int64_t j = 0; j < n; j++) {
        const double *gate = row->gate, flow = dh[j] + in->value[4 + states][(b * z->t + t) * n + j];
        if (z->lstm) {
          const double i = gate[j], f = gate[n + j], c = gate[2 * n + j], o = gate[3 * n + j], shape = tanh(f * row->c_before[j] + i * c);
          const double cell = dc[j] + flow * o * (1 - shape * shape);
          dp[j] = cell * c * i * (1 - i);
          dp[n + j] = cell * row->c_before[j] * f * (1 - f);
          dp[2 * n + j] = cell * i * (1 - c * c);
          dp[3 * n + j] = flow * shape * o * (1 - o);
          dc[j] = cell * f;
          dh[j] = 0;
          for (int64_t e = 0; e < 4; e++) dq[e * n + j] = dp[e * n + j];
        } else {
          const double q_z = gate[j], q_r = gate[n + j], c = gate[2 * n + j];
          dp[2 * n + j] = flow * (1 - q_z) * (1 - c * c);
          dp[n + j] = dq[n + j] = dp[2 * n + j] * gate[3 * n + j] * q_r * (1 - q_r);
          dp[j] = dq[j] = flow * (row->before[j] - c) * q_z * (1 - q_z);
          dq[2 * n + j] = dp[2 * n + j] * q_r;
          dh[j] = flow * q_z;
        }
      }
      for (int64_t c = 0; c < g * n; c++) {
        const double *x = in->value[0] + (b * z->t + t) * z->d, *w = in->value[1], *u = in->value[2];
        for (int64_t i = 0; i < z->d; i++) {
          out->value[1][(b * z->t + t) * z->d + i] += r(dp[c]) * r(w[i * g * n + c]);
          out->value[2][i * g * n + c] += r(x[i]) * r(dp[c]);
        }
        for (int64_t i = 0; i < n; i++) {
          dh[i] += r(dq[c]) * r(u[i * g * n + c]);
          out->value[3][i * g * n + c] += r(row->before[i]) * r(dq[c]);
        }
        out->value[4][c] += dp[c];
        if (!z->lstm) out->value[4][g * n + c] += dq[c];
      }
    }
    for (int64_t j = 0; j < n; j++) {
      out->value[5][b * n + j] = dh[j];
      if (z->lstm) out->value[6][b * n + j] = dc[j];
    }
  }
}

/* ---- on a device ---- */

static tct_tensor attention_node(const sizes *z, tct_graph *graph, const tct_tensor *x) {
  static bool mask[MOST];
  for (int64_t b = 0; b < z->b; b++)
    for (int64_t i = 0; i < z->t; i++)
      for (int64_t j = 0; j < z->s; j++) mask[(b * z->t + i) * z->s + j] = masks(b, i, j);
  const tct_tensor seen = z->masked ? tct_constant(graph, TCT_BOOL, TCT_SHAPE(z->b, 1, z->t, z->s), mask) : (tct_tensor){0};
  return tct_attention(x[0], x[1], x[2], seen, &(tct_attention_options){.causal = z->causal});
}

static tct_tensor recurrent_node(const sizes *z, tct_graph *graph, const tct_tensor *x) {
  (void)graph;
  return z->lstm ? tct_lstm(x[0], x[1], x[2], x[3], x[4], x[5], z->reverse, NULL) : tct_gru(x[0], x[1], x[2], x[3], x[4], z->reverse);
}

typedef tct_tensor (*node_fn)(const sizes *z, tct_graph *graph, const tct_tensor *x);

/* The last of `in` is dy: y = node(others), and the gradients of Σ dy·y in them. */
static void on_device(const char *spec, const sizes *z, node_fn node, const tensors *in, tensors *out) {
  static float data[MOST];
  tct_device *device = device_make(spec);
  tct_graph *graph = graph_make();
  tct_tensor x[MOST_TENSORS], d[MOST_TENSORS];
  tct_program *program = NULL;
  char name[16];
  for (int i = 0; i < in->n; i++) {
    snprintf(name, sizeof name, "x%d", i);
    x[i] = tct_input(graph, name, TCT_F32, in->shape[i]);
  }
  const tct_tensor y = node(z, graph, x);
  tct_gradients(sum_of(tct_mul(y, x[in->n - 1])), x, in->n - 1, d + 1);
  d[0] = y;
  for (int i = 0; i < in->n; i++) {
    snprintf(name, sizeof name, "y%d", i);
    tct_output(graph, name, d[i]);
  }
  const tct_status status = tct_compile(graph, device, NULL, &program);
  CHECK(status == TCT_OK, "%s", tct_error_message());
  for (int i = 0; i < in->n; i++) {
    const int64_t n = tct_shape_size(&in->shape[i]);
    for (int64_t e = 0; e < n; e++) data[e] = (float)in->value[i][e];
    snprintf(name, sizeof name, "x%d", i);
    OK(tct_program_set(program, name, data, (size_t)n * sizeof *data));
  }
  OK(tct_program_run(program));
  for (int i = 0; i < in->n; i++) {
    out->shape[i] = i == 0 ? in->shape[in->n - 1] : in->shape[i - 1];
    const int64_t n = tct_shape_size(&out->shape[i]);
    snprintf(name, sizeof name, "y%d", i);
    OK(tct_program_get(program, name, data, (size_t)n * sizeof *data));
    for (int64_t e = 0; e < n; e++) out->value[i][e] = (double)data[e];
  }
  out->n = in->n;
  tct_program_free(program);
  tct_graph_free(graph);
  tct_device_close(device);
}

/* ---- operands ---- */

static void add_tensor(tensors *in, tct_shape shape) {
  CHECK(tct_shape_size(&shape) <= MOST);
  in->shape[in->n++] = shape;
}

static void attention_operands(const sizes *z, tensors *in) {
  in->n = 0;
  add_tensor(in, TCT_SHAPE(z->b, z->t, z->h, z->d));
  add_tensor(in, TCT_SHAPE(z->b, z->s, z->h, z->d));
  add_tensor(in, TCT_SHAPE(z->b, z->s, z->h, z->v));
  add_tensor(in, TCT_SHAPE(z->b, z->t, z->h, z->v));
}

static void recurrent_operands(const sizes *z, tensors *in) {
  const int64_t width = (z->lstm ? 4 : 3) * z->h;
  in->n = 0;
  add_tensor(in, TCT_SHAPE(z->b, z->t, z->d));
  add_tensor(in, TCT_SHAPE(z->d, width));
  add_tensor(in, TCT_SHAPE(z->h, width));
  add_tensor(in, z->lstm ? TCT_SHAPE(width) : TCT_SHAPE(2, width));
  add_tensor(in, TCT_SHAPE(z->b, z->h));
  if (z->lstm) add_tensor(in, TCT_SHAPE(z->b, z->h));
  add_tensor(in, TCT_SHAPE(z->b, z->t, z->h));
}

/* f32 numbers of all places. */
static void draw(tensors *in, uint64_t seed) {
  uint64_t state = seed * 2654435761u + 1;
  for (int i = 0; i < in->n; i++)
    for (int64_t e = 0; e < tct_shape_size(&in->shape[i]); e++) in->value[i][e] = (double)((float)between(&state, -1000000, 1000000) * 1e-6f);
}

/* ---- what is compared ---- */

typedef struct error {
  double rms, most, size; /* of the difference, its greatest, and the greatest number */
} error;

static error compare(const tensors *got, const tensors *wanted, int i) {
  error e = {0};
  const int64_t n = tct_shape_size(&got->shape[i]);
  for (int64_t k = 0; k < n; k++) {
    const double d = fabs(got->value[i][k] - wanted->value[i][k]);
    CHECK(isfinite(got->value[i][k]));
    e.rms += d * d / (double)n;
    e.most = fmax(e.most, d);
    e.size = fmax(e.size, fabs(wanted->value[i][k]));
  }
  e.rms = sqrt(e.rms);
  return e;
}

/* One number that stands beside a half may round to the other side in f32: next to the roundings of all numbers that is little. Where no
 * rounding tells (zeros, one weight of 1), f32's own errors are what is left. */
static void check_rounded(const char *spec, const tensors *got, const tensors *rounded, const tensors *exact, const char *label) {
  for (int i = 0; i < got->n; i++) {
    const error near = compare(got, rounded, i), far = compare(exact, rounded, i);
    CHECK(near.rms <= 0.15 * far.rms + 2e-6 * near.size, "%s on %s, result %d: %g off the rounded reference, which is %g off the exact one", label,
          spec, i, near.rms, far.rms);
    CHECK(near.most <= 0x1p-6 * near.size, "%s on %s, result %d: %g of %g", label, spec, i, near.most, near.size);
  }
}

static void check_case(const char *label, const sizes *z, node_fn node, void (*operands)(const sizes *, tensors *),
                       void (*reference)(const sizes *, const tensors *, tensors *)) {
  static const char *const specs[] = {"tpu:v3", "check:tpu:v3", "tpu:small,array=4x3,array_order=1", "tpu:v3,array_order=1"};
  static tensors in, rounded, exact, got;
  operands(z, &in);
  draw(&in, (uint64_t)(z->t * 31 + z->h));
  rounds = true;
  reference(z, &in, &rounded);
  rounds = false;
  reference(z, &in, &exact);
  for (size_t s = 0; s < sizeof specs / sizeof *specs; s++) {
    on_device(specs[s], z, node, &in, &got);
    check_rounded(specs[s], &got, &rounded, &exact, label);
  }
  static const struct {
    const char *spec;
    double places;
  } wide[] = {{"ref", 1e-6}, {"tpu:v3,passes=6", 4e-6}, {"tpu:small,array=4x3,passes=6,array_order=1", 4e-6}, {"tpu:small,array=4x3,passes=3", 1e-4}, {"tpu:v1", 0.02}, {"tpu:v1,array_order=1", 0.02}};
  for (size_t s = 0; s < sizeof wide / sizeof *wide; s++) {
    on_device(wide[s].spec, z, node, &in, &got);
    for (int i = 0; i < got.n; i++) {
      const error e = compare(&got, &exact, i);
      CHECK(e.most <= wide[s].places * (1 + e.size) * sqrt((double)(z->t + z->s + 4)), "%s on %s, result %d: %g of %g", label, wide[s].spec, i, e.most, e.size);
    }
  }
}

TEST(tpu_composites, attention_rounds_what_it_multiplies) {
  static const struct { const char *label; sizes z; } rows[] = {{"plain", {.b = 2, .t = 7, .s = 11, .h = 3, .d = 5, .v = 6}},
                                                                {"tiles", {.b = 1, .t = 5, .s = 9, .h = 1, .d = 3, .v = 4}},
                                                                {"one", {.b = 1, .t = 1, .s = 1, .h = 1, .d = 1, .v = 1}},
                                                                {"causal", {.b = 1, .t = 13, .s = 13, .h = 2, .d = 8, .v = 3, .causal = true}},
                                                                {"wide", {.b = 1, .t = 3, .s = 2, .h = 2, .d = 31, .v = 2}},
                                                                {"masked", {.b = 2, .t = 7, .s = 8, .h = 2, .d = 4, .v = 5, .masked = true}},
                                                                {"both", {.b = 1, .t = 9, .s = 6, .h = 1, .d = 4, .v = 4, .masked = true, .causal = true}},
                                                                {"long", {.b = 1, .t = 70, .s = 67, .h = 1, .d = 16, .v = 16, .causal = true}}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) check_case(rows[i].label, &rows[i].z, attention_node, attention_operands, attention);
}

TEST(tpu_composites, recurrent_layers_round_their_states) {
  static const struct { const char *label; sizes z; } rows[] = {{"steps", {.b = 3, .t = 7, .h = 5, .d = 4}},
                                                                {"one", {.b = 1, .t = 1, .h = 1, .d = 1}},
                                                                {"reverse", {.b = 2, .t = 5, .h = 9, .d = 3, .reverse = true}},
                                                                {"wide", {.b = 5, .t = 11, .h = 17, .d = 13}}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    for (int lstm = 0; lstm < 2; lstm++) {
      sizes z = rows[i].z;
      z.lstm = lstm == 1;
      check_case(rows[i].label, &z, recurrent_node, recurrent_operands, recurrent);
    }
  }
}

/* ---- exactly ---- */

/* Keys without differences have weights of 1/n, whose bf16 is known; whole values and gradients make every product and sum exact, in any
 * order. */
TEST(tpu_composites, attention_to_whole_numbers_is_exact) {
  static const char *const specs[] = {"tpu:v3", "tpu:tiny,array_order=1"};
  static const sizes rows[] = {{.b = 2, .t = 7, .s = 7, .h = 2, .d = 2, .v = 3, .causal = true}, {.b = 1, .t = 4, .s = 13, .h = 1, .d = 1, .v = 5},
                               {.b = 2, .t = 6, .s = 11, .h = 1, .d = 3, .v = 1, .masked = true}};
  static tensors in, got;
  for (int c = 0; c < 6; c++) {
    const sizes *z = &rows[c / 2];
    attention_operands(z, &in);
    memset(in.value, 0, sizeof in.value);
    uint64_t state = 88172645463325252u;
    for (int i = 2; i < 4; i++)
      for (int64_t e = 0; e < tct_shape_size(&in.shape[i]); e++) in.value[i][e] = (double)between(&state, -7, 7);
    on_device(specs[c % 2], z, attention_node, &in, &got);
    for (int64_t head = 0; head < z->b * z->h; head++) {
      const int64_t b = head / z->h, first = b * z->h, v0 = head % z->h;
      static double dv[MOST];
      memset(dv, 0, sizeof dv);
      for (int64_t i = 0; i < z->t; i++) {
        int64_t n = 0;
        for (int64_t j = 0; j < z->s; j++) n += sees(z, b, i, j);
        for (int64_t e = 0; e < z->v; e++) {
          double y = 0;
          for (int64_t j = 0; j < z->s; j++) {
            if (!sees(z, b, i, j)) continue;
            y += nearest_bf16(1.0 / (double)n) * in.value[2][((first * z->s + j * z->h) + v0) * z->v + e];
            dv[j * z->v + e] += nearest_bf16(1.0 / (double)n) * in.value[3][((first * z->t + i * z->h) + v0) * z->v + e];
          }
          CHECK(got.value[0][((first * z->t + i * z->h) + v0) * z->v + e] == y, "case %d, query %d: %g, wanted %g", c, (int)i,
                got.value[0][((first * z->t + i * z->h) + v0) * z->v + e], y);
        }
      }
      for (int64_t j = 0; j < z->s; j++)
        for (int64_t e = 0; e < z->v; e++)
          CHECK(got.value[3][((first * z->s + j * z->h) + v0) * z->v + e] == dv[j * z->v + e], "case %d, key %d", c, (int)j);
    }
  }
}

/* A GRU whose update gate is 1 keeps its state, in f32; the product of the state with whole numbers sees its bf16. */
TEST(tpu_composites, a_kept_state_is_rounded_for_the_product_alone) {
  enum { B = 3, T = 4, H = 5 };
  static const char *const specs[] = {"tpu:v3", "tpu:tiny,array_order=1", "check:tpu:v3"};
  static float h0[B * H], u[H * 3 * H], bias[2 * 3 * H], y[B * T * H], gates[B * T * 4 * H];
  uint64_t state = 2463534242u;
  for (int i = 0; i < B * H; i++) h0[i] = 1.0f / (float)(2 * i + 3);
  for (int i = 0; i < H; i++) bias[i] = 100;
  for (int i = 0; i < H; i++)
    for (int j = 2 * H; j < 3 * H; j++) u[i * 3 * H + j] = (float)between(&state, -9, 9);
  for (size_t s = 0; s < sizeof specs / sizeof *specs; s++) {
    tct_device *device = device_make(specs[s]);
    tct_graph *graph = graph_make();
    tct_tensor out[3];
    const tct_recurrent_attrs attrs = {.reverse = false};
    const tct_tensor in[] = {tct_full(graph, TCT_F32, TCT_SHAPE(B, T, 1), 0), tct_full(graph, TCT_F32, TCT_SHAPE(1, 3 * H), 0),
                             tct_input(graph, "u", TCT_F32, TCT_SHAPE(H, 3 * H)), tct_input(graph, "b", TCT_F32, TCT_SHAPE(2, 3 * H)),
                             tct_input(graph, "h0", TCT_F32, TCT_SHAPE(B, H))};
    tct_emit(graph, TCT_OP_gru, &attrs, in, 5, out);
    tct_output(graph, "y", out[0]);
    tct_output(graph, "gates", out[1]);
    tct_program *program = NULL;
    OK(tct_compile(graph, device, NULL, &program));
    OK(tct_program_set(program, "u", u, sizeof u));
    OK(tct_program_set(program, "b", bias, sizeof bias));
    OK(tct_program_set(program, "h0", h0, sizeof h0));
    OK(tct_program_run(program));
    OK(tct_program_get(program, "y", y, sizeof y));
    OK(tct_program_get(program, "gates", gates, sizeof gates));
    for (int at = 0; at < B * T; at++) {
      for (int j = 0; j < H; j++) {
        double q = 0;
        for (int i = 0; i < H; i++) q += nearest_bf16((double)h0[at / T * H + i]) * (double)u[i * 3 * H + 2 * H + j];
        CHECK(y[at * H + j] == h0[at / T * H + j], "%s: a state of %g", specs[s], (double)y[at * H + j]);
        CHECK((double)gates[at * 4 * H + 3 * H + j] == q, "%s: %.9g, wanted %.9g", specs[s], (double)gates[at * 4 * H + 3 * H + j], q);
      }
    }
    tct_program_free(program);
    tct_graph_free(graph);
    tct_device_close(device);
  }
}

/* The opened op, whose products are matmuls of the graph, gives the same numbers as the op as a whole. (It scales dq and dk behind their
 * products; a scale of 1/2 rounds nothing.) */
TEST(tpu_composites, are_what_they_are_opened_into) {
  static const struct { const char *ops; sizes z; } rows[] = {{"attention,attention_grad", {.b = 2, .t = 9, .s = 7, .h = 2, .d = 4, .v = 4, .causal = true}},
                                                              {"lstm,lstm_grad", {.b = 3, .t = 5, .h = 8, .d = 6, .lstm = true}},
                                                              {"gru,gru_grad", {.b = 3, .t = 5, .h = 8, .d = 6}}};
  static tensors in, whole, opened, exact;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    const sizes *z = &rows[i].z;
    const node_fn node = i == 0 ? attention_node : recurrent_node;
    (i == 0 ? attention_operands : recurrent_operands)(z, &in);
    draw(&in, 7 + i);
    on_device("tpu:v3", z, node, &in, &whole);
    on_device("cpu", z, node, &in, &exact);
    setenv("TERCET_DISABLE", rows[i].ops, 1);
    on_device("tpu:v3", z, node, &in, &opened);
    unsetenv("TERCET_DISABLE");
    check_rounded(rows[i].ops, &whole, &opened, &exact, "opened");
  }
}
