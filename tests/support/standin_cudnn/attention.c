/* Graphs of small ops, as attention is given to the library: read as they stand and computed op by op, every tensor whole and in
 * double precision, but rounded to its type where it ends. What is computed follows from the graph alone, so that a wrong one gives wrong
 * numbers; the form (two products or five) says whether the library has an engine. */
#include <math.h>
#include <stdlib.h>
#include "support/standin_cudnn/inside.h"

enum { PRODUCTS_FORWARD = 2, PRODUCTS_BACKWARD = 5, MOST_WIDTH = 128 };

/* ---- reading ---- */

static bool read_tensor(const descriptor *of, small_tensor *out) {
  const int64_t *const id = standin_cudnn_find(of, CUDNN_ATTR_TENSOR_UNIQUE_ID, NULL);
  const int64_t *const extents = standin_cudnn_find(of, CUDNN_ATTR_TENSOR_DIMENSIONS, NULL);
  const int64_t *const strides = standin_cudnn_find(of, CUDNN_ATTR_TENSOR_STRIDES, NULL);
  const cudnnDataType_t *const type = standin_cudnn_find(of, CUDNN_ATTR_TENSOR_DATA_TYPE, NULL);
  const bool *const is_virtual = standin_cudnn_find(of, CUDNN_ATTR_TENSOR_IS_VIRTUAL, NULL);
  const bool *const by_value = standin_cudnn_find(of, CUDNN_ATTR_TENSOR_IS_BY_VALUE, NULL);
  if (id == NULL || extents == NULL || strides == NULL || type == NULL || is_virtual == NULL) return false;
  *out = (small_tensor){.id = *id, .type = *type, .is_virtual = *is_virtual, .by_value = by_value != NULL && *by_value};
  memcpy(out->extent, extents, sizeof out->extent);
  memcpy(out->stride, strides, sizeof out->stride);
  return true;
}

/* The number of the tensor that the op names; -1: none, or one id for two. `made`: by this op, which is the first to. */
static int32_t tensor_of(small_graph *g, const descriptor *op, cudnnBackendAttributeName_t name, bool made) {
  small_tensor read;
  const descriptor *const of = standin_cudnn_part(op, name, 0);
  if (of == NULL || !read_tensor(of, &read)) return -1;
  int32_t at = 0;
  while (at < g->n_tensors && g->tensor[at].id != read.id) at++;
  if (at == MOST_TENSORS) return -1;
  if (at == g->n_tensors) g->tensor[g->n_tensors++] = read;
  small_tensor *const t = &g->tensor[at];
  const bool same = t->type == read.type && memcmp(t->extent, read.extent, sizeof t->extent) == 0 && memcmp(t->stride, read.stride, sizeof t->stride) == 0;
  const bool in_order = made ? !t->made && !t->by_value : t->made || !t->is_virtual;
  t->made = t->made || made;
  return same && in_order ? at : -1;
}

