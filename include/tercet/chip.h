/* A modelled TPU chip: what it is made of (chips/NAME.yaml, each value with its source), and how long it takes for a matrix
 * product or for work of its vector unit. Times are modelled, never measured. Formulae: docs/tpu.md. */
#ifndef TERCET_CHIP_H
#define TERCET_CHIP_H

#include <tercet/types.h>

TCT_BEGIN_DECLS

/* Sums over the chip's cores, except where one array or vector unit is meant. */
typedef struct tct_chip {
  char name[32];
  int64_t year;
  int64_t cores;
  int64_t arrays;                 /* of each core */
  int64_t array_rows, array_cols; /* of one array */
  int64_t passes;                 /* of an f32 product: 1 rounds operands to bf16; 6 keep f32, at six times the work */
  double clock;                   /* Hz */
  double hbm, hbm_size;           /* bytes per second; bytes */
  double vmem;                    /* bytes of each core */
  int64_t lanes, sublanes, alus;  /* of each core's vector unit */
  double latency;                 /* seconds from asking HBM to the first byte */
  double overhead;                /* seconds that starting an op takes */
  double pcie;                    /* bytes per second from the host */
  double idle;                    /* watts */
  double mac, vmem_energy, hbm_energy; /* joules: one product and sum; a byte */
  double price;                   /* dollars per hour; 0: not rented out */
  uint64_t reserved[8];
} tct_chip;

/* "v3"; "chip.yaml"; either with overrides behind commas: "v3,array=256x256,hbm=1.2TB/s". Keys, units and ranges are those
 * of the chip files. Errors: TCT_NOT_FOUND for an unknown chip, with the known ones; TCT_INVALID for an unknown key or a
 * value out of its range, with the range. */
TCT_API tct_status tct_chip_open(const char *spec, tct_chip *out) TCT_CHECKED;
/* The names of the chips that are built in; NULL past the last. */
TCT_API const char *tct_chip_name(int32_t i);

/* Y [M,N] += X [M,K] · W [K,N], `taps` times over the same X and Y (the places of a convolution's window); the work of the
 * chip's passes is added. */
typedef struct tct_product {
  int64_t m, k, n;
  int64_t taps;                   /* 0: 1 */
  double x_bytes, w_bytes, y_bytes; /* of the whole operands in HBM, padding included */
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
  double macs;            /* issued, padding included */
  int64_t block_m, block_n, block_k; /* the tiling that was chosen; 0: none */
  bool swapped;           /* Yᵀ = Wᵀ·Xᵀ: X's tiles stay in the array */
} tct_chip_time;

/* Searches the tiling as a compiler would: k innermost, blocks that fit twice into 80 % of VMEM, the fewest cycles, then the
 * least HBM traffic. Errors: TCT_INVALID for an extent under 1. */
TCT_API tct_status tct_chip_product(const tct_chip *chip, const tct_product *product, tct_chip_time *out) TCT_CHECKED;
/* `operations` on vectors of sublanes×lanes elements, while `bytes` go to or come from HBM. */
TCT_API void tct_chip_vector(const tct_chip *chip, double operations, double bytes, tct_chip_time *out);
/* Bytes of a tensor in HBM: the last extent padded to the lanes, the one before it to the sublanes' tile of its type. */
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
