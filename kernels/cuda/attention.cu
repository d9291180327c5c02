/* Attention in tiles of 64 queries × 64 keys, after Dao et al. (2022): a tile of scores is made in registers, becomes weights in
 * shared memory and meets the values at once, so that no score reaches global memory. Forward, a block owns queries and walks over
 * the keys. Backward, the weights are made again from l by two kernels, one whose blocks own queries (dq), one whose blocks own keys
 * (dk and dv): each result has one writer that adds in a fixed order. All products are those of tile.h, in f32. */
#include "kernels/cuda/rows.h"
#include "kernels/cuda/tile.h"

enum { SIDE = TCT_CU_TILE, PITCH = TCT_CU_TILE_PITCH, OWN = TCT_CU_TILE_OWN, ALONG = SIDE / OWN /* threads that share a row */ };

/* One head of a tensor [B, positions, H, width]. What stays in constant memory takes no registers. */
struct head_rows {
  const tct_cu_tensor &x;
  const int64_t &pitch, &n;
  int64_t first;
  __device__ __forceinline__ int32_t at(int64_t i) const { /* from `first`; below 2^31 in a sample */
    return (int32_t)(i * pitch);
  }
  __device__ __forceinline__ float get(int64_t at) const {
    return tct_cu_get(x, first + at);
  }
};

/* Where a block works. */
struct place {
  int64_t tile, head, sample, of_sample, chunk;
};
TCT_CU_FN place place_of(const tct_cu_attention_args &a) {
  place p;
  p.chunk = blockIdx.x;
  p.head = tct_cu_divide(&p.chunk, a.chunks);
  p.tile = tct_cu_divide(&p.head, a.heads);
  p.of_sample = p.head;
  p.sample = tct_cu_divide(&p.of_sample, a.per_sample);
  return p;
}

TCT_CU_FN head_rows rows_of(const place &p, const tct_cu_tensor &x, const int64_t &positions, const int64_t &pitch, int64_t width) {
  return {x, pitch, positions, p.sample * positions * pitch + p.of_sample * width};
}
TCT_CU_FN head_rows thin(const tct_cu_attention_args &a, const place &p, const tct_cu_tensor &x, const int64_t &positions) {
  return rows_of(p, x, positions, a.pitch, a.d);
}
TCT_CU_FN head_rows wide(const tct_cu_attention_args &a, const place &p, const tct_cu_tensor &x, const int64_t &positions) {
  return rows_of(p, x, positions, a.wide_pitch, a.width);
}

/* Every row of a times every row of b. */
struct row_products {
  static constexpr bool left_by_k = true, right_by_k = true;
  typedef int32_t row; /* the row's first element; -1 behind the last row */
  typedef int32_t column;
  const head_rows &a, &b;
  __device__ __forceinline__ row row_of(int64_t i) const {
    return i < a.n ? a.at(i) : -1;
  }
  __device__ __forceinline__ column column_of(int64_t j) const {
    return j < b.n ? b.at(j) : -1;
  }
  __device__ __forceinline__ float left(row at, int64_t k) const {
    return at >= 0 ? a.get(at + k) : 0.0f;
  }
  __device__ __forceinline__ float right(column at, int64_t k) const {
    return at >= 0 ? b.get(at + k) : 0.0f;
  }
};

/* Σ_k tile[k][i]·b[first + k][j] */
struct tile_products {
  static constexpr bool left_by_k = false, right_by_k = false;
  typedef int32_t row;
  typedef int32_t column;
  const float *tile;
  const head_rows &b;
  int64_t first;
  const int64_t &width;
  __device__ __forceinline__ row row_of(int64_t i) const {
    return (int32_t)i;
  }
  __device__ __forceinline__ column column_of(int64_t j) const {
    return j < width ? b.at(first) + (int32_t)j : -1;
  }
  __device__ __forceinline__ float left(row i, int64_t k) const {
    return tile[k * PITCH + i];
  }
  __device__ __forceinline__ float right(column at, int64_t k) const {
    return at >= 0 ? b.get(at + k * b.pitch) : 0.0f;
  }
};

