/* A case as a graph, as a program on a device, and one poisoned run of it. */
#include "ops/cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/number.h"
#include "exec/exec.h"
#include "graph/graph.h"
#include "graphs.h"
#include "ops/conformance.h"
#include "ops/defs.h"
#include "test.h"

tct_dtype case_spec_dtype(const op_case *c, tct_dtype dtype) {
  return (c->dtypes >> TCT_F64 & 1u) != 0 ? TCT_F64 : dtype;
}

/* ---- graphs ---- */

static void make_operands(const op_case *c, tct_dtype dtype, tct_graph *graph, tct_tensor *x) {
  for (int32_t i = 0; i < c->n_operands; i++) {
    const operand *o = &c->operands[i];
    const tct_dtype own = o->kind == KIND_INDEX   ? TCT_I32
                          : o->kind == KIND_TRUTH ? TCT_BOOL
                          : o->kind == KIND_STEP  ? TCT_I64
                                                  : dtype;
    char name[16];
    snprintf(name, sizeof name, "x%d", (int)i);
    x[i] = o->kind == KIND_STATE ? tct_variable(graph, name, own, o->shape, (tct_init){TCT_INIT_ZEROS, 0, 0, 0})
                                 : tct_input(graph, name, own, o->shape);
  }
}

/* Σ over all float outputs of Σ w·output, in `dtype`. */
static tct_tensor weighted_sum(tct_graph *graph, tct_dtype dtype) {
  tct_tensor loss = tct_poison(graph);
  const int32_t n_outputs = graph->n_outputs;
  for (int32_t i = 0; i < n_outputs; i++) {
    tct_tensor y = {graph, graph->outputs[i].value};
    if (!tct_dtype_is_float(tct_tensor_dtype(y))) continue;
    char name[16];
    snprintf(name, sizeof name, "w%d", (int)i);
    if (tct_tensor_dtype(y) != dtype) y = tct_cast(y, dtype);
    const tct_tensor w = tct_input(graph, name, dtype, tct_tensor_shape(y));
    const tct_tensor term = tct_reduce_sum(tct_mul(y, w), NULL, 0, false);
    loss = tct_tensor_ok(loss) ? tct_add(loss, term) : term;
  }
  return loss;
}

void case_build(const op_case *c, tct_dtype dtype, case_mode mode, tct_graph *graph) {
  tct_tensor x[MOST_OPERANDS];
  make_operands(c, dtype, graph, x);
  const tct_tensor y = c->build(graph, dtype, x);
  if (y.graph != NULL) tct_output(graph, "y", y);
  if (mode != CASE_FORWARD) {
    const tct_tensor loss = weighted_sum(graph, dtype);
    graph->n_outputs = 0; /* the case's results are read through the loss only */
    if (mode == CASE_LOSS) tct_output(graph, "loss", loss);
    tct_tensor wrt[MOST_OPERANDS], gradients[MOST_OPERANDS];
    int32_t n_wrt = 0, number[MOST_OPERANDS];
    for (int32_t i = 0; i < c->n_operands; i++) {
      if (c->operands[i].kind != KIND_REAL) continue;
      number[n_wrt] = i;
      wrt[n_wrt++] = x[i];
    }
    if (mode == CASE_GRADIENT) tct_gradients(loss, wrt, n_wrt, gradients);
    for (int32_t i = 0; mode == CASE_GRADIENT && i < n_wrt; i++) {
      char name[16];
      snprintf(name, sizeof name, "g%d", (int)number[i]);
      tct_output(graph, name, gradients[i]);
    }
  }
}

tct_graph *case_graph(const op_case *c, tct_dtype dtype, case_mode mode) {
  tct_graph *graph = NULL;
  OK(tct_graph_create(&graph));
  case_build(c, dtype, mode, graph);
  const tct_status status = tct_graph_status(graph);
  CHECK(status == TCT_OK, "case %s in %s: %s", c->label, tct_dtype_name(dtype), tct_error_message());
  return graph;
}

static double elements(const tct_graph *graph, int32_t value) {
  return (double)tct_shape_size(&graph->values[value].desc.shape);
}

double case_length(const tct_graph *graph) {
  double length = 0;
  for (int32_t n = 0; n < graph->n_nodes; n++) {
    const tct_node *node = &graph->nodes[n];
    tct_arena arena = {0};
    tct_cost cost = {0};
    if (tct_op_is_source(node->op)) continue;
    tct_op_cost(tct_node_view_of(graph, node, &arena), &cost);
    tct_arena_free(&arena);
    if (cost.flops <= 0) continue;
    double most_out = 1, least_out = 1e30, most_in = 1;
    for (int32_t o = 0; o < node->n_out; o++) {
      most_out = fmax(most_out, elements(graph, node->out + o));
      least_out = fmin(least_out, fmax(1, elements(graph, node->out + o)));
    }
    for (int32_t i = 0; i < node->n_in; i++) most_in = fmax(most_in, elements(graph, node->in[i]));
    if (node->n_out == 0) most_out = least_out = most_in; /* an update: element by element */
    length = fmax(length, fmax(cost.flops / most_out, most_in / least_out));
  }
  return length;
}

double case_roundings(const tct_graph *graph) {
  double n = 0;
  for (int32_t i = 0; i < graph->n_nodes; i++) {
    const tct_op op = graph->nodes[i].op;
    n += !tct_op_is_source(op) && !tct_op_is_view(op);
    n += op == TCT_OP_matmul_gelu || op == TCT_OP_matmul_dgelu; /* the activation may read the product as it is stored */
  }
  return n;
}

/* ---- programs ---- */

