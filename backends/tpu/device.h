/* The simulated TPU: a modelled chip beside the CPU device that does its arithmetic. */
#ifndef TCT_BACKENDS_TPU_DEVICE_H
#define TCT_BACKENDS_TPU_DEVICE_H

#include <tercet/backend.h>
#include <tercet/chip.h>

#define TPU_MARKS 4096 /* tickets whose time is remembered */

/* Sums since the device was opened, by the classes of tct_chip_time. */
typedef struct tpu_totals {
  double cycles, useful, padding, shift, vector, memory, skew;
  double hbm_bytes, macs, joules;
} tpu_totals;

struct tct_device_impl {
  const tct_host *host;
  tct_chip chip;
  const tct_backend *inner; /* the CPU backend; process lifetime */
  tct_device_impl *impl;    /* the CPU device; owned */
  tct_device_info info;
  tct_kernel *kernels;      /* [n_kernels] what the runtime sees, one for each op; owned */
  size_t n_kernels;
  double allocated;         /* bytes of HBM */
  tpu_totals totals;
  uint64_t marks;
  double marked[TPU_MARKS]; /* totals.cycles when a ticket was made */
};

/* ---- lower.c ---- */

/* Whether the chip has what the node needs; `why` says what it lacks. */
bool tct_tpu_accepts(const tct_node_view *node, char *why, size_t why_bytes);
/* Bit i: input i goes through the arrays and is rounded to bf16. */
uint32_t tct_tpu_rounded(const tct_node_view *node);
/* The inputs and outputs in HBM, padded; an update's states are written too. */
double tct_tpu_bytes(const tct_chip *chip, const tct_node_view *node);
/* The chip's time for the node. */
tct_status tct_tpu_time(const tct_chip *chip, const tct_node_view *node, tct_chip_time *out);

/* ---- composite.c ---- */

/* Attention and recurrent layers: the sum of their products and their vector work. */
tct_status tct_tpu_composite_time(const tct_chip *chip, const tct_node_view *node, tct_chip_time *out);

/* ---- kernels.c ---- */

/* The backend that computes, set when the first device is opened: a kernel's `supports` is asked without a device. */
extern const tct_backend *tct_tpu_arithmetic;
tct_status tct_tpu_wrap_kernels(tct_device_impl *device);

#endif
