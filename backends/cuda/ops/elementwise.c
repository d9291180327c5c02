/* The elementwise table, fused chains of its rows, select, cast and assign: which kernel takes a node, and its struct. Floats go
 * through the chain's interpreter, a single row as a chain of one step; whole numbers and bools have a kernel of their own. */
#include <string.h>
#include "backends/cuda/family.h"

enum { REGISTERS = TCT_CHAIN_INPUTS + TCT_CHAIN_STEPS };

static bool any_output_is_empty(const tct_node_view *node) {
  return node->n_out > 0 && tct_cu_size(&node->out[0].shape) == 0;
}

/* Operands 0 … n - 1 as the kernels read them over the result, their pointers still to come. */
static void set_operands(tct_cu_operand *to, const tct_node_view *node, int32_t n, const tct_shape *over) {
  for (int32_t i = 0; i < n; i++) to[i] = tct_cu_operand_of(NULL, &node->in[i], over);
}

static tct_unary_attrs parameters_of(const tct_node_view *node) {
  return node->attrs != NULL ? *(const tct_unary_attrs *)node->attrs : (tct_unary_attrs){0, 0};
}

/* ---- chains of floats ---- */

typedef struct chain_state {
  tct_cu_chain_args args;
  tct_cu_extent extent;
} chain_state;

bool tct_cu_chain_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  if (!tct_cu_stores(node, why, why_bytes)) return false;
  bool floats = false;
  for (int32_t i = 0; i < node->n_in; i++) floats = floats || tct_cu_is_float(node->in[i].dtype);
  return floats; /* whole numbers: the kernel below takes them */
}

/* Where results live: one that only the next step reads stays in registers, another takes a slot that nobody reads any more. */
static int32_t place(tct_cu_chain_args *a, const tct_chain_attrs *chain, int32_t n_in) {
  int32_t last_use[REGISTERS] = {0}, holder[REGISTERS], at[REGISTERS], n_slots = n_in;
  for (int32_t i = 0; i < chain->n_steps; i++)
    for (int32_t j = 0; j < 3; j++) last_use[chain->step[i].arg[j]] = i;
  for (int32_t i = 0; i < n_in; i++) holder[i] = at[i] = i;
  for (int32_t i = 0; i < chain->n_steps; i++) {
    const tct_chain_step *const step = &chain->step[i];
    tct_cu_step *const to = &a->step[i];
    *to = (tct_cu_step){.op = (int32_t)step->op, .to = TCT_CU_LAST, .p0 = (float)step->p0, .p1 = (float)step->p1};
    for (int32_t j = 0; j < 3; j++) to->arg[j] = step->arg[j] == n_in + i - 1 && i > 0 ? TCT_CU_LAST : (uint8_t)at[step->arg[j]];
    at[n_in + i] = 0;
    if (i == chain->n_steps - 1 || last_use[n_in + i] <= i + 1) continue;
    int32_t s = 0;
    while (s < n_slots && last_use[holder[s]] > i) s++;
    n_slots += s == n_slots;
    holder[s] = n_in + i;
    at[n_in + i] = s;
    to->to = (uint8_t)s;
  }
  return n_slots;
}

/* A row as a chain of one step; its operands are registers 0, 1 and 2. */
static void chain_of_row(const tct_node_view *node, tct_chain_attrs *out) {
  const tct_unary_attrs p = parameters_of(node);
  *out = (tct_chain_attrs){.n_steps = 1, .step[0] = {.op = node->op, .p0 = p.p0, .p1 = p.p1}};
  for (int32_t i = 0; i < node->n_in; i++) out->step[0].arg[i] = i;
}

tct_status tct_cu_chain_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  chain_state *const state = tct_cu_state(device, sizeof *state);
  if (state == NULL) return TCT_OUT_OF_MEMORY;
  tct_chain_attrs row;
  const tct_chain_attrs *chain = node->attrs;
  if (node->op != TCT_OP_chain) {
    chain_of_row(node, &row);
    chain = &row;
  }
  tct_cu_chain_args *const a = &state->args;
  a->n = tct_cu_size(&node->out[0].shape);
  a->y_dtype = (int32_t)node->out[0].dtype;
  a->n_in = node->n_in;
  a->n_steps = chain->n_steps;
  set_operands(a->in, node, node->n_in, &node->out[0].shape);
  const int32_t n_slots = place(a, chain, node->n_in);
  state->extent = tct_cu_extent_over(device, a->n, TCT_CU_CHAIN_BLOCK, TCT_CU_CHAIN_WIDTH);
  state->extent.shared_bytes = (uint32_t)(n_slots * TCT_CU_CHAIN_BLOCK * TCT_CU_CHAIN_WIDTH) * (uint32_t)sizeof(float);
  *out = (tct_prepared){.state = state};
  return TCT_OK;
}

tct_status tct_cu_chain_launch(tct_device_impl *device, const tct_launch *launch) {
  const chain_state *const state = launch->state;
  if (any_output_is_empty(launch->node)) return TCT_OK;
  tct_cu_chain_args a = state->args;
  a.y = launch->out[0];
  bool aligned = tct_cu_is_aligned(a.y);
  for (int32_t i = 0; i < a.n_in; i++) {
    a.in[i].data = launch->in[i];
    aligned = aligned && (a.in[i].access != TCT_CU_DENSE || tct_cu_is_aligned(launch->in[i]));
  }
  a.aligned = aligned;
  return tct_cu_launch(device, launch->node, TCT_CU_KERNEL_chain, &state->extent, &a);
}

/* ---- whole numbers and bools ---- */