bool case_refusals(const tct_graph *graph, tct_device *device, case_report *unlisted) {
  conformance *list = conformance_of(device);
  bool any = false;
  for (int32_t n = 0; n < graph->n_nodes; n++) {
    const tct_node *node = &graph->nodes[n];
    if (tct_op_is_source(node->op) || tct_op_is_view(node->op)) continue;
    tct_arena arena = {0};
    char why[512];
    const tct_node_view *view = tct_node_view_of(graph, node, &arena);
    if (!tct_device_supports(device, view, why, sizeof why)) {
      const bool listed = conformance_lists_node(list, view);
      any = any || listed;
      if (!listed && tct_op_definition(node->op)->decompose == NULL && unlisted != NULL)
        report_failure(unlisted, "%s refuses %s, which %s does not list: %s", tct_device_spec(device), view->op_name,
                       list->path[0] != '\0' ? list->path : "no list in tests/conformance", why);
    }
    tct_arena_free(&arena);
  }
  return any;
}

bool case_compile(const op_case *c, tct_dtype dtype, case_mode mode, tct_device *device, const char *skip,
                  case_run *out) {
  *out = (case_run){.graph = case_graph(c, dtype, mode)};
  if (case_refusals(out->graph, device, NULL)) {
    case_run_free(out);
    return false;
  }
  setenv("TERCET_SKIP", skip, 1);
  const tct_status status = tct_compile(out->graph, device, NULL, &out->program);
  unsetenv("TERCET_SKIP");
  CHECK(status == TCT_OK, "case %s in %s on %s: %s", c->label, tct_dtype_name(dtype), tct_device_spec(device),
        tct_error_message());
  return true;
}

void case_run_free(case_run *run) {
  tct_program_free(run->program);
  tct_graph_free(run->graph);
  *run = (case_run){0};
}

/* ---- runs ---- */

/* The loss's weights: of either sign, none small, exact in every float dtype, the same in every run; two of three are
 * positive, so that the gradient of a broadcast operand, their sum, does not cancel (see tolerance()). */
static double weight(int64_t i) {
  return (i % 3 == 2 ? -1 : 1) * (0.5 + (double)(i * 7919 % 127) / 128);
}

static void set_inputs(case_run *run, arrays *operands) {
  tct_program *program = run->program;
  for (int32_t i = 0; i < program->n_inputs; i++) {
    const tct_port *port = &program->inputs[i];
    const int64_t n = tct_shape_size(&port->desc.shape);
    const array *a = arrays_find(operands, port->name);
    double *value = calloc((size_t)n + 1, sizeof *value);
    void *data = malloc(port->bytes + 1);
    for (int64_t e = 0; e < n; e++) value[e] = a != NULL ? a->value[e] : weight(e);
    for (int64_t e = 0; e < n; e++) tct_store_number(port->desc.dtype, data, e, value[e]);
    OK(tct_program_set(program, port->name, data, port->bytes));
    free(value);
    free(data);
  }
}

static void set_states(const op_case *c, case_run *run, arrays *operands) {
  for (int32_t i = 0; i < operands->n; i++) {
    const array *a = &operands->at[i];
    if (c->operands[i].kind != KIND_STATE) continue;
    tct_desc desc;
    tct_variables *variables = tct_program_variables(run->program);
    OK(tct_variables_desc(variables, a->name, &desc));
    const size_t bytes = (size_t)a->n * tct_dtype_bytes(desc.dtype);
    void *data = malloc(bytes + 1);
    for (int64_t e = 0; e < a->n; e++) tct_store_number(desc.dtype, data, e, a->value[e]);
    OK(tct_variables_write(variables, a->name, data, bytes));
    free(data);
  }
}

static array *add_array(arrays *out, const char *name, const tct_desc *desc) {
  CHECK(out->n < MOST_ARRAYS);
  array *a = &out->at[out->n++];
  snprintf(a->name, sizeof a->name, "%s", name);
  a->dtype = desc->dtype;
  a->n = tct_shape_size(&desc->shape);
  a->value = calloc((size_t)a->n + 1, sizeof *a->value);
  return a;
}

static void read_results(const op_case *c, case_run *run, arrays *out) {
  tct_program *program = run->program;
  for (int32_t i = 0; i < program->n_outputs; i++) {
    const tct_port *port = &program->outputs[i];
    array *a = add_array(out, port->name, &port->desc);
    void *data = malloc(port->bytes + 1);
    OK(tct_program_get(program, port->name, data, port->bytes));
    for (int64_t e = 0; e < a->n; e++) a->value[e] = tct_load_number(a->dtype, data, e);
    free(data);
  }
  for (int32_t i = 0; i < c->n_operands; i++) {
    if (c->operands[i].kind != KIND_STATE) continue;
    char name[16];
    tct_desc desc;
    snprintf(name, sizeof name, "x%d", (int)i);
    OK(tct_variables_desc(program->variables, name, &desc));
    array *a = add_array(out, name, &desc);
    const size_t bytes = (size_t)a->n * tct_dtype_bytes(desc.dtype);
    void *data = malloc(bytes + 1);
    OK(tct_variables_read(program->variables, name, data, bytes));
    for (int64_t e = 0; e < a->n; e++) a->value[e] = tct_load_number(a->dtype, data, e);
    free(data);
  }
}

void case_execute(const op_case *c, case_run *run, arrays *operands, arrays *out) {
  *out = (arrays){0};
  poison_arena(run->program);
  set_inputs(run, operands);
  set_states(c, run, operands);
  OK(tct_program_run(run->program));
  read_results(c, run, out);
}
