/* Reductions over any axes, positions of extremes, and the norm of a list of tensors. What an output folds is cut into parts where
 * outputs are few; a second launch joins the parts. Everything is folded in one order. */
#include "kernels/cuda/order.h"
#include "kernels/cuda/rows.h"

/* ---- folding ---- */

template <class T> TCT_CU_FN T identity(int32_t fold) {
  return fold == TCT_CU_PROD ? (T)1 : fold == TCT_CU_MAX ? (T)-INFINITY : fold == TCT_CU_MIN ? (T)INFINITY : (T)0;
}

TCT_CU_FN float greater_of(float a, float b) {
  return tct_maximum_float(a, b);
}
TCT_CU_FN double greater_of(double a, double b) {
  return tct_maximum_double(a, b);
}
TCT_CU_FN float less_of(float a, float b) {
  return tct_minimum_float(a, b);
}
TCT_CU_FN double less_of(double a, double b) {
  return tct_minimum_double(a, b);
}

template <class T> TCT_CU_FN T join(int32_t fold, T a, T b) {
  switch (fold) {
  case TCT_CU_PROD:
    return a * b;
  case TCT_CU_MAX:
    return greater_of(a, b);
  case TCT_CU_MIN:
    return less_of(a, b);
  default:
    return a + b;
  }
}

TCT_CU_FN float element(const tct_cu_reduce_args &a, int64_t at, float most) {
  const float x = tct_cu_load(a.x, a.x_dtype, at);
  return a.fold == TCT_CU_SUM_EXP ? EXP(x - most) : x;
}
TCT_CU_FN double element(const tct_cu_reduce_args &a, int64_t at, double) {
  switch (a.x_dtype) {
  case TCT_I32:
    return (double)((const int32_t *)a.x)[at];
  case TCT_I64:
    return (double)((const int64_t *)a.x)[at];
  case TCT_U8:
    return (double)((const uint8_t *)a.x)[at];
  default:
    return ((const double *)a.x)[at];
  }
}

TCT_CU_FN void finish(const tct_cu_reduce_args &a, int64_t o, int64_t part, float value) {
  if (a.parts > 1) {
    ((float *)a.y)[part * a.n_out + o] = value;
    return;
  }
  if (a.log != 0) {
    const float most = a.most[o];
    value = most - most == 0.0f ? most + LOG(value) : most;
  }
  tct_cu_store(a.y, a.y_dtype, o, value * (float)a.scale);
}
TCT_CU_FN void finish(const tct_cu_reduce_args &a, int64_t o, int64_t part, double value) {
  if (a.parts > 1) {
    ((double *)a.y)[part * a.n_out + o] = value;
    return;
  }
  value *= a.scale;
  if (a.y_dtype == TCT_I32)
    ((int32_t *)a.y)[o] = (int32_t)value;
  else if (a.y_dtype == TCT_I64)
    ((int64_t *)a.y)[o] = (int64_t)value;
  else
    ((uint8_t *)a.y)[o] = (uint8_t)value;
}

/* x among the threads of a row. */
template <class T> TCT_CU_FN T join_row(int32_t fold, T x) {
  __shared__ T part[TCT_CU_ROW_THREADS / TCT_CU_WARP];
#pragma unroll
  for (int bits = TCT_CU_WARP / 2; bits > 0; bits >>= 1) x = join(fold, x, __shfl_xor_sync(~0u, x, bits));
  if (blockDim.x == TCT_CU_WARP) return x;
  const unsigned warps = blockDim.x / TCT_CU_WARP, first = threadIdx.y * warps;
  __syncthreads();
  if (threadIdx.x % TCT_CU_WARP == 0) part[first + threadIdx.x / TCT_CU_WARP] = x;
  __syncthreads();
  x = part[first];
  for (unsigned w = 1; w < warps; w++) x = join(fold, x, part[first + w]);
  return x;
}

template <class T> TCT_CU_FN void reduce_rows(const tct_cu_reduce_args &a) {
  const int64_t length = (a.n_reduced + a.parts - 1) / a.parts, total = a.n_out * a.parts;
  TCT_CU_EACH_ROW(pair, total) {
    int64_t o = pair;
    const int64_t part = tct_cu_divide(&o, a.per_part), begin = part * length;
    const int64_t end = begin + length < a.n_reduced ? begin + length : a.n_reduced;
    T value = identity<T>(a.fold);
    if (pair < total) {
      const int64_t base = tct_cu_offset(a.kept, o);
      const T most = a.fold == TCT_CU_SUM_EXP ? (T)a.most[o] : (T)0;
#pragma unroll 4
      for (int64_t r = begin + threadIdx.x; r < end; r += blockDim.x)
        value = join(a.fold, value, element(a, base + tct_cu_offset(a.reduced, r), most));
    }
    value = join_row(a.fold, value);
    if (pair < total && threadIdx.x == 0) finish(a, o, part, value);
  }
}

