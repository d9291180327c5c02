/* What a device holds of cuDNN: a handle, and the plan of each problem that was asked for, made once. */
#ifndef TCT_BACKENDS_CUDA_PLANS_H
#define TCT_BACKENDS_CUDA_PLANS_H

#include "backends/cuda/libraries/cudnn_graph.h"
#include "backends/cuda/family.h"

enum { TCT_CU_PROBLEM_WORDS = 32 };

typedef struct tct_cu_known {
  const tct_cu_graph_kind *kind;
  int64_t problem[TCT_CU_PROBLEM_WORDS]; /* the kind's struct */
  tct_cu_plan plan;
  cudnnStatus_t status; /* SUCCESS: there is a plan */
} tct_cu_known;

/* The device's share of the library, opened at the first call. Where it does not start, `ops` ("attention") are refused with the reason. */
tct_status tct_cu_plans_start(tct_device_impl *device, const char *ops, const tct_cu_cudnn **out_api) TCT_CHECKED;
/* The problem's plan, of device lifetime. NULL: the device holds too many. */
tct_status tct_cu_plan_for(tct_device_impl *device, const tct_cu_graph_kind *kind, const void *problem, const tct_cu_plan_terms *terms,
                           const tct_cu_known **out) TCT_CHECKED;
bool tct_cu_is_planned(const tct_cu_known *known);
/* Refuses the node for want of a plan. */
tct_status tct_cu_refuse_unplanned(tct_device_impl *device, const tct_node_view *node, const tct_cu_known *known) TCT_CHECKED;
/* Enqueues the plan for the node; operands as tct_cu_plan_run's. */
tct_status tct_cu_run_known(tct_device_impl *device, const tct_node_view *node, const tct_cu_known *known, int64_t n, const int64_t *ids,
                            void *const *data, void *workspace) TCT_CHECKED;

#endif
