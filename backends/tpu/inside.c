/* The numbers of ops that are several products (attention and recurrent layers, forward and backward): each product goes the way of
 * a matmul (multiply.c), with its operands rounded as the arrays take them, also where one is made inside of the op: attention's weights,
 * the hidden state, gradients on their way. What lies between the products is f32, the vector unit's. The formulas are those of
 * kernels/ref; attention.c and recurrent.c write them as products and loops. Their clock is composite.c's: the op as a whole,
 * with all that lies inside of it in VMEM.
 *
 * Here: which op is whose, and operands of 16 bits, which are widened on the way in and rounded once on the way out. */
#include "backends/tpu/inside.h"

#include <string.h>

#include "kernels/common/half.h"

static const struct {
  const char *op;
  tct_status (*prepare)(tct_device_impl *device, const tct_node_view *node, tpu_inside *inside);
} ops[] = {{"attention", tct_tpu_attention},
           {"attention_grad", tct_tpu_attention_grad},
           {"lstm", tct_tpu_recurrent},
           {"gru", tct_tpu_recurrent},
           {"lstm_grad", tct_tpu_recurrent_grad},
           {"gru_grad", tct_tpu_recurrent_grad}};

size_t tct_tpu_room(tpu_inside *inside, size_t floats) {
  const size_t at = inside->bytes;
  inside->bytes = tpu_aligned(at + floats * sizeof(float));
  return at;
}

static bool is_narrow(tct_dtype dtype) { return dtype == TCT_BF16 || dtype == TCT_F16; }

tct_status tct_tpu_inside_prepare(tct_device_impl *device, const tct_node_view *node, tpu_inside **out, size_t *bytes) {
  *out = NULL;
  size_t i = 0;
  while (i < sizeof ops / sizeof ops[0] && strcmp(ops[i].op, node->op_name) != 0) i++;
  if (i == sizeof ops / sizeof ops[0]) return TCT_OK;
  tpu_inside *inside = device->host->alloc(sizeof *inside, TPU_ALIGN);
  if (inside == NULL) return TCT_OUT_OF_MEMORY;
  *inside = (tpu_inside){.n_products = 0};
  for (int32_t o = 0; o < node->n_in + node->n_out; o++) {
    const tct_desc *d = o < node->n_in ? &node->in[o] : &node->out[o - node->n_in];
    if (is_narrow(d->dtype)) inside->wide_at[o] = tct_tpu_room(inside, tpu_elements(&d->shape));
  }
  const tct_status status = ops[i].prepare(device, node, inside);
  if (status != TCT_OK) {
    tct_tpu_inside_release(device, inside);
    return status;
  }
  *bytes = inside->bytes + inside->product_bytes;
  *out = inside;
  return TCT_OK;
}

tct_status tct_tpu_inside_product(tct_device_impl *device, tpu_inside *inside, tpu_extents extents) {
  return tct_tpu_multiply_prepare(device, &inside->product[inside->n_products++], extents, &inside->product_bytes);
}

void tct_tpu_inside_release(tct_device_impl *device, tpu_inside *inside) {
  if (inside == NULL) return;
  for (int32_t i = 0; i < inside->n_products; i++) tct_tpu_under_release(device, &inside->product[i].under);
  device->host->release(inside);
}

static void widen(tct_dtype dtype, const uint16_t *from, float *to, size_t n) {
  for (size_t i = 0; i < n; i++) to[i] = dtype == TCT_BF16 ? tct_bf16_to_f32(from[i]) : tct_f16_to_f32(from[i]);
}

static void narrow(tct_dtype dtype, const float *from, uint16_t *to, size_t n) {
  for (size_t i = 0; i < n; i++) to[i] = dtype == TCT_BF16 ? tct_bf16_from_f32(from[i]) : tct_f16_from_f32(from[i]);
}

tct_status tct_tpu_inside_launch(tct_device_impl *device, const tpu_inside *inside, const tct_launch *given) {
  const tct_node_view *node = given->node;
  tpu_running run = {.device = device, .inside = inside, .node = node, .workspace = given->workspace};
  for (int32_t i = 0; i < node->n_in; i++) {
    run.in[i] = given->in[i];
    if (!is_narrow(node->in[i].dtype)) continue;
    run.in[i] = tpu_at(&run, inside->wide_at[i]);
    widen(node->in[i].dtype, given->in[i], run.in[i], tpu_elements(&node->in[i].shape));
  }
  for (int32_t o = 0; o < node->n_out; o++)
    run.out[o] = is_narrow(node->out[o].dtype) ? tpu_at(&run, inside->wide_at[node->n_in + o]) : given->out[o];
  const tct_status status = inside->launch(&run);
  for (int32_t o = 0; o < node->n_out && status == TCT_OK; o++) {
    const tct_desc *d = &node->out[o];
    if (is_narrow(d->dtype)) narrow(d->dtype, run.out[o], given->out[o], tpu_elements(&d->shape));
  }
  return status;
}
