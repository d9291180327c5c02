/* From a node to the chip's instructions: products go to the arrays (products.c has their extents), all else to the vector
 * unit. Pure: shapes and attributes in, a list with its time out. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "backends/tpu/list.h"

typedef enum cost_kind { ARRAY, VECTOR, COMPOSITE } cost_kind;
typedef enum counted { OUT, IN, ALL } counted;
typedef struct cost_row {
  const char *op;
  tct_op number; /* TCT_OP_NONE: a step of a chain cannot be it */
  cost_kind kind;
  counted counted;
  double operations;
  uint32_t rounded;
} cost_row;

static const cost_row rows[] = {
#define UNARY(name, dtypes, text, forward, gradient, needs, flops) \
  {#name, TCT_OP_##name, VECTOR, OUT, flops, 0}, {#name "_grad", TCT_OP_##name##_grad, VECTOR, OUT, flops, 0},
#define BINARY(name, dtypes, text, forward, flops) {#name, TCT_OP_##name, VECTOR, OUT, flops, 0},
#define COMPARE(name, text, condition) {#name, TCT_OP_##name, VECTOR, OUT, 1, 0},
#define LOGICAL(name, text, condition) {#name, TCT_OP_##name, VECTOR, OUT, 1, 0},
#define PREDICATE(name, dtypes, text, condition) {#name, TCT_OP_##name, VECTOR, OUT, 1, 0},
#include <tercet/elementwise.def>
#define COST(name, kind, counted, operations, rounded) {#name, TCT_OP_##name, kind, counted, operations, rounded},
#include "backends/tpu/costs.def"
#undef COST
    {"chain", TCT_OP_chain, VECTOR, OUT, 0, 0}}; /* the sum of its steps: vector_operations */
enum { N_ROWS = sizeof rows / sizeof rows[0] };

/* The vector unit's operations for an element of a chain's step or of an activation. */
static double operations_of(tct_op op) {
  for (size_t i = 0; i < N_ROWS; i++) {
    if (rows[i].number == op) return rows[i].operations;
  }
  return 1;
}

static const cost_row *find_row(const char *op) {
  for (size_t i = 0; i < N_ROWS; i++) {
    if (strcmp(rows[i].op, op) == 0) return &rows[i];
  }
  return NULL;
}

bool tct_tpu_accepts(const tct_node_view *node, char *why, size_t why_bytes) {
  const cost_row *row = find_row(node->op_name);
  if (row == NULL) {
    snprintf(why, why_bytes, "a TPU runs what its compiler knows, and '%s' is not among it: custom ops have no kernel here",
             node->op_name);
    return false;
  }
  for (int32_t i = 0; i < node->n_in + node->n_out; i++) {
    const tct_desc *d = i < node->n_in ? &node->in[i] : &node->out[i - node->n_in];
    if (d->dtype == TCT_F64 || (d->dtype == TCT_I64 && d->shape.rank > 0)) {
      snprintf(why, why_bytes, "a TPU has no %s: its vector unit is 32 bits wide", d->dtype == TCT_F64 ? "f64" : "i64 tensors");
      return false;
    }
  }
  return true;
}

/* ---- instructions ---- */

void tct_tpu_emit(tpu_list *list, tpu_instruction instruction) {
  if (list->n < TPU_MOST_INSTRUCTIONS) list->at[list->n++] = instruction;
}

/* A loop of one trip is left out. */
static bool emit_loop(tpu_list *list, int32_t product, char axis, int64_t count) {
  if (count > 1) tct_tpu_emit(list, (tpu_instruction){.code = TPU_LOOP, .operand = axis, .product = product, .count = count});
  return count > 1;
}

static void emit_load(tpu_list *list, int32_t product, char operand) {
  const tpu_list_product *p = &list->product[product];
  const double bytes = operand == 'x' ? p->tiling.x_load : p->tiling.w_load;
  if (p->resident || bytes == 0) return;
  tct_tpu_emit(list, (tpu_instruction){.code = TPU_LOAD, .operand = operand, .product = product, .amount = bytes});
}

/* An operand is loaded in the loop in which its block changes. */
void tct_tpu_emit_product(tpu_list *list, const tct_chip *chip, int32_t product) {
  const tpu_list_product *p = &list->product[product];
  const tct_product *e = &p->extents;
  const tct_chip_time *t = &p->tiling;
  const int64_t m = t->swapped ? e->n : e->m, n = t->swapped ? e->m : e->n, batch = e->batch > 0 ? e->batch : 1;
  const int64_t gb = tpu_divide_up(batch, t->block_batch), gm = tpu_divide_up(m, t->block_m);
  const int64_t gn = tpu_divide_up(n, t->block_n), gk = tpu_divide_up(e->k, t->block_k);
  const int64_t taps = (e->taps > 0 ? e->taps : 1) * tpu_passes(chip, e);
  const int64_t bm = tpu_smaller(t->block_m, m), bk = tpu_smaller(t->block_k, e->k), deep = tpu_deep(chip, e);
  /* Weights stay and rows stream past their tiles, or results stay and steps of k stream into theirs. */
  const int64_t streamed = t->outputs_stay ? tpu_divide_up(taps * bk, deep / chip->array_rows) : bm;
  const int64_t down = t->outputs_stay ? tpu_divide_up(bm, chip->array_rows) : taps * tpu_divide_up(bk, deep);
  const int64_t tiles = t->block_batch * down *
                        tpu_divide_up(tpu_smaller(t->block_n, n), chip->array_cols);
  int open = 0;
  if (t->x_held) emit_load(list, product, 'x');
  if (t->w_held) emit_load(list, product, 'w');
  open += emit_loop(list, product, 'b', gb);
  const bool once = !t->w_held && gk == 1 && gn == 1 && chip->weight_fifo == 0; /* for all m */
  if (once) emit_load(list, product, 'w');
  open += emit_loop(list, product, 'm', gm);
  if (!t->x_held && gk == 1) emit_load(list, product, 'x');
  open += emit_loop(list, product, 'n', gn);
  const bool loops_k = emit_loop(list, product, 'k', gk);
  if (gk > 1) emit_load(list, product, 'x');
  if (!once && !t->w_held) emit_load(list, product, 'w');
  if (!t->outputs_stay) tct_tpu_emit(list, (tpu_instruction){.code = TPU_PRELOAD, .operand = 'w', .product = product, .count = tiles});
  tct_tpu_emit(list, (tpu_instruction){.code = TPU_MATMUL, .operand = 'y', .product = product, .count = tiles, .rows = streamed});
  if (loops_k) tct_tpu_emit(list, (tpu_instruction){.code = TPU_END, .product = product});
  if (e->operations > 0)
    tct_tpu_emit(list, (tpu_instruction){.code = TPU_VECTOR, .product = product,
                                         .amount = e->operations / ((double)gb * (double)gm * (double)gn)});
  if (!p->resident) tct_tpu_emit(list, (tpu_instruction){.code = TPU_STORE, .operand = 'y', .product = product, .amount = t->y_store});
  while (open-- > 0) tct_tpu_emit(list, (tpu_instruction){.code = TPU_END, .product = product});
}

double tct_tpu_written(const tct_chip *chip, const tct_node_view *node) {
  double bytes = 0;
  for (int32_t i = 0; i < node->n_out; i++) bytes += tct_chip_bytes(chip, &node->out[i]);
  if (node->n_out > 0) return bytes;
  const tct_update_attrs *update = node->attrs; /* writes its states */
  for (int32_t i = 0; i < update->n_state; i++) bytes += tct_chip_bytes(chip, &node->in[i]);
  return bytes;
}

double tct_tpu_bytes(const tct_chip *chip, const tct_node_view *node) {
  const double written = tct_tpu_written(chip, node);
  double bytes = written;
  for (int32_t i = 0; i < node->n_in; i++) bytes += tct_chip_bytes(chip, &node->in[i]);
  /* These read no more of their first operand than they write. */
  const bool picks = strcmp(node->op_name, "gather") == 0 || strcmp(node->op_name, "slice") == 0;
  return picks ? bytes - tct_chip_bytes(chip, &node->in[0]) + fmin(written, tct_chip_bytes(chip, &node->in[0])) : bytes;
}

void tct_tpu_emit_vector(tpu_list *list, const tct_chip *chip, const tct_node_view *node, double operations) {
  const double written = tct_tpu_written(chip, node);
  tct_tpu_emit(list, (tpu_instruction){.code = TPU_LOAD, .operand = 'i', .product = -1, .amount = tct_tpu_bytes(chip, node) - written});
  if (operations > 0) tct_tpu_emit(list, (tpu_instruction){.code = TPU_VECTOR, .product = -1, .amount = operations});
  tct_tpu_emit(list, (tpu_instruction){.code = TPU_STORE, .operand = 'o', .product = -1, .amount = written});
  tct_tpu_emit(list, (tpu_instruction){.code = TPU_FENCE, .product = -1});
}

/* ---- the vector unit ---- */

double tct_tpu_registers(const tct_chip *chip, tct_shape shape) {
  const tct_desc wide = {TCT_F32, shape}; /* narrower types are widened first */
  return tct_chip_bytes(chip, &wide) / 4 / (double)(chip->lanes * chip->sublanes);
}

static double chain_operations(const tct_node_view *node) {
  const tct_chain_attrs *chain = node->attrs;
  double operations = 0;
  for (int32_t s = 0; s < chain->n_steps; s++) operations += operations_of(chain->step[s].op);
  return operations;
}

static double vector_operations(const tct_chip *chip, const tct_node_view *node, const cost_row *row) {
  double all = 0, most_in = 0, most_out = 0;
  for (int32_t i = 0; i < node->n_in; i++) {
    const double n = tct_tpu_registers(chip, node->in[i].shape);
    all += n;
    most_in = fmax(most_in, n);
  }
  for (int32_t i = 0; i < node->n_out; i++) most_out = fmax(most_out, tct_tpu_registers(chip, node->out[i].shape));
  const double registers = row->counted == ALL ? all : row->counted == IN ? most_in : most_out;
  return registers * (row->number == TCT_OP_chain ? chain_operations(node) : row->operations);
}

static void lower_vector(const tct_chip *chip, const tct_node_view *node, double operations, tpu_list *out) {
  tct_tpu_emit_vector(out, chip, node, operations);
  const double stored = tct_tpu_written(chip, node);
  tct_chip_vector(chip, operations, tct_tpu_bytes(chip, node) - stored, stored, &out->time);
}

/* ---- products ---- */

tct_op tct_tpu_activation(const tct_node_view *node, tct_unary_attrs *out_attrs) {
  const tct_matmul_attrs *matmul = node->attrs;
  const tct_conv2d_attrs *conv = node->attrs;
  if (node->attrs == NULL) return TCT_OP_NONE;
  const bool is_conv = strncmp(node->op_name, "conv2d", 6) == 0;
  *out_attrs = is_conv ? conv->activation_attrs : matmul->activation_attrs;
  return is_conv ? conv->activation : matmul->activation;
}

const char *tct_tpu_op_name(tct_op op) {
  for (size_t i = 0; i < N_ROWS; i++) {
    if (rows[i].number == op) return rows[i].op;
  }
  return NULL;
}

/* Bias and activation, on a block of y before it is stored. */
static double epilogue_operations(const tct_chip *chip, const tct_node_view *node) {
  tct_unary_attrs attrs;
  const tct_op activation = tct_tpu_activation(node, &attrs);
  const double each = (node->n_in > 2 ? 1 : 0) + (activation != TCT_OP_NONE ? operations_of(activation) : 0);
  return each > 0 ? each * tct_tpu_registers(chip, node->out[0].shape) : 0;
}

/* A depthwise or grouped convolution on the vector unit: a product and a sum for each tap of each pixel of y. */
static double grouped_operations(const tct_chip *chip, const tct_node_view *node) {
  if (strncmp(node->op_name, "conv2d", 6) != 0) return 0;
  const tct_conv2d_attrs *a = node->attrs;
  const tct_shape *y = strcmp(node->op_name, "conv2d") == 0 ? &node->out[0].shape
                       : strcmp(node->op_name, "conv2d_grad_input") == 0 ? &node->in[0].shape : &node->in[1].shape;
  return a->groups <= 1 ? 0 : 2 * (double)(a->w_shape[0] * a->w_shape[1] * a->w_shape[2]) * tct_tpu_registers(chip, *y);
}

/* The node's product and its tiling, in the cheaper of its shapes. */
static tct_status find_product(const tct_chip *chip, const tct_node_view *node, bool folded, tpu_list_product *out) {
  tpu_map map;
  tct_tpu_map(node, folded, &map);
  *out = (tpu_list_product){.extents = map.extents};
  tct_product *const e = &out->extents;
  e->x_bytes = tct_chip_bytes(chip, &node->in[0]);
  e->w_bytes = tct_chip_bytes(chip, &node->in[1]);
  e->y_bytes = tct_chip_bytes(chip, &node->out[0]);
  e->operations = epilogue_operations(chip, node);
  /* Whole numbers as they are; floats of a quantized chip, whose weights lie in memory as they are multiplied. */
  e->int8 = node->in[0].dtype == TCT_I8 || chip->quantized != 0;
  if (e->int8) {
    const tct_desc weights = {TCT_I8, node->in[1].shape};
    e->w_bytes = tct_chip_bytes(chip, &weights);
  }
  /* Numbers of 16 bits are one bf16 piece each: there is nothing more to pass. */
  if (tct_dtype_bytes(node->in[0].dtype) == 2 && tct_dtype_bytes(node->in[1].dtype) == 2) e->passes = 1;
  const bool empty = e->m == 0 || e->k == 0 || e->n == 0 || e->taps == 0 || e->batch == 0;
  return empty ? TCT_OK : tct_chip_product(chip, e, &out->tiling);
}

static tct_status lower_array(const tct_chip *chip, const tct_node_view *node, uint32_t rounded, tpu_list *out) {
  tpu_list_product *p = &out->product[0], other;
  tct_status status = find_product(chip, node, false, p);
  if (status != TCT_OK) return status;
  if (p->tiling.total == 0) {
    lower_vector(chip, node, 0, out); /* an empty product, or a sum of nothing */
    return TCT_OK;
  }
  if (tct_tpu_folds(node)) {
    status = find_product(chip, node, true, &other);
    if (status != TCT_OK) return status;
    out->folded = other.tiling.total < p->tiling.total;
    if (out->folded) *p = other;
  }
  const double grouped = grouped_operations(chip, node);
  if (grouped > 0) {
    lower_vector(chip, node, grouped + p->extents.operations, out);
    if (out->time.total < p->tiling.total) return TCT_OK;
    out->n = 0;
  }
  out->n_products = 1;
  out->rounded = rounded;
  out->time = p->tiling;
  tct_tpu_emit_product(out, chip, 0);
  tct_tpu_emit(out, (tpu_instruction){.code = TPU_FENCE, .product = -1});
  return TCT_OK;
}

tct_status tct_tpu_lower(const tct_chip *chip, const tct_node_view *node, tpu_list *out) {
  *out = (tpu_list){.n = 0};
  const cost_row *row = find_row(node->op_name);
  if (row->kind == ARRAY) return lower_array(chip, node, row->rounded, out);
  if (row->kind == COMPOSITE) return tct_tpu_lower_composite(chip, node, out);
  lower_vector(chip, node, vector_operations(chip, node, row), out);
  return TCT_OK;
}
