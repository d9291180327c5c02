/* The matrix product by cuBLASLt: bias and ReLU or GELU in the library's epilogue; another activation by our own kernel, from a product
 * in f32. Row-major matrices are the library's column-major ones transposed: it is asked for yᵀ = op(b)ᵀ·op(a)ᵀ. Its algorithm is the
 * first that its heuristic names among those that sum in a fixed order (or, where the job permits it, any), or the quickest of the first
 * few, chosen once for each problem. */
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include "backends/cuda/cublaslt.h"
#include "backends/cuda/tiling.h"
#include "backends/cuda/tune.h"

/* Below, the launch is what a product costs, and our own kernel's is as quick. */
static const double least_work = 1 << 20; /* multiply-adds */

typedef struct problem {
  int64_t m, n, k, batch, a_stride, b_stride; /* of row-major y [m,n]; strides in elements, 0: the same for all */
  int32_t in_type, out_type;                  /* cudaDataType */
  int32_t compute, epilogue;
  int32_t transpose_a, transpose_b;
} problem;
static_assert(sizeof(problem) == 6 * sizeof(int64_t) + 6 * sizeof(int32_t), "no gaps");

typedef struct choice {
  problem problem;
  cublasLtMatmulAlgo_t algo;
  size_t workspace_bytes;
  cublasStatus_t status; /* NOT_SUPPORTED: no algorithm */
} choice;

/* What a device holds of the library. */
struct tct_cu_products {
  const tct_cu_cublaslt *api; /* NULL: `why` */
  cublasLtHandle_t handle;    /* owned */
  choice *choices;            /* owned */
  int32_t n_choices, capacity;
  char why[1200];
};

typedef struct descriptors {
  cublasLtMatmulDesc_t product;
  cublasLtMatrixLayout_t a, b, y;
} descriptors;

typedef struct product_state {
  descriptors of;
  cublasLtMatmulAlgo_t algo;
  size_t workspace_bytes;
  bool finish; /* the product goes to the workspace in f32, and through `end` from there */
  tct_cu_epilogue end;
  int64_t size, n;
  tct_cu_extent extent;
} product_state;

/* ---- the device's share of the library ---- */

static void start(tct_device_impl *device, struct tct_cu_products *products) {
  const tct_cu_cublaslt *const api = tct_cu_cublaslt_open(device->host, products->why, sizeof products->why);
  if (api == NULL) return;
  const cublasStatus_t status = api->create(&products->handle);
  if (status == CUBLAS_STATUS_SUCCESS) products->api = api;
  else snprintf(products->why, sizeof products->why, "%s does not start: cublasLtCreate fails: %s", api->name, api->status_name(status));
}

static struct tct_cu_products *products_of(tct_device_impl *device) {
  if (device->products != NULL) return device->products;
  device->products = tct_cu_state(device, sizeof *device->products);
  if (device->products != NULL) start(device, device->products);
  return device->products;
}

void tct_cu_close_products(tct_device_impl *device) {
  struct tct_cu_products *const products = device->products;
  if (products == NULL) return;
  if (products->api != NULL) (void)products->api->destroy(products->handle);
  device->host->release(products->choices);
  device->host->release(products);
  device->products = NULL;
}

/* ---- what is multiplied ---- */

static int32_t type_of(tct_dtype dtype) {
  return dtype == TCT_F32 ? CUDA_R_32F : dtype == TCT_BF16 ? CUDA_R_16BF : CUDA_R_16F;
}

/* 0: the library has none for the activation. */
static int32_t epilogue_of(tct_op activation, bool bias) {
  const int32_t with_bias = bias ? CUBLASLT_EPILOGUE_BIAS : 0;
  if (activation == TCT_OP_NONE) return bias ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_DEFAULT;
  if (activation == TCT_OP_relu) return CUBLASLT_EPILOGUE_RELU | with_bias;
  return activation == TCT_OP_gelu_tanh ? CUBLASLT_EPILOGUE_GELU | with_bias : 0;
}

