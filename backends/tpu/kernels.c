/* The CPU's kernels with a TPU's numbers and clock: operands of products are rounded to bf16 (to nearest, ties to even), on a
 * quantized chip to int8, before they meet, sums are f32 as they were, and every launch adds its modelled time. Which time that is, is known when the
 * step is prepared: shapes are static. Where the chip's description asks for the array's own sums (array_order) or for
 * three passes, products run on the machine instead, and only what follows them on the CPU's kernels. Ops of several products are opened for
 * their numbers: inside.c. */
#include <stdio.h>
#include <string.h>

#include "backends/tpu/device.h"

#define MOST_INPUTS 8 /* of an op that has products */

typedef struct tpu_step {
  const tct_kernel *under; /* the CPU's; process lifetime. NULL: `inside` or the machine */
  void *state;             /* its own */
  size_t rounded_at[MOST_INPUTS]; /* operands' copies in the workspace */
  size_t elements[MOST_INPUTS];   /* 0: not rounded */
  bool rounds;
  tpu_inside *inside;      /* of a composite: its numbers; owned */
  tpu_under bias, activation; /* behind the machine's product */
  size_t after_at;         /* their workspace, behind the machine's */
  int32_t gradient;        /* of an update: the input that all chips sum; −1: none */
  double all_reduce;       /* cycles on the links */
  double link_bytes;
  double joules;
  tpu_list list;
} tpu_step;

const tct_backend *tct_tpu_arithmetic;

/* ---- preparing ---- */

/* Every entry of the op writes in place. */
static bool all_in_place(const tct_backend *inner, const char *op) {
  for (size_t k = 0; k < inner->n_kernels; k++) {
    if (strcmp(inner->kernels[k].op, op) == 0 && !inner->kernels[k].in_place) return false;
  }
  return true;
}

/* What the CPU's kernel would have fused: y + bias, then the activation, each in place. */
static tct_status prepare_epilogue(tct_device_impl *device, const tct_node_view *node, tpu_step *step, size_t *bytes) {
  size_t after = 0;
  tct_status status = TCT_OK;
  if (node->n_in > 2) {
    step->bias.in[0] = step->bias.out = node->out[0];
    step->bias.in[1] = node->in[2];
    tct_tpu_under_node(&step->bias, TCT_OP_add, "add", 2);
    status = tct_tpu_under_prepare(device, &step->bias, &after);
  }
  const tct_op activation = tct_tpu_activation(node, &step->activation.attrs.unary);
  if (status == TCT_OK && activation != TCT_OP_NONE) {
    step->activation.in[0] = step->activation.out = node->out[0];
    tct_tpu_under_node(&step->activation, activation, tct_tpu_op_name(activation), 1);
    status = tct_tpu_under_prepare(device, &step->activation, &after);
  }
  step->after_at = tpu_aligned(tct_tpu_machine_bytes(&device->chip, &step->list));
  *bytes = step->after_at + after;
  return status;
}

static tct_status prepare_under(tct_device_impl *device, const tct_node_view *node, tpu_step *step, size_t *bytes) {
  char why[256];
  tct_prepared prepared = {.kernel = tct_tpu_kernel_under(device->inner, node, why, sizeof why)};
  step->under = prepared.kernel;
  const tct_status status = step->under->prepare != NULL ? step->under->prepare(device->impl, node, &prepared) : TCT_OK;
  if (status != TCT_OK) return status;
  step->state = prepared.state;
  *bytes = prepared.workspace_bytes;
  for (int32_t i = 0; i < node->n_in && i < MOST_INPUTS; i++) {
    if ((step->list.rounded >> i & 1) == 0 || (device->chip.passes > 1 && device->chip.quantized == 0)) continue;
    if (node->in[i].dtype != TCT_F32 && node->in[i].dtype != TCT_F16) continue;
    step->elements[i] = tpu_elements(&node->in[i].shape);
    step->rounds = true;
    step->rounded_at[i] = tpu_aligned(*bytes);
    *bytes = step->rounded_at[i] + step->elements[i] * tct_dtype_bytes(node->in[i].dtype);
  }
  return TCT_OK;
}

static void release(tct_device_impl *device, void *state) {
  tpu_step *step = state;
  if (step == NULL) return;
  if (step->under != NULL && step->under->release != NULL) step->under->release(device->impl, step->state);
  tct_tpu_inside_release(device, step->inside);
  tct_tpu_under_release(device, &step->bias);
  tct_tpu_under_release(device, &step->activation);
  device->host->release(state);
}

