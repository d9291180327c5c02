/* Elementwise ops and fused chains of them, by one interpreter: the output is walked in tiles that stay in L1; every
 * operand is a tile of as many elements (a pointer into memory where it is dense, a small buffer where it is
 * broadcast), and every step is one vectorised row over tiles. A single op is a chain of one step. */
#include <string.h>
#include "backends/cpu/device.h"

enum { TILE = 1024, TASK_TILES = TCT_CPU_TASK / TILE, WIDEST = 8, REGISTERS = TCT_CHAIN_INPUTS + TCT_CHAIN_STEPS };

typedef enum access {
  DENSE,   /* of the output's shape */
  SCALAR,  /* one element: its tile is filled once a task */
  PERIOD,  /* element i % period, the period at most a tile: a buffer of tile + period holds every phase */
  GENERAL, /* strides, filled tile by tile */
} access;

typedef struct operand {
  access how;
  size_t bytes; /* of an element */
  int64_t period;
  int32_t rank; /* GENERAL: collapsed extents of the output and this operand's strides */
  int64_t dim[TCT_MAX_RANK], stride[TCT_MAX_RANK];
  size_t buffer;       /* offset in the scratch; unused when DENSE */
  tct_cpu_row convert; /* into f32, or NULL */
  size_t converted;    /* offset in the scratch */
} operand;

typedef struct step {
  tct_cpu_row row;
  int32_t arg[3]; /* registers: operands first, then steps */
  double p[2];
  size_t to; /* offset in the scratch; the last step writes the output */
} step;

typedef struct plan {
  int64_t size;
  size_t out_bytes;
  int32_t n_in, n_steps;
  operand in[TCT_CHAIN_INPUTS];
  step step[TCT_CHAIN_STEPS];
  size_t scratch; /* bytes per worker */
  double ns;
} plan;

/* ---- planning ---- */

/* A rough cost of each row, in tenths of a nanosecond per element, for the choice of threads only. */
static double cost_of(tct_op op) {
  static const double flops[TCT_N_OPS] = {
#define UNARY(name, dtypes, text, forward, gradient, needs, work) [TCT_OP_##name] = work, [TCT_OP_##name##_grad] = work,
#define BINARY(name, dtypes, text, forward, work)                 [TCT_OP_##name] = work,
#include <tercet/elementwise.def>
  };
  return 0.05 + 0.03 * flops[op];
}

/* Extents and strides with axes merged that this operand walks as one. */
static void collapse(operand *in, const tct_shape *shape, const tct_shape *out) {
  int64_t stride[TCT_MAX_RANK], pitch = 1;
  const int32_t shift = out->rank - shape->rank;
  for (int32_t i = out->rank - 1; i >= 0; i--) {
    const int64_t extent = i >= shift ? shape->dim[i - shift] : 1;
    stride[i] = extent == 1 ? 0 : pitch;
    pitch *= extent;
  }
  in->rank = 0;
  for (int32_t i = 0; i < out->rank; i++) {
    if (out->dim[i] == 1) continue;
    const int32_t last = in->rank - 1;
    const bool joins = last >= 0 && in->stride[last] == stride[i] * out->dim[i];
    if (joins) {
      in->dim[last] *= out->dim[i];
      in->stride[last] = stride[i];
    } else {
      in->dim[in->rank] = out->dim[i];
      in->stride[in->rank++] = stride[i];
    }
  }
}

static void plan_operand(operand *in, const tct_desc *desc, const tct_shape *out) {
  in->bytes = tct_cpu_bytes(desc->dtype);
  collapse(in, &desc->shape, out);
  const int32_t last = in->rank - 1;
  if (tct_cpu_size(&desc->shape) == 1)
    in->how = SCALAR;
  else if (in->rank == 1 && in->stride[0] == 1)
    in->how = DENSE;
  else if (in->rank == 2 && in->stride[0] == 0 && in->stride[1] == 1 && in->dim[last] <= TILE)
    in->how = PERIOD;
  else
    in->how = GENERAL;
  in->period = in->how == PERIOD ? in->dim[last] : 0;
}

/* Buffers of the operands; returns the scratch used so far. */
static size_t place_operands(plan *p) {
  size_t at = 0;
  for (int32_t i = 0; i < p->n_in; i++) {
    operand *in = &p->in[i];
    if (in->how != DENSE) {
      in->buffer = at;
      at += tct_cpu_lines((TILE + in->period) * (int64_t)in->bytes);
    }
    if (in->convert != NULL) {
      in->converted = at;
      at += TILE * sizeof(float);
    }
  }
  return at;
}

/* Tiles of the steps: one is free again after its last reader, which may write over it. */
static size_t place_steps(plan *p, size_t at) {
  size_t slot[TCT_CHAIN_STEPS];
  int32_t last_use[REGISTERS] = {0}, holder[TCT_CHAIN_STEPS], n_slots = 0;
  for (int32_t i = 0; i < p->n_steps; i++)
    for (int32_t j = 0; j < 3; j++) last_use[p->step[i].arg[j]] = i;
  for (int32_t i = 0; i < p->n_steps; i++) {
    int32_t s = 0;
    while (s < n_slots && last_use[holder[s]] > i) s++;
    if (s == n_slots) {
      slot[n_slots++] = at;
      at += TILE * WIDEST;
    }
    holder[s] = p->n_in + i;
    p->step[i].to = slot[s];
  }
  return at;
}