/* Problems are compared as memory, and have none between their fields. */
static bool problem_of(const tct_device_impl *device, const tct_node_view *node, problem *out, product_state *state, char *why,
                       size_t why_bytes) {
  const tct_matmul_attrs *const attrs = node->attrs;
  const tct_dtype in = node->in[0].dtype, y = node->out[0].dtype;
  tct_cu_gemm_args a;
  tct_cu_gemm_of(node, &a);
  if (node->in[1].dtype != in || (y != in && y != TCT_F32)) return tct_cu_refuse(why, why_bytes, "no product of these dtypes");
  if (a.a_batch.rank > 1 || a.b_batch.rank > 1) return tct_cu_refuse(why, why_bytes, "its matrices do not lie one stride apart");
  *out = (problem){.m = 0};
  out->m = a.m, out->n = a.n, out->k = a.k, out->batch = a.batch;
  out->a_stride = a.a_batch.rank > 0 ? a.a_batch.stride[0] : 0;
  out->b_stride = a.b_batch.rank > 0 ? a.b_batch.stride[0] : 0;
  out->in_type = type_of(in);
  out->compute = in == TCT_F32 && device->tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
  out->transpose_a = attrs->transpose_a;
  out->transpose_b = attrs->transpose_b;
  out->epilogue = epilogue_of(attrs->activation, node->n_in > 2);
  state->finish = out->epilogue == 0;
  if (state->finish) out->epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  out->out_type = state->finish ? CUDA_R_32F : type_of(y);
  state->end = a.end;
  state->size = a.batch * a.m * a.n;
  state->n = a.n;
  return true;
}

static void drop(const tct_cu_cublaslt *api, const descriptors *of) {
  if (of->product != NULL) (void)api->product_destroy(of->product);
  if (of->a != NULL) (void)api->matrix_destroy(of->a);
  if (of->b != NULL) (void)api->matrix_destroy(of->b);
  if (of->y != NULL) (void)api->matrix_destroy(of->y);
}

#define TRY(call)                                                                                                      \
  do {                                                                                                                 \
    const cublasStatus_t status_ = (call);                                                                             \
    if (status_ != CUBLAS_STATUS_SUCCESS) return status_;                                                              \
  } while (0)
#define SET(function, of, attribute, value) TRY(api->function(of, attribute, &(value), sizeof(value)))

/* A matrix of `rows` rows of `columns` elements each, one after another. */
static cublasStatus_t describe_matrix(const tct_cu_cublaslt *api, cublasLtMatrixLayout_t *out, int32_t type, int64_t rows,
                                      int64_t columns, const problem *p, int64_t stride) {
  const int32_t batch = (int32_t)p->batch;
  TRY(api->matrix_create(out, (cudaDataType)type, (uint64_t)columns, (uint64_t)rows, columns));
  SET(matrix_set, *out, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, batch);
  SET(matrix_set, *out, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, stride);
  return CUBLAS_STATUS_SUCCESS;
}

static cublasStatus_t describe(const tct_cu_cublaslt *api, const problem *p, descriptors *out) {
  const int32_t first = p->transpose_b != 0 ? CUBLAS_OP_T : CUBLAS_OP_N, second = p->transpose_a != 0 ? CUBLAS_OP_T : CUBLAS_OP_N;
  /* An address that is none yet: without one the library finds no algorithm for a bias. */
  const void *const some = (const void *)(uintptr_t)TCT_CU_ALIGNMENT;
  TRY(api->product_create(&out->product, (cublasComputeType_t)p->compute, CUDA_R_32F));
  SET(product_set, out->product, CUBLASLT_MATMUL_DESC_TRANSA, first);
  SET(product_set, out->product, CUBLASLT_MATMUL_DESC_TRANSB, second);
  SET(product_set, out->product, CUBLASLT_MATMUL_DESC_EPILOGUE, p->epilogue);
  if ((p->epilogue & CUBLASLT_EPILOGUE_BIAS) != 0) SET(product_set, out->product, CUBLASLT_MATMUL_DESC_BIAS_POINTER, some);
  TRY(describe_matrix(api, &out->a, p->in_type, p->transpose_a != 0 ? p->k : p->m, p->transpose_a != 0 ? p->m : p->k, p, p->a_stride));
  TRY(describe_matrix(api, &out->b, p->in_type, p->transpose_b != 0 ? p->n : p->k, p->transpose_b != 0 ? p->k : p->n, p, p->b_stride));
  return describe_matrix(api, &out->y, p->out_type, p->m, p->n, p, p->m * p->n);
}

