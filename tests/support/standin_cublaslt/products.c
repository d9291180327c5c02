/* A stand-in for cuBLASLt over the stand-in driver, for tests on machines without a GPU: libcublasLt.so.13 with the functions of
 * backends/cuda/libraries/cublaslt.def. Products are computed on host memory in the stream's order. It is stricter than the library: what is said
 * of matrices must fit together and lie in device memory, an algorithm works for the problem that it was named for only and spoils all
 * of its workspace, an epilogue's second matrix has a pitch of a multiple of 8, sums in an order that is not fixed are wrong where they are asked for, and refused where they would round in between. It
 * knows four algorithms, of which one is taken back; runs of the others count as calls of "algorithm.0", "algorithm.1", "algorithm.2", and
 * the second is the quickest. Calls are counted and told to fail as the driver's are. */
#include <cublasLt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "support/standin_cuda/numbers.h"
#include "support/standin_cuda/settings.h"

enum { WORKSPACE = 1000, ALIGNMENT = 256, TAKEN_BACK = 2, N_ALGORITHMS = 4 };
/* By number, as it is counted in names and takes its time. */
static const struct {
  const char *name;
  double ms;
} algorithms[N_ALGORITHMS] = {{"algorithm.0", 0.3}, {"algorithm.1", 0.1}, {"", 0}, {"algorithm.2", 0.2}};

int64_t standin_cublaslt_live(void);

typedef struct layout {
  int32_t type, batch;
  uint64_t rows, columns;
  int64_t pitch, stride;
} layout;

typedef struct product {
  int32_t compute, transpose_a, transpose_b;
  uint32_t epilogue;
  int64_t aux_pitch, aux_stride;
  char *bias, *aux;
} product;

/* Of an epilogue: it has a second matrix, a vector. */
enum { HAS_AUX = 128, HAS_BIAS = CUBLASLT_EPILOGUE_BIAS | CUBLASLT_EPILOGUE_BGRADA };

typedef struct wish {
  uint64_t most_workspace;
  uint32_t reductions;
} wish;

static int64_t n_live; /* descriptors and handles */

#define BEGIN()                                                                                                        \
  do {                                                                                                                 \
    const CUresult told_ = standin_called(__func__);                                                                   \
    if (told_ != CUDA_SUCCESS) return (cublasStatus_t)told_;                                                           \
  } while (0)

int64_t standin_cublaslt_live(void) { return n_live; }

size_t cublasLtGetVersion(void) { return standin_now.cublaslt; }

const char *cublasLtGetStatusName(cublasStatus_t status) {
  return status == CUBLAS_STATUS_NOT_SUPPORTED      ? "CUBLAS_STATUS_NOT_SUPPORTED"
         : status == CUBLAS_STATUS_EXECUTION_FAILED ? "CUBLAS_STATUS_EXECUTION_FAILED"
         : status == CUBLAS_STATUS_INVALID_VALUE    ? "CUBLAS_STATUS_INVALID_VALUE"
                                                    : "CUBLAS_STATUS_STANDIN";
}

/* ---- objects ---- */

static cublasStatus_t make(void **out, const void *first, size_t bytes) {
  *out = malloc(bytes);
  if (*out == NULL) return CUBLAS_STATUS_ALLOC_FAILED;
  memcpy(*out, first, bytes);
  n_live++;
  return CUBLAS_STATUS_SUCCESS;
}

/* It is gone, also when the call was told to fail. */
static cublasStatus_t unmake(void *object, CUresult told) {
  free(object);
  n_live--;
  return (cublasStatus_t)told;
}

