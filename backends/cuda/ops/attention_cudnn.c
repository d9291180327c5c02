/* Attention and its gradient by cuDNN, in bf16 and f16, causal or not: masks, other widths and f32 are our own kernels'. The gradient
 * takes whole samples at a time, as many as the workspace of ds [samples,heads,queries,keys] lets it. */
#include <math.h>
#include <string.h>
#include "backends/cuda/libraries/plans.h"
#include "backends/cuda/ops/shape.h"

/* Below, our own kernels are as quick, and the library is not worth its time to load. */
static const double least_work = 1 << 22; /* multiply-adds */
enum { WIDTH_UNIT = 8, MOST_WIDTH = 256 };  /* of the library's engines */
enum { LEAST_VERSION = 91000 };             /* before, keys are not hidden by -∞ */

typedef struct attention_state {
  const tct_cu_known *by;
  int64_t runs; /* of `by`, each of as many samples */
  size_t delta_at, sums_at; /* bytes in the workspace; sums_at 0: dq is no sum in f32 */
  float scale, hidden, one; /* read when a plan runs */
} attention_state;

/* An operand of a plan, which lies sample by sample. */
typedef struct operand {
  int64_t id;
  void *data;
  const tct_desc *desc; /* NULL: the same for every sample */
} operand;

static bool backward_of(const tct_node_view *node) { return node->op == TCT_OP_attention_grad; }

static bool is_width(int64_t n) { return n % WIDTH_UNIT == 0 && n <= MOST_WIDTH; }

bool tct_cu_attention_cudnn_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  const tct_shape *const q = &node->in[0].shape, *const v = &node->in[2].shape;
  const tct_dtype dtype = node->in[0].dtype;
  (void)why, (void)why_bytes;
  if ((dtype != TCT_BF16 && dtype != TCT_F16) || node->n_in > (backward_of(node) ? 6 : 3)) return false;
  if (!is_width(q->dim[3]) || !is_width(v->dim[3])) return false;
  return (double)tct_cu_extents(q, 0, 3) * (double)v->dim[1] * (double)(q->dim[3] + v->dim[3]) >= least_work;
}

/* Of ds, in the library's tiles; in any order it is stored nowhere. */
static size_t scratch_bytes(const tct_cu_attention_problem *p) {
  if (p->any_order != 0) return 0;
  const int64_t queries = (p->queries + 63) / 64 * 64, keys = (p->keys + 127) / 128 * 128;
  return (size_t)(p->batch * p->heads * queries * keys) * 2;
}

/* As many samples at a time as have room; what is f32 begins on the 16 bytes that the library is promised. */
static void share_out(tct_cu_attention_problem *p, size_t room) {
  const int64_t batch = p->batch;
  for (int64_t runs = 2; runs <= batch && scratch_bytes(p) > room; runs++)
    if (batch % runs == 0 && batch / runs * p->heads * p->queries % 4 == 0) p->batch = batch / runs;
}

static tct_cu_attention_problem problem_of(const tct_device_impl *device, const tct_node_view *node) {
  const tct_attention_attrs *const attrs = node->attrs;
  const int64_t *const q = node->in[0].shape.dim;
  return (tct_cu_attention_problem){.backward = backward_of(node),
                                    .any_order = backward_of(node) && device->any_order,
                                    .batch = q[0],
                                    .heads = q[2],
                                    .queries = q[1],
                                    .keys = node->in[1].shape.dim[1],
                                    .d = q[3],
                                    .width = node->in[2].shape.dim[3],
                                    .causal = attrs->causal,
                                    .type = node->in[0].dtype == TCT_BF16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_HALF};
}