/* ---- by which algorithm ---- */

/* Sums of parts in the workspace in f32, joined in order: no rounding in between, and no atomics but where the order may differ and what
 * they add into is f32. Every operand lies on 256 bytes, which is
 * the library's default. */
static cublasStatus_t set_wishes(const tct_cu_cublaslt *api, cublasLtMatmulPreference_t wish, const tct_device_impl *device, bool to_f32) {
  const uint64_t most = (uint64_t)(device->chip.major >= 9 ? 32 : 8) << 20;
  const uint32_t sums = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE | (device->any_order && to_f32 ? CUBLASLT_REDUCTION_SCHEME_INPLACE : 0u);
  SET(wish_set, wish, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, most);
  SET(wish_set, wish, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, sums);
  return CUBLAS_STATUS_SUCCESS;
}

/* Up to `most` algorithms, those that the library takes back left out. */
static cublasStatus_t ask(tct_device_impl *device, const problem *p, const descriptors *of, int32_t most,
                          cublasLtMatmulHeuristicResult_t *out, int32_t *out_n) {
  const struct tct_cu_products *const products = device->products;
  const tct_cu_cublaslt *const api = products->api;
  cublasLtMatmulPreference_t wish = NULL;
  int n = 0;
  *out_n = 0;
  TRY(api->wish_create(&wish));
  cublasStatus_t status = set_wishes(api, wish, device, p->out_type == CUDA_R_32F);
  if (status == CUBLAS_STATUS_SUCCESS)
    status = api->choose(products->handle, of->product, of->b, of->a, of->y, of->y, wish, most, out, &n);
  (void)api->wish_destroy(wish);
  for (int i = 0; i < n && status == CUBLAS_STATUS_SUCCESS; i++)
    if (out[i].state == CUBLAS_STATUS_SUCCESS) out[(*out_n)++] = out[i];
  return status == CUBLAS_STATUS_SUCCESS && *out_n == 0 ? CUBLAS_STATUS_NOT_SUPPORTED : status;
}

/* ---- the quickest of several ---- */

typedef struct contestants {
  tct_device_impl *device;
  const descriptors *of;
  const problem *p;
  cublasLtMatmulHeuristicResult_t found[TCT_CU_CANDIDATES];
  size_t b_at, y_at, bias_at, workspace_at, memory_bytes; /* a lies at 0 */
} contestants;

static size_t matrix_bytes(int32_t type, int64_t rows, int64_t columns, int64_t batch, int64_t stride) {
  const size_t bytes = (size_t)((batch - 1) * stride + rows * columns) * (type == CUDA_R_32F ? sizeof(float) : sizeof(uint16_t));
  return tct_cu_aligned(bytes);
}

static void lay_out(contestants *c, int32_t n) {
  const problem *const p = c->p;
  c->b_at = matrix_bytes(p->in_type, p->m, p->k, p->batch, p->a_stride);
  c->y_at = c->b_at + matrix_bytes(p->in_type, p->k, p->n, p->batch, p->b_stride);
  c->bias_at = c->y_at + matrix_bytes(p->out_type, p->m, p->n, p->batch, p->m * p->n);
  c->workspace_at = c->bias_at + matrix_bytes(p->out_type, 1, p->n, 1, 0);
  for (int32_t i = 0; i < n; i++)
    if (c->workspace_at + c->found[i].workspaceSize > c->memory_bytes) c->memory_bytes = c->workspace_at + c->found[i].workspaceSize;
}

