/* See products.h. Row-major matrices are the library's column-major ones transposed: it is asked for yᵀ = op(b)ᵀ·op(a)ᵀ. The algorithm is
 * the first that its heuristic names among those that sum in a fixed order (or, where the job permits it, any), or the quickest of the
 * first few, chosen once for each problem. */
#include "backends/cuda/libraries/products.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include "backends/cuda/libraries/tune.h"

/* Below, the launch is what a product costs, and our own kernel's is as quick. */
static const double least_work = 1 << 20; /* multiply-adds */

typedef tct_cu_product_problem problem;
static_assert(sizeof(problem) == 6 * sizeof(int64_t) + 6 * sizeof(int32_t), "no gaps: problems are compared as memory");

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

/* ---- the device's share of the library ---- */

static void start(tct_device_impl *device, struct tct_cu_products *products) {
  const tct_cu_cublaslt *const api = tct_cu_cublaslt_open(device->host, products->why, sizeof products->why);
  if (api == NULL) return;
  const cublasStatus_t status = api->create(&products->handle);
  if (status == CUBLAS_STATUS_SUCCESS) products->api = api;
  else snprintf(products->why, sizeof products->why, "%s does not start: cublasLtCreate fails: %s", api->name, api->status_name(status));
}

tct_status tct_cu_products_start(tct_device_impl *device) {
  const tct_status status = tct_cu_enter(device);
  if (status != TCT_OK) return status;
  if (device->products == NULL) {
    device->products = tct_cu_state(device, sizeof *device->products);
    if (device->products == NULL) return TCT_OUT_OF_MEMORY;
    start(device, device->products);
  }
  return device->products->api != NULL ? TCT_OK : tct_cu_refused(device, NULL, "products", device->products->why);
}

const char *tct_cu_products_name(const tct_device_impl *device) { return device->products->api->name; }

void tct_cu_close_products(tct_device_impl *device) {
  struct tct_cu_products *const products = device->products;
  if (products == NULL) return;
  if (products->api != NULL) (void)products->api->destroy(products->handle);
  device->host->release(products->choices);
  device->host->release(products);
  device->products = NULL;
}

/* ---- what is multiplied ---- */

int32_t tct_cu_product_type(tct_dtype dtype) {
  return dtype == TCT_F32 ? CUDA_R_32F : dtype == TCT_BF16 ? CUDA_R_16BF : CUDA_R_16F;
}

bool tct_cu_product_is_large(int64_t m, int64_t n, int64_t k, int64_t batch) {
  return (double)m * (double)n * (double)k * (double)batch >= least_work && batch <= INT32_MAX;
}

