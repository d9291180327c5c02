/* Attention and its gradient as graphs of cuDNN's small ops, in the order and form in which its attention engines know them: those of
 * NVIDIA's own front end. Scores and weights are virtual: no engine stores them, but where a sum in a fixed order needs to.
 *   forward   s = scale·q·kᵀ, hidden where the key comes later; m = max s, e = exp(s - m), z = Σ e; l = m + ln z; y = (e / z)·v
 *   backward  delta = Σ dy·y; p = exp(s - l); dv = pᵀ·dy; ds = scale·p·(dy·vᵀ - delta); dk = dsᵀ·q; dq = ds·k,
 *             in any order through a sum in f32 that is stored */
#include "backends/cuda/libraries/cudnn_graph.h"

#include <math.h>
#include <string.h>

/* A graph that is being built: the next virtual tensor's id, and the layouts that it has. */
typedef struct attention {
  tct_cu_graph *g;
  const tct_cu_attention_problem *p;
  int64_t next_id;
  int64_t scores[4], rows[4]; /* [batch,heads,queries,keys], [batch,heads,queries,1] */
} attention;

static void dense(const int64_t extent[4], int64_t stride[4]) {
  stride[3] = 1;
  for (int i = 2; i >= 0; i--) stride[i] = stride[i + 1] * extent[i + 1];
}

/* Heads beside each other, as our tensors have them; `turned`: the last two axes the other way round. */
static tct_cu_part heads(const attention *a, int64_t id, int64_t positions, int64_t width, bool turned, tct_cu_storage storage) {
  const int64_t row = a->p->heads * width, last = turned ? 2 : 3, other = turned ? 3 : 2;
  int64_t extent[4] = {a->p->batch, a->p->heads}, stride[4] = {positions * row, width};
  extent[other] = positions, extent[last] = width;
  stride[other] = row, stride[last] = 1;
  return tct_cu_graph_tensor(a->g, id, (cudnnDataType_t)a->p->type, extent, stride, storage);
}

static tct_cu_part stored(const attention *a, int64_t id, int64_t positions, int64_t width) {
  return heads(a, id, positions, width, false, TCT_CU_STORED);
}

/* f32, one for each query. */
static tct_cu_part per_query(const attention *a, int64_t id, tct_cu_storage storage) {
  int64_t stride[4];
  dense(a->rows, stride);
  return tct_cu_graph_tensor(a->g, id, CUDNN_DATA_FLOAT, a->rows, stride, storage);
}

static tct_cu_part virtual_scores(attention *a, cudnnDataType_t type) {
  int64_t stride[4];
  dense(a->scores, stride);
  return tct_cu_graph_tensor(a->g, a->next_id++, type, a->scores, stride, TCT_CU_VIRTUAL);
}

static tct_cu_part virtual_rows(attention *a) { return per_query(a, a->next_id++, TCT_CU_VIRTUAL); }

static tct_cu_part number(const attention *a, int64_t id) {
  static const int64_t ones[4] = {1, 1, 1, 1};
  return tct_cu_graph_tensor(a->g, id, CUDNN_DATA_FLOAT, ones, ones, TCT_CU_BY_VALUE);
}

/* ---- ops ---- */

static tct_cu_part pointwise(attention *a, cudnnPointwiseMode_t mode, tct_cu_part x, tct_cu_part other, tct_cu_part y) {
  tct_cu_graph_pointwise(a->g, &(tct_cu_pointwise){mode, CUDNN_DATA_FLOAT, .x = x, .other = other, .y = y});
  return y;
}

static tct_cu_part on_scores(attention *a, cudnnPointwiseMode_t mode, tct_cu_part x, tct_cu_part other) {
  return pointwise(a, mode, x, other, virtual_scores(a, CUDNN_DATA_FLOAT));
}

