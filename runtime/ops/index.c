/* Indexing by i32 tensors.
 *   gather       (table, indices) → table[.., indices, ..]: the axis attrs.axis of the table is replaced by the axes of
 *                indices; out of range reads NaN (0 for integers)
 *   gather_grad  (indices, dy) → d table of attrs.table_shape: each row of dy is added to the row that it was read from
 *   scatter_add  base + gather_grad(indices, updates), so that d updates = gather(dy, indices), 0 for an index out of range
 *   one_hot      indices [..] → [.., depth] of attrs.dtype: attrs.on where the position is the index, attrs.off
 * elsewhere */
#include <inttypes.h>
#include <string.h>
#include "graph/graph.h"
#include "ops/defs.h"
#include "ops/shape.h"

/* ---- gather ---- */

/* table[:axis] + indices + table[axis+1:]; the rank may be too large for a tensor, which tct_give refuses. */
static bool gathered(tct_infer *infer, const tct_shape *table, const tct_shape *indices, int32_t axis, tct_shape *out) {
  const int32_t rank = table->rank - 1 + indices->rank;
  if (rank > TCT_MAX_RANK) {
    return tct_refuse_as(infer, TCT_E_RANK,
                         "table %s by indices %s gives rank %" PRId32 "; tensors have at most %d axes",
                         tct_show(table).text, tct_show(indices).text, rank, TCT_MAX_RANK);
  }
  *out = tct_shape_part(table, 0, axis);
  for (int32_t i = 0; i < indices->rank; i++) out->dim[out->rank++] = indices->dim[i];
  for (int32_t i = axis + 1; i < table->rank; i++) out->dim[out->rank++] = table->dim[i];
  return true;
}

static bool infer_gather(tct_infer *infer) {
  tct_gather_attrs *attrs = infer->attrs;
  const tct_shape *table = &infer->in[0].shape;
  tct_shape out;
  if (!tct_check_dtype(infer, 0, "the table", TCT_ANY) || !tct_check_dtype(infer, 1, "indices", 1u << TCT_I32))
    return false;
  if (!tct_check_axis(infer, table, &attrs->axis)) return false;
  if (!gathered(infer, table, &infer->in[1].shape, attrs->axis, &out)) return false;
  attrs->table_shape = *table;
  return tct_give(infer, 0, infer->in[0].dtype, out);
}

static bool infer_gather_grad(tct_infer *infer) {
  tct_gather_attrs *attrs = infer->attrs;
  tct_shape dy;
  if (!tct_check_dtype(infer, 0, "indices", 1u << TCT_I32) || !tct_check_dtype(infer, 1, "dy", TCT_FLOATS))
    return false;
  if (!tct_check_axis(infer, &attrs->table_shape, &attrs->axis)) return false;
  if (!gathered(infer, &attrs->table_shape, &infer->in[0].shape, attrs->axis, &dy)) return false;
  if (!tct_check_shape(infer, 1, "dy", &dy, "the forward's result")) return false;
  return tct_give(infer, 0, infer->in[1].dtype, attrs->table_shape);
}

static void gradient_gather(tct_grad *grad) {
  if (grad->wanted[0]) grad->din[0] = tct_build2(TCT_OP_gather_grad, grad->attrs, grad->in[1], grad->dout[0]);
}

/* Whether each index names a row, with extents of 1 at the table's other axes: broadcasts against the gathered rows. */
static tct_tensor rows_exist(tct_tensor indices, const tct_gather_attrs *attrs) {
  tct_graph *graph = indices.graph;
  const tct_shape s = tct_tensor_shape(indices), *table = &attrs->table_shape;
  const tct_tensor none = tct_scalar(graph, TCT_I32, 0);
  const tct_tensor depth = tct_scalar(graph, TCT_I32, (double)table->dim[attrs->axis]);
  tct_shape out = {.rank = s.rank + table->rank - attrs->axis - 1};
  for (int32_t i = 0; i < out.rank; i++) out.dim[i] = i < s.rank ? s.dim[i] : 1;
  return tct_reshaped(tct_logical_and(tct_greater_equal(indices, none), tct_less(indices, depth)), out);
}

