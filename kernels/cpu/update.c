/* Optimizer updates: each is one fused pass over the parameters and their states, bound by memory. */
#include "kernels/cpu/kernels.h"

#define TCT_SCALAR float
#include "kernels/common/scalar.h"

/* g' = clip(scale·g) + l2·w + l1·sign(w) */
static inline float gradient_of(const tct_cpu_update *how, float g, float w) {
  const float scaled = how->scale * g;
  const float low = scaled < -how->clip ? -how->clip : scaled;
  const float clipped = low > how->clip ? how->clip : low;
  const float sign = (w > 0.0f ? 1.0f : 0.0f) - (w < 0.0f ? 1.0f : 0.0f);
  return clipped + how->l2 * w + how->l1 * sign;
}

void TCT_CPU(sgd)(const tct_cpu_update *how, float *w, float *velocity, const float *g, int64_t n) {
  const tct_cpu_update at = *how;
  if (velocity == NULL) {
    TCT_EACH (i, n) w[i] = w[i] * at.keep - at.lr * gradient_of(&at, g[i], w[i]);
    return;
  }
  /* w' + v, or w' + momentum·v - lr·g' */
  const float own = at.nesterov ? at.momentum : 1.0f, extra = at.nesterov ? at.lr : 0.0f;
  TCT_EACH (i, n) {
    const float slope = gradient_of(&at, g[i], w[i]);
    const float v = at.momentum * velocity[i] - at.lr * slope;
    velocity[i] = v;
    w[i] = w[i] * at.keep + own * v - extra * slope;
  }
}

void TCT_CPU(adam)(const tct_cpu_update *how, float *w, float *m, float *v, const float *g, int64_t n) {
  const tct_cpu_update at = *how;
  const float rest1 = 1.0f - at.beta1, rest2 = 1.0f - at.beta2;
  TCT_EACH (i, n) {
    const float slope = gradient_of(&at, g[i], w[i]);
    const float first = at.beta1 * m[i] + rest1 * slope;
    const float second = at.beta2 * v[i] + rest2 * slope * slope;
    m[i] = first;
    v[i] = second;
    w[i] = w[i] * at.keep - at.lr * first / (sqrtf(second) + at.epsilon);
  }
}

/* Missing states are read as `square` and written nowhere: the choices are constants of each call below. */
TCT_INLINE void rmsprop(const tct_cpu_update *how, float *w, float *square, float *velocity, float *average,
                        const float *g, int64_t n, const bool has_momentum, const bool is_centered) {
  const tct_cpu_update at = *how;
  const float rest = 1.0f - at.beta2;
  TCT_EACH (i, n) {
    const float slope = gradient_of(&at, g[i], w[i]);
    const float s = at.beta2 * square[i] + rest * slope * slope;
    square[i] = s;
    float spread = s;
    if (is_centered) {
      const float a = at.beta2 * average[i] + rest * slope;
      average[i] = a;
      spread = s - a * a;
    }
    float step = at.lr * slope / sqrtf(spread + at.epsilon);
    if (has_momentum) {
      step = at.momentum * velocity[i] + step;
      velocity[i] = step;
    }
    w[i] = w[i] * at.keep - step;
  }
}

void TCT_CPU(rmsprop)(const tct_cpu_update *how, float *w, float *square, float *velocity, float *average,
                      const float *g, int64_t n) {
  if (velocity != NULL && average != NULL)
    rmsprop(how, w, square, velocity, average, g, n, true, true);
  else if (velocity != NULL)
    rmsprop(how, w, square, velocity, average, g, n, true, false);
  else if (average != NULL)
    rmsprop(how, w, square, velocity, average, g, n, false, true);
  else
    rmsprop(how, w, square, velocity, average, g, n, false, false);
}

void TCT_CPU(adagrad)(const tct_cpu_update *how, float *w, float *square, const float *g, int64_t n) {
  const tct_cpu_update at = *how;
  TCT_EACH (i, n) {
    const float slope = gradient_of(&at, g[i], w[i]);
    const float s = square[i] + slope * slope;
    square[i] = s;
    w[i] = w[i] * at.keep - at.lr * slope / sqrtf(s + at.epsilon);
  }
}
