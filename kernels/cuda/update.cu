/* Optimizer updates: one pass over parameters and states, bound by memory, for a list of tensors in one launch. What changes from
 * step to step (rate, step, factor, whether gradients are finite) is read from the device, so that a recorded launch stays right. */
#include "kernels/cuda/cuda.h"

#define TCT_SCALAR float
#include "kernels/common/scalar.h"

/* What one thread needs of the arguments. */
struct common {
  float lr, scale, keep;
  const tct_cu_update_tensor *tensor;
  int64_t begin, end;
};

/* The block's tensor and elements; none where the gradients are not finite. */
TCT_CU_FN common common_of(const tct_cu_update_args &a) {
  int32_t t = 0;
  while ((int32_t)blockIdx.x >= a.from[t + 1]) t++;
  common u;
  u.tensor = &a.tensor[t];
  u.lr = *a.lr;
  u.scale = a.scale != NULL ? *a.scale : 1.0f;
  u.keep = 1.0f - u.lr * a.weight_decay;
  const int64_t begin = (int64_t)((int32_t)blockIdx.x - a.from[t]) * TCT_CU_UPDATE_CHUNK;
  const int64_t end = begin + TCT_CU_UPDATE_CHUNK < u.tensor->n ? begin + TCT_CU_UPDATE_CHUNK : u.tensor->n;
  u.begin = begin + threadIdx.x;
  u.end = a.finite == NULL || *a.finite != 0 ? end : 0;
  return u;
}

/* g' = clip(scale·g) + l2·w + l1·sign(w) */
TCT_CU_FN float slope_of(const tct_cu_update_args &a, const common &u, float g, float w) {
  const float scaled = u.scale * g, low = scaled < -a.clip ? -a.clip : scaled, clipped = low > a.clip ? a.clip : low;
  return clipped + a.l2 * w + a.l1 * ((w > 0.0f ? 1.0f : 0.0f) - (w < 0.0f ? 1.0f : 0.0f));
}

#define EACH_ELEMENT(i, u) _Pragma("unroll 2") for (int64_t i = (u).begin; i < (u).end; i += TCT_CU_BLOCK)

TCT_CUDA_KERNEL(sgd, TCT_CU_BLOCK) {
  const common u = common_of(a);
  float *const w = u.tensor->w, *const velocity = u.tensor->state[0];
  const float own = a.nesterov != 0 ? a.momentum : 1.0f, extra = a.nesterov != 0 ? u.lr : 0.0f;
  EACH_ELEMENT(i, u) {
    const float slope = slope_of(a, u, tct_cu_get(u.tensor->g, i), w[i]);
    if (velocity == NULL) {
      w[i] = w[i] * u.keep - u.lr * slope;
    } else {
      const float v = a.momentum * velocity[i] - u.lr * slope;
      velocity[i] = v;
      w[i] = w[i] * u.keep + own * v - extra * slope;
    }
  }
}

/* lr·√(1 - β₂^t)/(1 - β₁^t), in double: 1 - β^t is small */
TCT_CU_FN float adam_rate(const tct_cu_update_args &a, float lr) {
  const double t = (double)(*a.step + 1);
  const double power1 = t * tct_log2_wide(a.beta1), power2 = t * tct_log2_wide(a.beta2);
  const double rest1 = a.beta1 > 0.0 ? 1.0 - tct_exp2_wide(power1 < -400.0 ? -400.0 : power1) : 1.0;
  const double rest2 = a.beta2 > 0.0 ? 1.0 - tct_exp2_wide(power2 < -400.0 ? -400.0 : power2) : 1.0;
  return (float)((double)lr * sqrt(rest2) / rest1);
}

TCT_CUDA_KERNEL(adam, TCT_CU_BLOCK) {
  const common u = common_of(a);
  __shared__ float shared_rate;
  if (threadIdx.x == 0) shared_rate = adam_rate(a, u.lr);
  __syncthreads();
  const float rate = shared_rate, beta1 = (float)a.beta1, beta2 = (float)a.beta2;
  float *const w = u.tensor->w, *const m = u.tensor->state[0], *const v = u.tensor->state[1];
  EACH_ELEMENT(i, u) {
    const float slope = slope_of(a, u, tct_cu_get(u.tensor->g, i), w[i]);
    const float first = beta1 * m[i] + (1.0f - beta1) * slope, second = beta2 * v[i] + (1.0f - beta2) * slope * slope;
    m[i] = first;
    v[i] = second;
    w[i] = w[i] * u.keep - rate * first / (SQRT(second) + a.epsilon);
  }
}

TCT_CUDA_KERNEL(rmsprop, TCT_CU_BLOCK) {
  const common u = common_of(a);
  const float rho = (float)a.beta2;
  float *const w = u.tensor->w, *const square = u.tensor->state[0], *const velocity = u.tensor->state[1];
  float *const average = u.tensor->state[2];
  EACH_ELEMENT(i, u) {
    const float slope = slope_of(a, u, tct_cu_get(u.tensor->g, i), w[i]);
    const float s = rho * square[i] + (1.0f - rho) * slope * slope;
    square[i] = s;
    float spread = s;
    if (average != NULL) {
      const float mean = rho * average[i] + (1.0f - rho) * slope;
      average[i] = mean;
      spread = s - mean * mean;
    }
    float step = u.lr * slope / SQRT(spread + a.epsilon);
    if (velocity != NULL) {
      step = a.momentum * velocity[i] + step;
      velocity[i] = step;
    }
    w[i] = w[i] * u.keep - step;
  }
}

TCT_CUDA_KERNEL(adagrad, TCT_CU_BLOCK) {
  const common u = common_of(a);
  float *const w = u.tensor->w, *const square = u.tensor->state[0];
  EACH_ELEMENT(i, u) {
    const float slope = slope_of(a, u, tct_cu_get(u.tensor->g, i), w[i]);
    const float s = square[i] + slope * slope;
    square[i] = s;
    w[i] = w[i] * u.keep - u.lr * slope / SQRT(s + a.epsilon);
  }
}
