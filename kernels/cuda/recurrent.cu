/* One step of an LSTM or GRU behind its product, for all samples and units: the gates, the states, and back. A thread has one unit of
 * one sample; it joins the parts of the product's sums, in order, before it uses them. States go from step to step in f32, whatever
 * the tensors' dtype. */
#include "kernels/cuda/cuda.h"

#define TCT_SCALAR float
#include "kernels/common/scalar.h"

TCT_CU_FN float sigmoid(float x) {
  return 1.0f / (1.0f + EXP(-x));
}

/* Sample `row`, unit j. */
struct place {
  int64_t row, j, at; /* at: row·units + j */
};
TCT_CU_FN place place_of(const tct_cu_cell_args &a, int64_t i) {
  place p = {0, i, i};
  p.row = tct_cu_divide(&p.j, a.units);
  return p;
}

/* The product with the state: column `block`·units + j of its row. */
TCT_CU_FN float product_of(const tct_cu_cell_args &a, const place &p, int block) {
  const int64_t at = p.row * a.product_width + block * a.units.d + p.j, size = a.size / a.units.d * a.product_width;
  float sum = 0.0f;
  for (int64_t part = 0; part < a.parts; part++) sum += a.product[part * size + at];
  return sum;
}

/* Element j of block `block` in a tensor [B,T,blocks·H] at the step's time. */
TCT_CU_FN int64_t in_step(const tct_cu_cell_args &a, const place &p, int blocks, int block) {
  return ((p.row * a.steps + a.time) * blocks + block) * a.units.d + p.j;
}

TCT_CU_FN float before(const tct_cu_cell_args &a, const place &p) {
  return a.before.data != NULL ? tct_cu_get(a.before, p.row * a.before_pitch + p.j) : 0.0f;
}

#define EACH_UNIT(p) for (int64_t p##_i = tct_cu_first(); p##_i < a.size; p##_i += tct_cu_pitch())

TCT_CUDA_KERNEL(lstm_cell, TCT_CU_BLOCK) {
  EACH_UNIT(p) {
    const place p = place_of(a, p_i);
    float sum[4];
#pragma unroll
    for (int gate = 0; gate < 4; gate++) sum[gate] = a.projected[in_step(a, p, 4, gate)] + product_of(a, p, gate);
    const float in = sigmoid(sum[0]), keep = sigmoid(sum[1]), next = TANH(sum[2]), out = sigmoid(sum[3]);
    const float cell = TCT_FMAF(keep, before(a, p), in * next), h = out * TANH(cell);
    tct_cu_put(a.gates, in_step(a, p, 4, 0), in);
    tct_cu_put(a.gates, in_step(a, p, 4, 1), keep);
    tct_cu_put(a.gates, in_step(a, p, 4, 2), next);
    tct_cu_put(a.gates, in_step(a, p, 4, 3), out);
    tct_cu_put(a.c, in_step(a, p, 1, 0), cell);
    tct_cu_put(a.y, in_step(a, p, 1, 0), h);
    a.cell[p.at] = cell;
    a.state[p.at] = h;
  }
}

TCT_CUDA_KERNEL(gru_cell, TCT_CU_BLOCK) {
  EACH_UNIT(p) {
    const place p = place_of(a, p_i);
    float x[3], u[3];
#pragma unroll
    for (int gate = 0; gate < 3; gate++) {
      x[gate] = a.projected[in_step(a, p, 3, gate)];
      u[gate] = product_of(a, p, gate) + tct_cu_get(a.bias, (3 + gate) * a.units.d + p.j);
    }
    const float keep = sigmoid(x[0] + u[0]), reset = sigmoid(x[1] + u[1]), next = TANH(TCT_FMAF(reset, u[2], x[2]));
    const float h = TCT_FMAF(keep, before(a, p) - next, next);
    tct_cu_put(a.gates, in_step(a, p, 4, 0), keep);
    tct_cu_put(a.gates, in_step(a, p, 4, 1), reset);
    tct_cu_put(a.gates, in_step(a, p, 4, 2), next);
    tct_cu_put(a.gates, in_step(a, p, 4, 3), u[2]);
    tct_cu_put(a.y, in_step(a, p, 1, 0), h);
    a.state[p.at] = h;
  }
}

TCT_CUDA_KERNEL(lstm_cell_grad, TCT_CU_BLOCK) {
  EACH_UNIT(p) {
    const place p = place_of(a, p_i);
    const int64_t here = in_step(a, p, 1, 0), row = p.row * 4 * a.units.d + p.j;
    const float i = tct_cu_get(a.gates, in_step(a, p, 4, 0)), f = tct_cu_get(a.gates, in_step(a, p, 4, 1));
    const float g = tct_cu_get(a.gates, in_step(a, p, 4, 2)), o = tct_cu_get(a.gates, in_step(a, p, 4, 3));
    const float shape = TANH(tct_cu_get(a.c, here)), flow = product_of(a, p, 0) + tct_cu_get(a.dy, here);
    const float carried = (a.is_last != 0 ? 0.0f : a.cell[p.at]) + (a.dc.data != NULL ? tct_cu_get(a.dc, here) : 0.0f);
    const float cell = carried + flow * o * (1.0f - shape * shape);
    const float da[4] = {cell * g * i * (1.0f - i), cell * before(a, p) * f * (1.0f - f), cell * i * (1.0f - g * g),
                         flow * shape * o * (1.0f - o)};
#pragma unroll
    for (int gate = 0; gate < 4; gate++) {
      tct_cu_put(a.da, in_step(a, p, 4, gate), da[gate]);
      a.state[row + gate * a.units.d] = da[gate];
    }
    a.cell[p.at] = cell * f;
  }
}

TCT_CUDA_KERNEL(gru_cell_grad, TCT_CU_BLOCK) {
  EACH_UNIT(p) {
    const place p = place_of(a, p_i);
    const int64_t row = p.row * 3 * a.units.d + p.j;
    const float z = tct_cu_get(a.gates, in_step(a, p, 4, 0)), r = tct_cu_get(a.gates, in_step(a, p, 4, 1));
    const float g = tct_cu_get(a.gates, in_step(a, p, 4, 2)), q = tct_cu_get(a.gates, in_step(a, p, 4, 3));
    const float carried = a.is_last != 0 ? 0.0f : a.cell[p.at];
    const float flow = carried + product_of(a, p, 0) + tct_cu_get(a.dy, in_step(a, p, 1, 0));
    const float dg = flow * (1.0f - z) * (1.0f - g * g);
    const float dz = flow * (before(a, p) - g) * z * (1.0f - z), dr = dg * q * r * (1.0f - r);
    const float da[3] = {dz, dr, dg}, dq[3] = {dz, dr, dg * r};
#pragma unroll
    for (int gate = 0; gate < 3; gate++) {
      tct_cu_put(a.da, in_step(a, p, 3, gate), da[gate]);
      tct_cu_put(a.dq, in_step(a, p, 3, gate), dq[gate]);
      a.state[row + gate * a.units.d] = dq[gate];
    }
    a.cell[p.at] = flow * z;
  }
}

TCT_CUDA_KERNEL(cell_grad_end, TCT_CU_BLOCK) {
  EACH_UNIT(p) {
    const place p = place_of(a, p_i);
    const float dh = product_of(a, p, 0), carried = a.cell[p.at];
    tct_cu_put(a.dh, p.at, a.dc.data != NULL ? dh : carried + dh);
    if (a.dc.data != NULL) tct_cu_put(a.dc, p.at, carried);
  }
}