static bool read_op(small_graph *g, const descriptor *d, small_op *out) {
  *out = (small_op){.type = d->type, .x = -1, .b = -1, .t = -1, .y = -1};
  switch (d->type) {
  case CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR:
    out->x = tensor_of(g, d, CUDNN_ATTR_OPERATION_MATMUL_ADESC, false);
    out->b = tensor_of(g, d, CUDNN_ATTR_OPERATION_MATMUL_BDESC, false);
    out->y = tensor_of(g, d, CUDNN_ATTR_OPERATION_MATMUL_CDESC, true);
    return out->x >= 0 && out->b >= 0 && out->y >= 0 && standin_cudnn_part(d, CUDNN_ATTR_OPERATION_MATMUL_DESC, 0) != NULL;
  case CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR: {
    const cudnnReduceTensorOp_t *const by =
        standin_cudnn_find(standin_cudnn_part(d, CUDNN_ATTR_OPERATION_REDUCTION_DESC, 0), CUDNN_ATTR_REDUCTION_OPERATOR, NULL);
    out->x = tensor_of(g, d, CUDNN_ATTR_OPERATION_REDUCTION_XDESC, false);
    out->y = tensor_of(g, d, CUDNN_ATTR_OPERATION_REDUCTION_YDESC, true);
    if (by != NULL) out->mode = (int32_t)*by;
    return by != NULL && out->x >= 0 && out->y >= 0;
  }
  case CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR:
    out->x = tensor_of(g, d, CUDNN_ATTR_OPERATION_RESHAPE_XDESC, false);
    out->y = tensor_of(g, d, CUDNN_ATTR_OPERATION_RESHAPE_YDESC, true);
    return out->x >= 0 && out->y >= 0;
  case CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR: {
    const descriptor *const how = standin_cudnn_part(d, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, 0);
    const cudnnPointwiseMode_t *const mode = standin_cudnn_find(how, CUDNN_ATTR_POINTWISE_MODE, NULL);
    const int64_t *const axis = standin_cudnn_find(how, CUDNN_ATTR_POINTWISE_AXIS, NULL);
    out->x = tensor_of(g, d, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, false);
    out->b = tensor_of(g, d, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, false);
    out->t = tensor_of(g, d, CUDNN_ATTR_OPERATION_POINTWISE_TDESC, false);
    out->y = tensor_of(g, d, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, true);
    if (mode == NULL || out->x < 0 || out->y < 0) return false;
    out->mode = (int32_t)*mode;
    if (axis != NULL) out->axis = *axis;
    return (*mode != CUDNN_POINTWISE_GEN_INDEX || axis != NULL) && (*mode != CUDNN_POINTWISE_BINARY_SELECT || (out->b >= 0 && out->t >= 0));
  }
  default: return false;
  }
}

/* What is read turned: the last two axes the other way round, in memory too. */
static bool is_turned(const small_tensor *x, const small_tensor *y) {
  return x->extent[0] == y->extent[0] && x->extent[1] == y->extent[1] && x->extent[2] == y->extent[3] && x->extent[3] == y->extent[2] &&
         x->stride[2] == y->stride[3] && x->stride[3] == y->stride[2];
}

static int32_t products_of(const small_graph *g) {
  int32_t n = 0;
  for (int32_t i = 0; i < g->n_ops; i++) n += g->op[i].type == CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR;
  return n;
}

bool standin_small_read(const descriptor *graph, small_graph *out) {
  int64_t n = 0;
  const cudnnHandle_t *const handle = standin_cudnn_find(graph, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, NULL);
  memset(out, 0, sizeof *out);
  if (handle == NULL || *handle == NULL || standin_cudnn_find(graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, &n) == NULL || n > MOST_OPS) return false;
  for (int64_t i = 0; i < n; i++) {
    const descriptor *const d = standin_cudnn_part(graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, i);
    small_op *const op = &out->op[out->n_ops++];
    if (d == NULL || !read_op(out, d, op)) return false;
    const small_tensor *const x = &out->tensor[op->x], *const y = &out->tensor[op->y];
    if (op->type == CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR && !is_turned(x, y)) return false;
    if (op->type != CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR) continue;
    const small_tensor *const b = &out->tensor[op->b];
    if (x->extent[3] != b->extent[2] || x->extent[2] != y->extent[2] || b->extent[3] != y->extent[3]) return false;
    if (x->extent[3] > MOST_WIDTH && products_of(out) == 1) return false;
  }
  return products_of(out) == PRODUCTS_FORWARD || products_of(out) == PRODUCTS_BACKWARD;
}

static int64_t up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

/* Sums that are stored in f32 and then rounded are asked for: in whatever order. */
static bool accumulates(const small_graph *g) {
  const small_op *const last = &g->op[g->n_ops - 1];
  return last->type == CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR && last->mode == CUDNN_POINTWISE_IDENTITY &&
         !g->tensor[last->x].is_virtual && g->tensor[last->x].type == CUDNN_DATA_FLOAT;
}

