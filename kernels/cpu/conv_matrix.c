/* What convolutions need beside the register tiles: images as matrices for the general fallback, depthwise loops, and
 * the small and narrow matrix work around them. */
#include "kernels/cpu/kernels.h"

static bool inside(int64_t i, int64_t n) {
  return i >= 0 && i < n;
}

void TCT_CPU(im2col)(const tct_cpu_image *at, const float *x, int64_t x_channels, int64_t p0, int64_t rows,
                     float *col) {
  const int64_t c = at->c;
  for (int64_t i = p0; i < p0 + rows; i++)
    for (int64_t j = 0; j < at->q; j++)
      for (int64_t r = 0; r < at->r; r++)
        for (int64_t s = 0; s < at->s; s++, col += c) {
          const int64_t h = i * at->stride[0] + r * at->dilation[0] - at->pad[0];
          const int64_t w = j * at->stride[1] + s * at->dilation[1] - at->pad[1];
          if (inside(h, at->h) && inside(w, at->w)) {
            memcpy(col, x + (h * at->w + w) * x_channels, (size_t)c * sizeof *col);
          } else {
            memset(col, 0, (size_t)c * sizeof *col);
          }
        }
}

void TCT_CPU(col2im)(const tct_cpu_image *at, const float *col, int64_t p0, int64_t rows, int64_t x_channels,
                     float *dx) {
  const int64_t c = at->c;
  for (int64_t i = p0; i < p0 + rows; i++)
    for (int64_t j = 0; j < at->q; j++)
      for (int64_t r = 0; r < at->r; r++)
        for (int64_t s = 0; s < at->s; s++, col += c) {
          const int64_t h = i * at->stride[0] + r * at->dilation[0] - at->pad[0];
          const int64_t w = j * at->stride[1] + s * at->dilation[1] - at->pad[1];
          if (!inside(h, at->h) || !inside(w, at->w)) continue;
          float *to = dx + (h * at->w + w) * x_channels;
          TCT_EACH (k, c) to[k] += col[k];
        }
}

void TCT_CPU(depthwise)(const tct_cpu_image *at, const float *x, const float *w, const float *bias, int64_t p0,
                        int64_t rows, float *y) {
  const int64_t c = at->c;
  y += p0 * at->q * c;
  for (int64_t i = p0; i < p0 + rows; i++)
    for (int64_t j = 0; j < at->q; j++, y += c) {
      for (int64_t k = 0; k < c; k++) y[k] = bias != NULL ? bias[k] : 0.0f;
      for (int64_t r = 0; r < at->r; r++)
        for (int64_t s = 0; s < at->s; s++) {
          const int64_t h = i * at->stride[0] + r * at->dilation[0] - at->pad[0];
          const int64_t v = j * at->stride[1] + s * at->dilation[1] - at->pad[1];
          if (!inside(h, at->h) || !inside(v, at->w)) continue;
          const float *from = x + (h * at->w + v) * c, *weight = w + (r * at->s + s) * c;
          TCT_EACH (k, c) y[k] += from[k] * weight[k];
        }
    }
}

void TCT_CPU(depthwise_grad_input)(const tct_cpu_image *at, const float *dy, const float *w, float *dx) {
  const int64_t c = at->c;
  for (int64_t i = 0; i < at->p; i++)
    for (int64_t j = 0; j < at->q; j++, dy += c)
      for (int64_t r = 0; r < at->r; r++)
        for (int64_t s = 0; s < at->s; s++) {
          const int64_t h = i * at->stride[0] + r * at->dilation[0] - at->pad[0];
          const int64_t v = j * at->stride[1] + s * at->dilation[1] - at->pad[1];
          if (!inside(h, at->h) || !inside(v, at->w)) continue;
          float *to = dx + (h * at->w + v) * c;
          const float *weight = w + (r * at->s + s) * c;
          TCT_EACH (k, c) to[k] += dy[k] * weight[k];
        }
}

void TCT_CPU(depthwise_grad_filter)(const tct_cpu_image *at, const float *x, const float *dy, float *dw) {
  const int64_t c = at->c;
  for (int64_t i = 0; i < at->p; i++)
    for (int64_t j = 0; j < at->q; j++, dy += c)
      for (int64_t r = 0; r < at->r; r++)
        for (int64_t s = 0; s < at->s; s++) {
          const int64_t h = i * at->stride[0] + r * at->dilation[0] - at->pad[0];
          const int64_t v = j * at->stride[1] + s * at->dilation[1] - at->pad[1];
          if (!inside(h, at->h) || !inside(v, at->w)) continue;
          const float *from = x + (h * at->w + v) * c;
          float *to = dw + (r * at->s + s) * c;
          TCT_EACH (k, c) to[k] += from[k] * dy[k];
        }
}

void TCT_CPU(small_gemm)(int64_t m, int64_t n, int64_t k, const float *a, int64_t a_row, int64_t a_col, const float *b,
                         int64_t b_row, int64_t b_col, float *c, int64_t ldc) {
  for (int64_t i = 0; i < m; i++, a += a_row, c += ldc) {
    memset(c, 0, (size_t)n * sizeof *c);
    if (b_col == 1) {
      for (int64_t t = 0; t < k; t++) {
        const float one = a[t * a_col], *from = b + t * b_row;
        TCT_EACH (j, n) c[j] += one * from[j];
      }
    } else {
      for (int64_t t = 0; t < k; t++) {
        const float one = a[t * a_col], *from = b + t * b_row;
        TCT_EACH (j, n) c[j] += one * from[j * b_col];
      }
    }
  }
}

void TCT_CPU(add_bias)(float *y, int64_t ldy, const float *bias, int64_t m, int64_t n) {
  for (int64_t i = 0; i < m; i++, y += ldy)
    TCT_EACH (j, n) y[j] += bias[j];
}
