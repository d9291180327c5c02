/* Graphs of cuDNN: tensors and ops are added to a graph, for which a plan is found. A call that fails ends all that follow; the status
 * is asked for once, at the end. What is made belongs to the plan, and goes with it. */
#ifndef TCT_BACKENDS_CUDA_CUDNN_GRAPH_H
#define TCT_BACKENDS_CUDA_CUDNN_GRAPH_H

#include "backends/cuda/libraries/cudnn.h"

enum { TCT_CU_PLAN_PARTS = 128, TCT_CU_GRAPH_OPS = 32, TCT_CU_GRAPH_OPERANDS = 16 };

typedef struct tct_cu_plan {
  cudnnBackendDescriptor_t part[TCT_CU_PLAN_PARTS]; /* owned; the plan and all that it was made of */
  int32_t n_parts;
  cudnnBackendDescriptor_t plan;
  size_t workspace_bytes;
} tct_cu_plan;

typedef struct tct_cu_graph {
  const tct_cu_cudnn *api;
  cudnnHandle_t handle;
  tct_cu_plan *to;
  cudnnStatus_t status;
  cudnnBackendDescriptor_t op[TCT_CU_GRAPH_OPS];
  int64_t n_ops;
} tct_cu_graph;

typedef cudnnBackendDescriptor_t tct_cu_part; /* of a graph; borrowed */

/* ---- any descriptor ---- */
tct_cu_part tct_cu_part_make(tct_cu_graph *g, cudnnBackendDescriptorType_t type);
void tct_cu_part_set(tct_cu_graph *g, tct_cu_part of, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t n,
                     const void *values);
void tct_cu_part_set_part(tct_cu_graph *g, tct_cu_part of, cudnnBackendAttributeName_t name, tct_cu_part value);
void tct_cu_part_finish(tct_cu_graph *g, tct_cu_part of);
/* Finished, as the graph's next op. */
void tct_cu_op_finish(tct_cu_graph *g, tct_cu_part op);

/* ---- tensors: extents and strides of four axes, in the library's order ---- */
typedef enum tct_cu_storage { TCT_CU_STORED, TCT_CU_VIRTUAL, TCT_CU_BY_VALUE } tct_cu_storage; /* by value: from the host, when it runs */
tct_cu_part tct_cu_graph_tensor(tct_cu_graph *g, int64_t id, cudnnDataType_t type, const int64_t extent[4], const int64_t stride[4],
                                tct_cu_storage storage);

/* ---- ops that more than one kind of graph has ---- */
/* y = mode(x), mode(x, other), x's index along `axis` (GEN_INDEX), or x but other where `where` is false (BINARY_SELECT). */
typedef struct tct_cu_pointwise {
  cudnnPointwiseMode_t mode;
  cudnnDataType_t type; /* in which it is computed */
  tct_cu_part x, other, where, y; /* other, where: NULL: none */
  int64_t axis;
} tct_cu_pointwise;
void tct_cu_graph_pointwise(tct_cu_graph *g, const tct_cu_pointwise *op);

/* ---- plans ---- */
/* What a plan reads and writes. */
typedef struct tct_cu_graph_operand {
  int64_t id;
  size_t bytes;       /* in device memory */
  const float *value; /* by value: some; else NULL */
} tct_cu_graph_operand;

typedef struct tct_cu_graph_kind {
  const char *name;
  size_t problem_bytes; /* of the struct that says all of a problem, without gaps: problems are compared as memory */
  void (*build)(tct_cu_graph *g, const void *problem);
  int32_t (*operands)(const void *problem, tct_cu_graph_operand out[TCT_CU_GRAPH_OPERANDS]); /* how many */
} tct_cu_graph_kind;
size_t tct_cu_graph_bytes(int64_t type); /* of an element of a cudnnDataType_t */