static tct_status finish(tct_device_impl *device, plan *p, tct_prepared *out) {
  p->scratch = place_steps(p, place_operands(p));
  *out = (tct_prepared){.workspace_bytes = p->scratch * (size_t)device->n_threads, .state = p};
  return TCT_OK;
}

/* ---- running ---- */

/* Elements [start, start + n) of a strided operand. */
static void fill_general(const tct_cpu_kernels *k, const operand *in, const char *base, char *to, int64_t start,
                         int64_t n) {
  int64_t index[TCT_MAX_RANK], offset = 0;
  const int32_t last = in->rank - 1;
  for (int32_t i = last; i >= 0; i--) {
    index[i] = start % in->dim[i];
    start /= in->dim[i];
    offset += index[i] * in->stride[i];
  }
  while (n > 0) {
    const int64_t run = tct_cpu_least(n, in->dim[last] - index[last]);
    const char *from = base + offset * (int64_t)in->bytes;
    if (in->stride[last] == 0) {
      k->fill(to, from, run, in->bytes);
    } else {
      memcpy(to, from, (size_t)run * in->bytes);
    }
    to += run * (int64_t)in->bytes;
    n -= run;
    index[last] += run;
    offset += run * in->stride[last];
    for (int32_t i = last; i > 0 && index[i] == in->dim[i]; i--) {
      offset += in->stride[i - 1] - index[i] * in->stride[i];
      index[i] = 0;
      index[i - 1]++;
    }
  }
}

/* What holds for all tiles of a task. */
static void fill_once(const tct_cpu_kernels *k, const operand *in, const char *base, char *scratch) {
  char *to = scratch + in->buffer;
  if (in->how == SCALAR) k->fill(to, base, TILE, in->bytes);
  if (in->how != PERIOD) return;
  const int64_t wanted = TILE + in->period;
  for (int64_t done = 0; done < wanted; done += in->period) {
    const int64_t run = tct_cpu_least(in->period, wanted - done);
    memcpy(to + done * (int64_t)in->bytes, base, (size_t)run * in->bytes);
  }
}

static const void *tile_of(const tct_cpu_kernels *k, const operand *in, const char *base, char *scratch, int64_t start,
                           int64_t n) {
  const int64_t bytes = (int64_t)in->bytes;
  const void *tile = scratch + in->buffer;
  if (in->how == DENSE) tile = base + start * bytes;
  if (in->how == PERIOD) tile = scratch + in->buffer + start % in->period * bytes;
  if (in->how == GENERAL) fill_general(k, in, base, scratch + in->buffer, start, n);
  if (in->convert == NULL) return tile;
  const void *arg[3] = {tile, tile, tile};
  in->convert(arg, scratch + in->converted, n, (const double[2]){0, 0});
  return scratch + in->converted;
}

typedef struct job {
  const tct_device_impl *device;
  const tct_launch *launch;
  const plan *plan;
} job;

static void run_task(void *user, int64_t task, int32_t worker) {
  const job *j = user;
  const plan *p = j->plan;
  const tct_cpu_kernels *k = j->device->k;
  char *scratch = (char *)j->launch->workspace + (size_t)worker * p->scratch;
  char *out = j->launch->out[0];
  const int64_t begin = task * TCT_CPU_TASK, end = tct_cpu_least(begin + TCT_CPU_TASK, p->size);
  for (int32_t i = 0; i < p->n_in; i++) fill_once(k, &p->in[i], j->launch->in[i], scratch);
  for (int64_t start = begin; start < end; start += TILE) {
    const int64_t n = tct_cpu_least(TILE, end - start);
    const void *reg[REGISTERS];
    for (int32_t i = 0; i < p->n_in; i++) reg[i] = tile_of(k, &p->in[i], j->launch->in[i], scratch, start, n);
    for (int32_t s = 0; s < p->n_steps; s++) {
      const step *at = &p->step[s];
      const void *const arg[3] = {reg[at->arg[0]], reg[at->arg[1]], reg[at->arg[2]]};
      const bool is_last = s == p->n_steps - 1;
      char *to = is_last ? out + start * (int64_t)p->out_bytes : scratch + at->to;
      at->row(arg, to, n, at->p);
      reg[p->n_in + s] = to;
    }
  }
}

tct_status tct_cpu_elementwise_launch(tct_device_impl *device, const tct_launch *launch) {
  job j = {device, launch, launch->state};
  tct_cpu_run(device, tct_cpu_tasks(j.plan->size), j.plan->ns, run_task, &j);
  return TCT_OK;
}

/* ---- one op ---- */

