// The kernels of row_rms and its gradient (custom_op_gpu.c), a block of THREADS to each row. Parameters as <tercet/op.h> says: the
// operands' addresses, their sizes, the attributes.
struct row_rms_attrs {
  double eps;
  long long columns;
};

enum { THREADS = 128 };

// The sum over the block, for each of its threads.
static __device__ float block_sum(float mine) {
  __shared__ float parts[THREADS];
  parts[threadIdx.x] = mine;
  __syncthreads();
  for (unsigned half = THREADS / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) parts[threadIdx.x] += parts[threadIdx.x + half];
    __syncthreads();
  }
  const float sum = parts[0];
  __syncthreads(); // before the next call writes
  return sum;
}

// y = x·s of each row, s = 1/sqrt(mean(x²) + eps)
extern "C" __global__ void row_rms(const float *x, float *y, long long, long long, row_rms_attrs attrs) {
  const long long n = attrs.columns, row = n * blockIdx.x;
  float squares = 0;
  for (long long i = threadIdx.x; i < n; i += THREADS) squares += x[row + i] * x[row + i];
  const float s = 1 / sqrtf(block_sum(squares) / (float)n + (float)attrs.eps);
  for (long long i = threadIdx.x; i < n; i += THREADS) y[row + i] = x[row + i] * s;
}

// dx = (dy - y·mean(dy·y))·s
extern "C" __global__ void row_rms_grad(const float *x, const float *dy, float *dx, long long, long long, long long, row_rms_attrs attrs) {
  const long long n = attrs.columns, row = n * blockIdx.x;
  float squares = 0, products = 0;
  for (long long i = threadIdx.x; i < n; i += THREADS) {
    squares += x[row + i] * x[row + i];
    products += x[row + i] * dy[row + i];
  }
  const float s = 1 / sqrtf(block_sum(squares) / (float)n + (float)attrs.eps);
  const float mean = s * block_sum(products) / (float)n;
  for (long long i = threadIdx.x; i < n; i += THREADS) dx[row + i] = (dy[row + i] - x[row + i] * s * mean) * s;
}
