/* Products of matrices that are no node of their own, for what lies inside of a composite. Such a one is made as a matmul's is: on the
 * CPU's kernel from rounded operands, or on the machine where the array's own sums are asked for. And what rounds which operands. */
#include "backends/tpu/device.h"

#include <string.h>

#include "kernels/common/half.h"

/* Numbers in f16, which has more places than bf16. */
static void round_f16(const uint16_t *restrict from, uint16_t *restrict to, size_t n) {
  for (size_t i = 0; i < n; i++) to[i] = tct_f16_from_f32(tct_bf16_to_f32(tct_bf16_from_f32(tpu_within_f16(tct_f16_to_f32(from[i])))));
}

void tct_tpu_round(const tct_chip *chip, tct_dtype dtype, const void *from, void *to, size_t n) {
  if (chip->quantized != 0) tct_tpu_round_int8(from, to, n);
  else if (dtype == TCT_F16) round_f16(from, to, n);
  else tct_tpu_round_bf16(from, to, n);
}

static bool is_float(tct_dtype dtype) { return dtype == TCT_F32 || dtype == TCT_BF16 || dtype == TCT_F16; }

bool tct_tpu_machine_runs(const tct_chip *chip, const tct_node_view *node, const tpu_list *list) {
  return (chip->array_order != 0 || chip->passes == 3) && list->n_products == 1 && !list->product[0].resident &&
         is_float(node->in[0].dtype) && is_float(node->in[1].dtype) && is_float(node->out[0].dtype);
}

void tct_tpu_run_machine(const tct_chip *chip, const tpu_list *list, const tct_node_view *node, void *const *in, void *out,
                         void *scratch) {
  tpu_map map;
  tct_tpu_map(node, list->folded, &map);
  tpu_tensor x = {.data = in[0], .dtype = node->in[0].dtype}, w = {.data = in[1], .dtype = node->in[1].dtype};
  if (list->product[0].extents.int8) {
    x.scale = tct_tpu_scale(x.data, tpu_elements(&node->in[0].shape));
    w.scale = tct_tpu_scale(w.data, tpu_elements(&node->in[1].shape));
  }
  (void)tct_tpu_execute(chip, list, &map, x, w, (tpu_tensor){.data = out, .dtype = node->out[0].dtype}, scratch, NULL, 0);
}

void tct_tpu_operand(const tct_chip *chip, const float *from, float *to, size_t n) {
  const bool machine = chip->array_order != 0 || chip->passes == 3; /* cuts its pieces and steps itself */
  if (machine || (chip->passes > 1 && chip->quantized == 0)) memcpy(to, from, n * sizeof *to);
  else tct_tpu_round(chip, TCT_F32, from, to, n);
}

static tct_desc matrix(int64_t rows, int64_t columns, bool transposed) {
  return (tct_desc){TCT_F32, {.rank = 2, .dim = {transposed ? columns : rows, transposed ? rows : columns}}};
}

tct_status tct_tpu_multiply_prepare(tct_device_impl *device, tpu_multiply *to, tpu_extents e, size_t *bytes) {
  tpu_under *const under = &to->under;
  under->attrs.matmul = (tct_matmul_attrs){.transpose_a = e.transpose_a, .transpose_b = e.transpose_b};
  under->in[0] = matrix(e.m, e.k, e.transpose_a);
  under->in[1] = matrix(e.k, e.n, e.transpose_b);
  under->out = matrix(e.m, e.n, false);
  tct_tpu_under_node(under, TCT_OP_matmul, "matmul", 2);
  if (device->chip.array_order != 0 || device->chip.passes == 3) {
    const tct_status status = tct_tpu_lower(&device->chip, &under->view, &to->list);
    if (status != TCT_OK) return status;
    if (tct_tpu_machine_runs(&device->chip, &under->view, &to->list)) {
      const size_t scratch = tct_tpu_machine_bytes(&device->chip, &to->list);
      if (scratch > *bytes) *bytes = scratch;
      return TCT_OK;
    }
  }
  return tct_tpu_under_prepare(device, under, bytes);
}

tct_status tct_tpu_multiply(tct_device_impl *device, const tpu_multiply *product, float *a, float *b, float *c, void *workspace) {
  void *const in[] = {a, b}, *const out[] = {c};
  if (product->under.kernel != NULL) return tct_tpu_under_launch(device, &product->under, in, out, workspace);
  tct_tpu_run_machine(&device->chip, &product->list, &product->under.view, in, c, workspace);
  return TCT_OK;
}
