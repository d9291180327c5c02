/* Maximum and average over windows, and their gradients: every output, and in the gradients every pixel of x, is gathered by one
 * thread, channels side by side. */
#include "kernels/cuda/cuda.h"

/* The part of a window that lies inside the image. */
struct window {
  int32_t h0, h1, w0, w1;
};

TCT_CU_FN window window_of(const tct_cu_pool_args &a, int32_t p, int32_t q) {
  const int32_t height = (int32_t)a.h.d, width = (int32_t)a.w.d;
  const int32_t top = p * a.stride[0] - a.pad[0], left = q * a.stride[1] - a.pad[1];
  const int32_t bottom = top + a.window[0], right = left + a.window[1];
  return {top > 0 ? top : 0, bottom < height ? bottom : height, left > 0 ? left : 0, right < width ? right : width};
}

/* The pixel h·width + w of the window's first greatest element; -1 where the window has none. x: the image's first element of
 * the channel. */
TCT_CU_FN int32_t first_greatest(const tct_cu_pool_args &a, const window &in, int64_t x, float *out_greatest) {
  const int32_t width = (int32_t)a.w.d;
  int32_t best = -1;
  float greatest = -INFINITY;
  for (int32_t h = in.h0; h < in.h1; h++)
    for (int32_t w = in.w0; w < in.w1; w++) {
      const float value = tct_cu_get(a.x, x + (h * width + w) * a.c.d);
      if (best >= 0 && !(value > greatest)) continue;
      best = h * width + w;
      greatest = value;
    }
  *out_greatest = greatest;
  return best;
}

TCT_CUDA_KERNEL(pool, TCT_CU_BLOCK) {
  for (int64_t i = tct_cu_first(); i < a.size; i += tct_cu_pitch()) {
    int64_t c = i, q = tct_cu_divide(&c, a.c), p = tct_cu_divide(&q, a.q);
    const int64_t n = tct_cu_divide(&p, a.p), image = n * a.h.d * a.w.d * a.c.d + c;
    const window in = window_of(a, (int32_t)p, (int32_t)q);
    float value = 0.0f;
    if (a.average == 0) {
      (void)first_greatest(a, in, image, &value);
    } else {
      for (int32_t h = in.h0; h < in.h1; h++)
        for (int32_t w = in.w0; w < in.w1; w++) value += tct_cu_get(a.x, image + (h * a.w.d + w) * a.c.d);
      if (in.h1 > in.h0 && in.w1 > in.w0) value /= (float)((in.h1 - in.h0) * (in.w1 - in.w0));
    }
    tct_cu_put(a.y, i, value);
  }
}

/* The first and the one behind the last window, of `count`, that reach position x along an axis. */
TCT_CU_FN int32_t first_window(int32_t x, int32_t window, int32_t stride, int32_t pad) {
  const int32_t before = x + pad - window + stride; /* window i begins at i·stride - pad and must end behind x */
  return before > 0 ? before / stride : 0;
}
TCT_CU_FN int32_t end_window(int32_t x, int32_t stride, int32_t pad, int32_t count) {
  const int32_t end = (x + pad) / stride + 1;
  return end < count ? end : count;
}

TCT_CUDA_KERNEL(pool_grad, TCT_CU_BLOCK) {
  const int32_t rows = (int32_t)a.p.d, columns = (int32_t)a.q.d, width = (int32_t)a.w.d;
  for (int64_t i = tct_cu_first(); i < a.size; i += tct_cu_pitch()) {
    int64_t c = i, w = tct_cu_divide(&c, a.c), h = tct_cu_divide(&w, a.w);
    const int64_t n = tct_cu_divide(&h, a.h), x = n * a.h.d * a.w.d * a.c.d + c, y = n * rows * columns * a.c.d + c;
    const int32_t own = (int32_t)h * width + (int32_t)w;
    const int32_t q0 = first_window((int32_t)w, a.window[1], a.stride[1], a.pad[1]);
    const int32_t p1 = end_window((int32_t)h, a.stride[0], a.pad[0], rows), q1 = end_window((int32_t)w, a.stride[1], a.pad[1], columns);
    float sum = 0.0f;
    for (int32_t p = first_window((int32_t)h, a.window[0], a.stride[0], a.pad[0]); p < p1; p++)
      for (int32_t q = q0; q < q1; q++) {
        const window in = window_of(a, p, q);
        float greatest;
        if (a.average == 0 && first_greatest(a, in, x, &greatest) != own) continue;
        const float dy = tct_cu_get(a.dy, y + (p * columns + q) * a.c.d);
        sum += a.average != 0 ? dy / (float)((in.h1 - in.h0) * (in.w1 - in.w0)) : dy;
      }
    tct_cu_put(a.dx, i, sum);
  }
}