static cublasStatus_t set(void *member, size_t member_bytes, const void *value, size_t bytes) {
  if (bytes != member_bytes) return CUBLAS_STATUS_INVALID_VALUE;
  memcpy(member, value, bytes);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtCreate(cublasLtHandle_t *out) {
  BEGIN();
  return make((void **)out, "", 1);
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) { return unmake(handle, standin_called(__func__)); }

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *out, cublasComputeType_t compute, cudaDataType_t scale) {
  BEGIN();
  if (scale != CUDA_R_32F) return CUBLAS_STATUS_NOT_SUPPORTED;
  return make((void **)out, &(product){.compute = (int32_t)compute, .epilogue = CUBLASLT_EPILOGUE_DEFAULT}, sizeof(product));
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t of) { return unmake(of, standin_called(__func__)); }

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t of, cublasLtMatmulDescAttributes_t which, const void *value, size_t bytes) {
  BEGIN();
  product *const p = (product *)(void *)of;
  switch (which) {
  case CUBLASLT_MATMUL_DESC_TRANSA: return set(&p->transpose_a, sizeof p->transpose_a, value, bytes);
  case CUBLASLT_MATMUL_DESC_TRANSB: return set(&p->transpose_b, sizeof p->transpose_b, value, bytes);
  case CUBLASLT_MATMUL_DESC_EPILOGUE: return set(&p->epilogue, sizeof p->epilogue, value, bytes);
  case CUBLASLT_MATMUL_DESC_BIAS_POINTER: return set(&p->bias, sizeof p->bias, value, bytes);
  case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER: return set(&p->aux, sizeof p->aux, value, bytes);
  case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD: return set(&p->aux_pitch, sizeof p->aux_pitch, value, bytes);
  case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_BATCH_STRIDE: return set(&p->aux_stride, sizeof p->aux_stride, value, bytes);
  default: return CUBLAS_STATUS_INVALID_VALUE;
  }
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *out, cudaDataType type, uint64_t rows, uint64_t columns, int64_t pitch) {
  BEGIN();
  return make((void **)out, &(layout){(int32_t)type, 1, rows, columns, pitch, 0}, sizeof(layout));
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t of) { return unmake(of, standin_called(__func__)); }

cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t of, cublasLtMatrixLayoutAttribute_t which, const void *value,
                                                size_t bytes) {
  BEGIN();
  layout *const l = (layout *)(void *)of;
  if (which == CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT) return set(&l->batch, sizeof l->batch, value, bytes);
  if (which == CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET) return set(&l->stride, sizeof l->stride, value, bytes);
  return CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *out) {
  BEGIN();
  return make((void **)out, &(wish){0, CUBLASLT_REDUCTION_SCHEME_MASK}, sizeof(wish));
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t of) { return unmake(of, standin_called(__func__)); }

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t of, cublasLtMatmulPreferenceAttributes_t which,
                                                    const void *value, size_t bytes) {
  BEGIN();
  wish *const w = (wish *)(void *)of;
  if (which == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES) return set(&w->most_workspace, sizeof w->most_workspace, value, bytes);
  if (which == CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK) return set(&w->reductions, sizeof w->reductions, value, bytes);
  return CUBLAS_STATUS_INVALID_VALUE;
}

/* ---- the product ---- */

typedef struct call {
  product p;
  layout a, b, d;
  const char *at_a, *at_b;
  char *at_d, *workspace;
  bool unordered;
  uint64_t algorithm;
} call;

static number number_of(int32_t type) { return type == CUDA_R_32F ? NUMBER_F32 : type == CUDA_R_16BF ? NUMBER_BF16 : NUMBER_F16; }

static bool fits(const product *p, const layout *a, const layout *b, const layout *d) {
  const uint64_t m = p->transpose_a != 0 ? a->columns : a->rows, k = p->transpose_a != 0 ? a->rows : a->columns;
  const uint64_t n = p->transpose_b != 0 ? b->rows : b->columns, also_k = p->transpose_b != 0 ? b->columns : b->rows;
  const bool types = a->type == b->type && (d->type == a->type || d->type == CUDA_R_32F);
  const bool pitches = a->pitch >= (int64_t)a->rows && b->pitch >= (int64_t)b->rows && d->pitch >= (int64_t)d->rows;
  return m == d->rows && n == d->columns && k == also_k && types && pitches && a->batch == d->batch && b->batch == d->batch &&
         (p->compute == CUBLAS_COMPUTE_32F || (p->compute == CUBLAS_COMPUTE_32F_FAST_TF32 && a->type == CUDA_R_32F));
}

/* Those that the tests know, with all that they need. */
static bool is_epilogue(const product *p, const layout *d) {
  switch (p->epilogue) {
  case CUBLASLT_EPILOGUE_DEFAULT:
  case CUBLASLT_EPILOGUE_RELU:
  case CUBLASLT_EPILOGUE_GELU: return true;
  case CUBLASLT_EPILOGUE_BIAS:
  case CUBLASLT_EPILOGUE_RELU_BIAS:
  case CUBLASLT_EPILOGUE_GELU_BIAS: return p->bias != NULL;
  case CUBLASLT_EPILOGUE_BGRADA: return p->bias != NULL && d->batch == 1;
  case CUBLASLT_EPILOGUE_GELU_AUX_BIAS:
  case CUBLASLT_EPILOGUE_GELU_AUX:
  case CUBLASLT_EPILOGUE_DGELU:
    return p->aux != NULL && p->aux_pitch >= (int64_t)d->rows && p->aux_pitch % 8 == 0 && p->aux_stride % 8 == 0 &&
           (d->batch == 1 || p->aux_stride >= p->aux_pitch * (int64_t)d->columns) &&
           (p->epilogue != CUBLASLT_EPILOGUE_GELU_AUX_BIAS || p->bias != NULL);
  default: return false;
  }
}