static bool run_contestant(void *user, int32_t i, char *memory) {
  const contestants *const c = user;
  const struct tct_cu_products *const products = c->device->products;
  const tct_cu_cublaslt *const api = products->api;
  const float one = 1, zero = 0;
  const void *const bias = memory + c->bias_at;
  const bool has_bias = (c->p->epilogue & CUBLASLT_EPILOGUE_BIAS) != 0;
  if (has_bias && api->product_set(c->of->product, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof bias) != CUBLAS_STATUS_SUCCESS) return false;
  return api->multiply(products->handle, c->of->product, &one, memory + c->b_at, c->of->b, memory, c->of->a, &zero, memory + c->y_at, c->of->y,
                       memory + c->y_at, c->of->y, &c->found[i].algo, memory + c->workspace_at, c->found[i].workspaceSize,
                       c->device->stream[TCT_QUEUE_COMPUTE]) == CUBLAS_STATUS_SUCCESS;
}

/* The library's first, or the one that is kept for the problem, or else the quickest. */
static cublasStatus_t take(tct_device_impl *device, const descriptors *of, choice *out) {
  contestants c = {.device = device, .of = of, .p = &out->problem};
  const tct_cu_contest contest = {device->products->api->name, "product", &out->problem, sizeof out->problem};
  int32_t n = 0, chosen = 0;
  const cublasStatus_t status = ask(device, c.p, of, device->tunes ? TCT_CU_CANDIDATES : 1, c.found, &n);
  if (status != CUBLAS_STATUS_SUCCESS) return status;
  if (n > 1) {
    const int32_t kept = tct_cu_kept_choice(device, &contest);
    device->n_kept += kept >= 0;
    lay_out(&c, n);
    chosen = kept >= 0 ? kept : tct_cu_time(device, &contest, n, c.memory_bytes, run_contestant, &c);
    if (chosen >= n) chosen = 0;
  }
  out->algo = c.found[chosen].algo;
  out->workspace_bytes = c.found[chosen].workspaceSize;
  return CUBLAS_STATUS_SUCCESS;
}

static tct_status choose(tct_device_impl *device, const problem *p, const descriptors *of, const choice **out) {
  struct tct_cu_products *const products = device->products;
  for (int32_t i = 0; i < products->n_choices; i++) {
    *out = &products->choices[i];
    if (memcmp(&products->choices[i].problem, p, sizeof *p) == 0) return TCT_OK;
  }
  if (products->n_choices == products->capacity) {
    const int32_t capacity = products->capacity + 32;
    choice *const more = device->host->alloc((size_t)capacity * sizeof *more, 64);
    if (more == NULL) return TCT_OUT_OF_MEMORY;
    if (products->n_choices > 0) memcpy(more, products->choices, (size_t)products->n_choices * sizeof *more);
    device->host->release(products->choices);
    products->choices = more;
    products->capacity = capacity;
  }
  choice *const made = &products->choices[products->n_choices++];
  *made = (choice){.problem = *p};
  made->status = take(device, of, made);
  *out = made;
  return TCT_OK;
}

/* ---- the family ---- */

bool tct_cu_matmul_cublaslt_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  tct_cu_gemm_args a;
  if (!tct_cu_floats(node, ~0u, why, why_bytes)) return false;
  tct_cu_gemm_of(node, &a);
  return (double)a.m * (double)a.n * (double)a.k * (double)a.batch >= least_work && a.batch <= INT32_MAX;
}

