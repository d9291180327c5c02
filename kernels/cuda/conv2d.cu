/* Convolution and its two gradients as products in tiles whose operands are read from the images where they lie: no matrix of
 * patches is made. Channels are last, so neighbouring terms of the sums lie together. */
#include "kernels/cuda/tile.h"

typedef tct_cu_conv_args geometry;

/* The pixel of image row/column position that filter position r (of an axis) meets; negative or beyond: outside. */
TCT_CU_FN bool inside(int64_t h, int64_t extent) {
  return h >= 0 && h < extent;
}

/* An output pixel: its image's first element in x, and where its window begins. */
struct pixel {
  int64_t image; /* -1: behind the last */
  int64_t h0, w0;
};

TCT_CU_FN pixel output_pixel(const geometry &a, int64_t i) {
  if (i >= a.images * a.p.d * a.q.d) return {-1, 0, 0};
  int64_t q = i, p = tct_cu_divide(&q, a.q);
  const int64_t n = tct_cu_divide(&p, a.p);
  return {n * a.h.d * a.w.d, p * a.stride_h.d - a.pad_h, q * a.stride_w.d - a.pad_w};
}

/* x's element under filter position (r, s) of a pixel's window; channel is counted over all groups. */
TCT_CU_FN float x_at(const geometry &a, const pixel &at, int64_t r, int64_t s, int64_t channel) {
  const int64_t h = at.h0 + r * a.dilation_h, w = at.w0 + s * a.dilation_w;
  if (at.image < 0 || !inside(h, a.h.d) || !inside(w, a.w.d)) return 0.0f;
  return tct_cu_get(a.x, (at.image + h * a.w.d + w) * (a.groups * a.cg.d) + channel);
}

/* y[pixel, k] = Σ_(r,s,c) x · filter */
struct forward {
  static constexpr bool left_by_k = true, right_by_k = false;
  typedef pixel row;
  typedef int64_t column;
  const geometry &a;
  int64_t group;
  __device__ __forceinline__ row row_of(int64_t i) const {
    return output_pixel(a, i);
  }
  __device__ __forceinline__ column column_of(int64_t j) const {
    return j < a.kg.d ? group * a.kg.d + j : -1;
  }
  __device__ __forceinline__ float left(const row &at, int64_t k) const {
    int64_t c = k, s = tct_cu_divide(&c, a.cg);
    const int64_t r = tct_cu_divide(&s, a.s);
    return x_at(a, at, r, s, group * a.cg.d + c);
  }
  __device__ __forceinline__ float right(column at, int64_t k) const {
    return at >= 0 ? tct_cu_get(a.filter, k * (a.groups * a.kg.d) + at) : 0.0f;
  }
};

/* dx[pixel of x, c] = Σ_(r,s,k) dy · filter over the outputs whose windows meet the pixel there */
struct backward_input {
  static constexpr bool left_by_k = true, right_by_k = true;
  typedef pixel row; /* image: of y; h0, w0: the padded position in x */
  typedef int64_t column;
  const geometry &a;
  int64_t group;
  __device__ __forceinline__ row row_of(int64_t i) const {
    if (i >= a.images * a.h.d * a.w.d) return {-1, 0, 0};
    int64_t w = i, h = tct_cu_divide(&w, a.w);
    const int64_t n = tct_cu_divide(&h, a.h);
    return {n * a.p.d * a.q.d, h + a.pad_h, w + a.pad_w};
  }
  __device__ __forceinline__ column column_of(int64_t j) const {
    return j < a.cg.d ? j : -1;
  }
  __device__ __forceinline__ float left(const row &at, int64_t k) const {
    int64_t channel = k, s = tct_cu_divide(&channel, a.kg);
    const int64_t r = tct_cu_divide(&s, a.s);
    int64_t h = at.h0 - r * a.dilation_h, w = at.w0 - s * a.dilation_w;
    if (at.image < 0 || h < 0 || w < 0) return 0.0f;
    const int64_t p = tct_cu_divide(&h, a.stride_h), q = tct_cu_divide(&w, a.stride_w);
    if (h != 0 || w != 0 || p >= a.p.d || q >= a.q.d) return 0.0f;
    return tct_cu_get(a.y, (at.image + p * a.q.d + q) * (a.groups * a.kg.d) + group * a.kg.d + channel);
  }
  __device__ __forceinline__ float right(column c, int64_t k) const {
    int64_t channel = k;
    const int64_t position = tct_cu_divide(&channel, a.kg);
    return c >= 0 ? tct_cu_get(a.filter, (position * a.cg.d + c) * (a.groups * a.kg.d) + group * a.kg.d + channel) : 0.0f;
  }
};

