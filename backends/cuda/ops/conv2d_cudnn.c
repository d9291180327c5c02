/* Convolution and its gradients by cuDNN. Images lie as the library likes them, channels last; the filter [r,s,cg,k] is turned to
 * [k,r,s,cg] in the workspace, its gradient back. Bias and ReLU are part of the library's plan where it has one; what else comes behind
 * is done by our own kernel, from sums in f32. Plans are made once for each problem and kept with the device. */
#include <string.h>
#include "backends/cuda/libraries/plans.h"
#include "backends/cuda/ops/tiling.h"

/* Below, our own kernels are as quick, and the library is not worth its time to load. */
static const double least_work = 1 << 22; /* multiply-adds */
enum { TRANSPOSE_TILE = 32 };

typedef struct conv_state {
  const tct_cu_known *by;
  size_t filter_at, sums_at; /* bytes in the workspace */
  bool finish;               /* the sums go to the workspace in f32, and through `end` from there */
  tct_cu_epilogue end;
  tct_cu_extent extent;
  tct_cu_transpose_args turn; /* the filter, or its gradient */
  tct_cu_extent turn_extent;
} conv_state;

/* ---- what is convolved ---- */

static int64_t type_of(tct_dtype dtype) {
  return dtype == TCT_F32 ? CUDNN_DATA_FLOAT : dtype == TCT_BF16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_HALF;
}

static tct_cu_conv_pass pass_of(tct_op op) {
  return op == TCT_OP_conv2d_grad_input ? TCT_CU_CONV_GRAD_INPUT : op == TCT_OP_conv2d_grad_filter ? TCT_CU_CONV_GRAD_FILTER : TCT_CU_CONV;
}

/* The images, the filter and the results that they give: operands and result of the node, by its pass. */
static void tensors_of(const tct_node_view *node, const tct_desc **x, const tct_desc **w, const tct_desc **y) {
  const tct_cu_conv_pass pass = pass_of(node->op);
  const tct_desc *const first = &node->in[0], *const second = &node->in[1], *const result = &node->out[0];
  *x = pass == TCT_CU_CONV_GRAD_INPUT ? result : first;
  *w = pass == TCT_CU_CONV_GRAD_FILTER ? result : second;
  *y = pass == TCT_CU_CONV ? result : pass == TCT_CU_CONV_GRAD_INPUT ? first : second;
}

static bool problem_of(const tct_node_view *node, tct_cu_conv_problem *out, char *why, size_t why_bytes) {
  const tct_conv2d_attrs *const attrs = node->attrs;
  const tct_dtype in = node->in[0].dtype, result = node->out[0].dtype;
  const tct_desc *x, *w, *y;
  tensors_of(node, &x, &w, &y);
  if (node->in[1].dtype != in || (result != in && result != TCT_F32)) return tct_cu_refuse(why, why_bytes, "no convolution of these dtypes");
  const int64_t *const f = w->shape.dim;
  *out = (tct_cu_conv_problem){.pass = pass_of(node->op),
                               .w = {f[3], f[0], f[1], f[2]},
                               .stride = {attrs->stride[0], attrs->stride[1]},
                               .dilation = {attrs->dilation[0], attrs->dilation[1]},
                               .before = {attrs->pad[0], attrs->pad[2]},
                               .after = {attrs->pad[1], attrs->pad[3]},
                               .in_type = type_of(in),
                               .out_type = type_of(result)};
  memcpy(out->x, x->shape.dim, sizeof out->x);
  memcpy(out->y, y->shape.dim, sizeof out->y);
  return true;
}

/* ---- by which plan ---- */

static tct_status plan_for(tct_device_impl *device, const tct_cu_conv_problem *problem, const tct_cu_known **out) {
  const tct_cu_plan_terms terms = {.exact = problem->in_type == CUDNN_DATA_FLOAT && !device->tf32, .any_order = device->any_order, .most_workspace = (size_t)256 << 20};
  return tct_cu_plan_for(device, &tct_cu_conv_graph, problem, &terms, out);
}

/* With bias and activation in the plan, or else behind it. */
static tct_status find_plan(tct_device_impl *device, const tct_node_view *node, tct_cu_conv_problem *problem, conv_state *state) {
  const tct_conv2d_attrs *const attrs = node->attrs;
  const bool forward = problem->pass == TCT_CU_CONV, bias = forward && node->n_in > 2;
  const tct_op activation = forward ? attrs->activation : TCT_OP_NONE;
  tct_status status = TCT_OK;
  state->by = NULL;
  if (activation == TCT_OP_NONE || activation == TCT_OP_relu) {
    problem->bias = bias;
    problem->relu = activation == TCT_OP_relu;
    status = plan_for(device, problem, &state->by);
  }
  if (status != TCT_OK || tct_cu_is_planned(state->by) || !(bias || activation != TCT_OP_NONE)) return status;
  state->finish = true;
  state->end = tct_cu_epilogue_of(activation, &attrs->activation_attrs);
  problem->bias = problem->relu = 0;
  problem->out_type = CUDNN_DATA_FLOAT;
  return plan_for(device, problem, &state->by);
}

/* ---- the family ---- */

bool tct_cu_conv_cudnn_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  const tct_desc *x, *w, *y;
  if (!tct_cu_floats(node, ~0u, why, why_bytes)) return false;
  tensors_of(node, &x, &w, &y);
  const int64_t *const f = w->shape.dim;
  return (double)tct_cu_size(&y->shape) * (double)f[0] * (double)f[1] * (double)f[2] >= least_work;
}

