/* Opening cuDNN, and building its graphs: a convolution, then bias and ReLU where they are asked for, as one plan. */
#include "backends/cuda/cudnn.h"

static const tct_cu_function functions[] = {
#define CUDNN(member, symbol) {#symbol, offsetof(tct_cu_cudnn, member)},
#include "backends/cuda/cudnn.def"
#undef CUDNN
};

const tct_cu_cudnn *tct_cu_cudnn_open(const tct_host *host, char *why, size_t why_bytes) {
  static const tct_cu_library_kind kind = {.file = "libcudnn.so.9",
                                           .name = "cuDNN",
                                           .package = "cuDNN 9 for CUDA 13 (NVIDIA's packages, or pip's nvidia-cudnn-cu13)",
                                           .major = CUDNN_MAJOR,
                                           .minor = CUDNN_MINOR,
                                           .functions = functions,
                                           .n_functions = sizeof functions / sizeof functions[0]};
  static tct_cu_library_once once = {.mutex = PTHREAD_MUTEX_INITIALIZER};
  static tct_cu_cudnn api;
  return tct_cu_library_use(host, &kind, &once, &api.library, &api, api.name, why, why_bytes) ? &api : NULL;
}

void tct_cu_tell_cudnn(const tct_host *host, tct_fact_fn fn, void *user) {
  char why[1200];
  const tct_cu_cudnn *const api = tct_cu_cudnn_open(host, why, sizeof why);
  tct_cu_tell_library("cudnn", api != NULL ? &api->library : NULL, api != NULL ? api->name : NULL, "convolutions", why, fn, user);
}

/* ---- descriptors: the first call that fails ends the rest ---- */

typedef struct builder {
  const tct_cu_cudnn *api;
  cudnnHandle_t handle;
  tct_cu_conv_plan *to;
  cudnnStatus_t status;
} builder;

static cudnnBackendDescriptor_t make(builder *b, cudnnBackendDescriptorType_t type) {
  cudnnBackendDescriptor_t made = NULL;
  if (b->status == CUDNN_STATUS_SUCCESS) b->status = b->api->make(type, &made);
  if (made != NULL) b->to->part[b->to->n_parts++] = made;
  return made;
}

static void set(builder *b, cudnnBackendDescriptor_t of, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t n,
                const void *values) {
  if (b->status == CUDNN_STATUS_SUCCESS) b->status = b->api->set(of, name, type, n, values);
}

static void finish(builder *b, cudnnBackendDescriptor_t of) {
  if (b->status == CUDNN_STATUS_SUCCESS) b->status = b->api->finish(of);
}

/* The parts made since there were `n` go. */
static void back_to(builder *b, int32_t n) {
  while (b->to->n_parts > n) (void)b->api->drop(b->to->part[--b->to->n_parts]);
}

/* ---- the graph ---- */

enum { X = 1, W, Y, BIAS, SUM, BIASED }; /* unique ids of tensors; of the last two, none is stored */