/* sums = the tile's rows by columns j0 … of b's rows `first` …; all threads have read the tile and the buffers at the end. */
TCT_CU_FN void by_tile(const float *tile, const head_rows &b, int64_t first, const int64_t &width, int64_t j0, tct_cu_tile_buffers &shared,
                       float sums[OWN][OWN]) {
  const tile_products p = {tile, b, first, width};
  const int64_t rows = b.n - first;
  tct_cu_multiply(p, shared, 0, j0, 0, rows < (int64_t)SIDE ? rows : (int64_t)SIDE, sums);
  __syncthreads();
}

TCT_CU_FN bool sees(const tct_cu_attention_args &a, const place &p, int64_t i, int64_t j) {
  if (i >= a.queries || j >= a.keys || (a.causal != 0 && j > i)) return false;
  const int64_t *const stride = a.mask_stride;
  return a.mask == NULL || a.mask[p.sample * stride[0] + p.of_sample * stride[1] + i * stride[2] + j * stride[3]] != 0;
}

TCT_CU_FN void clear(float sums[OWN][OWN]) {
#pragma unroll
  for (int r = 0; r < OWN; r++)
#pragma unroll
    for (int c = 0; c < OWN; c++) sums[r][c] = 0.0f;
}

/* The thread's 4x4 of a tile: rows by queries or, turned, by keys. */
TCT_CU_FN void put_tile(float *tile, const float x[OWN][OWN], int i, int j) {
#pragma unroll
  for (int r = 0; r < OWN; r++) *(float4 *)(tile + (i + r) * PITCH + j) = make_float4(x[r][0], x[r][1], x[r][2], x[r][3]);
}
TCT_CU_FN void put_turned(float *tile, const float x[OWN][OWN], int i, int j) {
#pragma unroll
  for (int c = 0; c < OWN; c++) *(float4 *)(tile + (j + c) * PITCH + i) = make_float4(x[0][c], x[1][c], x[2][c], x[3][c]);
}

/* Rows i0 + i … of a result's columns from j on. */
TCT_CU_FN void store(const head_rows &y, int64_t i, int64_t j, int64_t width, const float x[OWN][OWN]) {
#pragma unroll
  for (int r = 0; r < OWN; r++)
#pragma unroll
    for (int c = 0; c < OWN; c++)
      if (i + r < y.n && j + c < width) tct_cu_put(y.x, y.first + y.at(i + r) + j + c, x[r][c]);
}

/* ---- forward ---- */

/* Over the threads that share a row: half a warp, every lane the same pairs. */
template <class Op> TCT_CU_FN float over_row(float x) {
#pragma unroll
  for (int bits = ALONG / 2; bits > 0; bits >>= 1) x = Op::of(x, __shfl_xor_sync(~0u, x, bits));
  return x;
}

