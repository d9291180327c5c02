/* One step of an LSTM or GRU for a block of samples × units, after its products: the gates, the states, and back. */
#include "kernels/cpu/kernels.h"

#define TCT_SCALAR float
#include "kernels/common/scalar.h"

static inline float sigmoid(float x) {
  return 1.0f / (1.0f + EXP(-x));
}

/* gates hold the sums of products; they become σ, σ, tanh, σ of them. */
void TCT_CPU(lstm_cell)(const tct_cpu_cell *at) {
  for (int64_t row = 0; row < at->m; row++) {
    float *i = at->gates + row * at->gates_row, *f = i + at->units, *g = f + at->units, *o = g + at->units;
    const float *before = at->before + row * at->before_row;
    float *c = at->c + row * at->y_row, *y = at->y + row * at->y_row, *dense = at->dense + row * at->dense_row;
    TCT_EACH (j, at->n) {
      const float in = sigmoid(i[j]), keep = sigmoid(f[j]), new = TANH(g[j]), out = sigmoid(o[j]);
      const float cell = TCT_FMAF(keep, before[j], in * new);
      const float h = out * TANH(cell);
      i[j] = in, f[j] = keep, g[j] = new, o[j] = out;
      c[j] = cell;
      y[j] = dense[j] = h;
    }
  }
}

void TCT_CPU(lstm_cell_grad)(const tct_cpu_cell_grad *at) {
  for (int64_t row = 0; row < at->m; row++) {
    const float *i = at->gates + row * at->gates_row, *f = i + at->units, *g = f + at->units, *o = g + at->units;
    const float *before = at->before + row * at->before_row, *c = at->c + row * at->y_row;
    const float *dy = at->dy + row * at->y_row, *more = at->dc_in != NULL ? at->dc_in + row * at->y_row : NULL;
    const float *dh = at->dh + row * at->units;
    float *dc = at->dc + row * at->units, *dense = at->dense + row * at->dense_row;
    if (more != NULL)
      TCT_EACH (j, at->n) dc[j] += more[j];
    float *d_i = dense, *d_f = d_i + at->units, *d_g = d_f + at->units, *d_o = d_g + at->units;
    TCT_EACH (j, at->n) {
      const float shape = TANH(c[j]), flow = dh[j] + dy[j], out = o[j];
      const float cell = dc[j] + flow * out * (1.0f - shape * shape);
      d_i[j] = cell * g[j] * i[j] * (1.0f - i[j]);
      d_f[j] = cell * before[j] * f[j] * (1.0f - f[j]);
      d_g[j] = cell * i[j] * (1.0f - g[j] * g[j]);
      d_o[j] = flow * shape * out * (1.0f - out);
      dc[j] = cell * f[j];
    }
    for (int gate = 0; gate < 4; gate++)
      memcpy(at->da + row * at->da_row + gate * at->units, dense + gate * at->units, (size_t)at->n * sizeof(float));
  }
}

/* gates hold the sums of both products for z and r, that of x alone for the third, that of h alone for the fourth; they
 * become z, r, g and q_h. */
void TCT_CPU(gru_cell)(const tct_cpu_cell *at) {
  for (int64_t row = 0; row < at->m; row++) {
    float *z = at->gates + row * at->gates_row, *r = z + at->units, *g = r + at->units, *q = g + at->units;
    const float *before = at->before + row * at->before_row, *bias = at->bias;
    float *y = at->y + row * at->y_row, *dense = at->dense + row * at->dense_row;
    TCT_EACH (j, at->n) {
      const float keep = sigmoid(z[j]), reset = sigmoid(r[j]), own = q[j] + bias[j];
      const float new = TANH(TCT_FMAF(reset, own, g[j]));
      const float h = TCT_FMAF(keep, before[j] - new, new);
      z[j] = keep, r[j] = reset, g[j] = new, q[j] = own;
      y[j] = dense[j] = h;
    }
  }
}

void TCT_CPU(gru_cell_grad)(const tct_cpu_cell_grad *at) {
  for (int64_t row = 0; row < at->m; row++) {
    const float *z = at->gates + row * at->gates_row, *r = z + at->units, *g = r + at->units, *q = g + at->units;
    const float *before = at->before + row * at->before_row, *dy = at->dy + row * at->y_row;
    float *dh = at->dh + row * at->units, *dense = at->dense + row * at->dense_row, *da = at->da + row * at->da_row;
    float *q_z = dense, *q_r = q_z + at->units, *q_h = q_r + at->units, *p_h = da + 2 * at->units;
    TCT_EACH (j, at->n) {
      const float flow = dh[j] + dy[j];
      const float d_new = flow * (1.0f - z[j]) * (1.0f - g[j] * g[j]);
      q_z[j] = flow * (before[j] - g[j]) * z[j] * (1.0f - z[j]);
      q_r[j] = d_new * q[j] * r[j] * (1.0f - r[j]);
      q_h[j] = d_new * r[j];
      p_h[j] = d_new;
      dh[j] = flow * z[j];
    }
    float *dq = at->dq + row * at->da_row;
    for (int gate = 0; gate < 3; gate++) {
      const size_t bytes = (size_t)at->n * sizeof(float);
      if (gate < 2) memcpy(da + gate * at->units, dense + gate * at->units, bytes);
      memcpy(dq + gate * at->units, dense + gate * at->units, bytes);
    }
  }
}
