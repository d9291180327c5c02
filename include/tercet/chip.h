/* A modelled TPU chip: what it is made of (chips/NAME.yaml, each value with its source), and how long it takes for a matrix
 * product or for work of its vector unit. Times are modelled, never measured. Formulae: docs/tpu.md. */
#ifndef TERCET_CHIP_H
#define TERCET_CHIP_H

#include <tercet/systolic.h>
#include <tercet/types.h>

TCT_BEGIN_DECLS

/* Which operand stays in the array is chosen for each product, W or X, whichever is faster. */
#define TCT_DATAFLOW_AUTO ((int64_t)-1)

/* Sums over the chip's cores, except where one array or vector unit is meant. */
typedef struct tct_chip {
  char name[32];
  int64_t year;
  int64_t cores;
  int64_t arrays;                 /* of each core */
  int64_t array_rows, array_cols; /* of one array */
  int64_t passes;                 /* of an f32 product: 1 rounds operands to bf16; 3 and 6 take them in pieces */
  int64_t array_order;            /* 1: sums in the array's order, slowly; 0: in the CPU's */
  int64_t int8;                   /* products of int8 that an element makes in a cycle; 0: none */
  int64_t quantized;              /* 1: f32 operands of products are rounded to int8, each tensor by its own scale: no training */
  double clock;                   /* Hz */
  double hbm, hbm_size;           /* bytes per second; bytes */
  double vmem;                    /* bytes of each core */
  int64_t weight_fifo;            /* tiles of weights that wait for the array; 0: weights share HBM with all else. Otherwise `hbm` is
                                     the memory of weights alone, and activations stay in `vmem`, a byte each */
  int64_t accumulators;           /* rows of sums behind an array that is fed so, in two halves */
  int64_t lanes, sublanes, alus;  /* of each core's vector unit */
  double latency;                 /* seconds from asking HBM to the first byte */
  double overhead;                /* seconds that starting an op takes */
  double pcie;                    /* bytes per second from the host */
  double host_flops, host_memory; /* flop/s and bytes per second of the host, for ops that run there */
  double host_sync;               /* seconds to stop the chip for the host, and to start it again */
  int64_t chips;                  /* that train together, each on its own batch */
  int64_t axes, wrap;             /* of their torus; an axis closes to a ring if its extent is a multiple of `wrap` */
  double ici, hop;                /* bytes per second of one link in one direction; seconds to a neighbour */
  double idle;                    /* watts */
  double mac, mac_int8;           /* joules of one product and sum */
  double vmem_energy, hbm_energy, ici_energy; /* joules of a byte */
  double price;                   /* dollars per hour; 0: not rented out */
  int64_t dataflow;               /* what stays in the array: TCT_DATAFLOW_AUTO, or a tct_dataflow: W, Y or X */
  double compile;                 /* seconds to compile a program for a new shape */
  int64_t channels;               /* 1: loads from HBM and stores to it share one; 2: each has its own, of `hbm` bytes per second */
} tct_chip;

/* "v3"; "chip.yaml" (a name that ends in .yaml or .yml, or has a '/', is a file's); either with overrides behind commas: "v3,array=256x256,hbm=1.2TB/s". Keys, units and ranges are those
 * of the chip files. Errors: TCT_NOT_FOUND for an unknown chip, with the known ones; TCT_INVALID for an unknown key or a
 * value out of its range, with the range. */
TCT_API tct_status tct_chip_open(const char *spec, tct_chip *out) TCT_CHECKED;
/* The names of the chips that are built in; NULL past the last. */
TCT_API const char *tct_chip_name(int32_t i);

/* Y [M,N] = Σ X [M,K] · W [K,N] over `taps` (the places of a convolution's window: X and Y are the same, W differs), and so
 * for each of a batch. The work of the passes is added. No extent is over 2^40, nor their product with passes and arrays
 * over 2^62. */
