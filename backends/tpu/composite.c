/* The clock of ops that are several products and their vector work, with what lies between them kept in VMEM: only inputs and outputs
 * meet HBM. Their numbers are inside.c's. */
#include <string.h>

#include "backends/tpu/list.h"

static void add(tct_chip_time *sum, const tct_chip_time *t, double times) {
  sum->useful += times * t->useful;
  sum->padding += times * t->padding;
  sum->shift += times * t->shift;
  sum->macs += times * t->macs;
  sum->macs_int8 += times * t->macs_int8;
  sum->vmem_bytes += times * t->vmem_bytes;
}

typedef struct part {
  tct_product product;
  int64_t steps; /* of a sequence: one after the other; 1: all at once */
  double share;  /* of the work that is done: a causal mask leaves out the rest */
} part;

/* A sequence's weights that fill more than its share of VMEM are loaded for each step again. */
static double weights_again(const tct_chip *chip, const part *p) {
  const double bytes = 4 * (double)p->product.k * (double)p->product.n * (p->product.batch > 0 ? (double)p->product.batch : 1);
  return bytes > TCT_CHIP_VMEM_SHARE * chip->vmem * (double)chip->cores ? (double)(p->steps - 1) * bytes : 0;
}

/* Loads, the products with what the vector unit does, stores. HBM is behind everything: it is waited for as far as it takes
 * longer. */
static tct_status emit_parts(const tct_chip *chip, const tct_node_view *node, const part *parts, int n, double operations,
                             tpu_list *list) {
  tct_chip_time *sum = &list->time;
  double again = 0; /* bytes of weights that do not stay in VMEM from one step of a sequence to the next */
  double fed = 0, weights = 0; /* cycles of waiting for a weight FIFO, which feeds each step again; its bytes */
  tpu_list ends = {.n = 0};
  tct_tpu_emit_vector(&ends, chip, node, operations);
  for (int32_t i = 0; i < ends.n && ends.at[i].code == TPU_LOAD; i++) tct_tpu_emit(list, ends.at[i]);
  for (int i = 0; i < n; i++) {
    const tct_product *p = &parts[i].product;
    if (p->m == 0 || p->k == 0 || p->n == 0 || p->batch == 0 || parts[i].steps == 0) continue;
    tpu_list_product *to = &list->product[list->n_products++];
    *to = (tpu_list_product){.extents = *p, .resident = true};
    to->extents.int8 = chip->quantized != 0;
    const tct_status status = tct_chip_product(chip, &to->extents, &to->tiling);
    if (status != TCT_OK) return status;
    const bool loop = parts[i].steps > 1;
    if (loop) tct_tpu_emit(list, (tpu_instruction){.code = TPU_LOOP, .operand = 's', .product = list->n_products - 1, .count = parts[i].steps});
    tct_tpu_emit_product(list, chip, list->n_products - 1);
    if (loop) tct_tpu_emit(list, (tpu_instruction){.code = TPU_END, .product = list->n_products - 1});
    add(sum, &to->tiling, parts[i].share * (double)parts[i].steps);
    again += weights_again(chip, &parts[i]);
    fed += parts[i].share * (double)parts[i].steps * to->tiling.memory;
    weights += parts[i].share * (double)parts[i].steps * to->tiling.hbm_bytes;
    sum->skew += (double)parts[i].steps * (double)(2 * chip->array_rows + chip->array_cols - 2);
  }
  for (int32_t i = 0; i < ends.n; i++) {
    if (ends.at[i].code != TPU_LOAD) tct_tpu_emit(list, ends.at[i]);
  }
  sum->vector = operations / (double)(chip->cores * chip->alus);
  sum->hbm_bytes = chip->weight_fifo > 0 ? weights : tct_tpu_bytes(chip, node) + again;
  sum->vmem_bytes += sum->hbm_bytes;
  const double busy = sum->useful + sum->padding + sum->shift + sum->vector + sum->skew;
  const double written = tct_tpu_written(chip, node), loaded = sum->hbm_bytes - written;
  const double moved = (chip->channels == 1 ? sum->hbm_bytes : loaded > written ? loaded : written) * chip->clock / chip->hbm;
  sum->memory = (chip->weight_fifo > 0 ? fed : moved > busy ? moved - busy : 0) + chip->latency * chip->clock;
  sum->skew += chip->overhead * chip->clock;
  sum->total = sum->useful + sum->padding + sum->shift + sum->vector + sum->memory + sum->skew;
  return TCT_OK;
}

