/* What a node becomes on the chip: a short list of instructions. The lowering (lower.c, products.c, composite.c) writes it, the
 * clock is summed beside it, listing.c prints it, and machine.c executes it on real numbers. Nothing here knows an op's name.
 *
 * Blocks are addressed by the loops around them: batch b, rows m, columns n, and k, the innermost. */
#ifndef TCT_BACKENDS_TPU_LIST_H
#define TCT_BACKENDS_TPU_LIST_H

#include <tercet/backend.h>
#include <tercet/chip.h>

typedef enum tpu_code {
  TPU_LOOP,       /* repeats what follows, to its END, `count` times over the axis `operand` (b, m, n, k; s: a step of a sequence) */
  TPU_END,
  TPU_LOAD,       /* HBM → VMEM: `amount` bytes of `operand` (x, w: a block; i: every input) */
  TPU_PRELOAD,    /* VMEM → array: `count` tiles of w, hidden behind the tile before where its rows suffice */
  TPU_MATMUL,     /* `count` tiles, `rows` rows through each (of results: so many steps into each); products are added to the block of y */
  TPU_VECTOR,     /* `amount` operations on vector registers */
  TPU_STORE,      /* VMEM → HBM: `amount` bytes of `operand` (y: a block; o: every output) */
  TPU_ALL_REDUCE, /* `amount` bytes over the links */
  TPU_INFEED,     /* host → HBM: `amount` bytes over PCIe */
  TPU_OUTFEED,    /* HBM → host */
  TPU_FENCE,      /* waits for all of the above */
} tpu_code;

typedef struct tpu_instruction {
  tpu_code code;
  char operand;
  int32_t product; /* index in tpu_list.product, −1: none */
  int64_t count, rows;
  double amount;
} tpu_instruction;

/* How the operands of a product are found in dense tensors: the number of an element, −1 where there is none and zero
 * streams (a convolution's border). `user` is the map's own. */
typedef struct tpu_map {
  int64_t (*x)(const struct tpu_map *map, int64_t batch, int64_t tap, int64_t row, int64_t k);
  int64_t (*w)(const struct tpu_map *map, int64_t batch, int64_t tap, int64_t k, int64_t col);
  int64_t (*y)(const struct tpu_map *map, int64_t batch, int64_t row, int64_t col);
  const tct_node_view *node;
  tct_product extents;
  int64_t fold; /* places of a convolution's window that are channels, along each axis */
} tpu_map;

/* A product and its tiling. `resident`: its operands are in VMEM. */
typedef struct tpu_list_product {
  tct_product extents;
  tct_chip_time tiling;
  bool resident;
} tpu_list_product;

/* A product takes at most 15 instructions, what stands around them 6. */
enum { TPU_MOST_PRODUCTS = 5, TPU_MOST_INSTRUCTIONS = 15 * TPU_MOST_PRODUCTS + 6 };
typedef struct tpu_list {
  tpu_instruction at[TPU_MOST_INSTRUCTIONS];
  int32_t n;
  tpu_list_product product[TPU_MOST_PRODUCTS];
  int32_t n_products;
  bool folded;      /* the first product's map is */
  uint32_t rounded; /* bit i: input i goes through the arrays and is rounded to bf16, or to int8 */
  tct_chip_time time;
} tpu_list;

static inline int64_t tpu_divide_up(int64_t n, int64_t by) { return n / by + (n % by != 0); }
static inline int64_t tpu_passes(const tct_chip *chip, const tct_product *p) {
  return p->int8 ? 1 : p->passes > 0 ? p->passes : chip->passes;
}
/* Rows of weights in a tile. */
static inline int64_t tpu_deep(const tct_chip *chip, const tct_product *p) { return chip->array_rows * (p->int8 ? chip->int8 : 1); }
static inline int64_t tpu_smaller(int64_t a, int64_t b) { return a < b ? a : b; }

/* ---- lower.c ---- */

