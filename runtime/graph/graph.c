/* The graph: creation, sources, emission of nodes, sticky errors. */
#include "graph/graph.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <tercet/ops.h>
#include "base/alloc.h"
#include "base/checked.h"
#include "base/desc.h"
#include "base/number.h"
#include "base/status.h"
#include "base/text.h"
#include "graph/append.h"
#include "graph/names.h"

tct_status tct_graph_create(tct_graph **out) {
  *out = NULL;
  tct_graph *graph = tct_alloc_zero(1, sizeof *graph);
  if (graph == NULL) return TCT_OUT_OF_MEMORY;
  graph->names = tct_name_table_create();
  if (graph->names == NULL) {
    tct_release(graph);
    return TCT_OUT_OF_MEMORY;
  }
  graph->condition = -1;
  *out = graph;
  return TCT_OK;
}

void tct_graph_free(tct_graph *graph) {
  if (graph == NULL) return;
  tct_name_table_free(graph->names);
  tct_release(graph->nodes);
  tct_release(graph->values);
  tct_release(graph->outputs);
  tct_arena_free(&graph->arena);
  tct_release(graph);
}

/* ---- errors ---- */

tct_tensor tct_graph_fail(tct_graph *graph, uint32_t code, const char *format, ...) {
  if (graph->n_errors == TCT_MAX_GRAPH_ERRORS) {
    graph->n_more_errors++;
    return tct_poison(graph);
  }
  char text[1024];
  va_list args;
  va_start(args, format);
  tct_format_clipped_v(text, sizeof text - sizeof " [E000]", format, args);
  va_end(args);
  (void)tct_append_code(text, sizeof text, code);
  const char *copy = tct_arena_strdup(&graph->arena, text);
  graph->errors[graph->n_errors].code = code;
  graph->errors[graph->n_errors].message = copy != NULL ? copy : "out of memory while recording an error";
  graph->n_errors++;
  return tct_poison(graph);
}

static tct_tensor fail_from_record(tct_graph *graph) {
  return tct_graph_fail(graph, (uint32_t)tct_error_code(), "%s", tct_error_message());
}

tct_status tct_graph_status(const tct_graph *graph) {
  if (graph->n_errors == 0) return TCT_OK;
  if (graph->n_errors == 1) return tct_fail(graph->errors[0].code, "%s", graph->errors[0].message);
  char text[4000];
  size_t at = (size_t)snprintf(text, sizeof text, "%d errors in the graph", graph->n_errors + graph->n_more_errors);
  for (int32_t i = 0; i < graph->n_errors && at < sizeof text; i++) {
    at += (size_t)snprintf(text + at, sizeof text - at, "\n%d. %s", i + 1, graph->errors[i].message);
  }
  return tct_fail(graph->errors[0].code, "%s", text);
}

/* ---- appending ---- */

static bool reserve(void **array, int32_t count, int32_t more, int32_t *capacity, size_t bytes) {
  if (count + more <= *capacity) return true;
  int32_t wider = *capacity == 0 ? 64 : *capacity * 2;
  while (wider < count + more) wider *= 2;
  void *grown = tct_realloc(*array, (size_t)*capacity * bytes, (size_t)wider * bytes);
  if (grown == NULL) return false;
  *array = grown;
  *capacity = wider;
  return true;
}

int32_t tct_graph_append(tct_graph *graph, const tct_node *like, const char *name, const int32_t *in,
                         const tct_desc *out_desc) {
  const size_t attrs_bytes = tct_op_definition(like->op)->attrs_bytes;
  tct_node node = *like;
  if (!reserve((void **)&graph->nodes, graph->n_nodes, 1, &graph->cap_nodes, sizeof *graph->nodes)) return -1;
  if (!reserve((void **)&graph->values, graph->n_values, node.n_out, &graph->cap_values, sizeof *graph->values)) {
    return -1;
  }
  node.name = tct_name_unique(graph->names, &graph->arena, name);
  node.in = tct_arena_copy(&graph->arena, in, (size_t)node.n_in * sizeof *in);
  if (node.name == NULL || node.in == NULL) return -1;
  if (attrs_bytes > 0) {
    node.attrs = tct_arena_copy(&graph->arena, like->attrs, attrs_bytes);
    if (node.attrs == NULL) return -1;
  }
  if (node.op == TCT_OP_constant) {
    tct_constant_attrs *constant = node.attrs;
    const size_t bytes = tct_desc_bytes(out_desc);
    constant->data = tct_arena_copy(&graph->arena, constant->data, bytes);
    if (constant->data == NULL) return -1;
  }
  node.out = graph->n_values;
  for (int32_t o = 0; o < node.n_out; o++) {
    graph->values[graph->n_values++] = (tct_value){out_desc[o], graph->n_nodes, o};
  }
  graph->nodes[graph->n_nodes++] = node;
  return node.out;
}

