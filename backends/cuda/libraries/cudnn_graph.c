/* See cudnn_graph.h. */
#include "backends/cuda/libraries/cudnn_graph.h"

/* ---- descriptors: the first call that fails ends the rest ---- */

tct_cu_part tct_cu_part_make(tct_cu_graph *g, cudnnBackendDescriptorType_t type) {
  tct_cu_part made = NULL;
  if (g->status == CUDNN_STATUS_SUCCESS && g->to->n_parts == TCT_CU_PLAN_PARTS) g->status = CUDNN_STATUS_INTERNAL_ERROR;
  if (g->status == CUDNN_STATUS_SUCCESS) g->status = g->api->make(type, &made);
  if (made != NULL) g->to->part[g->to->n_parts++] = made;
  return made;
}

void tct_cu_part_set(tct_cu_graph *g, tct_cu_part of, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t n,
                     const void *values) {
  if (g->status == CUDNN_STATUS_SUCCESS) g->status = g->api->set(of, name, type, n, values);
}

void tct_cu_part_set_part(tct_cu_graph *g, tct_cu_part of, cudnnBackendAttributeName_t name, tct_cu_part value) {
  tct_cu_part_set(g, of, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, (const void *)&value);
}

void tct_cu_part_finish(tct_cu_graph *g, tct_cu_part of) {
  if (g->status == CUDNN_STATUS_SUCCESS) g->status = g->api->finish(of);
}

void tct_cu_op_finish(tct_cu_graph *g, tct_cu_part op) {
  tct_cu_part_finish(g, op);
  if (g->n_ops < TCT_CU_GRAPH_OPS) g->op[g->n_ops++] = op;
  else if (g->status == CUDNN_STATUS_SUCCESS) g->status = CUDNN_STATUS_INTERNAL_ERROR;
}

/* The parts made since there were `n` go. */
static void back_to(tct_cu_graph *g, int32_t n) {
  while (g->to->n_parts > n) (void)g->api->drop(g->to->part[--g->to->n_parts]);
}

