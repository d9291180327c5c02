/* matmul and conv2d take the bias and the activation behind them along, where the device's kernel can: the result is
 * finished while it is in cache. Only values with one reader disappear, so what the backward pass reads stays. A gelu_tanh whose
 * argument the backward pass reads makes of its product one with two results, matmul_gelu; its gradient behind the product that
 * makes dy, one with the argument as third operand, matmul_dgelu. */
#include "base/number.h"
#include "base/status.h"
#include "graph/append.h"
#include "passes/passes.h"
#include "passes/rewrite.h"

typedef struct fuser {
  tct_rewrite rewrite;
  const tct_pass_context *context;
  tct_arena scratch;
  int32_t *readers;  /* [values] */
  int32_t *reader;   /* [values] the last node that reads it, -1: none */
  int32_t *gelu;     /* [values] the gelu_tanh of it, -1: none */
  bool *absorbed;    /* [nodes] */
} fuser;

/* The only reader of the node's only output, or NULL. */
static const tct_node *only_reader(const fuser *f, const tct_node *node) {
  if (f->readers[node->out] != 1 || f->reader[node->out] < 0) return NULL;
  const tct_node *reader = &f->rewrite.from->nodes[f->reader[node->out]];
  return reader->phase == node->phase ? reader : NULL;
}

static bool is_activation(tct_op op) {
  static const bool table[TCT_N_OPS] = {
#define UNARY(name, dtypes, text, forward, gradient, needs, flops) [TCT_OP_##name] = true,
#include <tercet/elementwise.def>
  };
  return tct_op_is_own(op) && table[op];
}

/* The operand of `add` that is a bias [n] for `node` and there before it (a source, or its copy in another type or shape, always can be),
 * or -1. */
static int32_t bias_operand(const fuser *f, const tct_node *node, const tct_node *add) {
  const tct_graph *from = f->rewrite.from;
  if (add == NULL || add->op != TCT_OP_add) return -1;
  const int32_t bias = add->in[0] == node->out ? add->in[1] : add->in[0];
  const tct_desc *result = &from->values[node->out].desc, *desc = &from->values[bias].desc;
  const bool fits = desc->shape.rank == 1 && result->shape.rank >= 1 && desc->dtype == result->dtype &&
                    desc->shape.dim[0] == result->shape.dim[result->shape.rank - 1];
  const tct_node *maker = tct_maker(from, bias);
  while (tct_is_copy(maker)) maker = tct_maker(from, maker->in[0]);
  return fits && (tct_rewrite_value(&f->rewrite, bias) >= 0 || tct_op_is_source(maker->op)) ? bias : -1;
}

static tct_op *activation_slot(const tct_node *node, tct_unary_attrs **out_attrs) {
  if (node->op != TCT_OP_conv2d) {
    tct_matmul_attrs *attrs = node->attrs;
    *out_attrs = &attrs->activation_attrs;
    return &attrs->activation;
  }
  tct_conv2d_attrs *attrs = node->attrs;
  *out_attrs = &attrs->activation_attrs;
  return &attrs->activation;
}

static bool has_activation(const tct_node *node) {
  tct_unary_attrs *attrs = NULL;
  return *activation_slot(node, &attrs) != TCT_OP_NONE;
}

/* What a product becomes. */
typedef struct fused {
  const tct_node *node;  /* the product */
  tct_node like;
  int32_t in[3];         /* old values */
  int32_t first, second; /* old values that its results are; second -1: it has one */
} fused;

/* Whether the device has a kernel for it; every result is described as the product's. */
static bool takes(const fuser *f, const fused *to) {
  const tct_graph *from = f->rewrite.from;
  const tct_desc product = from->values[to->node->out].desc, out[2] = {product, product};
  tct_desc in[3];
  char why[512];
  for (int32_t i = 0; i < to->like.n_in; i++) in[i] = from->values[to->in[i]].desc;
  const tct_node_view view = {.op = to->like.op, .op_name = tct_op_name(to->like.op), .name = to->like.name, .attrs = to->like.attrs,
                              .n_in = to->like.n_in, .n_out = to->like.n_out, .in = in, .out = out};
  return tct_find_kernel(f->context->device, &view, why, sizeof why) != NULL;
}

static void absorb(fuser *f, const tct_node *node, fused *to) {
  f->absorbed[node - f->rewrite.from->nodes] = true;
  to->first = node->out;
}

static void take_bias(fuser *f, fused *to) {
  const tct_node *add = only_reader(f, to->node);
  to->in[2] = bias_operand(f, to->node, add);
  if (to->in[2] < 0) return;
  to->like.n_in = 3;
  if (takes(f, to)) absorb(f, add, to);
  else to->like.n_in = 2;
}

static void take_activation(fuser *f, fused *to) {
  const tct_node *activation = only_reader(f, tct_maker(f->rewrite.from, to->first));
  if (activation == NULL || !is_activation(activation->op)) return;
  tct_unary_attrs *attrs = NULL;
  tct_op *slot = activation_slot(&to->like, &attrs);
  *slot = activation->op;
  *attrs = *(const tct_unary_attrs *)activation->attrs;
  if (takes(f, to)) {
    absorb(f, activation, to);
    return;
  }
  *slot = TCT_OP_NONE;
  *attrs = (tct_unary_attrs){0};
}

