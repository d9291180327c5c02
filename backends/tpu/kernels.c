/* The CPU's kernels with a TPU's numbers and clock: operands of products are rounded to bf16 (to nearest, ties to even)
 * before they meet, sums are f32 as they were, and every launch adds its modelled time. Which time that is, is known when the
 * step is prepared: shapes are static. */
#include <string.h>

#include "backends/tpu/device.h"

#define ALIGN ((size_t)64)
#define MOST_INPUTS 8 /* of an op that has products */

typedef struct tpu_step {
  const tct_kernel *under; /* the CPU's; process lifetime */
  void *state;             /* its own */
  size_t rounded_at[MOST_INPUTS]; /* operands' copies in the workspace */
  size_t elements[MOST_INPUTS];   /* 0: not rounded */
  bool rounds;
  tct_chip_time time;
  double joules;
} tpu_step;

const tct_backend *tct_tpu_arithmetic;

/* The CPU's kernel for the node: the first of its op that supports it. */
static const tct_kernel *kernel_under(const tct_backend *inner, const tct_node_view *node, char *why, size_t why_bytes) {
  for (size_t k = 0; k < inner->n_kernels; k++) {
    const tct_kernel *kernel = &inner->kernels[k];
    if (strcmp(kernel->op, node->op_name) != 0) continue;
    if (kernel->supports == NULL || kernel->supports(node, why, why_bytes)) return kernel;
  }
  return NULL;
}

static size_t elements_of(const tct_shape *shape) {
  size_t n = 1;
  for (int32_t i = 0; i < shape->rank; i++) n *= (size_t)shape->dim[i];
  return n;
}

/* f32 → bf16 → f32. A NaN stays one: its quiet bit is set, for the rounding could carry it to infinity. */
static void round_to_bf16(const uint32_t *restrict from, uint32_t *restrict to, size_t n) {
  for (size_t i = 0; i < n; i++) {
    const uint32_t bits = from[i];
    const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) & 0xffff0000u;
    const uint32_t nan = (bits | 0x00400000u) & 0xffff0000u;
    to[i] = (bits & 0x7fffffffu) > 0x7f800000u ? nan : rounded;
  }
}

static tct_status prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  char why[256];
  const tct_kernel *under = kernel_under(device->inner, node, why, sizeof why);
  tct_chip_time time;
  tct_status status = tct_tpu_time(&device->chip, node, &time);
  if (status != TCT_OK) return status;
  tct_prepared prepared = {.kernel = under};
  if (under->prepare != NULL) status = under->prepare(device->impl, node, &prepared);
  if (status != TCT_OK) return status;
  tpu_step *step = device->host->alloc(sizeof *step, ALIGN);
  if (step == NULL) {
    if (under->release != NULL) under->release(device->impl, prepared.state);
    return TCT_OUT_OF_MEMORY;
  }
  *step = (tpu_step){.under = under, .state = prepared.state, .time = time, .joules = tct_chip_energy(&device->chip, &time)};
  size_t bytes = prepared.workspace_bytes;
  const uint32_t rounded = tct_tpu_rounded(node);
  for (int32_t i = 0; i < node->n_in && i < MOST_INPUTS; i++) {
    if ((rounded >> i & 1) == 0 || node->in[i].dtype != TCT_F32 || device->chip.passes > 1) continue;
    step->elements[i] = elements_of(&node->in[i].shape);
    step->rounds = true;
    step->rounded_at[i] = (bytes + ALIGN - 1) & ~(ALIGN - 1);
    bytes = step->rounded_at[i] + step->elements[i] * sizeof(float);
  }
  out->state = step;
  out->workspace_bytes = bytes;
  return TCT_OK;
}

static void count(tct_device_impl *device, const tpu_step *step) {
  tpu_totals *t = &device->totals;
  t->cycles += step->time.total;
  t->useful += step->time.useful;
  t->padding += step->time.padding;
  t->shift += step->time.shift;
  t->vector += step->time.vector;
  t->memory += step->time.memory;
  t->skew += step->time.skew;
  t->hbm_bytes += step->time.hbm_bytes;
  t->macs += step->time.macs;
  t->joules += step->joules;
}

static tct_status launch(tct_device_impl *device, const tct_launch *given) {
  const tpu_step *step = given->state;
  void *in[MOST_INPUTS];
  tct_launch inside = *given;
  inside.state = step->state;
  if (step->rounds) {
    for (int32_t i = 0; i < given->node->n_in; i++) {
      in[i] = given->in[i];
      if (step->elements[i] == 0) continue;
      in[i] = (char *)given->workspace + step->rounded_at[i];
      round_to_bf16(given->in[i], in[i], step->elements[i]);
    }
    inside.in = in;
  }
  count(device, step);
  return step->under->launch(device->impl, &inside);
}

static void release(tct_device_impl *device, void *state) {
  const tpu_step *step = state;
  if (step == NULL) return;
  if (step->under->release != NULL) step->under->release(device->impl, step->state);
  device->host->release(state);
}

/* What the chip accepts and the CPU can compute. */
static bool supports(const tct_node_view *node, char *why, size_t why_bytes) {
  if (!tct_tpu_accepts(node, why, why_bytes)) return false;
  return kernel_under(tct_tpu_arithmetic, node, why, why_bytes) != NULL;
}

static bool seen_before(const tct_kernel *kernels, size_t k) {
  for (size_t i = 0; i < k; i++) {
    if (strcmp(kernels[i].op, kernels[k].op) == 0) return true;
  }
  return false;
}

/* Every entry of the op writes in place. */
static bool all_in_place(const tct_backend *inner, const char *op) {
  for (size_t k = 0; k < inner->n_kernels; k++) {
    if (strcmp(inner->kernels[k].op, op) == 0 && !inner->kernels[k].in_place) return false;
  }
  return true;
}

tct_status tct_tpu_wrap_kernels(tct_device_impl *device) {
  const tct_backend *inner = device->inner;
  device->kernels = device->host->alloc((inner->n_kernels + 1) * sizeof *device->kernels, ALIGN);
  if (device->kernels == NULL) return TCT_OUT_OF_MEMORY;
  for (size_t k = 0; k < inner->n_kernels; k++) {
    if (seen_before(inner->kernels, k)) continue;
    const char *op = inner->kernels[k].op;
    device->kernels[device->n_kernels++] = (tct_kernel){
        .op = op, .name = op, .in_place = all_in_place(inner, op), .supports = supports, .prepare = prepare,
        .launch = launch, .release = release};
  }
  return TCT_OK;
}