/* An optimizer's gradient is summed over the chips first, as if each were sent when it was made. */
static void prepare_links(const tct_chip *chip, const tct_node_view *node, tpu_step *step) {
  step->gradient = -1;
  if (chip->chips <= 1 || node->n_out > 0 || strcmp(node->op_name, "assign") == 0) return;
  const tct_update_attrs *update = node->attrs;
  step->gradient = update->n_state;
  const double bytes = (double)tpu_elements(&node->in[step->gradient].shape) * (double)tct_dtype_bytes(node->in[step->gradient].dtype);
  step->all_reduce = tct_chip_all_reduce(chip, bytes);
  step->link_bytes = 2 * bytes * (1 - 1 / (double)chip->chips);
  memmove(&step->list.at[1], &step->list.at[0], (size_t)step->list.n++ * sizeof step->list.at[0]);
  step->list.at[0] = (tpu_instruction){.code = TPU_ALL_REDUCE, .product = -1, .amount = bytes};
}

/* The largest operand in its tiles, and beside it the outputs of an op that does not write in place: so much is there at once,
 * whatever inputs are the same tensor. */
static tct_status check_memory(const tct_device_impl *device, const tct_node_view *node) {
  const tct_chip *chip = &device->chip;
  if (chip->weight_fifo > 0) return TCT_OK; /* tct_chip_product compares activations with their buffer */
  double padded = 0, dense = 0;
  for (int32_t i = 0; i < node->n_in + node->n_out; i++) {
    const bool input = i < node->n_in;
    const tct_desc *d = input ? &node->in[i] : &node->out[i - node->n_in];
    const double tiles = tct_chip_bytes(chip, d), numbers = (double)tpu_elements(&d->shape) * (double)tct_dtype_bytes(d->dtype);
    const bool beside = !input && !all_in_place(device->inner, node->op_name);
    padded = beside ? padded + tiles : tiles > padded ? tiles : padded;
    dense = beside ? dense + numbers : numbers > dense ? numbers : dense;
  }
  if (padded <= chip->hbm_size) return TCT_OK;
  return device->host->fail(TCT_OUT_OF_MEMORY, "tpu: chip %s has %.3g GB of HBM, and '%s' (%s) needs %.3g GB there at once: %.3g GB of "
                            "numbers, in tiles of %lldx%lld; needs extents that fill the tiles, a smaller batch, or a chip with more "
                            "(hbm_size=)", chip->name, chip->hbm_size * 1e-9, node->name, node->op_name, padded * 1e-9, dense * 1e-9,
                            (long long)chip->sublanes, (long long)chip->lanes);
}

static tct_status prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  const tct_status fits = check_memory(device, node);
  if (fits != TCT_OK) return fits;
  tpu_step *step = device->host->alloc(sizeof *step, TPU_ALIGN);
  if (step == NULL) return TCT_OUT_OF_MEMORY;
  *step = (tpu_step){.under = NULL};
  tct_status status = tct_tpu_lower(&device->chip, node, &step->list);
  if (status == TCT_OK) {
    status = tct_tpu_inside_prepare(device, node, &step->inside, &out->workspace_bytes);
  }
  if (status == TCT_OK && step->inside == NULL) {
    status = tct_tpu_machine_runs(&device->chip, node, &step->list) ? prepare_epilogue(device, node, step, &out->workspace_bytes)
                                                                    : prepare_under(device, node, step, &out->workspace_bytes);
  }
  if (status != TCT_OK) {
    release(device, step);
    return status;
  }
  prepare_links(&device->chip, node, step);
  step->joules = (double)device->chip.chips *
                 (tct_chip_energy(&device->chip, &step->list.time) + step->link_bytes * device->chip.ici_energy);
  out->state = step;
  return TCT_OK;
}

/* ---- the clock ---- */

static double wait_until(tpu_totals *t, double cycles) {
  const double wait = cycles > t->cycles ? cycles - t->cycles : 0;
  t->cycles += wait;
  return wait;
}

void tct_tpu_settle_links(tct_device_impl *device) {
  tpu_totals *t = &device->totals;
  t->links += wait_until(t, device->links_free);
}

/* The first launch after an upload is that of a step which reads it: it waits for PCIe as far as the step before did not
 * hide it, and until what the step before that gave has left. */