void tct_cu_product_drop(tct_device_impl *device, tct_cu_product *of) {
  const tct_cu_cublaslt *const api = device->products->api;
  if (of->product != NULL) (void)api->product_destroy(of->product);
  if (of->a != NULL) (void)api->matrix_destroy(of->a);
  if (of->b != NULL) (void)api->matrix_destroy(of->b);
  if (of->y != NULL) (void)api->matrix_destroy(of->y);
  *of = (tct_cu_product){.product = NULL};
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

static cublasStatus_t set_operands(const tct_cu_cublaslt *api, cublasLtMatmulDesc_t product, const void *bias, const void *aux) {
  if (bias != NULL) SET(product_set, product, CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
  if (aux != NULL) SET(product_set, product, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, aux);
  return CUBLAS_STATUS_SUCCESS;
}

static bool has_bias(const problem *p) { return (p->epilogue & TCT_CU_EPILOGUE_VECTOR) != 0; }
static bool has_aux(const problem *p) { return (p->epilogue & TCT_CU_EPILOGUE_AUX) != 0; }

static cublasStatus_t describe(const tct_cu_cublaslt *api, const problem *p, tct_cu_product *out) {
  const int32_t first = p->transpose_b != 0 ? CUBLAS_OP_T : CUBLAS_OP_N, second = p->transpose_a != 0 ? CUBLAS_OP_T : CUBLAS_OP_N;
  const int64_t size = p->m * p->n;
  /* An address that is none yet: without one the library finds no algorithm for a bias. */
  const void *const some = (const void *)(uintptr_t)TCT_CU_ALIGNMENT;
  TRY(api->product_create(&out->product, (cublasComputeType_t)p->compute, CUDA_R_32F));
  SET(product_set, out->product, CUBLASLT_MATMUL_DESC_TRANSA, first);
  SET(product_set, out->product, CUBLASLT_MATMUL_DESC_TRANSB, second);
  SET(product_set, out->product, CUBLASLT_MATMUL_DESC_EPILOGUE, p->epilogue);
  TRY(set_operands(api, out->product, has_bias(p) ? some : NULL, has_aux(p) ? some : NULL));
  if (has_aux(p)) {
    SET(product_set, out->product, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, p->n);
    SET(product_set, out->product, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_BATCH_STRIDE, size);
  }
  TRY(describe_matrix(api, &out->a, p->in_type, p->transpose_a != 0 ? p->k : p->m, p->transpose_a != 0 ? p->m : p->k, p, p->a_stride));
  TRY(describe_matrix(api, &out->b, p->in_type, p->transpose_b != 0 ? p->n : p->k, p->transpose_b != 0 ? p->k : p->n, p, p->b_stride));
  return describe_matrix(api, &out->y, p->out_type, p->m, p->n, p, size);
}

/* ---- by which algorithm ---- */

/* Sums of parts in the workspace in f32, joined in order: no rounding in between, and no atomics but where the order may differ and what
 * they add into is f32. Every operand lies on 256 bytes, which is the library's default. */
static cublasStatus_t set_wishes(const tct_cu_cublaslt *api, cublasLtMatmulPreference_t wish, const tct_device_impl *device, bool to_f32) {
  const uint64_t most = (uint64_t)(device->chip.major >= 9 ? 32 : 8) << 20;
  const uint32_t sums = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE | (device->any_order && to_f32 ? CUBLASLT_REDUCTION_SCHEME_INPLACE : 0u);
  SET(wish_set, wish, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, most);
  SET(wish_set, wish, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, sums);
  return CUBLAS_STATUS_SUCCESS;
}

/* Up to `most` algorithms, those that the library takes back left out. */
static cublasStatus_t ask(tct_device_impl *device, const problem *p, const tct_cu_product *of, int32_t most,
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
  const tct_cu_product *of;
  const problem *p;
  cublasLtMatmulHeuristicResult_t found[TCT_CU_CANDIDATES];
  size_t b_at, y_at, bias_at, aux_at, workspace_at, memory_bytes; /* a lies at 0 */
} contestants;

static size_t matrix_bytes(int32_t type, int64_t rows, int64_t columns, int64_t batch, int64_t stride) {
  const size_t bytes = (size_t)((batch - 1) * stride + rows * columns) * (type == CUDA_R_32F ? sizeof(float) : sizeof(uint16_t));
  return tct_cu_aligned(bytes);
}

static void lay_out(contestants *c, int32_t n) {
  const problem *const p = c->p;
  c->b_at = matrix_bytes(p->in_type, p->m, p->k, p->batch, p->a_stride);
  c->y_at = c->b_at + matrix_bytes(p->in_type, p->k, p->n, p->batch, p->b_stride);
  const size_t y_bytes = matrix_bytes(p->out_type, p->m, p->n, p->batch, p->m * p->n);
  c->bias_at = c->y_at + y_bytes;
  c->aux_at = c->bias_at + matrix_bytes(p->out_type, 1, p->n, 1, 0);
  c->workspace_at = c->aux_at + (has_aux(p) ? y_bytes : 0);
  for (int32_t i = 0; i < n; i++)
    if (c->workspace_at + c->found[i].workspaceSize > c->memory_bytes) c->memory_bytes = c->workspace_at + c->found[i].workspaceSize;
}

static bool run_contestant(void *user, int32_t i, char *memory) {
  const contestants *const c = user;
  const struct tct_cu_products *const products = c->device->products;
  const tct_cu_cublaslt *const api = products->api;
  const float one = 1, zero = 0;
  const char *const bias = has_bias(c->p) ? memory + c->bias_at : NULL, *const aux = has_aux(c->p) ? memory + c->aux_at : NULL;
  if (set_operands(api, c->of->product, bias, aux) != CUBLAS_STATUS_SUCCESS) return false;
  return api->multiply(products->handle, c->of->product, &one, memory + c->b_at, c->of->b, memory, c->of->a, &zero, memory + c->y_at, c->of->y,
                       memory + c->y_at, c->of->y, &c->found[i].algo, memory + c->workspace_at, c->found[i].workspaceSize,
                       c->device->stream[TCT_QUEUE_COMPUTE]) == CUBLAS_STATUS_SUCCESS;
}

/* The library's first, or the one that is kept for the problem, or else the quickest. */
static cublasStatus_t take(tct_device_impl *device, const tct_cu_product *of, choice *out) {
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

static tct_status choose(tct_device_impl *device, const problem *p, const tct_cu_product *of, const choice **out) {
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

/* ---- a product ---- */

/* Descriptors and algorithm, or why there are none; what was made of them is dropped by the caller. */
static tct_status make(tct_device_impl *device, const tct_node_view *node, const problem *p, tct_cu_product *out) {
  const tct_cu_cublaslt *const api = device->products->api;
  char why[160];
  const choice *chosen = NULL;
  cublasStatus_t status = describe(api, p, out);
  if (status == CUBLAS_STATUS_SUCCESS) {
    const tct_status found = choose(device, p, out, &chosen);
    if (found != TCT_OK) return found;
    status = chosen->status;
  }
  if (status != CUBLAS_STATUS_SUCCESS) {
    const bool fused = has_aux(p) || (p->epilogue & CUBLASLT_EPILOGUE_BGRADA) != 0;
    snprintf(why, sizeof why, "it has no algorithm%s: %s", fused ? " with this epilogue" : "", api->status_name(status));
    return fused ? tct_cu_refused_for(device, node, api->name, why, "its plain product is tried, with the module's own kernel behind it")
                 : tct_cu_refused(device, node, api->name, why);
  }
  out->algo = chosen->algo;
  out->workspace_bytes = tct_cu_aligned(chosen->workspace_bytes);
  return TCT_OK;
}

tct_status tct_cu_product_plan(tct_device_impl *device, const tct_node_view *node, const problem *wanted, tct_cu_product *out) {
  problem p = *wanted;
  p.compute = p.in_type == CUDA_R_32F && device->tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
  *out = (tct_cu_product){.product = NULL};
  const tct_status status = make(device, node, &p, out);
  if (status != TCT_OK) tct_cu_product_drop(device, out);
  return status;
}

static cublasStatus_t multiply(const tct_device_impl *device, const tct_cu_product *of, const tct_cu_product_operands *o) {
  const struct tct_cu_products *const products = device->products;
  const tct_cu_cublaslt *const api = products->api;
  const float one = 1, zero = 0;
  TRY(set_operands(api, of->product, o->bias, o->aux));
  return api->multiply(products->handle, of->product, &one, o->b, of->b, o->a, of->a, &zero, o->y, of->y, o->y, of->y, &of->algo, o->workspace,
                       of->workspace_bytes, device->stream[TCT_QUEUE_COMPUTE]);
}

tct_status tct_cu_product_run(tct_device_impl *device, const tct_node_view *node, const tct_cu_product *of, const tct_cu_product_operands *operands) {
  static const char call[] = "cublasLtMatmul";
  tct_status status = tct_cu_begin_work(device, node, call);
  if (status != TCT_OK) return status;
  const cublasStatus_t answer = multiply(device, of, operands);
  status = tct_cu_end_work(device, call);
  return answer == CUBLAS_STATUS_SUCCESS
             ? status
             : tct_cu_library_failed(device, answer == CUBLAS_STATUS_ALLOC_FAILED ? TCT_OUT_OF_MEMORY : TCT_INTERNAL, call,
                                     device->products->api->status_name(answer), (int)answer);
}
#undef SET
#undef TRY
