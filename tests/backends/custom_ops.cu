// Kernels of the custom ops of test_gpu_custom.c, which NVRTC compiles, and the tests' emulator runs (it defines TCT_SIMT).
// y = a·x, of a node with one input: x, y, their sizes, the attributes.
struct custom_attrs {
  double a;
  long long columns;
};

extern "C" __global__ void custom_scale(const float *x, float *y, long long n, long long, custom_attrs attrs) {
  const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = (float)attrs.a * x[i];
}

// dx = a·dy
extern "C" __global__ void custom_scale_grad(const float *, const float *dy, float *dx, long long, long long, long long n,
                                             custom_attrs attrs) {
  const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) dx[i] = (float)attrs.a * dy[i];
}

// The sums of the columns of x [rows, columns], times a, by a launch rule: a block to 32 columns, 4 threads to a column, whose
// parts meet in shared memory that the rule asks for.
extern "C" __global__ void __launch_bounds__(128) custom_columns(const float *x, float *y, long long n, long long columns, custom_attrs attrs) {
#ifdef TCT_SIMT
  float *const parts = (float *)tct_simt_dynamic();
#else
  extern __shared__ float parts[];
#endif
  const long long column = (long long)blockIdx.x * 32 + threadIdx.x, rows = n / columns;
  float sum = 0;
  for (long long r = threadIdx.y; r < rows && column < columns; r += 4) sum += x[r * columns + column];
  parts[threadIdx.y * 32 + threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y != 0 || column >= columns) return;
  for (int k = 1; k < 4; k++) sum += parts[k * 32 + threadIdx.x];
  y[column] = (float)attrs.a * sum;
}

// y = the size of x, of an op without attributes; also as PTX, custom_fill.ptx.
extern "C" __global__ void custom_fill(const float *, float *y, long long n_x, long long n) {
  const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = (float)n_x;
}