static void multiply(attention *a, tct_cu_part x, tct_cu_part other, tct_cu_part y) {
  const cudnnDataType_t type = CUDNN_DATA_FLOAT;
  const tct_cu_part how = tct_cu_part_make(a->g, CUDNN_BACKEND_MATMUL_DESCRIPTOR);
  tct_cu_part_set(a->g, how, CUDNN_ATTR_MATMUL_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
  tct_cu_part_finish(a->g, how);
  const tct_cu_part op = tct_cu_part_make(a->g, CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR);
  tct_cu_part_set_part(a->g, op, CUDNN_ATTR_OPERATION_MATMUL_DESC, how);
  tct_cu_part_set_part(a->g, op, CUDNN_ATTR_OPERATION_MATMUL_ADESC, x);
  tct_cu_part_set_part(a->g, op, CUDNN_ATTR_OPERATION_MATMUL_BDESC, other);
  tct_cu_part_set_part(a->g, op, CUDNN_ATTR_OPERATION_MATMUL_CDESC, y);
  tct_cu_op_finish(a->g, op);
}

static tct_cu_part reduce(attention *a, cudnnReduceTensorOp_t by, tct_cu_part x) {
  const cudnnDataType_t type = CUDNN_DATA_FLOAT;
  const tct_cu_part y = virtual_rows(a), how = tct_cu_part_make(a->g, CUDNN_BACKEND_REDUCTION_DESCRIPTOR);
  tct_cu_part_set(a->g, how, CUDNN_ATTR_REDUCTION_OPERATOR, CUDNN_TYPE_REDUCTION_OPERATOR_TYPE, 1, &by);
  tct_cu_part_set(a->g, how, CUDNN_ATTR_REDUCTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
  tct_cu_part_finish(a->g, how);
  const tct_cu_part op = tct_cu_part_make(a->g, CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR);
  tct_cu_part_set_part(a->g, op, CUDNN_ATTR_OPERATION_REDUCTION_DESC, how);
  tct_cu_part_set_part(a->g, op, CUDNN_ATTR_OPERATION_REDUCTION_XDESC, x);
  tct_cu_part_set_part(a->g, op, CUDNN_ATTR_OPERATION_REDUCTION_YDESC, y);
  tct_cu_op_finish(a->g, op);
  return y;
}

static tct_cu_part reshape(attention *a, tct_cu_part x, tct_cu_part y) {
  const tct_cu_part op = tct_cu_part_make(a->g, CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR);
  tct_cu_part_set_part(a->g, op, CUDNN_ATTR_OPERATION_RESHAPE_XDESC, x);
  tct_cu_part_set_part(a->g, op, CUDNN_ATTR_OPERATION_RESHAPE_YDESC, y);
  tct_cu_op_finish(a->g, op);
  return y;
}

/* Scores turned, in the operands' type: the left operand of a product. */
static tct_cu_part turned_scores(attention *a, tct_cu_part x) {
  int64_t stride[4];
  dense(a->scores, stride);
  const int64_t extents[4] = {a->scores[0], a->scores[1], a->scores[3], a->scores[2]}, strides[4] = {stride[0], stride[1], 1, stride[2]};
  return reshape(a, x, tct_cu_graph_tensor(a->g, a->next_id++, (cudnnDataType_t)a->p->type, extents, strides, TCT_CU_VIRTUAL));
}

/* A query's or a key's number, at its place among the scores. */
static tct_cu_part index_of(attention *a, tct_cu_part s, int64_t axis) {
  const tct_cu_part y = virtual_scores(a, CUDNN_DATA_INT32);
  tct_cu_graph_pointwise(a->g, &(tct_cu_pointwise){CUDNN_POINTWISE_GEN_INDEX, CUDNN_DATA_INT32, .x = s, .axis = axis, .y = y});
  return y;
}

/* s where the key does not come after the query. */
static tct_cu_part hide_later(attention *a, tct_cu_part s) {
  if (a->p->causal == 0) return s;
  const tct_cu_part query = index_of(a, s, 2), key = index_of(a, s, 3);
  const tct_cu_part sees = virtual_scores(a, CUDNN_DATA_BOOLEAN), hidden = number(a, TCT_CU_ATTENTION_HIDDEN);
  tct_cu_graph_pointwise(a->g, &(tct_cu_pointwise){CUDNN_POINTWISE_CMP_GE, CUDNN_DATA_BOOLEAN, .x = query, .other = key, .y = sees});
  const tct_cu_part y = virtual_scores(a, CUDNN_DATA_FLOAT);
  tct_cu_graph_pointwise(a->g, &(tct_cu_pointwise){CUDNN_POINTWISE_BINARY_SELECT, CUDNN_DATA_FLOAT, .x = s, .other = hidden, .where = sees, .y = y});
  return y;
}

static tct_cu_part product_of_scores(attention *a, tct_cu_part x, tct_cu_part other) {
  const tct_cu_part s = virtual_scores(a, CUDNN_DATA_FLOAT);
  multiply(a, x, other, s);
  return s;
}

/* ---- the graphs ---- */

static void forward(attention *a, tct_cu_part q, tct_cu_part turned_k) {
  const tct_cu_attention_problem *const p = a->p;
  const tct_cu_part v = stored(a, TCT_CU_ATTENTION_V, p->keys, p->width), y = stored(a, TCT_CU_ATTENTION_Y, p->queries, p->width);
  const tct_cu_part l = per_query(a, TCT_CU_ATTENTION_L, TCT_CU_STORED);
  const tct_cu_part scaled = on_scores(a, CUDNN_POINTWISE_MUL, product_of_scores(a, q, turned_k), number(a, TCT_CU_ATTENTION_SCALE));
  const tct_cu_part s = hide_later(a, scaled), most = reduce(a, CUDNN_REDUCE_TENSOR_MAX, s);
  const tct_cu_part e = on_scores(a, CUDNN_POINTWISE_EXP, on_scores(a, CUDNN_POINTWISE_SUB, s, most), NULL);
  const tct_cu_part sum = reduce(a, CUDNN_REDUCE_TENSOR_ADD, e);
  pointwise(a, CUDNN_POINTWISE_ADD, most, pointwise(a, CUDNN_POINTWISE_LOG, sum, NULL, virtual_rows(a)), l);
  const tct_cu_part weights = pointwise(a, CUDNN_POINTWISE_DIV, e, sum, virtual_scores(a, (cudnnDataType_t)p->type));
  multiply(a, weights, v, y);
}

static void backward(attention *a, tct_cu_part q, tct_cu_part turned_k) {
  const tct_cu_attention_problem *const p = a->p;
  const tct_cu_part y = stored(a, TCT_CU_ATTENTION_Y, p->queries, p->width), dy = stored(a, TCT_CU_ATTENTION_DY, p->queries, p->width);
  const tct_cu_part turned_v = heads(a, TCT_CU_ATTENTION_V, p->keys, p->width, true, TCT_CU_STORED);
  const tct_cu_part dq = stored(a, TCT_CU_ATTENTION_DQ, p->queries, p->d), dk = stored(a, TCT_CU_ATTENTION_DK, p->keys, p->d);
  const tct_cu_part dv = stored(a, TCT_CU_ATTENTION_DV, p->keys, p->width), scale = number(a, TCT_CU_ATTENTION_SCALE);
  const tct_cu_part l = per_query(a, TCT_CU_ATTENTION_L, TCT_CU_STORED), delta = per_query(a, TCT_CU_ATTENTION_DELTA, TCT_CU_STORED);
  /* Its type is that of what is computed, not of the operands. */
  int64_t extent[4] = {p->batch, p->heads, p->queries, p->width}, stride[4] = {p->queries * p->heads * p->width, p->width, p->heads * p->width, 1};
  const tct_cu_part products = tct_cu_graph_tensor(a->g, a->next_id++, CUDNN_DATA_FLOAT, extent, stride, TCT_CU_VIRTUAL);
  const tct_cu_part summed = reduce(a, CUDNN_REDUCE_TENSOR_ADD, pointwise(a, CUDNN_POINTWISE_MUL, dy, y, products));
  pointwise(a, CUDNN_POINTWISE_MUL, summed, number(a, TCT_CU_ATTENTION_ONE), delta);
  const tct_cu_part scaled = on_scores(a, CUDNN_POINTWISE_MUL, product_of_scores(a, q, turned_k), scale);
  const tct_cu_part weights = on_scores(a, CUDNN_POINTWISE_EXP, hide_later(a, on_scores(a, CUDNN_POINTWISE_SUB, scaled, l)), NULL);
  multiply(a, turned_scores(a, weights), dy, dv);
  const tct_cu_part beyond = on_scores(a, CUDNN_POINTWISE_SUB, product_of_scores(a, dy, turned_v), delta);
  const tct_cu_part ds = on_scores(a, CUDNN_POINTWISE_MUL, on_scores(a, CUDNN_POINTWISE_MUL, beyond, weights), scale);
  multiply(a, turned_scores(a, ds), q, dk);
  const tct_cu_part k = reshape(a, turned_k, heads(a, a->next_id++, p->keys, p->d, false, TCT_CU_VIRTUAL));
  if (p->any_order == 0) {
    multiply(a, ds, k, dq);
    return;
  }
  extent[3] = p->d;
  dense(extent, stride);
  const tct_cu_part sums = tct_cu_graph_tensor(a->g, TCT_CU_ATTENTION_SUMS, CUDNN_DATA_FLOAT, extent, stride, TCT_CU_STORED);
  multiply(a, ds, k, sums);
  pointwise(a, CUDNN_POINTWISE_IDENTITY, sums, NULL, dq);
}

static void build(tct_cu_graph *g, const void *problem) {
  const tct_cu_attention_problem *const p = problem;
  attention a = {.g = g,
                 .p = p,
                 .next_id = TCT_CU_ATTENTION_N_IDS,
                 .scores = {p->batch, p->heads, p->queries, p->keys},
                 .rows = {p->batch, p->heads, p->queries, 1}};
  const tct_cu_part q = stored(&a, TCT_CU_ATTENTION_Q, p->queries, p->d);
  const tct_cu_part turned_k = heads(&a, TCT_CU_ATTENTION_K, p->keys, p->d, true, TCT_CU_STORED);
  if (p->backward != 0) backward(&a, q, turned_k);
  else forward(&a, q, turned_k);
}

static int32_t operands(const void *problem, tct_cu_graph_operand out[TCT_CU_GRAPH_OPERANDS]) {
  static const float scale = 0.125f, hidden = -INFINITY, one = 1;
  const tct_cu_attention_problem *const p = problem;
  const size_t element = tct_cu_graph_bytes(p->type), heads = (size_t)(p->batch * p->heads);
  const size_t q = heads * (size_t)(p->queries * p->d) * element, k = heads * (size_t)(p->keys * p->d) * element;
  const size_t v = heads * (size_t)(p->keys * p->width) * element, y = heads * (size_t)(p->queries * p->width) * element;
  const size_t l = heads * (size_t)p->queries * sizeof(float);
  const tct_cu_graph_operand all[] = {
      {TCT_CU_ATTENTION_Q, q, NULL},      {TCT_CU_ATTENTION_K, k, NULL},   {TCT_CU_ATTENTION_V, v, NULL},
      {TCT_CU_ATTENTION_Y, y, NULL},      {TCT_CU_ATTENTION_L, l, NULL},   {TCT_CU_ATTENTION_SCALE, 0, &scale},
      {TCT_CU_ATTENTION_DY, y, NULL},     {TCT_CU_ATTENTION_DQ, q, NULL},  {TCT_CU_ATTENTION_DK, k, NULL},
      {TCT_CU_ATTENTION_DV, v, NULL},     {TCT_CU_ATTENTION_DELTA, l, NULL}, {TCT_CU_ATTENTION_ONE, 0, &one}};
  int32_t n = p->backward != 0 ? (int32_t)(sizeof all / sizeof *all) : 6;
  memcpy(out, all, (size_t)n * sizeof *all);
  if (p->any_order != 0)
    out[n++] = (tct_cu_graph_operand){TCT_CU_ATTENTION_SUMS, heads * (size_t)(p->queries * p->d) * sizeof(float), NULL};
  if (p->causal != 0) out[n++] = (tct_cu_graph_operand){TCT_CU_ATTENTION_HIDDEN, 0, &hidden};
  return n;
}

const tct_cu_graph_kind tct_cu_attention_graph = {
    .name = "attention", .problem_bytes = sizeof(tct_cu_attention_problem), .build = build, .operands = operands};
