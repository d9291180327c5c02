/* From a node to the chip's work: products go to the arrays with the extents of their implicit matrix product, all else
 * to the vector unit. Pure: shapes and attributes in, a time out. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "backends/tpu/device.h"

typedef enum cost_kind { ARRAY, VECTOR, COMPOSITE } cost_kind;
typedef enum counted { OUT, IN, ALL } counted;
typedef struct cost_row {
  const char *op;
  cost_kind kind;
  counted counted;
  double operations;
  uint32_t rounded;
} cost_row;

static const cost_row rows[] = {
#define UNARY(name, dtypes, text, forward, gradient, needs, flops) {#name, VECTOR, OUT, flops, 0}, {#name "_grad", VECTOR, OUT, flops, 0},
#define BINARY(name, dtypes, text, forward, flops) {#name, VECTOR, OUT, flops, 0},
#define COMPARE(name, text, condition) {#name, VECTOR, OUT, 1, 0},
#define LOGICAL(name, text, condition) {#name, VECTOR, OUT, 1, 0},
#define PREDICATE(name, dtypes, text, condition) {#name, VECTOR, OUT, 1, 0},
#include <tercet/elementwise.def>
#define COST(name, kind, counted, operations, rounded) {#name, kind, counted, operations, rounded},
#include "backends/tpu/costs.def"
#undef COST
    {"chain", VECTOR, OUT, 0, 0}}; /* the sum of its steps: vector_operations */

/* By op: a chain's steps are given as ops. */
static double elementwise_operations(tct_op op) {
  switch (op) {
#define UNARY(name, dtypes, text, forward, gradient, needs, flops) case TCT_OP_##name: case TCT_OP_##name##_grad: return flops;
#define BINARY(name, dtypes, text, forward, flops) case TCT_OP_##name: return flops;
#include <tercet/elementwise.def>
  default: return 1;
  }
}

static const cost_row *find_row(const char *op) {
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    if (strcmp(rows[i].op, op) == 0) return &rows[i];
  }
  return NULL;
}