/* What an algorithm is for, as its first word. */
static uint64_t key_of(const product *p, const layout *a, const layout *b, const layout *d) {
  uint64_t key = 1469598103934665603u;
  const uint64_t words[] = {(uint64_t)p->compute, (uint64_t)p->transpose_a, (uint64_t)p->transpose_b, p->epilogue, (uint64_t)a->type,
                            a->rows, a->columns, (uint64_t)a->stride, b->columns, (uint64_t)b->stride, (uint64_t)d->type, (uint64_t)d->batch,
                            (uint64_t)p->aux_pitch, (uint64_t)p->aux_stride};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) key = (key ^ words[i]) * 1099511628211u;
  return key;
}

static bool lies(const layout *l, const void *at) {
  const size_t last = (size_t)((int64_t)(l->batch - 1) * l->stride + ((int64_t)l->columns - 1) * l->pitch) + (size_t)l->rows;
  return (uintptr_t)at % ALIGNMENT == 0 && standin_holds((CUdeviceptr)(uintptr_t)at, last * number_bytes(number_of(l->type)));
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t of, cublasLtMatrixLayout_t a_,
                                              cublasLtMatrixLayout_t b_, cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d_,
                                              cublasLtMatmulPreference_t wish_, int most, cublasLtMatmulHeuristicResult_t *out, int *out_n) {
  BEGIN();
  const product *const p = (const product *)(const void *)of;
  const layout *const a = (const layout *)(const void *)a_, *const b = (const layout *)(const void *)b_, *const d = (const layout *)(const void *)d_;
  const wish *const w = (const wish *)(const void *)wish_;
  *out_n = 0;
  if (handle == NULL || c != d_ || most < 1 || !fits(p, a, b, d)) return CUBLAS_STATUS_INVALID_VALUE;
  const bool unordered = (w->reductions & CUBLASLT_REDUCTION_SCHEME_INPLACE) != 0;
  const bool rounds = (w->reductions & CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE) != 0 || (unordered && d->type != CUDA_R_32F);
  if (rounds || !is_epilogue(p, d) || w->most_workspace < WORKSPACE) return CUBLAS_STATUS_NOT_SUPPORTED;
  *out_n = most < N_ALGORITHMS ? most : N_ALGORITHMS;
  for (int i = 0; i < *out_n; i++) {
    memset(&out[i], 0, sizeof out[i]);
    out[i].algo.data[0] = key_of(p, a, b, d);
    out[i].algo.data[1] = (uint64_t)i;
    out[i].algo.data[2] = unordered;
    out[i].workspaceSize = WORKSPACE;
    if (i == TAKEN_BACK) out[i].state = CUBLAS_STATUS_NOT_SUPPORTED;
  }
  return CUBLAS_STATUS_SUCCESS;
}

/* `at`: the element of the second matrix. */
static float finished(const product *p, float x, int32_t type, int64_t row, int64_t at) {
  if ((p->epilogue & CUBLASLT_EPILOGUE_BIAS) != 0) x += number_get(p->bias, number_of(type), row);
  if ((p->epilogue & CUBLASLT_EPILOGUE_RELU) != 0) return x < 0 ? 0 : x;
  if (p->epilogue == CUBLASLT_EPILOGUE_DGELU) {
    const float z = number_get(p->aux, number_of(type), at), t = tanhf(0.7978845608f * (z + 0.044715f * z * z * z));
    return x * (0.5f * (1 + t) + 0.5f * z * (1 - t * t) * 0.7978845608f * (1 + 3 * 0.044715f * z * z));
  }
  if ((p->epilogue & CUBLASLT_EPILOGUE_GELU) == 0) return x;
  if ((p->epilogue & HAS_AUX) != 0) number_put(p->aux, number_of(type), at, x);
  return 0.5f * x * (1 + tanhf(0.7978845608f * (x + 0.044715f * x * x * x)));
}

