/* What the files of the stand-in cuDNN share: descriptors, and graphs of small ops. */
#ifndef TCT_TESTS_STANDIN_CUDNN_INSIDE_H
#define TCT_TESTS_STANDIN_CUDNN_INSIDE_H

#include <cudnn.h>
#include "support/standin_cuda/numbers.h"
#include "support/standin_cuda/settings.h"

enum { MOST_ATTRIBUTES = 12, ALIGNMENT = 16 };
enum { UNORDERED, ROUNDING, LARGE, RIGHT, QUICK, N_ENGINES };
/* An engine runs: counted by its name ("engine.right"), or timed. */
void standin_cudnn_count(int32_t engine);
void standin_cudnn_spend(int32_t engine);
enum { WORKSPACE = 700 };

typedef struct attribute {
  cudnnBackendAttributeName_t name;
  int64_t n;
  void *values;
} attribute;

typedef struct descriptor {
  cudnnBackendDescriptorType_t type;
  bool finished;
  int32_t n;
  attribute attribute[MOST_ATTRIBUTES];
  /* of an engine and its configuration: the library's own */
  struct descriptor *graph;
  int32_t engine;
} descriptor;

/* The attribute's values, NULL: not set. */
const void *standin_cudnn_find(const descriptor *of, cudnnBackendAttributeName_t name, int64_t *out_n);
/* The descriptor that is the attribute's element i; NULL: it is not set, or not finished. */
const descriptor *standin_cudnn_part(const descriptor *of, cudnnBackendAttributeName_t name, int64_t i);

/* ---- attention.c: graphs of products, reductions, pointwise ops and reshapes ---- */
enum { MOST_TENSORS = 48, MOST_OPS = 32 };

typedef struct small_tensor {
  int64_t id, extent[4], stride[4];
  cudnnDataType_t type;
  bool is_virtual, by_value, made; /* made: by an op */
  float value;                     /* by_value */
  char *at;                        /* stored */
} small_tensor;

typedef struct small_op {
  cudnnBackendDescriptorType_t type;
  int32_t mode; /* of a pointwise op or a reduction */
  int64_t axis;
  int32_t x, b, t, y; /* tensors by number; -1: none */
} small_op;

typedef struct small_graph {
  small_tensor tensor[MOST_TENSORS];
  small_op op[MOST_OPS];
  int32_t n_tensors, n_ops;
  int32_t engine;
  char *workspace;
  size_t workspace_bytes;
} small_graph;

/* Whether it is a graph that the library's attention engines would know. */
bool standin_small_read(const descriptor *graph, small_graph *out);
int64_t standin_small_workspace(const small_graph *graph);
/* Binds what is stored or given by value; false: an operand is missing, or does not lie in device memory. */
bool standin_small_bind(small_graph *graph, const descriptor *pack);
void standin_small_run(const void *graph);

#endif