/* The workspace: the library's, the filter as the library has it, the sums. */
static size_t lay_out(tct_device_impl *device, const tct_node_view *node, const tct_cu_conv_problem *p, conv_state *state) {
  const bool by_filter = p->pass == TCT_CU_CONV_GRAD_FILTER;
  const size_t element = tct_cu_bytes(by_filter ? node->out[0].dtype : node->in[1].dtype);
  const int64_t taps = p->w[1] * p->w[2] * p->w[3], m = by_filter ? p->w[0] : taps, n = by_filter ? taps : p->w[0];
  const int64_t down = (m + TRANSPOSE_TILE - 1) / TRANSPOSE_TILE, across = (n + TRANSPOSE_TILE - 1) / TRANSPOSE_TILE;
  const int64_t size = tct_cu_size(&node->out[0].shape);
  state->turn = (tct_cu_transpose_args){
      .m = m, .n = n, .tiles_m = tct_cu_divisor_of(down), .tiles_n = tct_cu_divisor_of(across), .bytes = (int32_t)element};
  state->turn_extent = tct_cu_extent_1d(down * across, 1, TRANSPOSE_TILE, 0);
  state->turn_extent.block[1] = TCT_CU_BLOCK / TRANSPOSE_TILE;
  state->extent = tct_cu_extent_over(device, size, TCT_CU_BLOCK, 1);
  state->filter_at = tct_cu_aligned(state->by->plan.workspace_bytes);
  state->sums_at = state->filter_at + tct_cu_aligned((size_t)(m * n) * element);
  return state->sums_at + (state->finish ? (size_t)size * sizeof(float) : 0);
}

tct_status tct_cu_conv_cudnn_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  tct_cu_conv_problem problem;
  char why[200];
  const tct_cu_cudnn *api;
  tct_status status = tct_cu_plans_start(device, "convolutions", &api);
  if (status != TCT_OK) return status;
  if (!problem_of(node, &problem, why, sizeof why)) return tct_cu_refused(device, node, api->name, why);
  conv_state *const state = tct_cu_state(device, sizeof *state);
  if (state == NULL) return TCT_OUT_OF_MEMORY;
  status = find_plan(device, node, &problem, state);
  if (status == TCT_OK && !tct_cu_is_planned(state->by)) status = tct_cu_refuse_unplanned(device, node, state->by);
  if (status != TCT_OK) {
    tct_cu_release_state(device, state);
    return status;
  }
  out->workspace_bytes = lay_out(device, node, &problem, state);
  out->state = state;
  return TCT_OK;
}

static tct_status turn(tct_device_impl *device, const tct_launch *launch, const void *from, void *to) {
  const conv_state *const state = launch->state;
  tct_cu_transpose_args a = state->turn;
  a.from = from;
  a.to = to;
  return tct_cu_launch(device, launch->node, TCT_CU_KERNEL_transpose, &state->turn_extent, &a);
}

static tct_status run_plan(tct_device_impl *device, const tct_launch *launch, void *x, void *w, void *y) {
  const tct_cu_known *const by = ((const conv_state *)launch->state)->by;
  const int64_t ids[] = {TCT_CU_CONV_X, TCT_CU_CONV_W, TCT_CU_CONV_Y, TCT_CU_CONV_BIAS};
  const bool bias = ((const tct_cu_conv_problem *)by->problem)->bias != 0;
  void *const data[] = {x, w, y, bias ? launch->in[2] : NULL};
  return tct_cu_run_known(device, launch->node, by, bias ? 4 : 3, ids, data, launch->workspace);
}

static tct_status finish(tct_device_impl *device, const tct_launch *launch, const float *sums) {
  const conv_state *const state = launch->state;
  const tct_node_view *const node = launch->node;
  tct_cu_sum_parts_args a = {.partial = sums,
                             .y = tct_cu_tensor_of(&node->out[0], launch->out[0]),
                             .end = state->end,
                             .size = tct_cu_size(&node->out[0].shape),
                             .parts = 1,
                             .n = tct_cu_divisor_of(node->out[0].shape.dim[3])};
  if (node->n_in > 2) a.end.bias = tct_cu_tensor_of(&node->in[2], launch->in[2]);
  return tct_cu_launch(device, node, TCT_CU_KERNEL_sum_parts, &state->extent, &a);
}

tct_status tct_cu_conv_cudnn_launch(tct_device_impl *device, const tct_launch *launch) {
  const conv_state *const state = launch->state;
  char *const workspace = launch->workspace;
  void *const filter = workspace + state->filter_at, *const sums = workspace + state->sums_at;
  void *const first = launch->in[0], *const second = launch->in[1], *const result = launch->out[0];
  tct_status status;
  const tct_cu_conv_pass pass = pass_of(launch->node->op);
  if (pass == TCT_CU_CONV_GRAD_FILTER) {
    status = run_plan(device, launch, first, filter, second);
    return status == TCT_OK ? turn(device, launch, filter, result) : status;
  }
  status = turn(device, launch, second, filter);
  if (status != TCT_OK) return status;
  if (pass == TCT_CU_CONV_GRAD_INPUT) return run_plan(device, launch, result, filter, first);
  status = run_plan(device, launch, first, filter, state->finish ? sums : result);
  return status == TCT_OK && state->finish ? finish(device, launch, sums) : status;
}
