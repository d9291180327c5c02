/* A dense layer's gradient reads dz twice, for dw = xᵀ·dz and for the bias, whose gradient is dz's sum over all but its last axis:
 * where the device has a kernel for both, they become one node, matmul_bgrad, with results in f32 (of f64 in f64). Under mixed
 * precision the sum's copy of dz in f32 goes, and so does the rounding of dw to the narrow type on its way to f32. */
#include "base/number.h"
#include "base/status.h"
#include "graph/append.h"
#include "passes/passes.h"
#include "passes/rewrite.h"

typedef struct fuser {
  tct_rewrite rewrite;
  const tct_device *device;
  tct_arena scratch;
  int32_t *readers; /* [values] */
  int32_t *sum;     /* [values] the bias gradient of dz, a node; -1: none */
  int32_t *mate;    /* [nodes] of a product the sum that it makes too, and of that the product; -1: none */
  bool *gone;       /* [nodes] */
  bool *widened;    /* [values] in f32 in the new graph: a product, and its reshapes */
} fuser;

static tct_dtype dtype_of(const fuser *f, int32_t value) { return f->rewrite.from->values[value].desc.dtype; }

/* The value whose elements these are, in order, seen through reshapes, and through copies from a narrower type. */
static int32_t origin(const fuser *f, int32_t value, bool through_casts) {
  const tct_graph *from = f->rewrite.from;
  for (;;) {
    const tct_node *maker = tct_maker(from, value);
    const bool widens = maker->op == TCT_OP_cast && tct_dtype_is_float(dtype_of(f, maker->in[0])) &&
                        tct_dtype_bytes(dtype_of(f, maker->in[0])) < tct_dtype_bytes(dtype_of(f, value));
    if (maker->op != TCT_OP_reshape && !(through_casts && widens)) return value;
    value = maker->in[0];
  }
}

static int64_t last_extent(const fuser *f, int32_t value) {
  const tct_shape *shape = &f->rewrite.from->values[value].desc.shape;
  return shape->rank > 0 ? shape->dim[shape->rank - 1] : 1;
}

/* A sum over all but the last axis into one vector, of f32 (or f64). */
static bool is_bias_gradient(const fuser *f, const tct_node *node) {
  if (node->op != TCT_OP_reduce_sum) return false;
  const tct_desc *x = &f->rewrite.from->values[node->in[0]].desc, *y = &f->rewrite.from->values[node->out].desc;
  const tct_reduce_attrs *attrs = node->attrs;
  return x->shape.rank > 1 && y->shape.rank == 1 && attrs->axes == (1u << (x->shape.rank - 1)) - 1 && tct_dtype_is_float(y->dtype) &&
         tct_dtype_bytes(y->dtype) >= tct_dtype_bytes(TCT_F32);
}

/* Whether all that reads a narrow result, or its reshapes, are copies in f32. */
static bool is_read_wide(const fuser *f, int32_t value) {
  const tct_graph *from = f->rewrite.from;
  int32_t n_fit = 0;
  for (int32_t n = from->values[value].node + 1; n < from->n_nodes; n++) {
    const tct_node *node = &from->nodes[n];
    if (node->n_in != 1 || node->in[0] != value) continue;
    n_fit += node->op == TCT_OP_cast ? dtype_of(f, node->out) == TCT_F32 : node->op == TCT_OP_reshape && is_read_wide(f, node->out);
  }
  return n_fit > 0 && n_fit == f->readers[value];
}

/* Whether the value will be in f32 for being a paired product, or the reshape of one. */
static bool will_widen(const fuser *f, int32_t value) {
  const tct_graph *from = f->rewrite.from;
  const tct_node *maker = tct_maker(from, origin(f, value, false));
  const int32_t mate = f->mate[maker - from->nodes];
  return mate >= 0 && maker->op == TCT_OP_matmul && dtype_of(f, maker->out) != dtype_of(f, from->nodes[mate].out);
}

/* Whether the value can be made before node n, by copies of nodes as they stand. */
static bool is_there(const fuser *f, int32_t value, int32_t n) {
  const tct_graph *from = f->rewrite.from;
  const tct_node *maker = tct_maker(from, value);
  if (maker < &from->nodes[n] || tct_op_is_source(maker->op)) return true;
  return tct_is_copy(maker) && !will_widen(f, maker->in[0]) && is_there(f, maker->in[0], n);
}

static bool takes(const fuser *f, const tct_node *node, const tct_desc *out) {
  const tct_desc in[2] = {f->rewrite.from->values[node->in[0]].desc, f->rewrite.from->values[node->in[1]].desc};
  char why[512];
  const tct_node_view view = {.op = TCT_OP_matmul_bgrad, .op_name = tct_op_name(TCT_OP_matmul_bgrad), .name = node->name,
                              .attrs = node->attrs, .n_in = 2, .n_out = 2, .in = in, .out = out};
  return tct_find_kernel(f->device, &view, why, sizeof why) != NULL;
}

static void describe(const fuser *f, const tct_node *product, const tct_node *sum, tct_desc *out) {
  out[0] = f->rewrite.from->values[product->out].desc;
  out[1] = f->rewrite.from->values[sum->out].desc;
  out[0].dtype = out[1].dtype;
}