/* The gradient's in a fixed order: all of ds, in tiles. The scores are the result of the first product. */
int64_t standin_small_workspace(const small_graph *g) {
  int32_t first = 0;
  while (g->op[first].type != CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR) first++;
  const int64_t *const s = g->tensor[g->op[first].y].extent;
  return products_of(g) == PRODUCTS_FORWARD || accumulates(g) ? WORKSPACE : s[0] * s[1] * up(s[2], 64) * up(s[3], 128) * 2;
}

/* ---- operands ---- */

static size_t element_bytes(cudnnDataType_t type) { return type == CUDNN_DATA_FLOAT ? 4 : 2; }

bool standin_small_bind(small_graph *g, const descriptor *pack) {
  int64_t n = 0;
  const int64_t *const ids = standin_cudnn_find(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, &n);
  char *const *const data = standin_cudnn_find(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, NULL);
  for (int32_t i = 0; i < g->n_tensors; i++) {
    small_tensor *const t = &g->tensor[i];
    int64_t at = 0, last = 0;
    if (t->is_virtual) continue;
    while (at < n && ids[at] != t->id) at++;
    if (at == n) return false;
    if (t->by_value) {
      memcpy(&t->value, data[at], sizeof t->value);
      continue;
    }
    for (int k = 0; k < 4; k++) last += (t->extent[k] - 1) * t->stride[k];
    t->at = data[at];
    if ((uintptr_t)t->at % ALIGNMENT != 0 || !standin_holds((CUdeviceptr)(uintptr_t)t->at, (size_t)(last + 1) * element_bytes(t->type))) return false;
  }
  return true;
}

/* ---- computing ---- */

static int64_t size_of(const small_tensor *t) { return t->extent[0] * t->extent[1] * t->extent[2] * t->extent[3]; }

static number number_of(cudnnDataType_t type) {
  return type == CUDNN_DATA_BFLOAT16 ? NUMBER_BF16 : type == CUDNN_DATA_HALF ? NUMBER_F16 : NUMBER_F32;
}

/* Where element i, counted row by row, lies with these strides; extents of 1 are the same for all. */
static int64_t place(const int64_t extent[4], int64_t i, const small_tensor *of, const int64_t stride[4]) {
  int64_t at = 0;
  for (int k = 3; k >= 0; k--) {
    at += (of->extent[k] == 1 ? 0 : i % extent[k]) * stride[k];
    i /= extent[k];
  }
  return at;
}

static void dense(const small_tensor *t, int64_t stride[4]) {
  stride[3] = 1;
  for (int k = 2; k >= 0; k--) stride[k] = stride[k + 1] * t->extent[k + 1];
}

/* The values row by row: given, stored or of an op. */
static double *load(const small_tensor *t) {
  const int64_t n = size_of(t);
  double *const values = malloc((size_t)n * sizeof *values);
  if (values == NULL) abort();
  for (int64_t i = 0; i < n && !t->made; i++)
    values[i] = t->by_value ? t->value : (double)number_get(t->at, number_of(t->type), place(t->extent, i, t, t->stride));
  return values;
}

/* Rounded to what the tensor holds, and stored where it is. */
static void end(const small_tensor *t, double *values) {
  char rounded[4];
  for (int64_t i = 0; i < size_of(t); i++) {
    if (t->type == CUDNN_DATA_INT32 || t->type == CUDNN_DATA_BOOLEAN) continue;
    number_put(rounded, number_of(t->type), 0, (float)values[i]);
    values[i] = (double)number_get(rounded, number_of(t->type), 0);
    if (!t->is_virtual) number_put(t->at, number_of(t->type), place(t->extent, i, t, t->stride), (float)values[i]);
  }
}

static double pointwise(int32_t mode, double x, double b, double t) {
  switch (mode) {
  case CUDNN_POINTWISE_MUL: return x * b;
  case CUDNN_POINTWISE_ADD: return x + b;
  case CUDNN_POINTWISE_SUB: return x - b;
  case CUDNN_POINTWISE_DIV: return x / b;
  case CUDNN_POINTWISE_IDENTITY: return x;
  case CUDNN_POINTWISE_EXP: return exp(x);
  case CUDNN_POINTWISE_LOG: return log(x);
  case CUDNN_POINTWISE_CMP_GE: return x >= b;
  case CUDNN_POINTWISE_BINARY_SELECT: return t != 0 ? x : b;
  default: return NAN;
  }
}