enum { COLUMNS = 32, COLUMN_ROWS = 8 };

template <class T> TCT_CU_FN void reduce_columns(const tct_cu_reduce_args &a) {
  __shared__ T shared[COLUMN_ROWS][COLUMNS];
  const int64_t length = (a.n_reduced + a.parts - 1) / a.parts;
  for (int64_t pair = blockIdx.x; pair < a.per_part.d * a.parts; pair += gridDim.x) {
    int64_t o = pair;
    const int64_t part = tct_cu_divide(&o, a.per_part), begin = part * length;
    o = o * COLUMNS + threadIdx.x;
    const int64_t end = begin + length < a.n_reduced ? begin + length : a.n_reduced;
    T value = identity<T>(a.fold);
    if (o < a.n_out) {
      const int64_t base = tct_cu_offset(a.kept, o);
      const T most = a.fold == TCT_CU_SUM_EXP ? (T)a.most[o] : (T)0;
#pragma unroll 2
      for (int64_t r = begin + threadIdx.y; r < end; r += COLUMN_ROWS)
        value = join(a.fold, value, element(a, base + tct_cu_offset(a.reduced, r), most));
    }
    shared[threadIdx.y][threadIdx.x] = value;
    __syncthreads();
    if (threadIdx.y == 0 && o < a.n_out) {
      for (int row = 1; row < COLUMN_ROWS; row++) value = join(a.fold, value, shared[row][threadIdx.x]);
      finish(a, o, part, value);
    }
    __syncthreads();
  }
}

TCT_CUDA_KERNEL(reduce_rows, TCT_CU_ROW_THREADS) {
  reduce_rows<float>(a);
}
TCT_CUDA_KERNEL(reduce_columns, COLUMNS *COLUMN_ROWS) {
  reduce_columns<float>(a);
}
TCT_CUDA_KERNEL(reduce_rows_whole, TCT_CU_ROW_THREADS) {
  reduce_rows<double>(a);
}
TCT_CUDA_KERNEL(reduce_columns_whole, COLUMNS *COLUMN_ROWS) {
  reduce_columns<double>(a);
}

/* ---- positions ---- */

TCT_CUDA_KERNEL(arg, TCT_CU_BLOCK) {
  const bool is_whole = a.dtype == TCT_I32 || a.dtype == TCT_I64, least = a.least != 0;
  const bool by_warp = a.inner.d == 1;
  const int64_t lane = by_warp ? threadIdx.x % TCT_CU_WARP : 0, step = by_warp ? TCT_CU_WARP : 1;
  const int64_t first = by_warp ? tct_cu_first() / TCT_CU_WARP : tct_cu_first();
  const int64_t pitch = by_warp ? tct_cu_pitch() / TCT_CU_WARP : tct_cu_pitch();
  for (int64_t i = first; i < a.outer * a.inner.d; i += pitch) {
    int64_t c = i;
    const int64_t base = tct_cu_divide(&c, a.inner) * a.n * a.inner.d + c;
    const int64_t begin = lane < a.n ? lane : 0; /* a lane beyond a short row counts its first element again */
    place best = place_at(a.x, a.dtype, base + begin * a.inner.d, begin);
    for (int64_t j = begin + step; j < a.n; j += step) {
      const place next = place_at(a.x, a.dtype, base + j * a.inner.d, j);
      if (goes_before(next, best, is_whole, least)) best = next;
    }
    if (by_warp)
      best = first_of_warp(best, is_whole, least);
    if (lane == 0) a.y[i] = (int32_t)best.at;
  }
}

/* ---- the norm of a list ---- */

TCT_CUDA_KERNEL(squares, TCT_CU_BLOCK) {
  int32_t t = 0;
  while ((int32_t)blockIdx.x >= a.from[t + 1]) t++;
  const int64_t begin = (int64_t)((int32_t)blockIdx.x - a.from[t]) * TCT_CU_NORM_CHUNK;
  const int64_t end = begin + TCT_CU_NORM_CHUNK < a.n[t] ? begin + TCT_CU_NORM_CHUNK : a.n[t];
  double sum = 0.0;
#pragma unroll 4
  for (int64_t i = begin + threadIdx.x; i < end; i += TCT_CU_BLOCK) {
    const double x = (double)tct_cu_load(a.x[t], a.dtype, i);
    sum += x * x;
  }
  sum = tct_cu_row<tct_cu_add>(sum);
  if (threadIdx.x == 0) a.partial[a.first + blockIdx.x] = sum;
}

TCT_CUDA_KERNEL(squares_end, TCT_CU_BLOCK) {
  double sum = 0.0;
  for (int64_t i = threadIdx.x; i < a.n; i += TCT_CU_BLOCK) sum += a.partial[i];
  sum = tct_cu_row<tct_cu_add>(sum);
  if (threadIdx.x == 0) tct_cu_put(a.y, 0, (float)sqrt(sum));
}