/* dfilter[(r,s,c), k] = Σ_pixels x · dy */
struct backward_filter {
  static constexpr bool left_by_k = false, right_by_k = false;
  struct row {
    int64_t r, s, channel; /* r -1: behind the last */
  };
  typedef int64_t column;
  const geometry &a;
  int64_t group;
  __device__ __forceinline__ row row_of(int64_t i) const {
    if (i >= a.r * a.s.d * a.cg.d) return {-1, 0, 0};
    int64_t c = i, s = tct_cu_divide(&c, a.cg);
    const int64_t r = tct_cu_divide(&s, a.s);
    return {r, s, group * a.cg.d + c};
  }
  __device__ __forceinline__ column column_of(int64_t j) const {
    return j < a.kg.d ? group * a.kg.d + j : -1;
  }
  __device__ __forceinline__ float left(const row &at, int64_t k) const {
    return at.r >= 0 ? x_at(a, output_pixel(a, k), at.r, at.s, at.channel) : 0.0f;
  }
  __device__ __forceinline__ float right(column at, int64_t k) const {
    return at >= 0 ? tct_cu_get(a.y, k * (a.groups * a.kg.d) + at) : 0.0f;
  }
};

/* Multiplies, and stores sum (i, j) at first + i·pitch + j of `out` [size]. */
template <class Problem>
TCT_CU_FN void run(const geometry &a, int64_t m, int64_t n, int64_t terms, int64_t channels, int64_t size, const tct_cu_tensor &out) {
  const tct_cu_tile_place at = tct_cu_tile_of(a.tiling, terms);
  __shared__ tct_cu_tile_buffers shared;
  const Problem p = {a, at.batch};
  float sums[TCT_CU_TILE_OWN][TCT_CU_TILE_OWN];
  tct_cu_multiply(p, shared, at.i0, at.j0, at.begin, at.end, sums);
  const int64_t i0 = at.i0 + threadIdx.x / 16 * TCT_CU_TILE_OWN, j0 = at.j0 + threadIdx.x % 16 * TCT_CU_TILE_OWN;
#pragma unroll
  for (int r = 0; r < TCT_CU_TILE_OWN; r++)
#pragma unroll
    for (int c = 0; c < TCT_CU_TILE_OWN; c++) {
      if (i0 + r >= m || j0 + c >= n) continue;
      const int64_t j = at.batch * n + j0 + c;
      tct_cu_tile_store(a.tiling, a.end, at.part, size, j, out, (i0 + r) * channels + j, sums[r][c]);
    }
}

TCT_CUDA_KERNEL(conv, TCT_CU_TILE_BLOCK, 2) {
  const int64_t m = a.images * a.p.d * a.q.d, channels = a.groups * a.kg.d;
  run<forward>(a, m, a.kg.d, a.r * a.s.d * a.cg.d, channels, m * channels, a.y);
}
TCT_CUDA_KERNEL(conv_grad_input, TCT_CU_TILE_BLOCK, 2) {
  const int64_t m = a.images * a.h.d * a.w.d, channels = a.groups * a.cg.d;
  run<backward_input>(a, m, a.cg.d, a.r * a.s.d * a.kg.d, channels, m * channels, a.x);
}
TCT_CUDA_KERNEL(conv_grad_filter, TCT_CU_TILE_BLOCK, 2) {
  const int64_t m = a.r * a.s.d * a.cg.d, channels = a.groups * a.kg.d;
  run<backward_filter>(a, m, a.kg.d, a.images * a.p.d * a.q.d, channels, m * channels, a.filter);
}
