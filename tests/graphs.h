/* What tests of graphs, passes and programs share: small graphs, counting nodes, running with made-up inputs. */
#ifndef TCT_TESTS_GRAPHS_H
#define TCT_TESTS_GRAPHS_H

#include <tercet/ops.h>
#include "graph/graph.h"
#include "passes/passes.h"

tct_graph *graph_make(void);
tct_device *device_make(const char *spec);

/* f64 inputs and variables. Extents as of TCT_SHAPE. */
#define INPUT(graph, name, ...) tct_input(graph, name, TCT_F64, TCT_SHAPE(__VA_ARGS__))
#define VARIABLE(graph, name, ...)                                                                                     \
  tct_variable(graph, name, TCT_F64, TCT_SHAPE(__VA_ARGS__), (tct_init){TCT_INIT_NORMAL, 1, 0, 0})
tct_tensor sum_of(tct_tensor x); /* over all axes: [] */

int32_t count_op(const tct_graph *graph, tct_op op);
/* The first node of the op; fails the test when there is none. */
const tct_node *node_of(const tct_graph *graph, tct_op op);
const tct_node *node_named(const tct_graph *graph, const char *name);

/* A device's counter of this name; fails the test when there is none. */
double counter_of(tct_device *device, const char *name);

/* How the tests of every device open one of a kind: a TPU in six passes, which compute in f32 as the others do. */
const char *spec_of(const tct_device_kind *kind);

/* What one pass (or, NULL, all of them) makes of the graph for the device; fails the test when it fails. */
typedef tct_status (*pass_fn)(const tct_graph *in, const tct_pass_context *context, tct_graph **out);
tct_graph *passed(const tct_graph *graph, tct_device *device, pass_fn pass);

/* An f64 output after one run of the compiled graph with inputs made up from their names. */
void evaluate(const tct_graph *graph, tct_device *device, const char *skip, const char *output, double *value,
              int64_t n);
/* Both graphs' output agrees within 1e-12 relative to the largest element, run as they are, without optional passes. */
void check_same_output(const tct_graph *a, const tct_graph *b, tct_device *device, const char *output);
/* Fills the program's arena with what an unwritten result would show: NaN in every float dtype, -1 in the others. */
void poison_arena(tct_program *program);
/* Feeds every f64 or i32 input of the program. */
void feed(tct_program *program);

/* A classifier's training step with every kind of node a real one has: convolution, pooling, dense, batch norm,
 * dropout, loss, gradients, Adam with a shared step. Inputs "x" and "y"; output "loss". */
tct_graph *training_step(tct_dtype dtype, int64_t batch);

#endif