static void scoped_name(const tct_graph *graph, const char *last, char *name, size_t bytes) {
  snprintf(name, bytes, "%s%s%s", graph->scope, graph->scope[0] != '\0' ? "/" : "", last);
}

/* Every operand is of this graph and healthy. An operand of another graph is an error. */
static bool operands_ok(tct_graph *graph, const char *op_name, const tct_tensor *in, int32_t n_in) {
  for (int32_t i = 0; i < n_in; i++) {
    if (in[i].graph == graph && in[i].id >= 0 && in[i].id < graph->n_values) continue;
    if (in[i].graph != graph && in[i].graph != NULL && in[i].id >= 0) {
      tct_graph_fail(graph, TCT_E_FOREIGN, "%s: operand %d belongs to another graph; build both in one graph", op_name,
                     i);
    } else if (in[i].graph == NULL && graph->n_errors == 0) {
      tct_graph_fail(graph, TCT_E_FOREIGN, "%s: operand %d is not a tensor (an unset handle)", op_name, i);
    }
    return false;
  }
  return true;
}

tct_tensor tct_emit_named(tct_graph *graph, tct_op op, const char *last, const void *attrs, const tct_tensor *in,
                          int32_t n_in, tct_tensor *out) {
  const tct_op_def *def = tct_op_definition(op);
  const int32_t n_out = def->n_out;
  for (int32_t o = 0; out != NULL && o < n_out; o++) out[o] = tct_poison(graph);
  if (graph == NULL || !operands_ok(graph, def->name, in, n_in)) return tct_poison(graph);
  char name[640];
  scoped_name(graph, last != NULL ? last : def->name, name, sizeof name);
  if (n_in < def->min_in || (def->max_in >= 0 && n_in > def->max_in)) {
    return tct_graph_fail(graph, TCT_E_OPERANDS, "%s '%s': %d operands, needs %d to %d", def->name, name, n_in,
                          def->min_in, def->max_in);
  }

  int32_t *ids = tct_arena_alloc(&graph->arena, (size_t)(n_in + 1) * sizeof *ids);
  tct_desc *descs = tct_arena_alloc(&graph->arena, (size_t)(n_in + n_out + 1) * sizeof *descs);
  void *copy = tct_arena_alloc(&graph->arena, def->attrs_bytes + 1);
  if (ids == NULL || descs == NULL || copy == NULL) return fail_from_record(graph);
  for (int32_t i = 0; i < n_in; i++) {
    ids[i] = in[i].id;
    descs[i] = graph->values[in[i].id].desc;
  }
  if (attrs != NULL) memcpy(copy, attrs, def->attrs_bytes);
  tct_infer infer = {.op = op, .op_name = def->name, .n_in = n_in, .n_out = n_out,
                     .in = descs, .attrs = copy, .out = descs + n_in};
  if (!def->infer(&infer)) {
    return tct_graph_fail(graph, infer.code != 0 ? infer.code : TCT_E_OPERANDS, "%s '%s': %s", def->name, name,
                          infer.why);
  }
  const tct_node like = {.op = op, .phase = graph->phase, .attrs = def->attrs_bytes > 0 ? copy : NULL,
                         .n_in = n_in, .n_out = n_out};
  const int32_t first = tct_graph_append(graph, &like, name, ids, infer.out);
  if (first < 0) return fail_from_record(graph);
  for (int32_t o = 0; out != NULL && o < n_out; o++) out[o] = (tct_tensor){graph, first + o};
  return (tct_tensor){graph, first};
}

tct_tensor tct_emit(tct_graph *graph, tct_op op, const void *attrs, const tct_tensor *in, int32_t n_in,
                    tct_tensor *out) {
  return tct_emit_named(graph, op, NULL, attrs, in, n_in, out);
}

/* ---- sources ---- */