static int64_t elements(const tct_shape *shape) {
  int64_t n = 1;
  for (int32_t i = 0; i < shape->rank; i++) n *= shape->dim[i];
  return n;
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

uint32_t tct_tpu_rounded(const tct_node_view *node) {
  const cost_row *row = find_row(node->op_name);
  return row != NULL ? row->rounded : 0;
}

/* ---- products ---- */

static int64_t divide_up(int64_t n, int64_t by) { return (n + by - 1) / by; }

/* a [.., m, k] · b [.., k, n]: a batch is so many products over the same array. */
static tct_product matmul_product(const tct_node_view *node) {
  const tct_matmul_attrs *attrs = node->attrs;
  const tct_shape *a = &node->in[0].shape, *y = &node->out[0].shape;
  const int64_t m = y->dim[y->rank - 2], n = y->dim[y->rank - 1];
  const int64_t k = a->dim[a->rank - (attrs != NULL && attrs->transpose_a ? 2 : 1)];
  return (tct_product){.m = m, .k = k, .n = n, .taps = m * n > 0 ? elements(y) / (m * n) : 1};
}

/* Implicit products, a tap for each place of the window; with c and f channels and filters of a group:
 *   forward        [N·P·Q, c] · [c, f]
 *   input gradient [N·H·W, f] · [f, c]; of a stride's window, each pixel meets one place in stride²
 *   filter gradient [R·S·c, N·P·Q] · [N·P·Q, f] */
static tct_product conv_product(const tct_node_view *node) {
  const tct_conv2d_attrs *a = node->attrs;
  const int64_t *x = a->x_shape, *w = a->w_shape;
  const int64_t c = w[2], f = w[3] / (a->groups > 0 ? a->groups : 1), window = w[0] * w[1];
  const bool filter = strcmp(node->op_name, "conv2d_grad_filter") == 0;
  const bool input = strcmp(node->op_name, "conv2d_grad_input") == 0;
  const tct_shape *y = filter ? &node->in[1].shape : input ? &node->in[0].shape : &node->out[0].shape;
  const int64_t pixels = y->dim[0] * y->dim[1] * y->dim[2];
  if (filter) return (tct_product){.m = window * c, .k = pixels, .n = f, .taps = a->groups};
  if (!input) return (tct_product){.m = pixels, .k = c, .n = f, .taps = window * a->groups};
  const int64_t met = divide_up(w[0], a->stride[0]) * divide_up(w[1], a->stride[1]);
  return (tct_product){.m = x[0] * x[1] * x[2], .k = f, .n = c, .taps = met * a->groups};
}

/* The vector unit's passes over one tensor: registers that it fills, padding included. */
static double registers_of(const tct_chip *chip, const tct_desc *desc) {
  const tct_desc wide = {TCT_F32, desc->shape}; /* narrower types are widened first */
  return tct_chip_bytes(chip, &wide) / 4 / (double)(chip->lanes * chip->sublanes);
}

double tct_tpu_bytes(const tct_chip *chip, const tct_node_view *node) {
  double bytes = 0;
  for (int32_t i = 0; i < node->n_in; i++) bytes += tct_chip_bytes(chip, &node->in[i]);
  for (int32_t i = 0; i < node->n_out; i++) bytes += tct_chip_bytes(chip, &node->out[i]);
  if (node->n_out > 0) return bytes;
  const tct_update_attrs *update = node->attrs; /* writes its states */
  for (int32_t i = 0; i < update->n_state; i++) bytes += tct_chip_bytes(chip, &node->in[i]);
  return bytes;
}

static double chain_operations(const tct_node_view *node) {
  const tct_chain_attrs *chain = node->attrs;
  double operations = 0;
  for (int32_t s = 0; s < chain->n_steps; s++) operations += elementwise_operations(chain->step[s].op);
  return operations;
}

static double vector_operations(const tct_chip *chip, const tct_node_view *node, const cost_row *row) {
  double all = 0, most_in = 0, most_out = 0;
  for (int32_t i = 0; i < node->n_in; i++) {
    const double n = registers_of(chip, &node->in[i]);
    all += n;
    most_in = fmax(most_in, n);
  }
  for (int32_t i = 0; i < node->n_out; i++) most_out = fmax(most_out, registers_of(chip, &node->out[i]));
  const double registers = row->counted == ALL ? all : row->counted == IN ? most_in : most_out;
  return registers * (strcmp(row->op, "chain") == 0 ? chain_operations(node) : row->operations);
}

/* A depthwise or grouped convolution: the array, group after group, or the vector unit, a product and a sum per tap. */
static void cheaper_on_vectors(const tct_chip *chip, const tct_node_view *node, tct_chip_time *time) {
  const tct_conv2d_attrs *a = node->attrs;
  if (strncmp(node->op_name, "conv2d", 6) != 0 || a->groups <= 1) return;
  const tct_shape out = {.rank = 4, .dim = {a->x_shape[0], a->x_shape[1], a->x_shape[2], a->w_shape[3]}};
  const double taps = (double)(a->w_shape[0] * a->w_shape[1] * a->w_shape[2]);
  tct_chip_time vector;
  tct_chip_vector(chip, 2 * taps * registers_of(chip, &(tct_desc){TCT_F32, out}), tct_tpu_bytes(chip, node), &vector);
  if (vector.total < time->total) *time = vector;
}

static tct_status array_time(const tct_chip *chip, const tct_node_view *node, tct_chip_time *out) {
  const bool conv = strncmp(node->op_name, "conv2d", 6) == 0;
  tct_product product = conv ? conv_product(node) : matmul_product(node);
  product.x_bytes = tct_chip_bytes(chip, &node->in[0]);
  product.w_bytes = tct_chip_bytes(chip, &node->in[1]);
  product.y_bytes = tct_chip_bytes(chip, &node->out[0]);
  if (product.m == 0 || product.k == 0 || product.n == 0 || product.taps == 0) {
    tct_chip_vector(chip, 0, tct_tpu_bytes(chip, node), out);
    return TCT_OK;
  }
  const tct_status status = tct_chip_product(chip, &product, out);
  if (status == TCT_OK) cheaper_on_vectors(chip, node, out);
  return status;
}

tct_status tct_tpu_time(const tct_chip *chip, const tct_node_view *node, tct_chip_time *out) {
  const cost_row *row = find_row(node->op_name);
  if (row->kind == ARRAY) return array_time(chip, node, out);
  if (row->kind == COMPOSITE) return tct_tpu_composite_time(chip, node, out);
  tct_chip_vector(chip, vector_operations(chip, node, row), tct_tpu_bytes(chip, node), out);
  return TCT_OK;
}
