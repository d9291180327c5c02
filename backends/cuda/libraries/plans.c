/* See plans.h. */
#include "backends/cuda/libraries/plans.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include "backends/cuda/libraries/tune.h"

static_assert(sizeof(tct_cu_conv_problem) == 25 * sizeof(int64_t) && sizeof(tct_cu_attention_problem) == 10 * sizeof(int64_t),
              "no gaps: problems are compared as memory");
static_assert(sizeof(tct_cu_conv_problem) <= TCT_CU_PROBLEM_WORDS * sizeof(int64_t), "every kind's problem fits");

struct tct_cu_plans {
  const tct_cu_cudnn *api; /* NULL: `why` */
  cudnnHandle_t handle;    /* owned */
  tct_cu_known *known[512]; /* owned */
  int32_t n_known;
  char why[1200];
};

static void start(tct_device_impl *device, struct tct_cu_plans *plans) {
  const tct_cu_cudnn *const api = tct_cu_cudnn_open(device->host, plans->why, sizeof plans->why);
  if (api == NULL) return;
  cudnnStatus_t status = api->create(&plans->handle);
  const char *const call = status == CUDNN_STATUS_SUCCESS ? "cudnnSetStream" : "cudnnCreate";
  if (status == CUDNN_STATUS_SUCCESS) {
    status = api->set_stream(plans->handle, device->stream[TCT_QUEUE_COMPUTE]);
    if (status != CUDNN_STATUS_SUCCESS) (void)api->destroy(plans->handle);
  }
  if (status == CUDNN_STATUS_SUCCESS) plans->api = api;
  else snprintf(plans->why, sizeof plans->why, "%s does not start: %s fails: %s", api->name, call, api->status_text(status));
}

tct_status tct_cu_plans_start(tct_device_impl *device, const char *ops, const tct_cu_cudnn **out_api) {
  *out_api = NULL;
  const tct_status status = tct_cu_enter(device);
  if (status != TCT_OK) return status;
  if (device->plans == NULL) {
    device->plans = tct_cu_state(device, sizeof *device->plans);
    if (device->plans == NULL) return TCT_OUT_OF_MEMORY;
    start(device, device->plans);
  }
  *out_api = device->plans->api;
  return *out_api != NULL ? TCT_OK : tct_cu_refused(device, NULL, ops, device->plans->why);
}

void tct_cu_close_plans(tct_device_impl *device) {
  struct tct_cu_plans *const plans = device->plans;
  if (plans == NULL) return;
  for (int32_t i = 0; i < plans->n_known; i++) {
    tct_cu_plan_drop(plans->api, &plans->known[i]->plan);
    device->host->release(plans->known[i]);
  }
  if (plans->api != NULL) (void)plans->api->destroy(plans->handle);
  device->host->release(plans);
  device->plans = NULL;
}

/* ---- the quickest of several ---- */

typedef struct contestants {
  const struct tct_cu_plans *plans;
  tct_cu_plan plan[TCT_CU_CANDIDATES];
  int32_t n, n_operands;
  int64_t ids[TCT_CU_GRAPH_OPERANDS];
  tct_cu_graph_operand operand[TCT_CU_GRAPH_OPERANDS];
  size_t workspace_at, memory_bytes;
} contestants;

static bool run_contestant(void *user, int32_t i, char *memory) {
  contestants *const c = user;
  void *data[TCT_CU_GRAPH_OPERANDS];
  size_t at = 0;
  for (int32_t k = 0; k < c->n_operands; k++) {
    const tct_cu_graph_operand *const o = &c->operand[k];
    data[k] = o->value != NULL ? (void *)(uintptr_t)o->value : memory + at;
    at += tct_cu_aligned(o->bytes);
  }
  return tct_cu_plan_run(c->plans->api, c->plans->handle, &c->plan[i], c->n_operands, c->ids, data, memory + c->workspace_at) == CUDNN_STATUS_SUCCESS;
}

static void lay_out(contestants *c, const tct_cu_graph_kind *kind, const void *problem) {
  size_t most = 0;
  c->n_operands = kind->operands(problem, c->operand);
  for (int32_t k = 0; k < c->n_operands; k++) {
    c->ids[k] = c->operand[k].id;
    c->workspace_at += tct_cu_aligned(c->operand[k].bytes);
  }
  for (int32_t i = 0; i < c->n; i++)
    if (c->plan[i].workspace_bytes > most) most = c->plan[i].workspace_bytes;
  c->memory_bytes = c->workspace_at + most;
}