static void wait_for_infeed(tct_device_impl *device) {
  if (!device->uploaded) return;
  tct_tpu_settle_links(device);
  tpu_totals *t = &device->totals;
  t->outfeed += wait_until(t, device->outfeed_before);
  device->outfeed_before = device->outfeed_ready;
  t->infeed += wait_until(t, device->infeed_ready);
  device->step_began = t->cycles;
  device->uploaded = false;
}

static tpu_made *made(tct_device_impl *device, const void *buffer) {
  return &device->made[((uintptr_t)buffer >> 6) % TPU_MADE];
}

/* The links are one channel; a gradient enters when it was made. The update behind it is charged in its place, and the step
 * is not over before the last sum has arrived: settle_links. */
static void enter_links(tct_device_impl *device, const tpu_step *step, const tct_launch *given) {
  if (step->gradient < 0) return;
  tpu_totals *t = &device->totals;
  const tpu_made *at = made(device, given->in[step->gradient]);
  const double ready = at->buffer == given->in[step->gradient] ? at->cycles : t->cycles;
  device->links_free = (device->links_free > ready ? device->links_free : ready) + step->all_reduce;
  t->link_bytes += step->link_bytes;
}

static void count(tct_device_impl *device, const tpu_step *step, const tct_launch *given) {
  tpu_totals *t = &device->totals;
  const tct_chip_time *time = &step->list.time;
  wait_for_infeed(device);
  enter_links(device, step, given);
  t->cycles += time->total;
  t->useful += time->useful;
  t->padding += time->padding;
  t->shift += time->shift;
  t->vector += time->vector;
  t->memory += time->memory;
  t->skew += time->skew;
  t->hbm_bytes += time->hbm_bytes;
  t->macs += time->macs;
  t->joules += step->joules;
  if (device->chip.chips <= 1) return;
  for (int32_t i = 0; i < given->node->n_out; i++) *made(device, given->out[i]) = (tpu_made){given->out[i], t->cycles};
}

/* ---- launching ---- */

static tct_status launch_machine(tct_device_impl *device, const tpu_step *step, const tct_launch *given) {
  void *const behind = (char *)given->workspace + step->after_at;
  void *const biased[] = {given->out[0], given->node->n_in > 2 ? given->in[2] : NULL};
  tct_tpu_run_machine(&device->chip, &step->list, given->node, given->in, given->out[0], given->workspace);
  tct_status status = TCT_OK;
  if (step->bias.kernel != NULL) status = tct_tpu_under_launch(device, &step->bias, biased, given->out, behind);
  if (status == TCT_OK && step->activation.kernel != NULL)
    status = tct_tpu_under_launch(device, &step->activation, given->out, given->out, behind);
  return status;
}

static tct_status launch(tct_device_impl *device, const tct_launch *given) {
  const tpu_step *step = given->state;
  count(device, step, given);
  if (step->inside != NULL) return tct_tpu_inside_launch(device, step->inside, given);
  if (step->under == NULL) return launch_machine(device, step, given);
  void *in[MOST_INPUTS];
  tct_launch inside = *given;
  inside.state = step->state;
  if (step->rounds) {
    for (int32_t i = 0; i < given->node->n_in; i++) {
      in[i] = given->in[i];
      if (step->elements[i] == 0) continue;
      in[i] = (char *)given->workspace + step->rounded_at[i];
      tct_tpu_round(&device->chip, given->node->in[i].dtype, given->in[i], in[i], step->elements[i]);
    }
    inside.in = in;
  }
  return step->under->launch(device->impl, &inside);
}

/* ---- beside the chip ---- */

/* Seconds of a node on the host: inputs out and results back over PCIe, the stop, and the longer of its flops and its bytes. */
static double seconds_aside(const tct_chip *chip, const tct_node_view *node, double flops, double bytes) {
  double moved = 0;
  for (int32_t i = 0; i < node->n_in + node->n_out; i++) {
    const tct_desc *d = i < node->n_in ? &node->in[i] : &node->out[i - node->n_in];
    moved += (double)tpu_elements(&d->shape) * (double)tct_dtype_bytes(d->dtype);
  }
  const double work = flops / chip->host_flops, memory = bytes / chip->host_memory;
  return moved / chip->pcie + chip->host_sync + (work > memory ? work : memory);
}