/* Vector registers that n rows of `width` f32 fill. */
static double registers(const tct_chip *chip, double rows, int64_t width) {
  const int64_t wide = (width + chip->lanes - 1) / chip->lanes;
  return rows * (double)wide / (double)chip->sublanes;
}

/* The part of all pairs of a query and a key that a causal mask leaves in: query i sees keys 0 … i. */
static double share_of_causal(double queries, double keys) {
  const double first = queries < keys ? queries : keys; /* of which each sees one more than the one before */
  return (first * (first + 1) / 2 + (queries - first) * keys) / (queries * keys);
}

/* Scores and their product with v; backwards scores again, and dv, dp, dq, dk. */
static tct_status attention(const tct_chip *chip, const tct_node_view *node, bool backward, tpu_list *out) {
  const tct_attention_attrs *attrs = node->attrs;
  const int64_t *q = node->in[0].shape.dim, *k = node->in[1].shape.dim, *v = node->in[2].shape.dim;
  const int64_t heads = q[0] * q[2], rows = q[1], keys = k[1], d = q[3], e = v[3];
  const double share = attrs->causal && rows > 0 ? share_of_causal((double)rows, (double)keys) : 1;
  const part forward[] = {{{.m = rows, .k = d, .n = keys, .batch = heads}, 1, share},
                          {{.m = rows, .k = keys, .n = e, .batch = heads}, 1, share}};
  const part back[] = {{{.m = rows, .k = d, .n = keys, .batch = heads}, 1, share},
                       {{.m = keys, .k = rows, .n = e, .batch = heads}, 1, share},
                       {{.m = rows, .k = e, .n = keys, .batch = heads}, 1, share},
                       {{.m = rows, .k = keys, .n = d, .batch = heads}, 1, share},
                       {{.m = keys, .k = rows, .n = d, .batch = heads}, 1, share}};
  const double operations = share * (backward ? 14 : 12) * registers(chip, (double)(heads * rows), keys);
  return emit_parts(chip, node, backward ? back : forward, backward ? 5 : 2, operations, out);
}

/* Forward: one product for the inputs of all steps, then one a step. Backward: one a step; the weights' gradients are
 * products of their own in the graph. `gates` is G·H wide. */
static tct_status recurrent(const tct_chip *chip, const tct_node_view *node, bool backward, tpu_list *out) {
  const tct_shape *u = &node->in[backward ? 0 : 2].shape;
  const tct_shape *y = backward ? &node->in[1].shape : &node->out[0].shape; /* [B,T,H] */
  const int64_t batch = y->dim[0], steps = y->dim[1], hidden = u->dim[0], gates = u->dim[1];
  const int64_t inputs = backward ? 0 : node->in[0].shape.dim[2];
  const part parts[] = {{{.m = batch * steps, .k = inputs, .n = gates, .batch = 1}, 1, 1},
                        {{.m = batch, .k = backward ? gates : hidden, .n = backward ? hidden : gates, .batch = 1}, steps, 1}};
  /* tanh or sigmoid of each gate, and the state's sums */
  return emit_parts(chip, node, parts, 2, (backward ? 6 : 14) * registers(chip, (double)(batch * steps), gates), out);
}

tct_status tct_tpu_lower_composite(const tct_chip *chip, const tct_node_view *node, tpu_list *out) {
  const bool backward = strstr(node->op_name, "_grad") != NULL;
  return strncmp(node->op_name, "attention", 9) == 0 ? attention(chip, node, backward, out)
                                                     : recurrent(chip, node, backward, out);
}