/* Whether the chip has what the node needs; `why` says what it lacks. */
bool tct_tpu_accepts(const tct_node_view *node, char *why, size_t why_bytes);
/* The activation that is fused into a product, TCT_OP_NONE: none. */
tct_op tct_tpu_activation(const tct_node_view *node, tct_unary_attrs *out_attrs);
const char *tct_tpu_op_name(tct_op op); /* of an elementwise op; NULL: unknown */
/* Pure: shapes and attributes in, a list with its time out. */
tct_status tct_tpu_lower(const tct_chip *chip, const tct_node_view *node, tpu_list *out);
/* The inputs and outputs in HBM, padded, as far as the op touches them; an update's states are written too. */
double tct_tpu_bytes(const tct_chip *chip, const tct_node_view *node);
/* Of these, what it writes. */
double tct_tpu_written(const tct_chip *chip, const tct_node_view *node);
/* Vector registers that a tensor fills, padding included. */
double tct_tpu_registers(const tct_chip *chip, tct_shape shape);
/* Appends; the tables are sized for the longest list that the lowering writes. */
void tct_tpu_emit(tpu_list *list, tpu_instruction instruction);
/* The loops over a product's blocks, with `operations` on the vector unit for all of y and the stores at the end. Its operands
 * come from HBM, or (resident) are in VMEM. The product's tiling must be there. */
void tct_tpu_emit_product(tpu_list *list, const tct_chip *chip, int32_t product);
/* Instructions of an op that only the vector unit works on. */
void tct_tpu_emit_vector(tpu_list *list, const tct_chip *chip, const tct_node_view *node, double operations);

/* ---- products.c ---- */

/* The product of a matmul or a convolution. `folded`: places of the window 2×2 at a time are channels (space-to-depth), of a
 * node that tct_tpu_folds. */
void tct_tpu_map(const tct_node_view *node, bool folded, tpu_map *out);
/* A forward convolution of an even stride, of one group: its image can be cut into 2×2 pixels beforehand. */
bool tct_tpu_folds(const tct_node_view *node);

/* ---- composite.c ---- */

/* Attention and recurrent layers: several products, and what lies between them. */
tct_status tct_tpu_lower_composite(const tct_chip *chip, const tct_node_view *node, tpu_list *out);

/* ---- listing.c ---- */

/* A line for each instruction, without a line feed. */
void tct_tpu_print(const tct_chip *chip, const tpu_list *list, void (*line)(void *user, const char *text), void *user);

/* The line of an INFEED or OUTFEED of what has this name. */
void tct_tpu_print_transfer(const tpu_instruction *instruction, const char *what, tct_line_fn line, void *user);

/* ---- machine.c ---- */

/* The element type of a tensor and where it lies. */
typedef struct tpu_tensor {
  void *data;
  tct_dtype dtype;
  float scale; /* of an f32 operand that is rounded to int8: what 1 stands for; NaN: its numbers are not finite */
} tpu_tensor;

/* The scale of n numbers: the largest is 127 steps. NaN where one is not finite, 0 where all are under 1e-30. */
float tct_tpu_scale(const float *data, size_t n);
/* The greatest bf16 number that f16 has: greater ones go to it, where bf16 would leave f16. */
#define TPU_MOST_F16 65280.0f
static inline float tpu_within_f16(float x) {
  const float most = TPU_MOST_F16;
  return x > most && x <= 65504.0f ? most : x < -most && x >= -65504.0f ? -most : x;
}
/* The nearest step, ties to even, as a number of steps. The scale is no NaN. */
static inline float tpu_steps(float value, float scale) {
  const float x = scale > 0 ? value / scale : 0;
  return (x + 0x1.8p23f) - 0x1.8p23f;
}

/* Bytes of scratch that the execution of the list's first product needs. */
size_t tct_tpu_machine_bytes(const tct_chip *chip, const tpu_list *list);
/* Executes the list's loops with the array's arithmetic: operands in steps of int8, summed in i32, or in bf16 pieces (1, 2 or 3 for 1, 3 or 6 passes), each weight
 * tile's products added row after row in f32, the tile's sum then added to y. What follows the product (VECTOR) is left
 * to the caller. `blocks`, if given, takes the load, compute and store cycles of each block, at most `most`; returns how many
 * blocks there were. */
int64_t tct_tpu_execute(const tct_chip *chip, const tpu_list *list, const tpu_map *map, tpu_tensor x, tpu_tensor w,
                        tpu_tensor y, void *scratch, tct_block *blocks, int64_t most);

#endif