tct_cu_part tct_cu_graph_tensor(tct_cu_graph *g, int64_t id, cudnnDataType_t type, const int64_t extent[4], const int64_t stride[4],
                                tct_cu_storage storage) {
  const int64_t alignment = 16;
  const bool is_virtual = storage == TCT_CU_VIRTUAL, by_value = storage == TCT_CU_BY_VALUE;
  const tct_cu_part made = tct_cu_part_make(g, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
  tct_cu_part_set(g, made, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
  tct_cu_part_set(g, made, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, extent);
  tct_cu_part_set(g, made, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, stride);
  tct_cu_part_set(g, made, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &id);
  tct_cu_part_set(g, made, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &alignment);
  tct_cu_part_set(g, made, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &is_virtual);
  if (by_value) tct_cu_part_set(g, made, CUDNN_ATTR_TENSOR_IS_BY_VALUE, CUDNN_TYPE_BOOLEAN, 1, &by_value);
  tct_cu_part_finish(g, made);
  return made;
}

void tct_cu_graph_pointwise(tct_cu_graph *g, const tct_cu_pointwise *is) {
  const tct_cu_part how = tct_cu_part_make(g, CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
  tct_cu_part_set(g, how, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &is->mode);
  tct_cu_part_set(g, how, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &is->type);
  if (is->mode == CUDNN_POINTWISE_GEN_INDEX) tct_cu_part_set(g, how, CUDNN_ATTR_POINTWISE_AXIS, CUDNN_TYPE_INT64, 1, &is->axis);
  tct_cu_part_finish(g, how);
  const tct_cu_part op = tct_cu_part_make(g, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
  tct_cu_part_set_part(g, op, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, how);
  tct_cu_part_set_part(g, op, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, is->x);
  if (is->other != NULL) tct_cu_part_set_part(g, op, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, is->other);
  if (is->where != NULL) tct_cu_part_set_part(g, op, CUDNN_ATTR_OPERATION_POINTWISE_TDESC, is->where);
  tct_cu_part_set_part(g, op, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, is->y);
  tct_cu_op_finish(g, op);
}

/* ---- a plan ---- */

/* Whether what the library notes about the configuration's engine permits it. */
static bool keeps_promises(tct_cu_graph *g, tct_cu_part configuration, const tct_cu_plan_terms *terms) {
  cudnnBackendNumericalNote_t note[CUDNN_NUMERICAL_NOTE_TYPE_COUNT];
  int64_t n = 0;
  tct_cu_part engine = tct_cu_part_make(g, CUDNN_BACKEND_ENGINE_DESCRIPTOR);
  if (g->status == CUDNN_STATUS_SUCCESS)
    g->status = g->api->get(configuration, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &n, (void *)&engine);
  if (g->status == CUDNN_STATUS_SUCCESS)
    g->status = g->api->get(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE, CUDNN_NUMERICAL_NOTE_TYPE_COUNT, &n, note);
  bool keeps = g->status == CUDNN_STATUS_SUCCESS;
  for (int64_t i = 0; i < n && keeps; i++) {
    const bool loses = note[i] == CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS || note[i] == CUDNN_NUMERICAL_NOTE_TENSOR_CORE;
    keeps = (terms->any_order || note[i] != CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC) && note[i] != CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION &&
            !(terms->exact && loses);
  }
  return keeps;
}

static bool take(tct_cu_graph *g, tct_cu_part configuration, const tct_cu_plan_terms *terms) {
  const int32_t n_before = g->to->n_parts;
  int64_t bytes = 0, n = 0;
  g->status = CUDNN_STATUS_SUCCESS;
  const bool fit = keeps_promises(g, configuration, terms);
  const tct_cu_part plan = fit ? tct_cu_part_make(g, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR) : NULL;
  if (fit) {
    tct_cu_part_set(g, plan, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &g->handle);
    tct_cu_part_set_part(g, plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, configuration);
    tct_cu_part_finish(g, plan);
    if (g->status == CUDNN_STATUS_SUCCESS)
      g->status = g->api->get(plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &n, &bytes);
  }
  if (!fit || g->status != CUDNN_STATUS_SUCCESS || (uint64_t)bytes > terms->most_workspace) {
    back_to(g, n_before);
    return false;
  }
  g->to->plan = plan;
  g->to->workspace_bytes = (size_t)bytes;
  return true;
}

/* Of the configurations that the heuristic names, in its order, the first that can be taken, behind those that are passed over. */
static bool choose(tct_cu_graph *g, tct_cu_part graph, cudnnBackendHeurMode_t mode, const tct_cu_plan_terms *terms) {
  enum { MOST = 12 };
  tct_cu_part configuration[MOST] = {NULL};
  const int32_t n_before = g->to->n_parts;
  int64_t n = 0;
  int32_t n_skipped = 0;
  bool taken = false;
  g->status = CUDNN_STATUS_SUCCESS;
  const tct_cu_part heuristic = tct_cu_part_make(g, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
  tct_cu_part_set_part(g, heuristic, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph);
  tct_cu_part_set(g, heuristic, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
  tct_cu_part_finish(g, heuristic);
  for (int i = 0; i < MOST && g->status == CUDNN_STATUS_SUCCESS; i++)
    g->status = g->api->make(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, &configuration[i]);
  if (g->status == CUDNN_STATUS_SUCCESS)
    g->status = g->api->get(heuristic, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, MOST, &n, (void *)configuration);
  for (int64_t i = 0; i < n && i < MOST && !taken; i++) {
    const int32_t n_parts = g->to->n_parts;
    taken = take(g, configuration[i], terms);
    if (taken && n_skipped++ < terms->skip) {
      back_to(g, n_parts);
      taken = false;
    }
    if (!taken) continue;
    g->to->part[g->to->n_parts++] = configuration[i];
    configuration[i] = NULL;
  }
  for (int i = 0; i < MOST; i++)
    if (configuration[i] != NULL) (void)g->api->drop(configuration[i]);
  if (!taken) back_to(g, n_before);
  return taken;
}

cudnnStatus_t tct_cu_plan_make(const tct_cu_cudnn *api, cudnnHandle_t handle, const tct_cu_graph_kind *kind, const void *problem,
                               const tct_cu_plan_terms *terms, tct_cu_plan *out) {
  *out = (tct_cu_plan){.n_parts = 0};
  tct_cu_graph g = {.api = api, .handle = handle, .to = out, .status = CUDNN_STATUS_SUCCESS};
  kind->build(&g, problem);
  const tct_cu_part graph = tct_cu_part_make(&g, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
  tct_cu_part_set(&g, graph, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &g.handle);
  tct_cu_part_set(&g, graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, g.n_ops, g.op);
  tct_cu_part_finish(&g, graph);
  if (g.status == CUDNN_STATUS_SUCCESS &&
      (choose(&g, graph, CUDNN_HEUR_MODE_A, terms) || (terms->skip == 0 && choose(&g, graph, CUDNN_HEUR_MODE_FALLBACK, terms))))
    return CUDNN_STATUS_SUCCESS;
  tct_cu_plan_drop(api, out);
  return g.status != CUDNN_STATUS_SUCCESS ? g.status : CUDNN_STATUS_NOT_SUPPORTED;
}

size_t tct_cu_graph_bytes(int64_t type) { return type == CUDNN_DATA_FLOAT ? sizeof(float) : sizeof(uint16_t); }

void tct_cu_plan_drop(const tct_cu_cudnn *api, tct_cu_plan *plan) {
  while (plan->n_parts > 0) (void)api->drop(plan->part[--plan->n_parts]);
  plan->plan = NULL;
}

/* A finished descriptor cannot be set again: each launch, of which a recorded step has two, makes its own. */
cudnnStatus_t tct_cu_plan_run(const tct_cu_cudnn *api, cudnnHandle_t handle, const tct_cu_plan *plan, int64_t n, const int64_t *ids,
                              void *const *data, void *workspace) {
  tct_cu_plan operands = {.n_parts = 0};
  tct_cu_graph g = {.api = api, .handle = handle, .to = &operands, .status = CUDNN_STATUS_SUCCESS};
  const tct_cu_part pack = tct_cu_part_make(&g, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
  tct_cu_part_set(&g, pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, n, ids);
  tct_cu_part_set(&g, pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, n, data);
  tct_cu_part_set(&g, pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace);
  tct_cu_part_finish(&g, pack);
  if (g.status == CUDNN_STATUS_SUCCESS) g.status = api->execute(handle, plan->plan, pack);
  back_to(&g, 0);
  return g.status;
}