/* NULL where the device has no row for the node's types. */
static tct_cpu_row row_of(const tct_cpu_kernels *k, const tct_node_view *node) {
  if (node->op == TCT_OP_select) return k->select_row(tct_cpu_bytes(node->out[0].dtype));
  if (node->op == TCT_OP_cast) return k->cast_row(node->in[0].dtype, node->out[0].dtype);
  if (node->in[0].dtype == TCT_F32) return k->float_row(node->op);
  return k->whole_row(node->in[0].dtype, node->op);
}

bool tct_cpu_elementwise_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  if (!tct_cpu_stores(node, why, why_bytes)) return false;
  /* Every level has the same rows. */
  if (row_of(&tct_cpu_kernels_generic, node) != NULL) return true;
  return tct_cpu_refuse(why, why_bytes, "device cpu has no kernel of %s for this type; cast the operands to f32",
                        node->op_name);
}

/* The parameters of a unary row or its gradient. */
static void read_parameters(const void *attrs, tct_op op, double p[2]) {
  static const bool has[TCT_N_OPS] = {
#define UNARY(name, dtypes, text, forward, gradient, needs, flops)                                                     \
  [TCT_OP_##name] = true, [TCT_OP_##name##_grad] = true,
#include <tercet/elementwise.def>
  };
  const tct_unary_attrs *of = attrs;
  p[0] = has[op] && of != NULL ? of->p0 : 0.0;
  p[1] = has[op] && of != NULL ? of->p1 : 0.0;
}

tct_status tct_cpu_elementwise_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  plan *p = tct_cpu_state(device, sizeof *p);
  if (p == NULL) return TCT_OUT_OF_MEMORY;
  p->size = tct_cpu_size(&node->out[0].shape);
  p->out_bytes = tct_cpu_bytes(node->out[0].dtype);
  p->n_in = node->n_in;
  p->n_steps = 1;
  step *only = &p->step[0];
  only->row = row_of(device->k, node);
  read_parameters(node->attrs, node->op, only->p);
  for (int32_t i = 0; i < node->n_in; i++) {
    plan_operand(&p->in[i], &node->in[i], &node->out[0].shape);
    only->arg[i] = i;
  }
  p->ns = (double)p->size * (cost_of(node->op) + 0.1 * (double)(node->n_in + 1));
  return finish(device, p, out);
}

/* ---- chains ---- */

bool tct_cpu_chain_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  if (!tct_cpu_stores(node, why, why_bytes)) return false;
  const tct_chain_attrs *attrs = node->attrs;
  if (node->out[0].dtype != TCT_F32) {
    return tct_cpu_refuse(why, why_bytes, "device cpu runs chains in f32 only; cast the operands to f32");
  }
  if (node->n_in > TCT_CHAIN_INPUTS || attrs->n_steps < 1 || attrs->n_steps > TCT_CHAIN_STEPS) {
    return tct_cpu_refuse(why, why_bytes, "the chain has %d inputs and %d steps, at most %d and %d fit", node->n_in,
                          attrs->n_steps, TCT_CHAIN_INPUTS, TCT_CHAIN_STEPS);
  }
  for (int32_t i = 0; i < attrs->n_steps; i++) {
    if (tct_cpu_kernels_generic.chain_row(attrs->step[i].op) == NULL) {
      return tct_cpu_refuse(why, why_bytes, "step %d of the chain is op %d, which is not elementwise", i,
                            (int)attrs->step[i].op);
    }
  }
  return true;
}

tct_status tct_cpu_chain_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  const tct_chain_attrs *attrs = node->attrs;
  plan *p = tct_cpu_state(device, sizeof *p);
  if (p == NULL) return TCT_OUT_OF_MEMORY;
  p->size = tct_cpu_size(&node->out[0].shape);
  p->out_bytes = sizeof(float);
  p->n_in = node->n_in;
  p->n_steps = attrs->n_steps;
  double ns = 0.1 * (double)(node->n_in + 1);
  for (int32_t i = 0; i < node->n_in; i++) {
    plan_operand(&p->in[i], &node->in[i], &node->out[0].shape);
    if (node->in[i].dtype != TCT_F32) p->in[i].convert = device->k->cast_row(node->in[i].dtype, TCT_F32);
  }
  for (int32_t i = 0; i < attrs->n_steps; i++) {
    const tct_chain_step *from = &attrs->step[i];
    step *to = &p->step[i];
    to->row = device->k->chain_row(from->op);
    /* Operands that the op does not have may be any number in the attributes. */
    for (int32_t j = 0; j < 3; j++) to->arg[j] = from->arg[j] >= 0 && from->arg[j] < p->n_in + i ? from->arg[j] : 0;
    to->p[0] = from->p0;
    to->p[1] = from->p1;
    ns += cost_of(from->op);
  }
  p->ns = (double)p->size * ns;
  return finish(device, p, out);
}

tct_status tct_cpu_chain_launch(tct_device_impl *device, const tct_launch *launch) {
  return tct_cpu_elementwise_launch(device, launch);
}