static tct_tensor source(tct_graph *graph, tct_op op, const char *name, tct_desc desc, tct_init init, const void *data) {
  const char *op_name = tct_op_name(op);
  char shape[160];
  const int64_t size = tct_shape_size(&desc.shape);
  if (name == NULL || name[0] == '\0') return tct_graph_fail(graph, TCT_E_NAME, "%s: the name is empty", op_name);
  if (tct_dtype_bytes(desc.dtype) == 0) {
    return tct_graph_fail(graph, TCT_E_DTYPE, "%s '%s': %d is not a dtype", op_name, name, (int)desc.dtype);
  }
  if (size < 0 || size > INT64_MAX / 16) {
    return tct_graph_fail(graph, TCT_E_SIZE, "%s '%s': shape %s has a negative extent or is too large", op_name, name,
                          tct_shape_print(&desc.shape, shape, sizeof shape));
  }
  desc.shape = tct_shape_of(desc.shape.rank, desc.shape.dim); /* extents behind the rank may be anything */
  char scoped[640];
  scoped_name(graph, name, scoped, sizeof scoped);
  if (op != TCT_OP_constant && tct_name_taken(graph->names, scoped)) {
    return tct_graph_fail(graph, TCT_E_NAME, "%s '%s': the name is taken; names of inputs and variables are unique",
                          op_name, scoped);
  }
  tct_constant_attrs constant = {data};
  const tct_node like = {.op = op, .phase = graph->phase, .attrs = op == TCT_OP_constant ? &constant : NULL,
                         .n_out = 1, .init = init};
  const int32_t id = tct_graph_append(graph, &like, scoped, NULL, &desc);
  return id < 0 ? fail_from_record(graph) : (tct_tensor){graph, id};
}

tct_tensor tct_input(tct_graph *graph, const char *name, tct_dtype dtype, tct_shape shape) {
  return source(graph, TCT_OP_input, name, (tct_desc){dtype, shape}, (tct_init){0}, NULL);
}

tct_tensor tct_variable(tct_graph *graph, const char *name, tct_dtype dtype, tct_shape shape, tct_init init) {
  if ((int)init.kind < 0 || init.kind >= TCT_N_INITS) {
    return tct_graph_fail(graph, TCT_E_ATTRIBUTE, "variable '%s': %d is not an initializer", name, (int)init.kind);
  }
  return source(graph, TCT_OP_variable, name, (tct_desc){dtype, shape}, init, NULL);
}

tct_tensor tct_constant(tct_graph *graph, tct_dtype dtype, tct_shape shape, const void *data) {
  if (data == NULL && tct_shape_size(&shape) > 0) return tct_graph_fail(graph, TCT_INVALID, "constant: its data is NULL");
  return source(graph, TCT_OP_constant, "constant", (tct_desc){dtype, shape}, (tct_init){0}, data);
}

tct_tensor tct_scalar(tct_graph *graph, tct_dtype dtype, double value) {
  int64_t data[2] = {0, 0};
  if (!tct_number_fits(dtype, value)) {
    return tct_graph_fail(graph, TCT_E_ATTRIBUTE, "constant: %g does not fit %s", value, tct_dtype_name(dtype));
  }
  tct_store_number(dtype, data, 0, value);
  return tct_constant(graph, dtype, tct_shape_of(0, NULL), data);
}

tct_tensor tct_full(tct_graph *graph, tct_dtype dtype, tct_shape shape, double value) {
  return tct_broadcast_to(tct_scalar(graph, dtype, value), shape);
}

/* ---- questions, scopes, outputs ---- */

bool tct_tensor_ok(tct_tensor tensor) {
  return tensor.graph != NULL && tensor.id >= 0 && tensor.id < tensor.graph->n_values;
}

tct_dtype tct_tensor_dtype(tct_tensor tensor) {
  return tct_tensor_ok(tensor) ? tensor.graph->values[tensor.id].desc.dtype : TCT_DTYPE_NONE;
}

tct_shape tct_tensor_shape(tct_tensor tensor) {
  return tct_tensor_ok(tensor) ? tensor.graph->values[tensor.id].desc.shape : (tct_shape){0};
}

