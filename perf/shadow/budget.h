/* What an op may be off by, when two devices compute it from the same operands. For an element y of the result
 *
 *   allowed = (c + g(K)) · (u_a + u_b) · M  +  products  +  stored
 *
 * u_a, u_b  unit roundoff of the devices' arithmetic: 2^-24, of f64 2^-53
 * K         terms of the op's sums
 * M         the size of what is summed or goes in, at this element:
 *           SUM   (LINEAR, PRODUCT) the same op of the operands' absolute values. A sum of K rounded terms is off by at most K·u·M (Higham 2002,
 *                 section 4.2) and by λ√K·u·M all but surely (Higham & Mary 2019): g = min(K, λ√K), λ = 5; c = 2, the
 *                 product and the store
 *           ROW   |y| and the change of y with each operand, per unit of relative change: rounding the operands' influence is
 *                 what a backward stable formula does (Higham 2002, section 1.5). g = 0; c = 16: elementary functions keep to
 *                 4 u (fastmath.h), a row has up to three of them and their products
 *           CANCEL like ROW, and the size of the last operand, as what cancels is about 1 (1 + erf of gelu)
 *           UPDATE like ROW, but what gradient and learning rate change counts 1/(1 − β) times more: β is rounded to the type
 *                 as the operands are, and 1 − β is what multiplies these
 *           REST  (INSIDE) likewise, with the greatest influence on any element of the tensor, g = K (a sum of sizes is at most about √K
 *                 times what terms of either sign leave, and √K·√K = K), c = 16
 * products  where a device rounds operands of products to u_o (a TPU: bf16, 2^-8; in two pieces 2^-16): (2·u_o + u_o²)·M of a
 *           PRODUCT, which no rounding can pass; λ·u_o·M of an INSIDE
 * stored    a result in bf16 or f16 is rounded once more by each device: 2·u_s·|y|; and never less than the least normal
 *           number, below which devices flush to zero
 * EXACT allows nothing but that flush. */
#ifndef TERCET_PERF_BUDGET_H
#define TERCET_PERF_BUDGET_H

#include <tercet/backend.h>

typedef enum budget_kind {
  BUDGET_UNLISTED,
  BUDGET_EXACT,
  BUDGET_ROW,
  BUDGET_CANCEL,
  BUDGET_UPDATE,
  BUDGET_SUM,
  BUDGET_LINEAR,
  BUDGET_PRODUCT,
  BUDGET_REST,
  BUDGET_INSIDE
} budget_kind;

typedef struct budget {
  budget_kind kind;
  double length; /* K */
  double arithmetic; /* (c + g(K))·(u_a + u_b) */
  double products;   /* factor of M */
  double stored;     /* factor of |y| */
  double least;      /* whatever M is */
} budget;

/* The row's kind; elementwise rows and unknown ops as above. */
budget_kind budget_kind_of(const tct_node_view *node);
/* K of the node. */
double budget_length(const tct_node_view *node);
/* Of the node's results in `dtype`, on devices that round operands of products to u_o relative (0: they do not), both together. */
budget budget_of(const tct_node_view *node, tct_dtype dtype, double operand_roundoff);
double budget_allows(const budget *b, double y, double magnitude);
/* How often the influence of an operand counts in M. */
double budget_weight(const tct_node_view *node, int32_t operand);
bool budget_is_sum(budget_kind kind); /* SUM, LINEAR, PRODUCT */
bool budget_is_row(budget_kind kind); /* ROW, CANCEL, UPDATE */
/* u_o of a device with this chip (tct_device_info); NULL: it is no TPU, 0. */
double budget_operand_roundoff(const struct tct_chip *chip);

#endif
