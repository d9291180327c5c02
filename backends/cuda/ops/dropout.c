/* Dropout: the mask is drawn where it is applied, from the element's number and the step, which is read on the device. */
#include "backends/cuda/ops/shape.h"

typedef struct dropout_state {
  tct_cu_dropout_args args;
  tct_cu_extent extent;
} dropout_state;

bool tct_cu_dropout_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  return tct_cu_floats(node, ~2u, why, why_bytes);
}

/* ⌈rate·2^24⌉, as on the CPU; the module links no libm. */
static uint32_t threshold_of(double rate) {
  const double exact = rate * 0x1p24;
  const uint32_t below = (uint32_t)exact;
  return below + ((double)below < exact);
}

tct_status tct_cu_dropout_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  const tct_dropout_attrs *const attrs = node->attrs;
  dropout_state *const state = tct_cu_state(device, sizeof *state);
  if (state == NULL) return TCT_OUT_OF_MEMORY;
  state->args = (tct_cu_dropout_args){.n = tct_cu_size(&node->out[0].shape),
                                      .seed = attrs->seed,
                                      .stream = attrs->stream,
                                      .threshold = threshold_of(attrs->rate),
                                      .factor = 1.0f / (1.0f - (float)attrs->rate)};
  state->extent = tct_cu_extent_over(device, state->args.n, TCT_CU_BLOCK, 4);
  *out = (tct_prepared){.state = state};
  return TCT_OK;
}

tct_status tct_cu_dropout_launch(tct_device_impl *device, const tct_launch *launch) {
  const dropout_state *const state = launch->state;
  tct_cu_dropout_args a = state->args;
  if (a.n == 0) return TCT_OK;
  a.x = tct_cu_tensor_of(&launch->node->in[0], launch->in[0]);
  a.y = tct_cu_tensor_of(&launch->node->out[0], launch->out[0]);
  a.step = launch->in[1];
  return tct_cu_launch(device, launch->node, TCT_CU_KERNEL_dropout, &state->extent, &a);
}