/* The gelu_tanh of a sum that others read too; not where its result goes into one elementwise op alone: a chain of the two reads and
 * writes as much. */
static void take_gelu(fuser *f, fused *to) {
  const int32_t z = to->first;
  if (f->gelu[z] < 0 || f->readers[z] < 2 || has_activation(&to->like)) return;
  const tct_node *gelu = &f->rewrite.from->nodes[f->gelu[z]], *next = only_reader(f, gelu);
  if (gelu->phase != to->node->phase || (next != NULL && tct_op_is_chain(next->op))) return;
  to->like.op = TCT_OP_matmul_gelu;
  to->like.n_out = 2;
  if (takes(f, to)) {
    absorb(f, gelu, to);
    to->second = z;
    return;
  }
  to->like.op = TCT_OP_matmul;
  to->like.n_out = 1;
}

/* gelu_tanh's gradient, where the product is its dy and has no other reader; not before one elementwise op alone, as above. */
static bool take_gelu_gradient(fuser *f, fused *to) {
  const tct_node *grad = only_reader(f, to->node), *next = grad != NULL ? only_reader(f, grad) : NULL;
  if (grad == NULL || grad->op != TCT_OP_gelu_tanh_grad || grad->in[0] == to->node->out) return false;
  if (tct_rewrite_value(&f->rewrite, grad->in[0]) < 0 || (next != NULL && tct_op_is_chain(next->op))) return false;
  to->in[2] = grad->in[0];
  to->like.op = TCT_OP_matmul_dgelu;
  to->like.n_in = 3;
  const bool taken = takes(f, to);
  if (taken) {
    absorb(f, grad, to);
  } else {
    to->like.op = TCT_OP_matmul;
    to->like.n_in = 2;
  }
  return taken;
}

static tct_status emit(fuser *f, const fused *to) {
  const tct_desc product = f->rewrite.from->values[to->node->out].desc, descs[2] = {product, product};
  int32_t in[3];
  if (to->like.n_in == 3) TCT_TRY(tct_rewrite_make(&f->rewrite, to->in[2], f->absorbed));
  for (int32_t i = 0; i < to->like.n_in; i++) in[i] = tct_rewrite_value(&f->rewrite, to->in[i]);
  const int32_t made = tct_graph_append(f->rewrite.to, &to->like, to->node->name, in, descs);
  if (made < 0) return TCT_OUT_OF_MEMORY;
  tct_rewrite_map(&f->rewrite, to->first, made);
  if (to->second >= 0) tct_rewrite_map(&f->rewrite, to->second, made + 1);
  return TCT_OK;
}

/* Emits `node` with as much of its tail as the kernel takes. */
static tct_status fuse_tail(fuser *f, const tct_node *node) {
  fused to = {.node = node, .like = *node, .in = {node->in[0], node->in[1], -1}, .first = node->out, .second = -1};
  to.like.attrs = tct_arena_copy(&f->scratch, node->attrs, tct_op_definition(node->op)->attrs_bytes);
  if (to.like.attrs == NULL) return TCT_OUT_OF_MEMORY;
  if (node->op == TCT_OP_matmul && take_gelu_gradient(f, &to)) return emit(f, &to);
  take_bias(f, &to);
  take_activation(f, &to);
  if (node->op == TCT_OP_matmul) take_gelu(f, &to);
  return emit(f, &to);
}

static tct_status run(fuser *f) {
  const tct_graph *from = f->rewrite.from;
  f->readers = tct_count_readers(from, &f->scratch);
  f->reader = tct_arena_alloc(&f->scratch, ((size_t)from->n_values + 1) * sizeof *f->reader);
  f->gelu = tct_arena_alloc(&f->scratch, ((size_t)from->n_values + 1) * sizeof *f->gelu);
  f->absorbed = tct_arena_alloc(&f->scratch, (size_t)from->n_nodes + 1);
  if (f->readers == NULL || f->reader == NULL || f->gelu == NULL || f->absorbed == NULL) return TCT_OUT_OF_MEMORY;
  for (int32_t v = 0; v < from->n_values; v++) f->reader[v] = f->gelu[v] = -1;
  for (int32_t n = 0; n < from->n_nodes; n++) {
    if (from->nodes[n].op == TCT_OP_gelu_tanh) f->gelu[from->nodes[n].in[0]] = n;
    for (int32_t i = 0; i < from->nodes[n].n_in; i++) f->reader[from->nodes[n].in[i]] = n;
  }
  for (int32_t n = 0; n < from->n_nodes; n++) {
    const tct_node *node = &from->nodes[n];
    if (f->absorbed[n]) continue;
    const bool product = (node->op == TCT_OP_matmul || node->op == TCT_OP_conv2d) && node->n_in == 2 && !has_activation(node) &&
                         tct_dtype_is_float(from->values[node->out].desc.dtype);
    TCT_TRY(product ? fuse_tail(f, node) : tct_rewrite_copy(&f->rewrite, node));
  }
  return TCT_OK;
}

tct_status tct_pass_fuse_epilogue(const tct_graph *in, const tct_pass_context *context, tct_graph **out) {
  *out = NULL;
  fuser f = {.context = context};
  TCT_TRY(tct_rewrite_begin(in, &f.rewrite));
  const tct_status status = run(&f);
  tct_arena_free(&f.scratch);
  return tct_rewrite_end(&f.rewrite, status, out);
}