/* The sum that the product may make too, in place of the first of both; NULL: none. */
static const tct_node *sum_for(const fuser *f, const tct_node *node) {
  const tct_graph *from = f->rewrite.from;
  if (node->op != TCT_OP_matmul || node->n_in != 2 || from->values[node->in[0]].desc.shape.rank != 2 ||
      from->values[node->in[1]].desc.shape.rank != 2) {
    return NULL;
  }
  const tct_matmul_attrs *attrs = node->attrs;
  if (attrs->transpose_b || attrs->activation != TCT_OP_NONE) return NULL;
  const int32_t n = f->sum[origin(f, node->in[1], false)];
  if (n < 0) return NULL;
  const tct_node *sum = &from->nodes[n];
  const bool wide = dtype_of(f, node->out) == dtype_of(f, sum->out);
  const bool there = is_there(f, node->in[0], n) && is_there(f, node->in[1], n);
  tct_desc out[2];
  describe(f, node, sum, out);
  const bool fits = sum->phase == node->phase && last_extent(f, sum->in[0]) == last_extent(f, node->in[1]) && there;
  return fits && (wide || (dtype_of(f, sum->out) == TCT_F32 && is_read_wide(f, node->out))) && takes(f, node, out) ? sum : NULL;
}

/* What a sum alone read of copies and views goes with it. */
static void drop_operand(fuser *f, const tct_node *node) {
  const tct_node *maker = tct_maker(f->rewrite.from, node->in[0]);
  if (--f->readers[node->in[0]] > 0 || !tct_is_copy(maker)) return;
  f->gone[maker - f->rewrite.from->nodes] = true;
  drop_operand(f, maker);
}

static void pair(fuser *f) {
  const tct_graph *from = f->rewrite.from;
  for (int32_t n = 0; n < from->n_nodes; n++) {
    const tct_node *node = &from->nodes[n];
    if (is_bias_gradient(f, node)) f->sum[origin(f, node->in[0], true)] = n;
  }
  for (int32_t n = 0; n < from->n_nodes; n++) {
    const tct_node *sum = sum_for(f, &from->nodes[n]);
    if (sum == NULL) continue;
    f->mate[n] = (int32_t)(sum - from->nodes);
    f->mate[f->mate[n]] = n;
    f->sum[origin(f, sum->in[0], true)] = -1;
    drop_operand(f, sum);
  }
}

/* The product and the sum as one node. */
static tct_status emit(fuser *f, const tct_node *node, const tct_node *sum) {
  tct_node like = *node;
  tct_desc out[2];
  int32_t in[2];
  like.op = TCT_OP_matmul_bgrad;
  like.n_out = 2;
  describe(f, node, sum, out);
  for (int32_t i = 0; i < 2; i++) {
    TCT_TRY(tct_rewrite_make(&f->rewrite, node->in[i], f->gone));
    in[i] = tct_rewrite_value(&f->rewrite, node->in[i]);
  }
  const int32_t made = tct_graph_append(f->rewrite.to, &like, node->name, in, out);
  if (made < 0) return TCT_OUT_OF_MEMORY;
  tct_rewrite_map(&f->rewrite, node->out, made);
  tct_rewrite_map(&f->rewrite, sum->out, made + 1);
  f->gone[node - f->rewrite.from->nodes] = f->gone[sum - f->rewrite.from->nodes] = true;
  f->widened[node->out] = dtype_of(f, node->out) != out[0].dtype;
  return TCT_OK;
}

/* A reshape of what is f32 now, or its copy in f32. */
static tct_status follow(fuser *f, const tct_node *node) {
  const int32_t in = tct_rewrite_value(&f->rewrite, node->in[0]);
  int32_t made = in;
  if (node->op == TCT_OP_reshape) {
    const tct_desc desc = {TCT_F32, f->rewrite.from->values[node->out].desc.shape};
    made = tct_graph_append(f->rewrite.to, node, node->name, &in, &desc);
    if (made < 0) return TCT_OUT_OF_MEMORY;
    f->widened[node->out] = true;
  }
  tct_rewrite_map(&f->rewrite, node->out, made);
  return TCT_OK;
}

static tct_status run(fuser *f) {
  const tct_graph *from = f->rewrite.from;
  const size_t n_values = (size_t)from->n_values + 1, n_nodes = (size_t)from->n_nodes + 1;
  f->readers = tct_count_readers(from, &f->scratch);
  f->sum = tct_arena_alloc(&f->scratch, n_values * sizeof *f->sum);
  f->mate = tct_arena_alloc(&f->scratch, n_nodes * sizeof *f->mate);
  f->gone = tct_arena_alloc(&f->scratch, n_nodes);
  f->widened = tct_arena_alloc(&f->scratch, n_values);
  if (f->readers == NULL || f->sum == NULL || f->mate == NULL || f->gone == NULL || f->widened == NULL) return TCT_OUT_OF_MEMORY;
  for (int32_t v = 0; v < from->n_values; v++) f->sum[v] = -1;
  for (int32_t n = 0; n < from->n_nodes; n++) f->mate[n] = -1;
  pair(f);
  for (int32_t n = 0; n < from->n_nodes; n++) {
    const tct_node *node = &from->nodes[n], *mate = f->mate[n] >= 0 ? &from->nodes[f->mate[n]] : NULL;
    if (f->gone[n]) continue;
    if (mate != NULL) TCT_TRY(node->op == TCT_OP_matmul ? emit(f, node, mate) : emit(f, mate, node));
    else TCT_TRY(node->n_in == 1 && f->widened[node->in[0]] ? follow(f, node) : tct_rewrite_copy(&f->rewrite, node));
  }
  return TCT_OK;
}

tct_status tct_pass_fuse_bias_gradient(const tct_graph *in, const tct_pass_context *context, tct_graph **out) {
  *out = NULL;
  if (context->device->first[TCT_OP_matmul_bgrad] < 0) return tct_graph_copy(in, out);
  fuser f = {.device = context->device};
  TCT_TRY(tct_rewrite_begin(in, &f.rewrite));
  const tct_status status = run(&f);
  tct_arena_free(&f.scratch);
  return tct_rewrite_end(&f.rewrite, status, out);
}