int32_t tct_tpu_step_aside(tct_device_impl *device, const tct_node_view *node, double flops, double bytes, bool count,
                           tct_counter *out, int32_t most) {
  const tct_chip *chip = &device->chip;
  const double seconds = seconds_aside(chip, node, flops, bytes), cycles = seconds * chip->clock, joules = (double)chip->chips * seconds * chip->idle;
  if (count) {
    wait_for_infeed(device);
    device->totals.cycles += cycles;
    device->totals.host += cycles;
    device->totals.joules += joules;
  }
  const tct_counter all[] = {{"time", "s", seconds}, {"on the host", "cycles", cycles}, {"total", "cycles", cycles}, {"energy", "J", joules}};
  return tpu_give(all, sizeof all / sizeof all[0], out, most);
}

/* ---- what a step is, for reports ---- */

int32_t tct_tpu_step_counters(tct_device_impl *device, const void *state, tct_counter *out, int32_t most) {
  const tpu_step *step = state;
  const tct_chip_time *t = &step->list.time;
  const double seconds = t->total / device->chip.clock;
  const tct_counter all[] = {{"time", "s", seconds},
                             {"arrays, useful", "cycles", t->useful},
                             {"arrays, padding", "cycles", t->padding},
                             {"weight shift", "cycles", t->shift},
                             {"vector unit", "cycles", t->vector},
                             {"waiting for HBM", "cycles", t->memory},
                             {"fill, drain and start", "cycles", t->skew},
                             {"total", "cycles", t->total},
                             {"all-reduce", "cycles", step->all_reduce},
                             {"HBM traffic", "B", t->hbm_bytes},
                             {"products issued", "MAC", t->macs},
                             {"energy", "J", step->joules}};
  return tpu_give(all, sizeof all / sizeof all[0], out, most);
}

void tct_tpu_step_listing(tct_device_impl *device, const void *state, tct_line_fn line, void *user) {
  const tpu_step *step = state;
  tct_tpu_print(&device->chip, &step->list, line, user);
}

/* ---- the table ---- */

/* What the chip accepts and the CPU can compute. */
static bool supports(const tct_node_view *node, char *why, size_t why_bytes) {
  if (!tct_tpu_accepts(node, why, why_bytes)) return false;
  return tct_tpu_kernel_under(tct_tpu_arithmetic, node, why, why_bytes) != NULL;
}

/* The same for a chip without int8. */
static bool supports_floats(const tct_node_view *node, char *why, size_t why_bytes) {
  if (!supports(node, why, why_bytes)) return false;
  if (strcmp(node->op_name, "matmul") != 0 || node->in[0].dtype != TCT_I8) return true;
  snprintf(why, why_bytes, "the chip multiplies no int8 (its int8 is 0); v1, v4 and later do");
  return false;
}

/* A quantized chip multiplies nothing but int8: what changes weights, and narrow floats, are not for it. */
static bool supports_int8(const tct_node_view *node, char *why, size_t why_bytes) {
  if (!supports(node, why, why_bytes)) return false;
  if (node->n_out == 0 && strcmp(node->op_name, "assign") != 0) {
    snprintf(why, why_bytes, "it trains, and the chip's products are int8, for inference; train on another, such as tpu:v3, then evaluate, "
             "predict or 'sim --forward' on this one");
    return false;
  }
  for (int32_t i = 0; i < node->n_in; i++) {
    if (tct_dtype_bytes(node->in[i].dtype) != 2) continue;
    snprintf(why, why_bytes, "an operand is %s, and a quantized chip has int8 and f32 only; needs precision float32",
             tct_dtype_name(node->in[i].dtype));
    return false;
  }
  return true;
}

static bool seen_before(const tct_kernel *kernels, size_t k) {
  for (size_t i = 0; i < k; i++) {
    if (strcmp(kernels[i].op, kernels[k].op) == 0) return true;
  }
  return false;
}

tct_status tct_tpu_wrap_kernels(tct_device_impl *device) {
  const tct_backend *inner = device->inner;
  device->kernels = device->host->alloc((inner->n_kernels + 1) * sizeof *device->kernels, TPU_ALIGN);
  if (device->kernels == NULL) return TCT_OUT_OF_MEMORY;
  const tct_chip *chip = &device->chip;
  bool (*const accepts)(const tct_node_view *, char *, size_t) = chip->quantized != 0 ? supports_int8 : chip->int8 > 0 ? supports : supports_floats;
  for (size_t k = 0; k < inner->n_kernels; k++) {
    if (seen_before(inner->kernels, k)) continue;
    const char *op = inner->kernels[k].op;
    device->kernels[device->n_kernels++] = (tct_kernel){
        .op = op, .name = op, .in_place = all_in_place(inner, op), .supports = accepts,
        .prepare = prepare, .launch = launch, .release = release};
  }
  return TCT_OK;
}
