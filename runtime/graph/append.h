/* Raw appending, for the graph itself and for passes: no shape rule runs. */
#ifndef TCT_GRAPH_APPEND_H
#define TCT_GRAPH_APPEND_H

#include "graph/graph.h"

/* Appends a node with the op, phase, attrs, init, placement and counts of `like`. attrs (and a constant's data) are copied;
 * `name` is made unique. Returns the first output's value id (for an op without outputs, the next id), or -1 after
 * recording the error. */
int32_t tct_graph_append(tct_graph *graph, const tct_node *like, const char *name, const int32_t *in,
                         const tct_desc *out_desc) TCT_CHECKED;

#endif