TCT_CUDA_KERNEL(attention, TCT_CU_TILE_BLOCK, 2) {
  __shared__ tct_cu_tile_buffers shared;
  __shared__ __align__(16) float weights[SIDE * PITCH]; /* [key][query] */
  const place at = place_of(a);
  const head_rows q = thin(a, at, a.q, a.queries), k = thin(a, at, a.k, a.keys);
  const head_rows v = wide(a, at, a.v, a.keys), y = wide(a, at, a.y, a.queries);
  const int i = (int)threadIdx.x / ALONG * OWN, j = (int)threadIdx.x % ALONG * OWN;
  const int64_t i0 = (a.tiles - 1 - at.tile) * SIDE; /* under a causal mask the last queries have most to do */
  const int64_t columns = at.chunk * TCT_CU_ATTENTION_CHUNKS * SIDE;
  const int64_t keys = a.causal != 0 && i0 + SIDE < a.keys ? i0 + SIDE : a.keys;
  const row_products scores = {q, k};
  float most[OWN], sum[OWN], out[TCT_CU_ATTENTION_CHUNKS][OWN][OWN];
#pragma unroll
  for (int r = 0; r < OWN; r++) most[r] = -INFINITY, sum[r] = 0.0f;
#pragma unroll
  for (int n = 0; n < TCT_CU_ATTENTION_CHUNKS; n++) clear(out[n]);
  for (int64_t j0 = 0; j0 < keys; j0 += SIDE) {
    float s[OWN][OWN], factor[OWN];
    tct_cu_multiply(scores, shared, i0, j0, 0, a.d, s);
#pragma unroll
    for (int r = 0; r < OWN; r++) {
      float top = most[r], more = 0.0f;
#pragma unroll
      for (int c = 0; c < OWN; c++) {
        s[r][c] = sees(a, at, i0 + i + r, j0 + j + c) ? a.scale * s[r][c] : -INFINITY;
        top = MAXIMUM(top, s[r][c]);
      }
      top = over_row<tct_cu_greater>(top);
      const float base = top == -INFINITY ? 0.0f : top; /* nothing is seen yet: weights of 0 */
#pragma unroll
      for (int c = 0; c < OWN; c++) {
        s[r][c] = EXP(s[r][c] - base);
        more += s[r][c];
      }
      factor[r] = EXP(most[r] - base);
      sum[r] = sum[r] * factor[r] + over_row<tct_cu_add>(more);
      most[r] = top;
    }
    put_turned(weights, s, i, j);
    __syncthreads();
#pragma unroll
    for (int n = 0; n < TCT_CU_ATTENTION_CHUNKS; n++) {
      if (columns + n * SIDE >= a.width) continue;
      by_tile(weights, v, j0, a.width, columns + n * SIDE, shared, s);
#pragma unroll
      for (int r = 0; r < OWN; r++)
#pragma unroll
        for (int c = 0; c < OWN; c++) out[n][r][c] = TCT_FMAF(out[n][r][c], factor[r], s[r][c]);
    }
  }
#pragma unroll
  for (int r = 0; r < OWN; r++) {
    const bool sees_none = most[r] == -INFINITY;
    const float factor = sees_none ? 0.0f : 1.0f / sum[r];
#pragma unroll
    for (int n = 0; n < TCT_CU_ATTENTION_CHUNKS; n++)
#pragma unroll
      for (int c = 0; c < OWN; c++) out[n][r][c] *= factor;
    if (at.chunk == 0 && j == 0 && i0 + i + r < a.queries)
      tct_cu_put(a.l, at.head * a.queries + i0 + i + r, sees_none ? INFINITY : most[r] + LOG(sum[r]));
  }
#pragma unroll
  for (int n = 0; n < TCT_CU_ATTENTION_CHUNKS; n++) store(y, i0 + i, columns + n * SIDE + j, a.width, out[n]);
}

/* ---- backward ---- */

TCT_CUDA_KERNEL(attention_delta, TCT_CU_ROW_THREADS) {
  const int64_t rows = a.heads.d * a.queries;
  TCT_CU_EACH_ROW(row, rows) {
    const int64_t base = (row < rows ? row : rows - 1) * a.width;
    float sum = 0.0f;
    for (int64_t c = threadIdx.x; c < a.width; c += blockDim.x) sum += tct_cu_get(a.dy, base + c) * tct_cu_get(a.y, base + c);
    sum = tct_cu_row_sum(sum);
    if (row < rows && threadIdx.x == 0) a.delta[row] = sum;
  }
}

/* What both gradient kernels read. */
struct operands {
  head_rows q, k, v, dy;
};
TCT_CU_FN operands operands_of(const tct_cu_attention_args &a, const place &at) {
  return {thin(a, at, a.q, a.queries), thin(a, at, a.k, a.keys), wide(a, at, a.v, a.keys),
          wide(a, at, a.dy, a.queries)};
}