/* In the library's order: batch, channels, height, width. */
static cudnnBackendDescriptor_t tensor(builder *b, int64_t id, int64_t type, const int64_t *extent) {
  const cudnnDataType_t data_type = (cudnnDataType_t)type;
  const int64_t alignment = 16, pixel = extent[3], row = extent[2] * pixel;
  const int64_t extents[4] = {extent[0], extent[3], extent[1], extent[2]}, strides[4] = {extent[1] * row, 1, row, pixel};
  const bool is_virtual = id == SUM || id == BIASED;
  void *const made = make(b, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
  set(b, made, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &data_type);
  set(b, made, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, extents);
  set(b, made, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, strides);
  set(b, made, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &id);
  set(b, made, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &alignment);
  set(b, made, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &is_virtual);
  finish(b, made);
  return made;
}

static cudnnBackendDescriptor_t geometry(builder *b, const tct_cu_conv_problem *p) {
  const cudnnDataType_t type = CUDNN_DATA_FLOAT;
  const cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
  const int64_t axes = 2;
  void *const made = make(b, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
  set(b, made, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, &axes);
  set(b, made, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
  set(b, made, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode);
  set(b, made, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, p->dilation);
  set(b, made, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2, p->stride);
  set(b, made, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, p->before);
  set(b, made, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2, p->after);
  finish(b, made);
  return made;
}

static const struct {
  cudnnBackendDescriptorType_t type;
  cudnnBackendAttributeName_t geometry, x, w, y, alpha, beta;
} passes[] = {
#define PASS(kind, name, dx, dw, dy)                                                                                   \
  {CUDNN_BACKEND_OPERATION_CONVOLUTION_##kind##_DESCRIPTOR,                                                            \
   CUDNN_ATTR_OPERATION_CONVOLUTION_##name##_CONV_DESC,                                                                \
   CUDNN_ATTR_OPERATION_CONVOLUTION_##name##_##dx,                                                                     \
   CUDNN_ATTR_OPERATION_CONVOLUTION_##name##_##dw,                                                                     \
   CUDNN_ATTR_OPERATION_CONVOLUTION_##name##_##dy,                                                                     \
   CUDNN_ATTR_OPERATION_CONVOLUTION_##name##_ALPHA,                                                                    \
   CUDNN_ATTR_OPERATION_CONVOLUTION_##name##_BETA}
    [TCT_CU_CONV] = PASS(FORWARD, FORWARD, X, W, Y),
    [TCT_CU_CONV_GRAD_INPUT] = PASS(BACKWARD_DATA, BWD_DATA, DX, W, DY),
    [TCT_CU_CONV_GRAD_FILTER] = PASS(BACKWARD_FILTER, BWD_FILTER, X, DW, DY),
#undef PASS
};

static cudnnBackendDescriptor_t convolution(builder *b, const tct_cu_conv_problem *p, cudnnBackendDescriptor_t x,
                                            cudnnBackendDescriptor_t w, cudnnBackendDescriptor_t y) {
  const float one = 1, zero = 0;
  void *const how = geometry(b, p), *const made = make(b, passes[p->pass].type);
  set(b, made, passes[p->pass].geometry, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &how);
  set(b, made, passes[p->pass].x, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &x);
  set(b, made, passes[p->pass].w, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &w);
  set(b, made, passes[p->pass].y, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &y);
  set(b, made, passes[p->pass].alpha, CUDNN_TYPE_FLOAT, 1, &one);
  set(b, made, passes[p->pass].beta, CUDNN_TYPE_FLOAT, 1, &zero);
  finish(b, made);
  return made;
}

/* y = mode(x) or mode(x, other). */
static cudnnBackendDescriptor_t pointwise(builder *b, cudnnPointwiseMode_t mode, cudnnBackendDescriptor_t x, cudnnBackendDescriptor_t other,
                                          cudnnBackendDescriptor_t y) {
  const cudnnDataType_t type = CUDNN_DATA_FLOAT;
  void *const how = make(b, CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
  set(b, how, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode);
  set(b, how, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &type);
  finish(b, how);
  void *const made = make(b, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
  set(b, made, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &how);
  set(b, made, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &x);
  if (other != NULL) set(b, made, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &other);
  set(b, made, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &y);
  finish(b, made);
  return made;
}

static cudnnBackendDescriptor_t graph_of(builder *b, const tct_cu_conv_problem *p) {
  const bool has_tail = p->bias != 0 || p->relu != 0;
  const int64_t type[] = {[TCT_CU_CONV] = p->in_type, [TCT_CU_CONV_GRAD_INPUT] = p->out_type, [TCT_CU_CONV_GRAD_FILTER] = p->in_type};
  const bool by_filter = p->pass == TCT_CU_CONV_GRAD_FILTER;
  cudnnBackendDescriptor_t ops[3] = {NULL};
  int64_t n_ops = 0;
  void *const x = tensor(b, X, type[p->pass], p->x), *const w = tensor(b, W, by_filter ? p->out_type : p->in_type, p->w);
  void *const y = tensor(b, Y, p->pass == TCT_CU_CONV ? p->out_type : p->in_type, p->y);
  cudnnBackendDescriptor_t at = has_tail ? tensor(b, SUM, CUDNN_DATA_FLOAT, p->y) : y;
  ops[n_ops++] = convolution(b, p, x, w, at);
  if (p->bias != 0) {
    void *const bias = tensor(b, BIAS, p->out_type, (const int64_t[]){1, 1, 1, p->y[3]});
    void *const biased = p->relu != 0 ? tensor(b, BIASED, CUDNN_DATA_FLOAT, p->y) : y;
    ops[n_ops++] = pointwise(b, CUDNN_POINTWISE_ADD, at, bias, biased);
    at = biased;
  }
  if (p->relu != 0) ops[n_ops++] = pointwise(b, CUDNN_POINTWISE_RELU_FWD, at, NULL, y);
  void *const graph = make(b, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
  set(b, graph, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &b->handle);
  set(b, graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, n_ops, ops);
  finish(b, graph);
  return graph;
}

/* ---- a plan for it ---- */

/* Whether what the library notes about the configuration's engine permits it. */
static bool keeps_promises(builder *b, cudnnBackendDescriptor_t configuration, bool exact) {
  cudnnBackendNumericalNote_t note[CUDNN_NUMERICAL_NOTE_TYPE_COUNT];
  int64_t n = 0;
  cudnnBackendDescriptor_t engine = make(b, CUDNN_BACKEND_ENGINE_DESCRIPTOR);
  if (b->status == CUDNN_STATUS_SUCCESS)
    b->status = b->api->get(configuration, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &n, (void *)&engine);
  if (b->status == CUDNN_STATUS_SUCCESS)
    b->status = b->api->get(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE, CUDNN_NUMERICAL_NOTE_TYPE_COUNT, &n, note);
  bool keeps = b->status == CUDNN_STATUS_SUCCESS;
  for (int64_t i = 0; i < n && keeps; i++) {
    const bool loses = note[i] == CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS || note[i] == CUDNN_NUMERICAL_NOTE_TENSOR_CORE;
    keeps = note[i] != CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC && note[i] != CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION &&
            !(exact && loses);
  }
  return keeps;
}

static bool take(builder *b, cudnnBackendDescriptor_t configuration, bool exact, size_t most_workspace) {
  const int32_t n_before = b->to->n_parts;
  int64_t bytes = 0, n = 0;
  b->status = CUDNN_STATUS_SUCCESS;
  const bool fit = keeps_promises(b, configuration, exact);
  void *const plan = fit ? make(b, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR) : NULL;
  if (fit) {
    set(b, plan, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &b->handle);
    set(b, plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &configuration);
    finish(b, plan);
    if (b->status == CUDNN_STATUS_SUCCESS)
      b->status = b->api->get(plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &n, &bytes);
  }
  if (!fit || b->status != CUDNN_STATUS_SUCCESS || (uint64_t)bytes > most_workspace) {
    back_to(b, n_before);
    return false;
  }
  b->to->plan = plan;
  b->to->workspace_bytes = (size_t)bytes;
  return true;
}

/* Of the configurations that the heuristic names, in its order, the first that can be taken. */
static bool choose(builder *b, cudnnBackendDescriptor_t graph, cudnnBackendHeurMode_t mode, bool exact, size_t most_workspace) {
  enum { MOST = 12 };
  cudnnBackendDescriptor_t configuration[MOST] = {NULL};
  const int32_t n_before = b->to->n_parts;
  int64_t n = 0;
  bool taken = false;
  b->status = CUDNN_STATUS_SUCCESS;
  void *const heuristic = make(b, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
  set(b, heuristic, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &graph);
  set(b, heuristic, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
  finish(b, heuristic);
  for (int i = 0; i < MOST && b->status == CUDNN_STATUS_SUCCESS; i++)
    b->status = b->api->make(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, &configuration[i]);
  if (b->status == CUDNN_STATUS_SUCCESS)
    b->status = b->api->get(heuristic, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, MOST, &n, (void *)configuration);
  for (int64_t i = 0; i < n && i < MOST && !taken; i++) {
    taken = take(b, configuration[i], exact, most_workspace);
    if (!taken) continue;
    b->to->part[b->to->n_parts++] = configuration[i];
    configuration[i] = NULL;
  }
  for (int i = 0; i < MOST; i++)
    if (configuration[i] != NULL) (void)b->api->drop(configuration[i]);
  if (!taken) back_to(b, n_before);
  return taken;
}

cudnnStatus_t tct_cu_conv_plan_make(const tct_cu_cudnn *api, cudnnHandle_t handle, const tct_cu_conv_problem *problem, bool tf32,
                                    size_t most_workspace, tct_cu_conv_plan *out) {
  const bool exact = problem->in_type == CUDNN_DATA_FLOAT && !tf32;
  *out = (tct_cu_conv_plan){.n_parts = 0};
  builder b = {api, handle, out, CUDNN_STATUS_SUCCESS};
  void *const graph = graph_of(&b, problem);
  if (b.status == CUDNN_STATUS_SUCCESS && (choose(&b, graph, CUDNN_HEUR_MODE_A, exact, most_workspace) ||
                                           choose(&b, graph, CUDNN_HEUR_MODE_FALLBACK, exact, most_workspace)))
    return CUDNN_STATUS_SUCCESS;
  tct_cu_conv_plan_drop(api, out);
  return b.status != CUDNN_STATUS_SUCCESS ? b.status : CUDNN_STATUS_NOT_SUPPORTED;
}

void tct_cu_conv_plan_drop(const tct_cu_cudnn *api, tct_cu_conv_plan *plan) {
  while (plan->n_parts > 0) (void)api->drop(plan->part[--plan->n_parts]);
  plan->plan = NULL;
}

/* A finished descriptor cannot be set again: each launch, of which a recorded step has two, makes its own. */
cudnnStatus_t tct_cu_conv_plan_run(const tct_cu_cudnn *api, cudnnHandle_t handle, const tct_cu_conv_plan *plan, void *x, void *w, void *y,
                                   void *bias, void *workspace) {
  const int64_t ids[] = {X, W, Y, BIAS}, n = bias != NULL ? 4 : 3;
  void *const data[] = {x, w, y, bias};
  tct_cu_conv_plan operands = {.n_parts = 0};
  builder b = {api, handle, &operands, CUDNN_STATUS_SUCCESS};
  void *const pack = make(&b, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
  set(&b, pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, n, ids);
  set(&b, pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, n, data);
  set(&b, pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace);
  finish(&b, pack);
  if (b.status == CUDNN_STATUS_SUCCESS) b.status = api->execute(handle, plan->plan, pack);
  back_to(&b, 0);
  return b.status;
}
