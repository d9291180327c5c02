/* A max pooling's gradient is mostly zeros: what works on it element by element, or sums it over the image, does so before
 * it is spread out, at the pooled size. With y = max_pool(x) and dx = max_pool_grad(x, y, dy):
 *   f_grad(x, dx)    = max_pool_grad(x, y, f_grad(y, dy))   f_grad is linear in dx, and x = y wherever dx is not zero
 *   Σ over pixels dx = Σ over windows dy                    each dy goes to one pixel
 * which is every convolution with an activation and a bias before a pooling. */
#include "base/status.h"
#include "graph/append.h"
#include "passes/passes.h"
#include "passes/rewrite.h"

typedef struct mover {
  tct_rewrite rewrite;
  tct_arena scratch;
  int32_t *readers;     /* [values] */
  const tct_node **tail; /* [nodes] a pooling gradient's activation gradient, which goes before it */
  bool *moved;          /* [nodes] */
} mover;

/* <name>_grad(x or y, dy): of rows that need one of the two. */
static bool is_activation_gradient(const tct_node *node) {
  static const bool table[TCT_N_OPS] = {
#define UNARY(name, dtypes, text, forward, gradient, needs, flops) [TCT_OP_##name##_grad] = true,
#include <tercet/elementwise.def>
  };
  return tct_op_is_own(node->op) && table[node->op] && node->n_in == 2;
}

/* Pairs each pooling gradient with the activation gradient that is its only reader and looks at the pooling's input. */
static void find_tails(mover *m) {
  const tct_graph *from = m->rewrite.from;
  for (int32_t n = 0; n < from->n_nodes; n++) {
    const tct_node *node = &from->nodes[n];
    if (!is_activation_gradient(node)) continue;
    const tct_node *pool = tct_maker(from, node->in[1]);
    if (pool->op != TCT_OP_max_pool2d_grad || pool->in[0] != node->in[0] || m->readers[pool->out] != 1) continue;
    m->tail[pool - from->nodes] = node;
    m->moved[n] = true;
  }
}

/* pool(x, y, dy), then tail(x, ·), as tail(y, dy), then pool(x, y, ·). */
static tct_status emit_moved(mover *m, const tct_node *pool, const tct_node *tail) {
  tct_rewrite *r = &m->rewrite;
  const int32_t x = tct_rewrite_value(r, pool->in[0]), y = tct_rewrite_value(r, pool->in[1]);
  const int32_t small = tct_graph_append(r->to, tail, tail->name, (int32_t[]){y, tct_rewrite_value(r, pool->in[2])},
                                         &r->from->values[pool->in[1]].desc);
  if (small < 0) return TCT_OUT_OF_MEMORY;
  TCT_TRY(tct_rewrite_replace(r, pool, pool, (int32_t[]){x, y, small}));
  tct_rewrite_map(r, tail->out, tct_rewrite_value(r, pool->out));
  return TCT_OK;
}

/* The pooling gradient that `node` sums over images and pixels, among the new nodes, or NULL. */
static const tct_node *summed_pool(const mover *m, const tct_node *node) {
  if (node->op != TCT_OP_reduce_sum || ((const tct_reduce_attrs *)node->attrs)->axes != 7) return NULL;
  const tct_node *maker = tct_maker(m->rewrite.to, tct_rewrite_value(&m->rewrite, node->in[0]));
  return maker->op == TCT_OP_max_pool2d_grad ? maker : NULL;
}

static tct_status run(mover *m) {
  const tct_graph *from = m->rewrite.from;
  m->readers = tct_count_readers(from, &m->scratch);
  m->tail = tct_arena_alloc(&m->scratch, ((size_t)from->n_nodes + 1) * sizeof *m->tail);
  m->moved = tct_arena_alloc(&m->scratch, (size_t)from->n_nodes + 1);
  if (m->readers == NULL || m->tail == NULL || m->moved == NULL) return TCT_OUT_OF_MEMORY;
  find_tails(m);
  for (int32_t n = 0; n < from->n_nodes; n++) {
    const tct_node *node = &from->nodes[n];
    if (m->moved[n]) continue;
    const tct_node *pool = summed_pool(m, node);
    if (m->tail[n] != NULL) {
      TCT_TRY(emit_moved(m, node, m->tail[n]));
    } else if (pool != NULL) {
      TCT_TRY(tct_rewrite_replace(&m->rewrite, node, node, &pool->in[2]));
    } else {
      TCT_TRY(tct_rewrite_copy(&m->rewrite, node));
    }
  }
  return TCT_OK;
}

tct_status tct_pass_pool_gradients(const tct_graph *in, const tct_pass_context *context, tct_graph **out) {
  (void)context;
  *out = NULL;
  mover m = {0};
  TCT_TRY(tct_rewrite_begin(in, &m.rewrite));
  const tct_status status = run(&m);
  tct_arena_free(&m.scratch);
  return tct_rewrite_end(&m.rewrite, status, out);
}
