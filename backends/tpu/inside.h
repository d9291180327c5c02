/* What attention.c and recurrent.c, the numbers of composites, share: see inside.c. */
#ifndef TCT_BACKENDS_TPU_INSIDE_H
#define TCT_BACKENDS_TPU_INSIDE_H

#include "backends/tpu/device.h"

enum { TPU_MOST_OPERANDS = 10, TPU_MOST_ROOMS = 12 };

struct tpu_running;

/* A prepared composite. Offsets are into the workspace. */
struct tpu_inside {
  tct_status (*launch)(const struct tpu_running *run);
  tpu_multiply product[TPU_MOST_PRODUCTS];
  int32_t n_products;
  size_t wide_at[TPU_MOST_OPERANDS]; /* inputs, then outputs, of 16 bits: their f32 copies */
  size_t at[TPU_MOST_ROOMS];         /* the op's own buffers */
  size_t bytes, product_bytes;       /* of all buffers; behind them, of the products' scratch */
};

/* One launch, every float operand f32. */
typedef struct tpu_running {
  tct_device_impl *device;
  const tpu_inside *inside;
  const tct_node_view *node;
  void *in[TPU_MOST_OPERANDS], *out[3];
  char *workspace;
} tpu_running;

static inline float *tpu_at(const tpu_running *run, size_t at) { return (float *)(void *)(run->workspace + at); }
static inline float *tpu_room(const tpu_running *run, int32_t room) { return tpu_at(run, run->inside->at[room]); }

/* Room for so many floats behind what is there; returns where. */
size_t tct_tpu_room(tpu_inside *inside, size_t floats);
/* Appends a product. */
tct_status tct_tpu_inside_product(tct_device_impl *device, tpu_inside *inside, tpu_extents extents);
/* c = a·b by the number-th product; a and b are operands (tct_tpu_operand). */
static inline tct_status tpu_product(const tpu_running *run, int32_t number, float *a, float *b, float *c) {
  return tct_tpu_multiply(run->device, &run->inside->product[number], a, b, c, run->workspace + run->inside->bytes);
}

/* ---- attention.c, recurrent.c: each sets `launch`, the products and the rooms ---- */

tct_status tct_tpu_attention(tct_device_impl *device, const tct_node_view *node, tpu_inside *inside);
tct_status tct_tpu_attention_grad(tct_device_impl *device, const tct_node_view *node, tpu_inside *inside);
tct_status tct_tpu_recurrent(tct_device_impl *device, const tct_node_view *node, tpu_inside *inside);
tct_status tct_tpu_recurrent_grad(tct_device_impl *device, const tct_node_view *node, tpu_inside *inside);

#endif
