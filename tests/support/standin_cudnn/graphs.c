/* A stand-in for cuDNN over the stand-in driver, for tests on machines without a GPU: libcudnn.so.9 with the functions of
 * backends/cuda/libraries/cudnn.def, for graphs of one convolution with a bias and a ReLU behind it, and of attention (attention.c), computed on
 * host memory in the stream's order. It is stricter than the library: a descriptor that is finished cannot be set and one that is not cannot be used, operands lie
 * in device memory, all of the workspace is spoilt. Its heuristic names five engines: one that is noted as not deterministic and gives
 * wrong numbers, one noted as rounding f32 to TF32, one that needs a terabyte, one that is right, and
 * one that is right and quicker. Runs are counted as calls of "engine.right" and the like. */
#include <stdlib.h>
#include "support/standin_cudnn/inside.h"

int64_t standin_cudnn_live(void);

struct cudnnContext {
  cudaStream_t stream;
};

static int64_t n_live; /* descriptors and handles */

#define BEGIN()                                                                                                        \
  do {                                                                                                                 \
    const CUresult told_ = standin_called(__func__);                                                                   \
    if (told_ != CUDA_SUCCESS) return (cudnnStatus_t)told_;                                                            \
  } while (0)

static const struct {
  const char *name;
  double ms;
} engines[N_ENGINES] = {
    [UNORDERED] = {"engine.unordered", 0.1}, [ROUNDING] = {"engine.rounding", 0.3}, [LARGE] = {"engine.large", 0.1}, [RIGHT] = {"engine.right", 0.2}, [QUICK] = {"engine.quick", 0.1}};

void standin_cudnn_count(int32_t engine) { (void)standin_called(engines[engine].name); }
void standin_cudnn_spend(int32_t engine) { standin_spend(engines[engine].ms); }

int64_t standin_cudnn_live(void) { return n_live; }

size_t cudnnGetVersion(void) { return standin_now.cudnn; }

const char *cudnnGetErrorString(cudnnStatus_t status) {
  return status == CUDNN_STATUS_NOT_SUPPORTED ? "CUDNN_STATUS_NOT_SUPPORTED" : status == CUDNN_STATUS_BAD_PARAM ? "CUDNN_STATUS_BAD_PARAM" : "CUDNN_STATUS_STANDIN";
}

cudnnStatus_t cudnnCreate(cudnnHandle_t *out) {
  BEGIN();
  *out = calloc(1, sizeof **out);
  n_live += *out != NULL;
  return *out != NULL ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_ALLOC_FAILED;
}

cudnnStatus_t cudnnDestroy(cudnnHandle_t handle) {
  free(handle);
  n_live--;
  return (cudnnStatus_t)standin_called(__func__);
}

cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream) {
  BEGIN();
  handle->stream = stream;
  return CUDNN_STATUS_SUCCESS;
}

/* ---- descriptors ---- */

static size_t bytes_of(cudnnBackendAttributeType_t type) {
  switch (type) {
  case CUDNN_TYPE_BOOLEAN: return sizeof(bool);
  case CUDNN_TYPE_INT64: return sizeof(int64_t);
  case CUDNN_TYPE_VOID_PTR:
  case CUDNN_TYPE_HANDLE:
  case CUDNN_TYPE_BACKEND_DESCRIPTOR: return sizeof(void *);
  default: return sizeof(int32_t); /* floats and enums */
  }
}

const void *standin_cudnn_find(const descriptor *of, cudnnBackendAttributeName_t name, int64_t *out_n) {
  for (int32_t i = 0; of != NULL && i < of->n; i++) {
    if (of->attribute[i].name != name) continue;
    if (out_n != NULL) *out_n = of->attribute[i].n;
    return of->attribute[i].values;
  }
  return NULL;
}

const descriptor *standin_cudnn_part(const descriptor *of, cudnnBackendAttributeName_t name, int64_t i) {
  int64_t n = 0;
  const descriptor *const *const values = standin_cudnn_find(of, name, &n);
  return values != NULL && i < n && values[i]->finished ? values[i] : NULL;
}

cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type, cudnnBackendDescriptor_t *out) {
  BEGIN();
  descriptor *const made = calloc(1, sizeof *made);
  if (made == NULL) return CUDNN_STATUS_ALLOC_FAILED;
  made->type = type;
  n_live++;
  *out = made;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t which) {
  descriptor *const d = which;
  for (int32_t i = 0; i < d->n; i++) free(d->attribute[i].values);
  free(d);
  n_live--;
  return (cudnnStatus_t)standin_called(__func__);
}

cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t which, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                                       int64_t n, const void *values) {
  BEGIN();
  descriptor *const d = which;
  if (d->finished || d->n == MOST_ATTRIBUTES || n < 1) return CUDNN_STATUS_BAD_PARAM;
  attribute *const a = &d->attribute[d->n];
  *a = (attribute){name, n, malloc((size_t)n * bytes_of(type))};
  if (a->values == NULL) return CUDNN_STATUS_ALLOC_FAILED;
  memcpy(a->values, values, (size_t)n * bytes_of(type));
  d->n++;
  return CUDNN_STATUS_SUCCESS;
}

/* ---- what a graph says ---- */

typedef struct tensor {
  int64_t id, extent[4], stride[4]; /* n, c, h, w */
  number type;
  bool is_virtual;
} tensor;

typedef enum pass { FORWARD, BY_INPUT, BY_FILTER } pass;

typedef struct call {
  pass pass;
  tensor x, w, y, bias;
  int64_t pad[2], stride[2], dilation[2];
  bool has_bias, has_relu;
  int32_t engine;
  const char *at_bias;
  char *at_x, *at_w, *at_y, *workspace;
} call;

static bool read_tensor(const descriptor *of, tensor *out) {
  const int64_t *const id = standin_cudnn_find(of, CUDNN_ATTR_TENSOR_UNIQUE_ID, NULL), *const alignment = standin_cudnn_find(of, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, NULL);
  int64_t n = 0, n_strides = 0;
  const int64_t *const extents = standin_cudnn_find(of, CUDNN_ATTR_TENSOR_DIMENSIONS, &n), *const strides = standin_cudnn_find(of, CUDNN_ATTR_TENSOR_STRIDES, &n_strides);
  const cudnnDataType_t *const type = standin_cudnn_find(of, CUDNN_ATTR_TENSOR_DATA_TYPE, NULL);
  const bool *const is_virtual = standin_cudnn_find(of, CUDNN_ATTR_TENSOR_IS_VIRTUAL, NULL);
  if (id == NULL || extents == NULL || strides == NULL || type == NULL || n != 4 || n_strides != 4 || alignment == NULL || *alignment != ALIGNMENT)
    return false;
  *out = (tensor){.id = *id, .is_virtual = is_virtual != NULL && *is_virtual};
  out->type = *type == CUDNN_DATA_FLOAT ? NUMBER_F32 : *type == CUDNN_DATA_BFLOAT16 ? NUMBER_BF16 : NUMBER_F16;
  memcpy(out->extent, extents, sizeof out->extent);
  memcpy(out->stride, strides, sizeof out->stride);
  return true;
}

static bool read_geometry(const descriptor *how, call *out) {
  const int64_t *const pre = standin_cudnn_find(how, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, NULL), *const post = standin_cudnn_find(how, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, NULL);
  const int64_t *const stride = standin_cudnn_find(how, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, NULL);
  const int64_t *const dilation = standin_cudnn_find(how, CUDNN_ATTR_CONVOLUTION_DILATIONS, NULL);
  const cudnnConvolutionMode_t *const mode = standin_cudnn_find(how, CUDNN_ATTR_CONVOLUTION_CONV_MODE, NULL);
  if (pre == NULL || post == NULL || stride == NULL || dilation == NULL || mode == NULL || *mode != CUDNN_CROSS_CORRELATION) return false;
  memcpy(out->pad, pre, sizeof out->pad);
  memcpy(out->stride, stride, sizeof out->stride);
  memcpy(out->dilation, dilation, sizeof out->dilation);
  for (int a = 0; a < 2; a++) /* the results that the images and the padding give */
    if ((out->x.extent[2 + a] + pre[a] + post[a] - dilation[a] * (out->w.extent[2 + a] - 1) - 1) / stride[a] + 1 != out->y.extent[2 + a]) return false;
  return pre[0] == post[0] && pre[1] == post[1]; /* the engines of the library want both sides alike */
}

