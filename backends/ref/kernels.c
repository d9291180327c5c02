/* How the reference device runs an op: operands that are not f64 are widened into the planned workspace, the double
 * kernel runs, results are rounded back. One launch serves the whole table; which function computes what is
 * kernels/ref/table.c.
 *
 * Workspace: the kernel's operand records, then the widened operands, inputs first, each at a multiple of 64 bytes. */
#include "backends/ref/kernels.h"

#include "backends/ref/convert.h"
#include "kernels/ref/layout.h"
#include "kernels/ref/ref.h"

#define ALIGNMENT ((size_t)64)

static size_t align_up(size_t bytes) {
  return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* Bytes of workspace that one operand takes: none where it is f64 and used where it lies. */
static size_t widened_bytes(const tct_desc *desc) {
  return desc->dtype == TCT_F64 ? 0 : align_up((size_t)tct_ref_size(&desc->shape) * sizeof(double));
}

static size_t records_bytes(const tct_node_view *node) {
  return align_up((size_t)(node->n_in + node->n_out) * sizeof(tct_ref_operand));
}

static tct_status prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  (void)device;
  *out = (tct_prepared){.workspace_bytes = records_bytes(node)};
  for (int32_t i = 0; i < node->n_in; i++) out->workspace_bytes += widened_bytes(&node->in[i]);
  for (int32_t i = 0; i < node->n_out; i++) out->workspace_bytes += widened_bytes(&node->out[i]);
  return TCT_OK;
}

/* The operand's record, its doubles at `memory` itself (f64) or in the workspace at *at, which moves on. */
static tct_ref_operand operand_of(const tct_desc *desc, void *memory, char **at) {
  tct_ref_operand operand = {.data = memory, .shape = desc->shape, .dtype = desc->dtype};
  if (desc->dtype == TCT_F64) return operand;
  operand.data = (double *)(void *)*at;
  *at += widened_bytes(desc);
  return operand;
}

static void write_back(const tct_ref_operand *operand, void *memory) {
  if (operand->dtype != TCT_F64)
    tct_ref_from_double(operand->dtype, tct_ref_size(&operand->shape), operand->data, memory);
}

static tct_status launch(tct_device_impl *device, const tct_launch *launch) {
  (void)device;
  const tct_node_view *node = launch->node;
  const tct_ref_kernel *kernel = &tct_ref_table[node->op];
  tct_ref_operand *in = launch->workspace;
  tct_ref_operand *out = in + node->n_in;
  char *at = (char *)launch->workspace + records_bytes(node);
  for (int32_t i = 0; i < node->n_in; i++) {
    in[i] = operand_of(&node->in[i], launch->in[i], &at);
    if (in[i].dtype != TCT_F64) tct_ref_to_double(in[i].dtype, tct_ref_size(&in[i].shape), launch->in[i], in[i].data);
  }
  for (int32_t i = 0; i < node->n_out; i++) out[i] = operand_of(&node->out[i], launch->out[i], &at);

  kernel->run(&(tct_ref_args){node->attrs, node->n_in, node->n_out, in, out});

  const int32_t n_written = kernel->update ? ((const tct_update_attrs *)node->attrs)->n_state : 0;
  for (int32_t i = 0; i < n_written; i++) write_back(&in[i], launch->in[i]);
  for (int32_t i = 0; i < node->n_out; i++) write_back(&out[i], launch->out[i]);
  return TCT_OK;
}

/* in_place: widened operands are copies, so sharing can only matter in f64, where the kernel itself allows it. */
#define KERNEL(op_name, may_share)                                                                                     \
  {.op = #op_name,                                                                                                     \
   .name = #op_name ".ref",                                                                                            \
   .in_place = may_share,                                                                                              \
   .prepare = prepare,                                                                                                 \
   .launch = launch},

const tct_kernel tct_ref_kernels[] = {
#define UNARY(name, dtypes, text, forward, gradient, needs, flops) KERNEL(name, true) KERNEL(name##_grad, true)
#define BINARY(name, dtypes, text, forward, flops)                 KERNEL(name, true)
#define COMPARE(name, text, condition)                             KERNEL(name, true)
#define LOGICAL(name, text, condition)                             KERNEL(name, true)
#define PREDICATE(name, dtypes, text, condition)                   KERNEL(name, true)
#include <tercet/elementwise.def>

#define KERNEL_SOURCE(name)
#define KERNEL_VIEW(name)
#define KERNEL_CHAIN(name)                            KERNEL(name, true)
#define KERNEL_PLAIN(name)                            KERNEL(name, false)
#define KERNEL_UPDATE(name)                           KERNEL(name, false)
#define OP(name, attrs, min_in, max_in, n_out, flags) KERNEL_##flags(name)
#include <tercet/ops.def>
#undef OP
#undef KERNEL_SOURCE
#undef KERNEL_VIEW
#undef KERNEL_CHAIN
#undef KERNEL_PLAIN
#undef KERNEL_UPDATE
};
#undef KERNEL

const size_t tct_ref_n_kernels = sizeof tct_ref_kernels / sizeof tct_ref_kernels[0];
