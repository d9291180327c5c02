/* The graph's inside: values and nodes in order of creation, which is a topological order. Passes read these structs and
 * build a new graph through tct_rewrite (passes/rewrite.h). */
#ifndef TCT_GRAPH_GRAPH_H
#define TCT_GRAPH_GRAPH_H

#include <tercet/errors.h>
#include <tercet/graph.h>
#include <tercet/op.h>
#include "base/arena.h"

#define TCT_MAX_GRAPH_ERRORS 20
#define TCT_MAX_SCOPES 64

typedef enum tct_phase { TCT_PHASE_FORWARD = 0, TCT_PHASE_BACKWARD, TCT_PHASE_UPDATE } tct_phase;

typedef struct tct_value {
  tct_desc desc;
  int32_t node;   /* that makes it */
  int32_t output; /* which of the node's */
} tct_value;

typedef struct tct_node {
  tct_op op;
  tct_phase phase;
  const char *name; /* unique; graph arena */
  void *attrs;      /* graph arena, or NULL */
  int32_t n_in, n_out;
  const int32_t *in; /* value ids; graph arena */
  int32_t out;       /* first output's value id; the others follow */
  tct_init init;     /* of a variable */
  bool on_host;      /* placed on the reference kernels by --fallback=host */
} tct_node;

typedef struct tct_graph_output {
  const char *name;
  int32_t value;
} tct_graph_output;

struct tct_graph {
  tct_arena arena;
  tct_node *nodes;
  tct_value *values;
  tct_graph_output *outputs;
  int32_t n_nodes, n_values, n_outputs;
  int32_t cap_nodes, cap_values, cap_outputs;
  struct tct_name_table *names; /* owned: node name → number of uses */
  char scope[512];
  size_t scope_length[TCT_MAX_SCOPES]; /* of `scope` before each push that has no pop yet */
  int32_t n_scopes;
  tct_phase phase; /* of the nodes emitted next */
  int32_t condition; /* of the updates (tct_update_when), -1: none */
  int32_t n_errors, n_more_errors;
  struct {
    uint32_t code;       /* of errors.def */
    const char *message; /* arena; ends in its code */
  } errors[TCT_MAX_GRAPH_ERRORS];
};

/* Records an error of the graph, by its code (tct_fail); returns a poisoned handle. */
tct_tensor tct_graph_fail(tct_graph *graph, uint32_t code, const char *format, ...) TCT_PRINTF(3, 4);
static inline tct_tensor tct_poison(tct_graph *graph) { return (tct_tensor){graph, -1}; }

/* An unset handle (optional operand): {NULL, -1} or {NULL, 0}. */
static inline bool tct_is_set(tct_tensor t) { return t.graph != NULL && t.id >= 0; }

static inline const tct_value *tct_value_of(const tct_graph *graph, int32_t id) { return &graph->values[id]; }
static inline const tct_node *tct_maker(const tct_graph *graph, int32_t value) {
  return &graph->nodes[graph->values[value].node];
}

/* Like tct_emit with the name's last part given (NULL: the op's name). */
tct_tensor tct_emit_named(tct_graph *graph, tct_op op, const char *name, const void *attrs, const tct_tensor *in,
                          int32_t n_in, tct_tensor *out);

/* Number of leading inputs that the node writes: 0 for all but updates. */
int32_t tct_node_writes(const tct_node *node);
bool tct_op_is_own(tct_op op); /* of the library: tables [TCT_N_OPS] have it */
bool tct_op_is_source(tct_op op);
bool tct_op_is_view(tct_op op);
bool tct_op_is_update(tct_op op);
bool tct_op_is_chain(tct_op op); /* elementwise over broadcast inputs: the table's rows, their gradients, select, cast */

/* Fills a view; in and out descs are allocated from `arena`. NULL after recording the error. */
const tct_node_view *tct_node_view_of(const tct_graph *graph, const tct_node *node, tct_arena *arena);

/* First error into the record, or TCT_INTERNAL naming the node whose invariant is broken: operand order, descs equal to
 * what the shape rule says, one writer per variable. */
tct_status tct_graph_verify(const tct_graph *graph) TCT_CHECKED;

/* A deep copy (the program's own). */
tct_status tct_graph_copy(const tct_graph *graph, tct_graph **out) TCT_CHECKED;

#endif