tct_status tct_cu_attention_cudnn_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  const size_t share = device->chip.memory_bytes / 16, wanted = (size_t)256 << 20;
  const tct_attention_attrs *const attrs = node->attrs;
  const tct_cu_cudnn *api;
  tct_status status = tct_cu_plans_start(device, "attention", &api);
  if (status != TCT_OK) return status;
  if (api->version() < LEAST_VERSION) return tct_cu_refused(device, NULL, "attention", "cuDNN is older than 9.10; install a later one");
  tct_cu_attention_problem p = problem_of(device, node);
  if (p.backward != 0) share_out(&p, share < wanted ? share : wanted);
  attention_state *const state = tct_cu_state(device, sizeof *state);
  if (state == NULL) return TCT_OUT_OF_MEMORY;
  *state = (attention_state){.runs = node->in[0].shape.dim[0] / p.batch, .scale = (float)attrs->scale, .hidden = -INFINITY, .one = 1};
  status = tct_cu_plan_for(device, &tct_cu_attention_graph, &p, &(tct_cu_plan_terms){.any_order = device->any_order, .most_workspace = share}, &state->by);
  if (status == TCT_OK && !tct_cu_is_planned(state->by)) status = tct_cu_refuse_unplanned(device, node, state->by);
  if (status != TCT_OK) {
    tct_cu_release_state(device, state);
    return status;
  }
  state->delta_at = tct_cu_aligned(state->by->plan.workspace_bytes);
  const size_t rows = (size_t)(p.batch * p.heads * p.queries), delta_end = state->delta_at + (p.backward != 0 ? rows * sizeof(float) : 0);
  if (p.any_order != 0) state->sums_at = tct_cu_aligned(delta_end);
  *out = (tct_prepared){.workspace_bytes = p.any_order != 0 ? state->sums_at + rows * (size_t)p.d * sizeof(float) : delta_end, .state = state};
  return TCT_OK;
}

/* The plan once for every run of samples. */
static tct_status run(tct_device_impl *device, const tct_launch *launch, const operand *operands, int64_t n) {
  const attention_state *const state = launch->state;
  int64_t ids[TCT_CU_GRAPH_OPERANDS];
  void *data[TCT_CU_GRAPH_OPERANDS];
  tct_status status = TCT_OK;
  for (int64_t r = 0; r < state->runs && status == TCT_OK; r++) {
    for (int64_t i = 0; i < n; i++) {
      const tct_desc *const desc = operands[i].desc;
      const size_t bytes = desc != NULL ? (size_t)tct_cu_size(&desc->shape) * tct_cu_bytes(desc->dtype) : 0;
      ids[i] = operands[i].id;
      data[i] = (char *)operands[i].data + (size_t)r * (bytes / (size_t)state->runs);
    }
    status = tct_cu_run_known(device, launch->node, state->by, n, ids, data, launch->workspace);
  }
  return status;
}

tct_status tct_cu_attention_cudnn_launch(tct_device_impl *device, const tct_launch *launch) {
  attention_state *const state = launch->state;
  const tct_desc *const in = launch->node->in, *const out = launch->node->out;
  const bool backward = backward_of(launch->node);
#define IN(name, i)  {TCT_CU_ATTENTION_##name, launch->in[i], &in[i]}
#define OUT(name, i) {TCT_CU_ATTENTION_##name, launch->out[i], &out[i]}
  operand list[TCT_CU_GRAPH_OPERANDS] = {{TCT_CU_ATTENTION_SCALE, &state->scale, NULL}, IN(Q, 0), IN(K, 1), IN(V, 2)};
  int64_t n = 4;
  if (((const tct_attention_attrs *)launch->node->attrs)->causal)
    list[n++] = (operand){TCT_CU_ATTENTION_HIDDEN, &state->hidden, NULL};
  const operand forward[] = {OUT(Y, 0), OUT(L, 1)};
  if (!backward) {
    memcpy(list + n, forward, sizeof forward);
    return run(device, launch, list, n + 2);
  }
  const operand gradient[] = {IN(Y, 3), IN(L, 4), IN(DY, 5), OUT(DQ, 0), OUT(DK, 1), OUT(DV, 2),
                              {TCT_CU_ATTENTION_ONE, &state->one, NULL},
                              {TCT_CU_ATTENTION_DELTA, (char *)launch->workspace + state->delta_at, NULL}};
#undef OUT
#undef IN
  memcpy(list + n, gradient, sizeof gradient);
  n += (int64_t)(sizeof gradient / sizeof *gradient);
  if (state->sums_at > 0) list[n++] = (operand){TCT_CU_ATTENTION_SUMS, (char *)launch->workspace + state->sums_at, NULL};
  return run(device, launch, list, n);
}
