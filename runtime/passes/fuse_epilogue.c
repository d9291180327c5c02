/* matmul and conv2d take the bias and the activation behind them along, where the device's kernel can: the result is
 * finished while it is in cache. Only values with one reader disappear, so what the backward pass reads stays. */
#include "base/number.h"
#include "base/status.h"
#include "passes/passes.h"
#include "passes/rewrite.h"

typedef struct fuser {
  tct_rewrite rewrite;
  const tct_pass_context *context;
  tct_arena scratch;
  int32_t *readers;  /* [values] */
  int32_t *reader;   /* [values] the last node that reads it, -1: none */
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

/* The operand of `add` that is a bias [n] for `node` and there before it (a source always can be), or -1. */
static int32_t bias_operand(const fuser *f, const tct_node *node, const tct_node *add) {
  const tct_graph *from = f->rewrite.from;
  if (add == NULL || add->op != TCT_OP_add) return -1;
  const int32_t bias = add->in[0] == node->out ? add->in[1] : add->in[0];
  const tct_desc *result = &from->values[node->out].desc, *desc = &from->values[bias].desc;
  const bool fits = desc->shape.rank == 1 && result->shape.rank >= 1 && desc->dtype == result->dtype &&
                    desc->shape.dim[0] == result->shape.dim[result->shape.rank - 1];
  const bool there = tct_rewrite_value(&f->rewrite, bias) >= 0 || tct_op_is_source(tct_maker(from, bias)->op);
  return fits && there ? bias : -1;
}

static tct_op *activation_slot(tct_node *node, tct_unary_attrs **out_attrs) {
  if (node->op == TCT_OP_matmul) {
    tct_matmul_attrs *attrs = node->attrs;
    *out_attrs = &attrs->activation_attrs;
    return &attrs->activation;
  }
  tct_conv2d_attrs *attrs = node->attrs;
  *out_attrs = &attrs->activation_attrs;
  return &attrs->activation;
}

static tct_status takes(const fuser *f, const tct_node *like, const int32_t *old_in, bool *out_takes) {
  tct_arena scratch = {0};
  char why[512];
  tct_node node = *like;
  node.in = old_in;
  const tct_node_view *view = tct_node_view_of(f->rewrite.from, &node, &scratch);
  *out_takes = view != NULL && tct_find_kernel(f->context->device, view, why, sizeof why) != NULL;
  tct_arena_free(&scratch);
  return view != NULL ? TCT_OK : TCT_OUT_OF_MEMORY;
}

/* Emits `node` with as much of its tail as the kernel takes. */
static tct_status fuse_tail(fuser *f, const tct_node *node) {
  tct_node like = *node;
  int32_t old_in[3] = {node->in[0], node->in[1], -1};
  const tct_node *tail = node;
  bool taken = false;
  like.attrs = tct_arena_copy(&f->scratch, node->attrs, tct_op_definition(node->op)->attrs_bytes);
  if (like.attrs == NULL) return TCT_OUT_OF_MEMORY;

  const tct_node *add = only_reader(f, node);
  old_in[2] = bias_operand(f, node, add);
  if (old_in[2] >= 0) {
    like.n_in = 3;
    TCT_TRY(takes(f, &like, old_in, &taken));
    if (taken) {
      tail = add;
      f->absorbed[add - f->rewrite.from->nodes] = true;
    } else {
      like.n_in = 2;
    }
  }
  const tct_node *activation = only_reader(f, tail);
  if (activation != NULL && is_activation(activation->op)) {
    tct_unary_attrs *attrs = NULL;
    tct_op *slot = activation_slot(&like, &attrs);
    *slot = activation->op;
    *attrs = *(const tct_unary_attrs *)activation->attrs;
    TCT_TRY(takes(f, &like, old_in, &taken));
    if (taken) {
      tail = activation;
      f->absorbed[activation - f->rewrite.from->nodes] = true;
    } else {
      *slot = TCT_OP_NONE;
      *attrs = (tct_unary_attrs){0};
    }
  }
  int32_t in[3];
  if (like.n_in == 3 && tct_rewrite_value(&f->rewrite, old_in[2]) < 0) {
    const tct_node *source = tct_maker(f->rewrite.from, old_in[2]);
    TCT_TRY(tct_rewrite_copy(&f->rewrite, source));
    f->absorbed[source - f->rewrite.from->nodes] = true;
  }
  TCT_ASSERT(like.n_in <= 3);
  for (int32_t i = 0; i < like.n_in; i++) in[i] = tct_rewrite_value(&f->rewrite, old_in[i]);
  TCT_TRY(tct_rewrite_replace(&f->rewrite, node, &like, in));
  tct_rewrite_map(&f->rewrite, tail->out, tct_rewrite_value(&f->rewrite, node->out));
  return TCT_OK;
}

static tct_status run(fuser *f) {
  const tct_graph *from = f->rewrite.from;
  f->readers = tct_count_readers(from, &f->scratch);
  f->reader = tct_arena_alloc(&f->scratch, ((size_t)from->n_values + 1) * sizeof *f->reader);
  f->absorbed = tct_arena_alloc(&f->scratch, (size_t)from->n_nodes + 1);
  if (f->readers == NULL || f->reader == NULL || f->absorbed == NULL) return TCT_OUT_OF_MEMORY;
  for (int32_t v = 0; v < from->n_values; v++) f->reader[v] = -1;
  for (int32_t n = 0; n < from->n_nodes; n++) {
    for (int32_t i = 0; i < from->nodes[n].n_in; i++) f->reader[from->nodes[n].in[i]] = n;
  }
  for (int32_t n = 0; n < from->n_nodes; n++) {
    const tct_node *node = &from->nodes[n];
    if (f->absorbed[n]) continue;
    const bool product = (node->op == TCT_OP_matmul || node->op == TCT_OP_conv2d) && node->n_in == 2 &&
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