typedef struct tct_product {
  int64_t m, k, n;
  int64_t taps;                     /* 0: 1 */
  int64_t batch;                    /* 0: 1 */
  int64_t passes;                   /* 0: the chip's; 1 where the operands are bf16 already */
  double x_bytes, w_bytes, y_bytes; /* of the whole operands in HBM, padding included */
  int64_t x_copies, w_copies;       /* how many matrices of the batch differ; 0: all. 1: one serves the whole batch */
  int64_t x_rows;                   /* how many of X's rows differ (a convolution's rows are its image, place after place); 0: all */
  double useful;                    /* products that the result needs; 0: all. The others count as padding */
  double operations;                /* of the vector unit on the whole of Y before it is stored (bias, activation) */
  bool int8;                        /* operands are int8, sums i32; an array of `int8` products for each element has tiles of so
                                       many times its rows. One pass */
} tct_product;

/* Where the cycles of an op go; the classes exclude each other and sum to `total`. */
typedef struct tct_chip_time {
  double total;
  double useful, padding; /* the arrays work: on the product, and on the padding of their tiles */
  double shift;           /* weights shift in and nothing hides it */
  double vector;          /* the vector unit works */
  double memory;          /* waiting for HBM */
  double skew;            /* filling and draining the arrays, and the op's start */
  double hbm_bytes, vmem_bytes;
  double macs, macs_int8; /* issued, padding included; those of int8 among them */
  int64_t block_m, block_n, block_k; /* the tiling that was chosen; 0: none */
  int64_t block_batch;    /* so many products of the batch in a block */
  int64_t split;          /* so many arrays share the rows that meet a tile */
  bool swapped;           /* Yᵀ = Wᵀ·Xᵀ: X's tiles stay in the array */
  bool outputs_stay;      /* Y's tiles stay; steps of the inner axis stream */
  bool x_held, w_held;    /* what streams, what stays: loaded once, for it is one block and serves the whole batch */
  double x_load, w_load, y_store; /* bytes of a block of each, on average */
} tct_chip_time;

/* Of VMEM, what a product's blocks may take, each twice. */
#define TCT_CHIP_VMEM_SHARE 0.8
/* Searches the tiling as a compiler would: k innermost, blocks that fit twice into 80 % of VMEM, the fewest cycles, then the
 * least HBM traffic. The vector unit's work on a block of Y follows the arrays'; it is not hidden behind the next block.
 * A chip with a weight FIFO takes tile after tile as they come from the memory of weights, for blocks of half the accumulators'
 * rows; a tile that comes late is shifted in where nothing hides it.
 * Errors: TCT_INVALID for an extent under 1 or too large, for passes other than 0, 1, 3 and 6, and where not even one tile fits into VMEM;
 * TCT_UNSUPPORTED for int8 on a chip without; TCT_OUT_OF_MEMORY where the buffer beside a weight FIFO is too small. */
TCT_API tct_status tct_chip_product(const tct_chip *chip, const tct_product *product, tct_chip_time *out) TCT_CHECKED;
/* `operations` on vectors of sublanes×lanes elements, while `loaded` bytes come from HBM and `stored` go there. */
TCT_API void tct_chip_vector(const tct_chip *chip, double operations, double loaded, double stored, tct_chip_time *out);
/* Cycles to sum `bytes` of gradients over all chips and give each the result: reduce-scatter and all-gather on every axis of
 * the torus at once, 2·max(V·(1 − 1/n) / bandwidth, hop·Σ ⌊nᵢ/2⌋), the bandwidth two directions on each axis of more than one
 * chip, half of it on an axis that is no ring (JAX scaling book, "TPUs"). 0 for one chip. */
TCT_API double tct_chip_all_reduce(const tct_chip *chip, double bytes);
/* Bytes of a tensor in HBM: one axis padded to the lanes, another to the sublanes' tile of its type, those that waste least; a vector
 * to whole tiles. A byte for each element on a chip with a weight FIFO. */
TCT_API double tct_chip_bytes(const tct_chip *chip, const tct_desc *desc);
/* Joules of an op, the idle power for its time included. */
TCT_API double tct_chip_energy(const tct_chip *chip, const tct_chip_time *time);

/* The cycles of a pipeline of n blocks with two buffers: block i is loaded when buffer i − 2 is free, computed when it is
 * there (and the result buffer i − 2 is stored), then stored. Loads and stores share one channel if `shared`: each waits
 * for what was asked for before it. */
typedef struct tct_block {
  double load, compute, store; /* cycles */
} tct_block;
TCT_API double tct_chip_pipeline(const tct_block *blocks, int64_t n, bool shared);

TCT_END_DECLS
#endif
