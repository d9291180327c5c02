/* Ops that are several products and their vector work, with what lies between them kept in VMEM: only inputs and outputs
 * meet HBM. The hidden state of a recurrent layer and attention's weights meet the arrays unrounded here, which a chip would
 * round. */
#include <string.h>

#include "backends/tpu/device.h"

typedef struct part {
  tct_product product;
  double times;
} part;

static void add(tct_chip_time *sum, const tct_chip_time *t, double times) {
  sum->useful += times * t->useful;
  sum->padding += times * t->padding;
  sum->shift += times * t->shift;
  sum->memory += times * t->memory;
  sum->macs += times * t->macs;
  sum->vmem_bytes += times * t->vmem_bytes;
}

static tct_status add_parts(const tct_chip *chip, const part *parts, int n, tct_chip_time *sum) {
  for (int i = 0; i < n; i++) {
    const tct_product *p = &parts[i].product;
    if (p->m == 0 || p->k == 0 || p->n == 0 || p->taps == 0 || parts[i].times == 0) continue;
    tct_chip_time t;
    const tct_status status = tct_chip_product(chip, p, &t);
    if (status != TCT_OK) return status;
    t.memory = 0; /* VMEM holds the operands */
    add(sum, &t, parts[i].times);
    sum->skew += parts[i].times * (double)(2 * chip->array_rows + chip->array_cols - 2);
  }
  return TCT_OK;
}

/* HBM is behind everything: it is waited for as far as it takes longer. */
static void close_sum(const tct_chip *chip, const tct_node_view *node, double operations, tct_chip_time *sum) {
  sum->vector += operations / (double)(chip->cores * chip->alus);
  sum->hbm_bytes = tct_tpu_bytes(chip, node);
  sum->vmem_bytes += sum->hbm_bytes;
  const double busy = sum->useful + sum->padding + sum->shift + sum->vector + sum->skew;
  const double moved = sum->hbm_bytes * chip->clock / chip->hbm;
  sum->memory = (moved > busy ? moved - busy : 0) + chip->latency * chip->clock;
  sum->skew += chip->overhead * chip->clock;
  sum->total = sum->useful + sum->padding + sum->shift + sum->vector + sum->memory + sum->skew;
}

/* Vector registers that n rows of `width` f32 fill. */
static double registers(const tct_chip *chip, double rows, int64_t width) {
  const int64_t wide = (width + chip->lanes - 1) / chip->lanes;
  return rows * (double)wide / (double)chip->sublanes;
}

/* Scores and their product with v; backwards scores again, and dv, dp, dq, dk. A causal mask leaves out half. */
static tct_status attention(const tct_chip *chip, const tct_node_view *node, bool backward, tct_chip_time *out) {
  const tct_attention_attrs *attrs = node->attrs;
  const int64_t *q = node->in[0].shape.dim, *k = node->in[1].shape.dim, *v = node->in[2].shape.dim;
  const int64_t heads = q[0] * q[2], rows = q[1], keys = k[1], d = q[3], e = v[3];
  const double share = attrs->causal ? 0.5 : 1;
  const part forward[] = {{{.m = rows, .k = d, .n = keys, .taps = heads}, share}, {{.m = rows, .k = keys, .n = e, .taps = heads}, share}};
  const part back[] = {{{.m = rows, .k = d, .n = keys, .taps = heads}, share}, {{.m = keys, .k = rows, .n = e, .taps = heads}, share},
                       {{.m = rows, .k = e, .n = keys, .taps = heads}, share}, {{.m = rows, .k = keys, .n = d, .taps = heads}, share},
                       {{.m = keys, .k = rows, .n = d, .taps = heads}, share}};
  const tct_status status = add_parts(chip, backward ? back : forward, backward ? 5 : 2, out);
  if (status != TCT_OK) return status;
  close_sum(chip, node, share * (backward ? 14 : 12) * registers(chip, (double)(heads * rows), keys), out);
  return TCT_OK;
}

/* Forward: one product for the inputs of all steps, then one a step. Backward: one a step; the weights' gradients are
 * products of their own in the graph. `gates` is G·H wide. */
static tct_status recurrent(const tct_chip *chip, const tct_node_view *node, bool backward, tct_chip_time *out) {
  const tct_shape *u = &node->in[backward ? 0 : 2].shape;
  const tct_shape *y = backward ? &node->in[1].shape : &node->out[0].shape; /* [B,T,H] */
  const int64_t batch = y->dim[0], steps = y->dim[1], hidden = u->dim[0], gates = u->dim[1];
  const int64_t inputs = backward ? 0 : node->in[0].shape.dim[2];
  const part parts[] = {{{.m = batch * steps, .k = inputs, .n = gates, .taps = 1}, 1},
                        {{.m = batch, .k = backward ? gates : hidden, .n = backward ? hidden : gates, .taps = 1}, (double)steps}};
  const tct_status status = add_parts(chip, parts, 2, out);
  if (status != TCT_OK) return status;
  /* tanh or sigmoid of each gate, and the state's sums */
  close_sum(chip, node, (backward ? 6 : 14) * registers(chip, (double)(batch * steps), gates), out);
  return TCT_OK;
}

tct_status tct_tpu_composite_time(const tct_chip *chip, const tct_node_view *node, tct_chip_time *out) {
  *out = (tct_chip_time){0};
  const bool backward = strstr(node->op_name, "_grad") != NULL;
  return strncmp(node->op_name, "attention", 9) == 0 ? attention(chip, node, backward, out)
                                                     : recurrent(chip, node, backward, out);
}