/* The first operand's sums over k, where the epilogue has them. */
static void sum_first(const call *c, int64_t m, int64_t k, int64_t a_row, int64_t a_column) {
  for (int64_t i = 0; i < m; i++) {
    double sum = 0;
    for (int64_t t = 0; t < k; t++) sum += (double)number_get(c->at_a, number_of(c->a.type), i * a_row + t * a_column);
    number_put(c->p.bias, number_of(c->d.type), i, (float)sum);
  }
}

static void multiply(const void *args) {
  const call *const c = args;
  const product *const p = &c->p;
  const int64_t m = (int64_t)c->d.rows, n = (int64_t)c->d.columns, k = (int64_t)(p->transpose_a != 0 ? c->a.rows : c->a.columns);
  const int64_t a_row = p->transpose_a != 0 ? c->a.pitch : 1, a_column = p->transpose_a != 0 ? 1 : c->a.pitch;
  const int64_t b_row = p->transpose_b != 0 ? c->b.pitch : 1, b_column = p->transpose_b != 0 ? 1 : c->b.pitch;
  const number in = number_of(c->a.type);
  const bool tf32 = p->compute == CUBLAS_COMPUTE_32F_FAST_TF32;
  memset(c->workspace, 0xe7, WORKSPACE);
  standin_spend(algorithms[c->algorithm].ms);
  if (p->epilogue == CUBLASLT_EPILOGUE_BGRADA) sum_first(c, m, k, a_row, a_column);
  for (int64_t z = 0; z < c->d.batch; z++)
    for (int64_t j = 0; j < n; j++)
      for (int64_t i = 0; i < m; i++) {
        double sum = 0;
        for (int64_t t = 0; t < k; t++)
          sum += (double)number_tf32(number_get(c->at_a, in, z * c->a.stride + i * a_row + t * a_column), tf32) *
                 (double)number_tf32(number_get(c->at_b, in, z * c->b.stride + t * b_row + j * b_column), tf32);
        const float x = finished(p, (float)sum, c->d.type, i, z * p->aux_stride + j * p->aux_pitch + i);
        number_put(c->at_d, number_of(c->d.type), z * c->d.stride + j * c->d.pitch + i, c->unordered ? 1e30f : x);
      }
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t of, const void *alpha, const void *a, cublasLtMatrixLayout_t a_,
                              const void *b, cublasLtMatrixLayout_t b_, const void *beta, const void *c, cublasLtMatrixLayout_t c_, void *d,
                              cublasLtMatrixLayout_t d_, const cublasLtMatmulAlgo_t *algo, void *workspace, size_t workspace_bytes,
                              cudaStream_t stream) {
  BEGIN();
  call now = {.at_a = a, .at_b = b, .at_d = d, .workspace = workspace, .unordered = algo->data[2] != 0};
  memcpy(&now.p, of, sizeof now.p);
  memcpy(&now.a, a_, sizeof now.a);
  memcpy(&now.b, b_, sizeof now.b);
  memcpy(&now.d, d_, sizeof now.d);
  const layout bias = {now.d.type, 1, now.d.rows, 1, (int64_t)now.d.rows, 0};
  const layout aux = {now.d.type, now.d.batch, now.d.rows, now.d.columns, now.p.aux_pitch, now.p.aux_stride};
  const bool has_bias = (now.p.epilogue & HAS_BIAS) != 0, has_aux = (now.p.epilogue & HAS_AUX) != 0;
  float one, zero;
  memcpy(&one, alpha, sizeof one);
  memcpy(&zero, beta, sizeof zero);
  const bool known = handle != NULL && c == d && c_ == d_ && one == 1.0f && zero == 0.0f && fits(&now.p, &now.a, &now.b, &now.d) &&
                     is_epilogue(&now.p, &now.d) && algo->data[0] == key_of(&now.p, &now.a, &now.b, &now.d);
  const bool here = lies(&now.a, a) && lies(&now.b, b) && lies(&now.d, d) && (!has_bias || lies(&bias, now.p.bias)) &&
                    (!has_aux || lies(&aux, now.p.aux)) &&
                    workspace_bytes >= WORKSPACE && standin_holds((CUdeviceptr)(uintptr_t)workspace, workspace_bytes);
  now.algorithm = algo->data[1];
  if (!known || !here || now.algorithm >= N_ALGORITHMS || now.algorithm == TAKEN_BACK) return CUBLAS_STATUS_INVALID_VALUE;
  (void)standin_called(algorithms[now.algorithm].name);
  standin_enqueue_call(stream, multiply, &now, sizeof now);
  return CUBLAS_STATUS_SUCCESS;
}