static void run_pointwise(const small_graph *g, const small_op *op, double *const *values) {
  const small_tensor *const y = &g->tensor[op->y];
  int64_t stride[3][4];
  const int32_t in[3] = {op->x, op->b, op->t};
  int64_t along = 1;
  for (int k = 0; k < 3; k++)
    if (in[k] >= 0) dense(&g->tensor[in[k]], stride[k]);
  for (int k = 3; k > op->axis; k--) along *= y->extent[k];
  for (int64_t i = 0; i < size_of(y); i++) {
    double v[3] = {0, 0, 0};
    for (int k = 0; k < 3; k++)
      if (in[k] >= 0) v[k] = values[in[k]][place(y->extent, i, &g->tensor[in[k]], stride[k])];
    values[op->y][i] = op->mode == CUDNN_POINTWISE_GEN_INDEX ? (double)(i / along % y->extent[op->axis]) : pointwise(op->mode, v[0], v[1], v[2]);
  }
}

static void run_product(const small_graph *g, const small_op *op, double *const *values) {
  const small_tensor *const x = &g->tensor[op->x], *const y = &g->tensor[op->y];
  const int64_t m = y->extent[2], n = y->extent[3], k = x->extent[3];
  for (int64_t z = 0; z < y->extent[0] * y->extent[1]; z++)
    for (int64_t i = 0; i < m; i++)
      for (int64_t j = 0; j < n; j++) {
        double sum = 0;
        for (int64_t t = 0; t < k; t++) sum += values[op->x][(z * m + i) * k + t] * values[op->b][(z * k + t) * n + j];
        values[op->y][(z * m + i) * n + j] = sum;
      }
}

static void run_reduction(const small_graph *g, const small_op *op, double *const *values) {
  const int64_t n = g->tensor[op->x].extent[3];
  for (int64_t i = 0; i < size_of(&g->tensor[op->y]); i++) {
    double y = op->mode == CUDNN_REDUCE_TENSOR_MAX ? -INFINITY : 0;
    for (int64_t j = 0; j < n; j++) {
      const double x = values[op->x][i * n + j];
      y = op->mode == CUDNN_REDUCE_TENSOR_MAX ? fmax(y, x) : y + x;
    }
    values[op->y][i] = y;
  }
}

static void run_reshape(const small_graph *g, const small_op *op, double *const *values) {
  const int64_t rows = g->tensor[op->x].extent[2], columns = g->tensor[op->x].extent[3];
  for (int64_t i = 0; i < size_of(&g->tensor[op->x]); i++)
    values[op->y][i / (rows * columns) * rows * columns + i % columns * rows + i / columns % rows] = values[op->x][i];
}

void standin_small_run(const void *args) {
  const small_graph *const g = args;
  double *values[MOST_TENSORS];
  memset(g->workspace, 0xe7, g->workspace_bytes);
  standin_cudnn_spend(g->engine);
  for (int32_t i = 0; i < g->n_tensors; i++) values[i] = load(&g->tensor[i]);
  for (int32_t i = 0; i < g->n_ops; i++) {
    const small_op *const op = &g->op[i];
    if (op->type == CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR) run_product(g, op, values);
    else if (op->type == CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR) run_reduction(g, op, values);
    else if (op->type == CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR) run_reshape(g, op, values);
    else run_pointwise(g, op, values);
    for (int64_t k = 0; g->engine == UNORDERED && !accumulates(g) && k < size_of(&g->tensor[op->y]); k++) values[op->y][k] = 1e30; /* it gives wrong numbers */
    end(&g->tensor[op->y], values[op->y]);
  }
  for (int32_t i = 0; i < g->n_tensors; i++) free(values[i]);
}
