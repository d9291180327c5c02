/* The simulated TPU: a modelled chip beside the CPU device that does its arithmetic. */
#ifndef TCT_BACKENDS_TPU_DEVICE_H
#define TCT_BACKENDS_TPU_DEVICE_H

#include <tercet/backend.h>
#include <tercet/chip.h>
#include "backends/tpu/list.h"

#define TPU_MARKS 4096 /* tickets whose time is remembered */
#define TPU_PROGRAMS 1024 /* programs that are remembered as compiled */
#define TPU_MADE 4096  /* buffers whose time of writing is remembered; one that was forgotten is taken for new */

/* Sums since the device was opened, by the classes of tct_chip_time. */
typedef struct tpu_totals {
  double cycles, useful, padding, shift, vector, memory, skew;
  double infeed, outfeed, links, host; /* waiting for PCIe in and out, for the other chips, for ops on the host */
  double hbm_bytes, macs, joules, infeed_bytes, outfeed_bytes, link_bytes;
} tpu_totals;

typedef struct tpu_made {
  const void *buffer;
  double cycles;
} tpu_made;

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
  double marked[TPU_MARKS]; /* cycles of ops when a ticket was made */
  /* PCIe: one channel, two buffers: what a step reads is sent while the step before runs */
  bool uploaded;            /* since the last launch */
  double infeed_ready;      /* when the last upload has arrived */
  double step_began;        /* the last step that read an upload */
  double outfeed_ready;     /* when the last download has left */
  double outfeed_before;    /* when the last one had left that was asked for before that step */
  double links_free;
  tpu_made made[TPU_MADE];
  int64_t n_programs;       /* that ran */
  uint64_t program[TPU_PROGRAMS]; /* their fingerprints, the first ones */
};

/* The first `most` of n counters, as tct_backend's functions give them; returns how many. */
static inline int32_t tpu_give(const tct_counter *all, size_t n, tct_counter *out, int32_t most) {
  int32_t given = 0;
  for (; given < most && given < (int32_t)n; given++) out[given] = all[given];
  return given;
}

/* ---- kernels.c ---- */

/* The backend that computes, set when the first device is opened: a kernel's `supports` is asked without a device. */
extern const tct_backend *tct_tpu_arithmetic;
tct_status tct_tpu_wrap_kernels(tct_device_impl *device);
/* Waits for what is on the links: at a step's end. */
void tct_tpu_settle_links(tct_device_impl *device);
/* tct_backend's step_counters, step_listing and step_aside. */
int32_t tct_tpu_step_counters(tct_device_impl *device, const void *state, tct_counter *out, int32_t most);
void tct_tpu_step_listing(tct_device_impl *device, const void *state, tct_line_fn line, void *user);
int32_t tct_tpu_step_aside(tct_device_impl *device, const tct_node_view *node, double flops, double bytes, bool count,
                           tct_counter *out, int32_t most);

#endif