/* A push that fails counts too, so that its pop is its own. */
void tct_scope_push(tct_graph *graph, const char *scope) {
  const size_t used = strlen(graph->scope);
  if (graph->n_scopes++ >= TCT_MAX_SCOPES) {
    tct_graph_fail(graph, TCT_E_NAME, "scope '%s' lies in %d others, at most %d", scope, graph->n_scopes - 1,
                   TCT_MAX_SCOPES - 1);
    return;
  }
  graph->scope_length[graph->n_scopes - 1] = used;
  const int more = snprintf(graph->scope + used, sizeof graph->scope - used, "%s%s", used > 0 ? "/" : "", scope);
  if (more < 0 || (size_t)more >= sizeof graph->scope - used) {
    graph->scope[used] = '\0';
    tct_graph_fail(graph, TCT_E_NAME, "scope '%s' is too long: at most %zu characters with its parents", scope,
                   sizeof graph->scope - 1);
  }
}

void tct_scope_pop(tct_graph *graph) {
  if (graph->n_scopes == 0) {
    tct_graph_fail(graph, TCT_E_NAME, "a scope is popped that was not pushed");
    return;
  }
  if (--graph->n_scopes < TCT_MAX_SCOPES) graph->scope[graph->scope_length[graph->n_scopes]] = '\0';
}

void tct_output(tct_graph *graph, const char *name, tct_tensor tensor) {
  if (name == NULL || name[0] == '\0') {
    tct_graph_fail(graph, TCT_E_NAME, "output: the name is empty");
    return;
  }
  if (!operands_ok(graph, "output", &tensor, 1)) return;
  for (int32_t i = 0; i < graph->n_outputs; i++) {
    if (strcmp(graph->outputs[i].name, name) == 0) {
      tct_graph_fail(graph, TCT_E_NAME, "output '%s': the name is taken", name);
      return;
    }
  }
  const char *copy = tct_arena_strdup(&graph->arena, name);
  if (copy == NULL ||
      !reserve((void **)&graph->outputs, graph->n_outputs, 1, &graph->cap_outputs, sizeof *graph->outputs)) {
    fail_from_record(graph);
    return;
  }
  graph->outputs[graph->n_outputs++] = (tct_graph_output){copy, tensor.id};
}

void tct_update_when(tct_tensor condition) {
  if (!tct_tensor_ok(condition)) return;
  const tct_desc *desc = &condition.graph->values[condition.id].desc;
  char shape[160];
  if (desc->dtype != TCT_BOOL || desc->shape.rank != 0) {
    tct_graph_fail(condition.graph, TCT_E_UPDATE, "update_when: the condition is %s%s, needs bool[]",
                   tct_dtype_name(desc->dtype), tct_shape_print(&desc->shape, shape, sizeof shape));
    return;
  }
  condition.graph->condition = condition.id;
}

/* ---- copies and views ---- */

tct_status tct_graph_copy(const tct_graph *graph, tct_graph **out) {
  *out = NULL;
  tct_graph *copy = NULL;
  TCT_TRY(tct_graph_create(&copy));
  for (int32_t n = 0; n < graph->n_nodes; n++) {
    const tct_node *node = &graph->nodes[n];
    tct_desc descs[8] = {{0}};
    TCT_ASSERT(node->n_out <= 8);
    for (int32_t o = 0; o < node->n_out; o++) descs[o] = graph->values[node->out + o].desc;
    if (tct_graph_append(copy, node, node->name, node->in, descs) < 0) {
      tct_graph_free(copy);
      return TCT_OUT_OF_MEMORY;
    }
  }
  for (int32_t i = 0; i < graph->n_outputs; i++) {
    tct_output(copy, graph->outputs[i].name, (tct_tensor){copy, graph->outputs[i].value});
  }
  copy->condition = graph->condition;
  const tct_status status = tct_graph_status(copy);
  if (status != TCT_OK) {
    tct_graph_free(copy);
    return status;
  }
  *out = copy;
  return TCT_OK;
}

const tct_node_view *tct_node_view_of(const tct_graph *graph, const tct_node *node, tct_arena *arena) {
  tct_node_view *view = tct_arena_alloc(arena, sizeof *view);
  tct_desc *descs = tct_arena_alloc(arena, (size_t)(node->n_in + node->n_out + 1) * sizeof *descs);
  if (view == NULL || descs == NULL) return NULL;
  for (int32_t i = 0; i < node->n_in; i++) descs[i] = graph->values[node->in[i]].desc;
  for (int32_t o = 0; o < node->n_out; o++) descs[node->n_in + o] = graph->values[node->out + o].desc;
  *view = (tct_node_view){.op = node->op, .op_name = tct_op_name(node->op), .name = node->name, .attrs = node->attrs,
                          .n_in = node->n_in, .n_out = node->n_out, .in = descs, .out = descs + node->n_in};
  return view;
}