typedef struct whole_state {
  tct_cu_whole_args args;
  tct_cu_extent extent;
} whole_state;

bool tct_cu_whole_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  if (!tct_cu_stores(node, why, why_bytes)) return false;
  return !tct_cu_is_float(node->in[0].dtype);
}

tct_status tct_cu_whole_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  whole_state *const state = tct_cu_state(device, sizeof *state);
  if (state == NULL) return TCT_OUT_OF_MEMORY;
  const tct_unary_attrs p = parameters_of(node);
  tct_cu_whole_args *const a = &state->args;
  a->n = tct_cu_size(&node->out[0].shape);
  a->op = (int32_t)node->op;
  a->n_in = node->n_in;
  a->p0 = (int64_t)p.p0;
  a->p1 = (int64_t)p.p1;
  set_operands(a->in, node, node->n_in, &node->out[0].shape);
  state->extent = tct_cu_extent_over(device, a->n, TCT_CU_BLOCK, 1);
  *out = (tct_prepared){.state = state};
  return TCT_OK;
}

tct_status tct_cu_whole_launch(tct_device_impl *device, const tct_launch *launch) {
  const whole_state *const state = launch->state;
  if (any_output_is_empty(launch->node)) return TCT_OK;
  tct_cu_whole_args a = state->args;
  a.y = launch->out[0];
  for (int32_t i = 0; i < a.n_in; i++) a.in[i].data = launch->in[i];
  return tct_cu_launch(device, launch->node, TCT_CU_KERNEL_whole, &state->extent, &a);
}

/* ---- select, and assign, which is a copy or a select between new and old ---- */

typedef struct select_state {
  tct_cu_select_args args;
  tct_cu_extent extent;
} select_state;

bool tct_cu_select_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  return tct_cu_stores(node, why, why_bytes);
}

static tct_status prepare_select(tct_device_impl *device, const tct_desc *condition, const tct_desc *yes, const tct_desc *no,
                                 const tct_desc *y, tct_prepared *out) {
  select_state *const state = tct_cu_state(device, sizeof *state);
  if (state == NULL) return TCT_OUT_OF_MEMORY;
  tct_cu_select_args *const a = &state->args;
  a->n = tct_cu_size(&y->shape);
  a->bytes = (int32_t)tct_cu_bytes(y->dtype);
  a->in[0] = tct_cu_operand_of(NULL, condition, &y->shape);
  a->in[1] = tct_cu_operand_of(NULL, yes, &y->shape);
  a->in[2] = tct_cu_operand_of(NULL, no, &y->shape);
  state->extent = tct_cu_extent_over(device, a->n, TCT_CU_BLOCK, 1);
  *out = (tct_prepared){.state = state};
  return TCT_OK;
}

static tct_status launch_select(tct_device_impl *device, const tct_launch *launch, const void *condition, const void *yes,
                                const void *no, void *y) {
  const select_state *const state = launch->state;
  tct_cu_select_args a = state->args;
  if (a.n == 0) return TCT_OK;
  a.y = y;
  a.in[0].data = condition;
  a.in[1].data = yes;
  a.in[2].data = no;
  return tct_cu_launch(device, launch->node, TCT_CU_KERNEL_select, &state->extent, &a);
}

tct_status tct_cu_select_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  return prepare_select(device, &node->in[0], &node->in[1], &node->in[2], &node->out[0], out);
}

tct_status tct_cu_select_launch(tct_device_impl *device, const tct_launch *launch) {
  return launch_select(device, launch, launch->in[0], launch->in[1], launch->in[2], launch->out[0]);
}

bool tct_cu_assign_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  return tct_cu_stores(node, why, why_bytes);
}

tct_status tct_cu_assign_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  const tct_update_attrs *const attrs = node->attrs;
  *out = (tct_prepared){.state = NULL};
  return attrs->conditional ? prepare_select(device, &node->in[2], &node->in[1], &node->in[0], &node->in[0], out) : TCT_OK;
}

tct_status tct_cu_assign_launch(tct_device_impl *device, const tct_launch *launch) {
  const tct_update_attrs *const attrs = launch->node->attrs;
  const tct_desc *const desc = &launch->node->in[0];
  void *const variable = launch->in[0];
  if (attrs->conditional) return launch_select(device, launch, launch->in[2], launch->in[1], variable, variable);
  return tct_cu_copy(device, variable, launch->in[1], (size_t)tct_cu_size(&desc->shape) * tct_cu_bytes(desc->dtype));
}

/* ---- cast ---- */

typedef struct cast_state {
  tct_cu_cast_args args;
  tct_cu_extent extent;
} cast_state;

bool tct_cu_cast_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  return tct_cu_stores(node, why, why_bytes);
}

tct_status tct_cu_cast_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  cast_state *const state = tct_cu_state(device, sizeof *state);
  if (state == NULL) return TCT_OUT_OF_MEMORY;
  state->args = (tct_cu_cast_args){.n = tct_cu_size(&node->out[0].shape), .x_dtype = (int32_t)node->in[0].dtype,
                                   .y_dtype = (int32_t)node->out[0].dtype};
  state->extent = tct_cu_extent_over(device, state->args.n, TCT_CU_BLOCK, 1);
  *out = (tct_prepared){.state = state};
  return TCT_OK;
}

tct_status tct_cu_cast_launch(tct_device_impl *device, const tct_launch *launch) {
  const cast_state *const state = launch->state;
  tct_cu_cast_args a = state->args;
  if (a.n == 0) return TCT_OK;
  a.x = launch->in[0];
  a.y = launch->out[0];
  return tct_cu_launch(device, launch->node, TCT_CU_KERNEL_cast, &state->extent, &a);
}