/* The plan that is kept for the problem, else the quickest of the first few. */
static cudnnStatus_t make_quickest(tct_device_impl *device, tct_cu_known *known, const tct_cu_plan_terms *terms) {
  const struct tct_cu_plans *const plans = device->plans;
  const tct_cu_contest contest = {plans->api->name, known->kind->name, known->problem, known->kind->problem_bytes};
  tct_cu_plan_terms t = *terms;
  const int32_t kept = tct_cu_kept_choice(device, &contest);
  if (kept >= 0) {
    t.skip = kept;
    device->n_kept++;
    return tct_cu_plan_make(plans->api, plans->handle, known->kind, known->problem, &t, &known->plan);
  }
  contestants c = {.plans = plans};
  cudnnStatus_t status = CUDNN_STATUS_SUCCESS;
  for (; c.n < TCT_CU_CANDIDATES && status == CUDNN_STATUS_SUCCESS; c.n += status == CUDNN_STATUS_SUCCESS) {
    t.skip = c.n;
    status = tct_cu_plan_make(plans->api, plans->handle, known->kind, known->problem, &t, &c.plan[c.n]);
  }
  if (c.n == 0) return status;
  lay_out(&c, known->kind, known->problem);
  const int32_t chosen = c.n > 1 ? tct_cu_time(device, &contest, c.n, c.memory_bytes, run_contestant, &c) : 0;
  for (int32_t i = 0; i < c.n; i++)
    if (i != chosen) tct_cu_plan_drop(plans->api, &c.plan[i]);
  known->plan = c.plan[chosen];
  return CUDNN_STATUS_SUCCESS;
}

tct_status tct_cu_plan_for(tct_device_impl *device, const tct_cu_graph_kind *kind, const void *problem, const tct_cu_plan_terms *terms,
                           const tct_cu_known **out) {
  struct tct_cu_plans *const plans = device->plans;
  for (int32_t i = 0; i < plans->n_known; i++) {
    *out = plans->known[i];
    if ((*out)->kind == kind && memcmp((*out)->problem, problem, kind->problem_bytes) == 0) return TCT_OK;
  }
  *out = NULL;
  if (plans->n_known == (int32_t)(sizeof plans->known / sizeof plans->known[0])) return TCT_OK;
  tct_cu_known *const made = tct_cu_state(device, sizeof *made);
  if (made == NULL) return TCT_OUT_OF_MEMORY;
  made->kind = kind;
  memcpy(made->problem, problem, kind->problem_bytes);
  made->status = CUDNN_STATUS_NOT_SUPPORTED;
  if (device->tunes) made->status = make_quickest(device, made, terms);
  if (!tct_cu_is_planned(made)) made->status = tct_cu_plan_make(plans->api, plans->handle, kind, problem, terms, &made->plan);
  plans->known[plans->n_known++] = made;
  *out = made;
  return TCT_OK;
}

bool tct_cu_is_planned(const tct_cu_known *known) { return known != NULL && known->status == CUDNN_STATUS_SUCCESS; }

tct_status tct_cu_refuse_unplanned(tct_device_impl *device, const tct_node_view *node, const tct_cu_known *known) {
  const tct_cu_cudnn *const api = device->plans->api;
  char why[200];
  snprintf(why, sizeof why, "it has no plan: %.150s", known != NULL ? api->status_text(known->status) : "the device holds too many");
  return tct_cu_refused(device, node, api->name, why);
}

tct_status tct_cu_run_known(tct_device_impl *device, const tct_node_view *node, const tct_cu_known *known, int64_t n, const int64_t *ids,
                            void *const *data, void *workspace) {
  static const char call[] = "cudnnBackendExecute";
  const struct tct_cu_plans *const plans = device->plans;
  tct_status status = tct_cu_begin_work(device, node, call);
  if (status != TCT_OK) return status;
  const cudnnStatus_t answer = tct_cu_plan_run(plans->api, plans->handle, &known->plan, n, ids, data, workspace);
  status = tct_cu_end_work(device, call);
  return answer != CUDNN_STATUS_SUCCESS ? tct_cu_library_failed(device, TCT_INTERNAL, call, plans->api->status_text(answer), (int)answer) : status;
}
