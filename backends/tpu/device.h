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

#define TPU_ALIGN ((size_t)64)
static inline size_t tpu_aligned(size_t bytes) { return (bytes + TPU_ALIGN - 1) & ~(TPU_ALIGN - 1); }
static inline size_t tpu_elements(const tct_shape *shape) {
  size_t n = 1;
  for (int32_t i = 0; i < shape->rank; i++) n *= (size_t)shape->dim[i];
  return n;
}

/* ---- under.c ---- */

/* One of the CPU's kernels, prepared for a node of our own. Points into itself: it stays where it is. */
typedef struct tpu_under {
  const tct_kernel *kernel; /* NULL: none */
  void *state;
  tct_node_view view;
  tct_desc in[2], out;
  union {
    tct_unary_attrs unary;
    tct_matmul_attrs matmul;
  } attrs;
} tpu_under;

/* The CPU's kernel for the node: the first of its op that supports it. NULL, with the reason: none. */
const tct_kernel *tct_tpu_kernel_under(const tct_backend *inner, const tct_node_view *node, char *why, size_t why_bytes);
/* Completes the view; in, out and attrs are set before or behind it. */
void tct_tpu_under_node(tpu_under *under, tct_op op, const char *name, int32_t n_in);
/* `bytes` of workspace become as many as it needs, if they are fewer. */
tct_status tct_tpu_under_prepare(tct_device_impl *device, tpu_under *under, size_t *bytes);
tct_status tct_tpu_under_launch(tct_device_impl *device, const tpu_under *under, void *const *in, void *const *out, void *workspace);
void tct_tpu_under_release(tct_device_impl *device, tpu_under *under);

/* ---- vector.c ---- */

/* n numbers of f32 rounded to bf16, or to int8 steps of their own scale, and stored in f32. */
void tct_tpu_round_bf16(const uint32_t *from, uint32_t *to, size_t n);
void tct_tpu_round_int8(const float *from, float *to, size_t n);
/* e^(x - shift), σ and tanh of n numbers; the first two in place. */
void tct_tpu_exp(float *x, float shift, size_t n);
void tct_tpu_sigmoid(float *x, size_t n);
void tct_tpu_tanh(const float *from, float *to, size_t n);

/* ---- multiply.c ---- */

/* n numbers as they meet in the arrays, stored in the type that they have: in bf16 places, on a quantized chip in steps of int8. */
void tct_tpu_round(const tct_chip *chip, tct_dtype dtype, const void *from, void *to, size_t n);
/* Whether the list's product runs on the machine, in the array's own sums. */
bool tct_tpu_machine_runs(const tct_chip *chip, const tct_node_view *node, const tpu_list *list);
/* The node's product without what is fused behind it; scratch of tct_tpu_machine_bytes. */
void tct_tpu_run_machine(const tct_chip *chip, const tpu_list *list, const tct_node_view *node, void *const *in, void *out, void *scratch);

/* A product c [m,n] = a [m,k]·b [k,n] of f32 that is no node. */
typedef struct tpu_multiply {
  tpu_under under; /* without a kernel the machine runs the list */
  tpu_list list;
} tpu_multiply;
typedef struct tpu_extents {
  int64_t m, k, n;
  bool transpose_a, transpose_b; /* a lies as [k,m], b as [n,k] */
} tpu_extents;
/* `bytes` as of tct_tpu_under_prepare. `to` is zeros, and is released as its `under`. */
tct_status tct_tpu_multiply_prepare(tct_device_impl *device, tpu_multiply *to, tpu_extents extents, size_t *bytes);
/* n numbers as an operand of such a product: rounded, but where the product does that itself. */
void tct_tpu_operand(const tct_chip *chip, const float *from, float *to, size_t n);
tct_status tct_tpu_multiply(tct_device_impl *device, const tpu_multiply *product, float *a, float *b, float *c, void *workspace);

/* ---- inside.c ---- */

typedef struct tpu_inside tpu_inside;
/* A composite's numbers; NULL for any other op. `bytes`: its workspace. */
tct_status tct_tpu_inside_prepare(tct_device_impl *device, const tct_node_view *node, tpu_inside **out, size_t *bytes);
tct_status tct_tpu_inside_launch(tct_device_impl *device, const tpu_inside *inside, const tct_launch *given);
void tct_tpu_inside_release(tct_device_impl *device, tpu_inside *inside);

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