/* p = e^(scale·q·k - l) and ds = scale·p·(dy·v - delta) of the thread's queries i … and keys j …. */
TCT_CU_FN void make_weights(const tct_cu_attention_args &a, const place &at, const operands &of, tct_cu_tile_buffers &shared,
                            int64_t i0, int64_t j0, float p[OWN][OWN], float ds[OWN][OWN]) {
  const row_products scores = {of.q, of.k}, flows = {of.dy, of.v};
  tct_cu_multiply(scores, shared, i0, j0, 0, a.d, p);
  __syncthreads();
  tct_cu_multiply(flows, shared, i0, j0, 0, a.width, ds);
  const int64_t i = i0 + threadIdx.x / ALONG * OWN, j = j0 + threadIdx.x % ALONG * OWN;
#pragma unroll
  for (int r = 0; r < OWN; r++) {
    const bool is_query = i + r < a.queries;
    const float l = is_query ? tct_cu_get(a.l, at.head * a.queries + i + r) : 0.0f;
    const float delta = is_query ? a.delta[(at.sample * a.queries + i + r) * a.per_sample.d + at.of_sample] : 0.0f;
#pragma unroll
    for (int c = 0; c < OWN; c++) {
      const bool seen = sees(a, at, i + r, j + c);
      p[r][c] = seen ? EXP(a.scale * p[r][c] - l) : 0.0f;
      ds[r][c] = seen ? a.scale * p[r][c] * (ds[r][c] - delta) : 0.0f;
    }
  }
}

TCT_CU_FN void add(float to[OWN][OWN], const float more[OWN][OWN]) {
#pragma unroll
  for (int r = 0; r < OWN; r++)
#pragma unroll
    for (int c = 0; c < OWN; c++) to[r][c] += more[r][c];
}

TCT_CUDA_KERNEL(attention_grad_queries, TCT_CU_TILE_BLOCK, 2) {
  __shared__ tct_cu_tile_buffers shared;
  __shared__ __align__(16) float tile[SIDE * PITCH]; /* [key][query] */
  const place at = place_of(a);
  const operands of = operands_of(a, at);
  const int i = (int)threadIdx.x / ALONG * OWN, j = (int)threadIdx.x % ALONG * OWN;
  const int64_t i0 = (a.tiles - 1 - at.tile) * SIDE, column = at.chunk * SIDE;
  const int64_t keys = a.causal != 0 && i0 + SIDE < a.keys ? i0 + SIDE : a.keys;
  float dq[OWN][OWN];
  clear(dq);
  for (int64_t j0 = 0; j0 < keys; j0 += SIDE) {
    float p[OWN][OWN], ds[OWN][OWN];
    make_weights(a, at, of, shared, i0, j0, p, ds);
    put_turned(tile, ds, i, j);
    __syncthreads();
    by_tile(tile, of.k, j0, a.d, column, shared, p);
    add(dq, p);
  }
  store(thin(a, at, a.dq, a.queries), i0 + i, column + j, a.d, dq);
}

TCT_CUDA_KERNEL(attention_grad_keys, TCT_CU_TILE_BLOCK, 2) {
  __shared__ tct_cu_tile_buffers shared;
  __shared__ __align__(16) float tile[SIDE * PITCH]; /* [query][key] */
  const place at = place_of(a);
  const operands of = operands_of(a, at);
  const int i = (int)threadIdx.x / ALONG * OWN, j = (int)threadIdx.x % ALONG * OWN;
  const int64_t j0 = at.tile * SIDE, column = at.chunk * SIDE;
  float dk[OWN][OWN], dv[OWN][OWN];
  clear(dk);
  clear(dv);
  for (int64_t i0 = a.causal != 0 ? j0 : 0; i0 < a.queries; i0 += SIDE) {
    float p[OWN][OWN], ds[OWN][OWN];
    make_weights(a, at, of, shared, i0, j0, p, ds);
    put_tile(tile, p, i, j);
    __syncthreads();
    if (column < a.width) {
      by_tile(tile, of.dy, i0, a.width, column, shared, p);
      add(dv, p);
    }
    if (column >= a.d) continue;
    put_tile(tile, ds, i, j);
    __syncthreads();
    by_tile(tile, of.q, i0, a.d, column, shared, p);
    add(dk, p);
  }
  store(thin(a, at, a.dk, a.keys), j0 + i, column + j, a.d, dk);
  store(wide(a, at, a.dv, a.keys), j0 + i, column + j, a.width, dv);
}
