/* The table of budgets, and the rules that it names. */
#include "perf/shadow/budget.h"

#include <float.h>
#include <math.h>
#include <tercet/chip.h>
#include "perf/shadow/values.h"

typedef double (*length_fn)(const tct_node_view *node);

static double size_of(const tct_desc *desc) {
  double n = 1;
  for (int32_t i = 0; i < desc->shape.rank; i++) n *= (double)desc->shape.dim[i];
  return n;
}

static double largest(const tct_desc *desc, int32_t n) {
  double most = 1;
  for (int32_t i = 0; i < n; i++) most = fmax(most, size_of(&desc[i]));
  return most;
}

/* ---- K ---- */

static double length_NONE(const tct_node_view *node) {
  (void)node;
  return 0;
}

static double length_INNER(const tct_node_view *node) {
  const tct_matmul_attrs *const attrs = node->attrs;
  const tct_shape *const a = &node->in[0].shape;
  return (double)a->dim[attrs->transpose_a ? a->rank - 2 : a->rank - 1];
}

static double length_TAPS(const tct_node_view *node) {
  const int64_t *const w = ((const tct_conv2d_attrs *)node->attrs)->w_shape;
  return (double)(w[0] * w[1] * w[2]);
}

static double length_TAPS_BACK(const tct_node_view *node) {
  const tct_conv2d_attrs *const attrs = node->attrs;
  const int64_t *const w = attrs->w_shape;
  return (double)(w[0] * w[1] * w[3]) / (double)(attrs->groups > 0 ? attrs->groups : 1);
}

static double length_PLACES(const tct_node_view *node) {
  const tct_shape *const dy = &node->in[1].shape;
  return (double)(dy->dim[0] * dy->dim[1] * dy->dim[2]);
}

static double length_WINDOW(const tct_node_view *node) {
  const tct_pool2d_attrs *const attrs = node->attrs;
  return (double)(attrs->window[0] * attrs->window[1]);
}

/* The largest operand's elements for each of the smallest result's. */
static double length_RATIO(const tct_node_view *node) {
  double least = INFINITY;
  for (int32_t i = 0; i < node->n_out; i++) least = fmin(least, fmax(size_of(&node->out[i]), 1));
  return largest(node->in, node->n_in) / least;
}

/* The greatest extent of any operand. */
static double length_AXIS(const tct_node_view *node) {
  double most = 1;
  for (int32_t i = 0; i < node->n_in; i++) {
    for (int32_t d = 0; d < node->in[i].shape.rank; d++) most = fmax(most, (double)node->in[i].shape.dim[d]);
  }
  return most;
}

static double length_ALL(const tct_node_view *node) {
  double sum = 0;
  for (int32_t i = 0; i < node->n_in; i++) sum += size_of(&node->in[i]);
  return sum;
}

/* ---- the table ---- */

typedef struct row {
  budget_kind kind;
  length_fn length;
} row;

static const row rows[TCT_N_OPS] = {
#define BUDGET(op, kind, length) [TCT_OP_##op] = {BUDGET_##kind, length_##length},
#include "perf/shadow/budgets.def"
#undef BUDGET
};

static const budget_kind elementwise[TCT_N_OPS] = {
#define UNARY(name, dtypes, text, forward, gradient, needs, flops)                                                     \
  [TCT_OP_##name] = BUDGET_ROW, [TCT_OP_##name##_grad] = BUDGET_ROW,
#define BINARY(name, dtypes, text, forward, flops) [TCT_OP_##name] = BUDGET_ROW,
#define COMPARE(name, text, condition) [TCT_OP_##name] = BUDGET_EXACT,
#define LOGICAL(name, text, condition) [TCT_OP_##name] = BUDGET_EXACT,
#define PREDICATE(name, dtypes, text, condition) [TCT_OP_##name] = BUDGET_EXACT,
#include <tercet/elementwise.def>
};

/* Ops that are not in this program's table (a program's own, a module's) are numbered behind it. */
static const row *row_of(const tct_node_view *node) { return node->op > TCT_OP_NONE && node->op < TCT_N_OPS ? &rows[node->op] : NULL; }

budget_kind budget_kind_of(const tct_node_view *node) {
  const row *const r = row_of(node);
  if (r == NULL) return BUDGET_REST;
  return r->kind != BUDGET_UNLISTED ? r->kind : elementwise[node->op];
}

double budget_length(const tct_node_view *node) {
  const row *const r = row_of(node);
  if (r == NULL) return length_AXIS(node);
  return r->length != NULL ? r->length(node) : 0;
}

/* ---- the budget ---- */

static double roundoff(tct_dtype dtype) { return dtype == TCT_F64 ? 0x1p-53 : 0x1p-24; }
static double storage_roundoff(tct_dtype dtype) { return dtype == TCT_BF16 ? 0x1p-8 : dtype == TCT_F16 ? 0x1p-11 : 0; }
static double least_normal(tct_dtype dtype) {
  return dtype == TCT_F64 ? DBL_MIN : dtype == TCT_F16 ? 0x1p-14 : values_are_float(dtype) ? (double)FLT_MIN : 0;
}

double budget_weight(const tct_node_view *node, int32_t operand) {
  if (budget_kind_of(node) != BUDGET_UPDATE) return 1;
  const tct_update_attrs *const attrs = node->attrs;
  const double beta = fmax(attrs->beta1, attrs->beta2);
  return operand >= attrs->n_state && beta > 0 && beta < 1 ? 1 + 1 / (1 - beta) : 1;
}

bool budget_is_sum(budget_kind kind) { return kind == BUDGET_SUM || kind == BUDGET_LINEAR || kind == BUDGET_PRODUCT; }

bool budget_is_row(budget_kind kind) { return kind == BUDGET_ROW || kind == BUDGET_CANCEL || kind == BUDGET_UPDATE; }

budget budget_of(const tct_node_view *node, tct_dtype dtype, double operand_roundoff) {
  static const double lambda = 5; /* Higham & Mary 2019 */
  budget b = {.kind = budget_kind_of(node), .length = budget_length(node), .least = least_normal(dtype)};
  if (!values_are_float(dtype) || b.kind == BUDGET_EXACT || b.kind == BUDGET_UNLISTED) {
    b.kind = BUDGET_EXACT;
    return b;
  }
  const double u = 2 * roundoff(dtype), sum = fmin(b.length, lambda * sqrt(b.length));
  b.arithmetic = u * (budget_is_sum(b.kind) ? 2 + sum : budget_is_row(b.kind) ? 16 : 16 + b.length);
  if (b.kind == BUDGET_PRODUCT) b.products = 2 * operand_roundoff + operand_roundoff * operand_roundoff;
  else if (b.kind == BUDGET_INSIDE) b.products = lambda * operand_roundoff;
  b.stored = 2 * storage_roundoff(dtype);
  return b;
}

double budget_allows(const budget *b, double y, double magnitude) {
  return (b->arithmetic + b->products) * magnitude + b->stored * fabs(y) + b->least;
}

double budget_operand_roundoff(const struct tct_chip *chip) {
  if (chip == NULL) return 0;
  return chip->quantized != 0 ? 0x1p-7 : chip->passes >= 6 ? 0x1p-24 : chip->passes >= 3 ? 0x1p-16 : 0x1p-8;
}