/* Descriptors, algorithm and workspace, or why there are none. */
static tct_status plan(tct_device_impl *device, const tct_node_view *node, product_state *state, size_t *out_workspace_bytes) {
  const tct_cu_cublaslt *const api = device->products->api;
  problem p;
  char why[160];
  const choice *chosen = NULL;
  if (!problem_of(device, node, &p, state, why, sizeof why)) return tct_cu_refused(device, node, api->name, why);
  cublasStatus_t status = describe(api, &p, &state->of);
  if (status == CUBLAS_STATUS_SUCCESS) {
    const tct_status found = choose(device, &p, &state->of, &chosen);
    if (found != TCT_OK) return found;
    status = chosen->status;
  }
  if (status != CUBLAS_STATUS_SUCCESS) {
    snprintf(why, sizeof why, "it has no algorithm: %s", api->status_name(status));
    return tct_cu_refused(device, node, api->name, why);
  }
  state->algo = chosen->algo;
  state->workspace_bytes = tct_cu_aligned(chosen->workspace_bytes);
  state->extent = tct_cu_extent_over(device, state->size, TCT_CU_BLOCK, 1);
  *out_workspace_bytes = state->workspace_bytes + (state->finish ? (size_t)state->size * sizeof(float) : 0);
  return TCT_OK;
}

tct_status tct_cu_matmul_cublaslt_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  tct_status status = tct_cu_enter(device);
  if (status != TCT_OK) return status;
  const struct tct_cu_products *const products = products_of(device);
  if (products == NULL) return TCT_OUT_OF_MEMORY;
  if (products->api == NULL) return tct_cu_refused(device, NULL, "products", products->why);
  product_state *const state = tct_cu_state(device, sizeof *state);
  if (state == NULL) return TCT_OUT_OF_MEMORY;
  status = plan(device, node, state, &out->workspace_bytes);
  if (status == TCT_OK) out->state = state;
  else tct_cu_matmul_cublaslt_release(device, state);
  return status;
}

void tct_cu_matmul_cublaslt_release(tct_device_impl *device, void *made) {
  product_state *const state = made;
  if (state == NULL) return;
  drop(device->products->api, &state->of);
  tct_cu_release_state(device, state);
}

static cublasStatus_t multiply(tct_device_impl *device, const product_state *state, const tct_launch *launch, void *y) {
  const struct tct_cu_products *const products = device->products;
  const tct_cu_cublaslt *const api = products->api;
  const float one = 1, zero = 0;
  const bool bias = !state->finish && launch->node->n_in > 2;
  if (bias) SET(product_set, state->of.product, CUBLASLT_MATMUL_DESC_BIAS_POINTER, launch->in[2]);
  return api->multiply(products->handle, state->of.product, &one, launch->in[1], state->of.b, launch->in[0], state->of.a, &zero, y,
                       state->of.y, y, state->of.y, &state->algo, launch->workspace, state->workspace_bytes,
                       device->stream[TCT_QUEUE_COMPUTE]);
}

static tct_status finish(tct_device_impl *device, const tct_launch *launch, const float *product) {
  const product_state *const state = launch->state;
  const tct_node_view *const node = launch->node;
  tct_cu_sum_parts_args a = {.partial = product,
                             .y = tct_cu_tensor_of(&node->out[0], launch->out[0]),
                             .end = state->end,
                             .size = state->size,
                             .parts = 1,
                             .n = tct_cu_divisor_of(state->n)};
  if (node->n_in > 2) a.end.bias = tct_cu_tensor_of(&node->in[2], launch->in[2]);
  return tct_cu_launch(device, node, TCT_CU_KERNEL_sum_parts, &state->extent, &a);
}

tct_status tct_cu_matmul_cublaslt_launch(tct_device_impl *device, const tct_launch *launch) {
  static const char call[] = "cublasLtMatmul";
  const product_state *const state = launch->state;
  void *const y = state->finish ? (char *)launch->workspace + state->workspace_bytes : launch->out[0];
  tct_status status = tct_cu_begin_work(device, launch->node, call);
  if (status != TCT_OK) return status;
  const cublasStatus_t answer = multiply(device, state, launch, y);
  status = tct_cu_end_work(device, call);
  if (answer != CUBLAS_STATUS_SUCCESS)
    return tct_cu_library_failed(device, answer == CUBLAS_STATUS_ALLOC_FAILED ? TCT_OUT_OF_MEMORY : TCT_INTERNAL, call,
                                 device->products->api->status_name(answer), (int)answer);
  return status == TCT_OK && state->finish ? finish(device, launch, y) : status;
}
#undef SET
#undef TRY