#define READ(PASS, DX, DW, DY)                                                                                         \
  (read_tensor(standin_cudnn_part(op, CUDNN_ATTR_OPERATION_CONVOLUTION_##PASS##_##DX, 0), &out->x) &&                                \
   read_tensor(standin_cudnn_part(op, CUDNN_ATTR_OPERATION_CONVOLUTION_##PASS##_##DW, 0), &out->w) &&                                \
   read_tensor(standin_cudnn_part(op, CUDNN_ATTR_OPERATION_CONVOLUTION_##PASS##_##DY, 0), &out->y) &&                                \
   read_geometry(standin_cudnn_part(op, CUDNN_ATTR_OPERATION_CONVOLUTION_##PASS##_CONV_DESC, 0), out))

static bool read_convolution(const descriptor *op, call *out) {
  if (op == NULL) return false;
  out->pass = op->type == CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR         ? FORWARD
              : op->type == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR ? BY_INPUT
                                                                                         : BY_FILTER;
  const bool read = out->pass == FORWARD ? READ(FORWARD, X, W, Y) : out->pass == BY_INPUT ? READ(BWD_DATA, DX, W, DY) : READ(BWD_FILTER, X, DW, DY);
  return read && out->x.extent[0] == out->y.extent[0] && out->w.extent[0] == out->y.extent[1] && out->x.extent[1] % out->w.extent[1] == 0;
}
#undef READ

/* Behind a convolution whose result is not stored: a bias, and then perhaps a ReLU; the last one stores. */
static bool read_tail(const descriptor *op, call *out) {
  const cudnnPointwiseMode_t *const mode = standin_cudnn_find(standin_cudnn_part(op, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, 0), CUDNN_ATTR_POINTWISE_MODE, NULL);
  tensor from;
  if (mode == NULL || !out->y.is_virtual || !read_tensor(standin_cudnn_part(op, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, 0), &from) || from.id != out->y.id) return false;
  if (*mode == CUDNN_POINTWISE_ADD && out->has_bias == out->has_relu) {
    out->has_bias = read_tensor(standin_cudnn_part(op, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, 0), &out->bias) && out->bias.extent[1] == out->y.extent[1];
    if (!out->has_bias) return false;
  } else if (*mode == CUDNN_POINTWISE_RELU_FWD && out->has_bias) { /* without a bias the library has no engine for it */
    out->has_relu = true;
  } else {
    return false;
  }
  return read_tensor(standin_cudnn_part(op, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, 0), &out->y);
}

static bool read_graph(const descriptor *graph, call *out) {
  int64_t n = 0;
  const cudnnHandle_t *const handle = standin_cudnn_find(graph, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, NULL);
  *out = (call){.engine = 0};
  if (handle == NULL || *handle == NULL || standin_cudnn_find(graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, &n) == NULL || n < 1) return false;
  if (!read_convolution(standin_cudnn_part(graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, 0), out)) return false;
  for (int64_t i = 1; i < n; i++)
    if (!read_tail(standin_cudnn_part(graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, i), out)) return false;
  return !out->y.is_virtual;
}

cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t which) {
  BEGIN();
  descriptor *const d = which;
  static small_graph small;
  call read;
  tensor t;
  if (d->type == CUDNN_BACKEND_TENSOR_DESCRIPTOR && !read_tensor(d, &t)) return CUDNN_STATUS_BAD_PARAM;
  if (d->type == CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR && !read_graph(d, &read) && !standin_small_read(d, &small)) return CUDNN_STATUS_NOT_SUPPORTED;
  d->finished = true;
  return CUDNN_STATUS_SUCCESS;
}

/* ---- engines and plans ---- */

static const descriptor *configuration_of(const descriptor *plan) { return standin_cudnn_part(plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, 0); }

static int64_t workspace_of(int32_t engine) { return engine == LARGE ? (int64_t)1 << 40 : WORKSPACE; }

static int64_t workspace_of_plan(const descriptor *configuration) {
  static small_graph small;
  const bool is_small = configuration->engine != LARGE && standin_small_read(configuration->graph, &small);
  return is_small ? standin_small_workspace(&small) : workspace_of(configuration->engine);
}

static void answer_notes(int32_t engine, int64_t *n, cudnnBackendNumericalNote_t *notes) {
  *n = 1;
  if (engine == UNORDERED) notes[0] = CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC;
  else if (engine == ROUNDING) notes[0] = CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS;
  else *n = 0;
}

cudnnStatus_t cudnnBackendGetAttribute(cudnnBackendDescriptor_t const which, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                                       int64_t room, int64_t *n, void *values) {
  BEGIN();
  const descriptor *const d = which;
  descriptor **const parts = values;
  (void)type;
  if (!d->finished) return CUDNN_STATUS_BAD_PARAM;
  switch (name) {
  case CUDNN_ATTR_ENGINEHEUR_RESULTS:
    *n = room < N_ENGINES ? room : N_ENGINES;
    for (int64_t i = 0; i < *n; i++) {
      parts[i]->graph = (descriptor *)(uintptr_t)standin_cudnn_part(d, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, 0);
      parts[i]->engine = (int32_t)i;
      parts[i]->finished = parts[i]->graph != NULL;
    }
    return CUDNN_STATUS_SUCCESS;
  case CUDNN_ATTR_ENGINECFG_ENGINE:
    *n = 1;
    parts[0]->engine = d->engine;
    parts[0]->finished = true;
    return CUDNN_STATUS_SUCCESS;
  case CUDNN_ATTR_ENGINE_NUMERICAL_NOTE: return answer_notes(d->engine, n, values), CUDNN_STATUS_SUCCESS;
  case CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE: {
    const int64_t bytes = workspace_of_plan(configuration_of(d));
    *n = 1;
    memcpy(values, &bytes, sizeof bytes);
    return CUDNN_STATUS_SUCCESS;
  }
  default: return CUDNN_STATUS_BAD_PARAM;
  }
}

/* ---- computing ---- */

static int64_t place(const tensor *t, int64_t a, int64_t b, int64_t c, int64_t d) {
  return a * t->stride[0] + b * t->stride[1] + c * t->stride[2] + d * t->stride[3];
}

static int64_t size_of(const tensor *t) { return t->extent[0] * t->extent[1] * t->extent[2] * t->extent[3]; }

/* Every product of an image's pixel and a tap, added to the one of the three that the pass is for. */
static void add_products(const call *c, double *sums) {
  const bool tf32 = c->engine == ROUNDING && c->x.type == NUMBER_F32;
  const int64_t per_group = c->y.extent[1] / (c->x.extent[1] / c->w.extent[1]);
  for (int64_t n = 0; n < c->y.extent[0]; n++)
    for (int64_t k = 0; k < c->y.extent[1]; k++)
      for (int64_t p = 0; p < c->y.extent[2]; p++)
        for (int64_t q = 0; q < c->y.extent[3]; q++)
          for (int64_t r = 0; r < c->w.extent[2]; r++)
            for (int64_t s = 0; s < c->w.extent[3]; s++) {
              const int64_t h = p * c->stride[0] + r * c->dilation[0] - c->pad[0], w = q * c->stride[1] + s * c->dilation[1] - c->pad[1];
              if (h < 0 || w < 0 || h >= c->x.extent[2] || w >= c->x.extent[3]) continue;
              for (int64_t g = 0; g < c->w.extent[1]; g++) {
                const int64_t at_x = place(&c->x, n, k / per_group * c->w.extent[1] + g, h, w), at_w = place(&c->w, k, g, r, s);
                const int64_t at_y = place(&c->y, n, k, p, q);
                const float a = c->pass == BY_INPUT ? number_get(c->at_y, c->y.type, at_y) : number_get(c->at_x, c->x.type, at_x);
                const float b = c->pass == BY_FILTER ? number_get(c->at_y, c->y.type, at_y) : number_get(c->at_w, c->w.type, at_w);
                sums[c->pass == FORWARD ? at_y : c->pass == BY_INPUT ? at_x : at_w] += (double)number_tf32(a, tf32) * (double)number_tf32(b, tf32);
              }
            }
}

static void convolve(const void *args) {
  const call *const c = args;
  const tensor *const to = c->pass == FORWARD ? &c->y : c->pass == BY_INPUT ? &c->x : &c->w;
  char *const at = c->pass == FORWARD ? c->at_y : c->pass == BY_INPUT ? c->at_x : c->at_w;
  const int64_t size = size_of(to);
  double *const sums = calloc((size_t)size, sizeof *sums);
  if (sums == NULL) abort();
  memset(c->workspace, 0xe7, (size_t)workspace_of(c->engine));
  standin_cudnn_spend(c->engine);
  add_products(c, sums);
  for (int64_t i = 0; i < size; i++) {
    float y = c->engine == UNORDERED ? 1e30f : (float)sums[i];
    if (c->has_bias) y += number_get(c->at_bias, c->bias.type, i % to->extent[1]);
    number_put(at, to->type, i, c->has_relu && y < 0 ? 0 : y);
  }
  free(sums);
}

static char *operand(const descriptor *pack, const tensor *t) {
  int64_t n = 0;
  const int64_t *const ids = standin_cudnn_find(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, &n);
  char *const *const data = standin_cudnn_find(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, NULL);
  for (int64_t i = 0; i < n; i++) {
    const bool inside = standin_holds((CUdeviceptr)(uintptr_t)data[i], (size_t)size_of(t) * number_bytes(t->type));
    if (ids[i] == t->id) return inside && (uintptr_t)data[i] % ALIGNMENT == 0 ? data[i] : NULL;
  }
  return NULL;
}

static cudnnStatus_t execute_small(cudnnHandle_t handle, const descriptor *configuration, const descriptor *pack, char *workspace) {
  static small_graph now;
  if (!standin_small_read(configuration->graph, &now) || !standin_small_bind(&now, pack)) return CUDNN_STATUS_BAD_PARAM;
  now.engine = configuration->engine;
  now.workspace = workspace;
  now.workspace_bytes = (size_t)standin_small_workspace(&now);
  if (!standin_holds((CUdeviceptr)(uintptr_t)workspace, now.workspace_bytes)) return CUDNN_STATUS_BAD_PARAM;
  standin_cudnn_count(now.engine);
  standin_enqueue_call(handle->stream, standin_small_run, &now, sizeof now);
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendExecute(cudnnHandle_t handle, cudnnBackendDescriptor_t plan_, cudnnBackendDescriptor_t pack_) {
  BEGIN();
  const descriptor *const plan = plan_, *const pack = pack_, *const configuration = configuration_of(plan);
  char *const *const workspace = standin_cudnn_find(pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, NULL);
  call now;
  if (!plan->finished || !pack->finished || configuration == NULL || workspace == NULL) return CUDNN_STATUS_BAD_PARAM;
  if (!read_graph(configuration->graph, &now)) return execute_small(handle, configuration, pack, *workspace);
  now.engine = configuration->engine;
  now.workspace = *workspace;
  now.at_x = operand(pack, &now.x);
  now.at_w = operand(pack, &now.w);
  now.at_y = operand(pack, &now.y);
  now.at_bias = now.has_bias ? operand(pack, &now.bias) : now.at_y;
  if (now.at_x == NULL || now.at_w == NULL || now.at_y == NULL || now.at_bias == NULL ||
      !standin_holds((CUdeviceptr)(uintptr_t)now.workspace, (size_t)workspace_of(now.engine)))
    return CUDNN_STATUS_BAD_PARAM;
  standin_cudnn_count(now.engine);
  standin_enqueue_call(handle->stream, convolve, &now, sizeof now);
  return CUDNN_STATUS_SUCCESS;
}