typedef struct tct_cu_plan_terms {
  bool exact;     /* f32 stays f32 */
  bool any_order; /* sums need not be added in the same order each time */
  size_t most_workspace;
  int32_t skip; /* of the plans that are named, so many are passed over */
} tct_cu_plan_terms;

/* The first plan that the library's heuristics name (`skip` 0) of those that meet the terms and reduce in f32. Anything but
 * SUCCESS: there is none, nothing to drop. */
cudnnStatus_t tct_cu_plan_make(const tct_cu_cudnn *api, cudnnHandle_t handle, const tct_cu_graph_kind *kind, const void *problem,
                               const tct_cu_plan_terms *terms, tct_cu_plan *out);
void tct_cu_plan_drop(const tct_cu_cudnn *api, tct_cu_plan *plan);
/* Enqueues it on the handle's stream: n tensors by id, n at most TCT_CU_GRAPH_OPERANDS. */
cudnnStatus_t tct_cu_plan_run(const tct_cu_cudnn *api, cudnnHandle_t handle, const tct_cu_plan *plan, int64_t n, const int64_t *ids,
                              void *const *data, void *workspace);

/* ---- the graphs ---- */

/* A convolution or one of its gradients; extents in our order, channels last; the filter as [k,r,s,cg]. */
typedef enum tct_cu_conv_pass { TCT_CU_CONV, TCT_CU_CONV_GRAD_INPUT, TCT_CU_CONV_GRAD_FILTER } tct_cu_conv_pass;
typedef struct tct_cu_conv_problem {
  int64_t pass;               /* a tct_cu_conv_pass */
  int64_t x[4], w[4], y[4];   /* [n,h,w,c], [k,r,s,cg], [n,p,q,k] */
  int64_t stride[2], dilation[2], before[2], after[2]; /* before, after: padding */
  int64_t in_type, out_type;  /* cudnnDataType_t: of the operands, of the result */
  int64_t bias, relu;         /* of the forward pass; bias of out_type */
} tct_cu_conv_problem;
enum { TCT_CU_CONV_X = 1, TCT_CU_CONV_W, TCT_CU_CONV_Y, TCT_CU_CONV_BIAS }; /* ids of its tensors */
extern const tct_cu_graph_kind tct_cu_conv_graph;

/* Attention or its gradient, tensors as the ops have them. In a fixed order dq is a product with all of ds, for which the plan's workspace
 * has room; in any order it is the sum of the keys' blocks in f32, as they come. */
typedef struct tct_cu_attention_problem {
  int64_t backward, any_order; /* any_order: of the gradient */
  int64_t batch, heads, queries, keys, d, width; /* q [batch,queries,heads,d], v [batch,keys,heads,width] */
  int64_t causal;
  int64_t type; /* cudnnDataType_t; l is f32 */
} tct_cu_attention_problem;
enum { /* ids of its tensors */
  TCT_CU_ATTENTION_Q = 1,
  TCT_CU_ATTENTION_K,
  TCT_CU_ATTENTION_V,
  TCT_CU_ATTENTION_Y,
  TCT_CU_ATTENTION_L,
  TCT_CU_ATTENTION_SCALE,    /* by value, f32 */
  TCT_CU_ATTENTION_HIDDEN,   /* by value, f32: the score of a key that is not seen */
  TCT_CU_ATTENTION_ONE,      /* by value, f32; it and those below: of the gradient */
  TCT_CU_ATTENTION_DY,
  TCT_CU_ATTENTION_DELTA,    /* Σ dy·y [batch,heads,queries], f32: scratch */
  TCT_CU_ATTENTION_DQ,
  TCT_CU_ATTENTION_DK,
  TCT_CU_ATTENTION_DV,
  TCT_CU_ATTENTION_SUMS,     /* dq before it is rounded [batch,heads,queries,d], f32: scratch, in any order */
  TCT_CU_ATTENTION_N_IDS
};
extern const tct_cu_graph_kind tct_cu_attention_graph;

#endif
