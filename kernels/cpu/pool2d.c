/* Pooling of one image [H,W,C], vectorised over channels. Windows that tile the image (stride = window, no padding)
 * take the branch-free path, where every input belongs to one window at most; others gather and scatter window by
 * window. */
#include "kernels/cpu/kernels.h"

#define TCT_SCALAR float
#include "kernels/common/scalar.h"

/* The part of window (i, j) that lies inside the image. */
typedef struct window {
  int64_t top, bottom, left, right;
} window;

static window window_at(const tct_cpu_image *at, int64_t i, int64_t j) {
  const int64_t top = i * at->stride[0] - at->pad[0], left = j * at->stride[1] - at->pad[1];
  return (window){top < 0 ? 0 : top, top + at->r < at->h ? top + at->r : at->h, left < 0 ? 0 : left,
                  left + at->s < at->w ? left + at->s : at->w};
}

static bool halves(const tct_cpu_image *at) {
  return at->r == 2 && at->s == 2 && at->stride[0] == 2 && at->stride[1] == 2 && at->pad[0] == 0 && at->pad[1] == 0 &&
         2 * at->p <= at->h && 2 * at->q <= at->w;
}

/* The four inputs of output (i, j) of a 2 × 2 pooling start here, `c` and `row` floats apart. */
static int64_t corner(const tct_cpu_image *at, int64_t i, int64_t j) {
  return ((2 * i) * at->w + 2 * j) * at->c;
}

/* max(a, b) that keeps a NaN, as the row `maximum` does. */
#define GREATER_OF(a, b) tct_f8_select(((a) > (b)) | ((a) != (a)), a, b)

/* Channels beyond a multiple of 8 are done by whole vectors as well, which write past their pixel what the pixels after it
 * overwrite; where the image ends, by the element. */
static void max_pool_halves(const tct_cpu_image *at, const float *x, float *y) {
  const int64_t c = at->c, row = at->w * c, reach = (c + 7) / 8 * 8;
  const float *const x_end = x + at->h * row, *const y_end = y + at->p * at->q * c;
  for (int64_t i = 0; i < at->p; i++)
    for (int64_t j = 0; j < at->q; j++, y += c) {
      const float *from = x + corner(at, i, j);
      const bool inside = x_end - from >= row + c + reach && y_end - y >= reach;
      const int64_t wide = inside ? reach : c / 8 * 8;
      int64_t k = 0;
      for (; k < wide; k += 8) {
        const tct_f8 a = tct_f8_load(from + k), b = tct_f8_load(from + c + k);
        const tct_f8 d = tct_f8_load(from + row + k), e = tct_f8_load(from + row + c + k);
        const tct_f8 upper = GREATER_OF(a, b), lower = GREATER_OF(d, e);
        tct_f8_store(y + k, GREATER_OF(upper, lower));
      }
      for (; k < c; k++) {
        y[k] = MAXIMUM(MAXIMUM(from[k], from[c + k]), MAXIMUM(from[row + k], from[row + c + k]));
      }
    }
}

void TCT_CPU(max_pool)(const tct_cpu_image *at, const float *x, float *y) {
  if (halves(at)) {
    max_pool_halves(at, x, y);
    return;
  }
  const int64_t c = at->c;
  for (int64_t i = 0; i < at->p; i++)
    for (int64_t j = 0; j < at->q; j++, y += c) {
      const window in = window_at(at, i, j);
      for (int64_t k = 0; k < c; k++) y[k] = -INFINITY;
      for (int64_t h = in.top; h < in.bottom; h++)
        for (int64_t w = in.left; w < in.right; w++) {
          const float *from = x + (h * at->w + w) * c;
          TCT_EACH (k, c) y[k] = MAXIMUM(y[k], from[k]);
        }
    }
}

/* dy goes to the first of the four that equals y; where none does (a NaN), nowhere. The first `wide` channels by vectors:
 * beyond c they write past the pixels what comes after overwrites. */