static void gradient_gather_grad(tct_grad *grad) {
  const tct_gather_attrs *attrs = grad->attrs;
  const tct_tensor indices = grad->in[0], dy = grad->dout[0];
  if (!grad->wanted[1]) return;
  const tct_tensor zero = tct_scalar(grad->graph, tct_tensor_dtype(dy), 0);
  grad->din[1] = tct_select(rows_exist(indices, attrs), tct_gather(dy, indices, attrs->axis), zero);
}

/* Reads the rows that it takes, not the table. */
static void cost_gather(const tct_node_view *node, tct_cost *out) {
  *out = (tct_cost){0, 2 * tct_desc_size_bytes(&node->out[0]) + tct_desc_size_bytes(&node->in[1])};
}

static void cost_gather_grad(const tct_node_view *node, tct_cost *out) {
  *out = (tct_cost){tct_desc_elements(&node->in[1]), tct_node_bytes(node)};
}

TCT_DEFINE(gather, .infer = infer_gather, .gradient = gradient_gather, .cost = cost_gather);
TCT_DEFINE(gather_grad, .infer = infer_gather_grad, .gradient = gradient_gather_grad, .cost = cost_gather_grad);

tct_tensor tct_gather(tct_tensor table, tct_tensor indices, int32_t axis) {
  tct_gather_attrs attrs;
  memset(&attrs, 0, sizeof attrs);
  attrs.axis = axis;
  return tct_build2(TCT_OP_gather, &attrs, table, indices);
}

tct_tensor tct_scatter_add(tct_tensor base, tct_tensor indices, tct_tensor updates, int32_t axis) {
  if (!tct_tensor_ok(base) || !tct_tensor_ok(indices) || !tct_tensor_ok(updates)) {
    return tct_poison(base.graph != NULL ? base.graph : indices.graph != NULL ? indices.graph : updates.graph);
  }
  tct_gather_attrs attrs;
  memset(&attrs, 0, sizeof attrs);
  attrs.axis = axis;
  attrs.table_shape = tct_tensor_shape(base);
  return tct_add(base, tct_build2(TCT_OP_gather_grad, &attrs, indices, updates));
}

/* ---- one_hot ---- */

static bool infer_one_hot(tct_infer *infer) {
  const tct_one_hot_attrs *attrs = infer->attrs;
  const tct_shape *indices = &infer->in[0].shape;
  if (!tct_check_dtype(infer, 0, "indices", 1u << TCT_I32)) return false;
  if ((int)attrs->dtype <= 0 || attrs->dtype >= TCT_N_DTYPES || (TCT_ANY >> attrs->dtype & 1) == 0) {
    return tct_refuse_as(infer, TCT_E_DTYPE, "%s is not available as the result's dtype", tct_dtype_name(attrs->dtype));
  }
  if (attrs->depth < 1)
    return tct_refuse_as(infer, TCT_E_ATTRIBUTE, "depth is %" PRId64 ", needs at least 1", attrs->depth);
  if (indices->rank == TCT_MAX_RANK) {
    return tct_refuse_as(infer, TCT_E_RANK,
                         "indices %s have rank %" PRId32 " already; the result needs one more axis, at most %d",
                         tct_show(indices).text, indices->rank, TCT_MAX_RANK);
  }
  tct_shape out = *indices;
  out.dim[out.rank++] = attrs->depth;
  return tct_give(infer, 0, attrs->dtype, out);
}

TCT_DEFINE(one_hot, .infer = infer_one_hot, .gradient_why = "its indices are integers", .cost = tct_cost_of_copy);

tct_tensor tct_one_hot(tct_tensor indices, int64_t depth, double on, double off, tct_dtype dtype) {
  tct_one_hot_attrs attrs;
  memset(&attrs, 0, sizeof attrs);
  attrs.depth = depth;
  attrs.on = on;
  attrs.off = off;
  attrs.dtype = dtype;
  return tct_build1(TCT_OP_one_hot, &attrs, indices);
}