static void give_to_first(const float *x, const float *y, const float *dy, int64_t row, int64_t c, int64_t wide,
                          float *dx) {
  const int64_t at[4] = {0, c, row, row + c};
  for (int64_t k = wide - 8; k >= 0; k -= 8) { /* the last channels first: they spill into the first of the next pixel */
    const tct_f8 most = tct_f8_load(y + k), none = {0};
    tct_f8 left = tct_f8_load(dy + k);
    for (int i = 0; i < 4; i++) {
      const tct_i8 hit = tct_f8_load(x + at[i] + k) == most;
      tct_f8_store(dx + at[i] + k, tct_f8_select(hit, left, none));
      left = tct_f8_select(hit, none, left);
    }
  }
  for (int64_t k = wide; k < c; k++) {
    float left = dy[k];
    for (int i = 0; i < 4; i++) {
      const bool hit = x[at[i] + k] == y[k];
      dx[at[i] + k] = hit ? left : 0.0f;
      left = hit ? 0.0f : left;
    }
  }
}

static void max_pool_grad_halves(const tct_cpu_image *at, const float *x, const float *y, const float *dy, float *dx) {
  const int64_t c = at->c, row = at->w * c, reach = (c + 7) / 8 * 8, whole = c / 8 * 8;
  for (int64_t i = 0; i < at->p; i++) {
    for (int64_t j = 0; j < at->q; j++, y += c, dy += c) {
      const int64_t from = corner(at, i, j);
      const bool inside = (2 * j + 1) * c + reach <= 2 * at->q * c && j * c + reach <= at->q * c;
      give_to_first(x + from, y, dy, row, c, inside ? reach : whole, dx + from);
    }
    /* A column that no window reads. */
    const size_t rest = (size_t)(at->w - 2 * at->q) * (size_t)c * sizeof *dx;
    for (int64_t h = 2 * i; rest > 0 && h < 2 * i + 2; h++) memset(dx + (h * at->w + 2 * at->q) * c, 0, rest);
  }
  memset(dx + 2 * at->p * row, 0, (size_t)((at->h - 2 * at->p) * row) * sizeof *dx);
}

void TCT_CPU(max_pool_grad)(const tct_cpu_image *at, const float *x, const float *y, const float *dy, float *dx) {
  if (halves(at)) {
    max_pool_grad_halves(at, x, y, dy, dx);
    return;
  }
  const int64_t c = at->c;
  memset(dx, 0, (size_t)(at->h * at->w * c) * sizeof *dx);
  for (int64_t i = 0; i < at->p; i++)
    for (int64_t j = 0; j < at->q; j++, y += c, dy += c) {
      const window in = window_at(at, i, j);
      for (int64_t k = 0; k < c; k++) {
        bool given = false;
        for (int64_t h = in.top; h < in.bottom && !given; h++)
          for (int64_t w = in.left; w < in.right && !given; w++) {
            const int64_t e = (h * at->w + w) * c + k;
            if (x[e] != y[k]) continue;
            dx[e] += dy[k];
            given = true;
          }
      }
    }
}

void TCT_CPU(avg_pool)(const tct_cpu_image *at, const float *x, float *y) {
  const int64_t c = at->c;
  for (int64_t i = 0; i < at->p; i++)
    for (int64_t j = 0; j < at->q; j++, y += c) {
      const window in = window_at(at, i, j);
      const float factor = 1.0f / (float)((in.bottom - in.top) * (in.right - in.left));
      memset(y, 0, (size_t)c * sizeof *y);
      for (int64_t h = in.top; h < in.bottom; h++)
        for (int64_t w = in.left; w < in.right; w++) {
          const float *from = x + (h * at->w + w) * c;
          TCT_EACH (k, c) y[k] += from[k];
        }
      TCT_EACH (k, c) y[k] *= factor;
    }
}

void TCT_CPU(avg_pool_grad)(const tct_cpu_image *at, const float *dy, float *dx) {
  const int64_t c = at->c;
  memset(dx, 0, (size_t)(at->h * at->w * c) * sizeof *dx);
  for (int64_t i = 0; i < at->p; i++)
    for (int64_t j = 0; j < at->q; j++, dy += c) {
      const window in = window_at(at, i, j);
      const float factor = 1.0f / (float)((in.bottom - in.top) * (in.right - in.left));
      for (int64_t h = in.top; h < in.bottom; h++)
        for (int64_t w = in.left; w < in.right; w++) {
          float *to = dx + (h * at->w + w) * c;
          TCT_EACH (k, c) to[k] += dy[k] * factor;
        }
    }
}
